#ifndef REPO_STORE_STORE_SESSION_INTERNAL_H
#define REPO_STORE_STORE_SESSION_INTERNAL_H

#include <pthread.h>

#include "repo/store/store_internal.h"

/* What only the writing files of the room share. */

/*
 * A segment is written after an eighth of the bytes sent before, within these
 * bounds, or so long, or so many entries: so much is sent again after a kill,
 * and the number of segments grows with the logarithm of what is sent first.
 */
#define STORE_SEGMENT_BYTES_MIN ((uint64_t)128 << 20)
#define STORE_SEGMENT_BYTES_MAX ((uint64_t)1 << 30)
#define STORE_SEGMENT_NS ((int64_t)300 * 1000000000)
#define STORE_SEGMENT_ENTRIES 65536u
/* From so many written entries on, a session forgets them and uses segments. */
#define STORE_TABLE_KEEP 32768u

#define STORE_SMALL_PACK ((uint32_t)4 << 20) /* catalog and state packs */
#define STORE_ALIVE_NS ((int64_t)300 * 1000000000)

/* An entry of a pack's directory; its ordinal is its place. */
struct store_ent {
	uint8_t id[STORE_ID_LEN];
	uint32_t offset, sealed, plain; /* bytes */
};

/* A whole pack's memory, and the data key of the pack that is in it. */
struct store_pack_buf {
	uint8_t *mem;   /* pages; NULL until first used */
	uint8_t *parity; /* pages for its parity; NULL until first used */
	uint8_t *key;   /* STORE_KEY_LEN bytes of the session's secret memory */
	bool taken;
};

/* A pack that a session writes; its entries outlive its buffer. */
struct store_pack {
	struct store_session *s;
	uint32_t index;          /* in s->packs */
	enum store_kind kind;
	char key[FMT_KEY_MAX];
	struct fmt_pack_record rec; /* complete once it is stored */
	uint8_t sealed_key[FMT_SEALED_KEY_BOX];
	struct store_pack_buf *buf; /* NULL once it is stored or failed */
	struct store_ent *ent;
	uint32_t n, cap;         /* entries */
	uint32_t end;            /* where the next blob goes, bytes */
	uint32_t soft;           /* closed when it would grow beyond this */
	unsigned sealing;        /* blobs being sealed in place */
	bool closed, last, arrived;
	uint32_t segment;        /* number of the segment that names it; 0: none */
	struct store_pack *next; /* in the list of those to be finished */
};

struct store_table_slot { uint32_t pack, ordinal; }; /* pack + 1; 0: empty */

struct store_table {
	struct store_table_slot *slot;
	uint32_t nslots, n;
};

int store_table_init(struct store_table *t, struct err *err);
void store_table_release(struct store_table *t);
bool store_table_has(const struct store_table *t,
    struct store_pack *const *packs, const uint8_t id[STORE_ID_LEN]);
/* Make sure that one more entry can be added. */
int store_table_room(struct store_table *t, struct store_pack *const *packs,
    struct err *err);
/* Add an entry of packs[pack]; room was made. */
void store_table_add(struct store_table *t, struct store_pack *const *packs,
    uint32_t pack, uint32_t ordinal);
void store_table_clear(struct store_table *t);

/* What is known of a pack by R2. */
enum { STORE_UNSEEN, STORE_SEEN, STORE_GONE };

struct store_session {
	struct store *st;
	struct store_executor executor;
	bool (*cancelled)(void *ctx);
	void *cancelled_ctx;
	bool look;                   /* nothing is declared, put or committed */
	bool declared;               /* its session object was put */
	bool sent;                   /* so was its commit, with whatever outcome */
	struct store_epoch *epoch;   /* of all that this session seals */
	char name[STORE_SESSION_MAX];
	char object[FMT_KEY_MAX];          /* key of the session object */
	char *host, *volume, *domain;
	int64_t name_ns;             /* the time in its name; 0: when it began */
	uint8_t volume_hash[32];
	enum store_content content;
	int64_t start_ns;
	uint64_t generation;         /* declared; never rises */
	struct store_dead *dead;
	struct store_bad *bad;
	struct store_snapshot *parent;
	struct store_snapshot *rest; /* whole, when the parent is a checkpoint */
	bool carry, rest_carry;
	uint64_t counter;            /* of the snapshot to come */
	uint8_t predecessor_hash[32];
	char predecessor[STORE_SESSION_MAX];

