#include <stdlib.h>
#include <string.h>

#include "agent/engine/collect.h"
#include "agent/engine/engine_internal.h"
#include "agent/engine/query.h"
#include "repo/base/mem.h"

/* What a collection has besides its budget: a reader of pages, a worker. */
#define COLLECT_BESIDE ((size_t)40 << 20)
#define COLLECT_MIN ((size_t)16 << 20)

struct engine_walk {
	struct store *st;
	struct engine_pages *pages;
	char *domain;            /* that pages are read in */
	const struct store_snapshot *sn;
	struct store_live *live;
	struct engine *e;        /* NULL: nobody stops it */
};

static int on_blob(void *ctx, uint8_t kind, const uint8_t id[32], bool page,
    const struct archive_path *dir, const struct fmt_entry *entry, struct err *err)
{
	struct engine_walk *w = ctx;

	(void)dir, (void)entry;
	if (!page)
		return store_live_chunk(w->live, id, err);
	if (w->e != NULL && engine_cancelled(w->e))
		return err_set(err, ERR_CANCELLED, "stopped on request; the next run "
		    "goes on from here");
	return store_live_page(w->live, (enum store_kind)kind, id, err);
}

static int on_bad_page(void *ctx, uint8_t kind, const uint8_t id[32],
    const struct archive_path *dir, const struct fmt_entry *entry,
    const struct err *why, struct err *err)
{
	struct engine_walk *w = ctx;

	(void)kind, (void)id, (void)dir, (void)entry;
	*err = *why;
	return err_wrap(err, "snapshot %s: what it needs cannot be told, so nothing "
	    "is deleted ('wherry check' says what is damaged)", w->sn->id);
}

/* Pages are read in the snapshot's own domain. */
static int walk_pages(struct engine_walk *w, struct store *st, const char *domain,
    struct err *err)
{
	if (w->pages != NULL && w->st == st && strcmp(w->domain, domain) == 0)
		return 0;
	engine_pages_free(w->pages);
	free(w->domain);
	w->pages = NULL;
	w->st = st;
	w->domain = mem_strdup(domain, err);
	if (w->domain != NULL)
		w->pages = engine_pages_new(st, domain, err);
	return w->pages != NULL ? 0 : -1;
}

int engine_walk_blobs(struct engine_walk *w, struct store *st,
    const struct store_snapshot *sn, const struct archive_walk *look,
    struct err *err)
{
	struct archive_ref ref = { .level = sn->state.level, .entries = sn->state.entries };
	const uint8_t *order = store_snapshot_order(st, sn, err);

	if (order == NULL || walk_pages(w, st, sn->domain, err) < 0)
		return -1;

	const struct archive_io *io = engine_pages_io(w->pages);

	memcpy(ref.id, sn->state.id, sizeof(ref.id));
	if (sn->content == STORE_BLOCK)
		return archive_walk_map(io, &ref, look, err);
	if (archive_walk_state(io, &ref, look, err) < 0)
		return -1;
	memcpy(ref.id, sn->catalog.id, sizeof(ref.id));
	ref.level = sn->catalog.level;
	ref.entries = sn->catalog.entries;
	return archive_walk_catalog(io, order, &ref, look, err);
}

int engine_walk_snapshot(void *walk, struct store *st,
    const struct store_snapshot *sn, struct store_live *l, struct err *err)
{
	struct engine_walk *w = walk;
	const struct archive_walk look = { on_blob, on_bad_page, w };

	w->sn = sn;
	w->live = l;
	return engine_walk_blobs(w, st, sn, &look, err);
}

struct engine_walk *engine_walk_new(struct err *err)
{
	return mem_zalloc(sizeof(struct engine_walk), "a walk", err);
}

void engine_walk_free(struct engine_walk *w)
{
	if (w == NULL)
		return;
	engine_pages_free(w->pages);
	free(w->domain);
	free(w);
}

/* --- a collection within an engine ------------------------------------------------*/

struct collecting {
	struct engine *e;
	const struct engine_gc_options *opt;
};

static bool gc_cancelled(void *ctx)
{
	struct collecting *c = ctx;

	return engine_cancelled(c->e);
}

static void gc_progress(void *ctx, const char *stage, uint64_t done, uint64_t total)
{
	struct collecting *c = ctx;
	struct engine_progress *p = engine_progress(c->e);

	(void)stage;
	atomic_store(&p->files_done, done);
	atomic_store(&p->files_total, total);
	atomic_store(&p->total_known, total > 0);
}

static void gc_waiting(void *ctx, const struct store_session_info *s)
{
	struct collecting *c = ctx;

	if (c->opt->waiting != NULL)
		c->opt->waiting(c->opt->ctx, s);
}

int engine_gc(struct engine *e, struct store *st,
    const struct engine_gc_options *opt, struct store_gc_result *ret, struct err *err)
{
	struct collecting c = { e, opt };
	const struct engine_budget *b = &e->budget;
	size_t beside = b->index + COLLECT_BESIDE;
	struct store_gc_options so = {
		.wait = opt->wait,
		.abandon = opt->abandon,
		.dry_run = opt->dry_run,
		.sole_administrator = opt->sole_administrator,
		.max_waste = opt->max_waste,
		.max_repack = opt->max_repack,
		.memory = b->total > beside + COLLECT_MIN ? b->total - beside : COLLECT_MIN,
		.walker = { .walk = engine_walk_snapshot },
		.cancelled = gc_cancelled,
		.progress = gc_progress,
		.waiting = gc_waiting,
		.ctx = &c,
	};
	struct engine_walk *w = engine_walk_new(err);

	*ret = (struct store_gc_result){ .outcome = STORE_GC_NOTHING };
	if (w == NULL)
		return -1;
	w->e = e;
	so.walker.ctx = w;

	int r = store_gc(st, &so, ret, err);

	engine_walk_free(w);
	return r;
}
