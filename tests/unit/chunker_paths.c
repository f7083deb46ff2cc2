#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>

#include "chunker/chunker.h"
#include "tests/unit/chunker_data.h"

/* Every path that this CPU has cuts as the scalar one does, byte for byte. */

static const uint8_t key[CHUNKER_KEY_LEN] = { 9, 8, 7, 6, 5, 4, 3, 2, 1, 0 };

static struct chunker scalar, other;

/* Ready both for mode and params; false if this CPU has not the path. */
static bool ready(enum chunker_mode mode, const struct chunker_params *params,
    int path)
{
	if (!chunker_path_available((enum chunker_path)path))
		return false;
	assert_int_equal(chunker_init_path(&scalar, mode, key, params,
	    CHUNKER_PATH_SCALAR), 0);
	assert_int_equal(chunker_init_path(&other, mode, key, params,
	    (enum chunker_path)path), 0);
	assert_int_equal(chunker_path_of(&other), path);
	return true;
}

static void same_cuts(const uint8_t *p, size_t len)
{
	for (size_t off = 0; off < len; ) {
		size_t want = chunker_next(&scalar, p + off, len - off, true);
		size_t got = chunker_next(&other, p + off, len - off, true);

		if (want != got) {
			print_error("path %s, offset %zu of %zu\n",
			    chunker_path_name(chunker_path_of(&other)), off,
			    len);
		}
		assert_int_equal(got, want);
		off += want;
	}
}

/* Text with repeats, runs of zeroes and of random bytes. */
static void fill_structured(uint8_t *p, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; ) {
		uint64_t v = data_next(&seed);
		size_t n = v % 3000 + 1;

		if (n > len - i)
			n = len - i;
		switch (v >> 32 & 3) {
		case 0:
			memset(p + i, 0, n);
			break;
		case 1:
			data_fill(p + i, n, DATA_RANDOM, v);
			break;
		case 2:
			for (size_t k = 0; k < n; k++)
				p[i + k] = (uint8_t)"wherry moves "[k % 13];
			break;
		default:
			data_fill(p + i, n, DATA_BITS, v >> 40 & 7);
			break;
		}
		i += n;
	}
}

static void all_kinds_of_data(enum chunker_mode mode, uint32_t avg, size_t len)
{
	struct chunker_params params;
	uint8_t *p = malloc(len + 64);

	assert_non_null(p);
	assert_int_equal(chunker_params_default(mode, avg, &params), 0);
	for (int kind = 0; kind <= 3; kind++) {
		/* Nothing is aligned, and no two kinds alike. */
		uint8_t *q = p + 1 + 7 * kind;

		if (kind == 3)
			fill_structured(q, len, 5);
		else
			data_fill(q, len, (enum data_kind)kind, 11);
		for (int path = 1; path <= CHUNKER_PATH_MAX; path++) {
			if (ready(mode, &params, path))
				same_cuts(q, len);
		}
	}
	free(p);
}

static void stream_paths_agree_on_all_kinds_of_data(void **state)
{
	(void)state;
	all_kinds_of_data(CHUNKER_STREAM, 4096, 200003);
	all_kinds_of_data(CHUNKER_STREAM, 65536, 500000);
}

static void block_paths_agree_on_all_kinds_of_data(void **state)
{
	(void)state;
	all_kinds_of_data(CHUNKER_BLOCK, 8192, 1000001);
	all_kinds_of_data(CHUNKER_BLOCK, 4096, 50000);
	all_kinds_of_data(CHUNKER_BLOCK, 65536, 4 << 20);
}

/*
 * A hit at every place of a stride, and strides cut short at every place: with
 * these thresholds about each twentieth place hits, and every length is tried.
 */
