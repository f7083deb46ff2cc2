/*
 * Which blobs are dead (R5), and which of those that a mark lists are needed
 * after all (R7): the live ids and the index, both sorted, side by side.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/store/store_gc_internal.h"

#define PASSES 6 /* segments may go meanwhile, but not for ever */

/* An id with its copies. */
struct group {
	uint8_t id[FMT_ID_LEN];
	const struct gc_copy *v;
	size_t n;
	bool live;
};

/* --- side by side --------------------------------------------------------------------*/

/* Two sequences that are gone through at once. */
struct join {
	struct gc *g;
	struct gc_sort *live;
	struct gc_scan *scan;
	uint8_t at[GC_SHORT_ID]; /* the live id at hand */
	bool has, met;           /* there is one; the index has a copy */
	uint8_t missed[GC_SHORT_ID]; /* the first that the index has not */
	bool missing;
};

static int join_step(struct join *j, struct err *err)
{
	int r;

	if (j->has && !j->met && !j->missing) {
		memcpy(j->missed, j->at, sizeof(j->missed));
		j->missing = true;
	}
	r = store_sort_next(j->live, j->at, err);
	j->has = r == 0;
	j->met = false;
	return r < 0 ? -1 : 0;
}

static int join_open(struct join *j, struct gc *g, struct gc_sort *live,
    struct err *err)
{
	int r;

	*j = (struct join){ .g = g, .live = live };
	if (store_sort_rewind(live, err) != 0)
		return -1;
	r = store_gc_scan_new(g->st, &g->packs, g->memory / 2, g->opt->spill_dir,
	    &j->scan, err);
	return r == 0 ? join_step(j, err) : r;
}

/* The next id that the index has: 0, 1 at the end, 2, -1. */
static int join_next(struct join *j, struct group *ret, struct err *err)
{
	int r = store_gc_scan_next(j->scan, ret->id, &ret->v, &ret->n, err), c = 1;

	if (r > 1 || r < 0)
		return r;
	while (j->has && (r == 1 ||
	        (c = memcmp(j->at, ret->id, GC_SHORT_ID)) < 0))
		if (join_step(j, err) != 0)
			return -1;
	ret->live = r == 0 && j->has && c == 0;
	if (ret->live)
		j->met = true;
	return r;
}

static int lost(const struct join *j, struct err *err)
{
	char hex[2 * GC_SHORT_ID + 1];

	hex_encode(hex, j->missed, GC_SHORT_ID);
	return err_set(err, ERR_CORRUPT, "blob %s: a snapshot needs it, but no "
	    "pack that is there holds it by the index, so nothing is deleted "
	    "('wherry check' tells which snapshot; 'wherry repair' may find "
	    "it)", hex);
}

/*
 * Do pass until it has seen an index of which nothing went meanwhile.  What
 * is not found counts as lost only when a second listing has not found it.
 */
static int join_all(struct gc *g, struct gc_sort *live,
    int (*pass)(struct gc *g, struct join *j, void *ctx, struct err *err),
    void *ctx, struct err *err)
{
	struct join j = { .missing = false };
	int misses = 0;

	for (int i = 0; i < PASSES; i++) {
		int r;

		if (store_gc_cancelled(g, err) != 0 ||
		    store_index_refresh(g->st, 0, err) != 0 ||
		    store_gc_packs_list(g->st, &g->packs, err) != 0)
			return -1;
		r = join_open(&j, g, live, err);
		if (r == 0)
			r = pass(g, &j, ctx, err);
		store_gc_scan_free(j.scan);
		if (r < 0)
			return -1;
		if (r == 0 && !j.missing)
			return 0;
		if (r == 0 && ++misses == 2)
			return lost(&j, err);
	}
	return err_set(err, ERR_CONFLICT, "the index changes all the time; try "
	    "again later");
}

/* --- the mark -----------------------------------------------------------------------*/

/* Ids with several copies, to be decided when all packs are known. */
struct twins {
	struct gc_spill spill;
	struct gc_copy *v;   /* copies of the one at hand */
	size_t cap;
};

