/*
 * Merging the index: which segments, in what order, and the manifests that put
 * the result in force.  README.md says why it may run beside everything.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_merge_internal.h"

#define MEMORY_DEFAULT ((size_t)64 << 20)
#define MEMORY_MIN ((size_t)4 << 20)
#define IMAGE_LIMIT ((uint64_t)1 << 30) /* of one object, whatever the memory */
#define FAN 4        /* so many of like sizes are worth a merge */
#define TRIES 8      /* lost to another merge so often, it is left to that one */

/* A segment that counts, and may be merged. */
struct source {
	const char *key;
	uint64_t size;       /* bytes of the object */
	bool known;          /* the two below are */
	bool stale;          /* names packs that are deleted and gone */
	bool left;           /* damaged: it stays as it is */
};

struct merge {
	struct store *st;
	const struct store_merge_options *opt;
	struct store_merge_result *ret;
	uint64_t most;       /* bytes of a segment that is made */
	size_t most_sources; /* of one */
	struct store_dead *dead; /* NULL: nothing was deleted */
	/* As listed; a manifest put changes m and v. */
	struct store_keys keys;
	struct store_manifest m;
	struct source *v;    /* by size */
	size_t n;
	uint64_t counting;   /* segments that count, also of open sessions */
	/* The plan before: v by key, and what its keys point to. */
	struct store_keys old_keys;
	struct source *old;
	size_t nold;
};

static int key_cmp(const void *pa, const void *pb)
{
	return strcmp(((const struct source *)pa)->key,
	    ((const struct source *)pb)->key);
}

/* The plan at hand becomes the one before. */
static void plan_turn(struct merge *mg)
{
	free(mg->old);
	store_keys_release(&mg->old_keys);
	mg->old = mg->v;
	mg->nold = mg->n;
	mg->old_keys = mg->keys;
	if (mg->nold > 1)
		qsort(mg->old, mg->nold, sizeof(*mg->old), key_cmp);
	mg->v = NULL;
	mg->n = 0;
	mg->counting = 0;
	mg->keys = (struct store_keys){ 0 };
	store_manifest_release(&mg->m);
}

/* What was found out of that segment before. */
static struct source source_of(const struct merge *mg, const char *key,
    uint64_t size)
{
	struct source s = { .key = key, .size = size };
	const struct source *old = mg->nold == 0 ? NULL : bsearch(&s, mg->old,
	    mg->nold, sizeof(s), key_cmp);

	if (old != NULL) {
		s.known = old->known;
		s.stale = old->stale;
		s.left = old->left;
	}
	return s;
}

static int cancelled(const struct merge *mg, struct err *err)
{
	if (mg->opt->cancelled != NULL && mg->opt->cancelled(mg->opt->ctx))
		return err_set(err, ERR_CANCELLED,
		    "merging the index was stopped");
	return 0;
}

/* --- what there is ---------------------------------------------------------------------*/

/* Does an object have that key?  1, 0 or -1. */
static int exists(struct store *st, const char *key, struct err *err)
{
	struct backend_stat bs;
	int r = backend_stat(st->be, key, &bs, err);

	return r < 0 ? -1 : r == 0;
}

/*
 * Is the session over whose segment that is?  1, 0 or -1.  sessions: listed
 * after the segment was, so one without session object has lost it since, and
 * only what is over loses it.
 */
static int session_over(struct store *st, const struct store_keys *sessions,
    const struct fmt_key *at, struct err *err)
{
	char key[FMT_KEY_MAX];
	int r;

	fmt_key_session(key, at->slot, at->session);
	if (!store_keys_has(sessions, key))
		return 1;
	fmt_key_snapshot(key, at->slot, at->session);
	r = exists(st, key, err);
	if (r != 0)
		return r;
	fmt_key_note(key, at->slot, at->session);
	return exists(st, key, err);
}

static int source_cmp(const void *pa, const void *pb)
{
	const struct source *a = pa, *b = pb;

	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return strcmp(a->key, b->key);
}

