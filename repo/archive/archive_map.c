#include <stdlib.h>

#include "repo/archive/archive_internal.h"
#include "repo/base/mem.h"

/* --- writing ------------------------------------------------------------------*/

struct archive_map_writer {
	struct archive_tree tree;
	uint64_t off;  /* where the next run begins */
	struct buf enc;
	bool failed;
};

struct archive_map_writer *archive_map_begin(const struct archive_io *io,
    const uint8_t order_key[32], struct err *err)
{
	struct archive_map_writer *w = mem_zalloc(sizeof(*w), "a byte map", err);

	if (w != NULL)
		archive_tree_init(&w->tree, io, ARCHIVE_STATE, FMT_PAGE_MAP,
		    order_key);
	return w;
}

void archive_map_free(struct archive_map_writer *w)
{
	if (w == NULL)
		return;
	archive_tree_release(&w->tree);
	buf_release(&w->enc);
	free(w);
}

static int usable(const struct archive_map_writer *w, struct err *err)
{
	return w->failed ? err_set(err, ERR_BUG,
	    "a byte map is written on after a failure") : 0;
}

int archive_map_add(struct archive_map_writer *w, const struct fmt_run *run,
    struct err *err)
{
	struct archive_place at = { .off = w->off };

	if (usable(w, err) < 0)
		return -1;
	if (run->len == 0 || run->len > UINT64_MAX - w->off)
		return err_set(err, ERR_BUG, "a run of %llu bytes at %llu",
		    (unsigned long long)run->len, (unsigned long long)w->off);
	buf_reset(&w->enc);
	if (fmt_map_encode(&w->enc, w->off, run, err) < 0 ||
	    archive_tree_room(&w->tree, &at, NULL, w->enc.len, err) < 0 ||
	    archive_tree_put(&w->tree, &at, NULL, w->enc.p, w->enc.len,
	    err) < 0) {
		w->failed = true;
		return -1;
	}
	w->off += run->len;
	return 0;
}

uint64_t archive_map_tell(const struct archive_map_writer *w)
{
	return w->off;
}

int archive_map_finish(struct archive_map_writer *w,
    struct archive_ref *ret_root, struct err *err)
{
	if (usable(w, err) < 0)
		return -1;
	w->failed = true;
	return archive_tree_root(&w->tree, ret_root, err);
}

/* --- reading --------------------------------------------------------------------*/

struct archive_map {
	struct archive_cursor cur; /* first: the steps get it */
	uint64_t off;              /* of the current run */
	struct fmt_run run;
};

static uint64_t key_off(const struct archive_child *child)
{
	struct rd r = rd_init(child->key, child->keylen);

	return rd_var(&r); /* the root has no key and begins at 0 */
}

static int key_cmp(const struct archive_cursor *c, const struct archive_child *a,
    const struct archive_child *b)
{
	uint64_t oa = key_off(a), ob = key_off(b);

	(void)c;
	return (oa > ob) - (oa < ob);
}

static int step(struct archive_cursor *c, struct err *err)
{
	struct archive_map *m = (struct archive_map *)c;
	int r = fmt_map_next(&c->reader, &m->off, &m->run, err);

	if (r == 0 && m->run.len > UINT64_MAX - m->off)
		return err_set(err, ERR_CORRUPT, "a run goes past 2^64 bytes");
	return r;
}

static int place(struct archive_cursor *c, struct archive_place *ret,
    struct err *err)
{
	const struct archive_map *m = (const struct archive_map *)c;

	(void)err;
	*ret = (struct archive_place){ .off = m->off };
	return 0;
}

static bool first(const struct archive_cursor *c)
{
	return ((const struct archive_map *)c)->off == 0;
}

/* Between leaves there is no gap either. */
static int last(const struct archive_cursor *c, const struct archive_child *next,
    struct err *err)
{
	const struct archive_map *m = (const struct archive_map *)c;

	if (m->off + m->run.len == key_off(next))
		return 0;
	return err_set(err, ERR_CORRUPT, "it ends where the next page does not "
	    "begin");
}

static const struct archive_cursor_ops ops = {
	.name = "byte map",
	.kind = ARCHIVE_STATE,
	.type = FMT_PAGE_MAP,
	.key_cmp = key_cmp,
	.step = step,
	.place = place,
	.first = first,
	.last = last,
};

struct archive_map *archive_map_open(const struct archive_io *io,
    const struct archive_ref *root, struct err *err)
{
	struct archive_map *m = mem_zalloc(sizeof(*m), "a byte map", err);

	if (m == NULL)
		return NULL;
	if (archive_cursor_init(&m->cur, io, &ops, NULL, root, err) < 0) {
		archive_map_close(m);
		return NULL;
	}
	return m;
}

