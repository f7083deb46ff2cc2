#include <string.h>

#include "repo/format/fmt_gc.h"
#include "repo/format/fmt_internal.h"

/*
 * Signed objects that are lists: bad, checked, manifest.
 */

struct one_list {
	enum fmt_kind kind;
	const char *field;
	size_t size; /* of an element */
	void (*elem)(struct fmt_dec *d, void *ctx);
};

static int list_decode(const struct one_list *x, const void *obj, size_t len,
    size_t tail, uint32_t *ret_epoch, struct fmt_list *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, x->kind, tail, ret_epoch,
	    err);
	uint64_t last = 0;

	*ret = x->elem ? fmt_dec_list(&d, x->size, x->elem, &last, x->field) :
	    fmt_dec_list_fixed(&d, x->size, x->field);
	return fmt_dec_end(&d);
}

static int list_encode(const struct one_list *x, struct buf *obj,
    uint32_t epoch, const struct fmt_list *l, struct err *err)
{
	struct fmt_list t;
	uint32_t e;

	fmt_header_add(obj, x->kind, epoch);
	fmt_add_list(obj, l);
	return fmt_encoded(obj, x->field,
	    list_decode(x, obj->p, obj->len, 0, &e, &t, err), err);
}

/* --- bad --------------------------------------------------------------------*/

static void elem_bad(struct fmt_dec *d, void *ctx)
{
	static const uint8_t none[FMT_ID_LEN];
	uint8_t kind = fmt_dec_u8(d, "blob kind");
	const uint8_t *id = fmt_dec_bytes(d, FMT_ID_LEN, "blob");

	(void)ctx;
	fmt_dec_bytes(d, FMT_PACK_NAME_LEN, "pack");
	fmt_dec_check(d, kind <= FMT_STATE, "blob kind",
	    "is none that exists");
	if (!d->bad && kind == FMT_BAD_PACK)
		fmt_dec_check(d, memcmp(id, none, sizeof(none)) == 0, "blob",
		    "is named where a whole pack is meant");
}

void fmt_list_add_bad(struct fmt_list_buf *l, const struct fmt_bad_entry *e)
{
	buf_u8(&l->b, e->kind);
	buf_add(&l->b, e->id, FMT_ID_LEN);
	buf_add(&l->b, e->pack, FMT_PACK_NAME_LEN);
	l->n++;
}

int fmt_bad_next(struct fmt_list *l, struct fmt_bad_entry *ret)
{
	struct rd r = fmt_list_rd(l);

	ret->kind = rd_u8(&r);
	ret->id = rd_bytes(&r, FMT_ID_LEN);
	ret->pack = rd_bytes(&r, FMT_PACK_NAME_LEN);
	return fmt_list_took(l, &r);
}

static int bad_decode(const void *obj, size_t len, size_t tail,
    struct fmt_bad *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_BAD, tail,
	    &ret->epoch, err);

	ret->flags = fmt_dec_u8(&d, "flags");
	fmt_dec_check(&d, (ret->flags & ~FMT_BAD_MORE) == 0, "flags",
	    "are none that exist");
	ret->blobs = fmt_dec_list(&d, 1 + FMT_ID_LEN + FMT_PACK_NAME_LEN,
	    elem_bad, NULL, "bad blobs");
	ret->snapshots = fmt_dec_snapshots(&d, "snapshots");
	return fmt_dec_end(&d);
}

int fmt_bad_encode(struct buf *obj, const struct fmt_bad *b, struct err *err)
{
	struct fmt_bad t;

	fmt_header_add(obj, FMT_BAD, b->epoch);
	buf_u8(obj, b->flags);
	fmt_add_list(obj, &b->blobs);
	fmt_add_list(obj, &b->snapshots);
	return fmt_encoded(obj, "bad blobs",
	    bad_decode(obj->p, obj->len, 0, &t, err), err);
}

int fmt_bad_decode(const void *obj, size_t len, struct fmt_bad *ret,
    struct err *err)
{
	return bad_decode(obj, len, FMT_SIGNED_TAIL, ret, err);
}

/* --- checked ----------------------------------------------------------------*/

static const struct one_list checked = {
	FMT_CHECKED, "checked packs", FMT_PACK_NAME_LEN + 8, NULL,
};

void fmt_list_add_checked(struct fmt_list_buf *l,
    const struct fmt_checked_entry *e)
{
	buf_add(&l->b, e->pack, FMT_PACK_NAME_LEN);
	fmt_add_i64(&l->b, e->time_ns);
	l->n++;
}

int fmt_checked_next(struct fmt_list *l, struct fmt_checked_entry *ret)
{
	struct rd r = fmt_list_rd(l);

	ret->pack = rd_bytes(&r, FMT_PACK_NAME_LEN);
	ret->time_ns = (int64_t)rd_u64(&r);
	return fmt_list_took(l, &r);
}

int fmt_checked_encode(struct buf *obj, uint32_t epoch,
    const struct fmt_list *l, struct err *err)
{
	return list_encode(&checked, obj, epoch, l, err);
}

