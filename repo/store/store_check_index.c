/* Check of the index: every segment's signature and blocks. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/store/store_check_internal.h"

/* Merges do not come that fast. */
#define LISTINGS_MAX 8

uint64_t store_check_sum(const struct check *c, const uint8_t *id,
    uint32_t ordinal, uint32_t offset, uint32_t sealed, uint32_t plain)
{
	uint8_t m[FMT_ID_LEN + 16];

	memcpy(m, id, FMT_ID_LEN);
	le32_put(m + FMT_ID_LEN, ordinal);
	le32_put(m + FMT_ID_LEN + 4, offset);
	le32_put(m + FMT_ID_LEN + 8, sealed);
	le32_put(m + FMT_ID_LEN + 12, plain);
	return crypto_siphash(c->sum_key, m, sizeof(m));
}

static uint32_t pack_slot(const struct check *c, const uint8_t *name)
{
	uint32_t i = le32_get(name) & (c->nslots - 1);

	while (c->slots[i] != 0 &&
	    memcmp(c->packs[c->slots[i] - 1].name, name, 16) != 0)
		i = (i + 1) & (c->nslots - 1);
	return i;
}

/* Room for one more pack in array and table. */
static int packs_grow(struct check *c, struct err *err)
{
	if (c->npacks == c->cappacks) {
		uint32_t cap = c->cappacks == 0 ? 256 : c->cappacks * 2;
		struct check_pack *v = realloc(c->packs, cap * sizeof(*v));

		if (v == NULL)
			return err_nomem(err, "a list of packs");
		c->packs = v;
		c->cappacks = cap;
	}
	if (c->npacks + 1 > c->nslots / 2) {
		uint32_t n = c->nslots == 0 ? 1024 : c->nslots * 2;
		uint32_t *slots = mem_array(n, sizeof(*slots),
		    "a list of packs", err);

		if (slots == NULL)
			return -1;
		free(c->slots);
		c->slots = slots;
		c->nslots = n;
		for (uint32_t i = 0; i < c->npacks; i++)
			slots[pack_slot(c, c->packs[i].name)] = i + 1;
	}
	return 0;
}

struct check_pack *store_check_pack(struct check *c,
    const uint8_t name[FMT_PACK_NAME_LEN], struct err *err)
{
	uint32_t i;

	if (packs_grow(c, err) != 0)
		return NULL;
	i = pack_slot(c, name);
	if (c->slots[i] == 0) {
		c->packs[c->npacks] = (struct check_pack){ .size = 0 };
		memcpy(c->packs[c->npacks].name, name, FMT_PACK_NAME_LEN);
		c->slots[i] = ++c->npacks;
	}
	return &c->packs[c->slots[i] - 1];
}

struct check_pack *store_check_find(struct check *c,
    const uint8_t name[FMT_PACK_NAME_LEN])
{
	uint32_t i = c->nslots == 0 ? 0 : pack_slot(c, name);

	return c->nslots == 0 || c->slots[i] == 0 ? NULL :
	    &c->packs[c->slots[i] - 1];
}

static int ref_add(struct check *c, const struct fmt_pack_record *rec,
    uint32_t segment, struct err *err)
{
	struct check_pack *p = store_check_pack(c, rec->name, err);
	uint8_t said[8];

	if (p == NULL)
		return -1;
	if (c->nrefs == c->caprefs) {
		uint32_t cap = c->caprefs == 0 ? 256 : c->caprefs * 2;
		struct check_ref *v = realloc(c->refs, cap * sizeof(*v));

		if (v == NULL)
			return err_nomem(err, "a list of packs");
		c->refs = v;
		c->caprefs = cap;
	}
	store_record_said(rec, said);
	c->refs[c->nrefs++] = (struct check_ref){
		.sum = le64_get(said),
		.pack = (uint32_t)(p - c->packs),
		.size = rec->size,
		.segment = segment,
	};
	return 0;
}

/* --- one segment -------------------------------------------------------------------*/

/* Where in a walk through all blocks of a segment. */
struct walk {
	struct check *c;
	struct store_segment *sg;
	uint32_t segment, first_ref;
	uint8_t last[FMT_ID_LEN];
	uint64_t entries, packs;
};

static int walk_packs(struct walk *w, const uint8_t *p, uint32_t len,
    struct err *err)
{
	uint16_t record = w->sg->head.record;

	for (uint32_t at = 0; at + record <= len; at += record) {
		struct fmt_pack_record rec;

		if (fmt_pack_record_get(p + at, record, &rec, err) != 0 ||
		    ref_add(w->c, &rec, w->segment, err) != 0)
			return -1;
		w->packs++;
	}
	return 0;
}

static int walk_entries(struct walk *w, const uint8_t *p, uint32_t len,
    struct err *err)
{
	for (uint32_t at = 0; at + FMT_ENTRY_LEN <= len; at += FMT_ENTRY_LEN) {
		struct fmt_index_entry e;
		struct check_ref *r;

		if (fmt_index_entry_get(p + at, w->sg->head.packs, &e,
		        err) != 0)
			return -1;
		if (memcmp(e.id, w->last, sizeof(e.id)) < 0)
			return err_set(err, ERR_CORRUPT,
			    "its entries are not in order");
		memcpy(w->last, e.id, sizeof(e.id));
		r = &w->c->refs[w->first_ref + e.pack];
		r->count++;
		r->sum += store_check_sum(w->c, e.id, e.ordinal, e.offset,
		    e.sealed_len, e.plain_len);
		w->entries++;
	}
	return 0;
}

