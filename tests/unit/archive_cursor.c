#include "tests/unit/archive_world.h"

static struct archive_catalog *open_catalog(struct world_pages *w,
    const struct archive_ref *root)
{
	struct archive_io io = world_io(w);
	struct err err = ERR_INIT;
	struct archive_catalog *c = archive_catalog_open(&io, world_key, root,
	    &err);

	assert_non_null(c);
	return c;
}

/* What next gives from here on is t from `from` on. */
static void assert_rest(struct archive_catalog *c, const struct tree *t,
    size_t from, size_t most)
{
	struct archive_path dir;
	struct fmt_entry e;
	struct err err = ERR_INIT;

	for (; from < t->n && most > 0; from++, most--) {
		OK(archive_catalog_next(c, &dir, &e, &err));
		assert_is_item(&dir, &e, &t->v[from]);
	}
	if (from == t->n) {
		assert_int_equal(archive_catalog_next(c, &dir, &e, &err), 1);
		assert_int_equal(archive_catalog_next(c, &dir, &e, &err), 1);
	}
}

static void a_cursor_gives_back_what_was_written(void **arg)
{
	(void)arg;
	for (size_t n = 1; n < 30000; n = n * 4 + 1) {
		struct world_pages w = { 0 };
		struct tree t = random_tree(n);
		struct roots r = write_tree(&w, &t);
		struct archive_catalog *c = open_catalog(&w, &r.cat);

		assert_rest(c, &t, 0, SIZE_MAX);
		archive_catalog_close(c);
		free(t.v);
		world_release(&w);
		world_forget();
	}
}

static void an_empty_catalog_ends_at_once(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_ref none = { 0 };
	struct tree t = { 0 };
	struct archive_catalog *c = open_catalog(&w, &none);
	struct archive_path root = { NULL, 0 };
	struct err err = ERR_INIT;

	(void)arg;
	assert_rest(c, &t, 0, SIZE_MAX);
	OK(archive_catalog_seek(c, &root, NULL, &err));
	assert_rest(c, &t, 0, SIZE_MAX);
	assert_int_equal(archive_catalog_skip_damage(c, &err), 1);
	archive_catalog_close(c);
	world_release(&w);
}

static void depth_and_long_names_read_back(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = { 0 };
	struct archive_comp *path = keep(1000 * sizeof(*path));
	struct archive_catalog *c;
	struct roots r;
	struct err err = ERR_INIT;
	char name[255];

	(void)arg;
	for (size_t i = 0; i < 1000; i++) {
		memset(name, 'a' + (int)(i % 26), sizeof(name));
		path[i] = comp(name, sizeof(name));
		tree_push(&t, path, i, path[i], FMT_DIRECTORY);
		tree_push(&t, path, i, random_name(), FMT_FILE);
	}
	tree_sort(&t);
	r = write_tree(&w, &t);
	c = open_catalog(&w, &r.cat);
	assert_rest(c, &t, 0, SIZE_MAX);
	for (size_t i = 0; i < 40; i++) {
		size_t at = below(t.n);
		struct archive_path dir = dir_of(&t.v[at]);

		OK(archive_catalog_seek(c, &dir, &t.v[at].name, &err));
		assert_rest(c, &t, at, 1);
	}
	archive_catalog_close(c);
	free(t.v);
	world_release(&w);
	world_forget();
}

