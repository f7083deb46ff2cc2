#include <stdlib.h>
#include <string.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/links.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"

/*
 * Appends the items to catalog and state, in order: leaves that are the same
 * as in the parent by their id, all else entry by entry.
 */

/* Make b->comps the path of dir. */
static int set_dir(struct backup *b, struct dir *dir, struct err *err)
{
	if (b->comps_dir == dir)
		return 0;
	if (dir->depth > b->comps_cap) {
		size_t cap = dir->depth * 2u;
		struct fmt_comp *c = realloc(b->comps, cap * sizeof(*c));

		if (c == NULL)
			return err_nomem(err, "a path");
		b->comps = c;
		b->comps_cap = cap;
	}
	b->ncomps = dir->depth;
	for (const struct dir *d = dir; d->parent != NULL; d = d->parent)
		b->comps[d->depth - 1] = (struct fmt_comp){ d->name, d->len, d->h };
	if (b->comps_dir != NULL)
		dir_unref(b->comps_dir);
	b->comps_dir = dir_ref(dir);
	return 0;
}

/* Keep the content of a file with several names for the others. */
static int keep_linked(struct backup *b, const struct item *it,
    const struct fmt_content *c, struct err *err)
{
	struct linked k = {
		.size = c->size,
		.changed = it->bits & FMT_CHANGED,
		.no_carry = it->no_carry,
	};

	if (it->nlink < 2 || !links_seen(b->links, it->dev, it->ino) ||
	    links_get(b->links, it->dev, it->ino, it->digest) != NULL)
		return 0;
	if (content_copy(c, &k.content, err) < 0)
		return -1;
	memcpy(k.digest, it->digest, sizeof(k.digest));
	links_put(b->links, it->dev, it->ino, &k);
	return 0;
}

/* What an earlier name of the inode has stored.  0, or 1 when there is nothing. */
static int linked_content(struct backup *b, struct item *it, struct fmt_content *ret)
{
	const struct linked *k = links_get(b->links, it->dev, it->ino, it->digest);

	if (k == NULL)
		return 1;
	content_tell(&k->content, k->size, ret);
	it->size = k->size;
	it->no_carry = it->no_carry || k->no_carry;
	it->bits |= k->changed ? FMT_CHANGED : 0;
	return 0;
}

/* The parent's state tells where the content is. */
static bool state_tells(const struct item *it)
{
	return it->class == ITEM_SAME && (it->state.bits & FMT_STATE_CONTENT) &&
	    it->state.content.kind != FMT_CONTENT_INLINE;
}

/*
 * Find what the entry's content is.  1: it must be read first (queued), 0 with
 * *ret_has, -1.
 */
static int entry_content(struct backup *b, struct item *it, struct fmt_content *ret,
    bool *ret_has, struct err *err)
{
	*ret_has = false;
	if (it->type != FMT_FILE)
		return 0;
	*ret_has = true;
	if (it->linked) {
		if (linked_content(b, it, ret) == 0)
			return 0;
		/*
		 * Its first name could not be read or was read in another state
		 * of the file, or the table was full.
		 */
		it->linked = false;
		if (!(it->bits & FMT_UNREAD)) {
			item_submit_fetch(b, it, true);
			return 1;
		}
	}
	/* An earlier name may have been bundled anew. */
	if (it->content.kind == CONTENT_NONE && it->class == ITEM_SAME && it->nlink > 1 &&
	    linked_content(b, it, ret) == 0)
		return 0;
	if (it->content.kind == CONTENT_NONE && state_tells(it)) {
		*ret = it->state.content;
		it->size = ret->size;
	} else if (it->content.kind == CONTENT_NONE && (it->bits & FMT_UNREAD)) {
		*ret_has = false;
		return 0;
	} else if (it->content.kind == CONTENT_NONE) {
		return err_set(err, ERR_BUG, "the content of %s was not read", it->name);
	} else {
		content_tell(&it->content, it->size, ret);
	}
	return keep_linked(b, it, ret, err);
}

static void count(struct backup *b, const struct item *it)
{
	struct engine_backup_result *r = b->res;
	struct engine_progress *p = &b->e->progress;

	r->entries++;
	if (it->beyond) {
		b->gained++;
		b->fresh += it->class != ITEM_SAME;
	}
	if (it->type == FMT_DIRECTORY) {
		r->dirs++;
		atomic_fetch_add(&p->dirs_done, 1);
		return;
	}
	if (it->type != FMT_FILE) {
		r->others++;
		atomic_fetch_add(&p->others_done, 1);
		return;
	}
	r->bytes += it->size;
	atomic_fetch_add(&p->files_done, 1);
	if (it->class == ITEM_SAME) {
		r->files_same++;
		atomic_fetch_add(&p->files_same, 1);
	} else if (it->class == ITEM_CHANGED) {
		*(it->reread ? &r->files_reread : &r->files_changed) += 1;
		atomic_fetch_add(&p->files_changed, 1);
	} else {
		r->files_new++;
		atomic_fetch_add(&p->files_new, 1);
	}
	/* A stream has counted its bytes while it went. */
	if (it->class == ITEM_SAME || it->size <= b->medium_max)
		atomic_fetch_add(&p->bytes_done, it->size);
}

