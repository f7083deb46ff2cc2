#ifndef REPO_STORE_STORE_INTERNAL_H
#define REPO_STORE_STORE_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/crypto/crypto.h"
#include "repo/format/fmt_derive.h"
#include "repo/format/fmt_gc.h"
#include "repo/format/fmt_keys.h"
#include "repo/format/fmt_name.h"
#include "repo/format/fmt_pack.h"
#include "repo/format/fmt_segment.h"
#include "repo/format/fmt_snapshot.h"
#include "repo/store/store.h"

/* What the files of the room share. */

#define STORE_BLOCK_PLAIN FMT_BLOCK_PLAIN
#define STORE_SMALL_OBJECT ((size_t)1 << 20)  /* bound for keys and the like */
#define STORE_LARGE_OBJECT ((size_t)96 << 20) /* snapshots, marks, dead lists */

/* --- objects (store_object.c) --------------------------------------------*/

/*
 * Create an object by R9: return 0 when it is there with these bytes, 1 when
 * another one has that key, -1 with err.
 */
int store_object_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err);

struct store_keyent { size_t key; uint64_t size; int64_t mtime_ns; };

/* Keys of a listing, sorted. */
struct store_keys {
	struct buf text;
	struct store_keyent *v;
	size_t n, cap;
};
/* Replace *ret by the keys that begin with prefix. */
int store_keys_list(struct backend *be, const char *prefix,
    struct store_keys *ret, struct err *err);
const char *store_keys_at(const struct store_keys *k, size_t i);
bool store_keys_has(const struct store_keys *k, const char *key);
void store_keys_release(struct store_keys *k);

/* --- epochs and slots (store_epoch.c, store_slot.c) ------------------------*/

struct store_epoch_secret {
	struct fmt_index_keys k;
	uint8_t index[32];
	uint8_t content[32]; /* with has_content */
	uint8_t root[32];    /* with has_root */
	uint8_t admin[32];   /* the seed of A, with has_root */
	bool has_content, has_root;
};

/* Lives until the store is closed. */
struct store_epoch {
	uint32_t n;
	uint8_t content_pub[32], admin_pub[32];
	struct store_epoch_secret *sec; /* secret memory */
	struct store_epoch *next;       /* the one before it */
};

/* What the own credential holds; in secret memory. */
struct store_own {
	struct fmt_secret half;
	uint8_t family[32]; /* F, with has_family */
	uint8_t id[32], order[32], volume[32], state[32];
	uint8_t cut[32];    /* with has_cut */
	bool has_family, has_cut;
};

/* Another's public half, as believed. */
struct store_slot {
	uint8_t slot[STORE_SLOT_LEN];
	uint8_t sign_pub[32], box_pub[32];
	unsigned rights;
	char *domain;
	bool ended;
	struct store_strings standing; /* sessions that outlive the slot's end */
	struct store_slot *next;
};

/* Take the own grants from the first one on; under no lock, at open. */
int store_epochs_open(struct store *st, struct err *err);
/*
 * The epoch n, after a look for new grants when it is unknown.  NULL with
 * class CORRUPT when it stays so.
 */
struct store_epoch *store_epoch_find(struct store *st, uint32_t n,
    struct err *err);
/* The same without looking at the store; NULL when unknown. */
struct store_epoch *store_epoch_known(struct store *st, uint32_t n);
/* Make an epoch from its grant and remember it. */
int store_epoch_add(struct store *st, const struct fmt_grant_epoch *g,
    struct err *err);
void store_epochs_free(struct store *st);

/* Believed certificate of a slot, cached; NULL with err. */
const struct store_slot *store_slot_find(struct store *st,
    const uint8_t slot[STORE_SLOT_LEN], struct err *err);
/* Return true when what that session of the slot signed still counts. */
bool store_slot_stands(const struct store_slot *sl, const char *session);
void store_slots_free(struct store *st);

/* Check that obj is of kind and signed by the A of its epoch. */
int store_admin_signed(struct store *st, const char *key, const void *obj,
    size_t len, enum fmt_kind kind, struct err *err);
