#include "tests/unit/archive_world.h"

/* --- an incremental backup in small ------------------------------------------------*/

/* A leaf of the parent: its entries in the parent's array, and its id. */
struct old_leaf {
	size_t from, n;
	uint8_t id[32];
};

struct old {
	const struct tree *t;
	struct old_leaf *leaf;
	size_t nleaf;
	struct fmt_state_entry *state; /* by the parent's array */
};

static const void *copied(const void *p, size_t len)
{
	return p == NULL ? NULL : memcpy(keep(len), p, len);
}

/* Read the parent's state against its array of items. */
static struct old read_old(struct world_pages *w, const struct tree *t,
    const struct archive_ref *state)
{
	struct archive_io io = world_io(w);
	struct err err = ERR_INIT;
	struct archive_state *s = archive_state_open(&io, state, &err);
	struct old o = { .t = t };
	struct archive_state_item item;
	int r;

	assert_non_null(s);
	o.leaf = keep((t->n + 1) * sizeof(*o.leaf));
	o.state = keep((t->n + 1) * sizeof(*o.state));
	for (size_t i = 0; i < t->n; i++) {
		struct fmt_content *c = &o.state[i].content;

		if (t->v[i].no_state)
			continue;
		r = archive_state_next(s, &item, &err);
		assert_int_equal(r, 0);
		assert_int_equal(item.entry.h, t->v[i].name.h);
		assert_int_equal(item.ndir, t->v[i].ndir);
		for (size_t k = 0; k < item.ndir; k++)
			assert_int_equal(item.dir[k], t->v[i].dir[k].h);
		assert_int_equal(le64_get(item.entry.digest), t->v[i].version);
		assert_int_equal(item.entry.type, t->v[i].type);
		assert_int_equal((item.entry.bits & FMT_NO_CARRY) != 0,
		    t->v[i].no_carry);
		if (item.leaf != NULL) {
			struct old_leaf *l = &o.leaf[o.nleaf++];

			l->from = i;
			memcpy(l->id, item.leaf, 32);
		}
		assert_true(o.nleaf > 0);
		o.leaf[o.nleaf - 1].n++;
		o.state[i] = item.entry;
		c->id = copied(c->id, 32);
		c->runs.p = copied(c->runs.p, c->runs.len);
	}
	assert_int_equal(archive_state_next(s, &item, &err), 1);
	archive_state_close(s);
	return o;
}

static bool same_item(const struct item *a, const struct item *b)
{
	return item_cmp(a, b) == 0 && a->version == b->version &&
	    a->type == b->type;
}

/* Whether leaf i of o stands unchanged in t from p on. */
static bool unchanged(const struct old *o, size_t i, const struct tree *t,
    size_t p)
{
	const struct old_leaf *l = &o->leaf[i];

	if (bytes_are_zero(l->id, 32) || p + l->n > t->n)
		return false;
	for (size_t k = 0; k < l->n; k++) {
		if (t->v[p + k].no_state ||
		    !same_item(&t->v[p + k], &o->t->v[l->from + k]))
			return false;
	}
	return true;
}

/* And what comes behind it lets it end where it ended. */
static bool ends_alike(struct archive_tree_writer *tw, const struct old *o,
    size_t i, const struct tree *t, size_t p)
{
	const struct old_leaf *l = &o->leaf[i];
	const struct item *last = &t->v[p + l->n - 1];
	struct archive_path dir = dir_of(last);
	size_t a = l->from + l->n, b = p + l->n;

	if (i + 1 < o->nleaf && archive_tree_cuts_after(tw, &dir, &last->name))
		return true;
	if (a == o->t->n || b == t->n)
		return a == o->t->n && b == t->n;
	return same_item(&o->t->v[a], &t->v[b]);
}

