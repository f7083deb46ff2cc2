/* Merging: the segment that is made, whole in memory, sealed block by block. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"
#include "repo/store/store_merge_internal.h"

/* A pack by what was said of it, to give equal ones one number. */
struct known {
	uint8_t name[FMT_PACK_NAME_LEN], said[8];
	uint32_t number; /* + 1; 0: empty */
};

struct merge_out {
	struct store *st;
	struct store_epoch *epoch;
	struct fmt_segment_head head;   /* entries: at most; at the end: just */
	struct fmt_segment_layout lay;  /* of that head */
	uint8_t *image;
	uint8_t (*hashes)[FMT_BLOCK_HASH];
	uint16_t *filters;
	struct buf numbers;             /* section B */
	struct fmt_buckets buckets;
	struct known *known;
	uint32_t nknown;                /* slots, a power of two */
	uint32_t packs;
	uint64_t entries, room;
	struct crypto_aead *aead;
	uint8_t block_key[32];
	uint8_t plain[FMT_BLOCK_PLAIN];
	uint32_t block;                 /* the next to be sealed */
	size_t fill;                    /* bytes in plain */
};

void store_merge_out_free(struct merge_out *o)
{
	if (o == NULL)
		return;
	mem_wipe(o->block_key, sizeof(o->block_key));
	crypto_aead_free(o->aead);
	buf_release(&o->numbers);
	free(o->image);
	free(o->hashes);
	free(o->filters);
	free(o->known);
	free(o);
}

static int out_alloc(struct merge_out *o, uint64_t packs, struct err *err)
{
	o->nknown = 64;
	while (o->nknown < packs * 2)
		o->nknown *= 2;
	o->image = mem_zalloc(o->lay.size, "an index segment", err);
	o->hashes = mem_array(o->lay.blocks + 1, FMT_BLOCK_HASH,
	    "an index segment", err);
	o->filters = mem_array(o->room + 1, sizeof(*o->filters),
	    "an index segment", err);
	o->known = mem_array(o->nknown, sizeof(*o->known),
	    "an index segment", err);
	if (o->image == NULL || o->hashes == NULL || o->filters == NULL ||
	    o->known == NULL)
		return -1;
	o->aead = crypto_aead_new(err);
	return o->aead == NULL ? -1 : 0;
}

struct merge_out *store_merge_out_new(struct store *st, uint64_t entries,
    uint64_t packs, struct err *err)
{
	struct merge_out *o = mem_zalloc(sizeof(*o), "an index segment", err);

	if (o == NULL)
		return NULL;
	o->st = st;
	o->room = entries;
	o->epoch = store_epoch_known(st, st->info.epoch);
	o->head.epoch = o->epoch->n;
	o->head.entries = entries;
	o->head.packs = (uint32_t)packs;
	o->head.record = FMT_RECORD_FOR(FMT_SEALED_KEY_BOX);
	o->head.bits = fmt_segment_bits(entries);
	rand_bytes(o->head.salt, sizeof(o->head.salt));
	fmt_segment_key(o->block_key, o->epoch->sec->k.segment, o->head.salt);
	fmt_buckets_init(&o->buckets, o->head.bits);
	if (packs > FMT_SEGMENT_PACKS_MAX ||
	    fmt_segment_layout(&o->head, &o->lay, err) != 0 ||
	    out_alloc(o, packs, err) != 0) {
		if (packs > FMT_SEGMENT_PACKS_MAX)
			err_set(err, ERR_BUG, "a segment of %llu packs",
			    (unsigned long long)packs);
		store_merge_out_free(o);
		return NULL;
	}
	return o;
}

/* Seal what plain holds as the next block, at its place by the layout. */
static int block_out(struct merge_out *o, struct err *err)
{
	uint64_t off;
	uint32_t len;

	if (o->fill == 0)
		return 0;
	if (fmt_segment_block(&o->lay, o->block, &off, &len, err) != 0)
		return -1;
	if (o->fill > len)
		return err_set(err, ERR_BUG, "block %u has %zu bytes, not %u",
		    o->block, o->fill, len);
	if (fmt_block_seal(o->aead, o->block_key, o->block, o->plain, o->fill,
	        o->image + off, o->hashes[o->block], err) != 0)
		return -1;
	o->block++;
	o->fill = 0;
	return 0;
}

/* Room for the next record of a section; a full block goes out first. */
static uint8_t *record_room(struct merge_out *o, enum fmt_section sec,
    struct err *err)
{
	const struct fmt_section_layout *l = &o->lay.sec[sec];
	uint8_t *at;

