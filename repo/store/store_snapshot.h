#ifndef REPO_STORE_STORE_SNAPSHOT_H
#define REPO_STORE_STORE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/err.h"

/* Snapshots as they are read. */

#define STORE_ID_LEN 32
#define STORE_KEY_LEN 32
#define STORE_SLOT_LEN 8
#define STORE_SESSION_MAX 48 /* a session's name with its NUL */

struct store;

/* Top page of a map; see FORMAT.md 8.  An all-zero id: a map without entries. */
struct store_ref {
	uint8_t id[STORE_ID_LEN];
	uint8_t level;
	uint64_t entries;
};

enum store_content { STORE_TREE = 1, STORE_BLOCK = 2 };

enum store_snapshot_flag {
	STORE_INCOMPLETE = 1, STORE_INODES_IGNORED = 2, STORE_CTIME_IGNORED = 4,
};

struct store_strings { char **v; size_t n; };

/* A decoded snapshot; owned by who got it (store_snapshot_free). */
struct store_snapshot {
	uint8_t slot[STORE_SLOT_LEN];
	uint32_t epoch;              /* under whose keys it was written */
	char session[STORE_SESSION_MAX];
	char id[17];                 /* the 16 hex that people use */
	unsigned slot_rights;        /* enum store_right, of the slot */
	bool checkpoint;
	unsigned flags;              /* enum store_snapshot_flag */
	enum store_content content;
	uint8_t volume_hash[32];
	/*
	 * The same for all snapshots of a volume in a domain, also from before
	 * a new family secret, which changes the hash.  (When sealed: the hash.)
	 */
	uint8_t volume_id[32];
	char *domain;
	int64_t start_ns, end_ns;
	int64_t stored_ns;           /* when the store saw it change, by its own
	                                clock; of those listed or found, else 0 */
	uint64_t counter;
	uint8_t predecessor_hash[32];
	char *predecessor, *parent;  /* sessions, "" when none */
	/*
	 * Of a copy: "REPOSITORY/SLOT/SESSION" (32 and 16 hex) of the snapshot
	 * that was made of the source; else "".
	 */
	char *origin;
	uint64_t generation;
	struct store_ref state;      /* or the block map's root */
	uint64_t size;               /* bytes of the volume or of all files */
	uint64_t entries;
	/* What only the read right opens; all empty when `sealed`. */
	bool sealed;
	struct store_ref catalog;
	char *volume, *host, *user, *program;
	struct store_strings paths, tags;
	uint64_t files, dirs, others, bytes_read, bytes_new, bytes_stored;
};
void store_snapshot_free(struct store_snapshot *sn); /* NULL is fine */

/*
 * Call fn for every snapshot that exists (no note, no revocation), newest
 * last; checkpoints only when wanted.  fn may STEAL the snapshot by setting
 * *sn to NULL.  One that cannot be read or verified is told to bad (may be
 * NULL) with its key and passed over.  Return 0, fn's non-zero value, or -1.
 */
int store_snapshots(struct store *st, bool checkpoints,
    int (*fn)(void *ctx, struct store_snapshot **sn, struct err *err),
    void (*bad)(void *ctx, const char *key, const struct err *why),
    void *ctx, struct err *err);

/*
 * K_ord of the snapshot's domain and epoch, by which its catalog is in order:
 * 32 bytes, valid until the store is closed.  NULL with err: AUTH for another
 * domain than the credential's without admin.
 */
const uint8_t *store_snapshot_order(struct store *st,
    const struct store_snapshot *sn, struct err *err);

/*
 * Find the one that spec names: an id, a unique prefix of one, either after
 * "SLOT/" (16 hex) where two slots have the same, "latest", "latest@VOLUME",
 * "@2026-11-01T12:00[:SS][Z]" (the newest not after).
 * Return 0, or -1: NOTFOUND; USAGE when several match (they are listed).
 */
int store_snapshot_find(struct store *st, const char *spec,
    struct store_snapshot **ret_sn, struct err *err);

#endif
