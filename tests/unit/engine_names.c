#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/engine/names.h"

/* Names come in the order of hash and bytes, in memory or spilled alike. */

static char text[NAMES_LONGEST + 1];

/* The i-th name: a hash of which some are equal, of all lengths to longest. */
static struct name nth(unsigned i, unsigned longest)
{
	uint64_t h = (i * 0x9e3779b97f4a7c15u) >> (i % 5 == 0 ? 60 : 0);
	unsigned len = 1 + (i * 2654435761u) % longest;

	memset(text, 'a' + (int)(i % 26), len);
	if (len >= 8)
		memcpy(text, &(uint32_t[2]){ i | 0x01010101, ~i | 0x01010101 }, 8);
	for (unsigned k = 0; k < 8 && k < len; k++)
		text[k] = (char)('A' + ((i >> (k * 2)) & 3) + (len < 8 ? i % 20 : 0));
	text[len] = '\0';
	return (struct name){ .h = h, .s = text, .len = (uint16_t)len,
	    .type = i % 2 ? DT_DIR : DT_REG };
}

static struct names *collect(size_t limit, unsigned n, unsigned longest)
{
	struct err err;
	struct names *names = names_new(limit, &err);

	assert_non_null(names);
	for (unsigned i = 0; i < n; i++) {
		struct name name = nth(i, longest);

		if (names_add(names, &name, &err) < 0)
			fail_msg("%s", err.msg);
	}
	assert_int_equal(names_sort(names, &err), 0);
	return names;
}

static void same(unsigned n, unsigned longest, size_t limit)
{
	struct names *all = collect((size_t)1 << 30, n, longest);
	struct names *spilled = collect(limit, n, longest);
	struct name a, b;
	char last[NAMES_LONGEST + 1] = "";
	uint64_t last_h = 0;

	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(names_next(all, &a, NULL), 0);
		assert_int_equal(names_next(spilled, &b, NULL), 0);
		assert_int_equal(a.h, b.h);
		assert_int_equal(a.len, b.len);
		assert_string_equal(a.s, b.s);
		assert_int_equal(strlen(b.s), b.len);
		assert_true(a.h > last_h || (a.h == last_h && strcmp(a.s, last) >= 0));
		last_h = a.h;
		memcpy(last, a.s, a.len + 1u);
	}
	assert_int_equal(names_next(all, &a, NULL), 1);
	assert_int_equal(names_next(spilled, &b, NULL), 1);
	names_free(all);
	names_free(spilled);
}

static void spilled_names_are_in_the_same_order(void **state)
{
	(void)state;
	same(20000, 30, 10000);
	same(3000, 255, 4096);
}

static void names_longer_than_usual_are_kept(void **state)
{
	(void)state;
	same(500, NAMES_LONGEST, 20000);
}

static void few_and_none(void **state)
{
	(void)state;
	same(0, 10, 100);
	same(1, 10, 0);
	same(2, 10, 0);
}

static void memory_stays_near_the_limit(void **state)
{
	struct names *n = names_new(100000, NULL);
	size_t most = 0;

	(void)state;
	assert_non_null(n);
	for (unsigned i = 0; i < 200000; i++) {
		struct name name = nth(i, 100);

		assert_int_equal(names_add(n, &name, NULL), 0);
		if (names_memory(n) > most)
			most = names_memory(n);
	}
	/* Windows of runs are counted, but made only when it is read. */
	assert_true(most < 100000 * 4 + 200000 / 1000 * 40000);
	assert_int_equal(names_sort(n, NULL), 0);
	names_free(n);
}

static void a_name_too_long_is_refused(void **state)
{
	struct names *n = names_new(1000, NULL);
	struct name name = { .s = text, .len = NAMES_LONGEST + 1 };
	struct err err;

	(void)state;
	assert_int_equal(names_add(n, &name, &err), -1);
	assert_int_equal(err.class, ERR_BUG);
	names_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spilled_names_are_in_the_same_order),
		cmocka_unit_test(names_longer_than_usual_are_kept),
		cmocka_unit_test(few_and_none),
		cmocka_unit_test(memory_stays_near_the_limit),
		cmocka_unit_test(a_name_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
