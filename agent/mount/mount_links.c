#include <stdlib.h>
#include <string.h>

#include "agent/mount/mount_internal.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/format/fmt_entry.h"

/*
 * A catalog says of each name which inode it is of, not how many names that
 * has.  Somebody has to count, once a snapshot, when the first one is asked
 * for.  In a very long catalog that would keep who asks waiting for minutes.
 */
#define COUNT_ENTRIES_MAX (UINT64_C(4) << 20)
#define SLOTS (sizeof(((struct mount_links *)0)->counted) / sizeof(struct mount_counted))

static uint64_t hash_of(struct mount *m, const struct fmt_entry *e)
{
	uint8_t b[16];

	le64_put(b, e->device);
	le64_put(b + 8, e->inode);
	return fmt_name_hash(store_order_key(m->st), b, sizeof(b));
}

uint64_t mount_links_inode(struct mount *m, const struct mount_snap *sn,
    const struct fmt_entry *e)
{
	uint8_t b[20];

	le64_put(b, e->device);
	le64_put(b + 8, e->inode);
	le32_put(b + 16, sn->number);
	/* Other kinds of numbers do not have both bits. */
	return fmt_name_hash(store_order_key(m->st), b, sizeof(b)) |
	    UINT64_C(3) << 62;
}

void mount_links_release(struct mount_links *l)
{
	for (size_t i = 0; i < SLOTS; i++)
		free(l->counted[i].v);
	pthread_mutex_destroy(&l->lock);
}

static int by_number(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return (a > b) - (a < b);
}

static int gather(struct mount_tool *t, struct mount_cursor *c,
    struct mount_counted *k, size_t most, struct err *err)
{
	struct archive_path dir;
	struct fmt_entry e;
	size_t cap = 0;
	int r = archive_catalog_seek_nth(c->cat, 0, err);

	for (;;) {
		if (r == 0)
			r = archive_catalog_next(c->cat, &dir, &e, err);
		if (r == 1)
			return 0;
		if (r < 0) {
			/* What cannot be read has no names that can be seen. */
			if (err->class != ERR_CORRUPT ||
			    archive_catalog_skip_damage(c->cat, err) < 0)
				return -1;
			r = 0;
			continue;
		}
		if (!(e.bits & FMT_HAS_LINKS))
			continue;
		if (k->n == most)
			return err_set(err, ERR_FULL, "too many hard links");
		if (k->n == cap) {
			uint64_t *v = reallocarray(k->v, cap ? cap * 2 : 256, sizeof(*v));

			if (v == NULL)
				return err_nomem(err, "counting hard links");
			k->v = v;
			cap = cap ? cap * 2 : 256;
		}
		k->v[k->n++] = hash_of(t->m, &e);
	}
}

static void count(struct mount_tool *t, struct mount_counted *k)
{
	struct mount_cursor *c = NULL;
	struct err err;

	if (k->sn->entries <= COUNT_ENTRIES_MAX)
		c = mount_cursor_catalog(t, k->sn, 0, &err);
	k->unknown = c == NULL || gather(t, c, k, t->m->links.most / SLOTS, &err) < 0;
	if (c != NULL)
		mount_cursor_give(c, MOUNT_ANY);
	if (k->unknown) {
		free(k->v);
		k->v = NULL;
		k->n = 0;
	} else if (k->n > 0) {
		qsort(k->v, k->n, sizeof(*k->v), by_number);
	}
}

static size_t first_not_below(const struct mount_counted *k, uint64_t h)
{
	size_t lo = 0, hi = k->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (k->v[mid] < h)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint64_t mount_links_count(struct mount_tool *t, const struct mount_snap *sn,
    const struct fmt_entry *e)
{
	struct mount_links *l = &t->m->links;
	uint64_t h = hash_of(t->m, e), n = 0;
	struct mount_counted *k = &l->counted[0];

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < SLOTS; i++) {
		if (l->counted[i].sn == sn) {
			k = &l->counted[i];
			break;
		}
		if (l->counted[i].used < k->used)
			k = &l->counted[i];
	}
	if (k->sn != sn) {
		free(k->v);
		*k = (struct mount_counted){ .sn = sn };
		count(t, k);
	}
	k->used = ++l->clock;
	for (size_t i = first_not_below(k, h); i < k->n && k->v[i] == h; i++)
		n++;
	if (n == 0)
		n = k->unknown ? 2 : 1;
	pthread_mutex_unlock(&l->lock);
	return n;
}
