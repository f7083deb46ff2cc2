#ifndef REPO_STORE_STORE_H
#define REPO_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/backend/backend.h"
#include "repo/base/buf.h"
#include "repo/base/err.h"
#include "repo/store/store_snapshot.h"
#include "repo/zip/zip.h"

/*
 * A repository: blobs by id, snapshots by name, credentials.  It knows packs,
 * index segments and sessions; it knows nothing of files and volumes.
 *
 * An opened store may be used by any number of threads; what is for one
 * thread at a time says so.
 */

enum store_right { STORE_WRITE = 1, STORE_READ = 2, STORE_ADMIN = 4 };
enum store_kind { STORE_DATA = 1, STORE_CATALOG = 2, STORE_STATE = 3 };

/* What opens a credential.  All pointers are borrowed for the call. */
struct store_secret {
	const char *passphrase; /* not NUL-terminated; NULL: use key_file */
	size_t passphrase_len;
	const char *key_file;   /* the line of a key file, NUL-terminated */
	const char *slot;       /* 16 hex; NULL: the key file's, else try all */
};

/* Cutting parameters of one mode; as chunker_params. */
struct store_chunking {
	uint32_t avg, min, max; /* bytes */
	uint64_t threshold;
};

/* What is known of an opened repository; borrowed from the store. */
struct store_info {
	uint8_t repository[16], family[16];
	uint32_t epoch;
	uint8_t slot[STORE_SLOT_LEN];
	unsigned rights;        /* of this credential: enum store_right, or-ed */
	const char *domain;
	const char *label;
	int64_t created_ns;
	uint32_t pack_size;     /* bytes */
	struct store_chunking stream, block;
	bool weak_store;
};

struct store_options {
	size_t memory;   /* bytes for index blocks, filters and page cache; 0: 64 MiB */
	size_t argon_memory; /* bound for Argon2id, bytes; 0: 256 MiB */
	uint32_t pack_size;  /* override, bytes (a small budget); 0: as configured */
};

struct store;

/*
 * Open the repository in be and take be over (also on failure).  Reads keys,
 * epochs and config; the index is read when it is first needed.  Creates
 * nothing.  NULL with err: NOTFOUND when there is no repository, AUTH when
 * the secret opens no credential or the slot has been removed, UNSUPPORTED
 * when it is newer than this program or needs a feature that this one lacks
 * (named), CORRUPT.
 */
struct store *store_open(struct backend *be, const struct store_secret *secret,
    const struct store_options *opt, struct err *err);
void store_close(struct store *st); /* NULL is fine */

const struct store_info *store_info(const struct store *st);

/* The backend, for those who count or list; it stays the store's. */
struct backend *store_backend(struct store *st);

/* 32-byte keys, valid until close.  NULL when the credential lacks the right. */
const uint8_t *store_cut_key(const struct store *st);   /* needs write */
const uint8_t *store_order_key(const struct store *st);

/* Class AUTH, naming the right and the slot, unless all of rights are held. */
int store_need(const struct store *st, unsigned rights, const char *what,
    struct err *err);

/* --- one thread's tools ------------------------------------------------------*/

/* Cipher, compressor and scratch memory of one thread at a time. */
struct store_worker;

/*
 * max_plain: longest plaintext in bytes that it puts (the largest chunk); what
 * is longer can still be read, with more memory.  NULL with err.
 * domain: whose ids are made and checked; NULL: the credential's own; another
 * one needs admin (class AUTH).
 */
struct store_worker *store_worker_new(struct store *st, enum zip_level level,
    size_t max_plain, const char *domain, struct err *err);
void store_worker_free(struct store_worker *w);
/* The id that a blob of these bytes has in w's domain. */
void store_blob_id(const struct store_worker *w, enum store_kind kind,
    const void *data, size_t len, uint8_t ret_id[STORE_ID_LEN]);
/* Bytes that such a worker holds. */
size_t store_worker_memory(enum zip_level level, size_t max_plain);

/* --- reading blobs -------------------------------------------------------------*/

/* Where a copy of a blob is.  pack is a number within this opened store. */
struct store_loc {
	uint32_t pack;
	uint32_t ordinal;
	uint32_t offset;     /* bytes from the pack's start */
	uint32_t sealed_len; /* bytes */
	uint32_t plain_len;  /* bytes */
};

/*
 * Find a copy of the blob.  Return 0, 1 when no segment names it (after the
 * index was listed once more), -1 with err.
 */
int store_locate(struct store *st, const uint8_t id[STORE_ID_LEN],
    struct store_loc *ret_loc, struct err *err);

/* Read len bytes from offset off of a pack, as they are stored. */
int store_pack_read(struct store *st, uint32_t pack, uint64_t off, void *dst,
    size_t len, struct err *err);

/* Write the object key of a pack for messages ("packs/aa/..."), NUL-terminated. */
void store_pack_name(struct store *st, uint32_t pack, char *dst, size_t cap);

/*
 * Open the sealed blob at `sealed` (loc->sealed_len bytes, as read from loc)
 * into dst, which has room for loc->plain_len bytes; the id is verified.
 * Return 0, or -1: CORRUPT naming pack and blob; AUTH without the read right
 * for data and catalog.
 */
int store_blob_open(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN],
    const struct store_loc *loc, const void *sealed, void *dst,
    struct err *err);

/*
 * Read a whole blob, trying every copy before calling it damaged.  The bytes
 * replace what ret_data holds.  Return 0; 1 when no segment names it; -1.
 */
int store_get(struct store *st, struct store_worker *w, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], struct buf *ret_data, struct err *err);

/* --- writing -----------------------------------------------------------------------*/

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
 * findable where a segment names it: one is written for what arrived.
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
