/* What was encoded decodes to the same, for content of many seeds. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "repo/crypto/crypto.h"
#include "tests/unit/format_sample_pages.h"

static void control_objects_come_out_as_they_went_in(void **state)
{
	struct buf obj = BUF_INIT, again = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < CODECS; i++) {
		for (uint64_t seed = 1; seed <= 100; seed++) {
			assert_int_equal(sample_object(i, seed, &obj, &err), 0);
			buf_reset(&again);
			if (codecs[i].again(obj.p, obj.len, &again, &err) < 0)
				fail_msg("%s, seed %d: %s", codecs[i].name,
				    (int)seed, err.msg);
			if (again.len + codecs[i].tail != obj.len ||
			    memcmp(again.p, obj.p, again.len) != 0)
				fail_msg("%s, seed %d: made again otherwise",
				    codecs[i].name, (int)seed);
		}
	}
	buf_release(&obj);
	buf_release(&again);
}

static void pages_come_out_as_they_went_in(void **state)
{
	struct fmt_page_writer w;
	struct err err = ERR_INIT;
	struct page_walk x;
	const uint8_t *page;
	size_t len;

	(void)state;
	fmt_page_writer_init(&w);
	page_walk_init(&x);
	for (unsigned i = 0; i < SAMPLE_PAGES; i++) {
		for (uint64_t seed = 1; seed <= 100; seed++) {
			unsigned n = (unsigned)(1 + seed * 3);

			if (sample_page_make(i, seed, n, &w, &page, &len,
			    &err) < 0)
				fail_msg("%s, seed %d: %s",
				    sample_page_names[i], (int)seed, err.msg);

			int rc = page_again(&x, page, len, sample_page_type(i),
			    NULL, &err);

			if (rc != 1 || x.seen != n)
				fail_msg("%s, seed %d: %d %s",
				    sample_page_names[i], (int)seed, rc,
				    err.msg);
		}
	}
	page_walk_release(&x);
	fmt_page_writer_release(&w);
}

static void a_path_of_3000_components_is_read(void **state)
{
	struct fmt_comp *dir = calloc(3000, sizeof(*dir));
	struct fmt_entry e = { .name = { "leaf", 4, 0 }, .type = FMT_FIFO }, out;
	struct fmt_page_writer w;
	struct fmt_page_reader r;
	struct buf enc = BUF_INIT;
	struct err err = ERR_INIT;
	const uint8_t *page;
	size_t len;

	(void)state;
	assert_non_null(dir);
	for (int i = 0; i < 3000; i++) {
		dir[i] = (struct fmt_comp){ "deeper", 6, 0 };
		dir[i].h = fmt_name_hash(codec_order_key, "deeper", 6);
	}
	fmt_page_writer_init(&w);
	fmt_page_reader_init(&r);
	fmt_page_begin(&w, FMT_PAGE_CATALOG, 0);
	assert_int_equal(fmt_entry_encode(&enc, &e, &err), 0);
	for (size_t n = 0; n <= 3000; n += 1000)
		assert_int_equal(fmt_page_add(&w, dir, n, NULL, enc.p, enc.len,
		    &err), 0);
	assert_int_equal(fmt_page_end(&w, &page, &len, &err), 0);
	/* Only what is new of a path is written. */
	assert_true(len < 3000 * 8);
	assert_int_equal(fmt_page_open(&r, page, len, FMT_PAGE_CATALOG,
	    codec_order_key, &err), 0);
	for (size_t n = 0; n <= 3000; n += 1000) {
		assert_int_equal(fmt_catalog_next(&r, &out, &err), 0);
		assert_int_equal(r.ndir, n);
		assert_int_equal(r.kept, n < 1000 ? 0 : n - 1000);
		assert_true(n == 0 || r.dir[n - 1].h == dir[0].h);
		assert_int_equal(out.name.h,
		    fmt_name_hash(codec_order_key, "leaf", 4));
	}
	assert_int_equal(fmt_catalog_next(&r, &out, &err), 1);
	fmt_page_writer_release(&w);
	fmt_page_reader_release(&r);
	buf_release(&enc);
	free(dir);
}

/* One reader and one writer serve pages of every kind in turn. */
static void a_reader_is_used_again_for_other_types(void **state)
{
	struct fmt_page_writer w;
	struct err err = ERR_INIT;
	struct page_walk x;
	const uint8_t *page;
	size_t len;

	(void)state;
	fmt_page_writer_init(&w);
	page_walk_init(&x);
	for (uint64_t seed = 1; seed <= 200; seed++) {
		unsigned i = (unsigned)(seed * 5 % SAMPLE_PAGES);

		assert_int_equal(sample_page_make(i, seed, 40, &w, &page, &len,
		    &err), 0);
		assert_int_equal(page_again(&x, page, len, sample_page_type(i),
		    NULL, &err), 1);
	}
	page_walk_release(&x);
	fmt_page_writer_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_objects_come_out_as_they_went_in),
		cmocka_unit_test(pages_come_out_as_they_went_in),
		cmocka_unit_test(a_path_of_3000_components_is_read),
		cmocka_unit_test(a_reader_is_used_again_for_other_types),
	};

	if (crypto_init(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
