/* Who may have signed what: certificates, and the two kinds of signers. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

/*
 * The epoch that an object of that kind names.  One of a later version is read
 * so far, too (header and signature stay in all versions): *ret_newer.
 */
static int signed_epoch(const void *obj, size_t len, enum fmt_kind kind,
    uint32_t *ret_epoch, bool *ret_newer, struct err *err)
{
	*ret_newer = false;
	if (fmt_header_read(obj, len, kind, ret_epoch, err) == 0)
		return 0;
	if (err->class != ERR_UNSUPPORTED)
		return -1;
	err_clear(err);
	*ret_epoch = le32_get((const uint8_t *)obj + 8);
	*ret_newer = true;
	return 0;
}

int store_signed_newer(struct store *st, const char *key, const void *obj,
    size_t len, struct err *err)
{
	struct err ignored = ERR_INIT;
	uint8_t slot[FMT_SLOT_LEN];
	const struct store_epoch *e;
	uint32_t epoch;
	bool newer;

	if (signed_epoch(obj, len, FMT_CONFIG, &epoch, &newer, &ignored) != 0 ||
	    !newer)
		return 0;
	e = store_epoch_known(st, epoch);
	if (e == NULL || fmt_signed_signer(obj, len, slot, NULL) != 1 ||
	    fmt_signed_check(obj, len, st->info.repository, key, e->admin_pub,
	        NULL) != 0)
		return 0;
	return fmt_header_read(obj, len, FMT_CONFIG, &epoch, err);
}

int store_admin_signed(struct store *st, const char *key, const void *obj,
    size_t len, enum fmt_kind kind, struct err *err)
{
	uint8_t slot[FMT_SLOT_LEN];
	struct store_epoch *e;
	uint32_t epoch;
	bool newer;
	int r;

	if (signed_epoch(obj, len, kind, &epoch, &newer, err) != 0)
		return -1;
	e = store_epoch_find(st, epoch, err);
	if (e == NULL)
		return -1;
	r = fmt_signed_signer(obj, len, slot, err);
	if (r == 0)
		return err_set(err, ERR_CORRUPT,
		    "it is not signed by an administration key");
	if (r < 0 || fmt_signed_check(obj, len, st->info.repository, key,
	        e->admin_pub, err) != 0)
		return -1;
	return newer ? fmt_header_read(obj, len, kind, &epoch, err) : 0;
}

int store_admin_put(struct store *st, const char *key, struct buf *obj,
    struct err *err)
{
	const struct store_epoch *e = store_epoch_known(st, st->info.epoch);

	if (store_need(st, STORE_ADMIN, "to change what is kept", err) != 0)
		return -1;
	if (e == NULL || !e->sec->has_root)
		return err_set(err, ERR_BUG,
		    "an administrator without the keys of epoch %u",
		    st->info.epoch);
	if (fmt_sign_append(obj, st->info.repository, key, NULL, e->sec->admin,
	        err) != 0)
		return -1;
	return store_object_put(st->be, key, obj->p, obj->len, err);
}

static void slot_free(struct store_slot *sl)
{
	if (sl == NULL)
		return;
	free(sl->standing);
	free(sl->domain);
	free(sl->label);
	free(sl);
}

void store_slots_free(struct store *st)
{
	while (st->slots != NULL) {
		struct store_slot *sl = st->slots;

		st->slots = sl->next;
		slot_free(sl);
	}
}

