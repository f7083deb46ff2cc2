/*
 * The decorators beyond the suite, over memory with chosen faults, and the
 * opening of URLs.  Time is simulated where it matters.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/backend/backend.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"

/* --- a world: memory, faults over it, retry over those --- */

static struct {
	struct backend *top;
	struct err err;
	enum backend_fault script[16]; /* for the first calls, then none */
	enum backend_fault always;     /* for the calls after the script */
	enum backend_op ops[256];      /* what was called */
	_Atomic uint64_t calls;
	int64_t slept[256], total_ns, now_ns;
	unsigned sleeps;
	int64_t call_takes_ns;
	bool cancelled;
	unsigned cancel_after; /* sleeps; 0 is never */
} w;

static enum backend_fault decide(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	(void)ctx, (void)key;
	if (count < 256)
		w.ops[count] = op;
	w.calls = count + 1;
	w.now_ns += w.call_takes_ns;
	return count < 16 && w.script[count] != BACKEND_FAULT_NONE ?
	    w.script[count] : w.always;
}

static void note_sleep(void *ctx, int64_t ns)
{
	assert_ptr_equal(ctx, &w);
	if (w.sleeps < 256)
		w.slept[w.sleeps] = ns;
	w.sleeps++;
	w.total_ns += ns;
	w.now_ns += ns;
	if (w.cancel_after != 0 && w.sleeps >= w.cancel_after)
		w.cancelled = true;
}

static int64_t tell_now(void *ctx)
{
	assert_ptr_equal(ctx, &w);
	return w.now_ns;
}

static bool tell_cancelled(void *ctx)
{
	assert_ptr_equal(ctx, &w);
	return w.cancelled;
}

