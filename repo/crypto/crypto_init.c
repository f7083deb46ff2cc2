#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "repo/crypto/crypto.h"
#include "repo/crypto/crypto_internal.h"

static EVP_CIPHER *chacha;

int crypto_init(struct err *err)
{
	/* 1 means that it was ready before. */
	if (sodium_init() < 0)
		return err_set(err, ERR_UNSUPPORTED, "libsodium does not start");
	if (chacha != NULL)
		return 0;
	/* Where there is no memory for this, OpenSSL 3.0 goes on and crashes. */
	if (OSSL_LIB_CTX_get0_global_default() == NULL)
		return err_nomem(err, "OpenSSL");
	chacha = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	if (chacha == NULL)
		return err_set(err, ERR_UNSUPPORTED,
		    "OpenSSL offers no ChaCha20-Poly1305");
	return 0;
}

const EVP_CIPHER *crypto_chacha20_poly1305(void)
{
	return chacha;
}
