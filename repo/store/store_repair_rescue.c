/*
 * Packs whose structure is damaged: no copy in them counts from now on, and
 * what blobs can still be read are stored again.  Where the directory cannot be
 * read, the index tells what was in the pack.  What has parity is read by that;
 * then also single damaged blobs are stored again.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/store/store_parity_internal.h"
#include "repo/store/store_repair_internal.h"

#define QUEUE_MAX 65536u  /* blobs that the index named, to be read in order */
#define PLAIN_MIN ((size_t)4 << 20)

/* A pack of a segment that has to be rescued by what that says. */
struct wanted {
	uint32_t local;     /* its number there */
	struct fmt_pack_record rec;
	uint8_t key[FMT_SEALED_KEY_BOX];
};

/* A blob to be taken out of a pack. */
struct item {
	uint32_t wanted;    /* its place among those */
	uint32_t ordinal, offset, sealed, plain;
	uint8_t id[STORE_ID_LEN];
};

struct rescue {
	struct store_repair *r;
	struct store_worker *w;
	struct buf wanted;  /* of the segment at hand */
	struct item *queue;
	uint32_t n;
	struct buf sealed, plain, dir;
	/* Of the pack at hand: */
	struct store_heal *heal; /* its parity; NULL: none, or not yet opened */
	bool no_heal;            /* it has been looked for and there is none */
	uint64_t healed, lost;   /* blobs that it gave, or could not */
};

static bool is_broken(const struct rescue *x, const struct check_pack *p)
{
	return (p->flags & CHECK_BROKEN) &&
	    !store_dead_has(x->r->c.dead, p->name, 0);
}

/* A worker that knows the ids of every domain. */
static int rescue_worker(struct rescue *x, struct err *err)
{
	struct store *st = x->r->st;
	size_t most = PLAIN_MIN;

	if (x->w != NULL)
		return 0;
	if (st->info.stream.max > most)
		most = st->info.stream.max;
	if (st->info.block.max > most)
		most = st->info.block.max;
	x->w = store_worker_new(st, ZIP_FAST, most, NULL, err);
	return x->w == NULL ? -1 : store_worker_all_domains(x->w, err);
}

/* --- the pack at hand ------------------------------------------------------------------*/

static void pack_begin(struct rescue *x)
{
	store_heal_close(x->heal);
	x->heal = NULL;
	x->no_heal = false;
	x->healed = x->lost = 0;
}

/* Tell what its parity gave, and what not. */
static void pack_end(struct rescue *x, const char *pack)
{
	char what[120];

	if (x->healed > 0) {
		snprintf(what, sizeof(what), "%" PRIu64 " blobs %s by its "
		    "parity", x->healed, x->r->opt.dry_run ?
		    "can be put back" : "are put back");
		store_repair_tell(x->r, pack, what);
		x->r->ret.healed_blobs += x->healed;
	}
	if (x->lost > 0 && x->heal != NULL) {
		snprintf(what, sizeof(what), "%" PRIu64 " blobs are lost: more "
		    "is damaged than its parity can put back", x->lost);
		store_repair_tell(x->r, pack, what);
	}
	pack_begin(x);
}

/* Is there parity of the pack of that name?  0, 1 when there is none, -1. */
static int pack_heal(struct rescue *x, const uint8_t *name, struct err *err)
{
	struct err why = ERR_INIT;
	int r;

	if (x->heal != NULL || x->no_heal)
		return x->heal == NULL;
	r = store_heal_open(x->r->st, name, &x->heal, &why);
	x->no_heal = x->heal == NULL;
	if (r < 0 && !store_check_is_damage(&why)) {
		*err = why;
		return -1;
	}
	return r == 0 ? 0 : 1;
}

/* --- one blob --------------------------------------------------------------------------*/

