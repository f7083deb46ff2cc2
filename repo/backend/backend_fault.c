#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "repo/backend/backend.h"
#include "repo/backend/backend_internal.h"

struct fault {
	struct backend_deco deco;
	enum backend_fault (*decide)(void *ctx, enum backend_op op,
	    const char *key, uint64_t count);
	void *ctx;
	_Atomic uint64_t count;
};

/* One call: what was decided for it, and its number. */
struct verdict {
	enum backend_fault fault;
	uint64_t count;
};

static const char *op_name(enum backend_op op)
{
	static const char *const names[] = {
		[BACKEND_PUT] = "put", [BACKEND_PUT_OVER] = "put over",
		[BACKEND_GET] = "get", [BACKEND_STAT] = "stat",
		[BACKEND_LIST] = "list", [BACKEND_DEL] = "del",
	};

	return names[op];
}

/* Return true when the fault can befall the call. */
static bool fits(enum backend_fault fault, enum backend_op op)
{
	switch (fault) {
	case BACKEND_FAULT_FLIP:
	case BACKEND_FAULT_SHORT:
		return op == BACKEND_GET;
	case BACKEND_FAULT_FULL:
		return op == BACKEND_PUT || op == BACKEND_PUT_OVER;
	default:
		return true;
	}
}

/*
 * Decide about a call and do what comes before it.  Return 0 when it shall be
 * made, -1 with err when it failed already.
 */
static int before(struct backend *be, enum backend_op op, const char *key,
    struct verdict *ret_verdict, struct err *err)
{
	struct fault *f = (struct fault *)be;
	uint64_t count = atomic_fetch_add(&f->count, 1);
	enum backend_fault fault = f->decide(f->ctx, op, key, count);

	if (!fits(fault, op))
		fault = BACKEND_FAULT_NONE;
	ret_verdict->fault = fault;
	ret_verdict->count = count;
	switch (fault) {
	case BACKEND_FAULT_KILL:
		/* As nothing else it leaves no chance to tidy up. */
		kill(getpid(), SIGKILL);
		for (;;)
			pause();
	case BACKEND_FAULT_BEFORE:
		return err_set(err, ERR_TRANSIENT, "injected: %s %s in %s "
		    "was not begun (call %llu)", op_name(op), key, be->name,
		    (unsigned long long)count);
	case BACKEND_FAULT_FULL:
		return err_set(err, ERR_FULL, "injected: no space for %s in "
		    "%s (call %llu)", key, be->name,
		    (unsigned long long)count);
	case BACKEND_FAULT_SHORT:
		return err_set(err, ERR_CORRUPT, "injected: %s in %s ends too "
		    "early (call %llu)", key, be->name,
		    (unsigned long long)count);
	default:
		return 0;
	}
}

/* Return what the caller gets to know of rc, the call's real result. */
static int after(struct backend *be, enum backend_op op, const char *key,
    const struct verdict *v, int rc, struct err *err)
{
	if (rc < 0 || v->fault != BACKEND_FAULT_AFTER)
		return rc;
	return err_set(err, ERR_TRANSIENT, "injected: the answer to %s %s in "
	    "%s is lost (call %llu)", op_name(op), key, be->name,
	    (unsigned long long)v->count);
}

static int fault_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct verdict v;

	if (before(be, BACKEND_PUT, key, &v, err) < 0)
		return -1;
	return after(be, BACKEND_PUT, key, &v,
	    in->ops->put(in, key, data, len, err), err);
}

static int fault_put_over(struct backend *be, const char *key,
    const void *data, size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct verdict v;

	if (before(be, BACKEND_PUT_OVER, key, &v, err) < 0)
		return -1;
	return after(be, BACKEND_PUT_OVER, key, &v,
	    in->ops->put_over(in, key, data, len, err), err);
}

/* Flip a bit that depends on nothing but the number of the call. */
static void flip(uint8_t *p, size_t len, uint64_t count)
{
	uint64_t h = (count + 1) * UINT64_C(0x9e3779b97f4a7c15);

	p[(h >> 8) % len] ^= (uint8_t)(1u << (h >> 61));
}

static int fault_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct verdict v;

	if (before(be, BACKEND_GET, key, &v, err) < 0)
		return -1;

	int rc = in->ops->get(in, key, off, dst, len, err);

	if (rc == 0 && v.fault == BACKEND_FAULT_FLIP)
		flip(dst, len, v.count);
	return after(be, BACKEND_GET, key, &v, rc, err);
}

static int fault_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct verdict v;

	if (before(be, BACKEND_STAT, key, &v, err) < 0)
		return -1;
	return after(be, BACKEND_STAT, key, &v,
	    in->ops->stat(in, key, ret_st, err), err);
}

static int fault_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct verdict v;

	if (before(be, BACKEND_LIST, prefix, &v, err) < 0)
		return -1;
	return after(be, BACKEND_LIST, prefix, &v,
	    in->ops->list(in, prefix, fn, ctx, err), err);
}

static int fault_del(struct backend *be, const char *key, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct verdict v;

	if (before(be, BACKEND_DEL, key, &v, err) < 0)
		return -1;
	return after(be, BACKEND_DEL, key, &v, in->ops->del(in, key, err),
	    err);
}

static const struct backend_ops fault_ops = {
	.put = fault_put,
	.put_over = fault_put_over,
	.get = fault_get,
	.stat = fault_stat,
	.list = fault_list,
	.del = fault_del,
	.caps = backend_deco_caps,
	.counters = backend_deco_counters,
	.close = backend_deco_close,
};

struct backend *backend_fault_new(struct backend *inner,
    enum backend_fault (*decide)(void *ctx, enum backend_op op,
        const char *key, uint64_t count),
    void *ctx, struct err *err)
{
	struct fault *f = backend_deco_new(sizeof(*f), &fault_ops, inner, err);

	if (f == NULL)
		return NULL;
	f->decide = decide;
	f->ctx = ctx;
	return &f->deco.be;
}
