/* Opened index segments: what is held of one, and reading the rest of it. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

#define HELD_MIN ((size_t)8 << 20)      /* hashes that any budget allows */
#define SCAN_ENTRIES 64                 /* entries looked at in one go */

static void segment_free_p(struct store_segment **sg)
{
	store_segment_close(*sg);
}

void store_segment_shed(struct store_segment *sg)
{
	free(sg->hashes);
	free(sg->buckets);
	free(sg->filters);
	free(sg->numbers);
	sg->hashes = NULL;
	sg->buckets = NULL;
	sg->filters = NULL;
	sg->numbers = NULL;
	free(sg->image);
	sg->image = NULL;
}

void store_segment_close(struct store_segment *sg)
{
	if (sg == NULL)
		return;
	store_segment_shed(sg);
	free(sg);
}

/* Read a range of the segment, from its image when there is one. */
static int segment_fetch(struct store *st, struct store_segment *sg,
    const uint8_t *image, uint64_t off, void *dst, size_t len, struct err *err)
{
	int r;

	if (len == 0)
		return 0;
	if (image != NULL) {
		memcpy(dst, image + off, len);
		return 0;
	}
	r = store_range_get(st, sg->key, off, dst, len, sg->fresh, &sg->cached,
	    err);
	return r > 0 ? err_set(err, ERR_NOTFOUND, "%s: does not exist",
	    sg->key) : r;
}

/* --- opening -------------------------------------------------------------------*/

/* Who signed it, and whether that counts: 0, 2 when not, -1. */
static int segment_verify(struct store *st, struct store_segment *sg,
    const struct fmt_key *at, const uint8_t *head, const uint8_t *tail,
    struct err *err)
{
	uint8_t signer[FMT_SLOT_LEN];
	const uint8_t *pub = sg->epoch->admin_pub;
	int admin = fmt_segment_signer(tail, signer);

	if (admin != (at->place == FMT_AT_MERGED) || (!admin &&
	        (memcmp(signer, at->slot, sizeof(signer)) != 0 ||
	         memcmp(sg->head.slot, at->slot, sizeof(signer)) != 0)))
		return err_set(err, ERR_CORRUPT,
		    "it is not signed by whom it belongs to");
	if (!admin) {
		const struct store_slot *sl = store_slot_find(st, signer, err);

		if (sl == NULL)
			return -1;
		if (!store_slot_segment_stands(sl, at->session, at->n))
			return 2;
		if (!(sl->rights & (STORE_WRITE | STORE_ADMIN)))
			return err_set(err, ERR_CORRUPT,
			    "its slot may not write");
		pub = sl->sign_pub;
	}
	return fmt_segment_check(tail, st->info.repository, sg->key, head,
	    sg->hashes, sg->lay.blocks, pub, err);
}

int store_segment_block_open(struct store *st, const struct store_segment *sg,
    uint32_t block, uint8_t *sealed, uint32_t *ret_len, struct err *err)
{
	struct crypto_aead *a = store_aead_take(st, err);
	uint8_t key[32];
	uint64_t off;
	int r = -1;

	if (a == NULL)
		return -1;
	fmt_segment_key(key, sg->epoch->sec->k.segment, sg->head.salt);
	if (fmt_segment_block(&sg->lay, block, &off, ret_len, err) == 0)
		r = fmt_block_open(a, key, block, sg->hashes[block], sealed,
		    *ret_len + CRYPTO_TAG_LEN, sealed, err);
	mem_wipe(key, sizeof(key));
	store_aead_give(st, a);
	return r;
}

/* Read a whole section of numbers into dst (little-endian as stored). */
static int section_load(struct store *st, struct store_segment *sg,
    const uint8_t *image, enum fmt_section which, uint8_t *dst,
    struct err *err)
{
	const struct fmt_section_layout *sec = &sg->lay.sec[which];
	CLEANUP_FREE uint8_t *piece = NULL;
	uint32_t most = sec->blocks < STORE_PIECE_BLOCKS ? sec->blocks : STORE_PIECE_BLOCKS;

