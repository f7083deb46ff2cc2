#ifndef REPO_STORE_STORE_WRITE_H
#define REPO_STORE_STORE_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/err.h"
#include "repo/store/store_snapshot.h"

/* Writing: sessions, putting blobs, the commit. */

enum store_kind { STORE_DATA = 1, STORE_CATALOG = 2, STORE_STATE = 3 };

struct store;
struct store_worker;

/* Runs fn(arg) on some thread, or at once; blocks while too much is pending. */
struct store_executor {
	void (*submit)(void *ctx, void (*fn)(void *arg), void *arg);
	void *ctx;
};

struct store_session_options {
	const char *volume;       /* name of the volume; its chain of snapshots */
	const char *host;         /* told in the session object */
	enum store_content content;
	const char *parent;       /* "auto", "none", or an id of the same slot */
	/*
	 * When the parent is a checkpoint: what holds the positions that it has
	 * not reached.  "auto" or NULL: the volume's last whole snapshot; "none";
	 * or an id (none, when that is no more).
	 */
	const char *rest;
	/*
	 * Only look: the store is not told of the session, a put says whether
	 * the blob would be new and stores nothing, and only abort ends it.  What
	 * it says of the parent holds for now only.
	 */
	bool look;
	/*
	 * Of a copy: the domain of its ids and order (another one than the
	 * credential's needs admin; NULL: the credential's), and the time in its
	 * name, so that it is found where the original is (0: now).
	 */
	const char *domain;
	int64_t name_ns;
	unsigned pack_buffers;    /* packs in memory at once, at least 4; 0: 6 */
	struct store_executor executor; /* submit NULL: in the caller's thread */
	bool (*cancelled)(void *ctx);   /* asked before the commit; NULL: never */
	void *cancelled_ctx;
};

struct store_session;

/*
 * Begin to write: R1 of the protocol (highest generation, session object, gc/,
 * index) and the choice of the parent (R3).  Needs write.  Return the session
 * or NULL with err.
 */
struct store_session *store_session_begin(struct store *st,
    const struct store_session_options *opt, struct err *err);

/*
 * Give up without commit; waits for what is under way.  What was put stays
 * findable where a segment names it: one is written for what arrived.  The
 * session is ended by a revocation that its slot signs, so that no collection
 * waits for it; a failure of that is logged only.
 */
void store_session_abort(struct store_session *s);

/*
 * The parent, or NULL; owned by the session.  Where *ret_carry is true, R3
 * allows its references to be carried over unread, but for those that
 * store_carry refuses; else each is asked for by store_present.
 */
const struct store_snapshot *store_session_parent(const struct store_session *s,
    bool *ret_carry);

/*
 * The same of the whole snapshot before a parent that is a checkpoint: for
 * positions that this has not reached.  NULL when there is none.
 */
const struct store_snapshot *store_session_rest(const struct store_session *s,
    bool *ret_carry);

/*
 * Return 1 when a collection is marked that this session has not declared: a
 * session that begins now cannot rely on all that this one has stored (R3); 0
 * when there is none; -1 with err.
 */
int store_session_collected(const struct store_session *s, struct err *err);

struct store_put_result {
	uint8_t id[STORE_ID_LEN];
	bool is_new;         /* it was stored by this call */
	uint32_t stored_len; /* bytes it takes in its pack; 0 when not new */
};

/*
 * Make sure that the blob will be there when the session commits: id, look up,
 * compress, seal, pack.  data is borrowed for the call.  verify: decode and
 * compare before sealing.  Called by any thread with its own worker; blocks
 * while all pack buffers are being written.  A failure fails the session.
 */
int store_put(struct store_session *s, struct store_worker *w,
    enum store_kind kind, const void *data, size_t len, bool verify,
    struct store_put_result *ret, struct err *err);

/*
 * Return 0 when the blob is present by R2 (or was put by this session), 1 when
 * it must be stored again, -1 with err.
 */
int store_present(struct store_session *s, const uint8_t id[STORE_ID_LEN],
    struct err *err);

/*
 * Say that these blobs will probably be asked for, or put: where a request takes
 * long, whether their packs are there is asked meanwhile.
 */
void store_present_ahead(struct store_session *s,
    const uint8_t (*ids)[STORE_ID_LEN], size_t n);

/*
 * Where R3 allows what a parent refers to (chunk, bundle, catalog leaf, map
 * page) to be carried over unread: may this be?  Return 0; 1 when it must be
 * read and stored again, for it is listed as damaged and no copy is known to be
 * whole; -1.  Cheap while nothing is listed.
 */
int store_carry(struct store_session *s, const uint8_t id[STORE_ID_LEN],
    struct err *err);

/*
 * True when blobs are known to be damaged: what is carried over without its
 * ids being seen (pages with what is below them) has to be gone through then.
 */
bool store_session_healing(const struct store_session *s);

/*
 * Tell that work goes on: rewrites the session object when 5 minutes have
 * passed since the last time.  Class CONFLICT when the session was revoked.
 */
int store_session_alive(struct store_session *s, uint64_t bytes_read,
    uint64_t entries, struct err *err);

/* What is to be committed.  Strings are borrowed. */
struct store_commit {
	bool checkpoint;
	unsigned flags;
	struct store_ref state, catalog;
	uint64_t size, entries;
	uint64_t files, dirs, others, bytes_read, bytes_new;
	int64_t start_ns, end_ns;
	const char *user, *program;
	const char *origin; /* as in store_snapshot; NULL or "": it is no copy */
	const char *const *paths; size_t npaths;
	const char *const *tags; size_t ntags;
};

/*
 * Write what is open (packs, then the segment, then the snapshot) and end the
 * session; it is freed in every case.  Return 0 with the snapshot's 16 hex in
 * ret_id; 1 with them when `cancelled` said so once packs and segment were put:
 * it became a checkpoint, though it lacks nothing; or -1: nothing was
 * committed; class CONFLICT when the session had been revoked.
 */
int store_session_commit(struct store_session *s, const struct store_commit *c,
    char ret_id[17], struct err *err);

/* Counters of a session, for progress and statistics. */
struct store_session_stats {
	uint64_t blobs_new, blobs_known;
	uint64_t bytes_packed; /* of new blobs as sealed */
	uint64_t bytes_sent;   /* of objects stored */
	uint64_t packs, segments;
};
void store_session_stats(struct store_session *s, struct store_session_stats *ret);

#endif
