/*
 * Repacking (R7, R8): what has to stay of packs that are mostly dead is
 * opened, verified, sealed again into new packs and named by new segments,
 * all before the verdict that lets the old packs go.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"
#include "repo/store/store_check_internal.h"
#include "repo/store/store_gc_internal.h"
#include "repo/store/store_session_internal.h"

#define REPACK_SIZE ((uint32_t)64 << 20)
#define REPACK_MIN ((uint32_t)1 << 20)
#define REPACK_STEP ((uint32_t)64 << 10)
#define REPACK_BUFFERS 3        /* two open packs of a kind, and one more */
#define READ_MAX ((size_t)4 << 20)
#define READ_GAP ((uint32_t)64 << 10) /* so many dead bytes are read with others */
#define BATCH ((uint64_t)1 << 30)     /* new bytes between two points of safety */

/* A pack by its own directory. */
struct old_pack {
	const struct gc_pack *p;
	struct store_look o;
	uint8_t data_key[STORE_KEY_LEN];
};

struct repack {
	struct gc *g;
	struct store_session *s; /* NULL: none yet */
	char name[STORE_SESSION_MAX];
	struct buf dir, raw;     /* opened directory; sealed bytes */
	uint32_t *todo;          /* packs, by kind */
	uint32_t ntodo, first;   /* those before `first` are safe */
	uint64_t sent;           /* bytes when they became so */
};

/* --- reading --------------------------------------------------------------------------*/

static int old_read(const struct gc *g, const struct old_pack *o, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	int r = backend_get(g->st->be, o->o.key, off, dst, len, err);

	return r > 0 ? err_set(err, ERR_NOTFOUND, "is missing") : r;
}

/* Head, footer, directory and data key. */
static int old_open(struct repack *rp, struct old_pack *o, struct err *err)
{
	const struct store_epoch_secret *sec;

	if (store_look_open(rp->g->st, o->p->name, o->p->size, &rp->dir,
	        &o->o, err) != 0)
		return -1;
	if (o->o.head.blob_kind != o->p->kind)
		return err_set(err, ERR_CORRUPT,
		    "holds other blobs than the index says");
	for (uint32_t i = o->o.count; i < o->p->words * 64; i++)
		if (store_gc_bit(o->p->bits, o->p->words, i))
			return err_set(err, ERR_CORRUPT, "holds fewer blobs "
			    "than the index says");
	sec = o->o.epoch->sec;
	return fmt_pack_key_open(o->o.key, &o->o.head, sec->has_content ?
	    sec->content : NULL, sec->k.pack, o->data_key, err);
}

/* Has this blob to be moved?  What the mark did not name has, and more. */
static bool wanted(const struct gc_pack *p, uint32_t ordinal)
{
	if (store_gc_bit(p->bits, p->words, ordinal))
		return true;
	return (p->flags & GC_WHOLE) == 0 &&
	    !store_gc_bit(p->dead, p->dead_words, ordinal);
}

/* --- writing ----------------------------------------------------------------------------*/

