#ifndef REPO_STORE_STORE_ADMIN_H
#define REPO_STORE_STORE_ADMIN_H

#include "repo/store/store.h"

/* Making a repository, and its credentials. */

struct backend_probe;

#define STORE_PARITY_MAX 50u /* percent */

struct store_init_options {
	struct store_chunking stream, block;
	uint32_t pack_size;     /* bytes; 0: 16 MiB */
	/*
	 * Parity of each pack in percent of its size, 1 to 50; 0: none.  So
	 * much of a pack can be damaged and put back by repair.
	 */
	unsigned parity;
	bool allow_weak_store;  /* accept a store without atomic creation */
	struct backend_probe *ret_probe; /* what it was found to do; NULL: not */
	const char *label;      /* of the first credential; NULL: "first" */
	const char *domain;     /* its deduplication domain; NULL: "" */
	/*
	 * Opened with admin: the new repository is of its family, so that equal
	 * bytes have the same id in both.  NULL: a family of its own.
	 */
	struct store *family_of;
	size_t memory;          /* budget in bytes: bounds Argon2id; 0: 512 MiB */
};

/*
 * Make a repository in be with one credential that has all rights, opened by
 * secret.  Everything is put before config, so that a half-made one is no
 * repository.  Class EXISTS when there is one already, UNSUPPORTED when the
 * store cannot create atomically and that was not allowed.  be stays the
 * caller's.  Return 0 or -1; ret_slot receives the slot's 16 hex.
 */
int store_init(struct backend *be, const struct store_init_options *opt,
    const struct store_secret *secret, char ret_slot[17], struct err *err);

/* --- credentials ----------------------------------------------------------*/

struct store_key {
	char slot[17];
	unsigned rights;
	const char *domain, *label; /* borrowed for the call of fn */
	int64_t created_ns;
	unsigned passphrases, key_files; /* wraps of each method */
	bool ended, own;
};

int store_key_list(struct store *st,
    int (*fn)(void *ctx, const struct store_key *key, struct err *err),
    void *ctx, struct err *err);

/*
 * Add a credential.  Needs admin.  With secret->passphrase it is wrapped by
 * that; else a key file's secret is drawn and its line written to ret_line
 * (at least 128 bytes).  ret_slot receives its slot.
 */
int store_key_add(struct store *st, unsigned rights, const char *domain,
    const char *label, const struct store_secret *secret, char ret_slot[17],
    char *ret_line, struct err *err);

/* Wrap the own slot's secret by a new passphrase and remove the other wraps. */
int store_key_passwd(struct store *st, const struct store_secret *secret,
    struct err *err);

struct store_remove_result {
	char slot[17];
	uint64_t snapshots; /* of it that stand */
	bool last_reader;   /* no other credential is left that can read */
};
/*
 * End the credential of that slot (16 hex): `end` lists what of it stands, so
 * that what it has stored stays, and a config names that.  Its wraps and grants
 * are removed where that is allowed.  Needs admin.  sole_administrator: needed
 * on a weak store (R12).  Return 0; 1 when it had ended before; -1: USAGE for
 * the last one with admin, NOTFOUND for a slot that is not there, UNSUPPORTED.
 * It may be called again at any moment after it was interrupted.
 */
int store_key_remove(struct store *st, const char *slot,
    bool sole_administrator, struct store_remove_result *ret, struct err *err);

struct store_rotate_options {
	bool new_ids;   /* a new family secret, too: all is stored anew */
	bool sole_administrator; /* needed on a weak store (R12) */
};
struct store_rotate_result {
	uint32_t epoch;        /* the new one */
	uint64_t granted;      /* slots, the own among them */
	uint64_t left_out;     /* certified ones that have ended */
};
/*
 * Begin a new epoch: new roots, granted to all slots that have not ended, then
 * a config that names it.  st goes on with the keys it opened with, but its
 * next session writes under the new ones; with new_ids it has to be opened
 * again.  Who is interrupted leaves grants that nothing names: run it again.
 * Needs admin.  Return 0, or -1: CONFLICT when another administrator was first,
 * UNSUPPORTED, AUTH.
 */
int store_key_rotate(struct store *st, const struct store_rotate_options *opt,
    struct store_rotate_result *ret, struct err *err);

#endif
