#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "repo/backend/backend_aws_internal.h"
#include "repo/backend/backend_xml.h"
#include "repo/base/bytes.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

/* Actions and answers after "AWS Security Token Service API Reference". */

#define VERSION "2011-06-15"
#define TOTAL_MS 30000

/* What an answer holds; in secret memory. */
struct answer {
	char access_key[256], secret_key[256], token[16385], expiration[64];
};

int64_t backend_aws_time(const char *s)
{
	struct tm tm = { 0 };
	const char *p = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);

	if (p == NULL)
		return -1;
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	if (strcmp(p, "Z") != 0 && strcmp(p, "+00:00") != 0)
		return -1;

	time_t t = timegm(&tm);

	return t >= 0 && t < INT64_MAX / 1000000000 ? (int64_t)t * 1000000000 : -1;
}

/* --- where it is -----------------------------------------------------------*/

static const char *own_endpoint(void)
{
	const char *s = backend_aws_env("AWS_ENDPOINT_URL_STS");

	return s != NULL ? s : backend_aws_env("AWS_ENDPOINT_URL");
}

bool backend_aws_sts_is_own(void)
{
	return own_endpoint() != NULL;
}

/* Write the service's URL, ending in a slash, to dst. */
static int endpoint(const struct backend_aws *a, char *dst, size_t cap,
    struct err *err)
{
	const char *own = own_endpoint(), *r = a->region;
	int n;

	if (own != NULL)
		n = snprintf(dst, cap, "%.*s/",
		    (int)(strlen(own) - (own[strlen(own) - 1] == '/')), own);
	else if (r == NULL)
		n = snprintf(dst, cap, "https://sts.amazonaws.com/");
	else
		n = snprintf(dst, cap, "https://sts.%s.amazonaws.com%s/", r,
		    strncmp(r, "cn-", 3) == 0 ? ".cn" : "");
	if (n < 0 || (size_t)n >= cap)
		return err_set(err, ERR_USAGE,
		    "the URL of the token service is too long");
	return 0;
}

/* --- answers ---------------------------------------------------------------*/

static void copy(char *dst, size_t cap, const char *src)
{
	size_t n = strlen(src);

	/* What does not fit is none: cut off it would be another's. */
	if (n >= cap)
		n = 0;
	memcpy(dst, src, n);
	dst[n] = '\0';
}

static int on_element(void *ctx, const char *path, const char *text,
    struct err *err)
{
	struct answer *a = ctx;
	const char *leaf = strrchr(path, '/');
	const char *at = strstr(path, "/Credentials/");

	(void)err;
	if (leaf == NULL || at == NULL)
		return 0;
	if (strcmp(leaf, "/AccessKeyId") == 0)
		copy(a->access_key, sizeof(a->access_key), text);
	else if (strcmp(leaf, "/SecretAccessKey") == 0)
		copy(a->secret_key, sizeof(a->secret_key), text);
	else if (strcmp(leaf, "/SessionToken") == 0)
		copy(a->token, sizeof(a->token), text);
	else if (strcmp(leaf, "/Expiration") == 0)
		copy(a->expiration, sizeof(a->expiration), text);
	return 0;
}

static int take_answer(const void *body, size_t len,
    struct backend_aws_set **ret_set, struct err *err)
{
	struct answer *a = crypto_secret_new(sizeof(*a), err);
	int64_t expires_ns;

	if (a == NULL)
		return -1;

	int rc = backend_xml_read(body, len, on_element, a, err);

	expires_ns = backend_aws_time(a->expiration);
	if (rc == 0 && (a->access_key[0] == '\0' || a->secret_key[0] == '\0' ||
	    a->token[0] == '\0' || expires_ns < 0))
		rc = err_set(err, ERR_CORRUPT, "its answer lacks credentials, a "
		    "token or the time of their end");
	if (rc == 0) {
		*ret_set = backend_aws_set_new(a->access_key, a->secret_key,
		    a->token, expires_ns, err);
		rc = *ret_set ? 0 : -1;
	}
	crypto_secret_free(a);
	return rc;
}

