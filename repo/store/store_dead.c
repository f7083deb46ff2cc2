/*
 * What collections have named dead (R1, R2): the marks, verdicts and lists
 * under gc/, as a session reads them at its start.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_ahead.h"
#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

/* A pack with dead ordinals; the list borrows from the plain text kept. */
struct dead_part {
	const uint8_t *name;
	struct fmt_list ordinals;
};

/* One generation whose list is still there. */
struct dead_gen {
	struct buf plain;
	const uint8_t **packs;  /* names, sorted */
	size_t npacks;
	struct dead_part *parts; /* by name */
	size_t nparts;
	bool whole_parts;       /* parts count as wholly dead: no room for more */
	bool deletes;           /* the verdict says so: what is named goes */
};

/* A generation without verdict: the snapshots that its mark lists. */
struct dead_open {
	uint8_t *obj;
	struct fmt_list snapshots;
};

struct store_dead {
	struct dead_gen *gen;
	size_t ngen;
	struct dead_open *open;
	size_t nopen;
};

void store_dead_free(struct store_dead *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->ngen; i++) {
		buf_release(&d->gen[i].plain);
		free(d->gen[i].packs);
		free(d->gen[i].parts);
	}
	for (size_t i = 0; i < d->nopen; i++)
		free(d->open[i].obj);
	free(d->gen);
	free(d->open);
	free(d);
}

/* --- reading ----------------------------------------------------------------------*/

/*
 * Read a signed object of gc/ whole: 0, 1 when it is not there (or does not
 * count, which is logged), -1.
 */
static int read_signed(struct store *st, const char *key, enum fmt_kind kind,
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
	log_msg(LOG_WARN, "passed over: %s: %s", key, err->msg);
	return 1;
}

int store_dead_generation(struct store *st, uint64_t *ret_n, struct err *err)
{
	struct store_keys keys = { 0 };
	int r = store_keys_list(st->be, "gc/", &keys, err);

	*ret_n = 0;
	for (size_t i = keys.n; i > 0 && r == 0; i--) {
		const char *key = store_keys_at(&keys, i - 1);
		struct fmt_key at;
		uint8_t *obj = NULL;
		size_t len;

		if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_MARK)
			continue;
		r = read_signed(st, key, FMT_MARK, &obj, &len, err);
		free(obj);
		if (r == 0) {
			*ret_n = at.n;
			break;
		}
		r = r < 0 ? -1 : 0;
	}
	store_keys_release(&keys);
	return r;
}

static int name_cmp(const void *a, const void *b)
{
	return memcmp(*(const uint8_t *const *)a, *(const uint8_t *const *)b,
	    FMT_PACK_NAME_LEN);
}

static int part_cmp(const void *a, const void *b)
{
	return memcmp(((const struct dead_part *)a)->name,
	    ((const struct dead_part *)b)->name, FMT_PACK_NAME_LEN);
}

/* Sort what a list names, to be searched. */
static int gen_fill(struct dead_gen *g, struct fmt_dead *dead, struct err *err)
{
	struct fmt_partial part;
	const uint8_t *name;

	g->packs = mem_array(dead->packs.n + dead->partial.n + 1,
	    sizeof(*g->packs), "a dead list", err);
	g->parts = mem_array(dead->partial.n + 1, sizeof(*g->parts),
	    "a dead list", err);
	if (g->packs == NULL || g->parts == NULL)
		return -1;
	while (fmt_pack_next(&dead->packs, &name) == 0)
		g->packs[g->npacks++] = name;
	while (fmt_partial_next(&dead->partial, &part) == 0)
		g->parts[g->nparts++] = (struct dead_part){ part.pack,
			part.ordinals };
	qsort(g->packs, g->npacks, sizeof(*g->packs), name_cmp);
	qsort(g->parts, g->nparts, sizeof(*g->parts), part_cmp);
	return 0;
}

