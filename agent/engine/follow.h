#ifndef AGENT_ENGINE_FOLLOW_H
#define AGENT_ENGINE_FOLLOW_H

#include "agent/engine/engine.h"
#include "repo/base/buf.h"

/*
 * Following snapshots to all that they need: what check and repair share.
 * What was found damaged before is remembered by a short hash; a hit is made
 * sure of by reading the blob before it is told.  For one thread.
 */

struct follow_told {
	/* A pack that is gone turns out to be needed. */
	void (*object)(void *ctx, const char *key, const uint8_t *id, const char *what);
	/* A path that needs what is not whole. */
	void (*path)(void *ctx, const char *snapshot, const char *path, const char *what);
	/* A blob of which no copy is whole, again for each that needs it; may be NULL. */
	int (*lost)(void *ctx, uint8_t kind, const uint8_t id[32], struct err *err);
	/* At the end of a snapshot that cannot be restored as it was; may be NULL. */
	int (*snapshot)(void *ctx, const struct store_snapshot *sn, struct err *err);
	/* A snapshot whose object cannot be read; may be NULL. */
	void (*unreadable)(void *ctx, const char *key, const struct err *why);
	void *ctx;
};

struct follow_count {
	uint64_t snapshots, snapshots_damaged, paths_damaged;
	uint64_t missing;  /* times that a blob was needed that nothing names */
	uint64_t listed;   /* blobs that are needed, and lost as a repair has listed */
	bool complete;     /* all of what snapshots hold could be followed */
};

struct follow;
struct follow *follow_new(struct engine *e, struct store *st, const struct follow_told *told,
    struct err *err);
void follow_free(struct follow *f); /* NULL is fine */
/*
 * Something is damaged, or may be: a pack (id NULL) or a blob.  Called by one
 * thread at a time, before follow_all.
 */
void follow_suspect(struct follow *f, const char *key, const uint8_t *id);
/* Go through all snapshots, checkpoints too.  Return 0 or -1. */
int follow_all(struct follow *f, struct follow_count *ret, struct err *err);

#endif
