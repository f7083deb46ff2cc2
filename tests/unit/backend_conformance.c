/*
 * Every backend against one suite: memory, a local directory in each of the
 * ways it can work, and the decorators.  WHERRY_TEST_DIR names a directory on
 * the file system to test: then only what stands on it is tested, and synced.
 * WHERRY_TEST_FULL is a directory whose file system may be filled: then only
 * that is tested.  WHERRY_TEST_STORES are URLs of object stores, with blanks
 * between: then only they are tested, each test beneath a prefix of its own;
 * with WHERRY_TEST_RACY not whether of racing puts one wins.
 */
// timeout: 300
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/backend_suite/suite.h"

#include "repo/backend/backend_ahead.h"
#include "repo/backend/backend_internal.h"
#include "repo/crypto/crypto.h"

/* --- where --- */

static struct backend *open_mem(struct suite *s)
{
	struct err err = ERR_INIT;

	(void)s;
	return backend_mem_new(&err);
}

static struct backend *open_local(struct suite *s)
{
	const char *dir = getenv("WHERRY_TEST_DIR");
	const char *tmp = getenv("TMPDIR");
	struct backend_local_options opt = { .no_sync = dir == NULL };
	struct err err = ERR_INIT;

	snprintf(s->place, sizeof(s->place), "%s/wherry-XXXXXX",
	    dir ? dir : tmp ? tmp : "/tmp");
	if (mkdtemp(s->place) == NULL)
		return NULL;

	struct backend *be = backend_local_open(s->place, &opt, &err);

	if (be == NULL)
		printf("%s\n", err.msg);
	return be;
}

static int remove_one(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void clean_local(struct suite *s)
{
	assert_int_equal(nftw(s->place, remove_one, 32, FTW_DEPTH | FTW_PHYS),
	    0);
}

static void plant_local(struct suite *s, const char *name)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/tmp", s->place);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s", s->place, name);

	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);

	assert_true(fd >= 0);
	close(fd);
}

/* --- object stores --- */

static struct backend *open_url(const char *url)
{
	struct backend_options opt = { .local.create = true };
	struct err err = ERR_INIT;
	struct backend *be = backend_retry_new(backend_open(url, &opt, &err),
	    NULL, &err);

	if (be == NULL)
		printf("%s: %s\n", url, err.msg);
	return be;
}

/* Each time another prefix; place is the URL. */
static struct backend *open_store(struct suite *s)
{
	static unsigned number;
	const char *url = s->ctx;
	size_t path = strcspn(url, "?");
	int n = snprintf(s->place, sizeof(s->place), "%.*s/%d-%u%s", (int)path,
	    url, (int)getpid(), number++, url + path);

	return n > 0 && (size_t)n < sizeof(s->place) ? open_url(s->place) : NULL;
}

static int remove_key(void *ctx, const char *key,
    const struct backend_stat *st, struct err *err)
{
	(void)st;
	return backend_del(ctx, key, err) < 0 ? -1 : 0;
}

static void clean_store(struct suite *s)
{
	struct backend *be = open_url(s->place);
	struct err err = ERR_INIT;

	assert_non_null(be);
	if (backend_list(be, "", remove_key, be, &err) != 0)
		fail_msg("%s", err.msg);
	backend_close(be);
}

/* Return the number of tests that failed. */
static int run_stores(const char *urls)
{
	char *copy = strdup(urls), *rest = copy, *url;
	int failed = 0;

	assert_non_null(copy);
	assert_int_equal(crypto_init(NULL), 0); /* keys of accounts */
	while ((url = strsep(&rest, " ")) != NULL) {
		struct suite s = { .name = url, .open = open_store,
			.clean = clean_store, .ctx = url,
			.racy = getenv("WHERRY_TEST_RACY") != NULL };

		if (*url != '\0')
			failed += suite_run(&s);
	}
	free(copy);
	return failed;
}

/* --- the ways of the local directory --- */

