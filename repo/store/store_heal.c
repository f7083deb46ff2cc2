/*
 * Reading a pack in spite of damage.  What is asked for is read and compared
 * with the sums of its cells; where those differ, the cells of the same columns
 * are read from all shards and solved for what is lost.  So memory is bounded,
 * whatever the size of the pack is, and what is whole costs one read more.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/mem.h"
#include "repo/store/store_check_internal.h"
#include "repo/store/store_parity_internal.h"

#define COLUMNS_BYTES ((size_t)8 << 20) /* cells of a run of columns */
#define PIECE ((size_t)1 << 18)
#define SUMS_MAX ((size_t)4 << 20) /* of the largest pack: 1 MiB */

struct store_heal {
	struct store *st;
	uint8_t name[FMT_PACK_NAME_LEN];
	char pack[FMT_KEY_MAX], key[FMT_KEY_MAX];
	uint64_t pack_there;  /* bytes of the pack as it is stored; 0: gone */
	struct parity_shape s;
	uint8_t *sums;
	uint8_t *piece;       /* what is asked for, in whole cells */
	uint8_t *cells;       /* of a run of columns, shard by shard */
	uint32_t run;         /* columns that have room there */
	uint32_t first, n;    /* those that are there now */
	bool *failed;         /* of them: those that could not be solved */
};

const uint8_t *store_heal_name(const struct store_heal *h)
{
	return h->name;
}

uint32_t store_heal_size(const struct store_heal *h)
{
	return h->s.size;
}

void store_heal_close(struct store_heal *h)
{
	if (h == NULL)
		return;
	free(h->sums);
	free(h->piece);
	free(h->cells);
	free(h->failed);
	free(h);
}

/* Head and sums of the parity object: 0, 1 when it is not there, -1. */
static int heal_head(struct store_heal *h, struct err *err)
{
	uint8_t head[FMT_PARITY_HEAD];
	struct backend_stat bs;
	size_t len;
	int r = backend_stat(h->st->be, h->key, &bs, err);

	if (r != 0)
		return r;
	if (bs.size <= FMT_PARITY_HEAD)
		return err_set(err, ERR_CORRUPT, "is too small for parity");
	r = backend_get(h->st->be, h->key, 0, head, sizeof(head), err);
	if (r != 0 || fmt_parity_head_read(head, &h->s, err) != 0)
		return r > 0 ? 1 : -1;
	if (fmt_parity_len(&h->s) != bs.size)
		return err_set(err, ERR_CORRUPT, "has %" PRIu64 " bytes where "
		    "its head says %zu", bs.size, fmt_parity_len(&h->s));
	len = parity_cells(&h->s) * 8;
	if (len > SUMS_MAX)
		return err_set(err, ERR_CORRUPT, "has more checksums than any "
		    "parity of a pack");
	h->sums = malloc(len);
	h->piece = malloc(PIECE);
	if (h->sums == NULL || h->piece == NULL)
		return err_nomem(err, "parity");
	return backend_get(h->st->be, h->key, FMT_PARITY_HEAD, h->sums, len,
	    err);
}

int store_heal_open(struct store *st, const uint8_t name[FMT_PACK_NAME_LEN],
    struct store_heal **ret, struct err *err)
{
	struct store_heal *h = mem_zalloc(sizeof(*h), "parity", err);
	struct backend_stat bs;
	int r;

	*ret = NULL;
	if (h == NULL)
		return -1;
	h->st = st;
	memcpy(h->name, name, sizeof(h->name));
	fmt_key_pack(h->pack, name);
	fmt_key_parity(h->key, name);
	r = heal_head(h, err);
	if (r == 0)
		r = backend_stat(st->be, h->pack, &bs, err);
	else if (r < 0)
		err_wrap(err, "%s", h->key);
	else
		r = 2;
	if (r == 0)
		h->pack_there = bs.size;
	if (r < 0 || r == 2) {
		store_heal_close(h);
		return r < 0 ? -1 : 1;
	}
	*ret = h;
	return 0;
}

/* --- what is stored ----------------------------------------------------------------*/

/*
 * Read bytes of an object that is `there` bytes long; what cannot be had of it
 * becomes zeros, cell by cell.  Sums tell what is right.  0 or -1.
 */
