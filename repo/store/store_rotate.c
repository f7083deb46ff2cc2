/*
 * A new epoch.  Its grants have names that nobody can guess before they are
 * there, and nothing reads them until a config names the epoch: so who is
 * interrupted, or loses against another administrator, leaves nothing but
 * objects to be removed, and nobody can be in the way.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"
#include "repo/store/store_internal.h"

#define TRIES 8 /* others change the config, or are in the way, so often */

int store_admin_alone(const struct store *st, bool sole_administrator,
    const char *what, struct err *err)
{
	if (!st->info.weak_store || sole_administrator)
		return 0;
	return err_set(err, ERR_UNSUPPORTED, "the store does not create "
	    "objects atomically, so two who %s at once could undo each other's "
	    "change (make sure that no other administrator is at work, and give "
	    "--sole-administrator)", what);
}

/* One attempt. */
struct rotation {
	struct store *st;
	const struct store_config *base;
	const struct store_epoch *signer; /* the current epoch */
	struct store_epoch *epoch;        /* the new one; behind it all others */
	struct store_family *family;      /* the new one, or NULL */
	const struct store_family *families;
	struct store_rotate_result *ret;
	bool own;                         /* the own slot was granted it */
};

static int make_epoch(struct rotation *ro, struct err *err)
{
	struct fmt_epoch_keys *k = crypto_secret_new(sizeof(*k) + 32, err);
	uint8_t *root = (uint8_t *)(k + 1);
	struct fmt_grant_epoch ge;

	if (k == NULL)
		return -1;
	rand_bytes(root, 32);
	fmt_epoch_derive(k, root);
	ge = (struct fmt_grant_epoch){
		.epoch = ro->signer->n + 1,
		.content_pub = k->content_pub,
		.admin_pub = k->admin_pub,
		.index = k->index,
		.content = k->content,
		.root = root,
	};
	ro->epoch = store_epoch_new(&ge, err);
	crypto_secret_free(k);
	return ro->epoch == NULL ? -1 : 0;
}

/* A new F.  What follows from it is made for each slot's domain. */
static int make_family(struct rotation *ro, struct err *err)
{
	uint8_t *f = crypto_secret_new(32, err);
	struct fmt_grant_family gf = { .from = ro->epoch->n, .family = f,
		.id = f, .order = f };

	if (f == NULL)
		return -1;
	rand_bytes(f, 32);
	ro->family = store_family_new(&gf, err);
	crypto_secret_free(f);
	return ro->family == NULL ? -1 : 0;
}

/* Grant the epoch to one slot, when it has one: 0 or -1. */
static int grant_slot(struct rotation *ro, const uint8_t slot[STORE_SLOT_LEN],
    struct err *err)
{
	const struct store_slot *sl = store_slot_find(ro->st, slot, err);
	struct store_grant_for to;
	char hex[FMT_HEX_SLOT];
	int r;

	hex_encode(hex, slot, STORE_SLOT_LEN);
	if (sl == NULL && (err->class == ERR_CORRUPT ||
	        err->class == ERR_NOTFOUND)) {
		log_msg(LOG_WARN, "not granted the new epoch: %s", err->msg);
		return 0;
	}
	if (sl == NULL)
		return -1;
	/* A certificate of long ago may have been put back by anyone. */
	r = store_grant_stands(ro->st, slot, ro->signer, err);
	if (r < 0)
		return -1;
	if (r > 0) {
		log_msg(LOG_WARN, "slot %s is not granted the new epoch: it "
		    "has no valid grant of epoch %u", hex, ro->signer->n);
		ro->ret->left_out++;
		return 0;
	}
	to = (struct store_grant_for){
		.rights = sl->rights, .domain = sl->domain,
		.n = ro->epoch->n, .epochs = ro->epoch,
		.families = ro->families, .signer = ro->signer,
	};
	memcpy(to.slot, slot, sizeof(to.slot));
	memcpy(to.box_pub, sl->box_pub, sizeof(to.box_pub));
	r = store_grant_put(ro->st, &to, NULL, err);
	if (r > 0)
		return err_set(err, ERR_CONFLICT, "a grant of slot %s in epoch "
		    "%u is there already", hex, to.n);
	ro->own |= memcmp(slot, ro->st->info.slot, sizeof(to.slot)) == 0;
	ro->ret->granted++;
	return r;
}

