#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"
#include "repo/format/fmt_internal.h"
#include "repo/format/fmt_snapshot.h"

static void ref_add(struct buf *b, const struct fmt_ref *r)
{
	buf_add(b, r->id, FMT_ID_LEN);
	buf_u8(b, r->level);
	buf_u64(b, r->entries);
}

static void ref_dec(struct fmt_dec *d, struct fmt_ref *ret, const char *field)
{
	fmt_dec_copy(d, ret->id, FMT_ID_LEN, field);
	ret->level = fmt_dec_u8(d, field);
	ret->entries = fmt_dec_u64(d, field);
	fmt_dec_check(d, !bytes_are_zero(ret->id, FMT_ID_LEN) ?
	    ret->entries != 0 : ret->entries == 0 && ret->level == 0, field,
	    "has entries without a page, or a page without entries");
}

/* --- S1 ---------------------------------------------------------------------*/

#define ORIGIN_HEAD ((size_t)FMT_REPOSITORY_LEN + FMT_SLOT_LEN)

/* origin: empty, or repository id, slot and session. */
static void origin_dec(struct fmt_dec *d, struct fmt_s1 *ret)
{
	struct fmt_str s = fmt_dec_str(d, "origin");
	struct fmt_session_name n;
	size_t len;

	ret->copied = s.len != 0;
	memset(ret->origin_repository, 0, FMT_REPOSITORY_LEN);
	memset(ret->origin_slot, 0, FMT_SLOT_LEN);
	memset(ret->origin_session, 0, FMT_SESSION_MAX);
	if (d->bad || !ret->copied)
		return;
	len = s.len - ORIGIN_HEAD;
	if (s.len < ORIGIN_HEAD || len >= FMT_SESSION_MAX) {
		fmt_dec_fail(d, "origin", "has a wrong length");
		return;
	}
	memcpy(ret->origin_repository, s.p, FMT_REPOSITORY_LEN);
	memcpy(ret->origin_slot, s.p + FMT_REPOSITORY_LEN, FMT_SLOT_LEN);
	memcpy(ret->origin_session, s.p + ORIGIN_HEAD, len);
	fmt_dec_check(d, strlen(ret->origin_session) == len &&
	    fmt_session_parse(ret->origin_session, &n) == 0, "origin",
	    "is no name of a session");
}

int fmt_s1_decode(const void *p, size_t len, struct fmt_s1 *ret,
    struct err *err)
{
	struct fmt_dec d = fmt_dec_init("snapshot", p, len, err);

	ret->type = fmt_dec_u8(&d, "type");
	fmt_dec_check(&d, ret->type == FMT_COMMIT ||
	    ret->type == FMT_CHECKPOINT, "type", "is none that exists");
	ret->flags = fmt_dec_u32(&d, "flags");
	fmt_dec_check(&d, ret->flags <= 7, "flags", "are none that exist");
	ret->content = fmt_dec_u8(&d, "content");
	fmt_dec_check(&d, ret->content == FMT_TREE ||
	    ret->content == FMT_BLOCK_VOLUME, "content",
	    "is none that exists");
	fmt_dec_copy(&d, ret->volume_hash, 32, "volume hash");
	ret->domain = fmt_dec_str(&d, "domain");
	ret->start_ns = fmt_dec_i64(&d, "start");
	ret->end_ns = fmt_dec_i64(&d, "end");
	ret->counter = fmt_dec_u64(&d, "counter");
	fmt_dec_copy(&d, ret->predecessor_hash, 32, "predecessor's hash");
	fmt_dec_session(&d, ret->predecessor, true, "predecessor");
	fmt_dec_session(&d, ret->parent, true, "parent");
	ret->generation = fmt_dec_u64(&d, "generation");
	ref_dec(&d, &ret->state, "state");
	ret->size = fmt_dec_u64(&d, "size");
	ret->entries = fmt_dec_u64(&d, "entries");
	ret->packs = fmt_dec_list_fixed(&d, FMT_PACK_NAME_LEN, "packs");
	fmt_dec_check(&d, ret->packs.n == 0 || ret->type == FMT_CHECKPOINT,
	    "packs", "are named by what is no checkpoint");
	origin_dec(&d, ret);
	return fmt_dec_end(&d);
}

