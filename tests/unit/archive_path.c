#include "tests/unit/archive_world.h"

static struct archive_lookup_path parse(const char *text)
{
	struct archive_lookup_path p;
	struct err err = ERR_INIT;

	OK(archive_path_parse(world_key, text, strlen(text), &p, &err));
	return p;
}

static void slashes_and_dots_do_not_count(void **arg)
{
	static const char *const root[] = { "", ".", "/", "./", "//", "./." };
	static const char *const abc[] = {
		"a/bb/c", "/a/bb/c", "a/bb/c/", "./a//bb/./c/.", "//a/bb//c//",
	};

	(void)arg;
	for (size_t i = 0; i < sizeof(root) / sizeof(*root); i++) {
		struct archive_lookup_path p = parse(root[i]);

		assert_int_equal(p.n, 0);
		archive_path_release(&p);
	}
	for (size_t i = 0; i < sizeof(abc) / sizeof(*abc); i++) {
		struct archive_lookup_path p = parse(abc[i]);

		assert_int_equal(p.n, 3);
		assert_int_equal(p.c[1].len, 2);
		assert_memory_equal(p.c[1].name, "bb", 2);
		assert_int_equal(p.c[2].h, fmt_name_hash(world_key, "c", 1));
		archive_path_release(&p);
	}
}

static void names_with_dots_are_names(void **arg)
{
	struct archive_lookup_path p = parse("...//.a/..b");

	(void)arg;
	assert_int_equal(p.n, 3);
	archive_path_release(&p);
}

static void a_path_up_is_refused(void **arg)
{
	static const char *const up[] = { "..", "a/..", "../a", "/..", "a/../b" };

	(void)arg;
	for (size_t i = 0; i < sizeof(up) / sizeof(*up); i++) {
		struct archive_lookup_path p;
		struct err err = ERR_INIT;

		assert_int_equal(archive_path_parse(world_key, up[i],
		    strlen(up[i]), &p, &err), -1);
		assert_int_equal(err.class, ERR_USAGE);
		archive_path_release(&p);
	}
}

static void a_directory_is_less_than_what_is_in_it(void **arg)
{
	struct archive_comp c[2] = { comp("x", 1), comp("y", 1) };
	struct archive_path root = { NULL, 0 }, x = { c, 1 }, xy = { c, 2 };

	(void)arg;
	assert_true(archive_path_cmp(&root, &x) < 0);
	assert_true(archive_path_cmp(&x, &xy) < 0);
	assert_true(archive_path_cmp(&xy, &x) > 0);
	assert_int_equal(archive_path_cmp(&xy, &xy), 0);
	world_forget();
}

static void names_go_by_hash_then_by_bytes(void **arg)
{
	struct archive_comp a = { "a", 1, 5 }, b = { "b", 1, 5 }, ab = { "ab", 2, 5 };
	struct archive_comp z = { "z", 1, 4 }, none = { "", 0, 0 };

	(void)arg;
	assert_true(archive_name_cmp(&z, &a) < 0);
	assert_true(archive_name_cmp(&a, &b) < 0);
	assert_true(archive_name_cmp(&a, &ab) < 0);
	assert_true(archive_name_cmp(&ab, &b) < 0);
	assert_true(archive_name_cmp(&none, &z) < 0);
	assert_int_equal(archive_name_cmp(&ab, &ab), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slashes_and_dots_do_not_count),
		cmocka_unit_test(names_with_dots_are_names),
		cmocka_unit_test(a_path_up_is_refused),
		cmocka_unit_test(a_directory_is_less_than_what_is_in_it),
		cmocka_unit_test(names_go_by_hash_then_by_bytes),
	};

	return cmocka_run_group_tests_name("archive paths", tests, NULL, NULL);
}
