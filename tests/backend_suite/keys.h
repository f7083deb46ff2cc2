#ifndef TESTS_BACKEND_SUITE_KEYS_H
#define TESTS_BACKEND_SUITE_KEYS_H

/* Listings, and the form of keys. */

#include "tests/backend_suite/tools.h"

static void suite_list_by_any_prefix(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;

	suite_put(be, "config", "1");
	suite_put(be, "packs/aa/1", "2");
	suite_put(be, "packs/ab/1", "3");
	suite_put(be, "packs/ab/12", "4");
	suite_put(be, "packs/b/1", "5");
	suite_put(be, "packsx", "6");
	SUITE_LISTS(be, "", "config", "packs/aa/1", "packs/ab/1",
	    "packs/ab/12", "packs/b/1", "packsx");
	SUITE_LISTS(be, "pack", "packs/aa/1", "packs/ab/1", "packs/ab/12",
	    "packs/b/1", "packsx");
	SUITE_LISTS(be, "packs/", "packs/aa/1", "packs/ab/1", "packs/ab/12",
	    "packs/b/1");
	SUITE_LISTS(be, "packs/a", "packs/aa/1", "packs/ab/1",
	    "packs/ab/12");
	SUITE_LISTS(be, "packs/ab/1", "packs/ab/1", "packs/ab/12");
	SUITE_LISTS(be, "packs/ab/12", "packs/ab/12");
	SUITE_LISTS(be, "c", "config");
	SUITE_LISTS_NONE(be, "packs/ab/123");
	SUITE_LISTS_NONE(be, "packs/c");
	SUITE_LISTS_NONE(be, "no/such/place/");
	SUITE_LISTS_NONE(be, "config/");
}

static void suite_list_tells_sizes(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct suite_keys k = { .n = 0 };
	struct err err = ERR_INIT;

	suite_put(be, "a/x", "123456");
	assert_int_equal(backend_list(be, "a/", suite_collect, &k, &err), 0);
	assert_int_equal(k.n, 1);
	assert_int_equal(k.sizes[0], 6);
}

static void suite_list_stops_when_told(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct suite_keys k = { .stop_at = 2, .stop_rc = 7 };
	struct suite_keys f = { .stop_at = 1, .stop_rc = -1 };
	struct err err = ERR_INIT;

	suite_put(be, "a/x", "1");
	suite_put(be, "a/y", "2");
	suite_put(be, "b/z", "3");
	assert_int_equal(backend_list(be, "", suite_collect, &k, &err), 7);
	assert_int_equal(k.n, 2);
	assert_int_equal(backend_list(be, "", suite_collect, &f, &err), -1);
	assert_int_equal(f.n, 1);
	assert_int_equal(err.class, ERR_CANCELLED);
}

struct suite_many {
	struct backend *be; /* delete what is listed, when not NULL */
	bool seen[1200];
	size_t n, bad;
	char last[BACKEND_KEY_MAX + 1];
	size_t disorder;
};

static int suite_count(void *ctx, const char *key,
    const struct backend_stat *st, struct err *err)
{
	struct suite_many *m = ctx;
	unsigned a = 0, b = 0;

	(void)st;
	if (sscanf(key, "m/%2u/%4u", &a, &b) != 2 || b >= 1200 || m->seen[b])
		m->bad++;
	else
		m->seen[b] = true;
	m->disorder += strcmp(m->last, key) >= 0;
	snprintf(m->last, sizeof(m->last), "%s", key);
	m->n++;
	return m->be != NULL && backend_del(m->be, key, err) < 0 ? -1 : 0;
}

/* More than a page of any store's listing. */
static void suite_many_are_listed_once_and_may_be_removed(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct suite_many all = { .be = NULL }, gone = { .be = be };
	struct backend_caps caps;
	struct err err = ERR_INIT;

	for (unsigned i = 0; i < 1200; i++) {
		char key[40];

		snprintf(key, sizeof(key), "m/%02u/%04u", i % 3, i);
		suite_put(be, key, "x");
	}
	assert_int_equal(backend_list(be, "m/", suite_count, &all, &err), 0);
	assert_int_equal(all.n, 1200);
	assert_int_equal(all.bad, 0);
	backend_caps(be, &caps);
	if (caps.ordered_list)
		assert_int_equal(all.disorder, 0);
	if (backend_list(be, "m/", suite_count, &gone, &err) != 0)
		fail_msg("%s", err.msg);
	assert_int_equal(gone.n, 1200);
	SUITE_LISTS_NONE(be, "");
}

