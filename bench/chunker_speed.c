#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chunker/chunker.h"

/*
 * Speed of the chunker on one core, for each path that this CPU has, beside
 * memcpy of the same bytes.  "effective" counts every byte of the input,
 * "scanned" only those that are not skipped below the minimum.
 *
 * usage: chunker_speed [MiB of data, default 256]
 */

#define ROUNDS 7

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Best of a few rounds, in bytes a second. */
static double measure_memcpy(uint8_t *to, const uint8_t *from, size_t len)
{
	double best = 0;

	for (int i = 0; i < ROUNDS; i++) {
		double t = now();

		memcpy(to, from, len);
		__asm__ volatile("" : : "r"(to) : "memory");
		t = now() - t;
		if ((double)len / t > best)
			best = (double)len / t;
	}
	return best;
}

static double measure_zero(const uint8_t *p, size_t len)
{
	double best = 0;

	for (int i = 0; i < ROUNDS; i++) {
		double t = now();

		if (chunker_zero_prefix(p, len) != len)
			abort();
		t = now() - t;
		if ((double)len / t > best)
			best = (double)len / t;
	}
	return best;
}

static void measure_path(enum chunker_mode mode, enum chunker_path path,
    uint32_t avg, const uint8_t *p, size_t len)
{
	static struct chunker c;
	struct chunker_params params;
	uint8_t key[CHUNKER_KEY_LEN];
	size_t chunks = 0, scanned = 0;
	double best = 0;

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 7 + 1);
	if (path == CHUNKER_PATH_SCALAR && len > (16u << 20))
		len = 16u << 20;
	if (chunker_params_default(mode, avg, &params) < 0 ||
	    chunker_init_path(&c, mode, key, &params, path) < 0)
		abort();
	for (int i = 0; i < ROUNDS; i++) {
		double t = now();

		chunks = scanned = 0;
		for (size_t off = 0; off < len; chunks++) {
			size_t n = chunker_next(&c, p + off, len - off, true);

			off += n;
			scanned += n > params.min ? n - params.min : 0;
		}
		t = now() - t;
		if ((double)len / t > best)
			best = (double)len / t;
	}
	printf("%-7s %-8s %8u %10.2f %10.2f %12zu\n",
	    mode == CHUNKER_STREAM ? "stream" : "block",
	    chunker_path_name(path), avg / 1024, best / 1e9,
	    best * (double)scanned / (double)len / 1e9, len / chunks);
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 256;
	size_t len = mib << 20;
	uint64_t seed = 1;

	if (mib == 0) {
		fprintf(stderr, "usage: chunker_speed [MiB]\n");
		return 2;
	}

	uint8_t *p = malloc(len), *q = malloc(len);

	if (p == NULL || q == NULL) {
		fprintf(stderr, "chunker_speed: out of memory\n");
		return 1;
	}
	/* Written first: untouched memory is one page of zeroes in the cache. */
	memset(q, 1, len);
	__asm__ volatile("" : : "r"(q) : "memory");
	memset(q, 0, len);
	for (size_t i = 0; i < len; i += 8) {
		uint64_t v = next_random(&seed);

		memcpy(p + i, &v, 8);
	}

	double zero = measure_zero(q, len);

	printf("%-7s %-8s %8s %10s %10s %12s\n", "mode", "path", "avg KiB",
	    "effective", "scanned", "mean bytes");
	for (int mode = CHUNKER_STREAM; mode <= CHUNKER_BLOCK; mode++) {
		for (int path = 1; path <= CHUNKER_PATH_MAX; path++) {
			if (!chunker_path_available((enum chunker_path)path))
				continue;
			measure_path((enum chunker_mode)mode,
			    (enum chunker_path)path,
			    mode == CHUNKER_STREAM ? 1u << 20 : 64u << 10,
			    p, len);
		}
	}
	printf("%-7s %-8s %8s %10.2f\n", "zero", "prefix", "-", zero / 1e9);
	printf("%-7s %-8s %8s %10.2f\n", "memcpy", "libc", "-",
	    measure_memcpy(q, p, len) / 1e9);
	printf("GB/s (10^9), one core, %zu MiB of random data\n", mib);
	free(p);
	free(q);
	return 0;
}
