#include <stdlib.h>
#include <string.h>

#include "agent/engine/fetch.h"
#include "agent/engine/spans.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"

#define BLOCK ((uint64_t)64 << 10)

struct spans {
	struct store *st;
	struct store_worker *w;
	struct pages *pages;
	struct fmt_content c;
	struct archive_map *map;
	struct buf chunk;
	uint64_t size, at;   /* bytes in all; those that were passed */
	const uint8_t *p;    /* the next byte; NULL: zeros */
	uint64_t left;       /* bytes from there on */
};

struct spans *spans_new(struct store *st, const char *domain, struct err *err)
{
	struct spans *s = mem_zalloc(sizeof(*s), "a reader", err);

	if (s == NULL)
		return NULL;
	s->st = st;
	s->w = store_worker_new(st, ZIP_OFF, store_info(st)->stream.max, domain, err);
	if (s->w != NULL)
		s->pages = pages_new(st, domain, err);
	if (s->pages == NULL) {
		spans_free(s);
		return NULL;
	}
	return s;
}

void spans_free(struct spans *s)
{
	if (s == NULL)
		return;
	archive_map_close(s->map);
	pages_free(s->pages);
	store_worker_free(s->w);
	buf_release(&s->chunk);
	free(s);
}

static void rewind_to(struct spans *s, const struct fmt_content *c)
{
	archive_map_close(s->map);
	s->map = NULL;
	s->c = *c;
	s->size = c->size;
	s->at = s->left = 0;
}

int spans_content(struct spans *s, const struct fmt_content *c, struct err *err)
{
	struct archive_ref root = { .level = c->level, .entries = c->entries };

	rewind_to(s, c);
	if (c->kind != FMT_CONTENT_MAP)
		return 0;
	memcpy(root.id, c->id, sizeof(root.id));
	s->map = archive_map_open(pages_io(s->pages), &root, err);
	return s->map != NULL ? 0 : -1;
}

int spans_volume(struct spans *s, const struct archive_ref *root, uint64_t size,
    struct err *err)
{
	const struct fmt_content c = { .kind = FMT_CONTENT_MAP, .size = size };

	rewind_to(s, &c);
	s->map = archive_map_open(pages_io(s->pages), root, err);
	return s->map != NULL ? 0 : -1;
}

/* --- one span after the other -------------------------------------------------*/

static int read_chunk(struct spans *s, const uint8_t *id, uint64_t off,
    uint64_t len, struct err *err)
{
	int r = store_get(s->st, s->w, STORE_DATA, id, &s->chunk, err);

	if (r < 0)
		return -1;
	if (r > 0)
		return err_set(err, ERR_CORRUPT, "the repository has lost a part of it");
	if (off > s->chunk.len || len > s->chunk.len - off)
		return err_set(err, ERR_CORRUPT, "a chunk is shorter than is said of it");
	s->p = s->chunk.p + off;
	s->left = len;
	return 0;
}

/* The next run of a list or map. */
static int next_run(struct spans *s, struct err *err)
{
	struct fmt_run run;
	uint64_t off = s->at;
	int r = s->map != NULL ? archive_map_next(s->map, &off, &run, err) :
	    fmt_run_next(&s->c.runs, &run);

	if (r < 0)
		return -1;
	if (r > 0 || off != s->at)
		return err_set(err, ERR_CORRUPT, "its chunk list does not reach its end");
	s->p = NULL;
	s->left = run.len;
	if (run.kind == FMT_RUN_CHUNK)
		return read_chunk(s, run.id, 0, run.len, err);
	return 0;
}

/* Let some bytes be at p, unless it is at its end. */
static int next_span(struct spans *s, struct err *err)
{
	const struct fmt_content *c = &s->c;
	int r = 0;

	if (s->left > 0 || s->at == s->size)
		return 0;
	if (c->kind == FMT_CONTENT_RUNS || c->kind == FMT_CONTENT_MAP) {
		r = next_run(s, err);
	} else if (c->kind == FMT_CONTENT_SLICE) {
		r = read_chunk(s, c->id, c->off, c->size, err);
	} else {
		s->p = c->kind == FMT_CONTENT_INLINE ? c->bytes : NULL;
		s->left = c->size;
	}
	if (r == 0 && s->left > s->size - s->at)
		s->left = s->size - s->at;
	return r;
}

static void pass(struct spans *s, uint64_t n)
{
	if (s->p != NULL)
		s->p += n;
	s->left -= n;
	s->at += n;
}

/* --- two of them ----------------------------------------------------------------*/

static bool equal(const uint8_t *a, const uint8_t *b, size_t n)
{
	if (a == NULL || b == NULL)
		return a == b || bytes_are_zero(a != NULL ? a : b, n);
	return memcmp(a, b, n) == 0;
}

/*
 * Go on in both to the next end of a block, or of one of the spans.  Return how
 * many bytes that are, 0 at the end of one; -1.
 */
static int64_t step(struct spans *a, struct spans *b, bool *ret_equal, struct err *err)
{
	uint64_t n;

	if (next_span(a, err) < 0 || next_span(b, err) < 0)
		return -1;
	n = a->left < b->left ? a->left : b->left;
	if (n > BLOCK - a->at % BLOCK)
		n = BLOCK - a->at % BLOCK;
	*ret_equal = equal(a->p, b->p, n);
	pass(a, n);
	pass(b, n);
	return (int64_t)n;
}

int spans_diff(struct spans *a, struct spans *b,
    int (*fn)(void *ctx, uint64_t off, uint64_t len, struct err *err),
    void *ctx, struct err *err)
{
	uint64_t from = 0, to = 0; /* what differs and was not told yet */
	int64_t n;
	bool same;
	int r = 0;

	while ((n = step(a, b, &same, err)) > 0) {
		if (same)
			continue;
		if (to != a->at - (uint64_t)n) {
			if (to > from)
				r = fn(ctx, from, to - from, err);
			if (r != 0)
				return r;
			from = a->at - (uint64_t)n;
		}
		to = a->at;
	}
	if (n < 0)
		return -1;
	if (a->size != b->size) {
		uint64_t end = a->size > b->size ? a->size : b->size;

		if (to != a->at && to > from)
			r = fn(ctx, from, to - from, err);
		if (to != a->at)
			from = a->at;
		to = end;
	}
	return r == 0 && to > from ? fn(ctx, from, to - from, err) : r;
}
