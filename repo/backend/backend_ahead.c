/*
 * Reads ahead: who knows what will be read next says so, and threads fetch it
 * meanwhile.  The reads themselves stay where they are, one after another; they
 * find here what was asked for, or wait for what is on its way, and go to the
 * store only for what was not.  What failed is never kept, and what was not there
 * only of whole objects: the real call tells it.
 */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_ahead.h"
#include "repo/backend/backend_internal.h"
#include "repo/base/buf.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"

#define BUCKETS 512u
#define THREADS_MAX 64u
/* What nobody took by then is not taken any more. */
#define OLD_NS ((int64_t)10 * 1000000000)
/* Whole objects of unknown size are small, or not worth it. */
#define WHOLE_MAX ((size_t)1 << 20)
/* And by then it makes room for what is wanted now. */
#define IDLE_NS ((int64_t)1 * 1000000000)

enum what { BYTES, WHOLE, STAT, LIST };
enum state { QUEUED, RUNNING, HERE, NOWHERE };

/* A key of a listing that was made ahead. */
struct listed {
	size_t key; /* in text */
	struct backend_stat st;
};

struct item {
	struct item *chain;        /* in its bucket */
	struct item *prev, *next;  /* by age, the oldest first */
	enum what what;
	enum state state;
	bool missing;              /* WHOLE: there was no such object */
	bool dropped;              /* found by nobody; freed by its last user */
	unsigned users;            /* who runs it or waits for it */
	int64_t asked_ns;
	uint64_t off;
	size_t len;                /* bytes; of WHOLE 0 until it is known */
	size_t taken;              /* bytes that were read of it */
	uint8_t *data;
	struct backend_stat st;
	struct buf text, keys;     /* LIST: keys, struct listed */
	char key[BACKEND_KEY_MAX + 1];
};

struct ahead {
	struct backend_deco deco;
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct item *bucket[BUCKETS];
	struct item *oldest, *newest;
	size_t memory, used;
	unsigned queued, idle;
	unsigned threads, started;
	pthread_t thread[THREADS_MAX];
	bool ending;
};

static const struct backend_ops ahead_ops;

static struct backend *inner_of(struct backend *be)
{
	return backend_deco_inner(be);
}

/* --- the table, under the lock -----------------------------------------------*/

static struct item **bucket_of(struct ahead *a, const char *key)
{
	uint32_t h = 2166136261u;

	for (; *key != '\0'; key++)
		h = (h ^ (uint8_t)*key) * 16777619u;
	return &a->bucket[h % BUCKETS];
}

static void item_free(struct item *it)
{
	free(it->data);
	buf_release(&it->text);
	buf_release(&it->keys);
	free(it);
}

/* From now on nobody finds it. */
static void item_drop(struct ahead *a, struct item *it)
{
	struct item **at = bucket_of(a, it->key);

	while (*at != it)
		at = &(*at)->chain;
	*at = it->chain;
	*(it->prev != NULL ? &it->prev->next : &a->oldest) = it->next;
	*(it->next != NULL ? &it->next->prev : &a->newest) = it->prev;
	a->used -= it->len;
	if (it->state == QUEUED)
		a->queued--;
	it->dropped = true;
	if (it->users == 0)
		item_free(it);
}

/* One user less of what may have been dropped meanwhile. */
static void item_leave(struct item *it)
{
	if (--it->users == 0 && it->dropped)
		item_free(it);
}

static bool covers(const struct item *it, enum what what, const char *key,
    uint64_t off, size_t len)
{
	if (strcmp(it->key, key) != 0)
		return false;
	if (what != BYTES)
		return it->what == what;
	if (it->what == WHOLE)
		return it->state == HERE && off <= it->len &&
		    len <= it->len - off;
	return it->what == BYTES && off >= it->off &&
	    off - it->off <= it->len && len <= it->len - (off - it->off);
}

