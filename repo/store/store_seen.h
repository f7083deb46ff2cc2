#ifndef REPO_STORE_STORE_SEEN_H
#define REPO_STORE_STORE_SEEN_H

#include "repo/store/store.h"

/*
 * What was seen of a repository, so that whoever remembers it notices when an
 * older state was put in its place: each chain's highest counter, and the
 * config.  Nothing here is taken for granted by anything else.
 */

/* The newest snapshot of a chain (a volume in a slot). */
struct store_seen {
	uint8_t slot[STORE_SLOT_LEN];
	uint8_t volume_hash[32];
	uint64_t counter;
	char session[STORE_SESSION_MAX];
};

/*
 * Call fn for each chain of which st has read or committed a snapshot.  Return
 * 0 or fn's non-zero value.
 */
int store_seen_each(struct store *st,
    int (*fn)(void *ctx, const struct store_seen *seen), void *ctx);

/* Number of the config that counts, and the epoch that it names. */
void store_seen_config(struct store *st, uint32_t *ret_number,
    uint32_t *ret_epoch);

enum store_seen_state {
	STORE_SEEN_THERE,     /* it, or a later one of its chain */
	STORE_SEEN_FORGOTTEN, /* a note says so */
	STORE_SEEN_GONE,      /* without a word; notes go after some time, too */
};

/*
 * Tell of each of the n at v whether it is still there.  A few are asked for
 * one by one; many by a listing.  Return 0 or -1.
 */
int store_seen_compare(struct store *st, const struct store_seen *v, size_t n,
    enum store_seen_state *ret, struct err *err);

#endif
