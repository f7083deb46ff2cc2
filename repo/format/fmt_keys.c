#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"
#include "repo/format/fmt_internal.h"
#include "repo/format/fmt_keys.h"

#define RIGHTS (FMT_WRITE | FMT_READ | FMT_ADMIN)

/* --- cert -------------------------------------------------------------------*/

static int cert_decode(const void *obj, size_t len, size_t tail,
    struct fmt_cert *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_CERT, tail,
	    &ret->epoch, err);

	fmt_dec_copy(&d, ret->slot, FMT_SLOT_LEN, "slot");
	ret->rights = fmt_dec_u8(&d, "rights");
	fmt_dec_check(&d, ret->rights != 0 && (ret->rights & ~RIGHTS) == 0,
	    "rights", "are none that exist");
	ret->created_ns = fmt_dec_i64(&d, "creation time");
	fmt_dec_copy(&d, ret->box_pub, 32, "X25519 public key");
	fmt_dec_copy(&d, ret->sign_pub, 32, "Ed25519 public key");
	ret->domain = fmt_dec_str(&d, "domain");
	ret->label = fmt_dec_str(&d, "label");
	return fmt_dec_end(&d);
}

int fmt_cert_encode(struct buf *obj, const struct fmt_cert *c, struct err *err)
{
	struct fmt_cert t;

	fmt_header_add(obj, FMT_CERT, c->epoch);
	buf_add(obj, c->slot, FMT_SLOT_LEN);
	buf_u8(obj, c->rights);
	fmt_add_i64(obj, c->created_ns);
	buf_add(obj, c->box_pub, 32);
	buf_add(obj, c->sign_pub, 32);
	fmt_add_str(obj, c->domain);
	fmt_add_str(obj, c->label);
	return fmt_encoded(obj, "a certificate",
	    cert_decode(obj->p, obj->len, 0, &t, err), err);
}

int fmt_cert_decode(const void *obj, size_t len, struct fmt_cert *ret,
    struct err *err)
{
	return cert_decode(obj, len, FMT_SIGNED_TAIL, ret, err);
}

/* --- wrap -------------------------------------------------------------------*/

#define WRAP_HEAD 25   /* method to salt */
#define SECRET_LEN 132

/* The seal's associated data: bind ‖ method to salt. */
struct wrap_ad {
	uint8_t p[sizeof(struct fmt_bind) + WRAP_HEAD];
	size_t len;
};

static void wrap_ad(struct wrap_ad *ad, const char *key, const uint8_t *obj)
{
	struct fmt_bind bind;

	fmt_bind(&bind, key, obj);
	memcpy(ad->p, bind.p, bind.len);
	memcpy(ad->p + bind.len, obj + FMT_HEADER_LEN, WRAP_HEAD);
	ad->len = bind.len + WRAP_HEAD;
}

static void secret_put(uint8_t p[SECRET_LEN], const struct fmt_secret *s)
{
	memcpy(p, s->box_sec, 32);
	memcpy(p + 32, s->sign_seed, 32);
	memcpy(p + 64, s->repository, 16);
	memcpy(p + 80, s->family, 16);
	le32_put(p + 96, s->epoch);
	memcpy(p + 100, s->admin_pub, 32);
}

static void secret_get(const uint8_t p[SECRET_LEN], struct fmt_secret *s)
{
	memcpy(s->box_sec, p, 32);
	memcpy(s->sign_seed, p + 32, 32);
	memcpy(s->repository, p + 64, 16);
	memcpy(s->family, p + 80, 16);
	s->epoch = le32_get(p + 96);
	memcpy(s->admin_pub, p + 100, 32);
}

int fmt_wrap_encode(struct buf *obj, const char *key, const struct fmt_wrap *w,
    const uint8_t k[32], const struct fmt_secret *s, struct err *err)
{
	uint8_t plain[SECRET_LEN];
	struct wrap_ad ad;
	struct fmt_wrap t;
	int rc;

	fmt_header_add(obj, FMT_WRAP, 0);
	buf_u8(obj, w->method);
	buf_u32(obj, w->ops);
	buf_u32(obj, w->mem_kib);
	buf_add(obj, w->salt, sizeof(w->salt));
	if (buf_check(obj, "a wrap", err) < 0)
		return -1;
	wrap_ad(&ad, key, obj->p);
	secret_put(plain, s);
	rc = fmt_xseal_add(obj, k, ad.p, ad.len, plain, sizeof(plain), err);
	mem_wipe(plain, sizeof(plain));
	if (rc < 0)
		return -1;
	return fmt_encoded(obj, "a wrap",
	    fmt_wrap_decode(obj->p, obj->len, &t, err), err);
}

int fmt_wrap_decode(const void *obj, size_t len, struct fmt_wrap *ret,
    struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_WRAP, 0, NULL, err);

	ret->method = fmt_dec_u8(&d, "method");
	ret->ops = fmt_dec_u32(&d, "ops");
	ret->mem_kib = fmt_dec_u32(&d, "memory");
	fmt_dec_copy(&d, ret->salt, sizeof(ret->salt), "salt");
	fmt_dec_check(&d, ret->method == FMT_BY_PASSPHRASE ||
	    ret->method == FMT_BY_KEY_FILE, "method", "is none that exists");
	fmt_dec_check(&d, ret->method != FMT_BY_KEY_FILE || (ret->ops == 0 &&
	    ret->mem_kib == 0 && bytes_are_zero(ret->salt, sizeof(ret->salt))),
	    "method", "takes no ops, memory and salt");
	fmt_dec_bytes(&d, SECRET_LEN + FMT_XSEAL_EXTRA, "sealed part");
	return fmt_dec_end(&d);
}

