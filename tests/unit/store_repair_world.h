#ifndef TESTS_UNIT_STORE_REPAIR_WORLD_H
#define TESTS_UNIT_STORE_REPAIR_WORLD_H

#include <stdio.h>

#include "repo/store/store_bad_internal.h"
#include "repo/store/store_check.h"
#include "repo/store/store_internal.h"
#include "tests/unit/store_data.h"

/* A repository in memory that is damaged, and what repair says of it. */

#define BLOBS 6      /* of each kind */
#define BLOB_LEN 70000

struct world {
	struct backend *mem;
	uint8_t id[3][BLOBS][32];
	char snap[17];
};

struct told {
	unsigned damage, with_id, mended, suspects;
	char last[300];
};

static inline void on_damage(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	struct told *t = ctx;

	t->damage++;
	t->with_id += id != NULL;
	snprintf(t->last, sizeof(t->last), "%.80s: %.200s", key, what);
}

static inline void on_mended(void *ctx, const char *key, const char *what)
{
	struct told *t = ctx;

	(void)key;
	(void)what;
	t->mended++;
}

static inline void on_suspect(void *ctx, const char *key, const uint8_t *id)
{
	struct told *t = ctx;

	(void)key;
	(void)id;
	t->suspects++;
}

static inline void make_world(struct world *w)
{
	struct store *st;
	struct store_session *s;
	struct store_worker *wk;

	w->mem = new_repository();
	st = reopen(w->mem);
	s = begin(st);
	wk = worker(st);
	for (int k = 0; k < 3; k++)
		for (int i = 0; i < BLOBS; i++)
			put_n(s, wk, STORE_DATA + k, (uint64_t)i, BLOB_LEN,
			    w->id[k][i]);
	commit_n(s, NULL, w->snap);
	store_worker_free(wk);
	store_close(st);
}

/* --- objects -----------------------------------------------------------------------*/

struct objects {
	char key[96][120];
	size_t n;
};

static inline int objects_add(void *ctx, const char *key,
    const struct backend_stat *bs, struct err *err)
{
	struct objects *o = ctx;

	(void)bs;
	(void)err;
	assert_true(o->n < 96);
	snprintf(o->key[o->n++], sizeof(o->key[0]), "%s", key);
	return 0;
}

static inline struct objects objects_of(struct backend *mem, const char *prefix)
{
	static struct objects o;
	struct err err = ERR_INIT;

	o.n = 0;
	ok(backend_list(mem, prefix, objects_add, &o, &err));
	return o;
}

/* A digest of all that is stored. */
static inline uint64_t digest_of(struct backend *mem)
{
	static const uint8_t key[16] = { 1 };
	struct objects o = objects_of(mem, "");
	struct err err = ERR_INIT;
	uint64_t sum = o.n;

	for (size_t i = 0; i < o.n; i++) {
		uint8_t *p;
		size_t len;

		ok(backend_get_all(mem, o.key[i], 64 << 20, &p, &len, &err));
		sum += crypto_siphash(key, p, len) ^
		    crypto_siphash(key, (uint8_t *)o.key[i], strlen(o.key[i]));
		free(p);
	}
	return sum;
}

static inline void flip(struct backend *mem, const char *key, size_t at)
{
	struct err err = ERR_INIT;
	uint8_t *p;
	size_t len;

	ok(backend_get_all(mem, key, 64 << 20, &p, &len, &err));
	assert_true(at < len);
	p[at] ^= 0x10;
	ok(backend_put_over(mem, key, p, len, &err));
	free(p);
}

static inline size_t size_of(struct backend *mem, const char *key)
{
	struct backend_stat bs;
	struct err err = ERR_INIT;

	ok(backend_stat(mem, key, &bs, &err));
	return bs.size;
}

static inline void drop(struct backend *mem, const char *key)
{
	struct err err = ERR_INIT;

	assert_int_equal(backend_del(mem, key, &err), 0);
}

/* The pack of that blob, and where the blob is in it. */
static inline void pack_of(struct backend *mem, const uint8_t *id, char key[120],
    struct store_loc *loc)
{
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;

	assert_int_equal(store_locate(st, id, loc, &err), 0);
	store_pack_name(st, loc->pack, key, 120);
	store_close(st);
}

static inline void damage_blob(struct backend *mem, const uint8_t *id)
{
	struct store_loc loc;
	char key[120];

	pack_of(mem, id, key, &loc);
	flip(mem, key, loc.offset + loc.sealed_len / 2);
}

/* --- what is done with it -------------------------------------------------------------*/

static inline struct store_check_result check(struct backend *mem,
    unsigned percent, bool record, struct told *told)
{
	struct store_check_options o = { .read_percent = percent,
		.record = record, .suspect = on_suspect, .ctx = told };
	struct store_check_result res;
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;

	*told = (struct told){ 0 };
	ok(store_check(st, &o, on_damage, told, &res, &err));
	store_close(st);
	return res;
}

/* All is well, by all that can be read. */
static inline struct store_check_result expect_sound(struct backend *mem)
{
	struct store_check_result res;
	struct told told;

	res = check(mem, 100, false, &told);
	if (told.damage != 0)
		fail_msg("damage: %s", told.last);
	return res;
}

static inline int repair_in(struct store *st, bool dry, bool read,
    const uint8_t *lost, struct store_repair_result *res, struct told *told,
    struct err *err)
{
	struct store_repair_options o = { .dry_run = dry, .read_data = read,
		.report = on_damage, .mended = on_mended,
		.suspect = on_suspect, .ctx = told };
	struct store_repair *r;

	*told = (struct told){ 0 };
	r = store_repair_begin(st, &o, err);
	if (r == NULL)
		return -1;
	if (lost != NULL && store_repair_lost(r, STORE_DATA, lost, err) != 0) {
		store_repair_abort(r);
		return -1;
	}
	return store_repair_end(r, res, err);
}

static inline struct store_repair_result repair(struct backend *mem, bool dry,
    bool read, const uint8_t *lost, struct told *told)
{
	struct store_repair_result res;
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;

	if (repair_in(st, dry, read, lost, &res, told, &err) != 0)
		fail_msg("repair: %s", err.msg);
	store_close(st);
	return res;
}

/* Every blob, but for `but`, can be read. */
static inline void expect_blobs(const struct world *w, const uint8_t *but)
{
	struct store *st = reopen(w->mem);
	struct store_worker *wk = worker(st);

	for (int k = 0; k < 3; k++)
		for (int i = 0; i < BLOBS; i++)
			if (but == NULL || memcmp(but, w->id[k][i], 32) != 0)
				expect_n(st, wk, STORE_DATA + k, w->id[k][i],
				    (uint64_t)i, BLOB_LEN);
	store_worker_free(wk);
	store_close(st);
}

#endif
