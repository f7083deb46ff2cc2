#include <stdlib.h>
#include <string.h>

#include "agent/engine/across.h"
#include "agent/engine/fetch.h"
#include "agent/engine/spans.h"
#include "repo/base/mem.h"
#include "repo/format/fmt_entry.h"

/* What is sorted at once: half for encodings, half for what stands beside them. */
#ifndef ACROSS_BYTES
#define ACROSS_BYTES ((size_t)16 << 20)
#endif
#define ACROSS_ENTRIES (ACROSS_BYTES / 2 / sizeof(struct name))

/* So far a cursor goes entry by entry before it looks for its place anew. */
#define NEAR 64

struct side {
	const struct store_snapshot *sn;
	const uint8_t *order;
	struct pages *pages;
	struct archive_catalog *c;
	struct archive_lookup_path top;
	struct spans *spans;
};

/* An entry of one side, with the place of its name in the other side's order. */
struct name {
	uint64_t h;
	struct fmt_entry e;   /* its pointers lead into text */
	size_t at;            /* of its encoding in text */
};

struct across {
	struct side side[2];
	struct side *from, *to;  /* entries of `from` are looked for in `to` */
	bool added;              /* told is only what `to` has not */
	struct name *v;
	size_t n;
	struct buf text;         /* encodings of v */
	struct archive_path dir; /* of all in v, in from's order; names in dirtext */
	struct archive_comp *comps, *to_comps;
	size_t cap;
	struct buf dirtext;
	int (*fn)(void *ctx, const struct archive_path *dir,
	    const struct fmt_entry *a, const struct fmt_entry *b, struct err *err);
	void *ctx;
};

/* --- the sides --------------------------------------------------------------------*/

static int side_open(struct side *s, struct store *st, const struct store_snapshot *sn,
    const char *path, struct err *err)
{
	struct archive_ref root = { .level = sn->catalog.level,
	    .entries = sn->catalog.entries };

	memcpy(root.id, sn->catalog.id, sizeof(root.id));
	s->sn = sn;
	s->order = store_snapshot_order(st, sn, err);
	if (s->order == NULL ||
	    archive_path_parse(s->order, path, strlen(path), &s->top, err) < 0)
		return -1;
	s->pages = pages_new(st, sn->domain, err);
	if (s->pages != NULL)
		s->spans = spans_new(st, sn->domain, err);
	if (s->spans != NULL)
		s->c = archive_catalog_open(pages_io(s->pages), s->order, &root, err);
	return s->c != NULL ? 0 : -1;
}

static void side_close(struct side *s)
{
	archive_catalog_close(s->c);
	archive_path_release(&s->top);
	spans_free(s->spans);
	pages_free(s->pages);
}

/* --- two entries of one name --------------------------------------------------------*/

static int at_difference(void *ctx, uint64_t off, uint64_t len, struct err *err)
{
	(void)ctx, (void)off, (void)len, (void)err;
	return 1;
}

/* Are the bytes of two files the same?  1: yes, 0: no, -1. */
static int same_bytes(struct across *x, const struct fmt_entry *a,
    const struct fmt_entry *b, struct err *err)
{
	int r;

	if (a->type != FMT_FILE || b->type != FMT_FILE ||
	    !(a->bits & b->bits & FMT_HAS_CONTENT) || a->content.size != b->content.size)
		return 0;
	if (a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns)
		return 1;
	if (spans_content(x->side[0].spans, &a->content, err) < 0 ||
	    spans_content(x->side[1].spans, &b->content, err) < 0)
		return -1;
	r = spans_diff(x->side[0].spans, x->side[1].spans, at_difference, NULL, err);
	return r < 0 ? -1 : r == 0;
}

static int both(struct across *x, const struct archive_path *dir,
    const struct fmt_entry *a, const struct fmt_entry *b, struct err *err)
{
	struct buf ea = BUF_INIT, eb = BUF_INIT;
	struct fmt_entry e = *b;
	int r = same_bytes(x, a, b, err);
	bool same;

	if (r < 0)
		return err_wrap(err, "%.*s", (int)a->name.len, a->name.name);
	if (r > 0)
		e.content = a->content;
	same = fmt_entry_encode(&ea, a, err) == 0 && fmt_entry_encode(&eb, &e, err) == 0 &&
	    ea.len == eb.len && memcmp(ea.p, eb.p, ea.len) == 0;
	r = ea.failed || eb.failed ? err_nomem(err, "an entry") : 0;
	buf_release(&ea);
	buf_release(&eb);
	if (r < 0 || same)
		return r;
	return x->fn(x->ctx, dir, a, &e, err);
}

