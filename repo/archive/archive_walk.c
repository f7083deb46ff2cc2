#include <stdlib.h>
#include <string.h>

#include "repo/archive/archive_internal.h"

#define KIND_DATA 1

/* What is being walked through, and for whom. */
struct walk {
	const struct archive_walk *to;
	const struct archive_io *io;
	struct archive_cursor *c;
	const struct archive_path *dir;  /* of a long file's map; else NULL */
	const struct fmt_entry *entry;
	int (*each)(struct walk *w, struct err *err); /* the current entry */
	struct archive_comp *comps;      /* scratch: where a page begins */
	size_t cap;
};

static int tell_bad(const struct walk *w, const uint8_t *id,
    const struct archive_path *dir, const struct err *why, struct err *err)
{
	return w->to->bad(w->to->ctx, (uint8_t)w->c->ops->kind, id,
	    w->dir ? w->dir : dir, w->entry, why, err) == 0 ? 0 : -1;
}

/* The directory in which a page of a catalog begins; NULL when not known. */
static int page_dir(struct walk *w, const struct archive_child *page,
    struct archive_path *room, const struct archive_path **ret, struct err *err)
{
	struct rd r;
	size_t n;

	*ret = w->dir;
	if (w->c->ops->type != FMT_PAGE_CATALOG || page->key == NULL)
		return 0;
	r = rd_init(page->key, page->keylen);
	n = (size_t)rd_var(&r);
	if (n > w->cap) {
		struct archive_comp *c = reallocarray(w->comps, n, sizeof(*c));

		if (c == NULL)
			return err_nomem(err, "a path");
		w->comps = c;
		w->cap = n;
	}
	for (size_t i = 0; i < n; i++) {
		size_t len = (size_t)rd_var(&r);
		const char *name = (const char *)rd_bytes(&r, len);

		w->comps[i] = (struct archive_comp){
			.name = name, .len = len,
			.h = fmt_name_hash(w->c->order_key, name, len),
		};
	}
	*room = (struct archive_path){ .c = w->comps, .n = n };
	*ret = room;
	return 0;
}

static int walk_page(struct walk *w, struct err *err)
{
	struct archive_child page = archive_cursor_child(w->c);
	struct err why = ERR_INIT;
	struct archive_path room;
	const struct archive_path *dir;
	int r;

	if (page_dir(w, &page, &room, &dir, err) < 0)
		return -1;
	r = w->to->fn(w->to->ctx, (uint8_t)w->c->ops->kind, page.id, true, dir,
	    w->entry, err);
	if (r < 0)
		return -1;
	if (r == 0) {
		if (archive_cursor_open(w->c, &why) == 0)
			return 0;
		if (tell_bad(w, page.id, dir, &why, err) < 0)
			return -1;
	}
	return archive_cursor_skip(w->c, err) < 0 ? -1 : 0;
}

static int walk_all(struct walk *w, struct err *err)
{
	for (;;) {
		switch (archive_cursor_where(w->c)) {
		case ARCHIVE_AT_END:
			return 0;
		case ARCHIVE_AT_PAGE:
			if (walk_page(w, err) < 0)
				return -1;
			break;
		case ARCHIVE_AT_ENTRY:
			if (w->each(w, err) < 0 ||
			    archive_cursor_skip(w->c, err) < 0)
				return -1;
			break;
		}
	}
}

static int chunk(const struct walk *w, const uint8_t *id,
    const struct archive_path *dir, const struct fmt_entry *entry,
    struct err *err)
{
	return w->to->fn(w->to->ctx, KIND_DATA, id, false, dir, entry,
	    err) < 0 ? -1 : 0;
}

/* --- byte maps ----------------------------------------------------------------*/

static int each_run(struct walk *w, struct err *err)
{
	const struct fmt_run *run = archive_map_current(w->c);

	if (run->kind != FMT_RUN_CHUNK)
		return 0;
	return chunk(w, run->id, w->dir, w->entry, err);
}

static int walk_map(const struct archive_io *io, const struct archive_ref *root,
    const struct archive_walk *to, const struct archive_path *dir,
    const struct fmt_entry *entry, struct err *err)
{
	struct err why = ERR_INIT;
	struct archive_map *m = archive_map_open(io, root, &why);
	struct walk w = {
		.to = to, .io = io, .dir = dir, .entry = entry,
		.each = each_run,
	};
	int r;

	if (m == NULL)
		return to->bad(to->ctx, ARCHIVE_STATE, root->id, dir, entry,
		    &why, err) == 0 ? 0 : -1;
	w.c = archive_map_cursor(m);
	r = walk_all(&w, err);
	archive_map_close(m);
	return r;
}

int archive_walk_map(const struct archive_io *io,
    const struct archive_ref *root, const struct archive_walk *walk,
    struct err *err)
{
	return walk_map(io, root, walk, NULL, NULL, err);
}

/* --- catalogs and states ---------------------------------------------------------*/

static int each_content(struct walk *w, const struct fmt_content *content,
    const struct archive_path *dir, const struct fmt_entry *entry,
    struct err *err)
{
	struct fmt_list runs = content->runs;
	struct archive_ref root = {
		.level = content->level, .entries = content->entries,
	};
	struct fmt_run run;

	switch (content->kind) {
	case FMT_CONTENT_SLICE:
		return chunk(w, content->id, dir, entry, err);
	case FMT_CONTENT_RUNS:
		while (fmt_run_next(&runs, &run) == 0) {
			if (run.kind == FMT_RUN_CHUNK &&
			    chunk(w, run.id, dir, entry, err) < 0)
				return -1;
		}
		return 0;
	case FMT_CONTENT_MAP:
		memcpy(root.id, content->id, sizeof(root.id));
		return walk_map(w->io, &root, w->to, dir, entry, err);
	default:
		return 0;
	}
}

static int each_entry(struct walk *w, struct err *err)
{
	struct archive_catalog *c = (struct archive_catalog *)w->c;
	struct archive_path dir = archive_catalog_dir(c);

	if (!(c->entry.bits & FMT_HAS_CONTENT))
		return 0;
	return each_content(w, &c->entry.content, &dir, &c->entry, err);
}

static int each_state(struct walk *w, struct err *err)
{
	const struct fmt_state_entry *e = archive_state_current(w->c);

	if (!(e->bits & FMT_STATE_CONTENT))
		return 0;
	return each_content(w, &e->content, NULL, NULL, err);
}

int archive_walk_catalog(const struct archive_io *io,
    const uint8_t order_key[32], const struct archive_ref *root,
    const struct archive_walk *walk, struct err *err)
{
	struct archive_catalog *c = archive_catalog_open(io, order_key, root,
	    err);
	struct walk w = { .to = walk, .io = io, .each = each_entry };
	int r;

	if (c == NULL)
		return -1;
	w.c = &c->cur;
	r = walk_all(&w, err);
	free(w.comps);
	archive_catalog_close(c);
	return r;
}

int archive_walk_state(const struct archive_io *io,
    const struct archive_ref *root, const struct archive_walk *walk,
    struct err *err)
{
	struct archive_state *s = archive_state_open(io, root, err);
	struct walk w = { .to = walk, .io = io, .each = each_state };
	int r;

	if (s == NULL)
		return -1;
	w.c = archive_state_cursor(s);
	r = walk_all(&w, err);
	archive_state_close(s);
	return r;
}
