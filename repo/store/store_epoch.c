/*
 * Epochs: what the own slot was granted, from the epoch that its secret half
 * names onward.  Each grant is believed because the administration key that
 * the one before it named has signed it.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

struct store_epoch *store_epoch_known(struct store *st, uint32_t n)
{
	struct store_epoch *e;

	pthread_mutex_lock(&st->keys_lock);
	for (e = st->epochs; e != NULL && e->n != n; e = e->next)
		;
	pthread_mutex_unlock(&st->keys_lock);
	return e;
}

int store_epoch_add(struct store *st, const struct fmt_grant_epoch *g,
    struct err *err)
{
	struct store_epoch *e = store_epoch_known(st, g->epoch);

	if (e != NULL) {
		if (memcmp(e->admin_pub, g->admin_pub, 32) == 0)
			return 0;
		return err_set(err, ERR_CORRUPT,
		    "two grants name different keys for epoch %u", g->epoch);
	}
	e = mem_zalloc(sizeof(*e), "an epoch", err);
	if (e == NULL)
		return -1;
	e->sec = crypto_secret_new(sizeof(*e->sec), err);
	if (e->sec == NULL) {
		free(e);
		return -1;
	}
	e->n = g->epoch;
	memcpy(e->content_pub, g->content_pub, 32);
	memcpy(e->admin_pub, g->admin_pub, 32);
	memcpy(e->sec->index, g->index, 32);
	fmt_index_derive(&e->sec->k, g->index);
	if (g->content != NULL) {
		memcpy(e->sec->content, g->content, 32);
		e->sec->has_content = true;
	}
	if (g->root != NULL) {
		struct fmt_epoch_keys k;

		fmt_epoch_derive(&k, g->root);
		memcpy(e->sec->root, g->root, 32);
		memcpy(e->sec->admin, k.admin, 32);
		e->sec->has_root = true;
		mem_wipe(&k, sizeof(k));
	}
	pthread_mutex_lock(&st->keys_lock);
	e->next = st->epochs;
	st->epochs = e;
	pthread_mutex_unlock(&st->keys_lock);
	return 0;
}

/* The keys of a grant's domain, from the first grant that is read. */
static void grant_take_domain(struct store *st, const struct fmt_grant *g)
{
	struct store_own *o = st->own;

	memcpy(o->id, g->id, 32);
	memcpy(o->order, g->order, 32);
	if (g->cut != NULL) {
		memcpy(o->cut, g->cut, 32);
		o->has_cut = true;
	}
	if (g->family != NULL) {
		memcpy(o->family, g->family, 32);
		o->has_family = true;
	}
	fmt_order_derive(o->volume, o->state, o->order);
	st->info.rights = g->rights;
}

/*
 * Take the grant of epoch n, signed by `admin` (or by that of n itself, which
 * the grant names, when the slot came with it: then admin is that key).
 * Return 0, 1 when there is none, -1.
 */
static int grant_take(struct store *st, uint32_t n, const uint8_t admin[32],
    struct err *err)
{
	char key[FMT_KEY_MAX];
	struct buf plain = BUF_INIT;
	struct fmt_grant g;
	struct fmt_grant_epoch ge;
	uint8_t slot[FMT_SLOT_LEN];
	uint8_t *obj = NULL;
	size_t len;
	int r;

	fmt_key_grant(key, n, st->info.slot);
	r = backend_get_all(st->be, key, STORE_LARGE_OBJECT, &obj, &len, err);
	if (r != 0)
		return r;
	r = -1;
	if (fmt_header_read(obj, len, FMT_GRANT, NULL, err) != 0 ||
	    fmt_signed_check(obj, len, st->own->half.repository, key, admin,
	        err) != 0 ||
	    fmt_grant_open(obj, len, st->own->half.box_sec, &plain, &g, NULL,
	        slot, err) != 0)
		goto out;
	if (g.n != n || memcmp(slot, st->info.slot, sizeof(slot)) != 0) {
		err_set(err, ERR_CORRUPT, "it grants something else");
		goto out;
	}
	grant_take_domain(st, &g);
	r = 0;
	while (r == 0 && fmt_grant_epoch_next(&g.epochs, g.rights, &ge) == 0)
		r = store_epoch_add(st, &ge, err);
	if (r == 0 && st->domain == NULL) {
		st->domain = mem_memdup0(g.domain.p, g.domain.len, err);
		r = st->domain == NULL ? -1 : 0;
	}
out:
	if (r < 0)
		err_wrap(err, "%s", key);
	if (plain.p != NULL)
		mem_wipe(plain.p, plain.cap);
	buf_release(&plain);
	free(obj);
	return r;
}

/* Take every grant that follows the newest epoch known. */
static int grants_follow(struct store *st, struct err *err)
{
	for (;;) {
		struct store_epoch *e;
		uint32_t top = 0;
		uint8_t admin[32];
		int r;

		pthread_mutex_lock(&st->keys_lock);
		for (e = st->epochs; e != NULL; e = e->next) {
			if (e->n > top) {
				top = e->n;
				memcpy(admin, e->admin_pub, 32);
			}
		}
		pthread_mutex_unlock(&st->keys_lock);
		if (top == UINT32_MAX)
			return 0;
		r = grant_take(st, top + 1, admin, err);
		if (r < 0 && err->class == ERR_CORRUPT) {
			/* What is not A's grants nothing, and hinders nobody. */
			log_msg(LOG_WARN, "passed over: %s", err->msg);
			return 0;
		}
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
}

int store_epochs_open(struct store *st, struct err *err)
{
	char slot[FMT_HEX_SLOT];
	int r = grant_take(st, st->own->half.epoch, st->own->half.admin_pub,
	    err);

	if (r < 0)
		return -1;
	if (r > 0) {
		hex_encode(slot, st->info.slot, STORE_SLOT_LEN);
		return err_set(err, ERR_AUTH,
		    "slot %s was granted nothing in epoch %u", slot,
		    st->own->half.epoch);
	}
	return grants_follow(st, err);
}

struct store_epoch *store_epoch_find(struct store *st, uint32_t n,
    struct err *err)
{
	struct store_epoch *e = store_epoch_known(st, n);

	if (e != NULL)
		return e;
	/* Keys may have been rotated since: look again before judging. */
	if (n != 0 && grants_follow(st, err) != 0)
		return NULL;
	e = store_epoch_known(st, n);
	if (e == NULL)
		err_set(err, ERR_CORRUPT,
		    "it names epoch %u, which this credential does not have", n);
	return e;
}

void store_epochs_free(struct store *st)
{
	while (st->epochs != NULL) {
		struct store_epoch *e = st->epochs;

		st->epochs = e->next;
		crypto_secret_free(e->sec);
		free(e);
	}
}
