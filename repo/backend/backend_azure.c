/*
 * Azure Blob Storage.  Source: REST API of Azure Storage, Put Blob, Get Blob, Get
 * Blob Properties, Delete Blob, List Blobs, Create Container.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/backend/backend_azure.h"
#include "repo/backend/backend_http.h"
#include "repo/backend/backend_internal.h"
#include "repo/backend/backend_remote.h"
#include "repo/backend/backend_xml.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

#define VERSION "2021-12-02"
#define SECOND INT64_C(1000000000)

/* Blobs of a listing a request: some 900 bytes each. */
#define LIST_MAX 2000
#define LIST_BYTES ((size_t)8 << 20)

/* Secrets in a header or a query; more would be copied when it grows. */
#define SECRET_ROOM 16384

struct azure {
	struct backend be;
	struct backend_http *http;
	struct backend_azure_auth *auth;
	char *base;       /* "https://host[/account]" */
	char *container;  /* "/account/container" or "/container", encoded */
	size_t host_len;  /* of base up to its path */
	char *prefix;     /* before every key: "" or "a/b/" */
	char *tier;       /* of new blobs, or NULL */
	bool tls, read_only;
};

/* One call as it is put together. */
struct call {
	enum net_method method;
	struct backend_http_what what;
	bool blob; /* of what.key; else of the container */
	struct net_header query[BACKEND_AZURE_QUERY]; /* by name */
	size_t nquery;
	struct net_header standard[2]; /* that are no x-ms- */
	size_t nstandard;
	struct net_header ms[6];       /* x-ms- by name, but date and version */
	size_t nms;
	const void *body;
	size_t body_len;
	void *dst;
	size_t dst_len, body_max;
};

static const char *const method_names[] = {
	[NET_GET] = "GET", [NET_HEAD] = "HEAD", [NET_PUT] = "PUT",
	[NET_DELETE] = "DELETE",
};

static struct azure *azure_of(struct backend *be)
{
	return (struct azure *)be;
}

/* --- one request ---------------------------------------------------------------*/

static void add(struct backend_azure_request *rq, const char *name,
    const char *value)
{
	rq->headers[rq->nheaders++] = (struct net_header){ name, value };
}

/* The headers of c with those that every request has, in their order. */
static void gather(const struct call *c, const char *date,
    struct backend_azure_request *rq)
{
	size_t i = 0;

	for (size_t k = 0; k < c->nstandard; k++)
		add(rq, c->standard[k].name, c->standard[k].value);
	while (i < c->nms && strcmp(c->ms[i].name, "x-ms-date") < 0) {
		add(rq, c->ms[i].name, c->ms[i].value);
		i++;
	}
	add(rq, "x-ms-date", date);
	while (i < c->nms && strcmp(c->ms[i].name, "x-ms-version") < 0) {
		add(rq, c->ms[i].name, c->ms[i].value);
		i++;
	}
	add(rq, "x-ms-version", VERSION);
	for (; i < c->nms; i++)
		add(rq, c->ms[i].name, c->ms[i].value);
}

/* Append the path of the URL that c is about. */
static void add_path(const struct azure *a, const struct call *c,
    struct buf *b)
{
	buf_str(b, a->container);
	if (c->blob) {
		buf_str(b, "/");
		net_escape(b, a->prefix, true);
		net_escape(b, c->what.key, true);
	}
}

/*
 * The whole URL: base, path, query, and a shared access signature behind it.
 * The base's own path stands in a->container, too.
 */
static void add_url(const struct azure *a, const struct call *c,
    const char *path, const struct buf *signature, struct buf *url)
{
	char mark = '?';

	buf_add(url, a->base, a->host_len);
	buf_str(url, path);
	for (size_t i = 0; i < c->nquery; i++, mark = '&') {
		buf_printf(url, "%c%s=", mark, c->query[i].name);
		net_escape(url, c->query[i].value, false);
	}
	if (signature->len > 0) {
		buf_printf(url, "%c", mark);
		buf_add(url, signature->p, signature->len);
	}
	buf_u8(url, '\0');
}

static void wipe(struct buf *b)
{
	if (b->p != NULL)
		mem_wipe(b->p, b->cap);
	buf_release(b);
}

