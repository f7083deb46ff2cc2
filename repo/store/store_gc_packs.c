/* The packs that are listed, and which of their blobs are live. */

#include <stdlib.h>
#include <string.h>

#include "repo/store/store_gc_internal.h"

static int packs_add(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	struct gc_packs *p = ctx;
	struct fmt_key at;

	if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_PACK)
		return 0;
	if (p->n == p->cap) {
		uint32_t cap = p->cap == 0 ? 256 : p->cap * 2;
		struct gc_pack *v;

		if (p->n >= UINT32_MAX / 4)
			return err_set(err, ERR_UNSUPPORTED,
			    "more than a thousand million packs");
		v = realloc(p->v, cap * sizeof(*v));
		if (v == NULL)
			return err_nomem(err, "a list of packs");
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n] = (struct gc_pack){ .size = bs->size > UINT32_MAX ?
	    UINT32_MAX : (uint32_t)bs->size };
	memcpy(p->v[p->n++].name, at.name, sizeof(at.name));
	p->bytes += bs->size;
	return 0;
}

static int packs_cmp(const void *pa, const void *pb)
{
	const struct gc_pack *a = pa, *b = pb;

	return memcmp(a->name, b->name, sizeof(a->name));
}

int store_gc_packs_list(struct store *st, struct gc_packs *p, struct err *err)
{
	store_gc_packs_release(p);
	if (backend_list(st->be, "packs/", packs_add, p, err) != 0) {
		store_gc_packs_release(p);
		return -1;
	}
	if (p->n > 1)
		qsort(p->v, p->n, sizeof(*p->v), packs_cmp);
	return 0;
}

void store_gc_packs_release(struct gc_packs *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		free(p->v[i].bits);
		free(p->v[i].dead);
	}
	free(p->v);
	*p = (struct gc_packs){ 0 };
}

uint32_t store_gc_packs_find(const struct gc_packs *p,
    const uint8_t name[FMT_PACK_NAME_LEN])
{
	uint32_t lo = 0, hi = p->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = memcmp(p->v[mid].name, name, FMT_PACK_NAME_LEN);

		if (c == 0)
			return mid;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return GC_NONE;
}

bool store_gc_bit(const uint64_t *bits, uint32_t words, uint32_t i)
{
	return i / 64 < words && (bits[i / 64] >> (i % 64) & 1) != 0;
}

int store_gc_bit_set(uint64_t **bits, uint32_t *words, uint32_t i, struct err *err)
{
	if (i / 64 >= *words) {
		uint32_t n = i / 64 + 1 > *words * 2 ? i / 64 + 1 : *words * 2;
		uint64_t *v = realloc(*bits, (size_t)n * sizeof(*v));

		if (v == NULL)
			return err_nomem(err, "the blobs of a pack");
		memset(v + *words, 0, (size_t)(n - *words) * sizeof(*v));
		*bits = v;
		*words = n;
	}
	(*bits)[i / 64] |= (uint64_t)1 << (i % 64);
	return 0;
}

static uint32_t add(uint32_t a, uint32_t b)
{
	return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

void store_gc_pack_indexed(struct gc_pack *p, uint32_t ordinal,
    uint32_t sealed)
{
	p->all = add(p->all, sealed);
	if (ordinal >= p->n)
		p->n = ordinal + 1;
}

int store_gc_pack_live(struct gc_pack *p, uint32_t ordinal, uint32_t sealed,
    struct err *err)
{
	if (store_gc_bit(p->bits, p->words, ordinal))
		return 0;
	p->live++;
	p->live_bytes = add(p->live_bytes, sealed);
	return store_gc_bit_set(&p->bits, &p->words, ordinal, err);
}

unsigned store_gc_pack_waste(const struct gc_pack *p)
{
	if (p->live_bytes >= p->all)
		return 0;
	return (unsigned)((uint64_t)(p->all - p->live_bytes) * 100 / p->all);
}
