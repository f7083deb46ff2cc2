#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engine/restore_internal.h"
#include "repo/base/mem.h"

/*
 * A block volume onto a device or an image file.  It is one item whose
 * descriptor is open all the time; its byte map may fill many windows.
 */

static int open_device(struct restore *r, struct ritem *it, struct err *err)
{
	const char *path = r->opt->target;
	uint64_t size = 0;

	/* A device that is mounted, or otherwise in use, is busy. */
	it->fd = open(path, (r->dry ? O_RDONLY : O_RDWR | O_EXCL) | O_CLOEXEC);
	if (it->fd < 0)
		return err_sys(err, errno, "cannot open the device %s", path);
	if (ioctl(it->fd, BLKGETSIZE64, &size) < 0)
		return err_sys(err, errno, "cannot get the size of %s", path);
	if (size < it->size)
		return err_set(err, ERR_FULL, "the volume has %llu bytes, the device %s only %llu",
		    (unsigned long long)it->size, path, (unsigned long long)size);
	/* What is aligned goes around the page cache, where that is possible. */
	if (!r->dry)
		it->direct_fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	it->how = r->in_place ? HOW_UPDATE : HOW_OVERWRITE;
	return 0;
}

static int open_image(struct restore *r, struct ritem *it, bool exists, uint64_t size,
    struct err *err)
{
	const char *path = r->opt->target;

	if (exists && size > 0 && !r->in_place)
		return err_set(err, ERR_EXISTS, "%s is not empty (--in-place writes what "
		    "differs)", path);
	it->how = exists && size > 0 ? HOW_UPDATE : HOW_CREATE;
	if (r->dry && !exists)
		return 0;
	it->fd = open(path, (r->dry ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0600);
	if (it->fd < 0)
		return err_sys(err, errno, "cannot open %s", path);
	if (!r->dry && size != it->size && ftruncate(it->fd, (off_t)it->size) < 0)
		return err_sys(err, errno, "cannot make %s %llu bytes long", path,
		    (unsigned long long)it->size);
	return 0;
}

static int open_volume(struct restore *r, struct ritem *it, struct err *err)
{
	const char *path = r->opt->target;
	struct stat st;
	bool exists = stat(path, &st) == 0;

	if (!exists && errno != ENOENT)
		return err_sys(err, errno, "cannot look at %s", path);
	if (exists && S_ISBLK(st.st_mode))
		return open_device(r, it, err);
	if (exists && !S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE, "the snapshot is a block volume; %s is neither a "
		    "device nor a file", path);
	return open_image(r, it, exists, exists ? (uint64_t)st.st_size : 0, err);
}

static int run_volume(struct restore *r, struct ritem *it, struct err *err)
{
	int res = restore_plan_map(r, it, err);

	if (res < 0)
		restore_fail(r, err);
	if (restore_window_end(r, err) < 0)
		res = -1;
	return res;
}

/* Read it back.  The blocks come from the medium again. */
static int verify_volume(struct restore *r, struct ritem *it, struct err *err)
{
	if (fsync(it->fd) < 0)
		return err_sys(err, errno, "cannot write %s to disk", r->opt->target);
	posix_fadvise(it->fd, 0, 0, POSIX_FADV_DONTNEED);
	it->how = HOW_VERIFY;
	r->verifying = true;
	return run_volume(r, it, err);
}

static void tell(struct restore *r, const struct ritem *it)
{
	uint64_t written = atomic_load(&it->written);
	const char *what = it->how == HOW_CREATE ? "create" : written > 0 ? "update" : "same";

	atomic_fetch_add(&r->files, 1);
	atomic_fetch_add(&r->bytes, it->size);
	atomic_fetch_add(&r->e->progress.files_done, 1);
	if (what[0] == 's')
		atomic_fetch_add(&r->same, 1);
	restore_action_path(r, r->opt->target, what,
	    it->how == HOW_CREATE ? it->size : written);
}

static int restore_volume(struct restore *r, struct ritem *it, struct err *err)
{
	if (open_volume(r, it, err) < 0)
		return -1;
	if (restore_tools(r, err) < 0)
		return -1;
	atomic_store(&r->e->progress.bytes_total, it->size);
	atomic_store(&r->e->progress.files_total, 1);
	atomic_store(&r->e->progress.total_known, true);
	if (!(r->dry && it->how != HOW_UPDATE) && run_volume(r, it, err) < 0)
		return -1;
	if (!r->dry && fsync(it->fd) < 0)
		return err_sys(err, errno, "cannot write %s to disk", r->opt->target);
	tell(r, it);
	return r->opt->verify && !r->dry ? verify_volume(r, it, err) : 0;
}

int restore_block(struct restore *r, struct err *err)
{
	const char *path = r->opt->path;
	struct ritem *it;
	int res;

	if (path != NULL && path[strspn(path, "/.")] != '\0')
		return err_set(err, ERR_USAGE, "the snapshot is a block volume: there are no "
		    "paths in it");
	it = mem_zalloc(sizeof(*it) + 1, "a block volume", err);
	if (it == NULL)
		return -1;
	it->r = r;
	it->type = FMT_FILE;
	it->size = r->sn->size;
	it->content.kind = FMT_CONTENT_MAP;
	it->content.id = r->sn->state.id;
	it->content.level = r->sn->state.level;
	it->content.entries = r->sn->state.entries;
	it->fd = it->direct_fd = -1;
	it->pins = 1;
	it->made = true;
	/* The planner's hold is never given up: the item stays here. */
	atomic_init(&it->parts, 1);
	res = restore_volume(r, it, err);
	if (it->fd >= 0)
		close(it->fd);
	if (it->direct_fd >= 0)
		close(it->direct_fd);
	free(it);
	return res;
}
