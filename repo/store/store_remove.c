/*
 * The end of a credential.  Whoever holds it can still sign, so what of it
 * stands is listed: snapshots by their hash, index segments by their number.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

#define TRIES 8
enum { ENDED_BEFORE = 2, ENDED_BY_OTHER = 3 };
#define PASSES 3 /* over what a slot goes on adding while it is ended */

struct removal {
	struct store *st;
	uint8_t slot[STORE_SLOT_LEN];
	char hex[FMT_HEX_SLOT];
	const struct store_config *base;
	struct fmt_stood *v;       /* ascending by session */
	size_t n, cap;
	uint64_t snapshots;
	struct store_slot cert;    /* only what its certificate says */
};

/* --- what stands ------------------------------------------------------------------*/

static struct fmt_stood *stood_of(struct removal *rm, const char *session,
    struct err *err)
{
	struct fmt_stood *v;

	for (size_t i = rm->n; i > 0; i--)
		if (strcmp(rm->v[i - 1].session, session) == 0)
			return &rm->v[i - 1];
	if (rm->n == rm->cap) {
		size_t cap = rm->cap == 0 ? 64 : rm->cap * 2;

		v = realloc(rm->v, cap * sizeof(*v));
		if (v == NULL) {
			err_nomem(err, "a list of sessions");
			return NULL;
		}
		rm->v = v;
		rm->cap = cap;
	}
	v = &rm->v[rm->n++];
	*v = (struct fmt_stood){ .segments = 0 };
	snprintf(v->session, sizeof(v->session), "%s", session);
	return v;
}

/*
 * One snapshot, when its slot has signed it.  Whether the slot has ended is not
 * asked: this is what makes the list.
 */
static int add_snapshot(struct removal *rm, const char *key,
    const struct fmt_key *at, struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	uint8_t signer[FMT_SLOT_LEN];
	struct fmt_stood *s;
	size_t len;
	int r = backend_get_all(rm->st->be, key, STORE_LARGE_OBJECT, &obj, &len,
	    err);

	if (r != 0)
		return r < 0 && err->class != ERR_CORRUPT ? -1 : 0;
	if (fmt_header_read(obj, len, FMT_SNAPSHOT, NULL, err) != 0 ||
	    fmt_signed_signer(obj, len, signer, err) != 0 ||
	    memcmp(signer, rm->slot, sizeof(signer)) != 0 ||
	    fmt_signed_check(obj, len, rm->st->info.repository, key,
	        rm->cert.sign_pub, err) != 0)
		return 0;
	s = stood_of(rm, at->session, err);
	if (s == NULL)
		return -1;
	crypto_sha256(s->snapshot, obj, len);
	rm->snapshots++;
	return 0;
}

/*
 * List what is there of the slot: its snapshots, and the sessions that have
 * segments, for other snapshots may need what they name.  In this order: what
 * a snapshot needs was named before it was put.
 */
static int list_standing(struct removal *rm, struct err *err)
{
	static const char *const places[] = { "snapshots", "index" };
	int r = 0;

	rm->n = 0;
	rm->snapshots = 0;
	for (int p = 0; p < 2 && r == 0; p++) {
		struct store_keys keys = { 0 };
		char prefix[FMT_KEY_MAX];

		snprintf(prefix, sizeof(prefix), "%s/%s/", places[p], rm->hex);
		r = store_keys_list(rm->st->be, prefix, &keys, err);
		for (size_t i = 0; i < keys.n && r == 0; i++) {
			const char *key = store_keys_at(&keys, i);
			struct fmt_stood *s;
			struct fmt_key at;

			if (fmt_key_parse(key, &at) != 0)
				continue;
			if (at.place == FMT_AT_SNAPSHOT) {
				r = add_snapshot(rm, key, &at, err);
			} else if (at.place == FMT_AT_SEGMENT) {
				s = stood_of(rm, at.session, err);
				if (s == NULL)
					r = -1;
				else if (at.n > s->segments)
					s->segments = (uint32_t)at.n;
			}
		}
		store_keys_release(&keys);
	}
	return r;
}

/* --- end and config ----------------------------------------------------------------*/

