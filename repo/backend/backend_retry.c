#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "repo/backend/backend.h"
#include "repo/backend/backend_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"

#define MS INT64_C(1000000)

#define DEFAULT_BUDGET_MS (15 * 60 * 1000)
#define DEFAULT_FIRST_MS 100
#define DEFAULT_MAX_MS (10 * 1000)

/*
 * A commit that arrives later than an hour after it was first sent could bring
 * back what was forgotten meanwhile; ten minutes are for the last try itself.
 */
#define RESEND_LIMIT_NS (INT64_C(50) * 60 * 1000 * MS)

/* How long a sleep may go on before a cancelled run is noticed. */
#define SLEEP_SLICE_NS (200 * MS)

/* What keeps failing is told after so long, and then as often, once for all. */
#define TELL_NS (10 * 1000 * MS)
#define TELL_AGAIN_NS (60 * 1000 * MS)

/* An object is compared with ours in pieces of so many bytes. */
#define COMPARE_LEN ((size_t)1 << 20)

struct retry {
	struct backend_deco deco;
	struct backend_retry_options opt;
	atomic_bool reached;      /* the store has answered once */
	_Atomic int64_t alone_ns; /* when it first did not, clock_mono_ns */
	_Atomic int64_t told_ns;  /* when a failure was told last, clock_mono_ns */
};

/* One call and its repetitions. */
struct attempt {
	struct retry *r;
	const char *what;
	const char *key;
	int64_t first_ns;  /* when it began */
	int64_t waited_ns; /* pauses so far */
	int64_t failed_ns; /* when it failed first, clock_mono_ns */
	unsigned failures;
};

static int64_t now_ns(const struct retry *r)
{
	return r->opt.now_ns != NULL ? r->opt.now_ns(r->opt.sleep_ctx) :
	    clock_boot_ns();
}

static struct attempt begin(struct backend *be, const char *what,
    const char *key)
{
	struct retry *r = (struct retry *)be;

	return (struct attempt){ .r = r, .what = what, .key = key,
		.first_ns = now_ns(r) };
}

static bool is_cancelled(const struct retry *r)
{
	return r->opt.cancelled != NULL && r->opt.cancelled(r->opt.cancel_ctx);
}

static void sleep_for(const struct retry *r, int64_t ns)
{
	if (r->opt.sleep_ns != NULL) {
		r->opt.sleep_ns(r->opt.sleep_ctx, ns);
		return;
	}
	while (ns > 0 && !is_cancelled(r)) {
		int64_t n = ns < SLEEP_SLICE_NS ? ns : SLEEP_SLICE_NS;
		struct timespec ts = { 0, (long)n };

		nanosleep(&ts, NULL);
		ns -= n;
	}
}

/* Return the next pause: random, below a bound that doubles each time. */
static int64_t next_pause(const struct attempt *a)
{
	int64_t max = a->r->opt.max_ms * MS;
	int64_t bound = a->r->opt.first_ms * MS;

	for (unsigned i = 1; i < a->failures && bound < max; i++)
		bound *= 2;
	if (bound > max)
		bound = max;
	return (int64_t)(rand_u64() % ((uint64_t)bound + 1));
}

/*
 * What is left of the time for trying again.  Calls that fail slowly count with
 * their own time, but not what the machine slept.
 */
static int64_t time_left(const struct attempt *a)
{
	const struct backend_retry_options *opt = &a->r->opt;
	int64_t now = clock_mono_ns(), gone = now - a->failed_ns;
	int64_t left = opt->budget_ms * MS -
	    (gone > a->waited_ns ? gone : a->waited_ns);

	if (opt->contact_ms == 0 || atomic_load(&a->r->reached))
		return left;

	/* One time for all calls: the next one knows no better. */
	int64_t none = 0, begun = now;

	if (!atomic_compare_exchange_strong(&a->r->alone_ns, &none, begun))
		begun = none;
	gone = now - begun;

	int64_t contact = opt->contact_ms * MS -
	    (gone > a->waited_ns ? gone : a->waited_ns);

	return contact < left ? contact : left;
}

