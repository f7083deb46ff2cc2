#include <string.h>

#include "repo/backend/backend_aws_internal.h"

/* Profiles that take their rights from another, in a row. */
#define DEPTH_MOST 5

static int resolve(struct backend_aws *a, const struct backend_aws_files *f,
    const char *profile, unsigned depth, struct backend_aws_set **ret_set,
    struct buf *why, struct err *err);

/* Keys that stand in the profile.  Return 0, 1 when there are none, -1. */
static int fixed_keys(const struct backend_aws_files *f, const char *profile,
    struct backend_aws_set **ret_set, struct err *err)
{
	const char *id = backend_aws_files_get(f, profile, "aws_access_key_id");
	const char *key = backend_aws_files_get(f, profile,
	    "aws_secret_access_key");

	if (id == NULL && key == NULL)
		return 1;
	if (id == NULL || key == NULL)
		return err_set(err, ERR_USAGE, "profile %s in %s has only one of "
		    "aws_access_key_id and aws_secret_access_key", profile,
		    backend_aws_files_names(f));
	*ret_set = backend_aws_set_new(id, key,
	    backend_aws_files_get(f, profile, "aws_session_token"), 0, err);
	return *ret_set ? 0 : -1;
}

/* The credentials that credential_source names. */
static int from_source(struct backend_aws *a, const char *profile,
    const char *source, struct backend_aws_set **ret_set, struct err *err)
{
	struct buf why = BUF_INIT;
	int rc;

	if (strcmp(source, "Environment") == 0)
		rc = backend_aws_from_environment(a, ret_set, &why, err);
	else if (strcmp(source, "EcsContainer") == 0)
		rc = backend_aws_from_container(a, ret_set, &why, err);
	else if (strcmp(source, "Ec2InstanceMetadata") == 0)
		rc = backend_aws_from_machine(a, ret_set, &why, err);
	else
		rc = err_set(err, ERR_USAGE, "the credential_source of profile "
		    "%s is none of Environment, EcsContainer, "
		    "Ec2InstanceMetadata", profile);
	if (rc == 1) {
		buf_u8(&why, 0);
		if (buf_check(&why, "a message", err) == 0)
			err_set(err, ERR_USAGE, "the credential_source %s of "
			    "profile %s has none: %s", source, profile,
			    (char *)why.p);
		rc = -1;
	}
	buf_release(&why);
	return rc;
}

/* Whose rights a role is taken with. */
static int find_base(struct backend_aws *a, const struct backend_aws_files *f,
    const char *profile, unsigned depth, struct backend_aws_set **ret_set,
    struct err *err)
{
	const char *from = backend_aws_files_get(f, profile, "source_profile");
	const char *source = backend_aws_files_get(f, profile,
	    "credential_source");
	struct buf why = BUF_INIT;
	int rc;

	if (from == NULL && source != NULL)
		return from_source(a, profile, source, ret_set, err);
	if (from == NULL)
		return err_set(err, ERR_USAGE, "profile %s has a role_arn, but "
		    "none of source_profile, credential_source, "
		    "web_identity_token_file", profile);
	/* A profile may name itself: then its keys are meant. */
	rc = strcmp(from, profile) == 0 ? fixed_keys(f, from, ret_set, err) :
	    resolve(a, f, from, depth + 1, ret_set, &why, err);
	buf_release(&why);
	if (rc == 1)
		return err_set(err, ERR_USAGE, "the source_profile %s of profile "
		    "%s has no credentials in %s", from, profile,
		    backend_aws_files_names(f));
	return rc;
}

static int take_role(struct backend_aws *a, const struct backend_aws_files *f,
    const char *profile, unsigned depth, struct backend_aws_set **ret_set,
    struct err *err)
{
	const struct backend_aws_role role = {
		.arn = backend_aws_files_get(f, profile, "role_arn"),
		.session = backend_aws_files_get(f, profile, "role_session_name"),
		.external_id = backend_aws_files_get(f, profile, "external_id"),
		.duration = backend_aws_files_get(f, profile, "duration_seconds"),
	};
	const char *token = backend_aws_files_get(f, profile,
	    "web_identity_token_file");
	struct backend_aws_set *base = NULL;

	if (token != NULL)
		return backend_aws_sts_web(a, &role, token, ret_set, err);
	if (backend_aws_files_get(f, profile, "mfa_serial") != NULL)
		return err_set(err, ERR_USAGE, "profile %s wants a code from a "
		    "device (mfa_serial), which nobody is here to type; give "
		    "credentials that were fetched with it, by the environment",
		    profile);
	if (find_base(a, f, profile, depth, &base, err) < 0)
		return -1;

	int rc = backend_aws_sts_assume(a, &role,
	    backend_aws_set_credentials(base), ret_set, err);

	backend_aws_release(backend_aws_set_credentials(base));
	return rc;
}

/* Ways that are known and not gone here: said, not passed over. */
static int is_unfit(const struct backend_aws_files *f, const char *profile,
    struct err *err)
{
	static const char *const keys[] = { "credential_process", "sso_session",
		"sso_start_url" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (backend_aws_files_get(f, profile, keys[i]) != NULL)
			return err_set(err, ERR_USAGE, "profile %s has %s, which "
			    "is not supported; give what it gives by the "
			    "environment (aws configure export-credentials)",
			    profile, keys[i]);
	return 0;
}

static int resolve(struct backend_aws *a, const struct backend_aws_files *f,
    const char *profile, unsigned depth, struct backend_aws_set **ret_set,
    struct buf *why, struct err *err)
{
	if (depth >= DEPTH_MOST)
		return err_set(err, ERR_USAGE, "profiles name each other as "
		    "source_profile %u times in a row, or in a circle",
		    DEPTH_MOST);
	if (backend_aws_files_get(f, profile, "role_arn") != NULL)
		return take_role(a, f, profile, depth, ret_set, err);

	int rc = fixed_keys(f, profile, ret_set, err);

	if (rc == 1 && is_unfit(f, profile, err) < 0)
		return -1;
	if (rc == 1)
		buf_printf(why, "%s has none in %s", profile,
		    backend_aws_files_names(f));
	return rc;
}

int backend_aws_from_profile(struct backend_aws *a,
    struct backend_aws_set **ret_set, struct buf *why, struct err *err)
{
	/* Read anew each time: other programs put fresh keys there. */
	struct backend_aws_files *f = backend_aws_files_read(err);

	if (f == NULL)
		return -1;

	int rc = resolve(a, f, a->profile, 0, ret_set, why, err);

	backend_aws_files_free(f);
	return rc;
}

int backend_aws_from_web_identity(struct backend_aws *a,
    struct backend_aws_set **ret_set, struct buf *why, struct err *err)
{
	const struct backend_aws_role role = {
		.arn = backend_aws_env("AWS_ROLE_ARN"),
		.session = backend_aws_env("AWS_ROLE_SESSION_NAME"),
	};
	const char *file = backend_aws_env("AWS_WEB_IDENTITY_TOKEN_FILE");

	if (file == NULL) {
		buf_str(why, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
		return 1;
	}
	if (role.arn == NULL && !backend_aws_sts_is_own())
		return err_set(err, ERR_USAGE, "AWS_WEB_IDENTITY_TOKEN_FILE is "
		    "set, but AWS_ROLE_ARN is not");
	return backend_aws_sts_web(a, &role, file, ret_set, err);
}
