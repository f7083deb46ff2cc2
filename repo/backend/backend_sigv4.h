#ifndef REPO_BACKEND_BACKEND_SIGV4_H
#define REPO_BACKEND_BACKEND_SIGV4_H

#include <stddef.h>
#include <stdint.h>

#include "repo/base/buf.h"
#include "repo/base/err.h"
#include "repo/net/net.h"

/*
 * AWS Signature Version 4 in the form S3 wants it: bytes in, a header out.
 * Written after AWS's "Authenticating Requests (AWS Signature Version 4)".
 * Private to this room.
 */

#define BACKEND_SIGV4_DATE 17 /* "20130524T000000Z" and its NUL */
#define BACKEND_SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

/* A signer keeps the key of the day, so it is shared by all threads. */
struct backend_sigv4;

/* NULL with err of class FULL. */
struct backend_sigv4 *backend_sigv4_new(struct err *err);
void backend_sigv4_free(struct backend_sigv4 *s); /* NULL is fine */

struct backend_sigv4_request {
	const char *method;
	const char *path;    /* of the URL, encoded as it is sent; at least "/" */
	const char *query;   /* of the URL without '?', as it is sent; NULL: none */
	/*
	 * All headers that are to be signed, names in lower case, at most 32;
	 * host and x-amz-date must be among them.
	 */
	const struct net_header *headers;
	size_t nheaders;
	const char *payload; /* SHA-256 in hex, or BACKEND_SIGV4_UNSIGNED */
	const char *date;    /* the value of x-amz-date */
	const char *access_key, *secret_key;
	const char *region, *service; /* "us-east-1", "s3" */
};

/* Write the time (ns since 1970 UTC) as x-amz-date has it. */
void backend_sigv4_date(char dst[BACKEND_SIGV4_DATE], int64_t t_ns);

/*
 * Append to dst the request in its canonical form, which is what is signed.
 * Return 0, or -1 with err: BUG for more than 32 headers; FULL.
 */
int backend_sigv4_canonical(struct buf *dst,
    const struct backend_sigv4_request *rq, struct err *err);

/*
 * Append to dst the value of the Authorization header, without a NUL.  Return
 * as backend_sigv4_canonical.  From any thread.
 */
int backend_sigv4_sign(struct backend_sigv4 *s, struct buf *dst,
    const struct backend_sigv4_request *rq, struct err *err);

#endif
