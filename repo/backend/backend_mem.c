#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend.h"
#include "repo/backend/backend_internal.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"

struct object {
	char *key;
	uint8_t *data;
	size_t len;
	int64_t mtime_ns;
};

struct mem {
	struct backend be;
	pthread_rwlock_t lock;
	struct object **objects; /* sorted by key */
	size_t n, cap;
};

static void object_free(struct object *o)
{
	if (o == NULL)
		return;
	free(o->key);
	free(o->data);
	free(o);
}

static struct object *object_new(const char *key, const void *data,
    size_t len, struct err *err)
{
	struct object *o = mem_zalloc(sizeof(*o), "an object", err);

	if (o == NULL)
		return NULL;
	o->key = mem_strdup(key, err);
	if (o->key != NULL)
		o->data = mem_zalloc(len, "an object", err);
	if (o->data == NULL) {
		object_free(o);
		return NULL;
	}
	if (len > 0)
		memcpy(o->data, data, len);
	o->len = len;
	return o;
}

/* Return the place of the first key that is not less than key. */
static size_t lower_bound(const struct mem *m, const char *key)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(m->objects[mid]->key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct object *find(const struct mem *m, const char *key)
{
	size_t i = lower_bound(m, key);

	return i < m->n && strcmp(m->objects[i]->key, key) == 0 ?
	    m->objects[i] : NULL;
}

/* Put o at place i.  Return 0, or -1 with err. */
static int insert(struct mem *m, size_t i, struct object *o, struct err *err)
{
	if (m->n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 64;
		struct object **p = realloc(m->objects, cap * sizeof(*p));

		if (p == NULL)
			return err_nomem(err, "a list of objects");
		m->objects = p;
		m->cap = cap;
	}
	memmove(m->objects + i + 1, m->objects + i,
	    (m->n - i) * sizeof(*m->objects));
	m->objects[i] = o;
	m->n++;
	return 0;
}

static int store(struct backend *be, const char *key, const void *data,
    size_t len, bool over, struct err *err)
{
	struct mem *m = (struct mem *)be;
	struct object *o = object_new(key, data, len, err);
	int rc = 0;

	if (o == NULL)
		return -1;
	pthread_rwlock_wrlock(&m->lock);
	o->mtime_ns = clock_real_ns();

	size_t i = lower_bound(m, key);

	if (i == m->n || strcmp(m->objects[i]->key, key) != 0) {
		rc = insert(m, i, o, err);
		if (rc == 0)
			o = NULL;
	} else if (over) {
		struct object *old = m->objects[i];

		m->objects[i] = o;
		o = old;
	} else {
		rc = 1;
	}
	pthread_rwlock_unlock(&m->lock);
	object_free(o);
	return rc;
}

static int mem_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	return store(be, key, data, len, false, err);
}

static int mem_put_over(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	return store(be, key, data, len, true, err);
}

static int mem_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	struct mem *m = (struct mem *)be;
	int rc = 0;

	pthread_rwlock_rdlock(&m->lock);

	const struct object *o = find(m, key);

	if (o == NULL)
		rc = 1;
	else if (off > o->len || len > o->len - off)
		rc = err_set(err, ERR_CORRUPT, "%s in %s ends before byte "
		    "%llu", key, be->name, (unsigned long long)(off + len));
	else
		memcpy(dst, o->data + off, len);
	pthread_rwlock_unlock(&m->lock);
	return rc;
}

static int mem_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err)
{
	struct mem *m = (struct mem *)be;
	int rc = 1;

	(void)err;
	pthread_rwlock_rdlock(&m->lock);

	const struct object *o = find(m, key);

	if (o != NULL) {
		ret_st->size = o->len;
		ret_st->mtime_ns = o->mtime_ns;
		rc = 0;
	}
	pthread_rwlock_unlock(&m->lock);
	return rc;
}

/*
 * Find the first key that begins with prefix and is greater than after (not
 * looked at when empty).  Return 0 with key and stat copied, or 1.
 */
static int next_key(struct mem *m, const char *prefix, const char *after,
    char key[BACKEND_KEY_MAX + 1], struct backend_stat *ret_st)
{
	int rc = 1;

	pthread_rwlock_rdlock(&m->lock);

	size_t i = lower_bound(m, after[0] ? after : prefix);

	if (after[0] && i < m->n && strcmp(m->objects[i]->key, after) == 0)
		i++;
	if (i < m->n && strncmp(m->objects[i]->key, prefix,
	        strlen(prefix)) == 0) {
		const struct object *o = m->objects[i];

		memcpy(key, o->key, strlen(o->key) + 1);
		ret_st->size = o->len;
		ret_st->mtime_ns = o->mtime_ns;
		rc = 0;
	}
	pthread_rwlock_unlock(&m->lock);
	return rc;
}

static int mem_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct mem *m = (struct mem *)be;
	char after[BACKEND_KEY_MAX + 1] = "", key[BACKEND_KEY_MAX + 1];
	struct backend_stat st;

	/* The lock is not held while fn runs: it may change the store. */
	while (next_key(m, prefix, after, key, &st) == 0) {
		memcpy(after, key, sizeof(after));

		int rc = fn(ctx, key, &st, err);

		if (rc != 0)
			return rc;
	}
	return 0;
}

static int mem_del(struct backend *be, const char *key, struct err *err)
{
	struct mem *m = (struct mem *)be;
	struct object *o;

	(void)err;
	pthread_rwlock_wrlock(&m->lock);
	o = find(m, key);
	if (o != NULL) {
		size_t i = lower_bound(m, key);

		m->n--;
		memmove(m->objects + i, m->objects + i + 1,
		    (m->n - i) * sizeof(*m->objects));
	}
	pthread_rwlock_unlock(&m->lock);
	if (o == NULL)
		return 1;
	object_free(o);
	return 0;
}

static void mem_caps(struct backend *be, struct backend_caps *ret_caps)
{
	(void)be;
	*ret_caps = (struct backend_caps){
		.atomic_create = true,
		.cheap_ranges = true,
		.ordered_list = true,
		.del_tells = true,
	};
}

static void mem_close(struct backend *be)
{
	struct mem *m = (struct mem *)be;

	for (size_t i = 0; i < m->n; i++)
		object_free(m->objects[i]);
	free(m->objects);
	pthread_rwlock_destroy(&m->lock);
	backend_base_release(be);
	free(m);
}

static const struct backend_ops mem_ops = {
	.put = mem_put,
	.put_over = mem_put_over,
	.get = mem_get,
	.stat = mem_stat,
	.list = mem_list,
	.del = mem_del,
	.caps = mem_caps,
	.close = mem_close,
};

struct backend *backend_mem_new(struct err *err)
{
	struct mem *m = mem_zalloc(sizeof(*m), "a store in memory", err);

	if (m == NULL)
		return NULL;
	if (pthread_rwlock_init(&m->lock, NULL) != 0) {
		err_nomem(err, "a lock");
		free(m);
		return NULL;
	}
	if (backend_base_init(&m->be, &mem_ops, "memory", err) < 0) {
		mem_close(&m->be);
		return NULL;
	}
	return &m->be;
}
