#include <stdlib.h>

#include "repo/format/fmt_internal.h"
#include "repo/format/fmt_page.h"

/* Type, level and the longest count stand before the items. */
#define HEAD_ROOM 12

void fmt_page_writer_init(struct fmt_page_writer *w)
{
	*w = (struct fmt_page_writer){ .b = BUF_INIT };
}

void fmt_page_writer_release(struct fmt_page_writer *w)
{
	buf_release(&w->b);
	free(w->dir);
	fmt_page_writer_init(w);
}

void fmt_page_begin(struct fmt_page_writer *w, enum fmt_page_type type,
    uint8_t level)
{
	w->type = (uint8_t)type;
	w->level = level;
	w->count = 0;
	w->ndir = 0;
	w->has_dir = false;
	buf_reset(&w->b);
	buf_zeros(&w->b, HEAD_ROOM);
}

size_t fmt_page_size(const struct fmt_page_writer *w)
{
	return w->b.len - HEAD_ROOM;
}

/* Whether entries of this page stand in directories. */
static bool has_dirs(const struct fmt_page_writer *w)
{
	return w->level == 0 && w->type != FMT_PAGE_MAP;
}

/* Number of components that dir has in common with the one before. */
static size_t common(const struct fmt_page_writer *w,
    const struct fmt_comp *dir, size_t ndir)
{
	size_t i, most = ndir < w->ndir ? ndir : w->ndir;

	if (!w->has_dir)
		return 0;
	for (i = 0; i < most; i++) {
		const struct fmt_written *c = &w->dir[i];

		if (c->h != dir[i].h)
			break;
		if (w->type == FMT_PAGE_CATALOG && (c->len != dir[i].len ||
		    memcmp(w->b.p + c->off, dir[i].name, c->len) != 0))
			break;
	}
	return i;
}

/* Bytes of the directory's item, 0 when none is needed. */
static size_t dir_room(const struct fmt_page_writer *w,
    const struct fmt_comp *dir, size_t ndir, size_t kept)
{
	size_t n;

	if (w->has_dir && kept == ndir && kept == w->ndir)
		return 0;
	n = 1 + var_len(kept) + var_len(ndir - kept);
	if (w->type == FMT_PAGE_STATE)
		return n + (ndir - kept) * 8;
	for (size_t i = kept; i < ndir; i++)
		n += var_len(dir[i].len) + dir[i].len;
	return n;
}

size_t fmt_page_room(const struct fmt_page_writer *w,
    const struct fmt_comp *dir, size_t ndir, bool mark, size_t len)
{
	size_t n = fmt_page_size(w) + len;

	if (has_dirs(w))
		n += dir_room(w, dir, ndir, common(w, dir, ndir));
	return n + (mark ? 1 + FMT_ID_LEN : 0);
}

/* Append the directory's item and remember where its names stand. */
static int dir_add(struct fmt_page_writer *w, const struct fmt_comp *dir,
    size_t ndir, size_t kept)
{
	if (fmt_grow(&w->dir, &w->dircap, ndir, sizeof(*w->dir)) < 0) {
		w->b.failed = 1;
		return -1;
	}
	buf_u8(&w->b, FMT_ITEM_DIR);
	buf_var(&w->b, kept);
	buf_var(&w->b, ndir - kept);
	for (size_t i = kept; i < ndir; i++) {
		if (w->type == FMT_PAGE_STATE) {
			buf_u64(&w->b, dir[i].h);
			w->dir[i] = (struct fmt_written){ 0, 0, dir[i].h };
			continue;
		}
		buf_var(&w->b, dir[i].len);
		w->dir[i] = (struct fmt_written){ w->b.len, dir[i].len,
		    dir[i].h };
		buf_add(&w->b, dir[i].name, dir[i].len);
	}
	w->ndir = ndir;
	w->has_dir = true;
	return 0;
}

int fmt_page_add(struct fmt_page_writer *w, const struct fmt_comp *dir,
    size_t ndir, const uint8_t *mark, const void *enc, size_t len,
    struct err *err)
{
	if (has_dirs(w)) {
		size_t kept = common(w, dir, ndir);

		if (!(w->has_dir && kept == ndir && kept == w->ndir) &&
		    dir_add(w, dir, ndir, kept) < 0)
			return err_nomem(err, "a page");
	}
	if (mark != NULL) {
		buf_u8(&w->b, FMT_ITEM_MARK);
		buf_add(&w->b, mark, FMT_ID_LEN);
	}
	buf_add(&w->b, enc, len);
	w->count++;
	return buf_check(&w->b, "a page", err);
}

int fmt_page_end(struct fmt_page_writer *w, const uint8_t **ret_page,
    size_t *ret_len, struct err *err)
{
	size_t skip = HEAD_ROOM - 2 - var_len(w->count);

	if (buf_check(&w->b, "a page", err) < 0)
		return -1;
	if (w->count == 0)
		return err_set(err, ERR_BUG, "a page without entries");
	w->b.p[skip] = w->type;
	w->b.p[skip + 1] = w->level;
	var_put(w->b.p + skip + 2, w->count);
	*ret_page = w->b.p + skip;
	*ret_len = w->b.len - skip;
	return 0;
}

int fmt_map_encode(struct buf *b, uint64_t off, const struct fmt_run *run,
    struct err *err)
{
	buf_var(b, off);
	fmt_run_add(b, run);
	return buf_check(b, "a run", err);
}

int fmt_child_encode(struct buf *b, enum fmt_page_type type,
    const struct fmt_child *c, struct err *err)
{
	switch (type) {
	case FMT_PAGE_CATALOG:
		buf_var(b, c->ndir);
		for (size_t i = 0; i < c->ndir; i++)
			fmt_add_str(b, (struct fmt_str){ c->dir[i].name,
			    c->dir[i].len });
		fmt_add_str(b, (struct fmt_str){ c->name.name, c->name.len });
		break;
	case FMT_PAGE_STATE:
		buf_var(b, c->ndir);
		for (size_t i = 0; i < c->ndir; i++)
			buf_u64(b, c->dir[i].h);
		buf_u64(b, c->name.h);
		break;
	case FMT_PAGE_MAP:
		buf_var(b, c->off);
		break;
	}
	buf_var(b, c->entries);
	buf_add(b, c->id, FMT_ID_LEN);
	return buf_check(b, "a page's child", err);
}
