/* Azure Blob against a server that says what the test tells it to. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/backend/backend_azure.h"
#include "repo/backend/backend_remote.h"
#include "tests/unit/net_server.h"

#define KEY "c2VjcmV0LWtleS1vZi1hLXRlc3Q=" /* base64 of what no message holds */

/* What the server says to each request, in turn; the last one for ever. */
struct answer {
	int status;
	const char *headers; /* lines with their ends, or NULL */
	const char *body;    /* or NULL */
};

static struct {
	struct server *s;
	struct backend *be;
	struct err err;
	const struct answer *answers;
	size_t nanswers;
	size_t asked;            /* under s->lock, as what follows */
	char heads[8][4096];     /* of the first requests */
	char bodies[8][8192];
	char file[64];
} w;

static const struct answer *note(struct conn *c)
{
	const struct answer *a;

	pthread_mutex_lock(&c->srv->lock);
	if (w.asked < 8) {
		snprintf(w.heads[w.asked], sizeof(w.heads[0]), "%.4095s",
		    c->head);
		snprintf(w.bodies[w.asked], sizeof(w.bodies[0]), "%.8191s",
		    c->body);
	}
	a = &w.answers[w.asked < w.nanswers ? w.asked : w.nanswers - 1];
	w.asked++;
	pthread_mutex_unlock(&c->srv->lock);
	return a;
}

static void serve(struct conn *c)
{
	while (conn_request(c)) {
		const struct answer *a = note(c);
		const char *body = a->body != NULL ? a->body : "";

		conn_printf(c, "HTTP/1.1 %d Said\r\n%sContent-Length: %zu\r\n"
		    "\r\n", a->status, a->headers != NULL ? a->headers : "",
		    strlen(body));
		if (!conn_is(c, "HEAD "))
			conn_say(c, body);
	}
}

