/*
 * timeout: 240
 * A backup whose backend fails, loses answers, is full, or whose process is
 * killed, at each operation in turn until none is reached: what was committed
 * stays whole, the repository checks clean, and the next run succeeds.
 */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/engine/backup.h"
#include "agent/engine/query.h"
#include "tests/unit/store_data.h"

static char root[64];
static char key_line[256];

static struct backend *open_repo(void)
{
	struct backend_local_options opt = { .create = true, .no_sync = true };
	char path[128];

	snprintf(path, sizeof(path), "%s/repo", root);
	return backend_local_open(path, &opt, NULL);
}

static int rm_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(path);
}

/* Files of all classes of size, with other bytes for each seed. */
static void write_source(uint64_t seed)
{
	static const size_t sizes[] = { 10, 200, 3000, 40000, 140000, 300000 };
	static uint8_t bytes[300000];
	char path[128];

	for (size_t i = 0; i < sizeof(bytes); i += 8) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		memcpy(bytes + i, &seed, 8);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(path, sizeof(path), "%s/source/%zu", root, sizes[i]);

		FILE *f = fopen(path, "w");

		assert_non_null(f);
		assert_int_equal(fwrite(bytes, 1, sizes[i], f), sizes[i]);
		fclose(f);
	}
}

static int make_world(void **state)
{
	struct store_init_options init = {
		.stream = { 65536, 32768, 262144, 1ull << 48 },
		.block = { 65536, 32768, 262144, 1ull << 48 },
		.pack_size = 1 << 20,
	};
	char path[128], slot[17];
	struct err err = ERR_INIT;

	(void)state;
	snprintf(root, sizeof(root), "/tmp/wherry-faults-XXXXXX");
	if (mkdtemp(root) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/source", root);
	mkdir(path, 0755);

	struct backend *be = open_repo();

	if (be == NULL || store_init(be, &init, &by_pass, slot, &err) < 0) {
		print_message("%s\n", err.msg);
		return -1;
	}

	struct store *st = store_open(be, &by_pass, NULL, &err);
	struct store_secret drawn = { 0 };

	if (st == NULL || store_key_add(st, STORE_WRITE | STORE_READ | STORE_ADMIN, NULL,
	        "tests", &drawn, slot, key_line, &err) < 0) {
		print_message("%s\n", err.msg);
		return -1;
	}
	store_close(st);
	return 0;
}

static int remove_world(void **state)
{
	(void)state;
	return nftw(root, rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- runs ---------------------------------------------------------------------------*/

static struct store *open_store(struct backend *be, struct err *err)
{
	struct store_secret secret = { .key_file = key_line };

	return store_open(be, &secret, NULL, err);
}

static struct engine *new_engine(void)
{
	struct engine_options opt = { .memory = (size_t)128 << 20, .cpus = 2,
	    .io = ENGINE_IO_THREADS };
	struct engine_budget budget;
	struct engine *e = NULL;
	struct err err = ERR_INIT;

	if (engine_budget(&opt, 262144, &budget, &err) == 0)
		e = engine_new(&opt, &budget, &err);
	if (e == NULL)
		print_message("%s\n", err.msg);
	return e;
}

/* 0, or -1 with err; be is taken over. */
static int run_backup(struct backend *be, struct engine_backup_result *ret, struct err *err)
{
	char path[128];
	const char *paths[] = { path };
	struct engine_backup_options opt = {
		.paths = paths, .npaths = 1, .volume = "v", .host = "h",
		.level = ZIP_FAST,
	};
	struct store *st = open_store(be, err);

	if (st == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/source", root);

	struct engine *e = new_engine();
	int r = e != NULL ? engine_backup(e, st, &opt, ret, err) : -1;

	engine_free(e);
	store_close(st);
	return r;
}

static void run_shell(const char *command)
{
	char sh[] = "sh", flag[] = "-c";
	char *const argv[] = { sh, flag, (char *)command, NULL };
	pid_t pid;
	int status = -1;

	assert_int_equal(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The repository as it was when it held one snapshot: small, so few calls. */
static void begin_anew(void)
{
	static bool saved;
	char command[512];

	if (!saved) {
		struct engine_backup_result res;
		struct err err = ERR_INIT;

		write_source(1);
		if (run_backup(open_repo(), &res, &err) < 0)
			fail_msg("%s", err.msg);
	}
	snprintf(command, sizeof(command), saved ?
	    "cd %s && rm -rf repo && cp -a saved repo" : "cd %s && cp -a repo saved", root);
	run_shell(command);
	saved = true;
}

static void told(void *ctx, const char *key, const uint8_t *id, const char *what)
{
	(void)ctx;
	(void)id;
	print_message("%s: %s\n", key, what);
}

static void told_path(void *ctx, const char *snapshot, const char *path, const char *what)
{
	(void)ctx;
	print_message("%s:%s: %s\n", snapshot, path, what);
}

/* Return the number of snapshots; there is no damage. */
static uint64_t check_clean(uint64_t n)
{
	struct engine_check_options opt = { .read_percent = 100,
	    .object = told, .path = told_path };
	struct engine_check_result res;
	struct err err = ERR_INIT;
	struct store *st = open_store(open_repo(), &err);

	if (st == NULL)
		fail_msg("after fault %llu: %s", (unsigned long long)n, err.msg);

	struct engine *e = new_engine();

	assert_non_null(e);
	if (engine_check(e, st, &opt, &res, &err) < 0)
		fail_msg("after fault %llu: %s", (unsigned long long)n, err.msg);
	if (res.store.damaged > 0 || res.snapshots_damaged > 0 || res.missing > 0)
		fail_msg("after fault %llu: %llu damaged, %llu snapshots", (unsigned long long)n,
		    (unsigned long long)res.store.damaged,
		    (unsigned long long)res.snapshots_damaged);
	engine_free(e);
	store_close(st);
	return res.snapshots;
}

/* --- faults ---------------------------------------------------------------------------*/

struct plan {
	enum backend_fault fault;
	uint64_t at, every; /* the call, then each so many calls; every 0: once */
	_Atomic bool reached;
};

static enum backend_fault decide(void *ctx, enum backend_op op, const char *key,
    uint64_t count)
{
	struct plan *p = ctx;

	(void)op;
	(void)key;
	if (count != p->at && (p->every == 0 || count < p->at ||
	        (count - p->at) % p->every != 0))
		return BACKEND_FAULT_NONE;
	p->reached = true;
	return p->fault;
}

/* In a child, which is killed at that call.  True when it came to its end. */
static bool killed_backup(struct plan *p)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct engine_backup_result res;
		struct err err = ERR_INIT;
		int r = run_backup(backend_fault_new(open_repo(), decide, p, NULL), &res, &err);

		if (r < 0)
			fprintf(stderr, "%s\n", err.msg);
		_exit(r < 0 ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return false;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	return true;
}

/* The run after a fault succeeds and adds a snapshot to the one. */
static void expect_rerun(uint64_t n)
{
	struct engine_backup_result res;
	struct err err = ERR_INIT;

	if (run_backup(open_repo(), &res, &err) < 0)
		fail_msg("the run after fault %llu: %s", (unsigned long long)n, err.msg);
	assert_int_equal(res.errors, 0);

	uint64_t now = check_clean(n);

	/* The fault may have come after the commit. */
	if (now != 2 && now != 3)
		fail_msg("fault %llu: %llu snapshots", (unsigned long long)n,
		    (unsigned long long)now);
}

static void killed_before_any_operation_nothing_is_lost(void **state)
{
	uint64_t n = 0;
	bool whole = false;

	(void)state;
	for (; !whole && n < 1000; n++) {
		struct plan p = { .fault = BACKEND_FAULT_KILL, .at = n };

		begin_anew();
		write_source(n + 2);
		whole = killed_backup(&p);
		check_clean(n);
		expect_rerun(n);
	}
	print_message("%llu operations\n", (unsigned long long)n);
	assert_true(whole);
	assert_true(n > 10);
}

static void fail_each(enum backend_fault fault, uint64_t seed, enum err_class class)
{
	bool reached = true;

	for (uint64_t n = 0; reached && n < 1000; n++) {
		struct plan p = { .fault = fault, .at = n };
		struct engine_backup_result res;
		struct err err = ERR_INIT;

		begin_anew();
		write_source(seed + n);

		int r = run_backup(backend_fault_new(open_repo(), decide, &p, NULL), &res, &err);

		if (r < 0 && err.class != class && err.class != ERR_TRANSIENT)
			fail_msg("fault %llu: class %s: %s", (unsigned long long)n,
			    err_class_name(err.class), err.msg);
		reached = p.reached;
		assert_true(reached || r == 0);
		expect_rerun(n);
	}
	assert_false(reached);
}

static void a_call_that_fails_fails_the_run_and_no_more(void **state)
{
	(void)state;
	fail_each(BACKEND_FAULT_BEFORE, 10000, ERR_TRANSIENT);
}

static void a_lost_answer_costs_at_most_the_run(void **state)
{
	(void)state;
	fail_each(BACKEND_FAULT_AFTER, 20000, ERR_TRANSIENT);
}

static void a_full_store_is_told_as_such(void **state)
{
	(void)state;
	fail_each(BACKEND_FAULT_FULL, 30000, ERR_FULL);
}

static void no_sleep(void *ctx, int64_t ns)
{
	(void)ctx;
	(void)ns;
}

/* With the retry decorator in front, every third call fails or loses its answer. */
static void retried_the_run_gets_through(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < 12; n++) {
		struct plan p = {
			.fault = n % 2 ? BACKEND_FAULT_BEFORE : BACKEND_FAULT_AFTER,
			.at = n / 2, .every = 3 + n / 4,
		};
		struct backend_retry_options retry = { .sleep_ns = no_sleep };
		struct engine_backup_result res;
		struct err err = ERR_INIT;

		begin_anew();
		write_source(40000 + n);
		if (run_backup(backend_retry_new(backend_fault_new(open_repo(), decide, &p,
		        NULL), &retry, NULL), &res, &err) < 0)
			fail_msg("faults %llu: %s", (unsigned long long)n, err.msg);
		assert_true(p.reached);
		assert_int_equal(check_clean(n), 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_before_any_operation_nothing_is_lost),
		cmocka_unit_test(a_call_that_fails_fails_the_run_and_no_more),
		cmocka_unit_test(a_lost_answer_costs_at_most_the_run),
		cmocka_unit_test(a_full_store_is_told_as_such),
		cmocka_unit_test(retried_the_run_gets_through),
	};

	return cmocka_run_group_tests(tests, make_world, remove_world);
}
