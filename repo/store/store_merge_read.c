/* Merging: sources that are read side by side, and what becomes of them. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/mem.h"
#include "repo/store/store_merge_internal.h"

#define CANCEL_STEP 65536 /* entries between two looks at `cancelled` */

void store_merge_in_free(struct merge_in *in)
{
	if (in == NULL)
		return;
	store_segment_close(in->sg);
	free(in->parts);
	free(in);
}

int store_merge_in_open(struct store *st, const char *key, uint64_t size,
    struct merge_in **ret, struct err *err)
{
	struct merge_in *in = mem_zalloc(sizeof(*in), "an index segment", err);
	int r;

	if (in == NULL)
		return -1;
	r = store_segment_open(st, key, size, 0, &in->sg, err);
	if (r != 0) {
		free(in);
		return r;
	}
	in->block = in->sg->lay.sec[FMT_SEC_E].first;
	*ret = in;
	return 0;
}

/* --- packs ---------------------------------------------------------------------------*/

/* Call fn for each pack record: 0, or what is not 0. */
static int each_pack(struct store *st, struct merge_in *in,
    int (*fn)(void *ctx, uint32_t local, const struct fmt_pack_record *rec,
        struct err *err),
    void *ctx, struct err *err)
{
	const struct fmt_section_layout *sec = &in->sg->lay.sec[FMT_SEC_P];
	uint16_t record = in->sg->head.record;
	uint32_t local = 0;

	for (uint32_t b = sec->first; b < sec->first + sec->blocks; b++) {
		uint32_t len;

		if (store_segment_load(st, in->sg, b, in->buf, &len, err) != 0)
			return -1;
		for (uint32_t at = 0; at + record <= len; at += record) {
			struct fmt_pack_record rec;
			int r;

			if (fmt_pack_record_get(in->buf + at, record, &rec,
			        err) != 0)
				return err_wrap(err, "%s", in->sg->key);
			if (rec.sealed_len > FMT_SEALED_KEY_BOX)
				return err_set(err, ERR_CORRUPT, "%s: a sealed "
				    "key of %u bytes", in->sg->key,
				    rec.sealed_len);
			r = fn(ctx, local++, &rec, err);
			if (r != 0)
				return r;
		}
	}
	return 0;
}

/* Is it named by a delete verdict, and gone?  1, 0 or -1. */
static int pack_gone(struct store *st, const struct store_dead *dead,
    const uint8_t name[FMT_PACK_NAME_LEN], struct err *err)
{
	char key[FMT_KEY_MAX];
	struct backend_stat bs;
	int r;

	if (dead == NULL || !store_dead_deleted(dead, name))
		return 0;
	fmt_key_pack(key, name);
	r = backend_stat(st->be, key, &bs, err);
	return r < 0 ? -1 : r > 0;
}

struct stale { struct store *st; const struct store_dead *dead; };

static int look_stale(void *ctx, uint32_t local,
    const struct fmt_pack_record *rec, struct err *err)
{
	const struct stale *s = ctx;

	(void)local;
	return pack_gone(s->st, s->dead, rec->name, err);
}

int store_merge_in_stale(struct store *st, struct merge_in *in,
    const struct store_dead *dead, bool *ret, struct err *err)
{
	struct stale s = { st, dead };
	int r = each_pack(st, in, look_stale, &s, err);

	*ret = r > 0;
	return r < 0 ? -1 : 0;
}

struct mapping {
	struct merge_sources *s;
	struct merge_in *in;
	struct merge_out *out;
};

static int map_pack(void *ctx, uint32_t local,
    const struct fmt_pack_record *rec, struct err *err)
{
	struct mapping *m = ctx;
	int r = pack_gone(m->s->st, m->s->dead, rec->name, err);

	if (r < 0)
		return -1;
	if (r > 0) {
		m->in->sg->numbers[local] = MERGE_DROPPED;
		return 0;
	}
	if (m->in->parts != NULL && (local < m->in->parts[m->in->part] ||
	        local >= m->in->parts[m->in->part + 1])) {
		m->in->sg->numbers[local] = MERGE_ASIDE;
		return 0;
	}
	return store_merge_out_pack(m->out, rec, &m->in->sg->numbers[local], err);
}

/* --- entries -------------------------------------------------------------------------*/

/* Go to the next entry whose pack stays: 0 (also at the end), -1. */
static int in_next(struct merge_sources *s, struct merge_in *in,
    struct err *err)
{
	const struct fmt_section_layout *sec = &in->sg->lay.sec[FMT_SEC_E];

