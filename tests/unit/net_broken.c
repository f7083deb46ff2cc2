/* What breaks between a client and a server, at each stage: its class, that its
 * message holds no secret, and that it does not last longer than it may. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "repo/base/clock.h"
#include "repo/net/net.h"
#include "tests/unit/net_server.h"

#define MS INT64_C(1000000)

static struct {
	struct net *n;
	struct server *s;
	struct net_response rs;
	struct err err;
	char url[512];
} w;

static int setup(void **state)
{
	static const struct net_options opt = { .stall_ms = 600,
		.connect_ms = 5000, .connections = 4 };

	(void)state;
	memset(&w, 0, sizeof(w));
	w.n = net_new(&opt, &w.err);
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

static int ask(const char *path)
{
	struct net_request rq = { .url = at(path) };

	return net_do(w.n, &rq, &w.rs, &w.err);
}

/* The request failed with this class, and names itself but no secret. */
static void failed(int rc, enum err_class class)
{
	assert_int_equal(rc, -1);
	if (w.err.class != class)
		fail_msg("class %s: %s", err_class_name(w.err.class), w.err.msg);
	assert_null(strstr(w.err.msg, "s3cret"));
	assert_int_equal(w.rs.status, 0);
	assert_null(w.rs.body.p);
}

static void says(const char *what)
{
	if (strstr(w.err.msg, what) == NULL)
		fail_msg("not said: %s in: %s", what, w.err.msg);
}

/* --- no connection --- */

static void test_not_resolved(void **state)
{
	struct net_request rq = { .url = "http://nowhere.invalid/x?sig=s3cret" };

	(void)state;
	failed(net_do(w.n, &rq, &w.rs, &w.err), ERR_TRANSIENT);
	says("GET http://nowhere.invalid/x: ");
	says("resolve");
}

static void test_not_connected(void **state)
{
	struct net_request rq = { .method = NET_PUT, .body = "abc", .body_len = 3 };
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	/* A port that is bound and not listened at. */
	(void)state;
	assert_int_equal(bind(fd, (void *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (void *)&a, &len), 0);
	snprintf(w.url, sizeof(w.url), "http://127.0.0.1:%u/x?s3cret",
	    ntohs(a.sin_port));
	rq.url = w.url;
	failed(net_do(w.n, &rq, &w.rs, &w.err), ERR_TRANSIENT);
	says("PUT http://127.0.0.1:");
	says("Connection refused");
	close(fd);
	rq.unix_path = "/nowhere/socket";
	failed(net_do(w.n, &rq, &w.rs, &w.err), ERR_TRANSIENT);
}

static void test_unfit_urls(void **state)
{
	static const char *const bad[] = {
		"", "x", "ftp://host/", "file:///etc/passwd", "http://",
		"http:///x", "http://user:s3cret@host/x", "http://s3cret@host/",
		"http://host/a b?s3cret", "http://host/\x01", "http://host/\xc3\xa4",
		"http://ho st/", "http://host:99999/", "http://host/a\r\nX: s3cret",
		"http://:80/", "http://[::1/",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct net_request rq = { .url = bad[i] };

		failed(net_do(w.n, &rq, &w.rs, &w.err), ERR_USAGE);
		if (strchr(bad[i], '@') != NULL)
			says("a user or a password");
	}
}

/* --- an answer that ends too early, or is none --- */

/* Answers that end with the connection; in peace, or by a reset. */
static const struct { const char *text; enum err_class class; } ends[] = {
	{ "", ERR_TRANSIENT },
	{ "HT", ERR_TRANSIENT },
	{ "HTTP/1.1 200", ERR_TRANSIENT },
	{ "HTTP/1.1 200 OK\r\n", ERR_TRANSIENT },
	{ "HTTP/1.1 200 OK\r\nContent-Le", ERR_TRANSIENT },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", ERR_TRANSIENT },
	{ "HTTP/1.1 100 Continue\r\n\r\n", ERR_TRANSIENT },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ERR_TRANSIENT },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", ERR_TRANSIENT },
	{ "HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nhell", ERR_TRANSIENT },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
	    ERR_TRANSIENT },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	    ERR_TRANSIENT },
};

static void cut_off(struct conn *c)
{
	while (conn_request(c)) {
		bool reset = conn_is(c, "GET /reset");
		size_t i = strtoul(strchr(c->head, '?') + 1, NULL, 10);

		conn_say(c, ends[i].text);
		if (reset) {
			conn_sleep_ms(20);
			conn_reset(c);
		}
		return;
	}
}

static void test_cut_off(void **state)
{
	(void)state;
	w.s = server_start(cut_off, NULL, NULL);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/peace?%zu,s3cret", i);
		failed(ask(path), ends[i].class);
		snprintf(path, sizeof(path), "/reset?%zu,s3cret", i);
		failed(ask(path), ends[i].class);
		says("GET http://127.0.0.1:");
	}

	struct net_counters c;

	net_counters(w.n, &c);
	assert_int_equal(c.failed, c.requests);
}