static void clear_environment(void)
{
	static const char *const names[] = {
		"AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_KEY",
		"AZURE_STORAGE_SAS_TOKEN", "AZURE_FEDERATED_TOKEN_FILE",
		"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET",
		"AZURE_AUTHORITY_HOST", "AZURE_STORAGE_ENDPOINT",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	clear_environment();
	setenv("AZURE_STORAGE_KEY", KEY, 1);
	w.s = server_start(serve, NULL, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	backend_close(w.be);
	server_stop(w.s);
	if (w.file[0] != '\0')
		unlink(w.file);
	return 0;
}

/* Open the store of the account "acc", container "box", below "pre/fix". */
static void open_store(void)
{
	char url[256];

	snprintf(url, sizeof(url), "azure://acc/box/pre/fix?endpoint=%s",
	    w.s->url);
	w.be = backend_azure_open(url, NULL, &w.err);
	if (w.be == NULL)
		fail_msg("%s", w.err.msg);
}

static void answers(const struct answer *a, size_t n)
{
	w.answers = a;
	w.nanswers = n;
	w.asked = 0;
}

#define ANSWERS(...) do { \
	static const struct answer list[] = { __VA_ARGS__ }; \
	answers(list, sizeof(list) / sizeof(list[0])); \
} while (0)

#define ERROR_BODY(code) "<?xml version=\"1.0\"?><Error><Code>" code \
	"</Code><Message>in words</Message></Error>"

static void failed(int r, enum err_class class, const char *word)
{
	assert_int_equal(r, -1);
	if (w.err.class != class)
		fail_msg("class %s: %s", err_class_name(w.err.class),
		    w.err.msg);
	if (strstr(w.err.msg, word) == NULL)
		fail_msg("no \"%s\" in: %s", word, w.err.msg);
	assert_null(strstr(w.err.msg, "abc%3D"));
	assert_null(strstr(w.err.msg, "=secret"));
	assert_null(strstr(w.err.msg, KEY));
}

static int put(void)
{
	return backend_put(w.be, "packs/ab/cd", "data", 4, &w.err);
}

static int get(char *dst, size_t len)
{
	return backend_get(w.be, "packs/ab/cd", 10, dst, len, &w.err);
}

/* --- what is signed ---------------------------------------------------------------*/

/* The example of the REST API's page on Shared Key. */
static void string_to_sign_is_as_published(void **state)
{
	static const char want[] = "GET\n\n\n\n\n\n\n\n\n\n\n\n"
	    "x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\n"
	    "x-ms-version:2015-02-21\n"
	    "/myaccount/mycontainer\ncomp:metadata\nrestype:container\n"
	    "timeout:20";
	struct backend_azure_request rq = {
		.method = "GET",
		.path = "/mycontainer",
		.query = { { "comp", "metadata" }, { "restype", "container" },
			{ "timeout", "20" } },
		.nquery = 3,
		.headers = { { "x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT" },
			{ "x-ms-version", "2015-02-21" } },
		.nheaders = 2,
	};
	struct buf b = BUF_INIT;

	(void)state;
	backend_azure_string_to_sign(&b, "myaccount", &rq);
	assert_int_equal(b.len, sizeof(want) - 1);
	assert_memory_equal(b.p, want, b.len);
	buf_release(&b);
}

static void a_put_is_conditional_signed_and_summed(void **state)
{
	(void)state;
	open_store();
	ANSWERS({ 201, NULL, NULL });
	assert_int_equal(put(), 0);
	assert_non_null(strstr(w.heads[0],
	    "PUT /acc/box/pre/fix/packs/ab/cd HTTP/1.1\r\n"));
	assert_non_null(strcasestr(w.heads[0], "\r\nif-none-match: *\r\n"));
	assert_non_null(strcasestr(w.heads[0],
	    "\r\nx-ms-blob-type: BlockBlob\r\n"));
	/* MD5 of "data". */
	assert_non_null(strcasestr(w.heads[0],
	    "\r\ncontent-md5: jXd/OF09/siBXSD3SWAm3A==\r\n"));
	assert_non_null(strcasestr(w.heads[0],
	    "\r\nauthorization: SharedKey acc:"));
	assert_string_equal(w.bodies[0], "data");
	assert_int_equal(backend_put_over(w.be, "sessions/a", "x", 1,
	    &w.err), 0);
	assert_null(strcasestr(w.heads[1], "if-none-match"));
}

/* --- answers -------------------------------------------------------------------------*/

static void answers_to_a_put(void **state)
{
	(void)state;
	open_store();
	ANSWERS({ 409, NULL, ERROR_BODY("BlobAlreadyExists") });
	assert_int_equal(put(), 1);
	ANSWERS({ 412, NULL, ERROR_BODY("ConditionNotMet") });
	assert_int_equal(put(), 1);
	ANSWERS({ 404, NULL, ERROR_BODY("ContainerNotFound") });
	failed(put(), ERR_NOTFOUND, "no such container");
	ANSWERS({ 403, NULL, ERROR_BODY("AuthorizationPermissionMismatch") });
	failed(put(), ERR_AUTH, "packs/ab/cd");
	ANSWERS({ 503, NULL, ERROR_BODY("ServerBusy") });
	failed(put(), ERR_TRANSIENT, "ServerBusy");
	ANSWERS({ 409, NULL, ERROR_BODY("BlobImmutableDueToPolicy") });
	failed(put(), ERR_AUTH, "immutability policy");
	ANSWERS({ 409, NULL, ERROR_BODY("ContainerBeingDeleted") });
	failed(put(), ERR_TRANSIENT, "ContainerBeingDeleted");
	/* What exists is no answer to a put over. */
	ANSWERS({ 412, NULL, ERROR_BODY("ConditionNotMet") });
	failed(backend_put_over(w.be, "sessions/a", "x", 1, &w.err), ERR_IO,
	    "ConditionNotMet");
	ANSWERS({ 400, NULL, "no XML at all" });
	failed(put(), ERR_IO, "HTTP 400");
}

static void answers_to_a_get(void **state)
{
	char dst[4];

	(void)state;
	open_store();
	ANSWERS({ 206, "Content-Range: bytes 10-13/99\r\n", "abcd" });
	assert_int_equal(get(dst, 4), 0);
	assert_memory_equal(dst, "abcd", 4);
	assert_non_null(strcasestr(w.heads[0],
	    "\r\nx-ms-range: bytes=10-13\r\n"));
	ANSWERS({ 206, "Content-Range: bytes 10-11/12\r\n", "ab" });
	failed(get(dst, 4), ERR_CORRUPT, "ends before byte 14");
	ANSWERS({ 416, NULL, ERROR_BODY("InvalidRange") });
	failed(get(dst, 4), ERR_CORRUPT, "ends before");
	ANSWERS({ 200, NULL, "abcd" });
	failed(get(dst, 4), ERR_CORRUPT, "no range");
	ANSWERS({ 404, NULL, ERROR_BODY("BlobNotFound") });
	assert_int_equal(get(dst, 4), 1);
	ANSWERS({ 404, NULL, ERROR_BODY("ContainerNotFound") });
	failed(get(dst, 4), ERR_NOTFOUND, "container");
}

static void answers_to_a_stat(void **state)
{
	struct backend_stat st;

	(void)state;
	open_store();
	ANSWERS({ 200, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
		"12345" });
	assert_int_equal(backend_stat(w.be, "config/1", &st, &w.err), 0);
	assert_int_equal(st.size, 5);
	assert_int_equal(st.mtime_ns, INT64_C(784111777000000000));
	/* HEAD tells why in a header. */
	ANSWERS({ 404, "x-ms-error-code: BlobNotFound\r\n", NULL });
	assert_int_equal(backend_stat(w.be, "config/1", &st, &w.err), 1);
	ANSWERS({ 404, "x-ms-error-code: ContainerNotFound\r\n", NULL });
	failed(backend_stat(w.be, "config/1", &st, &w.err), ERR_NOTFOUND,
	    "container");
	ANSWERS({ 200, NULL, "12345" });
	failed(backend_stat(w.be, "config/1", &st, &w.err), ERR_CORRUPT,
	    "time");
}

static void answers_to_a_del(void **state)
{
	(void)state;
	open_store();
	ANSWERS({ 202, NULL, NULL });
	assert_int_equal(backend_del(w.be, "packs/a", &w.err), 0);
	ANSWERS({ 404, NULL, ERROR_BODY("BlobNotFound") });
	assert_int_equal(backend_del(w.be, "packs/a", &w.err), 1);
	ANSWERS({ 409, NULL, ERROR_BODY("BlobImmutableDueToPolicy") });
	failed(backend_del(w.be, "packs/a", &w.err), ERR_AUTH, "immutability");
}

static void a_wrong_clock_is_set_once(void **state)
{
	(void)state;
	open_store();
	ANSWERS({ 403, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
		ERROR_BODY("AuthenticationFailed") },
	    { 201, NULL, NULL });
	assert_int_equal(put(), 0);
	assert_int_equal(w.asked, 2);
	assert_non_null(strcasestr(w.heads[1],
	    "\r\nx-ms-date: Sun, 06 Nov 1994 08:"));
	/* Who refuses us all the same is not asked for ever. */
	ANSWERS({ 403, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
		ERROR_BODY("AuthenticationFailed") });
	failed(put(), ERR_AUTH, "AuthenticationFailed");
	assert_in_range(w.asked, 1, 2);
}

static void a_reader_changes_nothing(void **state)
{
	struct backend_remote_options opt = { .read_only = true };
	char url[256];

	(void)state;
	snprintf(url, sizeof(url), "azure://acc/box?endpoint=%s", w.s->url);
	w.be = backend_azure_open(url, &opt, &w.err);
	assert_non_null(w.be);
	ANSWERS({ 201, NULL, NULL });
	failed(put(), ERR_USAGE, "reading only");
	failed(backend_del(w.be, "packs/a", &w.err), ERR_USAGE, "reading");
	assert_int_equal(w.asked, 0);
}

/* --- listing ------------------------------------------------------------------------------*/

#define BLOB(name, size) "<Blob><Name>" name "</Name><Properties>" \
	"<Last-Modified>Sun, 06 Nov 1994 08:49:37 GMT</Last-Modified>" \
	"<Content-Length>" size "</Content-Length></Properties></Blob>"
#define PAGE(blobs, next) "<?xml version=\"1.0\"?><EnumerationResults><Blobs>" \
	blobs "</Blobs><NextMarker>" next "</NextMarker></EnumerationResults>"

struct seen { char keys[8][64]; uint64_t sizes[8]; size_t n; };

static int see(void *ctx, const char *key, const struct backend_stat *st,
    struct err *err)
{
	struct seen *s = ctx;

	(void)err;
	snprintf(s->keys[s->n], sizeof(s->keys[0]), "%s", key);
	s->sizes[s->n++] = st->size;
	return s->n == 8 ? 5 : 0;
}

static void a_listing_goes_on_and_passes_over_what_is_foreign(void **state)
{
	struct seen s = { .n = 0 };

	(void)state;
	open_store();
	ANSWERS({ 200, NULL, PAGE(BLOB("pre/fix/packs/a", "7")
		BLOB("pre/fix/packs/NO KEY", "1") BLOB("other/packs/x", "1"),
		"go on &amp; on") },
	    { 200, NULL, PAGE(BLOB("pre/fix/packs/b", "8"), "") });
	assert_int_equal(backend_list(w.be, "packs/", see, &s, &w.err), 0);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.keys[0], "packs/a");
	assert_string_equal(s.keys[1], "packs/b");
	assert_int_equal(s.sizes[1], 8);
	assert_non_null(strstr(w.heads[0], "prefix=pre%2Ffix%2Fpacks%2F"));
	assert_non_null(strstr(w.heads[1], "marker=go%20on%20%26%20on&"));
}