static void date_now(const struct azure *a, char dst[32])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)(backend_http_now_ns(a->http) / SECOND);
	struct tm tm;

	/* The names are English whatever the locale. */
	gmtime_r(&t, &tm);
	snprintf(dst, 32, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
	    days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
	    (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* One attempt; as backend_http_do. */
static int attempt(struct azure *a, const struct call *c,
    struct backend_http_answer *ans, struct err *err)
{
	struct backend_azure_request rq = {
		.method = method_names[c->method],
		.nquery = c->nquery,
		.body_len = c->body_len,
	};
	struct buf path = BUF_INIT, url = BUF_INIT, header = BUF_INIT,
	    signature = BUF_INIT;
	char date[32];
	int r = -1;

	date_now(a, date);
	gather(c, date, &rq);
	memcpy(rq.query, c->query, sizeof(rq.query));
	add_path(a, c, &path);
	buf_u8(&path, '\0');
	if (buf_check(&path, "a URL", err) < 0 ||
	    buf_reserve(&header, SECRET_ROOM) < 0 ||
	    buf_reserve(&signature, SECRET_ROOM) < 0 ||
	    buf_reserve(&url, SECRET_ROOM + path.len) < 0) {
		err_nomem(err, "a request");
		goto out;
	}
	rq.path = (const char *)path.p;
	if (backend_azure_authorize(a->auth, &rq, &header, &signature,
	        err) < 0) {
		err_wrap(err, "%s", a->be.name);
		/* It is the store's credential, not the repository's. */
		if (err->class == ERR_AUTH)
			err->errnum = EKEYREJECTED;
		goto out;
	}
	add_url(a, c, rq.path, &signature, &url);
	buf_u8(&header, '\0');
	if (buf_check(&url, "a URL", err) < 0 ||
	    buf_check(&header, "a header", err) < 0)
		goto out;
	if (header.len > 1)
		add(&rq, "authorization", (const char *)header.p);

	struct net_request n = {
		.method = c->method,
		.url = (const char *)url.p,
		.headers = rq.headers,
		.nheaders = rq.nheaders,
		.body = c->body,
		.body_len = c->body_len,
		.dst = c->dst,
		.dst_len = c->dst_len,
		.body_max = c->body_max,
	};

	r = backend_http_do(a->http, &c->what, &n, ans, err);
	if (r == 0 && ans->code[0] == '\0') {
		/* An answer to HEAD has no body to say it in. */
		const char *code = net_header(&ans->rs, "x-ms-error-code");

		snprintf(ans->code, sizeof(ans->code), "%s",
		    code != NULL ? code : "");
	}
out:
	wipe(&url);
	wipe(&header);
	wipe(&signature);
	buf_release(&path);
	return r;
}

/* The same, once more when the clock or the token was why it was refused. */
static int request(struct azure *a, const struct call *c,
    struct backend_http_answer *ans, struct err *err)
{
	int r = attempt(a, c, ans, err);

	if (r < 0 || (ans->rs.status != 401 && ans->rs.status != 403))
		return r;
	if (backend_http_take_clock(a->http, ans) ||
	    (ans->rs.status == 401 && backend_azure_expired(a->auth)))
		r = attempt(a, c, ans, err);
	return r;
}

static bool code_is(const struct backend_http_answer *ans, const char *code)
{
	return strcmp(ans->code, code) == 0;
}

/* Fill err from an answer that is no success.  Return -1. */
static int refused(const struct azure *a, const struct call *c,
    const struct backend_http_answer *ans, struct err *err)
{
	enum err_class class = ERR_NONE;
	const char *hint = NULL;

	if (code_is(ans, "ContainerNotFound"))
		hint = "there is no such container (wherry init makes it)";
	else if (strstr(ans->code, "Immutable") != NULL) {
		class = ERR_AUTH;
		hint = "an immutability policy of the container forbids it";
	} else if (code_is(ans, "ContainerBeingDeleted") ||
	    code_is(ans, "OperationTimedOut") ||
	    code_is(ans, "ServerBusy"))
		class = ERR_TRANSIENT;
	else if (code_is(ans, "AuthorizationPermissionMismatch") ||
	    code_is(ans, "AuthorizationFailure"))
		hint = "the credential lacks the right to do this";
	else if (code_is(ans, "AuthenticationFailed"))
		hint = "the account's key or token does not fit, or has ended";
	else if (code_is(ans, "InsufficientAccountPermissions") ||
	    code_is(ans, "AccountIsDisabled"))
		class = ERR_AUTH;
	return backend_http_fail(a->http, &c->what, ans, class, hint, err);
}

/* Is it the object that is not there, and not its container? */
static bool is_missing(const struct backend_http_answer *ans)
{
	return ans->rs.status == 404 && !code_is(ans, "ContainerNotFound");
}

/* --- objects -------------------------------------------------------------------------*/

static int refuse_change(const struct azure *a, const char *what,
    const char *key, struct err *err)
{
	return err_set(err, ERR_USAGE, "%s: %s %s: opened for reading only",
	    a->be.name, what, key);
}

static int put(struct azure *a, const char *key, const void *data, size_t len,
    bool over, struct err *err)
{
	struct call c = {
		.method = NET_PUT,
		.what = { over ? "put over" : "put", key },
		.blob = true,
		.body = len > 0 ? data : "",
		.body_len = len,
	};
	struct backend_http_answer ans = { 0 };
	struct buf sum = BUF_INIT;
	uint8_t md5[16];
	int r;

	if (a->read_only)
		return refuse_change(a, c.what.verb, key, err);
	if (!a->tls && crypto_md5(md5, data, len) == 0) {
		/* TLS guards what it carries; without it a sum has to. */
		crypto_base64(&sum, md5, sizeof(md5));
		buf_u8(&sum, '\0');
		if (buf_check(&sum, "a sum", err) < 0) {
			buf_release(&sum);
			return -1;
		}
		c.standard[c.nstandard++] = (struct net_header){
			"content-md5", (const char *)sum.p };
	}
	if (!over)
		c.standard[c.nstandard++] = (struct net_header){
			"if-none-match", "*" };
	if (a->tier != NULL)
		c.ms[c.nms++] = (struct net_header){ "x-ms-access-tier",
			a->tier };
	c.ms[c.nms++] = (struct net_header){ "x-ms-blob-type", "BlockBlob" };
	r = request(a, &c, &ans, err);
	if (r == 0 && !backend_http_ok(&ans)) {
		bool exists = !over && (code_is(&ans, "BlobAlreadyExists") ||
		    code_is(&ans, "ConditionNotMet"));

		r = exists ? 1 : refused(a, &c, &ans, err);
	}
	backend_http_answer_release(&ans);
	buf_release(&sum);
	return r;
}

static int azure_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	return put(azure_of(be), key, data, len, false, err);
}

static int azure_put_over(struct backend *be, const char *key,
    const void *data, size_t len, struct err *err)
{
	return put(azure_of(be), key, data, len, true, err);
}

static int azure_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	struct azure *a = azure_of(be);
	char range[64];
	struct call c = {
		.method = NET_GET,
		.what = { "get", key },
		.blob = true,
		.ms = { { "x-ms-range", range } },
		.nms = 1,
		.dst = dst,
		.dst_len = len,
	};
	struct backend_http_answer ans = { 0 };
	int r;

	snprintf(range, sizeof(range), "bytes=%llu-%llu",
	    (unsigned long long)off, (unsigned long long)(off + (len - 1)));
	r = request(a, &c, &ans, err);
	if (r < 0)
		;
	else if (ans.rs.status == 206 && ans.rs.body_len == len)
		r = 0;
	else if (ans.rs.status == 416 || ans.rs.status == 206)
		r = backend_http_error(a->http, &c.what, ERR_CORRUPT, err,
		    "the object ends before byte %llu",
		    (unsigned long long)(off + len));
	else if (is_missing(&ans))
		r = 1;
	else if (backend_http_ok(&ans))
		r = backend_http_error(a->http, &c.what, ERR_CORRUPT, err,
		    "the answer is no range (HTTP %d)", ans.rs.status);
	else
		r = refused(a, &c, &ans, err);
	backend_http_answer_release(&ans);
	return r;
}

