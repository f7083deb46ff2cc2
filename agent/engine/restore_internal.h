#ifndef AGENT_ENGINE_RESTORE_INTERNAL_H
#define AGENT_ENGINE_RESTORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "agent/engine/dirs.h"
#include "agent/engine/engine_internal.h"
#include "agent/engine/fetch.h"
#include "agent/engine/restore.h"
#include "agent/engine/table.h"
#include "agent/engine/view.h"

/*
 * How a tree is restored.  The main thread goes along the catalog and makes
 * an item of each entry.  What needs no pack is made by the workers at once;
 * the rest is collected as needs until a window is full, then fetched in the
 * order of the packs and written by the workers.  Names of one inode are
 * linked at the end of each window.  A second way along the catalog gives
 * the directories their metadata, when nothing changes in them any more.
 */

/* Flags of a file that a backup keeps (FS_*_FL), as agent/engine/item.c says. */
#define RESTORE_FLAGS (0xffu | 0x400u | 0x4000u | 0x38000u | 0x800000u | \
    0x2000000u | 0x20000000u)

enum restore_how {
	HOW_CREATE,   /* it does not exist */
	HOW_REPLACE,  /* what is there goes first */
	HOW_UPDATE,   /* write what differs into the file that is there */
	HOW_OVERWRITE, /* write all, whatever is there (a device) */
	HOW_SAME,     /* only its metadata is looked at */
	HOW_VERIFY,   /* nothing is written */
	HOW_SKIP,     /* it was reported, or is not wanted */
};

struct restore;

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
	bool idle;               /* among those open and not pinned */
	struct ritem *older, *newer;
	uint64_t fdev, fino;
	bool fresh;              /* it was created by this run */
	bool resized;            /* in place: its length was another */
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

struct rbatch {
	struct pool_task task;
	struct restore *r;
	struct ritem *first, **tail;
	unsigned n;
};

/* Where the first name of an inode is: records in an unnamed file. */
struct rlinks;

struct restore {
	struct engine *e;
	struct store *st;
	const struct engine_restore_options *opt;
	const struct store_snapshot *sn;
	const uint8_t *order_key;
	struct pages *pages;
	struct fetch *fetch;
	struct dirs *dirs;
	int target_fd;
	char *prefix;             /* path of the top in the snapshot, "" for all */
	bool in_place, dry, verifying;
	bool telling;             /* the first way along the catalog: damage is told */
	bool catalog_damaged;     /* some entries are not known */
	bool all_access;          /* modes do not keep this process out */
	bool inherits;            /* new files get ACLs or flags from where they are */
	size_t held_max;

	pthread_mutex_t lock;     /* of what follows */
	pthread_cond_t idle;
	unsigned busy;            /* batches under way */
	struct err failure;
	pthread_mutex_t tell_lock; /* around report and action */
	atomic_bool failed, ns_kept;
	atomic_size_t held;       /* bytes of items */

	pthread_mutex_t files_lock;
	struct ritem *oldest, *newest;
	unsigned open_files, open_max;

	pthread_mutex_t edges_lock;

	struct rbatch *open_batch;
	struct rlinks *links;
	struct ritem *links_first, **links_tail; /* of this window */
	struct table *made_dirs;  /* in place: directories made by this run */
	struct table *kept;       /* in place: inodes with several names, in use */
	struct dir *last_parent;  /* in place: it is there */

	/* Results; copied at the end. */
	atomic_uint_fast64_t files, dirs_done, others, nlinks, same, deleted, bytes,
	    bytes_written, errors, metadata_lost, damaged;
};

/* --- restore.c: verdicts ---------------------------------------------------*/

/* The run fails with this; the first one counts. */
void restore_fail(struct restore *r, const struct err *why);
bool restore_stopped(const struct restore *r);

/*
 * Something of the item could not be restored.  Counted by why's class and
 * told; a full disk and the like fail the run.
 */
