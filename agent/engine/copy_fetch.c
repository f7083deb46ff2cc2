#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/engine/copy_internal.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"

/*
 * What is wanted is collected, sorted by place, and read in ranges by a few
 * threads that sleep in I/O; the workers open and pass on what was read.
 */

#define READERS 6u
#define NEEDS 32768u
#define RANGE ((uint32_t)4 << 20)
#define GAP_NEAR ((uint32_t)64 << 10)  /* read with others rather than left out */
#define GAP_FAR ((uint32_t)512 << 10)

/* A range of a pack on its way. */
struct slot {
	struct pool_task task;
	struct copy_fetch *f;
	const struct copy_need *need;
	size_t n;
	uint8_t *mem;
	size_t cap;
	uint32_t len;            /* bytes of the range */
	bool busy, read;
};

struct copy_fetch {
	struct engine *e;
	struct store *st;
	struct copy_sink sink;
	struct uploads *readers;
	struct copy_need *need;
	size_t n;
	uint32_t gap;
	struct slot *slot;
	unsigned nslots;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool failed;             /* under lock, with why */
	struct err why;
};

struct copy_fetch *copy_fetch_new(struct engine *e, struct store *st,
    size_t memory, const struct copy_sink *sink, struct err *err)
{
	struct copy_fetch *f = mem_zalloc(sizeof(*f), "a copy", err);
	struct backend_caps caps;
	pthread_condattr_t attr;

	if (f == NULL)
		return NULL;
	f->e = e;
	f->st = st;
	f->sink = *sink;
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->changed, &attr);
	pthread_condattr_destroy(&attr);
	backend_caps(store_backend(st), &caps);
	f->gap = caps.cheap_ranges ? GAP_NEAR : GAP_FAR;
	f->nslots = (unsigned)(memory / RANGE);
	if (f->nslots > 2 * READERS)
		f->nslots = 2 * READERS;
	if (f->nslots < 2)
		f->nslots = 2;
	f->slot = mem_array(f->nslots, sizeof(*f->slot), "a copy", err);
	if (f->slot != NULL)
		f->need = mem_array(NEEDS, sizeof(*f->need), "a copy", err);
	if (f->need != NULL)
		f->readers = uploads_new(READERS, f->nslots, err);
	if (f->readers == NULL) {
		copy_fetch_free(f);
		return NULL;
	}
	for (unsigned i = 0; i < f->nslots; i++)
		f->slot[i].f = f;
	return f;
}

void copy_fetch_free(struct copy_fetch *f)
{
	if (f == NULL)
		return;
	uploads_free(f->readers);
	for (unsigned i = 0; f->slot != NULL && i < f->nslots; i++)
		free(f->slot[i].mem);
	free(f->slot);
	free(f->need);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

int copy_fetch_add(struct copy_fetch *f, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], uint32_t tag, struct err *err)
{
	struct copy_need *n = &f->need[f->n];
	int r;

	if (copy_fetch_full(f))
		return err_set(err, ERR_BUG, "more blobs at once than there is "
		    "room for");
	r = store_locate(f->st, id, &n->loc, err);
	if (r != 0)
		return r;
	memcpy(n->id, id, STORE_ID_LEN);
	n->kind = kind;
	n->tag = tag;
	f->n++;
	return 0;
}

bool copy_fetch_full(const struct copy_fetch *f)
{
	return f->n == NEEDS;
}

static void fail(struct copy_fetch *f, const struct err *why)
{
	pthread_mutex_lock(&f->lock);
	if (!f->failed) {
		f->failed = true;
		f->why = *why;
	}
	pthread_mutex_unlock(&f->lock);
}

static bool failed(struct copy_fetch *f)
{
	bool r;

	pthread_mutex_lock(&f->lock);
	r = f->failed;
	pthread_mutex_unlock(&f->lock);
	return r;
}

