#include <stdlib.h>
#include <string.h>

#include "repo/archive/archive_internal.h"
#include "repo/base/mem.h"

/*
 * The steps through a tree of pages that all readers share.  A cursor stands
 * on a page not yet opened, on an entry, or at the end.  What makes it safe
 * over bytes that anyone may have written: levels fall by one from parent to
 * child, a child begins with the key that its parent says and stays below its
 * next sibling's, and numbers add up; so no page is visited twice.  A page is
 * looked through whole before any of it is told.
 */

int archive_cursor_init(struct archive_cursor *c, const struct archive_io *io,
    const struct archive_cursor_ops *ops, const uint8_t *order_key,
    const struct archive_ref *root, struct err *err)
{
	bool none = bytes_are_zero(root->id, sizeof(root->id));

	memset(c, 0, sizeof(*c));
	c->io = *io;
	c->ops = ops;
	c->root = *root;
	fmt_page_reader_init(&c->reader);
	c->has_order_key = order_key != NULL;
	if (c->has_order_key)
		memcpy(c->order_key, order_key, sizeof(c->order_key));
	if (none != (root->entries == 0) || (none && root->level != 0))
		return err_set(err, ERR_CORRUPT,
		    "the reference to a %s contradicts itself", ops->name);
	if (root->level >= ARCHIVE_LEVELS)
		return err_set(err, ERR_CORRUPT, "a %s of %u levels",
		    ops->name, root->level + 1u);
	archive_cursor_rewind(c);
	return 0;
}

void archive_cursor_rewind(struct archive_cursor *c)
{
	c->low = c->root.level + 1u;
	c->end = c->root.entries == 0;
	c->given = c->broken = false;
}

void archive_cursor_release(struct archive_cursor *c)
{
	for (size_t i = 0; i < ARCHIVE_LEVELS; i++) {
		buf_release(&c->node[i].page);
		free(c->node[i].slot);
	}
	fmt_page_reader_release(&c->reader);
	buf_release(&c->key);
	mem_wipe(c->order_key, sizeof(c->order_key));
}

enum archive_where archive_cursor_where(const struct archive_cursor *c)
{
	if (c->end)
		return ARCHIVE_AT_END;
	return c->low == 0 ? ARCHIVE_AT_ENTRY : ARCHIVE_AT_PAGE;
}

/* The i-th child of the open page of a level. */
static struct archive_child child_of(const struct archive_cursor *c,
    unsigned level, size_t i)
{
	const struct archive_node *n = &c->node[level];
	const struct archive_slot *s = &n->slot[i];

	return (struct archive_child){
		.key = n->page.p + s->off,
		.keylen = s->keylen,
		.id = n->page.p + s->off + s->keylen + var_len(s->below),
		.below = s->below,
		.level = level - 1,
	};
}

struct archive_child archive_cursor_at(const struct archive_cursor *c,
    unsigned level)
{
	if (level == c->root.level)
		return (struct archive_child){
			.id = c->root.id, .below = c->root.entries,
			.level = c->root.level,
		};
	return child_of(c, level + 1, c->node[level + 1].i);
}

struct archive_child archive_cursor_child(const struct archive_cursor *c)
{
	return archive_cursor_at(c, c->low - 1);
}

bool archive_cursor_bound(const struct archive_cursor *c, unsigned level,
    struct archive_child *ret_next)
{
	for (unsigned i = level + 1; i <= c->root.level; i++) {
		const struct archive_node *n = &c->node[i];

		if (n->i + 1 < n->nslot) {
			*ret_next = child_of(c, i, n->i + 1);
			return true;
		}
	}
	return false;
}

static int corrupt(const char *what, struct err *err)
{
	return err_set(err, ERR_CORRUPT, "%s", what);
}

