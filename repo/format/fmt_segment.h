#ifndef REPO_FORMAT_FMT_SEGMENT_H
#define REPO_FORMAT_FMT_SEGMENT_H

#include <stdint.h>

#include "repo/base/bytes.h"
#include "repo/crypto/crypto.h"
#include "repo/format/fmt_object.h"

/*
 * Index segments (FORMAT.md 5): which blocks there are, what stands in which,
 * and their sealing one at a time.  Who writes one makes the layout, then the
 * sections in order, block by block, keeping each block's hash; then hashes
 * and signature.
 */

#define FMT_SEGMENT_HEAD 72
#define FMT_BLOCK_PLAIN 16368
#define FMT_BLOCK_SEALED (FMT_BLOCK_PLAIN + CRYPTO_TAG_LEN)
#define FMT_BLOCK_HASH 16
#define FMT_ENTRY_LEN 48
#define FMT_ENTRIES_PER_BLOCK 341
#define FMT_FILTERS_PER_BLOCK 8184
#define FMT_BUCKETS_PER_BLOCK 4092
#define FMT_BUCKET_BITS_MAX 30
#define FMT_RECORD_MIN 36  /* a pack record without a sealed key */
#define FMT_SEGMENT_PACKS_MAX 0x1000000u /* pack numbers are 24 bits */

/* --- the head ---------------------------------------------------------------------*/

struct fmt_segment_head {
	uint32_t epoch;
	uint8_t slot[FMT_SLOT_LEN]; /* zeros in a merged one */
	uint64_t entries;           /* below 2^32 */
	uint32_t packs;
	uint16_t record;            /* bytes of a pack record */
	uint8_t bits;               /* of a bucket */
	uint8_t salt[32];           /* random */
};

/* The record size for a longest sealed key of that many bytes. */
#define FMT_RECORD_FOR(sealed_len) (FMT_RECORD_MIN + (sealed_len))

/* The bucket bits for that many entries: 64 to 127 entries in a bucket. */
uint8_t fmt_segment_bits(uint64_t entries);

/* Append the head, FMT_SEGMENT_HEAD bytes. */
void fmt_segment_head_add(struct buf *b, const struct fmt_segment_head *h);
/* Decode the first len bytes (at least FMT_SEGMENT_HEAD) of a segment. */
int fmt_segment_head_decode(const void *p, size_t len,
    struct fmt_segment_head *ret, struct err *err);

/* --- the layout ---------------------------------------------------------------------*/

enum fmt_section { FMT_SEC_P, FMT_SEC_E, FMT_SEC_F, FMT_SEC_B };

struct fmt_section_layout {
	uint32_t first;     /* number of its first block */
	uint32_t blocks;
	uint32_t per_block; /* records in a block */
	uint32_t record;    /* bytes of one */
	uint64_t records;
	uint64_t off;       /* of the first block in the object */
};

struct fmt_segment_layout {
	struct fmt_section_layout sec[4]; /* enum fmt_section */
	uint32_t blocks;                  /* of all sections */
	uint64_t hashes_off;              /* blocks x FMT_BLOCK_HASH bytes */
	uint64_t size;                    /* of the object */
};

/*
 * Compute the layout of a segment with such a head.  -1 with class CORRUPT
 * when the head's numbers cannot be (the same that head_decode refuses).
 */
int fmt_segment_layout(const struct fmt_segment_head *h,
    struct fmt_segment_layout *ret, struct err *err);

/* Where record i of a section is; i is below its number of records. */
struct fmt_record_at {
	uint32_t block;  /* number, through all sections */
	uint32_t offset; /* in the opened block, bytes */
};
static inline struct fmt_record_at fmt_record_at(
    const struct fmt_segment_layout *l, enum fmt_section s, uint64_t i)
{
	const struct fmt_section_layout *x = &l->sec[s];

	return (struct fmt_record_at){
		x->first + (uint32_t)(i / x->per_block),
		(uint32_t)(i % x->per_block) * x->record };
}

/*
 * Where a block is: its offset in the object and its plain length in bytes
 * (the sealed one is CRYPTO_TAG_LEN more).  -1 with class BUG when there is no
 * such block.
 */
int fmt_segment_block(const struct fmt_segment_layout *l, uint32_t block,
    uint64_t *ret_off, uint32_t *ret_plain, struct err *err);

/* --- blocks --------------------------------------------------------------------------*/

/* The key of the blocks, from K_seg and the salt. */
void fmt_segment_key(uint8_t ret[32], const uint8_t seg_key[32],
    const uint8_t salt[32]);

/*
 * Seal block number `block` (len bytes) into dst (len + CRYPTO_TAG_LEN; may be
 * plain) and tell its hash.
 */
