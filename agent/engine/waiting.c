#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/waiting.h"
#include "agent/engine/spill.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"

/*
 * The sub-directories of each directory that we are in, one list behind the
 * other: a list is complete before any that lies deeper begins, and gone
 * before any that is longer goes on.  So all are one stack of bytes, the
 * front of which goes to an unnamed file when it is long.
 *
 * A record: u32 length of what follows, then mode u32, uid u32, gid u32,
 * mtime u64, ns u32, bits u32, length of the name u32, number of xattrs u64,
 * name, xattrs.
 */
#define PENDING_MAX ((size_t)256 << 10)
#define RECORD_HEAD 44u

struct frame {
	size_t path;     /* length of its path, with the slash */
	uint64_t begin;  /* of its list of sub-directories */
	uint64_t at, end; /* those that are still to come */
};

struct waiting {
	int (*fn)(void *ctx, const struct buf *path, const struct fmt_entry *e,
	    struct err *err);
	void *ctx;
	struct frame *frames; /* the first is the top */
	size_t n, cap;
	struct buf path;      /* of the last frame */
	int fd;
	uint64_t written;     /* bytes of the stack in the file */
	struct buf pending;   /* what follows them */
	struct buf record, full;
};

static int push(struct waiting *w, struct err *err)
{
	uint64_t top = w->written + w->pending.len;

	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 16;
		struct frame *f = reallocarray(w->frames, cap, sizeof(*f));

		if (f == NULL)
			return err_nomem(err, "a path");
		w->frames = f;
		w->cap = cap;
	}
	w->frames[w->n++] = (struct frame){ w->path.len, top, top, top };
	return 0;
}

struct waiting *waiting_new(int (*fn)(void *ctx, const struct buf *path,
    const struct fmt_entry *e, struct err *err), void *ctx, struct err *err)
{
	struct waiting *w = mem_zalloc(sizeof(*w), "an archive", err);

	if (w == NULL)
		return NULL;
	w->fn = fn;
	w->ctx = ctx;
	w->fd = -1;
	if (push(w, err) < 0) {
		waiting_free(w);
		return NULL;
	}
	return w;
}

void waiting_free(struct waiting *w)
{
	if (w == NULL)
		return;
	if (w->fd >= 0)
		close(w->fd);
	buf_release(&w->path);
	buf_release(&w->pending);
	buf_release(&w->record);
	buf_release(&w->full);
	free(w->frames);
	free(w);
}

/* --- the stack of bytes ---------------------------------------------------------------*/

static int stack_get(struct waiting *w, uint64_t at, void *dst, size_t len, struct err *err)
{
	/* Records do not lie across: what goes to the file goes wholly. */
	if (at >= w->written) {
		memcpy(dst, w->pending.p + (at - w->written), len);
		return 0;
	}
	return spill_read(w->fd, dst, len, at, err);
}

static void stack_cut(struct waiting *w, uint64_t at)
{
	if (at >= w->written) {
		w->pending.len = (size_t)(at - w->written);
		return;
	}
	w->written = at;
	buf_reset(&w->pending);
}

static int stack_room(struct waiting *w, struct err *err)
{
	if (w->pending.len <= PENDING_MAX)
		return 0;
	if (w->fd < 0 && (w->fd = spill_open(err)) < 0)
		return -1;
	if (spill_write(w->fd, w->pending.p, w->pending.len, w->written, err) < 0)
		return -1;
	w->written += w->pending.len;
	buf_reset(&w->pending);
	return 0;
}

/* --- records ----------------------------------------------------------------------------*/

int waiting_add(struct waiting *w, const char *name, size_t len,
    const struct fmt_entry *e, struct err *err)
{
	struct frame *f = &w->frames[w->n - 1];
	struct buf *b = &w->pending;
	bool xattrs = (e->bits & FMT_HAS_XATTRS) != 0;
	size_t xlen = xattrs ? e->xattrs.len : 0;

	if (stack_room(w, err) < 0)
		return -1;
	buf_u32(b, (uint32_t)(RECORD_HEAD - 4 + len + xlen));
	buf_u32(b, e->mode);
	buf_u32(b, e->uid);
	buf_u32(b, e->gid);
	buf_u64(b, (uint64_t)e->mtime_s);
	buf_u32(b, e->mtime_ns);
	buf_u32(b, e->bits);
	buf_u32(b, (uint32_t)len);
	buf_u64(b, xattrs ? e->xattrs.n : 0);
	buf_add(b, name, len);
	if (xlen > 0)
		buf_add(b, e->xattrs.p, xlen);
	f->end = w->written + b->len;
	return buf_check(b, "an archive", err);
}

