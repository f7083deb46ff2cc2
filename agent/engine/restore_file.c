#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engine/restore_internal.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"

#define DIRECT_ALIGN 4096u
/* Where zeros are looked at, so much is written for one byte that is none. */
#define ZEROS_PIECE ((size_t)64 << 10)
/* Such blocks of a new file are left out with --sparse, when they are zero. */
#define HOLE_BLOCK ((size_t)4096)

/* --- bytes -----------------------------------------------------------------*/

int restore_pwrite(int fd, const uint8_t *p, size_t len, uint64_t at)
{
	bool buffered = false;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL && !buffered) {
			int flags = fcntl(fd, F_GETFL);

			/* Another thread may have changed that just now. */
			if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_DIRECT) < 0)
				return EINVAL;
			buffered = true;
			continue;
		}
		if (n < 0)
			return errno;
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int restore_pread(int fd, uint8_t *p, size_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t n = pread(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : ENODATA;
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int restore_zero(int fd, uint64_t at, uint64_t len, bool hole, uint8_t *scratch,
    size_t cap)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return errno;
	if (S_ISBLK(st.st_mode)) {
		uint64_t range[2] = { at, len };

		if (at % 512 == 0 && len % 512 == 0 && ioctl(fd, BLKZEROOUT, range) == 0)
			return 0;
	} else {
		int mode = hole ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;

		if (fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len) == 0)
			return 0;
		if (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS)
			return errno;
	}
	memset(scratch, 0, cap);
	while (len > 0) {
		size_t n = len < cap ? (size_t)len : cap;
		int e = restore_pwrite(fd, scratch, n, at);

		if (e != 0)
			return e;
		at += n;
		len -= n;
	}
	return 0;
}

void restore_file_failed(struct ritem *it, int errnum, const char *what)
{
	struct err why;

	err_sys(&why, errnum, "cannot %s", what);
	if (it->dir == NULL) {
		/* A block volume with a gap is none. */
		err_wrap(&why, "%s", it->r->opt->target);
		restore_fail(it->r, &why);
		return;
	}
	if (!atomic_exchange(&it->bad, true) || why.class == ERR_FULL)
		restore_report(it, &why);
}

/* --- opening ---------------------------------------------------------------*/

static int open_existing(struct ritem *it, int dirfd)
{
	int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(dirfd, it->name, flags);
	struct stat st;

	if (fd < 0 && errno == EACCES) {
		/* The own file, which its mode protects: it gets its mode later. */
		CLEANUP_CLOSE int path = openat(dirfd, it->name,
		    O_PATH | O_NOFOLLOW | O_CLOEXEC);
		char name[40];

		snprintf(name, sizeof(name), "/proc/self/fd/%d", path);
		if (path >= 0 && fstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
		    chmod(name, 0600) == 0)
			fd = openat(dirfd, it->name, flags);
	}
	if (fd < 0)
		return -1;
	/*
	 * A file with a second name is not written: that name may belong to
	 * somebody else, even outside of the target.
	 */
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1) {
		close(fd);
		errno = EMLINK;
		return -1;
	}
	return fd;
}

int restore_file_open(struct ritem *it, int dirfd)
{
	struct restore *r = it->r;
	struct err err;
	int fd;

	if (it->how == HOW_UPDATE) {
		struct stat st;

		fd = open_existing(it, dirfd);
		if (fd >= 0 && fstat(fd, &st) == 0) {
			it->resized = (uint64_t)st.st_size != it->size;
			if (!it->resized || ftruncate(fd, (off_t)it->size) == 0)
				return fd;
		}
		if (fd >= 0 || errno != EMLINK) {
			restore_file_failed(it, errno, "write the file that is there");
			if (fd >= 0)
				close(fd);
			return -1;
		}
		it->how = HOW_REPLACE;
	}
	if (it->how == HOW_REPLACE &&
	    restore_remove(r, dirfd, it->name, r->opt->delete_extra, &err) < 0) {
		if (!atomic_exchange(&it->bad, true))
			restore_report(it, &err);
		return -1;
	}
	fd = openat(dirfd, it->name,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		restore_file_failed(it, errno, "create the file");
		return -1;
	}
	it->fresh = true;
	if (it->flags != 0)
		restore_meta_early(it, fd);
	return fd;
}

