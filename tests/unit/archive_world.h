#ifndef TESTS_UNIT_ARCHIVE_WORLD_H
#define TESTS_UNIT_ARCHIVE_WORLD_H

/*
 * What the tests of the archive room share: pages in memory, random trees as
 * plain sorted arrays, and what their entries contain.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/archive/archive.h"
#include "repo/base/bytes.h"
#include "repo/crypto/crypto.h"

static const uint8_t world_key[32] = "the key of order in these tests";

#define OK(call) world_ok((call), &err, #call, __LINE__)

static inline void world_ok(int r, const struct err *err, const char *what,
    int line)
{
	if (r != 0)
		fail_msg("line %d: %s gave %d: %s", line, what, r, err->msg);
}

/* --- randomness that can be repeated -------------------------------------------*/

static uint64_t world_seed = 1;

static inline uint64_t rnd(void)
{
	uint64_t z = (world_seed += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static inline uint64_t below(uint64_t n)
{
	return rnd() % n;
}

/* --- pages in memory ------------------------------------------------------------*/

struct world_page {
	uint8_t id[32];
	uint8_t kind;
	uint8_t *p;
	size_t len;
	bool gone;     /* was lost */
	bool fresh;    /* new since world_old */
};

struct world_pages {
	struct world_page *slot;
	size_t n, cap;
	uint64_t gets, puts;
	bool no_catalog; /* a credential that cannot read catalogs */
	size_t largest;
};

static inline struct world_page *world_find(struct world_pages *w,
    const uint8_t *id)
{
	size_t i = le64_get(id) & (w->cap - 1);

	while (w->slot[i].p != NULL && memcmp(w->slot[i].id, id, 32) != 0)
		i = (i + 1) & (w->cap - 1);
	return &w->slot[i];
}

static inline void world_grow(struct world_pages *w)
{
	struct world_pages big = *w;

	big.cap = w->cap ? w->cap * 2 : 1024;
	big.slot = calloc(big.cap, sizeof(*big.slot));
	assert_non_null(big.slot);
	for (size_t i = 0; i < w->cap; i++) {
		if (w->slot[i].p != NULL)
			*world_find(&big, w->slot[i].id) = w->slot[i];
	}
	free(w->slot);
	*w = big;
}

static inline int world_get(void *ctx, enum archive_kind kind,
    const uint8_t id[32], struct buf *ret_page, struct err *err)
{
	struct world_pages *w = ctx;
	struct world_page *p = w->cap ? world_find(w, id) : NULL;

	w->gets++;
	if (p == NULL || p->p == NULL || p->gone)
		return err_set(err, ERR_CORRUPT, "no such page");
	assert_int_equal(p->kind, kind);
	if (w->no_catalog && kind == ARCHIVE_CATALOG)
		return err_set(err, ERR_AUTH, "a catalog may not be read");
	buf_reset(ret_page);
	buf_add(ret_page, p->p, p->len);
	return buf_check(ret_page, "a page", err);
}

static inline int world_put(void *ctx, enum archive_kind kind, const void *page,
    size_t len, uint8_t ret_id[32], struct err *err)
{
	struct world_pages *w = ctx;
	struct world_page *p;

	(void)err;
	w->puts++;
	if (len > w->largest)
		w->largest = len;
	crypto_sha256(ret_id, page, len);
	ret_id[31] = (uint8_t)kind;
	if (w->n * 2 >= w->cap)
		world_grow(w);
	p = world_find(w, ret_id);
	if (p->p != NULL)
		return 0;
	memcpy(p->id, ret_id, 32);
	p->kind = (uint8_t)kind;
	p->p = malloc(len);
	assert_non_null(p->p);
	memcpy(p->p, page, len);
	p->len = len;
	p->fresh = true;
	w->n++;
	return 0;
}

static inline struct archive_io world_io(struct world_pages *w)
{
	return (struct archive_io){ .get = world_get, .put = world_put, .ctx = w };
}

/* From now on what comes is new. */
static inline void world_old(struct world_pages *w)
{
	for (size_t i = 0; i < w->cap; i++)
		w->slot[i].fresh = false;
}

static inline size_t world_fresh(const struct world_pages *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->cap; i++)
		n += w->slot[i].p != NULL && w->slot[i].fresh;
	return n;
}

static inline void world_release(struct world_pages *w)
{
	for (size_t i = 0; i < w->cap; i++)
		free(w->slot[i].p);
	free(w->slot);
	*w = (struct world_pages){ 0 };
}

/* --- trees as arrays ---------------------------------------------------------------*/

struct item {
	struct archive_comp *dir;
	size_t ndir;
	struct archive_comp name;
	uint8_t type;
	uint64_t version; /* what it contains follows from this */
	bool no_state, no_carry;
};

struct tree {
	struct item *v;
	size_t n, cap;
};

/* Everything that trees point to lives until the program ends its test. */
static void **world_kept;
static size_t world_nkept, world_keptcap;

static inline void *keep(size_t len)
{
	void *p = calloc(1, len ? len : 1);

	assert_non_null(p);
	if (world_nkept == world_keptcap) {
		world_keptcap = world_keptcap ? world_keptcap * 2 : 1024;
		world_kept = realloc(world_kept,
		    world_keptcap * sizeof(*world_kept));
		assert_non_null(world_kept);
	}
	return world_kept[world_nkept++] = p;
}

static inline void world_forget(void)
{
	for (size_t i = 0; i < world_nkept; i++)
		free(world_kept[i]);
	free(world_kept);
	world_kept = NULL;
	world_nkept = world_keptcap = 0;
}

static inline struct archive_comp comp(const void *name, size_t len)
{
	char *p = keep(len + 1);

	memcpy(p, name, len);
	return (struct archive_comp){
		.name = p, .len = len, .h = fmt_name_hash(world_key, p, len),
	};
}

/* A name of any bytes but / and NUL; long ones are rare. */
static inline struct archive_comp random_name(void)
{
	uint8_t b[255];
	size_t len = 1 + below(below(50) == 0 ? 255 : 14);

	for (size_t i = 0; i < len; i++) {
		do
			b[i] = (uint8_t)rnd();
		while (b[i] == '/' || b[i] == 0);
	}
	if (len <= 2 && b[0] == '.')
		b[0] = 'x';
	return comp(b, len);
}

static inline struct archive_path dir_of(const struct item *it)
{
	return (struct archive_path){ .c = it->dir, .n = it->ndir };
}

static inline int item_cmp(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	struct archive_path dx = dir_of(x), dy = dir_of(y);
	int r = archive_path_cmp(&dx, &dy);

	return r ? r : archive_name_cmp(&x->name, &y->name);
}

static inline struct item *tree_push(struct tree *t, struct archive_comp *dir,
    size_t ndir, struct archive_comp name, uint8_t type)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 256;
		t->v = realloc(t->v, t->cap * sizeof(*t->v));
		assert_non_null(t->v);
	}
	t->v[t->n] = (struct item){
		.dir = dir, .ndir = ndir, .name = name, .type = type,
		.version = rnd(),
	};
	return &t->v[t->n++];
}

