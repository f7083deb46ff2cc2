/* AWS Signature Version 4. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/backend/backend_http.h"
#include "repo/backend/backend_sigv4.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

#define MAX_HEADERS 32

#define ALGORITHM "AWS4-HMAC-SHA256"

/* The key of a day, region and service, and what it was made from, hashed. */
struct day_key {
	uint8_t tag[32];
	uint8_t key[CRYPTO_KEY_LEN];
};

struct backend_sigv4 {
	pthread_mutex_t lock;
	struct day_key *day; /* in secret memory */
};

struct backend_sigv4 *backend_sigv4_new(struct err *err)
{
	struct backend_sigv4 *s = mem_zalloc(sizeof(*s), "a signer", err);

	if (s == NULL)
		return NULL;
	s->day = crypto_secret_new(sizeof(*s->day), err);
	if (s->day == NULL) {
		free(s);
		return NULL;
	}
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void backend_sigv4_free(struct backend_sigv4 *s)
{
	if (s == NULL)
		return;
	pthread_mutex_destroy(&s->lock);
	crypto_secret_free(s->day);
	free(s);
}

void backend_sigv4_date(char dst[BACKEND_SIGV4_DATE], int64_t t_ns)
{
	time_t t = (time_t)(t_ns / 1000000000);
	struct tm tm = { 0 };

	gmtime_r(&t, &tm);
	if (strftime(dst, BACKEND_SIGV4_DATE, "%Y%m%dT%H%M%SZ", &tm) == 0)
		dst[0] = '\0';
}

/* --- the query ---------------------------------------------------------------*/

struct param {
	char *name, *value;
};

static int param_compare(const void *a, const void *b)
{
	const struct param *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c != 0 ? c : strcmp(x->value, y->value);
}

/* Return the text encoded as the canonical form wants it; NULL with err. */
static char *recode(const char *p, size_t len, struct err *err)
{
	CLEANUP_FREE char *plain = mem_memdup0(p, len, err);
	struct buf b = BUF_INIT;

	if (plain == NULL)
		return NULL;
	/* What is no escape is taken as it is. */
	if (memchr(plain, '%', len) == NULL ||
	    backend_http_unescape(plain, false) == 0)
		net_escape(&b, plain, false);
	else
		buf_add(&b, p, len);
	buf_u8(&b, 0);
	if (buf_check(&b, "a signature", err) < 0) {
		buf_release(&b);
		return NULL;
	}
	return (char *)b.p;
}

static void params_free(struct param *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].name);
		free(v[i].value);
	}
	free(v);
}

static int add_query(struct buf *dst, const char *query, struct err *err)
{
	size_t n = 0, cap = 1;
	struct param *v;
	int r = 0;

	for (const char *p = query; *p != '\0'; p++)
		cap += *p == '&';
	v = mem_array(cap, sizeof(*v), "a signature", err);
	if (v == NULL)
		return -1;
	while (*query != '\0' && r == 0) {
		size_t len = strcspn(query, "&"), name = strcspn(query, "=&");
		size_t skip = name < len ? name + 1 : name;

		if (len > 0) {
			v[n].name = recode(query, name, err);
			v[n].value = recode(query + skip, len - skip, err);
			r = v[n].name == NULL || v[n].value == NULL ? -1 : 0;
			n++;
		}
		query += len;
		query += *query == '&';
	}
	if (r == 0)
		qsort(v, n, sizeof(*v), param_compare);
	for (size_t i = 0; i < n && r == 0; i++)
		buf_printf(dst, "%s%s=%s", i > 0 ? "&" : "", v[i].name,
		    v[i].value);
	params_free(v, n);
	return r;
}

/* --- the headers -----------------------------------------------------------*/

/* Append a value without spaces at its ends, and one for several within. */
static void add_value(struct buf *dst, const char *s)
{
	s += strspn(s, " \t");
	while (*s != '\0') {
		size_t word = strcspn(s, " \t");

		buf_add(dst, s, word);
		s += word;
		s += strspn(s, " \t");
		if (*s != '\0')
			buf_u8(dst, ' ');
	}
}

/* Sort pointers to the headers; those of one name stay in their order. */
static size_t sort_headers(const struct backend_sigv4_request *rq,
    const struct net_header *sorted[MAX_HEADERS])
{
	for (size_t i = 0; i < rq->nheaders; i++) {
		const struct net_header *h = &rq->headers[i];
		size_t at = i;

		for (; at > 0 && strcmp(sorted[at - 1]->name, h->name) > 0;
		     at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = h;
	}
	return rq->nheaders;
}

static void add_signed_names(struct buf *dst,
    const struct backend_sigv4_request *rq)
{
	const struct net_header *sorted[MAX_HEADERS];
	size_t n = sort_headers(rq, sorted);

	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(sorted[i - 1]->name, sorted[i]->name))
			buf_printf(dst, "%s%s", i > 0 ? ";" : "",
			    sorted[i]->name);
}

