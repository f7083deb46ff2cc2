/*
 * All of the index in the order of ids.  Segments are sorted, so they are
 * merged: a block of each in memory.  Where there are too many for that, the
 * smallest are merged into a temporary file first.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_gc_internal.h"

#define COPIES_MAX 4096u /* of one id; more are taken for live at once */
#define FOLD_MIN 8u      /* sources that any budget allows */

/* An entry as it is spilled. */
struct rec {
	uint8_t id[FMT_ID_LEN];
	struct gc_copy copy;
};

/* A sorted sequence of entries: a segment, or a temporary file. */
struct source {
	struct store_segment *sg; /* NULL: spill */
	uint32_t *map;            /* the segment's packs in the table */
	uint32_t block, end;      /* the next block and the last's next */
	uint8_t *buf;             /* an opened block */
	uint32_t len, at, cap;    /* bytes in buf, read of it, allocated */
	struct gc_spill spill;
	struct rec now;           /* the entry that comes next */
	size_t weight;            /* bytes of memory */
};

struct gc_scan {
	struct store *st;
	struct gc_packs *packs;
	const char *dir;
	struct store_seglist *list;
	struct source *src;
	size_t nsrc, capsrc;
	size_t *heap, nheap;
	size_t memory;
	struct gc_copy *copies;
	size_t ncopies, capcopies;
};

static void source_release(struct source *s)
{
	free(s->map);
	free(s->buf);
	if (s->sg == NULL)
		store_spill_release(&s->spill);
	*s = (struct source){ .spill = { .fd = -1 } };
}

void store_gc_scan_free(struct gc_scan *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->nsrc; i++)
		source_release(&s->src[i]);
	free(s->src);
	free(s->heap);
	free(s->copies);
	if (s->list != NULL)
		store_index_unref(s->st, s->list);
	free(s);
}

/* --- one source --------------------------------------------------------------------*/

/* A segment that has gone is a reason to begin again. */
static int gone(const struct err *err)
{
	return err->class == ERR_NOTFOUND ? 2 : -1;
}

/* Which of the listed packs the segment's are: 0, 2, -1. */
static int source_map(struct gc_scan *s, struct source *x, struct err *err)
{
	x->map = mem_array((size_t)x->sg->head.packs + 1, sizeof(*x->map),
	    "an index segment", err);
	if (x->map == NULL)
		return -1;
	for (uint32_t i = 0; i < x->sg->head.packs; i++) {
		uint8_t key[FMT_SEALED_KEY_BOX];
		struct fmt_pack_record rec;
		struct gc_pack *p;

		if (store_segment_pack(s->st, x->sg, i, &rec, key, err) != 0)
			return gone(err);
		x->map[i] = store_gc_packs_find(s->packs, rec.name);
		if (x->map[i] == GC_NONE)
			continue;
		p = &s->packs->v[x->map[i]];
		if (p->size != rec.size)
			x->map[i] = GC_NONE; /* as for R2: it is not that pack */
		else {
			p->flags |= GC_INDEXED;
			p->kind = rec.blob_kind;
		}
	}
	return 0;
}

/* Read the next block of a segment: 0, 1 at the end, 2, -1. */
static int source_block(struct gc_scan *s, struct source *x, struct err *err)
{
	uint8_t block[FMT_BLOCK_SEALED];

	if (x->block == x->end)
		return 1;
	if (store_segment_load(s->st, x->sg, x->block, block, &x->len,
	        err) != 0)
		return gone(err);
	if (x->len > x->cap) {
		free(x->buf);
		x->cap = 0;
		x->buf = malloc(x->len);
		if (x->buf == NULL)
			return err_nomem(err, "an index segment");
		x->cap = x->len;
	}
	memcpy(x->buf, block, x->len);
	x->block++;
	x->at = 0;
	return 0;
}

