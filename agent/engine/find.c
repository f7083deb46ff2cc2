#include <stdlib.h>
#include <string.h>

#include "agent/engine/fetch.h"
#include "agent/engine/find.h"
#include "agent/engine/find_seen.h"
#include "repo/archive/archive_common.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

#define LEVELS 66

/* A version of a path, with the snapshots that have it. */
struct version {
	uint8_t key[16];
	char *path;
	struct fmt_entry e;      /* without content, attributes and encoding */
	char *target;
	struct engine_find_span *span;
	uint32_t n, cap;
};

struct find {
	const struct engine_find_options *opt;
	struct store *st;
	struct find_seen *seen;
	struct version *v;
	size_t n, cap;
	uint32_t *table;         /* by key: place in v, and 1 */
	size_t mask;
	uint32_t *hit;           /* what leaves held: places in v */
	size_t nhits, hitcap;
	size_t bytes, most;
	uint64_t touched;        /* how often anything matched */
	uint64_t touched_at[LEVELS];
	size_t hits_at;          /* where those of this leaf begin */
	bool cut;                /* some of them are told and forgotten */
	uint32_t now;            /* the snapshot's place */
	const struct store_snapshot *last; /* looked through wholly before; NULL: none */
	uint32_t last_now;
	bool whole;
	struct buf path, key;
};

/* --- versions ---------------------------------------------------------------*/

static void drop_versions(struct find *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].path);
		free(f->v[i].target);
		free(f->v[i].span);
	}
	f->n = f->nhits = f->hits_at = 0;
	f->bytes = 0;
	if (f->table != NULL)
		memset(f->table, 0, (f->mask + 1) * sizeof(*f->table));
	find_seen_drop(f->seen);
}

static int by_path(const void *pa, const void *pb)
{
	const struct version *a = pa, *b = pb;
	int r = strcmp(a->path, b->path);
	uint32_t la = a->span[a->n - 1].last, lb = b->span[b->n - 1].last;

	return r != 0 ? r : (lb > la) - (lb < la);
}

static int tell(struct find *f, struct err *err)
{
	int r = 0;

	if (f->n > 1)
		qsort(f->v, f->n, sizeof(*f->v), by_path);
	for (size_t i = 0; i < f->n && r == 0; i++)
		r = f->opt->found(f->opt->ctx, f->v[i].path, &f->v[i].e, f->v[i].span,
		    f->v[i].n, err);
	drop_versions(f);
	return r;
}

static void make_key(struct find *f, const char *path, const struct fmt_entry *e,
    uint8_t ret[16])
{
	uint8_t sum[32];
	struct buf *b = &f->key;

	buf_reset(b);
	buf_u8(b, e->type);
	buf_u32(b, e->mode);
	buf_u32(b, e->uid);
	buf_u32(b, e->gid);
	buf_u64(b, (uint64_t)e->mtime_s);
	buf_u32(b, e->mtime_ns);
	buf_u64(b, e->content.size);
	buf_u32(b, e->major);
	buf_u32(b, e->minor);
	buf_u64(b, e->target.len);
	buf_add(b, e->target.p, e->target.len);
	buf_str(b, path);
	crypto_sha256(sum, b->p, b->len);
	memcpy(ret, sum, 16);
}

static size_t slot_of(const struct find *f, const uint8_t key[16])
{
	uint64_t h;
	size_t i;

	memcpy(&h, key, sizeof(h));
	for (i = h & f->mask; f->table[i] != 0; i = (i + 1) & f->mask)
		if (memcmp(f->v[f->table[i] - 1].key, key, 16) == 0)
			break;
	return i;
}

static int grow_table(struct find *f, struct err *err)
{
	size_t n = f->mask + 1;
	uint32_t *t;

	if (f->table != NULL && f->n * 2 < n)
		return 0;
	n = f->table != NULL ? n * 2 : 1024;
	t = mem_array(n, sizeof(*t), "what was found", err);
	if (t == NULL)
		return -1;
	free(f->table);
	f->table = t;
	f->mask = n - 1;
	for (size_t i = 0; i < f->n; i++)
		t[slot_of(f, f->v[i].key)] = (uint32_t)i + 1;
	return 0;
}

