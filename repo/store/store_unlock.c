/* Finding the credential that a passphrase or key file opens. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

/* What is to be opened, and what came of it. */
struct unlock {
	struct store *st;
	const struct store_secret *secret;
	uint32_t max_mem_kib;
	bool one;                       /* only this slot: */
	uint8_t slot[STORE_SLOT_LEN];
	uint8_t *k;                     /* secret memory, 64 bytes */
	bool by_file;
	unsigned tried;                 /* wraps that the secret might open */
	unsigned wraps, certs, ends;    /* objects of the slots that were seen */
	store_accept_fn *accept;
	void *ctx;
};

/* Make k from the secret for this wrap. */
static int unlock_key(struct unlock *u, const struct fmt_wrap *w,
    struct err *err)
{
	if (u->by_file)
		return 0; /* made once, in unlock_prepare */
	if (crypto_passphrase(u->k + 32, u->secret->passphrase,
	        u->secret->passphrase_len, w->salt, w->ops, w->mem_kib,
	        u->max_mem_kib, err) != 0)
		return -1;
	fmt_wrap_derive(u->k, u->k + 32);
	return 0;
}

/* Return 0 when the wrap opened and was accepted, 1 when not, -1. */
static int unlock_try(struct unlock *u, const char *key,
    const struct fmt_key *at, struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	struct fmt_wrap w;
	size_t len;
	int r = backend_get_all(u->st->be, key, STORE_SMALL_OBJECT, &obj, &len,
	    err);

	if (r != 0)
		return r;
	if (fmt_wrap_decode(obj, len, &w, err) != 0)
		return err_wrap(err, "%s", key);
	if ((w.method == FMT_BY_KEY_FILE) != u->by_file)
		return 1;
	u->tried++;
	if (unlock_key(u, &w, err) != 0)
		return err_wrap(err, "%s", key);
	if (fmt_wrap_open(obj, len, key, u->k, &u->st->own->half, err) != 0)
		return err->class == ERR_AUTH ? 1 : err_wrap(err, "%s", key);
	memcpy(u->st->info.slot, at->slot, STORE_SLOT_LEN);
	return u->accept(u->st, u->ctx, err);
}

static int unlock_prepare(struct unlock *u, struct err *err)
{
	const struct store_secret *s = u->secret;

	if (s->passphrase == NULL && s->key_file == NULL)
		return err_set(err, ERR_USAGE,
		    "neither a passphrase nor a key file was given");
	if (s->passphrase == NULL) {
		if (fmt_key_file_parse(s->key_file, u->slot, u->k + 32,
		        err) != 0)
			return -1;
		fmt_wrap_derive(u->k, u->k + 32);
		u->by_file = true;
		u->one = true;
	}
	if (s->slot != NULL) {
		uint8_t slot[STORE_SLOT_LEN];

		if (hex_decode(slot, sizeof(slot), s->slot) != 0)
			return err_set(err, ERR_USAGE,
			    "'%s' is no slot (16 hex digits)", s->slot);
		if (u->by_file && memcmp(slot, u->slot, sizeof(slot)) != 0)
			return err_set(err, ERR_USAGE,
			    "the key file is not of slot %s", s->slot);
		memcpy(u->slot, slot, sizeof(slot));
		u->one = true;
	}
	return 0;
}

/* What the keys of all wraps that may fit begin with. */
static void keys_prefix(const struct unlock *u, char ret[FMT_KEY_MAX])
{
	char slot[FMT_HEX_SLOT];

	hex_encode(slot, u->slot, STORE_SLOT_LEN);
	snprintf(ret, FMT_KEY_MAX, u->one ? "keys/%s/" : "keys/", slot);
}