/* An answer that is no success; what it says is shown without the token. */
static int tell_refusal(const struct net_response *rs, const char *hidden,
    struct err *err)
{
	char code[100], said[300];
	const struct backend_xml_want want[] = {
		{ "ErrorResponse/Error/Code", code, sizeof(code) },
		{ "ErrorResponse/Error/Message", said, sizeof(said) },
	};
	enum err_class class = ERR_AUTH;

	backend_xml_pick(rs->body.p, rs->body.len, want, 2);
	if (hidden != NULL && strlen(hidden) > 8)
		hidden += strlen(hidden) - 8;
	if (hidden != NULL && strstr(said, hidden) != NULL)
		said[0] = '\0';
	if (rs->status >= 500 || rs->status == 429 || rs->status == 408 ||
	    strcmp(code, "IDPCommunicationError") == 0 ||
	    strncmp(code, "Throttling", 10) == 0)
		class = ERR_TRANSIENT;
	else if (rs->status < 400)
		class = ERR_USAGE;
	err_set(err, class, "it answers %d%s%s%s%s", rs->status,
	    code[0] ? " " : "", code, said[0] ? ": " : "", said);
	if (class == ERR_AUTH)
		err->errnum = EKEYREJECTED;
	return -1;
}

/* --- asking ----------------------------------------------------------------*/

static void add_field(struct buf *b, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(b, "&%s=", name);
	net_escape(b, value, false);
}

/* Fill b, which takes secrets and must not move, with the form. */
static int make_form(struct buf *b, const char *action,
    const struct backend_aws_role *role, const char *token, struct err *err)
{
	char session[64];

	snprintf(session, sizeof(session), "wherry-%lld",
	    (long long)(clock_real_ns() / 1000000000));
	/* Three bytes for each at most, and never grown: nothing is left behind. */
	if (buf_reserve(b, 4096 + 3 * (token ? strlen(token) : 0)) < 0)
		return err_nomem(err, "a request for credentials");
	buf_printf(b, "Action=%s&Version=" VERSION, action);
	add_field(b, "RoleArn", role->arn);
	add_field(b, "RoleSessionName", role->session ? role->session : session);
	add_field(b, "ExternalId", role->external_id);
	add_field(b, "DurationSeconds", role->duration);
	add_field(b, "WebIdentityToken", token);
	return buf_check(b, "a request for credentials", err);
}

static int post(struct backend_aws *a, const char *url, const struct buf *form,
    const struct net_header *headers, size_t n, const char *hidden,
    struct backend_aws_set **ret_set, struct err *err)
{
	void *body = crypto_secret_new(BACKEND_AWS_MOST, err);
	struct net_response rs = { 0 };

	if (body == NULL)
		return -1;

	const struct net_request rq = { .method = NET_POST, .url = url,
		.headers = headers, .nheaders = n,
		.body = form->p, .body_len = form->len,
		.dst = body, .dst_len = BACKEND_AWS_MOST,
		.total_ms = TOTAL_MS };
	int rc = net_do(a->net, &rq, &rs, err);

	if (rc == 0)
		rc = rs.status == 200 ?
		    take_answer(body, rs.body_len, ret_set, err) :
		    tell_refusal(&rs, hidden, err);
	net_response_release(&rs);
	crypto_secret_free(body);
	return rc;
}

int backend_aws_sts_web(struct backend_aws *a,
    const struct backend_aws_role *role, const char *token_file,
    struct backend_aws_set **ret_set, struct err *err)
{
	static const struct net_header type = { "content-type",
		"application/x-www-form-urlencoded" };
	char url[1024];

	if (endpoint(a, url, sizeof(url), err) < 0)
		return -1;