/* The version is in this snapshot. */
static int touch(struct find *f, struct version *v, struct err *err)
{
	f->touched++;
	if (v->n > 0 && v->span[v->n - 1].last == f->now)
		return 0;
	if (v->n > 0 && v->span[v->n - 1].last + 1 == f->now) {
		v->span[v->n - 1].last = f->now;
		return 0;
	}
	if (v->n == v->cap) {
		uint32_t cap = v->cap ? v->cap * 2 : 1;
		struct engine_find_span *s = reallocarray(v->span, cap, sizeof(*s));

		if (s == NULL)
			return err_nomem(err, "what was found");
		f->bytes += (cap - v->cap) * sizeof(*s);
		v->span = s;
		v->cap = cap;
	}
	v->span[v->n++] = (struct engine_find_span){ f->now, f->now };
	return 0;
}

static int add_version(struct find *f, const char *path, const struct fmt_entry *e,
    const uint8_t key[16], struct err *err)
{
	struct version *v;

	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;

		v = reallocarray(f->v, cap, sizeof(*v));
		if (v == NULL)
			return err_nomem(err, "what was found");
		f->v = v;
		f->cap = cap;
	}
	if (grow_table(f, err) < 0)
		return -1;
	v = &f->v[f->n];
	*v = (struct version){ .e = *e, .path = mem_strdup(path, err) };
	if (v->path == NULL)
		return -1;
	v->e.name = (struct fmt_comp){ 0 };
	v->e.xattrs = (struct fmt_list){ 0 };
	v->e.content = (struct fmt_content){ .size = e->content.size };
	v->e.raw = NULL;
	v->e.raw_len = 0;
	memcpy(v->key, key, sizeof(v->key));
	if (e->target.len > 0) {
		v->target = mem_memdup0(e->target.p, e->target.len, err);
		v->e.target.p = v->target;
		if (v->target == NULL) {
			free(v->path);
			return -1;
		}
	}
	f->table[slot_of(f, key)] = (uint32_t)++f->n;
	f->bytes += 2 * sizeof(*v) + strlen(path) + e->target.len + 96;
	return 0;
}

static int add_hit(struct find *f, uint32_t place, struct err *err)
{
	if (f->nhits == f->hitcap) {
		size_t cap = f->hitcap ? f->hitcap * 2 : 256;
		uint32_t *h = reallocarray(f->hit, cap, sizeof(*h));

		if (h == NULL)
			return err_nomem(err, "what was found");
		f->hit = h;
		f->hitcap = cap;
	}
	f->hit[f->nhits++] = place;
	f->bytes += 2 * sizeof(place);
	return 0;
}

/* --- the way through a snapshot ----------------------------------------------*/

static int on_page(void *ctx, const uint8_t id[32], unsigned level, struct err *err)
{
	struct find *f = ctx;
	uint32_t from, n;

	f->touched_at[level] = f->touched;
	if (level == 0) {
		f->hits_at = f->nhits;
		f->cut = false;
	}
	if (!find_seen_get(f->seen, id, &from, &n))
		return 0;
	for (uint32_t i = 0; i < n; i++)
		if (touch(f, &f->v[f->hit[from + i]], err) < 0)
			return -1;
	return 1;
}

static int on_left(void *ctx, const uint8_t id[32], unsigned level, struct err *err)
{
	struct find *f = ctx;

	(void)err;
	if (f->touched == f->touched_at[level])
		find_seen_put(f->seen, id, 0, 0);
	else if (level == 0 && !f->cut)
		find_seen_put(f->seen, id, (uint32_t)f->hits_at,
		    (uint32_t)(f->nhits - f->hits_at));
	return 0;
}

static int on_entry(void *ctx, const struct archive_path *dir,
    const struct fmt_entry *e, struct err *err)
{
	struct find *f = ctx;
	uint8_t key[16];
	size_t place;
	const char *path;

	if (e->name.len == 0)
		return 0;
	buf_reset(&f->path);
	for (size_t i = 0; i < dir->n; i++) {
		buf_add(&f->path, dir->c[i].name, dir->c[i].len);
		buf_u8(&f->path, '/');
	}
	buf_add(&f->path, e->name.name, e->name.len);
	buf_u8(&f->path, 0);
	if (buf_check(&f->path, "a path", err) < 0)
		return -1;
	path = (const char *)f->path.p;
	if (!f->opt->match(f->opt->ctx, path, e))
		return 0;
	make_key(f, path, e, key);
	if (f->key.failed)
		return err_nomem(err, "a path");
	place = f->table != NULL ? slot_of(f, key) : 0;
	if (f->table == NULL || f->table[place] == 0) {
		if (f->bytes > f->most) {
			int r = tell(f, err);

			if (r != 0)
				return r;
			f->cut = true;
			f->whole = false;
		}
		if (add_version(f, path, e, key, err) < 0)
			return -1;
		place = slot_of(f, key);
	}
	if (touch(f, &f->v[f->table[place] - 1], err) < 0)
		return -1;
	return add_hit(f, f->table[place] - 1, err);
}

