#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/zip/zip.h"

#define MIB ((size_t)1 << 20)

static const enum zip_level levels[] = {
	ZIP_OFF, ZIP_FAST, ZIP_DEFAULT, ZIP_MAX,
};

static uint32_t step(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 16;
}

/* Words of a small dictionary: compresses to about a fifth. */
static void fill_text(uint8_t *p, size_t len, uint32_t seed)
{
	static const char *const words[] = {
		"volume ", "chunk ", "of ", "the ", "pack ", "and\n", "blob ",
		"0x7f3a ", "mover ", "catalog ", "to ", "snapshot ", "page ",
	};
	size_t at = 0;

	while (at < len) {
		const char *w = words[step(&seed) % 13];

		for (; *w != '\0' && at < len; w++)
			p[at++] = (uint8_t)*w;
	}
}

static void fill_noise(uint8_t *p, size_t len, uint32_t seed)
{
	uint64_t x = seed * 2654435761u + 88172645463325252u;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (uint8_t)(x >> 32);
	}
}

/* Pack and unpack; return what was stored.  The frame is left in dst. */
static size_t round_trip(struct zip *z, const uint8_t *src, size_t len,
    int verify, uint8_t *dst, enum zip_method *ret_method)
{
	struct err err = ERR_INIT;
	uint8_t *back = malloc(len + 1);
	size_t n = 0;

	assert_non_null(back);
	assert_int_equal(zip_pack(z, src, len, verify, dst, ret_method, &n,
	    &err), 0);
	if (*ret_method == ZIP_RAW)
		assert_int_equal(n, len);
	else
		assert_true(n < len);
	back[len] = 0x5a;
	assert_int_equal(zip_unpack(z, *ret_method,
	    *ret_method == ZIP_RAW ? src : dst, n, back, len, &err), 0);
	assert_memory_equal(back, src, len);
	assert_int_equal(back[len], 0x5a);
	free(back);
	return n;
}

/* Sizes around every step of zstd's own tables and block sizes. */
static const size_t sizes[] = {
	0, 1, 2, 3, 10, 63, 64, 65, 127, 128, 255, 256, 257, 300, 511, 512, 513,
	1000, 1023, 1024, 1025, 4095, 4096, 4097, 16383, 16384, 16385, 65791,
	65792, 65793, 131071, 131072, 131073, 262143, 262144, 262145, 1 << 20,
	(1 << 20) + 1, (2 << 20) - 1,
};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void every_size_comes_back_at_every_level(void **state)
{
	size_t max = 2 * MIB;
	uint8_t *src = malloc(max), *dst = malloc(zip_bound(max));
	enum zip_method m;

	(void)state;
	fill_text(src, max, 1);
	for (size_t l = 0; l < 4; l++) {
		struct zip *z = zip_new(levels[l], max, NULL);

		assert_non_null(z);
		/* Up and down: a large input after small ones, and back. */
		for (size_t i = 0; i < SIZES; i++)
			round_trip(z, src, sizes[i], 1, dst, &m);
		for (size_t i = SIZES; i-- > 0;)
			round_trip(z, src, sizes[i], 0, dst, &m);
		zip_free(z);
	}
	zip_free(NULL);
	free(src);
	free(dst);
}

static void frames_have_one_form_only(void **state)
{
	size_t max = 2 * MIB;
	uint8_t *src = malloc(max), *dst = malloc(zip_bound(max));
	unsigned seen = 0;

	(void)state;
	memset(src, 'x', max);
	for (size_t l = 1; l < 4; l++) {
		struct zip *z = zip_new(levels[l], max, NULL);

		for (size_t i = 0; i < SIZES; i++) {
			enum zip_method m;

			round_trip(z, src, sizes[i], 0, dst, &m);
			if (m != ZIP_ZSTD)
				continue;
			seen++;
			assert_memory_equal(dst, "\x28\xb5\x2f\xfd", 4);
			/* Single segment, no checksum, no dictionary. */
			assert_int_equal(dst[4] & 0x3f, 0x20);
		}
		zip_free(z);
	}
	assert_true(seen > 60);
	free(src);
	free(dst);
}

