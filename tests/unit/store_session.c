/* Sessions: parents, collections, revocation, lost answers, failures. */

#include <stdio.h>

#include "repo/base/clock.h"
#include "repo/format/fmt_gc.h"
#include "repo/format/fmt_snapshot.h"
#include "repo/store/store_internal.h"
#include "tests/unit/store_data.h"

/* --- objects that an administrator would put ---------------------------------*/

static void admin_put(struct store *st, const char *key, struct buf *obj)
{
	struct err err = ERR_INIT;

	ok(fmt_sign_append(obj, st->info.repository, key, NULL,
	    store_epoch_known(st, 1)->sec->admin, &err));
	ok(backend_put(st->be, key, obj->p, obj->len, &err));
	buf_release(obj);
}

static void put_note(struct store *st, const char *session)
{
	struct fmt_note n = { .epoch = 1, .reason = fmt_str("forget") };
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	char key[FMT_KEY_MAX];

	memcpy(n.session, session, strlen(session) + 1);
	fmt_key_note(key, st->info.slot, session);
	ok(fmt_note_encode(&obj, &n, &err));
	admin_put(st, key, &obj);
}

/* A mark whose list names pack as wholly dead, or (with n > 0) ordinals. */
static void put_mark(struct store *st, uint64_t number, const char *considered,
    const uint8_t *pack, const uint32_t *ordinals, size_t n, uint8_t list[32])
{
	struct fmt_list_buf packs = FMT_LIST_BUF_INIT;
	struct fmt_list_buf parts = FMT_LIST_BUF_INIT;
	struct fmt_list_buf snaps = FMT_LIST_BUF_INIT;
	struct fmt_mark m = { .epoch = 1, .time_ns = 1 };
	struct fmt_dead d;
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	char key[FMT_KEY_MAX];

	if (pack != NULL && n == 0)
		fmt_list_add_pack(&packs, pack);
	else if (pack != NULL)
		fmt_list_add_partial(&parts, pack, ordinals, n);
	d = (struct fmt_dead){ fmt_list_of(&packs), fmt_list_of(&parts) };
	ok(fmt_dead_encode(&obj, number, 1,
	    store_epoch_known(st, 1)->sec->k.dead, &d, &err));
	crypto_sha256(m.dead_hash, obj.p, obj.len);
	fmt_key_dead(key, number, m.dead_hash);
	ok(backend_put(st->be, key, obj.p, obj.len, &err));
	buf_reset(&obj);
	if (considered != NULL)
		fmt_list_add_snapshot(&snaps, st->info.slot, considered);
	m.snapshots = fmt_list_of(&snaps);
	fmt_key_mark(key, number);
	ok(fmt_mark_encode(&obj, &m, &err));
	memcpy(list, m.dead_hash, 32);
	admin_put(st, key, &obj);
	fmt_list_release(&packs);
	fmt_list_release(&parts);
	fmt_list_release(&snaps);
}

static void put_verdict(struct store *st, uint64_t number, int what,
    const uint8_t list[32])
{
	struct fmt_verdict v = { .epoch = 1, .what = (uint8_t)what };
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	char key[FMT_KEY_MAX];
	uint8_t *mark;
	size_t len;

	fmt_key_mark(key, number);
	ok(backend_get_all(st->be, key, 1 << 20, &mark, &len, &err));
	crypto_sha256(v.mark_hash, mark, len);
	free(mark);
	if (what == FMT_DELETE)
		memcpy(v.dead_hash, list, 32);
	fmt_key_verdict(key, number);
	ok(fmt_verdict_encode(&obj, &v, &err));
	admin_put(st, key, &obj);
}

/* The name of the pack that holds a blob. */
static void pack_of(struct store *st, const uint8_t id[32], uint8_t name[16],
    char key[FMT_KEY_MAX], uint32_t *ordinal)
{
	struct err err = ERR_INIT;
	struct store_loc loc;
	struct fmt_key at;

	ok(store_locate(st, id, &loc, &err));
	store_pack_name(st, loc.pack, key, FMT_KEY_MAX);
	ok(fmt_key_parse(key, &at));
	memcpy(name, at.name, 16);
	*ordinal = loc.ordinal;
}

