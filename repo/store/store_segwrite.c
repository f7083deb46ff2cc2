/* Writing an index segment of the packs that a session has stored. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/clock.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"
#include "repo/store/store_session_internal.h"

/* One entry to be written, by reference. */
struct ref {
	const struct store_ent *ent;
	uint32_t pack, ordinal; /* number in this segment, place in the pack */
};

/* A segment being made in memory. */
struct making {
	struct store_session *s;
	char key[FMT_KEY_MAX];
	struct store_pack **packs; /* borrowed; numbered by place */
	uint32_t npacks;
	struct ref *refs;
	size_t nrefs;
	struct fmt_segment_head head;
	struct fmt_segment_layout lay;
	uint8_t *out;              /* the object, lay.size bytes */
	struct crypto_aead *aead;
	uint8_t block_key[32];
	uint8_t plain[FMT_BLOCK_PLAIN];
	uint32_t block;            /* the next to be sealed */
	size_t fill;               /* bytes in plain */
};

static int ref_cmp(const void *pa, const void *pb)
{
	const struct ref *a = pa, *b = pb;
	int c = memcmp(a->ent->id, b->ent->id, STORE_ID_LEN);

	if (c != 0)
		return c;
	if (a->pack != b->pack)
		return a->pack < b->pack ? -1 : 1;
	return a->ordinal < b->ordinal ? -1 : a->ordinal > b->ordinal;
}

/* Seal what plain holds as the next block. */
static int block_out(struct making *m, struct err *err)
{
	uint64_t off;
	uint32_t len;

	if (m->fill == 0)
		return 0;
	if (fmt_segment_block(&m->lay, m->block, &off, &len, err) != 0)
		return -1;
	if (len != m->fill)
		return err_set(err, ERR_BUG, "block %u has %zu bytes, not %u",
		    m->block, m->fill, len);
	if (fmt_block_seal(m->aead, m->block_key, m->block, m->plain, len,
	        m->out + off, m->out + m->lay.hashes_off +
	        (size_t)m->block * FMT_BLOCK_HASH, err) != 0)
		return -1;
	m->block++;
	m->fill = 0;
	return 0;
}

/* Room for the next record of a section; a full block goes out first. */
static uint8_t *record_room(struct making *m, enum fmt_section sec,
    struct err *err)
{
	const struct fmt_section_layout *l = &m->lay.sec[sec];
	uint8_t *at;

	if (m->fill / l->record >= l->per_block && block_out(m, err) != 0)
		return NULL;
	at = m->plain + m->fill;
	m->fill += l->record;
	return at;
}

static int write_packs(struct making *m, struct err *err)
{
	for (uint32_t i = 0; i < m->npacks; i++) {
		uint8_t *at = record_room(m, FMT_SEC_P, err);

		if (at == NULL || fmt_pack_record_put(at, m->head.record,
		        &m->packs[i]->rec, err) != 0)
			return -1;
	}
	return block_out(m, err);
}

static int write_entries(struct making *m, struct err *err)
{
	for (size_t i = 0; i < m->nrefs; i++) {
		const struct ref *x = &m->refs[i];
		struct fmt_index_entry e = {
			.pack = x->pack,
			.ordinal = x->ordinal,
			.offset = x->ent->offset,
			.sealed_len = x->ent->sealed,
			.plain_len = x->ent->plain,
		};
		uint8_t *at = record_room(m, FMT_SEC_E, err);

		if (at == NULL)
			return -1;
		memcpy(e.id, x->ent->id, sizeof(e.id));
		fmt_index_entry_put(at, &e);
	}
	return block_out(m, err);
}

static int write_filters(struct making *m, struct err *err)
{
	for (size_t i = 0; i < m->nrefs; i++) {
		uint8_t *at = record_room(m, FMT_SEC_F, err);

		if (at == NULL)
			return -1;
		le16_put(at, fmt_filter(m->refs[i].ent->id));
	}
	return block_out(m, err);
}

