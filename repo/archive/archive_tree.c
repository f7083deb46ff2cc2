#include <string.h>

#include "repo/archive/archive_internal.h"
#include "repo/base/mem.h"

/*
 * The growing edge of a tree of pages: one open page a level.  Where a page
 * ends follows from its keys alone (FORMAT.md 8, "Cuts"), so the same entries
 * make the same pages whoever wrote them and whatever stands before.
 */

void archive_tree_init(struct archive_tree *t, const struct archive_io *io,
    enum archive_kind kind, enum fmt_page_type type,
    const uint8_t order_key[32])
{
	memset(t, 0, sizeof(*t));
	t->io = *io;
	t->kind = kind;
	t->type = type;
	memcpy(t->order_key, order_key, sizeof(t->order_key));
	fmt_cutter_init(&t->cutter, order_key);
	for (size_t i = 0; i < ARCHIVE_LEVELS; i++)
		fmt_page_writer_init(&t->level[i].w);
}

void archive_tree_release(struct archive_tree *t)
{
	for (size_t i = 0; i < ARCHIVE_LEVELS; i++) {
		fmt_page_writer_release(&t->level[i].w);
		buf_release(&t->level[i].first);
	}
	fmt_cutter_release(&t->cutter);
	buf_release(&t->child);
	mem_wipe(t->order_key, sizeof(t->order_key));
}

/* The key of an entry as an inner page of its kind writes it. */
int archive_tree_key(struct buf *b, enum fmt_page_type type,
    const struct archive_place *at, struct err *err)
{
	struct fmt_child child = {
		.dir = at->dir, .ndir = at->ndir, .name = at->name,
		.off = at->off, .entries = 1,
	};

	if (fmt_child_encode(b, type, &child, err) < 0 ||
	    buf_check(b, "a key", err) < 0)
		return -1;
	/* Behind the key stand the number, one byte, and the id. */
	b->len -= 1 + sizeof(child.id);
	return 0;
}

/* The number that says whether a page ends after the key. */
static int cut_number(struct archive_tree *t, const struct archive_place *at,
    uint64_t *ret, struct err *err)
{
	if (t->type == FMT_PAGE_MAP) {
		*ret = fmt_cut_map(t->order_key, at->off);
		return 0;
	}
	if (!t->cutter_set) {
		if (fmt_cutter_dir(&t->cutter, at->dir, at->ndir) < 0)
			return err_nomem(err, "a path");
		t->cutter_set = true;
	}
	*ret = fmt_cutter_ask(&t->cutter, at->name.h);
	return 0;
}

static void begin_page(struct archive_tree *t, unsigned level)
{
	struct archive_level *l = &t->level[level];

	fmt_page_begin(&l->w, t->type, (uint8_t)level);
	buf_reset(&l->first);
	l->below = 0;
	if (level > t->top)
		t->top = level;
}

/* Store level's open page and tell its id; the level is empty then. */
static int store_page(struct archive_tree *t, unsigned level,
    uint8_t ret_id[32], struct err *err)
{
	struct archive_level *l = &t->level[level];
	const uint8_t *page;
	size_t len;

	l->count = 0;
	if (fmt_page_end(&l->w, &page, &len, err) < 0)
		return -1;
	if (len > ARCHIVE_PAGE_LIMIT)
		return err_set(err, ERR_UNSUPPORTED,
		    "an entry with its path takes %zu bytes, over the %d "
		    "that a page may have", len, ARCHIVE_PAGE_LIMIT);
	if (t->io.put(t->io.ctx, t->kind, page, len, ret_id, err) != 0)
		return -1;
	if (level == 0 && t->leaf_done != NULL)
		return t->leaf_done(t->leaf_ctx, ret_id, err);
	return 0;
}

static int end_page(struct archive_tree *t, unsigned level, struct err *err)
{
	struct archive_level *l = &t->level[level];
	uint8_t id[32];

	if (store_page(t, level, id, err) < 0)
		return -1;
	return archive_tree_child(t, level + 1, l->first.p, l->first.len,
	    l->first_c, l->below, id, err);
}

int archive_tree_child(struct archive_tree *t, unsigned level, const void *key,
    size_t keylen, uint64_t c, uint64_t below, const uint8_t id[32],
    struct err *err)
{
	struct archive_level *l = &t->level[level];

