#ifndef REPO_STORE_STORE_SESSIONS_H
#define REPO_STORE_STORE_SESSIONS_H

#include "repo/store/store.h"

/* Who is writing, and making a silent writer's session end (R6). */

enum store_session_state {
	STORE_SESSION_OPEN,     /* none of those below */
	STORE_SESSION_OVER,     /* something else is at its snapshot key: a
	                           commit, a checkpoint, or what nobody signed */
	STORE_SESSION_REVOKED,  /* a revocation has that key */
	STORE_SESSION_NOTED,    /* its snapshot was forgotten */
};

/*
 * What a collector does about one that is OPEN (R6): powerless - nothing.
 * Not believed - revoke it at once: a rubbish object holds nobody up, and if
 * a real one was overwritten, its writer loses work and nobody data.  Else, if
 * it did not declare the generation: wait, and revoke it when it was silent
 * for too long by the store's clock (store_clock against modified_ns).
 */
struct store_session_info {
	uint8_t slot[STORE_SLOT_LEN];
	char session[STORE_SESSION_MAX];
	enum store_session_state state;
	bool believed;          /* signed by its slot; else only name and times */
	bool powerless;         /* its commit would not count: the slot does not
	                           exist, has ended, or may not write */
	uint64_t generation;    /* declared; 0 when not believed */
	int64_t start_ns;       /* the writer's clock; its name's when not believed */
	int64_t modified_ns;    /* of the session object, the store's clock */
	uint64_t bytes_read, entries;
	const char *host;       /* "" when not believed; borrowed for the call */
};

/*
 * Call fn for each session object, oldest by its name's time first.  One that
 * is removed meanwhile is left out.  Any credential will do.  Return 0, fn's
 * non-zero value, or -1.
 */
int store_sessions(struct store *st,
    int (*fn)(void *ctx, const struct store_session_info *s, struct err *err),
    void *ctx, struct err *err);

/*
 * End a session by a revocation at its snapshot key.  Needs admin.  Return 0;
 * 1 when it was over before (a commit, checkpoint, revocation or note is
 * there); -1: NOTFOUND when it has no session object.  generation: told in it.
 * Where the store does not create atomically the caller vouches that the
 * writer is not at work (R12).
 */
int store_session_revoke(struct store *st, const uint8_t slot[STORE_SLOT_LEN],
    const char *session, uint64_t generation, struct err *err);

/*
 * The store's own time, in ns since 1970: of a small object that is put, asked
 * for and removed again.  Needs a store that may be written to.  0 or -1.
 */
int store_clock(struct store *st, int64_t *ret_ns, struct err *err);

#endif