	pthread_mutex_t lock;
	pthread_cond_t changed;      /* a buffer came back, a job ended */
	/* All below under lock. */
	bool failed;
	struct err why;
	struct store_pack_buf *bufs;
	unsigned nbufs;
	uint32_t buf_len, pack_size;
	size_t parity_len;           /* room for the parity of a pack; 0: none */
	uint8_t *keys;               /* secret: STORE_KEY_LEN a buffer */
	struct store_pack **packs;   /* those whose entries are remembered */
	uint32_t npacks, cappacks;
	struct store_table table;
	struct store_pack *open[STORE_STATE + 1][2];
	struct store_pack *ready;    /* closed and sealed, to be finished */
	uint64_t coin;               /* random bits left for the choice of packs */
	unsigned coins;
	unsigned jobs;               /* finishing packs */
	bool segmenting;             /* one thread is writing a segment */
	uint32_t next_segment;       /* its number, from 1 */
	uint32_t opened_segments;    /* those up to it are in the index */
	uint64_t unnamed_bytes, unnamed_entries; /* arrived, in no segment */
	uint64_t named_entries;      /* in a segment and still remembered */
	int64_t last_segment_ns;     /* by clock_mono_ns */
	int64_t last_alive_ns;
	uint8_t *seen;               /* by pack number: STORE_UNSEEN ... */
	uint32_t nseen;
	struct buf pack_names;       /* 16 bytes each, all packs that arrived */
	struct store_session_stats stats;
};

/* Remember the first failure of the session and wake who waits.  Return -1. */
int store_session_fail(struct store_session *s, const struct err *why);
/* Under lock: return 0, or -1 with the session's first failure in err. */
int store_session_failed(const struct store_session *s, struct err *err);

/*
 * Under lock: room for a blob of `len` sealed bytes in an open pack of that
 * kind; its entry is made and counts as being sealed.  Return the pack, or
 * NULL: with *ret_wait true when no buffer is free, else with err.
 */
struct store_pack *store_pack_reserve(struct store_session *s,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN], uint32_t len,
    uint32_t plain, uint32_t *ret_ordinal, bool *ret_wait, struct err *err);
/* Under lock: make it one of the session's; p->index is set.  0 or -1. */
int store_pack_remember(struct store_session *s, struct store_pack *p,
    struct err *err);
/* Under lock: the blob is in place (or the session failed). */
void store_pack_sealed(struct store_pack *p);
/* Under lock: no more blobs go to it. */
void store_pack_close(struct store_pack *p);
/* Under lock, which is let go meanwhile: have ready packs finished. */
void store_pack_drain(struct store_session *s);
void store_pack_free(struct store_pack *p);

/*
 * Write a segment of all packs that arrived and are in none, when one is due
 * or `now`.  Takes the lock itself.  Return 0 or -1 with err.
 */
int store_segment_flush(struct store_session *s, bool now, struct err *err);

/*
 * Store what a blob is sealed from: prefix and packed payload of a blob whose
 * id has been proven.  Return as store_put does.
 */
int store_put_opened(struct store_session *s, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN], const void *opened,
    size_t len, uint32_t plain_len, struct store_put_result *ret,
    struct err *err);

/*
 * As store_put with `verify`, of a blob whose id has been proven: by a key that
 * need not be the one that new blobs get theirs by.
 */
int store_put_as(struct store_session *s, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN], const void *data,
    size_t len, struct store_put_result *ret, struct err *err);

/*
 * Begin a session of who mends: needs admin, no right to write, has no parent
 * and is never committed.
 */
struct store_session *store_session_begin_mend(struct store *st,
    struct err *err);
/*
 * Store what is open, name it in a segment, and free the session: without a
 * snapshot.  0 or -1.
 */
int store_session_end(struct store_session *s, struct err *err);

/* --- the beginning (store_begin.c) */

/*
 * What is read before the session is declared, and does not hang on each other.
 * Nothing that was asked for before this session may answer it.
 */
void store_begin_ahead(struct store *st,
    const struct store_session_options *opt);
/*
 * List the volume's snapshots, oldest first: names differ in time alone.  For a
 * parent the newest will be read, with its note (R3 asks for both).  0 or -1.
 */
int store_begin_list(struct store_session *s, bool parent,
    struct store_keys *ret, struct err *err);
/*
 * What comes behind the declaration: gc/, then the listings, made at once and
 * none of them before gc/ was read to its end, then the parent.  mends: what is
 * damaged will be added to.  0 or -1.
 */
int store_begin_read(struct store_session *s,
    const struct store_session_options *opt, bool mends, struct err *err);

/*
 * Choose the parent, what stands behind a checkpoint, and the predecessor (R3),
 * after gc/ was read.  keys: the volume's snapshots, listed after that, too.
 * spec and rest as in store_session_options.
 */
int store_parent_choose(struct store_session *s, const struct store_keys *keys,
    const char *spec, const char *rest, struct err *err);

#endif