static void carry_leaf(struct archive_tree_writer *tw, const struct old *o,
    size_t i)
{
	const struct old_leaf *l = &o->leaf[i];
	struct archive_carried *v = keep(l->n * sizeof(*v));
	struct err err = ERR_INIT;

	for (size_t k = 0; k < l->n; k++) {
		const struct item *it = &o->t->v[l->from + k];

		v[k].dir = dir_of(it);
		v[k].name = it->name;
		v[k].state = &o->state[l->from + k];
	}
	OK(archive_tree_carry(tw, l->id, v, l->n, &err));
}

/* Write t, carrying what o allows. */
static struct roots write_over(struct world_pages *w, const struct old *o,
    const struct tree *t, bool strictly, size_t *ret_carried)
{
	struct archive_io io = world_io(w);
	struct err err = ERR_INIT;
	struct archive_tree_writer *tw = archive_tree_begin(&io, world_key, &err);
	struct roots r;
	size_t leaf = 0;

	assert_non_null(tw);
	*ret_carried = 0;
	for (size_t i = 0; i < t->n;) {
		while (leaf < o->nleaf &&
		    item_cmp(&o->t->v[o->leaf[leaf].from], &t->v[i]) < 0)
			leaf++;
		if (leaf < o->nleaf && archive_tree_at_cut(tw) &&
		    unchanged(o, leaf, t, i) &&
		    (!strictly || ends_alike(tw, o, leaf, t, i))) {
			carry_leaf(tw, o, leaf);
			i += o->leaf[leaf].n;
			++*ret_carried;
			continue;
		}
		add_item(tw, &t->v[i++]);
	}
	OK(archive_tree_finish(tw, &r.cat, &r.state, &err));
	archive_tree_free(tw);
	return r;
}

/* --- tests ----------------------------------------------------------------------------*/

static void an_empty_tree_has_empty_roots(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = { 0 };
	struct roots r = write_tree(&w, &t);
	struct archive_ref none = { 0 };

	(void)arg;
	assert_ref_equal(&r.cat, &none);
	assert_ref_equal(&r.state, &none);
	assert_int_equal(w.puts, 0);
}

static void same_content_makes_the_same_roots(void **arg)
{
	struct world_pages w = { 0 }, w2 = { 0 };

	(void)arg;
	for (size_t n = 1; n < 20000; n = n * 3 + 1) {
		struct tree t = random_tree(n);
		struct roots a = write_tree(&w, &t), b = write_tree(&w2, &t);

		assert_ref_equal(&a.cat, &b.cat);
		assert_ref_equal(&a.state, &b.state);
		assert_int_equal(a.cat.entries, t.n);
		free(t.v);
	}
	world_release(&w);
	world_release(&w2);
	world_forget();
}

/* A tree that ends where a page ends has no page above that has one child. */
static void a_root_has_more_than_one_child(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct tree t = random_tree(3000);
	struct err err = ERR_INIT;
	struct archive_tree_writer *tw = archive_tree_begin(&io, world_key, &err);
	struct roots r;
	size_t n = 0;

	(void)arg;
	do
		add_item(tw, &t.v[n++]);
	while (!archive_tree_at_cut(tw));
	archive_tree_free(tw);
	assert_in_range(n, 2, t.n - 1);
	t.n = n;
	r = write_tree(&w, &t);
	assert_int_equal(r.cat.level, 0);
	assert_int_equal(r.cat.entries, n);
	free(t.v);
	world_release(&w);
	world_forget();
}

static void carrying_leaves_makes_the_tree_of_writing_all(void **arg)
{
	struct world_pages w = { 0 };
	size_t carried = 0, rounds = 24;

	(void)arg;
	for (size_t i = 0; i < rounds; i++) {
		struct tree t = random_tree(1 + below(12000)), u;
		struct roots before = write_tree(&w, &t), a, b;
		struct old o = read_old(&w, &t, &before.state);
		size_t n;

		u = tree_copy(&t);
		random_edits(&u, below(i % 2 ? 4 : 40));
		w.no_catalog = true;
		a = write_over(&w, &o, &u, true, &n);
		w.no_catalog = false;
		b = write_tree(&w, &u);
		assert_ref_equal(&a.cat, &b.cat);
		assert_ref_equal(&a.state, &b.state);
		carried += n;
		free(t.v);
		free(u.v);
		world_forget();
	}
	print_message("%zu leaves carried\n", carried);
	assert_true(carried > 50);
	world_release(&w);
}

