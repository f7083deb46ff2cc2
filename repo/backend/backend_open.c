#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend.h"
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

struct backend *backend_open(const char *url,
    const struct backend_options *opt, struct err *err)
{
	static const struct backend_options defaults;
	size_t n = scheme_len(url);

	if (opt == NULL)
		opt = &defaults;
	if (n == 0)
		return open_local(url, opt, err);
	if (n != 4 || strncmp(url, "file", 4) != 0) {
		/* The rest is not shown: it may hold a secret. */
		err_set(err, ERR_UNSUPPORTED, "this program has no stores of "
		    "the kind \"%.*s:\" (a directory of that name is "
		    "./%.*s:...)", (int)n, url, (int)n, url);
		return NULL;
	}
	url += 5;
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
