#include <stdlib.h>
#include <string.h>

#include "agent/mount/mount_internal.h"
#include "repo/base/mem.h"
#include "repo/format/fmt_entry.h"

#define SEQUENTIAL 2u /* reads one behind the other, before reading ahead */

/*
 * An open file: what its entry says of the content.  Nothing of it is for one
 * thread: the kernel asks for several parts at once.
 */
struct mount_file {
	const struct mount_snap *sn;
	size_t bytes;          /* counted as open */
	uint8_t kind;          /* enum fmt_content_kind */
	uint64_t size;
	uint8_t *inline_bytes;
	uint8_t id[STORE_ID_LEN]; /* slice */
	uint32_t chunk_len, off;
	struct fmt_run *runs;
	uint64_t *begin;       /* of each run */
	size_t nruns;
	struct archive_ref map;
	atomic_uint_fast64_t end;   /* of the last read */
	atomic_uint streak;         /* reads, each behind the one before */
	atomic_uint_fast64_t ahead; /* read ahead, or asked for, up to there */
};

uint64_t mount_file_allocated(const struct mount *m, const struct fmt_content *c)
{
	struct fmt_list l = c->runs;
	uint64_t n = 0, most;
	struct fmt_run run;

	switch (c->kind) {
	case FMT_CONTENT_HOLE:
		return 0;
	case FMT_CONTENT_RUNS:
		while (fmt_run_next(&l, &run) == 0)
			n += run.kind != FMT_RUN_HOLE ? run.len : 0;
		return n;
	case FMT_CONTENT_MAP:
		/*
		 * Only the map could tell; it is not read for a stat.  Less than
		 * the size makes programs look for holes.
		 */
		most = c->entries < UINT64_MAX / m->max_blob ? c->entries * m->max_blob :
		    UINT64_MAX;
		n = c->size > 4096 ? c->size - 4096 : 0;
		return n < most ? n : most;
	default:
		return c->size;
	}
}

/* --- opening ----------------------------------------------------------------*/

static int copy_runs(struct mount_file *f, struct fmt_list l, struct err *err)
{
	uint64_t at = 0;
	struct fmt_run run;

	f->runs = mem_array(l.n + 1, sizeof(*f->runs), "an open file", err);
	f->begin = mem_array(l.n + 1, sizeof(*f->begin), "an open file", err);
	if (f->runs == NULL || f->begin == NULL)
		return -1;
	for (; fmt_run_next(&l, &run) == 0; f->nruns++) {
		f->runs[f->nruns] = run;
		f->begin[f->nruns] = at;
		at += run.len;
	}
	return 0;
}

static int copy_content(struct mount_file *f, const struct fmt_content *c,
    struct err *err)
{
	f->kind = c->kind;
	f->size = c->size;
	switch (c->kind) {
	case FMT_CONTENT_INLINE:
		f->inline_bytes = (uint8_t *)mem_memdup0(c->bytes, (size_t)c->size, err);
		return f->inline_bytes != NULL ? 0 : -1;
	case FMT_CONTENT_SLICE:
		memcpy(f->id, c->id, sizeof(f->id));
		f->chunk_len = c->chunk_len;
		f->off = c->off;
		return 0;
	case FMT_CONTENT_RUNS:
		return copy_runs(f, c->runs, err);
	case FMT_CONTENT_MAP:
		memcpy(f->map.id, c->id, sizeof(f->map.id));
		f->map.level = c->level;
		f->map.entries = c->entries;
		return 0;
	default:
		return 0;
	}
}

static size_t cost(const struct fmt_content *c)
{
	size_t n = sizeof(struct mount_file);

	if (c->kind == FMT_CONTENT_INLINE)
		n += (size_t)c->size;
	if (c->kind == FMT_CONTENT_RUNS)
		n += c->runs.n * (sizeof(struct fmt_run) + sizeof(uint64_t));
	return n;
}

