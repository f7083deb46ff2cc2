/* Heads and bodies of HTTP/1.1, as much as a proxy between two has to know. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/tools/badproxy_parts/bad.h"

/* Return false at the end or on an error. */
static bool fill(struct conn *c)
{
	ssize_t n;

	do
		n = recv(c->fd, c->buf, sizeof(c->buf), 0);
	while (n < 0 && errno == EINTR);
	c->at = 0;
	c->len = n > 0 ? (size_t)n : 0;
	return n > 0;
}

ssize_t http_read(struct conn *c, void *dst, size_t cap)
{
	if (c->at == c->len && !fill(c))
		return 0;

	size_t n = c->len - c->at < cap ? c->len - c->at : cap;

	memcpy(dst, c->buf + c->at, n);
	c->at += n;
	return (ssize_t)n;
}

/* Read a line with its end into dst.  Return its length, 0 at the end, -1. */
static ssize_t line(struct conn *c, char *dst, size_t cap)
{
	for (size_t n = 0; n + 1 < cap;) {
		if (c->at == c->len && !fill(c))
			return n == 0 ? 0 : -1;
		dst[n] = c->buf[c->at++];
		if (dst[n++] == '\n') {
			dst[n] = '\0';
			return (ssize_t)n;
		}
	}
	return -1;
}

ssize_t http_head(struct conn *c, char *dst, size_t cap)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = line(c, dst + len, cap - len);

		if (n <= 0)
			return len == 0 ? n : -1;
		if (len == 0 && n <= 2)
			continue; /* an empty line before a head is nothing */
		len += (size_t)n;
		if (n == 2 && dst[len - 2] == '\r')
			return (ssize_t)len;
	}
}

/* Return where the header's line begins. */
static char *find_line(const char *head, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = strstr(head, "\r\n"); at != NULL;
	     at = strstr(at + 2, "\r\n"))
		if (strncasecmp(at + 2, name, len) == 0 && at[2 + len] == ':')
			return (char *)(uintptr_t)at + 2;
	return NULL;
}

const char *http_find(const char *head, const char *name)
{
	const char *at = find_line(head, name);

	if (at == NULL)
		return NULL;
	at += strlen(name) + 1;
	return at + strspn(at, " ");
}

bool http_is(const char *head, const char *name, const char *value)
{
	const char *at = http_find(head, name);

	return at != NULL && strncasecmp(at, value, strlen(value)) == 0;
}

void http_remove(char *head, const char *name)
{
	for (char *at = find_line(head, name); at != NULL;
	     at = find_line(head, name)) {
		char *end = strstr(at, "\r\n") + 2;

		memmove(at, end, strlen(end) + 1);
	}
}

bool http_set(char *head, size_t cap, const char *name, const char *value)
{
	http_remove(head, name);

	size_t len = strlen(head);
	int n = snprintf(head + len - 2, cap - len + 2, "%s: %s\r\n\r\n", name,
	    value);

	return n > 0 && (size_t)n < cap - len + 2;
}

void http_body_of(const char *head, struct body *ret)
{
	const char *length = http_find(head, "Content-Length");

	*ret = (struct body){ .framing = BODY_NONE };
	if (http_is(head, "Transfer-Encoding", "chunked")) {
		ret->framing = BODY_CHUNKED;
	} else if (length != NULL) {
		ret->framing = BODY_LENGTH;
		ret->length = strtoull(length, NULL, 10);
	}
}

bool http_write(int fd, const void *p, size_t len)
{
	const char *at = p;

	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

struct grown {
	char *data;
	size_t len, cap;
};

static bool take(struct conn *c, struct grown *g, uint64_t want)
{
	while (want > 0) {
		if (g->len == g->cap) {
			size_t cap = g->cap ? g->cap * 2 : 65536;
			char *data = cap > BODY_MAX * 2 ? NULL :
			    realloc(g->data, cap);

			if (data == NULL)
				return false;
			g->data = data;
			g->cap = cap;
		}

		size_t room = g->cap - g->len;
		ssize_t n = http_read(c, g->data + g->len,
		    want < room ? (size_t)want : room);

		if (n <= 0)
			return want == UINT64_MAX; /* up to the end */
		g->len += (size_t)n;
		if (want != UINT64_MAX)
			want -= (uint64_t)n;
	}
	return true;
}

char *http_slurp(struct conn *c, const struct body *b, size_t *ret_len)
{
	struct grown g = { .data = malloc(1), .cap = 1 };
	bool ok = g.data != NULL;
	char text[256];

	if (ok && b->framing == BODY_LENGTH)
		ok = take(c, &g, b->length);
	else if (ok && b->framing == BODY_CLOSE)
		ok = take(c, &g, UINT64_MAX);
	while (ok && b->framing == BODY_CHUNKED) {
		ok = line(c, text, sizeof(text)) > 0;
		uint64_t n = ok ? strtoull(text, NULL, 16) : 0;

		ok = ok && take(c, &g, n);
		if (ok && n == 0) { /* trailers, and the empty line */
			while ((ok = line(c, text, sizeof(text)) > 0) &&
			    strcmp(text, "\r\n") != 0)
				;
			break;
		}
		ok = ok && line(c, text, sizeof(text)) > 0;
	}
	if (!ok) {
		free(g.data);
		return NULL;
	}
	*ret_len = g.len;
	return g.data;
}

void http_reset(struct conn *c)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (c->fd >= 0)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	http_close(c);
}

void http_close(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->at = c->len = 0;
}
