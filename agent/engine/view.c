#include <stdlib.h>
#include <string.h>

#include "agent/engine/view.h"
#include "repo/base/mem.h"

/* One directory on the way from the snapshot's root to where the view is. */
struct frame {
	struct dir *dir;     /* NULL above the top, or without nodes */
	size_t end;          /* of its path in v->path */
	bool included, excluded, bad;
};

struct view {
	struct view_options opt;
	bool all;
	struct archive_catalog *c;
	struct archive_lookup_path top;
	struct fmt_entry entry;
	struct archive_path dir;  /* of entry */
	bool is_dir;
	enum { AT_TOP, AT_BLOCK, AT_ENTRIES, AT_END } at;
	struct frame root, *frames;
	size_t n, cap;
	struct buf path;          /* of the last frame, NUL-terminated */
	struct buf text;
};

static bool name_ok(const struct fmt_comp *c)
{
	if (c->len == 0 || c->len > 255)
		return false;
	if (c->name[0] == '.' && (c->len == 1 || (c->len == 2 && c->name[1] == '.')))
		return false;
	return memchr(c->name, '/', c->len) == NULL && memchr(c->name, 0, c->len) == NULL;
}

static const struct frame *last_frame(const struct view *v)
{
	return v->n > 0 ? &v->frames[v->n - 1] : &v->root;
}

static void tell_bad(struct view *v, const struct fmt_comp *c)
{
	struct err why;
	struct buf *t = &v->text;

	err_set(&why, ERR_CORRUPT, "no file can have this name; it is left out");
	buf_reset(t);
	buf_add(t, v->path.p, last_frame(v)->end);
	if (t->len > 0)
		buf_u8(t, '/');
	buf_add(t, c->name, c->len);
	buf_u8(t, 0);
	if (v->opt.bad != NULL)
		v->opt.bad(v->opt.ctx, t->failed ? "?" : (char *)t->p, &why);
}

/* What the patterns say of a name below a frame. */
static void judge(struct view *v, const struct frame *up, const struct fmt_comp *c,
    bool is_dir, bool *ret_included, bool *ret_excluded)
{
	struct buf *t = &v->text;

	*ret_included = up->included;
	*ret_excluded = up->excluded;
	if (v->opt.include == NULL && v->opt.exclude == NULL)
		return;
	buf_reset(t);
	buf_add(t, v->path.p, up->end);
	if (t->len > 0)
		buf_u8(t, '/');
	buf_add(t, c->name, c->len);
	buf_u8(t, 0);
	if (t->failed)
		return;
	if (v->opt.exclude != NULL && !up->excluded)
		*ret_excluded = engine_filter_match(v->opt.exclude, (char *)t->p, is_dir) > 0;
	if (v->opt.include != NULL) {
		int m = engine_filter_match(v->opt.include, (char *)t->p, is_dir);

		*ret_included = m > 0 || (m == 0 && up->included);
	}
}

static void pop_to(struct view *v, size_t n)
{
	while (v->n > n)
		dir_unref(v->frames[--v->n].dir);
	v->path.len = last_frame(v)->end;
	buf_u8(&v->path, 0);
	v->path.len--;
}

/* Go into a directory below the last one. */
static int push(struct view *v, const struct fmt_comp *c, struct err *err)
{
	if (v->n == v->cap) {
		size_t cap = v->cap ? v->cap * 2 : 16;
		struct frame *f = reallocarray(v->frames, cap, sizeof(*f));

		if (f == NULL)
			return err_nomem(err, "a path");
		v->frames = f;
		v->cap = cap;
	}

	const struct frame *up = last_frame(v);
	struct frame f = { .bad = up->bad };

	judge(v, up, c, true, &f.included, &f.excluded);
	if (!f.bad && !name_ok(c)) {
		f.bad = true;
		tell_bad(v, c);
	}
	if (v->opt.dirs != NULL && v->n >= v->top.n && !f.bad) {
		f.dir = up->dir == NULL ? NULL : dir_new(up->dir, c->name, c->len, c->h, err);
		if (f.dir == NULL)
			return -1;
	} else if (v->opt.dirs != NULL && v->n + 1 == v->top.n) {
		f.dir = dirs_root(v->opt.dirs);
	}
	v->path.len = up->end;
	if (v->path.len > 0)
		buf_u8(&v->path, '/');
	buf_add(&v->path, c->name, c->len);
	f.end = v->path.len;
	v->frames[v->n++] = f;
	buf_u8(&v->path, 0);
	v->path.len--;
	return buf_check(&v->path, "a path", err);
}

static bool is_frame(const struct view *v, size_t i, const struct fmt_comp *c)
{
	size_t from = i > 0 ? v->frames[i - 1].end + 1 : 0;

	if (i > 0 && v->frames[i - 1].end == 0)
		from = 0;
	return v->frames[i].end - from == c->len &&
	    memcmp(v->path.p + from, c->name, c->len) == 0;
}

/* Make the frames those of dir. */
static int go_to(struct view *v, const struct archive_path *dir, struct err *err)
{
	size_t same = 0;

	while (same < v->n && same < dir->n && is_frame(v, same, &dir->c[same]))
		same++;
	pop_to(v, same);
	for (size_t i = same; i < dir->n; i++)
		if (push(v, &dir->c[i], err) < 0)
			return -1;
	return 0;
}

/* Whether dir is the top or below it. */
static bool below_top(const struct view *v, const struct archive_path *dir)
{
	if (dir->n < v->top.n)
		return false;
	for (size_t i = 0; i < v->top.n; i++)
		if (archive_name_cmp(&dir->c[i], &v->top.c[i]) != 0)
			return false;
	return true;
}

