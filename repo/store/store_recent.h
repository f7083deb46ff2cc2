#ifndef REPO_STORE_STORE_RECENT_H
#define REPO_STORE_STORE_RECENT_H

#include <stdbool.h>

#include "repo/store/store_snapshot.h"

/* Following snapshots as they come and go, for those who look for long. */

/*
 * As store_snapshots without checkpoints, but a snapshot of which known says
 * true is not read again: being asked tells that it is still there.  known is
 * asked of everything that stands at a snapshot's key.
 */
int store_snapshots_recent(struct store *st,
    bool (*known)(void *ctx, const uint8_t slot[STORE_SLOT_LEN],
        const char *session),
    int (*fn)(void *ctx, struct store_snapshot **sn, struct err *err),
    void (*bad)(void *ctx, const char *key, const struct err *why),
    void *ctx, struct err *err);

#endif
