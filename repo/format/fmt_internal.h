#ifndef REPO_FORMAT_FMT_INTERNAL_H
#define REPO_FORMAT_FMT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/bytes.h"
#include "repo/format/fmt_entry.h"
#include "repo/format/fmt_name.h"
#include "repo/format/fmt_object.h"

/*
 * A decoder: a bounds-checked cursor that says in err which field of what was
 * wrong.  After the first failure it gives zeros, so a whole structure is
 * decoded first and fmt_dec_end asked once.  With err NULL it only fails.
 */
struct fmt_dec {
	struct rd rd;
	const char *what; /* "certificate" */
	struct err *err;
	bool bad;
};

struct fmt_dec fmt_dec_init(const char *what, const void *p, size_t len,
    struct err *err);

/*
 * Begin an object of that kind: the header is read, and `tail` bytes at the
 * end (signer and signature, or 0) are left out.
 */
struct fmt_dec fmt_dec_object(const void *obj, size_t len, enum fmt_kind kind,
    size_t tail, uint32_t *ret_epoch, struct err *err);

/* Fail: "<what>: <field> <why>", class CORRUPT; the first one stands. */
void fmt_dec_fail(struct fmt_dec *d, const char *field, const char *why);

/* Fail unless ok. */
static inline void fmt_dec_check(struct fmt_dec *d, bool ok,
    const char *field, const char *why)
{
	if (!ok && !d->bad)
		fmt_dec_fail(d, field, why);
}

const uint8_t *fmt_dec_bytes(struct fmt_dec *d, size_t len,
    const char *field);
void fmt_dec_copy(struct fmt_dec *d, void *dst, size_t len,
    const char *field);
uint8_t fmt_dec_u8(struct fmt_dec *d, const char *field);
uint16_t fmt_dec_u16(struct fmt_dec *d, const char *field);
uint32_t fmt_dec_u24(struct fmt_dec *d, const char *field);
uint32_t fmt_dec_u32(struct fmt_dec *d, const char *field);
uint64_t fmt_dec_u64(struct fmt_dec *d, const char *field);
int64_t fmt_dec_i64(struct fmt_dec *d, const char *field);
uint64_t fmt_dec_var(struct fmt_dec *d, const char *field);
/* A var that is at most max. */
uint64_t fmt_dec_var_max(struct fmt_dec *d, uint64_t max, const char *field);
struct fmt_str fmt_dec_str(struct fmt_dec *d, const char *field);

/* A str that is a session's name, or, where that may be, empty. */
void fmt_dec_session(struct fmt_dec *d, char dst[FMT_SESSION_MAX],
    bool may_be_empty, const char *field);

/*
 * A list whose elements take at least min bytes (not 0) each: all are passed
 * by elem, which may fail.
 */
struct fmt_list fmt_dec_list(struct fmt_dec *d, size_t min,
    void (*elem)(struct fmt_dec *d, void *ctx), void *ctx, const char *field);
/* list(slot, session): fmt_mark_next (fmt_gc.c). */
struct fmt_list fmt_dec_snapshots(struct fmt_dec *d, const char *field);
/* Elements of exactly `size` bytes, any value. */
struct fmt_list fmt_dec_list_fixed(struct fmt_dec *d, size_t size,
    const char *field);
/* An elem for list(str); ctx is not looked at. */
void fmt_dec_elem_str(struct fmt_dec *d, void *ctx);

/* Return 0 when all was well and nothing is left, else -1. */
int fmt_dec_end(struct fmt_dec *d);

/*
 * What an encoder answers: 0 when `decoded` (a decoder's answer to what was
 * encoded) is 0, else -1 with the class changed to BUG.  Never writes what
 * cannot be read.
 */
int fmt_encoded(const struct buf *b, const char *what, int decoded,
    struct err *err);

/* Append a str, a list, an i64. */
void fmt_add_str(struct buf *b, struct fmt_str s);
void fmt_add_list(struct buf *b, const struct fmt_list *l);
void fmt_add_i64(struct buf *b, int64_t v);

/*
 * Stepping through a list that was checked: read the first element by rd, then
 * fmt_list_took, which returns 0, or 1 when the bytes were no element.
 */
static inline struct rd fmt_list_rd(const struct fmt_list *l)
{
	return l->n ? rd_init(l->p, l->len) : (struct rd){ NULL, 0, true };
}
int fmt_list_took(struct fmt_list *l, const struct rd *r);

/* Content of a file: size ‖ C; in a state inline has no bytes. */
void fmt_content_add(struct buf *b, const struct fmt_content *c, bool state);
void fmt_dec_content(struct fmt_dec *d, struct fmt_content *ret, bool state);

/* A run. */
void fmt_run_add(struct buf *b, const struct fmt_run *run);
void fmt_dec_run(struct fmt_dec *d, struct fmt_run *ret);

/* The bodies of entries, behind the item's first byte. */
void fmt_dec_entry(struct fmt_dec *d, struct fmt_entry *ret);
void fmt_dec_state_entry(struct fmt_dec *d, struct fmt_state_entry *ret);

/* Fail unless the name may stand in a path. */
void fmt_dec_check_name(struct fmt_dec *d, const char *p, size_t len,
    bool may_be_empty);

/* The items of leaves. */
enum fmt_item { FMT_ITEM_DIR = 1, FMT_ITEM_ENTRY = 2, FMT_ITEM_MARK = 3 };

/*
 * Give the array behind p (a pointer to a pointer) room for n elements of that
 * size, *cap being what it has.  Return 0, or -1 without memory.
 */
int fmt_grow(void *p, size_t *cap, size_t n, size_t size);

#endif