/* --- a part of a directory ------------------------------------------------------------*/

/* A pointer into what begins at `from`, where that begins at `to`. */
static const void *moved(const void *p, const uint8_t *from, size_t len, const uint8_t *to)
{
	const uint8_t *at = p;

	return at == NULL || at < from || at > from + len ? p : to + (at - from);
}

static void entry_move(struct fmt_entry *e, const uint8_t *to)
{
	const uint8_t *from = e->raw;
	size_t n = e->raw_len;

	e->name.name = moved(e->name.name, from, n, to);
	e->xattrs.p = moved(e->xattrs.p, from, n, to);
	e->target.p = moved(e->target.p, from, n, to);
	e->content.bytes = moved(e->content.bytes, from, n, to);
	e->content.id = moved(e->content.id, from, n, to);
	e->content.runs.p = moved(e->content.runs.p, from, n, to);
	e->raw = to;
}

static int by_place(const void *pa, const void *pb)
{
	const struct name *a = pa, *b = pb;

	return fmt_name_cmp(&a->e.name, &b->e.name);
}

/* Keep the directory's path, with the hashes of both sides. */
static int keep_dir(struct across *x, const struct archive_path *dir, struct err *err)
{
	size_t at = 0;

	if (dir->n > x->cap) {
		struct archive_comp *c = reallocarray(x->comps, dir->n, sizeof(*c));

		if (c != NULL)
			x->comps = c;
		c = c == NULL ? NULL : reallocarray(x->to_comps, dir->n, sizeof(*c));
		if (c == NULL)
			return err_nomem(err, "a path");
		x->to_comps = c;
		x->cap = dir->n;
	}
	buf_reset(&x->dirtext);
	for (size_t i = 0; i < dir->n; i++)
		buf_add(&x->dirtext, dir->c[i].name, dir->c[i].len);
	if (buf_check(&x->dirtext, "a path", err) < 0)
		return -1;
	for (size_t i = 0; i < dir->n; i++) {
		x->comps[i] = dir->c[i];
		x->comps[i].name = (const char *)x->dirtext.p + at;
		x->to_comps[i] = x->comps[i];
		x->to_comps[i].h = fmt_name_hash(x->to->order, x->comps[i].name,
		    x->comps[i].len);
		at += dir->c[i].len;
	}
	x->dir = (struct archive_path){ x->comps, dir->n };
	return 0;
}

static int keep(struct across *x, const struct fmt_entry *e, struct err *err)
{
	struct name *n = &x->v[x->n];

	*n = (struct name){ .e = *e, .at = x->text.len };
	buf_add(&x->text, e->raw, e->raw_len);
	x->n++;
	return buf_check(&x->text, "the names of a directory", err);
}

/*
 * Step on in `to` until the entry is not less than the one that is looked for.
 * Return 0 when it is that; 1 when there is none; -1.  *have: *dir and *e are
 * where it stands.
 */
static int look_up(struct across *x, const struct archive_path *dir,
    const struct name *n, bool *have, struct archive_path *at, struct fmt_entry *e,
    struct err *err)
{
	struct archive_catalog *c = x->to->c;
	int r = 0, d = -1;

	for (unsigned i = 0; *have && i <= NEAR; i++) {
		d = archive_path_cmp(at, dir);
		if (d == 0)
			d = archive_name_cmp(&e->name, &n->e.name);
		if (d >= 0)
			return d > 0;
		if (i < NEAR)
			r = archive_catalog_next(c, at, e, err);
		if (r != 0)
			*have = false;
		if (r != 0)
			return r;
	}
	if (archive_catalog_seek(c, dir, &n->e.name, err) < 0)
		return -1;
	r = archive_catalog_next(c, at, e, err);
	*have = r == 0;
	if (r != 0)
		return r;
	d = archive_path_cmp(at, dir);
	if (d == 0)
		d = archive_name_cmp(&e->name, &n->e.name);
	return d != 0;
}

static int tell(struct across *x, const struct name *n, const struct fmt_entry *other,
    struct err *err)
{
	if (x->added)
		return other != NULL ? 0 : x->fn(x->ctx, &x->dir, NULL, &n->e, err);
	if (other == NULL)
		return x->fn(x->ctx, &x->dir, &n->e, NULL, err);
	return both(x, &x->dir, &n->e, other, err);
}

