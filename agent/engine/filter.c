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
	size_t len = strcspn(line, "\r\n"), n = 0;

	for (size_t i = 0; i < len; i++) {
		if (line[i] == ' ')
			continue;
		if (line[i] == '\\' && i + 1 < len)
			i++;
		n = i + 1;
	}
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

/* Is c of the named class?  Bytes above 127 are of none; -1: no such class. */
static int in_class(const char *name, size_t len, unsigned char c)
{
	static const char *const names[] = { "alnum", "alpha", "blank", "cntrl", "digit",
	    "graph", "lower", "print", "punct", "space", "upper", "xdigit" };
	bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
	bool digit = c >= '0' && c <= '9', graph = c > ' ' && c < 127;
	bool alnum = lower || upper || digit;
	const bool is[] = { alnum, lower || upper, c == ' ' || c == '\t', c < 32 || c == 127,
	    digit, graph, lower, graph || c == ' ', graph && !alnum,
	    c == ' ' || (c >= '\t' && c <= '\r'), upper,
	    digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
			return is[i];
	return -1;
}

/*
 * Match one bracket expression.  *pp stands behind "[" and is moved behind
 * "]".  1: c is in it, 0: it is not, -1: it never ends or names an unknown
 * class, and so matches nothing.
 */
static int match_set(const char **pp, unsigned char c)
{
	const char *p = *pp;
	bool negated = *p == '!' || *p == '^', hit = false;

	p += negated;
	for (bool first = true; *p != ']' || first; first = false) {
		const char *end = p[0] == '[' && p[1] == ':' ? strchr(p + 2, ']') : NULL;

		if (*p == '\0')
			return -1;
		if (end != NULL && end[-1] == ':' && end > p + 2) {
			int r = in_class(p + 2, (size_t)(end - p) - 3, c);

			if (r < 0)
				return -1;
			hit = hit || r > 0;
			p = end + 1;
			continue;
		}
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
 * Match the character *s, not NUL, against the first element of p, which is
 * no star.  1 with *ret_next behind the element, 0, -1: the pattern is broken.
 */
static int match_one(const char *p, const char *s, const char **ret_next)
{
	int r;

	switch (*p) {
	case '\0':
		return 0;
	case '?':
		*ret_next = p + 1;
		return *s != '/';
	case '[':
		*ret_next = p + 1;
		return match_set(ret_next, (unsigned char)*s);
	default:
		p += *p == '\\' && p[1] != '\0';
		r = *p == *s;
		*ret_next = p + 1;
		return r;
	}
}

/* Does "**" stand alone between slashes here?  Elsewhere it is one star. */
static bool spans(const char *pattern, const char *p, const char *after)
{
	return after - p > 1 && (p == pattern || p[-1] == '/') &&
	    (*after == '/' || *after == '\0');
}

/*
 * Match s against the pattern, whole.  A star takes what it can and gives back
 * from the last one only, so the time is at most the product of the lengths;
 * "**" comes back like a star that also takes slashes.
 */
static bool match(const char *pattern, const char *s)
{
	const char *p = pattern;
	const char *star_p = NULL, *star_s = NULL;   /* last "*" */
	const char *deep_p = NULL, *deep_s = NULL;   /* last "**" */

	for (;;) {
		const char *next = p + strspn(p, "*");

		if (spans(pattern, p, next)) {
			/* Between slashes it also stands for no directory at all. */
			p = next + (*next == '/');
			if (*next == '\0')
				return true;
			deep_p = p;
			deep_s = s;
			star_p = NULL;
			continue;
		}
		if (next > p) {
			star_p = p = next;
			star_s = s;
			continue;
		}
		if (*s == '\0' && *p == '\0')
			return true;

		int r = *s != '\0' ? match_one(p, s, &next) : 0;

		if (r < 0)
			return false;
		if (r > 0) {
			p = next;
			s++;
			continue;
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
