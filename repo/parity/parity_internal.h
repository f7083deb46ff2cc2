#ifndef REPO_PARITY_PARITY_INTERNAL_H
#define REPO_PARITY_PARITY_INTERNAL_H

#include "repo/parity/parity.h"

/* What the files of the room share. */

/* CRC-64/XZ, going on from crc (0 at the start); and of zeros. */
uint64_t parity_crc(uint64_t crc, const void *p, size_t len);
uint64_t parity_crc_zeros(uint64_t crc, size_t len);

/*
 * The coefficients, parity rows of data columns: 1 / (i ^ j) for shard i of
 * all and data shard j.  The caller frees it; NULL with err.
 */
uint8_t *parity_matrix(const struct parity_shape *s, struct err *err);

#endif
