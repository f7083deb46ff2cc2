#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/buf.h"
#include "repo/base/bytes.h"

void buf_init(struct buf *b)
{
	*b = (struct buf)BUF_INIT;
}

void buf_release(struct buf *b)
{
	free(b->p);
	buf_init(b);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = 0;
}

int buf_reserve(struct buf *b, size_t len)
{
	if (b->failed)
		return -1;
	if (b->cap - b->len >= len)
		return 0;

	size_t cap = b->cap ? b->cap : 64;

	while (cap - b->len < len) {
		if (cap > SIZE_MAX / 2) {
			b->failed = 1;
			return -1;
		}
		cap += cap < (1u << 20) ? cap : cap / 2;
	}

	uint8_t *p = realloc(b->p, cap);

	if (p == NULL) {
		b->failed = 1;
		return -1;
	}
	b->p = p;
	b->cap = cap;
	return 0;
}

void buf_add(struct buf *b, const void *p, size_t len)
{
	if (len == 0 || buf_reserve(b, len) < 0)
		return;
	memcpy(b->p + b->len, p, len);
	b->len += len;
}

void buf_zeros(struct buf *b, size_t len)
{
	if (len == 0 || buf_reserve(b, len) < 0)
		return;
	memset(b->p + b->len, 0, len);
	b->len += len;
}

void buf_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, 1);
}

void buf_u16(struct buf *b, uint16_t v)
{
	uint8_t t[2];

	le16_put(t, v);
	buf_add(b, t, 2);
}

void buf_u24(struct buf *b, uint32_t v)
{
	uint8_t t[3];

	le24_put(t, v);
	buf_add(b, t, 3);
}

void buf_u32(struct buf *b, uint32_t v)
{
	uint8_t t[4];

	le32_put(t, v);
	buf_add(b, t, 4);
}

void buf_u64(struct buf *b, uint64_t v)
{
	uint8_t t[8];

	le64_put(t, v);
	buf_add(b, t, 8);
}

void buf_var(struct buf *b, uint64_t v)
{
	uint8_t t[10];

	buf_add(b, t, var_put(t, v));
}

void buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || buf_reserve(b, (size_t)n + 1) < 0)
		return;
	va_start(ap, fmt);
	vsnprintf((char *)b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

int buf_check(const struct buf *b, const char *what, struct err *err)
{
	return b->failed ? err_nomem(err, what) : 0;
}
