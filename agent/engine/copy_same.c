#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/copy_internal.h"
#include "repo/base/bytes.h"

/*
 * Within a family: pages and chunks have the same ids on both sides, so the
 * snapshot is walked and what is not there is sent.  What hangs on a page that
 * the parent's original has, too, is there with the parent (R3).
 */

struct walk {
	struct copy *c;
	struct archive_io io;    /* pages of the source, sent on the way */
	uint8_t wanted[32];      /* the page to be sent when it is read */
	bool want;
	bool base;               /* going along the parent's original */
	bool failed;             /* why says so, and it is no damage */
	struct err why;
};

static uint64_t half(const uint8_t *p)
{
	return le64_get(p);
}

/* 0 when it was not seen before, and is now; 1; -1. */
static int see(struct copy *c, const uint8_t id[32], struct err *err)
{
	uint64_t ignored;

	return table_add(c->seen, half(id), half(id + 8), 0, &ignored, err);
}

/* --- one blob, by a worker ------------------------------------------------------*/

static int send_blob(void *ctx, unsigned self, const struct copy_need *n,
    const uint8_t *sealed, struct err *err)
{
	struct copy *c = ctx;
	struct copy_hand *h = &c->hands[self];
	struct store_put_result put;
	struct err why = ERR_INIT;
	int r = 1;

	buf_reset(&h->plain);
	if (buf_reserve(&h->plain, n->loc.plain_len + 1) < 0)
		return err_nomem(err, "a blob");
	if (sealed != NULL)
		r = store_copy_blob(c->ss, c->from, h->from,
		    (enum store_kind)n->kind, n->id, &n->loc, sealed,
		    h->plain.p, &put, &why);
	if (r < 0) {
		*err = why;
		return -1;
	}
	if (r > 0) {
		r = copy_get(c, h, (enum store_kind)n->kind, n->id, err);
		if (r != 0)
			return r < 0 ? -1 : 0;
		if (store_copy_plain(c->ss, h->from, (enum store_kind)n->kind,
		        n->id, h->plain.p, h->plain.len, &put, err) < 0)
			return -1;
	}
	atomic_fetch_add(&c->e->progress.bytes_done, n->loc.plain_len);
	atomic_fetch_add(&c->e->progress.bytes_stored, put.stored_len);
	return 0;
}

static int alive(void *ctx, struct err *err)
{
	return copy_alive(ctx, err);
}

/* --- the walk ---------------------------------------------------------------------*/

/* Pages are sent as they are read; those that are there are only read. */
static int get_page(void *ctx, enum archive_kind kind, const uint8_t id[32],
    struct buf *ret_page, struct err *err)
{
	struct walk *w = ctx;
	struct copy *c = w->c;
	const struct archive_io *io = pages_io(c->pages);
	struct store_put_result put;

	if (io->get(io->ctx, kind, id, ret_page, err) < 0)
		return -1;
	if (!w->want || memcmp(id, w->wanted, 32) != 0)
		return 0;
	w->want = false;
	if (store_copy_plain(c->ss, copy_main(c)->from, (enum store_kind)kind,
	        id, ret_page->p, ret_page->len, &put, err) < 0) {
		w->failed = true;
		w->why = *err;
		return -1;
	}
	atomic_fetch_add(&c->e->progress.bytes_stored, put.stored_len);
	return 0;
}

static int put_page(void *ctx, enum archive_kind kind, const void *page,
    size_t len, uint8_t ret_id[32], struct err *err)
{
	(void)ctx, (void)kind, (void)page, (void)len, (void)ret_id;
	return err_set(err, ERR_BUG, "a page is written while copying");
}

static int on_chunk(struct copy *c, const uint8_t id[32], struct err *err)
{
	int r = see(c, id, err);

	if (r != 0)
		return r < 0 ? -1 : 0;
	r = store_present(c->ss, id, err);
	if (r <= 0)
		return r;
	if (c->opt->dry_run) {
		c->told.blobs_new++;
		return 0;
	}
	if (copy_fetch_full(c->fetch) && copy_fetch_run(c->fetch, err) < 0)
		return -1;
	r = copy_fetch_add(c->fetch, STORE_DATA, id, 0, err);
	if (r > 0 || (r < 0 && copy_is_damage(err))) {
		struct err why = *err;

		if (r > 0)
			err_set(&why, ERR_CORRUPT, "no segment of the index "
			    "names its chunk");
		r = copy_lost(c, id, &why, err);
	}
	return r;
}

static int on_blob(void *ctx, uint8_t kind, const uint8_t id[32], bool page,
    const struct archive_path *dir, const struct fmt_entry *entry,
    struct err *err)
{
	struct walk *w = ctx;
	int r;

	(void)kind, (void)dir, (void)entry;
	if (copy_alive(w->c, err) < 0)
		return -1;
	if (!page)
		return on_chunk(w->c, id, err);
	r = see(w->c, id, err);
	if (r != 0)
		return r;
	r = store_present(w->c->ss, id, err);
	if (r < 0)
		return -1;
	/* What is below it need not be there, though the page is. */
	w->want = r == 1 && !w->c->opt->dry_run;
	w->c->told.blobs_new += r == 1 && w->c->opt->dry_run;
	memcpy(w->wanted, id, 32);
	return 0;
}

static int on_bad(void *ctx, uint8_t kind, const uint8_t id[32],
    const struct archive_path *dir, const struct fmt_entry *entry,
    const struct err *why, struct err *err)
{
	struct walk *w = ctx;

	(void)kind, (void)id;
	if (w->failed || !copy_is_damage(why)) {
		*err = w->failed ? w->why : *why;
		return -1;
	}
	copy_damaged(w->c, false, dir, entry, why);
	return 0;
}