/* Step to the next entry that counts: 0, 1 at the end, 2, -1. */
static int source_next(struct gc_scan *s, struct source *x, struct err *err)
{
	if (x->sg == NULL)
		return store_spill_get(&x->spill, &x->now, sizeof(x->now), err);
	for (;;) {
		struct fmt_index_entry e;
		int r = x->at + FMT_ENTRY_LEN > x->len ?
		    source_block(s, x, err) : 0;

		if (r != 0)
			return r;
		if (fmt_index_entry_get(x->buf + x->at, x->sg->head.packs, &e,
		        err) != 0)
			return err_wrap(err, "%s", x->sg->key);
		x->at += FMT_ENTRY_LEN;
		if (memcmp(e.id, x->now.id, sizeof(e.id)) < 0)
			return err_set(err, ERR_CORRUPT,
			    "%s: its entries are not in order", x->sg->key);
		memcpy(x->now.id, e.id, sizeof(e.id));
		x->now.copy = (struct gc_copy){ x->map[e.pack], e.ordinal,
			e.sealed_len };
		if (x->now.copy.pack != GC_NONE)
			return 0;
	}
}

/* --- many --------------------------------------------------------------------------------*/

static void heap_sink(struct gc_scan *s, size_t i)
{
	for (;;) {
		size_t l = 2 * i + 1, least = i, x;

		for (size_t c = l; c < l + 2 && c < s->nheap; c++)
			if (memcmp(s->src[s->heap[c]].now.id,
			        s->src[s->heap[least]].now.id, FMT_ID_LEN) < 0)
				least = c;
		if (least == i)
			return;
		x = s->heap[i];
		s->heap[i] = s->heap[least];
		s->heap[least] = x;
		i = least;
	}
}

/* Put the sources [from, nsrc) on the heap, at their first entry: 0, 2, -1. */
static int heap_fill(struct gc_scan *s, size_t from, struct err *err)
{
	s->nheap = 0;
	for (size_t i = from; i < s->nsrc; i++) {
		int r = source_next(s, &s->src[i], err);

		if (r == 0)
			s->heap[s->nheap++] = i;
		else if (r != 1)
			return r;
	}
	for (size_t i = s->nheap; i > 0; i--)
		heap_sink(s, i - 1);
	return 0;
}

/* Step the source on top: 0, 2, -1. */
static int heap_step(struct gc_scan *s, struct err *err)
{
	int r = source_next(s, &s->src[s->heap[0]], err);

	if (r == 2 || r < 0)
		return r;
	if (r == 1)
		s->heap[0] = s->heap[--s->nheap];
	heap_sink(s, 0);
	return 0;
}

static int weight_cmp(const void *pa, const void *pb)
{
	const struct source *a = pa, *b = pb;

	/* Heaviest first: those at the end are folded. */
	return a->weight < b->weight ? 1 : a->weight > b->weight ? -1 : 0;
}

/* Merge the sources [from, nsrc) into one temporary file: 0, 2, -1. */
static int fold(struct gc_scan *s, size_t from, struct err *err)
{
	struct source out = { .weight = 2 << 20 };
	int r = heap_fill(s, from, err);

	store_spill_init(&out.spill, s->dir);
	while (r == 0 && s->nheap > 0) {
		r = store_spill_add(&out.spill, &s->src[s->heap[0]].now,
		    sizeof(struct rec), err);
		if (r == 0)
			r = heap_step(s, err);
	}
	if (r == 0)
		r = store_spill_rewind(&out.spill, err);
	if (r != 0) {
		store_spill_release(&out.spill);
		return r;
	}
	for (size_t i = from; i < s->nsrc; i++)
		source_release(&s->src[i]);
	s->src[from] = out;
	s->nsrc = from + 1;
	return 0;
}

