/*
 * Collectors that die at any call, or whose answer is lost there: nothing that
 * is needed goes, and the next run gives back all the space.
 */

#include "tests/unit/store_gc_world.h"

static struct backend *seed;
static uint64_t needed_bytes; /* of packs, when all is done */

static int copy_one(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	uint8_t *data;
	size_t len;
	int r = backend_get_all(seed, key, 64 << 20, &data, &len, err);

	(void)bs;
	if (r != 0)
		return -1;
	r = backend_put(ctx, key, data, len, err);
	free(data);
	return r;
}

static struct backend *copy(void)
{
	struct err err = ERR_INIT;
	struct backend *mem = backend_mem_new(&err);

	assert_non_null(mem);
	ok(backend_list(seed, "", copy_one, mem, &err));
	return mem;
}

/*
 * What is collected: wholly dead packs, partly dead ones, copies, packs that
 * nothing names, and an open session that knows of no mark.
 */
static int make_seed(void **state)
{
	struct hook h = { .part = NULL };
	struct writer x, y;
	struct buf some = BUF_INIT;
	char a[48], b[48];

	(void)state;
	seed = new_repository();
	writer_open(&x, seed, "a");
	writer_put(&x, 0, 50);
	for (unsigned i = 0; i < 50; i += 5)
		buf_add(&some, x.ids.p + (size_t)i * 32, 32);
	writer_commit(&x, a);
	writer_open(&x, seed, "b");
	buf_add(&x.ids, some.p, some.len);
	writer_commit(&x, NULL);
	buf_release(&some);
	snapshot(seed, "c", 100, 140, b);
	writer_open(&x, seed, "d");
	writer_open(&y, seed, "e");
	writer_put(&x, 200, 205);
	writer_put(&y, 200, 205);
	writer_commit(&x, NULL);
	writer_commit(&y, NULL);
	/* It is killed: nothing that it does after that arrives. */
	x = (struct writer){ .st = hooked(seed, &h) };
	x.w = worker(x.st);
	x.s = begin_of(x.st, "f");
	writer_put(&x, 0, 5);
	writer_put(&x, 300, 340);
	h.fail_at = atomic_load(&h.calls) + 1;
	h.first = BACKEND_FAULT_BEFORE;
	store_session_abort(x.s);
	writer_close(&x);
	forget(seed, a);
	forget(seed, b);
	return 0;
}

static int free_seed(void **state)
{
	(void)state;
	backend_close(seed);
	return 0;
}

static struct store_gc_options options(void)
{
	struct store_gc_options opt = gc_options();

	opt.silent_ns = 1;
	return opt;
}

static int no_list(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	(void)ctx, (void)bs, (void)err;
	assert_null(strstr(key, "dead-"));
	return 0;
}

/* Collect until there is nothing to do. */
static void finish(struct backend *mem)
{
	struct store_gc_options opt = options();
	struct store_gc_result res = { .outcome = STORE_GC_DONE };
	struct err err = ERR_INIT;

	for (int i = 0; res.outcome != STORE_GC_NOTHING; i++) {
		assert_true(i < 4);
		ok(collect_with(mem, NULL, &opt, &res, &err));
	}
	assert_int_equal(count(mem, "sessions/").n, 0);
	/* Each generation was carried out to its end: no lists are left. */
	ok(backend_list(mem, "gc/", no_list, NULL, &err));
}

static void measure(void)
{
	struct backend *mem = copy();

	finish(mem);
	assert_int_equal(whole(mem), 3);
	needed_bytes = count(mem, "packs/").bytes;
	backend_close(mem);
}

/* Die at that call; a writer comes; the next run does the rest. */
static bool die(uint64_t at, enum backend_fault how, bool writer)
{
	struct backend *mem = copy();
	struct hook h = { .fail_at = at, .first = how,
		.changes = how == BACKEND_FAULT_AFTER };
	struct store_gc_options opt = options();
	struct store_gc_result res;
	struct err err = ERR_INIT;
	unsigned there = 3;
	int r = collect_with(mem, &h, &opt, &res, &err);

	if (whole(mem) != 3)
		fail_msg("call %d: snapshots are missing", (int)at);
	if (writer) {
		/* Some of it is live, some dead, some perhaps gone. */
		struct writer x;

		writer_open(&x, mem, "w");
		writer_put(&x, 0, 12);
		writer_put(&x, 110, 114);
		writer_commit(&x, NULL);
		there++;
	}
	finish(mem);
	assert_int_equal(whole(mem), there);
	if (!writer && count(mem, "packs/").bytes > needed_bytes + 70000)
		fail_msg("call %d: %d bytes stayed where %d are needed",
		    (int)at, (int)count(mem, "packs/").bytes,
		    (int)needed_bytes);
	backend_close(mem);
	/* Once it is through before that call, all were seen. */
	return r == 0 && h.calls < at;
}

static void every_call_may_be_the_last(void **state)
{
	uint64_t at = 1;

	(void)state;
	measure();
	while (!die(at, BACKEND_FAULT_BEFORE, at % 2 == 0))
		at++;
	assert_true(at > 50);
}

static void every_answer_may_be_lost(void **state)
{
	uint64_t at = 1;

	(void)state;
	measure();
	while (!die(at, BACKEND_FAULT_AFTER, at % 2 == 1))
		at++;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_may_be_the_last),
		cmocka_unit_test(every_answer_may_be_lost),
	};

	return cmocka_run_group_tests(tests, make_seed, free_seed);
}
