/* Objects in S3: put, get, stat, del. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/backend/backend_s3_internal.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

/* See was_in_the_way. */
#define PUT_TRIES 5
#define PUT_PAUSE_NS 10000000

/* --- put ---------------------------------------------------------------------*/

struct put_headers {
	struct net_header v[8];
	size_t n;
	struct buf sum;
};

static void add(struct put_headers *h, const char *name, const char *value)
{
	if (value != NULL)
		h->v[h->n++] = (struct net_header){ name, value };
}

/* Fill the headers of a put; h->sum is to be released.  0, or -1 with err. */
static int put_headers(const struct backend_s3 *s, struct put_headers *h,
    const void *data, size_t len, bool create, struct err *err)
{
	uint32_t crc = htobe32(crypto_crc32c(data, len));

	crypto_base64(&h->sum, &crc, sizeof(crc));
	buf_u8(&h->sum, 0);
	if (buf_check(&h->sum, "a checksum", err) < 0)
		return -1;
	add(h, "content-type", "application/octet-stream");
	add(h, "if-none-match", create ? "*" : NULL);
	add(h, "x-amz-checksum-crc32c", (const char *)h->sum.p);
	add(h, "x-amz-storage-class", s->storage_class);
	add(h, "x-amz-server-side-encryption", s->sse);
	add(h, "x-amz-server-side-encryption-aws-kms-key-id", s->sse_key);
	return 0;
}

/* Return 0, 1 when it exists, 2 when the store knows no such condition, -1. */
static int judge_put(const struct backend_s3 *s,
    const struct backend_s3_call *c, const struct backend_http_answer *a,
    bool create, struct err *err)
{
	if (backend_http_ok(a))
		return 0;
	if (create && a->rs.status == 412)
		return 1;
	if (create && a->rs.status == 501)
		return 2;
	/* Others are at it in this moment; who won shows when asked again. */
	if (a->rs.status == 409)
		return backend_http_fail(s->http, &c->what, a, ERR_TRANSIENT,
		    NULL, err);
	return backend_s3_fail(s, c, a, err);
}

/*
 * MinIO on one disk denies access for a moment where a removal takes away the
 * directory that a put is about to use.
 */
static bool was_in_the_way(const struct backend_http_answer *a)
{
	const char *server = net_header(&a->rs, "server");

	return a->rs.status == 403 && server != NULL &&
	    strncmp(server, "MinIO", 5) == 0 &&
	    strcmp(a->code, "AccessDenied") == 0;
}

static int put(struct backend_s3 *s, const char *key, const void *data,
    size_t len, bool create, struct err *err)
{
	struct put_headers h = { .n = 0 };
	struct backend_http_answer a = { .code = "" };
	struct backend_s3_call c = {
		.what = { "put", key },
		.right = "s3:PutObject",
		.method = NET_PUT,
		.object = key,
		.headers = h.v,
		.body = len > 0 ? data : "",
		.body_len = len,
	};
	int r = backend_s3_writable(s, &c.what, err);

	if (r == 0)
		r = put_headers(s, &h, data, len, create, err);
	c.nheaders = h.n;
	for (int i = 1; r == 0; i++) {
		struct timespec pause = { 0, i * PUT_PAUSE_NS };

		r = backend_s3_do(s, &c, &a, err);
		if (r < 0 || i == PUT_TRIES || !was_in_the_way(&a))
			break;
		nanosleep(&pause, NULL);
	}
	if (r == 0)
		r = judge_put(s, &c, &a, create, err);
	backend_http_answer_release(&a);
	buf_release(&h.sum);
	return r;
}

int backend_s3_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	struct backend_s3 *s = (struct backend_s3 *)be;
	struct backend_stat st;
	int r;

	if (!atomic_load(&s->no_create_if)) {
		r = put(s, key, data, len, true, err);
		if (r != 2)
			return r;
		atomic_store(&s->no_create_if, true);
	}
	/* Not atomic, and backend_caps says so. */
	r = backend_s3_stat(be, key, &st, err);
	if (r != 1)
		return r < 0 ? -1 : 1;
	return put(s, key, data, len, false, err);
}

int backend_s3_put_over(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	return put((struct backend_s3 *)be, key, data, len, false, err);
}

/* --- get ---------------------------------------------------------------------*/

/* Return true for the 404 of an object, false for that of a bucket. */
static bool is_missing(const struct backend_http_answer *a)
{
	return a->rs.status == 404 && strcmp(a->code, "NoSuchBucket") != 0;
}

static int ends_before(const struct backend_s3 *s,
    const struct backend_http_what *w, uint64_t end, struct err *err)
{
	return backend_http_error(s->http, w, ERR_CORRUPT, err,
	    "it ends before byte %" PRIu64, end);
}

/*
 * The answer is 206: its Content-Range must be what was asked for, or tell
 * that the object ends earlier.
 */
static int judge_range(const struct backend_s3 *s,
    const struct backend_s3_call *c, const struct backend_http_answer *a,
    uint64_t off, struct err *err)
{
	const char *range = net_header(&a->rs, "content-range");
	uint64_t first, last, end = off + c->dst_len;
	int n = 0;

	if (range == NULL || sscanf(range, "bytes %" SCNu64 "-%" SCNu64 "/%n",
	        &first, &last, &n) != 2 || n == 0 || first != off ||
	    last < first || last >= end)
		return backend_http_error(s->http, &c->what, ERR_IO, err,
		    "the store sent another range than bytes %" PRIu64 "-%"
		    PRIu64, off, end - 1);
	if (last + 1 < end)
		return ends_before(s, &c->what, end, err);
	if (a->rs.body_len != c->dst_len)
		return backend_http_error(s->http, &c->what, ERR_TRANSIENT,
		    err, "%zu of %zu bytes came", a->rs.body_len, c->dst_len);
	return 0;
}

