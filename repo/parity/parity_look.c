/* Which cells are not what their sums say. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/parity/parity_internal.h"

int parity_look_begin(struct parity_look *l, const struct parity_shape *s,
    const uint8_t *sums, struct err *err)
{
	*l = (struct parity_look){ .s = *s, .sums = sums };
	l->bad = mem_zalloc(parity_cells(s) / 8 + 1, "parity", err);
	return l->bad == NULL ? -1 : 0;
}

void parity_look_release(struct parity_look *l)
{
	free(l->bad);
	l->bad = NULL;
}

/* The cell that the next byte is of. */
static size_t look_cell(const struct parity_look *l)
{
	return (size_t)(l->at / l->s.shard) * l->s.columns +
	    (size_t)(l->at % l->s.shard / PARITY_CELL);
}

static void look_take(struct parity_look *l, const uint8_t *p, size_t len)
{
	uint64_t end = (uint64_t)(l->s.data + l->s.parity) * l->s.shard;

	while (len > 0 && l->at < end) {
		uint32_t in_shard = (uint32_t)(l->at % l->s.shard);
		size_t cell = look_cell(l);
		size_t n = parity_cell_len(&l->s, in_shard / PARITY_CELL) -
		    in_shard % PARITY_CELL;

		n = len < n ? len : n;
		l->crc = p == NULL ? parity_crc_zeros(l->crc, n) :
		    parity_crc(l->crc, p, n);
		p = p == NULL ? NULL : p + n;
		len -= n;
		l->at += n;
		if (l->at % l->s.shard % PARITY_CELL != 0)
			continue;
		if (l->crc != le64_get(l->sums + cell * 8))
			l->bad[cell / 8] |= (uint8_t)(1 << cell % 8);
		l->crc = 0;
	}
}

void parity_look_add(struct parity_look *l, const void *p, size_t len)
{
	uint64_t end = (uint64_t)l->s.data * l->s.shard;

	/* Of an object that is too long no more is looked at. */
	if (l->at < end && l->object + len > l->s.size)
		len = (size_t)(l->s.size - l->object);
	if (l->at < end)
		l->object += len;
	look_take(l, p, len);
}

void parity_look_object_end(struct parity_look *l)
{
	uint64_t end = (uint64_t)l->s.data * l->s.shard;

	if (l->at < end)
		look_take(l, NULL, (size_t)(end - l->at));
}

bool parity_look_is_bad(const struct parity_look *l, unsigned shard,
    uint32_t column)
{
	size_t cell = (size_t)shard * l->s.columns + column;

	return l->bad[cell / 8] >> cell % 8 & 1;
}

static bool look_bad_between(const struct parity_look *l, unsigned from,
    unsigned to)
{
	for (unsigned i = from; i < to; i++)
		for (uint32_t c = 0; c < l->s.columns; c++)
			if (parity_look_is_bad(l, i, c))
				return true;
	return false;
}

bool parity_look_data_bad(const struct parity_look *l)
{
	return look_bad_between(l, 0, l->s.data);
}

bool parity_look_shards_bad(const struct parity_look *l)
{
	return look_bad_between(l, l->s.data, l->s.data + l->s.parity);
}

bool parity_look_can_mend(const struct parity_look *l)
{
	for (uint32_t c = 0; c < l->s.columns; c++) {
		unsigned lost = 0, data = 0;

		for (unsigned i = 0; i < l->s.data + l->s.parity; i++) {
			lost += parity_look_is_bad(l, i, c);
			if (i + 1 == l->s.data)
				data = lost;
		}
		if (data > 0 && lost > l->s.parity)
			return false;
	}
	return true;
}

/* The place in the object of the byte behind the cell that `at` is in. */
static uint64_t behind_cell(const struct parity_look *l, uint64_t at)
{
	uint64_t in_shard = at % l->s.shard;
	uint32_t c = (uint32_t)(in_shard / PARITY_CELL);
	uint64_t end = at - in_shard % PARITY_CELL + parity_cell_len(&l->s, c);

	return end < l->s.size ? end : l->s.size;
}

int parity_look_next(const struct parity_look *l, uint64_t *at,
    uint64_t *ret_off, uint64_t *ret_len)
{
	uint64_t p = *at, first = UINT64_MAX;

	while (p < l->s.size) {
		bool bad = parity_look_is_bad(l, (unsigned)(p / l->s.shard),
		    (uint32_t)(p % l->s.shard / PARITY_CELL));

		if (bad && first == UINT64_MAX)
			first = p;
		if (!bad && first != UINT64_MAX)
			break;
		p = behind_cell(l, p);
	}
	*at = p;
	if (first == UINT64_MAX)
		return 1;
	*ret_off = first;
	*ret_len = p - first;
	return 0;
}
