#ifndef REPO_FORMAT_FMT_NAME_H
#define REPO_FORMAT_FMT_NAME_H

#include <stdint.h>

#include "repo/format/fmt_object.h"

/* The keys of objects (FORMAT.md 2): made, taken apart, and nothing else. */

#define FMT_KEY_MAX 96     /* the longest key with its NUL, and some more */
#define FMT_SESSION_MAX 48 /* a session's name with its NUL, and one more */
#define FMT_HEX_SLOT 17    /* a slot's 16 hex with a NUL */

/* --- sessions -----------------------------------------------------------------*/

struct fmt_session_name {
	uint8_t volume[8]; /* the volume hash's first bytes */
	uint64_t start_ms; /* since 1970; below 2^48 */
	uint8_t random[8]; /* the snapshot's id as people use it */
};

/* Write <volume>-<time>-<random> with a NUL.  Of start_ms the low 48 bits. */
void fmt_session_text(char dst[FMT_SESSION_MAX],
    const struct fmt_session_name *n);

/* Return 0, or -1 when text (NUL-terminated) is no name of a session. */
int fmt_session_parse(const char *text, struct fmt_session_name *ret);

/* --- making keys: each writes a NUL-terminated key ------------------------------*/

void fmt_key_config(char dst[FMT_KEY_MAX], uint32_t m);
void fmt_key_cert(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN]);
void fmt_key_wrap(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN],
    uint32_t k);
/* hash: of the object. */
void fmt_key_end(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN],
    const uint8_t hash[32]);
/* tag: of the epoch (fmt_epoch_tag). */
void fmt_key_grant(char dst[FMT_KEY_MAX], uint32_t epoch,
    const uint8_t tag[FMT_TAG_LEN], const uint8_t slot[FMT_SLOT_LEN]);
void fmt_key_pack(char dst[FMT_KEY_MAX],
    const uint8_t name[FMT_PACK_NAME_LEN]);
void fmt_key_segment(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN],
    const char *session, uint32_t k);
void fmt_key_merged(char dst[FMT_KEY_MAX], uint64_t n);
void fmt_key_manifest(char dst[FMT_KEY_MAX], uint64_t n);
void fmt_key_snapshot(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN],
    const char *session);
void fmt_key_note(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN],
    const char *session);
void fmt_key_session(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN],
    const char *session);
void fmt_key_mark(char dst[FMT_KEY_MAX], uint64_t n);
void fmt_key_verdict(char dst[FMT_KEY_MAX], uint64_t n);
void fmt_key_dead(char dst[FMT_KEY_MAX], uint64_t n, const uint8_t hash[32]);
void fmt_key_bad(char dst[FMT_KEY_MAX], uint64_t n);
void fmt_key_checked(char dst[FMT_KEY_MAX], uint64_t n);
void fmt_key_parity(char dst[FMT_KEY_MAX],
    const uint8_t name[FMT_PACK_NAME_LEN]);

/* --- taking them apart ------------------------------------------------------------*/

/* Where a key is; one for each line of FORMAT.md's table. */
enum fmt_place {
	FMT_AT_CONFIG, FMT_AT_CERT, FMT_AT_WRAP, FMT_AT_END, FMT_AT_GRANT,
	FMT_AT_PACK, FMT_AT_SEGMENT, FMT_AT_MERGED, FMT_AT_MANIFEST,
	FMT_AT_SNAPSHOT, FMT_AT_NOTE, FMT_AT_SESSION, FMT_AT_MARK,
	FMT_AT_VERDICT, FMT_AT_DEAD, FMT_AT_BAD, FMT_AT_CHECKED, FMT_AT_PARITY,
};

struct fmt_key {
	enum fmt_place place;
	uint64_t n;                        /* the number in it, or 0 */
	uint8_t slot[FMT_SLOT_LEN];        /* or zeros */
	char session[FMT_SESSION_MAX];     /* or "" */
	uint8_t name[FMT_PACK_NAME_LEN];   /* of a pack or its parity, or zeros */
	uint8_t tag[FMT_TAG_LEN];          /* of a grant's epoch, or zeros */
	uint8_t hash[32];                  /* of a dead list or an end, or zeros */
};

/*
 * Take key apart.  Return 0, or 1 when it is the key of no object of a
 * repository.  Making the key again from ret gives the same bytes.
 */
int fmt_key_parse(const char *key, struct fmt_key *ret);

#endif