static void tell_done(struct ritem *it)
{
	struct restore *r = it->r;
	struct engine_progress *p = &r->e->progress;
	uint64_t written = atomic_load(&it->written);

	atomic_fetch_add(&r->files, 1);
	atomic_fetch_add(&r->bytes, it->size);
	atomic_fetch_add(&p->files_done, 1);
	if (it->how == HOW_SAME || (it->how == HOW_UPDATE && written == 0 && !it->resized)) {
		atomic_fetch_add(&r->same, 1);
		atomic_fetch_add(&p->files_same, 1);
	} else if (it->how == HOW_UPDATE) {
		atomic_fetch_add(&p->files_changed, 1);
	} else {
		atomic_fetch_add(&p->files_new, 1);
	}
}

void restore_file_wrote(struct ritem *it, size_t len)
{
	atomic_fetch_add(&it->written, len);
	atomic_fetch_add(&it->r->bytes_written, len);
}

/* Write all but the blocks that are zero: a new file has holes there.  0 or errno. */
static int write_sparse(int fd, const uint8_t *p, size_t len, uint64_t at)
{
	size_t from = 0; /* what is to be written begins here */

	for (size_t i = 0; i < len;) {
		size_t n = HOLE_BLOCK - (size_t)((at + i) % HOLE_BLOCK);
		int e = 0;

		n = n < len - i ? n : len - i;
		if (n == HOLE_BLOCK && bytes_are_zero(p + i, n)) {
			e = restore_pwrite(fd, p + from, i - from, at + from);
			from = i + n;
		}
		i += n;
		if (e != 0)
			return e;
	}
	return restore_pwrite(fd, p + from, len - from, at + from);
}

static void write_bytes(struct ritem *it, int fd, uint64_t at, const uint8_t *p, size_t len)
{
	bool sparse = it->r->opt->sparse && it->fresh && it->dir != NULL;
	int e = sparse ? write_sparse(fd, p, len, at) : restore_pwrite(fd, p, len, at);

	if (e != 0) {
		restore_file_failed(it, e, "write");
		return;
	}
	restore_file_wrote(it, len);
}

/* Owner, mode and all that, and what is told of the file. */
static void finish_fd(struct ritem *it, int fd)
{
	struct restore_meta_at at = { .fd = fd, .dirfd = -1, .fresh = it->fresh };
	bool meta = restore_meta_apply(it, &at);
	uint64_t written = atomic_load(&it->written);

	if (it->fresh)
		restore_action(it, "create", it->size);
	else if (written > 0 || it->resized)
		restore_action(it, "update", written);
	else
		restore_action(it, meta ? "metadata" : "same", 0);
	tell_done(it);
}

/* What a dry run says of a file that nothing was written to. */
static void finish_dry(struct ritem *it)
{
	uint64_t written = atomic_load(&it->written);

	if (it->how == HOW_CREATE || it->how == HOW_REPLACE)
		restore_action(it, "create", it->size);
	else
		restore_action(it, written > 0 || it->resized ? "update" : "metadata",
		    written);
	tell_done(it);
}

/* --- a file in one go ------------------------------------------------------*/

/* Whether the file that is updated holds these bytes already. */
static bool holds(int fd, const uint8_t *bytes, size_t len)
{
	uint8_t buf[16384];

	for (size_t at = 0; at < len;) {
		size_t n = len - at < sizeof(buf) ? len - at : sizeof(buf);

		if (restore_pread(fd, buf, n, at) != 0 || memcmp(buf, bytes + at, n) != 0)
			return false;
		at += n;
	}
	return true;
}

