/*
 * The S3 backend before a server that says what the test wants: what is asked
 * for, every kind of answer, answers that make no sense, and lost ones.
 */
#include "tests/unit/backend_s3_script.h"

/* --- put ------------------------------------------------------------------------*/

static void put_asks_for_what_it_means(void **state)
{
	PLAY({ "PUT /bkt/a%20b/p/packs/aa/1 HTTP/1.1\r\n\n"
	    "if-none-match: *\r\nx-amz-checksum-crc32c: 4waSgw==\r\n"
	    "Content-Length: 9\r\n123456789\n"
	    "authorization: AWS4-HMAC-SHA256 Credential=AKIDTEST/\n"
	    "/us-east-1/s3/aws4_request, SignedHeaders=content-type;host;"
	    "if-none-match;x-amz-checksum-crc32c;x-amz-content-sha256;"
	    "x-amz-date, Signature=\n"
	    "x-amz-content-sha256: 15e2b0d3c33891ebb0f1ef609ec41942"
	    "0c20e320ce94c65fbc8c3312448eb225\n"
	    "!expect: 100\n!storage-class\n!encryption\n!very-secret",
	    answer("200", "", "") },
	    { "if-none-match: *\r\nContent-Length: 0\r\n\n"
	    "x-amz-checksum-crc32c: AAAAAA==", answer("412", "", "") },
	    { "!if-none-match", answer("200", "", "") });

	(void)state;
	assert_int_equal(backend_put(be, "packs/aa/1", "123456789", 9, &err),
	    0);
	assert_int_equal(backend_put(be, "e", NULL, 0, &err), 1);
	assert_int_equal(backend_put_over(be, "s/x", "new", 3, &err), 0);
	played();
}

static void refused_puts_have_their_class(void **state)
{
	PLAY({ "PUT", answer("403", "", XML("AccessDenied", "Access Denied")) },
	    { "PUT", answer("409", "",
	        XML("ConditionalRequestConflict", "at this moment")) },
	    { "PUT", answer("503", "", XML("SlowDown",
	        "Reduce&#10;\xc3\xa4")) },
	    { "PUT", answer("400", "", XML("RequestTimeout", "idle")) },
	    { "PUT", answer("400", "", XML("BadDigest", "crc")) },
	    { "PUT", answer("404", "", XML("NoSuchBucket", "none")) },
	    { "PUT", answer("507", "", XML("XMinioStorageFull", "full")) },
	    { "PUT", answer("403", "", XML("QuotaExceeded", "quota")) },
	    { "PUT", answer("403", "", XML("InvalidAccessKeyId", "who")) },
	    { "PUT", answer("403", "", XML("SignatureDoesNotMatch", "no")) },
	    { "PUT", answer("400", "", XML("EntityTooLarge", "large")) },
	    { "PUT", answer("502", "", "<html>\x1b[31mbad\n\ngateway</html>") },
	    { "PUT", answer("500", CLOSE, "<Error><Code>Int\nernal\x7f") },
	    { "PUT", NULL });

	(void)state;
	fails(backend_put(be, "k", "x", 1, &err), ERR_AUTH, "put k: "
	    "AccessDenied: Access Denied (HTTP 403); the policy must allow "
	    "s3:PutObject");
	fails(backend_put(be, "k", "x", 1, &err), ERR_TRANSIENT, "HTTP 409");
	fails(backend_put(be, "k", "x", 1, &err), ERR_TRANSIENT,
	    "SlowDown: Reduce ?? (HTTP 503)");
	fails(backend_put(be, "k", "x", 1, &err), ERR_TRANSIENT, "idle");
	fails(backend_put(be, "k", "x", 1, &err), ERR_TRANSIENT, "BadDigest");
	fails(backend_put(be, "k", "x", 1, &err), ERR_NOTFOUND, "wherry init");
	fails(backend_put(be, "k", "x", 1, &err), ERR_FULL, "full");
	fails(backend_put(be, "k", "x", 1, &err), ERR_FULL, "quota");
	fails(backend_put(be, "k", "x", 1, &err), ERR_AUTH, "credentials");
	fails(backend_put(be, "k", "x", 1, &err), ERR_AUTH, "secret key");
	fails(backend_put(be, "k", "x", 1, &err), ERR_IO, "EntityTooLarge");
	fails(backend_put(be, "k", "x", 1, &err), ERR_TRANSIENT,
	    "refused (HTTP 502)");
	fails(backend_put(be, "k", "x", 1, &err), ERR_TRANSIENT, "HTTP 500");
	fails(backend_put(be, "k", "x", 1, &err), ERR_TRANSIENT, "put k");
	played();
}

