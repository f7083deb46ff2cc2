/*
 * AWS Signature Version 4 against what AWS published: the examples of the S3
 * documentation, and facts of its test suite.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/backend/backend_sigv4.h"
#include "repo/base/bytes.h"
#include "repo/crypto/crypto.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct vector {
	const char *method, *path, *query, *body;
	const struct net_header *headers;
	const char *signature;
};

#define HEADERS(...) (const struct net_header[]){ __VA_ARGS__, { NULL, NULL } }

static size_t count(const struct net_header *h)
{
	size_t n = 0;

	while (h[n].name != NULL)
		n++;
	return n;
}

/* Sign v and compare; rq holds what all vectors of a set share. */
static void check(struct backend_sigv4 *s, struct backend_sigv4_request rq,
    const struct vector *v)
{
	struct buf got = BUF_INIT;
	struct err err = ERR_INIT;
	char payload[65], want[100];
	uint8_t sum[32];

	crypto_sha256(sum, v->body, strlen(v->body));
	hex_encode(payload, sum, sizeof(sum));
	rq.method = v->method;
	rq.path = v->path;
	rq.query = v->query;
	rq.headers = v->headers;
	rq.nheaders = count(v->headers);
	rq.payload = payload;
	assert_int_equal(backend_sigv4_sign(s, &got, &rq, &err), 0);
	buf_u8(&got, 0);
	snprintf(want, sizeof(want), ", Signature=%s", v->signature);
	if (strstr((char *)got.p, want) == NULL) {
		buf_reset(&got);
		backend_sigv4_canonical(&got, &rq, &err);
		fail_msg("%s %s?%s: another signature:\n%.*s", v->method,
		    v->path, v->query ? v->query : "", (int)got.len, got.p);
	}
	buf_release(&got);
}

#define S3_HOST { "host", "examplebucket.s3.amazonaws.com" }
#define S3_DATE { "x-amz-date", "20130524T000000Z" }
#define S3_EMPTY { "x-amz-content-sha256", EMPTY }

static const struct backend_sigv4_request of_s3 = {
	.date = "20130524T000000Z",
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
	.service = "s3",
};

/* "Signature Calculations for the Authorization Header", its four examples. */
static void the_examples_of_s3_come_out(void **state)
{
	const struct vector v[] = {
		{ "GET", "/test.txt", NULL, "", HEADERS(S3_HOST,
		    { "range", "bytes=0-9" }, S3_EMPTY, S3_DATE),
		    "f0e8bdb87c964420e857bd35b5d6ed31"
		    "0bd44f0170aba48dd91039c6036bdb41" },
		{ "PUT", "/test%24file.text", NULL, "Welcome to Amazon S3.",
		    HEADERS(S3_HOST,
		    { "date", "Fri, 24 May 2013 00:00:00 GMT" }, S3_DATE,
		    { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
		    { "x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbb"
		      "a87d2b6b4b4e99e42034a8b803f8b072" }),
		    "98ad721746da40c64f1a55b78f14c238"
		    "d841ea1380cd77a1b5971af0ece108bd" },
		{ "GET", "/", "lifecycle", "",
		    HEADERS(S3_HOST, S3_EMPTY, S3_DATE),
		    "fea454ca298b7da1c68078a5d1bdbfbb"
		    "e0d65c699e0f91ac7a200a0136783543" },
		{ "GET", "/", "max-keys=2&prefix=J", "",
		    HEADERS(S3_HOST, S3_EMPTY, S3_DATE),
		    "34b48302e7b5fa45bde8084f4b7868a8"
		    "6f0a534bc59db6670ed5711ef69dc6f7" },
	};
	struct err err = ERR_INIT;
	struct backend_sigv4 *s = backend_sigv4_new(&err);

	(void)state;
	assert_non_null(s);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		check(s, of_s3, &v[i]);
	backend_sigv4_free(s);
	backend_sigv4_free(NULL);
}

#define SUITE_HOST { "host", "example.amazonaws.com" }
#define SUITE_DATE { "x-amz-date", "20150830T123600Z" }

static const struct backend_sigv4_request of_suite = {
	.date = "20150830T123600Z",
	.access_key = "AKIDEXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
	.service = "service",
};

static void the_facts_of_the_suite_come_out(void **state)
{
	const struct net_header *plain = HEADERS(SUITE_HOST, SUITE_DATE);
	const char *vanilla = "5fa00fa31553b73ebf1942676e86291e"
	    "8372ff2a2260956d9b8aae1d763fbf31";
	const struct vector v[] = {
		{ "GET", "/", NULL, "", plain, vanilla },
		{ "GET", "/", "", "", plain, vanilla },
		{ "POST", "/", NULL, "", plain,
		    "5da7c1a2acd57cee7505fc6676e4e544"
		    "621c30862966e37dddb68e92efbe5d6b" },
		{ "GET", "/", "Param2=value2&Param1=value1", "", plain,
		    "b97d918cfa904a5beff61c982a1b6f45"
		    "8b799221646efd99d3219ec94cdf2500" },
		/* As it is sent or as it is meant: one canonical form. */
		{ "GET", "/", "\xe1\x88\xb4=bar", "", plain,
		    "2cdec8eed098649ff3a119c94853b13c"
		    "643bcf08f8b0a1d91e12c9027818dd04" },
		{ "GET", "/", "%e1%88%B4=bar", "", plain,
		    "2cdec8eed098649ff3a119c94853b13c"
		    "643bcf08f8b0a1d91e12c9027818dd04" },
		{ "GET", "/%E1%88%B4", NULL, "", plain,
		    "8318018e0b0f223aa2bbf98705b62bb7"
		    "87dc9c0e678f255a891fd03141be5d85" },
		{ "GET", "/", NULL, "", HEADERS(SUITE_HOST,
		    { "my-header1", "value2" }, { "my-header1", "value2" },
		    { "my-header1", "value1" }, SUITE_DATE),
		    "c9d5ea9f3f72853aea855b47ea873832"
		    "890dbdd183b4468f858259531a5138ea" },
		{ "GET", "/", NULL, "", HEADERS(SUITE_HOST,
		    { "my-header1", " value1" },
		    { "my-header2", " \"a   b   c\"" }, SUITE_DATE),
		    "acc3ed3afb60bb290fc8d2dd0098b991"
		    "1fcaa05412b367055dee359757a9c736" },
		{ "POST", "/", NULL, "Param1=value1", HEADERS(
		    { "content-type", "application/x-www-form-urlencoded" },
		    SUITE_HOST, SUITE_DATE),
		    "ff11897932ad3f4e8b18135d722051e5"
		    "ac45fc38421b1da7b9d196a0fe09473a" },
	};
	struct err err = ERR_INIT;
	struct backend_sigv4 *s = backend_sigv4_new(&err);

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		check(s, of_suite, &v[i]);
	backend_sigv4_free(s);
}

/* A key that is kept must not sign for another day, region, place or secret. */
static void the_kept_key_is_of_that_day_region_and_secret(void **state)
{
	const struct net_header h[] = { SUITE_HOST, SUITE_DATE };
	struct err err = ERR_INIT;
	struct backend_sigv4 *kept = backend_sigv4_new(&err);
	struct backend_sigv4_request rq[6];

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		rq[i] = of_suite;
		rq[i].method = "GET";
		rq[i].path = "/";
		rq[i].headers = h;
		rq[i].nheaders = 2;
		rq[i].payload = BACKEND_SIGV4_UNSIGNED;
	}
	rq[1].date = "20150831T123600Z";
	rq[2].region = "eu-west-1";
	rq[3].service = "s3";
	rq[4].secret_key = "another";
	rq[5].date = "20150830T235959Z";
	for (size_t i = 0; i < 36; i++) {
		size_t at = i / 6 ^ i % 6;
		struct backend_sigv4 *fresh = backend_sigv4_new(&err);
		struct buf a = BUF_INIT, b = BUF_INIT;

		if (at < 6) {
			assert_int_equal(backend_sigv4_sign(kept, &a, &rq[at],
			    &err), 0);
			assert_int_equal(backend_sigv4_sign(fresh, &b, &rq[at],
			    &err), 0);
			assert_int_equal(a.len, b.len);
			assert_memory_equal(a.p, b.p, a.len);
		}
		buf_release(&a);
		buf_release(&b);
		backend_sigv4_free(fresh);
	}
	backend_sigv4_free(kept);
}

