/* Credentials: making one, listing them, a new passphrase. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"
#include "repo/store/store_internal.h"

static int put_new(struct backend *be, const char *key, const struct buf *obj,
    struct err *err)
{
	int r = store_object_put(be, key, obj->p, obj->len, err);

	if (r > 0)
		return err_set(err, ERR_CONFLICT, "%s: exists already", key);
	return r;
}

/* The wrap's parameters and its key k (64 bytes of secret memory). */
static int wrap_key(const struct store_secret *secret, size_t argon_memory,
    const uint8_t slot[STORE_SLOT_LEN], struct fmt_wrap *w, uint8_t *k,
    char *ret_line, struct err *err)
{
	uint32_t max = (uint32_t)(argon_memory / 2 / 1024);

	*w = (struct fmt_wrap){ 0 };
	if (secret == NULL || secret->passphrase == NULL) {
		w->method = FMT_BY_KEY_FILE;
		rand_bytes(k + 32, 32);
		fmt_key_file_line(ret_line, slot, k + 32);
		fmt_wrap_derive(k, k + 32);
		return 0;
	}
	w->method = FMT_BY_PASSPHRASE;
	crypto_passphrase_defaults(&w->ops, &w->mem_kib);
	if (w->mem_kib > max)
		w->mem_kib = max;
	rand_bytes(w->salt, sizeof(w->salt));
	if (crypto_passphrase(k + 32, secret->passphrase,
	        secret->passphrase_len, w->salt, w->ops, w->mem_kib, max,
	        err) != 0)
		return -1;
	fmt_wrap_derive(k, k + 32);
	return 0;
}

static int put_wrap(struct backend *be, const uint8_t slot[STORE_SLOT_LEN],
    uint32_t number, const struct store_secret *secret, size_t argon_memory,
    const struct fmt_secret *half, char *ret_line, struct err *err)
{
	char key[FMT_KEY_MAX];
	struct buf obj = BUF_INIT;
	struct fmt_wrap w;
	uint8_t *k = crypto_secret_new(64, err);
	int r = -1;

	if (k == NULL)
		return -1;
	fmt_key_wrap(key, slot, number);
	if (wrap_key(secret, argon_memory, slot, &w, k, ret_line, err) == 0 &&
	    fmt_wrap_encode(&obj, key, &w, k, half, err) == 0)
		r = put_new(be, key, &obj, err);
	buf_release(&obj);
	crypto_secret_free(k);
	return r;
}

static int put_cert(struct backend *be, const struct store_new_key *nk,
    struct err *err)
{
	char key[FMT_KEY_MAX];
	struct buf obj = BUF_INIT;
	struct fmt_cert c = {
		.epoch = nk->epoch,
		.rights = (uint8_t)nk->rights,
		.created_ns = clock_real_ns(),
		.domain = fmt_str(nk->domain),
		.label = fmt_str(nk->label),
	};
	int r = -1;

	memcpy(c.slot, nk->slot, sizeof(c.slot));
	crypto_box_public(c.box_pub, nk->half->box_sec);
	crypto_sign_public(c.sign_pub, nk->half->sign_seed);
	fmt_key_cert(key, nk->slot);
	if (fmt_cert_encode(&obj, &c, err) == 0 &&
	    fmt_sign_append(&obj, nk->repository, key, NULL, nk->admin,
	        err) == 0)
		r = put_new(be, key, &obj, err);
	buf_release(&obj);
	return r;
}

static int put_grant(struct backend *be, const struct store_new_key *nk,
    struct err *err)
{
	char key[FMT_KEY_MAX];
	struct buf obj = BUF_INIT;
	uint8_t box_pub[32], tag[FMT_TAG_LEN];
	int r = -1;

	crypto_box_public(box_pub, nk->half->box_sec);
	fmt_epoch_tag(tag, nk->half->admin_pub);
	fmt_key_grant(key, nk->grant.n, tag, nk->slot);
	if (fmt_grant_encode(&obj, nk->epoch, nk->slot, box_pub, &nk->grant,
	        err) == 0 &&
	    fmt_sign_append(&obj, nk->repository, key, NULL, nk->admin,
	        err) == 0)
		r = put_new(be, key, &obj, err);
	buf_release(&obj);
	return r;
}