int fmt_s1_encode(struct buf *b, const struct fmt_s1 *s, struct err *err)
{
	size_t at = b->len;
	struct fmt_s1 t;

	buf_u8(b, s->type);
	buf_u32(b, s->flags);
	buf_u8(b, s->content);
	buf_add(b, s->volume_hash, 32);
	fmt_add_str(b, s->domain);
	fmt_add_i64(b, s->start_ns);
	fmt_add_i64(b, s->end_ns);
	buf_u64(b, s->counter);
	buf_add(b, s->predecessor_hash, 32);
	fmt_add_str(b, fmt_str(s->predecessor));
	fmt_add_str(b, fmt_str(s->parent));
	buf_u64(b, s->generation);
	ref_add(b, &s->state);
	buf_u64(b, s->size);
	buf_u64(b, s->entries);
	fmt_add_list(b, &s->packs);
	if (s->copied) {
		buf_var(b, ORIGIN_HEAD + strlen(s->origin_session));
		buf_add(b, s->origin_repository, FMT_REPOSITORY_LEN);
		buf_add(b, s->origin_slot, FMT_SLOT_LEN);
		buf_str(b, s->origin_session);
	} else {
		buf_var(b, 0);
	}
	if (buf_check(b, "a snapshot", err) < 0)
		return -1;
	return fmt_encoded(b, "a snapshot",
	    fmt_s1_decode(b->p + at, b->len - at, &t, err), err);
}

/* --- S2 ---------------------------------------------------------------------*/

int fmt_s2_decode(const void *p, size_t len, struct fmt_s2 *ret,
    struct err *err)
{
	struct fmt_dec d = fmt_dec_init("snapshot", p, len, err);

	ref_dec(&d, &ret->catalog, "catalog");
	ret->volume = fmt_dec_str(&d, "volume");
	ret->host = fmt_dec_str(&d, "host");
	ret->user = fmt_dec_str(&d, "user");
	ret->program = fmt_dec_str(&d, "program");
	ret->paths = fmt_dec_list(&d, 1, fmt_dec_elem_str, NULL, "paths");
	ret->tags = fmt_dec_list(&d, 1, fmt_dec_elem_str, NULL, "tags");
	ret->files = fmt_dec_u64(&d, "files");
	ret->directories = fmt_dec_u64(&d, "directories");
	ret->others = fmt_dec_u64(&d, "others");
	ret->bytes_read = fmt_dec_u64(&d, "bytes read");
	ret->bytes_new = fmt_dec_u64(&d, "bytes of new chunks");
	ret->bytes_stored = fmt_dec_u64(&d, "bytes stored");
	return fmt_dec_end(&d);
}

int fmt_s2_encode(struct buf *b, const struct fmt_s2 *s, struct err *err)
{
	size_t at = b->len;
	struct fmt_s2 t;

	ref_add(b, &s->catalog);
	fmt_add_str(b, s->volume);
	fmt_add_str(b, s->host);
	fmt_add_str(b, s->user);
	fmt_add_str(b, s->program);
	fmt_add_list(b, &s->paths);
	fmt_add_list(b, &s->tags);
	buf_u64(b, s->files);
	buf_u64(b, s->directories);
	buf_u64(b, s->others);
	buf_u64(b, s->bytes_read);
	buf_u64(b, s->bytes_new);
	buf_u64(b, s->bytes_stored);
	if (buf_check(b, "a snapshot", err) < 0)
		return -1;
	return fmt_encoded(b, "a snapshot",
	    fmt_s2_decode(b->p + at, b->len - at, &t, err), err);
}

/* --- the object -------------------------------------------------------------*/

