#ifndef REPO_BACKEND_BACKEND_S3_INTERNAL_H
#define REPO_BACKEND_BACKEND_S3_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/backend/backend.h"
#include "repo/backend/backend_aws.h"
#include "repo/backend/backend_http.h"
#include "repo/backend/backend_sigv4.h"
#include "repo/base/err.h"
#include "repo/net/net.h"

/* What the files of the S3 backend share. */

/* Where the bucket is; never changed, so threads go on with an old one. */
struct backend_s3_place {
	char *region;
	char *base; /* "https://HOST[:PORT]" */
	char *host; /* the Host header */
	char *path; /* of the bucket, encoded: "/", "/bucket/", "/a/bucket/" */
};

/* So often the store may say that the bucket is in another region. */
#define BACKEND_S3_PLACES 4

struct backend_s3 {
	struct backend be;
	struct backend_http *http;
	struct backend_aws *aws;
	struct backend_sigv4 *signer;
	char *bucket;
	char *prefix;        /* of all keys: "" or "a/b/" */
	char *storage_class; /* NULL: the bucket's */
	char *sse, *sse_key; /* NULL: as the bucket says */
	char *endpoint;      /* NULL: AWS's for the region */
	bool path_style;
	bool tls;
	bool read_only;
	atomic_bool no_create_if;  /* If-None-Match is not implemented */
	atomic_bool no_delete_many; /* nor DeleteObjects */

	pthread_mutex_t lock; /* for adding a place */
	struct backend_s3_place *_Atomic places[BACKEND_S3_PLACES];
	_Atomic unsigned place; /* the one in use */
};

/* A request to the bucket or to an object in it. */
struct backend_s3_call {
	struct backend_http_what what;
	const char *right;  /* what a policy must allow: "s3:PutObject" */
	enum net_method method;
	const char *object; /* a key, without the prefix; NULL: the bucket */
	const char *query;  /* encoded, NULL: none */
	const struct net_header *headers; /* to be signed, names in lower case */
	size_t nheaders;    /* at most 16 */
	const void *body;
	size_t body_len;
	void *dst;          /* as in a net_request */
	size_t dst_len, body_max;
};

/*
 * Make the call.  It is made again when the store says that the credentials
 * have expired, that our clock is wrong, or that the bucket is in another
 * region, each at most once.  Return 0 for any answer, also one that is no
 * success; -1 with err.
 */
int backend_s3_do(struct backend_s3 *s, const struct backend_s3_call *c,
    struct backend_http_answer *ret, struct err *err);

/* Fill err from an answer that is no success, with what can be done. -1. */
int backend_s3_fail(const struct backend_s3 *s,
    const struct backend_s3_call *c, const struct backend_http_answer *a,
    struct err *err);

/* Fill err as for an answer with this code and message in a body. -1. */
int backend_s3_fail_code(const struct backend_s3 *s,
    const struct backend_s3_call *c, const char *code, const char *said,
    struct err *err);

/* Return -1 with err of class AUTH when the store is open for reading only. */
int backend_s3_writable(const struct backend_s3 *s,
    const struct backend_http_what *w, struct err *err);

/* Whether it has the form of a region; it becomes a part of a host's name. */
bool backend_s3_region_valid(const char *region);

/* Return the place for a region, to be freed; NULL with err. */
struct backend_s3_place *backend_s3_place_new(const struct backend_s3 *s,
    const char *region, struct err *err);
void backend_s3_place_free(struct backend_s3_place *p);

/* The place in use. */
const struct backend_s3_place *backend_s3_place(const struct backend_s3 *s);

/*
 * A request to the place used was answered that the bucket is in region.
 * Return true when the next request goes to another place; false when it is
 * the same, or no more are taken.
 */
bool backend_s3_move(struct backend_s3 *s,
    const struct backend_s3_place *used, const char *region);

/* The vtable. */
int backend_s3_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err);
int backend_s3_put_over(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err);
int backend_s3_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err);
int backend_s3_get_all(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err);
int backend_s3_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err);
int backend_s3_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err);
int backend_s3_del(struct backend *be, const char *key, struct err *err);
int backend_s3_del_many(struct backend *be, const char *const *keys, size_t n,
    struct err *err);

#endif
