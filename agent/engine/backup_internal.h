#ifndef AGENT_ENGINE_BACKUP_INTERNAL_H
#define AGENT_ENGINE_BACKUP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "agent/engine/backup.h"
#include "agent/engine/content.h"
#include "agent/engine/dirs.h"
#include "agent/engine/engine_internal.h"
#include "agent/engine/io.h"
#include "agent/engine/pool.h"
#include "agent/engine/split.h"
#include "agent/engine/walk.h"
#include "chunker/chunker.h"
#include "repo/archive/archive.h"

/*
 * How a tree is backed up.  The walk thread makes items in the catalog's
 * order and hands them to the workers in batches, which look at them (statx).
 * The main thread goes along the items three times, each as far as it can:
 * merge (compare with the parent's state, decide what is read), bundle (join
 * the content of small files), encode (append to catalog and state).  Workers
 * read what was decided.  Nothing waits in order but these three.
 */

/* Files up to this many bytes stand in the catalog itself. */
#define INLINE_MAX 256u
/* Files below this many bytes are bundled. */
#define SMALL_MAX (128u << 10)
/* A bundle's most bytes and files. */
#define BUNDLE_MAX (1u << 20)
#define BUNDLE_FILES 256u
/* Items of all kinds that a bundle may span, so that encoding is not held up. */
#ifndef BUNDLE_SPAN
#define BUNDLE_SPAN 4096u
#endif
/* Runs that a file's entry holds itself; more become a map of their own. */
#define RUNS_MAX 256u

/* Buffers of bundles kept for the next ones. */
#define BUNDLE_SPARES 8u

/* Paths of problems that are remembered, so that each is named once. */
#define NAMED_MAX 4096u

/* Items that a worker looks at in one go; small in builds that test. */
#ifndef BATCH_MAX
#define BATCH_MAX 64u
#endif
/* Items between walk and encoding. */
#ifndef ITEMS_MAX
#define ITEMS_MAX 16384u
#endif

struct backup;
struct item;

enum item_class {
	ITEM_UNKNOWN,   /* not merged yet */
	ITEM_NEW,
	ITEM_CHANGED,
	ITEM_SAME,      /* content (and maybe all) as in the parent */
};

struct group;
struct old_bundle;

struct item {
	struct item *next;      /* in the catalog's order */
	struct item *same_next; /* the group's items */
	struct item *big_next;  /* waiting to be read */
	struct item *wait_next; /* waiting for the rule about inodes */
	struct item *batch_next;
	struct item *old_next;  /* using the same bundle of the parent */
	struct backup *b;
	struct pool_task task;  /* its own, when read apart from its batch */
	struct dir *dir;
	struct group *group;    /* the parent's leaf it belongs to; or NULL */
	uint64_t h;
	uint16_t len;
	uint8_t dtype;
	bool no_state, is_root;
	enum item_class class;
	bool decided;           /* how it is to be encoded */
	bool carry;             /* by its leaf, unread */
	bool linked;            /* content comes from an earlier name of the inode */
	bool gone;              /* vanished: no entry */
	bool small;             /* decided: its content may go into a bundle */
	bool bundled;           /* bundle_step has gone past */
	bool waits_inode;       /* decided when the inode rule is */
	bool counted;           /* as used, in `old` */
	bool rebundle;          /* the same, but read: its old bundle is nearly empty */
	struct old_bundle *old; /* decided when this is */
	atomic_bool looked;     /* statx is done */
	atomic_uint busy;       /* tasks under way for it */

	/* From statx. */
	uint8_t type;           /* enum fmt_type; 0: could not be looked at */
	uint32_t mode, uid, gid, nlink, major, minor;
	uint64_t dev, ino, size, blocks;
	int64_t mtime_s, ctime_s;
	uint32_t mtime_ns, ctime_ns;
	uint8_t digest[16];

