/*
 * Rotating the keys: what stays readable, who takes the new epoch, and that an
 * interruption or another administrator at any moment leaves a repository that
 * all can use.
 */

#include "tests/unit/store_rotate.h"

/* --- what stays ----------------------------------------------------------------*/

static void what_was_stored_before_stays(void **state)
{
	(void)state;
	for (int new_ids = 0; new_ids < 2; new_ids++) {
		struct scene sc;
		struct store *st;
		uint8_t id[32];
		char snap[17];

		scene_make(&sc);
		rotate_now(sc.mem, new_ids);
		rotate_now(sc.mem, false);
		expect_all(&sc);
		st = open_file(sc.mem, sc.honest_line);
		assert_int_equal(store_info(st)->epoch, 3);
		backup_n(st, 7, id, snap);
		store_close(st);
		expect_stands(sc.mem, snap, id, 7);
		expect_all(&sc);
		assert_int_equal(damages(sc.mem), 0);
		scene_free(&sc);
	}
}

static void a_passphrase_changed_after_a_rotation_opens(void **state)
{
	static const struct store_secret other = {
		.passphrase = "battery staple", .passphrase_len = 14,
	};
	struct backend *mem = new_repository();
	struct err err = ERR_INIT;
	struct store *st;
	uint8_t id[32];
	char snap[17];

	(void)state;
	rotate_now(mem, false);
	st = reopen(mem);
	ok(store_key_passwd(st, &other, &err));
	store_close(st);
	st = reopen_with(mem, &other, 0);
	ok(rotate_with(st, true, &err));
	store_close(st);
	st = reopen_with(mem, &other, 0);
	assert_int_equal(store_info(st)->epoch, 3);
	assert_int_equal(store_info(st)->rights, 7);
	backup_n(st, 1, id, snap);
	store_close(st);
	backend_close(mem);
}

static void a_credential_of_each_age_opens(void **state)
{
	struct backend *mem = new_repository();
	char slot[3][17], line[3][128];
	uint8_t id[3][32];
	char snap[3][17];

	(void)state;
	for (int i = 0; i < 3; i++) {
		add_file(mem, i == 1 ? STORE_WRITE | STORE_READ : STORE_WRITE,
		    slot[i], line[i]);
		rotate_now(mem, i == 1);
	}
	for (int i = 0; i < 3; i++) {
		struct store *st = open_file(mem, line[i]);

		assert_int_equal(store_info(st)->epoch, 4);
		backup_n(st, (uint64_t)i + 1, id[i], snap[i]);
		store_close(st);
	}
	for (int i = 0; i < 3; i++)
		expect_stands(mem, snap[i], id[i], (uint64_t)i + 1);
	backend_close(mem);
}

/* The incremental goes on over a rotation, but not over a new family secret. */
static void a_parent_is_of_the_same_family_secret(void **state)
{
	(void)state;
	for (int new_ids = 0; new_ids < 2; new_ids++) {
		struct scene sc;
		struct store *st;
		struct store_session *s;
		struct store_worker *w;
		struct err err = ERR_INIT;
		bool carry;

		scene_make(&sc);
		rotate_now(sc.mem, new_ids);
		st = open_file(sc.mem, sc.honest_line);
		w = worker(st);
		s = begin(st);
		assert_int_equal(store_session_parent(s, &carry) == NULL,
		    new_ids);
		assert_int_equal(carry, !new_ids);
		/* What is the same has another id, and is stored anew. */
		assert_int_equal(put_n(s, w, STORE_DATA, 1, BLOB_LEN, NULL),
		    new_ids);
		store_session_abort(s);
		if (new_ids) {
			struct store_session_options opt = { .volume = "vol",
				.content = STORE_TREE, .parent = sc.id };

			assert_null(store_session_begin(st, &opt, &err));
			assert_int_equal(err.class, ERR_USAGE);
		}
		store_worker_free(w);
		store_close(st);
		scene_free(&sc);
	}
}

/* Who may only write gets no more of earlier family secrets than he has. */
static void a_new_writer_confirms_no_guess_of_what_was_before(void **state)
{
	struct scene sc;
	struct store *st;
	char slot[17], line[128];

	(void)state;
	scene_make(&sc);
	rotate_now(sc.mem, true);
	add_file(sc.mem, STORE_WRITE, slot, line);
	st = open_file(sc.mem, line);
	assert_null(store_family_at(st, 1));
	assert_non_null(store_family_at(st, 2));
	store_close(st);
	st = open_file(sc.mem, sc.honest_line);
	assert_non_null(store_family_at(st, 1));
	store_close(st);
	scene_free(&sc);
}

