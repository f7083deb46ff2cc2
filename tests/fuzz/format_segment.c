/*
 * Index segments and the ends of packs: heads whose numbers come from the
 * store, layouts computed from them, and records of opened blocks.
 */

#include <stdlib.h>

#include "repo/crypto/crypto.h"
#include "tests/unit/format_codecs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Every block is where the one before ended, and the hashes come last. */
static void try_layout(const struct fmt_segment_head *h)
{
	struct fmt_segment_layout l;
	uint64_t off, at = FMT_SEGMENT_HEAD;
	uint32_t plain;

	must(fmt_segment_layout(h, &l, NULL) == 0);
	must(fmt_segment_block(&l, l.blocks, &off, &plain, NULL) < 0);
	for (uint32_t i = 0; i < l.blocks && i < 5000; i++) {
		must(fmt_segment_block(&l, i, &off, &plain, NULL) == 0);
		must(off == at && plain > 0 && plain <= FMT_BLOCK_PLAIN);
		at += plain + CRYPTO_TAG_LEN;
	}
	must(fmt_segment_block(&l, l.blocks - 1, &off, &plain, NULL) == 0);
	must(off + plain + CRYPTO_TAG_LEN == l.hashes_off);
	for (int s = 0; s < 4; s++) {
		uint64_t n = l.sec[s].records;

		if (n == 0)
			continue;

		struct fmt_record_at a = fmt_record_at(&l, s, n - 1);

		must(fmt_segment_block(&l, a.block, &off, &plain, NULL) == 0);
		must(a.offset + l.sec[s].record == plain);
	}
}

static void try_head(const uint8_t *p, size_t len)
{
	struct fmt_segment_head h;
	struct buf again = BUF_INIT;

	if (fmt_segment_head_decode(p, len, &h, NULL) < 0)
		return;
	try_layout(&h);
	fmt_segment_head_add(&again, &h);
	must(again.len == FMT_SEGMENT_HEAD &&
	    memcmp(again.p, p, FMT_SEGMENT_HEAD) == 0);
	buf_release(&again);
}

static void try_block(const uint8_t *p, size_t len)
{
	uint8_t e[FMT_ENTRY_LEN], record[200];
	struct fmt_index_entry entry;
	struct fmt_pack_record r;

	for (; len >= FMT_ENTRY_LEN; p += FMT_ENTRY_LEN, len -= FMT_ENTRY_LEN)
		if (fmt_index_entry_get(p, 1000, &entry, NULL) == 0) {
			fmt_index_entry_put(e, &entry);
			must(memcmp(e, p, FMT_ENTRY_LEN) == 0);
		}
	if (len >= FMT_RECORD_MIN &&
	    fmt_pack_record_get(p, (uint16_t)len, &r, NULL) == 0) {
		must(fmt_pack_record_put(record, (uint16_t)len, &r, NULL) == 0);
		must(memcmp(record, p, len) == 0);
	}
}

static void try_open(const uint8_t *p, size_t len)
{
	static const uint8_t key[32] = { 1 };
	static struct crypto_aead *a;
	static uint8_t dst[1 << 20];

	if (a == NULL)
		must((a = crypto_aead_new(NULL)) != NULL);
	if (len < sizeof(dst))
		must(fmt_block_open(a, key, 0, key, p, len, dst, NULL) < 0);
	if (len >= FMT_HEADER_LEN + FMT_FOOTER_LEN) {
		struct fmt_pack_layout l;

		must(fmt_footer_open("k", p, p + FMT_HEADER_LEN, len, key, &l,
		    NULL) < 0);
	}
}

/* The numbers of a pack that is to be laid out. */
static void try_pack_layout(const uint8_t *p, size_t len)
{
	struct rd r = rd_init(p, len);
	struct fmt_pack_layout l;
	uint64_t off = rd_u32(&r), sums_off, nsums;
	uint32_t count = rd_u32(&r);
	int last = rd_u8(&r) & 1;

	if (r.bad || fmt_pack_layout(off, count, last, &l, NULL) < 0)
		return;
	must(l.dir_off + l.dir_len == l.sums_off);
	must(l.sums_off + l.nsums * 8 + FMT_FOOTER_LEN == l.size);
	must(l.nsums == (l.size + FMT_SUM_SPAN - 1) / FMT_SUM_SPAN);
	must(last ? fmt_padme(l.size) == l.size : l.size % 65536 == 0);
	if (off >= FMT_PACK_HEAD_MIN) {
		must(fmt_pack_sums_at(l.size, &sums_off, &nsums, NULL) == 0);
		must(sums_off == l.sums_off && nsums == l.nsums);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || crypto_init(NULL) < 0)
		return 0;
	switch (data[0] % 4) {
	case 0: try_head(data + 1, size - 1); break;
	case 1: try_block(data + 1, size - 1); break;
	case 2: try_open(data + 1, size - 1); break;
	default: try_pack_layout(data + 1, size - 1); break;
	}
	return 0;
}
