#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend.h"
#include "repo/backend/backend_remote.h"
#include "repo/backend/backend_ahead.h"

/*
 * Return the length of the scheme that url begins with, 0 for a path.  One
 * letter is none: nobody has such a scheme, but files are called "a:b".
 */
static size_t scheme_len(const char *url)
{
	size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
	bool letter = (url[0] >= 'a' && url[0] <= 'z') ||
	    (url[0] >= 'A' && url[0] <= 'Z');

	return letter && n >= 2 && url[n] == ':' ? n : 0;
}

static struct backend *open_local(const char *path,
    const struct backend_options *opt, struct err *err)
{
	struct backend *be = backend_local_open(path, &opt->local, err);
	const char *ms = getenv("WHERRY_TEST_LATENCY");

	/* How this program does with a store far away, where there is none. */
	if (be != NULL && ms != NULL && ms[0] >= '0' && ms[0] <= '9')
		be = backend_slow_new(be, (unsigned)strtoul(ms, NULL, 10), err);
	if (be != NULL && (opt->up != 0 || opt->down != 0))
		be = backend_limit_new(be, opt->up, opt->down, err);
	return be;
}

/* "file:PATH" or "file:///PATH". */
static struct backend *open_file_url(const char *url,
    const struct backend_options *opt, struct err *err)
{
	url += strlen("file:");
	if (strncmp(url, "//", 2) == 0) {
		url += 2;
		if (url[0] != '/') {
			err_set(err, ERR_USAGE, "a file: URL has no host; "
			    "write file:///PATH or file:PATH");
			return NULL;
		}
	}
	return open_local(url, opt, err);
}

/* Stores that are reached by HTTP; their limits are the client's. */
static const struct {
	const char *scheme;
	struct backend *(*open)(const char *url,
	    const struct backend_remote_options *opt, struct err *err);
} remote[] = {
	{ "azure", backend_azure_open },
	{ "s3", backend_s3_open },
};

struct backend *backend_open(const char *url,
    const struct backend_options *opt, struct err *err)
{
	static const struct backend_options defaults;
	size_t n = scheme_len(url);

	if (opt == NULL)
		opt = &defaults;
	if (n == 0)
		return open_local(url, opt, err);
	if (n == 4 && strncmp(url, "file", 4) == 0)
		return open_file_url(url, opt, err);

	const struct backend_remote_options ro = {
		.ca_file = opt->ca_file,
		.up = opt->up,
		.down = opt->down,
		.connections = opt->connections,
		.create = opt->local.create,
		.read_only = opt->local.read_only,
		.cancelled = opt->cancelled,
		.cancelled_ctx = opt->cancelled_ctx,
	};

	for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++)
		if (strlen(remote[i].scheme) == n &&
		    strncmp(url, remote[i].scheme, n) == 0)
			return remote[i].open(url, &ro, err);
	/* The rest is not shown: it may hold a secret. */
	err_set(err, ERR_UNSUPPORTED, "this program has no stores of the kind "
	    "\"%.*s:\" (a directory of that name is ./%.*s:...)", (int)n, url,
	    (int)n, url);
	return NULL;
}
