#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/engine/restore_internal.h"
#include "repo/base/cleanup.h"

/*
 * Metadata of what was made, in the one order that keeps it: owner (which
 * takes set-id bits and capabilities away), attributes, mode, project, time,
 * and last the flags that forbid changes.
 */

#define FROZEN ((unsigned)(FS_IMMUTABLE_FL | FS_APPEND_FL))
#define EARLY ((unsigned)(FS_NOCOW_FL | FS_COMPR_FL | FS_NOCOMP_FL | FS_DAX_FL))
/* What every file system keeps of a time's seconds. */
#define SECONDS_SAFE INT64_C(0x7fffffff)

struct meta {
	const struct ritem *it;
	const struct restore_meta_at *at;
	struct stat have;       /* unless fresh */
	char path[64 + 256];    /* for what cannot be opened */
	bool changed;
	int no_owner;           /* errno of the owner that could not be set */
	unsigned losses;
	struct err loss;        /* the first */
};

static void lose(struct meta *m, int errnum, const char *what, const char *name)
{
	if (m->losses++ > 0)
		return;
	err_sys(&m->loss, errnum, "cannot keep its %s%s%s", what, name ? " " : "",
	    name ? name : "");
}

/* --- extended attributes -----------------------------------------------------------------*/

static int x_set(const struct meta *m, const char *name, const void *v, size_t len)
{
	if (!m->at->path_only)
		return fsetxattr(m->at->fd, name, v, len, 0);
	return m->it->type == FMT_SYMLINK ? lsetxattr(m->path, name, v, len, 0) :
	    setxattr(m->path, name, v, len, 0);
}

static ssize_t x_get(const struct meta *m, const char *name, void *v, size_t cap)
{
	if (!m->at->path_only)
		return fgetxattr(m->at->fd, name, v, cap);
	return m->it->type == FMT_SYMLINK ? lgetxattr(m->path, name, v, cap) :
	    getxattr(m->path, name, v, cap);
}

static ssize_t x_list(const struct meta *m, char *v, size_t cap)
{
	if (!m->at->path_only)
		return flistxattr(m->at->fd, v, cap);
	return m->it->type == FMT_SYMLINK ? llistxattr(m->path, v, cap) :
	    listxattr(m->path, v, cap);
}

static int x_remove(const struct meta *m, const char *name)
{
	if (!m->at->path_only)
		return fremovexattr(m->at->fd, name);
	return m->it->type == FMT_SYMLINK ? lremovexattr(m->path, name) :
	    removexattr(m->path, name);
}

static bool x_equal(const struct meta *m, const char *name, struct fmt_str value)
{
	uint8_t small[512];
	CLEANUP_FREE uint8_t *big = NULL;
	uint8_t *have = small;

	if (value.len > sizeof(small)) {
		have = big = malloc(value.len);
		if (big == NULL)
			return false;
	}

	ssize_t n = x_get(m, name, have, value.len > sizeof(small) ? value.len : sizeof(small));

	return n == (ssize_t)value.len && memcmp(have, value.p, value.len) == 0;
}

/* Attributes that a security module gives by itself and keeps up to date. */
static bool x_of_system(const char *name)
{
	return strncmp(name, "security.SMACK64", 16) == 0 ||
	    strcmp(name, "security.selinux") == 0 || strcmp(name, "security.ima") == 0 ||
	    strcmp(name, "security.evm") == 0 || strcmp(name, "security.apparmor") == 0;
}

static bool x_wanted(const struct ritem *it, const char *name)
{
	struct fmt_list l = it->xattrs;
	struct fmt_str n, v;
	size_t len = strlen(name);

	while (fmt_xattr_next(&l, &n, &v) == 0)
		if (n.len == len && memcmp(n.p, name, len) == 0)
			return true;
	return false;
}

/* Remove attributes that the snapshot does not have. */
static void x_prune(struct meta *m)
{
	CLEANUP_FREE char *list = malloc(XATTR_LIST_MAX);
	ssize_t len = list ? x_list(m, list, XATTR_LIST_MAX) : -1;

	for (ssize_t i = 0; i < len; i += (ssize_t)strlen(list + i) + 1) {
		const char *name = list + i;

		if (x_of_system(name) || x_wanted(m->it, name))
			continue;
		m->changed = true;
		if (!m->it->r->dry && x_remove(m, name) < 0 && errno != ENODATA)
			lose(m, errno, "lack of the extended attribute", name);
	}
}

