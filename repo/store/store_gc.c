/* A collection: one generation after the other, each from where it stands. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/log.h"
#include "repo/store/store_forget.h"
#include "repo/store/store_gc_internal.h"

#define GC_MEMORY ((size_t)64 << 20)
#define GC_MEMORY_MIN ((size_t)4 << 20)
#define MAX_WASTE 20
#define LIST_MAX ((uint64_t)64 << 20)
#define NOTE_NS ((int64_t)30 * 24 * 3600 * 1000000000)
#define ROUNDS 1000 /* generations in one run */

int store_gc_cancelled(const struct gc *g, struct err *err)
{
	if (g->opt->cancelled != NULL && g->opt->cancelled(g->opt->ctx))
		return err_set(err, ERR_CANCELLED, "stopped on request; the "
		    "next run goes on from here");
	return 0;
}

void store_gc_progress(const struct gc *g, const char *stage, uint64_t done,
    uint64_t total)
{
	if (g->opt->progress != NULL)
		g->opt->progress(g->opt->ctx, stage, done, total);
}

/* --- the parts of a generation ----------------------------------------------------*/

/* R5: what is dead, and the mark.  Tells how it went. */
static int mark(struct gc *g, const struct gc_gens *gens,
    enum store_gc_outcome *ret, struct err *err)
{
	struct fmt_list_buf considered = FMT_LIST_BUF_INIT;
	struct store_live *live = NULL;
	bool any = false;
	int r;

	g->n = gens->next;
	g->ret->snapshots = 0;
	r = store_gc_walk(g, false, &considered, &live, err);
	if (r == 0)
		r = buf_check(&considered.b, "a mark", err);
	if (r == 0)
		r = store_gc_find_dead(g, live, &any, err);
	store_live_free(live);
	if (r == 0 && !any)
		*ret = STORE_GC_NOTHING;
	if (r == 0 && any && !g->opt->dry_run) {
		r = store_gc_put_mark(g, &considered, err);
		*ret = r == 0 ? STORE_GC_DONE : STORE_GC_LOST;
	} else if (r == 0 && any) {
		*ret = STORE_GC_DONE;
	}
	fmt_list_release(&considered);
	return r;
}

/* R7 and R8, once the sessions are over. */
static int judge(struct gc *g, enum store_gc_outcome *ret, struct err *err)
{
	struct store_live *live = NULL;
	int r;

	g->ret->snapshots = g->considered.n;
	r = store_gc_walk(g, true, NULL, &live, err);
	if (r == 0)
		r = store_gc_find_needed(g, live, err);
	store_live_free(live);
	if (g->ret->packs == 0) {
		g->ret->packs = g->packs.n;
		g->ret->bytes = g->packs.bytes;
	}
	if (r == 0)
		r = store_gc_repack(g, err);
	if (r == 0)
		r = store_gc_put_verdict(g, FMT_DELETE, err);
	if (r == 0)
		r = store_gc_carry_out(g, g->n, err);
	if (r == 0)
		*ret = STORE_GC_DONE;
	else if (r > 0)
		*ret = STORE_GC_LOST;
	return r < 0 ? -1 : 0;
}

static int abandon(struct gc *g, enum store_gc_outcome *ret, struct err *err)
{
	int r;

	g->considered = (struct fmt_list){ .n = 0 };
	r = store_gc_load(g, err);
	/* A missing list is a reason to give the collection up. */
	if (r != 0 && (err->class != ERR_CORRUPT || g->mark.len == 0))
		return -1;
	r = store_gc_put_verdict(g, FMT_VOID, err);
	if (r == 0)
		r = store_gc_carry_out(g, g->n, err);
	*ret = r == 0 ? STORE_GC_VOID : STORE_GC_LOST;
	return r < 0 ? -1 : 0;
}

/* What nobody signed is at the verdict's key. */
static int unblock(struct gc *g, struct err *err)
{
	char key[FMT_KEY_MAX];

	fmt_key_verdict(key, g->n);
	/*
	 * A key must be taken once and for all, or two collectors could each
	 * put a verdict of their own; so this needs someone who vouches that
	 * there is no other.
	 */
	if (!g->opt->sole_administrator)
		return err_set(err, ERR_CONFLICT, "%s: something that no "
		    "administrator signed has this name, so the collection "
		    "cannot be ended (when no other gc runs: 'wherry gc "
		    "--sole-administrator' removes it)", key);
	log_msg(LOG_WARN, "%s: no administrator signed it; it is removed", key);
	return backend_del(g->st->be, key, err) < 0 ? -1 : 0;
}

/* --- one run -----------------------------------------------------------------------------*/

