#ifndef REPO_FORMAT_FMT_PACK_H
#define REPO_FORMAT_FMT_PACK_H

#include <stdint.h>

#include "repo/format/fmt_object.h"

/*
 * Packs (FORMAT.md 4): head ‖ blobs ‖ sealed directory ‖ checksums ‖ footer.
 */

/* --- blobs ---------------------------------------------------------------------*/

#define FMT_BLOB_NONCE_LEN 12
#define FMT_BLOB_AD_LEN 49
#define FMT_BLOB_PREFIX 4  /* method and plain length, before the payload */
#define FMT_BLOB_EXTRA 20  /* prefix and tag: sealed length less payload */
#define FMT_BLOB_MAX 0xffffffu /* longest plaintext and sealed form, bytes */

void fmt_blob_nonce(uint8_t ret[FMT_BLOB_NONCE_LEN], uint32_t ordinal,
    const uint8_t id[FMT_ID_LEN]);
void fmt_blob_ad(uint8_t ret[FMT_BLOB_AD_LEN], const uint8_t family[16],
    enum fmt_blob_kind kind, const uint8_t id[FMT_ID_LEN]);
/* method as enum zip_method; plain_len at most FMT_BLOB_MAX. */
void fmt_blob_prefix(uint8_t ret[FMT_BLOB_PREFIX], unsigned method,
    uint32_t plain_len);
/*
 * Take the prefix off an opened blob of len bytes.  plain_len: what index or
 * directory say.  Return 0, or -1 with class CORRUPT.
 */
int fmt_blob_prefix_read(const void *opened, size_t len, uint32_t plain_len,
    unsigned *ret_method, struct err *err);

/* --- head ------------------------------------------------------------------------*/

enum fmt_key_method { FMT_KEY_BOX = 1, FMT_KEY_XSEAL = 2 };

#define FMT_SEALED_KEY_BOX 80   /* bytes of a sealed data key by method 1 */
#define FMT_SEALED_KEY_XSEAL 72 /* and by method 2 */
#define FMT_PACK_HEAD_MIN 28    /* the head without the sealed key */
#define FMT_PACK_HEAD_MAX (FMT_PACK_HEAD_MIN + FMT_SEALED_KEY_BOX)

struct fmt_pack_head {
	uint32_t epoch;
	uint8_t blob_kind;          /* enum fmt_blob_kind */
	uint8_t key_method;         /* enum fmt_key_method */
	uint8_t slot[FMT_SLOT_LEN]; /* who wrote it and signed its directory */
	const uint8_t *sealed_key;
	uint16_t sealed_len;
};

/*
 * Append a head whose data key is sealed here: for kind state with
 * pack_key = K_pack, for the others with content_pub = P (the other pointer is
 * not looked at).
 */
int fmt_pack_head_add(struct buf *b, const char *key, uint32_t epoch,
    enum fmt_blob_kind kind, const uint8_t slot[FMT_SLOT_LEN],
    const uint8_t *content_pub, const uint8_t *pack_key,
    const uint8_t data_key[32], struct err *err);

/* Append a head as it stands in *h: the key was sealed before. */
void fmt_pack_head_put(struct buf *b, const struct fmt_pack_head *h);

/*
 * Decode from the first len bytes of a pack (FMT_PACK_HEAD_MAX are enough).
 * The head's length is FMT_PACK_HEAD_MIN + sealed_len.
 */
int fmt_pack_head_decode(const void *p, size_t len, struct fmt_pack_head *ret,
    struct err *err);

/*
 * Open the data key.  key: the pack's object key.  content: X (for method 1),
 * pack_key: K_pack (for method 2); class AUTH when the one that is needed is
 * NULL.  -1 with CORRUPT when it does not open.
 */
int fmt_pack_key_open(const char *key, const struct fmt_pack_head *h,
    const uint8_t *content, const uint8_t *pack_key, uint8_t ret_data_key[32],
    struct err *err);

/* --- where things are ----------------------------------------------------------------*/

#define FMT_FOOTER_LEN 56
#define FMT_SUM_SPAN 1048576u /* bytes of a checksum's piece */
#define FMT_DIR_ENTRY_LEN 42

