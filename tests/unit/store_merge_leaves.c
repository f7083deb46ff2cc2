/* Merging: what leaves the index, and what damage and rubbish do to it. */

#include <stdio.h>

#include "tests/unit/store_merge_world.h"

/* --- what leaves -------------------------------------------------------------------*/

static void admin_put(struct store *st, const char *key, struct buf *obj)
{
	struct err err = ERR_INIT;

	ok(fmt_sign_append(obj, st->info.repository, key, NULL,
	    store_epoch_known(st, 1)->sec->admin, &err));
	ok(backend_put(st->be, key, obj->p, obj->len, &err));
	buf_release(obj);
}

/* A generation that names the pack, and (what != 0) its verdict. */
static void put_generation(struct store *st, const uint8_t *pack, int what)
{
	struct fmt_list_buf packs = FMT_LIST_BUF_INIT;
	struct fmt_mark m = { .epoch = 1 };
	struct fmt_verdict v = { .epoch = 1, .what = (uint8_t)what };
	struct fmt_dead d = { .packs = { 0 } };
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	char key[FMT_KEY_MAX];
	uint8_t *mark;
	size_t len;

	fmt_list_add_pack(&packs, pack);
	d.packs = fmt_list_of(&packs);
	ok(fmt_dead_encode(&obj, 1, 1, store_epoch_known(st, 1)->sec->k.dead,
	    &d, &err));
	crypto_sha256(m.dead_hash, obj.p, obj.len);
	fmt_key_dead(key, 1, m.dead_hash);
	ok(backend_put(st->be, key, obj.p, obj.len, &err));
	buf_reset(&obj);
	fmt_key_mark(key, 1);
	ok(fmt_mark_encode(&obj, &m, &err));
	admin_put(st, key, &obj);
	fmt_list_release(&packs);
	if (what == 0)
		return;
	ok(backend_get_all(st->be, key, 1 << 20, &mark, &len, &err));
	crypto_sha256(v.mark_hash, mark, len);
	free(mark);
	if (what == FMT_DELETE)
		memcpy(v.dead_hash, m.dead_hash, 32);
	fmt_key_verdict(key, 1);
	ok(fmt_verdict_encode(&obj, &v, &err));
	admin_put(st, key, &obj);
}

