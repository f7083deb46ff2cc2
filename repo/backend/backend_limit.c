#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "repo/backend/backend.h"
#include "repo/backend/backend_internal.h"
#include "repo/base/clock.h"

/* What an idle bucket saves up, so that small calls need not wait. */
#define BURST_NS (INT64_C(50) * 1000000)

/*
 * A token bucket, kept as the time at which all that was asked for is paid.
 * A call waits for that time of its own, so that within any t ns at most
 * rate * (t + burst) bytes begin to pass.
 */
struct bucket {
	pthread_mutex_t lock;
	uint64_t rate; /* bytes a second, 0 is no limit */
	int64_t paid_ns;
};

struct limit {
	struct backend_deco deco;
	struct bucket up, down;
};

static void sleep_until(int64_t t_ns)
{
	struct timespec ts = { t_ns / 1000000000, t_ns % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts,
	        NULL) == EINTR)
		;
}

static void take(struct bucket *b, size_t len)
{
	if (b->rate == 0)
		return;

	int64_t cost = (int64_t)((double)len * 1e9 / (double)b->rate);
	int64_t now = clock_mono_ns();

	pthread_mutex_lock(&b->lock);
	if (b->paid_ns < now - BURST_NS)
		b->paid_ns = now - BURST_NS;
	b->paid_ns += cost;

	int64_t mine = b->paid_ns;

	pthread_mutex_unlock(&b->lock);
	if (mine > now)
		sleep_until(mine);
}

static int limit_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);

	take(&((struct limit *)be)->up, len);
	return in->ops->put(in, key, data, len, err);
}

static int limit_put_over(struct backend *be, const char *key,
    const void *data, size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);

	take(&((struct limit *)be)->up, len);
	return in->ops->put_over(in, key, data, len, err);
}

static int limit_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);

	take(&((struct limit *)be)->down, len);
	return in->ops->get(in, key, off, dst, len, err);
}

static int limit_get_all(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err)
{
	int rc = backend_pass_get_all(backend_deco_inner(be), key, max,
	    ret_data, ret_len, err);

	/* How long it is was not known before. */
	if (rc == 0)
		take(&((struct limit *)be)->down, *ret_len);
	return rc;
}

static int limit_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err)
{
	struct backend *in = backend_deco_inner(be);

	return in->ops->stat(in, key, ret_st, err);
}

static int limit_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct backend *in = backend_deco_inner(be);

	return in->ops->list(in, prefix, fn, ctx, err);
}

static int limit_del(struct backend *be, const char *key, struct err *err)
{
	struct backend *in = backend_deco_inner(be);

	return in->ops->del(in, key, err);
}

static int limit_del_many(struct backend *be, const char *const *keys,
    size_t n, struct err *err)
{
	return backend_pass_del_many(backend_deco_inner(be), keys, n, err);
}

static void limit_close(struct backend *be)
{
	struct limit *l = (struct limit *)be;

	pthread_mutex_destroy(&l->up.lock);
	pthread_mutex_destroy(&l->down.lock);
	backend_deco_close(be);
}

static const struct backend_ops limit_ops = {
	.put = limit_put,
	.put_over = limit_put_over,
	.get = limit_get,
	.get_all = limit_get_all,
	.stat = limit_stat,
	.list = limit_list,
	.del = limit_del,
	.del_many = limit_del_many,
	.caps = backend_deco_caps,
	.counters = backend_deco_counters,
	.close = limit_close,
};

struct backend *backend_limit_new(struct backend *inner, uint64_t up,
    uint64_t down, struct err *err)
{
	struct limit *l = backend_deco_new(sizeof(*l), &limit_ops, inner, err);

	if (l == NULL)
		return NULL;
	/* With default attributes these cannot fail on Linux. */
	pthread_mutex_init(&l->up.lock, NULL);
	pthread_mutex_init(&l->down.lock, NULL);
	l->up.rate = up;
	l->down.rate = down;
	return &l->deco.be;
}