int fmt_snapshot_encode(struct buf *obj, const char *key, uint32_t epoch,
    const uint8_t snap_key[32], const uint8_t content_pub[32],
    const struct fmt_s1 *s1, const struct fmt_s2 *s2, struct err *err)
{
	struct buf p1 = BUF_INIT, p2 = BUF_INIT;
	struct fmt_bind bind;
	int rc = -1;

	if (fmt_s1_encode(&p1, s1, err) < 0 || fmt_s2_encode(&p2, s2, err) < 0)
		goto out;
	if (p1.len > UINT32_MAX / 2 || p2.len > UINT32_MAX / 2) {
		err_set(err, ERR_USAGE, "a snapshot of more than 2 GiB");
		goto out;
	}
	fmt_header_add(obj, FMT_SNAPSHOT, epoch);
	if (buf_reserve(obj, 8 + p1.len + FMT_XSEAL_EXTRA + p2.len +
	    CRYPTO_BOX_EXTRA) < 0) {
		err_nomem(err, "a snapshot");
		goto out;
	}
	fmt_bind(&bind, key, obj->p);
	buf_u32(obj, (uint32_t)(p1.len + FMT_XSEAL_EXTRA));
	if (fmt_xseal_add(obj, snap_key, bind.p, bind.len, p1.p, p1.len,
	    err) < 0)
		goto out;
	buf_u32(obj, (uint32_t)(p2.len + CRYPTO_BOX_EXTRA));
	if (crypto_box_seal_to(content_pub, p2.p, p2.len, obj->p + obj->len,
	    err) < 0)
		goto out;
	obj->len += p2.len + CRYPTO_BOX_EXTRA;
	rc = 0;
out:
	/* Paths and tags are for those who may read. */
	if (p2.p != NULL)
		mem_wipe(p2.p, p2.cap);
	buf_release(&p1);
	buf_release(&p2);
	return rc;
}

/* The two sealed parts of the object. */
struct parts {
	const uint8_t *p1, *p2;
	uint32_t len1, len2;
};

static int parts_dec(const void *obj, size_t len, struct parts *ret,
    struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_SNAPSHOT,
	    FMT_SIGNED_TAIL, NULL, err);

	ret->len1 = fmt_dec_u32(&d, "first part's length");
	ret->p1 = fmt_dec_bytes(&d, ret->len1, "first part");
	ret->len2 = fmt_dec_u32(&d, "second part's length");
	ret->p2 = fmt_dec_bytes(&d, ret->len2, "second part");
	fmt_dec_check(&d, ret->len1 >= FMT_XSEAL_EXTRA, "first part",
	    "is too short for a seal");
	fmt_dec_check(&d, ret->len2 >= CRYPTO_BOX_EXTRA, "second part",
	    "is too short for a box");
	return fmt_dec_end(&d);
}

int fmt_snapshot_open1(const void *obj, size_t len, const char *key,
    const uint8_t snap_key[32], struct buf *ret_plain, struct fmt_s1 *ret,
    struct err *err)
{
	struct fmt_bind bind;
	struct parts x;

	if (parts_dec(obj, len, &x, err) < 0)
		return -1;
	buf_reset(ret_plain);
	if (buf_reserve(ret_plain, x.len1) < 0)
		return err_nomem(err, "a snapshot");
	fmt_bind(&bind, key, obj);
	if (fmt_xseal_open(snap_key, bind.p, bind.len, x.p1, x.len1,
	    ret_plain->p, err) < 0)
		return err_wrap(err, "snapshot: first part");
	ret_plain->len = x.len1 - FMT_XSEAL_EXTRA;
	return fmt_s1_decode(ret_plain->p, ret_plain->len, ret, err);
}

int fmt_snapshot_open2(const void *obj, size_t len,
    const uint8_t content[32], struct buf *ret_plain, struct fmt_s2 *ret,
    struct err *err)
{
	struct parts x;

	if (parts_dec(obj, len, &x, err) < 0)
		return -1;
	buf_reset(ret_plain);
	if (buf_reserve(ret_plain, x.len2) < 0)
		return err_nomem(err, "a snapshot");
	if (crypto_box_open_with(content, x.p2, x.len2, ret_plain->p, err) < 0)
		return err_wrap(err, "snapshot: second part");
	ret_plain->len = x.len2 - CRYPTO_BOX_EXTRA;
	return fmt_s2_decode(ret_plain->p, ret_plain->len, ret, err);
}
