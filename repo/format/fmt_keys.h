#ifndef REPO_FORMAT_FMT_KEYS_H
#define REPO_FORMAT_FMT_KEYS_H

#include <stdint.h>

#include "repo/format/fmt_name.h"

/*
 * Credentials and config (FORMAT.md 3).  Encoders append header and body to an
 * empty buf; where the object is signed, fmt_sign_append comes next.  Decoders
 * take the whole object, signature included, and do not look at it.
 */

/* --- cert, signed by the administration key of `epoch` ---------------------------*/

struct fmt_cert {
	uint32_t epoch;
	uint8_t slot[FMT_SLOT_LEN];
	uint8_t rights;        /* enum fmt_right, or-ed; never 0 */
	int64_t created_ns;
	uint8_t box_pub[32];   /* X25519 */
	uint8_t sign_pub[32];  /* Ed25519 */
	struct fmt_str domain, label;
};
int fmt_cert_encode(struct buf *obj, const struct fmt_cert *c, struct err *err);
int fmt_cert_decode(const void *obj, size_t len, struct fmt_cert *ret,
    struct err *err);

/* --- wrap, not signed ---------------------------------------------------------------*/

enum fmt_wrap_method { FMT_BY_PASSPHRASE = 1, FMT_BY_KEY_FILE = 2 };

struct fmt_wrap {
	uint8_t method;
	uint32_t ops, mem_kib; /* of Argon2id; zeros for a key file */
	uint8_t salt[16];      /* zeros for a key file */
};

/* The secret half of a credential. */
struct fmt_secret {
	uint8_t box_sec[32];   /* X25519 */
	uint8_t sign_seed[32]; /* Ed25519 */
	uint8_t repository[FMT_REPOSITORY_LEN], family[16];
	uint32_t epoch;
	uint8_t admin_pub[32]; /* public A of that epoch */
};

/* k: fmt_wrap_derive of Argon2id's result or of the key file's secret. */
int fmt_wrap_encode(struct buf *obj, const char *key, const struct fmt_wrap *w,
    const uint8_t k[32], const struct fmt_secret *s, struct err *err);
/* What is readable without the secret. */
int fmt_wrap_decode(const void *obj, size_t len, struct fmt_wrap *ret,
    struct err *err);
/* -1 with class AUTH when k does not open it. */
int fmt_wrap_open(const void *obj, size_t len, const char *key,
    const uint8_t k[32], struct fmt_secret *ret, struct err *err);

/* --- key file ---------------------------------------------------------------------------*/

#define FMT_KEY_FILE_MAX 128 /* its line with newline and NUL, and some more */

/* Write "wherry-key-1 <slot> <secret>\n" and a NUL. */
void fmt_key_file_line(char dst[FMT_KEY_FILE_MAX],
    const uint8_t slot[FMT_SLOT_LEN], const uint8_t secret[32]);
/*
 * Read such a line; the newline may be missing or have a CR before it.  -1
 * with class USAGE when it is none, or UNSUPPORTED for another number than 1;
 * the message holds nothing of the line.
 */
int fmt_key_file_parse(const char *line, uint8_t ret_slot[FMT_SLOT_LEN],
    uint8_t ret_secret[32], struct err *err);

/* --- end, believed by the hash of it that a config lists -------------------------------------*/

struct fmt_end {
	uint32_t epoch;       /* the current one when it was made */
	uint8_t slot[FMT_SLOT_LEN];
	int64_t time_ns;
	struct fmt_list sessions; /* fmt_stood_next: those that stand */
};
/* What stands of a session whose slot ended. */
struct fmt_stood {
	char session[FMT_SESSION_MAX];
	uint32_t segments;     /* those numbered from 1 to this */
	uint8_t snapshot[32];  /* SHA-256 of the object; zeros: none */
};
void fmt_list_add_stood(struct fmt_list_buf *l, const struct fmt_stood *s);
int fmt_stood_next(struct fmt_list *l, struct fmt_stood *ret);
int fmt_end_encode(struct buf *obj, const struct fmt_end *e, struct err *err);
int fmt_end_decode(const void *obj, size_t len, struct fmt_end *ret,
    struct err *err);

/* --- grant, signed by the administration key of the header's epoch ---------------------------*/

