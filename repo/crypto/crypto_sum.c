/*
 * Short sums: SipHash-2-4 for order and tables, CRC-64/XZ against bit rot,
 * CRC-32C and MD5 for stores that ask for them.
 */
#include <assert.h>
#include <isa-l/crc.h>
#include <isa-l/crc64.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "repo/base/bytes.h"
#include "repo/crypto/crypto.h"

static_assert(crypto_shorthash_KEYBYTES == 16, "SipHash's key");
static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "SipHash's output");

uint64_t crypto_siphash(const uint8_t key[16], const void *data, size_t len)
{
	uint8_t out[crypto_shorthash_BYTES];

	crypto_shorthash(out, data, len, key);
	return le64_get(out);
}

uint64_t crypto_crc64(uint64_t crc, const void *data, size_t len)
{
	/* ISA-L inverts going in and out, so 0 starts and results chain. */
	return crc64_ecma_refl(crc, data, len);
}

/* ISA-L counts with int, and goes on where it left off. */
#define CRC32C_PIECE ((size_t)1 << 30)

uint32_t crypto_crc32c(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t crc = UINT32_MAX;

	while (len > 0) {
		size_t n = len < CRC32C_PIECE ? len : CRC32C_PIECE;

		/* It only reads, but says so not. */
		crc = crc32_iscsi((unsigned char *)(uintptr_t)p, (int)n, crc);
		p += n;
		len -= n;
	}
	return ~crc;
}

int crypto_md5(uint8_t out[16], const void *data, size_t len)
{
	return EVP_Digest(data, len, out, NULL, EVP_md5(), NULL) == 1 ? 0 : -1;
}
