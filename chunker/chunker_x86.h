#ifndef CHUNKER_CHUNKER_X86_H
#define CHUNKER_CHUNKER_X86_H

#include "chunker/chunker_internal.h"

/*
 * What the x86-64 paths have in common.  Everything is inlined into functions
 * of wider targets, where the compiler encodes it as theirs.
 */

#ifdef CHUNKER_X86
#include <immintrin.h>

#define CHUNKER_X86_INLINE \
	__attribute__((target("aes,pclmul,sse4.2"), always_inline)) inline

static CHUNKER_X86_INLINE __m128i chunker_load128(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static CHUNKER_X86_INLINE __m128i chunker_round_key(const struct chunker *c,
    int r)
{
	return _mm_load_si128((const __m128i *)(const void *)c->rk[r]);
}

/* First eight bytes of AES(x), as a number. */
static CHUNKER_X86_INLINE uint64_t chunker_aes_first64(const struct chunker *c,
    __m128i x)
{
	x = _mm_xor_si128(x, chunker_round_key(c, 0));
	for (int r = 1; r < 10; r++)
		x = _mm_aesenc_si128(x, chunker_round_key(c, r));
	x = _mm_aesenclast_si128(x, chunker_round_key(c, 10));
	return (uint64_t)_mm_cvtsi128_si64(x);
}

/* Divide the 256 bits hi:lo by x^128 modulo the polynomial of POLYVAL. */
static CHUNKER_X86_INLINE __m128i chunker_reduce(__m128i lo, __m128i hi)
{
	__m128i poly = _mm_set_epi64x((long long)CHUNKER_POLY, 1);

	for (int i = 0; i < 2; i++) {
		__m128i t = _mm_clmulepi64_si128(lo, poly, 0x10);

		lo = _mm_xor_si128(_mm_shuffle_epi32(lo, 0x4e), t);
	}
	return _mm_xor_si128(lo, hi);
}
#endif

#endif