static int walk_all(struct walk *w, const struct store_snapshot *sn,
    const struct archive_walk *look, struct err *err)
{
	const uint8_t *order = store_snapshot_order(w->c->from, sn, err);
	struct archive_ref state = copy_ref(&sn->state);
	struct archive_ref catalog = copy_ref(&sn->catalog);

	if (order == NULL)
		return -1;
	if (sn->content == STORE_BLOCK)
		return archive_walk_map(&w->io, &state, look, err);
	if (archive_walk_state(&w->io, &state, look, err) < 0)
		return -1;
	return archive_walk_catalog(&w->io, order, &catalog, look, err);
}

/* --- what the parent has -----------------------------------------------------------*/

/*
 * The pages of one map of the parent's original, leaves unread: those of level
 * 0 are named by the pages above them.
 */
static int base_map(struct copy *c, enum archive_kind kind, const uint8_t *order,
    const struct store_ref *root, struct err *err)
{
	enum fmt_page_type type = kind == ARCHIVE_CATALOG ? FMT_PAGE_CATALOG :
	    c->sn->content == STORE_BLOCK ? FMT_PAGE_MAP : FMT_PAGE_STATE;
	const struct archive_io *io = pages_io(c->pages);
	struct fmt_page_reader rd;
	struct fmt_child child;
	struct buf page = BUF_INIT;
	struct store_ref below;
	int r;

	if (bytes_are_zero(root->id, 32))
		return 0;
	r = see(c, root->id, err);
	if (r != 0 || root->level == 0)
		return r < 0 ? -1 : 0;
	fmt_page_reader_init(&rd);
	r = io->get(io->ctx, kind, root->id, &page, err);
	if (r == 0)
		r = fmt_page_open(&rd, page.p, page.len, type, order, err);
	while (r == 0 && (r = fmt_child_next(&rd, &child, err)) == 0) {
		below.level = (uint8_t)(root->level - 1);
		memcpy(below.id, child.id, 32);
		r = base_map(c, kind, order, &below, err);
	}
	fmt_page_reader_release(&rd);
	buf_release(&page);
	return r < 0 ? -1 : 0;
}

/* The snapshot of the source that the far parent is a copy of, or NULL. */
static int base_find(struct copy *c, const struct store_snapshot *parent,
    struct store_snapshot **ret, struct err *err)
{
	char origin[STORE_ORIGIN_MAX], spec[40];
	int r;

	*ret = NULL;
	if (strlen(parent->origin) < 67)
		return 0;
	snprintf(spec, sizeof(spec), "%.16s/%s", parent->origin + 33,
	    strrchr(parent->origin, '-') + 1);
	r = store_snapshot_find(c->from, spec, ret, err);
	if (r < 0 && (err->class == ERR_NOTFOUND || err->class == ERR_USAGE ||
	        copy_is_damage(err))) {
		err_clear(err);
		return 0;
	}
	if (r == 0) {
		store_copy_origin(c->from, *ret, origin);
		if (strcmp(origin, parent->origin) != 0 ||
		    (*ret)->content != c->sn->content) {
			store_snapshot_free(*ret);
			*ret = NULL;
		}
	}
	return r;
}

/*
 * What hangs on the parent's pages is settled.  Only a parent that has the
 * original's roots counts; where its pages cannot be read, all is looked at.
 */
static int base_take(struct copy *c, const struct store_snapshot *parent,
    struct err *err)
{
	const uint8_t *order = store_snapshot_order(c->from, c->sn, err);
	struct store_snapshot *sn = NULL;
	int r = order == NULL ? -1 : base_find(c, parent, &sn, err);

	if (r == 0 && sn != NULL && memcmp(sn->state.id, parent->state.id,
	        32) == 0 && strcmp(sn->domain, c->sn->domain) == 0) {
		r = base_map(c, ARCHIVE_STATE, order, &sn->state, err);
		if (r == 0 && sn->content == STORE_TREE &&
		    (parent->sealed || memcmp(sn->catalog.id,
		        parent->catalog.id, 32) == 0))
			r = base_map(c, ARCHIVE_CATALOG, order, &sn->catalog,
			    err);
	}
	store_snapshot_free(sn);
	if (r < 0 && copy_is_damage(err)) {
		err_clear(err);
		r = 0;
	}
	return r;
}

/* --- all of it ----------------------------------------------------------------------*/

int copy_same(struct copy *c, const struct store_snapshot *parent, bool carry,
    struct store_commit *commit, struct err *err)
{
	const struct copy_sink sink = { send_blob, alive, c };
	struct walk w = { .c = c, .io = { get_page, put_page, &w } };
	const struct archive_walk look = { on_blob, on_bad, &w };
	int r = 0;

	commit->state = c->sn->state;
	commit->catalog = c->sn->catalog;
	c->seen = table_new(c->memory, err);
	if (c->seen != NULL)
		c->fetch = copy_fetch_new(c->e, c->from, c->memory, &sink, err);
	if (c->fetch == NULL)
		r = -1;
	if (r == 0 && parent != NULL && carry &&
	    !store_session_healing(c->ss))
		r = base_take(c, parent, err);
	if (r == 0)
		r = walk_all(&w, c->sn, &look, err);
	if (r == 0)
		r = copy_fetch_run(c->fetch, err);
	copy_fetch_free(c->fetch);
	table_free(c->seen);
	c->fetch = NULL;
	c->seen = NULL;
	return r;
}