	piece = malloc((size_t)most * FMT_BLOCK_SEALED + 1);
	if (piece == NULL)
		return err_nomem(err, "a part of the index");
	for (uint32_t i = 0; i < sec->blocks;) {
		uint32_t n = sec->blocks - i < most ? sec->blocks - i : most;
		uint32_t last = sec->first + i + n - 1, len;
		uint64_t off, end;

		if (fmt_segment_block(&sg->lay, last, &end, &len, err) != 0)
			return -1;
		end += len + CRYPTO_TAG_LEN;
		off = sec->off + (uint64_t)i * FMT_BLOCK_SEALED;
		if (segment_fetch(st, sg, image, off, piece, end - off,
		        err) != 0)
			return -1;
		for (uint32_t j = 0; j < n; j++) {
			uint8_t *b = piece + (size_t)j * FMT_BLOCK_SEALED;

			if (store_segment_block_open(st, sg,
			        sec->first + i + j, b, &len, err) != 0)
				return -1;
			memcpy(dst, b, len);
			dst += len;
		}
		i += n;
	}
	return 0;
}

static int load_buckets(struct store *st, struct store_segment *sg,
    const uint8_t *image, struct err *err)
{
	uint64_t n = sg->lay.sec[FMT_SEC_B].records;

	sg->buckets = mem_array(n, 4, "an index segment", err);
	if (sg->buckets == NULL || section_load(st, sg, image, FMT_SEC_B,
	        (uint8_t *)sg->buckets, err) != 0)
		return -1;
	for (uint64_t i = 0; i < n; i++)
		sg->buckets[i] = le32toh(sg->buckets[i]);
	return 0;
}

static int load_filters(struct store *st, struct store_segment *sg,
    const uint8_t *image, struct err *err)
{
	uint64_t n = sg->lay.sec[FMT_SEC_F].records;

	sg->filters = mem_array(n, 2, "an index segment", err);
	if (sg->filters == NULL || section_load(st, sg, image, FMT_SEC_F,
	        (uint8_t *)sg->filters, err) != 0)
		return -1;
	for (uint64_t i = 0; i < n; i++)
		sg->filters[i] = le16toh(sg->filters[i]);
	return 0;
}

/*
 * What a head says is believed only as far as the object is long and memory
 * goes: nobody has signed it before the hashes are read.
 */
static int segment_bounds(struct store *st, const struct store_segment *sg,
    uint64_t size, struct err *err)
{
	uint64_t held = (uint64_t)sg->lay.blocks * FMT_BLOCK_HASH +
	    (uint64_t)sg->head.packs * 4;
	size_t most = st->ix.budget;
	struct backend_stat bs;
	int r;

	if (sg->lay.size <= STORE_IMAGE_MAX)
		return 0; /* read whole, so the end of it is met */
	if (most < HELD_MIN)
		most = HELD_MIN;
	if (held > most)
		return err_set(err, ERR_CORRUPT, "its hashes would take %llu "
		    "MiB of memory, more than the %zu MiB there are for the "
		    "index", (unsigned long long)(held >> 20), most >> 20);
	if (size == 0) {
		r = backend_stat(st->be, sg->key, &bs, err);
		if (r != 0)
			return r;
		size = bs.size;
	}
	if (size != sg->lay.size)
		return err_set(err, ERR_CORRUPT,
		    "has another size than its head says");
	return 0;
}

/* What of buckets and filter `room` allows. */
static int segment_load_search(struct store *st, struct store_segment *sg,
    const uint8_t *image, size_t room, struct err *err)
{
	size_t buckets = sg->lay.sec[FMT_SEC_B].records * 4;
	size_t filters = sg->lay.sec[FMT_SEC_F].records * 2;

	if (sg->used + buckets > room)
		return 0;
	if (load_buckets(st, sg, image, err) != 0)
		return -1;
	sg->used += buckets;
	if (sg->used + filters > room)
		return 0;
	if (load_filters(st, sg, image, err) != 0)
		return -1;
	sg->used += filters;
	return 0;
}

