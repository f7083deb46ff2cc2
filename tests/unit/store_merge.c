/*
 * Merging the index: nothing is lost to anyone, whoever dies or runs beside it.
 */

#include <stdio.h>

#include "tests/unit/store_merge_world.h"

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

static void segments_of_an_old_epoch_move_to_the_new_one(void **state)
{
	struct store_rotate_options opt = { .new_ids = false };
	struct store_merge_result res;
	struct err err = ERR_INIT;
	struct store_seglist *l;
	struct world w;
	struct store *st;
	struct store_rotate_result rotated;

	(void)state;
	w.mem = new_repository();
	st = reopen(w.mem);
	for (unsigned n = 0; n < 4; n++)
		put_session(st, &w, n);
	ok(merge_with(st, 0, true, &res, &err));
	put_session(st, &w, 4);
	ok(store_key_rotate(st, &opt, &rotated, &err));
	store_close(st);
	st = reopen(w.mem);
	for (unsigned n = 5; n < SESSIONS; n++)
		put_session(st, &w, n);
	ok(merge_with(st, 0, true, &res, &err));
	assert_int_equal(res.segments_after, 1);
	store_close(st);
	st = reopen(w.mem);
	find_all(st, &w, 1);
	l = store_index_ref(st);
	assert_int_equal(l->n, 1);
	assert_int_equal(l->v[0]->head.epoch, 2);
	store_index_unref(st, l);
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

/* Nothing to merge for one that looks at sizes, but something to clean. */
static void tidy_beside(void *ctx)
{
	struct other *o = ctx;
	struct store_merge_result res;

	merge_ok(o->mem, false, &res);
}

/* New small segments are merged on top of whatever is in force. */
static void more_beside(void *ctx)
{
	struct other *o = ctx;
	struct store *st = reopen(o->mem);
	struct store_worker *tools = worker(st);
	struct store_merge_result res;

	for (unsigned n = 0; n < 4; n++) {
		struct store_session *s = begin(st);
		char snap[17];

		put_n(s, tools, STORE_STATE, 100001 + 2 * n, LEN, NULL);
		commit_n(s, NULL, snap);
	}
	store_worker_free(tools);
	store_close(st);
	merge_ok(o->mem, false, &res);
}

/* One merge all of which another may do at any moment between. */
static void one_beside(void (*beside)(void *ctx), unsigned sessions)
{
	struct store_merge_result res;
	struct world w;
	struct store *st;

	w.mem = new_repository();
	st = reopen(w.mem);
	for (unsigned n = 0; n < SESSIONS; n++) {
		if (n == SESSIONS - sessions)
			merge_ok(w.mem, true, &res);
		put_session(st, &w, n);
	}
	store_close(st);
	for (uint64_t n = 0;; n++) {
		struct backend *mem = copied(w.mem);
		struct other o = { .mem = mem };
		struct hook h = { .at = n, .fn = beside, .ctx = &o };
		struct err err = ERR_INIT;

		st = open_hooked(mem, &h);
		h.armed = true;
		ok(merge_with(st, 0, true, &res, &err));
		store_close(st);
		st = reopen(mem);
		find_all(st, &w, 5);
		store_close(st);
		backend_close(mem);
		if (!h.done)
			break;
	}
	backend_close(w.mem);
}

static void cleaning_spares_what_a_merge_has_just_written(void **state)
{
	(void)state;
	one_beside(tidy_beside, 2);
}

static void a_merge_on_top_keeps_what_is_below(void **state)
{
	(void)state;
	one_beside(more_beside, SESSIONS);
}

/* A store that lists piece by piece, with time between two pieces. */
static struct other *piecewise;

static int piece_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct backend *inner = ((struct keep *)be)->inner;
	int r;

	if (strcmp(prefix, "index/") != 0 || piecewise == NULL)
		return backend_list(inner, prefix, fn, ctx, err);
	r = backend_list(inner, "index/m", fn, ctx, err);
	merge_beside(piecewise);
	piecewise = NULL;
	for (const char *c = "0123456789abcdef"; *c != '\0' && r == 0; c++) {
		char part[] = { 'i', 'n', 'd', 'e', 'x', '/', *c, '\0' };

		r = backend_list(inner, part, fn, ctx, err);
	}
	return r;
}

static void what_is_merged_within_a_listing_is_found(void **state)
{
	struct err err = ERR_INIT;
	struct world w;
	struct other o;
	struct backend *be;
	struct backend_ops ops;
	struct store_loc loc;
	struct store *st;

	(void)state;
	world_make(&w);
	o = (struct other){ .mem = w.mem };
	be = keep_new(w.mem);
	ops = *be->ops;
	ops.list = piece_list;
	be->ops = &ops;
	st = store_open(be, &by_pass, NULL, &err);
	assert_non_null(st);
	piecewise = &o;
	/* By one listing, with no second look for what is missed. */
	ok(store_index_refresh(st, 0, &err));
	assert_null(piecewise);
	for (unsigned i = 0; i < SESSIONS * EACH; i += EACH) {
		struct store_lookup lk;

		store_lookup_begin(st, &lk, w.ids[i], UINT32_MAX, false);
		ok(store_lookup_next(st, &lk, &loc, &err));
		store_lookup_end(st, &lk);
	}
	store_close(st);
	backend_close(w.mem);
}

static void a_place_found_before_can_be_read_after(void **state)
{
	static const uint8_t unknown[32] = { 7 };
	struct store_merge_result res;
	struct err err = ERR_INIT;
	struct store_loc loc, none;
	struct store_worker *tools;
	struct world w;
	struct store *st;
	uint8_t sealed[256], plain[LEN], want[LEN];

	(void)state;
	world_make(&w);
	st = reopen(w.mem);
	tools = worker(st);
	ok(store_locate(st, w.ids[0], &loc, &err));
	merge_ok(w.mem, true, &res);
	store_index_stale(st);
	assert_int_equal(store_locate(st, unknown, &none, &err), 1);
	/* The segment that told the place is let go of by now. */
	ok(store_pack_read(st, loc.pack, loc.offset, sealed, loc.sealed_len,
	    &err));
	ok(store_blob_open(st, tools, STORE_STATE, w.ids[0], &loc, sealed,
	    plain, &err));
	fill(want, LEN, 1);
	assert_memory_equal(plain, want, LEN);
	store_worker_free(tools);
	store_close(st);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_segment_is_left_and_holds_everything),
		cmocka_unit_test(sizes_double_unless_forced),
		cmocka_unit_test(segments_of_an_old_epoch_move_to_the_new_one),
		cmocka_unit_test(what_an_open_session_wrote_is_left_alone),
		cmocka_unit_test(no_segment_is_larger_than_memory_allows),
		cmocka_unit_test(two_words_of_one_pack_both_stay),
		cmocka_unit_test(killed_anywhere_it_loses_nothing),
		cmocka_unit_test(two_merges_at_once_lose_nothing),
		cmocka_unit_test(cleaning_spares_what_a_merge_has_just_written),
		cmocka_unit_test(a_merge_on_top_keeps_what_is_below),
		cmocka_unit_test(what_is_merged_within_a_listing_is_found),
		cmocka_unit_test(a_place_found_before_can_be_read_after),
		cmocka_unit_test(readers_and_writers_find_all_at_every_step),
		cmocka_unit_test(a_listing_that_a_merge_overtakes_is_made_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
