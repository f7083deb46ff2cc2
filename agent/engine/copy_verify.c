#include <stdlib.h>
#include <string.h>

#include "agent/engine/copy_ids.h"
#include "agent/engine/copy_tree.h"
#include "repo/base/mem.h"

/*
 * The copy is read back and compared.  Within a family the roots are the same
 * ids, so it is enough that all they reach opens there: an id stands for its
 * bytes.  Between families entries are compared one by one, and of each chunk
 * there the id that its bytes have here.
 */

struct verify {
	struct copy *c;
	const struct store_snapshot *far;
	struct store_worker **hands; /* of the far store, a worker's each */
	struct pages *pages;     /* of the far store */
	struct copy_fetch *fetch; /* of the far store */
	struct archive_catalog *at; /* the far catalog */
	struct copy_ids *pairs;  /* far id: id here */
	struct buf lost;         /* far chunks that are no good; under c->lock */
	struct err why;          /* why the first is not */
	bool same, differs;
	struct buf a, b;         /* two entries encoded */
};

static void differ(struct verify *v, const struct archive_path *dir,
    const struct fmt_entry *e, const char *what)
{
	struct err why = ERR_INIT;

	err_set(&why, ERR_CORRUPT, "%s", what);
	v->differs = true;
	copy_damaged(v->c, true, dir, e, &why);
}

/* --- chunks, by workers --------------------------------------------------------------*/

static int blob_lost(struct verify *v, const uint8_t *id, const struct err *why,
    struct err *err)
{
	int r;

	pthread_mutex_lock(&v->c->lock);
	if (v->lost.len == 0)
		v->why = *why;
	buf_add(&v->lost, id, STORE_ID_LEN);
	r = buf_check(&v->lost, "what is damaged", err);
	pthread_mutex_unlock(&v->c->lock);
	return r;
}

/* Has the far chunk the bytes that it is to have?  It was opened. */
static int blob_compare(struct verify *v, struct copy_hand *h,
    const uint8_t *id, struct err *err)
{
	struct err why = ERR_INIT;
	uint8_t here[STORE_ID_LEN];
	int r;

	if (v->same)
		return 0;
	r = copy_ids_get(v->pairs, id, here, err);
	if (r < 0)
		return -1;
	if (r == 0 && store_copy_is(h->from, STORE_DATA, h->plain.p,
	        h->plain.len, here))
		return 0;
	err_set(&why, ERR_CORRUPT, "a chunk has other bytes than here");
	return blob_lost(v, id, &why, err);
}

static int check_blob(void *ctx, unsigned self, const struct copy_need *n,
    const uint8_t *sealed, struct err *err)
{
	struct verify *v = ctx;
	struct copy_hand *h = &v->c->hands[self];
	struct err why = ERR_INIT;
	int r = -1;

	buf_reset(&h->plain);
	if (buf_reserve(&h->plain, n->loc.plain_len + 1) < 0)
		return err_nomem(err, "a blob");
	if (sealed != NULL)
		r = store_blob_open(v->c->to, v->hands[self], STORE_DATA, n->id,
		    &n->loc, sealed, h->plain.p, &why);
	if (r == 0)
		h->plain.len = n->loc.plain_len;
	else
		r = store_get(v->c->to, v->hands[self], STORE_DATA, n->id,
		    &h->plain, &why);
	if (r > 0)
		err_set(&why, ERR_CORRUPT, "no segment of the index names its "
		    "chunk");
	if (r < 0 && !copy_is_damage(&why)) {
		*err = why;
		return -1;
	}
	atomic_fetch_add(&v->c->e->progress.bytes_done, n->loc.plain_len);
	return r != 0 ? blob_lost(v, n->id, &why, err) :
	    blob_compare(v, h, n->id, err);
}

static int alive(void *ctx, struct err *err)
{
	return copy_alive(((struct verify *)ctx)->c, err);
}

/* Have a far chunk checked. */
static int check(struct verify *v, const uint8_t id[32], struct err *err)
{
	struct err why = ERR_INIT;
	int r;

	if (copy_fetch_full(v->fetch) && copy_fetch_run(v->fetch, err) < 0)
		return -1;
	r = copy_fetch_add(v->fetch, STORE_DATA, id, 0, &why);
	if (r == 0)
		return 0;
	if (r > 0)
		err_set(&why, ERR_CORRUPT, "no segment of the index names its "
		    "chunk");
	if (!copy_is_damage(&why)) {
		*err = why;
		return -1;
	}
	return blob_lost(v, id, &why, err);
}

/* --- what the snapshots say -------------------------------------------------------------*/