/* The sessions that stand although the slot was removed. */
static int slot_read_end(struct store *st, struct store_slot *sl,
    const uint8_t hash[32], struct err *err)
{
	char key[FMT_KEY_MAX];
	CLEANUP_FREE uint8_t *obj = NULL;
	uint8_t real[32];
	struct fmt_end end;
	size_t len;
	int r;

	sl->ended = true;
	fmt_key_end(key, sl->slot, hash);
	r = backend_get_all(st->be, key, STORE_LARGE_OBJECT, &obj, &len, err);
	if (r > 0)
		return err_set(err, ERR_CORRUPT, "%s: does not exist, so what "
		    "stands of that removed credential is not known ('wherry "
		    "key remove' of it makes a new list of what is there now)",
		    key);
	if (r == 0) {
		crypto_sha256(real, obj, len);
		if (memcmp(real, hash, sizeof(real)) != 0)
			return err_set(err, ERR_CORRUPT,
			    "%s: has another hash", key);
		r = fmt_end_decode(obj, len, &end, err);
	}
	if (r == 0 && memcmp(end.slot, sl->slot, sizeof(end.slot)) != 0)
		r = err_set(err, ERR_CORRUPT, "is of another slot");
	if (r != 0)
		return err_wrap(err, "%s", key);
	sl->standing = mem_array(end.sessions.n + 1, sizeof(*sl->standing),
	    "a list of sessions", err);
	if (sl->standing == NULL)
		return -1;
	while (fmt_stood_next(&end.sessions,
	    &sl->standing[sl->nstanding]) == 0)
		sl->nstanding++;
	return 0;
}

int store_slot_cert(struct store *st, struct store_slot *sl, struct err *err)
{
	char key[FMT_KEY_MAX];
	CLEANUP_FREE uint8_t *obj = NULL;
	struct fmt_cert c;
	size_t len;
	int r;

	fmt_key_cert(key, sl->slot);
	r = backend_get_all(st->be, key, STORE_SMALL_OBJECT, &obj, &len, err);
	if (r < 0)
		return -1;
	if (r > 0)
		return err_set(err, ERR_NOTFOUND, "%s: does not exist", key);
	if (store_admin_signed(st, key, obj, len, FMT_CERT, err) != 0 ||
	    fmt_cert_decode(obj, len, &c, err) != 0)
		return err_wrap(err, "%s", key);
	if (memcmp(c.slot, sl->slot, sizeof(c.slot)) != 0)
		return err_set(err, ERR_CORRUPT, "%s: is of another slot", key);
	memcpy(sl->sign_pub, c.sign_pub, 32);
	memcpy(sl->box_pub, c.box_pub, 32);
	sl->rights = c.rights;
	sl->domain = mem_memdup0(c.domain.p == NULL ? "" : c.domain.p,
	    c.domain.len, err);
	if (sl->domain != NULL)
		sl->label = mem_memdup0(c.label.p == NULL ? "" : c.label.p,
		    c.label.len, err);
	return sl->label == NULL ? -1 : 0;
}

static int slot_read(struct store *st, struct store_slot *sl,
    const struct store_config *cfg, struct err *err)
{
	const uint8_t *hash = store_config_ended(cfg, sl->slot);

	sl->config = cfg->m;
	if (store_slot_cert(st, sl, err) != 0)
		return -1;
	return hash == NULL ? 0 : slot_read_end(st, sl, hash, err);
}

int store_slot_lacks(struct store *st, const uint8_t slot[STORE_SLOT_LEN],
    const char *lacks, struct err *err)
{
	struct store_keys keys = { 0 };
	char hex[FMT_HEX_SLOT], prefix[FMT_KEY_MAX];
	bool ended = false;

	hex_encode(hex, slot, STORE_SLOT_LEN);
	snprintf(prefix, sizeof(prefix), "keys/%s/", hex);
	if (store_keys_list(st->be, prefix, &keys, err) != 0)
		return -1;
	for (size_t i = 0; i < keys.n; i++) {
		struct fmt_key at;

		ended |= fmt_key_parse(store_keys_at(&keys, i), &at) == 0 &&
		    at.place == FMT_AT_END;
	}
	store_keys_release(&keys);
	if (ended)
		return err_set(err, ERR_AUTH, "slot %s has been removed", hex);
	return err_set(err, ERR_CORRUPT, "%s of slot %s is missing, though the "
	    "slot was not removed", lacks, hex);
}

