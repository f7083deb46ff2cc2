#include <errno.h>
#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "repo/backend/backend_aws_internal.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

/*
 * Credentials that the place where we run gives: a container's service (ECS,
 * EKS pod identity) and a machine's metadata service (IMDSv2).
 */

/* They are next door: who does not answer soon is not there. */
#define NEAR_MS 2000
#define CONTAINER "http://169.254.170.2"
#define MACHINE "http://169.254.169.254"
#define MACHINE_6 "http://[fd00:ec2::254]"
#define ROLES "/latest/meta-data/iam/security-credentials/"

/* --- asking ----------------------------------------------------------------*/

/* An answer whose body is in secret memory. */
struct said {
	char *text; /* BACKEND_AWS_MOST bytes and a NUL */
	struct net_response rs;
};

static int said_init(struct said *s, struct err *err)
{
	*s = (struct said){ .text = crypto_secret_new(BACKEND_AWS_MOST + 1, err) };
	return s->text ? 0 : -1;
}

static void said_release(struct said *s)
{
	crypto_secret_free(s->text);
	net_response_release(&s->rs);
}

/* Ask; the header's value may be NULL.  Return 0 for any answer, or -1. */
static int ask(struct backend_aws *a, enum net_method m, const char *url,
    const char *header, const char *value, struct said *s, struct err *err)
{
	const struct net_header h = { header, value };
	const struct net_request rq = { .method = m, .url = url, .headers = &h,
		.nheaders = value ? 1 : 0, .dst = s->text,
		.dst_len = BACKEND_AWS_MOST, .total_ms = NEAR_MS,
		.direct = true };

	if (net_do(a->net, &rq, &s->rs, err) < 0)
		return -1;
	s->text[s->rs.status / 100 == 2 ? s->rs.body_len : 0] = '\0';
	return 0;
}

static int tell_status(const char *url, int status, struct err *err)
{
	enum err_class class = status >= 500 || status == 429 ? ERR_TRANSIENT :
	    ERR_AUTH;

	err_set(err, class, "%.*s answers %d", (int)strcspn(url, "?"), url,
	    status);
	if (class == ERR_AUTH)
		err->errnum = EKEYREJECTED;
	return -1;
}

/* --- what is answered ------------------------------------------------------*/

static void wipe(json_t *v)
{
	const char *key;
	json_t *one;

	json_object_foreach(v, key, one)
		if (json_is_string(one))
			mem_wipe((char *)(uintptr_t)json_string_value(one),
			    json_string_length(one));
}

static const char *text_of(const json_t *v, const char *key)
{
	const char *s = json_string_value(json_object_get(v, key));

	return s != NULL && s[0] != '\0' ? s : NULL;
}

static int take(const json_t *v, const char *url,
    struct backend_aws_set **ret_set, struct err *err)
{
	const char *id = text_of(v, "AccessKeyId");
	const char *key = text_of(v, "SecretAccessKey");
	const char *end = text_of(v, "Expiration");
	const char *code = text_of(v, "Code");
	int64_t expires_ns = end ? backend_aws_time(end) : 0;

	if (code != NULL && strcmp(code, "Success") != 0)
		return err_set(err, ERR_AUTH, "%.*s answers with code %.100s",
		    (int)strcspn(url, "?"), url, code);
	if (id == NULL || key == NULL || expires_ns < 0)
		return err_set(err, ERR_CORRUPT, "the answer of %.*s lacks "
		    "credentials, or its Expiration is no time",
		    (int)strcspn(url, "?"), url);
	*ret_set = backend_aws_set_new(id, key, text_of(v, "Token"),
	    expires_ns, err);
	return *ret_set ? 0 : -1;
}

static int take_json(const struct said *s, const char *url,
    struct backend_aws_set **ret_set, struct err *err)
{
	json_error_t je;
	json_t *v = json_loadb(s->text, s->rs.body_len, 0, &je);

