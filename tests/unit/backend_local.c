/*
 * The local directory beyond the suite: how it is opened, what it does to the
 * file system in which order, and what happens when that fails.
 */
#include "tests/backend_suite/local.h"

static int openat_read_only(int dir, const char *name, int flags, mode_t mode)
{
	(void)dir, (void)name, (void)flags, (void)mode;
	errno = EROFS;
	return -1;
}

/* --- opening --- */

static void a_missing_directory_is_notfound_or_made(void **state)
{
	struct backend_local_options opt = { .create = true };
	struct stat st;
	char path[1024];

	(void)state;
	snprintf(path, sizeof(path), "%s", at("new"));
	assert_null(backend_local_open(path, NULL, &err));
	assert_int_equal(err.class, ERR_NOTFOUND);
	assert_non_null(strstr(err.msg, path));
	assert_int_equal(stat(path, &st), -1);

	struct backend *b = backend_local_open(path, &opt, &err);

	assert_non_null(b);
	assert_string_equal(b->name, path);
	backend_close(b);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	/* Its name is durable. */
	assert_non_null(strstr(calls, "sync(.) "));
	b = backend_local_open(path, &opt, &err); /* it exists: fine */
	assert_non_null(b);
	backend_close(b);
	assert_null(backend_local_open(at("no/new"), &opt, &err));
	assert_int_equal(err.class, ERR_NOTFOUND);
	assert_null(backend_local_open("", &opt, &err));
	assert_int_equal(err.class, ERR_USAGE);
}

static void a_file_is_no_repository(void **state)
{
	struct backend_local_options opt = { .create = true };

	(void)state;
	assert_int_equal(put("file", "x"), 0);
	assert_null(backend_local_open(at("file"), &opt, &err));
	assert_int_equal(err.class, ERR_USAGE);
	assert_non_null(strstr(err.msg, "not a directory"));
}

