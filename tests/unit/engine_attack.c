/*
 * Hostile snapshots: a stolen write credential commits catalogs that no backup
 * makes.  Whoever restores, dumps or lists them as root writes nothing outside
 * of the target, follows no link, comes to an end, and does not crash.
 */

#include "tests/unit/engine_attack.h"

/* --- names -----------------------------------------------------------------------------*/

static void names_that_leave_the_target_are_refused(void **state)
{
	static const struct patch p[] = {
		{ "XXXXXXX", "../evil" }, { "XXXXXXX", "a/../ev" },
		{ "XXXXXXX", "/abcdef" }, { "XXXXXXX", "ab\0cdef" },
		{ "XXXXXXX", "evil/.." },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(p) / sizeof(p[0]) * 2; i++) {
		struct crafter c;
		struct craft v[] = {
			{ "", directory("") }, { "", directory("XXXXXXX") },
			{ "XXXXXXX", file("f", "evil") },
		};

		crafter_begin(&c);
		/* Once as an entry's name, once as a directory's. */
		if (i % 2 == 0)
			commit_leaf(&c, v, 2, &p[i / 2]);
		else
			commit_leaf(&c, v + 2, 1, &p[i / 2]);
		assert_true(use_all(&c, "a name") > 0);
	}
}

static void dots_as_names_are_refused(void **state)
{
	static const struct patch p[] = {
		{ "QZ", ".." }, { "Q", "." }, { "QZ", "./" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++) {
		struct crafter c;
		struct craft v[] = { { p[i].from, file("evil", "evil") } };

		crafter_begin(&c);
		commit_leaf(&c, v, 1, &p[i]);
		assert_true(use_all(&c, "dots") > 0);
	}
}

static void names_of_any_length_crash_nothing(void **state)
{
	static const size_t lens[] = { 255, 256, 4096, 65535, 65536, 65537, 200000 };

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct crafter c;
		char *name = malloc(lens[i] + 1);
		struct craft v[4];
		uint64_t errors;

		assert_non_null(name);
		memset(name, 'n', lens[i]);
		name[lens[i]] = '\0';
		v[0] = (struct craft){ "", directory("") };
		v[1] = (struct craft){ "", directory(name) };
		v[2] = (struct craft){ name, file("f", "text") };
		v[3] = (struct craft){ name, file(name, "text") };
		crafter_begin(&c);
		commit_leaf(&c, v, 4, NULL);
		errors = use_all(&c, "a long name");
		assert_int_equal(errors > 0, lens[i] > 255);
		free(name);
	}
}

/* --- links -----------------------------------------------------------------------------*/

static void a_link_is_no_directory_to_write_into(void **state)
{
	struct crafter c;
	char out[PATH_LEN];

	(void)state;
	crafter_begin(&c);
	path_of(out, "outside");
	struct craft v[] = {
		{ "", directory("") }, { "", link_to("d", out) },
		{ "d", file("canary", "evil") }, { "d", file("new", "evil") },
		{ "d", directory("sub") }, { "d/sub", file("x", "evil") },
		{ "", link_to("e", "../outside") }, { "e", link_to("l", "x") },
	};

	commit_leaf(&c, v, sizeof(v) / sizeof(v[0]), NULL);
	assert_true(use_all(&c, "a link as a directory") > 0);
}

/* The same inode, once in what is a link, once elsewhere. */
static void hard_links_do_not_lead_out(void **state)
{
	struct crafter c;
	char out[PATH_LEN], canary[PATH_LEN];

	(void)state;
	crafter_begin(&c);
	path_of(out, "outside");
	path_of(canary, "outside/canary");
	struct craft v[] = {
		{ "", directory("") }, { "", link_to("d", out) },
		{ "d", file("canary", "evil") }, { "", file("z1", "evil") },
		{ "", link_to("l1", canary) }, { "", file("l2", "evil") },
	};

	for (size_t i = 2; i < 6; i++) {
		v[i].e.bits |= FMT_HAS_LINKS;
		v[i].e.device = 1;
		v[i].e.inode = i < 4 ? 5 : 6;
		v[i].e.mode = 0777;
	}
	commit_leaf(&c, v, sizeof(v) / sizeof(v[0]), NULL);
	use_all(&c, "hard links");
}

