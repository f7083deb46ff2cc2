#ifndef REPO_NET_NET_INTERNAL_H
#define REPO_NET_NET_INTERNAL_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "repo/base/err.h"
#include "repo/net/net.h"

/* Headers and trailers of one answer take no more than this. */
#define NET_HEADERS_MAX (256u << 10)
/* Of the body of an answer that is no 2xx. */
#define NET_ERROR_BODY_MAX (64u << 10)

/* --- one direction's limit, used by the I/O thread only (net_rate.c) --- */

struct net_rate {
	uint64_t rate;   /* bytes a second; 0: no limit */
	int64_t tokens;  /* bytes that may move now; negative: in debt */
	int64_t burst;   /* what an idle time saves up, at most */
	int64_t at_ns;   /* until when tokens were counted */
	int64_t piece;   /* how much one request takes at a time */
};

void net_rate_init(struct net_rate *r, uint64_t rate, int64_t now_ns);
/* How many bytes may move now, a piece; SIZE_MAX without a limit, 0: wait. */
size_t net_rate_ready(struct net_rate *r, int64_t now_ns);
void net_rate_take(struct net_rate *r, size_t len);
/* ns until something may move. */
int64_t net_rate_wait(struct net_rate *r, int64_t now_ns);

/* --- the head of an answer (net_head.c) --- */

struct net_head {
	struct net_response *rs;
	bool complete; /* the final answer's head is over; what comes is trailers */
	bool retry_is_date, has_length;
	int64_t retry_ns;
	int64_t length; /* Content-Length */
};

/*
 * Take one line of head or trailer as libcurl hands it on, its end included.
 * Return 0, or -1 with err: CORRUPT, FULL.
 */
int net_head_line(struct net_head *h, const char *line, size_t len,
    struct err *err);
/* Once all lines are there: what Retry-After means. */
void net_head_finish(struct net_head *h);

/* --- one request --- */

struct net_job {
	struct net *n;
	const struct net_request *rq;
	CURL *easy;
	struct curl_slist *slist;
	struct net_head head;
	struct net_response *rs;
	char errbuf[CURL_ERROR_SIZE];

	bool started;          /* connected; from then on silence is counted */
	bool cut;              /* a long body of a failure: enough was seen */
	bool paused_up, paused_down;
	size_t sent;           /* of the body, handed to curl */
	curl_off_t seen;       /* bytes moved, when last looked at */
	int local_port;        /* of its connection; 0: not by TCP */
	int queued;            /* bytes in the socket, when last looked at */
	int64_t moved_ns;      /* when that changed */
	int64_t begun_ns;
	uint64_t stall_ms;
	struct err err;        /* why a callback ended it; class NONE: it did not */

	CURLcode code;
	bool done;             /* under n->lock */
	pthread_cond_t cond;
	TAILQ_ENTRY(net_job) link, up_link, down_link;
};

/* A list of them, by the macros TAILQ_*. */
struct net_jobs {
	struct net_job *tqh_first, **tqh_last;
};

struct net {
	CURLM *multi;
	CURLSH *share;
	struct net_tls *tls;
	char *agent;
	unsigned connections, connect_ms, stall_ms;
	pthread_t thread;

	pthread_mutex_t lock;
	struct net_jobs waiting;     /* under lock: not yet taken by the I/O thread */
	bool stop;                   /* under lock */
	bool cancelled;              /* under lock */

	/* The I/O thread's own. */
	struct net_jobs running;
	unsigned nrunning;
	bool room;                   /* for one that waits */
	int64_t looked_ns;           /* at who is silent */
	struct net_rate up, down;
	struct net_jobs up_paused, down_paused;
	int *fds;                    /* sockets that are open */
	size_t nfds, cap_fds;

	_Atomic uint64_t requests, failed, opened, sent, received;
};

/* The I/O thread (net_loop.c); arg is the struct net. */
void *net_loop(void *arg);

/*
 * Make the easy handle of j as its request says (net_easy.c).  Return 0, or -1
 * with err.  net_easy_drop frees it and wipes what was in it.
 */
int net_easy_make(struct net_job *j, struct err *err);
void net_easy_drop(struct net_job *j);

/*
 * Fill err from how j ended (net_fail.c): its code, or what a callback left in
 * j->err.  Return 0 when it is whole, else -1.
 */
int net_fail_tell(struct net_job *j, struct err *err);

/* --- whom to trust (net_tls.c) --- */

struct net_tls;

/* NULL with err of class USAGE, FULL, UNSUPPORTED. */
struct net_tls *net_tls_new(const char *ca_file, struct err *err);
void net_tls_free(struct net_tls *t);
/* For CURLOPT_SSL_CTX_FUNCTION; arg is the struct net_tls. */
CURLcode net_tls_use(CURL *easy, void *ssl_ctx, void *arg);
/* Why a certificate was refused (X509_V_ERR_*), as a static string. */
const char *net_tls_reason(long code);

/* --- URLs and methods (net_url.c) --- */

/* Return 0, or -1 with err of class USAGE unless url is fit to be sent. */
int net_url_check(const char *url, struct err *err);
/* Length of url without its query and fragment. */
size_t net_url_shown(const char *url);
const char *net_method_name(enum net_method m);

#endif