	/* Whoever put it there puts a new one before it ends. */
	char *token = backend_aws_token_read(token_file, err);
	struct buf form = BUF_INIT;

	if (token == NULL)
		return -1;

	int rc = make_form(&form, "AssumeRoleWithWebIdentity", role, token, err);

	if (rc == 0)
		rc = post(a, url, &form, &type, 1, token, ret_set, err);
	if (rc < 0)
		err_wrap(err, "token service %s", url);
	if (form.p != NULL)
		mem_wipe(form.p, form.cap);
	buf_release(&form);
	crypto_secret_free(token);
	return rc;
}

/* --- signed ----------------------------------------------------------------*/

static void hash_hex(char dst[65], const struct buf *b)
{
	uint8_t sum[32];

	crypto_sha256(sum, b->p, b->len);
	hex_encode(dst, sum, 32);
}

/* Sign and send the form; host is of url. */
static int post_signed(struct backend_aws *a, const char *url,
    const char *host, const struct buf *form,
    const struct backend_aws_credentials *by,
    struct backend_aws_set **ret_set, struct err *err)
{
	char date[BACKEND_SIGV4_DATE], sum[65];
	struct net_header h[5] = {
		{ "content-type", "application/x-www-form-urlencoded" },
		{ "host", host }, { "x-amz-date", date },
	};
	size_t n = 3;
	struct buf auth = BUF_INIT;

	backend_sigv4_date(date, clock_real_ns());
	hash_hex(sum, form);
	if (by->session_token != NULL)
		h[n++] = (struct net_header){ "x-amz-security-token",
			by->session_token };

	const struct backend_sigv4_request rq = { .method = "POST",
		.path = strchr(url + 8, '/'), .headers = h, .nheaders = n,
		.payload = sum, .date = date, .access_key = by->access_key,
		.secret_key = by->secret_key,
		.region = a->region ? a->region : "us-east-1", .service = "sts" };

	int rc = backend_sigv4_sign(a->signer, &auth, &rq, err);

	buf_u8(&auth, 0);
	if (rc == 0)
		rc = buf_check(&auth, "a signature", err);
	if (rc == 0) {
		h[n++] = (struct net_header){ "authorization",
			(const char *)auth.p };
		rc = post(a, url, form, h, n, NULL, ret_set, err);
	}
	buf_release(&auth);
	return rc;
}

/* The Host header for url, which is http[s]://HOST[:PORT]/... */
static int host_of(const char *url, char *dst, size_t cap, struct err *err)
{
	const char *s = strstr(url, "//");
	size_t len = s ? strcspn(s + 2, "/") : 0;

	if (len == 0 || len >= cap)
		return err_set(err, ERR_USAGE,
		    "the URL of the token service has no host");
	/* The port that goes without saying is not said. */
	if (strncasecmp(url, "https:", 6) == 0 && len > 4 &&
	    strncmp(s + 2 + len - 4, ":443", 4) == 0)
		len -= 4;
	else if (strncasecmp(url, "http:", 5) == 0 && len > 3 &&
	    strncmp(s + 2 + len - 3, ":80", 3) == 0)
		len -= 3;
	memcpy(dst, s + 2, len);
	dst[len] = '\0';
	return 0;
}

int backend_aws_sts_assume(struct backend_aws *a,
    const struct backend_aws_role *role,
    const struct backend_aws_credentials *by,
    struct backend_aws_set **ret_set, struct err *err)
{
	char url[1024], host[300];
	struct buf form = BUF_INIT;

	if (endpoint(a, url, sizeof(url), err) < 0 ||
	    host_of(url, host, sizeof(host), err) < 0)
		return -1;

	int rc = make_form(&form, "AssumeRole", role, NULL, err);

	if (rc == 0)
		rc = post_signed(a, url, host, &form, by, ret_set, err);
	if (rc < 0)
		err_wrap(err, "token service %s", url);
	buf_release(&form);
	return rc;
}