/* Read generation n's list of that hash: 0, 1 when it is gone, -1. */
static int read_list(struct store *st, struct store_dead *d, uint64_t n,
    const uint8_t hash[32], bool deletes, struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	const struct store_epoch *ep;
	struct dead_gen *g, *v;
	char key[FMT_KEY_MAX];
	struct fmt_dead dead;
	uint32_t epoch;
	size_t len;
	int r;

	fmt_key_dead(key, n, hash);
	r = backend_get_all(st->be, key, STORE_LARGE_OBJECT, &obj, &len, err);
	if (r != 0)
		return r;
	v = realloc(d->gen, (d->ngen + 1) * sizeof(*v));
	if (v == NULL)
		return err_nomem(err, "dead lists");
	d->gen = v;
	g = &v[d->ngen++];
	*g = (struct dead_gen){ .plain = BUF_INIT, .deletes = deletes };
	if (fmt_header_read(obj, len, FMT_DEAD, &epoch, err) != 0)
		return err_wrap(err, "%s", key);
	ep = store_epoch_find(st, epoch, err);
	if (ep == NULL || fmt_dead_open(obj, len, n, hash, ep->sec->k.dead,
	        &g->plain, &dead, err) != 0 || gen_fill(g, &dead, err) != 0)
		return err_wrap(err, "%s", key);
	return 0;
}

static int remember_open(struct store_dead *d, uint8_t **obj,
    const struct fmt_list *snapshots, struct err *err)
{
	struct dead_open *v = realloc(d->open, (d->nopen + 1) * sizeof(*v));

	if (v == NULL)
		return err_nomem(err, "open collections");
	d->open = v;
	v[d->nopen++] = (struct dead_open){ STEAL_PTR(*obj), *snapshots };
	return 0;
}

/*
 * One generation by name: mark, then verdict, then the list that counts.
 * Return 0, 2 when it has to be read again (a verdict came between), -1.
 */
static int read_generation(struct store *st, struct store_dead *d, uint64_t n,
    bool again, struct err *err)
{
	CLEANUP_FREE uint8_t *mobj = NULL;
	CLEANUP_FREE uint8_t *vobj = NULL;
	struct fmt_verdict verdict;
	char mkey[FMT_KEY_MAX], vkey[FMT_KEY_MAX];
	struct fmt_mark mark;
	uint8_t list[32], hash[32];
	size_t len;
	int r, v;

	fmt_key_mark(mkey, n);
	fmt_key_verdict(vkey, n);
	r = read_signed(st, mkey, FMT_MARK, &mobj, &len, err);
	if (r != 0)
		return r < 0 ? -1 : 0;
	crypto_sha256(hash, mobj, len);
	if (fmt_mark_decode(mobj, len, &mark, err) != 0)
		return err_wrap(err, "%s", mkey);
	memcpy(list, mark.dead_hash, sizeof(list));
	v = read_signed(st, vkey, FMT_VERDICT, &vobj, &len, err);
	if (v < 0)
		return -1;
	if (v == 0) {
		if (fmt_verdict_decode(vobj, len, &verdict, err) != 0)
			return err_wrap(err, "%s", vkey);
		if (memcmp(verdict.mark_hash, hash, sizeof(hash)) != 0)
			return err_set(err, ERR_CORRUPT,
			    "%s: is of another mark", vkey);
		if (verdict.what == FMT_DELETE)
			memcpy(list, verdict.dead_hash, sizeof(list));
	}
	r = read_list(st, d, n, list, v == 0 && verdict.what == FMT_DELETE,
	    err);
	if (r < 0)
		return -1;
	if (r > 0 && v != 0) {
		/* Lists go only after a verdict, so there must be one now. */
		if (!again)
			return 2;
		return err_set(err, ERR_CORRUPT, "%s: its list of what is dead "
		    "is missing, and there is no verdict", mkey);
	}
	return v == 0 ? 0 : remember_open(d, &mobj, &mark.snapshots, err);
}

/*
 * Is generation n over and done?  Marks and verdicts stay for ever, so each
 * session would read all that there ever were; but one with a verdict and no
 * list left names nothing.  The listing may be believed in this: the list of a
 * mark is older than the mark, so it is missing only when it was removed, which
 * comes after the deletions; and no generation that is marked after this
 * session was declared comes to a delete verdict before the session is over.
 */
static bool is_done(const struct store_keys *keys, uint64_t n)
{
	char key[FMT_KEY_MAX], prefix[FMT_KEY_MAX];
	size_t len, lo = 0, hi = keys->n;

	fmt_key_verdict(key, n);
	if (!store_keys_has(keys, key))
		return false;
	len = (size_t)(strrchr(key, '/') - key);
	snprintf(prefix, sizeof(prefix), "%.*s/dead-", (int)len, key);
	len += strlen("/dead-");
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strncmp(store_keys_at(keys, mid), prefix, len) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo == keys->n ||
	    strncmp(store_keys_at(keys, lo), prefix, len) != 0;
}