static int twins_add(struct twins *t, const struct group *x, struct err *err)
{
	uint32_t n = (uint32_t)x->n;

	if (store_spill_add(&t->spill, x->id, sizeof(x->id), err) != 0 ||
	    store_spill_add(&t->spill, &n, sizeof(n), err) != 0)
		return -1;
	return store_spill_add(&t->spill, x->v, n * sizeof(*x->v), err);
}

static int twins_next(struct twins *t, struct group *ret, struct err *err)
{
	uint32_t n;
	int r = store_spill_get(&t->spill, ret->id, sizeof(ret->id), err);

	if (r != 0)
		return r;
	if (store_spill_get(&t->spill, &n, sizeof(n), err) != 0)
		return -1;
	if (n > t->cap) {
		struct gc_copy *v = realloc(t->v, n * sizeof(*v));

		if (v == NULL)
			return err_nomem(err, "copies");
		t->v = v;
		t->cap = n;
	}
	if (store_spill_get(&t->spill, t->v, n * sizeof(*t->v), err) != 0)
		return -1;
	ret->v = t->v;
	ret->n = n;
	return 0;
}

static int live_copy(struct gc *g, const struct gc_copy *c, struct err *err)
{
	return store_gc_pack_live(&g->packs.v[c->pack], c->ordinal, c->sealed, err);
}

/* Every id: what is live and how much of each pack there is. */
static int mark_pass(struct gc *g, struct join *j, void *ctx, struct err *err)
{
	struct twins *t = ctx;
	struct group x;
	uint64_t seen = 0;
	int r;

	g->ret->blobs = 0;
	store_spill_release(&t->spill);
	while ((r = join_next(j, &x, err)) == 0) {
		if ((++seen & 0xffff) == 0) {
			store_gc_progress(g, "index", seen, 0);
			if (store_gc_cancelled(g, err) != 0)
				return -1;
		}
		for (size_t i = 0; i < x.n; i++)
			store_gc_pack_indexed(&g->packs.v[x.v[i].pack],
			    x.v[i].ordinal, x.v[i].sealed);
		g->ret->blobs += x.n;
		if (!x.live)
			continue;
		r = x.n == 1 ? live_copy(g, x.v, err) : twins_add(t, &x, err);
		if (r != 0)
			return -1;
	}
	return r == 1 ? 0 : r;
}

/*
 * Which copy stands for the others: that in the pack with most that has no
 * other copy.  It is one order of all packs, so of two packs with much in
 * common one keeps all of that.
 */
static size_t keeper(const struct gc *g, const struct group *x)
{
	size_t best = 0;

	for (size_t i = 1; i < x->n; i++) {
		const struct gc_pack *a = &g->packs.v[x->v[i].pack];
		const struct gc_pack *b = &g->packs.v[x->v[best].pack];

		if (a->own != b->own ? a->own > b->own :
		    a->all != b->all ? a->all > b->all : a < b)
			best = i;
	}
	return best;
}

/*
 * Would the collection do something about this pack?  While a part of the index
 * cannot be read, a pack that nothing names may be of that part, and hold the
 * only good copies: it stays until repair has named it or removed that part.
 */
static bool worth(const struct gc *g, const struct gc_pack *p)
{
	if (!(p->flags & GC_INDEXED) && g->st->ix.has_broken)
		return false;
	return p->live == 0 || store_gc_pack_waste(p) > g->max_waste;
}

/*
 * One id with several copies, one of which is marked live: the others may die
 * when that gains something, and the one that stays was opened.
 */
