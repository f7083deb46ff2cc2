/* AWS credentials from services: what is asked, what is made of answers, and how
 * sets are renewed while others use them. */

#include "repo/backend/backend_aws_internal.h"
#include "tests/unit/backend_aws_world.h"

static void serve_sts(void)
{
	w.s = server_start(world_sts, NULL, NULL);
	setenv("AWS_ENDPOINT_URL_STS", w.s->url, 1);
}

static void web_identity(void)
{
	serve_sts();
	world_file("token", "AWS_WEB_IDENTITY_TOKEN_FILE", "jwt.s3cret+/=\n");
	setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/my role", 1);
}

static void serve_host(const char *variable, const char *path)
{
	char url[128];

	w.s = server_start(world_host, NULL, NULL);
	snprintf(url, sizeof(url), "%s%s", w.s->url, path);
	setenv(variable, url, 1);
}

static void machine(void)
{
	unsetenv("AWS_EC2_METADATA_DISABLED");
	serve_host("AWS_EC2_METADATA_SERVICE_ENDPOINT", "/");
}

/* --- the token service --- */

static void test_web_identity(void **state)
{
	(void)state;
	web_identity();
	setenv("AWS_ROLE_SESSION_NAME", "me", 1);
	world_get("ASIA1", "s3cret/1", "token+s3cret/1==");
	assert_true(w.c->expires_ns > clock_real_ns());
	world_has("POST / HTTP/1.1\r\n");
	world_has("\r\ncontent-type: application/x-www-form-urlencoded\r\n");
	world_has("\r\n\r\nAction=AssumeRoleWithWebIdentity&Version=2011-06-15"
	    "&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fmy%20role"
	    "&RoleSessionName=me&WebIdentityToken=jwt.s3cret%2B%2F%3D");
	/* A second call asks nobody. */
	world_get("ASIA1", "s3cret/1", "token+s3cret/1==");
	assert_int_equal(w.served, 1);
}

static void test_web_identity_of_a_profile(void **state)
{
	char config[300];

	(void)state;
	serve_sts();
	world_file("token", "X_TOKEN", "jwt");
	snprintf(config, sizeof(config), "[default]\nrole_arn = arn:p\n"
	    "web_identity_token_file = %s\nduration_seconds = 900\n",
	    getenv("X_TOKEN"));
	world_config(config);
	world_get("ASIA1", "s3cret/1", "token+s3cret/1==");
	world_has("RoleArn=arn%3Ap&RoleSessionName=wherry-");
	world_has("&DurationSeconds=900&WebIdentityToken=jwt");
}

/* A store with a token service of its own may want no role. */
static void test_web_identity_without_a_role(void **state)
{
	(void)state;
	web_identity();
	unsetenv("AWS_ROLE_ARN");
	world_get("ASIA1", "s3cret/1", "token+s3cret/1==");
	assert_null(strstr(w.text, "RoleArn"));
	backend_aws_free(w.a);
	w.a = NULL;
	unsetenv("AWS_ENDPOINT_URL_STS");
	world_fails(ERR_USAGE, "AWS_ROLE_ARN");
}

static void test_token_file_is_read_anew(void **state)
{
	(void)state;
	web_identity();
	world_get("ASIA1", "s3cret/1", "token+s3cret/1==");
	world_file("token", "AWS_WEB_IDENTITY_TOKEN_FILE", "second");
	assert_int_equal(backend_aws_refresh(w.a, w.c, &w.err), 0);
	world_has("WebIdentityToken=second");
	world_get("ASIA2", "s3cret/2", "token+s3cret/2==");
	world_file("token", "AWS_WEB_IDENTITY_TOKEN_FILE", " \n");
	assert_int_equal(backend_aws_refresh(w.a, w.c, &w.err), -1);
	world_says(ERR_USAGE, "/token");
	world_file("token", "AWS_WEB_IDENTITY_TOKEN_FILE", "s3cret\r\nX: y");
	assert_int_equal(backend_aws_refresh(w.a, w.c, &w.err), -1);
	world_says(ERR_USAGE, "/token");
}

