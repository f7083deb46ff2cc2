#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/runs.h"
#include "agent/engine/stream.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"

/* Bytes read at once where only changed extents are read. */
#define DELTA_READ (512u << 10)

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

	d->fd = open(path, O_RDONLY | O_CLOEXEC);
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

/* --- changed extents only -------------------------------------------------------------*/

/*
 * Between changed extents the parent's runs are carried over.  At each extent
 * reading begins where the parent's run around its start began, and goes on
 * until a cut behind its end falls where the parent has one too.
 */
struct delta {
	struct device *d;
	struct archive_map *parent, *probe; /* to carry from; to look for cuts */
	struct split split;
	uint64_t at;         /* both maps are equal up to here */
	uint64_t until;      /* end of the extents that are being read */
	bool met;
};

/* Does a run of the parent begin at off (or end there with the volume)? */
static int parent_cut(struct delta *dl, uint64_t off, struct err *err)
{
	struct fmt_run run;
	uint64_t at;

	if (off >= dl->d->size)
		return 1;
	if (archive_map_seek(dl->probe, off, err) < 0)
		return -1;

	int r = archive_map_next(dl->probe, &at, &run, err);

	return r < 0 ? -1 : r == 0 && at == off;
}

static int delta_run(struct delta *dl, const struct fmt_run *run, struct err *err)
{
	if (archive_map_add(dl->d->map, run, err) < 0)
		return -1;
	dl->at += run->len;
	atomic_fetch_add(&dl->d->b->e->progress.bytes_done, run->len);
	if (dl->at < dl->until)
		return 0;

	int cut = parent_cut(dl, dl->at, err);

	if (cut <= 0)
		return cut;
	/* Not a failure: it ends split_feed here. */
	dl->met = true;
	return -1;
}

static int delta_chunk(void *ctx, const uint8_t *p, size_t len, struct err *err)
{
	struct delta *dl = ctx;
	struct backup *b = dl->d->b;
	struct fmt_run run = { .kind = FMT_RUN_CHUNK, .len = len };

	if (backup_put(b, b->nstorers - 1, STORE_DATA, p, len, run.id, err) < 0)
		return -1;
	return delta_run(dl, &run, err);
}

static int delta_zero(void *ctx, uint64_t len, struct err *err)
{
	return delta_run(ctx, &(struct fmt_run){ .kind = FMT_RUN_ZEROS, .len = len }, err);
}

/* Carry over the parent's runs that end at or before `end`. */
static int carry_until(struct delta *dl, uint64_t end, struct err *err)
{
	for (;;) {
		struct fmt_run run;
		uint64_t off;

		if (archive_map_seek(dl->parent, dl->at, err) < 0 ||
		    archive_map_carry(dl->d->map, dl->parent, end, &dl->at, err) < 0)
			return -1;

		int r = archive_map_next(dl->parent, &off, &run, err);

		if (r < 0)
			return -1;
		if (r == 1 || off + run.len > end)
			return 0;
		if (archive_map_add(dl->d->map, &run, err) < 0)
			return -1;
		dl->at = off + run.len;
	}
}

/* Read from dl->at until the cuts meet the parent's behind dl->until. */
static int read_changed(struct delta *dl, uint8_t *buf, size_t cap, struct err *err)
{
	size_t have = 0;
	uint64_t pos = dl->at; /* of buf */

	dl->met = false;
	dl->split.zrun = 0;
	while (!dl->met && pos < dl->d->size) {
		uint64_t from = pos + have;
		size_t want = cap - have < DELTA_READ ? cap - have : DELTA_READ;

		if (want > dl->d->size - from)
			want = (size_t)(dl->d->size - from);
		if (want > 0) {
			ssize_t n = pread(dl->d->fd, buf + have, want, (off_t)from);

			if (n <= 0)
				return err_sys(err, n < 0 ? errno : EIO,
				    "cannot read the volume at byte %llu",
				    (unsigned long long)from);
			have += (size_t)n;
			atomic_fetch_add(&dl->d->b->e->progress.bytes_read, (uint64_t)n);
		}

		size_t used = 0;
		struct err why = ERR_INIT;
		int r = split_feed(&dl->split, buf, have, pos,
		    pos + have == dl->d->size, &used, &why);

		if (r < 0 && !dl->met) {
			*err = why;
			return -1;
		}
		if (dl->met)
			break;
		memmove(buf, buf + used, have - used);
		have -= used;
		pos += used;
	}
	return 0;
}

/* Take the next extent, clipped to the volume.  0, 1 at the end, -1. */
static int next_extent(struct delta *dl, uint64_t least, struct extent *x, struct err *err)
{
	const struct extent_source *src = &dl->d->b->opt->changed;

	for (;;) {
		int r = src->next(src->ctx, x, err);

		if (r != 0)
			return r;
		if (x->off < least)
			return err_set(err, ERR_USAGE,
			    "the changed extents are not in ascending order at byte %llu",
			    (unsigned long long)x->off);
		if (x->off >= dl->d->size)
			continue;
		if (x->len > dl->d->size - x->off)
			x->len = dl->d->size - x->off;
		if (x->len > 0)
			return 0;
	}
}