/* Take the first record off a frame's list into w->record. */
static int take(struct waiting *w, struct frame *f, struct fmt_entry *ret_e,
    struct fmt_str *ret_name, struct err *err)
{
	uint8_t head[4];
	struct rd r;

	if (stack_get(w, f->at, head, sizeof(head), err) < 0)
		return -1;

	size_t len = le32_get(head);

	buf_reset(&w->record);
	if (buf_reserve(&w->record, len) < 0)
		return err_nomem(err, "an archive");
	w->record.len = len;
	if (stack_get(w, f->at + 4, w->record.p, len, err) < 0)
		return -1;
	f->at += 4 + len;
	r = rd_init(w->record.p, len);
	*ret_e = (struct fmt_entry){ .type = FMT_DIRECTORY };
	ret_e->mode = rd_u32(&r);
	ret_e->uid = rd_u32(&r);
	ret_e->gid = rd_u32(&r);
	ret_e->mtime_s = (int64_t)rd_u64(&r);
	ret_e->mtime_ns = rd_u32(&r);
	ret_e->bits = rd_u32(&r);
	ret_name->len = rd_u32(&r);
	ret_e->xattrs.n = rd_u64(&r);
	ret_name->p = (const char *)rd_bytes(&r, ret_name->len);
	ret_e->xattrs.p = r.p;
	ret_e->xattrs.len = r.left;
	return 0;
}

/* Put out a directory of the last frame. */
static int tell(struct waiting *w, const struct fmt_str *name, const struct fmt_entry *e,
    struct err *err)
{
	buf_reset(&w->full);
	buf_add(&w->full, w->path.p, w->frames[w->n - 1].path);
	buf_add(&w->full, name->p, name->len);
	buf_u8(&w->full, '/');
	if (buf_check(&w->full, "a path", err) < 0)
		return -1;
	return w->fn(w->ctx, &w->full, e, err);
}

/* --- along the tree ------------------------------------------------------------------------*/

/* Leave the last frame: what still waits in it is empty. */
static int leave(struct waiting *w, struct err *err)
{
	struct frame *f = &w->frames[w->n - 1];
	struct fmt_entry e;
	struct fmt_str name;

	while (f->at < f->end)
		if (take(w, f, &e, &name, err) < 0 || tell(w, &name, &e, err) < 0)
			return -1;
	if (w->n == 1)
		return 0;
	stack_cut(w, f->begin);
	w->n--;
	w->path.len = w->frames[w->n - 1].path;
	return 0;
}

/* Go into a directory of the last frame; those before it are empty. */
static int into(struct waiting *w, const char *name, size_t len, struct err *err)
{
	struct frame *f = &w->frames[w->n - 1];
	struct fmt_entry e;
	struct fmt_str first;

	while (f->at < f->end) {
		if (take(w, f, &e, &first, err) < 0 || tell(w, &first, &e, err) < 0)
			return -1;
		if (first.len == len && memcmp(first.p, name, len) == 0)
			break;
	}
	w->path.len = f->path;
	buf_add(&w->path, name, len);
	buf_u8(&w->path, '/');
	if (buf_check(&w->path, "a path", err) < 0)
		return -1;
	return push(w, err);
}

int waiting_enter(struct waiting *w, const struct buf *dir, struct err *err)
{
	while (w->path.len > dir->len ||
	    (w->path.len > 0 && memcmp(w->path.p, dir->p, w->path.len) != 0))
		if (leave(w, err) < 0)
			return -1;
	while (w->path.len < dir->len) {
		const char *rest = (const char *)dir->p + w->path.len;
		const char *slash = memchr(rest, '/', dir->len - w->path.len);

		if (into(w, rest, (size_t)(slash - rest), err) < 0)
			return -1;
	}
	return 0;
}

int waiting_end(struct waiting *w, struct err *err)
{
	while (w->n > 1)
		if (leave(w, err) < 0)
			return -1;
	return leave(w, err);
}
