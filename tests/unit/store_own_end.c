/*
 * A session that fails ends itself: its slot signs a revocation at the snapshot's
 * key.  No collection waits for it then; it ends nobody else's session, and takes
 * no snapshot away.
 */

#include "repo/store/store_forget.h"
#include "repo/store/store_gc.h"
#include "repo/store/store_sessions.h"
#include "tests/unit/store_rotate.h"

static int walk(void *ctx, struct store *st, const struct store_snapshot *sn,
    struct store_live *l, struct err *err)
{
	const struct scene *sc = ctx;

	(void)st, (void)sn;
	return store_live_page(l, STORE_STATE, sc->state, err) < 0 ||
	    store_live_chunk(l, sc->data, err) < 0 ? -1 : 0;
}

/* Collect twice, for the first may find something to carry out.  0 or -1. */
static int collect(struct scene *sc, struct store_gc_result *res, struct err *err)
{
	struct store_gc_options opt = { .memory = 16 << 20, .walker = { walk, sc } };
	struct store *st = reopen(sc->mem);
	int r = store_gc(st, &opt, res, err);

	store_close(st);
	return r;
}

/* A forgotten snapshot: so a collection has something to do, and waits. */
static void make_rubbish(struct scene *sc)
{
	struct store *st = reopen(sc->mem);
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;
	uint8_t id[32];
	char snap[17];

	backup_n(st, 70, id, snap);
	ok(store_snapshot_find(st, snap, &sn, &err));
	ok(store_forget(st, sn->slot, sn->session, "test", &err));
	store_snapshot_free(sn);
	store_close(st);
}

static void expect_no_waiting(struct scene *sc, uint64_t waiting)
{
	struct store_gc_result res;
	struct err err = ERR_INIT;

	ok(collect(sc, &res, &err));
	assert_int_equal(res.sessions_waiting, waiting);
	assert_int_equal(res.outcome == STORE_GC_WAITING, waiting > 0);
	assert_int_equal(res.sessions_revoked, 0);
	expect_all(sc);
	assert_int_equal(damages(sc->mem), 0);
}

static enum store_snapshot_state look(struct backend *mem, const char *key)
{
	enum store_snapshot_state at;
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;

	ok(store_snapshot_look(st, key, &at, &err));
	store_close(st);
	return at;
}

/* What its slot says: that session is over. */
static void sign_end(struct store *st, const char *key, bool over)
{
	const struct fmt_revocation rv = { .epoch = st->info.epoch, .time_ns = 1 };
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;

	ok(fmt_revocation_encode(&obj, &rv, &err));
	ok(fmt_sign_append(&obj, st->info.repository, key, st->info.slot,
	    st->own->half.sign_seed, &err));
	ok(over ? backend_put_over(st->be, key, obj.p, obj.len, &err) :
	    backend_put(st->be, key, obj.p, obj.len, &err));
	buf_release(&obj);
}

/* --- it is over ---------------------------------------------------------------------*/

static void who_gives_up_is_not_waited_for(void **state)
{
	struct scene sc;
	struct store *st;
	struct store_session *s, *open;
	struct store_worker *w;
	char key[FMT_KEY_MAX];

	(void)state;
	scene_make(&sc);
	make_rubbish(&sc);
	st = open_file(sc.mem, sc.honest_line);
	w = worker(st);
	open = begin(st);
	s = begin(st);
	put_n(s, w, STORE_DATA, 3, BLOB_LEN, NULL);
	fmt_key_snapshot(key, st->info.slot, s->name);
	expect_no_waiting(&sc, 2);
	store_session_abort(s);
	assert_int_equal(look(sc.mem, key), STORE_SNAP_REVOKED);
	expect_no_waiting(&sc, 1);
	store_session_abort(open);
	expect_no_waiting(&sc, 0);
	/* The chain goes on. */
	s = begin(st);
	commit_n(s, NULL, key);
	expect_no_waiting(&sc, 0);
	store_worker_free(w);
	store_close(st);
	scene_free(&sc);
}

struct fails { const char *prefix; enum backend_fault how; unsigned tries; };

