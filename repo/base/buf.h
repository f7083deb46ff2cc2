#ifndef REPO_BASE_BUF_H
#define REPO_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "repo/base/err.h"

/*
 * A growing byte buffer.  Appending past the end of memory sets `failed` and
 * drops the bytes, so that an encoder can append freely and ask once at the
 * end (buf_check).  Not shared between threads.
 */
struct buf {
	uint8_t *p;
	size_t len;
	size_t cap;
	int failed;
};

#define BUF_INIT { NULL, 0, 0, 0 }

/* Make b empty; allocates nothing. */
void buf_init(struct buf *b);

/* Free what b holds and make it empty. */
void buf_release(struct buf *b);

/* Forget the content, keep the memory. */
void buf_reset(struct buf *b);

/* Make room for len more bytes.  Return 0, or -1 with b->failed set. */
int buf_reserve(struct buf *b, size_t len);

/* Append len bytes at p (or zeros). */
void buf_add(struct buf *b, const void *p, size_t len);
void buf_zeros(struct buf *b, size_t len);

/* Append a number, little-endian, or as LEB128. */
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u24(struct buf *b, uint32_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_var(struct buf *b, uint64_t v);

/* Append the bytes of a string without its NUL. */
void buf_str(struct buf *b, const char *s);

/* Append formatted text without its NUL. */
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Return 0, or -1 with err of class FULL when an append failed before. */
int buf_check(const struct buf *b, const char *what, struct err *err);

#endif
