#ifndef REPO_BACKEND_BACKEND_XML_H
#define REPO_BACKEND_BACKEND_XML_H

#include <stddef.h>

#include "repo/base/err.h"

/*
 * A bounded reader of the XML that stores answer with.  A document type, and
 * with it every entity that is not XML's own, is refused; so are more than
 * BACKEND_XML_DEPTH elements in each other, a path above BACKEND_XML_PATH bytes
 * and a text above BACKEND_XML_TEXT bytes.  Attributes, comments and processing
 * instructions are passed over.  Private to this room.
 */

#define BACKEND_XML_DEPTH 16
#define BACKEND_XML_PATH 256
#define BACKEND_XML_TEXT 16384

/*
 * Called where an element ends.  path names it from the root on, without
 * namespaces ("ListBucketResult/Contents/Key"); text is what a leaf holds, or
 * in an element with others in it what comes after the last of them, never
 * NULL.  Both live until it returns.  Return 0 to go on, any other value to
 * stop (negative: err filled).
 */
typedef int backend_xml_fn(void *ctx, const char *path, const char *text,
    struct err *err);

/*
 * Read the document of len bytes, calling fn for each element.  Return 0, fn's
 * value, or -1 with err: CORRUPT when it is not well-formed, empty, or beyond
 * the bounds above; FULL.
 */
int backend_xml_read(const void *doc, size_t len, backend_xml_fn *fn,
    void *ctx, struct err *err);

/* Where the text of the first element of this path goes. */
struct backend_xml_want {
	const char *path;
	char *dst;  /* cap bytes, with its NUL; a longer text is cut */
	size_t cap; /* at least 1 */
};

/*
 * Fill what is wanted, "" for what is not found.  For bodies of errors, so it
 * does not fail: what stands before something malformed is taken.
 */
void backend_xml_pick(const void *doc, size_t len,
    const struct backend_xml_want *want, size_t n);

#endif
