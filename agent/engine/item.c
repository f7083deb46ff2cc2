#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/engine/backup_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"

/*
 * The flags that a user may set and a restore can set again; the others tell
 * how a file system keeps the file (extents, htree, inline data).
 */
#define FLAGS_KEPT (0xffu | 0x400u | 0x4000u | 0x38000u | FS_NOCOW_FL | \
    FS_DAX_FL | FS_PROJINHERIT_FL)

/* A change within this time before opening may hide another one. */
#define RACY_NS (2 * INT64_C(1000000000))

static const unsigned statx_mask = STATX_BASIC_STATS;

/* Is the ctime so young, or in the future, that it may hide another change? */
static bool racy(const struct item *it, int64_t now)
{
	int64_t now_s = now / 1000000000;

	if (it->ctime_s < now_s - RACY_NS / 1000000000 - 1)
		return false;
	return it->ctime_s > now_s ||
	    now - (it->ctime_s * 1000000000 + it->ctime_ns) < RACY_NS;
}

static uint8_t type_of(uint16_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return FMT_FILE;
	case S_IFDIR: return FMT_DIRECTORY;
	case S_IFLNK: return FMT_SYMLINK;
	case S_IFCHR: return FMT_CHAR_DEVICE;
	case S_IFBLK: return FMT_BLOCK_DEVICE;
	case S_IFIFO: return FMT_FIFO;
	case S_IFSOCK: return FMT_SOCKET;
	default: return 0;
	}
}

static void take_stat(struct backup *b, struct item *it, const struct statx *sx)
{
	it->type = type_of(sx->stx_mode);
	it->mode = sx->stx_mode & 07777;
	it->uid = sx->stx_uid;
	it->gid = sx->stx_gid;
	it->nlink = sx->stx_nlink;
	it->major = sx->stx_rdev_major;
	it->minor = sx->stx_rdev_minor;
	it->dev = makedev(sx->stx_dev_major, sx->stx_dev_minor);
	it->ino = sx->stx_ino;
	it->size = it->type == FMT_FILE ? sx->stx_size : 0;
	it->blocks = sx->stx_blocks;
	it->mtime_s = sx->stx_mtime.tv_sec;
	it->mtime_ns = sx->stx_mtime.tv_nsec;
	it->ctime_s = sx->stx_ctime.tv_sec;
	it->ctime_ns = sx->stx_ctime.tv_nsec;

	struct fmt_digest_input in = {
		.type = it->type, .size = it->size,
		.mtime_s = it->mtime_s, .mtime_ns = it->mtime_ns,
		.ctime_s = it->ctime_s, .ctime_ns = it->ctime_ns,
		.inode = it->ino,
	};
	fmt_digest(it->digest, b->state_key, &in);
}

/* Take note that the path cannot be read; the walk goes on. */
static void unread(struct backup *b, struct item *it, int errnum, const char *what)
{
	struct err why;

	err_sys(&why, errnum, "%s", what);
	if (errnum == ENOENT || errnum == ESTALE) {
		it->gone = true;
		err_set(&why, ERR_NOTFOUND, "it vanished while the backup ran");
	}
	it->bits |= FMT_UNREAD;
	it->no_carry = true;
	backup_report(b, it->dir, it->name, &why);
}

void item_look(struct backup *b, struct item *it, int dirfd)
{
	struct statx sx;
	int64_t now = clock_real_ns();
	int r = it->is_root ?
	    statx(dirfd, "", AT_EMPTY_PATH, statx_mask, &sx) :
	    statx(dirfd, it->name, AT_SYMLINK_NOFOLLOW, statx_mask, &sx);

	if (r < 0) {
		unread(b, it, errno, "cannot look at it");
		it->gone = true;
	} else {
		take_stat(b, it, &sx);
		/* Files are looked at once more when they have been opened. */
		it->no_carry = it->type != FMT_FILE && racy(it, now);
		if (it->type == 0) {
			unread(b, it, EOPNOTSUPP, "an unknown kind of file");
			it->gone = true;
		} else if (b->opt->exclude_larger > 0 && it->size > b->opt->exclude_larger) {
			it->gone = true;
		}
	}
}

/* --- extended attributes ---------------------------------------------------------*/

/* Where attributes are read: an open descriptor, or a path that is not followed. */
struct xattr_at {
	int fd;
	const char *path;
};

static ssize_t xattr_list(const struct xattr_at *at, char *buf, size_t cap)
{
	return at->path ? llistxattr(at->path, buf, cap) : flistxattr(at->fd, buf, cap);
}

static ssize_t xattr_get(const struct xattr_at *at, const char *name, void *buf,
    size_t cap)
{
	return at->path ? lgetxattr(at->path, name, buf, cap) :
	    fgetxattr(at->fd, name, buf, cap);
}

