/* Blobs from one repository into another's session. */

#include <stdio.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/store/store_copy.h"
#include "repo/store/store_session_internal.h"

/* Has `to` a credential of that domain?  1, 0, -1. */
static int domain_known(struct store *to, const char *domain, struct err *err)
{
	struct store_keys keys = { 0 };
	bool found = strcmp(domain, to->info.domain) == 0;
	int r = found ? 0 : store_keys_list(to->be, "keys/", &keys, err);

	for (size_t i = 0; i < keys.n && r == 0 && !found; i++) {
		const struct store_slot *sl;
		struct err why = ERR_INIT;
		struct fmt_key at;

		if (fmt_key_parse(store_keys_at(&keys, i), &at) != 0 ||
		    at.place != FMT_AT_CERT)
			continue;
		sl = store_slot_find(to, at.slot, &why);
		found = sl != NULL && strcmp(sl->domain, domain) == 0;
	}
	store_keys_release(&keys);
	return r < 0 ? -1 : found;
}

int store_copy_same(struct store *from, const struct store_snapshot *sn,
    struct store *to, struct err *err)
{
	const uint8_t *a = store_snapshot_order(from, sn, err), *b;
	struct store_family *f;
	int r;

	if (a == NULL)
		return -1;
	if (memcmp(from->info.family, to->info.family, 16) != 0)
		return 0;
	f = store_family_at(to, to->info.epoch);
	b = f == NULL ? NULL : store_order_of(to, f, sn->domain, err);
	if (b == NULL)
		return err_wrap(err, "%s: the snapshot is of deduplication domain "
		    "'%s'", to->be->name, sn->domain);
	/* K_ord comes from F and the domain, as K_id does. */
	if (memcmp(a, b, 32) != 0)
		return 0;
	/* Who checks ids there goes by the domains of credentials. */
	r = domain_known(to, sn->domain, err);
	if (r == 0)
		return err_set(err, ERR_AUTH, "%s has no credential of "
		    "deduplication domain '%s' (make one there: 'wherry key add "
		    "--domain')", to->be->name, sn->domain);
	return r;
}

bool store_copy_believed(const struct store *st,
    const struct store_snapshot *sn)
{
	return (sn->slot_rights & STORE_ADMIN) != 0 ||
	    memcmp(sn->slot, st->info.slot, STORE_SLOT_LEN) == 0;
}

void store_copy_origin(const struct store *from,
    const struct store_snapshot *sn, char dst[STORE_ORIGIN_MAX])
{
	char repository[33], slot[FMT_HEX_SLOT];

	if (sn->origin[0] != '\0' && store_copy_believed(from, sn)) {
		snprintf(dst, STORE_ORIGIN_MAX, "%s", sn->origin);
		return;
	}
	hex_encode(repository, from->info.repository, 16);
	hex_encode(slot, sn->slot, STORE_SLOT_LEN);
	snprintf(dst, STORE_ORIGIN_MAX, "%s/%s/%s", repository, slot,
	    sn->session);
}

int store_copy_blob(struct store_session *s, struct store *from,
    struct store_worker *w, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], const struct store_loc *loc,
    const void *sealed, void *plain, struct store_put_result *ret,
    struct err *err)
{
	if (store_blob_open(from, w, kind, id, loc, sealed, plain, err) != 0)
		return 1;
	/* Opening has left what is sealed, prefix and payload, in w. */
	return store_put_opened(s, w, kind, id, w->scratch,
	    loc->sealed_len - CRYPTO_TAG_LEN, loc->plain_len, ret, err);
}

int store_copy_plain(struct store_session *s, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN], const void *data,
    size_t len, struct store_put_result *ret, struct err *err)
{
	/* Where w found something last is a place in its own store's index. */
	uint32_t hint = w->hint;
	int r;

	w->hint = UINT32_MAX;
	r = store_put_as(s, w, kind, id, data, len, ret, err);
	w->hint = hint;
	return r;
}

bool store_copy_is(struct store_worker *w, enum store_kind kind,
    const void *data, size_t len, const uint8_t id[STORE_ID_LEN])
{
	return store_id_is(w, kind, data, len, id);
}

int store_copy_leave(struct store_session *s, struct err *err)
{
	return store_session_end(s, err);
}
