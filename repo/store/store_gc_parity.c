/*
 * Parity of packs that are gone: what a deletion that was interrupted left, or
 * a program that knew nothing of it.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/store/store_gc_internal.h"

#define NAME FMT_PACK_NAME_LEN

static int names_add(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	struct buf *names = ctx;
	struct fmt_key at;

	(void)bs;
	if (fmt_key_parse(key, &at) == 0 && at.place == FMT_AT_PARITY)
		buf_add(names, at.name, NAME);
	return buf_check(names, "a list of parity", err);
}

int store_gc_parity(struct gc *g, struct err *err)
{
	struct buf names = BUF_INIT;
	struct gc_packs packs = { 0 };
	/*
	 * Parity is put behind its pack, and no name recurs.  So what is listed
	 * here, and whose pack is not there in a listing that begins after it,
	 * is of one that has been deleted.
	 */
	int r = backend_list(g->st->be, "parity/", names_add, &names, err);

	if (r == 0 && names.len > 0)
		r = store_gc_packs_list(g->st, &packs, err);
	for (size_t i = 0; i < names.len && r == 0; i += NAME) {
		char key[FMT_KEY_MAX];

		if (store_gc_packs_find(&packs, names.p + i) != GC_NONE)
			continue;
		r = store_gc_cancelled(g, err);
		fmt_key_parity(key, names.p + i);
		if (r == 0)
			r = backend_del(g->st->be, key, err);
		if (r == 0)
			g->ret->objects_removed++;
		r = r < 0 ? -1 : 0;
	}
	store_gc_packs_release(&packs);
	buf_release(&names);
	return r;
}
