/* HTTP/2 as gRPC needs it: without TLS, over sockets too, many requests on one
 * connection, trailers.  The server knows as few frames as will do. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "repo/net/net.h"
#include "tests/unit/net_certs.h"
#include "tests/unit/net_server.h"

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

enum manner { ECHO, RESET, GO_AWAY, CUT };

static struct {
	struct net *n;
	struct server *s;
	SSL_CTX *tls;
	struct net_response rs;
	struct err err;
	enum manner manner;
} w;

struct stream {
	size_t len;
	unsigned char body[4096];
};

static void frame(struct conn *c, int type, int flags, unsigned id,
    const void *p, size_t len)
{
	unsigned char h[9] = { (unsigned char)(len >> 16), (unsigned char)(len >> 8),
		(unsigned char)len, (unsigned char)type, (unsigned char)flags,
		(unsigned char)(id >> 24), (unsigned char)(id >> 16),
		(unsigned char)(id >> 8), (unsigned char)id };

	conn_send(c, h, sizeof(h));
	conn_send(c, p, len);
}

static bool take(struct conn *c, void *dst, size_t len)
{
	char *p = dst;

	while (len > 0) {
		ssize_t n = conn_read(c, p, len);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static void respond(struct conn *c, unsigned id, const struct stream *s)
{
	/* :status 200 of the static table, and fields written out. */
	static const unsigned char head[] = "\x88\x00\x03x-a\x01" "b";
	static const unsigned char tail[] = "\x00\x0bgrpc-status\x01" "0";
	static const unsigned char why[4] = { 0, 0, 0, 2 };

	if (w.manner == RESET) {
		frame(c, RST_STREAM, 0, id, why, 4);
		return;
	}
	frame(c, HEADERS, END_HEADERS, id, head, sizeof(head) - 1);
	frame(c, DATA, 0, id, s->body, s->len);
	if (w.manner == ECHO)
		frame(c, HEADERS, END_HEADERS | END_STREAM, id, tail,
		    sizeof(tail) - 1);
}

static void serve(struct conn *c)
{
	static const unsigned char more[4] = { 0, 0, 16, 0 };
	unsigned char h[9], p[20000];
	struct stream *streams = calloc(64, sizeof(*streams));

	if (streams == NULL || !take(c, p, 24))
		goto end;
	frame(c, SETTINGS, 0, 0, "", 0);
	while (take(c, h, 9)) {
		size_t len = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
		unsigned id = (unsigned)h[7] << 8 | h[8];
		struct stream *s = &streams[id / 2 % 64];

		if (len > sizeof(p) || !take(c, p, len))
			break;
		if (h[3] == SETTINGS && !(h[4] & ACK))
			frame(c, SETTINGS, ACK, 0, "", 0);
		if (h[3] == DATA && s->len + len <= sizeof(s->body)) {
			memcpy(s->body + s->len, p, len);
			s->len += len;
			frame(c, WINDOW, 0, 0, more, 4);
		}
		if ((h[3] == DATA || h[3] == HEADERS) && (h[4] & END_STREAM)) {
			if (w.manner == GO_AWAY)
				break;
			respond(c, id, s);
			if (w.manner == CUT)
				break;
		}
	}
end:
	free(streams);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.n = net_new(&(struct net_options){ .stall_ms = 5000 }, &w.err);
	return w.n ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	net_response_release(&w.rs);
	net_free(w.n);
	if (w.s != NULL)
		server_stop(w.s);
	SSL_CTX_free(w.tls);
	return 0;
}

static void *call(void *arg)
{
	char body[32];
	struct net_request rq = { .method = NET_POST, .http2 = true,
		.url = w.s->url, .body = body };
	struct net_response rs = { 0 };
	struct err err = ERR_INIT;

	rq.body_len = (size_t)snprintf(body, sizeof(body), "call %zu",
	    (size_t)(uintptr_t)arg);

	bool good = net_do(w.n, &rq, &rs, &err) == 0 && rs.status == 200 &&
	    rs.body.len == rq.body_len &&
	    memcmp(rs.body.p, body, rs.body.len) == 0 &&
	    net_header(&rs, "grpc-status") != NULL &&
	    net_header(&rs, "x-a") != NULL;

	if (err.class != ERR_NONE)
		print_error("%s\n", err.msg);
	net_response_release(&rs);
	return good ? NULL : &w;
}