static int read_anyhow(struct store_heal *h, const char *key, uint64_t there,
    uint64_t off, uint8_t *dst, size_t len, struct err *err)
{
	size_t n = off >= there ? 0 : there - off < len ?
	    (size_t)(there - off) : len;
	struct err why = ERR_INIT;
	int r = n == 0 ? 0 : backend_get(h->st->be, key, off, dst, n, &why);

	if (r < 0 && !store_check_is_damage(&why)) {
		*err = why;
		return -1;
	}
	if (r != 0 && n > PARITY_CELL) {
		for (size_t at = 0; at < n; at += PARITY_CELL)
			if (read_anyhow(h, key, there, off + at, dst + at,
			        n - at < PARITY_CELL ? n - at : PARITY_CELL,
			        err) != 0)
				return -1;
		r = 0;
	}
	if (r != 0)
		n = 0;
	memset(dst + n, 0, len - n);
	return 0;
}

/* Read bytes of a shard, of data or parity. */
static int read_shard(struct store_heal *h, unsigned shard, uint32_t off,
    uint8_t *dst, size_t len, struct err *err)
{
	const struct parity_shape *s = &h->s;

	if (shard < s->data) {
		uint64_t at = (uint64_t)shard * s->shard + off;
		uint64_t end = h->pack_there < s->size ? h->pack_there :
		    s->size;

		return read_anyhow(h, h->pack, end, at, dst, len, err);
	}
	return read_anyhow(h, h->key, fmt_parity_len(s), FMT_PARITY_HEAD +
	    parity_cells(s) * 8 + (uint64_t)(shard - s->data) * s->shard + off,
	    dst, len, err);
}

/* --- columns -------------------------------------------------------------------------*/

static int cells_room(struct store_heal *h, struct err *err)
{
	size_t column = (size_t)(h->s.data + h->s.parity) * PARITY_CELL;

	if (h->cells != NULL)
		return 0;
	h->run = (uint32_t)(COLUMNS_BYTES / column);
	if (h->run > h->s.columns)
		h->run = h->s.columns;
	h->cells = malloc(h->run * column);
	h->failed = mem_array(h->run, sizeof(*h->failed), "parity", err);
	return h->cells == NULL ? err_nomem(err, "parity") :
	    h->failed == NULL ? -1 : 0;
}

static uint8_t *cell_at(const struct store_heal *h, unsigned shard, uint32_t i)
{
	return h->cells + ((size_t)shard * h->run + i) * PARITY_CELL;
}

/* Which cells of the i-th column that was read are lost? */
static void column_lost(const struct store_heal *h, uint32_t i, bool *lost)
{
	for (unsigned k = 0; k < h->s.data + h->s.parity; k++)
		lost[k] = !parity_cell_good(&h->s, h->sums, k, h->first + i,
		    cell_at(h, k, i));
}

static int column_mend(struct store_heal *h, uint32_t i, struct err *err)
{
	uint8_t *cell[PARITY_SHARDS_MAX];
	bool lost[PARITY_SHARDS_MAX];
	struct err why = ERR_INIT;

	column_lost(h, i, lost);
	for (unsigned k = 0; k < h->s.data + h->s.parity; k++)
		cell[k] = cell_at(h, k, i);
	h->failed[i] = parity_mend(&h->s, cell, lost,
	    parity_cell_len(&h->s, h->first + i), &why) != 0;
	if (h->failed[i] && why.class != ERR_CORRUPT) {
		*err = why;
		return -1;
	}
	return 0;
}

/* Have the columns from `first` on, at most n, read and mended. */
static int columns_load(struct store_heal *h, uint32_t first, uint32_t n,
    struct err *err)
{
	uint32_t off = first * PARITY_CELL;
	size_t len;

	if (cells_room(h, err) != 0)
		return -1;
	if (first >= h->first && first < h->first + h->n)
		return 0;
	n = n < h->run ? n : h->run;
	len = (size_t)(n - 1) * PARITY_CELL +
	    parity_cell_len(&h->s, first + n - 1);
	h->n = 0;
	h->first = first;
	for (unsigned k = 0; k < h->s.data + h->s.parity; k++)
		if (read_shard(h, k, off, cell_at(h, k, 0), len, err) != 0)
			return -1;
	for (uint32_t i = 0; i < n; i++)
		if (column_mend(h, i, err) != 0)
			return -1;
	h->n = n;
	return 0;
}

/* --- reading ---------------------------------------------------------------------------*/

/* Put back the bad cells of those in the piece: `count` from column c on. */
static int piece_mend(struct store_heal *h, unsigned shard, uint32_t c,
    uint32_t count, struct err *err)
{
	bool bad[PIECE / PARITY_CELL];

	for (uint32_t i = 0; i < count; i++)
		bad[i] = !parity_cell_good(&h->s, h->sums, shard, c + i,
		    h->piece + (size_t)i * PARITY_CELL);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t n = i;

		if (!bad[i])
			continue;
		while (n < count && bad[n])
			n++;
		if (columns_load(h, c + i, n - i, err) != 0)
			return -1;
		if (h->failed[c + i - h->first])
			return err_set(err, ERR_CORRUPT, "%s: more is damaged "
			    "than its parity can put back", h->pack);
		memcpy(h->piece + (size_t)i * PARITY_CELL,
		    cell_at(h, shard, c + i - h->first),
		    parity_cell_len(&h->s, c + i));
	}
	return 0;
}