int store_key_create(struct backend *be, struct store_new_key *nk,
    struct err *err)
{
	rand_bytes(nk->slot, sizeof(nk->slot));
	rand_bytes(nk->half->box_sec, 32);
	rand_bytes(nk->half->sign_seed, 32);
	memcpy(nk->half->repository, nk->repository, 16);
	memcpy(nk->half->family, nk->family_id, 16);
	nk->half->epoch = nk->epoch;
	crypto_sign_public(nk->half->admin_pub, nk->admin);
	nk->grant.rights = (uint8_t)nk->rights;
	nk->grant.domain = fmt_str(nk->domain);
	/* The wrap last: without it nothing can be opened by the new slot. */
	if (put_cert(be, nk, err) != 0 || put_grant(be, nk, err) != 0)
		return -1;
	return put_wrap(be, nk->slot, 1, nk->secret, nk->argon_memory,
	    nk->half, nk->ret_line, err);
}

/* The public half of a credential, for the grants of later epochs. */
static void new_key_public(const struct store_new_key *nk,
    struct store_grant_for *to)
{
	memcpy(to->slot, nk->slot, sizeof(to->slot));
	crypto_box_public(to->box_pub, nk->half->box_sec);
	to->rights = nk->rights;
	to->domain = nk->domain;
}

/*
 * Somebody may have changed the keys while the credential was made, and not
 * have seen it: what came after `made` is granted here, too.
 */
static int grant_later(struct store *st, uint32_t made,
    struct store_grant_for *to, struct err *err)
{
	const struct store_config *cfg;

	if (store_config_refresh(st, err) != 0)
		return -1;
	cfg = store_config_now(st);
	to->epochs = st->epochs;
	to->families = st->families;
	for (uint32_t n = made + 1; n <= cfg->c.epoch; n++) {
		to->n = n;
		to->signer = store_epoch_known(st, n - 1);
		if (to->signer == NULL || store_epoch_known(st, n) == NULL)
			return store_config_own(st, err);
		if (store_grant_put(st, to, NULL, err) < 0)
			return -1;
	}
	return 0;
}

int store_key_add(struct store *st, unsigned rights, const char *domain,
    const char *label, const struct store_secret *secret, char ret_slot[17],
    char *ret_line, struct err *err)
{
	struct fmt_list_buf epochs = FMT_LIST_BUF_INIT, families = epochs;
	struct store_new_key nk = {
		.rights = rights,
		.domain = domain == NULL ? "" : domain,
		.label = label == NULL ? "" : label,
		.secret = secret,
		.argon_memory = st->opt.argon_memory,
		.repository = st->info.repository,
		.family_id = st->info.family,
		.ret_line = ret_line,
	};
	struct store_grant_for to = { 0 };
	const struct store_epoch *e;
	int r = -1;

	if (store_need(st, STORE_ADMIN, "to add a credential", err) != 0)
		return -1;
	if (rights == 0 || (rights & ~7u) != 0)
		return err_set(err, ERR_USAGE, "a credential needs rights");
	if (store_config_refresh(st, err) != 0 || store_config_own(st, err) != 0)
		return -1;
	nk.epoch = store_config_now(st)->c.epoch;
	e = store_epoch_known(st, nk.epoch);
	if (e == NULL || !e->sec->has_root)
		return err_set(err, ERR_BUG, "an administrator without the "
		    "keys of epoch %u", nk.epoch);
	nk.half = crypto_secret_new(sizeof(*nk.half), err);
	if (nk.half != NULL && store_grant_lists(st, &(struct store_grant_for){
	        .rights = rights, .domain = nk.domain, .n = nk.epoch,
	        .epochs = st->epochs, .families = st->families },
	        &families, &epochs, err) == 0) {
		nk.admin = e->sec->admin;
		nk.grant = (struct fmt_grant){
			.n = nk.epoch,
			.families = fmt_list_of(&families),
			.epochs = fmt_list_of(&epochs),
		};
		r = store_key_create(st->be, &nk, err);
	}
	if (r == 0) {
		new_key_public(&nk, &to);
		r = grant_later(st, nk.epoch, &to, err);
	}
	if (r == 0)
		hex_encode(ret_slot, nk.slot, STORE_SLOT_LEN);
	store_grant_lists_wipe(&families, &epochs);
	crypto_secret_free(nk.half);
	return r;
}

int store_key_passwd(struct store *st, const struct store_secret *secret,
    struct err *err)
{
	char prefix[FMT_KEY_MAX], slot[FMT_HEX_SLOT];
	struct store_keys keys = { 0 };
	uint64_t top = 0;
	int r;

