#ifndef REPO_NET_NET_H
#define REPO_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/buf.h"
#include "repo/base/err.h"

/*
 * HTTP over libcurl.  One client holds one I/O thread with a curl multi handle
 * and a pool of connections; any number of threads make requests through it
 * and each blocks until its own is over.  A call makes ONE attempt and tells
 * how it ended; who repeats, and how often, is decided above.  TLS is always
 * verified; there is no way to turn that off.  Nothing here knows a store.
 *
 * No secret gets into a message or a log line: of a URL only scheme, host,
 * port and path are shown, never its query or user part, and of headers only
 * their names.
 */

struct net;

struct net_options {
	/* PEM file of authorities to trust beside the system's; NULL: none. */
	const char *ca_file;
	uint64_t up, down;        /* bytes a second over all requests; 0: no limit */
	unsigned connections;     /* requests under way at once; 0: 64 */
	unsigned connect_ms;      /* until connected, TLS included; 0: 20 s */
	/*
	 * A request fails when no byte has moved for this long, whatever its
	 * total time; what the limits hold back counts as moving, and so does a
	 * socket that still empties.  A server that thinks, with the request
	 * whole before it, is silent.  0: 60 s
	 */
	unsigned stall_ms;
	const char *agent;        /* User-Agent; NULL: "wherry/VERSION" */
};

/*
 * Start a client; opt may be NULL.  Proxies are taken from the environment as
 * curl does (https_proxy, no_proxy), credentials from nowhere.  NULL with err:
 * USAGE when ca_file cannot be read or holds no certificate, FULL, UNSUPPORTED
 * when libcurl was not built with OpenSSL.
 */
struct net *net_new(const struct net_options *opt, struct err *err);

/* End it, once no request is under way; NULL is fine. */
void net_free(struct net *n);

/*
 * Make what is under way and what comes fail with class CANCELLED.  May be
 * called from any thread, not from a signal handler.
 */
void net_cancel(struct net *n);

struct net_counters {
	uint64_t requests;    /* answered or not */
	uint64_t failed;      /* without a whole answer */
	uint64_t connections; /* opened */
	uint64_t sent, received; /* bytes of bodies, those of failures too */
};
/* From any thread, at any time; each number for itself. */
void net_counters(struct net *n, struct net_counters *ret);

/* A header to be sent.  All pointers are borrowed for the call. */
struct net_header { const char *name, *value; };

enum net_method { NET_GET, NET_HEAD, NET_PUT, NET_POST, NET_DELETE, NET_PATCH };

struct net_request {
	enum net_method method;
	const char *url;      /* absolute, percent-encoded; sent as it is */
	const struct net_header *headers;
	size_t nheaders;
	const void *body;     /* NULL: none; never 100-continue */
	size_t body_len;      /* Content-Length is set from it, also 0 for PUT, POST */

	/*
	 * Where the body of an answer of class 2xx goes: dst when it is set
	 * (dst_len bytes; a longer body is CORRUPT, a shorter one is told by
	 * body_len), else on_body, else the answer's own buffer up to body_max
	 * bytes (0: 1 MiB; longer is CORRUPT).  Bodies of other answers always
	 * go to the answer's buffer, cut after 64 KiB.
	 */
	void *dst;
	size_t dst_len;
	/*
	 * Called on the I/O thread with each piece as it comes; must not block.
	 * Any other value than 0 ends the request with class CANCELLED.
	 */
	int (*on_body)(void *ctx, const void *data, size_t len);
	void *ctx;
	size_t body_max;

	unsigned stall_ms;    /* 0: the client's (a watch is silent for longer) */
	unsigned total_ms;    /* 0: no bound on the whole */
	/*
	 * Speak HTTP/2 only, without TLS too (gRPC): many requests share a
	 * connection, each still counts as one of `connections`.
	 */
	bool http2;
	const char *unix_path; /* connect to this socket; NULL: to the URL's host */
	bool direct;          /* never by a proxy (a machine's own metadata) */
	/* A client's certificate and key, PEM files; NULL: none. */
	const char *cert_file, *key_file;
};

/* An answer.  Zero it first; net_response_release frees what it holds. */
struct net_response {
	int status;           /* 100-599 */
	struct buf body;      /* as told above */
	size_t body_len;      /* bytes of the body, wherever they went */
	int64_t date_ns;      /* the Date header, ns since 1970 UTC; 0: none */
	unsigned retry_after_s; /* Retry-After in seconds, dates too; 0: none */
	struct buf headers;   /* "name\0value\0" pairs, names in lower case;
	                       * those of trailers too */
};

/*
 * Make the request and wait for the whole answer, whatever its status;
 * redirects are answers, too.  One that comes before the body was sent ends
 * the sending unless it is a success.  An idle connection that turns out to
 * have been closed is replaced, and the request sent on a new one, but not when
 * some of a body was sent on it already: then it is TRANSIENT.
 *
 * From any thread but the I/O thread (on_body).  ret may hold an earlier answer,
 * which is released; what it holds on failure is nothing.
 *
 * Return 0, or -1 with err: TRANSIENT: not resolved, not connected, reset,
 * stalled, out of time, shorter than its Content-Length; it is not known
 * whether the server acted.  IO: the server's certificate is not trusted (then
 * the message names --ca-file), expired, not valid yet or of another host; TLS
 * cannot be agreed on.  CORRUPT: not HTTP, not HTTP/2 where that is wanted, or
 * longer than it may be (headers: 256 KiB).  CANCELLED, FULL.  USAGE: a
 * malformed URL, one with a user part, a header that holds the end of a line, a
 * client's certificate that cannot be used.  UNSUPPORTED: libcurl lacks what is
 * needed.  The message names method and URL without its query.
 */
int net_do(struct net *n, const struct net_request *rq,
    struct net_response *ret, struct err *err);

/* The value of a header of the answer (name in lower case), or NULL. */
const char *net_header(const struct net_response *rs, const char *name);

void net_response_release(struct net_response *rs);

/*
 * Append s to dst percent-encoded: all but A-Z a-z 0-9 - . _ ~, and '/' when
 * slash is set.
 */
void net_escape(struct buf *dst, const char *s, bool slash);

/* Parse "https://host[:port][/prefix]".  Parts are owned; see release. */
struct net_url {
	bool tls;
	char *host;           /* an IPv6 address without its brackets */
	unsigned port;        /* 0: the scheme's */
	char *path;           /* without a slash at its end; "" or "/..." */
};
/* Return 0, or -1 with class USAGE; user parts, queries, fragments are refused. */
int net_url_parse(const char *url, struct net_url *ret, struct err *err);
void net_url_release(struct net_url *u);

#endif
