#ifndef AGENT_ENGINE_ENGINE_H
#define AGENT_ENGINE_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/err.h"
#include "repo/store/store.h"

/*
 * Threads, I/O and memory of one run, shared by its pipelines.  Backup,
 * restore and check each take an engine; one run at a time uses it.
 */

enum engine_io_mode { ENGINE_IO_AUTO, ENGINE_IO_URING, ENGINE_IO_THREADS };

struct engine_options {
	size_t memory;           /* budget of the whole program, bytes, >= 128 MiB */
	unsigned cpus;           /* workers; 0: as many as this process may run on */
	unsigned parity;         /* of packs, in percent of their size; 0: none */
	enum engine_io_mode io;
	bool far;                /* the store: requests take long, many are made */
};

/* How a budget is divided; computed before the store is opened. */
struct engine_budget {
	size_t total;
	unsigned workers;
	uint32_t pack_size;      /* bytes */
	unsigned pack_buffers;
	size_t index;            /* for struct store_options.memory */
	size_t argon;            /* for struct store_options.argon_memory */
	size_t read;             /* read buffers of backup, plan and cache of restore */
	size_t walk;             /* pending directory entries before they spill */
};

/*
 * Divide the budget for repositories with these chunk sizes (max_chunk: the
 * largest chunk, bytes).  Class USAGE when memory is too small for anything.
 */
int engine_budget(const struct engine_options *opt, uint32_t max_chunk,
    struct engine_budget *ret, struct err *err);

/*
 * Counters that a run keeps and anyone may read at any time.  All bytes are of
 * the source's or target's content.
 */
struct engine_progress {
	atomic_uint_fast64_t files_done, files_new, files_changed, files_same;
	atomic_uint_fast64_t dirs_done, others_done;
	atomic_uint_fast64_t bytes_done;    /* looked at, carried over or written */
	atomic_uint_fast64_t bytes_read;    /* really read from the source */
	atomic_uint_fast64_t bytes_new;     /* of chunks not there before */
	atomic_uint_fast64_t bytes_stored;  /* that they take in the store */
	atomic_uint_fast64_t files_total, bytes_total; /* counted beside; 0: unknown */
	atomic_uint_fast64_t errors;
	atomic_bool total_known;
};

struct engine;

/*
 * Start the workers and probe io_uring.  NULL with err; UNSUPPORTED when
 * ENGINE_IO_URING was asked for and is forbidden here (says by what).
 */
struct engine *engine_new(const struct engine_options *opt,
    const struct engine_budget *budget, struct err *err);
void engine_free(struct engine *e); /* waits for the threads; NULL is fine */

/* "io_uring" or "threads", and why. */
const char *engine_io_name(const struct engine *e);
const char *engine_io_reason(const struct engine *e);

struct engine_progress *engine_progress(struct engine *e);

/*
 * Ask the run to stop; may be called from a signal handler.  What runs ends
 * soon with class CANCELLED, leaving what was stored findable.
 */
void engine_cancel(struct engine *e);
bool engine_cancelled(const struct engine *e);

/*
 * What happened to one path of source or target, while the run goes on.
 * path is raw bytes, NUL-terminated; may be called from any thread.
 */
typedef void engine_report_fn(void *ctx, const char *path, const struct err *why);

/* --- which files ----------------------------------------------------------------*/

/*
 * A list of patterns by gitignore's rules: the last that matches decides, "!"
 * takes back, "/" at the start or inside anchors to the root, at the end means
 * directories only, "**" spans directories.
 */
struct engine_filter;
struct engine_filter *engine_filter_new(struct err *err);
void engine_filter_free(struct engine_filter *f);
/* Add one pattern line ("#" comments and empty lines are passed over). */
int engine_filter_add(struct engine_filter *f, const char *line, struct err *err);
/* 1: matches, -1: taken back by "!", 0: no pattern speaks of it. */
int engine_filter_match(const struct engine_filter *f, const char *path,
    bool is_dir);

#endif