int mount_file_open(struct mount *m, const struct mount_snap *sn,
    const struct fmt_entry *e, struct mount_file **ret, struct err *err)
{
	struct fmt_content image = { .kind = FMT_CONTENT_MAP, .size = sn->size,
	    .id = sn->root.id, .level = sn->root.level, .entries = sn->root.entries };
	const struct fmt_content *c = e != NULL ? &e->content : &image;
	struct mount_file *f;
	size_t bytes;

	if (e != NULL && !(e->bits & FMT_HAS_CONTENT))
		return err_set(err, ERR_CORRUPT, "the snapshot does not have its bytes: it "
		    "could not be read when the backup was made");
	bytes = cost(c);
	if (atomic_fetch_add(&m->open_bytes, bytes) + bytes > m->open_most) {
		atomic_fetch_sub(&m->open_bytes, bytes);
		return err_set(err, ERR_FULL, "too many files are open for the memory "
		    "budget (--memory)");
	}
	f = mem_zalloc(sizeof(*f), "an open file", err);
	if (f == NULL) {
		atomic_fetch_sub(&m->open_bytes, bytes);
		return -1;
	}
	f->sn = sn;
	f->bytes = bytes;
	if (copy_content(f, c, err) < 0) {
		mount_file_close(m, f);
		return -1;
	}
	*ret = f;
	return 0;
}

void mount_file_close(struct mount *m, struct mount_file *f)
{
	atomic_fetch_sub(&m->open_bytes, f->bytes);
	free(f->inline_bytes);
	free(f->runs);
	free(f->begin);
	free(f);
}

/* --- runs, from wherever they come ------------------------------------------*/

/* Steps through a file's runs from an offset. */
struct stepper {
	struct mount_file *f;
	struct mount_cursor *c;  /* on its map, or NULL */
	size_t i;                /* the next of f->runs */
};

static int stepper_open(struct stepper *s, struct mount_tool *t, struct mount_file *f,
    uint64_t off, struct err *err)
{
	size_t lo = 0, hi = f->nruns;

	*s = (struct stepper){ .f = f };
	if (f->kind == FMT_CONTENT_MAP) {
		s->c = mount_cursor_map(t, &f->map, f->sn->domain, err);
		if (s->c == NULL)
			return -1;
		if (archive_map_seek(s->c->map, off, err) == 0)
			return 0;
		mount_cursor_give(s->c, MOUNT_ANY);
		return -1;
	}
	/* The last that does not begin behind it. */
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (f->begin[mid] <= off)
			lo = mid;
		else
			hi = mid;
	}
	s->i = lo;
	return 0;
}

/* 0 with the next run and where it begins, 1 at the end, -1. */
static int stepper_next(struct stepper *s, uint64_t *ret_off, struct fmt_run *ret,
    struct err *err)
{
	struct mount_file *f = s->f;

	if (s->c != NULL)
		return archive_map_next(s->c->map, ret_off, ret, err);
	if (f->kind == FMT_CONTENT_RUNS) {
		if (s->i == f->nruns)
			return 1;
		*ret_off = f->begin[s->i];
		*ret = f->runs[s->i++];
		return 0;
	}
	if (s->i++ > 0 || f->size == 0)
		return 1;
	*ret_off = 0;
	*ret = (struct fmt_run){ .kind = f->kind == FMT_CONTENT_HOLE ? FMT_RUN_HOLE :
	    FMT_RUN_CHUNK, .len = f->size };
	return 0;
}

static void stepper_close(struct stepper *s)
{
	if (s->c != NULL)
		mount_cursor_give(s->c, MOUNT_ANY);
}

/* --- reading ahead ----------------------------------------------------------*/

/*
 * When a file is read from one end towards the other, the chunks that come are
 * read and opened by other threads.
 */
static void look_ahead(struct mount_tool *t, struct mount_file *f, uint64_t off,
    uint64_t end)
{
	uint64_t last = atomic_exchange(&f->end, end), at = atomic_load(&f->ahead);
	uint64_t to = end + t->m->readahead;
	struct stepper s;
	struct fmt_run run;
	struct err none;
	uint64_t begin;

	/* Parts asked for at once come in any order. */
	if (off > last + MOUNT_READ_MAX || last > end + MOUNT_READ_MAX)
		atomic_store(&f->streak, 0);
	else if (atomic_fetch_add(&f->streak, 1) + 1 >= SEQUENTIAL)
		goto ahead;
	return;
ahead:
	if (at < end || at > to + t->m->readahead)
		at = end;
	/* Not for each read, but when a part of what is wanted is used up. */
	if (at >= f->size || to - at < t->m->readahead / 4)
		return;
	to = to < f->size ? to : f->size;
	atomic_store(&f->ahead, to);
	if (stepper_open(&s, t, f, at, &none) < 0)
		return;
	while (at < to && stepper_next(&s, &begin, &run, &none) == 0) {
		if (run.kind == FMT_RUN_CHUNK && begin + run.len > at)
			mount_ahead_want(t->m, f->sn->domain, run.id);
		at = begin + run.len;
	}
	stepper_close(&s);
}

