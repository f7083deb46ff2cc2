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
	uint64_t paused_at; /* bytes that the last checkpoint holds */
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

int backup_device_look(const char *path, struct err *err)
{
	struct device d = { .fd = -1 };
	int r = device_open(&d, path, err);

	if (d.fd >= 0)
		close(d.fd);
	return r;
}

/* A chunk of a session before this one may go: store what is there now. */
static int reread(void *ctx, uint64_t off, struct fmt_run *run, struct err *err)
{
	struct device *d = ctx;
	struct backup *b = d->b;
	size_t got = 0, ask = (size_t)(run->len + 4095) / 4096 * 4096;
	uint8_t *p = mem_pages(ask, "a read buffer", err);
	int r = p != NULL ? 0 : -1;

	while (r == 0 && got < run->len) {
		ssize_t n = pread(d->fd, p + got, ask - got, (off_t)(off + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			r = err_sys(err, n < 0 ? errno : EIO, "cannot read %s at byte %llu",
			    b->opt->device, (unsigned long long)(off + got));
		else
			got += (size_t)n;
	}
	atomic_fetch_add(&b->e->progress.bytes_read, got);
	if (r == 0)
		r = backup_put(b, b->nstorers - 1, STORE_DATA, p, run->len, run->id, err);
	mem_pages_free(p, ask);
	return r;
}

static void set_state_root(struct store_commit *c, const struct archive_ref *root)
{
	memcpy(c->state.id, root->id, sizeof(root->id));
	c->state.level = root->level;
	c->state.entries = root->entries;
}

/*
 * The session is due to end: what the map holds becomes a checkpoint, and the
 * map goes on in another session.
 */
static int device_pause(void *ctx, struct err *err)
{
	struct device *d = ctx;
	struct backup *b = d->b;
	struct store_commit c = { 0 };
	struct archive_ref root;
	bool trusted;

	b->res->bytes = archive_map_tell(d->map);
	if (b->res->bytes == d->paused_at) {
		rounds_put_off(b);
		return 0;
	}
	d->paused_at = b->res->bytes;
	if (archive_map_finish(d->map, &root, err) < 0)
		return -1;
	archive_map_free(d->map);
	d->map = NULL;
	set_state_root(&c, &root);
	b->res->entries = root.entries;
	if (rounds_next(b, &c, &trusted, err) < 0)
		return -1;
	d->map = archive_map_begin(&b->io, b->order_key, err);
	if (d->map == NULL)
		return -1;
	return resume_map(b, &root, d->map, trusted, reread, d, err);
}

static int to_map(void *ctx, const struct fmt_run *run, struct err *err)
{
	struct device *d = ctx;

	return archive_map_add(d->map, run, err);
}

/* Read all from byte `start` on, where the map ends.  0, 1 when stopped, -1. */
static int full_scan(struct device *d, const char *path, uint64_t start, struct err *err)
{
	struct file_parts parts;
	struct stream_source src = {
		.fd = d->fd, .direct = d->direct, .size = d->size, .start = start,
		.pause = device_pause, .pause_ctx = d,
	};
	struct stream_result res;

	if (d->regular) {
		file_parts_init(&parts, d->fd, d->size);
		parts.at = start;
		src.next = file_parts_next;
		src.ctx = &parts;
	}

	int r = stream_store(d->b, d->b->nstorers - 1, &src, CHUNKER_BLOCK, to_map, d,
	    &res, err);

	if (r == 0 && res.short_read)
		r = err_set(err, ERR_IO, "it ended at byte %llu of %llu",
		    (unsigned long long)(start + res.size), (unsigned long long)d->size);
	if (r != 0)
		return err_wrap(err, "cannot read %s", path);
	return res.stopped ? 1 : 0;
}

/*
 * Read the extents only, and carry over the rest of the whole snapshot `from`.
 * It is read from where a later session may not do that.
 */
static int changed_only(struct device *d, const struct store_snapshot *from, struct err *err)
{
	int flags = d->direct ? fcntl(d->fd, F_GETFL) : 0;
	struct delta_pause pause = { device_pause, d };
	int r;

	/* Any alignment is allowed for small reads: not O_DIRECT. */
	if (d->direct)
		fcntl(d->fd, F_SETFL, flags & ~O_DIRECT);
	r = delta_store(d->b, d->fd, d->size, from, &d->map, &pause, err);
	if (r != 1)
		return r;
	d->b->res->way_reason = "a collection may have been removing the parent";
	return full_scan(d, d->b->opt->device, archive_map_tell(d->map), err);
}

/*
 * Why the extents that were given cannot be gone by; NULL: they can.  What is
 * carried over is seen page by page only, so damage is looked for first.
 */
static int no_delta(struct backup *b, const struct store_snapshot *parent, bool carry,
    uint64_t size, const char **ret, struct err *err)
{
	struct archive_ref root;
	int r = 0;

	*ret = NULL;
	if (parent == NULL)
		*ret = "there is no parent";
	else if (!carry)
		*ret = "a collection may be removing the parent";
	else if (parent->size != size)
		*ret = "the volume's size has changed";
	else if (parent->flags & STORE_INCOMPLETE)
		*ret = "the parent is incomplete";
	else if (b->opt->changed_last > 0 && b->opt->changed_last >= size)
		*ret = "a changed extent lies beyond the volume's end";
	if (*ret != NULL || !b->healing)
		return 0;
	memcpy(root.id, parent->state.id, sizeof(root.id));
	root.level = parent->state.level;
	root.entries = parent->state.entries;
	r = backup_may_carry_map(b, &root, err);
	if (r > 0)
		*ret = "the parent needs what was found damaged";
	return r < 0 ? -1 : 0;
}

int backup_device(struct backup *b, const struct store_snapshot *parent,
    struct store_commit *commit, struct err *err)
{
	struct device d = { .b = b, .fd = -1 };
	struct archive_ref root;
	bool carry = b->carry;
	int r = -1;

	/* Extents are told against a whole snapshot; a checkpoint may be newer. */
	if (parent != NULL && parent->checkpoint) {
		parent = b->rest_of;
		carry = b->rest_carry;
	}

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
		const char *why;

		if (no_delta(b, parent, carry, d.size, &why, err) < 0)
			goto out;
		b->res->way_reason = why ? why : "";
		if (why == NULL)
			b->res->way = ENGINE_CHANGED;
	}
	r = b->res->way == ENGINE_CHANGED ? changed_only(&d, parent, err) :
	    full_scan(&d, b->opt->device, 0, err);
	b->gained = b->fresh = atomic_load(&b->e->progress.bytes_new);
	if (r >= 0) {
		b->res->bytes = archive_map_tell(d.map);
		if (archive_map_finish(d.map, &root, err) < 0)
			r = -1;
	}
	if (r >= 0) {
		set_state_root(commit, &root);
		b->res->entries = root.entries;
	}
out:
	archive_map_free(d.map);
	if (d.fd >= 0)
		close(d.fd);
	return r;
}
