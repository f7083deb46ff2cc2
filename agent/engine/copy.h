#ifndef AGENT_ENGINE_COPY_H
#define AGENT_ENGINE_COPY_H

#include "agent/engine/engine.h"

/*
 * Copying snapshots into another repository, a session for each.  Within a
 * family blobs keep their ids and their packing, and catalog, state and maps
 * are the same pages; between families all is read, gets new ids and is written
 * anew, into the domain of the far credential.
 */

enum engine_copy_outcome {
	ENGINE_COPY_DONE,      /* it was copied, or would be */
	ENGINE_COPY_THERE,     /* a copy of it is there already */
	ENGINE_COPY_DAMAGED,   /* not all of it can be read; nothing was committed */
	ENGINE_COPY_GONE,      /* it was forgotten meanwhile */
};

/* What became of one snapshot. */
struct engine_copy_told {
	const struct store_snapshot *sn;
	enum engine_copy_outcome outcome;
	char copy[17];           /* id of the copy; "" when there is none */
	bool same;               /* within a family */
	bool verified, differs;  /* it was compared; and is not the same */
	uint64_t blobs_new, bytes_stored; /* that were not there; as stored */
};

struct engine_copy_options {
	struct store *from;      /* opened with read */
	struct store *to;        /* with write; to verify with read, too */
	enum zip_level level;    /* for what is packed anew */
	bool dry_run;            /* look, and store nothing */
	bool verify;             /* read back what is there and compare */
	void (*told)(void *ctx, const struct engine_copy_told *t);
	/* A path of the source, or of the copy, that is damaged; main thread. */
	void (*damage)(void *ctx, const struct store_snapshot *sn, bool far,
	    const char *path, const struct err *why);
	void *ctx;
};

struct engine_copy_result {
	uint64_t copied, there, damaged, gone, verified, differ;
	uint64_t blobs_new, bytes_stored;
	bool anew;               /* some went between families */
	int64_t elapsed_ns;
};

/*
 * Copy the n snapshots at v, in that order (oldest first), but those of which
 * a copy is there.  A damaged one is passed over and told, the others go on.
 * Return 0, whatever became of each; or -1: the run ended, and the next one
 * goes on from there (class CANCELLED when e was).
 */
int engine_copy(struct engine *e, const struct engine_copy_options *opt,
    struct store_snapshot *const *v, size_t n, struct engine_copy_result *ret,
    struct err *err);

#endif
