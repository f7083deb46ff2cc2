#ifndef AGENT_ENGINE_COPY_INTERNAL_H
#define AGENT_ENGINE_COPY_INTERNAL_H

#include <pthread.h>

#include "agent/engine/copy.h"
#include "agent/engine/engine_internal.h"
#include "agent/engine/fetch.h"
#include "agent/engine/table.h"
#include "repo/archive/archive.h"
#include "repo/store/store_copy.h"

/* What the files of copying share. */

/* --- many blobs, in the order of their packs (copy_fetch.c) ----------------*/

struct copy_need {
	uint8_t id[STORE_ID_LEN];
	struct store_loc loc;
	uint32_t kind;           /* enum store_kind */
	uint32_t tag;            /* its owner's */
};

/* Called for each need once, by worker self or the threads beside it. */
struct copy_sink {
	/*
	 * sealed: loc.sealed_len bytes, borrowed; NULL when they could not be
	 * read there.  -1 with err ends the run.
	 */
	int (*blob)(void *ctx, unsigned self, const struct copy_need *n,
	    const uint8_t *sealed, struct err *err);
	/* Each second, by who called copy_fetch_run.  -1 with err ends the run. */
	int (*alive)(void *ctx, struct err *err);
	void *ctx;
};

struct copy_fetch;
/* memory: bytes for what is read ahead.  NULL with err. */
struct copy_fetch *copy_fetch_new(struct engine *e, struct store *st,
    size_t memory, const struct copy_sink *sink, struct err *err);
void copy_fetch_free(struct copy_fetch *f); /* NULL is fine */
/* Add one; 0, 1 when the repository has no such blob, -1.  One thread. */
int copy_fetch_add(struct copy_fetch *f, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], uint32_t tag, struct err *err);
bool copy_fetch_full(const struct copy_fetch *f);
/* Hand over all that was added, one that is wanted twice once.  0 or -1. */
int copy_fetch_run(struct copy_fetch *f, struct err *err);

/* --- a run ------------------------------------------------------------------*/

/* One thread's tools. */
struct copy_hand {
	struct store_worker *from, *to;
	struct buf plain;
};

struct copy {
	struct engine *e;
	const struct engine_copy_options *opt;
	struct store *from, *to;
	struct engine_copy_result *ret;
	const struct store_snapshot *sn; /* the one that is copied now */
	struct engine_copy_told told;
	struct store_session *ss;
	struct copy_hand *hands; /* of each worker, and main's */
	unsigned nhands;
	char *domain;            /* that they are made for, of the source */
	struct pages *pages;     /* of the source, in that domain */
	struct copy_fetch *fetch;
	struct table *seen;      /* pages and chunks that are settled */
	struct table *checked;   /* far pages and chunks that were read back */
	struct copy_ids *ids;    /* of blobs that went between families */
	size_t memory;           /* bytes for each of the tables */
	uint64_t bytes_before;   /* of the snapshots before this one */
	pthread_mutex_t lock;
	struct buf lost;         /* ids of chunks that cannot be read, under lock */
	struct err why;          /* why the first of them cannot */
	struct buf told_path;    /* the damaged one that was told last */
	bool gone;               /* it was forgotten: what it lost is no damage */
	uint64_t damages;        /* of this snapshot; main thread's */
};

struct copy_hand *copy_main(struct copy *c);
/* Class CANCELLED when the engine was, else the session shows life. */
int copy_alive(struct copy *c, struct err *err);
/* Is it the repository's bytes that are at fault? */
bool copy_is_damage(const struct err *err);
/* Remember a chunk that cannot be read; any thread. */
int copy_lost(struct copy *c, const uint8_t id[STORE_ID_LEN],
    const struct err *why, struct err *err);
/* Name a damaged path. */
void copy_damaged(struct copy *c, bool far, const struct archive_path *dir,
    const struct fmt_entry *entry, const struct err *why);
/* The blob's bytes from the source, by any copy: 0; 1 lost (told); -1. */
int copy_get(struct copy *c, struct copy_hand *h, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], struct err *err);
struct archive_ref copy_ref(const struct store_ref *r);

/*
 * Make all that c->sn needs be there, and fill the roots of what is to be
 * committed.  Within a family (copy_same.c), and between two (copy_anew.c).
 * Return 0, also when something was lost; or -1.
 */
int copy_same(struct copy *c, const struct store_snapshot *parent, bool carry,
    struct store_commit *commit, struct err *err);
int copy_anew(struct copy *c, struct store_commit *commit, struct err *err);
/* Name the paths of c->sn that need what was lost. */
int copy_name_lost(struct copy *c, struct err *err);

/*
 * Read the copy back and compare it with c->sn (copy_verify.c).  Fills
 * c->told.verified and differs.  0 or -1.
 */
int copy_verify(struct copy *c, const struct store_snapshot *copy, bool same,
    struct err *err);

#endif