static int azure_get_all(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err)
{
	struct azure *a = azure_of(be);
	struct call c = {
		.method = NET_GET,
		.what = { "get", key },
		.blob = true,
		.body_max = max,
	};
	struct backend_http_answer ans = { 0 };
	int r = request(a, &c, &ans, err);

	if (r == 0 && is_missing(&ans))
		r = 1;
	else if (r == 0 && ans.rs.status != 200)
		r = refused(a, &c, &ans, err);
	else if (r == 0) {
		/* Never NULL, and the buffer's bytes become the caller's. */
		if (ans.rs.body.p == NULL && buf_reserve(&ans.rs.body, 1) < 0)
			r = err_nomem(err, "an object");
		else {
			*ret_data = ans.rs.body.p;
			*ret_len = ans.rs.body.len;
			buf_init(&ans.rs.body);
		}
	}
	backend_http_answer_release(&ans);
	return r;
}

static int azure_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err)
{
	struct azure *a = azure_of(be);
	struct call c = {
		.method = NET_HEAD,
		.what = { "stat", key },
		.blob = true,
	};
	struct backend_http_answer ans = { 0 };
	int r = request(a, &c, &ans, err);

	if (r == 0 && is_missing(&ans))
		r = 1;
	else if (r == 0 && ans.rs.status != 200)
		r = refused(a, &c, &ans, err);
	else if (r == 0) {
		const char *size = net_header(&ans.rs, "content-length");
		const char *time = net_header(&ans.rs, "last-modified");

		ret_st->size = size != NULL ? strtoull(size, NULL, 10) : 0;
		ret_st->mtime_ns = time != NULL ? backend_http_time(time) : -1;
		if (size == NULL || ret_st->mtime_ns < 0)
			r = backend_http_error(a->http, &c.what, ERR_CORRUPT,
			    err, "the answer lacks its length or time");
	}
	backend_http_answer_release(&ans);
	return r;
}

