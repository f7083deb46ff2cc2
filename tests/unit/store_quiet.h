#ifndef TESTS_UNIT_STORE_QUIET_H
#define TESTS_UNIT_STORE_QUIET_H

#include "repo/store/store_sessions.h"
#include "tests/unit/store_actors.h"

/* When all actors have ended: what is there is right, and nothing too much. */

/* Time goes on; what was on its way has arrived by then, or never does. */
static inline void world_jump(struct world *w, int64_t ns)
{
	for (unsigned i = w->s.nlate; i > 0; i--)
		if (w->s.late[i - 1].until_ns <= sim.ns + ns)
			late_take(&w->s, i - 1, draw(2) == 0);
	sim_pass(ns);
	sched_say(&w->s, "time", "passes", "", 0);
}

static inline bool quiet_there(struct world *w, const char *key)
{
	struct err err = ERR_INIT;
	struct backend_stat bs;

	return backend_stat(w->s.mem, key, &bs, &err) == 0;
}

/* What was reported as committed is there, or was forgotten. */
static inline void quiet_commits(struct world *w, struct store *st)
{
	for (unsigned i = 0; i < w->ndone; i++) {
		enum store_snapshot_state state = STORE_SNAP_NONE;
		struct err err = ERR_INIT;
		char key[FMT_KEY_MAX];
		bool noted = false;

		for (unsigned n = 0; n < w->nnoted; n++)
			noted |= strcmp(w->noted[n], w->done[i]) == 0;
		fmt_key_snapshot(key, st->info.slot, w->done[i]);
		if (!noted && (store_snapshot_look(st, key, &state, &err) != 0 ||
		        state != STORE_SNAP_REAL))
			world_break(w, key, "was committed and is none");
	}
}

static inline int quiet_break(struct world *w, const char *what,
    const struct err *err)
{
	world_break(w, what, err->msg);
	return -1;
}

/* Collect until nothing is dead.  0 or -1. */
static inline int quiet_collect(struct world *w, struct store *st)
{
	struct store_gc_options opt = { .max_waste = 1, .walker.walk = walk };
	struct store_gc_result res = { .outcome = STORE_GC_DONE };
	struct err err = ERR_INIT;

	for (int i = 0; i < 20; i++) {
		if (store_gc(st, &opt, &res, &err) != 0)
			return quiet_break(w, "gc when all is quiet", &err);
		if (res.outcome == STORE_GC_NOTHING)
			return 0;
		if (res.outcome == STORE_GC_WAITING) {
			world_break(w, "gc when all is quiet",
			    "it waits for somebody");
			return -1;
		}
		world_look(w);
	}
	world_break(w, "gc when all is quiet", "finds something dead for ever");
	return -1;
}

/* --- left over -----------------------------------------------------------------*/

struct used { struct world *w; struct store *st; struct store_worker *worker;
	struct store_keys packs; bool *used; };

static inline int used_id(struct used *u, const uint8_t *id, struct err *err)
{
	struct store_lookup lk;
	struct store_loc loc;
	int r;

	store_lookup_begin(u->st, &lk, id, UINT32_MAX, false);
	while ((r = store_lookup_next(u->st, &lk, &loc, err)) == 0) {
		struct store_packent e;
		char key[FMT_KEY_MAX];

		if (!store_packtab_at(u->st->packs, loc.pack, &e))
			continue;
		fmt_key_pack(key, e.name);
		for (size_t i = 0; i < u->packs.n; i++)
			if (strcmp(store_keys_at(&u->packs, i), key) == 0)
				u->used[i] = true;
	}
	store_lookup_end(u->st, &lk);
	return r < 0 ? -1 : 0;
}

static inline int used_by(void *ctx, struct store_snapshot **sn, struct err *err)
{
	struct used *u = ctx;
	struct buf page = BUF_INIT;
	int r = store_get(u->st, u->worker, STORE_STATE, (*sn)->state.id, &page,
	    err);

	if (r == 0)
		r = used_id(u, (*sn)->state.id, err);
	for (size_t i = 0; i < page.len && r == 0; i += STORE_ID_LEN)
		r = used_id(u, page.p + i, err);
	buf_release(&page);
	return r;
}