	/* From reading. */
	uint32_t bits;          /* FMT_CHANGED, FMT_UNREAD, FMT_HAS_... */
	bool no_carry, fetched;
	struct fmt_list_buf xattrs;
	uint32_t flags, project;
	char *target;
	struct content content;
	struct fmt_state_entry state; /* as the parent's state says (ITEM_SAME) */
	uint8_t *state_bytes;   /* what state.content borrows; owned */
	char name[];
};

struct batch {
	struct pool_task task;
	struct backup *b;
	struct item *first, **tail;
	unsigned n;
	bool fetch_all;         /* no parent: read at once what can be read */
};

/* The entries of one catalog leaf of the parent, as its state names them. */
struct group {
	uint8_t leaf[32];
	unsigned refs;      /* items that name it, and the merge */
	unsigned matched;
	bool dirty, closed;
	struct item *items, **tail; /* its matched items, in order */
};

/* What belongs to one thread that stores. */
struct storer {
	struct store_worker *w;
	uint8_t *buf;       /* for a whole medium file */
	size_t cap;
};

/* What archive_io's callbacks need to act as thread self. */
struct page_ctx { struct backup *b; unsigned self; };

struct links;

struct backup {
	struct engine *e;
	struct store *st;
	struct store_session *ss;   /* NULL: dry run */
	const struct engine_backup_options *opt;
	struct engine_backup_result *res;
	struct chunker *stream, *block;
	uint32_t stream_max, stream_avg, block_max;
	size_t medium_max;          /* bytes of a file that one worker reads whole */
	uint8_t state_key[32];
	const uint8_t *order_key;
	struct storer *storers;     /* one a worker, and one for the main thread */
	unsigned nstorers;
	struct page_ctx page;
	struct archive_io io;       /* of the main thread */

	pthread_mutex_t lock;       /* of what follows, and of items' hand-over */
	pthread_cond_t wake;        /* main: something may go on */
	pthread_cond_t room;        /* walk: there is room for more items */
	struct item *first, **tail; /* items from walk, in order */
	unsigned items;             /* between walk and encoding */
	bool walk_done;
	uint64_t events;            /* grows whenever main should look again */
	atomic_uint tasks;          /* in the pool or running; shrinks under lock */
	uint64_t named[NAMED_MAX];  /* hashes of paths that were reported */
	struct err failure;         /* of any thread: the run fails */
	bool failed;
	atomic_size_t held;         /* bytes of small files' content, also in
	                             * bundles until they are stored */

	struct dirs *dirs;
	char *root;
	struct select *select;
	char **paths; size_t npaths;
	char *volume;
	struct batch *open_batch;   /* walk's */

	/* Merge. */
	struct archive_state *state;
	struct archive_state_item at; /* the state's next, when state_more */
	bool state_more;
	struct group *at_group;     /* of `at` */
	bool carry;                 /* parent's references need no asking (R3) */
	bool merge_ended;
	int inode_rule;             /* 0 undecided, 1 counts, 2 ignored */
	unsigned inode_seen, inode_moved;
	struct item *waiting_first, **waiting_tail; /* for that rule */
	size_t held_max;            /* bytes */
	/* Next for each; the walk sets them when there was none. */
	struct item *_Atomic merge_at, *_Atomic bundle_at, *_Atomic encode_at;

	struct bundle *bundle;      /* being filled */
	unsigned bundle_span;       /* items since it was begun */
	uint8_t *bundle_spare[BUNDLE_SPARES]; /* buffers of stored ones; lock */
	unsigned bundle_nspare;
	struct stream_memory *stream_memory; /* of the last stream */
	struct links *links;
	struct twins *twins;
	struct old_bundle *old_first; /* bundles of the parent, by first slice */
	unsigned old_n;
	uint64_t *old_gone;         /* what was decided about others */
	uint64_t state_seen;        /* entries of the parent's state gone by */
	struct item *big_first, **big_tail; /* large files wait their turn */
	bool big_busy;
	struct archive_tree_writer *tree;
	struct fmt_comp *comps; /* of the directory last encoded */
	size_t ncomps, comps_cap;
	struct dir *comps_dir;
	uint8_t seed[16];           /* of the rule that ends bundles */
};

