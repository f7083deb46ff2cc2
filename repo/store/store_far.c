/*
 * Reading where a request takes long: more at once than was asked for, through
 * the local cache, and what comes next meanwhile.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_ahead.h"
#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/store/store_disk_internal.h"
#include "repo/store/store_internal.h"
#include "repo/store/store_session_internal.h"

/* Blocks of the index that are read together: half a MiB. */
#define GROUP 32u
/* Groups that are fetched beyond the one that somebody going through reads. */
#define SCAN_GROUPS 3u
/* Blobs that are looked up before what lies together is asked for. */
#define GET_AHEAD 64u
/* Bytes between two blobs that are read rather than asked anew, and in all. */
#define MERGE_GAP ((uint64_t)256 << 10)
#define MERGE_MAX ((uint64_t)2 << 20)
/* Packs of a segment are put to the block cache when they take no more. */
#define WARM_PACKS 128u /* blocks */

int store_range_get(struct store *st, const char *key, uint64_t off, void *dst,
    size_t len, bool fresh, bool *ret_cached, struct err *err)
{
	int r;

	if (!fresh && store_disk_get(st->disk, key, off, dst, len)) {
		*ret_cached = true;
		return 0;
	}
	r = backend_get(st->be, key, off, dst, len, err);
	if (r == 0)
		store_disk_put(st->disk, key, off, dst, len);
	return r;
}

static void range_ahead(struct store *st, const char *key, uint64_t off,
    size_t len)
{
	if (!store_disk_has(st->disk, key, off, len))
		backend_ahead_get(st->be, key, off, len);
}

/* --- blocks of the index --------------------------------------------------------*/

/* Blocks [first, first + n) of one section: where they are in the object. */
struct span { uint32_t first, n; uint64_t off; size_t len; };

static int span_of(const struct store_segment *sg, uint32_t first, uint32_t n,
    struct span *ret, struct err *err)
{
	uint64_t end;
	uint32_t len;

	if (fmt_segment_block(&sg->lay, first, &ret->off, &len, err) != 0 ||
	    fmt_segment_block(&sg->lay, first + n - 1, &end, &len, err) != 0)
		return -1;
	ret->first = first;
	ret->n = n;
	ret->len = (size_t)(end + len + CRYPTO_TAG_LEN - ret->off);
	return 0;
}

/* The blocks of its section that are read with this one. */
static int group_of(const struct store_segment *sg, uint32_t block,
    struct span *ret, struct err *err)
{
	for (int i = 0; i < 4; i++) {
		const struct fmt_section_layout *sec = &sg->lay.sec[i];
		uint32_t at, n;

		if (block < sec->first || block - sec->first >= sec->blocks)
			continue;
		at = (block - sec->first) / GROUP * GROUP;
		n = sec->blocks - at < GROUP ? sec->blocks - at : GROUP;
		return span_of(sg, sec->first + at, n, ret, err);
	}
	return err_set(err, ERR_BUG, "%s: has no block %u", sg->key, block);
}

/*
 * Open all blocks of a span that was read; those that are whole go to the block
 * cache.  Return 0; 1 when some are not; -1 when the one that is wanted is not.
 */
static int span_open(struct store *st, const struct store_segment *sg,
    const struct span *sp, uint8_t *bytes, uint32_t block, uint8_t *dst,
    uint32_t *ret_len, struct err *err)
{
	int r = 0;

	for (uint32_t i = 0; i < sp->n; i++) {
		uint8_t *b = bytes + (size_t)i * FMT_BLOCK_SEALED;
		struct err other = ERR_INIT;
		bool wanted = sp->first + i == block;
		uint32_t len;

		if (store_segment_block_open(st, sg, sp->first + i, b, &len,
		        wanted ? err : &other) != 0) {
			r = wanted || r < 0 ? -1 : 1;
			continue;
		}
		store_cache_put(st->cache, (uint64_t)sg->number << 32 |
		    (sp->first + i), b, len);
		if (wanted) {
			memcpy(dst, b, len);
			*ret_len = len;
		}
	}
	return r;
}

