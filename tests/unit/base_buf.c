#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "repo/base/buf.h"
#include "repo/base/bytes.h"

static void an_empty_buf_owns_nothing(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_add(&b, NULL, 0);
	buf_zeros(&b, 0);
	assert_null(b.p);
	buf_release(&b);
	buf_release(&b);
}

static void numbers_are_little_endian(void **state)
{
	static const uint8_t want[] = {
		0x01,
		0x03, 0x02,
		0x06, 0x05, 0x04,
		0x0a, 0x09, 0x08, 0x07,
		0x12, 0x11, 0x10, 0x0f, 0x0e, 0x0d, 0x0c, 0x0b,
		0xac, 0x02,
		'h', 'i',
		0, 0, 0,
	};
	struct buf b;

	(void)state;
	buf_init(&b);
	buf_u8(&b, 0x01);
	buf_u16(&b, 0x0203);
	buf_u24(&b, 0x040506);
	buf_u32(&b, 0x0708090a);
	buf_u64(&b, 0x0b0c0d0e0f101112);
	buf_var(&b, 300);
	buf_str(&b, "hi");
	buf_zeros(&b, 3);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.p, want, sizeof(want));
	assert_int_equal(buf_check(&b, "a test", NULL), 0);
	buf_release(&b);
}

static void printf_appends_without_a_nul(void **state)
{
	struct buf b = BUF_INIT;
	char want[4096];
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		buf_printf(&b, "%u,", i);
		n += (size_t)snprintf(want + n, sizeof(want) - n, "%u,", i);
	}
	assert_int_equal(b.len, n);
	assert_memory_equal(b.p, want, n);
	buf_release(&b);
}

static void it_grows_over_every_step_without_losing_bytes(void **state)
{
	struct buf b = BUF_INIT;
	uint8_t piece[997];

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		memset(piece, (int)(i & 0xff), sizeof(piece));
		buf_add(&b, piece, sizeof(piece));
	}
	assert_int_equal(b.len, 4000 * sizeof(piece));
	for (size_t i = 0; i < b.len; i++)
		if (b.p[i] != (uint8_t)(i / sizeof(piece)))
			fail_msg("byte %zu is wrong", i);
	buf_release(&b);
}

static void reserve_makes_room_that_appending_uses(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(buf_reserve(&b, 10000), 0);
	assert_true(b.cap >= 10000);
	assert_int_equal(b.len, 0);

	const uint8_t *p = b.p;

	buf_zeros(&b, 10000);
	assert_ptr_equal(b.p, p);
	buf_release(&b);
}

static void reset_keeps_the_memory(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_str(&b, "abc");

	const uint8_t *p = b.p;

	buf_reset(&b);
	assert_int_equal(b.len, 0);
	buf_str(&b, "xyz");
	assert_ptr_equal(b.p, p);
	assert_memory_equal(b.p, "xyz", 3);
	buf_release(&b);
}

static void too_much_fails_once_and_stays_failed(void **state)
{
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	buf_str(&b, "abc");
	assert_int_equal(buf_reserve(&b, SIZE_MAX - 8), -1);
	assert_int_equal(b.failed, 1);
	buf_str(&b, "def");
	buf_u64(&b, 1);
	buf_printf(&b, "%d", 1);
	assert_int_equal(b.len, 3);
	assert_int_equal(buf_reserve(&b, 1), -1);
	assert_int_equal(buf_check(&b, "a test", &err), -1);
	assert_int_equal(err.class, ERR_FULL);
	buf_reset(&b);
	buf_str(&b, "def");
	assert_int_equal(buf_check(&b, "a test", &err), 0);
	assert_memory_equal(b.p, "def", 3);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_buf_owns_nothing),
		cmocka_unit_test(numbers_are_little_endian),
		cmocka_unit_test(printf_appends_without_a_nul),
		cmocka_unit_test(it_grows_over_every_step_without_losing_bytes),
		cmocka_unit_test(reserve_makes_room_that_appending_uses),
		cmocka_unit_test(reset_keeps_the_memory),
		cmocka_unit_test(too_much_fails_once_and_stays_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