static int azure_del(struct backend *be, const char *key, struct err *err)
{
	struct azure *a = azure_of(be);
	struct call c = {
		.method = NET_DELETE,
		.what = { "del", key },
		.blob = true,
		.ms = { { "x-ms-delete-snapshots", "include" } },
		.nms = 1,
	};
	struct backend_http_answer ans = { 0 };
	int r;

	if (a->read_only)
		return refuse_change(a, "del", key, err);
	r = request(a, &c, &ans, err);
	if (r == 0 && is_missing(&ans))
		r = 1;
	else if (r == 0 && !backend_http_ok(&ans))
		r = refused(a, &c, &ans, err);
	backend_http_answer_release(&ans);
	return r;
}

/* --- listing ---------------------------------------------------------------------------*/

struct listing {
	struct azure *a;
	const struct call *c;
	size_t plain;          /* length of the repository's prefix */
	backend_list_fn *fn;
	void *ctx;
	bool stopped;
	char name[2048];       /* of the blob whose element is open */
	uint64_t size;
	int64_t mtime_ns;
	char *marker;          /* of the next page; owned */
};

static int list_blob(struct listing *l, struct err *err)
{
	struct backend_stat st = { l->size, l->mtime_ns };
	const char *key = l->name + l->plain;
	int r = 0;

	if (strncmp(l->name, l->a->prefix, l->plain) == 0 &&
	    strncmp(key, l->c->what.key, strlen(l->c->what.key)) == 0 &&
	    backend_key_valid(key)) {
		if (l->mtime_ns < 0)
			r = backend_http_error(l->a->http, &l->c->what,
			    ERR_CORRUPT, err, "%s has no time", key);
		else
			r = l->fn(l->ctx, key, &st, err);
		l->stopped = r != 0;
	}
	l->name[0] = '\0';
	l->size = 0;
	l->mtime_ns = -1;
	return r;
}

static int list_element(void *ctx, const char *path, const char *text,
    struct err *err)
{
	static const char root[] = "EnumerationResults/";
	struct listing *l = ctx;

	if (strncmp(path, root, sizeof(root) - 1) != 0)
		return 0;
	path += sizeof(root) - 1;
	if (strcmp(path, "Blobs/Blob/Name") == 0) {
		/* What does not fit is no key of ours. */
		size_t n = strlen(text);

		memcpy(l->name, text, n < sizeof(l->name) ? n + 1 : 0);
	} else if (strcmp(path, "Blobs/Blob/Properties/Content-Length") == 0) {
		l->size = strtoull(text, NULL, 10);
	} else if (strcmp(path, "Blobs/Blob/Properties/Last-Modified") == 0) {
		l->mtime_ns = backend_http_time(text);
	} else if (strcmp(path, "Blobs/Blob") == 0) {
		return list_blob(l, err);
	} else if (strcmp(path, "NextMarker") == 0 && *text != '\0') {
		free(l->marker);
		l->marker = mem_strdup(text, err);
		return l->marker != NULL ? 0 : -1;
	}
	return 0;
}

