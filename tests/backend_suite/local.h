#ifndef TESTS_BACKEND_SUITE_LOCAL_H
#define TESTS_BACKEND_SUITE_LOCAL_H

/*
 * What tests of the local directory work with: a fresh one for each test, and
 * a record of the system calls that change it, any of which can fail.
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

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* To be called first in main. */
static void init(void)
{
	umask(0);
	real = backend_local_sys;
}

#endif
