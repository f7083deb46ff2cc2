#include "agent/engine/engine_internal.h"
#include "agent/engine/follow.h"
#include "agent/engine/repair.h"

struct repairing {
	struct engine *e;
	const struct engine_repair_options *opt;
	struct engine_repair_result *res;
	struct follow *f;
	struct store_repair *r;
};

static void on_object(void *ctx, const char *key, const uint8_t *id, const char *what)
{
	struct repairing *p = ctx;

	follow_suspect(p->f, key, id);
	if (p->opt->object != NULL)
		p->opt->object(p->opt->ctx, key, id, what);
}

static void on_suspect(void *ctx, const char *key, const uint8_t *id)
{
	struct repairing *p = ctx;

	follow_suspect(p->f, key, id);
}

static void on_mended(void *ctx, const char *key, const char *what)
{
	struct repairing *p = ctx;

	if (p->opt->mended != NULL)
		p->opt->mended(p->opt->ctx, key, what);
}

static bool on_cancelled(void *ctx)
{
	struct repairing *p = ctx;

	return engine_cancelled(p->e);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct repairing *p = ctx;

	engine_packs_progress(p->e, done, total);
}

static void on_path(void *ctx, const char *snapshot, const char *path, const char *what)
{
	struct repairing *p = ctx;

	if (p->opt->path != NULL)
		p->opt->path(p->opt->ctx, snapshot, path, what);
}

/* A pack that is gone and needed was damage all the same. */
static void on_gone(void *ctx, const char *key, const uint8_t *id, const char *what)
{
	struct repairing *p = ctx;

	p->res->store.check.damaged++;
	if (p->opt->object != NULL)
		p->opt->object(p->opt->ctx, key, id, what);
}

static int on_lost(void *ctx, uint8_t kind, const uint8_t id[32], struct err *err)
{
	struct repairing *p = ctx;

	return store_repair_lost(p->r, (enum store_kind)kind, id, err);
}

static int on_snapshot(void *ctx, const struct store_snapshot *sn, struct err *err)
{
	struct repairing *p = ctx;

	return store_repair_lost_snapshot(p->r, sn, err);
}

static void on_unreadable(void *ctx, const char *key, const struct err *why)
{
	struct repairing *p = ctx;

	/* The look at objects has told it. */
	(void)key, (void)why;
	p->res->unreadable++;
}

static int repair_run(struct repairing *p, struct store *st, struct err *err)
{
	const struct follow_told told = { .object = on_gone, .path = on_path,
		.lost = on_lost, .snapshot = on_snapshot, .unreadable = on_unreadable,
		.ctx = p };
	const struct store_repair_options so = {
		.dry_run = p->opt->dry_run,
		.read_data = p->opt->read_data,
		.sole_administrator = p->opt->sole_administrator,
		.threads = engine_pack_jobs(p->e),
		.executor = { uploads_submit, p->e->uploads },
		.cancelled = on_cancelled,
		.progress = on_progress,
		.report = on_object,
		.mended = on_mended,
		.suspect = on_suspect,
		.ctx = p,
	};
	struct follow_count n;
	uint64_t gone;

	p->f = follow_new(p->e, st, &told, err);
	if (p->f == NULL)
		return -1;
	p->r = store_repair_begin(st, &so, err);
	if (p->r == NULL)
		return -1;
	if (follow_all(p->f, &n, err) < 0) {
		store_repair_abort(p->r);
		return -1;
	}
	p->res->snapshots = n.snapshots;
	p->res->snapshots_damaged = n.snapshots_damaged;
	p->res->paths_damaged = n.paths_damaged;
	p->res->complete = n.complete;
	gone = p->res->store.check.damaged;
	if (store_repair_end(p->r, &p->res->store, err) < 0)
		return -1;
	p->res->store.check.damaged += gone;
	return 0;
}

int engine_repair(struct engine *e, struct store *st,
    const struct engine_repair_options *opt, struct engine_repair_result *ret,
    struct err *err)
{
	struct repairing p = { .e = e, .opt = opt, .res = ret };

	*ret = (struct engine_repair_result){ .complete = true };

	int r = repair_run(&p, st, err);

	follow_free(p.f);
	return r;
}
