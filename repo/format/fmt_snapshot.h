#ifndef REPO_FORMAT_FMT_SNAPSHOT_H
#define REPO_FORMAT_FMT_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "repo/format/fmt_name.h"
#include "repo/format/fmt_object.h"

/*
 * Snapshots, revocations, notes and session objects (FORMAT.md 6).  Encoders
 * append to an empty buf; fmt_sign_append comes next.  Decoders take the whole
 * object and do not look at the signature.
 */

/* The top page of a map.  A map without entries: an id of zeros. */
struct fmt_ref {
	uint8_t id[FMT_ID_LEN];
	uint8_t level;
	uint64_t entries;
};

/* --- snapshot, signed by its slot --------------------------------------------------*/

enum fmt_snapshot_type { FMT_COMMIT = 1, FMT_CHECKPOINT = 2 };
enum fmt_snapshot_flag {
	FMT_INCOMPLETE = 1, FMT_INODES_IGNORED = 2, FMT_CTIMES_IGNORED = 4,
};
enum fmt_snapshot_content { FMT_TREE = 1, FMT_BLOCK_VOLUME = 2 };

/* What writers may read too. */
struct fmt_s1 {
	uint8_t type;                    /* enum fmt_snapshot_type */
	uint32_t flags;                  /* enum fmt_snapshot_flag, or-ed */
	uint8_t content;                 /* enum fmt_snapshot_content */
	uint8_t volume_hash[32];
	struct fmt_str domain;
	int64_t start_ns, end_ns;
	uint64_t counter;
	uint8_t predecessor_hash[32];    /* zeros: none */
	char predecessor[FMT_SESSION_MAX], parent[FMT_SESSION_MAX]; /* "": none */
	uint64_t generation;
	struct fmt_ref state;            /* or the byte map */
	uint64_t size, entries;
	struct fmt_list packs;           /* fmt_pack_next; of checkpoints only */
	bool copied;                     /* the three that follow are filled */
	uint8_t origin_repository[FMT_REPOSITORY_LEN];
	uint8_t origin_slot[FMT_SLOT_LEN];
	char origin_session[FMT_SESSION_MAX];
};
int fmt_s1_encode(struct buf *b, const struct fmt_s1 *s, struct err *err);
int fmt_s1_decode(const void *p, size_t len, struct fmt_s1 *ret,
    struct err *err);

/* What only the read right opens. */
struct fmt_s2 {
	struct fmt_ref catalog;          /* zeros but for a tree */
	struct fmt_str volume, host, user, program;
	struct fmt_list paths, tags;     /* fmt_str_next */
	uint64_t files, directories, others;
	uint64_t bytes_read, bytes_new, bytes_stored;
};
int fmt_s2_encode(struct buf *b, const struct fmt_s2 *s, struct err *err);
int fmt_s2_decode(const void *p, size_t len, struct fmt_s2 *ret,
    struct err *err);

/* key: the object's; snap_key: K_snap, content_pub: P, both of epoch. */
int fmt_snapshot_encode(struct buf *obj, const char *key, uint32_t epoch,
    const uint8_t snap_key[32], const uint8_t content_pub[32],
    const struct fmt_s1 *s1, const struct fmt_s2 *s2, struct err *err);

/*
 * Open the first part.  *ret borrows from ret_plain, whose content is
 * replaced.
 */
int fmt_snapshot_open1(const void *obj, size_t len, const char *key,
    const uint8_t snap_key[32], struct buf *ret_plain, struct fmt_s1 *ret,
    struct err *err);
/* Open the second part with content = X of the object's epoch. */
int fmt_snapshot_open2(const void *obj, size_t len,
    const uint8_t content[32], struct buf *ret_plain, struct fmt_s2 *ret,
    struct err *err);

/* --- revocation, signed by the administration key of epoch ---------------------------*/

struct fmt_revocation {
	uint32_t epoch;
	int64_t time_ns;
	uint64_t generation;
};
int fmt_revocation_encode(struct buf *obj, const struct fmt_revocation *r,
    struct err *err);
int fmt_revocation_decode(const void *obj, size_t len,
    struct fmt_revocation *ret, struct err *err);

/* --- note, signed by the administration key of epoch -----------------------------------*/

struct fmt_note {
	uint32_t epoch;
	char session[FMT_SESSION_MAX];
	int64_t time_ns;
	struct fmt_str reason;
};
int fmt_note_encode(struct buf *obj, const struct fmt_note *n,
    struct err *err);
int fmt_note_decode(const void *obj, size_t len, struct fmt_note *ret,
    struct err *err);

/* --- session, signed by its slot ---------------------------------------------------------*/

struct fmt_session {
	uint64_t generation;
	int64_t start_ns, updated_ns;
	uint64_t bytes_read, entries;
	struct fmt_str host;
};
/* sess_key: K_sess of epoch. */
int fmt_session_encode(struct buf *obj, const char *key, uint32_t epoch,
    const uint8_t sess_key[32], const struct fmt_session *s, struct err *err);
/* *ret borrows from ret_plain, whose content is replaced. */
int fmt_session_open(const void *obj, size_t len, const char *key,
    const uint8_t sess_key[32], struct buf *ret_plain,
    struct fmt_session *ret, struct err *err);

#endif
