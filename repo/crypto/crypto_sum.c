/* Short sums: SipHash-2-4 for order and tables, CRC-64/XZ against bit rot. */
#include <assert.h>
#include <isa-l/crc64.h>
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
