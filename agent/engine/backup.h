#ifndef AGENT_ENGINE_BACKUP_H
#define AGENT_ENGINE_BACKUP_H

#include "agent/engine/engine.h"
#include "repo/base/extent.h"

/*
 * One snapshot of directories and files, of a block device or image, or of a
 * stream.  Names in a snapshot are relative to its root: the deepest
 * directory that holds all the given paths (a single directory is its own
 * root).
 */
struct engine_backup_options {
	/* The source: paths, or a device, or a stream. */
	const char *const *paths; size_t npaths;
	const char *device;         /* block device or image file */
	int stream_fd; const char *stream_name; /* name NULL: no stream */

	const char *volume;         /* NULL: host and sorted absolute paths */
	const char *host, *user, *program;
	const char *const *tags; size_t ntags;
	const char *parent;         /* "auto", "none" or an id */

	const struct engine_filter *exclude; /* NULL: nothing */
	const struct engine_filter *block_files; /* cut these in block mode */
	bool exclude_caches;        /* directories with a valid CACHEDIR.TAG */
	bool one_file_system;
	uint64_t exclude_larger;    /* files above so many bytes; 0: none */
	bool ignore_ctime;
	bool verify_writes;
	bool dry_run;               /* compare, read and count; store nothing */
	bool count_total;           /* count beside, for progress->..._total */
	int64_t session_ns;         /* the longest that a session lasts; 0: 4 hours */
	enum zip_level level;
	/* Device only: what may differ from the parent; next NULL: unknown. */
	struct extent_source changed;
	/*
	 * Where the last of those begins, bytes; 0 when there is none.  What lies
	 * behind the volume's end is of another volume: then all is read.
	 */
	uint64_t changed_last;

	/* A checkpoint was committed; may be NULL.  ctx is report_ctx. */
	void (*checkpoint)(void *ctx, const char *id);
	engine_report_fn *report;   /* unreadable, changed, vanished; may be NULL */
	void *report_ctx;
};

enum engine_way {
	ENGINE_FULL,        /* nothing to go by: all was read */
	ENGINE_INCREMENTAL, /* merged with the parent's state */
	ENGINE_CHANGED,     /* by the given extents */
	ENGINE_RESCAN,      /* a device read whole, known chunks not stored again */
};

struct engine_backup_result {
	char id[17];                /* empty after a dry run */
	char parent[17];            /* empty: none */
	enum engine_way way;
	const char *way_reason;     /* static: why not faster; "" */
	unsigned flags;             /* enum store_snapshot_flag */
	/* reread: they look the same, but only reading could tell (item.c). */
	uint64_t files_new, files_changed, files_reread, files_same, dirs, others;
	uint64_t bytes, bytes_read, bytes_new, bytes_stored;
	uint64_t entries, errors;
	unsigned checkpoints;       /* committed on the way */
	char checkpoint[17];        /* the last of them; empty: none */
	int64_t elapsed_ns;
};

/*
 * Make the snapshot.  A session lasts session_ns at most: then a checkpoint is
 * committed and the next one goes on from there (R11).  A parent that turns out
 * damaged is left aside, and the source read whole (way_reason says so); a
 * session that was revoked is followed by another, once.
 * Return 0 (also when some of the source could not be read: result->errors,
 * the flag STORE_INCOMPLETE), or -1: there is no snapshot, but what was sent is
 * found by the next run, which goes on from the last checkpoint; when asked to
 * stop (class CANCELLED) the run ends with one, if there is anything to keep.
 */
int engine_backup(struct engine *e, struct store *st,
    const struct engine_backup_options *opt,
    struct engine_backup_result *ret, struct err *err);

#endif