static bool strings_equal(const struct store_strings *a,
    const struct store_strings *b)
{
	bool equal = a->n == b->n;

	for (size_t i = 0; i < a->n && equal; i++)
		equal = strcmp(a->v[i], b->v[i]) == 0;
	return equal;
}

static bool told_equal(const struct store_snapshot *a,
    const struct store_snapshot *b)
{
	return a->content == b->content && a->flags == b->flags &&
	    a->start_ns == b->start_ns && a->end_ns == b->end_ns &&
	    a->size == b->size && a->files == b->files && a->dirs == b->dirs &&
	    a->others == b->others && strcmp(a->volume, b->volume) == 0 &&
	    strcmp(a->host, b->host) == 0 && strcmp(a->user, b->user) == 0 &&
	    strings_equal(&a->paths, &b->paths) &&
	    strings_equal(&a->tags, &b->tags);
}

static bool roots_equal(const struct store_snapshot *a,
    const struct store_snapshot *b)
{
	return memcmp(a->state.id, b->state.id, 32) == 0 &&
	    memcmp(a->catalog.id, b->catalog.id, 32) == 0 &&
	    a->entries == b->entries && strcmp(a->domain, b->domain) == 0;
}

/* --- within a family ---------------------------------------------------------------------*/

static int same_blob(void *ctx, uint8_t kind, const uint8_t id[32], bool page,
    const struct archive_path *dir, const struct fmt_entry *entry,
    struct err *err)
{
	struct verify *v = ctx;
	uint64_t ignored;
	uint64_t a, b;
	int r;

	(void)kind, (void)dir, (void)entry;
	memcpy(&a, id, 8);
	memcpy(&b, id + 8, 8);
	if (copy_alive(v->c, err) < 0)
		return -1;
	r = table_add(v->c->checked, a, b, 0, &ignored, err);
	if (r != 0)
		return r < 0 ? -1 : page;
	return page ? 0 : check(v, id, err);
}

static int same_bad(void *ctx, uint8_t kind, const uint8_t id[32],
    const struct archive_path *dir, const struct fmt_entry *entry,
    const struct err *why, struct err *err)
{
	struct verify *v = ctx;

	(void)kind, (void)id;
	if (!copy_is_damage(why)) {
		*err = *why;
		return -1;
	}
	v->differs = true;
	copy_damaged(v->c, true, dir, entry, why);
	return 0;
}

static int same_walk(struct verify *v, const struct archive_walk *look,
    bool state, struct err *err)
{
	const struct archive_io *io = pages_io(v->pages);
	const uint8_t *order = store_snapshot_order(v->c->to, v->far, err);
	struct archive_ref ref = copy_ref(&v->far->state);

	if (order == NULL)
		return -1;
	if (v->far->content == STORE_BLOCK)
		return archive_walk_map(io, &ref, look, err);
	if (state && archive_walk_state(io, &ref, look, err) < 0)
		return -1;
	ref = copy_ref(&v->far->catalog);
	return archive_walk_catalog(io, order, &ref, look, err);
}

static int verify_same(struct verify *v, struct err *err)
{
	const struct archive_walk look = { same_blob, same_bad, v };

	if (!roots_equal(v->c->sn, v->far))
		differ(v, NULL, NULL, "its roots are not those of the snapshot");
	return same_walk(v, &look, true, err);
}

/* --- between families ----------------------------------------------------------------------*/

/* The far chunk is to be that chunk here. */
static int pair(struct verify *v, const uint8_t *far, const uint8_t *here,
    struct err *err)
{
	struct err why = ERR_INIT;
	uint8_t was[32];
	int r = copy_ids_get(v->pairs, far, was, err);

	if (r < 0)
		return -1;
	if (r == 0 && memcmp(was, here, 32) == 0)
		return 0;
	if (r == 0) {
		err_set(&why, ERR_CORRUPT, "a chunk stands for two");
		return blob_lost(v, far, &why, err);
	}
	if (copy_ids_put(v->pairs, far, here, err) < 0)
		return -1;
	return check(v, far, err);
}

static int run_pair(struct verify *v, const struct fmt_run *here,
    const struct fmt_run *far, bool *equal, struct err *err)
{
	*equal = here->kind == far->kind && here->len == far->len;
	if (!*equal || here->kind != FMT_RUN_CHUNK)
		return 0;
	return pair(v, far->id, here->id, err);
}

static int runs_pair(struct verify *v, struct fmt_list here,
    struct fmt_list far, bool *equal, struct err *err)
{
	struct fmt_run a, b;
	int r = 0;