static int twins_decide(struct gc *g, const struct group *x,
    const uint8_t *gains, struct err *err)
{
	size_t keep = SIZE_MAX;
	bool any = false;

	for (size_t i = 0; i < x->n; i++) {
		const struct gc_pack *p = &g->packs.v[x->v[i].pack];

		if (store_gc_bit(p->bits, p->words, x->v[i].ordinal))
			keep = i;
		else if (gains[x->v[i].pack])
			any = true;
	}
	for (size_t i = 0; i < x->n && any; i++) {
		/* First the one that was chosen, then the others. */
		size_t at = i == 0 && keep != SIZE_MAX ? keep :
		    i <= keep && keep != SIZE_MAX ? i - 1 : i;
		int r = store_gc_verify(g, x->id, &x->v[at], err);

		if (r < 0)
			return -1;
		if (r == 0) {
			if (live_copy(g, &x->v[at], err) != 0)
				return -1;
			keep = at;
			break;
		}
		if (i + 1 == x->n)
			any = false; /* none is good: all of them stay */
	}
	for (size_t i = 0; i < x->n; i++)
		if (i != keep && !(any && gains[x->v[i].pack]) &&
		    live_copy(g, &x->v[i], err) != 0)
			return -1;
	return 0;
}

static int twins_all(struct gc *g, struct twins *t, struct err *err)
{
	struct group x;
	uint8_t *gains;
	int r = store_spill_rewind(&t->spill, err);

	for (uint32_t i = 0; i < g->packs.n; i++)
		g->packs.v[i].own = g->packs.v[i].live_bytes;
	while (r == 0 && (r = twins_next(t, &x, err)) == 0) {
		size_t k = keeper(g, &x);

		r = live_copy(g, &x.v[k], err);
	}
	if (r < 0 || t->spill.len == 0)
		return r < 0 ? -1 : 0;
	gains = mem_zalloc((size_t)g->packs.n + 1, "packs", err);
	if (gains == NULL)
		return -1;
	for (uint32_t i = 0; i < g->packs.n; i++)
		gains[i] = worth(g, &g->packs.v[i]);
	r = store_spill_rewind(&t->spill, err);
	while (r == 0 && (r = twins_next(t, &x, err)) == 0) {
		r = store_gc_cancelled(g, err);
		if (r == 0)
			r = twins_decide(g, &x, gains, err);
	}
	free(gains);
	return r < 0 ? -1 : 0;
}

/* --- choosing packs ---------------------------------------------------------------------*/

struct chosen { uint32_t pack; unsigned waste; };

static int chosen_cmp(const void *pa, const void *pb)
{
	const struct chosen *a = pa, *b = pb;

	if (a->waste != b->waste)
		return a->waste > b->waste ? -1 : 1;
	return a->pack < b->pack ? -1 : a->pack > b->pack;
}

/* Bytes that a pack takes in the list, at most. */
static uint64_t listed_bytes(const struct gc_pack *p)
{
	return p->live == 0 ? FMT_PACK_NAME_LEN :
	    FMT_PACK_NAME_LEN + 5 + (uint64_t)(p->n - p->live) * 3;
}

/* The packs of this generation: dead ones, then those with the most waste. */
static int choose(struct gc *g, bool *ret_any, struct err *err)
{
	struct chosen *v = mem_array((size_t)g->packs.n + 1, sizeof(*v),
	    "packs", err);
	uint64_t room = g->list_max, repack = 0;
	uint32_t n = 0;

	if (v == NULL)
		return -1;
	for (uint32_t i = 0; i < g->packs.n; i++)
		if (worth(g, &g->packs.v[i]))
			v[n++] = (struct chosen){ i,
				g->packs.v[i].live == 0 ? 101 :
				store_gc_pack_waste(&g->packs.v[i]) };
	qsort(v, n, sizeof(*v), chosen_cmp);
	g->more = false;
	for (uint32_t i = 0; i < n; i++) {
		struct gc_pack *p = &g->packs.v[v[i].pack];
		uint64_t bytes = listed_bytes(p);

		if (p->live > 0 && (g->full || (g->opt->max_repack != 0 &&
		        repack + p->size > g->opt->max_repack)))
			continue;
		if (bytes > room && *ret_any) {
			g->more = true;
			break;
		}
		room -= bytes < room ? bytes : room;
		repack += p->live > 0 ? p->size : 0;
		p->flags |= GC_TAKE;
		*ret_any = true;
	}
	free(v);
	return 0;
}

int store_gc_find_dead(struct gc *g, struct store_live *live, bool *ret_any,
    struct err *err)
{
	struct twins t = { .cap = 0 };
	int r;

