#ifndef REPO_STORE_STORE_BAD_INTERNAL_H
#define REPO_STORE_STORE_BAD_INTERNAL_H

#include "repo/store/store_internal.h"
#include "repo/store/store_repair.h"

/* The list of what was found damaged (store_bad.c). */

/* Entries of a list: more are found by the next repair, once these are healed. */
#ifndef STORE_BAD_MAX
#define STORE_BAD_MAX ((size_t)1 << 18)
#endif

/*
 * The list in force: the highest that an administrator signed.  Others are
 * logged and passed over.  Return 0 with its number and its object, which *ret
 * borrows from and the caller frees; 1 when there is none; -1.
 */
int store_bad_load(struct store *st, uint64_t *ret_n, uint8_t **ret_obj,
    struct fmt_bad *ret, struct err *err);

struct store_bad;
/* The same as a set to be asked, empty when there is none; NULL with err. */
struct store_bad *store_bad_read(struct store *st, struct err *err);
void store_bad_free(struct store_bad *b); /* NULL is fine */
/* Readers go by it, too, from now on, if none was read for them before. */
void store_bad_adopt(struct store *st, struct store_bad *b);

/* All of these take NULL for an empty list. */

/* Is anything listed? */
bool store_bad_any(const struct store_bad *b);
/* Is more damaged than is listed?  Then nothing may be carried over unread. */
bool store_bad_more(const struct store_bad *b);
/* Does no copy in that pack count? */
bool store_bad_pack(const struct store_bad *b,
    const uint8_t pack[FMT_PACK_NAME_LEN]);
/* Is that pack, or a blob in it, listed? */
bool store_bad_touches(const struct store_bad *b,
    const uint8_t pack[FMT_PACK_NAME_LEN]);
/* Let no copy in that pack count from now on.  For one thread.  0 or -1. */
int store_bad_add_pack(struct store_bad *b,
    const uint8_t pack[FMT_PACK_NAME_LEN], struct err *err);
/* Is the copy of that blob in that pack damaged? */
bool store_bad_copy(const struct store_bad *b, const uint8_t id[STORE_ID_LEN],
    const uint8_t pack[FMT_PACK_NAME_LEN]);
/*
 * Is any copy of it listed, or that there is none?  What snapshots need of a
 * whole pack that is listed, and no other copy holds, is listed so.
 */
bool store_bad_blob(const struct store_bad *b, const uint8_t id[STORE_ID_LEN]);
/* Had that snapshot lost something? */
bool store_bad_snapshot(const struct store_bad *b,
    const uint8_t slot[STORE_SLOT_LEN], const char *session);

/* Does the reader's list name the copy at loc?  The index has been read. */
bool store_bad_loc(struct store *st, const uint8_t id[STORE_ID_LEN],
    const struct store_loc *loc);

#endif
