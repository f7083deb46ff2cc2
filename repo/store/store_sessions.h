#ifndef REPO_STORE_STORE_SESSIONS_H
#define REPO_STORE_STORE_SESSIONS_H

#include "repo/store/store.h"

/* Who is writing, and making a silent writer's session end (R6). */

enum store_session_state {
	STORE_SESSION_OPEN,     /* neither of those below */
	STORE_SESSION_OVER,     /* its snapshot key exists: commit or checkpoint */
	STORE_SESSION_REVOKED,  /* a revocation has that key */
	STORE_SESSION_NOTED,    /* its snapshot was forgotten */
};

struct store_session_info {
	uint8_t slot[STORE_SLOT_LEN];
	char session[STORE_SESSION_MAX];
	enum store_session_state state;
	bool believed;          /* signed by its slot; else only name and times */
	uint64_t generation;    /* declared */
	int64_t start_ns;       /* the writer's clock */
	int64_t modified_ns;    /* of the session object, the store's clock */
	uint64_t bytes_read, entries;
	char *host;             /* owned by the callee; borrowed for the call */
};

/*
 * Call fn for each session object, oldest first.  Return 0, fn's non-zero
 * value, or -1.
 */
int store_sessions(struct store *st,
    int (*fn)(void *ctx, const struct store_session_info *s, struct err *err),
    void *ctx, struct err *err);

/*
 * End a session by a revocation at its snapshot key.  Needs admin.  Return 0;
 * 1 when it was over before (a commit, checkpoint or revocation is there); -1:
 * NOTFOUND when it has no session object.  generation: told in it.
 */
int store_session_revoke(struct store *st, const uint8_t slot[STORE_SLOT_LEN],
    const char *session, uint64_t generation, struct err *err);

#endif
