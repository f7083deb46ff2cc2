#include <stdlib.h>
#include <string.h>

#include "agent/engine/restore_internal.h"
#include "repo/base/mem.h"

#define LOOK_BATCH 64u
/* Items that are looked at together, in place or to verify. */
#define LOOK_ITEMS 4096u

/* Items that wait to be looked at and planned, in the catalog's order. */
struct looking {
	struct ritem *v[LOOK_ITEMS];
	size_t n;
};

/* --- looking ---------------------------------------------------------------------------------*/

static void run_look(struct pool_task *task, unsigned self)
{
	struct rbatch *b = (struct rbatch *)task;
	struct ritem *it = b->first;

	(void)self;
	/* The items stay on the list of those who wait. */
	for (unsigned i = 0; i < b->n; i++, it = it->next)
		if (!restore_stopped(b->r))
			restore_look(it);
	restore_batch_done(b);
}

static int look_flush(struct restore *r, struct looking *l, struct err *err)
{
	size_t i = 0;
	int res = 0;

	while (i < l->n && res == 0) {
		struct rbatch *b = restore_batch_new(r, err);

		if (b == NULL) {
			res = -1;
			break;
		}
		b->first = l->v[i];
		for (; i < l->n && b->n < LOOK_BATCH; i++, b->n++)
			l->v[i]->next = i + 1 < l->n ? l->v[i + 1] : NULL;
		restore_submit(r, b, run_look);
	}
	restore_wait(r);
	for (i = 0; i < l->n; i++) {
		if (res == 0)
			res = restore_plan(r, l->v[i], err);
		else
			restore_item_free(l->v[i]);
	}
	l->n = 0;
	return res;
}

static int item_add(struct restore *r, struct looking *l, struct ritem *it, struct err *err)
{
	if (r->verifying)
		it->how = HOW_VERIFY;
	if (!r->in_place && !r->verifying)
		return restore_plan(r, it, err);
	l->v[l->n++] = it;
	return l->n == LOOK_ITEMS ? look_flush(r, l, err) : 0;
}

/* --- along the catalog ------------------------------------------------------------------------*/

static void bad_name(void *ctx, const char *path, const struct err *why)
{
	restore_report_path(ctx, path, why);
}

struct view *restore_view(struct restore *r, bool all, struct err *err)
{
	struct view_options o = {
		.io = pages_io(r->pages),
		.order_key = r->order_key,
		.path = r->opt->path,
		.include = r->opt->include,
		.exclude = r->opt->exclude,
		.dirs = r->dirs,
		.bad = r->telling ? bad_name : NULL,
		.ctx = r,
	};

	memcpy(o.catalog.id, r->sn->catalog.id, sizeof(o.catalog.id));
	o.catalog.level = r->sn->catalog.level;
	o.catalog.entries = r->sn->catalog.entries;
	return view_open(&o, all, err);
}

int restore_skip_damage(struct restore *r, struct view *v, struct err *err)
{
	if (err->class != ERR_CORRUPT && err->class != ERR_NOTFOUND)
		return -1;
	/* Every way along the catalog meets it; the first one tells. */
	if (r->telling) {
		err_wrap(err, "a part of the catalog is damaged; what it names cannot be "
		    "restored");
		err->class = ERR_CORRUPT;
		restore_report_path(r, view_dir_path(v), err);
	}
	return view_skip(v, err);
}

static int tree_entry(struct restore *r, struct looking *l, const struct view_entry *v,
    struct err *err)
{
	if (v->top) {
		if (!r->verifying)
			atomic_fetch_add(&r->dirs_done, 1);
		return 0;
	}
	if (r->in_place && !r->verifying) {
		if (restore_inplace_parents(r, v, err) < 0)
			return -1;
		if (v->e->type == FMT_DIRECTORY)
			return restore_inplace_dir(r, v, err);
	}

	struct ritem *it = restore_item_new(r, v, err);

	return it != NULL ? item_add(r, l, it, err) : -1;
}

static int tree_walk(struct restore *r, struct looking *l, struct err *err)
{
	struct view_entry ve;
	struct view *v = restore_view(r, false, err);
	int res;

	if (v == NULL)
		return -1;
	for (;;) {
		res = view_next(v, &ve, err);
		if (res < 0) {
			res = restore_skip_damage(r, v, err);
			r->catalog_damaged = true;
			if (res < 0)
				break;
			continue;
		}
		if (res > 0) {
			res = look_flush(r, l, err);
			break;
		}
		res = tree_entry(r, l, &ve, err);
		if (res < 0)
			break;
	}
	view_close(v);
	return res;
}

int restore_tree(struct restore *r, struct err *err)
{
	struct looking *l = mem_zalloc(sizeof(*l), "the plan of a restore", err);
	int res = l != NULL ? tree_walk(r, l, err) : -1;

	/* What was planned is told or dropped in any case. */
	if (res < 0)
		restore_fail(r, err);
	if (restore_window_end(r, err) < 0)
		res = -1;
	for (size_t i = 0; l != NULL && i < l->n; i++)
		restore_item_free(l->v[i]);
	restore_links_drop(r);
	free(l);
	return res;
}
