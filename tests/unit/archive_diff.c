#include "tests/unit/archive_world.h"

/* What the diff is to say: merged from the two arrays. */
struct expect {
	const struct tree *a, *b;
	size_t i, k;
	size_t told;
	size_t stop_after; /* 0: never */
};

static bool same(const struct item *x, const struct item *y)
{
	return x->version == y->version && x->type == y->type;
}

/* Pass what is equal; then the next difference is at i and k. */
static int next_cmp(struct expect *x)
{
	for (;;) {
		int c;

		if (x->i == x->a->n && x->k == x->b->n)
			return 99;
		if (x->i == x->a->n || x->k == x->b->n)
			return x->i == x->a->n ? 1 : -1;
		c = item_cmp(&x->a->v[x->i], &x->b->v[x->k]);
		if (c != 0 || !same(&x->a->v[x->i], &x->b->v[x->k]))
			return c;
		x->i++;
		x->k++;
	}
}

static int told(void *ctx, const struct archive_path *dir,
    const struct fmt_entry *a, const struct fmt_entry *b, struct err *err)
{
	struct expect *x = ctx;
	int c = next_cmp(x);

	(void)err;
	assert_int_not_equal(c, 99);
	assert_int_equal(a != NULL, c <= 0);
	assert_int_equal(b != NULL, c >= 0);
	if (a != NULL)
		assert_is_item(dir, a, &x->a->v[x->i++]);
	if (b != NULL)
		assert_is_item(dir, b, &x->b->v[x->k++]);
	return ++x->told == x->stop_after ? 7 : 0;
}

static size_t assert_diff(struct world_pages *w, const struct tree *a,
    const struct tree *b, const struct archive_ref *ra,
    const struct archive_ref *rb)
{
	struct archive_io io = world_io(w);
	struct expect x = { .a = a, .b = b };
	struct err err = ERR_INIT;

	OK(archive_catalog_diff(&io, world_key, ra, rb, told, &x, &err));
	assert_int_equal(next_cmp(&x), 99);
	return x.told;
}

static void a_diff_is_what_brute_force_says(void **arg)
{
	(void)arg;
	for (int round = 0; round < 24; round++) {
		struct world_pages w = { 0 };
		struct tree a = random_tree(1 + below(9000));
		struct tree b = tree_copy(&a);
		struct roots ra, rb;

		random_edits(&b, below(80));
		ra = write_tree(&w, &a);
		rb = write_tree(&w, &b);
		assert_diff(&w, &a, &b, &ra.cat, &rb.cat);
		assert_diff(&w, &b, &a, &rb.cat, &ra.cat);
		free(a.v);
		free(b.v);
		world_release(&w);
		world_forget();
	}
}

static void trees_of_other_heights_compare(void **arg)
{
	(void)arg;
	for (int round = 0; round < 8; round++) {
		struct world_pages w = { 0 };
		struct tree a = random_tree(7000), b = tree_copy(&a), c;
		struct tree none = { 0 };
		struct roots ra, rb, rc, rn;

		/* A stretch of a, and something unrelated. */
		b.n = 1 + below(60);
		memmove(b.v, a.v + below(6000), b.n * sizeof(*b.v));
		c = random_tree(1 + below(3000));
		ra = write_tree(&w, &a);
		rb = write_tree(&w, &b);
		rc = write_tree(&w, &c);
		rn = write_tree(&w, &none);
		assert_true(ra.cat.level > rb.cat.level);
		assert_diff(&w, &a, &b, &ra.cat, &rb.cat);
		assert_diff(&w, &b, &a, &rb.cat, &ra.cat);
		assert_diff(&w, &a, &c, &ra.cat, &rc.cat);
		assert_diff(&w, &c, &b, &rc.cat, &rb.cat);
		assert_int_equal(assert_diff(&w, &none, &a, &rn.cat, &ra.cat),
		    a.n);
		assert_int_equal(assert_diff(&w, &a, &none, &ra.cat, &rn.cat),
		    a.n);
		assert_int_equal(assert_diff(&w, &none, &none, &rn.cat,
		    &rn.cat), 0);
		free(a.v);
		free(b.v);
		free(c.v);
		world_release(&w);
		world_forget();
	}
}

static void equal_pages_are_not_read(void **arg)
{
	struct world_pages w = { 0 };
	struct tree a = random_tree(80000), b = tree_copy(&a);
	struct roots ra = write_tree(&w, &a), rb;

	(void)arg;
	w.gets = 0;
	assert_diff(&w, &a, &a, &ra.cat, &ra.cat);
	assert_int_equal(w.gets, 0);
	b.v[b.n / 3].version++;
	rb = write_tree(&w, &b);
	w.gets = 0;
	assert_int_equal(assert_diff(&w, &a, &b, &ra.cat, &rb.cat), 1);
	assert_in_range(w.gets, 2, 2u * (ra.cat.level + 1) + 4);
	/* One entry less shifts all that follows it until the next cut. */
	tree_drop(&b, b.n / 2);
	rb = write_tree(&w, &b);
	w.gets = 0;
	assert_int_equal(assert_diff(&w, &a, &b, &ra.cat, &rb.cat), 2);
	assert_in_range(w.gets, 2, 4u * (ra.cat.level + 1) + 12);
	free(a.v);
	free(b.v);
	world_release(&w);
	world_forget();
}

static void what_the_callback_says_ends_it(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct tree a = random_tree(500), b = random_tree(500);
	struct roots ra = write_tree(&w, &a), rb = write_tree(&w, &b);
	struct expect x = { .a = &a, .b = &b, .stop_after = 5 };
	struct err err = ERR_INIT;

	(void)arg;
	assert_int_equal(archive_catalog_diff(&io, world_key, &ra.cat, &rb.cat,
	    told, &x, &err), 7);
	assert_int_equal(x.told, 5);
	free(a.v);
	free(b.v);
	world_release(&w);
	world_forget();
}

static void a_lost_page_fails_the_diff(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct tree a = random_tree(500), b = random_tree(500);
	struct roots ra = write_tree(&w, &a), rb = write_tree(&w, &b);
	struct expect x = { .a = &a, .b = &b };
	struct err err = ERR_INIT;

	(void)arg;
	world_find(&w, rb.cat.id)->gone = true;
	assert_int_equal(archive_catalog_diff(&io, world_key, &ra.cat, &rb.cat,
	    told, &x, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	free(a.v);
	free(b.v);
	world_release(&w);
	world_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_diff_is_what_brute_force_says),
		cmocka_unit_test(trees_of_other_heights_compare),
		cmocka_unit_test(equal_pages_are_not_read),
		cmocka_unit_test(what_the_callback_says_ends_it),
		cmocka_unit_test(a_lost_page_fails_the_diff),
	};

	return cmocka_run_group_tests_name("catalog diff", tests, NULL, NULL);
}
