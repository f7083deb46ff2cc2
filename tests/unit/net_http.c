/* Requests as they go out and answers as they come in, against a server that
 * says what the test tells it to. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "repo/net/net.h"
#include "tests/unit/net_server.h"

static struct {
	struct net *n;
	struct server *s;
	struct net_response rs;
	struct err err;
	char url[512];
} w;

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.n = net_new(NULL, &w.err);
	return w.n ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	net_response_release(&w.rs);
	net_free(w.n);
	if (w.s != NULL)
		server_stop(w.s);
	return 0;
}

static const char *at(const char *path)
{
	snprintf(w.url, sizeof(w.url), "%s%s", w.s->url, path);
	return w.url;
}

static int ask(enum net_method m, const char *path)
{
	struct net_request rq = { .method = m, .url = at(path) };

	return net_do(w.n, &rq, &w.rs, &w.err);
}

static void body_is(const char *want)
{
	assert_int_equal(w.rs.body_len, strlen(want));
	assert_int_equal(w.rs.body.len, strlen(want));
	assert_memory_equal(w.rs.body.p, want, strlen(want));
}

/* Answer each request with what it was: its head, then its body. */
static void mirror(struct conn *c)
{
	while (conn_request(c)) {
		bool head = conn_is(c, "HEAD ");
		size_t n = strlen(c->head);

		conn_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
		    n + c->body_len);
		if (head)
			continue;
		conn_send(c, c->head, n);
		conn_send(c, c->body, c->body_len);
	}
}

/* Say the server's ctx, whatever was asked. */
static void recite(struct conn *c)
{
	while (conn_request(c))
		conn_say(c, c->srv->ctx);
}

static const char *mirrored(void)
{
	static char text[32 << 10];

	assert_true(w.rs.body.len < sizeof(text));
	memcpy(text, w.rs.body.p, w.rs.body.len);
	text[w.rs.body.len] = '\0';
	return text;
}

static void has(const char *what)
{
	if (strstr(mirrored(), what) == NULL)
		fail_msg("not said: %s in: %s", what, mirrored());
}

static void lacks(const char *what)
{
	if (strcasestr(mirrored(), what) != NULL)
		fail_msg("said: %s in: %s", what, mirrored());
}

static void test_methods(void **state)
{
	static const struct { enum net_method m; const char *line; bool len; } all[] = {
		{ NET_GET, "GET /a HTTP/1.1\r\n", false },
		{ NET_PUT, "PUT /a HTTP/1.1\r\n", true },
		{ NET_POST, "POST /a HTTP/1.1\r\n", true },
		{ NET_DELETE, "DELETE /a HTTP/1.1\r\n", false },
		{ NET_PATCH, "PATCH /a HTTP/1.1\r\n", true },
	};

	(void)state;
	w.s = server_start(mirror, NULL, NULL);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_int_equal(ask(all[i].m, "/a"), 0);
		assert_int_equal(w.rs.status, 200);
		has(all[i].line);
		if (all[i].len)
			has("\r\nContent-Length: 0\r\n");
		else
			lacks("content-length");
		lacks("expect:");
		lacks("transfer-encoding");
		lacks("authorization");
		has("\r\nUser-Agent: wherry/");
	}
	assert_int_equal(ask(NET_HEAD, "/a"), 0);
	assert_int_equal(w.rs.body_len, 0);
	assert_non_null(net_header(&w.rs, "content-length"));
	/* The connection serves on after a HEAD that told a length. */
	assert_int_equal(ask(NET_GET, "/a"), 0);
	assert_int_equal(w.s->accepted, 1);
}

static void test_url_goes_as_it_is(void **state)
{
	(void)state;
	w.s = server_start(mirror, NULL, NULL);
	assert_int_equal(ask(NET_GET, "/a/../b//./%2Fc%20%e4?x=/..&y=%41+1"), 0);
	has("GET /a/../b//./%2Fc%20%e4?x=/..&y=%41+1 HTTP/1.1\r\n");
}

static void test_headers_go_as_they_are(void **state)
{
	static const struct net_header h[] = {
		{ "Authorization", "Bearer  two  spaces" }, { "X-Empty", "" },
		{ "X-Twice", "a" }, { "X-Twice", "b" },
		{ "Content-Type", "application/json" },
	};
	struct net_request rq = { .method = NET_PUT, .headers = h, .nheaders = 5,
		.body = "{}", .body_len = 2 };

	(void)state;
	w.s = server_start(mirror, NULL, NULL);
	rq.url = at("/");
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), 0);
	has("\r\nAuthorization: Bearer  two  spaces\r\n");
	has("\r\nX-Empty:\r\n");
	has("\r\nX-Twice: a\r\n");
	has("\r\nX-Twice: b\r\n");
	has("\r\nContent-Type: application/json\r\n");
	has("\r\nContent-Length: 2\r\n");
	has("\r\n\r\n{}");
}