/* Tell what a collection would do, and put nothing. */
static int dry_run(struct gc *g, struct err *err)
{
	enum store_gc_outcome how = STORE_GC_NOTHING;
	struct gc_gens gens;
	int waiting;

	if (store_gc_gens_read(g->st, &gens, err) != 0 ||
	    mark(g, &gens, &how, err) != 0)
		return -1;
	for (uint32_t i = 0; i < g->packs.n; i++) {
		const struct gc_pack *p = &g->packs.v[i];

		if (!(p->flags & GC_TAKE))
			continue;
		if (p->live > 0) {
			g->ret->packs_repacked++;
			g->ret->bytes_repacked += p->size;
			g->ret->bytes_written += p->live_bytes;
		}
		g->ret->packs_deleted++;
		g->ret->bytes_deleted += p->size;
	}
	g->n = gens.open != 0 ? gens.open : gens.next;
	g->ret->generation = g->n;
	waiting = store_gc_wait(g, err);
	if (waiting < 0)
		return -1;
	g->ret->outcome = how == STORE_GC_DONE && waiting > 0 ?
	    STORE_GC_WAITING : how;
	return 0;
}

/*
 * One step: carry out, take over, or begin a generation.  *ret tells how it
 * went; return 0, 1 when that is the end of the run, -1.
 */
static int step(struct gc *g, enum store_gc_outcome *ret, struct err *err)
{
	uint64_t freed = g->freed;
	struct gc_gens gens;
	bool again;
	int r;

	if (store_gc_cancelled(g, err) != 0 || store_gc_gens_read(g->st, &gens, err) != 0)
		return -1;
	if (gens.undone != 0) {
		*ret = STORE_GC_DONE;
		return store_gc_carry_out(g, gens.undone, err);
	}
	if (gens.open != 0) {
		g->n = gens.open;
		if (gens.blocked && unblock(g, err) != 0)
			return -1;
		if (g->opt->abandon)
			return abandon(g, ret, err) == 0 ? 1 : -1;
	} else {
		if (g->opt->abandon) {
			*ret = STORE_GC_NOTHING;
			return 1;
		}
		r = mark(g, &gens, ret, err);
		if (r < 0 || *ret != STORE_GC_DONE)
			return r == 2 ? 0 : r < 0 ? -1 : 1;
	}
	g->ret->generation = g->n;
	r = store_gc_load(g, err);
	if (r == 0)
		r = store_gc_wait(g, err);
	if (r > 0)
		*ret = STORE_GC_WAITING;
	if (r != 0)
		return r;
	r = judge(g, ret, err);
	if (r < 0)
		return -1;
	/* Where there was no room, there is some now: once more, to repack. */
	again = g->more || (g->full && g->freed > freed && g->retries++ == 0);
	g->more = g->full = false;
	return *ret == STORE_GC_LOST || !again;
}

/* Notes, checkpoints and sessions that have had their time. */
static int tidy(struct gc *g, struct err *err)
{
	uint64_t n = 0;

	if (store_forget_superseded(g->st, &n, err) != 0)
		return -1;
	g->ret->objects_removed += n;
	n = 0;
	if (store_forget_expire(g->st, g->opt->note_ns != 0 ?
	        g->opt->note_ns : NOTE_NS, &n, err) != 0)
		return -1;
	g->ret->objects_removed += n;
	return 0;
}

static int run(struct gc *g, struct err *err)
{
	enum store_gc_outcome best = STORE_GC_NOTHING;
	int r = 0;

	if (g->opt->dry_run)
		return dry_run(g, err);
	if (!g->opt->abandon && tidy(g, err) != 0)
		return -1;
	for (int i = 0; i < ROUNDS && r == 0; i++) {
		enum store_gc_outcome how = STORE_GC_NOTHING;

		r = step(g, &how, err);
		if (r < 0)
			return -1;
		if (how != STORE_GC_NOTHING)
			best = how;
	}
	g->ret->outcome = best;
	return g->opt->abandon ? 0 : store_gc_parity(g, err);
}

static int may_collect(struct gc *g, struct err *err)
{
	struct store *st = g->st;
	int r = 0;

	if (store_need(st, STORE_ADMIN | STORE_READ, "to collect", err) != 0)
		return -1;
	g->weak = st->info.weak_store;
	if (!g->weak && !g->opt->dry_run) {
		r = store_probe(st->be, err);
		if (r < 0)
			return -1;
		g->weak = r > 0;
	}
	if (g->weak && !g->opt->sole_administrator && !g->opt->dry_run)
		return err_set(err, ERR_UNSUPPORTED, "%s does not create "
		    "objects atomically, so two collections could delete what "
		    "each other keeps (when no other administrator is at work: "
		    "--sole-administrator)", st->be->name);
	return 0;
}

int store_gc(struct store *st, const struct store_gc_options *opt,
    struct store_gc_result *ret, struct err *err)
{
	struct gc g = {
		.st = st, .opt = opt, .ret = ret,
		.memory = opt->memory == 0 ? GC_MEMORY : opt->memory,
		.max_waste = opt->max_waste == 0 ? MAX_WASTE : opt->max_waste,
		.list_max = opt->list_max == 0 ? LIST_MAX : opt->list_max,
	};
	int r;

	*ret = (struct store_gc_result){ .outcome = STORE_GC_NOTHING };
	if (g.memory < GC_MEMORY_MIN)
		g.memory = GC_MEMORY_MIN;
	r = may_collect(&g, err);
	if (r == 0)
		r = run(&g, err);
	store_gc_packs_release(&g.packs);
	store_gc_tools_release(&g);
	buf_release(&g.mark);
	buf_release(&g.list);
	return r;
}
