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
	size_t kept;                 /* of the directory of the last that waits */
	bool incomplete;             /* the leaf holds what the state leaves out */
	struct archive_pathbuf state_dir; /* of the state's last; hashes only */
	bool state_any;
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
 * *ret_place is where it is, *ret_kept what the directories have in common.
 */
static int advance(struct archive_tree_writer *w, const struct archive_path *dir,
    const struct archive_comp *name, struct archive_place *ret_place,
    size_t *ret_kept, struct err *err)
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
	*ret_kept = kept;
	w->any = true;
	return buf_check(&w->name, "a name", err);
}

/* --- the state, late ---------------------------------------------------------*/

/* Append to the state an entry in w->state_dir. */
static int add_state(struct archive_tree_writer *w, bool new_dir, uint64_t h,
    const uint8_t *mark, const void *enc, size_t len, struct err *err)
{
	struct archive_place at = {
		.dir = w->state_dir.c, .ndir = w->state_dir.n,
		.new_dir = new_dir || !w->state_any, .name = { .h = h },
	};

	w->state_any = true;
	if (archive_tree_room(&w->state, &at, mark, len, err) < 0)
		return -1;
	return archive_tree_put(&w->state, &at, mark, enc, len, err);
}

static int push_hash(struct archive_tree_writer *w, uint64_t h, struct err *err)
{
	return archive_pathbuf_push(&w->state_dir, "", 0, h, err);
}

/*
 * Let the state's entry wait: components kept from the directory of the one
 * before and the hashes of the others, the name's hash, the encoded entry.
 */
static int wait_state(struct archive_tree_writer *w,
    const struct archive_tree_entry *e, struct err *err)
{
	struct buf *b = &w->waiting;
	struct fmt_state_entry s = {
		.h = e->name.h, .type = e->entry.type,
		.bits = e->no_carry ? FMT_NO_CARRY : 0,
	};
	size_t at;

	if (e->entry.bits & FMT_HAS_CONTENT) {
		s.bits |= FMT_STATE_CONTENT;
		s.content = e->entry.content;
	}
	memcpy(s.digest, e->digest, sizeof(s.digest));
	buf_u32(b, (uint32_t)w->kept);
	buf_u32(b, (uint32_t)(e->dir.n - w->kept));
	for (size_t i = w->kept; i < e->dir.n; i++)
		buf_u64(b, e->dir.c[i].h);
	w->kept = e->dir.n;
	buf_u64(b, e->name.h);
	at = b->len;
	buf_u32(b, 0);
	if (fmt_state_entry_encode(b, &s, err) < 0 ||
	    buf_check(b, "state entries", err) < 0)
		return -1;
	le32_put(b->p + at, (uint32_t)(b->len - at - 4));
	return 0;
}

/* A catalog leaf is stored: its state entries can go on. */
static int leaf_done(void *ctx, const uint8_t id[32], struct err *err)
{
	static const uint8_t no_id[32];
	struct archive_tree_writer *w = ctx;
	struct rd r = rd_init(w->waiting.p, w->waiting.len);
	const uint8_t *mark = w->incomplete ? no_id : id;

	while (r.left > 0) {
		uint32_t kept = rd_u32(&r), fresh = rd_u32(&r), len;
		bool new_dir = fresh > 0 || kept != w->state_dir.n;
		uint64_t h;

		archive_pathbuf_cut(&w->state_dir, kept);
		for (uint32_t i = 0; i < fresh; i++) {
			if (push_hash(w, rd_u64(&r), err) < 0)
				return -1;
		}
		h = rd_u64(&r);
		len = rd_u32(&r);
		if (add_state(w, new_dir, h, mark, rd_bytes(&r, len), len,
		    err) < 0)
			return -1;
		mark = NULL;
	}
	buf_reset(&w->waiting);
	w->incomplete = false;
	return 0;
}

/* --- entries -------------------------------------------------------------------*/

static int add(struct archive_tree_writer *w,
    const struct archive_tree_entry *e, struct err *err)
{
	struct archive_place at;
	struct fmt_entry entry = e->entry;
	size_t kept;

	if (advance(w, &e->dir, &e->name, &at, &kept, err) < 0)
		return -1;
	entry.name = e->name;
	buf_reset(&w->enc);
	if (fmt_entry_encode(&w->enc, &entry, err) < 0 ||
	    archive_tree_room(&w->cat, &at, NULL, w->enc.len, err) < 0)
		return -1;
	if (kept < w->kept)
		w->kept = kept;
	if (e->no_state)
		w->incomplete = true;
	else if (wait_state(w, e, err) < 0)
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
	size_t kept;

	for (size_t i = 0; i < n; i++) {
		bool new_dir;

		if (advance(w, &v[i].dir, &v[i].name, &at, &kept, err) < 0)
			return -1;
		if (v[i].state->h != v[i].name.h)
			return err_set(err, ERR_BUG,
			    "a carried entry has another name's state");
		if (i == 0 && archive_tree_carry_page(&w->cat, 0, &at, n, leaf,
		    err) < 0)
			return -1;
		if (kept < w->kept)
			w->kept = kept;
		new_dir = w->kept != v[i].dir.n ||
		    w->kept != w->state_dir.n;
		archive_pathbuf_cut(&w->state_dir, w->kept);
		for (size_t k = w->kept; k < v[i].dir.n; k++) {
			if (push_hash(w, v[i].dir.c[k].h, err) < 0)
				return -1;
		}
		w->kept = v[i].dir.n;
		buf_reset(&w->enc);
		if (fmt_state_entry_encode(&w->enc, v[i].state, err) < 0 ||
		    add_state(w, new_dir, v[i].name.h, i == 0 ? leaf : NULL,
		    w->enc.p, w->enc.len, err) < 0)
			return -1;
	}
	return 0;
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