/* Look at all that was listed: which segments may be merged. */
static int plan_fill(struct merge *mg, const struct store_keys *sessions,
    struct err *err)
{
	mg->v = mem_array(mg->keys.n + 1, sizeof(*mg->v), "the index", err);
	if (mg->v == NULL)
		return -1;
	for (size_t i = 0; i < mg->keys.n; i++) {
		const char *key = store_keys_at(&mg->keys, i);
		struct fmt_key at;
		int r = 1;

		if (!store_manifest_counts(&mg->m, key) ||
		    fmt_key_parse(key, &at) != 0)
			continue;
		mg->counting++;
		if (at.place == FMT_AT_SEGMENT)
			r = session_over(mg->st, sessions, &at, err);
		if (r < 0)
			return -1;
		if (r > 0)
			mg->v[mg->n++] = source_of(mg, key,
			    mg->keys.v[i].size);
	}
	if (mg->n > 1)
		qsort(mg->v, mg->n, sizeof(*mg->v), source_cmp);
	return 0;
}

/* Find which of them name packs that were deleted. */
static int plan_stale(struct merge *mg, struct err *err)
{
	for (size_t i = 0; i < mg->n && mg->dead != NULL; i++) {
		struct source *s = &mg->v[i];
		struct merge_in *in = NULL;
		int r;

		if (s->known)
			continue;
		r = cancelled(mg, err);
		if (r == 0)
			r = store_merge_in_open(mg->st, s->key, s->size, &in, err);
		if (r == 0)
			r = store_merge_in_stale(mg->st, in, mg->dead, &s->stale,
			    err);
		store_merge_in_free(in);
		if (r == 1 || (r < 0 && err->class == ERR_NOTFOUND))
			return 1; /* merged by another */
		if (r < 0 && err->class != ERR_CORRUPT)
			return -1;
		s->left = r != 0;
		s->known = true;
	}
	return 0;
}

/* List and look: 0, 1 when something went meanwhile, -1. */
static int plan_make(struct merge *mg, struct err *err)
{
	struct store_keys sessions = { 0 };
	int r;

	plan_turn(mg);
	r = store_manifest_list(mg->st, &mg->keys, &mg->m, err);
	if (r == 0)
		r = store_keys_list(mg->st->be, "sessions/", &sessions, err);
	if (r == 0)
		r = plan_fill(mg, &sessions, err);
	store_keys_release(&sessions);
	return r != 0 ? -1 : plan_stale(mg, err);
}

/* --- which to merge ------------------------------------------------------------------*/

/*
 * Choose places in v for the next merge: *ret_n of them at ret.  The least
 * ones first: as many as fit, where the largest is no larger than the rest
 * together.  So each entry is written anew only into a segment twice as large,
 * and the sizes of those that are left double.  Where there is no such merge,
 * one that is stale.
 */
static void choose(const struct merge *mg, size_t *ret, size_t *ret_n)
{
	size_t n = 0, best = 0;
	uint64_t sum = 0;

	for (size_t i = 0; i < mg->n && n < mg->most_sources; i++) {
		const struct source *s = &mg->v[i];

		if (s->left)
			continue;
		if (sum + s->size > mg->most)
			break;
		ret[n++] = i;
		if (mg->opt->force ? n > 1 : n >= FAN && s->size <= sum)
			best = n;
		sum += s->size;
	}
	*ret_n = best;
	for (size_t i = 0; i < mg->n && *ret_n == 0; i++) {
		if (!mg->v[i].stale || mg->v[i].left)
			continue;
		ret[0] = i;
		*ret_n = 1;
	}
}

/* --- putting it in force ---------------------------------------------------------------*/

/*
 * A manifest above the one in force is there, and not believed.  Rubbish takes
 * its number for ever, no more.  But it may be one that was in force and has
 * been damaged; then a merged segment that was made for it is there, and with
 * a manifest above it all that it listed would be lost.  0 rubbish, -1.
 */
static int unbelieved(struct merge *mg, const char *key, uint64_t n,
    struct err *err)
{
	for (size_t i = 0; i < mg->keys.n; i++) {
		const char *merged = store_keys_at(&mg->keys, i);
		struct store_segment *sg = NULL;
		struct fmt_key at;
		int r;

		if (fmt_key_parse(merged, &at) != 0 ||
		    at.place != FMT_AT_MERGED || STORE_MERGED_FOR(at.n) < n)
			continue;
		r = store_segment_open(mg->st, merged, mg->keys.v[i].size, 0,
		    &sg, err);
		store_segment_close(sg);
		if (r == 0)
			return err_set(err, ERR_CORRUPT, "%s: is damaged or not "
			    "signed, and %s was made for it; run wherry repair, "
			    "then remove it by hand", key, merged);
		if (r < 0 && err->class != ERR_CORRUPT)
			return -1;
	}
	return 0;
}

