#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "repo/base/bytes.h"

static const uint8_t count_up[16] = {
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
};

static void loads_work_at_any_alignment(void **state)
{
	uint8_t m[24];

	(void)state;
	for (size_t at = 0; at < 8; at++) {
		memcpy(m + at, count_up, sizeof(count_up));
		assert_int_equal(le16_get(m + at), 0x0201);
		assert_int_equal(le24_get(m + at), 0x030201);
		assert_int_equal(le32_get(m + at), 0x04030201);
		assert_true(le64_get(m + at) == 0x0807060504030201);
		assert_true(be64_get(m + at) == 0x0102030405060708);
	}
}

static void stores_write_their_width_only(void **state)
{
	uint8_t m[16];

	(void)state;
	memset(m, 0xee, sizeof(m));
	le16_put(m + 1, 0x0201);
	assert_memory_equal(m, "\xee\x01\x02\xee", 4);
	le24_put(m + 1, 0x030201);
	assert_memory_equal(m, "\xee\x01\x02\x03\xee", 5);
	le32_put(m + 1, 0x04030201);
	assert_memory_equal(m, "\xee\x01\x02\x03\x04\xee", 6);
	le64_put(m + 1, 0x0807060504030201);
	assert_memory_equal(m + 1, count_up, 8);
	assert_int_equal(m[9], 0xee);
}

static void a_reader_reads_in_order_and_is_done(void **state)
{
	uint8_t m[1 + 2 + 3 + 4 + 8 + 2];
	uint8_t two[2];

	(void)state;
	for (size_t i = 0; i < sizeof(m); i++)
		m[i] = (uint8_t)(i + 1);

	struct rd r = rd_init(m, sizeof(m));

	assert_int_equal(rd_u8(&r), 0x01);
	assert_int_equal(rd_u16(&r), 0x0302);
	assert_int_equal(rd_u24(&r), 0x060504);
	assert_int_equal(rd_u32(&r), 0x0a090807);
	assert_true(rd_u64(&r) == 0x1211100f0e0d0c0b);
	assert_false(rd_done(&r));
	rd_copy(&r, two, 2);
	assert_memory_equal(two, "\x13\x14", 2);
	assert_true(rd_done(&r));
}

static void reading_past_the_end_gives_zeros_and_stays_bad(void **state)
{
	uint8_t dst[4] = { 9, 9, 9, 9 };
	struct rd r = rd_init(count_up, 3);

	(void)state;
	assert_int_equal(rd_u32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(rd_u8(&r), 0);
	assert_null(rd_bytes(&r, 0));
	rd_copy(&r, dst, 4);
	assert_memory_equal(dst, "\0\0\0\0", 4);
	assert_int_equal(rd_var(&r), 0);
	assert_false(rd_done(&r));
	r = rd_init(count_up, 3);
	assert_null(rd_bytes(&r, SIZE_MAX));
	assert_false(rd_done(&r));
}

static void rd_bytes_borrows(void **state)
{
	struct rd r = rd_init(count_up, 5);

	(void)state;
	assert_ptr_equal(rd_bytes(&r, 2), count_up);
	assert_ptr_equal(rd_bytes(&r, 3), count_up + 2);
	assert_non_null(rd_bytes(&r, 0));
	assert_true(rd_done(&r));
}

static void leb128_round_trips_at_every_width(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit <= 64; bit++) {
		for (int d = -1; d <= 1; d++) {
			uint64_t v = (bit < 64 ? (uint64_t)1 << bit : 0) +
			    (uint64_t)(int64_t)d;
			uint8_t m[10];
			size_t n = var_put(m, v);
			struct rd r = rd_init(m, n);

			assert_int_equal(n, var_len(v));
			assert_true(rd_var(&r) == v);
			assert_true(rd_done(&r));
			/* One byte less is never a number. */
			r = rd_init(m, n - 1);
			rd_var(&r);
			assert_true(r.bad);
		}
	}
}

static void leb128_has_one_form_only(void **state)
{
	static const struct {
		uint8_t m[11];
		size_t len;
	} bad[] = {
		{ { 0x80, 0x00 }, 2 },             /* 0 in two bytes */
		{ { 0xff, 0x80, 0x00 }, 3 },       /* 127 in three */
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02 }, 10 },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81 }, 10 },
		{ { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01 }, 11 },
		{ { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00 }, 10 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rd r = rd_init(bad[i].m, bad[i].len);

		assert_int_equal(rd_var(&r), 0);
		assert_true(r.bad);
	}
}

static void zigzag_is_small_near_zero_and_reversible(void **state)
{
	static const int64_t v[] = {
		0, -1, 1, -2, 2, INT64_MAX, INT64_MIN, 1234567890123, -42,
	};

	(void)state;
	assert_int_equal(zigzag(0), 0);
	assert_int_equal(zigzag(-1), 1);
	assert_int_equal(zigzag(1), 2);
	assert_true(zigzag(INT64_MIN) == UINT64_MAX);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		assert_true(unzigzag(zigzag(v[i])) == v[i]);
}

static void one_bit_anywhere_is_not_zero(void **state)
{
	uint8_t m[100] = { 0 };

	(void)state;
	for (size_t len = 0; len < sizeof(m); len++) {
		assert_true(bytes_are_zero(m, len));
		for (size_t i = 0; i < len; i++) {
			m[i] = (uint8_t)(1u << (i % 8));
			assert_false(bytes_are_zero(m, len));
			m[i] = 0;
		}
		m[len] = 1; /* behind the end: not looked at */
		assert_true(bytes_are_zero(m, len));
		m[len] = 0;
	}
}

static void hex_round_trips_every_byte(void **state)
{
	uint8_t all[256], back[256];
	char text[2 * 256 + 1];

	(void)state;
	for (size_t i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	hex_encode(text, all, 256);
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text, "000102", 6);
	assert_string_equal(text + 506, "fdfeff");
	assert_int_equal(hex_decode(back, 256, text), 0);
	assert_memory_equal(back, all, 256);
	hex_encode(text, all, 0);
	assert_string_equal(text, "");
	assert_int_equal(hex_decode(back, 0, ""), 0);
}

static void hex_takes_the_exact_length_and_lower_case_only(void **state)
{
	uint8_t m[2];

	(void)state;
	assert_int_equal(hex_decode(m, 2, "01ab"), 0);
	assert_int_equal(hex_decode(m, 2, "01aB"), -1);
	assert_int_equal(hex_decode(m, 2, "01a"), -1);
	assert_int_equal(hex_decode(m, 2, "01"), -1);
	assert_int_equal(hex_decode(m, 2, ""), -1);
	assert_int_equal(hex_decode(m, 2, "01ab0"), -1);
	assert_int_equal(hex_decode(m, 2, "01 b"), -1);
	assert_int_equal(hex_decode(m, 2, "0gab"), -1);
	assert_int_equal(hex_decode(m, 2, "0x1a"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_work_at_any_alignment),
		cmocka_unit_test(stores_write_their_width_only),
		cmocka_unit_test(a_reader_reads_in_order_and_is_done),
		cmocka_unit_test(reading_past_the_end_gives_zeros_and_stays_bad),
		cmocka_unit_test(rd_bytes_borrows),
		cmocka_unit_test(leb128_round_trips_at_every_width),
		cmocka_unit_test(leb128_has_one_form_only),
		cmocka_unit_test(zigzag_is_small_near_zero_and_reversible),
		cmocka_unit_test(one_bit_anywhere_is_not_zero),
		cmocka_unit_test(hex_round_trips_every_byte),
		cmocka_unit_test(hex_takes_the_exact_length_and_lower_case_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