/* Say what goes on when it takes long; many calls fail for one reason. */
static void tell(const struct attempt *a, int64_t left, const struct err *err)
{
	struct retry *r = a->r;
	int64_t now = clock_mono_ns(), told = atomic_load(&r->told_ns);

	if (now - a->failed_ns < TELL_NS ||
	    (told != 0 && now - told < TELL_AGAIN_NS) ||
	    !atomic_compare_exchange_strong(&r->told_ns, &told, now))
		return;
	log_msg(LOG_WARN, "%s; trying again for %lld s more", err->msg,
	    (long long)(left / (1000 * MS)));
}

/*
 * The call ended with rc, and with err when that is -1.  Return true after a
 * pause when it shall be made again, false when that stands.
 */
static bool again(struct attempt *a, int rc, struct err *err)
{
	struct retry *r = a->r;
	int64_t left;

	if (rc >= 0 || err->class != ERR_TRANSIENT) {
		/* Whatever was said: somebody is there. */
		if (!atomic_load(&r->reached))
			atomic_store(&r->reached, true);
		return false;
	}
	if (a->failures++ == 0)
		a->failed_ns = clock_mono_ns();
	left = time_left(a);
	if (left > 0 && !is_cancelled(r)) {
		int64_t pause = next_pause(a);

		if (pause > left)
			pause = left;
		log_msg(LOG_INFO, "%s %s failed, again in %lld ms: %s",
		    a->what, a->key, (long long)(pause / MS), err->msg);
		tell(a, left, err);
		a->waited_ns += pause;
		sleep_for(r, pause);
	}
	if (is_cancelled(r)) {
		err_wrap(err, "cancelled while trying again");
		err->class = ERR_CANCELLED;
		return false;
	}
	if (left <= 0) {
		err_wrap(err, "gave up after %u %s", a->failures,
		    a->failures == 1 ? "try" : "tries");
		return false;
	}
	return true;
}

/* Read the object piece by piece.  0 equal, 1 different, 2 gone, -1. */
static int compare(struct attempt *a, const uint8_t *data, size_t len,
    struct err *err)
{
	struct backend *in = a->r->deco.inner;
	CLEANUP_FREE uint8_t *buf = mem_zalloc(
	    len < COMPARE_LEN ? len : COMPARE_LEN, "a comparison", err);

	if (buf == NULL)
		return -1;
	for (size_t off = 0; off < len;) {
		size_t n = len - off < COMPARE_LEN ? len - off : COMPARE_LEN;
		int rc = in->ops->get(in, a->key, off, buf, n, err);

		if (again(a, rc, err))
			continue;
		if (rc != 0)
			return rc < 0 ? -1 : 2;
		if (memcmp(buf, data + off, n) != 0)
			return 1;
		off += n;
	}
	return 0;
}

/*
 * Look whether a put without answer, or one that met an object, was ours.
 * Return 0 when the object has these bytes, 1 when it has others, 2 when
 * there is none, -1 with err.
 */
static int look(struct attempt *a, const void *data, size_t len,
    struct err *err)
{
	struct backend *in = a->r->deco.inner;
	struct backend_stat st;
	int rc;

	do
		rc = in->ops->stat(in, a->key, &st, err);
	while (again(a, rc, err));
	if (rc != 0)
		return rc < 0 ? -1 : 2;
	return st.size == len ? compare(a, data, len, err) : 1;
}

static int retry_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct attempt a = begin(be, "put", key);
	struct backend_caps caps;

	backend_caps(in, &caps);
	for (;;) {
		int rc = in->ops->put(in, key, data, len, err);

		if (rc == 1 && a.failures > 0) {
			rc = look(&a, data, len, err);
			if (rc != 2)
				return rc;
			rc = err_set(err, ERR_TRANSIENT, "putting %s in %s: "
			    "it exists and does not", key, be->name);
		}
		if (!again(&a, rc, err))
			return rc;
		/*
		 * On a directory the repeated put is the look: it writes
		 * nothing over a name that is taken, and makes it durable.
		 */
		if (!caps.local) {
			rc = look(&a, data, len, err);
			if (rc != 2)
				return rc;
		}
		if (now_ns(a.r) - a.first_ns > RESEND_LIMIT_NS)
			return err_set(err, ERR_TRANSIENT, "putting %s in %s: "
			    "no answer, and too late to send it again", key,
			    be->name);
	}
}

