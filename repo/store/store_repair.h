#ifndef REPO_STORE_STORE_REPAIR_H
#define REPO_STORE_STORE_REPAIR_H

#include "repo/store/store_check.h"

/*
 * Mending what can be mended: the index from pack directories, whole blobs out
 * of damaged packs, and a list of damaged blobs, which count as absent from
 * then on, so that the next backup of the same source stores them again.
 */

struct store_repair_options {
	bool dry_run;            /* tell, put and remove nothing */
	bool read_data;          /* verify every blob, not only what is suspected */
	bool sole_administrator; /* needed on a weak store (R12) */
	unsigned threads;        /* as in store_check_options */
	struct store_executor executor;
	bool (*cancelled)(void *ctx);
	void (*progress)(void *ctx, uint64_t done, uint64_t total); /* packs */
	/* A damage: as in store_check. */
	void (*report)(void *ctx, const char *key, const uint8_t *id,
	    const char *what);
	/* What was done about it (in a dry run: would be). */
	void (*mended)(void *ctx, const char *key, const char *what);
	/* As in store_check. */
	void (*suspect)(void *ctx, const char *key, const uint8_t *id);
	void *ctx;               /* of all of these */
};

struct store_repair_result {
	struct store_check_result check;
	uint64_t indexed;   /* packs that no good segment named, named again */
	uint64_t rescued;   /* blobs taken out of damaged packs */
	uint64_t healed_blobs; /* put back by parity (among rescued, if new) */
	uint64_t parity;    /* parity written: it was missing or damaged */
	uint64_t removed;   /* unreadable objects that are made up for */
	uint64_t rewritten; /* configs and certificates written again */
	uint64_t listed;    /* entries of the list now */
	uint64_t bad;       /* of them not listed before */
	uint64_t healed;    /* listed before and no more */
	uint64_t lost;      /* blobs that a snapshot needs, with no whole copy */
	uint64_t snapshots; /* that lost something */
	bool more;          /* the list is full: run it again after a backup */
};

struct store_repair;

/*
 * Look as store_check does, and mend what can be mended without knowing what
 * snapshots need: packs that no good segment names are named again, whole
 * blobs of packs whose structure is damaged are stored again.  Packs that are
 * listed, or that a check found damaged, are read in any case.  Where packs
 * have parity (store_admin.h), damaged blobs are put back by it and stored
 * again, and parity that is missing or damaged is made anew.  All writing is
 * done in a session of its own, so that a collection that runs beside it
 * waits.  Needs admin and read.  NULL with err: AUTH, UNSUPPORTED (a weak store
 * without sole_administrator), FULL, CANCELLED, ...  It can be ended or killed
 * at any moment and run again: what was written is found then.  One thread at
 * a time uses the result; opt is copied.
 */
struct store_repair *store_repair_begin(struct store *st,
    const struct store_repair_options *opt, struct err *err);

/* A snapshot needs that blob, and no copy of it is whole.  Return 0 or -1. */
int store_repair_lost(struct store_repair *r, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], struct err *err);
/* That snapshot has lost something.  Return 0 or -1. */
int store_repair_lost_snapshot(struct store_repair *r,
    const struct store_snapshot *sn, struct err *err);

/*
 * Write the list of what is damaged, when it has changed, and remove what
 * nobody can read and is made up for.  r is freed in every case.  Return 0 with
 * *ret, or -1.
 */
int store_repair_end(struct store_repair *r, struct store_repair_result *ret,
    struct err *err);
/* Give up: what was mended stays, no list is written.  NULL is fine. */
void store_repair_abort(struct store_repair *r);

/* --- what is listed as damaged -------------------------------------------------------*/

/*
 * A session takes a copy that is listed for absent, a reader tries it last.
 * *ret_bad is true when the copy of that id in that pack is listed.  The list
 * is read with the index, once for an opened store.  Return 0 or -1.
 */
int store_bad_has(struct store *st, const uint8_t id[STORE_ID_LEN],
    uint32_t pack, bool *ret_bad, struct err *err);

/* Had that snapshot lost something when a repair last looked?  0 or -1. */
int store_snapshot_damaged(struct store *st, const struct store_snapshot *sn,
    bool *ret, struct err *err);

#endif