int store_segment_group(struct store *st, struct store_segment *sg,
    uint32_t block, uint8_t *dst, uint32_t *ret_len, struct err *err)
{
	CLEANUP_FREE uint8_t *bytes = NULL;
	struct span sp;
	bool cached = false;
	int r;

	if (group_of(sg, block, &sp, err) != 0)
		return -1;
	bytes = malloc(sp.len);
	if (bytes == NULL)
		return err_nomem(err, "a part of the index");
	r = store_range_get(st, sg->key, sp.off, bytes, sp.len, false, &cached,
	    err);
	if (r == 0)
		r = span_open(st, sg, &sp, bytes, block, dst, ret_len, err);
	else if (r > 0)
		return store_segment_gone(st, sg, err);
	else
		return -1;
	if (r == 0)
		return 0;
	store_disk_drop(st->disk, sg->key, sp.off, sp.len);
	if (cached) {
		err_clear(err);
		r = backend_get(st->be, sg->key, sp.off, bytes, sp.len, err);
		if (r > 0)
			return store_segment_gone(st, sg, err);
		if (r == 0)
			r = span_open(st, sg, &sp, bytes, block, dst, ret_len,
			    err);
	}
	return r < 0 ? err_wrap(err, "%s", sg->key) : 0;
}

/* A section that is read in pieces when the segment is opened. */
static void section_ahead(struct store *st, const struct store_segment *sg,
    enum fmt_section which, uint32_t piece)
{
	const struct fmt_section_layout *sec = &sg->lay.sec[which];
	struct err none = ERR_INIT;
	struct span sp;

	for (uint32_t i = 0; i < sec->blocks; i += piece) {
		uint32_t n = sec->blocks - i < piece ? sec->blocks - i : piece;

		if (span_of(sg, sec->first + i, n, &sp, &none) == 0)
			range_ahead(st, sg->key, sp.off, sp.len);
	}
}

void store_segment_ahead(struct store *st, const struct store_segment *sg,
    size_t room)
{
	size_t buckets = sg->lay.sec[FMT_SEC_B].records * 4;
	size_t filters = sg->lay.sec[FMT_SEC_F].records * 2;

	if (!st->far)
		return;
	range_ahead(st, sg->key, sg->lay.hashes_off,
	    (size_t)sg->lay.blocks * FMT_BLOCK_HASH + FMT_SIGNED_TAIL);
	if (buckets <= room)
		section_ahead(st, sg, FMT_SEC_B, STORE_PIECE_BLOCKS);
	if (buckets + filters <= room)
		section_ahead(st, sg, FMT_SEC_F, STORE_PIECE_BLOCKS);
	if (sg->lay.sec[FMT_SEC_P].blocks <= WARM_PACKS)
		section_ahead(st, sg, FMT_SEC_P, GROUP);
}

/* Blocks of packs and entries from the image of a short segment. */
static void warm_image(struct store *st, struct store_segment *sg)
{
	uint32_t n = sg->lay.sec[FMT_SEC_P].blocks +
	    sg->lay.sec[FMT_SEC_E].blocks;
	struct err none = ERR_INIT;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t block[FMT_BLOCK_SEALED];
		struct span sp;
		uint32_t len;

		if (span_of(sg, i, 1, &sp, &none) != 0)
			return;
		memcpy(block, sg->image + sp.off, sp.len);
		if (store_segment_block_open(st, sg, i, block, &len,
		        &none) == 0) {
			store_cache_put(st->cache, (uint64_t)sg->number << 32 |
			    i, block, len);
		} else {
			/* Read by itself, when it is needed, it may be right. */
			store_disk_drop(st->disk, sg->key, 0, sg->lay.size);
			return;
		}
	}
}

void store_segment_warm(struct store *st, struct store_segment *sg)
{
	const struct fmt_section_layout *p = &sg->lay.sec[FMT_SEC_P];
	uint8_t block[FMT_BLOCK_SEALED];
	struct err none = ERR_INIT;
	uint32_t len;

	if (!st->far)
		return;
	/* Under `refreshing`, as all opening is. */
	if (st->ix.warmed < st->opt.memory / 8) {
		if (sg->image != NULL) {
			warm_image(st, sg);
			st->ix.warmed += sg->lay.size;
		} else if (p->blocks <= WARM_PACKS) {
			for (uint32_t i = 0; i < p->blocks; i += GROUP)
				store_segment_group(st, sg, p->first + i, block,
				    &len, &none);
			st->ix.warmed += (size_t)p->blocks * FMT_BLOCK_PLAIN;
		}
	}
	free(sg->image);
	sg->image = NULL;
}

