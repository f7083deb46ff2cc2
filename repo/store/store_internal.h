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
#include "repo/store/store_admin.h"
#include "repo/store/store_index_internal.h"
#include "repo/store/store_keys_internal.h"

/* What the files of the room share. */

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

/* --- snapshots (store_snapshot.c) ------------------------------------------------------*/

/*
 * Read and verify snapshots/<slot>/<session>.  Return 0; 1 when it is not
 * there or is a revocation; -1.  hash (may be NULL): SHA-256 of the object.
 */
int store_snapshot_load(struct store *st, const char *key,
    struct store_snapshot **ret_sn, uint8_t *hash, struct err *err);

/* Note that this was read or committed (store_seen.c). */
void store_seen_note(struct store *st, const uint8_t slot[STORE_SLOT_LEN],
    const uint8_t volume_hash[32], uint64_t counter, const char *session);
void store_seen_free(struct store *st);

/* Return 1 when a believed note is there under note_key, 0 when not, -1. */
int store_snapshot_noted(struct store *st, const char *note_key,
    struct err *err);

/*
 * Check the signature of a revocation at that key: an administrator's, or that
 * of the slot whose directory it is in, which may end its own sessions.  0 or -1.
 */
int store_revocation_signed(struct store *st, const char *key,
    const struct fmt_key *at, const void *obj, size_t len, struct err *err);

/* What is at a snapshot's key. */
enum store_snapshot_state {
	STORE_SNAP_NONE, STORE_SNAP_REAL, STORE_SNAP_REVOKED,
	STORE_SNAP_UNBELIEVED, /* nobody who may has signed it, or damaged */
};
/* Look at it and verify its signature.  Return 0 or -1. */
int store_snapshot_look(struct store *st, const char *key,
    enum store_snapshot_state *ret, struct err *err);

/* The key of a snapshot (a place in a listing) with its time. */
struct store_snapkey { uint64_t start_ms; size_t key; };
/*
 * List snapshots (checkpoints and revocations too) that have no note, oldest
 * first: *ret_n places in keys at *ret, which the caller frees in any case.
 */
int store_snapshot_keys(struct store *st, struct store_keys *keys,
    struct store_snapkey **ret, size_t *ret_n, struct err *err);

/* --- reading ahead (store_ahead.c) ------------------------------------------------*/

/* Listings made at opening, until who they are for takes them. */
struct store_early {
	int64_t ns; /* when they began (mono) */
	int64_t index_ns; /* when index/ was asked for otherwise; 0: not */
	struct store_keys snapshots, index;
	bool snapshots_there, index_there;
};

/*
 * Each says what will be read next, where that takes long (st->far); none can
 * fail.  What is asked for is read as of then: so a caller asks for listings,
 * and for objects that stand in one, only behind what has to come before them.
 */
struct backend *store_ahead_new(struct backend *be, unsigned readers,
    size_t memory, struct err *err);
/* At opening: its listings; keys_prefix: of the wraps that will be tried. */
void store_ahead_open(struct store *st, const char *keys_prefix);
void store_ahead_config(struct store *st, const struct store_keys *keys);
void store_ahead_wraps(struct store *st, const struct store_keys *keys);
/* The store is open: what who reads snapshots looks at first. */
void store_ahead_opened(struct store *st);
/*
 * Take a listing that was made then, if it is young enough (it began at
 * *ret_ns, mono), of index/ or snapshots/.
 */
bool store_early_take(struct store *st, bool index, struct store_keys *ret,
    int64_t *ret_ns);
void store_early_release(struct store *st);
/* Ask for index/; the next refresh knows that its listing is as old as this. */
void store_ahead_index_list(struct store *st);
int64_t store_ahead_index_asked(struct store *st);
/* snapshots/ was listed: what comes behind it. */
void store_ahead_listed(struct store *st);
/* index/ was listed: manifests, and segments that are short. */
void store_ahead_index(struct store *st, const struct store_keys *keys);
void store_ahead_segment(struct store *st, const char *key, uint64_t size);
/* An object, and the certificate of its slot. */
void store_ahead_signed(struct store *st, const char *key);
/* The i-th of n snapshots is read now, then the next ones. */
void store_ahead_snapshots(struct store *st, const struct store_keys *keys,
    const struct store_snapkey *v, size_t i, size_t n);

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
 * Does a delete verdict, whose list was read, name the pack (wholly, or as one
 * that was repacked)?  And does any name one?
 */
bool store_dead_deleted(const struct store_dead *d,
    const uint8_t name[FMT_PACK_NAME_LEN]);
bool store_dead_deletes(const struct store_dead *d);
/*
 * R3: true when no generation without verdict was read, or each such mark
 * lists this snapshot.
 */
bool store_dead_may_carry(const struct store_dead *d,
    const uint8_t slot[STORE_SLOT_LEN], const char *session);

struct store_bad;  /* store_bad_internal.h */
struct store_disk; /* store_disk_internal.h */

/* --- the store ------------------------------------------------------------------------------*/

struct store {
	struct backend *be;
	struct store_info info;
	char *domain, *label;      /* what info points to */
	struct store_options opt;
	bool local, cheap_ranges;  /* of the backend */
	bool far;                  /* reads are made ahead */
	struct store_disk *disk;   /* the local cache, or NULL */
	struct store_early early;
	struct buf config;         /* the object that counted when it was opened */
	struct store_own *own;     /* secret memory */
	const struct crypto_idkey *idkey; /* of the family in use; borrowed */
	pthread_mutex_t keys_lock; /* the six below; nothing leaves them */
	struct store_seen_list *seen;
	struct store_epoch *epochs; /* newest first */
	struct store_family *families;
	struct store_order *orders;
	struct store_slot *slots;
	struct store_config *configs; /* newest first */
	pthread_mutex_t refreshing; /* one looks for a newer config at a time */
	struct store_cache *cache;
	struct store_packtab *packs;
	struct store_index ix;
	struct store_bad *bad;     /* read with the index first; then constant */
	pthread_mutex_t heal_lock; /* what follows */
	struct store_heal *heal;   /* parity of the damaged pack read last */
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
	struct crypto_idkey **former; /* beside own_idkey: other family secrets */
	size_t nformer;
	const struct crypto_idkey *checked_by; /* the id key that was right last */
	struct buf sealed;       /* for store_get */
	uint32_t hint;           /* segment hit last */
};

/* Open a pack's data key by its record. */
int store_pack_open_key(struct store *st, uint32_t pack,
    uint8_t ret_key[STORE_KEY_LEN], struct err *err);
/*
 * Read and open the copy at loc; the bytes replace what ret_data holds.  0 or
 * -1, CORRUPT or NOTFOUND when it is this copy that is at fault.
 */
int store_get_copy(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN],
    const struct store_loc *loc, struct buf *ret_data, struct err *err);
/*
 * From now on w takes ids of every domain that a credential has.  Needs the
 * family secret (admin); without it nothing changes.  (store_domains.c)
 */
int store_worker_all_domains(struct store_worker *w, struct err *err);
/* Is id that of the bytes, in w's domains and by any family secret? */
bool store_id_is(struct store_worker *w, enum store_kind kind,
    const void *data, size_t len, const uint8_t id[STORE_ID_LEN]);
/* Open one blob with the data key given; as store_blob_open. */
int store_blob_open_with(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN], uint32_t ordinal,
    const uint8_t key[STORE_KEY_LEN], const void *sealed, uint32_t sealed_len,
    void *dst, uint32_t plain_len, struct err *err);

#endif
