#ifndef TESTS_UNIT_FORMAT_PACK_SAMPLE_H
#define TESTS_UNIT_FORMAT_PACK_SAMPLE_H

/* A whole pack and a whole segment, made and read with what the room offers. */

#include <stdlib.h>

#include "repo/crypto/crypto.h"
#include "tests/unit/format_samples.h"

/* Blobs of the lengths given; their bytes are not sealed (no blob is read). */
static inline int pack_make(struct buf *b, enum fmt_blob_kind kind,
    const uint32_t *lens, uint32_t n, int last, struct err *err)
{
	struct fmt_pack_layout l;
	struct fmt_sums sums;
	struct buf entries = BUF_INIT;
	struct rng r = { 42 };
	uint8_t box[32];
	size_t head;
	int rc = -1;

	fmt_sums_init(&sums);
	crypto_box_public(box, sample_seed);
	if (fmt_pack_head_add(b, sample_key, 3, kind, sample_slot, box,
	    sample_seed, sample_seed, err) < 0)
		goto out;
	head = b->len;
	for (uint32_t i = 0; i < n; i++) {
		struct fmt_dir_entry e = { .offset = (uint32_t)b->len,
			.sealed_len = lens[i], .plain_len = lens[i] - 20 };

		rng_fill(&r, e.id, 32);
		fmt_dir_entry_add(&entries, &e);
		for (uint32_t k = 0; k < lens[i]; k++)
			buf_u8(b, (uint8_t)rng_next(&r));
	}
	if (buf_check(b, "", err) < 0 || buf_check(&entries, "", err) < 0 ||
	    fmt_pack_layout(b->len, n, last, &l, err) < 0 ||
	    fmt_dir_seal(b, sample_key, sample_repository, b->p, head,
	    entries.p, n, l.padding, sample_seed, sample_seed, err) < 0)
		goto out;
	fmt_sums_add(&sums, b->p, b->len / 3);
	fmt_sums_add(&sums, b->p + b->len / 3, b->len - b->len / 3);
	if (fmt_sums_end(&sums, l.nsums, err) < 0)
		goto out;
	buf_add(b, sums.out.p, sums.out.len);
	if (fmt_footer_add(b, sample_key, b->p, sample_seed, &l, err) < 0)
		goto out;
	rc = b->len == l.size ? 0 : err_set(err, ERR_BUG, "size");
out:
	fmt_sums_release(&sums);
	buf_release(&entries);
	return rc;
}

/* Read it from the end on.  0, -1, or -2 when a checksum differs. */
static inline int pack_read(const uint8_t *p, size_t len, uint32_t *ret_n,
    struct err *err)
{
	struct fmt_pack_head h;
	struct fmt_pack_layout l;
	struct fmt_sums sums;
	struct buf plain = BUF_INIT;
	const uint8_t *entries;
	uint8_t key[32], sign[32];
	int rc = -1;

	crypto_sign_public(sign, sample_seed);
	fmt_sums_init(&sums);
	if (len < FMT_PACK_HEAD_MAX + FMT_FOOTER_LEN) {
		err_set(err, ERR_CORRUPT, "pack: too short");
		goto out;
	}
	if (fmt_pack_head_decode(p, len, &h, err) < 0 ||
	    fmt_pack_key_open(sample_key, &h, sample_seed, sample_seed, key,
	    err) < 0 ||
	    fmt_footer_open(sample_key, p, p + len - FMT_FOOTER_LEN, len,
	    sample_seed, &l, err) < 0 ||
	    fmt_dir_open(sample_key, sample_repository, p,
	    FMT_PACK_HEAD_MIN + h.sealed_len, l.dir_off, p + l.dir_off,
	    l.dir_len, sign, sample_seed, &plain, &entries, ret_n, err) < 0)
		goto out;
	fmt_sums_add(&sums, p, l.sums_off);
	if (fmt_sums_end(&sums, l.nsums, err) < 0)
		goto out;
	rc = memcmp(key, sample_seed, 32) == 0 &&
	    memcmp(sums.out.p, p + l.sums_off, sums.out.len) == 0 ? 0 : -2;
out:
	fmt_sums_release(&sums);
	buf_release(&plain);
	return rc;
}

/* Append a section's records, block by block, sealed; hashes go to hashes. */
static inline int segment_section(struct buf *b, struct buf *hashes,
    const struct fmt_segment_layout *l, enum fmt_section s,
    const uint8_t *records, struct crypto_aead *a, const uint8_t key[32],
    struct err *err)
{
	uint8_t sealed[FMT_BLOCK_SEALED], hash[FMT_BLOCK_HASH];
	uint64_t off;
	uint32_t len;

	for (uint32_t i = 0; i < l->sec[s].blocks; i++) {
		uint32_t n = l->sec[s].first + i;

		if (fmt_segment_block(l, n, &off, &len, err) < 0)
			return -1;
		if (off != b->len)
			return err_set(err, ERR_BUG, "block %u is elsewhere", n);
		if (fmt_block_seal(a, key, n, records, len, sealed, hash,
		    err) < 0)
			return -1;
		records += len;
		buf_add(b, sealed, len + CRYPTO_TAG_LEN);
		buf_add(hashes, hash, sizeof(hash));
	}
	return 0;
}

