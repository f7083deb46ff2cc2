#include <stdlib.h>
#include <string.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/links.h"
#include "agent/engine/rebundle.h"
#include "repo/base/bytes.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"

/*
 * Compares the items with the parent's state, both being in one order.  What
 * is new or has changed is read; what is the same keeps its content, and
 * where a whole catalog leaf of the parent is the same it is carried over by
 * its id.  That can be said only when the merge has come to the leaf's end, so
 * its items wait undecided until then, or until something makes it dirty.
 * Items may have to wait for the rule about inodes and for the bundle that
 * holds them (rebundle.c) before that.
 */

/* Regular files after which it is decided whether inode numbers count. */
#ifndef INODE_SAMPLE
#define INODE_SAMPLE 1000u
#endif
/* As many with their inode unchanged settle it at once. */
#ifndef INODE_PROOF
#define INODE_PROOF 100u
#endif

void merge_group_unref(struct group *g)
{
	if (--g->refs == 0)
		free(g);
}

/* Encode it anew: what the state does not say is read again. */
static void decide_anew(struct backup *b, struct item *it)
{
	it->carry = false;
	it->decided = true;
	/* A state says that bytes stand in the catalog, not which. */
	bool content = it->state.content.kind == FMT_CONTENT_INLINE &&
	    (it->state.bits & FMT_STATE_CONTENT);

	item_submit_fetch(b, it, content);
}

void merge_spoil(struct backup *b, struct group *g)
{
	if (g == NULL || g->dirty)
		return;
	g->dirty = true;
	for (struct item *it = g->items; it != NULL; it = it->same_next)
		decide_anew(b, it);
	g->items = NULL;
	g->tail = &g->items;
}

static void group_close(struct group *g)
{
	if (g == NULL)
		return;
	g->closed = true;
	if (!g->dirty) {
		for (struct item *it = g->items; it != NULL; it = it->same_next) {
			it->carry = true;
			it->decided = true;
		}
	}
	merge_group_unref(g);
}

/* Remember where the checkpoint's state is, for it may end here. */
static int keep_place(struct backup *b, struct err *err)
{
	size_t n = b->at.ndir;

	if (n > b->last_cap) {
		uint64_t *v = reallocarray(b->last_dir, 2 * n, sizeof(*v));

		if (v == NULL)
			return err_nomem(err, "a path");
		b->last_dir = v;
		b->last_cap = 2 * n;
	}
	if (n > 0)
		memcpy(b->last_dir, b->at.dir, n * sizeof(*b->last_dir));
	b->last_ndir = n;
	b->last_h = b->at.entry.h;
	b->has_last = true;
	return 0;
}

static void settle_by_majority(struct backup *b);

/* No checkpoint has been where the merge is now. */
static void go_beyond(struct backup *b)
{
	b->beyond = true;
	if (b->beyond_ns == 0)
		b->beyond_ns = clock_mono_ns();
}

/*
 * The checkpoint's state has ended: go on in that of the whole snapshot before
 * it, behind the same place.  As archive_state_next.
 */
static int leave_checkpoint(struct backup *b, struct err *err)
{
	struct archive_ref root;
	struct group *g;

	b->in_checkpoint = false;
	go_beyond(b);
	/* Nobody is to wait for slices that may not come, or far behind. */
	rebundle_end(b, b->rest_of != NULL);
	if (b->rest_of == NULL)
		return 1;
	/* What was seen of inodes says nothing about the older snapshot's. */
	if (b->inode_rule == 0)
		settle_by_majority(b);
	b->inode_rule = b->rounds->inode_rule;
	b->inode_seen = b->inode_moved = 0;
	/* Its last leaf ended for want of more, and of the next the start is not seen. */
	g = mem_zalloc(sizeof(*g), "a leaf's entries", err);
	if (g == NULL)
		return -1;
	merge_spoil(b, b->at_group);
	group_close(b->at_group);
	g->refs = 1;
	g->tail = &g->items;
	g->dirty = true;
	b->at_group = g;
	archive_state_close(b->state);
	memcpy(root.id, b->rest_of->state.id, sizeof(root.id));
	root.level = b->rest_of->state.level;
	root.entries = b->rest_of->state.entries;
	b->carry = b->rest_carry;
	b->state = archive_state_open(&b->io, &root, err);
	if (b->state == NULL || (b->has_last && archive_state_seek_behind(b->state,
	        b->last_dir, b->last_ndir, b->last_h, err) < 0))
		return -1;
	return archive_state_next(b->state, &b->at, err);
}

