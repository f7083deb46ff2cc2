#ifndef REPO_ARCHIVE_ARCHIVE_H
#define REPO_ARCHIVE_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/buf.h"
#include "repo/base/err.h"
#include "repo/format/fmt_page.h"

/*
 * The ordered maps of a snapshot (FORMAT.md 8): catalog and state of a tree,
 * byte map of a block volume or long file.  Pages come and go through two
 * callbacks, so that nothing here knows packs.  Nothing here is for more than
 * one thread at a time; memory does not grow with the number of entries: a
 * cursor holds one page a level, a writer one open page a level.
 */

struct archive_ref {
	uint8_t id[32];  /* zeros: no entries */
	uint8_t level;
	uint64_t entries;
};

enum archive_kind { ARCHIVE_CATALOG = 2, ARCHIVE_STATE = 3 };

struct archive_io {
	/* Replace ret_page's content by the page.  0, or -1 (also when missing). */
	int (*get)(void *ctx, enum archive_kind kind, const uint8_t id[32],
	    struct buf *ret_page, struct err *err);
	/* Store a page.  page is borrowed for the call. */
	int (*put)(void *ctx, enum archive_kind kind, const void *page,
	    size_t len, uint8_t ret_id[32], struct err *err);
	void *ctx;
	/* These n pages will probably be got next, in this order; may be NULL. */
	void (*ahead)(void *ctx, enum archive_kind kind,
	    const uint8_t (*ids)[32], size_t n);
};
#define ARCHIVE_AHEAD 64 /* pages that `ahead` is told of at once, at most */

/*
 * One component of a path (name, len), with its keyed hash h (fmt_name_hash):
 * what pages are made of, by this room's name.
 */
#define archive_comp fmt_comp

/* The path of a directory below the root; n = 0 is the root itself. */
struct archive_path {
	const struct archive_comp *c;
	size_t n;
};

/* Order of two names, and of two directories' paths: <0, 0, >0 (FORMAT.md 8). */
int archive_name_cmp(const struct archive_comp *a, const struct archive_comp *b);
int archive_path_cmp(const struct archive_path *a, const struct archive_path *b);

/* --- writing a tree: catalog and state together --------------------------------*/

struct archive_tree_writer;

/*
 * Begin a catalog and its state.  order_key: K_ord, 32 bytes, copied.  io is
 * copied; its ctx must live as long.
 */
struct archive_tree_writer *archive_tree_begin(const struct archive_io *io,
    const uint8_t order_key[32], struct err *err);
void archive_tree_free(struct archive_tree_writer *w); /* NULL is fine */

struct archive_tree_entry {
	struct archive_path dir;      /* where it is */
	struct archive_comp name;     /* len 0 for the root's own entry */
	struct fmt_entry entry;       /* what the catalog says; its name is ignored */
	uint8_t digest[16];
	bool no_carry;                /* not to be carried over next time */
	/*
	 * The content ends early and the digest is of the whole file: who meets
	 * the same digest may go on behind it.
	 */
	bool partial;
	/*
	 * Left out of the state (equal hashes).  The leaf it falls in is
	 * marked by zeros in the state: it cannot be carried over, for what is
	 * left out could not be looked at.
	 */
	bool no_state;
};

/*
 * Append an entry, greater than all before it (class BUG otherwise).  All is
 * borrowed for the call.
 */
int archive_tree_add(struct archive_tree_writer *w,
    const struct archive_tree_entry *e, struct err *err);

/* Return true when the next entry will begin a catalog leaf. */
bool archive_tree_at_cut(const struct archive_tree_writer *w);

/*
 * Append a whole catalog leaf of the parent, unread: its page id, as the
 * parent's state marks it (not zeros), and each of its entries' place, name
 * and state entry, in order.  Class BUG unless archive_tree_at_cut.
 */
struct archive_carried {
	struct archive_path dir;
	struct archive_comp name;
	const struct fmt_state_entry *state; /* digest, bits, content as read */
};
int archive_tree_carry(struct archive_tree_writer *w, const uint8_t leaf[32],
    const struct archive_carried *v, size_t n, struct err *err);