static void text_shrinks_and_more_so_at_higher_levels(void **state)
{
	uint8_t *src = malloc(MIB), *dst = malloc(zip_bound(MIB));
	size_t n[4];

	(void)state;
	fill_text(src, MIB, 7);
	for (size_t l = 0; l < 4; l++) {
		struct zip *z = zip_new(levels[l], MIB, NULL);
		enum zip_method m;

		n[l] = round_trip(z, src, MIB, 0, dst, &m);
		assert_int_equal(m, l == 0 ? ZIP_RAW : ZIP_ZSTD);
		zip_free(z);
	}
	assert_true(n[ZIP_FAST] < MIB / 3);
	assert_true(n[ZIP_MAX] < n[ZIP_DEFAULT]);
	free(src);
	free(dst);
}

static void what_does_not_shrink_is_raw(void **state)
{
	uint8_t *src = malloc(MIB), *dst = malloc(zip_bound(MIB));
	struct zip *z = zip_new(ZIP_DEFAULT, MIB, NULL);
	enum zip_method m;

	(void)state;
	fill_noise(src, MIB, 3);
	for (size_t i = 0; i < SIZES && sizes[i] <= MIB; i++) {
		assert_int_equal(round_trip(z, src, sizes[i], 1, dst, &m),
		    sizes[i]);
		assert_int_equal(m, ZIP_RAW);
	}
	zip_free(z);
	free(src);
	free(dst);
}

static void a_compressible_middle_is_found_by_trying(void **state)
{
	uint8_t *src = malloc(MIB), *dst = malloc(zip_bound(MIB));
	struct zip *z = zip_new(ZIP_DEFAULT, MIB, NULL);
	enum zip_method m;

	(void)state;
	fill_noise(src, MIB, 3);
	memset(src + MIB * 2 / 5, 0, MIB / 5);
	assert_true(round_trip(z, src, MIB, 0, dst, &m) < MIB * 82 / 100);
	assert_int_equal(m, ZIP_ZSTD);
	zip_free(z);
	free(src);
	free(dst);
}

static void more_than_agreed_is_a_bug(void **state)
{
	uint8_t src[1001] = { 0 }, dst[2000];
	struct err err = ERR_INIT;
	enum zip_method m;
	size_t n;

	(void)state;
	for (size_t l = 0; l < 4; l++) {
		struct zip *z = zip_new(levels[l], 1000, &err);

		assert_int_equal(zip_pack(z, src, 1000, 0, dst, &m, &n, &err), 0);
		err_clear(&err);
		assert_int_equal(zip_pack(z, src, 1001, 0, dst, &m, &n, &err), -1);
		assert_int_equal(err.class, ERR_BUG);
		zip_free(z);
	}
	assert_null(zip_new(ZIP_FAST, ((size_t)128 << 20) + 1, &err));
	assert_int_equal(err.class, ERR_BUG);
}

/* Rules of the worker's share of memory: nothing is taken after zip_new. */
static void packing_allocates_nothing(void **state)
{
	size_t max = 2 * MIB;
	uint8_t *src = malloc(max), *dst = malloc(zip_bound(max));

	(void)state;
	fill_text(src, max, 2);
	for (size_t l = 0; l < 4; l++) {
		struct zip *z = zip_new(levels[l], max, NULL);
		struct mallinfo2 before = mallinfo2();
		enum zip_method m;
		size_t n;

		/* Many small ones make zstd's own contexts shrink and grow. */
		for (int i = 0; i < 600; i++) {
			size_t len = i % 200 == 199 ? MIB : 300;

			assert_int_equal(zip_pack(z, src, len, i % 2, dst, &m,
			    &n, NULL), 0);
		}

		struct mallinfo2 after = mallinfo2();

		assert_int_equal(after.uordblks, before.uordblks);
		assert_int_equal(after.hblkhd, before.hblkhd);
		zip_free(z);
	}
	free(src);
	free(dst);
}

