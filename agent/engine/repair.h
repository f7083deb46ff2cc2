#ifndef AGENT_ENGINE_REPAIR_H
#define AGENT_ENGINE_REPAIR_H

#include "agent/engine/engine.h"
#include "repo/store/store_repair.h"

/* Mending a repository, and saying what it has lost. */

struct engine_repair_options {
	bool dry_run, read_data, sole_administrator; /* as store_repair's */
	/* A damaged object, and what was (in a dry run: would be) done about one. */
	void (*object)(void *ctx, const char *key, const uint8_t *id, const char *what);
	void (*mended)(void *ctx, const char *key, const char *what);
	/* A path that needs what is not whole any more: snapshot id and path. */
	void (*path)(void *ctx, const char *snapshot, const char *path, const char *what);
	void *ctx;
};

struct engine_repair_result {
	struct store_repair_result store;
	uint64_t snapshots, snapshots_damaged, paths_damaged;
	uint64_t unreadable;    /* objects of snapshots */
	bool complete;          /* all of what snapshots hold could be followed */
};

/*
 * store_repair, told what snapshots need: paths that lost something are named,
 * their snapshots marked, and the next backup of the same source stores what
 * is missing again.  In a dry run nothing is mended, so paths are named that
 * mending would make whole.  Needs admin and read.  Return 0 or -1; ended or
 * killed at any moment it can be run again.
 */
int engine_repair(struct engine *e, struct store *st,
    const struct engine_repair_options *opt, struct engine_repair_result *ret,
    struct err *err);

#endif