/* Store what was read of a damaged pack, unless another copy counts. */
static int store_again(struct rescue *x, uint8_t kind, const uint8_t *id,
    const void *data, size_t len, struct err *err)
{
	struct store_put_result put;

	if (x->r->opt.dry_run || len > x->w->max_plain)
		return 0; /* no chunk is so long: nothing of ours */
	if (store_put_as(x->r->s, x->w, (enum store_kind)kind, id, data, len,
	        &put, err) != 0)
		return -1;
	x->r->ret.rescued += put.is_new;
	return 0;
}

/* A pack, and how its blobs are opened. */
struct source {
	const uint8_t *name;
	char pack[FMT_KEY_MAX];
	uint8_t kind;
	const uint8_t *key;
	bool only_damaged;  /* what can be read stays where it is */
};

/*
 * Read and open a blob, by parity or as it is: 0 with its bytes in x->plain, 1
 * when it cannot be had so, -1.
 */
static int blob_open(struct rescue *x, const struct source *from,
    const struct item *it, bool heal, struct err *err)
{
	struct err why = ERR_INIT;
	int r = heal ? store_heal_read(x->heal, it->offset, x->sealed.p,
	        it->sealed, &why) :
	    backend_get(x->r->st->be, from->pack, it->offset, x->sealed.p,
	        it->sealed, &why);

	if (r == 0)
		r = store_blob_open_with(x->r->st, x->w,
		    (enum store_kind)from->kind, it->id, it->ordinal,
		    from->key, x->sealed.p, it->sealed, x->plain.p, it->plain,
		    &why);
	if (r >= 0)
		return r;
	if (store_check_is_damage(&why))
		return 1;
	*err = why;
	return -1;
}

/* Is it known that this one is damaged, and another copy or list there? */
static int blob_settled(struct rescue *x, const struct source *from,
    const struct item *it, struct err *err)
{
	if (x->r->s == NULL)
		return store_bad_copy(x->r->c.bad, it->id, from->name);
	return store_present(x->r->s, it->id, err) == 0;
}

/* Read, open and store one blob.  0, also when it cannot be had; -1. */
static int rescue_blob(struct rescue *x, const struct source *from,
    const struct item *it, struct err *err)
{
	int r;

	if (store_repair_cancelled(x->r, err) != 0)
		return -1;
	if (it->sealed == 0 || it->sealed > FMT_BLOB_MAX)
		return 0;
	buf_reset(&x->sealed);
	buf_reset(&x->plain);
	if (buf_reserve(&x->sealed, it->sealed) != 0 ||
	    buf_reserve(&x->plain, (size_t)it->plain + 1) != 0)
		return err_nomem(err, "a blob");
	r = blob_open(x, from, it, false, err);
	if (r < 0)
		return -1;
	if (r == 0 && from->only_damaged)
		return 0;
	if (r > 0) {
		r = pack_heal(x, from->name, err);
		if (r == 0 && blob_settled(x, from, it, err))
			return 0;
		if (r == 0)
			r = blob_open(x, from, it, true, err);
		x->healed += r == 0;
		x->lost += r > 0;
	}
	if (r != 0)
		return r < 0 ? -1 : 0; /* that one is lost */
	return store_again(x, from->kind, it->id, x->plain.p, it->plain, err);
}

/* The data key of a pack by its head: 0, 1 when it does not open, -1. */
static int rescue_key(struct rescue *x, const char *pack,
    const struct fmt_pack_head *h, uint8_t ret[STORE_KEY_LEN],
    struct err *err)
{
	struct err why = ERR_INIT;
	const struct store_epoch *ep = store_epoch_find(x->r->st, h->epoch,
	    &why);

	if (ep != NULL && fmt_pack_key_open(pack, h, ep->sec->has_content ?
	        ep->sec->content : NULL, ep->sec->k.pack, ret, &why) == 0)
		return 0;
	if (store_check_is_damage(&why))
		return 1;
	*err = why;
	return -1;
}

/* --- by the pack's own directory ------------------------------------------------------*/

