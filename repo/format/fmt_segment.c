#include <assert.h>

#include "repo/format/fmt_internal.h"
#include "repo/format/fmt_segment.h"

/* --- the head ---------------------------------------------------------------*/

uint8_t fmt_segment_bits(uint64_t entries)
{
	uint8_t bits = 0;

	while (bits < FMT_BUCKET_BITS_MAX && entries >> bits >= 128)
		bits++;
	return bits;
}

void fmt_segment_head_add(struct buf *b, const struct fmt_segment_head *h)
{
	fmt_header_add(b, FMT_SEGMENT, h->epoch);
	buf_add(b, h->slot, FMT_SLOT_LEN);
	buf_u64(b, h->entries);
	buf_u32(b, h->packs);
	buf_u16(b, h->record);
	buf_u8(b, h->bits);
	buf_u8(b, 0);
	buf_add(b, h->salt, sizeof(h->salt));
}

static void check_head(struct fmt_dec *d, const struct fmt_segment_head *h)
{
	fmt_dec_check(d, h->entries <= UINT32_MAX, "entries", "are too many");
	fmt_dec_check(d, h->packs <= FMT_SEGMENT_PACKS_MAX, "packs",
	    "are too many");
	fmt_dec_check(d, h->packs != 0 || h->entries == 0, "packs",
	    "are none, while there are entries");
	fmt_dec_check(d, h->record >= FMT_RECORD_MIN &&
	    h->record <= FMT_BLOCK_PLAIN, "pack record size",
	    "is out of bounds");
	fmt_dec_check(d, h->bits <= FMT_BUCKET_BITS_MAX, "bucket bits",
	    "are out of bounds");
}

int fmt_segment_head_decode(const void *p, size_t len,
    struct fmt_segment_head *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_object(p, len, FMT_SEGMENT, 0, &ret->epoch,
	    err);

	fmt_dec_copy(&d, ret->slot, FMT_SLOT_LEN, "slot");
	ret->entries = fmt_dec_u64(&d, "entries");
	ret->packs = fmt_dec_u32(&d, "packs");
	ret->record = fmt_dec_u16(&d, "pack record size");
	ret->bits = fmt_dec_u8(&d, "bucket bits");
	fmt_dec_check(&d, fmt_dec_u8(&d, "head") == 0, "head",
	    "has bits that are to be zero");
	fmt_dec_copy(&d, ret->salt, sizeof(ret->salt), "salt");
	check_head(&d, ret);
	return d.bad ? -1 : 0;
}

/* --- the layout -------------------------------------------------------------*/

static uint64_t up(uint64_t n, uint64_t by)
{
	return n / by + (n % by != 0);
}

/* Bytes of a section's blocks, sealed. */
static uint64_t section_size(const struct fmt_section_layout *s)
{
	return s->records * s->record + (uint64_t)s->blocks * CRYPTO_TAG_LEN;
}

int fmt_segment_layout(const struct fmt_segment_head *h,
    struct fmt_segment_layout *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_init(fmt_kind_name(FMT_SEGMENT), NULL, 0,
	    err);
	uint64_t off = FMT_SEGMENT_HEAD, blocks = 0;

	check_head(&d, h);
	if (d.bad)
		return -1;
	*ret = (struct fmt_segment_layout){ .sec = {
		[FMT_SEC_P] = { .records = h->packs, .record = h->record },
		[FMT_SEC_E] = { .records = h->entries,
		    .record = FMT_ENTRY_LEN },
		[FMT_SEC_F] = { .records = h->entries, .record = 2 },
		[FMT_SEC_B] = { .records = ((uint64_t)1 << h->bits) + 1,
		    .record = 4 },
	} };
	for (unsigned i = 0; i < 4; i++) {
		struct fmt_section_layout *s = &ret->sec[i];

		s->per_block = FMT_BLOCK_PLAIN / s->record;
		/* At most 2^24 + 2^32/341 + 2^32/8184 + 2^30/4092 blocks. */
		s->blocks = (uint32_t)up(s->records, s->per_block);
		s->first = (uint32_t)blocks;
		s->off = off;
		blocks += s->blocks;
		off += section_size(s);
	}
	static_assert(FMT_BLOCK_PLAIN / FMT_ENTRY_LEN == FMT_ENTRIES_PER_BLOCK
	    && FMT_BLOCK_PLAIN / 2 == FMT_FILTERS_PER_BLOCK
	    && FMT_BLOCK_PLAIN / 4 == FMT_BUCKETS_PER_BLOCK,
	    "records that fit a block");
	ret->blocks = (uint32_t)blocks;
	ret->hashes_off = off;
	ret->size = off + blocks * FMT_BLOCK_HASH + FMT_SIGNED_TAIL;
	return 0;
}