static int add_entry(struct backup *b, struct item *it, const struct fmt_content *c,
    bool has_content, struct err *err)
{
	struct archive_tree_entry e = {
		.name = { it->name, it->len, it->h },
		.no_carry = it->no_carry,
		.partial = it->partial,
		.no_state = it->no_state,
	};
	struct fmt_entry *f = &e.entry;

	if (set_dir(b, it->dir, err) < 0)
		return -1;
	e.dir = (struct archive_path){ b->comps, b->ncomps };
	memcpy(e.digest, it->digest, sizeof(e.digest));
	f->type = it->type;
	f->bits = it->bits;
	f->mode = it->mode;
	f->uid = it->uid;
	f->gid = it->gid;
	f->mtime_s = it->mtime_s;
	f->mtime_ns = it->mtime_ns;
	f->ctime_s = it->ctime_s;
	f->ctime_ns = it->ctime_ns;
	if (it->nlink > 1 && it->type != FMT_DIRECTORY) {
		f->bits |= FMT_HAS_LINKS;
		f->device = it->dev;
		f->inode = it->ino;
	}
	if (it->bits & FMT_HAS_XATTRS)
		f->xattrs = fmt_list_of(&it->xattrs);
	f->flags = it->flags;
	f->project = it->project;
	if (it->target != NULL)
		f->target = fmt_str(it->target);
	if (it->bits & FMT_HAS_DEVICE) {
		f->major = it->major;
		f->minor = it->minor;
	}
	if (has_content) {
		f->bits |= FMT_HAS_CONTENT;
		f->content = *c;
	}
	return archive_tree_add(b->tree, &e, err);
}

/* Take the first item off the list and free it. */
static void drop_first(struct backup *b)
{
	pthread_mutex_lock(&b->lock);
	struct item *it = b->first;

	b->first = it->next;
	if (b->first == NULL)
		b->tail = &b->first;
	b->encode_at = b->first;
	b->items--;
	if (b->items == ITEMS_MAX / 2 || b->items == 0)
		pthread_cond_signal(&b->room);
	pthread_mutex_unlock(&b->lock);
	item_free(it);
}

/* --- whole leaves ------------------------------------------------------------------*/

/*
 * The group's items, if all of them are here and ready: they follow each
 * other from `it` on, but for such as are passed over.  Return their number, 0
 * when some are not ready yet.
 */
static unsigned group_ready(struct backup *b, struct item *it)
{
	struct group *g = it->group;
	unsigned n = 0;

	pthread_mutex_lock(&b->lock);
	for (; it != NULL && n < g->matched && it->bundled &&
	    (it->passed || (it->group == g && it->carry)); it = it->next)
		n += !it->passed;
	pthread_mutex_unlock(&b->lock);
	return n == g->matched ? n : 0;
}

/* The next item that is not passed over; there is one. */
static const struct item *next_carried(const struct item *it)
{
	do
		it = it->next;
	while (it->passed);
	return it;
}

/* Paths of the items' directories, each made once. */
static int carried_paths(struct item *first, unsigned n, struct archive_carried *v,
    struct fmt_comp **ret_comps, struct err *err)
{
	size_t total = 0;
	const struct item *it = first;
	const struct dir *last = NULL;

	/* What follows the last item is the walk's. */
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			it = next_carried(it);
		if (it->dir != last)
			total += it->dir->depth;
		last = it->dir;
	}

	struct fmt_comp *c = mem_array(total, sizeof(*c), "a leaf's paths", err);

	if (c == NULL)
		return -1;
	*ret_comps = c;
	it = first;
	last = NULL;
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			it = next_carried(it);
		if (it->dir != last) {
			for (const struct dir *d = it->dir; d->parent != NULL; d = d->parent)
				c[d->depth - 1] = (struct fmt_comp){ d->name, d->len, d->h };
			v[i].dir = (struct archive_path){ c, it->dir->depth };
			c += it->dir->depth;
		} else {
			v[i].dir = v[i - 1].dir;
		}
		last = it->dir;
		v[i].name = (struct fmt_comp){ it->name, it->len, it->h };
		v[i].state = &it->state;
	}
	return 0;
}

