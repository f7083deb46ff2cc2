/* Argon2id (RFC 9106, one lane) by libsodium. */
#include <assert.h>
#include <sodium.h>

#include "repo/crypto/crypto.h"

static_assert(crypto_pwhash_argon2id_SALTBYTES == CRYPTO_SALT_LEN, "salt length");

#define OPS_MAX 64
#define MEM_MIN_KIB (crypto_pwhash_argon2id_MEMLIMIT_MIN / 1024)

int crypto_passphrase(uint8_t key[CRYPTO_KEY_LEN], const char *pass, size_t len,
    const uint8_t salt[CRYPTO_SALT_LEN], uint32_t ops, uint32_t mem_kib,
    uint32_t max_mem_kib, struct err *err)
{
	if (ops > OPS_MAX || mem_kib > max_mem_kib)
		return err_set(err, ERR_UNSUPPORTED,
		    "unlocking takes %u passes over %u KiB of memory, and at "
		    "most %u passes over %u KiB are allowed here",
		    (unsigned)ops, (unsigned)mem_kib, OPS_MAX,
		    (unsigned)max_mem_kib);
	if (ops < crypto_pwhash_argon2id_OPSLIMIT_MIN || mem_kib < MEM_MIN_KIB)
		return err_set(err, ERR_UNSUPPORTED,
		    "unlocking is said to take %u passes over %u KiB, less "
		    "than Argon2id has", (unsigned)ops, (unsigned)mem_kib);
	if (len > crypto_pwhash_argon2id_PASSWD_MAX)
		return err_set(err, ERR_USAGE, "the passphrase is too long");

	/* Every argument is in range, so it can fail for want of memory only. */
	if (crypto_pwhash_argon2id(key, CRYPTO_KEY_LEN, len > 0 ? pass : "",
	    len, salt, ops, (size_t)mem_kib * 1024,
	    crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
		return err_nomem(err, "unlocking by passphrase");
	return 0;
}

void crypto_passphrase_defaults(uint32_t *ret_ops, uint32_t *ret_mem_kib)
{
	*ret_ops = crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE;
	*ret_mem_kib = crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE / 1024;
}