static void whole_at(struct ritem *it, int dirfd, const uint8_t *bytes)
{
	CLEANUP_CLOSE int fd = restore_file_open(it, dirfd);
	bool update = it->how == HOW_UPDATE;

	if (fd < 0)
		return;
	if (bytes == NULL && it->size > 0 && ftruncate(fd, (off_t)it->size) < 0) {
		restore_file_failed(it, errno, "size the file");
	} else if (bytes != NULL && it->size > 0 &&
	    !(update && holds(fd, bytes, it->size))) {
		/* Zeros at its end would not be written. */
		if (it->fresh && it->r->opt->sparse && ftruncate(fd, (off_t)it->size) < 0)
			restore_file_failed(it, errno, "size the file");
		write_bytes(it, fd, 0, bytes, it->size);
	}
	atomic_fetch_add(&it->r->e->progress.bytes_done, it->size);
	finish_fd(it, fd);
}

/* A dry run of an update looks, too. */
static void whole_dry(struct ritem *it, int dirfd, const uint8_t *bytes)
{
	if (it->how == HOW_UPDATE && bytes != NULL) {
		CLEANUP_CLOSE int fd = openat(dirfd, it->name,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

		if (fd < 0 || !holds(fd, bytes, it->size))
			atomic_fetch_add(&it->written, it->size);
	}
	finish_dry(it);
}

void restore_file_whole(struct ritem *it, const uint8_t *bytes)
{
	struct restore *r = it->r;
	struct err err;
	int dirfd = restore_dir_pin(r, it->dir, &err);

	if (dirfd < 0 && r->dry) {
		finish_dry(it);
		return;
	}
	if (dirfd < 0) {
		restore_report(it, &err);
		return;
	}
	if (r->dry)
		whole_dry(it, dirfd, bytes);
	else
		whole_at(it, dirfd, bytes);
	dir_unpin(it->dir);
}

/* --- a file in several parts -----------------------------------------------*/

/* The list of open files that nobody uses now; the lock is held. */
static void idle_remove(struct restore *r, struct ritem *it)
{
	*(it->older ? &it->older->newer : &r->oldest) = it->newer;
	*(it->newer ? &it->newer->older : &r->newest) = it->older;
	it->older = it->newer = NULL;
	it->idle = false;
}

static void idle_add(struct restore *r, struct ritem *it)
{
	it->older = r->newest;
	it->newer = NULL;
	*(r->newest ? &r->newest->newer : &r->oldest) = it;
	r->newest = it;
	it->idle = true;
}

/* Open it again; it must be what this run has made or begun to update. */
static int reopen(struct ritem *it, int dirfd)
{
	struct stat st;
	int mode = it->how == HOW_VERIFY || it->r->dry ? O_RDONLY : O_RDWR;
	int fd = openat(dirfd, it->name,
	    mode | (it->direct ? O_DIRECT : 0) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		restore_file_failed(it, errno, "open the file again");
		return -1;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (it->made && (st.st_ino != it->fino || st.st_dev != it->fdev))) {
		restore_file_failed(it, ESTALE, "go on with it: another file is in its place");
		close(fd);
		return -1;
	}
	/* Bytes that are still in memory prove little. */
	if (it->how == HOW_VERIFY)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	it->fino = st.st_ino;
	it->fdev = st.st_dev;
	it->made = true;
	return fd;
}

/* The first time: make it as long as it will be. */
static int open_first(struct ritem *it, int dirfd)
{
	int fd = restore_file_open(it, dirfd);
	struct stat st;

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)it->size) < 0 || fstat(fd, &st) < 0) {
		restore_file_failed(it, errno, "size the file");
		close(fd);
		return -1;
	}
	it->direct = it->fresh && it->size >= RESTORE_DIRECT_MIN &&
	    fcntl(fd, F_SETFL, O_RDWR | O_DIRECT) == 0;
	it->fino = st.st_ino;
	it->fdev = st.st_dev;
	it->made = true;
	return fd;
}