int fmt_checked_decode(const void *obj, size_t len, uint32_t *ret_epoch,
    struct fmt_list *ret, struct err *err)
{
	return list_decode(&checked, obj, len, FMT_SIGNED_TAIL, ret_epoch, ret,
	    err);
}

/* --- manifest ---------------------------------------------------------------*/

static void elem_number(struct fmt_dec *d, void *ctx)
{
	uint64_t *last = ctx; /* one more than the number before */
	uint64_t n = fmt_dec_u64(d, "merged segment");

	fmt_dec_check(d, n >= *last && n != UINT64_MAX, "merged segments",
	    "do not ascend");
	*last = n + 1;
}

void fmt_list_add_number(struct fmt_list_buf *l, uint64_t n)
{
	buf_u64(&l->b, n);
	l->n++;
}

int fmt_number_next(struct fmt_list *l, uint64_t *ret)
{
	struct rd r = fmt_list_rd(l);

	*ret = rd_u64(&r);
	return fmt_list_took(l, &r);
}

static void elem_covered(struct fmt_dec *d, void *ctx)
{
	struct fmt_str s = fmt_dec_str(d, "covered segment");
	size_t len = s.len < FMT_KEY_MAX ? s.len : 0;
	char text[FMT_KEY_MAX] = "";
	struct fmt_key key;

	(void)ctx;
	if (d->bad)
		return;
	memcpy(text, s.p, len);
	fmt_dec_check(d, strlen(text) == s.len &&
	    fmt_key_parse(text, &key) == 0 && (key.place == FMT_AT_SEGMENT ||
	        key.place == FMT_AT_MERGED), "covered segment",
	    "is the key of none");
}

static int manifest_decode(const void *obj, size_t len, size_t tail,
    struct fmt_manifest *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_MANIFEST, tail,
	    &ret->epoch, err);
	uint64_t last = 0;

	ret->merged = fmt_dec_list(&d, 8, elem_number, &last,
	    "merged segments");
	ret->covered = fmt_dec_list(&d, 2, elem_covered, NULL,
	    "covered segments");
	return fmt_dec_end(&d);
}

int fmt_manifest_encode(struct buf *obj, const struct fmt_manifest *m,
    struct err *err)
{
	struct fmt_manifest t;

	fmt_header_add(obj, FMT_MANIFEST, m->epoch);
	fmt_add_list(obj, &m->merged);
	fmt_add_list(obj, &m->covered);
	return fmt_encoded(obj, "a manifest",
	    manifest_decode(obj->p, obj->len, 0, &t, err), err);
}

int fmt_manifest_decode(const void *obj, size_t len,
    struct fmt_manifest *ret, struct err *err)
{
	return manifest_decode(obj, len, FMT_SIGNED_TAIL, ret, err);
}

/* --- parity -----------------------------------------------------------------*/

size_t fmt_parity_len(const struct parity_shape *s)
{
	return FMT_PARITY_HEAD + parity_cells(s) * 8 + parity_bytes(s);
}

void fmt_parity_head_add(struct buf *obj, const struct parity_shape *s)
{
	fmt_header_add(obj, FMT_PARITY, 0);
	buf_u32(obj, s->size);
	buf_u32(obj, s->shard);
	buf_u8(obj, (uint8_t)s->data);
	buf_u8(obj, (uint8_t)s->parity);
}

static void parity_head_dec(struct fmt_dec *d, uint32_t epoch,
    struct parity_shape *ret)
{
	uint32_t size = fmt_dec_u32(d, "pack size");
	uint32_t shard = fmt_dec_u32(d, "shard size");
	uint8_t data = fmt_dec_u8(d, "data shards");
	uint8_t parity = fmt_dec_u8(d, "parity shards");

	fmt_dec_check(d, epoch == 0, "epoch", "is not 0");
	if (d->bad)
		return;
	fmt_dec_check(d, parity_shape_of(ret, size, shard, data, parity,
	        NULL) == 0, "shards", "are of an impossible shape");
}

int fmt_parity_head_read(const uint8_t head[FMT_PARITY_HEAD],
    struct parity_shape *ret, struct err *err)
{
	uint32_t epoch = 0;
	struct fmt_dec d = fmt_dec_object(head, FMT_PARITY_HEAD, FMT_PARITY, 0,
	    &epoch, err);

	parity_head_dec(&d, epoch, ret);
	return fmt_dec_end(&d);
}

int fmt_parity_decode(const void *obj, size_t len, struct fmt_parity *ret,
    struct err *err)
{
	uint32_t epoch = 0;
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_PARITY, 0, &epoch, err);

	*ret = (struct fmt_parity){ .sums = NULL };
	parity_head_dec(&d, epoch, &ret->shape);
	if (!d.bad) {
		ret->sums = fmt_dec_bytes(&d, parity_cells(&ret->shape) * 8,
		    "checksums");
		ret->shards = fmt_dec_bytes(&d, parity_bytes(&ret->shape),
		    "parity shards");
	}
	return fmt_dec_end(&d);
}
