/*
 * The local directory beyond the suite: what it does to the file system, in
 * which order, and what happens when that fails.  The system calls are
 * replaced through backend_local_sys.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/backend/backend_internal.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"

static struct backend_local_sys real;
static char root[512];
static struct backend *be;
static struct err err;

/* --- a record of calls, one word each, and what shall fail --- */

static char calls[4096];
static int pwrite_errno, fsync_file_errno, fsync_dir_errno, linkat_errno;
static size_t pwrite_after;  /* bytes before pwrite_errno comes */
static size_t pwrite_at_most;
static unsigned interrupts, direct_bytes, buffered_bytes;

static void note(const char *fmt, ...)
{
	size_t n = strlen(calls);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(calls + n, sizeof(calls) - n, fmt, ap);
	va_end(ap);
}

static bool is_dir(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Write the path of fd beneath the root to dst, "." for the root. */
static const char *path_of(int fd, char dst[512])
{
	char proc[64], full[512];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);

	ssize_t n = readlink(proc, full, sizeof(full) - 1);

	assert_true(n > 0);
	full[n] = '\0';
	snprintf(dst, 512, "%s", strcmp(full, root) == 0 ? "." :
	    full + strlen(root) + 1);
	return dst;
}

static ssize_t note_pwrite(int fd, const void *p, size_t len, off_t off)
{
	bool direct = fcntl(fd, F_GETFL) & O_DIRECT;

	if (interrupts > 0) {
		interrupts--;
		errno = EINTR;
		return -1;
	}
	if (pwrite_errno != 0 && (size_t)off >= pwrite_after &&
	    (pwrite_errno != EINVAL || direct)) {
		errno = pwrite_errno;
		return -1;
	}
	if (pwrite_at_most != 0 && len > pwrite_at_most)
		len = pwrite_at_most;

	ssize_t n = pwrite(fd, p, len, off);

	if (n > 0 && direct)
		direct_bytes += (unsigned)n;
	else if (n > 0)
		buffered_bytes += (unsigned)n;
	note("write ");
	return n;
}

static int note_fsync(int fd)
{
	int e = is_dir(fd) ? fsync_dir_errno : fsync_file_errno;
	char path[512];

	if (e != 0) {
		errno = e;
		return -1;
	}
	if (is_dir(fd))
		note("sync(%s) ", path_of(fd, path));
	else
		note("sync ");
	return fsync(fd);
}

static int note_linkat(int olddir, const char *old, int newdir,
    const char *new, int flags)
{
	note("link ");
	if (linkat_errno == EEXIST) /* done, but the answer is wrong */
		linkat(olddir, old, newdir, new, flags);
	if (linkat_errno != 0) {
		errno = linkat_errno;
		return -1;
	}
	return linkat(olddir, old, newdir, new, flags);
}

static int note_mkdirat(int dir, const char *name, mode_t mode)
{
	note("mkdir(%s) ", name);
	return mkdirat(dir, name, mode);
}

static int note_unlinkat(int dir, const char *name, int flags)
{
	note(flags & AT_REMOVEDIR ? "rmdir " : "unlink ");
	return unlinkat(dir, name, flags);
}

static unsigned tmpfile_tries;

static int openat_no_tmpfile(int dir, const char *name, int flags,
    mode_t mode)
{
	if ((flags & O_TMPFILE) == O_TMPFILE) {
		tmpfile_tries++;
		errno = EOPNOTSUPP;
		return -1;
	}
	return openat(dir, name, flags, mode);
}

static int openat_read_only(int dir, const char *name, int flags, mode_t mode)
{
	(void)dir, (void)name, (void)flags, (void)mode;
	errno = EROFS;
	return -1;
}

static int rename_no_flags(int olddir, const char *old, int newdir,
    const char *new, unsigned flags)
{
	if (flags != 0) {
		errno = EINVAL;
		return -1;
	}
	return renameat2(olddir, old, newdir, new, flags);
}

static int no_openat2(int dir, const char *path, int flags)
{
	(void)dir, (void)path, (void)flags;
	errno = EPERM; /* as old seccomp profiles say */
	return -1;
}

