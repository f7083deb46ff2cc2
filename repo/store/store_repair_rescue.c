/*
 * Packs whose structure is damaged: no copy in them counts from now on, and
 * what blobs can still be read are stored again.  Where the directory cannot be
 * read, the index tells what was in the pack.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/store/store_repair_internal.h"

#define QUEUE_MAX 65536u  /* blobs that the index named, to be read in order */
#define PLAIN_MIN ((size_t)4 << 20)

/* A blob to be taken out of a pack. */
struct item {
	uint32_t pack;      /* in check.packs */
	uint32_t offset;
	uint8_t kind, slot[STORE_SLOT_LEN];
	uint8_t id[STORE_ID_LEN];
};

struct rescue {
	struct store_repair *r;
	struct store_worker *w;
	uint8_t slot[STORE_SLOT_LEN]; /* whose domain w has */
	struct item *queue;
	uint32_t n;
	struct buf sealed, plain, dir;
};

static bool is_broken(const struct rescue *x, const struct check_pack *p)
{
	return (p->flags & CHECK_BROKEN) &&
	    !store_dead_has(x->r->c.dead, p->name, 0);
}

/* A worker for the ids of that slot's domain: 0, 1 when it is not known, -1. */
static int rescue_worker(struct rescue *x, const uint8_t *slot,
    struct err *err)
{
	struct store *st = x->r->st;
	struct err why = ERR_INIT;
	const struct store_slot *sl;
	size_t most = PLAIN_MIN;

	if (x->w != NULL && memcmp(slot, x->slot, sizeof(x->slot)) == 0)
		return 0;
	sl = store_slot_find(st, slot, &why);
	if (sl == NULL) {
		if (store_check_is_damage(&why))
			return 1;
		*err = why;
		return -1;
	}
	if (st->info.stream.max > most)
		most = st->info.stream.max;
	if (st->info.block.max > most)
		most = st->info.block.max;
	store_worker_free(x->w);
	x->w = store_worker_new(st, ZIP_FAST, most, sl->domain, err);
	memcpy(x->slot, slot, sizeof(x->slot));
	return x->w == NULL ? -1 : 0;
}

/* Store what was read of a damaged pack, unless another copy counts. */
static int store_again(struct rescue *x, uint8_t kind, const void *data,
    size_t len, struct err *err)
{
	struct store_put_result put;

	if (len > x->w->max_plain)
		return 0; /* no chunk is so long: nothing of ours */
	if (store_put(x->r->s, x->w, (enum store_kind)kind, data, len, true,
	        &put, err) != 0)
		return -1;
	x->r->ret.rescued += put.is_new;
	return 0;
}

/* --- by the pack's own directory ------------------------------------------------------*/

static int rescue_entry(struct rescue *x, const struct store_look *l,
    const uint8_t *key, uint32_t ordinal, struct err *err)
{
	struct err why = ERR_INIT;
	struct fmt_dir_entry e;

	fmt_dir_entry_get(l->entries + (size_t)ordinal * FMT_DIR_ENTRY_LEN,
	    &e);
	if (e.sealed_len == 0 || e.sealed_len > FMT_BLOB_MAX)
		return 0;
	buf_reset(&x->sealed);
	buf_reset(&x->plain);
	if (buf_reserve(&x->sealed, e.sealed_len) != 0 ||
	    buf_reserve(&x->plain, e.plain_len + 1) != 0)
		return err_nomem(err, "a blob");
	if (backend_get(x->r->st->be, l->key, e.offset, x->sealed.p,
	        e.sealed_len, &why) == 0 &&
	    store_blob_open_with(x->r->st, x->w,
	        (enum store_kind)l->head.blob_kind, e.id, ordinal, key,
	        x->sealed.p, e.sealed_len, x->plain.p, e.plain_len, &why) == 0)
		return store_again(x, l->head.blob_kind, x->plain.p,
		    e.plain_len, err);
	if (why.class == ERR_NONE || store_check_is_damage(&why))
		return 0; /* that one is lost */
	*err = why;
	return -1;
}

static int rescue_directory(struct rescue *x, const struct check_pack *p,
    struct err *err)
{
	struct store *st = x->r->st;
	uint8_t key[STORE_KEY_LEN];
	struct err why = ERR_INIT;
	struct store_look l;
	int r = store_look_open(st, p->name, p->size, &x->dir, &l, &why);

