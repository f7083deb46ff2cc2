/* Order, cuts and digests; and that pages have one form in one order. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "repo/crypto/crypto.h"
#include "tests/unit/format_sample_pages.h"

#define K codec_order_key

static struct fmt_comp comp(const char *name)
{
	return (struct fmt_comp){ name, strlen(name),
		fmt_name_hash(K, name, strlen(name)) };
}

static void names_are_ordered_by_hash_then_bytes(void **state)
{
	struct fmt_comp a = { "abc", 3, 5 }, b = { "abd", 3, 5 };
	struct fmt_comp c = { "ab", 2, 5 }, d = { "z", 1, 4 }, e = { "", 0, 0 };

	(void)state;
	assert_true(fmt_name_cmp(&a, &b) < 0);
	assert_true(fmt_name_cmp(&c, &a) < 0);
	assert_true(fmt_name_cmp(&d, &a) < 0);
	assert_true(fmt_name_cmp(&a, &d) > 0);
	assert_true(fmt_name_cmp(&e, &d) < 0);
	assert_int_equal(fmt_name_cmp(&a, &a), 0);
	assert_int_equal(fmt_name_cmp(&e, &e), 0);
	d.h = 0;
	assert_true(fmt_name_cmp(&e, &d) < 0);
	assert_int_equal(fmt_name_hash(K, "", 0), 0);
	assert_int_equal(fmt_name_hash(K, "abc", 3), crypto_siphash(K, "abc", 3));
}

static void a_cut_follows_from_all_of_the_key(void **state)
{
	struct fmt_comp dir[2] = { comp("etc"), comp("ssl") };
	uint8_t msg[25] = { 0xff };
	struct fmt_cutter c;

	(void)state;
	fmt_cutter_init(&c, K);
	/* Before a directory is set it is the root. */
	le64_put(msg + 1, 77);
	assert_int_equal(fmt_cutter_ask(&c, 77), crypto_siphash(K, msg, 9));
	assert_int_equal(fmt_cutter_dir(&c, dir, 2), 0);
	le64_put(msg + 1, dir[0].h);
	le64_put(msg + 9, dir[1].h);
	le64_put(msg + 17, 77);
	assert_int_equal(fmt_cutter_ask(&c, 77), crypto_siphash(K, msg, 25));
	assert_int_equal(fmt_cutter_ask(&c, 77), crypto_siphash(K, msg, 25));
	assert_int_equal(fmt_cutter_dir(&c, NULL, 0), 0);
	le64_put(msg + 1, 0);
	assert_int_equal(fmt_cutter_ask(&c, 0), crypto_siphash(K, msg, 9));
	fmt_cutter_release(&c);
	msg[0] = 0xfe;
	le64_put(msg + 1, 4096);
	assert_int_equal(fmt_cut_map(K, 4096), crypto_siphash(K, msg, 9));
	assert_false(fmt_cut(256 + 3, 3, FMT_PAGE_MIN - 1));
	assert_true(fmt_cut(256 + 3, 3, FMT_PAGE_MIN));
	assert_false(fmt_cut(256 + 2, 3, FMT_PAGE_MIN));
	assert_true(fmt_cut(1, 252, FMT_PAGE_MIN));
}

static void a_digest_has_three_parts(void **state)
{
	struct fmt_digest_input in = { 1, 1000, -5, 999999999, 7, 8, 9 }, b;
	uint8_t x[16], y[16], msg[22] = { 0, 1 };

	(void)state;
	fmt_digest(x, K, &in);
	le64_put(msg + 2, 1000);
	le64_put(msg + 10, (uint64_t)-5);
	le32_put(msg + 18, 999999999);
	assert_int_equal(le64_get(x), crypto_siphash(K, msg, 22));
	memcpy(msg, "\1\7\0\0\0\0\0\0\0\10\0\0\0", 13);
	assert_int_equal(le32_get(x + 8), (uint32_t)crypto_siphash(K, msg, 13));
	memcpy(msg, "\2\11\0\0\0\0\0\0\0", 9);
	assert_int_equal(le32_get(x + 12), (uint32_t)crypto_siphash(K, msg, 9));
	assert_int_equal(fmt_digest_same(x, x), 7);
	b = in, b.inode++;
	fmt_digest(y, K, &b);
	assert_int_equal(fmt_digest_same(x, y), FMT_SAME_DATA | FMT_SAME_CTIME);
	b = in, b.ctime_ns++;
	fmt_digest(y, K, &b);
	assert_int_equal(fmt_digest_same(x, y), FMT_SAME_DATA | FMT_SAME_INODE);
	for (int i = 0; i < 4; i++) {
		b = in;
		b.type += i == 0;
		b.size += i == 1;
		b.mtime_s += i == 2;
		b.mtime_ns += i == 3;
		fmt_digest(y, K, &b);
		assert_int_equal(fmt_digest_same(x, y),
		    FMT_SAME_CTIME | FMT_SAME_INODE);
	}
}

