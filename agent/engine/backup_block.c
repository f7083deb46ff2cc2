#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/delta.h"
#include "agent/engine/stream.h"
#include "repo/base/mem.h"

struct device {
	struct backup *b;
	int fd;
	bool direct, regular;
	uint64_t size;
	struct archive_map_writer *map;
};

static int device_open(struct device *d, const char *path, struct err *err)
{
	struct stat st;

	/* Without O_NONBLOCK a fifo would be waited for. */
	d->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (d->fd < 0 || fstat(d->fd, &st) < 0)
		return err_sys(err, errno, "cannot open %s", path);
	d->regular = S_ISREG(st.st_mode);
	if (d->regular) {
		d->size = (uint64_t)st.st_size;
		return 0;
	}
	if (!S_ISBLK(st.st_mode))
		return err_set(err, ERR_USAGE,
		    "%s is neither a block device nor an image file", path);
	if (ioctl(d->fd, BLKGETSIZE64, &d->size) < 0)
		return err_sys(err, errno, "cannot get the size of %s", path);
	/* The device's pages are of no use to anyone else. */
	int direct = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);

	if (direct >= 0) {
		close(d->fd);
		d->fd = direct;
		d->direct = true;
	}
	return 0;
}

static int to_map(void *ctx, const struct fmt_run *run, struct err *err)
{
	struct device *d = ctx;

	return archive_map_add(d->map, run, err);
}

static int full_scan(struct device *d, const char *path, struct err *err)
{
	struct file_parts parts;
	struct stream_source src = { .fd = d->fd, .direct = d->direct, .size = d->size };
	struct stream_result res;

	if (d->regular) {
		file_parts_init(&parts, d->fd, d->size);
		src.next = file_parts_next;
		src.ctx = &parts;
	}

	int r = stream_store(d->b, d->b->nstorers - 1, &src, CHUNKER_BLOCK, to_map, d,
	    &res, err);

	if (r == 0 && res.short_read)
		r = err_set(err, ERR_IO, "it ended at byte %llu of %llu",
		    (unsigned long long)res.size, (unsigned long long)d->size);
	if (r != 0)
		return err_wrap(err, "cannot read %s", path);
	return 0;
}

/* Why the extents that were given cannot be gone by; NULL: they can. */
static const char *no_delta(struct backup *b, const struct store_snapshot *parent,
    uint64_t size)
{
	if (parent == NULL)
		return "there is no parent";
	if (!b->carry)
		return "a collection may be removing the parent";
	if (parent->size != size)
		return "the volume's size has changed";
	if (parent->flags & STORE_INCOMPLETE)
		return "the parent is incomplete";
	return NULL;
}

int backup_device(struct backup *b, const struct store_snapshot *parent,
    struct store_commit *commit, struct err *err)
{
	struct device d = { .b = b, .fd = -1 };
	struct archive_ref root;
	int r = -1;

	if (device_open(&d, b->opt->device, err) < 0)
		goto out;
	atomic_store(&b->e->progress.bytes_total, d.size);
	atomic_store(&b->e->progress.total_known, true);
	d.map = archive_map_begin(&b->io, b->order_key, err);
	if (d.map == NULL)
		goto out;
	b->res->way = parent != NULL ? ENGINE_RESCAN : ENGINE_FULL;
	b->res->way_reason = "no changed extents were given";
	if (b->opt->changed.next != NULL) {
		const char *why = no_delta(b, parent, d.size);

		b->res->way_reason = why ? why : "";
		if (why == NULL)
			b->res->way = ENGINE_CHANGED;
	}
	if (b->res->way == ENGINE_CHANGED) {
		/* Any alignment is allowed for small reads: not O_DIRECT. */
		int flags = d.direct ? fcntl(d.fd, F_GETFL) : 0;

		if (d.direct)
			fcntl(d.fd, F_SETFL, flags & ~O_DIRECT);
		r = delta_store(b, d.fd, d.size, parent, d.map, err);
	} else {
		r = full_scan(&d, b->opt->device, err);
	}
	if (r == 0)
		r = archive_map_finish(d.map, &root, err);
	if (r == 0) {
		memcpy(commit->state.id, root.id, sizeof(root.id));
		commit->state.level = root.level;
		commit->state.entries = root.entries;
		b->res->bytes = d.size;
		b->res->entries = root.entries;
	}
out:
	archive_map_free(d.map);
	if (d.fd >= 0)
		close(d.fd);
	return r;
}
