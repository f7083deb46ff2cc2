/* Generations: marks, verdicts and lists as a collector reads and puts them. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_gc_internal.h"

/*
 * Read an object of gc/ that counts only when an administrator signed it: 0,
 * 1 when it is not there, 2 when nobody signed it, -1.
 */
static int gens_signed(struct store *st, const char *key, enum fmt_kind kind,
    uint8_t **ret_obj, size_t *ret_len, struct err *err)
{
	int r = backend_get_all(st->be, key, STORE_LARGE_OBJECT, ret_obj,
	    ret_len, err);

	if (r > 0)
		return 1;
	if (r == 0 &&
	    store_admin_signed(st, key, *ret_obj, *ret_len, kind, err) == 0)
		return 0;
	if (r == 0)
		free(*ret_obj);
	*ret_obj = NULL;
	if (err->class != ERR_CORRUPT)
		return err_wrap(err, "%s", key);
	log_msg(LOG_WARN, "not believed: %s: %s", key, err->msg);
	return 2;
}

/* What a listing says of one generation. */
struct listed { uint64_t n; bool mark, verdict, list; };

/* Look at one with a mark that is not both judged and without list. */
static int gens_look(struct store *st, const struct listed *l,
    struct gc_gens *ret, uint64_t *ret_highest, struct err *err)
{
	CLEANUP_FREE uint8_t *mark = NULL;
	CLEANUP_FREE uint8_t *verdict = NULL;
	char key[FMT_KEY_MAX];
	size_t len;
	int r;

	fmt_key_mark(key, l->n);
	r = gens_signed(st, key, FMT_MARK, &mark, &len, err);
	if (r < 0)
		return -1;
	if (r > 0)
		return 0; /* no generation: its number is passed over */
	if (*ret_highest < l->n)
		*ret_highest = l->n;
	fmt_key_verdict(key, l->n);
	r = gens_signed(st, key, FMT_VERDICT, &verdict, &len, err);
	if (r < 0)
		return -1;
	if (r == 0 && ret->undone == 0)
		ret->undone = l->n;
	if (r > 0 && ret->open == 0) {
		ret->open = l->n;
		ret->blocked = r == 2;
	}
	return 0;
}

/* The highest number with a believed mark, going down from the end. */
static int gens_highest(struct store *st, const struct listed *v, size_t n,
    uint64_t above, uint64_t *ret, struct err *err)
{
	for (size_t i = n; i > 0 && v[i - 1].n > above; i--) {
		CLEANUP_FREE uint8_t *mark = NULL;
		char key[FMT_KEY_MAX];
		size_t len;
		int r;

		if (!v[i - 1].mark)
			continue;
		fmt_key_mark(key, v[i - 1].n);
		r = gens_signed(st, key, FMT_MARK, &mark, &len, err);
		if (r < 0)
			return -1;
		if (r == 0) {
			*ret = v[i - 1].n;
			return 0;
		}
	}
	*ret = above;
	return 0;
}

/*
 * Is the list of a generation there that the listing has as judged and without
 * one?  A listing takes time: where mark and verdict came meanwhile, it may have
 * passed the list's place before.  Of those below it cannot be so, for each was
 * carried out before the next was marked.  Return 0, -1.
 */
static int gens_list_again(struct store *st, struct listed *l, struct err *err)
{
	struct store_keys keys = { 0 };
	char prefix[FMT_KEY_MAX];
	int r;

	fmt_key_mark(prefix, l->n);
	memcpy(strrchr(prefix, '/'), "/dead-", sizeof("/dead-"));
	r = store_keys_list(st->be, prefix, &keys, err);
	l->list = keys.n > 0;
	store_keys_release(&keys);
	return r;
}

