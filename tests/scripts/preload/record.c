/*
 * Preloaded into a program: what it does to the files of one file system is
 * written down in order, so that the states in which a power cut may leave
 * them can be built afterwards.  Each call and its line are one step under a
 * lock: the order of the lines is one in which the calls may have happened.
 *
 * RECORD_LOG: the file to append lines to; RECORD_DATA: the file to append
 * written bytes to; RECORD_AT: a directory on the file system that counts.
 *
 *   create INODE               an unnamed file, or
 *   make PARENT NAME INODE     one with a name
 *   write INODE OFFSET LENGTH PLACE    (place in RECORD_DATA)
 *   cut INODE LENGTH
 *   sync INODE                 of a file or directory
 *   link PARENT NAME INODE
 *   mkdir PARENT NAME INODE
 *   remove PARENT NAME
 *   rename PARENT NAME PARENT NAME
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1, data_fd = -1;
static dev_t device;

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_linkat)(int, const char *, int, const char *, int);
static int (*real_unlinkat)(int, const char *, int);
static int (*real_mkdirat)(int, const char *, mode_t);
static int (*real_renameat2)(int, const char *, int, const char *, unsigned);

static void die(const char *what)
{
	fprintf(stderr, "record: %s: %s\n", what, strerror(errno));
	_exit(99);
}

static void *next(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (p == NULL)
		die(name);
	return p;
}

__attribute__((constructor)) static void begin(void)
{
	const char *log = getenv("RECORD_LOG"), *data = getenv("RECORD_DATA");
	const char *at = getenv("RECORD_AT");
	struct stat st;

	real_pwrite = (ssize_t (*)(int, const void *, size_t, off_t))next("pwrite");
	real_write = (ssize_t (*)(int, const void *, size_t))next("write");
	real_fsync = (int (*)(int))next("fsync");
	real_fdatasync = (int (*)(int))next("fdatasync");
	real_ftruncate = (int (*)(int, off_t))next("ftruncate");
	real_openat = (int (*)(int, const char *, int, ...))next("openat");
	real_linkat = (int (*)(int, const char *, int, const char *, int))next("linkat");
	real_unlinkat = (int (*)(int, const char *, int))next("unlinkat");
	real_mkdirat = (int (*)(int, const char *, mode_t))next("mkdirat");
	real_renameat2 = (int (*)(int, const char *, int, const char *,
	    unsigned))next("renameat2");
	if (log == NULL || data == NULL || at == NULL)
		return;
	/* What a program began does not go on in those that it begins. */
	unsetenv("LD_PRELOAD");
	if (stat(at, &st) != 0)
		die(at);
	device = st.st_dev;
	data_fd = open(data, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log_fd < 0 || data_fd < 0)
		die(log);
}

/* Does the open file lie on the file system that counts? */
static bool counts(int fd, struct stat *st)
{
	return log_fd >= 0 && fstat(fd, st) == 0 && st->st_dev == device &&
	    fd != log_fd && fd != data_fd;
}

/* The inode of a directory given as for openat with a relative name. */
static unsigned long long parent(int dirfd)
{
	struct stat st;

	if ((dirfd == AT_FDCWD ? stat(".", &st) : fstat(dirfd, &st)) != 0)
		die("a directory");
	return (unsigned long long)st.st_ino;
}

static bool dir_counts(int dirfd, const char *name)
{
	struct stat st;

	/* The program makes everything below open directories. */
	return log_fd >= 0 && strchr(name, '/') == NULL && dirfd != AT_FDCWD &&
	    fstat(dirfd, &st) == 0 && st.st_dev == device;
}

static unsigned long long inode_at(int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		die(name);
	return (unsigned long long)st.st_ino;
}

__attribute__((format(printf, 1, 2))) static void line(const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	int n, saved = errno;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || n >= (int)sizeof(text) || real_write(log_fd, text, (size_t)n) != n)
		die("the log");
	errno = saved;
}

static void wrote(const struct stat *st, const void *p, ssize_t n, off_t at)
{
	off_t place = lseek(data_fd, 0, SEEK_END);

	if (place < 0 || real_write(data_fd, p, (size_t)n) != n)
		die("the data");
	line("write %llu %lld %zd %lld\n", (unsigned long long)st->st_ino,
	    (long long)at, n, (long long)place);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	struct stat st;
	ssize_t r;

	if (!counts(fd, &st))
		return real_pwrite(fd, p, n, at);
	pthread_mutex_lock(&lock);
	r = real_pwrite(fd, p, n, at);
	if (r > 0)
		wrote(&st, p, r, at);
	pthread_mutex_unlock(&lock);
	return r;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return pwrite(fd, p, n, at);
}

