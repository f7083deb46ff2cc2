#include <string.h>

#include "agent/engine/fetch.h"
#include "agent/engine/find.h"
#include "agent/engine/spans.h"
#include "repo/archive/archive_common.h"

static int map_of(const struct store_snapshot *sn, struct archive_ref *ret,
    struct err *err)
{
	if (sn->content != STORE_BLOCK)
		return err_set(err, ERR_USAGE, "snapshot %s is of files, no block volume: "
		    "the two cannot be compared", sn->id);
	memcpy(ret->id, sn->state.id, sizeof(ret->id));
	ret->level = sn->state.level;
	ret->entries = sn->state.entries;
	return 0;
}

/* Ids say nothing of two domains or family secrets: all bytes are read. */
static int by_bytes(struct store *st, const struct store_snapshot *a,
    const struct store_snapshot *b, const struct archive_ref *ra,
    const struct archive_ref *rb,
    int (*fn)(void *ctx, uint64_t off, uint64_t len, struct err *err),
    void *ctx, struct err *err)
{
	struct spans *sa = spans_new(st, a->domain, err);
	struct spans *sb = sa != NULL ? spans_new(st, b->domain, err) : NULL;
	int r = -1;

	if (sb != NULL && spans_volume(sa, ra, a->size, err) == 0 &&
	    spans_volume(sb, rb, b->size, err) == 0)
		r = spans_diff(sa, sb, fn, ctx, err);
	spans_free(sa);
	spans_free(sb);
	return r;
}

int engine_diff_volume(struct store *st, const struct store_snapshot *a,
    const struct store_snapshot *b,
    int (*fn)(void *ctx, uint64_t off, uint64_t len, struct err *err),
    void *ctx, struct err *err)
{
	const uint8_t *oa, *ob;
	struct archive_ref ra, rb;
	struct pages *p;
	int r;

	if (store_need(st, STORE_READ, "to compare snapshots", err) < 0 ||
	    map_of(a, &ra, err) < 0 || map_of(b, &rb, err) < 0)
		return -1;
	oa = store_snapshot_order(st, a, err);
	ob = oa != NULL ? store_snapshot_order(st, b, err) : NULL;
	if (ob == NULL)
		return -1;
	if (oa != ob)
		return by_bytes(st, a, b, &ra, &rb, fn, ctx, err);
	p = pages_new(st, a->domain, err);
	if (p == NULL)
		return -1;
	r = archive_map_diff(pages_io(p), &ra, &rb, fn, ctx, err);
	pages_free(p);
	return r;
}
