#include <stdlib.h>
#include <string.h>

#include "repo/archive/archive_internal.h"
#include "repo/base/mem.h"

int archive_name_cmp(const struct archive_comp *a, const struct archive_comp *b)
{
	return fmt_name_cmp(a, b);
}

bool archive_name_eq(const struct archive_comp *a, const struct archive_comp *b)
{
	return a->h == b->h && a->len == b->len &&
	    (a->len == 0 || memcmp(a->name, b->name, a->len) == 0);
}

int archive_path_cmp(const struct archive_path *a, const struct archive_path *b)
{
	size_t n = a->n < b->n ? a->n : b->n;

	for (size_t i = 0; i < n; i++) {
		if (!archive_name_eq(&a->c[i], &b->c[i]))
			return archive_name_cmp(&a->c[i], &b->c[i]);
	}
	return (a->n > b->n) - (a->n < b->n);
}

size_t archive_path_common(const struct archive_path *a,
    const struct archive_path *b)
{
	size_t n = a->n < b->n ? a->n : b->n;
	size_t i = 0;

	while (i < n && archive_name_eq(&a->c[i], &b->c[i]))
		i++;
	return i;
}

/* --- a path that owns its names --------------------------------------------*/

static int more_text(struct archive_pathbuf *p, size_t len, struct err *err)
{
	size_t cap = p->text_cap ? p->text_cap : 256;
	char *text;
	size_t off = 0;

	while (cap - p->text_len < len)
		cap *= 2;
	if (cap == p->text_cap)
		return 0;
	text = realloc(p->text, cap);
	if (text == NULL)
		return err_nomem(err, "a path");
	/* The names lie behind each other: point at them again. */
	for (size_t i = 0; i < p->n; i++) {
		p->c[i].name = text + off;
		off += p->c[i].len;
	}
	p->text = text;
	p->text_cap = cap;
	return 0;
}

int archive_pathbuf_push(struct archive_pathbuf *p, const char *name, size_t len,
    uint64_t h, struct err *err)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 16;
		struct archive_comp *c = reallocarray(p->c, cap, sizeof(*c));

		if (c == NULL)
			return err_nomem(err, "a path");
		p->c = c;
		p->cap = cap;
	}
	if (more_text(p, len, err) < 0)
		return -1;
	if (len > 0)
		memcpy(p->text + p->text_len, name, len);
	p->c[p->n++] = (struct archive_comp){
		.name = p->text + p->text_len, .len = len, .h = h,
	};
	p->text_len += len;
	return 0;
}

void archive_pathbuf_cut(struct archive_pathbuf *p, size_t n)
{
	while (p->n > n)
		p->text_len -= p->c[--p->n].len;
}

int archive_pathbuf_set(struct archive_pathbuf *p, size_t kept,
    const struct archive_path *path, struct err *err)
{
	archive_pathbuf_cut(p, kept);
	for (size_t i = kept; i < path->n; i++) {
		if (archive_pathbuf_push(p, path->c[i].name, path->c[i].len,
		    path->c[i].h, err) < 0)
			return -1;
	}
	return 0;
}

struct archive_path archive_pathbuf_path(const struct archive_pathbuf *p)
{
	return (struct archive_path){ .c = p->c, .n = p->n };
}

void archive_pathbuf_release(struct archive_pathbuf *p)
{
	free(p->c);
	free(p->text);
	*p = (struct archive_pathbuf){ 0 };
}

/* --- paths that people write -------------------------------------------------*/

int archive_path_parse(const uint8_t order_key[32], const char *text, size_t len,
    struct archive_lookup_path *ret, struct err *err)
{
	size_t slashes = 0;

	*ret = (struct archive_lookup_path){ 0 };
	for (size_t i = 0; i < len; i++)
		slashes += text[i] == '/';
	ret->c = mem_array(slashes + 1, sizeof(*ret->c), "a path", err);
	if (ret->c == NULL)
		return -1;
	for (size_t i = 0, end; i < len; i = end + 1) {
		const char *slash = memchr(text + i, '/', len - i);
		size_t n;

		end = slash ? (size_t)(slash - text) : len;
		n = end - i;
		if (n == 0 || (n == 1 && text[i] == '.'))
			continue;
		if (n == 2 && text[i] == '.' && text[i + 1] == '.') {
			archive_path_release(ret);
			return err_set(err, ERR_USAGE,
			    "a path within a snapshot has no '..'");
		}
		ret->c[ret->n++] = (struct archive_comp){
			.name = text + i, .len = n,
			.h = fmt_name_hash(order_key, text + i, n),
		};
	}
	return 0;
}

void archive_path_release(struct archive_lookup_path *p)
{
	free(p->c);
	*p = (struct archive_lookup_path){ 0 };
}
