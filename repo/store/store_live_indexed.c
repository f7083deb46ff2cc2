/* Is a good copy of all that is live indexed?  Two sorted streams, side by side. */

#include <string.h>

#include "repo/store/store_bad_internal.h"
#include "repo/store/store_gc_internal.h"

struct store_live *store_live_begin(size_t memory, struct err *err)
{
	return store_live_new(memory, NULL, err);
}

void store_live_end(struct store_live *l)
{
	store_live_free(l);
}

/* Is one of the copies not listed as damaged? */
static bool any_good(const struct store_bad *bad, const struct gc_packs *packs,
    const uint8_t *id, const struct gc_copy *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!store_bad_copy(bad, id, packs->v[v[i].pack].name))
			return true;
	return false;
}

/* Step `live` behind every id that the index has: 0 all met, 1 not, 2, -1. */
static int join(struct store *st, struct gc_scan *scan, const struct gc_packs *packs,
    struct gc_sort *live, struct err *err)
{
	uint8_t want[GC_SHORT_ID], id[FMT_ID_LEN];
	/* Asked of ids that are live only, and not where nothing is listed. */
	const struct store_bad *bad = store_bad_any(st->bad) ? st->bad : NULL;
	int more = store_sort_next(live, want, err);

	while (more == 0) {
		const struct gc_copy *v;
		size_t n;
		int c, r = store_gc_scan_next(scan, id, &v, &n, err);

		if (r != 0)
			return r; /* at its end: `want` is not there */
		c = memcmp(want, id, sizeof(want));
		if (c < 0)
			return 1;
		if (c == 0 && bad != NULL && !any_good(bad, packs, id, v, n))
			return 1;
		if (c == 0)
			more = store_sort_next(live, want, err);
	}
	return more < 0 ? -1 : 0;
}

int store_live_indexed(struct store *st, struct store_live *l, size_t memory,
    struct err *err)
{
	struct gc_sort *live = store_live_sorted(l);
	struct gc_packs packs = { 0 };
	struct gc_scan *scan = NULL;
	int r = store_index_refresh(st, 0, err);

	if (r == 0)
		r = store_gc_packs_list(st, &packs, err);
	if (r == 0)
		r = store_sort_rewind(live, err);
	if (r == 0)
		r = store_gc_scan_new(st, &packs, memory, NULL, &scan, err);
	if (r == 0)
		r = join(st, scan, &packs, live, err);
	store_gc_scan_free(scan);
	store_gc_packs_release(&packs);
	return r == 2 ? 1 : r;
}
