/*
 * The local cache: ranges of objects as they are stored, in files of their own.
 * Nobody trusts it: what is read of it is verified as if the store had sent it,
 * and thrown away when it is wrong.  So files need no fsync, no lock and no
 * index; any of them may be cut off, replaced or removed at any time, and
 * several processes share a directory by making files under other names first.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"
#include "repo/store/store_disk_internal.h"
#include "repo/store/store_internal.h"

#define OBJECTS "objects"
/* "ab/" and 30 hex more: 128 bits of a hash of what the file holds. */
#define NAME_LEN 34
/* Own files made until it is counted again what all processes made. */
#define RECOUNT ((uint64_t)64 << 20)
/* When there is too much, it is brought down to so many percent. */
#define LEAVE_PERCENT 90
/* A file that was read is as good as new; but not marked so each time. */
#define TOUCH_S 3600

struct store_disk {
	int root;             /* objects/ */
	int dir;              /* that of the repository in it */
	uint64_t max;         /* bytes */
	pthread_mutex_t lock; /* while counting */
	atomic_uint_fast64_t made; /* bytes since it was last counted */
	atomic_uint_fast64_t known; /* bytes there were then */
	atomic_bool counted, off;  /* off: nothing more is kept */
};

static int open_dir(int at, const char *name)
{
	int fd;

	if (mkdirat(at, name, 0700) != 0 && errno != EEXIST)
		return -1;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd;
}