static void test_calls(void **state)
{
	(void)state;
	w.s = server_start(serve, NULL, NULL);
	assert_null(call((void *)1));
	assert_null(call((void *)2));
}

/* The server takes HTTP/2 where it is offered. */
static int choose(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
    const unsigned char *in, unsigned len, void *ctx)
{
	(void)ssl, (void)ctx;
	for (unsigned i = 0; i < len; i += 1u + in[i])
		if (in[i] == 2 && memcmp(in + i + 1, "h2", 2) == 0) {
			*ret = in + i + 1;
			*ret_len = 2;
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_NOACK;
}

/* Serve by TLS, trusted by w.n. */
static void serve_tls(server_fn *fn, bool h2)
{
	struct cert c = cert_make("x", "IP:127.0.0.1", NULL, -1, 86400);
	char path[] = "/tmp/net-ca-XXXXXX";

	w.tls = cert_server(&c, NULL);
	if (h2)
		SSL_CTX_set_alpn_select_cb(w.tls, choose, NULL);
	cert_write(path, &c, 1, 0);
	net_free(w.n);
	w.n = net_new(&(struct net_options){ .ca_file = path }, &w.err);
	unlink(path);
	cert_free(&c);
	assert_non_null(w.n);
	w.s = server_start(fn, NULL, w.tls);
}

static void many(void)
{
	pthread_t t[20];
	void *bad = NULL, *any = NULL;

	for (size_t i = 0; i < 20; i++)
		assert_int_equal(pthread_create(&t[i], NULL, call,
		    (void *)(uintptr_t)i), 0);
	for (size_t i = 0; i < 20; i++) {
		pthread_join(t[i], &bad);
		any = bad ? bad : any;
	}
	assert_null(any);
}

static void test_many_calls(void **state)
{
	(void)state;
	w.s = server_start(serve, NULL, NULL);
	many();
}

static void test_many_on_one_connection(void **state)
{
	(void)state;
	serve_tls(serve, true);
	assert_null(call((void *)0));
	many();
	assert_int_equal(w.s->accepted, 1);
}

static void test_unix_socket(void **state)
{
	char dir[] = "/tmp/net-XXXXXX", path[64];
	struct net_request rq = { .method = NET_POST, .http2 = true,
		.url = "http://local/csi.v1.Identity/Probe", .body = "x",
		.body_len = 1 };

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/csi.sock", dir);
	rq.unix_path = path;
	w.s = server_start_unix(serve, NULL, path);
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), 0);
	assert_string_equal(net_header(&w.rs, "grpc-status"), "0");
	unlink(path);
	rmdir(dir);
}

static void fails(enum manner m, enum err_class class)
{
	struct net_request rq = { .http2 = true };

	w.manner = m;
	w.s = server_start(serve, NULL, NULL);
	rq.url = w.s->url;
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), -1);
	if (w.err.class != class)
		fail_msg("class %s: %s", err_class_name(w.err.class), w.err.msg);
}

static void test_stream_is_reset(void **state)
{
	(void)state;
	fails(RESET, ERR_TRANSIENT);
}

static void test_connection_ends_before_the_answer(void **state)
{
	(void)state;
	fails(GO_AWAY, ERR_TRANSIENT);
}

static void test_connection_ends_within_the_answer(void **state)
{
	(void)state;
	fails(CUT, ERR_TRANSIENT);
}

static void serve_1(struct conn *c)
{
	while (conn_request(c))
		conn_answer(c, 200, "one point one");
}

/* By TLS it is agreed upon; one that only knows the old is told apart. */
static void test_server_of_the_old_kind(void **state)
{
	struct net_request rq = { .http2 = true };

	(void)state;
	serve_tls(serve_1, false);
	rq.url = w.s->url;
	assert_int_equal(net_do(w.n, &rq, &w.rs, &w.err), -1);
	assert_int_equal(w.err.class, ERR_CORRUPT);
	assert_non_null(strstr(w.err.msg, "HTTP/2"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_calls), T(test_many_calls),
		T(test_many_on_one_connection), T(test_unix_socket),
		T(test_stream_is_reset), T(test_connection_ends_before_the_answer),
		T(test_connection_ends_within_the_answer),
		T(test_server_of_the_old_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
