#include <string.h>

#include "chunker/chunker_internal.h"

/* High half of the product of two fractions of 2^64. */
static uint64_t mul_hi(uint64_t a, uint64_t b)
{
	return (uint64_t)((unsigned __int128)a * b >> 64);
}

/* q^n for q a fraction of 2^64, rounded down at each step; n > 0. */
static uint64_t pow_fraction(uint64_t q, uint32_t n)
{
	int bit = 31;

	while ((n >> bit & 1) == 0)
		bit--;

	uint64_t r = q;

	while (bit-- > 0) {
		r = mul_hi(r, r);
		if (n >> bit & 1)
			r = mul_hi(r, q);
	}
	return r;
}

/*
 * If each of n places cuts with p / 2^64, return p times the mean number of
 * places passed before a cut or the end: q + q^2 + ... + q^n = q (1 - q^n) / p.
 * ret_left is the chance that there is no cut.
 */
static uint64_t passed(uint64_t p, uint32_t n, uint64_t *ret_left)
{
	uint64_t q = 0 - p;

	*ret_left = pow_fraction(q, n);
	return mul_hi(q, ~*ret_left);
}

/*
 * The largest threshold whose chunks are still excess places longer than the
 * minimum on average, with strict places tested against it and loose ones
 * against CHUNKER_LOOSER times it before the cut is forced.
 */
static uint64_t solve_threshold(uint32_t excess, uint32_t strict,
    uint32_t loose)
{
	uint64_t p = 0;

	if (excess == 0)
		return UINT64_MAX;
	for (int bit = 63; bit >= 0; bit--) {
		uint64_t t = p | (uint64_t)1 << bit;
		uint64_t left, end;
		uint64_t mean = passed(t, strict, &left);

		if (loose > 0 && t > UINT64_MAX / CHUNKER_LOOSER)
			continue;
		if (loose > 0) {
			mean += mul_hi(left, passed(t * CHUNKER_LOOSER, loose,
			    &end)) / CHUNKER_LOOSER;
		}
		if ((unsigned __int128)excess * t <= mean)
			p = t;
	}
	return p;
}

int chunker_params_default(enum chunker_mode mode, uint32_t avg,
    struct chunker_params *ret_params)
{
	uint32_t unit = mode == CHUNKER_BLOCK ? CHUNKER_BLOCK_LEN : 1;
	uint32_t min = (avg / 2 + unit - 1) / unit * unit;
	uint32_t max = avg * 4;

	if (mode != CHUNKER_STREAM && mode != CHUNKER_BLOCK)
		return -1;
	if (avg < CHUNKER_AVG_MIN || avg > CHUNKER_AVG_MAX)
		return -1;
	if (avg % 2 != 0 || avg % unit != 0)
		return -1;
	ret_params->avg = avg;
	ret_params->min = min;
	ret_params->max = max;
	if (mode == CHUNKER_STREAM) {
		ret_params->threshold = solve_threshold(avg - min,
		    CHUNKER_TURN(avg) - min, max - CHUNKER_TURN(avg));
	} else {
		ret_params->threshold = solve_threshold((avg - min) / unit,
		    (max - min) / unit, 0);
	}
	return 0;
}

bool chunker_params_valid(enum chunker_mode mode,
    const struct chunker_params *params)
{
	if (mode != CHUNKER_STREAM && mode != CHUNKER_BLOCK)
		return false;
	if (params->avg < CHUNKER_AVG_MIN || params->avg > CHUNKER_AVG_MAX)
		return false;
	if (params->min < 64 || params->min > params->avg)
		return false;
	if (params->max < params->avg || params->max / 16 > params->avg)
		return false;
	if (mode == CHUNKER_BLOCK && (params->min % CHUNKER_BLOCK_LEN != 0 ||
	    params->max % CHUNKER_BLOCK_LEN != 0))
		return false;
	return params->threshold != 0;
}

