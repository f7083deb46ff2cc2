/* Many requests at once: connections, counters, limits over all of them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "repo/base/clock.h"
#include "repo/net/net.h"
#include "tests/unit/net_server.h"

#define BODY (64u << 10)

static struct {
	struct net *n;
	struct server *s;
	char url[128];
	enum net_method method;
	unsigned each;          /* requests of a thread */
	size_t len;             /* of each body */
	unsigned stall_ms;
	atomic_uint good;
	atomic_uint now, most;  /* connections that are being served */
} w;

static char bytes[8 << 20];

/* Take a body and tell its sum, or say as many bytes as the path asks for. */
static void serve(struct conn *c)
{
	unsigned now = ++w.now, most = w.most;

	while (now > most && !atomic_compare_exchange_weak(&w.most, &most, now))
		;
	while (conn_request(c)) {
		if (conn_is(c, "GET ")) {
			size_t n = strtoul(strchr(c->head, '/') + 1, NULL, 10);

			conn_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n"
			    "\r\n", n);
			conn_send(c, bytes, n);
			continue;
		}

		unsigned sum = 0;
		char text[32];

		for (size_t i = 0; i < c->body_len; i++)
			sum = sum * 31 + (unsigned char)c->body[i];
		snprintf(text, sizeof(text), "%u", sum);
		conn_answer(c, 200, text);
	}
	w.now--;
}

static int request(char *body, unsigned i)
{
	char url[160], want[32];
	struct net_request rq = { .method = w.method, .url = url,
		.stall_ms = w.stall_ms };
	struct net_response rs = { 0 };
	struct err err = ERR_INIT;
	unsigned sum = 0;

	snprintf(url, sizeof(url), "%s/%zu", w.url, w.len);
	if (w.method == NET_GET) {
		rq.dst = body;
		rq.dst_len = w.len;
		memset(body, 1, w.len);
	} else {
		for (size_t k = 0; k < w.len; k++)
			sum = sum * 31 + (unsigned char)(body[k] = (char)(i + k * 7));
		rq.body = body;
		rq.body_len = w.len;
	}

	int rc = net_do(w.n, &rq, &rs, &err);

	if (rc < 0)
		print_error("%s\n", err.msg);
	snprintf(want, sizeof(want), "%u", sum);
	if (rc == 0 && w.method == NET_GET)
		rc = rs.body_len == w.len && memcmp(body, bytes, w.len) == 0 ? 0 : -1;
	else if (rc == 0)
		rc = rs.body.len == strlen(want) &&
		    memcmp(rs.body.p, want, rs.body.len) == 0 ? 0 : -1;
	net_response_release(&rs);
	return rc;
}

static void *work(void *arg)
{
	char *body = malloc(w.len + 1);

	for (unsigned i = 0; body != NULL && i < w.each; i++)
		if (request(body, i + (unsigned)(uintptr_t)arg) == 0)
			w.good++;
	free(body);
	return NULL;
}

/* Make `each` requests by each of `threads`, all at once. */
static void run(struct net_options opt, enum net_method m, unsigned threads,
    unsigned each, size_t len)
{
	struct err err = ERR_INIT;
	pthread_t t[256];

	w.n = net_new(&opt, &err);
	assert_non_null(w.n);
	w.good = w.most = 0;
	w.method = m;
	w.each = each;
	w.len = len;
	w.s = server_start(serve, NULL, NULL);
	snprintf(w.url, sizeof(w.url), "%s", w.s->url);
	for (unsigned i = 0; i < threads; i++)
		assert_int_equal(pthread_create(&t[i], NULL, work,
		    (void *)(uintptr_t)i), 0);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
}

static void end(void)
{
	net_free(w.n);
	server_stop(w.s);
}

static void test_200_at_once(void **state)
{
	struct net_counters c;

	(void)state;
	run((struct net_options){ .connections = 32 }, NET_PUT, 200, 5, BODY);
	assert_int_equal(w.good, 1000);
	/* Never more connections than allowed, and all are used again. */
	assert_true(w.most <= 32);
	net_counters(w.n, &c);
	assert_int_equal(c.requests, 1000);
	assert_int_equal(c.failed, 0);
	assert_true(c.connections <= 32);
	assert_int_equal(c.connections, w.s->accepted);
	assert_int_equal(c.sent, 1000 * (uint64_t)BODY);
	end();
}

static void test_one_connection_serves_all(void **state)
{
	(void)state;
	run((struct net_options){ .connections = 1 }, NET_GET, 20, 10, 1000);
	assert_int_equal(w.good, 200);
	assert_int_equal(w.s->accepted, 1);
	end();
}

/* Bytes may not come sooner than the limit lets them; later is not told. */
static void limited(enum net_method m)
{
	struct net_options opt = { .up = m == NET_PUT ? 2 << 20 : 0,
		.down = m == NET_GET ? 2 << 20 : 0, .stall_ms = 300 };
	int64_t t = clock_mono_ns();

	run(opt, m, 8, 2, 128 << 10);
	t = clock_mono_ns() - t;
	/* 2 MiB at 2 MiB a second, but for what an idle line had saved up and
	 * the last pieces that were on their way. */
	assert_int_equal(w.good, 16);
	assert_true(t > INT64_C(500) * 1000000);
	end();
}

static void test_limit_up(void **state)
{
	(void)state;
	limited(NET_PUT);
}

static void test_limit_down(void **state)
{
	(void)state;
	limited(NET_GET);
}

/* A request that a limit holds back for longer than silence may last. */
static void test_held_back_is_not_silent(void **state)
{
	struct net_options opt = { .up = 40000, .down = 40000, .stall_ms = 300 };

	(void)state;
	run(opt, NET_PUT, 20, 1, 3000);
	assert_int_equal(w.good, 20);
	end();
	run(opt, NET_GET, 20, 1, 3000);
	assert_int_equal(w.good, 20);
	end();
}

/* The other way is not held back. */
static void test_limits_are_apart(void **state)
{
	struct net_options opt = { .up = 1000 };

	(void)state;
	run(opt, NET_GET, 4, 4, 4 << 20);
	assert_int_equal(w.good, 16);
	end();
}

int main(void)
{
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 2654435761u >> 11);

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_200_at_once),
		cmocka_unit_test(test_one_connection_serves_all),
		cmocka_unit_test(test_limit_up), cmocka_unit_test(test_limit_down),
		cmocka_unit_test(test_held_back_is_not_silent),
		cmocka_unit_test(test_limits_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