static void put_xattrs(struct meta *m)
{
	struct fmt_list l = m->it->xattrs;
	struct fmt_str n, v;
	char name[XATTR_NAME_MAX + 1];

	if (!m->at->fresh || m->it->r->inherits)
		x_prune(m);
	while (fmt_xattr_next(&l, &n, &v) == 0) {
		if (n.len == 0 || n.len > XATTR_NAME_MAX || memchr(n.p, 0, n.len)) {
			lose(m, EINVAL, "extended attribute", "(of an impossible name)");
			continue;
		}
		memcpy(name, n.p, n.len);
		name[n.len] = '\0';
		if (!m->at->fresh && x_equal(m, name, v))
			continue;
		m->changed = true;
		if (!m->it->r->dry && x_set(m, name, v.p, v.len) < 0)
			lose(m, errno, "extended attribute", name);
	}
}

/* --- owner and mode ------------------------------------------------------------------------*/

static void put_owner(struct meta *m)
{
	const struct ritem *it = m->it;
	bool dry = it->r->dry, own = !it->r->opt->no_owner;
	uint32_t mode = (it->mode & 07777) | (m->at->keep_access ? 0700 : 0);

	/* A set-id bit for somebody else than it was meant for is a hole. */
	if (!own && it->type != FMT_DIRECTORY)
		mode &= 01777;
	if (own && !m->at->keep_access && (m->at->fresh || m->have.st_uid != it->uid ||
	    m->have.st_gid != it->gid)) {
		m->changed = true;
		if (!dry && fchownat(m->at->fd, "", it->uid, it->gid, AT_EMPTY_PATH) < 0) {
			m->no_owner = errno;
			if (it->type != FMT_DIRECTORY)
				mode &= 01777;
		}
	}
	put_xattrs(m);
	if (it->type == FMT_SYMLINK)
		return;
	if (!m->at->fresh && !m->changed && (m->have.st_mode & 07777) == mode)
		return;
	m->changed = true;
	if (dry)
		return;
	if ((m->at->path_only ? chmod(m->path, mode) : fchmod(m->at->fd, mode)) < 0)
		lose(m, errno, "mode", NULL);
}

/* --- times -----------------------------------------------------------------------------------*/

static void put_time(struct meta *m)
{
	const struct ritem *it = m->it;
	struct restore *r = it->r;
	struct timespec t[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = it->mtime_s, .tv_nsec = (long)it->mtime_ns },
	};

	if (!m->at->fresh && m->have.st_mtim.tv_sec == t[1].tv_sec &&
	    m->have.st_mtim.tv_nsec == t[1].tv_nsec)
		return;
	m->changed = true;
	if (r->dry)
		return;
	if (utimensat(m->at->fd, "", t, AT_EMPTY_PATH) < 0) {
		lose(m, errno, "time", NULL);
		return;
	}
	/* A file system cuts off what it cannot hold without a word. */
	bool usual = it->mtime_s >= 0 && it->mtime_s <= SECONDS_SAFE;
	struct stat st;

	if (usual && (it->mtime_ns == 0 || atomic_load(&r->ns_kept)))
		return;
	if (fstatat(m->at->fd, "", &st, AT_EMPTY_PATH) < 0)
		return;
	if (st.st_mtim.tv_sec != t[1].tv_sec)
		lose(m, ERANGE, "time", NULL);
	else if (st.st_mtim.tv_nsec != t[1].tv_nsec)
		lose(m, ERANGE, "time's nanoseconds", NULL);
	else if (it->mtime_ns % 1000 != 0)
		atomic_store(&r->ns_kept, true);
}

/* --- flags and project ---------------------------------------------------------------------*/

static void put_project(struct meta *m)
{
	struct fsxattr x;

	if (m->it->project == 0 && m->at->fresh && !m->it->r->inherits)
		return;
	if (ioctl(m->at->fd, FS_IOC_FSGETXATTR, &x) < 0) {
		if (m->it->project != 0)
			lose(m, errno, "project", NULL);
		return;
	}
	if (x.fsx_projid == m->it->project)
		return;
	m->changed = true;
	x.fsx_projid = m->it->project;
	if (!m->it->r->dry && ioctl(m->at->fd, FS_IOC_FSSETXATTR, &x) < 0)
		lose(m, errno, "project", NULL);
}