/*
 * The number for the next manifest: the first after the highest that is free.
 * What is free in a listing can be taken once; so of two merges that have the
 * same manifest below them, one is refused.
 */
static int next_number(struct merge *mg, uint64_t *ret, struct err *err)
{
	char key[FMT_KEY_MAX];

	for (*ret = mg->m.n + 1;; (*ret)++) {
		fmt_key_manifest(key, *ret);
		if (!store_keys_has(&mg->keys, key))
			return 0;
		if (unbelieved(mg, key, *ret, err) != 0)
			return -1;
	}
}

static bool is_source(const struct merge *mg, const size_t *at, size_t n,
    uint64_t merged)
{
	char key[FMT_KEY_MAX];

	fmt_key_merged(key, merged);
	for (size_t i = 0; i < n; i++)
		if (strcmp(mg->v[at[i]].key, key) == 0)
			return true;
	return false;
}

/* Numbers of the segments that a step made, ascending. */
struct made {
	uint64_t *v;
	size_t n;
	uint64_t entries, dropped;
};

/*
 * Put manifest `number`: what is in force but for the sources, and what was
 * made (whose numbers are higher: they are for this manifest).  0, 1 when
 * another has that number, -1.
 */
static int manifest_put(struct merge *mg, const size_t *at, size_t n,
    const struct made *made, uint64_t number, struct err *err)
{
	struct fmt_list_buf merged = FMT_LIST_BUF_INIT;
	struct fmt_list_buf covered = FMT_LIST_BUF_INIT;
	struct fmt_manifest f = { .epoch = mg->st->info.epoch };
	struct buf obj = BUF_INIT;
	char key[FMT_KEY_MAX];
	int r;

	for (size_t i = 0; i < mg->m.nmerged; i++)
		if (!is_source(mg, at, n, mg->m.merged[i]))
			fmt_list_add_number(&merged, mg->m.merged[i]);
	for (size_t i = 0; i < made->n; i++)
		fmt_list_add_number(&merged, made->v[i]);
	for (size_t i = 0; i < n; i++)
		fmt_list_add_str(&covered, fmt_str(mg->v[at[i]].key));
	/* Those that an earlier merge has not come to remove. */
	for (size_t i = 0; i < mg->m.ncovered; i++)
		if (store_keys_has(&mg->keys, mg->m.covered[i]))
			fmt_list_add_str(&covered, fmt_str(mg->m.covered[i]));
	f.merged = fmt_list_of(&merged);
	f.covered = fmt_list_of(&covered);
	fmt_key_manifest(key, number);
	r = buf_check(&merged.b, "a manifest", err);
	if (r == 0)
		r = buf_check(&covered.b, "a manifest", err);
	if (r == 0)
		r = fmt_manifest_encode(&obj, &f, err);
	if (r == 0)
		r = store_admin_put(mg->st, key, &obj, err);
	fmt_list_release(&merged);
	fmt_list_release(&covered);
	buf_release(&obj);
	return r < 0 ? err_wrap(err, "%s", key) : r;
}

static int removed(struct merge *mg, const char *key, struct err *err)
{
	int r = backend_del(mg->st->be, key, err);

	if (r == 0)
		mg->ret->objects_removed++;
	return r < 0 ? -1 : 0;
}

/*
 * Remove what the manifest in force (mg->m, as listed) has made superfluous:
 * what it covers, lower manifests, and merged segments of it or a lower one
 * that it does not list; such a one can never be listed any more.
 */
