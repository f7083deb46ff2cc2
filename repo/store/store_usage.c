/* How much is stored: by listing, and by kind from the index. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/mem.h"
#include "repo/store/store_check.h"
#include "repo/store/store_internal.h"

static int count_object(void *ctx, const char *key,
    const struct backend_stat *bs, struct err *err)
{
	struct store_usage *u = ctx;
	struct fmt_key at;

	(void)err;
	if (fmt_key_parse(key, &at) != 0)
		return 0;
	u->objects++;
	u->bytes += bs->size;
	if (at.place == FMT_AT_PACK) {
		u->packs++;
		u->pack_bytes += bs->size;
	}
	return 0;
}

/* Counting the blobs of one segment. */
struct count {
	struct store *st;
	struct store_segment *sg;
	struct store_usage *u;
	uint8_t *kind;   /* by local pack; 0: a segment before this one had it */
	uint8_t *taken;  /* by the store's pack number */
	uint32_t ntaken;
};

/* Mark pack `number` as counted; tells whether it was new. */
static int take_pack(struct count *c, uint32_t number, bool *ret_new,
    struct err *err)
{
	if (number >= c->ntaken) {
		uint32_t n = (number + 1) * 2;
		uint8_t *v = realloc(c->taken, n);

		if (v == NULL)
			return err_nomem(err, "counting packs");
		memset(v + c->ntaken, 0, n - c->ntaken);
		c->taken = v;
		c->ntaken = n;
	}
	*ret_new = c->taken[number] == 0;
	c->taken[number] = 1;
	return 0;
}

static int count_packs(struct count *c, struct err *err)
{
	for (uint32_t i = 0; i < c->sg->head.packs; i++) {
		uint8_t key[FMT_SEALED_KEY_BOX];
		struct fmt_pack_record rec;
		uint32_t number;
		bool fresh = false;

		if (store_segment_pack(c->st, c->sg, i, &rec, key, err) != 0 ||
		    store_segment_number(c->st, c->sg, i, &number, err) != 0 ||
		    take_pack(c, number, &fresh, err) != 0)
			return -1;
		c->kind[i] = fresh && rec.blob_kind <= STORE_STATE ?
		    rec.blob_kind : 0;
	}
	return 0;
}

static int count_entries(struct count *c, struct err *err)
{
	const struct fmt_section_layout *sec = &c->sg->lay.sec[FMT_SEC_E];
	uint8_t block[FMT_BLOCK_SEALED];

	for (uint32_t b = sec->first; b < sec->first + sec->blocks; b++) {
		uint32_t len;

		if (store_segment_load(c->st, c->sg, b, block, &len, err) != 0)
			return -1;
		for (uint32_t at = 0; at + FMT_ENTRY_LEN <= len;
		    at += FMT_ENTRY_LEN) {
			struct fmt_index_entry e;
			unsigned k;

			if (fmt_index_entry_get(block + at, c->sg->head.packs,
			        &e, err) != 0)
				return -1;
			k = c->kind[e.pack];
			if (k == 0)
				continue;
			c->u->blobs[k]++;
			c->u->sealed[k] += e.sealed_len;
			c->u->plain[k] += e.plain_len;
		}
	}
	return 0;
}

int store_usage(struct store *st, struct store_usage *ret, struct err *err)
{
	struct count c = { .st = st, .u = ret };
	struct store_seglist *l;
	int r;

	*ret = (struct store_usage){ 0 };
	if (backend_list(st->be, "", count_object, ret, err) != 0 ||
	    store_index_refresh(st, 0, err) != 0)
		return -1;
	l = store_index_ref(st);
	r = 0;
	for (size_t i = 0; i < l->n && r == 0; i++) {
		c.sg = l->v[i];
		c.kind = mem_zalloc((size_t)c.sg->head.packs + 1,
		    "counting packs", err);
		r = c.kind == NULL ? -1 : count_packs(&c, err);
		if (r == 0)
			r = count_entries(&c, err);
		free(c.kind);
	}
	store_index_unref(st, l);
	free(c.taken);
	return r;
}