/* Where the blob goes: 0, 1 when the same was moved already, -1. */
static int new_place(struct store_session *s, enum store_kind kind,
    const struct fmt_dir_entry *e, struct store_pack **ret_pack,
    uint32_t *ret_ordinal, struct err *err)
{
	bool wait = true;
	int r;

	pthread_mutex_lock(&s->lock);
	r = store_session_failed(s, err);
	if (r == 0 && store_table_has(&s->table, s->packs, e->id))
		r = 1;
	while (r == 0) {
		*ret_pack = store_pack_reserve(s, kind, e->id, e->sealed_len,
		    e->plain_len, ret_ordinal, &wait, err);
		if (*ret_pack != NULL)
			break;
		if (wait && s->ready == NULL)
			err_set(err, ERR_BUG, "no buffer for a new pack");
		if (!wait || s->ready == NULL)
			r = -1;
		else
			store_pack_drain(s);
		if (r == 0)
			r = store_session_failed(s, err);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* Seal what the worker has opened (prefix and payload) in its new place. */
static int new_blob(struct repack *rp, enum store_kind kind,
    const struct fmt_dir_entry *e, struct err *err)
{
	struct store_session *s = rp->s;
	uint8_t nonce[FMT_BLOB_NONCE_LEN], ad[FMT_BLOB_AD_LEN];
	struct store_worker *w = rp->g->w;
	struct store_pack *p = NULL;
	uint32_t ordinal;
	int r = new_place(s, kind, e, &p, &ordinal, err);

	if (r != 0)
		return r < 0 ? -1 : 0;
	fmt_blob_nonce(nonce, ordinal, e->id);
	fmt_blob_ad(ad, s->st->info.family, (enum fmt_blob_kind)kind, e->id);
	r = crypto_blob_seal(w->aead, p->buf->key, nonce, ad, sizeof(ad),
	    w->scratch, e->sealed_len - CRYPTO_TAG_LEN,
	    p->buf->mem + p->ent[ordinal].offset, err);
	if (r != 0)
		store_session_fail(s, err);
	pthread_mutex_lock(&s->lock);
	store_pack_sealed(p);
	store_pack_drain(s);
	if (r == 0)
		r = store_session_failed(s, err);
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* Open and verify one blob of those read, then store it anew. */
static int move_blob(struct repack *rp, const struct old_pack *o,
    uint32_t ordinal, const struct fmt_dir_entry *e, const uint8_t *sealed,
    struct err *err)
{
	enum store_kind kind = (enum store_kind)o->o.head.blob_kind;
	struct gc *g = rp->g;

	buf_reset(&g->plain);
	if (buf_reserve(&g->plain, (size_t)e->plain_len + 1) != 0)
		return err_nomem(err, "a blob");
	if (store_blob_open_with(g->st, g->w, kind, e->id, ordinal,
	        o->data_key, sealed, e->sealed_len, g->plain.p, e->plain_len,
	        err) != 0)
		return err_wrap(err, "blob %u", ordinal);
	return new_blob(rp, kind, e, err);
}

static void entry_at(const struct old_pack *o, uint32_t i,
    struct fmt_dir_entry *ret)
{
	fmt_dir_entry_get(o->o.entries + (size_t)i * FMT_DIR_ENTRY_LEN, ret);
}

/* The last of those after `first` that are read with it. */
static uint32_t run_end(const struct old_pack *o, uint32_t first)
{
	struct fmt_dir_entry a, b;
	uint32_t last = first;

	entry_at(o, first, &a);
	b = a;
	for (uint32_t i = first + 1; i < o->o.count; i++) {
		struct fmt_dir_entry e;

		entry_at(o, i, &e);
		if (e.offset + e.sealed_len - a.offset > READ_MAX ||
		    e.offset - (b.offset + b.sealed_len) > READ_GAP)
			break;
		if (!wanted(o->p, i))
			continue;
		last = i;
		b = e;
	}
	return last;
}

/* Move what is wanted of a pack. */
static int move_pack(struct repack *rp, struct old_pack *o, struct err *err)
{
	for (uint32_t i = 0; i < o->o.count; i++) {
		struct fmt_dir_entry a, e;
		uint32_t last;
		size_t len;

		if (!wanted(o->p, i))
			continue;
		last = run_end(o, i);
		entry_at(o, i, &a);
		entry_at(o, last, &e);
		len = (size_t)e.offset + e.sealed_len - a.offset;
		buf_reset(&rp->raw);
		if (buf_reserve(&rp->raw, len) != 0)
			return err_nomem(err, "a part of a pack");
		if (old_read(rp->g, o, a.offset, rp->raw.p, len, err) != 0)
			return -1;
		for (; i <= last; i++) {
			if (!wanted(o->p, i))
				continue;
			entry_at(o, i, &e);
			if (move_blob(rp, o, i, &e, rp->raw.p +
			        (e.offset - a.offset), err) != 0)
				return -1;
		}
		i = last;
	}
	return 0;
}

/* --- which, and when they are safe ---------------------------------------------------------*/

/*
 * A name for the segments.  No session object goes with it: who looks finds
 * it over, and it has nothing to commit.
 */
static void repack_name(struct repack *rp)
{
	struct fmt_session_name n = {
		.start_ms = (uint64_t)(clock_real_ns() / 1000000) &
		    ((UINT64_C(1) << 48) - 1),
	};

	rand_bytes(n.volume, sizeof(n.volume));
	rand_bytes(n.random, sizeof(n.random));
	fmt_session_text(rp->name, &n);
}

static int repack_begin(struct repack *rp, struct err *err)
{
	const struct store_info *i = &rp->g->st->info;
	/* Parity is made beside each pack. */
	size_t share = rp->g->memory / REPACK_BUFFERS /
	    (100u + i->parity_shards) * 100u;
	uint32_t size = share > REPACK_SIZE ? REPACK_SIZE :
	    (uint32_t)share / REPACK_STEP * REPACK_STEP;
	uint32_t least = (i->stream.max > i->block.max ? i->stream.max :
	    i->block.max) + (1 << 18);

	/* Any blob has to fit, pages of odd sizes too. */
	if (least < REPACK_MIN)
		least = REPACK_MIN;
	if (size < least)
		size = (least + REPACK_STEP - 1) / REPACK_STEP * REPACK_STEP;
	if (size < i->pack_size && i->pack_size <= share)
		size = i->pack_size;
	repack_name(rp);
	rp->s = store_session_unsaid(rp->g->st, rp->name, size,
	    REPACK_BUFFERS, err);
	return rp->s == NULL ? -1 : 0;
}

/* All that was moved is stored and named: its old packs may go. */
static int repack_safe(struct repack *rp, uint32_t upto, struct err *err)
{
	struct store_session_stats stats;
	struct gc *g = rp->g;

	if (rp->s != NULL && store_session_settle(rp->s, err) != 0)
		return -1;
	for (; rp->first < upto; rp->first++) {
		struct gc_pack *p = &g->packs.v[rp->todo[rp->first]];

		if (!(p->flags & GC_TAKE))
			continue; /* it was left as it is */
		p->flags |= GC_MOVED;
		g->ret->packs_repacked++;
		g->ret->bytes_repacked += p->size;
	}
	if (rp->s == NULL)
		return 0;
	store_session_stats(rp->s, &stats);
	g->ret->bytes_written += stats.bytes_sent - rp->sent;
	rp->sent = stats.bytes_sent;
	return 0;
}

/* Is it the repository that cannot give it, or this program that fails? */
static bool is_damage(const struct err *err)
{
	return err->class == ERR_CORRUPT || err->class == ERR_NOTFOUND;
}

static int repack_one(struct repack *rp, uint32_t at, struct err *err)
{
	struct gc_pack *p = &rp->g->packs.v[rp->todo[at]];
	struct old_pack o = { .p = p };
	struct err why = ERR_INIT;
	int r;

	if (rp->s == NULL && repack_begin(rp, err) != 0)
		return -1;
	r = old_open(rp, &o, &why);
	if (r == 0)
		r = move_pack(rp, &o, &why);
	mem_wipe(o.data_key, sizeof(o.data_key));
	if (r == 0) {
		p->flags |= GC_TAKE;
		return 0;
	}
	if (is_damage(&why) && !rp->s->failed) {
		log_msg(LOG_WARN, "%s: %s; it is left as it is ('wherry "
		    "check --read-data' tells who needs it)", o.o.key, why.msg);
		return 0;
	}
	*err = why;
	return err_wrap(err, "repacking %s", o.o.key);
}

static int repack_all(struct repack *rp, struct err *err)
{
	struct gc *g = rp->g;
	uint8_t kind = 0;

	for (uint32_t i = 0; i < rp->ntodo; i++) {
		const struct gc_pack *p = &g->packs.v[rp->todo[i]];
		struct store_session_stats stats = { .bytes_sent = rp->sent };

		if (store_gc_cancelled(g, err) != 0)
			return -1;
		store_gc_progress(g, "repacking", i, rp->ntodo);
		if (rp->s != NULL)
			store_session_stats(rp->s, &stats);
		if ((p->kind != kind || stats.bytes_sent - rp->sent >= BATCH) &&
		    repack_safe(rp, i, err) != 0)
			return -1;
		kind = p->kind;
		if (repack_one(rp, i, err) != 0)
			return -1;
	}
	return repack_safe(rp, rp->ntodo, err);
}

static int todo_cmp(const void *pa, const void *pb, void *ctx)
{
	const struct gc_packs *packs = ctx;
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	if (packs->v[a].kind != packs->v[b].kind)
		return packs->v[a].kind < packs->v[b].kind ? -1 : 1;
	return a < b ? -1 : a > b;
}

/* Which packs, by kind: few buffers are open at once. */
static int repack_list(struct repack *rp, struct err *err)
{
	struct gc *g = rp->g;
	uint64_t bytes = 0;

	rp->todo = mem_array((size_t)g->packs.n + 1, sizeof(*rp->todo),
	    "packs", err);
	if (rp->todo == NULL)
		return -1;
	for (uint32_t i = 0; i < g->packs.n && !g->full; i++) {
		struct gc_pack *p = &g->packs.v[i];

		if (!(p->flags & (GC_WHOLE | GC_PART)) || p->live == 0 ||
		    store_gc_pack_waste(p) <= g->max_waste)
			continue;
		if (g->opt->max_repack != 0 &&
		    bytes + p->size > g->opt->max_repack)
			continue;
		bytes += p->size;
		rp->todo[rp->ntodo++] = i;
	}
	qsort_r(rp->todo, rp->ntodo, sizeof(*rp->todo), todo_cmp, &g->packs);
	return 0;
}

int store_gc_repack(struct gc *g, struct err *err)
{
	struct repack rp = { .g = g };
	int r = repack_list(&rp, err);

	if (r == 0 && rp.ntodo > 0)
		r = store_gc_tools(g, err);
	if (r == 0 && rp.ntodo > 0)
		r = repack_all(&rp, err);
	if (r != 0 && err->class == ERR_FULL) {
		/* First what is wholly dead goes; there is room after that. */
		log_msg(LOG_WARN, "no room to repack: %s", err->msg);
		g->full = true;
		r = 0;
	}
	store_session_abort(rp.s);
	buf_release(&rp.dir);
	buf_release(&rp.raw);
	free(rp.todo);
	return r;
}
