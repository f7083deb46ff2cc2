#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chunker/chunker.h"
#include "tests/unit/chunker_data.h"

/* What cuts have to be like, whatever the path. */

/* Less where the CPU is emulated. */
#ifndef LEN
#define LEN (16u << 20)
#endif
#define MAX_CUTS (LEN / 2048)

static const uint8_t key[CHUNKER_KEY_LEN] = { 3, 1, 4, 1, 5, 9, 2, 6, 5, 3,
	5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4, 3, 3, 8, 3, 2, 7, 9, 5 };

static const struct {
	enum chunker_mode mode;
	uint32_t avg;
} kinds[] = {
	{ CHUNKER_STREAM, 4096 }, { CHUNKER_STREAM, 16384 },
	{ CHUNKER_BLOCK, 8192 }, { CHUNKER_BLOCK, 16384 },
	{ CHUNKER_BLOCK, 65536 },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct chunker c;
static struct chunker_params params;
static uint8_t *data;

static void ready(size_t kind, const uint8_t *k)
{
	assert_int_equal(chunker_params_default(kinds[kind].mode,
	    kinds[kind].avg, &params), 0);
	assert_int_equal(chunker_init(&c, kinds[kind].mode, k, &params), 0);
}

/* Fill ends with where chunks of p end, as offsets.  Return their number. */
static size_t cut_all(const uint8_t *p, size_t len, size_t *ends)
{
	size_t n = 0;

	for (size_t off = 0; off < len; ) {
		size_t one = chunker_next(&c, p + off, len - off, true);

		assert_true(one > 0 && one <= len - off);
		off += one;
		assert_true(n < MAX_CUTS);
		ends[n++] = off;
	}
	return n;
}

static void chunks_keep_to_minimum_and_maximum(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		ready(k, key);
		for (size_t off = 0; off < LEN; ) {
			size_t n = chunker_next(&c, data + off, LEN - off,
			    true);

			if (off + n < LEN)
				assert_in_range(n, params.min, params.max);
			assert_true(n <= params.max);
			if (kinds[k].mode == CHUNKER_BLOCK)
				assert_int_equal(n % CHUNKER_BLOCK_LEN, 0);
			off += n;
		}
	}
}

static void chunks_are_as_long_as_asked_on_average(void **state)
{
	size_t *ends = calloc(MAX_CUTS, sizeof(*ends));

	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		/* Lengths deviate by half of the average: five sigmas. */
		size_t want = LEN / kinds[k].avg;
		size_t slack = 1;

		while (4 * slack * slack < 25 * want)
			slack++;
		ready(k, key);
		assert_in_range(cut_all(data, LEN, ends), want - slack,
		    want + slack);
	}
	free(ends);
}

static void another_key_makes_other_cuts(void **state)
{
	size_t *a = calloc(MAX_CUTS, sizeof(*a));
	size_t *b = calloc(MAX_CUTS, sizeof(*b));
	size_t len = LEN / 4;

	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		uint8_t k2[CHUNKER_KEY_LEN];
		size_t same = 0;

		/* One bit of the half that is this mode's. */
		memcpy(k2, key, sizeof(k2));
		k2[kinds[k].mode == CHUNKER_BLOCK ? 31 : 0] ^= 1;
		ready(k, key);
		size_t na = cut_all(data, len, a);

		ready(k, k2);
		size_t nb = cut_all(data, len, b);

		for (size_t i = 0, j = 0; i < na && j < nb; ) {
			same += a[i] == b[j];
			if (a[i] <= b[j])
				i++;
			else
				j++;
		}
		/* Blocks leave few places, so some coincide by chance. */
		assert_true(same < (kinds[k].mode == CHUNKER_STREAM ?
		    na / 20 + 2 : na * 3 / 4));
	}
	free(a);
	free(b);
}

