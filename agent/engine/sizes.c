#include <stdlib.h>
#include <string.h>

#include "agent/engine/collect.h"
#include "agent/engine/sizes.h"
#include "agent/engine/table.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"

/*
 * Snapshots are followed from the oldest to the newest.  A blob belongs to the
 * first that reaches it, until another does; from then on it is shared.  What
 * is below a shared page is shared, and what is below a page of one's own has
 * been told: neither is walked again.  So each page is read when it is first
 * reached and when it becomes shared, and no more.
 */

#define OWNERS_MAX ((UINT32_C(1) << 30) - 1)

struct sizing {
	struct store *st;
	struct engine_sizes *res;
	struct engine_walk *walk;
	struct table *seen;      /* by an id's first half: what `pack` makes */
	uint32_t now;            /* the snapshot that is followed */
	size_t cap;
	uint8_t last_id[32];     /* many files name one bundle in a row */
};

static uint64_t pack(uint32_t owner, bool shared, uint32_t bytes)
{
	return (uint64_t)owner << 33 | (uint64_t)shared << 32 | bytes;
}

/* It is reached for the first time. */
static int take(struct sizing *s, const uint8_t *id, struct err *err)
{
	struct engine_size *own = &s->res->v[s->now];
	struct store_loc loc = { .sealed_len = 0 };
	uint64_t was;
	int r = store_locate(s->st, id, &loc, err);

	if (r < 0)
		return -1;
	if (r > 0)
		own->damaged = true;
	own->unique += loc.sealed_len;
	s->res->live += loc.sealed_len;
	return table_add(s->seen, le64_get(id), le64_get(id + 8),
	    pack(s->now, false, loc.sealed_len), &was, err) < 0 ? -1 : 0;
}

static int on_blob(void *ctx, uint8_t kind, const uint8_t id[32], bool page,
    const struct archive_path *dir, const struct fmt_entry *entry, struct err *err)
{
	struct sizing *s = ctx;
	struct engine_size *of;
	uint64_t a = le64_get(id), b = le64_get(id + 8), was;
	uint32_t owner, bytes;
	int r;

	(void)kind, (void)dir, (void)entry;
	if (!page && memcmp(id, s->last_id, 32) == 0)
		return 0;
	if (!page)
		memcpy(s->last_id, id, 32);
	r = table_get(s->seen, a, b, &was, err);
	if (r < 0)
		return -1;
	if (r > 0)
		return take(s, id, err);
	owner = (uint32_t)(was >> 33);
	bytes = (uint32_t)was;
	if (owner == s->now || (was >> 32 & 1))
		return 1;
	of = &s->res->v[owner];
	of->unique -= bytes;
	of->shared += bytes;
	return table_set(s->seen, a, b, pack(owner, true, bytes), err);
}

static int on_bad_page(void *ctx, uint8_t kind, const uint8_t id[32],
    const struct archive_path *dir, const struct fmt_entry *entry,
    const struct err *why, struct err *err)
{
	struct sizing *s = ctx;

	(void)kind, (void)id, (void)dir, (void)entry;
	if (why->class == ERR_CORRUPT || why->class == ERR_NOTFOUND ||
	    why->class == ERR_IO || why->class == ERR_UNSUPPORTED) {
		s->res->v[s->now].damaged = true;
		return 0;
	}
	*err = *why;
	return -1;
}

static int size_snapshot(void *ctx, struct store_snapshot **sn, struct err *err)
{
	struct sizing *s = ctx;
	const struct archive_walk look = { on_blob, on_bad_page, s };
	struct engine_sizes *res = s->res;

	if (res->n == s->cap) {
		size_t cap = s->cap == 0 ? 64 : s->cap * 2;
		struct engine_size *v = realloc(res->v, cap * sizeof(*v));

		if (v == NULL)
			return err_nomem(err, "sizes of snapshots");
		res->v = v;
		s->cap = cap;
	}
	if (res->n > OWNERS_MAX)
		return err_set(err, ERR_UNSUPPORTED, "too many snapshots");
	s->now = (uint32_t)res->n;
	res->v[res->n] = (struct engine_size){ .checkpoint = (*sn)->checkpoint };
	memcpy(res->v[res->n].slot, (*sn)->slot, STORE_SLOT_LEN);
	memcpy(res->v[res->n].session, (*sn)->session, STORE_SESSION_MAX);
	res->n++;
	memset(s->last_id, 0, sizeof(s->last_id));
	return engine_walk_blobs(s->walk, s->st, *sn, &look, err);
}

static void size_unreadable(void *ctx, const char *key, const struct err *why)
{
	struct sizing *s = ctx;

	(void)key, (void)why; /* who lists snapshots tells */
	s->res->unreadable++;
}

int engine_sizes(struct store *st, size_t memory, struct engine_sizes *ret,
    struct err *err)
{
	struct sizing s = { .st = st, .res = ret };
	int r = -1;

	*ret = (struct engine_sizes){ 0 };
	if (store_need(st, STORE_READ, "to follow snapshots", err) != 0)
		return -1;
	/* While the table grows, the old and the new one are in memory. */
	s.seen = table_new(memory / 2, err);
	if (s.seen != NULL)
		s.walk = engine_walk_new(err);
	if (s.walk != NULL)
		r = store_snapshots(st, true, size_snapshot, size_unreadable,
		    &s, err);
	engine_walk_free(s.walk);
	table_free(s.seen);
	if (r != 0)
		engine_sizes_release(ret);
	return r == 0 ? 0 : -1;
}

void engine_sizes_release(struct engine_sizes *s)
{
	free(s->v);
	*s = (struct engine_sizes){ 0 };
}

const struct engine_size *engine_sizes_find(struct engine_sizes *s,
    const struct store_snapshot *sn)
{
	for (size_t k = 0; k < s->n; k++) {
		size_t i = (s->next + k) % s->n;

		if (strcmp(s->v[i].session, sn->session) != 0 ||
		    memcmp(s->v[i].slot, sn->slot, STORE_SLOT_LEN) != 0)
			continue;
		s->next = i + 1;
		return &s->v[i];
	}
	return NULL;
}
