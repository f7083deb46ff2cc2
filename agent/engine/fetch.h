#ifndef AGENT_ENGINE_FETCH_H
#define AGENT_ENGINE_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/engine/engine.h"
#include "repo/archive/archive.h"

/*
 * Gets many blobs in the order of their packs: what is wanted is collected,
 * sorted, read in large ranges by threads that sleep in I/O, and opened and
 * handed over by the workers, each blob once for all who want bytes of it.
 */

struct fetch;

enum need_kind {
	NEED_BLOB,  /* bytes of a blob */
	NEED_ZEROS, /* no blob: only `check` sees it */
	NEED_HOLE,
};

struct need {
	uint64_t at;    /* where the bytes belong; the owner's */
	uint64_t len;   /* bytes; of a blob below 2^32 */
	void *owner;
	struct store_loc loc;
	uint32_t off;   /* within the blob */
	uint32_t plain; /* the blob's length, as who names it says; 0: unsaid */
	uint8_t id[STORE_ID_LEN];
	uint8_t kind;   /* enum need_kind */
	bool check;     /* ask `check` first whether it is needed at all */
};

/* Whom bytes are handed to; called by workers, many at once. */
struct fetch_sink {
	/*
	 * Each need is told here or by `check` exactly once.  bytes: n->len of
	 * them, borrowed; NULL when they cannot be had, and why.  Class
	 * CANCELLED: the run ends, nobody is to blame.
	 */
	void (*deliver)(void *ctx, unsigned self, struct need *n,
	    const uint8_t *bytes, const struct err *why);
	/*
	 * Return true when n is settled and nothing is to be fetched for it.
	 * scratch has room for the largest blob and begins at a page.
	 */
	bool (*check)(void *ctx, unsigned self, struct need *n, uint8_t *scratch);
	/* Nothing more is wanted: a failure, or it was cancelled. */
	bool (*stopped)(void *ctx);
	/* The repository cannot be read for a reason that is no damage. */
	void (*fatal)(void *ctx, const struct err *why);
	void *ctx;
};

/*
 * memory: bytes for needs and read buffers.  domain: of the snapshot.  NULL
 * with err.
 */
struct fetch *fetch_new(struct engine *e, struct store *st, const char *domain,
    size_t memory, const struct fetch_sink *sink, struct err *err);
void fetch_free(struct fetch *f); /* NULL is fine */

/*
 * Add a need; it is copied, its loc is filled here.  Return 0, 1 when the
 * repository has no such blob (nothing was added), -1.  One thread.
 */
int fetch_add(struct fetch *f, const struct need *n, struct err *err);

/* So much is collected that fetch_run should be called. */
bool fetch_full(const struct fetch *f);

/*
 * Hand over everything that was added, and forget it.  Return when all of it
 * is told.  Not for workers.
 */
int fetch_run(struct fetch *f, struct err *err);

/* Bytes read from packs so far. */
uint64_t fetch_bytes(const struct fetch *f);

/*
 * For deliver: keep the memory that bytes lie in after it has returned.
 * Return what fetch_give takes, or NULL when others need it, too.
 */
struct fetch_kept;
struct fetch_kept *fetch_keep(struct fetch *f, unsigned self);
/* Give it back, from any thread; workers may be waiting for it. */
void fetch_give(struct fetch *f, struct fetch_kept *kept);

/* A worker's id of a data blob, to compare what a target holds. */
void fetch_id(struct fetch *f, unsigned self, const void *data, size_t len,
    uint8_t ret_id[STORE_ID_LEN]);

/* Bytes of the largest blob of data. */
size_t fetch_blob_max(const struct fetch *f);

/* --- pages -----------------------------------------------------------------------*/

/* Pages of catalogs and maps, read ahead, for one thread at a time. */
struct pages;
struct pages *pages_new(struct store *st, const char *domain, struct err *err);
void pages_free(struct pages *p); /* NULL is fine */
const struct archive_io *pages_io(struct pages *p);

#endif