struct fmt_pack_layout {
	uint64_t dir_off;  /* the sealed directory */
	uint64_t dir_len;
	uint64_t padding;  /* zeros inside it */
	uint64_t sums_off; /* the checksums */
	uint64_t nsums;
	uint64_t size;     /* of the object */
};

/*
 * Lay out a pack of count blobs that end at dir_off: padded to a multiple of
 * 64 KiB, or with last to the next Padmé size.  -1 with class USAGE when it
 * would be 4 GiB or more.
 */
int fmt_pack_layout(uint64_t dir_off, uint32_t count, int last,
    struct fmt_pack_layout *ret, struct err *err);

/* The smallest Padmé size that is not below len. */
uint64_t fmt_padme(uint64_t len);

/*
 * Where the checksums of a pack of that size begin and how many there are.
 * -1 with class CORRUPT when no pack is so small.
 */
int fmt_pack_sums_at(uint64_t size, uint64_t *ret_off, uint64_t *ret_n,
    struct err *err);

/* --- directory, checksums, footer -----------------------------------------------------*/

struct fmt_dir_entry {
	uint8_t id[FMT_ID_LEN];
	uint32_t offset;     /* bytes from the pack's start */
	uint32_t sealed_len; /* bytes */
	uint32_t plain_len;  /* bytes */
};

/* Append one entry, for the list that fmt_dir_seal takes. */
void fmt_dir_entry_add(struct buf *b, const struct fmt_dir_entry *e);
/* Read the entry at p, FMT_DIR_ENTRY_LEN bytes. */
void fmt_dir_entry_get(const void *p, struct fmt_dir_entry *ret);

/*
 * Append the sealed directory to out.  key: of the pack.  head: its first
 * head_len bytes; entries: count of them, encoded.  seed: the slot's, which
 * the head names.  dir_key: K_dir.  padding as laid out.
 */
int fmt_dir_seal(struct buf *out, const char *key,
    const uint8_t repository[FMT_REPOSITORY_LEN], const void *head,
    size_t head_len, const void *entries, uint32_t count, uint64_t padding,
    const uint8_t seed[32], const uint8_t dir_key[32], struct err *err);

/*
 * Open a sealed directory of len bytes into ret_plain (content replaced) and
 * check it: the blobs stand one after another from the head's end to dir_off,
 * the padding is zeros, and, with pub, the signature is the slot's (NULL: not
 * looked at).  *ret_entries borrows *ret_count entries from ret_plain.
 */
int fmt_dir_open(const char *key,
    const uint8_t repository[FMT_REPOSITORY_LEN], const void *head,
    size_t head_len, uint64_t dir_off, const void *sealed, size_t len,
    const uint8_t *pub, const uint8_t dir_key[32], struct buf *ret_plain,
    const uint8_t **ret_entries, uint32_t *ret_count, struct err *err);

/* A running CRC-64 that ends at each MiB: the checksums of a pack. */
struct fmt_sums {
	uint64_t crc;
	uint64_t at;    /* bytes added */
	struct buf out; /* those that are complete, as stored */
};
void fmt_sums_init(struct fmt_sums *s);
void fmt_sums_release(struct fmt_sums *s);
/* Begin again with the memory kept. */
void fmt_sums_reset(struct fmt_sums *s);
/* Add the next bytes of the object, all that stands before the checksums. */
void fmt_sums_add(struct fmt_sums *s, const void *data, size_t len);
/*
 * Complete the last ones: s->out holds the layout's nsums of them.  (When the
 * checksums begin in one MiB and end in a next one, that one's is over nothing.)
 */
int fmt_sums_end(struct fmt_sums *s, uint64_t nsums, struct err *err);

/* Append the footer; key: of the pack, header: its first 16 bytes, K_foot. */
int fmt_footer_add(struct buf *b, const char *key, const void *header,
    const uint8_t foot_key[32], const struct fmt_pack_layout *l,
    struct err *err);

/*
 * Open the footer (FMT_FOOTER_LEN bytes) of a pack of that size and complete
 * the layout but for the padding (0).
 */
int fmt_footer_open(const char *key, const void *header, const void *footer,
    uint64_t size, const uint8_t foot_key[32], struct fmt_pack_layout *ret,
    struct err *err);

#endif
