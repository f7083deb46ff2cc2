#ifndef TESTS_UNIT_STORE_WORLD_H
#define TESTS_UNIT_STORE_WORLD_H

#include "repo/store/store_check.h"
#include "repo/store/store_forget.h"
#include "repo/store/store_gc.h"
#include "repo/store/store_internal.h"
#include "tests/unit/store_sched_backend.h"

/*
 * A repository whose snapshots are lists of chunks, and one who looks at it
 * after each change: what is live must be whole, at every moment.
 */

#define CHUNKS 64
#define CHUNK_LEN 3000
#define WORLD_PACK (256u << 10)

struct world {
	struct sched s;
	uint8_t id[CHUNKS][STORE_ID_LEN];
	bool broken;           /* something that must never be was seen */
	char why[1200];
	char done[64][STORE_SESSION_MAX];  /* commits that were reported */
	char noted[64][STORE_SESSION_MAX]; /* what was ever forgotten */
	unsigned ndone, nnoted;
	unsigned looks, commits, forgets, collections, deleted, merges,
	    rotations;
};

static char world_key[128]; /* the key file of all actors */
/* STORE_READERS_INLINE: as of a store far away, what is read next is read ahead. */
static unsigned world_readers;

/* What every world begins with: a repository, and a credential for actors. */
static inline struct backend *world_seed(void)
{
	static struct backend *seed;
	struct store_secret by_file = { .passphrase = NULL };
	struct err err = ERR_INIT;
	struct store *st;
	char slot[17];

	if (seed != NULL)
		return seed;
	seed = new_repository();
	st = reopen(seed);
	ok(store_key_add(st, STORE_WRITE | STORE_READ | STORE_ADMIN, "", "actors",
	    &by_file, slot, world_key, &err));
	store_close(st);
	return seed;
}

static inline int world_copy(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	uint8_t *data;
	size_t len;
	int r = backend_get_all(world_seed(), key, 1 << 20, &data, &len, err);

	(void)bs;
	if (r != 0)
		return -1;
	r = backend_put(ctx, key, data, len, err);
	free(data);
	return r;
}

static inline struct store *world_open(struct backend *be, struct err *err)
{
	struct store_secret by_file = { .key_file = world_key };
	struct store_options opt = { .memory = 1 << 20, .pack_size = WORLD_PACK,
		.readers = world_readers };

	return store_open(be, &by_file, &opt, err);
}

/* A store beside all actors: its calls are no steps. */
static inline struct store *world_aside(struct world *w)
{
	struct err err = ERR_INIT;
	struct store *st = world_open(keep_new(w->s.mem), &err);

	if (st == NULL)
		fail_msg("store_open: %s", err.msg);
	return st;
}

static inline void world_break(struct world *w, const char *what, const char *why)
{
	if (w->broken)
		return;
	w->broken = true;
	snprintf(w->why, sizeof(w->why), "%s: %s", what, why);
}

/* --- looking -------------------------------------------------------------------*/

struct look { struct world *w; struct store *st; struct store_worker *worker; };

/*
 * Read all that a snapshot needs: its page, which is the ids of its chunks,
 * and those.  0, 1 when something is absent, -1.
 */
static inline int snapshot_read(struct store *st, struct store_worker *worker,
    const struct store_snapshot *sn, struct err *err)
{
	struct buf page = BUF_INIT, chunk = BUF_INIT;
	int r = store_get(st, worker, STORE_STATE, sn->state.id, &page, err);

	if (r == 1)
		err_set(err, ERR_NOTFOUND, "no copy of its page is indexed");
	for (size_t i = 0; i < page.len && r == 0; i += STORE_ID_LEN) {
		r = store_get(st, worker, STORE_DATA, page.p + i, &chunk, err);
		if (r == 1)
			err_set(err, ERR_NOTFOUND,
			    "no copy of its chunk %zu is indexed",
			    i / STORE_ID_LEN);
	}
	buf_release(&page);
	buf_release(&chunk);
	return r;
}