static void the_canonical_form_is_that_of_the_books(void **state)
{
	const struct net_header h[] = { { "x-b", "2" }, { "host", "h" },
		{ "x-a", "  1\t 1 " } };
	struct backend_sigv4_request rq = of_suite;
	struct net_header many[33];
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	rq.method = "GET";
	rq.path = "/a%20b/c";
	rq.query = "b=%2f&a&&c=x+y~%&a=";
	rq.headers = h;
	rq.nheaders = 3;
	rq.payload = BACKEND_SIGV4_UNSIGNED;
	assert_int_equal(backend_sigv4_canonical(&b, &rq, &err), 0);
	buf_u8(&b, 0);
	assert_string_equal((char *)b.p, "GET\n/a%20b/c\n"
	    "a=&a=&b=%2F&c=x+y~%\n"
	    "host:h\nx-a:1 1\nx-b:2\n\nhost;x-a;x-b\nUNSIGNED-PAYLOAD");
	for (size_t i = 0; i < 33; i++)
		many[i] = h[1];
	rq.headers = many;
	rq.nheaders = 33;
	assert_int_equal(backend_sigv4_canonical(&b, &rq, &err), -1);
	assert_int_equal(err.class, ERR_BUG);
	buf_release(&b);
}

static void dates_have_their_form(void **state)
{
	char date[BACKEND_SIGV4_DATE];

	(void)state;
	backend_sigv4_date(date, INT64_C(1369353600) * 1000000000);
	assert_string_equal(date, "20130524T000000Z");
	backend_sigv4_date(date, INT64_C(1440938160999999999));
	assert_string_equal(date, "20150830T123600Z");
}

static void *sign_often(void *arg)
{
	struct vector v = { "GET", "/", NULL, "",
		HEADERS(SUITE_HOST, SUITE_DATE),
		"5fa00fa31553b73ebf1942676e86291e"
		"8372ff2a2260956d9b8aae1d763fbf31" };
	struct vector other = { "GET", "/", "lifecycle", "",
		HEADERS(S3_HOST, S3_EMPTY, S3_DATE),
		"fea454ca298b7da1c68078a5d1bdbfbb"
		"e0d65c699e0f91ac7a200a0136783543" };

	for (int i = 0; i < 200; i++) {
		check(arg, of_suite, &v);
		check(arg, of_s3, &other);
	}
	return NULL;
}

static void threads_share_a_signer(void **state)
{
	struct err err = ERR_INIT;
	struct backend_sigv4 *s = backend_sigv4_new(&err);
	pthread_t t[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, sign_often, s),
		    0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	backend_sigv4_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_s3_come_out),
		cmocka_unit_test(the_facts_of_the_suite_come_out),
		cmocka_unit_test(
		    the_kept_key_is_of_that_day_region_and_secret),
		cmocka_unit_test(the_canonical_form_is_that_of_the_books),
		cmocka_unit_test(dates_have_their_form),
		cmocka_unit_test(threads_share_a_signer),
	};
	struct err err = ERR_INIT;

	if (crypto_init(&err) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