static void a_listing_that_makes_no_sense_is_an_error(void **state)
{
	struct seen s = { .n = 0 };

	(void)state;
	open_store();
	ANSWERS({ 200, NULL, PAGE("", "same") });
	failed(backend_list(w.be, "packs/", see, &s, &w.err), ERR_CORRUPT,
	    "does not go on");
	ANSWERS({ 200, NULL, "<html>no" });
	failed(backend_list(w.be, "packs/", see, &s, &w.err), ERR_CORRUPT,
	    "list");
	ANSWERS({ 200, NULL, PAGE("<Blob><Name>pre/fix/packs/a</Name></Blob>",
		"") });
	failed(backend_list(w.be, "packs/", see, &s, &w.err), ERR_CORRUPT,
	    "no time");
	assert_int_equal(s.n, 0);
	ANSWERS({ 200, NULL, PAGE(BLOB("pre/fix/a", "1") BLOB("pre/fix/b", "1"),
		"") });
	s.n = 7;
	assert_int_equal(backend_list(w.be, "", see, &s, &w.err), 5);
}

/* --- credentials ----------------------------------------------------------------------------*/

static void not_opened(const char *url, enum err_class class, const char *word)
{
	w.be = backend_azure_open(url, NULL, &w.err);
	assert_null(w.be);
	failed(-1, class, word);
}

