/* Reading blobs: where copies are, opening them, trying every one. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_bad_internal.h"
#include "repo/store/store_disk_internal.h"
#include "repo/store/store_internal.h"
#include "repo/store/store_parity_internal.h"

size_t store_worker_memory(enum zip_level level, size_t max_plain)
{
	/* The last is for store_get, and taken when it is first called. */
	return sizeof(struct store_worker) + zip_memory(level, max_plain) +
	    FMT_BLOB_EXTRA + zip_bound(max_plain) + FMT_BLOB_EXTRA + max_plain;
}

static struct crypto_idkey *domain_idkey(struct store *st,
    const struct store_family *f, const char *domain, struct err *err)
{
	struct fmt_domain_keys dk;
	struct crypto_idkey *k;

	if (!f->has_family) {
		if (store_need(st, STORE_ADMIN, "to work in another domain",
		        err) == 0)
			err_set(err, ERR_BUG, "no family secret");
		return NULL;
	}
	if (fmt_domain_derive(&dk, f->sec->family, fmt_str(domain), err) != 0)
		return NULL;
	k = crypto_idkey_new(dk.id, err);
	mem_wipe(&dk, sizeof(dk));
	return k;
}

static struct store_family *families_head(struct store *st)
{
	struct store_family *f;

	pthread_mutex_lock(&st->keys_lock);
	f = st->families;
	pthread_mutex_unlock(&st->keys_lock);
	return f;
}

/* The ids of another domain: those made by w, and of all family secrets. */
static int worker_domain(struct store_worker *w, const char *domain,
    struct err *err)
{
	const struct store_family *now = store_family_at(w->st,
	    w->st->info.epoch);
	struct store_family *all = families_head(w->st);
	size_t n = 0;

	w->own_idkey = domain_idkey(w->st, now, domain, err);
	if (w->own_idkey == NULL)
		return -1;
	w->idkey = w->own_idkey;
	for (struct store_family *f = all; f != NULL; f = f->next)
		n++;
	w->former = mem_array(n, sizeof(struct crypto_idkey *), "keys of ids",
	    err);
	if (w->former == NULL)
		return -1;
	for (struct store_family *f = all; f != NULL; f = f->next) {
		if (f == now)
			continue;
		w->former[w->nformer] = domain_idkey(w->st, f, domain, err);
		if (w->former[w->nformer] == NULL)
			return -1;
		w->nformer++;
	}
	return 0;
}

struct store_worker *store_worker_new(struct store *st, enum zip_level level,
    size_t max_plain, const char *domain, struct err *err)
{
	struct store_worker *w;

	if (max_plain > FMT_BLOB_MAX - FMT_BLOB_EXTRA) {
		err_set(err, ERR_USAGE, "a chunk of %zu bytes", max_plain);
		return NULL;
	}
	w = mem_zalloc(sizeof(*w), "a worker", err);
	if (w == NULL)
		return NULL;
	w->st = st;
	w->hint = UINT32_MAX;
	w->max_plain = max_plain;
	w->idkey = st->idkey;
	w->scratch_len = FMT_BLOB_EXTRA + zip_bound(max_plain);
	w->scratch = malloc(w->scratch_len);
	if (w->scratch == NULL) {
		err_nomem(err, "a worker");
		goto fail;
	}
	w->aead = crypto_aead_new(err);
	w->zip = w->aead == NULL ? NULL : zip_new(level, max_plain, err);
	if (w->zip == NULL)
		goto fail;
	if (domain != NULL && strcmp(domain, st->info.domain) == 0)
		domain = NULL;
	if (domain != NULL && worker_domain(w, domain, err) != 0)
		goto fail;
	return w;
fail:
	store_worker_free(w);
	return NULL;
}

void store_worker_free(struct store_worker *w)
{
	if (w == NULL)
		return;
	crypto_aead_free(w->aead);
	zip_free(w->zip);
	crypto_idkey_free(w->own_idkey);
	for (size_t i = 0; i < w->nformer; i++)
		crypto_idkey_free(w->former[i]);
	free(w->former);
	buf_release(&w->sealed);
	free(w->scratch);
	free(w);
}

/* --- where -------------------------------------------------------------------------*/

/*
 * A listing is no snapshot in time: look once more, and again as long as
 * segments that it showed have been merged away before they were read.
 */