/* Puts below a prefix fail. */
static enum backend_fault fail_puts(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	struct fails *f = ctx;

	(void)count;
	if (op != BACKEND_PUT || f->prefix == NULL ||
	    strncmp(key, f->prefix, strlen(f->prefix)) != 0)
		return BACKEND_FAULT_NONE;
	f->tries++;
	return f->how;
}

static struct store *open_failing(struct scene *sc, struct fails *f)
{
	struct store_secret secret = { .key_file = sc->honest_line };
	struct store_options opt = { .memory = 1 << 20 };
	struct err err = ERR_INIT;
	struct store *st = store_open(backend_fault_new(keep_new(sc->mem),
	    fail_puts, f, &err), &secret, &opt, &err);

	if (st == NULL)
		fail_msg("%s", err.msg);
	return st;
}

static void a_commit_that_fails_is_not_waited_for(void **state)
{
	static const char *const prefix[] = { "packs/", "index/" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fails f = { .how = BACKEND_FAULT_FULL };
		struct store_commit c = { .user = "", .program = "" };
		struct err err = ERR_INIT;
		struct scene sc;
		struct store *st;
		struct store_session *s;
		struct store_worker *w;
		char id[17];

		scene_make(&sc);
		make_rubbish(&sc);
		st = open_failing(&sc, &f);
		w = worker(st);
		s = begin(st);
		put_n(s, w, STORE_DATA, 3, BLOB_LEN, NULL);
		f.prefix = prefix[i];
		assert_int_equal(store_session_commit(s, &c, id, &err), -1);
		assert_int_equal(err.class, ERR_FULL);
		assert_true(f.tries > 0);
		expect_no_waiting(&sc, 0);
		store_worker_free(w);
		store_close(st);
		scene_free(&sc);
	}
}

static void a_beginning_that_fails_is_not_waited_for(void **state)
{
	struct store_session_options opt = {
		.volume = "vol", .host = "h", .content = STORE_TREE,
		.parent = "0123456789abcdef", .pack_buffers = 5,
	};
	struct err err = ERR_INIT;
	struct scene sc;
	struct store *st;

	(void)state;
	scene_make(&sc);
	make_rubbish(&sc);
	st = open_file(sc.mem, sc.honest_line);
	assert_null(store_session_begin(st, &opt, &err));
	expect_no_waiting(&sc, 0);
	store_close(st);
	scene_free(&sc);
}

/* A store that did not answer is not asked again: that would take its time. */
static void a_dead_store_is_left_alone(void **state)
{
	struct fails f = { .how = BACKEND_FAULT_BEFORE };
	struct store_commit c = { .user = "", .program = "" };
	struct err err = ERR_INIT;
	struct scene sc;
	struct store *st;
	struct store_session *s;
	struct store_worker *w;
	char id[17];

	(void)state;
	scene_make(&sc);
	make_rubbish(&sc);
	st = open_failing(&sc, &f);
	w = worker(st);
	s = begin(st);
	f.prefix = "snapshots/";
	assert_int_equal(store_session_commit(s, &c, id, &err), -1);
	assert_int_equal(err.class, ERR_TRANSIENT);
	assert_int_equal(f.tries, 1);
	f.prefix = NULL;
	expect_no_waiting(&sc, 1);
	store_worker_free(w);
	store_close(st);
	scene_free(&sc);
}

/* R12: what was sent may arrive, and a put there takes the place of another. */
static void a_weak_store_keeps_its_commit(void **state)
{
	struct fails f = { .how = BACKEND_FAULT_FULL };
	struct store_commit c = { .user = "", .program = "" };
	struct err err = ERR_INIT;
	struct scene sc;
	struct store *st;
	char id[17];

	(void)state;
	scene_make(&sc);
	st = open_failing(&sc, &f);
	st->info.weak_store = true;
	f.prefix = "snapshots/";
	assert_int_equal(store_session_commit(begin(st), &c, id, &err), -1);
	assert_int_equal(f.tries, 1);
	store_session_abort(begin(st));
	assert_int_equal(f.tries, 2);
	store_close(st);
	scene_free(&sc);
}

