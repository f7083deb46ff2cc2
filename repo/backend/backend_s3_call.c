/* A request to S3: signed, sent, made again where the store says how. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "repo/backend/backend_s3_internal.h"
#include "repo/backend/backend_xml.h"
#include "repo/base/bytes.h"
#include "repo/base/log.h"
#include "repo/crypto/crypto.h"

#define MAX_CALL_HEADERS 16
#define MAX_HEADERS (MAX_CALL_HEADERS + 5)

/* What one attempt is made of. */
struct attempt {
	const struct backend_s3_place *place;
	const struct backend_aws_credentials *cred;
	struct buf path, url, authorization;
	char date[BACKEND_SIGV4_DATE];
	struct net_header headers[MAX_HEADERS];
};

static const char *method_name(enum net_method m)
{
	static const char *const names[] = {
		[NET_GET] = "GET", [NET_HEAD] = "HEAD", [NET_PUT] = "PUT",
		[NET_POST] = "POST", [NET_DELETE] = "DELETE",
		[NET_PATCH] = "PATCH",
	};

	return names[m];
}

/*
 * The hash of the body, as the signature holds it.  TLS keeps large bodies
 * whole, and beside them goes a checksum.
 */
static void hash_body(const struct backend_s3 *s,
    const struct backend_s3_call *c, char payload[65])
{
	uint8_t sum[32];

	if (s->tls && c->object != NULL && c->body_len > 0) {
		memcpy(payload, BACKEND_SIGV4_UNSIGNED,
		    sizeof(BACKEND_SIGV4_UNSIGNED));
		return;
	}
	crypto_sha256(sum, c->body, c->body_len);
	hex_encode(payload, sum, sizeof(sum));
}

/* Write path and URL with their NULs. */
static int make_url(const struct backend_s3 *s,
    const struct backend_s3_call *c, struct attempt *a, struct err *err)
{
	buf_str(&a->path, a->place->path);
	if (c->object != NULL) {
		net_escape(&a->path, s->prefix, true);
		net_escape(&a->path, c->object, true);
	}
	buf_u8(&a->path, 0);
	if (buf_check(&a->path, "a URL", err) < 0)
		return -1;
	buf_printf(&a->url, "%s%s%s%s", a->place->base, (char *)a->path.p,
	    c->query != NULL ? "?" : "", c->query != NULL ? c->query : "");
	buf_u8(&a->url, 0);
	return buf_check(&a->url, "a URL", err);
}

/* Fill the headers to be sent.  Return how many, or -1 with err. */
static int make_headers(struct backend_s3 *s, const struct backend_s3_call *c,
    struct attempt *a, const char *payload, struct err *err)
{
	struct net_header *h = a->headers;
	size_t n = 0;

	if (c->nheaders > MAX_CALL_HEADERS)
		return err_set(err, ERR_BUG, "%zu headers", c->nheaders);
	backend_sigv4_date(a->date, backend_http_now_ns(s->http));
	h[n++] = (struct net_header){ "host", a->place->host };
	h[n++] = (struct net_header){ "x-amz-date", a->date };
	h[n++] = (struct net_header){ "x-amz-content-sha256", payload };
	for (size_t i = 0; i < c->nheaders; i++)
		h[n++] = c->headers[i];
	if (a->cred->session_token != NULL)
		h[n++] = (struct net_header){ "x-amz-security-token",
			a->cred->session_token };

	const struct backend_sigv4_request rq = {
		.method = method_name(c->method),
		.path = (const char *)a->path.p,
		.query = c->query,
		.headers = h,
		.nheaders = n,
		.payload = payload,
		.date = a->date,
		.access_key = a->cred->access_key,
		.secret_key = a->cred->secret_key,
		.region = a->place->region,
		.service = "s3",
	};

	if (backend_sigv4_sign(s->signer, &a->authorization, &rq, err) < 0)
		return -1;
	buf_u8(&a->authorization, 0);
	if (buf_check(&a->authorization, "a signature", err) < 0)
		return -1;
	h[n++] = (struct net_header){ "authorization",
		(const char *)a->authorization.p };
	return (int)n;
}

static void attempt_release(struct attempt *a)
{
	buf_release(&a->path);
	buf_release(&a->url);
	buf_release(&a->authorization);
	backend_aws_release(a->cred);
}

