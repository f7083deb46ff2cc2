#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/engine/split.h"

/*
 * How bytes are divided depends on them and their place alone: not on the
 * pieces in which they arrive.  Zero runs begin and end on the grid.
 */

#define SIZE ((size_t)6 << 20)
#define RUNS 4096u

static struct chunker *chunker;
static uint8_t *bytes;

struct run { uint64_t off, len; bool zero; };
struct outcome { struct run v[RUNS]; size_t n; uint64_t at; uint64_t sum; };

static uint64_t sum_of(const uint8_t *p, size_t len)
{
	uint64_t h = 1469598103934665603u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 1099511628211u;
	return h;
}

static void add(struct outcome *o, uint64_t len, bool zero)
{
	assert_true(o->n < RUNS);
	o->v[o->n++] = (struct run){ o->at, len, zero };
	o->at += len;
}

static int on_chunk(void *ctx, const uint8_t *p, size_t len, struct err *err)
{
	struct outcome *o = ctx;

	(void)err;
	assert_memory_equal(p, bytes + o->at, len);
	o->sum = o->sum * 31 + sum_of(p, len);
	add(o, len, false);
	return 0;
}

static int on_zero(void *ctx, uint64_t len, struct err *err)
{
	struct outcome *o = ctx;

	(void)err;
	assert_int_equal(o->at % SPLIT_GRAIN, 0);
	for (uint64_t i = 0; i < len; i++)
		assert_int_equal(bytes[o->at + i], 0);
	add(o, len, true);
	return 0;
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static int setup(void **state)
{
	static const uint8_t key[CHUNKER_KEY_LEN] = { 1, 2, 3 };
	struct chunker_params p;

	(void)state;
	if (chunker_params_default(CHUNKER_BLOCK, 65536, &p) < 0)
		return -1;
	bytes = malloc(SIZE);
	chunker = aligned_alloc(64, (sizeof(*chunker) + 63) / 64 * 64);
	return bytes == NULL || chunker == NULL ||
	    chunker_init(chunker, CHUNKER_BLOCK, key, &p) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	free(bytes);
	free(chunker);
	return 0;
}

static struct split make(struct outcome *o, size_t zeros)
{
	memset(o, 0, sizeof(*o));
	return (struct split){ .chunker = chunker, .max = 262144, .zeros = zeros,
	    .chunk = on_chunk, .zero = on_zero, .ctx = o };
}

/* Offer len bytes in pieces of at most `piece`; 0: of random sizes. */
static void divide(struct outcome *o, size_t len, size_t zeros, size_t piece, uint64_t seed)
{
	struct split s = make(o, zeros);
	size_t at = 0, have = 0;

	while (at < len || have == 0) {
		size_t n = piece ? piece : 1 + next_random(&seed) % 400000, used;

		have = have + n > len - at ? len - at : have + n;
		assert_int_equal(split_feed(&s, bytes + at, have, at, at + have == len, &used,
		    NULL), 0);
		assert_true(used <= have);
		assert_true(at + have == len || have - used < split_hold(&s));
		at += used;
		have -= used;
		if (at + have == len && have == 0)
			break;
	}
	assert_int_equal(o->at, len);
}

static void fill(uint64_t seed)
{
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(next_random(&seed) >> 32);
	for (unsigned i = 0; i < 12; i++) {
		size_t at = next_random(&seed) % SIZE, n = next_random(&seed) % 700000;

		if (i % 3 == 0)
			at -= at % SPLIT_GRAIN;
		memset(bytes + at, 0, n < SIZE - at ? n : SIZE - at);
	}
}

static struct outcome whole, parts;

static void the_pieces_do_not_matter(void **state)
{
	static const size_t pieces[] = { 4096, 65536, 65537, 262144, 1000000, SIZE, 0, 0 };

	(void)state;
	for (uint64_t seed = 1; seed < 9; seed++) {
		size_t zeros = seed % 2 ? SPLIT_GRAIN : 16 * SPLIT_GRAIN;
		size_t len = SIZE - (seed % 3 == 0 ? 0 : seed * 12345);

		fill(seed);
		divide(&whole, len, zeros, len, 0);
		for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
			divide(&parts, len, zeros, pieces[i], seed * 100 + i);
			assert_int_equal(parts.n, whole.n);
			assert_memory_equal(parts.v, whole.v, whole.n * sizeof(whole.v[0]));
			assert_int_equal(parts.sum, whole.sum);
		}
	}
}

static void runs_and_chunks_keep_their_bounds(void **state)
{
	(void)state;
	for (uint64_t seed = 20; seed < 30; seed++) {
		fill(seed);
		divide(&whole, SIZE, 2 * SPLIT_GRAIN, 0, seed);
		for (size_t i = 0; i < whole.n; i++) {
			const struct run *r = &whole.v[i];

			if (r->zero) {
				assert_true(r->len >= 2 * SPLIT_GRAIN || r->off + r->len == SIZE);
				assert_true(r->len % SPLIT_GRAIN == 0 || r->off + r->len == SIZE);
				assert_true(i == 0 || !whole.v[i - 1].zero);
			} else {
				assert_true(r->len <= 262144);
				assert_true(r->len >= 32768 || i + 1 == whole.n ||
				    whole.v[i + 1].zero);
			}
		}
	}
}

static void what_is_all_zero_is_one_run(void **state)
{
	(void)state;
	memset(bytes, 0, SIZE);
	divide(&whole, SIZE - 5, SPLIT_GRAIN, 0, 1);
	assert_int_equal(whole.n, 1);
	assert_true(whole.v[0].zero);
	divide(&whole, SPLIT_GRAIN - 1, SPLIT_GRAIN, 1000, 1);
	assert_int_equal(whole.n, 1);
	assert_false(whole.v[0].zero);
}

static void zeros_beside_the_grid_stay_in_their_chunk(void **state)
{
	(void)state;
	memset(bytes, 7, SIZE);
	memset(bytes + 1, 0, 2 * SPLIT_GRAIN - 2);
	divide(&whole, 4 * SPLIT_GRAIN, SPLIT_GRAIN, 0, 3);
	for (size_t i = 0; i < whole.n; i++)
		assert_false(whole.v[i].zero);
	/* One byte more, and a whole grain is zero. */
	bytes[2 * SPLIT_GRAIN - 1] = 0;
	divide(&whole, 4 * SPLIT_GRAIN, SPLIT_GRAIN, 0, 3);
	assert_true(whole.v[1].zero || whole.v[2].zero || whole.v[3].zero);
}

static void cuts_come_back_after_a_change(void **state)
{
	size_t same = 0;

	(void)state;
	fill(77);
	divide(&whole, SIZE, SPLIT_GRAIN, 0, 1);
	bytes[SIZE / 2] ^= 0x55;
	divide(&parts, SIZE, SPLIT_GRAIN, 0, 2);
	for (size_t i = 0; i < whole.n; i++)
		for (size_t k = 0; k < parts.n; k++)
			same += memcmp(&whole.v[i], &parts.v[k], sizeof(whole.v[0])) == 0;
	assert_true(same + 8 >= whole.n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pieces_do_not_matter),
		cmocka_unit_test(runs_and_chunks_keep_their_bounds),
		cmocka_unit_test(what_is_all_zero_is_one_run),
		cmocka_unit_test(zeros_beside_the_grid_stay_in_their_chunk),
		cmocka_unit_test(cuts_come_back_after_a_change),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
