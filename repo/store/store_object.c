/* Whole objects: creating them by R9, listing their keys. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

#define COMPARE_PIECE ((size_t)1 << 18)

/*
 * Return 0 when the object under key has just these bytes, 1 when it has
 * others, 2 when it does not exist, -1 with err.
 */
static int object_compare(struct backend *be, const char *key,
    const void *data, size_t len, struct err *err)
{
	CLEANUP_FREE uint8_t *piece = NULL;
	const uint8_t *want = data;
	struct backend_stat bs;
	int r = backend_stat(be, key, &bs, err);

	if (r != 0)
		return r < 0 ? -1 : 2;
	if (bs.size != len)
		return 1;
	piece = mem_zalloc(COMPARE_PIECE, "a comparison", err);
	if (piece == NULL)
		return -1;
	for (size_t off = 0; off < len;) {
		size_t n = len - off < COMPARE_PIECE ? len - off : COMPARE_PIECE;

		r = backend_get(be, key, off, piece, n, err);
		if (r != 0)
			return r < 0 ? -1 : 2;
		if (memcmp(piece, want + off, n) != 0)
			return 1;
		off += n;
	}
	return 0;
}

int store_object_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	struct err why = ERR_INIT, look = ERR_INIT;
	int put = backend_put(be, key, data, len, &why);
	int r;

	if (put == 0)
		return 0;
	/*
	 * R9: "exists" may be the echo of our own earlier attempt, and a
	 * failure may be a lost answer.  What is there decides.
	 */
	if (put < 0 && why.class != ERR_TRANSIENT && why.class != ERR_IO) {
		*err = why;
		return -1;
	}
	r = object_compare(be, key, data, len, &look);
	if (r == 0 || r == 1)
		return r;
	if (put < 0)
		*err = why;
	else if (r < 0)
		*err = look;
	else
		err_set(err, ERR_CONFLICT,
		    "%s: was there when it was to be created, then was not", key);
	return -1;
}

static int keys_add(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	struct store_keys *k = ctx;
	size_t len = strlen(key) + 1;

	if (k->n == k->cap) {
		size_t cap = k->cap == 0 ? 64 : k->cap * 2;
		struct store_keyent *v = realloc(k->v, cap * sizeof(*v));

		if (v == NULL)
			return err_nomem(err, "a list of objects");
		k->v = v;
		k->cap = cap;
	}
	k->v[k->n].key = k->text.len; /* an offset until all are there */
	k->v[k->n].size = bs->size;
	k->v[k->n].mtime_ns = bs->mtime_ns;
	buf_add(&k->text, key, len);
	if (buf_check(&k->text, "a list of objects", err) != 0)
		return -1;
	k->n++;
	return 0;
}

static int keys_cmp(const void *pa, const void *pb, void *text)
{
	const struct store_keyent *a = pa, *b = pb;

	return strcmp((const char *)text + a->key, (const char *)text + b->key);
}

int store_keys_list(struct backend *be, const char *prefix,
    struct store_keys *ret, struct err *err)
{
	store_keys_release(ret);
	if (backend_list(be, prefix, keys_add, ret, err) != 0) {
		store_keys_release(ret);
		return -1;
	}
	if (ret->n > 1)
		qsort_r(ret->v, ret->n, sizeof(*ret->v), keys_cmp, ret->text.p);
	return 0;
}

const char *store_keys_at(const struct store_keys *k, size_t i)
{
	return (const char *)k->text.p + k->v[i].key;
}

bool store_keys_has(const struct store_keys *k, const char *key)
{
	size_t lo = 0, hi = k->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(store_keys_at(k, mid), key);

		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

void store_keys_release(struct store_keys *k)
{
	buf_release(&k->text);
	free(k->v);
	*k = (struct store_keys){ 0 };
}
