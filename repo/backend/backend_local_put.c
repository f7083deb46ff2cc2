#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/backend/backend_internal.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/rand.h"

/* From this size on the page cache is passed by. */
#define DIRECT_MIN ((size_t)1 << 20)
#define DIRECT_ALIGN ((size_t)4096)

/* How often a put starts anew when directories vanish under it. */
#define PUT_TRIES 100

#define TMP_NAME_LEN 16
#define TMP_MAX_AGE_NS (INT64_C(24) * 3600 * 1000000000)

/* Results of one try beside 0, 1 and -1. */
#define PUT_AGAIN 2    /* the directory went away */
#define PUT_BY_NAME 3  /* unnamed files cannot be had or linked here */

/* One put, handed down. */
struct put {
	struct backend_local *l;
	const char *key;
	const char *base; /* the key's last component */
	const void *data;
	size_t len;
	int dir; /* where it shall be, open */
};

static int fail(const struct put *p, const char *what, struct err *err)
{
	return backend_local_fail(p->l, what, p->key, errno, err);
}

static int set_direct(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -1;
	return fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT);
}

/*
 * Write bytes done to end.  Return how far it came: less than end with errno.
 */
static size_t write_range(int fd, const uint8_t *data, size_t done, size_t end)
{
	while (done < end) {
		ssize_t n = backend_local_sys.pwrite(fd, data + done,
		    end - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

/* Write len bytes to the empty file fd and sync it.  0, or -1 with errno. */
static int write_all(const struct backend_local *l, int fd,
    const uint8_t *data, size_t len)
{
	size_t done = 0;

	if (len >= DIRECT_MIN && (uintptr_t)data % DIRECT_ALIGN == 0 &&
	    set_direct(fd, true) == 0) {
		size_t whole = len - len % DIRECT_ALIGN;

		done = write_range(fd, data, 0, whole);
		/* EINVAL: this file system or device wants it otherwise. */
		if (done < whole && errno != EINVAL)
			return -1;
		if (set_direct(fd, false) < 0)
			return -1;
	}
	if (write_range(fd, data, done, len) < len)
		return -1;
	return backend_local_sync_file(l, fd);
}

/*
 * See what has the key's name.  Return 0 for nothing; 1 for another object,
 * which is durable now; 2 for the file open at fd (not asked for when fd is
 * negative); -1 with err for what is no object.
 */
static int look(const struct put *p, int fd, struct err *err)
{
	struct stat st, own;

	if (fstatat(p->dir, p->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(p, "looking at", err);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE, "writing %s in %s: something "
		    "else than a file is in its place", p->key,
		    p->l->be.name);
	if (fd >= 0 && fstat(fd, &own) == 0 && own.st_dev == st.st_dev &&
	    own.st_ino == st.st_ino)
		return 2;
	/* Who made it may not have come to that yet. */
	if (backend_local_sync_dir(p->l, p->dir) < 0)
		return fail(p, "syncing the directory of", err);
	return 1;
}

/*
 * The file fd was to be linked, but the name is taken.  A network file system
 * says so, too, when it asked twice because it lost the first answer.
 */
static int name_is_taken(const struct put *p, int fd, struct err *err)
{
	int rc = look(p, fd, err);

	if (rc == 0)
		return PUT_AGAIN; /* it was removed meanwhile */
	return rc == 2 ? 0 : rc;
}

/* The object has its name: make that durable.  0 or -1. */
static int finish(const struct put *p, struct err *err)
{
	if (backend_local_sync_dir(p->l, p->dir) < 0)
		return fail(p, "syncing the directory of", err);
	return 0;
}

/* Return true when linking is not possible here at all. */
static bool cannot_link(int errnum)
{
	return errnum == EPERM || errnum == EOPNOTSUPP || errnum == ENOSYS ||
	    errnum == EMLINK || errnum == EINVAL;
}

/*
 * Give the unnamed file its name.  AT_EMPTY_PATH says ENOENT to those without
 * the capability for it; they go by /proc.  Return 0, or -1 with errno.
 */
static int link_unnamed(const struct put *p, int fd)
{
	char proc[40];

	if (backend_local_sys.linkat(fd, "", p->dir, p->base,
	        AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOENT && !cannot_link(errno))
		return -1;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (backend_local_sys.linkat(AT_FDCWD, proc, p->dir, p->base,
	        AT_SYMLINK_FOLLOW) == 0)
		return 0;
	/* No /proc: then unnamed files are of no use. */
	if (errno == ENOENT && access("/proc/self/fd", F_OK) < 0)
		errno = EOPNOTSUPP;
	return -1;
}

/*
 * Return true when a call failed with errno because the directory it was for
 * was removed.  Not every file system says ENOENT then (ext4: EPERM).
 */
static bool dir_vanished(const struct put *p)
{
	int e = errno;
	struct stat st;
	bool gone = e == ENOENT ||
	    (fstat(p->dir, &st) == 0 && st.st_nlink == 0);

	errno = e;
	return gone;
}

static int put_unnamed(const struct put *p, struct err *err)
{
	CLEANUP_CLOSE int fd = backend_local_sys.openat(p->dir, ".",
	    O_TMPFILE | O_WRONLY | O_CLOEXEC, BACKEND_LOCAL_FILE_MODE);

	if (fd < 0) {
		if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)
			return PUT_BY_NAME;
		return dir_vanished(p) ? PUT_AGAIN : fail(p, "writing", err);
	}
	if (write_all(p->l, fd, p->data, p->len) < 0)
		return fail(p, "writing", err);
	if (link_unnamed(p, fd) < 0) {
		if (errno == EEXIST) {
			int rc = name_is_taken(p, fd, err);

			return rc == 0 ? finish(p, err) : rc;
		}
		if (dir_vanished(p))
			return PUT_AGAIN;
		return cannot_link(errno) ? PUT_BY_NAME :
		    fail(p, "linking", err);
	}
	return finish(p, err);
}

/* Make a new file in tmp.  Return it and its name, or -1 with errno. */
static int create_tmp(int tmp, char name[TMP_NAME_LEN + 1])
{
	uint8_t r[TMP_NAME_LEN / 2];
	int fd;

	do {
		rand_bytes(r, sizeof(r));
		hex_encode(name, r, sizeof(r));
		fd = backend_local_sys.openat(tmp, name, O_CREAT | O_EXCL |
		    O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
		    BACKEND_LOCAL_FILE_MODE);
	} while (fd < 0 && errno == EEXIST);
	return fd;
}

/*
 * Give the file name in tmp, open at fd, the key's name without overwriting.
 * It stays in tmp where it could be linked.  Return 0, 1, PUT_AGAIN or -1.
 */
static int name_new(const struct put *p, int tmp, const char *name, int fd,
    struct err *err)
{
	if (backend_local_sys.linkat(tmp, name, p->dir, p->base, 0) == 0)
		return 0;
	if (errno == EEXIST)
		return name_is_taken(p, fd, err);
	if (dir_vanished(p))
		return PUT_AGAIN;
	if (!cannot_link(errno))
		return fail(p, "linking", err);
	if (backend_local_sys.renameat2(tmp, name, p->dir, p->base,
	        RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST)
		return name_is_taken(p, fd, err);
	if (dir_vanished(p))
		return PUT_AGAIN;
	if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)
		return err_set(err, ERR_UNSUPPORTED, "writing %s: the file "
		    "system of %s can neither link nor rename without "
		    "overwriting", p->key, p->l->be.name);
	return fail(p, "renaming", err);
}

/* The same, replacing what has it.  Return 0, PUT_AGAIN or -1. */
static int name_over(const struct put *p, int tmp, const char *name,
    struct err *err)
{
	if (backend_local_sys.renameat2(tmp, name, p->dir, p->base, 0) == 0)
		return 0;
	return dir_vanished(p) ? PUT_AGAIN : fail(p, "replacing", err);
}

static int put_named(const struct put *p, bool over, struct err *err)
{
	CLEANUP_CLOSE int tmp = backend_local_dir_make(p->l,
	    BACKEND_LOCAL_TMP);
	char name[TMP_NAME_LEN + 1];
	int rc;

	if (tmp < 0)
		return fail(p, "making tmp/ for", err);

	CLEANUP_CLOSE int fd = create_tmp(tmp, name);

	if (fd < 0)
		return fail(p, "writing", err);
	if (write_all(p->l, fd, p->data, p->len) < 0)
		rc = fail(p, "writing", err);
	else if (over)
		rc = name_over(p, tmp, name, err);
	else
		rc = name_new(p, tmp, name, fd, err);
	/* Where it was renamed there is nothing to remove any more. */
	if (!(over && rc == 0))
		backend_local_sys.unlinkat(tmp, name, 0);
	return rc == 0 ? finish(p, err) : rc;
}

static int put_once(struct put *p, const char *dir, bool over,
    struct err *err)
{
	CLEANUP_CLOSE int fd = backend_local_dir_make(p->l, dir);

	if (fd < 0)
		return fail(p, "making the directory of", err);
	p->dir = fd;
	if (over)
		return put_named(p, true, err);

	/* A name that is taken need not cost a write. */
	int rc = look(p, -1, err);

	if (rc != 0)
		return rc;
	if (!atomic_load(&p->l->no_tmpfile)) {
		rc = put_unnamed(p, err);
		if (rc != PUT_BY_NAME)
			return rc;
		atomic_store(&p->l->no_tmpfile, true);
	}
	return put_named(p, false, err);
}

static int put(struct backend *be, const char *key, const void *data,
    size_t len, bool over, struct err *err)
{
	struct backend_local *l = (struct backend_local *)be;
	struct backend_local_path path;
	struct put p = { .l = l, .key = key, .data = data, .len = len };
	int rc = PUT_AGAIN;

	if (l->read_only)
		return err_set(err, ERR_AUTH, "writing %s: %s is open for "
		    "reading only", key, be->name);
	backend_local_split(key, &path);
	p.base = path.base;
	for (int i = 0; rc == PUT_AGAIN && i < PUT_TRIES; i++)
		rc = put_once(&p, path.dir, over, err);
	if (rc == PUT_AGAIN)
		rc = err_set(err, ERR_TRANSIENT, "writing %s in %s: its "
		    "directory is removed again and again", key, be->name);
	if (rc < 0)
		backend_local_dir_prune(l, path.dir);
	return rc;
}

int backend_local_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	return put(be, key, data, len, false, err);
}

int backend_local_put_over(struct backend *be, const char *key,
    const void *data, size_t len, struct err *err)
{
	return put(be, key, data, len, true, err);
}

/* Return true for names that create_tmp makes. */
static bool is_tmp_name(const char *name)
{
	uint8_t r[TMP_NAME_LEN / 2];

	return hex_decode(r, sizeof(r), name) == 0;
}

void backend_local_tmp_clean(struct backend_local *l)
{
	int fd = backend_local_beneath(l, BACKEND_LOCAL_TMP,
	    O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}

	int64_t now = clock_real_ns();

	while ((e = readdir(d)) != NULL) {
		if (!is_tmp_name(e->d_name) || fstatat(fd, e->d_name, &st,
		        AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;

		int64_t mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 +
		    st.st_mtim.tv_nsec;

		if (now - mtime > TMP_MAX_AGE_NS)
			backend_local_sys.unlinkat(fd, e->d_name, 0);
	}
	closedir(d);
}
