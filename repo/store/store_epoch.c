/*
 * Epochs and family secrets: what the own slot was granted, from the epoch
 * that its secret half names onward.  Each grant is believed because the
 * administration key that the one before it named has signed it, and counts
 * because a config names its epoch.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_ahead.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

/* --- one epoch, one family secret ---------------------------------------------*/

void store_epoch_free(struct store_epoch *e)
{
	while (e != NULL) {
		struct store_epoch *next = e->next;

		crypto_secret_free(e->sec);
		free(e);
		e = next;
	}
}

struct store_epoch *store_epoch_new(const struct fmt_grant_epoch *g,
    struct err *err)
{
	struct store_epoch *e = mem_zalloc(sizeof(*e), "an epoch", err);

	if (e == NULL)
		return NULL;
	e->sec = crypto_secret_new(sizeof(*e->sec), err);
	if (e->sec == NULL) {
		free(e);
		return NULL;
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
		/* Who administers can read, granted or not (R has it all). */
		memcpy(e->sec->content, k.content, 32);
		e->sec->has_content = true;
		mem_wipe(&k, sizeof(k));
	}
	return e;
}

void store_family_free(struct store_family *f)
{
	while (f != NULL) {
		struct store_family *next = f->next;

		crypto_secret_free(f->sec);
		crypto_idkey_free(f->idkey);
		free(f);
		f = next;
	}
}

struct store_family *store_family_new(const struct fmt_grant_family *g,
    struct err *err)
{
	struct store_family *f = mem_zalloc(sizeof(*f), "a family secret", err);

	if (f == NULL)
		return NULL;
	f->from = g->from;
	f->sec = crypto_secret_new(sizeof(*f->sec), err);
	f->idkey = f->sec == NULL ? NULL : crypto_idkey_new(g->id, err);
	if (f->idkey == NULL) {
		store_family_free(f);
		return NULL;
	}
	memcpy(f->sec->id, g->id, 32);
	memcpy(f->sec->order, g->order, 32);
	fmt_order_derive(f->sec->volume, f->sec->state, f->sec->order);
	f->has_cut = g->cut != NULL;
	if (f->has_cut)
		memcpy(f->sec->cut, g->cut, 32);
	f->has_family = g->family != NULL;
	if (f->has_family)
		memcpy(f->sec->family, g->family, 32);
	return f;
}

/* --- what is known ---------------------------------------------------------------*/

struct store_epoch *store_epoch_known(struct store *st, uint32_t n)
{
	struct store_epoch *e;

	pthread_mutex_lock(&st->keys_lock);
	for (e = st->epochs; e != NULL && e->n != n; e = e->next)
		;
	pthread_mutex_unlock(&st->keys_lock);
	return e;
}

struct store_epoch *store_fresh_epoch(struct store *st,
    const struct store_fresh *f, uint32_t n)
{
	struct store_epoch *e = f == NULL ? NULL : f->epochs;

	while (e != NULL && e->n != n)
		e = e->next;
	return e != NULL ? e : store_epoch_known(st, n);
}

struct store_family *store_family_at(struct store *st, uint32_t n)
{
	struct store_family *best = NULL;

	pthread_mutex_lock(&st->keys_lock);
	for (struct store_family *f = st->families; f != NULL; f = f->next)
		if (f->from <= n && (best == NULL || f->from > best->from))
			best = f;
	pthread_mutex_unlock(&st->keys_lock);
	return best;
}

/* The one that begins with epoch `from`, fresh or known. */
static struct store_family *family_from(struct store *st,
    const struct store_fresh *fresh, uint32_t from)
{
	struct store_family *f = fresh->families;

	while (f != NULL && f->from != from)
		f = f->next;
	if (f != NULL)
		return f;
	pthread_mutex_lock(&st->keys_lock);
	for (f = st->families; f != NULL && f->from != from; f = f->next)
		;
	pthread_mutex_unlock(&st->keys_lock);
	return f;
}

void store_fresh_release(struct store_fresh *f)
{
	store_epoch_free(f->epochs);
	store_family_free(f->families);
	free(f->domain);
	*f = (struct store_fresh){ 0 };
}

void store_fresh_adopt(struct store *st, struct store_fresh *f)
{
	struct store_epoch **e = &f->epochs;
	struct store_family **m = &f->families;

	while (*e != NULL)
		e = &(*e)->next;
	while (*m != NULL)
		m = &(*m)->next;
	pthread_mutex_lock(&st->keys_lock);
	*e = st->epochs;
	st->epochs = f->epochs;
	*m = st->families;
	st->families = f->families;
	pthread_mutex_unlock(&st->keys_lock);
	f->epochs = NULL;
	f->families = NULL;
}

void store_epochs_free(struct store *st)
{
	store_epoch_free(st->epochs);
	store_family_free(st->families);
	st->epochs = NULL;
	st->families = NULL;
}

/* --- grants ------------------------------------------------------------------------*/

static int fresh_add_epoch(struct store *st, struct store_fresh *f,
    const struct fmt_grant_epoch *g, struct err *err)
{
	struct store_epoch *e = store_fresh_epoch(st, f, g->epoch);

	if (e != NULL) {
		if (memcmp(e->admin_pub, g->admin_pub, 32) == 0)
			return 0;
		return err_set(err, ERR_CORRUPT,
		    "two grants name different keys for epoch %u", g->epoch);
	}
	e = store_epoch_new(g, err);
	if (e == NULL)
		return -1;
	e->next = f->epochs;
	f->epochs = e;
	return 0;
}

