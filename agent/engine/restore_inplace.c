#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/engine/restore_internal.h"
#include "repo/base/cleanup.h"

#define FROZEN_ATTRS (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)

static mode_t type_bits(uint8_t type)
{
	switch (type) {
	case FMT_FILE: return S_IFREG;
	case FMT_DIRECTORY: return S_IFDIR;
	case FMT_SYMLINK: return S_IFLNK;
	case FMT_CHAR_DEVICE: return S_IFCHR;
	case FMT_BLOCK_DEVICE: return S_IFBLK;
	case FMT_FIFO: return S_IFIFO;
	default: return S_IFSOCK;
	}
}

/* Flags that forbid changes go; they come back with the metadata. */
static void thaw(int dirfd, const char *name, const struct statx *sx)
{
	if (!(sx->stx_attributes & FROZEN_ATTRS) || (!S_ISREG(sx->stx_mode) &&
	    !S_ISDIR(sx->stx_mode)))
		return;

	CLEANUP_CLOSE int fd = openat(dirfd, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		restore_meta_thaw(fd);
}

/* --- files and what is none -----------------------------------------------------------*/

static enum restore_how look_file(struct ritem *it, const struct statx *sx)
{
	bool alike = sx->stx_size == it->size && sx->stx_mtime.tv_sec == it->mtime_s &&
	    sx->stx_mtime.tv_nsec == it->mtime_ns;
	bool same = alike && !it->r->opt->verify;

	if (sx->stx_nlink > 1) {
		/* Its other names may be anywhere: it is kept, or left to them. */
		if (!alike || !(it->bits & FMT_HAS_LINKS))
			return HOW_REPLACE;
		it->shared = true;
		it->fdev = makedev(sx->stx_dev_major, sx->stx_dev_minor);
		it->fino = sx->stx_ino;
	}
	it->resized = sx->stx_size != it->size;
	return same ? HOW_SAME : HOW_UPDATE;
}

static bool same_target(const struct ritem *it, int dirfd)
{
	char have[PATH_MAX];
	ssize_t n = readlinkat(dirfd, it->name, have, sizeof(have));

	return n >= 0 && (size_t)n == it->target.len && memcmp(have, it->target.p, (size_t)n) == 0;
}

static enum restore_how look_at(struct ritem *it, int dirfd, const struct statx *sx)
{
	if ((sx->stx_mode & S_IFMT) != type_bits(it->type))
		return HOW_REPLACE;
	switch (it->type) {
	case FMT_FILE:
		return look_file(it, sx);
	case FMT_SYMLINK:
		return same_target(it, dirfd) ? HOW_SAME : HOW_REPLACE;
	case FMT_CHAR_DEVICE:
	case FMT_BLOCK_DEVICE:
		return sx->stx_rdev_major == it->major && sx->stx_rdev_minor == it->minor ?
		    HOW_SAME : HOW_REPLACE;
	default:
		return HOW_SAME;
	}
}

void restore_look(struct ritem *it)
{
	struct restore *r = it->r;
	struct statx sx;
	struct err err;

	if (it->how == HOW_VERIFY) {
		restore_verify_look(it);
		return;
	}

	int dirfd = dir_pin(it->dir, &err);

	it->how = HOW_CREATE;
	if (dirfd < 0) {
		if (err.class != ERR_NOTFOUND && !r->dry) {
			it->how = HOW_SKIP;
			restore_report(it, &err);
		}
		return;
	}
	if (statx(dirfd, it->name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &sx) == 0) {
		it->how = look_at(it, dirfd, &sx);
		if (!r->dry)
			thaw(dirfd, it->name, &sx);
	} else if (errno != ENOENT) {
		err_sys(&err, errno, "cannot look at what is in its place");
		it->how = HOW_SKIP;
		restore_report(it, &err);
	}
	dir_unpin(it->dir);
}

/* --- directories --------------------------------------------------------------------------*/

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void add_key(uint64_t key[2], uint64_t h, unsigned depth)
{
	key[0] += mix(h + depth * 0x9e3779b97f4a7c15u);
	key[1] += mix((h ^ 0x5851f42d4c957f2du) * (2 * (uint64_t)depth + 1));
}

void restore_dir_key(const struct dir *dir, const struct fmt_comp *name, uint64_t ret[2])
{
	ret[0] = ret[1] = 0;
	if (name != NULL)
		add_key(ret, name->h, dir->depth + 1);
	for (; dir->parent != NULL; dir = dir->parent)
		add_key(ret, dir->h, dir->depth);
}

static int note_made(struct restore *r, const struct dir *dir, const struct fmt_comp *name,
    struct err *err)
{
	uint64_t key[2], old;

	restore_dir_key(dir, name, key);
	return table_add(r->made_dirs, key[0], key[1], 1, &old, err) < 0 ? -1 : 0;
}

/* Keep the directory that is there, usable for now. */
static void keep_dir(struct restore *r, int dirfd, const char *name, const struct statx *sx)
{
	char path[320];

	if (r->dry)
		return;
	thaw(dirfd, name, sx);
	if (r->all_access || (sx->stx_mode & 0700) == 0700)
		return;

	/* By its descriptor: a link in its place is not followed. */
	CLEANUP_CLOSE int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd >= 0)
		chmod(path, (sx->stx_mode & 07777) | 0700);
}

