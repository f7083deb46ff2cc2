#ifndef REPO_STORE_STORE_MERGE_INTERNAL_H
#define REPO_STORE_STORE_MERGE_INTERNAL_H

#include "repo/store/store_gc.h"
#include "repo/store/store_internal.h"

/* What the files of merging share.  One thread merges. */

#define MERGE_DROPPED (UINT32_MAX - 1) /* a pack whose entries leave the index */
#define MERGE_ASIDE (UINT32_MAX - 2)   /* one of another part */

/* A segment that is read from its first entry to its last. */
struct merge_in {
	struct store_segment *sg; /* its numbers: of its packs in what is made */
	uint32_t block;           /* the next of section E */
	uint32_t len, pos;        /* bytes in buf, and how far it was read */
	uint8_t buf[FMT_BLOCK_SEALED];
	bool at_end;
	struct fmt_index_entry e; /* the one at hand; its pack mapped */
	uint32_t *parts;          /* NULL: it is taken whole; else nparts + 1 */
	uint32_t nparts;          /* packs: the p-th part has those from */
	uint32_t part;            /* parts[p] to parts[p + 1] - 1 */
	uint32_t part_entries;    /* most in any part */
};

/* Bytes that one opened source takes, beside 4 for each of its packs. */
#define MERGE_IN_BYTES (sizeof(struct merge_in) + sizeof(struct store_segment))

/* --- what is made (store_merge_write.c) --------------------------------------------*/

struct merge_out;
/* entries, packs: at most so many come.  NULL with err. */
struct merge_out *store_merge_out_new(struct store *st, uint64_t entries,
    uint64_t packs, struct err *err);
void store_merge_out_free(struct merge_out *o);
/* The number of the pack that rec tells of: a new one, or that of its equal. */
int store_merge_out_pack(struct merge_out *o, const struct fmt_pack_record *rec,
    uint32_t *ret_number, struct err *err);
/* No more packs come; entries do, in order. */
int store_merge_out_packs_end(struct merge_out *o, struct err *err);
int store_merge_out_entry(struct merge_out *o, const struct fmt_index_entry *e,
    struct err *err);
uint64_t store_merge_out_entries(const struct merge_out *o);
/* No more entries come: make the rest of the object. */
int store_merge_out_end(struct merge_out *o, struct err *err);
/*
 * Store it under the first free number from *number on, which receives the one
 * it has.  Return 0 or -1.
 */
int store_merge_out_put(struct merge_out *o, uint64_t *number, struct err *err);

/* --- from several into one (store_merge_read.c) ------------------------------------*/

struct merge_sources {
	struct store *st;
	const struct store_dead *dead; /* what was deleted; NULL: nothing */
	bool (*cancelled)(void *ctx);
	void *ctx;
	struct merge_in **v;
	size_t n, bad;           /* bad: which of them could not be read */
	uint64_t dropped;        /* entries that left the index */
	struct fmt_index_entry *same; /* entries of one id, mapped */
	size_t nsame, capsame;
};

/*
 * Open the segment: 0, 1 when it is not there any more, 2 when it does not
 * count, -1.
 */
int store_merge_in_open(struct store *st, const char *key, uint64_t size,
    struct merge_in **ret, struct err *err);
void store_merge_in_free(struct merge_in *in);
/*
 * Does it name packs that a delete verdict names and that are gone?  *ret says
 * so.  0 or -1.
 */
int store_merge_in_stale(struct store *st, struct merge_in *in,
    const struct store_dead *dead, bool *ret, struct err *err);
/*
 * Cut a source into parts whose segments take at most `most` bytes each, by
 * its packs: a pack's entries stay together.  Then it can be made anew part by
 * part, read once for each.  0 or -1.
 */
int store_merge_in_cut(struct store *st, struct merge_in *in, uint64_t most,
    struct err *err);
/* Go back to the first entry, for part `part`. */
void store_merge_in_rewind(struct merge_in *in, uint32_t part);
/*
 * Make one segment of all of v.  *ret NULL: no entry was left.  Return 0, or
 * -1: CORRUPT with s->bad set when that source is damaged, NOTFOUND when one
 * has gone.
 */
int store_merge_sources(struct merge_sources *s, struct merge_out **ret,
    struct err *err);

#endif
