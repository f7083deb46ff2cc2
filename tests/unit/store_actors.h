#ifndef TESTS_UNIT_STORE_ACTORS_H
#define TESTS_UNIT_STORE_ACTORS_H

#include "tests/unit/store_writers.h"

/* The other actors: who collects, forgets, merges, rotates keys, reads. */

/* --- collectors ------------------------------------------------------------------*/

/* What a snapshot needs, for gc: its page and the chunks that it names. */
static inline int walk(void *ctx, struct store *st, const struct store_snapshot *sn,
    struct store_live *l, struct err *err)
{
	struct store_worker *worker;
	struct buf page = BUF_INIT;
	int r = store_live_page(l, STORE_STATE, sn->state.id, err);

	(void)ctx;
	if (r != 0)
		return r < 0 ? -1 : 0;
	worker = store_worker_new(st, ZIP_OFF, MAX_PLAIN, NULL, err);
	if (worker == NULL)
		return -1;
	r = store_get(st, worker, STORE_STATE, sn->state.id, &page, err);
	if (r == 1)
		r = err_set(err, ERR_CORRUPT, "%s: its page is not there",
		    sn->session);
	for (size_t i = 0; i < page.len && r == 0; i += STORE_ID_LEN)
		r = store_live_chunk(l, page.p + i, err);
	buf_release(&page);
	store_worker_free(worker);
	return r;
}

static inline void run_collector(struct actor *a)
{
	struct task *t = a->arg;
	unsigned rounds = t->rounds == 0 ? 1 : t->rounds;
	struct store *st = world_open(stepped_new(a, &t->err), &t->err);

	t->gc.walker.walk = walk;
	t->result = -1;
	for (unsigned i = 0; i < rounds && st != NULL && !a->killed; i++) {
		static const char *const said[] = { "gc: nothing",
			"gc: waits", "gc: done", "gc: void", "gc: lost" };

		t->result = store_gc(st, &t->gc, &t->gc_result, &t->err);
		actor_say(a, t->result != 0 ? "gc" :
		    said[t->gc_result.outcome], t->result, &t->err);
		t->w->collections += t->result == 0 &&
		    t->gc_result.outcome == STORE_GC_DONE;
	}
	store_close(st);
}

/* --- the others ---------------------------------------------------------------------*/

struct pick { struct task *t; uint8_t slot[STORE_SLOT_LEN]; unsigned seen; };

static inline int pick_one(void *ctx, struct store_snapshot **sn, struct err *err)
{
	struct pick *p = ctx;

	(void)err;
	if (draw(++p->seen) != 0)
		return 0;
	memcpy(p->slot, (*sn)->slot, sizeof(p->slot));
	memcpy(p->t->session, (*sn)->session, sizeof(p->t->session));
	return 0;
}

/* Forgets the snapshot that is named, or any.  0 or -1. */
static inline int forget_one(struct actor *a, struct store *st, const char *named)
{
	struct task *t = a->arg;
	struct pick p = { .t = t };
	int r = 0;

	memcpy(p.slot, st->info.slot, sizeof(p.slot));
	memcpy(t->session, named, sizeof(t->session));
	if (named[0] == '\0')
		r = store_snapshots(st, draw(2) == 0, pick_one, NULL, &p,
		    &t->err);
	if (r != 0 || t->session[0] == '\0')
		return r;
	r = store_forget(st, p.slot, t->session, "test", &t->err);
	actor_say(a, "forgot", r, &t->err);
	t->w->forgets += r == 0;
	return r < 0 ? -1 : 0;
}

/* Forgets what the task names, or any, then what is superseded. */
static inline void run_forgetter(struct actor *a)
{
	struct task *t = a->arg;
	struct store *st = world_open(stepped_new(a, &t->err), &t->err);
	char named[STORE_SESSION_MAX];
	int r = st == NULL ? -1 : 0;
	uint64_t n;

	memcpy(named, t->session, sizeof(named));
	for (unsigned i = 0; i == 0 || i < t->rounds; i++)
		if (r == 0)
			r = forget_one(a, st, named);
	if (r == 0)
		r = store_forget_superseded(st, &n, &t->err);
	if (r == 0)
		r = store_forget_expire(st, 30 * SIM_DAY, &n, &t->err);
	actor_say(a, "forgetting ends", r, &t->err);
	t->result = r;
	store_close(st);
}

static inline void run_merger(struct actor *a)
{
	struct task *t = a->arg;
	struct store_merge_options opt = { .force = t->force };
	struct store_merge_result res;
	struct store *st = world_open(stepped_new(a, &t->err), &t->err);

	t->result = -1;
	for (unsigned i = 0; i <= t->rounds && st != NULL && !a->killed; i++) {
		t->result = store_merge(st, &opt, &res, &t->err);
		actor_say(a, "merged", t->result, &t->err);
		t->w->merges += t->result == 0;
	}
	store_close(st);
}

/* Begins a new epoch: the keys of all that is put from then on. */
static inline void run_rotator(struct actor *a)
{
	struct task *t = a->arg;
	struct store_rotate_options opt = { .new_ids = false };
	struct store_rotate_result res;
	struct store *st = world_open(stepped_new(a, &t->err), &t->err);

	t->result = -1;
	if (st != NULL)
		t->result = store_key_rotate(st, &opt, &res, &t->err);
	actor_say(a, "rotated", t->result, &t->err);
	t->w->rotations += t->result == 0;
	store_close(st);
}

struct reading { struct actor *a; struct store *st; struct store_worker *worker; };

/* What fails to be read must have been forgotten meanwhile. */
static inline int read_one(void *ctx, struct store_snapshot **sn, struct err *err)
{
	struct reading *g = ctx;
	struct task *t = g->a->arg;
	struct err why = ERR_INIT;
	char key[FMT_KEY_MAX], note[FMT_KEY_MAX];
	struct backend_stat bs;

	(void)err;
	if (snapshot_read(g->st, g->worker, *sn, &why) == 0 || g->a->killed)
		return 0;
	fmt_key_snapshot(key, (*sn)->slot, (*sn)->session);
	fmt_key_note(note, (*sn)->slot, (*sn)->session);
	if (backend_stat(g->a->s->mem, key, &bs, &t->err) == 0 &&
	    backend_stat(g->a->s->mem, note, &bs, &t->err) == 1)
		world_break(t->w, "a reader cannot read what is live", why.msg);
	return 0;
}

static inline void run_reader(struct actor *a)
{
	struct task *t = a->arg;
	struct reading g = { .a = a };

	g.st = world_open(stepped_new(a, &t->err), &t->err);
	if (g.st != NULL)
		g.worker = store_worker_new(g.st, ZIP_OFF, MAX_PLAIN, NULL,
		    &t->err);
	t->result = -1;
	for (unsigned i = 0; i <= t->rounds && g.worker != NULL; i++)
		t->result = store_snapshots(g.st, true, read_one, NULL, &g,
		    &t->err);
	actor_say(a, "reading ends", t->result, &t->err);
	store_worker_free(g.worker);
	store_close(g.st);
}

#endif
