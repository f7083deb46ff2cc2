#include <stdlib.h>
#include <string.h>

#include "agent/engine/across.h"
#include "agent/engine/query.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"

/* The longest page of a map, and what one entry may exceed it by. */
#define PAGE_PLAIN_MAX ((size_t)2 << 20)

struct engine_pages {
	struct store *st;
	struct store_worker *w;
	struct archive_io io;
};

static int get_page(void *ctx, enum archive_kind kind, const uint8_t id[32],
    struct buf *ret_page, struct err *err)
{
	struct engine_pages *p = ctx;
	int r = store_get(p->st, p->w, (enum store_kind)kind, id, ret_page, err);

	if (r == 1) {
		char hex[65];

		hex_encode(hex, id, 32);
		return err_set(err, ERR_CORRUPT, "page %s is named by no index segment", hex);
	}
	return r;
}

static void ahead(void *ctx, enum archive_kind kind, const uint8_t (*ids)[32],
    size_t n)
{
	struct engine_pages *p = ctx;

	(void)kind;
	store_get_ahead(p->st, ids, n);
}

static int put_page(void *ctx, enum archive_kind kind, const void *page, size_t len,
    uint8_t ret_id[32], struct err *err)
{
	(void)ctx, (void)kind, (void)page, (void)len, (void)ret_id;
	return err_set(err, ERR_BUG, "a page is written by a reader");
}

struct engine_pages *engine_pages_new(struct store *st, const char *domain,
    struct err *err)
{
	struct engine_pages *p = mem_zalloc(sizeof(*p), "a reader", err);

	if (p == NULL)
		return NULL;
	p->st = st;
	p->w = store_worker_new(st, ZIP_OFF, PAGE_PLAIN_MAX, domain, err);
	if (p->w == NULL) {
		free(p);
		return NULL;
	}
	p->io = (struct archive_io){ .get = get_page, .put = put_page, .ctx = p,
	    .ahead = ahead };
	return p;
}

void engine_pages_free(struct engine_pages *p)
{
	if (p == NULL)
		return;
	store_worker_free(p->w);
	free(p);
}

const struct archive_io *engine_pages_io(struct engine_pages *p)
{
	return &p->io;
}

/* The snapshot's tree as an archive root.  Class USAGE when it has none. */
static int tree_root(struct store *st, const struct store_snapshot *sn,
    struct archive_ref *ret, struct err *err)
{
	if (store_need(st, STORE_READ, "to look into a snapshot", err) < 0)
		return -1;
	if (sn->content != STORE_TREE)
		return err_set(err, ERR_USAGE,
		    "snapshot %s is a block volume: it has no files", sn->id);
	if (sn->sealed)
		return err_set(err, ERR_AUTH, "snapshot %s cannot be opened by this credential",
		    sn->id);
	memcpy(ret->id, sn->catalog.id, sizeof(ret->id));
	ret->level = sn->catalog.level;
	ret->entries = sn->catalog.entries;
	return 0;
}

/* "a/b/name", NUL-terminated, in out; "." is the root. */
static const char *path_text(struct buf *out, const struct archive_path *dir,
    const struct fmt_comp *name)
{
	buf_reset(out);
	for (size_t i = 0; i < dir->n; i++) {
		buf_add(out, dir->c[i].name, dir->c[i].len);
		if (i + 1 < dir->n || name->len > 0)
			buf_u8(out, '/');
	}
	buf_add(out, name->len ? name->name : "", name->len);
	if (out->len == 0)
		buf_u8(out, '.');
	buf_u8(out, 0);
	return out->failed ? "?" : (const char *)out->p;
}

/* Is dir equal to top, or below it? */
static bool within(const struct archive_path *dir, const struct archive_path *top)
{
	if (dir->n < top->n)
		return false;
	for (size_t i = top->n; i-- > 0;)
		if (fmt_name_cmp(&dir->c[i], &top->c[i]) != 0)
			return false;
	return true;
}

