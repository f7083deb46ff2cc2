#ifndef TESTS_UNIT_FORMAT_SAMPLE_OBJECTS_H
#define TESTS_UNIT_FORMAT_SAMPLE_OBJECTS_H

/* The rest of the samples: objects that are short, and pages. */

#include "tests/unit/format_pages.h"
#include "tests/unit/format_samples.h"

static inline int sample_wrap(struct rng *r, struct buf *b, struct err *err)
{
	struct fmt_wrap w = { .method = 1, .ops = (uint32_t)rng_num(r),
		.mem_kib = 65536 };
	struct fmt_secret s = { .epoch = 7 };

	rng_fill(r, w.salt, sizeof(w.salt));
	return fmt_wrap_encode(b, sample_key, &w, sample_seed, &s, err);
}

static inline int sample_revocation(struct rng *r, struct buf *b,
    struct err *err)
{
	struct fmt_revocation v = { .epoch = 4 };

	v.time_ns = (int64_t)rng_next(r);
	v.generation = rng_num(r);
	return fmt_revocation_encode(b, &v, err);
}

static inline int sample_note(struct rng *r, struct buf *b, struct err *err)
{
	struct fmt_note n = { .epoch = 1, .reason = rng_str(r) };

	n.time_ns = (int64_t)rng_next(r);
	rng_session(r, n.session);
	return fmt_note_encode(b, &n, err);
}

static inline int sample_mark(struct rng *r, struct buf *b, struct err *err)
{
	struct fmt_mark m = { .epoch = 9, .time_ns = (int64_t)rng_next(r) };
	char session[FMT_SESSION_MAX];
	uint8_t slot[8];
	int rc;

	rng_fill(r, m.dead_hash, 32);
	WITH_LIST(m.snapshots, for (uint64_t n = rng_below(r, 4); n > 0; n--) {
		rng_fill(r, slot, 8);
		rng_session(r, session);
		fmt_list_add_snapshot(&lb_, slot, session);
	}, fmt_mark_encode(b, &m, err));
	return rc;
}

static inline int sample_verdict(struct rng *r, struct buf *b,
    struct err *err)
{
	struct fmt_verdict v = { .epoch = 2,
		.what = (uint8_t)(1 + rng_below(r, 2)) };

	v.time_ns = (int64_t)rng_next(r);
	rng_fill(r, v.mark_hash, 32);
	if (v.what == FMT_DELETE)
		rng_fill(r, v.dead_hash, 32);
	return fmt_verdict_encode(b, &v, err);
}

static inline int sample_bad(struct rng *r, struct buf *b, struct err *err)
{
	uint8_t x[48];
	struct fmt_list_buf snaps = FMT_LIST_BUF_INIT;
	struct fmt_bad_entry e = { 0, x, x + 32 };
	struct fmt_bad o = { .epoch = 1,
		.flags = rng_below(r, 4) == 0 ? FMT_BAD_MORE : 0 };
	char session[FMT_SESSION_MAX];
	struct fmt_list l;
	int rc;

	for (uint64_t n = rng_below(r, 3); n > 0; n--) {
		rng_session(r, session);
		fmt_list_add_snapshot(&snaps, sample_slot, session);
	}
	o.snapshots = fmt_list_of(&snaps);
	WITH_LIST(l, for (uint64_t n = rng_below(r, 5); n > 0; n--) {
		e.kind = (uint8_t)rng_below(r, 4);
		rng_fill(r, x, sizeof(x));
		if (e.kind == FMT_BAD_PACK)
			memset(x, 0, 32);
		fmt_list_add_bad(&lb_, &e);
	}, (o.blobs = l, fmt_bad_encode(b, &o, err)));
	fmt_list_release(&snaps);
	return rc;
}

static inline int sample_checked(struct rng *r, struct buf *b,
    struct err *err)
{
	uint8_t x[16];
	struct fmt_checked_entry e = { x, 0 };
	struct fmt_list l;
	int rc;

