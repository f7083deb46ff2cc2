#ifndef REPO_STORE_STORE_KEYS_INTERNAL_H
#define REPO_STORE_STORE_KEYS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/crypto/crypto.h"
#include "repo/format/fmt_derive.h"
#include "repo/format/fmt_keys.h"
#include "repo/format/fmt_name.h"
#include "repo/store/store_admin.h"

/* What the files of the room share of keys: epochs, slots, config, grants. */

struct store_keys;

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

struct store_family_secret {
	uint8_t family[32]; /* F, with has_family */
	uint8_t id[32], order[32], volume[32], state[32]; /* of one domain */
	uint8_t cut[32];    /* with has_cut */
};

/* A family secret, in use from an epoch on.  Lives until the store is closed. */
struct store_family {
	uint32_t from;
	bool has_family, has_cut;
	struct store_family_secret *sec; /* secret memory; of the own domain */
	struct crypto_idkey *idkey;
	struct store_family *next;       /* any order */
};

/* K_ord of another domain that was asked for; in secret memory. */
struct store_order {
	const struct store_family *family;
	char *domain;
	uint8_t key[32];
	struct store_order *next;
};
void store_orders_free(struct store *st);
/*
 * K_ord of that domain by f, valid until the store is closed.  NULL with err:
 * AUTH for another domain than the credential's without admin.
 */
const uint8_t *store_order_of(struct store *st, struct store_family *f,
    const char *domain, struct err *err);

/* What the own credential holds, as of the epoch it opened; in secret memory. */
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
	char *domain, *label;
	bool ended;
	uint32_t config;               /* number of the config that was asked */
	struct fmt_stood *standing;    /* sessions that outlive the slot's end */
	size_t nstanding;
	struct store_slot *next;
};

/* What grants say that is not known yet: believed once a config vouches for it. */
struct store_fresh {
	struct store_epoch *epochs;
	struct store_family *families;
	unsigned rights;               /* of the newest grant; 0: none was taken */
	char *domain;
};
/*
 * Take the own grants of the epochs whose public A are in `admins`, each
 * signed by the A before it, as far as there are any.  Return 0, or -1: class
 * CORRUPT when they are not those of this credential.
 */
int store_grants_follow(struct store *st, struct fmt_list admins,
    struct store_fresh *f, struct err *err);
/* Believe it (under st->refreshing, or before the store is shared). */
void store_fresh_adopt(struct store *st, struct store_fresh *f);
void store_fresh_release(struct store_fresh *f);
/* Among the fresh and the known; f may be NULL; NULL when unknown. */
struct store_epoch *store_fresh_epoch(struct store *st,
    const struct store_fresh *f, uint32_t n);

/*
 * The epoch n, after a look at config and grants when it is unknown.  NULL
 * with err: AUTH when this slot was left out of it, else CORRUPT.
 */
struct store_epoch *store_epoch_find(struct store *st, uint32_t n,
    struct err *err);
/* The same without looking at the store; NULL when unknown. */
struct store_epoch *store_epoch_known(struct store *st, uint32_t n);
/* Make one of what a grant says; NULL with err.  Freed by store_epoch_free. */
struct store_epoch *store_epoch_new(const struct fmt_grant_epoch *g,
    struct err *err);
void store_epoch_free(struct store_epoch *e); /* with all behind it */
struct store_family *store_family_new(const struct fmt_grant_family *g,
    struct err *err);
void store_family_free(struct store_family *f); /* with all behind it */
/* The family secret that epoch n uses; NULL when it is not held. */
struct store_family *store_family_at(struct store *st, uint32_t n);
void store_epochs_free(struct store *st);

/* --- config (store_config.c) -----------------------------------------------*/

/* A config that counted; lives until the store is closed. */
struct store_config {
	uint32_t m;
	uint8_t *obj;
	size_t len;
	struct fmt_config c;    /* its lists point into obj */
	bool left_out;          /* this slot was granted nothing in its epoch */
	struct store_config *older;
};
/* At open: the highest that counts; fills st->info. */
int store_config_open(struct store *st, const struct store_keys *keys,
    struct err *err);
/* The one that counts, as far as it is known. */
const struct store_config *store_config_now(struct store *st);
/* Look for a newer one, and take the epochs that it names.  0 or -1. */
int store_config_refresh(struct store *st, struct err *err);
/* The hash of the slot's end; NULL when it has not ended. */
const uint8_t *store_config_ended(const struct store_config *cfg,
    const uint8_t slot[STORE_SLOT_LEN]);
/*
 * Put the config after `base` with these changes, signed by the A of `signer`.
 * Return 0, 1 when someone else put one meanwhile (or something: look again),
 * -1.
 */