/* The same for a slot and session; tells the object's epoch. */
int store_slot_signed(struct store *st, const char *key, const void *obj,
    size_t len, enum fmt_kind kind, const uint8_t slot[STORE_SLOT_LEN],
    const char *session, struct store_epoch **ret_epoch, struct err *err);

/* --- credentials (store_unlock.c, store_keys.c) ------------------------------*/

/*
 * Find the slot that secret opens: st->own->half and info.slot are filled and
 * accept is asked.  Where it returns -1 the next wrap is tried: an init that
 * was interrupted leaves a slot behind which opens but belongs to no config.
 */
typedef int store_accept_fn(struct store *st, void *ctx, struct err *err);
int store_unlock(struct store *st, const struct store_secret *secret,
    size_t argon_memory, store_accept_fn *accept, void *ctx, struct err *err);

/* A new credential to be put: what init and key add have in common. */
struct store_new_key {
	uint8_t slot[STORE_SLOT_LEN];
	unsigned rights;
	const char *domain, *label;
	const struct store_secret *secret; /* passphrase, or a drawn key file */
	size_t argon_memory;
	uint32_t epoch;         /* of the admin key that signs */
	const uint8_t *admin;   /* its seed */
	const uint8_t *repository, *family_id;
	struct fmt_grant grant; /* complete but for domain and rights */
	struct fmt_secret *half; /* secret memory, filled here */
	char *ret_line;         /* of the key file; NULL with a passphrase */
};
/* Put certificate, grant and, last, wrap of a new credential. */
int store_key_create(struct backend *be, struct store_new_key *nk,
    struct err *err);

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
};
struct store_packtab;
struct store_packtab *store_packtab_new(struct err *err);
void store_packtab_free(struct store_packtab *t);
/* Tell the number of the pack of that name, giving it one if it has none. */
int store_packtab_add(struct store_packtab *t, const struct store_packent *e,
    uint32_t *ret_number, struct err *err);
bool store_packtab_at(struct store_packtab *t, uint32_t number,
    struct store_packent *ret_ent);
/* Opened data keys: a small cache. */
bool store_packtab_key(struct store_packtab *t, uint32_t number,
    uint8_t ret_key[STORE_KEY_LEN]);
void store_packtab_set_key(struct store_packtab *t, uint32_t number,
    const uint8_t key[STORE_KEY_LEN]);

/* --- segments (store_segment.c) and the index (store_index.c) ----------------------*/

/* An opened segment; lives until the store is closed. */
struct store_segment {
	char key[FMT_KEY_MAX];
	uint32_t number;        /* in the index */
	uint64_t order;         /* newest have the highest; merged ones are 0 */
	struct fmt_segment_head head;
	struct fmt_segment_layout lay;
	struct store_epoch *epoch;
	uint8_t (*hashes)[FMT_BLOCK_HASH];
	uint32_t *buckets;      /* NULL: read through the cache */
	uint16_t *filters;      /* NULL: not in memory */
	uint32_t *numbers;      /* of its packs in the store; UINT32_MAX: unknown */
	bool gone;              /* was not there when it was read (atomic) */
};

/*
 * Open the segment `key`: head, signature, hashes; buckets and filter when
 * `room` bytes allow.  *ret_used: what it takes.  Return 0; 1 when it is not
 * there; 2 when it does not count (a slot or session that ended); -1.
 */
int store_segment_open(struct store *st, const char *key, size_t room,
    struct store_segment **ret_sg, size_t *ret_used, struct err *err);
void store_segment_close(struct store_segment *sg);

/* Read and open one block past the cache; dst has room for a sealed one. */
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
/* The store's number of its local pack. */
int store_segment_number(struct store *st, struct store_segment *sg,
    uint32_t local, uint32_t *ret_number, struct err *err);

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
int store_index_refresh(struct store *st, int64_t fresh_ns, struct err *err);
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
struct store_segment *store_index_at(struct store *st, uint32_t number);