static void build(const struct backend_retry_options *opt)
{
	struct backend_retry_options o = opt ? *opt :
	    (struct backend_retry_options){ .budget_ms = 0 };

	o.sleep_ns = note_sleep;
	o.now_ns = tell_now;
	o.sleep_ctx = &w;
	o.cancelled = tell_cancelled;
	o.cancel_ctx = &w;
	backend_close(w.top);
	w.top = backend_retry_new(backend_fault_new(backend_mem_new(&w.err),
	    decide, NULL, &w.err), &o, &w.err);
	assert_non_null(w.top);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	build(NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	backend_close(w.top);
	w.top = NULL;
	return 0;
}

static int put(const char *key, const char *text)
{
	return backend_put(w.top, key, text, strlen(text), &w.err);
}

static void assert_ops(const enum backend_op *ops, size_t n)
{
	assert_int_equal(w.calls, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(w.ops[i], ops[i]);
}

#define ASSERT_OPS(...) assert_ops( \
	(const enum backend_op[]){ __VA_ARGS__ }, \
	sizeof((const enum backend_op[]){ __VA_ARGS__ }) / \
	sizeof(enum backend_op))

/* --- retry --- */

static void what_fails_for_a_moment_is_repeated(void **state)
{
	struct backend_stat st;
	char c = 0;

	(void)state;
	assert_int_equal(put("a", "x"), 0);
	w.script[1] = w.script[2] = BACKEND_FAULT_BEFORE;
	assert_int_equal(backend_get(w.top, "a", 0, &c, 1, &w.err), 0);
	assert_int_equal(c, 'x');
	w.script[4] = BACKEND_FAULT_AFTER;
	assert_int_equal(backend_stat(w.top, "a", &st, &w.err), 0);
	w.script[6] = BACKEND_FAULT_AFTER;
	assert_int_equal(backend_put_over(w.top, "a", "y", 1, &w.err), 0);
	ASSERT_OPS(BACKEND_PUT, BACKEND_GET, BACKEND_GET, BACKEND_GET,
	    BACKEND_STAT, BACKEND_STAT, BACKEND_PUT_OVER, BACKEND_PUT_OVER);
	assert_int_equal(w.sleeps, 4);
}

static void what_fails_for_good_is_not_repeated(void **state)
{
	char c[2];

	(void)state;
	w.script[0] = BACKEND_FAULT_FULL;
	assert_int_equal(put("a", "x"), -1);
	assert_int_equal(w.err.class, ERR_FULL);
	assert_int_equal(put("a", "x"), 0);
	err_clear(&w.err);
	assert_int_equal(backend_get(w.top, "a", 0, c, 2, &w.err), -1);
	assert_int_equal(w.err.class, ERR_CORRUPT);
	assert_int_equal(w.calls, 3);
	assert_int_equal(w.sleeps, 0);
}

static void a_put_whose_answer_was_lost_is_looked_at(void **state)
{
	(void)state;
	w.script[0] = BACKEND_FAULT_AFTER;
	assert_int_equal(put("a", "mine"), 0);
	ASSERT_OPS(BACKEND_PUT, BACKEND_STAT, BACKEND_GET);
}

static void a_put_that_never_arrived_is_sent_again(void **state)
{
	(void)state;
	w.script[0] = BACKEND_FAULT_BEFORE;
	assert_int_equal(put("a", "mine"), 0);
	ASSERT_OPS(BACKEND_PUT, BACKEND_STAT, BACKEND_PUT);
}

static void anothers_object_is_not_taken_for_ours(void **state)
{
	(void)state;
	assert_int_equal(put("a", "mine"), 0);
	w.script[1] = BACKEND_FAULT_AFTER; /* the store said 1: lost */
	assert_int_equal(put("a", "your"), 1);
	w.script[4] = BACKEND_FAULT_BEFORE;
	assert_int_equal(put("a", "longer"), 1); /* by its size */
	assert_int_equal(put("a", "your"), 1);
}

static void an_empty_put_that_was_lost_is_ours(void **state)
{
	(void)state;
	w.script[0] = BACKEND_FAULT_AFTER;
	assert_int_equal(backend_put(w.top, "a", NULL, 0, &w.err), 0);
}

static void the_look_itself_is_repeated(void **state)
{
	(void)state;
	w.script[0] = BACKEND_FAULT_AFTER;
	w.script[1] = BACKEND_FAULT_BEFORE;
	w.script[3] = BACKEND_FAULT_BEFORE;
	assert_int_equal(put("a", "mine"), 0);
	ASSERT_OPS(BACKEND_PUT, BACKEND_STAT, BACKEND_STAT, BACKEND_GET,
	    BACKEND_GET);
}

static void large_objects_are_compared_to_the_end(void **state)
{
	size_t len = (3 << 20) + 5;
	char *data = calloc(1, len);

	(void)state;
	assert_non_null(data);
	w.script[0] = BACKEND_FAULT_AFTER;
	assert_int_equal(backend_put(w.top, "a", data, len, &w.err), 0);
	ASSERT_OPS(BACKEND_PUT, BACKEND_STAT, BACKEND_GET, BACKEND_GET,
	    BACKEND_GET, BACKEND_GET);
	data[len - 1] = 1;
	w.script[6] = BACKEND_FAULT_AFTER;
	assert_int_equal(backend_put(w.top, "a", data, len, &w.err), 1);
	free(data);
}

static void a_repeated_del_that_finds_nothing_has_removed(void **state)
{
	(void)state;
	assert_int_equal(put("a", "x"), 0);
	w.script[1] = BACKEND_FAULT_AFTER;
	assert_int_equal(backend_del(w.top, "a", &w.err), 0);
	assert_int_equal(backend_del(w.top, "a", &w.err), 1);
}

static int count_keys(void *ctx, const char *key,
    const struct backend_stat *st, struct err *err)
{
	unsigned *seen = ctx;

	(void)st, (void)err;
	seen[key[0] - 'a']++;
	return 0;
}

static int refuse_key(void *ctx, const char *key,
    const struct backend_stat *st, struct err *err)
{
	(void)ctx, (void)st;
	return err_set(err, ERR_TRANSIENT, "no %s, please", key);
}

static void a_repeated_listing_gives_no_key_twice(void **state)
{
	unsigned seen[4] = { 0 };

	(void)state;
	assert_int_equal(put("a", "x"), 0);
	assert_int_equal(put("b", "x"), 0);
	assert_int_equal(put("c", "x"), 0);
	w.script[3] = BACKEND_FAULT_BEFORE;
	w.script[4] = BACKEND_FAULT_AFTER;
	assert_int_equal(backend_list(w.top, "", count_keys, seen, &w.err),
	    0);
	assert_int_equal(w.calls, 6);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(seen[i], 1);
}

static void a_listing_that_the_caller_stops_is_not_repeated(void **state)
{
	(void)state;
	assert_int_equal(put("a", "x"), 0);
	assert_int_equal(backend_list(w.top, "", refuse_key, NULL, &w.err),
	    -1);
	assert_int_equal(w.err.class, ERR_TRANSIENT);
	assert_int_equal(w.calls, 2);
}

static void pauses_are_random_below_a_bound_that_doubles(void **state)
{
	struct backend_retry_options opt = { .first_ms = 100,
		.max_ms = 1000, .budget_ms = 60000 };
	int64_t bound = 100, longest = 0;
	struct backend_stat st;

	(void)state;
	build(&opt);
	w.always = BACKEND_FAULT_BEFORE;
	assert_int_equal(backend_stat(w.top, "a", &st, &w.err), -1);
	assert_int_equal(w.err.class, ERR_TRANSIENT);
	assert_non_null(strstr(w.err.msg, "gave up after"));
	assert_true(w.sleeps > 20 && w.sleeps < 256);
	assert_int_equal(w.total_ns, INT64_C(60000000000));
	for (unsigned i = 0; i < w.sleeps; i++) {
		assert_in_range(w.slept[i], 0, bound * 1000000);
		bound = bound * 2 > 1000 ? 1000 : bound * 2;
		if (w.slept[i] > longest)
			longest = w.slept[i];
	}
	assert_true(longest > 500000000); /* they do grow */
}

static void the_default_budget_is_a_quarter_of_an_hour(void **state)
{
	struct backend_stat st;

	(void)state;
	w.always = BACKEND_FAULT_BEFORE;
	assert_int_equal(backend_stat(w.top, "a", &st, &w.err), -1);
	assert_int_equal(w.total_ns, INT64_C(900000000000));
}

/* What never answered may be a name that is wrong. */
static void a_store_that_never_answered_is_given_up_sooner(void **state)
{
	struct backend_retry_options opt = { .budget_ms = 60000,
		.contact_ms = 5000 };
	struct backend_stat st;

	(void)state;
	build(&opt);
	w.always = BACKEND_FAULT_BEFORE;
	assert_int_equal(backend_stat(w.top, "a", &st, &w.err), -1);
	assert_int_equal(w.total_ns, INT64_C(5000000000));
	/* Once it did, the whole budget counts. */
	w.always = BACKEND_FAULT_NONE;
	assert_int_equal(backend_stat(w.top, "a", &st, &w.err), 1);
	w.always = BACKEND_FAULT_BEFORE;
	w.total_ns = 0;
	assert_int_equal(backend_stat(w.top, "a", &st, &w.err), -1);
	assert_int_equal(w.total_ns, INT64_C(60000000000));
}

static void a_cancelled_run_gives_up_at_once(void **state)
{
	struct backend_stat st;

	(void)state;
	w.always = BACKEND_FAULT_BEFORE;
	w.cancel_after = 3;
	assert_int_equal(backend_stat(w.top, "a", &st, &w.err), -1);
	assert_int_equal(w.err.class, ERR_CANCELLED);
	assert_int_equal(w.sleeps, 3);
	assert_int_equal(w.calls, 3);
	assert_int_equal(put("a", "x"), -1); /* no pause any more */
	assert_int_equal(w.sleeps, 3);
}

static void a_put_is_not_sent_again_after_fifty_minutes(void **state)
{
	struct backend_retry_options opt = { .budget_ms = 24 * 3600 * 1000 };

	(void)state;
	build(&opt);
	w.call_takes_ns = INT64_C(10) * 60 * 1000000000; /* each call */
	w.always = BACKEND_FAULT_NONE;
	for (size_t i = 0; i < 16; i += 2)
		w.script[i] = BACKEND_FAULT_BEFORE; /* puts, not stats */
	assert_int_equal(put("a", "x"), -1);
	assert_int_equal(w.err.class, ERR_TRANSIENT);
	assert_non_null(strstr(w.err.msg, "too late"));
	/* put at 10, 30 and 50 minutes, the looks between them. */
	assert_int_equal(w.calls, 6);
}

/* --- limit --- */

static void no_more_than_the_limit_passes(void **state)
{
	struct backend *be = backend_limit_new(backend_mem_new(&w.err),
	    2000000, 4000000, &w.err);
	static char data[100000];

	(void)state;
	assert_non_null(be);

	int64_t start = clock_mono_ns();

	assert_int_equal(backend_put(be, "a", data, 100000, &w.err), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(backend_put_over(be, "b", data, 100000,
		    &w.err), 0);

	int64_t up = clock_mono_ns() - start;

	for (int i = 0; i < 10; i++)
		assert_int_equal(backend_get(be, "a", 0, data, 100000,
		    &w.err), 0);

	int64_t down = clock_mono_ns() - start - up;

	/* 500 kB at 2 MB/s and 1 MB at 4 MB/s, less what was saved up. */
	assert_true(up >= 200000000);
	assert_true(down >= 200000000);
	backend_close(be);
}

struct limited {
	struct backend *be;
	_Atomic unsigned errors;
};

static void *read_some(void *arg)
{
	struct limited *l = arg;
	struct err err = ERR_INIT;
	char buf[10000];

	for (int i = 0; i < 5; i++)
		l->errors += backend_get(l->be, "a", 0, buf, 10000, &err) != 0;
	return NULL;
}

static void the_limit_is_shared_by_all_threads(void **state)
{
	struct limited l = { .be = backend_limit_new(
	    backend_mem_new(&w.err), 0, 1000000, &w.err) };
	static char data[10000];
	pthread_t threads[6];

	(void)state;
	assert_non_null(l.be);

	int64_t start = clock_mono_ns();

	assert_int_equal(backend_put(l.be, "a", data, 10000, &w.err), 0);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_some,
		    &l), 0);
	for (size_t i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	/* 300 kB at 1 MB/s. */
	assert_true(clock_mono_ns() - start >= 250000000);
	assert_int_equal(l.errors, 0);
	backend_close(l.be);
}

/* --- log --- */

static char logged[8192];

static void keep_log(void *ctx, enum log_level level, const char *msg)
{
	size_t n = strlen(logged);

	(void)ctx;
	snprintf(logged + n, sizeof(logged) - n, "%d %s\n", (int)level, msg);
}

static void each_call_is_told(void **state)
{
	struct backend *be = backend_log_new(backend_mem_new(&w.err), &w.err);
	unsigned seen[4] = { 0 };
	struct backend_stat st;
	char c[9];

	(void)state;
	assert_non_null(be);
	logged[0] = '\0';
	log_set_sink(keep_log, NULL, LOG_DEBUG);
	assert_int_equal(backend_put(be, "a", "12345", 5, &w.err), 0);
	assert_int_equal(backend_get(be, "a", 0, c, 3, &w.err), 0);
	assert_int_equal(backend_get(be, "a", 0, c, 9, &w.err), -1);
	assert_int_equal(backend_stat(be, "b", &st, &w.err), 1);
	assert_int_equal(backend_list(be, "", count_keys, seen, &w.err), 0);
	assert_int_equal(backend_del(be, "a", &w.err), 0);
	assert_int_equal(backend_put_over(be, "a", "1", 1, &w.err), 0);
	log_set_sink(NULL, NULL, LOG_WARN);
	backend_close(be);

	static const char *const lines[] = {
		"2 put a in memory: 0, 5 bytes, ",
		"2 get a in memory: 0, 3 bytes, ",
		"2 get a in memory: failed (corrupt) after ",
		"2 stat b in memory: 1, 0 bytes, ",
		"2 list  in memory: 0, 1 keys, ",
		"2 del a in memory: 0, 0 bytes, ",
		"2 put over a in memory: 0, 1 bytes, ",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (strstr(logged, lines[i]) == NULL)
			fail_msg("no \"%s\" in\n%s", lines[i], logged);
	}
}

/* --- fault --- */

static struct backend *faulty(void)
{
	struct backend *be = backend_fault_new(backend_mem_new(&w.err),
	    decide, NULL, &w.err);

	assert_non_null(be);
	return be;
}

static void faults_do_what_they_are_called(void **state)
{
	struct backend *be = faulty();
	struct backend_stat st;
	uint8_t got[64], zero[64] = { 0 };
	unsigned bits = 0;

	(void)state;
	w.script[0] = BACKEND_FAULT_BEFORE;
	assert_int_equal(backend_put(be, "a", zero, 64, &w.err), -1);
	assert_int_equal(w.err.class, ERR_TRANSIENT);
	assert_int_equal(backend_stat(be, "a", &st, &w.err), 1);
	w.script[2] = BACKEND_FAULT_AFTER;
	assert_int_equal(backend_put(be, "a", zero, 64, &w.err), -1);
	assert_int_equal(w.err.class, ERR_TRANSIENT);
	assert_int_equal(backend_stat(be, "a", &st, &w.err), 0);
	w.script[4] = BACKEND_FAULT_FLIP;
	assert_int_equal(backend_get(be, "a", 0, got, 64, &w.err), 0);
	for (size_t i = 0; i < 64; i++)
		bits += (unsigned)__builtin_popcount(got[i]);
	assert_int_equal(bits, 1);
	w.script[5] = BACKEND_FAULT_SHORT;
	assert_int_equal(backend_get(be, "a", 0, got, 64, &w.err), -1);
	assert_int_equal(w.err.class, ERR_CORRUPT);
	w.script[6] = BACKEND_FAULT_FULL;
	assert_int_equal(backend_put(be, "b", zero, 64, &w.err), -1);
	assert_int_equal(w.err.class, ERR_FULL);
	assert_non_null(strstr(w.err.msg, "b in memory"));
	assert_int_equal(backend_stat(be, "b", &st, &w.err), 1);
	/* What does not fit the call is none. */
	w.script[8] = BACKEND_FAULT_FLIP;
	assert_int_equal(backend_put(be, "b", zero, 64, &w.err), 0);
	w.script[9] = BACKEND_FAULT_FULL;
	assert_int_equal(backend_get(be, "b", 0, got, 64, &w.err), 0);
	assert_memory_equal(got, zero, 64);
	backend_close(be);
}

static void kill_ends_the_process_before_the_call(void **state)
{
	int status = 0;
	pid_t pid;

	(void)state;
	w.script[0] = BACKEND_FAULT_KILL;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct err err = ERR_INIT;
		struct backend *be = faulty();

		backend_put(be, "a", "x", 1, &err);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static atomic_uint counts_seen[400];

static enum backend_fault see_count(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	(void)ctx, (void)op, (void)key;
	if (count < 400)
		counts_seen[count]++;
	return BACKEND_FAULT_NONE;
}

static void *stat_some(void *arg)
{
	struct err err = ERR_INIT;
	struct backend_stat st;

	for (int i = 0; i < 100; i++)
		backend_stat(arg, "a", &st, &err);
	return NULL;
}

static void calls_are_counted_once_by_any_thread(void **state)
{
	struct backend *be = backend_fault_new(backend_mem_new(&w.err),
	    see_count, NULL, &w.err);
	pthread_t threads[4];

	(void)state;
	assert_non_null(be);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, stat_some,
		    be), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < 400; i++)
		assert_int_equal(counts_seen[i], 1);
	backend_close(be);
}

