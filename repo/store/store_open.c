/* Opening and closing: credential, epochs, config; nothing is created. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_bad_internal.h"
#include "repo/store/store_disk_internal.h"
#include "repo/store/store_internal.h"
#include "repo/store/store_parity_internal.h"

/* The own slot: not left out of the current epoch, and not removed. */
static int open_own_slot(struct store *st, struct err *err)
{
	const struct store_slot *sl;

	if (store_config_own(st, err) != 0)
		return -1;
	sl = store_slot_find(st, st->info.slot, err);
	if (sl == NULL && err->class == ERR_NOTFOUND)
		return store_slot_lacks(st, st->info.slot,
		    "the certificate in keys/", err);
	if (sl == NULL)
		return -1;
	st->label = mem_strdup(sl->label, err);
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
	st->far = !caps.local && st->opt.readers > 0;
	if (st->far) {
		st->be = store_ahead_new(be, st->opt.readers, st->opt.memory,
		    err);
		if (st->be == NULL) {
			free(st);
			return NULL;
		}
	}
	st->local = caps.local;
	st->cheap_ranges = caps.cheap_ranges;
	pthread_mutex_init(&st->keys_lock, NULL);
	pthread_mutex_init(&st->refreshing, NULL);
	pthread_mutex_init(&st->heal_lock, NULL);
	st->own = crypto_secret_new(sizeof(*st->own), err);
	if (st->own != NULL)
		st->packs = store_packtab_new(err);
	if (st->packs != NULL)
		st->cache = store_cache_new(st->opt.memory / 4, err);
	if (st->cache == NULL ||
	    /* What is read ahead takes an eighth (store_ahead_new). */
	    store_index_init(st, st->opt.memory / 8 * (st->far ? 5 : 6),
	        err) != 0) {
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
	store_configs_free(st);
	free(st->domain);
	free(st->label);
	st->domain = st->label = NULL;
	memcpy(st->info.repository, st->own->half.repository, 16);
	memcpy(st->info.family, st->own->half.family, 16);
	if (store_config_open(st, keys, err) != 0)
		return -1;
	return open_own_slot(st, err);
}

/* There is no config: was there ever one? */
static void no_config(struct store *st, struct err *err)
{
	struct store_keys keys = { 0 };

	/* Keys alone are what an init left that did not come to its end. */
	if (store_keys_list(st->be, "snapshots/", &keys, err) != 0)
		return;
	if (keys.n == 0)
		err_set(err, ERR_NOTFOUND, "no repository at %s",
		    st->be->name);
	else
		err_set(err, ERR_CORRUPT, "%s has snapshots but no config (bring "
		    "config/ back from a copy of the repository)",
		    st->be->name);
	store_keys_release(&keys);
}

static int open_all(struct store *st, const struct store_secret *secret,
    struct err *err)
{
	struct store_keys keys = { 0 };
	int r = -1;

	store_unlock_ahead(st, secret);
	if (store_keys_list(st->be, "config/", &keys, err) != 0)
		return -1;
	store_ahead_config(st, &keys);
	if (keys.n == 0) {
		no_config(st, err);
		goto out;
	}
	if (store_unlock(st, secret, st->opt.argon_memory, open_slot, &keys,
	        err) != 0)
		goto out;
	st->info.domain = st->domain;
	st->info.label = st->label;
	if (st->far && st->opt.cache_dir != NULL)
		st->disk = store_disk_open(st->opt.cache_dir,
		    st->opt.cache_bytes, st->info.repository);
	st->opt.cache_dir = NULL;
	store_ahead_opened(st);
	r = 0;
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
	store_early_release(st);
	store_disk_close(st->disk);
	store_index_release(st);
	store_bad_free(st->bad);
	store_cache_free(st->cache);
	store_packtab_free(st->packs);
	store_slots_free(st);
	store_orders_free(st);
	store_seen_free(st);
	store_epochs_free(st);
	store_configs_free(st);
	crypto_secret_free(st->own);
	pthread_mutex_destroy(&st->keys_lock);
	pthread_mutex_destroy(&st->refreshing);
	pthread_mutex_destroy(&st->heal_lock);
	store_heal_close(st->heal);
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
	char slot[FMT_HEX_SLOT], list[64] = "";
	unsigned n = 0;

	if (missing == 0)
		return 0;
	hex_encode(slot, st->info.slot, STORE_SLOT_LEN);
	for (unsigned i = 3; i-- > 0;) {
		if (!(missing & 1u << i))
			continue;
		snprintf(list + strlen(list), sizeof(list) - strlen(list),
		    "%s%s", n > 0 ? " nor " : "", names[i]);
		n++;
	}
	if (n == 0)
		return err_set(err, ERR_BUG, "unknown right %u", missing);
	return err_set(err, ERR_AUTH, "slot %s%s%.60s%s has %s %s right, which "
	    "is needed to %s", slot, *st->label ? " (" : "", st->label,
	    *st->label ? ")" : "", n > 1 ? "neither" : "no", list,
	    strncmp(what, "to ", 3) == 0 ? what + 3 : what);
}