/* One page from marker (NULL: the first) on. */
static int list_page(struct listing *l, const char *prefix, const char *marker,
    struct err *err)
{
	char max[16];
	struct call c = {
		.method = NET_GET,
		.what = l->c->what,
		.body_max = LIST_BYTES,
	};
	struct backend_http_answer ans = { 0 };
	int r;

	snprintf(max, sizeof(max), "%d", LIST_MAX);
	c.query[c.nquery++] = (struct net_header){ "comp", "list" };
	if (marker != NULL)
		c.query[c.nquery++] = (struct net_header){ "marker", marker };
	c.query[c.nquery++] = (struct net_header){ "maxresults", max };
	if (*prefix != '\0')
		c.query[c.nquery++] = (struct net_header){ "prefix", prefix };
	c.query[c.nquery++] = (struct net_header){ "restype", "container" };
	r = request(l->a, &c, &ans, err);
	if (r == 0 && ans.rs.status != 200)
		r = refused(l->a, &c, &ans, err);
	if (r == 0) {
		l->name[0] = '\0';
		l->size = 0;
		l->mtime_ns = -1;
		r = backend_xml_read(ans.rs.body.p, ans.rs.body.len,
		    list_element, l, err);
		if (r < 0 && !l->stopped)
			err_wrap(err, "%s: list %s", l->a->be.name, prefix);
	}
	backend_http_answer_release(&ans);
	return r;
}

static int azure_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct azure *a = azure_of(be);
	struct call c = { .what = { "list", prefix } };
	struct listing l = {
		.a = a, .c = &c, .plain = strlen(a->prefix),
		.fn = fn, .ctx = ctx,
	};
	struct buf whole = BUF_INIT;
	char *marker = NULL;
	int r;

	buf_printf(&whole, "%s%s%c", a->prefix, prefix, '\0');
	r = buf_check(&whole, "a prefix", err);
	while (r == 0) {
		r = list_page(&l, (const char *)whole.p, marker, err);
		if (r != 0 || l.marker == NULL)
			break;
		if (marker != NULL && strcmp(marker, l.marker) == 0)
			r = backend_http_error(a->http, &c.what, ERR_CORRUPT,
			    err, "the listing does not go on");
		free(marker);
		marker = l.marker;
		l.marker = NULL;
	}
	free(marker);
	free(l.marker);
	buf_release(&whole);
	return r;
}

/* --- opening ------------------------------------------------------------------------------*/

static void azure_caps(struct backend *be, struct backend_caps *ret_caps)
{
	(void)be;
	*ret_caps = (struct backend_caps){
		.atomic_create = true,
		.ordered_list = true,
		.del_tells = true,
	};
}

static void azure_counters(struct backend *be, struct backend_counters *ret)
{
	backend_http_counters(azure_of(be)->http, ret);
}

static void azure_close(struct backend *be)
{
	struct azure *a = azure_of(be);

	backend_azure_auth_free(a->auth);
	backend_http_free(a->http);
	backend_base_release(be);
	free(a->base);
	free(a->container);
	free(a->prefix);
	free(a->tier);
	free(a);
}

static const struct backend_ops azure_ops = {
	.put = azure_put,
	.put_over = azure_put_over,
	.get = azure_get,
	.get_all = azure_get_all,
	.stat = azure_stat,
	.list = azure_list,
	.del = azure_del,
	.caps = azure_caps,
	.counters = azure_counters,
	.close = azure_close,
};

static int make_container(struct azure *a, struct err *err)
{
	struct call c = {
		.method = NET_PUT,
		.what = { "make the container", "" },
		.query = { { "restype", "container" } },
		.nquery = 1,
		.body = "",
	};
	struct backend_http_answer ans = { 0 };
	int r = request(a, &c, &ans, err);

	/* Who may not make one may have been given one. */
	if (r == 0 && !backend_http_ok(&ans) && ans.rs.status != 409 &&
	    ans.rs.status != 403)
		r = refused(a, &c, &ans, err);
	backend_http_answer_release(&ans);
	return r;
}

