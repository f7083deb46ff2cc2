/* Index segments: layout, look-up through buckets and filters, records. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/format_pack_sample.h"

static void a_bucket_has_64_to_127_entries(void **state)
{
	(void)state;
	assert_int_equal(fmt_segment_bits(0), 0);
	assert_int_equal(fmt_segment_bits(127), 0);
	assert_int_equal(fmt_segment_bits(128), 1);
	for (uint64_t n = 64; n < 1u << 31; n = n * 4 / 3) {
		unsigned bits = fmt_segment_bits(n);

		assert_true(n >> bits >= 64 && n >> bits < 128);
	}
}

static void sections_follow_each_other_in_blocks(void **state)
{
	struct fmt_segment_head h = { .entries = 100000, .packs = 300,
		.record = 116, .bits = fmt_segment_bits(100000) };
	struct fmt_segment_layout l;
	uint64_t off, at = FMT_SEGMENT_HEAD;
	uint32_t len;

	(void)state;
	assert_int_equal(fmt_segment_layout(&h, &l, NULL), 0);
	assert_int_equal(l.sec[FMT_SEC_P].per_block, 141);
	assert_int_equal(l.sec[FMT_SEC_P].blocks, 3);
	assert_int_equal(l.sec[FMT_SEC_E].blocks, 294);
	assert_int_equal(l.sec[FMT_SEC_F].blocks, 13);
	assert_int_equal(l.sec[FMT_SEC_B].blocks, 1);
	for (uint32_t i = 0; i < l.blocks; i++) {
		assert_int_equal(fmt_segment_block(&l, i, &off, &len, NULL), 0);
		assert_int_equal(off, at);
		at += len + 16;
	}
	assert_int_equal(at, l.hashes_off);
	assert_int_equal(l.size, at + l.blocks * 16 + 72);
	assert_int_equal(fmt_segment_block(&l, l.blocks, &off, &len, NULL), -1);
	/* A last block of 141 * 2 + 18 packs. */
	assert_int_equal(fmt_segment_block(&l, 2, &off, &len, NULL), 0);
	assert_int_equal(len, 18 * 116);
}

static void a_segment_of_nothing_is_a_segment(void **state)
{
	struct buf obj = BUF_INIT, plain = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(segment_make(&obj, 0, 0, sample_slot, &err), 0);
	assert_int_equal(segment_read(obj.p, obj.len, &plain, &err), 0);
	assert_int_equal(plain.len, 8);
	assert_true(bytes_are_zero(plain.p, 8));
	buf_release(&obj);
	buf_release(&plain);
}

/* Where record i of a section is in all plain bytes, which are unsealed. */
static const uint8_t *record(const struct fmt_segment_layout *l,
    const struct buf *plain, enum fmt_section s, uint64_t i)
{
	struct fmt_record_at a = fmt_record_at(l, s, i);
	uint64_t off, at = 0;
	uint32_t len;

	for (uint32_t b = 0; b < a.block; b++) {
		assert_int_equal(fmt_segment_block(l, b, &off, &len, NULL), 0);
		at += len;
	}
	return plain->p + at + a.offset;
}

static void every_entry_is_found_by_bucket_and_filter(void **state)
{
	const uint32_t n = 5000;
	struct buf obj = BUF_INIT, plain = BUF_INIT;
	struct fmt_segment_head h;
	struct fmt_segment_layout l;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(segment_make(&obj, n, 7, NULL, &err), 0);
	assert_int_equal(segment_read(obj.p, obj.len, &plain, &err), 0);
	assert_int_equal(fmt_segment_head_decode(obj.p, obj.len, &h, &err), 0);
	assert_int_equal(fmt_segment_layout(&h, &l, &err), 0);
	for (uint32_t i = 0; i < n; i += 7) {
		struct fmt_index_entry e;
		uint8_t id[32];
		uint32_t found = 0;

		segment_id(i, n, id);
		uint32_t b = fmt_bucket(id, h.bits);
		uint32_t lo = le32_get(record(&l, &plain, FMT_SEC_B, b));
		uint32_t hi = le32_get(record(&l, &plain, FMT_SEC_B, b + 1));

		assert_true(lo <= i && i < hi && hi - lo < 130);
		for (uint32_t k = lo; k < hi; k++) {
			if (le16_get(record(&l, &plain, FMT_SEC_F, k)) !=
			    fmt_filter(id))
				continue;
			assert_int_equal(fmt_index_entry_get(
			    record(&l, &plain, FMT_SEC_E, k), h.packs, &e,
			    &err), 0);
			found += memcmp(e.id, id, 32) == 0 && e.ordinal == i &&
			    e.pack == i % 7 && e.offset == 100 * i &&
			    e.sealed_len == 100 && e.plain_len == 80;
		}
		assert_int_equal(found, 1);
	}
	buf_release(&obj);
	buf_release(&plain);
}

