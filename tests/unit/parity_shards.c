/* Every shape: made in pieces, looked at, damaged up to the limit and beyond. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/parity/parity.h"

static uint64_t seed = 88172645463325252ull;

static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 11) % n;
}

/* An object with its parity. */
struct thing {
	struct parity_shape s;
	uint8_t *all;   /* all shards, the data's filled with zeros */
	uint8_t *sums;
};

static void thing_new(struct thing *t, uint32_t size, unsigned data,
    unsigned parity)
{
	struct err err = ERR_INIT;
	struct parity_maker *m;

	assert_int_equal(parity_shape_for(&t->s, size, data, parity, &err), 0);
	t->all = calloc(t->s.data + parity, t->s.shard);
	t->sums = malloc(parity_cells(&t->s) * 8);
	for (uint32_t i = 0; i < size; i++)
		t->all[i] = (uint8_t)rnd(256);
	m = parity_maker_new(&t->s, t->sums, t->all +
	    (size_t)t->s.data * t->s.shard, &err);
	assert_non_null(m);
	for (uint32_t at = 0, n; at < size; at += n) {
		n = 1 + rnd(rnd(2) ? 100 : size);
		n = n < size - at ? n : size - at;
		parity_maker_add(m, t->all + at, n);
	}
	parity_maker_end(m);
}

static void thing_free(struct thing *t)
{
	free(t->all);
	free(t->sums);
}

static void look_at(const struct thing *t, const uint8_t *all,
    struct parity_look *l)
{
	struct err err = ERR_INIT;

	assert_int_equal(parity_look_begin(l, &t->s, t->sums, &err), 0);
	for (uint32_t at = 0, n; at < t->s.size; at += n) {
		n = 1 + rnd(70000);
		n = n < t->s.size - at ? n : t->s.size - at;
		parity_look_add(l, all + at, n);
	}
	parity_look_object_end(l);
	parity_look_add(l, all + (size_t)t->s.data * t->s.shard,
	    parity_bytes(&t->s));
}

/* Put back all that l says; 0, or 1 when it cannot be. */
static int mend_all(const struct thing *t, uint8_t *all,
    const struct parity_look *l)
{
	unsigned n = t->s.data + t->s.parity;

	for (uint32_t c = 0; c < t->s.columns; c++) {
		bool lost[PARITY_SHARDS_MAX];
		uint8_t *cell[PARITY_SHARDS_MAX];
		struct err err = ERR_INIT;

		for (unsigned i = 0; i < n; i++) {
			lost[i] = parity_look_is_bad(l, i, c);
			cell[i] = all + (size_t)i * t->s.shard +
			    (size_t)c * PARITY_CELL;
		}
		if (parity_mend(&t->s, cell, lost,
		        parity_cell_len(&t->s, c), &err) != 0) {
			assert_int_equal(err.class, ERR_CORRUPT);
			return 1;
		}
	}
	return 0;
}

/* Damage `lost` cells of each column and see what comes back. */
static void damaged(const struct thing *t, unsigned lost, int want)
{
	unsigned n = t->s.data + t->s.parity;
	size_t len = (size_t)n * t->s.shard;
	size_t data = (size_t)t->s.data * t->s.shard;
	uint8_t *all = malloc(len);
	struct parity_look l;
	bool data_lost = false;

	memcpy(all, t->all, len);
	for (uint32_t c = 0; c < t->s.columns; c++) {
		bool is[PARITY_SHARDS_MAX] = { false };

		for (unsigned k = 0; k < lost; k++) {
			unsigned i;
			size_t at;

			do
				i = k == 0 ? rnd(t->s.data) : rnd(n);
			while (is[i]);
			is[i] = true;
			at = (size_t)i * t->s.shard + (size_t)c * PARITY_CELL;
			/* What the object does not reach cannot be damaged. */
			if (i < t->s.data && at >= t->s.size)
				continue;
			data_lost |= i < t->s.data;
			all[at] ^= (uint8_t)(1 + rnd(255));
		}
	}
	look_at(t, all, &l);
	assert_int_equal(parity_look_data_bad(&l), data_lost);
	if (want == 0 || parity_look_can_mend(&l)) {
		assert_true(parity_look_can_mend(&l));
		assert_int_equal(mend_all(t, all, &l), 0);
		assert_memory_equal(all, t->all, data);
	} else {
		assert_int_equal(mend_all(t, all, &l), 1);
	}
	parity_look_release(&l);
	free(all);
}

