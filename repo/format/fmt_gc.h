#ifndef REPO_FORMAT_FMT_GC_H
#define REPO_FORMAT_FMT_GC_H

#include <stdint.h>

#include "repo/format/fmt_name.h"
#include "repo/format/fmt_object.h"
#include "repo/parity/parity.h"

/*
 * Collections and care (FORMAT.md 5 and 7).  All but dead list and parity are
 * signed by the administration key of `epoch`: fmt_sign_append comes after the
 * encoder; decoders take the whole object and do not look at the signature.
 */

/* --- mark --------------------------------------------------------------------------*/

struct fmt_mark {
	uint32_t epoch;
	int64_t time_ns;
	uint8_t dead_hash[32];
	struct fmt_list snapshots; /* fmt_mark_next: what was considered */
};
void fmt_list_add_snapshot(struct fmt_list_buf *l,
    const uint8_t slot[FMT_SLOT_LEN], const char *session);
int fmt_mark_next(struct fmt_list *l, uint8_t ret_slot[FMT_SLOT_LEN],
    char ret_session[FMT_SESSION_MAX]);
int fmt_mark_encode(struct buf *obj, const struct fmt_mark *m,
    struct err *err);
int fmt_mark_decode(const void *obj, size_t len, struct fmt_mark *ret,
    struct err *err);

/* --- verdict ------------------------------------------------------------------------*/

enum fmt_verdict_what { FMT_DELETE = 1, FMT_VOID = 2 };

struct fmt_verdict {
	uint32_t epoch;
	uint8_t what;          /* enum fmt_verdict_what */
	uint8_t mark_hash[32];
	uint8_t dead_hash[32]; /* of the final list; zeros with FMT_VOID */
	int64_t time_ns;
};
int fmt_verdict_encode(struct buf *obj, const struct fmt_verdict *v,
    struct err *err);
int fmt_verdict_decode(const void *obj, size_t len, struct fmt_verdict *ret,
    struct err *err);

/* --- dead list -------------------------------------------------------------------------*/

struct fmt_dead {
	struct fmt_list packs;   /* fmt_pack_next: wholly dead */
	struct fmt_list partial; /* fmt_partial_next: to be repacked */
};
struct fmt_partial {
	const uint8_t *pack;      /* name, 16 bytes */
	struct fmt_list ordinals; /* fmt_ordinal_next: dead ones, ascending */
};

/* ordinals: count of them, strictly ascending. */
void fmt_list_add_partial(struct fmt_list_buf *l,
    const uint8_t pack[FMT_PACK_NAME_LEN], const uint32_t *ordinals,
    size_t count);
int fmt_partial_next(struct fmt_list *l, struct fmt_partial *ret);
/* *at: 0 before the first call, kept by the caller between calls. */
int fmt_ordinal_next(struct fmt_list *l, uint32_t *at, uint32_t *ret);

/* The content of the seal alone. */
int fmt_dead_plain_encode(struct buf *b, const struct fmt_dead *d,
    struct err *err);
int fmt_dead_plain_decode(const void *p, size_t len, struct fmt_dead *ret,
    struct err *err);

/* Make generation n's object; its key follows from the SHA-256 of it. */
int fmt_dead_encode(struct buf *obj, uint64_t n, uint32_t epoch,
    const uint8_t dead_key[32], const struct fmt_dead *d, struct err *err);
/*
 * Check the object's SHA-256 and open it.  *ret borrows from ret_plain, whose
 * content is replaced.
 */
int fmt_dead_open(const void *obj, size_t len, uint64_t n,
    const uint8_t hash[32], const uint8_t dead_key[32], struct buf *ret_plain,
    struct fmt_dead *ret, struct err *err);

/* --- bad, checked, manifest -----------------------------------------------------------------*/

#define FMT_BAD_PACK 0 /* kind of an entry that means a whole pack */
enum { FMT_BAD_MORE = 1 }; /* flag: more is damaged than is listed */

struct fmt_bad {
	uint32_t epoch;
	uint8_t flags;
	struct fmt_list blobs;     /* fmt_bad_next */
	struct fmt_list snapshots; /* fmt_mark_next: those that lost something */
};
struct fmt_bad_entry {
	uint8_t kind;        /* enum fmt_blob_kind, or FMT_BAD_PACK: zeros as id */
	const uint8_t *id;   /* FMT_ID_LEN bytes */
	const uint8_t *pack; /* FMT_PACK_NAME_LEN bytes; zeros: no copy is known */
};
void fmt_list_add_bad(struct fmt_list_buf *l, const struct fmt_bad_entry *e);
int fmt_bad_next(struct fmt_list *l, struct fmt_bad_entry *ret);
int fmt_bad_encode(struct buf *obj, const struct fmt_bad *b, struct err *err);
int fmt_bad_decode(const void *obj, size_t len, struct fmt_bad *ret,
    struct err *err);

#define FMT_CHECKED_DAMAGED 0 /* time_ns of a pack in which damage was found */

struct fmt_checked_entry {
	const uint8_t *pack; /* FMT_PACK_NAME_LEN bytes */
	int64_t time_ns;     /* last found whole */
};
void fmt_list_add_checked(struct fmt_list_buf *l,
    const struct fmt_checked_entry *e);
int fmt_checked_next(struct fmt_list *l, struct fmt_checked_entry *ret);
int fmt_checked_encode(struct buf *obj, uint32_t epoch,
    const struct fmt_list *l, struct err *err);
int fmt_checked_decode(const void *obj, size_t len, uint32_t *ret_epoch,
    struct fmt_list *ret, struct err *err);

/* Numbers of merged segments, ascending. */
void fmt_list_add_number(struct fmt_list_buf *l, uint64_t n);
int fmt_number_next(struct fmt_list *l, uint64_t *ret);

struct fmt_manifest {
	uint32_t epoch;
	struct fmt_list merged;  /* fmt_number_next: those in force */
	struct fmt_list covered; /* fmt_str_next: keys whose entries these hold */
};
int fmt_manifest_encode(struct buf *obj, const struct fmt_manifest *m,
    struct err *err);
int fmt_manifest_decode(const void *obj, size_t len,
    struct fmt_manifest *ret, struct err *err);

/* --- parity, not signed -----------------------------------------------------------------------*/

struct fmt_parity {
	struct parity_shape shape;
	const uint8_t *sums;   /* u64 for each cell */
	const uint8_t *shards; /* of parity, parity_bytes(&shape) */
};
#define FMT_PARITY_HEAD 26 /* the object up to sums */

/* Bytes of the whole object. */
size_t fmt_parity_len(const struct parity_shape *s);
/* Append the first FMT_PARITY_HEAD bytes; sums and shards follow them. */
void fmt_parity_head_add(struct buf *obj, const struct parity_shape *s);
int fmt_parity_head_read(const uint8_t head[FMT_PARITY_HEAD],
    struct parity_shape *ret, struct err *err);
/* The whole object; *ret borrows from it. */
int fmt_parity_decode(const void *obj, size_t len, struct fmt_parity *ret,
    struct err *err);

#endif