/* Step the state to its next entry. */
static int state_step(struct backup *b, struct err *err)
{
	if (b->state_more)
		rebundle_pass(b, &b->at.entry);

	int r = archive_state_next(b->state, &b->at, err);

	if (r == 1 && b->in_checkpoint)
		r = leave_checkpoint(b, err);
	if (r == 0 && b->in_checkpoint)
		r = keep_place(b, err);
	if (r < 0)
		return err_wrap(err, "cannot read the parent's state");
	b->state_more = r == 0;
	/* The last leaf stays open: what comes behind it belongs into it. */
	if (r == 1)
		return 0;
	if (b->at.leaf == NULL && b->at_group == NULL)
		return err_set(err, ERR_CORRUPT, "the parent's state names no catalog leaf first");
	if (b->at.leaf != NULL) {
		struct group *g = mem_zalloc(sizeof(*g), "a leaf's entries", err);

		if (g == NULL)
			return -1;
		group_close(b->at_group);
		memcpy(g->leaf, b->at.leaf, sizeof(g->leaf));
		g->refs = 1;
		g->tail = &g->items;
		/* Without R3 no catalog page may be taken over unread; zeros mark a
		 * leaf that holds what the state does not tell. */
		g->dirty = !b->carry || bytes_are_zero(g->leaf, sizeof(g->leaf));
		if (!g->dirty && b->healing) {
			r = store_carry(b->ss, g->leaf, err);
			if (r < 0)
				return -1;
			g->dirty = r > 0;
		}
		b->at_group = g;
	}
	return 0;
}

int merge_begin(struct backup *b, const struct store_snapshot *parent, struct err *err)
{
	struct archive_ref root;

	b->inode_rule = 1;
	b->has_parent = parent != NULL;
	b->in_checkpoint = parent != NULL && parent->checkpoint;
	b->beyond = !b->in_checkpoint;
	b->beyond_ns = b->beyond ? b->session_ns : 0;
	if (parent == NULL)
		return 0;
	b->inode_rule = b->in_checkpoint ? 0 : b->rounds->inode_rule;
	memcpy(root.id, parent->state.id, sizeof(root.id));
	root.level = parent->state.level;
	root.entries = parent->state.entries;
	b->state = archive_state_open(&b->io, &root, err);
	if (b->state == NULL)
		return -1;
	return state_step(b, err);
}

/* Order of an item against the state's next entry. */
static int item_cmp(const struct item *it, const struct archive_state_item *at)
{
	uint64_t stack[128];
	uint64_t *h = stack;
	unsigned n = it->dir->depth, i;
	int c = 0;

	if (n > sizeof(stack) / sizeof(stack[0])) {
		h = malloc(n * sizeof(*h));
		if (h == NULL)
			return -1; /* taken for new: read, never lost */
	}
	i = n;
	for (const struct dir *d = it->dir; d->parent != NULL; d = d->parent)
		h[--i] = d->h;
	for (i = 0; i < n && i < at->ndir && c == 0; i++)
		c = h[i] < at->dir[i] ? -1 : h[i] > at->dir[i];
	if (c == 0 && n != at->ndir)
		c = n < at->ndir ? -1 : 1;
	if (c == 0)
		c = it->h < at->entry.h ? -1 : it->h > at->entry.h;
	if (h != stack)
		free(h);
	return c;
}

/*
 * May what the state names be carried over?  Without R3, is it still there?
 * Return 0; 1 when the file must be read; -1.
 */
static int all_present(struct backup *b, const struct fmt_content *c, struct err *err)
{
	struct fmt_run run;
	struct archive_ref root = { .level = c->level, .entries = c->entries };
	int r = 0;

	if (b->carry && !b->healing)
		return 0;
	if (c->kind == FMT_CONTENT_SLICE)
		return backup_may_carry(b, c->id, err);
	if (c->kind == FMT_CONTENT_RUNS) {
		struct fmt_list list = c->runs;

		while (r == 0 && fmt_run_next(&list, &run) == 0)
			if (run.kind == FMT_RUN_CHUNK)
				r = backup_may_carry(b, run.id, err);
		return r;
	}
	if (c->kind != FMT_CONTENT_MAP)
		return 0;
	memcpy(root.id, c->id, sizeof(root.id));
	return backup_may_carry_map(b, &root, err);
}