/* The generations of a listing, ascending. */
static size_t gens_listed(const struct store_keys *keys, struct listed *v)
{
	size_t n = 0;

	for (size_t i = 0; i < keys->n; i++) {
		struct fmt_key at;

		if (fmt_key_parse(store_keys_at(keys, i), &at) != 0 ||
		    (at.place != FMT_AT_MARK && at.place != FMT_AT_VERDICT &&
		     at.place != FMT_AT_DEAD))
			continue;
		if (n == 0 || v[n - 1].n != at.n)
			v[n++] = (struct listed){ .n = at.n };
		v[n - 1].mark |= at.place == FMT_AT_MARK;
		v[n - 1].verdict |= at.place == FMT_AT_VERDICT;
		v[n - 1].list |= at.place == FMT_AT_DEAD;
	}
	return n;
}

int store_gc_gens_read(struct store *st, struct gc_gens *ret, struct err *err)
{
	CLEANUP_FREE struct listed *v = NULL;
	struct store_keys keys = { 0 };
	uint64_t highest = 0;
	size_t n = 0;
	int r = store_keys_list(st->be, "gc/", &keys, err);

	*ret = (struct gc_gens){ 0 };
	if (r == 0) {
		v = malloc((keys.n + 1) * sizeof(*v));
		r = v == NULL ? err_nomem(err, "collections") : 0;
	}
	if (r == 0)
		n = gens_listed(&keys, v);
	store_keys_release(&keys);
	/* A verdict may be listed where its mark came too late to be. */
	for (size_t i = 0; i < n && r == 0; i++)
		if (v[i].mark != v[i].verdict || (v[i].mark && v[i].list))
			r = gens_look(st, &v[i], ret, &highest, err);
	if (r == 0)
		r = gens_highest(st, v, n, highest, &highest, err);
	for (size_t i = n; i > 0 && r == 0; i--) {
		struct listed *l = &v[i - 1];

		if (l->n != highest || !l->mark || !l->verdict || l->list)
			continue;
		r = gens_list_again(st, l, err);
		if (r == 0 && l->list)
			r = gens_look(st, l, ret, &highest, err);
	}
	if (r != 0)
		return -1;
	/*
	 * The next number is that of no mark and no verdict: what nobody
	 * signed takes numbers, no more.
	 */
	ret->next = highest + 1;
	for (size_t i = 0; i < n; i++)
		if (v[i].n == ret->next && (v[i].mark || v[i].verdict))
			ret->next++;
	return 0;
}

/* --- one generation ------------------------------------------------------------------*/

/* Read the list of that hash into g: 0, 1 when it is not there, -1. */
static int load_list(struct gc *g, const uint8_t hash[32], struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	const struct store_epoch *ep;
	char key[FMT_KEY_MAX];
	uint32_t epoch;
	size_t len;
	int r;

	fmt_key_dead(key, g->n, hash);
	r = backend_get_all(g->st->be, key, STORE_LARGE_OBJECT, &obj, &len,
	    err);
	if (r != 0)
		return r;
	if (fmt_header_read(obj, len, FMT_DEAD, &epoch, err) != 0)
		return err_wrap(err, "%s", key);
	ep = store_epoch_find(g->st, epoch, err);
	if (ep == NULL || fmt_dead_open(obj, len, g->n, hash, ep->sec->k.dead,
	        &g->list, &g->dead, err) != 0)
		return err_wrap(err, "%s", key);
	memcpy(g->list_hash, hash, sizeof(g->list_hash));
	return 0;
}

/* Read the mark into g: 0, 1 when there is none that counts, -1. */
static int load_mark(struct gc *g, uint8_t ret_list[32], struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	struct fmt_mark m;
	char key[FMT_KEY_MAX];
	size_t len;
	int r;

	fmt_key_mark(key, g->n);
	r = gens_signed(g->st, key, FMT_MARK, &obj, &len, err);
	if (r != 0)
		return r < 0 ? -1 : 1;
	buf_reset(&g->mark);
	buf_add(&g->mark, obj, len);
	if (buf_check(&g->mark, "a mark", err) != 0 ||
	    fmt_mark_decode(g->mark.p, g->mark.len, &m, err) != 0)
		return err_wrap(err, "%s", key);
	crypto_sha256(g->mark_hash, g->mark.p, g->mark.len);
	g->considered = m.snapshots;
	memcpy(ret_list, m.dead_hash, 32);
	return 0;
}

