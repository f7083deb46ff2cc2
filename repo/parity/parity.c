/* Shapes, and making parity: Reed-Solomon and CRC-64 by ISA-L. */

#include <isa-l/crc64.h>
#include <isa-l/erasure_code.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/parity/parity_internal.h"

#define SHARD_STEP 512u

/* --- shapes ------------------------------------------------------------------------*/

static uint32_t divide_up(uint32_t a, uint32_t b)
{
	return a / b + (a % b != 0);
}

int parity_shape_of(struct parity_shape *ret, uint32_t size, uint32_t shard,
    unsigned data, unsigned parity, struct err *err)
{
	if (size == 0 || size > PARITY_SIZE_MAX || shard == 0 ||
	    shard > PARITY_SIZE_MAX || data == 0 || parity == 0 ||
	    data + parity > PARITY_SHARDS_MAX ||
	    divide_up(size, shard) != data)
		return err_set(err, ERR_CORRUPT, "parity of an impossible "
		    "shape (%u bytes in %u + %u shards of %u)", size, data,
		    parity, shard);
	*ret = (struct parity_shape){ size, shard, data, parity,
		divide_up(shard, PARITY_CELL) };
	return 0;
}

int parity_shape_for(struct parity_shape *ret, uint32_t size, unsigned data,
    unsigned parity, struct err *err)
{
	uint32_t shard;

	if (size == 0 || size > PARITY_SIZE_MAX || data == 0 || parity == 0 ||
	    data + parity > PARITY_SHARDS_MAX)
		return err_set(err, ERR_USAGE, "no parity of %u + %u shards "
		    "for %u bytes", data, parity, size);
	shard = divide_up(divide_up(size, data), SHARD_STEP) * SHARD_STEP;
	return parity_shape_of(ret, size, shard, divide_up(size, shard),
	    parity, err);
}

size_t parity_cells(const struct parity_shape *s)
{
	return (size_t)(s->data + s->parity) * s->columns;
}

size_t parity_bytes(const struct parity_shape *s)
{
	return (size_t)s->parity * s->shard;
}

size_t parity_cell_len(const struct parity_shape *s, uint32_t column)
{
	uint32_t left = s->shard - column * PARITY_CELL;

	return left < PARITY_CELL ? left : PARITY_CELL;
}

/* --- sums ---------------------------------------------------------------------------*/

uint64_t parity_crc(uint64_t crc, const void *p, size_t len)
{
	return crc64_ecma_refl(crc, p, len);
}

uint64_t parity_crc_zeros(uint64_t crc, size_t len)
{
	static const uint8_t zeros[PARITY_CELL];

	for (size_t n; len > 0; len -= n) {
		n = len < sizeof(zeros) ? len : sizeof(zeros);
		crc = parity_crc(crc, zeros, n);
	}
	return crc;
}

bool parity_cell_good(const struct parity_shape *s, const uint8_t *sums,
    unsigned shard, uint32_t column, const void *p)
{
	return parity_crc(0, p, parity_cell_len(s, column)) ==
	    le64_get(sums + ((size_t)shard * s->columns + column) * 8);
}

/* --- making -------------------------------------------------------------------------*/

struct parity_maker {
	struct parity_shape s;
	uint8_t *sums, *shards;
	uint8_t *matrix;  /* parity x data coefficients */
	uint8_t *tables;  /* of ISA-L: 32 bytes for each */
	uint8_t *out[PARITY_SHARDS_MAX];
	uint64_t at;      /* bytes added */
	uint64_t crc;     /* of the cell at hand */
};

uint8_t *parity_matrix(const struct parity_shape *s, struct err *err)
{
	/* ISA-L writes the identity above, which is not needed. */
	size_t k = s->data, m = k + s->parity;
	uint8_t *all = malloc(m * k), *ret = malloc(s->parity * k);

	if (all == NULL || ret == NULL) {
		err_nomem(err, "parity");
		free(all);
		free(ret);
		return NULL;
	}
	gf_gen_cauchy1_matrix(all, (int)m, (int)k);
	memcpy(ret, all + k * k, s->parity * k);
	free(all);
	return ret;
}

struct parity_maker *parity_maker_new(const struct parity_shape *s,
    uint8_t *sums, uint8_t *shards, struct err *err)
{
	struct parity_maker *m = mem_zalloc(sizeof(*m), "parity", err);

	if (m == NULL)
		return NULL;
	m->s = *s;
	m->sums = sums;
	m->shards = shards;
	m->matrix = parity_matrix(s, err);
	m->tables = m->matrix == NULL ? NULL :
	    mem_array((size_t)s->data * s->parity, 32, "parity", err);
	if (m->tables == NULL) {
		parity_maker_free(m);
		return NULL;
	}
	ec_init_tables((int)s->data, (int)s->parity, m->matrix, m->tables);
	memset(shards, 0, parity_bytes(s));
	return m;
}

void parity_maker_free(struct parity_maker *m)
{
	if (m == NULL)
		return;
	free(m->matrix);
	free(m->tables);
	free(m);
}

/* Complete the sum of the cell that ends at m->at, if one does. */
static void maker_sum(struct parity_maker *m)
{
	uint32_t in_shard = (uint32_t)(m->at % m->s.shard);
	uint64_t before = m->at - 1;

	if (in_shard % PARITY_CELL != 0)
		return;
	le64_put(m->sums + (before / m->s.shard * m->s.columns +
	    before % m->s.shard / PARITY_CELL) * 8, m->crc);
	m->crc = 0;
}

/* How many of len bytes from `at` on are of one cell? */
static size_t in_cell(const struct parity_shape *s, uint64_t at, size_t len)
{
	uint32_t in_shard = (uint32_t)(at % s->shard);
	size_t left = parity_cell_len(s, in_shard / PARITY_CELL) -
	    in_shard % PARITY_CELL;

	return len < left ? len : left;
}

void parity_maker_add(struct parity_maker *m, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		uint32_t off = (uint32_t)(m->at % m->s.shard);
		size_t n = m->s.shard - off;

		n = len < n ? len : n;
		for (unsigned i = 0; i < m->s.parity; i++)
			m->out[i] = m->shards + (size_t)i * m->s.shard + off;
		ec_encode_data_update((int)n, (int)m->s.data,
		    (int)m->s.parity, (int)(m->at / m->s.shard), m->tables,
		    (unsigned char *)(uintptr_t)p, m->out);
		len -= n;
		while (n > 0) {
			size_t c = in_cell(&m->s, m->at, n);

			m->crc = parity_crc(m->crc, p, c);
			p += c;
			n -= c;
			m->at += c;
			maker_sum(m);
		}
	}
}

void parity_maker_end(struct parity_maker *m)
{
	const struct parity_shape *s = &m->s;
	uint64_t end = (uint64_t)s->data * s->shard;

	/* Zeros add nothing to parity; they count in the sums. */
	while (m->at < end) {
		size_t c = in_cell(s, m->at, (size_t)(end - m->at));

		m->crc = parity_crc_zeros(m->crc, c);
		m->at += c;
		maker_sum(m);
	}
	for (unsigned i = 0; i < s->parity; i++)
		for (uint32_t c = 0; c < s->columns; c++)
			le64_put(m->sums + ((size_t)(s->data + i) * s->columns +
			    c) * 8, parity_crc(0, m->shards +
			    (size_t)i * s->shard + c * PARITY_CELL,
			    parity_cell_len(s, c)));
	parity_maker_free(m);
}
