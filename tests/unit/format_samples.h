#ifndef TESTS_UNIT_FORMAT_SAMPLES_H
#define TESTS_UNIT_FORMAT_SAMPLES_H

/*
 * Structures with content that follows from a seed: the same ones for golden
 * files (seed 1), for round trips (any seed) and for what must be refused.
 */

#include "repo/base/bytes.h"
#include "tests/unit/format_codecs.h"

static const uint8_t sample_repository[16] = "repository of t";
static const uint8_t sample_seed[32] = "the seed of whoever signs here";
static const uint8_t sample_slot[8] = { 0xa0, 1, 2, 3, 4, 5, 6, 7 };
static const char sample_key[] = "the/key/of/the/object";
static const char sample_session[] =
    "0123456789abcdef-0192a3b4c5d6-fedcba9876543210";

/* What is drawn is drawn in statements: the order in an initialiser is free. */
struct rng { uint64_t s; };

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->s += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return rng_next(r) % n;
}

static inline void rng_fill(struct rng *r, void *p, size_t len)
{
	uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)rng_next(r);
}

/* A number of any length: small ones are as likely as large ones. */
static inline uint64_t rng_num(struct rng *r)
{
	uint64_t v = rng_next(r);

	return v >> rng_below(r, 64);
}

/* A string of up to 40 bytes, in one of a few places; valid a while. */
static inline struct fmt_str rng_str(struct rng *r)
{
	static char place[16][40];
	static unsigned at;
	char *p = place[at++ % 16];
	size_t len = rng_below(r, 41);

	rng_fill(r, p, len);
	return (struct fmt_str){ p, len };
}

static inline void rng_session(struct rng *r, char dst[FMT_SESSION_MAX])
{
	struct fmt_session_name n;

	rng_fill(r, n.volume, 8);
	rng_fill(r, n.random, 8);
	n.start_ms = rng_next(r) & 0xffffffffffffu;
	memset(dst, 0, FMT_SESSION_MAX);
	fmt_session_text(dst, &n);
}

static inline void rng_strs(struct rng *r, struct fmt_list_buf *l)
{
	for (uint64_t n = rng_below(r, 5); n > 0; n--)
		fmt_list_add_str(l, rng_str(r));
}

static inline void rng_packs(struct rng *r, struct fmt_list_buf *l)
{
	uint8_t name[16];

	for (uint64_t n = rng_below(r, 5); n > 0; n--) {
		rng_fill(r, name, 16);
		fmt_list_add_pack(l, name);
	}
}

static inline void rng_ref(struct rng *r, struct fmt_ref *ref)
{
	memset(ref, 0, sizeof(*ref));
	if (rng_below(r, 4) == 0)
		return;
	rng_fill(r, ref->id, 32);
	ref->level = (uint8_t)rng_below(r, 5);
	ref->entries = 1 + rng_num(r) / 2;
}

static inline uint8_t rng_rights(struct rng *r)
{
	return (uint8_t)(1 + rng_below(r, 7));
}

static inline int sample_cert(struct rng *r, struct buf *b, struct err *err)
{
	struct fmt_cert c;

	c.epoch = (uint32_t)rng_num(r);
	c.rights = rng_rights(r);
	c.created_ns = (int64_t)rng_next(r);
	c.domain = rng_str(r);
	c.label = rng_str(r);
	rng_fill(r, c.slot, sizeof(c.slot));
	rng_fill(r, c.box_pub, 32);
	rng_fill(r, c.sign_pub, 32);
	return fmt_cert_encode(b, &c, err);
}

static inline int sample_end(struct rng *r, struct buf *b, struct err *err)
{
	struct fmt_end e = { .epoch = 3, .time_ns = (int64_t)rng_next(r) };
	struct fmt_stood s;
	int rc;

	rng_fill(r, e.slot, sizeof(e.slot));
	WITH_LIST(e.sessions, for (uint64_t n = rng_below(r, 4); n > 0; n--) {
		rng_session(r, s.session);
		s.segments = (uint32_t)rng_num(r);
		rng_fill(r, s.snapshot, 32);
		fmt_list_add_stood(&lb_, &s);
	}, fmt_end_encode(b, &e, err));
	return rc;
}

static inline int sample_grant(struct rng *r, struct buf *b, struct err *err)
{
	uint8_t k[9][32];
	struct fmt_list_buf fams = FMT_LIST_BUF_INIT;
	struct fmt_grant_family f = { 1, k[0], k[1], k[2], k[3] };
	struct fmt_grant g;
	struct fmt_grant_epoch e = { 0, k[4], k[5], k[6], k[7], k[8] };
	int rc;

	g.n = (uint32_t)(1 + rng_below(r, 4));
	g.rights = rng_rights(r);
	g.domain = rng_str(r);
	rng_fill(r, k, sizeof(k));
	do {
		fmt_list_add_grant_family(&fams, g.rights, &f);
		rng_fill(r, k, 4 * 32);
		f.from += (uint32_t)(1 + rng_below(r, 2));
	} while (f.from <= g.n);
	g.families = fmt_list_of(&fams);
	WITH_LIST(g.epochs, while (e.epoch < g.n) {
		e.epoch++;
		rng_fill(r, k[4], 5 * 32);
		fmt_list_add_grant_epoch(&lb_, g.rights, &e);
	}, fmt_grant_plain_encode(b, &g, err));
	fmt_list_release(&fams);
	return rc;
}