	*equal = here.n == far.n;
	while (*equal && r == 0 && fmt_run_next(&here, &a) == 0 &&
	    fmt_run_next(&far, &b) == 0)
		r = run_pair(v, &a, &b, equal, err);
	return r;
}

static int maps_pair(struct verify *v, const struct archive_ref *here,
    const struct archive_ref *far, bool *equal, struct err *err)
{
	struct archive_map *a = archive_map_open(pages_io(v->c->pages), here,
	    err), *b = NULL;
	struct fmt_run ra, rb;
	uint64_t off;
	int r = 0;

	if (a != NULL)
		b = archive_map_open(pages_io(v->pages), far, err);
	*equal = true;
	if (b == NULL)
		r = -1;
	while (r == 0 && *equal) {
		int x = archive_map_next(a, &off, &ra, err), y = -1;

		if (x >= 0)
			y = archive_map_next(b, &off, &rb, err);
		if (x < 0 || y < 0 || copy_alive(v->c, err) < 0) {
			r = -1;
			break;
		}
		*equal = x == y;
		if (x > 0 || y > 0)
			break;
		r = run_pair(v, &ra, &rb, equal, err);
	}
	archive_map_close(a);
	archive_map_close(b);
	return r;
}

static struct archive_ref map_of(const struct fmt_content *c)
{
	struct archive_ref x = { .level = c->level, .entries = c->entries };

	memcpy(x.id, c->id, 32);
	return x;
}

static int contents_pair(struct verify *v, const struct fmt_content *a,
    const struct fmt_content *b, bool *equal, struct err *err)
{
	struct archive_ref ra, rb;

	*equal = a->kind == b->kind && a->size == b->size;
	if (!*equal)
		return 0;
	switch (a->kind) {
	case FMT_CONTENT_INLINE:
		*equal = a->size == 0 || memcmp(a->bytes, b->bytes,
		    (size_t)a->size) == 0;
		return 0;
	case FMT_CONTENT_SLICE:
		*equal = a->chunk_len == b->chunk_len && a->off == b->off;
		return *equal ? pair(v, b->id, a->id, err) : 0;
	case FMT_CONTENT_RUNS:
		return runs_pair(v, a->runs, b->runs, equal, err);
	case FMT_CONTENT_MAP:
		ra = map_of(a);
		rb = map_of(b);
		return maps_pair(v, &ra, &rb, equal, err);
	default:
		return 0;
	}
}

/* All but the content, by its encoding. */
static int entries_equal(struct verify *v, const struct fmt_entry *a,
    const struct fmt_entry *b, bool *equal, struct err *err)
{
	struct fmt_entry x = *a, y = *b;

	x.content = (struct fmt_content){ .kind = FMT_CONTENT_HOLE };
	y.content = x.content;
	buf_reset(&v->a);
	buf_reset(&v->b);
	if (fmt_entry_encode(&v->a, &x, err) < 0 ||
	    fmt_entry_encode(&v->b, &y, err) < 0)
		return -1;
	*equal = v->a.len == v->b.len && memcmp(v->a.p, v->b.p, v->a.len) == 0;
	return 0;
}

/* The next entry of the source, in the far order. */
static int anew_entry(void *ctx, const struct archive_path *dir,
    const struct fmt_entry *e, bool twin, struct err *err)
{
	struct verify *v = ctx;
	struct archive_path far_dir;
	struct fmt_entry far;
	bool equal;
	int r;

	(void)twin;
	if (v->differs)
		return 0;
	r = archive_catalog_next(v->at, &far_dir, &far, err);
	if (r < 0)
		return -1;
	if (r > 0 || archive_path_cmp(dir, &far_dir) != 0) {
		differ(v, dir, e, "is not in the copy");
		return 0;
	}
	if (entries_equal(v, e, &far, &equal, err) < 0)
		return -1;
	if (equal && (e->bits & FMT_HAS_CONTENT) &&
	    contents_pair(v, &e->content, &far.content, &equal, err) < 0)
		return -1;
	if (!equal)
		differ(v, dir, e, "is not the same in the copy");
	return 0;
}

static int verify_tree(struct verify *v, struct err *err)
{
	const struct copy_tree t = { .entry = anew_entry, .ctx = v };
	const uint8_t *order = store_snapshot_order(v->c->to, v->far, err);
	struct archive_ref root = copy_ref(&v->far->catalog);
	struct archive_path dir;
	struct fmt_entry e;
	int r;

	if (order == NULL)
		return -1;
	v->at = archive_catalog_open(pages_io(v->pages), order, &root, err);
	if (v->at == NULL)
		return -1;
	r = copy_tree(v->c, order, &t, err);
	if (r == 0 && !v->differs && v->c->damages == 0) {
		r = archive_catalog_next(v->at, &dir, &e, err);
		if (r == 0)
			differ(v, &dir, &e, "is in the copy only");
		r = r < 0 ? -1 : 0;
	}
	archive_catalog_close(v->at);
	return r;
}