/* --- pages by hand ----------------------------------------------------------*/

struct page {
	struct buf b;
	struct fmt_page_reader r;
	struct err err;
};

static void item(struct page *p, const char *name)
{
	struct fmt_entry e = { .name = { name, strlen(name), 0 },
		.type = FMT_FIFO };

	assert_int_equal(fmt_entry_encode(&p->b, &e, &p->err), 0);
}

static void dir(struct page *p, unsigned kept, const char *a, const char *b)
{
	buf_u8(&p->b, 1);
	buf_var(&p->b, kept);
	buf_var(&p->b, (a != NULL) + (b != NULL));
	for (int i = 0; i < 2; i++) {
		const char *s = i ? b : a;

		if (s == NULL)
			continue;
		buf_var(&p->b, strlen(s));
		buf_str(&p->b, s);
	}
}

static void head(struct page *p, uint8_t type, uint8_t level, uint64_t count)
{
	buf_reset(&p->b);
	buf_u8(&p->b, type);
	buf_u8(&p->b, level);
	buf_var(&p->b, count);
}

/* Walk the page.  Return the entries seen when it was right, else -1. */
static int walk(struct page *p, const uint8_t *key)
{
	struct fmt_entry e;
	int n = 0, rc;

	err_clear(&p->err);
	if (fmt_page_open(&p->r, p->b.p, p->b.len, FMT_PAGE_CATALOG, key,
	    &p->err) < 0)
		return -1;
	while ((rc = fmt_catalog_next(&p->r, &e, &p->err)) == 0)
		n++;
	return rc < 0 ? -1 : n;
}

/* Two names, the lesser first. */
static void two(const char *ret[2])
{
	struct fmt_comp a = comp("a"), b = comp("b");
	bool less = fmt_name_cmp(&a, &b) < 0;

	ret[0] = less ? "a" : "b";
	ret[1] = less ? "b" : "a";
}

static void a_catalog_out_of_order_is_refused(void **state)
{
	struct page p = { .b = BUF_INIT };
	const char *n[2];

	(void)state;
	two(n);
	fmt_page_reader_init(&p.r);
	for (int swap = 0; swap < 2; swap++) {
		/* Names of one directory. */
		head(&p, 0x11, 0, 3);
		dir(&p, 0, NULL, NULL);
		item(&p, "");
		item(&p, n[swap]);
		item(&p, n[!swap]);
		assert_int_equal(walk(&p, K), swap ? -1 : 3);
		assert_int_equal(walk(&p, NULL), 3);
		/* Directories. */
		head(&p, 0x11, 0, 2);
		dir(&p, 0, "x", n[swap]);
		item(&p, "f");
		dir(&p, 1, n[!swap], NULL);
		item(&p, "f");
		assert_int_equal(walk(&p, K), swap ? -1 : 2);
		assert_int_equal(walk(&p, NULL), 2);
	}
	/* The same name twice, seen without a key, too. */
	head(&p, 0x11, 0, 2);
	dir(&p, 0, "x", NULL);
	item(&p, "f");
	item(&p, "f");
	assert_int_equal(walk(&p, NULL), -1);
	fmt_page_reader_release(&p.r);
	buf_release(&p.b);
}

static void a_directory_has_one_form(void **state)
{
	struct page p = { .b = BUF_INIT };

	(void)state;
	fmt_page_reader_init(&p.r);
	for (int i = 0; i < 8; i++) {
		head(&p, 0x11, 0, 2);
		if (i != 1)
			dir(&p, i == 2 ? 1 : 0, "x", "y");
		item(&p, "f");
		switch (i) {
		case 3: dir(&p, 2, NULL, NULL); break; /* the same */
		case 4: dir(&p, 1, "y", "z"); break;   /* kept too little */
		case 5: dir(&p, 1, NULL, NULL); break; /* back to its parent */
		case 6: dir(&p, 3, "z", NULL); break;  /* kept what was not */
		case 7: dir(&p, 2, "z", NULL); dir(&p, 3, "z", NULL); break;
		default: dir(&p, 2, "z", NULL); break;
		}
		item(&p, "f");
		assert_int_equal(walk(&p, NULL), i == 0 ? 2 : -1);
		assert_int_equal(walk(&p, K), i == 0 ? 2 : -1);
	}
	/* A directory behind the last entry. */
	head(&p, 0x11, 0, 1);
	dir(&p, 0, "x", NULL);
	item(&p, "f");
	dir(&p, 1, "z", NULL);
	assert_int_equal(walk(&p, NULL), -1);
	/* No entry at all. */
	head(&p, 0x11, 0, 0);
	assert_int_equal(walk(&p, NULL), -1);
	fmt_page_reader_release(&p.r);
	buf_release(&p.b);
}