	if (r == 0)
		r = fmt_pack_key_open(l.key, &l.head,
		    l.epoch->sec->has_content ? l.epoch->sec->content : NULL,
		    l.epoch->sec->k.pack, key, &why);
	if (r != 0) {
		if (store_check_is_damage(&why))
			return 0;
		*err = why;
		return -1;
	}
	r = rescue_worker(x, l.head.slot, err);
	for (uint32_t i = 0; i < l.count && r == 0; i++) {
		r = store_repair_cancelled(x->r, err);
		if (r == 0)
			r = rescue_entry(x, &l, key, i, err);
	}
	mem_wipe(key, sizeof(key));
	return r < 0 ? -1 : 0;
}

/* --- by what the index says --------------------------------------------------------------*/

static int item_cmp(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;

	if (a->pack != b->pack)
		return a->pack < b->pack ? -1 : 1;
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return memcmp(a->id, b->id, sizeof(a->id));
}

/* Read the copy of that blob in that pack: 0, 1 when it cannot be had, -1. */
static int read_copy(struct rescue *x, const struct item *it, struct err *err)
{
	const struct check_pack *p = &x->r->c.packs[it->pack];
	struct store *st = x->r->st;
	struct store_lookup lk;
	struct store_packent e;
	struct store_loc loc;
	int r;

	store_lookup_begin(st, &lk, it->id, UINT32_MAX, false);
	while ((r = store_lookup_next(st, &lk, &loc, err)) == 0) {
		if (!store_packtab_at(st->packs, loc.pack, &e) ||
		    memcmp(e.name, p->name, sizeof(e.name)) != 0)
			continue;
		r = store_get_copy(st, x->w, (enum store_kind)it->kind, it->id,
		    &loc, &x->plain, err);
		if (r == 0 || !store_check_is_damage(err))
			break;
	}
	store_lookup_end(st, &lk);
	return r;
}

static int queue_run(struct rescue *x, struct err *err)
{
	qsort(x->queue, x->n, sizeof(*x->queue), item_cmp);
	for (uint32_t i = 0; i < x->n; i++) {
		const struct item *it = &x->queue[i];
		int r;

		/* Two segments may name it. */
		if (i > 0 && item_cmp(it, it - 1) == 0)
			continue;
		if (store_repair_cancelled(x->r, err) != 0)
			return -1;
		r = rescue_worker(x, it->slot, err);
		if (r == 0)
			r = read_copy(x, it, err);
		if (r == 0)
			r = store_again(x, it->kind, x->plain.p, x->plain.len,
			    err);
		if (r < 0)
			return -1;
	}
	x->n = 0;
	return 0;
}

static int queue_add(struct rescue *x, uint32_t pack,
    const struct fmt_pack_record *rec, const struct fmt_index_entry *e,
    struct err *err)
{
	struct item *it = &x->queue[x->n++];

	it->pack = pack;
	it->offset = e->offset;
	it->kind = rec->blob_kind;
	memcpy(it->slot, rec->slot, sizeof(it->slot));
	memcpy(it->id, e->id, sizeof(it->id));
	return x->n == QUEUE_MAX ? queue_run(x, err) : 0;
}

/* A pack of a segment that has to be rescued by it. */
struct wanted {
	uint32_t local, pack;
	struct fmt_pack_record rec;
	uint8_t key[FMT_SEALED_KEY_BOX];
};

/* Which of the segment's packs are broken and have no directory? */
static int wanted_of(struct rescue *x, struct store_segment *sg,
    struct buf *ret, struct err *err)
{
	buf_reset(ret);
	for (uint32_t i = 0; i < sg->head.packs; i++) {
		struct wanted w = { .local = i };
		struct err why = ERR_INIT;
		const struct check_pack *p;

		if (store_segment_pack(x->r->st, sg, i, &w.rec, w.key,
		        &why) != 0) {
			if (store_check_is_damage(&why))
				continue;
			*err = why;
			return -1;
		}
		p = store_check_find(&x->r->c, w.rec.name);
		if (p == NULL || p->size == 0 || !is_broken(x, p) ||
		    (p->flags & CHECK_DIRECTORY))
			continue;
		w.pack = (uint32_t)(p - x->r->c.packs);
		buf_add(ret, &w, sizeof(w));
	}
	return buf_check(ret, "what is damaged", err);
}

