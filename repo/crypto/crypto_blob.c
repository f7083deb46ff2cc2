/*
 * ChaCha20-Poly1305 (RFC 8439) by OpenSSL's kernel, the fast one of the two
 * libraries; libsodium's crypto_aead_chacha20poly1305_ietf gives the same
 * bytes (tests/unit/crypto_aead.c).
 */
#include <assert.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"
#include "repo/crypto/crypto_internal.h"

static_assert(crypto_aead_chacha20poly1305_ietf_KEYBYTES == CRYPTO_KEY_LEN,
    "key length of RFC 8439");
static_assert(crypto_aead_chacha20poly1305_ietf_NPUBBYTES ==
    CRYPTO_BLOB_NONCE_LEN, "nonce length of RFC 8439");
static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == CRYPTO_TAG_LEN,
    "tag length of RFC 8439");

/* EVP counts in int; what is longer goes in pieces of whole cipher blocks. */
#define PIECE_MAX ((size_t)1 << 30)

enum { OPEN = 0, SEAL = 1 }; /* the values EVP_CipherInit_ex takes */

struct crypto_aead {
	EVP_CIPHER_CTX *ctx;
};

struct crypto_aead *crypto_aead_new(struct err *err)
{
	struct crypto_aead *a = mem_zalloc(sizeof(*a), "a cipher context", err);

	if (a == NULL)
		return NULL;
	a->ctx = EVP_CIPHER_CTX_new();
	if (a->ctx == NULL) {
		err_nomem(err, "a cipher context");
		goto fail;
	}
	if (!EVP_CipherInit_ex2(a->ctx, crypto_chacha20_poly1305(), NULL, NULL,
	    SEAL, NULL)) {
		/* The cipher was fetched, so what is left is memory. */
		err_nomem(err, "a cipher context");
		goto fail;
	}
	return a;
fail:
	crypto_aead_free(a);
	return NULL;
}

void crypto_aead_free(struct crypto_aead *a)
{
	if (a == NULL)
		return;
	EVP_CIPHER_CTX_free(a->ctx); /* wipes the key in it */
	free(a);
}

/* Feed len bytes; dst is NULL for associated data.  Return 1, or 0. */
static int feed(EVP_CIPHER_CTX *ctx, uint8_t *dst, const uint8_t *src,
    size_t len)
{
	while (len > 0) {
		size_t piece = len < PIECE_MAX ? len : PIECE_MAX;
		int n = 0;

		if (!EVP_CipherUpdate(ctx, dst, &n, src, (int)piece))
			return 0;
		if (dst != NULL)
			dst += piece;
		src += piece;
		len -= piece;
	}
	return 1;
}

int crypto_blob_seal(struct crypto_aead *a, const uint8_t key[CRYPTO_KEY_LEN],
    const uint8_t nonce[CRYPTO_BLOB_NONCE_LEN], const void *ad, size_t adlen,
    const void *src, size_t len, uint8_t *dst, struct err *err)
{
	uint8_t none[1];
	int n = 0;

	if (!EVP_CipherInit_ex2(a->ctx, NULL, key, nonce, SEAL, NULL) ||
	    !feed(a->ctx, NULL, ad, adlen) ||
	    !feed(a->ctx, dst, src, len) ||
	    !EVP_CipherFinal_ex(a->ctx, none, &n) ||
	    !EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, CRYPTO_TAG_LEN,
	    dst + len))
		return err_set(err, ERR_BUG, "the cipher failed to seal");
	return 0;
}

int crypto_blob_open(struct crypto_aead *a, const uint8_t key[CRYPTO_KEY_LEN],
    const uint8_t nonce[CRYPTO_BLOB_NONCE_LEN], const void *ad, size_t adlen,
    const void *src, size_t len, uint8_t *dst, struct err *err)
{
	uint8_t tag[CRYPTO_TAG_LEN];
	uint8_t none[1];
	int n = 0;

	if (len < CRYPTO_TAG_LEN)
		return err_set(err, ERR_CORRUPT,
		    "sealed bytes are cut off: %zu are no whole tag", len);
	len -= CRYPTO_TAG_LEN;
	memcpy(tag, (const uint8_t *)src + len, CRYPTO_TAG_LEN);

	if (!EVP_CipherInit_ex2(a->ctx, NULL, key, nonce, OPEN, NULL) ||
	    !EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, CRYPTO_TAG_LEN,
	    tag) ||
	    !feed(a->ctx, NULL, ad, adlen) ||
	    !feed(a->ctx, dst, src, len) ||
	    !EVP_CipherFinal_ex(a->ctx, none, &n)) {
		/* The bytes were decrypted before the tag was compared. */
		if (len > 0)
			mem_wipe(dst, len);
		return err_set(err, ERR_CORRUPT,
		    "sealed bytes do not authenticate");
	}
	return 0;
}
