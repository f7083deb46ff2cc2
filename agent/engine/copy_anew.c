#include <stdlib.h>
#include <string.h>

#include "agent/engine/copy_ids.h"
#include "agent/engine/copy_tree.h"

/*
 * Between families: every blob is opened and put again, so that it gets the far
 * repository's id; catalog, state and maps are written anew, as their order and
 * their ids hang on its secret.  Cuts stay as they are: chunks are found by the
 * same copies, and by nothing else there.  The state says that nothing is to be
 * carried over, for the digests in it are keyed, and of inodes only it knows.
 */

#define RUNS 16384u          /* of a map, gathered at once */

struct anew {
	struct copy *c;
	const uint8_t *order;    /* of the far repository */
	struct archive_io io;    /* pages of the far one, written */
	struct archive_tree_writer *tree;
	struct fmt_list_buf runs; /* of the entry converted last */
	uint8_t id[32];          /* the same: of its slice or map */
};

/* --- one blob, by a worker --------------------------------------------------------*/

static int put_blob(void *ctx, unsigned self, const struct copy_need *n,
    const uint8_t *sealed, struct err *err)
{
	struct copy *c = ctx;
	struct copy_hand *h = &c->hands[self];
	struct store_put_result put;
	struct err ignored = ERR_INIT;
	bool opened = false;

	buf_reset(&h->plain);
	if (buf_reserve(&h->plain, n->loc.plain_len + 1) < 0)
		return err_nomem(err, "a blob");
	if (sealed != NULL)
		opened = store_blob_open(c->from, h->from, STORE_DATA, n->id,
		    &n->loc, sealed, h->plain.p, &ignored) == 0;
	if (opened) {
		h->plain.len = n->loc.plain_len;
	} else {
		int r = copy_get(c, h, STORE_DATA, n->id, err);

		if (r != 0)
			return r < 0 ? -1 : 0;
	}
	if (store_put(c->ss, h->to, STORE_DATA, h->plain.p, h->plain.len, false,
	        &put, err) < 0)
		return -1;
	atomic_fetch_add(&c->e->progress.bytes_done, n->loc.plain_len);
	atomic_fetch_add(&c->e->progress.bytes_stored, put.stored_len);
	return copy_ids_put(c->ids, n->id, put.id, err);
}

static int alive(void *ctx, struct err *err)
{
	return copy_alive(ctx, err);
}

/* Have the chunk put, unless it is known to be there. */
static int want(struct copy *c, const uint8_t id[32], struct err *err)
{
	uint8_t far[32];
	int r = copy_ids_get(c->ids, id, far, err);

	if (r == 0)
		r = store_present(c->ss, far, err);
	if (r <= 0)
		return r;
	if (copy_fetch_full(c->fetch) && copy_fetch_run(c->fetch, err) < 0)
		return -1;
	r = copy_fetch_add(c->fetch, STORE_DATA, id, 0, err);
	if (r > 0 || (r < 0 && copy_is_damage(err))) {
		struct err why = *err;

		if (r > 0)
			err_set(&why, ERR_CORRUPT, "no segment of the index "
			    "names its chunk");
		r = copy_lost(c, id, &why, err);
	}
	return r;
}

/* Its far id; the old one where it was lost, as nothing is committed then. */
static int far_id(struct copy *c, const uint8_t id[32], uint8_t ret[32],
    struct err *err)
{
	int r = copy_ids_get(c->ids, id, ret, err);

	if (r > 0 && c->lost.len == 0)
		return err_set(err, ERR_BUG, "a chunk was not copied");
	if (r > 0)
		memcpy(ret, id, 32);
	return r < 0 ? -1 : 0;
}

static int want_runs(struct copy *c, struct fmt_list runs, struct err *err)
{
	struct fmt_run run;

	while (fmt_run_next(&runs, &run) == 0)
		if (run.kind == FMT_RUN_CHUNK && want(c, run.id, err) < 0)
			return -1;
	return 0;
}

/* --- byte maps -----------------------------------------------------------------------*/