/*
 * Return true when a leaf that is long enough ends after this entry by its
 * key.  A leaf of the parent that did not end so ended because nothing
 * followed, or nothing that had room.  Carried all the same it makes a tree
 * that is right, but equal to one written entry by entry only when what comes
 * next is what came next in the parent.
 */
bool archive_tree_cuts_after(struct archive_tree_writer *w,
    const struct archive_path *dir, const struct archive_comp *name);

/* Write what is open and tell both roots.  w may only be freed after. */
int archive_tree_finish(struct archive_tree_writer *w,
    struct archive_ref *ret_catalog, struct archive_ref *ret_state,
    struct err *err);

/* --- reading a catalog -------------------------------------------------------------*/

struct archive_catalog;

/* A cursor before the first entry. */
struct archive_catalog *archive_catalog_open(const struct archive_io *io,
    const uint8_t order_key[32], const struct archive_ref *root,
    struct err *err);
void archive_catalog_close(struct archive_catalog *c);

/*
 * Step to the next entry.  Return 0 with *ret_dir and *ret_entry borrowed
 * until the next call on c; 1 at the end; -1 with err.  The hashes in ret_dir
 * are filled.
 */
int archive_catalog_next(struct archive_catalog *c, struct archive_path *ret_dir,
    struct fmt_entry *ret_entry, struct err *err);

/*
 * Go before the first entry that is not less than (dir, name); a NULL name is
 * less than every name.  The hashes of dir and name must be filled.
 */
int archive_catalog_seek(struct archive_catalog *c,
    const struct archive_path *dir, const struct archive_comp *name,
    struct err *err);

/*
 * Entries have numbers, from 0 in order: a name for one that is as lasting as
 * the catalog.  tell: the number of the entry that next told last, or before
 * which a seek went.  seek_nth: go before the entry of that number, or to the
 * end when there is none.  Seeks near the last place read few pages anew.
 */
uint64_t archive_catalog_tell(const struct archive_catalog *c);
int archive_catalog_seek_nth(struct archive_catalog *c, uint64_t nth,
    struct err *err);

/* Let next tell once more what it told last. */
void archive_catalog_again(struct archive_catalog *c);

/*
 * After a page could not be read (next returned -1): go on behind it.  The
 * caller has told the damage.  Return 0, or 1 when nothing follows.
 */
int archive_catalog_skip_damage(struct archive_catalog *c, struct err *err);

/* The path of "a/b/c" as components in an owned array; "" and "." are root. */
struct archive_lookup_path {
	struct archive_comp *c; /* names borrowed from the text given */
	size_t n;
};
int archive_path_parse(const uint8_t order_key[32], const char *text, size_t len,
    struct archive_lookup_path *ret, struct err *err);
void archive_path_release(struct archive_lookup_path *p);

/*
 * Call fn for each difference between two catalogs of the same order key, in
 * order: (a, NULL) removed, (NULL, b) added, (a, b) changed.  Equal pages are
 * skipped unread.  Entries are compared whole: an equal encoding is no
 * difference.  Return 0, fn's non-zero value, or -1.
 */
int archive_catalog_diff(const struct archive_io *io,
    const uint8_t order_key[32], const struct archive_ref *a,
    const struct archive_ref *b,
    int (*fn)(void *ctx, const struct archive_path *dir,
        const struct fmt_entry *a, const struct fmt_entry *b, struct err *err),
    void *ctx, struct err *err);

/* --- reading a state ---------------------------------------------------------------*/

struct archive_state;

struct archive_state_item {
	const uint64_t *dir;  /* hashes of the directory's components */
	size_t ndir;
	struct fmt_state_entry entry;
	/*
	 * A catalog leaf begins here: its id, zeros when it cannot be carried
	 * over; else NULL.
	 */
	const uint8_t *leaf;
};

struct archive_state *archive_state_open(const struct archive_io *io,
    const struct archive_ref *root, struct err *err);
