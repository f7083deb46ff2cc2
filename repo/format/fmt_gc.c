#include <stdio.h>

#include "repo/crypto/crypto.h"
#include "repo/format/fmt_gc.h"
#include "repo/format/fmt_internal.h"

/* --- mark -------------------------------------------------------------------*/

void fmt_list_add_snapshot(struct fmt_list_buf *l,
    const uint8_t slot[FMT_SLOT_LEN], const char *session)
{
	buf_add(&l->b, slot, FMT_SLOT_LEN);
	fmt_add_str(&l->b, fmt_str(session));
	l->n++;
}

int fmt_mark_next(struct fmt_list *l, uint8_t ret_slot[FMT_SLOT_LEN],
    char ret_session[FMT_SESSION_MAX])
{
	struct rd r = fmt_list_rd(l);
	uint64_t len;

	rd_copy(&r, ret_slot, FMT_SLOT_LEN);
	len = rd_var(&r);
	if (len >= FMT_SESSION_MAX)
		r.bad = true;
	memset(ret_session, 0, FMT_SESSION_MAX);
	if (!r.bad)
		rd_copy(&r, ret_session, (size_t)len);
	return fmt_list_took(l, &r);
}

static void elem_snapshot(struct fmt_dec *d, void *ctx)
{
	char t[FMT_SESSION_MAX];

	(void)ctx;
	fmt_dec_bytes(d, FMT_SLOT_LEN, "slot of a snapshot");
	fmt_dec_session(d, t, false, "session of a snapshot");
}

struct fmt_list fmt_dec_snapshots(struct fmt_dec *d, const char *field)
{
	return fmt_dec_list(d, FMT_SLOT_LEN + 1, elem_snapshot, NULL, field);
}

static int mark_decode(const void *obj, size_t len, size_t tail,
    struct fmt_mark *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_MARK, tail,
	    &ret->epoch, err);

	ret->time_ns = fmt_dec_i64(&d, "time");
	fmt_dec_copy(&d, ret->dead_hash, 32, "dead list's hash");
	ret->snapshots = fmt_dec_snapshots(&d, "snapshots");
	return fmt_dec_end(&d);
}

int fmt_mark_encode(struct buf *obj, const struct fmt_mark *m,
    struct err *err)
{
	struct fmt_mark t;

	fmt_header_add(obj, FMT_MARK, m->epoch);
	fmt_add_i64(obj, m->time_ns);
	buf_add(obj, m->dead_hash, 32);
	fmt_add_list(obj, &m->snapshots);
	return fmt_encoded(obj, "a mark",
	    mark_decode(obj->p, obj->len, 0, &t, err), err);
}

int fmt_mark_decode(const void *obj, size_t len, struct fmt_mark *ret,
    struct err *err)
{
	return mark_decode(obj, len, FMT_SIGNED_TAIL, ret, err);
}

/* --- verdict ----------------------------------------------------------------*/

static int verdict_decode(const void *obj, size_t len, size_t tail,
    struct fmt_verdict *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_VERDICT, tail,
	    &ret->epoch, err);

	ret->what = fmt_dec_u8(&d, "verdict");
	fmt_dec_check(&d, ret->what == FMT_DELETE || ret->what == FMT_VOID,
	    "verdict", "is none that exists");
	fmt_dec_copy(&d, ret->mark_hash, 32, "mark's hash");
	fmt_dec_copy(&d, ret->dead_hash, 32, "dead list's hash");
	fmt_dec_check(&d, ret->what != FMT_VOID ||
	    bytes_are_zero(ret->dead_hash, 32), "dead list's hash",
	    "is there in a void verdict");
	ret->time_ns = fmt_dec_i64(&d, "time");
	return fmt_dec_end(&d);
}

int fmt_verdict_encode(struct buf *obj, const struct fmt_verdict *v,
    struct err *err)
{
	struct fmt_verdict t;

	fmt_header_add(obj, FMT_VERDICT, v->epoch);
	buf_u8(obj, v->what);
	buf_add(obj, v->mark_hash, 32);
	buf_add(obj, v->dead_hash, 32);
	fmt_add_i64(obj, v->time_ns);
	return fmt_encoded(obj, "a verdict",
	    verdict_decode(obj->p, obj->len, 0, &t, err), err);
}

int fmt_verdict_decode(const void *obj, size_t len, struct fmt_verdict *ret,
    struct err *err)
{
	return verdict_decode(obj, len, FMT_SIGNED_TAIL, ret, err);
}

/* --- dead list: its content -------------------------------------------------*/

void fmt_list_add_partial(struct fmt_list_buf *l,
    const uint8_t pack[FMT_PACK_NAME_LEN], const uint32_t *ordinals,
    size_t count)
{
	uint32_t last = 0;

	buf_add(&l->b, pack, FMT_PACK_NAME_LEN);
	buf_var(&l->b, count);
	for (size_t i = 0; i < count; i++) {
		buf_var(&l->b, zigzag((int64_t)ordinals[i] - last));
		last = ordinals[i];
	}
	l->n++;
}

