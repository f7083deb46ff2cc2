/* Opening copies of blobs before they may replace others (R8). */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_gc_internal.h"

#define VERIFY_PLAIN ((size_t)4 << 20)

int store_gc_tools(struct gc *g, struct err *err)
{
	const struct store_info *i = &g->st->info;
	size_t most = VERIFY_PLAIN;

	if (g->w != NULL)
		return 0;
	if (i->stream.max > most)
		most = i->stream.max;
	if (i->block.max > most)
		most = i->block.max;
	g->w = store_worker_new(g->st, ZIP_OFF, most, NULL, err);
	return g->w == NULL ? -1 : store_worker_all_domains(g->w, err);
}

void store_gc_tools_release(struct gc *g)
{
	store_worker_free(g->w);
	buf_release(&g->sealed);
	buf_release(&g->plain);
}

/* Read and open a copy by what one segment says of it: 0, 1 not good, -1. */
static int verify_loc(struct gc *g, const uint8_t *id,
    const struct store_loc *loc, struct err *err)
{
	uint8_t key[STORE_KEY_LEN];
	struct err why = ERR_INIT;
	int r;

	if (loc->sealed_len == 0)
		return 1;
	buf_reset(&g->sealed);
	buf_reset(&g->plain);
	if (buf_reserve(&g->sealed, loc->sealed_len) != 0 ||
	    buf_reserve(&g->plain, loc->plain_len + 1) != 0)
		return err_nomem(err, "a blob");
	r = store_pack_read(g->st, loc->pack, loc->offset, g->sealed.p,
	    loc->sealed_len, &why);
	if (r == 0)
		r = store_pack_open_key(g->st, loc->pack, key, &why);
	/* The kind is bound into the seal: only the right one opens it. */
	for (int kind = STORE_DATA; kind <= STORE_STATE && r == 0; kind++) {
		if (store_blob_open_with(g->st, g->w, (enum store_kind)kind,
		        id, loc->ordinal, key, g->sealed.p, loc->sealed_len,
		        g->plain.p, loc->plain_len, &why) == 0) {
			mem_wipe(key, sizeof(key));
			return 0;
		}
		if (why.class != ERR_CORRUPT)
			r = -1;
	}
	mem_wipe(key, sizeof(key));
	if (r < 0 && why.class != ERR_CORRUPT && why.class != ERR_NOTFOUND) {
		*err = why;
		return -1;
	}
	return 1;
}

int store_gc_verify(struct gc *g, const uint8_t id[FMT_ID_LEN],
    const struct gc_copy *c, struct err *err)
{
	const struct gc_pack *p = &g->packs.v[c->pack];
	struct store_lookup lk;
	struct store_loc loc;
	char key[FMT_KEY_MAX];
	int r, good = 1;

	if (store_gc_tools(g, err) != 0)
		return -1;
	store_lookup_begin(g->st, &lk, id, UINT32_MAX, false);
	while (good == 1 &&
	    (r = store_lookup_next(g->st, &lk, &loc, err)) == 0) {
		struct store_packent e;

		if (loc.ordinal != c->ordinal ||
		    !store_packtab_at(g->st->packs, loc.pack, &e) ||
		    memcmp(e.name, p->name, sizeof(e.name)) != 0 ||
		    e.size != p->size)
			continue;
		good = verify_loc(g, id, &loc, err);
	}
	store_lookup_end(g->st, &lk);
	if (good == 1 && r < 0)
		return -1;
	if (good == 1) {
		fmt_key_pack(key, p->name);
		log_msg(LOG_WARN, "%s: blob %u cannot stand for its other "
		    "copies, which are kept", key, c->ordinal);
	}
	return good;
}