static int write_buckets(struct making *m, struct err *err)
{
	struct buf out = BUF_INIT;
	struct fmt_buckets x;
	int r;

	fmt_buckets_init(&x, m->head.bits);
	for (size_t i = 0; i < m->nrefs; i++)
		fmt_buckets_add(&x, m->refs[i].ent->id, &out);
	fmt_buckets_end(&x, &out);
	r = buf_check(&out, "an index segment", err);
	for (size_t i = 0; i + 4 <= out.len && r == 0; i += 4) {
		uint8_t *at = record_room(m, FMT_SEC_B, err);

		if (at == NULL)
			r = -1;
		else
			memcpy(at, out.p + i, 4);
	}
	buf_release(&out);
	return r == 0 ? block_out(m, err) : -1;
}

static int make_sections(struct making *m, struct err *err)
{
	const struct store *st = m->s->st;
	struct buf head = BUF_INIT;
	int r;

	fmt_segment_head_add(&head, &m->head);
	r = buf_check(&head, "an index segment", err);
	if (r == 0)
		memcpy(m->out, head.p, FMT_SEGMENT_HEAD);
	buf_release(&head);
	if (r != 0)
		return -1;
	fmt_segment_key(m->block_key, m->s->epoch->sec->k.segment,
	    m->head.salt);
	if (write_packs(m, err) != 0 || write_entries(m, err) != 0 ||
	    write_filters(m, err) != 0 || write_buckets(m, err) != 0)
		return -1;
	if (m->block != m->lay.blocks)
		return err_set(err, ERR_BUG, "%u blocks where %u were laid out",
		    m->block, m->lay.blocks);
	return fmt_segment_sign(m->out + m->lay.size - FMT_SIGNED_TAIL,
	    st->info.repository, m->key, m->out, m->out + m->lay.hashes_off,
	    m->lay.blocks, st->info.slot, st->own->half.sign_seed, err);
}

/* Sort the entries, make the object, store it. */
static int make_and_put(struct making *m, struct err *err)
{
	size_t n = 0;
	int r;

	for (uint32_t i = 0; i < m->npacks; i++)
		m->nrefs += m->packs[i]->n;
	m->refs = mem_array(m->nrefs + 1, sizeof(*m->refs), "an index segment",
	    err);
	if (m->refs == NULL)
		return -1;
	for (uint32_t i = 0; i < m->npacks; i++)
		for (uint32_t j = 0; j < m->packs[i]->n; j++)
			m->refs[n++] = (struct ref){ &m->packs[i]->ent[j], i, j };
	qsort(m->refs, n, sizeof(*m->refs), ref_cmp);
	m->head.epoch = m->s->epoch->n;
	memcpy(m->head.slot, m->s->st->info.slot, STORE_SLOT_LEN);
	m->head.entries = n;
	m->head.packs = m->npacks;
	m->head.record = FMT_RECORD_FOR(FMT_SEALED_KEY_BOX);
	m->head.bits = fmt_segment_bits(n);
	rand_bytes(m->head.salt, sizeof(m->head.salt));
	if (fmt_segment_layout(&m->head, &m->lay, err) != 0)
		return -1;
	m->out = mem_zalloc(m->lay.size, "an index segment", err);
	m->aead = m->out == NULL ? NULL : crypto_aead_new(err);
	if (m->aead == NULL || make_sections(m, err) != 0)
		return -1;
	r = store_object_put(m->s->st->be, m->key, m->out, m->lay.size, err);
	if (r > 0)
		return err_set(err, ERR_CONFLICT,
		    "another object has its name");
	return r;
}

static bool segment_due(const struct store_session *s)
{
	uint64_t bytes = s->stats.bytes_sent / 8;

	if (bytes < STORE_SEGMENT_BYTES_MIN)
		bytes = STORE_SEGMENT_BYTES_MIN;
	if (bytes > STORE_SEGMENT_BYTES_MAX)
		bytes = STORE_SEGMENT_BYTES_MAX;
	return s->unnamed_bytes >= bytes ||
	    s->unnamed_entries >= STORE_SEGMENT_ENTRIES ||
	    (s->unnamed_bytes > 0 &&
	     clock_mono_ns() - s->last_segment_ns >= STORE_SEGMENT_NS);
}

