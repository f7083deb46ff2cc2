#include "repo/crypto/crypto.h"
#include "repo/format/fmt_internal.h"
#include "repo/format/fmt_pack.h"

/* --- directory --------------------------------------------------------------*/

void fmt_dir_entry_add(struct buf *b, const struct fmt_dir_entry *e)
{
	buf_add(b, e->id, FMT_ID_LEN);
	buf_u32(b, e->offset);
	buf_u24(b, e->sealed_len);
	buf_u24(b, e->plain_len);
}

void fmt_dir_entry_get(const void *p, struct fmt_dir_entry *ret)
{
	const uint8_t *b = p;

	memcpy(ret->id, b, FMT_ID_LEN);
	ret->offset = le32_get(b + 32);
	ret->sealed_len = le24_get(b + 36);
	ret->plain_len = le24_get(b + 39);
}

/* SHA-256(head ‖ count ‖ entries); list begins with the count. */
static int dir_hash(uint8_t ret[32], const void *head, size_t head_len,
    const void *list, size_t list_len, struct err *err)
{
	struct crypto_sha256 *h = crypto_sha256_new(err);

	if (h == NULL)
		return -1;
	crypto_sha256_add(h, head, head_len);
	crypto_sha256_add(h, list, list_len);
	crypto_sha256_end(h, ret);
	crypto_sha256_free(h);
	return 0;
}

int fmt_dir_seal(struct buf *out, const char *key,
    const uint8_t repository[FMT_REPOSITORY_LEN], const void *head,
    size_t head_len, const void *entries, uint32_t count, uint64_t padding,
    const uint8_t seed[32], const uint8_t dir_key[32], struct err *err)
{
	uint8_t hash[32], sig[CRYPTO_SIG_LEN];
	struct buf plain = BUF_INIT;
	struct fmt_bind bind;
	int rc;

	buf_u32(&plain, count);
	buf_add(&plain, entries, (size_t)count * FMT_DIR_ENTRY_LEN);
	rc = buf_check(&plain, "a pack's directory", err);
	if (rc == 0)
		rc = dir_hash(hash, head, head_len, plain.p, plain.len, err);
	if (rc == 0) {
		fmt_sign_hash(sig, repository, key, hash, seed);
		buf_add(&plain, sig, sizeof(sig));
		buf_zeros(&plain, (size_t)padding);
		rc = buf_check(&plain, "a pack's directory", err);
	}
	if (rc == 0) {
		fmt_bind(&bind, key, head);
		rc = fmt_xseal_add(out, dir_key, bind.p, bind.len, plain.p,
		    plain.len, err);
	}
	buf_release(&plain);
	return rc;
}

/* Check that the blobs stand one after another from `at` to `end`. */
static int dir_check(const uint8_t *entries, uint32_t count, uint64_t at,
    uint64_t end, struct err *err)
{
	struct fmt_dir_entry e;

	for (uint32_t i = 0; i < count; i++) {
		fmt_dir_entry_get(entries + (size_t)i * FMT_DIR_ENTRY_LEN, &e);
		if (e.offset != at)
			return err_set(err, ERR_CORRUPT,
			    "pack: directory: blob %u is at %u where the one "
			    "before ends at %llu", i, e.offset,
			    (unsigned long long)at);
		if (e.sealed_len < FMT_BLOB_EXTRA)
			return err_set(err, ERR_CORRUPT,
			    "pack: directory: blob %u is too short", i);
		at += e.sealed_len;
	}
	if (at != end)
		return err_set(err, ERR_CORRUPT, "pack: directory: the blobs "
		    "end at %llu and the directory is at %llu",
		    (unsigned long long)at, (unsigned long long)end);
	return 0;
}