	*ret_any = false;
	store_spill_init(&t.spill, g->opt->spill_dir);
	r = join_all(g, store_live_sorted(live), mark_pass, &t, err);
	if (r == 0)
		r = twins_all(g, &t, err);
	if (r == 0)
		r = choose(g, ret_any, err);
	store_spill_release(&t.spill);
	free(t.v);
	g->ret->packs = g->packs.n;
	g->ret->bytes = g->packs.bytes;
	g->ret->unindexed_packs = 0;
	g->ret->blobs_dead = g->ret->blobs;
	for (uint32_t i = 0; i < g->packs.n; i++) {
		const struct gc_pack *p = &g->packs.v[i];

		g->ret->blobs_dead -= p->live < g->ret->blobs_dead ? p->live :
		    g->ret->blobs_dead;
		if (!(p->flags & GC_INDEXED))
			g->ret->unindexed_packs++;
	}
	return r;
}

/* --- the verdict ----------------------------------------------------------------------------*/

/* Say in the packs what the mark's list names. */
static int apply_list(struct gc *g, struct err *err)
{
	struct fmt_list l = g->dead.packs;
	struct fmt_partial part;
	const uint8_t *name;
	uint32_t i;

	while (fmt_pack_next(&l, &name) == 0) {
		i = store_gc_packs_find(&g->packs, name);
		if (i != GC_NONE)
			g->packs.v[i].flags |= GC_WHOLE;
	}
	l = g->dead.partial;
	while (fmt_partial_next(&l, &part) == 0) {
		struct gc_pack *p;
		uint32_t at = 0, o;

		i = store_gc_packs_find(&g->packs, part.pack);
		if (i == GC_NONE)
			continue;
		p = &g->packs.v[i];
		p->flags |= GC_PART;
		while (fmt_ordinal_next(&part.ordinals, &at, &o) == 0)
			if (store_gc_bit_set(&p->dead, &p->dead_words, o, err) != 0)
				return -1;
	}
	return 0;
}

static bool is_named(const struct gc *g, const struct gc_copy *c)
{
	const struct gc_pack *p = &g->packs.v[c->pack];

	return (p->flags & GC_WHOLE) != 0 || ((p->flags & GC_PART) != 0 &&
	    store_gc_bit(p->dead, p->dead_words, c->ordinal));
}

/*
 * An id that is needed and has a copy that the list names: it may go when one
 * that the list does not name was opened.  Else all that are named stay.
 */
static int reprieve(struct gc *g, const struct group *x, struct err *err)
{
	bool named = false;

	for (size_t i = 0; i < x->n; i++)
		named |= is_named(g, &x->v[i]);
	for (size_t i = 0; i < x->n && named; i++) {
		int r = is_named(g, &x->v[i]) ? 1 :
		    store_gc_verify(g, x->id, &x->v[i], err);

		if (r <= 0)
			return r;
	}
	for (size_t i = 0; i < x->n; i++)
		if (is_named(g, &x->v[i]) && live_copy(g, &x->v[i], err) != 0)
			return -1;
	return 0;
}

static int verdict_pass(struct gc *g, struct join *j, void *ctx,
    struct err *err)
{
	struct group x;
	int r;

	(void)ctx;
	if (apply_list(g, err) != 0)
		return -1;
	while ((r = join_next(j, &x, err)) == 0) {
		for (size_t i = 0; i < x.n; i++) {
			struct gc_pack *p = &g->packs.v[x.v[i].pack];

			if (!(p->flags & (GC_WHOLE | GC_PART)))
				continue;
			store_gc_pack_indexed(p, x.v[i].ordinal,
			    x.v[i].sealed);
			/* What the mark did not name is nobody's to drop. */
			if (!is_named(g, &x.v[i]) &&
			    live_copy(g, &x.v[i], err) != 0)
				return -1;
		}
		if (x.live && reprieve(g, &x, err) != 0)
			return -1;
	}
	return r == 1 ? 0 : r;
}

int store_gc_find_needed(struct gc *g, struct store_live *live, struct err *err)
{
	return join_all(g, store_live_sorted(live), verdict_pass, NULL, err);
}
