#ifndef REPO_STORE_STORE_GC_H
#define REPO_STORE_STORE_GC_H

#include "repo/store/store_sessions.h"

/*
 * Giving space back while anything runs beside it: one generation at a time,
 * marked, waited for, judged, carried out (R4 to R8; README.md).
 */

/* Where a walker says what a snapshot needs. */
struct store_live;

/*
 * A page (catalog, state or byte map) that is reached.  Return 0 when it has
 * to be walked, 1 when what is below it has been told before, -1.
 */
int store_live_page(struct store_live *l, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], struct err *err);
/* A chunk or bundle that is reached.  Return 0 or -1. */
int store_live_chunk(struct store_live *l, const uint8_t id[STORE_ID_LEN],
    struct err *err);

/*
 * For who wants to know no more than whether all of it is indexed: begin, tell
 * all, ask once, end.  memory: bytes of each step; spill to TMPDIR else.  By
 * going through index and ids in one order this takes a small part of what a
 * look-up of each would.
 */
struct store_live *store_live_begin(size_t memory, struct err *err);
void store_live_end(struct store_live *l); /* NULL is fine */
/*
 * Return 0 when each told blob has an indexed copy in a pack that is there, and
 * which no repair has listed as damaged; 1 when not (or when the index was
 * merged meanwhile: look one by one), -1.
 */
int store_live_indexed(struct store *st, struct store_live *l, size_t memory,
    struct err *err);

/* What the rooms above know: which blobs a snapshot needs. */
struct store_walker {
	/*
	 * Tell all of sn's blobs to l.  A page that cannot be read fails it
	 * (R1: what cannot be resolved aborts a collection).  0 or -1.
	 */
	int (*walk)(void *ctx, struct store *st, const struct store_snapshot *sn,
	    struct store_live *l, struct err *err);
	void *ctx;
};

struct store_gc_options {
	bool wait;               /* for sessions that are still open */
	bool abandon;            /* put the verdict void on an open generation */
	bool dry_run;            /* tell what would go; put and delete nothing */
	bool sole_administrator; /* vouched for: needed on a weak store (R12) */
	unsigned max_waste;      /* percent dead from which a pack is repacked; 0: 20 */
	uint64_t max_repack;     /* bytes of packs to repack in this run; 0: all */
	size_t memory;           /* bytes beside the index and one bit an entry; 0: 64 MiB */
	uint64_t list_max;       /* bytes of lists in one generation; 0: 64 MiB */
	const char *spill_dir;   /* for what does not fit; NULL: TMPDIR or /tmp */
	int64_t silent_ns;       /* revoke a session silent for so long; 0: 30 min */
	int64_t note_ns;         /* keep notes so long; 0: 30 days */
	struct store_walker walker;
	bool (*cancelled)(void *ctx); /* NULL: never */
	/* stage: "snapshots", "index", "repacking", "deleting"; may be NULL. */
	void (*progress)(void *ctx, const char *stage, uint64_t done,
	    uint64_t total);
	/* A session that has to end first; may be NULL. */
	void (*waiting)(void *ctx, const struct store_session_info *s);
	void *ctx;               /* of all three */
};

enum store_gc_outcome {
	STORE_GC_NOTHING,  /* nothing is dead */
	STORE_GC_WAITING,  /* marked; sessions have to end, then run it again */
	STORE_GC_DONE,     /* a verdict was carried out */
	STORE_GC_VOID,     /* abandoned */
	STORE_GC_LOST,     /* another collector went on with it */
};

struct store_gc_result {
	enum store_gc_outcome outcome;
	uint64_t generation;
	uint64_t snapshots;             /* considered */
	uint64_t blobs, blobs_dead;     /* indexed copies */
	uint64_t packs, bytes;          /* there before, bytes */
	uint64_t packs_deleted, bytes_deleted;
	uint64_t packs_repacked, bytes_repacked; /* read; bytes of their packs */
	uint64_t bytes_written;         /* of new packs and segments */
	uint64_t sessions_waiting, sessions_revoked;
	uint64_t objects_removed;       /* checkpoints, sessions, notes, lists */
	uint64_t unindexed_packs;       /* of sessions that are over: dead */
};

/*
 * Collect.  Needs admin (which has read).  Any number may run at once, beside
 * any writers and readers.  Return 0 with *ret, or -1: AUTH, UNSUPPORTED (a
 * weak store without sole_administrator), CORRUPT (something a snapshot needs
 * cannot be read: nothing is deleted), CANCELLED (run again at any time).
 */
int store_gc(struct store *st, const struct store_gc_options *opt,
    struct store_gc_result *ret, struct err *err);

/* --- merging the index ----------------------------------------------------------*/

struct store_merge_options {
	size_t memory;           /* bytes; 0: 64 MiB */
	bool force;              /* into as few as fit in memory, whatever the sizes */
	bool (*cancelled)(void *ctx); /* NULL: never */
	void *ctx;
};
struct store_merge_result {
	uint64_t segments_before, segments_after; /* that count */
	uint64_t written;        /* merged segments stored */
	uint64_t entries;        /* in those */
	uint64_t dropped;        /* entries of packs that a verdict deleted */
	uint64_t stale;          /* segments left that name such packs still */
	uint64_t objects_removed;
	bool lost;               /* another merge was faster each time */
};
/*
 * Merge segments of sessions that are over, those of like sizes, under new
 * manifests; an entry leaves only when a delete verdict names its pack, the
 * verdict's list is still there, and the pack is gone: so who carries out a
 * verdict merges before it removes the list, and removes it only when *ret says
 * that no segment is stale.  Sources go when a manifest that covers them is in
 * force; any number of merges, readers and writers may be at work meanwhile
 * (README.md).  Needs admin.  Return 0 or -1; whatever happens, the index holds
 * what it held.
 */
int store_merge(struct store *st, const struct store_merge_options *opt,
    struct store_merge_result *ret, struct err *err);

#endif
