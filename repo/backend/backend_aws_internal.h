#ifndef REPO_BACKEND_BACKEND_AWS_INTERNAL_H
#define REPO_BACKEND_BACKEND_AWS_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/backend/backend_aws.h"
#include "repo/backend/backend_sigv4.h"
#include "repo/base/buf.h"
#include "repo/base/err.h"
#include "repo/net/net.h"

/* What the places that AWS credentials come from share. */

/* Answers and files that hold credentials are not longer. */
#define BACKEND_AWS_MOST (64u << 10)

struct backend_aws_place;

struct backend_aws {
	struct net *net;
	char *profile;          /* the name in use */
	bool profile_asked;     /* by the options: before the environment */
	bool profile_named;     /* by options or environment: it must be there */
	char *region;           /* NULL: none */
	struct backend_sigv4 *signer;
	int64_t pause_ns;       /* between renewals that are not urgent */

	pthread_mutex_t lock;
	pthread_cond_t cond;
	/* Under lock. */
	struct backend_aws_set *now;
	bool renewing;          /* by some thread */
	uint64_t renewals;      /* that have ended */
	struct err failed;      /* how the last one ended; class NONE: well */
	int64_t fetched_ns;     /* when `now` came */
	int64_t not_before_ns;  /* a renewal that is not urgent waits until then */
	/* Set once by who renews: the first place that had any. */
	const struct backend_aws_place *place;
};

/*
 * Return a set with copies of these strings (token may be NULL or empty:
 * none), held once; NULL with err.
 */
struct backend_aws_set *backend_aws_set_new(const char *access_key,
    const char *secret_key, const char *session_token, int64_t expires_ns,
    struct err *err);
const struct backend_aws_credentials *backend_aws_set_credentials(
    struct backend_aws_set *s);

/* --- places: return 0 with *ret_set; 1 when it is not set up, having appended
 * why to `why`; -1 with err --- */

int backend_aws_from_profile(struct backend_aws *a,
    struct backend_aws_set **ret_set, struct buf *why, struct err *err);
int backend_aws_from_environment(struct backend_aws *a,
    struct backend_aws_set **ret_set, struct buf *why, struct err *err);
int backend_aws_from_web_identity(struct backend_aws *a,
    struct backend_aws_set **ret_set, struct buf *why, struct err *err);
int backend_aws_from_container(struct backend_aws *a,
    struct backend_aws_set **ret_set, struct buf *why, struct err *err);
int backend_aws_from_machine(struct backend_aws *a,
    struct backend_aws_set **ret_set, struct buf *why, struct err *err);

/* --- files --- */

/* The two files of profiles, read and cut into lines, in secret memory. */
struct backend_aws_files;

/* NULL with err; files that do not exist are empty. */
struct backend_aws_files *backend_aws_files_read(struct err *err);
void backend_aws_files_free(struct backend_aws_files *f); /* NULL is fine */
/* Whether either has the profile. */
bool backend_aws_files_has(const struct backend_aws_files *f,
    const char *profile);
/* A value that is set and not empty, or NULL; lives as long as f. */
const char *backend_aws_files_get(const struct backend_aws_files *f,
    const char *profile, const char *key);
/* "FILE and FILE", where they are looked for. */
const char *backend_aws_files_names(const struct backend_aws_files *f);

/*
 * Read a file that holds a token: its text without the ends of lines behind
 * it, in secret memory, to be freed with crypto_secret_free.  NULL with err:
 * USAGE when it cannot be read, is empty or holds a line's end.
 */
char *backend_aws_token_read(const char *path, struct err *err);

/* --- the token service --- */

struct backend_aws_role {
	const char *arn;       /* NULL: none, which some stores allow */
	const char *session;   /* NULL: a name of ours */
	const char *external_id, *duration; /* NULL: none */
};

/* AssumeRoleWithWebIdentity.  Return 0 or -1 with err. */
int backend_aws_sts_web(struct backend_aws *a,
    const struct backend_aws_role *role, const char *token_file,
    struct backend_aws_set **ret_set, struct err *err);
/* AssumeRole, signed with these. */
int backend_aws_sts_assume(struct backend_aws *a,
    const struct backend_aws_role *role,
    const struct backend_aws_credentials *by,
    struct backend_aws_set **ret_set, struct err *err);
/* Whether the service is another than AWS's own. */
bool backend_aws_sts_is_own(void);

/* --- small things --- */

/* A variable that is set and not empty, or NULL. */
const char *backend_aws_env(const char *name);
/* Parse "2026-11-01T12:00:00[.fff]Z" to ns since 1970; -1: it is none. */
int64_t backend_aws_time(const char *s);

#endif