/* Hashes and signature: 0, 1 not there, 2 does not count, -1. */
static int segment_load_hashes(struct store *st, struct store_segment *sg,
    const struct fmt_key *at, const uint8_t *head, const uint8_t *image,
    struct err *err)
{
	size_t nhashes = (size_t)sg->lay.blocks * FMT_BLOCK_HASH;
	uint8_t *end;
	int r;

	/* They end the object with the signature: one read for both. */
	sg->hashes = mem_zalloc(nhashes + FMT_SIGNED_TAIL, "an index segment",
	    err);
	sg->numbers = mem_array((size_t)sg->head.packs + 1, 4,
	    "an index segment", err);
	if (sg->hashes == NULL || sg->numbers == NULL)
		return -1;
	memset(sg->numbers, 0xff, ((size_t)sg->head.packs + 1) * 4);
	end = (uint8_t *)sg->hashes;
	r = segment_fetch(st, sg, image, sg->lay.hashes_off, end,
	    nhashes + FMT_SIGNED_TAIL, err);
	if (r != 0)
		return err->class == ERR_NOTFOUND ? 1 : -1;
	sg->used = sizeof(*sg) + nhashes + FMT_SIGNED_TAIL +
	    (size_t)sg->head.packs * 4;
	return segment_verify(st, sg, at, head, end + nhashes, err);
}

/* The first bytes, or, of a small one whose size is known, all of it. */
static int segment_begin(struct store *st, struct store_segment *sg,
    uint64_t size, uint8_t **ret_image, uint8_t head[FMT_SEGMENT_HEAD],
    struct err *err)
{
	int r;

	if (size < FMT_SEGMENT_HEAD || size > STORE_IMAGE_MAX)
		return store_range_get(st, sg->key, 0, head, FMT_SEGMENT_HEAD,
		    sg->fresh, &sg->cached, err);
	*ret_image = malloc(size);
	if (*ret_image == NULL)
		return err_nomem(err, "an index segment");
	r = store_range_get(st, sg->key, 0, *ret_image, size, sg->fresh,
	    &sg->cached, err);
	if (r == 0)
		memcpy(head, *ret_image, FMT_SEGMENT_HEAD);
	return r;
}

/* As store_segment_open, but for what is in memory already. */
static int segment_read_in(struct store *st, struct store_segment *sg,
    uint64_t size, size_t room, struct err *err)
{
	CLEANUP_FREE uint8_t *image = NULL;
	uint8_t head[FMT_SEGMENT_HEAD];
	struct fmt_key at;
	int r;

	if (fmt_key_parse(sg->key, &at) != 0)
		return err_set(err, ERR_BUG, "no index segment");
	r = segment_begin(st, sg, size, &image, head, err);
	if (r != 0)
		return r;
	if (fmt_segment_head_decode(head, sizeof(head), &sg->head, err) != 0 ||
	    fmt_segment_layout(&sg->head, &sg->lay, err) != 0)
		return -1;
	sg->epoch = store_epoch_find(st, sg->head.epoch, err);
	if (sg->epoch == NULL)
		return -1;
	if (image != NULL && size != sg->lay.size)
		return err_set(err, ERR_CORRUPT,
		    "has another size than its head says");
	r = segment_bounds(st, sg, size, err);
	if (r != 0)
		return r;
	if (image == NULL && sg->lay.size <= STORE_IMAGE_MAX) {
		image = malloc(sg->lay.size);
		if (image == NULL)
			return err_nomem(err, "an index segment");
		r = store_range_get(st, sg->key, 0, image, sg->lay.size,
		    sg->fresh, &sg->cached, err);
		if (r != 0)
			return r;
	}
	if (image == NULL)
		store_segment_ahead(st, sg, room);
	r = segment_load_hashes(st, sg, &at, head, image, err);
	if (r == 0)
		r = segment_load_search(st, sg, image, room, err);
	if (r == 0 && st->far)
		sg->image = STEAL_PTR(image);
	return r;
}

