#ifndef TESTS_UNIT_FORMAT_CODECS_H
#define TESTS_UNIT_FORMAT_CODECS_H

/*
 * One codec a structure: decode the bytes, step through what lists there are,
 * and encode the same again.  For unit tests and fuzz programs: whatever is
 * accepted must come out as it went in.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/base/buf.h"
#include "repo/format/fmt_gc.h"
#include "repo/format/fmt_keys.h"
#include "repo/format/fmt_pack.h"
#include "repo/format/fmt_page.h"
#include "repo/format/fmt_segment.h"
#include "repo/format/fmt_snapshot.h"
#include "tests/unit/format_codec_lists.h"

struct codec {
	const char *name;
	size_t tail; /* bytes at the end that are not made again */
	int (*again)(const uint8_t *p, size_t len, struct buf *ret,
	    struct err *err);
};

/* K_ord of all pages in tests. */
static const uint8_t codec_order_key[32] = "the order of names in the tests";

static inline int codec_cert(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_cert c;

	return fmt_cert_decode(p, len, &c, err) < 0 ? -1 :
	    fmt_cert_encode(ret, &c, err);
}

static inline int codec_wrap(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_wrap w;

	if (fmt_wrap_decode(p, len, &w, err) < 0)
		return -1;
	fmt_header_add(ret, FMT_WRAP, le32_get(p + 8));
	buf_u8(ret, w.method);
	buf_u32(ret, w.ops);
	buf_u32(ret, w.mem_kib);
	buf_add(ret, w.salt, sizeof(w.salt));
	return 0;
}

static inline void strs_again(struct fmt_list l, struct fmt_list_buf *to)
{
	struct fmt_str s;

	while (fmt_str_next(&l, &s) == 0)
		fmt_list_add_str(to, s);
}

static inline void packs_again(struct fmt_list l, struct fmt_list_buf *to)
{
	const uint8_t *name;

	while (fmt_pack_next(&l, &name) == 0)
		fmt_list_add_pack(to, name);
}

static inline int codec_end(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_stood s;
	struct fmt_end e;
	int rc;

	if (fmt_end_decode(p, len, &e, err) < 0)
		return -1;
	WITH_LIST(e.sessions, while (fmt_stood_next(&e.sessions, &s) == 0)
	    fmt_list_add_stood(&lb_, &s),
	    fmt_end_encode(ret, &e, err));
	return rc;
}

static inline int codec_grant(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_list_buf fams = FMT_LIST_BUF_INIT;
	struct fmt_grant_family f;
	struct fmt_grant_epoch e;
	struct fmt_grant g;
	int rc;

	if (fmt_grant_plain_decode(p, len, &g, err) < 0)
		return -1;
	while (fmt_grant_family_next(&g.families, g.rights, &f) == 0)
		fmt_list_add_grant_family(&fams, g.rights, &f);
	g.families = fmt_list_of(&fams);
	WITH_LIST(g.epochs, while (fmt_grant_epoch_next(&g.epochs, g.rights,
	    &e) == 0) fmt_list_add_grant_epoch(&lb_, g.rights, &e),
	    fmt_grant_plain_encode(ret, &g, err));
	fmt_list_release(&fams);
	return rc;
}

static inline int codec_config(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_list_buf admins = FMT_LIST_BUF_INIT, ended = admins;
	const uint8_t *pub, *hash;
	struct fmt_config c;
	int rc;

	if (fmt_config_decode(p, len, &c, err) < 0)
		return -1;
	fmt_config_usable(&c, 1, NULL);
	while (fmt_admin_next(&c.admins, &pub) == 0)
		fmt_list_add_admin(&admins, pub);
	while (fmt_ended_next(&c.ended, &pub, &hash) == 0)
		fmt_list_add_ended(&ended, pub, hash);
	c.admins = fmt_list_of(&admins);
	c.ended = fmt_list_of(&ended);
	WITH_LIST(c.optional, strs_again(c.optional, &lb_),
	    fmt_config_encode(ret, &c, err));
	fmt_list_release(&admins);
	fmt_list_release(&ended);
	return rc;
}

