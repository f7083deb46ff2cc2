#include "repo/crypto/crypto.h"
#include "repo/format/fmt_internal.h"

static const char prefix[] = "wherry/1/sign";

struct message {
	uint8_t p[sizeof(prefix) - 1 + FMT_REPOSITORY_LEN + 2 + FMT_KEY_MAX + 32];
	size_t len;
};

static void put(struct message *m, const void *p, size_t len)
{
	memcpy(m->p + m->len, p, len);
	m->len += len;
}

static void message(struct message *m,
    const uint8_t repository[FMT_REPOSITORY_LEN], const char *key,
    const uint8_t hash[32])
{
	size_t len = strlen(key);
	uint8_t n[2];

	if (len > FMT_KEY_MAX)
		len = FMT_KEY_MAX;
	le16_put(n, (uint16_t)len);
	m->len = 0;
	put(m, prefix, sizeof(prefix) - 1);
	put(m, repository, FMT_REPOSITORY_LEN);
	put(m, n, 2);
	put(m, key, len);
	put(m, hash, 32);
}

void fmt_sign_hash(uint8_t ret_sig[64],
    const uint8_t repository[FMT_REPOSITORY_LEN], const char *key,
    const uint8_t hash[32], const uint8_t seed[32])
{
	struct message m;

	message(&m, repository, key, hash);
	crypto_sign_with(ret_sig, seed, m.p, m.len);
}

int fmt_verify_hash(const uint8_t sig[64],
    const uint8_t repository[FMT_REPOSITORY_LEN], const char *key,
    const uint8_t hash[32], const uint8_t pub[32], struct err *err)
{
	struct message m;

	message(&m, repository, key, hash);
	return crypto_verify(sig, pub, m.p, m.len, err);
}

int fmt_sign_append(struct buf *obj,
    const uint8_t repository[FMT_REPOSITORY_LEN], const char *key,
    const uint8_t *slot, const uint8_t seed[32], struct err *err)
{
	static const uint8_t admin[FMT_SLOT_LEN];
	uint8_t hash[32], sig[CRYPTO_SIG_LEN];

	buf_add(obj, slot ? slot : admin, FMT_SLOT_LEN);
	if (buf_check(obj, "a signed object", err) < 0)
		return -1;
	crypto_sha256(hash, obj->p, obj->len);
	fmt_sign_hash(sig, repository, key, hash, seed);
	buf_add(obj, sig, sizeof(sig));
	return buf_check(obj, "a signed object", err);
}

int fmt_signed_signer(const void *obj, size_t len,
    uint8_t ret_slot[FMT_SLOT_LEN], struct err *err)
{
	if (len < FMT_HEADER_LEN + FMT_SIGNED_TAIL)
		return err_set(err, ERR_CORRUPT,
		    "object: signature is cut short");
	memcpy(ret_slot, (const uint8_t *)obj + len - FMT_SIGNED_TAIL,
	    FMT_SLOT_LEN);
	return bytes_are_zero(ret_slot, FMT_SLOT_LEN) ? 1 : 0;
}

int fmt_signed_check(const void *obj, size_t len,
    const uint8_t repository[FMT_REPOSITORY_LEN], const char *key,
    const uint8_t pub[32], struct err *err)
{
	const uint8_t *p = obj;
	uint8_t hash[32];

	if (len < FMT_HEADER_LEN + FMT_SIGNED_TAIL)
		return err_set(err, ERR_CORRUPT,
		    "object: signature is cut short");
	crypto_sha256(hash, p, len - CRYPTO_SIG_LEN);
	return fmt_verify_hash(p + len - CRYPTO_SIG_LEN, repository, key, hash,
	    pub, err);
}