/* The id of entry i of n: spread evenly and ascending. */
static inline void segment_id(uint32_t i, uint32_t n, uint8_t id[32])
{
	uint64_t top = (uint64_t)i * (UINT64_MAX / n);

	memset(id, (int)i, 32);
	for (int k = 0; k < 8; k++)
		id[k] = (uint8_t)(top >> (56 - 8 * k));
	le32_put(id + 8, i * 2654435761u);
}

static inline int segment_make(struct buf *b, uint32_t entries,
    uint32_t packs, const uint8_t *slot, struct err *err)
{
	struct fmt_segment_head h = { .epoch = 6, .entries = entries,
		.packs = packs, .record = FMT_RECORD_FOR(80),
		.bits = fmt_segment_bits(entries), .salt = "the salt" };
	struct buf sec[4] = { BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT };
	struct buf hashes = BUF_INIT;
	struct fmt_segment_layout l;
	struct fmt_buckets buckets;
	struct crypto_aead *a = crypto_aead_new(err);
	uint8_t key[32], tail[FMT_SIGNED_TAIL], rec[FMT_RECORD_FOR(80)];
	int rc = a == NULL ? -1 : 0;

	if (slot != NULL)
		memcpy(h.slot, slot, 8);
	fmt_segment_key(key, sample_seed, h.salt);
	fmt_segment_head_add(b, &h);
	for (uint32_t i = 0; i < packs; i++) {
		struct fmt_pack_record r = { .size = 1000 + i, .epoch = 6,
			.blob_kind = 1, .key_method = 1,
			.sealed_key = sample_seed, .sealed_len = 32 };

		le32_put(r.name, i);
		if (fmt_pack_record_put(rec, sizeof(rec), &r, err) < 0)
			rc = -1;
		buf_add(&sec[0], rec, sizeof(rec));
	}
	fmt_buckets_init(&buckets, h.bits);
	for (uint32_t i = 0; i < entries; i++) {
		struct fmt_index_entry e = { .pack = i % packs, .ordinal = i,
			.offset = 100 * i, .sealed_len = 100, .plain_len = 80 };
		uint8_t enc[FMT_ENTRY_LEN];

		segment_id(i, entries, e.id);
		fmt_index_entry_put(enc, &e);
		buf_add(&sec[1], enc, sizeof(enc));
		buf_u16(&sec[2], fmt_filter(e.id));
		fmt_buckets_add(&buckets, e.id, &sec[3]);
	}
	fmt_buckets_end(&buckets, &sec[3]);
	if (rc == 0)
		rc = fmt_segment_layout(&h, &l, err);
	for (int s = 0; rc == 0 && s < 4; s++)
		rc = segment_section(b, &hashes, &l, s, sec[s].p, a, key, err);
	buf_add(b, hashes.p, hashes.len);
	if (rc == 0)
		rc = fmt_segment_sign(tail, sample_repository, sample_key, b->p,
		    hashes.p, l.blocks, slot, sample_seed, err);
	buf_add(b, tail, sizeof(tail));
	if (rc == 0 && b->len != l.size)
		rc = err_set(err, ERR_BUG, "size");
	for (int s = 0; s < 4; s++)
		buf_release(&sec[s]);
	buf_release(&hashes);
	crypto_aead_free(a);
	return rc;
}

/* Open every block.  0 with all plain bytes in ret, or -1. */
static inline int segment_read(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_segment_head h;
	struct fmt_segment_layout l;
	struct crypto_aead *a = NULL;
	uint8_t key[32], sign[32], plain[FMT_BLOCK_SEALED];
	const uint8_t *hashes;
	uint64_t off;
	uint32_t n;
	int rc;

	crypto_sign_public(sign, sample_seed);
	if (fmt_segment_head_decode(p, len, &h, err) < 0 ||
	    fmt_segment_layout(&h, &l, err) < 0)
		return -1;
	if (l.size != len)
		return err_set(err, ERR_CORRUPT, "size");
	hashes = p + l.hashes_off;
	if (fmt_segment_check(p + len - FMT_SIGNED_TAIL, sample_repository,
	    sample_key, p, hashes, l.blocks, sign, err) < 0)
		return -1;
	fmt_segment_key(key, sample_seed, h.salt);
	a = crypto_aead_new(err);
	rc = a == NULL ? -1 : 0;
	for (uint32_t i = 0; rc == 0 && i < l.blocks; i++) {
		rc = fmt_segment_block(&l, i, &off, &n, err);
		if (rc == 0)
			rc = fmt_block_open(a, key, i,
			    hashes + i * FMT_BLOCK_HASH, p + off,
			    n + CRYPTO_TAG_LEN, plain, err);
		if (rc == 0)
			buf_add(ret, plain, n);
	}
	crypto_aead_free(a);
	return rc;
}

#endif
