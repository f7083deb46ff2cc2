/* The S3 backend: opening it, and the bucket. */
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_internal.h"
#include "repo/backend/backend_s3_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"

#define DEFAULT_REGION "us-east-1"

/* A key in S3 has at most 1024 bytes. */
#define PREFIX_MAX (1024 - 1 - BACKEND_KEY_MAX)

static void s3_caps(struct backend *be, struct backend_caps *ret_caps)
{
	struct backend_s3 *s = (struct backend_s3 *)be;

	*ret_caps = (struct backend_caps){
		.atomic_create = !atomic_load(&s->no_create_if),
		.ordered_list = true,
	};
}

static void s3_counters(struct backend *be, struct backend_counters *ret)
{
	backend_http_counters(((struct backend_s3 *)be)->http, ret);
}

static void s3_close(struct backend *be)
{
	struct backend_s3 *s = (struct backend_s3 *)be;

	/* Credentials are fetched by the client's requests. */
	backend_aws_free(s->aws);
	backend_http_free(s->http);
	backend_sigv4_free(s->signer);
	for (size_t i = 0; i < BACKEND_S3_PLACES; i++)
		backend_s3_place_free(atomic_load(&s->places[i]));
	pthread_mutex_destroy(&s->lock);
	free(s->bucket);
	free(s->prefix);
	free(s->storage_class);
	free(s->sse);
	free(s->sse_key);
	free(s->endpoint);
	backend_base_release(be);
	free(s);
}

static const struct backend_ops s3_ops = {
	.put = backend_s3_put,
	.put_over = backend_s3_put_over,
	.get = backend_s3_get,
	.get_all = backend_s3_get_all,
	.stat = backend_s3_stat,
	.list = backend_s3_list,
	.del = backend_s3_del,
	.del_many = backend_s3_del_many,
	.caps = s3_caps,
	.counters = s3_counters,
	.close = s3_close,
};

/* --- the URL ---------------------------------------------------------------------*/

