#ifndef TESTS_UNIT_STORE_ROTATE_H
#define TESTS_UNIT_STORE_ROTATE_H

#include <stdio.h>

#include "repo/base/bytes.h"
#include "repo/store/store_check.h"
#include "repo/store/store_internal.h"
#include "repo/store/store_session_internal.h"
#include "tests/unit/store_attack.h"

/* What the tests of rotating and removing share. */

static inline int rotate_with(struct store *st, bool new_ids, struct err *err)
{
	const struct store_rotate_options opt = { .new_ids = new_ids };
	struct store_rotate_result res;

	return store_key_rotate(st, &opt, &res, err);
}

/* The administrator rotates, having opened just for that. */
static inline void rotate_now(struct backend *mem, bool new_ids)
{
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;

	ok(rotate_with(st, new_ids, &err));
	store_close(st);
}

static inline int remove_with(struct store *st, const char *slot,
    struct err *err)
{
	struct store_remove_result res;

	return store_key_remove(st, slot, false, &res, err);
}

static inline void remove_now(struct backend *mem, const char *slot)
{
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;

	ok(remove_with(st, slot, &err));
	store_close(st);
}

/* One snapshot of volume "vol" with data blob n; *ret_id: its id as stored. */
static inline void backup_n(struct store *st, uint64_t n, uint8_t id[32],
    char snap[17])
{
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);

	put_n(s, w, STORE_DATA, n, 1000, id);
	commit_n(s, NULL, snap);
	store_worker_free(w);
}

/* The snapshot stands, for who opens now, and the blob is read. */
static inline void expect_stands(struct backend *mem, const char *snap,
    const uint8_t id[32], uint64_t n)
{
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;

	if (store_snapshot_find(st, snap, &sn, &err) != 0)
		fail_msg("%s: %s", snap, err.msg);
	assert_non_null(store_snapshot_order(st, sn, &err));
	store_snapshot_free(sn);
	expect_n(st, w, STORE_DATA, id, n, 1000);
	store_worker_free(w);
	store_close(st);
}

static inline void count_damage(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	(void)id;
	(*(unsigned *)ctx)++;
	if (getenv("TEST_SHOW"))
		printf("damage: %s: %s\n", key, what);
}

/* What check finds, reading everything. */
static inline unsigned damages(struct backend *mem)
{
	struct store *st = reopen(mem);
	struct store_check_options opt = { .read_percent = 100 };
	struct store_check_result res;
	struct err err = ERR_INIT;
	unsigned n = 0;

	ok(store_check(st, &opt, count_damage, &n, &res, &err));
	store_close(st);
	return n;
}

/* --- something that happens in the middle of something else ------------------*/

struct moment {
	struct backend *mem;
	uint64_t at;                 /* before this operation, from 0 */
	void (*fn)(void *ctx);
	void *ctx;
	bool came;
};

static inline enum backend_fault moment_hook(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	struct moment *m = ctx;

	(void)op;
	(void)key;
	if (count == m->at && !m->came) {
		m->came = true;
		m->fn(m->ctx);
	}
	return BACKEND_FAULT_NONE;
}

/* From operation *ctx on (from 0) everything fails: a process that was killed. */
static inline enum backend_fault killed_hook(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	const uint64_t *at = ctx;

	(void)op;
	(void)key;
	return count >= *at ? BACKEND_FAULT_BEFORE : BACKEND_FAULT_NONE;
}

/* The same, but what the first failing operation asked for was done. */
static inline enum backend_fault lost_hook(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	const uint64_t *at = ctx;

	(void)key;
	if (count < *at)
		return BACKEND_FAULT_NONE;
	return count == *at && (op == BACKEND_PUT || op == BACKEND_DEL) ?
	    BACKEND_FAULT_AFTER : BACKEND_FAULT_BEFORE;
}

#endif