static const char *const nonsense[] = {
	"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
	"<html>no head at all</html>\n",
	"HTTP/1.1 20 OK\r\n\r\n",
	"HTTP/1.1 abc OK\r\n\r\n",
	"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
	"HTTP/7.3 200 OK\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
};

static void say_nonsense(struct conn *c)
{
	if (conn_request(c)) {
		conn_say(c, nonsense[strtoul(strchr(c->head, '/') + 1, NULL, 10)]);
		conn_sleep_ms(20);
	}
}

static void test_no_http(void **state)
{
	(void)state;
	w.s = server_start(say_nonsense, NULL, NULL);
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		char path[32];

		snprintf(path, sizeof(path), "/%zu?s3cret", i);
		if (ask(path) == 0)
			fail_msg("taken for HTTP: %s", nonsense[i]);
		failed(-1, ERR_CORRUPT);
	}
}

static void say_long_head(struct conn *c)
{
	static char text[90000];

	if (!conn_request(c))
		return;
	conn_say(c, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 10; i++) {
		conn_say(c, "X-Long: ");
		memset(text, 'x', sizeof(text) - 1);
		conn_say(c, text);
		if (!conn_say(c, "\r\n"))
			return;
	}
	conn_say(c, "\r\n");
}

static void test_long_head(void **state)
{
	(void)state;
	w.s = server_start(say_long_head, NULL, NULL);
	failed(ask("/"), ERR_CORRUPT);
	says("headers");
}

/* --- a connection that was kept and is dead --- */

static void serve_once(struct conn *c)
{
	if (conn_request(c)) {
		conn_answer(c, 200, "one");
		/* It closes without a word; the client may not know yet. */
		if (c->number % 2 == 0)
			conn_reset(c);
	}
}

static void test_dead_connection_is_replaced(void **state)
{
	char body[100000] = "";
	struct net_request rq = { .method = NET_PUT, .body = body,
		.body_len = sizeof(body) };

	(void)state;
	w.s = server_start(serve_once, NULL, NULL);
	rq.url = at("/");
	for (int i = 0; i < 20; i++) {
		/* Found dead only when all was sent, it is told. */
		if (net_do(w.n, &rq, &w.rs, &w.err) < 0) {
			if (w.err.class != ERR_TRANSIENT)
				fail_msg("%d: %s", i, w.err.msg);
			err_clear(&w.err);
		}
	}
}

/* A second request on a kept connection gets no answer. */
static void serve_then_hang_up(struct conn *c)
{
	if (conn_request(c)) {
		conn_answer(c, 200, "one");
		/* An answer is not repeated, but a request that died is. */
		conn_read_head(c);
	}
}

static void test_kept_connection_dies_of_a_request(void **state)
{
	(void)state;
	w.s = server_start(serve_then_hang_up, NULL, NULL);
	assert_int_equal(ask("/"), 0);
	assert_int_equal(ask("/"), 0);
	assert_int_equal(w.s->accepted, 2);
}

static _Atomic unsigned acted;

/* The whole of a second request, and no answer. */
static void serve_then_act(struct conn *c)
{
	for (int i = 0; i < 2 && conn_request(c); i++)
		if (acted++ == 0)
			conn_answer(c, 200, "one");
		else
			return;
}

static void test_what_may_have_been_done_is_not_repeated(void **state)
{
	char body[1000] = "";
	struct net_request rq = { .method = NET_PUT, .body = body,
		.body_len = sizeof(body) };

	(void)state;
	w.s = server_start(serve_then_act, NULL, NULL);
	rq.url = at("/");
	acted = 0;
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), 0);
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), -1);
	assert_int_equal(w.err.class, ERR_TRANSIENT);
	assert_int_equal(acted, 2);
}

/* --- silence --- */

enum { BEFORE_HEAD, IN_HEAD, BEFORE_BODY, IN_BODY, STAGES };

static void fall_silent(struct conn *c)
{
	static const char *const text[STAGES] = { "", "HTTP/1.1 200 OK\r\nX:",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe" };

	if (conn_read_head(c)) {
		conn_say(c, text[strtoul(strchr(c->head, '/') + 1, NULL, 10)]);
		conn_drain(c);
	}
}

static void test_silence(void **state)
{
	int64_t t = clock_mono_ns();

	(void)state;
	w.s = server_start(fall_silent, NULL, NULL);
	for (int i = 0; i < STAGES; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/%d?s3cret", i);
		failed(ask(path), ERR_TRANSIENT);
		says("stalled");
	}
	assert_true(clock_mono_ns() - t >= STAGES * 600 * MS);
	assert_true(clock_mono_ns() - t < STAGES * 20000 * MS);
}

/* Read the head, then nothing more. */
static void stop_reading(struct conn *c)
{
	if (conn_read_head(c)) {
		pthread_mutex_lock(&c->srv->lock);
		while (!c->srv->stop) {
			pthread_mutex_unlock(&c->srv->lock);
			conn_sleep_ms(10);
			pthread_mutex_lock(&c->srv->lock);
		}
		pthread_mutex_unlock(&c->srv->lock);
	}
}

static void test_silence_while_sending(void **state)
{
	size_t len = 32 << 20;
	char *body = calloc(1, len);
	struct net_request rq = { .method = NET_PUT, .body = body, .body_len = len };

	(void)state;
	assert_non_null(body);
	w.s = server_start(stop_reading, NULL, NULL);
	rq.url = at("/");
	failed(net_do(w.n, &rq, &w.rs, &w.err), ERR_TRANSIENT);
	says("stalled");
	free(body);
}

/* A byte of the answer every 100 ms: longer than the silence allowed, in all. */
static void trickle(struct conn *c)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nabcdefgh";

	while (conn_request(c)) {
		size_t n = strlen(text) - 12;

		conn_send(c, text, n);
		for (; text[n] != '\0'; n++) {
			conn_send(c, text + n, 1);
			conn_sleep_ms(100);
		}
	}
}

