/*
 * Removing a credential: what stands, what no longer counts, and that neither
 * an interruption nor a commit at any moment makes that a lie.
 */

#include "tests/unit/store_rotate.h"

static int count_fn(void *ctx, struct store_snapshot **sn, struct err *err)
{
	(void)sn;
	(void)err;
	(*(unsigned *)ctx)++;
	return 0;
}

static unsigned snapshots_of(struct backend *mem)
{
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;
	unsigned n = 0;

	ok(store_snapshots(st, true, count_fn, NULL, &n, &err));
	store_close(st);
	return n;
}

static void open_fails(struct backend *mem, const char *line)
{
	struct store_secret by_file = { .key_file = line };
	struct err err = ERR_INIT;

	assert_null(store_open(keep_new(mem), &by_file, NULL, &err));
	assert_int_equal(err.class, ERR_AUTH);
}

/* --- the rules -----------------------------------------------------------------*/

static void what_it_stored_stays_and_its_rights_go(void **state)
{
	struct scene sc;
	struct store *st;
	struct store_remove_result res;
	struct err err = ERR_INIT;

	(void)state;
	scene_make(&sc);
	st = reopen(sc.mem);
	ok(store_key_remove(st, sc.honest_slot, false, &res, &err));
	assert_int_equal(res.snapshots, 1);
	assert_false(res.last_reader);
	assert_int_equal(store_key_remove(st, sc.honest_slot, false, &res,
	    &err), 1);
	assert_int_equal(res.snapshots, 1);
	store_close(st);
	open_fails(sc.mem, sc.honest_line);
	expect_all(&sc);
	assert_int_equal(damages(sc.mem), 0);
	rotate_now(sc.mem, false);
	open_fails(sc.mem, sc.honest_line);
	expect_all(&sc);
	scene_free(&sc);
}