/* --- who was there before --------------------------------------------------------*/

static void a_session_begun_before_commits_and_is_read(void **state)
{
	(void)state;
	for (int new_ids = 0; new_ids < 2; new_ids++) {
		struct scene sc;
		struct store *st, *reader;
		struct store_session *s;
		struct store_worker *w, *rw;
		struct store_snapshot *sn = NULL;
		struct err err = ERR_INIT;
		uint8_t id[32];
		char snap[17];

		scene_make(&sc);
		st = open_file(sc.mem, sc.honest_line);
		reader = reopen(sc.mem);
		rw = worker(reader);
		w = worker(st);
		s = begin(st);
		put_n(s, w, STORE_DATA, 5, 1000, NULL);
		rotate_now(sc.mem, new_ids);
		put_n(s, w, STORE_DATA, 6, 1000, id);
		commit_n(s, NULL, snap);
		expect_stands(sc.mem, snap, id, 6);
		/* Also by who opened before the rotation. */
		ok(store_snapshot_find(reader, snap, &sn, &err));
		assert_int_equal(sn->epoch, 1);
		store_snapshot_free(sn);
		expect_n(reader, rw, STORE_DATA, id, 6, 1000);
		store_worker_free(w);
		store_worker_free(rw);
		store_close(st);
		store_close(reader);
		assert_int_equal(damages(sc.mem), 0);
		scene_free(&sc);
	}
}

static void an_open_store_takes_the_new_epoch_by_itself(void **state)
{
	struct scene sc;
	struct store *st, *reader;
	struct store_worker *rw;
	struct store_snapshot *sn = NULL;
	struct store_session_options opt = { .volume = "vol",
		.content = STORE_TREE, .parent = "auto" };
	struct err err = ERR_INIT;
	uint8_t id[32];
	char snap[17];

	(void)state;
	scene_make(&sc);
	st = open_file(sc.mem, sc.honest_line);
	reader = reopen(sc.mem);
	rw = worker(reader);
	rotate_now(sc.mem, false);
	backup_n(st, 6, id, snap);
	ok(store_snapshot_find(reader, snap, &sn, &err));
	assert_int_equal(sn->epoch, 2);
	store_snapshot_free(sn);
	expect_n(reader, rw, STORE_DATA, id, 6, 1000);
	/* New ids cannot be made by what was opened before; reading goes on. */
	rotate_now(sc.mem, true);
	assert_null(store_session_begin(st, &opt, &err));
	assert_int_equal(err.class, ERR_CONFLICT);
	store_close(st);
	st = open_file(sc.mem, sc.honest_line);
	backup_n(st, 6, id, snap);
	store_close(st);
	sn = NULL;
	ok(store_snapshot_find(reader, snap, &sn, &err));
	assert_int_equal(sn->epoch, 3);
	store_snapshot_free(sn);
	expect_n(reader, rw, STORE_DATA, id, 6, 1000);
	store_worker_free(rw);
	store_close(reader);
	scene_free(&sc);
}

/* --- left out --------------------------------------------------------------------------*/

/* One whose grant is missing when the keys are rotated, once or twice. */
static void a_slot_left_out_stops(void **state)
{
	(void)state;
	for (int times = 1; times <= 2; times++) {
		struct scene sc;
		struct store *st, *open;
		struct store_secret by_file = { 0 };
		struct store_session_options opt = { .volume = "vol",
			.content = STORE_TREE, .parent = "auto" };
		struct store_epoch *e;
		struct err err = ERR_INIT;
		uint8_t tag[FMT_TAG_LEN];
		char key[FMT_KEY_MAX];

		scene_make(&sc);
		by_file.key_file = sc.honest_line;
		open = open_file(sc.mem, sc.honest_line);
		for (int i = 0; i < times; i++) {
			rotate_now(sc.mem, false);
			st = reopen(sc.mem);
			e = store_epoch_known(st, 2);
			fmt_epoch_tag(tag, e->admin_pub);
			fmt_key_grant(key, 2, tag, open->info.slot);
			backend_del(sc.mem, key, &err);
			store_close(st);
		}
		assert_null(store_open(keep_new(sc.mem), &by_file, NULL, &err));
		assert_int_equal(err.class, ERR_AUTH);
		assert_non_null(strstr(err.msg, "left out"));
		/* Also what was open: it starts no session, reads no new object. */
		assert_null(store_session_begin(open, &opt, &err));
		assert_int_equal(err.class, ERR_AUTH);
		assert_null(store_epoch_find(open, 2, &err));
		assert_int_equal(err.class, ERR_AUTH);
		assert_null(store_epoch_find(open, 9, &err));
		assert_int_equal(err.class, ERR_CORRUPT);
		store_close(open);
		scene_free(&sc);
	}
}

