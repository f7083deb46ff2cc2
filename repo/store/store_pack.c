/*
 * Packs being written: choosing one, making room, finishing it.  A pack is
 * built in memory, sealed in place by whoever puts, and stored in one call.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/mem.h"
#include "repo/base/rand.h"
#include "repo/store/store_parity_internal.h"
#include "repo/store/store_session_internal.h"

void store_pack_free(struct store_pack *p)
{
	if (p == NULL)
		return;
	free(p->ent);
	free(p);
}

/* Return true when a blob of `len` bytes has room in it. */
static bool pack_fits(const struct store_pack *p, uint32_t len)
{
	struct fmt_pack_layout l;
	/* A blob larger than a small pack may have one of its own. */
	uint32_t most = p->n == 0 ? p->s->pack_size : p->soft;

	return fmt_pack_layout((uint64_t)p->end + len, p->n + 1, 0, &l,
	    NULL) == 0 && l.size <= most;
}

void store_pack_close(struct store_pack *p)
{
	struct store_session *s = p->s;

	for (int i = 0; i < 2; i++)
		if (s->open[p->kind][i] == p)
			s->open[p->kind][i] = NULL;
	p->closed = true;
	if (p->sealing == 0) {
		p->next = s->ready;
		s->ready = p;
	}
}

void store_pack_sealed(struct store_pack *p)
{
	if (--p->sealing == 0 && p->closed) {
		p->next = p->s->ready;
		p->s->ready = p;
	}
}

static struct store_pack_buf *pack_take_buffer(struct store_session *s,
    bool *ret_wait, struct err *err)
{
	for (unsigned i = 0; i < s->nbufs; i++) {
		struct store_pack_buf *b = &s->bufs[i];

		if (b->taken)
			continue;
		if (b->mem == NULL)
			b->mem = mem_pages(s->buf_len, "a pack", err);
		if (b->mem == NULL)
			return NULL;
		b->taken = true;
		return b;
	}
	*ret_wait = true;
	return NULL;
}

int store_pack_remember(struct store_session *s, struct store_pack *p,
    struct err *err)
{
	if (s->npacks == s->cappacks) {
		uint32_t cap = s->cappacks == 0 ? 16 : s->cappacks * 2;
		struct store_pack **v = realloc(s->packs, cap * sizeof(*v));

		if (v == NULL)
			return err_nomem(err, "a session's packs");
		s->packs = v;
		s->cappacks = cap;
	}
	p->index = s->npacks;
	s->packs[s->npacks++] = p;
	return 0;
}

/* A new pack with a name and a data key of its own; the head is left free. */
static struct store_pack *pack_open(struct store_session *s,
    enum store_kind kind, bool *ret_wait, struct err *err)
{
	struct store_pack_buf *b = pack_take_buffer(s, ret_wait, err);
	struct store_pack *p;

	if (b == NULL)
		return NULL;
	p = mem_zalloc(sizeof(*p), "a pack", err);
	if (p == NULL || store_pack_remember(s, p, err) != 0) {
		b->taken = false;
		store_pack_free(p);
		return NULL;
	}
	p->s = s;
	p->kind = kind;
	p->buf = b;
	p->soft = kind == STORE_DATA || s->pack_size < STORE_SMALL_PACK ?
	    s->pack_size : STORE_SMALL_PACK;
	rand_bytes(p->rec.name, sizeof(p->rec.name));
	rand_bytes(b->key, STORE_KEY_LEN);
	fmt_key_pack(p->key, p->rec.name);
	p->rec.epoch = s->epoch->n;
	p->rec.blob_kind = (uint8_t)kind;
	p->rec.key_method = kind == STORE_STATE ? FMT_KEY_XSEAL : FMT_KEY_BOX;
	p->rec.sealed_len = kind == STORE_STATE ? FMT_SEALED_KEY_XSEAL :
	    FMT_SEALED_KEY_BOX;
	p->rec.sealed_key = p->sealed_key;
	memcpy(p->rec.slot, s->st->info.slot, STORE_SLOT_LEN);
	p->end = FMT_PACK_HEAD_MIN + p->rec.sealed_len;
	return p;
}

/* Which of two open data packs: a coin, so that places tell less of order. */
static unsigned pack_toss(struct store_session *s)
{
	unsigned bit;

	if (s->coins == 0) {
		s->coin = rand_u64();
		s->coins = 64;
	}
	bit = s->coin & 1;
	s->coin >>= 1;
	s->coins--;
	return bit;
}