const struct store_slot *store_slot_find(struct store *st,
    const uint8_t slot[STORE_SLOT_LEN], struct err *err)
{
	const struct store_config *cfg = store_config_now(st);
	struct store_slot *sl;

	/* What was read under an older config stays, for those who hold it. */
	pthread_mutex_lock(&st->keys_lock);
	for (sl = st->slots; sl != NULL; sl = sl->next)
		if (memcmp(sl->slot, slot, STORE_SLOT_LEN) == 0 &&
		    sl->config == cfg->m)
			break;
	pthread_mutex_unlock(&st->keys_lock);
	if (sl != NULL)
		return sl;
	sl = mem_zalloc(sizeof(*sl), "a slot", err);
	if (sl == NULL)
		return NULL;
	memcpy(sl->slot, slot, STORE_SLOT_LEN);
	if (slot_read(st, sl, cfg, err) != 0) {
		slot_free(sl);
		return NULL;
	}
	/* Two threads may both have read it; then both stay, which is harmless. */
	pthread_mutex_lock(&st->keys_lock);
	sl->next = st->slots;
	st->slots = sl;
	pthread_mutex_unlock(&st->keys_lock);
	return sl;
}

static const struct fmt_stood *slot_stood(const struct store_slot *sl,
    const char *session)
{
	for (size_t i = 0; i < sl->nstanding; i++)
		if (strcmp(sl->standing[i].session, session) == 0)
			return &sl->standing[i];
	return NULL;
}

bool store_slot_stands(const struct store_slot *sl, const char *session)
{
	return !sl->ended || slot_stood(sl, session) != NULL;
}

bool store_slot_segment_stands(const struct store_slot *sl,
    const char *session, uint64_t number)
{
	const struct fmt_stood *s = slot_stood(sl, session);

	return !sl->ended || (s != NULL && number <= s->segments);
}

/* Does a snapshot of that session stand, though the slot was removed? */
static bool slot_has_snapshot(const struct store_slot *sl, const char *session)
{
	const struct fmt_stood *s = slot_stood(sl, session);

	return sl->ended && s != NULL &&
	    !bytes_are_zero(s->snapshot, sizeof(s->snapshot));
}

/* Whoever held a removed credential can still sign: only what was listed counts. */
static int snapshot_stands(const struct store_slot *sl, const char *session,
    const void *obj, size_t len, struct err *err)
{
	const struct fmt_stood *s = slot_stood(sl, session);
	uint8_t hash[32];

	crypto_sha256(hash, obj, len);
	if (s == NULL || memcmp(hash, s->snapshot, sizeof(hash)) != 0)
		return err_set(err, ERR_CORRUPT,
		    "its slot was removed, and it is not among what stands");
	return 0;
}

int store_slot_signed(struct store *st, const char *key, const void *obj,
    size_t len, enum fmt_kind kind, const uint8_t slot[STORE_SLOT_LEN],
    const char *session, struct store_epoch **ret_epoch, struct err *err)
{
	const struct store_slot *sl;
	uint8_t signer[FMT_SLOT_LEN];
	uint32_t epoch;
	bool newer;
	int r;

	if (signed_epoch(obj, len, kind, &epoch, &newer, err) != 0)
		return -1;
	*ret_epoch = store_epoch_find(st, epoch, err);
	if (*ret_epoch == NULL)
		return -1;
	r = fmt_signed_signer(obj, len, signer, err);
	if (r < 0)
		return -1;
	if (r > 0 || memcmp(signer, slot, STORE_SLOT_LEN) != 0)
		return err_set(err, ERR_CORRUPT,
		    "it is not signed by the slot that it belongs to");
	sl = store_slot_find(st, slot, err);
	if (sl == NULL)
		return -1;
	/* What says that there is nothing, where nothing stands, is right. */
	if (kind == FMT_REVOCATION ? slot_has_snapshot(sl, session) :
	    !store_slot_stands(sl, session))
		return err_set(err, ERR_CORRUPT,
		    "its slot was removed, and it is not among what stands");
	if (!(sl->rights & (STORE_WRITE | STORE_ADMIN)))
		return err_set(err, ERR_CORRUPT, "its slot may not write");
	if (fmt_signed_check(obj, len, st->info.repository, key, sl->sign_pub,
	        err) != 0)
		return -1;
	if (sl->ended && kind == FMT_SNAPSHOT &&
	    snapshot_stands(sl, session, obj, len, err) != 0)
		return -1;
	return newer ? fmt_header_read(obj, len, kind, &epoch, err) : 0;
}