ssize_t write(int fd, const void *p, size_t n)
{
	struct stat st;
	ssize_t r;
	off_t at;

	if (!counts(fd, &st) || !S_ISREG(st.st_mode))
		return real_write(fd, p, n);
	pthread_mutex_lock(&lock);
	at = lseek(fd, 0, SEEK_CUR);
	r = real_write(fd, p, n);
	if (r > 0 && at >= 0)
		wrote(&st, p, r, at);
	pthread_mutex_unlock(&lock);
	return r;
}

int ftruncate(int fd, off_t len)
{
	struct stat st;
	int r;

	if (!counts(fd, &st))
		return real_ftruncate(fd, len);
	pthread_mutex_lock(&lock);
	r = real_ftruncate(fd, len);
	if (r == 0)
		line("cut %llu %lld\n", (unsigned long long)st.st_ino, (long long)len);
	pthread_mutex_unlock(&lock);
	return r;
}

int ftruncate64(int fd, off_t len)
{
	return ftruncate(fd, len);
}

static int sync_with(int (*real)(int), int fd)
{
	struct stat st;
	int r;

	if (!counts(fd, &st))
		return real(fd);
	pthread_mutex_lock(&lock);
	r = real(fd);
	if (r == 0)
		line("sync %llu\n", (unsigned long long)st.st_ino);
	pthread_mutex_unlock(&lock);
	return r;
}

int fsync(int fd)
{
	return sync_with(real_fsync, fd);
}

int fdatasync(int fd)
{
	return sync_with(real_fdatasync, fd);
}

int openat(int dirfd, const char *name, int flags, ...)
{
	mode_t mode = 0;
	struct stat st;
	int fd;

	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {
		va_list ap;

		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (mode == 0 || !dir_counts(dirfd, name))
		return real_openat(dirfd, name, flags, mode);
	pthread_mutex_lock(&lock);
	fd = real_openat(dirfd, name, flags, mode);
	if (fd >= 0 && fstat(fd, &st) == 0) {
		if ((flags & O_TMPFILE) == O_TMPFILE)
			line("create %llu\n", (unsigned long long)st.st_ino);
		else if (flags & O_EXCL)
			line("make %llu %s %llu\n", parent(dirfd), name,
			    (unsigned long long)st.st_ino);
		else
			die("openat without O_EXCL makes a file: not foreseen");
	}
	pthread_mutex_unlock(&lock);
	return fd;
}

int openat64(int dirfd, const char *name, int flags, ...)
{
	mode_t mode = 0;

	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {
		va_list ap;

		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return openat(dirfd, name, flags, mode);
}

int linkat(int from, const char *old, int dirfd, const char *name, int flags)
{
	int r;

	if (!dir_counts(dirfd, name))
		return real_linkat(from, old, dirfd, name, flags);
	pthread_mutex_lock(&lock);
	r = real_linkat(from, old, dirfd, name, flags);
	if (r == 0)
		line("link %llu %s %llu\n", parent(dirfd), name,
		    inode_at(dirfd, name));
	pthread_mutex_unlock(&lock);
	return r;
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
	int r;

	if (!dir_counts(dirfd, name))
		return real_mkdirat(dirfd, name, mode);
	pthread_mutex_lock(&lock);
	r = real_mkdirat(dirfd, name, mode);
	if (r == 0)
		line("mkdir %llu %s %llu\n", parent(dirfd), name,
		    inode_at(dirfd, name));
	pthread_mutex_unlock(&lock);
	return r;
}

int unlinkat(int dirfd, const char *name, int flags)
{
	int r;

	if (!dir_counts(dirfd, name))
		return real_unlinkat(dirfd, name, flags);
	pthread_mutex_lock(&lock);
	r = real_unlinkat(dirfd, name, flags);
	if (r == 0)
		line("remove %llu %s\n", parent(dirfd), name);
	pthread_mutex_unlock(&lock);
	return r;
}

int renameat2(int from, const char *old, int dirfd, const char *name,
    unsigned flags)
{
	int r;

	if (!dir_counts(dirfd, name) || !dir_counts(from, old))
		return real_renameat2(from, old, dirfd, name, flags);
	pthread_mutex_lock(&lock);
	r = real_renameat2(from, old, dirfd, name, flags);
	if (r == 0)
		line("rename %llu %s %llu %s\n", parent(from), old, parent(dirfd),
		    name);
	pthread_mutex_unlock(&lock);
	return r;
}
