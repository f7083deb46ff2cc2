#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/copy_sort.h"
#include "agent/engine/spill.h"
#include "repo/base/buf.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"

/*
 * Records are collected in memory; what does not fit is sorted and written to
 * an unnamed file as a run; runs are merged, a few at a time.
 */

#define RUNS_MAX 64u
#define READ_STEP ((size_t)64 << 10)
#define HEAD 8u              /* lengths of key and record, u32 each */

struct run { uint64_t off, end; };

struct copy_sort {
	size_t memory;
	struct buf data, offs;   /* records; where each begins, u64 */
	int fd;                  /* -1: none yet */
	uint64_t end;            /* of the file */
	struct run run[RUNS_MAX];
	unsigned nruns;
	struct buf out;          /* of a run that is being written */
	uint64_t out_off;
};

/* One run while it is merged. */
struct reader {
	uint64_t off, end;
	struct buf b;
	size_t at;
	bool over;
};

struct copy_sort *copy_sort_new(size_t memory, struct err *err)
{
	struct copy_sort *s = mem_zalloc(sizeof(*s), "sorting", err);

	if (s == NULL)
		return NULL;
	s->memory = memory;
	s->fd = -1;
	return s;
}

void copy_sort_free(struct copy_sort *s)
{
	if (s == NULL)
		return;
	buf_release(&s->data);
	buf_release(&s->offs);
	buf_release(&s->out);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

/* --- a record: its lengths, its key, itself ---------------------------------------*/

static size_t rec_len(const uint8_t *p)
{
	return HEAD + (size_t)le32_get(p) + le32_get(p + 4);
}

static int rec_cmp(const uint8_t *a, const uint8_t *b)
{
	size_t la = le32_get(a), lb = le32_get(b);
	int r = memcmp(a + HEAD, b + HEAD, la < lb ? la : lb);

	return r != 0 ? r : la < lb ? -1 : la > lb;
}

static int rec_tell(const uint8_t *p, copy_sort_fn *fn, void *ctx,
    struct err *err)
{
	size_t keylen = le32_get(p);

	return fn(ctx, p + HEAD, keylen, p + HEAD + keylen, le32_get(p + 4), err);
}

static int off_cmp(const void *pa, const void *pb, void *ctx)
{
	const uint8_t *base = ctx;

	return rec_cmp(base + le64_get(pa), base + le64_get(pb));
}

static void sort_memory(struct copy_sort *s)
{
	if (s->offs.len > 8)
		qsort_r(s->offs.p, s->offs.len / 8, 8, off_cmp, s->data.p);
}

/* --- writing runs --------------------------------------------------------------------*/

static int out_flush(struct copy_sort *s, struct err *err)
{
	if (buf_check(&s->out, "sorting", err) < 0 ||
	    spill_write(s->fd, s->out.p, s->out.len, s->end, err) < 0)
		return -1;
	s->end += s->out.len;
	buf_reset(&s->out);
	return 0;
}

static int out_add(struct copy_sort *s, const uint8_t *rec, struct err *err)
{
	buf_add(&s->out, rec, rec_len(rec));
	return s->out.len >= READ_STEP ? out_flush(s, err) : 0;
}

static int run_begin(struct copy_sort *s, struct err *err)
{
	if (s->fd < 0)
		s->fd = spill_open(err);
	s->out_off = s->end;
	return s->fd < 0 ? -1 : 0;
}

static int run_end(struct copy_sort *s, struct err *err)
{
	if (out_flush(s, err) < 0)
		return -1;
	s->run[s->nruns++] = (struct run){ s->out_off, s->end };
	return 0;
}

/* --- merging ---------------------------------------------------------------------------*/

/* Have the next record whole in memory. */
static int reader_fill(struct copy_sort *s, struct reader *r, struct err *err)
{
	for (;;) {
		size_t have = r->b.len - r->at, want = HEAD;

		if (have >= HEAD)
			want = rec_len(r->b.p + r->at);
		if (have >= want && have > 0)
			return 0;
		if (have == 0 && r->off == r->end) {
			r->over = true;
			return 0;
		}

		size_t step = want - have > READ_STEP ? want - have : READ_STEP;

		if (step > r->end - r->off)
			step = (size_t)(r->end - r->off);
		if (step == 0)
			return err_set(err, ERR_BUG, "a run ends early");
		if (r->at > 0)
			memmove(r->b.p, r->b.p + r->at, have);
		r->b.len = have;
		r->at = 0;
		if (buf_reserve(&r->b, step) < 0)
			return err_nomem(err, "sorting");
		if (spill_read(s->fd, r->b.p + have, step, r->off, err) < 0)
			return -1;
		r->b.len += step;
		r->off += step;
	}
}

static struct reader *least(struct reader *v, unsigned n)
{
	struct reader *best = NULL;

	for (unsigned i = 0; i < n; i++)
		if (!v[i].over && (best == NULL || rec_cmp(v[i].b.p + v[i].at,
		        best->b.p + best->at) < 0))
			best = &v[i];
	return best;
}

/* Tell what all runs hold, in order; to a new run when fn is NULL. */
static int merge(struct copy_sort *s, copy_sort_fn *fn, void *ctx,
    struct err *err)
{
	struct reader *v = mem_array(RUNS_MAX, sizeof(*v), "sorting", err);
	struct reader *at;
	int r = v == NULL ? -1 : 0;

	for (unsigned i = 0; i < s->nruns && r == 0; i++) {
		v[i].off = s->run[i].off;
		v[i].end = s->run[i].end;
		r = reader_fill(s, &v[i], err);
	}
	while (r == 0 && (at = least(v, s->nruns)) != NULL) {
		const uint8_t *rec = at->b.p + at->at;

		r = fn == NULL ? out_add(s, rec, err) :
		    rec_tell(rec, fn, ctx, err);
		if (r == 0) {
			at->at += rec_len(rec);
			r = reader_fill(s, at, err);
		}
	}
	for (unsigned i = 0; v != NULL && i < s->nruns; i++)
		buf_release(&v[i].b);
	free(v);
	return r;
}

/* Make one run of all. */
static int merge_runs(struct copy_sort *s, struct err *err)
{
	if (run_begin(s, err) < 0 || merge(s, NULL, NULL, err) < 0)
		return -1;
	s->nruns = 0;
	return run_end(s, err);
}

static int spill(struct copy_sort *s, struct err *err)
{
	if (s->nruns == RUNS_MAX && merge_runs(s, err) < 0)
		return -1;
	sort_memory(s);
	if (run_begin(s, err) < 0)
		return -1;
	for (size_t i = 0; i < s->offs.len; i += 8)
		if (out_add(s, s->data.p + le64_get(s->offs.p + i), err) < 0)
			return -1;
	buf_reset(&s->data);
	buf_reset(&s->offs);
	return run_end(s, err);
}

/* --- the door -----------------------------------------------------------------------------*/

int copy_sort_add(struct copy_sort *s, const void *key, size_t keylen,
    const void *rec, size_t len, struct err *err)
{
	size_t more = HEAD + keylen + len;

	if (keylen > UINT32_MAX || len > UINT32_MAX)
		return err_set(err, ERR_USAGE, "a record of %zu bytes", len);
	if (s->offs.len > 0 && s->data.len + s->offs.len + more > s->memory &&
	    spill(s, err) < 0)
		return -1;
	buf_u64(&s->offs, s->data.len);
	buf_u32(&s->data, (uint32_t)keylen);
	buf_u32(&s->data, (uint32_t)len);
	buf_add(&s->data, key, keylen);
	buf_add(&s->data, rec, len);
	if (buf_check(&s->data, "sorting", err) < 0)
		return -1;
	return buf_check(&s->offs, "sorting", err);
}

int copy_sort_each(struct copy_sort *s, copy_sort_fn *fn, void *ctx,
    struct err *err)
{
	int r = 0;

	if (s->nruns > 0) {
		if (s->offs.len > 0 && spill(s, err) < 0)
			return -1;
		return merge(s, fn, ctx, err);
	}
	sort_memory(s);
	for (size_t i = 0; i < s->offs.len && r == 0; i += 8)
		r = rec_tell(s->data.p + le64_get(s->offs.p + i), fn, ctx, err);
	return r;
}