/* R9: the retry in front of it looks before it sends again. */
static void a_put_whose_answer_was_lost_is_looked_at(void **state)
{
	struct backend_retry_options opt = { .first_ms = 1 };

	PLAY({ "PUT /bkt/a%20b/p/k", NULL },
	    { "HEAD /bkt/a%20b/p/k", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
	      "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n" },
	    { "GET /bkt/a%20b/p/k\nrange: bytes=0-3", answer("206",
	      "Content-Range: bytes 0-3/4\r\n", "mine") });

	(void)state;
	be = backend_retry_new(be, &opt, &err);
	assert_int_equal(backend_put(be, "k", "mine", 4, &err), 0);
	played();
}

static void a_store_without_conditions_is_weak(void **state)
{
	struct backend_caps caps;

	PLAY({ "PUT\nif-none-match", answer("501", "",
	    XML("NotImplemented", "a header")) },
	    { "HEAD /bkt/a%20b/p/k", "HTTP/1.1 404 No\r\n"
	      "Content-Length: 99\r\n\r\n" },
	    { "PUT\n!if-none-match", answer("200", "", "") },
	    { "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
	      "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n" });

	(void)state;
	backend_caps(be, &caps);
	assert_true(caps.atomic_create && caps.ordered_list);
	assert_false(caps.cheap_ranges || caps.local || caps.del_tells);
	assert_int_equal(backend_put(be, "k", "x", 1, &err), 0);
	assert_int_equal(backend_put(be, "k", "x", 1, &err), 1);
	backend_caps(be, &caps);
	assert_false(caps.atomic_create);
	played();
}

static void minio_that_is_removing_is_asked_again(void **state)
{
	const char *denied = "Server: MinIO\r\n";

	PLAY({ "PUT", answer("403", denied, XML("AccessDenied", "no")) },
	    { "PUT", answer("403", denied, XML("AccessDenied", "no")) },
	    { "PUT", answer("200", denied, "") },
	    { "PUT", answer("403", denied, XML("InvalidAccessKeyId", "no")) });

	(void)state;
	assert_int_equal(backend_put(be, "k", "x", 1, &err), 0);
	fails(backend_put(be, "k", "x", 1, &err), ERR_AUTH, "no");
	played();
}

/* --- get and stat ---------------------------------------------------------------*/

static void ranges_are_what_was_asked_for(void **state)
{
	char got[8] = "";

	PLAY({ "GET /bkt/a%20b/p/k\nrange: bytes=5-8\r\n", answer("206",
	        "Content-Range: bytes 5-8/100\r\n", "wxyz") },
	    { "GET", answer("200", "", "abcd") },
	    { "GET", answer("206", "Content-Range: bytes 5-6/7\r\n", "wx") },
	    { "GET", answer("206", "Content-Range: bytes 4-7/100\r\n",
	        "wxyz") },
	    { "GET", answer("206", "Content-Range: bytes */100\r\n",
	        "wxyz") },
	    { "GET", answer("206", "", "wxyz") },
	    { "GET", answer("206", "Content-Range: bytes 5-8/100\r\n", "wx") },
	    { "GET", answer("206", "Content-Range: bytes 5-8/100\r\n",
	        "wxyz!") },
	    { "GET", answer("416", "", XML("InvalidRange", "past it")) },
	    { "GET", answer("200", "", "abcd") },
	    { "GET", answer("200", "", "ab") },
	    { "GET", answer("200", "", "abcde") },
	    { "GET", "HTTP/1.1 206 P\r\nContent-Length: 4\r\n"
	        "Content-Range: bytes 5-8/9\r\nConnection: close\r\n\r\nwx" });

	(void)state;
	assert_int_equal(backend_get(be, "k", 5, got, 4, &err), 0);
	assert_memory_equal(got, "wxyz", 4);
	assert_int_equal(backend_get(be, "k", 0, got, 4, &err), 0);
	assert_memory_equal(got, "abcd", 4);
	fails(backend_get(be, "k", 5, got, 4, &err), ERR_CORRUPT,
	    "get k: it ends before byte 9");
	fails(backend_get(be, "k", 5, got, 4, &err), ERR_IO, "another range");
	fails(backend_get(be, "k", 5, got, 4, &err), ERR_IO, "another range");
	fails(backend_get(be, "k", 5, got, 4, &err), ERR_IO, "another range");
	fails(backend_get(be, "k", 5, got, 4, &err), ERR_TRANSIENT, "2 of 4");
	fails(backend_get(be, "k", 5, got, 4, &err), ERR_CORRUPT, "k");
	fails(backend_get(be, "k", 5, got, 4, &err), ERR_CORRUPT, "ends");
	fails(backend_get(be, "k", 5, got, 4, &err), ERR_IO, "ignores ranges");
	fails(backend_get(be, "k", 0, got, 4, &err), ERR_CORRUPT, "ends");
	fails(backend_get(be, "k", 0, got, 4, &err), ERR_CORRUPT, "k");
	/* The server says how much it has, and is cut off. */
	fails(backend_get(be, "k", 5, got, 4, &err), ERR_TRANSIENT, "k");
	played();
}