/* --- shared by its files ------------------------------------------------------*/

/* The run fails with this; the first one counts.  Wakes everyone. */
void backup_fail(struct backup *b, const struct err *why);
bool backup_failed(struct backup *b);
/* Tell main that something has changed. */
void backup_wake(struct backup *b);
/*
 * Let the session tell that it lives; main only, at least every few minutes.
 * Return 0, or -1: CANCELLED, or the session was revoked.
 */
int backup_alive(struct backup *b, struct err *err);
/* Queue a task, which calls backup_task_end as its very last act. */
void backup_submit(struct backup *b, struct pool_task *task, bool urgent);
/* Count *busy (may be NULL) down by one, end the task and wake main. */
void backup_task_end(struct backup *b, atomic_uint *busy);

/* Move one of main's places to the next item; NULL: walk has made none yet. */
void backup_advance(struct backup *b, struct item *_Atomic *place);
/* The walk has ended and that place stands behind the last item. */
bool backup_walk_over(struct backup *b, struct item *_Atomic *place);
/* The walk makes no more items before some are encoded; all are merged. */
bool backup_stuck(struct backup *b);

/* Report a path that could not be read or not wholly; once for each path. */
void backup_report(struct backup *b, struct dir *dir, const char *name,
    const struct err *why);

/*
 * Store a chunk or page as thread self; in a dry run only its id is made.
 */
int backup_put(struct backup *b, unsigned self, enum store_kind kind,
    const void *data, size_t len, uint8_t ret_id[32], struct err *err);
/* archive_io's put and get; ctx is a page_ctx. */
int backup_page_put(void *ctx, enum archive_kind kind, const void *page,
    size_t len, uint8_t ret_id[32], struct err *err);
int backup_page_get(void *ctx, enum archive_kind kind, const uint8_t id[32],
    struct buf *ret_page, struct err *err);

/* item.c: look (statx), and read metadata and content.  Any worker. */
void item_look(struct backup *b, struct item *it, int dirfd);
void item_fetch(struct backup *b, unsigned self, struct item *it, bool content);
void item_free(struct item *it);
/* Queue the reading of it as a task of its own. */
void item_submit_fetch(struct backup *b, struct item *it, bool content);

/* file.c: content of files that are not small. */
void file_store(struct backup *b, unsigned self, struct item *it, int fd);
void file_submit_big(struct backup *b, struct item *it);

/* merge.c, bundle.c, encode.c: main thread.  1: did something, 0: must wait, -1. */
int merge_begin(struct backup *b, const struct store_snapshot *parent,
    struct err *err);
int merge_step(struct backup *b, struct err *err);
/* The group's leaf cannot be carried over: its items are encoded anew. */
void merge_spoil(struct backup *b, struct group *g);
/* Too many items wait: decide about this one by what is known. */
void merge_force(struct backup *b, struct item *it);
void merge_group_unref(struct group *g);
/* One of the things that the item waited for is decided. */
void merge_settle(struct backup *b, struct item *it);
int bundle_step(struct backup *b, struct err *err);
/* End the bundle that is open, which there is, and let it be stored. */
void bundle_flush(struct backup *b);
void bundle_unref(struct bundle *bd);
void bundle_release(struct backup *b); /* the spare buffers */
int encode_step(struct backup *b, struct err *err);

/* backup_block.c: a block device or image, and a stream of bytes. */
int backup_device(struct backup *b, const struct store_snapshot *parent,
    struct store_commit *commit, struct err *err);
int backup_finish_tree(struct archive_tree_writer *w, struct store_commit *commit,
    struct err *err); /* ends w; commit gets both roots */
int backup_stream(struct backup *b, struct store_commit *commit, struct err *err);

/* --- a run (backup.c) --------------------------------------------------------------*/

/* engine_backup, but what is wrong with the parent ends it: class CORRUPT. */
int backup_once(struct engine *e, struct store *st,
    const struct engine_backup_options *opt,
    struct engine_backup_result *ret, struct err *err);

#endif
