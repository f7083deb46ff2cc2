#ifndef AGENT_ENGINE_COLLECT_H
#define AGENT_ENGINE_COLLECT_H

#include "agent/engine/engine.h"
#include "repo/archive/archive.h"
#include "repo/store/store_gc.h"

/*
 * Collecting what no snapshot needs: store_gc, told what snapshots hold.
 */

struct engine_gc_options {
	bool wait, abandon, dry_run, sole_administrator; /* as store_gc's */
	unsigned max_waste;      /* percent; 0: 20 */
	uint64_t max_repack;     /* bytes; 0: all */
	/* A session that has to end first; may be NULL. */
	void (*waiting)(void *ctx, const struct store_session_info *s);
	void *ctx;
};

/* store_gc within the engine's budget; ends soon when e is cancelled. */
int engine_gc(struct engine *e, struct store *st,
    const struct engine_gc_options *opt, struct store_gc_result *ret,
    struct err *err);

/*
 * The walker alone, for one thread at a time: engine_walk_snapshot is a
 * store_walker's walk, its ctx what engine_walk_new gave.
 */
struct engine_walk;
struct engine_walk *engine_walk_new(struct err *err);
void engine_walk_free(struct engine_walk *w); /* NULL is fine */
int engine_walk_snapshot(void *walk, struct store *st,
    const struct store_snapshot *sn, struct store_live *l, struct err *err);
/* The same along all blobs of sn for whoever asks; needs read.  0 or -1. */
int engine_walk_blobs(struct engine_walk *w, struct store *st,
    const struct store_snapshot *sn, const struct archive_walk *look,
    struct err *err);

#endif
