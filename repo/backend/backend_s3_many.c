/* Removing many objects of S3 with one request. */
#include <endian.h>
#include <string.h>

#include "repo/backend/backend_s3_internal.h"
#include "repo/backend/backend_xml.h"
#include "repo/crypto/crypto.h"

/* So many keys DeleteObjects takes at once. */
#define DELETE_MAX 1000

/* An error for each of them. */
#define ANSWER_MAX ((size_t)4 << 20)

static void add_xml(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '&')
			buf_str(b, "&amp;");
		else if (*s == '<')
			buf_str(b, "&lt;");
		else if (*s == '>')
			buf_str(b, "&gt;");
		else
			buf_u8(b, (uint8_t)*s);
	}
}

/* What an answer says of one key. */
struct verdict {
	const struct backend_s3 *s;
	const char *right;
	struct err *err;
	char key[BACKEND_KEY_MAX + 1];
	char code[BACKEND_HTTP_CODE], said[BACKEND_HTTP_SAID];
	bool root, failed, hard; /* hard: err is of no class TRANSIENT */
};

static void cut(char *dst, size_t cap, const char *s)
{
	size_t n = strlen(s) < cap ? strlen(s) : cap - 1;

	for (size_t i = 0; i < n; i++)
		dst[i] = s[i] >= ' ' && s[i] <= '~' ? s[i] : '?';
	dst[n] = '\0';
}

/* One key was not removed.  Of several reasons one that stays is told. */
static void end_of_error(struct verdict *v)
{
	const struct backend_s3_call c = {
		.what = { "delete", v->key },
		.right = v->right,
	};

	if (strcmp(v->code, "NoSuchKey") != 0 && !v->hard) {
		backend_s3_fail_code(v->s, &c, v->code, v->said, v->err);
		v->failed = true;
		v->hard = v->err->class != ERR_TRANSIENT;
	}
	v->key[0] = v->code[0] = v->said[0] = '\0';
}

static int on_verdict(void *ctx, const char *path, const char *text,
    struct err *err)
{
	struct verdict *v = ctx;
	size_t n = strlen(v->s->prefix);

	(void)err;
	if (strcmp(path, "DeleteResult") == 0)
		v->root = true;
	else if (strcmp(path, "DeleteResult/Error/Key") == 0)
		cut(v->key, sizeof(v->key), strncmp(text, v->s->prefix, n) ?
		    text : text + n);
	else if (strcmp(path, "DeleteResult/Error/Code") == 0)
		cut(v->code, sizeof(v->code), text);
	else if (strcmp(path, "DeleteResult/Error/Message") == 0)
		cut(v->said, sizeof(v->said), text);
	else if (strcmp(path, "DeleteResult/Error") == 0)
		end_of_error(v);
	return 0;
}

static int judge_many(struct backend_s3 *s, const struct backend_s3_call *c,
    const struct backend_http_answer *a, struct err *err)
{
	struct verdict v = { .s = s, .right = c->right, .err = err };
	struct err bad = ERR_INIT;

	if (!backend_http_ok(a))
		return backend_s3_fail(s, c, a, err);
	if (backend_xml_read(a->rs.body.p, a->rs.body.len, on_verdict, &v,
	        &bad) < 0 || !v.root)
		return backend_http_error(s->http, &c->what, ERR_TRANSIENT,
		    err, "the answer makes no sense: %s", bad.msg);
	return v.failed ? -1 : 0;
}

/* What a request for many is made of; each text ends with a NUL. */
struct request {
	struct buf body, md5, crc;
};

static int make_request(const struct backend_s3 *s, const char *const *keys,
    size_t n, struct request *rq, struct err *err)
{
	struct buf *b = &rq->body;
	uint8_t sum[16];
	uint32_t crc;

	buf_str(b, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
	    "<Quiet>true</Quiet>");
	for (size_t i = 0; i < n; i++) {
		buf_str(b, "<Object><Key>");
		add_xml(b, s->prefix);
		buf_printf(b, "%s</Key></Object>", keys[i]);
	}
	buf_str(b, "</Delete>");
	if (buf_check(b, "a request", err) < 0)
		return -1;

	/* One of both is demanded; the older stores know only MD5. */
	crc = htobe32(crypto_crc32c(b->p, b->len));
	crypto_base64(&rq->crc, &crc, sizeof(crc));
	buf_u8(&rq->crc, 0);
	if (crypto_md5(sum, b->p, b->len) == 0)
		crypto_base64(&rq->md5, sum, sizeof(sum));
	buf_u8(&rq->md5, 0);
	return buf_check(&rq->crc, "a request", err) < 0 ? -1 :
	    buf_check(&rq->md5, "a request", err);
}

/* Return as del_many; 1 when the store has no such call. */
static int delete_some(struct backend_s3 *s, const char *const *keys, size_t n,
    struct err *err)
{
	struct backend_http_answer a = { .code = "" };
	struct request rq = { BUF_INIT, BUF_INIT, BUF_INIT };
	int r = make_request(s, keys, n, &rq, err);
	const struct net_header h[] = {
		{ "content-type", "application/xml" },
		{ "x-amz-checksum-crc32c", (const char *)rq.crc.p },
		{ "content-md5", (const char *)rq.md5.p },
	};
	const struct backend_s3_call c = {
		.what = { "delete", keys[0] },
		.right = "s3:DeleteObject",
		.method = NET_POST,
		.query = "delete=",
		.headers = h,
		.nheaders = rq.md5.len > 1 ? 3 : 2,
		.body = rq.body.p,
		.body_len = rq.body.len,
		.body_max = ANSWER_MAX,
	};

	if (r == 0)
		r = backend_s3_do(s, &c, &a, err);
	if (r == 0)
		r = a.rs.status == 501 || a.rs.status == 405 ? 1 :
		    judge_many(s, &c, &a, err);
	backend_http_answer_release(&a);
	buf_release(&rq.body);
	buf_release(&rq.md5);
	buf_release(&rq.crc);
	return r;
}

int backend_s3_del_many(struct backend *be, const char *const *keys, size_t n,
    struct err *err)
{
	struct backend_s3 *s = (struct backend_s3 *)be;
	const struct backend_http_what w = { "delete", keys[0] };

	if (backend_s3_writable(s, &w, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i += DELETE_MAX) {
		size_t some = n - i < DELETE_MAX ? n - i : DELETE_MAX;
		int r = 1;

		if (!atomic_load(&s->no_delete_many))
			r = delete_some(s, keys + i, some, err);
		if (r < 0)
			return -1;
		if (r == 0)
			continue;
		atomic_store(&s->no_delete_many, true);
		for (size_t k = 0; k < some; k++)
			if (backend_s3_del(be, keys[i + k], err) < 0)
				return -1;
	}
	return 0;
}
