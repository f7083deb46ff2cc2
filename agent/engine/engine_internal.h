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

/* Raise the soft limit of open descriptors to the hard one; return it. */
unsigned engine_raise_nofile(void);

#endif