/* --- opening and wrapping --- */

static void what_could_not_be_opened_is_not_wrapped(void **state)
{
	struct err err = ERR_INIT;
	struct backend *be = backend_log_new(backend_limit_new(
	    backend_retry_new(backend_fault_new(backend_local_open(
	    "/nonexistent/place", NULL, &err), decide, NULL, &err), NULL,
	    &err), 0, 0, &err), &err);

	(void)state;
	assert_null(be);
	assert_int_equal(err.class, ERR_NOTFOUND);
	backend_close(NULL);
}

static void urls_lead_to_the_right_place(void **state)
{
	static const char *const local[] = { "%s", "file:%s", "file://%s",
		"%s/" };
	const char *tmp = getenv("TMPDIR");
	char dir[400], url[500];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/wherry-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		size_t n = strcspn(local[i], "%");

		snprintf(url, sizeof(url), "%.*s%s%s", (int)n, local[i], dir,
		    local[i] + n + 2);

		struct backend *be = backend_open(url, NULL, &w.err);

		if (be == NULL)
			fail_msg("%s: %s", url, w.err.msg);
		backend_close(be);
	}
	rmdir(dir);

	static const struct { const char *url; enum err_class class; } bad[] =
	{
		{ "s3:https://key:secret@host/bucket", ERR_USAGE },
		{ "https://key:secret@host/", ERR_UNSUPPORTED },
		{ "FILE2:x", ERR_UNSUPPORTED },
		{ "file://host/path", ERR_USAGE },
		{ "file:", ERR_USAGE },
		{ "", ERR_USAGE },
		{ "a:no-such-file", ERR_NOTFOUND },
		{ "./s3:no-such-file", ERR_NOTFOUND },
		{ "file:no-such-file", ERR_NOTFOUND },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err_clear(&w.err);
		assert_null(backend_open(bad[i].url, NULL, &w.err));
		if (w.err.class != bad[i].class)
			fail_msg("%s: %s", bad[i].url, w.err.msg);
		assert_null(strstr(w.err.msg, "secret"));
	}
}