/* Where lists take much memory, packs named in part count as dead wholly. */
static void bound_memory(struct store *st, struct store_dead *d)
{
	size_t all = 0;

	for (size_t i = 0; i < d->ngen; i++)
		all += d->gen[i].plain.cap;
	if (all <= st->opt.memory / 4)
		return;
	for (size_t i = 0; i < d->ngen; i++)
		d->gen[i].whole_parts = true;
}

/* Of generations that are not over, all that the listing shows is read. */
static void dead_ahead(struct store *st, const struct store_keys *keys)
{
	for (size_t i = 0; st->far && i < keys->n; i++) {
		struct fmt_key at;

		if (fmt_key_parse(store_keys_at(keys, i), &at) == 0 &&
		    !is_done(keys, at.n))
			backend_ahead_all(st->be, store_keys_at(keys, i));
	}
}

struct store_dead *store_dead_read(struct store *st, struct err *err)
{
	struct store_dead *d = mem_zalloc(sizeof(*d), "dead lists", err);
	struct store_keys keys = { 0 };
	int r = d == NULL ? -1 : store_keys_list(st->be, "gc/", &keys, err);

	dead_ahead(st, &keys);
	for (size_t i = 0; i < keys.n && r == 0; i++) {
		struct fmt_key at;

		if (fmt_key_parse(store_keys_at(&keys, i), &at) != 0 ||
		    at.place != FMT_AT_MARK || is_done(&keys, at.n))
			continue;
		r = read_generation(st, d, at.n, false, err);
		if (r == 2)
			r = read_generation(st, d, at.n, true, err);
	}
	store_keys_release(&keys);
	if (r != 0) {
		store_dead_free(d);
		return NULL;
	}
	bound_memory(st, d);
	return d;
}

/* --- asking -------------------------------------------------------------------------*/

static bool part_has(const struct dead_part *p, uint32_t ordinal)
{
	struct fmt_list l = p->ordinals;
	uint32_t at = 0, o;

	while (fmt_ordinal_next(&l, &at, &o) == 0) {
		if (o == ordinal)
			return true;
		if (o > ordinal)
			return false;
	}
	return false;
}

bool store_dead_has(const struct store_dead *d,
    const uint8_t name[FMT_PACK_NAME_LEN], uint32_t ordinal)
{
	struct dead_part want = { .name = name };

	for (size_t i = 0; i < d->ngen; i++) {
		const struct dead_gen *g = &d->gen[i];
		const struct dead_part *p;

		if (bsearch(&name, g->packs, g->npacks, sizeof(*g->packs),
		        name_cmp) != NULL)
			return true;
		p = bsearch(&want, g->parts, g->nparts, sizeof(*g->parts),
		    part_cmp);
		if (p != NULL && (g->whole_parts || part_has(p, ordinal)))
			return true;
	}
	return false;
}

bool store_dead_deleted(const struct store_dead *d,
    const uint8_t name[FMT_PACK_NAME_LEN])
{
	struct dead_part want = { .name = name };

	for (size_t i = 0; i < d->ngen; i++) {
		const struct dead_gen *g = &d->gen[i];

		if (g->deletes && (bsearch(&name, g->packs, g->npacks,
		        sizeof(*g->packs), name_cmp) != NULL ||
		    bsearch(&want, g->parts, g->nparts, sizeof(*g->parts),
		        part_cmp) != NULL))
			return true;
	}
	return false;
}

bool store_dead_deletes(const struct store_dead *d)
{
	for (size_t i = 0; i < d->ngen; i++)
		if (d->gen[i].deletes && d->gen[i].npacks +
		    d->gen[i].nparts > 0)
			return true;
	return false;
}

bool store_dead_may_carry(const struct store_dead *d,
    const uint8_t slot[STORE_SLOT_LEN], const char *session)
{
	for (size_t i = 0; i < d->nopen; i++) {
		struct fmt_list l = d->open[i].snapshots;
		uint8_t of[FMT_SLOT_LEN];
		char name[FMT_SESSION_MAX];
		bool listed = false;

		while (!listed && fmt_mark_next(&l, of, name) == 0)
			listed = memcmp(of, slot, sizeof(of)) == 0 &&
			    strcmp(name, session) == 0;
		if (!listed)
			return false;
	}
	return true;
}
