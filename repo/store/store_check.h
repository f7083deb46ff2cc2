#ifndef REPO_STORE_STORE_CHECK_H
#define REPO_STORE_STORE_CHECK_H

#include "repo/store/store.h"

/* Looking at all that is stored. */

struct store_check_options {
	/*
	 * Of the packs' bytes to read and verify, 0-100.  With the admin right
	 * those whose last time is longest ago; else they are drawn by lot.
	 */
	unsigned read_percent;
	/*
	 * Write down which packs were found whole and when (needs admin;
	 * what cannot be written is logged).
	 */
	bool record;
	/*
	 * What is no damage by itself, but has to be read before it is relied
	 * on: a copy that is listed as damaged, a pack that the index names and
	 * a collection may have removed (id NULL).  May be NULL.
	 */
	void (*suspect)(void *ctx, const char *key, const uint8_t *id);
	/*
	 * Where bytes of a pack are damaged that has parity: text for people,
	 * and whether all of them can be put back (which a repair does).  May
	 * be NULL.
	 */
	void (*ranges)(void *ctx, const char *key, const char *what,
	    bool healable);
	bool (*cancelled)(void *ctx);  /* NULL: never */
	void (*progress)(void *ctx, uint64_t done, uint64_t total); /* packs */
	void *ctx;             /* of the above */
	unsigned threads;      /* jobs given to executor; 0: 1 */
	struct store_executor executor; /* submit NULL: in the caller's thread */
};

struct store_check_result {
	uint64_t packs, blobs, segments, snapshots;
	uint64_t packs_read, bytes_read;
	uint64_t damaged;   /* objects and blobs told to report */
	uint64_t unindexed; /* packs that no segment names (space, no loss) */
	uint64_t known;     /* copies and packs that are listed as damaged, and are
	                       still (a copy that is not read: by the list) */
	uint64_t collected; /* packs that are gone and the index still names */
	uint64_t unprotected; /* indexed packs without the parity that config wants */
	uint64_t recorded;  /* packs whose time was written down */
};

/*
 * Look at every object: config, keys, segments (signature and all blocks),
 * packs (there, of the right size, directory equal to the index; with
 * read_percent every blob opened or, without the read right, checksummed),
 * snapshots.  Each damage is told to report with the object's key (and the
 * blob's id, or NULL), but for what a repair has listed.  report, suspect,
 * ranges and progress are called by one thread at a time.  Each job holds a worker, the
 * longest blob and 2 MiB.  Return 0 when the look was complete, whatever it
 * found; -1 when it could not be.
 */
int store_check(struct store *st, const struct store_check_options *opt,
    void (*report)(void *ctx, const char *key, const uint8_t *id,
        const char *what),
    void *ctx, struct store_check_result *ret, struct err *err);

/* Sizes of all that is stored, by listing and the index. */
struct store_usage {
	uint64_t objects, bytes;             /* in the store */
	uint64_t packs, pack_bytes;
	uint64_t blobs[4], sealed[4], plain[4]; /* by kind, from the index */
};
int store_usage(struct store *st, struct store_usage *ret, struct err *err);

#endif
