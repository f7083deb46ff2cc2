#include "chunker/chunker_x86.h"

#ifdef CHUNKER_X86

/*
 * x86-64 with AVX-512, VAES and VPCLMULQDQ.  An unaligned load of 64 bytes holds
 * four windows, 16 bytes apart; sixteen such loads, each a byte on, hold the 64
 * windows of a stride.  Sixteen states and eleven keys stay in registers.
 */

#define TARGET __attribute__((target( \
	"avx512f,avx512bw,avx2,aes,pclmul,vaes,vpclmulqdq")))
#define INLINE TARGET inline __attribute__((always_inline))

#define WIDTH 16
#define STRIDE 64

/* The low halves of the four lanes: where the first eight bytes are. */
#define LOW_HALVES 0x55

static INLINE __m512i load(const uint8_t *p)
{
	return _mm512_loadu_si512((const void *)p);
}

TARGET size_t chunker_vaes512_stream(const struct chunker *c, const uint8_t *p,
    size_t from, size_t to, uint64_t limit)
{
	__m512i below = _mm512_set1_epi64((long long)limit);
	__m512i k[11];
	size_t n = from;

	for (int r = 0; r < 11; r++)
		k[r] = _mm512_broadcast_i32x4(chunker_round_key(c, r));
	for (; n + STRIDE - 1 <= to; n += STRIDE) {
		const uint8_t *w = p + n - 16;
		__m512i x[WIDTH];

		CHUNKER_UNROLL
		for (int i = 0; i < WIDTH; i++)
			x[i] = _mm512_xor_si512(load(w + i), k[0]);
		CHUNKER_UNROLL
		for (int r = 1; r < 10; r++) {
			CHUNKER_UNROLL
			for (int i = 0; i < WIDTH; i++)
				x[i] = _mm512_aesenc_epi128(x[i], k[r]);
		}
		CHUNKER_UNROLL
		for (int i = 0; i < WIDTH; i++)
			x[i] = _mm512_aesenclast_epi128(x[i], k[10]);
		/* The least of all sixteen says whether any hits. */
		CHUNKER_UNROLL
		for (int i = 0; i < WIDTH / 2; i++)
			x[i] = _mm512_min_epu64(x[i], x[i + WIDTH / 2]);
		CHUNKER_UNROLL
		for (int i = 1; i < WIDTH / 2; i++)
			x[0] = _mm512_min_epu64(x[0], x[i]);
		if (_mm512_mask_cmplt_epu64_mask(LOW_HALVES, x[0], below) != 0)
			break;
	}
	if (n > to)
		return 0;
	/* The stride of which one hits, or less than a stride. */
	return chunker_aesni_stream(c, p, n, to, limit);
}

/* The sum of the four lanes. */
static INLINE __m128i fold(__m512i x)
{
	__m256i y = _mm256_xor_si256(_mm512_castsi512_si256(x),
	    _mm512_extracti64x4_epi64(x, 1));

	return _mm_xor_si128(_mm256_castsi256_si128(y),
	    _mm256_extracti128_si256(y, 1));
}

/* POLYVAL of a block: products of four parts at a time, reduced once. */
static INLINE __m128i digest(const struct chunker *c, const uint8_t *p)
{
	__m512i lo = _mm512_setzero_si512(), hi = lo, mid = lo, mid2 = lo;

	CHUNKER_UNROLL
	for (int i = 0; i < (int)CHUNKER_LANES; i += 4) {
		__m512i x = load(p + 16 * i);
		__m512i h = load(c->t.pow[i]);

		lo = _mm512_xor_si512(lo,
		    _mm512_clmulepi64_epi128(x, h, 0x00));
		hi = _mm512_xor_si512(hi,
		    _mm512_clmulepi64_epi128(x, h, 0x11));
		mid = _mm512_xor_si512(mid,
		    _mm512_clmulepi64_epi128(x, h, 0x01));
		mid2 = _mm512_xor_si512(mid2,
		    _mm512_clmulepi64_epi128(x, h, 0x10));
	}
	mid = _mm512_xor_si512(mid, mid2);
	lo = _mm512_xor_si512(lo, _mm512_bslli_epi128(mid, 8));
	hi = _mm512_xor_si512(hi, _mm512_bsrli_epi128(mid, 8));
	return chunker_reduce(fold(lo), fold(hi));
}

TARGET size_t chunker_vaes512_block(const struct chunker *c, const uint8_t *p,
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
