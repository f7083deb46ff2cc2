/* Reading ahead: what was asked for answers once, and nothing that changed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/backend/backend_ahead.h"

#define MS 30
#define ROOM ((size_t)8 << 20)

static struct backend *slow;

static struct backend *ahead_new(unsigned threads, size_t memory)
{
	struct err err = ERR_INIT;
	struct backend *be;

	slow = backend_slow_new(backend_mem_new(&err), threads > 0 ? MS : 0,
	    &err);
	be = backend_ahead_new(slow, threads, memory, &err);
	assert_non_null(be);
	return be;
}

static struct backend_slow_counts counts(void)
{
	struct backend_slow_counts c;

	backend_slow_counts(slow, &c);
	return c;
}

static void put(struct backend *be, const char *key, const char *text)
{
	struct err err = ERR_INIT;

	assert_int_equal(backend_put(be, key, text, strlen(text), &err), 0);
}

/* What a whole object holds, or NULL; freed by the next call. */
static const char *all(struct backend *be, const char *key)
{
	static char text[64];
	struct err err = ERR_INIT;
	uint8_t *p;
	size_t len;
	int r = backend_get_all(be, key, sizeof(text) - 1, &p, &len, &err);

	assert_true(r >= 0);
	if (r > 0)
		return NULL;
	memcpy(text, p, len);
	text[len] = '\0';
	free(p);
	return text;
}

static int count_key(void *ctx, const char *key, const struct backend_stat *st,
    struct err *err)
{
	(void)key, (void)st, (void)err;
	++*(unsigned *)ctx;
	return 0;
}

static unsigned listed(struct backend *be, const char *prefix)
{
	struct err err = ERR_INIT;
	unsigned n = 0;

	assert_int_equal(backend_list(be, prefix, count_key, &n, &err), 0);
	return n;
}

static void everything_is_fetched_at_once(void **state)
{
	struct backend *be = ahead_new(16, ROOM);
	struct err err = ERR_INIT;
	struct backend_stat bs;
	uint64_t before;
	char key[32];
	uint8_t b[2];

	(void)state;
	for (int i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "a/%d", i);
		put(be, key, "text");
	}
	before = counts().waits;
	backend_ahead_list(be, "a/");
	backend_ahead_stat(be, "a/0");
	backend_ahead_get(be, "a/1", 0, 4);
	for (int i = 2; i < 10; i++) {
		snprintf(key, sizeof(key), "a/%d", i);
		backend_ahead_all(be, key);
	}
	assert_int_equal(listed(be, "a/"), 10);
	assert_int_equal(backend_stat(be, "a/0", &bs, &err), 0);
	/* Parts of a range, in any order. */
	assert_int_equal(backend_get(be, "a/1", 2, b, 2, &err), 0);
	assert_memory_equal(b, "xt", 2);
	assert_int_equal(backend_get(be, "a/1", 0, b, 2, &err), 0);
	assert_memory_equal(b, "te", 2);
	for (int i = 2; i < 10; i++) {
		snprintf(key, sizeof(key), "a/%d", i);
		assert_string_equal(all(be, key), "text");
	}
	/* One, but where threads are slow to begin; not one for each. */
	assert_in_range(counts().waits - before, 1, 4);
	backend_close(be);
}

static void an_answer_is_used_once(void **state)
{
	struct backend *be = ahead_new(0, ROOM);
	uint64_t gets;

	(void)state;
	put(be, "a", "text");
	backend_ahead_all(be, "a");
	gets = counts().calls[BACKEND_GET];
	assert_string_equal(all(be, "a"), "text");
	assert_int_equal(counts().calls[BACKEND_GET], gets);
	assert_string_equal(all(be, "a"), "text");
	assert_int_equal(counts().calls[BACKEND_GET], gets + 1);
	backend_close(be);
}

static void what_changes_is_asked_for_again(void **state)
{
	struct backend *be = ahead_new(0, ROOM);
	struct err err = ERR_INIT;
	struct backend_stat bs;

	(void)state;
	put(be, "a/1", "old");
	backend_ahead_all(be, "a/1");
	backend_ahead_list(be, "a/");
	assert_int_equal(backend_put_over(be, "a/1", "new", 3, &err), 0);
	assert_string_equal(all(be, "a/1"), "new");

	backend_ahead_list(be, "a/");
	put(be, "a/2", "more");
	assert_int_equal(listed(be, "a/"), 2);

	backend_ahead_stat(be, "a/2");
	backend_ahead_all(be, "a/2");
	assert_int_equal(backend_del(be, "a/2", &err), 0);
	assert_int_equal(backend_stat(be, "a/2", &bs, &err), 1);
	assert_null(all(be, "a/2"));

	/* Who asked what was not there, but not for a whole object, asks again. */
	backend_ahead_stat(be, "a/3");
	backend_ahead_all(be, "a/4");
	assert_int_equal(backend_put(slow, "a/3", "x", 1, &err), 0);
	assert_int_equal(backend_put(slow, "a/4", "x", 1, &err), 0);
	assert_int_equal(backend_stat(be, "a/3", &bs, &err), 0);
	assert_null(all(be, "a/4"));
	assert_string_equal(all(be, "a/4"), "x");
	backend_close(be);
}

static void what_is_forgotten_does_not_answer(void **state)
{
	struct backend *be = ahead_new(0, ROOM);
	struct err err = ERR_INIT;

	(void)state;
	put(be, "a/1", "x");
	put(be, "b/1", "y");
	backend_ahead_list(be, "a/");
	backend_ahead_list(be, "b/");
	assert_int_equal(backend_del(slow, "a/1", &err), 0);
	assert_int_equal(backend_del(slow, "b/1", &err), 0);
	backend_ahead_forget(be, "a/");
	assert_int_equal(listed(be, "a/"), 0);
	assert_int_equal(listed(be, "b/"), 1); /* as of when it was asked for */
	assert_int_equal(listed(be, "b/"), 0);
	backend_close(be);
}

static void memory_is_bounded(void **state)
{
	struct backend *be = ahead_new(0, 1000);
	struct err err = ERR_INIT;
	uint8_t data[900] = { 1 }, b;
	uint64_t gets;

	(void)state;
	assert_int_equal(backend_put(be, "a", data, sizeof(data), &err), 0);
	assert_int_equal(backend_put(be, "b", data, sizeof(data), &err), 0);
	backend_ahead_get(be, "a", 0, sizeof(data));
	gets = counts().calls[BACKEND_GET];
	backend_ahead_get(be, "b", 0, sizeof(data)); /* no room */
	assert_int_equal(counts().calls[BACKEND_GET], gets);
	assert_int_equal(backend_get(be, "b", 0, &b, 1, &err), 0);
	assert_int_equal(backend_get(be, "a", 0, &b, 1, &err), 0);
	assert_int_equal(counts().calls[BACKEND_GET], gets + 1);
	backend_close(be);
}

static void it_ends_while_requests_are_under_way(void **state)
{
	struct backend *be = ahead_new(4, ROOM);
	char key[32];

	(void)state;
	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "a/%d", i);
		backend_ahead_all(be, key);
	}
	backend_ahead_forget(be, "a/1");
	backend_close(be);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_fetched_at_once),
		cmocka_unit_test(an_answer_is_used_once),
		cmocka_unit_test(what_changes_is_asked_for_again),
		cmocka_unit_test(what_is_forgotten_does_not_answer),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(it_ends_while_requests_are_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
