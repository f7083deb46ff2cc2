/* The index: which segments there are, and looking an id up in all of them. */

#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_ahead.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_bad_internal.h"
#include "repo/store/store_internal.h"

/* A segment that is listed and not there every time is somebody's mistake. */
#define REFRESH_MAX 8
#define AHEAD 16u /* segments that are fetched while one is opened */

int store_index_init(struct store *st, size_t budget, struct err *err)
{
	struct store_index *ix = &st->ix;

	pthread_mutex_init(&ix->lock, NULL);
	pthread_mutex_init(&ix->refreshing, NULL);
	ix->budget = budget;
	ix->list = mem_zalloc(sizeof(*ix->list), "the index", err);
	if (ix->list == NULL)
		return -1;
	ix->list->refs = 1;
	return 0;
}

void store_index_release(struct store *st)
{
	struct store_index *ix = &st->ix;

	for (uint32_t i = 0; i < ix->nall; i++)
		store_segment_close(ix->all[i]);
	free(ix->all);
	for (size_t i = 0; i < ix->nignored; i++)
		free(ix->ignored[i]);
	free(ix->ignored);
	for (size_t i = 0; i < sizeof(ix->aeads) / sizeof(ix->aeads[0]); i++)
		crypto_aead_free(ix->aeads[i]);
	free(ix->list);
	if (ix->budget != 0) {
		pthread_mutex_destroy(&ix->lock);
		pthread_mutex_destroy(&ix->refreshing);
	}
}

void store_index_stale(struct store *st)
{
	__atomic_store_n(&st->ix.root_ns, clock_mono_ns(), __ATOMIC_RELAXED);
}

struct crypto_aead *store_aead_take(struct store *st, struct err *err)
{
	struct store_index *ix = &st->ix;
	struct crypto_aead *a = NULL;

	pthread_mutex_lock(&ix->lock);
	for (size_t i = 0; i < sizeof(ix->aeads) / sizeof(ix->aeads[0]) &&
	    a == NULL; i++) {
		a = ix->aeads[i];
		ix->aeads[i] = NULL;
	}
	pthread_mutex_unlock(&ix->lock);
	return a != NULL ? a : crypto_aead_new(err);
}

void store_aead_give(struct store *st, struct crypto_aead *a)
{
	struct store_index *ix = &st->ix;

	pthread_mutex_lock(&ix->lock);
	for (size_t i = 0; i < sizeof(ix->aeads) / sizeof(ix->aeads[0]) &&
	    a != NULL; i++) {
		if (ix->aeads[i] == NULL) {
			ix->aeads[i] = a;
			a = NULL;
		}
	}
	pthread_mutex_unlock(&ix->lock);
	crypto_aead_free(a);
}

void store_index_broken(struct store *st, const struct err *why)
{
	log_msg(LOG_WARN, "a part of the index is passed over: %s", why->msg);
	pthread_mutex_lock(&st->ix.lock);
	if (!st->ix.has_broken)
		st->ix.broken = *why;
	st->ix.has_broken = true;
	pthread_mutex_unlock(&st->ix.lock);
}

struct store_seglist *store_index_ref(struct store *st)
{
	struct store_seglist *l;

	pthread_mutex_lock(&st->ix.lock);
	l = st->ix.list;
	l->refs++;
	pthread_mutex_unlock(&st->ix.lock);
	return l;
}

/* Under lock: one user less; the last one frees all but the key. */
static void segment_drop(struct store_index *ix, struct store_segment *sg)
{
	if (--sg->refs > 0)
		return;
	ix->used -= sg->used;
	sg->used = 0;
	store_segment_shed(sg);
}

void store_index_unref(struct store *st, struct store_seglist *l)
{
	pthread_mutex_lock(&st->ix.lock);
	if (--l->refs == 0) {
		for (size_t i = 0; i < l->n; i++)
			segment_drop(&st->ix, l->v[i]);
		free(l);
	}
	pthread_mutex_unlock(&st->ix.lock);
}

struct store_segment *store_index_at(struct store *st, uint32_t number)
{
	struct store_segment *sg;

	pthread_mutex_lock(&st->ix.lock);
	sg = number < st->ix.nall ? st->ix.all[number] : NULL;
	if (sg != NULL && sg->refs == 0)
		sg = NULL;
	if (sg != NULL)
		sg->refs++;
	pthread_mutex_unlock(&st->ix.lock);
	return sg;
}