/* --- a fresh directory for each test --- */

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char name[512];

	(void)state;
	backend_local_sys = real;
	backend_local_sys.pwrite = note_pwrite;
	backend_local_sys.fsync = note_fsync;
	backend_local_sys.linkat = note_linkat;
	backend_local_sys.mkdirat = note_mkdirat;
	backend_local_sys.unlinkat = note_unlinkat;
	pwrite_errno = fsync_file_errno = fsync_dir_errno = linkat_errno = 0;
	pwrite_after = pwrite_at_most = 0;
	interrupts = direct_bytes = buffered_bytes = tmpfile_tries = 0;
	snprintf(name, sizeof(name), "%s/wherry-XXXXXX", tmp ? tmp : "/tmp");
	if (mkdtemp(name) == NULL || realpath(name, root) == NULL)
		return -1;
	err_clear(&err);
	be = backend_local_open(root, NULL, &err);
	calls[0] = '\0';
	return be == NULL ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	backend_close(be);
	be = NULL;
	return nftw(root, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

/* Return root/name, valid until the next call. */
static const char *at(const char *name)
{
	static char path[1024];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

static unsigned found;

static int count_one(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st, (void)type;
	found += ftw->level > 0 && strcmp(path + ftw->base, "tmp") != 0;
	return 0;
}

/* Return how many files and directories there are, without tmp/ itself. */
static unsigned count(void)
{
	found = 0;
	assert_int_equal(nftw(root, count_one, 32, FTW_PHYS), 0);
	return found;
}

static void reopen(const struct backend_local_options *opt)
{
	backend_close(be);
	be = backend_local_open(root, opt, &err);
	assert_non_null(be);
	calls[0] = '\0';
}

static int put(const char *key, const char *text)
{
	return backend_put(be, key, text, strlen(text), &err);
}

static void assert_holds(const char *key, const char *text)
{
	uint8_t *data = NULL;
	size_t len = 0;

	if (backend_get_all(be, key, 1 << 20, &data, &len, &err) != 0)
		fail_msg("%s: %s", key, err.msg);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(data, text, len);
	free(data);
}

static int refuse_key(void *ctx, const char *key,
    const struct backend_stat *st, struct err *e)
{
	(void)ctx, (void)st;
	return err_set(e, ERR_BUG, "%s was listed", key);
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

static void make_old(const char *name, int hours)
{
	struct timespec t[2];
	int fd = open(at(name), O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	t[0].tv_sec = clock_real_ns() / 1000000000 - hours * 3600;
	t[0].tv_nsec = 0;
	t[1] = t[0];
	assert_int_equal(futimens(fd, t), 0);
	close(fd);
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
	(void)state;
	assert_int_equal(put("a/b/x", "1"), 0);
	assert_int_equal(backend_del(be, "a/b/x", &err), 0);
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

static void each_way(void (*test)(void))
{
	test();
	backend_local_sys.openat = openat_no_tmpfile;
	reopen(NULL);
	test();
}

static int put_over(const char *key, const char *text)
{
	return backend_put_over(be, key, text, strlen(text), &err);
}

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

/* --- without unnamed files, without links --- */

static void without_tmpfile_a_name_in_tmp_serves(void **state)
{
	struct stat st;

	(void)state;
	backend_local_sys.openat = openat_no_tmpfile;
	assert_int_equal(put("a/x", "1"), 0);
	assert_int_equal(put("a/y", "2"), 0);
	assert_int_equal(put("a/x", "3"), 1);
	assert_holds("a/x", "1");
	assert_holds("a/y", "2");
	assert_int_equal(tmpfile_tries, 1); /* it is not asked again */
	assert_int_equal(stat(at("a/x"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(st.st_nlink, 1); /* nothing is left in tmp/ */
	assert_int_equal(count(), 3);
}

static void without_links_it_is_renamed(void **state)
{
	(void)state;
	backend_local_sys.openat = openat_no_tmpfile;
	linkat_errno = EPERM;
	assert_int_equal(put("a/x", "1"), 0);
	assert_int_equal(put("a/x", "2"), 1);
	assert_holds("a/x", "1");
	assert_int_equal(count(), 2);
}

static void an_unnamed_file_that_cannot_be_linked_is_not_used(void **state)
{
	(void)state;
	linkat_errno = EPERM;
	assert_int_equal(put("a/x", "1"), 0);
	assert_holds("a/x", "1");
	assert_int_equal(count(), 2);
}

static void where_nothing_is_safe_put_is_unsupported(void **state)
{
	(void)state;
	linkat_errno = EPERM;
	backend_local_sys.renameat2 = rename_no_flags;
	assert_int_equal(put("a/x", "1"), -1);
	assert_int_equal(err.class, ERR_UNSUPPORTED);
	assert_int_equal(count(), 1);
	assert_int_equal(put_over("a/x", "1"), 0);
}

static void check_lost_link(void)
{
	linkat_errno = EEXIST;
	if (put("a/x", "1") != 0)
		fail_msg("%s", err.msg);
	linkat_errno = 0;
	assert_int_equal(put("a/x", "1"), 1);
	assert_int_equal(backend_del(be, "a/x", &err), 0);
	assert_int_equal(count(), 1);
}

static void a_link_that_was_made_but_denied_is_ours(void **state)
{
	(void)state;
	each_way(check_lost_link);
}

/* --- what does not belong there --- */

static void check_symlinks(void)
{
	static const char *const keys[] = { "to-dir/secret", "to-file" };
	struct backend_stat st;
	char c;

	for (size_t i = 0; i < 2; i++) {
		err_clear(&err);
		assert_int_equal(backend_get(be, keys[i], 0, &c, 1, &err),
		    -1);
		assert_int_equal(err.class, ERR_USAGE);
		assert_int_equal(backend_stat(be, keys[i], &st, &err), -1);
		assert_int_equal(put(keys[i], "x"), -1);
		assert_int_equal(err.class, ERR_USAGE);
	}
	assert_int_equal(put("to-dir/new", "x"), -1);
	assert_int_equal(put_over("to-dir/new", "x"), -1);
	assert_int_equal(put("to-dir/deep/new", "x"), -1);
	assert_int_equal(backend_del(be, "to-dir/secret", &err), -1);
	assert_int_equal(backend_list(be, "", refuse_key, NULL, &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	assert_non_null(strstr(err.msg, "to-"));
	assert_int_equal(backend_list(be, "to-dir/", refuse_key, NULL, &err),
	    -1);
	assert_int_equal(err.class, ERR_USAGE);
	/* What a listing need not look at does not disturb it. */
	assert_int_equal(backend_list(be, "x/", refuse_key, NULL, &err), 0);
	assert_int_equal(backend_list(be, "to-dirx", refuse_key, NULL, &err),
	    0);
}

static void symbolic_links_are_never_followed(void **state)
{
	char inside[1024];

	(void)state;
	assert_int_equal(mkdir(at("Outside"), 0700), 0);
	make_old("Outside/secret", 0);
	snprintf(inside, sizeof(inside), "%s", at("Outside"));
	assert_int_equal(symlink(inside, at("to-dir")), 0);
	assert_int_equal(symlink("Outside/secret", at("to-file")), 0);

	unsigned before = count();

	check_symlinks();
	backend_local_sys.openat2 = no_openat2;
	reopen(NULL);
	check_symlinks();
	assert_int_equal(count(), before);
}

static void check_foreign(void)
{
	static const char *const keys[] = { "a/fifo", "a/dir" };
	struct backend_stat st;
	char c;

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(backend_get(be, keys[i], 0, &c, 1, &err), 1);
		assert_int_equal(backend_stat(be, keys[i], &st, &err), 1);
		err_clear(&err);
		assert_int_equal(put(keys[i], "x"), -1);
		assert_int_equal(err.class, ERR_USAGE);
	}
	assert_int_equal(backend_list(be, "a/", refuse_key, NULL, &err), 0);
	assert_int_equal(backend_del(be, "a/dir", &err), 1);
	err_clear(&err);
	assert_int_equal(put_over("a/dir", "x"), -1);
	assert_int_equal(err.class, ERR_USAGE);
}

static void what_is_no_file_is_no_object(void **state)
{
	(void)state;
	assert_int_equal(mkdir(at("a"), 0700), 0);
	assert_int_equal(mkdir(at("a/dir"), 0700), 0);
	assert_int_equal(mkfifo(at("a/fifo"), 0600), 0);
	check_foreign();
	backend_local_sys.openat2 = no_openat2;
	reopen(NULL);
	check_foreign();
}

static void an_object_is_no_directory(void **state)
{
	(void)state;
	assert_int_equal(put("a/x", "1"), 0);
	assert_int_equal(put("a/x/y", "1"), -1);
	assert_int_equal(err.class, ERR_USAGE);
}

static void only_what_may_match_is_looked_into(void **state)
{
	(void)state;
	assert_int_equal(put("packs/aa/1", "1"), 0);
	/* Looking into packs/bb would fail. */
	assert_int_equal(mkdir(at("packs/bb"), 0700), 0);
	assert_int_equal(symlink("x", at("packs/bb/y")), 0);

	assert_int_equal(backend_list(be, "packs/a", refuse_key, NULL, &err),
	    -1);
	assert_int_equal(err.class, ERR_BUG); /* packs/aa/1 was listed */
	assert_int_equal(backend_list(be, "packs/ab", refuse_key, NULL, &err),
	    0);
	assert_int_equal(backend_list(be, "packs/b", refuse_key, NULL, &err),
	    -1);
	assert_int_equal(err.class, ERR_USAGE);
}

static void the_caps_of_a_local_file_system(void **state)
{
	struct backend_caps caps;

	(void)state;
	backend_caps(be, &caps);
	assert_true(caps.local);
	assert_true(caps.cheap_ranges);
	assert_true(caps.ordered_list);
	assert_int_equal(caps.atomic_create,
	    !((struct backend_local *)be)->network);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

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
		T(without_tmpfile_a_name_in_tmp_serves),
		T(without_links_it_is_renamed),
		T(an_unnamed_file_that_cannot_be_linked_is_not_used),
		T(where_nothing_is_safe_put_is_unsupported),
		T(a_link_that_was_made_but_denied_is_ours),
		T(symbolic_links_are_never_followed),
		T(what_is_no_file_is_no_object),
		T(an_object_is_no_directory),
		T(only_what_may_match_is_looked_into),
		T(the_caps_of_a_local_file_system),
	};

	umask(0);
	real = backend_local_sys;
	return cmocka_run_group_tests_name("backend_local", tests, NULL,
	    NULL) != 0;
}
