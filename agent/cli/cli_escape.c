#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_text.h"

/*
 * Decode one character of at most len bytes (RFC 3629: no long forms, no
 * surrogates, nothing above 0x10ffff).  Return its length, or 0 when these
 * bytes are none.
 */
static size_t utf8_decode(const unsigned char *p, size_t len, uint32_t *ret)
{
	uint32_t c, least;
	size_t n;

	if (p[0] < 0x80) {
		*ret = p[0];
		return 1;
	} else if ((p[0] & 0xe0) == 0xc0) {
		c = p[0] & 0x1fu;
		n = 2;
		least = 0x80;
	} else if ((p[0] & 0xf0) == 0xe0) {
		c = p[0] & 0x0fu;
		n = 3;
		least = 0x800;
	} else if ((p[0] & 0xf8) == 0xf0) {
		c = p[0] & 0x07u;
		n = 4;
		least = 0x10000;
	} else {
		return 0;
	}
	if (n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return n;
}

/*
 * Characters that act on a terminal or on how other text is read: controls,
 * line separators, marks and overrides of direction, invisible ones.
 */
static bool acts(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad ||
	    c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
	    (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
	    c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
	    (c >= 0xe0000 && c <= 0xe0fff);
}

bool cli_utf8_valid(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint32_t c;

	while (len > 0) {
		size_t n = utf8_decode(p, len, &c);

		if (n == 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

void cli_escape(struct buf *out, const void *data, size_t len)
{
	const unsigned char *p = data;
	uint32_t c = 0;

	while (len > 0) {
		size_t n = utf8_decode(p, len, &c);

		if (n == 0 || acts(c)) {
			n += n == 0;
			for (size_t i = 0; i < n; i++)
				buf_printf(out, "\\x%02x", p[i]);
		} else {
			if (c == '\\')
				buf_u8(out, '\\');
			buf_add(out, p, n);
		}
		p += n;
		len -= n;
	}
}

void cli_escape_json(struct buf *out, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	uint32_t c;

	while (len > 0) {
		size_t n = utf8_decode(p, len, &c);

		if (n == 0 || !acts(c)) {
			n += n == 0;
			buf_add(out, p, n);
		} else if (c < 0x10000) {
			buf_printf(out, "\\u%04x", (unsigned)c);
		} else {
			c -= 0x10000;
			buf_printf(out, "\\u%04x\\u%04x",
			    (unsigned)(0xd800 + (c >> 10)),
			    (unsigned)(0xdc00 + (c & 0x3ff)));
		}
		p += n;
		len -= n;
	}
}

char *cli_escaped(const char *s)
{
	struct buf b = BUF_INIT;

	cli_escape(&b, s, strlen(s));
	buf_u8(&b, '\0');
	if (b.failed)
		cli_nomem();
	return (char *)b.p;
}

/* Wide characters of East Asia and pictures take two columns. */
static size_t columns_of(uint32_t c)
{
	if ((c >= 0x300 && c <= 0x36f) || (c >= 0xfe00 && c <= 0xfe0f))
		return 0;
	if ((c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
	    (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
	    (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
	    (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) ||
	    (c >= 0x20000 && c <= 0x3fffd))
		return 2;
	return 1;
}

size_t cli_text_width(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t len = strlen(s), width = 0;
	uint32_t c;

	while (len > 0) {
		size_t n = utf8_decode(p, len, &c);

		width += n == 0 ? 1 : columns_of(c);
		n += n == 0;
		p += n;
		len -= n;
	}
	return width;
}