	if (!json_is_object(v)) {
		json_decref(v);
		return err_set(err, ERR_CORRUPT, "the answer of %.*s is no JSON "
		    "object", (int)strcspn(url, "?"), url);
	}

	int rc = take(v, url, ret_set, err);

	wipe(v);
	json_decref(v);
	return rc;
}

static int get_credentials(struct backend_aws *a, const char *url,
    const char *header, const char *value, struct said *s,
    struct backend_aws_set **ret_set, struct err *err)
{
	if (ask(a, NET_GET, url, header, value, s, err) < 0)
		return -1;
	if (s->rs.status != 200)
		return tell_status(url, s->rs.status, err);
	return take_json(s, url, ret_set, err);
}

/* --- a container's ---------------------------------------------------------*/

/*
 * Without TLS the token goes to this machine and its neighbours only: whoever
 * can set a variable must not lead it elsewhere.
 */
static bool is_near(const char *url)
{
	static const char *const near[] = { "::1", "localhost",
		"169.254.170.2", "169.254.170.23", "fd00:ec2::23" };
	struct net_url u;
	struct in_addr ip;
	struct err err;
	bool found = false;
	char bare[1024];

	snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(url, "?#"), url);
	if (net_url_parse(bare, &u, &err) < 0)
		return false;
	for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++)
		found |= strcmp(u.host, near[i]) == 0;
	found |= inet_pton(AF_INET, u.host, &ip) == 1 &&
	    ntohl(ip.s_addr) >> 24 == 127;
	found |= u.tls;
	net_url_release(&u);
	return found;
}

/* The token for the container's service; *ret NULL: it wants none. */
static int container_token(char **ret, struct err *err)
{
	const char *file = backend_aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *text = backend_aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");

	*ret = NULL;
	if (file != NULL) {
		*ret = backend_aws_token_read(file, err);
		return *ret ? 0 : -1;
	}
	if (text == NULL)
		return 0;
	if (strpbrk(text, "\r\n") != NULL)
		return err_set(err, ERR_USAGE, "AWS_CONTAINER_AUTHORIZATION_TOKEN "
		    "holds the end of a line");
	*ret = crypto_secret_new(strlen(text) + 1, err);
	if (*ret == NULL)
		return -1;
	memcpy(*ret, text, strlen(text) + 1);
	return 0;
}

int backend_aws_from_container(struct backend_aws *a,
    struct backend_aws_set **ret_set, struct buf *why, struct err *err)
{
	const char *relative =
	    backend_aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = backend_aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	char url[1024], *token;
	struct said s;

	if (relative == NULL && full == NULL) {
		buf_str(why, "AWS_CONTAINER_CREDENTIALS_FULL_URI is not set");
		return 1;
	}
	if (snprintf(url, sizeof(url), "%s%s", relative ? CONTAINER : "",
	    relative ? relative : full) >= (int)sizeof(url))
		return err_set(err, ERR_USAGE, "the URL of the container's "
		    "credentials is too long");
	if (!is_near(url))
		return err_set(err, ERR_USAGE, "AWS_CONTAINER_CREDENTIALS_FULL_URI "
		    "must be https, or lead to this machine");
	if (container_token(&token, err) < 0)
		return -1;

	int rc = said_init(&s, err);

	if (rc == 0)
		rc = get_credentials(a, url, "Authorization", token, &s, ret_set,
		    err);
	said_release(&s);
	crypto_secret_free(token);
	return rc;
}

/* --- a machine's -----------------------------------------------------------*/

static const char *machine_endpoint(void)
{
	const char *s = backend_aws_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *mode = backend_aws_env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");

	if (s != NULL)
		return s;
	return mode != NULL && strcasecmp(mode, "IPv6") == 0 ? MACHINE_6 : MACHINE;
}

