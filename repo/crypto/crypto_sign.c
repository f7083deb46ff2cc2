/* Ed25519 (RFC 8032) by libsodium. */
#include <assert.h>
#include <sodium.h>

#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

static_assert(crypto_sign_SEEDBYTES == CRYPTO_KEY_LEN, "seed length");
static_assert(crypto_sign_PUBLICKEYBYTES == CRYPTO_PUB_LEN, "public key length");
static_assert(crypto_sign_BYTES == CRYPTO_SIG_LEN, "signature length");

void crypto_sign_public(uint8_t pub[CRYPTO_PUB_LEN],
    const uint8_t seed[CRYPTO_KEY_LEN])
{
	uint8_t sec[crypto_sign_SECRETKEYBYTES];

	crypto_sign_seed_keypair(pub, sec, seed);
	mem_wipe(sec, sizeof(sec));
}

void crypto_sign_with(uint8_t sig[CRYPTO_SIG_LEN],
    const uint8_t seed[CRYPTO_KEY_LEN], const void *data, size_t len)
{
	uint8_t sec[crypto_sign_SECRETKEYBYTES];
	uint8_t pub[CRYPTO_PUB_LEN];

	crypto_sign_seed_keypair(pub, sec, seed);
	crypto_sign_detached(sig, NULL, data, len, sec);
	mem_wipe(sec, sizeof(sec));
}

int crypto_verify(const uint8_t sig[CRYPTO_SIG_LEN],
    const uint8_t pub[CRYPTO_PUB_LEN], const void *data, size_t len,
    struct err *err)
{
	if (crypto_sign_verify_detached(sig, data, len, pub) != 0)
		return err_set(err, ERR_CORRUPT, "the signature does not match");
	return 0;
}