static void names_that_are_no_names_are_refused(void **state)
{
	static const struct fmt_str bad[] = {
		{ ".", 1 }, { "..", 2 }, { "a/b", 3 }, { "/", 1 }, { "a\0b", 3 },
	};
	struct page p = { .b = BUF_INIT };

	(void)state;
	fmt_page_reader_init(&p.r);
	for (size_t i = 0; i < 5; i++) {
		struct fmt_entry e = { .name = { bad[i].p, bad[i].len, 0 },
			.type = FMT_FIFO };

		/* Not written ... */
		buf_reset(&p.b);
		assert_int_equal(fmt_entry_encode(&p.b, &e, &p.err), -1);
		assert_int_equal(p.err.class, ERR_BUG);
		assert_int_equal(p.b.len, 0);
		/* ... and not read, as a name or as a directory. */
		head(&p, 0x11, 0, 1);
		dir(&p, 0, "x", NULL);
		item(&p, "123");
		p.b.len = 3 + 5 + 1; /* page's head, directory, item */
		buf_var(&p.b, bad[i].len);
		buf_add(&p.b, bad[i].p, bad[i].len);
		buf_u8(&p.b, FMT_FIFO);
		buf_zeros(&p.b, 8);
		assert_int_equal(walk(&p, NULL), -1);
		assert_non_null(strstr(p.err.msg, "name"));
		head(&p, 0x11, 0, 1);
		buf_u8(&p.b, 1);
		buf_u8(&p.b, 0);
		buf_u8(&p.b, 1);
		buf_var(&p.b, bad[i].len);
		buf_add(&p.b, bad[i].p, bad[i].len);
		item(&p, "f");
		assert_int_equal(walk(&p, NULL), -1);
	}
	/* The empty name is the root's alone. */
	head(&p, 0x11, 0, 1);
	dir(&p, 0, "x", NULL);
	item(&p, "");
	assert_int_equal(walk(&p, NULL), -1);
	fmt_page_reader_release(&p.r);
	buf_release(&p.b);
}

static void entries_hold_only_what_their_type_has(void **state)
{
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned type = 0; type <= 8; type++) {
		for (uint32_t bit = 1; bit <= 512; bit *= 2) {
			struct fmt_entry e = { .name = { "f", 1, 0 },
				.type = (uint8_t)type, .bits = bit,
				.target = fmt_str("t") };
			bool ok = type >= 1 && type <= 7 && bit < 512 &&
			    (bit != FMT_HAS_TARGET || type == FMT_SYMLINK) &&
			    (bit != FMT_HAS_DEVICE || type == FMT_CHAR_DEVICE ||
			    type == FMT_BLOCK_DEVICE) &&
			    (bit != FMT_HAS_CONTENT || type == FMT_FILE);

			assert_int_equal(fmt_entry_encode(&b, &e, &err),
			    ok ? 0 : -1);
		}
	}
	buf_release(&b);
}

static void content_that_does_not_add_up_is_refused(void **state)
{
	struct fmt_list_buf runs = FMT_LIST_BUF_INIT, xs = FMT_LIST_BUF_INIT;
	struct fmt_run run = { .kind = FMT_RUN_ZEROS, .len = 10 };
	struct fmt_entry e = { .name = { "f", 1, 0 }, .type = FMT_FILE,
		.bits = FMT_HAS_CONTENT }, x = e;
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	uint8_t id[32] = { 1 };

	(void)state;
	fmt_list_add_run(&runs, &run);
	e.content = (struct fmt_content){ .kind = FMT_CONTENT_RUNS,
		.size = 10, .runs = fmt_list_of(&runs) };
	assert_int_equal(fmt_entry_encode(&b, &e, &err), 0);
	e.content.size = 11;
	assert_int_equal(fmt_entry_encode(&b, &e, &err), -1);
	run.len = UINT64_MAX;
	fmt_list_add_run(&runs, &run); /* the sum would be 9 */
	e.content.size = 9;
	e.content.runs = fmt_list_of(&runs);
	assert_int_equal(fmt_entry_encode(&b, &e, &err), -1);
	e.content = (struct fmt_content){ .kind = FMT_CONTENT_SLICE, .id = id,
		.chunk_len = 100, .off = 60, .size = 40 };
	assert_int_equal(fmt_entry_encode(&b, &e, &err), 0);
	e.content.size = 41;
	assert_int_equal(fmt_entry_encode(&b, &e, &err), -1);
	e.content = (struct fmt_content){ .kind = FMT_CONTENT_MAP, .id = id };
	assert_int_equal(fmt_entry_encode(&b, &e, &err), -1);
	e = x;
	e.bits = FMT_HAS_XATTRS;
	fmt_list_add_xattr(&xs, fmt_str("user.b"), fmt_str("1"));
	fmt_list_add_xattr(&xs, fmt_str("user.a"), fmt_str("1"));
	e.xattrs = fmt_list_of(&xs);
	assert_int_equal(fmt_entry_encode(&b, &e, &err), -1);
	assert_non_null(strstr(err.msg, "do not ascend"));
	e = x;
	e.bits = 0;
	e.mtime_ns = 1000000000;
	assert_int_equal(fmt_entry_encode(&b, &e, &err), -1);
	e.mtime_ns = 0;
	e.mode = 010000;
	assert_int_equal(fmt_entry_encode(&b, &e, &err), -1);
	fmt_list_release(&runs);
	fmt_list_release(&xs);
	buf_release(&b);
}