void store_index_back(struct store *st, struct store_segment *sg)
{
	if (sg == NULL)
		return;
	pthread_mutex_lock(&st->ix.lock);
	segment_drop(&st->ix, sg);
	pthread_mutex_unlock(&st->ix.lock);
}

/* --- which segments there are ------------------------------------------------------*/

/* Newest first; merged ones (order 0) last, those of higher number before. */
static int segment_cmp(const struct store_segment *a,
    const struct store_segment *b)
{
	if (a->order != b->order)
		return a->order < b->order ? 1 : -1;
	return -strcmp(a->key, b->key);
}

/* Take a segment over and make a new list with it in its place. */
static int index_add(struct store *st, struct store_segment *sg,
    struct err *err)
{
	struct store_index *ix = &st->ix;
	struct store_seglist *l = NULL, *old;
	size_t at;
	int r = -1;

	pthread_mutex_lock(&ix->lock);
	old = ix->list;
	if (ix->nall == ix->capall) {
		uint32_t cap = ix->capall == 0 ? 16 : ix->capall * 2;
		struct store_segment **v = realloc(ix->all, cap * sizeof(*v));

		if (v == NULL)
			goto out;
		ix->all = v;
		ix->capall = cap;
	}
	l = malloc(sizeof(*l) + (old->n + 1) * sizeof(l->v[0]));
	if (l == NULL)
		goto out;
	sg->number = ix->nall;
	ix->all[ix->nall++] = sg;
	ix->used += sg->used;
	l->refs = 1;
	l->n = old->n + 1;
	for (at = 0; at < old->n && segment_cmp(old->v[at], sg) < 0; at++)
		l->v[at] = old->v[at];
	l->v[at] = sg;
	memcpy(l->v + at + 1, old->v + at, (old->n - at) * sizeof(l->v[0]));
	for (size_t i = 0; i < l->n; i++)
		l->v[i]->refs++;
	ix->list = l;
	r = 0;
out:
	pthread_mutex_unlock(&ix->lock);
	if (r == 0) {
		store_index_unref(st, old);
		return 0;
	}
	store_segment_close(sg);
	return err_nomem(err, "the index");
}

static int index_ignore(struct store *st, const char *key, struct err *err)
{
	struct store_index *ix = &st->ix;
	char **v = realloc(ix->ignored, (ix->nignored + 1) * sizeof(*v));

	if (v == NULL)
		return err_nomem(err, "the index");
	ix->ignored = v;
	v[ix->nignored] = mem_strdup(key, err);
	if (v[ix->nignored] == NULL)
		return -1;
	ix->nignored++;
	return 0;
}

/*
 * Make a new list without what was gone, and what m (when it is given) says
 * others stand for.
 */
static int index_retire(struct store *st, const struct store_manifest *m,
    struct err *err)
{
	struct store_index *ix = &st->ix;
	struct store_seglist *l, *old;

	pthread_mutex_lock(&ix->lock);
	old = ix->list;
	l = malloc(sizeof(*l) + (old->n + 1) * sizeof(l->v[0]));
	if (l == NULL) {
		pthread_mutex_unlock(&ix->lock);
		return err_nomem(err, "the index");
	}
	l->refs = 1;
	l->n = 0;
	for (size_t i = 0; i < old->n; i++) {
		struct store_segment *sg = old->v[i];

		if (__atomic_load_n(&sg->gone, __ATOMIC_RELAXED) ||
		    !store_manifest_counts(m, sg->key))
			continue;
		sg->refs++;
		l->v[l->n++] = sg;
	}
	ix->list = l;
	pthread_mutex_unlock(&ix->lock);
	store_index_unref(st, old);
	return 0;
}

/*
 * Open one by its key and its size (0: unknown): 0, 1 when it was not there
 * any more, -1.
 */
static int index_open(struct store *st, const char *key, uint64_t size,
    struct err *err)
{
	struct store_index *ix = &st->ix;
	struct store_segment *sg = NULL;
	size_t room;
	int r;

	pthread_mutex_lock(&ix->lock);
	room = ix->used < ix->budget ? ix->budget - ix->used : 0;
	pthread_mutex_unlock(&ix->lock);
	r = store_segment_open(st, key, size, room, &sg, err);
	if (r == 0) {
		r = index_add(st, sg, err);
		if (r == 0)
			store_segment_warm(st, sg);
		return r;
	}
	if (r < 0 && err->class == ERR_NOTFOUND)
		return 1;
	/* A newer one, too: any part of the index may be left out. */
	if (r < 0 && (err->class == ERR_CORRUPT ||
	        err->class == ERR_UNSUPPORTED)) {
		store_index_broken(st, err);
		r = 2;
	}
	return r == 2 ? index_ignore(st, key, err) : r;
}

