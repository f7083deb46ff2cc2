#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/restore_internal.h"
#include "agent/engine/walk.h"

/*
 * What the target has and the snapshot has not: both are walked in the order
 * of the catalog, and merged.
 */
struct deleting {
	struct restore *r;
	struct view *v;
	struct view_entry at;    /* the catalog's next */
	bool more;
	struct fmt_comp *dir[2]; /* paths of the directories that are compared */
	size_t cap[2];
	struct dir *of[2];       /* whose they are */
	struct table *gone;      /* dry run: directories that would be gone */
	struct buf text;
};

/* The path of dir in the i-th place; NULL when memory is short. */
static int set_path(struct deleting *d, unsigned i, struct dir *dir,
    struct archive_path *ret, struct err *err)
{
	*ret = (struct archive_path){ d->dir[i], dir->depth };
	if (d->of[i] == dir)
		return 0;
	if (dir->depth > d->cap[i]) {
		size_t cap = dir->depth * 2u;
		struct fmt_comp *c = reallocarray(d->dir[i], cap, sizeof(*c));

		if (c == NULL)
			return err_nomem(err, "a path");
		d->dir[i] = c;
		d->cap[i] = cap;
		ret->c = c;
	}
	for (const struct dir *p = dir; p->parent != NULL; p = p->parent)
		d->dir[i][p->depth - 1] = (struct fmt_comp){ p->name, p->len, p->h };
	dir_unref(d->of[i]);
	d->of[i] = dir_ref(dir);
	return 0;
}

/* Step along the catalog to the first entry that is not below the key. */
static int catch_up(struct deleting *d, struct dir *dir, const struct fmt_comp *name,
    bool *ret_found, struct err *err)
{
	struct archive_path have, want;

	*ret_found = false;
	if (set_path(d, 0, dir, &have, err) < 0)
		return -1;
	while (d->more) {
		int c = -1;

		if (!d->at.top) {
			if (set_path(d, 1, d->at.dir, &want, err) < 0)
				return -1;
			c = archive_path_cmp(&want, &have);
			if (c == 0)
				c = archive_name_cmp(&d->at.e->name, name);
		}
		if (c >= 0) {
			*ret_found = c == 0;
			return 0;
		}

		int res = view_next(d->v, &d->at, err);

		if (res < 0)
			return -1;
		d->more = res == 0;
	}
	return 0;
}

/*
 * A dry run walks on into what would be gone.  1: the entry lies in there.
 */
static int in_gone(struct deleting *d, struct dir *dir, const struct fmt_comp *name,
    bool is_dir, struct err *err)
{
	uint64_t key[2], value;
	int res;

	restore_dir_key(dir, NULL, key);
	res = table_get(d->gone, key[0], key[1], &value, err);
	if (res != 0)
		return res < 0 ? -1 : 0;
	restore_dir_key(dir, name, key);
	if (is_dir && table_add(d->gone, key[0], key[1], 0, &value, err) < 0)
		return -1;
	return 1;
}

static int note_gone(struct deleting *d, struct dir *dir, const struct fmt_comp *name,
    struct err *err)
{
	uint64_t key[2], value;

	restore_dir_key(dir, name, key);
	return table_add(d->gone, key[0], key[1], 0, &value, err) < 0 ? -1 : 0;
}

/* Whether the patterns speak of it: what they leave out is not touched. */
static bool is_selected(struct deleting *d, const char *path, bool is_dir)
{
	const struct engine_restore_options *o = d->r->opt;
	bool included = o->include == NULL;
	size_t len = strlen(path);
	struct buf *t = &d->text;

	if (o->include == NULL && o->exclude == NULL)
		return true;
	for (size_t n = 1; n <= len; n++) {
		if (n < len && path[n] != '/')
			continue;
		buf_reset(t);
		buf_add(t, path, n);
		buf_u8(t, 0);
		if (t->failed)
			return false;

		bool as_dir = n < len || is_dir;

		if (o->exclude != NULL &&
		    engine_filter_match(o->exclude, (char *)t->p, as_dir) > 0)
			return false;
		if (o->include != NULL) {
			int m = engine_filter_match(o->include, (char *)t->p, as_dir);

			included = m > 0 || (m == 0 && included);
		}
	}
	return included;
}