void archive_state_close(struct archive_state *s);
/*
 * 0 with *ret_item borrowed until the next call; 1 at the end; -1.  Two
 * entries of the state are in order by (dir, name hash), as in the catalog.
 */
int archive_state_next(struct archive_state *s,
    struct archive_state_item *ret_item, struct err *err);
/*
 * Go before the first entry that is greater than the place of an entry: the
 * hashes of its directory's ndir components, and of its name.  0 or -1.
 */
int archive_state_seek_behind(struct archive_state *s, const uint64_t *dir,
    size_t ndir, uint64_t h, struct err *err);

/* --- byte maps -----------------------------------------------------------------------*/

struct archive_map_writer;

struct archive_map_writer *archive_map_begin(const struct archive_io *io,
    const uint8_t order_key[32], struct err *err);
void archive_map_free(struct archive_map_writer *w);
/* Append a run at the end of what is there.  Its length is not 0. */
int archive_map_add(struct archive_map_writer *w, const struct fmt_run *run,
    struct err *err);
/* Return the offset at which the next run begins, bytes. */
uint64_t archive_map_tell(const struct archive_map_writer *w);
int archive_map_finish(struct archive_map_writer *w,
    struct archive_ref *ret_root, struct err *err);

struct archive_map;

struct archive_map *archive_map_open(const struct archive_io *io,
    const struct archive_ref *root, struct err *err);
void archive_map_close(struct archive_map *m);
/* 0 with the next run and its offset, 1 at the end, -1. */
int archive_map_next(struct archive_map *m, uint64_t *ret_off,
    struct fmt_run *ret_run, struct err *err);
/* Go before the run that holds byte off (or to the end). */
int archive_map_seek(struct archive_map *m, uint64_t off, struct err *err);
/* As archive_catalog_skip_damage; the next run's offset tells the gap. */
int archive_map_skip_damage(struct archive_map *m, struct err *err);

/*
 * Carry over whole pages: while the writer stands at a cut and m stands at the
 * first run of a page that ends at or before `end`, append that page (of the
 * highest level possible) unread and move m behind it.  The map's own offset
 * and the writer's must be equal (class BUG).  *ret_end is where both stand
 * then.  Return 0, also when nothing could be carried.
 *
 * The last page of a map is never carried: it ended because nothing followed.
 * So the map is always the one that the same runs make when added one by one,
 * and the caller adds what is left by archive_map_next and archive_map_add.
 */
int archive_map_carry(struct archive_map_writer *w, struct archive_map *m,
    uint64_t end, uint64_t *ret_end, struct err *err);

/* --- everything that is reached ----------------------------------------------------------*/

/*
 * Call fn for each blob that a map needs: its pages (top first), and chunks,
 * bundles and the pages of long content lists.  For a page, fn returns 1 to
 * leave out what is below it (it was seen before); -1 with err ends the walk.
 * kind as in FORMAT.md 4.  dir and entry are for messages: of a chunk and of
 * a long list's page, the file; of a catalog's page, dir is the directory in
 * which it begins (NULL for the root) and entry NULL; of states and byte maps
 * both are NULL.  A page that cannot be read, whatever the reason, is told to
 * bad and the walk goes on when that returns 0.  Return 0 or -1.
 */
struct archive_walk {
	int (*fn)(void *ctx, uint8_t kind, const uint8_t id[32], bool page,
	    const struct archive_path *dir, const struct fmt_entry *entry,
	    struct err *err);
	int (*bad)(void *ctx, uint8_t kind, const uint8_t id[32],
	    const struct archive_path *dir, const struct fmt_entry *entry,
	    const struct err *why, struct err *err);
	void *ctx;
};
int archive_walk_catalog(const struct archive_io *io,
    const uint8_t order_key[32], const struct archive_ref *root,
    const struct archive_walk *walk, struct err *err);
int archive_walk_state(const struct archive_io *io,
    const struct archive_ref *root, const struct archive_walk *walk,
    struct err *err);
int archive_walk_map(const struct archive_io *io,
    const struct archive_ref *root, const struct archive_walk *walk,
    struct err *err);

#endif