static void add_headers(struct buf *dst,
    const struct backend_sigv4_request *rq)
{
	const struct net_header *sorted[MAX_HEADERS];
	size_t n = sort_headers(rq, sorted);

	for (size_t i = 0; i < n; i++) {
		if (i > 0 && strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
			buf_str(dst, ",");
		else
			buf_printf(dst, "%s%s:", i > 0 ? "\n" : "",
			    sorted[i]->name);
		add_value(dst, sorted[i]->value);
	}
	buf_str(dst, "\n");
}

int backend_sigv4_canonical(struct buf *dst,
    const struct backend_sigv4_request *rq, struct err *err)
{
	if (rq->nheaders > MAX_HEADERS)
		return err_set(err, ERR_BUG, "%zu headers to be signed",
		    rq->nheaders);
	buf_printf(dst, "%s\n%s\n", rq->method, rq->path);
	if (rq->query != NULL && add_query(dst, rq->query, err) < 0)
		return -1;
	buf_str(dst, "\n");
	add_headers(dst, rq);
	buf_str(dst, "\n");
	add_signed_names(dst, rq);
	buf_printf(dst, "\n%s", rq->payload);
	return buf_check(dst, "a signature", err);
}

/* --- the signature -------------------------------------------------------------*/

/* The day, region and service that a key is good for. */
static void add_scope(struct buf *dst, const struct backend_sigv4_request *rq)
{
	buf_printf(dst, "%.8s/%s/%s/aws4_request", rq->date, rq->region,
	    rq->service);
}

static void derive(uint8_t key[CRYPTO_KEY_LEN], const char *secret, size_t len,
    const struct backend_sigv4_request *rq)
{
	crypto_hmac_any(key, secret, len, rq->date, 8);
	crypto_hmac(key, key, rq->region, strlen(rq->region));
	crypto_hmac(key, key, rq->service, strlen(rq->service));
	crypto_hmac(key, key, "aws4_request", 12);
}

/* mac = the signature of text by the key of the day, made when it is another. */
static int sign(struct backend_sigv4 *s, uint8_t mac[32],
    const struct backend_sigv4_request *rq, const struct buf *text,
    struct err *err)
{
	struct buf from = BUF_INIT;
	uint8_t tag[32];
	size_t len;

	/* All at once: growing would leave copies of the secret behind. */
	buf_reserve(&from, strlen(rq->secret_key) + strlen(rq->region) +
	    strlen(rq->service) + 64);
	buf_printf(&from, "AWS4%s", rq->secret_key);
	len = from.len;
	add_scope(&from, rq);
	if (buf_check(&from, "a signature", err) < 0) {
		buf_release(&from);
		return -1;
	}
	crypto_sha256(tag, from.p, from.len);
	pthread_mutex_lock(&s->lock);
	if (memcmp(tag, s->day->tag, sizeof(tag)) != 0) {
		derive(s->day->key, (const char *)from.p, len, rq);
		memcpy(s->day->tag, tag, sizeof(tag));
	}
	crypto_hmac(mac, s->day->key, text->p, text->len);
	pthread_mutex_unlock(&s->lock);
	mem_wipe(from.p, from.len);
	buf_release(&from);
	return 0;
}

int backend_sigv4_sign(struct backend_sigv4 *s, struct buf *dst,
    const struct backend_sigv4_request *rq, struct err *err)
{
	struct buf canonical = BUF_INIT, text = BUF_INIT;
	uint8_t sum[32];
	char hex[65];
	int r = backend_sigv4_canonical(&canonical, rq, err);

	if (r == 0) {
		crypto_sha256(sum, canonical.p, canonical.len);
		hex_encode(hex, sum, sizeof(sum));
		buf_printf(&text, ALGORITHM "\n%s\n", rq->date);
		add_scope(&text, rq);
		buf_printf(&text, "\n%s", hex);
		r = buf_check(&text, "a signature", err);
	}
	if (r == 0)
		r = sign(s, sum, rq, &text, err);
	if (r == 0) {
		hex_encode(hex, sum, sizeof(sum));
		buf_printf(dst, ALGORITHM " Credential=%s/", rq->access_key);
		add_scope(dst, rq);
		buf_str(dst, ", SignedHeaders=");
		add_signed_names(dst, rq);
		buf_printf(dst, ", Signature=%s", hex);
		r = buf_check(dst, "a signature", err);
	}
	buf_release(&canonical);
	buf_release(&text);
	return r;
}
