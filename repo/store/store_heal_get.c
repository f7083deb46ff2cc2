/* A blob of which no copy is whole, read by the parity of their packs. */

#include <string.h>

#include "repo/base/log.h"
#include "repo/store/store_check_internal.h"
#include "repo/store/store_parity_internal.h"

/*
 * Under lock: have the parity of that pack in st->heal: 0, 1 when it has none
 * that can be used, -1.
 */
static int heal_of(struct store *st, const struct store_packent *at,
    struct err *err)
{
	char key[FMT_KEY_MAX];
	int r;

	if (st->heal != NULL && memcmp(store_heal_name(st->heal), at->name,
	        sizeof(at->name)) == 0)
		return 0;
	store_heal_close(st->heal);
	r = store_heal_open(st, at->name, &st->heal, err);
	fmt_key_pack(key, at->name);
	if (r == 0)
		log_msg(LOG_WARN, "%s: is damaged; what can be put back by its "
		    "parity is ('wherry repair' does so for good)", key);
	return r;
}

/* Under lock: the copy at loc: 0, 1 when it cannot be had, -1. */
static int heal_copy(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t *id, const struct store_loc *loc,
    struct buf *ret_data, struct err *err)
{
	struct store_packent at;
	int r;

	if (loc->sealed_len == 0 || !store_packtab_at(st->packs, loc->pack, &at))
		return 1;
	r = heal_of(st, &at, err);
	if (r != 0)
		return r > 0 || store_check_is_damage(err) ? 1 : -1;
	buf_reset(&w->sealed);
	buf_reset(ret_data);
	if (buf_reserve(&w->sealed, loc->sealed_len) != 0 ||
	    buf_reserve(ret_data, loc->plain_len) != 0)
		return err_nomem(err, "a blob");
	if (store_heal_read(st->heal, loc->offset, w->sealed.p,
	        loc->sealed_len, err) != 0 ||
	    store_blob_open(st, w, kind, id, loc, w->sealed.p, ret_data->p,
	        err) != 0)
		return store_check_is_damage(err) ? 1 : -1;
	ret_data->len = loc->plain_len;
	return 0;
}

int store_heal_get(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN],
    struct buf *ret_data, struct err *err)
{
	struct store_lookup lk;
	struct store_loc loc;
	int r = 1, x;

	/* One at a time: so what it takes of memory is bounded. */
	pthread_mutex_lock(&st->heal_lock);
	store_lookup_begin(st, &lk, id, UINT32_MAX, false);
	while (r == 1 && (x = store_lookup_next(st, &lk, &loc, err)) == 0)
		r = heal_copy(st, w, kind, id, &loc, ret_data, err);
	store_lookup_end(st, &lk);
	pthread_mutex_unlock(&st->heal_lock);
	return r;
}
