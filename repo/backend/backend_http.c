/* What stores that are reached by HTTP share: client, clock, answers. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/backend/backend_http.h"
#include "repo/backend/backend_xml.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"

#define SECOND INT64_C(1000000000)

/* How often it is looked whether the run was cancelled. */
#define WATCH_NS (SECOND / 5)

int64_t backend_http_grace_ns = 10 * SECOND;

/* A clock that differs by less is not why a store refuses us. */
#define SKEW_NS (10 * SECOND)

struct backend_http {
	char *name;
	struct net *net;
	_Atomic int64_t skew_ns; /* the store's clock minus ours */
	bool (*cancelled)(void *ctx);
	void *cancelled_ctx;

	/* The thread that asks cancelled; it runs only where there is one. */
	bool watched;
	pthread_t watcher;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
};

/* Wait until done is set, at most ns.  Return true when it is. */
static bool wait_done(struct backend_http *h, int64_t ns)
{
	int64_t until = clock_mono_ns() + ns;
	struct timespec ts = { until / SECOND, until % SECOND };
	bool done;

	pthread_mutex_lock(&h->lock);
	while (!h->done && clock_mono_ns() < until)
		pthread_cond_timedwait(&h->changed, &h->lock, &ts);
	done = h->done;
	pthread_mutex_unlock(&h->lock);
	return done;
}

static void *watch(void *arg)
{
	struct backend_http *h = arg;

	while (!h->cancelled(h->cancelled_ctx))
		if (wait_done(h, WATCH_NS))
			return NULL;
	if (!wait_done(h, backend_http_grace_ns))
		net_cancel(h->net);
	return NULL;
}

static int start_watcher(struct backend_http *h, struct err *err)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&h->watcher, NULL, watch, h) == 0) {
		h->watched = true;
		return 0;
	}
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	return err_nomem(err, "a thread");
}

static void stop_watcher(struct backend_http *h)
{
	if (!h->watched)
		return;
	pthread_mutex_lock(&h->lock);
	h->done = true;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->watcher, NULL);
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
}

struct backend_http *backend_http_new(const char *name,
    const struct backend_remote_options *opt, struct err *err)
{
	struct net_options no = {
		.ca_file = opt->ca_file,
		.up = opt->up,
		.down = opt->down,
		.connections = opt->connections,
	};
	struct backend_http *h = mem_zalloc(sizeof(*h), "a client", err);

	if (h == NULL)
		return NULL;
	h->cancelled = opt->cancelled;
	h->cancelled_ctx = opt->cancelled_ctx;
	h->name = mem_strdup(name, err);
	if (h->name != NULL)
		h->net = net_new(&no, err);
	if (h->net == NULL ||
	    (h->cancelled != NULL && start_watcher(h, err) < 0)) {
		backend_http_free(h);
		return NULL;
	}
	return h;
}

void backend_http_free(struct backend_http *h)
{
	if (h == NULL)
		return;
	stop_watcher(h);
	net_free(h->net);
	free(h->name);
	free(h);
}

struct net *backend_http_net(struct backend_http *h)
{
	return h->net;
}

int64_t backend_http_now_ns(const struct backend_http *h)
{
	return clock_real_ns() + atomic_load(&h->skew_ns);
}

void backend_http_counters(struct backend_http *h,
    struct backend_counters *ret)
{
	struct net_counters c;

	net_counters(h->net, &c);
	*ret = (struct backend_counters){
		.requests = c.requests,
		.failed = c.failed,
		.sent = c.sent,
		.received = c.received,
	};
}

/* Messages go to terminals and logs: nothing of a store's may steer them. */
static void make_printable(char *s)
{
	for (; *s != '\0'; s++)
		if (*s < ' ' || *s > '~')
			*s = *s == '\n' || *s == '\t' ? ' ' : '?';
}

static void read_error(struct backend_http_answer *a)
{
	const struct backend_xml_want want[] = {
		{ "Error/Code", a->code, sizeof(a->code) },
		{ "Error/Message", a->said, sizeof(a->said) },
	};

	backend_xml_pick(a->rs.body.p, a->rs.body.len, want,
	    sizeof(want) / sizeof(want[0]));
	make_printable(a->code);
	make_printable(a->said);
}

int backend_http_do(struct backend_http *h, const struct backend_http_what *w,
    const struct net_request *rq, struct backend_http_answer *ret,
    struct err *err)
{
	const char *key = w->key != NULL ? w->key : "";

	backend_http_answer_release(ret);
	if (net_do(h->net, rq, &ret->rs, err) < 0)
		return err_wrap(err, "%s: %s%s%s", h->name, w->verb,
		    key[0] != '\0' ? " " : "", key);
	if (!backend_http_ok(ret))
		read_error(ret);
	return 0;
}

void backend_http_answer_release(struct backend_http_answer *a)
{
	net_response_release(&a->rs);
	memset(a, 0, sizeof(*a));
}

enum err_class backend_http_class(int status)
{
	switch (status) {
	case 401:
	case 403:
		return ERR_AUTH;
	case 404:
		return ERR_NOTFOUND;
	case 408:
	case 429:
		return ERR_TRANSIENT;
	case 501:
		return ERR_UNSUPPORTED;
	case 507:
		return ERR_FULL;
	default:
		return status >= 500 ? ERR_TRANSIENT :
		    status >= 300 && status < 400 ? ERR_USAGE : ERR_IO;
	}
}

int backend_http_fail(const struct backend_http *h,
    const struct backend_http_what *w, const struct backend_http_answer *a,
    enum err_class class, const char *hint, struct err *err)
{
	if (class == ERR_NONE)
		class = backend_http_class(a->rs.status);
	backend_http_error(h, w, class, err, "%s%s%s (HTTP %d)%s%s",
	    a->code[0] != '\0' ? a->code : "refused",
	    a->said[0] != '\0' ? ": " : "", a->said, a->rs.status,
	    hint != NULL ? "; " : "", hint != NULL ? hint : "");
	if (err != NULL && class == ERR_AUTH)
		err->errnum = EKEYREJECTED;
	return -1;
}

int backend_http_error(const struct backend_http *h,
    const struct backend_http_what *w, enum err_class class, struct err *err,
    const char *fmt, ...)
{
	const char *key = w->key != NULL ? w->key : "";
	char text[768];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err, class, "%s: %s%s%s: %s", h->name, w->verb,
	    key[0] != '\0' ? " " : "", key, text);
}

bool backend_http_take_clock(struct backend_http *h,
    const struct backend_http_answer *a)
{
	int64_t skew, was = atomic_load(&h->skew_ns);

	if (a->rs.date_ns == 0)
		return false;
	skew = a->rs.date_ns - clock_real_ns();
	if (skew - was < SKEW_NS && was - skew < SKEW_NS)
		return false;
	atomic_store(&h->skew_ns, skew);
	log_msg(LOG_WARN, "%s: its clock and this machine's differ by %lld s; "
	    "requests bear its time from now on", h->name,
	    (long long)(skew / SECOND));
	return true;
}
