#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/extent.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"

/* Under AddressSanitizer too, what is too big is to be refused, not fatal. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

/* --- mem --------------------------------------------------------------------*/

static void allocations_are_zeroed(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	for (size_t n = 0; n < 5000; n += 499) {
		uint8_t *a = mem_zalloc(n, "a test", &err);
		uint8_t *b = mem_array(n, 3, "a test", &err);

		assert_non_null(a);
		assert_non_null(b);
		assert_true(bytes_are_zero(a, n));
		assert_true(bytes_are_zero(b, 3 * n));
		free(a);
		free(b);
	}
}

static void what_cannot_be_had_is_full_and_named(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_null(mem_array(SIZE_MAX / 2, 3, "many things", &err));
	assert_int_equal(err.class, ERR_FULL);
	assert_string_equal(err.msg, "out of memory for many things");
	err_clear(&err);
	assert_null(mem_pages(SIZE_MAX / 2, "pages", &err));
	assert_int_equal(err.class, ERR_FULL);
	assert_null(mem_pages(SIZE_MAX / 2, "pages", NULL));
}

static void pages_are_aligned_and_zeroed(void **state)
{
	struct err err = ERR_INIT;
	uint8_t *p = mem_pages(3 * 4096, "a test", &err);

	(void)state;
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % 4096, 0);
	assert_true(bytes_are_zero(p, 3 * 4096));
	memset(p, 1, 3 * 4096);
	mem_pages_free(p, 3 * 4096);
	mem_pages_free(NULL, 4096);
}

static void copies_are_copies(void **state)
{
	struct err err = ERR_INIT;
	char *s = mem_strdup("name", &err);
	char *m = mem_memdup0("a\0b", 3, &err);
	char *e = mem_memdup0("", 0, &err);

	(void)state;
	assert_string_equal(s, "name");
	assert_memory_equal(m, "a\0b\0", 4);
	assert_string_equal(e, "");
	free(s);
	free(m);
	free(e);
}

static void wiping_leaves_zeros_and_keeps_to_its_bytes(void **state)
{
	uint8_t m[8];

	(void)state;
	memset(m, 0xff, sizeof(m));
	mem_wipe(m + 2, 4);
	assert_memory_equal(m, "\xff\xff\0\0\0\0\xff\xff", 8);
}

/* --- clock ------------------------------------------------------------------*/

static void clocks_go_forward(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		int64_t m = clock_mono_ns(), b = clock_boot_ns();

		assert_true(clock_mono_ns() >= m);
		assert_true(clock_boot_ns() >= b);
	}
	/* Later than 2020; time suspended counts for one clock only. */
	assert_true(clock_real_ns() > 1577836800000000000);
	int64_t m = clock_mono_ns();

	assert_true(clock_boot_ns() >= m);
}

static void times_are_written_in_utc(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} table[] = {
		{ 0, "1970-01-01T00:00:00Z" },
		{ 999999999, "1970-01-01T00:00:00Z" },
		{ -1, "1969-12-31T23:59:59Z" },
		{ -1000000000, "1969-12-31T23:59:59Z" },
		{ -1000000001, "1969-12-31T23:59:58Z" },
		{ 951782400000000000, "2000-02-29T00:00:00Z" },
		{ 1793534400000000000, "2026-11-01T12:00:00Z" },
		{ 4294967296000000000, "2106-02-07T06:28:16Z" },
		{ INT64_MAX, "2262-04-11T23:47:16Z" },
		{ INT64_MIN, "1677-09-21T00:12:43Z" },
	};
	char text[21];

	(void)state;
	setenv("TZ", "Asia/Tokyo", 1);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		clock_format_utc(text, sizeof(text), table[i].ns);
		assert_string_equal(text, table[i].text);
	}
	char small[4];

	clock_format_utc(small, sizeof(small), 0);
	assert_string_equal(small, "?");
}

/* --- rand -------------------------------------------------------------------*/

static void random_bytes_fill_all_and_only_what_was_asked(void **state)
{
	uint8_t m[1024 + 1], seen[1024] = { 0 };

	(void)state;
	m[1024] = 0x5a;
	/* A byte that stays 0 in 20 rounds was not written (chance 2^-150). */
	for (int round = 0; round < 20; round++) {
		memset(m, 0, 1024);
		rand_bytes(m, 1024);
		for (size_t i = 0; i < 1024; i++)
			seen[i] |= m[i];
	}
	for (size_t i = 0; i < 1024; i++)
		assert_int_not_equal(seen[i], 0);
	assert_int_equal(m[1024], 0x5a);
	rand_bytes(m, 0);
	assert_true(rand_u64() != rand_u64());
}