int fmt_segment_block(const struct fmt_segment_layout *l, uint32_t block,
    uint64_t *ret_off, uint32_t *ret_plain, struct err *err)
{
	for (unsigned i = 0; i < 4; i++) {
		const struct fmt_section_layout *s = &l->sec[i];

		if (block < s->first || block - s->first >= s->blocks)
			continue;

		uint64_t k = block - s->first;
		uint64_t left = s->records - k * s->per_block;
		uint32_t full = s->per_block * s->record;

		*ret_off = s->off + k * (full + CRYPTO_TAG_LEN);
		*ret_plain = left >= s->per_block ? full :
		    (uint32_t)left * s->record;
		return 0;
	}
	return err_set(err, ERR_BUG, "index segment: no block %u of %u",
	    block, l->blocks);
}

/* --- blocks -----------------------------------------------------------------*/

void fmt_segment_key(uint8_t ret[32], const uint8_t seg_key[32],
    const uint8_t salt[32])
{
	crypto_hmac(ret, seg_key, salt, 32);
}

static void block_nonce(uint8_t ret[CRYPTO_BLOB_NONCE_LEN], uint32_t block)
{
	memset(ret, 0, CRYPTO_BLOB_NONCE_LEN);
	le32_put(ret, block);
}

static void block_hash(uint8_t ret[FMT_BLOCK_HASH], const void *sealed,
    size_t len)
{
	uint8_t h[32];

	crypto_sha256(h, sealed, len);
	memcpy(ret, h, FMT_BLOCK_HASH);
}

int fmt_block_seal(struct crypto_aead *a, const uint8_t key[32],
    uint32_t block, const void *plain, size_t len, uint8_t *dst,
    uint8_t ret_hash[FMT_BLOCK_HASH], struct err *err)
{
	uint8_t nonce[CRYPTO_BLOB_NONCE_LEN];

	block_nonce(nonce, block);
	if (crypto_blob_seal(a, key, nonce, NULL, 0, plain, len, dst, err) < 0)
		return -1;
	block_hash(ret_hash, dst, len + CRYPTO_TAG_LEN);
	return 0;
}

int fmt_block_open(struct crypto_aead *a, const uint8_t key[32],
    uint32_t block, const uint8_t hash[FMT_BLOCK_HASH], const void *sealed,
    size_t len, uint8_t *dst, struct err *err)
{
	uint8_t nonce[CRYPTO_BLOB_NONCE_LEN], h[FMT_BLOCK_HASH];

	if (len < CRYPTO_TAG_LEN)
		return err_set(err, ERR_CORRUPT,
		    "index segment: block %u is cut short", block);
	block_hash(h, sealed, len);
	if (memcmp(h, hash, sizeof(h)) != 0)
		return err_set(err, ERR_CORRUPT,
		    "index segment: block %u has another hash", block);
	block_nonce(nonce, block);
	if (crypto_blob_open(a, key, nonce, NULL, 0, sealed, len, dst,
	    err) < 0)
		return err_wrap(err, "index segment: block %u", block);
	return 0;
}

/* --- signature --------------------------------------------------------------*/

static int segment_hash(uint8_t ret[32], const void *head, const void *hashes,
    uint32_t blocks, const uint8_t signer[FMT_SLOT_LEN], struct err *err)
{
	struct crypto_sha256 *h = crypto_sha256_new(err);

	if (h == NULL)
		return -1;
	crypto_sha256_add(h, head, FMT_SEGMENT_HEAD);
	crypto_sha256_add(h, hashes, (size_t)blocks * FMT_BLOCK_HASH);
	crypto_sha256_add(h, signer, FMT_SLOT_LEN);
	crypto_sha256_end(h, ret);
	crypto_sha256_free(h);
	return 0;
}

int fmt_segment_sign(uint8_t ret_tail[FMT_SIGNED_TAIL],
    const uint8_t repository[FMT_REPOSITORY_LEN], const char *key,
    const void *head, const void *hashes, uint32_t blocks,
    const uint8_t *slot, const uint8_t seed[32], struct err *err)
{
	uint8_t hash[32];

	memset(ret_tail, 0, FMT_SIGNED_TAIL);
	if (slot != NULL)
		memcpy(ret_tail, slot, FMT_SLOT_LEN);
	if (segment_hash(hash, head, hashes, blocks, ret_tail, err) < 0)
		return -1;
	fmt_sign_hash(ret_tail + FMT_SLOT_LEN, repository, key, hash, seed);
	return 0;
}

int fmt_segment_check(const uint8_t tail[FMT_SIGNED_TAIL],
    const uint8_t repository[FMT_REPOSITORY_LEN], const char *key,
    const void *head, const void *hashes, uint32_t blocks,
    const uint8_t pub[32], struct err *err)
{
	uint8_t hash[32];

	if (segment_hash(hash, head, hashes, blocks, tail, err) < 0)
		return -1;
	return fmt_verify_hash(tail + FMT_SLOT_LEN, repository, key, hash, pub,
	    err);
}

int fmt_segment_signer(const uint8_t tail[FMT_SIGNED_TAIL],
    uint8_t ret_slot[FMT_SLOT_LEN])
{
	memcpy(ret_slot, tail, FMT_SLOT_LEN);
	return bytes_are_zero(ret_slot, FMT_SLOT_LEN) ? 1 : 0;
}
