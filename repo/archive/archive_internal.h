#ifndef REPO_ARCHIVE_ARCHIVE_INTERNAL_H
#define REPO_ARCHIVE_ARCHIVE_INTERNAL_H

#include "repo/archive/archive.h"
#include "repo/base/bytes.h"

/*
 * Inner pages end only with that many children, or the keys of a very deep
 * directory would fill a page each and the levels would never end.
 */
#define ARCHIVE_CHILDREN_MIN 2
/* With two children at least to a page: more levels than entries can fill. */
#define ARCHIVE_LEVELS 65
/* A blob's length is a u24. */
#define ARCHIVE_PAGE_LIMIT ((1 << 24) - 1)

/* --- paths ------------------------------------------------------------------*/

bool archive_name_eq(const struct archive_comp *a, const struct archive_comp *b);
/* The number of leading components that both have. */
size_t archive_path_common(const struct archive_path *a,
    const struct archive_path *b);

/* A path that owns its names; all zeros is the root. */
struct archive_pathbuf {
	struct archive_comp *c;
	size_t n, cap;
	char *text; /* the names behind each other */
	size_t text_len, text_cap;
};

/* Append a component; it must not lie within p. */
int archive_pathbuf_push(struct archive_pathbuf *p, const char *name, size_t len,
    uint64_t h, struct err *err);
/* Keep the first n components. */
void archive_pathbuf_cut(struct archive_pathbuf *p, size_t n);
/* Make p equal to path, of which it has the first `kept` already. */
int archive_pathbuf_set(struct archive_pathbuf *p, size_t kept,
    const struct archive_path *path, struct err *err);
struct archive_path archive_pathbuf_path(const struct archive_pathbuf *p);
void archive_pathbuf_release(struct archive_pathbuf *p);

/* --- writing ----------------------------------------------------------------*/

/* Where an entry stands. */
struct archive_place {
	const struct archive_comp *dir; /* states: h only */
	size_t ndir;
	bool new_dir;                   /* not that of the entry before */
	struct archive_comp name;
	uint64_t off;                   /* byte maps: this alone */
};

struct archive_level {
	struct fmt_page_writer w;
	uint64_t count;    /* entries of the open page; 0: none is open */
	uint64_t below;    /* leaf entries in it and under it */
	struct buf first;  /* its first key, as an inner page writes it */
	uint64_t first_c;  /* the number by which that key cuts */
	uint8_t last[32];  /* inner: its last child */
};

struct archive_tree {
	struct archive_io io;
	enum archive_kind kind;
	enum fmt_page_type type;
	uint8_t order_key[32];
	struct fmt_cutter cutter;
	bool cutter_set;   /* it knows the current directory */
	struct archive_level level[ARCHIVE_LEVELS];
	unsigned top;      /* highest level that has begun */
	struct buf child;
	/* Called with each leaf's id once it is stored; may be NULL. */
	int (*leaf_done)(void *ctx, const uint8_t id[32], struct err *err);
	void *leaf_ctx;
};

/* After a -1 from any of these a tree may only be released. */
void archive_tree_init(struct archive_tree *t, const struct archive_io *io,
    enum archive_kind kind, enum fmt_page_type type,
    const uint8_t order_key[32]);
void archive_tree_release(struct archive_tree *t);

/* End the open leaf when an entry of len encoded bytes would make it too long. */
int archive_tree_room(struct archive_tree *t, const struct archive_place *at,
    const uint8_t *mark, size_t len, struct err *err);
/* Append an entry after that, and end the leaf when its key says so. */
int archive_tree_put(struct archive_tree *t, const struct archive_place *at,
    const uint8_t *mark, const void *enc, size_t len, struct err *err);

/* True when no page is open from level 0 up to and with `level`. */
bool archive_tree_empty_to(const struct archive_tree *t, unsigned level);
/* Append a stored page of `level` that begins at `at`; empty_to(level) holds. */
int archive_tree_carry_page(struct archive_tree *t, unsigned level,
    const struct archive_place *at, uint64_t below, const uint8_t id[32],
    struct err *err);
/* Append a child to the open page of level (at least 1). */
int archive_tree_child(struct archive_tree *t, unsigned level, const void *key,
    size_t keylen, uint64_t c, uint64_t below, const uint8_t id[32],
    struct err *err);

/* Store every open page and tell the root. */
int archive_tree_root(struct archive_tree *t, struct archive_ref *ret,
    struct err *err);

/* Append the key of a place as inner pages write it. */
int archive_tree_key(struct buf *b, enum fmt_page_type type,
    const struct archive_place *at, struct err *err);

/* --- reading ----------------------------------------------------------------*/

struct archive_cursor;

/* A page within a tree; pointers are borrowed from the page above it. */
struct archive_child {
	const uint8_t *key; /* as the inner page has it; NULL for the root */
	size_t keylen;
	const uint8_t *id;
	uint64_t below;     /* leaf entries */
	unsigned level;     /* its own */
};