/* What a user put into the target before root restores in place. */
static void what_is_in_place_leads_nowhere(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		struct crafter c;
		struct engine_restore_options o = { .in_place = true,
			.delete_extra = i % 2 != 0 };
		struct engine_restore_result res;
		struct craft v[] = {
			{ "", directory("") }, { "", directory("d") },
			{ "d", file("canary", "from the snapshot") },
			{ "", file("f", "from the snapshot") },
			{ "d", directory("sub") }, { "d/sub", file("x", "text") },
		};
		char from[PATH_LEN], to[PATH_LEN];
		struct stat st;

		crafter_begin(&c);
		commit_leaf(&c, v, sizeof(v) / sizeof(v[0]), NULL);
		if (i / 2 == 0) {
			make_link("outside", "target/d");
			make_link("outside/canary", "target/f");
			make_link("outside", "target/extra");
		} else if (i / 2 == 1) {
			make_dir("target/d");
			make_link("outside", "target/d/sub");
			make_link("outside/canary", "target/d/canary");
		} else if (i / 2 == 2) {
			path_of(from, "outside/canary");
			path_of(to, "target/f");
			assert_int_equal(link(from, to), 0);
		} else {
			path_of(to, "target/f");
			assert_int_equal(mkfifo(to, 0600), 0);
			path_of(to, "target/d");
			assert_int_equal(mkfifo(to, 0600), 0);
		}
		restore_one(&c, &o, &res);
		expect_outside_untouched("in place");
		path_of(to, "target/f");
		assert_int_equal(lstat(to, &st), 0);
		assert_true(S_ISREG(st.st_mode));
		assert_int_equal(st.st_nlink, 1);
		assert_int_equal(st.st_size, 17);
		path_of(to, "target/d/sub/x");
		assert_int_equal(lstat(to, &st), 0);
		backend_close(c.mem);
	}
}

/* --- content ---------------------------------------------------------------------------*/

/* References that go beyond what they refer to. */
static void content_beyond_its_chunk_is_damage(void **state)
{
	static const struct { uint64_t size; uint32_t chunk, off; } bad[] = {
		{ 100, 5000, 4950 }, { 100, 6000, 5900 }, { 5001, 5001, 0 },
		{ 100, 0xffffff, 0xfffff0 }, { 4999, 5000, 2 },
		{ 100, 100, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct crafter c;
		struct buf b = BUF_INIT;
		struct err err = ERR_INIT;

		crafter_begin(&c);
		struct craft v[] = {
			{ "", directory("") },
			{ "", slice("s", c.chunk, bad[i].size, bad[i].chunk, bad[i].off) },
			{ "", slice("good", c.chunk, 5000, 5000, 0) },
		};
		/* What cannot even be encoded cannot be met. */
		if (fmt_entry_encode(&b, &v[1].e, &err) != 0) {
			commit_leaf(&c, v, 1, NULL);
			use_all(&c, "nothing");
		} else {
			commit_leaf(&c, v, 3, NULL);
			if (use_all(&c, "a slice") == 0)
				fail_msg("slice %zu was taken for good", i);
		}
		buf_release(&b);
	}
}

/* Lists of runs: lengths that are not the chunk's, sums that are not the size. */
static void runs_that_lie_about_lengths_are_damage(void **state)
{
	static const uint64_t lens[] = { 1, 4999, 5001, 0xffffff };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct crafter c;
		struct fmt_list_buf l = FMT_LIST_BUF_INIT;
		struct fmt_run run = { .kind = FMT_RUN_CHUNK, .len = lens[i] };
		struct fmt_entry e = file("r", "");

		crafter_begin(&c);
		memcpy(run.id, c.chunk, 32);
		for (size_t k = 0; k <= i % 2; k++)
			fmt_list_add_run(&l, &run);
		e.content = (struct fmt_content){ .kind = FMT_CONTENT_RUNS,
			.size = lens[i] * (1 + i % 2), .runs = fmt_list_of(&l) };
		struct craft v[] = { { "", directory("") }, { "", e } };

		commit_leaf(&c, v, 2, NULL);
		if (use_all(&c, "runs") == 0)
			fail_msg("run of %ju was taken for good", (uintmax_t)lens[i]);
		fmt_list_release(&l);
	}
}

