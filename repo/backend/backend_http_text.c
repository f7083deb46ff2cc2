/* Texts of stores that are reached by HTTP: their URLs and times. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/backend/backend_http.h"
#include "repo/base/mem.h"

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Return ns for a time of day and date, or -1 when there is no such one. */
static int64_t ns_of(struct tm *tm)
{
	struct tm given = *tm;
	time_t t = timegm(tm);

	/*
	 * 64 bits of ns end in 2262, and timegm makes the 3rd of March of a
	 * 31st of February.
	 */
	if (given.tm_year < 70 || given.tm_year > 300 || given.tm_mday != tm->tm_mday ||
	    given.tm_mon != tm->tm_mon ||
	    given.tm_hour != tm->tm_hour || given.tm_min != tm->tm_min)
		return -1;
	return (int64_t)t * 1000000000;
}

int64_t backend_http_time(const char *s)
{
	struct tm tm = { .tm_isdst = 0 };
	char month[4] = "", tail[4] = "";
	const char *m;
	int n = 0;

	if (sscanf(s, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d %3[A-Z]%n",
	        &tm.tm_mday, month, &tm.tm_year, &tm.tm_hour, &tm.tm_min,
	        &tm.tm_sec, tail, &n) == 7 && s[n] == '\0') {
		m = strstr(months, month);
		if (strcmp(tail, "GMT") != 0 || strlen(month) != 3 ||
		    m == NULL || (m - months) % 3 != 0)
			return -1;
		tm.tm_mon = (int)(m - months) / 3;
		tm.tm_year -= 1900;
		return ns_of(&tm);
	}
	n = 0;
	if (sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon,
	        &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6)
		return -1;
	s += n;
	if (*s == '.')
		s += 1 + strspn(s + 1, "0123456789");
	if (strcmp(s, "Z") != 0)
		return -1;
	tm.tm_mon--;
	tm.tm_year -= 1900;
	return ns_of(&tm);
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int backend_http_unescape(char *s, bool plus)
{
	char *to = s;

	for (; *s != '\0'; s++) {
		if (*s == '+' && plus) {
			*to++ = ' ';
			continue;
		}
		if (*s != '%') {
			*to++ = *s;
			continue;
		}

		int high = hex_digit(s[1]);
		int low = high < 0 ? -1 : hex_digit(s[2]);

		if (low < 0 || high + low == 0)
			return -1;
		*to++ = (char)(high << 4 | low);
		s += 2;
	}
	*to = '\0';
	return 0;
}

/* Copy a part of a URL and decode it.  NULL with err. */
static char *part(const char *p, size_t len, struct err *err)
{
	char *s = mem_memdup0(p, len, err);

	if (s != NULL && backend_http_unescape(s, false) < 0) {
		err_set(err, ERR_USAGE, "the URL of the store has a '%%' that "
		    "is not followed by two hexadecimal digits");
		free(s);
		return NULL;
	}
	return s;
}

static int parse_params(const char *s, struct backend_http_url *u,
    struct err *err)
{
	size_t n = 1;

	for (const char *p = s; *p != '\0'; p++)
		n += *p == '&';
	u->params = mem_array(n, sizeof(*u->params), "a URL", err);
	if (u->params == NULL)
		return -1;
	while (*s != '\0') {
		struct backend_http_param *p = &u->params[u->nparams];
		size_t len = strcspn(s, "&"), name = strcspn(s, "=&");

		if (name == 0 || name == len)
			return err_set(err, ERR_USAGE, "after the '?' of the "
			    "store's URL come NAME=VALUE, joined by '&'");
		p->name = part(s, name, err);
		if (p->name == NULL)
			return -1;
		if (backend_http_param(u, p->name) != NULL) {
			err_set(err, ERR_USAGE, "the URL of the store says "
			    "%s twice", p->name);
			free(p->name);
			return -1;
		}
		p->value = part(s + name + 1, len - name - 1, err);
		if (p->value == NULL) {
			free(p->name);
			return -1;
		}
		u->nparams++;
		s += len;
		s += *s == '&';
	}
	return 0;
}

int backend_http_url_parse(const char *url, struct backend_http_url *ret,
    struct err *err)
{
	const char *s = url + strcspn(url, ":");

	memset(ret, 0, sizeof(*ret));
	s += *s == ':';
	if (strncmp(s, "//", 2) == 0)
		s += 2;

	size_t name = strcspn(s, "/?#"), path = strcspn(s, "?#");

	/* A key may hold a '/', so what is before the '@' may be cut, too. */
	if (memchr(s, '@', name) != NULL || memchr(s, ':', name) != NULL)
		return err_set(err, ERR_USAGE, "the URL of a store holds no "
		    "credentials and no port (give them in the environment or "
		    "a profile; a server of your own by endpoint=URL)");
	if (strchr(s, '#') != NULL)
		return err_set(err, ERR_USAGE, "the URL of the store has a "
		    "'#'; write %%23");
	if (name == 0)
		return err_set(err, ERR_USAGE,
		    "the URL of the store names none");
	ret->name = part(s, name, err);

	const char *rest = s + name;
	size_t len = path - name;

	for (; len > 0 && *rest == '/'; rest++)
		len--;
	while (len > 0 && rest[len - 1] == '/')
		len--;
	if (ret->name != NULL)
		ret->rest = part(rest, len, err);
	if (ret->rest == NULL ||
	    (s[path] == '?' && parse_params(s + path + 1, ret, err) < 0)) {
		backend_http_url_release(ret);
		return -1;
	}
	return 0;
}

void backend_http_url_release(struct backend_http_url *u)
{
	for (size_t i = 0; i < u->nparams; i++) {
		free(u->params[i].name);
		free(u->params[i].value);
	}
	free(u->params);
	free(u->name);
	free(u->rest);
	memset(u, 0, sizeof(*u));
}

const char *backend_http_param(const struct backend_http_url *u,
    const char *name)
{
	for (size_t i = 0; i < u->nparams; i++)
		if (strcmp(u->params[i].name, name) == 0)
			return u->params[i].value;
	return NULL;
}

int backend_http_params_known(const struct backend_http_url *u,
    const char *const *known, struct err *err)
{
	char list[256] = "";

	for (size_t i = 0; i < u->nparams; i++) {
		const char *const *k = known;

		while (*k != NULL && strcmp(*k, u->params[i].name) != 0)
			k++;
		if (*k != NULL)
			continue;
		for (k = known; *k != NULL; k++) {
			size_t n = strlen(list);

			snprintf(list + n, sizeof(list) - n, "%s%s",
			    n > 0 ? ", " : "", *k);
		}
		return err_set(err, ERR_USAGE, "the URL of the store says "
		    "%.40s, which is none of %s", u->params[i].name, list);
	}
	return 0;
}