struct listing {
	struct archive_catalog *c;
	struct archive_path top;  /* what was asked for */
	bool recursive, self;
	int (*fn)(void *ctx, const char *path_text, const struct fmt_entry *entry,
	    struct err *err);
	engine_report_fn *bad;
	void *ctx;
	struct buf text;
};

/* The next entry; what cannot be read is told and passed over. */
static int next_entry(struct listing *l, struct archive_path *dir,
    struct fmt_entry *e, struct err *err)
{
	for (;;) {
		struct err why = ERR_INIT;
		int r = archive_catalog_next(l->c, dir, e, &why);

		if (r >= 0)
			return r;
		if (why.class != ERR_CORRUPT || l->bad == NULL) {
			*err = why;
			return -1;
		}
		l->bad(l->ctx, "(a part of the catalog)", &why);
		r = archive_catalog_skip_damage(l->c, err);
		if (r != 0)
			return r;
	}
}

/* The entry asked for itself.  0: a directory, go on; 1: done; other: fn's; -1. */
static int list_self(struct listing *l, struct err *err)
{
	struct archive_path parent = { l->top.c, l->top.n ? l->top.n - 1 : 0 };
	struct fmt_comp root = { "", 0, 0 };
	const struct fmt_comp *name = l->top.n ? &l->top.c[l->top.n - 1] : &root;
	struct archive_path dir;
	struct fmt_entry e;

	if (archive_catalog_seek(l->c, &parent, l->top.n ? name : NULL, err) < 0)
		return -1;

	int r = next_entry(l, &dir, &e, err);

	if (r < 0)
		return -1;
	if (r == 1 || archive_path_cmp(&dir, &parent) != 0 ||
	    fmt_name_cmp(&e.name, name) != 0) {
		/* A damaged root still has what is in it. */
		return l->top.n == 0 ? 0 : err_set(err, ERR_NOTFOUND,
		    "there is no such path in the snapshot");
	}
	if (e.type == FMT_DIRECTORY && !l->self)
		return 0;
	r = l->fn(l->ctx, path_text(&l->text, &dir, &e.name), &e, err);
	if (r != 0)
		return r;
	return e.type == FMT_DIRECTORY ? 0 : 1;
}

static int list_below(struct listing *l, struct err *err)
{
	struct archive_path dir;
	struct fmt_entry e;
	int r;

	if (archive_catalog_seek(l->c, &l->top, NULL, err) < 0)
		return -1;
	while ((r = next_entry(l, &dir, &e, err)) == 0) {
		if (!within(&dir, &l->top) || (!l->recursive && dir.n != l->top.n))
			break;
		/* The root's own entry stands among what is in the root. */
		if (e.name.len == 0)
			continue;
		r = l->fn(l->ctx, path_text(&l->text, &dir, &e.name), &e, err);
		if (r != 0)
			return r;
	}
	return r < 0 ? -1 : 0;
}

int engine_list(struct store *st, const struct store_snapshot *sn,
    const char *path, bool recursive, bool self,
    int (*fn)(void *ctx, const char *path_text, const struct fmt_entry *entry,
        struct err *err),
    engine_report_fn *bad, void *ctx, struct err *err)
{
	struct listing l = {
		.recursive = recursive, .self = self, .fn = fn, .bad = bad, .ctx = ctx,
	};
	struct archive_ref root;
	struct archive_lookup_path top = { NULL, 0 };
	struct engine_pages *pages = NULL;
	const uint8_t *order;
	int r = -1;

	if (path == NULL)
		path = "";
	if (tree_root(st, sn, &root, err) < 0 ||
	    (order = store_snapshot_order(st, sn, err)) == NULL ||
	    archive_path_parse(order, path, strlen(path), &top, err) < 0)
		return -1;
	l.top = (struct archive_path){ top.c, top.n };
	pages = engine_pages_new(st, sn->domain, err);
	if (pages != NULL)
		l.c = archive_catalog_open(&pages->io, order, &root, err);
	if (l.c != NULL) {
		r = list_self(&l, err);
		if (r < 0)
			err_wrap(err, "%s", path);
		if (r == 0)
			r = list_below(&l, err);
		else if (r == 1)
			r = 0;
	}
	archive_catalog_close(l.c);
	engine_pages_free(pages);
	archive_path_release(&top);
	buf_release(&l.text);
	return r;
}