static void an_unchanged_tree_is_carried_whole_and_adds_no_page(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = random_tree(9000);
	struct roots a = write_tree(&w, &t), b;
	struct old o = read_old(&w, &t, &a.state);
	size_t n;

	(void)arg;
	world_old(&w);
	b = write_over(&w, &o, &t, false, &n);
	assert_int_equal(n, o.nleaf);
	assert_int_equal(world_fresh(&w), 0);
	assert_ref_equal(&a.cat, &b.cat);
	assert_ref_equal(&a.state, &b.state);
	free(t.v);
	world_release(&w);
	world_forget();
}

/* Carried without looking at what follows, a tree is still right. */
static void any_leaf_may_be_carried(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);

	(void)arg;
	for (int i = 0; i < 8; i++) {
		struct tree t = random_tree(1 + below(6000)), u;
		struct roots a = write_tree(&w, &t);
		struct old o = read_old(&w, &t, &a.state);
		struct archive_catalog *c;
		struct archive_path dir;
		struct fmt_entry e;
		struct err err = ERR_INIT;
		size_t n;

		u = tree_copy(&t);
		random_edits(&u, 20);
		a = write_over(&w, &o, &u, false, &n);
		c = archive_catalog_open(&io, world_key, &a.cat, &err);
		for (size_t k = 0; k < u.n; k++) {
			OK(archive_catalog_next(c, &dir, &e, &err));
			assert_is_item(&dir, &e, &u.v[k]);
		}
		assert_int_equal(archive_catalog_next(c, &dir, &e, &err), 1);
		archive_catalog_close(c);
		read_old(&w, &u, &a.state);
		free(t.v);
		free(u.v);
		world_forget();
	}
	world_release(&w);
}

/* Every catalog leaf, by reading the catalog, against the state's marks. */
static void marks_of_the_state_are_the_leaves_of_the_catalog(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = random_tree(8000);
	struct roots r = write_tree(&w, &t);
	struct old o = read_old(&w, &t, &r.state);
	struct fmt_page_reader rd;
	struct err err = ERR_INIT;
	size_t at = 0;

	(void)arg;
	fmt_page_reader_init(&rd);
	assert_true(o.nleaf > 8);
	for (size_t i = 0; i < o.nleaf; i++) {
		struct world_page *p = world_find(&w, o.leaf[i].id);
		struct fmt_entry e;

		assert_non_null(p->p);
		assert_int_equal(o.leaf[i].from, at);
		OK(fmt_page_open(&rd, p->p, p->len, FMT_PAGE_CATALOG, world_key,
		    &err));
		assert_int_equal(rd.level, 0);
		assert_int_equal(rd.left, o.leaf[i].n);
		while (fmt_catalog_next(&rd, &e, &err) == 0)
			assert_int_equal(e.name.h, t.v[at++].name.h);
	}
	assert_int_equal(at, t.n);
	fmt_page_reader_release(&rd);
	free(t.v);
	world_release(&w);
	world_forget();
}