static void the_two_modes_use_different_halves_of_the_key(void **state)
{
	size_t *a = calloc(MAX_CUTS, sizeof(*a));
	size_t *b = calloc(MAX_CUTS, sizeof(*b));
	size_t len = LEN / 4;

	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		uint8_t k2[CHUNKER_KEY_LEN];

		memcpy(k2, key, sizeof(k2));
		memset(k2 + (kinds[k].mode == CHUNKER_BLOCK ? 0 : 16), 77, 16);
		ready(k, key);
		size_t n = cut_all(data, len, a);

		ready(k, k2);
		assert_int_equal(cut_all(data, len, b), n);
		assert_memory_equal(a, b, n * sizeof(*a));
	}
	free(a);
	free(b);
}

/* Feeding by pieces, each time until told a length, cuts as at one go. */
static void pieces_are_cut_like_the_whole(void **state)
{
	size_t len = 300001;
	uint64_t seed = 21;

	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		ready(k, key);
		for (size_t off = 0; off < len; ) {
			size_t want = chunker_next(&c, data + off, len - off,
			    true);
			size_t have = 0, got = 0;

			while (got == 0) {
				have += data_next(&seed) % 5000;
				if (have > len - off)
					have = len - off;
				got = chunker_next(&c, data + off, have,
				    have == len - off);
			}
			assert_int_equal(got, want);
			off += got;
		}
	}
}

static void more_bytes_are_asked_for_only_below_the_maximum(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		static uint8_t zero[4 << 20];

		ready(k, key);
		assert_int_equal(chunker_next(&c, zero, 0, false), 0);
		assert_int_equal(chunker_next(&c, zero, 0, true), 0);
		assert_int_equal(chunker_next(&c, data, params.min - 1,
		    false), 0);
		assert_int_equal(chunker_next(&c, data, params.min - 1, true),
		    params.min - 1);
		assert_true(chunker_next(&c, data, params.max, false) != 0);
		assert_true(chunker_next(&c, zero, params.max, false) != 0);
	}
}

/* A threshold that is never met: the cut is forced at max, and not sooner. */
static void a_chunk_without_a_cut_ends_at_the_maximum(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		ready(k, key);
		params.threshold = 1;
		assert_int_equal(chunker_init(&c, kinds[k].mode, key,
		    &params), 0);
		assert_int_equal(chunker_next(&c, data, LEN, false),
		    params.max);
		assert_int_equal(chunker_next(&c, data, params.max, false),
		    params.max);
		assert_int_equal(chunker_next(&c, data, params.max - 1, false),
		    0);
		assert_int_equal(chunker_next(&c, data, params.max - 1, true),
		    params.max - 1);
	}
}

/* Where all windows are alike, the limit alone decides, and where it turns shows. */
static void stream_mode_is_looser_in_the_later_part_of_a_chunk(void **state)
{
	static uint8_t zero[16384];
	struct chunker_params p = { 4096, 2048, 16384, UINT64_MAX };
	uint64_t low = 0;

	(void)state;
	/* Find the value of a window of zeroes: the least that is not below. */
	for (int bit = 63; bit >= 0; bit--) {
		p.threshold = low | (uint64_t)1 << bit;
		assert_int_equal(chunker_init(&c, CHUNKER_STREAM, key, &p), 0);
		if (chunker_next(&c, zero, sizeof(zero), false) != p.min)
			low = p.threshold;
	}
	p.threshold = low + 1;
	assert_int_equal(chunker_init(&c, CHUNKER_STREAM, key, &p), 0);
	assert_int_equal(chunker_next(&c, zero, sizeof(zero), false), p.min);
	p.threshold = low;
	assert_int_equal(chunker_init(&c, CHUNKER_STREAM, key, &p), 0);
	assert_int_equal(chunker_next(&c, zero, sizeof(zero), false),
	    CHUNKER_TURN(p.avg));
	p.threshold = low / CHUNKER_LOOSER + 1;
	assert_int_equal(chunker_init(&c, CHUNKER_STREAM, key, &p), 0);
	assert_int_equal(chunker_next(&c, zero, sizeof(zero), false),
	    CHUNKER_TURN(p.avg));
	p.threshold = low / CHUNKER_LOOSER;
	assert_int_equal(chunker_init(&c, CHUNKER_STREAM, key, &p), 0);
	assert_int_equal(chunker_next(&c, zero, sizeof(zero), false), p.max);
	/* A product of more than 64 bits means: below every limit. */
	p.threshold = (uint64_t)1 << 58;
	assert_true(low >= p.threshold);
	assert_int_equal(chunker_init(&c, CHUNKER_STREAM, key, &p), 0);
	assert_int_equal(chunker_next(&c, zero, sizeof(zero), false),
	    CHUNKER_TURN(p.avg));
	/* A minimum beyond the turn: looser at once, but never below it. */
	p.threshold = low;
	p.min = 4000;
	assert_true(chunker_params_valid(CHUNKER_STREAM, &p));
	assert_int_equal(chunker_init(&c, CHUNKER_STREAM, key, &p), 0);
	assert_int_equal(chunker_next(&c, zero, sizeof(zero), false), p.min);
}

