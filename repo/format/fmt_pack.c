#include "repo/crypto/crypto.h"
#include "repo/format/fmt_internal.h"
#include "repo/format/fmt_pack.h"

/* --- blobs ------------------------------------------------------------------*/

void fmt_blob_nonce(uint8_t ret[FMT_BLOB_NONCE_LEN], uint32_t ordinal,
    const uint8_t id[FMT_ID_LEN])
{
	le32_put(ret, ordinal);
	memcpy(ret + 4, id, 8);
}

void fmt_blob_ad(uint8_t ret[FMT_BLOB_AD_LEN], const uint8_t family[16],
    enum fmt_blob_kind kind, const uint8_t id[FMT_ID_LEN])
{
	memcpy(ret, family, 16);
	ret[16] = (uint8_t)kind;
	memcpy(ret + 17, id, FMT_ID_LEN);
}

void fmt_blob_prefix(uint8_t ret[FMT_BLOB_PREFIX], unsigned method,
    uint32_t plain_len)
{
	ret[0] = (uint8_t)method;
	le24_put(ret + 1, plain_len);
}

int fmt_blob_prefix_read(const void *opened, size_t len, uint32_t plain_len,
    unsigned *ret_method, struct err *err)
{
	const uint8_t *p = opened;

	if (len < FMT_BLOB_PREFIX)
		return err_set(err, ERR_CORRUPT, "blob: prefix is cut short");
	if (le24_get(p + 1) != plain_len)
		return err_set(err, ERR_CORRUPT, "blob: plain length is %u, "
		    "where %u was recorded", le24_get(p + 1), plain_len);
	*ret_method = p[0];
	return 0;
}

/* --- head -------------------------------------------------------------------*/

void fmt_pack_head_put(struct buf *b, const struct fmt_pack_head *h)
{
	fmt_header_add(b, FMT_PACK, h->epoch);
	buf_u8(b, h->blob_kind);
	buf_u8(b, h->key_method);
	buf_u16(b, h->sealed_len);
	buf_add(b, h->slot, FMT_SLOT_LEN);
	buf_add(b, h->sealed_key, h->sealed_len);
}

int fmt_pack_head_add(struct buf *b, const char *key, uint32_t epoch,
    enum fmt_blob_kind kind, const uint8_t slot[FMT_SLOT_LEN],
    const uint8_t *content_pub, const uint8_t *pack_key,
    const uint8_t data_key[32], struct err *err)
{
	struct buf sealed = BUF_INIT, header = BUF_INIT;
	struct fmt_pack_head h = { .epoch = epoch, .blob_kind = (uint8_t)kind };
	struct fmt_bind bind;
	int rc = -1;

	memcpy(h.slot, slot, FMT_SLOT_LEN);
	if (kind == FMT_STATE) {
		h.key_method = FMT_KEY_XSEAL;
		fmt_header_add(&header, FMT_PACK, epoch);
		if (buf_check(&header, "a pack's head", err) < 0)
			goto out;
		fmt_bind(&bind, key, header.p);
		if (fmt_xseal_add(&sealed, pack_key, bind.p, bind.len,
		    data_key, 32, err) < 0)
			goto out;
	} else {
		h.key_method = FMT_KEY_BOX;
		buf_zeros(&sealed, FMT_SEALED_KEY_BOX);
		if (buf_check(&sealed, "a pack's head", err) < 0)
			goto out;
		if (crypto_box_seal_to(content_pub, data_key, 32, sealed.p,
		    err) < 0)
			goto out;
	}
	h.sealed_key = sealed.p;
	h.sealed_len = (uint16_t)sealed.len;
	fmt_pack_head_put(b, &h);
	rc = buf_check(b, "a pack's head", err);
out:
	buf_release(&sealed);
	buf_release(&header);
	return rc;
}

int fmt_pack_head_decode(const void *p, size_t len, struct fmt_pack_head *ret,
    struct err *err)
{
	struct fmt_dec d = fmt_dec_object(p, len, FMT_PACK, 0, &ret->epoch,
	    err);

