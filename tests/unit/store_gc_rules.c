/* Collections: what goes, what stays, and each rule of the protocol. */

#include "tests/unit/store_gc_world.h"

/* --- what goes and what stays ------------------------------------------------*/

static void nothing_is_dead(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_result res;

	(void)state;
	assert_int_equal(collect(mem, NULL), STORE_GC_NOTHING);
	snapshot(mem, "a", 0, 20, NULL);
	assert_int_equal(collect(mem, &res), STORE_GC_NOTHING);
	assert_int_equal(res.blobs, 21);
	assert_int_equal(res.blobs_dead, 0);
	assert_int_equal(res.snapshots, 1);
	assert_int_equal(count(mem, "gc/").n, 0);
	/* The session object of what is over went (R11). */
	assert_int_equal(count(mem, "sessions/").n, 0);
	assert_int_equal(whole(mem), 1);
	backend_close(mem);
}

static void what_no_snapshot_needs_goes(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_result res;
	struct counted before, after;
	char a[48];

	(void)state;
	snapshot(mem, "a", 0, 40, a);
	snapshot(mem, "b", 100, 140, NULL);
	forget(mem, a);
	before = count(mem, "packs/");
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	after = count(mem, "packs/");
	assert_int_equal(res.generation, 1);
	assert_int_equal(res.packs, before.n);
	assert_int_equal(res.packs_deleted, before.n - after.n);
	assert_int_equal(res.bytes_deleted, before.bytes - after.bytes);
	assert_int_equal(res.packs_repacked, 0);
	assert_int_equal(res.blobs_dead, 41);
	assert_true(after.bytes < before.bytes * 6 / 10);
	assert_int_equal(whole(mem), 1);
	/* Mark and verdict stay for ever, the lists do not. */
	assert_true(exists(mem, GC1 "mark"));
	assert_true(exists(mem, GC1 "verdict"));
	assert_int_equal(count(mem, GC1 "dead").n, 0);
	assert_int_equal(collect(mem, &res), STORE_GC_NOTHING);
	/* Numbers are never used twice. */
	snapshot(mem, "a", 200, 210, a);
	forget(mem, a);
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	assert_int_equal(res.generation, 2);
	backend_close(mem);
}

static void packs_with_much_waste_are_repacked(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_result res;
	struct counted before, after;
	char a[48];

	(void)state;
	interleaved(mem, a, 3);
	forget(mem, a);
	before = count(mem, "packs/");
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	after = count(mem, "packs/");
	assert_true(res.packs_repacked > 0);
	assert_true(after.bytes < before.bytes / 2);
	assert_int_equal(whole(mem), 1);
	assert_int_equal(collect(mem, &res), STORE_GC_NOTHING);
	assert_int_equal(res.blobs_dead, 0);
	backend_close(mem);
}

static void little_waste_is_left(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_options opt = gc_options();
	struct store_gc_result res;
	struct err err = ERR_INIT;
	char a[48], b[48];

	(void)state;
	interleaved(mem, a, 3);
	forget(mem, a);
	opt.max_waste = 90;
	ok(collect_with(mem, NULL, &opt, &res, &err));
	/* Only the pack of the one's state is wholly dead. */
	assert_int_equal(res.packs_repacked, 0);
	assert_int_equal(res.blobs_dead, 41);
	/* As much as may be, and the rest the next time. */
	opt.max_waste = 0;
	opt.max_repack = 1200000;
	ok(collect_with(mem, NULL, &opt, &res, &err));
	assert_int_equal(res.packs_repacked, 1);
	opt.max_repack = 0;
	ok(collect_with(mem, NULL, &opt, &res, &err));
	assert_true(res.packs_repacked > 0);
	assert_int_equal(whole(mem), 1);
	(void)b;
	backend_close(mem);
}

static void a_dry_run_puts_nothing(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_options opt = gc_options();
	struct store_gc_result res, real;
	struct hook h = { .part = NULL };
	struct err err = ERR_INIT;
	char a[48];

	(void)state;
	interleaved(mem, a, 3);
	forget(mem, a);
	opt.dry_run = true;
	ok(collect_with(mem, &h, &opt, &res, &err));
	assert_int_equal(h.puts, 0);
	assert_int_equal(h.dels, 0);
	assert_int_equal(res.outcome, STORE_GC_DONE);
	assert_int_equal(collect(mem, &real), STORE_GC_DONE);
	assert_int_equal(res.packs_deleted, real.packs_deleted);
	assert_int_equal(res.bytes_deleted, real.bytes_deleted);
	assert_int_equal(res.packs_repacked, real.packs_repacked);
	backend_close(mem);
}

