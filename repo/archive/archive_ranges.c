#include <stdlib.h>
#include <string.h>

#include "repo/archive/archive_common.h"
#include "repo/archive/archive_internal.h"

/*
 * Two byte maps side by side.  All before pos has been compared; each side
 * stands on a page that begins at pos, on a run that reaches behind it, or at
 * its end.  Pages of one id at one place are passed unread.
 */
struct sides {
	struct archive_map *m[2];
	uint64_t pos;
	uint64_t from, len;    /* a difference that may go on */
	int (*fn)(void *ctx, uint64_t off, uint64_t len, struct err *err);
	void *ctx;
};

static int flush(struct sides *s, struct err *err)
{
	int r = s->len > 0 ? s->fn(s->ctx, s->from, s->len, err) : 0;

	s->len = 0;
	return r;
}

static int differ(struct sides *s, uint64_t len, struct err *err)
{
	int r = 0;

	if (s->from + s->len != s->pos)
		r = flush(s, err);
	if (s->len == 0)
		s->from = s->pos;
	s->len += len;
	return r;
}

static unsigned height(const struct archive_map *m)
{
	return archive_map_cursor((struct archive_map *)m)->low;
}

static bool at_end(struct archive_map *m)
{
	return archive_cursor_where(archive_map_cursor(m)) == ARCHIVE_AT_END;
}

/* Pass what is compared: the run on which m stands, when pos is its end. */
static int pass(struct archive_map *m, uint64_t pos, struct err *err)
{
	const struct fmt_run *run = archive_map_current(archive_map_cursor(m));

	if (archive_map_at(m) + run->len > pos)
		return 0;
	return archive_cursor_skip(archive_map_cursor(m), err) < 0 ? -1 : 0;
}

/* Are the bytes of the two runs the same? */
static bool same_run(const struct fmt_run *a, uint64_t at_a, const struct fmt_run *b,
    uint64_t at_b)
{
	if (a->kind != FMT_RUN_CHUNK || b->kind != FMT_RUN_CHUNK)
		return a->kind != FMT_RUN_CHUNK && b->kind != FMT_RUN_CHUNK;
	return at_a == at_b && a->len == b->len &&
	    memcmp(a->id, b->id, sizeof(a->id)) == 0;
}

static int compare_runs(struct sides *s, struct err *err)
{
	const struct fmt_run *a = archive_map_current(archive_map_cursor(s->m[0]));
	const struct fmt_run *b = archive_map_current(archive_map_cursor(s->m[1]));
	uint64_t at_a = archive_map_at(s->m[0]), at_b = archive_map_at(s->m[1]);
	uint64_t end = at_a + a->len < at_b + b->len ? at_a + a->len : at_b + b->len;
	int r = 0;

	if (!same_run(a, at_a, b, at_b))
		r = differ(s, end - s->pos, err);
	s->pos = end;
	if (r == 0)
		r = pass(s->m[0], end, err);
	if (r == 0)
		r = pass(s->m[1], end, err);
	return r;
}

/* Both stand on pages, or one does: pass equal ones, or open the higher. */
static int pages(struct sides *s, struct err *err)
{
	struct archive_cursor *a = archive_map_cursor(s->m[0]);
	struct archive_cursor *b = archive_map_cursor(s->m[1]);
	unsigned ha = height(s->m[0]), hb = height(s->m[1]);

	if (ha == hb && memcmp(archive_cursor_child(a).id, archive_cursor_child(b).id,
	    32) == 0) {
		if (archive_cursor_skip(a, err) < 0 || archive_cursor_skip(b, err) < 0)
			return -1;
		/* Where the next page begins; after the last it does not matter. */
		if (archive_cursor_where(a) == ARCHIVE_AT_PAGE)
			s->pos = archive_map_page_begin(s->m[0]);
		else if (archive_cursor_where(b) == ARCHIVE_AT_PAGE)
			s->pos = archive_map_page_begin(s->m[1]);
		return 0;
	}
	if (ha >= hb && archive_cursor_open(a, err) < 0)
		return -1;
	return hb >= ha ? archive_cursor_open(b, err) < 0 ? -1 : 0 : 0;
}

/* One map has ended: what the other one has more is different. */
static int rest(struct sides *s, struct archive_map *m, struct err *err)
{
	const struct fmt_run *run;
	uint64_t end;

	if (height(m) > 0)
		return archive_cursor_open(archive_map_cursor(m), err) < 0 ? -1 : 0;
	run = archive_map_current(archive_map_cursor(m));
	end = archive_map_at(m) + run->len;
	if (differ(s, end - s->pos, err) != 0)
		return -1;
	s->pos = end;
	return pass(m, end, err);
}

static int step(struct sides *s, struct err *err)
{
	if (at_end(s->m[0]))
		return rest(s, s->m[1], err);
	if (at_end(s->m[1]))
		return rest(s, s->m[0], err);
	if (height(s->m[0]) > 0 || height(s->m[1]) > 0)
		return pages(s, err);
	return compare_runs(s, err);
}

int archive_map_diff(const struct archive_io *io, const struct archive_ref *a,
    const struct archive_ref *b,
    int (*fn)(void *ctx, uint64_t off, uint64_t len, struct err *err),
    void *ctx, struct err *err)
{
	struct sides s = { .fn = fn, .ctx = ctx };
	int r = -1;

	s.m[0] = archive_map_open(io, a, err);
	s.m[1] = s.m[0] != NULL ? archive_map_open(io, b, err) : NULL;
	if (s.m[1] != NULL) {
		r = 0;
		while (r == 0 && !(at_end(s.m[0]) && at_end(s.m[1])))
			r = step(&s, err);
		if (r == 0)
			r = flush(&s, err);
	}
	archive_map_close(s.m[0]);
	archive_map_close(s.m[1]);
	return r;
}