static void only_what_a_verdict_deleted_leaves(void **state)
{
	static const struct { int what; bool gone; } cases[] = {
		{ FMT_DELETE, true }, { FMT_DELETE, false }, { 0, true },
		{ FMT_VOID, true }, { -1, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool leaves = cases[i].what == FMT_DELETE && cases[i].gone;
		struct store_merge_result res;
		struct err err = ERR_INIT;
		struct store_loc loc;
		struct fmt_key at;
		struct world w;
		struct store *st;
		char key[FMT_KEY_MAX];

		world_make(&w);
		merge_ok(w.mem, true, &res);
		st = reopen(w.mem);
		ok(store_locate(st, w.ids[0], &loc, &err));
		store_pack_name(st, loc.pack, key, sizeof(key));
		ok(fmt_key_parse(key, &at));
		if (cases[i].what >= 0)
			put_generation(st, at.name, cases[i].what);
		if (cases[i].gone)
			assert_int_equal(backend_del(w.mem, key, &err), 0);
		ok(merge_with(st, 0, false, &res, &err));
		assert_int_equal(res.written, leaves);
		assert_int_equal(res.dropped, leaves ? EACH : 0);
		assert_int_equal(res.stale, 0);
		store_close(st);
		st = reopen(w.mem);
		assert_int_equal(store_locate(st, w.ids[0], &loc, &err),
		    leaves);
		ok(store_locate(st, w.ids[EACH], &loc, &err));
		store_close(st);
		backend_close(w.mem);
	}
}

static void a_pack_that_was_lost_stays_named(void **state)
{
	struct store_merge_result res;
	struct err err = ERR_INIT;
	struct store_loc loc;
	struct world w;
	struct store *st;
	char key[FMT_KEY_MAX];

	(void)state;
	world_make(&w);
	st = reopen(w.mem);
	ok(store_locate(st, w.ids[0], &loc, &err));
	store_pack_name(st, loc.pack, key, sizeof(key));
	assert_int_equal(backend_del(w.mem, key, &err), 0);
	ok(merge_with(st, 0, true, &res, &err));
	assert_int_equal(res.dropped, 0);
	store_close(st);
	st = reopen(w.mem);
	ok(store_locate(st, w.ids[0], &loc, &err));
	store_close(st);
	backend_close(w.mem);
}

static void what_is_too_large_is_made_anew_in_parts(void **state)
{
	struct store_merge_result res;
	struct store_session *s;
	struct store_worker *tools;
	struct err err = ERR_INIT;
	struct store_loc loc;
	struct fmt_key at;
	struct world w;
	struct store *st;
	char snap[17], key[FMT_KEY_MAX];
	uint8_t id[12][32];
	unsigned lost = 0;

	(void)state;
	w.mem = new_repository();
	st = reopen(w.mem);
	tools = worker(st);
	for (unsigned n = 0; n < 12; n++) {
		s = begin(st);
		for (uint64_t i = 0; i < 10000; i++)
			put_n(s, tools, STORE_STATE, 1 + 2 * (n * 10000 + i),
			    24, i == 0 ? id[n] : NULL);
		commit_n(s, NULL, snap);
	}
	ok(merge_with(st, 64 << 20, true, &res, &err));
	assert_int_equal(res.segments_after, 1);
	ok(store_locate(st, id[3], &loc, &err));
	store_pack_name(st, loc.pack, key, sizeof(key));
	ok(fmt_key_parse(key, &at));
	put_generation(st, at.name, FMT_DELETE);
	assert_int_equal(backend_del(w.mem, key, &err), 0);
	store_worker_free(tools);
	store_close(st);
	st = reopen(w.mem);
	tools = worker(st);
	ok(merge_with(st, 4 << 20, false, &res, &err));
	assert_true(res.written >= 4);
	assert_int_equal(res.stale, 0);
	assert_true(res.dropped >= 10000 - 1);
	assert_int_equal(res.dropped + res.entries, 120000);
	for (unsigned n = 0; n < 12; n++) {
		if (store_locate(st, id[n], &loc, &err) != 0)
			lost++;
		else
			expect_n(st, tools, STORE_STATE, id[n],
			    1 + 2 * n * 10000, 24);
	}
	assert_int_equal(lost, 1);
	store_worker_free(tools);
	store_close(st);
	check_ok(w.mem);
	backend_close(w.mem);
}

static void when_all_has_left_no_segment_is_left(void **state)
{
	struct store_merge_result res;
	struct err err = ERR_INIT;
	struct store_loc loc;
	struct fmt_key at;
	struct world w;
	struct store *st;
	char key[FMT_KEY_MAX];

	(void)state;
	w.mem = new_repository();
	st = reopen(w.mem);
	put_session(st, &w, 0);
	ok(store_locate(st, w.ids[0], &loc, &err));
	store_pack_name(st, loc.pack, key, sizeof(key));
	ok(fmt_key_parse(key, &at));
	put_generation(st, at.name, FMT_DELETE);
	assert_int_equal(backend_del(w.mem, key, &err), 0);
	ok(merge_with(st, 0, false, &res, &err));
	assert_int_equal(res.segments_after, 0);
	assert_int_equal(objects(w.mem, "index/"), 1);
	store_close(st);
	st = reopen(w.mem);
	assert_int_equal(store_locate(st, w.ids[0], &loc, &err), 1);
	put_session(st, &w, 1);
	ok(store_locate(st, w.ids[EACH], &loc, &err));
	store_close(st);
	backend_close(w.mem);
}

/* --- what is damaged, or nobody's ----------------------------------------------------*/

static void a_damaged_source_is_left_alone(void **state)
{
	struct store_merge_result res;
	struct store_keys keys = { 0 };
	struct err err = ERR_INIT;
	struct world w;
	struct store *st;
	uint8_t *data;
	size_t len;
	unsigned lost = 0;

	(void)state;
	for (int block = 0; block < 2; block++) {
		world_make(&w);
		ok(store_keys_list(w.mem, "index/", &keys, &err));
		ok(backend_get_all(w.mem, store_keys_at(&keys, 3), 1 << 20,
		    &data, &len, &err));
		/* In a block, or in what is signed. */
		data[block ? 200 : len - 80] ^= 1;
		ok(backend_put_over(w.mem, store_keys_at(&keys, 3), data, len,
		    &err));
		free(data);
		merge_ok(w.mem, true, &res);
		assert_int_equal(res.segments_after, 2);
		st = reopen(w.mem);
		lost = 0;
		for (unsigned i = 0; i < SESSIONS * EACH; i++) {
			struct store_loc loc;

			if (store_locate(st, w.ids[i], &loc, &err) != 0)
				lost++;
		}
		assert_int_equal(lost, EACH);
		store_close(st);
		store_keys_release(&keys);
		backend_close(w.mem);
	}
}

static void rubbish_above_the_manifest_hinders_nothing(void **state)
{
	struct store_merge_result res;
	struct err err = ERR_INIT;
	struct world w;
	struct store *st;
	char key[FMT_KEY_MAX];

	(void)state;
	world_make(&w);
	for (uint64_t n = 1; n < 4; n++) {
		fmt_key_manifest(key, n);
		ok(backend_put(w.mem, key, "rubbish", 7, &err));
	}
	fmt_key_manifest(key, UINT64_MAX);
	ok(backend_put(w.mem, key, "", 0, &err));
	fmt_key_merged(key, STORE_MERGED_FIRST(2));
	ok(backend_put(w.mem, key, "rubbish", 7, &err));
	merge_ok(w.mem, false, &res);
	assert_int_equal(res.segments_after, 1);
	st = reopen(w.mem);
	find_all(st, &w, 3);
	store_close(st);
	backend_close(w.mem);
}

static void over_a_damaged_manifest_nothing_is_merged(void **state)
{
	struct store_merge_result res;
	struct err err = ERR_INIT;
	struct world w;
	struct store *st;
	uint8_t *data;
	size_t len;
	char key[FMT_KEY_MAX];

	(void)state;
	world_make(&w);
	merge_ok(w.mem, false, &res);
	fmt_key_manifest(key, 1);
	ok(backend_get_all(w.mem, key, 1 << 20, &data, &len, &err));
	data[20] ^= 1;
	ok(backend_put_over(w.mem, key, data, len, &err));
	st = reopen(w.mem);
	for (unsigned n = 0; n < 5; n++)
		put_session(st, &w, n); /* stored again: it is not found */
	assert_int_equal(merge_with(st, 0, false, &res, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	assert_non_null(strstr(err.msg, key));
	store_close(st);
	/* All is there when it is whole again. */
	data[20] ^= 1;
	ok(backend_put_over(w.mem, key, data, len, &err));
	free(data);
	merge_ok(w.mem, false, &res);
	st = reopen(w.mem);
	find_all(st, &w, 1);
	store_close(st);
	backend_close(w.mem);
}

static void it_needs_an_administrator(void **state)
{
	struct store_secret secret = { .slot = NULL };
	struct store_merge_result res;
	struct err err = ERR_INIT;
	struct world w;
	struct store *st;
	char slot[17], line[128];

	(void)state;
	world_make(&w);
	st = reopen(w.mem);
	ok(store_key_add(st, STORE_WRITE | STORE_READ, "", "", &secret, slot,
	    line, &err));
	store_close(st);
	secret.key_file = line;
	st = reopen_with(w.mem, &secret, 0);
	assert_int_equal(merge_with(st, 0, true, &res, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	store_close(st);
	backend_close(w.mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_a_verdict_deleted_leaves),
		cmocka_unit_test(a_pack_that_was_lost_stays_named),
		cmocka_unit_test(what_is_too_large_is_made_anew_in_parts),
		cmocka_unit_test(when_all_has_left_no_segment_is_left),
		cmocka_unit_test(a_damaged_source_is_left_alone),
		cmocka_unit_test(rubbish_above_the_manifest_hinders_nothing),
		cmocka_unit_test(over_a_damaged_manifest_nothing_is_merged),
		cmocka_unit_test(it_needs_an_administrator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
