/* Opening and closing: credential, epochs, config; nothing is created. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_bad_internal.h"
#include "repo/store/store_internal.h"

/*
 * Look at one config: 0 when it is validly signed (then st->config is it), 1
 * when another one may count, -1 when that cannot be judged.
 */
static int config_try(struct store *st, const char *key, struct err *err)
{
	struct fmt_config c;
	CLEANUP_FREE uint8_t *obj = NULL;
	size_t len;
	int r = backend_get_all(st->be, key, STORE_SMALL_OBJECT, &obj, &len,
	    err);

	if (r != 0)
		return r < 0 && err->class == ERR_CORRUPT ? 1 : r;
	if (store_admin_signed(st, key, obj, len, FMT_CONFIG, err) != 0)
		return err->class == ERR_CORRUPT ? 1 : -1;
	if (fmt_config_decode(obj, len, &c, err) != 0)
		return -1;
	if (memcmp(c.repository, st->info.repository, 16) != 0 ||
	    memcmp(c.family, st->info.family, 16) != 0)
		return err_set(err, ERR_CORRUPT, "is of another repository");
	buf_reset(&st->config);
	buf_add(&st->config, obj, len);
	return buf_check(&st->config, "the configuration", err);
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
	info->weak_store = (c->flags & FMT_WEAK_STORE) != 0;
}

/* The highest config that is validly signed. */
static int open_config(struct store *st, const struct store_keys *keys,
    struct err *err)
{
	struct err why = ERR_INIT;
	struct fmt_config c;
	int r = 1;

	for (size_t i = keys->n; i > 0 && r == 1; i--) {
		const char *key = store_keys_at(keys, i - 1);
		struct fmt_key at;

		if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_CONFIG)
			continue;
		r = config_try(st, key, &why);
		if (r != 0)
			err_wrap(&why, "%s", key);
		if (r > 0)
			log_msg(LOG_WARN, "passed over: %s", why.msg);
	}
	if (r != 0) {
		*err = why;
		if (err->class == ERR_NONE)
			err_set(err, ERR_NOTFOUND, "no repository at %s",
			    st->be->name);
		return -1;
	}
	if (fmt_config_decode(st->config.p, st->config.len, &c, err) != 0 ||
	    fmt_config_usable(&c, 0, err) != 0)
		return -1;
	info_from_config(&st->info, &c);
	return 0;
}

/* The own slot: not left out of the current epoch, and not removed. */
static int open_own_slot(struct store *st, struct err *err)
{
	char slot[FMT_HEX_SLOT], key[FMT_KEY_MAX];
	const struct store_slot *sl;
	CLEANUP_FREE uint8_t *obj = NULL;
	struct fmt_cert c;
	size_t len;
	int r;

	hex_encode(slot, st->info.slot, STORE_SLOT_LEN);
	if (store_epoch_known(st, st->info.epoch) == NULL)
		return err_set(err, ERR_AUTH, "slot %s was left out when the "
		    "keys were changed (epoch %u)", slot, st->info.epoch);
	sl = store_slot_find(st, st->info.slot, err);
	if (sl == NULL)
		return -1;
	if (sl->ended)
		return err_set(err, ERR_AUTH, "slot %s has been removed", slot);
	fmt_key_cert(key, st->info.slot);
	r = backend_get_all(st->be, key, STORE_SMALL_OBJECT, &obj, &len, err);
	if (r != 0)
		return r < 0 ? -1 :
		    err_set(err, ERR_AUTH, "slot %s has been removed", slot);
	if (fmt_cert_decode(obj, len, &c, err) != 0)
		return err_wrap(err, "%s", key);
	st->label = mem_memdup0(c.label.p, c.label.len, err);
	return st->label == NULL ? -1 : 0;
}

