#ifndef REPO_BACKEND_BACKEND_AWS_H
#define REPO_BACKEND_BACKEND_AWS_H

#include <stdint.h>

#include "repo/base/err.h"

/*
 * Where the S3 backend has its credentials from; private to this room.  They
 * are looked for in this order, the first place that has any is kept:
 *
 * 1. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (left out
 *    when a profile was asked for in the options);
 * 2. the profile (of the options, AWS_PROFILE, "default") in
 *    ~/.aws/credentials and ~/.aws/config or the files that
 *    AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE name: keys, role_arn with
 *    source_profile or credential_source, or web_identity_token_file;
 * 3. a web identity: AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN,
 *    AWS_ROLE_SESSION_NAME, by STS (AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL);
 * 4. a container's: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI with
 *    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN
 *    (ECS, EKS pod identity);
 * 5. the machine's role from its metadata service (IMDSv2), unless
 *    AWS_EC2_METADATA_DISABLED is "true".
 *
 * A place that is set up but fails is an error, the next is not tried: work
 * would go on with rights that nobody chose.
 */

struct net;
struct backend_aws;

/*
 * One set, unchanging.  The strings are in memory that is locked and wiped;
 * they may be read until the set is released.
 */
struct backend_aws_credentials {
	const char *access_key;
	const char *secret_key;    /* never shown */
	const char *session_token; /* NULL: none; never shown */
	int64_t expires_ns;        /* ns since 1970 UTC; 0: never */
};

struct backend_aws_options {
	struct net *net;     /* for STS and metadata; borrowed until the end */
	const char *profile; /* NULL: AWS_PROFILE, else "default" */
	const char *region;  /* NULL: environment, then profile */
};

/*
 * Read environment and files, ask nobody yet.  NULL with err: USAGE for a
 * malformed file or a profile that was named and is not there, FULL.
 */
struct backend_aws *backend_aws_new(const struct backend_aws_options *opt,
    struct err *err);

/* NULL is fine; sets that were not released yet stay good. */
void backend_aws_free(struct backend_aws *a);

/*
 * The region of the options, AWS_REGION, AWS_DEFAULT_REGION or the profile,
 * in this order, or NULL.  Belongs to a.
 */
const char *backend_aws_region(const struct backend_aws *a);

/*
 * Return credentials that are good now, for backend_aws_release.  Those that
 * end within 5 minutes are renewed by one of the callers while the others go on
 * with the old ones; where there are none that are good, all wait for it.  A
 * renewal that fails matters only once the old ones have ended.  From any
 * thread; blocks while a service is asked.
 *
 * NULL with err: USAGE where there are none anywhere (the message lists where
 * it looked) or what is set up is unfit, AUTH where a service refused, CORRUPT
 * where its answer makes no sense, TRANSIENT, CANCELLED, FULL.
 */
const struct backend_aws_credentials *backend_aws_get(struct backend_aws *a,
    struct err *err);

/*
 * The store said that these have expired: fetch others, unless that has been
 * done since.  The old set still is the caller's to release.  Return 0 when
 * backend_aws_get gives others now, 1 when the place has no others (keys that
 * are fixed, or the service gave the same again), -1 with err as
 * backend_aws_get.
 */
int backend_aws_refresh(struct backend_aws *a,
    const struct backend_aws_credentials *refused, struct err *err);

/* Give a set back; NULL is fine.  From any thread. */
void backend_aws_release(const struct backend_aws_credentials *c);

#endif