static struct item *item_find(struct ahead *a, enum what what, const char *key,
    uint64_t off, size_t len)
{
	struct item *it = *bucket_of(a, key);

	while (it != NULL && !covers(it, what, key, off, len))
		it = it->chain;
	if (it != NULL && it->asked_ns < clock_mono_ns() - OLD_NS &&
	    it->state != RUNNING) {
		item_drop(a, it);
		it = NULL;
	}
	return it;
}

/* Make room for len bytes by what nobody took in time. */
static bool make_room(struct ahead *a, size_t len)
{
	int64_t until = clock_mono_ns() - IDLE_NS;
	struct item *it = a->oldest;

	while (it != NULL && a->used + len > a->memory) {
		struct item *next = it->next;

		if (it->asked_ns > until)
			break;
		if (it->state == HERE && it->users == 0)
			item_drop(a, it);
		it = next;
	}
	return a->used + len <= a->memory;
}

/* --- fetching -------------------------------------------------------------------*/

static int keep_key(void *ctx, const char *key, const struct backend_stat *st,
    struct err *err)
{
	struct item *it = ctx;
	struct listed l = { .key = it->text.len, .st = *st };

	buf_add(&it->text, key, strlen(key) + 1);
	buf_add(&it->keys, &l, sizeof(l));
	return buf_check(&it->text, "a listing", err) != 0 ||
	    buf_check(&it->keys, "a listing", err) != 0 ? -1 : 0;
}

/* Ask the store; under no lock, nobody else looks at what is filled. */
static int item_ask(struct ahead *a, struct item *it, size_t *ret_len)
{
	struct backend *in = a->deco.inner;
	struct err err = ERR_INIT;

	*ret_len = it->len; /* 0 of a whole object, until it is there */
	switch (it->what) {
	case BYTES:
		it->data = malloc(it->len);
		return it->data == NULL ? -1 : in->ops->get(in, it->key,
		    it->off, it->data, it->len, &err);
	case WHOLE:
		return backend_pass_get_all(in, it->key, WHOLE_MAX, &it->data,
		    ret_len, &err);
	case STAT:
		return in->ops->stat(in, it->key, &it->st, &err);
	case LIST:
		return in->ops->list(in, it->key, keep_key, it, &err);
	}
	return -1;
}

/* Run one that is queued; the lock is let go meanwhile. */
static void item_run(struct ahead *a, struct item *it)
{
	size_t len;
	int rc;

	it->state = RUNNING;
	it->users++;
	a->queued--;
	pthread_mutex_unlock(&a->lock);
	rc = item_ask(a, it, &len);
	pthread_mutex_lock(&a->lock);
	/* Who asks for a whole object wants to know that it is not there, too. */
	it->missing = rc == 1 && it->what == WHOLE;
	rc = it->missing ? 0 : rc;
	it->state = rc == 0 ? HERE : NOWHERE;
	if (rc == 0 && !it->dropped) {
		a->used += len - it->len;
		it->len = len;
	}
	if (!it->dropped && (rc != 0 || a->used > a->memory))
		item_drop(a, it);
	item_leave(it);
	pthread_cond_broadcast(&a->done);
}

