#ifndef REPO_BACKEND_BACKEND_HTTP_H
#define REPO_BACKEND_BACKEND_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/backend/backend.h"
#include "repo/backend/backend_remote.h"
#include "repo/base/err.h"
#include "repo/net/net.h"

/*
 * What the stores that are reached by HTTP share: the client with its
 * cancelling, the store's clock, what an answer that is no success says and
 * which class it has.  Private to this room.  From any thread.
 */

struct backend_http;

/*
 * How long a cancelled run may go on to say what it has to; tests shorten it
 * before a client is started.
 */
extern int64_t backend_http_grace_ns;

/*
 * Start a client for the store called name (its URL without secrets; copied).
 * Once opt->cancelled says so, what is under way has backend_http_grace_ns to
 * end; then all requests fail with class CANCELLED.  NULL with err as net_new.
 */
struct backend_http *backend_http_new(const char *name,
    const struct backend_remote_options *opt, struct err *err);

/* Once no call is under way; NULL is fine. */
void backend_http_free(struct backend_http *h);

/* The client, for credentials; it belongs to h. */
struct net *backend_http_net(struct backend_http *h);

/* The time by the store's clock as far as it is known, ns since 1970 UTC. */
int64_t backend_http_now_ns(const struct backend_http *h);

void backend_http_counters(struct backend_http *h,
    struct backend_counters *ret);

/* A call of the vtable, for messages. */
struct backend_http_what {
	const char *verb; /* "put" */
	const char *key;  /* or a prefix; NULL or "": none */
};

#define BACKEND_HTTP_CODE 64
#define BACKEND_HTTP_SAID 256

/* An answer; zero it first, then backend_http_answer_release. */
struct backend_http_answer {
	struct net_response rs;
	/*
	 * What it said when it was no success, "" for nothing: the elements
	 * Code and Message of an Error, printable ASCII only.
	 */
	char code[BACKEND_HTTP_CODE];
	char said[BACKEND_HTTP_SAID];
};

/*
 * Make one attempt.  What *ret held before is released.  Return 0 for any
 * answer, also one that is no success; -1 with err as net_do, naming store,
 * verb and key.
 */
int backend_http_do(struct backend_http *h, const struct backend_http_what *w,
    const struct net_request *rq, struct backend_http_answer *ret,
    struct err *err);

void backend_http_answer_release(struct backend_http_answer *a);

/* Return true for the status of a success. */
static inline bool backend_http_ok(const struct backend_http_answer *a)
{
	return a->rs.status >= 200 && a->rs.status < 300;
}

/*
 * Return the class of a status that is no success: 401 and 403 AUTH, 404
 * NOTFOUND, 501 UNSUPPORTED, 507 FULL, 408, 429 and other 5xx TRANSIENT, 3xx
 * USAGE, anything else IO.
 */
enum err_class backend_http_class(int status);

/*
 * Fill err from an answer that is no success: "STORE: put KEY: CODE: what it
 * said (HTTP 403); hint".  class ERR_NONE is that of the status; hint may be
 * NULL.  A refusal (class AUTH) has errnum EKEYREJECTED: it is the store's
 * credentials that are wanting, not those of the repository.  Return -1.
 */
int backend_http_fail(const struct backend_http *h,
    const struct backend_http_what *w, const struct backend_http_answer *a,
    enum err_class class, const char *hint, struct err *err);

/*
 * Fill err with "STORE: put KEY: " and the message, for an answer that makes
 * no sense, say.  Return -1.
 */
int backend_http_error(const struct backend_http *h,
    const struct backend_http_what *w, enum err_class class, struct err *err,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/*
 * The store refused our time: take its own from the answer's Date.  Return
 * true when that differs from what was believed by more than ten seconds, so
 * that the call is worth being made once more.
 */
bool backend_http_take_clock(struct backend_http *h,
    const struct backend_http_answer *a);

/*
 * Read a time as stores write it, "Sun, 06 Nov 1994 08:49:37 GMT" or
 * "2026-11-01T12:00:00.000Z", cut to whole seconds: the same object has the
 * same time in a listing and by itself.  Return ns since 1970 UTC, or -1.
 */
int64_t backend_http_time(const char *s);

/*
 * Undo percent-encoding in place, with plus also '+' for a space.  Return 0,
 * or -1 for a '%' without two hex digits, or of a NUL.
 */
int backend_http_unescape(char *s, bool plus);

/*
 * A URL of a store cut into its parts: "s3://NAME/REST?a=b&c=d".  Parts are
 * owned; see release.
 */
struct backend_http_url {
	char *name;   /* the part after "//" up to '/' or '?'; decoded */
	char *rest;   /* decoded, without slashes at its ends; "" for none */
	struct backend_http_param { char *name, *value; } *params; /* decoded */
	size_t nparams;
};

/*
 * Cut url, whose scheme is "SCHEME:" or "SCHEME://".  Return 0, or -1 with
 * class USAGE: no name, a user part ('@') or a fragment, an escape that is
 * malformed, a parameter twice or without '='.  No message repeats the URL.
 */
int backend_http_url_parse(const char *url, struct backend_http_url *ret,
    struct err *err);
void backend_http_url_release(struct backend_http_url *u);

/* The value of a parameter, or NULL. */
const char *backend_http_param(const struct backend_http_url *u,
    const char *name);

/*
 * Return 0 when every parameter is among known (NULL ends it), else -1 with
 * class USAGE naming it and them.
 */
int backend_http_params_known(const struct backend_http_url *u,
    const char *const *known, struct err *err);

#endif
