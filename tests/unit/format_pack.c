/* Packs and segments: where things are, and what does not belong together. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/format_pack_sample.h"

static void padme_sizes_are_those_of_the_definition(void **state)
{
	static const uint64_t pairs[][2] = {
		{ 0, 0 }, { 1, 1 }, { 2, 2 }, { 8, 8 }, { 9, 10 }, { 100, 104 },
		{ 1000, 1024 }, { 1024, 1024 }, { 1025, 1088 },
		{ 65537, 67584 }, { 1000000, 1015808 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		assert_int_equal(fmt_padme(pairs[i][0]), pairs[i][1]);
	/* At most 12 % more, and a size stays what it is. */
	for (uint64_t n = 1; n < 5000000; n = n * 9 / 8 + 1) {
		uint64_t p = fmt_padme(n);

		assert_true(p >= n && p - n <= n * 12 / 100 + 1);
		assert_int_equal(fmt_padme(p), p);
	}
}

static void packs_are_padded_and_add_up(void **state)
{
	struct fmt_pack_layout l;
	uint64_t off, n;

	(void)state;
	for (uint64_t end = 108; end < 40000000; end = end * 5 / 4 + 77) {
		for (int last = 0; last < 2; last++) {
			assert_int_equal(fmt_pack_layout(end, 17, last, &l,
			    NULL), 0);
			assert_int_equal(l.dir_off, end);
			assert_int_equal(l.dir_off + l.dir_len, l.sums_off);
			assert_int_equal(l.dir_len,
			    40 + 4 + 17 * 42 + 64 + l.padding);
			assert_int_equal(l.nsums, (l.size + 1048575) / 1048576);
			assert_int_equal(l.sums_off + l.nsums * 8 + 56, l.size);
			assert_true(last ? fmt_padme(l.size) == l.size :
			    l.size % 65536 == 0);
			assert_int_equal(fmt_pack_sums_at(l.size, &off, &n,
			    NULL), 0);
			assert_int_equal(off, l.sums_off);
			assert_int_equal(n, l.nsums);
		}
	}
}

/* Around each MiB, where one more checksum makes the object grow. */
static void the_checksums_make_room_for_themselves(void **state)
{
	struct fmt_pack_layout l;

	(void)state;
	for (uint64_t end = 1048576 - 400; end < 1048576 + 100; end++)
		for (int last = 0; last < 2; last++) {
			assert_int_equal(fmt_pack_layout(end, 1, last, &l,
			    NULL), 0);
			assert_int_equal(l.sums_off + l.nsums * 8 + 56, l.size);
			assert_int_equal(l.nsums, (l.size + 1048575) / 1048576);
		}
}

