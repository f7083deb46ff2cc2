#include "repo/base/bytes.h"

uint64_t rd_var(struct rd *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t b = rd_u8(r);

		if (r->bad)
			return 0;
		/* The tenth byte has room for one bit only. */
		if (shift == 63 && b > 1)
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			if (b == 0 && shift != 0)
				break;
			return v;
		}
	}
	r->bad = true;
	return 0;
}

size_t var_len(uint64_t v)
{
	size_t n = 1;

	while (v >= 0x80) {
		v >>= 7;
		n++;
	}
	return n;
}

size_t var_put(void *p, uint64_t v)
{
	uint8_t *b = p;
	size_t n = 0;

	while (v >= 0x80) {
		b[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	b[n++] = (uint8_t)v;
	return n;
}

bool bytes_are_zero(const void *p, size_t len)
{
	const uint8_t *b = p;

	/* Most data differs early; after that memcmp compares it with itself. */
	if (len < 16) {
		for (size_t i = 0; i < len; i++)
			if (b[i] != 0)
				return false;
		return true;
	}
	if (le64_get(b) != 0 || le64_get(b + 8) != 0)
		return false;
	return memcmp(b, b + 16, len - 16) == 0;
}

void hex_encode(char *dst, const void *p, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++) {
		*dst++ = digits[b[i] >> 4];
		*dst++ = digits[b[i] & 15];
	}
	*dst = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int hex_decode(void *dst, size_t len, const char *s)
{
	uint8_t *b = dst;

	for (size_t i = 0; i < len; i++) {
		int hi = hex_digit(s[2 * i]);
		int lo = hi < 0 ? -1 : hex_digit(s[2 * i + 1]);

		if (lo < 0)
			return -1;
		b[i] = (uint8_t)(hi << 4 | lo);
	}
	return s[2 * len] == '\0' ? 0 : -1;
}
