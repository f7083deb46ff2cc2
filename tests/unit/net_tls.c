/* Whom a client trusts, and what it says of those it does not. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/net/net.h"
#include "tests/unit/net_certs.h"
#include "tests/unit/net_server.h"

#define YEAR (365L * 86400)
#define HERE "IP:127.0.0.1"

static struct {
	struct cert ca;        /* in ca_file */
	struct cert other_ca;  /* in no file */
	char ca_file[32];
	struct net *n;         /* trusts ca_file */
	struct net_response rs;
	struct err err;
} w;

static int setup(void **state)
{
	struct net_options opt = { .ca_file = w.ca_file, .stall_ms = 10000 };

	(void)state;
	w.ca = cert_make("Test authority", NULL, NULL, -YEAR, YEAR);
	w.other_ca = cert_make("Other authority", NULL, NULL, -YEAR, YEAR);
	snprintf(w.ca_file, sizeof(w.ca_file), "/tmp/net-ca-XXXXXX");
	cert_write(w.ca_file, &w.ca, 1, 0);
	w.n = net_new(&opt, &w.err);
	return w.n ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	net_free(w.n);
	net_response_release(&w.rs);
	unlink(w.ca_file);
	cert_free(&w.ca);
	cert_free(&w.other_ca);
	return 0;
}

static void serve(struct conn *c)
{
	while (conn_request(c))
		conn_answer(c, 200, "hello");
}

/* Ask a server with this certificate, which is freed. */
static int ask(struct net *n, struct cert c, const struct cert *client,
    const struct net_request *like)
{
	SSL_CTX *tls = cert_server(&c, client);
	struct server *s = server_start(serve, NULL, tls);
	struct net_request rq = like ? *like : (struct net_request){ 0 };
	char url[128];

	snprintf(url, sizeof(url), "%s/x?sig=s3cret", s->url);
	rq.url = url;

	int rc = net_do(n, &rq, &w.rs, &w.err);

	if (rc < 0)
		assert_null(strstr(w.err.msg, "s3cret"));
	server_stop(s);
	SSL_CTX_free(tls);
	cert_free(&c);
	return rc;
}

static void refused(int rc, const char *why)
{
	assert_int_equal(rc, -1);
	if (w.err.class != ERR_IO || strstr(w.err.msg, why) == NULL)
		fail_msg("class %s: %s", err_class_name(w.err.class), w.err.msg);
}

static void test_trusted(void **state)
{
	(void)state;
	if (ask(w.n, cert_make("x", HERE, &w.ca, -1, YEAR), NULL, NULL) < 0)
		fail_msg("%s", w.err.msg);
	assert_int_equal(w.rs.status, 200);
	/* So it is by a large body, both ways. */
	size_t len = 3 << 20;
	char *body = calloc(1, len);
	struct net_request rq = { .method = NET_PUT, .body = body, .body_len = len };

	assert_int_equal(ask(w.n, cert_make("x", HERE, &w.ca, -1, YEAR), NULL,
	    &rq), 0);
	free(body);
}

static void test_not_trusted(void **state)
{
	(void)state;
	refused(ask(w.n, cert_make("x", HERE, &w.other_ca, -1, YEAR), NULL,
	    NULL), "--ca-file");
	/* One that signed itself. */
	refused(ask(w.n, cert_make("x", HERE, NULL, -1, YEAR), NULL, NULL),
	    "--ca-file");
}

static void test_not_in_time(void **state)
{
	(void)state;
	refused(ask(w.n, cert_make("x", HERE, &w.ca, -YEAR, -1), NULL, NULL),
	    "expired");
	refused(ask(w.n, cert_make("x", HERE, &w.ca, 86400, YEAR), NULL, NULL),
	    "not valid yet");
}

static void test_other_host(void **state)
{
	(void)state;
	refused(ask(w.n, cert_make("x", "IP:127.0.0.2", &w.ca, -1, YEAR), NULL,
	    NULL), "another host");
	refused(ask(w.n, cert_make("127.0.0.1", "DNS:example.org", &w.ca, -1,
	    YEAR), NULL, NULL), "another host");
}

/* Without a file it knows the system's only; one that ends the chain will do. */
static void test_other_files(void **state)
{
	struct net_options opt = { .ca_file = NULL };
	struct cert leaf = cert_make("x", HERE, &w.other_ca, -1, YEAR);
	char path[] = "/tmp/net-leaf-XXXXXX";
	struct net *n = net_new(NULL, &w.err);

	(void)state;
	assert_non_null(n);
	refused(ask(n, cert_make("x", HERE, &w.ca, -1, YEAR), NULL, NULL),
	    "--ca-file");
	net_free(n);
	cert_write(path, &leaf, 1, 0);
	opt.ca_file = path;
	n = net_new(&opt, &w.err);
	unlink(path);
	assert_non_null(n);
	if (ask(n, leaf, NULL, NULL) < 0)
		fail_msg("%s", w.err.msg);
	net_free(n);
}