/* --- log --------------------------------------------------------------------*/

struct heard {
	unsigned count;
	enum log_level level;
	char msg[2000];
};

static void hear(void *ctx, enum log_level level, const char *msg)
{
	struct heard *h = ctx;

	h->count++;
	h->level = level;
	strncpy(h->msg, msg, sizeof(h->msg) - 1);
}

static void without_a_sink_nothing_is_wanted(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL, LOG_DEBUG);
	assert_false(log_wanted(LOG_WARN));
	log_msg(LOG_WARN, "dropped");
}

static void a_sink_hears_up_to_its_level(void **state)
{
	struct heard h = { 0 };

	(void)state;
	log_set_sink(hear, &h, LOG_INFO);
	assert_true(log_wanted(LOG_WARN));
	assert_true(log_wanted(LOG_INFO));
	assert_false(log_wanted(LOG_DEBUG));
	log_msg(LOG_DEBUG, "no");
	assert_int_equal(h.count, 0);
	log_msg(LOG_INFO, "pack %d of %s", 3, "x");
	assert_int_equal(h.count, 1);
	assert_int_equal(h.level, LOG_INFO);
	assert_string_equal(h.msg, "pack 3 of x");
	log_msg(LOG_WARN, "%1900d", 1); /* cut, not overrun */
	assert_int_equal(h.count, 2);
	assert_true(strlen(h.msg) < 1900);
	log_set_sink(NULL, NULL, LOG_WARN);
}

/* --- cleanup ----------------------------------------------------------------*/

static int released;

static void release_int(int *p)
{
	released += *p;
}

static int open_one(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void owners_release_at_the_end_of_scope(void **state)
{
	int fd;

	(void)state;
	released = 0;
	{
		CLEANUP(release_int) int a = 1;
		CLEANUP(release_int) int b = 10;
		CLEANUP_CLOSE int c = open_one();
		CLEANUP_CLOSE int none = -1;
		CLEANUP_FREE char *p = malloc(10);
		CLEANUP_FREE char *q = NULL;

		fd = c;
		(void)a, (void)b, (void)none, (void)p, (void)q;
	}
	assert_int_equal(released, 11);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(errno, EBADF);
}

static void what_is_stolen_outlives_its_owner(void **state)
{
	int fd;
	char *p;

	(void)state;
	{
		CLEANUP_CLOSE int c = open_one();
		CLEANUP_FREE char *q = strdup("kept");

		fd = STEAL_FD(c);
		p = STEAL_PTR(q);
		assert_int_equal(c, -1);
		assert_null(q);
	}
	assert_int_not_equal(fcntl(fd, F_GETFD), -1);
	assert_string_equal(p, "kept");
	close(fd);
	free(p);
}

/* --- extent -----------------------------------------------------------------*/

static int next_of_three(void *ctx, struct extent *ret_ext, struct err *err)
{
	uint64_t *at = ctx;

	if (*at == 2)
		return err_set(err, ERR_IO, "cut off");
	if (*at > 2)
		return 1;
	*ret_ext = (struct extent){ *at * 8192, 4096 };
	++*at;
	return 0;
}

static void a_source_tells_extents_end_and_failure_apart(void **state)
{
	uint64_t at = 0;
	struct extent_source src = { next_of_three, &at };
	struct extent e;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(src.next(src.ctx, &e, &err), 0);
	assert_int_equal(src.next(src.ctx, &e, &err), 0);
	assert_int_equal(e.off, 8192);
	assert_int_equal(src.next(src.ctx, &e, &err), -1);
	assert_int_equal(err.class, ERR_IO);
	at = 3;
	assert_int_equal(src.next(src.ctx, &e, &err), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocations_are_zeroed),
		cmocka_unit_test(what_cannot_be_had_is_full_and_named),
		cmocka_unit_test(pages_are_aligned_and_zeroed),
		cmocka_unit_test(copies_are_copies),
		cmocka_unit_test(wiping_leaves_zeros_and_keeps_to_its_bytes),
		cmocka_unit_test(clocks_go_forward),
		cmocka_unit_test(times_are_written_in_utc),
		cmocka_unit_test(random_bytes_fill_all_and_only_what_was_asked),
		cmocka_unit_test(without_a_sink_nothing_is_wanted),
		cmocka_unit_test(a_sink_hears_up_to_its_level),
		cmocka_unit_test(owners_release_at_the_end_of_scope),
		cmocka_unit_test(what_is_stolen_outlives_its_owner),
		cmocka_unit_test(a_source_tells_extents_end_and_failure_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