static void seek_finds_each_entry_and_each_gap(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = random_tree(2000);
	struct roots r = write_tree(&w, &t);
	struct archive_catalog *c = open_catalog(&w, &r.cat);
	struct archive_path root = { NULL, 0 };
	struct err err = ERR_INIT;

	(void)arg;
	assert_true(r.cat.level > 0);
	for (size_t i = 0; i < t.n; i++) {
		struct archive_path dir = dir_of(&t.v[i]);
		struct item gap = t.v[i];
		size_t at = 0, end = t.n;

		OK(archive_catalog_seek(c, &dir, &t.v[i].name, &err));
		assert_rest(c, &t, i, 2);
		/* A name that is not there. */
		gap.name = random_name();
		while (at < end) {
			size_t mid = at + (end - at) / 2;

			if (item_cmp(&t.v[mid], &gap) < 0)
				at = mid + 1;
			else
				end = mid;
		}
		OK(archive_catalog_seek(c, &dir, &gap.name, &err));
		assert_rest(c, &t, at, 1);
		/* Before all names of the directory. */
		at = i;
		while (at > 0) {
			struct archive_path before = dir_of(&t.v[at - 1]);

			if (archive_path_cmp(&before, &dir) != 0)
				break;
			at--;
		}
		OK(archive_catalog_seek(c, &dir, NULL, &err));
		assert_rest(c, &t, at, 1);
	}
	OK(archive_catalog_seek(c, &root, NULL, &err));
	assert_rest(c, &t, 0, SIZE_MAX);
	archive_catalog_close(c);
	free(t.v);
	world_release(&w);
	world_forget();
}

static void seek_past_all_is_the_end(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = random_tree(3000);
	struct roots r = write_tree(&w, &t);
	struct archive_catalog *c = open_catalog(&w, &r.cat);
	struct archive_comp top = { .name = "zz", .len = 2, .h = UINT64_MAX };
	struct archive_path dir = { &top, 1 };
	struct err err = ERR_INIT;

	(void)arg;
	OK(archive_catalog_seek(c, &dir, &top, &err));
	assert_rest(c, &t, t.n, SIZE_MAX);
	archive_catalog_close(c);
	free(t.v);
	world_release(&w);
	world_forget();
}

static void seek_reads_one_page_a_level(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = random_tree(4000);
	struct roots r = write_tree(&w, &t);
	struct archive_catalog *c = open_catalog(&w, &r.cat);
	struct err err = ERR_INIT;

	(void)arg;
	for (size_t at = 0; at < t.n; at++) {
		struct archive_path dir = dir_of(&t.v[at]);

		w.gets = 0;
		OK(archive_catalog_seek(c, &dir, &t.v[at].name, &err));
		if (at == 0)
			assert_int_equal(w.gets, r.cat.level + 1u);
		assert_true(w.gets <= r.cat.level + 1u);
		/* Near the last place most of it is at hand. */
		w.gets = 0;
		OK(archive_catalog_seek(c, &dir, &t.v[at].name, &err));
		assert_rest(c, &t, at, 1);
		assert_int_equal(w.gets, 0);
	}
	archive_catalog_close(c);
	free(t.v);
	world_release(&w);
	world_forget();
}

static void entries_are_found_by_their_number(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = random_tree(4000);
	struct roots r = write_tree(&w, &t);
	struct archive_catalog *c = open_catalog(&w, &r.cat);
	struct archive_path dir;
	struct fmt_entry e;
	struct err err = ERR_INIT;

	(void)arg;
	assert_true(r.cat.level > 0);
	for (size_t i = 0; i < 2 * t.n; i++) {
		/* Far apart, then one after the other. */
		size_t at = i < t.n ? i * 1237 % t.n : i - t.n;
		struct archive_path to = dir_of(&t.v[at]);

		OK(archive_catalog_seek_nth(c, at, &err));
		assert_int_equal(archive_catalog_tell(c), at);
		assert_rest(c, &t, at, 2);
		assert_int_equal(archive_catalog_tell(c), at + 2 < t.n ? at + 1 : t.n);
		OK(archive_catalog_seek(c, &to, &t.v[at].name, &err));
		assert_int_equal(archive_catalog_tell(c), at);
		OK(archive_catalog_next(c, &dir, &e, &err));
		assert_int_equal(archive_catalog_tell(c), at);
		archive_catalog_again(c);
		assert_int_equal(archive_catalog_tell(c), at);
		assert_rest(c, &t, at, 2);
	}
	for (size_t past = 0; past < 3; past++) {
		OK(archive_catalog_seek_nth(c, t.n + past * past * past, &err));
		assert_int_equal(archive_catalog_tell(c), t.n);
		assert_rest(c, &t, t.n, SIZE_MAX);
	}
	archive_catalog_close(c);
	free(t.v);
	world_release(&w);
	world_forget();
}