/* A map whose root is a catalog page, a data blob, nothing, or too large. */
static void maps_that_are_none_are_damage(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		struct crafter c;
		struct fmt_entry e = file("m", "");
		uint8_t leaf[32], nowhere[32] = { 9 };

		crafter_begin(&c);
		struct craft inner[] = { { "", file("x", "y") } };

		put_leaf(&c, inner, 1, NULL, leaf);
		e.content = (struct fmt_content){ .kind = FMT_CONTENT_MAP,
			.size = 3 << 20, .entries = 3,
			.level = (uint8_t)(i == 3 ? 255 : i == 4 ? 14 : 0),
			.id = i == 0 ? leaf : i == 1 ? c.chunk : nowhere };
		if (i == 5)
			e.content.entries = UINT64_MAX;
		struct craft v[] = { { "", directory("") }, { "", e } };

		commit_leaf(&c, v, 2, NULL);
		assert_true(use_all(&c, "a map") > 0);
	}
}

/* Sizes near the end of numbers: told, not taken. */
static void absurd_sizes_end(void **state)
{
	static const uint64_t sizes[] = { INT64_MAX, UINT64_MAX, UINT64_C(1) << 62 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct crafter c;
		struct fmt_entry e = file("h", ""), z = file("z", "");
		struct fmt_list_buf l = FMT_LIST_BUF_INIT;
		struct fmt_run run = { .kind = FMT_RUN_ZEROS, .len = sizes[i] };

		crafter_begin(&c);
		e.content = (struct fmt_content){ .kind = FMT_CONTENT_HOLE, .size = sizes[i] };
		fmt_list_add_run(&l, &run);
		z.content = (struct fmt_content){ .kind = FMT_CONTENT_RUNS,
			.size = sizes[i], .runs = fmt_list_of(&l) };
		struct craft v[] = { { "", directory("") }, { "", e }, { "", z },
			{ "", file("after", "text") } };
		struct engine_restore_options o = { .path = NULL };
		struct engine_restore_result res;
		char path[PATH_LEN];
		struct stat st;

		commit_leaf(&c, v, 4, NULL);
		restore_one(&c, &o, &res);
		expect_outside_untouched("a size");
		assert_true(res.errors > 0);
		path_of(path, "target/after");
		assert_int_equal(stat(path, &st), 0);
		fmt_list_release(&l);
		backend_close(c.mem);
	}
}

/* --- trees of pages --------------------------------------------------------------------*/

/*
 * A few pages that would unfold to more entries than there are atoms: each
 * inner page names the one below it many times.
 */
static void pages_that_multiply_are_refused(void **state)
{
	struct crafter c;
	struct store_put_result res;
	struct err err = ERR_INIT;
	uint8_t id[32];
	uint64_t below = 1;
	uint8_t level;

	(void)state;
	crafter_begin(&c);
	struct craft leaf[] = { { "", file("m", "text") } };

	put_leaf(&c, leaf, 1, NULL, id);
	for (level = 1; level < 6; level++) {
		struct fmt_page_writer pw;
		const uint8_t *page;
		size_t len;
		struct craft kids[200];
		static char names[200][8];

		sort_key = store_order_key(c.thief);
		for (int i = 0; i < 200; i++) {
			snprintf(names[i], sizeof(names[i]), "n%d", i);
			kids[i] = (struct craft){ "", file(names[i], "") };
		}
		qsort(kids, 200, sizeof(kids[0]), craft_cmp);
		fmt_page_writer_init(&pw);
		fmt_page_begin(&pw, FMT_PAGE_CATALOG, level);
		for (int i = 0; i < 200; i++) {
			struct fmt_child ch = { .name = kids[i].e.name, .entries = below };
			struct buf b = BUF_INIT;

			memcpy(ch.id, id, 32);
			ok(fmt_child_encode(&b, FMT_PAGE_CATALOG, &ch, &err));
			ok(fmt_page_add(&pw, NULL, 0, NULL, b.p, b.len, &err));
			buf_release(&b);
		}
		ok(fmt_page_end(&pw, &page, &len, &err));
		ok(store_put(c.s, c.w, STORE_CATALOG, page, len, false, &res, &err));
		memcpy(id, res.id, 32);
		below *= 200;
		fmt_page_writer_release(&pw);
	}
	commit_root(&c, id, (uint8_t)(level - 1), below);
	assert_true(use_all(&c, "pages that multiply") > 0);
}