static int open_item(struct ritem *it)
{
	struct err err;
	int dirfd = restore_dir_pin(it->r, it->dir, &err);

	if (dirfd < 0) {
		if (!atomic_exchange(&it->bad, true))
			restore_report(it, &err);
		return -1;
	}

	int fd = it->made || it->how == HOW_VERIFY || it->r->dry ? reopen(it, dirfd) :
	    open_first(it, dirfd);

	dir_unpin(it->dir);
	return fd;
}

int restore_file_pin(struct ritem *it)
{
	struct restore *r = it->r;
	int surplus = -1;

	pthread_mutex_lock(&r->files_lock);
	if (it->idle)
		idle_remove(r, it);
	if (it->fd < 0 && !it->shut) {
		it->fd = open_item(it);
		it->shut = it->fd < 0;
		if (it->fd >= 0 && ++r->open_files > r->open_max && r->oldest != NULL) {
			struct ritem *old = r->oldest;

			idle_remove(r, old);
			surplus = old->fd;
			old->fd = -1;
			r->open_files--;
		}
	}

	int fd = it->fd;

	if (fd >= 0)
		it->pins++;
	pthread_mutex_unlock(&r->files_lock);
	if (surplus >= 0)
		close(surplus);
	return fd;
}

void restore_file_unpin(struct ritem *it)
{
	struct restore *r = it->r;

	pthread_mutex_lock(&r->files_lock);
	if (--it->pins == 0)
		idle_add(r, it);
	pthread_mutex_unlock(&r->files_lock);
}

void restore_files_close(struct restore *r, struct ritem *it)
{
	pthread_mutex_lock(&r->files_lock);
	if (it->idle)
		idle_remove(r, it);
	if (it->fd >= 0) {
		close(it->fd);
		it->fd = -1;
		r->open_files--;
	}
	pthread_mutex_unlock(&r->files_lock);
}

void restore_file_write(struct ritem *it, unsigned self, const struct need *n,
    const uint8_t *bytes)
{
	struct fetch_kept *kept = NULL;
	int fd = -1;

	atomic_fetch_add(&it->r->e->progress.bytes_done, n->len);
	if (it->r->dry)
		atomic_fetch_add(&it->written, n->len);
	else
		fd = restore_file_pin(it);
	if (fd >= 0 && it->direct)
		kept = fetch_keep(it->r->fetch, self);
	if (kept == NULL && fd >= 0 && it->direct_fd >= 0 &&
	    (n->at | n->len | (uintptr_t)bytes) % DIRECT_ALIGN == 0)
		write_bytes(it, it->direct_fd, n->at, bytes, n->len);
	else if (kept == NULL && fd >= 0)
		write_bytes(it, fd, n->at, bytes, n->len);
	if (fd >= 0)
		restore_file_unpin(it);
	/* From here on the item may be gone. */
	if (kept != NULL)
		restore_direct_write(it, n, bytes, kept);
	else
		restore_item_part(it, self);
}

void restore_file_finish(struct ritem *it)
{
	if (it->r->dry) {
		finish_dry(it);
		return;
	}

	int fd = restore_file_pin(it);

	if (fd < 0)
		return;
	restore_direct_finish(it, fd);
	finish_fd(it, fd);
	restore_file_unpin(it);
}

/* --- what is there already -------------------------------------------------*/

/* A range that shall be zeros, and what of it is found not to be so. */
struct zeros {
	struct restore *r;
	struct ritem *it;
	int fd;
	bool hole;             /* and it shall take no room */
	uint64_t from, to;     /* to be written, and not yet */
	uint8_t *scratch;
	size_t cap;
};

static int zeros_write(struct zeros *z)
{
	uint64_t len = z->to - z->from;
	int e = 0;

	if (len == 0)
		return 0;
	if (!z->r->dry)
		e = restore_zero(z->fd, z->from, len, z->hole, z->scratch, z->cap);
	if (e != 0) {
		restore_file_failed(z->it, e, "write zeros");
		return -1;
	}
	atomic_fetch_add(&z->it->written, len);
	if (!z->hole)
		atomic_fetch_add(&z->r->bytes_written, len);
	z->from = z->to;
	return 0;
}

