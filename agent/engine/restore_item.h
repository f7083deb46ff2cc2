#ifndef AGENT_ENGINE_RESTORE_ITEM_H
#define AGENT_ENGINE_RESTORE_ITEM_H

#include <stdatomic.h>

#include "agent/engine/dirs.h"
#include "agent/engine/fetch.h"
#include "agent/engine/view.h"

/* One entry that is restored, and what makes it. */

/* Flags of a file that a backup keeps (FS_*_FL), as agent/engine/item.c says. */
#define RESTORE_FLAGS (0xffu | 0x400u | 0x4000u | 0x38000u | 0x800000u | \
    0x2000000u | 0x20000000u)

struct restore;
struct redge;

enum restore_how {
	HOW_CREATE,   /* it does not exist */
	HOW_REPLACE,  /* what is there goes first */
	HOW_UPDATE,   /* write what differs into the file that is there */
	HOW_OVERWRITE, /* write all, whatever is there (a device) */
	HOW_SAME,     /* only its metadata is looked at */
	HOW_VERIFY,   /* nothing is written */
	HOW_SKIP,     /* it was reported, or is not wanted */
};

struct ritem {
	struct ritem *next;      /* of its batch, or of the links of a window */
	struct restore *r;
	struct dir *dir;
	atomic_uint parts;       /* needs not told yet, and the planner's hold */

	/* From the entry; pointers into the item. */
	uint8_t type;            /* enum fmt_type */
	uint8_t how;             /* enum restore_how */
	bool whole;              /* one need brings all bytes */
	uint32_t bits, mode, uid, gid, flags, project, major, minor, mtime_ns;
	int64_t mtime_s;
	uint64_t device, inode, size;
	struct fmt_list xattrs;
	struct fmt_str target;
	struct fmt_content content;

	/* The file, while several needs write it; under r->files_lock. */
	int fd;
	unsigned pins;
	bool made;               /* it was opened once: fdev and fino are known */
	bool shut;               /* it could not be opened; that was told */
	bool idle;               /* among those open and not pinned */
	struct ritem *older, *newer;
	uint64_t fdev, fino;
	bool fresh;              /* it was created by this run */
	bool resized;            /* in place: its length was another */
	bool shared;             /* in place: it has several names, and may be kept */
	atomic_bool bad;         /* told already that it is not whole */
	atomic_uint_fast64_t written;

	int direct_fd;           /* of a device, for what is aligned; or -1 */
	bool direct;             /* the file goes around the page cache */
	struct redge *edges;     /* blocks of it that are not whole yet */
	unsigned nedges;
	struct dir *first_dir;   /* a further name: where the first one is */
	char *first_name;

	size_t memory;           /* bytes of this item */
	uint16_t len;
	char name[];
};

/* --- restore_item.c --------------------------------------------------------*/

struct ritem *restore_item_new(struct restore *r, const struct view_entry *v,
    struct err *err);
void restore_item_free(struct ritem *it);
/* One part is done; the last one finishes and frees the item. */
void restore_item_part(struct ritem *it, unsigned self);

/*
 * As dir_pin, and make the directory and those above when they are missing.
 */
int restore_dir_pin(struct restore *r, struct dir *dir, struct err *err);

/* --- restore_make.c: without packs -----------------------------------------*/

/* Make what the item is, from the entry alone; then free it. */
void restore_make(struct ritem *it, unsigned self);
/* Link a further name to its first one; then free it. */
void restore_make_link(struct ritem *it);

/* --- restore_file.c --------------------------------------------------------*/

/*
 * Create the item's file below dirfd, or open the one that is to be updated,
 * removing what is in the way.  Return a descriptor, or -1 reported.
 */
int restore_file_open(struct ritem *it, int dirfd);
/* Make the file of these bytes (NULL: they are lost, leave a hole). */
void restore_file_whole(struct ritem *it, const uint8_t *bytes);
/* A file in several parts: a descriptor until unpinned; -1 reported. */
int restore_file_pin(struct ritem *it);
void restore_file_unpin(struct ritem *it);
/* The bytes of one need; the item's part is done with it. */
void restore_file_write(struct ritem *it, unsigned self, const struct need *n,
    const uint8_t *bytes);
/* Metadata, then close. */
void restore_file_finish(struct ritem *it);
void restore_files_close(struct restore *r, struct ritem *it);
/* For fetch_sink.check: what the target holds already; zeros and holes. */
bool restore_file_check(struct restore *r, unsigned self, struct need *n,
    uint8_t *scratch);
void restore_file_failed(struct ritem *it, int errnum, const char *what);
/* Count what was written. */
void restore_file_wrote(struct ritem *it, size_t len);
/*
 * Write all; 0 or an errno value.  Where O_DIRECT turns out not to be
 * possible, it is taken off fd.
 */
int restore_pwrite(int fd, const uint8_t *p, size_t len, uint64_t at);
/* Read all; 0, or an errno value (ENODATA: it ends before). */
int restore_pread(int fd, uint8_t *p, size_t len, uint64_t at);
/* Make a range read as zeros, in pieces through scratch when there is no
 * other way.  0 or an errno value. */
int restore_zero(int fd, uint64_t at, uint64_t len, bool hole, uint8_t *scratch,
    size_t cap);

/* --- restore_direct.c ------------------------------------------------------*/

/* Files of this size and more are written around the page cache. */
#define RESTORE_DIRECT_MIN ((uint64_t)1 << 20)

/*
 * Write bytes, which lie in kept and at the same place in a page as in the
 * file, by a thread of its own; the item's part is done with it.
 */
void restore_direct_write(struct ritem *it, const struct need *n,
    const uint8_t *bytes, struct fetch_kept *kept);
/* What is left of the file's last and incomplete blocks. */
void restore_direct_finish(struct ritem *it, int fd);
void restore_direct_drop(struct ritem *it);

/* --- restore_meta.c --------------------------------------------------------*/

struct restore_meta_at {
	int fd;          /* of the file; O_PATH when path_only */
	bool path_only;
	int dirfd;       /* where it is (symbolic links) */
	bool fresh;      /* made by this run: nothing needs to be compared */
	bool keep_access; /* owner stays, and may do everything, for now */
};
/*
 * Give the file the item's metadata; losses are reported.  Return true when
 * something was not as it should be (and was set, unless dry).
 */
bool restore_meta_apply(const struct ritem *it, const struct restore_meta_at *at);
/* Whether what is made in a directory gets ACLs, flags or a project from it. */
bool restore_meta_inherits(int dirfd);
/* Flags that only an empty file can be given. */
void restore_meta_early(const struct ritem *it, int fd);
/* Flags that forbid changes: after all links are made. */
void restore_meta_freeze(const struct ritem *it, int fd);
/* Take such flags away from what is in the way of an update. */
void restore_meta_thaw(int fd);

#endif
