/* Values that each can be read, but mean nothing together. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/format_pack_sample.h"
#include "tests/unit/format_sample_pages.h"

/* Walk n children or runs.  0 when all is well to the end, else -1. */
static int walk(const struct buf *b, enum fmt_page_type type,
    const uint8_t *key)
{
	struct page_walk x;
	struct err err = ERR_INIT;
	int rc;

	page_walk_init(&x);
	rc = page_again(&x, b->p, b->len, type, key, &err);
	page_walk_release(&x);
	assert_int_not_equal(rc, -2);
	return rc == 1 ? 0 : -1;
}

static void page_head(struct buf *b, uint8_t type, uint8_t level, int count)
{
	buf_reset(b);
	buf_u8(b, type);
	buf_u8(b, level);
	buf_var(b, (uint64_t)count);
}

static void children_ascend(void **state)
{
	static const uint8_t types[] = { 0x11, 0x21, 0x31 };
	struct fmt_comp dirs[2] = { { "x", 1, 10 }, { "y", 1, 11 } };
	struct buf b = BUF_INIT;

	(void)state;
	for (int t = 0; t < 3; t++) {
		/* The second key is: greater, equal, less. */
		for (int by = 1; by >= -1; by--) {
			struct fmt_child c = { .dir = dirs, .ndir = 1,
				.off = 100, .entries = 1,
				.name = { "n", 1, 50 } };

			page_head(&b, types[t], 1, 2);
			fmt_child_encode(&b, types[t], &c, NULL);
			c.off += (uint64_t)by;
			c.name.h += (uint64_t)by;
			if (types[t] == 0x11 && by == 1)
				c.ndir = 2;
			if (types[t] == 0x11 && by == -1)
				c.ndir = 0;
			fmt_child_encode(&b, types[t], &c, NULL);
			assert_int_equal(walk(&b, types[t], codec_order_key),
			    by > 0 ? 0 : -1);
		}
	}
	/* A state's directories, too. */
	for (int swap = 0; swap < 2; swap++) {
		struct fmt_child c = { .dir = &dirs[swap], .ndir = 1,
			.entries = 1 };

		page_head(&b, 0x21, 1, 2);
		fmt_child_encode(&b, 0x21, &c, NULL);
		c.dir = &dirs[!swap];
		fmt_child_encode(&b, 0x21, &c, NULL);
		assert_int_equal(walk(&b, 0x21, NULL), swap ? -1 : 0);
	}
	buf_release(&b);
}

static void directories_of_a_state_ascend(void **state)
{
	struct fmt_state_entry e = { .h = 1, .type = FMT_FIFO };
	struct buf b = BUF_INIT;

	(void)state;
	for (uint64_t second = 6; second <= 8; second++) {
		page_head(&b, 0x21, 0, 2);
		buf_u8(&b, 1);
		buf_u16(&b, 0x100); /* nothing kept, one component */
		buf_u64(&b, 7);
		fmt_state_entry_encode(&b, &e, NULL);
		buf_u8(&b, 1);
		buf_u16(&b, 0x100);
		buf_u64(&b, second);
		fmt_state_entry_encode(&b, &e, NULL);
		assert_int_equal(walk(&b, 0x21, NULL), second > 7 ? 0 : -1);
	}
	buf_release(&b);
}

static void a_run_ends_within_64_bits(void **state)
{
	struct fmt_run run = { .kind = FMT_RUN_HOLE, .len = 10 };
	struct buf b = BUF_INIT;

	(void)state;
	for (uint64_t off = UINT64_MAX - 11; off >= UINT64_MAX - 11; off++) {
		page_head(&b, 0x31, 0, 1);
		fmt_map_encode(&b, off, &run, NULL);
		assert_int_equal(walk(&b, 0x31, NULL),
		    off <= UINT64_MAX - 10 ? 0 : -1);
	}
	buf_release(&b);
}

static void only_a_checkpoint_names_packs(void **state)
{
	struct fmt_list_buf l = FMT_LIST_BUF_INIT;
	struct fmt_s1 s = { .type = FMT_CHECKPOINT, .content = FMT_TREE };
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	fmt_list_add_pack(&l, sample_seed);
	s.packs = fmt_list_of(&l);
	assert_int_equal(fmt_s1_encode(&b, &s, &err), 0);
	s.type = FMT_COMMIT;
	assert_int_equal(fmt_s1_encode(&b, &s, &err), -1);
	assert_int_equal(err.class, ERR_BUG);
	s.type = FMT_CHECKPOINT;
	s.state.entries = 5; /* entries without a page */
	assert_int_equal(fmt_s1_encode(&b, &s, &err), -1);
	fmt_list_release(&l);
	buf_release(&b);
}

static void numbers_of_a_manifest_ascend(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	for (uint64_t second = 4; second <= 6; second++) {
		struct fmt_list_buf l = FMT_LIST_BUF_INIT;

		fmt_list_add_number(&l, 5);
		fmt_list_add_number(&l, second);
		struct fmt_manifest m = { .merged = fmt_list_of(&l) };

		buf_reset(&b);
		assert_int_equal(fmt_manifest_encode(&b, &m, NULL),
		    second > 5 ? 0 : -1);
		fmt_list_release(&l);
	}
	buf_release(&b);
}

static void a_manifest_covers_segments_only(void **state)
{
	static const char *const keys[] = {
		"index/merged/0000000000000001",
		"index/manifest/0000000000000001",
		"index/0123456789abcdef/x/00000001", "", "index/merged/1",
		"packs/00/00000000000000000000000000000000",
	};
	struct buf b = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct fmt_list_buf l = FMT_LIST_BUF_INIT;

		fmt_list_add_str(&l, fmt_str(keys[i]));
		struct fmt_manifest m = { .covered = fmt_list_of(&l) };

		buf_reset(&b);
		assert_int_equal(fmt_manifest_encode(&b, &m, NULL),
		    i == 0 ? 0 : -1);
		fmt_list_release(&l);
	}
	buf_release(&b);
}

