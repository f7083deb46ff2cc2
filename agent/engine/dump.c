#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/dump_internal.h"
#include "agent/engine/restore.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"

#define WINDOW_MAX ((size_t)16 << 20)

static bool dump_stopped(void *ctx)
{
	struct dump *d = ctx;

	return atomic_load(&d->failed) || engine_cancelled(d->e);
}

static void dump_fatal(void *ctx, const struct err *why)
{
	struct dump *d = ctx;

	pthread_mutex_lock(&d->lock);
	if (!atomic_exchange(&d->failed, true))
		d->failure = *why;
	pthread_mutex_unlock(&d->lock);
}

/* The first damage is the one that is told. */
static void note_damage(struct dump *d, const struct err *why, const char *path, size_t len)
{
	pthread_mutex_lock(&d->lock);
	if (!d->damaged) {
		d->damage = *why;
		if (len > 0)
			err_wrap(&d->damage, "%.*s", (int)(len < 256 ? len : 256), path);
	}
	d->damaged = true;
	pthread_mutex_unlock(&d->lock);
}

int dump_damage(struct dump *d, const struct err *why, struct err *err)
{
	note_damage(d, why, (const char *)d->path.p, d->path.len);
	if (!d->strict)
		return 0;
	if (err != NULL)
		*err = d->damage;
	return -1;
}

/* --- whose bytes they are -------------------------------------------------------------*/

static void window_mark(struct dump *d)
{
	struct dump_window *w = &d->w[d->cur];

	/* Without memory for it a message says less. */
	if (buf_reserve(&w->marks, 8 + d->path.len) < 0)
		return;
	buf_u32(&w->marks, (uint32_t)w->len);
	buf_u32(&w->marks, (uint32_t)d->path.len);
	buf_add(&w->marks, d->path.p, d->path.len);
}

void dump_mark(struct dump *d, const void *path, size_t len)
{
	buf_reset(&d->path);
	buf_add(&d->path, path, len);
	window_mark(d);
}

static const char *marked(const struct dump_window *w, uint64_t at, size_t *ret_len)
{
	const uint8_t *p = w->marks.p, *end = p + w->marks.len;
	const char *path = NULL;

	*ret_len = 0;
	while (p < end && le32_get(p) <= at) {
		*ret_len = le32_get(p + 4);
		path = (const char *)p + 8;
		p += 8 + *ret_len;
	}
	return path;
}

/* --- windows -------------------------------------------------------------------------*/

static void deliver(void *ctx, unsigned self, struct need *n, const uint8_t *bytes,
    const struct err *why)
{
	struct dump_window *w = n->owner;
	struct dump *d = ctx;

	(void)self;
	if (bytes != NULL) {
		memcpy(w->buf + n->at, bytes, n->len);
		return;
	}
	memset(w->buf + n->at, 0, n->len);
	if (why->class != ERR_CANCELLED) {
		size_t len;
		const char *path = marked(w, n->at, &len);

		note_damage(d, why, path, len);
	}
}

static bool check(void *ctx, unsigned self, struct need *n, uint8_t *scratch)
{
	(void)ctx, (void)self, (void)n, (void)scratch;
	return false;
}

static void write_window(void *arg)
{
	struct dump_window *w = arg;
	struct dump *d = w->d;

	for (size_t done = 0; done < w->len && !dump_stopped(d);) {
		ssize_t n = write(d->fd, w->buf + done, w->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			struct err why;

			err_sys(&why, errno, "cannot write the output");
			dump_fatal(d, &why);
			break;
		}
		done += (size_t)n;
		atomic_fetch_add(&d->e->progress.bytes_done, (uint64_t)n);
	}
	w->len = 0;
	pthread_mutex_lock(&d->lock);
	w->writing = false;
	pthread_cond_signal(&d->wake);
	pthread_mutex_unlock(&d->lock);
}

static void wait_written(struct dump *d, const struct dump_window *w)
{
	pthread_mutex_lock(&d->lock);
	while (w->writing)
		pthread_cond_wait(&d->wake, &d->lock);
	pthread_mutex_unlock(&d->lock);
}

/* Get what the window still needs, and let it be written. */
static int flush(struct dump *d, struct err *err)
{
	struct dump_window *w = &d->w[d->cur];

	if (fetch_run(d->fetch, err) < 0)
		return -1;
	if (d->damaged && d->strict) {
		*err = d->damage;
		return -1;
	}
	if (dump_stopped(d))
		return err_set(err, ERR_CANCELLED, "stopped");
	/* One at a time: two that are written at once would mix. */
	wait_written(d, &d->w[d->cur ^ 1]);
	pthread_mutex_lock(&d->lock);
	w->writing = true;
	pthread_mutex_unlock(&d->lock);
	uploads_submit(d->e->uploads, write_window, w);
	d->cur ^= 1;
	return 0;
}

