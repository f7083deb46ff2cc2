#include <stdlib.h>
#include <string.h>

#include "agent/mount/mount_internal.h"
#include "repo/base/mem.h"

/* --- pages through the cache ------------------------------------------------*/

static int get_page(void *ctx, enum archive_kind kind, const uint8_t id[32],
    struct buf *ret_page, struct err *err)
{
	struct mount_cursor *c = ctx;
	struct mount_blob *x;

	if (mount_blob_hold(c->tool, (enum store_kind)kind, c->domain, id, &x, err) < 0)
		return -1;
	buf_reset(ret_page);
	buf_add(ret_page, x->data.p, x->data.len);
	mount_blob_drop(c->m, (enum store_kind)kind, x);
	return buf_check(ret_page, "a page", err);
}

static int put_page(void *ctx, enum archive_kind kind, const void *page, size_t len,
    uint8_t ret_id[32], struct err *err)
{
	(void)ctx, (void)kind, (void)page, (void)len, (void)ret_id;
	return err_set(err, ERR_BUG, "a page is written by a reader");
}

/* --- the cursors ------------------------------------------------------------*/

int mount_cursors_init(struct mount *m, unsigned n, struct err *err)
{
	struct mount_cursors *s = &m->cursors;

	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->given, NULL);
	s->v = mem_array(n, sizeof(*s->v), "the cursors", err);
	if (s->v == NULL)
		return -1;
	s->n = n;
	for (unsigned i = 0; i < n; i++)
		s->v[i].m = m;
	return 0;
}

static void cursor_close(struct mount_cursor *c)
{
	archive_catalog_close(c->cat);
	archive_map_close(c->map);
	c->cat = NULL;
	c->map = NULL;
}

void mount_cursors_release(struct mount *m)
{
	struct mount_cursors *s = &m->cursors;

	for (unsigned i = 0; i < s->n; i++)
		cursor_close(&s->v[i]);
	free(s->v);
	pthread_cond_destroy(&s->given);
	pthread_mutex_destroy(&s->lock);
}

static bool is_on(const struct mount_cursor *c, bool map,
    const struct archive_ref *root)
{
	return (map ? c->map != NULL : c->cat != NULL) &&
	    memcmp(c->root.id, root->id, sizeof(root->id)) == 0 &&
	    c->root.level == root->level && c->root.entries == root->entries;
}

/*
 * The best of those that nobody has: one that stands at the place; where the
 * place is told, one that was not used for longest (others may be gone on
 * with); else the last used on this tree.  NULL while all are taken.
 */
static struct mount_cursor *choose(struct mount_cursors *s, bool map,
    const struct archive_ref *root, uint64_t pos)
{
	struct mount_cursor *stale = NULL, *same = NULL;

	for (unsigned i = 0; i < s->n; i++) {
		struct mount_cursor *c = &s->v[i];

		if (c->taken)
			continue;
		if (stale == NULL || c->used < stale->used)
			stale = c;
		if (!is_on(c, map, root))
			continue;
		if (pos != MOUNT_ANY && c->pos == pos)
			return c;
		if (same == NULL || c->used > same->used)
			same = c;
	}
	return same != NULL && (pos == MOUNT_ANY || map) ? same : stale;
}

/* order: of a catalog; NULL for a map. */
static struct mount_cursor *take(struct mount_tool *t, const uint8_t *order,
    const struct archive_ref *root, const char *domain, uint64_t pos,
    struct err *err)
{
	struct mount_cursors *s = &t->m->cursors;
	bool map = order == NULL;
	struct mount_cursor *c;

	pthread_mutex_lock(&s->lock);
	while ((c = choose(s, map, root, pos)) == NULL)
		pthread_cond_wait(&s->given, &s->lock);
	c->taken = true;
	pthread_mutex_unlock(&s->lock);
	c->tool = t;
	c->domain = domain;
	if (is_on(c, map, root))
		return c;
	cursor_close(c);

	struct archive_io io = { .get = get_page, .put = put_page, .ctx = c };

	c->root = *root;
	c->pos = MOUNT_ANY;
	if (map)
		c->map = archive_map_open(&io, root, err);
	else
		c->cat = archive_catalog_open(&io, order, root, err);
	if (c->cat != NULL || c->map != NULL)
		return c;
	mount_cursor_give(c, MOUNT_ANY);
	return NULL;
}

struct mount_cursor *mount_cursor_catalog(struct mount_tool *t,
    const struct mount_snap *sn, uint64_t pos, struct err *err)
{
	if (sn->order == NULL) {
		err_set(err, ERR_AUTH, "the snapshot is of deduplication domain '%s': a "
		    "credential of that domain can read it, or one with admin",
		    sn->domain);
		return NULL;
	}
	return take(t, sn->order, &sn->root, sn->domain, pos, err);
}

struct mount_cursor *mount_cursor_map(struct mount_tool *t,
    const struct archive_ref *root, const char *domain, struct err *err)
{
	return take(t, NULL, root, domain, MOUNT_ANY, err);
}

void mount_cursor_give(struct mount_cursor *c, uint64_t pos)
{
	struct mount_cursors *s = &c->m->cursors;

	pthread_mutex_lock(&s->lock);
	c->pos = pos;
	c->used = ++s->clock;
	c->taken = false;
	pthread_cond_signal(&s->given);
	pthread_mutex_unlock(&s->lock);
}