/*
 * The open pack where `len` bytes go: the one by toss, else the other when
 * they fit there.  Where they fit in neither, the fuller one is closed.
 */
static struct store_pack *pack_choose(struct store_session *s,
    enum store_kind kind, uint32_t len, bool *ret_wait, struct err *err)
{
	struct store_pack **open = s->open[kind];
	unsigned n = kind == STORE_DATA ? 2 : 1;
	unsigned i = n == 2 ? pack_toss(s) : 0;

	if (open[i] == NULL) {
		open[i] = pack_open(s, kind, ret_wait, err);
		if (open[i] == NULL && *ret_wait && n == 2 &&
		    open[!i] != NULL && pack_fits(open[!i], len)) {
			*ret_wait = false;
			return open[!i];
		}
	}
	if (open[i] == NULL)
		return NULL;
	if (pack_fits(open[i], len))
		return open[i];
	if (n == 2 && open[!i] != NULL) {
		if (pack_fits(open[!i], len))
			return open[!i];
		if (open[!i]->end > open[i]->end)
			i = !i;
	}
	if (open[i]->n == 0) {
		err_set(err, ERR_USAGE,
		    "a blob of %u bytes does not fit into a pack of %u", len,
		    s->pack_size);
		return NULL;
	}
	store_pack_close(open[i]);
	open[i] = pack_open(s, kind, ret_wait, err);
	if (open[i] != NULL && !pack_fits(open[i], len)) {
		err_set(err, ERR_USAGE,
		    "a blob of %u bytes does not fit into a pack of %u", len,
		    s->pack_size);
		return NULL;
	}
	return open[i];
}

struct store_pack *store_pack_reserve(struct store_session *s,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN], uint32_t len,
    uint32_t plain, uint32_t *ret_ordinal, bool *ret_wait, struct err *err)
{
	struct store_pack *p;

	*ret_wait = false;
	if (store_table_room(&s->table, s->packs, err) != 0)
		return NULL;
	p = pack_choose(s, kind, len, ret_wait, err);
	if (p == NULL)
		return NULL;
	if (p->n == p->cap) {
		uint32_t cap = p->cap == 0 ? 32 : p->cap * 2;
		struct store_ent *v = realloc(p->ent, cap * sizeof(*v));

		if (v == NULL) {
			err_nomem(err, "a pack's directory");
			return NULL;
		}
		p->ent = v;
		p->cap = cap;
	}
	memcpy(p->ent[p->n].id, id, STORE_ID_LEN);
	p->ent[p->n].offset = p->end;
	p->ent[p->n].sealed = len;
	p->ent[p->n].plain = plain;
	*ret_ordinal = p->n++;
	p->end += len;
	p->sealing++;
	store_table_add(&s->table, s->packs, p->index, *ret_ordinal);
	return p;
}

/* --- finishing ----------------------------------------------------------------*/

/* Memory that finishing a pack takes beside its buffer. */
struct finish {
	struct buf head, entries, dir, foot;
	struct fmt_sums sums;
};

static void finish_release(struct finish *f)
{
	buf_release(&f->head);
	buf_release(&f->entries);
	buf_release(&f->dir);
	buf_release(&f->foot);
	fmt_sums_release(&f->sums);
}

/* Head and directory into the buffer. */
static int finish_directory(struct store_pack *p, struct finish *f,
    const struct fmt_pack_layout *l, struct err *err)
{
	const struct store_epoch *ep = p->s->epoch;
	const struct store_own *own = p->s->st->own;
	struct fmt_dir_entry e;

	if (fmt_pack_head_add(&f->head, p->key, ep->n,
	        (enum fmt_blob_kind)p->kind, p->rec.slot, ep->content_pub,
	        ep->sec->k.pack, p->buf->key, err) != 0)
		return -1;
	memcpy(p->buf->mem, f->head.p, f->head.len);
	memcpy(p->sealed_key, f->head.p + FMT_PACK_HEAD_MIN,
	    p->rec.sealed_len);
	for (uint32_t i = 0; i < p->n; i++) {
		memcpy(e.id, p->ent[i].id, sizeof(e.id));
		e.offset = p->ent[i].offset;
		e.sealed_len = p->ent[i].sealed;
		e.plain_len = p->ent[i].plain;
		fmt_dir_entry_add(&f->entries, &e);
	}
	if (buf_check(&f->entries, "a pack's directory", err) != 0 ||
	    fmt_dir_seal(&f->dir, p->key, p->s->st->info.repository,
	        p->buf->mem, f->head.len, f->entries.p, p->n, l->padding,
	        own->half.sign_seed, ep->sec->k.directory, err) != 0)
		return -1;
	if (f->dir.len != l->dir_len)
		return err_set(err, ERR_BUG, "a directory of %zu bytes where "
		    "%" PRIu64 " were laid out", f->dir.len, l->dir_len);
	memcpy(p->buf->mem + l->dir_off, f->dir.p, f->dir.len);
	return 0;
}