static inline int codec_s1(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_s1 s;
	int rc;

	if (fmt_s1_decode(p, len, &s, err) < 0)
		return -1;
	WITH_LIST(s.packs, packs_again(s.packs, &lb_),
	    fmt_s1_encode(ret, &s, err));
	return rc;
}

static inline int codec_s2(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_s2 s;
	int rc;

	if (fmt_s2_decode(p, len, &s, err) < 0)
		return -1;
	WITH_LIST(s.paths, strs_again(s.paths, &lb_),
	    fmt_s2_encode(ret, &s, err));
	return rc;
}

static inline int codec_revocation(const uint8_t *p, size_t len,
    struct buf *ret, struct err *err)
{
	struct fmt_revocation r;

	return fmt_revocation_decode(p, len, &r, err) < 0 ? -1 :
	    fmt_revocation_encode(ret, &r, err);
}

static inline int codec_note(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_note n;

	return fmt_note_decode(p, len, &n, err) < 0 ? -1 :
	    fmt_note_encode(ret, &n, err);
}

static inline int codec_mark(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	char session[FMT_SESSION_MAX];
	uint8_t slot[FMT_SLOT_LEN];
	struct fmt_mark m;
	int rc;

	if (fmt_mark_decode(p, len, &m, err) < 0)
		return -1;
	WITH_LIST(m.snapshots, while (fmt_mark_next(&m.snapshots, slot,
	    session) == 0) fmt_list_add_snapshot(&lb_, slot, session),
	    fmt_mark_encode(ret, &m, err));
	return rc;
}

static inline int codec_verdict(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_verdict v;

	return fmt_verdict_decode(p, len, &v, err) < 0 ? -1 :
	    fmt_verdict_encode(ret, &v, err);
}

static inline int codec_parity(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_parity x;

	if (fmt_parity_decode(p, len, &x, err) < 0)
		return -1;
	fmt_parity_head_add(ret, &x.shape);
	buf_add(ret, x.sums, parity_cells(&x.shape) * 8);
	buf_add(ret, x.shards, parity_bytes(&x.shape));
	return 0;
}

static inline int codec_pack_head(const uint8_t *p, size_t len,
    struct buf *ret, struct err *err)
{
	struct fmt_pack_head h;

	if (fmt_pack_head_decode(p, len, &h, err) < 0)
		return -1;
	fmt_pack_head_put(ret, &h);
	/* Blobs follow it. */
	buf_add(ret, p + ret->len, len - ret->len);
	return 0;
}

static const struct codec codecs[] = {
	{ "cert", FMT_SIGNED_TAIL, codec_cert },
	{ "wrap", FMT_XSEAL_EXTRA + 132, codec_wrap },
	{ "end", 0, codec_end },
	{ "grant", 0, codec_grant },
	{ "config", FMT_SIGNED_TAIL, codec_config },
	{ "s1", 0, codec_s1 },
	{ "s2", 0, codec_s2 },
	{ "revocation", FMT_SIGNED_TAIL, codec_revocation },
	{ "note", FMT_SIGNED_TAIL, codec_note },
	{ "mark", FMT_SIGNED_TAIL, codec_mark },
	{ "verdict", FMT_SIGNED_TAIL, codec_verdict },
	{ "dead", 0, codec_dead },
	{ "bad", FMT_SIGNED_TAIL, codec_bad },
	{ "checked", FMT_SIGNED_TAIL, codec_checked },
	{ "manifest", FMT_SIGNED_TAIL, codec_manifest },
	{ "parity", 0, codec_parity },
	{ "pack_head", 0, codec_pack_head },
};

#define CODECS (sizeof(codecs) / sizeof(codecs[0]))

#endif
