/* URLs, escapes, and the heads of answers line by line. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "repo/base/clock.h"
#include "repo/net/net_internal.h"

static void test_escape(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	net_escape(&b, "aZ09-._~ /%+\xc3\xa4?&=", true);
	buf_u8(&b, '|');
	net_escape(&b, "a/b", false);
	buf_u8(&b, 0);
	assert_string_equal((char *)b.p, "aZ09-._~%20/%25%2B%C3%A4%3F%26%3D|a%2Fb");
	buf_release(&b);
}

static void test_urls(void **state)
{
	static const struct { const char *url; bool tls; const char *host;
		unsigned port; const char *path; } good[] = {
		{ "https://host", true, "host", 0, "" },
		{ "http://host/", false, "host", 0, "" },
		{ "HTTPS://Host.example:9000/a/b/", true, "Host.example", 9000, "/a/b" },
		{ "http://[::1]:80/x", false, "::1", 80, "/x" },
		{ "http://[fe80::1]", false, "fe80::1", 0, "" },
		{ "https://127.0.0.1:65535//", true, "127.0.0.1", 65535, "" },
	};
	struct net_url u;
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (net_url_parse(good[i].url, &u, &err) < 0)
			fail_msg("%s: %s", good[i].url, err.msg);
		assert_int_equal(u.tls, good[i].tls);
		assert_string_equal(u.host, good[i].host);
		assert_int_equal(u.port, good[i].port);
		assert_string_equal(u.path, good[i].path);
		net_url_release(&u);
		assert_null(u.host);
	}
}

static void test_unfit_urls(void **state)
{
	static const char *const bad[] = {
		"", "host", "ftp://host", "https:/host", "https://", "https:///x",
		"https://:80", "https://host:", "https://host:0", "https://host:65536",
		"https://host:1234567", "https://host:8x", "https://host/x?s3cret=1",
		"https://host#s3cret", "https://u:s3cret@host/", "https://s3cret@host",
		"https://[::1", "https://[]", "https://[::1]x", "https://a:b:c",
		"https://ho st", "https://host/a b", "https://host/\x7f",
		"https://[::1]]", "https://h%6fst",
	};
	struct net_url u;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;

		if (net_url_parse(bad[i], &u, &err) == 0)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(err.class, ERR_USAGE);
		assert_null(strstr(err.msg, "s3cret"));
		assert_null(u.host);
	}
}

static struct net_response rs;
static struct net_head h;
static struct err err;

static int feed(const char *const *lines)
{
	net_response_release(&rs);
	h = (struct net_head){ .rs = &rs };
	err_clear(&err);
	for (; *lines != NULL; lines++)
		if (net_head_line(&h, *lines, strlen(*lines), &err) < 0)
			return -1;
	net_head_finish(&h);
	return 0;
}

#define FEED(...) feed((const char *const[]){ __VA_ARGS__, NULL })

static void test_folded_lines(void **state)
{
	(void)state;
	assert_int_equal(FEED("HTTP/1.1 200 OK\r\n", " lost\r\n", "A: one \r\n",
	    "\t two\r\n", " \r\n", "  three\n", "B:\r\n", " x\r\n", "\r\n"), 0);
	assert_string_equal(net_header(&rs, "a"), "one two three");
	assert_string_equal(net_header(&rs, "b"), "x");
	assert_true(h.complete);
}

static void test_lines_that_are_no_fields(void **state)
{
	(void)state;
	assert_int_equal(FEED("HTTP/2 204\r\n", "no colon\r\n", ": no name\r\n",
	    "a:b\r\n", "\r\n"), 0);
	assert_int_equal(rs.status, 204);
	assert_string_equal(net_header(&rs, "a"), "b");
	assert_null(net_header(&rs, ""));
}

static void test_retry_after(void **state)
{
	static const char date[] = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

	(void)state;
	assert_int_equal(FEED("HTTP/1.1 429 No\r\n", "Retry-After: 17\r\n"), 0);
	assert_int_equal(rs.retry_after_s, 17);
	FEED("HTTP/1.1 429 No\r\n", "retry-after: 99999999999\r\n");
	assert_int_equal(rs.retry_after_s, 86400);
	FEED("HTTP/1.1 429 No\r\n", "retry-after: soon\r\n");
	assert_int_equal(rs.retry_after_s, 0);
	FEED("HTTP/1.1 429 No\r\n", "retry-after: -5\r\n");
	assert_int_equal(rs.retry_after_s, 0);
	/* A date counts from the answer's own, whichever comes first. */
	FEED("HTTP/1.1 429 No\r\n", date,
	    "Retry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n");
	assert_int_equal(rs.retry_after_s, 30);
	FEED("HTTP/1.1 429 No\r\n",
	    "Retry-After: Sunday, 06-Nov-94 08:50:07 GMT\r\n", date);
	assert_int_equal(rs.retry_after_s, 30);
	/* One that is over. */
	FEED("HTTP/1.1 429 No\r\n", date,
	    "Retry-After: Sun, 06 Nov 1994 08:00:00 GMT\r\n");
	assert_int_equal(rs.retry_after_s, 0);
	/* Without a Date, by this machine's clock. */
	FEED("HTTP/1.1 429 No\r\n", "Retry-After: Sun, 06 Nov 2094 08:00:00 GMT\r\n");
	assert_int_equal(rs.retry_after_s, 86400);
}