/*
 * Head and directory, by parity where they are damaged: 0, 1 when they cannot
 * be had, -1.
 */
static int directory_open(struct rescue *x, const struct check_pack *p,
    struct store_look *l, struct err *err)
{
	struct err why = ERR_INIT;
	int r = 1;

	if (p->size > 0 && (p->flags & CHECK_DIRECTORY)) {
		r = store_look_open(x->r->st, p->name, p->size, &x->dir, l,
		    &why);
		if (r < 0 && !store_check_is_damage(&why))
			goto fail;
	}
	if (r == 0)
		return 0;
	r = pack_heal(x, p->name, err);
	if (r != 0)
		return r;
	r = store_look_open_healed(x->r->st, x->heal, &x->dir, l, &why);
	if (r == 0 || store_check_is_damage(&why))
		return r == 0 ? 0 : 1;
fail:
	*err = why;
	return -1;
}

/*
 * All blobs of a pack by its directory, or only those that are damaged.  Sets
 * CHECK_DIRECTORY where it could be had.
 */
static int rescue_directory(struct rescue *x, struct check_pack *p,
    bool only_damaged, struct err *err)
{
	struct source from = { .name = p->name, .only_damaged = only_damaged };
	uint8_t key[STORE_KEY_LEN];
	struct store_look l;
	int r;

	pack_begin(x);
	fmt_key_pack(from.pack, p->name);
	r = directory_open(x, p, &l, err);
	if (r > 0) {
		if (x->heal != NULL)
			store_repair_tell(x->r, from.pack, "more is damaged "
			    "than its parity can put back");
		p->flags &= (uint16_t)~CHECK_DIRECTORY;
		return 0;
	}
	if (r == 0) {
		p->flags |= CHECK_DIRECTORY;
		from.kind = l.head.blob_kind;
		from.key = key;
		r = rescue_key(x, from.pack, &l.head, key, err);
	}
	if (r == 0)
		r = rescue_worker(x, err);
	for (uint32_t i = 0; r == 0 && i < l.count; i++) {
		struct item it = { .ordinal = i };
		struct fmt_dir_entry e;

		fmt_dir_entry_get(l.entries + (size_t)i * FMT_DIR_ENTRY_LEN,
		    &e);
		it.offset = e.offset;
		it.sealed = e.sealed_len;
		it.plain = e.plain_len;
		memcpy(it.id, e.id, sizeof(it.id));
		r = rescue_blob(x, &from, &it, err);
	}
	mem_wipe(key, sizeof(key));
	pack_end(x, from.pack);
	return r < 0 ? -1 : 0;
}

/* --- by what the index says --------------------------------------------------------------*/

static const struct wanted *wanted_at(const struct rescue *x, size_t i)
{
	return (const struct wanted *)(const void *)x->wanted.p + i;
}

