#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/engine_internal.h"
#include "agent/engine/fetch.h"
#include "repo/base/mem.h"

/* Bytes of a pack read at once, when memory allows. */
#define RANGE_MAX ((size_t)4 << 20)
/* Bytes between two blobs that are read and dropped rather than asked anew. */
#define GAP_MAX (128u << 10)
/*
 * Where a request takes long: at 50 ms and 20 MB/s a MiB comes as fast as an
 * answer, and more of them are waited for at once.
 */
#define FAR_GAP_MAX (1u << 20)
#define FAR_READERS 24
#define FAR_BUFFERS_MAX 24u
/* Needs of one range: few enough that one worker is not left with all. */
#define RANGE_NEEDS 2048u
/* Threads that sleep in reads; most of them matter only over a network. */
#define READERS 8
#define BUFFERS_MAX 8u
/* Needs that one task checks. */
#define CHECK_NEEDS 16u
#define NEEDS_MAX ((size_t)1 << 20)
#define BUNDLE_BLOB ((size_t)1 << 20)
#define PAGE 4096u
/* Plaintexts that may be kept at once, besides one a worker. */
#define KEPT_MAX 4u

/* A piece of a pack with blobs that are wanted, in one buffer. */
struct range {
	struct pool_task task;
	struct fetch *f;
	struct range *next;   /* free ones */
	uint8_t *buf;
	uint32_t pack, off;
	size_t len;
	size_t first, end;    /* needs */
	bool read;            /* the bytes are there */
};

struct check {
	struct pool_task task;
	struct fetch *f;
	size_t first, end;
};

/* Room for one plaintext, beginning at a page. */
struct fetch_kept {
	struct fetch_kept *next;
	uint8_t *p;
};

/* What belongs to one worker. */
struct opener {
	struct store_worker *w;
	struct fetch_kept *plain; /* NULL: it was kept */
	bool keepable;        /* nobody else needs what is in it */
	struct buf whole;     /* a blob that took another way */
};

struct fetch {
	struct engine *e;
	struct store *st;
	bool far;
	struct fetch_sink sink;
	struct uploads *readers;
	struct opener *openers;
	unsigned nopeners;
	struct fetch_kept *plains;
	unsigned nplains;
	size_t blob_max, plain_cap;
	struct need *needs;
	size_t n, cap, max;
	bool any_check;
	struct range *ranges;
	unsigned nranges;
	size_t range_cap;
	atomic_uint_fast64_t bytes;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct range *idle;
	size_t busy;          /* ranges or checks under way */
	struct fetch_kept *free_plains;
	pthread_cond_t given;
};

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

static int openers_new(struct fetch *f, const char *domain, struct err *err)
{
	f->nopeners = pool_size(f->e->pool);
	f->openers = mem_array(f->nopeners, sizeof(*f->openers), "the workers", err);
	if (f->openers == NULL)
		return -1;
	for (unsigned i = 0; i < f->nopeners; i++) {
		struct opener *o = &f->openers[i];

		o->w = store_worker_new(f->st, ZIP_FAST, f->blob_max, domain, err);
		if (o->w == NULL)
			return -1;
	}
	f->nplains = f->nopeners + KEPT_MAX;
	f->plains = mem_array(f->nplains, sizeof(*f->plains), "the workers", err);
	if (f->plains == NULL)
		return -1;
	for (unsigned i = 0; i < f->nplains; i++) {
		struct fetch_kept *k = &f->plains[i];

		k->p = mem_pages(f->plain_cap, "a worker's buffer", err);
		if (k->p == NULL)
			return -1;
		k->next = f->free_plains;
		f->free_plains = k;
	}
	return 0;
}

static int ranges_new(struct fetch *f, size_t memory, struct err *err)
{
	/* A sealed blob is a little longer than its plaintext. */
	size_t least = f->blob_max + PAGE;

	f->range_cap = max_size(least, memory / 6 < RANGE_MAX ? memory / 6 : RANGE_MAX);
	f->nranges = (unsigned)(memory / f->range_cap);
	f->nranges = f->nranges < 2 ? 2 : f->nranges;
	if (f->nranges > (f->far ? FAR_BUFFERS_MAX : BUFFERS_MAX))
		f->nranges = f->far ? FAR_BUFFERS_MAX : BUFFERS_MAX;
	f->ranges = mem_array(f->nranges, sizeof(*f->ranges), "read buffers", err);
	if (f->ranges == NULL)
		return -1;
	for (unsigned i = 0; i < f->nranges; i++) {
		struct range *r = &f->ranges[i];

		r->f = f;
		r->buf = mem_pages(f->range_cap, "a read buffer", err);
		if (r->buf == NULL)
			return -1;
		r->next = f->idle;
		f->idle = r;
	}
	return 0;
}

