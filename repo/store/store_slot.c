/* Who may have signed what: certificates, and the two kinds of signers. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

int store_admin_signed(struct store *st, const char *key, const void *obj,
    size_t len, enum fmt_kind kind, struct err *err)
{
	uint8_t slot[FMT_SLOT_LEN];
	struct store_epoch *e;
	uint32_t epoch;
	int r;

	if (fmt_header_read(obj, len, kind, &epoch, err) != 0)
		return -1;
	e = store_epoch_find(st, epoch, err);
	if (e == NULL)
		return -1;
	r = fmt_signed_signer(obj, len, slot, err);
	if (r == 0)
		return err_set(err, ERR_CORRUPT,
		    "it is not signed by an administration key");
	return r < 0 ? -1 : fmt_signed_check(obj, len, st->info.repository, key,
	    e->admin_pub, err);
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
	for (size_t i = 0; i < sl->standing.n; i++)
		free(sl->standing.v[i]);
	free(sl->standing.v);
	free(sl->domain);
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
    struct err *err)
{
	char key[FMT_KEY_MAX];
	CLEANUP_FREE uint8_t *obj = NULL;
	struct fmt_end end;
	struct fmt_str s;
	size_t len;
	int r;

	fmt_key_end(key, sl->slot);
	r = backend_get_all(st->be, key, STORE_LARGE_OBJECT, &obj, &len, err);
	if (r == 0)
		r = store_admin_signed(st, key, obj, len, FMT_END, err);
	if (r == 0)
		r = fmt_end_decode(obj, len, &end, err);
	if (r == 0 && memcmp(end.slot, sl->slot, sizeof(end.slot)) != 0)
		r = err_set(err, ERR_CORRUPT, "is of another slot");
	/* Anyone may put what is no end: it must not end a slot, or hide it. */
	if (r < 0 && err->class == ERR_CORRUPT) {
		log_msg(LOG_WARN, "passed over: %s: %s", key, err->msg);
		return 0;
	}
	if (r != 0)
		return r < 0 ? err_wrap(err, "%s", key) : 0;
	sl->ended = true;
	if (end.sessions.n == 0)
		return 0;
	sl->standing.v = mem_array(end.sessions.n, sizeof(char *),
	    "a list of sessions", err);
	if (sl->standing.v == NULL)
		return -1;
	while (fmt_str_next(&end.sessions, &s) == 0) {
		char *copy = mem_memdup0(s.p, s.len, err);

		if (copy == NULL)
			return -1;
		sl->standing.v[sl->standing.n++] = copy;
	}
	return 0;
}

static int slot_read(struct store *st, struct store_slot *sl, struct err *err)
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
	sl->domain = mem_memdup0(c.domain.p, c.domain.len, err);
	if (sl->domain == NULL)
		return -1;
	return slot_read_end(st, sl, err);
}

const struct store_slot *store_slot_find(struct store *st,
    const uint8_t slot[STORE_SLOT_LEN], struct err *err)
{
	struct store_slot *sl;

	pthread_mutex_lock(&st->keys_lock);
	for (sl = st->slots; sl != NULL; sl = sl->next)
		if (memcmp(sl->slot, slot, STORE_SLOT_LEN) == 0)
			break;
	pthread_mutex_unlock(&st->keys_lock);
	if (sl != NULL)
		return sl;
	sl = mem_zalloc(sizeof(*sl), "a slot", err);
	if (sl == NULL)
		return NULL;
	memcpy(sl->slot, slot, STORE_SLOT_LEN);
	if (slot_read(st, sl, err) != 0) {
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

bool store_slot_stands(const struct store_slot *sl, const char *session)
{
	if (!sl->ended)
		return true;
	for (size_t i = 0; i < sl->standing.n; i++)
		if (strcmp(sl->standing.v[i], session) == 0)
			return true;
	return false;
}

int store_slot_signed(struct store *st, const char *key, const void *obj,
    size_t len, enum fmt_kind kind, const uint8_t slot[STORE_SLOT_LEN],
    const char *session, struct store_epoch **ret_epoch, struct err *err)
{
	const struct store_slot *sl;
	uint8_t signer[FMT_SLOT_LEN];
	uint32_t epoch;
	int r;

	if (fmt_header_read(obj, len, kind, &epoch, err) != 0)
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
	if (!store_slot_stands(sl, session))
		return err_set(err, ERR_CORRUPT,
		    "its slot was removed, and it is not among what stands");
	if (!(sl->rights & (STORE_WRITE | STORE_ADMIN)))
		return err_set(err, ERR_CORRUPT, "its slot may not write");
	return fmt_signed_check(obj, len, st->info.repository, key,
	    sl->sign_pub, err);
}
