#include <string.h>

#include "chunker/chunker_internal.h"

/* Sixteen bytes: the vector that every CPU of these kinds has. */
typedef uint64_t vec __attribute__((vector_size(16)));

#define VECS 8
#define STEP (VECS * sizeof(vec))

static inline bool step_is_zero(const uint8_t *p)
{
	vec v[VECS];

	memcpy(v, p, sizeof(v));
	CHUNKER_UNROLL
	for (int i = 1; i < VECS; i++)
		v[0] |= v[i];
	return (v[0][0] | v[0][1]) == 0;
}

size_t chunker_zero_prefix(const uint8_t *p, size_t len)
{
	size_t n = 0;

	/* Most data answers here. */
	if (len == 0 || p[0] != 0)
		return 0;
	while (len - n >= STEP && step_is_zero(p + n))
		n += STEP;
	while (len - n >= 8 && chunker_load64(p + n) == 0)
		n += 8;
	while (n < len && p[n] == 0)
		n++;
	return n;
}