	if (o->fill / l->record >= l->per_block && block_out(o, err) != 0)
		return NULL;
	at = o->plain + o->fill;
	o->fill += l->record;
	return at;
}

int store_merge_out_pack(struct merge_out *o, const struct fmt_pack_record *rec,
    uint32_t *ret_number, struct err *err)
{
	uint8_t said[8];
	uint8_t *at;
	uint32_t i;

	store_record_said(rec, said);
	i = le32_get(said) & (o->nknown - 1);
	while (o->known[i].number != 0 &&
	    (memcmp(o->known[i].said, said, sizeof(said)) != 0 ||
	     memcmp(o->known[i].name, rec->name, sizeof(rec->name)) != 0))
		i = (i + 1) & (o->nknown - 1);
	if (o->known[i].number != 0) {
		*ret_number = o->known[i].number - 1;
		return 0;
	}
	at = record_room(o, FMT_SEC_P, err);
	if (at == NULL ||
	    fmt_pack_record_put(at, o->head.record, rec, err) != 0)
		return -1;
	memcpy(o->known[i].said, said, sizeof(said));
	memcpy(o->known[i].name, rec->name, sizeof(rec->name));
	*ret_number = o->packs++;
	o->known[i].number = o->packs;
	return 0;
}

int store_merge_out_packs_end(struct merge_out *o, struct err *err)
{
	if (block_out(o, err) != 0)
		return -1;
	free(o->known);
	o->known = NULL;
	o->head.packs = o->packs;
	if (o->packs == 0)
		o->head.entries = 0; /* all of them leave */
	return fmt_segment_layout(&o->head, &o->lay, err);
}

int store_merge_out_entry(struct merge_out *o, const struct fmt_index_entry *e,
    struct err *err)
{
	uint8_t *at = record_room(o, FMT_SEC_E, err);

	if (at == NULL)
		return -1;
	if (o->entries == o->room)
		return err_set(err, ERR_BUG, "more entries than were counted");
	fmt_index_entry_put(at, e);
	o->filters[o->entries++] = fmt_filter(e->id);
	fmt_buckets_add(&o->buckets, e->id, &o->numbers);
	return 0;
}

uint64_t store_merge_out_entries(const struct merge_out *o)
{
	return o->entries;
}

static int write_rest(struct merge_out *o, struct err *err)
{
	for (uint64_t i = 0; i < o->entries; i++) {
		uint8_t *at = record_room(o, FMT_SEC_F, err);

		if (at == NULL)
			return -1;
		le16_put(at, o->filters[i]);
	}
	if (block_out(o, err) != 0)
		return -1;
	fmt_buckets_end(&o->buckets, &o->numbers);
	if (buf_check(&o->numbers, "an index segment", err) != 0)
		return -1;
	for (size_t i = 0; i + 4 <= o->numbers.len; i += 4) {
		uint8_t *at = record_room(o, FMT_SEC_B, err);

		if (at == NULL)
			return -1;
		memcpy(at, o->numbers.p + i, 4);
	}
	return block_out(o, err);
}

int store_merge_out_end(struct merge_out *o, struct err *err)
{
	struct buf head = BUF_INIT;
	int r;

	if (block_out(o, err) != 0)
		return -1;
	/* Now it is known how many there are; E stays where it is. */
	o->head.entries = o->entries;
	if (fmt_segment_layout(&o->head, &o->lay, err) != 0 ||
	    write_rest(o, err) != 0)
		return -1;
	if (o->block != o->lay.blocks)
		return err_set(err, ERR_BUG, "%u blocks where %u were laid out",
		    o->block, o->lay.blocks);
	fmt_segment_head_add(&head, &o->head);
	r = buf_check(&head, "an index segment", err);
	if (r == 0)
		memcpy(o->image, head.p, FMT_SEGMENT_HEAD);
	buf_release(&head);
	memcpy(o->image + o->lay.hashes_off, o->hashes,
	    (size_t)o->lay.blocks * FMT_BLOCK_HASH);
	return r;
}

int store_merge_out_put(struct merge_out *o, uint64_t *number, struct err *err)
{
	struct store *st = o->st;
	char key[FMT_KEY_MAX];

	for (;; (*number)++) {
		int r;

		fmt_key_merged(key, *number);
		r = fmt_segment_sign(o->image + o->lay.size - FMT_SIGNED_TAIL,
		    st->info.repository, key, o->image,
		    o->image + o->lay.hashes_off, o->lay.blocks, NULL,
		    o->epoch->sec->admin, err);
		if (r == 0)
			r = store_object_put(st->be, key, o->image,
			    o->lay.size, err);
		if (r <= 0)
			return r;
		/* Another's: a merge that was ended there, or one beside us. */
	}
}