int fmt_dir_open(const char *key,
    const uint8_t repository[FMT_REPOSITORY_LEN], const void *head,
    size_t head_len, uint64_t dir_off, const void *sealed, size_t len,
    const uint8_t *pub, const uint8_t dir_key[32], struct buf *ret_plain,
    const uint8_t **ret_entries, uint32_t *ret_count, struct err *err)
{
	struct fmt_bind bind;
	struct rd r;
	const uint8_t *entries, *sig;
	uint8_t hash[32];
	uint32_t n;

	buf_reset(ret_plain);
	if (len < FMT_XSEAL_EXTRA)
		return err_set(err, ERR_CORRUPT,
		    "pack: directory is cut short");
	if (buf_reserve(ret_plain, len) < 0)
		return err_nomem(err, "a pack's directory");
	fmt_bind(&bind, key, head);
	if (fmt_xseal_open(dir_key, bind.p, bind.len, sealed, len,
	    ret_plain->p, err) < 0)
		return err_wrap(err, "pack: directory");
	ret_plain->len = len - FMT_XSEAL_EXTRA;

	r = rd_init(ret_plain->p, ret_plain->len);
	n = rd_u32(&r);
	entries = rd_bytes(&r, (size_t)n * FMT_DIR_ENTRY_LEN);
	sig = rd_bytes(&r, CRYPTO_SIG_LEN);
	if (r.bad)
		return err_set(err, ERR_CORRUPT,
		    "pack: directory: count is more than it holds");
	if (!bytes_are_zero(r.p, r.left))
		return err_set(err, ERR_CORRUPT,
		    "pack: directory: padding is not zeros");
	if (dir_check(entries, n, head_len, dir_off, err) < 0)
		return -1;
	if (pub != NULL) {
		if (dir_hash(hash, head, head_len, ret_plain->p,
		    4 + (size_t)n * FMT_DIR_ENTRY_LEN, err) < 0)
			return -1;
		if (fmt_verify_hash(sig, repository, key, hash, pub, err) < 0)
			return err_wrap(err, "pack: directory");
	}
	*ret_entries = entries;
	*ret_count = n;
	return 0;
}

/* --- checksums --------------------------------------------------------------*/

void fmt_sums_init(struct fmt_sums *s)
{
	*s = (struct fmt_sums){ 0, 0, BUF_INIT };
}

void fmt_sums_release(struct fmt_sums *s)
{
	buf_release(&s->out);
	fmt_sums_init(s);
}

void fmt_sums_reset(struct fmt_sums *s)
{
	buf_reset(&s->out);
	s->crc = 0;
	s->at = 0;
}

static void sum_done(struct fmt_sums *s)
{
	buf_u64(&s->out, s->crc);
	s->crc = 0;
}

void fmt_sums_add(struct fmt_sums *s, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		size_t n = FMT_SUM_SPAN - (size_t)(s->at % FMT_SUM_SPAN);

		if (n > len)
			n = len;
		s->crc = crypto_crc64(s->crc, p, n);
		s->at += n;
		p += n;
		len -= n;
		if (s->at % FMT_SUM_SPAN == 0)
			sum_done(s);
	}
}

int fmt_sums_end(struct fmt_sums *s, uint64_t nsums, struct err *err)
{
	if (s->at % FMT_SUM_SPAN != 0)
		sum_done(s);
	while (!s->out.failed && s->out.len / 8 < nsums)
		sum_done(s);
	if (buf_check(&s->out, "checksums", err) < 0)
		return -1;
	if (s->out.len / 8 != nsums)
		return err_set(err, ERR_BUG,
		    "checksums of more than the pack were made");
	return 0;
}

/* --- footer -----------------------------------------------------------------*/

int fmt_footer_add(struct buf *b, const char *key, const void *header,
    const uint8_t foot_key[32], const struct fmt_pack_layout *l,
    struct err *err)
{
	uint8_t plain[16] = { 0 };
	struct fmt_bind bind;

	le32_put(plain, (uint32_t)l->dir_off);
	le32_put(plain + 4, (uint32_t)l->dir_len);
	fmt_bind(&bind, key, header);
	return fmt_xseal_add(b, foot_key, bind.p, bind.len, plain,
	    sizeof(plain), err);
}

int fmt_footer_open(const char *key, const void *header, const void *footer,
    uint64_t size, const uint8_t foot_key[32], struct fmt_pack_layout *ret,
    struct err *err)
{
	uint8_t plain[16];
	struct fmt_bind bind;

	*ret = (struct fmt_pack_layout){ .size = size };
	if (fmt_pack_sums_at(size, &ret->sums_off, &ret->nsums, err) < 0)
		return -1;
	fmt_bind(&bind, key, header);
	if (fmt_xseal_open(foot_key, bind.p, bind.len, footer, FMT_FOOTER_LEN,
	    plain, err) < 0)
		return err_wrap(err, "pack: footer");
	ret->dir_off = le32_get(plain);
	ret->dir_len = le32_get(plain + 4);
	if (!bytes_are_zero(plain + 8, 8))
		return err_set(err, ERR_CORRUPT,
		    "pack: footer: zeros are something else");
	if (ret->dir_off < FMT_PACK_HEAD_MIN ||
	    ret->dir_off + ret->dir_len != ret->sums_off)
		return err_set(err, ERR_CORRUPT,
		    "pack: footer: directory is not where it must be in an "
		    "object of %llu bytes", (unsigned long long)size);
	return 0;
}