/* That part is to be written; what touches what was found before, with it. */
static int zeros_found(struct zeros *z, uint64_t at, uint64_t len)
{
	if (z->to != at) {
		if (zeros_write(z) < 0)
			return -1;
		z->from = at;
	}
	z->to = at + len;
	return 0;
}

/* Where data is in a range, of which no part need be read: it shall be a hole. */
static int zeros_dig(struct zeros *z, uint64_t at, uint64_t end, off_t data)
{
	while (data >= 0 && (uint64_t)data < end) {
		off_t hole = lseek(z->fd, data, SEEK_HOLE);
		uint64_t to = hole < 0 || (uint64_t)hole > end ? end : (uint64_t)hole;

		if ((uint64_t)data > at)
			at = (uint64_t)data;
		if (zeros_found(z, at, to - at) < 0)
			return -1;
		at = to;
		data = at < end ? lseek(z->fd, (off_t)at, SEEK_DATA) : -1;
	}
	return 0;
}

/* Read the range, and write what is none. */
static int zeros_read(struct zeros *z, uint64_t at, uint64_t end)
{
	size_t most = z->cap < ZEROS_PIECE ? z->cap : ZEROS_PIECE;

	while (at < end) {
		size_t n = end - at < most ? (size_t)(end - at) : most;

		if ((restore_pread(z->fd, z->scratch, n, at) != 0 ||
		    !bytes_are_zero(z->scratch, n)) && zeros_found(z, at, n) < 0)
			return -1;
		at += n;
	}
	return 0;
}

static void check_zeros(struct restore *r, struct ritem *it, struct need *n, int fd,
    uint8_t *scratch)
{
	struct zeros z = { .r = r, .it = it, .fd = fd, .scratch = scratch,
	    .hole = n->kind == NEED_HOLE || r->opt->sparse,
	    .from = n->at, .to = n->at, .cap = fetch_blob_max(r->fetch) };
	uint64_t end = n->at + n->len;
	int res = 0;

	if (!n->check) {
		res = zeros_found(&z, n->at, n->len);
	} else {
		off_t data = lseek(fd, (off_t)n->at, SEEK_DATA);
		bool none = data < 0 ? errno == ENXIO : (uint64_t)data >= end;

		if (z.hole && (none || data >= 0))
			res = none ? 0 : zeros_dig(&z, n->at, end, data);
		else if (none) /* it shall take room */
			res = zeros_found(&z, n->at, n->len);
		else           /* or a device, which has no holes */
			res = zeros_read(&z, n->at, end);
	}
	if (res == 0)
		zeros_write(&z);
}

bool restore_file_check(struct restore *r, unsigned self, struct need *n, uint8_t *scratch)
{
	struct ritem *it = n->owner;
	uint8_t id[STORE_ID_LEN];
	bool settled = false;
	int fd = restore_file_pin(it);

	if (fd < 0) {
		/* It was told; nobody has use for the bytes. */
		restore_item_part(it, self);
		return true;
	}
	if (n->kind != NEED_BLOB) {
		check_zeros(r, it, n, fd, scratch);
		settled = true;
	} else if (n->len <= fetch_blob_max(r->fetch) &&
	    restore_pread(fd, scratch, n->len, n->at) == 0) {
		fetch_id(r->fetch, self, scratch, n->len, id);
		settled = memcmp(id, n->id, sizeof(id)) == 0;
	}
	if (!settled && r->dry) {
		/* It would be written: no need to get it. */
		atomic_fetch_add(&it->written, n->len);
		settled = true;
	}
	restore_file_unpin(it);
	if (settled) {
		atomic_fetch_add(&r->e->progress.bytes_done, n->len);
		restore_item_part(it, self);
	}
	return settled;
}
