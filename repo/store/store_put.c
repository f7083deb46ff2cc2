/* Putting a blob: id, look up, compress, reserve, seal in place. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_bad_internal.h"
#include "repo/store/store_disk_internal.h"
#include "repo/store/store_session_internal.h"

/* --- what is present (R2) ------------------------------------------------------*/

/* What the session knows of a pack; under no lock. */
static int seen_get(struct store_session *s, uint32_t pack)
{
	int seen;

	pthread_mutex_lock(&s->lock);
	seen = pack < s->nseen ? s->seen[pack] : STORE_UNSEEN;
	pthread_mutex_unlock(&s->lock);
	return seen;
}

static int seen_set(struct store_session *s, uint32_t pack, uint8_t seen,
    struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (pack >= s->nseen) {
		uint32_t n = (pack + 1) * 2;
		uint8_t *v = realloc(s->seen, n);

		if (v == NULL) {
			r = err_nomem(err, "what is known of packs");
		} else {
			memset(v + s->nseen, STORE_UNSEEN, n - s->nseen);
			s->seen = v;
			s->nseen = n;
		}
	}
	if (r == 0)
		s->seen[pack] = seen;
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* Is this copy one to rely on?  0 yes, 1 no, -1. */
static int copy_counts(struct store_session *s, const uint8_t *id,
    const struct store_loc *loc, struct err *err)
{
	char key[FMT_KEY_MAX];
	struct backend_stat bs;
	struct store_packent e;
	int seen, r;

	if (!store_packtab_at(s->st->packs, loc->pack, &e))
		return err_set(err, ERR_BUG, "no pack has number %u",
		    loc->pack);
	if (store_dead_has(s->dead, e.name, loc->ordinal) ||
	    store_bad_copy(s->bad, id, e.name))
		return 1;
	seen = seen_get(s, loc->pack);
	if (seen == STORE_UNSEEN) {
		fmt_key_pack(key, e.name);
		r = backend_stat(s->st->be, key, &bs, err);
		if (r < 0)
			return -1;
		seen = r == 0 && bs.size == e.size ? STORE_SEEN : STORE_GONE;
		if (seen == STORE_GONE)
			log_msg(LOG_WARN, "%s: %s; what it held is stored "
			    "again", key, r > 0 ? "is missing" :
			    "has another size than the index says");
		if (seen_set(s, loc->pack, (uint8_t)seen, err) != 0)
			return -1;
	}
	return seen == STORE_SEEN ? 0 : 1;
}

/*
 * 0 when the index as it is known has a copy that counts, 1 when not, 2 when
 * not but part of it has been merged away, -1.
 */
static int index_has(struct store_session *s, const uint8_t *id,
    uint32_t *hint, struct err *err)
{
	struct store_lookup lk;
	struct store_loc loc;
	int r;

	store_lookup_begin(s->st, &lk, id, hint == NULL ? UINT32_MAX : *hint,
	    true);
	while ((r = store_lookup_next(s->st, &lk, &loc, err)) == 0) {
		r = copy_counts(s, id, &loc, err);
		if (r <= 0)
			break;
	}
	if (r == 0 && hint != NULL)
		*hint = lk.seg->number;
	if (r == 1 && lk.missed)
		r = 2;
	store_lookup_end(s->st, &lk);
	return r;
}

/*
 * 0 when the index has a copy that counts, 1 when not, -1.  A writer may do
 * with any part of the index, but after a merge it would do without all that
 * was merged: what is gone is listed once more (R1).
 */
static int index_present(struct store_session *s, const uint8_t *id,
    uint32_t *hint, struct err *err)
{
	int r = index_has(s, id, hint, err);

	if (r < 2)
		return r;
	if (store_index_refresh(s->st, STORE_FRESH_NS, err) != 0)
		return -1;
	r = index_has(s, id, hint, err);
	return r == 2 ? 1 : r;
}

/* The same, with what this session has put. */
static int present(struct store_session *s, const uint8_t *id, uint32_t *hint,
    struct err *err)
{
	bool own;
	int r;

	pthread_mutex_lock(&s->lock);
	r = store_session_failed(s, err);
	own = r == 0 && store_table_has(&s->table, s->packs, id);
	pthread_mutex_unlock(&s->lock);
	if (r != 0 || own)
		return r;
	return index_present(s, id, hint, err);
}

int store_present(struct store_session *s, const uint8_t id[STORE_ID_LEN],
    struct err *err)
{
	int r = present(s, id, NULL, err);

	return r < 0 ? store_session_fail(s, err) : r;
}

int store_carry(struct store_session *s, const uint8_t id[STORE_ID_LEN],
    struct err *err)
{
	return store_bad_blob(s->bad, id) ? store_present(s, id, err) : 0;
}

bool store_session_healing(const struct store_session *s)
{
	return store_bad_any(s->bad);
}

/* --- storing what is not ------------------------------------------------------------*/

/*
 * Get a place for the blob.  Return 0 with the pack and ordinal, 1 when
 * another thread has stored it meanwhile, -1.
 */
static int reserve(struct store_session *s, enum store_kind kind,
    const uint8_t *id, uint32_t len, uint32_t plain,
    struct store_pack **ret_pack, uint32_t *ret_ordinal,
    uint8_t **ret_dst, struct err *err)
{
	bool wait;
	int r;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		r = store_session_failed(s, err);
		if (r != 0)
			break;
		if (store_table_has(&s->table, s->packs, id)) {
			r = 1;
			break;
		}
		*ret_pack = store_pack_reserve(s, kind, id, len, plain,
		    ret_ordinal, &wait, err);
		if (*ret_pack != NULL)
			break;
		if (!wait) {
			r = -1;
			break;
		}
		/* A buffer comes back when a pack that is ready is stored. */
		if (s->ready != NULL)
			store_pack_drain(s);
		else
			pthread_cond_wait(&s->changed, &s->lock);
	}
	if (r == 0)
		*ret_dst = (*ret_pack)->buf->mem +
		    (*ret_pack)->ent[*ret_ordinal].offset;
	store_pack_drain(s);
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* What a blob is sealed from: prefix and payload. */
struct payload {
	const void *data;  /* raw: the caller's; else the worker's scratch */
	size_t len;        /* of the payload */
	enum zip_method method;
	const void *opened; /* both, as they were opened elsewhere; or NULL */
};

static int seal_opened(struct store_session *s, struct store_worker *w,
    enum store_kind kind, const uint8_t *id, const struct payload *pl,
    uint32_t ordinal, const uint8_t *key, uint8_t *dst, struct err *err)
{
	uint8_t nonce[FMT_BLOB_NONCE_LEN], ad[FMT_BLOB_AD_LEN];

	fmt_blob_nonce(nonce, ordinal, id);
	fmt_blob_ad(ad, s->st->info.family, (enum fmt_blob_kind)kind, id);
	return crypto_blob_seal(w->aead, key, nonce, ad, sizeof(ad),
	    pl->opened, pl->len + FMT_BLOB_PREFIX, dst, err);
}

static int seal(struct store_session *s, struct store_worker *w,
    enum store_kind kind, const uint8_t *id, const struct payload *pl,
    uint32_t plain_len, uint32_t ordinal, const uint8_t *key, uint8_t *dst,
    struct err *err)
{
	uint8_t nonce[FMT_BLOB_NONCE_LEN], ad[FMT_BLOB_AD_LEN];
	const uint8_t *src = w->scratch;

	if (pl->opened != NULL)
		return seal_opened(s, w, kind, id, pl, ordinal, key, dst, err);
	fmt_blob_nonce(nonce, ordinal, id);
	fmt_blob_ad(ad, s->st->info.family, (enum fmt_blob_kind)kind, id);
	if (pl->method == ZIP_RAW) {
		/* Nothing to copy from but the caller's: sealed in place. */
		fmt_blob_prefix(dst, pl->method, plain_len);
		if (pl->len > 0)
			memcpy(dst + FMT_BLOB_PREFIX, pl->data, pl->len);
		src = dst;
	} else {
		fmt_blob_prefix(w->scratch, pl->method, plain_len);
	}
	return crypto_blob_seal(w->aead, key, nonce, ad, sizeof(ad), src,
	    pl->len + FMT_BLOB_PREFIX, dst, err);
}

/* Seal and store it: 0, 1 when another thread was faster, -1. */
static int put_payload(struct store_session *s, struct store_worker *w,
    enum store_kind kind, const struct payload *pl, uint32_t len,
    struct store_put_result *ret, struct err *err)
{
	uint32_t ordinal, sealed = (uint32_t)pl->len + FMT_BLOB_EXTRA;
	struct store_pack *p;
	uint8_t *dst;
	int r;

	r = reserve(s, kind, ret->id, sealed, len, &p, &ordinal, &dst, err);
	if (r != 0)
		return r;
	r = seal(s, w, kind, ret->id, pl, len, ordinal, p->buf->key, dst, err);
	if (r != 0)
		store_session_fail(s, err); /* before the pack is finished */
	else if (kind != STORE_DATA) /* the next backup reads its state */
		store_disk_put(s->st->disk, p->key,
		    (uint64_t)(dst - p->buf->mem), dst, sealed);
	pthread_mutex_lock(&s->lock);
	store_pack_sealed(p);
	if (r == 0) {
		s->stats.blobs_new++;
		s->stats.bytes_packed += sealed;
	}
	store_pack_drain(s);
	pthread_mutex_unlock(&s->lock);
	ret->is_new = true;
	ret->stored_len = sealed;
	return r;
}

/* Pack and store it: 0, 1 when another thread was faster, -1. */
static int put_new(struct store_session *s, struct store_worker *w,
    enum store_kind kind, const void *data, size_t len, bool verify,
    struct store_put_result *ret, struct err *err)
{
	struct payload pl = { .data = data };

	if (zip_pack(w->zip, data, len, verify, w->scratch + FMT_BLOB_PREFIX,
	        &pl.method, &pl.len, err) != 0)
		return -1;
	return put_payload(s, w, kind, &pl, (uint32_t)len, ret, err);
}

void store_blob_id(const struct store_worker *w, enum store_kind kind,
    const void *data, size_t len, uint8_t ret_id[STORE_ID_LEN])
{
	crypto_id(w->idkey, (uint8_t)kind, data, len, ret_id);
}

/* Tell of a blob that was put, or was there. */
static int put_told(struct store_session *s, int r,
    const struct store_put_result *ret, struct err *err)
{
	if (r < 0)
		return store_session_fail(s, err);
	if (!ret->is_new) {
		pthread_mutex_lock(&s->lock);
		s->stats.blobs_known++;
		pthread_mutex_unlock(&s->lock);
	}
	return 0;
}

/* Put the blob whose id is in *ret. */
static int put_id(struct store_session *s, struct store_worker *w,
    enum store_kind kind, const void *data, size_t len, bool verify,
    struct store_put_result *ret, struct err *err)
{
	int r;

	if (len > w->max_plain) {
		err_set(err, ERR_BUG, "a blob of %zu bytes where %zu are the "
		    "most", len, w->max_plain);
		return store_session_fail(s, err);
	}
	r = present(s, ret->id, &w->hint, err);
	if (r == 1 && s->look) {
		ret->is_new = true;
		return 0;
	}
	if (r == 1)
		r = put_new(s, w, kind, data, len, verify, ret, err);
	return put_told(s, r < 0 ? -1 : 0, ret, err);
}

int store_put(struct store_session *s, struct store_worker *w,
    enum store_kind kind, const void *data, size_t len, bool verify,
    struct store_put_result *ret, struct err *err)
{
	*ret = (struct store_put_result){ .is_new = false };
	if (len <= w->max_plain)
		store_blob_id(w, kind, data, len, ret->id);
	return put_id(s, w, kind, data, len, verify, ret, err);
}

int store_put_as(struct store_session *s, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN], const void *data,
    size_t len, struct store_put_result *ret, struct err *err)
{
	*ret = (struct store_put_result){ .is_new = false };
	memcpy(ret->id, id, sizeof(ret->id));
	return put_id(s, w, kind, data, len, true, ret, err);
}

int store_put_opened(struct store_session *s, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN], const void *opened,
    size_t len, uint32_t plain_len, struct store_put_result *ret,
    struct err *err)
{
	struct payload pl = { .opened = opened, .len = len - FMT_BLOB_PREFIX };
	/* w may be another store's: its hint is none for this index. */
	int r = present(s, id, NULL, err);

	*ret = (struct store_put_result){ .is_new = false };
	memcpy(ret->id, id, sizeof(ret->id));
	if (r == 1 && s->look)
		ret->is_new = true;
	else if (r == 1)
		r = put_payload(s, w, kind, &pl, plain_len, ret, err);
	return put_told(s, r < 0 ? -1 : 0, ret, err);
}
