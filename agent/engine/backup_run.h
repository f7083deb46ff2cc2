#ifndef AGENT_ENGINE_BACKUP_RUN_H
#define AGENT_ENGINE_BACKUP_RUN_H

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
	bool gone;              /* vanished or left out: no entry */
	bool passed;            /* gone, and the parent has none either */
	bool small;             /* decided: its content may go into a bundle */
	bool bundled;           /* bundle_step has gone past */
	bool waits_inode;       /* decided when the inode rule is */
	bool counted;           /* as used, in `old` */
	bool beyond;            /* no checkpoint has come so far */
	bool big;               /* read in pieces, one such file at a time */
	bool resume;            /* its state tells content to go on behind */
	bool trusted;           /* ... whose chunks need no asking (R3) */
	bool partial;           /* reading was ended before its end */
	bool reread;            /* looks the same, but is read to be sure */
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

/*
 * What lasts from one session of a run to the next (R11): rounds.c.
 */
struct rounds {
	int64_t start_ns;           /* of the run, real time */
	int64_t began_ns;           /* the same, monotonic */
	bool opened;                /* the first session is */
	unsigned n;                 /* sessions that have ended before the source */
	unsigned stretch;           /* the interval times 2^this: one gained nothing */
	char parent[17];            /* of the first session; "" none */
	char checkpoint[17];        /* the last one of this run; "" */
	char rest[17];              /* whole, for what that has not reached; "" none */
	unsigned checkpoints;
	enum engine_way way;        /* of the first session */
	const char *way_reason;
	int inode_rule;             /* what was decided about the whole parent */
	unsigned flags;             /* STORE_INODES_IGNORED of sessions that are over */
	uint64_t files_new, files_changed, files_reread; /* that they have stored */
	uint64_t told[NAMED_MAX];   /* hashes of paths reported by any of them */
};

struct backup {
	struct engine *e;
	struct rounds *rounds;
	struct store *st;
	struct store_session *ss;   /* it only looks in a dry run */
	int64_t session_ns;         /* when it began, monotonic */
	int64_t put_off_ns;         /* it does not end before that */
	const struct store_snapshot *rest_of; /* behind a checkpoint; NULL: nothing */
	bool rest_carry;            /* as carry, of that */
	bool has_parent;            /* set before the walk begins */
	atomic_bool ending;         /* the session does: nothing more is read */
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
	uint64_t named[NAMED_MAX];  /* hashes of paths that counted as errors */
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
	bool healing;               /* but for those that are damaged */
	bool merge_ended;
	/* While the state is a checkpoint's: its last entry so far. */
	bool in_checkpoint;
	uint64_t *last_dir, last_h;
	size_t last_ndir, last_cap;
	bool has_last;
	bool beyond;                /* the merge is where no checkpoint has been */
	int64_t beyond_ns;          /* when it came there, monotonic; 0: not yet */
	uint64_t gained;            /* entries encoded there */
	uint64_t fresh;             /* of these such as were read */
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

#endif