/* Under lock: take the packs that arrived and are in no segment. */
static int collect(struct store_session *s, struct making *m, struct err *err)
{
	m->packs = mem_array((size_t)s->npacks + 1, sizeof(*m->packs),
	    "an index segment", err);
	if (m->packs == NULL)
		return -1;
	for (uint32_t i = 0; i < s->npacks; i++)
		if (s->packs[i]->arrived && s->packs[i]->segment == 0)
			m->packs[m->npacks++] = s->packs[i];
	s->unnamed_bytes = 0;
	s->unnamed_entries = 0;
	s->last_segment_ns = clock_mono_ns();
	return 0;
}

/*
 * Forget the packs that opened segments name, and make the table of what is
 * left anew.
 */
static void forget_named(struct store_session *s, uint32_t opened)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->npacks; i++) {
		struct store_pack *p = s->packs[i];

		if (p->segment != 0 && p->segment <= opened) {
			store_pack_free(p);
			continue;
		}
		p->index = n;
		s->packs[n++] = p;
	}
	s->npacks = n;
	s->named_entries = 0;
	store_table_clear(&s->table);
	/* It had room for more than these, so none need be made. */
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < s->packs[i]->n; j++)
			store_table_add(&s->table, s->packs, i, j);
}

/* Open the own segments that are not yet, so that entries can be forgotten. */
static int open_named(struct store_session *s, uint32_t last, struct err *err)
{
	char key[FMT_KEY_MAX];

	while (s->opened_segments < last) {
		fmt_key_segment(key, s->st->info.slot, s->name,
		    s->opened_segments + 1);
		if (store_index_open_own(s->st, key, err) != 0)
			return -1;
		s->opened_segments++;
	}
	return 0;
}

/* What is to be done with s->segmenting held. */
static int flush(struct store_session *s, struct making *m, struct err *err)
{
	bool forget;
	int r = make_and_put(m, err);

	if (r != 0)
		return err_wrap(err, "%s", m->key);
	store_index_stale(s->st);
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < m->npacks; i++)
		m->packs[i]->segment = s->next_segment;
	s->next_segment++;
	s->stats.segments++;
	s->stats.bytes_sent += m->lay.size;
	s->named_entries += m->nrefs;
	forget = s->named_entries >= STORE_TABLE_KEEP;
	pthread_mutex_unlock(&s->lock);
	if (!forget)
		return 0;
	r = open_named(s, s->next_segment - 1, err);
	if (r != 0)
		return -1;
	pthread_mutex_lock(&s->lock);
	forget_named(s, s->opened_segments);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

int store_segment_flush(struct store_session *s, bool now, struct err *err)
{
	struct making *m;
	int r;

	pthread_mutex_lock(&s->lock);
	while (now && s->segmenting)
		pthread_cond_wait(&s->changed, &s->lock);
	if (s->segmenting || !(now || segment_due(s))) {
		pthread_mutex_unlock(&s->lock);
		return 0;
	}
	m = mem_zalloc(sizeof(*m), "an index segment", err);
	r = m == NULL ? -1 : collect(s, m, err);
	s->segmenting = true;
	pthread_mutex_unlock(&s->lock);

	if (r == 0 && m->npacks > 0) {
		m->s = s;
		fmt_key_segment(m->key, s->st->info.slot, s->name,
		    s->next_segment);
		r = flush(s, m, err);
	}
	if (m != NULL) {
		mem_wipe(m->block_key, sizeof(m->block_key));
		crypto_aead_free(m->aead);
		free(m->packs);
		free(m->refs);
		free(m->out);
		free(m);
	}
	pthread_mutex_lock(&s->lock);
	s->segmenting = false;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return r;
}
