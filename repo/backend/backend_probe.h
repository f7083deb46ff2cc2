#ifndef REPO_BACKEND_BACKEND_PROBE_H
#define REPO_BACKEND_BACKEND_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "repo/backend/backend.h"
#include "repo/base/err.h"

/* What a store does, tried out and not believed by name. */

struct backend_probe {
	/*
	 * Put-if-absent holds: a second put of a key is told so and changes
	 * nothing, and of puts that race exactly one wins.
	 */
	bool atomic_create;
	char why[160];     /* what did not hold, "" when it does */
	bool tried;        /* false: a local directory; the rest is not known */
	bool lists_at_once; /* a listing shows what was just put */
	bool may_replace;  /* this credential may replace objects */
	bool may_delete;   /* and delete them */
	/*
	 * The store's clock minus ours, ns, by the time of what was just put;
	 * within a second, and what the requests took.
	 */
	int64_t skew_ns;
};

/*
 * Try the store out with objects under "probe/", removed afterwards as far as
 * that is allowed, with what killed probes left there an hour ago or more: by 8
 * threads, and on a store that is reached by a network with 17 MiB in all.  A
 * local directory is believed: its kind of file system tells it.  Return 0 with
 * *ret_probe filled, or -1 with err where the store failed, or does not let
 * objects be put, read or listed.
 */
int backend_probe(struct backend *be, struct backend_probe *ret_probe,
    struct err *err);

#endif