int store_gc_load(struct gc *g, struct err *err)
{
	uint8_t hash[32];
	char key[FMT_KEY_MAX];
	int r = load_mark(g, hash, err);

	fmt_key_mark(key, g->n);
	if (r > 0)
		return err_set(err, ERR_CONFLICT,
		    "%s: went while it was looked at", key);
	if (r == 0)
		r = load_list(g, hash, err);
	if (r > 0)
		return err_set(err, ERR_CORRUPT, "%s: its list of what is dead "
		    "is missing, so this collection cannot be ended "
		    "('wherry gc --abandon' gives it up; nothing is lost)",
		    key);
	return r;
}

/* Put a list as g->n's: its hash is in g->list_hash then, its text in g->list. */
static int put_list(struct gc *g, const struct fmt_dead *d, struct err *err)
{
	const struct store_epoch *ep = store_epoch_known(g->st,
	    g->st->info.epoch);
	struct buf obj = BUF_INIT;
	char key[FMT_KEY_MAX];
	int r = fmt_dead_encode(&obj, g->n, ep->n, ep->sec->k.dead, d, err);

	if (r == 0) {
		crypto_sha256(g->list_hash, obj.p, obj.len);
		fmt_key_dead(key, g->n, g->list_hash);
		r = store_object_put(g->st->be, key, obj.p, obj.len, err);
		if (r < 0 && err->class == ERR_FULL)
			err_wrap(err, "no room even for the list of what is "
			    "dead; make room for %zu KiB, then collect again",
			    obj.len / 1024 + 16);
	}
	buf_release(&obj);
	if (r > 0)
		r = err_set(err, ERR_CONFLICT,
		    "%s: another object has its name", key);
	return r;
}

/* The packs of the mark, as its list has them. */
static int mark_list(struct gc *g, struct fmt_list_buf *whole,
    struct fmt_list_buf *part, struct err *err)
{
	for (uint32_t i = 0; i < g->packs.n; i++) {
		const struct gc_pack *p = &g->packs.v[i];
		CLEANUP_FREE uint32_t *v = NULL;
		uint32_t n = 0;

		if (!(p->flags & GC_TAKE))
			continue;
		if (p->live == 0) {
			fmt_list_add_pack(whole, p->name);
			continue;
		}
		v = malloc(((size_t)p->n + 1) * sizeof(*v));
		if (v == NULL)
			return err_nomem(err, "a dead list");
		for (uint32_t o = 0; o < p->n; o++)
			if (!store_gc_bit(p->bits, p->words, o))
				v[n++] = o;
		fmt_list_add_partial(part, p->name, v, n);
	}
	if (buf_check(&whole->b, "a dead list", err) != 0)
		return -1;
	return buf_check(&part->b, "a dead list", err);
}

/* Somebody has that key: 1 when a believed mark, 2 when rubbish, -1. */
static int taken(struct gc *g, const char *key, enum fmt_kind kind,
    struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	size_t len;
	int r = gens_signed(g->st, key, kind, &obj, &len, err);

	return r < 0 ? -1 : r == 2 ? 2 : 1;
}

int store_gc_put_mark(struct gc *g, const struct fmt_list_buf *considered,
    struct err *err)
{
	struct fmt_list_buf whole = FMT_LIST_BUF_INIT;
	struct fmt_list_buf part = FMT_LIST_BUF_INIT;
	struct fmt_mark m = { .epoch = g->st->info.epoch,
		.time_ns = clock_real_ns(),
		.snapshots = fmt_list_of(considered) };
	struct fmt_dead d;
	char key[FMT_KEY_MAX], list[FMT_KEY_MAX];
	int r = mark_list(g, &whole, &part, err);

