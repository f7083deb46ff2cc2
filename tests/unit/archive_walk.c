#include "tests/unit/archive_world.h"

/* A set of ids with their kinds, and how often each was told. */
struct seen {
	uint8_t (*id)[33]; /* kind, id */
	size_t n, cap;
	size_t bad;
	struct world_pages *pages;
	const uint8_t *leave_out; /* a page below which nothing is wanted */
	bool names;               /* chunks come with the file's entry */
	bool fail;
};

static void note(struct seen *s, uint8_t kind, const uint8_t *id)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 1024;
		s->id = realloc(s->id, s->cap * sizeof(*s->id));
		assert_non_null(s->id);
	}
	s->id[s->n][0] = kind;
	memcpy(s->id[s->n++] + 1, id, 32);
}

static int cmp33(const void *a, const void *b)
{
	return memcmp(a, b, 33);
}

static void sort_seen(struct seen *s, bool unique)
{
	size_t n = 0;

	qsort(s->id, s->n, sizeof(*s->id), cmp33);
	for (size_t i = 0; i < s->n; i++) {
		if (!unique || n == 0 || cmp33(s->id[n - 1], s->id[i]) != 0)
			memmove(s->id[n++], s->id[i], 33);
	}
	s->n = n;
}

static int on_blob(void *ctx, uint8_t kind, const uint8_t id[32], bool page,
    const struct archive_path *dir, const struct fmt_entry *entry,
    struct err *err)
{
	struct seen *s = ctx;

	if (s->fail)
		return err_set(err, ERR_CANCELLED, "enough");
	assert_int_equal(page, kind != 1);
	if (s->names && kind == 1) {
		assert_non_null(dir);
		assert_non_null(entry);
		assert_true(entry->bits & FMT_HAS_CONTENT);
	}
	note(s, kind, id);
	return s->leave_out != NULL && memcmp(s->leave_out, id, 32) == 0;
}

static int on_bad(void *ctx, uint8_t kind, const uint8_t id[32],
    const struct archive_path *dir, const struct fmt_entry *entry,
    const struct err *why, struct err *err)
{
	struct seen *s = ctx;
	struct world_page *p = world_find(s->pages, id);

	(void)dir;
	(void)entry;
	(void)err;
	assert_int_equal(why->class, ERR_CORRUPT);
	assert_true(p->p == NULL || p->gone);
	assert_int_equal(p->p == NULL ? 3 : p->kind, kind);
	s->bad++;
	return 0;
}

static void assert_same(struct seen *got, struct seen *want)
{
	sort_seen(got, true);
	sort_seen(want, true);
	assert_int_equal(got->n, want->n);
	assert_memory_equal(got->id, want->id, got->n * 33);
	free(got->id);
	free(want->id);
}

/* The chunks of all files; those of t's k-th item alone when k < n. */
static void expect_chunks(struct seen *s, const struct tree *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct scratch room = { .runs = FMT_LIST_BUF_INIT };
		struct fmt_entry e;
		struct fmt_run run;

		fill_entry(&e, &t->v[i], &room);
		if (!(e.bits & FMT_HAS_CONTENT)) {
			scratch_release(&room);
			continue;
		}
		if (e.content.kind == FMT_CONTENT_SLICE)
			note(s, 1, e.content.id);
		if (e.content.kind == FMT_CONTENT_RUNS) {
			while (fmt_run_next(&e.content.runs, &run) == 0)
				if (run.kind == FMT_RUN_CHUNK)
					note(s, 1, run.id);
		}
		scratch_release(&room);
	}
}

static void expect_pages(struct seen *s, const struct world_pages *w,
    uint8_t kind)
{
	for (size_t i = 0; i < w->cap; i++) {
		if (w->slot[i].p != NULL && w->slot[i].kind == kind)
			note(s, kind, w->slot[i].id);
	}
}

static void all_blobs_of_a_catalog_are_told(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct tree t = random_tree(9000);
	struct roots r = write_tree(&w, &t);
	struct seen got = { .pages = &w, .names = true }, want = { .pages = &w };
	struct archive_walk walk = { on_blob, on_bad, &got };
	struct err err = ERR_INIT;

	(void)arg;
	OK(archive_walk_catalog(&io, world_key, &r.cat, &walk, &err));
	expect_chunks(&want, &t);
	expect_pages(&want, &w, ARCHIVE_CATALOG);
	assert_same(&got, &want);
	assert_int_equal(got.bad, 0);
	free(t.v);
	world_release(&w);
	world_forget();
}

static void all_blobs_of_a_state_are_told(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct tree t = random_tree(9000);
	struct roots r = write_tree(&w, &t);
	struct seen got = { .pages = &w }, want = { .pages = &w };
	struct archive_walk walk = { on_blob, on_bad, &got };
	struct err err = ERR_INIT;

	(void)arg;
	OK(archive_walk_state(&io, &r.state, &walk, &err));
	expect_chunks(&want, &t);
	expect_pages(&want, &w, ARCHIVE_STATE);
	assert_same(&got, &want);
	free(t.v);
	world_release(&w);
	world_forget();
}