static int openat_without_tmpfile(int dir, const char *name, int flags,
    mode_t mode)
{
	if ((flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return openat(dir, name, flags, mode);
}

static int no_linkat(int olddir, const char *old, int newdir,
    const char *new, int flags)
{
	(void)olddir, (void)old, (void)newdir, (void)new, (void)flags;
	errno = EPERM;
	return -1;
}

static int linkat_by_proc(int olddir, const char *old, int newdir,
    const char *new, int flags)
{
	if (flags & AT_EMPTY_PATH) {
		errno = ENOENT;
		return -1;
	}
	return linkat(olddir, old, newdir, new, flags);
}

static int no_openat2(int dir, const char *path, int flags)
{
	(void)dir, (void)path, (void)flags;
	errno = ENOSYS;
	return -1;
}

/* --- decorators --- */

static struct backend *open_ahead(struct suite *s)
{
	struct err err = ERR_INIT;

	(void)s;
	return backend_ahead_new(backend_slow_new(backend_mem_new(&err), 0,
	    &err), 4, 8 << 20, &err);
}

static struct backend *open_log(struct suite *s)
{
	struct err err = ERR_INIT;

	(void)s;
	return backend_log_new(backend_mem_new(&err), &err);
}

static struct backend *open_limit(struct suite *s)
{
	struct err err = ERR_INIT;

	(void)s;
	return backend_limit_new(backend_mem_new(&err), UINT64_C(1) << 32,
	    UINT64_C(1) << 32, &err);
}

static enum backend_fault no_fault(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	(void)ctx, (void)op, (void)key, (void)count;
	return BACKEND_FAULT_NONE;
}

static struct backend *open_fault(struct suite *s)
{
	struct err err = ERR_INIT;

	(void)s;
	return backend_fault_new(backend_mem_new(&err), no_fault, NULL, &err);
}

/*
 * Every third call fails, half of them after it was done.  Not so del: who
 * repeats it cannot tell "removed" from "was not there".
 */
static enum backend_fault some_fault(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	(void)ctx, (void)key;
	if (op == BACKEND_DEL || count % 3 != 0)
		return BACKEND_FAULT_NONE;
	return count % 2 ? BACKEND_FAULT_BEFORE : BACKEND_FAULT_AFTER;
}

static void no_sleep(void *ctx, int64_t ns)
{
	(void)ctx, (void)ns;
}

static struct backend *open_retry(struct suite *s)
{
	struct backend_retry_options opt = { .sleep_ns = no_sleep };
	struct err err = ERR_INIT;

	(void)s;
	return backend_retry_new(backend_fault_new(backend_mem_new(&err),
	    some_fault, NULL, &err), &opt, &err);
}

static struct backend *open_retry_local(struct suite *s)
{
	struct backend_retry_options opt = { .sleep_ns = no_sleep };
	struct err err = ERR_INIT;

	return backend_retry_new(backend_fault_new(open_local(s), some_fault,
	    NULL, &err), &opt, &err);
}

/* --- a full file system --- */

static unsigned found;

static int count_file(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)path, (void)st, (void)ftw;
	found += type == FTW_F;
	return 0;
}

static int count_key(void *ctx, const char *key,
    const struct backend_stat *st, struct err *err)
{
	(void)key, (void)st, (void)err;
	++*(unsigned *)ctx;
	return 0;
}

/* Assert that n objects are there, and no file beside them. */
static void only_objects(struct suite *s, unsigned n)
{
	struct err err = ERR_INIT;
	unsigned keys = 0;

	found = 0;
	assert_int_equal(nftw(s->place, count_file, 32, FTW_PHYS), 0);
	assert_int_equal(found, n);
	assert_int_equal(backend_list(s->be, "", count_key, &keys, &err), 0);
	assert_int_equal(keys, n);
}

/* Put objects of len bytes until there is no space.  Return how many fit. */
static unsigned fill(struct suite *s, char kind, const uint8_t *data,
    size_t len, bool over)
{
	struct err err = ERR_INIT;
	char key[40];

	for (unsigned i = 0; i < 100000; i++) {
		snprintf(key, sizeof(key), "packs/%c%u/%u", kind, i % 7, i);

		int rc = over ? backend_put_over(s->be, key, data, len, &err) :
		    backend_put(s->be, key, data, len, &err);

		if (rc == 0)
			continue;
		if (rc != -1 || err.class != ERR_FULL)
			fail_msg("%s: %d, %s", key, rc, err.msg);
		assert_non_null(strstr(err.msg, key));
		assert_non_null(strstr(err.msg, s->place));
		return i;
	}
	fail_msg("it is never full");
	return 0;
}

static void full_leaves_nothing_behind(void **state)
{
	struct suite *s = *state;
	const size_t size = 20 << 20;
	struct err err = ERR_INIT;
	uint8_t *data = mem_pages(size + 4096, "a test", &err);
	unsigned n;

	assert_non_null(data);
	suite_fill(data, size + 4096, 3);
	n = fill(s, 'a', data, size, false);
	only_objects(s, n);
	n += fill(s, 'b', data + 1, size, false);
	only_objects(s, n);
	n += fill(s, 'c', data, size, true);
	only_objects(s, n);
	n += fill(s, 'd', data + 1, 100000, false);
	only_objects(s, n);

	/* Removing makes room. */
	assert_int_equal(backend_del(s->be, "packs/d0/0", &err), 0);
	assert_int_equal(backend_del(s->be, "packs/d1/1", &err), 0);
	if (backend_put(s->be, "again", data, 20000, &err) != 0)
		fail_msg("%s", err.msg);
	suite_is(s->be, "again", data, 20000);
	only_objects(s, n - 1);
	mem_pages_free(data, size + 4096);
}

static int run_full(struct suite *s)
{
	const struct CMUnitTest tests[] = {
		SUITE_TEST(full_leaves_nothing_behind),
	};

	suite_current = s;
	return cmocka_run_group_tests_name("full", tests, suite_group_setup,
	    NULL);
}

/* What depends on the file system. */
static int run_local(bool quick)
{
	const struct backend_local_sys real = backend_local_sys;
	struct suite local = { .name = "local", .open = open_local,
		.clean = clean_local, .plant = plant_local };
	int failed = suite_run(&local);

	local.name = "local, without unnamed files";
	backend_local_sys.openat = openat_without_tmpfile;
	failed += suite_run(&local);
	backend_local_sys = real;
	if (quick)
		return failed;

	local.name = "local, without unnamed files and links";
	backend_local_sys.openat = openat_without_tmpfile;
	backend_local_sys.linkat = no_linkat;
	failed += suite_run(&local);
	backend_local_sys = real;

	local.name = "local, unnamed files linked by /proc";
	backend_local_sys.linkat = linkat_by_proc;
	failed += suite_run(&local);
	backend_local_sys = real;

	local.name = "local, without openat2";
	backend_local_sys.openat2 = no_openat2;
	failed += suite_run(&local);
	backend_local_sys = real;
	return failed;
}

int main(void)
{
	struct suite others[] = {
		{ .name = "memory", .open = open_mem },
		{ .name = "log over memory", .open = open_log },
		{ .name = "limit over memory", .open = open_limit },
		{ .name = "ahead over slow over memory", .open = open_ahead },
		{ .name = "fault over memory", .open = open_fault },
		{ .name = "retry over faults over memory",
		  .open = open_retry },
		{ .name = "retry over faults over local",
		  .open = open_retry_local, .clean = clean_local,
		  .plant = plant_local },
	};

	if (getenv("WHERRY_TEST_FULL") != NULL) {
		setenv("WHERRY_TEST_DIR", getenv("WHERRY_TEST_FULL"), 1);

		struct suite s = { .name = "full", .open = open_local,
			.clean = clean_local };
		int failed = run_full(&s);

		backend_local_sys.openat = openat_without_tmpfile;
		return failed + run_full(&s) != 0;
	}
	if (getenv("WHERRY_TEST_DIR") != NULL)
		return run_local(true) != 0;
	if (getenv("WHERRY_TEST_STORES") != NULL)
		return run_stores(getenv("WHERRY_TEST_STORES")) != 0;

	int failed = run_local(false);

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		failed += suite_run(&others[i]);
	return failed != 0;
}