#define RELIST_MAX 16
static int64_t relist_age(bool missed)
{
	return missed ? 0 : STORE_FRESH_NS;
}

/*
 * What a search found missing: a segment, or (age, in ns) a pack.  A pack that
 * was repacked and deleted after the last listing is found by a later one,
 * however young the last is.
 */
struct misses { bool segment; int64_t age; };

static int64_t misses_age(const struct misses *m)
{
	return m->segment || m->age > STORE_FRESH_NS ?
	    relist_age(m->segment) : m->age;
}

/*
 * The first copy in the index as it is known, of those that are not listed as
 * damaged if there is one: 0, 1, -1.
 */
static int locate_known(struct store *st, const uint8_t id[STORE_ID_LEN],
    struct store_loc *ret_loc, bool *ret_missed, struct err *err)
{
	struct store_lookup lk;
	struct store_loc loc;
	bool any = false;
	int r;

	store_lookup_begin(st, &lk, id, UINT32_MAX, false);
	while ((r = store_lookup_next(st, &lk, &loc, err)) == 0) {
		bool bad = store_bad_loc(st, id, &loc);

		if (!bad || !any)
			*ret_loc = loc;
		any = true;
		if (!bad)
			break;
	}
	*ret_missed = lk.missed;
	store_lookup_end(st, &lk);
	return r == 1 && any ? 0 : r;
}

/* No segment names the id; when one could not be read, that is told. */
static int locate_nowhere(struct store *st, struct err *err)
{
	int r = 1;

	pthread_mutex_lock(&st->ix.lock);
	if (st->ix.has_broken) {
		*err = st->ix.broken;
		r = -1;
	}
	pthread_mutex_unlock(&st->ix.lock);
	return r;
}

int store_locate(struct store *st, const uint8_t id[STORE_ID_LEN],
    struct store_loc *ret_loc, struct err *err)
{
	bool missed;
	int r;

	if (store_index_refresh(st, STORE_ANY_AGE, err) != 0)
		return -1;
	r = locate_known(st, id, ret_loc, &missed, err);
	for (int i = 0; r == 1 && (i == 0 || missed) && i < RELIST_MAX; i++) {
		if (store_index_refresh(st, relist_age(missed), err) != 0)
			return -1;
		r = locate_known(st, id, ret_loc, &missed, err);
	}
	return r == 1 ? locate_nowhere(st, err) : r;
}

void store_pack_name(struct store *st, uint32_t pack, char *dst, size_t cap)
{
	struct store_packent e;
	char key[FMT_KEY_MAX] = "pack ?";

	if (store_packtab_at(st->packs, pack, &e))
		fmt_key_pack(key, e.name);
	snprintf(dst, cap, "%s", key);
}

int store_pack_read(struct store *st, uint32_t pack, uint64_t off, void *dst,
    size_t len, struct err *err)
{
	char key[FMT_KEY_MAX];
	struct store_packent e;
	int r;

	if (!store_packtab_at(st->packs, pack, &e))
		return err_set(err, ERR_BUG, "no pack has number %u", pack);
	fmt_key_pack(key, e.name);
	r = backend_get(st->be, key, off, dst, len, err);
	if (r > 0)
		return err_set(err, ERR_NOTFOUND, "%s: does not exist "
		    "(the index names it)", key);
	return r;
}

/* --- opening --------------------------------------------------------------------------*/

/*
 * The record of a pack from its own head: what its segment said is known only
 * by its hash, for the segment has been merged away.
 */
static int record_from_head(struct store *st, const struct store_packent *e,
    struct fmt_pack_record *ret, uint8_t ret_key[FMT_SEALED_KEY_BOX],
    struct err *err)
{
	uint8_t head[FMT_PACK_HEAD_MAX], said[8];
	struct fmt_pack_head h;
	char key[FMT_KEY_MAX];
	int r;

	fmt_key_pack(key, e->name);
	r = backend_get(st->be, key, 0, head, sizeof(head), err);
	if (r > 0)
		return err_set(err, ERR_NOTFOUND, "%s: does not exist "
		    "(the index names it)", key);
	if (r < 0 || fmt_pack_head_decode(head, sizeof(head), &h, err) != 0 ||
	    h.sealed_len > FMT_SEALED_KEY_BOX)
		return err_wrap(err, "%s", key);
	memcpy(ret_key, h.sealed_key, h.sealed_len);
	*ret = (struct fmt_pack_record){
		.size = e->size, .epoch = h.epoch, .blob_kind = h.blob_kind,
		.key_method = h.key_method, .sealed_key = ret_key,
		.sealed_len = h.sealed_len,
	};
	memcpy(ret->name, e->name, sizeof(ret->name));
	memcpy(ret->slot, h.slot, sizeof(ret->slot));
	store_record_said(ret, said);
	if (memcmp(said, e->said, sizeof(said)) != 0)
		return err_set(err, ERR_CORRUPT,
		    "%s: begins otherwise than the index says", key);
	return 0;
}

