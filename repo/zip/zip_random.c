/* Whether to try at all: a look at three samples instead of at every byte. */
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/zip/zip.h"

#define SAMPLE_LEN 4096

/* Below this a try costs little more than a look. */
#define LOOK_MIN (4 * SAMPLE_LEN)

/*
 * Sum of the squares of a sample's 256 byte counts, n + n(n-1)/256 = 69616 on
 * average for random bytes with a deviation of 362.  At 1.03 times that the
 * bytes have 7.96 bits each: no more than 0.5 % is to be had from them.
 */
#define SQUARES_MAX 71700

/* Random bytes hold a run of 4 twice in a sample once in five hundred times. */
#define REPEATS_MAX 8

#define HASH_BITS 11

/* Return true when the byte values of the sample are evenly spread. */
static bool evenly_spread(const uint8_t *p)
{
	/* Four tables, so that equal neighbours do not wait for each other. */
	uint16_t count[4][256];
	uint32_t squares = 0;

	memset(count, 0, sizeof(count));
	for (size_t i = 0; i < SAMPLE_LEN; i += 4) {
		count[0][p[i]]++;
		count[1][p[i + 1]]++;
		count[2][p[i + 2]]++;
		count[3][p[i + 3]]++;
	}
	for (size_t i = 0; i < 256; i++) {
		uint32_t c = (uint32_t)count[0][i] + count[1][i] +
		    count[2][i] + count[3][i];

		squares += c * c;
	}
	return squares <= SQUARES_MAX;
}

/* Return true when runs of 4 bytes come again in the sample. */
static bool repeats(const uint8_t *p)
{
	uint16_t last[1 << HASH_BITS];
	unsigned found = 0;

	memset(last, 0, sizeof(last));
	for (size_t i = 0; i + 4 <= SAMPLE_LEN; i++) {
		uint32_t v = le32_get(p + i);
		uint32_t h = (v * 2654435761u) >> (32 - HASH_BITS);
		size_t at = last[h];

		if (at < i && le32_get(p + at) == v && ++found > REPEATS_MAX)
			return true;
		last[h] = (uint16_t)i;
	}
	return false;
}

static bool sample_looks_random(const uint8_t *p)
{
	/* The spread first: it is cheaper and settles nearly all. */
	return evenly_spread(p) && !repeats(p);
}

bool zip_looks_random(const void *data, size_t len)
{
	const uint8_t *p = data;

	if (len < LOOK_MIN)
		return false;
	return sample_looks_random(p) &&
	    sample_looks_random(p + (len - SAMPLE_LEN) / 2) &&
	    sample_looks_random(p + len - SAMPLE_LEN);
}