/* A repository with one snapshot of two blobs in one state pack. */
static struct backend *with_two(uint8_t a[32], uint8_t b[32], char session[48])
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);
	struct store_snapshot *sn;
	struct err err = ERR_INIT;
	char snap[17];

	put_n(s, w, STORE_STATE, 1, 1000, a);
	put_n(s, w, STORE_STATE, 2, 1000, b);
	commit_n(s, a, snap);
	ok(store_snapshot_find(st, snap, &sn, &err));
	memcpy(session, sn->session, 48);
	store_snapshot_free(sn);
	store_worker_free(w);
	store_close(st);
	return mem;
}

/* --- R2 -----------------------------------------------------------------------*/

static void what_lost_its_pack_is_stored_again(void **state)
{
	uint8_t a[32], b[32], name[16];
	char session[48], key[FMT_KEY_MAX], snap[17];
	struct backend *mem = with_two(a, b, session);
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_session *s;
	struct err err = ERR_INIT;
	uint32_t ordinal;

	(void)state;
	pack_of(st, a, name, key, &ordinal);
	assert_int_equal(backend_del(mem, key, &err), 0);
	s = begin(st);
	assert_int_equal(store_present(s, a, &err), 1);
	assert_true(put_n(s, w, STORE_STATE, 1, 1000, NULL));
	assert_int_equal(store_present(s, a, &err), 0);
	assert_int_equal(store_present(s, b, &err), 1);
	commit_n(s, a, snap);
	expect_n(st, w, STORE_STATE, a, 1, 1000);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

static void a_pack_that_was_cut_does_not_count(void **state)
{
	uint8_t a[32], b[32], name[16], *data;
	char session[48], key[FMT_KEY_MAX];
	struct backend *mem = with_two(a, b, session);
	struct store *st = reopen(mem);
	struct store_session *s;
	struct err err = ERR_INIT;
	uint32_t ordinal;
	size_t len;

	(void)state;
	pack_of(st, a, name, key, &ordinal);
	ok(backend_get_all(mem, key, 64 << 20, &data, &len, &err));
	ok(backend_put_over(mem, key, data, len - 1, &err));
	s = begin(st);
	assert_int_equal(store_present(s, a, &err), 1);
	store_session_abort(s);
	free(data);
	store_close(st);
	backend_close(mem);
}

static void what_a_list_names_dead_is_stored_again(void **state)
{
	for (int verdict = 0; verdict < 3; verdict++) {
		uint8_t a[32], b[32], name[16], list[32];
		char session[48], key[FMT_KEY_MAX];
		struct backend *mem = with_two(a, b, session);
		struct store *st = reopen(mem);
		struct store_session *s;
		struct err err = ERR_INIT;
		uint32_t ordinal;

		pack_of(st, a, name, key, &ordinal);
		put_mark(st, 1, NULL, name, NULL, 0, list);
		if (verdict != 0)
			put_verdict(st, 1, verdict == 1 ? FMT_VOID : FMT_DELETE,
			    list);
		s = begin(st);
		assert_int_equal(store_present(s, a, &err), 1);
		assert_int_equal(store_present(s, b, &err), 1);
		store_session_abort(s);
		/* With its list gone, deletion is done: the pack decides. */
		fmt_key_dead(key, 1, list);
		assert_int_equal(backend_del(mem, key, &err), 0);
		if (verdict != 0) {
			s = begin(st);
			assert_int_equal(store_present(s, a, &err), 0);
			store_session_abort(s);
		}
		store_close(st);
		backend_close(mem);
	}
	(void)state;
}

static void an_open_generation_without_its_list_stops_writers(void **state)
{
	struct store_session_options opt = {
		.volume = "v", .content = STORE_TREE, .parent = "none",
	};
	uint8_t a[32], b[32], name[16], list[32];
	char session[48], key[FMT_KEY_MAX];
	struct backend *mem = with_two(a, b, session);
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;
	uint32_t ordinal;

	(void)state;
	pack_of(st, a, name, key, &ordinal);
	put_mark(st, 1, NULL, name, NULL, 0, list);
	fmt_key_dead(key, 1, list);
	assert_int_equal(backend_del(mem, key, &err), 0);
	assert_null(store_session_begin(st, &opt, &err));
	assert_int_equal(err.class, ERR_CORRUPT);
	store_close(st);
	backend_close(mem);
}

static void only_the_dead_ordinals_of_a_pack_are_dead(void **state)
{
	uint8_t a[32], b[32], name[16], list[32];
	char session[48], key[FMT_KEY_MAX];
	struct backend *mem = with_two(a, b, session);
	struct store *st = reopen(mem);
	struct store_session *s;
	struct err err = ERR_INIT;
	uint32_t ordinal;

	(void)state;
	pack_of(st, a, name, key, &ordinal);
	put_mark(st, 1, NULL, name, &ordinal, 1, list);
	s = begin(st);
	assert_int_equal(store_present(s, a, &err), 1);
	assert_int_equal(store_present(s, b, &err), 0);
	store_session_abort(s);
	store_close(st);
	backend_close(mem);
}

static void a_session_declares_the_highest_believed_generation(void **state)
{
	uint8_t a[32], b[32], list[32];
	char session[48], key[FMT_KEY_MAX];
	struct backend *mem = with_two(a, b, session);
	struct store *st = reopen(mem);
	struct store_snapshot *sn;
	struct store_session *s;
	struct err err = ERR_INIT;
	char snap[17];

	(void)state;
	put_mark(st, 3, session, NULL, NULL, 0, list);
	put_mark(st, 7, session, NULL, NULL, 0, list);
	fmt_key_mark(key, 9);
	ok(backend_put(mem, key, "WHRY forged", 11, &err));
	s = begin(st);
	commit_n(s, NULL, snap);
	ok(store_snapshot_find(st, snap, &sn, &err));
	assert_int_equal(sn->generation, 7);
	store_snapshot_free(sn);
	store_close(st);
	backend_close(mem);
}

/* --- R3 --------------------------------------------------------------------------*/

static void a_noted_snapshot_is_no_parent(void **state)
{
	uint8_t a[32], b[32];
	char session[48], key[FMT_KEY_MAX];
	struct backend *mem = with_two(a, b, session);
	struct store *st = reopen(mem);
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;
	struct store_session *s;
	bool carry;

	(void)state;
	/* Not one that somebody else made up. */
	fmt_key_note(key, st->info.slot, session);
	ok(backend_put(mem, key, "WHRY\x0b\x01\0\0\1\0\0\0\0\0\0\0 forged", 23, &err));
	s = begin(st);
	assert_non_null(store_session_parent(s, &carry));
	store_session_abort(s);
	assert_int_equal(backend_del(mem, key, &err), 0);
	put_note(st, session);
	s = begin(st);
	assert_null(store_session_parent(s, &carry));
	assert_false(carry);
	store_session_abort(s);
	assert_int_equal(store_snapshot_find(st, "latest", &sn, &err), -1);
	assert_int_equal(err.class, ERR_NOTFOUND);
	store_close(st);
	backend_close(mem);
}

static void an_open_generation_forbids_carrying(void **state)
{
	for (int listed = 0; listed < 2; listed++) {
		uint8_t a[32], b[32], list[32];
		char session[48];
		struct backend *mem = with_two(a, b, session);
		struct store *st = reopen(mem);
		struct store_session *s;
		bool carry;

		put_mark(st, 1, listed ? session : NULL, NULL, NULL, 0, list);
		s = begin(st);
		assert_non_null(store_session_parent(s, &carry));
		assert_int_equal(carry, listed);
		store_session_abort(s);
		put_verdict(st, 1, FMT_DELETE, list);
		s = begin(st);
		assert_non_null(store_session_parent(s, &carry));
		assert_true(carry);
		store_session_abort(s);
		store_close(st);
		backend_close(mem);
	}
	(void)state;
}

static void a_parent_can_be_named_or_left_out(void **state)
{
	uint8_t a[32], b[32];
	char session[48];
	struct backend *mem = with_two(a, b, session);
	struct store *st = reopen(mem);
	struct store_session_options opt = {
		.volume = "other", .content = STORE_TREE, .parent = session + 30,
	};
	struct err err = ERR_INIT;
	struct store_session *s;
	bool carry;

	(void)state;
	s = store_session_begin(st, &opt, &err);
	assert_non_null(s);
	assert_string_equal(store_session_parent(s, &carry)->session, session);
	store_session_abort(s);
	opt.volume = "vol";
	opt.parent = "none";
	s = store_session_begin(st, &opt, &err);
	assert_null(store_session_parent(s, &carry));
	store_session_abort(s);
	opt.parent = "0123456789abcdef";
	assert_null(store_session_begin(st, &opt, &err));
	assert_int_equal(err.class, ERR_NOTFOUND);
	/* Content of another kind is no parent. */
	opt.parent = "auto";
	opt.content = STORE_BLOCK;
	s = store_session_begin(st, &opt, &err);
	assert_null(store_session_parent(s, &carry));
	store_session_abort(s);
	store_close(st);
	backend_close(mem);
}

/* --- the end of a session -----------------------------------------------------------*/

static int only_session(void *ctx, const char *key,
    const struct backend_stat *bs, struct err *err)
{
	struct fmt_key *at = ctx;

	(void)bs;
	(void)err;
	return fmt_key_parse(key, at);
}

static void a_revoked_session_commits_nothing(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_session *s = begin(st);
	struct store_commit c = { .size = 1 };
	struct fmt_revocation rv = { .epoch = 1, .generation = 1 };
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	struct fmt_key at;
	char key[FMT_KEY_MAX], snap[17];

	(void)state;
	ok(backend_list(mem, "sessions/", only_session, &at, &err));
	fmt_key_snapshot(key, at.slot, at.session);
	ok(fmt_revocation_encode(&obj, &rv, &err));
	admin_put(st, key, &obj);
	assert_int_equal(store_session_commit(s, &c, snap, &err), -1);
	assert_int_equal(err.class, ERR_CONFLICT);
	store_close(st);
	backend_close(mem);
}

/* Loses answers of puts whose key begins so. */
static enum backend_fault lose_answer(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	const char *prefix = ctx;

	(void)count;
	return op == BACKEND_PUT && strncmp(key, prefix, strlen(prefix)) == 0 ?
	    BACKEND_FAULT_AFTER : BACKEND_FAULT_NONE;
}

static void lost_answers_are_settled_by_looking(void **state)
{
	static char lost[][12] = { "snapshots/", "packs/", "index/",
		"sessions/" };

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct backend *mem = new_repository();
		struct err err = ERR_INIT;
		struct backend *be = backend_fault_new(keep_new(mem),
		    lose_answer, lost[i], &err);
		struct store *st = store_open(be, &by_pass, NULL, &err);
		struct store_worker *w = worker(st);
		struct store_session *s = begin(st);
		uint8_t id[32];
		char snap[17];

		put_n(s, w, STORE_DATA, 1, 1000, id);
		commit_n(s, NULL, snap);
		expect_n(st, w, STORE_DATA, id, 1, 1000);
		store_worker_free(w);
		store_close(st);
		backend_close(mem);
	}
}