static inline int sample_config(struct rng *r, struct buf *b, struct err *err)
{
	struct fmt_list_buf opt = FMT_LIST_BUF_INIT, admins = opt, ended = opt;
	uint8_t key[40] = { 0 };
	struct fmt_config c = { .signer_epoch = 1, .epoch = 2,
		.stream = { 1048576, 524288, 4194304, 0 },
		.block = { 65536, 32768, 262144, 0 } };
	int rc;

	c.created_ns = (int64_t)rng_next(r);
	c.stream.threshold = rng_next(r);
	c.block.threshold = rng_next(r);
	c.pack_size = (uint32_t)(1 + rng_below(r, 1 << 28));
	c.parity_data = (uint8_t)rng_below(r, 2);
	c.lock_days = (uint32_t)rng_num(r);
	c.flags = (uint32_t)rng_below(r, 2);
	rng_fill(r, c.repository, 16);
	rng_fill(r, c.family, 16);
	c.parity_shards = c.parity_data;
	rng_strs(r, &opt);
	c.optional = fmt_list_of(&opt);
	for (int i = 0; i < 2; i++) {
		rng_fill(r, key, 32);
		fmt_list_add_admin(&admins, key);
	}
	for (uint64_t i = 0, n = rng_below(r, 3); i < n; i++) {
		rng_fill(r, key + 1, 39);
		key[0] = (uint8_t)i;
		fmt_list_add_ended(&ended, key, key + 8);
	}
	c.admins = fmt_list_of(&admins);
	c.ended = fmt_list_of(&ended);
	rc = fmt_config_encode(b, &c, err);
	fmt_list_release(&opt);
	fmt_list_release(&admins);
	fmt_list_release(&ended);
	return rc;
}

static inline int sample_s1(struct rng *r, struct buf *b, struct err *err)
{
	struct fmt_s1 s = { .type = 0 };
	int rc;

	s.type = (uint8_t)(1 + rng_below(r, 2));
	s.flags = (uint32_t)rng_below(r, 8);
	s.content = (uint8_t)(1 + rng_below(r, 2));
	s.domain = rng_str(r);
	s.start_ns = (int64_t)rng_next(r);
	s.end_ns = (int64_t)rng_next(r);
	s.counter = rng_num(r);
	s.generation = rng_num(r);
	s.size = rng_num(r);
	s.entries = rng_num(r);
	rng_fill(r, s.volume_hash, 32);
	rng_fill(r, s.predecessor_hash, 32);
	rng_session(r, s.predecessor);
	if (rng_below(r, 2))
		rng_session(r, s.parent);
	rng_ref(r, &s.state);
	s.copied = rng_below(r, 2);
	rng_fill(r, s.origin_repository, 16);
	rng_fill(r, s.origin_slot, 8);
	rng_session(r, s.origin_session);
	WITH_LIST(s.packs, if (s.type == FMT_CHECKPOINT) rng_packs(r, &lb_),
	    fmt_s1_encode(b, &s, err));
	return rc;
}

static inline int sample_s2(struct rng *r, struct buf *b, struct err *err)
{
	struct fmt_list_buf tags = FMT_LIST_BUF_INIT;
	struct fmt_s2 s = { .files = rng_num(r) };
	int rc;

	s.volume = rng_str(r);
	s.host = rng_str(r);
	s.user = rng_str(r);
	s.program = rng_str(r);
	s.directories = rng_num(r);
	s.others = rng_num(r);
	s.bytes_read = rng_num(r);
	s.bytes_new = rng_num(r);
	s.bytes_stored = rng_num(r);
	rng_ref(r, &s.catalog);
	rng_strs(r, &tags);
	s.tags = fmt_list_of(&tags);
	WITH_LIST(s.paths, rng_strs(r, &lb_), fmt_s2_encode(b, &s, err));
	fmt_list_release(&tags);
	return rc;
}

static inline int sample_dead(struct rng *r, struct buf *b, struct err *err)
{
	struct fmt_list_buf packs = FMT_LIST_BUF_INIT;
	struct fmt_dead d;
	uint32_t ordinals[4];
	uint8_t name[16];
	int rc;

	rng_packs(r, &packs);
	d.packs = fmt_list_of(&packs);
	WITH_LIST(d.partial, for (uint64_t n = rng_below(r, 4); n > 0; n--) {
		ordinals[0] = (uint32_t)rng_below(r, 3);
		for (int i = 1; i < 4; i++)
			ordinals[i] = ordinals[i - 1] + 1 +
			    (uint32_t)rng_below(r, 300);
		rng_fill(r, name, 16);
		fmt_list_add_partial(&lb_, name, ordinals, rng_below(r, 5));
	}, fmt_dead_plain_encode(b, &d, err));
	fmt_list_release(&packs);
	return rc;
}

static inline int sample_parity(struct rng *r, struct buf *b, struct err *err)
{
	uint8_t sums[10 * 2 * 8], shards[2 * 4100];
	struct parity_shape s;

	rng_fill(r, sums, sizeof(sums));
	rng_fill(r, shards, sizeof(shards));
	if (parity_shape_of(&s, 7 * 4100 + 10, 4100, 8, 2, err) < 0)
		return -1;
	fmt_parity_head_add(b, &s);
	buf_add(b, sums, sizeof(sums));
	buf_add(b, shards, sizeof(shards));
	return 0;
}

#endif
