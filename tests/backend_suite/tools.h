#ifndef TESTS_BACKEND_SUITE_TOOLS_H
#define TESTS_BACKEND_SUITE_TOOLS_H

/* What the tests of the suite work with; see suite.h. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/backend/backend.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"

struct suite {
	const char *name;
	/* Return a store without objects; the test fails for NULL. */
	struct backend *(*open)(struct suite *s);
	/* Remove what open made; called after the store was closed. */
	void (*clean)(struct suite *s);
	/* Make a foreign file of this name in the store, or NULL. */
	void (*plant)(struct suite *s, const char *name);
	char place[512]; /* for the three above */
	void *ctx;       /* likewise */
	bool racy;       /* its creation is known to be not atomic */
	struct backend *be;
};

/* --- small things --- */

/* Fill len bytes with what depends on seed and the place. */
static void suite_fill(uint8_t *p, size_t len, uint64_t seed)
{
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (uint8_t)(x >> 32);
	}
}

static void suite_put(struct backend *be, const char *key, const char *text)
{
	struct err err = ERR_INIT;

	if (backend_put(be, key, text, strlen(text), &err) != 0)
		fail_msg("put %s: %s", key, err.msg);
}

static void suite_is(struct backend *be, const char *key, const void *data,
    size_t len)
{
	struct err err = ERR_INIT;
	uint8_t *got = NULL;
	size_t got_len = 0;

	if (backend_get_all(be, key, 64 << 20, &got, &got_len, &err) != 0)
		fail_msg("get %s: %s", key, err.msg);
	assert_int_equal(got_len, len);
	assert_true(len == 0 || memcmp(got, data, len) == 0);
	free(got);
}

static void suite_is_text(struct backend *be, const char *key,
    const char *text)
{
	suite_is(be, key, text, strlen(text));
}

/* Keys as a listing gave them, and what it was told to do. */
struct suite_keys {
	char keys[64][BACKEND_KEY_MAX + 1];
	uint64_t sizes[64];
	size_t n;
	int stop_at; /* stop at this count, 0 is never */
	int stop_rc;
};

static int suite_collect(void *ctx, const char *key,
    const struct backend_stat *st, struct err *err)
{
	struct suite_keys *k = ctx;

	if (k->n == 64)
		return err_set(err, ERR_BUG, "too many keys");
	snprintf(k->keys[k->n], sizeof(k->keys[0]), "%s", key);
	k->sizes[k->n++] = st->size;
	if (k->stop_at != 0 && (int)k->n == k->stop_at) {
		if (k->stop_rc < 0)
			err_set(err, ERR_CANCELLED, "stopped");
		return k->stop_rc;
	}
	return 0;
}

/* Assert that a listing of prefix gives these keys (NULL ends them). */
static void suite_lists(struct backend *be, const char *prefix,
    const char *const *want)
{
	struct suite_keys k = { .n = 0 };
	struct err err = ERR_INIT;
	size_t nwant = 0;

	if (backend_list(be, prefix, suite_collect, &k, &err) != 0)
		fail_msg("list %s: %s", prefix, err.msg);
	for (; want[nwant] != NULL; nwant++) {
		size_t seen = 0;

		for (size_t i = 0; i < k.n; i++)
			seen += strcmp(k.keys[i], want[nwant]) == 0;
		if (seen != 1)
			fail_msg("list \"%s\" has %s %zu times", prefix,
			    want[nwant], seen);
	}
	assert_int_equal(k.n, nwant);
}

#define SUITE_LISTS(be, prefix, ...) \
	suite_lists(be, prefix, (const char *const[]){ __VA_ARGS__, NULL })
#define SUITE_LISTS_NONE(be, prefix) \
	suite_lists(be, prefix, (const char *const[]){ NULL })

#endif