static int grant_all(struct rotation *ro, struct err *err)
{
	struct store_keys keys = { 0 };
	int r = store_keys_list(ro->st->be, "keys/", &keys, err);

	for (size_t i = 0; i < keys.n && r == 0; i++) {
		struct fmt_key at;

		if (fmt_key_parse(store_keys_at(&keys, i), &at) != 0 ||
		    at.place != FMT_AT_CERT)
			continue;
		if (store_config_ended(ro->base, at.slot) != NULL)
			ro->ret->left_out++;
		else
			r = grant_slot(ro, at.slot, err);
	}
	store_keys_release(&keys);
	if (r == 0 && !ro->own)
		r = err_set(err, ERR_AUTH, "the own certificate or grant is "
		    "missing: the keys are left as they are");
	return r;
}

/*
 * The credentials that have ended.  One that could only read signed nothing
 * that stands, and without a grant of this epoch it is never granted another:
 * it need not be remembered.
 */
static int ended_list(struct rotation *ro, struct fmt_list_buf *l,
    struct err *err)
{
	struct fmt_list ended = ro->base->c.ended;
	const uint8_t *slot, *hash;

	while (fmt_ended_next(&ended, &slot, &hash) == 0) {
		const struct store_slot *sl = store_slot_find(ro->st, slot, err);
		int gone = 0;

		if (sl == NULL && err->class != ERR_CORRUPT &&
		    err->class != ERR_NOTFOUND)
			return -1;
		if (sl != NULL && !(sl->rights & (STORE_WRITE | STORE_ADMIN)))
			gone = store_grant_stands(ro->st, slot, ro->signer,
			    err);
		if (gone < 0)
			return -1;
		if (!gone)
			fmt_list_add_ended(l, slot, hash);
	}
	return buf_check(&l->b, "a config", err);
}

static int name_epoch(struct rotation *ro, struct err *err)
{
	struct fmt_list_buf admins = FMT_LIST_BUF_INIT, ended = admins;
	struct fmt_list before = ro->base->c.admins;
	const uint8_t *pub;
	int r;

	while (fmt_admin_next(&before, &pub) == 0)
		fmt_list_add_admin(&admins, pub);
	fmt_list_add_admin(&admins, ro->epoch->admin_pub);
	r = buf_check(&admins.b, "a config", err);
	if (r == 0)
		r = ended_list(ro, &ended, err);
	if (r == 0)
		r = store_config_put(ro->st, ro->base, ro->signer, ro->epoch->n,
		    fmt_list_of(&admins), fmt_list_of(&ended), err);
	fmt_list_release(&admins);
	fmt_list_release(&ended);
	return r;
}

/*
 * Remove the grants of this attempt, or all that no config will ever name.
 * What cannot be removed does no harm.
 */
static void remove_grants(struct store *st, const uint8_t *admin_pub)
{
	const struct store_config *cfg = store_config_now(st);
	struct store_keys keys = { 0 };
	struct err ignored = ERR_INIT;

	if (store_keys_list(st->be, "epochs/", &keys, &ignored) != 0)
		return;
	for (size_t i = 0; i < keys.n; i++) {
		struct fmt_list admins = cfg->c.admins;
		uint8_t tag[FMT_TAG_LEN];
		const uint8_t *pub = NULL;
		struct fmt_key at;
		bool dead = false;

		if (fmt_key_parse(store_keys_at(&keys, i), &at) != 0 ||
		    at.n == 0)
			continue;
		if (admin_pub != NULL) {
			fmt_epoch_tag(tag, admin_pub);
			dead = memcmp(tag, at.tag, sizeof(tag)) == 0;
		} else if (at.n <= admins.n) {
			for (uint64_t n = 0; n < at.n; n++)
				fmt_admin_next(&admins, &pub);
			fmt_epoch_tag(tag, pub);
			dead = memcmp(tag, at.tag, sizeof(tag)) != 0;
		}
		if (dead && backend_del(st->be, store_keys_at(&keys, i),
		        &ignored) < 0)
			log_msg(LOG_DEBUG, "left behind: %s", ignored.msg);
	}
	store_keys_release(&keys);
}

