/* Where AWS credentials come from: files and variables, in their order. */

#include "tests/unit/backend_aws_world.h"

static void test_environment(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKIA1", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s3cret", 1);
	world_get("AKIA1", "s3cret", NULL);
	assert_int_equal(w.c->expires_ns, 0);
	backend_aws_free(w.a);
	w.a = NULL;
	/* What is lent stays good without its provider. */
	assert_string_equal(w.c->secret_key, "s3cret");
	setenv("AWS_SESSION_TOKEN", "token", 1);
	world_get("AKIA1", "s3cret", "token");
}

static void test_half_of_the_environment(void **state)
{
	(void)state;
	setenv("AWS_SECRET_ACCESS_KEY", "s3cret", 1);
	world_fails(ERR_USAGE, "AWS_ACCESS_KEY_ID is not");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	setenv("AWS_ACCESS_KEY_ID", "AKIA1", 1);
	world_fails(ERR_USAGE, "AWS_SECRET_ACCESS_KEY is not");
}

static void test_nothing_anywhere(void **state)
{
	(void)state;
	world_fails(ERR_USAGE, "no AWS credentials were found");
	world_says(ERR_USAGE, "AWS_ACCESS_KEY_ID is not set");
	world_says(ERR_USAGE, "/.aws/credentials");
	world_says(ERR_USAGE, "/.aws/config");
	world_says(ERR_USAGE, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
	world_says(ERR_USAGE, "AWS_CONTAINER_CREDENTIALS_FULL_URI is not set");
	world_says(ERR_USAGE, "AWS_EC2_METADATA_DISABLED is set");
}

static void test_profiles(void **state)
{
	(void)state;
	world_credentials("# a comment\n[default]\naws_access_key_id=AKIA2\n"
	    "aws_secret_access_key = s3cret=/+==  # another\r\n\r\n"
	    "[ other ]\n aws_ignored = nested\naws_access_key_id =AKIA3;4\n"
	    "aws_secret_access_key\t=\ts3cret\naws_session_token = tok\n");
	world_config("[default]\nregion = eu-west-1\ns3 =\n  addressing_style = path\n"
	    "[profile other]\nregion=us-west-2\n[sso-session other]\nregion=no\n"
	    "[profile third]\naws_access_key_id = AKIA5\n"
	    "aws_secret_access_key = s3cret5");
	world_get("AKIA2", "s3cret=/+==", NULL);
	assert_string_equal(backend_aws_region(w.a), "eu-west-1");
	backend_aws_free(w.a);
	w.a = NULL;
	setenv("AWS_PROFILE", "other", 1);
	world_get("AKIA3;4", "s3cret", "tok");
	assert_string_equal(backend_aws_region(w.a), "us-west-2");
	backend_aws_free(w.a);
	/* One that is asked for comes before the variable and the environment. */
	setenv("AWS_ACCESS_KEY_ID", "AKIA1", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s3cret", 1);
	world_open("third");
	world_get("AKIA5", "s3cret5", NULL);
	assert_null(backend_aws_region(w.a));
	backend_aws_free(w.a);
	w.a = NULL;
	/* And the environment before a profile that only is there. */
	world_get("AKIA1", "s3cret", NULL);
}

static void test_regions(void **state)
{
	const struct backend_aws_options opt = { .net = w.n, .region = "asked" };

	(void)state;
	world_config("[default]\nregion = file\n");
	world_open(NULL);
	assert_string_equal(backend_aws_region(w.a), "file");
	backend_aws_free(w.a);
	setenv("AWS_DEFAULT_REGION", "second", 1);
	world_open(NULL);
	assert_string_equal(backend_aws_region(w.a), "second");
	backend_aws_free(w.a);
	setenv("AWS_REGION", "first", 1);
	world_open(NULL);
	assert_string_equal(backend_aws_region(w.a), "first");
	backend_aws_free(w.a);
	w.a = backend_aws_new(&opt, &w.err);
	assert_non_null(w.a);
	assert_string_equal(backend_aws_region(w.a), "asked");
}

static void test_malformed_files(void **state)
{
	static const char *const bad[] = { "[default\nx=y\n", "[default]\ns3cret\n",
		"aws_secret_access_key = s3cret\n", "[default]\n= \ns3cret" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		world_credentials(bad[i]);
		world_fails(ERR_USAGE, "/credentials:");
		assert_null(w.a);
	}
	world_credentials("");
	world_config("[profile x]\nwhat\n");
	world_fails(ERR_USAGE, "/config:2");
	/* A directory is no file. */
	setenv("AWS_CONFIG_FILE", "/tmp", 1);
	world_fails(ERR_USAGE, "cannot read /tmp");
}

static void test_profiles_that_do_not_do(void **state)
{
	static const struct { const char *config, *says; } bad[] = {
		{ "[default]\naws_access_key_id = A\n", "only one of" },
		{ "[default]\nrole_arn = arn:x\n", "source_profile" },
		{ "[default]\nrole_arn = arn:x\nsource_profile = gone\n",
		    "gone" },
		{ "[default]\nrole_arn = arn:x\ncredential_source = Magic\n",
		    "credential_source" },
		{ "[default]\nrole_arn = arn:x\ncredential_source = Environment\n",
		    "AWS_ACCESS_KEY_ID" },
		{ "[default]\nrole_arn = arn:x\nmfa_serial = 1\nsource_profile = b\n"
		    "[profile b]\naws_access_key_id = A\n"
		    "aws_secret_access_key = s3cret\n", "mfa_serial" },
		{ "[default]\ncredential_process = /bin/s3cret\n",
		    "credential_process" },
		{ "[default]\nsso_session = x\n", "sso_session" },
		{ "[default]\nrole_arn = arn:x\nsource_profile = b\n"
		    "[profile b]\nrole_arn = arn:x\nsource_profile = default\n",
		    "circle" },
		{ "[default]\nrole_arn = arn:x\nweb_identity_token_file = /nowhere/t\n",
		    "/nowhere/t" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		world_config(bad[i].config);
		world_fails(ERR_USAGE, bad[i].says);
	}
	setenv("AWS_PROFILE", "nobody", 1);
	backend_aws_free(w.a);
	w.a = NULL;
	world_fails(ERR_USAGE, "no AWS profile nobody");
	assert_null(w.a);
}

/* Files are read anew when a store refuses what was in them. */
static void test_refresh_of_files(void **state)
{
	const struct backend_aws_credentials *old;

	(void)state;
	world_credentials("[default]\naws_access_key_id = A\n"
	    "aws_secret_access_key = s3cret\n");
	world_get("A", "s3cret", NULL);
	assert_int_equal(backend_aws_refresh(w.a, w.c, &w.err), 1);
	world_credentials("[default]\naws_access_key_id = B\n"
	    "aws_secret_access_key = s3cret2\n");
	assert_int_equal(backend_aws_refresh(w.a, w.c, &w.err), 0);
	old = w.c;
	w.c = NULL;
	world_get("B", "s3cret2", NULL);
	/* Another who still had the old ones finds them changed. */
	assert_int_equal(backend_aws_refresh(w.a, old, &w.err), 0);
	assert_string_equal(old->access_key, "A");
	backend_aws_release(old);
	world_credentials("");
	assert_int_equal(backend_aws_refresh(w.a, w.c, &w.err), -1);
	world_says(ERR_USAGE, "none any more");
	/* What was there does not end by that. */
	world_get("B", "s3cret2", NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_environment), T(test_half_of_the_environment),
		T(test_nothing_anywhere), T(test_profiles), T(test_regions),
		T(test_malformed_files), T(test_profiles_that_do_not_do),
		T(test_refresh_of_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
