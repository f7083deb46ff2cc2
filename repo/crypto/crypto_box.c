/* Sealing to a public key: X25519 (RFC 7748) and libsodium's sealed box. */
#include <assert.h>
#include <sodium.h>

#include "repo/crypto/crypto.h"

static_assert(crypto_box_PUBLICKEYBYTES == CRYPTO_PUB_LEN, "public key length");
static_assert(crypto_box_SECRETKEYBYTES == CRYPTO_KEY_LEN, "secret key length");
static_assert(crypto_box_SEALBYTES == CRYPTO_BOX_EXTRA, "what a box adds");

void crypto_box_public(uint8_t pub[CRYPTO_PUB_LEN],
    const uint8_t sec[CRYPTO_KEY_LEN])
{
	/* Cannot fail: the scalar is clamped and the base point is sound. */
	(void)crypto_scalarmult_base(pub, sec);
}

int crypto_box_seal_to(const uint8_t pub[CRYPTO_PUB_LEN], const void *src,
    size_t len, uint8_t *dst, struct err *err)
{
	if (crypto_box_seal(dst, src, len, pub) != 0)
		return err_set(err, ERR_CORRUPT,
		    "the public key to seal to is not a usable one");
	return 0;
}

int crypto_box_open_with(const uint8_t sec[CRYPTO_KEY_LEN], const void *src,
    size_t len, uint8_t *dst, struct err *err)
{
	uint8_t pub[CRYPTO_PUB_LEN];

	if (len < CRYPTO_BOX_EXTRA)
		return err_set(err, ERR_CORRUPT,
		    "a sealed box is cut off: %zu bytes", len);
	/* The box's nonce is a hash of both public keys. */
	crypto_box_public(pub, sec);
	if (crypto_box_seal_open(dst, src, len, pub, sec) != 0)
		return err_set(err, ERR_CORRUPT,
		    "a sealed box does not open with this key");
	return 0;
}