static void what_is_set_but_wrong_is_told(void **state)
{
	(void)state;
	setenv("AZURE_STORAGE_KEY", "no base64!", 1);
	not_opened("azure://acc/box", ERR_USAGE, "AZURE_STORAGE_KEY");
	unsetenv("AZURE_STORAGE_KEY");
	setenv("AZURE_STORAGE_SAS_TOKEN", "nonsense", 1);
	not_opened("azure://acc/box", ERR_USAGE, "AZURE_STORAGE_SAS_TOKEN");
	unsetenv("AZURE_STORAGE_SAS_TOKEN");
	setenv("AZURE_STORAGE_CONNECTION_STRING",
	    "AccountName=other;AccountKey=" KEY, 1);
	not_opened("azure://acc/box", ERR_USAGE, "other");
	setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=acc", 1);
	not_opened("azure://acc/box", ERR_USAGE, "AccountKey");
	unsetenv("AZURE_STORAGE_CONNECTION_STRING");
	setenv("AZURE_CLIENT_SECRET", "x", 1);
	not_opened("azure://acc/box", ERR_USAGE, "AZURE_TENANT_ID");
	not_opened("azure://acc", ERR_USAGE, "container");
	not_opened("azure://acc/box?sig=secret", ERR_USAGE, "sig");
}

static void a_connection_string_names_the_endpoint(void **state)
{
	char text[256];

	(void)state;
	snprintf(text, sizeof(text), "DefaultEndpointsProtocol=http;"
	    "AccountName=acc;AccountKey=" KEY ";BlobEndpoint=%s/acc;", w.s->url);
	setenv("AZURE_STORAGE_CONNECTION_STRING", text, 1);
	w.be = backend_azure_open("azure://acc/box", NULL, &w.err);
	assert_non_null(w.be);
	ANSWERS({ 201, NULL, NULL });
	assert_int_equal(put(), 0);
	assert_non_null(strstr(w.heads[0], "PUT /acc/box/packs/ab/cd HTTP"));
}

static void a_shared_access_signature_goes_into_the_query(void **state)
{
	(void)state;
	unsetenv("AZURE_STORAGE_KEY");
	setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=2021&sp=rw&sig=abc%3D", 1);
	open_store();
	ANSWERS({ 201, NULL, NULL });
	assert_int_equal(put(), 0);
	assert_non_null(strstr(w.heads[0], "cd?sv=2021&sp=rw&sig=abc%3D HTTP"));
	assert_null(strcasestr(w.heads[0], "authorization:"));
	ANSWERS({ 200, NULL, PAGE("", "") });
	struct seen s = { .n = 0 };

	assert_int_equal(backend_list(w.be, "", see, &s, &w.err), 0);
	assert_non_null(strstr(w.heads[0],
	    "restype=container&sv=2021&sp=rw&sig=abc%3D HTTP"));
	ANSWERS({ 403, NULL, ERROR_BODY("AuthenticationFailed") });
	failed(put(), ERR_AUTH, "AuthenticationFailed");
	assert_int_equal(w.asked, 1);
}