static inline void tree_sort(struct tree *t)
{
	size_t n = 0;

	qsort(t->v, t->n, sizeof(*t->v), item_cmp);
	for (size_t i = 0; i < t->n; i++) {
		if (n == 0 || item_cmp(&t->v[n - 1], &t->v[i]) != 0)
			t->v[n++] = t->v[i];
	}
	t->n = n;
}

/* The path of a directory that is the item `it`. */
static inline struct archive_comp *path_below(const struct item *it)
{
	struct archive_comp *c = keep((it->ndir + 1) * sizeof(*c));

	memcpy(c, it->dir, it->ndir * sizeof(*c));
	c[it->ndir] = it->name;
	return c;
}

/* A tree of about n entries; its root's own entry is the first. */
static inline struct tree random_tree(size_t n)
{
	struct tree t = { 0 };
	struct archive_comp none = { .name = "", .len = 0, .h = 0 };

	tree_push(&t, NULL, 0, none, FMT_DIRECTORY);
	for (size_t at = 0; t.n < n; at = below(t.n)) {
		struct item dir = t.v[at];
		struct archive_comp *path;
		size_t ndir, kids = 1 + below(below(20) == 0 ? 2000 : 40);

		if (dir.type != FMT_DIRECTORY)
			continue;
		path = dir.name.len ? path_below(&dir) : NULL;
		ndir = dir.name.len ? dir.ndir + 1 : 0;
		for (size_t i = 0; i < kids && t.n < n; i++) {
			static const uint8_t types[8] = {
				FMT_FILE, FMT_FILE, FMT_FILE, FMT_FILE,
				FMT_FILE, FMT_DIRECTORY, FMT_SYMLINK, FMT_FIFO,
			};

			tree_push(&t, path, ndir, random_name(),
			    types[below(8)]);
		}
	}
	tree_sort(&t);
	return t;
}