static void test_headers_that_would_inject(void **state)
{
	static const struct net_header bad[] = {
		{ "X-A", "s3cret\r\nX-B: 1" }, { "X-A", "s3cret\n" }, { "X A", "s3cret" },
		{ "", "s3cret" }, { "X:A", "s3cret" }, { "X\r\nY", "s3cret" },
	};

	(void)state;
	w.s = server_start(mirror, NULL, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct net_request rq = { .url = at("/"), .headers = &bad[i],
			.nheaders = 1 };

		assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), -1);
		assert_int_equal(w.err.class, ERR_USAGE);
		assert_null(strstr(w.err.msg, "s3cret"));
	}
}

static void test_bodies_up(void **state)
{
	static const size_t sizes[] = { 1, 1000, 16384, 131072, 131073, 5 << 20 };
	char *body = malloc(5 << 20), *back = malloc(6 << 20);

	(void)state;
	assert_true(body != NULL && back != NULL);
	for (size_t i = 0; i < 5 << 20; i++)
		body[i] = (char)(i * 2654435761u >> 13);
	w.s = server_start(mirror, NULL, NULL);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct net_request rq = { .method = NET_PUT, .url = at("/x"),
			.body = body, .body_len = sizes[i],
			.dst = back, .dst_len = 6 << 20 };

		assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), 0);
		assert_true(w.rs.body_len > sizes[i]);
		assert_int_equal(w.rs.body.len, 0);
		assert_memory_equal(back + w.rs.body_len - sizes[i], body, sizes[i]);
		assert_null(memmem(back, w.rs.body_len - sizes[i], "Expect", 6));
	}

	struct net_counters c;

	net_counters(w.n, &c);
	assert_int_equal(c.requests, 6);
	assert_int_equal(c.failed, 0);
	assert_int_equal(c.connections, 1);
	assert_int_equal(c.sent, 1 + 1000 + 16384 + 131072 + 131073 + (5 << 20));
	assert_true(c.received > c.sent);
	free(body);
	free(back);
}

static void test_dst(void **state)
{
	char dst[8] = "........";
	struct net_request rq = { .dst = dst, .dst_len = 5 };

	(void)state;
	w.s = server_start(recite,
	    "HTTP/1.1 206 Part\r\nContent-Length: 5\r\n\r\nhello", NULL);
	rq.url = at("/");
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), 0);
	assert_memory_equal(dst, "hello...", 8);
	assert_int_equal(w.rs.body_len, 5);
	/* Shorter than it may be: told by body_len. */
	rq.dst_len = 8;
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), 0);
	assert_int_equal(w.rs.body_len, 5);
	/* Longer: nothing is written behind its end. */
	memset(dst, '.', 8);
	rq.dst_len = 4;
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), -1);
	assert_int_equal(w.err.class, ERR_CORRUPT);
	assert_memory_equal(dst + 4, "....", 4);
}

static void test_failures_do_not_touch_dst(void **state)
{
	char dst[8] = "........";
	struct net_request rq = { .dst = dst, .dst_len = 8 };

	(void)state;
	w.s = server_start(recite,
	    "HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nnever", NULL);
	rq.url = at("/");
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), 0);
	assert_int_equal(w.rs.status, 404);
	body_is("never");
	assert_memory_equal(dst, "........", 8);
}

struct heard { char text[64]; size_t len, most; };

static int hear(void *ctx, const void *data, size_t len)
{
	struct heard *h = ctx;

	assert_true(h->len + len < sizeof(h->text));
	memcpy(h->text + h->len, data, len);
	h->len += len;
	return h->len > h->most;
}

static void test_on_body(void **state)
{
	struct heard h = { .most = 64 };
	struct net_request rq = { .on_body = hear, .ctx = &h };

	(void)state;
	w.s = server_start(recite,
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", NULL);
	rq.url = at("/");
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), 0);
	assert_int_equal(h.len, 5);
	assert_memory_equal(h.text, "hello", 5);
	assert_int_equal(w.rs.body.len, 0);
	assert_int_equal(w.rs.body_len, 5);
	h = (struct heard){ .most = 2 };
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), -1);
	assert_int_equal(w.err.class, ERR_CANCELLED);
}

static void test_body_max(void **state)
{
	struct net_request rq = { .body_max = 5 };

	(void)state;
	w.s = server_start(recite,
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", NULL);
	rq.url = at("/");
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), 0);
	body_is("hello");
	rq.body_max = 4;
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), -1);
	assert_int_equal(w.err.class, ERR_CORRUPT);
}

