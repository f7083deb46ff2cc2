#ifndef REPO_STORE_STORE_INDEX_INTERNAL_H
#define REPO_STORE_STORE_INDEX_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/format/fmt_name.h"
#include "repo/format/fmt_pack.h"
#include "repo/format/fmt_segment.h"
#include "repo/store/store.h"

/* The index and what it stands on: blocks, pack numbers, segments. */

#define STORE_BLOCK_PLAIN FMT_BLOCK_PLAIN
#define STORE_IMAGE_MAX ((uint64_t)512 << 10) /* a segment this small is read whole */
#define STORE_PIECE_BLOCKS 64u /* blocks of buckets or filter to one read */

struct store_epoch;

/* --- blocks and packs -----------------------------------------------------------*/

struct store_cache;
struct store_cache *store_cache_new(size_t bytes, struct err *err);
void store_cache_free(struct store_cache *c);
/* Copy len bytes from offset off of a block to dst when it is cached. */
bool store_cache_get(struct store_cache *c, uint64_t key, size_t off,
    size_t len, void *dst);
void store_cache_put(struct store_cache *c, uint64_t key, const void *data,
    size_t len);

struct store_packent {
	uint8_t name[FMT_PACK_NAME_LEN];
	uint32_t size;    /* bytes */
	uint32_t segment; /* number of the segment that has the record */
	uint32_t local;   /* the pack's number in it */
	uint8_t said[8];  /* hash of all that the record says of the pack */
	uint32_t missed;  /* ms when it was first not found, or 0 */
};
struct store_packtab;
struct store_packtab *store_packtab_new(struct err *err);
void store_packtab_free(struct store_packtab *t);
/*
 * Tell the number of the pack of that name of which the same is said, giving
 * it one if it has none.  Of two segments that say it the later opened is
 * remembered: the other may have been merged away.
 */
int store_packtab_add(struct store_packtab *t, const struct store_packent *e,
    uint32_t *ret_number, struct err *err);
bool store_packtab_at(struct store_packtab *t, uint32_t number,
    struct store_packent *ret_ent);
/*
 * The pack was not there.  Return how long ago that was first noticed, ns: only
 * an index that was listed since can tell where its blobs are now.
 */
int64_t store_packtab_missed(struct store_packtab *t, uint32_t number);
/* Opened data keys: a small cache. */
bool store_packtab_key(struct store_packtab *t, uint32_t number,
    uint8_t ret_key[STORE_KEY_LEN]);
void store_packtab_set_key(struct store_packtab *t, uint32_t number,
    const uint8_t key[STORE_KEY_LEN]);

/* --- segments (store_segment.c) and the index (store_index.c) ----------------------*/

/*
 * An opened segment.  Its memory stays while a list of segments has it; what
 * is left then is its key, until the store is closed.
 */
struct store_segment {
	char key[FMT_KEY_MAX];
	uint32_t number;        /* in the index */
	unsigned refs;          /* under the index's lock; 0: a shell */
	size_t used;            /* bytes of the index's budget */
	uint64_t order;         /* newest have the highest; merged ones are 0 */
	struct fmt_segment_head head;
	struct fmt_segment_layout lay;
	struct store_epoch *epoch;
	uint8_t (*hashes)[FMT_BLOCK_HASH];
	uint32_t *buckets;      /* NULL: read through the cache */
	uint16_t *filters;      /* NULL: not in memory */
	uint32_t *numbers;      /* of its packs in the store; UINT32_MAX: unknown */
	uint8_t *image;         /* all of it, while it is being opened; or NULL */
	bool cached;            /* of what was opened the local cache had some */
	bool fresh;             /* and must not be asked now */
	bool gone;              /* was not there when it was read (atomic) */
};

/*
 * Open the segment `key`: head, signature, hashes; buckets and filter when
 * `room` bytes allow (sg->used: what it takes).  size: what a listing says of
 * it, in bytes, which saves a round trip; 0: not known.  Return 0; 1 when it
 * is not there; 2 when it does not count (a slot or session that ended); -1.
 */
