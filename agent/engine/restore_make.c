#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/engine/restore_internal.h"
#include "repo/base/cleanup.h"

/* Clear the place of what is to be made.  0, or -1 reported. */
static int clear_place(struct ritem *it, int dirfd)
{
	struct err err;

	if (it->how != HOW_REPLACE)
		return 0;
	if (restore_remove(it->r, dirfd, it->name, it->r->opt->delete_extra, &err) == 0)
		return 0;
	restore_report(it, &err);
	return -1;
}

static void count_other(struct ritem *it)
{
	struct restore *r = it->r;

	atomic_fetch_add(&r->others, 1);
	atomic_fetch_add(&r->e->progress.others_done, 1);
	if (it->how == HOW_SAME)
		atomic_fetch_add(&r->same, 1);
}

static mode_t node_type(uint8_t type)
{
	switch (type) {
	case FMT_CHAR_DEVICE: return S_IFCHR;
	case FMT_BLOCK_DEVICE: return S_IFBLK;
	case FMT_FIFO: return S_IFIFO;
	case FMT_SOCKET: return S_IFSOCK;
	case FMT_SYMLINK: return S_IFLNK;
	case FMT_DIRECTORY: return S_IFDIR;
	default: return S_IFREG;
	}
}

/* 0 or an errno value. */
static int make_node(const struct ritem *it, int dirfd)
{
	if (it->type == FMT_SYMLINK) {
		if (it->target.len == 0 || it->target.len >= PATH_MAX ||
		    memchr(it->target.p, 0, it->target.len) != NULL)
			return EINVAL;
		return symlinkat(it->target.p, dirfd, it->name) < 0 ? errno : 0;
	}
	return mknodat(dirfd, it->name, node_type(it->type) | 0600,
	    makedev(it->major, it->minor)) < 0 ? errno : 0;
}

/* A symbolic link, device, fifo or socket. */
static void make_special(struct ritem *it, int dirfd)
{
	bool fresh = it->how != HOW_SAME;
	struct err err;
	struct stat st;

	if (it->r->dry) {
		if (fresh)
			restore_action(it, "create", 0);
		count_other(it);
		if (fresh)
			return;
	} else if (fresh) {
		if (clear_place(it, dirfd) < 0)
			return;

		int e = make_node(it, dirfd);

		if (e != 0) {
			err_sys(&err, e, "cannot make it");
			restore_report(it, &err);
			return;
		}
	}

	CLEANUP_CLOSE int fd = openat(dirfd, it->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != node_type(it->type)) {
		err_sys(&err, fd < 0 ? errno : ESTALE, "cannot give it its metadata");
		restore_report(it, &err);
		return;
	}

	struct restore_meta_at at = { .fd = fd, .path_only = true, .dirfd = dirfd,
	    .fresh = fresh };
	bool changed = restore_meta_apply(it, &at);

	restore_action(it, fresh ? "create" : changed ? "metadata" : "same", 0);
	if (!it->r->dry)
		count_other(it);
}

static void make_directory(struct ritem *it, int dirfd)
{
	struct err err;

	if (!it->r->dry && mkdirat(dirfd, it->name, 0700) < 0 && errno != EEXIST) {
		err_sys(&err, errno, "cannot make the directory");
		restore_report(it, &err);
		return;
	}
	restore_action(it, "create", 0);
	atomic_fetch_add(&it->r->dirs_done, 1);
	atomic_fetch_add(&it->r->e->progress.dirs_done, 1);
}

/* A file that is there and has the right size and time. */
static void make_same(struct ritem *it, int dirfd)
{
	struct restore *r = it->r;
	bool path_only = false;
	CLEANUP_CLOSE int fd = openat(dirfd, it->name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		path_only = true;
		fd = openat(dirfd, it->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0) {
		struct err err;

		err_sys(&err, errno, "cannot open it");
		restore_report(it, &err);
		return;
	}

	struct restore_meta_at at = { .fd = fd, .path_only = path_only, .dirfd = dirfd };

	restore_action(it, restore_meta_apply(it, &at) ? "metadata" : "same", 0);
	atomic_fetch_add(&r->files, 1);
	atomic_fetch_add(&r->same, 1);
	atomic_fetch_add(&r->bytes, it->size);
	atomic_fetch_add(&r->e->progress.files_done, 1);
	atomic_fetch_add(&r->e->progress.files_same, 1);
	atomic_fetch_add(&r->e->progress.bytes_done, it->size);
}

void restore_make(struct ritem *it, unsigned self)
{
	struct restore *r = it->r;
	struct err err;
	int dirfd;

	(void)self;
	if (it->how == HOW_SKIP) {
		restore_item_free(it);
		return;
	}
	if (it->type == FMT_FILE && it->how != HOW_SAME) {
		restore_file_whole(it, it->content.kind == FMT_CONTENT_INLINE ?
		    it->content.bytes : NULL);
		restore_item_free(it);
		return;
	}
	dirfd = restore_dir_pin(r, it->dir, &err);
	if (dirfd < 0 && r->dry) {
		restore_action(it, "create", 0);
		if (it->type != FMT_DIRECTORY)
			count_other(it);
		else
			atomic_fetch_add(&r->dirs_done, 1);
	} else if (dirfd < 0) {
		restore_report(it, &err);
	} else {
		if (it->type == FMT_DIRECTORY)
			make_directory(it, dirfd);
		else if (it->type == FMT_FILE)
			make_same(it, dirfd);
		else
			make_special(it, dirfd);
		dir_unpin(it->dir);
	}
	restore_item_free(it);
}

/* --- further names of an inode -----------------------------------------------------------*/

/* Both directories are open.  Return what was done, or NULL with err. */
static const char *link_at(struct ritem *it, int from, int to, struct err *err)
{
	struct stat a, b;

	if (fstatat(from, it->first_name, &a, AT_SYMLINK_NOFOLLOW) < 0) {
		if (it->r->dry)
			return "create";
		err_sys(err, errno, "cannot link it to its first name");
		return NULL;
	}
	if (it->r->in_place && fstatat(to, it->name, &b, AT_SYMLINK_NOFOLLOW) == 0) {
		if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
			return "same";
		if (!it->r->dry && restore_remove(it->r, to, it->name,
		        it->r->opt->delete_extra, err) < 0)
			return NULL;
	}
	if (!it->r->dry && linkat(from, it->first_name, to, it->name, 0) < 0) {
		err_sys(err, errno, "cannot link it to its first name");
		return NULL;
	}
	return "create";
}

void restore_make_link(struct ritem *it)
{
	struct restore *r = it->r;
	const char *done = NULL;
	struct err err;
	int from = restore_dir_pin(r, it->first_dir, &err);
	int to = from < 0 ? -1 : restore_dir_pin(r, it->dir, &err);

	if (from >= 0 && to >= 0)
		done = link_at(it, from, to, &err);
	else if (r->dry)
		done = "create";
	if (to >= 0)
		dir_unpin(it->dir);
	if (from >= 0)
		dir_unpin(it->first_dir);
	if (done == NULL) {
		restore_report(it, &err);
	} else {
		restore_action(it, done, 0);
		atomic_fetch_add(&r->nlinks, 1);
		atomic_fetch_add(&r->e->progress.files_done, 1);
		if (done[0] == 's')
			atomic_fetch_add(&r->same, 1);
		if (it->type == FMT_FILE && restore_is_hurt(it)) {
			err_set(&err, ERR_CORRUPT, "it is another name of a file that is "
			    "damaged");
			restore_report(it, &err);
		}
	}
	restore_item_free(it);
}