static int carry_group(struct backup *b, struct item *first, unsigned n, struct err *err)
{
	CLEANUP_FREE struct archive_carried *v = mem_array(n, sizeof(*v), "a leaf", err);
	CLEANUP_FREE struct fmt_comp *comps = NULL;

	if (v == NULL || carried_paths(first, n, v, &comps, err) < 0)
		return -1;
	if (archive_tree_carry(b->tree, first->group->leaf, v, n, err) < 0)
		return -1;
	for (unsigned i = 0; i < n; i += !first->passed, drop_first(b)) {
		first = b->encode_at;
		if (first->passed)
			continue;
		if (first->type == FMT_FILE && state_tells(first) &&
		    keep_linked(b, first, &first->state.content, err) < 0)
			return -1;
		count(b, first);
	}
	return 0;
}

/* A small file that was read after the bundles had passed: a chunk of its own. */
static int store_alone(struct backup *b, struct item *it, struct err *err)
{
	struct content *c = &it->content;
	struct fmt_run run = { .kind = FMT_RUN_CHUNK, .len = it->size };

	if (backup_put(b, b->nstorers - 1, STORE_DATA, c->bytes, it->size, run.id, err) < 0)
		return -1;
	atomic_fetch_sub(&b->held, it->size);
	free(c->bytes);
	c->bytes = NULL;
	c->kind = FMT_CONTENT_RUNS;
	fmt_list_add_run(&c->runs, &run);
	return buf_check(&c->runs.b, "a chunk list", err);
}

/* --- in order ------------------------------------------------------------------------*/

/* 1: encoded and dropped; 0: something is to be waited for; -1. */
static int encode_item(struct backup *b, struct item *it, struct err *err)
{
	struct fmt_content c = { 0 };
	bool has;

	if (it->carry) {
		if (archive_tree_at_cut(b->tree)) {
			unsigned n = group_ready(b, it);

			if (n == 0)
				return 0;
			return carry_group(b, it, n, err) < 0 ? -1 : 1;
		}
		/* The tree is not cut here: this leaf is written anew. */
		merge_spoil(b, it->group);
		return 0;
	}
	if (atomic_load_explicit(&it->busy, memory_order_acquire) > 0)
		return 0;
	/* Workers read nothing more then, and what they left is not to be told. */
	if (backup_stopping(b))
		return 0;
	if (it->content.bundle != NULL &&
	    !atomic_load_explicit(&it->content.bundle->stored, memory_order_acquire))
		return 0;
	if (it->content.kind == FMT_CONTENT_SLICE && it->content.bytes != NULL &&
	    store_alone(b, it, err) < 0)
		return -1;
	if (!it->gone && it->type != 0) {
		int r = entry_content(b, it, &c, &has, err);

		if (r != 0)
			return r < 0 ? -1 : 0;
		if (add_entry(b, it, &c, has, err) < 0)
			return -1;
		count(b, it);
	}
	drop_first(b);
	return 1;
}

int encode_step(struct backup *b, struct err *err)
{
	int did = 0;
	struct item *it;

	while ((it = b->encode_at) != NULL && it->decided && it->bundled) {
		int r = encode_item(b, it, err);

		if (r < 0)
			return -1;
		if (r == 0)
			break;
		did = 1;
	}
	if (did || !backup_stuck(b))
		return did;
	/*
	 * The walk waits for room and all that it gave is merged: an undecided
	 * item can be in the way then, and it stops the bundles first; or, when
	 * no worker has anything left to do, the bundle that is open.
	 */
	it = b->bundle_at;
	if (it != NULL && !it->decided) {
		merge_force(b, it);
		return 1;
	}
	if (it == NULL && b->bundle != NULL && atomic_load(&b->tasks) == 0) {
		bundle_flush(b);
		return 1;
	}
	return 0;
}

int encode_partial(struct backup *b, struct err *err)
{
	struct item *it = b->encode_at;
	struct fmt_content c = { 0 };

	/* Only of what is not to be read again in any case. */
	if (it == NULL || !it->partial || it->size == 0 || it->gone || it->no_state ||
	    it->no_carry || (it->bits & (FMT_CHANGED | FMT_UNREAD)) ||
	    it->content.kind == CONTENT_NONE)
		return 0;
	content_tell(&it->content, it->size, &c);
	it->bits |= FMT_UNREAD;
	if (add_entry(b, it, &c, true, err) < 0)
		return -1;
	b->res->entries++;
	b->res->bytes += it->size;
	b->res->files_new++;
	b->gained++;
	b->fresh++;
	return 0;
}