	d = (struct fmt_dead){ fmt_list_of(&whole), fmt_list_of(&part) };
	if (r == 0)
		r = put_list(g, &d, err);
	fmt_list_release(&whole);
	fmt_list_release(&part);
	if (r != 0)
		return -1;
	memcpy(m.dead_hash, g->list_hash, sizeof(m.dead_hash));
	fmt_key_mark(key, g->n);
	buf_reset(&g->mark);
	r = fmt_mark_encode(&g->mark, &m, err);
	if (r == 0)
		r = store_admin_put(g->st, key, &g->mark, err);
	if (r < 0)
		return err_wrap(err, "%s", key);
	if (r > 0) {
		r = taken(g, key, FMT_MARK, err);
		/* No mark names this list, and none will. */
		fmt_key_dead(list, g->n, g->list_hash);
		if (r > 0 && backend_del(g->st->be, list, err) < 0)
			return -1;
	}
	return r;
}

/* --- verdicts -------------------------------------------------------------------------*/

/* The final list: of the mark's packs those that may go.  *ret_same: all. */
static int final_list(struct gc *g, struct fmt_list_buf *out, bool *ret_same,
    struct err *err)
{
	struct fmt_list l = g->dead.packs;
	struct fmt_partial part;
	const uint8_t *name;
	uint32_t i;

	*ret_same = g->dead.partial.n == 0;
	while (fmt_pack_next(&l, &name) == 0) {
		i = store_gc_packs_find(&g->packs, name);
		if (i != GC_NONE && (g->packs.v[i].live == 0 ||
		        (g->packs.v[i].flags & GC_MOVED)))
			fmt_list_add_pack(out, name);
		else
			*ret_same = false;
	}
	l = g->dead.partial;
	while (fmt_partial_next(&l, &part) == 0) {
		i = store_gc_packs_find(&g->packs, part.pack);
		if (i != GC_NONE && (g->packs.v[i].flags & GC_MOVED))
			fmt_list_add_pack(out, part.pack);
	}
	return buf_check(&out->b, "a dead list", err);
}

int store_gc_put_verdict(struct gc *g, enum fmt_verdict_what what, struct err *err)
{
	struct fmt_verdict v = { .epoch = g->st->info.epoch,
		.time_ns = clock_real_ns() };
	struct fmt_list_buf packs = FMT_LIST_BUF_INIT;
	struct fmt_dead d = { .packs = { .n = 0 } };
	struct buf obj = BUF_INIT;
	char key[FMT_KEY_MAX];
	bool same = true;
	int r = 0;

	if (what == FMT_DELETE) {
		r = final_list(g, &packs, &same, err);
		d.packs = fmt_list_of(&packs);
		if (d.packs.n == 0)
			what = FMT_VOID;
		else if (r == 0 && !same)
			r = put_list(g, &d, err);
	}
	v.what = (uint8_t)what;
	memcpy(v.mark_hash, g->mark_hash, sizeof(v.mark_hash));
	if (what == FMT_DELETE)
		memcpy(v.dead_hash, g->list_hash, sizeof(v.dead_hash));
	fmt_list_release(&packs);
	fmt_key_verdict(key, g->n);
	if (r == 0)
		r = fmt_verdict_encode(&obj, &v, err);
	if (r == 0)
		r = store_admin_put(g->st, key, &obj, err);
	buf_release(&obj);
	if (r < 0)
		return err_wrap(err, "%s", key);
	if (r > 0)
		r = taken(g, key, FMT_VERDICT, err);
	if (r == 2)
		return err_set(err, ERR_CONFLICT, "%s: something that no "
		    "administrator signed has this name, so the collection "
		    "cannot be ended (when no other gc runs: 'wherry gc "
		    "--sole-administrator' removes it)", key);
	return r;
}

/* --- carrying out ------------------------------------------------------------------------*/

static int remove_lists(struct gc *g, uint64_t n, struct err *err)
{
	struct store_keys keys = { 0 };
	char prefix[FMT_KEY_MAX];
	int r;

	fmt_key_mark(prefix, n);
	memcpy(strrchr(prefix, '/'), "/dead-", sizeof("/dead-"));
	r = store_keys_list(g->st->be, prefix, &keys, err);
	for (size_t i = 0; i < keys.n && r == 0; i++) {
		r = backend_del(g->st->be, store_keys_at(&keys, i), err);
		if (r == 0)
			g->ret->objects_removed++;
		r = r < 0 ? -1 : 0;
	}
	store_keys_release(&keys);
	return r;
}

