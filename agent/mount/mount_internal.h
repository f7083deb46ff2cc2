#ifndef AGENT_MOUNT_MOUNT_INTERNAL_H
#define AGENT_MOUNT_MOUNT_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "agent/mount/mount.h"
#include "agent/mount/mount_list.h"
#include "repo/archive/archive.h"
#include "repo/base/buf.h"

/* The most that one read may ask for; the kernel's own limit. */
#define MOUNT_READ_MAX ((size_t)1 << 20)

struct fuse_session;
struct mount_ahead;

/* --- blobs (mount_blobs.c) --------------------------------------------------*/

/* A plaintext in a cache, for as long as it is held. */
struct mount_blob {
	struct mount_blob *chain, *older, *newer;
	uint8_t id[STORE_ID_LEN];
	struct buf data;
	unsigned holders;
	bool loading;
};

/* Plaintexts by id, within a number of bytes; what is held stays. */
struct mount_blobs {
	pthread_mutex_t lock;
	pthread_cond_t loaded;
	struct mount_blob **bucket;
	size_t mask;
	struct mount_blob *oldest, *newest;
	size_t bytes, most;
};

int mount_blobs_init(struct mount_blobs *b, size_t most, struct err *err);
void mount_blobs_release(struct mount_blobs *b);

/* --- one thread's tools (mount_blobs.c) -------------------------------------*/

/* A path that owns its names. */
struct mount_path {
	struct archive_comp *c;
	size_t n, cap;
	struct buf text;
};

struct mount_tool {
	struct mount *m;
	struct store_worker *w;
	const char *domain;   /* whose ids w checks; NULL: none yet */
	uint8_t *reply;       /* MOUNT_READ_MAX bytes; NULL when only reading ahead */
	struct mount_path path;
	struct buf text;
};

int mount_tool_init(struct mount_tool *t, struct mount *m, bool replies,
    struct err *err);
void mount_tool_release(struct mount_tool *t);

/*
 * Hold the blob, read through the cache.  Return 0, or -1 (CORRUPT when the
 * repository has lost it).  Any number of threads may ask for one blob: it is
 * read once.
 */
int mount_blob_hold(struct mount_tool *t, enum store_kind kind,
    const char *domain, const uint8_t id[STORE_ID_LEN],
    struct mount_blob **ret, struct err *err);
void mount_blob_drop(struct mount *m, enum store_kind kind, struct mount_blob *b);

/* --- cursors (mount_cursor.c) -----------------------------------------------*/

/*
 * Open catalogs and byte maps, a bounded number of them: whoever takes one is
 * alone with it until it is given back.
 */
struct mount_cursor {
	struct mount *m;
	struct mount_tool *tool;      /* of who has it */
	struct archive_catalog *cat;  /* one of the two */
	struct archive_map *map;
	struct archive_ref root;
	const char *domain;
	uint64_t pos;                 /* number of the next entry; -1: unknown */
	uint64_t used;
	bool taken;
};

struct mount_cursors {
	pthread_mutex_t lock;
	pthread_cond_t given;
	struct mount_cursor *v;
	unsigned n;
	uint64_t clock;
};
#define MOUNT_ANY UINT64_MAX

int mount_cursors_init(struct mount *m, unsigned n, struct err *err);
void mount_cursors_release(struct mount *m);

/*
 * Take a cursor on a snapshot's catalog, best one that stands before entry
 * `pos` (MOUNT_ANY: wherever).  NULL with err.
 */
struct mount_cursor *mount_cursor_catalog(struct mount_tool *t,
    const struct mount_snap *sn, uint64_t pos, struct err *err);
struct mount_cursor *mount_cursor_map(struct mount_tool *t,
    const struct archive_ref *root, const char *domain, struct err *err);
/* Give it back; pos: where it stands. */
void mount_cursor_give(struct mount_cursor *c, uint64_t pos);

/* --- nodes (mount_node.c) ---------------------------------------------------*/

/*
 * What the kernel knows nodes by: nothing is remembered about them, the number
 * says all.  Two bits of kind, then what the kind needs.
 */
enum mount_kind { MOUNT_TOP, MOUNT_VOLUME, MOUNT_ENTRY };

enum mount_top { MOUNT_ROOT = 1, MOUNT_IDS = 2, MOUNT_VOLUMES = 3, MOUNT_LATEST = 4 };

/* The entry number that means a snapshot's root, or a block volume's image. */
#define MOUNT_WHOLE ((UINT64_C(1) << 40) - 1)

struct mount_node {
	enum mount_kind kind;
	enum mount_top top;
	uint32_t volume;       /* number in the list */
	bool link;             /* the volume's link in latest/ */
	bool by_id;            /* an entry below ids/, not volumes/ */
	bool plain;            /* an entry without extended attributes */
	const struct mount_snap *sn;
	uint64_t entry;        /* number in the catalog */
};

uint64_t mount_node_pack(const struct mount_node *n);
/* Return 0, or an errno: ESTALE for what is not (any more). */
int mount_node_unpack(struct mount *m, uint64_t ino, struct mount_node *ret);