/* Read every block; what those of P and E hold goes to the sums. */
static int walk_blocks(struct walk *w, struct err *err)
{
	const struct fmt_section_layout *sec = w->sg->lay.sec;
	uint8_t block[FMT_BLOCK_SEALED];

	for (uint32_t i = 0; i < w->sg->lay.blocks; i++) {
		uint32_t len;
		int r = 0;

		if (store_segment_load(w->c->st, w->sg, i, block, &len,
		        err) != 0)
			return -1;
		if (i < sec[FMT_SEC_E].first)
			r = walk_packs(w, block, len, err);
		else if (i < sec[FMT_SEC_F].first)
			r = walk_entries(w, block, len, err);
		if (r != 0)
			return -1;
	}
	return 0;
}

/* Forget what a segment that turned out damaged has said. */
static void forget_refs(struct check *c, uint32_t first)
{
	c->nrefs = first;
}

/*
 * A segment says that it is of a newer format.  If all that is signed is right
 * but for that byte, it is a damage.
 */
static void newer_or_damaged(struct check *c, const char *key, uint64_t size,
    struct err *why)
{
	uint8_t head[FMT_SEGMENT_HEAD], tail[FMT_SIGNED_TAIL];
	uint8_t signer[FMT_SLOT_LEN];
	const struct store_slot *sl = NULL;
	const struct store_epoch *ep;
	struct fmt_segment_layout lay;
	struct fmt_segment_head h;
	struct err none = ERR_INIT;
	uint8_t *hashes;

	if (backend_get(c->st->be, key, 0, head, sizeof(head), &none) != 0)
		return;
	head[FMT_VERSION_AT] = FMT_VERSION;
	if (fmt_segment_head_decode(head, sizeof(head), &h, &none) != 0 ||
	    fmt_segment_layout(&h, &lay, &none) != 0 || lay.size != size)
		return;
	ep = store_epoch_find(c->st, h.epoch, &none);
	hashes = malloc((size_t)lay.blocks * FMT_BLOCK_HASH + 1);
	if (ep != NULL && hashes != NULL && backend_get(c->st->be, key,
	        lay.hashes_off, hashes, (size_t)lay.blocks * FMT_BLOCK_HASH,
	        &none) == 0 && backend_get(c->st->be, key,
	        size - sizeof(tail), tail, sizeof(tail), &none) == 0) {
		bool admin = fmt_segment_signer(tail, signer) != 0;

		if (!admin)
			sl = store_slot_find(c->st, signer, &none);
		if ((admin || sl != NULL) && fmt_segment_check(tail,
		        c->st->info.repository, key, head, hashes, lay.blocks,
		        admin ? ep->admin_pub : sl->sign_pub, &none) == 0)
			err_set(why, ERR_CORRUPT,
			    "its format version is damaged");
	}
	free(hashes);
}

/* One segment: 0 (also when damaged, which was told), 1 merged away, -1. */
static int check_segment(struct check *c, size_t number, struct err *err)
{
	const char *key = store_keys_at(&c->segments, number);
	struct walk w = { .c = c, .segment = (uint32_t)number,
		.first_ref = c->nrefs };
	struct err why = ERR_INIT;
	int r = store_segment_open(c->st, key, c->segments.v[number].size, 0,
	    &w.sg, &why);

	if (r > 0)
		return r == 1; /* else it does not count */
	if (r == 0)
		r = walk_blocks(&w, &why);
	store_segment_close(w.sg);
	if (r < 0)
		forget_refs(c, w.first_ref);
	if (r < 0 && why.class == ERR_NOTFOUND)
		return 1;
	if (r < 0 && why.class == ERR_UNSUPPORTED)
		newer_or_damaged(c, key, c->segments.v[number].size, &why);
	c->ret->segments++;
	if (r == 0)
		return 0;
	if (store_check_judge(c, key, &why) == 0) {
		c->unreadable[number] = why.class != ERR_UNSUPPORTED;
		return 0;
	}
	*err = why;
	return -1;
}

static int ref_cmp(const void *pa, const void *pb)
{
	const struct check_ref *a = pa, *b = pb;

	if (a->pack != b->pack)
		return a->pack < b->pack ? -1 : 1;
	return a->segment < b->segment ? -1 : a->segment > b->segment;
}

/* All segments of one listing: 0, 1 when one was merged away meanwhile, -1. */
static int check_listed(struct check *c, struct err *err)
{
	struct store_manifest m = { 0 };
	int r = store_manifest_list(c->st, &c->segments, &m, err);

	c->ret->segments = 0;
	c->nrefs = 0;
	free(c->unreadable);
	c->unreadable = NULL;
	if (r == 0) {
		c->unreadable = mem_zalloc(c->segments.n + 1, "the segments",
		    err);
		r = c->unreadable == NULL ? -1 : 0;
	}
	for (size_t i = 0; i < c->segments.n && r == 0; i++) {
		if (!store_manifest_counts(&m, store_keys_at(&c->segments, i)))
			continue;
		r = store_check_cancelled(c, err);
		if (r == 0)
			r = check_segment(c, i, err);
	}
	store_manifest_release(&m);
	return r;
}

int store_check_index(struct check *c, struct err *err)
{
	int r = 1;

	for (int i = 0; i < LISTINGS_MAX && r > 0; i++)
		r = check_listed(c, err);
	if (r > 0)
		return err_set(err, ERR_TRANSIENT, "index/: its segments go "
		    "while they are read; run check again");
	if (r < 0)
		return -1;
	if (c->nrefs > 1)
		qsort(c->refs, c->nrefs, sizeof(*c->refs), ref_cmp);
	for (uint32_t i = 0; i < c->nrefs; i++) {
		struct check_pack *p = &c->packs[c->refs[i].pack];

		if (p->nrefs++ == 0)
			p->first_ref = i;
	}
	return 0;
}