/*
 * One object alone names the new epoch: were it damaged, all that is written
 * under it could not be read.  So there is another.
 */
static void config_twice(struct store *st)
{
	const struct store_config *cfg = store_config_now(st);
	struct err why = ERR_INIT;

	if (store_config_put(st, cfg, store_epoch_known(st, cfg->c.epoch),
	        cfg->c.epoch, cfg->c.admins, cfg->c.ended, &why) < 0)
		log_msg(LOG_WARN, "the new config is there once only: %s",
		    why.msg);
}

/* 0 done, 1 when the config has changed meanwhile, -1. */
static int rotate_once(struct store *st, const struct store_config *base,
    bool new_ids, struct store_rotate_result *ret, struct err *err)
{
	struct rotation ro = { .st = st, .base = base, .ret = ret };
	int r = -1;

	*ret = (struct store_rotate_result){ .epoch = base->c.epoch + 1 };
	ro.signer = store_epoch_known(st, base->c.epoch);
	if (ro.signer == NULL || !ro.signer->sec->has_root)
		return err_set(err, ERR_BUG, "an administrator without the "
		    "keys of epoch %u", base->c.epoch);
	if (make_epoch(&ro, err) != 0 ||
	    (new_ids && make_family(&ro, err) != 0))
		goto out;
	/* What is known stays behind the new ones, until they are freed. */
	pthread_mutex_lock(&st->keys_lock);
	ro.epoch->next = st->epochs;
	ro.families = st->families;
	if (ro.family != NULL) {
		ro.family->next = st->families;
		ro.families = ro.family;
	}
	pthread_mutex_unlock(&st->keys_lock);
	r = grant_all(&ro, err);
	if (r == 0)
		r = name_epoch(&ro, err);
	/* When it is not known whether the config is there, they stay. */
	if (r > 0 || (r < 0 && !ro.own))
		remove_grants(st, ro.epoch->admin_pub);
out:
	if (ro.epoch != NULL)
		ro.epoch->next = NULL;
	if (ro.family != NULL)
		ro.family->next = NULL;
	store_epoch_free(ro.epoch);
	store_family_free(ro.family);
	return r;
}

int store_key_rotate(struct store *st, const struct store_rotate_options *opt,
    struct store_rotate_result *ret, struct err *err)
{
	uint32_t begun = 0;
	int r = 1;

	if (store_need(st, STORE_ADMIN, "to change the keys", err) != 0 ||
	    store_admin_alone(st, opt->sole_administrator, "change the keys",
	        err) != 0)
		return -1;
	for (int i = 0; i < TRIES && r > 0; i++) {
		const struct store_config *base;

		if (store_config_refresh(st, err) != 0 ||
		    store_config_own(st, err) != 0)
			return -1;
		base = store_config_now(st);
		if (begun == 0)
			begun = base->c.epoch;
		if (base->c.epoch != begun)
			return err_set(err, ERR_CONFLICT, "another "
			    "administrator changed the keys just now: epoch %u "
			    "is in use", base->c.epoch);
		if (base->c.epoch == UINT32_MAX)
			return err_set(err, ERR_UNSUPPORTED,
			    "no epoch is left");
		if (fmt_config_usable(&base->c, 1, err) != 0)
			return -1;
		r = rotate_once(st, base, opt->new_ids, ret, err);
	}
	if (r > 0)
		return err_set(err, ERR_CONFLICT, "the config was changed by "
		    "others %d times while the keys were being changed: try "
		    "again", TRIES);
	/* Also the proof that what was granted can be opened. */
	if (r == 0)
		r = store_config_refresh(st, err);
	if (r == 0 && (store_config_now(st)->c.epoch < ret->epoch ||
	        store_epoch_known(st, ret->epoch) == NULL))
		r = err_set(err, ERR_BUG, "epoch %u was named, but cannot be "
		    "opened", ret->epoch);
	if (r == 0) {
		config_twice(st);
		remove_grants(st, NULL);
	}
	return r;
}