static int put_page(void *ctx, enum archive_kind kind, const void *page,
    size_t len, uint8_t ret_id[32], struct err *err)
{
	struct anew *a = ctx;
	struct store_put_result put;

	if (store_put(a->c->ss, copy_main(a->c)->to, (enum store_kind)kind, page,
	        len, false, &put, err) < 0)
		return -1;
	atomic_fetch_add(&a->c->e->progress.bytes_stored, put.stored_len);
	memcpy(ret_id, put.id, 32);
	return 0;
}

static int get_page(void *ctx, enum archive_kind kind, const uint8_t id[32],
    struct buf *ret_page, struct err *err)
{
	(void)ctx, (void)kind, (void)id, (void)ret_page;
	return err_set(err, ERR_BUG, "a far page is read while copying");
}

/* As archive_map_next; it ends where a page is damaged, which is told. */
static int next_run(struct copy *c, struct archive_map *m, struct fmt_run *run,
    bool *damaged, struct err *err)
{
	uint64_t off;
	int r = archive_map_next(m, &off, run, err);

	if (r < 0 && copy_is_damage(err)) {
		if (!*damaged)
			copy_damaged(c, false, NULL, NULL, err);
		*damaged = true;
		err_clear(err);
		r = 1;
	}
	return r;
}

/* The next runs are wanted, then had, then written.  1 at the end. */
static int map_batch(struct anew *a, struct archive_map *ahead,
    struct archive_map *at, struct archive_map_writer *w, bool *damaged,
    struct err *err)
{
	struct fmt_run run;
	unsigned n = 0;
	int r = 0;

	for (; n < RUNS && r == 0; n++) {
		r = next_run(a->c, ahead, &run, damaged, err);
		if (r == 0 && run.kind == FMT_RUN_CHUNK)
			r = want(a->c, run.id, err);
		if (r != 0)
			break;
	}
	if (r < 0 || *damaged || copy_alive(a->c, err) < 0 ||
	    copy_fetch_run(a->c->fetch, err) < 0)
		return *damaged ? 1 : -1;

	int last = r;

	for (r = 0; n > 0 && r == 0; n--) {
		uint8_t far[32];

		r = next_run(a->c, at, &run, damaged, err);
		if (r == 0 && run.kind == FMT_RUN_CHUNK) {
			r = far_id(a->c, run.id, far, err);
			memcpy(run.id, far, 32);
		}
		if (r == 0)
			r = archive_map_add(w, &run, err);
	}
	return r != 0 ? r : last;
}

static int map(struct anew *a, const struct archive_ref *root,
    struct archive_ref *ret, struct err *err)
{
	const struct archive_io *io = pages_io(a->c->pages);
	struct archive_map *ahead = archive_map_open(io, root, err), *at = NULL;
	struct archive_map_writer *w = NULL;
	bool damaged = false;
	int r = -1;

	if (ahead != NULL)
		at = archive_map_open(io, root, err);
	if (at != NULL)
		w = archive_map_begin(&a->io, a->order, err);
	if (w != NULL)
		r = 0;
	while (r == 0)
		r = map_batch(a, ahead, at, w, &damaged, err);
	if (r > 0)
		r = 0;
	/* What was damaged is committed nowhere. */
	*ret = *root;
	if (r == 0 && !damaged)
		r = archive_map_finish(w, ret, err);
	archive_map_free(w);
	archive_map_close(ahead);
	archive_map_close(at);
	return r;
}

/* --- trees ------------------------------------------------------------------------------*/

static int gather(void *ctx, const struct fmt_entry *e, struct err *err)
{
	struct anew *a = ctx;

	if (!(e->bits & FMT_HAS_CONTENT))
		return 0;
	if (e->content.kind == FMT_CONTENT_SLICE)
		return want(a->c, e->content.id, err);
	if (e->content.kind == FMT_CONTENT_RUNS)
		return want_runs(a->c, e->content.runs, err);
	return 0; /* maps are dealt with one by one */
}

static int gathered(void *ctx, struct err *err)
{
	struct anew *a = ctx;

	return copy_fetch_run(a->c->fetch, err);
}