/* The record that a pack's number stands for. */
static int packent_record(struct store *st, const struct store_packent *e,
    struct fmt_pack_record *ret, uint8_t ret_key[FMT_SEALED_KEY_BOX],
    struct err *err)
{
	struct store_segment *sg = store_index_at(st, e->segment);
	int r = -1;

	if (sg != NULL)
		r = store_segment_pack(st, sg, e->local, ret, ret_key, err);
	store_index_back(st, sg);
	if (sg == NULL || (r < 0 && err->class == ERR_NOTFOUND))
		return record_from_head(st, e, ret, ret_key, err);
	return r;
}

int store_pack_open_key(struct store *st, uint32_t pack,
    uint8_t ret_key[STORE_KEY_LEN], struct err *err)
{
	uint8_t sealed[FMT_SEALED_KEY_BOX];
	struct fmt_pack_record rec;
	struct fmt_pack_head head;
	const struct store_epoch *ep;
	struct store_packent e;
	char key[FMT_KEY_MAX];

	if (store_packtab_key(st->packs, pack, ret_key))
		return 0;
	if (!store_packtab_at(st->packs, pack, &e))
		return err_set(err, ERR_BUG, "no pack has number %u", pack);
	if (packent_record(st, &e, &rec, sealed, err) != 0)
		return -1;
	fmt_key_pack(key, rec.name);
	ep = store_epoch_find(st, rec.epoch, err);
	if (ep == NULL)
		return err_wrap(err, "%s", key);
	head = (struct fmt_pack_head){
		.epoch = rec.epoch,
		.blob_kind = rec.blob_kind,
		.key_method = rec.key_method,
		.sealed_key = rec.sealed_key,
		.sealed_len = rec.sealed_len,
	};
	if (rec.key_method == FMT_KEY_BOX && !ep->sec->has_content)
		return store_need(st, STORE_READ, "to open this blob", err);
	if (fmt_pack_key_open(key, &head, ep->sec->has_content ?
	        ep->sec->content : NULL, ep->sec->k.pack, ret_key, err) != 0)
		return err_wrap(err, "%s", key);
	store_packtab_set_key(st->packs, pack, ret_key);
	return 0;
}

/* Room for a blob that is longer than what the worker was made for. */
static int worker_scratch(struct store_worker *w, uint32_t len,
    struct err *err)
{
	uint8_t *p;

	if (len <= w->scratch_len)
		return 0;
	if (len > FMT_BLOB_MAX)
		return err_set(err, ERR_CORRUPT,
		    "is longer (%u bytes) than a blob can be", len);
	p = realloc(w->scratch, len);
	if (p == NULL)
		return err_nomem(err, "a blob");
	w->scratch = p;
	w->scratch_len = len;
	return 0;
}

static bool id_is(const struct crypto_idkey *k, enum store_kind kind,
    const void *data, size_t len, const uint8_t id[STORE_ID_LEN])
{
	uint8_t real[STORE_ID_LEN];

	crypto_id(k, (uint8_t)kind, data, len, real);
	return memcmp(real, id, sizeof(real)) == 0;
}

/*
 * Is id that of the bytes?  By which family secret is not written at a blob;
 * the one that was right last is asked first.
 */
static int id_check(struct store_worker *w, enum store_kind kind,
    const void *data, size_t len, const uint8_t id[STORE_ID_LEN],
    struct err *err)
{
	const struct crypto_idkey *right = NULL;

	if (id_is(w->checked_by != NULL ? w->checked_by : w->idkey, kind, data,
	        len, id))
		return 0;
	if (id_is(w->idkey, kind, data, len, id))
		right = w->idkey;
	for (size_t i = 0; i < w->nformer && right == NULL; i++)
		if (id_is(w->former[i], kind, data, len, id))
			right = w->former[i];
	if (w->own_idkey == NULL)
		for (struct store_family *f = families_head(w->st);
		    f != NULL && right == NULL; f = f->next)
			if (f->idkey != w->idkey &&
			    id_is(f->idkey, kind, data, len, id))
				right = f->idkey;
	if (right == NULL)
		return err_set(err, ERR_CORRUPT,
		    "holds other content than its id says");
	w->checked_by = right;
	return 0;
}

