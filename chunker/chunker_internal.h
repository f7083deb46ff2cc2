#ifndef CHUNKER_CHUNKER_INTERNAL_H
#define CHUNKER_CHUNKER_INTERNAL_H

#include "chunker/chunker.h"

/*
 * What the room's files share.  Each path has one scan for each mode, of type
 * chunker_scan_fn: return the least length L, from <= L <= to, at which the
 * value of the bytes at p is below limit, or 0.  In block mode from and to are
 * multiples of the block.  In stream mode from is at least 16.  A scan reads
 * p[0 .. to-1] only.
 */

#if defined(__x86_64__)
#define CHUNKER_X86 1
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define CHUNKER_ARM 1
#endif

/* Unroll the loop that follows, whatever the optimisation level. */
#if defined(__clang__)
#define CHUNKER_UNROLL _Pragma("unroll")
#else
#define CHUNKER_UNROLL _Pragma("GCC unroll 16")
#endif

/* Blocks of 16 bytes in a block of block mode. */
#define CHUNKER_LANES (CHUNKER_BLOCK_LEN / 16)

/* The constant of POLYVAL's reduction: x^63 + x^62 + x^57. */
#define CHUNKER_POLY 0xc200000000000000u

static inline uint64_t chunker_load64(const uint8_t *p)
{
	return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 |
	    (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
	    (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
	    (uint64_t)p[7] << 56;
}

static inline void chunker_store64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* Called from this room only, hence without detours in shared objects. */
#pragma GCC visibility push(hidden)

/* Write the eleven round keys of the AES-128 key to rk (FIPS 197, 5.2). */
void chunker_aes_expand(uint8_t rk[11][16], const uint8_t key[16]);

/* Encrypt one block, byte by byte; in and out may be the same. */
void chunker_aes_encrypt(const uint8_t rk[11][16], const uint8_t in[16],
    uint8_t out[16]);

/* Fill te with the tables by which the scalar path does a round. */
void chunker_aes_tables(uint32_t te[4][256]);

/*
 * ret = a . b / x^128 modulo x^128 + x^127 + x^126 + x^121 + 1: the product
 * dot(a, b) of POLYVAL (RFC 8452), bit 0 of byte 0 the coefficient of x^0.
 */
void chunker_dot(const uint8_t a[16], const uint8_t b[16], uint8_t ret[16]);

/* Fill mul so that dot(a, h) is the sum of mul[i][i-th nibble of a]. */
void chunker_dot_tables(uint64_t mul[32][16][2], const uint8_t h[16]);

chunker_scan_fn chunker_scalar_stream;
chunker_scan_fn chunker_scalar_block;
#ifdef CHUNKER_X86
chunker_scan_fn chunker_aesni_stream;
chunker_scan_fn chunker_aesni_block;
chunker_scan_fn chunker_vaes256_stream;
chunker_scan_fn chunker_vaes256_block;
chunker_scan_fn chunker_vaes512_stream;
chunker_scan_fn chunker_vaes512_block;
#endif
#ifdef CHUNKER_ARM
chunker_scan_fn chunker_arm64_stream;
chunker_scan_fn chunker_arm64_block;
#endif

#pragma GCC visibility pop

#endif
