/*
 * A store that is far away, for tests and measurements: each request takes a
 * while, and what had to be waited for one after the other is counted.
 */

#include <pthread.h>
#include <time.h>

#include "repo/backend/backend_ahead.h"
#include "repo/backend/backend_internal.h"
#include "repo/base/log.h"

/* Object stores tell so many keys in one answer. */
#define LIST_PAGE 1000u

struct slow {
	struct backend_deco deco;
	unsigned ms;
	pthread_mutex_t lock;
	struct backend_slow_counts counts;
};

static struct backend *inner_of(struct backend *be)
{
	return backend_deco_inner(be);
}

/*
 * A request begins: return how many were waited for before it, for the end.
 * Whatever had been answered by now may have been needed to make it.
 */
static uint64_t begin(struct backend *be, enum backend_op op)
{
	struct slow *s = (struct slow *)be;
	struct timespec ts = { s->ms / 1000, (long)(s->ms % 1000) * 1000000 };
	uint64_t before;

	pthread_mutex_lock(&s->lock);
	s->counts.calls[op]++;
	before = s->counts.waits;
	pthread_mutex_unlock(&s->lock);
	while (s->ms > 0 && nanosleep(&ts, &ts) != 0)
		;
	return before;
}

static void end(struct backend *be, uint64_t before)
{
	struct slow *s = (struct slow *)be;

	pthread_mutex_lock(&s->lock);
	if (before + 1 > s->counts.waits)
		s->counts.waits = before + 1;
	pthread_mutex_unlock(&s->lock);
}

static int slow_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	uint64_t at = begin(be, BACKEND_PUT);
	int rc = inner_of(be)->ops->put(inner_of(be), key, data, len, err);

	end(be, at);
	return rc;
}

static int slow_put_over(struct backend *be, const char *key,
    const void *data, size_t len, struct err *err)
{
	uint64_t at = begin(be, BACKEND_PUT_OVER);
	int rc = inner_of(be)->ops->put_over(inner_of(be), key, data, len, err);

	end(be, at);
	return rc;
}

static int slow_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	uint64_t at = begin(be, BACKEND_GET);
	int rc = inner_of(be)->ops->get(inner_of(be), key, off, dst, len, err);

	end(be, at);
	return rc;
}

static int slow_get_all(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err)
{
	uint64_t at = begin(be, BACKEND_GET);
	int rc = backend_pass_get_all(inner_of(be), key, max, ret_data,
	    ret_len, err);

	end(be, at);
	return rc;
}

static int slow_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err)
{
	uint64_t at = begin(be, BACKEND_STAT);
	int rc = inner_of(be)->ops->stat(inner_of(be), key, ret_st, err);

	end(be, at);
	return rc;
}

struct paging {
	struct backend *be;
	backend_list_fn *fn;
	void *ctx;
	uint64_t at;
	unsigned n;
};

static int page_key(void *ctx, const char *key, const struct backend_stat *st,
    struct err *err)
{
	struct paging *p = ctx;

	if (p->n == LIST_PAGE) {
		end(p->be, p->at);
		p->at = begin(p->be, BACKEND_LIST);
		p->n = 0;
	}
	p->n++;
	return p->fn(p->ctx, key, st, err);
}

static int slow_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct paging p = { .be = be, .fn = fn, .ctx = ctx };
	int rc;

	p.at = begin(be, BACKEND_LIST);
	rc = inner_of(be)->ops->list(inner_of(be), prefix, page_key, &p, err);
	end(be, p.at);
	return rc;
}

static int slow_del(struct backend *be, const char *key, struct err *err)
{
	uint64_t at = begin(be, BACKEND_DEL);
	int rc = inner_of(be)->ops->del(inner_of(be), key, err);

	end(be, at);
	return rc;
}

static int slow_del_many(struct backend *be, const char *const *keys,
    size_t n, struct err *err)
{
	uint64_t at = begin(be, BACKEND_DEL);
	int rc = backend_pass_del_many(inner_of(be), keys, n, err);

	end(be, at);
	return rc;
}

static void slow_caps(struct backend *be, struct backend_caps *ret_caps)
{
	backend_caps(inner_of(be), ret_caps);
	ret_caps->local = ret_caps->cheap_ranges = false;
}

void backend_slow_counts(struct backend *be, struct backend_slow_counts *ret)
{
	struct slow *s = (struct slow *)be;

	pthread_mutex_lock(&s->lock);
	*ret = s->counts;
	pthread_mutex_unlock(&s->lock);
}

static void slow_close(struct backend *be)
{
	struct slow *s = (struct slow *)be;
	const uint64_t *n = s->counts.calls;

	log_msg(LOG_INFO, "%s: %llu waits for %llu put, %llu put over, %llu "
	    "get, %llu stat, %llu list, %llu del", be->name,
	    (unsigned long long)s->counts.waits,
	    (unsigned long long)n[BACKEND_PUT],
	    (unsigned long long)n[BACKEND_PUT_OVER],
	    (unsigned long long)n[BACKEND_GET],
	    (unsigned long long)n[BACKEND_STAT],
	    (unsigned long long)n[BACKEND_LIST],
	    (unsigned long long)n[BACKEND_DEL]);
	pthread_mutex_destroy(&s->lock);
	backend_deco_close(be);
}

static const struct backend_ops slow_ops = {
	.put = slow_put,
	.put_over = slow_put_over,
	.get = slow_get,
	.get_all = slow_get_all,
	.stat = slow_stat,
	.list = slow_list,
	.del = slow_del,
	.del_many = slow_del_many,
	.caps = slow_caps,
	.counters = backend_deco_counters,
	.close = slow_close,
};

struct backend *backend_slow_new(struct backend *inner, unsigned ms,
    struct err *err)
{
	struct slow *s = backend_deco_new(sizeof(*s), &slow_ops, inner, err);

	if (s == NULL)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->ms = ms;
	return &s->deco.be;
}
