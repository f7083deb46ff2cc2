/* Is all that is live indexed?  Two sorted streams, side by side. */

#include <string.h>

#include "repo/store/store_gc_internal.h"

struct store_live *store_live_begin(size_t memory, struct err *err)
{
	return store_live_new(memory, NULL, err);
}

void store_live_end(struct store_live *l)
{
	store_live_free(l);
}

/* Step `live` behind every id that the index has: 0 all met, 1 not, 2, -1. */
static int join(struct gc_scan *scan, struct gc_sort *live, struct err *err)
{
	uint8_t want[GC_SHORT_ID], id[FMT_ID_LEN];
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
		r = join(scan, live, err);
	store_gc_scan_free(scan);
	store_gc_packs_release(&packs);
	return r == 2 ? 1 : r;
}
