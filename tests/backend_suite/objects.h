#ifndef TESTS_BACKEND_SUITE_OBJECTS_H
#define TESTS_BACKEND_SUITE_OBJECTS_H

/* put, get, stat and del. */

#include "tests/backend_suite/tools.h"

static void suite_put_then_get_gives_the_same_bytes(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;

	suite_put(be, "config", "one");
	suite_put(be, "packs/ab/0123", "two");
	suite_is_text(be, "config", "one");
	suite_is_text(be, "packs/ab/0123", "two");
}

static void suite_put_does_not_overwrite(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct err err = ERR_INIT;

	suite_put(be, "a/b", "first");
	assert_int_equal(backend_put(be, "a/b", "other", 5, &err), 1);
	assert_int_equal(backend_put(be, "a/b", "", 0, &err), 1);
	suite_is_text(be, "a/b", "first");
}

static void suite_an_empty_object_is_an_object(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct backend_stat st;
	struct err err = ERR_INIT;
	char c;

	assert_int_equal(backend_put(be, "a/empty", NULL, 0, &err), 0);
	assert_int_equal(backend_put(be, "a/empty", "x", 1, &err), 1);
	assert_int_equal(backend_stat(be, "a/empty", &st, &err), 0);
	assert_int_equal(st.size, 0);
	suite_is(be, "a/empty", NULL, 0);
	assert_int_equal(backend_get(be, "a/empty", 0, &c, 1, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	SUITE_LISTS(be, "a/", "a/empty");
}

static void suite_what_is_missing_is_told_apart(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct err err = ERR_INIT;
	struct backend_caps caps;
	struct backend_stat st;
	uint8_t *data;
	size_t len;
	char c;

	static const char *const keys[] = { "no", "no/such/thing", "is/no",
		"is/there/no" };

	backend_caps(be, &caps);
	suite_put(be, "is/there", "x");
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		assert_int_equal(backend_get(be, keys[i], 0, &c, 1, &err), 1);
		assert_int_equal(backend_stat(be, keys[i], &st, &err), 1);
		assert_int_equal(backend_del(be, keys[i], &err),
		    caps.del_tells);
		assert_int_equal(backend_get_all(be, keys[i], 9, &data, &len,
		    &err), 1);
	}
}

static void suite_any_range_can_be_read(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct err err = ERR_INIT;
	uint8_t data[10000], got[10000];

	suite_fill(data, sizeof(data), 1);
	assert_int_equal(backend_put(be, "r/x", data, sizeof(data), &err), 0);
	for (size_t off = 0; off < sizeof(data); off += 997) {
		for (size_t len = 1; off + len <= sizeof(data);
		     len = len * 3 + 1) {
			assert_int_equal(backend_get(be, "r/x", off, got, len,
			    &err), 0);
			assert_memory_equal(got, data + off, len);
		}
	}
	assert_int_equal(backend_get(be, "r/x", 9999, got, 1, &err), 0);
	assert_int_equal(got[0], data[9999]);
}

static void suite_reading_past_the_end_is_corrupt(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct err err = ERR_INIT;
	char got[16];

	suite_put(be, "r/short", "12345");
	static const struct { uint64_t off; size_t len; } past[] = {
		{ 0, 6 }, { 4, 2 }, { 5, 1 }, { 6, 1 }, { 1 << 30, 3 },
	};

	for (size_t i = 0; i < sizeof(past) / sizeof(past[0]); i++) {
		err_clear(&err);
		assert_int_equal(backend_get(be, "r/short", past[i].off, got,
		    past[i].len, &err), -1);
		assert_int_equal(err.class, ERR_CORRUPT);
		assert_non_null(strstr(err.msg, "r/short"));
		assert_non_null(strstr(err.msg, be->name));
	}
}

static void suite_large(struct backend *be, const char *key,
    const uint8_t *data, size_t len)
{
	struct err err = ERR_INIT;
	uint8_t got[4096];

	if (backend_put(be, key, data, len, &err) != 0)
		fail_msg("%s", err.msg);
	suite_is(be, key, data, len);
	assert_int_equal(backend_get(be, key, len - 4000, got, 4000, &err),
	    0);
	assert_memory_equal(got, data + len - 4000, 4000);
	assert_int_equal(backend_put(be, key, "x", 1, &err), 1);
}

static void suite_large_objects_of_any_alignment(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	const size_t size = 20 << 20;
	struct err err = ERR_INIT;
	uint8_t *data = mem_pages(size + 8192, "a test", &err);

	assert_non_null(data);
	suite_fill(data, size + 8192, 7);
	suite_large(be, "packs/aa/aligned", data, size);
	suite_large(be, "packs/aa/tail", data + 4096, size + 1234);
	suite_large(be, "packs/aa/unaligned", data + 1, size + 1);
	mem_pages_free(data, size + 8192);
}

static void suite_put_over_replaces(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct err err = ERR_INIT;

	assert_int_equal(backend_put_over(be, "s/x", "new", 3, &err), 0);
	suite_is_text(be, "s/x", "new");
	assert_int_equal(backend_put_over(be, "s/x", "much longer", 11,
	    &err), 0);
	suite_is_text(be, "s/x", "much longer");
	assert_int_equal(backend_put_over(be, "s/x", "ab", 2, &err), 0);
	suite_is_text(be, "s/x", "ab");
	assert_int_equal(backend_put(be, "s/x", "no", 2, &err), 1);
	SUITE_LISTS(be, "", "s/x");
}

static void suite_del_removes(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct backend_caps caps;
	struct err err = ERR_INIT;
	char c;

	backend_caps(be, &caps);
	suite_put(be, "d/e/f", "x");
	suite_put(be, "d/e/g", "y");
	assert_int_equal(backend_del(be, "d/e/f", &err), 0);
	assert_int_equal(backend_get(be, "d/e/f", 0, &c, 1, &err), 1);
	assert_int_equal(backend_del(be, "d/e/f", &err), caps.del_tells);
	SUITE_LISTS(be, "", "d/e/g");
	assert_int_equal(backend_del(be, "d/e/g", &err), 0);
	SUITE_LISTS_NONE(be, "");
	suite_put(be, "d/e/f", "again");
	suite_is_text(be, "d/e/f", "again");
}

static void suite_stat_tells_size_and_time(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct err err = ERR_INIT;
	struct backend_stat st;

	suite_put(be, "a/x", "four");
	assert_int_equal(backend_stat(be, "a/x", &st, &err), 0);
	assert_int_equal(st.size, 4);

	int64_t age = clock_real_ns() - st.mtime_ns;

	assert_true(age > INT64_C(-600000000000) &&
	    age < INT64_C(600000000000));
}

static void suite_get_all_keeps_to_its_bound(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct err err = ERR_INIT;
	uint8_t *data = NULL;
	size_t len = 0;

	suite_put(be, "a/x", "12345");
	assert_int_equal(backend_get_all(be, "a/x", 4, &data, &len, &err),
	    -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	assert_null(data);
	assert_int_equal(backend_get_all(be, "a/x", 5, &data, &len, &err), 0);
	assert_int_equal(len, 5);
	free(data);
}

#endif