static int join(char *dst, size_t cap, const char *end, const char *path,
    const char *leaf, struct err *err)
{
	size_t n = strlen(end);

	if (n > 0 && end[n - 1] == '/')
		n--;
	if (snprintf(dst, cap, "%.*s%s%s", (int)n, end, path, leaf) >= (int)cap)
		return err_set(err, ERR_USAGE,
		    "the URL of the metadata service is too long");
	return 0;
}

/* Get the token that all other requests carry.  Return 0, 1: not there, -1. */
static int machine_token(struct backend_aws *a, const char *end,
    struct said *s, struct buf *why, struct err *err)
{
	char url[512];
	int rc = -1;

	if (join(url, sizeof(url), end, "/latest/api/token", "", err) < 0)
		return -1;
	/* A busy machine may need a second call; what is not there, no third. */
	for (int i = 0; i < 2 && rc < 0; i++)
		rc = ask(a, NET_PUT, url, "X-aws-ec2-metadata-token-ttl-seconds",
		    "21600", s, err);
	/* One that served before is gone for a moment only. */
	if (rc < 0 && err->class == ERR_TRANSIENT && a->place == NULL) {
		buf_printf(why, "%s does not answer", end);
		return 1;
	}
	if (rc < 0)
		return -1;
	if (s->rs.status == 404 || s->rs.status == 405) {
		buf_printf(why, "%s knows no IMDSv2", end);
		return 1;
	}
	if (s->rs.status != 200)
		return tell_status(url, s->rs.status, err);
	s->text[strcspn(s->text, "\r\n")] = '\0';
	return s->text[0] != '\0' ? 0 :
	    err_set(err, ERR_CORRUPT, "%s gives an empty token", url);
}

/* Find the role's name.  Return 0, 1: the machine has none, -1. */
static int machine_role(struct backend_aws *a, const char *end,
    const char *token, char *dst, size_t cap, struct buf *why, struct err *err)
{
	char url[512];
	struct said s;
	int rc = join(url, sizeof(url), end, ROLES, "", err);

	if (rc < 0 || said_init(&s, err) < 0)
		return -1;
	rc = ask(a, NET_GET, url, "X-aws-ec2-metadata-token", token, &s, err);
	if (rc == 0 && s.rs.status == 404) {
		buf_str(why, "the machine has no role");
		rc = 1;
	} else if (rc == 0 && s.rs.status != 200) {
		rc = tell_status(url, s.rs.status, err);
	} else if (rc == 0) {
		struct buf b = BUF_INIT;

		s.text[strcspn(s.text, "\r\n")] = '\0';
		net_escape(&b, s.text, false);
		if (b.len == 0 || b.len >= cap || b.failed)
			rc = err_set(err, ERR_CORRUPT,
			    "%s names no role", url);
		else
			snprintf(dst, cap, "%.*s", (int)b.len, (char *)b.p);
		buf_release(&b);
	}
	said_release(&s);
	return rc;
}

int backend_aws_from_machine(struct backend_aws *a,
    struct backend_aws_set **ret_set, struct buf *why, struct err *err)
{
	const char *off = backend_aws_env("AWS_EC2_METADATA_DISABLED");
	const char *end = machine_endpoint();
	char role[200], url[768];
	struct said token, s;

	if (off != NULL && strcasecmp(off, "true") == 0) {
		buf_str(why, "AWS_EC2_METADATA_DISABLED is set");
		return 1;
	}
	if (said_init(&token, err) < 0)
		return -1;
	if (said_init(&s, err) < 0) {
		said_release(&token);
		return -1;
	}

	int rc = machine_token(a, end, &token, why, err);

	if (rc == 0)
		rc = machine_role(a, end, token.text, role, sizeof(role), why, err);
	if (rc == 0)
		rc = join(url, sizeof(url), end, ROLES, role, err);
	if (rc == 0)
		rc = get_credentials(a, url, "X-aws-ec2-metadata-token",
		    token.text, &s, ret_set, err);
	said_release(&token);
	said_release(&s);
	return rc;
}