/* Fold the lightest until all that is left fits: 0, 2, -1. */
static int fold_all(struct gc_scan *s, struct err *err)
{
	for (;;) {
		size_t sum = 0, part = 0, from = s->nsrc;
		int r;

		for (size_t i = 0; i < s->nsrc; i++)
			sum += s->src[i].weight;
		if (sum <= s->memory || s->nsrc <= FOLD_MIN)
			return 0;
		qsort(s->src, s->nsrc, sizeof(*s->src), weight_cmp);
		while (from > 0 && (s->nsrc - from < FOLD_MIN ||
		        part + s->src[from - 1].weight <= s->memory))
			part += s->src[--from].weight;
		r = fold(s, from, err);
		if (r != 0)
			return r;
	}
}

static int scan_sources(struct gc_scan *s, struct err *err)
{
	s->src = mem_array(s->list->n + 1, sizeof(*s->src), "the index", err);
	s->heap = mem_array(s->list->n + 1, sizeof(*s->heap), "the index",
	    err);
	if (s->src == NULL || s->heap == NULL)
		return -1;
	for (size_t i = 0; i < s->list->n; i++) {
		struct store_segment *sg = s->list->v[i];
		const struct fmt_section_layout *e = &sg->lay.sec[FMT_SEC_E];
		struct source *x = &s->src[s->nsrc];
		int r;

		if (__atomic_load_n(&sg->gone, __ATOMIC_RELAXED))
			return 2;
		*x = (struct source){ .sg = sg, .block = e->first,
			.end = e->first + e->blocks };
		s->nsrc++;
		x->weight = (e->blocks > 1 ? FMT_BLOCK_PLAIN :
		    (size_t)sg->head.entries * FMT_ENTRY_LEN) +
		    (size_t)sg->head.packs * 4 + sizeof(*x);
		r = source_map(s, x, err);
		if (r != 0)
			return r;
	}
	return 0;
}

int store_gc_scan_new(struct store *st, struct gc_packs *packs, size_t memory,
    const char *dir, struct gc_scan **ret, struct err *err)
{
	struct gc_scan *s = mem_zalloc(sizeof(*s), "the index", err);
	int r;

	*ret = NULL;
	if (s == NULL)
		return -1;
	s->st = st;
	s->packs = packs;
	s->memory = memory;
	s->dir = dir;
	s->list = store_index_ref(st);
	r = scan_sources(s, err);
	if (r == 0)
		r = fold_all(s, err);
	if (r == 0)
		r = heap_fill(s, 0, err);
	if (r == 0)
		*ret = s;
	else
		store_gc_scan_free(s);
	return r;
}

/* Remember a copy of the id at hand, unless it is known. */
static int add_copy(struct gc_scan *s, const struct gc_copy *c,
    struct err *err)
{
	for (size_t i = 0; i < s->ncopies; i++)
		if (s->copies[i].pack == c->pack &&
		    s->copies[i].ordinal == c->ordinal)
			return 0;
	if (s->ncopies == COPIES_MAX)
		return store_gc_pack_live(&s->packs->v[c->pack], c->ordinal,
		    c->sealed, err);
	if (s->ncopies == s->capcopies) {
		size_t cap = s->capcopies == 0 ? 16 : s->capcopies * 2;
		struct gc_copy *v = realloc(s->copies, cap * sizeof(*v));

		if (v == NULL)
			return err_nomem(err, "the index");
		s->copies = v;
		s->capcopies = cap;
	}
	s->copies[s->ncopies++] = *c;
	return 0;
}

int store_gc_scan_next(struct gc_scan *s, uint8_t ret_id[FMT_ID_LEN],
    const struct gc_copy **ret_v, size_t *ret_n, struct err *err)
{
	if (s->nheap == 0)
		return 1;
	memcpy(ret_id, s->src[s->heap[0]].now.id, FMT_ID_LEN);
	s->ncopies = 0;
	while (s->nheap > 0 && memcmp(s->src[s->heap[0]].now.id, ret_id,
	        FMT_ID_LEN) == 0) {
		int r;

		if (add_copy(s, &s->src[s->heap[0]].now.copy, err) != 0)
			return -1;
		r = heap_step(s, err);
		if (r != 0)
			return r;
	}
	*ret_v = s->copies;
	*ret_n = s->ncopies;
	return 0;
}