static void read_only_refuses_changes_and_makes_nothing(void **state)
{
	struct backend_local_options opt = { .create = true,
		.read_only = true };
	char path[1024];

	(void)state;
	assert_int_equal(put("a/x", "1"), 0);
	snprintf(path, sizeof(path), "%s", at("new"));
	assert_null(backend_local_open(path, &opt, &err));
	assert_int_equal(err.class, ERR_NOTFOUND);
	reopen(&opt);

	unsigned before = count();

	assert_int_equal(put("b/x", "1"), -1);
	assert_int_equal(err.class, ERR_AUTH);
	err_clear(&err);
	assert_int_equal(backend_put_over(be, "a/x", "2", 1, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	err_clear(&err);
	assert_int_equal(backend_del(be, "a/x", &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	assert_int_equal(count(), before);
	assert_string_equal(calls, "");
	assert_holds("a/x", "1");
}

static void old_leftovers_are_removed_by_writers(void **state)
{
	struct backend_local_options reading = { .read_only = true };

	(void)state;
	assert_int_equal(mkdir(at("tmp"), 0700), 0);
	make_old("tmp/0123456789abcdef", 25);
	make_old("tmp/0123456789abcde0", 23);
	make_old("tmp/foreign", 2500);
	reopen(&reading);
	assert_int_equal(count(), 3);
	reopen(NULL);
	assert_int_equal(count(), 2);
	assert_int_equal(access(at("tmp/0123456789abcde0"), F_OK), 0);
	assert_int_equal(access(at("tmp/foreign"), F_OK), 0);
}

/* --- the order of things --- */

static void nobody_may_write_to_objects(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(put("a/b/x", "1"), 0);
	assert_int_equal(backend_put_over(be, "a/b/y", "1", 1, &err), 0);
	assert_int_equal(stat(at("a/b/x"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(stat(at("a/b/y"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(stat(at("a/b"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void a_put_is_durable_step_by_step(void **state)
{
	(void)state;
	assert_int_equal(put("a/b/x", "1"), 0);
	assert_string_equal(calls, "mkdir(a) sync(.) mkdir(b) sync(a) "
	    "write sync link sync(a/b) ");
	/* What is known to be durable is not synced again. */
	calls[0] = '\0';
	assert_int_equal(put("a/b/y", "1"), 0);
	assert_string_equal(calls, "write sync link sync(a/b) ");
}

static void directories_that_others_made_are_made_durable(void **state)
{
	(void)state;
	assert_int_equal(mkdir(at("a"), 0700), 0);
	assert_int_equal(mkdir(at("a/b"), 0700), 0);
	assert_int_equal(put("a/b/x", "1"), 0);
	assert_string_equal(calls, "sync(.) sync(a) write sync link "
	    "sync(a/b) ");
}

static void directories_made_anew_are_made_durable_anew(void **state)
{
	const struct backend_local *l = (struct backend_local *)be;

	(void)state;
	assert_int_equal(put("a/b/x", "1"), 0);
	assert_int_equal(backend_del(be, "a/b/x", &err), 0);
	/* Inode and birth time may be the same, so nothing is remembered. */
	for (size_t i = 0; i < BACKEND_LOCAL_DURABLE_SLOTS; i++)
		assert_int_equal(l->durable[i], 0);
	calls[0] = '\0';
	assert_int_equal(put("a/b/x", "1"), 0);
	assert_non_null(strstr(calls, "mkdir(b) sync(a) write"));
}

static void an_object_that_exists_is_durable_when_told(void **state)
{
	(void)state;
	assert_int_equal(put("a/x", "1"), 0);
	calls[0] = '\0';
	assert_int_equal(put("a/x", "2"), 1);
	assert_string_equal(calls, "sync(a) ");
}

static void a_removal_is_durable(void **state)
{
	(void)state;
	assert_int_equal(put("a/x", "1"), 0);
	calls[0] = '\0';
	assert_int_equal(backend_del(be, "a/x", &err), 0);
	assert_string_equal(calls, "unlink sync(a) ");
}

static void emptied_directories_go_but_not_the_first_level(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(put("index/s/t/1", "1"), 0);
	assert_int_equal(put("index/s/u", "1"), 0);
	assert_int_equal(backend_del(be, "index/s/t/1", &err), 0);
	assert_int_equal(stat(at("index/s/t"), &st), -1);
	assert_int_equal(stat(at("index/s/u"), &st), 0);
	assert_int_equal(backend_del(be, "index/s/u", &err), 0);
	assert_int_equal(stat(at("index/s"), &st), -1);
	assert_int_equal(stat(at("index"), &st), 0);
}

/* --- failures --- */

static void check_full(void)
{
	static const int errnos[] = { ENOSPC, EDQUOT };

	for (size_t i = 0; i < 2; i++) {
		pwrite_errno = errnos[i];
		err_clear(&err);
		assert_int_equal(put("packs/aa/x", "data"), -1);
		assert_int_equal(err.class, ERR_FULL);
		assert_int_equal(err.errnum, errnos[i]);
		assert_non_null(strstr(err.msg, "packs/aa/x"));
		assert_non_null(strstr(err.msg, root));
		err_clear(&err);
		assert_int_equal(put_over("sessions/s/x", "data"), -1);
		assert_int_equal(err.class, ERR_FULL);
	}
	/* Only directories of the first level stay. */
	assert_int_equal(count(), 2);
	pwrite_errno = 0;
}

static void no_space_leaves_nothing_behind(void **state)
{
	(void)state;
	each_way(check_full);
}

static void check_sync_fails(void)
{
	fsync_file_errno = EIO;
	err_clear(&err);
	assert_int_equal(put("packs/aa/x", "data"), -1);
	assert_int_equal(err.class, ERR_IO);
	assert_int_equal(put_over("packs/aa/x", "data"), -1);
	fsync_file_errno = 0;
	assert_int_equal(count(), 1);
	fsync_dir_errno = EIO;
	err_clear(&err);
	assert_int_equal(put("packs/aa/x", "data"), -1);
	assert_int_equal(err.class, ERR_IO);
	fsync_dir_errno = 0;
	/* There is no syncing directories here: that is none's fault. */
	fsync_dir_errno = EINVAL;
	assert_int_equal(put("packs/bb/x", "data"), 0);
	assert_int_equal(backend_del(be, "packs/bb/x", &err), 0);
	fsync_dir_errno = 0;
}

static void what_cannot_be_synced_is_not_stored(void **state)
{
	(void)state;
	each_way(check_sync_fails);
}

static void a_read_only_file_system_is_named(void **state)
{
	(void)state;
	assert_int_equal(mkdir(at("a"), 0700), 0);
	backend_local_sys.openat = openat_read_only;
	assert_int_equal(put("a/x", "1"), -1);
	assert_int_equal(err.class, ERR_AUTH);
	assert_non_null(strstr(err.msg, "Read-only file system"));
}

static void short_and_interrupted_writes_go_on(void **state)
{
	(void)state;
	pwrite_at_most = 3;
	interrupts = 2;
	assert_int_equal(put("a/x", "0123456789"), 0);
	assert_holds("a/x", "0123456789");
}

static void check_large(size_t len, size_t skew, unsigned direct)
{
	size_t room = len + 4096;
	uint8_t *data = mem_pages(room, "a test", &err), *got = NULL;
	size_t got_len = 0;

	assert_non_null(data);
	for (size_t i = 0; i < room; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 24);
	direct_bytes = buffered_bytes = 0;
	if (backend_put(be, "p/x", data + skew, len, &err) != 0)
		fail_msg("%s", err.msg);
	assert_int_equal(direct_bytes, direct);
	assert_int_equal(direct_bytes + buffered_bytes, len);
	assert_int_equal(backend_get_all(be, "p/x", len, &got, &got_len,
	    &err), 0);
	assert_int_equal(got_len, len);
	assert_memory_equal(got, data + skew, len);
	free(got);
	assert_int_equal(backend_del(be, "p/x", &err), 0);
	mem_pages_free(data, room);
}

/* Return true when the file system knows O_DIRECT. */
static bool has_direct(void)
{
	int fd = open(root, O_TMPFILE | O_WRONLY | O_DIRECT, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void large_aligned_objects_pass_the_page_cache_by(void **state)
{
	const unsigned mib = 1 << 20;

	(void)state;
	if (!has_direct())
		skip();
	check_large(2 * mib, 0, 2 * mib);
	check_large(mib + 4097, 0, mib + 4096);
	check_large(mib, 0, mib);
	check_large(mib - 1, 0, 0);
	check_large(mib, 512, 0);
	/* A short write at an odd place goes on through the page cache. */
	pwrite_at_most = 300 * 1024;
	check_large(mib, 0, mib);
}

static void where_direct_writes_are_refused_they_are_buffered(void **state)
{
	(void)state;
	pwrite_errno = EINVAL;
	check_large(2 << 20, 0, 0);
	pwrite_after = 512 * 1024;
	pwrite_at_most = 512 * 1024;
	check_large(2 << 20, 0, has_direct() ? 512 * 1024 : 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_missing_directory_is_notfound_or_made),
		T(a_file_is_no_repository),
		T(read_only_refuses_changes_and_makes_nothing),
		T(old_leftovers_are_removed_by_writers),
		T(nobody_may_write_to_objects),
		T(a_put_is_durable_step_by_step),
		T(directories_that_others_made_are_made_durable),
		T(directories_made_anew_are_made_durable_anew),
		T(an_object_that_exists_is_durable_when_told),
		T(a_removal_is_durable),
		T(emptied_directories_go_but_not_the_first_level),
		T(no_space_leaves_nothing_behind),
		T(what_cannot_be_synced_is_not_stored),
		T(a_read_only_file_system_is_named),
		T(short_and_interrupted_writes_go_on),
		T(large_aligned_objects_pass_the_page_cache_by),
		T(where_direct_writes_are_refused_they_are_buffered),
	};

	init();
	return cmocka_run_group_tests_name("backend_local", tests, NULL,
	    NULL) != 0;
}