	for (;;) {
		struct fmt_index_entry e;

		if (in->pos + FMT_ENTRY_LEN > in->len) {
			if (in->block == sec->first + sec->blocks) {
				in->at_end = true;
				return 0;
			}
			if (store_segment_load(s->st, in->sg, in->block++,
			        in->buf, &in->len, err) != 0)
				return -1;
			in->pos = 0;
		}
		if (fmt_index_entry_get(in->buf + in->pos, in->sg->head.packs,
		        &e, err) != 0)
			return err_wrap(err, "%s", in->sg->key);
		in->pos += FMT_ENTRY_LEN;
		if (memcmp(e.id, in->e.id, sizeof(e.id)) < 0)
			return err_set(err, ERR_CORRUPT, "%s: its entries are "
			    "not in order", in->sg->key);
		memcpy(in->e.id, e.id, sizeof(e.id));
		e.pack = in->sg->numbers[e.pack];
		if (e.pack == MERGE_ASIDE)
			continue;
		if (e.pack == MERGE_DROPPED) {
			s->dropped += in->part == 0;
			continue;
		}
		in->e = e;
		return 0;
	}
}

/* Count the entries of each pack into n. */
static int count_entries(struct store *st, struct merge_in *in, uint32_t *n,
    struct err *err)
{
	const struct fmt_section_layout *sec = &in->sg->lay.sec[FMT_SEC_E];

	for (uint32_t b = sec->first; b < sec->first + sec->blocks; b++) {
		uint32_t len;

		if (store_segment_load(st, in->sg, b, in->buf, &len, err) != 0)
			return -1;
		for (uint32_t at = 0; at + FMT_ENTRY_LEN <= len;
		    at += FMT_ENTRY_LEN) {
			struct fmt_index_entry e;

			if (fmt_index_entry_get(in->buf + at,
			        in->sg->head.packs, &e, err) != 0)
				return err_wrap(err, "%s", in->sg->key);
			n[e.pack]++;
		}
	}
	return 0;
}

int store_merge_in_cut(struct store *st, struct merge_in *in, uint64_t most,
    struct err *err)
{
	const uint32_t packs = in->sg->head.packs;
	const uint64_t record = FMT_RECORD_FOR(FMT_SEALED_KEY_BOX);
	CLEANUP_FREE uint32_t *n = mem_array((size_t)packs + 1, sizeof(*n),
	    "entries of packs", err);
	uint64_t bytes = 0, entries = 0;

	in->parts = mem_array((size_t)packs + 2, sizeof(*in->parts),
	    "parts of a segment", err);
	if (n == NULL || in->parts == NULL ||
	    count_entries(st, in, n, err) != 0)
		return -1;
	for (uint32_t i = 0; i < packs; i++) {
		uint64_t add = record + (uint64_t)n[i] * (FMT_ENTRY_LEN + 3);

		if (bytes != 0 && bytes + add > most) {
			in->parts[++in->nparts] = i;
			bytes = entries = 0;
		}
		bytes += add;
		entries += n[i];
		if (entries > in->part_entries)
			in->part_entries = (uint32_t)entries;
	}
	in->parts[++in->nparts] = packs;
	return 0;
}

void store_merge_in_rewind(struct merge_in *in, uint32_t part)
{
	in->block = in->sg->lay.sec[FMT_SEC_E].first;
	in->len = in->pos = 0;
	in->at_end = false;
	in->part = part;
	memset(&in->e, 0, sizeof(in->e));
}

/* v is a heap: the first has the least id, those at their end are last. */
static bool before(const struct merge_in *a, const struct merge_in *b)
{
	if (a->at_end || b->at_end)
		return !a->at_end;
	return memcmp(a->e.id, b->e.id, sizeof(a->e.id)) < 0;
}

static void sift(struct merge_in **v, size_t n, size_t i)
{
	for (;;) {
		size_t least = i, kid = 2 * i + 1;
		struct merge_in *t;

		if (kid < n && before(v[kid], v[least]))
			least = kid;
		if (kid + 1 < n && before(v[kid + 1], v[least]))
			least = kid + 1;
		if (least == i)
			return;
		t = v[i];
		v[i] = v[least];
		v[least] = t;
		i = least;
	}
}