/* A cut depends on the chunk alone: never on what stands before or after. */
static void a_chunk_does_not_see_its_surroundings(void **state)
{
	size_t len = 1 << 18;
	uint8_t *copy = malloc(2 * len);

	(void)state;
	assert_non_null(copy);
	for (size_t k = 0; k < KINDS; k++) {
		ready(k, key);
		size_t want = chunker_next(&c, data, LEN, false);

		assert_true(want <= len);
		data_fill(copy, 2 * len, DATA_RANDOM, 99);
		memcpy(copy + 8192, data, want);
		assert_int_equal(chunker_next(&c, copy + 8192,
		    2 * len - 8192, false), want);
		/* Its last byte, changed, decides otherwise (but for chance). */
		if (kinds[k].mode == CHUNKER_STREAM) {
			copy[8192 + want - 1] ^= 1;
			assert_int_not_equal(chunker_next(&c, copy + 8192,
			    2 * len - 8192, false), want);
		}
	}
	free(copy);
}

/* After bytes were put in, cuts soon fall on the same content again. */
static void cuts_meet_again_after_an_insertion(void **state)
{
	size_t len = 4 << 20, at = 100000 / 4096 * 4096;
	uint8_t *copy = malloc(len + 8192);
	size_t *a = calloc(MAX_CUTS, sizeof(*a));
	size_t *b = calloc(MAX_CUTS, sizeof(*b));

	(void)state;
	assert_non_null(copy);
	for (size_t k = 0; k < KINDS; k++) {
		size_t put = kinds[k].mode == CHUNKER_STREAM ? 5 : 4096;
		size_t apart = 0, i = 0;

		memcpy(copy, data, at);
		memset(copy + at, 42, put);
		memcpy(copy + at + put, data + at, len - at);
		ready(k, key);
		size_t na = cut_all(data, len, a);
		size_t nb = cut_all(copy, len + put, b);

		for (; a[i] <= at; i++)
			assert_int_equal(a[i], b[i]);
		for (size_t j = i; i < na; i++) {
			while (j < nb && b[j] < a[i] + put)
				j++;
			apart += b[j] != a[i] + put;
		}
		assert_int_equal(b[nb - 1], a[na - 1] + put);
		assert_true(apart <= 16);
	}
	free(copy);
	free(a);
	free(b);
}

static void impossible_parameters_are_refused(void **state)
{
	static const uint32_t bad[] = { 0, 4095, 4094, 4097, (2u << 20) + 1,
		4u << 20, UINT32_MAX };
	struct chunker_params p;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(chunker_params_default(CHUNKER_STREAM, bad[i],
		    &p), -1);
	}
	assert_int_equal(chunker_params_default(CHUNKER_STREAM, 6000, &p), 0);
	assert_int_equal(chunker_params_default(CHUNKER_BLOCK, 6000, &p), -1);
	assert_int_equal(chunker_params_default((enum chunker_mode)0, 4096,
	    &p), -1);
	assert_int_equal(chunker_params_default((enum chunker_mode)3, 4096,
	    &p), -1);
}