static void nobody_need_want_the_error(void **state)
{
	(void)state;
	w.script[0] = BACKEND_FAULT_BEFORE;
	assert_int_equal(backend_put(w.top, "a", "x", 1, NULL), 0);
	assert_int_equal(backend_put(w.top, "A", "x", 1, NULL), -1);
	assert_null(backend_local_open("/nonexistent/place", NULL, NULL));
	assert_null(backend_open("nowhere:x", NULL, NULL));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_fails_for_a_moment_is_repeated),
		T(what_fails_for_good_is_not_repeated),
		T(a_put_whose_answer_was_lost_is_looked_at),
		T(a_put_that_never_arrived_is_sent_again),
		T(anothers_object_is_not_taken_for_ours),
		T(an_empty_put_that_was_lost_is_ours),
		T(the_look_itself_is_repeated),
		T(large_objects_are_compared_to_the_end),
		T(a_repeated_del_that_finds_nothing_has_removed),
		T(a_repeated_listing_gives_no_key_twice),
		T(a_listing_that_the_caller_stops_is_not_repeated),
		T(pauses_are_random_below_a_bound_that_doubles),
		T(the_default_budget_is_a_quarter_of_an_hour),
		T(a_store_that_never_answered_is_given_up_sooner),
		T(a_cancelled_run_gives_up_at_once),
		T(a_put_is_not_sent_again_after_fifty_minutes),
		T(no_more_than_the_limit_passes),
		T(the_limit_is_shared_by_all_threads),
		T(each_call_is_told),
		T(faults_do_what_they_are_called),
		T(kill_ends_the_process_before_the_call),
		T(calls_are_counted_once_by_any_thread),
		T(what_could_not_be_opened_is_not_wrapped),
		T(urls_lead_to_the_right_place),
		T(nobody_need_want_the_error),
	};

	return cmocka_run_group_tests_name("backend_decorators", tests, NULL,
	    NULL) != 0;
}
