#ifndef REPO_STORE_STORE_PARITY_INTERNAL_H
#define REPO_STORE_STORE_PARITY_INTERNAL_H

#include "repo/parity/parity.h"
#include "repo/store/store_internal.h"

/* Parity of packs: making it, reading packs in spite of damage by it. */

/* --- making (store_parity.c) ---------------------------------------------------------*/

/*
 * Bytes that the parity object of any pack of at most `size` bytes takes; 0
 * when the repository has none.
 */
size_t store_parity_room(const struct store *st, uint32_t size);
/*
 * Make the parity of a pack (size bytes) in room (store_parity_room) and store
 * it; *ret_len receives its length.  Return 0, or -1 with err naming it.  What
 * somebody else has put under its name is left, and logged: it harms nothing.
 */
int store_parity_put(struct store *st, const uint8_t name[FMT_PACK_NAME_LEN],
    const void *pack, uint32_t size, uint8_t *room, size_t *ret_len,
    struct err *err);
/*
 * Make and store the parity of a pack that is stored, reading it once; what
 * stands under its name is replaced.  Its checksums are compared on the way.
 * Return 0; 1 when the pack is not whole (nothing is stored); -1.
 */
int store_parity_renew(struct store *st, const uint8_t name[FMT_PACK_NAME_LEN],
    uint64_t size, struct err *err);

/* --- reading by it (store_heal.c) ------------------------------------------------------*/

/* A pack with its parity.  For one thread at a time; up to 9 MiB. */
struct store_heal;

/*
 * Open the parity of that pack.  Return 0; 1 when it has none; -1: CORRUPT when
 * what is there cannot be used, or as the backend says.
 */
int store_heal_open(struct store *st, const uint8_t name[FMT_PACK_NAME_LEN],
    struct store_heal **ret, struct err *err);
void store_heal_close(struct store_heal *h); /* NULL is fine */
const uint8_t *store_heal_name(const struct store_heal *h);
/* The size that the pack has, or had when it was whole; bytes. */
uint32_t store_heal_size(const struct store_heal *h);
/*
 * Read a part of the pack as backend_get does, where bytes that are damaged or
 * missing are put back by parity.  What is read has to be verified by its seal,
 * like all that is read.  Return 0, or -1: CORRUPT when too much is damaged, or
 * as the backend says.
 */
int store_heal_read(struct store_heal *h, uint64_t off, void *dst, size_t len,
    struct err *err);

/* What is damaged of a pack, by the sums of its parity. */
#define STORE_RANGES_MAX 8
struct store_ranges {
	uint64_t n, bytes;       /* ranges, and bytes in them */
	struct { uint64_t off, len; } v[STORE_RANGES_MAX]; /* the first ones */
	bool parity;             /* something of the parity itself is damaged */
	bool healable;           /* all of the pack can be put back */
};
/* Read all of pack and parity.  Return 0 or -1. */
int store_heal_survey(struct store_heal *h, struct store_ranges *ret,
    struct err *err);
/* The text of that, for people: "3 damaged places, 12 KiB: ..." */
void store_ranges_text(const struct store_ranges *r, char *dst, size_t cap);

/*
 * As store_get, of a blob of which no copy could be read: by the parity of the
 * packs that the index names.  Any thread.  Return 0; 1 when it cannot be had
 * so; -1.  (store_heal_get.c)
 */
int store_heal_get(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN],
    struct buf *ret_data, struct err *err);

/*
 * Begin to compare the pack, as it is read by the caller, with its parity;
 * *ret borrows from h.  Then the caller adds all of the pack's bytes and ends
 * the object; parity_look_release in any case.
 */
int store_heal_look(struct store_heal *h, struct parity_look *ret,
    struct err *err);
/* Add the parity shards, after the pack.  0 or -1. */
int store_heal_look_shards(struct store_heal *h, struct parity_look *l,
    struct err *err);

#endif
