/*
 * The files in tests/golden/format are what version 1 stores: written once
 * and never again.  What is deterministic must be encoded to the same bytes;
 * everything must decode to what went in.
 *
 * GOLDEN_WRITE=1 writes those that are not there yet, for a structure that is
 * new.  A file that is there is never changed: that would be another format.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "tests/unit/format_pack_sample.h"
#include "tests/unit/format_sample_pages.h"
#include "tests/unit/format_whole.h"

static FILE *golden_open(const char *name, const char *mode)
{
	const char *src = getenv("SRC");
	char path[4096];

	snprintf(path, sizeof(path), "%s/tests/golden/format/%s.hex",
	    src ? src : ".", name);
	return fopen(path, mode);
}

static void golden_write(const char *name, const uint8_t *p, size_t len)
{
	FILE *f = golden_open(name, "wx");

	if (f == NULL)
		return;
	for (size_t i = 0; i < len; i++)
		fprintf(f, "%02x%s", p[i],
		    i % 32 == 31 || i + 1 == len ? "\n" : "");
	fclose(f);
}

/* Read a file of hex, line breaks where they may be. */
static void golden_read(const char *name, struct buf *ret)
{
	FILE *f = golden_open(name, "r");
	char two[3] = "";
	uint8_t byte;

	buf_reset(ret);
	if (f == NULL)
		fail_msg("no golden file %s (set SRC to the source tree)",
		    name);
	while (fscanf(f, " %2[0-9a-f]", two) == 1) {
		assert_int_equal(hex_decode(&byte, 1, two), 0);
		buf_u8(ret, byte);
	}
	assert_true(feof(f));
	fclose(f);
}

static void compare(const char *name, const uint8_t *p, size_t len)
{
	struct buf want = BUF_INIT;

	if (getenv("GOLDEN_WRITE"))
		golden_write(name, p, len);
	golden_read(name, &want);
	if (want.len != len || memcmp(want.p, p, len) != 0)
		fail_msg("%s is not encoded as it was in version 1", name);
	buf_release(&want);
}

static void objects_are_encoded_as_ever(void **state)
{
	struct buf obj = BUF_INIT, again = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < CODECS; i++) {
		if (strcmp(codecs[i].name, "wrap") == 0)
			continue; /* its seal is random: see below */
		assert_int_equal(sample_object(i, 1, &obj, &err), 0);
		compare(codecs[i].name, obj.p, obj.len);
		buf_reset(&again);
		assert_int_equal(codecs[i].again(obj.p, obj.len, &again,
		    &err), 0);
	}
	buf_release(&obj);
	buf_release(&again);
}

static void pages_are_encoded_as_ever(void **state)
{
	struct fmt_page_writer w;
	struct err err = ERR_INIT;
	const uint8_t *page;
	size_t len;

	(void)state;
	fmt_page_writer_init(&w);
	for (unsigned i = 0; i < SAMPLE_PAGES; i++) {
		assert_int_equal(sample_page_make(i, 1, 12, &w, &page, &len,
		    &err), 0);
		compare(sample_page_names[i], page, len);
	}
	fmt_page_writer_release(&w);
}

static void sealed_objects_open_as_ever(void **state)
{
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < WHOLES; i++) {
		if (getenv("GOLDEN_WRITE")) {
			buf_reset(&obj);
			assert_int_equal(wholes[i].make(&obj, &err), 0);
			golden_write(wholes[i].name, obj.p, obj.len);
		}
		golden_read(wholes[i].name, &obj);
		err_clear(&err);
		if (wholes[i].check(obj.p, obj.len, &err) != 0)
			fail_msg("%s: %s", wholes[i].name, err.msg);
	}
	buf_release(&obj);
}

static void a_pack_is_read_as_ever(void **state)
{
	static const uint32_t lens[] = { 100, 33, 20 };
	static const char *const names[] = { "pack_data", "pack_state" };
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	uint32_t n;

	(void)state;
	for (int i = 0; i < 2; i++) {
		if (getenv("GOLDEN_WRITE")) {
			buf_reset(&obj);
			assert_int_equal(pack_make(&obj,
			    i ? FMT_STATE : FMT_DATA, lens, 3, 1, &err), 0);
			golden_write(names[i], obj.p, obj.len);
		}
		golden_read(names[i], &obj);
		if (pack_read(obj.p, obj.len, &n, &err) != 0)
			fail_msg("%s: %s", names[i], err.msg);
		assert_int_equal(n, 3);
	}
	buf_release(&obj);
}

static void a_segment_is_encoded_as_ever(void **state)
{
	struct buf obj = BUF_INIT, plain = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(segment_make(&obj, 3, 2, sample_slot, &err), 0);
	compare("segment", obj.p, obj.len);
	assert_int_equal(segment_read(obj.p, obj.len, &plain, &err), 0);
	buf_release(&obj);
	buf_release(&plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_encoded_as_ever),
		cmocka_unit_test(pages_are_encoded_as_ever),
		cmocka_unit_test(sealed_objects_open_as_ever),
		cmocka_unit_test(a_pack_is_read_as_ever),
		cmocka_unit_test(a_segment_is_encoded_as_ever),
	};

	if (crypto_init(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
