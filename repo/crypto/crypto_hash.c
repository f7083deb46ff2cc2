/*
 * SHA-256 and HMAC-SHA256 (RFC 2104, FIPS 180-4).
 *
 * These use OpenSSL's SHA256_* functions, which 3.0 calls deprecated: the same
 * compression function with the CPU's SHA extensions, but a context that is a
 * plain struct.  A prepared EVP_MD_CTX is copied by allocating, so an id could
 * fail for want of memory, and one of 64 bytes would cost 243 ns, not 144.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <assert.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

static_assert(SHA256_DIGEST_LENGTH == CRYPTO_ID_LEN, "an id is a SHA-256");
static_assert(SHA256_DIGEST_LENGTH == CRYPTO_KEY_LEN, "a derived key is one, too");

/* The states of both hashes of an HMAC after their padded key. */
struct crypto_idkey {
	SHA256_CTX inner;
	SHA256_CTX outer;
};

struct crypto_sha256 {
	SHA256_CTX ctx;
};

/* len is at most that of a block. */
static void hmac_init(struct crypto_idkey *k, const uint8_t *key, size_t len)
{
	uint8_t pad[SHA256_CBLOCK];

	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = (i < len ? key[i] : 0) ^ 0x36;
	SHA256_Init(&k->inner);
	SHA256_Update(&k->inner, pad, sizeof(pad));

	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	SHA256_Init(&k->outer);
	SHA256_Update(&k->outer, pad, sizeof(pad));
	mem_wipe(pad, sizeof(pad));
}

/* out = the HMAC whose inner hash got all its data; inner is used up. */
static void hmac_end(const struct crypto_idkey *k, SHA256_CTX *inner,
    uint8_t out[SHA256_DIGEST_LENGTH])
{
	SHA256_CTX outer = k->outer;

	SHA256_Final(out, inner);
	SHA256_Update(&outer, out, SHA256_DIGEST_LENGTH);
	SHA256_Final(out, &outer);
}

void crypto_hmac(uint8_t out[32], const uint8_t key[CRYPTO_KEY_LEN],
    const void *data, size_t len)
{
	struct crypto_idkey k;

	hmac_init(&k, key, CRYPTO_KEY_LEN);
	SHA256_Update(&k.inner, data, len);
	hmac_end(&k, &k.inner, out);
	mem_wipe(&k, sizeof(k));
}

void crypto_hmac_any(uint8_t out[32], const void *key, size_t key_len,
    const void *data, size_t len)
{
	uint8_t hashed[SHA256_DIGEST_LENGTH];
	struct crypto_idkey k;

	if (key_len > SHA256_CBLOCK) {
		crypto_sha256(hashed, key, key_len);
		hmac_init(&k, hashed, sizeof(hashed));
	} else {
		hmac_init(&k, key, key_len);
	}
	SHA256_Update(&k.inner, data, len);
	hmac_end(&k, &k.inner, out);
	mem_wipe(&k, sizeof(k));
	mem_wipe(hashed, sizeof(hashed));
}

void crypto_derive(uint8_t out[CRYPTO_KEY_LEN],
    const uint8_t parent[CRYPTO_KEY_LEN], const char *label)
{
	crypto_hmac(out, parent, label, strlen(label));
}

struct crypto_idkey *crypto_idkey_new(const uint8_t key[CRYPTO_KEY_LEN],
    struct err *err)
{
	/* As good as the key itself, so kept like one. */
	struct crypto_idkey *k = crypto_secret_new(sizeof(*k), err);

	if (k != NULL)
		hmac_init(k, key, CRYPTO_KEY_LEN);
	return k;
}

void crypto_idkey_free(struct crypto_idkey *k)
{
	crypto_secret_free(k);
}

void crypto_id(const struct crypto_idkey *k, uint8_t kind, const void *data,
    size_t len, uint8_t out[CRYPTO_ID_LEN])
{
	SHA256_CTX inner = k->inner;

	SHA256_Update(&inner, &kind, 1);
	SHA256_Update(&inner, data, len);
	hmac_end(k, &inner, out);
}

void crypto_sha256(uint8_t out[32], const void *data, size_t len)
{
	SHA256_CTX ctx;

	SHA256_Init(&ctx);
	SHA256_Update(&ctx, data, len);
	SHA256_Final(out, &ctx);
}

struct crypto_sha256 *crypto_sha256_new(struct err *err)
{
	struct crypto_sha256 *h = mem_zalloc(sizeof(*h), "a hash", err);

	if (h != NULL)
		SHA256_Init(&h->ctx);
	return h;
}

void crypto_sha256_free(struct crypto_sha256 *h)
{
	if (h == NULL)
		return;
	mem_wipe(h, sizeof(*h));
	free(h);
}

void crypto_sha256_reset(struct crypto_sha256 *h)
{
	SHA256_Init(&h->ctx);
}

void crypto_sha256_add(struct crypto_sha256 *h, const void *data, size_t len)
{
	SHA256_Update(&h->ctx, data, len);
}

void crypto_sha256_end(struct crypto_sha256 *h, uint8_t out[32])
{
	SHA256_Final(out, &h->ctx);
	SHA256_Init(&h->ctx);
}