int store_segment_open(struct store *st, const char *key, uint64_t size,
    size_t room, struct store_segment **ret_sg, struct err *err);
void store_segment_close(struct store_segment *sg);
/* Free all of it but its key. */
void store_segment_shed(struct store_segment *sg);

/* Open the block at `sealed` in place; *ret_len: its plain length. */
int store_segment_block_open(struct store *st, const struct store_segment *sg,
    uint32_t block, uint8_t *sealed, uint32_t *ret_len, struct err *err);
/* It was not there when it was read.  -1 with class NOTFOUND. */
int store_segment_gone(struct store *st, struct store_segment *sg,
    struct err *err);

/* --- where a request takes long (store_far.c) */

/*
 * Read a range of an object that never changes, from the local cache unless
 * `fresh`; *ret_cached becomes true when it came from there.  What comes from
 * the store is kept.  0, 1 when there is no such object, -1.
 */
int store_range_get(struct store *st, const char *key, uint64_t off, void *dst,
    size_t len, bool fresh, bool *ret_cached, struct err *err);
/*
 * A block (plain at dst, with room for a sealed one) with those around it, which
 * go to the block cache: a request for one of them would take as long.
 */
int store_segment_group(struct store *st, struct store_segment *sg,
    uint32_t block, uint8_t *dst, uint32_t *ret_len, struct err *err);
/* What is read of it when it is opened: its head is known. */
void store_segment_ahead(struct store *st, const struct store_segment *sg,
    size_t room);
/* It is part of the index: entries and packs to the block cache, if few. */
void store_segment_warm(struct store *st, struct store_segment *sg);
/* Somebody goes through all blocks, and is at this one. */
void store_segment_scan_ahead(struct store *st, const struct store_segment *sg,
    uint32_t block);

/* Read and open one block past all caches; dst has room for a sealed one. */
int store_segment_load(struct store *st, struct store_segment *sg,
    uint32_t block, uint8_t *dst, uint32_t *ret_len, struct err *err);
/* Copy `len` bytes from offset off of an opened block, through the cache. */
int store_segment_read(struct store *st, struct store_segment *sg,
    uint32_t block, size_t off, size_t len, void *dst, struct err *err);
/*
 * Entries that may be id's: [*ret_lo, *ret_hi) of section E, from the buckets.
 */
int store_segment_range(struct store *st, struct store_segment *sg,
    const uint8_t *id, uint32_t *ret_lo, uint32_t *ret_hi, struct err *err);
/*
 * The first entry in [*lo, hi) that is id's; *lo goes behind it.  Return 0, 1
 * when there is none, -1.
 */
int store_segment_next(struct store *st, struct store_segment *sg,
    const uint8_t *id, uint32_t *lo, uint32_t hi, struct fmt_index_entry *ret,
    struct err *err);
/* The record of its local pack; key receives the sealed key, rec points to it. */
int store_segment_pack(struct store *st, struct store_segment *sg,
    uint32_t local, struct fmt_pack_record *ret_rec,
    uint8_t ret_key[FMT_SEALED_KEY_BOX], struct err *err);
/* A hash of all that a record says but its padding. */
void store_record_said(const struct fmt_pack_record *rec, uint8_t ret[8]);
/* The store's number of its local pack. */
int store_segment_number(struct store *st, struct store_segment *sg,
    uint32_t local, uint32_t *ret_number, struct err *err);

/* --- which segments count (store_manifest.c) ------------------------------------------*/

struct store_keys;

/* What the highest believed manifest says. */
struct store_manifest {
	uint64_t n;              /* its number; 0: there is none */
	uint64_t *merged;        /* those in force, ascending */
	size_t nmerged;
	char *text;              /* of the keys below */
	const char **covered;    /* keys that stand in those, sorted */
	size_t ncovered;
};
/*
 * List index/ with the manifest in force: the listing has missed no segment
 * that the manifest does not replace, whatever is merged meanwhile.  *ret_keys
 * and *ret are replaced; keys that are there already are the first listing.
 * 0 or -1.
 */
