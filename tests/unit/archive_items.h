#ifndef TESTS_UNIT_ARCHIVE_ITEMS_H
#define TESTS_UNIT_ARCHIVE_ITEMS_H

/*
 * For the tests of the archive room: random trees as plain sorted arrays.
 */

#include "tests/unit/archive_pages.h"

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

	for (size_t i = 0; i < it->ndir; i++)
		c[i] = it->dir[i];
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

#endif