static void *reader(void *arg)
{
	struct ahead *a = arg;

	pthread_mutex_lock(&a->lock);
	while (!a->ending) {
		struct item *it = a->queued == 0 ? NULL : a->oldest;

		while (it != NULL && it->state != QUEUED)
			it = it->next;
		if (it != NULL) {
			item_run(a, it);
			continue;
		}
		a->idle++;
		pthread_cond_wait(&a->work, &a->lock);
		a->idle--;
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

/* Something was queued: there is a thread for it, or it is run at once. */
static void wake(struct ahead *a, struct item *it)
{
	if (a->idle < a->queued && a->started < a->threads &&
	    pthread_create(&a->thread[a->started], NULL, reader, a) == 0)
		a->started++;
	if (a->started == 0)
		item_run(a, it);
	else
		pthread_cond_signal(&a->work);
}

static void ask(struct backend *be, enum what what, const char *key,
    uint64_t off, size_t len)
{
	struct ahead *a = (struct ahead *)be;
	struct item *it;

	if (be->ops != &ahead_ops)
		return;
	pthread_mutex_lock(&a->lock);
	if (item_find(a, what, key, off, len) != NULL || !make_room(a, len))
		goto out;
	it = calloc(1, sizeof(*it));
	if (it == NULL)
		goto out;
	it->what = what;
	it->asked_ns = clock_mono_ns();
	it->off = off;
	it->len = len;
	memcpy(it->key, key, strlen(key) + 1);
	it->chain = *bucket_of(a, key);
	*bucket_of(a, key) = it;
	it->prev = a->newest;
	*(a->newest != NULL ? &a->newest->next : &a->oldest) = it;
	a->newest = it;
	a->used += len;
	a->queued++;
	wake(a, it);
out:
	pthread_mutex_unlock(&a->lock);
}

void backend_ahead_get(struct backend *be, const char *key, uint64_t off,
    size_t len)
{
	if (backend_key_valid(key) && len > 0)
		ask(be, BYTES, key, off, len);
}

void backend_ahead_all(struct backend *be, const char *key)
{
	if (backend_key_valid(key))
		ask(be, WHOLE, key, 0, 0);
}

void backend_ahead_stat(struct backend *be, const char *key)
{
	if (backend_key_valid(key))
		ask(be, STAT, key, 0, 0);
}

void backend_ahead_list(struct backend *be, const char *prefix)
{
	if (backend_prefix_valid(prefix))
		ask(be, LIST, prefix, 0, 0);
}

void backend_ahead_forget(struct backend *be, const char *prefix)
{
	struct ahead *a = (struct ahead *)be;
	size_t n = strlen(prefix);

	if (be->ops != &ahead_ops)
		return;
	pthread_mutex_lock(&a->lock);
	for (struct item *it = a->oldest, *next; it != NULL; it = next) {
		next = it->next;
		if (strncmp(it->key, prefix, n) == 0)
			item_drop(a, it);
	}
	pthread_mutex_unlock(&a->lock);
}

/* --- taking ------------------------------------------------------------------------*/

/*
 * What was asked for, here, with the lock held; NULL without it, when the store
 * has to be asked.  The caller is a user of it.
 */
static struct item *take(struct ahead *a, enum what what, const char *key,
    uint64_t off, size_t len)
{
	struct item *it;

	pthread_mutex_lock(&a->lock);
	it = item_find(a, what, key, off, len);
	if (it != NULL) {
		it->users++;
		if (it->state == QUEUED)
			item_run(a, it);
		while (it->state == RUNNING)
			pthread_cond_wait(&a->done, &a->lock);
		if (it->state == HERE && !it->dropped)
			return it;
		item_leave(it);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

/* It was used; what is done with it all goes. */
static void taken(struct ahead *a, struct item *it, bool all)
{
	if (all && !it->dropped)
		item_drop(a, it);
	item_leave(it);
	pthread_mutex_unlock(&a->lock);
}

static int ahead_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	struct ahead *a = (struct ahead *)be;
	struct item *it = take(a, BYTES, key, off, len);

	if (it == NULL)
		return inner_of(be)->ops->get(inner_of(be), key, off, dst, len,
		    err);
	memcpy(dst, it->data + (off - it->off), len);
	it->taken += len;
	taken(a, it, it->taken >= it->len);
	return 0;
}

static int ahead_get_all(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err)
{
	struct ahead *a = (struct ahead *)be;
	struct item *it = take(a, WHOLE, key, 0, 0);
	bool missing = it != NULL && it->missing;
	bool fits = it != NULL && !missing && it->len <= max;

	if (fits) {
		*ret_data = STEAL_PTR(it->data);
		*ret_len = it->len;
	}
	if (it != NULL)
		taken(a, it, true);
	if (missing)
		return 1;
	return fits ? 0 : backend_pass_get_all(inner_of(be), key, max,
	    ret_data, ret_len, err);
}

static int ahead_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err)
{
	struct ahead *a = (struct ahead *)be;
	struct item *it = take(a, STAT, key, 0, 0);

	if (it == NULL)
		return inner_of(be)->ops->stat(inner_of(be), key, ret_st, err);
	*ret_st = it->st;
	taken(a, it, true);
	return 0;
}

static int ahead_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct ahead *a = (struct ahead *)be;
	struct item *it = take(a, LIST, prefix, 0, 0);
	struct buf text, keys;
	int rc = 0;

	if (it == NULL)
		return inner_of(be)->ops->list(inner_of(be), prefix, fn, ctx,
		    err);
	/* fn may call the backend. */
	text = it->text;
	keys = it->keys;
	it->text = it->keys = (struct buf)BUF_INIT;
	taken(a, it, true);
	for (size_t i = 0; i < keys.len && rc == 0; i += sizeof(struct listed)) {
		struct listed l;

		memcpy(&l, keys.p + i, sizeof(l));
		rc = fn(ctx, (const char *)text.p + l.key, &l.st, err);
	}
	buf_release(&text);
	buf_release(&keys);
	return rc;
}

/* --- what changes the store ----------------------------------------------------------*/

/* What is known of a key is no longer so, nor listings that may have it. */
static void key_changes(struct backend *be, const char *key)
{
	struct ahead *a = (struct ahead *)be;
	struct item *it, *next;

	pthread_mutex_lock(&a->lock);
	for (it = a->oldest; it != NULL; it = next) {
		next = it->next;
		if (it->what == LIST ? strncmp(it->key, key,
		        strlen(it->key)) == 0 : strcmp(it->key, key) == 0)
			item_drop(a, it);
	}
	pthread_mutex_unlock(&a->lock);
}

static int ahead_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	int rc = inner_of(be)->ops->put(inner_of(be), key, data, len, err);

	key_changes(be, key);
	return rc;
}