static int add_slot(struct archive_node *n, size_t from, size_t to,
    uint64_t below, uint64_t before, struct err *err)
{
	if (n->nslot == n->slotcap) {
		size_t cap = n->slotcap ? n->slotcap * 2 : 64;
		struct archive_slot *s = reallocarray(n->slot, cap, sizeof(*s));

		if (s == NULL)
			return err_nomem(err, "a page");
		n->slot = s;
		n->slotcap = cap;
	}
	n->slot[n->nslot++] = (struct archive_slot){
		.off = (uint32_t)from,
		.keylen = (uint32_t)(to - from - var_len(below) - 32),
		.below = below,
		.before = before,
	};
	return 0;
}

/* Look through a whole inner page before any of it is believed. */
static int read_inner(struct archive_cursor *c,
    const struct archive_child *self, struct err *err)
{
	struct archive_node *n = &c->node[self->level];
	struct archive_child first, last, next;
	struct fmt_child child;
	uint64_t sum = 0;
	int r;

	n->nslot = n->i = 0;
	for (;;) {
		size_t from = n->page.len - c->reader.rd.left, to;

		r = fmt_child_next(&c->reader, &child, err);
		if (r != 0)
			break;
		to = n->page.len - c->reader.rd.left;
		if (child.entries == 0 || child.entries > self->below - sum)
			return corrupt("numbers of entries do not add up", err);
		if (add_slot(n, from, to, child.entries, sum, err) < 0)
			return -1;
		sum += child.entries;
	}
	if (r < 0)
		return -1;
	if (n->nslot == 0 || sum != self->below)
		return corrupt("numbers of entries do not add up", err);
	first = child_of(c, self->level, 0);
	last = child_of(c, self->level, n->nslot - 1);
	if (self->key != NULL && (first.keylen != self->keylen ||
	    memcmp(first.key, self->key, self->keylen) != 0))
		return corrupt("it does not begin where its parent says", err);
	if (archive_cursor_bound(c, self->level, &next) &&
	    c->ops->key_cmp(c, &last, &next) >= 0)
		return corrupt("it reaches into the page after it", err);
	return 0;
}

/* The key of the current entry, as an inner page would write it. */
static int entry_key(struct archive_cursor *c, struct archive_child *ret,
    struct err *err)
{
	struct archive_place at;

	buf_reset(&c->key);
	if (c->ops->place(c, &at, err) < 0 ||
	    archive_tree_key(&c->key, c->ops->type, &at, err) < 0)
		return -1;
	*ret = (struct archive_child){ .key = c->key.p, .keylen = c->key.len };
	return 0;
}

/* Whether nothing comes before the leaf that is being opened. */
static bool leftmost(const struct archive_cursor *c)
{
	for (unsigned i = 1; i <= c->root.level; i++) {
		if (c->node[i].i != 0)
			return false;
	}
	return true;
}

/* What the leaf begins with must be what its parent says. */
static int check_first(struct archive_cursor *c,
    const struct archive_child *self, struct err *err)
{
	struct archive_child first;

	if (c->ops->first != NULL && leftmost(c) && !c->ops->first(c))
		return corrupt("it does not begin at the beginning", err);
	if (self->key == NULL)
		return 0;
	if (entry_key(c, &first, err) < 0)
		return -1;
	if (first.keylen != self->keylen ||
	    memcmp(first.key, self->key, self->keylen) != 0)
		return corrupt("it does not begin where its parent says", err);
	return 0;
}

/* And its last entry must not reach into the next leaf. */
static int check_last(struct archive_cursor *c, struct err *err)
{
	struct archive_child self, next;

	if (!archive_cursor_bound(c, 0, &next))
		return 0;
	if (c->ops->last != NULL)
		return c->ops->last(c, &next, err);
	if (entry_key(c, &self, err) < 0)
		return -1;
	if (c->ops->key_cmp(c, &self, &next) >= 0)
		return corrupt("it reaches into the page after it", err);
	return 0;
}

/* Begin to read the page in the node of a level. */
static int open_page(struct archive_cursor *c, unsigned level, struct err *err)
{
	const struct buf *page = &c->node[level].page;

	return fmt_page_open(&c->reader, page->p, page->len, c->ops->type,
	    c->has_order_key ? c->order_key : NULL, err);
}

