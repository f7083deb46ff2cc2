#ifndef REPO_BASE_EXTENT_H
#define REPO_BASE_EXTENT_H

#include <stdint.h>

#include "repo/base/err.h"

/* A byte range of a block volume or file. */
struct extent {
	uint64_t off; /* bytes */
	uint64_t len; /* bytes, never 0 */
};

/*
 * A stream of extents in ascending order without overlap.  next() writes the
 * following one and returns 0, 1 at the end, -1 with err.  The owner of the
 * source frees ctx.
 */
struct extent_source {
	int (*next)(void *ctx, struct extent *ret_ext, struct err *err);
	void *ctx;
};

#endif