static void an_aborted_session_leaves_what_arrived(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);
	unsigned known = 0;

	(void)state;
	for (uint64_t n = 0; n < 60; n++)
		put_n(s, w, STORE_DATA, 2 * n + 1, 90000, NULL);
	store_session_abort(s);
	s = begin(st);
	for (uint64_t n = 0; n < 60; n++)
		known += !put_n(s, w, STORE_DATA, 2 * n + 1, 90000, NULL);
	assert_true(known > 20);
	store_session_abort(s);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

/* Fails everything from the moment that *ctx is set: the machine is gone. */
static enum backend_fault cut_off(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	(void)op;
	(void)key;
	(void)count;
	return *(bool *)ctx ? BACKEND_FAULT_BEFORE : BACKEND_FAULT_NONE;
}

static void a_killed_session_is_found_by_its_segments(void **state)
{
	struct backend *mem = new_repository();
	struct err err = ERR_INIT;
	bool gone = false;
	struct backend *be = backend_fault_new(keep_new(mem), cut_off, &gone,
	    &err);
	struct store *st = store_open(be, &by_pass, NULL, &err);
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);
	uint64_t total = 110000, known = 0;

	(void)state;
	/* Many small blobs: a segment is written long before the end. */
	for (uint64_t n = 0; n < total; n++)
		put_n(s, w, STORE_DATA, 2 * n + 1, 24, NULL);
	gone = true;
	store_session_abort(s);
	store_worker_free(w);
	store_close(st);

	st = reopen(mem);
	w = worker(st);
	s = begin(st);
	for (uint64_t n = 0; n < total; n++)
		known += !put_n(s, w, STORE_DATA, 2 * n + 1, 24, NULL);
	assert_true(known > total / 2 && known < total);
	store_session_abort(s);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