static int name_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Read one value and append it to the list. */
static int add_xattr(struct item *it, const struct xattr_at *at, const char *name)
{
	uint8_t small[1024];
	CLEANUP_FREE uint8_t *big = NULL;
	const uint8_t *value = small;
	ssize_t n = xattr_get(at, name, small, sizeof(small));

	if (n < 0 && errno == ERANGE) {
		big = malloc(XATTR_SIZE_MAX);
		if (big == NULL)
			return -1;
		value = big;
		n = xattr_get(at, name, big, XATTR_SIZE_MAX);
	}
	if (n < 0)
		return errno == ENODATA ? 0 : -1;
	fmt_list_add_xattr(&it->xattrs, fmt_str(name),
	    (struct fmt_str){ (const char *)value, (size_t)n });
	return it->xattrs.b.failed ? -1 : 0;
}

static int read_xattrs(struct item *it, const struct xattr_at *at)
{
	char small[1024];
	CLEANUP_FREE char *big = NULL;
	char *list = small;
	ssize_t len = xattr_list(at, small, sizeof(small));

	if (len < 0 && errno == ERANGE) {
		list = big = malloc(XATTR_LIST_MAX);
		if (big == NULL)
			return -1;
		len = xattr_list(at, big, XATTR_LIST_MAX);
	}
	if (len <= 0)
		return len < 0 && errno != EOPNOTSUPP ? -1 : 0;

	size_t n = 0;

	for (char *p = list; p < list + len; p += strlen(p) + 1)
		n++;

	CLEANUP_FREE const char **names = malloc(n * sizeof(*names));

	if (names == NULL)
		return -1;
	n = 0;
	for (char *p = list; p < list + len; p += strlen(p) + 1)
		names[n++] = p;
	qsort(names, n, sizeof(*names), name_cmp);
	for (size_t i = 0; i < n; i++)
		if (add_xattr(it, at, names[i]) < 0)
			return -1;
	if (it->xattrs.n > 0)
		it->bits |= FMT_HAS_XATTRS;
	return 0;
}

static void read_flags(struct item *it, int fd)
{
	int flags = 0;
	struct fsxattr fsx;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return;
	it->flags = (uint32_t)flags & FLAGS_KEPT;
	if (it->flags != 0)
		it->bits |= FMT_HAS_FLAGS;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &fsx) == 0 && fsx.fsx_projid != 0) {
		it->project = fsx.fsx_projid;
		it->bits |= FMT_HAS_PROJECT;
	}
}

/* --- what is no regular file --------------------------------------------------------*/

