#ifndef AGENT_ENGINE_SPANS_H
#define AGENT_ENGINE_SPANS_H

#include "repo/archive/archive.h"
#include "repo/store/store.h"

/*
 * Stored bytes in order, to be compared where ids say nothing: two family
 * secrets, or two deduplication domains, give equal bytes unequal ids and cuts.
 */
struct spans;

/*
 * For what snapshots of this domain hold.  st stays the caller's.  One thread;
 * it holds one chunk, one page a level of a map, and what a worker does.  NULL
 * with err: AUTH for another domain than the credential's without admin.
 */
struct spans *spans_new(struct store *st, const char *domain, struct err *err);
void spans_free(struct spans *s); /* NULL is fine */

/*
 * Go to the first byte of a file's content (what it refers to is borrowed until
 * the next such call), or of a block volume of `size` bytes.  0 or -1.
 */
int spans_content(struct spans *s, const struct fmt_content *c, struct err *err);
int spans_volume(struct spans *s, const struct archive_ref *root, uint64_t size,
    struct err *err);

/*
 * Call fn for each range of bytes in which the two differ, ascending, none
 * touching the next; of a 64 KiB block, or a run in it, all is told.  What one has
 * behind the other's end differs.  Return 0, fn's non-zero value, or -1 (CORRUPT).
 */
int spans_diff(struct spans *a, struct spans *b,
    int (*fn)(void *ctx, uint64_t off, uint64_t len, struct err *err),
    void *ctx, struct err *err);

#endif