static int clean(struct merge *mg, struct err *err)
{
	for (size_t i = 0; i < mg->keys.n && mg->m.n > 0; i++) {
		const char *key = store_keys_at(&mg->keys, i);
		struct fmt_key at;
		bool goes = false;

		if (fmt_key_parse(key, &at) != 0)
			continue;
		if (at.place == FMT_AT_MANIFEST)
			goes = at.n < mg->m.n;
		else if (at.place == FMT_AT_SEGMENT ||
		    (at.place == FMT_AT_MERGED &&
		     STORE_MERGED_FOR(at.n) <= mg->m.n))
			goes = !store_manifest_counts(&mg->m, key);
		if (goes && (cancelled(mg, err) != 0 ||
		        removed(mg, key, err) != 0))
			return -1;
	}
	return 0;
}

/* --- one merge ------------------------------------------------------------------------*/

/*
 * Open the sources.  One that is damaged or does not count is left alone from
 * now on.  0, 1 when one has gone, 2 when one was left, -1.
 */
static int open_sources(struct merge *mg, const size_t *at, size_t n,
    struct merge_sources *s, struct err *err)
{
	for (; s->n < n; s->n++) {
		struct source *src = &mg->v[at[s->n]];
		int r = store_merge_in_open(mg->st, src->key, src->size,
		    &s->v[s->n], err);

		if (r == 1)
			return 1;
		if (r < 0 && err->class != ERR_CORRUPT)
			return -1;
		if (r != 0) {
			if (r < 0)
				log_msg(LOG_WARN, "not merged: %s", err->msg);
			src->left = true;
			return 2;
		}
	}
	return 0;
}

/* Store what was made of the sources, or of a part, and remember its number. */
static int put_made(struct merge_out *out, uint64_t *number,
    struct made *made, struct err *err)
{
	uint64_t *v = realloc(made->v, (made->n + 1) * sizeof(*v));

	if (v == NULL)
		return err_nomem(err, "merged segments");
	made->v = v;
	if (store_merge_out_put(out, number, err) != 0)
		return -1;
	made->entries += store_merge_out_entries(out);
	v[made->n++] = (*number)++;
	return 0;
}

/* Make one segment of the sources, or several of one that is too large. */
static int make_these(struct merge *mg, struct merge_sources *s,
    uint64_t size, uint64_t number, struct made *made, struct err *err)
{
	struct merge_in *in = s->v[0];
	uint32_t part = 0;

	s->bad = 0;
	if (size > mg->most &&
	    store_merge_in_cut(mg->st, in, mg->most, err) != 0)
		return -1;
	do {
		struct merge_out *out;
		int r;

		if (in->parts != NULL)
			store_merge_in_rewind(in, part);
		r = store_merge_sources(s, &out, err);
		made->dropped += s->dropped;
		if (r == 0 && out != NULL)
			r = put_made(out, &number, made, err);
		store_merge_out_free(out);
		if (r != 0)
			return -1;
	} while (++part < in->nparts);
	return 0;
}

/* The same as open_sources returns, with what was made of them. */
static int merge_these(struct merge *mg, const size_t *at, size_t n,
    uint64_t number, struct made *made, struct err *err)
{
	struct merge_sources s = {
		.st = mg->st, .dead = mg->dead,
		.cancelled = mg->opt->cancelled, .ctx = mg->opt->ctx,
	};
	int r;

	s.v = mem_array(n + 1, sizeof(struct merge_in *), "sources", err);
	if (s.v == NULL)
		return -1;
	r = open_sources(mg, at, n, &s, err);
	if (r == 0) {
		r = make_these(mg, &s, n == 1 ? mg->v[at[0]].size : 0, number,
		    made, err);
		if (r < 0 && err->class == ERR_NOTFOUND)
			r = 1;
		if (r < 0 && err->class == ERR_CORRUPT && s.bad < n) {
			log_msg(LOG_WARN, "not merged: %s", err->msg);
			mg->v[at[s.bad]].left = true;
			r = 2;
		}
	}
	for (size_t i = 0; i < s.n; i++)
		store_merge_in_free(s.v[i]);
	free(s.v);
	return r;
}

/* Remove what was made and no manifest lists, now or later. */
static int unmake(struct merge *mg, const struct made *made, struct err *err)
{
	for (size_t i = 0; i < made->n; i++) {
		char key[FMT_KEY_MAX];

		fmt_key_merged(key, made->v[i]);
		if (removed(mg, key, err) != 0)
			return -1;
	}
	return 0;
}

