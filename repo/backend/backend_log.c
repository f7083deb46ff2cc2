#include "repo/backend/backend.h"
#include "repo/backend/backend_internal.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"

/* Tell of a call that began at start (ns, monotonic). */
static void tell(const struct backend *be, const char *what, const char *key,
    int rc, uint64_t bytes, int64_t start, const struct err *err)
{
	double ms = (double)(clock_mono_ns() - start) / 1e6;

	if (rc < 0)
		log_msg(LOG_DEBUG, "%s %s in %s: failed (%s) after %.2f ms: "
		    "%s", what, key, be->name, err_class_name(err->class), ms,
		    err->msg);
	else
		log_msg(LOG_DEBUG, "%s %s in %s: %d, %llu bytes, %.2f ms",
		    what, key, be->name, rc, (unsigned long long)bytes, ms);
}

static int log_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	int64_t start = clock_mono_ns();
	int rc = in->ops->put(in, key, data, len, err);

	tell(be, "put", key, rc, len, start, err);
	return rc;
}

static int log_put_over(struct backend *be, const char *key,
    const void *data, size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	int64_t start = clock_mono_ns();
	int rc = in->ops->put_over(in, key, data, len, err);

	tell(be, "put over", key, rc, len, start, err);
	return rc;
}

static int log_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	int64_t start = clock_mono_ns();
	int rc = in->ops->get(in, key, off, dst, len, err);

	tell(be, "get", key, rc, rc == 0 ? len : 0, start, err);
	return rc;
}

static int log_get_all(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err)
{
	int64_t start = clock_mono_ns();
	int rc = backend_pass_get_all(backend_deco_inner(be), key, max,
	    ret_data, ret_len, err);

	tell(be, "get", key, rc, rc == 0 ? *ret_len : 0, start, err);
	return rc;
}

static int log_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	int64_t start = clock_mono_ns();
	int rc = in->ops->stat(in, key, ret_st, err);

	tell(be, "stat", key, rc, rc == 0 ? ret_st->size : 0, start, err);
	return rc;
}

/* A listing, and how many keys it gave. */
struct count {
	backend_list_fn *fn;
	void *ctx;
	uint64_t keys;
};

static int count_key(void *ctx, const char *key,
    const struct backend_stat *st, struct err *err)
{
	struct count *c = ctx;

	c->keys++;
	return c->fn(c->ctx, key, st, err);
}

static int log_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct count c = { .fn = fn, .ctx = ctx };
	int64_t start = clock_mono_ns();
	int rc = in->ops->list(in, prefix, count_key, &c, err);

	if (rc < 0)
		tell(be, "list", prefix, rc, 0, start, err);
	else
		log_msg(LOG_DEBUG, "list %s in %s: %d, %llu keys, %.2f ms",
		    prefix, be->name, rc, (unsigned long long)c.keys,
		    (double)(clock_mono_ns() - start) / 1e6);
	return rc;
}

static int log_del(struct backend *be, const char *key, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	int64_t start = clock_mono_ns();
	int rc = in->ops->del(in, key, err);

	tell(be, "del", key, rc, 0, start, err);
	return rc;
}

static int log_del_many(struct backend *be, const char *const *keys, size_t n,
    struct err *err)
{
	int64_t start = clock_mono_ns();
	int rc = backend_pass_del_many(backend_deco_inner(be), keys, n, err);

	for (size_t i = 0; i < n; i++)
		tell(be, "del", keys[i], rc, 0, start, err);
	return rc;
}

static const struct backend_ops log_ops = {
	.put = log_put,
	.put_over = log_put_over,
	.get = log_get,
	.get_all = log_get_all,
	.stat = log_stat,
	.list = log_list,
	.del = log_del,
	.del_many = log_del_many,
	.caps = backend_deco_caps,
	.counters = backend_deco_counters,
	.close = backend_deco_close,
};

struct backend *backend_log_new(struct backend *inner, struct err *err)
{
	struct backend_deco *d = backend_deco_new(sizeof(*d), &log_ops, inner,
	    err);

	return d == NULL ? NULL : &d->be;
}
