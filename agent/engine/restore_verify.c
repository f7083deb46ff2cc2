#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/engine/restore_internal.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"

/*
 * Reading back.  Compared are kinds, names of inodes, targets of links and
 * all bytes; that metadata arrived was seen when it was set.
 */

static void differs(struct ritem *it, const char *what)
{
	struct err why;

	if (atomic_exchange(&it->bad, true))
		return;
	err_set(&why, ERR_IO, "read back, it is not as in the snapshot: %s", what);
	restore_report(it, &why);
}

static bool right_type(const struct ritem *it, mode_t mode)
{
	switch (it->type) {
	case FMT_FILE: return S_ISREG(mode);
	case FMT_DIRECTORY: return S_ISDIR(mode);
	case FMT_SYMLINK: return S_ISLNK(mode);
	case FMT_CHAR_DEVICE: return S_ISCHR(mode);
	case FMT_BLOCK_DEVICE: return S_ISBLK(mode);
	case FMT_FIFO: return S_ISFIFO(mode);
	default: return S_ISSOCK(mode);
	}
}

static const char *compare(struct ritem *it, int dirfd)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (fstatat(dirfd, it->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return "it is not there";
	if (!right_type(it, st.st_mode))
		return "it is of another kind";
	if (it->type == FMT_FILE && (uint64_t)st.st_size != it->size)
		return "its size";
	if ((it->bits & FMT_HAS_DEVICE) && st.st_rdev != makedev(it->major, it->minor))
		return "its device number";
	if (it->type != FMT_SYMLINK)
		return NULL;
	n = readlinkat(dirfd, it->name, target, sizeof(target));
	return n < 0 || (size_t)n != it->target.len ||
	    memcmp(target, it->target.p, (size_t)n) != 0 ? "where it points to" : NULL;
}

void restore_verify_look(struct ritem *it)
{
	struct err err;
	const char *what = "its directory is not there";

	/* What was told not to be in the snapshot is not looked for. */
	if (it->type == FMT_FILE && !(it->bits & FMT_HAS_CONTENT)) {
		it->how = HOW_SKIP;
		return;
	}

	int dirfd = dir_pin(it->dir, &err);

	if (dirfd >= 0) {
		what = compare(it, dirfd);
		dir_unpin(it->dir);
	}
	if (what == NULL)
		return;
	differs(it, what);
	/* A further name stays: it may be another item's first one. */
	it->how = HOW_SKIP;
}

static void verify_inline(struct ritem *it)
{
	uint8_t have[4096];
	struct err err;
	int dirfd = dir_pin(it->dir, &err);

	if (dirfd < 0)
		return;

	CLEANUP_CLOSE int fd = openat(dirfd, it->name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	for (size_t at = 0; at < it->size;) {
		size_t n = it->size - at < sizeof(have) ? it->size - at : sizeof(have);

		if (fd < 0 || restore_pread(fd, have, n, at) != 0 ||
		    memcmp(have, it->content.bytes + at, n) != 0) {
			differs(it, "its content");
			break;
		}
		at += n;
	}
	dir_unpin(it->dir);
}

void restore_verify(struct ritem *it)
{
	if (it->type == FMT_FILE && it->content.kind == FMT_CONTENT_INLINE)
		verify_inline(it);
	restore_item_free(it);
}

void restore_verify_part(struct ritem *it, const struct need *n, const uint8_t *bytes)
{
	uint8_t have[16384];
	int fd = restore_file_pin(it);

	if (fd < 0)
		return;
	for (size_t at = 0; at < n->len;) {
		size_t len = n->len - at < sizeof(have) ? n->len - at : sizeof(have);

		if (restore_pread(fd, have, len, n->at + at) != 0 ||
		    memcmp(have, bytes + at, len) != 0) {
			differs(it, "its content");
			break;
		}
		at += len;
	}
	restore_file_unpin(it);
}

/* A range that must read as zeros. */
static bool zeros_there(int fd, uint64_t at, uint64_t len, uint8_t *scratch, size_t cap)
{
	while (len > 0) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA);
		size_t n = len < cap ? (size_t)len : cap;

		if ((data < 0 && errno == ENXIO) || (data >= 0 && (uint64_t)data >= at + len))
			return true;
		if (restore_pread(fd, scratch, n, at) != 0 || !bytes_are_zero(scratch, n))
			return false;
		at += n;
		len -= n;
	}
	return true;
}

bool restore_verify_check(struct restore *r, unsigned self, struct need *n, uint8_t *scratch)
{
	struct ritem *it = n->owner;
	uint8_t id[STORE_ID_LEN];
	int fd = restore_file_pin(it);
	bool settled = true;

	if (fd >= 0 && n->kind != NEED_BLOB) {
		if (!zeros_there(fd, n->at, n->len, scratch, fetch_blob_max(r->fetch)))
			differs(it, "zeros in it");
	} else if (fd >= 0) {
		settled = false;
		if (n->len <= fetch_blob_max(r->fetch) &&
		    restore_pread(fd, scratch, n->len, n->at) == 0) {
			fetch_id(r->fetch, self, scratch, n->len, id);
			settled = memcmp(id, n->id, sizeof(id)) == 0;
		}
	}
	if (fd >= 0)
		restore_file_unpin(it);
	if (settled)
		restore_item_part(it, self);
	return settled;
}

void restore_verify_link(struct ritem *it)
{
	struct stat a, b;
	struct err err;
	int from = dir_pin(it->first_dir, &err);
	int to = dir_pin(it->dir, &err);

	if (from >= 0 && to >= 0 &&
	    fstatat(from, it->first_name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstatat(to, it->name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (a.st_dev != b.st_dev || a.st_ino != b.st_ino))
		differs(it, "it is no name of the same file any more");
	if (from >= 0)
		dir_unpin(it->first_dir);
	if (to >= 0)
		dir_unpin(it->dir);
	restore_item_free(it);
}