static void test_slow_is_not_silent(void **state)
{
	int64_t t = clock_mono_ns();

	(void)state;
	w.s = server_start(trickle, NULL, NULL);
	if (ask("/") < 0)
		fail_msg("%s", w.err.msg);
	assert_int_equal(w.rs.body_len, 8);
	assert_true(clock_mono_ns() - t > 700 * MS);
}

/* Read a body slowly: after the last of it was given to the socket, that still
 * empties for longer than the silence allowed. */
static void sip(struct conn *c)
{
	size_t n, len;
	char some[32 << 10];
	int small = 64 << 10;

	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (!conn_read_head(c))
		return;
	n = c->have;
	len = strtoul(conn_header(c, "Content-Length"), NULL, 10);
	while (n < len) {
		ssize_t r = recv(c->fd, some, sizeof(some), 0);

		if (r <= 0)
			return;
		n += (size_t)r;
		conn_sleep_ms(20);
	}
	conn_answer(c, 200, "all");
	conn_sleep_ms(100);
}

static void test_full_socket_that_empties_is_not_silent(void **state)
{
	size_t len = 4 << 20;
	char *body = calloc(1, len);
	struct net_request rq = { .method = NET_PUT, .body = body, .body_len = len };

	(void)state;
	assert_non_null(body);
	w.s = server_start(sip, NULL, NULL);
	rq.url = at("/");
	if (net_do(w.n, &rq, &w.rs, &w.err) < 0)
		fail_msg("%s", w.err.msg);
	assert_int_equal(w.rs.status, 200);
	free(body);
}

static void think(struct conn *c)
{
	while (conn_request(c)) {
		conn_sleep_ms(1500);
		conn_answer(c, 200, "thought");
	}
}

static void test_own_bounds_of_a_request(void **state)
{
	struct net_request rq = { .stall_ms = 20000 };

	(void)state;
	w.s = server_start(think, NULL, NULL);
	rq.url = at("/?s3cret");
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), 0);
	rq.total_ms = 300;
	failed(net_do(w.n, &rq, &w.rs, &w.err), ERR_TRANSIENT);
	says("300 ms");
}

/* --- cancelling --- */

static void *cancel_soon(void *arg)
{
	usleep(200 * 1000);
	net_cancel(arg);
	return NULL;
}

static void *ask_and_be_cancelled(void *arg)
{
	struct net_request rq = { .url = arg, .stall_ms = 60000 };
	struct net_response rs = { 0 };
	struct err err = ERR_INIT;

	if (net_do(w.n, &rq, &rs, &err) != -1 || err.class != ERR_CANCELLED)
		return arg;
	return NULL;
}

static void test_cancel(void **state)
{
	pthread_t t, many[10];
	int64_t begun = clock_mono_ns();

	(void)state;
	w.s = server_start(fall_silent, NULL, NULL);
	at("/0");
	/* More than there are connections: some still wait for theirs. */
	for (int i = 0; i < 10; i++)
		assert_int_equal(pthread_create(&many[i], NULL,
		    ask_and_be_cancelled, w.url), 0);
	assert_int_equal(pthread_create(&t, NULL, cancel_soon, w.n), 0);
	for (int i = 0; i < 10; i++) {
		void *bad = NULL;

		pthread_join(many[i], &bad);
		assert_null(bad);
	}
	pthread_join(t, NULL);
	/* Whatever comes after it, too. */
	failed(ask("/0?s3cret"), ERR_CANCELLED);
	assert_true(clock_mono_ns() - begun < 30000 * MS);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_not_resolved), T(test_not_connected), T(test_unfit_urls),
		T(test_cut_off), T(test_no_http), T(test_long_head),
		T(test_dead_connection_is_replaced),
		T(test_kept_connection_dies_of_a_request),
		T(test_what_may_have_been_done_is_not_repeated),
		T(test_silence), T(test_silence_while_sending),
		T(test_slow_is_not_silent),
		T(test_full_socket_that_empties_is_not_silent),
		T(test_own_bounds_of_a_request), T(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