static void suite_foreign_files_are_passed_over(void **state)
{
	struct suite *s = *state;

	static const char *const names[] = { "lost+found", "README",
		"a/.DS_Store", "a/Upper", "a/with space", "a/b/x~", "tmp/q" };

	if (s->plant == NULL)
		skip();
	suite_put(s->be, "a/b/c", "x");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		s->plant(s, names[i]);
	SUITE_LISTS(s->be, "", "a/b/c");
	SUITE_LISTS(s->be, "a/", "a/b/c");
	SUITE_LISTS_NONE(s->be, "t");
}

static void suite_malformed_keys_are_refused(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct err err = ERR_INIT;
	struct backend_stat st;
	char c, longest[BACKEND_KEY_MAX + 2];

	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';

	const char *bad[] = { "", "/", "/a", "a/", "a//b", ".", "..", "a/..",
		"../a", "a/./b", "A", "a b", "a\n", "a\\b", "\xc3\xa4", "a:b",
		"tmp", "tmp/a", "a/../../b", longest };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(backend_key_valid(bad[i]));
		err_clear(&err);
		assert_int_equal(backend_put(be, bad[i], "x", 1, &err), -1);
		assert_int_equal(err.class, ERR_BUG);
		assert_int_equal(backend_put_over(be, bad[i], "x", 1, &err),
		    -1);
		assert_int_equal(backend_get(be, bad[i], 0, &c, 1, &err), -1);
		assert_int_equal(backend_stat(be, bad[i], &st, &err), -1);
		err_clear(&err);
		assert_int_equal(backend_del(be, bad[i], &err), -1);
		assert_int_equal(err.class, ERR_BUG);
	}

	struct suite_keys k = { .n = 0 };

	static const char *const bad_prefixes[] = { "/", "a//", "../", "./a",
		"tmp/", "A", "a/../b" };

	for (size_t i = 0; i < sizeof(bad_prefixes) / sizeof(*bad_prefixes);
	     i++) {
		err_clear(&err);
		assert_int_equal(backend_list(be, bad_prefixes[i],
		    suite_collect, &k, &err), -1);
		assert_int_equal(err.class, ERR_BUG);
	}
	assert_int_equal(backend_get(be, "a", 0, &c, 0, &err), -1);
	assert_int_equal(err.class, ERR_BUG);
	assert_int_equal(backend_get(be, "a", UINT64_MAX, &c, 2, &err), -1);
	assert_int_equal(err.class, ERR_BUG);
}

static void suite_every_key_of_the_form_works(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	char longest[BACKEND_KEY_MAX + 1], deepest[BACKEND_KEY_MAX + 1];

	memset(longest, 'z', BACKEND_KEY_MAX);
	for (size_t i = 0; i < BACKEND_KEY_MAX; i++)
		deepest[i] = i % 2 ? '/' : 'd';
	deepest[BACKEND_KEY_MAX - 1] = 'e';
	longest[BACKEND_KEY_MAX] = deepest[BACKEND_KEY_MAX] = '\0';

	static const char *const more[] = { "0", "-", "_", "a.b", "..a", "a..",
		".hidden", "x/...", "x/-rf", "tmpx/a", "x/tmp", "x/tmp2/y" };

	suite_put(be, longest, "1");
	suite_put(be, deepest, "2");
	suite_is_text(be, longest, "1");
	suite_is_text(be, deepest, "2");
	SUITE_LISTS(be, "d/d/", deepest);
	SUITE_LISTS(be, "zzz", longest);
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		suite_put(be, more[i], more[i]);
		suite_is_text(be, more[i], more[i]);
		SUITE_LISTS(be, more[i], more[i]);
	}
}

#endif