/* Fill a, whose place is known, and send it. */
static int send_once(struct backend_s3 *s, const struct backend_s3_call *c,
    struct attempt *a, const char *payload, struct backend_http_answer *ret,
    struct err *err)
{
	int n;

	a->cred = backend_aws_get(s->aws, err);
	if (a->cred == NULL)
		return err_wrap(err, "%s", s->be.name);
	n = make_url(s, c, a, err);
	if (n == 0)
		n = make_headers(s, c, a, payload, err);
	if (n < 0)
		return -1;

	/* Host is sent by itself, from the URL. */
	const struct net_request rq = {
		.method = c->method,
		.url = (const char *)a->url.p,
		.headers = a->headers + 1,
		.nheaders = (size_t)n - 1,
		.body = c->body,
		.body_len = c->body_len,
		.dst = c->dst,
		.dst_len = c->dst_len,
		.body_max = c->body_max,
	};

	return backend_http_do(s->http, &c->what, &rq, ret, err);
}

/* --- what an answer asks for -----------------------------------------------------*/

static bool is_one_of(const char *code, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(code, *list) == 0)
			return true;
	return false;
}

static const char *const expired[] = { "ExpiredToken", "ExpiredTokenException",
	"TokenRefreshRequired", NULL };

/* Write the region that the answer names, "" for none. */
static void region_of(const struct backend_http_answer *a, char ret[64])
{
	const struct backend_xml_want want = { "Error/Region", ret, 64 };
	const char *h = net_header(&a->rs, "x-amz-bucket-region");

	ret[0] = '\0';
	if (h != NULL && strlen(h) < 64)
		memcpy(ret, h, strlen(h) + 1);
	else if (strcmp(a->code, "AuthorizationHeaderMalformed") == 0)
		backend_xml_pick(a->rs.body.p, a->rs.body.len, &want, 1);
	if (!backend_s3_region_valid(ret))
		ret[0] = '\0';
}

/* What was done about an answer already, each at most once a call. */
struct done { bool renewed, clock, moved; };

/* Return true when the call is worth being made again, after what was done. */
static bool again(struct backend_s3 *s, const struct attempt *at,
    const struct backend_http_answer *a, struct done *done)
{
	struct err err = ERR_INIT;
	char region[64];

	if (backend_http_ok(a))
		return false;
	if (!done->renewed && is_one_of(a->code, expired)) {
		done->renewed = true;
		if (backend_aws_refresh(s->aws, at->cred, &err) == 0)
			return true;
		log_msg(LOG_INFO, "%s: %s", s->be.name, err.msg);
		return false;
	}
	if (!done->clock && strcmp(a->code, "RequestTimeTooSkewed") == 0) {
		done->clock = true;
		return backend_http_take_clock(s->http, a);
	}
	/* A HEAD's 400 or 403 has no body that tells what is wrong. */
	if (!done->moved && (a->rs.status / 100 == 3 || a->rs.status == 400 ||
	        a->rs.status == 403)) {
		done->moved = true;
		region_of(a, region);
		return region[0] != '\0' &&
		    backend_s3_move(s, at->place, region);
	}
	return false;
}

int backend_s3_do(struct backend_s3 *s, const struct backend_s3_call *c,
    struct backend_http_answer *ret, struct err *err)
{
	struct done done = { false, false, false };
	char payload[65];
	bool more = true;
	int r = 0;

	hash_body(s, c, payload);
	while (more) {
		struct attempt a = { .place = backend_s3_place(s) };

		r = send_once(s, c, &a, payload, ret, err);
		more = r == 0 && again(s, &a, ret, &done);
		attempt_release(&a);
	}
	return r;
}

/* --- what an answer means ---------------------------------------------------------*/

