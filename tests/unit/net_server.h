#ifndef TESTS_UNIT_NET_SERVER_H
#define TESTS_UNIT_NET_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/un.h>

#include "tests/unit/net_conn.h"

/*
 * A server that says what the test tells it to, byte by byte: each connection
 * gets a thread that runs the test's function.  By TCP, TLS or a unix socket.
 */

static inline void server_forget(struct conn *c)
{
	struct server *s = c->srv;

	pthread_mutex_lock(&s->lock);
	s->fds[c->number % 1024] = -1;
	s->open--;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

static inline void *server_conn(void *arg)
{
	struct conn *c = arg;
	bool good = true;

	if (c->srv->tls != NULL) {
		c->ssl = SSL_new(c->srv->tls);
		SSL_set_fd(c->ssl, c->fd);
		good = SSL_accept(c->ssl) == 1;
	}
	if (good)
		c->srv->fn(c);
	if (c->ssl != NULL) {
		if (good)
			SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
	}
	free(c->body);

	int fd = c->fd;

	server_forget(c);
	close(fd);
	free(c);
	return NULL;
}

static inline void *server_accept(void *arg)
{
	struct server *s = arg;

	for (;;) {
		int fd = accept(s->fd, NULL, NULL), on = 1;

		if (fd < 0 || s->stop) {
			if (fd >= 0)
				close(fd);
			return NULL;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

		struct conn *c = calloc(1, sizeof(*c));
		pthread_attr_t attr;
		pthread_t t;

		if (c == NULL)
			abort();
		c->srv = s;
		c->fd = fd;
		c->number = s->accepted++;
		pthread_mutex_lock(&s->lock);
		s->fds[c->number % 1024] = fd;
		s->open++;
		pthread_mutex_unlock(&s->lock);
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&attr, 256 << 10);
		if (pthread_create(&t, &attr, server_conn, c) != 0)
			abort();
		pthread_attr_destroy(&attr);
	}
}

static inline void server_begin(struct server *s, server_fn *fn,
    const void *ctx)
{
	/* What it writes by TLS may find nobody there. */
	signal(SIGPIPE, SIG_IGN);
	s->fn = fn;
	s->ctx = ctx;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->cond, NULL);
	if (listen(s->fd, 512) < 0 ||
	    pthread_create(&s->thread, NULL, server_accept, s) != 0)
		abort();
}

/* Begin to serve on a port of 127.0.0.1; tls may be NULL. */
static inline struct server *server_start(server_fn *fn, const void *ctx, SSL_CTX *tls)
{
	struct server *s = calloc(1, sizeof(*s));
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	if (s == NULL)
		abort();
	s->tls = tls;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || bind(s->fd, (void *)&a, sizeof(a)) < 0 ||
	    getsockname(s->fd, (void *)&a, &len) < 0)
		abort();
	s->port = ntohs(a.sin_port);
	snprintf(s->url, sizeof(s->url), "%s://127.0.0.1:%u",
	    tls ? "https" : "http", s->port);
	server_begin(s, fn, ctx);
	return s;
}

/* Begin to serve on a unix socket at path. */
static inline struct server *server_start_unix(server_fn *fn, const void *ctx,
    const char *path)
{
	struct server *s = calloc(1, sizeof(*s));
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (s == NULL)
		abort();
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || bind(s->fd, (void *)&a, sizeof(a)) < 0)
		abort();
	snprintf(s->url, sizeof(s->url), "http://local");
	server_begin(s, fn, ctx);
	return s;
}

/* End it and every connection; waits for their functions. */
static inline void server_stop(struct server *s)
{
	s->stop = true;
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->accepted && i < 1024; i++)
		if (s->fds[i] >= 0)
			shutdown(s->fds[i], SHUT_RDWR);
	while (s->open > 0)
		pthread_cond_wait(&s->cond, &s->lock);
	pthread_mutex_unlock(&s->lock);
	close(s->fd);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->cond);
	free(s);
}

#endif
