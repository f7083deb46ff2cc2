#include "chunker/chunker_x86.h"

#ifdef CHUNKER_X86

/*
 * x86-64 with 256-bit VAES and VPCLMULQDQ, but no need of AVX-512.  An unaligned
 * load of 32 bytes holds two windows, 16 bytes apart; sixteen such loads, each
 * a byte on, hold the 32 windows of a stride.  They are done in two halves, as
 * there are sixteen registers.
 */

#define TARGET __attribute__((target("avx2,aes,pclmul,vaes,vpclmulqdq")))
#define INLINE TARGET inline __attribute__((always_inline))

#define WIDTH 8
#define STRIDE 32

static INLINE __m256i load(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* All bits of a lane's low half are set if one of its eight windows hits. */
static INLINE __m256i eight(const __m256i k[11], __m256i below,
    const uint8_t *w)
{
	__m256i x[WIDTH], any = _mm256_setzero_si256();

	CHUNKER_UNROLL
	for (int i = 0; i < WIDTH; i++)
		x[i] = _mm256_xor_si256(load(w + i), k[0]);
	CHUNKER_UNROLL
	for (int r = 1; r < 10; r++) {
		__m256i key = k[r];

		CHUNKER_UNROLL
		for (int i = 0; i < WIDTH; i++)
			x[i] = _mm256_aesenc_epi128(x[i], key);
	}
	CHUNKER_UNROLL
	for (int i = 0; i < WIDTH; i++) {
		x[i] = _mm256_aesenclast_epi128(x[i], k[10]);
		any = _mm256_or_si256(any, _mm256_cmpgt_epi64(below, x[i]));
	}
	return any;
}

TARGET size_t chunker_vaes256_stream(const struct chunker *c, const uint8_t *p,
    size_t from, size_t to, uint64_t limit)
{
	/* There is no unsigned comparison: flip the sign of both sides. */
	__m256i sign = _mm256_set1_epi64x(INT64_MIN);
	__m256i below = _mm256_xor_si256(
	    _mm256_set1_epi64x((long long)limit), sign);
	__m256i k[11];
	size_t n = from;

	for (int r = 0; r < 11; r++)
		k[r] = _mm256_broadcastsi128_si256(chunker_round_key(c, r));
	k[10] = _mm256_xor_si256(k[10], sign);
	for (; n + STRIDE - 1 <= to; n += STRIDE) {
		const uint8_t *w = p + n - 16;
		__m256i any = _mm256_or_si256(eight(k, below, w),
		    eight(k, below, w + WIDTH));

		if ((_mm256_movemask_epi8(any) & 0x00ff00ff) != 0)
			break;
	}
	if (n > to)
		return 0;
	/* The stride of which one hits, or less than a stride. */
	return chunker_aesni_stream(c, p, n, to, limit);
}

/* POLYVAL of a block: products of two parts at a time, reduced once. */
static INLINE __m128i digest(const struct chunker *c, const uint8_t *p)
{
	__m256i lo = _mm256_setzero_si256(), hi = lo, mid = lo, mid2 = lo;

	CHUNKER_UNROLL
	for (int i = 0; i < (int)CHUNKER_LANES; i += 2) {
		__m256i x = load(p + 16 * i);
		__m256i h = load(c->t.pow[i]);

		lo = _mm256_xor_si256(lo,
		    _mm256_clmulepi64_epi128(x, h, 0x00));
		hi = _mm256_xor_si256(hi,
		    _mm256_clmulepi64_epi128(x, h, 0x11));
		mid = _mm256_xor_si256(mid,
		    _mm256_clmulepi64_epi128(x, h, 0x01));
		mid2 = _mm256_xor_si256(mid2,
		    _mm256_clmulepi64_epi128(x, h, 0x10));
	}
	mid = _mm256_xor_si256(mid, mid2);
	lo = _mm256_xor_si256(lo, _mm256_slli_si256(mid, 8));
	hi = _mm256_xor_si256(hi, _mm256_srli_si256(mid, 8));
	return chunker_reduce(_mm_xor_si128(_mm256_castsi256_si128(lo),
	    _mm256_extracti128_si256(lo, 1)),
	    _mm_xor_si128(_mm256_castsi256_si128(hi),
	    _mm256_extracti128_si256(hi, 1)));
}

TARGET size_t chunker_vaes256_block(const struct chunker *c, const uint8_t *p,
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
