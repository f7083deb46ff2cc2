/*
 * Merging the index: nothing is lost to anyone, whoever dies or runs beside it.
 */

#include <stdio.h>

#include "repo/format/fmt_gc.h"
#include "repo/store/store_check.h"
#include "repo/store/store_gc.h"
#include "repo/store/store_internal.h"
#include "tests/unit/store_data.h"

#define SESSIONS 9u
#define EACH 40u   /* blobs of one session */
#define LEN 60u

struct world {
	struct backend *mem;
	uint8_t ids[SESSIONS * EACH][32];
};

static void put_session(struct store *st, struct world *w, unsigned n)
{
	struct store_worker *tools = worker(st);
	struct store_session *s = begin(st);
	char snap[17];

	for (unsigned i = n * EACH; i < (n + 1) * EACH; i++)
		assert_true(put_n(s, tools, STORE_STATE, 2 * i + 1, LEN,
		    w->ids[i]));
	commit_n(s, NULL, snap);
	store_worker_free(tools);
}

static void world_make(struct world *w)
{
	struct store *st;

	w->mem = new_repository();
	st = reopen(w->mem);
	for (unsigned n = 0; n < SESSIONS; n++)
		put_session(st, w, n);
	store_close(st);
}

/* A copy of all objects, to begin the same story anew. */
static int copy_object(void *ctx, const char *key,
    const struct backend_stat *bs, struct err *err)
{
	struct backend **be = ctx;
	uint8_t *data;
	size_t len;

	(void)bs;
	(void)err;
	struct err e = ERR_INIT;

	assert_int_equal(backend_get_all(be[0], key, 1 << 26, &data, &len,
	    &e), 0);
	assert_int_equal(backend_put(be[1], key, data, len, &e), 0);
	free(data);
	return 0;
}

static struct backend *copied(struct backend *mem)
{
	struct err err = ERR_INIT;
	struct backend *be[2] = { mem, backend_mem_new(&err) };

	assert_non_null(be[1]);
	ok(backend_list(mem, "", copy_object, be, &err));
	return be[1];
}

/* Every blob, each `step`-th at least, comes back. */
static void find_all(struct store *st, struct world *w, unsigned step)
{
	struct store_worker *tools = worker(st);

	for (unsigned i = 0; i < SESSIONS * EACH; i += step)
		expect_n(st, tools, STORE_STATE, w->ids[i], 2 * i + 1, LEN);
	store_worker_free(tools);
}

static int merge_with(struct store *st, size_t memory, bool force,
    struct store_merge_result *ret, struct err *err)
{
	struct store_merge_options opt = { .memory = memory, .force = force };

	return store_merge(st, &opt, ret, err);
}

static void merge_ok(struct backend *mem, bool force,
    struct store_merge_result *ret)
{
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;

	ok(merge_with(st, 0, force, ret, &err));
	store_close(st);
}

static int count_key(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	(void)key;
	(void)bs;
	(void)err;
	++*(unsigned *)ctx;
	return 0;
}

static unsigned objects(struct backend *mem, const char *prefix)
{
	struct err err = ERR_INIT;
	unsigned n = 0;

	ok(backend_list(mem, prefix, count_key, &n, &err));
	return n;
}

static void told(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	(void)ctx;
	(void)id;
	fail_msg("check: %s: %s", key, what);
}

static void check_ok(struct backend *mem)
{
	struct store *st = reopen(mem);
	struct store_check_options opt = { .read_percent = 100 };
	struct store_check_result res;
	struct err err = ERR_INIT;

	ok(store_check(st, &opt, told, NULL, &res, &err));
	assert_int_equal(res.unindexed, 0);
	store_close(st);
}

/* --- what a merge does ----------------------------------------------------------*/

