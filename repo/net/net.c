#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/clock.h"
#include "repo/base/mem.h"
#include "repo/net/net_internal.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode global;

static void init_global(void)
{
	/*
	 * A program may end while requests are under way; OpenSSL must not take
	 * its tables from under them then.
	 */
	OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
	/* Never undone: libcurl may serve others in this process. */
	global = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* The I/O thread takes no signals; a closed peer's SIGPIPE least of all. */
static int start_thread(struct net *n)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);

	int rc = pthread_create(&n->thread, NULL, net_loop, n);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static void set_options(struct net *n, const struct net_options *o)
{
	int64_t now_ns = clock_mono_ns();

	n->connections = o->connections ? o->connections : 64;
	n->connect_ms = o->connect_ms ? o->connect_ms : 20000;
	n->stall_ms = o->stall_ms ? o->stall_ms : 60000;
	net_rate_init(&n->up, o->up, now_ns);
	net_rate_init(&n->down, o->down, now_ns);
}

static void release(struct net *n)
{
	if (n->multi != NULL)
		curl_multi_cleanup(n->multi);
	if (n->share != NULL)
		curl_share_cleanup(n->share);
	net_tls_free(n->tls);
	free(n->fds);
	free(n->agent);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

static int make_multi(struct net *n, struct err *err)
{
	n->multi = curl_multi_init();
	n->share = curl_share_init();
	if (n->multi == NULL || n->share == NULL)
		return err_nomem(err, "HTTP");
	curl_share_setopt(n->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	curl_multi_setopt(n->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
	    (long)n->connections);
	curl_multi_setopt(n->multi, CURLMOPT_MAXCONNECTS, (long)n->connections);
	return 0;
}

struct net *net_new(const struct net_options *opt, struct err *err)
{
	static const struct net_options none;
	const struct net_options *o = opt ? opt : &none;

	pthread_once(&once, init_global);
	if (global != CURLE_OK) {
		err_set(err, ERR_FULL, "libcurl does not start: %s",
		    curl_easy_strerror(global));
		return NULL;
	}

	struct net *n = mem_zalloc(sizeof(*n), "HTTP", err);

	if (n == NULL)
		return NULL;
	pthread_mutex_init(&n->lock, NULL);
	TAILQ_INIT(&n->waiting);
	TAILQ_INIT(&n->running);
	TAILQ_INIT(&n->up_paused);
	TAILQ_INIT(&n->down_paused);
	set_options(n, o);
	n->agent = mem_strdup(o->agent ? o->agent : "wherry/" WHERRY_VERSION, err);
	if (n->agent == NULL)
		goto fail;
	n->tls = net_tls_new(o->ca_file, err);
	if (n->tls == NULL || make_multi(n, err) < 0)
		goto fail;

	int rc = start_thread(n);

	if (rc != 0) {
		err_sys(err, rc, "cannot start a thread for HTTP");
		if (err != NULL)
			err->class = ERR_FULL;
		goto fail;
	}
	return n;
fail:
	release(n);
	return NULL;
}

void net_free(struct net *n)
{
	if (n == NULL)
		return;
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_mutex_unlock(&n->lock);
	curl_multi_wakeup(n->multi);
	pthread_join(n->thread, NULL);
	release(n);
}

void net_cancel(struct net *n)
{
	pthread_mutex_lock(&n->lock);
	n->cancelled = true;
	pthread_mutex_unlock(&n->lock);
	curl_multi_wakeup(n->multi);
}

void net_counters(struct net *n, struct net_counters *ret)
{
	ret->requests = n->requests;
	ret->failed = n->failed;
	ret->connections = n->opened;
	ret->sent = n->sent;
	ret->received = n->received;
}

/* Hand j to the I/O thread and wait until it comes back. */
static void pass_through(struct net *n, struct net_job *j)
{
	pthread_mutex_lock(&n->lock);
	TAILQ_INSERT_TAIL(&n->waiting, j, link);
	pthread_mutex_unlock(&n->lock);
	curl_multi_wakeup(n->multi);

	pthread_mutex_lock(&n->lock);
	while (!j->done)
		pthread_cond_wait(&j->cond, &n->lock);
	pthread_mutex_unlock(&n->lock);
}

int net_do(struct net *n, const struct net_request *rq,
    struct net_response *ret, struct err *err)
{
	struct net_job j = {
		.n = n, .rq = rq, .rs = ret, .head.rs = ret, .queued = -1,
		.cond = PTHREAD_COND_INITIALIZER, .begun_ns = clock_mono_ns(),
		.stall_ms = rq->stall_ms ? rq->stall_ms : n->stall_ms,
	};

	net_response_release(ret);
	if (net_url_check(rq->url, err) < 0)
		return -1;

	int rc = net_easy_make(&j, err);

	if (rc == 0) {
		n->requests++;
		pass_through(n, &j);
		net_head_finish(&j.head);
		rc = net_fail_tell(&j, err);
		if (rc < 0)
			n->failed++;
	}
	net_easy_drop(&j);
	pthread_cond_destroy(&j.cond);
	if (rc < 0)
		net_response_release(ret);
	return rc;
}