static void heads_that_cannot_be_are_refused(void **state)
{
	struct fmt_segment_head good = { .entries = 10, .packs = 1,
		.record = 116, .bits = 3 }, h;
	struct fmt_segment_layout l;
	struct buf b = BUF_INIT;

	(void)state;
	for (int i = 0; i < 7; i++) {
		h = good;
		switch (i) {
		case 1: h.entries = (uint64_t)1 << 32; break;
		case 2: h.packs = 0; break;
		case 3: h.packs = 0x1000001; break;
		case 4: h.record = 35; break;
		case 5: h.record = FMT_BLOCK_PLAIN + 1; break;
		case 6: h.bits = 31; break;
		}
		buf_reset(&b);
		fmt_segment_head_add(&b, &h);
		assert_int_equal(b.len, FMT_SEGMENT_HEAD);
		assert_int_equal(fmt_segment_head_decode(b.p, b.len, &h, NULL),
		    i == 0 ? 0 : -1);
		assert_int_equal(fmt_segment_layout(&h, &l, NULL),
		    i == 0 ? 0 : -1);
	}
	for (size_t len = 0; len < FMT_SEGMENT_HEAD; len++)
		assert_int_equal(fmt_segment_head_decode(b.p, len, &h, NULL),
		    -1);
	buf_release(&b);
}

static void a_block_opens_only_in_its_place(void **state)
{
	uint8_t key[32] = { 3 }, sealed[116], plain[116], hash[16], p[100] = { 9 };
	struct crypto_aead *a = crypto_aead_new(NULL);
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(a);
	assert_int_equal(fmt_block_seal(a, key, 5, p, 100, sealed, hash, &err),
	    0);
	assert_int_equal(fmt_block_open(a, key, 5, hash, sealed, 116, plain,
	    &err), 0);
	assert_memory_equal(plain, p, 100);
	assert_int_equal(fmt_block_open(a, key, 6, hash, sealed, 116, plain,
	    &err), -1);
	assert_non_null(strstr(err.msg, "block 6"));
	hash[15] ^= 1;
	assert_int_equal(fmt_block_open(a, key, 5, hash, sealed, 116, plain,
	    &err), -1);
	assert_string_equal(err.msg,
	    "index segment: block 5 has another hash");
	assert_int_equal(fmt_block_open(a, key, 5, hash, sealed, 15, plain,
	    &err), -1);
	crypto_aead_free(a);
}

static void an_entry_names_a_pack_that_there_is(void **state)
{
	struct fmt_index_entry e = { .pack = 6 }, f = e;
	uint8_t enc[FMT_ENTRY_LEN];
	struct err err = ERR_INIT;

	(void)state;
	fmt_index_entry_put(enc, &e);
	assert_int_equal(fmt_index_entry_get(enc, 7, &e, &err), 0);
	assert_int_equal(fmt_index_entry_get(enc, 6, &e, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	assert_int_equal(fmt_index_entry_cmp(&e, &f), 0);
	f.ordinal = 1;
	assert_true(fmt_index_entry_cmp(&e, &f) < 0);
	f.pack = 5;
	assert_true(fmt_index_entry_cmp(&e, &f) > 0);
	f.id[31] = 1;
	assert_true(fmt_index_entry_cmp(&e, &f) < 0);
}

static void a_pack_record_has_zeros_behind_its_key(void **state)
{
	struct fmt_pack_record r = { .name = "the name", .size = 5, .epoch = 6,
		.blob_kind = 3, .key_method = 2, .slot = "slot",
		.sealed_key = sample_seed, .sealed_len = 32 }, out;
	uint8_t p[116];
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(fmt_pack_record_put(p, 116, &r, &err), 0);
	assert_int_equal(fmt_pack_record_get(p, 116, &out, &err), 0);
	assert_memory_equal(out.name, "the name", 9);
	assert_int_equal(out.size, 5);
	assert_int_equal(out.epoch, 6);
	assert_int_equal(out.key_method, 2);
	assert_int_equal(out.sealed_len, 32);
	assert_memory_equal(out.sealed_key, sample_seed, 32);
	p[115] = 1;
	assert_int_equal(fmt_pack_record_get(p, 116, &out, &err), -1);
	p[115] = 0;
	p[26] = 81;
	assert_int_equal(fmt_pack_record_get(p, 116, &out, &err), -1);
	assert_int_equal(fmt_pack_record_put(p, 67, &r, &err), -1);
	assert_int_equal(err.class, ERR_BUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_has_64_to_127_entries),
		cmocka_unit_test(sections_follow_each_other_in_blocks),
		cmocka_unit_test(a_segment_of_nothing_is_a_segment),
		cmocka_unit_test(every_entry_is_found_by_bucket_and_filter),
		cmocka_unit_test(heads_that_cannot_be_are_refused),
		cmocka_unit_test(a_block_opens_only_in_its_place),
		cmocka_unit_test(an_entry_names_a_pack_that_there_is),
		cmocka_unit_test(a_pack_record_has_zeros_behind_its_key),
	};

	if (crypto_init(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