/* Codes whose class does not follow from their status. */
static const struct { const char *code; enum err_class class; } classes[] = {
	{ "SlowDown", ERR_TRANSIENT },
	{ "InternalError", ERR_TRANSIENT },
	{ "ServiceUnavailable", ERR_TRANSIENT },
	{ "RequestTimeout", ERR_TRANSIENT },
	{ "RequestLimitExceeded", ERR_TRANSIENT },
	{ "Throttling", ERR_TRANSIENT },
	{ "ThrottlingException", ERR_TRANSIENT },
	{ "TooManyRequests", ERR_TRANSIENT },
	{ "BandwidthLimitExceeded", ERR_TRANSIENT },
	{ "IncompleteBody", ERR_TRANSIENT },
	{ "BadDigest", ERR_TRANSIENT },
	{ "XAmzContentSHA256Mismatch", ERR_TRANSIENT },
	{ "XAmzContentChecksumMismatch", ERR_TRANSIENT },
	{ "OperationAborted", ERR_TRANSIENT },
	{ "ConditionalRequestConflict", ERR_TRANSIENT },
	{ "NoSuchBucket", ERR_NOTFOUND },
	{ "QuotaExceeded", ERR_FULL },
	{ "XMinioAdminBucketQuotaExceeded", ERR_FULL },
	{ "XMinioStorageFull", ERR_FULL },
	{ "InsufficientCapacity", ERR_FULL },
	{ "AccessDenied", ERR_AUTH },
	{ "InvalidToken", ERR_AUTH },
	{ "ExpiredToken", ERR_AUTH },
	{ "ExpiredTokenException", ERR_AUTH },
	{ "TokenRefreshRequired", ERR_AUTH },
	{ "InvalidAccessKeyId", ERR_AUTH },
	{ "SignatureDoesNotMatch", ERR_AUTH },
	{ "NotImplemented", ERR_UNSUPPORTED },
	{ "PermanentRedirect", ERR_USAGE },
	{ "AuthorizationHeaderMalformed", ERR_USAGE },
	{ "IllegalLocationConstraintException", ERR_USAGE },
	{ "InvalidBucketName", ERR_USAGE },
};

static enum err_class class_of(const char *code, int status)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strcmp(code, classes[i].code) == 0)
			return classes[i].class;
	return backend_http_class(status);
}

/* Return what the user can do about it, or NULL; text is where it is made. */
static const char *hint_of(const struct backend_s3_call *c,
    const struct backend_http_answer *a, char text[160])
{
	const char *code = a->code;
	char region[64];

	if (strcmp(code, "NoSuchBucket") == 0)
		return "make the bucket, or let 'wherry init' make it";
	if (strcmp(code, "SignatureDoesNotMatch") == 0)
		return "is the secret key that of the access key?";
	if (strcmp(code, "InvalidAccessKeyId") == 0)
		return "are these credentials for this store?";
	if (strcmp(code, "RequestTimeTooSkewed") == 0)
		return "set this machine's clock";
	if (is_one_of(code, expired))
		return "fetch new credentials";
	region_of(a, region);
	if (a->rs.status / 100 == 3 ||
	    strcmp(code, "AuthorizationHeaderMalformed") == 0) {
		if (region[0] == '\0')
			return "set the region or the endpoint of the bucket "
			    "(region=, endpoint=)";
		snprintf(text, 160, "set region=%.63s in the URL, or "
		    "AWS_REGION", region);
		return text;
	}
	if (a->rs.status != 403 || (code[0] != '\0' &&
	        strcmp(code, "AccessDenied") != 0))
		return NULL;
	/* Who may not list is not told what is missing, only refused. */
	snprintf(text, 160, "the policy must allow %s%s", c->right,
	    c->object != NULL && (c->method == NET_GET ||
	    c->method == NET_HEAD) ? " and s3:ListBucket" : "");
	return text;
}

int backend_s3_fail(const struct backend_s3 *s,
    const struct backend_s3_call *c, const struct backend_http_answer *a,
    struct err *err)
{
	char text[160];

	return backend_http_fail(s->http, &c->what, a,
	    class_of(a->code, a->rs.status), hint_of(c, a, text), err);
}

int backend_s3_fail_code(const struct backend_s3 *s,
    const struct backend_s3_call *c, const char *code, const char *said,
    struct err *err)
{
	char text[160] = "";

	if (strcmp(code, "AccessDenied") == 0)
		snprintf(text, sizeof(text), "; the policy must allow %s",
		    c->right);
	backend_http_error(s->http, &c->what, class_of(code, 400), err,
	    "%s: %s%s", code, said, text);
	if (err->class == ERR_AUTH)
		err->errnum = EKEYREJECTED;
	return -1;
}

int backend_s3_writable(const struct backend_s3 *s,
    const struct backend_http_what *w, struct err *err)
{
	return !s->read_only ? 0 : backend_http_error(s->http, w, ERR_AUTH, err,
	    "the store is open for reading only");
}