static void a_pack_of_4_gib_is_refused(void **state)
{
	struct fmt_pack_layout l;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(fmt_pack_layout(UINT32_MAX - 100, 1, 0, &l, &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	assert_int_equal(fmt_pack_layout(1000, 200000000, 0, &l, &err), -1);
	assert_int_equal(fmt_pack_sums_at(199, &l.size, &l.size, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
}

static void a_large_pack_is_read(void **state)
{
	static const uint32_t lens[] = { 900000, 20, 1500000, 700 };
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	uint32_t n;

	(void)state;
	assert_int_equal(pack_make(&obj, FMT_CATALOG, lens, 4, 0, &err), 0);
	assert_int_equal(obj.len % 65536, 0);
	assert_int_equal(pack_read(obj.p, obj.len, &n, &err), 0);
	assert_int_equal(n, 4);
	obj.p[2000000] ^= 1; /* in a blob: only a checksum sees it */
	assert_int_equal(pack_read(obj.p, obj.len, &n, &err), -2);
	buf_release(&obj);
}

static void a_pack_without_blobs_is_read(void **state)
{
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	uint32_t n = 9;

	(void)state;
	assert_int_equal(pack_make(&obj, FMT_STATE, NULL, 0, 1, &err), 0);
	assert_int_equal(pack_read(obj.p, obj.len, &n, &err), 0);
	assert_int_equal(n, 0);
	buf_release(&obj);
}

static void checksums_are_the_same_in_any_pieces(void **state)
{
	size_t len = 3 * 1048576 + 5;
	uint8_t *p = calloc(1, len);
	struct fmt_sums a, b;
	struct rng r = { 5 };

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < len; i += 97)
		p[i] = (uint8_t)rng_next(&r);
	fmt_sums_init(&a);
	fmt_sums_init(&b);
	fmt_sums_add(&a, p, len);
	for (size_t at = 0, n; at < len; at += n) {
		n = rng_below(&r, 300000);
		n = n > len - at ? len - at : n;
		fmt_sums_add(&b, p + at, n);
	}
	/* One more than pieces began: a CRC of nothing. */
	assert_int_equal(fmt_sums_end(&a, 5, NULL), 0);
	assert_int_equal(fmt_sums_end(&b, 5, NULL), 0);
	assert_memory_equal(a.out.p, b.out.p, 40);
	assert_int_equal(le64_get(a.out.p), crypto_crc64(0, p, 1048576));
	assert_int_equal(le64_get(a.out.p + 24),
	    crypto_crc64(0, p + 3 * 1048576, 5));
	assert_int_equal(le64_get(a.out.p + 32), 0);
	fmt_sums_reset(&a);
	fmt_sums_add(&a, p, 10);
	assert_int_equal(fmt_sums_end(&a, 1, NULL), 0);
	fmt_sums_reset(&a);
	fmt_sums_add(&a, p, len);
	assert_int_equal(fmt_sums_end(&a, 1, NULL), -1);
	fmt_sums_release(&a);
	fmt_sums_release(&b);
	free(p);
}

/* A directory that is signed, but wrong. */
static void a_directory_with_gaps_is_refused(void **state)
{
	struct buf head = BUF_INIT, entries = BUF_INIT, dir = BUF_INIT;
	struct buf plain = BUF_INIT;
	struct fmt_dir_entry e = { .offset = 108, .sealed_len = 50 };
	struct err err = ERR_INIT;
	const uint8_t *v;
	uint32_t n;

	(void)state;
	assert_int_equal(fmt_pack_head_add(&head, sample_key, 1, FMT_STATE,
	    sample_slot, NULL, sample_seed, sample_seed, &err), 0);
	e.offset = (uint32_t)head.len;
	fmt_dir_entry_add(&entries, &e);
	e.offset += 50;
	fmt_dir_entry_add(&entries, &e);
	for (int i = 0; i < 3; i++) {
		uint64_t at = head.len + 100;

		if (i == 1)
			at++;
		if (i == 2)
			entries.p[42 + 32]++;
		buf_reset(&dir);
		assert_int_equal(fmt_dir_seal(&dir, sample_key,
		    sample_repository, head.p, head.len, entries.p, 2, 11,
		    sample_seed, sample_seed, &err), 0);
		assert_int_equal(fmt_dir_open(sample_key, sample_repository,
		    head.p, head.len, at, dir.p, dir.len, NULL, sample_seed,
		    &plain, &v, &n, &err), i == 0 ? 0 : -1);
	}
	assert_int_equal(err.class, ERR_CORRUPT);
	buf_release(&head);
	buf_release(&entries);
	buf_release(&dir);
	buf_release(&plain);
}

static void a_data_key_needs_its_right(void **state)
{
	struct buf b = BUF_INIT;
	struct fmt_pack_head h;
	struct err err = ERR_INIT;
	uint8_t box[32], key[32];

	(void)state;
	crypto_box_public(box, sample_seed);
	assert_int_equal(fmt_pack_head_add(&b, sample_key, 1, FMT_DATA,
	    sample_slot, box, NULL, sample_seed, &err), 0);
	assert_int_equal(b.len, FMT_PACK_HEAD_MAX);
	assert_int_equal(fmt_pack_head_decode(b.p, b.len, &h, &err), 0);
	assert_int_equal(fmt_pack_key_open(sample_key, &h, NULL, sample_seed,
	    key, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	assert_int_equal(fmt_pack_key_open(sample_key, &h, sample_seed, NULL,
	    key, &err), 0);
	assert_memory_equal(key, sample_seed, 32);
	assert_int_equal(fmt_pack_key_open(sample_key, &h, box, NULL, key,
	    &err), -1);
	buf_reset(&b);
	assert_int_equal(fmt_pack_head_add(&b, sample_key, 1, FMT_STATE,
	    sample_slot, NULL, sample_seed, sample_seed, &err), 0);
	assert_int_equal(fmt_pack_head_decode(b.p, b.len, &h, &err), 0);
	/* Bound to its place. */
	assert_int_equal(fmt_pack_key_open("elsewhere", &h, NULL, sample_seed,
	    key, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	assert_int_equal(fmt_pack_key_open(sample_key, &h, NULL, sample_seed,
	    key, &err), 0);
	buf_release(&b);
}

static void a_blob_says_its_length_inside(void **state)
{
	uint8_t p[4], nonce[12], ad[49], id[32] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	struct err err = ERR_INIT;
	unsigned method;

	(void)state;
	fmt_blob_prefix(p, 1, 0x123456);
	assert_int_equal(fmt_blob_prefix_read(p, 4, 0x123456, &method, &err), 0);
	assert_int_equal(method, 1);
	assert_int_equal(fmt_blob_prefix_read(p, 4, 0x123455, &method, &err), -1);
	assert_int_equal(fmt_blob_prefix_read(p, 3, 0x123456, &method, &err), -1);
	fmt_blob_nonce(nonce, 0x01020304, id);
	assert_memory_equal(nonce, "\4\3\2\1\1\2\3\4\5\6\7\10", 12);
	fmt_blob_ad(ad, sample_repository, FMT_STATE, id);
	assert_memory_equal(ad, sample_repository, 16);
	assert_int_equal(ad[16], 3);
	assert_memory_equal(ad + 17, id, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(padme_sizes_are_those_of_the_definition),
		cmocka_unit_test(packs_are_padded_and_add_up),
		cmocka_unit_test(the_checksums_make_room_for_themselves),
		cmocka_unit_test(a_pack_of_4_gib_is_refused),
		cmocka_unit_test(a_large_pack_is_read),
		cmocka_unit_test(a_pack_without_blobs_is_read),
		cmocka_unit_test(checksums_are_the_same_in_any_pieces),
		cmocka_unit_test(a_directory_with_gaps_is_refused),
		cmocka_unit_test(a_data_key_needs_its_right),
		cmocka_unit_test(a_blob_says_its_length_inside),
	};

	if (crypto_init(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
