#ifndef REPO_FORMAT_FMT_PAGE_H
#define REPO_FORMAT_FMT_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/buf.h"
#include "repo/base/bytes.h"
#include "repo/base/err.h"
#include "repo/format/fmt_entry.h"
#include "repo/format/fmt_order.h"

/*
 * Pages of the three maps (FORMAT.md 8).  One value has one encoding, so what
 * is read and written again is the same page with the same id.
 */

enum fmt_page_type {
	FMT_PAGE_CATALOG = 0x11, FMT_PAGE_STATE = 0x21, FMT_PAGE_MAP = 0x31,
};

/* A child of an inner page. */
struct fmt_child {
	const struct fmt_comp *dir; /* catalog: names; state: h */
	size_t ndir;
	struct fmt_comp name;       /* catalog: name; state: h */
	uint64_t off;               /* byte map */
	uint64_t entries;           /* of leaves below */
	uint8_t id[FMT_ID_LEN];
};

/* --- writing --------------------------------------------------------------------------*/

/*
 * A page in the making, for one thread.  Everything that goes in is encoded
 * before (fmt_entry_encode, fmt_state_entry_encode, fmt_map_encode,
 * fmt_child_encode), so that its size is known: the caller asks fmt_page_room,
 * ends the page when the rule says so, and adds.
 */
struct fmt_page_writer {
	uint8_t type, level;
	uint64_t count;      /* entries */
	struct buf b;        /* room for the page's head, then its items */
	struct fmt_written {
		size_t off, len; /* of a name in b */
		uint64_t h;
	} *dir;              /* the directory that entries now follow */
	size_t ndir, dircap;
	bool has_dir;
};

/* Make w fit for use; allocates nothing. */
void fmt_page_writer_init(struct fmt_page_writer *w);
void fmt_page_writer_release(struct fmt_page_writer *w);

/* Begin an empty page of that type and level; memory is kept. */
void fmt_page_begin(struct fmt_page_writer *w, enum fmt_page_type type,
    uint8_t level);

/* Bytes of the items so far: what the rule of cuts counts. */
size_t fmt_page_size(const struct fmt_page_writer *w);

/*
 * Bytes that the page would have after fmt_page_add of an encoded entry of
 * len bytes; the directory item and the mark that come before it are counted.
 */
size_t fmt_page_room(const struct fmt_page_writer *w,
    const struct fmt_comp *dir, size_t ndir, bool mark, size_t len);

/*
 * Append an encoded entry.  In leaves of catalog and state, dir is where it
 * is (with h filled in a state; names, and h where they are to be compared
 * quickly, in a catalog: either always or never); elsewhere it is not looked
 * at.  mark: in a state, the id of the catalog leaf that begins here, or NULL.
 * All is borrowed for the call.  Return 0, or -1 with class FULL.
 */
int fmt_page_add(struct fmt_page_writer *w, const struct fmt_comp *dir,
    size_t ndir, const uint8_t *mark, const void *enc, size_t len,
    struct err *err);

/*
 * Complete the page.  *ret_page is borrowed from w until it is used again.
 * -1 with class FULL, or BUG when it has no entry.
 */
int fmt_page_end(struct fmt_page_writer *w, const uint8_t **ret_page,
    size_t *ret_len, struct err *err);

/* Append the encoding of a byte map's run, beginning at off. */
int fmt_map_encode(struct buf *b, uint64_t off, const struct fmt_run *run,
    struct err *err);

/* Append the encoding of a child of an inner page of that type. */
int fmt_child_encode(struct buf *b, enum fmt_page_type type,
    const struct fmt_child *c, struct err *err);

/* --- reading ---------------------------------------------------------------------------*/

/*
 * A walk through a borrowed page, for one thread.  What is told is borrowed:
 * names, content and ids from the page, directories from the reader until the
 * next step.  Order is checked (all of a state and of a byte map; a catalog's
 * when the order key is given), so what is walked to its end is a page as a
 * writer makes it.
 */
struct fmt_page_reader {
	struct rd rd;
	uint8_t type, level;
	uint64_t left;       /* entries to come */
	/* The directory of the entry last told. */
	struct fmt_comp *dir;   /* catalog; h is filled with an order key */
	uint64_t *hdir;         /* state */
	size_t ndir;
	size_t kept;            /* components that the last change of directory kept */
	bool new_dir;           /* the last entry told is the first in its directory */
	const uint8_t *mark;    /* state: id of the catalog leaf it begins, or NULL */
	/* Private. */
	struct fmt_comp *dir2;
	size_t cap, hcap, cap2, ndir2;
	const uint8_t *order_key;
	struct fmt_comp last;
	uint64_t last_off;
	bool started;
};

/* Make r fit for use; allocates nothing. */
void fmt_page_reader_init(struct fmt_page_reader *r);
void fmt_page_reader_release(struct fmt_page_reader *r);

/*
 * Begin to read a page of len bytes, which must be of that type; r->level
 * tells whether it is a leaf (0).  order_key: K_ord, borrowed while r reads,
 * to fill h and check the order of a catalog; NULL: neither.  Memory of r is
 * kept from page to page.
 */
int fmt_page_open(struct fmt_page_reader *r, const void *page, size_t len,
    enum fmt_page_type type, const uint8_t *order_key, struct err *err);

/*
 * The next entry of a leaf: 0, 1 at the end (everything was in order), -1 with
 * class CORRUPT or FULL, after which r is only fit to be opened anew.  Class
 * BUG when the page is of another type or no leaf.
 */
int fmt_catalog_next(struct fmt_page_reader *r, struct fmt_entry *ret,
    struct err *err);
int fmt_state_next(struct fmt_page_reader *r, struct fmt_state_entry *ret,
    struct err *err);
int fmt_map_next(struct fmt_page_reader *r, uint64_t *ret_off,
    struct fmt_run *ret, struct err *err);

/*
 * The next child of an inner page, the same way.  In a state's child the
 * components and the name have h only.
 */
int fmt_child_next(struct fmt_page_reader *r, struct fmt_child *ret,
    struct err *err);

#endif