static int make_room(struct dump *d, size_t *ret_room, struct err *err)
{
	if (d->w[d->cur].len == d->cap || fetch_full(d->fetch))
		if (flush(d, err) < 0)
			return -1;
	*ret_room = d->cap - d->w[d->cur].len;
	return 0;
}

int dump_bytes(struct dump *d, const void *p, size_t len, struct err *err)
{
	size_t room;

	for (const uint8_t *b = p; len > 0;) {
		if (make_room(d, &room, err) < 0)
			return -1;

		struct dump_window *w = &d->w[d->cur];
		size_t n = len < room ? len : room;

		memcpy(w->buf + w->len, b, n);
		w->len += n;
		d->told += n;
		b += n;
		len -= n;
	}
	return 0;
}

int dump_zeros(struct dump *d, uint64_t len, struct err *err)
{
	size_t room;

	while (len > 0) {
		if (make_room(d, &room, err) < 0)
			return -1;

		struct dump_window *w = &d->w[d->cur];
		size_t n = len < room ? (size_t)len : room;

		memset(w->buf + w->len, 0, n);
		w->len += n;
		d->told += n;
		len -= n;
	}
	return 0;
}

/* len bytes of a chunk from off on. */
static int chunk(struct dump *d, const uint8_t *id, uint64_t off, uint64_t len,
    struct err *err)
{
	size_t room;

	while (len > 0) {
		if (make_room(d, &room, err) < 0)
			return -1;

		struct dump_window *w = &d->w[d->cur];
		struct need n = { .at = w->len, .len = len < room ? len : room,
		    .owner = w, .off = (uint32_t)off };

		memcpy(n.id, id, sizeof(n.id));

		int r = fetch_add(d->fetch, &n, err);

		if (r < 0)
			return -1;
		if (r > 0) {
			struct err why;

			err_set(&why, ERR_CORRUPT, "the repository has lost a part of it");
			if (dump_damage(d, &why, err) < 0)
				return -1;
			memset(w->buf + w->len, 0, n.len);
		}
		w->len += n.len;
		d->told += n.len;
		off += n.len;
		len -= n.len;
	}
	return 0;
}

/* --- content ---------------------------------------------------------------------------*/

static int one_run(struct dump *d, const struct fmt_run *run, uint64_t len, struct err *err)
{
	if (run->kind == FMT_RUN_CHUNK)
		return chunk(d, run->id, 0, len, err);
	return dump_zeros(d, len, err);
}

/* Bytes from..to of the content are not known. */
static int gap(struct dump *d, uint64_t len, const char *what, struct err *err)
{
	struct err why;

	err_set(&why, ERR_CORRUPT, "%s", what);
	if (dump_damage(d, &why, err) < 0)
		return -1;
	return dump_zeros(d, len, err);
}

static int map_content(struct dump *d, const struct archive_ref *root, uint64_t size,
    struct err *err)
{
	struct archive_map *m = archive_map_open(pages_io(d->pages), root, err);
	uint64_t at = 0, off;
	struct fmt_run run;
	int r = m != NULL ? 0 : -1;

	if (r < 0 && (err->class != ERR_CORRUPT || dump_damage(d, err, err) < 0))
		return -1;
	while (r == 0 && at < size) {
		r = archive_map_next(m, &off, &run, err);
		if (r < 0 && err->class == ERR_CORRUPT && dump_damage(d, err, err) == 0) {
			r = archive_map_skip_damage(m, err) < 0 ? -1 : 0;
			continue;
		}
		if (r != 0)
			break;
		off = off < size ? off : size;
		if (off > at)
			r = gap(d, off - at, "a part of its chunk list is lost", err);
		if (r == 0 && off >= at) {
			uint64_t len = run.len < size - off ? run.len : size - off;

			r = one_run(d, &run, len, err);
			at = off + len;
		}
	}
	archive_map_close(m);
	if (r < 0 && !(m == NULL && !d->strict))
		return -1;
	return at < size ? gap(d, size - at, "its chunk list does not reach its end", err) : 0;
}

static int runs_content(struct dump *d, const struct fmt_content *c, struct err *err)
{
	struct fmt_list l = c->runs;
	struct fmt_run run;
	uint64_t at = 0;

	while (at < c->size && fmt_run_next(&l, &run) == 0) {
		uint64_t len = run.len < c->size - at ? run.len : c->size - at;

		if (one_run(d, &run, len, err) < 0)
			return -1;
		at += len;
	}
	return at < c->size ? gap(d, c->size - at, "its chunk list does not reach its end",
	    err) : 0;
}

