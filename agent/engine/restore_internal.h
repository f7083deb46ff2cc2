#ifndef AGENT_ENGINE_RESTORE_INTERNAL_H
#define AGENT_ENGINE_RESTORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "agent/engine/dirs.h"
#include "agent/engine/engine_internal.h"
#include "agent/engine/fetch.h"
#include "agent/engine/restore.h"
#include "agent/engine/restore_item.h"
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

struct rbatch {
	struct pool_task task;
	struct restore *r;
	struct ritem *first, **tail;
	unsigned n;
};

/* Where the first name of an inode is: records in an unnamed file. */
struct rlinks;

/* Buffers for looking at files with several names. */
struct shared;

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
	struct shared *shared;    /* in place: NULL until one is looked at */
	struct table *hurt;       /* damaged inodes with several names; tell_lock */

	/* Results; copied at the end. */
	atomic_uint_fast64_t files, dirs_done, others, nlinks, same, deleted, bytes,
	    bytes_written, errors, metadata_lost, owners_lost, damaged;
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
/* Was the item's inode reported as damaged, by another name of it? */
bool restore_is_hurt(const struct ritem *it);
/* The same when only metadata is lost. */
void restore_report_loss(const struct ritem *it, const struct err *why);
/*
 * The owner could not be kept, errnum says why: counted, and true, when that is
 * for want of the right and paths are not to be named.
 */
bool restore_owner_lost(struct restore *r, int errnum);
void restore_action(const struct ritem *it, const char *what, uint64_t bytes);
void restore_action_path(struct restore *r, const char *path, const char *what,
    uint64_t bytes);
/* The item's path in the snapshot, NUL-terminated, in out. */
const char *restore_path(const struct ritem *it, struct buf *out);

/* Buffers, tables and readers of a run; released with it. */
int restore_tools(struct restore *r, struct err *err);

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

/* --- restore_shared.c ------------------------------------------------------*/

/*
 * Where the item is a file with several names whose bytes are to be looked at,
 * decide whether it is kept or replaced.  For the main thread.  0 or -1.
 */
int restore_shared(struct restore *r, struct ritem *it, struct err *err);
void restore_shared_free(struct shared *s); /* NULL is fine */

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
