#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "repo/base/mem.h"
#include "repo/net/net_internal.h"

const char *net_method_name(enum net_method m)
{
	switch (m) {
	case NET_GET: return "GET";
	case NET_HEAD: return "HEAD";
	case NET_PUT: return "PUT";
	case NET_POST: return "POST";
	case NET_DELETE: return "DELETE";
	case NET_PATCH: return "PATCH";
	}
	return "?";
}

static bool is_plain(unsigned char c, bool slash)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	    c == '~' || (slash && c == '/');
}

void net_escape(struct buf *dst, const char *s, bool slash)
{
	static const char digit[] = "0123456789ABCDEF";

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (is_plain(c, slash)) {
			buf_u8(dst, c);
			continue;
		}
		buf_u8(dst, '%');
		buf_u8(dst, (uint8_t)digit[c >> 4]);
		buf_u8(dst, (uint8_t)digit[c & 15]);
	}
}

size_t net_url_shown(const char *url)
{
	return strcspn(url, "?#");
}

/* Where the host begins; NULL: neither http:// nor https://. */
static const char *after_scheme(const char *url, bool *ret_tls)
{
	if (strncasecmp(url, "https://", 8) == 0) {
		*ret_tls = true;
		return url + 8;
	}
	if (strncasecmp(url, "http://", 7) == 0) {
		*ret_tls = false;
		return url + 7;
	}
	return NULL;
}

/*
 * What is wrong with the part between scheme and path, or NULL.  It says
 * nothing of the text itself, for there may be a password in it.
 */
static const char *bad_authority(const char *s, size_t len)
{
	if (memchr(s, '@', len) != NULL)
		return "a URL must not hold a user or a password";
	for (size_t i = 0; i < len; i++)
		if (!is_plain((unsigned char)s[i], false) &&
		    strchr(":[]%", s[i]) == NULL)
			return "the host holds a character that is not allowed";
	if (len == 0 || s[0] == ':')
		return "the URL has no host";
	return NULL;
}

int net_url_check(const char *url, struct err *err)
{
	bool tls;
	const char *s = after_scheme(url, &tls);

	if (s == NULL)
		return err_set(err, ERR_USAGE,
		    "a URL must begin with https:// or http://");

	const char *bad = bad_authority(s, strcspn(s, "/?#"));

	if (bad != NULL)
		return err_set(err, ERR_USAGE, "%s", bad);
	for (const char *p = s; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
			return err_set(err, ERR_USAGE, "the URL %.*s holds a "
			    "character that is not percent-encoded",
			    (int)strcspn(url, "?#\n\r\t"), url);
	return 0;
}

/* Parse ":PORT" or "" of len bytes.  Return 0 or -1. */
static int parse_port(const char *s, size_t len, unsigned *ret_port)
{
	unsigned v = 0;

	*ret_port = 0;
	if (len == 0)
		return 0;
	if (s[0] != ':' || len == 1 || len > 6)
		return -1;
	for (size_t i = 1; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (unsigned)(s[i] - '0');
	}
	if (v == 0 || v > 65535)
		return -1;
	*ret_port = v;
	return 0;
}

/* Parse "HOST[:PORT]" or "[ADDRESS][:PORT]" of len bytes. */
static int parse_authority(const char *s, size_t len, struct net_url *u,
    struct err *err)
{
	const char *end = s + len, *host = s, *port;

	if (s[0] == '[') {
		const char *close = memchr(s, ']', len);

		if (close == NULL || close == s + 1)
			return err_set(err, ERR_USAGE,
			    "an address in [] is not ended, or empty");
		host = s + 1;
		port = close + 1;
		u->host = mem_memdup0(host, (size_t)(close - host), err);
	} else {
		port = memchr(s, ':', len);
		if (port == NULL)
			port = end;
		u->host = mem_memdup0(s, (size_t)(port - s), err);
	}
	if (u->host == NULL)
		return -1;
	if (strpbrk(u->host, s[0] == '[' ? "[]" : "[]%:") != NULL)
		return err_set(err, ERR_USAGE,
		    "the host holds a character that is not allowed");
	if (parse_port(port, (size_t)(end - port), &u->port) < 0)
		return err_set(err, ERR_USAGE, "the port is not one of 1 to "
		    "65535");
	return 0;
}

int net_url_parse(const char *url, struct net_url *ret, struct err *err)
{
	*ret = (struct net_url){ 0 };
	if (net_url_check(url, err) < 0)
		return -1;
	if (url[net_url_shown(url)] != '\0')
		return err_set(err, ERR_USAGE, "%.*s must end before its ? or #",
		    (int)net_url_shown(url), url);

	const char *s = after_scheme(url, &ret->tls);
	size_t len = strcspn(s, "/");
	const char *path = s + len;
	size_t npath = strlen(path);

	while (npath > 0 && path[npath - 1] == '/')
		npath--;
	if (parse_authority(s, len, ret, err) < 0) {
		err_wrap(err, "%s", url);
		net_url_release(ret);
		return -1;
	}
	ret->path = mem_memdup0(path, npath, err);
	if (ret->path == NULL) {
		net_url_release(ret);
		return -1;
	}
	return 0;
}

void net_url_release(struct net_url *u)
{
	free(u->host);
	free(u->path);
	*u = (struct net_url){ 0 };
}