void restore_report(const struct ritem *it, const struct err *why);
void restore_report_path(struct restore *r, const char *path, const struct err *why);
/* The same when only metadata is lost. */
void restore_report_loss(const struct ritem *it, const struct err *why);
void restore_action(const struct ritem *it, const char *what, uint64_t bytes);
void restore_action_path(struct restore *r, const char *path, const char *what,
    uint64_t bytes);
/* The item's path in the snapshot, NUL-terminated, in out. */
const char *restore_path(const struct ritem *it, struct buf *out);

/* Buffers, tables and readers of a run; released with it. */
int restore_tools(struct restore *r, struct err *err);

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
#define RESTORE_DIRECT_MIN ((uint64_t)16 << 20)

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

/* --- restore_inplace.c, restore_remove.c, restore_delete.c -----------------*/

/* Look at what is at the item's place and decide how. */
void restore_look(struct ritem *it);
/* A directory in place: made or kept, before anything below is looked at. */
int restore_inplace_dir(struct restore *r, const struct view_entry *v,
    struct err *err);
/* Make the directories above what is selected. */
int restore_inplace_parents(struct restore *r, const struct view_entry *v,
    struct err *err);
/* Key of the directory `name` (hash h) below dir, or of dir itself (NULL). */
void restore_dir_key(const struct dir *dir, const struct fmt_comp *name,
    uint64_t ret[2]);

/*
 * Remove what is at name below dirfd: a directory only when it is empty or
 * `recursive`.  It follows no link and enters no other file system.  Return 0
 * (also when nothing is there) or -1 with err.
 */
int restore_remove(struct restore *r, int dirfd, const char *name, bool recursive,
    struct err *err);

/* Remove what the snapshot has not. */
int restore_delete(struct restore *r, struct err *err);

/* --- restore_verify.c ------------------------------------------------------*/

/* Compare what was restored; how becomes HOW_SKIP when that was settled. */
void restore_verify_look(struct ritem *it);
/* Compare what stands in the entry itself; then free. */
void restore_verify(struct ritem *it);
/* The bytes of one need. */
void restore_verify_part(struct ritem *it, const struct need *n,
    const uint8_t *bytes);
bool restore_verify_check(struct restore *r, unsigned self, struct need *n,
    uint8_t *scratch);
void restore_verify_link(struct ritem *it);

/* --- restore_links.c -------------------------------------------------------*/

struct rlinks *restore_links_new(struct restore *r, size_t memory, struct err *err);
void restore_links_free(struct rlinks *l);
/*
 * Return 0 when the item is the first name of its inode, 1 when it is a
 * further one (first_dir and first_name are set), -1 with err.
 */
int restore_links_add(struct rlinks *l, struct ritem *it, struct err *err);

/* --- restore_plan.c --------------------------------------------------------*/

/*
 * Plan what an item needs, when it was looked at; it is taken over.  A window
 * may end in here.
 */
int restore_plan(struct restore *r, struct ritem *it, struct err *err);
/* The runs of a byte map; they may fill several windows. */
int restore_plan_map(struct restore *r, struct ritem *it, struct err *err);
/* Make everything that was planned so far. */
int restore_window_end(struct restore *r, struct err *err);
/* Free planned links that nobody will make. */
void restore_links_drop(struct restore *r);

struct rbatch *restore_batch_new(struct restore *r, struct err *err);
/* Give a batch to the workers. */
void restore_submit(struct restore *r, struct rbatch *b,
    void (*fn)(struct pool_task *task, unsigned self));
/* The worker's last words: it is freed. */
void restore_batch_done(struct rbatch *b);
/* So many tasks more (or less) are under way. */
void restore_busy(struct restore *r, int n);
/* Wait until none is. */
void restore_wait(struct restore *r);

/* --- restore_tree.c, restore_dirs.c, restore_block.c -----------------------*/

int restore_tree(struct restore *r, struct err *err);
/* Metadata of directories, and flags that had to wait. */
int restore_dirs(struct restore *r, struct err *err);
int restore_block(struct restore *r, struct err *err);
struct view *restore_view(struct restore *r, bool all, struct err *err);
/* A damaged page: told once.  0: go on, -1: the run fails. */
int restore_skip_damage(struct restore *r, struct view *v, struct err *err);

#endif