static int retry_put_over(struct backend *be, const char *key,
    const void *data, size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct attempt a = begin(be, "put over", key);
	int rc;

	do
		rc = in->ops->put_over(in, key, data, len, err);
	while (again(&a, rc, err) &&
	    now_ns(a.r) - a.first_ns <= RESEND_LIMIT_NS);
	return rc;
}

static int retry_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct attempt a = begin(be, "get", key);
	int rc;

	do
		rc = in->ops->get(in, key, off, dst, len, err);
	while (again(&a, rc, err));
	return rc;
}

static int retry_get_all(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct attempt a = begin(be, "get", key);
	int rc;

	if (in->ops->get_all == NULL)
		return backend_get_by_stat(be, key, max, ret_data, ret_len,
		    err);
	do
		rc = in->ops->get_all(in, key, max, ret_data, ret_len, err);
	while (again(&a, rc, err));
	return rc;
}

static int retry_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct attempt a = begin(be, "stat", key);
	int rc;

	do
		rc = in->ops->stat(in, key, ret_st, err);
	while (again(&a, rc, err));
	return rc;
}

/* What a repeated listing has given so far. */
struct progress {
	backend_list_fn *fn;
	void *ctx;
	bool ordered;
	bool stopped; /* by fn, so there is nothing to repeat */
	char last[BACKEND_KEY_MAX + 1]; /* "" for none */
};

static int pass_on(void *ctx, const char *key, const struct backend_stat *st,
    struct err *err)
{
	struct progress *p = ctx;

	if (p->ordered && p->last[0] != '\0' && strcmp(key, p->last) <= 0)
		return 0;
	memcpy(p->last, key, strlen(key) + 1);

	int rc = p->fn(p->ctx, key, st, err);

	p->stopped = rc != 0;
	return rc;
}

static int retry_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct attempt a = begin(be, "list", prefix);
	struct progress p = { .fn = fn, .ctx = ctx };
	struct backend_caps caps;
	int rc;

	backend_caps(in, &caps);
	p.ordered = caps.ordered_list;
	do
		rc = in->ops->list(in, prefix, pass_on, &p, err);
	while (!p.stopped && (p.ordered || p.last[0] == '\0') &&
	    again(&a, rc, err));
	return rc;
}

static int retry_del(struct backend *be, const char *key, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct attempt a = begin(be, "del", key);
	int rc;

	do
		rc = in->ops->del(in, key, err);
	while (again(&a, rc, err));
	/* It is gone; an earlier try whose answer was lost may be why. */
	return rc == 1 && a.failures > 0 ? 0 : rc;
}

static int retry_del_many(struct backend *be, const char *const *keys,
    size_t n, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct attempt a = begin(be, "del", keys[0]);
	int rc;

	if (in->ops->del_many == NULL) {
		/* Each has a budget of its own, and none is sent twice. */
		for (size_t i = 0; i < n; i++)
			if (retry_del(be, keys[i], err) < 0)
				return -1;
		return 0;
	}
	do
		rc = in->ops->del_many(in, keys, n, err);
	while (again(&a, rc, err));
	return rc;
}

static const struct backend_ops retry_ops = {
	.put = retry_put,
	.put_over = retry_put_over,
	.get = retry_get,
	.get_all = retry_get_all,
	.stat = retry_stat,
	.list = retry_list,
	.del = retry_del,
	.del_many = retry_del_many,
	.caps = backend_deco_caps,
	.counters = backend_deco_counters,
	.close = backend_deco_close,
};

struct backend *backend_retry_new(struct backend *inner,
    const struct backend_retry_options *opt, struct err *err)
{
	struct retry *r = backend_deco_new(sizeof(*r), &retry_ops, inner, err);

	if (r == NULL)
		return NULL;
	if (opt != NULL)
		r->opt = *opt;
	if (r->opt.budget_ms == 0)
		r->opt.budget_ms = DEFAULT_BUDGET_MS;
	if (r->opt.first_ms == 0)
		r->opt.first_ms = DEFAULT_FIRST_MS;
	if (r->opt.max_ms == 0)
		r->opt.max_ms = DEFAULT_MAX_MS;
	return &r->deco.be;
}