/* The same from the store, when what the local cache has is wrong. */
static int segment_read_again(struct store *st, struct store_segment *sg,
    uint64_t size, size_t room, struct err *err)
{
	int r = segment_read_in(st, sg, size, room, err);

	if (r >= 0 || err->class != ERR_CORRUPT || !sg->cached)
		return r;
	log_msg(LOG_INFO, "%s: what the local cache has of it is wrong (%s)",
	    sg->key, err->msg);
	store_segment_shed(sg);
	sg->used = 0;
	sg->fresh = true;
	r = segment_read_in(st, sg, size, room, err);
	sg->fresh = false;
	return r;
}

int store_segment_open(struct store *st, const char *key, uint64_t size,
    size_t room, struct store_segment **ret_sg, struct err *err)
{
	CLEANUP(segment_free_p) struct store_segment *sg = NULL;
	struct fmt_session_name name;
	struct fmt_key at;
	int r;

	sg = mem_zalloc(sizeof(*sg), "an index segment", err);
	if (sg == NULL)
		return -1;
	memcpy(sg->key, key, strlen(key) + 1);
	r = segment_read_again(st, sg, size, room, err);
	if (r != 0)
		return r < 0 ? err_wrap(err, "%s", key) : r;
	if (fmt_key_parse(key, &at) == 0 && at.place == FMT_AT_SEGMENT &&
	    fmt_session_parse(at.session, &name) == 0)
		sg->order = name.start_ms << 16 | (at.n & 0xffff);
	*ret_sg = STEAL_PTR(sg);
	return 0;
}

/* --- reading ----------------------------------------------------------------------*/

int store_segment_gone(struct store *st, struct store_segment *sg,
    struct err *err)
{
	__atomic_store_n(&sg->gone, true, __ATOMIC_RELAXED);
	/* It was merged: no listing from before that will do. */
	store_index_stale(st);
	return err_set(err, ERR_NOTFOUND, "%s: does not exist", sg->key);
}

int store_segment_load(struct store *st, struct store_segment *sg,
    uint32_t block, uint8_t *dst, uint32_t *ret_len, struct err *err)
{
	uint64_t off;
	int r;

	if (fmt_segment_block(&sg->lay, block, &off, ret_len, err) != 0)
		return -1;
	store_segment_scan_ahead(st, sg, block);
	r = backend_get(st->be, sg->key, off, dst, *ret_len + CRYPTO_TAG_LEN,
	    err);
	if (r != 0)
		return r > 0 ? store_segment_gone(st, sg, err) : -1;
	if (store_segment_block_open(st, sg, block, dst, ret_len, err) != 0)
		return err_wrap(err, "%s", sg->key);
	return 0;
}

int store_segment_read(struct store *st, struct store_segment *sg,
    uint32_t block, size_t off, size_t len, void *dst, struct err *err)
{
	uint64_t key = (uint64_t)sg->number << 32 | block;
	uint8_t plain[FMT_BLOCK_SEALED];
	uint32_t have;

	if (store_cache_get(st->cache, key, off, len, dst))
		return 0;
	if (st->far ? store_segment_group(st, sg, block, plain, &have, err) :
	    store_segment_load(st, sg, block, plain, &have, err))
		return -1;
	if (!st->far)
		store_cache_put(st->cache, key, plain, have);
	if (off + len > have)
		return err_set(err, ERR_BUG, "%s: block %u is shorter than "
		    "what is read of it", sg->key, block);
	memcpy(dst, plain + off, len);
	return 0;
}

