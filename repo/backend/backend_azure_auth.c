/*
 * Azure Storage's ways to say who one is.  Source of the signature: "Authorize
 * with Shared Key", REST API of Azure Storage, version 2015-02-21 and later.
 * Source of the tokens: OAuth 2.0 client credentials (RFC 6749, RFC 7523).
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "repo/backend/backend_azure.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

#define SECOND INT64_C(1000000000)

/* A token that ends within this time is renewed before it is used. */
#define RENEW_NS (300 * SECOND)

/* Account keys have 64 bytes; others may come. */
#define KEY_MAX 256

/* Longer ones are no token. */
#define TOKEN_MAX 65536

#define SCOPE "https://storage.azure.com/.default"
#define RESOURCE "https%3A%2F%2Fstorage.azure.com%2F"
#define METADATA "http://169.254.169.254/metadata/identity/oauth2/token" \
	"?api-version=2018-02-01&resource=" RESOURCE

enum way { SHARED_KEY, SIGNATURE, FEDERATED, PRINCIPAL, MANAGED };

struct backend_azure_auth {
	enum way way;
	char *account;
	struct net *net;
	uint8_t *key;          /* KEY_MAX secret bytes, or NULL */
	size_t key_len;
	char *signature;       /* a query; secret memory, or NULL */
	char *endpoint;        /* of a connection string, or NULL */

	pthread_mutex_t lock;  /* of what follows; held while a token is made */
	char *token;           /* secret memory, or NULL */
	int64_t expires_ns;
};

static const char *env(const char *name)
{
	const char *s = getenv(name);

	return s != NULL && *s != '\0' ? s : NULL;
}

/* A copy of len bytes with a NUL, in memory that is locked and wiped. */
static char *secret_copy(const char *s, size_t len, struct err *err)
{
	char *p = crypto_secret_new(len + 1, err);

	if (p != NULL) {
		memcpy(p, s, len);
		p[len] = '\0';
	}
	return p;
}

static int take_key(struct backend_azure_auth *a, const char *text, size_t len,
    const char *where, struct err *err)
{
	char *copy = secret_copy(text, len, err);
	int r;

	if (copy == NULL)
		return -1;
	a->way = SHARED_KEY;
	a->key = crypto_secret_new(KEY_MAX, err);
	r = a->key == NULL ? -1 :
	    crypto_unbase64(a->key, KEY_MAX, copy, &a->key_len) < 0 ?
	    err_set(err, ERR_USAGE, "%s holds no account key (one is base64)",
	        where) : 0;
	crypto_secret_free(copy);
	return r;
}

static int take_signature(struct backend_azure_auth *a, const char *text,
    size_t len, const char *where, struct err *err)
{
	if (len > 0 && *text == '?') {
		text++;
		len--;
	}
	a->way = SIGNATURE;
	a->signature = secret_copy(text, len, err);
	if (a->signature == NULL)
		return -1;
	if (strstr(a->signature, "sig=") == NULL ||
	    strpbrk(a->signature, " #\r\n") != NULL)
		return err_set(err, ERR_USAGE, "%s holds no shared access "
		    "signature (one is a query with sig=)", where);
	return 0;
}

/* The value of NAME in "NAME=VALUE;NAME=VALUE", or NULL with *ret_len. */
static const char *member(const char *s, const char *name, size_t *ret_len)
{
	size_t n = strlen(name);

	while (*s != '\0') {
		size_t len = strcspn(s, ";");

		if (len > n && strncasecmp(s, name, n) == 0 && s[n] == '=') {
			*ret_len = len - n - 1;
			return s + n + 1;
		}
		s += len + (s[len] == ';');
	}
	return NULL;
}

/* The blob endpoint as a connection string tells it, whole or by its suffix. */
static int take_endpoint(struct backend_azure_auth *a, const char *s,
    struct err *err)
{
	size_t len, plen = 5, slen;
	const char *whole = member(s, "BlobEndpoint", &len);
	const char *suffix = member(s, "EndpointSuffix", &slen);
	const char *protocol = member(s, "DefaultEndpointsProtocol", &plen);
	struct buf b = BUF_INIT;

	if (whole == NULL && suffix == NULL)
		return 0;
	if (whole != NULL)
		buf_add(&b, whole, len);
	else
		buf_printf(&b, "%.*s://%s.blob.%.*s", (int)plen,
		    protocol != NULL ? protocol : "https", a->account,
		    (int)slen, suffix);
	buf_u8(&b, '\0');
	if (buf_check(&b, "an endpoint", err) < 0) {
		buf_release(&b);
		return -1;
	}
	a->endpoint = (char *)b.p;
	return 0;
}

