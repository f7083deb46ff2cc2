#ifndef REPO_CRYPTO_CRYPTO_H
#define REPO_CRYPTO_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#include "repo/base/buf.h"
#include "repo/base/err.h"

/*
 * Bytes to bytes, no I/O, no state but the contexts named.  What each
 * construction is for is written in repo/format/FORMAT.md.
 */

#define CRYPTO_KEY_LEN 32
#define CRYPTO_ID_LEN 32
#define CRYPTO_TAG_LEN 16       /* ChaCha20-Poly1305 and XChaCha20-Poly1305 */
#define CRYPTO_BLOB_NONCE_LEN 12
#define CRYPTO_XNONCE_LEN 24
#define CRYPTO_SIG_LEN 64
#define CRYPTO_PUB_LEN 32       /* X25519 and Ed25519 public keys */
#define CRYPTO_BOX_EXTRA 48     /* what a sealed box adds to its content */
#define CRYPTO_SALT_LEN 16

/*
 * Prepare the libraries.  Call once before anything else and before threads
 * start; calling again is harmless.  Return 0 or -1 with err.
 */
int crypto_init(struct err *err);

/* --- secret memory --------------------------------------------------------*/

/*
 * Return len zeroed bytes between guard pages, kept out of core dumps and, as
 * far as the limit on locked memory allows, out of swap.  NULL with err of
 * class FULL.
 */
void *crypto_secret_new(size_t len, struct err *err);
/* Wipe and free; NULL is fine. */
void crypto_secret_free(void *p);

/* --- keyed hashes ---------------------------------------------------------*/

/* out = HMAC-SHA256(parent, label): a key for one purpose.  label is a string. */
void crypto_derive(uint8_t out[CRYPTO_KEY_LEN],
    const uint8_t parent[CRYPTO_KEY_LEN], const char *label);

/* out = HMAC-SHA256(key, data). */
void crypto_hmac(uint8_t out[32], const uint8_t key[CRYPTO_KEY_LEN],
    const void *data, size_t len);

/* The same with a key of any length, as the signatures of stores need it. */
void crypto_hmac_any(uint8_t out[32], const void *key, size_t key_len,
    const void *data, size_t len);

/* out = SHA-256(data). */
void crypto_sha256(uint8_t out[32], const void *data, size_t len);

/*
 * An incremental SHA-256, for one thread at a time; _end leaves it as _reset
 * does.
 */
struct crypto_sha256;
struct crypto_sha256 *crypto_sha256_new(struct err *err);
void crypto_sha256_free(struct crypto_sha256 *h);
void crypto_sha256_reset(struct crypto_sha256 *h);
void crypto_sha256_add(struct crypto_sha256 *h, const void *data, size_t len);
void crypto_sha256_end(struct crypto_sha256 *h, uint8_t out[32]);

/* Key material for blob ids: HMAC-SHA256 with its two pads hashed once. */
struct crypto_idkey;
struct crypto_idkey *crypto_idkey_new(const uint8_t key[CRYPTO_KEY_LEN],
    struct err *err);
void crypto_idkey_free(struct crypto_idkey *k);

/*
 * out = HMAC-SHA256(key, kind || data).  k is only read, so any number of
 * threads may use one.
 */
void crypto_id(const struct crypto_idkey *k, uint8_t kind, const void *data,
    size_t len, uint8_t out[CRYPTO_ID_LEN]);

/* SipHash-2-4 with 64 bits of output, as a number (its bytes little-endian). */
uint64_t crypto_siphash(const uint8_t key[16], const void *data, size_t len);

/* --- sealing under a shared key ---------------------------------------------*/

/* One cipher context, for one thread at a time; reused over many blobs. */
struct crypto_aead;
struct crypto_aead *crypto_aead_new(struct err *err);
void crypto_aead_free(struct crypto_aead *a);

/*
 * ChaCha20-Poly1305 as RFC 8439.  dst receives len + CRYPTO_TAG_LEN bytes, the
 * tag last; dst may equal src.  Sealing cannot fail but by a fault of the
 * library (class BUG).  Opening returns 0, or -1 with class CORRUPT and dst
 * wiped when key, nonce, ad or any byte differ; len is that of the sealed form.
 */
int crypto_blob_seal(struct crypto_aead *a, const uint8_t key[CRYPTO_KEY_LEN],
    const uint8_t nonce[CRYPTO_BLOB_NONCE_LEN], const void *ad, size_t adlen,
    const void *src, size_t len, uint8_t *dst, struct err *err);