static const struct wanted *wanted_find(const struct buf *b, uint32_t local)
{
	const struct wanted *v = (const struct wanted *)(const void *)b->p;
	size_t lo = 0, hi = b->len / sizeof(*v);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v[mid].local == local)
			return &v[mid];
		if (v[mid].local < local)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int rescue_block(struct rescue *x, const struct store_segment *sg,
    const struct buf *wanted, const uint8_t *p, uint32_t len, struct err *err)
{
	for (uint32_t at = 0; at + FMT_ENTRY_LEN <= len; at += FMT_ENTRY_LEN) {
		const struct wanted *w;
		struct fmt_index_entry e;

		if (fmt_index_entry_get(p + at, sg->head.packs, &e, NULL) != 0)
			continue;
		w = wanted_find(wanted, e.pack);
		if (w != NULL && queue_add(x, w->pack, &w->rec, &e, err) != 0)
			return -1;
	}
	return 0;
}

/* Also a segment that is damaged tells something, in its other blocks. */
static int rescue_segment(struct rescue *x, struct store_segment *sg,
    struct buf *wanted, struct err *err)
{
	const struct fmt_section_layout *sec = &sg->lay.sec[FMT_SEC_E];
	uint8_t block[FMT_BLOCK_SEALED];

	if (wanted_of(x, sg, wanted, err) != 0)
		return -1;
	for (uint32_t i = 0; i < sec->blocks && wanted->len > 0; i++) {
		struct err why = ERR_INIT;
		uint32_t len;

		if (store_segment_load(x->r->st, sg, sec->first + i, block,
		        &len, &why) == 0) {
			if (rescue_block(x, sg, wanted, block, len, err) != 0)
				return -1;
		} else if (!store_check_is_damage(&why)) {
			*err = why;
			return -1;
		}
	}
	return 0;
}

static int rescue_by_index(struct rescue *x, struct err *err)
{
	struct buf wanted = BUF_INIT;
	struct store_seglist *l;
	int r = 0;

	x->queue = mem_array(QUEUE_MAX, sizeof(*x->queue), "damaged blobs",
	    err);
	if (x->queue == NULL)
		return -1;
	l = store_index_ref(x->r->st);
	for (size_t i = 0; i < l->n && r == 0; i++)
		r = rescue_segment(x, l->v[i], &wanted, err);
	store_index_unref(x->r->st, l);
	buf_release(&wanted);
	return r == 0 ? queue_run(x, err) : -1;
}

/* --- all of them ------------------------------------------------------------------------*/

/* List the broken packs, and let no copy in them count for the session. */
static int give_up(struct rescue *x, bool *ret_directory, bool *ret_index,
    struct err *err)
{
	static const uint8_t none[STORE_ID_LEN];
	struct store_repair *r = x->r;

	for (uint32_t i = 0; i < r->c.npacks; i++) {
		struct check_pack *p = &r->c.packs[i];
		struct fmt_bad_entry e = { FMT_BAD_PACK, none, p->name };

		if (!is_broken(x, p))
			continue;
		if (r->blobs.n < STORE_BAD_MAX)
			fmt_list_add_bad(&r->blobs, &e);
		else
			r->ret.more = true;
		if (p->size == 0)
			continue;
		if (p->flags & CHECK_DIRECTORY)
			*ret_directory = true;
		else
			*ret_index = true;
		if (r->opt.dry_run)
			continue;
		if (store_repair_session(r, err) != 0 ||
		    store_bad_add_pack(r->s->bad, p->name, err) != 0)
			return -1;
	}
	return buf_check(&r->blobs.b, "a list of damaged blobs", err);
}

int store_repair_rescue(struct store_repair *r, struct err *err)
{
	bool directory = false, index = false;
	struct rescue x = { .r = r };
	int res = give_up(&x, &directory, &index, err);

	for (uint32_t i = 0; i < r->c.npacks && res == 0 && directory &&
	    !r->opt.dry_run; i++) {
		const struct check_pack *p = &r->c.packs[i];

		if (p->size > 0 && (p->flags & CHECK_DIRECTORY) &&
		    is_broken(&x, p))
			res = rescue_directory(&x, p, err);
	}
	if (res == 0 && index && !r->opt.dry_run)
		res = rescue_by_index(&x, err);
	store_worker_free(x.w);
	free(x.queue);
	buf_release(&x.sealed);
	buf_release(&x.plain);
	buf_release(&x.dir);
	return res;
}