/* Change the flags in `mask` to what is wanted.  Return 0 or an errno value. */
static int change_flags(int fd, unsigned mask, unsigned wanted, bool dry, bool *changed)
{
	int have = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &have) < 0)
		return wanted & mask ? errno : 0;

	int new = (int)(((unsigned)have & ~mask) | (wanted & mask));

	if (new == have)
		return 0;
	*changed = true;
	if (dry || ioctl(fd, FS_IOC_SETFLAGS, &new) == 0)
		return 0;

	int e = errno;

	/* What is possible of them, one by one. */
	for (unsigned bit = 1; bit != 0; bit <<= 1) {
		if (!(((unsigned)new ^ (unsigned)have) & bit))
			continue;

		int one = (int)((unsigned)have ^ bit);

		if (ioctl(fd, FS_IOC_SETFLAGS, &one) == 0)
			have = one;
	}
	return have == new ? 0 : e;
}

/* What follows a link of this inode may still have to be made. */
static unsigned frozen_later(const struct ritem *it)
{
	return (it->bits & FMT_HAS_LINKS) && it->type != FMT_DIRECTORY ? FROZEN : 0;
}

static void put_flags(struct meta *m)
{
	unsigned mask = RESTORE_FLAGS & ~frozen_later(m->it);

	if (m->it->flags == 0 && m->at->fresh && !m->it->r->inherits)
		return;

	int e = change_flags(m->at->fd, mask, m->it->flags, m->it->r->dry, &m->changed);

	if (e != 0)
		lose(m, e, "file flags", NULL);
}

void restore_meta_early(const struct ritem *it, int fd)
{
	bool changed;

	/* Only some file systems mind when; a loss is told at the end. */
	if (it->flags & EARLY)
		change_flags(fd, EARLY, it->flags, it->r->dry, &changed);
}

bool restore_meta_inherits(int dirfd)
{
	struct fsxattr x;
	int flags = 0;

	if (fgetxattr(dirfd, "system.posix_acl_default", NULL, 0) > 0)
		return true;
	if (ioctl(dirfd, FS_IOC_GETFLAGS, &flags) == 0 && ((unsigned)flags & RESTORE_FLAGS))
		return true;
	return ioctl(dirfd, FS_IOC_FSGETXATTR, &x) == 0 && x.fsx_projid != 0;
}

void restore_meta_freeze(const struct ritem *it, int fd)
{
	struct err why;
	bool changed;
	int e = change_flags(fd, FROZEN, it->flags, it->r->dry, &changed);

	if (e == 0)
		return;
	err_sys(&why, e, "cannot keep its file flags");
	restore_report_loss(it, &why);
}

void restore_meta_thaw(int fd)
{
	bool changed;

	change_flags(fd, FROZEN, 0, false, &changed);
}

/* --- all of it -----------------------------------------------------------------------------*/

bool restore_meta_apply(const struct ritem *it, const struct restore_meta_at *at)
{
	struct meta m = { .it = it, .at = at };

	if (at->path_only && it->type == FMT_SYMLINK)
		snprintf(m.path, sizeof(m.path), "/proc/self/fd/%d/%s", at->dirfd, it->name);
	else if (at->path_only)
		snprintf(m.path, sizeof(m.path), "/proc/self/fd/%d", at->fd);
	if (!at->fresh && fstatat(at->fd, "", &m.have, AT_EMPTY_PATH) < 0)
		lose(&m, errno, "metadata", NULL);

	put_owner(&m);
	if (!at->path_only)
		put_project(&m);
	put_time(&m);
	if (!at->path_only)
		put_flags(&m);
	if (m.no_owner != 0 &&
	    (m.losses > 0 || !restore_owner_lost(it->r, m.no_owner)))
		lose(&m, m.no_owner, "owner", NULL);
	if (m.losses > 1) {
		size_t n = strlen(m.loss.msg);

		snprintf(m.loss.msg + n, sizeof(m.loss.msg) - n, " (and %u more of it)",
		    m.losses - 1);
	}
	if (m.losses > 0)
		restore_report_loss(it, &m.loss);
	return m.changed;
}
