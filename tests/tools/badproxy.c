/*
 * badproxy - stands before a store and does what a bad network does.
 *
 * usage: badproxy [-l PORT] [-c PORT] [-s SEED] [-r ROOT] [-R RULE]...
 *                 [HOST:]PORT
 *
 * HTTP/1.1 without TLS, from 127.0.0.1 only, passed on to HOST (127.0.0.1).
 * It prints "PORT CONTROL-PORT" when it listens on both (0 or none: a free
 * one), and ends when its standard input ends.  The Host header is left as it
 * is, so signatures stay good.  ROOT is the path before the keys of the
 * repository ("/bucket/prefix/"): requests are counted by what follows it.
 *
 * The control port takes:
 *   GET /stats    counts as JSON: requests and bytes by method and first part
 *                 of the key, statuses, connections, the most requests that
 *                 were open at once, and the longest chain: how many requests
 *                 began one after the end of another
 *   POST /reset   counts from zero
 *   POST /rules   the body's rules, one a line, replace those before
 *   GET /rules    each with the number of requests for which it held
 *
 * A rule is a kind and words:
 *   latency ms=N jitter=N  the request waits before it goes on
 *   connect ms=N           so does each new connection
 *   rate up=B down=B       bytes a second of all together
 *   slow up=B down=B       bytes a second of this body
 *   answer status=N code=C retry-after=S location=URL
 *                          an error in XML, the store is not asked
 *   lose                   the store does it, but the answer is lost
 *   cut-up bytes=N         reset after N bytes of the request's body
 *   cut-down bytes=N       the same of the answer's
 *   short                  half of the answer's body, then the end
 *   flip-up, flip-down     one wrong bit in the body
 *   length add=N           a wrong Content-Length in the answer
 *   hang ms=N              no answer, and a reset then
 *   outage                 a reset at once
 *   date seconds=N         the store's clock seems to be that much ahead
 *   age seconds=N          its objects seem to be that much older
 *   garbage                a body that is no XML
 *   close                  the connection ends after the answer
 * Each may say for which requests it holds: method=M, path=TEXT (anywhere in
 * path and query), from=N (not the first N of those), count=N (no more than
 * that), p=P (this part of them, drawn by the seed), for-ms=N (so long).
 */

#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/tools/badproxy_parts/bad.h"

#define REPLY_MAX 65536

static int listen_on(unsigned port, unsigned *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, len) != 0 ||
	    listen(fd, 1024) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) != 0)
		err(1, "port %u", port);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static void *serve(void *arg)
{
	relay_serve((int)(intptr_t)arg);
	return NULL;
}

/* Answer one request on the control port. */
static void control(int fd)
{
	struct conn *c = malloc(sizeof(*c));
	char *head = malloc(HEAD_MAX), *text = calloc(1, REPLY_MAX);
	const char *wrong = NULL;
	char line[128];

	if (c == NULL || head == NULL || text == NULL)
		goto out;
	c->fd = fd;
	c->at = c->len = 0;
	if (http_head(c, head, HEAD_MAX) <= 0)
		goto out;

	struct body b;
	size_t len = 0;
	http_body_of(head, &b);
	char *body = http_slurp(c, &b, &len);

	if (strncmp(head, "GET /stats ", 11) == 0) {
		stats_print(text, REPLY_MAX);
	} else if (strncmp(head, "GET /rules ", 11) == 0) {
		rules_print(text, REPLY_MAX);
	} else if (strncmp(head, "POST /reset ", 12) == 0) {
		stats_reset();
	} else if (strncmp(head, "POST /rules ", 12) == 0 && body != NULL) {
		char *whole = strndup(body, len);

		wrong = whole ? rules_set(whole) : "no memory";
		free(whole);
	} else {
		wrong = "no such thing";
	}
	free(body);
	if (wrong != NULL)
		snprintf(text, REPLY_MAX, "%s\n", wrong);
	snprintf(line, sizeof(line), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n\r\n", wrong ? "400 No" : "200 OK",
	    strlen(text));
	if (http_write(fd, line, strlen(line)))
		http_write(fd, text, strlen(text));
out:
	close(fd);
	free(c);
	free(head);
	free(text);
}

static void *control_all(void *arg)
{
	int at = (int)(intptr_t)arg;

	for (;;) {
		int fd = accept4(at, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			control(fd);
	}
	return NULL;
}

static void run(int at)
{
	struct pollfd fds[2] = { { .fd = at, .events = POLLIN },
		{ .fd = 0, .events = POLLIN } };
	pthread_attr_t attr;
	char buf[256];

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (;;) {
		pthread_t thread;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			err(1, "poll");
		if (fds[1].revents != 0 && read(0, buf, sizeof(buf)) <= 0)
			return;
		if (fds[0].revents == 0)
			continue;

		int fd = accept4(at, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		if (pthread_create(&thread, &attr, serve,
		    (void *)(intptr_t)fd) != 0)
			close(fd);
	}
}

int main(int argc, char **argv)
{
	unsigned port = 0, control_port = 0;
	char rules[8192] = "", *colon;
	pthread_t thread;
	int opt;

	while ((opt = getopt(argc, argv, "l:c:s:r:R:")) != -1) {
		size_t len = strlen(rules);

		switch (opt) {
		case 'l': port = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'c': control_port = (unsigned)strtoul(optarg, NULL, 10); break;
		case 's': rules_seed = strtoull(optarg, NULL, 10); break;
		case 'r': stats_root = optarg; break;
		case 'R':
			snprintf(rules + len, sizeof(rules) - len, "%s\n", optarg);
			break;
		default: return 2;
		}
	}
	if (optind + 1 != argc)
		errx(2, "usage: badproxy [-l PORT] [-c PORT] [-s SEED] "
		    "[-r ROOT] [-R RULE]... [HOST:]PORT");
	relay_port = argv[optind];
	colon = strrchr(argv[optind], ':');
	if (colon != NULL) {
		*colon = '\0';
		relay_host = argv[optind];
		relay_port = colon + 1;
	}

	const char *wrong = rules_set(rules);

	if (wrong != NULL)
		errx(2, "%s", wrong);
	signal(SIGPIPE, SIG_IGN);

	int at = listen_on(port, &port);
	int control_at = listen_on(control_port, &control_port);

	if (pthread_create(&thread, NULL, control_all,
	    (void *)(intptr_t)control_at) != 0)
		errx(1, "no thread");
	printf("%u %u\n", port, control_port);
	fflush(stdout);
	run(at);
	return 0;
}