static int item_cmp(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;

	if (a->wanted != b->wanted)
		return a->wanted < b->wanted ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Those of one pack, from the queue's place i on; *ret: behind them. */
static int queue_pack(struct rescue *x, uint32_t i, uint32_t *ret,
    struct err *err)
{
	uint32_t which = x->queue[i].wanted;
	const struct wanted *w = wanted_at(x, which);
	const struct fmt_pack_head h = {
		.epoch = w->rec.epoch, .blob_kind = w->rec.blob_kind,
		.key_method = w->rec.key_method, .sealed_key = w->key,
		.sealed_len = w->rec.sealed_len,
	};
	uint8_t key[STORE_KEY_LEN];
	struct source from = { .name = w->rec.name, .kind = w->rec.blob_kind,
		.key = key };
	int r;

	pack_begin(x);
	fmt_key_pack(from.pack, w->rec.name);
	r = rescue_key(x, from.pack, &h, key, err);
	if (r == 0)
		r = rescue_worker(x, err);
	for (; i < x->n && x->queue[i].wanted == which; i++)
		if (r == 0)
			r = rescue_blob(x, &from, &x->queue[i], err);
	mem_wipe(key, sizeof(key));
	pack_end(x, from.pack);
	*ret = i;
	return r < 0 ? -1 : 0;
}

static int queue_run(struct rescue *x, struct err *err)
{
	qsort(x->queue, x->n, sizeof(*x->queue), item_cmp);
	for (uint32_t i = 0; i < x->n;)
		if (queue_pack(x, i, &i, err) != 0)
			return -1;
	x->n = 0;
	return 0;
}

/* Which of the segment's packs are broken and have no directory? */
static int wanted_of(struct rescue *x, struct store_segment *sg,
    struct err *err)
{
	const struct fmt_section_layout *sec = &sg->lay.sec[FMT_SEC_P];
	uint8_t block[FMT_BLOCK_SEALED];
	uint32_t local = 0;

	buf_reset(&x->wanted);
	for (uint32_t i = 0; i < sec->blocks; i++) {
		struct err why = ERR_INIT;
		uint32_t len;

		if (store_segment_load(x->r->st, sg, sec->first + i, block,
		        &len, &why) != 0) {
			if (!store_check_is_damage(&why)) {
				*err = why;
				return -1;
			}
			local += sec->per_block;
			continue;
		}
		for (uint32_t at = 0; at + sec->record <= len;
		    at += sec->record) {
			struct wanted w = { .local = local++ };
			const struct check_pack *p;

			if (fmt_pack_record_get(block + at, sg->head.record,
			        &w.rec, NULL) != 0 ||
			    w.rec.sealed_len > sizeof(w.key))
				continue;
			p = store_check_find(&x->r->c, w.rec.name);
			if (p == NULL || p->size == 0 || !is_broken(x, p) ||
			    (p->flags & CHECK_DIRECTORY))
				continue;
			memcpy(w.key, w.rec.sealed_key, w.rec.sealed_len);
			buf_add(&x->wanted, &w, sizeof(w));
		}
	}
	return buf_check(&x->wanted, "what is damaged", err);
}

/* The place of the segment's pack among those wanted, or their number. */
static size_t wanted_find(const struct rescue *x, uint32_t local)
{
	size_t n = x->wanted.len / sizeof(struct wanted), lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (wanted_at(x, mid)->local == local)
			return mid;
		if (wanted_at(x, mid)->local < local)
			lo = mid + 1;
		else
			hi = mid;
	}
	return n;
}

static int rescue_block(struct rescue *x, const struct store_segment *sg,
    const uint8_t *p, uint32_t len, struct err *err)
{
	for (uint32_t at = 0; at + FMT_ENTRY_LEN <= len; at += FMT_ENTRY_LEN) {
		struct fmt_index_entry e;
		struct item *it;
		size_t w;

		if (fmt_index_entry_get(p + at, sg->head.packs, &e, NULL) != 0)
			continue;
		w = wanted_find(x, e.pack);
		if (w == x->wanted.len / sizeof(struct wanted))
			continue;
		it = &x->queue[x->n++];
		*it = (struct item){ (uint32_t)w, e.ordinal, e.offset,
			e.sealed_len, e.plain_len, { 0 } };
		memcpy(it->id, e.id, sizeof(it->id));
		if (x->n == QUEUE_MAX && queue_run(x, err) != 0)
			return -1;
	}
	return 0;
}

/* Also a segment that is damaged tells something, in its other blocks. */
static int rescue_segment(struct rescue *x, struct store_segment *sg,
    struct err *err)
{
	const struct fmt_section_layout *sec = &sg->lay.sec[FMT_SEC_E];
	uint8_t block[FMT_BLOCK_SEALED];

	if (wanted_of(x, sg, err) != 0)
		return -1;
	for (uint32_t i = 0; i < sec->blocks && x->wanted.len > 0; i++) {
		struct err why = ERR_INIT;
		uint32_t len;

		if (store_segment_load(x->r->st, sg, sec->first + i, block,
		        &len, &why) == 0) {
			if (rescue_block(x, sg, block, len, err) != 0)
				return -1;
		} else if (!store_check_is_damage(&why)) {
			*err = why;
			return -1;
		}
	}
	return queue_run(x, err);
}

