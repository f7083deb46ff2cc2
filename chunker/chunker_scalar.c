#include "chunker/chunker_internal.h"

/*
 * Any CPU.  AES by tables of 32-bit columns; the block digest by one table a
 * nibble, whose 32 look-ups are independent of each other.  Tables are read at
 * places that depend on secrets, so unlike the other paths this one can be
 * watched by who shares the cache.
 */

static uint32_t load32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

/* One column of a round: rows 0-3 come from the columns a, b, c, d. */
static inline uint32_t column(const struct chunker *c, uint32_t a, uint32_t b,
    uint32_t c2, uint32_t d, uint32_t k)
{
	return c->t.te[0][a & 0xff] ^ c->t.te[1][b >> 8 & 0xff] ^
	    c->t.te[2][c2 >> 16 & 0xff] ^ c->t.te[3][d >> 24] ^ k;
}

/* The same of the last round, which does not mix; te[2] has S in its byte 0. */
static inline uint32_t last_column(const struct chunker *c, uint32_t a,
    uint32_t b, uint32_t c2, uint32_t d, uint32_t k)
{
	uint32_t s0 = c->t.te[2][a & 0xff] & 0xff;
	uint32_t s1 = c->t.te[2][b >> 8 & 0xff] & 0xff;
	uint32_t s2 = c->t.te[2][c2 >> 16 & 0xff] & 0xff;
	uint32_t s3 = c->t.te[2][d >> 24] & 0xff;

	return (s0 | s1 << 8 | s2 << 16 | s3 << 24) ^ k;
}

/* The first eight bytes of AES(p[0..15]). */
static uint64_t aes_first64(const struct chunker *c, const uint32_t k[44],
    const uint8_t *p)
{
	uint32_t s0 = load32(p) ^ k[0], s1 = load32(p + 4) ^ k[1];
	uint32_t s2 = load32(p + 8) ^ k[2], s3 = load32(p + 12) ^ k[3];

	for (int r = 1; r < 10; r++) {
		const uint32_t *rk = k + 4 * r;
		uint32_t t0 = column(c, s0, s1, s2, s3, rk[0]);
		uint32_t t1 = column(c, s1, s2, s3, s0, rk[1]);
		uint32_t t2 = column(c, s2, s3, s0, s1, rk[2]);
		uint32_t t3 = column(c, s3, s0, s1, s2, rk[3]);

		s0 = t0;
		s1 = t1;
		s2 = t2;
		s3 = t3;
	}
	return last_column(c, s0, s1, s2, s3, k[40]) |
	    (uint64_t)last_column(c, s1, s2, s3, s0, k[41]) << 32;
}

size_t chunker_scalar_stream(const struct chunker *c, const uint8_t *p,
    size_t from, size_t to, uint64_t limit)
{
	uint32_t k[44];

	for (int i = 0; i < 44; i++)
		k[i] = load32(c->rk[0] + 4 * i);
	for (size_t n = from; n <= to; n++) {
		if (aes_first64(c, k, p + n - 16) < limit)
			return n;
	}
	return 0;
}

/* POLYVAL of one block under H. */
static void digest(const struct chunker *c, const uint8_t *p, uint8_t ret[16])
{
	uint64_t lo = 0, hi = 0;

	for (size_t i = 0; i < CHUNKER_BLOCK_LEN; i += 16) {
		uint64_t a[2] = { lo ^ chunker_load64(p + i),
			hi ^ chunker_load64(p + i + 8) };

		lo = hi = 0;
		for (unsigned n = 0; n < 32; n++) {
			const uint64_t *m =
			    c->t.mul[n][a[n / 16] >> (n % 16 * 4) & 15];

			lo ^= m[0];
			hi ^= m[1];
		}
	}
	chunker_store64(ret, lo);
	chunker_store64(ret + 8, hi);
}

size_t chunker_scalar_block(const struct chunker *c, const uint8_t *p,
    size_t from, size_t to, uint64_t limit)
{
	uint8_t d[16];

	for (size_t n = from; n <= to; n += CHUNKER_BLOCK_LEN) {
		digest(c, p + n - CHUNKER_BLOCK_LEN, d);
		chunker_aes_encrypt(c->rk, d, d);
		if (chunker_load64(d) < limit)
			return n;
	}
	return 0;
}
