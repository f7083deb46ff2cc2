#include "chunker/chunker_internal.h"

#ifdef CHUNKER_ARM
/* Older clang declares the instructions only where all code may use them. */
#if defined(__clang__) && !defined(__ARM_FEATURE_AES)
#define __ARM_FEATURE_AES 1
#endif
#include <arm_neon.h>

/*
 * arm64 with the AES and PMULL instructions.  Eight windows are encrypted side
 * by side.  AESE adds the key before the substitution, so round r takes key r
 * and the last key is added on its own.
 */

#if defined(__clang__)
#define TARGET __attribute__((target("aes")))
#else
#define TARGET __attribute__((target("+crypto")))
#endif
#define INLINE TARGET inline __attribute__((always_inline))

#define WIDTH 8

/* First eight bytes of AES(x), as a number. */
static INLINE uint64_t aes_first64(const struct chunker *c, uint8x16_t x)
{
	for (int r = 0; r < 9; r++)
		x = vaesmcq_u8(vaeseq_u8(x, vld1q_u8(c->rk[r])));
	x = veorq_u8(vaeseq_u8(x, vld1q_u8(c->rk[9])), vld1q_u8(c->rk[10]));
	return vgetq_lane_u64(vreinterpretq_u64_u8(x), 0);
}

TARGET size_t chunker_arm64_stream(const struct chunker *c, const uint8_t *p,
    size_t from, size_t to, uint64_t limit)
{
	uint64x2_t below = vdupq_n_u64(limit);
	uint8x16_t last = vld1q_u8(c->rk[10]);
	size_t n = from;

	for (; n + WIDTH - 1 <= to; n += WIDTH) {
		const uint8_t *w = p + n - 16;
		uint8x16_t x[WIDTH];
		uint64x2_t any = vdupq_n_u64(0);

		CHUNKER_UNROLL
		for (int i = 0; i < WIDTH; i++)
			x[i] = vld1q_u8(w + i);
		CHUNKER_UNROLL
		for (int r = 0; r < 9; r++) {
			uint8x16_t k = vld1q_u8(c->rk[r]);

			CHUNKER_UNROLL
			for (int i = 0; i < WIDTH; i++)
				x[i] = vaesmcq_u8(vaeseq_u8(x[i], k));
		}
		CHUNKER_UNROLL
		for (int i = 0; i < WIDTH; i++) {
			x[i] = vaeseq_u8(x[i], vld1q_u8(c->rk[9]));
			x[i] = veorq_u8(x[i], last);
			any = vorrq_u64(any,
			    vcltq_u64(vreinterpretq_u64_u8(x[i]), below));
		}
		if (vgetq_lane_u64(any, 0) != 0)
			break;
	}
	/* The eight of which one hits, or the few that are left. */
	for (; n <= to; n++) {
		if (aes_first64(c, vld1q_u8(p + n - 16)) < limit)
			return n;
	}
	return 0;
}

/* The carry-less product of the low halves. */
static INLINE uint64x2_t mul_low(uint64x2_t a, uint64x2_t b)
{
	return vreinterpretq_u64_p128(vmull_p64(
	    (poly64_t)vgetq_lane_u64(a, 0), (poly64_t)vgetq_lane_u64(b, 0)));
}

/* The carry-less product of the high halves. */
static INLINE uint64x2_t mul_high(uint64x2_t a, uint64x2_t b)
{
	return vreinterpretq_u64_p128(vmull_high_p64(
	    vreinterpretq_p64_u64(a), vreinterpretq_p64_u64(b)));
}

static INLINE uint64x2_t swap(uint64x2_t a)
{
	return vextq_u64(a, a, 1);
}

/*
 * POLYVAL of a block: the sum of its 256 parts, each times its own power of H.
 * The products are added as they are and reduced once.
 */
static INLINE uint64x2_t digest(const struct chunker *c, const uint8_t *p)
{
	uint64x2_t zero = vdupq_n_u64(0), lo = zero, hi = zero, mid = zero;
	uint64x2_t mid2 = zero, poly = vdupq_n_u64(CHUNKER_POLY);

	CHUNKER_UNROLL
	for (int i = 0; i < (int)CHUNKER_LANES; i++) {
		uint64x2_t x = vreinterpretq_u64_u8(vld1q_u8(p + 16 * i));
		uint64x2_t h = vreinterpretq_u64_u8(vld1q_u8(c->t.pow[i]));
		uint64x2_t crossed = swap(h);

		lo = veorq_u64(lo, mul_low(x, h));
		hi = veorq_u64(hi, mul_high(x, h));
		mid = veorq_u64(mid, mul_low(x, crossed));
		mid2 = veorq_u64(mid2, mul_high(x, crossed));
	}
	mid = veorq_u64(mid, mid2);
	lo = veorq_u64(lo, vextq_u64(zero, mid, 1));
	hi = veorq_u64(hi, vextq_u64(mid, zero, 1));
	/* Divide hi:lo by x^128 modulo the polynomial of POLYVAL. */
	lo = veorq_u64(swap(lo), mul_low(lo, poly));
	lo = veorq_u64(swap(lo), mul_low(lo, poly));
	return veorq_u64(lo, hi);
}

TARGET size_t chunker_arm64_block(const struct chunker *c, const uint8_t *p,
    size_t from, size_t to, uint64_t limit)
{
	for (size_t n = from; n <= to; n += CHUNKER_BLOCK_LEN) {
		uint64x2_t d = digest(c, p + n - CHUNKER_BLOCK_LEN);

		if (aes_first64(c, vreinterpretq_u8_u64(d)) < limit)
			return n;
	}
	return 0;
}
#endif