static inline int look_at(void *ctx, struct store_snapshot **sn, struct err *err)
{
	struct look *l = ctx;
	struct err why = ERR_INIT;

	(void)err;
	if (snapshot_read(l->st, l->worker, *sn, &why) != 0) {
		char what[80];

		snprintf(what, sizeof(what), "live snapshot %s is not whole",
		    (*sn)->session);
		world_break(l->w, what, why.msg);
	}
	return 0;
}

static inline void look_bad(void *ctx, const char *key, const struct err *why)
{
	struct look *l = ctx;

	world_break(l->w, key, why->msg);
}

/* What is live is whole, as who opens the repository now sees it. */
static inline void world_look(struct world *w)
{
	struct err err = ERR_INIT;
	struct look l = { .w = w, .st = world_open(keep_new(w->s.mem), &err) };

	w->looks++;
	if (l.st != NULL)
		l.worker = store_worker_new(l.st, ZIP_OFF, MAX_PLAIN, NULL,
		    &err);
	if (l.worker == NULL ||
	    store_snapshots(l.st, true, look_at, look_bad, &l, &err) != 0)
		world_break(w, "the repository cannot be read", err.msg);
	store_worker_free(l.worker);
	store_close(l.st);
}

static inline bool starts(const char *key, const char *prefix)
{
	return strncmp(key, prefix, strlen(prefix)) == 0;
}

/* A session that was forgotten, before or after its commit was reported. */
static inline void world_forgets(struct world *w, const char *session)
{
	if (w->nnoted < sizeof(w->noted) / sizeof(w->noted[0]))
		snprintf(w->noted[w->nnoted++], STORE_SESSION_MAX, "%s",
		    session);
}

/* Look after whatever may make or take away what something live needs. */
static inline void world_changed(void *ctx, const char *op, const char *key)
{
	struct world *w = ctx;
	int64_t skew = sim_skew_ns;
	bool del = strcmp(op, "del") == 0;

	if (!del && starts(key, "forgotten/"))
		world_forgets(w, strrchr(key, '/') + 1);
	if (!starts(key, del ? "packs/" : "snapshots/") &&
	    !starts(key, "index/manifest/") &&
	    !(del && (starts(key, "index/") || starts(key, "forgotten/"))))
		return;
	w->deleted += del && starts(key, "packs/");
	sim_skew_ns = 0;
	world_look(w);
	sim_skew_ns = skew;
}

/* --- beginning and end ------------------------------------------------------------*/

static inline void world_init(struct world *w, uint64_t seed)
{
	struct err err = ERR_INIT;
	struct backend *mem;
	struct store_worker *worker;
	struct store *st;

	memset(w, 0, sizeof(*w));
	sim_reset(0);
	world_seed();
	sim_reset(seed);
	mem = backend_mem_new(&err);
	assert_non_null(mem);
	ok(backend_list(world_seed(), "", world_copy, mem, &err));
	sched_init(&w->s, mem);
	w->s.changed = world_changed;
	w->s.ctx = w;
	st = world_aside(w);
	worker = store_worker_new(st, ZIP_OFF, MAX_PLAIN, NULL, &err);
	for (unsigned n = 0; n < CHUNKS; n++) {
		uint8_t p[CHUNK_LEN];

		fill(p, sizeof(p), 2 * n + 1);
		store_blob_id(worker, STORE_DATA, p, sizeof(p), w->id[n]);
	}
	store_worker_free(worker);
	store_close(st);
}

/* Print what led there and fail, when something was broken. */
static inline void world_judge(struct world *w, const char *name, uint64_t seed)
{
	if (!w->broken)
		return;
	fwrite(w->s.trace.p, 1, w->s.trace.len, stderr);
	fail_msg("%s, seed %llu: %s", name, (unsigned long long)seed, w->why);
}

static inline void world_release(struct world *w)
{
	sched_release(&w->s);
	backend_close(w->s.mem);
}

#endif
