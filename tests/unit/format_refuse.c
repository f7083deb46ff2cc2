/* What is cut short, changed, too new or not in its one form is refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/format_pack_sample.h"
#include "tests/unit/format_sample_pages.h"
#include "tests/unit/format_whole.h"

/* A copy of exactly len bytes, so that a sanitizer sees a read behind it. */
static uint8_t *exactly(const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, p, len);
	return copy;
}

static int decode(unsigned codec, const uint8_t *p, size_t len,
    struct err *err)
{
	struct buf again = BUF_INIT;
	uint8_t *copy = exactly(p, len);
	int rc = codecs[codec].again(copy, len, &again, err);

	buf_release(&again);
	free(copy);
	return rc;
}

static void objects_cut_short_are_refused(void **state)
{
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < CODECS; i++) {
		/* Blobs follow a pack's head: its end is no end. */
		assert_int_equal(sample_object(i, 1, &obj, &err), 0);
		for (size_t len = 0; len < obj.len; len++) {
			err_clear(&err);
			if (decode(i, obj.p, len, &err) == 0)
				fail_msg("%s: %zu of %zu bytes are accepted",
				    codecs[i].name, len, obj.len);
			assert_int_equal(err.class, ERR_CORRUPT);
			assert_true(err.msg[0] != '\0');
		}
	}
	buf_release(&obj);
}

static void objects_with_more_behind_are_refused(void **state)
{
	struct buf obj = BUF_INIT, longer = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < CODECS; i++) {
		if (codecs[i].again == codec_pack_head)
			continue;
		assert_int_equal(sample_object(i, 1, &obj, &err), 0);
		buf_reset(&longer);
		/* Before the signature, where there is one. */
		size_t tail = codecs[i].tail == FMT_SIGNED_TAIL ?
		    FMT_SIGNED_TAIL : 0;
		buf_add(&longer, obj.p, obj.len - tail);
		buf_u8(&longer, 0);
		buf_add(&longer, obj.p + obj.len - tail, tail);
		assert_int_equal(decode(i, longer.p, longer.len, &err), -1);
		assert_int_equal(err.class, ERR_CORRUPT);
		assert_non_null(strstr(err.msg, "more bytes"));
	}
	buf_release(&obj);
	buf_release(&longer);
}

static void a_higher_version_is_told_and_nothing_else(void **state)
{
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < CODECS; i++) {
		if (codecs[i].again == codec_grant ||
		    codecs[i].again == codec_s1 || codecs[i].again == codec_s2 ||
		    codecs[i].again == codec_dead)
			continue; /* no header of their own */
		assert_int_equal(sample_object(i, 1, &obj, &err), 0);
		obj.p[5] = 2;
		assert_int_equal(decode(i, obj.p, obj.len, &err), -1);
		assert_int_equal(err.class, ERR_UNSUPPORTED);
		assert_non_null(strstr(err.msg, "version 2"));
	}
	buf_release(&obj);
}

static void an_object_of_another_kind_is_refused(void **state)
{
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	struct fmt_note n;

	(void)state;
	assert_int_equal(sample_object(0, 1, &obj, &err), 0);
	assert_int_equal(fmt_note_decode(obj.p, obj.len, &n, &err), -1);
	assert_string_equal(err.msg, "note: kind is that of a certificate");
	buf_release(&obj);
}

static void a_message_names_the_field(void **state)
{
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	struct fmt_cert c;

	(void)state;
	assert_int_equal(sample_object(0, 1, &obj, &err), 0);
	obj.p[16 + 8] = 8; /* rights */
	assert_int_equal(fmt_cert_decode(obj.p, obj.len, &c, &err), -1);
	assert_string_equal(err.msg,
	    "certificate: rights are none that exist");
	buf_release(&obj);
}

/* Lists: a count of 2^63 must not be believed, nor looped over. */
static void a_count_that_cannot_be_is_refused(void **state)
{
	static const uint8_t many[9] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0x7f };
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct fmt_dead d;
	struct fmt_end e;

	(void)state;
	buf_add(&b, many, 9);
	buf_zeros(&b, 100);
	assert_int_equal(fmt_dead_plain_decode(b.p, b.len, &d, &err), -1);
	assert_non_null(strstr(err.msg, "counts more"));
	buf_reset(&b);
	fmt_header_add(&b, FMT_END, 1);
	buf_zeros(&b, 16);
	buf_add(&b, many, 9);
	buf_zeros(&b, 100);
	assert_int_equal(fmt_end_decode(b.p, b.len, &e, &err), -1);
	assert_string_equal(err.msg, "end of a credential: sessions counts "
	    "more than the bytes left hold");
	buf_release(&b);
}

static void every_byte_counts_for_a_signature(void **state)
{
	uint8_t box[32], sign[32];
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	whole_pubs(box, sign);
	for (unsigned i = 0; i < CODECS; i++) {
		if (codecs[i].tail != FMT_SIGNED_TAIL)
			continue;
		assert_int_equal(sample_object(i, 1, &obj, &err), 0);
		assert_int_equal(whole_signed(obj.p, obj.len, &err), 0);
		for (size_t k = 0; k < obj.len; k++) {
			obj.p[k] ^= (uint8_t)(1 << k % 8);
			assert_int_equal(whole_signed(obj.p, obj.len, &err),
			    -1);
			assert_int_equal(err.class, ERR_CORRUPT);
			obj.p[k] ^= (uint8_t)(1 << k % 8);
		}
		/* Neither another place nor another repository. */
		assert_int_equal(fmt_signed_check(obj.p, obj.len,
		    sample_repository, "another/key", sign, &err), -1);
		assert_int_equal(fmt_signed_check(obj.p, obj.len, sample_seed,
		    sample_key, sign, &err), -1);
		assert_int_equal(fmt_signed_check(obj.p, obj.len,
		    sample_repository, sample_key, box, &err), -1);
	}
	buf_release(&obj);
}

