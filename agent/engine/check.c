#include <string.h>

#include "agent/engine/collect.h"
#include "agent/engine/engine_internal.h"
#include "agent/engine/follow.h"
#include "agent/engine/query.h"

/*
 * After the objects have been looked at one by one, each snapshot is followed
 * to every blob that it needs (follow.c).  Where nothing was found there is
 * mostly nothing to tell of any snapshot: that is seen by sorting what all need
 * and going through the index once, in a small part of the time.
 */

/* Packs that are read at once; each holds a few MiB. */
#define CHECK_JOBS 3u

struct checking {
	struct engine *e;
	const struct engine_check_options *opt;
	struct follow *f;
	bool odd;              /* some object was told, or suspected */
};

static void on_object(void *ctx, const char *key, const uint8_t *id, const char *what)
{
	struct checking *c = ctx;

	c->odd = true;
	follow_suspect(c->f, key, id);
	if (c->opt->object != NULL)
		c->opt->object(c->opt->ctx, key, id, what);
}

static void on_suspect(void *ctx, const char *key, const uint8_t *id)
{
	struct checking *c = ctx;

	c->odd = true;
	follow_suspect(c->f, key, id);
}

static void on_ranges(void *ctx, const char *key, const char *what, bool healable)
{
	struct checking *c = ctx;

	if (c->opt->ranges != NULL)
		c->opt->ranges(c->opt->ctx, key, what, healable);
}

static bool on_cancelled(void *ctx)
{
	struct checking *c = ctx;

	return engine_cancelled(c->e);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct checking *c = ctx;

	engine_packs_progress(c->e, done, total);
}

void engine_packs_progress(struct engine *e, uint64_t done, uint64_t total)
{
	struct engine_progress *p = engine_progress(e);

	atomic_store(&p->files_done, done);
	atomic_store(&p->files_total, total);
	atomic_store(&p->total_known, true);
}

unsigned engine_pack_jobs(const struct engine *e)
{
	unsigned n = pool_size(e->pool);

	return n < CHECK_JOBS ? n : CHECK_JOBS;
}

/* --- all at once -----------------------------------------------------------------*/

struct whole {
	struct store *st;
	struct engine_walk *walk;
	struct store_live *live;
	struct engine *e;
	uint64_t snapshots;
	bool odd;              /* one that cannot be read */
};

static void whole_unreadable(void *ctx, const char *key, const struct err *why)
{
	struct whole *w = ctx;

	(void)key;
	(void)why;
	w->odd = true;
}

/* 1: it has to be looked at by itself. */
static int whole_snapshot(void *ctx, struct store_snapshot **sn, struct err *err)
{
	struct whole *w = ctx;

	if (engine_cancelled(w->e))
		return err_set(err, ERR_CANCELLED, "stopped on request");
	if ((*sn)->sealed || strcmp((*sn)->domain, store_info(w->st)->domain) != 0)
		return 1;
	w->snapshots++;
	return engine_walk_snapshot(w->walk, w->st, *sn, w->live, err);
}

/*
 * Is all that the snapshots need indexed?  0 yes; 1 no, or it cannot be told
 * in this way; -1.
 */
static int check_whole(struct engine *e, struct store *st, uint64_t *ret_snapshots,
    struct err *err)
{
	const size_t memory = e->budget.read / 2;
	struct whole w = { .st = st, .e = e, .walk = engine_walk_new(err) };
	int r = -1;

	if (w.walk != NULL)
		w.live = store_live_begin(memory, err);
	if (w.live != NULL)
		r = store_snapshots(st, true, whole_snapshot, whole_unreadable, &w, err);
	if (r == 0)
		r = w.odd;
	if (r == 0)
		r = store_live_indexed(st, w.live, memory, err);
	store_live_end(w.live);
	engine_walk_free(w.walk);
	*ret_snapshots = w.snapshots;
	/* What is damaged, and where, is told by the other way. */
	return r < 0 && err->class != ERR_CANCELLED && err->class != ERR_FULL ? 1 : r;
}

int engine_check(struct engine *e, struct store *st,
    const struct engine_check_options *opt, struct engine_check_result *ret,
    struct err *err)
{
	struct checking c = { .e = e, .opt = opt };
	struct follow_told told = { .object = opt->object, .path = opt->path,
		.ctx = opt->ctx };
	struct store_check_options so = {
		.read_percent = opt->read_percent,
		.record = opt->record && opt->read_percent > 0,
		.suspect = on_suspect,
		.ranges = on_ranges,
		.cancelled = on_cancelled,
		.progress = on_progress,
		.ctx = &c,
		/* Packs are read and opened by the threads that send them else. */
		.threads = engine_pack_jobs(e),
		.executor = { uploads_submit, e->uploads },
	};
	struct follow_count n = { .complete = true };
	int r = -1;

	*ret = (struct engine_check_result){ .complete = true };
	c.f = follow_new(e, st, &told, err);
	if (c.f != NULL && store_check(st, &so, on_object, &c, &ret->store, err) == 0)
		r = c.odd ? 1 : check_whole(e, st, &n.snapshots, err);
	if (r > 0) {
		n.snapshots = 0;
		r = follow_all(c.f, &n, err);
	}
	ret->snapshots = n.snapshots;
	ret->snapshots_damaged = n.snapshots_damaged;
	ret->paths_damaged = n.paths_damaged;
	ret->missing = n.missing;
	ret->listed = n.listed;
	ret->complete = n.complete;
	follow_free(c.f);
	return r;
}
