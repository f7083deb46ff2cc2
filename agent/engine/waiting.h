#ifndef AGENT_ENGINE_WAITING_H
#define AGENT_ENGINE_WAITING_H

#include "repo/base/buf.h"
#include "repo/format/fmt_entry.h"

/*
 * In the catalog a directory's entry stands among its siblings and what is in
 * it comes later.  In an archive the one is to stand before the other, or
 * archivers restore its metadata too early.  So directories wait here, in
 * bounded memory, until it is their turn.
 */
struct waiting;

/* fn puts out a directory; its path is below the top and ends with a slash. */
struct waiting *waiting_new(int (*fn)(void *ctx, const struct buf *path,
    const struct fmt_entry *e, struct err *err), void *ctx, struct err *err);
void waiting_free(struct waiting *w); /* NULL is fine */

/*
 * The entries that come now are in dir ("" or "a/b/"): put out what stands
 * before them.
 */
int waiting_enter(struct waiting *w, const struct buf *dir, struct err *err);

/* A directory in the one that was entered. */
int waiting_add(struct waiting *w, const char *name, size_t len,
    const struct fmt_entry *e, struct err *err);

/* Put out all that is left. */
int waiting_end(struct waiting *w, struct err *err);

#endif