static struct store *store_alloc(struct backend *be,
    const struct store_options *opt, struct err *err)
{
	struct store *st = mem_zalloc(sizeof(*st), "a store", err);
	struct backend_caps caps;

	if (st == NULL) {
		backend_close(be);
		return NULL;
	}
	st->be = be;
	if (opt != NULL)
		st->opt = *opt;
	if (st->opt.memory == 0)
		st->opt.memory = (size_t)64 << 20;
	if (st->opt.argon_memory == 0)
		st->opt.argon_memory = (size_t)256 << 20;
	backend_caps(be, &caps);
	st->local = caps.local;
	st->cheap_ranges = caps.cheap_ranges;
	pthread_mutex_init(&st->keys_lock, NULL);
	st->own = crypto_secret_new(sizeof(*st->own), err);
	if (st->own != NULL)
		st->packs = store_packtab_new(err);
	if (st->packs != NULL)
		st->cache = store_cache_new(st->opt.memory / 4, err);
	if (st->cache == NULL ||
	    store_index_init(st, st->opt.memory / 4 * 3, err) != 0) {
		store_close(st);
		return NULL;
	}
	return st;
}

/* Go on with the slot that opened; ctx: the keys of all configs. */
static int open_slot(struct store *st, void *ctx, struct err *err)
{
	const struct store_keys *keys = ctx;

	store_epochs_free(st);
	store_slots_free(st);
	free(st->domain);
	free(st->label);
	st->domain = st->label = NULL;
	memcpy(st->info.repository, st->own->half.repository, 16);
	memcpy(st->info.family, st->own->half.family, 16);
	if (store_epochs_open(st, err) != 0 || open_config(st, keys, err) != 0)
		return -1;
	return open_own_slot(st, err);
}

static int open_all(struct store *st, const struct store_secret *secret,
    struct err *err)
{
	struct store_keys keys = { 0 };
	int r = -1;

	if (store_keys_list(st->be, "config/", &keys, err) != 0)
		return -1;
	if (keys.n == 0) {
		err_set(err, ERR_NOTFOUND, "no repository at %s",
		    st->be->name);
		goto out;
	}
	if (store_unlock(st, secret, st->opt.argon_memory, open_slot, &keys,
	        err) != 0)
		goto out;
	st->info.domain = st->domain;
	st->info.label = st->label;
	st->idkey = crypto_idkey_new(st->own->id, err);
	r = st->idkey == NULL ? -1 : 0;
out:
	store_keys_release(&keys);
	return r;
}

struct store *store_open(struct backend *be, const struct store_secret *secret,
    const struct store_options *opt, struct err *err)
{
	struct store *st;

	if (crypto_init(err) != 0) {
		backend_close(be);
		return NULL;
	}
	st = store_alloc(be, opt, err);
	if (st == NULL)
		return NULL;
	if (open_all(st, secret, err) != 0) {
		store_close(st);
		return NULL;
	}
	return st;
}

void store_close(struct store *st)
{
	if (st == NULL)
		return;
	store_index_release(st);
	store_bad_free(st->bad);
	store_cache_free(st->cache);
	store_packtab_free(st->packs);
	store_slots_free(st);
	store_epochs_free(st);
	crypto_idkey_free(st->idkey);
	crypto_secret_free(st->own);
	pthread_mutex_destroy(&st->keys_lock);
	buf_release(&st->config);
	free(st->domain);
	free(st->label);
	backend_close(st->be);
	free(st);
}

const struct store_info *store_info(const struct store *st)
{
	return &st->info;
}

struct backend *store_backend(struct store *st)
{
	return st->be;
}

const uint8_t *store_cut_key(const struct store *st)
{
	return st->own->has_cut ? st->own->cut : NULL;
}

const uint8_t *store_order_key(const struct store *st)
{
	return st->own->order;
}

int store_need(const struct store *st, unsigned rights, const char *what,
    struct err *err)
{
	static const char *const names[] = { "write", "read", "admin" };
	unsigned missing = rights & ~st->info.rights;
	char slot[FMT_HEX_SLOT];

	if (missing == 0)
		return 0;
	hex_encode(slot, st->info.slot, STORE_SLOT_LEN);
	for (unsigned i = 0; i < 3; i++)
		if (missing & 1u << i)
			return err_set(err, ERR_AUTH,
			    "slot %s has no %s right, which it takes %s", slot,
			    names[i], what);
	return err_set(err, ERR_BUG, "unknown right %u", missing);
}