static void stream_paths_agree_at_every_length(void **state)
{
	struct chunker_params params = { 4096, 64, 8192, 1 };
	uint8_t p[64 + 400];

	(void)state;
	data_fill(p, sizeof(p), DATA_RANDOM, 12);
	for (int path = 1; path <= CHUNKER_PATH_MAX; path++) {
		for (int t = 20; t <= 20000; t *= 10) {
			params.threshold = UINT64_MAX / (unsigned)t;
			if (!ready(CHUNKER_STREAM, &params, path))
				continue;
			for (size_t len = 0; len <= sizeof(p); len++)
				same_cuts(p, len);
			for (size_t off = 0; off < 200; off++)
				same_cuts(p + off, sizeof(p) - off);
		}
	}
}

/* High thresholds have the top bit set: a signed comparison would fail. */
static void stream_paths_agree_at_extreme_thresholds(void **state)
{
	static const uint64_t thresholds[] = { 1, (uint64_t)1 << 32,
		UINT64_MAX / 100000, UINT64_MAX / 30000, INT64_MAX,
		(uint64_t)1 << 63, ((uint64_t)1 << 63) + 1, UINT64_MAX - 1,
		UINT64_MAX };
	uint8_t p[8192];

	(void)state;
	data_fill(p, sizeof(p), DATA_RANDOM, 13);
	for (int path = 1; path <= CHUNKER_PATH_MAX; path++) {
		for (size_t i = 0; i < sizeof(thresholds) / 8; i++) {
			struct chunker_params params = { 4096, 64, 8000,
				thresholds[i] };

			if (ready(CHUNKER_STREAM, &params, path))
				same_cuts(p, sizeof(p));
		}
	}
}

/* The buffer ends where memory does, so reading on would be a fault. */
static void no_path_reads_outside_of_the_buffer(void **state)
{
	size_t size = 1 << 16;
	uint8_t *map = mmap(NULL, size * 3, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct chunker_params params;

	(void)state;
	assert_true(map != MAP_FAILED);
	assert_int_equal(mprotect(map + size, size, PROT_READ | PROT_WRITE), 0);
	data_fill(map + size, size, DATA_RANDOM, 14);
	for (int mode = CHUNKER_STREAM; mode <= CHUNKER_BLOCK; mode++) {
		/* Never cut before max, so that all is read. */
		params = (struct chunker_params){ 16384, 4096, 65536, 1 };
		for (int path = 1; path <= CHUNKER_PATH_MAX; path++) {
			if (!ready((enum chunker_mode)mode, &params, path))
				continue;
			for (size_t len = 0; len < 300; len++) {
				size_t n = 4096 + len;

				same_cuts(map + 2 * size - n, n);
				same_cuts(map + 2 * size - len, len);
				same_cuts(map + size, n);
			}
		}
	}
	memset(map + size, 0, size);
	for (size_t len = 0; len < 600; len++) {
		assert_int_equal(chunker_zero_prefix(
		    map + 2 * size - len, len), len);
	}
	munmap(map, size * 3);
}

static void the_automatic_path_is_one_that_the_cpu_has(void **state)
{
	struct chunker_params params;

	(void)state;
	assert_int_equal(chunker_params_default(CHUNKER_STREAM, 4096,
	    &params), 0);
	assert_int_equal(chunker_init(&other, CHUNKER_STREAM, key, &params), 0);
	assert_true(chunker_path_of(&other) != CHUNKER_PATH_AUTO);
	assert_true(chunker_path_available(chunker_path_of(&other)));
	for (int path = 0; path <= CHUNKER_PATH_MAX; path++) {
		enum chunker_path e = (enum chunker_path)path;

		print_message("%s: %s\n", chunker_path_name(e),
		    chunker_path_available(e) ? "tested" : "not on this CPU");
		assert_int_equal(chunker_init_path(&other, CHUNKER_STREAM, key,
		    &params, e), chunker_path_available(e) ? 0 : -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stream_paths_agree_on_all_kinds_of_data),
		cmocka_unit_test(block_paths_agree_on_all_kinds_of_data),
		cmocka_unit_test(stream_paths_agree_at_every_length),
		cmocka_unit_test(stream_paths_agree_at_extreme_thresholds),
		cmocka_unit_test(no_path_reads_outside_of_the_buffer),
		cmocka_unit_test(the_automatic_path_is_one_that_the_cpu_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) == 0 ? 0 : 1;
}