/* Complete the pack in its buffer; p->rec.size becomes its size. */
static int pack_complete(struct store_pack *p, struct err *err)
{
	struct finish f = { BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT, { 0 } };
	struct fmt_pack_layout l;
	int r = -1;

	fmt_sums_init(&f.sums);
	if (fmt_pack_layout(p->end, p->n, p->last, &l, err) != 0)
		goto out;
	if (l.size > p->s->buf_len) {
		err_set(err, ERR_BUG, "it outgrew its buffer");
		goto out;
	}
	if (finish_directory(p, &f, &l, err) != 0)
		goto out;
	fmt_sums_add(&f.sums, p->buf->mem, l.sums_off);
	if (fmt_sums_end(&f.sums, l.nsums, err) != 0 ||
	    fmt_footer_add(&f.foot, p->key, p->buf->mem,
	        p->s->epoch->sec->k.footer, &l, err) != 0)
		goto out;
	memcpy(p->buf->mem + l.sums_off, f.sums.out.p, f.sums.out.len);
	memcpy(p->buf->mem + l.size - FMT_FOOTER_LEN, f.foot.p,
	    FMT_FOOTER_LEN);
	p->rec.size = (uint32_t)l.size;
	r = 0;
out:
	finish_release(&f);
	return r;
}

/* Complete and store it; its buffer is still taken. */
static int pack_store(struct store_pack *p, struct err *err)
{
	int r = pack_complete(p, err);

	if (r == 0)
		r = store_object_put(p->s->st->be, p->key, p->buf->mem,
		    p->rec.size, err);
	if (r > 0)
		r = err_set(err, ERR_CONFLICT,
		    "another object has its random name");
	return r == 0 ? 0 : err_wrap(err, "%s", p->key);
}

/*
 * The parity of a pack that is stored, before a segment names it.  Not before
 * the pack itself: so parity whose pack is not listed after it is of one that
 * is gone, and a collection may take it away.
 */
static int pack_parity(struct store_pack *p, size_t *ret_len, struct err *err)
{
	struct store_session *s = p->s;

	*ret_len = 0;
	if (s->parity_len == 0)
		return 0;
	if (p->buf->parity == NULL)
		p->buf->parity = mem_pages(s->parity_len, "parity", err);
	if (p->buf->parity == NULL)
		return -1;
	return store_parity_put(s->st, p->rec.name, p->buf->mem, p->rec.size,
	    p->buf->parity, ret_len, err);
}

/* The job of an executor: store a pack, give its buffer back. */
static void pack_finish(void *arg)
{
	struct store_pack *p = arg;
	struct store_session *s = p->s;
	struct err err = ERR_INIT;
	size_t parity = 0;
	bool skip;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	skip = s->failed;
	pthread_mutex_unlock(&s->lock);
	if (!skip)
		r = pack_store(p, &err);
	if (!skip && r == 0)
		r = pack_parity(p, &parity, &err);
	if (r != 0)
		store_session_fail(s, &err);
	pthread_mutex_lock(&s->lock);
	p->buf->taken = false;
	p->buf = NULL;
	if (!skip && r == 0) {
		p->arrived = true;
		s->stats.packs++;
		s->stats.bytes_sent += p->rec.size + parity;
		s->unnamed_bytes += p->rec.size;
		s->unnamed_entries += p->n;
		buf_add(&s->pack_names, p->rec.name, sizeof(p->rec.name));
	}
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (!skip && r == 0 && store_segment_flush(s, false, &err) != 0)
		store_session_fail(s, &err);
	pthread_mutex_lock(&s->lock);
	s->jobs--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void store_pack_drain(struct store_session *s)
{
	while (s->ready != NULL) {
		struct store_pack *p = s->ready;

		s->ready = p->next;
		p->next = NULL;
		s->jobs++;
		pthread_mutex_unlock(&s->lock);
		if (s->executor.submit != NULL)
			s->executor.submit(s->executor.ctx, pack_finish, p);
		else
			pack_finish(p);
		pthread_mutex_lock(&s->lock);
	}
}