static void remove_extra(struct deleting *d, struct dir *dir, const char *name, bool is_dir)
{
	struct restore *r = d->r;
	struct buf path = BUF_INIT;
	struct err why;
	int res = 0;

	buf_str(&path, r->prefix);
	if (path.len > 0)
		buf_u8(&path, '/');
	dir_path(dir, &path);
	if (dir->depth > 0)
		buf_u8(&path, '/');
	buf_str(&path, name);
	buf_u8(&path, 0);
	if (path.failed || !is_selected(d, (char *)path.p, is_dir)) {
		buf_release(&path);
		return;
	}
	if (!r->dry) {
		int fd = dir_pin(dir, &why);

		res = fd < 0 ? -1 : restore_remove(r, fd, name, true, &why);
		if (fd >= 0)
			dir_unpin(dir);
	}
	if (res < 0) {
		restore_report_path(r, (char *)path.p, &why);
	} else {
		atomic_fetch_add(&r->deleted, 1);
		restore_action_path(r, (char *)path.p, "delete", 0);
	}
	buf_release(&path);
}

static int entry(void *ctx, struct dir *dir, const char *name, size_t len, uint64_t h,
    uint8_t dtype, bool no_state, struct err *err)
{
	struct deleting *d = ctx;
	struct fmt_comp comp = { name, len, h };
	bool found;

	(void)no_state;
	if (len == 0)
		return 0;
	if (d->r->dry) {
		int in = in_gone(d, dir, &comp, dtype == DT_DIR, err);

		if (in != 0)
			return in < 0 ? -1 : 0;
	}
	if (catch_up(d, dir, &comp, &found, err) < 0)
		return -1;
	if (found || restore_stopped(d->r))
		return restore_stopped(d->r) ? -1 : 0;
	/* A file system keeps this one for its own repair. */
	if (dir->depth == 0 && dtype == DT_DIR && strcmp(name, "lost+found") == 0)
		return 0;
	remove_extra(d, dir, name, dtype == DT_DIR);
	return d->r->dry && dtype == DT_DIR ? note_gone(d, dir, &comp, err) : 0;
}

/* A directory that cannot be listed: one that was just removed, or told. */
static void bad(void *ctx, const char *path, const struct err *why)
{
	struct deleting *d = ctx;

	if (why->class != ERR_NOTFOUND)
		restore_report_path(d->r, path, why);
}

static bool cancelled(void *ctx)
{
	const struct deleting *d = ctx;

	return restore_stopped(d->r);
}

int restore_delete(struct restore *r, struct err *err)
{
	struct deleting d = { .r = r, .text = BUF_INIT };
	struct walk_options w = {
		.order_key = r->order_key,
		.memory = r->e->budget.walk / 2,
		.entry = entry,
		.bad = bad,
		.cancelled = cancelled,
		.ctx = &d,
	};
	int res = -1;

	d.gone = table_new(r->e->budget.walk / 8, err);
	if (d.gone != NULL)
		d.v = restore_view(r, true, err);
	if (d.v != NULL && !view_is_dir(d.v)) {
		res = 0;
	} else if (d.v != NULL) {
		res = view_next(d.v, &d.at, err);
		d.more = res == 0;
		if (res >= 0)
			res = walk_tree(r->dirs, &w, err);
	}
	view_close(d.v);
	table_free(d.gone);
	for (unsigned i = 0; i < 2; i++) {
		dir_unref(d.of[i]);
		free(d.dir[i]);
	}
	buf_release(&d.text);
	return res;
}