/* Racing for one key: whoever loses, no snapshot is there and then is not. */
static void nothing_is_committed_behind_an_end(void **state)
{
	struct store_commit c = { .user = "", .program = "" };
	struct err err = ERR_INIT;
	struct scene sc;
	struct store *st;
	struct store_session *s;
	char key[FMT_KEY_MAX], id[17];

	(void)state;
	scene_make(&sc);
	st = open_file(sc.mem, sc.honest_line);
	s = begin(st);
	fmt_key_snapshot(key, st->info.slot, s->name);
	sign_end(st, key, false);
	assert_int_equal(store_session_commit(s, &c, id, &err), -1);
	assert_int_equal(err.class, ERR_CONFLICT);
	assert_int_equal(look(sc.mem, key), STORE_SNAP_REVOKED);
	expect_no_waiting(&sc, 0);
	store_close(st);
	scene_free(&sc);
}

/* --- what a slot cannot do by it -----------------------------------------------------*/

/* The key of the honest snapshot. */
static void honest_key(struct scene *sc, char key[FMT_KEY_MAX])
{
	struct store *st = reopen(sc->mem);
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;

	ok(store_snapshot_find(st, sc->id, &sn, &err));
	fmt_key_snapshot(key, sn->slot, sn->session);
	store_snapshot_free(sn);
	store_close(st);
}

/* Under another slot it is rubbish as any other: it stops, and deletes nothing. */
static void a_slot_ends_no_other_slots_sessions(void **state)
{
	struct store_gc_result res;
	struct err err = ERR_INIT;
	struct scene sc;
	struct store *thief;
	char key[FMT_KEY_MAX];

	(void)state;
	scene_make(&sc);
	make_rubbish(&sc);
	honest_key(&sc, key);
	thief = open_file(sc.mem, sc.thief_line);
	sign_end(thief, key, true);
	assert_int_equal(look(sc.mem, key), STORE_SNAP_UNBELIEVED);
	assert_int_equal(collect(&sc, &res, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	store_close(thief);
	scene_free(&sc);
}

/* Whoever still holds a removed credential takes away nothing that stands. */
static void what_stands_of_a_removed_slot_is_not_ended(void **state)
{
	struct store_gc_result res;
	struct err err = ERR_INIT;
	struct scene sc;
	struct store *st;
	struct store_session *s;
	struct store_worker *w;
	char key[FMT_KEY_MAX], failed[FMT_KEY_MAX];

	(void)state;
	scene_make(&sc);
	make_rubbish(&sc);
	honest_key(&sc, key);
	st = open_file(sc.mem, sc.honest_line);
	w = worker(st);
	s = begin(st);
	put_n(s, w, STORE_DATA, 3, BLOB_LEN, NULL);
	fmt_key_snapshot(failed, st->info.slot, s->name);
	store_session_abort(s);
	s = begin(st);
	remove_now(sc.mem, sc.honest_slot);
	/* One that ended before, one that ends after: they are over, no damage. */
	assert_int_equal(look(sc.mem, failed), STORE_SNAP_REVOKED);
	fmt_key_snapshot(failed, st->info.slot, s->name);
	store_session_abort(s);
	assert_int_equal(look(sc.mem, failed), STORE_SNAP_REVOKED);
	expect_no_waiting(&sc, 0);
	sign_end(st, key, true);
	assert_int_equal(look(sc.mem, key), STORE_SNAP_UNBELIEVED);
	assert_int_equal(collect(&sc, &res, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	store_worker_free(w);
	store_close(st);
	scene_free(&sc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_gives_up_is_not_waited_for),
		cmocka_unit_test(a_commit_that_fails_is_not_waited_for),
		cmocka_unit_test(a_beginning_that_fails_is_not_waited_for),
		cmocka_unit_test(a_dead_store_is_left_alone),
		cmocka_unit_test(a_weak_store_keeps_its_commit),
		cmocka_unit_test(nothing_is_committed_behind_an_end),
		cmocka_unit_test(a_slot_ends_no_other_slots_sessions),
		cmocka_unit_test(what_stands_of_a_removed_slot_is_not_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