static const struct { unsigned data, parity; } kinds[] = {
	{ 1, 1 }, { 2, 1 }, { 10, 1 }, { 10, 3 }, { 100, 10 }, { 100, 1 },
	{ 100, 50 }, { 4, 251 }, { 254, 1 }, { 128, 127 }, { 3, 2 },
};
static const uint32_t sizes[] = {
	1, 511, 512, 513, 4095, 4096, 4097, 65536, 131072, 300001, 524289,
	1 << 20, 4718592,
};

static void all_shapes_come_back(void **state)
{
	(void)state;
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct thing t;
			unsigned n;

			/* The largest of all kinds takes too long for a test. */
			if (sizes[i] > 300001 && kinds[k].parity > 10)
				continue;
			thing_new(&t, sizes[i], kinds[k].data, kinds[k].parity);
			n = t.s.data + t.s.parity;
			damaged(&t, 0, 0);
			damaged(&t, 1, 0);
			damaged(&t, kinds[k].parity, 0);
			if (kinds[k].parity + 1 <= n)
				damaged(&t, kinds[k].parity + 1, 1);
			thing_free(&t);
		}
	}
}

/* 100 + 10 of a pack, as a backup makes it: a tenth of it in one piece. */
static void a_burst_comes_back(void **state)
{
	struct thing t;
	struct parity_look l;
	uint64_t at = 0, off, len, total = 0;
	size_t all_len;
	uint8_t *all;

	(void)state;
	thing_new(&t, 4 << 20, 100, 10);
	all_len = (size_t)(t.s.data + t.s.parity) * t.s.shard;
	all = malloc(all_len);
	for (int round = 0; round < 4; round++) {
		uint32_t n = 9 * t.s.shard;
		uint32_t from = rnd(t.s.size - n);

		memcpy(all, t.all, all_len);
		memset(all + from, 0, n);
		look_at(&t, all, &l);
		assert_true(parity_look_can_mend(&l));
		for (at = total = 0; parity_look_next(&l, &at, &off,
		        &len) == 0; total += len) {
			assert_true(off <= from && off + len >= from + n);
			assert_true(len < n + 2 * PARITY_CELL);
		}
		assert_true(total >= n);
		assert_int_equal(mend_all(&t, all, &l), 0);
		assert_memory_equal(all, t.all,
		    (size_t)t.s.data * t.s.shard);
		parity_look_release(&l);
	}
	/* All of it is too much. */
	memset(all, 1, all_len);
	look_at(&t, all, &l);
	assert_false(parity_look_can_mend(&l));
	assert_int_equal(mend_all(&t, all, &l), 1);
	parity_look_release(&l);
	free(all);
	thing_free(&t);
}

/* An object that is too short or too long: what is missing is lost, no more. */
static void a_wrong_length_is_looked_at(void **state)
{
	struct parity_look l;
	struct err err = ERR_INIT;
	struct thing t;

	(void)state;
	thing_new(&t, 1 << 20, 100, 10);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(parity_look_begin(&l, &t.s, t.sums, &err), 0);
		if (i == 0) {
			parity_look_add(&l, t.all, t.s.size - 50000);
		} else {
			parity_look_add(&l, t.all, t.s.size);
			parity_look_add(&l, t.all, 777);
		}
		parity_look_object_end(&l);
		parity_look_add(&l, t.all + (size_t)t.s.data * t.s.shard,
		    parity_bytes(&t.s));
		assert_int_equal(parity_look_data_bad(&l), i == 0);
		assert_true(parity_look_can_mend(&l));
		parity_look_release(&l);
	}
	thing_free(&t);
}

static void shapes_are_checked(void **state)
{
	struct parity_shape s;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(parity_shape_for(&s, 0, 10, 1, &err), -1);
	assert_int_equal(parity_shape_for(&s, 10, 0, 1, &err), -1);
	assert_int_equal(parity_shape_for(&s, 10, 1, 0, &err), -1);
	assert_int_equal(parity_shape_for(&s, 10, 250, 6, &err), -1);
	assert_int_equal(parity_shape_for(&s, PARITY_SIZE_MAX + 1, 10, 1, &err),
	    -1);
	assert_int_equal(parity_shape_for(&s, 16 << 20, 100, 10, &err), 0);
	assert_int_equal(s.shard, 167936);
	assert_int_equal(s.data, 100);
	assert_int_equal(s.columns, 41);
	assert_int_equal(parity_shape_for(&s, 65536, 100, 10, &err), 0);
	assert_int_equal(s.shard, 1024);
	assert_int_equal(s.data, 64);
	assert_int_equal(parity_shape_of(&s, 1000, 100, 11, 2, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes_are_checked),
		cmocka_unit_test(all_shapes_come_back),
		cmocka_unit_test(a_burst_comes_back),
		cmocka_unit_test(a_wrong_length_is_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