int fmt_wrap_open(const void *obj, size_t len, const char *key,
    const uint8_t k[32], struct fmt_secret *ret, struct err *err)
{
	uint8_t plain[SECRET_LEN];
	struct wrap_ad ad;
	struct fmt_wrap w;

	if (fmt_wrap_decode(obj, len, &w, err) < 0)
		return -1;
	wrap_ad(&ad, key, obj);
	if (fmt_xseal_open(k, ad.p, ad.len,
	    (const uint8_t *)obj + FMT_HEADER_LEN + WRAP_HEAD,
	    SECRET_LEN + FMT_XSEAL_EXTRA, plain, NULL) < 0)
		return err_set(err, ERR_AUTH, "%s does not open this credential",
		    w.method == FMT_BY_PASSPHRASE ? "what was entered" :
		    "the key file");
	secret_get(plain, ret);
	mem_wipe(plain, sizeof(plain));
	return 0;
}

/* --- key file ---------------------------------------------------------------*/

#define KEY_FILE_TEXT 94 /* without the newline */

void fmt_key_file_line(char dst[FMT_KEY_FILE_MAX],
    const uint8_t slot[FMT_SLOT_LEN], const uint8_t secret[32])
{
	memcpy(dst, "wherry-key-1 ", 13);
	hex_encode(dst + 13, slot, FMT_SLOT_LEN);
	dst[29] = ' ';
	hex_encode(dst + 30, secret, 32);
	dst[KEY_FILE_TEXT] = '\n';
	dst[KEY_FILE_TEXT + 1] = '\0';
}

int fmt_key_file_parse(const char *line, uint8_t ret_slot[FMT_SLOT_LEN],
    uint8_t ret_secret[32], struct err *err)
{
	size_t len = strlen(line);
	char slot[FMT_HEX_SLOT], hex[65];
	int bad;

	if (len > 0 && line[len - 1] == '\n')
		len--;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len < 11 || strncmp(line, "wherry-key-", 11) != 0)
		return err_set(err, ERR_USAGE,
		    "this is no key file (its line begins with wherry-key-1)");
	if (strncmp(line + 11, "1 ", 2) != 0)
		return err_set(err, ERR_UNSUPPORTED,
		    "the key file is of another version than 1");
	if (len != KEY_FILE_TEXT || line[29] != ' ')
		return err_set(err, ERR_USAGE, "the key file's line is not "
		    "\"wherry-key-1 SLOT KEY\" with 16 and 64 hex digits");
	memcpy(slot, line + 13, 16);
	slot[16] = '\0';
	memcpy(hex, line + 30, 64);
	hex[64] = '\0';
	bad = hex_decode(ret_slot, FMT_SLOT_LEN, slot) < 0 ||
	    hex_decode(ret_secret, 32, hex) < 0;
	mem_wipe(hex, sizeof(hex));
	if (bad) {
		mem_wipe(ret_secret, 32);
		return err_set(err, ERR_USAGE, "the key file's line is not "
		    "\"wherry-key-1 SLOT KEY\" with 16 and 64 hex digits");
	}
	return 0;
}

/* --- end --------------------------------------------------------------------*/

void fmt_list_add_stood(struct fmt_list_buf *l, const struct fmt_stood *s)
{
	fmt_add_str(&l->b, fmt_str(s->session));
	buf_u32(&l->b, s->segments);
	buf_add(&l->b, s->snapshot, 32);
	l->n++;
}

int fmt_stood_next(struct fmt_list *l, struct fmt_stood *ret)
{
	struct rd r = fmt_list_rd(l);
	uint64_t n = rd_var(&r);
	const uint8_t *p = rd_bytes(&r, n);

	if (p != NULL && n < sizeof(ret->session)) {
		memcpy(ret->session, p, n);
		ret->session[n] = '\0';
	}
	ret->segments = rd_u32(&r);
	p = rd_bytes(&r, 32);
	if (p != NULL)
		memcpy(ret->snapshot, p, 32);
	return fmt_list_took(l, &r);
}

static void elem_stood(struct fmt_dec *d, void *ctx)
{
	char t[FMT_SESSION_MAX];

	(void)ctx;
	fmt_dec_session(d, t, false, "session of a list");
	fmt_dec_u32(d, "segments of a session");
	fmt_dec_bytes(d, 32, "hash of a snapshot");
}

int fmt_end_encode(struct buf *obj, const struct fmt_end *e, struct err *err)
{
	struct fmt_end t;

	fmt_header_add(obj, FMT_END, e->epoch);
	buf_add(obj, e->slot, FMT_SLOT_LEN);
	fmt_add_i64(obj, e->time_ns);
	fmt_add_list(obj, &e->sessions);
	return fmt_encoded(obj, "the end of a credential",
	    fmt_end_decode(obj->p, obj->len, &t, err), err);
}

int fmt_end_decode(const void *obj, size_t len, struct fmt_end *ret,
    struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_END, 0, &ret->epoch,
	    err);

	fmt_dec_copy(&d, ret->slot, FMT_SLOT_LEN, "slot");
	ret->time_ns = fmt_dec_i64(&d, "time");
	ret->sessions = fmt_dec_list(&d, 37, elem_stood, NULL, "sessions");
	return fmt_dec_end(&d);
}