static void memory_is_told_and_bounded(void **state)
{
	static const size_t most[] = {
		[ZIP_OFF] = 256 << 10, [ZIP_FAST] = 2 << 20,
		[ZIP_DEFAULT] = 2 << 20, [ZIP_MAX] = 8 << 20,
	};

	(void)state;
	for (size_t l = 0; l < 4; l++) {
		size_t room = levels[l] == ZIP_OFF ? 0 : 4 * MIB;

		assert_true(zip_memory(levels[l], 4 * MIB) > room);
		assert_true(zip_memory(levels[l], 4 * MIB) <=
		    room + most[levels[l]]);
		assert_true(zip_memory(levels[l], 256 << 10) <=
		    zip_memory(levels[l], 4 * MIB));
	}
}

static void the_largest_chunk_comes_back(void **state)
{
	size_t max = 8 * MIB;
	uint8_t *src = malloc(max), *dst = malloc(zip_bound(max));
	struct zip *z = zip_new(ZIP_DEFAULT, max, NULL);
	enum zip_method m;

	(void)state;
	/* The second half repeats the first: the window reaches that far. */
	fill_noise(src, max / 2, 5);
	fill_text(src, 8192, 5);
	memcpy(src + max / 2, src, max / 2);
	assert_true(round_trip(z, src, max, 1, dst, &m) < max * 6 / 10);
	assert_int_equal(m, ZIP_ZSTD);
	zip_free(z);
	free(src);
	free(dst);
}

/* --- a look before the try ----------------------------------------------------*/

static void noise_looks_random(void **state)
{
	uint8_t *p = malloc(MIB);

	(void)state;
	for (uint32_t seed = 0; seed < 200; seed++) {
		size_t len = 16384 + seed * 1001;

		fill_noise(p, len, seed);
		assert_true(zip_looks_random(p, len));
	}
	free(p);
}

static void small_inputs_are_always_tried(void **state)
{
	uint8_t p[16384];

	(void)state;
	fill_noise(p, sizeof(p), 1);
	assert_true(zip_looks_random(p, sizeof(p)));
	assert_false(zip_looks_random(p, sizeof(p) - 1));
	assert_false(zip_looks_random(p, 0));
}

static void head_middle_and_tail_must_all_look_so(void **state)
{
	uint8_t *p = malloc(MIB);
	const size_t at[] = { 0, (MIB - 4096) / 2, MIB - 4096 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		fill_noise(p, MIB, 1);
		assert_true(zip_looks_random(p, MIB));
		fill_text(p + at[i], 4096, 1);
		assert_false(zip_looks_random(p, MIB));
	}
	free(p);
}

static void spread_but_repeating_bytes_do_not_look_random(void **state)
{
	uint8_t p[20000], block[256];

	(void)state;
	/* Each value once, in no order, again and again. */
	for (size_t i = 0; i < 256; i++)
		block[i] = (uint8_t)(i * 167 + 13);
	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = block[i % 256];
	assert_false(zip_looks_random(p, sizeof(p)));
}

static void noise_of_fewer_bits_does_not_look_random(void **state)
{
	static const char b64[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t p[20000];

	(void)state;
	fill_noise(p, sizeof(p), 1);
	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = (uint8_t)b64[p[i] & 63];
	assert_false(zip_looks_random(p, sizeof(p)));
	/* One byte of sixteen is zero, as in tables of numbers. */
	fill_noise(p, sizeof(p), 2);
	for (size_t i = 0; i < sizeof(p); i += 16)
		p[i] = 0;
	assert_false(zip_looks_random(p, sizeof(p)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_comes_back_at_every_level),
		cmocka_unit_test(frames_have_one_form_only),
		cmocka_unit_test(text_shrinks_and_more_so_at_higher_levels),
		cmocka_unit_test(what_does_not_shrink_is_raw),
		cmocka_unit_test(a_compressible_middle_is_found_by_trying),
		cmocka_unit_test(more_than_agreed_is_a_bug),
		cmocka_unit_test(packing_allocates_nothing),
		cmocka_unit_test(memory_is_told_and_bounded),
		cmocka_unit_test(the_largest_chunk_comes_back),
		cmocka_unit_test(noise_looks_random),
		cmocka_unit_test(small_inputs_are_always_tried),
		cmocka_unit_test(head_middle_and_tail_must_all_look_so),
		cmocka_unit_test(spread_but_repeating_bytes_do_not_look_random),
		cmocka_unit_test(noise_of_fewer_bits_does_not_look_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