static void one_segment_is_left_and_holds_everything(void **state)
{
	struct store_merge_result res;
	struct world w;
	struct store *st;

	(void)state;
	world_make(&w);
	merge_ok(w.mem, false, &res);
	assert_int_equal(res.segments_before, SESSIONS);
	assert_int_equal(res.segments_after, 1);
	assert_int_equal(res.entries, SESSIONS * EACH);
	assert_int_equal(res.dropped, 0);
	/* The segment and its manifest, nothing else. */
	assert_int_equal(objects(w.mem, "index/"), 2);
	st = reopen(w.mem);
	find_all(st, &w, 1);
	store_close(st);
	check_ok(w.mem);
	/* Merging again changes nothing. */
	merge_ok(w.mem, true, &res);
	assert_int_equal(res.written, 0);
	assert_int_equal(res.segments_after, 1);
	assert_int_equal(objects(w.mem, "index/"), 2);
	backend_close(w.mem);
}

static void sizes_double_unless_forced(void **state)
{
	struct store_merge_result res;
	struct world w;
	struct store *st;

	(void)state;
	w.mem = new_repository();
	st = reopen(w.mem);
	for (unsigned n = 0; n < 4; n++)
		put_session(st, &w, n);
	merge_ok(w.mem, false, &res);
	assert_int_equal(res.segments_after, 1);
	/* Three new ones beside a large one are not worth it. */
	for (unsigned n = 4; n < 7; n++)
		put_session(st, &w, n);
	merge_ok(w.mem, false, &res);
	assert_int_equal(res.segments_after, 4);
	put_session(st, &w, 7);
	merge_ok(w.mem, false, &res);
	assert_int_equal(res.segments_after, 1);
	put_session(st, &w, 8);
	store_close(st);
	merge_ok(w.mem, true, &res);
	assert_int_equal(res.segments_after, 1);
	st = reopen(w.mem);
	find_all(st, &w, 1);
	store_close(st);
	backend_close(w.mem);
}

static void what_an_open_session_wrote_is_left_alone(void **state)
{
	struct store_merge_result res;
	struct store_session *s;
	struct store_worker *tools;
	struct world w;
	struct store *st;
	char snap[17];
	uint8_t id[32];

	(void)state;
	world_make(&w);
	st = reopen(w.mem);
	tools = worker(st);
	s = begin(st);
	/* So many that a segment is written under way. */
	for (uint64_t i = 0; i < 120000; i++)
		put_n(s, tools, STORE_STATE, 1000001 + 2 * i, 24,
		    i == 0 ? id : NULL);
	assert_true(objects(w.mem, "index/") > SESSIONS);
	merge_ok(w.mem, true, &res);
	assert_true(res.segments_after > 1);
	assert_false(put_n(s, tools, STORE_STATE, 1000001, 24, NULL));
	commit_n(s, NULL, snap);
	merge_ok(w.mem, true, &res);
	assert_int_equal(res.segments_after, 1);
	expect_n(st, tools, STORE_STATE, id, 1000001, 24);
	store_worker_free(tools);
	store_close(st);
	backend_close(w.mem);
}

static void no_segment_is_larger_than_memory_allows(void **state)
{
	struct store_merge_result res;
	struct store_session *s;
	struct store_worker *tools;
	struct world w;
	struct store *st;
	struct err err = ERR_INIT;
	struct store_keys keys = { 0 };
	char snap[17];
	uint8_t id[20][32];

	(void)state;
	w.mem = new_repository();
	st = reopen(w.mem);
	tools = worker(st);
	for (unsigned n = 0; n < 20; n++) {
		s = begin(st);
		for (uint64_t i = 0; i < 5000; i++)
			put_n(s, tools, STORE_STATE, 1 + 2 * (n * 5000 + i),
			    24, id[n]);
		commit_n(s, NULL, snap);
	}
	ok(merge_with(st, 4 << 20, true, &res, &err));
	assert_true(res.segments_after > 1 && res.segments_after < 10);
	ok(store_keys_list(w.mem, "index/merged/", &keys, &err));
	for (size_t i = 0; i < keys.n; i++)
		assert_true(keys.v[i].size <= (4 << 20) / 5 * 2);
	store_keys_release(&keys);
	for (unsigned n = 0; n < 20; n++)
		expect_n(st, tools, STORE_STATE, id[n],
		    1 + 2 * (n * 5000 + 4999), 24);
	store_worker_free(tools);
	store_close(st);
	check_ok(w.mem);
	backend_close(w.mem);
}

