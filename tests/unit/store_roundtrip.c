/* What is put and committed is found, got, and not stored twice. */

#include "tests/unit/store_data.h"

static void blobs_of_each_kind_come_back(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);
	uint8_t id[3][32];
	char snap[17];

	(void)state;
	for (int k = 0; k < 3; k++)
		assert_true(put_n(s, w, STORE_DATA + k, 7 + k, 100000, id[k]));
	commit_n(s, id[2], snap);
	assert_int_equal(strlen(snap), 16);
	store_worker_free(w);
	store_close(st);

	st = reopen(mem);
	w = worker(st);
	for (int k = 0; k < 3; k++)
		expect_n(st, w, STORE_DATA + k, id[k], 7 + k, 100000);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

static int first(void *ctx, struct store_snapshot **sn, struct err *err)
{
	struct store_snapshot **ret = ctx;

	(void)err;
	store_snapshot_free(*ret);
	*ret = *sn;
	*sn = NULL;
	return 0;
}

static void a_snapshot_tells_what_was_committed(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);
	struct store_snapshot *sn = NULL, *found = NULL;
	struct err err = ERR_INIT;
	uint8_t id[32];
	char snap[17];

	(void)state;
	put_n(s, w, STORE_STATE, 1, 50, id);
	commit_n(s, id, snap);
	ok(store_snapshots(st, false, first, NULL, &sn, &err));
	assert_non_null(sn);
	assert_string_equal(sn->id, snap);
	assert_string_equal(sn->volume, "vol");
	assert_string_equal(sn->host, "host");
	assert_string_equal(sn->user, "me");
	assert_int_equal(sn->tags.n, 2);
	assert_string_equal(sn->tags.v[1], "t2");
	assert_string_equal(sn->paths.v[0], "/data");
	assert_int_equal(sn->counter, 1);
	assert_memory_equal(sn->state.id, id, 32);
	assert_false(sn->sealed);
	ok(store_snapshot_find(st, snap, &found, &err));
	assert_string_equal(found->session, sn->session);
	store_snapshot_free(found);
	ok(store_snapshot_find(st, "latest", &found, &err));
	store_snapshot_free(found);
	ok(store_snapshot_find(st, "latest@vol", &found, &err));
	store_snapshot_free(found);
	assert_int_equal(store_snapshot_find(st, "latest@no", &found, &err), -1);
	assert_int_equal(err.class, ERR_NOTFOUND);
	ok(store_snapshot_find(st, "@2026-01-01T00:00Z", &found, &err));
	store_snapshot_free(found);
	assert_int_equal(store_snapshot_find(st, "@1969-01-01T00:00:01Z", &found,
	    &err), -1);
	store_snapshot_free(sn);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

static void nothing_is_stored_twice(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);
	struct store_session_stats stats;
	char snap[17];

	(void)state;
	for (uint64_t n = 0; n < 40; n++)
		assert_true(put_n(s, w, STORE_DATA, n, 90000, NULL));
	for (uint64_t n = 0; n < 40; n++)
		assert_false(put_n(s, w, STORE_DATA, n, 90000, NULL));
	/* The same bytes of another kind are another blob. */
	assert_true(put_n(s, w, STORE_STATE, 3, 90000, NULL));
	store_session_stats(s, &stats);
	assert_int_equal(stats.blobs_new, 41);
	assert_int_equal(stats.blobs_known, 40);
	commit_n(s, NULL, snap);
	store_worker_free(w);
	store_close(st);

	st = reopen(mem);
	w = worker(st);
	s = begin(st);
	for (uint64_t n = 0; n < 40; n++)
		assert_false(put_n(s, w, STORE_DATA, n, 90000, NULL));
	assert_true(put_n(s, w, STORE_DATA, 41, 90000, NULL));
	commit_n(s, NULL, snap);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

static void a_second_snapshot_has_a_parent_and_counts_on(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;
	struct store_session *s;
	char one[17], two[17];
	bool carry;

	(void)state;
	s = begin(st);
	assert_null(store_session_parent(s, &carry));
	commit_n(s, NULL, one);
	s = begin(st);
	assert_non_null(store_session_parent(s, &carry));
	assert_string_equal(store_session_parent(s, &carry)->id, one);
	assert_true(carry);
	commit_n(s, NULL, two);
	ok(store_snapshot_find(st, two, &sn, &err));
	assert_int_equal(sn->counter, 2);
	assert_int_equal(strlen(sn->predecessor), 46);
	assert_string_equal(sn->predecessor, sn->parent);
	store_snapshot_free(sn);
	store_close(st);
	backend_close(mem);
}

static void an_unknown_id_is_told_as_such(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct buf got = BUF_INIT;
	struct err err = ERR_INIT;
	struct store_loc loc;
	uint8_t id[32] = { 1 };

	(void)state;
	assert_int_equal(store_locate(st, id, &loc, &err), 1);
	assert_int_equal(store_get(st, w, STORE_DATA, id, &got, &err), 1);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

static void a_small_worker_reads_a_long_blob(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);
	struct err err = ERR_INIT;
	uint8_t id[32];
	char snap[17];

	(void)state;
	put_n(s, w, STORE_DATA, 3, 700000, id);
	commit_n(s, NULL, snap);
	store_worker_free(w);
	w = store_worker_new(st, ZIP_OFF, 4096, NULL, &err);
	assert_non_null(w);
	expect_n(st, w, STORE_DATA, id, 3, 700000);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

static void what_fits_into_no_pack_is_refused(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;
	struct store_worker *w = store_worker_new(st, ZIP_OFF, 2 << 20, NULL,
	    &err);
	struct store_session *s = begin(st);
	struct store_put_result res;

	(void)state;
	assert_non_null(w);
	assert_int_equal(put_as(s, w, STORE_DATA, 3, 1 << 20, &res, &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	store_session_abort(s);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

static void empty_and_tiny_blobs_come_back(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);
	uint8_t id[3][32];
	char snap[17];

	(void)state;
	for (uint64_t n = 0; n < 3; n++)
		assert_true(put_n(s, w, STORE_CATALOG, 1, n, id[n]));
	commit_n(s, NULL, snap);
	for (uint64_t n = 0; n < 3; n++)
		expect_n(st, w, STORE_CATALOG, id[n], 1, n);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blobs_of_each_kind_come_back),
		cmocka_unit_test(a_snapshot_tells_what_was_committed),
		cmocka_unit_test(nothing_is_stored_twice),
		cmocka_unit_test(a_second_snapshot_has_a_parent_and_counts_on),
		cmocka_unit_test(an_unknown_id_is_told_as_such),
		cmocka_unit_test(a_small_worker_reads_a_long_blob),
		cmocka_unit_test(what_fits_into_no_pack_is_refused),
		cmocka_unit_test(empty_and_tiny_blobs_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
