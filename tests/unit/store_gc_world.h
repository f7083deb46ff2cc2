#ifndef TESTS_UNIT_STORE_GC_WORLD_H
#define TESTS_UNIT_STORE_GC_WORLD_H

#include "repo/store/store_forget.h"
#include "repo/store/store_gc.h"
#include "repo/store/store_internal.h"
#include "tests/unit/store_gc_hook.h"

/*
 * What the tests of collections share: snapshots whose state blob is the list
 * of their chunks' ids, and a walker for them.
 */

#define LEN ((size_t)60000) /* of a chunk; 16 or so fill a pack */

/* --- snapshots ------------------------------------------------------------------*/

static inline struct store_session *begin_of(struct store *st,
    const char *volume)
{
	struct store_session_options opt = {
		.volume = volume, .host = "host", .content = STORE_TREE,
		.parent = "none", .pack_buffers = 5,
	};
	struct err err = ERR_INIT;
	struct store_session *s = store_session_begin(st, &opt, &err);

	if (s == NULL)
		fail_msg("store_session_begin: %s", err.msg);
	return s;
}

/* A session that is open, and what it has put. */
struct writer {
	struct store *st;
	struct store_worker *w;
	struct store_session *s;
	struct buf ids;
	unsigned stored; /* chunks that were new */
};

static inline void writer_open(struct writer *x, struct backend *mem,
    const char *volume)
{
	*x = (struct writer){ .st = reopen(mem) };
	x->w = worker(x->st);
	x->s = begin_of(x->st, volume);
}

static inline void writer_put(struct writer *x, unsigned from, unsigned to)
{
	for (unsigned n = from; n < to; n++) {
		uint8_t id[32];

		x->stored += put_n(x->s, x->w, STORE_DATA, n * 2 + 1, LEN, id);
		buf_add(&x->ids, id, sizeof(id));
	}
}

static inline void writer_close(struct writer *x)
{
	store_worker_free(x->w);
	store_close(x->st);
	buf_release(&x->ids);
}

/* Commit; -1 when that fails, with err. */
static inline int writer_try(struct writer *x, char session[48],
    struct err *err)
{
	struct store_put_result res;
	struct store_commit c = { .entries = 1, .user = "me",
		.program = "test" };
	struct store_snapshot *sn;
	char id[17];

	if (store_put(x->s, x->w, STORE_STATE, x->ids.len == 0 ?
	        (const uint8_t *)"" : x->ids.p, x->ids.len, false, &res,
	        err) != 0)
		fail_msg("store_put: %s", err->msg);
	memcpy(c.state.id, res.id, 32);
	c.state.entries = 1;
	if (store_session_commit(x->s, &c, id, err) != 0)
		return -1;
	if (store_snapshot_find(x->st, id, &sn, err) != 0)
		fail_msg("store_snapshot_find: %s", err->msg);
	if (session != NULL)
		memcpy(session, sn->session, 48);
	store_snapshot_free(sn);
	return 0;
}
static inline void writer_commit(struct writer *x, char session[48])
{
	struct err err = ERR_INIT;

	ok(writer_try(x, session, &err));
	writer_close(x);
}

/* A snapshot of the chunks [from, to). */
static inline void snapshot(struct backend *mem, const char *volume,
    unsigned from, unsigned to, char session[48])
{
	struct writer x;

	writer_open(&x, mem, volume);
	writer_put(&x, from, to);
	writer_commit(&x, session);
}

static inline void forget(struct backend *mem, const char *session)
{
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;

	ok(store_forget(st, st->info.slot, session, "test", &err));
	store_close(st);
}

/* Two snapshots share packs: every third chunk is of the second alone. */
static inline void interleaved(struct backend *mem, char odd[48], unsigned every)
{
	struct writer x;
	struct buf all = BUF_INIT, some = BUF_INIT;

	writer_open(&x, mem, "both");
	writer_put(&x, 0, 60);
	buf_add(&all, x.ids.p, x.ids.len);
	for (unsigned i = 0; i < 60; i += every)
		buf_add(&some, x.ids.p + (size_t)i * 32, 32);
	writer_commit(&x, odd);
	writer_open(&x, mem, "some");
	buf_add(&x.ids, some.p, some.len);
	writer_commit(&x, NULL);
	buf_release(&all);
	buf_release(&some);
}

