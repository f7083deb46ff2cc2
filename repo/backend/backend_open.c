#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "repo/backend/backend.h"

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

struct backend *backend_open(const char *url,
    const struct backend_local_options *opt, struct err *err)
{
	size_t n = scheme_len(url);

	if (n == 0)
		return backend_local_open(url, opt, err);
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
	return backend_local_open(url, opt, err);
}