static void test_unfit_ca_files(void **state)
{
	char empty[] = "/tmp/net-empty-XXXXXX", key[] = "/tmp/net-key-XXXXXX";
	struct net_options opt = { .ca_file = "/nowhere/ca.pem" };

	(void)state;
	cert_write(empty, &w.ca, 0, 0);
	cert_write(key, &w.ca, 0, 1);
	assert_null(net_new(&opt, &w.err));
	assert_int_equal(w.err.class, ERR_USAGE);
	assert_non_null(strstr(w.err.msg, "/nowhere/ca.pem"));
	opt.ca_file = empty;
	assert_null(net_new(&opt, &w.err));
	assert_int_equal(w.err.class, ERR_USAGE);
	opt.ca_file = key;
	assert_null(net_new(&opt, &w.err));
	assert_int_equal(w.err.class, ERR_USAGE);
	unlink(empty);
	unlink(key);
}

static void test_client_certificates(void **state)
{
	struct cert me = cert_make("me", NULL, &w.other_ca, -1, YEAR);
	char cert[] = "/tmp/net-cert-XXXXXX", key[] = "/tmp/net-key-XXXXXX";
	struct net_request rq = { .cert_file = cert, .key_file = key };

	(void)state;
	cert_write(cert, &me, 1, 0);
	cert_write(key, &me, 0, 1);
	if (ask(w.n, cert_make("x", HERE, &w.ca, -1, YEAR), &w.other_ca, &rq) < 0)
		fail_msg("%s", w.err.msg);
	/* Without one the server goes away. */
	assert_int_equal(ask(w.n, cert_make("x", HERE, &w.ca, -1, YEAR),
	    &w.other_ca, NULL), -1);
	rq.key_file = "/nowhere/key.pem";
	assert_int_equal(ask(w.n, cert_make("x", HERE, &w.ca, -1, YEAR),
	    &w.other_ca, &rq), -1);
	assert_int_equal(w.err.class, ERR_USAGE);
	unlink(cert);
	unlink(key);
	cert_free(&me);
}

/* --- what breaks in the handshake --- */

static void no_tls(struct conn *c)
{
	char some[100];

	if (conn_read(c, some, sizeof(some)) > 0)
		conn_say(c, "HTTP/1.1 400 No TLS here\r\n\r\n");
}

static void hang_up(struct conn *c)
{
	char some[100];

	conn_read(c, some, sizeof(some));
	if (*(const int *)c->srv->ctx)
		conn_reset(c);
}

static int ask_plain(server_fn *fn, const int *ctx)
{
	struct server *s = server_start(fn, ctx, NULL);
	struct net_request rq = { 0 };
	char url[128];

	snprintf(url, sizeof(url), "https://127.0.0.1:%u/x", s->port);
	rq.url = url;

	int rc = net_do(w.n, &rq, &w.rs, &w.err);

	server_stop(s);
	return rc;
}

static void test_broken_handshakes(void **state)
{
	static const int yes = 1, no = 0;

	(void)state;
	refused(ask_plain(no_tls, NULL), "TLS");
	assert_int_equal(ask_plain(hang_up, &no), -1);
	assert_int_equal(w.err.class, ERR_TRANSIENT);
	assert_int_equal(ask_plain(hang_up, &yes), -1);
	assert_int_equal(w.err.class, ERR_TRANSIENT);
}

static void test_old_versions_are_refused(void **state)
{
	struct cert c = cert_make("x", HERE, &w.ca, -1, YEAR);
	SSL_CTX *tls = cert_server(&c, NULL);
	struct net_request rq = { 0 };
	struct server *s;

	(void)state;
	SSL_CTX_set_security_level(tls, 0);
	SSL_CTX_set_min_proto_version(tls, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(tls, TLS1_1_VERSION);
	s = server_start(serve, NULL, tls);
	rq.url = s->url;
	refused(net_do(w.n, &rq, &w.rs, &w.err), "TLS");
	server_stop(s);
	SSL_CTX_free(tls);
	cert_free(&c);
}

/* The environment has a say in many programs; none turns checking off here. */
static void test_no_variable_turns_it_off(void **state)
{
	char path[] = "/tmp/net-env-XXXXXX";

	(void)state;
	cert_write(path, &w.other_ca, 1, 0);
	setenv("CURL_CA_BUNDLE", path, 1);
	setenv("SSL_CERT_FILE", path, 1);
	setenv("CURL_INSECURE", "1", 1);
	refused(ask(w.n, cert_make("x", HERE, &w.other_ca, -1, YEAR), NULL,
	    NULL), "--ca-file");
	unsetenv("CURL_CA_BUNDLE");
	unsetenv("SSL_CERT_FILE");
	unsetenv("CURL_INSECURE");
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trusted), cmocka_unit_test(test_not_trusted),
		cmocka_unit_test(test_not_in_time), cmocka_unit_test(test_other_host),
		cmocka_unit_test(test_other_files),
		cmocka_unit_test(test_unfit_ca_files),
		cmocka_unit_test(test_client_certificates),
		cmocka_unit_test(test_broken_handshakes),
		cmocka_unit_test(test_old_versions_are_refused),
		cmocka_unit_test(test_no_variable_turns_it_off),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
