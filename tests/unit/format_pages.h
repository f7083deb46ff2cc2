#ifndef TESTS_UNIT_FORMAT_PAGES_H
#define TESTS_UNIT_FORMAT_PAGES_H

/* Walks through a page and makes it again, for unit tests and fuzz programs. */

#include <stdlib.h>
#include <string.h>

#include "repo/format/fmt_page.h"

struct page_walk {
	struct fmt_page_reader r;
	struct fmt_page_writer w;
	struct buf enc;
	uint64_t seen;
};

static inline void page_walk_init(struct page_walk *x)
{
	fmt_page_reader_init(&x->r);
	fmt_page_writer_init(&x->w);
	buf_init(&x->enc);
	x->seen = 0;
}

static inline void page_walk_release(struct page_walk *x)
{
	fmt_page_reader_release(&x->r);
	fmt_page_writer_release(&x->w);
	buf_release(&x->enc);
}

/* The xattrs, runs of an entry one by one, as a list again. */
static inline void entry_lists_again(struct fmt_entry *e,
    struct fmt_list_buf *xattrs, struct fmt_list_buf *runs)
{
	struct fmt_str name, value;
	struct fmt_run run;

	while (fmt_xattr_next(&e->xattrs, &name, &value) == 0)
		fmt_list_add_xattr(xattrs, name, value);
	while (fmt_run_next(&e->content.runs, &run) == 0)
		fmt_list_add_run(runs, &run);
	e->xattrs = fmt_list_of(xattrs);
	e->content.runs = fmt_list_of(runs);
}

static inline int catalog_again(struct page_walk *x, struct err *err)
{
	struct fmt_list_buf xattrs = FMT_LIST_BUF_INIT, runs = FMT_LIST_BUF_INIT;
	struct fmt_entry e;
	int rc;

	while ((rc = fmt_catalog_next(&x->r, &e, err)) == 0) {
		x->seen++;
		buf_reset(&x->enc);
		buf_reset(&xattrs.b);
		buf_reset(&runs.b);
		xattrs.n = runs.n = 0;
		entry_lists_again(&e, &xattrs, &runs);
		if (fmt_entry_encode(&x->enc, &e, err) < 0 ||
		    x->enc.len != e.raw_len ||
		    memcmp(x->enc.p, e.raw, e.raw_len) != 0 ||
		    fmt_page_add(&x->w, x->r.dir, x->r.ndir, NULL, x->enc.p,
		    x->enc.len, err) < 0) {
			rc = -2; /* accepted, but not made again */
			break;
		}
	}
	fmt_list_release(&xattrs);
	fmt_list_release(&runs);
	return rc;
}

static inline int state_again(struct page_walk *x, struct err *err)
{
	struct fmt_comp *dir = NULL;
	struct fmt_state_entry e;
	int rc;

	while ((rc = fmt_state_next(&x->r, &e, err)) == 0) {
		x->seen++;
		buf_reset(&x->enc);
		free(dir);
		dir = calloc(x->r.ndir + 1, sizeof(*dir));
		for (size_t i = 0; dir != NULL && i < x->r.ndir; i++)
			dir[i].h = x->r.hdir[i];
		if (dir == NULL ||
		    fmt_state_entry_encode(&x->enc, &e, err) < 0 ||
		    fmt_page_add(&x->w, dir, x->r.ndir, x->r.mark, x->enc.p,
		    x->enc.len, err) < 0) {
			rc = -2;
			break;
		}
	}
	free(dir);
	return rc;
}

static inline int map_again(struct page_walk *x, struct err *err)
{
	struct fmt_run run;
	uint64_t off;
	int rc;

	while ((rc = fmt_map_next(&x->r, &off, &run, err)) == 0) {
		x->seen++;
		buf_reset(&x->enc);
		if (fmt_map_encode(&x->enc, off, &run, err) < 0 ||
		    fmt_page_add(&x->w, NULL, 0, NULL, x->enc.p, x->enc.len,
		    err) < 0)
			return -2;
	}
	return rc;
}

static inline int inner_again(struct page_walk *x, enum fmt_page_type type,
    struct err *err)
{
	struct fmt_child c;
	int rc;

	while ((rc = fmt_child_next(&x->r, &c, err)) == 0) {
		x->seen++;
		buf_reset(&x->enc);
		if (fmt_child_encode(&x->enc, type, &c, err) < 0 ||
		    fmt_page_add(&x->w, NULL, 0, NULL, x->enc.p, x->enc.len,
		    err) < 0)
			return -2;
	}
	return rc;
}

/*
 * Return 1 when the page was walked to its end and made again alike, -1 when
 * it was refused with err, -2 when it was accepted but came out otherwise.
 */
static inline int page_again(struct page_walk *x, const uint8_t *p,
    size_t len, enum fmt_page_type type, const uint8_t *order_key,
    struct err *err)
{
	const uint8_t *page;
	size_t page_len;
	int rc;

	x->seen = 0;
	if (fmt_page_open(&x->r, p, len, type, order_key, err) < 0)
		return -1;
	fmt_page_begin(&x->w, type, x->r.level);
	rc = x->r.level > 0 ? inner_again(x, type, err) :
	    type == FMT_PAGE_CATALOG ? catalog_again(x, err) :
	    type == FMT_PAGE_STATE ? state_again(x, err) : map_again(x, err);
	if (rc != 1)
		return rc;
	if (fmt_page_end(&x->w, &page, &page_len, err) < 0 ||
	    page_len != len || memcmp(page, p, len) != 0)
		return -2;
	return 1;
}

#endif
