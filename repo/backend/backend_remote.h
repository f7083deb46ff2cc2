#ifndef REPO_BACKEND_BACKEND_REMOTE_H
#define REPO_BACKEND_BACKEND_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/backend/backend.h"
#include "repo/base/err.h"

/*
 * Object stores that are reached by HTTP.  Opened by URL:
 *
 *   s3://BUCKET[/PREFIX][?endpoint=URL&region=NAME&style=path|host
 *       &storage-class=NAME&sse=AES256|aws:kms&sse-key=ID&profile=NAME]
 *   azure://ACCOUNT/CONTAINER[/PREFIX][?endpoint=URL&tier=NAME]
 *
 * Values are percent-encoded.  A URL never holds a secret: those that do
 * (a user part, a SAS token) are refused with a message that does not repeat
 * it.  One attempt a call; backend_retry_new goes around it.
 *
 * How an answer becomes a class, in both: 404 of an object is the 1 of the
 * vtable; a missing bucket or container is NOTFOUND; 401 and 403 AUTH, naming
 * store, operation and key, and what the store said; 409 and 412 of a create
 * "exists before" (1), where the store means that, and TRANSIENT where it
 * asks to try again; 408, 429, 5xx and what net_do calls TRANSIENT are that;
 * a quota is FULL; a redirect to another region is followed once, to another
 * endpoint USAGE with what to set; anything else IO.  A 403 or 404 is never
 * repeated, but that an expired credential is refreshed once, and that MinIO
 * denies a put that meets a removal.  A clock that is wrong (skew) is taken
 * from the store's Date and the call is made once more.
 */

/* backend_open fills it from its options; NULL is all zeros. */
struct backend_remote_options {
	const char *ca_file;  /* see net_options */
	uint64_t up, down;    /* bytes a second; 0: no limit */
	unsigned connections; /* 0: as net */
	bool create;          /* make the bucket or container if it is missing */
	bool read_only;       /* refuse every change */
	/* Return true to give up (a cancelled run); NULL: never. */
	bool (*cancelled)(void *ctx);
	void *cancelled_ctx;
};

/*
 * Open one; url as above.  Nothing but the bucket's existence is looked at,
 * and that only with create.  NULL with err: USAGE for a malformed URL or no
 * credentials anywhere (the message lists where they were looked for),
 * NOTFOUND, AUTH, TRANSIENT.
 */
struct backend *backend_s3_open(const char *url,
    const struct backend_remote_options *opt, struct err *err);
struct backend *backend_azure_open(const char *url,
    const struct backend_remote_options *opt, struct err *err);

#endif