/* --- damage ---------------------------------------------------------------------*/

static size_t pages_of(struct world_pages *w, uint8_t kind, unsigned level,
    struct world_page **ret, size_t most)
{
	size_t n = 0;

	for (size_t i = 0; i < w->cap && n < most; i++) {
		struct world_page *p = &w->slot[i];

		if (p->p != NULL && p->kind == kind && p->p[1] == level)
			ret[n++] = p;
	}
	return n;
}

/* Read all, skipping damage; each entry in order.  Returns how many came. */
static size_t read_around(struct world_pages *w, const struct archive_ref *root,
    const struct tree *t, size_t *ret_faults)
{
	struct archive_catalog *c = open_catalog(w, root);
	struct archive_path dir;
	struct fmt_entry e;
	struct err err = ERR_INIT;
	size_t got = 0, at = 0;
	int r;

	*ret_faults = 0;
	for (;;) {
		r = archive_catalog_next(c, &dir, &e, &err);
		if (r == 1)
			break;
		if (r < 0) {
			++*ret_faults;
			assert_true(*ret_faults < 100000);
			if (archive_catalog_skip_damage(c, &err) == 1)
				break;
			continue;
		}
		while (at < t->n) {
			struct archive_path want = dir_of(&t->v[at]);

			if (archive_path_cmp(&want, &dir) == 0 &&
			    archive_name_cmp(&t->v[at].name, &e.name) == 0)
				break;
			at++;
		}
		assert_true(at < t->n);
		assert_is_item(&dir, &e, &t->v[at++]);
		got++;
	}
	archive_catalog_close(c);
	return got;
}

static void what_is_behind_a_lost_page_is_still_read(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = random_tree(60000);
	struct roots r = write_tree(&w, &t);

	(void)arg;
	assert_true(r.cat.level >= 1);
	for (unsigned level = 0; level <= r.cat.level; level++) {
		struct world_page *p[400];
		size_t n = pages_of(&w, ARCHIVE_CATALOG, level, p, 400);

		for (size_t i = 0; i < n; i += 1 + n / 20) {
			size_t faults, got;

			p[i]->gone = true;
			got = read_around(&w, &r.cat, &t, &faults);
			assert_int_equal(faults, 1);
			assert_true(got < t.n);
			if (level < r.cat.level)
				assert_true(got > 0);
			if (level == 0) {
				struct rd rd = rd_init(p[i]->p + 2,
				    p[i]->len - 2);

				assert_int_equal(got, t.n - rd_var(&rd));
			}
			p[i]->gone = false;
		}
	}
	free(t.v);
	world_release(&w);
	world_forget();
}

static void next_tries_a_page_again(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = random_tree(100);
	struct roots r = write_tree(&w, &t);
	struct archive_catalog *c = open_catalog(&w, &r.cat);
	struct world_page *p = world_find(&w, r.cat.id);
	struct archive_path dir;
	struct fmt_entry e;
	struct err err = ERR_INIT;

	(void)arg;
	p->gone = true;
	assert_int_equal(archive_catalog_next(c, &dir, &e, &err), -1);
	assert_int_equal(archive_catalog_next(c, &dir, &e, &err), -1);
	p->gone = false;
	assert_rest(c, &t, 0, SIZE_MAX);
	archive_catalog_close(c);
	free(t.v);
	world_release(&w);
	world_forget();
}