static void missing_is_told_from_refused(void **state)
{
	struct backend_stat st = { 0 };
	uint8_t *data = NULL;
	size_t len;
	char c;

	PLAY({ "GET", answer("404", "", XML("NoSuchKey", "none")) },
	    { "GET", answer("404", "", XML("NoSuchBucket", "none")) },
	    { "GET", answer("403", "", XML("AccessDenied", "no")) },
	    { "HEAD /bkt/a%20b/p/k ", "HTTP/1.1 404 No\r\n\r\n" },
	    { "HEAD", "HTTP/1.1 403 No\r\nContent-Length: 243\r\n\r\n" },
	    { "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n"
	        "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n" },
	    { "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n" },
	    { "GET /bkt/a%20b/p/k \n!range", answer("404", "", "") },
	    { "GET", answer("200", "", "") },
	    { "GET", answer("200", "", "1234") },
	    { "GET", answer("200", "", "12345") });

	(void)state;
	assert_int_equal(backend_get(be, "k", 0, &c, 1, &err), 1);
	fails(backend_get(be, "k", 0, &c, 1, &err), ERR_NOTFOUND,
	    "NoSuchBucket");
	fails(backend_get(be, "k", 0, &c, 1, &err), ERR_AUTH,
	    "allow s3:GetObject and s3:ListBucket");
	assert_int_equal(backend_stat(be, "k", &st, &err), 1);
	fails(backend_stat(be, "k", &st, &err), ERR_AUTH,
	    "stat k: refused (HTTP 403); the policy must allow");
	assert_int_equal(backend_stat(be, "k", &st, &err), 0);
	assert_true(st.size == 1234 &&
	    st.mtime_ns == INT64_C(784111777000000000));
	fails(backend_stat(be, "k", &st, &err), ERR_IO, "when");
	assert_int_equal(backend_get_all(be, "k", 4, &data, &len, &err), 1);
	assert_int_equal(backend_get_all(be, "k", 4, &data, &len, &err), 0);
	assert_true(data != NULL && len == 0);
	free(data);
	assert_int_equal(backend_get_all(be, "k", 4, &data, &len, &err), 0);
	assert_memory_equal(data, "1234", 4);
	free(data);
	fails(backend_get_all(be, "k", 4, &data, &len, &err), ERR_CORRUPT,
	    "get k");
	played();
}

/* --- credentials, clock, region -------------------------------------------------*/

static void a_wrong_clock_is_taken_from_the_store_once(void **state)
{
	const char *skewed = "Date: Fri, 24 May 2013 00:00:00 GMT\r\n";

	PLAY({ "PUT\n!x-amz-date: 20130524T0000", answer("403", skewed,
	        XML("RequestTimeTooSkewed", "too large")) },
	    { "PUT\nx-amz-date: 20130524T0000", answer("200", skewed, "") },
	    { "PUT\nx-amz-date: 20130524T0000", answer("403", skewed,
	        XML("RequestTimeTooSkewed", "too large")) });

	(void)state;
	assert_int_equal(backend_put(be, "k", "x", 1, &err), 0);
	fails(backend_put(be, "k", "x", 1, &err), ERR_AUTH, "clock");
	played();
}