static void a_void_verdict_has_no_list(void **state)
{
	struct fmt_verdict v = { .what = FMT_VOID };
	struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(fmt_verdict_encode(&b, &v, NULL), 0);
	buf_reset(&b);
	v.dead_hash[0] = 1;
	assert_int_equal(fmt_verdict_encode(&b, &v, NULL), -1);
	buf_release(&b);
}

static void config_has_numbers_that_go_together(void **state)
{
	static const uint8_t keys[80] = { 0 };
	struct fmt_config good = { .epoch = 1, .signer_epoch = 1,
		.admins = { keys, 32, 1 },
		.stream = { 1048576, 524288, 4194304, 1 },
		.block = { 65536, 32768, 262144, 1 }, .pack_size = 1 };
	struct buf b = BUF_INIT;

	(void)state;
	for (int i = 0; i < 15; i++) {
		struct fmt_config c = good;

		switch (i) {
		case 1: c.stream.min = 0; break;
		case 2: c.stream.min = c.stream.avg + 1; break;
		case 3: c.block.max = c.block.avg - 1; break;
		case 4: c.block.max = 0xffffff; break;
		case 5: c.pack_size = 0; break;
		case 6: c.epoch = 0; break;
		case 7: c.parity_data = 1; break;
		case 8: c.parity_data = 200, c.parity_shards = 56; break;
		case 9: c.flags = 2; break;
		case 10: c.signer_epoch = 0; break;
		case 11: c.signer_epoch = 2; break;
		case 12: c.epoch = 2; break; /* with one key */
		case 13: c.admins.n = 0, c.admins.len = 0; break;
		case 14: c.ended = (struct fmt_list){ keys, 80, 2 }; break;
		}
		buf_reset(&b);
		assert_int_equal(fmt_config_encode(&b, &c, NULL),
		    i == 0 ? 0 : -1);
	}
	buf_release(&b);
}

/* Sealed by the right key, but of another pack's size. */
static void a_footer_fits_its_pack(void **state)
{
	struct fmt_pack_layout l, out;
	struct buf foot = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(fmt_pack_layout(1000, 3, 0, &l, &err), 0);
	assert_int_equal(fmt_footer_add(&foot, sample_key, sample_seed,
	    sample_seed, &l, &err), 0);
	assert_int_equal(fmt_footer_open(sample_key, sample_seed, foot.p,
	    l.size, sample_seed, &out, &err), 0);
	assert_int_equal(out.dir_off, 1000);
	assert_int_equal(out.sums_off, l.sums_off);
	assert_int_equal(fmt_footer_open(sample_key, sample_seed, foot.p,
	    l.size - 1, sample_seed, &out, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	buf_release(&foot);
}

static void a_directory_is_padded_by_zeros(void **state)
{
	struct buf plain = BUF_INIT, sealed = BUF_INIT, out = BUF_INIT;
	uint8_t head[FMT_PACK_HEAD_MIN] = { 0 };
	struct fmt_bind bind;
	struct err err = ERR_INIT;
	const uint8_t *v;
	uint32_t n;

	(void)state;
	fmt_bind(&bind, sample_key, head);
	for (int bad = 0; bad < 2; bad++) {
		buf_reset(&plain);
		buf_reset(&sealed);
		buf_zeros(&plain, 4 + 64 + 10);
		plain.p[plain.len - 1] = (uint8_t)bad;
		assert_int_equal(fmt_xseal_add(&sealed, sample_seed, bind.p,
		    bind.len, plain.p, plain.len, &err), 0);
		assert_int_equal(fmt_dir_open(sample_key, sample_repository,
		    head, sizeof(head), sizeof(head), sealed.p, sealed.len,
		    NULL, sample_seed, &out, &v, &n, &err), bad ? -1 : 0);
	}
	buf_release(&plain);
	buf_release(&sealed);
	buf_release(&out);
}

static void parity_covers_its_pack(void **state)
{
	const struct parity_shape good = { 1000, 100, 10, 2, 1 };

	(void)state;
	for (int i = 0; i < 9; i++) {
		struct parity_shape p = good, got;
		struct buf b = BUF_INIT;

		switch (i) {
		case 1: p.size = 1001; break;
		case 2: p.data = 0; break;
		case 3: p.parity = 0; break;
		case 4: p.parity = 246; break;
		case 5: p.size = 900; break;
		case 6: p.size = 0; break;
		case 7: p.shard = 0; break;
		}
		fmt_parity_head_add(&b, &p);
		if (i == 8)
			b.p[8] = 1; /* an epoch */
		assert_int_equal(b.len, FMT_PARITY_HEAD);
		assert_int_equal(fmt_parity_head_read(b.p, &got, NULL),
		    i == 0 ? 0 : -1);
		if (i == 0)
			assert_memory_equal(&got, &good, sizeof(got));
		buf_release(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_ascend),
		cmocka_unit_test(directories_of_a_state_ascend),
		cmocka_unit_test(a_run_ends_within_64_bits),
		cmocka_unit_test(only_a_checkpoint_names_packs),
		cmocka_unit_test(numbers_of_a_manifest_ascend),
		cmocka_unit_test(a_manifest_covers_segments_only),
		cmocka_unit_test(a_void_verdict_has_no_list),
		cmocka_unit_test(config_has_numbers_that_go_together),
		cmocka_unit_test(a_footer_fits_its_pack),
		cmocka_unit_test(a_directory_is_padded_by_zeros),
		cmocka_unit_test(parity_covers_its_pack),
	};

	if (crypto_init(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