/* Each pack has a copy of something live. */
static inline void quiet_packs(struct world *w, struct store *st)
{
	struct err err = ERR_INIT;
	struct used u = { .w = w, .st = st };

	u.worker = store_worker_new(st, ZIP_OFF, MAX_PLAIN, NULL, &err);
	if (u.worker == NULL ||
	    store_keys_list(w->s.mem, "packs/", &u.packs, &err) != 0 ||
	    (u.used = calloc(u.packs.n + 1, sizeof(bool))) == NULL ||
	    store_snapshots(st, true, used_by, NULL, &u, &err) != 0)
		quiet_break(w, "what is used", &err);
	for (size_t i = 0; i < u.packs.n && u.used != NULL; i++)
		if (!u.used[i])
			world_break(w, store_keys_at(&u.packs, i),
			    "nothing live is in it, and it was not collected");
	store_keys_release(&u.packs);
	free(u.used);
	store_worker_free(u.worker);
}

struct none { struct world *w; const char *part; };

static inline int none_key(void *ctx, const char *key,
    const struct backend_stat *bs, struct err *err)
{
	struct none *n = ctx;

	(void)bs;
	(void)err;
	if (strstr(key, n->part) != NULL)
		world_break(n->w, key, "is left over");
	return 0;
}

/* No key begins with prefix and has part in it. */
static inline void quiet_none(struct world *w, const char *prefix,
    const char *part)
{
	struct none n = { w, part };
	struct err err = ERR_INIT;

	if (backend_list(w->s.mem, prefix, none_key, &n, &err) != 0)
		quiet_break(w, prefix, &err);
}

/*
 * A list belongs to a generation that is not over, or to none: one whose mark
 * was never put goes with the next generation, which has the same number.
 */
static inline int quiet_list(void *ctx, const char *key,
    const struct backend_stat *bs, struct err *err)
{
	char mark[FMT_KEY_MAX];
	struct fmt_key at;

	(void)bs;
	(void)err;
	if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_DEAD)
		return 0;
	fmt_key_mark(mark, at.n);
	if (quiet_there(ctx, mark))
		world_break(ctx, key, "is left over");
	return 0;
}

/* Sessions that are over left nothing; silent ones stay while nothing is dead. */
static inline int quiet_session(void *ctx, const struct store_session_info *i,
    struct err *err)
{
	(void)err;
	if (i->state != STORE_SESSION_OPEN)
		world_break(ctx, i->session, "is over, and its object is there");
	return 0;
}

static inline void quiet_report(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	(void)id;
	world_break(ctx, key, what);
}

static inline void quiet_check(struct world *w, struct store *st)
{
	struct store_check_options opt = { .read_percent = 100 };
	struct store_check_result res;
	struct err err = ERR_INIT;

	if (store_check(st, &opt, quiet_report, w, &res, &err) != 0)
		quiet_break(w, "check", &err);
	if (res.damaged != 0 || res.unindexed != 0)
		world_break(w, "check", "damage, or packs that nothing names");
}

/*
 * The end: what is silent is revoked, what is dead goes, months later the notes
 * go, too (unless somebody's clock was wrong), and the index is merged.
 */
static inline void world_quiet(struct world *w, bool notes_go)
{
	struct store_merge_options mopt = { .force = true };
	struct store_merge_result mres;
	struct err err = ERR_INIT;
	struct store *st;
	uint64_t n;

	world_jump(w, 10 * SIM_MIN);
	st = world_aside(w);
	quiet_commits(w, st);
	world_jump(w, 360 * SIM_MIN);
	if (quiet_collect(w, st) != 0)
		goto end;
	world_jump(w, 40 * SIM_DAY);
	if (store_forget_superseded(st, &n, &err) != 0 ||
	    store_forget_expire(st, 30 * SIM_DAY, &n, &err) != 0)
		quiet_break(w, "forgetting when all is quiet", &err);
	if (quiet_collect(w, st) != 0)
		goto end;
	store_close(st);
	st = world_aside(w);
	quiet_packs(w, st);
	if (backend_list(w->s.mem, "gc/", quiet_list, w, &err) != 0)
		quiet_break(w, "gc/", &err);
	if (store_sessions(st, quiet_session, w, &err) != 0)
		quiet_break(w, "sessions", &err);
	if (notes_go)
		quiet_none(w, "forgotten/", "");
	if (store_merge(st, &mopt, &mres, &err) != 0)
		quiet_break(w, "merging when all is quiet", &err);
	world_look(w);
	store_close(st);
	st = world_aside(w);
	quiet_check(w, st);
end:
	store_close(st);
}

#endif
