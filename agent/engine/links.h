#ifndef AGENT_ENGINE_LINKS_H
#define AGENT_ENGINE_LINKS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/engine/content.h"
#include "repo/base/err.h"

/*
 * What the content of hard-linked inodes became, so that an inode is read
 * once.  It is a bounded cache: what is forgotten is read again, and found to
 * be stored already.  For one thread.
 */
struct links;

/*
 * The digest says which state of the inode the content is of: another name
 * that was looked at later may have found another one.
 */
struct linked {
	struct content content;
	uint64_t size;        /* bytes of the content */
	uint8_t digest[16];
	bool changed;         /* while it was read */
	bool no_carry;
};

struct links *links_new(struct err *err);
void links_free(struct links *l); /* NULL is fine */

/* Has the inode been met (and not been forgotten)? */
bool links_seen(const struct links *l, uint64_t dev, uint64_t ino);
void links_add(struct links *l, uint64_t dev, uint64_t ino);

/*
 * Keep k, whose content is taken over, for an inode that was met, in place of
 * what was kept for it; released when it was not met.
 */
void links_put(struct links *l, uint64_t dev, uint64_t ino, struct linked *k);

/*
 * What was kept of the inode in the state that digest tells; borrowed until
 * the next links_add or links_put; NULL: nothing.
 */
const struct linked *links_get(const struct links *l, uint64_t dev, uint64_t ino,
    const uint8_t digest[16]);

#endif