/* The first ordinal may be 0; each next one is larger than the one before. */
static void elem_ordinal(struct fmt_dec *d, void *ctx)
{
	int64_t *last = ctx; /* -1: none so far */
	int64_t by = unzigzag(fmt_dec_var_max(d, (uint64_t)UINT32_MAX << 1,
	    "ordinal"));

	fmt_dec_check(d, by > 0 || (by == 0 && *last < 0), "ordinals",
	    "do not ascend");
	*last = (*last < 0 ? 0 : *last) + by;
	fmt_dec_check(d, *last <= UINT32_MAX, "ordinal", "is too large");
}

static void partial_dec(struct fmt_dec *d, struct fmt_partial *ret)
{
	int64_t last = -1;

	ret->pack = fmt_dec_bytes(d, FMT_PACK_NAME_LEN, "pack");
	ret->ordinals = fmt_dec_list(d, 1, elem_ordinal, &last, "ordinals");
}

static void elem_partial(struct fmt_dec *d, void *ctx)
{
	struct fmt_partial t;

	(void)ctx;
	partial_dec(d, &t);
}

int fmt_partial_next(struct fmt_list *l, struct fmt_partial *ret)
{
	struct fmt_dec d = { fmt_list_rd(l), "dead list", NULL, l->n == 0 };

	partial_dec(&d, ret);
	return fmt_list_took(l, &d.rd);
}

int fmt_ordinal_next(struct fmt_list *l, uint32_t *at, uint32_t *ret)
{
	struct rd r = fmt_list_rd(l);

	*ret = *at + (uint32_t)unzigzag(rd_var(&r));
	*at = *ret;
	return fmt_list_took(l, &r);
}

int fmt_dead_plain_decode(const void *p, size_t len, struct fmt_dead *ret,
    struct err *err)
{
	struct fmt_dec d = fmt_dec_init("dead list", p, len, err);

	ret->packs = fmt_dec_list_fixed(&d, FMT_PACK_NAME_LEN, "packs");
	ret->partial = fmt_dec_list(&d, FMT_PACK_NAME_LEN + 1, elem_partial,
	    NULL, "partly dead packs");
	return fmt_dec_end(&d);
}

int fmt_dead_plain_encode(struct buf *b, const struct fmt_dead *d,
    struct err *err)
{
	size_t at = b->len;
	struct fmt_dead t;

	fmt_add_list(b, &d->packs);
	fmt_add_list(b, &d->partial);
	if (buf_check(b, "a dead list", err) < 0)
		return -1;
	return fmt_encoded(b, "a dead list",
	    fmt_dead_plain_decode(b->p + at, b->len - at, &t, err), err);
}

/* --- dead list: the object --------------------------------------------------*/

/* Its key has its hash in it, so it is bound to the key without that. */
static void dead_bind(struct fmt_bind *ret, uint64_t n, const void *header)
{
	char key[FMT_KEY_MAX];

	snprintf(key, sizeof(key), "gc/%016llx/dead", (unsigned long long)n);
	fmt_bind(ret, key, header);
}

int fmt_dead_encode(struct buf *obj, uint64_t n, uint32_t epoch,
    const uint8_t dead_key[32], const struct fmt_dead *d, struct err *err)
{
	struct buf plain = BUF_INIT;
	struct fmt_bind bind;
	int rc;

	fmt_header_add(obj, FMT_DEAD, epoch);
	rc = fmt_dead_plain_encode(&plain, d, err);
	if (rc == 0)
		rc = buf_check(obj, "a dead list", err);
	if (rc == 0) {
		dead_bind(&bind, n, obj->p);
		rc = fmt_xseal_add(obj, dead_key, bind.p, bind.len, plain.p,
		    plain.len, err);
	}
	buf_release(&plain);
	return rc;
}

int fmt_dead_open(const void *obj, size_t len, uint64_t n,
    const uint8_t hash[32], const uint8_t dead_key[32], struct buf *ret_plain,
    struct fmt_dead *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_DEAD, 0, NULL, err);
	struct fmt_bind bind;
	uint8_t h[32];

	fmt_dec_check(&d, d.rd.left >= FMT_XSEAL_EXTRA, "sealed part",
	    "is cut short");
	if (d.bad)
		return -1;
	crypto_sha256(h, obj, len);
	if (memcmp(h, hash, sizeof(h)) != 0)
		return err_set(err, ERR_CORRUPT,
		    "dead list: hash is another one");
	buf_reset(ret_plain);
	if (buf_reserve(ret_plain, d.rd.left) < 0)
		return err_nomem(err, "a dead list");
	dead_bind(&bind, n, obj);
	if (fmt_xseal_open(dead_key, bind.p, bind.len, d.rd.p, d.rd.left,
	    ret_plain->p, err) < 0)
		return err_wrap(err, "dead list");
	ret_plain->len = d.rd.left - FMT_XSEAL_EXTRA;
	return fmt_dead_plain_decode(ret_plain->p, ret_plain->len, ret, err);
}