static void a_byte_map_has_no_gaps(void **state)
{
	struct fmt_run run = { .kind = FMT_RUN_HOLE, .len = 10 }, out;
	struct page p = { .b = BUF_INIT };
	uint64_t off;

	(void)state;
	fmt_page_reader_init(&p.r);
	for (int gap = -1; gap <= 1; gap++) {
		head(&p, 0x31, 0, 2);
		assert_int_equal(fmt_map_encode(&p.b, 500, &run, NULL), 0);
		assert_int_equal(fmt_map_encode(&p.b, (uint64_t)(510 + gap),
		    &run, NULL), 0);
		assert_int_equal(fmt_page_open(&p.r, p.b.p, p.b.len,
		    FMT_PAGE_MAP, NULL, &p.err), 0);
		assert_int_equal(fmt_map_next(&p.r, &off, &out, &p.err), 0);
		assert_int_equal(off, 500);
		assert_int_equal(fmt_map_next(&p.r, &off, &out, &p.err),
		    gap ? -1 : 0);
	}
	fmt_page_reader_release(&p.r);
	buf_release(&p.b);
}

static void a_state_out_of_order_is_refused(void **state)
{
	struct fmt_state_entry e = { .type = FMT_FIFO };
	struct page p = { .b = BUF_INIT };
	int rc = 0;

	(void)state;
	fmt_page_reader_init(&p.r);
	for (uint64_t second = 4; second <= 6; second++) {
		head(&p, 0x21, 0, 2);
		buf_u8(&p.b, 1);
		buf_u16(&p.b, 0);
		e.h = 5;
		assert_int_equal(fmt_state_entry_encode(&p.b, &e, NULL), 0);
		e.h = second;
		assert_int_equal(fmt_state_entry_encode(&p.b, &e, NULL), 0);
		assert_int_equal(fmt_page_open(&p.r, p.b.p, p.b.len,
		    FMT_PAGE_STATE, NULL, &p.err), 0);
		do
			rc = fmt_state_next(&p.r, &e, &p.err);
		while (rc == 0);
		assert_int_equal(rc, second > 5 ? 1 : -1);
	}
	fmt_page_reader_release(&p.r);
	buf_release(&p.b);
}

static void a_page_is_read_only_as_what_it_is(void **state)
{
	struct fmt_state_entry s;
	struct fmt_child c;
	struct page p = { .b = BUF_INIT };

	(void)state;
	fmt_page_reader_init(&p.r);
	head(&p, 0x11, 0, 1);
	dir(&p, 0, NULL, NULL);
	item(&p, "");
	assert_int_equal(fmt_page_open(&p.r, p.b.p, p.b.len, FMT_PAGE_STATE,
	    NULL, &p.err), -1);
	assert_int_equal(p.err.class, ERR_CORRUPT);
	assert_int_equal(walk(&p, K), 1);
	assert_int_equal(fmt_page_open(&p.r, p.b.p, p.b.len, FMT_PAGE_CATALOG,
	    NULL, &p.err), 0);
	assert_int_equal(fmt_state_next(&p.r, &s, &p.err), -1);
	assert_int_equal(p.err.class, ERR_BUG);
	assert_int_equal(fmt_child_next(&p.r, &c, &p.err), -1);
	assert_int_equal(p.err.class, ERR_BUG);
	fmt_page_reader_release(&p.r);
	buf_release(&p.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_ordered_by_hash_then_bytes),
		cmocka_unit_test(a_cut_follows_from_all_of_the_key),
		cmocka_unit_test(a_digest_has_three_parts),
		cmocka_unit_test(a_catalog_out_of_order_is_refused),
		cmocka_unit_test(a_directory_has_one_form),
		cmocka_unit_test(names_that_are_no_names_are_refused),
		cmocka_unit_test(entries_hold_only_what_their_type_has),
		cmocka_unit_test(content_that_does_not_add_up_is_refused),
		cmocka_unit_test(a_byte_map_has_no_gaps),
		cmocka_unit_test(a_state_out_of_order_is_refused),
		cmocka_unit_test(a_page_is_read_only_as_what_it_is),
	};

	if (crypto_init(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