struct fetch *fetch_new(struct engine *e, struct store *st, const char *domain,
    size_t memory, const struct fetch_sink *sink, struct err *err)
{
	struct fetch *f = mem_zalloc(sizeof(*f), "the reader of packs", err);
	const struct store_info *info = store_info(st);

	if (f == NULL)
		return NULL;
	f->e = e;
	f->st = st;
	f->far = store_is_far(st);
	f->sink = *sink;
	f->blob_max = max_size(BUNDLE_BLOB, max_size(info->stream.max, info->block.max));
	f->plain_cap = (f->blob_max + 2 * PAGE) / PAGE * PAGE;
	f->max = memory / 2 / sizeof(struct need);
	f->max = f->max > NEEDS_MAX ? NEEDS_MAX : f->max;
	f->max = f->max < 1024 ? 1024 : f->max;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->wake, NULL);
	pthread_cond_init(&f->given, NULL);
	if (openers_new(f, domain, err) < 0 || ranges_new(f, memory / 2, err) < 0)
		goto fail;
	f->readers = uploads_new(f->far ? FAR_READERS : READERS, f->nranges,
	    err);
	if (f->readers == NULL)
		goto fail;
	return f;
fail:
	fetch_free(f);
	return NULL;
}

void fetch_free(struct fetch *f)
{
	if (f == NULL)
		return;
	uploads_free(f->readers);
	for (unsigned i = 0; f->openers != NULL && i < f->nopeners; i++) {
		store_worker_free(f->openers[i].w);
		buf_release(&f->openers[i].whole);
	}
	free(f->openers);
	for (unsigned i = 0; f->plains != NULL && i < f->nplains; i++)
		mem_pages_free(f->plains[i].p, f->plain_cap);
	free(f->plains);
	for (unsigned i = 0; f->ranges != NULL && i < f->nranges; i++)
		mem_pages_free(f->ranges[i].buf, f->range_cap);
	free(f->ranges);
	free(f->needs);
	pthread_cond_destroy(&f->wake);
	pthread_cond_destroy(&f->given);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

uint64_t fetch_bytes(const struct fetch *f)
{
	return atomic_load(&f->bytes);
}

void fetch_id(struct fetch *f, unsigned self, const void *data, size_t len,
    uint8_t ret_id[STORE_ID_LEN])
{
	store_blob_id(f->openers[self].w, STORE_DATA, data, len, ret_id);
}

size_t fetch_blob_max(const struct fetch *f)
{
	return f->blob_max;
}

/* --- plaintexts --------------------------------------------------------------------*/

/* The worker's own room; waits while all of it is kept. */
static uint8_t *plain_of(struct fetch *f, struct opener *o)
{
	if (o->plain == NULL) {
		pthread_mutex_lock(&f->lock);
		while (f->free_plains == NULL)
			pthread_cond_wait(&f->given, &f->lock);
		o->plain = f->free_plains;
		f->free_plains = o->plain->next;
		pthread_mutex_unlock(&f->lock);
	}
	return o->plain->p;
}

struct fetch_kept *fetch_keep(struct fetch *f, unsigned self)
{
	struct opener *o = &f->openers[self];
	struct fetch_kept *k = o->plain;

	if (!o->keepable)
		return NULL;
	o->plain = NULL;
	o->keepable = false;
	return k;
}

void fetch_give(struct fetch *f, struct fetch_kept *k)
{
	pthread_mutex_lock(&f->lock);
	k->next = f->free_plains;
	f->free_plains = k;
	pthread_cond_signal(&f->given);
	pthread_mutex_unlock(&f->lock);
}

/* --- collecting --------------------------------------------------------------------*/

static int needs_grow(struct fetch *f, struct err *err)
{
	size_t cap = f->cap ? f->cap * 2 : 1024;
	struct need *v = reallocarray(f->needs, cap, sizeof(*v));

	if (v == NULL)
		return err_nomem(err, "the plan of a restore");
	f->needs = v;
	f->cap = cap;
	return 0;
}

int fetch_add(struct fetch *f, const struct need *n, struct err *err)
{
	if (f->n == f->cap && needs_grow(f, err) < 0)
		return -1;

	struct need *new = &f->needs[f->n], *last = f->n > 0 ? new - 1 : NULL;

	*new = *n;
	f->any_check |= n->check;
	if (n->kind != NEED_BLOB) {
		f->n++;
		f->any_check = true;
		return 0;
	}
	/* Neighbours in the tree often lie in one bundle. */
	if (last != NULL && last->kind == NEED_BLOB &&
	    memcmp(last->id, n->id, STORE_ID_LEN) == 0) {
		new->loc = last->loc;
	} else {
		int r = store_locate(f->st, n->id, &new->loc, err);

		if (r != 0)
			return r;
	}
	f->n++;
	return 0;
}

bool fetch_full(const struct fetch *f)
{
	return f->n >= f->max;
}

/* --- checking ------------------------------------------------------------------------*/

static void done_one(struct fetch *f, struct range *r)
{
	pthread_mutex_lock(&f->lock);
	if (r != NULL) {
		r->next = f->idle;
		f->idle = r;
	}
	f->busy--;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
}

static void wait_idle(struct fetch *f)
{
	pthread_mutex_lock(&f->lock);
	while (f->busy > 0)
		pthread_cond_wait(&f->wake, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

static void check_run(struct pool_task *task, unsigned self)
{
	struct check *c = (struct check *)task;
	struct fetch *f = c->f;
	struct err stop;

	err_set(&stop, ERR_CANCELLED, "stopped");
	for (size_t i = c->first; i < c->end; i++) {
		struct need *n = &f->needs[i];

		if (!n->check && n->kind == NEED_BLOB)
			continue;
		if (f->sink.stopped(f->sink.ctx))
			f->sink.deliver(f->sink.ctx, self, n, NULL, &stop);
		else if (!f->sink.check(f->sink.ctx, self, n,
		    plain_of(f, &f->openers[self])))
			continue;
		n->owner = NULL;
	}
	done_one(f, NULL);
}

/* Ask about what may be there already, and drop what is. */
static int check_all(struct fetch *f, struct err *err)
{
	size_t n = (f->n + CHECK_NEEDS - 1) / CHECK_NEEDS, kept = 0;
	struct check *v = mem_array(n, sizeof(*v), "the plan of a restore", err);

	if (v == NULL)
		return -1;
	f->busy = n;
	for (size_t i = 0; i < n; i++) {
		size_t end = (i + 1) * CHECK_NEEDS;

		v[i] = (struct check){ .task.fn = check_run, .f = f,
		    .first = i * CHECK_NEEDS, .end = end < f->n ? end : f->n };
		pool_submit(f->e->pool, &v[i].task, false);
	}
	wait_idle(f);
	for (size_t i = 0; i < f->n; i++)
		if (f->needs[i].owner != NULL)
			f->needs[kept++] = f->needs[i];
	f->n = kept;
	free(v);
	return 0;
}

/* --- opening and handing over ----------------------------------------------------------*/

/* Get a blob by any copy.  Return its bytes, or NULL with why. */
static const uint8_t *get_anyhow(struct fetch *f, struct opener *o,
    const struct need *n, size_t *ret_len, struct err *why)
{
	int r = store_get(f->st, o->w, STORE_DATA, n->id, &o->whole, why);

	*ret_len = o->whole.len;
	if (r == 0)
		return o->whole.p;
	if (r > 0 || (r < 0 && why->class == ERR_NOTFOUND))
		err_set(why, ERR_CORRUPT, "the repository has lost a part of it");
	if (why->class != ERR_CORRUPT && why->class != ERR_UNSUPPORTED)
		f->sink.fatal(f->sink.ctx, why);
	return NULL;
}

/*
 * The plaintext of a blob and its true length: the index may lie about that.
 * It is put so that what is written of it lies at the same place in a page as
 * in the target.
 */
static const uint8_t *open_blob(struct fetch *f, struct opener *o,
    const struct range *r, const struct need *n, size_t *ret_len, struct err *why)
{
	uint8_t *plain = plain_of(f, o) + ((n->at - n->off) & (PAGE - 1));

	if (r->read && n->loc.plain_len <= f->blob_max &&
	    store_blob_open(f->st, o->w, STORE_DATA, n->id, &n->loc,
	    r->buf + (n->loc.offset - r->off), plain, why) == 0) {
		*ret_len = n->loc.plain_len;
		return plain;
	}
	o->keepable = false;
	return get_anyhow(f, o, n, ret_len, why);
}

/* By id: the index may say of two blobs that they are at one place. */
static bool same_blob(const struct need *a, const struct need *b)
{
	return memcmp(a->id, b->id, sizeof(a->id)) == 0;
}

static void range_run(struct pool_task *task, unsigned self)
{
	struct range *r = (struct range *)task;
	struct fetch *f = r->f;
	struct opener *o = &f->openers[self];
	const uint8_t *plain = NULL;
	struct err why = ERR_INIT;
	size_t len = 0;

	for (size_t i = r->first; i < r->end; i++) {
		struct need *n = &f->needs[i];

		if (f->sink.stopped(f->sink.ctx)) {
			plain = NULL;
			err_set(&why, ERR_CANCELLED, "stopped");
		} else if (i == r->first || !same_blob(n - 1, n)) {
			err_clear(&why);
			o->keepable = i + 1 == r->end || !same_blob(n, n + 1);
			plain = open_blob(f, o, r, n, &len, &why);
		}
		if (plain != NULL && (n->off > len || n->len > len - n->off ||
		    (n->plain != 0 && n->plain != len))) {
			struct err bad;

			err_set(&bad, ERR_CORRUPT, "the catalog says that its "
			    "chunk has another length");
			f->sink.deliver(f->sink.ctx, self, n, NULL, &bad);
			continue;
		}
		f->sink.deliver(f->sink.ctx, self, n, plain ? plain + n->off : NULL,
		    &why);
	}
	done_one(f, r);
}

static void range_read(void *arg)
{
	struct range *r = arg;
	struct fetch *f = r->f;
	struct err why;

	r->read = !f->sink.stopped(f->sink.ctx) &&
	    store_pack_read(f->st, r->pack, r->off, r->buf, r->len, &why) == 0;
	if (r->read)
		atomic_fetch_add(&f->bytes, r->len);
	r->task.fn = range_run;
	pool_submit(f->e->pool, &r->task, false);
}

static int need_cmp(const void *pa, const void *pb)
{
	const struct need *a = pa, *b = pb;

	if (a->loc.pack != b->loc.pack)
		return a->loc.pack < b->loc.pack ? -1 : 1;
	if (a->loc.offset != b->loc.offset)
		return a->loc.offset < b->loc.offset ? -1 : 1;
	return (a->off > b->off) - (a->off < b->off);
}

static struct range *range_wait(struct fetch *f)
{
	pthread_mutex_lock(&f->lock);
	while (f->idle == NULL)
		pthread_cond_wait(&f->wake, &f->lock);

	struct range *r = f->idle;

	f->idle = r->next;
	f->busy++;
	pthread_mutex_unlock(&f->lock);
	return r;
}

/* Let r hold the needs from `first` on that lie close together. */
static size_t range_fill(const struct fetch *f, struct range *r, size_t first)
{
	const struct need *a = &f->needs[first];
	size_t i = first + 1;
	uint64_t end = (uint64_t)a->loc.offset + a->loc.sealed_len;
	uint32_t gap = f->far ? FAR_GAP_MAX : GAP_MAX;

	r->pack = a->loc.pack;
	r->off = a->loc.offset;
	r->first = first;
	for (; i < f->n && i - first < RANGE_NEEDS; i++) {
		const struct need *n = &f->needs[i];
		uint64_t to = (uint64_t)n->loc.offset + n->loc.sealed_len;

		if (n->loc.pack != r->pack || n->loc.offset > end + gap ||
		    to - r->off > f->range_cap)
			break;
		end = to > end ? to : end;
	}
	r->end = i;
	r->len = (size_t)(end - r->off);
	return i;
}

int fetch_run(struct fetch *f, struct err *err)
{
	if (f->any_check && f->n > 0 && check_all(f, err) < 0) {
		f->sink.fatal(f->sink.ctx, err);
		/* Everyone is told, by the way that stops. */
	}
	if (f->n > 1)
		qsort(f->needs, f->n, sizeof(*f->needs), need_cmp);
	for (size_t i = 0; i < f->n;) {
		struct range *r = range_wait(f);

		i = range_fill(f, r, i);
		if (r->len > f->range_cap) {
			/* Longer than any blob here: what is wrong is told there. */
			r->read = false;
			r->task.fn = range_run;
			pool_submit(f->e->pool, &r->task, false);
			continue;
		}
		uploads_submit(f->readers, range_read, r);
	}
	wait_idle(f);
	f->n = 0;
	f->any_check = false;
	return 0;
}
