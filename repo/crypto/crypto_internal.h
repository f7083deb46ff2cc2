#ifndef REPO_CRYPTO_CRYPTO_INTERNAL_H
#define REPO_CRYPTO_CRYPTO_INTERNAL_H

#include <openssl/evp.h>

/*
 * Return OpenSSL's ChaCha20-Poly1305, fetched once by crypto_init and kept to
 * the end of the process; NULL before.  Fetching walks the providers under a
 * lock, so it is never done a call.
 */
const EVP_CIPHER *crypto_chacha20_poly1305(void);

#endif