static void say_length(struct conn *c)
{
	static const char kib[1024];
	const atomic_size_t *kibs = c->srv->ctx;

	while (conn_request(c)) {
		bool bad = conn_is(c, "GET /bad ");

		conn_printf(c, "HTTP/1.1 %d Said\r\nContent-Length: %zu\r\n\r\n",
		    bad ? 500 : 200, *kibs << 10);
		for (size_t i = 0; i < *kibs; i++)
			if (!conn_send(c, kib, sizeof(kib)))
				return;
	}
}

static void test_default_body_max_is_1_mib(void **state)
{
	atomic_size_t kibs = 1024;

	(void)state;
	w.s = server_start(say_length, &kibs, NULL);
	assert_int_equal(ask(NET_GET, "/"), 0);
	assert_int_equal(w.rs.body.len, 1 << 20);
	kibs = 1025;
	assert_int_equal(ask(NET_GET, "/"), -1);
	assert_int_equal(w.err.class, ERR_CORRUPT);
}

static void test_long_failure_is_cut(void **state)
{
	atomic_size_t kibs = 64;

	(void)state;
	w.s = server_start(say_length, &kibs, NULL);
	assert_int_equal(ask(NET_GET, "/bad"), 0);
	assert_int_equal(w.rs.body_len, 64 << 10);
	/* Enough was seen; no waiting for gigabytes of it. */
	kibs = 4 << 20;
	assert_int_equal(ask(NET_GET, "/bad"), 0);
	assert_int_equal(w.rs.status, 500);
	assert_int_equal(w.rs.body_len, 64 << 10);
}

static void test_answer_headers(void **state)
{
	(void)state;
	w.s = server_start(recite, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
	    "ETag:\"a\"\r\nX-MiXed \t:  one  two \t\r\nX-Empty:\r\n"
	    "X-Twice: 1\r\nX-Twice: 2\r\n"
	    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n", NULL);
	assert_int_equal(ask(NET_GET, "/"), 0);
	assert_string_equal(net_header(&w.rs, "etag"), "\"a\"");
	assert_string_equal(net_header(&w.rs, "x-mixed"), "one  two");
	assert_string_equal(net_header(&w.rs, "x-empty"), "");
	assert_string_equal(net_header(&w.rs, "x-twice"), "1");
	assert_null(net_header(&w.rs, "x-none"));
	assert_int_equal(w.rs.date_ns, INT64_C(784111777) * 1000000000);
	assert_int_equal(w.rs.retry_after_s, 0);
}

static void test_informational_answers(void **state)
{
	(void)state;
	w.s = server_start(recite, "HTTP/1.1 100 Continue\r\n\r\n"
	    "HTTP/1.1 103 Early\r\nX-Early: 1\r\nRetry-After: 7\r\n\r\n"
	    "HTTP/1.1 201 Made\r\nContent-Length: 2\r\nX-Late: 1\r\n\r\nok", NULL);
	assert_int_equal(ask(NET_PUT, "/"), 0);
	assert_int_equal(w.rs.status, 201);
	assert_null(net_header(&w.rs, "x-early"));
	assert_non_null(net_header(&w.rs, "x-late"));
	assert_int_equal(w.rs.retry_after_s, 0);
	body_is("ok");
}

static void test_redirects_are_answers(void **state)
{
	(void)state;
	w.s = server_start(recite, "HTTP/1.1 307 There\r\nContent-Length: 2\r\n"
	    "Location: http://127.0.0.1:1/\r\n\r\nno", NULL);
	assert_int_equal(ask(NET_GET, "/"), 0);
	assert_int_equal(w.rs.status, 307);
	assert_string_equal(net_header(&w.rs, "location"), "http://127.0.0.1:1/");
	body_is("no");
}

static void test_chunks_and_trailers(void **state)
{
	(void)state;
	w.s = server_start(recite, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	    "Trailer: X-Sum\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Sum: 7\r\n"
	    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n", NULL);
	assert_int_equal(ask(NET_GET, "/"), 0);
	body_is("abcdefg");
	assert_string_equal(net_header(&w.rs, "x-sum"), "7");
	/* A trailer says nothing about when. */
	assert_int_equal(w.rs.date_ns, 0);
	assert_int_equal(ask(NET_GET, "/"), 0);
	assert_int_equal(w.s->accepted, 1);
}

static void until_closed(struct conn *c)
{
	if (conn_request(c))
		conn_say(c, "HTTP/1.0 200 OK\r\n\r\nall of it");
}

static void test_body_until_closed(void **state)
{
	(void)state;
	w.s = server_start(until_closed, NULL, NULL);
	assert_int_equal(ask(NET_GET, "/"), 0);
	body_is("all of it");
}

static const char slow_answer[] = "HTTP/1.1 100 Continue\r\n\r\n"
	"HTTP/1.1 503 Slow Down\r\nRetry-After: 12\r\nX-A: b\r\n"
	"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: u\r\n\r\n";

/* The answer with a pause after as many bytes as the path says. */
static void split(struct conn *c)
{
	while (conn_request(c)) {
		size_t n = strtoul(strchr(c->head, '/') + 1, NULL, 10);

		conn_send(c, slow_answer, n);
		conn_sleep_ms(2);
		conn_say(c, slow_answer + n);
	}
}

static void test_split_at_every_byte(void **state)
{
	(void)state;
	w.s = server_start(split, NULL, NULL);
	for (size_t i = 0; i < sizeof(slow_answer); i++) {
		char path[32];

		snprintf(path, sizeof(path), "/%zu", i);
		assert_int_equal(ask(NET_GET, path), 0);
		assert_int_equal(w.rs.status, 503);
		assert_int_equal(w.rs.retry_after_s, 12);
		assert_string_equal(net_header(&w.rs, "x-a"), "b");
		assert_string_equal(net_header(&w.rs, "x-t"), "u");
		body_is("hello");
	}
}

/* Answer as ctx says as soon as the head has come. */
static void answer_early(struct conn *c)
{
	if (!conn_read_head(c))
		return;
	conn_say(c, c->srv->ctx);
	/* Until it hangs up: what comes is thrown away slowly at first. */
	conn_sleep_ms(50);
	conn_drain(c);
}

static void early(const char *answer, int status)
{
	size_t len = 64 << 20;
	char *body = calloc(1, len);
	struct net_request rq = { .method = NET_PUT, .body = body, .body_len = len };
	struct net_counters c;

	assert_non_null(body);
	w.s = server_start(answer_early, answer, NULL);
	rq.url = at("/");
	if (net_do(w.n, &rq, &w.rs, &w.err) < 0)
		fail_msg("%s", w.err.msg);
	assert_int_equal(w.rs.status, status);
	assert_memory_equal(w.rs.body.p, "<Error/>", 8);
	net_counters(w.n, &c);
	assert_true(c.sent < len);
	/* Nothing comes on a connection whose last body was not sent whole. */
	rq.body_len = 10;
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), 0);
	assert_int_equal(w.s->accepted, 2);
	free(body);
}