/* 1: it was made (or would be), 0: it is there, -1 with err. */
static int place_dir(struct restore *r, int dirfd, const char *name, struct err *err)
{
	struct statx sx;

	if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &sx) == 0) {
		if (S_ISDIR(sx.stx_mode)) {
			keep_dir(r, dirfd, name, &sx);
			return 0;
		}
		if (!r->dry) {
			thaw(dirfd, name, &sx);
			if (restore_remove(r, dirfd, name, false, err) < 0)
				return -1;
		}
	} else if (errno != ENOENT) {
		return err_sys(err, errno, "cannot look at what is in its place");
	}
	if (!r->dry && mkdirat(dirfd, name, 0700) < 0)
		return err_sys(err, errno, "cannot make the directory");
	return 1;
}

static void report_dir(struct restore *r, const struct view_entry *v, const struct err *why)
{
	struct err none;
	struct ritem *it = restore_item_new(r, v, &none);

	if (it == NULL)
		return;
	restore_report(it, why);
	restore_item_free(it);
}

int restore_inplace_dir(struct restore *r, const struct view_entry *v, struct err *err)
{
	struct err why;
	int dirfd = dir_pin(v->dir, &why), res = 1;

	if (dirfd >= 0) {
		res = place_dir(r, dirfd, v->name, &why);
		dir_unpin(v->dir);
	} else if (!r->dry || why.class != ERR_NOTFOUND) {
		res = -1;
	}
	if (res < 0) {
		report_dir(r, v, &why);
		return restore_stopped(r) ? -1 : 0;
	}
	atomic_fetch_add(&r->dirs_done, 1);
	atomic_fetch_add(&r->e->progress.dirs_done, 1);
	if (res == 0)
		return 0;

	struct ritem *it = restore_item_new(r, v, err);

	if (it == NULL)
		return -1;
	restore_action(it, "create", 0);
	restore_item_free(it);
	return note_made(r, v->dir, &v->e->name, err);
}

int restore_inplace_parents(struct restore *r, const struct view_entry *v, struct err *err)
{
	struct err why;

	if (r->dry || r->opt->include == NULL || v->dir == r->last_parent)
		return 0;
	dir_unref(r->last_parent);
	r->last_parent = dir_ref(v->dir);
	for (const struct dir *d = v->dir; d->parent != NULL; d = d->parent) {
		int fd = dir_pin((struct dir *)d, &why);

		if (fd >= 0) {
			dir_unpin((struct dir *)d);
			break;
		}
		if (why.class != ERR_NOTFOUND)
			break;
		if (note_made(r, d, NULL, err) < 0)
			return -1;
	}

	int fd = restore_dir_pin(r, v->dir, &why);

	if (fd >= 0)
		dir_unpin(v->dir);
	return 0;
}
