/*
 * The config that counts.  It is what makes a change of keys happen: it names
 * the current epoch with the public keys of all, and the credentials that have
 * ended.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

static void config_free(struct store_config *cfg)
{
	if (cfg == NULL)
		return;
	free(cfg->obj);
	free(cfg);
}

void store_configs_free(struct store *st)
{
	while (st->configs != NULL) {
		struct store_config *cfg = st->configs;

		st->configs = cfg->older;
		config_free(cfg);
	}
}

const struct store_config *store_config_now(struct store *st)
{
	const struct store_config *cfg;

	pthread_mutex_lock(&st->keys_lock);
	cfg = st->configs;
	pthread_mutex_unlock(&st->keys_lock);
	return cfg;
}

const uint8_t *store_config_ended(const struct store_config *cfg,
    const uint8_t slot[STORE_SLOT_LEN])
{
	struct fmt_list l = cfg->c.ended;
	const uint8_t *s, *hash;

	while (fmt_ended_next(&l, &s, &hash) == 0)
		if (memcmp(s, slot, STORE_SLOT_LEN) == 0)
			return hash;
	return NULL;
}

/* --- judging one ---------------------------------------------------------------*/

/* Is it signed by an administrator whose key the own grants lead to? */
static int config_verify(struct store *st, const char *key,
    const struct store_config *cfg, const struct store_fresh *f,
    struct err *err)
{
	const struct fmt_secret *half = &st->own->half;
	const struct store_epoch *e = store_fresh_epoch(st, f,
	    cfg->c.signer_epoch);
	const uint8_t *pub = e != NULL ? e->admin_pub :
	    cfg->c.signer_epoch == half->epoch ? half->admin_pub : NULL;
	uint8_t slot[FMT_SLOT_LEN];
	int r;

	if (pub == NULL)
		return err_set(err, ERR_CORRUPT, "it is signed in epoch %u, "
		    "which this credential does not have",
		    cfg->c.signer_epoch);
	r = fmt_signed_signer(cfg->obj, cfg->len, slot, err);
	if (r == 0)
		return err_set(err, ERR_CORRUPT,
		    "it is not signed by an administration key");
	return r < 0 ? -1 : fmt_signed_check(cfg->obj, cfg->len,
	    half->repository, key, pub, err);
}

/*
 * Read config m: 0 with *ret and what its grants say in f when it counts, 1
 * when it does not (and why), -1 when that cannot be judged.
 */
static int config_read(struct store *st, uint32_t m, struct store_config **ret,
    struct store_fresh *f, struct err *err)
{
	struct store_config *cfg = mem_zalloc(sizeof(*cfg), "a config", err);
	char key[FMT_KEY_MAX];
	int r;

	if (cfg == NULL)
		return -1;
	cfg->m = m;
	fmt_key_config(key, m);
	r = backend_get_all(st->be, key, STORE_SMALL_OBJECT, &cfg->obj,
	    &cfg->len, err);
	if (r > 0) {
		err_set(err, ERR_NOTFOUND, "does not exist");
		config_free(cfg);
		return 1;
	}
	if (r == 0)
		r = fmt_config_decode(cfg->obj, cfg->len, &cfg->c, err);
	if (r == 0 && (memcmp(cfg->c.repository, st->own->half.repository,
	            16) != 0 ||
	        memcmp(cfg->c.family, st->own->half.family, 16) != 0))
		r = err_set(err, ERR_CORRUPT, "is of another repository");
	if (r == 0)
		r = store_grants_follow(st, cfg->c.admins, f, err);
	if (r == 0)
		r = config_verify(st, key, cfg, f, err);
	if (r != 0) {
		config_free(cfg);
		store_fresh_release(f);
		err_wrap(err, "%s", key);
		return err->class == ERR_CORRUPT ||
		    err->class == ERR_UNSUPPORTED ? 1 : -1;
	}
	cfg->left_out = store_fresh_epoch(st, f, cfg->c.epoch) == NULL;
	*ret = cfg;
	return 0;
}

/*
 * The highest config above m_min that counts: 0, 1 when there is none (why:
 * what is wrong with the highest, class NONE when there is no config), -1.
 */
static int config_best(struct store *st, const struct store_keys *keys,
    uint32_t m_min, struct store_config **ret, struct store_fresh *f,
    struct err *why, struct err *err)
{
	for (size_t i = keys->n; i > 0; i--) {
		struct fmt_key at;
		int r;

		if (fmt_key_parse(store_keys_at(keys, i - 1), &at) != 0 ||
		    at.place != FMT_AT_CONFIG || at.n <= m_min)
			continue;
		r = config_read(st, (uint32_t)at.n, ret, f, err);
		if (r <= 0)
			return r;
		log_msg(LOG_WARN, "passed over: %s", err->msg);
		if (why->class == ERR_NONE)
			*why = *err;
	}
	return 1;
}