/* Look through a whole leaf, then go to its first entry. */
static int read_leaf(struct archive_cursor *c,
    const struct archive_child *self, struct err *err)
{
	int r;

	if (c->reader.left != self->below)
		return corrupt("numbers of entries do not add up", err);
	for (uint64_t i = 0; (r = c->ops->step(c, err)) == 0; i++) {
		if (i == 0 && check_first(c, self, err) < 0)
			return -1;
		if (c->reader.left == 0 && check_last(c, err) < 0)
			return -1;
	}
	if (r < 0 || open_page(c, 0, err) < 0)
		return -1;
	return c->ops->step(c, err);
}

static int load(struct archive_cursor *c, const struct archive_child *self,
    struct err *err)
{
	struct archive_node *n = &c->node[self->level];

	n->i = n->told = n->window = n->last = 0;
	/* The root's id lies in c, every other in the page above. */
	if (c->io.get(c->io.ctx, c->ops->kind, self->id, &n->page, err) != 0 ||
	    open_page(c, self->level, err) < 0)
		return -1;
	if (c->reader.level != self->level)
		return corrupt("it has another level than its parent says", err);
	return self->level == 0 ? read_leaf(c, self, err) :
	    read_inner(c, self, err);
}

/*
 * The page is the one that was opened last at its level: nothing is read, and
 * nothing needs to be looked through again.
 */
static int reopen(struct archive_cursor *c, const struct archive_child *self,
    struct err *err)
{
	c->node[self->level].i = 0;
	if (self->level > 0)
		return 0;
	if (open_page(c, 0, err) < 0)
		return -1;
	return c->ops->step(c, err);
}

/*
 * The child of that level is opened, and who opens one after the other will
 * want those behind it.  Who has left some out is told nothing until two came
 * in a row again, then the more, the longer that goes on.
 */
static void tell_ahead(struct archive_cursor *c, unsigned level)
{
	struct archive_node *n = &c->node[level + 1];
	uint8_t ids[ARCHIVE_AHEAD][32];
	size_t count = 0, to;

	if (c->io.ahead == NULL || level == c->root.level || c->seeking)
		return;
	if (n->i != 0 && n->i != n->last + 1) {
		n->window = 0;
		n->told = n->i + 1;
		return;
	}
	if (n->window == 0)
		n->window = n->i == 0 ? ARCHIVE_AHEAD : ARCHIVE_AHEAD / 8;
	/* In halves of a window, so that what lies together is asked for so. */
	if (n->told > n->i + n->window / 2)
		return;
	if (n->i > 0 && n->window < ARCHIVE_AHEAD)
		n->window *= 2;
	if (n->told < n->i)
		n->told = n->i;
	to = n->i + n->window < n->nslot ? n->i + n->window : n->nslot;
	while (n->told < to && count < ARCHIVE_AHEAD)
		memcpy(ids[count++], child_of(c, level + 1, n->told++).id, 32);
	if (count > 0)
		c->io.ahead(c->io.ctx, c->ops->kind, ids, count);
}

int archive_cursor_open(struct archive_cursor *c, struct err *err)
{
	struct archive_child self = archive_cursor_child(c);
	struct archive_node *n = &c->node[self.level];
	size_t which = self.level == c->root.level ? 0 : n[1].i;
	bool kept = n->loaded && n->which == which;
	char hex[17];

	/* What was read below another page stands elsewhere in the tree. */
	for (unsigned i = 0; !kept && i <= self.level; i++)
		c->node[i].loaded = false;
	if (!kept)
		tell_ahead(c, self.level);
	if (self.level < c->root.level)
		n[1].last = which;
	if ((kept ? reopen(c, &self, err) : load(c, &self, err)) < 0) {
		hex_encode(hex, self.id, 8);
		c->broken = true;
		return err_wrap(err, "%s page %s", c->ops->name, hex);
	}
	n->loaded = true;
	n->which = which;
	c->low = self.level;
	c->broken = c->given = false;
	return 0;
}

