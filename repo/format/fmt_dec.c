#include <stdlib.h>

#include "repo/format/fmt_internal.h"

struct fmt_dec fmt_dec_init(const char *what, const void *p, size_t len,
    struct err *err)
{
	return (struct fmt_dec){ rd_init(p, len), what, err, false };
}

struct fmt_dec fmt_dec_object(const void *obj, size_t len, enum fmt_kind kind,
    size_t tail, uint32_t *ret_epoch, struct err *err)
{
	struct fmt_dec d = fmt_dec_init(fmt_kind_name(kind), obj, len, err);

	if (fmt_header_read(obj, len, kind, ret_epoch, err) < 0) {
		d.bad = d.rd.bad = true;
		return d;
	}
	if (len - FMT_HEADER_LEN < tail) {
		fmt_dec_fail(&d, "signature", "is cut short");
		return d;
	}
	d.rd = rd_init((const uint8_t *)obj + FMT_HEADER_LEN,
	    len - FMT_HEADER_LEN - tail);
	return d;
}

void fmt_dec_fail(struct fmt_dec *d, const char *field, const char *why)
{
	if (d->bad)
		return;
	d->bad = true;
	d->rd.bad = true;
	err_set(d->err, ERR_CORRUPT, "%s: %s %s", d->what, field, why);
}

/* What a read left in rd.bad becomes a message. */
static inline void look(struct fmt_dec *d, const char *field)
{
	if (d->rd.bad && !d->bad)
		fmt_dec_fail(d, field, "is cut short");
}

const uint8_t *fmt_dec_bytes(struct fmt_dec *d, size_t len,
    const char *field)
{
	const uint8_t *p = rd_bytes(&d->rd, len);

	look(d, field);
	return p;
}

void fmt_dec_copy(struct fmt_dec *d, void *dst, size_t len,
    const char *field)
{
	rd_copy(&d->rd, dst, len);
	look(d, field);
}

uint8_t fmt_dec_u8(struct fmt_dec *d, const char *field)
{
	uint8_t v = rd_u8(&d->rd);

	look(d, field);
	return v;
}

uint16_t fmt_dec_u16(struct fmt_dec *d, const char *field)
{
	uint16_t v = rd_u16(&d->rd);

	look(d, field);
	return v;
}

uint32_t fmt_dec_u24(struct fmt_dec *d, const char *field)
{
	uint32_t v = rd_u24(&d->rd);

	look(d, field);
	return v;
}

uint32_t fmt_dec_u32(struct fmt_dec *d, const char *field)
{
	uint32_t v = rd_u32(&d->rd);

	look(d, field);
	return v;
}

uint64_t fmt_dec_u64(struct fmt_dec *d, const char *field)
{
	uint64_t v = rd_u64(&d->rd);

	look(d, field);
	return v;
}

int64_t fmt_dec_i64(struct fmt_dec *d, const char *field)
{
	return (int64_t)fmt_dec_u64(d, field);
}

uint64_t fmt_dec_var(struct fmt_dec *d, const char *field)
{
	/* Most numbers are below 128. */
	if (d->rd.left > 0 && *d->rd.p < 0x80 && !d->rd.bad) {
		d->rd.left--;
		return *d->rd.p++;
	}

	uint64_t v = rd_var(&d->rd);

	if (d->rd.bad && !d->bad)
		fmt_dec_fail(d, field,
		    "is cut short or not a number in its shortest form");
	return v;
}

uint64_t fmt_dec_var_max(struct fmt_dec *d, uint64_t max, const char *field)
{
	uint64_t v = fmt_dec_var(d, field);

	if (v > max) {
		fmt_dec_fail(d, field, "is too large");
		return 0;
	}
	return v;
}

struct fmt_str fmt_dec_str(struct fmt_dec *d, const char *field)
{
	uint64_t len = fmt_dec_var(d, field);

	if (len > d->rd.left)
		fmt_dec_fail(d, field, "is longer than the bytes left");
	if (d->bad)
		return (struct fmt_str){ "", 0 };
	return (struct fmt_str){
		(const char *)fmt_dec_bytes(d, (size_t)len, field),
		(size_t)len };
}

void fmt_dec_session(struct fmt_dec *d, char dst[FMT_SESSION_MAX],
    bool may_be_empty, const char *field)
{
	struct fmt_str s = fmt_dec_str(d, field);
	struct fmt_session_name n;

	memset(dst, 0, FMT_SESSION_MAX);
	if (d->bad || (s.len == 0 && may_be_empty))
		return;
	if (s.len < FMT_SESSION_MAX)
		memcpy(dst, s.p, s.len);
	if (s.len >= FMT_SESSION_MAX || strlen(dst) != s.len ||
	    fmt_session_parse(dst, &n) < 0) {
		memset(dst, 0, FMT_SESSION_MAX);
		fmt_dec_fail(d, field, "is no name of a session");
	}
}