/* One number of section B. */
static int bucket_at(struct store *st, struct store_segment *sg, uint64_t i,
    uint32_t *ret, struct err *err)
{
	struct fmt_record_at at;
	uint8_t raw[4];

	if (sg->buckets != NULL) {
		*ret = sg->buckets[i];
		return 0;
	}
	at = fmt_record_at(&sg->lay, FMT_SEC_B, i);
	if (store_segment_read(st, sg, at.block, at.offset, 4, raw, err) != 0)
		return -1;
	*ret = le32_get(raw);
	return 0;
}

int store_segment_range(struct store *st, struct store_segment *sg,
    const uint8_t *id, uint32_t *ret_lo, uint32_t *ret_hi, struct err *err)
{
	uint32_t b = fmt_bucket(id, sg->head.bits);

	if (bucket_at(st, sg, b, ret_lo, err) != 0 ||
	    bucket_at(st, sg, (uint64_t)b + 1, ret_hi, err) != 0)
		return -1;
	if (*ret_lo > *ret_hi || *ret_hi > sg->head.entries)
		return err_set(err, ERR_CORRUPT,
		    "%s: its buckets are not in order", sg->key);
	return 0;
}

static int entry_decode(struct store_segment *sg, const uint8_t *raw,
    struct fmt_index_entry *ret, struct err *err)
{
	if (fmt_index_entry_get(raw, sg->head.packs, ret, err) != 0)
		return err_wrap(err, "%s", sg->key);
	return 0;
}

/* Not 0 when one of the four 16-bit parts of x is 0. */
static uint64_t has_zero16(uint64_t x)
{
	return (x - 0x0001000100010001u) & ~x & 0x8000800080008000u;
}

/*
 * The first place in [i, hi) that holds `want`, or hi.  Where many segments
 * have to be asked this is most of what a look-up takes, so 16 are compared
 * at once.
 */
static uint32_t filter_find(const uint16_t *f, uint32_t i, uint32_t hi,
    uint16_t want)
{
	const uint64_t all = want * 0x0001000100010001u;

	for (; hi - i >= 16; i += 16) {
		uint64_t x[4];

		memcpy(x, f + i, sizeof(x));
		if ((has_zero16(x[0] ^ all) | has_zero16(x[1] ^ all) |
		        has_zero16(x[2] ^ all) | has_zero16(x[3] ^ all)) != 0)
			break;
	}
	while (i < hi && f[i] != want)
		i++;
	return i;
}

/* With the filter: read only entries whose fingerprint is the id's. */
static int next_filtered(struct store *st, struct store_segment *sg,
    const uint8_t *id, uint32_t *lo, uint32_t hi, struct fmt_index_entry *ret,
    struct err *err)
{
	uint16_t want = fmt_filter(id);
	uint8_t raw[FMT_ENTRY_LEN];

	for (uint32_t i = filter_find(sg->filters, *lo, hi, want); i < hi;
	    i = filter_find(sg->filters, i + 1, hi, want)) {
		struct fmt_record_at at;

		at = fmt_record_at(&sg->lay, FMT_SEC_E, i);
		if (store_segment_read(st, sg, at.block, at.offset,
		        sizeof(raw), raw, err) != 0)
			return -1;
		if (memcmp(raw, id, FMT_ID_LEN) != 0)
			continue;
		*lo = i + 1;
		return entry_decode(sg, raw, ret, err);
	}
	*lo = hi;
	return 1;
}

int store_segment_next(struct store *st, struct store_segment *sg,
    const uint8_t *id, uint32_t *lo, uint32_t hi, struct fmt_index_entry *ret,
    struct err *err)
{
	uint8_t raw[SCAN_ENTRIES * FMT_ENTRY_LEN];