int archive_cursor_skip(struct archive_cursor *c, struct err *err)
{
	c->broken = c->given = false;
	for (; c->low <= c->root.level && !c->end; c->low++) {
		struct archive_node *n = &c->node[c->low];

		n->i++;
		if (c->low > 0) {
			if (n->i < n->nslot)
				return 0;
			continue;
		}
		if (c->reader.left == 0)
			continue;
		if (c->ops->step(c, err) == 0)
			return 0;
		/* It was read through before: only memory can have failed. */
		c->low++;
		c->broken = true;
		return -1;
	}
	c->end = true;
	return 1;
}

int archive_cursor_next(struct archive_cursor *c, struct err *err)
{
	for (;;) {
		switch (archive_cursor_where(c)) {
		case ARCHIVE_AT_END:
			return 1;
		case ARCHIVE_AT_PAGE:
			if (archive_cursor_open(c, err) < 0)
				return -1;
			break;
		case ARCHIVE_AT_ENTRY:
			if (!c->given) {
				c->given = true;
				return 0;
			}
			if (archive_cursor_skip(c, err) < 0)
				return -1;
			break;
		}
	}
}

/* Open a page of which only one child is wanted. */
static int open_on_the_way(struct archive_cursor *c, struct err *err)
{
	int r;

	c->seeking = true;
	r = archive_cursor_open(c, err);
	c->seeking = false;
	return r;
}

int archive_cursor_seek(struct archive_cursor *c,
    int (*cmp)(void *arg, const struct archive_child *child), void *arg,
    struct err *err)
{
	archive_cursor_rewind(c);
	while (archive_cursor_where(c) == ARCHIVE_AT_PAGE) {
		struct archive_node *n;
		size_t lo = 0, hi;

		if (open_on_the_way(c, err) < 0)
			return -1;
		if (c->low == 0)
			break;
		n = &c->node[c->low];
		/* The last child that is not greater lies in [lo, hi). */
		for (hi = n->nslot; hi - lo > 1;) {
			size_t mid = lo + (hi - lo) / 2;
			struct archive_child child = child_of(c, c->low, mid);

			if (cmp(arg, &child) <= 0)
				lo = mid;
			else
				hi = mid;
		}
		n->i = lo;
	}
	return 0;
}

uint64_t archive_cursor_tell(const struct archive_cursor *c)
{
	uint64_t before = c->low == 0 ? c->node[0].i : 0;

	if (c->end)
		return c->root.entries;
	for (unsigned i = c->low > 0 ? c->low : 1; i <= c->root.level; i++)
		before += c->node[i].slot[c->node[i].i].before;
	return before;
}

int archive_cursor_seek_nth(struct archive_cursor *c, uint64_t nth,
    struct err *err)
{
	archive_cursor_rewind(c);
	if (nth >= c->root.entries) {
		c->end = true;
		return 0;
	}
	while (archive_cursor_where(c) == ARCHIVE_AT_PAGE) {
		struct archive_node *n;
		size_t lo = 0, hi;

		if (open_on_the_way(c, err) < 0)
			return -1;
		if (c->low == 0)
			break;
		n = &c->node[c->low];
		for (hi = n->nslot; hi - lo > 1;) {
			size_t mid = lo + (hi - lo) / 2;

			if (n->slot[mid].before <= nth)
				lo = mid;
			else
				hi = mid;
		}
		n->i = lo;
		nth -= n->slot[lo].before;
	}
	for (; nth > 0; nth--) {
		if (archive_cursor_skip(c, err) < 0)
			return -1;
	}
	return 0;
}

int archive_cursor_skip_damage(struct archive_cursor *c, struct err *err)
{
	if (!c->broken)
		return c->end ? 1 : 0;
	return archive_cursor_skip(c, err);
}