void archive_map_close(struct archive_map *m)
{
	if (m == NULL)
		return;
	archive_cursor_release(&m->cur);
	free(m);
}

struct archive_cursor *archive_map_cursor(struct archive_map *m)
{
	return &m->cur;
}

const struct fmt_run *archive_map_current(const struct archive_cursor *c)
{
	return &((const struct archive_map *)c)->run;
}

uint64_t archive_map_at(const struct archive_map *m)
{
	return m->off;
}

uint64_t archive_map_page_begin(const struct archive_map *m)
{
	struct archive_child page = archive_cursor_child(&m->cur);

	return page.key != NULL ? key_off(&page) : 0;
}

int archive_map_next(struct archive_map *m, uint64_t *ret_off,
    struct fmt_run *ret_run, struct err *err)
{
	int r = archive_cursor_next(&m->cur, err);

	if (r == 0) {
		*ret_off = m->off;
		*ret_run = m->run;
	}
	return r;
}

int archive_map_skip_damage(struct archive_map *m, struct err *err)
{
	return archive_cursor_skip_damage(&m->cur, err);
}

static int cmp_off(void *arg, const struct archive_child *child)
{
	uint64_t a = key_off(child), b = *(const uint64_t *)arg;

	return (a > b) - (a < b);
}

int archive_map_seek(struct archive_map *m, uint64_t off, struct err *err)
{
	if (archive_cursor_seek(&m->cur, cmp_off, &off, err) < 0)
		return -1;
	while (archive_cursor_where(&m->cur) == ARCHIVE_AT_ENTRY &&
	    off - m->off >= m->run.len && off >= m->off) {
		if (archive_cursor_skip(&m->cur, err) < 0)
			return -1;
	}
	return 0;
}

/* --- carrying over -----------------------------------------------------------------*/

/*
 * Carry the highest page that begins where c stands, no lower than `level`,
 * if one may be.  1: none may.
 *
 * A page at the right edge of its tree ended because nothing followed, not by
 * its key: it is never carried, so that the result is the tree that the same
 * runs would make when written one by one.  (Runs are short: no page of a
 * byte map ends by its length.)
 */
static int carry_one(struct archive_map_writer *w, struct archive_map *m,
    unsigned level, uint64_t end, struct err *err)
{
	struct archive_cursor *c = &m->cur;
	unsigned high = level;

	while (high < c->root.level && c->node[high + 1].i == 0)
		high++;
	for (unsigned k = high + 1; k-- > level;) {
		struct archive_child page = archive_cursor_at(c, k), next;
		struct archive_place at = { .off = w->off };

		if (!archive_cursor_bound(c, k, &next) ||
		    key_off(&next) > end || !archive_tree_empty_to(&w->tree, k))
			continue;
		if (archive_tree_carry_page(&w->tree, k, &at, page.below,
		    page.id, err) < 0) {
			w->failed = true;
			return -1;
		}
		w->off = key_off(&next);
		c->low = k + 1;
		return archive_cursor_skip(c, err) < 0 ? -1 : 0;
	}
	return 1;
}

int archive_map_carry(struct archive_map_writer *w, struct archive_map *m,
    uint64_t end, uint64_t *ret_end, struct err *err)
{
	struct archive_cursor *c = &m->cur;
	struct archive_child page;
	int r = usable(w, err);

	*ret_end = w->off;
	while (r == 0) {
		switch (archive_cursor_where(c)) {
		case ARCHIVE_AT_END:
			return 0;
		case ARCHIVE_AT_ENTRY:
			if (c->given) {
				r = archive_cursor_skip(c, err) < 0 ? -1 : 0;
				continue;
			}
			if (m->off != w->off)
				goto apart;
			r = c->node[0].i == 0 ? carry_one(w, m, 0, end, err) : 1;
			break;
		case ARCHIVE_AT_PAGE:
			page = archive_cursor_child(c);
			if (key_off(&page) != w->off)
				goto apart;
			if (!archive_tree_empty_to(&w->tree, 0))
				return 0;
			r = carry_one(w, m, page.level, end, err);
			if (r == 1 && page.level > 0)
				r = archive_cursor_open(c, err);
			break;
		}
		*ret_end = w->off;
	}
	return r < 0 ? -1 : 0;
apart:
	return err_set(err, ERR_BUG, "carrying from %llu to %llu of a byte map",
	    (unsigned long long)m->off, (unsigned long long)w->off);
}
