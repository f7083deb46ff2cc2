#ifndef AGENT_ENGINE_ENGINE_INTERNAL_H
#define AGENT_ENGINE_ENGINE_INTERNAL_H

#include "agent/engine/engine.h"
#include "agent/engine/pool.h"
#include "agent/engine/uploads.h"

struct engine {
	struct engine_options opt;
	struct engine_budget budget;
	enum engine_io_mode io;     /* URING or THREADS */
	char io_reason[128];
	struct pool *pool;
	struct uploads *uploads;
	struct engine_progress progress;
	atomic_bool cancelled;
};

/* Packs that check and repair look at, as files of the progress.  (check.c) */
void engine_packs_progress(struct engine *e, uint64_t done, uint64_t total);
/* How many of them are read at once. */
unsigned engine_pack_jobs(const struct engine *e);

/* Raise the soft limit of open descriptors to the hard one; return it. */
unsigned engine_raise_nofile(void);

#endif