bool store_id_is(struct store_worker *w, enum store_kind kind,
    const void *data, size_t len, const uint8_t id[STORE_ID_LEN])
{
	struct err ignored = ERR_INIT;

	return w->idkey != NULL &&
	    id_check(w, kind, data, len, id, &ignored) == 0;
}

int store_blob_open_with(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN], uint32_t ordinal,
    const uint8_t key[STORE_KEY_LEN], const void *sealed, uint32_t sealed_len,
    void *dst, uint32_t plain_len, struct err *err)
{
	uint8_t nonce[FMT_BLOB_NONCE_LEN], ad[FMT_BLOB_AD_LEN];
	unsigned method;
	size_t len;

	if (sealed_len < FMT_BLOB_EXTRA)
		return err_set(err, ERR_CORRUPT, "is too short for a blob");
	if (worker_scratch(w, sealed_len, err) != 0)
		return -1;
	len = sealed_len - CRYPTO_TAG_LEN;
	fmt_blob_nonce(nonce, ordinal, id);
	fmt_blob_ad(ad, st->info.family, (enum fmt_blob_kind)kind, id);
	if (crypto_blob_open(w->aead, key, nonce, ad, sizeof(ad), sealed,
	        sealed_len, w->scratch, err) != 0 ||
	    fmt_blob_prefix_read(w->scratch, len, plain_len, &method,
	        err) != 0 ||
	    zip_unpack(w->zip, method, w->scratch + FMT_BLOB_PREFIX,
	        len - FMT_BLOB_PREFIX, dst, plain_len, err) != 0)
		return -1;
	if (w->idkey == NULL)
		return 0; /* of a domain whose ids cannot be made here */
	return id_check(w, kind, dst, plain_len, id, err);
}

int store_blob_open(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN],
    const struct store_loc *loc, const void *sealed, void *dst,
    struct err *err)
{
	char pack[FMT_KEY_MAX], hex[2 * STORE_ID_LEN + 1];
	uint8_t key[STORE_KEY_LEN];
	int r = store_pack_open_key(st, loc->pack, key, err);

	if (r != 0)
		return -1;
	r = store_blob_open_with(st, w, kind, id, loc->ordinal, key, sealed,
	    loc->sealed_len, dst, loc->plain_len, err);
	mem_wipe(key, sizeof(key));
	if (r == 0)
		return 0;
	store_pack_name(st, loc->pack, pack, sizeof(pack));
	hex_encode(hex, id, STORE_ID_LEN);
	return err_wrap(err, "%s: blob %.16s", pack, hex);
}

/* Read the sealed bytes from the store and open them. */
static int copy_read(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN],
    const struct store_loc *loc, void *dst, struct err *err)
{
	if (store_pack_read(st, loc->pack, loc->offset, w->sealed.p,
	        loc->sealed_len, err) != 0)
		return -1;
	return store_blob_open(st, w, kind, id, loc, w->sealed.p, dst, err);
}

/* The same of a page: by the local cache, while what that has is right. */
static int copy_read_kept(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN],
    const struct store_loc *loc, void *dst, struct err *err)
{
	char key[FMT_KEY_MAX];

	store_pack_name(st, loc->pack, key, sizeof(key));
	if (store_disk_get(st->disk, key, loc->offset, w->sealed.p,
	        loc->sealed_len)) {
		if (store_blob_open(st, w, kind, id, loc, w->sealed.p, dst,
		        err) == 0)
			return 0;
		if (err->class != ERR_CORRUPT)
			return -1;
		store_disk_drop(st->disk, key, loc->offset, loc->sealed_len);
		err_clear(err);
	}
	if (copy_read(st, w, kind, id, loc, dst, err) != 0)
		return -1;
	store_disk_put(st->disk, key, loc->offset, w->sealed.p,
	    loc->sealed_len);
	return 0;
}

