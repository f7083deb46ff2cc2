/* Sorting for copies between families, and ids remembered in a file. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/copy_ids.h"
#include "agent/engine/copy_sort.h"

#define N 20000u

static uint64_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 16;
}

struct seen {
	unsigned n;
	uint64_t sum;
	uint8_t last[64];
	size_t last_len;
};

static int look(void *ctx, const uint8_t *key, size_t keylen,
    const uint8_t *rec, size_t len, struct err *err)
{
	struct seen *s = ctx;
	size_t least = keylen < s->last_len ? keylen : s->last_len;
	int c = memcmp(s->last, key, least);

	(void)err;
	assert_true(c < 0 || (c == 0 && s->last_len <= keylen));
	memcpy(s->last, key, keylen);
	s->last_len = keylen;
	/* Each record came with its own key. */
	assert_true(len >= 8 && memcmp(rec, key, keylen < 8 ? keylen : 8) == 0);
	s->sum += rec[len - 1] + len;
	s->n++;
	return 0;
}

/* All come back in order, whatever fits in memory: also by runs of runs. */
static void sorted_with(size_t memory, unsigned n)
{
	struct err err = ERR_INIT;
	struct copy_sort *s = copy_sort_new(memory, &err);
	struct seen seen = { .n = 0 };
	uint64_t seed = 5, sum = 0;
	uint8_t key[64], rec[3000];

	assert_non_null(s);
	for (unsigned i = 0; i < n; i++) {
		size_t keylen = next(&seed) % 40 + 1;
		size_t len = next(&seed) % 60 + 8 +
		    (next(&seed) % 500 == 0 ? 2900 : 0);

		for (size_t k = 0; k < keylen; k++)
			key[k] = (uint8_t)(next(&seed) % 4);
		memset(rec, (int)(next(&seed) & 0xff), len);
		memcpy(rec, key, keylen < 8 ? keylen : 8);
		sum += rec[len - 1] + len;
		assert_int_equal(copy_sort_add(s, key, keylen, rec, len, &err), 0);
	}
	assert_int_equal(copy_sort_each(s, look, &seen, &err), 0);
	assert_int_equal(seen.n, n);
	assert_int_equal(seen.sum, sum);
	copy_sort_free(s);
}

static void records_come_back_in_order(void **state)
{
	(void)state;
	sorted_with(100 << 20, N);
	sorted_with(200000, N);   /* some runs */
	sorted_with(4000, N);     /* runs of runs */
	sorted_with(4000, 1);
	sorted_with(4000, 0);
}

static int stop(void *ctx, const uint8_t *key, size_t keylen,
    const uint8_t *rec, size_t len, struct err *err)
{
	(void)key, (void)keylen, (void)rec, (void)len, (void)err;
	return ++*(int *)ctx == 3 ? 7 : 0;
}

static void a_walk_ends_when_it_is_told(void **state)
{
	struct err err = ERR_INIT;
	struct copy_sort *s = copy_sort_new(1000, &err);
	int n = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(copy_sort_add(s, &i, sizeof(i), "0123456789",
		    10, &err), 0);
	assert_int_equal(copy_sort_each(s, stop, &n, &err), 7);
	assert_int_equal(n, 3);
	copy_sort_free(s);
}

static void ids_are_told_apart_wholly(void **state)
{
	struct err err = ERR_INIT;
	struct copy_ids *s = copy_ids_new(1 << 10, &err);
	uint8_t id[32] = { 1 }, other[32], got[32];

	(void)state;
	assert_non_null(s);
	for (unsigned i = 0; i < N; i++) {
		memcpy(id, &i, sizeof(i));
		memset(other, (int)(i & 0xff), 32);
		assert_int_equal(copy_ids_put(s, id, other, &err), 0);
	}
	for (unsigned i = 0; i < N; i++) {
		memcpy(id, &i, sizeof(i));
		assert_int_equal(copy_ids_get(s, id, got, &err), 0);
		assert_int_equal(got[31], i & 0xff);
	}
	/* The same beginning is not the same id. */
	id[31] ^= 1;
	assert_int_equal(copy_ids_get(s, id, got, &err), 1);
	/* What is told later counts. */
	id[31] ^= 1;
	memset(other, 99, 32);
	assert_int_equal(copy_ids_put(s, id, other, &err), 0);
	assert_int_equal(copy_ids_get(s, id, got, &err), 0);
	assert_int_equal(got[0], 99);
	copy_ids_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_back_in_order),
		cmocka_unit_test(a_walk_ends_when_it_is_told),
		cmocka_unit_test(ids_are_told_apart_wholly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
