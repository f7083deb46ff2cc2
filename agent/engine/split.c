#include "agent/engine/split.h"

size_t split_zeros(enum chunker_mode mode, uint32_t avg)
{
	if (mode == CHUNKER_BLOCK || avg < SPLIT_GRAIN)
		return SPLIT_GRAIN;
	return avg / SPLIT_GRAIN * SPLIT_GRAIN;
}

size_t split_hold(const struct split *s)
{
	return s->max + s->zeros + SPLIT_GRAIN;
}

enum verdict {
	DATA_TO_END, /* no zero run begins in the window */
	DATA_TO_RUN, /* one begins at *ret_len */
	UNDECIDED,   /* one may begin at *ret_len: more bytes will tell */
};

/* Look for the first zero run that begins within the longest chunk's reach. */
static enum verdict find_run(const struct split *s, const uint8_t *p, size_t len,
    uint64_t off, bool final, size_t *ret_len)
{
	size_t window = len < s->max ? len : s->max;
	size_t pos = (size_t)(-off & (SPLIT_GRAIN - 1));

	while (pos < window) {
		size_t q = pos;

		for (;;) {
			size_t n = len - q < SPLIT_GRAIN ? len - q : SPLIT_GRAIN;

			if (n == 0 || chunker_zero_prefix(p + q, n) < n)
				break;
			if (n < SPLIT_GRAIN && !final) {
				*ret_len = pos;
				return UNDECIDED;
			}
			q += n;
			if (q - pos >= s->zeros) {
				*ret_len = pos;
				return DATA_TO_RUN;
			}
		}
		if (q == len && q > pos && !final) {
			*ret_len = pos;
			return UNDECIDED;
		}
		pos = q > pos ? q : pos;
		pos += SPLIT_GRAIN - ((off + pos) & (SPLIT_GRAIN - 1));
	}
	return DATA_TO_END;
}

/*
 * Let the open zero run take what it can of the bytes.  Return 1 when more
 * bytes are needed to go on, 0 when the run has ended (or there was none), -1.
 */
static int extend_run(struct split *s, const uint8_t *p, size_t len, bool final,
    size_t *at, struct err *err)
{
	while (s->zrun > 0) {
		size_t n = len - *at < SPLIT_GRAIN ? len - *at : SPLIT_GRAIN;

		if (n < SPLIT_GRAIN && !final)
			return 1;
		if (n > 0 && chunker_zero_prefix(p + *at, n) == n) {
			s->zrun += n;
			*at += n;
			continue;
		}

		uint64_t run = s->zrun;

		s->zrun = 0;
		if (s->zero(s->ctx, run, err) < 0)
			return -1;
	}
	return 0;
}

int split_feed(struct split *s, const uint8_t *p, size_t len, uint64_t off,
    bool final, size_t *ret_used, struct err *err)
{
	size_t at = 0;

	for (;;) {
		int r = extend_run(s, p, len, final, &at, err);

		if (r < 0)
			return -1;
		if (r > 0 || at == len)
			break;

		size_t data = len - at;
		enum verdict v = find_run(s, p + at, len - at, off + at, final, &data);

		if (v == DATA_TO_RUN && data == 0) {
			s->zrun = SPLIT_GRAIN;
			at += SPLIT_GRAIN;
			continue;
		}

		size_t n = chunker_next(s->chunker, p + at, data,
		    v == DATA_TO_RUN || (v == DATA_TO_END && final));

		if (n == 0)
			break;
		if (s->chunk(s->ctx, p + at, n, err) < 0)
			return -1;
		at += n;
	}
	*ret_used = at;
	return 0;
}