static int convert_runs(struct anew *a, struct fmt_content *c, struct err *err)
{
	struct fmt_run run;

	fmt_list_release(&a->runs);
	while (fmt_run_next(&c->runs, &run) == 0) {
		uint8_t far[32];

		if (run.kind == FMT_RUN_CHUNK) {
			if (far_id(a->c, run.id, far, err) < 0)
				return -1;
			memcpy(run.id, far, 32);
		}
		fmt_list_add_run(&a->runs, &run);
	}
	c->runs = fmt_list_of(&a->runs);
	return buf_check(&a->runs.b, "a file's runs", err);
}

static int convert_map(struct anew *a, struct fmt_content *c, struct err *err)
{
	struct archive_ref root = { .level = c->level, .entries = c->entries };
	struct archive_ref far;

	memcpy(root.id, c->id, 32);
	if (map(a, &root, &far, err) < 0)
		return -1;
	memcpy(a->id, far.id, 32);
	c->id = a->id;
	c->level = far.level;
	c->entries = far.entries;
	return 0;
}

static int convert(void *ctx, struct fmt_entry *e, struct err *err)
{
	struct anew *a = ctx;
	struct fmt_content *c = &e->content;

	if (!(e->bits & FMT_HAS_CONTENT))
		return 0;
	switch (c->kind) {
	case FMT_CONTENT_SLICE:
		if (far_id(a->c, c->id, a->id, err) < 0)
			return -1;
		c->id = a->id;
		return 0;
	case FMT_CONTENT_RUNS:
		return convert_runs(a, c, err);
	case FMT_CONTENT_MAP:
		return convert_map(a, c, err);
	default:
		return 0;
	}
}

static int entry(void *ctx, const struct archive_path *dir,
    const struct fmt_entry *e, bool twin, struct err *err)
{
	struct anew *a = ctx;
	const struct archive_tree_entry te = {
		.dir = *dir, .name = e->name, .entry = *e,
		.no_carry = true, .no_state = twin,
	};

	return archive_tree_add(a->tree, &te, err);
}

static struct store_ref ref_of(const struct archive_ref *r)
{
	struct store_ref x = { .level = r->level, .entries = r->entries };

	memcpy(x.id, r->id, 32);
	return x;
}

static int tree(struct anew *a, struct store_commit *commit, struct err *err)
{
	const struct copy_tree t = { gather, gathered, convert, entry, a };
	struct archive_ref catalog, state;
	int r;

	a->tree = archive_tree_begin(&a->io, a->order, err);
	if (a->tree == NULL)
		return -1;
	r = copy_tree(a->c, a->order, &t, err);
	if (r == 0 && a->c->damages == 0)
		r = archive_tree_finish(a->tree, &catalog, &state, err);
	if (r == 0 && a->c->damages == 0) {
		commit->catalog = ref_of(&catalog);
		commit->state = ref_of(&state);
		commit->entries = catalog.entries;
	}
	archive_tree_free(a->tree);
	return r;
}

static int volume(struct anew *a, struct store_commit *commit, struct err *err)
{
	struct archive_ref root = copy_ref(&a->c->sn->state), far;
	int r = map(a, &root, &far, err);

	if (r == 0) {
		commit->state = ref_of(&far);
		commit->entries = far.entries;
	}
	return r;
}

int copy_anew(struct copy *c, struct store_commit *commit, struct err *err)
{
	const struct copy_sink sink = { put_blob, alive, c };
	struct anew a = { .c = c, .io = { get_page, put_page, &a },
		.order = store_order_key(c->to), .runs = FMT_LIST_BUF_INIT };
	int r = -1;

	if (c->ids == NULL)
		c->ids = copy_ids_new(c->memory, err);
	if (c->ids != NULL)
		c->fetch = copy_fetch_new(c->e, c->from, c->memory, &sink, err);
	if (c->fetch != NULL)
		r = c->opt->dry_run ? 0 : c->sn->content == STORE_BLOCK ?
		    volume(&a, commit, err) : tree(&a, commit, err);
	copy_fetch_free(c->fetch);
	c->fetch = NULL;
	fmt_list_release(&a.runs);
	return r;
}