	if (sg->filters != NULL)
		return next_filtered(st, sg, id, lo, hi, ret, err);
	while (*lo < hi) {
		struct fmt_record_at at = fmt_record_at(&sg->lay, FMT_SEC_E,
		    *lo);
		uint32_t n = FMT_ENTRIES_PER_BLOCK - at.offset / FMT_ENTRY_LEN;

		if (n > hi - *lo)
			n = hi - *lo;
		if (n > SCAN_ENTRIES)
			n = SCAN_ENTRIES;
		if (store_segment_read(st, sg, at.block, at.offset,
		        (size_t)n * FMT_ENTRY_LEN, raw, err) != 0)
			return -1;
		for (uint32_t i = 0; i < n; i++) {
			const uint8_t *e = raw + (size_t)i * FMT_ENTRY_LEN;

			if (memcmp(e, id, FMT_ID_LEN) != 0)
				continue;
			*lo += i + 1;
			return entry_decode(sg, e, ret, err);
		}
		*lo += n;
	}
	return 1;
}

int store_segment_pack(struct store *st, struct store_segment *sg,
    uint32_t local, struct fmt_pack_record *ret_rec,
    uint8_t ret_key[FMT_SEALED_KEY_BOX], struct err *err)
{
	struct fmt_record_at at = fmt_record_at(&sg->lay, FMT_SEC_P, local);
	CLEANUP_FREE uint8_t *raw = malloc(sg->head.record);

	if (raw == NULL)
		return err_nomem(err, "a pack's record");
	if (store_segment_read(st, sg, at.block, at.offset, sg->head.record,
	        raw, err) != 0)
		return -1;
	if (fmt_pack_record_get(raw, sg->head.record, ret_rec, err) != 0)
		return err_wrap(err, "%s", sg->key);
	if (ret_rec->sealed_len > FMT_SEALED_KEY_BOX)
		return err_set(err, ERR_CORRUPT, "%s: a sealed key of %u bytes",
		    sg->key, ret_rec->sealed_len);
	memcpy(ret_key, ret_rec->sealed_key, ret_rec->sealed_len);
	ret_rec->sealed_key = ret_key;
	return 0;
}

void store_record_said(const struct fmt_pack_record *rec, uint8_t ret[8])
{
	uint8_t m[FMT_PACK_NAME_LEN + 12 + FMT_SLOT_LEN + FMT_SEALED_KEY_BOX];
	size_t keylen = rec->sealed_len < FMT_SEALED_KEY_BOX ?
	    rec->sealed_len : FMT_SEALED_KEY_BOX;
	uint8_t hash[32];
	uint8_t *p = m;

	memset(m, 0, sizeof(m));
	memcpy(p, rec->name, FMT_PACK_NAME_LEN);
	p += FMT_PACK_NAME_LEN;
	le32_put(p, rec->size);
	le32_put(p + 4, rec->epoch);
	p[8] = rec->blob_kind;
	p[9] = rec->key_method;
	le16_put(p + 10, rec->sealed_len);
	memcpy(p + 12, rec->slot, FMT_SLOT_LEN);
	memcpy(p + 12 + FMT_SLOT_LEN, rec->sealed_key, keylen);
	crypto_sha256(hash, m, sizeof(m));
	memcpy(ret, hash, 8);
}

int store_segment_number(struct store *st, struct store_segment *sg,
    uint32_t local, uint32_t *ret_number, struct err *err)
{
	uint8_t key[FMT_SEALED_KEY_BOX];
	struct fmt_pack_record rec;
	struct store_packent e = { .segment = sg->number, .local = local };

	*ret_number = __atomic_load_n(&sg->numbers[local], __ATOMIC_RELAXED);
	if (*ret_number != UINT32_MAX)
		return 0;
	if (store_segment_pack(st, sg, local, &rec, key, err) != 0)
		return -1;
	memcpy(e.name, rec.name, sizeof(e.name));
	e.size = rec.size;
	store_record_said(&rec, e.said);
	if (store_packtab_add(st->packs, &e, ret_number, err) != 0)
		return -1;
	__atomic_store_n(&sg->numbers[local], *ret_number, __ATOMIC_RELAXED);
	return 0;
}
