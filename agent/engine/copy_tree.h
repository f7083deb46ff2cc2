#ifndef AGENT_ENGINE_COPY_TREE_H
#define AGENT_ENGINE_COPY_TREE_H

#include "agent/engine/copy_internal.h"

/* A catalog of the source in the order of another key. */

struct copy_tree {
	/*
	 * Some entries are coming: told for each before `convert` is for any
	 * of them, so that what they need can be had together.  May be NULL.
	 */
	int (*gather)(void *ctx, const struct fmt_entry *e, struct err *err);
	/* All that is gathered is to be had now.  May be NULL. */
	int (*gathered)(void *ctx, struct err *err);
	/* Change e's content; what it points to then lives to the next call. */
	int (*convert)(void *ctx, struct fmt_entry *e, struct err *err);
	/*
	 * In the new order.  twin: another name in its directory has the same
	 * hash, or one above it.
	 */
	int (*entry)(void *ctx, const struct archive_path *dir,
	    const struct fmt_entry *e, bool twin, struct err *err);
	void *ctx;
};

/*
 * Tell all entries of c->sn by the key `order`.  Return 0, also when a page
 * could not be read (it is told as damage, and no entry is); or -1.
 */
int copy_tree(struct copy *c, const uint8_t order[32],
    const struct copy_tree *t, struct err *err);

#endif