	WITH_LIST(l, for (uint64_t n = rng_below(r, 4); n > 0; n--) {
		e.time_ns = (int64_t)rng_next(r);
		rng_fill(r, x, sizeof(x));
		fmt_list_add_checked(&lb_, &e);
	}, fmt_checked_encode(b, 1, &l, err));
	return rc;
}

static inline int sample_manifest(struct rng *r, struct buf *b,
    struct err *err)
{
	struct fmt_list_buf covered = FMT_LIST_BUF_INIT;
	uint64_t at = rng_below(r, 3);
	struct fmt_manifest m = { .epoch = 1 };
	char key[FMT_KEY_MAX], session[FMT_SESSION_MAX];
	struct fmt_list l;
	int rc;

	for (uint64_t n = rng_below(r, 4); n > 0; n--) {
		rng_session(r, session);
		fmt_key_segment(key, sample_slot, session,
		    (uint32_t)rng_num(r));
		if (n == 1)
			fmt_key_merged(key, rng_num(r));
		fmt_list_add_str(&covered, fmt_str(key));
	}
	m.covered = fmt_list_of(&covered);
	WITH_LIST(l, for (uint64_t n = rng_below(r, 6); n > 0; n--) {
		fmt_list_add_number(&lb_, at);
		at += 1 + rng_below(r, 1000);
	}, (m.merged = l, fmt_manifest_encode(b, &m, err)));
	fmt_list_release(&covered);
	return rc;
}

static inline int sample_pack_head(struct rng *r, struct buf *b,
    struct err *err)
{
	uint8_t sealed[FMT_SEALED_KEY_BOX];
	struct fmt_pack_head h = { .epoch = 5,
		.blob_kind = (uint8_t)(1 + rng_below(r, 3)),
		.sealed_key = sealed };

	rng_fill(r, sealed, sizeof(sealed));
	rng_fill(r, h.slot, 8);
	h.key_method = h.blob_kind == FMT_STATE ? FMT_KEY_XSEAL : FMT_KEY_BOX;
	h.sealed_len = h.blob_kind == FMT_STATE ? FMT_SEALED_KEY_XSEAL :
	    FMT_SEALED_KEY_BOX;
	fmt_pack_head_put(b, &h);
	return buf_check(b, "a head", err);
}

/* In the order of codecs[]. */
static int (*const sample_makers[])(struct rng *, struct buf *, struct err *) = {
	sample_cert, sample_wrap, sample_end, sample_grant, sample_config,
	sample_s1, sample_s2, sample_revocation, sample_note, sample_mark,
	sample_verdict, sample_dead, sample_bad, sample_checked,
	sample_manifest, sample_parity, sample_pack_head,
};
_Static_assert(sizeof(sample_makers) / sizeof(sample_makers[0]) == CODECS,
    "a sample for each codec");

/* Make sample i, signed where it is a signed object. */
static inline int sample_object(unsigned i, uint64_t seed, struct buf *b,
    struct err *err)
{
	struct rng r = { seed * 1000003 + i };

	buf_reset(b);
	if (sample_makers[i](&r, b, err) < 0)
		return -1;
	return codecs[i].tail != FMT_SIGNED_TAIL ? buf_check(b, "", err) :
	    fmt_sign_append(b, sample_repository, sample_key, sample_slot,
	    sample_seed, err);
}

/* --- pages ------------------------------------------------------------------*/

#define SAMPLE_PAGES 6 /* catalog, state, map; leaf and inner of each */

static inline enum fmt_page_type sample_page_type(unsigned i)
{
	static const enum fmt_page_type t[] = { FMT_PAGE_CATALOG,
		FMT_PAGE_STATE, FMT_PAGE_MAP };

	return t[i % 3];
}

static const char *const sample_page_names[SAMPLE_PAGES] = {
	"catalog_leaf", "state_leaf", "map_leaf", "catalog_inner",
	"state_inner", "map_inner",
};

#endif