static int take_connection(struct backend_azure_auth *a, const char *s,
    struct err *err)
{
	static const char where[] = "AZURE_STORAGE_CONNECTION_STRING";
	size_t len;
	const char *v = member(s, "AccountName", &len);

	if (v != NULL && (len != strlen(a->account) ||
	    strncmp(v, a->account, len) != 0))
		return err_set(err, ERR_USAGE, "%s is of the account %.*s, the "
		    "repository's URL names %s", where, (int)len, v,
		    a->account);
	if (take_endpoint(a, s, err) < 0)
		return -1;
	v = member(s, "AccountKey", &len);
	if (v != NULL)
		return take_key(a, v, len, where, err);
	v = member(s, "SharedAccessSignature", &len);
	if (v != NULL)
		return take_signature(a, v, len, where, err);
	return err_set(err, ERR_USAGE, "%s has neither AccountKey nor "
	    "SharedAccessSignature", where);
}

static int find(struct backend_azure_auth *a, struct err *err)
{
	const char *s;

	if ((s = env("AZURE_STORAGE_CONNECTION_STRING")) != NULL)
		return take_connection(a, s, err);
	if ((s = env("AZURE_STORAGE_KEY")) != NULL)
		return take_key(a, s, strlen(s), "AZURE_STORAGE_KEY", err);
	if ((s = env("AZURE_STORAGE_SAS_TOKEN")) != NULL)
		return take_signature(a, s, strlen(s),
		    "AZURE_STORAGE_SAS_TOKEN", err);
	a->way = env("AZURE_FEDERATED_TOKEN_FILE") != NULL ? FEDERATED :
	    env("AZURE_CLIENT_SECRET") != NULL ? PRINCIPAL : MANAGED;
	if (a->way != MANAGED && (env("AZURE_TENANT_ID") == NULL ||
	    env("AZURE_CLIENT_ID") == NULL))
		return err_set(err, ERR_USAGE, "%s is set, but not both of "
		    "AZURE_TENANT_ID and AZURE_CLIENT_ID",
		    a->way == FEDERATED ? "AZURE_FEDERATED_TOKEN_FILE" :
		    "AZURE_CLIENT_SECRET");
	return 0;
}

struct backend_azure_auth *backend_azure_auth_new(const char *account,
    struct net *net, struct err *err)
{
	struct backend_azure_auth *a;

	/* Secrets are in its memory. */
	if (crypto_init(err) < 0)
		return NULL;
	a = mem_zalloc(sizeof(*a), "credentials", err);
	if (a == NULL)
		return NULL;
	/* With default attributes it cannot fail on Linux. */
	pthread_mutex_init(&a->lock, NULL);
	a->net = net;
	a->account = mem_strdup(account, err);
	if (a->account == NULL || find(a, err) < 0) {
		backend_azure_auth_free(a);
		return NULL;
	}
	return a;
}

void backend_azure_auth_free(struct backend_azure_auth *a)
{
	if (a == NULL)
		return;
	pthread_mutex_destroy(&a->lock);
	crypto_secret_free(a->key);
	crypto_secret_free(a->signature);
	crypto_secret_free(a->token);
	free(a->endpoint);
	free(a->account);
	free(a);
}

const char *backend_azure_auth_endpoint(const struct backend_azure_auth *a)
{
	return a->endpoint;
}

/* --- the account's key ---------------------------------------------------------*/

static const char *header_of(const struct backend_azure_request *rq,
    const char *name)
{
	for (size_t i = 0; i < rq->nheaders; i++)
		if (strcmp(rq->headers[i].name, name) == 0)
			return rq->headers[i].value;
	return "";
}

void backend_azure_string_to_sign(struct buf *dst, const char *account,
    const struct backend_azure_request *rq)
{
	/* The Date is empty, for x-ms-date stands among the headers below. */
	static const char *const standard[] = {
		"content-md5", "content-type", "date", "if-modified-since",
		"if-match", "if-none-match", "if-unmodified-since", "range",
	};

	/* Content-Encoding and Content-Language are never sent. */
	buf_printf(dst, "%s\n\n\n", rq->method);
	if (rq->body_len > 0)
		buf_printf(dst, "%zu", rq->body_len);
	buf_str(dst, "\n");
	for (size_t i = 0; i < sizeof(standard) / sizeof(standard[0]); i++)
		buf_printf(dst, "%s\n", header_of(rq, standard[i]));
	for (size_t i = 0; i < rq->nheaders; i++)
		if (strncmp(rq->headers[i].name, "x-ms-", 5) == 0)
			buf_printf(dst, "%s:%s\n", rq->headers[i].name,
			    rq->headers[i].value);
	buf_printf(dst, "/%s%s", account, rq->path);
	for (size_t i = 0; i < rq->nquery; i++)
		buf_printf(dst, "\n%s:%s", rq->query[i].name,
		    rq->query[i].value);
}

