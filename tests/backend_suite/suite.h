#ifndef TESTS_BACKEND_SUITE_SUITE_H
#define TESTS_BACKEND_SUITE_SUITE_H

/*
 * What every backend must do, whatever it stands on.  A program fills a
 * struct suite and calls suite_run for each implementation.  One program, one
 * translation unit: everything here is static.
 */

#include "tests/backend_suite/crowd.h"
#include "tests/backend_suite/keys.h"
#include "tests/backend_suite/objects.h"
#include "tests/backend_suite/tools.h"

static struct suite *suite_current;

static int suite_group_setup(void **state)
{
	*state = suite_current;
	return 0;
}

static int suite_setup(void **state)
{
	struct suite *s = *state;

	s->be = s->open(s);
	return s->be == NULL ? -1 : 0;
}

static int suite_teardown(void **state)
{
	struct suite *s = *state;

	backend_close(s->be);
	s->be = NULL;
	if (s->clean != NULL)
		s->clean(s);
	return 0;
}

#define SUITE_TEST(f) \
	cmocka_unit_test_setup_teardown(f, suite_setup, suite_teardown)

/* Run all tests on one implementation.  Return the number that failed. */
static int suite_run(struct suite *s)
{
	const struct CMUnitTest tests[] = {
		SUITE_TEST(suite_put_then_get_gives_the_same_bytes),
		SUITE_TEST(suite_put_does_not_overwrite),
		SUITE_TEST(suite_an_empty_object_is_an_object),
		SUITE_TEST(suite_what_is_missing_is_told_apart),
		SUITE_TEST(suite_any_range_can_be_read),
		SUITE_TEST(suite_reading_past_the_end_is_corrupt),
		SUITE_TEST(suite_large_objects_of_any_alignment),
		SUITE_TEST(suite_put_over_replaces),
		SUITE_TEST(suite_del_removes),
		SUITE_TEST(suite_stat_tells_size_and_time),
		SUITE_TEST(suite_get_all_keeps_to_its_bound),
		SUITE_TEST(suite_list_by_any_prefix),
		SUITE_TEST(suite_list_tells_sizes),
		SUITE_TEST(suite_list_stops_when_told),
		SUITE_TEST(suite_many_are_listed_once_and_may_be_removed),
		SUITE_TEST(suite_foreign_files_are_passed_over),
		SUITE_TEST(suite_malformed_keys_are_refused),
		SUITE_TEST(suite_every_key_of_the_form_works),
		SUITE_TEST(suite_of_racing_puts_one_wins),
		SUITE_TEST(suite_readers_see_the_old_or_the_new),
		SUITE_TEST(suite_places_that_empty_and_fill_lose_nothing),
	};

	suite_current = s;
	printf("# %s\n", s->name);
	return _cmocka_run_group_tests(s->name, tests,
	    sizeof(tests) / sizeof(tests[0]), suite_group_setup, NULL);
}

#endif