/* Keep the state's entry: what it borrows is gone with the next step. */
static int keep_state(struct item *it, const struct fmt_state_entry *e, struct err *err)
{
	const struct fmt_content *c = &e->content;
	size_t idlen = c->id != NULL && (c->kind == FMT_CONTENT_SLICE ||
	    c->kind == FMT_CONTENT_MAP) ? FMT_ID_LEN : 0;
	size_t runs = c->kind == FMT_CONTENT_RUNS ? c->runs.len : 0;

	it->state = *e;
	if (!(e->bits & FMT_STATE_CONTENT) || idlen + runs == 0)
		return 0;
	it->state_bytes = malloc(idlen + runs);
	if (it->state_bytes == NULL)
		return err_nomem(err, "a file's chunk list");
	if (idlen > 0) {
		memcpy(it->state_bytes, c->id, idlen);
		it->state.content.id = it->state_bytes;
	}
	if (runs > 0) {
		memcpy(it->state_bytes, c->runs.p, runs);
		it->state.content.runs.p = it->state_bytes;
	}
	return 0;
}

/* It has to be read, whole. */
static void read_item(struct backup *b, struct item *it, enum item_class class)
{
	it->class = class;
	it->decided = true;
	if (it->gone || it->type == 0)
		return;
	if (it->type == FMT_FILE && it->nlink > 1) {
		if (links_seen(b->links, it->dev, it->ino)) {
			it->linked = true;
			if (!it->fetched)
				item_submit_fetch(b, it, false);
			return;
		}
		links_add(b->links, it->dev, it->ino);
	}
	if (!it->fetched || (it->type == FMT_FILE && it->content.kind == CONTENT_NONE &&
	    !(it->bits & FMT_UNREAD)))
		item_submit_fetch(b, it, true);
}

/* It is the same.  Decide about it when nothing else is waited for. */
static void settle_same(struct backup *b, struct item *it)
{
	struct group *g = it->group;

	it->class = ITEM_SAME;
	if (it->type == FMT_FILE && it->nlink > 1 && !links_seen(b->links, it->dev, it->ino))
		links_add(b->links, it->dev, it->ino);
	if (it->old != NULL)
		return;
	if (it->rebundle) {
		merge_spoil(b, g);
		it->decided = true;
		item_submit_fetch(b, it, true);
		return;
	}
	if (g->dirty) {
		decide_anew(b, it);
		return;
	}
	it->same_next = NULL;
	*g->tail = it;
	g->tail = &it->same_next;
	/* The rule about inodes can settle items after their leaf has ended. */
	if (g->closed) {
		it->carry = true;
		it->decided = true;
	}
}

void merge_settle(struct backup *b, struct item *it)
{
	if (!it->waits_inode)
		settle_same(b, it);
}

static void settle_changed(struct backup *b, struct item *it)
{
	if (it->old != NULL)
		rebundle_leave(it);
	merge_spoil(b, it->group);
	read_item(b, it, ITEM_CHANGED);
}

/* Decide the items that waited for the rule about inodes. */
static void settle_waiting(struct backup *b)
{
	while (b->waiting_first != NULL) {
		struct item *it = b->waiting_first;

		b->waiting_first = it->wait_next;
		it->waits_inode = false;
		it->reread = false;
		if (b->inode_rule == 2)
			settle_same(b, it);
		else
			settle_changed(b, it);
	}
	b->waiting_tail = &b->waiting_first;
}

static void set_inode_rule(struct backup *b, int rule)
{
	b->inode_rule = rule;
	if (rule == 2)
		b->res->flags |= STORE_INODES_IGNORED;
	settle_waiting(b);
}

/* Settle the rule by what was seen so far. */
static void settle_by_majority(struct backup *b)
{
	set_inode_rule(b, 2 * b->inode_moved > b->inode_seen ? 2 : 1);
}

/*
 * Does the state tell the beginning of this very file's content?  A session
 * that ended in the midst of it has left that.
 */
static bool may_resume(const struct item *it, const struct fmt_state_entry *e)
{
	return (e->bits & FMT_STATE_PARTIAL) && it->type == FMT_FILE && e->type == FMT_FILE &&
	    memcmp(it->digest, e->digest, sizeof(it->digest)) == 0 &&
	    e->content.size < it->size;
}