/* Look for all that was kept in the other snapshot, and forget it. */
static int flush(struct across *x, struct err *err)
{
	struct archive_path dir = { x->to_comps, x->dir.n }, at;
	struct fmt_entry e;
	bool have = false;
	int r = 0;

	for (size_t i = 0; i < x->n; i++) {
		struct name *n = &x->v[i];

		entry_move(&n->e, x->text.p + n->at);
		n->h = n->e.name.h;
		n->e.name.h = fmt_name_hash(x->to->order, n->e.name.name, n->e.name.len);
	}
	if (x->n > 1)
		qsort(x->v, x->n, sizeof(*x->v), by_place);
	for (size_t i = 0; i < x->n && r == 0; i++) {
		r = look_up(x, &dir, &x->v[i], &have, &at, &e, err);
		if (r < 0)
			break;
		x->v[i].e.name.h = x->v[i].h;
		r = tell(x, &x->v[i], r == 0 ? &e : NULL, err);
	}
	x->n = 0;
	buf_reset(&x->text);
	return r;
}

/* --- all of one side ---------------------------------------------------------------------*/

static int take(struct across *x, const struct archive_path *dir,
    const struct fmt_entry *e, struct err *err)
{
	int r = 0;

	if (x->n > 0 && (archive_path_cmp(dir, &x->dir) != 0 ||
	    x->n == ACROSS_ENTRIES || x->text.len + e->raw_len > ACROSS_BYTES / 2))
		r = flush(x, err);
	if (r == 0 && x->n == 0)
		r = keep_dir(x, dir, err);
	return r == 0 ? keep(x, e, err) : r;
}

/* Is dir equal to top, or below it? */
static bool within(const struct archive_path *dir, const struct archive_lookup_path *top)
{
	bool in = dir->n >= top->n;

	for (size_t i = top->n; in && i-- > 0;)
		in = archive_name_cmp(&dir->c[i], &top->c[i]) == 0;
	return in;
}

/* The entry that the path names, when it names one. */
static int take_top(struct across *x, struct err *err)
{
	const struct archive_lookup_path *top = &x->from->top;
	struct archive_path parent = { top->c, top->n - 1 }, dir;
	struct fmt_entry e;
	int r = archive_catalog_seek(x->from->c, &parent, &top->c[top->n - 1], err);

	if (r == 0)
		r = archive_catalog_next(x->from->c, &dir, &e, err);
	if (r != 0)
		return r < 0 ? -1 : 0;
	return archive_path_cmp(&dir, &parent) == 0 &&
	    archive_name_cmp(&e.name, &top->c[top->n - 1]) == 0 ?
	    take(x, &dir, &e, err) : 0;
}

/* Look for each entry of one side in the other. */
static int pass(struct across *x, unsigned from, struct err *err)
{
	struct archive_path top, dir;
	struct fmt_entry e;
	int r = 0;

	x->from = &x->side[from];
	x->to = &x->side[!from];
	x->added = from == 1;
	top = (struct archive_path){ x->from->top.c, x->from->top.n };
	if (top.n > 0)
		r = take_top(x, err);
	if (r == 0)
		r = archive_catalog_seek(x->from->c, &top, NULL, err);
	while (r == 0) {
		int end = archive_catalog_next(x->from->c, &dir, &e, err);

		if (end < 0)
			return -1;
		if (end > 0 || !within(&dir, &x->from->top))
			break;
		r = take(x, &dir, &e, err);
	}
	return r == 0 ? flush(x, err) : r;
}

int across_diff(struct store *st, const struct store_snapshot *a,
    const struct store_snapshot *b, const char *path,
    int (*fn)(void *ctx, const struct archive_path *dir,
        const struct fmt_entry *a, const struct fmt_entry *b, struct err *err),
    void *ctx, struct err *err)
{
	struct across x = { .fn = fn, .ctx = ctx };
	int r = -1;

	x.v = mem_array(ACROSS_ENTRIES, sizeof(*x.v), "the names of a directory", err);
	if (x.v != NULL && side_open(&x.side[0], st, a, path, err) == 0 &&
	    side_open(&x.side[1], st, b, path, err) == 0)
		r = pass(&x, 0, err);
	if (r == 0)
		r = pass(&x, 1, err);
	side_close(&x.side[0]);
	side_close(&x.side[1]);
	buf_release(&x.text);
	buf_release(&x.dirtext);
	free(x.comps);
	free(x.to_comps);
	free(x.v);
	return r;
}