	ret->blob_kind = fmt_dec_u8(&d, "blob kind");
	fmt_dec_check(&d, ret->blob_kind >= FMT_DATA &&
	    ret->blob_kind <= FMT_STATE, "blob kind", "is none that exists");
	ret->key_method = fmt_dec_u8(&d, "key method");
	fmt_dec_check(&d, ret->key_method ==
	    (ret->blob_kind == FMT_STATE ? FMT_KEY_XSEAL : FMT_KEY_BOX),
	    "key method", "is not that of the blob kind");
	ret->sealed_len = fmt_dec_u16(&d, "sealed key");
	fmt_dec_check(&d, ret->sealed_len ==
	    (ret->key_method == FMT_KEY_BOX ? FMT_SEALED_KEY_BOX :
	    FMT_SEALED_KEY_XSEAL), "sealed key", "has a wrong length");
	fmt_dec_copy(&d, ret->slot, FMT_SLOT_LEN, "slot");
	ret->sealed_key = fmt_dec_bytes(&d, ret->sealed_len, "sealed key");
	return d.bad ? -1 : 0;
}

int fmt_pack_key_open(const char *key, const struct fmt_pack_head *h,
    const uint8_t *content, const uint8_t *pack_key, uint8_t ret_data_key[32],
    struct err *err)
{
	struct buf header = BUF_INIT;
	struct fmt_bind bind;
	int rc;

	if (h->key_method == FMT_KEY_BOX &&
	    h->sealed_len == FMT_SEALED_KEY_BOX) {
		if (content == NULL)
			return err_set(err, ERR_AUTH,
			    "this credential has no right to read content");
		return crypto_box_open_with(content, h->sealed_key,
		    h->sealed_len, ret_data_key, err);
	}
	if (h->key_method != FMT_KEY_XSEAL ||
	    h->sealed_len != FMT_SEALED_KEY_XSEAL)
		return err_set(err, ERR_CORRUPT,
		    "pack: key method is none that exists");
	if (pack_key == NULL)
		return err_set(err, ERR_AUTH,
		    "this credential does not have the pack's epoch");
	fmt_header_add(&header, FMT_PACK, h->epoch);
	rc = buf_check(&header, "a pack's head", err);
	if (rc == 0) {
		fmt_bind(&bind, key, header.p);
		rc = fmt_xseal_open(pack_key, bind.p, bind.len, h->sealed_key,
		    h->sealed_len, ret_data_key, err);
	}
	buf_release(&header);
	return rc;
}

/* --- where things are -------------------------------------------------------*/

#define DIR_MIN (FMT_XSEAL_EXTRA + 4 + CRYPTO_SIG_LEN)
#define ROUND 65536u

static unsigned log2_floor(uint64_t v)
{
	return 63u - (unsigned)__builtin_clzll(v | 1);
}

uint64_t fmt_padme(uint64_t len)
{
	unsigned e = log2_floor(len), s = log2_floor(e) + 1;
	uint64_t mask;

	if (len < 2 || e <= s)
		return len;
	mask = ((uint64_t)1 << (e - s)) - 1;
	return len > UINT64_MAX - mask ? len : (len + mask) & ~mask;
}

static uint64_t sums_of(uint64_t size)
{
	return size / FMT_SUM_SPAN + (size % FMT_SUM_SPAN != 0);
}

static uint64_t padded(uint64_t len, int last)
{
	return last ? fmt_padme(len) : (len + ROUND - 1) / ROUND * ROUND;
}

int fmt_pack_layout(uint64_t dir_off, uint32_t count, int last,
    struct fmt_pack_layout *ret, struct err *err)
{
	uint64_t dir_len = DIR_MIN + (uint64_t)count * FMT_DIR_ENTRY_LEN;
	uint64_t need, size;

	if (dir_off > UINT32_MAX || dir_len > UINT32_MAX)
		goto large;
	/* A larger object may have one more checksum and so be larger still. */
	size = dir_off + dir_len + FMT_FOOTER_LEN;
	for (;;) {
		need = dir_off + dir_len + sums_of(size) * 8 + FMT_FOOTER_LEN;
		if (need <= size)
			break;
		size = padded(need, last);
	}
	if (size > UINT32_MAX)
		goto large;
	*ret = (struct fmt_pack_layout){
		.dir_off = dir_off,
		.dir_len = dir_len + (size - need),
		.padding = size - need,
		.sums_off = size - FMT_FOOTER_LEN - sums_of(size) * 8,
		.nsums = sums_of(size),
		.size = size,
	};
	return 0;
large:
	return err_set(err, ERR_USAGE, "a pack is less than 4 GiB");
}

int fmt_pack_sums_at(uint64_t size, uint64_t *ret_off, uint64_t *ret_n,
    struct err *err)
{
	uint64_t n = sums_of(size);

	if (size < FMT_PACK_HEAD_MIN + DIR_MIN + 8 + FMT_FOOTER_LEN)
		return err_set(err, ERR_CORRUPT, "pack: size is too small");
	*ret_n = n;
	*ret_off = size - FMT_FOOTER_LEN - n * 8;
	return 0;
}