/* Write a byte map of n chunks into w. */
static struct archive_ref chunk_map(struct world_pages *w, size_t n,
    struct seen *want)
{
	struct archive_io io = world_io(w);
	struct err err = ERR_INIT;
	struct archive_map_writer *mw = archive_map_begin(&io, world_key, &err);
	struct fmt_run run = { .kind = FMT_RUN_CHUNK, .len = 100 };
	struct archive_ref ref;

	for (size_t i = 0; i < n; i++) {
		le64_put(run.id, rnd());
		note(want, 1, run.id);
		OK(archive_map_add(mw, &run, &err));
	}
	OK(archive_map_finish(mw, &ref, &err));
	archive_map_free(mw);
	return ref;
}

static void the_map_of_a_long_file_is_walked_too(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct seen got = { .pages = &w, .names = true }, want = { .pages = &w };
	struct archive_ref map = chunk_map(&w, 5000, &want), cat, state;
	struct archive_walk walk = { on_blob, on_bad, &got };
	struct err err = ERR_INIT;
	struct archive_tree_writer *tw;
	struct archive_tree_entry e = {
		.name = comp("long", 4),
		.entry = {
			.type = FMT_FILE, .bits = FMT_HAS_CONTENT,
			.content = {
				.kind = FMT_CONTENT_MAP, .size = 500000,
				.id = map.id, .level = map.level,
				.entries = map.entries,
			},
		},
	};

	(void)arg;
	expect_pages(&want, &w, ARCHIVE_STATE);
	tw = archive_tree_begin(&io, world_key, &err);
	OK(archive_tree_add(tw, &e, &err));
	OK(archive_tree_finish(tw, &cat, &state, &err));
	archive_tree_free(tw);
	expect_pages(&want, &w, ARCHIVE_CATALOG);
	OK(archive_walk_catalog(&io, world_key, &cat, &walk, &err));
	assert_same(&got, &want);
	/* Its pages lost, the walk says so and goes on. */
	got = (struct seen){ .pages = &w };
	world_find(&w, map.id)->gone = true;
	OK(archive_walk_catalog(&io, world_key, &cat, &walk, &err));
	assert_int_equal(got.bad, 1);
	free(got.id);
	got = (struct seen){ .pages = &w };
	OK(archive_walk_state(&io, &state, &walk, &err));
	assert_int_equal(got.bad, 1);
	free(got.id);
	world_release(&w);
	world_forget();
}

static void what_was_seen_is_left_out(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct seen got = { .pages = &w }, want = { .pages = &w };
	struct archive_ref map = chunk_map(&w, 5000, &want);
	struct archive_walk walk = { on_blob, on_bad, &got };
	struct err err = ERR_INIT;

	(void)arg;
	assert_int_equal(map.level, 1);
	expect_pages(&want, &w, ARCHIVE_STATE);
	OK(archive_walk_map(&io, &map, &walk, &err));
	assert_same(&got, &want);
	got = (struct seen){ .pages = &w, .leave_out = map.id };
	w.gets = 0;
	OK(archive_walk_map(&io, &map, &walk, &err));
	assert_int_equal(got.n, 1);
	assert_int_equal(w.gets, 0);
	free(got.id);
	got = (struct seen){ .pages = &w, .fail = true };
	assert_int_equal(archive_walk_map(&io, &map, &walk, &err), -1);
	assert_int_equal(err.class, ERR_CANCELLED);
	world_release(&w);
	world_forget();
}

static void a_lost_page_is_told_and_the_rest_walked(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct tree t = random_tree(9000);
	struct roots r = write_tree(&w, &t);
	size_t all = 0, tried = 0;

	(void)arg;
	for (size_t i = 0; i < w.cap; i++) {
		struct world_page *p = &w.slot[i];
		struct seen got = { .pages = &w };
		struct archive_walk walk = { on_blob, on_bad, &got };
		struct err err = ERR_INIT;

		if (p->p == NULL || p->kind != ARCHIVE_CATALOG || p->p[1] != 0)
			continue;
		if (all == 0) {
			OK(archive_walk_catalog(&io, world_key, &r.cat, &walk,
			    &err));
			all = got.n;
			got.n = 0;
		}
		p->gone = true;
		OK(archive_walk_catalog(&io, world_key, &r.cat, &walk, &err));
		assert_int_equal(got.bad, 1);
		assert_in_range(got.n, 1, all);
		assert_true(got.n > all / 2);
		p->gone = false;
		free(got.id);
		tried++;
	}
	assert_true(tried > 5);
	free(t.v);
	world_release(&w);
	world_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_blobs_of_a_catalog_are_told),
		cmocka_unit_test(all_blobs_of_a_state_are_told),
		cmocka_unit_test(the_map_of_a_long_file_is_walked_too),
		cmocka_unit_test(what_was_seen_is_left_out),
		cmocka_unit_test(a_lost_page_is_told_and_the_rest_walked),
	};

	return cmocka_run_group_tests_name("archive walk", tests, NULL, NULL);
}