static void test_role_with_keys_of_another_profile(void **state)
{
	(void)state;
	serve_sts();
	world_config("[default]\nregion = eu-west-1\nrole_arn = arn:r\n"
	    "source_profile = base\nexternal_id = e/1\nrole_session_name = s\n"
	    "[profile base]\naws_access_key_id = AKIA9\n"
	    "aws_secret_access_key = s3cret\naws_session_token = tok\n");
	world_get("ASIA1", "s3cret/1", "token+s3cret/1==");
	world_has("Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Ar"
	    "&RoleSessionName=s&ExternalId=e%2F1");
	world_has("\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKIA9/");
	world_has("/eu-west-1/sts/aws4_request");
	world_has("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token");
	world_has("\r\nx-amz-security-token: tok\r\n");
	assert_null(strstr(w.text, "s3cret"));
}

static void test_role_in_two_steps(void **state)
{
	(void)state;
	serve_sts();
	world_config("[default]\nrole_arn = arn:top\nsource_profile = mid\n"
	    "[profile mid]\nrole_arn = arn:mid\nsource_profile = mid\n"
	    "aws_access_key_id = AKIA9\naws_secret_access_key = s3cret\n");
	world_get("ASIA2", "s3cret/2", "token+s3cret/2==");
	world_has("Credential=ASIA1/");
	world_has("RoleArn=arn%3Atop");
}

static void test_refusals_of_the_token_service(void **state)
{
	static const struct { int status; const char *body; enum err_class class;
		const char *says; } all[] = {
		{ 403, "<ErrorResponse><Error><Code>AccessDenied</Code>"
		    "<Message>Not you</Message></Error></ErrorResponse>", ERR_AUTH,
		    "403 AccessDenied: Not you" },
		/* What it says of the token is not told. */
		{ 400, "<ErrorResponse><Error><Code>InvalidIdentityToken</Code>"
		    "<Message>bad jwt.s3cret+/=</Message></Error></ErrorResponse>",
		    ERR_AUTH, "400 InvalidIdentityToken" },
		{ 400, "<ErrorResponse><Error><Code>IDPCommunicationError</Code>"
		    "</Error></ErrorResponse>", ERR_TRANSIENT, "IDPComm" },
		{ 400, "<ErrorResponse><Error><Code>Throttling</Code>"
		    "</Error></ErrorResponse>", ERR_TRANSIENT, "Throttling" },
		{ 503, "", ERR_TRANSIENT, "503" },
		{ 404, "<html>", ERR_AUTH, "404" },
		{ 301, "", ERR_USAGE, "301" },
		{ 200, "", ERR_CORRUPT, "token service http://127.0.0.1" },
		{ 200, "<a><Credentials><AccessKeyId>s3cret</AccessKeyId>",
		    ERR_CORRUPT, "token service" },
		{ 200, "<a><Credentials><AccessKeyId>s3cret</AccessKeyId>"
		    "</Credentials></a>", ERR_CORRUPT, "lacks" },
		{ 200, "<a><Credentials><AccessKeyId>A</AccessKeyId>"
		    "<SecretAccessKey>s3cret</SecretAccessKey><SessionToken>t"
		    "</SessionToken><Expiration>soon</Expiration></Credentials></a>",
		    ERR_CORRUPT, "the time of their end" },
		{ 200, "<!DOCTYPE a [<!ENTITY x \"s3cret\">]><a>&x;</a>",
		    ERR_CORRUPT, "token service" },
	};

	(void)state;
	web_identity();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		pthread_mutex_lock(&w.s->lock);
		w.status = all[i].status;
		w.body = all[i].body;
		pthread_mutex_unlock(&w.s->lock);
		world_fails(all[i].class, all[i].says);
		world_says(all[i].class, "a web identity");
	}
}

static void test_no_token_service(void **state)
{
	(void)state;
	web_identity();
	setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1/", 1);
	world_fails(ERR_TRANSIENT, "127.0.0.1:1");
}

/* --- a container --- */

static void test_container(void **state)
{
	(void)state;
	serve_host("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/v1/credentials?x=s3cret");
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic s3cret", 1);
	world_get("ASIA1", "s3cret/1", "token+s3cret/1==");
	world_has("GET /v1/credentials?x=s3cret HTTP/1.1\r\n");
	world_has("\r\nAuthorization: Basic s3cret\r\n");
	/* The file comes first, and is read each time. */
	world_file("token", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "of a file\n");
	assert_int_equal(backend_aws_refresh(w.a, w.c, &w.err), 0);
	world_has("\r\nAuthorization: of a file\r\n");
	world_get("ASIA2", "s3cret/2", "token+s3cret/2==");
}