static void roots_that_lie_are_refused(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct crafter c;
		uint8_t id[32];

		crafter_begin(&c);
		struct craft v[] = { { "", directory("") }, { "", file("f", "text") } };

		put_leaf(&c, v, 2, NULL, id);
		if (i == 0)
			commit_root(&c, id, 1, 2);
		else if (i == 1)
			commit_root(&c, id, 255, 2);
		else if (i == 2)
			commit_root(&c, id, 0, UINT64_MAX);
		else
			commit_root(&c, c.chunk, 0, 2);
		assert_true(use_all(&c, "a root") > 0);
	}
}

/* --- metadata --------------------------------------------------------------------------*/

/* Attributes no file can have, times beyond time, owners of no one. */
static void absurd_metadata_is_told_and_the_rest_restored(void **state)
{
	struct crafter c;
	struct fmt_list_buf l = FMT_LIST_BUF_INIT;
	struct fmt_entry e = file("x", "text");
	struct engine_restore_options o = { .path = NULL };
	struct engine_restore_result res;
	static char name[400], value[100000];
	char path[PATH_LEN];
	struct stat st;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	memcpy(name, "user.", 5);
	fmt_list_add_xattr(&l, fmt_str("user.big"), (struct fmt_str){ value, sizeof(value) });
	fmt_list_add_xattr(&l, fmt_str(name), fmt_str("v"));
	e.bits |= FMT_HAS_XATTRS | FMT_HAS_FLAGS | FMT_HAS_PROJECT;
	e.xattrs = fmt_list_of(&l);
	e.flags = UINT32_MAX & ~0x30u; /* not immutable: it is to be removed again */
	e.project = UINT32_MAX;
	e.uid = e.gid = UINT32_MAX;
	e.mtime_s = INT64_MAX;
	e.mtime_ns = 999999999;
	crafter_begin(&c);
	struct craft v[] = { { "", directory("") }, { "", e }, { "", file("y", "text") } };

	commit_leaf(&c, v, 3, NULL);
	restore_one(&c, &o, &res);
	expect_outside_untouched("metadata");
	path_of(path, "target/y");
	assert_int_equal(stat(path, &st), 0);
	path_of(path, "target/x");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_true(res.errors > 0);
	fmt_list_release(&l);
	backend_close(c.mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_leave_the_target_are_refused),
		cmocka_unit_test(dots_as_names_are_refused),
		cmocka_unit_test(names_of_any_length_crash_nothing),
		cmocka_unit_test(a_link_is_no_directory_to_write_into),
		cmocka_unit_test(hard_links_do_not_lead_out),
		cmocka_unit_test(what_is_in_place_leads_nowhere),
		cmocka_unit_test(content_beyond_its_chunk_is_damage),
		cmocka_unit_test(runs_that_lie_about_lengths_are_damage),
		cmocka_unit_test(maps_that_are_none_are_damage),
		cmocka_unit_test(absurd_sizes_end),
		cmocka_unit_test(pages_that_multiply_are_refused),
		cmocka_unit_test(roots_that_lie_are_refused),
		cmocka_unit_test(absurd_metadata_is_told_and_the_rest_restored),
	};

	choose_world("engine_attack");
	return cmocka_run_group_tests(tests, NULL, remove_world);
}