static void large_lists_take_several_generations(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_options opt = gc_options();
	struct store_gc_result res;
	struct err err = ERR_INIT;
	char a[48];

	(void)state;
	snapshot(mem, "a", 0, 80, a);
	snapshot(mem, "b", 0, 3, NULL);
	forget(mem, a);
	opt.list_max = 40; /* two packs and a bit */
	ok(collect_with(mem, NULL, &opt, &res, &err));
	assert_int_equal(res.outcome, STORE_GC_DONE);
	assert_true(res.generation >= 2);
	assert_int_equal(collect(mem, &res), STORE_GC_NOTHING);
	assert_int_equal(whole(mem), 1);
	backend_close(mem);
}

/* --- R1 ------------------------------------------------------------------------*/

static void what_cannot_be_found_deletes_nothing(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_options opt = gc_options();
	struct err err = ERR_INIT;
	struct counted before;
	struct store *st;
	struct store_loc loc;
	struct writer x;
	uint8_t id[32];
	char key[96], a[48];

	(void)state;
	snapshot(mem, "a", 0, 40, a);
	writer_open(&x, mem, "b");
	writer_put(&x, 100, 140);
	memcpy(id, x.ids.p, 32);
	writer_commit(&x, NULL);
	forget(mem, a);
	st = reopen(mem);
	ok(store_locate(st, id, &loc, &err));
	store_pack_name(st, loc.pack, key, sizeof(key));
	store_close(st);
	ok(backend_del(mem, key, &err));
	before = count(mem, "");
	assert_int_equal(collect_with(mem, NULL, &opt, NULL, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	assert_non_null(strstr(err.msg, "nothing is deleted"));
	/* Nothing but the session objects of what is over went. */
	assert_int_equal(count(mem, "gc/").n, 0);
	assert_int_equal(count(mem, "packs/").n + count(mem, "index/").n,
	    count(mem, "packs/").n + 2);
	assert_true(before.n - count(mem, "").n <= 2);
	backend_close(mem);
}

/* A pack of another size than the index says is not that pack. */
static void a_pack_that_was_cut_holds_nothing(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_options opt = gc_options();
	struct err err = ERR_INIT;
	struct store *st;
	struct store_loc loc;
	struct writer x;
	uint8_t id[32], *obj;
	char key[96];
	size_t len;

	(void)state;
	writer_open(&x, mem, "b");
	writer_put(&x, 0, 10);
	memcpy(id, x.ids.p, 32);
	writer_commit(&x, NULL);
	st = reopen(mem);
	ok(store_locate(st, id, &loc, &err));
	store_pack_name(st, loc.pack, key, sizeof(key));
	store_close(st);
	ok(backend_get_all(mem, key, 8 << 20, &obj, &len, &err));
	ok(backend_put_over(mem, key, obj, len / 2, &err));
	free(obj);
	assert_int_equal(collect_with(mem, NULL, &opt, NULL, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	assert_int_equal(count(mem, "gc/").n, 0);
	backend_close(mem);
}

static void a_damaged_snapshot_is_not_a_forgotten_one(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_options opt = gc_options();
	struct err err = ERR_INIT;
	struct store *st = reopen(mem);
	uint8_t *obj;
	char a[48], key[96];
	size_t len;

	(void)state;
	snapshot(mem, "a", 0, 40, a);
	fmt_key_snapshot(key, st->info.slot, a);
	ok(backend_get_all(mem, key, 1 << 20, &obj, &len, &err));
	obj[len / 2] ^= 1;
	ok(backend_put_over(mem, key, obj, len, &err));
	assert_int_equal(collect_with(mem, NULL, &opt, NULL, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	/* Whose slot there is not could never have committed. */
	obj[len / 2] ^= 1;
	ok(backend_put_over(mem, key, obj, len, &err));
	memcpy(key + 10, "0123456789abcdef", 16);
	ok(backend_put(mem, key, obj, len, &err));
	assert_int_equal(collect(mem, NULL), STORE_GC_NOTHING);
	free(obj);
	store_close(st);
	backend_close(mem);
}

static struct backend *hook_mem;
static struct writer hook_writer;
static unsigned hook_calls;

static void hook_commit(void *ctx)
{
	(void)ctx;
	hook_calls++;
	writer_commit(&hook_writer, NULL);
}

static void a_commit_while_the_index_is_read_is_whole(void **state)
{
	static const struct { enum backend_op op; const char *part; } at[] = {
		{ BACKEND_LIST, "snapshots/" }, { BACKEND_LIST, "forgotten/" },
		{ BACKEND_LIST, "index/" }, { BACKEND_LIST, "packs/" },
		{ BACKEND_PUT, "dead-" }, { BACKEND_PUT, "mark" },
		{ BACKEND_LIST, "sessions/" }, { BACKEND_PUT, "verdict" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		struct hook h = { .op = at[i].op, .part = at[i].part,
			.fn = hook_commit };
		struct backend *mem = new_repository();
		struct store_gc_options opt = gc_options();
		struct store_gc_result res;
		struct err err = ERR_INIT;
		char a[48];

		snapshot(mem, "a", 0, 40, a);
		/* It relies on half of what is about to die. */
		writer_open(&hook_writer, mem, "b");
		writer_put(&hook_writer, 20, 60);
		assert_int_equal(hook_writer.stored, 20);
		forget(mem, a);
		opt.wait = true;
		hook_calls = 0;
		/* Before the verdict it must be over: then it ends by itself. */
		if (strcmp(at[i].part, "verdict") == 0) {
			opt.wait = false;
			ok(collect_with(mem, &h, &opt, &res, &err));
			assert_int_equal(res.outcome, STORE_GC_WAITING);
			assert_int_equal(hook_calls, 0);
			hook_commit(NULL);
			ok(collect_with(mem, NULL, &opt, &res, &err));
		} else {
			ok(collect_with(mem, &h, &opt, &res, &err));
			assert_int_equal(hook_calls, 1);
		}
		assert_int_equal(whole(mem), 1);
		assert_true(res.packs_deleted > 0);
		backend_close(mem);
	}
}

/* --- R4, R6 -----------------------------------------------------------------------*/

static void an_open_session_is_waited_for(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_result res;
	struct counted before;
	struct writer x;
	char a[48];

	(void)state;
	snapshot(mem, "a", 0, 40, a);
	writer_open(&x, mem, "b");
	writer_put(&x, 30, 90); /* some packs are there that no index names */
	assert_int_equal(x.stored, 50);
	forget(mem, a);
	before = count(mem, "packs/");
	assert_int_equal(collect(mem, &res), STORE_GC_WAITING);
	assert_int_equal(res.sessions_waiting, 1);
	assert_int_equal(res.generation, 1);
	/* One generation at a time: the same is gone on with. */
	assert_int_equal(collect(mem, &res), STORE_GC_WAITING);
	assert_int_equal(res.generation, 1);
	assert_int_equal(count(mem, "packs/").n, before.n);
	assert_int_equal(count(mem, "gc/").n, 2);
	writer_commit(&x, NULL);
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	assert_int_equal(res.generation, 1);
	assert_true(res.packs_deleted > 0);
	assert_int_equal(whole(mem), 1);
	backend_close(mem);
}

static void one_that_declared_the_mark_is_not(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_result res;
	struct writer x, y;
	char a[48];

	(void)state;
	snapshot(mem, "a", 0, 40, a);
	writer_open(&x, mem, "b");
	forget(mem, a);
	assert_int_equal(collect(mem, &res), STORE_GC_WAITING);
	/* It begins between mark and verdict and needs what is dead. */
	writer_open(&y, mem, "c");
	writer_put(&y, 0, 40);
	assert_int_equal(y.stored, 40); /* R2: so it stores it again */
	writer_commit(&x, NULL);
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	writer_commit(&y, NULL);
	assert_int_equal(whole(mem), 2);
	backend_close(mem);
}

static void a_silent_session_is_revoked(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_options opt = gc_options();
	struct store_gc_result res;
	struct err err = ERR_INIT;
	struct writer x;
	char a[48];

	(void)state;
	snapshot(mem, "a", 0, 40, a);
	writer_open(&x, mem, "b");
	writer_put(&x, 20, 80);
	forget(mem, a);
	opt.silent_ns = 1;
	ok(collect_with(mem, NULL, &opt, &res, &err));
	assert_int_equal(res.outcome, STORE_GC_DONE);
	assert_int_equal(res.sessions_revoked, 1);
	assert_true(res.unindexed_packs > 0);
	/* It has lost its work, and says so. */
	assert_int_equal(writer_try(&x, NULL, &err), -1);
	assert_int_equal(err.class, ERR_CONFLICT);
	writer_close(&x);
	assert_int_equal(whole(mem), 0);
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	assert_int_equal(count(mem, "packs/").n, 0);
	/* The revocation stays, its session object does not. */
	assert_int_equal(count(mem, "snapshots/").n, 1);
	assert_int_equal(count(mem, "sessions/").n, 0);
	backend_close(mem);
}

static unsigned told;

static void commit_when_told(void *ctx, const struct store_session_info *s)
{
	(void)ctx;
	assert_string_equal(s->host, "host");
	if (told++ == 0)
		writer_commit(&hook_writer, NULL);
}

static void waiting_ends_when_the_session_does(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_options opt = gc_options();
	struct store_gc_result res;
	struct err err = ERR_INIT;
	char a[48];

	(void)state;
	snapshot(mem, "a", 0, 40, a);
	writer_open(&hook_writer, mem, "b");
	writer_put(&hook_writer, 30, 50);
	forget(mem, a);
	opt.wait = true;
	opt.waiting = commit_when_told;
	told = 0;
	ok(collect_with(mem, NULL, &opt, &res, &err));
	assert_int_equal(told, 1);
	assert_int_equal(res.outcome, STORE_GC_DONE);
	assert_int_equal(whole(mem), 1);
	backend_close(mem);
}

static void an_abandoned_one_deletes_nothing(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_options opt = gc_options();
	struct store_gc_result res;
	struct err err = ERR_INIT;
	struct counted before;
	struct writer x;
	char a[48];

	(void)state;
	snapshot(mem, "a", 0, 40, a);
	writer_open(&x, mem, "b");
	forget(mem, a);
	opt.abandon = true;
	ok(collect_with(mem, NULL, &opt, &res, &err));
	assert_int_equal(res.outcome, STORE_GC_NOTHING);
	assert_int_equal(collect(mem, NULL), STORE_GC_WAITING);
	before = count(mem, "packs/");
	ok(collect_with(mem, NULL, &opt, &res, &err));
	assert_int_equal(res.outcome, STORE_GC_VOID);
	assert_int_equal(count(mem, "packs/").n, before.n);
	assert_int_equal(count(mem, "gc/").n, 2);
	writer_commit(&x, NULL);
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	assert_int_equal(res.generation, 2);
	assert_int_equal(whole(mem), 1);
	backend_close(mem);
}

static int del_list(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	(void)bs;
	return strstr(key, "dead-") != NULL ? backend_del(ctx, key, err) : 0;
}

static void one_whose_list_is_lost_can_be_abandoned(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_options opt = gc_options();
	struct store_gc_result res;
	struct err err = ERR_INIT;
	struct writer x;
	char a[48];

	(void)state;
	snapshot(mem, "a", 0, 40, a);
	writer_open(&x, mem, "b");
	forget(mem, a);
	assert_int_equal(collect(mem, NULL), STORE_GC_WAITING);
	writer_commit(&x, NULL);
	ok(backend_list(mem, "gc/", del_list, mem, &err));
	assert_int_equal(collect_with(mem, NULL, &opt, &res, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	assert_non_null(strstr(err.msg, "--abandon"));
	opt.abandon = true;
	ok(collect_with(mem, NULL, &opt, &res, &err));
	assert_int_equal(res.outcome, STORE_GC_VOID);
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	assert_int_equal(res.generation, 2);
	backend_close(mem);
}

/* --- R5, R7 -----------------------------------------------------------------------*/

static void the_dead_set_only_shrinks(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_result res;
	struct writer x, y;
	char a[48], b[48];

	(void)state;
	snapshot(mem, "a", 0, 40, a);
	snapshot(mem, "b", 100, 140, b);
	writer_open(&x, mem, "c");
	forget(mem, a);
	assert_int_equal(collect(mem, &res), STORE_GC_WAITING);
	/*
	 * One that knows of the mark relies on what it does not name; that
	 * the snapshot which kept it alive goes must not matter.
	 */
	writer_open(&y, mem, "d");
	writer_put(&y, 100, 140);
	assert_int_equal(y.stored, 0);
	forget(mem, b);
	writer_commit(&x, NULL);
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	writer_commit(&y, NULL);
	assert_int_equal(whole(mem), 2);
	backend_close(mem);
}

/* The same, within packs that are repacked. */
static void all_that_the_mark_did_not_name_is_moved(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_result res;
	struct writer x, y;
	struct buf some = BUF_INIT;
	char a[48], b[48];

	(void)state;
	writer_open(&x, mem, "a");
	writer_put(&x, 0, 60);
	for (unsigned i = 0; i < 60; i += 4)
		buf_add(&some, x.ids.p + (size_t)i * 32, 32);
	writer_commit(&x, a);
	writer_open(&x, mem, "b");
	buf_add(&x.ids, some.p, some.len);
	writer_commit(&x, b);
	writer_open(&x, mem, "c");
	forget(mem, a);
	assert_int_equal(collect(mem, &res), STORE_GC_WAITING);
	writer_open(&y, mem, "d");
	for (unsigned i = 0; i < 60; i += 4)
		writer_put(&y, i, i + 1);
	assert_int_equal(y.stored, 0);
	forget(mem, b);
	writer_commit(&x, NULL);
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	assert_true(res.packs_repacked > 0);
	writer_commit(&y, NULL);
	assert_int_equal(whole(mem), 2);
	buf_release(&some);
	backend_close(mem);
}

static void what_a_late_snapshot_needs_is_reprieved(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_result res;
	struct counted after;
	struct writer x;
	char a[48], b[48];

	(void)state;
	snapshot(mem, "a", 0, 80, a);
	writer_open(&x, mem, "b");
	writer_put(&x, 5, 8);
	writer_put(&x, 40, 42);
	assert_int_equal(x.stored, 0);
	forget(mem, a);
	assert_int_equal(collect(mem, &res), STORE_GC_WAITING);
	writer_commit(&x, b);
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	after = count(mem, "packs/");
	/* What is needed of its packs was moved: little is left. */
	assert_true(res.packs_repacked > 0);
	assert_true(after.bytes < 12 * LEN);
	assert_int_equal(whole(mem), 1);
	forget(mem, b);
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	assert_int_equal(count(mem, "packs/").n, 0);
	backend_close(mem);
}

static void hook_collect(void *ctx)
{
	struct store_gc_result *res = ctx;

	hook_calls++;
	assert_int_equal(collect(hook_mem, res), STORE_GC_DONE);
}

/* Another collector does all of it just before this one's mark or verdict. */
static void who_loses_the_race_stops(void **state)
{
	static const char *const parts[] = { "mark", "verdict" };

	(void)state;
	for (int repack = 0; repack < 2; repack++) {
		for (size_t i = 0; i < 2; i++) {
			struct store_gc_result res, other;
			struct hook h = { .op = BACKEND_PUT, .part = parts[i],
				.fn = hook_collect, .ctx = &other };
			struct store_gc_options opt = gc_options();
			struct err err = ERR_INIT;
			char a[48];

			hook_mem = new_repository();
			if (repack) {
				interleaved(hook_mem, a, 3);
			} else {
				snapshot(hook_mem, "a", 0, 40, a);
				snapshot(hook_mem, "b", 30, 80, NULL);
			}
			forget(hook_mem, a);
			hook_calls = 0;
			ok(collect_with(hook_mem, &h, &opt, &res, &err));
			assert_int_equal(hook_calls, 1);
			assert_int_equal(res.outcome, STORE_GC_LOST);
			assert_int_equal(other.outcome, STORE_GC_DONE);
			assert_int_equal(res.packs_deleted, 0);
			assert_true(other.packs_deleted > 0);
			assert_int_equal(whole(hook_mem), 1);
			/* Copies that the loser made go the next time. */
			collect(hook_mem, &res);
			assert_int_equal(collect(hook_mem, &res),
			    STORE_GC_NOTHING);
			assert_int_equal(res.blobs_dead, 0);
			assert_int_equal(whole(hook_mem), 1);
			backend_close(hook_mem);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_dead),
		cmocka_unit_test(what_no_snapshot_needs_goes),
		cmocka_unit_test(packs_with_much_waste_are_repacked),
		cmocka_unit_test(little_waste_is_left),
		cmocka_unit_test(a_dry_run_puts_nothing),
		cmocka_unit_test(large_lists_take_several_generations),
		cmocka_unit_test(what_cannot_be_found_deletes_nothing),
		cmocka_unit_test(a_pack_that_was_cut_holds_nothing),
		cmocka_unit_test(a_damaged_snapshot_is_not_a_forgotten_one),
		cmocka_unit_test(a_commit_while_the_index_is_read_is_whole),
		cmocka_unit_test(an_open_session_is_waited_for),
		cmocka_unit_test(one_that_declared_the_mark_is_not),
		cmocka_unit_test(a_silent_session_is_revoked),
		cmocka_unit_test(waiting_ends_when_the_session_does),
		cmocka_unit_test(an_abandoned_one_deletes_nothing),
		cmocka_unit_test(one_whose_list_is_lost_can_be_abandoned),
		cmocka_unit_test(the_dead_set_only_shrinks),
		cmocka_unit_test(all_that_the_mark_did_not_name_is_moved),
		cmocka_unit_test(what_a_late_snapshot_needs_is_reprieved),
		cmocka_unit_test(who_loses_the_race_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