static void fetch_directory(struct backup *b, struct item *it, int dirfd)
{
	CLEANUP_CLOSE int own = -1;
	int fd = dirfd;

	if (!it->is_root) {
		own = openat(dirfd, it->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (own < 0) {
			unread(b, it, errno, "cannot read the directory's attributes");
			return;
		}
		fd = own;
	}

	struct xattr_at at = { fd, NULL };

	if (read_xattrs(it, &at) < 0)
		unread(b, it, errno, "cannot read its extended attributes");
	read_flags(it, fd);
}

static void fetch_target(struct backup *b, struct item *it, int dirfd)
{
	char target[4096 + 1];
	ssize_t n = readlinkat(dirfd, it->name, target, sizeof(target) - 1);

	if (n < 0) {
		unread(b, it, errno, "cannot read the link");
		it->gone = true;
		return;
	}
	it->target = mem_memdup0(target, (size_t)n, NULL);
	if (it->target == NULL)
		backup_fail(b, &(struct err){ ERR_FULL, ENOMEM, "out of memory" });
	it->bits |= FMT_HAS_TARGET;
}

static void fetch_special(struct backup *b, struct item *it, int dirfd)
{
	char path[PATH_MAX + 64]; /* longer names could not be looked at */

	/* Opening a device or fifo has effects; its name has none. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, it->name);

	struct xattr_at at = { -1, path };

	if (it->type == FMT_SYMLINK)
		fetch_target(b, it, dirfd);
	if (!it->gone && read_xattrs(it, &at) < 0)
		unread(b, it, errno, "cannot read its extended attributes");
	if (it->type == FMT_CHAR_DEVICE || it->type == FMT_BLOCK_DEVICE)
		it->bits |= FMT_HAS_DEVICE;
}

/* --- regular files ---------------------------------------------------------------------*/

static int open_file(int dirfd, const char *name)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = openat(dirfd, name, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = openat(dirfd, name, flags);
	return fd;
}

/* Has it changed since it was looked at?  Then its entry tells what is now. */
static void look_again(struct backup *b, struct item *it, int fd)
{
	struct statx sx;
	uint8_t before[16];
	uint64_t size = it->size;

	if (statx(fd, "", AT_EMPTY_PATH, statx_mask, &sx) < 0) {
		unread(b, it, errno, "cannot look at it again");
		return;
	}
	if (type_of(sx.stx_mode) != FMT_FILE) {
		/* Another kind of file has taken its name: that is not its content. */
		if (it->content.kind == FMT_CONTENT_SLICE)
			atomic_fetch_sub(&b->held, it->size);
		content_release(&it->content);
		unread(b, it, ESTALE, "replaced");
		return;
	}
	memcpy(before, it->digest, sizeof(before));
	take_stat(b, it, &sx);
	/* The content that was read decides about the size. */
	it->size = size;
	if (it->partial) {
		it->partial = memcmp(before, it->digest, sizeof(before)) == 0;
		return;
	}
	if (memcmp(before, it->digest, sizeof(before)) != 0 || sx.stx_size != size) {
		struct err why;

		it->bits |= FMT_CHANGED;
		it->no_carry = true;
		err_set(&why, ERR_TRANSIENT, "it changed while it was read");
		backup_report(b, it->dir, it->name, &why);
	}
}

/* Read the whole of a small file.  The content may turn out shorter. */
static void read_small(struct backup *b, unsigned self, struct item *it, int fd)
{
	uint8_t *p = malloc(it->size);
	size_t got = 0;

	if (p == NULL) {
		backup_fail(b, &(struct err){ ERR_FULL, ENOMEM, "out of memory for a small file" });
		return;
	}
	while (got < it->size) {
		ssize_t n = pread(fd, p + got, it->size - got, (off_t)got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			unread(b, it, errno, "cannot read it");
			free(p);
			return;
		}
		if (n == 0)
			break;
		got += (size_t)n;
	}
	it->size = got;
	atomic_fetch_add(&b->e->progress.bytes_read, got);
	if (got == 0) {
		free(p);
		it->content.kind = FMT_CONTENT_HOLE;
		return;
	}
	it->content.bytes = p;
	it->content.kind = got <= INLINE_MAX ? FMT_CONTENT_INLINE : FMT_CONTENT_SLICE;
	if (it->content.kind == FMT_CONTENT_SLICE) {
		uint8_t id[32];

		store_blob_id(b->storers[self].w, STORE_DATA, p, got, id);
		memcpy(it->content.hash, id, sizeof(it->content.hash));
		atomic_fetch_add(&b->held, got);
	}
}

/* Does a file have holes that are worth telling? */
static bool sparse(const struct item *it)
{
	return it->size >= SPLIT_GRAIN && it->blocks * 512 + 4096 < it->size;
}

static void fetch_content(struct backup *b, unsigned self, struct item *it, int fd)
{
	content_release(&it->content);
	if (it->size == 0)
		it->content.kind = FMT_CONTENT_HOLE;
	else if (it->size < SMALL_MAX && !sparse(it))
		read_small(b, self, it, fd);
	else
		file_store(b, self, it, fd);
}

static void fetch_file(struct backup *b, unsigned self, struct item *it, int dirfd,
    bool content)
{
	int64_t opened = clock_real_ns();
	CLEANUP_CLOSE int fd = open_file(dirfd, it->name);

	if (fd < 0) {
		unread(b, it, errno, "cannot open it");
		return;
	}
	if (racy(it, opened))
		it->no_carry = true;

	struct xattr_at at = { fd, NULL };

	fmt_list_release(&it->xattrs);
	if (read_xattrs(it, &at) < 0)
		unread(b, it, errno, "cannot read its extended attributes");
	read_flags(it, fd);
	if (content)
		fetch_content(b, self, it, fd);
	if (!(it->bits & FMT_UNREAD) || it->content.kind != CONTENT_NONE)
		look_again(b, it, fd);
}

void item_fetch(struct backup *b, unsigned self, struct item *it, bool content)
{
	struct err err;
	int dirfd = dir_pin(it->dir, &err);

	if (dirfd < 0) {
		unread(b, it, err.errnum ? err.errnum : EIO, "its directory cannot be opened");
		it->fetched = true;
		return;
	}
	if (it->type == FMT_FILE)
		fetch_file(b, self, it, dirfd, content);
	else if (it->type == FMT_DIRECTORY)
		fetch_directory(b, it, dirfd);
	else
		fetch_special(b, it, dirfd);
	dir_unpin(it->dir);
	it->fetched = true;
}

static void run_fetch_all(struct pool_task *task, unsigned self)
{
	struct item *it = (struct item *)((char *)task - offsetof(struct item, task));
	struct backup *b = it->b;

	if (!backup_failed(b) && !backup_stopping(b))
		item_fetch(b, self, it, true);
	backup_task_end(b, &it->busy);
}

static void run_fetch_meta(struct pool_task *task, unsigned self)
{
	struct item *it = (struct item *)((char *)task - offsetof(struct item, task));
	struct backup *b = it->b;

	if (!backup_failed(b) && !backup_stopping(b))
		item_fetch(b, self, it, false);
	backup_task_end(b, &it->busy);
}

void item_submit_fetch(struct backup *b, struct item *it, bool content)
{
	atomic_fetch_add(&it->busy, 1);
	if (content && it->type == FMT_FILE && it->size > b->medium_max) {
		it->big = true;
		file_submit_big(b, it);
		return;
	}
	it->task.fn = content ? run_fetch_all : run_fetch_meta;
	backup_submit(b, &it->task, false);
}

void item_free(struct item *it)
{
	content_release(&it->content);
	fmt_list_release(&it->xattrs);
	free(it->target);
	free(it->state_bytes);
	if (it->group != NULL)
		merge_group_unref(it->group);
	dir_unref(it->dir);
	free(it);
}
