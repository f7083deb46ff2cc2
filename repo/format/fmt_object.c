#include <assert.h>

#include "repo/base/rand.h"
#include "repo/crypto/crypto.h"
#include "repo/format/fmt_internal.h"

static const uint8_t magic[4] = { 0x57, 0x48, 0x52, 0x59 };

static const char *const kind_names[] = {
	[FMT_CONFIG] = "config", [FMT_CERT] = "certificate",
	[FMT_WRAP] = "wrap", [FMT_END] = "end of a credential",
	[FMT_GRANT] = "grant", [FMT_PACK] = "pack",
	[FMT_SEGMENT] = "index segment", [FMT_MANIFEST] = "manifest",
	[FMT_SNAPSHOT] = "snapshot", [FMT_REVOCATION] = "revocation",
	[FMT_NOTE] = "note", [FMT_SESSION] = "session",
	[FMT_MARK] = "mark", [FMT_VERDICT] = "verdict",
	[FMT_DEAD] = "dead list", [FMT_BAD] = "list of bad blobs",
	[FMT_CHECKED] = "list of checked packs", [FMT_PARITY] = "parity",
};

const char *fmt_kind_name(unsigned kind)
{
	if (kind < FMT_CONFIG || kind > FMT_PARITY)
		return "object";
	return kind_names[kind];
}

void fmt_header_add(struct buf *b, enum fmt_kind kind, uint32_t epoch)
{
	buf_add(b, magic, sizeof(magic));
	buf_u8(b, (uint8_t)kind);
	buf_u8(b, FMT_VERSION);
	buf_u16(b, 0);
	buf_u32(b, epoch);
	buf_u32(b, 0);
}

int fmt_header_any(const void *obj, size_t len, enum fmt_kind *ret_kind,
    uint32_t *ret_epoch, struct err *err)
{
	const uint8_t *p = obj;

	if (len < FMT_HEADER_LEN)
		return err_set(err, ERR_CORRUPT, "object: header is cut short");
	if (memcmp(p, magic, sizeof(magic)) != 0)
		return err_set(err, ERR_CORRUPT,
		    "object: magic is not that of a repository");
	/* Of a later version nothing but this can be relied on. */
	if (p[5] > FMT_VERSION)
		return err_set(err, ERR_UNSUPPORTED,
		    "%s: written in format version %u; this program knows up "
		    "to %u", fmt_kind_name(p[4]), p[5], FMT_VERSION);
	if (p[5] == 0)
		return err_set(err, ERR_CORRUPT,
		    "object: version 0 does not exist");
	if (p[4] < FMT_CONFIG || p[4] > FMT_PARITY)
		return err_set(err, ERR_CORRUPT,
		    "object: kind %u does not exist", p[4]);
	if (le16_get(p + 6) != 0 || le32_get(p + 12) != 0)
		return err_set(err, ERR_CORRUPT,
		    "%s: header has bits that are to be zero",
		    fmt_kind_name(p[4]));
	*ret_kind = p[4];
	if (ret_epoch != NULL)
		*ret_epoch = le32_get(p + 8);
	return 0;
}

int fmt_header_read(const void *obj, size_t len, enum fmt_kind kind,
    uint32_t *ret_epoch, struct err *err)
{
	enum fmt_kind found;

	if (fmt_header_any(obj, len, &found, ret_epoch, err) < 0)
		return -1;
	if (found != kind)
		return err_set(err, ERR_CORRUPT, "%s: kind is that of a %s",
		    fmt_kind_name(kind), fmt_kind_name(found));
	return 0;
}

void fmt_bind(struct fmt_bind *ret, const char *key,
    const void *header)
{
	size_t len = strlen(key);

	if (len > FMT_KEY_MAX)
		len = FMT_KEY_MAX;
	static_assert(2 + FMT_KEY_MAX + FMT_HEADER_LEN <= sizeof(ret->p),
	    "a bind has room for every key");
	le16_put(ret->p, (uint16_t)len);
	memcpy(ret->p + 2, key, len);
	memcpy(ret->p + 2 + len, header, FMT_HEADER_LEN);
	ret->len = 2 + len + FMT_HEADER_LEN;
}

int fmt_xseal_add(struct buf *b, const uint8_t key[32], const void *ad,
    size_t adlen, const void *plain, size_t len, struct err *err)
{
	static_assert(FMT_XSEAL_EXTRA == CRYPTO_XNONCE_LEN + CRYPTO_TAG_LEN,
	    "what XSEAL adds");
	if (buf_reserve(b, len + FMT_XSEAL_EXTRA) < 0)
		return err_nomem(err, "sealing");

	uint8_t *p = b->p + b->len;

	rand_bytes(p, CRYPTO_XNONCE_LEN);
	crypto_xseal(key, p, ad, adlen, plain, len, p + CRYPTO_XNONCE_LEN);
	b->len += len + FMT_XSEAL_EXTRA;
	return 0;
}

int fmt_xseal_open(const uint8_t key[32], const void *ad, size_t adlen,
    const void *sealed, size_t len, void *dst, struct err *err)
{
	const uint8_t *p = sealed;

	if (len < FMT_XSEAL_EXTRA)
		return err_set(err, ERR_CORRUPT, "sealed part is cut short");
	return crypto_xopen(key, p, ad, adlen, p + CRYPTO_XNONCE_LEN,
	    len - CRYPTO_XNONCE_LEN, dst, err);
}
