#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "agent/engine/engine_internal.h"
#include "agent/engine/io.h"
#include "repo/base/mem.h"

#define MIB ((size_t)1 << 20)
#define MEMORY_MIN (128 * MIB)
/* What the program takes besides what is divided: code, stacks, allocator. */
#define MEMORY_FIXED (20 * MIB)
#define UPLOAD_THREADS 3
/* Where a request takes long: packs on their way, beside the four being filled. */
#define FAR_UPLOADS 5

static unsigned cpus_allowed(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return n > 0 ? (unsigned)n : 1;
}

int engine_budget(const struct engine_options *opt, uint32_t max_chunk,
    struct engine_budget *ret, struct err *err)
{
	size_t total = opt->memory ? opt->memory : 512 * MIB;

	if (total < MEMORY_MIN)
		return err_set(err, ERR_USAGE,
		    "a memory budget of %zu MiB is too small: at least %zu MiB are needed",
		    total / MIB, MEMORY_MIN / MIB);

	*ret = (struct engine_budget){ .total = total };
	ret->workers = opt->cpus ? opt->cpus : cpus_allowed();

	bool large = total >= 384 * MIB;
	size_t worker = store_worker_memory(ZIP_DEFAULT, max_chunk) + 2 * (size_t)max_chunk;
	size_t left = total - MEMORY_FIXED;

	/* More workers than a third of the budget feeds would only wait. */
	while (ret->workers > 1 && (ret->workers + 1) * worker > left / 3)
		ret->workers--;
	left -= (left / 3 < (ret->workers + 1) * worker) ? left / 3 :
	    (ret->workers + 1) * worker;

	ret->pack_size = (uint32_t)(large ? 16 * MIB : 8 * MIB);
	ret->pack_buffers = large ? 5 : 4;
	if (opt->far && large)
		ret->pack_buffers = 4 + FAR_UPLOADS;
	size_t packs = ret->pack_buffers * (size_t)ret->pack_size;

	left -= packs < left / 2 ? packs : left / 2;
	ret->walk = large ? 16 * MIB : 8 * MIB;
	left -= ret->walk;
	ret->index = left / 2;
	ret->read = left - ret->index;
	/* Parity is made beside each pack. */
	packs = packs / 100 * opt->parity;
	ret->read -= packs < ret->read / 2 ? packs : ret->read / 2;
	/* Only while the store is opened, before anything else is held. */
	ret->argon = total / 2;
	return 0;
}

unsigned engine_raise_nofile(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return 1024;
	if (r.rlim_cur < r.rlim_max) {
		struct rlimit more = r;

		more.rlim_cur = r.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			r = more;
	}
	return r.rlim_cur > 1u << 20 ? 1u << 20 : (unsigned)r.rlim_cur;
}

struct engine *engine_new(const struct engine_options *opt,
    const struct engine_budget *budget, struct err *err)
{
	struct engine *e = mem_zalloc(sizeof(*e), "the engine", err);

	if (e == NULL)
		return NULL;
	e->opt = *opt;
	e->budget = *budget;
	engine_raise_nofile();
	if (opt->io == ENGINE_IO_THREADS) {
		e->io = ENGINE_IO_THREADS;
		snprintf(e->io_reason, sizeof(e->io_reason), "asked for");
	} else if (io_uring_usable(e->io_reason, sizeof(e->io_reason))) {
		e->io = ENGINE_IO_URING;
	} else if (opt->io == ENGINE_IO_URING) {
		err_set(err, ERR_UNSUPPORTED, "io_uring cannot be used: %s", e->io_reason);
		free(e);
		return NULL;
	} else {
		e->io = ENGINE_IO_THREADS;
	}
	e->pool = pool_new(budget->workers, err);
	if (e->pool != NULL)
		e->uploads = uploads_new(opt->far ? FAR_UPLOADS : UPLOAD_THREADS,
		    budget->pack_buffers, err);
	if (e->uploads == NULL) {
		engine_free(e);
		return NULL;
	}
	return e;
}

void engine_free(struct engine *e)
{
	if (e == NULL)
		return;
	pool_free(e->pool);
	uploads_free(e->uploads);
	free(e);
}

const char *engine_io_name(const struct engine *e)
{
	return e->io == ENGINE_IO_URING ? "io_uring" : "threads";
}

const char *engine_io_reason(const struct engine *e)
{
	return e->io_reason;
}

struct engine_progress *engine_progress(struct engine *e)
{
	return &e->progress;
}

void engine_cancel(struct engine *e)
{
	atomic_store(&e->cancelled, true);
}

bool engine_cancelled(const struct engine *e)
{
	return atomic_load(&e->cancelled);
}
