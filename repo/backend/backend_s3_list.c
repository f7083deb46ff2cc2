/* Listings of S3. */
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_internal.h"
#include "repo/backend/backend_s3_internal.h"
#include "repo/backend/backend_xml.h"
#include "repo/base/mem.h"

/* A page of 1000 keys has some 400 KiB. */
#define PAGE_MAX ((size_t)8 << 20)

#define TOKEN_MAX 4096

/* --- one page ------------------------------------------------------------------*/

struct entry {
	size_t key; /* into names, as it is in the page */
	struct backend_stat st;
};

struct page {
	struct buf names;   /* NUL-terminated */
	struct buf entries; /* struct entry */
	size_t key;         /* of the entry being read; SIZE_MAX: none */
	struct backend_stat st;
	bool sized, timed, escaped, truncated;
	char token[TOKEN_MAX];
};

static void page_reset(struct page *p)
{
	buf_reset(&p->names);
	buf_reset(&p->entries);
	p->key = SIZE_MAX;
	p->sized = p->timed = p->escaped = p->truncated = false;
	p->token[0] = '\0';
}

static void page_release(struct page *p)
{
	buf_release(&p->names);
	buf_release(&p->entries);
}

static int end_of_entry(struct page *p, struct err *err)
{
	struct entry e = { p->key, p->st };

	if (p->key == SIZE_MAX || !p->sized || !p->timed)
		return err_set(err, ERR_CORRUPT, "an object without key, size "
		    "or time in a listing");
	buf_add(&p->entries, &e, sizeof(e));
	p->key = SIZE_MAX;
	p->sized = p->timed = false;
	return 0;
}

static int in_contents(struct page *p, const char *name, const char *text,
    struct err *err)
{
	char *end = NULL;

	if (strcmp(name, "Key") == 0) {
		p->key = p->names.len;
		buf_add(&p->names, text, strlen(text) + 1);
	} else if (strcmp(name, "Size") == 0) {
		p->st.size = strtoull(text, &end, 10);
		p->sized = text[0] >= '0' && text[0] <= '9' && *end == '\0';
	} else if (strcmp(name, "LastModified") == 0) {
		p->st.mtime_ns = backend_http_time(text);
		p->timed = p->st.mtime_ns >= 0;
	}
	return buf_check(&p->names, "a listing", err);
}

static int on_element(void *ctx, const char *path, const char *text,
    struct err *err)
{
	static const char root[] = "ListBucketResult/", in[] = "Contents/";
	struct page *p = ctx;

	if (strncmp(path, root, sizeof(root) - 1) != 0)
		return strcmp(path, "ListBucketResult") == 0 ? 0 :
		    strchr(path, '/') != NULL ? 0 :
		    err_set(err, ERR_CORRUPT, "a listing that is none");
	path += sizeof(root) - 1;
	if (strncmp(path, in, sizeof(in) - 1) == 0)
		return in_contents(p, path + sizeof(in) - 1, text, err);
	if (strcmp(path, "Contents") == 0)
		return end_of_entry(p, err);
	if (strcmp(path, "EncodingType") == 0)
		p->escaped = strcmp(text, "url") == 0;
	else if (strcmp(path, "IsTruncated") == 0)
		p->truncated = strcmp(text, "true") == 0;
	else if (strcmp(path, "NextContinuationToken") == 0) {
		if (strlen(text) >= TOKEN_MAX)
			return err_set(err, ERR_CORRUPT,
			    "a listing's token is too long");
		memcpy(p->token, text, strlen(text) + 1);
	}
	return 0;
}

/* --- the listing ---------------------------------------------------------------*/

struct listing {
	struct backend_s3 *s;
	struct backend_http_what what;
	const char *prefix;
	struct page page;
	char token[TOKEN_MAX]; /* that the page was asked with */
	char last[BACKEND_KEY_MAX + 1];
};

static int fetch_page(struct listing *l, struct err *err)
{
	struct backend_http_answer a = { .code = "" };
	struct buf q = BUF_INIT;
	struct backend_s3_call c = {
		.what = l->what,
		.right = "s3:ListBucket",
		.method = NET_GET,
		.body_max = PAGE_MAX,
	};
	int r;

	if (l->token[0] != '\0') {
		buf_str(&q, "continuation-token=");
		net_escape(&q, l->token, false);
		buf_str(&q, "&");
	}
	buf_str(&q, "encoding-type=url&list-type=2&prefix=");
	net_escape(&q, l->s->prefix, false);
	net_escape(&q, l->prefix, false);
	buf_u8(&q, 0);
	r = buf_check(&q, "a URL", err);
	c.query = (const char *)q.p;
	if (r == 0)
		r = backend_s3_do(l->s, &c, &a, err);
	buf_release(&q);
	if (r == 0 && !backend_http_ok(&a))
		r = backend_s3_fail(l->s, &c, &a, err);
	else if (r == 0) {
		page_reset(&l->page);
		r = backend_xml_read(a.rs.body.p, a.rs.body.len, on_element,
		    &l->page, err);
		if (r == 0)
			r = buf_check(&l->page.entries, "a listing", err);
		if (r < 0)
			err_wrap(err, "%s: %s %s", l->s->be.name,
			    l->what.verb, l->prefix);
	}
	backend_http_answer_release(&a);
	return r;
}

/* Give one key to fn, when it is one of ours. */
static int give(struct listing *l, const struct entry *e, backend_list_fn *fn,
    void *ctx, struct err *err)
{
	char *key = (char *)l->page.names.p + e->key;
	size_t n = strlen(l->s->prefix);

	if (l->page.escaped && backend_http_unescape(key, true) < 0)
		return 0;
	if (strncmp(key, l->s->prefix, n) != 0)
		return 0;
	key += n;
	if (!backend_key_valid(key) ||
	    strncmp(key, l->prefix, strlen(l->prefix)) != 0)
		return 0;
	/* Going on after a page, and callers, stand on the order. */
	if (strcmp(key, l->last) <= 0)
		return backend_http_error(l->s->http, &l->what,
		    ERR_UNSUPPORTED, err, "the store lists %s after %s, but "
		    "keys must come in their order", key, l->last);
	memcpy(l->last, key, strlen(key) + 1);
	return fn(ctx, key, &e->st, err);
}

static int give_page(struct listing *l, backend_list_fn *fn, void *ctx,
    struct err *err)
{
	size_t n = l->page.entries.len / sizeof(struct entry);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct entry e;

		memcpy(&e, l->page.entries.p + i * sizeof(e), sizeof(e));
		r = give(l, &e, fn, ctx, err);
	}
	return r;
}

static int list_pages(struct listing *l, backend_list_fn *fn, void *ctx,
    struct err *err)
{
	for (;;) {
		int r = fetch_page(l, err);

		if (r == 0)
			r = give_page(l, fn, ctx, err);
		if (r != 0 || !l->page.truncated)
			return r;
		if (l->page.token[0] == '\0' ||
		    strcmp(l->page.token, l->token) == 0)
			return backend_http_error(l->s->http, &l->what,
			    ERR_CORRUPT, err, "a listing that is cut off does "
			    "not say where it goes on");
		memcpy(l->token, l->page.token, sizeof(l->token));
	}
}

int backend_s3_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct listing *l = mem_zalloc(sizeof(*l), "a listing", err);
	int r;

	if (l == NULL)
		return -1;
	l->s = (struct backend_s3 *)be;
	l->what = (struct backend_http_what){ "list", prefix };
	l->prefix = prefix;
	r = list_pages(l, fn, ctx, err);
	page_release(&l->page);
	free(l);
	return r;
}
