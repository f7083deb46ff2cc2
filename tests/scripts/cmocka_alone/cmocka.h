#ifndef TESTS_SCRIPTS_CMOCKA_ALONE_CMOCKA_H
#define TESTS_SCRIPTS_CMOCKA_ALONE_CMOCKA_H

/*
 * As much of cmocka's interface as the chunker's unit tests use, in one header,
 * so that they can be built for an architecture whose cmocka is not installed.
 * The first assertion that fails ends the program with exit code 1.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
	const char *name;
	void (*run)(void **state);
};

#define cmocka_unit_test(f) { #f, f }
#define print_error(...) fprintf(stderr, __VA_ARGS__)
#define print_message(...) printf(__VA_ARGS__)

#define assert_true(x) do { \
		if (!(x)) { \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, \
			    __LINE__, #x); \
			exit(1); \
		} \
	} while (0)
#define assert_false(x) assert_true(!(x))
#define assert_non_null(p) assert_true((p) != NULL)
#define assert_int_equal(a, b) assert_true((long long)(a) == (long long)(b))
#define assert_int_not_equal(a, b) \
	assert_true((long long)(a) != (long long)(b))
#define assert_in_range(x, low, high) \
	assert_true((x) >= (low) && (x) <= (high))
#define assert_memory_equal(a, b, n) assert_true(memcmp(a, b, n) == 0)

static inline int cmocka_alone_run(const struct CMUnitTest *tests, size_t n,
    int (*setup)(void **), int (*teardown)(void **))
{
	void *state = NULL;

	if (setup != NULL && setup(&state) != 0)
		return 1;
	for (size_t i = 0; i < n; i++) {
		tests[i].run(&state);
		printf("ok %s\n", tests[i].name);
	}
	return teardown != NULL ? teardown(&state) : 0;
}

#define cmocka_run_group_tests(tests, setup, teardown) \
	cmocka_alone_run(tests, sizeof(tests) / sizeof((tests)[0]), setup, \
	    teardown)

#endif
