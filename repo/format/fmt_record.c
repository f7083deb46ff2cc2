#include "repo/format/fmt_internal.h"
#include "repo/format/fmt_segment.h"

/* --- entries ----------------------------------------------------------------*/

void fmt_index_entry_put(uint8_t dst[FMT_ENTRY_LEN],
    const struct fmt_index_entry *e)
{
	memcpy(dst, e->id, FMT_ID_LEN);
	le24_put(dst + 32, e->pack);
	le24_put(dst + 35, e->ordinal);
	le32_put(dst + 38, e->offset);
	le24_put(dst + 42, e->sealed_len);
	le24_put(dst + 45, e->plain_len);
}

int fmt_index_entry_get(const uint8_t src[FMT_ENTRY_LEN], uint32_t packs,
    struct fmt_index_entry *ret, struct err *err)
{
	memcpy(ret->id, src, FMT_ID_LEN);
	ret->pack = le24_get(src + 32);
	ret->ordinal = le24_get(src + 35);
	ret->offset = le32_get(src + 38);
	ret->sealed_len = le24_get(src + 42);
	ret->plain_len = le24_get(src + 45);
	if (ret->pack >= packs)
		return err_set(err, ERR_CORRUPT, "index segment: an entry "
		    "names pack %u of %u", ret->pack, packs);
	return 0;
}

static int cmp_u32(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

int fmt_index_entry_cmp(const struct fmt_index_entry *a,
    const struct fmt_index_entry *b)
{
	int c = memcmp(a->id, b->id, FMT_ID_LEN);

	if (c == 0)
		c = cmp_u32(a->pack, b->pack);
	return c != 0 ? c : cmp_u32(a->ordinal, b->ordinal);
}

/* --- pack records -----------------------------------------------------------*/

int fmt_pack_record_put(uint8_t *dst, uint16_t record,
    const struct fmt_pack_record *r, struct err *err)
{
	if (record < FMT_RECORD_MIN || r->sealed_len > record - FMT_RECORD_MIN)
		return err_set(err, ERR_BUG, "index segment: a sealed key of "
		    "%u bytes in a pack record of %u", r->sealed_len, record);
	memset(dst, 0, record);
	memcpy(dst, r->name, FMT_PACK_NAME_LEN);
	le32_put(dst + 16, r->size);
	le32_put(dst + 20, r->epoch);
	dst[24] = r->blob_kind;
	dst[25] = r->key_method;
	le16_put(dst + 26, r->sealed_len);
	memcpy(dst + 28, r->slot, FMT_SLOT_LEN);
	if (r->sealed_len > 0)
		memcpy(dst + FMT_RECORD_MIN, r->sealed_key, r->sealed_len);
	return 0;
}

int fmt_pack_record_get(const uint8_t *src, uint16_t record,
    struct fmt_pack_record *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_init("index segment: pack record", src,
	    record, err);

	fmt_dec_copy(&d, ret->name, FMT_PACK_NAME_LEN, "name");
	ret->size = fmt_dec_u32(&d, "size");
	ret->epoch = fmt_dec_u32(&d, "epoch");
	ret->blob_kind = fmt_dec_u8(&d, "blob kind");
	fmt_dec_check(&d, ret->blob_kind >= FMT_DATA &&
	    ret->blob_kind <= FMT_STATE, "blob kind", "is none that exists");
	ret->key_method = fmt_dec_u8(&d, "key method");
	ret->sealed_len = fmt_dec_u16(&d, "sealed key");
	fmt_dec_copy(&d, ret->slot, FMT_SLOT_LEN, "slot");
	ret->sealed_key = fmt_dec_bytes(&d, ret->sealed_len, "sealed key");
	fmt_dec_check(&d, d.bad || bytes_are_zero(d.rd.p, d.rd.left),
	    "padding", "is not zeros");
	return d.bad ? -1 : 0;
}

/* --- buckets ----------------------------------------------------------------*/

void fmt_buckets_init(struct fmt_buckets *x, unsigned bits)
{
	*x = (struct fmt_buckets){ bits, 0, 0 };
}

void fmt_buckets_add(struct fmt_buckets *x, const uint8_t id[FMT_ID_LEN],
    struct buf *out)
{
	/* This entry is the first of every bucket up to its own. */
	for (uint32_t b = fmt_bucket(id, x->bits); x->next <= b; x->next++)
		buf_u32(out, x->at);
	x->at++;
}

void fmt_buckets_end(struct fmt_buckets *x, struct buf *out)
{
	for (; x->next <= (uint64_t)1 << x->bits; x->next++)
		buf_u32(out, x->at);
}
