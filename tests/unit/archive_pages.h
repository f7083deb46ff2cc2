#ifndef TESTS_UNIT_ARCHIVE_PAGES_H
#define TESTS_UNIT_ARCHIVE_PAGES_H

/*
 * For the tests of the archive room: randomness that can be repeated, and pages
 * in memory.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/archive/archive.h"
#include "repo/base/bytes.h"
#include "repo/crypto/crypto.h"

static const uint8_t world_key[32] = "the key of order in these tests";

#define OK(call) world_ok((call), &err, #call, __LINE__)

static inline void world_ok(int r, const struct err *err, const char *what,
    int line)
{
	if (r != 0)
		fail_msg("line %d: %s gave %d: %s", line, what, r, err->msg);
}

/* --- randomness that can be repeated -------------------------------------------*/

static uint64_t world_seed = 1;

static inline uint64_t rnd(void)
{
	uint64_t z = (world_seed += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static inline uint64_t below(uint64_t n)
{
	return rnd() % n;
}

/* --- pages in memory ------------------------------------------------------------*/

struct world_page {
	uint8_t id[32];
	uint8_t kind;
	uint8_t *p;
	size_t len;
	bool gone;     /* was lost */
	bool fresh;    /* new since world_old */
};

struct world_pages {
	struct world_page *slot;
	size_t n, cap;
	uint64_t gets, puts;
	bool no_catalog; /* a credential that cannot read catalogs */
	size_t largest;
};

static inline struct world_page *world_find(struct world_pages *w,
    const uint8_t *id)
{
	size_t i = le64_get(id) & (w->cap - 1);

	while (w->slot[i].p != NULL && memcmp(w->slot[i].id, id, 32) != 0)
		i = (i + 1) & (w->cap - 1);
	return &w->slot[i];
}

static inline void world_grow(struct world_pages *w)
{
	struct world_pages big = *w;

	big.cap = w->cap ? w->cap * 2 : 1024;
	big.slot = calloc(big.cap, sizeof(*big.slot));
	assert_non_null(big.slot);
	for (size_t i = 0; i < w->cap; i++) {
		if (w->slot[i].p != NULL)
			*world_find(&big, w->slot[i].id) = w->slot[i];
	}
	free(w->slot);
	*w = big;
}

static inline int world_get(void *ctx, enum archive_kind kind,
    const uint8_t id[32], struct buf *ret_page, struct err *err)
{
	struct world_pages *w = ctx;
	struct world_page *p = w->cap ? world_find(w, id) : NULL;

	w->gets++;
	if (p == NULL || p->p == NULL || p->gone)
		return err_set(err, ERR_CORRUPT, "no such page");
	assert_int_equal(p->kind, kind);
	if (w->no_catalog && kind == ARCHIVE_CATALOG)
		return err_set(err, ERR_AUTH, "a catalog may not be read");
	buf_reset(ret_page);
	buf_add(ret_page, p->p, p->len);
	return buf_check(ret_page, "a page", err);
}

static inline int world_put(void *ctx, enum archive_kind kind, const void *page,
    size_t len, uint8_t ret_id[32], struct err *err)
{
	struct world_pages *w = ctx;
	struct world_page *p;

	(void)err;
	w->puts++;
	if (len > w->largest)
		w->largest = len;
	crypto_sha256(ret_id, page, len);
	ret_id[31] = (uint8_t)kind;
	if (w->n * 2 >= w->cap)
		world_grow(w);
	p = world_find(w, ret_id);
	if (p->p != NULL)
		return 0;
	memcpy(p->id, ret_id, 32);
	p->kind = (uint8_t)kind;
	p->p = malloc(len);
	assert_non_null(p->p);
	memcpy(p->p, page, len);
	p->len = len;
	p->fresh = true;
	w->n++;
	return 0;
}

static inline struct archive_io world_io(struct world_pages *w)
{
	return (struct archive_io){ .get = world_get, .put = world_put, .ctx = w };
}

/* From now on what comes is new. */
static inline void world_old(struct world_pages *w)
{
	for (size_t i = 0; i < w->cap; i++)
		w->slot[i].fresh = false;
}

static inline size_t world_fresh(const struct world_pages *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->cap; i++)
		n += w->slot[i].p != NULL && w->slot[i].fresh;
	return n;
}

static inline void world_release(struct world_pages *w)
{
	for (size_t i = 0; i < w->cap; i++)
		free(w->slot[i].p);
	free(w->slot);
	*w = (struct world_pages){ 0 };
}

#endif