int store_index_open_own(struct store *st, const char *key, struct err *err)
{
	int r;

	pthread_mutex_lock(&st->ix.refreshing);
	r = index_open(st, key, 0, err);
	pthread_mutex_unlock(&st->ix.refreshing);
	return r < 0 ? -1 : 0;
}

static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys that need not be opened (again), sorted; NULL with err. */
static const char **known_keys(const struct store_index *ix, size_t *ret_n,
    struct err *err)
{
	size_t n = 0;
	const char **v = mem_array(ix->list->n + ix->nignored + 1, sizeof(*v),
	    "the index", err);

	if (v == NULL)
		return NULL;
	/* What was dropped is opened anew when it is there again. */
	for (size_t i = 0; i < ix->list->n; i++)
		v[n++] = ix->list->v[i]->key;
	for (size_t i = 0; i < ix->nignored; i++)
		v[n++] = ix->ignored[i];
	qsort(v, n, sizeof(*v), text_cmp);
	*ret_n = n;
	return v;
}

/* What is to be opened, with its age, to open the newest first. */
struct found {
	const char *key;
	uint64_t order, size;
};

static int found_cmp(const void *pa, const void *pb)
{
	const struct found *a = pa, *b = pb;

	if (a->order != b->order)
		return a->order < b->order ? 1 : -1;
	return -strcmp(a->key, b->key);
}

/* Pick the keys of a listing that are to be opened, newest first. */
static int pick_new(struct store *st, const struct store_keys *keys,
    const struct store_manifest *m, struct found *ret, size_t *ret_n,
    struct err *err)
{
	size_t n = 0, nknown = 0;
	const char **known = known_keys(&st->ix, &nknown, err);

	if (known == NULL)
		return -1;
	for (size_t i = 0; i < keys->n; i++) {
		const char *key = store_keys_at(keys, i);
		struct fmt_session_name name;
		struct fmt_key at;
		uint64_t order = 0;

		if (!store_manifest_counts(m, key) ||
		    fmt_key_parse(key, &at) != 0)
			continue;
		if (at.place == FMT_AT_SEGMENT &&
		    fmt_session_parse(at.session, &name) == 0)
			order = name.start_ms << 16 | (at.n & 0xffff);
		if (bsearch(&key, known, nknown, sizeof(*known),
		        text_cmp) == NULL)
			ret[n++] = (struct found){ key, order,
				keys->v[i].size };
	}
	free(known);
	qsort(ret, n, sizeof(*ret), found_cmp);
	*ret_n = n;
	return 0;
}

/* The i-th is opened now, then the next ones. */
static void found_ahead(struct store *st, const struct found *v, size_t i,
    size_t n)
{
	for (size_t j = i == 0 ? 0 : i + AHEAD - 1; j < n && j < i + AHEAD; j++)
		store_ahead_segment(st, v[j].key, v[j].size);
}

/*
 * List once, drop what does not count any more and open what is new: 0, 1
 * when something had gone, -1.
 */
static int refresh_once(struct store *st, struct store_keys *early,
    struct err *err)
{
	struct store_keys keys = *early;
	struct store_manifest m = { 0 };
	struct found *found = NULL;
	bool gone = false;
	size_t n = 0;
	int r;

	*early = (struct store_keys){ 0 };
	r = store_manifest_list(st, &keys, &m, err);

	if (r == 0)
		r = index_retire(st, &m, err);
	if (r == 0) {
		found = mem_array(keys.n + 1, sizeof(*found), "the index", err);
		r = found == NULL ? -1 : 0;
	}
	if (r == 0)
		r = pick_new(st, &keys, &m, found, &n, err);
	for (size_t i = 0; i < n && r >= 0; i++) {
		found_ahead(st, found, i, n);
		r = index_open(st, found[i].key, found[i].size, err);
		gone |= r > 0;
	}
	free(found);
	store_manifest_release(&m);
	store_keys_release(&keys);
	return r < 0 ? -1 : gone;
}

int store_index_bad(struct store *st, struct err *err)
{
	int r;

	pthread_mutex_lock(&st->ix.refreshing);
	if (st->bad == NULL)
		st->bad = store_bad_read(st, err);
	r = st->bad == NULL ? -1 : 0;
	pthread_mutex_unlock(&st->ix.refreshing);
	return r;
}

