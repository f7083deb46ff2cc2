#ifndef REPO_FORMAT_FMT_ENTRY_H
#define REPO_FORMAT_FMT_ENTRY_H

#include <stdint.h>

#include "repo/base/buf.h"
#include "repo/base/err.h"
#include "repo/format/fmt_object.h"
#include "repo/format/fmt_order.h"

/*
 * What stands in the leaves of the maps (FORMAT.md 8): entries and content.
 * All pointers are borrowed.
 */

/* --- runs and content ----------------------------------------------------------------*/

enum fmt_run_kind { FMT_RUN_HOLE = 0, FMT_RUN_ZEROS = 1, FMT_RUN_CHUNK = 2 };

struct fmt_run {
	uint8_t kind;           /* enum fmt_run_kind */
	uint64_t len;           /* bytes, never 0; a chunk's plain length */
	uint8_t id[FMT_ID_LEN]; /* of a chunk */
};

/* Append a run to a list; take the first one off (0, or 1 at the end). */
void fmt_list_add_run(struct fmt_list_buf *l, const struct fmt_run *run);
int fmt_run_next(struct fmt_list *l, struct fmt_run *ret);

enum fmt_content_kind {
	FMT_CONTENT_HOLE = 0, FMT_CONTENT_INLINE = 1, FMT_CONTENT_SLICE = 2,
	FMT_CONTENT_RUNS = 3, FMT_CONTENT_MAP = 4,
};

struct fmt_content {
	uint8_t kind;             /* enum fmt_content_kind */
	uint64_t size;            /* bytes of the file */
	const uint8_t *bytes;     /* inline: size of them; NULL in a state */
	const uint8_t *id;        /* slice: the chunk; map: its top page; 32 bytes */
	uint32_t chunk_len;       /* slice: plain length of the chunk */
	uint32_t off;             /* slice: where in it the size bytes begin */
	struct fmt_list runs;     /* runs: fmt_run_next */
	uint8_t level;            /* map: of its top page */
	uint64_t entries;         /* map */
};

/* --- an entry of a catalog --------------------------------------------------------------*/

enum fmt_type {
	FMT_FILE = 1, FMT_DIRECTORY, FMT_SYMLINK, FMT_CHAR_DEVICE,
	FMT_BLOCK_DEVICE, FMT_FIFO, FMT_SOCKET,
};

enum fmt_entry_bit {
	FMT_HAS_LINKS = 1, FMT_HAS_XATTRS = 2, FMT_HAS_FLAGS = 4,
	FMT_HAS_PROJECT = 8, FMT_HAS_TARGET = 16, FMT_HAS_DEVICE = 32,
	FMT_HAS_CONTENT = 64, FMT_CHANGED = 128, FMT_UNREAD = 256,
};

/* What bits do not name is neither written nor, once decoded, anything but 0. */
struct fmt_entry {
	struct fmt_comp name;     /* len 0: the root's own entry */
	uint8_t type;             /* enum fmt_type */
	uint32_t bits;            /* enum fmt_entry_bit, or-ed */
	uint32_t mode;            /* 07777 and less */
	uint32_t uid, gid;
	int64_t mtime_s, ctime_s;
	uint32_t mtime_ns, ctime_ns; /* below 10^9 */
	uint64_t device, inode;   /* FMT_HAS_LINKS */
	struct fmt_list xattrs;   /* FMT_HAS_XATTRS: fmt_xattr_next */
	uint32_t flags;           /* FMT_HAS_FLAGS */
	uint32_t project;         /* FMT_HAS_PROJECT */
	struct fmt_str target;    /* FMT_HAS_TARGET: symbolic links only */
	uint32_t major, minor;    /* FMT_HAS_DEVICE: devices only */
	struct fmt_content content; /* FMT_HAS_CONTENT: files only */
	const uint8_t *raw;       /* as decoded: its encoding, which fmt_entry_encode */
	size_t raw_len;           /* gives again; not looked at by that */
};

/* Names are to ascend by bytes, without equals. */
void fmt_list_add_xattr(struct fmt_list_buf *l, struct fmt_str name,
    struct fmt_str value);
int fmt_xattr_next(struct fmt_list *l, struct fmt_str *ret_name,
    struct fmt_str *ret_value);

/*
 * Append the item of an entry, its leading 2 included, as fmt_page_add takes
 * it.  Return 0, or -1: FULL; BUG when the entry cannot be read back (what a
 * decoder refuses, this refuses).  Nothing is appended then.
 */
int fmt_entry_encode(struct buf *b, const struct fmt_entry *e,
    struct err *err);

/* --- an entry of a state ------------------------------------------------------------------*/

enum fmt_state_bit {
	FMT_NO_CARRY = 1,
	FMT_STATE_PARTIAL = 2, /* the content ends early; with both others only */
	FMT_STATE_CONTENT = 64,
};

struct fmt_state_entry {
	uint64_t h;                  /* of the name; 0 for the root's own entry */
	uint8_t type;                /* enum fmt_type */
	uint8_t bits;                /* enum fmt_state_bit, or-ed */
	uint8_t digest[FMT_DIGEST_LEN];
	struct fmt_content content;  /* FMT_STATE_CONTENT: files only */
};
/* As fmt_entry_encode; inline bytes are left out. */
int fmt_state_entry_encode(struct buf *b, const struct fmt_state_entry *e,
    struct err *err);

#endif