static void a_leaf_with_entries_out_of_the_state_is_marked_by_zeros(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = random_tree(6000);
	struct roots r;
	struct old o;
	size_t zeros = 0;

	(void)arg;
	for (size_t i = 100; i < t.n; i += 1700)
		t.v[i].no_state = t.v[i + 1].no_state = true;
	r = write_tree(&w, &t);
	assert_int_equal(r.cat.entries, t.n);
	assert_true(r.state.entries < t.n);
	o = read_old(&w, &t, &r.state);
	for (size_t i = 0; i < o.nleaf; i++) {
		size_t from = o.leaf[i].from;
		size_t to = i + 1 < o.nleaf ? o.leaf[i + 1].from : t.n;
		bool out = false;

		for (size_t k = from; k < to; k++)
			out |= t.v[k].no_state;
		/* Those before a leaf's first state entry count, too. */
		if (out)
			zeros += bytes_are_zero(o.leaf[i].id, 32);
		if (bytes_are_zero(o.leaf[i].id, 32))
			assert_true(out || t.v[from - 1].no_state);
	}
	assert_in_range(zeros, 3, 4);
	free(t.v);
	world_release(&w);
	world_forget();
}

static void a_small_change_makes_few_pages(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = random_tree(60000);
	struct roots r = write_tree(&w, &t);
	size_t all = world_fresh(&w);

	(void)arg;
	assert_true(r.cat.level >= 1);
	assert_true(all > 100);
	for (int i = 0; i < 10; i++) {
		world_old(&w);
		t.v[below(t.n)].version = rnd();
		r = write_tree(&w, &t);
		assert_in_range(world_fresh(&w), 1,
		    r.cat.level + r.state.level + 2 + 4);
	}
	free(t.v);
	world_release(&w);
	world_forget();
}

/* A deep directory's key fills a page alone; levels must end all the same. */
static void a_thousand_levels_of_the_longest_names_fit(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = { 0 };
	struct archive_comp *path = keep(1000 * sizeof(*path));
	struct roots r;
	char name[255];

	(void)arg;
	for (size_t i = 0; i < 1000; i++) {
		memset(name, 'n', sizeof(name));
		name[snprintf(name, sizeof(name), "%zu", i)] = 'n';
		path[i] = comp(name, sizeof(name));
		tree_push(&t, path, i, path[i], FMT_DIRECTORY);
	}
	for (int k = 0; k < 4000; k++)
		tree_push(&t, path, 1000, random_name(), FMT_FILE);
	tree_sort(&t);
	r = write_tree(&w, &t);
	assert_int_equal(r.cat.entries, t.n);
	assert_in_range(r.cat.level, 4, 12);
	read_old(&w, &t, &r.state);
	free(t.v);
	world_release(&w);
	world_forget();
}

static void disorder_is_a_bug_and_ends_the_writer(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct tree t = random_tree(50);
	struct archive_ref a, b;

	(void)arg;
	for (size_t i = 1; i < t.n; i++) {
		struct err err = ERR_INIT;
		struct archive_tree_writer *tw = archive_tree_begin(&io,
		    world_key, &err);
		struct archive_tree_entry e = {
			.dir = dir_of(&t.v[i - 1]), .name = t.v[i - 1].name,
			.entry = { .type = FMT_DIRECTORY },
		};

		add_item(tw, &t.v[i]);
		assert_int_equal(archive_tree_add(tw, &e, &err), -1);
		assert_int_equal(err.class, ERR_BUG);
		assert_int_equal(archive_tree_finish(tw, &a, &b, &err), -1);
		assert_int_equal(err.class, ERR_BUG);
		archive_tree_free(tw);
	}
	free(t.v);
	world_release(&w);
	world_forget();
}

static void equal_hashes_do_not_get_into_a_state(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct archive_ref cat, state;
	struct archive_comp twins[2] = { comp("a", 1), comp("b", 1) };

	(void)arg;
	twins[1].h = twins[0].h;
	for (int below_dirs = 0; below_dirs < 2; below_dirs++) {
		for (int out = 0; out < 2; out++) {
			struct err err = ERR_INIT;
			struct archive_tree_writer *tw = archive_tree_begin(&io,
			    world_key, &err);
			int r = 0;

			for (int i = 0; i < 2; i++) {
				struct archive_tree_entry e = {
					.dir = { twins + i, (size_t)below_dirs },
					.name = below_dirs ? comp("x", 1) :
					    twins[i],
					.entry = { .type = FMT_FIFO },
					.no_state = out,
				};

				OK(archive_tree_add(tw, &e, &err));
			}
			r = archive_tree_finish(tw, &cat, &state, &err);
			assert_int_equal(r, out ? 0 : -1);
			if (out)
				assert_int_equal(state.entries, 0);
			else
				assert_int_equal(err.class, ERR_BUG);
			archive_tree_free(tw);
		}
	}
	world_release(&w);
	world_forget();
}