/* Pages changed at will: no crash, no loop, nothing out of order. */
static void changed_pages_are_never_believed_for_long(void **arg)
{
	struct world_pages w = { 0 };
	struct tree t = random_tree(3000);
	struct roots r = write_tree(&w, &t);
	struct archive_io io = world_io(&w);
	size_t faults = 0;

	(void)arg;
	for (int round = 0; round < 600; round++) {
		struct world_page *p;
		struct archive_catalog *c;
		struct archive_path dir;
		struct fmt_entry e;
		struct err err = ERR_INIT;
		size_t at, got = 0;
		uint8_t was;
		int res;

		do
			p = &w.slot[below(w.cap)];
		while (p->p == NULL || p->kind != ARCHIVE_CATALOG);
		at = below(below(2) ? p->len : 64);
		was = p->p[at];
		p->p[at] ^= (uint8_t)(1u << below(8));
		c = archive_catalog_open(&io, world_key, &r.cat, &err);
		while ((res = archive_catalog_next(c, &dir, &e, &err)) != 1) {
			if (res == 0) {
				got++;
				continue;
			}
			faults++;
			assert_int_equal(err.class, ERR_CORRUPT);
			if (archive_catalog_skip_damage(c, &err) == 1)
				break;
		}
		assert_in_range(got, 0, t.n);
		archive_catalog_close(c);
		p->p[at] = was;
	}
	assert_true(faults > 20);
	free(t.v);
	world_release(&w);
	world_forget();
}

/* Put a page with its child references as given; tells its ref. */
static struct archive_ref inner(struct world_pages *w, uint8_t level,
    const struct archive_ref *kids, const char *const *names, size_t n)
{
	struct fmt_page_writer pw;
	struct archive_ref ref = { .level = level };
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	const uint8_t *page;
	size_t len;

	fmt_page_writer_init(&pw);
	fmt_page_begin(&pw, FMT_PAGE_CATALOG, level);
	for (size_t i = 0; i < n; i++) {
		struct fmt_child c = {
			.name = comp(names[i], strlen(names[i])),
			.entries = kids[i].entries,
		};

		memcpy(c.id, kids[i].id, 32);
		buf_reset(&b);
		OK(fmt_child_encode(&b, FMT_PAGE_CATALOG, &c, &err));
		OK(fmt_page_add(&pw, NULL, 0, NULL, b.p, b.len, &err));
		ref.entries += kids[i].entries;
	}
	OK(fmt_page_end(&pw, &page, &len, &err));
	OK(world_put(w, ARCHIVE_CATALOG, page, len, ref.id, &err));
	fmt_page_writer_release(&pw);
	buf_release(&b);
	return ref;
}

static struct archive_ref leaf(struct world_pages *w, const char *const *names,
    size_t n)
{
	struct tree t = { 0 };
	struct roots r;

	for (size_t i = 0; i < n; i++)
		tree_push(&t, NULL, 0, comp(names[i], strlen(names[i])),
		    FMT_FIFO);
	r = write_tree(w, &t);
	free(t.v);
	return r.cat;
}

static size_t told_before; /* entries before the last assert_corrupt's fault */