/* Why the one slot that could be meant did not open. */
static int unlock_one_failed(struct unlock *u, struct err *err)
{
	char slot[FMT_HEX_SLOT];

	hex_encode(slot, u->slot, STORE_SLOT_LEN);
	if (u->ends > 0 && u->wraps == 0)
		return err_set(err, ERR_AUTH, "slot %s has been removed (take "
		    "another credential; 'wherry key list' shows them)", slot);
	if (u->certs + u->wraps == 0)
		return err_set(err, ERR_AUTH, "there is no slot %s here (is "
		    "the secret of another repository?)", slot);
	if (u->wraps == 0)
		return err_set(err, ERR_AUTH, "slot %s is opened by nothing any "
		    "more (it was removed, or keys/%s/wrap is lost: a copy of "
		    "the repository may have it)", slot, slot);
	if (u->tried == 0)
		return err_set(err, ERR_AUTH, "slot %s is not opened by a %s "
		    "(take its %s)", slot, u->by_file ? "key file" :
		    "passphrase", u->by_file ? "passphrase" : "key file");
	return err_set(err, ERR_AUTH, u->by_file ? "the key file does not open "
	    "slot %s any more (its secret was changed, or keys/%s/wrap is "
	    "damaged)" : "wrong passphrase for slot %s (or keys/%s/wrap is "
	    "damaged)", slot, slot);
}

static int unlock_failed(struct unlock *u, struct err *err)
{
	if (u->one)
		return unlock_one_failed(u, err);
	if (u->tried == 0)
		return err_set(err, ERR_AUTH, "no credential here is opened by "
		    "a passphrase (give --key-file; if there was one, bring "
		    "keys/ back from a copy of the repository)");
	return err_set(err, ERR_AUTH, "wrong passphrase, or its credential was "
	    "removed (tried %u slot%s)", u->tried, u->tried == 1 ? "" : "s");
}

/* Try every wrap that may fit, an unreadable one only hiding its own slot. */
static int unlock_all(struct unlock *u, struct err *err)
{
	struct store_keys keys = { 0 };
	struct err first = ERR_INIT;
	char prefix[FMT_KEY_MAX] = "keys/", slot[FMT_HEX_SLOT];
	int r = 1;

	if (u->one) {
		hex_encode(slot, u->slot, STORE_SLOT_LEN);
		snprintf(prefix, sizeof(prefix), "keys/%s/", slot);
	}
	if (store_keys_list(u->st->be, prefix, &keys, err) != 0)
		return -1;
	for (size_t i = 0; i < keys.n && r != 0; i++) {
		struct fmt_key at;

		if (fmt_key_parse(store_keys_at(&keys, i), &at) != 0)
			continue;
		u->certs += at.place == FMT_AT_CERT;
		u->ends += at.place == FMT_AT_END;
		if (at.place != FMT_AT_WRAP)
			continue;
		u->wraps++;
		r = unlock_try(u, store_keys_at(&keys, i), &at, err);
		if (r < 0 && first.class == ERR_NONE)
			first = *err;
	}
	store_keys_release(&keys);
	if (r == 0)
		return 0;
	if (first.class == ERR_NONE)
		return unlock_failed(u, err);
	*err = first;
	return -1;
}

int store_unlock(struct store *st, const struct store_secret *secret,
    size_t argon_memory, store_accept_fn *accept, void *ctx, struct err *err)
{
	struct unlock u = { .st = st, .secret = secret, .accept = accept,
		.ctx = ctx };
	int r = -1;

	u.max_mem_kib = (uint32_t)(argon_memory / 1024);
	u.k = crypto_secret_new(64, err);
	if (u.k == NULL)
		return -1;
	if (unlock_prepare(&u, err) == 0)
		r = unlock_all(&u, err);
	crypto_secret_free(u.k);
	return r;
}

void store_unlock_ahead(struct store *st, const struct store_secret *secret)
{
	struct unlock u = { .st = st, .secret = secret };
	struct err none = ERR_INIT;
	char prefix[FMT_KEY_MAX];

	if (!st->far)
		return;
	u.k = crypto_secret_new(64, &none);
	if (u.k != NULL && unlock_prepare(&u, &none) == 0) {
		keys_prefix(&u, prefix);
		store_ahead_open(st, prefix);
	}
	crypto_secret_free(u.k);
}