/* Narrow enough to be a part of a URL's host or path as it is. */
static bool bucket_valid(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < 256 && strcmp(s, ".") != 0 &&
	    strcmp(s, "..") != 0 && strspn(s, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == n;
}

/* No empty component, none of dots only, nothing that XML cannot hold. */
static bool prefix_valid(const char *s)
{
	if (strlen(s) > PREFIX_MAX)
		return false;
	for (const char *p = s; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	while (*s != '\0') {
		size_t n = strcspn(s, "/");

		if (n == 0 || (n <= 2 && strspn(s, ".") >= n))
			return false;
		s += n;
		s += *s == '/';
	}
	return true;
}

/* Copy s, NULL and "" give NULL.  Return 0, or -1 with err. */
static int copy(char **ret, const char *s, struct err *err)
{
	if (s == NULL || s[0] == '\0')
		return 0;
	*ret = mem_strdup(s, err);
	return *ret == NULL ? -1 : 0;
}

static const char *env(const char *name)
{
	const char *s = getenv(name);

	return s != NULL && s[0] != '\0' ? s : NULL;
}

/* The endpoint that the URL or the environment names, or NULL: AWS's own. */
static const char *find_endpoint(const struct backend_http_url *u)
{
	const char *s = backend_http_param(u, "endpoint");
	const char *ignore = env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");

	if (s != NULL || (ignore != NULL && strcmp(ignore, "true") == 0))
		return s;
	s = env("AWS_ENDPOINT_URL_S3");
	return s != NULL ? s : env("AWS_ENDPOINT_URL");
}

static int take_style(struct backend_s3 *s, const struct backend_http_url *u,
    struct err *err)
{
	const char *style = backend_http_param(u, "style");

	/* TLS has no certificate for a bucket with dots before the host. */
	s->path_style = s->endpoint != NULL || strpbrk(s->bucket, "._") != NULL;
	if (style == NULL)
		return 0;
	if (strcmp(style, "path") != 0 && strcmp(style, "host") != 0)
		return err_set(err, ERR_USAGE, "%s: style=path or style=host",
		    s->be.name);
	s->path_style = strcmp(style, "path") == 0;
	return 0;
}

static int take_sse(struct backend_s3 *s, const struct backend_http_url *u,
    struct err *err)
{
	const char *sse = backend_http_param(u, "sse");
	const char *key = backend_http_param(u, "sse-key");

	if (sse != NULL && strcmp(sse, "AES256") != 0 &&
	    strcmp(sse, "aws:kms") != 0)
		return err_set(err, ERR_USAGE, "%s: sse=AES256 or sse=aws:kms",
		    s->be.name);
	if (key != NULL && (sse == NULL || strcmp(sse, "aws:kms") != 0))
		return err_set(err, ERR_USAGE, "%s: sse-key= goes with "
		    "sse=aws:kms", s->be.name);
	return copy(&s->sse, sse, err) < 0 || copy(&s->sse_key, key, err) < 0 ?
	    -1 : copy(&s->storage_class,
	    backend_http_param(u, "storage-class"), err);
}

/* A header's value: printable, and nothing that ends it. */
static int check_values(const struct backend_s3 *s, struct err *err)
{
	const char *const v[] = { s->storage_class, s->sse_key };

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		for (const char *p = v[i]; p != NULL && *p != '\0'; p++)
			if (*p <= ' ' || *p > '~')
				return err_set(err, ERR_USAGE, "%s: "
				    "storage-class= or sse-key= holds what "
				    "cannot be", s->be.name);
	return 0;
}

static int take_url(struct backend_s3 *s, const struct backend_http_url *u,
    struct err *err)
{
	static const char *const known[] = { "endpoint", "region", "style",
		"storage-class", "sse", "sse-key", "profile", NULL };
	CLEANUP_FREE char *name = NULL;
	struct buf b = BUF_INIT;

	if (!bucket_valid(u->name))
		return err_set(err, ERR_USAGE, "the URL of the store does not "
		    "name a bucket (s3://BUCKET/PREFIX)");
	if (!prefix_valid(u->rest))
		return err_set(err, ERR_USAGE, "s3://%s: the prefix has an "
		    "empty, \".\" or \"..\" component, a control character, or "
		    "more than %d bytes", u->name, PREFIX_MAX);
	if (backend_http_params_known(u, known, err) < 0)
		return -1;
	buf_printf(&b, "s3://%s%s%s", u->name, u->rest[0] != '\0' ? "/" : "",
	    u->rest);
	buf_u8(&b, 0);
	if (buf_check(&b, "a URL", err) < 0)
		return -1;
	name = (char *)b.p;
	if (backend_base_init(&s->be, &s3_ops, name, err) < 0)
		return -1;
	b = (struct buf)BUF_INIT;
	buf_printf(&b, "%s%s", u->rest, u->rest[0] != '\0' ? "/" : "");
	buf_u8(&b, 0);
	s->prefix = (char *)b.p;
	if (buf_check(&b, "a URL", err) < 0 ||
	    copy(&s->bucket, u->name, err) < 0 ||
	    copy(&s->endpoint, find_endpoint(u), err) < 0 ||
	    take_style(s, u, err) < 0 || take_sse(s, u, err) < 0)
		return -1;
	return check_values(s, err);
}

/* --- the bucket --------------------------------------------------------------------*/

/* Make the bucket, which is missing. */
static int make_bucket(struct backend_s3 *s, struct err *err)
{
	const char *region = backend_s3_place(s)->region;
	struct backend_http_answer a = { .code = "" };
	struct buf body = BUF_INIT;
	struct backend_s3_call c = {
		.what = { "make the bucket", NULL },
		.right = "s3:CreateBucket",
		.method = NET_PUT,
	};
	int r;

	/* The oldest region must not be named. */
	if (strcmp(region, DEFAULT_REGION) != 0)
		buf_printf(&body, "<CreateBucketConfiguration xmlns="
		    "\"http://s3.amazonaws.com/doc/2006-03-01/\">"
		    "<LocationConstraint>%s</LocationConstraint>"
		    "</CreateBucketConfiguration>", region);
	r = buf_check(&body, "a request", err);
	c.body = body.len > 0 ? body.p : (const uint8_t *)"";
	c.body_len = body.len;
	if (r == 0)
		r = backend_s3_do(s, &c, &a, err);
	if (r == 0 && !backend_http_ok(&a) &&
	    strcmp(a.code, "BucketAlreadyOwnedByYou") != 0)
		r = backend_s3_fail(s, &c, &a, err);
	backend_http_answer_release(&a);
	buf_release(&body);
	return r;
}

/*
 * See to it that the bucket is there.  Who may use it but not look at it is
 * answered 403; then the first call on an object tells more.
 */
static int see_bucket(struct backend_s3 *s, struct err *err)
{
	struct backend_http_answer a = { .code = "" };
	const struct backend_s3_call c = {
		.what = { "look at the bucket", NULL },
		.right = "s3:ListBucket",
		.method = NET_HEAD,
	};
	int r = backend_s3_do(s, &c, &a, err);

	if (r == 0 && a.rs.status == 404)
		r = make_bucket(s, err);
	else if (r == 0 && !backend_http_ok(&a) && a.rs.status != 403)
		r = backend_s3_fail(s, &c, &a, err);
	backend_http_answer_release(&a);
	return r;
}

/* --- opening ---------------------------------------------------------------------*/

/* Start what is behind the URL. */
static int start(struct backend_s3 *s, const struct backend_http_url *u,
    const struct backend_remote_options *opt, struct err *err)
{
	struct backend_aws_options aws = {
		.profile = backend_http_param(u, "profile"),
		.region = backend_http_param(u, "region"),
	};
	struct backend_s3_place *p;
	const char *region;

	s->http = backend_http_new(s->be.name, opt, err);
	s->signer = s->http != NULL ? backend_sigv4_new(err) : NULL;
	if (s->signer == NULL)
		return -1;
	aws.net = backend_http_net(s->http);
	s->aws = backend_aws_new(&aws, err);
	if (s->aws == NULL)
		return err_wrap(err, "%s", s->be.name);

	/* None at all is told at once, not by the first call. */
	const struct backend_aws_credentials *c = backend_aws_get(s->aws, err);

	if (c == NULL)
		return err_wrap(err, "%s", s->be.name);
	backend_aws_release(c);
	region = backend_aws_region(s->aws);
	if (region == NULL)
		region = DEFAULT_REGION;
	if (!backend_s3_region_valid(region))
		return err_set(err, ERR_USAGE, "%s: malformed region",
		    s->be.name);
	p = backend_s3_place_new(s, region, err);
	if (p == NULL)
		return -1;
	atomic_store(&s->places[0], p);
	s->tls = strncmp(p->base, "https:", 6) == 0;
	return 0;
}

struct backend *backend_s3_open(const char *url,
    const struct backend_remote_options *opt, struct err *err)
{
	static const struct backend_remote_options defaults;
	struct backend_s3 *s = mem_zalloc(sizeof(*s), "a store", err);
	struct backend_http_url u;
	int r;

	if (s == NULL)
		return NULL;
	if (opt == NULL)
		opt = &defaults;
	pthread_mutex_init(&s->lock, NULL);
	s->read_only = opt->read_only;
	r = backend_http_url_parse(url, &u, err);
	if (r == 0)
		r = take_url(s, &u, err);
	if (r == 0)
		r = start(s, &u, opt, err);
	if (r == 0 && opt->create && !opt->read_only)
		r = see_bucket(s, err);
	backend_http_url_release(&u);
	if (r == 0)
		return &s->be;
	s3_close(&s->be);
	return NULL;
}
