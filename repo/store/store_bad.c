/*
 * What was found damaged: the list in force, as sessions (R2, R3) and readers
 * ask it.  Of ids and packs the first 8 bytes are kept: where they meet by
 * chance, a blob is stored once more than needed.
 */

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_bad_internal.h"

struct bad_copy {
	uint64_t id, pack;
};

struct store_bad {
	atomic_uint shared;      /* who has it besides the first */
	struct bad_copy *copies; /* sorted */
	size_t ncopies;
	uint64_t *packs;         /* those of which no copy counts, sorted */
	size_t npacks;
	uint64_t *touched;       /* packs with any entry, sorted */
	size_t ntouched;
	bool more;
	struct buf snapshots;    /* as in the object */
	struct fmt_list list;    /* of them */
};

void store_bad_free(struct store_bad *b)
{
	if (b == NULL || atomic_fetch_sub(&b->shared, 1) > 0)
		return;
	free(b->copies);
	free(b->packs);
	free(b->touched);
	buf_release(&b->snapshots);
	free(b);
}

void store_bad_adopt(struct store *st, struct store_bad *b)
{
	pthread_mutex_lock(&st->ix.refreshing);
	if (st->bad == NULL) {
		atomic_fetch_add(&b->shared, 1);
		st->bad = b;
	}
	pthread_mutex_unlock(&st->ix.refreshing);
}

/* --- reading ----------------------------------------------------------------------*/

int store_bad_load(struct store *st, uint64_t *ret_n, uint8_t **ret_obj,
    struct fmt_bad *ret, struct err *err)
{
	struct store_keys keys = { 0 };
	int r = store_keys_list(st->be, "bad/", &keys, err);
	int found = 1;

	*ret_obj = NULL;
	*ret_n = 0;
	for (size_t i = keys.n; i > 0 && r == 0 && found != 0; i--) {
		const char *key = store_keys_at(&keys, i - 1);
		struct fmt_key at;
		size_t len;

		if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_BAD)
			continue;
		found = backend_get_all(st->be, key, STORE_LARGE_OBJECT,
		    ret_obj, &len, err);
		if (found == 0) {
			found = store_admin_signed(st, key, *ret_obj, len,
			    FMT_BAD, err);
			if (found == 0)
				found = fmt_bad_decode(*ret_obj, len, ret, err);
			if (found != 0) {
				free(*ret_obj);
				*ret_obj = NULL;
			}
		}
		if (found == 0)
			*ret_n = at.n;
		else if (found < 0 && err->class == ERR_CORRUPT)
			log_msg(LOG_WARN, "passed over: %s: %s", key, err->msg);
		else if (found < 0)
			r = err_wrap(err, "%s", key);
	}
	store_keys_release(&keys);
	return r < 0 ? -1 : found != 0;
}

static int copy_cmp(const void *pa, const void *pb)
{
	const struct bad_copy *a = pa, *b = pb;

	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return a->pack < b->pack ? -1 : a->pack > b->pack;
}