static void test_container_refuses(void **state)
{
	static const struct { int status; const char *body; enum err_class class; }
	    all[] = {
		{ 403, "{\"message\":\"s3cret\"}", ERR_AUTH },
		{ 500, "s3cret", ERR_TRANSIENT },
		{ 200, "", ERR_CORRUPT }, { 200, "[]", ERR_CORRUPT },
		{ 200, "{\"AccessKeyId\":\"s3cret\"", ERR_CORRUPT },
		{ 200, "{\"AccessKeyId\":\"s3cret\"}", ERR_CORRUPT },
		{ 200, "{\"AccessKeyId\":1,\"SecretAccessKey\":[]}", ERR_CORRUPT },
		{ 200, "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s3cret\","
		    "\"Expiration\":\"tomorrow\"}", ERR_CORRUPT },
		{ 200, "{\"Code\":\"Failed\"}", ERR_AUTH },
	};

	(void)state;
	serve_host("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/c?x=s3cret");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		pthread_mutex_lock(&w.s->lock);
		w.status = all[i].status;
		w.body = all[i].body;
		pthread_mutex_unlock(&w.s->lock);
		world_fails(all[i].class, "/c");
	}
}

static void test_container_elsewhere(void **state)
{
	(void)state;
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/x", 1);
	world_fails(ERR_USAGE, "must be https");
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1.example/", 1);
	world_fails(ERR_USAGE, "must be https");
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/", 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "s3cret\r\nX: 1", 1);
	assert_null(backend_aws_get(w.a, &w.err));
	assert_int_equal(w.err.class, ERR_USAGE);
}

/* --- a machine --- */

static void test_machine(void **state)
{
	(void)state;
	machine();
	world_get("ASIA1", "s3cret/1", "token+s3cret/1==");
	world_has("GET /latest/meta-data/iam/security-credentials/my%20role ");
	world_has("\r\nX-aws-ec2-metadata-token: imds-token\r\n");
	assert_true(w.c->expires_ns > clock_real_ns());
}

static void test_machine_without_a_role(void **state)
{
	(void)state;
	machine();
	w.role_status = 404;
	world_fails(ERR_USAGE, "the machine has no role");
	w.token_status = 404;
	world_fails(ERR_USAGE, "knows no IMDSv2");
	w.token_status = 403;
	world_fails(ERR_AUTH, "answers 403");
	w.token_status = 0;
	w.role_status = 500;
	world_fails(ERR_TRANSIENT, "answers 500");
}

static void test_no_machine(void **state)
{
	int64_t t = clock_mono_ns();

	(void)state;
	unsetenv("AWS_EC2_METADATA_DISABLED");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", 1);
	world_fails(ERR_USAGE, "http://127.0.0.1:1 does not answer");
	assert_true(clock_mono_ns() - t < INT64_C(30000000000));
}

/* --- renewing --- */

static void *get_many(void *arg)
{
	for (int i = 0; i < 200; i++) {
		struct err err = ERR_INIT;
		const struct backend_aws_credentials *c =
		    backend_aws_get(w.a, &err);

		if (c == NULL || strncmp(c->access_key, "ASIA", 4) != 0)
			return arg;
		/* Each set is of one piece. */
		if (strcmp(c->access_key + 4, c->secret_key + 7) != 0)
			return arg;
		backend_aws_release(c);
	}
	return NULL;
}

static void many_threads(void)
{
	pthread_t t[16];

	for (size_t i = 0; i < 16; i++)
		assert_int_equal(pthread_create(&t[i], NULL, get_many, &w), 0);
	for (size_t i = 0; i < 16; i++) {
		void *bad = NULL;

		pthread_join(t[i], &bad);
		assert_null(bad);
	}
}

static void test_one_asks_for_all(void **state)
{
	(void)state;
	web_identity();
	w.delay_ms = 100;
	world_open(NULL);
	many_threads();
	assert_int_equal(w.served, 1);
}

