#ifndef REPO_BACKEND_BACKEND_AHEAD_H
#define REPO_BACKEND_BACKEND_AHEAD_H

#include "repo/backend/backend.h"

/*
 * Decorators for stores where each request takes long: one that reads ahead,
 * and one that shows what that is worth.  As all decorators each owns the
 * backend it is given, and returns NULL when that is NULL.
 */

/*
 * Let reads be made before they are needed, by at most `threads` threads of
 * its own (0: at once, by who says so) and in `memory` bytes.  A read that was
 * asked for ahead is answered once with what the store said then (of a whole
 * object also that it is not there); so who asks vouches that this moment will
 * do for whoever reads it.
 * NULL with err.
 */
struct backend *backend_ahead_new(struct backend *inner, unsigned threads,
    size_t memory, struct err *err);

/*
 * Say what will be read: a range (any part of it may be read then), a whole
 * object (by backend_get_all), whether an object is there (backend_stat), a
 * listing of just this prefix.  Nothing happens where be was not made by
 * backend_ahead_new, nor when there is no room or the object is not there.
 * Only what nobody took within ten seconds is forgotten by itself.
 */
void backend_ahead_get(struct backend *be, const char *key, uint64_t off,
    size_t len);
void backend_ahead_all(struct backend *be, const char *key);
void backend_ahead_stat(struct backend *be, const char *key);
void backend_ahead_list(struct backend *be, const char *prefix);
/* Forget what was asked for of keys and listings that begin with prefix. */
void backend_ahead_forget(struct backend *be, const char *prefix);

/* Requests to a slow store, and how many were waited for one after another. */
struct backend_slow_counts {
	uint64_t calls[BACKEND_DEL + 1]; /* by enum backend_op */
	uint64_t waits;
};

/*
 * A store that is far away: each request takes ms more, a listing as much for
 * each 1000 keys; it is no directory of this machine (backend_caps).  What was
 * sent and waited for is told at level INFO when it is closed.  NULL with err.
 */
struct backend *backend_slow_new(struct backend *inner, unsigned ms,
    struct err *err);
/* be: made by backend_slow_new.  waits: the longest chain of requests each of
 * which began after the one before it was answered. */
void backend_slow_counts(struct backend *be, struct backend_slow_counts *ret);

#endif