static void carrying_where_no_leaf_begins_is_a_bug(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct tree t = random_tree(10);
	struct err err = ERR_INIT;
	struct archive_tree_writer *tw = archive_tree_begin(&io, world_key, &err);
	struct fmt_state_entry s = { .h = t.v[1].name.h, .type = FMT_FIFO };
	struct archive_carried c = { dir_of(&t.v[1]), t.v[1].name, &s };
	uint8_t id[32] = { 1 };

	(void)arg;
	assert_true(archive_tree_at_cut(tw));
	add_item(tw, &t.v[0]);
	assert_false(archive_tree_at_cut(tw));
	assert_int_equal(archive_tree_carry(tw, id, &c, 1, &err), -1);
	assert_int_equal(err.class, ERR_BUG);
	archive_tree_free(tw);
	free(t.v);
	world_release(&w);
	world_forget();
}

static int puts_left;

static int failing_put(void *ctx, enum archive_kind kind, const void *page,
    size_t len, uint8_t ret_id[32], struct err *err)
{
	if (puts_left-- == 0)
		return err_set(err, ERR_IO, "the disk is gone");
	return world_put(ctx, kind, page, len, ret_id, err);
}

static void a_page_that_cannot_be_stored_fails_the_writer(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = random_tree(3000);
	int fail = 0, r;

	(void)arg;
	do {
		struct archive_io io = world_io(&w);
		struct err err = ERR_INIT;
		struct archive_ref a, b;
		struct archive_tree_writer *tw;

		io.put = failing_put;
		puts_left = fail++;
		tw = archive_tree_begin(&io, world_key, &err);
		r = 0;
		for (size_t i = 0; i < t.n && r == 0; i++) {
			struct archive_tree_entry e = {
				.dir = dir_of(&t.v[i]), .name = t.v[i].name,
				.entry = { .type = FMT_FIFO },
			};

			r = archive_tree_add(tw, &e, &err);
		}
		if (r == 0)
			r = archive_tree_finish(tw, &a, &b, &err);
		if (r < 0)
			assert_int_equal(err.class, ERR_IO);
		archive_tree_free(tw);
	} while (r < 0);
	assert_true(fail > 5);
	free(t.v);
	world_release(&w);
	world_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_tree_has_empty_roots),
		cmocka_unit_test(same_content_makes_the_same_roots),
		cmocka_unit_test(a_root_has_more_than_one_child),
		cmocka_unit_test(carrying_leaves_makes_the_tree_of_writing_all),
		cmocka_unit_test(
		    an_unchanged_tree_is_carried_whole_and_adds_no_page),
		cmocka_unit_test(any_leaf_may_be_carried),
		cmocka_unit_test(
		    marks_of_the_state_are_the_leaves_of_the_catalog),
		cmocka_unit_test(
		    a_leaf_with_entries_out_of_the_state_is_marked_by_zeros),
		cmocka_unit_test(a_small_change_makes_few_pages),
		cmocka_unit_test(a_thousand_levels_of_the_longest_names_fit),
		cmocka_unit_test(disorder_is_a_bug_and_ends_the_writer),
		cmocka_unit_test(equal_hashes_do_not_get_into_a_state),
		cmocka_unit_test(carrying_where_no_leaf_begins_is_a_bug),
		cmocka_unit_test(a_page_that_cannot_be_stored_fails_the_writer),
	};

	return cmocka_run_group_tests_name("archive writer", tests, NULL, NULL);
}
