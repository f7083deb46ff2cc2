/* Repair: a look, what can be mended, and the list of what cannot. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_repair_internal.h"
#include "repo/store/store_sessions.h"

void store_repair_tell(struct store_repair *r, const char *key,
    const char *what)
{
	if (r->opt.mended != NULL)
		r->opt.mended(r->opt.ctx, key, what);
}

int store_repair_cancelled(struct store_repair *r, struct err *err)
{
	if (r->opt.cancelled != NULL && r->opt.cancelled(r->opt.ctx))
		return err_set(err, ERR_CANCELLED, "the repair was stopped; "
		    "run it again at any time");
	return 0;
}

/* --- its session --------------------------------------------------------------------*/

int store_repair_session(struct store_repair *r, struct err *err)
{
	if (r->s != NULL)
		return 0;
	r->s = store_session_begin_mend(r->st, err);
	r->wrote |= r->s != NULL;
	return r->s == NULL ? -1 : 0;
}

/*
 * End the session: with `finish` what is open is stored.  Its revocation tells
 * collectors that nothing comes of it any more; without that they find it
 * silent after a while.
 */
static int session_over(struct store_repair *r, bool finish, struct err *err)
{
	char name[STORE_SESSION_MAX];
	uint8_t slot[STORE_SLOT_LEN];
	struct err why = ERR_INIT;
	uint64_t generation;
	int x = 0;

	if (r->s == NULL)
		return 0;
	memcpy(name, r->s->name, sizeof(name));
	memcpy(slot, r->st->info.slot, sizeof(slot));
	generation = r->s->generation;
	if (finish)
		x = store_session_end(r->s, err);
	else
		store_session_abort(r->s);
	r->s = NULL;
	if (store_session_revoke(r->st, slot, name, generation, &why) < 0)
		log_msg(LOG_WARN, "the session of this repair is not ended: %s",
		    why.msg);
	return x;
}

/* --- beginning ----------------------------------------------------------------------*/

static void on_report(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	struct store_repair *r = ctx;

	if (r->opt.report != NULL)
		r->opt.report(r->opt.ctx, key, id, what);
}

static void on_suspect(void *ctx, const char *key, const uint8_t *id)
{
	struct store_repair *r = ctx;

	if (r->opt.suspect != NULL)
		r->opt.suspect(r->opt.ctx, key, id);
}

static bool on_cancelled(void *ctx)
{
	struct store_repair *r = ctx;

	return r->opt.cancelled != NULL && r->opt.cancelled(r->opt.ctx);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct store_repair *r = ctx;

	if (r->opt.progress != NULL)
		r->opt.progress(r->opt.ctx, done, total);
}

static int may_repair(struct store *st, const struct store_repair_options *opt,
    struct err *err)
{
	if (store_need(st, STORE_ADMIN | STORE_READ, "to repair", err) != 0)
		return -1;
	if (st->info.weak_store && !opt->sole_administrator && !opt->dry_run)
		return err_set(err, ERR_UNSUPPORTED, "%s does not create "
		    "atomically, so two administrators may harm each other: "
		    "make sure that no other one is at work, then give "
		    "--sole-administrator", st->be->name);
	return 0;
}

/* What the look has found of damaged copies goes to the list. */
static int take_found(struct store_repair *r, struct err *err)
{
	buf_add(&r->blobs.b, r->c.found.p, r->c.found.len);
	r->blobs.n += r->c.nfound < STORE_BAD_MAX ? r->c.nfound : STORE_BAD_MAX;
	r->ret.more |= r->c.nfound > STORE_BAD_MAX;
	return buf_check(&r->blobs.b, "a list of damaged blobs", err);
}

static int mend(struct store_repair *r, struct err *err)
{
	int x = store_repair_index(r, err);

	/* What is rescued by the index has to be in it. */
	if (x == 0 && r->s != NULL)
		x = store_segment_flush(r->s, true, err);
	if (x == 0) {
		store_index_stale(r->st);
		x = store_index_refresh(r->st, 0, err);
	}
	if (x == 0)
		x = take_found(r, err);
	if (x == 0)
		x = store_repair_rescue(r, err);
	if (x == 0)
		x = store_repair_parity(r, err);
	if (x != 0) {
		session_over(r, false, err);
		return -1;
	}
	if (session_over(r, true, err) != 0)
		return -1;
	store_index_stale(r->st);
	return store_index_refresh(r->st, 0, err);
}