static int entry_cmp(const void *pa, const void *pb)
{
	const struct fmt_index_entry *a = pa, *b = pb;
	int c = fmt_index_entry_cmp(a, b);

	if (c != 0)
		return c;
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	if (a->sealed_len != b->sealed_len)
		return a->sealed_len < b->sealed_len ? -1 : 1;
	return a->plain_len < b->plain_len ? -1 :
	    a->plain_len > b->plain_len;
}

static int same_add(struct merge_sources *s, const struct fmt_index_entry *e,
    struct err *err)
{
	if (s->nsame == s->capsame) {
		size_t cap = s->capsame == 0 ? 16 : s->capsame * 2;
		struct fmt_index_entry *v = realloc(s->same, cap * sizeof(*v));

		if (v == NULL)
			return err_nomem(err, "copies of a blob");
		s->same = v;
		s->capsame = cap;
	}
	s->same[s->nsame++] = *e;
	return 0;
}

/*
 * Write the entries of one id.  What two segments say alike stands once; what
 * they say differently stands twice: who lies is not to be told here.
 */
static int same_out(struct merge_sources *s, struct merge_out *out,
    struct err *err)
{
	if (s->nsame > 1)
		qsort(s->same, s->nsame, sizeof(*s->same), entry_cmp);
	for (size_t i = 0; i < s->nsame; i++)
		if ((i == 0 || entry_cmp(&s->same[i - 1], &s->same[i]) != 0) &&
		    store_merge_out_entry(out, &s->same[i], err) != 0)
			return -1;
	s->nsame = 0;
	return 0;
}

/* Mark which source failed. */
static int blame(struct merge_sources *s, const struct merge_in *in)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i] == in)
			s->bad = i;
	return -1;
}

/*
 * All entries, in order.  heap: the sources once more, in an order that
 * changes.
 */
static int merge_entries(struct merge_sources *s, struct merge_in **heap,
    struct merge_out *out, struct err *err)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < s->n; i++)
		if (in_next(s, heap[i], err) != 0)
			return blame(s, heap[i]);
	for (size_t i = s->n; i > 0; i--)
		sift(heap, s->n, i - 1);
	while (!heap[0]->at_end) {
		struct merge_in *in = heap[0];

		if (s->nsame > 0 && memcmp(s->same[0].id, in->e.id,
		        sizeof(in->e.id)) != 0 && same_out(s, out, err) != 0)
			return -1;
		if (same_add(s, &in->e, err) != 0)
			return -1;
		if (in_next(s, in, err) != 0)
			return blame(s, in);
		sift(heap, s->n, 0);
		if (++seen % CANCEL_STEP == 0 && s->cancelled != NULL &&
		    s->cancelled(s->ctx))
			return err_set(err, ERR_CANCELLED,
			    "merging the index was stopped");
	}
	return same_out(s, out, err);
}

static int merge_all(struct merge_sources *s, struct merge_in **heap,
    struct merge_out *out, struct err *err)
{
	for (size_t i = 0; i < s->n; i++) {
		struct mapping m = { s, s->v[i], out };

		heap[i] = s->v[i];
		if (each_pack(s->st, s->v[i], map_pack, &m, err) != 0)
			return blame(s, s->v[i]);
	}
	if (store_merge_out_packs_end(out, err) != 0 ||
	    merge_entries(s, heap, out, err) != 0)
		return -1;
	return store_merge_out_end(out, err);
}

int store_merge_sources(struct merge_sources *s, struct merge_out **ret,
    struct err *err)
{
	CLEANUP_FREE struct merge_in **heap = NULL;
	uint64_t entries = 0, packs = 0;
	struct merge_out *out;
	int r;

	*ret = NULL;
	s->bad = SIZE_MAX;
	s->dropped = 0;
	s->nsame = 0;
	for (size_t i = 0; i < s->n; i++) {
		const struct merge_in *in = s->v[i];
		bool whole = in->parts == NULL;

		entries += whole ? in->sg->head.entries : in->part_entries;
		packs += whole ? in->sg->head.packs :
		    in->parts[in->part + 1] - in->parts[in->part];
	}
	heap = mem_array(s->n + 1, sizeof(struct merge_in *), "sources", err);
	out = heap == NULL ? NULL : store_merge_out_new(s->st, entries, packs, err);
	if (out == NULL)
		return -1;
	r = merge_all(s, heap, out, err);
	free(s->same);
	s->same = NULL;
	s->capsame = 0;
	if (r == 0 && store_merge_out_entries(out) > 0)
		*ret = out;
	else
		store_merge_out_free(out);
	return r;
}
