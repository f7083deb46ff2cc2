#include <stdlib.h>
#include <string.h>

#include "repo/archive/archive_internal.h"
#include "repo/base/mem.h"

/*
 * Catalog and state of a tree, written together.  The state names each catalog
 * leaf before its first entry, but a leaf has its id only when it is complete:
 * so the state's entries wait, encoded, for the end of the catalog leaf that
 * their entries are in.  What waits is never more than one leaf.
 */

struct archive_tree_writer {
	struct archive_tree cat, state;
	struct archive_pathbuf dir;  /* of the last entry */
	struct buf name;             /* its name */
	uint64_t name_h;
	bool any;                    /* there is a last entry */
	bool failed;
	struct buf enc;

	/* State entries of the open catalog leaf, see wait_state. */
	struct buf waiting;
	size_t kept;                 /* what all since share with the last's path */
	bool incomplete;             /* the leaf holds what the state leaves out */
	struct archive_pathbuf state_dir; /* of the state's last; hashes only */
	uint64_t state_h;            /* of the state's last */
	bool state_any;              /* there is one */
};

static int leaf_done(void *ctx, const uint8_t id[32], struct err *err);

struct archive_tree_writer *archive_tree_begin(const struct archive_io *io,
    const uint8_t order_key[32], struct err *err)
{
	struct archive_tree_writer *w = mem_zalloc(sizeof(*w), "a catalog", err);

	if (w == NULL)
		return NULL;
	archive_tree_init(&w->cat, io, ARCHIVE_CATALOG, FMT_PAGE_CATALOG,
	    order_key);
	archive_tree_init(&w->state, io, ARCHIVE_STATE, FMT_PAGE_STATE,
	    order_key);
	w->cat.leaf_done = leaf_done;
	w->cat.leaf_ctx = w;
	return w;
}

void archive_tree_free(struct archive_tree_writer *w)
{
	if (w == NULL)
		return;
	archive_tree_release(&w->cat);
	archive_tree_release(&w->state);
	archive_pathbuf_release(&w->dir);
	archive_pathbuf_release(&w->state_dir);
	buf_release(&w->name);
	buf_release(&w->enc);
	buf_release(&w->waiting);
	free(w);
}

/*
 * Make (dir, name) the last entry, which must come after the one before.
 * *ret_place is where it is.
 */
static int advance(struct archive_tree_writer *w, const struct archive_path *dir,
    const struct archive_comp *name, struct archive_place *ret_place,
    struct err *err)
{
	struct archive_path old = archive_pathbuf_path(&w->dir);
	struct archive_comp last = {
		.name = (const char *)w->name.p, .len = w->name.len,
		.h = w->name_h,
	};
	size_t kept = archive_path_common(&old, dir);
	bool same = kept == old.n && kept == dir->n;

	if (w->any && (same ? archive_name_cmp(&last, name) >= 0 :
	    kept == dir->n || (kept < old.n &&
	    archive_name_cmp(&old.c[kept], &dir->c[kept]) > 0)))
		return err_set(err, ERR_BUG, "entries are not in order");
	if (!same && archive_pathbuf_set(&w->dir, kept, dir, err) < 0)
		return -1;
	buf_reset(&w->name);
	buf_add(&w->name, name->name, name->len);
	w->name_h = name->h;
	*ret_place = (struct archive_place){
		.dir = dir->c, .ndir = dir->n, .name = *name,
		.new_dir = !same || !w->any,
	};
	if (kept < w->kept)
		w->kept = kept;
	w->any = true;
	return buf_check(&w->name, "a name", err);
}

/* --- the state, late ---------------------------------------------------------*/

/*
 * Let a state entry wait: components kept from the directory of the one
 * before and the hashes of the others, the name's hash, the encoded entry.
 */
static int wait_state(struct archive_tree_writer *w,
    const struct archive_path *dir, const struct fmt_state_entry *s,
    struct err *err)
{
	struct buf *b = &w->waiting;
	size_t at;

	buf_u32(b, (uint32_t)w->kept);
	buf_u32(b, (uint32_t)(dir->n - w->kept));
	for (size_t i = w->kept; i < dir->n; i++)
		buf_u64(b, dir->c[i].h);
	w->kept = dir->n;
	buf_u64(b, s->h);
	at = b->len;
	buf_u32(b, 0);
	if (fmt_state_entry_encode(b, s, err) < 0 ||
	    buf_check(b, "state entries", err) < 0)
		return -1;
	le32_put(b->p + at, (uint32_t)(b->len - at - 4));
	return 0;
}

/*
 * Go to the directory of the next state entry.  1 when it is another one; -1
 * when hashes do not ascend: the caller has not left out what it should have.
 */
static int state_dir(struct archive_tree_writer *w, struct rd *r,
    struct err *err)
{
	struct archive_pathbuf *d = &w->state_dir;
	uint32_t kept = rd_u32(r), fresh = rd_u32(r);
	bool same = fresh == 0 && kept == d->n;

	for (uint32_t i = 0; i < fresh; i++) {
		uint64_t h = rd_u64(r);

		if (i == 0 && kept < d->n && h <= d->c[kept].h)
			goto disorder;
		if (i == 0)
			archive_pathbuf_cut(d, kept);
		if (archive_pathbuf_push(d, "", 0, h, err) < 0)
			return -1;
	}
	if (fresh == 0 && kept < d->n)
		goto disorder;
	return !same;
disorder:
	return err_set(err, ERR_BUG, "directories of equal hash in a state");
}