int dump_content(struct dump *d, const struct fmt_content *c, struct err *err)
{
	struct archive_ref root = { .level = c->level, .entries = c->entries };

	switch (c->kind) {
	case FMT_CONTENT_INLINE:
		return dump_bytes(d, c->bytes, c->size, err);
	case FMT_CONTENT_SLICE:
		return chunk(d, c->id, c->off, c->size, err);
	case FMT_CONTENT_RUNS:
		return runs_content(d, c, err);
	case FMT_CONTENT_MAP:
		memcpy(root.id, c->id, sizeof(root.id));
		return map_content(d, &root, c->size, err);
	default:
		return dump_zeros(d, c->size, err);
	}
}

/* --- the run -----------------------------------------------------------------------------*/

static int tools_new(struct dump *d, struct err *err)
{
	const struct engine_budget *b = &d->e->budget;
	struct fetch_sink sink = { deliver, check, dump_stopped, dump_fatal, d };

	d->cap = b->read / 6 < WINDOW_MAX ? b->read / 6 : WINDOW_MAX;
	for (unsigned i = 0; i < 2; i++) {
		d->w[i].d = d;
		d->w[i].buf = malloc(d->cap);
		if (d->w[i].buf == NULL)
			return err_nomem(err, "the output's buffers");
	}
	d->fetch = fetch_new(d->e, d->st, d->sn->domain,
	    b->read / 2 + (size_t)b->pack_buffers * b->pack_size / 4, &sink, err);
	if (d->fetch != NULL)
		d->pages = pages_new(d->st, d->sn->domain, err);
	return d->pages != NULL ? 0 : -1;
}

static int block(struct dump *d, const char *path, struct err *err)
{
	struct archive_ref root = { .level = d->sn->state.level,
	    .entries = d->sn->state.entries };

	if (path != NULL && path[strspn(path, "/.")] != '\0')
		return err_set(err, ERR_NOTFOUND, "the snapshot is a block volume: there are no "
		    "paths in it");
	memcpy(root.id, d->sn->state.id, sizeof(root.id));
	d->strict = true;
	dump_mark(d, "the volume", 10);
	return map_content(d, &root, d->sn->size, err);
}

static int one_file(struct dump *d, struct view *v, const char *path, struct err *err)
{
	struct view_entry ve;
	int r = view_next(v, &ve, err);

	if (r != 0)
		return r < 0 ? -1 : err_set(err, ERR_NOTFOUND, "there is no %s", path);
	if (ve.e->type != FMT_FILE)
		return err_set(err, ERR_USAGE, "%s is no file and no directory: it has no bytes",
		    path);
	if (!(ve.e->bits & FMT_HAS_CONTENT))
		return err_set(err, ERR_NOTFOUND, "the snapshot does not have the bytes of %s: it "
		    "could not be read when the backup was made", path);
	d->strict = true;
	dump_mark(d, path, strlen(path));
	return dump_content(d, &ve.e->content, err);
}

static int tree(struct dump *d, const char *path, struct err *err)
{
	struct view_options o = {
		.io = pages_io(d->pages),
		.order_key = store_snapshot_order(d->st, d->sn, err),
		.path = path,
	};
	struct view *v;
	int r;

	if (o.order_key == NULL)
		return -1;
	memcpy(o.catalog.id, d->sn->catalog.id, sizeof(o.catalog.id));
	o.catalog.level = d->sn->catalog.level;
	o.catalog.entries = d->sn->catalog.entries;
	v = view_open(&o, true, err);
	if (v == NULL)
		return -1;
	r = view_is_dir(v) ? dump_tar(d, v, err) : one_file(d, v, path, err);
	view_close(v);
	return r;
}

static void release(struct dump *d)
{
	wait_written(d, &d->w[0]);
	wait_written(d, &d->w[1]);
	pages_free(d->pages);
	fetch_free(d->fetch);
	for (unsigned i = 0; i < 2; i++) {
		free(d->w[i].buf);
		buf_release(&d->w[i].marks);
	}
	buf_release(&d->path);
	pthread_cond_destroy(&d->wake);
	pthread_mutex_destroy(&d->lock);
}

int engine_dump(struct engine *e, struct store *st,
    const struct store_snapshot *sn, const char *path, int fd,
    struct err *err)
{
	struct dump d = {
		.e = e, .st = st, .sn = sn, .fd = fd,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.wake = PTHREAD_COND_INITIALIZER,
	};
	int r = store_need(st, STORE_READ, "to dump", err);

	if (r == 0)
		r = tools_new(&d, err);
	if (r == 0)
		r = sn->content == STORE_BLOCK ? block(&d, path, err) : tree(&d, path, err);
	if (r == 0)
		r = flush(&d, err);
	release(&d);
	if (engine_cancelled(e))
		return err_set(err, ERR_CANCELLED, "the output was stopped");
	if (atomic_load(&d.failed)) {
		*err = d.failure;
		return -1;
	}
	if (r == 0 && d.damaged) {
		*err = d.damage;
		return err_wrap(err, "zeros stand in for what is damaged");
	}
	return r;
}
