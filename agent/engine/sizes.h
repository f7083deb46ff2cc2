#ifndef AGENT_ENGINE_SIZES_H
#define AGENT_ENGINE_SIZES_H

#include "agent/engine/engine.h"

/* What each snapshot takes in the store, so that it adds up. */

struct engine_size {
	uint8_t slot[STORE_SLOT_LEN];
	char session[STORE_SESSION_MAX];
	bool checkpoint;
	uint64_t unique; /* bytes, sealed: only this one needs them */
	uint64_t shared; /* it is the oldest that needs them, others do as well */
	bool damaged;    /* not all that it needs could be followed or found */
};

struct engine_sizes {
	struct engine_size *v; /* as store_snapshots lists, checkpoints too */
	size_t n;
	uint64_t live;         /* the sum of all: what snapshots need */
	uint64_t unreadable;   /* snapshots that cannot be read, so not counted */
	size_t next;           /* where the next one is looked for first */
};

/*
 * Follow every snapshot to all that it needs.  Each page is read twice at most,
 * whatever the number of snapshots.  memory: bytes for what was seen; what is
 * more goes to a temporary file.  Needs read.  Return 0 with *ret, free with
 * the other, or -1.
 */
int engine_sizes(struct store *st, size_t memory, struct engine_sizes *ret,
    struct err *err);
void engine_sizes_release(struct engine_sizes *s);

/* That snapshot's, or NULL.  Fast for who asks in the order of a listing. */
const struct engine_size *engine_sizes_find(struct engine_sizes *s,
    const struct store_snapshot *sn);

#endif