/* Find the entry that the path names. */
static int find_top(struct view *v, struct err *err)
{
	size_t n = v->top.n;

	if (n == 0) {
		v->is_dir = true;
		v->at = AT_ENTRIES;
		return 0;
	}

	struct archive_path parent = { v->top.c, n - 1 };

	if (archive_catalog_seek(v->c, &parent, &v->top.c[n - 1], err) < 0)
		return -1;

	int r = archive_catalog_next(v->c, &v->dir, &v->entry, err);

	if (r < 0)
		return -1;
	if (r > 0 || archive_path_cmp(&v->dir, &parent) != 0 ||
	    archive_name_cmp(&v->entry.name, &v->top.c[n - 1]) != 0)
		return err_set(err, ERR_NOTFOUND, "the snapshot has no path '%s'", v->opt.path);
	v->is_dir = v->entry.type == FMT_DIRECTORY;
	v->at = AT_TOP;
	return 0;
}

struct view *view_open(const struct view_options *opt, bool all, struct err *err)
{
	struct view *v = mem_zalloc(sizeof(*v), "the view of a snapshot", err);
	const char *path = opt->path != NULL ? opt->path : "";

	if (v == NULL)
		return NULL;
	v->opt = *opt;
	v->opt.path = path;
	v->all = all;
	v->root.included = opt->include == NULL;
	buf_u8(&v->path, 0);
	v->path.len = 0;
	if (archive_path_parse(opt->order_key, path, strlen(path), &v->top, err) < 0)
		goto fail;
	if (opt->dirs != NULL && v->top.n == 0)
		v->root.dir = dirs_root(opt->dirs);
	v->c = archive_catalog_open(opt->io, opt->order_key, &opt->catalog, err);
	if (v->c == NULL || find_top(v, err) < 0)
		goto fail;
	return v;
fail:
	view_close(v);
	return NULL;
}

void view_close(struct view *v)
{
	if (v == NULL)
		return;
	for (size_t i = 0; i < v->n; i++)
		dir_unref(v->frames[i].dir);
	dir_unref(v->root.dir);
	archive_catalog_close(v->c);
	archive_path_release(&v->top);
	free(v->frames);
	buf_release(&v->path);
	buf_release(&v->text);
	free(v);
}

bool view_is_dir(const struct view *v)
{
	return v->is_dir;
}

size_t view_depth(const struct view *v)
{
	return v->top.n;
}

const char *view_dir_path(const struct view *v)
{
	return v->path.p != NULL ? (const char *)v->path.p : "";
}

int view_skip(struct view *v, struct err *err)
{
	if (v->at != AT_ENTRIES)
		return 0;
	return archive_catalog_skip_damage(v->c, err) < 0 ? -1 : 0;
}

static void fill(struct view *v, struct view_entry *ret)
{
	const struct frame *f = last_frame(v);

	*ret = (struct view_entry){
		.dir = f->dir,
		.dir_path = (const char *)v->path.p,
		.dir_path_len = f->end,
		.e = &v->entry,
		.selected = f->included && !f->excluded,
	};
}

/* The entry that the path names, told before what is below it. */
static int next_top(struct view *v, struct view_entry *ret, struct err *err)
{
	struct archive_path at = { v->top.c, v->is_dir ? v->top.n : v->top.n - 1 };
	const struct fmt_comp *name = &v->top.c[v->top.n - 1];

	if (go_to(v, &at, err) < 0)
		return -1;
	fill(v, ret);
	if (v->is_dir) {
		ret->top = true;
		v->at = AT_BLOCK;
		return 0;
	}
	v->at = AT_END;
	if (!name_ok(name))
		return err_set(err, ERR_CORRUPT, "no file can have this name");

	bool included, excluded;

	judge(v, last_frame(v), name, false, &included, &excluded);
	ret->selected = included && !excluded;
	ret->dir = v->opt.dirs != NULL ? dirs_root(v->opt.dirs) : NULL;
	/* The root's node is kept by dirs itself. */
	dir_unref(ret->dir);
	memcpy(ret->name, name->name, name->len);
	ret->len = name->len;
	return 0;
}

int view_next(struct view *v, struct view_entry *ret, struct err *err)
{
	if (v->at == AT_TOP)
		return next_top(v, ret, err);
	if (v->at == AT_BLOCK) {
		struct archive_path top = { v->top.c, v->top.n };

		v->at = AT_ENTRIES;
		if (archive_catalog_seek(v->c, &top, NULL, err) < 0)
			return -1;
	}
	while (v->at == AT_ENTRIES) {
		int r = archive_catalog_next(v->c, &v->dir, &v->entry, err);

		if (r < 0)
			return -1;
		if (r > 0 || !below_top(v, &v->dir))
			break;
		if (go_to(v, &v->dir, err) < 0)
			return -1;
		if (last_frame(v)->bad)
			continue;
		fill(v, ret);
		if (v->entry.name.len == 0) {
			/* Only the root has an entry without a name. */
			if (v->n > 0)
				continue;
			ret->top = true;
			return 0;
		}
		if (!name_ok(&v->entry.name)) {
			tell_bad(v, &v->entry.name);
			continue;
		}

		bool included, excluded;

		judge(v, last_frame(v), &v->entry.name,
		    v->entry.type == FMT_DIRECTORY, &included, &excluded);
		ret->selected = included && !excluded;
		if (!ret->selected && !v->all)
			continue;
		memcpy(ret->name, v->entry.name.name, v->entry.name.len);
		ret->len = v->entry.name.len;
		return 0;
	}
	v->at = AT_END;
	return 1;
}
