/* Trying out stores that keep their word, and stores that do not. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/backend/backend_internal.h"
#include "repo/backend/backend_probe.h"

/* --- a memory that lies as it is told -------------------------------------------*/

enum lie {
	NONE,
	PUT_REPLACES,      /* the condition is ignored */
	PUT_REPLACES_MUTE, /* and "exists" is said all the same */
	PUT_INVERTED,      /* what is not there is said to exist */
	PUT_LOOKS_FIRST,   /* look, then write: racing puts both win */
	PUT_LAST_STAYS,    /* one is told that it won, another one's bytes stay */
	PUT_FAILS,
	PUT_FAILS_LATER,   /* in a race */
	CAPS_WEAK,
	OVER_REFUSED,
	DEL_REFUSED,
	DEL_FAILS,
	LIST_LATE,
	CLOCK_AHEAD,
};

struct liar {
	struct backend_deco deco;
	enum lie lie;
	atomic_uint puts;
};

static enum lie lie_of(struct backend *be)
{
	return ((struct liar *)be)->lie;
}

static int liar_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	struct backend_stat st;
	unsigned n = atomic_fetch_add(&((struct liar *)be)->puts, 1);
	int r;

	switch (lie_of(be)) {
	case PUT_REPLACES:
		return in->ops->put_over(in, key, data, len, err);
	case PUT_REPLACES_MUTE:
		r = in->ops->stat(in, key, &st, err);
		return in->ops->put_over(in, key, data, len, err) < 0 ? -1 :
		    r == 0;
	case PUT_INVERTED:
		r = in->ops->put(in, key, data, len, err);
		return r < 0 ? -1 : 1;
	case PUT_LOOKS_FIRST:
		if (in->ops->stat(in, key, &st, err) == 0)
			return 1;
		usleep(10000);
		return in->ops->put_over(in, key, data, len, err);
	case PUT_LAST_STAYS:
		r = in->ops->put(in, key, data, len, err);
		if (r == 1 && strstr(key, "-0") == NULL)
			in->ops->put_over(in, key, data, len, err);
		return r;
	case PUT_FAILS:
		return err_set(err, ERR_TRANSIENT, "put failed");
	case PUT_FAILS_LATER:
		if (n > 12)
			return err_set(err, ERR_AUTH, "put refused");
		break;
	default:
		break;
	}
	return in->ops->put(in, key, data, len, err);
}

static int liar_put_over(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);

	if (lie_of(be) == OVER_REFUSED)
		return err_set(err, ERR_AUTH, "no overwriting");
	return in->ops->put_over(in, key, data, len, err);
}

static int liar_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	struct backend *in = backend_deco_inner(be);

	return in->ops->get(in, key, off, dst, len, err);
}

static int liar_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err)
{
	struct backend *in = backend_deco_inner(be);
	int r = in->ops->stat(in, key, ret_st, err);

	if (r == 0 && lie_of(be) == CLOCK_AHEAD)
		ret_st->mtime_ns += INT64_C(3600) * 1000000000;
	return r;
}

static int liar_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct backend *in = backend_deco_inner(be);

	return lie_of(be) == LIST_LATE ? 0 :
	    in->ops->list(in, prefix, fn, ctx, err);
}

static int liar_del(struct backend *be, const char *key, struct err *err)
{
	struct backend *in = backend_deco_inner(be);

	if (lie_of(be) == DEL_REFUSED)
		return err_set(err, ERR_AUTH, "no deletion");
	if (lie_of(be) == DEL_FAILS)
		return err_set(err, ERR_TRANSIENT, "del failed");
	return in->ops->del(in, key, err);
}

static void liar_caps(struct backend *be, struct backend_caps *ret_caps)
{
	backend_deco_caps(be, ret_caps);
	if (lie_of(be) == CAPS_WEAK)
		ret_caps->atomic_create = false;
}

static const struct backend_ops liar_ops = {
	.put = liar_put,
	.put_over = liar_put_over,
	.get = liar_get,
	.stat = liar_stat,
	.list = liar_list,
	.del = liar_del,
	.caps = liar_caps,
	.close = backend_deco_close,
};

static unsigned left;

static int count(void *ctx, const char *key, const struct backend_stat *st,
    struct err *err)
{
	(void)ctx, (void)st, (void)err;
	assert_true(strncmp(key, "probe/", 6) == 0);
	left++;
	return 0;
}

/* Probe a memory with this lie; left counts what stayed behind. */
static int probe(enum lie lie, struct backend_probe *ret, struct err *err)
{
	struct liar *l = backend_deco_new(sizeof(*l), &liar_ops,
	    backend_mem_new(err), err);
	int r;

	assert_non_null(l);
	l->lie = lie;
	r = backend_probe(&l->deco.be, ret, err);
	left = 0;
	assert_int_equal(backend_list(l->deco.inner, "", count, NULL, NULL),
	    0);
	backend_close(&l->deco.be);
	return r;
}