static int fresh_add_family(struct store *st, struct store_fresh *f,
    const struct fmt_grant_family *g, struct err *err)
{
	struct store_family *m = family_from(st, f, g->from);

	if (m != NULL) {
		if (memcmp(m->sec->id, g->id, 32) == 0)
			return 0;
		return err_set(err, ERR_CORRUPT, "two grants name different "
		    "family secrets for epoch %u", g->from);
	}
	m = store_family_new(g, err);
	if (m == NULL)
		return -1;
	m->next = f->families;
	f->families = m;
	return 0;
}

/* All that an opened grant says. */
static int fresh_take(struct store *st, struct store_fresh *f,
    struct fmt_grant *g, struct err *err)
{
	struct fmt_grant_family gf;
	struct fmt_grant_epoch ge;
	int r = 0;

	while (r == 0 && fmt_grant_family_next(&g->families, g->rights,
	    &gf) == 0)
		r = fresh_add_family(st, f, &gf, err);
	while (r == 0 && fmt_grant_epoch_next(&g->epochs, g->rights, &ge) == 0)
		r = fresh_add_epoch(st, f, &ge, err);
	if (r != 0)
		return -1;
	f->rights = g->rights;
	free(f->domain);
	f->domain = mem_memdup0(g->domain.p == NULL ? "" : g->domain.p,
	    g->domain.len, err);
	return f->domain == NULL ? -1 : 0;
}

/*
 * Take the grant of epoch n, whose public A is admin_pub, signed by `signer`.
 * Return 0, 1 when there is none, -1.
 */
static int grant_take(struct store *st, uint32_t n, const uint8_t admin_pub[32],
    const uint8_t signer[32], struct store_fresh *f, struct err *err)
{
	char key[FMT_KEY_MAX];
	struct buf plain = BUF_INIT;
	struct fmt_grant g;
	uint8_t slot[FMT_SLOT_LEN], tag[FMT_TAG_LEN];
	uint8_t *obj = NULL;
	size_t len;
	int r;

	fmt_epoch_tag(tag, admin_pub);
	fmt_key_grant(key, n, tag, st->info.slot);
	r = backend_get_all(st->be, key, STORE_LARGE_OBJECT, &obj, &len, err);
	if (r != 0)
		return r;
	r = -1;
	if (fmt_header_read(obj, len, FMT_GRANT, NULL, err) == 0 &&
	    fmt_signed_check(obj, len, st->own->half.repository, key, signer,
	        err) == 0)
		r = fmt_grant_open(obj, len, st->own->half.box_sec, &plain, &g,
		    NULL, slot, err);
	if (r == 0 && (g.n != n ||
	        memcmp(slot, st->info.slot, sizeof(slot)) != 0))
		r = err_set(err, ERR_CORRUPT, "it grants something else");
	if (r == 0)
		r = fresh_take(st, f, &g, err);
	if (r < 0)
		err_wrap(err, "%s", key);
	if (plain.p != NULL)
		mem_wipe(plain.p, plain.cap);
	buf_release(&plain);
	free(obj);
	return r;
}

/* Those that are not known yet, as a grant mostly says only of its own epoch. */
static void grants_ahead(struct store *st, struct fmt_list admins,
    struct store_fresh *f)
{
	const uint8_t *pub;

	for (uint32_t n = 1; st->far && fmt_admin_next(&admins, &pub) == 0;
	    n++) {
		uint8_t tag[FMT_TAG_LEN];
		char key[FMT_KEY_MAX];

		if (n < st->own->half.epoch ||
		    store_fresh_epoch(st, f, n) != NULL)
			continue;
		fmt_epoch_tag(tag, pub);
		fmt_key_grant(key, n, tag, st->info.slot);
		backend_ahead_all(st->be, key);
	}
}

int store_grants_follow(struct store *st, struct fmt_list admins,
    struct store_fresh *f, struct err *err)
{
	const struct fmt_secret *half = &st->own->half;
	const uint8_t *pub;

	if (half->epoch == 0 || admins.n < half->epoch)
		return err_set(err, ERR_CORRUPT,
		    "it is older than this credential");
	grants_ahead(st, admins, f);
	for (uint32_t n = 1; fmt_admin_next(&admins, &pub) == 0; n++) {
		const struct store_epoch *e = store_fresh_epoch(st, f, n);
		const struct store_epoch *by;
		int r;

		if (n < half->epoch)
			continue;
		if (n == half->epoch && memcmp(pub, half->admin_pub, 32) != 0)
			return err_set(err, ERR_CORRUPT, "its key of epoch %u "
			    "is not this credential's", n);
		by = n == half->epoch ? NULL : store_fresh_epoch(st, f, n - 1);
		if (e == NULL) {
			r = grant_take(st, n, pub, by == NULL ?
			    half->admin_pub : by->admin_pub, f, err);
			if (r != 0)
				return r < 0 ? -1 : 0;
			e = store_fresh_epoch(st, f, n);
		}
		if (e == NULL || memcmp(e->admin_pub, pub, 32) != 0)
			return err_set(err, ERR_CORRUPT,
			    "its key of epoch %u is not the granted one", n);
	}
	return 0;
}

struct store_epoch *store_epoch_find(struct store *st, uint32_t n,
    struct err *err)
{
	struct store_epoch *e = store_epoch_known(st, n);

	if (e != NULL)
		return e;
	/* Keys may have been rotated since: look again before judging. */
	backend_ahead_forget(st->be, "config/");
	if (n != 0 && store_config_refresh(st, err) != 0)
		return NULL;
	e = store_epoch_known(st, n);
	if (e != NULL)
		return e;
	if (n != 0 && n <= store_config_now(st)->c.epoch)
		err_set(err, ERR_AUTH, "it is of epoch %u, of which this "
		    "credential was left out when the keys were changed", n);
	else
		err_set(err, ERR_CORRUPT, "it names epoch %u, which does not "
		    "exist", n);
	return NULL;
}