/* Open the directory `path`, making it and those above it. */
static int open_path(const char *path)
{
	CLEANUP_FREE char *copy = strdup(path);

	if (copy == NULL)
		return -1;
	for (char *p = copy + 1; *p != '\0' && (p = strchr(p, '/')) != NULL;
	    p++) {
		*p = '\0';
		if (mkdir(copy, 0700) != 0 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	if (mkdir(copy, 0700) != 0 && errno != EEXIST)
		return -1;
	return open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

struct store_disk *store_disk_open(const char *path, uint64_t max,
    const uint8_t repository[FMT_REPOSITORY_LEN])
{
	struct store_disk *d = calloc(1, sizeof(*d));
	char hex[2 * FMT_REPOSITORY_LEN + 1];
	int top;

	if (d == NULL)
		return NULL;
	hex_encode(hex, repository, FMT_REPOSITORY_LEN);
	top = open_path(path);
	d->root = top < 0 ? -1 : open_dir(top, OBJECTS);
	d->dir = d->root < 0 ? -1 : open_dir(d->root, hex);
	d->max = max;
	if (d->dir < 0)
		log_msg(LOG_INFO, "nothing is cached in %s: %s", path,
		    strerror(errno));
	if (top >= 0)
		close(top);
	if (d->dir < 0) {
		if (d->root >= 0)
			close(d->root);
		free(d);
		return NULL;
	}
	pthread_mutex_init(&d->lock, NULL);
	return d;
}

void store_disk_close(struct store_disk *d)
{
	if (d == NULL)
		return;
	close(d->dir);
	close(d->root);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static void file_name(char dst[NAME_LEN], const char *key, uint64_t off,
    size_t len)
{
	uint8_t in[FMT_KEY_MAX + 17] = { 0 }, hash[32];
	char hex[33];

	snprintf((char *)in, FMT_KEY_MAX, "%s", key);
	le64_put(in + FMT_KEY_MAX, off);
	le64_put(in + FMT_KEY_MAX + 8, len);
	crypto_sha256(hash, in, sizeof(in));
	hex_encode(hex, hash, 16);
	snprintf(dst, NAME_LEN, "%.2s/%s", hex, hex + 2);
}

/* --- reading -----------------------------------------------------------------------*/

/* Open the file of a range, if it has as many bytes as that. */
static int file_open(const struct store_disk *d, const char *key, uint64_t off,
    size_t len, struct stat *ret_sb)
{
	char name[NAME_LEN];
	int fd;

	file_name(name, key, off, len);
	fd = openat(d->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK);
	if (fd >= 0 && (fstat(fd, ret_sb) != 0 || !S_ISREG(ret_sb->st_mode) ||
	    ret_sb->st_size != (off_t)len)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

bool store_disk_get(struct store_disk *d, const char *key, uint64_t off,
    void *dst, size_t len)
{
	struct stat sb;
	size_t have = 0;
	int fd = d == NULL ? -1 : file_open(d, key, off, len, &sb);

	if (fd < 0)
		return false;
	while (have < len) {
		ssize_t n = read(fd, (uint8_t *)dst + have, len - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	if (have == len && sb.st_mtime < clock_real_ns() / 1000000000 - TOUCH_S)
		futimens(fd, NULL);
	close(fd);
	return have == len;
}

bool store_disk_has(struct store_disk *d, const char *key, uint64_t off,
    size_t len)
{
	struct stat sb;
	int fd = d == NULL ? -1 : file_open(d, key, off, len, &sb);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void store_disk_drop(struct store_disk *d, const char *key, uint64_t off,
    size_t len)
{
	char name[NAME_LEN];

	if (d == NULL)
		return;
	log_msg(LOG_INFO, "%s: what the local cache has of it is wrong and is "
	    "thrown away", key);
	file_name(name, key, off, len);
	unlinkat(d->dir, name, 0);
}

/* --- room --------------------------------------------------------------------------*/

struct file {
	int64_t mtime;    /* s */
	uint64_t size;
	char path[2 * FMT_REPOSITORY_LEN + 1 + NAME_LEN + 16];
};

struct files {
	struct file *v;
	size_t n, cap;
	uint64_t bytes;
};

static void files_add(struct files *f, const struct stat *sb, const char *a,
    const char *b, const char *c)
{
	if (f->n == f->cap) {
		size_t cap = f->cap == 0 ? 1024 : f->cap * 2;
		struct file *v = reallocarray(f->v, cap, sizeof(*v));

		if (v == NULL)
			return;
		f->v = v;
		f->cap = cap;
	}
	if ((size_t)snprintf(f->v[f->n].path, sizeof(f->v->path), "%s/%s/%s",
	        a, b, c) >= sizeof(f->v->path))
		return;
	f->v[f->n].mtime = sb->st_mtime;
	f->v[f->n].size = (uint64_t)sb->st_blocks * 512;
	f->bytes += f->v[f->n++].size;
}

/* The directories below `at`, one after the other; NULL when it is none. */
static DIR *dir_open(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC |
	    O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && d == NULL)
		close(fd);
	return d;
}

static void count_files(DIR *in, const char *repo, const char *sub,
    struct files *f)
{
	struct dirent *de;
	struct stat sb;

	while ((de = readdir(in)) != NULL)
		if (fstatat(dirfd(in), de->d_name, &sb,
		        AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(sb.st_mode))
			files_add(f, &sb, repo, sub, de->d_name);
}

static void count_repository(DIR *in, const char *repo, struct files *f)
{
	struct dirent *de;

	while ((de = readdir(in)) != NULL) {
		DIR *sub = de->d_name[0] == '.' ? NULL :
		    dir_open(dirfd(in), de->d_name);

		if (sub == NULL)
			continue;
		count_files(sub, repo, de->d_name, f);
		closedir(sub);
	}
}

static int file_cmp(const void *a, const void *b)
{
	int64_t x = ((const struct file *)a)->mtime;
	int64_t y = ((const struct file *)b)->mtime;

	return (x > y) - (x < y);
}

/*
 * Count what is there, and remove what was not used for longest, when it would
 * be too much with so many bytes more.
 */
static void count(struct store_disk *d, uint64_t more)
{
	struct files f = { 0 };
	struct dirent *de;
	DIR *root = dir_open(d->root, ".");

	while (root != NULL && (de = readdir(root)) != NULL) {
		DIR *repo = de->d_name[0] == '.' ? NULL :
		    dir_open(d->root, de->d_name);

		if (repo == NULL)
			continue;
		count_repository(repo, de->d_name, &f);
		closedir(repo);
	}
	if (root != NULL)
		closedir(root);
	if (f.bytes + more > d->max) {
		qsort(f.v, f.n, sizeof(*f.v), file_cmp);
		for (size_t i = 0; i < f.n &&
		    f.bytes + more > d->max / 100 * LEAVE_PERCENT; i++)
			if (unlinkat(d->root, f.v[i].path, 0) == 0 ||
			    errno == ENOENT)
				f.bytes -= f.v[i].size;
	}
	free(f.v);
	atomic_store(&d->known, f.bytes);
	atomic_store(&d->made, more);
	atomic_store(&d->counted, true);
}

/* Is there room for so many bytes more? */
static bool make_room(struct store_disk *d, size_t len)
{
	/* As file systems count. */
	uint64_t takes = ((uint64_t)len + 4095) / 4096 * 4096;

	if (takes > d->max / 4)
		return false;
	atomic_fetch_add(&d->made, takes);
	if (!atomic_load(&d->counted) || atomic_load(&d->made) > RECOUNT ||
	    atomic_load(&d->known) + atomic_load(&d->made) > d->max) {
		pthread_mutex_lock(&d->lock);
		count(d, takes);
		pthread_mutex_unlock(&d->lock);
	}
	return true;
}

/* --- writing -------------------------------------------------------------------------*/

static bool write_all(int fd, const void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, (const uint8_t *)data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

/* Make the file under a name of its own, then under its right one. */
static bool file_make(struct store_disk *d, const char *name, const void *data,
    size_t len)
{
	char sub[3] = { name[0], name[1], '\0' }, part[64];
	bool done;
	int fd;

	if (mkdirat(d->dir, sub, 0700) != 0 && errno != EEXIST)
		return false;
	snprintf(part, sizeof(part), "%s/part-%016llx", sub,
	    (unsigned long long)rand_u64());
	fd = openat(d->dir, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	if (fd < 0)
		return false;
	done = write_all(fd, data, len);
	close(fd);
	done = done && renameat(d->dir, part, d->dir, name) == 0;
	if (!done) {
		int e = errno;

		unlinkat(d->dir, part, 0);
		errno = e;
	}
	return done;
}

void store_disk_put(struct store_disk *d, const char *key, uint64_t off,
    const void *data, size_t len)
{
	char name[NAME_LEN];

	if (d == NULL || len == 0 || atomic_load(&d->off) ||
	    !make_room(d, len))
		return;
	file_name(name, key, off, len);
	if (file_make(d, name, data, len))
		return;
	/* Removed while in use: nothing of it is used any more. */
	if (!atomic_exchange(&d->off, true))
		log_msg(LOG_INFO, "nothing more is cached on this machine: %s",
		    strerror(errno));
}