struct fmt_list fmt_dec_list(struct fmt_dec *d, size_t min,
    void (*elem)(struct fmt_dec *d, void *ctx), void *ctx, const char *field)
{
	uint64_t n = fmt_dec_var(d, field);
	struct fmt_list l = { d->rd.p, 0, n };
	size_t left = d->rd.left;

	if (n > left / min)
		fmt_dec_fail(d, field, "counts more than the bytes left hold");
	for (uint64_t i = 0; i < n && !d->bad; i++)
		elem(d, ctx);
	if (d->bad)
		return (struct fmt_list){ NULL, 0, 0 };
	l.len = left - d->rd.left;
	return l;
}

struct fmt_list fmt_dec_list_fixed(struct fmt_dec *d, size_t size,
    const char *field)
{
	uint64_t n = fmt_dec_var(d, field);

	if (n > d->rd.left / size)
		fmt_dec_fail(d, field, "counts more than the bytes left hold");
	if (d->bad)
		return (struct fmt_list){ NULL, 0, 0 };

	size_t len = (size_t)n * size;

	return (struct fmt_list){ fmt_dec_bytes(d, len, field), len, n };
}

void fmt_dec_elem_str(struct fmt_dec *d, void *ctx)
{
	(void)ctx;
	fmt_dec_str(d, "string of a list");
}

int fmt_dec_end(struct fmt_dec *d)
{
	if (!d->bad && d->rd.left != 0)
		fmt_dec_fail(d, "the end", "is followed by more bytes");
	return d->bad ? -1 : 0;
}

int fmt_encoded(const struct buf *b, const char *what, int decoded,
    struct err *err)
{
	if (buf_check(b, what, err) < 0)
		return -1;
	if (decoded == 0)
		return 0;
	if (err != NULL)
		err->class = ERR_BUG;
	return err_wrap(err, "cannot be stored");
}

/* --- strings and lists ------------------------------------------------------*/

struct fmt_str fmt_str(const char *s)
{
	return s ? (struct fmt_str){ s, strlen(s) } : (struct fmt_str){ "", 0 };
}

void fmt_add_str(struct buf *b, struct fmt_str s)
{
	buf_var(b, s.len);
	buf_add(b, s.p, s.len);
}

void fmt_add_list(struct buf *b, const struct fmt_list *l)
{
	buf_var(b, l->n);
	buf_add(b, l->p, l->len);
}

void fmt_add_i64(struct buf *b, int64_t v)
{
	buf_u64(b, (uint64_t)v);
}

struct fmt_list fmt_list_of(const struct fmt_list_buf *l)
{
	return (struct fmt_list){ l->b.p, l->b.len, l->n };
}

void fmt_list_release(struct fmt_list_buf *l)
{
	buf_release(&l->b);
	l->n = 0;
}

void fmt_list_add_str(struct fmt_list_buf *l, struct fmt_str s)
{
	fmt_add_str(&l->b, s);
	l->n++;
}

void fmt_list_add_pack(struct fmt_list_buf *l,
    const uint8_t name[FMT_PACK_NAME_LEN])
{
	buf_add(&l->b, name, FMT_PACK_NAME_LEN);
	l->n++;
}

int fmt_list_took(struct fmt_list *l, const struct rd *r)
{
	if (r->bad) {
		*l = (struct fmt_list){ NULL, 0, 0 };
		return 1;
	}
	l->p = r->p;
	l->len = r->left;
	l->n--;
	return 0;
}

int fmt_str_next(struct fmt_list *l, struct fmt_str *ret)
{
	struct rd r = fmt_list_rd(l);
	uint64_t len = rd_var(&r);

	ret->len = len <= r.left ? (size_t)len : SIZE_MAX;
	ret->p = (const char *)rd_bytes(&r, ret->len);
	return fmt_list_took(l, &r);
}

int fmt_pack_next(struct fmt_list *l, const uint8_t **ret_name)
{
	struct rd r = fmt_list_rd(l);

	*ret_name = rd_bytes(&r, FMT_PACK_NAME_LEN);
	return fmt_list_took(l, &r);
}

int fmt_grow(void *p, size_t *cap, size_t n, size_t size)
{
	size_t want = *cap;
	void *old, *new;

	if (n <= want)
		return 0;
	if (want < 16)
		want = 16;
	while (want < n)
		want += want / 2;
	memcpy(&old, p, sizeof(old));
	new = want > SIZE_MAX / size ? NULL : realloc(old, want * size);
	if (new == NULL)
		return -1;
	memcpy(p, &new, sizeof(new));
	*cap = want;
	return 0;
}