static void a_session_token_is_signed_and_its_end_told(void **state)
{
	setenv("AWS_SESSION_TOKEN", "token-of-mine", 1);
	backend_close(be);
	be = open_with("bkt/a%20b/p", "", NULL);
	assert_non_null(be);
	PLAY({ "x-amz-security-token: token-of-mine\n"
	    ";x-amz-date;x-amz-security-token, Sig",
	    answer("400", "", XML("ExpiredToken", "has expired")) });

	(void)state;
	fails(backend_put(be, "k", "x", 1, &err), ERR_AUTH,
	    "fetch new credentials");
	assert_null(strstr(err.msg, "token-of-mine"));
	played();
}

#define ROLE(key) "{\"AccessKeyId\":\"" key "\",\"SecretAccessKey\":" \
	"\"very-secret\",\"Token\":\"t-" key "\"," \
	"\"Expiration\":\"2199-01-01T00:00:00Z\"}"

static void expired_credentials_are_renewed_once(void **state)
{
	char url[100];

	(void)state;
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	snprintf(url, sizeof(url), "%s/role", server->url);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	backend_close(be);
	PLAY({ "GET /role", answer("200", "", ROLE("ONE")) },
	    { "PUT\nCredential=ONE/\nsecurity-token: t-ONE", answer("400", "",
	        XML("ExpiredToken", "has expired")) },
	    { "GET /role", answer("200", "", ROLE("TWO")) },
	    { "PUT\nCredential=TWO/\nsecurity-token: t-TWO",
	        answer("200", "", "") },
	    { "PUT\nCredential=TWO/", answer("403", "",
	        XML("ExpiredToken", "has expired")) },
	    { "GET /role", answer("200", "", ROLE("TWO")) });
	be = open_with("bkt/a%20b/p", "", NULL);
	if (be == NULL)
		fail_msg("%s", err.msg);
	if (backend_put(be, "k", "x", 1, &err) != 0)
		fail_msg("%s", err.msg);
	fails(backend_put(be, "k", "x", 1, &err), ERR_AUTH, "credentials");
	played();
}

static void another_region_is_gone_over_to(void **state)
{
	struct backend_stat st;

	PLAY({ "HEAD\n/us-east-1/s3/", "HTTP/1.1 400 Bad\r\n"
	        "x-amz-bucket-region: eu-central-1\r\n\r\n" },
	    { "HEAD\n/eu-central-1/s3/", "HTTP/1.1 404 No\r\n\r\n" },
	    { "/eu-central-1/s3/", answer("400", "", "<Error><Code>"
	        "AuthorizationHeaderMalformed</Code><Message>expecting"
	        "</Message><Region>us-west-2</Region></Error>") },
	    { "/us-west-2/s3/", answer("200", "", "") },
	    { "/us-west-2/s3/", answer("301", "", XML("PermanentRedirect",
	        "elsewhere")) },
	    { "/us-west-2/s3/", answer("301",
	        "x-amz-bucket-region: a\x1b[b\r\n", "") });

	(void)state;
	assert_int_equal(backend_stat(be, "k", &st, &err), 1);
	assert_int_equal(backend_put(be, "k", "x", 1, &err), 0);
	fails(backend_put(be, "k", "x", 1, &err), ERR_USAGE, "region=");
	fails(backend_put(be, "k", "x", 1, &err), ERR_USAGE, "region=");
	played();
}

/* --- listings ----------------------------------------------------------------------*/

#define ENTRY(key, size) "<Contents><Key>" key "</Key><LastModified>" \
	"2026-11-01T12:00:00.123Z</LastModified><Size>" size "</Size>" \
	"<Owner><ID>x</ID></Owner></Contents>"
#define PAGE(more) "<?xml version=\"1.0\"?><ListBucketResult " \
	"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bkt</Name>" \
	more "</ListBucketResult>"

struct seen {
	char keys[512];
	int64_t mtime_ns;
	uint64_t size;
};

static int see(void *ctx, const char *key, const struct backend_stat *st,
    struct err *e)
{
	struct seen *s = ctx;
	size_t n = strlen(s->keys);

	(void)e;
	snprintf(s->keys + n, sizeof(s->keys) - n, "%s ", key);
	s->mtime_ns = st->mtime_ns;
	s->size = st->size;
	return strcmp(key, "stop") == 0 ? 7 : 0;
}

