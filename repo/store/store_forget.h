#ifndef REPO_STORE_STORE_FORGET_H
#define REPO_STORE_STORE_FORGET_H

#include "repo/store/store.h"

/*
 * Forget a snapshot (R10): its note first, then the snapshot's key.  Needs
 * admin.  Return 0; 1 when it was not there any more (a note is put all the
 * same); -1.
 */
int store_forget(struct store *st, const uint8_t slot[STORE_SLOT_LEN],
    const char *session, const char *reason, struct err *err);

/*
 * Remove notes older than keep_ns, each only after its snapshot's key was
 * removed once more.  *ret_removed counts them.  Needs admin.  0 or -1.
 */
int store_forget_expire(struct store *st, int64_t keep_ns,
    uint64_t *ret_removed, struct err *err);

/*
 * Remove checkpoints that a later snapshot of their chain supersedes, and the
 * session objects of sessions that are over.  Needs admin.  0 or -1.
 */
int store_forget_superseded(struct store *st, uint64_t *ret_removed,
    struct err *err);

/* When the store last saw the snapshot's object change (its own clock). */
int store_snapshot_stored_ns(struct store *st,
    const struct store_snapshot *sn, int64_t *ret_ns, struct err *err);

#endif