/* --- faults ----------------------------------------------------------------------------*/

struct nth { uint64_t at; bool reached, after; };

static enum backend_fault fail_nth(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	struct nth *n = ctx;

	(void)key;
	if (count < n->at)
		return BACKEND_FAULT_NONE;
	n->reached = true;
	if (op == BACKEND_PUT && n->after)
		return BACKEND_FAULT_AFTER;
	return BACKEND_FAULT_BEFORE; /* this one and all that follow */
}

static int see(void *ctx, struct store_snapshot **sn, struct err *err)
{
	(void)sn;
	(void)err;
	(*(unsigned *)ctx)++;
	return 0;
}

/* One backup that ends at operation n->at.  Return true when it committed. */
static bool backup_until(struct backend *mem, struct nth *n, uint8_t id[8][32])
{
	struct store_session_options opt = {
		.volume = "vol", .content = STORE_TREE, .parent = "auto",
		.pack_buffers = 4,
	};
	struct store_commit c = { .size = 1 };
	struct err err = ERR_INIT;
	struct store *st = store_open(backend_fault_new(keep_new(mem),
	    fail_nth, n, &err), &by_pass, NULL, &err);
	struct store_session *s = NULL;
	struct store_worker *w;
	struct store_put_result res;
	char snap[17];
	int r = -1;

	if (st == NULL)
		return false;
	w = worker(st);
	s = store_session_begin(st, &opt, &err);
	if (s != NULL) {
		r = 0;
		for (uint64_t i = 0; i < 8 && r == 0; i++) {
			r = put_as(s, w, STORE_DATA + i % 3, 2 * i + 1, 300000,
			    &res, &err);
			memcpy(id[i], res.id, 32);
		}
		if (r == 0)
			r = store_session_commit(s, &c, snap, &err);
		else
			store_session_abort(s);
	}
	store_worker_free(w);
	store_close(st);
	return r == 0;
}

