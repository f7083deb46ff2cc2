#include "repo/crypto/crypto.h"
#include "repo/format/fmt_derive.h"
#include "repo/format/fmt_internal.h"

void fmt_epoch_derive(struct fmt_epoch_keys *ret, const uint8_t root[32])
{
	crypto_derive(ret->content, root, "wherry/1/content");
	crypto_box_public(ret->content_pub, ret->content);
	crypto_derive(ret->admin, root, "wherry/1/admin");
	crypto_sign_public(ret->admin_pub, ret->admin);
	crypto_derive(ret->index, root, "wherry/1/index");
}

void fmt_epoch_tag(uint8_t ret[FMT_TAG_LEN], const uint8_t admin_pub[32])
{
	uint8_t hash[32];

	crypto_sha256(hash, admin_pub, 32);
	memcpy(ret, hash, FMT_TAG_LEN);
}

void fmt_index_derive(struct fmt_index_keys *ret, const uint8_t index[32])
{
	crypto_derive(ret->segment, index, "wherry/1/segment");
	crypto_derive(ret->directory, index, "wherry/1/directory");
	crypto_derive(ret->footer, index, "wherry/1/footer");
	crypto_derive(ret->pack, index, "wherry/1/pack");
	crypto_derive(ret->snapshot, index, "wherry/1/snapshot");
	crypto_derive(ret->session, index, "wherry/1/session");
	crypto_derive(ret->dead, index, "wherry/1/dead");
}

/* out = derive(family, label ‖ domain). */
static int of_domain(uint8_t out[32], const uint8_t family[32],
    const char *label, struct fmt_str domain, struct err *err)
{
	struct buf b = BUF_INIT;
	int rc;

	buf_str(&b, label);
	buf_add(&b, domain.p, domain.len);
	rc = buf_check(&b, "a domain", err);
	if (rc == 0)
		crypto_hmac(out, family, b.p, b.len);
	buf_release(&b);
	return rc;
}

int fmt_domain_derive(struct fmt_domain_keys *ret, const uint8_t family[32],
    struct fmt_str domain, struct err *err)
{
	if (of_domain(ret->id, family, "wherry/1/id/", domain, err) < 0 ||
	    of_domain(ret->cut, family, "wherry/1/cut/", domain, err) < 0)
		return -1;
	return of_domain(ret->order, family, "wherry/1/order/", domain, err);
}

void fmt_order_derive(uint8_t ret_volume[32], uint8_t ret_state[32],
    const uint8_t order[32])
{
	crypto_derive(ret_volume, order, "wherry/1/volume");
	crypto_derive(ret_state, order, "wherry/1/state");
}

void fmt_volume_hash(uint8_t ret[32], const uint8_t volume_key[32],
    struct fmt_str volume)
{
	crypto_hmac(ret, volume_key, volume.p, volume.len);
}

void fmt_wrap_derive(uint8_t ret[32], const uint8_t p[32])
{
	crypto_derive(ret, p, "wherry/1/wrap");
}