/* By a worker: open and pass on. */
static void slot_open(struct pool_task *task, unsigned self)
{
	struct slot *s = (struct slot *)task;
	struct copy_fetch *f = s->f;
	uint32_t first = s->need[0].loc.offset;

	for (size_t i = 0; i < s->n && !failed(f); i++) {
		const struct copy_need *n = &s->need[i];
		struct err err = ERR_INIT;

		if (f->sink.blob(f->sink.ctx, self, n, s->read ?
		        s->mem + (n->loc.offset - first) : NULL, &err) < 0)
			fail(f, &err);
	}
	pthread_mutex_lock(&f->lock);
	s->busy = false;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

/* By a reader.  Why a range cannot be read is told by who tries each blob. */
static void slot_read(void *arg)
{
	struct slot *s = arg;
	struct copy_fetch *f = s->f;
	struct err ignored = ERR_INIT;

	s->read = false;
	if (s->cap < s->len) {
		free(s->mem);
		s->mem = malloc(s->len > RANGE ? s->len : RANGE);
		s->cap = s->mem == NULL ? 0 : s->len > RANGE ? s->len : RANGE;
	}
	if (s->mem != NULL && !failed(f))
		s->read = store_pack_read(f->st, s->need[0].loc.pack,
		    s->need[0].loc.offset, s->mem, s->len, &ignored) == 0;
	s->task.fn = slot_open;
	pool_submit(f->e->pool, &s->task, false);
}

static int need_cmp(const void *pa, const void *pb)
{
	const struct store_loc *a = &((const struct copy_need *)pa)->loc;
	const struct store_loc *b = &((const struct copy_need *)pb)->loc;

	if (a->pack != b->pack)
		return a->pack < b->pack ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* How many of the needs from `at` on are read at once; their bytes. */
static size_t range_of(const struct copy_fetch *f, size_t at, uint32_t *ret_len)
{
	const struct store_loc *a = &f->need[at].loc;
	uint32_t end = a->offset + a->sealed_len;
	size_t n = 1;

	for (; at + n < f->n; n++) {
		const struct store_loc *b = &f->need[at + n].loc;

		if (b->pack != a->pack || b->offset < end ||
		    b->offset - end > f->gap ||
		    b->offset + b->sealed_len - a->offset > RANGE)
			break;
		end = b->offset + b->sealed_len;
	}
	*ret_len = end - a->offset;
	return n;
}

/* Wait until a slot is free, or (all) all are.  NULL when the run failed. */
static struct slot *wait_slot(struct copy_fetch *f, bool all)
{
	struct slot *found = NULL;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		unsigned busy = 0;

		found = NULL;
		for (unsigned i = 0; i < f->nslots; i++) {
			if (f->slot[i].busy)
				busy++;
			else
				found = &f->slot[i];
		}
		if (all ? busy == 0 : found != NULL || f->failed)
			break;

		struct timespec ts;
		struct err err = ERR_INIT;

		clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_sec++;
		pthread_cond_timedwait(&f->changed, &f->lock, &ts);
		pthread_mutex_unlock(&f->lock);
		if (f->sink.alive(f->sink.ctx, &err) < 0)
			fail(f, &err);
		pthread_mutex_lock(&f->lock);
	}
	if (f->failed && !all)
		found = NULL;
	pthread_mutex_unlock(&f->lock);
	return found;
}

/* One that is wanted twice stands at the same place. */
static void sort_needs(struct copy_fetch *f)
{
	size_t n = 0;

	qsort(f->need, f->n, sizeof(*f->need), need_cmp);
	for (size_t i = 0; i < f->n; i++)
		if (n == 0 || need_cmp(&f->need[n - 1], &f->need[i]) != 0)
			f->need[n++] = f->need[i];
	f->n = n;
}

int copy_fetch_run(struct copy_fetch *f, struct err *err)
{
	size_t at = 0;
	int r = 0;

	f->failed = false;
	sort_needs(f);
	while (at < f->n) {
		struct slot *s = wait_slot(f, false);

		if (s == NULL)
			break;
		s->need = &f->need[at];
		s->n = range_of(f, at, &s->len);
		s->busy = true;
		at += s->n;
		uploads_submit(f->readers, slot_read, s);
	}
	wait_slot(f, true);
	f->n = 0;
	if (f->failed) {
		*err = f->why;
		r = -1;
	}
	return r;
}