/* Sets that end soon are renewed, but not by every call. */
static void test_short_lives(void **state)
{
	(void)state;
	web_identity();
	w.lasts_s = 100;
	world_open(NULL);
	many_threads();
	assert_int_equal(w.served, 1);
	/* Even those that seem over at once, by a clock that is wrong. */
	backend_aws_free(w.a);
	w.lasts_s = -100000;
	world_open(NULL);
	many_threads();
	assert_int_equal(w.served, 2);
}

static void *refresh_one(void *arg)
{
	struct err err = ERR_INIT;

	return backend_aws_refresh(w.a, w.c, &err) == 0 ? NULL : arg;
}

static void test_many_were_refused(void **state)
{
	pthread_t t[16];

	(void)state;
	web_identity();
	world_get("ASIA1", "s3cret/1", "token+s3cret/1==");
	w.delay_ms = 50;
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(pthread_create(&t[i], NULL, refresh_one, &w), 0);
	for (size_t i = 0; i < 16; i++) {
		void *bad = NULL;

		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	assert_int_equal(w.served, 2);
}

/* A service that fails in the middle: what is there is used on. */
static void test_failing_renewal(void **state)
{
	(void)state;
	web_identity();
	world_get("ASIA1", "s3cret/1", "token+s3cret/1==");
	w.status = 503;
	w.body = "";
	assert_int_equal(backend_aws_refresh(w.a, w.c, &w.err), -1);
	world_says(ERR_TRANSIENT, "503");
	world_get("ASIA1", "s3cret/1", "token+s3cret/1==");
	w.status = 0;
	w.body = NULL;
	assert_int_equal(backend_aws_refresh(w.a, w.c, &w.err), 0);
}

/* Sets that end soon are renewed by one; the others use the old ones. */
static void test_renewal_that_is_due(void **state)
{
	pthread_t t;
	const struct backend_aws_credentials *c;

	(void)state;
	web_identity();
	w.lasts_s = 200;
	world_get("ASIA1", "s3cret/1", "token+s3cret/1==");
	w.a->pause_ns = 0;
	w.a->not_before_ns = 0;
	pthread_mutex_lock(&w.s->lock); /* the service thinks */
	assert_int_equal(pthread_create(&t, NULL, refresh_one, &w), 0);
	pthread_mutex_lock(&w.a->lock);
	while (!w.a->renewing) {
		pthread_mutex_unlock(&w.a->lock);
		conn_sleep_ms(1);
		pthread_mutex_lock(&w.a->lock);
	}
	pthread_mutex_unlock(&w.a->lock);
	for (int i = 0; i < 100; i++) {
		c = backend_aws_get(w.a, &w.err);
		assert_string_equal(c->access_key, "ASIA1");
		backend_aws_release(c);
	}
	pthread_mutex_unlock(&w.s->lock);
	pthread_join(t, NULL);
	/* Each that is due fetches, as there is no pause here. */
	world_get("ASIA3", "s3cret/3", "token+s3cret/3==");
	w.status = 500;
	w.body = "";
	world_get("ASIA3", "s3cret/3", "token+s3cret/3==");
	/* Once they are over, there is nothing to go on with. */
	w.status = 0;
	w.body = NULL;
	w.lasts_s = -10;
	backend_aws_refresh(w.a, w.c, &w.err);
	w.status = 500;
	w.body = "";
	assert_null(backend_aws_get(w.a, &w.err));
	world_says(ERR_TRANSIENT, "500");
}

static void test_cancel(void **state)
{
	(void)state;
	web_identity();
	world_open(NULL);
	net_cancel(w.n);
	world_fails(ERR_CANCELLED, "cancelled");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_web_identity), T(test_web_identity_of_a_profile),
		T(test_web_identity_without_a_role),
		T(test_token_file_is_read_anew),
		T(test_role_with_keys_of_another_profile),
		T(test_role_in_two_steps), T(test_refusals_of_the_token_service),
		T(test_no_token_service), T(test_container),
		T(test_container_refuses), T(test_container_elsewhere),
		T(test_machine), T(test_machine_without_a_role),
		T(test_no_machine), T(test_one_asks_for_all), T(test_short_lives),
		T(test_many_were_refused), T(test_failing_renewal),
		T(test_renewal_that_is_due), T(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
