#ifndef TESTS_UNIT_CHUNKER_DATA_H
#define TESTS_UNIT_CHUNKER_DATA_H

#include <stddef.h>
#include <stdint.h>

/* Bytes made from a seed, for the tests of chunker/. */

enum data_kind {
	DATA_RANDOM, /* splitmix64, little-endian */
	DATA_BITS,   /* only the lowest bit of each of those bytes */
	DATA_ZERO,
};

static inline uint64_t data_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline void data_fill(uint8_t *p, size_t len, enum data_kind kind,
    uint64_t seed)
{
	uint8_t mask = kind == DATA_RANDOM ? 0xff : kind == DATA_BITS ? 1 : 0;
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++, v >>= 8) {
		if (i % 8 == 0)
			v = data_next(&seed);
		p[i] = (uint8_t)v & mask;
	}
}

#endif