static void the_last_administrator_stays(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_secret none = { .slot = NULL };
	struct store_remove_result res;
	char own[17], slot[17], line[128];
	struct err err = ERR_INIT;

	(void)state;
	hex_encode(own, store_info(st)->slot, STORE_SLOT_LEN);
	assert_int_equal(remove_with(st, own, &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	assert_int_equal(remove_with(st, "0011223344556677", &err), -1);
	assert_int_equal(err.class, ERR_NOTFOUND);
	assert_int_equal(remove_with(st, "first", &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	/* Another one with admin: then the own one may go. */
	ok(store_key_add(st, STORE_ADMIN, "", "second", &none, slot, line,
	    &err));
	ok(store_key_remove(st, own, false, &res, &err));
	assert_false(res.last_reader);
	store_close(st);
	st = open_file(mem, line);
	/* It administers: it can add whoever reads. */
	ok(store_key_add(st, STORE_READ | STORE_WRITE, "", "third", &none, slot,
	    line, &err));
	ok(rotate_with(st, true, &err));
	store_close(st);
	st = open_file(mem, line);
	assert_int_equal(store_info(st)->epoch, 2);
	assert_int_equal(remove_with(st, slot, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	store_close(st);
	backend_close(mem);
}

static void a_weak_store_wants_a_sole_administrator(void **state)
{
	struct backend *mem = new_repository();
	const struct store_rotate_options opt = { .sole_administrator = true };
	struct store *st = reopen(mem);
	struct store_rotate_result ro;
	struct store_remove_result res;
	char slot[17], line[128];
	struct err err = ERR_INIT;

	(void)state;
	add_file(mem, STORE_WRITE, slot, line);
	st->info.weak_store = true;
	assert_int_equal(rotate_with(st, false, &err), -1);
	assert_int_equal(err.class, ERR_UNSUPPORTED);
	assert_int_equal(remove_with(st, slot, &err), -1);
	assert_int_equal(err.class, ERR_UNSUPPORTED);
	ok(store_key_remove(st, slot, true, &res, &err));
	ok(store_key_rotate(st, &opt, &ro, &err));
	assert_int_equal(ro.epoch, 2);
	assert_int_equal(ro.granted, 1);
	assert_int_equal(ro.left_out, 1);
	store_close(st);
	backend_close(mem);
}

/* Readers come and go: config does not remember them for ever. */
static void a_reader_that_was_removed_is_forgotten_by_the_next_epoch(
    void **state)
{
	struct backend *mem = new_repository();
	char slot[2][17], line[2][128], key[FMT_KEY_MAX];
	struct err err = ERR_INIT;
	struct store *st;
	uint8_t *cert;
	uint8_t who[8];
	size_t len;

	(void)state;
	add_file(mem, STORE_READ, slot[0], line[0]);
	add_file(mem, STORE_WRITE, slot[1], line[1]);
	assert_int_equal(hex_decode(who, 8, slot[0]), 0);
	fmt_key_cert(key, who);
	ok(backend_get_all(mem, key, 4096, &cert, &len, &err));
	for (int i = 0; i < 2; i++)
		remove_now(mem, slot[i]);
	st = reopen(mem);
	assert_int_equal(store_config_now(st)->c.ended.n, 2);
	store_close(st);
	rotate_now(mem, false);
	st = reopen(mem);
	assert_int_equal(store_config_now(st)->c.ended.n, 1);
	store_close(st);
	/* Its certificate is still there: it is granted nothing by that. */
	rotate_now(mem, false);
	open_fails(mem, line[0]);
	st = reopen(mem);
	assert_int_equal(store_config_now(st)->c.ended.n, 1);
	store_close(st);
	free(cert);
	backend_close(mem);
}

/* --- what counts of a slot that was removed -------------------------------------------*/

/* The thief keeps an opened store, and puts what it likes. */
static void nothing_that_it_signs_later_counts(void **state)
{
	struct scene sc;
	struct store *thief;
	struct store_session_options opt = { .volume = "vol",
		.content = STORE_TREE, .parent = "auto" };
	struct store_snapshot *sn = NULL;
	char name[FMT_SESSION_MAX], key[FMT_KEY_MAX], old[FMT_KEY_MAX];
	char snap[17];
	struct err err = ERR_INIT;
	uint8_t id[32];

	(void)state;
	scene_make(&sc);
	thief = open_file(sc.mem, sc.thief_line);
	backup_n(thief, 3, id, snap);
	ok(store_snapshot_find(thief, snap, &sn, &err));
	fmt_key_snapshot(old, sn->slot, sn->session);
	store_snapshot_free(sn);
	remove_now(sc.mem, sc.thief_slot);
	assert_int_equal(snapshots_of(sc.mem), 2);
	make_name(thief, LATE_MS, 0x77, name);
	fmt_key_snapshot(key, thief->info.slot, name);
	forge_snapshot(thief, key, NULL);
	assert_int_equal(snapshots_of(sc.mem), 2);
	/* Nor under the name of what stands, where overwriting is allowed. */
	assert_int_equal(backend_del(sc.mem, old, &err), 0);
	forge_snapshot(thief, old, NULL);
	assert_int_equal(snapshots_of(sc.mem), 1);
	assert_null(store_session_begin(thief, &opt, &err));
	assert_int_equal(err.class, ERR_AUTH);
	store_close(thief);
	expect_all(&sc);
	scene_free(&sc);
}

/* A segment that names what is nowhere makes nobody believe it is there. */
static void no_segment_that_it_adds_later_counts(void **state)
{
	(void)state;
	for (int known = 0; known < 2; known++) {
		struct scene sc;
		struct store *thief, *st;
		struct store_session *s;
		struct store_worker *w;
		struct store_snapshot *sn = NULL;
		struct fmt_index_entry e = { .ordinal = 0, .offset = 100,
			.sealed_len = 100, .plain_len = 50 };
		struct fmt_pack_record rec;
		struct fmt_index_entry at;
		uint8_t sealed[FMT_SEALED_KEY_BOX], p[1000], id[32];
		char name[FMT_SESSION_MAX], key[FMT_KEY_MAX], snap[17];
		struct err err = ERR_INIT;

		scene_make(&sc);
		thief = open_file(sc.mem, sc.thief_line);
		backup_n(thief, 3, id, snap);
		ok(store_snapshot_find(thief, snap, &sn, &err));
		make_name(thief, LATE_MS, 0x77, name);
		/* In a session of its own, or in one that stands. */
		fmt_key_segment(key, thief->info.slot, known ? sn->session :
		    name, 2);
		store_snapshot_free(sn);
		w = worker(thief);
		fill(p, sizeof(p), 99);
		store_blob_id(w, STORE_DATA, p, sizeof(p), e.id);
		where(thief, sc.data, &at, &rec, sealed);
		remove_now(sc.mem, sc.thief_slot);
		forge_segment(thief, key, &rec, 1, &e, 1);
		store_worker_free(w);
		store_close(thief);
		st = open_file(sc.mem, sc.honest_line);
		w = worker(st);
		s = begin(st);
		assert_true(put_n(s, w, STORE_DATA, 99, 1000, NULL));
		store_session_abort(s);
		store_worker_free(w);
		store_close(st);
		expect_stands(sc.mem, snap, id, 3);
		scene_free(&sc);
	}
}

/* Whoever may delete takes the list away: that gives nothing back. */
static void without_its_list_nothing_of_it_counts_until_it_is_made_anew(
    void **state)
{
	struct scene sc;
	struct store *st;
	struct store_keys keys = { 0 };
	struct err err = ERR_INIT;
	size_t gone = 0;

	(void)state;
	scene_make(&sc);
	remove_now(sc.mem, sc.honest_slot);
	ok(store_keys_list(sc.mem, "keys/", &keys, &err));
	for (size_t i = 0; i < keys.n; i++) {
		struct fmt_key at;

		if (fmt_key_parse(store_keys_at(&keys, i), &at) == 0 &&
		    at.place == FMT_AT_END) {
			assert_int_equal(backend_del(sc.mem,
			    store_keys_at(&keys, i), &err), 0);
			gone++;
		}
	}
	store_keys_release(&keys);
	assert_int_equal(gone, 1);
	open_fails(sc.mem, sc.honest_line);
	assert_int_equal(snapshots_of(sc.mem), 0);
	assert_true(damages(sc.mem) > 0);
	st = reopen(sc.mem);
	ok(remove_with(st, sc.honest_slot, &err));
	store_close(st);
	assert_int_equal(snapshots_of(sc.mem), 1);
	assert_int_equal(damages(sc.mem), 0);
	expect_all(&sc);
	open_fails(sc.mem, sc.honest_line);
	scene_free(&sc);
}

/* --- at any moment -------------------------------------------------------------------------*/

static void killed_at_any_operation_it_can_be_run_again(void **state)
{
	(void)state;
	for (int lost = 0; lost < 2; lost++) {
		bool done = false;

		for (uint64_t at = 0; !done; at++) {
			struct scene sc;
			struct err err = ERR_INIT;
			struct store *st;

			scene_make(&sc);
			st = reopen(sc.mem);
			backend_close(st->be);
			st->be = backend_fault_new(keep_new(sc.mem), lost ?
			    lost_hook : killed_hook, &at, &err);
			done = remove_with(st, sc.honest_slot, &err) == 0;
			store_close(st);
			expect_all(&sc);
			st = reopen(sc.mem);
			assert_true(remove_with(st, sc.honest_slot, &err) >= 0);
			store_close(st);
			expect_all(&sc);
			open_fails(sc.mem, sc.honest_line);
			assert_int_equal(damages(sc.mem), 0);
			scene_free(&sc);
		}
	}
}

/* A node that has written all but its snapshot. */
struct node {
	struct store_session *s;
	struct err err;
	char snap[17];
	uint8_t id[32];
	int r;
};

static void commit_now(void *ctx)
{
	struct node *n = ctx;
	struct store_commit c = { .entries = 0, .user = "", .program = "" };

	n->r = store_session_commit(n->s, &c, n->snap, &n->err);
}

static void what_was_said_to_be_committed_stands(void **state)
{
	bool came = true;
	unsigned done = 0, refused = 0;

	(void)state;
	for (uint64_t at = 0; came; at++) {
		struct scene sc;
		struct err err = ERR_INIT;
		struct node n = { .err = ERR_INIT };
		struct moment m = { .at = at, .fn = commit_now, .ctx = &n };
		struct store *st, *node;
		struct store_worker *w;

		scene_make(&sc);
		node = open_file(sc.mem, sc.honest_line);
		w = worker(node);
		n.s = begin(node);
		put_n(n.s, w, STORE_DATA, 44, 1000, n.id);
		st = reopen(sc.mem);
		backend_close(st->be);
		st->be = backend_fault_new(keep_new(sc.mem), moment_hook, &m,
		    &err);
		ok(remove_with(st, sc.honest_slot, &err));
		came = m.came;
		if (!came)
			commit_now(&n);
		store_close(st);
		store_worker_free(w);
		store_close(node);
		if (n.r == 0) {
			expect_stands(sc.mem, n.snap, n.id, 44);
			assert_int_equal(damages(sc.mem), 0);
			done++;
		} else {
			assert_int_equal(n.err.class, ERR_AUTH);
			refused++;
		}
		expect_all(&sc);
		scene_free(&sc);
	}
	assert_true(done > 3 && refused > 3);
}

struct rotator { struct backend *mem; };

static void rotate_in_between(void *ctx)
{
	rotate_now(((struct rotator *)ctx)->mem, false);
}

/* Another administrator rotates meanwhile: it stays removed. */
static void a_rotation_meanwhile_brings_it_back_in_no_case(void **state)
{
	bool came = true;

	(void)state;
	for (uint64_t at = 0; came; at++) {
		struct scene sc;
		struct err err = ERR_INIT;
		struct rotator ro;
		struct moment m = { .at = at, .fn = rotate_in_between,
			.ctx = &ro };
		struct store *st;

		scene_make(&sc);
		ro.mem = sc.mem;
		st = reopen(sc.mem);
		backend_close(st->be);
		st->be = backend_fault_new(keep_new(sc.mem), moment_hook, &m,
		    &err);
		ok(remove_with(st, sc.honest_slot, &err));
		came = m.came;
		store_close(st);
		open_fails(sc.mem, sc.honest_line);
		rotate_now(sc.mem, false);
		open_fails(sc.mem, sc.honest_line);
		store_close(open_file(sc.mem, sc.thief_line));
		expect_all(&sc);
		scene_free(&sc);
	}
}

static void remove_in_between(void *ctx)
{
	struct scene *sc = ctx;

	remove_now(sc->mem, sc->honest_slot);
}

/* And the other way round: what was granted meanwhile is of no epoch. */
static void a_removal_while_keys_are_rotated_is_seen(void **state)
{
	bool came = true;

	(void)state;
	for (uint64_t at = 0; came; at++) {
		struct scene sc;
		struct err err = ERR_INIT;
		struct moment m = { .at = at, .fn = remove_in_between,
			.ctx = &sc };
		struct store *st;
		struct store_keys keys = { 0 };

		scene_make(&sc);
		st = reopen(sc.mem);
		backend_close(st->be);
		st->be = backend_fault_new(keep_new(sc.mem), moment_hook, &m,
		    &err);
		ok(rotate_with(st, false, &err));
		came = m.came;
		store_close(st);
		if (came)
			open_fails(sc.mem, sc.honest_line);
		/* No grant is left of an attempt that was given up. */
		ok(store_keys_list(sc.mem, "epochs/00000002/", &keys, &err));
		assert_int_equal(keys.n, came ? 2 : 3);
		store_keys_release(&keys);
		expect_all(&sc);
		scene_free(&sc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_stored_stays_and_its_rights_go),
		cmocka_unit_test(the_last_administrator_stays),
		cmocka_unit_test(a_weak_store_wants_a_sole_administrator),
		cmocka_unit_test(
		    a_reader_that_was_removed_is_forgotten_by_the_next_epoch),
		cmocka_unit_test(nothing_that_it_signs_later_counts),
		cmocka_unit_test(no_segment_that_it_adds_later_counts),
		cmocka_unit_test(
		    without_its_list_nothing_of_it_counts_until_it_is_made_anew),
		cmocka_unit_test(killed_at_any_operation_it_can_be_run_again),
		cmocka_unit_test(what_was_said_to_be_committed_stands),
		cmocka_unit_test(a_rotation_meanwhile_brings_it_back_in_no_case),
		cmocka_unit_test(a_removal_while_keys_are_rotated_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
