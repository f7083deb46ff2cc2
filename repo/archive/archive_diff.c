#include <string.h>

#include "repo/archive/archive_internal.h"

/*
 * Two cursors in step.  Whoever is behind moves; where both stand on pages of
 * one id, both pass them; where both stand on one key, the higher page is
 * opened, so that pages of one level meet whatever the heights of the trees.
 */

struct diff {
	struct archive_catalog *a, *b;
	int (*fn)(void *ctx, const struct archive_path *dir,
	    const struct fmt_entry *a, const struct fmt_entry *b,
	    struct err *err);
	void *ctx;
};

/* 0 on an entry, else 1 + the level of the page. */
static unsigned height(const struct archive_catalog *c)
{
	return c->cur.low;
}

/* The order of where the two stand; neither is at its end or on a root. */
static int order(const struct archive_catalog *a, const struct archive_catalog *b)
{
	bool pa = height(a) > 0, pb = height(b) > 0;
	struct archive_child ca, cb;
	struct archive_path da, db;
	int r;

	if (pa)
		ca = archive_cursor_child(&a->cur);
	else
		da = archive_catalog_dir(a);
	if (pb)
		cb = archive_cursor_child(&b->cur);
	else
		db = archive_catalog_dir(b);
	if (pa && pb)
		return archive_key_cmp(a->cur.order_key, &ca, &cb);
	if (pa)
		return archive_key_place_cmp(a->cur.order_key, &ca, &db,
		    &b->entry.name);
	if (pb)
		return -archive_key_place_cmp(a->cur.order_key, &cb, &da,
		    &a->entry.name);
	r = archive_path_cmp(&da, &db);
	return r != 0 ? r : fmt_name_cmp(&a->entry.name, &b->entry.name);
}

/* Where the cursor stands is on one side only: open the page or tell it. */
static int one_side(const struct diff *d, struct archive_catalog *c,
    struct err *err)
{
	struct archive_path dir;
	int r;

	if (height(c) > 0)
		return archive_cursor_open(&c->cur, err);
	dir = archive_catalog_dir(c);
	r = d->fn(d->ctx, &dir, c == d->a ? &c->entry : NULL,
	    c == d->b ? &c->entry : NULL, err);
	if (r != 0)
		return r;
	return archive_cursor_skip(&c->cur, err) < 0 ? -1 : 0;
}

static int skip_both(const struct diff *d, struct err *err)
{
	if (archive_cursor_skip(&d->a->cur, err) < 0 ||
	    archive_cursor_skip(&d->b->cur, err) < 0)
		return -1;
	return 0;
}

static int open_higher(const struct diff *d, struct err *err)
{
	unsigned ha = height(d->a), hb = height(d->b);

	if (ha >= hb && archive_cursor_open(&d->a->cur, err) < 0)
		return -1;
	if (hb >= ha && archive_cursor_open(&d->b->cur, err) < 0)
		return -1;
	return 0;
}

/* Both stand on one key. */
static int same_key(const struct diff *d, struct err *err)
{
	const struct fmt_entry *a = &d->a->entry, *b = &d->b->entry;

	if (height(d->a) > 0 || height(d->b) > 0)
		return open_higher(d, err);
	if (a->raw_len != b->raw_len || memcmp(a->raw, b->raw, a->raw_len) != 0) {
		struct archive_path dir = archive_catalog_dir(d->a);
		int r = d->fn(d->ctx, &dir, a, b, err);

		if (r != 0)
			return r;
	}
	return skip_both(d, err);
}

static bool at_root(const struct archive_catalog *c)
{
	return c->cur.low > c->cur.root.level;
}

static int step(const struct diff *d, struct err *err)
{
	struct archive_cursor *ca = &d->a->cur, *cb = &d->b->cur;
	int r;

	if (ca->end)
		return one_side(d, d->b, err);
	if (cb->end)
		return one_side(d, d->a, err);
	if (height(d->a) > 0 && height(d->a) == height(d->b) &&
	    memcmp(archive_cursor_child(ca).id, archive_cursor_child(cb).id,
	    32) == 0)
		return skip_both(d, err);
	/* A root's key is not known before it is open. */
	if (at_root(d->a) || at_root(d->b))
		return open_higher(d, err);
	r = order(d->a, d->b);
	if (r == 0)
		return same_key(d, err);
	return one_side(d, r < 0 ? d->a : d->b, err);
}

int archive_catalog_diff(const struct archive_io *io,
    const uint8_t order_key[32], const struct archive_ref *a,
    const struct archive_ref *b,
    int (*fn)(void *ctx, const struct archive_path *dir,
        const struct fmt_entry *a, const struct fmt_entry *b, struct err *err),
    void *ctx, struct err *err)
{
	struct diff d = { .fn = fn, .ctx = ctx };
	int r = -1;

	d.a = archive_catalog_open(io, order_key, a, err);
	d.b = d.a ? archive_catalog_open(io, order_key, b, err) : NULL;
	if (d.b != NULL) {
		r = 0;
		while (r == 0 && !(d.a->cur.end && d.b->cur.end))
			r = step(&d, err);
	}
	archive_catalog_close(d.a);
	archive_catalog_close(d.b);
	return r;
}