int fmt_block_seal(struct crypto_aead *a, const uint8_t key[32],
    uint32_t block, const void *plain, size_t len, uint8_t *dst,
    uint8_t ret_hash[FMT_BLOCK_HASH], struct err *err);
/*
 * Check a sealed block of len bytes against its hash and open it into dst (may
 * be sealed).  -1 with class CORRUPT naming the block.
 */
int fmt_block_open(struct crypto_aead *a, const uint8_t key[32],
    uint32_t block, const uint8_t hash[FMT_BLOCK_HASH], const void *sealed,
    size_t len, uint8_t *dst, struct err *err);

/* --- signature -------------------------------------------------------------------------*/

/*
 * Write signer and signature, the object's last FMT_SIGNED_TAIL bytes.  head:
 * the first FMT_SEGMENT_HEAD bytes; hashes: as many as there are blocks.
 * slot NULL: signed by the administration key.  -1 with class FULL.
 */
int fmt_segment_sign(uint8_t ret_tail[FMT_SIGNED_TAIL],
    const uint8_t repository[FMT_REPOSITORY_LEN], const char *key,
    const void *head, const void *hashes, uint32_t blocks,
    const uint8_t *slot, const uint8_t seed[32], struct err *err);
/* Return 0 when tail is pub's signature of these, else -1 (CORRUPT). */
int fmt_segment_check(const uint8_t tail[FMT_SIGNED_TAIL],
    const uint8_t repository[FMT_REPOSITORY_LEN], const char *key,
    const void *head, const void *hashes, uint32_t blocks,
    const uint8_t pub[32], struct err *err);
/* Tell the signer that tail names: 0 a slot, 1 the administration key. */
int fmt_segment_signer(const uint8_t tail[FMT_SIGNED_TAIL],
    uint8_t ret_slot[FMT_SLOT_LEN]);

/* --- records ------------------------------------------------------------------------------*/

struct fmt_index_entry {
	uint8_t id[FMT_ID_LEN];
	uint32_t pack;       /* number in P; below 2^24 */
	uint32_t ordinal;    /* in the pack; below 2^24 */
	uint32_t offset;     /* bytes from the pack's start */
	uint32_t sealed_len; /* bytes, below 2^24 */
	uint32_t plain_len;  /* bytes, below 2^24 */
};
void fmt_index_entry_put(uint8_t dst[FMT_ENTRY_LEN],
    const struct fmt_index_entry *e);
/* packs: of the head; an entry that names another pack is CORRUPT. */
int fmt_index_entry_get(const uint8_t src[FMT_ENTRY_LEN], uint32_t packs,
    struct fmt_index_entry *ret, struct err *err);
/* The order of entries, by id, then pack, then ordinal: <0, 0, >0. */
int fmt_index_entry_cmp(const struct fmt_index_entry *a,
    const struct fmt_index_entry *b);

struct fmt_pack_record {
	uint8_t name[FMT_PACK_NAME_LEN];
	uint32_t size;              /* of the object, bytes */
	uint32_t epoch;
	uint8_t blob_kind;          /* enum fmt_blob_kind */
	uint8_t key_method;         /* enum fmt_key_method (fmt_pack.h) */
	uint8_t slot[FMT_SLOT_LEN];
	const uint8_t *sealed_key;
	uint16_t sealed_len;        /* at most record - FMT_RECORD_MIN */
};
/* Write a record of `record` bytes.  -1 with class BUG when it does not fit. */
int fmt_pack_record_put(uint8_t *dst, uint16_t record,
    const struct fmt_pack_record *r, struct err *err);
/* Read one; sealed_key borrows from src. */
int fmt_pack_record_get(const uint8_t *src, uint16_t record,
    struct fmt_pack_record *ret, struct err *err);

/* --- filters and buckets ---------------------------------------------------------------------*/

/* What stands for an id in F. */
static inline uint16_t fmt_filter(const uint8_t id[FMT_ID_LEN])
{
	return le16_get(id + 8);
}

/* The bucket of an id: its first bits as a number. */
static inline uint32_t fmt_bucket(const uint8_t id[FMT_ID_LEN], unsigned bits)
{
	return bits == 0 ? 0 : (uint32_t)(be64_get(id) >> (64 - bits));
}

/*
 * Makes section B while entries go by in order.  Each number is appended to
 * out as it becomes known (u32 little-endian); out is the caller's to empty.
 */
struct fmt_buckets {
	unsigned bits;
	uint64_t next; /* the bucket whose number comes next */
	uint32_t at;   /* entries seen */
};
void fmt_buckets_init(struct fmt_buckets *x, unsigned bits);
void fmt_buckets_add(struct fmt_buckets *x, const uint8_t id[FMT_ID_LEN],
    struct buf *out);
/* After the last entry: what is missing of the 2^bits + 1 numbers. */
void fmt_buckets_end(struct fmt_buckets *x, struct buf *out);

#endif