int store_heal_read(struct store_heal *h, uint64_t off, void *dst, size_t len,
    struct err *err)
{
	const struct parity_shape *s = &h->s;
	uint8_t *to = dst;

	if (off > s->size || len > s->size - off)
		return err_set(err, ERR_CORRUPT, "%s: ends at %u bytes, and "
		    "%zu at %" PRIu64 " are wanted", h->pack, s->size, len,
		    off);
	while (len > 0) {
		unsigned shard = (unsigned)(off / s->shard);
		uint32_t in = (uint32_t)(off % s->shard);
		uint32_t c = in / PARITY_CELL, skip = in % PARITY_CELL;
		size_t n = s->shard - (size_t)c * PARITY_CELL, have;

		n = n < PIECE ? n : PIECE;
		if (n > skip + len)
			n = skip + len;
		/* Whole cells, as sums are over those. */
		n = (n + PARITY_CELL - 1) / PARITY_CELL * PARITY_CELL;
		if (n > s->shard - (size_t)c * PARITY_CELL)
			n = s->shard - (size_t)c * PARITY_CELL;
		if (read_shard(h, shard, c * PARITY_CELL, h->piece, n,
		        err) != 0 || piece_mend(h, shard, c,
		        (uint32_t)((n + PARITY_CELL - 1) / PARITY_CELL),
		        err) != 0)
			return -1;
		have = n - skip < len ? n - skip : len;
		memcpy(to, h->piece + skip, have);
		to += have;
		off += have;
		len -= have;
	}
	return 0;
}

/* --- looking at all of it -----------------------------------------------------------------*/

int store_heal_look(struct store_heal *h, struct parity_look *ret,
    struct err *err)
{
	return parity_look_begin(ret, &h->s, h->sums, err);
}

int store_heal_look_shards(struct store_heal *h, struct parity_look *l,
    struct err *err)
{
	for (unsigned i = 0; i < h->s.parity; i++) {
		for (uint32_t at = 0; at < h->s.shard; at += PIECE) {
			size_t n = h->s.shard - at < PIECE ? h->s.shard - at :
			    PIECE;

			if (read_shard(h, h->s.data + i, at, h->piece, n,
			        err) != 0)
				return -1;
			parity_look_add(l, h->piece, n);
		}
	}
	return 0;
}

int store_heal_survey(struct store_heal *h, struct store_ranges *ret,
    struct err *err)
{
	struct parity_look l;
	uint64_t end = h->pack_there < h->s.size ? h->pack_there : h->s.size;
	uint64_t at = 0, off, len;
	int r = store_heal_look(h, &l, err);

	*ret = (struct store_ranges){ 0 };
	for (size_t n; at < end && r == 0; at += n) {
		n = end - at < PIECE ? (size_t)(end - at) : PIECE;
		r = read_anyhow(h, h->pack, end, at, h->piece, n, err);
		parity_look_add(&l, h->piece, n);
	}
	if (r == 0) {
		parity_look_object_end(&l);
		r = store_heal_look_shards(h, &l, err);
	}
	at = 0;
	while (r == 0 && parity_look_next(&l, &at, &off, &len) == 0) {
		if (ret->n < STORE_RANGES_MAX) {
			ret->v[ret->n].off = off;
			ret->v[ret->n].len = len;
		}
		ret->n++;
		ret->bytes += len;
	}
	ret->healable = r == 0 && parity_look_can_mend(&l);
	ret->parity = r == 0 && parity_look_shards_bad(&l);
	parity_look_release(&l);
	return r;
}

void store_ranges_text(const struct store_ranges *r, char *dst, size_t cap)
{
	size_t at = (size_t)snprintf(dst, cap, "%" PRIu64 " damaged range%s, %"
	    PRIu64 " bytes:", r->n, r->n == 1 ? "" : "s", r->bytes);

	for (uint64_t i = 0; i < r->n && i < STORE_RANGES_MAX && at < cap; i++)
		at += (size_t)snprintf(dst + at, cap - at, "%s %" PRIu64 "-%"
		    PRIu64, i > 0 ? "," : "", r->v[i].off,
		    r->v[i].off + r->v[i].len - 1);
	if (r->n > STORE_RANGES_MAX && at < cap)
		snprintf(dst + at, cap - at, ", ...");
}