	if (secret == NULL || secret->passphrase == NULL)
		return err_set(err, ERR_USAGE, "no new passphrase was given");
	hex_encode(slot, st->info.slot, STORE_SLOT_LEN);
	snprintf(prefix, sizeof(prefix), "keys/%s/wrap/", slot);
	if (store_keys_list(st->be, prefix, &keys, err) != 0)
		return -1;
	for (size_t i = 0; i < keys.n; i++) {
		struct fmt_key at;

		if (fmt_key_parse(store_keys_at(&keys, i), &at) == 0 &&
		    at.n > top)
			top = at.n;
	}
	if (top >= UINT32_MAX)
		r = err_set(err, ERR_UNSUPPORTED, "%s: no number is left",
		    prefix);
	else
		r = put_wrap(st->be, st->info.slot, (uint32_t)top + 1, secret,
		    st->opt.argon_memory, &st->own->half, NULL, err);
	/* The old ones only when the new one is there. */
	for (size_t i = 0; i < keys.n && r == 0; i++)
		if (backend_del(st->be, store_keys_at(&keys, i), err) < 0)
			r = err_wrap(err, "the new passphrase is in place, but "
			    "an old one could not be removed");
	store_keys_release(&keys);
	return r;
}

/* --- listing -----------------------------------------------------------------*/

/* Count the wraps of each method of one slot. */
static int count_wraps(struct store *st, const struct store_keys *keys,
    const uint8_t slot[STORE_SLOT_LEN], struct store_key *k, struct err *err)
{
	for (size_t i = 0; i < keys->n; i++) {
		const char *key = store_keys_at(keys, i);
		CLEANUP_FREE uint8_t *obj = NULL;
		struct fmt_wrap w;
		struct fmt_key at;
		size_t len;
		int r;

		if (fmt_key_parse(key, &at) != 0 ||
		    at.place != FMT_AT_WRAP ||
		    memcmp(at.slot, slot, STORE_SLOT_LEN) != 0)
			continue;
		r = backend_get_all(st->be, key, STORE_SMALL_OBJECT, &obj,
		    &len, err);
		if (r > 0)
			continue;
		if (r < 0 || fmt_wrap_decode(obj, len, &w, err) != 0)
			return err_wrap(err, "%s", key);
		if (w.method == FMT_BY_PASSPHRASE)
			k->passphrases++;
		else
			k->key_files++;
	}
	return 0;
}

static int list_one(struct store *st, const struct store_keys *keys,
    const char *cert_key, const struct fmt_key *at,
    int (*fn)(void *ctx, const struct store_key *key, struct err *err),
    void *ctx, struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	CLEANUP_FREE char *domain = NULL;
	CLEANUP_FREE char *label = NULL;
	struct store_key k = { 0 };
	struct fmt_cert c;
	size_t len;
	int r = backend_get_all(st->be, cert_key, STORE_SMALL_OBJECT, &obj,
	    &len, err);

	if (r != 0)
		return r < 0 ? -1 : 0;
	if (store_admin_signed(st, cert_key, obj, len, FMT_CERT, err) != 0 ||
	    fmt_cert_decode(obj, len, &c, err) != 0) {
		err_wrap(err, "%s", cert_key);
		if (err->class != ERR_CORRUPT)
			return -1;
		log_msg(LOG_WARN, "passed over: %s", err->msg);
		return 0;
	}
	domain = mem_memdup0(c.domain.p, c.domain.len, err);
	label = domain == NULL ? NULL :
	    mem_memdup0(c.label.p, c.label.len, err);
	if (label == NULL)
		return -1;
	hex_encode(k.slot, at->slot, STORE_SLOT_LEN);
	k.rights = c.rights;
	k.domain = domain;
	k.label = label;
	k.created_ns = c.created_ns;
	k.ended = store_config_ended(store_config_now(st), at->slot) != NULL;
	k.own = memcmp(at->slot, st->info.slot, STORE_SLOT_LEN) == 0;
	if (count_wraps(st, keys, at->slot, &k, err) != 0)
		return -1;
	return fn(ctx, &k, err);
}

int store_key_list(struct store *st,
    int (*fn)(void *ctx, const struct store_key *key, struct err *err),
    void *ctx, struct err *err)
{
	struct store_keys keys = { 0 };
	int r = store_keys_list(st->be, "keys/", &keys, err);

	if (r == 0)
		r = store_config_refresh(st, err);
	for (size_t i = 0; i < keys.n && r == 0; i++) {
		const char *key = store_keys_at(&keys, i);
		struct fmt_key at;

		if (fmt_key_parse(key, &at) == 0 && at.place == FMT_AT_CERT)
			r = list_one(st, &keys, key, &at, fn, ctx, err);
	}
	store_keys_release(&keys);
	return r;
}