int crypto_blob_open(struct crypto_aead *a, const uint8_t key[CRYPTO_KEY_LEN],
    const uint8_t nonce[CRYPTO_BLOB_NONCE_LEN], const void *ad, size_t adlen,
    const void *src, size_t len, uint8_t *dst, struct err *err);

/* XChaCha20-Poly1305 (IETF draft, libsodium); the same rules, any thread. */
void crypto_xseal(const uint8_t key[CRYPTO_KEY_LEN],
    const uint8_t nonce[CRYPTO_XNONCE_LEN], const void *ad, size_t adlen,
    const void *src, size_t len, uint8_t *dst);
int crypto_xopen(const uint8_t key[CRYPTO_KEY_LEN],
    const uint8_t nonce[CRYPTO_XNONCE_LEN], const void *ad, size_t adlen,
    const void *src, size_t len, uint8_t *dst, struct err *err);

/* --- sealing to a public key ------------------------------------------------*/

/* pub = the X25519 public key of the secret scalar sec. */
void crypto_box_public(uint8_t pub[CRYPTO_PUB_LEN],
    const uint8_t sec[CRYPTO_KEY_LEN]);

/*
 * libsodium's crypto_box_seal: dst receives len + CRYPTO_BOX_EXTRA bytes and
 * must not overlap src.  -1 with class CORRUPT when pub is no usable key (a
 * point of low order).
 */
int crypto_box_seal_to(const uint8_t pub[CRYPTO_PUB_LEN], const void *src,
    size_t len, uint8_t *dst, struct err *err);
/*
 * Return 0, or -1 with class CORRUPT and nothing of the content in dst; len is
 * that of the sealed form; dst must not overlap src.
 */
int crypto_box_open_with(const uint8_t sec[CRYPTO_KEY_LEN], const void *src,
    size_t len, uint8_t *dst, struct err *err);

/* --- signatures -------------------------------------------------------------*/

/* An Ed25519 signing key expanded from its 32-byte seed. */
void crypto_sign_public(uint8_t pub[CRYPTO_PUB_LEN],
    const uint8_t seed[CRYPTO_KEY_LEN]);
/* sig = the signature of data (named so because libsodium has a crypto_sign). */
void crypto_sign_with(uint8_t sig[CRYPTO_SIG_LEN],
    const uint8_t seed[CRYPTO_KEY_LEN], const void *data, size_t len);
/* Return 0 when sig is pub's signature of data, else -1 with class CORRUPT. */
int crypto_verify(const uint8_t sig[CRYPTO_SIG_LEN],
    const uint8_t pub[CRYPTO_PUB_LEN], const void *data, size_t len,
    struct err *err);

/* --- passphrases ------------------------------------------------------------*/

/*
 * key = Argon2id(passphrase, salt), version 1.3, one lane, with ops passes
 * over mem KiB.  Refuses ops above 64 and mem above max_mem_kib (class
 * UNSUPPORTED naming both), so that a stored parameter cannot exhaust the
 * machine; and no pass at all or less than 8 KiB (UNSUPPORTED).  Class FULL when the
 * memory is not to be had.
 */
int crypto_passphrase(uint8_t key[CRYPTO_KEY_LEN], const char *pass, size_t len,
    const uint8_t salt[CRYPTO_SALT_LEN], uint32_t ops, uint32_t mem_kib,
    uint32_t max_mem_kib, struct err *err);

/* The parameters for new wraps: libsodium's INTERACTIVE limits. */
void crypto_passphrase_defaults(uint32_t *ret_ops, uint32_t *ret_mem_kib);

/* CRC-64/XZ of data, going on from crc (0 at the start); not a secret's guard. */
uint64_t crypto_crc64(uint64_t crc, const void *data, size_t len);

/* CRC-32C of data, as stores take it beside an object; neither is this one. */
uint32_t crypto_crc32c(const void *data, size_t len);

/*
 * out = MD5(data), which some stores demand with a request; it guards nothing.
 * Return 0, or -1 where the system forbids MD5.
 */
int crypto_md5(uint8_t out[16], const void *data, size_t len);

/* Append data in base64 (RFC 4648, padded); memory as told in buf.h. */
void crypto_base64(struct buf *dst, const void *data, size_t len);

/*
 * Read such text into dst, of cap bytes, in constant time.  Return 0, or -1 when
 * it is malformed or longer.
 */
int crypto_unbase64(void *dst, size_t cap, const char *text, size_t *ret_len);

#endif