/* --- reading ----------------------------------------------------------------*/

/* Copy len bytes from off of a chunk, which has `whole` bytes. */
static int copy_chunk(struct mount_tool *t, const struct mount_file *f,
    const uint8_t *id, uint64_t whole, uint64_t off, size_t len, uint8_t *dst,
    struct err *err)
{
	struct mount_blob *x;
	int r = 0;

	if (mount_blob_hold(t, STORE_DATA, f->sn->domain, id, &x, err) < 0)
		return -1;
	if (x->data.len != whole || off > whole || len > whole - off)
		r = err_set(err, ERR_CORRUPT, "the catalog says that its chunk has "
		    "another length");
	else
		memcpy(dst, x->data.p + off, len);
	mount_blob_drop(t->m, STORE_DATA, x);
	return r;
}

static int read_runs(struct mount_tool *t, struct mount_file *f, uint64_t off,
    size_t len, uint8_t *dst, struct err *err)
{
	uint64_t begin, at = off, end = off + len;
	struct stepper s;
	struct fmt_run run;
	int r = 0;

	if (stepper_open(&s, t, f, off, err) < 0)
		return -1;
	while (at < end && (r = stepper_next(&s, &begin, &run, err)) == 0) {
		uint64_t in = at - begin, n;

		if (begin > at || in >= run.len)
			break;
		n = run.len - in < end - at ? run.len - in : end - at;
		if (run.kind == FMT_RUN_CHUNK)
			r = copy_chunk(t, f, run.id, run.len, in, (size_t)n, dst, err);
		else
			memset(dst, 0, (size_t)n);
		if (r < 0)
			break;
		dst += n;
		at += n;
	}
	stepper_close(&s);
	if (at < end && r >= 0)
		return err_set(err, ERR_CORRUPT, "its chunk list does not reach its end");
	return at < end ? -1 : 0;
}

ssize_t mount_file_read(struct mount_tool *t, struct mount_file *f, uint64_t off,
    size_t len, uint8_t *dst, struct err *err)
{
	int r;

	if (off >= f->size)
		return 0;
	len = len < f->size - off ? len : (size_t)(f->size - off);
	switch (f->kind) {
	case FMT_CONTENT_HOLE:
		memset(dst, 0, len);
		return (ssize_t)len;
	case FMT_CONTENT_INLINE:
		memcpy(dst, f->inline_bytes + off, len);
		return (ssize_t)len;
	case FMT_CONTENT_SLICE:
		r = copy_chunk(t, f, f->id, f->chunk_len, f->off + off, len, dst, err);
		break;
	default:
		look_ahead(t, f, off, off + len);
		r = read_runs(t, f, off, len, dst, err);
		break;
	}
	return r == 0 ? (ssize_t)len : -1;
}

int mount_file_seek(struct mount_tool *t, struct mount_file *f, uint64_t off,
    bool data, uint64_t *ret, struct err *err)
{
	struct stepper s;
	struct fmt_run run;
	uint64_t begin;
	int r;

	if (off >= f->size)
		return 1;
	if (stepper_open(&s, t, f, off, err) < 0)
		return -1;
	while ((r = stepper_next(&s, &begin, &run, err)) == 0 && begin < f->size) {
		if (begin + run.len <= off || (run.kind != FMT_RUN_HOLE) != data)
			continue;
		*ret = begin > off ? begin : off;
		stepper_close(&s);
		return 0;
	}
	stepper_close(&s);
	if (r < 0)
		return -1;
	*ret = f->size; /* behind the last byte there is a hole */
	return data ? 1 : 0;
}
