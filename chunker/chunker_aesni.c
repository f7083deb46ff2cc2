#include "chunker/chunker_x86.h"

#ifdef CHUNKER_X86

/*
 * x86-64 with AES-NI, PCLMULQDQ and SSE4.2.  Eight windows are encrypted side
 * by side, so that the latency of one instruction is filled with seven others.
 */

#define TARGET __attribute__((target("aes,pclmul,sse4.2")))
#define INLINE TARGET inline __attribute__((always_inline))

#define WIDTH 8

TARGET size_t chunker_aesni_stream(const struct chunker *c, const uint8_t *p,
    size_t from, size_t to, uint64_t limit)
{
	/* There is no unsigned comparison: flip the sign of both sides. */
	__m128i sign = _mm_set1_epi64x(INT64_MIN);
	__m128i below = _mm_xor_si128(
	    _mm_set1_epi64x((long long)limit), sign);
	__m128i last = _mm_xor_si128(chunker_round_key(c, 10), sign);
	size_t n = from;

	for (; n + WIDTH - 1 <= to; n += WIDTH) {
		const uint8_t *w = p + n - 16;
		__m128i x[WIDTH], any = _mm_setzero_si128();
		__m128i first = chunker_round_key(c, 0);

		CHUNKER_UNROLL
		for (int i = 0; i < WIDTH; i++)
			x[i] = _mm_xor_si128(chunker_load128(w + i), first);
		CHUNKER_UNROLL
		for (int r = 1; r < 10; r++) {
			__m128i k = chunker_round_key(c, r);

			CHUNKER_UNROLL
			for (int i = 0; i < WIDTH; i++)
				x[i] = _mm_aesenc_si128(x[i], k);
		}
		CHUNKER_UNROLL
		for (int i = 0; i < WIDTH; i++) {
			x[i] = _mm_aesenclast_si128(x[i], last);
			any = _mm_or_si128(any, _mm_cmpgt_epi64(below, x[i]));
		}
		if ((_mm_movemask_epi8(any) & 0xff) != 0)
			break;
	}
	/* The eight of which one hits, or the few that are left. */
	for (; n <= to; n++) {
		__m128i w = chunker_load128(p + n - 16);

		if (chunker_aes_first64(c, w) < limit)
			return n;
	}
	return 0;
}

/*
 * POLYVAL of a block: the sum of its 256 parts, each times its own power of H.
 * The products are added as they are and reduced once.
 */
static INLINE __m128i digest(const struct chunker *c, const uint8_t *p)
{
	__m128i lo = _mm_setzero_si128(), hi = lo, mid = lo, mid2 = lo;

	CHUNKER_UNROLL
	for (int i = 0; i < (int)CHUNKER_LANES; i++) {
		__m128i x = chunker_load128(p + 16 * i);
		__m128i h = chunker_load128(c->t.pow[i]);

		lo = _mm_xor_si128(lo, _mm_clmulepi64_si128(x, h, 0x00));
		hi = _mm_xor_si128(hi, _mm_clmulepi64_si128(x, h, 0x11));
		mid = _mm_xor_si128(mid, _mm_clmulepi64_si128(x, h, 0x01));
		mid2 = _mm_xor_si128(mid2, _mm_clmulepi64_si128(x, h, 0x10));
	}
	mid = _mm_xor_si128(mid, mid2);
	lo = _mm_xor_si128(lo, _mm_slli_si128(mid, 8));
	hi = _mm_xor_si128(hi, _mm_srli_si128(mid, 8));
	return chunker_reduce(lo, hi);
}

TARGET size_t chunker_aesni_block(const struct chunker *c, const uint8_t *p,
    size_t from, size_t to, uint64_t limit)
{
	for (size_t n = from; n <= to; n += CHUNKER_BLOCK_LEN) {
		__m128i d = digest(c, p + n - CHUNKER_BLOCK_LEN);

		if (chunker_aes_first64(c, d) < limit)
			return n;
	}
	return 0;
}
#endif