static void test_lengths(void **state)
{
	(void)state;
	assert_int_equal(FEED("HTTP/1.1 200 OK\r\n", "Content-Length: 5\r\n",
	    "content-length: 5\r\n", "\r\n"), 0);
	assert_int_equal(FEED("HTTP/1.1 200 OK\r\n", "Content-Length: 5\r\n",
	    "content-length: 6\r\n"), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	assert_int_equal(FEED("HTTP/1.1 200 OK\r\n", "Content-Length: -1\r\n"), -1);
	assert_int_equal(FEED("HTTP/1.1 200 OK\r\n", "Content-Length:\r\n"), -1);
	assert_int_equal(FEED("HTTP/1.1 200 OK\r\n", "Content-Length: 1, 1\r\n"), -1);
	/* Another answer, another length. */
	assert_int_equal(FEED("HTTP/1.1 103 Early\r\n", "Content-Length: 5\r\n",
	    "\r\n", "HTTP/1.1 200 OK\r\n", "Content-Length: 6\r\n"), 0);
}

static void test_trailers_change_nothing(void **state)
{
	(void)state;
	assert_int_equal(FEED("HTTP/1.1 200 OK\r\n", "\r\n", "HTTP/1.1 500 No\r\n",
	    "Retry-After: 5\r\n", "Content-Length: x\r\n", "X-T: 1\r\n"), 0);
	assert_int_equal(rs.status, 200);
	assert_int_equal(rs.retry_after_s, 0);
	assert_string_equal(net_header(&rs, "x-t"), "1");
}

static void test_too_many_headers(void **state)
{
	static char line[1001] = "X: ";

	(void)state;
	memset(line + 3, 'x', 997);
	assert_int_equal(FEED("HTTP/1.1 200 OK\r\n"), 0);
	for (int i = 0; i < 250; i++)
		assert_int_equal(net_head_line(&h, line, 1000, &err), 0);
	int rc = 0;

	for (int i = 0; i < 100 && rc == 0; i++)
		rc = net_head_line(&h, line, 1000, &err);
	assert_int_equal(rc, -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	net_response_release(&rs);
}

static void test_rate(void **state)
{
	const int64_t sec = INT64_C(1000000000);
	struct net_rate r;
	uint64_t moved = 0;
	int64_t t = 5 * sec;

	/* By a clock of its own: what moves in ten seconds. */
	(void)state;
	net_rate_init(&r, 100000, t);
	while (t < 15 * sec) {
		size_t may = net_rate_ready(&r, t);

		if (may > 0) {
			net_rate_take(&r, may);
			moved += may;
			continue;
		}

		int64_t wait = net_rate_wait(&r, t);

		assert_true(wait > 0 && wait < sec);
		t += wait;
		assert_true(net_rate_ready(&r, t) > 0);
	}
	assert_true(moved >= 990000 && moved <= 1010000);
	/* A long idle time saves up no more than a little. */
	t += 3600 * sec;
	moved = 0;
	for (size_t may; (may = net_rate_ready(&r, t)) > 0; moved += may)
		net_rate_take(&r, may);
	assert_true(moved > 0 && moved <= 5000);
	/* Debt is paid first. */
	net_rate_take(&r, 100000);
	assert_true(net_rate_wait(&r, t) > sec * 9 / 10);
	/* The least and the most. */
	net_rate_init(&r, 1, t);
	assert_int_equal(net_rate_ready(&r, t), 1024);
	net_rate_init(&r, UINT64_MAX, t);
	assert_true(net_rate_ready(&r, t) > 0);
	net_rate_take(&r, 1 << 20);
	assert_true(net_rate_wait(&r, t + sec) == 0);
	net_rate_init(&r, 0, t);
	assert_true(net_rate_ready(&r, t) == SIZE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape), cmocka_unit_test(test_urls),
		cmocka_unit_test(test_unfit_urls), cmocka_unit_test(test_folded_lines),
		cmocka_unit_test(test_lines_that_are_no_fields),
		cmocka_unit_test(test_retry_after), cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_trailers_change_nothing),
		cmocka_unit_test(test_too_many_headers), cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