static void listings_go_on_and_pass_over_what_is_foreign(void **state)
{
	struct seen s = { .keys = "" };

	PLAY({ "GET /bkt/?encoding-type=url&list-type=2&"
	    "prefix=a%20b%2Fp%2Fpac HTTP/1.1\r\n", answer("200", "",
	    PAGE("<EncodingType>url</EncodingType><IsTruncated>true"
	    "</IsTruncated><NextContinuationToken>1/a+b==&amp;"
	    "</NextContinuationToken>"
	    ENTRY("a+b/p/packs/aa/1", "5") ENTRY("a%20b/p/packs/aa/%4Fh", "5")
	    ENTRY("a+b/p/packs/dir/", "0") ENTRY("a+b/p/packs/%zz", "1"))) },
	    { "continuation-token=1%2Fa%2Bb%3D%3D%26&encoding",
	    answer("200", "", PAGE("<IsTruncated>true</IsTruncated>"
	    "<NextContinuationToken>2</NextContinuationToken>")) },
	    { "continuation-token=2&", answer("200", "", PAGE(
	    "<IsTruncated>false</IsTruncated>"
	    ENTRY("a b/p/packs/ab/1", "18446744073709551615")
	    ENTRY("elsewhere/packs", "1") ENTRY("a b/p/packs/tmp&#x41;", "1")
	    )) });

	(void)state;
	assert_int_equal(backend_list(be, "pac", see, &s, &err), 0);
	assert_string_equal(s.keys, "packs/aa/1 packs/ab/1 ");
	assert_true(s.size == UINT64_MAX);
	assert_true(s.mtime_ns == INT64_C(1793534400000000000));
	played();
}

