#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/engine/engine.h"

/*
 * Patterns by gitignore's rules.  What stands here was confirmed with git;
 * tests/scripts/filter_git.py compares the program with the git of the machine.
 */

static struct engine_filter *filter(const char *lines)
{
	struct engine_filter *f = engine_filter_new(NULL);
	struct err err;

	assert_non_null(f);
	for (const char *p = lines; *p != '\0';) {
		char line[200];
		size_t n = strcspn(p, "\n");

		assert_true(n < sizeof(line));
		memcpy(line, p, n);
		line[n] = '\0';
		if (engine_filter_add(f, line, &err) < 0)
			fail_msg("%s: %s", line, err.msg);
		p += n + (p[n] == '\n');
	}
	return f;
}

static const struct {
	const char *lines, *path;
	bool is_dir;
	int want;
} table[] = {
	/* A name matches at any depth, a path only from the root. */
	{ "a", "a", false, 1 }, { "a", "x/a", false, 1 }, { "a", "ab", false, 0 },
	{ "/a", "a", false, 1 }, { "/a", "x/a", false, 0 },
	{ "x/a", "x/a", false, 1 }, { "x/a", "y/x/a", false, 0 },
	{ "x/a", "x/a/b", false, 0 },
	/* A slash at the end: directories only. */
	{ "a/", "a", false, 0 }, { "a/", "a", true, 1 }, { "a/", "x/a", true, 1 },
	{ "/a/", "x/a", true, 0 }, { "x/a/", "x/a", true, 1 },
	/* One star stays within a name. */
	{ "*", "a", false, 1 }, { "*.o", "x/a.o", false, 1 }, { "*.o", ".o", false, 1 },
	{ "x/*", "x/a", false, 1 }, { "x/*", "x/a/b", false, 0 },
	{ "x/*.c", "x/y/b.c", false, 0 }, { "a*b*c", "aXbYbZc", false, 1 },
	{ "a*b*c", "aXbYbZ", false, 0 }, { "a?c", "abc", false, 1 },
	{ "x?a", "x/a", false, 0 }, { "***", "abc", false, 1 },
	/* Two of them between slashes span directories. */
	{ "**/a", "a", false, 1 }, { "**/a", "x/y/a", false, 1 }, { "**/a", "xa", false, 0 },
	{ "x/**", "x/a", false, 1 }, { "x/**", "x/a/b", false, 1 }, { "x/**", "x", true, 0 },
	{ "x/**/b", "x/b", false, 1 }, { "x/**/b", "x/1/2/b", false, 1 },
	{ "x/**/b", "xb", false, 0 }, { "x/**/b", "x/ab", false, 0 },
	{ "**/x/**/b*/c", "1/x/2/b/c", false, 1 }, { "**/x/**/b*/c", "1/x/bb/3/c", false, 0 },
	{ "**/x/**/b*/c", "x/b/x/bb/c", false, 1 },
	/* Elsewhere they are one. */
	{ "x/a**b", "x/aXb", false, 1 }, { "x/a**b", "x/a/b", false, 0 },
	{ "x/**b", "x/1b", false, 1 }, { "x/**b", "x/1/b", false, 0 },
	{ "x**/b", "xy/b", false, 1 }, { "x**/b", "x/y/b", false, 0 },
	{ "foo**/bar", "foo/bar", false, 1 },
	/* Sets. */
	{ "[abc]x", "bx", false, 1 }, { "[a-c]x", "bx", false, 1 }, { "[!a-c]x", "bx", false, 0 },
	{ "[^a-c]x", "dx", false, 1 }, { "[]]x", "]x", false, 1 }, { "[!]]x", "]x", false, 0 },
	{ "[a-]x", "-x", false, 1 }, { "[\\]]x", "]x", false, 1 }, { "x[/]a", "x/a", false, 0 },
	{ "x[!b]a", "x/a", false, 0 }, { "[abc", "[abc", false, 0 },
	{ "[[:digit:]]", "5", false, 1 }, { "[[:digit:]]", "d", false, 0 },
	{ "[[:alpha:]_]x", "_x", false, 1 }, { "[![:space:]]", "a", false, 1 },
	/* Backslashes, comments, spaces. */
	{ "\\#a", "#a", false, 1 }, { "#a", "#a", false, 0 }, { "\\!a", "!a", false, 1 },
	{ "\\*", "*", false, 1 }, { "\\*", "a", false, 0 }, { "a  ", "a", false, 1 },
	{ "a\\ ", "a ", false, 1 }, { "a b", "a b", false, 1 }, { "  a", "a", false, 0 },
	{ "a\\\\ ", "a\\", false, 1 },
	/* The last that matches decides. */
	{ "*.o\n!a.o", "a.o", false, -1 }, { "!a.o\n*.o", "a.o", false, 1 },
	{ "*\n!*/", "x", true, -1 }, { "*\n!*/", "x", false, 1 },
	{ "", "a", false, 0 },
};

static void each_case_of_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct engine_filter *f = filter(table[i].lines);
		int got = engine_filter_match(f, table[i].path, table[i].is_dir);

		if (got != table[i].want)
			fail_msg("'%s' on '%s': %d", table[i].lines, table[i].path, got);
		engine_filter_free(f);
	}
}

static void empty_patterns_are_refused(void **state)
{
	static const char *const bad[] = { "/", "!", "!/" };
	struct engine_filter *f = engine_filter_new(NULL);
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(engine_filter_add(f, bad[i], &err), -1);
		assert_int_equal(err.class, ERR_USAGE);
	}
	engine_filter_free(f);
	engine_filter_free(NULL);
}

/* What could take for ever does not. */
static void many_stars_take_no_time(void **state)
{
	static char path[4000];
	struct engine_filter *f = filter("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b\n"
	    "**/a*/**/a*/**/a*/**/a*/**/a*/**/a*/**/b");

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(path); i++)
		path[i] = i % 2 ? '/' : 'a';
	assert_int_equal(engine_filter_match(f, path, false), 0);
	memset(path, 'a', sizeof(path) - 1);
	assert_int_equal(engine_filter_match(f, path, false), 0);
	engine_filter_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_case_of_the_table),
		cmocka_unit_test(empty_patterns_are_refused),
		cmocka_unit_test(many_stars_take_no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