struct stat;
/*
 * What stat says of an entry (e NULL: of the snapshot's root or image).  The
 * tool is for counting hard links.
 */
void mount_node_stat(struct mount_tool *t, const struct mount_snap *sn,
    uint64_t entry, const struct fmt_entry *e, struct stat *ret);

/*
 * Get an entry.  *ret_c is taken then, and *ret_dir and *ret_entry are borrowed
 * until it is given back (mount_node_done).  Return 0; 1 when the snapshot's
 * root has no entry of its own; -1, when nothing is to be given back.
 */
int mount_node_entry(struct mount_tool *t, const struct mount_node *n,
    struct mount_cursor **ret_c, struct archive_path *ret_dir,
    struct fmt_entry *ret_entry, struct err *err);
void mount_node_done(struct mount_cursor *c);

/* Make t->path the path of a directory.  0, an errno, or -1 with err. */
int mount_node_path(struct mount_tool *t, const struct mount_node *n, struct err *err);
struct archive_path mount_path_of(const struct mount_path *p);
void mount_path_release(struct mount_path *p);
int mount_path_copy(struct mount_path *p, const struct archive_path *from,
    const struct archive_comp *more, struct err *err);

/* Return true when a file may have this name. */
bool mount_name_ok(const struct archive_comp *name);

/* Say once that a node cannot be read, and why. */
void mount_tell(struct mount_tool *t, const struct mount_node *n, const struct err *why);

/* --- hard links (mount_links.c) ---------------------------------------------*/

/* Hashes of the inodes of a snapshot that have several names, sorted. */
struct mount_links {
	pthread_mutex_t lock;
	struct mount_counted {
		const struct mount_snap *sn;
		uint64_t *v;
		size_t n;
		uint64_t used;
		bool unknown;    /* too many to be counted */
	} counted[4];
	uint64_t clock;
	size_t most;             /* names, in all of them */
};

/* The number by which stat tells that two names are one inode. */
uint64_t mount_links_inode(struct mount *m, const struct mount_snap *sn,
    const struct fmt_entry *e);
/*
 * How many names of the entry's inode the snapshot has; 2 when they are too
 * many to be counted.
 */
uint64_t mount_links_count(struct mount_tool *t, const struct mount_snap *sn,
    const struct fmt_entry *e);
void mount_links_release(struct mount_links *l);

/* --- content (mount_content.c, mount_ahead.c) -------------------------------*/

/* An open file. */
struct mount_file;

/*
 * Open for reading.  Return 0, or -1: CORRUPT when the backup could not read
 * it, FULL when too many are open.  e NULL: a block volume's image.
 */
int mount_file_open(struct mount *m, const struct mount_snap *sn,
    const struct fmt_entry *e, struct mount_file **ret, struct err *err);
void mount_file_close(struct mount *m, struct mount_file *f);
/* Fill dst with len bytes from off, fewer at the end.  Return how many, or -1. */
ssize_t mount_file_read(struct mount_tool *t, struct mount_file *f, uint64_t off,
    size_t len, uint8_t *dst, struct err *err);
/* The next data or hole from off on.  0; 1: nothing there; -1. */
int mount_file_seek(struct mount_tool *t, struct mount_file *f, uint64_t off,
    bool data, uint64_t *ret, struct err *err);
/* Bytes of a content that are no hole, as far as can be told without reading. */
uint64_t mount_file_allocated(const struct mount *m, const struct fmt_content *c);

/* Threads that read into the cache what will be asked for. */
int mount_ahead_start(struct mount *m, unsigned threads, struct err *err);
void mount_ahead_end(struct mount *m); /* fine when not started */
/* Ask for a chunk; dropped when too much is asked for already. */
void mount_ahead_want(struct mount *m, const char *domain,
    const uint8_t id[STORE_ID_LEN]);

/* --- the file system (mount_ops.c, mount_dir.c) -----------------------------*/

struct fuse_lowlevel_ops;
extern const struct fuse_lowlevel_ops mount_ops;

/* The tool of the thread that serves this request. */
extern _Thread_local struct mount_tool *mount_this;

/* The kernel keeps what cannot change; what can, so many seconds. */
#define MOUNT_KEEP 86400.0
#define MOUNT_KEEP_TOP 1.0

/* errno that stands for err. */
int mount_errno(const struct err *err);

struct mount {
	struct store *st;
	struct mount_options opt;
	char *dir;
	struct mount_list list;
	struct mount_blobs pages, chunks;
	struct mount_cursors cursors;
	struct mount_links links;
	struct mount_ahead *ahead;
	size_t max_blob;
	size_t readahead;             /* bytes */
	size_t open_most;             /* bytes of open files and directories */
	atomic_size_t open_bytes;
	pthread_mutex_t tell_lock;
	uint64_t told[256];           /* nodes */

	struct fuse_session *se;
	bool mounted, others;         /* others: allow_other */
	int64_t start_ns;
	unsigned threads, readers;    /* that answer; that read ahead */
	sem_t stop;
};

#endif