static int judge_get(const struct backend_s3 *s,
    const struct backend_s3_call *c, const struct backend_http_answer *a,
    uint64_t off, struct err *err)
{
	if (is_missing(a))
		return 1;
	if (a->rs.status == 416)
		return ends_before(s, &c->what, off + c->dst_len, err);
	if (a->rs.status == 206)
		return judge_range(s, c, a, off, err);
	if (!backend_http_ok(a))
		return backend_s3_fail(s, c, a, err);
	/* Some leave out the range where it is the whole object. */
	if (a->rs.body_len < c->dst_len)
		return ends_before(s, &c->what, off + c->dst_len, err);
	if (off == 0)
		return 0;
	return backend_http_error(s->http, &c->what, ERR_IO, err,
	    "the store ignores ranges (HTTP %d)", a->rs.status);
}

int backend_s3_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	struct backend_s3 *s = (struct backend_s3 *)be;
	struct backend_http_answer a = { .code = "" };
	char range[64];
	const struct net_header h = { "range", range };
	const struct backend_s3_call c = {
		.what = { "get", key },
		.right = "s3:GetObject",
		.method = NET_GET,
		.object = key,
		.headers = &h,
		.nheaders = 1,
		.dst = dst,
		.dst_len = len,
	};
	int r;

	snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, off,
	    off + len - 1);
	r = backend_s3_do(s, &c, &a, err);
	if (r == 0)
		r = judge_get(s, &c, &a, off, err);
	backend_http_answer_release(&a);
	return r;
}

int backend_s3_get_all(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err)
{
	struct backend_s3 *s = (struct backend_s3 *)be;
	struct backend_http_answer a = { .code = "" };
	const struct backend_s3_call c = {
		.what = { "get", key },
		.right = "s3:GetObject",
		.method = NET_GET,
		.object = key,
		.body_max = max > 0 ? max : 1,
	};
	int r = backend_s3_do(s, &c, &a, err);

	if (r == 0 && is_missing(&a))
		r = 1;
	else if (r == 0 && !backend_http_ok(&a))
		r = backend_s3_fail(s, &c, &a, err);
	else if (r == 0 && a.rs.body.len > max)
		r = backend_http_error(s->http, &c.what, ERR_CORRUPT, err,
		    "it has more than the %zu bytes it may have", max);
	if (r == 0 && a.rs.body.p == NULL &&
	    buf_reserve(&a.rs.body, 1) < 0)
		r = err_nomem(err, "an object");
	if (r == 0) {
		*ret_data = STEAL_PTR(a.rs.body.p);
		*ret_len = a.rs.body.len;
		buf_init(&a.rs.body);
	}
	backend_http_answer_release(&a);
	return r;
}

/* --- stat and del --------------------------------------------------------------*/

static int judge_stat(const struct backend_s3 *s,
    const struct backend_s3_call *c, const struct backend_http_answer *a,
    struct backend_stat *ret_st, struct err *err)
{
	const char *len = net_header(&a->rs, "content-length");
	const char *when = net_header(&a->rs, "last-modified");
	char *end = NULL;

	if (a->rs.status == 404)
		return 1;
	if (!backend_http_ok(a))
		return backend_s3_fail(s, c, a, err);
	ret_st->mtime_ns = when != NULL ? backend_http_time(when) : -1;
	ret_st->size = len != NULL && len[0] >= '0' && len[0] <= '9' ?
	    strtoull(len, &end, 10) : 0;
	if (end == NULL || *end != '\0' || ret_st->mtime_ns < 0)
		return backend_http_error(s->http, &c->what, ERR_IO, err,
		    "the store tells no length, or not when it was written");
	return 0;
}

int backend_s3_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err)
{
	struct backend_s3 *s = (struct backend_s3 *)be;
	struct backend_http_answer a = { .code = "" };
	const struct backend_s3_call c = {
		.what = { "stat", key },
		.right = "s3:GetObject",
		.method = NET_HEAD,
		.object = key,
	};
	int r = backend_s3_do(s, &c, &a, err);

	if (r == 0)
		r = judge_stat(s, &c, &a, ret_st, err);
	backend_http_answer_release(&a);
	return r;
}

int backend_s3_del(struct backend *be, const char *key, struct err *err)
{
	struct backend_s3 *s = (struct backend_s3 *)be;
	struct backend_http_answer a = { .code = "" };
	const struct backend_s3_call c = {
		.what = { "delete", key },
		.right = "s3:DeleteObject",
		.method = NET_DELETE,
		.object = key,
	};
	int r = backend_s3_writable(s, &c.what, err);

	if (r == 0)
		r = backend_s3_do(s, &c, &a, err);
	if (r == 0 && is_missing(&a))
		r = 1;
	else if (r == 0 && !backend_http_ok(&a))
		r = backend_s3_fail(s, &c, &a, err);
	backend_http_answer_release(&a);
	return r;
}