static inline struct tree tree_copy(const struct tree *t)
{
	struct tree c = { .n = t->n, .cap = t->n };

	c.v = malloc(t->n * sizeof(*c.v) + 1);
	assert_non_null(c.v);
	memcpy(c.v, t->v, t->n * sizeof(*c.v));
	return c;
}

static inline void tree_drop(struct tree *t, size_t at)
{
	memmove(t->v + at, t->v + at + 1, (--t->n - at) * sizeof(*t->v));
}

/* Change, remove and add; the tree stays sorted. */
static inline void random_edits(struct tree *t, size_t edits)
{
	for (size_t i = 0; i < edits; i++) {
		size_t at = t->n > 1 ? 1 + below(t->n - 1) : 0;
		struct item *it = &t->v[at];

		switch (below(3)) {
		case 0:
			it->version = rnd();
			break;
		case 1:
			if (at > 0)
				tree_drop(t, at);
			break;
		default:
			tree_push(t, it->dir, it->ndir, random_name(), FMT_FILE);
		}
	}
	tree_sort(t);
}

/* --- what entries contain ------------------------------------------------------------*/

/* Memory for one entry's lists. */
struct scratch {
	uint8_t bytes[2048];
	uint8_t id[32];
	struct fmt_list_buf runs, xattrs;
};

static inline void scratch_release(struct scratch *s)
{
	fmt_list_release(&s->runs);
	fmt_list_release(&s->xattrs);
}

static inline void fill_content(struct fmt_content *c, uint64_t v,
    struct scratch *s)
{
	for (size_t i = 0; i < 32; i += 8)
		le64_put(s->id + i, v ^ i);
	*c = (struct fmt_content){ 0 };
	switch (v % 5) {
	case 0:
		c->kind = FMT_CONTENT_HOLE;
		c->size = v % 7777;
		break;
	case 1:
		c->kind = FMT_CONTENT_INLINE;
		c->size = v % (v % 11 == 0 ? sizeof(s->bytes) : 100);
		memset(s->bytes, (int)(v >> 8), (size_t)c->size);
		c->bytes = s->bytes;
		break;
	case 2:
		c->kind = FMT_CONTENT_SLICE;
		c->size = 1 + v % 1000;
		c->id = s->id;
		c->chunk_len = 100000;
		c->off = (uint32_t)(v >> 16) % 90000;
		break;
	case 3:
		c->kind = FMT_CONTENT_RUNS;
		s->runs.n = 0;
		buf_reset(&s->runs.b);
		for (uint64_t i = 0; i < 1 + v % 9; i++) {
			struct fmt_run run = {
				.kind = (uint8_t)((v >> i) % 3),
				.len = 1 + (v >> i) % 100000,
			};

			if (run.kind == FMT_RUN_CHUNK) {
				memcpy(run.id, s->id, 32);
				run.id[0] = (uint8_t)i;
			}
			fmt_list_add_run(&s->runs, &run);
			c->size += run.len;
		}
		c->runs = fmt_list_of(&s->runs);
		break;
	default:
		c->kind = FMT_CONTENT_SLICE;
		c->size = 9;
		c->id = s->id;
		c->chunk_len = 9;
	}
}

