/*
 * Putting back what is lost of a column.  Each whole parity cell is a sum over
 * all data cells; with as many of them as data cells are lost these are the
 * solution of a small system, whose inverse, as every square part of a Cauchy
 * matrix is regular, always exists.
 */

#include <isa-l/erasure_code.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/mem.h"
#include "repo/parity/parity_internal.h"

/* What the solution is made of. */
struct mend {
	const struct parity_shape *s;
	unsigned lost[PARITY_SHARDS_MAX]; /* data shards */
	unsigned use[PARITY_SHARDS_MAX];  /* parity shards, from 0, as many */
	unsigned n;
	unsigned known[PARITY_SHARDS_MAX]; /* data shards */
	unsigned nknown;
};

static int mend_plan(struct mend *d, const bool *lost, struct err *err)
{
	const struct parity_shape *s = d->s;
	unsigned have = 0;

	for (unsigned i = 0; i < s->data; i++) {
		if (lost[i])
			d->lost[d->n++] = i;
		else
			d->known[d->nknown++] = i;
	}
	for (unsigned i = 0; i < s->parity && have < d->n; i++)
		if (!lost[s->data + i])
			d->use[have++] = i;
	if (have < d->n)
		return err_set(err, ERR_CORRUPT, "more is damaged than its "
		    "parity can put back (%u of %u parts in one place, and %u "
		    "parts of parity that are whole)", d->n, s->data, have);
	return 0;
}

/* What belongs together while one column is solved. */
struct solution {
	uint8_t *matrix, *square, *inverse, *rows, *tables;
};

static void solution_release(struct solution *x)
{
	free(x->matrix);
	free(x->square);
	free(x->inverse);
	free(x->rows);
	free(x->tables);
}

/*
 * The rows that give each lost cell from the known data cells and the parity
 * cells used: inverse x (coefficients of the known | identity).
 */
static int solve(const struct mend *d, struct solution *x, struct err *err)
{
	unsigned n = d->n, k = d->s->data, width = d->nknown + n;

	x->matrix = parity_matrix(d->s, err);
	x->square = malloc((size_t)n * n);
	x->inverse = malloc((size_t)n * n);
	x->rows = malloc((size_t)n * width);
	x->tables = malloc((size_t)n * width * 32);
	if (x->matrix == NULL || x->square == NULL || x->inverse == NULL ||
	    x->rows == NULL || x->tables == NULL)
		return err_nomem(err, "parity");
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < n; j++)
			x->square[i * n + j] =
			    x->matrix[d->use[i] * k + d->lost[j]];
	if (gf_invert_matrix(x->square, x->inverse, (int)n) != 0)
		return err_set(err, ERR_BUG, "a part of the matrix of parity "
		    "cannot be inverted");
	for (unsigned i = 0; i < n; i++) {
		uint8_t *row = x->rows + (size_t)i * width;

		for (unsigned j = 0; j < d->nknown; j++) {
			uint8_t sum = 0;

			for (unsigned t = 0; t < n; t++)
				sum ^= gf_mul(x->inverse[i * n + t],
				    x->matrix[d->use[t] * k + d->known[j]]);
			row[j] = sum;
		}
		memcpy(row + d->nknown, x->inverse + (size_t)i * n, n);
	}
	ec_init_tables((int)width, (int)n, x->rows, x->tables);
	return 0;
}

int parity_mend(const struct parity_shape *s, uint8_t *const *cell,
    const bool *lost, size_t len, struct err *err)
{
	unsigned char *in[PARITY_SHARDS_MAX], *out[PARITY_SHARDS_MAX];
	struct mend d = { .s = s };
	struct solution x = { 0 };
	int r;

	if (mend_plan(&d, lost, err) != 0)
		return -1;
	if (d.n == 0)
		return 0;
	r = solve(&d, &x, err);
	for (unsigned i = 0; i < d.nknown; i++)
		in[i] = cell[d.known[i]];
	for (unsigned i = 0; i < d.n; i++) {
		in[d.nknown + i] = cell[s->data + d.use[i]];
		out[i] = cell[d.lost[i]];
	}
	if (r == 0)
		ec_encode_data((int)len, (int)(d.nknown + d.n), (int)d.n,
		    x.tables, in, out);
	solution_release(&x);
	return r;
}