/*
 * All segments that were listed: also those that the index passes over, for
 * damage to buckets or filters does not matter here.
 */
static int rescue_by_index(struct rescue *x, struct err *err)
{
	const struct store_keys *keys = &x->r->c.segments;
	int r = 0;

	x->queue = mem_array(QUEUE_MAX, sizeof(*x->queue), "damaged blobs",
	    err);
	if (x->queue == NULL)
		return -1;
	for (size_t i = 0; i < keys->n && r == 0; i++) {
		struct store_segment *sg = NULL;
		struct err why = ERR_INIT;
		struct fmt_key at;

		if (fmt_key_parse(store_keys_at(keys, i), &at) != 0 ||
		    (at.place != FMT_AT_SEGMENT && at.place != FMT_AT_MERGED))
			continue;
		r = store_segment_open(x->r->st, store_keys_at(keys, i),
		    keys->v[i].size, 0, &sg, &why);
		if (r == 0)
			r = rescue_segment(x, sg, err);
		else if (r > 0 || store_check_is_damage(&why))
			r = 0;
		else
			*err = why;
		store_segment_close(sg);
	}
	return r;
}

/* --- all of them ------------------------------------------------------------------------*/

/* List the broken packs. */
static int give_up(struct rescue *x, struct err *err)
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
	}
	return buf_check(&r->blobs.b, "a list of damaged blobs", err);
}

/* Single blobs are damaged, and there is parity. */
static bool is_hurt(const struct rescue *x, const struct check_pack *p)
{
	return (p->flags & CHECK_BAD) && (p->flags & CHECK_PARITY) &&
	    !(p->flags & CHECK_BROKEN) &&
	    !store_dead_has(x->r->c.dead, p->name, 0);
}

/* Is anything to be taken out of it? */
static bool is_source(const struct rescue *x, const struct check_pack *p)
{
	if (is_hurt(x, p))
		return true;
	return is_broken(x, p) && (p->size > 0 || (p->flags & CHECK_PARITY));
}

/* No copy in a pack that is a source counts for the session. */
static int sources_begin(struct rescue *x, struct err *err)
{
	struct store_repair *r = x->r;

	for (uint32_t i = 0; i < r->c.npacks && !r->opt.dry_run; i++) {
		const struct check_pack *p = &r->c.packs[i];

		if (is_source(x, p) && (store_repair_session(r, err) != 0 ||
		    store_bad_add_pack(r->s->bad, p->name, err) != 0))
			return -1;
	}
	return 0;
}

int store_repair_rescue(struct store_repair *r, struct err *err)
{
	struct rescue x = { .r = r };
	bool index = false;
	int res = give_up(&x, err);

	if (res == 0)
		res = sources_begin(&x, err);
	for (uint32_t i = 0; i < r->c.npacks && res == 0; i++) {
		struct check_pack *p = &r->c.packs[i];

		/* In a dry run it is told what parity could put back. */
		if (!is_source(&x, p) ||
		    (r->opt.dry_run && !(p->flags & CHECK_PARITY)))
			continue;
		if ((p->flags & (CHECK_DIRECTORY | CHECK_PARITY)) != 0)
			res = rescue_directory(&x, p, is_hurt(&x, p), err);
		index |= p->size > 0 && is_broken(&x, p) &&
		    !(p->flags & CHECK_DIRECTORY);
	}
	if (res == 0 && index && !r->opt.dry_run)
		res = rescue_by_index(&x, err);
	pack_begin(&x);
	store_worker_free(x.w);
	free(x.queue);
	buf_release(&x.wanted);
	buf_release(&x.sealed);
	buf_release(&x.plain);
	buf_release(&x.dir);
	return res;
}