static void parameters_read_from_somewhere_are_checked(void **state)
{
	struct chunker_params good, p;

	(void)state;
	assert_int_equal(chunker_params_default(CHUNKER_BLOCK, 8192, &good),
	    0);
	assert_true(chunker_params_valid(CHUNKER_BLOCK, &good));
	assert_false(chunker_params_valid((enum chunker_mode)7, &good));
#define REFUSED(mode, change) do { \
		p = good; \
		change; \
		assert_false(chunker_params_valid(mode, &p)); \
		assert_int_equal(chunker_init(&c, mode, key, &p), -1); \
	} while (0)
	REFUSED(CHUNKER_BLOCK, p.threshold = 0);
	REFUSED(CHUNKER_BLOCK, p.min = 4097);
	REFUSED(CHUNKER_BLOCK, p.max = 40001);
	REFUSED(CHUNKER_BLOCK, p.min = 0);
	REFUSED(CHUNKER_STREAM, p.min = 63);
	REFUSED(CHUNKER_STREAM, p.min = 8193);
	REFUSED(CHUNKER_STREAM, p.max = 8191);
	REFUSED(CHUNKER_STREAM, p.max = UINT32_MAX);
	REFUSED(CHUNKER_STREAM, p.avg = 4095);
	REFUSED(CHUNKER_STREAM, p.avg = (2u << 20) + 1);
#undef REFUSED
}

static void a_run_of_zeroes_is_measured_to_the_byte(void **state)
{
	uint8_t p[1200] = { 0 };

	(void)state;
	for (size_t off = 0; off < 20; off++) {
		for (size_t n = off; n < sizeof(p); n += 7) {
			p[n] = 1;
			assert_int_equal(chunker_zero_prefix(p + off,
			    sizeof(p) - off), n - off);
			p[n] = 0x80;
			assert_int_equal(chunker_zero_prefix(p + off,
			    sizeof(p) - off), n - off);
			p[n] = 0;
		}
		assert_int_equal(chunker_zero_prefix(p + off, sizeof(p) - off),
		    sizeof(p) - off);
	}
	assert_int_equal(chunker_zero_prefix(p, 0), 0);
}

static int make_data(void **state)
{
	(void)state;
	data = malloc(LEN);
	if (data == NULL)
		return -1;
	data_fill(data, LEN, DATA_RANDOM, 20);
	return 0;
}

static int free_data(void **state)
{
	(void)state;
	free(data);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_keep_to_minimum_and_maximum),
		cmocka_unit_test(chunks_are_as_long_as_asked_on_average),
		cmocka_unit_test(another_key_makes_other_cuts),
		cmocka_unit_test(the_two_modes_use_different_halves_of_the_key),
		cmocka_unit_test(pieces_are_cut_like_the_whole),
		cmocka_unit_test(more_bytes_are_asked_for_only_below_the_maximum),
		cmocka_unit_test(a_chunk_without_a_cut_ends_at_the_maximum),
		cmocka_unit_test(stream_mode_is_looser_in_the_later_part_of_a_chunk),
		cmocka_unit_test(a_chunk_does_not_see_its_surroundings),
		cmocka_unit_test(cuts_meet_again_after_an_insertion),
		cmocka_unit_test(impossible_parameters_are_refused),
		cmocka_unit_test(parameters_read_from_somewhere_are_checked),
		cmocka_unit_test(a_run_of_zeroes_is_measured_to_the_byte),
	};

	return cmocka_run_group_tests(tests, make_data, free_data) == 0 ? 0 : 1;
}
