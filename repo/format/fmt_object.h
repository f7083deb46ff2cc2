#ifndef REPO_FORMAT_FMT_OBJECT_H
#define REPO_FORMAT_FMT_OBJECT_H

#include <stddef.h>
#include <stdint.h>

#include "repo/base/buf.h"
#include "repo/base/err.h"

/*
 * What all objects share (FORMAT.md 1 and 2): strings and lists, the header,
 * the binding of sealed parts to their place, signatures.
 *
 * Encoders append to a struct buf and leave running out of memory to
 * buf_check, which those with an err have called before they return 0.
 * Decoders borrow: what they give points into the bytes they were given.
 * They return 0, or -1 with class CORRUPT and a message that names the field,
 * or UNSUPPORTED naming the version.  What they wrote before that is
 * unspecified.  All functions may be called by any thread.
 */

#define FMT_VERSION 1
#define FMT_VERSION_AT 5 /* where it stands in a header */
#define FMT_HEADER_LEN 16
#define FMT_ID_LEN 32      /* of a blob */
#define FMT_SLOT_LEN 8
#define FMT_PACK_NAME_LEN 16
#define FMT_REPOSITORY_LEN 16
#define FMT_TAG_LEN 8      /* what tells two epochs of one number apart */
#define FMT_SIGNED_TAIL 72 /* signer and signature at an object's end */

enum fmt_kind {
	FMT_CONFIG = 1, FMT_CERT, FMT_WRAP, FMT_END, FMT_GRANT, FMT_PACK,
	FMT_SEGMENT, FMT_MANIFEST, FMT_SNAPSHOT, FMT_REVOCATION, FMT_NOTE,
	FMT_SESSION, FMT_MARK, FMT_VERDICT, FMT_DEAD, FMT_BAD, FMT_CHECKED,
	FMT_PARITY,
};

enum fmt_blob_kind { FMT_DATA = 1, FMT_CATALOG = 2, FMT_STATE = 3 };

enum fmt_right { FMT_WRITE = 1, FMT_READ = 2, FMT_ADMIN = 4 };

/* Bytes that are someone else's; no NUL behind them, any byte among them. */
struct fmt_str {
	const char *p;
	size_t len;
};

/* The string s without its NUL; NULL is the empty string. */
struct fmt_str fmt_str(const char *s);

/*
 * A list as it is stored: n elements in len bytes.  A decoder has checked all
 * of them, so stepping through by the fmt_..._next of its element cannot fail.
 * Stepping takes elements off the front: step on a copy to keep the list.
 */
struct fmt_list {
	const uint8_t *p;
	size_t len;
	uint64_t n;
};

/* A list being made: fmt_list_add_str and its like append to b and count. */
struct fmt_list_buf {
	struct buf b;
	uint64_t n;
};

#define FMT_LIST_BUF_INIT { BUF_INIT, 0 }

/* The list so far, borrowed from l until it is appended to. */
struct fmt_list fmt_list_of(const struct fmt_list_buf *l);
void fmt_list_release(struct fmt_list_buf *l);

/* Append an element: a str, or pack names (b[16]) alone. */
void fmt_list_add_str(struct fmt_list_buf *l, struct fmt_str s);
void fmt_list_add_pack(struct fmt_list_buf *l,
    const uint8_t name[FMT_PACK_NAME_LEN]);

/* Take the first element.  Return 0, or 1 when there is none left. */
int fmt_str_next(struct fmt_list *l, struct fmt_str *ret);
int fmt_pack_next(struct fmt_list *l, const uint8_t **ret_name);

/* --- header -----------------------------------------------------------------*/

/* Append the header of an object. */
void fmt_header_add(struct buf *b, enum fmt_kind kind, uint32_t epoch);

/*
 * Look at the header of an object (the first len bytes of it, at least 16).
 * Return 0, or -1: CORRUPT when it is none or not of this kind, UNSUPPORTED
 * when its version is higher than FMT_VERSION.  ret_epoch may be NULL.
 */
int fmt_header_read(const void *obj, size_t len, enum fmt_kind kind,
    uint32_t *ret_epoch, struct err *err);

/* The same, for any kind, which is told. */
int fmt_header_any(const void *obj, size_t len, enum fmt_kind *ret_kind,
    uint32_t *ret_epoch, struct err *err);

/* Return a name for people, such as "snapshot"; "object" for an unknown kind. */
const char *fmt_kind_name(unsigned kind);

/* --- sealed parts -----------------------------------------------------------*/

/* bind(key, header): the associated data of what is sealed in an object. */
struct fmt_bind {
	uint8_t p[128];
	size_t len;
};

/*
 * key: the object's key, shorter than FMT_KEY_MAX (fmt_name.h; a longer one is
 * cut, and nothing opens by it).  header: the object's first 16 bytes.
 */
void fmt_bind(struct fmt_bind *ret, const char *key,
    const void *header);

#define FMT_XSEAL_EXTRA 40 /* what XSEAL adds: nonce and tag */

/*
 * Append XSEAL(key, ad, plain) with a random nonce.  Return 0, or -1 with
 * class FULL.
 */
int fmt_xseal_add(struct buf *b, const uint8_t key[32], const void *ad,
    size_t adlen, const void *plain, size_t len, struct err *err);

/*
 * Open XSEAL(...) of len bytes into dst, which has room for len -
 * FMT_XSEAL_EXTRA.  -1 with class CORRUPT, dst then wiped.
 */
int fmt_xseal_open(const uint8_t key[32], const void *ad, size_t adlen,
    const void *sealed, size_t len, void *dst, struct err *err);

/* --- signatures ---------------------------------------------------------------*/

/*
 * Append signer and signature to the object in obj, which is complete but for
 * them.  slot: the signer; NULL: the administration key of the header's epoch.
 * seed: the Ed25519 seed.  Return 0, or -1 when an append failed (FULL).
 */
int fmt_sign_append(struct buf *obj,
    const uint8_t repository[FMT_REPOSITORY_LEN], const char *key,
    const uint8_t *slot, const uint8_t seed[32], struct err *err);

/*
 * Tell who says to have signed.  Return 0 with the slot, 1 when it is the
 * administration key, -1 when obj is too short to be signed (CORRUPT).
 */
int fmt_signed_signer(const void *obj, size_t len,
    uint8_t ret_slot[FMT_SLOT_LEN], struct err *err);

/*
 * Return 0 when the object, stored as key, is signed by pub; else -1, CORRUPT.
 * The decoders of signed objects leave the signature aside: ask this first.
 * For all but segments (fmt_segment.h).
 */
int fmt_signed_check(const void *obj, size_t len,
    const uint8_t repository[FMT_REPOSITORY_LEN], const char *key,
    const uint8_t pub[32], struct err *err);

/*
 * The signature's message by the hash alone: sign, and 0 or -1 (CORRUPT) for
 * a signature.  For packs and segments, which hash other bytes.
 */
void fmt_sign_hash(uint8_t ret_sig[64],
    const uint8_t repository[FMT_REPOSITORY_LEN], const char *key,
    const uint8_t hash[32], const uint8_t seed[32]);
int fmt_verify_hash(const uint8_t sig[64],
    const uint8_t repository[FMT_REPOSITORY_LEN], const char *key,
    const uint8_t hash[32], const uint8_t pub[32], struct err *err);

#endif
