#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/chunker_golden.h"

/*
 * Published and golden vectors, on every path that this CPU has.  A change of
 * any of them is a change of all cuts, and loses every repository's
 * deduplication.
 */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct chunker c;

/* Whether the chunk of len bytes at p is cut at len when the limit is t. */
static int cut_below(enum chunker_mode mode, const uint8_t *key,
    enum chunker_path path, const uint8_t *p, size_t len, uint64_t t)
{
	struct chunker_params params = { 4096, (uint32_t)len, 16384, t };

	assert_int_equal(chunker_init_path(&c, mode, key, &params, path), 0);
	return chunker_next(&c, p, len, false) == len;
}

static void published_aes_vectors_decide_stream_cuts(void **state)
{
	/* FIPS 197 appendix B; NIST SP 800-38A F.1.1 block 1; FIPS 197 C.1. */
	static const struct {
		uint8_t key[CHUNKER_KEY_LEN], plain[16], cipher[8];
	} v[] = {
		{ { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7,
		    0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c },
		  { 0x32, 0x43, 0xf6, 0xa8, 0x88, 0x5a, 0x30, 0x8d, 0x31, 0x31,
		    0x98, 0xa2, 0xe0, 0x37, 0x07, 0x34 },
		  { 0x39, 0x25, 0x84, 0x1d, 0x02, 0xdc, 0x09, 0xfb } },
		{ { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7,
		    0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c },
		  { 0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d,
		    0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a },
		  { 0x3a, 0xd7, 0x7b, 0xb4, 0x0d, 0x7a, 0x36, 0x60 } },
		{ { 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09,
		    0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f },
		  { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99,
		    0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff },
		  { 0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30 } },
	};

	(void)state;
	for (int path = 1; path <= CHUNKER_PATH_MAX; path++) {
		if (!chunker_path_available((enum chunker_path)path))
			continue;
		for (size_t i = 0; i < COUNT(v); i++) {
			uint8_t p[64] = { 0 };
			uint64_t want = 0;

			memcpy(p + 48, v[i].plain, 16);
			for (int b = 7; b >= 0; b--)
				want = want << 8 | v[i].cipher[b];
			assert_true(cut_below(CHUNKER_STREAM, v[i].key,
			    (enum chunker_path)path, p, sizeof(p), want + 1));
			assert_false(cut_below(CHUNKER_STREAM, v[i].key,
			    (enum chunker_path)path, p, sizeof(p), want));
		}
	}
}

static void block_values_are_the_golden_ones(void **state)
{
	static uint8_t p[CHUNKER_BLOCK_LEN];

	(void)state;
	for (int path = 1; path <= CHUNKER_PATH_MAX; path++) {
		if (!chunker_path_available((enum chunker_path)path))
			continue;
		for (size_t i = 0; i < COUNT(golden_values); i++) {
			const uint8_t *key = golden_keys[golden_values[i].key];
			uint64_t want = golden_values[i].value;

			data_fill(p, sizeof(p), golden_values[i].kind,
			    golden_values[i].seed);
			assert_true(cut_below(CHUNKER_BLOCK, key,
			    (enum chunker_path)path, p, sizeof(p), want + 1));
			assert_false(cut_below(CHUNKER_BLOCK, key,
			    (enum chunker_path)path, p, sizeof(p), want));
		}
	}
}

static void default_parameters_are_the_golden_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(golden_params); i++) {
		struct chunker_params p;

		assert_int_equal(chunker_params_default(golden_params[i].mode,
		    golden_params[i].avg, &p), 0);
		assert_int_equal(p.avg, golden_params[i].avg);
		assert_int_equal(p.min, golden_params[i].min);
		assert_int_equal(p.max, golden_params[i].max);
		assert_true(p.threshold == golden_params[i].threshold);
		assert_true(chunker_params_valid(golden_params[i].mode, &p));
	}
}

static void check_cuts(size_t i, enum chunker_path path, const uint8_t *p)
{
	struct chunker_params params;
	size_t off = 0;

	assert_int_equal(chunker_params_default(golden_cuts[i].mode,
	    golden_cuts[i].avg, &params), 0);
	assert_int_equal(chunker_init_path(&c, golden_cuts[i].mode,
	    golden_keys[golden_cuts[i].key], &params, path), 0);
	for (size_t n = 0; golden_cuts[i].cuts[n] != 0; n++) {
		size_t len = chunker_next(&c, p + off,
		    golden_cuts[i].len - off, true);

		if (len != golden_cuts[i].cuts[n]) {
			print_error("case %zu, path %s, chunk %zu\n", i,
			    chunker_path_name(path), n);
		}
		assert_int_equal(len, golden_cuts[i].cuts[n]);
		off += len;
	}
	assert_int_equal(off, golden_cuts[i].len);
}

static void cuts_are_the_golden_ones_on_every_path(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(golden_cuts); i++) {
		uint8_t *p = malloc(golden_cuts[i].len);

		assert_non_null(p);
		data_fill(p, golden_cuts[i].len, golden_cuts[i].kind,
		    golden_cuts[i].seed);
		for (int path = 0; path <= CHUNKER_PATH_MAX; path++) {
			if (chunker_path_available((enum chunker_path)path))
				check_cuts(i, (enum chunker_path)path, p);
		}
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_aes_vectors_decide_stream_cuts),
		cmocka_unit_test(block_values_are_the_golden_ones),
		cmocka_unit_test(default_parameters_are_the_golden_ones),
		cmocka_unit_test(cuts_are_the_golden_ones_on_every_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) == 0 ? 0 : 1;
}