/* --- collecting -------------------------------------------------------------------*/

/* Read all that a snapshot needs: the ids of its chunks in `ids`. */
static inline int read_ids(struct store *st, struct store_worker *w,
    const struct store_snapshot *sn, struct buf *ids, struct err *err)
{
	int r = store_get(st, w, STORE_STATE, sn->state.id, ids, err);

	return r > 0 ? err_set(err, ERR_CORRUPT, "no state") : r;
}

static int test_walk(void *ctx, struct store *st,
    const struct store_snapshot *sn, struct store_live *l, struct err *err)
{
	struct store_worker *w = store_worker_new(st, ZIP_FAST, MAX_PLAIN,
	    sn->domain, err);
	struct buf ids = BUF_INIT;
	int r = w == NULL ? -1 :
	    store_live_page(l, STORE_STATE, sn->state.id, err);

	(void)ctx;
	if (r == 0)
		r = read_ids(st, w, sn, &ids, err);
	for (size_t i = 0; i < ids.len && r == 0; i += 32)
		r = store_live_chunk(l, ids.p + i, err);
	buf_release(&ids);
	store_worker_free(w);
	return r < 0 ? -1 : 0;
}

static inline struct store_gc_options gc_options(void)
{
	return (struct store_gc_options){
		.memory = 16 << 20, .walker = { test_walk, NULL },
	};
}

/* Collect on a store of its own; the outcome and, when res is given, all. */
static inline int collect_with(struct backend *mem, struct hook *h,
    const struct store_gc_options *opt, struct store_gc_result *res,
    struct err *err)
{
	struct store *st = hooked(mem, h);
	struct store_gc_result mine;
	int r = store_gc(st, opt, res == NULL ? &mine : res, err);

	store_close(st);
	return r;
}

static inline enum store_gc_outcome collect(struct backend *mem,
    struct store_gc_result *res)
{
	struct store_gc_options opt = gc_options();
	struct store_gc_result mine;
	struct err err = ERR_INIT;

	ok(collect_with(mem, NULL, &opt, &mine, &err));
	if (res != NULL)
		*res = mine;
	return mine.outcome;
}

/* --- looking ------------------------------------------------------------------------*/

struct counted { uint64_t n, bytes; };

static int count_one(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	struct counted *c = ctx;

	(void)key, (void)err;
	c->n++;
	c->bytes += bs->size;
	return 0;
}

static inline struct counted count(struct backend *mem, const char *prefix)
{
	struct counted c = { 0, 0 };
	struct err err = ERR_INIT;

	ok(backend_list(mem, prefix, count_one, &c, &err));
	return c;
}

struct whole { struct store *st; struct store_worker *w; unsigned snapshots; };

static int whole_one(void *ctx, struct store_snapshot **sn, struct err *err)
{
	struct whole *x = ctx;
	struct buf ids = BUF_INIT, data = BUF_INIT;

	if (read_ids(x->st, x->w, *sn, &ids, err) != 0)
		fail_msg("snapshot %s: %s", (*sn)->id, err->msg);
	for (size_t i = 0; i < ids.len; i += 32)
		if (store_get(x->st, x->w, STORE_DATA, ids.p + i, &data,
		        err) != 0)
			fail_msg("snapshot %s: chunk %zu: %s", (*sn)->id,
			    i / 32, err->msg);
	x->snapshots++;
	buf_release(&ids);
	buf_release(&data);
	return 0;
}

/* Every snapshot is whole; how many there are. */
static inline unsigned whole(struct backend *mem)
{
	struct whole x = { .st = reopen(mem) };
	struct err err = ERR_INIT;

	x.w = worker(x.st);
	ok(store_snapshots(x.st, true, whole_one, NULL, &x, &err));
	store_worker_free(x.w);
	store_close(x.st);
	return x.snapshots;
}

static inline bool exists(struct backend *mem, const char *key)
{
	struct backend_stat bs;
	struct err err = ERR_INIT;
	int r = backend_stat(mem, key, &bs, &err);

	assert_true(r >= 0);
	return r == 0;
}

#define GC1 "gc/0000000000000001/"
#define GC2 "gc/0000000000000002/"

#endif
