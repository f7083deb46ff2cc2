#ifndef TESTS_UNIT_FORMAT_WHOLE_H
#define TESTS_UNIT_FORMAT_WHOLE_H

/*
 * Whole sealed objects: made, and opened again with a look at what is inside.
 * Every symmetric key is sample_seed, every key pair follows from it.
 */

#include <stdlib.h>

#include "repo/crypto/crypto.h"
#include "tests/unit/format_sample_objects.h"

struct whole {
	const char *name;
	int (*make)(struct buf *obj, struct err *err);
	/* 0: signature, seals and content are right; -1 with err; -2: they differ. */
	int (*check)(const uint8_t *p, size_t len, struct err *err);
};

static inline void whole_pubs(uint8_t box[32], uint8_t sign[32])
{
	crypto_box_public(box, sample_seed);
	crypto_sign_public(sign, sample_seed);
}

static inline int whole_sign(struct buf *obj, struct err *err)
{
	return fmt_sign_append(obj, sample_repository, sample_key, sample_slot,
	    sample_seed, err);
}

static inline int whole_signed(const uint8_t *p, size_t len, struct err *err)
{
	uint8_t box[32], sign[32];

	whole_pubs(box, sign);
	return fmt_signed_check(p, len, sample_repository, sample_key, sign,
	    err);
}

/* Compare a part that was opened with the sample that went in. */
static inline int whole_equal(unsigned codec, const struct buf *plain)
{
	struct buf want = BUF_INIT;
	int same;

	same = sample_object(codec, 1, &want, NULL) == 0 &&
	    want.len == plain->len &&
	    memcmp(want.p, plain->p, want.len) == 0;
	buf_release(&want);
	return same ? 0 : -2;
}

/* Numbers in codecs[]. */
enum { WHOLE_GRANT = 3, WHOLE_S1 = 5, WHOLE_S2 = 6, WHOLE_DEAD = 11 };

static inline int whole_wrap_make(struct buf *obj, struct err *err)
{
	struct fmt_wrap w = { FMT_BY_PASSPHRASE, 2, 65536, "salt of a test" };
	struct fmt_secret s = { "box secret", "sign seed", "repository",
		"family", 7, "admin" };

	return fmt_wrap_encode(obj, sample_key, &w, sample_seed, &s, err);
}

static inline int whole_wrap_check(const uint8_t *p, size_t len,
    struct err *err)
{
	struct fmt_secret s;
	struct fmt_wrap w;

	if (fmt_wrap_decode(p, len, &w, err) < 0 ||
	    fmt_wrap_open(p, len, sample_key, sample_seed, &s, err) < 0)
		return -1;
	return w.method == 1 && w.ops == 2 && w.mem_kib == 65536 &&
	    strcmp((char *)w.salt, "salt of a test") == 0 && s.epoch == 7 &&
	    strcmp((char *)s.box_sec, "box secret") == 0 &&
	    strcmp((char *)s.sign_seed, "sign seed") == 0 &&
	    strcmp((char *)s.repository, "repository") == 0 &&
	    strcmp((char *)s.family, "family") == 0 &&
	    strcmp((char *)s.admin_pub, "admin") == 0 ? 0 : -2;
}

static inline int whole_grant_make(struct buf *obj, struct err *err)
{
	struct buf plain = BUF_INIT;
	struct fmt_grant g;
	uint8_t box[32], sign[32];
	int rc = -1;

	whole_pubs(box, sign);
	if (sample_object(WHOLE_GRANT, 1, &plain, err) == 0 &&
	    fmt_grant_plain_decode(plain.p, plain.len, &g, err) == 0 &&
	    fmt_grant_encode(obj, 2, sample_slot, box, &g, err) == 0)
		rc = whole_sign(obj, err);
	buf_release(&plain);
	return rc;
}

static inline int whole_grant_check(const uint8_t *p, size_t len,
    struct err *err)
{
	struct buf plain = BUF_INIT;
	struct fmt_grant g;
	uint8_t slot[8];
	uint32_t epoch;
	int rc = whole_signed(p, len, err);

	if (rc == 0)
		rc = fmt_grant_open(p, len, sample_seed, &plain, &g, &epoch,
		    slot, err);
	if (rc == 0)
		rc = epoch == 2 && memcmp(slot, sample_slot, 8) == 0 ?
		    whole_equal(WHOLE_GRANT, &plain) : -2;
	buf_release(&plain);
	return rc;
}

