/* XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) by libsodium. */
#include <assert.h>
#include <sodium.h>

#include "repo/crypto/crypto.h"

static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == CRYPTO_KEY_LEN,
    "key length of XChaCha20-Poly1305");
static_assert(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == CRYPTO_XNONCE_LEN,
    "nonce length of XChaCha20-Poly1305");
static_assert(crypto_aead_xchacha20poly1305_ietf_ABYTES == CRYPTO_TAG_LEN,
    "tag length of XChaCha20-Poly1305");

void crypto_xseal(const uint8_t key[CRYPTO_KEY_LEN],
    const uint8_t nonce[CRYPTO_XNONCE_LEN], const void *ad, size_t adlen,
    const void *src, size_t len, uint8_t *dst)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(dst, NULL, src, len, ad,
	    adlen, NULL, nonce, key);
}

int crypto_xopen(const uint8_t key[CRYPTO_KEY_LEN],
    const uint8_t nonce[CRYPTO_XNONCE_LEN], const void *ad, size_t adlen,
    const void *src, size_t len, uint8_t *dst, struct err *err)
{
	if (len < CRYPTO_TAG_LEN)
		return err_set(err, ERR_CORRUPT,
		    "sealed bytes are cut off: %zu are no whole tag", len);
	/* It compares the tag first and zeroes dst when that fails. */
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(dst, NULL, NULL, src,
	    len, ad, adlen, nonce, key) != 0)
		return err_set(err, ERR_CORRUPT,
		    "sealed bytes do not authenticate");
	return 0;
}