int store_get_copy(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN],
    const struct store_loc *loc, struct buf *ret_data, struct err *err)
{
	if (loc->sealed_len == 0)
		return err_set(err, ERR_CORRUPT, "a blob of no bytes");
	buf_reset(&w->sealed);
	buf_reset(ret_data);
	if (buf_reserve(&w->sealed, loc->sealed_len) != 0 ||
	    buf_reserve(ret_data, loc->plain_len) != 0)
		return err_nomem(err, "a blob");
	/*
	 * What is listed as damaged is read from the store itself: that this
	 * machine still has it must not keep a backup from healing it.
	 */
	if ((st->disk == NULL || kind == STORE_DATA ||
	     store_bad_loc(st, id, loc) ?
	        copy_read(st, w, kind, id, loc, ret_data->p, err) :
	        copy_read_kept(st, w, kind, id, loc, ret_data->p, err)) != 0)
		return -1;
	ret_data->len = loc->plain_len;
	return 0;
}

/* Does the failure tell of this copy alone, so that another is tried? */
static bool copy_failed(const struct err *err)
{
	return err->class == ERR_CORRUPT || err->class == ERR_NOTFOUND ||
	    (err->class == ERR_IO && err->errnum == EIO);
}

/*
 * Try the copies that the index knows, those listed as damaged (or the others
 * only): 0, 1 when none was good (the first failure is in first), -1.
 */
static int get_copies(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN], bool listed,
    struct buf *ret_data, struct err *first, struct misses *missed,
    struct err *err)
{
	struct store_lookup lk;
	struct store_loc loc;
	int r;

	store_lookup_begin(st, &lk, id, w->hint, false);
	while ((r = store_lookup_next(st, &lk, &loc, err)) == 0) {
		if (store_bad_loc(st, id, &loc) != listed)
			continue;
		r = store_get_copy(st, w, kind, id, &loc, ret_data, err);
		if (r == 0) {
			w->hint = lk.seg->number;
			if (first->class != ERR_NONE)
				log_msg(LOG_WARN, "a copy cannot be used, and "
				    "another was taken: %s", first->msg);
			break;
		}
		if (!copy_failed(err))
			break;
		/* Without another the failure itself is told. */
		log_msg(LOG_INFO, "a copy cannot be used: %s", err->msg);
		if (err->class == ERR_NOTFOUND) {
			int64_t age = store_packtab_missed(st->packs, loc.pack);

			missed->age = age < missed->age ? age : missed->age;
		}
		if (first->class == ERR_NONE)
			*first = *err;
	}
	missed->segment |= lk.missed;
	store_lookup_end(st, &lk);
	return r;
}

/* Try every copy that the index knows: 0, 1 when there is none, -1. */
static int get_known(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN],
    struct buf *ret_data, struct misses *ret_missed, struct err *err)
{
	struct err first = ERR_INIT;
	int r;

	*ret_missed = (struct misses){ .age = STORE_FRESH_NS };
	r = get_copies(st, w, kind, id, false, ret_data, &first, ret_missed,
	    err);

	/* What was found damaged before is tried last. */
	if (r == 1 && store_bad_any(st->bad))
		r = get_copies(st, w, kind, id, true, ret_data, &first,
		    ret_missed, err);
	if (r == 1 && first.class != ERR_NONE) {
		*err = first;
		return -1;
	}
	return r;
}

/* Try every copy, with the index listed once more. */
static int get_copy_of(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN],
    struct buf *ret_data, struct err *err)
{
	struct misses missed;
	int r;

	if (store_index_refresh(st, STORE_ANY_AGE, err) != 0)
		return -1;
	r = get_known(st, w, kind, id, ret_data, &missed, err);
	/* It may have been moved since the index was listed. */
	for (int i = 0; (i == 0 || missed.segment) && i < RELIST_MAX; i++) {
		if (r == 0 || (r < 0 && !copy_failed(err)))
			return r;
		if (store_index_refresh(st, misses_age(&missed), err) != 0)
			return -1;
		r = get_known(st, w, kind, id, ret_data, &missed, err);
	}
	return r == 1 ? locate_nowhere(st, err) : r;
}

int store_get(struct store *st, struct store_worker *w, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], struct buf *ret_data, struct err *err)
{
	struct err why = ERR_INIT;
	int r = get_copy_of(st, w, kind, id, ret_data, err);

	if (r >= 0 || !copy_failed(err) || st->info.parity_shards == 0)
		return r;
	return store_heal_get(st, w, kind, id, ret_data, &why) == 0 ? 0 : -1;
}