/* As merge_step, with what was made, which the caller frees. */
static int merge_and_put(struct merge *mg, const size_t *at, size_t n,
    struct made *made, struct err *err)
{
	uint64_t number, highest;
	int r = next_number(mg, &number, err);

	if (r == 0)
		r = merge_these(mg, at, n, STORE_MERGED_FIRST(number), made,
		    err);
	if (r > 0)
		return unmake(mg, made, err) != 0 ? -1 : r;
	if (r == 0)
		r = manifest_put(mg, at, n, made, number, err);
	/* Refused, our manifest was never there: nothing lists what is made. */
	if (r > 0)
		return unmake(mg, made, err) != 0 ? -1 : 1;
	if (r == 0)
		r = store_manifest_number(mg->st, &highest, err);
	if (r < 0)
		return -1;
	/* A higher one may stand on ours, or on none: the next listing tells. */
	return highest != number;
}

/*
 * Merge what was chosen and put it in force.  0; 1 when another merge was
 * faster; 2 when a source turned out not to be fit: choose anew; -1.
 */
static int merge_step(struct merge *mg, const size_t *at, size_t n,
    struct err *err)
{
	struct made made = { NULL, 0, 0, 0 };
	int r = merge_and_put(mg, at, n, &made, err);

	if (r == 0) {
		mg->ret->written += made.n;
		mg->ret->entries += made.entries;
		mg->ret->dropped += made.dropped;
		store_index_stale(mg->st);
	}
	free(made.v);
	return r;
}

static uint64_t count_stale(const struct merge *mg)
{
	uint64_t n = 0;

	for (size_t i = 0; i < mg->n; i++)
		n += mg->v[i].stale;
	return n;
}

/* All merges that are worth it: 0, 1 lost to another, -1. */
static int merge_round(struct merge *mg, bool *ret_any, struct err *err)
{
	size_t *at = mem_array(mg->n + 1, sizeof(*at), "sources", err);
	size_t n;
	int r = at == NULL ? -1 : 2;

	while (r == 2) {
		choose(mg, at, &n);
		r = cancelled(mg, err);
		if (r != 0 || n == 0)
			break;
		r = merge_step(mg, at, n, err);
		*ret_any |= r == 0;
	}
	free(at);
	return r;
}

static int merge_run(struct merge *mg, struct err *err)
{
	unsigned lost = 0;

	for (;;) {
		bool any = false;
		int r = plan_make(mg, err);

		if (r < 0)
			return -1;
		if (r == 0) {
			if (mg->ret->segments_before == 0)
				mg->ret->segments_before = mg->counting;
			mg->ret->segments_after = mg->counting;
			mg->ret->stale = count_stale(mg);
			/* What an earlier one left; so sources go here, too. */
			if (clean(mg, err) != 0)
				return -1;
			r = merge_round(mg, &any, err);
		}
		if (r < 0)
			return -1;
		if (r == 0 && !any)
			return 0;
		if (r > 0 && ++lost == TRIES) {
			mg->ret->lost = true;
			return 0;
		}
	}
}

int store_merge(struct store *st, const struct store_merge_options *opt,
    struct store_merge_result *ret, struct err *err)
{
	size_t memory = opt->memory == 0 ? MEMORY_DEFAULT :
	    opt->memory < MEMORY_MIN ? MEMORY_MIN : opt->memory;
	struct merge mg = { .st = st, .opt = opt, .ret = ret };
	int r;

	*ret = (struct store_merge_result){ 0 };
	if (store_need(st, STORE_ADMIN, "to merge the index", err) != 0)
		return -1;
	/*
	 * The object is made in memory; beside it are its filters, its table of
	 * packs, and a block and the hashes of each source.
	 */
	mg.most = memory / 5 * 2 < IMAGE_LIMIT ? memory / 5 * 2 : IMAGE_LIMIT;
	mg.most_sources = memory / 8 / MERGE_IN_BYTES;
	mg.dead = store_dead_read(st, err);
	if (mg.dead == NULL)
		return -1;
	if (!store_dead_deletes(mg.dead)) {
		store_dead_free(mg.dead);
		mg.dead = NULL;
	}
	r = merge_run(&mg, err);
	plan_turn(&mg);
	plan_turn(&mg);
	store_dead_free(mg.dead);
	return r;
}