static void a_signer_is_a_slot_or_the_administration_key(void **state)
{
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	uint8_t slot[8];

	(void)state;
	assert_int_equal(sample_object(0, 1, &obj, &err), 0);
	assert_int_equal(fmt_signed_signer(obj.p, obj.len, slot, &err), 0);
	assert_memory_equal(slot, sample_slot, 8);
	obj.len -= FMT_SIGNED_TAIL;
	assert_int_equal(fmt_sign_append(&obj, sample_repository, sample_key,
	    NULL, sample_seed, &err), 0);
	assert_int_equal(fmt_signed_signer(obj.p, obj.len, slot, &err), 1);
	assert_int_equal(fmt_signed_signer(obj.p, 80, slot, &err), -1);
	buf_release(&obj);
}

static void every_byte_counts_for_a_sealed_object(void **state)
{
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < WHOLES; i++) {
		buf_reset(&obj);
		assert_int_equal(wholes[i].make(&obj, &err), 0);
		assert_int_equal(wholes[i].check(obj.p, obj.len, &err), 0);
		for (size_t k = 0; k < obj.len; k++) {
			obj.p[k] ^= 0x10;
			if (wholes[i].check(obj.p, obj.len, &err) == 0)
				fail_msg("%s: byte %zu is not looked at",
				    wholes[i].name, k);
			obj.p[k] ^= 0x10;
		}
		for (size_t len = 0; len < obj.len; len++) {
			uint8_t *copy = exactly(obj.p, len);

			assert_int_equal(wholes[i].check(copy, len, &err), -1);
			free(copy);
		}
	}
	buf_release(&obj);
}

static void every_byte_counts_for_a_pack(void **state)
{
	static const uint32_t lens[] = { 100, 33, 20 };
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	uint32_t n;

	(void)state;
	for (int kind = FMT_DATA; kind <= FMT_STATE; kind += 2) {
		buf_reset(&obj);
		assert_int_equal(pack_make(&obj, kind, lens, 3, 1, &err), 0);
		assert_int_equal(pack_read(obj.p, obj.len, &n, &err), 0);
		for (size_t k = 0; k < obj.len; k++) {
			obj.p[k] ^= 1;
			if (pack_read(obj.p, obj.len, &n, &err) == 0)
				fail_msg("byte %zu is not looked at", k);
			obj.p[k] ^= 1;
		}
	}
	buf_release(&obj);
}

static void every_byte_counts_for_a_segment(void **state)
{
	struct buf obj = BUF_INIT, plain = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(segment_make(&obj, 3, 2, NULL, &err), 0);
	assert_int_equal(segment_read(obj.p, obj.len, &plain, &err), 0);
	for (size_t k = 0; k < obj.len; k++) {
		obj.p[k] ^= 0x80;
		if (segment_read(obj.p, obj.len, &plain, &err) == 0)
			fail_msg("byte %zu is not looked at", k);
		obj.p[k] ^= 0x80;
	}
	buf_release(&obj);
	buf_release(&plain);
}

static void pages_cut_short_are_refused(void **state)
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
		assert_int_equal(sample_page_make(i, 2, 30, &w, &page, &len,
		    &err), 0);
		for (size_t n = 0; n < len; n++) {
			uint8_t *copy = exactly(page, n);
			int rc = page_again(&x, copy, n, sample_page_type(i),
			    NULL, &err);

			free(copy);
			assert_int_equal(rc, -1);
			assert_int_equal(err.class, ERR_CORRUPT);
		}
	}
	page_walk_release(&x);
	fmt_page_writer_release(&w);
}

/* Whatever is changed: refused, or another page in its one form. */
static void changed_pages_have_still_one_form(void **state)
{
	struct fmt_page_writer w;
	struct page_walk x;
	const uint8_t *page;
	size_t len;

	(void)state;
	fmt_page_writer_init(&w);
	page_walk_init(&x);
	for (unsigned i = 0; i < SAMPLE_PAGES; i++) {
		assert_int_equal(sample_page_make(i, 3, 10, &w, &page, &len,
		    NULL), 0);
		for (size_t k = 0; k < len * 8; k++) {
			uint8_t *copy = exactly(page, len);

			copy[k / 8] ^= (uint8_t)(1 << k % 8);
			if (page_again(&x, copy, len, sample_page_type(i),
			    NULL, NULL) == -2)
				fail_msg("%s: bit %zu has no meaning",
				    sample_page_names[i], k);
			free(copy);
		}
	}
	page_walk_release(&x);
	fmt_page_writer_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_cut_short_are_refused),
		cmocka_unit_test(objects_with_more_behind_are_refused),
		cmocka_unit_test(a_higher_version_is_told_and_nothing_else),
		cmocka_unit_test(an_object_of_another_kind_is_refused),
		cmocka_unit_test(a_message_names_the_field),
		cmocka_unit_test(a_count_that_cannot_be_is_refused),
		cmocka_unit_test(every_byte_counts_for_a_signature),
		cmocka_unit_test(a_signer_is_a_slot_or_the_administration_key),
		cmocka_unit_test(every_byte_counts_for_a_sealed_object),
		cmocka_unit_test(every_byte_counts_for_a_pack),
		cmocka_unit_test(every_byte_counts_for_a_segment),
		cmocka_unit_test(pages_cut_short_are_refused),
		cmocka_unit_test(changed_pages_have_still_one_form),
	};

	if (crypto_init(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