static int ahead_put_over(struct backend *be, const char *key,
    const void *data, size_t len, struct err *err)
{
	int rc = inner_of(be)->ops->put_over(inner_of(be), key, data, len, err);

	key_changes(be, key);
	return rc;
}

static int ahead_del(struct backend *be, const char *key, struct err *err)
{
	int rc = inner_of(be)->ops->del(inner_of(be), key, err);

	key_changes(be, key);
	return rc;
}

static int ahead_del_many(struct backend *be, const char *const *keys,
    size_t n, struct err *err)
{
	int rc = backend_pass_del_many(inner_of(be), keys, n, err);

	for (size_t i = 0; i < n; i++)
		key_changes(be, keys[i]);
	return rc;
}

static void ahead_close(struct backend *be)
{
	struct ahead *a = (struct ahead *)be;

	pthread_mutex_lock(&a->lock);
	a->ending = true;
	pthread_cond_broadcast(&a->work);
	pthread_mutex_unlock(&a->lock);
	for (unsigned i = 0; i < a->started; i++)
		pthread_join(a->thread[i], NULL);
	while (a->oldest != NULL)
		item_drop(a, a->oldest);
	pthread_cond_destroy(&a->work);
	pthread_cond_destroy(&a->done);
	pthread_mutex_destroy(&a->lock);
	backend_deco_close(be);
}

static const struct backend_ops ahead_ops = {
	.put = ahead_put,
	.put_over = ahead_put_over,
	.get = ahead_get,
	.get_all = ahead_get_all,
	.stat = ahead_stat,
	.list = ahead_list,
	.del = ahead_del,
	.del_many = ahead_del_many,
	.caps = backend_deco_caps,
	.counters = backend_deco_counters,
	.close = ahead_close,
};

struct backend *backend_ahead_new(struct backend *inner, unsigned threads,
    size_t memory, struct err *err)
{
	struct ahead *a = backend_deco_new(sizeof(*a), &ahead_ops, inner, err);

	if (a == NULL)
		return NULL;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->work, NULL);
	pthread_cond_init(&a->done, NULL);
	a->threads = threads < THREADS_MAX ? threads : THREADS_MAX;
	a->memory = memory;
	return &a->deco.be;
}
