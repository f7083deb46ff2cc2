#include "repo/format/fmt_internal.h"
#include "repo/format/fmt_snapshot.h"

/* --- revocation -------------------------------------------------------------*/

static int revocation_decode(const void *obj, size_t len, size_t tail,
    struct fmt_revocation *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_REVOCATION, tail,
	    &ret->epoch, err);

	ret->time_ns = fmt_dec_i64(&d, "time");
	ret->generation = fmt_dec_u64(&d, "generation");
	return fmt_dec_end(&d);
}

int fmt_revocation_encode(struct buf *obj, const struct fmt_revocation *r,
    struct err *err)
{
	struct fmt_revocation t;

	fmt_header_add(obj, FMT_REVOCATION, r->epoch);
	fmt_add_i64(obj, r->time_ns);
	buf_u64(obj, r->generation);
	return fmt_encoded(obj, "a revocation",
	    revocation_decode(obj->p, obj->len, 0, &t, err), err);
}

int fmt_revocation_decode(const void *obj, size_t len,
    struct fmt_revocation *ret, struct err *err)
{
	return revocation_decode(obj, len, FMT_SIGNED_TAIL, ret, err);
}

/* --- note -------------------------------------------------------------------*/

static int note_decode(const void *obj, size_t len, size_t tail,
    struct fmt_note *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_NOTE, tail,
	    &ret->epoch, err);

	fmt_dec_session(&d, ret->session, false, "session");
	ret->time_ns = fmt_dec_i64(&d, "time");
	ret->reason = fmt_dec_str(&d, "reason");
	return fmt_dec_end(&d);
}

int fmt_note_encode(struct buf *obj, const struct fmt_note *n,
    struct err *err)
{
	struct fmt_note t;

	fmt_header_add(obj, FMT_NOTE, n->epoch);
	fmt_add_str(obj, fmt_str(n->session));
	fmt_add_i64(obj, n->time_ns);
	fmt_add_str(obj, n->reason);
	return fmt_encoded(obj, "a note",
	    note_decode(obj->p, obj->len, 0, &t, err), err);
}

int fmt_note_decode(const void *obj, size_t len, struct fmt_note *ret,
    struct err *err)
{
	return note_decode(obj, len, FMT_SIGNED_TAIL, ret, err);
}

/* --- session ----------------------------------------------------------------*/

int fmt_session_encode(struct buf *obj, const char *key, uint32_t epoch,
    const uint8_t sess_key[32], const struct fmt_session *s, struct err *err)
{
	struct buf plain = BUF_INIT;
	struct fmt_bind bind;
	int rc;

	fmt_header_add(obj, FMT_SESSION, epoch);
	buf_u64(&plain, s->generation);
	fmt_add_i64(&plain, s->start_ns);
	fmt_add_i64(&plain, s->updated_ns);
	buf_u64(&plain, s->bytes_read);
	buf_u64(&plain, s->entries);
	fmt_add_str(&plain, s->host);
	rc = buf_check(&plain, "a session", err);
	if (rc == 0)
		rc = buf_check(obj, "a session", err);
	if (rc == 0) {
		fmt_bind(&bind, key, obj->p);
		rc = fmt_xseal_add(obj, sess_key, bind.p, bind.len, plain.p,
		    plain.len, err);
	}
	buf_release(&plain);
	return rc;
}

int fmt_session_open(const void *obj, size_t len, const char *key,
    const uint8_t sess_key[32], struct buf *ret_plain,
    struct fmt_session *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_SESSION,
	    FMT_SIGNED_TAIL, NULL, err);
	struct fmt_bind bind;

	fmt_dec_check(&d, d.rd.left >= FMT_XSEAL_EXTRA, "sealed part",
	    "is cut short");
	if (d.bad)
		return -1;
	buf_reset(ret_plain);
	if (buf_reserve(ret_plain, d.rd.left) < 0)
		return err_nomem(err, "a session");
	fmt_bind(&bind, key, obj);
	if (fmt_xseal_open(sess_key, bind.p, bind.len, d.rd.p, d.rd.left,
	    ret_plain->p, err) < 0)
		return err_wrap(err, "session");
	ret_plain->len = d.rd.left - FMT_XSEAL_EXTRA;

	d = fmt_dec_init("session", ret_plain->p, ret_plain->len, err);
	ret->generation = fmt_dec_u64(&d, "generation");
	ret->start_ns = fmt_dec_i64(&d, "start");
	ret->updated_ns = fmt_dec_i64(&d, "time of update");
	ret->bytes_read = fmt_dec_u64(&d, "bytes read");
	ret->entries = fmt_dec_u64(&d, "entries");
	ret->host = fmt_dec_str(&d, "host");
	return fmt_dec_end(&d);
}