void store_segment_scan_ahead(struct store *st, const struct store_segment *sg,
    uint32_t block)
{
	struct err none = ERR_INIT;

	if (!st->far || block % GROUP != 0)
		return;
	for (uint32_t i = 0; i <= SCAN_GROUPS; i++) {
		uint32_t first = block + i * GROUP, n = GROUP;
		struct span sp;

		if (first >= sg->lay.blocks)
			break;
		if (n > sg->lay.blocks - first)
			n = sg->lay.blocks - first;
		if (span_of(sg, first, n, &sp, &none) == 0)
			backend_ahead_get(st->be, sg->key, sp.off, sp.len);
	}
}

/* --- blobs ------------------------------------------------------------------------*/

bool store_is_far(const struct store *st)
{
	return st->far;
}

/* The first copy that the index knows: 0, 1 when there is none. */
static int first_copy(struct store *st, const uint8_t *id, bool writer,
    struct store_loc *ret)
{
	struct err none = ERR_INIT;
	struct store_lookup lk;
	int r;

	store_lookup_begin(st, &lk, id, UINT32_MAX, writer);
	r = store_lookup_next(st, &lk, ret, &none);
	store_lookup_end(st, &lk);
	return r == 0 ? 0 : 1;
}

static int loc_cmp(const void *pa, const void *pb)
{
	const struct store_loc *a = pa, *b = pb;

	if (a->pack != b->pack)
		return a->pack < b->pack ? -1 : 1;
	return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Ask for blobs of one pack that lie close together in one go. */
static void ask_merged(struct store *st, struct store_loc *v, size_t n)
{
	char key[FMT_KEY_MAX];

	qsort(v, n, sizeof(*v), loc_cmp);
	for (size_t i = 0, j; i < n; i = j) {
		uint64_t off = v[i].offset, end = off + v[i].sealed_len;

		for (j = i + 1; j < n && v[j].pack == v[i].pack &&
		    v[j].offset <= end + MERGE_GAP &&
		    v[j].offset + v[j].sealed_len - off <= MERGE_MAX; j++)
			if (v[j].offset + v[j].sealed_len > end)
				end = v[j].offset + v[j].sealed_len;
		store_pack_name(st, v[i].pack, key, sizeof(key));
		backend_ahead_get(st->be, key, off, (size_t)(end - off));
	}
}

void store_get_ahead(struct store *st, const uint8_t (*ids)[STORE_ID_LEN],
    size_t n)
{
	struct store_loc v[GET_AHEAD];
	struct err none = ERR_INIT;
	char key[FMT_KEY_MAX];
	size_t m = 0;

	if (!st->far || store_index_refresh(st, STORE_ANY_AGE, &none) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (first_copy(st, ids[i], false, &v[m]) != 0)
			continue;
		store_pack_name(st, v[m].pack, key, sizeof(key));
		if (store_disk_has(st->disk, key, v[m].offset,
		        v[m].sealed_len))
			continue;
		if (++m == GET_AHEAD) {
			ask_merged(st, v, m);
			m = 0;
		}
	}
	ask_merged(st, v, m);
}

void store_present_ahead(struct store_session *s,
    const uint8_t (*ids)[STORE_ID_LEN], size_t n)
{
	for (size_t i = 0; s->st->far && i < n; i++) {
		struct store_packent e;
		struct store_loc loc;
		char key[FMT_KEY_MAX];
		bool seen;

		if (first_copy(s->st, ids[i], true, &loc) != 0 ||
		    !store_packtab_at(s->st->packs, loc.pack, &e))
			continue;
		pthread_mutex_lock(&s->lock);
		seen = loc.pack < s->nseen &&
		    s->seen[loc.pack] != STORE_UNSEEN;
		pthread_mutex_unlock(&s->lock);
		if (seen || store_dead_has(s->dead, e.name, loc.ordinal))
			continue;
		fmt_key_pack(key, e.name);
		backend_ahead_stat(s->st->be, key);
	}
}