/* Objects that are removed by one call, where a store has such a call. */
#define BATCH 500

struct batch {
	char text[BATCH][FMT_KEY_MAX];
	const char *keys[BATCH];
	size_t n;
	uint64_t packs, bytes; /* of those among them */
};

static int batch_flush(struct gc *g, struct batch *b, struct err *err)
{
	if (backend_del_many(g->st->be, b->keys, b->n, err) < 0)
		return -1;
	g->ret->packs_deleted += b->packs;
	g->ret->bytes_deleted += b->bytes;
	g->freed += b->bytes;
	b->n = 0;
	b->packs = b->bytes = 0;
	return 0;
}

static char *batch_key(struct batch *b)
{
	b->keys[b->n] = b->text[b->n];
	return b->text[b->n++];
}

static int delete_pack(struct gc *g, struct batch *b, const uint8_t *name,
    bool parity, struct err *err)
{
	uint32_t i = store_gc_packs_find(&g->packs, name);

	if (i == GC_NONE)
		return 0;
	fmt_key_pack(batch_key(b), name);
	b->packs++;
	b->bytes += g->packs.v[i].size;
	if (parity)
		fmt_key_parity(batch_key(b), name);
	return b->n + 2 > BATCH ? batch_flush(g, b, err) : 0;
}

static int delete_packs(struct gc *g, struct err *err)
{
	CLEANUP_FREE struct batch *b = NULL;
	struct fmt_list l = g->dead.packs;
	const uint64_t total = l.n;
	struct fmt_config c;
	const uint8_t *name;
	uint64_t done = 0;

	if (fmt_config_decode(g->st->config.p, g->st->config.len, &c,
	        err) != 0 || store_gc_packs_list(g->st, &g->packs, err) != 0)
		return -1;
	b = mem_zalloc(sizeof(*b), "keys", err);
	if (b == NULL)
		return -1;
	while (fmt_pack_next(&l, &name) == 0) {
		store_gc_progress(g, "deleting", done++, total);
		if (store_gc_cancelled(g, err) != 0 ||
		    delete_pack(g, b, name, c.parity_shards > 0, err) != 0)
			return -1;
	}
	return batch_flush(g, b, err);
}

/*
 * What the index says of deleted packs leaves it while the list is there that
 * names them: 0, 1 when some is left (another merge was faster), -1.
 */
static int drop_entries(struct gc *g, struct err *err)
{
	struct store_merge_options opt = {
		.memory = g->memory,
		.cancelled = g->opt->cancelled, .ctx = g->opt->ctx,
	};
	struct store_merge_result res;

	if (store_merge(g->st, &opt, &res, err) != 0)
		return -1;
	g->ret->objects_removed += res.objects_removed;
	return res.stale > 0 || res.lost;
}

int store_gc_carry_out(struct gc *g, uint64_t n, struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	struct fmt_verdict v;
	char key[FMT_KEY_MAX];
	uint8_t list[32];
	size_t len;
	int r;

	g->n = n;
	r = load_mark(g, list, err);
	fmt_key_verdict(key, n);
	if (r == 0)
		r = gens_signed(g->st, key, FMT_VERDICT, &obj, &len, err);
	if (r > 0)
		return err_set(err, ERR_CONFLICT,
		    "%s: went while it was looked at", key);
	if (r < 0 || fmt_verdict_decode(obj, len, &v, err) != 0)
		return -1;
	if (memcmp(v.mark_hash, g->mark_hash, sizeof(v.mark_hash)) != 0)
		return err_set(err, ERR_CORRUPT, "%s: is of another mark", key);
	if (v.what == FMT_DELETE) {
		r = load_list(g, v.dead_hash, err);
		/* Without it all has been deleted: it goes last. */
		if (r == 0) {
			r = delete_packs(g, err);
			if (r == 0)
				r = drop_entries(g, err);
			if (r > 0)
				return 0; /* the next step comes here again */
		}
	}
	return r < 0 ? -1 : remove_lists(g, n, err);
}