struct archive_cursor_ops {
	const char *name;
	enum archive_kind kind;
	enum fmt_page_type type;
	/* The order of two keys. */
	int (*key_cmp)(const struct archive_cursor *c,
	    const struct archive_child *a, const struct archive_child *b);
	/* Decode the next entry of the leaf in c->reader: 0, 1 at its end, -1. */
	int (*step)(struct archive_cursor *c, struct err *err);
	/* Where that entry is. */
	int (*place)(struct archive_cursor *c, struct archive_place *ret,
	    struct err *err);
	/* NULL, or: whether the current entry may be the first of all. */
	bool (*first)(const struct archive_cursor *c);
	/* NULL, or: the leaf's last entry is decoded and next follows it. */
	int (*last)(const struct archive_cursor *c,
	    const struct archive_child *next, struct err *err);
};

/* An open page. */
struct archive_node {
	struct buf page;
	struct archive_slot {
		uint32_t off, keylen; /* of a child in page */
		uint64_t below, before; /* leaf entries; of those to its left */
	} *slot;               /* inner: its children */
	size_t nslot, slotcap;
	size_t which;          /* loaded as that child of the page above */
	bool loaded;           /* and looked through, below that very page */
	size_t i;              /* inner: the current child; leaf: entry */
	size_t told, window;   /* inner: children before `told` were told ahead */
	size_t last;           /* inner: the child that was opened last */
};

struct archive_cursor {
	struct archive_io io;
	const struct archive_cursor_ops *ops;
	uint8_t order_key[32];
	bool has_order_key;
	struct archive_ref root;
	struct archive_node node[ARCHIVE_LEVELS];
	struct fmt_page_reader reader; /* of the leaf */
	struct buf key;
	unsigned low;  /* lowest open level; root.level + 1: none is open */
	bool end;
	bool given;    /* the current entry was told */
	bool broken;   /* the last step failed */
	bool seeking;  /* on the way to one place */
};

enum archive_where { ARCHIVE_AT_PAGE, ARCHIVE_AT_ENTRY, ARCHIVE_AT_END };

/* Begin before the root, which is not read.  order_key may be NULL. */
int archive_cursor_init(struct archive_cursor *c, const struct archive_io *io,
    const struct archive_cursor_ops *ops, const uint8_t *order_key,
    const struct archive_ref *root, struct err *err);
void archive_cursor_release(struct archive_cursor *c);
/* Go back before the root. */
void archive_cursor_rewind(struct archive_cursor *c);

enum archive_where archive_cursor_where(const struct archive_cursor *c);
/* The page that c stands before (ARCHIVE_AT_PAGE). */
struct archive_child archive_cursor_child(const struct archive_cursor *c);
/* The page of `level` that c stands before or in. */
struct archive_child archive_cursor_at(const struct archive_cursor *c,
    unsigned level);

/*
 * Read the page that c stands before; c stands at its first child or entry
 * then.  After -1 c stands where it stood: open may be tried again.
 */
int archive_cursor_open(struct archive_cursor *c, struct err *err);
/*
 * Go behind the current page or entry.  0; 1 at the end; -1 when there is no
 * memory: c then stands before the leaf that it was in.
 */
int archive_cursor_skip(struct archive_cursor *c, struct err *err);
/*
 * The first page behind the current one of `level`, at that level or above.
 * False when nothing is behind it.
 */
bool archive_cursor_bound(const struct archive_cursor *c, unsigned level,
    struct archive_child *ret_next);

/* To the next entry that was not told: 0, 1 at the end, -1. */
int archive_cursor_next(struct archive_cursor *c, struct err *err);
/*
 * Go down to the first entry of the last leaf whose key is not greater than
 * what cmp(arg, child) compares with (<0: the child's key is less).
 */
int archive_cursor_seek(struct archive_cursor *c,
    int (*cmp)(void *arg, const struct archive_child *child), void *arg,
    struct err *err);
/* How many leaf entries come before where c stands. */
uint64_t archive_cursor_tell(const struct archive_cursor *c);
/* Go before the nth entry (from 0), or to the end. */
int archive_cursor_seek_nth(struct archive_cursor *c, uint64_t nth,
    struct err *err);
/* Go on behind what could not be read.  0, or 1 when nothing follows. */
int archive_cursor_skip_damage(struct archive_cursor *c, struct err *err);

/* --- readers from within ------------------------------------------------------*/

struct archive_catalog {
	struct archive_cursor cur; /* first: the steps get it */
	struct fmt_entry entry;    /* the current one, in the leaf's page */
};

/* The directory of the current entry. */
struct archive_path archive_catalog_dir(const struct archive_catalog *c);

/* The cursor within a reader, and the entry on which it stands. */
struct archive_cursor *archive_map_cursor(struct archive_map *m);
const struct fmt_run *archive_map_current(const struct archive_cursor *c);
/* Where the current run begins; where the page does before which m stands. */
uint64_t archive_map_at(const struct archive_map *m);
uint64_t archive_map_page_begin(const struct archive_map *m);
struct archive_cursor *archive_state_cursor(struct archive_state *s);
const struct fmt_state_entry *archive_state_current(
    const struct archive_cursor *c);

/*
 * The order of a child's key and a place in the catalog; a NULL name is less
 * than every other.
 */
int archive_key_place_cmp(const uint8_t order_key[32],
    const struct archive_child *child, const struct archive_path *dir,
    const struct archive_comp *name);
/* The order of two children's keys, in a catalog and in a state. */
int archive_key_cmp(const uint8_t order_key[32],
    const struct archive_child *a, const struct archive_child *b);
int archive_key_state_cmp(const struct archive_child *a,
    const struct archive_child *b);

#endif
