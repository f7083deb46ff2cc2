#ifndef AGENT_ENGINE_LINKS_H
#define AGENT_ENGINE_LINKS_H

#include <stdbool.h>
#include <stdint.h>

#include "repo/base/err.h"

/*
 * What the content of hard-linked inodes became, so that an inode is read
 * once.  It is a bounded cache: what is forgotten is read again, and found to
 * be stored already.  For one thread.
 */
struct links;
struct content;

struct links *links_new(struct err *err);
void links_free(struct links *l); /* NULL is fine */

/* Has the inode been met (and not been forgotten)? */
bool links_seen(const struct links *l, uint64_t dev, uint64_t ino);
void links_add(struct links *l, uint64_t dev, uint64_t ino);

/* Keep c (taken over) for a inode that was met; released when it was not. */
void links_put(struct links *l, uint64_t dev, uint64_t ino, struct content *c);

/* What was kept, borrowed until the next links_add; NULL: nothing. */
const struct content *links_get(const struct links *l, uint64_t dev, uint64_t ino);

#endif