static void write_token(const char *text)
{
	FILE *f;

	if (w.file[0] == '\0') {
		snprintf(w.file, sizeof(w.file), "/tmp/wherry-token-XXXXXX");
		close(mkstemp(w.file));
	}
	f = fopen(w.file, "w");
	assert_non_null(f);
	fprintf(f, "%s\n", text);
	fclose(f);
}

static void federate(void)
{
	unsetenv("AZURE_STORAGE_KEY");
	write_token("first-assertion");
	setenv("AZURE_FEDERATED_TOKEN_FILE", w.file, 1);
	setenv("AZURE_TENANT_ID", "tenant", 1);
	setenv("AZURE_CLIENT_ID", "client", 1);
	setenv("AZURE_AUTHORITY_HOST", w.s->url, 1);
}

static void a_workload_identity_is_renewed(void **state)
{
	(void)state;
	federate();
	open_store();
	ANSWERS({ 200, NULL, "{\"access_token\":\"tok1\",\"expires_in\":3600}" },
	    { 201, NULL, NULL }, { 201, NULL, NULL },
	    { 401, NULL, ERROR_BODY("InvalidAuthenticationInfo") },
	    { 200, NULL, "{\"access_token\":\"tok2\",\"expires_in\":\"3600\"}" },
	    { 201, NULL, NULL });
	assert_int_equal(put(), 0);
	assert_non_null(strstr(w.heads[0],
	    "POST /tenant/oauth2/v2.0/token HTTP"));
	assert_non_null(strstr(w.bodies[0],
	    "client_assertion=first-assertion"));
	assert_non_null(strstr(w.bodies[0], "client_id=client"));
	assert_non_null(strcasestr(w.heads[1],
	    "\r\nauthorization: Bearer tok1\r\n"));
	/* The token is used again; then it has ended, and the file changed. */
	assert_int_equal(put(), 0);
	write_token("second-assertion");
	assert_int_equal(put(), 0);
	assert_int_equal(w.asked, 6);
	assert_non_null(strstr(w.bodies[4],
	    "client_assertion=second-assertion"));
	assert_non_null(strcasestr(w.heads[5],
	    "\r\nauthorization: Bearer tok2\r\n"));
}

static void a_token_that_ends_soon_is_not_used(void **state)
{
	(void)state;
	federate();
	open_store();
	ANSWERS({ 200, NULL, "{\"access_token\":\"tok1\",\"expires_in\":200}" },
	    { 201, NULL, NULL },
	    { 200, NULL, "{\"access_token\":\"tok2\",\"expires_in\":3600}" },
	    { 201, NULL, NULL });
	assert_int_equal(put(), 0);
	assert_int_equal(put(), 0);
	assert_int_equal(w.asked, 4);
	assert_non_null(strcasestr(w.heads[3], "Bearer tok2"));
}

static void a_token_that_is_refused_is_told(void **state)
{
	(void)state;
	federate();
	open_store();
	ANSWERS({ 400, NULL, "{\"error\":\"invalid_client\","
		"\"error_description\":\"AADSTS700016: no such client\\r\\nx\"}"
		});
	failed(put(), ERR_AUTH, "AADSTS700016");
	assert_null(strstr(w.err.msg, "first-assertion"));
	ANSWERS({ 503, NULL, "" });
	failed(put(), ERR_TRANSIENT, "HTTP 503");
	ANSWERS({ 200, NULL, "{\"expires_in\":3600}" });
	failed(put(), ERR_CORRUPT, "token");
	write_token("");
	failed(put(), ERR_USAGE, "no token");
	unlink(w.file);
	failed(put(), ERR_NOTFOUND, "AZURE_FEDERATED_TOKEN_FILE");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(string_to_sign_is_as_published),
		TEST(a_put_is_conditional_signed_and_summed),
		TEST(answers_to_a_put),
		TEST(answers_to_a_get),
		TEST(answers_to_a_stat),
		TEST(answers_to_a_del),
		TEST(a_wrong_clock_is_set_once),
		TEST(a_reader_changes_nothing),
		TEST(a_listing_goes_on_and_passes_over_what_is_foreign),
		TEST(a_listing_that_makes_no_sense_is_an_error),
		TEST(what_is_set_but_wrong_is_told),
		TEST(a_connection_string_names_the_endpoint),
		TEST(a_shared_access_signature_goes_into_the_query),
		TEST(a_workload_identity_is_renewed),
		TEST(a_token_that_ends_soon_is_not_used),
		TEST(a_token_that_is_refused_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
