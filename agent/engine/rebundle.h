#ifndef AGENT_ENGINE_REBUNDLE_H
#define AGENT_ENGINE_REBUNDLE_H

#include "agent/engine/backup_internal.h"

/*
 * Bundles of the parent of which little is used any more.  For the main
 * thread, while it goes along the parent's state.
 */

/*
 * The item is the same so far and uses a slice, which it->state tells.  It is
 * undecided (it->old) until merge_settle has been called for it, unless its
 * bundle was decided about before.  Return 0 or -1.
 */
int rebundle_join(struct backup *b, struct item *it, struct err *err);

/* To be called for each entry of the state once it has been dealt with. */
void rebundle_pass(struct backup *b, const struct fmt_state_entry *e);

/* An item that had joined has changed after all. */
void rebundle_leave(struct item *it);

/* Decide by what is known about the bundle that it waits for (it->old). */
void rebundle_force(struct backup *b, struct item *it);

/* The state has ended: decide about all.  rest_lives: what follows is used. */
void rebundle_end(struct backup *b, bool rest_lives);

/* Free what is kept; no item is touched. */
void rebundle_release(struct backup *b);

#endif