/*
 * A config of a later version of the format stops this program, but only when
 * an administrator has signed it: header and signature stay in all versions.
 */
static int config_newer(struct store *st, const struct store_keys *keys,
    uint32_t m_min, struct err *err)
{
	for (size_t i = keys->n; i > 0; i--) {
		const char *key = store_keys_at(keys, i - 1);
		struct fmt_key at;
		uint8_t *obj;
		size_t len;
		int r;

		if (fmt_key_parse(key, &at) != 0 ||
		    at.place != FMT_AT_CONFIG || at.n <= m_min)
			continue;
		r = backend_get_all(st->be, key, STORE_SMALL_OBJECT, &obj, &len,
		    err);
		if (r != 0)
			continue;
		r = store_signed_newer(st, key, obj, len, err);
		free(obj);
		if (r != 0)
			return err_wrap(err, "%s", key);
	}
	return 0;
}

static void config_adopt(struct store *st, struct store_config *cfg,
    struct store_fresh *f)
{
	store_fresh_adopt(st, f);
	pthread_mutex_lock(&st->keys_lock);
	cfg->older = st->configs;
	st->configs = cfg;
	pthread_mutex_unlock(&st->keys_lock);
}

/* --- opening and looking again ------------------------------------------------------*/

/* What the credential may and holds, as of the config's epoch. */
static int own_from_family(struct store *st, struct store_fresh *f,
    struct err *err)
{
	const struct store_family *m = store_family_at(st, st->info.epoch);
	struct store_own *o = st->own;

	if (m == NULL)
		return err_set(err, ERR_CORRUPT, "no grant has a family "
		    "secret of epoch %u", st->info.epoch);
	memcpy(o->id, m->sec->id, 32);
	memcpy(o->order, m->sec->order, 32);
	memcpy(o->volume, m->sec->volume, 32);
	memcpy(o->state, m->sec->state, 32);
	o->has_cut = m->has_cut;
	memcpy(o->cut, m->sec->cut, 32);
	o->has_family = m->has_family;
	memcpy(o->family, m->sec->family, 32);
	st->idkey = m->idkey;
	st->info.rights = f->rights;
	st->domain = STEAL_PTR(f->domain);
	return 0;
}

static void info_from_config(struct store_info *info,
    const struct fmt_config *c)
{
	info->epoch = c->epoch;
	info->created_ns = c->created_ns;
	info->pack_size = c->pack_size;
	info->stream = (struct store_chunking){ c->stream.avg, c->stream.min,
		c->stream.max, c->stream.threshold };
	info->block = (struct store_chunking){ c->block.avg, c->block.min,
		c->block.max, c->block.threshold };
	info->parity_data = c->parity_data;
	info->parity_shards = c->parity_shards;
	info->weak_store = (c->flags & FMT_WEAK_STORE) != 0;
}

int store_config_open(struct store *st, const struct store_keys *keys,
    struct err *err)
{
	struct store_fresh f = { 0 };
	struct store_config *cfg = NULL;
	struct err why = ERR_INIT;
	char slot[FMT_HEX_SLOT];
	int r = config_best(st, keys, 0, &cfg, &f, &why, err);

	if (r > 0) {
		*err = why;
		if (err->class == ERR_NONE)
			err_set(err, ERR_NOTFOUND, "no repository at %s",
			    st->be->name);
	}
	if (r != 0)
		return -1;
	hex_encode(slot, st->info.slot, STORE_SLOT_LEN);
	if (f.rights == 0)
		r = store_slot_lacks(st, st->info.slot, "the grant in epochs/",
		    err);
	else if (cfg->left_out)
		r = err_set(err, ERR_AUTH, "slot %s was left out when the "
		    "keys were changed (epoch %u)", slot, cfg->c.epoch);
	if (r != 0) {
		config_free(cfg);
		store_fresh_release(&f);
		return -1;
	}
	info_from_config(&st->info, &cfg->c);
	config_adopt(st, cfg, &f);
	buf_reset(&st->config);
	buf_add(&st->config, cfg->obj, cfg->len);
	r = buf_check(&st->config, "the configuration", err);
	if (r == 0)
		r = own_from_family(st, &f, err);
	store_fresh_release(&f);
	if (r != 0 || config_newer(st, keys, cfg->m, err) != 0)
		return -1;
	return fmt_config_usable(&cfg->c, 0, err);
}