static void two_words_of_one_pack_both_stay(void **state)
{
	struct store_merge_result res;
	struct store_keys keys = { 0 };
	struct err err = ERR_INIT;
	struct world w;
	struct store *st;
	uint8_t *data;
	size_t len;

	(void)state;
	/* A lost removal: sources are there again, uncovered. */
	world_make(&w);
	ok(store_keys_list(w.mem, "index/", &keys, &err));
	ok(backend_get_all(w.mem, store_keys_at(&keys, 0), 1 << 20, &data,
	    &len, &err));
	merge_ok(w.mem, true, &res);
	ok(backend_put(w.mem, store_keys_at(&keys, 0), data, len, &err));
	free(data);
	merge_ok(w.mem, true, &res);
	/* What was said alike stands once; the covered one was removed. */
	assert_int_equal(objects(w.mem, "index/"), 2);
	store_keys_release(&keys);
	st = reopen(w.mem);
	find_all(st, &w, 1);
	store_close(st);
	check_ok(w.mem);
	backend_close(w.mem);
}

/* --- beside others ----------------------------------------------------------------*/

/* Something to be done before the n-th call of a backend, once it is armed. */
struct hook {
	uint64_t at, count;
	bool armed;
	void (*fn)(void *ctx);
	void *ctx;
	bool done, dies, after;
};

static enum backend_fault hook_decide(void *ctx, enum backend_op op,
    const char *key, uint64_t all)
{
	struct hook *h = ctx;
	uint64_t count;

	(void)op;
	(void)key;
	(void)all;
	if (!h->armed)
		return BACKEND_FAULT_NONE;
	count = h->count++;
	if (h->dies && count >= h->at)
		return count == h->at && h->after ? BACKEND_FAULT_AFTER :
		    BACKEND_FAULT_BEFORE;
	if (count == h->at && h->fn != NULL && !h->done) {
		h->done = true;
		h->fn(h->ctx);
	}
	return BACKEND_FAULT_NONE;
}

static struct store *open_hooked(struct backend *mem, struct hook *h)
{
	struct err err = ERR_INIT;
	struct backend *be = backend_fault_new(keep_new(mem), hook_decide, h,
	    &err);
	struct store *st = store_open(be, &by_pass, NULL, &err);

	if (st == NULL)
		fail_msg("store_open: %s", err.msg);
	return st;
}

static void killed_anywhere_it_loses_nothing(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	for (int after = 0; after < 2; after++) {
		for (uint64_t n = 0;; n++) {
			struct hook h = { .at = n, .dies = true,
				.after = after != 0 };
			struct backend *mem = copied(w.mem);
			struct store_merge_result res;
			struct store *st = open_hooked(mem, &h), *reader;
			struct err err = ERR_INIT;
			int r;

			reader = reopen(mem);
			find_all(reader, &w, EACH);
			h.armed = true;
			r = merge_with(st, 0, false, &res, &err);
			store_close(st);
			find_all(reader, &w, 7);
			store_close(reader);
			reader = reopen(mem);
			find_all(reader, &w, 7);
			store_close(reader);
			merge_ok(mem, false, &res);
			assert_int_equal(objects(mem, "index/merged/"), 1);
			assert_int_equal(objects(mem, "index/"), 2);
			reader = reopen(mem);
			find_all(reader, &w, 7);
			store_close(reader);
			check_ok(mem);
			backend_close(mem);
			if (r == 0)
				break;
		}
	}
	backend_close(w.mem);
}

struct other { struct backend *mem; struct world *w; struct store *reader;
	struct store_session *session; struct store_worker *tools; };

static void merge_beside(void *ctx)
{
	struct other *o = ctx;
	struct store_merge_result res;

	merge_ok(o->mem, true, &res);
}