struct diffing {
	struct archive_path top;
	int (*fn)(void *ctx, const char *path_text, const struct fmt_entry *a,
	    const struct fmt_entry *b, struct err *err);
	void *ctx;
	struct buf text;
};

/*
 * Do the entries differ only in where the bytes are stored?  A small file that
 * did not change, by all its times, may have been bundled anew.
 */
static bool only_moved(const struct fmt_entry *a, const struct fmt_entry *b)
{
	struct buf x = BUF_INIT, y = BUF_INIT;
	struct fmt_entry e = *b;

	if (a->type != FMT_FILE || !(a->bits & b->bits & FMT_HAS_CONTENT) ||
	    a->content.size != b->content.size ||
	    (a->content.kind != FMT_CONTENT_SLICE && b->content.kind != FMT_CONTENT_SLICE))
		return false;
	e.content = a->content;

	bool same = fmt_entry_encode(&x, a, NULL) == 0 &&
	    fmt_entry_encode(&y, &e, NULL) == 0 && x.len == y.len &&
	    memcmp(x.p, y.p, x.len) == 0;

	buf_release(&x);
	buf_release(&y);
	return same;
}

static int on_difference(void *ctx, const struct archive_path *dir,
    const struct fmt_entry *a, const struct fmt_entry *b, struct err *err)
{
	struct diffing *d = ctx;
	const struct fmt_entry *e = a ? a : b;

	if (a != NULL && b != NULL && only_moved(a, b))
		return 0;
	/* The path itself, or what is below it. */
	if (d->top.n > 0 && !within(dir, &d->top)) {
		struct archive_path parent = { d->top.c, d->top.n - 1 };

		if (archive_path_cmp(dir, &parent) != 0 ||
		    fmt_name_cmp(&e->name, &d->top.c[d->top.n - 1]) != 0)
			return 0;
	}
	return d->fn(d->ctx, path_text(&d->text, dir, &e->name), a, b, err);
}

static int on_across(void *ctx, const struct archive_path *dir,
    const struct fmt_entry *a, const struct fmt_entry *b, struct err *err)
{
	struct diffing *d = ctx;

	return d->fn(d->ctx, path_text(&d->text, dir, &(a ? a : b)->name), a, b, err);
}

int engine_diff(struct store *st, const struct store_snapshot *a,
    const struct store_snapshot *b, const char *path,
    int (*fn)(void *ctx, const char *path_text, const struct fmt_entry *a,
        const struct fmt_entry *b, struct err *err),
    void *ctx, struct err *err)
{
	struct diffing d = { .fn = fn, .ctx = ctx };
	struct archive_ref ra, rb;
	struct archive_lookup_path top = { NULL, 0 };
	struct engine_pages *pages;
	const uint8_t *order, *other;
	int r = -1;

	if (path == NULL)
		path = "";
	if (tree_root(st, a, &ra, err) < 0 || tree_root(st, b, &rb, err) < 0)
		return -1;
	order = store_snapshot_order(st, a, err);
	other = order == NULL ? NULL : store_snapshot_order(st, b, err);
	if (other == NULL)
		return -1;
	if (other != order) {
		r = across_diff(st, a, b, path, on_across, &d, err);
		buf_release(&d.text);
		return r;
	}
	if (archive_path_parse(order, path, strlen(path), &top, err) < 0)
		return -1;
	d.top = (struct archive_path){ top.c, top.n };
	pages = engine_pages_new(st, a->domain, err);
	if (pages != NULL)
		r = archive_catalog_diff(&pages->io, order, &ra, &rb,
		    on_difference, &d, err);
	engine_pages_free(pages);
	archive_path_release(&top);
	buf_release(&d.text);
	return r;
}