/* Fill base and container from the endpoint and the account's and its name. */
static int place(struct azure *a, const char *account, const char *container,
    const char *endpoint, struct err *err)
{
	struct buf b = BUF_INIT, dir = BUF_INIT;
	struct net_url u;
	size_t n = strlen(account), plen;

	if (endpoint == NULL)
		buf_printf(&b, "https://%s.blob.core.windows.net%c", account,
		    '\0');
	else
		buf_printf(&b, "%s%c", endpoint, '\0');
	if (buf_check(&b, "a URL", err) < 0 ||
	    net_url_parse((const char *)b.p, &u, err) < 0) {
		buf_release(&b);
		return -1;
	}
	a->tls = u.tls;
	plen = strlen(u.path);
	/*
	 * The account is in the host's name, or the first part of the path: so it
	 * is where many accounts have one host.
	 */
	buf_str(&dir, u.path);
	if (!(strncmp(u.host, account, n) == 0 && u.host[n] == '.') &&
	    !(plen > n && u.path[plen - n - 1] == '/' &&
	      strcmp(u.path + plen - n, account) == 0))
		buf_printf(&dir, "/%s", account);
	buf_str(&dir, "/");
	net_escape(&dir, container, true);
	buf_u8(&dir, '\0');
	a->base = (char *)b.p;
	a->container = (char *)dir.p;
	while (a->base[0] != '\0' && a->base[strlen(a->base) - 1] == '/')
		a->base[strlen(a->base) - 1] = '\0';
	a->host_len = strlen(a->base) - plen;
	net_url_release(&u);
	return buf_check(&dir, "a URL", err);
}

/* Cut "CONTAINER/PREFIX". */
static int cut_rest(struct azure *a, const struct backend_http_url *u,
    char **ret_container, struct err *err)
{
	size_t n = strcspn(u->rest, "/");
	const char *prefix = u->rest + n + (u->rest[n] == '/');
	struct buf b = BUF_INIT;

	if (n == 0)
		return err_set(err, ERR_USAGE, "an azure: URL is "
		    "azure://ACCOUNT/CONTAINER[/PREFIX]; this one has no "
		    "container");
	*ret_container = mem_strdup(u->rest, err);
	if (*ret_container == NULL)
		return -1;
	(*ret_container)[n] = '\0';
	buf_printf(&b, "%s%s%c", prefix, *prefix != '\0' ? "/" : "", '\0');
	a->prefix = (char *)b.p;
	return buf_check(&b, "a prefix", err);
}

static int set_up(struct azure *a, const struct backend_http_url *u,
    const struct backend_remote_options *opt, struct err *err)
{
	const char *endpoint = backend_http_param(u, "endpoint");
	const char *tier = backend_http_param(u, "tier");
	char *container = NULL;
	struct buf name = BUF_INIT;
	int r = -1;

	if (cut_rest(a, u, &container, err) < 0)
		goto out;
	buf_printf(&name, "azure://%s/%s%c", u->name, u->rest, '\0');
	if (buf_check(&name, "a name", err) < 0 ||
	    backend_base_init(&a->be, &azure_ops, (const char *)name.p,
	        err) < 0)
		goto out;
	a->read_only = opt->read_only;
	if (tier != NULL && (a->tier = mem_strdup(tier, err)) == NULL)
		goto out;
	a->http = backend_http_new(a->be.name, opt, err);
	if (a->http != NULL)
		a->auth = backend_azure_auth_new(u->name,
		    backend_http_net(a->http), err);
	if (a->auth == NULL)
		goto out;
	if (endpoint == NULL)
		endpoint = backend_azure_auth_endpoint(a->auth);
	if (endpoint == NULL)
		endpoint = getenv("AZURE_STORAGE_ENDPOINT");
	r = place(a, u->name, container, endpoint, err);
out:
	buf_release(&name);
	free(container);
	return r;
}

struct backend *backend_azure_open(const char *url,
    const struct backend_remote_options *opt, struct err *err)
{
	static const struct backend_remote_options defaults;
	static const char *const known[] = { "endpoint", "tier", NULL };
	struct backend_http_url u;
	struct azure *a;
	int r;

	if (opt == NULL)
		opt = &defaults;
	if (backend_http_url_parse(url, &u, err) < 0)
		return NULL;
	a = mem_zalloc(sizeof(*a), "a backend", err);
	r = a == NULL ? -1 : backend_http_params_known(&u, known, err);
	if (r == 0)
		r = set_up(a, &u, opt, err);
	if (r == 0 && opt->create && !opt->read_only)
		r = make_container(a, err);
	backend_http_url_release(&u);
	if (r < 0 && a != NULL) {
		azure_close(&a->be);
		a = NULL;
	}
	return a != NULL ? &a->be : NULL;
}