static void two_merges_at_once_lose_nothing(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	for (uint64_t n = 0;; n++) {
		struct backend *mem = copied(w.mem);
		struct other o = { .mem = mem };
		struct hook h = { .at = n, .fn = merge_beside, .ctx = &o };
		struct store *st = open_hooked(mem, &h), *reader;
		struct store_merge_result res;
		struct err err = ERR_INIT;

		h.armed = true;
		ok(merge_with(st, 0, false, &res, &err));
		assert_false(res.lost);
		store_close(st);
		reader = reopen(mem);
		find_all(reader, &w, 5);
		store_close(reader);
		merge_ok(mem, true, &res);
		assert_int_equal(objects(mem, "index/"), 2);
		check_ok(mem);
		backend_close(mem);
		if (!h.done)
			break;
	}
	backend_close(w.mem);
}

/* One that read before, one that writes since before, one that comes anew. */
static void look_beside(void *ctx)
{
	struct other *o = ctx;
	struct store *fresh = reopen(o->mem);

	find_all(fresh, o->w, 31);
	store_close(fresh);
	find_all(o->reader, o->w, 17);
	for (unsigned i = 0; i < SESSIONS * EACH; i += 13)
		assert_false(put_n(o->session, o->tools, STORE_STATE,
		    2 * i + 1, LEN, NULL));
}

static void readers_and_writers_find_all_at_every_step(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	for (uint64_t n = 0;; n++) {
		struct backend *mem = copied(w.mem);
		struct other o = { .mem = mem, .w = &w,
			.reader = reopen_with(mem, &by_pass, 1 << 12) };
		struct store *writer = reopen_with(mem, &by_pass, 1 << 12);
		struct hook h = { .at = n, .fn = look_beside, .ctx = &o };
		struct store *st = open_hooked(mem, &h);
		struct store_merge_result res;
		struct err err = ERR_INIT;

		o.session = begin(writer);
		o.tools = worker(writer);
		find_all(o.reader, &w, EACH * 2);
		h.armed = true;
		ok(merge_with(st, 0, true, &res, &err));
		store_close(st);
		look_beside(&o);
		store_session_abort(o.session);
		store_worker_free(o.tools);
		store_close(writer);
		store_close(o.reader);
		backend_close(mem);
		if (!h.done)
			break;
	}
	backend_close(w.mem);
}

static void a_listing_that_a_merge_overtakes_is_made_again(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	for (uint64_t n = 0; n < 40; n++) {
		struct backend *mem = copied(w.mem);
		struct other o = { .mem = mem };
		struct hook h = { .at = n, .fn = merge_beside, .ctx = &o };
		struct store *st = open_hooked(mem, &h);

		/* A whole merge between any two calls of a reader. */
		h.armed = true;
		find_all(st, &w, 29);
		store_close(st);
		backend_close(mem);
	}
	backend_close(w.mem);
}

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
		cmocka_unit_test(one_segment_is_left_and_holds_everything),
		cmocka_unit_test(sizes_double_unless_forced),
		cmocka_unit_test(what_an_open_session_wrote_is_left_alone),
		cmocka_unit_test(no_segment_is_larger_than_memory_allows),
		cmocka_unit_test(two_words_of_one_pack_both_stay),
		cmocka_unit_test(killed_anywhere_it_loses_nothing),
		cmocka_unit_test(two_merges_at_once_lose_nothing),
		cmocka_unit_test(readers_and_writers_find_all_at_every_step),
		cmocka_unit_test(
		    a_listing_that_a_merge_overtakes_is_made_again),
		cmocka_unit_test(only_what_a_verdict_deleted_leaves),
		cmocka_unit_test(when_all_has_left_no_segment_is_left),
		cmocka_unit_test(a_damaged_source_is_left_alone),
		cmocka_unit_test(rubbish_above_the_manifest_hinders_nothing),
		cmocka_unit_test(over_a_damaged_manifest_nothing_is_merged),
		cmocka_unit_test(it_needs_an_administrator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
