#ifndef REPO_STORE_STORE_FORGET_H
#define REPO_STORE_STORE_FORGET_H

#include "repo/store/store.h"

/*
 * Forgetting.  Each of these can be ended at any moment and run again, by any
 * number of administrators at once.
 */

/*
 * Forget a snapshot or checkpoint (R10): its note first, then its key.  Needs
 * admin.  Return 0; 1 when it was not there any more (a note is put all the
 * same) or is a revocation, which stays for ever (no note is put); -1.  What
 * nobody signed is removed too.  Where no snapshot was, but a session object
 * or rubbish under the key, a revocation is left in its place: a session that
 * was over must not be able to commit when the note has gone.
 */
int store_forget(struct store *st, const uint8_t slot[STORE_SLOT_LEN],
    const char *session, const char *reason, struct err *err);

/*
 * Forget what stands under the name "SLOT/ID" (16 hex each) and cannot be
 * believed to be a snapshot: damaged, or nobody's.  Needs admin.  Return 0, or
 * -1: NOTFOUND when there is no such object, USAGE when it is a sound snapshot.
 */
int store_forget_unsound(struct store *st, const char *spec,
    const char *reason, struct err *err);

/*
 * Remove notes that are older than keep_ns by their own time and by the
 * store's, each only after its snapshot's key was removed once more (a
 * revocation there stays).  What stands under forgotten/ and is no note goes
 * when it is as old by the store's time; it removes no snapshot.  *ret_removed
 * counts what went.  Needs admin.  0 or -1.
 */
int store_forget_expire(struct store *st, int64_t keep_ns,
    uint64_t *ret_removed, struct err *err);

/*
 * Forget checkpoints that a later commit of their chain (slot and volume)
 * supersedes, then remove the session objects of sessions that are over or
 * powerless (store_sessions.h).  Needs admin.  0 or -1.
 */
int store_forget_superseded(struct store *st, uint64_t *ret_removed,
    struct err *err);

#endif