static int number_cmp(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

static int bad_fill(struct store_bad *b, const struct fmt_bad *f,
    struct err *err)
{
	struct fmt_list blobs = f->blobs;
	struct fmt_bad_entry e;

	b->copies = mem_array(blobs.n + 1, sizeof(*b->copies),
	    "a list of damaged blobs", err);
	b->packs = mem_array(blobs.n + 1, sizeof(*b->packs),
	    "a list of damaged blobs", err);
	b->touched = mem_array(blobs.n + 1, sizeof(*b->touched),
	    "a list of damaged blobs", err);
	if (b->copies == NULL || b->packs == NULL || b->touched == NULL)
		return -1;
	while (fmt_bad_next(&blobs, &e) == 0) {
		b->touched[b->ntouched++] = le64_get(e.pack);
		if (e.kind == FMT_BAD_PACK)
			b->packs[b->npacks++] = le64_get(e.pack);
		else
			b->copies[b->ncopies++] = (struct bad_copy){
				le64_get(e.id), le64_get(e.pack) };
	}
	qsort(b->copies, b->ncopies, sizeof(*b->copies), copy_cmp);
	qsort(b->packs, b->npacks, sizeof(*b->packs), number_cmp);
	qsort(b->touched, b->ntouched, sizeof(*b->touched), number_cmp);
	b->more = (f->flags & FMT_BAD_MORE) != 0;
	b->list = f->snapshots;
	buf_add(&b->snapshots, f->snapshots.p, f->snapshots.len);
	b->list.p = b->snapshots.p;
	return buf_check(&b->snapshots, "a list of damaged snapshots", err);
}

struct store_bad *store_bad_read(struct store *st, struct err *err)
{
	struct store_bad *b = mem_zalloc(sizeof(*b), "a list of damaged blobs",
	    err);
	uint8_t *obj = NULL;
	struct fmt_bad f;
	uint64_t n;
	int r = b == NULL ? -1 : store_bad_load(st, &n, &obj, &f, err);

	if (r == 0)
		r = bad_fill(b, &f, err);
	free(obj);
	if (r < 0) {
		store_bad_free(b);
		return NULL;
	}
	return b;
}

/* --- asking ------------------------------------------------------------------------*/

bool store_bad_more(const struct store_bad *b)
{
	return b != NULL && b->more;
}

bool store_bad_any(const struct store_bad *b)
{
	return b != NULL && (b->ncopies > 0 || b->npacks > 0 || b->more);
}

bool store_bad_pack(const struct store_bad *b,
    const uint8_t pack[FMT_PACK_NAME_LEN])
{
	uint64_t want = le64_get(pack);

	return b != NULL && b->npacks > 0 && bsearch(&want, b->packs,
	    b->npacks, sizeof(*b->packs), number_cmp) != NULL;
}

bool store_bad_touches(const struct store_bad *b,
    const uint8_t pack[FMT_PACK_NAME_LEN])
{
	uint64_t want = le64_get(pack);

	return b != NULL && b->ntouched > 0 && bsearch(&want, b->touched,
	    b->ntouched, sizeof(*b->touched), number_cmp) != NULL;
}

int store_bad_add_pack(struct store_bad *b,
    const uint8_t pack[FMT_PACK_NAME_LEN], struct err *err)
{
	uint64_t *v = realloc(b->packs, (b->npacks + 1) * sizeof(*v));

	if (v == NULL)
		return err_nomem(err, "a list of damaged packs");
	b->packs = v;
	v[b->npacks++] = le64_get(pack);
	qsort(v, b->npacks, sizeof(*v), number_cmp);
	return 0;
}

bool store_bad_copy(const struct store_bad *b, const uint8_t id[STORE_ID_LEN],
    const uint8_t pack[FMT_PACK_NAME_LEN])
{
	struct bad_copy want = { le64_get(id), le64_get(pack) };

	if (b == NULL)
		return false;
	return store_bad_pack(b, pack) || (b->ncopies > 0 &&
	    bsearch(&want, b->copies, b->ncopies, sizeof(*b->copies),
	        copy_cmp) != NULL);
}

bool store_bad_blob(const struct store_bad *b, const uint8_t id[STORE_ID_LEN])
{
	uint64_t want = le64_get(id);
	size_t lo = 0, hi = b == NULL ? 0 : b->ncopies;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->copies[mid].id == want)
			return true;
		if (b->copies[mid].id < want)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

bool store_bad_snapshot(const struct store_bad *b,
    const uint8_t slot[STORE_SLOT_LEN], const char *session)
{
	char name[FMT_SESSION_MAX];
	uint8_t of[FMT_SLOT_LEN];
	struct fmt_list l;

	if (b == NULL)
		return false;
	l = b->list;
	while (fmt_mark_next(&l, of, name) == 0)
		if (memcmp(of, slot, sizeof(of)) == 0 &&
		    strcmp(name, session) == 0)
			return true;
	return false;
}

/* --- for readers, and from outside --------------------------------------------------*/

static bool loc_bad(struct store *st, const struct store_bad *b,
    const uint8_t *id, uint32_t pack)
{
	struct store_packent e;

	return store_bad_any(b) && store_packtab_at(st->packs, pack, &e) &&
	    store_bad_copy(b, id, e.name);
}

bool store_bad_loc(struct store *st, const uint8_t id[STORE_ID_LEN],
    const struct store_loc *loc)
{
	return loc_bad(st, st->bad, id, loc->pack);
}

int store_bad_has(struct store *st, const uint8_t id[STORE_ID_LEN],
    uint32_t pack, bool *ret_bad, struct err *err)
{
	if (store_index_bad(st, err) != 0)
		return -1;
	*ret_bad = loc_bad(st, st->bad, id, pack);
	return 0;
}

int store_snapshot_damaged(struct store *st, const struct store_snapshot *sn,
    bool *ret, struct err *err)
{
	if (store_index_bad(st, err) != 0)
		return -1;
	*ret = store_bad_snapshot(st->bad, sn->slot, sn->session);
	return 0;
}