/* What block mode needs: its two sub-keys, and H in the form of the path. */
static void init_block(struct chunker *c, const uint8_t master[16])
{
	uint8_t label[16] = { 1 };
	uint8_t h[16], k[16];

	chunker_aes_expand(c->rk, master);
	chunker_aes_encrypt(c->rk, label, h);
	label[0] = 2;
	chunker_aes_encrypt(c->rk, label, k);
	chunker_aes_expand(c->rk, k);
	if (c->path == CHUNKER_PATH_SCALAR) {
		chunker_dot_tables(c->t.mul, h);
		return;
	}
	memcpy(c->t.pow[CHUNKER_LANES - 1], h, 16);
	for (int i = CHUNKER_LANES - 2; i >= 0; i--)
		chunker_dot(c->t.pow[i + 1], h, c->t.pow[i]);
}

/* The scan of path for mode; NULL if this CPU has no such path. */
static chunker_scan_fn *scan_of(enum chunker_path path, enum chunker_mode mode)
{
	bool stream = mode == CHUNKER_STREAM;

	if (!chunker_path_available(path))
		return NULL;
	switch (path) {
	case CHUNKER_PATH_SCALAR:
		return stream ? chunker_scalar_stream : chunker_scalar_block;
#ifdef CHUNKER_X86
	case CHUNKER_PATH_AESNI:
		return stream ? chunker_aesni_stream : chunker_aesni_block;
	case CHUNKER_PATH_VAES256:
		return stream ? chunker_vaes256_stream : chunker_vaes256_block;
	case CHUNKER_PATH_VAES512:
		return stream ? chunker_vaes512_stream : chunker_vaes512_block;
#endif
#ifdef CHUNKER_ARM
	case CHUNKER_PATH_ARM64:
		return stream ? chunker_arm64_stream : chunker_arm64_block;
#endif
	default:
		return NULL;
	}
}

int chunker_init_path(struct chunker *c, enum chunker_mode mode,
    const uint8_t key[CHUNKER_KEY_LEN], const struct chunker_params *params,
    enum chunker_path path)
{
	if (!chunker_params_valid(mode, params))
		return -1;
	if (path == CHUNKER_PATH_AUTO) {
		path = CHUNKER_PATH_MAX;
		while (!chunker_path_available(path))
			path--;
	}

	chunker_scan_fn *scan = scan_of(path, mode);

	if (scan == NULL)
		return -1;
	memset(c, 0, sizeof(*c));
	c->scan = scan;
	c->strict = params->threshold;
	c->loose = params->threshold;
	c->min = params->min;
	c->turn = params->max;
	c->max = params->max;
	c->mode = mode;
	c->path = path;
	if (mode == CHUNKER_BLOCK) {
		init_block(c, key + 16);
		return 0;
	}
	c->turn = CHUNKER_TURN(params->avg);
	c->loose = params->threshold > UINT64_MAX / CHUNKER_LOOSER ?
	    UINT64_MAX : params->threshold * CHUNKER_LOOSER;
	chunker_aes_expand(c->rk, key);
	if (path == CHUNKER_PATH_SCALAR)
		chunker_aes_tables(c->t.te);
	return 0;
}

int chunker_init(struct chunker *c, enum chunker_mode mode,
    const uint8_t key[CHUNKER_KEY_LEN], const struct chunker_params *params)
{
	return chunker_init_path(c, mode, key, params, CHUNKER_PATH_AUTO);
}

size_t chunker_next(const struct chunker *c, const uint8_t *p, size_t len,
    bool final)
{
	size_t unit = c->mode == CHUNKER_BLOCK ? CHUNKER_BLOCK_LEN : 1;
	/* At max the cut is forced, so nothing is computed there. */
	size_t to = len < c->max ? len - len % unit : c->max - unit;
	size_t mid = to < c->turn ? to : c->turn - unit;
	size_t late = c->turn > c->min ? c->turn : c->min;
	size_t n = 0;

	if (mid >= c->min)
		n = c->scan(c, p, c->min, mid, c->strict);
	if (n == 0 && to >= late)
		n = c->scan(c, p, late, to, c->loose);
	if (n != 0)
		return n;
	if (len >= c->max)
		return c->max;
	return final ? len : 0;
}

enum chunker_path chunker_path_of(const struct chunker *c)
{
	return c->path;
}