static int put_end(struct removal *rm, uint8_t ret_hash[32], struct err *err)
{
	struct fmt_list_buf l = FMT_LIST_BUF_INIT;
	struct buf obj = BUF_INIT;
	char key[FMT_KEY_MAX];
	struct fmt_end e = {
		.epoch = rm->base->c.epoch,
		.time_ns = clock_real_ns(),
	};
	int r;

	memcpy(e.slot, rm->slot, sizeof(e.slot));
	for (size_t i = 0; i < rm->n; i++)
		fmt_list_add_stood(&l, &rm->v[i]);
	e.sessions = fmt_list_of(&l);
	r = buf_check(&l.b, "a list of sessions", err);
	if (r == 0)
		r = fmt_end_encode(&obj, &e, err);
	if (r == 0 && obj.len > STORE_LARGE_OBJECT)
		r = err_set(err, ERR_UNSUPPORTED, "slot %s has too many "
		    "sessions for one list", rm->hex);
	if (r == 0) {
		crypto_sha256(ret_hash, obj.p, obj.len);
		fmt_key_end(key, rm->slot, ret_hash);
		r = store_object_put(rm->st->be, key, obj.p, obj.len, err);
	}
	if (r > 0)
		r = err_set(err, ERR_CONFLICT, "%s: something else is there",
		    key);
	fmt_list_release(&l);
	buf_release(&obj);
	return r;
}

/* The config with this end in its place: as store_config_put. */
static int name_end(struct removal *rm, const uint8_t hash[32], struct err *err)
{
	const struct store_epoch *signer = store_epoch_known(rm->st,
	    rm->base->c.epoch);
	struct fmt_list before = rm->base->c.ended;
	struct fmt_list_buf l = FMT_LIST_BUF_INIT;
	const uint8_t *slot, *h;
	bool put = false;
	int r;

	if (signer == NULL || !signer->sec->has_root)
		return err_set(err, ERR_BUG, "an administrator without the "
		    "keys of epoch %u", rm->base->c.epoch);
	while (fmt_ended_next(&before, &slot, &h) == 0) {
		int c = memcmp(slot, rm->slot, STORE_SLOT_LEN);

		if (c >= 0 && !put) {
			fmt_list_add_ended(&l, rm->slot, hash);
			put = true;
		}
		if (c != 0)
			fmt_list_add_ended(&l, slot, h);
	}
	if (!put)
		fmt_list_add_ended(&l, rm->slot, hash);
	r = buf_check(&l.b, "a config", err);
	if (r == 0)
		r = store_config_put(rm->st, rm->base, signer,
		    rm->base->c.epoch, rm->base->c.admins, fmt_list_of(&l),
		    err);
	fmt_list_release(&l);
	return r;
}

/* --- may it go? ----------------------------------------------------------------------*/

struct others { bool admin, reader; };

/* Another credential that counts: what may it? */
static int look_other(struct removal *rm, const struct fmt_key *at,
    struct others *o, struct err *err)
{
	const struct store_slot *sl;

	if (memcmp(at->slot, rm->slot, STORE_SLOT_LEN) == 0 ||
	    store_config_ended(rm->base, at->slot) != NULL)
		return 0;
	sl = store_slot_find(rm->st, at->slot, err);
	if (sl == NULL)
		return err->class == ERR_CORRUPT ||
		    err->class == ERR_NOTFOUND ? 0 : -1;
	o->admin |= (sl->rights & STORE_ADMIN) != 0;
	o->reader |= (sl->rights & (STORE_READ | STORE_ADMIN)) != 0;
	return 0;
}

static int look_others(struct removal *rm, struct others *o, struct err *err)
{
	struct store_keys keys = { 0 };
	int r = store_keys_list(rm->st->be, "keys/", &keys, err);

	for (size_t i = 0; i < keys.n && r == 0; i++) {
		struct fmt_key at;

		if (fmt_key_parse(store_keys_at(&keys, i), &at) == 0 &&
		    at.place == FMT_AT_CERT)
			r = look_other(rm, &at, o, err);
	}
	store_keys_release(&keys);
	return r;
}

/*
 * 0 when it is to be ended, 1 when it has, -1.  An end whose list was deleted
 * is made anew, of what is there now.
 */
static int may_end(struct removal *rm, struct store_remove_result *ret,
    struct err *err)
{
	const uint8_t *ended = store_config_ended(rm->base, rm->slot);
	struct others o = { .admin = false };
	struct err why = ERR_INIT;
	const struct store_slot *sl = store_slot_find(rm->st, rm->slot, &why);

	if (sl != NULL && ended != NULL) {
		ret->snapshots = 0;
		for (size_t i = 0; i < sl->nstanding; i++)
			ret->snapshots += !bytes_are_zero(
			    sl->standing[i].snapshot, 32);
		return 1;
	}
	free(rm->cert.domain);
	free(rm->cert.label);
	rm->cert.domain = rm->cert.label = NULL;
	if (store_slot_cert(rm->st, &rm->cert, err) != 0)
		return err->class == ERR_NOTFOUND ? err_set(err, ERR_NOTFOUND,
		    "there is no credential %s", rm->hex) : -1;
	if (sl == NULL && ended != NULL && why.class == ERR_CORRUPT) {
		log_msg(LOG_WARN, "what stood of slot %s is not known any more; "
		    "all that is there now counts", rm->hex);
		return 0;
	}
	if (sl == NULL) {
		*err = why;
		return -1;
	}
	if (look_others(rm, &o, err) != 0)
		return -1;
	if ((sl->rights & STORE_ADMIN) && !o.admin)
		return err_set(err, ERR_USAGE, "slot %s is the last that may "
		    "administer the repository (add another first)", rm->hex);
	ret->last_reader = !o.reader;
	return 0;
}