int store_config_put(struct store *st, const struct store_config *base,
    const struct store_epoch *signer, uint32_t epoch, struct fmt_list admins,
    struct fmt_list ended, struct err *err);
void store_configs_free(struct store *st);
/* R12: -1 with class UNSUPPORTED on a weak store unless that is vouched for. */
int store_admin_alone(const struct store *st, bool sole_administrator,
    const char *what, struct err *err);
/*
 * Is there a grant of the own slot, signed by an administrator, for an epoch
 * that no config names?  So when that config is lost, or a rotation was
 * interrupted.
 */
int store_epoch_ahead(struct store *st, bool *ret, struct err *err);
/* -1 with class AUTH when the own slot has ended or was left out. */
int store_config_own(struct store *st, struct err *err);

/*
 * Class AUTH when the slot has an end among its objects, else class CORRUPT:
 * `lacks` is missing, which nobody has removed.  Return -1.
 */
int store_slot_lacks(struct store *st, const uint8_t slot[STORE_SLOT_LEN],
    const char *lacks, struct err *err);

/* Believed certificate of a slot, cached; NULL with err. */
const struct store_slot *store_slot_find(struct store *st,
    const uint8_t slot[STORE_SLOT_LEN], struct err *err);
/* Fill sl (of which slot is set) from its certificate; it owns the strings. */
int store_slot_cert(struct store *st, struct store_slot *sl, struct err *err);
/* Return true when what that session of the slot signed still counts. */
bool store_slot_stands(const struct store_slot *sl, const char *session);
/* The same for its segment of that number. */
bool store_slot_segment_stands(const struct store_slot *sl,
    const char *session, uint64_t number);
void store_slots_free(struct store *st);

/* Check that obj is of kind and signed by the A of its epoch. */
int store_admin_signed(struct store *st, const char *key, const void *obj,
    size_t len, enum fmt_kind kind, struct err *err);
/*
 * Sign obj by the A of the epoch that st writes under (st->info.epoch; obj's
 * header names it) and create it by R9.  Needs admin.  Return as
 * store_object_put does.
 */
int store_admin_put(struct store *st, const char *key, struct buf *obj,
    struct err *err);
/*
 * -1 with class UNSUPPORTED when obj is of a later version of the format and
 * signed by the A of a known epoch; else 0.
 */
int store_signed_newer(struct store *st, const char *key, const void *obj,
    size_t len, struct err *err);
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

/* Have what store_unlock will read, and what is listed beside it, read ahead. */
void store_unlock_ahead(struct store *st, const struct store_secret *secret);

/* A new credential to be put: what init and key add have in common. */
struct store_new_key {
	uint8_t slot[STORE_SLOT_LEN];
	unsigned rights;
	const char *domain, *label;
	const struct store_secret *secret; /* passphrase, or a drawn key file */
	size_t argon_memory;
	uint32_t epoch;         /* of the admin key that signs, and granted */
	const uint8_t *admin;   /* its seed */
	const uint8_t *repository, *family_id;
	struct fmt_grant grant; /* complete but for domain and rights */
	struct fmt_secret *half; /* secret memory, filled here */
	char *ret_line;         /* of the key file; NULL with a passphrase */
};
/* Put certificate, grant and, last, wrap of a new credential. */
int store_key_create(struct backend *be, struct store_new_key *nk,
    struct err *err);

/*
 * Does the store create atomically?  Asked by racing puts, where it is not a
 * local directory (R12).  Return 0, 1 when it does not, -1.  (store_init.c)
 */
int store_probe(struct backend *be, struct err *err);

/* Whom a grant is for, and what of. */
struct store_grant_for {
	uint8_t slot[STORE_SLOT_LEN], box_pub[32];
	unsigned rights;
	const char *domain;
	uint32_t n;                        /* all epochs up to it */
	const struct store_epoch *epochs;  /* hold these: any order */
	const struct store_family *families;
	const struct store_epoch *signer;
};
/* Fill the lists of a grant; both are secret: wiped by the second. */
int store_grant_lists(struct store *st, const struct store_grant_for *to,
    struct fmt_list_buf *families, struct fmt_list_buf *epochs,
    struct err *err);
void store_grant_lists_wipe(struct fmt_list_buf *families,
    struct fmt_list_buf *epochs);
/*
 * Seal and put a grant.  ret_key (may be NULL) receives its key.  Needs all
 * roots and family secrets.  Return as store_object_put does.
 */
int store_grant_put(struct store *st, const struct store_grant_for *to,
    char ret_key[FMT_KEY_MAX], struct err *err);
/*
 * Whether the slot was granted `epoch` by an administrator: 0, 1 when not
 * (damaged counts as not), -1.
 */
int store_grant_stands(struct store *st, const uint8_t slot[STORE_SLOT_LEN],
    const struct store_epoch *epoch, struct err *err);

#endif