static void listings_that_make_no_sense_are_errors(void **state)
{
	struct seen s = { .keys = "" };

	static const struct { const char *body, *words; enum err_class class;
	} bad[] = {
		{ "", "list", ERR_CORRUPT },
		{ "<html><body>hello</body></html>", "none", ERR_CORRUPT },
		{ "<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult/>",
		  "document type", ERR_CORRUPT },
		{ "<ListBucketResult><Contents>", "malformed", ERR_CORRUPT },
		{ PAGE("<IsTruncated>true</IsTruncated>"), "goes on",
		  ERR_CORRUPT },
		{ PAGE("<Contents><Key>a b/p/x</Key></Contents>"), "size",
		  ERR_CORRUPT },
		{ PAGE(ENTRY("a b/p/x", "-1")), "size", ERR_CORRUPT },
		{ PAGE(ENTRY("a b/p/x", "12k")), "size", ERR_CORRUPT },
		{ PAGE(ENTRY("a b/p/y", "1") ENTRY("a b/p/x", "1")), "order",
		  ERR_UNSUPPORTED },
		{ PAGE(ENTRY("a b/p/x", "1") ENTRY("a b/p/x", "1")), "order",
		  ERR_UNSUPPORTED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		PLAY({ "GET", answer("200", "", bad[i].body) });
		fails(backend_list(be, "", see, &s, &err), bad[i].class,
		    bad[i].words);
		played();
	}

	PLAY({ "GET", answer("200", "", PAGE("<IsTruncated>true</IsTruncated>"
	    "<NextContinuationToken>2</NextContinuationToken>")) },
	    { "GET", answer("200", "", PAGE("<IsTruncated>true</IsTruncated>"
	    "<NextContinuationToken>2</NextContinuationToken>")) },
	    { "GET", answer("200", "", PAGE(ENTRY("a b/p/stop", "1")
	        ENTRY("a b/p/t", "1"))) },
	    { "GET", answer("403", "", XML("AccessDenied", "no")) });
	fails(backend_list(be, "", see, &s, &err), ERR_CORRUPT, "goes on");
	s.keys[0] = '\0';
	assert_int_equal(backend_list(be, "", see, &s, &err), 7);
	assert_string_equal(s.keys, "stop ");
	fails(backend_list(be, "", see, &s, &err), ERR_AUTH,
	    "allow s3:ListBucket");
	played();
}

/* --- removing -----------------------------------------------------------------------*/

static void removing_is_blind(void **state)
{
	PLAY({ "DELETE /bkt/a%20b/p/k ", "HTTP/1.1 204 Gone\r\n\r\n" },
	    { "DELETE", answer("404", "", XML("NoSuchKey", "")) },
	    { "DELETE", answer("403", "", XML("AccessDenied", "locked")) });

	(void)state;
	assert_int_equal(backend_del(be, "k", &err), 0);
	assert_int_equal(backend_del(be, "k", &err), 1);
	fails(backend_del(be, "k", &err), ERR_AUTH, "locked (HTTP 403); the "
	    "policy must allow s3:DeleteObject");
	played();
}

#define FAILED(key, code) "<Error><Key>a b/p/" key "</Key><Code>" code \
	"</Code><Message>m</Message></Error>"
#define RESULT(more) "<DeleteResult>" more "</DeleteResult>"

static void many_are_removed_at_once(void **state)
{
	const char *const keys[] = { "k/1", "k/2", "k/3" };

	PLAY({ "POST /bkt/?delete= HTTP/1.1\r\ncontent-md5: \n"
	    "x-amz-checksum-crc32c: \n<Quiet>true</Quiet>"
	    "<Object><Key>a b/p/k/1</Key></Object>\n<Key>a b/p/k/3</Key>",
	    answer("200", "", RESULT("")) },
	    { "POST", answer("200", "", RESULT(FAILED("k/2", "NoSuchKey"))) },
	    { "POST", answer("200", "", RESULT(FAILED("k/1", "InternalError")
	        FAILED("k/2", "AccessDenied") FAILED("k/3", "SlowDown"))) },
	    { "POST", answer("200", "", RESULT(FAILED("k/1", "SlowDown"))) },
	    { "POST", answer("200", "", "<Delete") },
	    { "POST", answer("503", "", "") },
	    { "POST", answer("501", "", XML("NotImplemented", "")) },
	    { "DELETE /bkt/a%20b/p/k/1", "HTTP/1.1 204 Gone\r\n\r\n" },
	    { "DELETE /bkt/a%20b/p/k/2", "HTTP/1.1 204 Gone\r\n\r\n" },
	    { "DELETE /bkt/a%20b/p/k/3", "HTTP/1.1 204 Gone\r\n\r\n" },
	    { "DELETE /bkt/a%20b/p/k/1", "HTTP/1.1 204 Gone\r\n\r\n" });

	(void)state;
	assert_int_equal(backend_del_many(be, keys, 3, &err), 0);
	assert_int_equal(backend_del_many(be, keys, 3, &err), 0);
	fails(backend_del_many(be, keys, 3, &err), ERR_AUTH,
	    "delete k/2: AccessDenied: m; the policy must allow "
	    "s3:DeleteObject");
	fails(backend_del_many(be, keys, 3, &err), ERR_TRANSIENT, "k/1");
	fails(backend_del_many(be, keys, 3, &err), ERR_TRANSIENT, "sense");
	fails(backend_del_many(be, keys, 3, &err), ERR_TRANSIENT, "503");
	assert_int_equal(backend_del_many(be, keys, 3, &err), 0);
	assert_int_equal(backend_del_many(be, keys, 1, &err), 0);
	played();
}

/* --- opening ----------------------------------------------------------------------*/

static void a_missing_bucket_is_made(void **state)
{
	struct backend_remote_options opt = { .create = true };

	PLAY({ "HEAD /bkt/ ", "HTTP/1.1 200 OK\r\n\r\n" },
	    { "HEAD /bkt/ ", "HTTP/1.1 404 No\r\n\r\n" },
	    { "PUT /bkt/ \nContent-Length: 0\n!Constraint",
	      answer("200", "", "") },
	    { "HEAD\n/eu-west-1/s3/", "HTTP/1.1 404 No\r\n\r\n" },
	    { "PUT /bkt/ \n<LocationConstraint>eu-west-1</Loc",
	      answer("409", "", XML("BucketAlreadyOwnedByYou", "yours")) },
	    { "HEAD", "HTTP/1.1 404 No\r\n\r\n" },
	    { "PUT", answer("409", "", XML("BucketAlreadyExists", "others")) },
	    { "HEAD", "HTTP/1.1 403 No\r\n\r\n" });

	(void)state;
	backend_close(be);
	be = open_with("bkt", "", &opt);
	assert_non_null(be);
	assert_string_equal(be->name, "s3://bkt");
	backend_close(be);
	be = open_with("bkt/", "", &opt);
	assert_non_null(be);
	backend_close(be);
	be = open_with("bkt", "&region=eu-west-1", &opt);
	assert_non_null(be);
	backend_close(be);
	be = open_with("bkt", "", &opt);
	assert_null(be);
	assert_non_null(strstr(err.msg, "BucketAlreadyExists"));
	be = open_with("bkt", "", &opt);
	assert_non_null(be);
	played();
}

/* What the bucket, an endpoint and a region make of a URL. */
static void places_have_their_form(void **state)
{
	static const struct {
		const char *bucket, *endpoint, *region;
		bool path_style;
		const char *base, *path;
	} v[] = {
		{ "bkt", NULL, "eu-west-1", false,
		  "https://bkt.s3.eu-west-1.amazonaws.com", "/" },
		{ "b.k.t", NULL, "us-east-1", true,
		  "https://s3.us-east-1.amazonaws.com", "/b.k.t/" },
		{ "bkt", NULL, "cn-north-1", false,
		  "https://bkt.s3.cn-north-1.amazonaws.com.cn", "/" },
		{ "bkt", "https://s3.example.org/", "r", true,
		  "https://s3.example.org", "/bkt/" },
		{ "bkt", "https://s3.example.org:443/a/b/", "r", true,
		  "https://s3.example.org", "/a/b/bkt/" },
		{ "bkt", "http://s3.example.org:443", "r", false,
		  "http://bkt.s3.example.org:443", "/" },
		{ "bkt", "http://[::1]:9000", "r", true,
		  "http://[::1]:9000", "/bkt/" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct backend_s3 s = { .bucket = (char *)(uintptr_t)v[i].bucket,
			.endpoint = (char *)(uintptr_t)v[i].endpoint,
			.path_style = v[i].path_style };
		struct backend_s3_place *p = backend_s3_place_new(&s,
		    v[i].region, &err);

		if (p == NULL)
			fail_msg("%s", err.msg);
		assert_string_equal(p->base, v[i].base);
		assert_string_equal(p->host, strstr(v[i].base, "//") + 2);
		assert_string_equal(p->path, v[i].path);
		backend_s3_place_free(p);
	}
}

static void both_styles_reach_the_bucket(void **state)
{
	const char *key = "k";
	char url[200];

	PLAY({ "PUT /k HTTP/1.1\r\nHost: bkt.localhost:\n",
	        answer("200", "", "") },
	    { "POST /?delete= HTTP", answer("200", "", "<DeleteResult/>") },
	    { "PUT /pre/fix/bkt/k HTTP", answer("200", "", "") },
	    { "POST /pre/fix/bkt/?delete= HTTP", answer("200", "",
	        "<DeleteResult/>") });

	(void)state;
	for (int i = 0; i < 2; i++) {
		snprintf(url, sizeof(url), i == 0 ? "s3://bkt?style=host&"
		    "endpoint=http://localhost:%u" : "s3://bkt?"
		    "endpoint=http://127.0.0.1:%u/pre/fix", server->port);
		backend_close(be);
		be = backend_s3_open(url, NULL, &err);
		assert_non_null(be);
		if (backend_put(be, key, "x", 1, &err) != 0 ||
		    backend_del_many(be, &key, 1, &err) != 0)
			fail_msg("%s", err.msg);
	}
	played();
}

static void options_go_with_every_put(void **state)
{
	struct backend_remote_options ro = { .read_only = true };

	PLAY({ "PUT /bkt/k\nx-amz-storage-class: STANDARD_IA\n"
	    "x-amz-server-side-encryption: aws:kms\n"
	    "x-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:x/1\n"
	    ";x-amz-storage-class, Signature", answer("200", "", "") });

	(void)state;
	backend_close(be);
	be = open_with("bkt", "&storage-class=STANDARD_IA&sse=aws:kms&"
	    "sse-key=arn%3Aaws:kms:x/1", NULL);
	assert_int_equal(backend_put(be, "k", "x", 1, &err), 0);
	played();
	backend_close(be);
	be = open_with("bkt/a%20b/p", "", &ro);

	const char *key = "k";

	fails(backend_put(be, "k", "x", 1, &err), ERR_AUTH, "reading only");
	fails(backend_put_over(be, "k", "x", 1, &err), ERR_AUTH, "only");
	fails(backend_del(be, "k", &err), ERR_AUTH, "reading only");
	fails(backend_del_many(be, &key, 1, &err), ERR_AUTH, "reading only");
}

static void malformed_urls_are_refused_without_being_repeated(void **state)
{
	static const struct { const char *url, *words; } bad[] = {
		{ "s3://", "names none" },
		{ "s3:///x", "names none" },
		{ "s3://AKID:s3cr3t@bkt/x", "no credentials" },
		{ "s3://AKID:s3/cr3t@bkt/x", "no credentials" },
		{ "s3://b kt", "bucket" },
		{ "s3://../x", "bucket" },
		{ "s3://bkt/a//b", "prefix" },
		{ "s3://bkt/a/../b", "prefix" },
		{ "s3://bkt/a%0ab", "prefix" },
		{ "s3://bkt/a%2", "hexadecimal" },
		{ "s3://bkt/a%00b", "hexadecimal" },
		{ "s3://bkt/x#y", "%23" },
		{ "s3://bkt?secret=s3cr3t", "secret, which is none of "
		  "endpoint" },
		{ "s3://bkt?region", "NAME=VALUE" },
		{ "s3://bkt?region=a&region=b", "twice" },
		{ "s3://bkt?region=a/b", "region" },
		{ "s3://bkt?style=other", "style=path" },
		{ "s3://bkt?sse=rot13", "sse=AES256" },
		{ "s3://bkt?sse-key=x", "sse=aws:kms" },
		{ "s3://bkt?storage-class=a%0d%0ab", "cannot be" },
		{ "s3://bkt?endpoint=ftp://x", "endpoint" },
		{ "s3://bkt?endpoint=http://u:s3cr3t@x", "endpoint" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err_clear(&err);
		assert_null(backend_s3_open(bad[i].url, NULL, &err));
		if (err.class != ERR_USAGE ||
		    strstr(err.msg, bad[i].words) == NULL ||
		    strstr(err.msg, "s3cr3t") != NULL)
			fail_msg("%s: %s", bad[i].url, err.msg);
	}
}

static void no_credentials_are_told_at_once(void **state)
{
	(void)state;
	unsetenv("AWS_ACCESS_KEY_ID");
	assert_null(backend_s3_open("s3://bkt", NULL, &err));
	assert_int_equal(err.class, ERR_USAGE);
	setenv("AWS_ACCESS_KEY_ID", "AKIDTEST", 1);
}

static void counters_count(void **state)
{
	struct backend_counters c;

	PLAY({ "PUT", answer("200", CLOSE, "") }, { "PUT", NULL });

	(void)state;
	assert_int_equal(backend_put(be, "k", "12345", 5, &err), 0);
	assert_int_equal(backend_put(be, "k", "12345", 5, &err), -1);
	backend_counters(be, &c);
	assert_int_equal(c.requests, 2);
	assert_int_equal(c.failed, 1);
	assert_true(c.sent >= 5);
}

static atomic_bool cancelled;

static bool is_cancelled(void *ctx)
{
	(void)ctx;
	return cancelled;
}

static void *cancel_soon(void *arg)
{
	(void)arg;
	conn_sleep_ms(50);
	cancelled = true;
	return NULL;
}

/* What hangs ends when the time that a cancelled run is given is over. */
static void a_cancelled_run_does_not_hang(void **state)
{
	struct backend_remote_options opt = { .cancelled = is_cancelled };
	int64_t grace = backend_http_grace_ns;
	pthread_t t;

	PLAY({ "PUT", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" });

	(void)state;
	backend_http_grace_ns = 1000000;
	backend_close(be);
	be = open_with("bkt/a%20b/p", "", &opt);
	assert_non_null(be);
	assert_int_equal(pthread_create(&t, NULL, cancel_soon, NULL), 0);
	fails(backend_put(be, "k", "x", 1, &err), ERR_CANCELLED, "put k");
	pthread_join(t, NULL);
	backend_http_grace_ns = grace;
	played();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(put_asks_for_what_it_means),
		TEST(refused_puts_have_their_class),
		TEST(a_put_whose_answer_was_lost_is_looked_at),
		TEST(a_store_without_conditions_is_weak),
		TEST(minio_that_is_removing_is_asked_again),
		TEST(ranges_are_what_was_asked_for),
		TEST(missing_is_told_from_refused),
		TEST(a_wrong_clock_is_taken_from_the_store_once),
		TEST(a_session_token_is_signed_and_its_end_told),
		TEST(expired_credentials_are_renewed_once),
		TEST(another_region_is_gone_over_to),
		TEST(listings_go_on_and_pass_over_what_is_foreign),
		TEST(listings_that_make_no_sense_are_errors),
		TEST(removing_is_blind),
		TEST(many_are_removed_at_once),
		TEST(a_missing_bucket_is_made),
		TEST(places_have_their_form),
		TEST(both_styles_reach_the_bucket),
		TEST(options_go_with_every_put),
		TEST(malformed_urls_are_refused_without_being_repeated),
		TEST(no_credentials_are_told_at_once),
		TEST(counters_count),
		TEST(a_cancelled_run_does_not_hang),
	};

	return cmocka_run_group_tests(tests, start_group, stop_group);
}