	if (level >= ARCHIVE_LEVELS)
		return err_set(err, ERR_BUG, "a tree of over %d levels",
		    ARCHIVE_LEVELS);
	buf_reset(&t->child);
	buf_add(&t->child, key, keylen);
	buf_var(&t->child, below);
	buf_add(&t->child, id, 32);
	if (buf_check(&t->child, "a page", err) < 0)
		return -1;
	/*
	 * Two children at least, or pages of long paths would hold one each
	 * and levels would pile up for ever.
	 */
	if (l->count >= ARCHIVE_CHILDREN_MIN &&
	    fmt_page_size(&l->w) + t->child.len > FMT_PAGE_MAX) {
		if (end_page(t, level, err) < 0)
			return -1;
		/* t->child has served the levels above: once more. */
		return archive_tree_child(t, level, key, keylen, c, below, id,
		    err);
	}
	if (l->count == 0) {
		begin_page(t, level);
		buf_add(&l->first, key, keylen);
		l->first_c = c;
	}
	if (buf_check(&l->first, "a page", err) < 0 ||
	    fmt_page_add(&l->w, NULL, 0, NULL, t->child.p, t->child.len,
	    err) < 0)
		return -1;
	memcpy(l->last, id, sizeof(l->last));
	l->count++;
	l->below += below;
	if (l->count >= ARCHIVE_CHILDREN_MIN &&
	    fmt_cut(c, level, fmt_page_size(&l->w)))
		return end_page(t, level, err);
	return 0;
}

int archive_tree_carry_page(struct archive_tree *t, unsigned level,
    const struct archive_place *at, uint64_t below, const uint8_t id[32],
    struct err *err)
{
	struct archive_level *l = &t->level[level];

	/* The level's own page is empty: its room for a key is free. */
	t->cutter_set = false;
	buf_reset(&l->first);
	if (cut_number(t, at, &l->first_c, err) < 0 ||
	    archive_tree_key(&l->first, t->type, at, err) < 0)
		return -1;
	t->cutter_set = false;
	return archive_tree_child(t, level + 1, l->first.p, l->first.len,
	    l->first_c, below, id, err);
}

bool archive_tree_empty_to(const struct archive_tree *t, unsigned level)
{
	for (unsigned i = 0; i <= level; i++) {
		if (t->level[i].count != 0)
			return false;
	}
	return true;
}

int archive_tree_room(struct archive_tree *t, const struct archive_place *at,
    const uint8_t *mark, size_t len, struct err *err)
{
	struct archive_level *l = &t->level[0];

	if (l->count == 0 || fmt_page_room(&l->w, at->dir, at->ndir,
	    mark != NULL, len) <= FMT_PAGE_MAX)
		return 0;
	return end_page(t, 0, err);
}

int archive_tree_put(struct archive_tree *t, const struct archive_place *at,
    const uint8_t *mark, const void *enc, size_t len, struct err *err)
{
	struct archive_level *l = &t->level[0];
	uint64_t c;

	if (at->new_dir)
		t->cutter_set = false;
	if (l->count == 0) {
		begin_page(t, 0);
		if (archive_tree_key(&l->first, t->type, at, err) < 0 ||
		    cut_number(t, at, &l->first_c, err) < 0)
			return -1;
	}
	if (fmt_page_add(&l->w, at->dir, at->ndir, mark, enc, len, err) < 0)
		return -1;
	l->count++;
	l->below++;
	if (fmt_page_size(&l->w) < FMT_PAGE_MIN)
		return 0;
	if (cut_number(t, at, &c, err) < 0)
		return -1;
	return fmt_cut(c, 0, fmt_page_size(&l->w)) ? end_page(t, 0, err) : 0;
}

/* The top level's page is the root, or its only child is. */
static int store_root(struct archive_tree *t, struct archive_ref *ret,
    struct err *err)
{
	struct archive_level *l = &t->level[t->top];

	ret->level = (uint8_t)t->top;
	ret->entries = l->below;
	if (t->top > 0 && l->count == 1) {
		ret->level--;
		memcpy(ret->id, l->last, sizeof(ret->id));
		return 0;
	}
	return store_page(t, t->top, ret->id, err);
}

int archive_tree_root(struct archive_tree *t, struct archive_ref *ret,
    struct err *err)
{
	*ret = (struct archive_ref){ 0 };
	/* Ending a page may raise the top. */
	for (unsigned i = 0; i < t->top; i++) {
		if (t->level[i].count > 0 && end_page(t, i, err) < 0)
			return -1;
	}
	return t->level[t->top].count > 0 ? store_root(t, ret, err) : 0;
}
