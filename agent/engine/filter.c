#include <stdlib.h>
#include <string.h>

#include "agent/engine/engine.h"
#include "repo/base/mem.h"

struct pattern {
	char *text;      /* without "!", and slashes at either end */
	bool negated, dirs_only, anchored;
};

struct engine_filter {
	struct pattern *v;
	size_t n, cap;
};

struct engine_filter *engine_filter_new(struct err *err)
{
	return mem_zalloc(sizeof(struct engine_filter), "a filter", err);
}

void engine_filter_free(struct engine_filter *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->n; i++)
		free(f->v[i].text);
	free(f->v);
	free(f);
}

/* Length of line without the spaces at its end that no backslash keeps. */
static size_t trimmed(const char *line)
{
	size_t n = strcspn(line, "\r\n");

	while (n > 0 && line[n - 1] == ' ' && !(n > 1 && line[n - 2] == '\\'))
		n--;
	return n;
}

int engine_filter_add(struct engine_filter *f, const char *line, struct err *err)
{
	struct pattern p = { 0 };
	size_t n = trimmed(line);

	if (n == 0 || line[0] == '#')
		return 0;
	if (line[0] == '!') {
		p.negated = true;
		line++;
		n--;
	}
	if (n > 0 && line[n - 1] == '/') {
		p.dirs_only = true;
		n--;
	}
	p.anchored = memchr(line, '/', n) != NULL;
	if (n > 0 && line[0] == '/') {
		line++;
		n--;
	}
	if (n == 0)
		return err_set(err, ERR_USAGE, "an empty pattern");
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 16;
		struct pattern *v = realloc(f->v, cap * sizeof(*v));

		if (v == NULL)
			return err_nomem(err, "a filter");
		f->v = v;
		f->cap = cap;
	}
	p.text = mem_memdup0(line, n, err);
	if (p.text == NULL)
		return -1;
	f->v[f->n++] = p;
	return 0;
}

/*
 * Match one bracket expression.  *pp stands behind "[" and is moved behind
 * "]".  1: c is in it, 0: it is not, -1: it never ends and is no bracket.
 */
static int match_class(const char **pp, unsigned char c)
{
	const char *p = *pp;
	bool negated = *p == '!' || *p == '^', hit = false;

	p += negated;
	for (bool first = true; *p != ']' || first; first = false) {
		if (*p == '\0')
			return -1;
		if (*p == '\\' && p[1] != '\0')
			p++;

		unsigned char lo = (unsigned char)*p++, hi = lo;

		if (*p == '-' && p[1] != ']' && p[1] != '\0') {
			p++;
			if (*p == '\\' && p[1] != '\0')
				p++;
			hi = (unsigned char)*p++;
		}
		hit = hit || (c >= lo && c <= hi);
	}
	*pp = p + 1;
	return c != '/' && hit != negated;
}

/*
 * Match s against p, whole.  A star takes what it can and gives back from the
 * last one only, so the time is at most the product of the lengths; "**"
 * comes back like a star that also takes slashes.
 */
static bool match(const char *p, const char *s)
{
	const char *star_p = NULL, *star_s = NULL;   /* last "*" */
	const char *deep_p = NULL, *deep_s = NULL;   /* last "**" */

	for (;;) {
		if (p[0] == '*' && p[1] == '*') {
			p += 2;
			/* Between slashes it also stands for no directory at all. */
			if (*p == '/')
				p++;
			deep_p = p;
			deep_s = s;
			star_p = NULL;
			if (*p == '\0')
				return true;
			continue;
		}
		if (*p == '*') {
			star_p = ++p;
			star_s = s;
			continue;
		}
		if (*s == '\0' && *p == '\0')
			return true;
		if (*s != '\0') {
			const char *q = p;
			bool ok = false;

			if (*p == '?') {
				ok = *s != '/';
				q++;
			} else if (*p == '[') {
				q++;
				int r = match_class(&q, (unsigned char)*s);

				ok = r < 0 ? *s == '[' : r > 0;
				if (r < 0)
					q = p + 1;
			} else if (*p != '\0') {
				q += *p == '\\' && p[1] != '\0';
				ok = *q == *s;
				q++;
			}
			if (ok) {
				p = q;
				s++;
				continue;
			}
		}
		if (star_p != NULL && *star_s != '\0' && *star_s != '/') {
			p = star_p;
			s = ++star_s;
			continue;
		}
		/* "**" takes whole components. */
		if (deep_p == NULL || (deep_s = strchr(deep_s, '/')) == NULL)
			return false;
		p = deep_p;
		s = ++deep_s;
		star_p = NULL;
	}
}

int engine_filter_match(const struct engine_filter *f, const char *path, bool is_dir)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	for (size_t i = f->n; i-- > 0;) {
		const struct pattern *p = &f->v[i];

		if (p->dirs_only && !is_dir)
			continue;
		if (match(p->text, p->anchored ? path : name))
			return p->negated ? -1 : 1;
	}
	return 0;
}