static void test_early_refusal(void **state)
{
	(void)state;
	early("HTTP/1.1 403 No\r\nContent-Length: 8\r\n\r\n<Error/>", 403);
}

static void test_early_redirect(void **state)
{
	(void)state;
	early("HTTP/1.1 301 There\r\nContent-Length: 8\r\n\r\n<Error/>", 301);
}

/* So it does where a limit holds the body back. */
static void test_early_refusal_under_a_limit(void **state)
{
	(void)state;
	net_free(w.n);
	w.n = net_new(&(struct net_options){ .up = 100000 }, &w.err);
	assert_non_null(w.n);
	early("HTTP/1.1 403 No\r\nContent-Length: 8\r\n\r\n<Error/>", 403);
}

static void test_unix_socket(void **state)
{
	char dir[] = "/tmp/net-XXXXXX", path[64];
	struct net_request rq = { .url = "http://local/x" };

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	rq.unix_path = path;
	w.s = server_start_unix(mirror, NULL, path);
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), 0);
	has("GET /x HTTP/1.1\r\n");
	has("\r\nHost: local\r\n");
	unlink(path);
	rmdir(dir);
}

static void test_proxy_of_the_environment(void **state)
{
	struct net_request rq = { .url = "http://nowhere.invalid/x" };

	(void)state;
	w.s = server_start(mirror, NULL, NULL);
	setenv("http_proxy", w.s->url, 1);
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), 0);
	has("GET http://nowhere.invalid/x HTTP/1.1\r\n");
	rq.direct = true;
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), -1);
	assert_int_equal(w.err.class, ERR_TRANSIENT);
	unsetenv("http_proxy");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_methods), T(test_url_goes_as_it_is),
		T(test_headers_go_as_they_are), T(test_headers_that_would_inject),
		T(test_bodies_up), T(test_dst), T(test_failures_do_not_touch_dst),
		T(test_on_body), T(test_body_max), T(test_default_body_max_is_1_mib),
		T(test_long_failure_is_cut), T(test_answer_headers),
		T(test_informational_answers), T(test_redirects_are_answers),
		T(test_chunks_and_trailers), T(test_body_until_closed),
		T(test_split_at_every_byte), T(test_early_refusal),
		T(test_early_redirect), T(test_early_refusal_under_a_limit),
		T(test_unix_socket),
		T(test_proxy_of_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