int store_index_refresh(struct store *st, int64_t fresh_ns, struct err *err)
{
	struct store_index *ix = &st->ix;
	int64_t asked = clock_mono_ns();
	bool stale;
	int r = 0;

	pthread_mutex_lock(&ix->refreshing);
	stale = !ix->listed || (fresh_ns != STORE_ANY_AGE &&
	    (ix->listed_ns < asked - fresh_ns || ix->listed_ns <=
	        __atomic_load_n(&ix->root_ns, __ATOMIC_RELAXED)));
	if (stale) {
		int64_t begun = store_ahead_index_asked(st);
		struct store_keys early = { 0 };

		/* Who wants it as new as it can be does not take an older one. */
		if (fresh_ns == STORE_ANY_AGE)
			store_early_take(st, true, &early, &begun);
		if (st->bad == NULL && early.n == 0 && fresh_ns ==
		    STORE_ANY_AGE)
			backend_ahead_list(st->be, "index/");
		if (st->bad == NULL)
			st->bad = store_bad_read(st, err);
		if (st->bad == NULL) {
			store_keys_release(&early);
			pthread_mutex_unlock(&ix->refreshing);
			return -1;
		}
		/* What had gone has been merged: list once more. */
		r = 1;
		for (int i = 0; i < REFRESH_MAX && r > 0; i++)
			r = refresh_once(st, &early, err);
		if (r >= 0) {
			ix->listed = true;
			ix->listed_ns = begun;
		}
	}
	pthread_mutex_unlock(&ix->refreshing);
	return r < 0 ? -1 : 0;
}

/* --- looking up ------------------------------------------------------------------------*/

void store_lookup_begin(struct store *st, struct store_lookup *lk,
    const uint8_t id[STORE_ID_LEN], uint32_t hint, bool writer)
{
	*lk = (struct store_lookup){ .writer = writer };
	memcpy(lk->id, id, STORE_ID_LEN);
	if (hint != UINT32_MAX)
		lk->first = store_index_at(st, hint);
	lk->list = store_index_ref(st);
}

void store_lookup_end(struct store *st, struct store_lookup *lk)
{
	store_index_back(st, lk->first);
	store_index_unref(st, lk->list);
}

/* The next segment to look at, or NULL. */
static struct store_segment *lookup_segment(struct store *st,
    struct store_lookup *lk)
{
	if (lk->next == 0 && lk->first != NULL && lk->seg == NULL)
		return lk->first;
	while (lk->next < lk->list->n) {
		struct store_segment *sg = lk->list->v[lk->next++];

		if (sg == lk->first)
			continue;
		if (__atomic_load_n(&sg->gone, __ATOMIC_RELAXED)) {
			lk->missed = true;
			continue;
		}
		/*
		 * A writer may leave out any of it.  Without a filter in
		 * memory each unknown id costs a read, which is cheap only
		 * where ranges are.
		 */
		if (lk->writer && sg->filters == NULL && !st->cheap_ranges)
			continue;
		return sg;
	}
	return NULL;
}

/* The next copy in the segment at hand: 0, 1, -1. */
static int lookup_here(struct store *st, struct store_lookup *lk,
    struct store_loc *ret, struct err *err)
{
	struct fmt_index_entry e;
	int r = store_segment_next(st, lk->seg, lk->id, &lk->lo, lk->hi, &e,
	    err);

	if (r != 0)
		return r;
	ret->ordinal = e.ordinal;
	ret->offset = e.offset;
	ret->sealed_len = e.sealed_len;
	ret->plain_len = e.plain_len;
	return store_segment_number(st, lk->seg, e.pack, &ret->pack, err);
}

int store_lookup_next(struct store *st, struct store_lookup *lk,
    struct store_loc *ret, struct err *err)
{
	for (;;) {
		int r = 1;

		if (lk->seg != NULL)
			r = lookup_here(st, lk, ret, err);
		if (r == 0)
			return 0;
		if (r > 0) {
			struct store_segment *sg = lookup_segment(st, lk);

			if (sg == NULL)
				return 1;
			lk->seg = sg;
			r = store_segment_range(st, sg, lk->id, &lk->lo,
			    &lk->hi, err);
		}
		if (r < 0) {
			/* Damaged or merged away: others may know the id. */
			if (err->class != ERR_CORRUPT &&
			    err->class != ERR_NOTFOUND)
				return -1;
			if (err->class == ERR_CORRUPT)
				store_index_broken(st, err);
			else
				lk->missed = true;
			lk->lo = lk->hi = 0;
		}
	}
}