static inline void fill_entry(struct fmt_entry *e, const struct item *it,
    struct scratch *s)
{
	uint64_t v = it->version;

	*e = (struct fmt_entry){
		.name = it->name, .type = it->type,
		.mode = 0755, .uid = (uint32_t)v % 3, .gid = 100,
		.mtime_s = (int64_t)(v >> 20), .mtime_ns = (uint32_t)v % 1000,
		.ctime_s = (int64_t)(v >> 21), .ctime_ns = (uint32_t)v % 999,
	};
	if (it->type == FMT_SYMLINK) {
		e->bits |= FMT_HAS_TARGET;
		e->target = fmt_str("../elsewhere");
	}
	if (v % 17 == 0) {
		e->bits |= FMT_HAS_XATTRS;
		s->xattrs.n = 0;
		buf_reset(&s->xattrs.b);
		fmt_list_add_xattr(&s->xattrs, fmt_str("user.a"),
		    fmt_str("value"));
		e->xattrs = fmt_list_of(&s->xattrs);
	}
	if (it->type == FMT_FILE) {
		e->bits |= FMT_HAS_CONTENT;
		fill_content(&e->content, v, s);
	}
}

static inline void add_item(struct archive_tree_writer *w, const struct item *it)
{
	struct scratch s = { .runs = FMT_LIST_BUF_INIT };
	struct archive_tree_entry e = {
		.dir = dir_of(it), .name = it->name,
		.no_state = it->no_state, .no_carry = it->no_carry,
	};
	struct err err = ERR_INIT;

	fill_entry(&e.entry, it, &s);
	le64_put(e.digest, it->version);
	OK(archive_tree_add(w, &e, &err));
	scratch_release(&s);
}

struct roots {
	struct archive_ref cat, state;
};

/* Write a tree entry by entry. */
static inline struct roots write_tree(struct world_pages *w,
    const struct tree *t)
{
	struct archive_io io = world_io(w);
	struct err err = ERR_INIT;
	struct archive_tree_writer *tw = archive_tree_begin(&io, world_key, &err);
	struct roots r;

	assert_non_null(tw);
	for (size_t i = 0; i < t->n; i++)
		add_item(tw, &t->v[i]);
	OK(archive_tree_finish(tw, &r.cat, &r.state, &err));
	archive_tree_free(tw);
	return r;
}

static inline void assert_ref_equal(const struct archive_ref *a,
    const struct archive_ref *b)
{
	assert_int_equal(a->level, b->level);
	assert_int_equal(a->entries, b->entries);
	assert_memory_equal(a->id, b->id, 32);
}

/* The entry told is the item, in every byte. */
static inline void assert_is_item(const struct archive_path *dir,
    const struct fmt_entry *e, const struct item *it)
{
	struct scratch s = { .runs = FMT_LIST_BUF_INIT };
	struct archive_path want = dir_of(it);
	struct fmt_entry full;
	struct buf a = BUF_INIT;
	struct err err = ERR_INIT;

	assert_int_equal(dir->n, want.n);
	assert_int_equal(archive_path_cmp(dir, &want), 0);
	fill_entry(&full, it, &s);
	OK(fmt_entry_encode(&a, &full, &err));
	assert_int_equal(a.len, e->raw_len);
	assert_memory_equal(a.p, e->raw, a.len);
	assert_int_equal(e->name.h, it->name.h);
	buf_release(&a);
	scratch_release(&s);
}

#endif