static int delta_scan(struct delta *dl, uint8_t *buf, size_t cap, struct err *err)
{
	struct extent x = { 0, 0 };
	int r = next_extent(dl, 0, &x, err);

	while (r == 0) {
		if (engine_cancelled(dl->d->b->e))
			return err_set(err, ERR_CANCELLED, "stopped on request");
		/* What was read already may reach over this extent. */
		if (x.off + x.len > dl->at) {
			if (carry_until(dl, x.off, err) < 0)
				return -1;
			dl->until = x.off + x.len;
			if (read_changed(dl, buf, cap, err) < 0)
				return -1;
		}
		r = next_extent(dl, x.off + x.len, &x, err);
	}
	return r < 0 ? -1 : carry_until(dl, dl->d->size, err);
}

static int changed_scan(struct device *d, const struct store_snapshot *parent,
    struct err *err)
{
	struct backup *b = d->b;
	struct archive_ref root = { .level = parent->state.level,
	    .entries = parent->state.entries };
	struct delta dl = { .d = d };
	size_t cap = b->block_max + 2 * SPLIT_GRAIN + DELTA_READ;
	CLEANUP_FREE uint8_t *buf = malloc(cap);
	int r = -1;

	if (buf == NULL)
		return err_nomem(err, "a read buffer");
	memcpy(root.id, parent->state.id, sizeof(root.id));
	dl.split = (struct split){
		.chunker = b->block, .max = b->block_max, .zeros = SPLIT_GRAIN,
		.chunk = delta_chunk, .zero = delta_zero, .ctx = &dl,
	};
	dl.parent = archive_map_open(&b->io, &root, err);
	dl.probe = dl.parent != NULL ? archive_map_open(&b->io, &root, err) : NULL;
	if (dl.probe != NULL)
		r = delta_scan(&dl, buf, cap, err);
	archive_map_close(dl.parent);
	archive_map_close(dl.probe);
	return r;
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
		r = changed_scan(&d, parent, err);
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

/* --- a stream: a tree with one file -------------------------------------------------------*/

static int stream_tree(struct backup *b, const struct content *c, uint64_t size,
    struct store_commit *commit, struct err *err)
{
	struct archive_tree_writer *w = archive_tree_begin(&b->io, b->order_key, err);
	const char *name = b->opt->stream_name;
	int64_t now = clock_real_ns();
	struct fmt_entry meta = {
		.uid = geteuid(), .gid = getegid(),
		.mtime_s = now / 1000000000, .mtime_ns = (uint32_t)(now % 1000000000),
		.ctime_s = now / 1000000000, .ctime_ns = (uint32_t)(now % 1000000000),
	};
	struct archive_tree_entry root = { .entry = meta, .no_carry = true };
	struct archive_tree_entry file = { .entry = meta, .no_carry = true };
	struct archive_ref catalog, state;
	int r = -1;

	root.entry.type = FMT_DIRECTORY;
	root.entry.mode = 0755;
	file.entry.type = FMT_FILE;
	file.entry.mode = 0600;
	file.name = (struct fmt_comp){ name, strlen(name),
		fmt_name_hash(b->order_key, name, strlen(name)) };
	file.entry.bits = FMT_HAS_CONTENT;
	content_tell(c, size, &file.entry.content);
	if (w != NULL && archive_tree_add(w, &root, err) == 0 &&
	    archive_tree_add(w, &file, err) == 0)
		r = archive_tree_finish(w, &catalog, &state, err);
	archive_tree_free(w);
	if (r < 0)
		return -1;
	memcpy(commit->catalog.id, catalog.id, sizeof(catalog.id));
	commit->catalog.level = catalog.level;
	commit->catalog.entries = catalog.entries;
	memcpy(commit->state.id, state.id, sizeof(state.id));
	commit->state.level = state.level;
	commit->state.entries = state.entries;
	return 0;
}

int backup_stream(struct backup *b, struct store_commit *commit, struct err *err)
{
	struct stream_source src = { .fd = b->opt->stream_fd, .pipe = true };
	struct stream_result res;
	struct content c = { .kind = CONTENT_NONE };
	struct runs runs;
	const char *name = b->opt->stream_name;

	if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0 || strlen(name) > 255)
		return err_set(err, ERR_USAGE, "'%s' is no file name", name);
	runs_init(&runs, b, b->nstorers - 1);
	int r = stream_store(b, b->nstorers - 1, &src, CHUNKER_STREAM, runs_add, &runs,
	    &res, err);

	if (r == 0)
		r = runs_finish(&runs, &c, err);
	runs_release(&runs);
	if (r == 0)
		r = stream_tree(b, &c, res.size, commit, err);
	content_release(&c);
	if (r != 0)
		return -1;
	b->res->bytes = res.size;
	b->res->files_new = 1;
	b->res->dirs = 1;
	b->res->entries = 2;
	return 0;
}