static int verify_anew(struct verify *v, struct err *err)
{
	struct archive_ref here = copy_ref(&v->c->sn->state);
	struct archive_ref far = copy_ref(&v->far->state);
	bool equal;
	int r;

	if (v->far->content == STORE_TREE)
		return verify_tree(v, err);
	r = maps_pair(v, &here, &far, &equal, err);
	if (r == 0 && !equal)
		differ(v, NULL, NULL, "is not the same in the copy");
	return r;
}

/* --- both -------------------------------------------------------------------------------------*/

static int name_blob(void *ctx, uint8_t kind, const uint8_t id[32], bool page,
    const struct archive_path *dir, const struct fmt_entry *entry,
    struct err *err)
{
	struct verify *v = ctx;

	(void)kind, (void)err;
	for (size_t i = 0; !page && i < v->lost.len; i += STORE_ID_LEN)
		if (memcmp(v->lost.p + i, id, STORE_ID_LEN) == 0) {
			copy_damaged(v->c, true, dir, entry, &v->why);
			break;
		}
	return 0;
}

static int name_bad(void *ctx, uint8_t kind, const uint8_t id[32],
    const struct archive_path *dir, const struct fmt_entry *entry,
    const struct err *why, struct err *err)
{
	(void)ctx, (void)kind, (void)id, (void)dir, (void)entry;
	(void)why, (void)err;
	return 0;
}

static int begin(struct verify *v, struct err *err)
{
	struct copy *c = v->c;
	const struct copy_sink sink = { check_blob, alive, v };

	if (c->checked == NULL)
		c->checked = table_new(c->memory, err);
	if (c->checked == NULL)
		return -1;
	v->hands = mem_array(c->nhands, sizeof(struct store_worker *), "a copy", err);
	if (v->hands == NULL)
		return -1;
	for (unsigned i = 0; i < c->nhands; i++) {
		v->hands[i] = store_worker_new(c->to, ZIP_OFF, 1 << 20,
		    v->far->domain, err);
		if (v->hands[i] == NULL)
			return -1;
	}
	v->pages = pages_new(c->to, v->far->domain, err);
	if (v->pages != NULL && !v->same)
		v->pairs = copy_ids_new(c->memory, err);
	if (v->pages == NULL || (!v->same && v->pairs == NULL))
		return -1;
	v->fetch = copy_fetch_new(c->e, c->to, c->memory, &sink, err);
	return v->fetch == NULL ? -1 : 0;
}

static void end(struct verify *v)
{
	copy_fetch_free(v->fetch);
	pages_free(v->pages);
	copy_ids_free(v->pairs);
	for (unsigned i = 0; v->hands != NULL && i < v->c->nhands; i++)
		store_worker_free(v->hands[i]);
	free(v->hands);
	buf_release(&v->lost);
	buf_release(&v->a);
	buf_release(&v->b);
}

/* A page of the copy that cannot be read is no failure of the run. */
static int damaged_page(struct verify *v, int r, struct err *err)
{
	if (r >= 0 || !copy_is_damage(err))
		return r;
	v->differs = true;
	copy_damaged(v->c, true, NULL, NULL, err);
	err_clear(err);
	return 0;
}

int copy_verify(struct copy *c, const struct store_snapshot *copy, bool same,
    struct err *err)
{
	struct verify v = { .c = c, .far = copy, .same = same };
	const struct archive_walk look = { name_blob, name_bad, &v };
	int r = begin(&v, err);

	if (r == 0) {
		if (!told_equal(c->sn, copy))
			differ(&v, NULL, NULL, "is described otherwise");
		r = same ? verify_same(&v, err) : verify_anew(&v, err);
		r = damaged_page(&v, r, err);
	}
	if (r == 0)
		r = copy_fetch_run(v.fetch, err);
	if (r == 0 && v.lost.len > 0) {
		v.differs = true;
		r = same_walk(&v, &look, false, err);
		/* What was checked for others is looked at again for this. */
		table_free(c->checked);
		c->checked = NULL;
	}
	end(&v);
	c->told.verified = r == 0 && !v.differs;
	c->told.differs = v.differs;
	return r;
}