/* A search for the copies of one id. */
struct store_lookup {
	uint8_t id[STORE_ID_LEN];
	struct store_seglist *list;
	struct store_segment *first; /* looked at before the others, or NULL */
	struct store_segment *seg;   /* the one looked at now */
	size_t next;
	uint32_t lo, hi;
	bool writer;                 /* what costs too much may be left out */
};
/* hint: number of the segment to look at first, or UINT32_MAX. */
void store_lookup_begin(struct store *st, struct store_lookup *lk,
    const uint8_t id[STORE_ID_LEN], uint32_t hint, bool writer);
/* The next copy: 0, 1 when there are no more, -1. */
int store_lookup_next(struct store *st, struct store_lookup *lk,
    struct store_loc *ret, struct err *err);
void store_lookup_end(struct store *st, struct store_lookup *lk);

/* --- snapshots (store_snapshot.c) ------------------------------------------------------*/

/*
 * Read and verify snapshots/<slot>/<session>.  Return 0; 1 when it is not
 * there or is a revocation; -1.  hash (may be NULL): SHA-256 of the object.
 */
int store_snapshot_load(struct store *st, const char *key,
    struct store_snapshot **ret_sn, uint8_t *hash, struct err *err);

/* Return 1 when a believed note is there under note_key, 0 when not, -1. */
int store_snapshot_noted(struct store *st, const char *note_key,
    struct err *err);

/* The key of a snapshot (a place in a listing) with its time. */
struct store_snapkey { uint64_t start_ms; size_t key; };
/*
 * List snapshots (checkpoints and revocations too) that have no note, oldest
 * first: *ret_n places in keys at *ret, which the caller frees in any case.
 */
int store_snapshot_keys(struct store *st, struct store_keys *keys,
    struct store_snapkey **ret, size_t *ret_n, struct err *err);

/* --- dead sets (store_dead.c) -------------------------------------------------------------*/

struct store_dead;
/* The highest generation with a believed mark; 0 when there is none. */
int store_dead_generation(struct store *st, uint64_t *ret_n, struct err *err);
/* Read gc/ (R1).  NULL with err. */
struct store_dead *store_dead_read(struct store *st, struct err *err);
void store_dead_free(struct store_dead *d);
bool store_dead_has(const struct store_dead *d,
    const uint8_t name[FMT_PACK_NAME_LEN], uint32_t ordinal);
/*
 * R3: true when no generation without verdict was read, or each such mark
 * lists this snapshot.
 */
bool store_dead_may_carry(const struct store_dead *d,
    const uint8_t slot[STORE_SLOT_LEN], const char *session);

/* --- the store ------------------------------------------------------------------------------*/

struct store {
	struct backend *be;
	struct store_info info;
	char *domain, *label;      /* what info points to */
	struct store_options opt;
	bool local, cheap_ranges;  /* of the backend */
	struct buf config;         /* the object, verified */
	struct store_own *own;     /* secret memory */
	struct crypto_idkey *idkey;
	pthread_mutex_t keys_lock; /* epochs and slots */
	struct store_epoch *epochs; /* newest first */
	struct store_slot *slots;
	struct store_cache *cache;
	struct store_packtab *packs;
	struct store_index ix;
};

struct store_worker {
	struct store *st;
	struct crypto_aead *aead;
	struct zip *zip;
	uint8_t *scratch;        /* prefix and packed payload, or an opened blob */
	size_t scratch_len;
	size_t max_plain;
	struct crypto_idkey *own_idkey; /* of another domain; NULL: the store's */
	const struct crypto_idkey *idkey; /* NULL: ids are not checked */
	struct buf sealed;       /* for store_get */
	uint32_t hint;           /* segment hit last */
};

/* Open a pack's data key by its record. */
int store_pack_open_key(struct store *st, uint32_t pack,
    uint8_t ret_key[STORE_KEY_LEN], struct err *err);
/* Open one blob with the data key given; as store_blob_open. */
int store_blob_open_with(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN], uint32_t ordinal,
    const uint8_t key[STORE_KEY_LEN], const void *sealed, uint32_t sealed_len,
    void *dst, uint32_t plain_len, struct err *err);

#endif
