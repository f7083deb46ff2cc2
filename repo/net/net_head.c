#include <string.h>
#include <strings.h>

#include "repo/base/clock.h"
#include "repo/base/mem.h"
#include "repo/net/net_internal.h"

#define SEC INT64_C(1000000000)
#define RETRY_MOST_S 86400u

/* Parse "HTTP/x[.y] NNN[ ...]".  Return the status, or 0. */
static int status_of(const char *s, size_t len)
{
	const char *sp = memchr(s, ' ', len);

	if (sp == NULL || (size_t)(s + len - sp) < 4)
		return 0;

	int v = 0;

	for (int i = 1; i <= 3; i++) {
		if (sp[i] < '0' || sp[i] > '9')
			return 0;
		v = v * 10 + (sp[i] - '0');
	}
	if ((size_t)(s + len - sp) > 4 && sp[4] >= '0' && sp[4] <= '9')
		return 0;
	return v >= 100 && v <= 599 ? v : 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool name_is(const char *s, size_t len, const char *name)
{
	return strlen(name) == len && strncasecmp(s, name, len) == 0;
}

/* ns since 1970 of a date, of which there are three forms; 0: none. */
static int64_t date_of(const char *s, size_t len)
{
	char text[64];

	if (len == 0 || len >= sizeof(text))
		return 0;
	memcpy(text, s, len);
	text[len] = '\0';

	time_t t = curl_getdate(text, NULL);

	return t > 0 && t < INT64_MAX / SEC ? (int64_t)t * SEC : 0;
}

/* Seconds, or a date that net_head_finish sets against the answer's own. */
static void take_retry(struct net_head *h, const char *s, size_t len)
{
	unsigned v = 0;

	h->retry_is_date = false;
	h->rs->retry_after_s = 0;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9') {
			h->retry_ns = date_of(s, len);
			h->retry_is_date = h->retry_ns != 0;
			return;
		}
		v = v * 10 + (unsigned)(s[i] - '0');
		if (v > RETRY_MOST_S)
			v = RETRY_MOST_S;
	}
	h->rs->retry_after_s = v;
}

/*
 * libcurl would take a length that is too long for a number for none at all,
 * and of two the last; then a body that was cut off could be taken for whole.
 */
static int take_length(struct net_head *h, const char *s, size_t len,
    struct err *err)
{
	int64_t v = 0;

	if (len == 0 || len > 18)
		goto bad;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			goto bad;
		v = v * 10 + (s[i] - '0');
	}
	if (h->has_length && h->length != v)
		goto bad;
	h->has_length = true;
	h->length = v;
	return 0;
bad:
	return err_set(err, ERR_CORRUPT,
	    "the answer's Content-Length is no length, or says two things");
}

static int take_known(struct net_head *h, const char *name, size_t nname,
    const char *value, size_t nvalue, struct err *err)
{
	if (h->complete)
		return 0;
	if (name_is(name, nname, "content-length"))
		return take_length(h, value, nvalue, err);
	if (name_is(name, nname, "date"))
		h->rs->date_ns = date_of(value, nvalue);
	else if (name_is(name, nname, "retry-after"))
		take_retry(h, value, nvalue);
	return 0;
}

static void begin(struct net_head *h, int status)
{
	h->rs->status = status;
	h->rs->date_ns = 0;
	h->rs->retry_after_s = 0;
	h->retry_is_date = false;
	h->has_length = false;
	buf_reset(&h->rs->headers);
}

/* A line that goes on with the value of the one before. */
static void unfold(struct buf *b, const char *s, size_t len)
{
	if (b->len == 0 || b->failed)
		return;
	b->len--; /* the NUL */
	if (len > 0 && b->len > 0 && b->p[b->len - 1] != '\0')
		buf_u8(b, ' ');
	buf_add(b, s, len);
	buf_u8(b, 0);
}

static int add(struct net_head *h, const char *name, size_t nname,
    const char *value, size_t nvalue, struct err *err)
{
	struct buf *b = &h->rs->headers;

	for (size_t i = 0; i < nname; i++)
		buf_u8(b, (uint8_t)(name[i] >= 'A' && name[i] <= 'Z' ?
		    name[i] + ('a' - 'A') : name[i]));
	buf_u8(b, 0);
	buf_add(b, value, nvalue);
	buf_u8(b, 0);
	return take_known(h, name, nname, value, nvalue, err);
}

static int take_field(struct net_head *h, const char *s, size_t len,
    struct err *err)
{
	const char *end = s + len, *colon = memchr(s, ':', len);
	bool folded = is_space(s[0]);

	/* What is no field is passed over, as others do. */
	if (!folded && (colon == NULL || colon == s))
		return 0;

	const char *name_end = colon, *value = folded ? s : colon + 1;

	while (!folded && name_end > s && is_space(name_end[-1]))
		name_end--;
	while (value < end && is_space(*value))
		value++;
	while (end > value && is_space(end[-1]))
		end--;
	if (h->rs->headers.len + len + 2 > NET_HEADERS_MAX)
		return err_set(err, ERR_CORRUPT,
		    "the answer has more than %u KiB of headers",
		    NET_HEADERS_MAX >> 10);
	if (folded)
		unfold(&h->rs->headers, value, (size_t)(end - value));
	else if (add(h, s, (size_t)(name_end - s), value,
	    (size_t)(end - value), err) < 0)
		return -1;
	return buf_check(&h->rs->headers, "an answer's headers", err);
}

int net_head_line(struct net_head *h, const char *line, size_t len,
    struct err *err)
{
	const char *nul = memchr(line, '\0', len);

	if (nul != NULL)
		len = (size_t)(nul - line);
	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	if (len == 0) {
		/* An empty line ends the head; those of 1xx do not count. */
		if (h->rs->status >= 200)
			h->complete = true;
		return 0;
	}
	if (!h->complete && len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		int status = status_of(line, len);

		if (status == 0)
			return err_set(err, ERR_CORRUPT,
			    "the answer does not begin as HTTP does");
		begin(h, status);
		return 0;
	}
	return take_field(h, line, len, err);
}

void net_head_finish(struct net_head *h)
{
	if (!h->retry_is_date)
		return;

	int64_t now = h->rs->date_ns ? h->rs->date_ns : clock_real_ns();
	int64_t s = (h->retry_ns - now + SEC - 1) / SEC;

	if (s > (int64_t)RETRY_MOST_S)
		s = RETRY_MOST_S;
	h->rs->retry_after_s = s > 0 ? (unsigned)s : 0;
}

const char *net_header(const struct net_response *rs, const char *name)
{
	const char *p = (const char *)rs->headers.p;

	if (p == NULL)
		return NULL;

	const char *end = p + rs->headers.len;

	while (p < end) {
		const char *value = p + strlen(p) + 1;

		if (strcmp(p, name) == 0)
			return value;
		p = value + strlen(value) + 1;
	}
	return NULL;
}

void net_response_release(struct net_response *rs)
{
	/* There may be credentials in it: STS and metadata answer with them. */
	if (rs->body.p != NULL)
		mem_wipe(rs->body.p, rs->body.cap);
	buf_release(&rs->body);
	buf_release(&rs->headers);
	*rs = (struct net_response){ 0 };
}