int store_config_refresh(struct store *st, struct err *err)
{
	const struct store_config *now = store_config_now(st);
	struct store_keys keys = { 0 };
	struct store_config *cfg = NULL;
	struct store_fresh f = { 0 };
	struct err why = ERR_INIT;
	int r = store_keys_list(st->be, "config/", &keys, err);

	if (r == 0) {
		pthread_mutex_lock(&st->refreshing);
		now = store_config_now(st);
		r = config_best(st, &keys, now->m, &cfg, &f, &why, err);
		if (r == 0)
			config_adopt(st, cfg, &f);
		pthread_mutex_unlock(&st->refreshing);
		store_fresh_release(&f);
		if (r >= 0)
			r = config_newer(st, &keys, store_config_now(st)->m,
			    err);
	}
	store_keys_release(&keys);
	return r;
}

int store_config_own(struct store *st, struct err *err)
{
	const struct store_config *cfg = store_config_now(st);
	char slot[FMT_HEX_SLOT];

	hex_encode(slot, st->info.slot, STORE_SLOT_LEN);
	if (store_config_ended(cfg, st->info.slot) != NULL)
		return err_set(err, ERR_AUTH, "slot %s has been removed", slot);
	if (cfg->left_out)
		return err_set(err, ERR_AUTH, "slot %s was left out when the "
		    "keys were changed (epoch %u)", slot, cfg->c.epoch);
	return 0;
}

int store_epoch_ahead(struct store *st, bool *ret, struct err *err)
{
	const struct store_config *cfg = store_config_now(st);
	const struct store_epoch *e = store_epoch_known(st, cfg->c.epoch);
	struct store_keys keys = { 0 };
	int r = store_keys_list(st->be, "epochs/", &keys, err);

	*ret = false;
	for (size_t i = 0; i < keys.n && r == 0 && !*ret && e != NULL; i++) {
		const char *key = store_keys_at(&keys, i);
		struct fmt_key at;
		uint8_t *obj;
		size_t len;

		if (fmt_key_parse(key, &at) != 0 || at.n <= cfg->c.epoch ||
		    memcmp(at.slot, st->info.slot, STORE_SLOT_LEN) != 0)
			continue;
		r = backend_get_all(st->be, key, STORE_LARGE_OBJECT, &obj, &len,
		    err);
		if (r != 0) {
			r = r < 0 && err->class != ERR_CORRUPT ? -1 : 0;
			continue;
		}
		*ret = fmt_signed_check(obj, len, st->info.repository, key,
		    e->admin_pub, err) == 0;
		free(obj);
	}
	store_keys_release(&keys);
	return r;
}

/* --- a new one ------------------------------------------------------------------------*/

/*
 * The first number after m under which nothing is.  What nobody signed keeps
 * its key: the next number is as good.
 */
static int config_number(struct store *st, uint32_t m, uint32_t *ret,
    struct err *err)
{
	struct store_keys keys = { 0 };
	char key[FMT_KEY_MAX];
	int r = store_keys_list(st->be, "config/", &keys, err);

	if (r != 0)
		return -1;
	do {
		if (m == UINT32_MAX) {
			r = err_set(err, ERR_UNSUPPORTED,
			    "config: no number is left");
			break;
		}
		fmt_key_config(key, ++m);
	} while (store_keys_has(&keys, key));
	store_keys_release(&keys);
	*ret = m;
	return r;
}

int store_config_put(struct store *st, const struct store_config *base,
    const struct store_epoch *signer, uint32_t epoch, struct fmt_list admins,
    struct fmt_list ended, struct err *err)
{
	struct fmt_config c = base->c;
	struct buf obj = BUF_INIT;
	char key[FMT_KEY_MAX];
	uint32_t m;
	int r;

	if (config_number(st, base->m, &m, err) != 0)
		return -1;
	/*
	 * What has those numbers is judged once more: had somebody's config
	 * come among them, ours would undo it.
	 */
	if (store_config_refresh(st, err) != 0)
		return -1;
	if (store_config_now(st) != base)
		return 1;
	fmt_key_config(key, m);
	c.signer_epoch = signer->n;
	c.epoch = epoch;
	c.admins = admins;
	c.ended = ended;
	r = fmt_config_encode(&obj, &c, err);
	if (r == 0 && obj.len + FMT_SIGNED_TAIL > STORE_SMALL_OBJECT)
		r = err_set(err, ERR_UNSUPPORTED, "the config would be longer "
		    "than %zu bytes: too many credentials have ended (a "
		    "rotation drops those that could only read)",
		    STORE_SMALL_OBJECT);
	if (r == 0)
		r = fmt_sign_append(&obj, st->info.repository, key, NULL,
		    signer->sec->admin, err);
	if (r == 0)
		r = store_object_put(st->be, key, obj.p, obj.len, err);
	buf_release(&obj);
	return r < 0 ? err_wrap(err, "%s", key) : r;
}