static void no_failure_commits_what_is_not_there(void **state)
{
	(void)state;
	for (int after = 0; after < 2; after++) {
		struct nth n = { .reached = true, .after = after };

		for (n.at = 5; n.reached; n.at++) {
			struct backend *mem = new_repository();
			struct err err = ERR_INIT;
			uint8_t id[8][32];
			unsigned snaps = 0;
			struct store *st;
			struct store_worker *w;

			n.reached = false;
			bool done = backup_until(mem, &n, id);

			st = reopen(mem);
			ok(store_snapshots(st, true, see, NULL, &snaps, &err));
			if (done)
				assert_int_equal(snaps, 1);
			w = worker(st);
			for (uint64_t i = 0; i < 8 && snaps > 0; i++)
				expect_n(st, w, STORE_DATA + i % 3, id[i],
				    2 * i + 1, 300000);
			store_worker_free(w);
			store_close(st);
			backend_close(mem);
		}
		assert_true(n.at > 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_lost_its_pack_is_stored_again),
		cmocka_unit_test(a_pack_that_was_cut_does_not_count),
		cmocka_unit_test(what_a_list_names_dead_is_stored_again),
		cmocka_unit_test(
		    an_open_generation_without_its_list_stops_writers),
		cmocka_unit_test(only_the_dead_ordinals_of_a_pack_are_dead),
		cmocka_unit_test(
		    a_session_declares_the_highest_believed_generation),
		cmocka_unit_test(a_noted_snapshot_is_no_parent),
		cmocka_unit_test(an_open_generation_forbids_carrying),
		cmocka_unit_test(a_parent_can_be_named_or_left_out),
		cmocka_unit_test(a_revoked_session_commits_nothing),
		cmocka_unit_test(lost_answers_are_settled_by_looking),
		cmocka_unit_test(an_aborted_session_leaves_what_arrived),
		cmocka_unit_test(a_killed_session_is_found_by_its_segments),
		cmocka_unit_test(no_failure_commits_what_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
