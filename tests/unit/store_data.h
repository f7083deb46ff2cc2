#ifndef TESTS_UNIT_STORE_DATA_H
#define TESTS_UNIT_STORE_DATA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/backend/backend.h"
#include "repo/store/store.h"
#include "repo/store/store_admin.h"

/*
 * What the tests of the store share: a store in memory that outlives the
 * `struct store` opened on it, and small ways to put and get.
 */

#define PASS "correct horse"
#define MAX_PLAIN ((size_t)1 << 20)

static const struct store_secret by_pass = {
	.passphrase = PASS, .passphrase_len = sizeof(PASS) - 1,
};

/* A backend that passes everything on and closes nothing. */
struct keep {
	struct backend be;
	struct backend *inner;
};

static struct backend *keep_in(struct backend *be)
{
	return ((struct keep *)be)->inner;
}

static int keep_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	return backend_put(keep_in(be), key, data, len, err);
}

static int keep_put_over(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	return backend_put_over(keep_in(be), key, data, len, err);
}

static int keep_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	return backend_get(keep_in(be), key, off, dst, len, err);
}

static int keep_stat(struct backend *be, const char *key,
    struct backend_stat *ret, struct err *err)
{
	return backend_stat(keep_in(be), key, ret, err);
}

static int keep_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	return backend_list(keep_in(be), prefix, fn, ctx, err);
}

static int keep_del(struct backend *be, const char *key, struct err *err)
{
	return backend_del(keep_in(be), key, err);
}

static void keep_caps(struct backend *be, struct backend_caps *ret)
{
	backend_caps(keep_in(be), ret);
}

static void keep_close(struct backend *be)
{
	free(be->name);
	free(be);
}

static const struct backend_ops keep_ops = {
	.put = keep_put, .put_over = keep_put_over, .get = keep_get,
	.stat = keep_stat, .list = keep_list, .del = keep_del,
	.caps = keep_caps, .close = keep_close,
};

static inline struct backend *keep_new(struct backend *inner)
{
	struct keep *k = calloc(1, sizeof(*k));

	assert_non_null(k);
	k->be.ops = &keep_ops;
	k->be.name = strdup("memory");
	k->inner = inner;
	return &k->be;
}

/* Fail the test with the message of err. */
#define ok(call) do { \
	if ((call) != 0) \
		fail_msg("%s: %s", #call, err.msg); \
} while (0)

/* Percent; a test may define another before it includes this. */
#ifndef REPOSITORY_PARITY
#define REPOSITORY_PARITY 0
#endif

static inline void init_options(struct store_init_options *opt)
{
	*opt = (struct store_init_options){
		.stream = { 1 << 20, 1 << 19, 4 << 20, 4096 },
		.block = { 1 << 16, 1 << 15, 1 << 18, 65536 },
		.pack_size = 1 << 20,
		.parity = REPOSITORY_PARITY,
		.memory = 256 << 10, /* Argon2id takes half of it */
	};
}

/* A store in memory with a repository in it. */
static inline struct backend *new_repository(void)
{
	struct store_init_options opt;
	struct err err = ERR_INIT;
	struct backend *be = backend_mem_new(&err);
	char slot[17];

	assert_non_null(be);
	init_options(&opt);
	ok(store_init(be, &opt, &by_pass, slot, &err));
	return be;
}

static inline struct store *reopen_with(struct backend *mem,
    const struct store_secret *secret, size_t memory)
{
	struct store_options opt = { .memory = memory };
	struct err err = ERR_INIT;
	struct store *st = store_open(keep_new(mem), secret, &opt, &err);

	if (st == NULL)
		fail_msg("store_open: %s", err.msg);
	return st;
}

static inline struct store *reopen(struct backend *mem)
{
	return reopen_with(mem, &by_pass, 0);
}

static inline struct store_worker *worker(struct store *st)
{
	struct err err = ERR_INIT;
	struct store_worker *w = store_worker_new(st, ZIP_FAST, MAX_PLAIN,
	    NULL, &err);

	if (w == NULL)
		fail_msg("store_worker_new: %s", err.msg);
	return w;
}

static inline struct store_session *begin(struct store *st)
{
	struct store_session_options opt = {
		.volume = "vol", .host = "host", .content = STORE_TREE,
		.parent = "auto", .pack_buffers = 5,
	};
	struct err err = ERR_INIT;
	struct store_session *s = store_session_begin(st, &opt, &err);

	if (s == NULL)
		fail_msg("store_session_begin: %s", err.msg);
	return s;
}

/* Bytes that follow from n: half of them compressible. */
static inline void fill(uint8_t *p, size_t len, uint64_t n)
{
	uint64_t x = n * 0x9e3779b97f4a7c15u + 1;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = i < len / 2 || n % 2 ? (uint8_t)x : (uint8_t)n;
	}
}

static inline int put_as(struct store_session *s, struct store_worker *w,
    enum store_kind kind, uint64_t n, size_t len, struct store_put_result *ret,
    struct err *err)
{
	uint8_t *p = malloc(len + 1);
	int r;

	assert_non_null(p);
	fill(p, len, n);
	r = store_put(s, w, kind, p, len, false, ret, err);
	free(p);
	return r;
}

static inline bool put_n(struct store_session *s, struct store_worker *w,
    enum store_kind kind, uint64_t n, size_t len, uint8_t id[32])
{
	struct store_put_result res;
	struct err err = ERR_INIT;

	ok(put_as(s, w, kind, n, len, &res, &err));
	if (id != NULL)
		memcpy(id, res.id, 32);
	return res.is_new;
}

static inline void commit_n(struct store_session *s, const uint8_t state[32],
    char id[17])
{
	const char *paths[] = { "/data" }, *tags[] = { "t1", "t2" };
	struct store_commit c = {
		.size = 5, .entries = 1, .files = 1, .start_ns = 1000,
		.end_ns = 2000, .user = "me", .program = "test",
		.paths = paths, .npaths = 1, .tags = tags, .ntags = 2,
	};
	struct err err = ERR_INIT;

	if (state != NULL) {
		memcpy(c.state.id, state, 32);
		c.state.entries = 1;
	}
	ok(store_session_commit(s, &c, id, &err));
}

/* Get a blob and compare it with what fill gives. */
static inline void expect_n(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[32], uint64_t n, size_t len)
{
	struct buf got = BUF_INIT;
	struct err err = ERR_INIT;
	uint8_t *p = malloc(len + 1);
	int r = store_get(st, w, kind, id, &got, &err);

	assert_non_null(p);
	if (r != 0)
		fail_msg("store_get: %d %s", r, err.msg);
	fill(p, len, n);
	assert_int_equal(got.len, len);
	assert_memory_equal(got.p, p, len);
	free(p);
	buf_release(&got);
}

#endif
