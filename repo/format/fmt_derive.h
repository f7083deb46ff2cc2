#ifndef REPO_FORMAT_FMT_DERIVE_H
#define REPO_FORMAT_FMT_DERIVE_H

#include <stdint.h>

#include "repo/format/fmt_object.h"

/*
 * Keys from keys (FORMAT.md 3).  What is written is secret but for the public
 * keys; where it lies is the caller's care.
 */

/* From an epoch's root R_n. */
struct fmt_epoch_keys {
	uint8_t content[32];     /* X_n, X25519 secret */
	uint8_t content_pub[32]; /* P_n */
	uint8_t admin[32];       /* A_n, Ed25519 seed */
	uint8_t admin_pub[32];
	uint8_t index[32];       /* K_idx,n */
};
void fmt_epoch_derive(struct fmt_epoch_keys *ret, const uint8_t root[32]);

/* What tells an epoch from another attempt at the same number. */
void fmt_epoch_tag(uint8_t ret[FMT_TAG_LEN], const uint8_t admin_pub[32]);

/* From K_idx,n. */
struct fmt_index_keys {
	uint8_t segment[32], directory[32], footer[32], pack[32];
	uint8_t snapshot[32], session[32], dead[32];
};
void fmt_index_derive(struct fmt_index_keys *ret, const uint8_t index[32]);

/* From the family's secret F and a domain. */
struct fmt_domain_keys {
	uint8_t id[32], cut[32], order[32];
};
/* -1 with class FULL when there is no memory for a long domain. */
int fmt_domain_derive(struct fmt_domain_keys *ret, const uint8_t family[32],
    struct fmt_str domain, struct err *err);

/* From K_ord: K_vol and K_state. */
void fmt_order_derive(uint8_t ret_volume[32], uint8_t ret_state[32],
    const uint8_t order[32]);

/* volume hash = HMAC(K_vol, volume name). */
void fmt_volume_hash(uint8_t ret[32], const uint8_t volume_key[32],
    struct fmt_str volume);

/* What a wrap is sealed by: k = derive(p, "wherry/1/wrap"). */
void fmt_wrap_derive(uint8_t ret[32], const uint8_t p[32]);

#endif