/* Best effort: without them nothing is opened by it in an ordinary way. */
static void remove_objects(struct removal *rm)
{
	static const char *const prefixes[] = { "keys", "epochs" };
	char wraps[FMT_KEY_MAX];

	snprintf(wraps, sizeof(wraps), "keys/%s/wrap/", rm->hex);
	for (int p = 0; p < 2; p++) {
		struct err ignored = ERR_INIT;
		struct store_keys keys = { 0 };

		if (store_keys_list(rm->st->be, p == 0 ? wraps : "epochs/",
		        &keys, &ignored) != 0) {
			log_msg(LOG_WARN, "%s: %s", prefixes[p], ignored.msg);
			continue;
		}
		for (size_t i = 0; i < keys.n; i++) {
			const char *key = store_keys_at(&keys, i);
			struct fmt_key at;

			if (fmt_key_parse(key, &at) != 0 ||
			    memcmp(at.slot, rm->slot, STORE_SLOT_LEN) != 0)
				continue;
			if (backend_del(rm->st->be, key, &ignored) < 0)
				log_msg(LOG_WARN, "the credential has ended, "
				    "but %s", ignored.msg);
		}
		store_keys_release(&keys);
	}
}

/* Is there a snapshot in rm that is not among the n at v? */
static bool has_new(const struct removal *rm, const struct fmt_stood *v,
    size_t n)
{
	for (size_t i = 0; i < rm->n; i++) {
		bool known = bytes_are_zero(rm->v[i].snapshot, 32);

		for (size_t j = 0; j < n && !known; j++)
			known = memcmp(v[j].snapshot, rm->v[i].snapshot,
			    32) == 0;
		if (!known)
			return true;
	}
	return false;
}

/*
 * End it with what stands now.  A snapshot that was committed after it was
 * listed and before the config was there has been called done: so what stands
 * is listed once more, and what has come is added.  0, 1 when the config was
 * changed by others, -1.
 */
static int end_it(struct removal *rm, struct err *err)
{
	int r = list_standing(rm, err);

	for (int i = 0; i < PASSES && r == 0; i++) {
		CLEANUP_FREE struct fmt_stood *before = NULL;
		uint8_t hash[32];
		size_t n = rm->n;

		r = put_end(rm, hash, err);
		if (r == 0)
			r = name_end(rm, hash, err);
		if (r == 0)
			r = store_config_refresh(rm->st, err);
		if (r != 0)
			return r;
		rm->base = store_config_now(rm->st);
		before = STEAL_PTR(rm->v);
		rm->n = rm->cap = 0;
		r = list_standing(rm, err);
		if (r == 0 && !has_new(rm, before, n))
			return 0;
	}
	return r;
}

int store_key_remove(struct store *st, const char *slot,
    bool sole_administrator, struct store_remove_result *ret, struct err *err)
{
	struct removal rm = { .st = st };
	int r = 1;

	*ret = (struct store_remove_result){ .snapshots = 0 };
	if (store_need(st, STORE_ADMIN, "to remove a credential", err) != 0 ||
	    store_admin_alone(st, sole_administrator, "change the keys",
	        err) != 0)
		return -1;
	if (hex_decode(rm.slot, sizeof(rm.slot), slot) != 0)
		return err_set(err, ERR_USAGE,
		    "'%s' is no slot (16 hex digits)", slot);
	memcpy(rm.cert.slot, rm.slot, sizeof(rm.slot));
	hex_encode(rm.hex, rm.slot, STORE_SLOT_LEN);
	memcpy(ret->slot, rm.hex, sizeof(ret->slot));
	for (int i = 0; i < TRIES && r == 1; i++) {
		r = store_config_refresh(st, err);
		if (r == 0)
			r = store_config_own(st, err);
		if (r != 0)
			break;
		rm.base = store_config_now(st);
		r = may_end(&rm, ret, err);
		if (r == 0)
			r = end_it(&rm, err);
		else if (r > 0)
			r = i == 0 ? ENDED_BEFORE : ENDED_BY_OTHER;
	}
	if (r == 1)
		r = err_set(err, ERR_CONFLICT, "the config was changed by "
		    "others %d times meanwhile: try again", TRIES);
	if (r == 0)
		ret->snapshots = rm.snapshots;
	if (r >= 0)
		remove_objects(&rm);
	free(rm.cert.domain);
	free(rm.cert.label);
	free(rm.v);
	return r < 0 ? -1 : r == ENDED_BEFORE;
}
