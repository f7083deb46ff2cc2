#ifndef TESTS_UNIT_NET_CONN_H
#define TESTS_UNIT_NET_CONN_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection of a server that says what the test tells it to (net_server.h). */

struct server;

/* One connection, and the request that was read from it last. */
struct conn {
	struct server *srv;
	int fd;
	SSL *ssl;
	unsigned number;       /* of the connection, from 0 */
	char head[64 << 10];   /* request line and headers, with a NUL */
	char *body;            /* body_len bytes */
	size_t body_len;
	char buf[16 << 10];
	size_t have;           /* in buf, not yet used */
};

typedef void server_fn(struct conn *c);

struct server {
	int fd;
	unsigned port;
	char url[64];          /* scheme://127.0.0.1:port */
	server_fn *fn;
	const void *ctx;       /* the test's */
	SSL_CTX *tls;
	pthread_t thread;
	pthread_mutex_t lock;  /* for the test's function, too */
	pthread_cond_t cond;
	unsigned open;         /* under lock: connections */
	int fds[1024];         /* under lock: of those, -1 else */
	atomic_uint accepted;
	atomic_bool stop;
};

/* --- what a connection's function uses --- */

static inline ssize_t conn_read(struct conn *c, void *dst, size_t len)
{
	if (c->ssl != NULL)
		return SSL_read(c->ssl, dst, (int)len);
	return recv(c->fd, dst, len, 0);
}

/* Send all.  Return false when the other side is gone. */
static inline bool conn_send(struct conn *c, const void *p, size_t len)
{
	const char *s = p;

	while (len > 0) {
		size_t some = len < 1 << 20 ? len : 1 << 20;
		ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, s, (int)some) :
		    send(c->fd, s, some, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		s += n;
		len -= (size_t)n;
	}
	return true;
}

static inline bool conn_say(struct conn *c, const char *s)
{
	return conn_send(c, s, strlen(s));
}

__attribute__((format(printf, 2, 3)))
static inline bool conn_printf(struct conn *c, const char *fmt, ...)
{
	char text[8192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return conn_say(c, text);
}

/* An answer with its length. */
static inline bool conn_answer(struct conn *c, int status, const char *body)
{
	return conn_printf(c, "HTTP/1.1 %d Said\r\nContent-Length: %zu\r\n\r\n%s",
	    status, strlen(body), body);
}

/* End the connection by a reset, not in peace. */
static inline void conn_reset(struct conn *c)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static inline void conn_sleep_ms(unsigned ms)
{
	usleep(ms * 1000);
}

/* Wait until the other side is gone or the server ends. */
static inline void conn_drain(struct conn *c)
{
	char waste[4096];

	while (conn_read(c, waste, sizeof(waste)) > 0)
		;
}

/* Read the head of a request.  Return false when there is none. */
static inline bool conn_read_head(struct conn *c)
{
	size_t n = 0;

	for (;;) {
		while (c->have > 0 && n < sizeof(c->head) - 1) {
			c->head[n++] = c->buf[0];
			memmove(c->buf, c->buf + 1, --c->have);
			if (n >= 4 && memcmp(c->head + n - 4, "\r\n\r\n", 4) == 0) {
				c->head[n] = '\0';
				return true;
			}
		}

		ssize_t r = conn_read(c, c->buf, sizeof(c->buf));

		if (r <= 0)
			return false;
		c->have = (size_t)r;
	}
}

/*
 * The value of a header of the request, in memory of the thread that is used
 * again by the next call; NULL: it has none.
 */
static inline const char *conn_header(struct conn *c, const char *name)
{
	static _Thread_local char value[8192];
	size_t len = strlen(name);

	for (char *p = strstr(c->head, "\r\n"); p != NULL; p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, name, len) != 0 || p[len] != ':')
			continue;
		p += len + 1;
		p += strspn(p, " ");
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, "\r"), p);
		return value;
	}
	return NULL;
}

/* Read the body that Content-Length announces.  Return false when it ends early. */
static inline bool conn_read_body(struct conn *c)
{
	const char *s = conn_header(c, "Content-Length");
	size_t len = s ? strtoul(s, NULL, 10) : 0, n = 0;

	free(c->body);
	c->body_len = len;
	c->body = malloc(len + 1);
	if (c->body == NULL)
		return false;
	c->body[len] = '\0';
	while (n < len) {
		if (c->have > 0) {
			size_t some = c->have < len - n ? c->have : len - n;

			memcpy(c->body + n, c->buf, some);
			memmove(c->buf, c->buf + some, c->have - some);
			c->have -= some;
			n += some;
			continue;
		}

		ssize_t r = conn_read(c, c->body + n, len - n);

		if (r <= 0)
			return false;
		n += (size_t)r;
	}
	return true;
}

/* Read a whole request.  Return false when there is none. */
static inline bool conn_request(struct conn *c)
{
	return conn_read_head(c) && conn_read_body(c);
}

/* Whether the request line begins so, as "GET /path ". */
static inline bool conn_is(struct conn *c, const char *line)
{
	return strncmp(c->head, line, strlen(line)) == 0;
}

#endif