struct store_repair *store_repair_begin(struct store *st,
    const struct store_repair_options *opt, struct err *err)
{
	struct store_repair *r;
	struct err why = ERR_INIT;

	if (may_repair(st, opt, err) != 0)
		return NULL;
	r = mem_zalloc(sizeof(*r), "a repair", err);
	if (r == NULL)
		return NULL;
	r->st = st;
	r->opt = *opt;
	r->co = (struct store_check_options){
		.read_percent = opt->read_data ? 100 : 0,
		.suspect = on_suspect, .cancelled = on_cancelled,
		.progress = on_progress, .ctx = r,
		.threads = opt->threads, .executor = opt->executor,
	};
	r->c = (struct check){ .st = st, .opt = &r->co, .report = on_report,
		.report_ctx = r, .ret = &r->ret.check, .mending = true };
	store_check_init(&r->c);
	if (store_bad_load(st, &r->old_n, &r->old_obj, &r->old, err) < 0 ||
	    store_check_run(&r->c, err) != 0 || mend(r, err) != 0) {
		store_repair_abort(r);
		return NULL;
	}
	if (!opt->dry_run && store_checked_write(&r->c, &why) != 0)
		log_msg(LOG_WARN, "when packs were verified cannot be written "
		    "down: %s", why.msg);
	return r;
}

/* Of a table of those that were told; at most half of it is used. */
#define LOST_SLOTS ((uint32_t)(2 * STORE_BAD_MAX))

/* --- what snapshots need ----------------------------------------------------------------*/

/*
 * None of the places that the index names for it holds it, be they damaged or
 * made up: each is listed, so that a writer takes none of them for a copy.
 */
static int lost_copies(struct store_repair *r, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], struct err *err)
{
	struct store_packent at;
	struct store_lookup lk;
	struct store_loc loc;
	int x;

	store_lookup_begin(r->st, &lk, id, UINT32_MAX, false);
	while ((x = store_lookup_next(r->st, &lk, &loc, err)) == 0) {
		struct fmt_bad_entry e = { (uint8_t)kind, id, at.name };

		if (r->blobs.n < STORE_BAD_MAX &&
		    store_packtab_at(r->st->packs, loc.pack, &at))
			fmt_list_add_bad(&r->blobs, &e);
	}
	store_lookup_end(r->st, &lk);
	return x < 0 ? -1 :
	    buf_check(&r->blobs.b, "a list of damaged blobs", err);
}

int store_repair_lost(struct store_repair *r, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], struct err *err)
{
	static const uint8_t nowhere[FMT_PACK_NAME_LEN];
	struct fmt_bad_entry e = { (uint8_t)kind, id, nowhere };
	uint32_t i;

	if (r->blobs.n >= STORE_BAD_MAX) {
		r->ret.more = true;
		return 0;
	}
	if (r->lost == NULL)
		r->lost = mem_array(LOST_SLOTS, sizeof(*r->lost),
		    "a list of lost blobs", err);
	if (r->lost == NULL)
		return -1;
	/* Each snapshot that needs it tells it again. */
	i = le32_get(id) & (LOST_SLOTS - 1);
	while (r->lost[i] != 0 && r->lost[i] != (le64_get(id) | 1))
		i = (i + 1) & (LOST_SLOTS - 1);
	if (r->lost[i] != 0)
		return 0;
	r->lost[i] = le64_get(id) | 1;
	fmt_list_add_bad(&r->blobs, &e);
	return lost_copies(r, kind, id, err);
}

int store_repair_lost_snapshot(struct store_repair *r,
    const struct store_snapshot *sn, struct err *err)
{
	fmt_list_add_snapshot(&r->snapshots, sn->slot, sn->session);
	r->ret.snapshots++;
	return buf_check(&r->snapshots.b, "a list of damaged snapshots", err);
}

/* --- the list ------------------------------------------------------------------------------*/

#define ENTRY_LEN (1 + STORE_ID_LEN + FMT_PACK_NAME_LEN)

static int entry_cmp(const void *a, const void *b)
{
	return memcmp(a, b, ENTRY_LEN);
}

/* Is e of a pack that one of the first n entries lists as a whole? */
static bool in_listed_pack(const uint8_t *e, const uint8_t *list, size_t n)
{
	uint8_t want[ENTRY_LEN] = { FMT_BAD_PACK };

	memcpy(want + 1 + STORE_ID_LEN, e + 1 + STORE_ID_LEN,
	    FMT_PACK_NAME_LEN);
	return e[0] != FMT_BAD_PACK &&
	    bsearch(want, list, n, ENTRY_LEN, entry_cmp) != NULL;
}

/* Sort the entries and drop what is there twice, or in a pack that is listed. */
static void list_tidy(struct fmt_list_buf *l)
{
	size_t n = 0;

	if (l->n > 1)
		qsort(l->b.p, l->n, ENTRY_LEN, entry_cmp);
	for (size_t i = 0; i < l->n; i++) {
		const uint8_t *e = l->b.p + i * ENTRY_LEN;

		if (n > 0 && entry_cmp(e, l->b.p + (n - 1) * ENTRY_LEN) == 0)
			continue;
		if (in_listed_pack(e, l->b.p, n))
			continue;
		memmove(l->b.p + n++ * ENTRY_LEN, e, ENTRY_LEN);
	}
	l->n = n;
	l->b.len = n * ENTRY_LEN;
}