static void an_honest_store_is_found_so(void **state)
{
	struct backend_probe p;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(probe(NONE, &p, &err), 0);
	assert_true(p.atomic_create && p.tried && p.lists_at_once &&
	    p.may_replace && p.may_delete);
	assert_string_equal(p.why, "");
	assert_int_equal(p.skew_ns, 0);
	assert_int_equal(left, 0);
}

static void every_lie_about_creating_is_found(void **state)
{
	static const struct { enum lie lie; const char *why; } lies[] = {
		{ PUT_REPLACES, "may be put again" },
		{ PUT_REPLACES_MUTE, "was replaced" },
		{ PUT_INVERTED, "said to exist" },
		{ PUT_LOOKS_FIRST, "of 8 puts at once" },
		{ PUT_LAST_STAYS, "another is there" },
		{ CAPS_WEAK, "no put-if-absent" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct backend_probe p;
		struct err err = ERR_INIT;

		assert_int_equal(probe(lies[i].lie, &p, &err), 0);
		assert_false(p.atomic_create);
		if (strstr(p.why, lies[i].why) == NULL)
			fail_msg("%s", p.why);
		assert_true(p.may_replace && p.may_delete);
		assert_int_equal(left, 0);
	}
}

static void what_is_refused_is_told(void **state)
{
	struct backend_probe p;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(probe(OVER_REFUSED, &p, &err), 0);
	assert_true(p.atomic_create && !p.may_replace && p.may_delete);
	assert_int_equal(probe(DEL_REFUSED, &p, &err), 0);
	assert_true(p.atomic_create && p.may_replace && !p.may_delete);
	assert_true(left > 0);
	assert_int_equal(probe(LIST_LATE, &p, &err), 0);
	assert_true(p.atomic_create && !p.lists_at_once);
	assert_int_equal(probe(CLOCK_AHEAD, &p, &err), 0);
	assert_true(p.skew_ns / 1000000000 >= 3598 &&
	    p.skew_ns / 1000000000 <= 3600);
}

static void a_store_that_fails_is_an_error(void **state)
{
	struct backend_probe p;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(probe(PUT_FAILS, &p, &err), -1);
	assert_int_equal(err.class, ERR_TRANSIENT);
	assert_non_null(strstr(err.msg, "probing the store: put failed"));
	assert_int_equal(probe(PUT_FAILS_LATER, &p, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	assert_int_equal(left, 0);
	assert_int_equal(probe(DEL_FAILS, &p, &err), -1);
	assert_int_equal(err.class, ERR_TRANSIENT);
}

static void a_local_directory_is_believed(void **state)
{
	char dir[] = "/tmp/wherry-probe-XXXXXX";
	struct backend_probe p;
	struct err err = ERR_INIT;
	struct backend *be;

	(void)state;
	assert_non_null(mkdtemp(dir));
	be = backend_local_open(dir, NULL, &err);
	assert_non_null(be);
	assert_int_equal(backend_probe(be, &p, &err), 0);
	assert_false(p.tried);
	backend_close(be);
	/* It is empty still. */
	assert_int_equal(rmdir(dir), 0);
}

/* What killed probes left goes when it is old, not what may be under way. */
static void what_is_left_is_removed_when_old(void **state)
{
	static const struct { enum lie lie; unsigned left; } cases[] = {
		{ NONE, 1 },
		{ CLOCK_AHEAD, 0 }, /* it seems to be an hour old */
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct backend_probe p;
		struct err err = ERR_INIT;
		struct liar *l = backend_deco_new(sizeof(*l), &liar_ops,
		    backend_mem_new(&err), &err);

		assert_non_null(l);
		assert_int_equal(backend_put(l->deco.inner, "probe/ab-3", "x",
		    1, &err), 0);
		usleep(1000);
		l->lie = cases[i].lie;
		assert_int_equal(backend_probe(&l->deco.be, &p, &err), 0);
		left = 0;
		backend_list(l->deco.inner, "", count, NULL, NULL);
		assert_int_equal(left, cases[i].left);
		backend_close(&l->deco.be);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_honest_store_is_found_so),
		cmocka_unit_test(every_lie_about_creating_is_found),
		cmocka_unit_test(what_is_refused_is_told),
		cmocka_unit_test(a_store_that_fails_is_an_error),
		cmocka_unit_test(a_local_directory_is_believed),
		cmocka_unit_test(what_is_left_is_removed_when_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