int store_manifest_list(struct store *st, struct store_keys *ret_keys,
    struct store_manifest *ret, struct err *err);
/* The number of the manifest in force as a new listing has it; 0: none. */
int store_manifest_number(struct store *st, uint64_t *ret_n, struct err *err);
/* Is the segment of that key part of the index? */
bool store_manifest_counts(const struct store_manifest *m, const char *key);
void store_manifest_release(struct store_manifest *m);

/* The manifest for which a merged segment was made, and the first made for it. */
#define STORE_MERGED_FOR(number) ((number) >> 24)
#define STORE_MERGED_FIRST(manifest) ((uint64_t)(manifest) << 24)

/* Segments in the order of search, newest first; shared, counted. */
struct store_seglist {
	unsigned refs;
	size_t n;
	struct store_segment *v[];
};

struct store_index {
	pthread_mutex_t lock;      /* all but what refreshing guards */
	pthread_mutex_t refreshing;
	struct store_seglist *list;
	struct store_segment **all; /* by number */
	uint32_t nall, capall;
	char **ignored;             /* keys that do not count or are broken */
	size_t nignored;
	struct crypto_aead *aeads[4]; /* contexts at rest, for reading blocks */
	size_t budget, used;
	size_t warmed;              /* bytes put to the block cache at opening */
	bool listed;
	int64_t listed_ns;          /* when the last listing began (mono) */
	int64_t root_ns;            /* of the last store_index_stale (mono) */
	bool has_broken;            /* a segment could not be read: */
	struct err broken;
};
int store_index_init(struct store *st, size_t budget, struct err *err);
void store_index_release(struct store *st);
/*
 * List the index and open what is new.  Not when a listing began less than
 * `fresh_ns` ago and after the last store_index_stale (STORE_ANY_AGE: when it
 * was ever listed).  Segments that cannot be read are logged and passed over.
 */
#define STORE_ANY_AGE INT64_MAX
/* A listing this young is new enough for a second look. */
#define STORE_FRESH_NS ((int64_t)3 * 1000000000)
int store_index_refresh(struct store *st, int64_t fresh_ns, struct err *err);
/* Make sure that st->bad, which readers go by, has been read.  0 or -1. */
int store_index_bad(struct store *st, struct err *err);
/* From now on a listing that began before is too old for a second look. */
void store_index_stale(struct store *st);
/* A cipher context for a moment; NULL with err. */
struct crypto_aead *store_aead_take(struct store *st, struct err *err);
void store_aead_give(struct store *st, struct crypto_aead *a);
/* Remember that part of the index cannot be read. */
void store_index_broken(struct store *st, const struct err *why);
/* Open one segment that was just written. */
int store_index_open_own(struct store *st, const char *key, struct err *err);
struct store_seglist *store_index_ref(struct store *st);
void store_index_unref(struct store *st, struct store_seglist *l);
/*
 * The segment of that number, to be given back by store_index_back; NULL when
 * it is not part of the index any more.
 */
struct store_segment *store_index_at(struct store *st, uint32_t number);
void store_index_back(struct store *st, struct store_segment *sg); /* or NULL */

/* A search for the copies of one id. */
struct store_lookup {
	uint8_t id[STORE_ID_LEN];
	struct store_seglist *list;
	struct store_segment *first; /* looked at before the others, or NULL */
	struct store_segment *seg;   /* the one looked at now */
	size_t next;
	uint32_t lo, hi;
	bool writer;                 /* what costs too much may be left out */
	bool missed;                 /* a segment was gone: list once more */
};
/* hint: number of the segment to look at first, or UINT32_MAX. */
void store_lookup_begin(struct store *st, struct store_lookup *lk,
    const uint8_t id[STORE_ID_LEN], uint32_t hint, bool writer);
/* The next copy: 0, 1 when there are no more, -1. */
int store_lookup_next(struct store *st, struct store_lookup *lk,
    struct store_loc *ret, struct err *err);
void store_lookup_end(struct store *st, struct store_lookup *lk);

#endif