static void assert_corrupt(struct world_pages *w, struct archive_ref ref,
    const char *why)
{
	struct archive_io io = world_io(w);
	struct err err = ERR_INIT;
	struct archive_catalog *c = archive_catalog_open(&io, world_key, &ref,
	    &err);
	struct archive_path dir;
	struct fmt_entry e;
	int r = 0;

	told_before = 0;
	while (c != NULL && r == 0) {
		r = archive_catalog_next(c, &dir, &e, &err);
		told_before += r == 0;
	}
	assert_true(c == NULL || r == -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	if (strstr(err.msg, why) == NULL)
		fail_msg("'%s' does not say '%s'", err.msg, why);
	archive_catalog_close(c);
}

static void pages_that_contradict_each_other_are_corrupt(void **arg)
{
	struct world_pages w = { 0 };
	const char *n[4] = { "a", "b", "c", "d" };
	struct archive_ref l01, l23, l12, ref, kids[2];

	(void)arg;
	/* In the order of the map. */
	for (int i = 0; i < 4; i++) {
		for (int k = i + 1; k < 4; k++) {
			struct archive_comp a = comp(n[i], 1), b = comp(n[k], 1);
			const char *x = n[i];

			if (archive_name_cmp(&a, &b) > 0) {
				n[i] = n[k];
				n[k] = x;
			}
		}
	}
	l01 = leaf(&w, n, 2);
	l23 = leaf(&w, n + 2, 2);
	l12 = leaf(&w, n + 1, 2);
	kids[0] = l01;
	kids[1] = l23;
	ref = inner(&w, 1, kids, (const char *[]){ n[0], n[2] }, 2);
	assert_int_equal(ref.entries, 4);
	{
		struct archive_catalog *c = open_catalog(&w, &ref);
		struct archive_path dir;
		struct fmt_entry e;
		struct err err = ERR_INIT;

		for (int i = 0; i < 4; i++)
			OK(archive_catalog_next(c, &dir, &e, &err));
		archive_catalog_close(c);
	}
	ref.entries = 5;
	assert_corrupt(&w, ref, "add up");
	ref.entries = 3;
	assert_corrupt(&w, ref, "add up");
	ref.entries = 4;
	ref.level = 2;
	assert_corrupt(&w, ref, "another level");
	ref.level = 70;
	assert_corrupt(&w, ref, "levels");
	assert_corrupt(&w, inner(&w, 1, kids, (const char *[]){ n[0], n[3] }, 2),
	    "begin where its parent says");
	assert_corrupt(&w, inner(&w, 1, kids, (const char *[]){ n[1], n[2] }, 2),
	    "begin where its parent says");
	kids[1] = l12;
	assert_corrupt(&w, inner(&w, 1, kids, (const char *[]){ n[0], n[1] }, 2),
	    "reaches into");
	kids[1] = l23;
	kids[0].entries = 3;
	assert_corrupt(&w, inner(&w, 1, kids, (const char *[]){ n[0], n[2] }, 2),
	    "add up");
	/* An inner page that reaches beyond its sibling's first key. */
	kids[0] = l01;
	kids[0] = inner(&w, 1, kids, (const char *[]){ n[0], n[2] }, 2);
	kids[1] = l12;
	kids[1] = inner(&w, 1, kids + 1, (const char *[]){ n[1] }, 1);
	assert_corrupt(&w, inner(&w, 2, kids, (const char *[]){ n[0], n[1] }, 2),
	    "reaches into");
	/* None of it is told, not even what would be in order. */
	assert_int_equal(told_before, 0);
	assert_corrupt(&w, inner(&w, 2, kids, (const char *[]){ n[1] }, 1),
	    "begin where its parent says");
	/* A reference that says both some and none. */
	ref = l01;
	ref.entries = 0;
	assert_corrupt(&w, ref, "contradicts");
	memset(ref.id, 0, 32);
	ref.entries = 1;
	assert_corrupt(&w, ref, "contradicts");
	world_release(&w);
	world_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cursor_gives_back_what_was_written),
		cmocka_unit_test(an_empty_catalog_ends_at_once),
		cmocka_unit_test(depth_and_long_names_read_back),
		cmocka_unit_test(seek_finds_each_entry_and_each_gap),
		cmocka_unit_test(seek_past_all_is_the_end),
		cmocka_unit_test(seek_reads_one_page_a_level),
		cmocka_unit_test(entries_are_found_by_their_number),
		cmocka_unit_test(what_is_behind_a_lost_page_is_still_read),
		cmocka_unit_test(next_tries_a_page_again),
		cmocka_unit_test(changed_pages_are_never_believed_for_long),
		cmocka_unit_test(pages_that_contradict_each_other_are_corrupt),
	};

	return cmocka_run_group_tests_name("archive cursor", tests, NULL, NULL);
}
