#ifndef REPO_BASE_BYTES_H
#define REPO_BASE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Little-endian loads and stores at any alignment. */

static inline uint16_t le16_get(const void *p)
{
	uint16_t v;
	memcpy(&v, p, 2);
	return le16toh(v);
}

static inline uint32_t le24_get(const void *p)
{
	const uint8_t *b = p;
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16;
}

static inline uint32_t le32_get(const void *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return le32toh(v);
}

static inline uint64_t le64_get(const void *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return le64toh(v);
}

static inline uint64_t be64_get(const void *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return be64toh(v);
}

static inline void le16_put(void *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, 2);
}

static inline void le24_put(void *p, uint32_t v)
{
	uint8_t *b = p;
	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
	b[2] = (uint8_t)(v >> 16);
}

static inline void le32_put(void *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, 4);
}

static inline void le64_put(void *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, 8);
}

/*
 * A bounds-checked reader over borrowed bytes.  A read past the end gives
 * zeros (or NULL) and sets `bad`, which stays set: decode a whole structure
 * first, then look at rd_done or rd.bad once.
 */
struct rd {
	const uint8_t *p;
	size_t left; /* bytes */
	bool bad;
};

static inline struct rd rd_init(const void *p, size_t len)
{
	return (struct rd){ p, len, false };
}

/* Return a pointer to the next len bytes and pass them, or NULL. */
static inline const uint8_t *rd_bytes(struct rd *r, size_t len)
{
	if (r->bad || len > r->left) {
		r->bad = true;
		return NULL;
	}
	const uint8_t *p = r->p;

	r->p += len;
	r->left -= len;
	return p;
}

/* Copy the next len bytes to dst; zeros when there are not that many. */
static inline void rd_copy(struct rd *r, void *dst, size_t len)
{
	const uint8_t *p = rd_bytes(r, len);

	if (p != NULL)
		memcpy(dst, p, len);
	else
		memset(dst, 0, len);
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);
	return p ? p[0] : 0;
}

static inline uint16_t rd_u16(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 2);
	return p ? le16_get(p) : 0;
}

static inline uint32_t rd_u24(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 3);
	return p ? le24_get(p) : 0;
}

static inline uint32_t rd_u32(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 4);
	return p ? le32_get(p) : 0;
}

static inline uint64_t rd_u64(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 8);
	return p ? le64_get(p) : 0;
}

/*
 * Read an unsigned LEB128 number of at most 64 bits in its shortest form.
 * Longer forms are bad: one value has one encoding.
 */
uint64_t rd_var(struct rd *r);

/* Return true when nothing was bad and every byte was read. */
static inline bool rd_done(const struct rd *r)
{
	return !r->bad && r->left == 0;
}

/* Return the number of bytes that v takes as LEB128, 1 to 10. */
size_t var_len(uint64_t v);

/* Write v as LEB128 at p, which has room for 10 bytes.  Return its length. */
size_t var_put(void *p, uint64_t v);

/* Signed numbers as unsigned ones that are small when the number is near 0. */
static inline uint64_t zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* Return true when all len bytes at p are zero. */
bool bytes_are_zero(const void *p, size_t len);

/* Write 2*len lower-case hex digits and a NUL to dst. */
void hex_encode(char *dst, const void *p, size_t len);

/*
 * Read exactly 2*len lower-case hex digits of s into dst.  Return 0, or -1
 * when s holds anything else or has another length (nothing is promised about
 * dst then).
 */
int hex_decode(void *dst, size_t len, const char *s);

#endif
