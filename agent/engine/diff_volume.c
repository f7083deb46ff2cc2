#include <string.h>

#include "agent/engine/fetch.h"
#include "agent/engine/find.h"
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

int engine_diff_volume(struct store *st, const struct store_snapshot *a,
    const struct store_snapshot *b,
    int (*fn)(void *ctx, uint64_t off, uint64_t len, struct err *err),
    void *ctx, struct err *err)
{
	struct archive_ref ra, rb;
	struct pages *p;
	int r;

	if (store_need(st, STORE_READ, "to compare snapshots", err) < 0 ||
	    map_of(a, &ra, err) < 0 || map_of(b, &rb, err) < 0)
		return -1;
	if (strcmp(a->domain, b->domain) != 0)
		return err_set(err, ERR_UNSUPPORTED,
		    "the snapshots are of two deduplication domains and cannot be compared");
	p = pages_new(st, a->domain, err);
	if (p == NULL)
		return -1;
	r = archive_map_diff(pages_io(p), &ra, &rb, fn, ctx, err);
	pages_free(p);
	return r;
}