static int sign(const struct backend_azure_auth *a,
    const struct backend_azure_request *rq, struct buf *ret_header,
    struct err *err)
{
	struct buf b = BUF_INIT;
	uint8_t mac[32];

	backend_azure_string_to_sign(&b, a->account, rq);
	if (buf_check(&b, "what is signed", err) < 0) {
		buf_release(&b);
		return -1;
	}
	crypto_hmac_any(mac, a->key, a->key_len, b.p, b.len);
	buf_release(&b);
	buf_printf(ret_header, "SharedKey %s:", a->account);
	crypto_base64(ret_header, mac, sizeof(mac));
	return 0;
}

/* --- tokens ----------------------------------------------------------------------*/

static void add_field(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s%s=", b->len > 0 ? "&" : "", name);
	net_escape(b, value, false);
}

/* Append the file's text, without the white space at its end, as a field. */
static int add_assertion(struct buf *b, struct err *err)
{
	const char *path = env("AZURE_FEDERATED_TOKEN_FILE");
	char *text = crypto_secret_new(TOKEN_MAX + 1, err);
	int r = -1, fd = -1;
	ssize_t n;

	if (text == NULL)
		return -1;
	if (path == NULL || (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 ||
	    (n = read(fd, text, TOKEN_MAX)) < 0) {
		err_sys(err, path == NULL ? ENOENT : errno, "reading %s "
		    "(AZURE_FEDERATED_TOKEN_FILE)", path != NULL ? path : "");
		goto out;
	}
	while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
		n--;
	text[n] = '\0';
	if (n == 0 || memchr(text, '\0', (size_t)n) != NULL) {
		err_set(err, ERR_USAGE, "%s (AZURE_FEDERATED_TOKEN_FILE) holds "
		    "no token", path);
		goto out;
	}
	add_field(b, "client_assertion_type",
	    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
	add_field(b, "client_assertion", text);
	r = 0;
out:
	if (fd >= 0)
		close(fd);
	crypto_secret_free(text);
	return r;
}

/* The body that asks for a token of a client; a secret. */
static int token_body(const struct backend_azure_auth *a, struct buf *b,
    struct err *err)
{
	const char *secret = env("AZURE_CLIENT_SECRET");

	add_field(b, "grant_type", "client_credentials");
	add_field(b, "client_id", env("AZURE_CLIENT_ID"));
	add_field(b, "scope", SCOPE);
	if (a->way == FEDERATED) {
		if (add_assertion(b, err) < 0)
			return -1;
	} else {
		add_field(b, "client_secret", secret != NULL ? secret : "");
	}
	return buf_check(b, "a request for a token", err);
}

/* What an authority says in words, one line, or "". */
static const char *error_text(json_t *o, char *dst, size_t cap)
{
	const char *s = json_string_value(json_object_get(o,
	    "error_description"));

	if (s == NULL)
		s = json_string_value(json_object_get(o, "error"));
	snprintf(dst, cap, "%.*s", s != NULL ? (int)strcspn(s, "\r\n") : 0,
	    s != NULL ? s : "");
	for (char *p = dst; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return dst;
}

/* A number, or one as text, as the metadata service has it. */
static int64_t seconds_of(json_t *v)
{
	const char *s = json_string_value(v);

	return s != NULL ? strtoll(s, NULL, 10) : json_integer_value(v);
}

static int token_read(struct backend_azure_auth *a,
    const struct net_response *rs, const char *from, struct err *err)
{
	json_t *o = json_loadb((const char *)rs->body.p, rs->body.len, 0,
	    NULL);
	const char *s = json_string_value(json_object_get(o, "access_token"));
	int64_t life = seconds_of(json_object_get(o, "expires_in"));
	char said[200];
	int r = -1;

	if (rs->status == 429 || rs->status >= 500) {
		err_set(err, ERR_TRANSIENT, "asking %s for a token: HTTP %d",
		    from, rs->status);
	} else if (rs->status != 200) {
		error_text(o, said, sizeof(said));
		err_set(err, ERR_AUTH, "asking %s for a token: refused%s%s "
		    "(HTTP %d)", from, *said != '\0' ? ": " : "", said,
		    rs->status);
	} else if (s == NULL || *s == '\0' || life <= 0 ||
	    strpbrk(s, " \r\n") != NULL) {
		err_set(err, ERR_CORRUPT, "asking %s for a token: the answer "
		    "holds none", from);
	} else {
		crypto_secret_free(a->token);
		a->token = secret_copy(s, strlen(s), err);
		if (a->token != NULL) {
			a->expires_ns = clock_boot_ns() + life * SECOND;
			r = 0;
		}
	}
	json_decref(o);
	return r;
}

static int token_of_client(struct backend_azure_auth *a, struct err *err)
{
	static const struct net_header form = { "content-type",
		"application/x-www-form-urlencoded" };
	const char *host = env("AZURE_AUTHORITY_HOST");
	struct net_response rs = { 0 };
	struct buf url = BUF_INIT, body = BUF_INIT;
	size_t n;
	int r = -1;

	if (host == NULL)
		host = "https://login.microsoftonline.com/";
	n = strlen(host);
	buf_printf(&url, "%s%s", host, n > 0 && host[n - 1] == '/' ? "" : "/");
	net_escape(&url, env("AZURE_TENANT_ID"), false);
	buf_printf(&url, "/oauth2/v2.0/token%c", '\0');
	if (buf_check(&url, "a URL", err) == 0 &&
	    token_body(a, &body, err) == 0) {
		struct net_request rq = {
			.method = NET_POST,
			.url = (const char *)url.p,
			.headers = &form,
			.nheaders = 1,
			.body = body.p,
			.body_len = body.len,
		};

		r = net_do(a->net, &rq, &rs, err);
		if (r == 0)
			r = token_read(a, &rs, host, err);
	}
	if (body.p != NULL)
		mem_wipe(body.p, body.cap);
	if (rs.body.p != NULL)
		mem_wipe(rs.body.p, rs.body.cap);
	net_response_release(&rs);
	buf_release(&body);
	buf_release(&url);
	return r;
}

static int token_of_machine(struct backend_azure_auth *a, struct err *err)
{
	static const struct net_header metadata = { "metadata", "true" };
	struct net_response rs = { 0 };
	struct buf url = BUF_INIT;
	int r = -1;

	buf_str(&url, METADATA);
	if (env("AZURE_CLIENT_ID") != NULL) {
		buf_str(&url, "&client_id=");
		net_escape(&url, env("AZURE_CLIENT_ID"), false);
	}
	buf_u8(&url, '\0');
	if (buf_check(&url, "a URL", err) == 0) {
		struct net_request rq = {
			.method = NET_GET,
			.url = (const char *)url.p,
			.headers = &metadata,
			.nheaders = 1,
			/* Where there is no such service, nobody answers. */
			.total_ms = 3000,
		};

		r = net_do(a->net, &rq, &rs, err);
		if (r == 0)
			r = token_read(a, &rs, "this machine's metadata "
			    "service", err);
		else if (err->class == ERR_TRANSIENT)
			err_set(err, ERR_USAGE, "no credentials for Azure: "
			    "set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, "
			    "AZURE_STORAGE_CONNECTION_STRING, or "
			    "AZURE_TENANT_ID and AZURE_CLIENT_ID with "
			    "AZURE_FEDERATED_TOKEN_FILE or "
			    "AZURE_CLIENT_SECRET (nor does a managed identity "
			    "answer)");
	}
	if (rs.body.p != NULL)
		mem_wipe(rs.body.p, rs.body.cap);
	net_response_release(&rs);
	buf_release(&url);
	return r;
}

static int bear(struct backend_azure_auth *a, struct buf *ret_header,
    struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&a->lock);
	if (a->token == NULL || clock_boot_ns() > a->expires_ns - RENEW_NS)
		r = a->way == MANAGED ? token_of_machine(a, err) :
		    token_of_client(a, err);
	/* An old one that still counts is better than none. */
	if (r < 0 && a->token != NULL && clock_boot_ns() < a->expires_ns)
		r = 0;
	if (r == 0)
		buf_printf(ret_header, "Bearer %s", a->token);
	pthread_mutex_unlock(&a->lock);
	return r;
}

int backend_azure_authorize(struct backend_azure_auth *a,
    const struct backend_azure_request *rq, struct buf *ret_header,
    struct buf *ret_query, struct err *err)
{
	int r = 0;

	if (a->way == SHARED_KEY)
		r = sign(a, rq, ret_header, err);
	else if (a->way == SIGNATURE)
		buf_str(ret_query, a->signature);
	else
		r = bear(a, ret_header, err);
	if (r == 0 && buf_check(ret_header, "a credential", err) == 0)
		r = buf_check(ret_query, "a credential", err);
	else
		r = -1;
	return r;
}

bool backend_azure_expired(struct backend_azure_auth *a)
{
	if (a->way == SHARED_KEY || a->way == SIGNATURE)
		return false;
	pthread_mutex_lock(&a->lock);
	crypto_secret_free(a->token);
	a->token = NULL;
	pthread_mutex_unlock(&a->lock);
	return true;
}