/* A catalog leaf is stored: its state entries can go on. */
static int leaf_done(void *ctx, const uint8_t id[32], struct err *err)
{
	static const uint8_t no_id[32];
	struct archive_tree_writer *w = ctx;
	struct rd r = rd_init(w->waiting.p, w->waiting.len);
	const uint8_t *mark = w->incomplete ? no_id : id;

	while (r.left > 0) {
		struct archive_place at = { .new_dir = true };
		const uint8_t *enc;
		uint32_t len;
		int another = state_dir(w, &r, err);

		if (another < 0)
			return -1;
		at.new_dir = another || !w->state_any;
		at.dir = w->state_dir.c;
		at.ndir = w->state_dir.n;
		at.name.h = rd_u64(&r);
		if (!at.new_dir && at.name.h <= w->state_h)
			return err_set(err, ERR_BUG,
			    "names of equal hash in a state");
		w->state_any = true;
		w->state_h = at.name.h;
		len = rd_u32(&r);
		enc = rd_bytes(&r, len);
		if (archive_tree_room(&w->state, &at, mark, len, err) < 0 ||
		    archive_tree_put(&w->state, &at, mark, enc, len, err) < 0)
			return -1;
		mark = NULL;
	}
	buf_reset(&w->waiting);
	w->incomplete = false;
	return 0;
}

/* --- entries -------------------------------------------------------------------*/

static struct fmt_state_entry state_of(const struct archive_tree_entry *e)
{
	struct fmt_state_entry s = {
		.h = e->name.h, .type = e->entry.type,
		.bits = e->no_carry || e->partial ? FMT_NO_CARRY : 0,
	};

	if (e->entry.bits & FMT_HAS_CONTENT) {
		s.bits |= FMT_STATE_CONTENT | (e->partial ? FMT_STATE_PARTIAL : 0);
		s.content = e->entry.content;
	}
	memcpy(s.digest, e->digest, sizeof(s.digest));
	return s;
}

static int add(struct archive_tree_writer *w,
    const struct archive_tree_entry *e, struct err *err)
{
	struct fmt_state_entry s = state_of(e);
	struct fmt_entry entry = e->entry;
	struct archive_place at;

	if (advance(w, &e->dir, &e->name, &at, err) < 0)
		return -1;
	entry.name = e->name;
	buf_reset(&w->enc);
	if (fmt_entry_encode(&w->enc, &entry, err) < 0 ||
	    archive_tree_room(&w->cat, &at, NULL, w->enc.len, err) < 0)
		return -1;
	/* The state entry waits before the entry's leaf may end. */
	if (e->no_state)
		w->incomplete = true;
	else if (wait_state(w, &e->dir, &s, err) < 0)
		return -1;
	return archive_tree_put(&w->cat, &at, NULL, w->enc.p, w->enc.len, err);
}

static int usable(const struct archive_tree_writer *w, struct err *err)
{
	return w->failed ? err_set(err, ERR_BUG,
	    "a catalog is written on after a failure") : 0;
}

int archive_tree_add(struct archive_tree_writer *w,
    const struct archive_tree_entry *e, struct err *err)
{
	if (usable(w, err) < 0)
		return -1;
	if (add(w, e, err) == 0)
		return 0;
	w->failed = true;
	return -1;
}

bool archive_tree_at_cut(const struct archive_tree_writer *w)
{
	return archive_tree_empty_to(&w->cat, 0);
}

bool archive_tree_cuts_after(struct archive_tree_writer *w,
    const struct archive_path *dir, const struct archive_comp *name)
{
	uint64_t c;

	/* Asked of the writer's own cutter, which then forgets its directory. */
	w->cat.cutter_set = false;
	if (fmt_cutter_dir(&w->cat.cutter, dir->c, dir->n) < 0)
		return false;
	c = fmt_cutter_ask(&w->cat.cutter, name->h);
	return fmt_cut(c, 0, FMT_PAGE_MIN);
}

static int carry(struct archive_tree_writer *w, const uint8_t leaf[32],
    const struct archive_carried *v, size_t n, struct err *err)
{
	struct archive_place at;

	for (size_t i = 0; i < n; i++) {
		if (v[i].state->h != v[i].name.h)
			return err_set(err, ERR_BUG,
			    "a carried entry has another name's state");
		if (advance(w, &v[i].dir, &v[i].name, &at, err) < 0 ||
		    wait_state(w, &v[i].dir, v[i].state, err) < 0)
			return -1;
		if (i == 0 && archive_tree_carry_page(&w->cat, 0, &at, n, leaf,
		    err) < 0)
			return -1;
	}
	return leaf_done(w, leaf, err);
}

int archive_tree_carry(struct archive_tree_writer *w, const uint8_t leaf[32],
    const struct archive_carried *v, size_t n, struct err *err)
{
	if (usable(w, err) < 0)
		return -1;
	if (n == 0 || !archive_tree_at_cut(w) || bytes_are_zero(leaf, 32))
		return err_set(err, ERR_BUG,
		    "a catalog leaf is carried where none begins");
	if (carry(w, leaf, v, n, err) == 0)
		return 0;
	w->failed = true;
	return -1;
}

int archive_tree_finish(struct archive_tree_writer *w,
    struct archive_ref *ret_catalog, struct archive_ref *ret_state,
    struct err *err)
{
	if (usable(w, err) < 0)
		return -1;
	w->failed = true;
	if (archive_tree_root(&w->cat, ret_catalog, err) < 0)
		return -1;
	return archive_tree_root(&w->state, ret_state, err);
}
