#ifndef REPO_BACKEND_BACKEND_AZURE_H
#define REPO_BACKEND_BACKEND_AZURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/buf.h"
#include "repo/base/err.h"
#include "repo/net/net.h"

/*
 * Who the Azure backend is towards its store; private to this room.  Looked for
 * in this order, the first that is set is taken:
 *
 * 1. AZURE_STORAGE_CONNECTION_STRING, with AccountKey or SharedAccessSignature;
 * 2. AZURE_STORAGE_KEY, the account's key;
 * 3. AZURE_STORAGE_SAS_TOKEN, a shared access signature;
 * 4. AZURE_FEDERATED_TOKEN_FILE with AZURE_TENANT_ID and AZURE_CLIENT_ID: workload
 *    identity; the file is read anew for each token;
 * 5. AZURE_CLIENT_SECRET with the same two: a service principal;
 * 6. the managed identity of the machine (AZURE_CLIENT_ID chooses among many),
 *    asked for at its metadata service.
 *
 * AZURE_AUTHORITY_HOST is where tokens of 4 and 5 come from, by default
 * https://login.microsoftonline.com/.  What is set but wrong is an error; the
 * next is not tried, for work would go on with rights that nobody chose.
 */

struct backend_azure_auth;

/*
 * Read the environment, ask nobody yet.  account: that of the URL.  net: for
 * tokens; borrowed until the end.  NULL with err: USAGE for what is malformed or
 * of another account; FULL.
 */
struct backend_azure_auth *backend_azure_auth_new(const char *account,
    struct net *net, struct err *err);
void backend_azure_auth_free(struct backend_azure_auth *a); /* NULL is fine */

/* The endpoint that a connection string names, or NULL; lives as long as a. */
const char *backend_azure_auth_endpoint(const struct backend_azure_auth *a);

#define BACKEND_AZURE_HEADERS 12
#define BACKEND_AZURE_QUERY 8

/* What is signed of a request.  Strings are borrowed. */
struct backend_azure_request {
	const char *method;          /* "PUT" */
	const char *path;            /* of the URL, percent-encoded, from its '/' */
	struct net_header query[BACKEND_AZURE_QUERY]; /* by name; values decoded */
	size_t nquery;
	/* Names in lower case, those with x-ms- by name behind all others. */
	struct net_header headers[BACKEND_AZURE_HEADERS];
	size_t nheaders;
	size_t body_len;
};

/*
 * Make what proves who asks: append the value of Authorization to ret_header,
 * which stays empty with a shared access signature; append that one to
 * ret_query ("sig=...").  Both hold secrets: wipe them.  From any thread; a
 * token that ends soon is renewed first.  Return 0, or -1 with err: AUTH when a
 * token is refused, TRANSIENT, USAGE when no place has any credentials.
 */
int backend_azure_authorize(struct backend_azure_auth *a,
    const struct backend_azure_request *rq, struct buf *ret_header,
    struct buf *ret_query, struct err *err);

/*
 * The store says that what proved us is not good any more: forget the token.
 * Return true when another may be had, so that the call is worth being made
 * once more.
 */
bool backend_azure_expired(struct backend_azure_auth *a);

/*
 * The string that the account's key signs (version 2015-02-21 and later), for
 * tests, too.
 */
void backend_azure_string_to_sign(struct buf *dst, const char *account,
    const struct backend_azure_request *rq);

#endif
