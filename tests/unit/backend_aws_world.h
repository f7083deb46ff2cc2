#ifndef TESTS_UNIT_BACKEND_AWS_WORLD_H
#define TESTS_UNIT_BACKEND_AWS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "repo/backend/backend_aws.h"
#include "repo/base/clock.h"
#include "repo/net/net.h"
#include "tests/unit/net_server.h"

/*
 * A home without anything of AWS in it, a directory for files, and services
 * that answer as the test says.
 */

static struct {
	char dir[32];
	struct net *n;
	struct backend_aws *a;
	const struct backend_aws_credentials *c;
	struct server *s;
	struct err err;
	char text[64 << 10];    /* what the last request of the test's server was */
	/* Under the server's lock: what it answers, and how often it was asked. */
	int status;
	int lasts_s;            /* until what it gives ends */
	unsigned served;        /* credentials; each set has its number */
	const char *body;       /* instead of credentials */
	int token_status;       /* of the machine's token; 0: 200 */
	int role_status;        /* of the list of its roles; 0: 200 */
	unsigned delay_ms;
} w;

static inline void world_clean(void)
{
	extern char **environ;

	for (size_t i = 0; environ[i] != NULL;) {
		char name[128];
		size_t len = strcspn(environ[i], "=");

		if (strncmp(environ[i], "AWS_", 4) != 0 || len >= sizeof(name)) {
			i++;
			continue;
		}
		snprintf(name, sizeof(name), "%.*s", (int)len, environ[i]);
		unsetenv(name);
	}
}

static inline int world_setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.lasts_s = 3600;
	world_clean();
	snprintf(w.dir, sizeof(w.dir), "/tmp/aws-XXXXXX");
	if (mkdtemp(w.dir) == NULL)
		return -1;
	setenv("HOME", w.dir, 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	w.n = net_new(&(struct net_options){ .stall_ms = 10000 }, &w.err);
	return w.n ? 0 : -1;
}

static inline int world_teardown(void **state)
{
	static const char *const files[] = { "credentials", "config", "token" };

	(void)state;
	backend_aws_release(w.c);
	backend_aws_free(w.a);
	net_free(w.n);
	if (w.s != NULL)
		server_stop(w.s);
	for (size_t i = 0; i < 3; i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s/%s", w.dir, files[i]);
		unlink(path);
	}
	rmdir(w.dir);
	world_clean();
	return 0;
}

/* Write a file in the test's directory and let a variable name it. */
static inline void world_file(const char *name, const char *variable,
    const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", w.dir, name);

	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	setenv(variable, path, 1);
}

static inline void world_credentials(const char *text)
{
	world_file("credentials", "AWS_SHARED_CREDENTIALS_FILE", text);
}

static inline void world_config(const char *text)
{
	world_file("config", "AWS_CONFIG_FILE", text);
}

/* Open the provider; it must open. */
static inline void world_open(const char *profile)
{
	const struct backend_aws_options opt = { .net = w.n, .profile = profile };

	w.a = backend_aws_new(&opt, &w.err);
	if (w.a == NULL)
		fail_msg("%s", w.err.msg);
}

/* Open, and get these. */
static inline void world_get(const char *id, const char *key, const char *token)
{
	if (w.a == NULL)
		world_open(NULL);
	backend_aws_release(w.c);
	w.c = backend_aws_get(w.a, &w.err);
	if (w.c == NULL)
		fail_msg("%s", w.err.msg);
	assert_string_equal(w.c->access_key, id);
	assert_string_equal(w.c->secret_key, key);
	if (token == NULL)
		assert_null(w.c->session_token);
	else
		assert_string_equal(w.c->session_token, token);
}

/* No secret of these tests is in the message; it has `what`. */
static inline void world_says(enum err_class class, const char *what)
{
	if (w.err.class != class || strstr(w.err.msg, what) == NULL)
		fail_msg("class %s: %s", err_class_name(w.err.class), w.err.msg);
	if (strstr(w.err.msg, "s3cret") != NULL)
		fail_msg("told: %s", w.err.msg);
}

/* Opening or getting fails so. */
static inline void world_fails(enum err_class class, const char *what)
{
	const struct backend_aws_options opt = { .net = w.n };

	if (w.a == NULL)
		w.a = backend_aws_new(&opt, &w.err);
	if (w.a != NULL)
		assert_null(backend_aws_get(w.a, &w.err));
	world_says(class, what);
}

/* --- services --- */

static inline void world_time(char dst[32])
{
	clock_format_utc(dst, 32, clock_real_ns() +
	    (int64_t)w.lasts_s * 1000000000);
}

static inline void world_keep(struct conn *c)
{
	snprintf(w.text, sizeof(w.text), "%s%s", c->head, c->body);
}

/* The token service. */
static inline void world_sts(struct conn *c)
{
	while (conn_request(c)) {
		char body[2000], end[32];

		if (w.delay_ms > 0)
			conn_sleep_ms(w.delay_ms);
		pthread_mutex_lock(&c->srv->lock);
		world_keep(c);
		world_time(end);
		w.served++;

		const char *as = strstr(c->body, "WithWebIdentity") ?
		    "AssumeRoleWithWebIdentity" : "AssumeRole";

		snprintf(body, sizeof(body), "<?xml version=\"1.0\"?>\n"
		    "<%sResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
		    "<%sResult><Credentials><AccessKeyId>ASIA%u</AccessKeyId>"
		    "<SecretAccessKey>s3cret/%u</SecretAccessKey>"
		    "<SessionToken>token+s3cret/%u==</SessionToken>"
		    "<Expiration>%s</Expiration></Credentials></%sResult></%sResponse>",
		    as, as, w.served, w.served, w.served, end, as, as);
		conn_answer(c, w.status ? w.status : 200, w.body ? w.body : body);
		pthread_mutex_unlock(&c->srv->lock);
	}
}

/* The metadata of a machine (paths of it), or a container's service. */
static inline void world_host(struct conn *c)
{
	while (conn_request(c)) {
		char body[1000], end[32];

		pthread_mutex_lock(&c->srv->lock);
		if (conn_is(c, "PUT /latest/api/token ")) {
			assert_string_equal(conn_header(c,
			    "X-aws-ec2-metadata-token-ttl-seconds"), "21600");
			conn_answer(c, w.token_status ? w.token_status : 200,
			    "imds-token");
		} else if (conn_is(c, "GET /latest/meta-data/iam/"
		    "security-credentials/ ")) {
			assert_string_equal(conn_header(c,
			    "X-aws-ec2-metadata-token"), "imds-token");
			conn_answer(c, w.role_status ? w.role_status : 200, "my role");
		} else {
			world_keep(c);
			world_time(end);
			w.served++;
			snprintf(body, sizeof(body), "{\"Code\":\"Success\","
			    "\"AccessKeyId\":\"ASIA%u\",\"SecretAccessKey\":"
			    "\"s3cret/%u\",\"Token\":\"token+s3cret/%u==\","
			    "\"Expiration\":\"%s\"}", w.served, w.served, w.served,
			    end);
			conn_answer(c, w.status ? w.status : 200,
			    w.body ? w.body : body);
		}
		pthread_mutex_unlock(&c->srv->lock);
	}
}

static inline void world_has(const char *what)
{
	if (strstr(w.text, what) == NULL)
		fail_msg("not sent: %s in %s", what, w.text);
}

#endif