/* --- interrupted, and two at once ---------------------------------------------------------*/

/* All credentials open, under the same epoch; what each writes is read. */
static uint32_t all_can_go_on(struct scene *sc)
{
	const char *lines[] = { sc->honest_line, sc->thief_line };
	struct store *st = reopen(sc->mem);
	uint32_t epoch = store_info(st)->epoch;
	uint8_t id[32];
	char snap[17];

	store_close(st);
	for (size_t i = 0; i < 2; i++) {
		st = open_file(sc->mem, lines[i]);
		assert_int_equal(store_info(st)->epoch, epoch);
		backup_n(st, 10 + i, id, snap);
		store_close(st);
		expect_stands(sc->mem, snap, id, 10 + i);
	}
	expect_all(sc);
	return epoch;
}

static void killed_at_any_operation_it_can_be_run_again(void **state)
{
	(void)state;
	for (int lost = 0; lost < 2; lost++) {
		bool done = false;

		for (uint64_t at = 0; !done; at++) {
			struct scene sc;
			struct err err = ERR_INIT;
			struct store *st;
			uint32_t epoch;

			scene_make(&sc);
			st = reopen(sc.mem);
			backend_close(st->be);
			st->be = backend_fault_new(keep_new(sc.mem), lost ?
			    lost_hook : killed_hook, &at, &err);
			done = rotate_with(st, at % 2, &err) == 0;
			store_close(st);
			epoch = all_can_go_on(&sc);
			assert_true(epoch == 1 || epoch == 2);
			assert_true(!done || epoch == 2);
			rotate_now(sc.mem, false);
			assert_int_equal(all_can_go_on(&sc), epoch + 1);
			assert_int_equal(damages(sc.mem), 0);
			scene_free(&sc);
		}
	}
}

struct other { struct backend *mem; bool new_ids; int r; struct err err; };

static void rotate_other(void *ctx)
{
	struct other *o = ctx;
	struct store *st = reopen(o->mem);

	o->r = rotate_with(st, o->new_ids, &o->err);
	store_close(st);
}

/* Another rotates, wholly, before the n-th operation of this one. */
static void of_two_at_once_one_wins(void **state)
{
	bool came = true;

	(void)state;
	for (uint64_t at = 0; came; at++) {
		struct scene sc;
		struct err err = ERR_INIT;
		struct other o;
		struct moment m = { .at = at, .fn = rotate_other, .ctx = &o };
		struct store *st;
		uint32_t epoch;
		int r;

		scene_make(&sc);
		o = (struct other){ .mem = sc.mem, .new_ids = at % 2 };
		st = reopen(sc.mem);
		backend_close(st->be);
		st->be = backend_fault_new(keep_new(sc.mem), moment_hook, &m,
		    &err);
		r = rotate_with(st, at % 3 == 0, &err);
		came = m.came;
		store_close(st);
		if (came)
			assert_int_equal(o.r, 0);
		epoch = all_can_go_on(&sc);
		/* Either one of the two won, or one came after the other. */
		if (r != 0)
			assert_int_equal(err.class, ERR_CONFLICT);
		assert_int_equal(epoch, 1u + came + (r == 0));
		assert_int_equal(damages(sc.mem), 0);
		scene_free(&sc);
	}
}

/* A credential that is added while another administrator rotates. */
static void who_is_added_meanwhile_is_not_left_out(void **state)
{
	bool came = true;

	(void)state;
	for (uint64_t at = 0; came; at++) {
		struct scene sc;
		struct err err = ERR_INIT;
		struct store_secret none = { .slot = NULL };
		struct other o;
		struct moment m = { .at = at, .fn = rotate_other, .ctx = &o };
		char slot[17], line[128];
		struct store *st;

		scene_make(&sc);
		o = (struct other){ .mem = sc.mem, .new_ids = at % 2 };
		st = reopen(sc.mem);
		backend_close(st->be);
		st->be = backend_fault_new(keep_new(sc.mem), moment_hook, &m,
		    &err);
		ok(store_key_add(st, STORE_WRITE, "", "new", &none, slot, line,
		    &err));
		came = m.came;
		store_close(st);
		memcpy(sc.thief_line, line, sizeof(line));
		all_can_go_on(&sc);
		scene_free(&sc);
	}
}

/* --- what is in the way ----------------------------------------------------------------------*/

