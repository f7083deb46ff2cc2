#ifndef TESTS_UNIT_STORE_MERGE_WORLD_H
#define TESTS_UNIT_STORE_MERGE_WORLD_H

#include "repo/format/fmt_gc.h"
#include "repo/store/store_check.h"
#include "repo/store/store_gc.h"
#include "repo/store/store_internal.h"
#include "tests/unit/store_data.h"

/* What the tests of merging share: some sessions, and what is to be found. */

#define SESSIONS 9u
#define EACH 40u   /* blobs of one session */
#define LEN 60u

struct world {
	struct backend *mem;
	uint8_t ids[SESSIONS * EACH][32];
};

static inline void put_session(struct store *st, struct world *w, unsigned n)
{
	struct store_worker *tools = worker(st);
	struct store_session *s = begin(st);
	char snap[17];

	for (unsigned i = n * EACH; i < (n + 1) * EACH; i++)
		assert_true(put_n(s, tools, STORE_STATE, 2 * i + 1, LEN,
		    w->ids[i]));
	commit_n(s, NULL, snap);
	store_worker_free(tools);
}

static inline void world_make(struct world *w)
{
	struct store *st;

	w->mem = new_repository();
	st = reopen(w->mem);
	for (unsigned n = 0; n < SESSIONS; n++)
		put_session(st, w, n);
	store_close(st);
}

/* A copy of all objects, to begin the same story anew. */
static inline int copy_object(void *ctx, const char *key,
    const struct backend_stat *bs, struct err *err)
{
	struct backend **be = ctx;
	uint8_t *data;
	size_t len;

	(void)bs;
	assert_int_equal(backend_get_all(be[0], key, 1 << 26, &data, &len,
	    err), 0);
	assert_int_equal(backend_put(be[1], key, data, len, err), 0);
	free(data);
	return 0;
}

static inline struct backend *copied(struct backend *mem)
{
	struct err err = ERR_INIT;
	struct backend *be[2] = { mem, backend_mem_new(&err) };

	assert_non_null(be[1]);
	ok(backend_list(mem, "", copy_object, be, &err));
	return be[1];
}

/* Every blob, each `step`-th at least, comes back. */
static inline void find_all(struct store *st, struct world *w, unsigned step)
{
	struct store_worker *tools = worker(st);

	for (unsigned i = 0; i < SESSIONS * EACH; i += step)
		expect_n(st, tools, STORE_STATE, w->ids[i], 2 * i + 1, LEN);
	store_worker_free(tools);
}

static inline int merge_with(struct store *st, size_t memory, bool force,
    struct store_merge_result *ret, struct err *err)
{
	struct store_merge_options opt = { .memory = memory, .force = force };

	return store_merge(st, &opt, ret, err);
}

static inline void merge_ok(struct backend *mem, bool force,
    struct store_merge_result *ret)
{
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;

	ok(merge_with(st, 0, force, ret, &err));
	store_close(st);
}

static inline int count_key(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	(void)key;
	(void)bs;
	(void)err;
	++*(unsigned *)ctx;
	return 0;
}

static inline unsigned objects(struct backend *mem, const char *prefix)
{
	struct err err = ERR_INIT;
	unsigned n = 0;

	ok(backend_list(mem, prefix, count_key, &n, &err));
	return n;
}

static inline void told(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	(void)ctx;
	(void)id;
	fail_msg("check: %s: %s", key, what);
}

static inline void check_ok(struct backend *mem)
{
	struct store *st = reopen(mem);
	struct store_check_options opt = { .read_percent = 100 };
	struct store_check_result res;
	struct err err = ERR_INIT;

	ok(store_check(st, &opt, told, NULL, &res, &err));
	assert_int_equal(res.unindexed, 0);
	store_close(st);
}

#endif
