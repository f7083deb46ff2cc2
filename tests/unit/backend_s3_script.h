#ifndef TESTS_UNIT_BACKEND_S3_SCRIPT_H
#define TESTS_UNIT_BACKEND_S3_SCRIPT_H

/*
 * A store that answers by a script, and an S3 backend before it.  One program,
 * one translation unit: everything here is static.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/backend/backend_http.h"
#include "repo/backend/backend_remote.h"
#include "repo/backend/backend_s3_internal.h"
#include "repo/crypto/crypto.h"
#include "tests/unit/net_server.h"

/*
 * One request that is expected and what is said to it.  want: texts, one a
 * line, that its head or body holds; with '!' before it, does not.  say: the
 * answer; NULL: the connection is reset.
 */
struct step {
	const char *want, *say;
};

struct script {
	pthread_mutex_t lock;
	struct step steps[32];
	size_t n;
	atomic_uint at;
	atomic_bool wrong;
	char text[1024];
};

static struct script script = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void complain(const struct conn *c, const char *what, const char *want)
{
	if (!atomic_exchange(&script.wrong, true))
		snprintf(script.text, sizeof(script.text),
		    "request %u %s %s:\n%.600s", atomic_load(&script.at),
		    what, want, c->head);
}

static void check_request(struct conn *c, const char *want)
{
	while (*want != '\0') {
		size_t n = strcspn(want, "\n");
		bool not = *want == '!';
		char *text = strndup(want + not, n - not);

		if ((strstr(c->head, text) != NULL ||
		     strstr(c->body, text) != NULL) == not)
			complain(c, not ? "has" : "lacks", text);
		free(text);
		want += n;
		want += *want == '\n';
	}
}

/*
 * Take the next step.  Once it is answered the test may go on to another
 * script, so nothing of this one may be looked at any more.
 */
static struct step next_step(struct conn *c)
{
	struct step none = { "", "HTTP/1.1 500 Said\r\nContent-Length: 0\r\n"
	    "\r\n" };
	unsigned at;

	pthread_mutex_lock(&script.lock);
	at = atomic_fetch_add(&script.at, 1);
	if (at < script.n)
		none = script.steps[at];
	else
		complain(c, "is one", "too many");
	check_request(c, none.want);
	pthread_mutex_unlock(&script.lock);
	return none;
}

static void serve(struct conn *c)
{
	while (conn_read_head(c) && conn_read_body(c)) {
		struct step step = next_step(c);

		if (step.say == NULL) {
			conn_reset(c);
			return;
		}
		if (!conn_say(c, step.say) ||
		    strstr(step.say, "Connection: close") != NULL)
			return;
	}
}

static struct server *server;
static struct backend *be;
static struct err err;

static int start_group(void **state)
{
	(void)state;
	server = server_start(serve, NULL, NULL);
	setenv("AWS_ACCESS_KEY_ID", "AKIDTEST", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "very-secret", 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	unsetenv("AWS_SESSION_TOKEN");
	unsetenv("AWS_REGION");
	unsetenv("AWS_DEFAULT_REGION");
	unsetenv("AWS_PROFILE");
	unsetenv("AWS_ENDPOINT_URL");
	unsetenv("AWS_ENDPOINT_URL_S3");
	setenv("AWS_CONFIG_FILE", "/dev/null", 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
	return crypto_init(NULL);
}

static int stop_group(void **state)
{
	(void)state;
	server_stop(server);
	return 0;
}

static void play(const struct step *steps, size_t n)
{
	pthread_mutex_lock(&script.lock);
	assert_true(n <= 32);
	memcpy(script.steps, steps, n * sizeof(*steps));
	script.n = n;
	atomic_store(&script.at, 0);
	atomic_store(&script.wrong, false);
	pthread_mutex_unlock(&script.lock);
	err_clear(&err);
}

#define PLAY(...) \
	const struct step steps_[] = { __VA_ARGS__ }; \
	play(steps_, sizeof(steps_) / sizeof(steps_[0]))

/* All steps were asked for, as they should be. */
static void played(void)
{
	pthread_mutex_lock(&script.lock);
	pthread_mutex_unlock(&script.lock);
	if (atomic_load(&script.wrong))
		fail_msg("%s", script.text);
	assert_int_equal(atomic_load(&script.at), script.n);
}

static struct backend *open_with(const char *name, const char *more,
    const struct backend_remote_options *opt)
{
	char url[400];

	snprintf(url, sizeof(url), "s3://%s?endpoint=%s%s", name, server->url,
	    more);
	return backend_s3_open(url, opt, &err);
}

static int setup(void **state)
{
	(void)state;
	be = open_with("bkt/a%20b/p", "", NULL);
	if (be == NULL)
		fprintf(stderr, "%s\n", err.msg);
	return be == NULL ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	backend_close(be);
	be = NULL;
	unsetenv("AWS_SESSION_TOKEN");
	setenv("AWS_ACCESS_KEY_ID", "AKIDTEST", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "very-secret", 1);
	unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	return 0;
}

/* The message of a failure names store and key, and holds no secret. */
static void fails(int rc, enum err_class class, const char *words)
{
	assert_int_equal(rc, -1);
	if (err.class != class)
		fail_msg("%s, not %s: %s", err_class_name(err.class),
		    err_class_name(class), err.msg);
	if (strstr(err.msg, words) == NULL ||
	    strstr(err.msg, "s3://bkt/a b/p: ") == NULL)
		fail_msg("%s", err.msg);
	/* What the store refuses is told from what the repository does. */
	assert_int_equal(err.errnum == EKEYREJECTED, class == ERR_AUTH &&
	    strstr(words, "only") == NULL);
	assert_null(strstr(err.msg, "very-secret"));
	assert_null(strstr(err.msg, "\n"));
	err_clear(&err);
}

#define XML(code, message) "<?xml version=\"1.0\" encoding=\"UTF-8\"?>" \
	"<Error><Code>" code "</Code><Message>" message "</Message>" \
	"<Key>a b/p/k</Key><SignatureProvided>very-secret</SignatureProvided>" \
	"</Error>"

/* An answer whose length is counted. */
static const char *answer(const char *status, const char *headers,
    const char *body)
{
	static char text[32][4096];
	static unsigned next;
	char *t = text[next++ % 32];

	snprintf(t, sizeof(text[0]),
	    "HTTP/1.1 %s Said\r\nContent-Length: %zu\r\n%s\r\n%s", status,
	    strlen(body), headers, body);
	return t;
}

/* What is asked on a kept connection that breaks is sent again by curl. */
#define CLOSE "Connection: close\r\n"

#endif