struct fmt_grant {
	uint32_t n;              /* the epoch granted; the list goes from 1 to n */
	uint8_t rights;          /* enum fmt_right, or-ed */
	struct fmt_str domain;
	struct fmt_list families; /* fmt_grant_family_next with these rights */
	struct fmt_list epochs;  /* fmt_grant_epoch_next with these rights */
};
/* A family secret and what follows from it in the grant's domain. */
struct fmt_grant_family {
	uint32_t from;           /* the first epoch that uses it */
	const uint8_t *family;   /* F, 32 bytes; NULL without admin */
	const uint8_t *id;       /* K_id, 32 bytes */
	const uint8_t *order;    /* K_ord, 32 bytes */
	const uint8_t *cut;      /* K_cut, 32 bytes; NULL without write */
};
struct fmt_grant_epoch {
	uint32_t epoch;
	const uint8_t *content_pub; /* P, 32 bytes */
	const uint8_t *admin_pub;   /* A, 32 bytes */
	const uint8_t *index;       /* K_idx, 32 bytes */
	const uint8_t *content;     /* X, 32 bytes; NULL without read */
	const uint8_t *root;        /* R, 32 bytes; NULL without admin */
};
/* What rights do not include is left out, whatever e holds there. */
void fmt_list_add_grant_epoch(struct fmt_list_buf *l, unsigned rights,
    const struct fmt_grant_epoch *e);
int fmt_grant_epoch_next(struct fmt_list *l, unsigned rights,
    struct fmt_grant_epoch *ret);
void fmt_list_add_grant_family(struct fmt_list_buf *l, unsigned rights,
    const struct fmt_grant_family *f);
int fmt_grant_family_next(struct fmt_list *l, unsigned rights,
    struct fmt_grant_family *ret);

/* G alone, the content of the box: secret bytes. */
int fmt_grant_plain_encode(struct buf *b, const struct fmt_grant *g,
    struct err *err);
int fmt_grant_plain_decode(const void *p, size_t len, struct fmt_grant *ret,
    struct err *err);

/*
 * The object: epoch is that of the A which will sign.  G is made in a scratch
 * buffer that is wiped.
 */
int fmt_grant_encode(struct buf *obj, uint32_t epoch,
    const uint8_t slot[FMT_SLOT_LEN], const uint8_t box_pub[32],
    const struct fmt_grant *g, struct err *err);
/*
 * Open it with the slot's secret key.  *ret borrows from ret_plain, whose
 * content is replaced and secret: the caller wipes it.  ret_epoch and ret_slot
 * (may be NULL) are the object's.
 */
int fmt_grant_open(const void *obj, size_t len, const uint8_t box_sec[32],
    struct buf *ret_plain, struct fmt_grant *ret, uint32_t *ret_epoch,
    uint8_t ret_slot[FMT_SLOT_LEN], struct err *err);

/* --- config, signed by the administration key of its header's epoch ---------------------------*/

struct fmt_chunking {
	uint32_t avg, min, max;
	uint64_t threshold;
};

enum fmt_config_flag { FMT_WEAK_STORE = 1 };

struct fmt_config {
	uint32_t signer_epoch;  /* the header's: epoch, or the one before */
	uint8_t repository[FMT_REPOSITORY_LEN], family[16];
	uint32_t epoch;         /* what writers use */
	int64_t created_ns;
	struct fmt_chunking stream, block;
	uint32_t pack_size;     /* bytes */
	uint8_t parity_data, parity_shards; /* 0, 0: none */
	uint32_t lock_days;
	uint32_t flags;         /* enum fmt_config_flag */
	struct fmt_list need_read, need_write, optional; /* fmt_str_next */
	struct fmt_list admins; /* fmt_admin_next: of the epochs 1 to epoch */
	struct fmt_list ended;  /* fmt_ended_next: ascending by slot */
};
/* The public A of an epoch; a credential that ended, and its end's hash. */
void fmt_list_add_admin(struct fmt_list_buf *l, const uint8_t admin_pub[32]);
int fmt_admin_next(struct fmt_list *l, const uint8_t **ret_pub);
void fmt_list_add_ended(struct fmt_list_buf *l,
    const uint8_t slot[FMT_SLOT_LEN], const uint8_t hash[32]);
int fmt_ended_next(struct fmt_list *l, const uint8_t **ret_slot,
    const uint8_t **ret_hash);
int fmt_config_encode(struct buf *obj, const struct fmt_config *c,
    struct err *err);
int fmt_config_decode(const void *obj, size_t len, struct fmt_config *ret,
    struct err *err);

/*
 * Return 0 when this program has all that the repository needs to be read
 * (and written, when write is set); else -1, UNSUPPORTED naming the feature.
 */
int fmt_config_usable(const struct fmt_config *c, int write, struct err *err);

#endif