/* The item has the same place as the state's entry: is it the same? */
static int settle_match(struct backup *b, struct item *it, struct err *err)
{
	const struct fmt_state_entry *e = &b->at.entry;
	unsigned same = fmt_digest_same(it->digest, e->digest);
	int present;

	it->group = b->at_group;
	it->group->refs++;
	it->group->matched++;
	if (b->opt->ignore_ctime)
		same |= FMT_SAME_CTIME;
	if (it->type == FMT_FILE && b->inode_rule == 0 &&
	    (same & FMT_SAME_DATA) && (same & FMT_SAME_CTIME)) {
		b->inode_seen++;
		b->inode_moved += !(same & FMT_SAME_INODE);
	}
	if (b->inode_rule == 2)
		same |= FMT_SAME_INODE;
	bool differs = it->gone || it->type != e->type || !(same & FMT_SAME_DATA) ||
	    !(same & FMT_SAME_CTIME) || (!(same & FMT_SAME_INODE) && b->inode_rule == 1);

	it->reread = !differs;
	if (differs || (e->bits & FMT_NO_CARRY)) {
		if (!it->gone && may_resume(it, e)) {
			if (keep_state(it, e, err) < 0)
				return -1;
			it->resume = it->beyond = true;
			it->trusted = b->carry && !b->healing;
			go_beyond(b);
		}
		settle_changed(b, it);
		return 0;
	}
	present = (e->bits & FMT_STATE_CONTENT) ? all_present(b, &e->content, err) : 0;
	if (present != 0) {
		if (present > 0)
			settle_changed(b, it);
		return present < 0 ? -1 : 0;
	}
	if (keep_state(it, e, err) < 0)
		return -1;
	/* Other names of an inode would count its slice twice. */
	if ((e->bits & FMT_STATE_CONTENT) && e->content.kind == FMT_CONTENT_SLICE &&
	    (it->nlink == 1 || !links_seen(b->links, it->dev, it->ino)) &&
	    rebundle_join(b, it, err) < 0)
		return -1;
	if (!(same & FMT_SAME_INODE)) {
		it->waits_inode = true;
		it->wait_next = NULL;
		*b->waiting_tail = it;
		b->waiting_tail = &it->wait_next;
	} else {
		settle_same(b, it);
	}
	if (b->inode_rule == 0) {
		if (b->inode_seen - b->inode_moved >= INODE_PROOF)
			set_inode_rule(b, 1);
		else if (b->inode_seen >= INODE_SAMPLE)
			set_inode_rule(b, 2);
	}
	return 0;
}

static int merge_item(struct backup *b, struct item *it, struct err *err)
{
	it->small = it->type == FMT_FILE && it->size < SMALL_MAX;
	if (it->no_state && !it->gone) {
		it->beyond = b->beyond;
		merge_spoil(b, b->at_group);
		read_item(b, it, ITEM_NEW);
		return 0;
	}
	while (b->state_more) {
		int c = item_cmp(it, &b->at);

		if (c < 0)
			break;
		it->beyond = b->beyond;
		if (c == 0)
			return settle_match(b, it, err) < 0 ? -1 : state_step(b, err);
		/* The state's entry is no more. */
		merge_spoil(b, b->at_group);
		if (state_step(b, err) < 0)
			return -1;
	}
	it->beyond = b->beyond;
	if (it->gone) {
		/* Neither here nor there: its leaf may be carried over. */
		it->passed = it->decided = true;
		return 0;
	}
	merge_spoil(b, b->at_group);
	read_item(b, it, ITEM_NEW);
	return 0;
}

void merge_tell(struct backup *b)
{
	if (b->has_parent && !b->in_checkpoint)
		b->rounds->inode_rule = b->inode_rule;
	if (b->inode_rule == 2)
		b->res->flags |= STORE_INODES_IGNORED;
}

void merge_force(struct backup *b, struct item *it)
{
	if (it->waits_inode)
		settle_by_majority(b);
	else if (it->old != NULL)
		rebundle_force(b, it);
	else
		merge_spoil(b, it->group);
}

/* The walk is over: nothing of the rest of the state is there any more. */
static int merge_end(struct backup *b, struct err *err)
{
	b->merge_ended = true;
	while (b->state_more) {
		merge_spoil(b, b->at_group);
		if (state_step(b, err) < 0)
			return -1;
	}
	if (b->inode_rule == 0)
		settle_by_majority(b);
	rebundle_end(b, false);
	group_close(b->at_group);
	b->at_group = NULL;
	return 0;
}

/*
 * Reading is held back while much small content waits to be stored; but not
 * when the bundles wait for a decision that going on brings soon: the end of
 * a leaf of which everything is the same so far, so that nothing is read.
 */
static bool hold_back(struct backup *b)
{
	struct item *it = b->bundle_at;

	if (atomic_load(&b->held) <= b->held_max || it == b->merge_at)
		return false;
	while (!it->decided && (it->waits_inode || it->old != NULL))
		merge_force(b, it);
	return it->decided;
}

int merge_step(struct backup *b, struct err *err)
{
	int did = 0;
	struct item *it;

	while ((it = b->merge_at) != NULL) {
		if (!atomic_load_explicit(&it->looked, memory_order_acquire))
			return did;
		if (hold_back(b))
			return did;
		if (merge_item(b, it, err) < 0)
			return -1;
		did = 1;
		backup_advance(b, &b->merge_at);
	}
	if (!b->merge_ended && backup_walk_over(b, &b->merge_at)) {
		did = 1;
		if (merge_end(b, err) < 0)
			return -1;
	}
	return did;
}
