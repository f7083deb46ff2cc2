#ifndef REPO_PARITY_PARITY_H
#define REPO_PARITY_PARITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/err.h"

/*
 * Reed-Solomon parity of one object of bytes: made, compared, used to put back
 * what is damaged.  The object is cut into `data` shards that stand one behind
 * the other (the last filled with zeros), to which `parity` shards of the same
 * size are added.  Shards are cut into cells; the cells at one place of all
 * shards are a column.  In each column any `parity` cells may be lost.
 */

#define PARITY_CELL 4096u      /* bytes of a cell; a shard's last may be shorter */
#define PARITY_SHARDS_MAX 255u /* data and parity together */
#define PARITY_SIZE_MAX ((uint32_t)1 << 28) /* bytes of the object */

struct parity_shape {
	uint32_t size;    /* bytes of the object, not 0 */
	uint32_t shard;   /* bytes of a shard */
	unsigned data, parity;
	uint32_t columns; /* cells of a shard */
};

/*
 * The shape of parity for an object of `size` bytes, with at most `data` data
 * shards and just `parity` others: shards are multiples of 512 bytes and as
 * small as that allows.  Return 0, or -1 with class USAGE.
 */
int parity_shape_for(struct parity_shape *ret, uint32_t size, unsigned data,
    unsigned parity, struct err *err);
/*
 * The same from what was stored; -1 with class CORRUPT when it is none, that is
 * when the data shards do not hold the object, or one less would.
 */
int parity_shape_of(struct parity_shape *ret, uint32_t size, uint32_t shard,
    unsigned data, unsigned parity, struct err *err);

/* Number of cells, and so of sums: shard by shard, data first. */
size_t parity_cells(const struct parity_shape *s);
/* Bytes of all parity shards. */
size_t parity_bytes(const struct parity_shape *s);
/* Bytes of the cells of that column. */
size_t parity_cell_len(const struct parity_shape *s, uint32_t column);

/* --- making it ---------------------------------------------------------------------*/

/* One thread at a time; about 64 KiB beside what the caller gives. */
struct parity_maker;

/*
 * Begin: sums (8 bytes for each cell, u64 little-endian) and shards
 * (parity_bytes) are the caller's and stay his; they are filled.  NULL with err.
 */
struct parity_maker *parity_maker_new(const struct parity_shape *s,
    uint8_t *sums, uint8_t *shards, struct err *err);
/* The object's next len bytes; no more than its size in all. */
void parity_maker_add(struct parity_maker *m, const void *p, size_t len);
/* All were added: complete sums and shards, and free m. */
void parity_maker_end(struct parity_maker *m);
/* Give up; NULL is fine. */
void parity_maker_free(struct parity_maker *m);

/* --- comparing ------------------------------------------------------------------------*/

/*
 * Which cells of an object and its parity have other sums than those told.
 * Bytes come in order: the object, then the parity shards.
 */
struct parity_look {
	struct parity_shape s;
	const uint8_t *sums; /* borrowed */
	uint8_t *bad;        /* a bit for each cell */
	uint64_t at;         /* bytes of the shards that were added, with filling */
	uint64_t crc;        /* of the cell at hand */
	uint64_t object;     /* bytes of the object that were added */
};

/* Return 0, or -1 with class FULL.  parity_look_release is called in any case. */
int parity_look_begin(struct parity_look *l, const struct parity_shape *s,
    const uint8_t *sums, struct err *err);
void parity_look_release(struct parity_look *l);
/* The object's next bytes; with p NULL: len of them that cannot be had (zeros). */
void parity_look_add(struct parity_look *l, const void *p, size_t len);
/* The object has ended (also before its size): what follows are the shards. */
void parity_look_object_end(struct parity_look *l);
bool parity_look_is_bad(const struct parity_look *l, unsigned shard,
    uint32_t column);
/* Is a cell of the data bad?  Of parity? */
bool parity_look_data_bad(const struct parity_look *l);
bool parity_look_shards_bad(const struct parity_look *l);
/* Can all data cells be put back, now that everything was added? */
bool parity_look_can_mend(const struct parity_look *l);
/*
 * The next run of bytes of the object, from *at on, in bad cells: 0 with its
 * place and length and *at behind it, 1 when there is none.
 */
int parity_look_next(const struct parity_look *l, uint64_t *at,
    uint64_t *ret_off, uint64_t *ret_len);

/* --- putting back -----------------------------------------------------------------------*/

/* Is this cell's sum the one told for it?  p: all bytes of the cell. */
bool parity_cell_good(const struct parity_shape *s, const uint8_t *sums,
    unsigned shard, uint32_t column, const void *p);

/*
 * cell[i] are len bytes of shard i, all from the same place, and lost[i] says
 * that they are not known: those of data shards are written.  Return 0, or -1
 * with class CORRUPT when more are lost than parity shards are whole.
 */
int parity_mend(const struct parity_shape *s, uint8_t *const *cell,
    const bool *lost, size_t len, struct err *err);

#endif