static inline int whole_snapshot_make(struct buf *obj, struct err *err)
{
	struct buf p1 = BUF_INIT, p2 = BUF_INIT;
	struct fmt_s1 s1;
	struct fmt_s2 s2;
	uint8_t box[32], sign[32];
	int rc = -1;

	whole_pubs(box, sign);
	if (sample_object(WHOLE_S1, 1, &p1, err) == 0 &&
	    sample_object(WHOLE_S2, 1, &p2, err) == 0 &&
	    fmt_s1_decode(p1.p, p1.len, &s1, err) == 0 &&
	    fmt_s2_decode(p2.p, p2.len, &s2, err) == 0 &&
	    fmt_snapshot_encode(obj, sample_key, 4, sample_seed, box, &s1, &s2,
	    err) == 0)
		rc = whole_sign(obj, err);
	buf_release(&p1);
	buf_release(&p2);
	return rc;
}

static inline int whole_snapshot_check(const uint8_t *p, size_t len,
    struct err *err)
{
	struct buf plain = BUF_INIT;
	struct fmt_s1 s1;
	struct fmt_s2 s2;
	int rc = whole_signed(p, len, err);

	if (rc == 0)
		rc = fmt_snapshot_open1(p, len, sample_key, sample_seed, &plain,
		    &s1, err);
	if (rc == 0)
		rc = whole_equal(WHOLE_S1, &plain);
	if (rc == 0)
		rc = fmt_snapshot_open2(p, len, sample_seed, &plain, &s2, err);
	if (rc == 0)
		rc = whole_equal(WHOLE_S2, &plain);
	buf_release(&plain);
	return rc;
}

static inline int whole_session_make(struct buf *obj, struct err *err)
{
	struct fmt_session s = { 5, -6, 7, 8, 1u << 20, fmt_str("a host") };

	return fmt_session_encode(obj, sample_key, 4, sample_seed, &s,
	    err) < 0 ? -1 : whole_sign(obj, err);
}

static inline int whole_session_check(const uint8_t *p, size_t len,
    struct err *err)
{
	struct buf plain = BUF_INIT;
	struct fmt_session s;
	int rc = whole_signed(p, len, err);

	if (rc == 0)
		rc = fmt_session_open(p, len, sample_key, sample_seed, &plain,
		    &s, err);
	if (rc == 0)
		rc = s.generation == 5 && s.start_ns == -6 &&
		    s.updated_ns == 7 && s.bytes_read == 8 &&
		    s.entries == 1u << 20 && s.host.len == 6 &&
		    memcmp(s.host.p, "a host", 6) == 0 ? 0 : -2;
	buf_release(&plain);
	return rc;
}

static inline int whole_dead_make(struct buf *obj, struct err *err)
{
	struct buf plain = BUF_INIT;
	struct fmt_dead d;
	int rc = -1;

	if (sample_object(WHOLE_DEAD, 1, &plain, err) == 0 &&
	    fmt_dead_plain_decode(plain.p, plain.len, &d, err) == 0)
		rc = fmt_dead_encode(obj, 0x1234, 4, sample_seed, &d, err);
	buf_release(&plain);
	return rc;
}

/* Its hash, elsewhere written down, is here the first thing seen of it. */
static inline int whole_dead_check(const uint8_t *p, size_t len,
    struct err *err)
{
	struct buf plain = BUF_INIT;
	struct fmt_dead d;
	uint8_t hash[32];
	int rc;

	crypto_sha256(hash, p, len);
	rc = fmt_dead_open(p, len, 0x1234, hash, sample_seed, &plain, &d, err);
	if (rc == 0)
		rc = whole_equal(WHOLE_DEAD, &plain);
	buf_release(&plain);
	return rc;
}

static const struct whole wholes[] = {
	{ "wrap_whole", whole_wrap_make, whole_wrap_check },
	{ "grant_whole", whole_grant_make, whole_grant_check },
	{ "snapshot_whole", whole_snapshot_make, whole_snapshot_check },
	{ "session_whole", whole_session_make, whole_session_check },
	{ "dead_whole", whole_dead_make, whole_dead_check },
};

#define WHOLES (sizeof(wholes) / sizeof(wholes[0]))

#endif