/* How many entries of a (sorted) are not in b (sorted)? */
static uint64_t not_in(const uint8_t *a, size_t na, const uint8_t *b,
    size_t nb)
{
	uint64_t n = 0;

	for (size_t i = 0, j = 0; i < na; i++) {
		while (j < nb && entry_cmp(b + j * ENTRY_LEN,
		        a + i * ENTRY_LEN) < 0)
			j++;
		n += j == nb || entry_cmp(b + j * ENTRY_LEN,
		    a + i * ENTRY_LEN) != 0;
	}
	return n;
}

static void list_count(struct store_repair *r)
{
	const struct fmt_list_buf *l = &r->blobs;
	static const uint8_t nowhere[FMT_PACK_NAME_LEN];

	r->ret.listed = l->n;
	for (size_t i = 0; i < l->n; i++)
		r->ret.lost += memcmp(l->b.p + i * ENTRY_LEN + 1 +
		    STORE_ID_LEN, nowhere, sizeof(nowhere)) == 0;
	if (r->old_obj == NULL) {
		r->ret.bad = l->n;
		return;
	}
	r->ret.bad = not_in(l->b.p, l->n, r->old.blobs.p, r->old.blobs.n);
	r->ret.healed = not_in(r->old.blobs.p, r->old.blobs.n, l->b.p, l->n);
}

static bool list_same(const struct store_repair *r, const struct fmt_bad *b)
{
	const struct fmt_bad *o = &r->old;

	if (r->old_obj == NULL)
		return b->blobs.n == 0 && b->snapshots.n == 0 && b->flags == 0;
	return o->flags == b->flags && o->blobs.len == b->blobs.len &&
	    o->snapshots.len == b->snapshots.len &&
	    (o->blobs.len == 0 ||
	     memcmp(o->blobs.p, b->blobs.p, o->blobs.len) == 0) &&
	    (o->snapshots.len == 0 ||
	     memcmp(o->snapshots.p, b->snapshots.p, o->snapshots.len) == 0);
}

/* Remove lists of lower numbers; those that stay harm nobody. */
static void list_remove_old(struct store_repair *r, uint64_t n)
{
	struct store_keys keys = { 0 };
	struct err why = ERR_INIT;
	struct fmt_key at;
	int x = store_keys_list(r->st->be, "bad/", &keys, &why);

	for (size_t i = 0; i < keys.n && x >= 0; i++) {
		const char *key = store_keys_at(&keys, i);

		if (fmt_key_parse(key, &at) == 0 && at.place == FMT_AT_BAD &&
		    at.n < n)
			x = backend_del(r->st->be, key, &why);
	}
	if (x < 0)
		log_msg(LOG_INFO, "a list that was replaced stays: %s",
		    why.msg);
	store_keys_release(&keys);
}

/* Has another repair put a list since?  It may have read what this did not. */
static int list_overtaken(struct store_repair *r, struct err *err)
{
	uint8_t *obj;
	struct fmt_bad b;
	uint64_t n;

	if (store_bad_load(r->st, &n, &obj, &b, err) < 0)
		return -1;
	free(obj);
	return n > r->old_n ? err_set(err, ERR_CONFLICT, "another repair has "
	    "written its list meanwhile: run it again") : 0;
}

static int list_put(struct store_repair *r, struct fmt_bad *b, struct err *err)
{
	uint64_t n = r->old_n;
	char key[FMT_KEY_MAX];
	int x = 1;

	while (x == 1) {
		struct buf obj = BUF_INIT;

		if (n == UINT64_MAX)
			return err_set(err, ERR_CONFLICT,
			    "bad/: no number is left for a list");
		fmt_key_bad(key, ++n);
		x = fmt_bad_encode(&obj, b, err);
		if (x == 0)
			x = store_admin_put(r->st, key, &obj, err);
		buf_release(&obj);
		/* A name alone is nobody's word; a list is another repair's. */
		if (x == 1 && list_overtaken(r, err) != 0)
			return -1;
	}
	if (x != 0)
		return err_wrap(err, "%s", key);
	list_remove_old(r, n);
	return 0;
}

static int list_write(struct store_repair *r, struct err *err)
{
	struct fmt_bad b = { .epoch = r->st->info.epoch };

	list_tidy(&r->blobs);
	list_count(r);
	b.flags = r->ret.more ? FMT_BAD_MORE : 0;
	b.blobs = fmt_list_of(&r->blobs);
	b.snapshots = fmt_list_of(&r->snapshots);
	if (r->opt.dry_run || list_same(r, &b))
		return 0;
	return list_put(r, &b, err);
}

/* --- its end ----------------------------------------------------------------------------------*/

int store_repair_end(struct store_repair *r, struct store_repair_result *ret,
    struct err *err)
{
	int x = list_write(r, err);

	if (x == 0)
		x = store_repair_small(r, err);
	*ret = r->ret;
	store_repair_abort(r);
	return x;
}

void store_repair_abort(struct store_repair *r)
{
	struct err ignored = ERR_INIT;

	if (r == NULL)
		return;
	session_over(r, false, &ignored);
	store_check_release(&r->c);
	fmt_list_release(&r->blobs);
	fmt_list_release(&r->snapshots);
	free(r->old_obj);
	free(r->lost);
	free(r);
}