/* Whoever may put objects takes all names that can be known before. */
static void rubbish_keeps_nobody_from_rotating(void **state)
{
	struct scene sc;
	struct err err = ERR_INIT;
	uint8_t slot[8], tag[8] = { 1 };
	char key[FMT_KEY_MAX], newer[16] = "WHRY\1\2";

	(void)state;
	scene_make(&sc);
	for (uint32_t m = 2; m < 40; m++) {
		fmt_key_config(key, m);
		ok(backend_put(sc.mem, key, m % 2 ? newer : "rubbish",
		    m % 2 ? sizeof(newer) : 7, &err));
	}
	fmt_key_config(key, UINT32_MAX);
	ok(backend_put(sc.mem, key, newer, sizeof(newer), &err));
	assert_int_equal(hex_decode(slot, 8, sc.honest_slot), 0);
	fmt_key_grant(key, 2, tag, slot);
	ok(backend_put(sc.mem, key, "rubbish", 7, &err));
	fmt_key_cert(key, tag);
	ok(backend_put(sc.mem, key, newer, sizeof(newer), &err));
	rotate_now(sc.mem, true);
	assert_int_equal(all_can_go_on(&sc), 2);
	remove_now(sc.mem, sc.honest_slot);
	memcpy(sc.honest_line, sc.thief_line, sizeof(sc.thief_line));
	assert_int_equal(all_can_go_on(&sc), 2);
	scene_free(&sc);
}

/* A later version of the format stops who cannot read it, when it is signed. */
static void a_newer_version_stops_when_an_administrator_signed_it(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	char key[FMT_KEY_MAX];

	(void)state;
	fmt_key_config(key, 9);
	buf_add(&obj, "WHRY\1\2\0\0\1\0\0\0\0\0\0\0a later layout", 30);
	ok(store_admin_put(st, key, &obj, &err));
	buf_release(&obj);
	store_close(st);
	assert_null(store_open(keep_new(mem), &by_pass, NULL, &err));
	assert_int_equal(err.class, ERR_UNSUPPORTED);
	backend_close(mem);
}

/* --- domains ---------------------------------------------------------------------------------*/

/* The keys of one domain say nothing of another's ids, before and after. */
static void a_domain_is_not_confirmed_from_another(void **state)
{
	struct backend *mem = new_repository();
	struct store_secret none = { .slot = NULL };
	char slot[17], mine[128], theirs[128], snap[17];
	struct store *st = reopen(mem), *a, *b;
	struct err err = ERR_INIT;

	(void)state;
	ok(store_key_add(st, STORE_WRITE, "mine", "", &none, slot, mine, &err));
	ok(store_key_add(st, STORE_WRITE, "theirs", "", &none, slot, theirs,
	    &err));
	store_close(st);
	for (int round = 0; round < 2; round++) {
		struct store_worker *w;
		struct store_session *s;
		uint8_t id[32], guess[32], p[1000];

		b = open_file(mem, theirs);
		backup_n(b, 1, id, snap);
		store_close(b);
		a = open_file(mem, mine);
		w = worker(a);
		fill(p, sizeof(p), 1);
		store_blob_id(w, STORE_DATA, p, sizeof(p), guess);
		assert_memory_not_equal(guess, id, 32);
		/* No key that is held makes their id. */
		for (struct store_family *f = a->families; f != NULL;
		    f = f->next) {
			crypto_id(f->idkey, STORE_DATA, p, sizeof(p), guess);
			assert_memory_not_equal(guess, id, 32);
		}
		s = begin(a);
		assert_true(put_n(s, w, STORE_DATA, 1, 1000, NULL));
		store_session_abort(s);
		store_worker_free(w);
		store_close(a);
		rotate_now(mem, true);
	}
	backend_close(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_stored_before_stays),
		cmocka_unit_test(a_passphrase_changed_after_a_rotation_opens),
		cmocka_unit_test(a_credential_of_each_age_opens),
		cmocka_unit_test(a_parent_is_of_the_same_family_secret),
		cmocka_unit_test(
		    a_new_writer_confirms_no_guess_of_what_was_before),
		cmocka_unit_test(a_session_begun_before_commits_and_is_read),
		cmocka_unit_test(an_open_store_takes_the_new_epoch_by_itself),
		cmocka_unit_test(a_slot_left_out_stops),
		cmocka_unit_test(killed_at_any_operation_it_can_be_run_again),
		cmocka_unit_test(of_two_at_once_one_wins),
		cmocka_unit_test(who_is_added_meanwhile_is_not_left_out),
		cmocka_unit_test(rubbish_keeps_nobody_from_rotating),
		cmocka_unit_test(
		    a_newer_version_stops_when_an_administrator_signed_it),
		cmocka_unit_test(a_domain_is_not_confirmed_from_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