static int on_bad(void *ctx, const struct err *why, struct err *err)
{
	struct find *f = ctx;

	if (why->class != ERR_CORRUPT) {
		*err = *why;
		return -1;
	}
	f->whole = false;
	if (f->opt->bad != NULL)
		f->opt->bad(f->opt->ctx, "(a part of the catalog)", why);
	return 0;
}

static int look_through(struct find *f, struct pages *p,
    const struct store_snapshot *sn, struct err *err)
{
	struct archive_visit to = { on_page, on_entry, on_left, on_bad, f };
	struct archive_ref root = { .level = sn->catalog.level,
	    .entries = sn->catalog.entries };
	const uint8_t *order;
	int r;

	memcpy(root.id, sn->catalog.id, sizeof(root.id));
	if (sn->sealed)
		return err_set(err, ERR_AUTH, "snapshot %s cannot be opened by this credential",
		    sn->id);
	order = store_snapshot_order(f->st, sn, err);
	if (order == NULL)
		return err_wrap(err, "snapshot %s", sn->id);
	f->whole = true;
	r = archive_catalog_visit(pages_io(p), order, &root, &to, err);
	f->last = r == 0 && f->whole ? sn : NULL;
	f->last_now = f->now;
	return r < 0 ? err_wrap(err, "snapshot %s", sn->id) : r;
}

/* The snapshot has the catalog of the one before: all of that is in it, too. */
static int as_before(struct find *f, struct err *err)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].span[f->v[i].n - 1].last == f->last_now &&
		    touch(f, &f->v[i], err) < 0)
			return -1;
	f->last_now = f->now;
	return 0;
}

static int one_snapshot(struct find *f, struct pages *p,
    const struct store_snapshot *sn, struct err *err)
{
	if (sn->content != STORE_TREE)
		return 0;
	if (f->last != NULL && !sn->sealed &&
	    memcmp(f->last->catalog.id, sn->catalog.id, sizeof(sn->catalog.id)) == 0)
		return as_before(f, err);
	return look_through(f, p, sn, err);
}

/* The snapshots of one volume, from the first on. */
static int one_volume(struct find *f, struct store_snapshot *const *v, size_t n,
    size_t first, bool *done, struct err *err)
{
	const char *domain = v[first]->domain;
	struct pages *p = pages_new(f->st, domain, err);
	int r = p != NULL ? 0 : -1;

	f->last = NULL;
	for (size_t i = first; i < n && r == 0; i++) {
		if (memcmp(v[i]->slot, v[first]->slot, sizeof(v[i]->slot)) != 0 ||
		    memcmp(v[i]->volume_id, v[first]->volume_id, 32) != 0 ||
		    strcmp(v[i]->domain, domain) != 0 || done[i])
			continue;
		done[i] = true;
		f->now = (uint32_t)i;
		r = one_snapshot(f, p, v[i], err);
	}
	pages_free(p);
	return r == 0 ? tell(f, err) : r;
}

int engine_find(struct store *st, struct store_snapshot *const *v, size_t n,
    const struct engine_find_options *opt, struct err *err)
{
	struct find f = { .opt = opt, .st = st, .most = opt->memory / 2 };
	bool *done = mem_array(n + 1, sizeof(*done), "the snapshots", err);
	int r = store_need(st, STORE_READ, "to look into snapshots", err);

	f.seen = find_seen_new(opt->memory / 2);
	if (f.seen == NULL)
		r = err_nomem(err, "what was seen");
	if (done == NULL)
		r = -1;
	for (size_t i = 0; i < n && r == 0; i++)
		if (!done[i])
			r = one_volume(&f, v, n, i, done, err);
	if (f.seen != NULL)
		drop_versions(&f);
	find_seen_free(f.seen);
	free(f.v);
	free(f.table);
	free(f.hit);
	free(done);
	buf_release(&f.path);
	buf_release(&f.key);
	return r;
}
