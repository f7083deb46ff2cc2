/* One connection: its requests go to the store, its answers come back. */

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/tools/badproxy_parts/bad.h"

const char *relay_host = "127.0.0.1", *relay_port;

struct relay {
	struct conn client, store;
	char head[HEAD_MAX], answer[HEAD_MAX];
	char method[16], target[4096];
	struct plan plan;
	int status;
	uint64_t up, down; /* bytes of bodies */
	bool sent_all;     /* the whole request went to the store */
};

void relay_sleep(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000 };

	if (ms > 0)
		nanosleep(&t, NULL);
}

/* --- bodies --- */

/* What is done to a body on its way. */
struct mangle {
	long rate;      /* bytes a second; 0: no limit */
	long cut;       /* end after so many bytes; -1: no */
	int64_t flip;   /* the byte in which a bit flips; -1: none */
	unsigned bit;
	bool up;
};

enum passed { PASSED, PASSED_CUT, PASSED_SOURCE_BROKE, PASSED_SINK_BROKE };

/*
 * Take length bytes from data, or from a connection where that is NULL, and
 * write them to fd.
 */
static enum passed pass(struct conn *from, const char *data, uint64_t length,
    int fd, const struct mangle *m, uint64_t *count)
{
	char buf[65536];
	uint64_t done = 0;

	while (done < length) {
		uint64_t want = length - done;

		if (m->cut >= 0 && done == (uint64_t)m->cut)
			return PASSED_CUT;
		if (m->cut >= 0 && want > (uint64_t)m->cut - done)
			want = (uint64_t)m->cut - done;
		if (m->rate > 0 && want > 1 + (uint64_t)m->rate / 10)
			want = 1 + (uint64_t)m->rate / 10;
		if (want > sizeof(buf))
			want = sizeof(buf);

		ssize_t n = (ssize_t)want;

		if (data != NULL)
			memcpy(buf, data + done, want);
		else
			n = http_read(from, buf, want);
		if (n <= 0)
			return PASSED_SOURCE_BROKE;
		if (m->flip >= (int64_t)done && m->flip < (int64_t)done + n)
			buf[m->flip - (int64_t)done] ^= (char)(1U << m->bit);
		if (m->rate > 0)
			relay_sleep(n * 1000 / m->rate);
		rules_throttle(m->up, (size_t)n);
		if (!http_write(fd, buf, (size_t)n))
			return PASSED_SINK_BROKE;
		done += (uint64_t)n;
		*count += (uint64_t)n;
	}
	return m->cut >= 0 && done == (uint64_t)m->cut ? PASSED_CUT : PASSED;
}

/* --- the request --- */

static bool dial(struct relay *r)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
	int one = 1;
	char gone;

	if (r->store.fd >= 0 && recv(r->store.fd, &gone, 1,
	    MSG_PEEK | MSG_DONTWAIT) == 0)
		http_close(&r->store); /* the store closed it meanwhile */
	if (r->store.fd >= 0)
		return true;
	if (getaddrinfo(relay_host, relay_port, &hints, &list) != 0)
		return false;
	r->store.fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (r->store.fd >= 0 && connect(r->store.fd, list->ai_addr,
	    list->ai_addrlen) != 0)
		http_close(&r->store);
	freeaddrinfo(list);
	if (r->store.fd < 0)
		return false;
	setsockopt(r->store.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return true;
}

/*
 * Send the request on.  PASSED_SINK_BROKE is no failure: a store may answer
 * and close before it has read all.
 */
static enum passed send_on(struct relay *r)
{
	struct mangle m = { .rate = r->plan.up_rate, .cut = r->plan.cut_up,
		.flip = -1, .bit = r->plan.chance >> 60 & 7, .up = true };
	struct body b;
	enum passed rc;

	http_body_of(r->head, &b);
	if (http_is(r->head, "Expect", "100-continue")) {
		http_remove(r->head, "Expect");
		if (!http_write(r->client.fd, "HTTP/1.1 100 Continue\r\n\r\n", 25))
			return PASSED_SOURCE_BROKE;
	}
	if (b.framing == BODY_CHUNKED) {
		char text[32], *data;
		size_t len = 0;

		data = http_slurp(&r->client, &b, &len);
		if (data == NULL)
			return PASSED_SOURCE_BROKE;
		http_remove(r->head, "Transfer-Encoding");
		snprintf(text, sizeof(text), "%zu", len);
		http_set(r->head, sizeof(r->head), "Content-Length", text);
		if (r->plan.flip_up && len > 0)
			m.flip = (int64_t)(r->plan.chance % len);
		rc = http_write(r->store.fd, r->head, strlen(r->head)) ?
		    pass(NULL, data, len, r->store.fd, &m, &r->up) :
		    PASSED_SINK_BROKE;
		free(data);
	} else {
		if (r->plan.flip_up && b.length > 0)
			m.flip = (int64_t)(r->plan.chance % b.length);
		if (!http_write(r->store.fd, r->head, strlen(r->head)))
			return PASSED_SINK_BROKE;
		rc = pass(&r->client, NULL, b.length, r->store.fd, &m, &r->up);
	}
	r->sent_all = rc == PASSED;
	return rc;
}

/* --- the answer --- */

static bool forge(struct relay *r)
{
	char body[1024], head[1400];
	struct body b;
	const struct plan *p = &r->plan;
	uint64_t drained = 0;
	char sink[4096];

	http_body_of(r->head, &b);
	if (http_is(r->head, "Expect", "100-continue"))
		b.length = 0;
	while (drained < b.length) {
		ssize_t n = http_read(&r->client, sink, b.length - drained <
		    sizeof(sink) ? b.length - drained : sizeof(sink));

		if (n <= 0)
			return false;
		drained += (uint64_t)n;
	}

	int len = snprintf(body, sizeof(body), "<?xml version=\"1.0\" "
	    "encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>as a test "
	    "wants it</Message><RequestId>0</RequestId></Error>", p->code);
	bool none = strcmp(r->method, "HEAD") == 0;
	char again[64] = "";

	if (p->retry_after > 0)
		snprintf(again, sizeof(again), "Retry-After: %ld\r\n",
		    p->retry_after);

	int n = snprintf(head, sizeof(head), "HTTP/1.1 %d As Told\r\n"
	    "Content-Type: application/xml\r\nContent-Length: %d\r\n"
	    "x-ms-error-code: %s\r\n%s%s%s%s%s\r\n", p->status, len,
	    p->code[0] ? p->code : "None", again,
	    p->location[0] ? "Location: " : "", p->location,
	    p->location[0] ? "\r\n" : "",
	    b.framing == BODY_CHUNKED ||
	    http_is(r->head, "Expect", "100-continue") ?
	    "Connection: close\r\n" : "");

	r->status = p->status;
	return n > 0 && (size_t)n < sizeof(head) &&
	    http_write(r->client.fd, head, (size_t)n) &&
	    (none || http_write(r->client.fd, body, (size_t)len)) &&
	    b.framing != BODY_CHUNKED &&
	    !http_is(r->head, "Expect", "100-continue");
}

/* Read the answer's head.  Return false when there is none. */
static bool hear(struct relay *r)
{
	do {
		if (http_head(&r->store, r->answer, sizeof(r->answer)) <= 0)
			return false;
		r->status = (int)strtol(r->answer + 9, NULL, 10);
	} while (r->status >= 100 && r->status < 200);
	return true;
}

/* Those faults need the whole body before its head is sent. */
static char *whole_body(struct relay *r, struct body *b)
{
	static const char rubbish[] = "<?xml version=\"1.0\"?><a><b></a>\x01&&";
	size_t len = 0;
	char text[32], *data = http_slurp(&r->store, b, &len);

	if (data == NULL)
		return NULL;
	if (r->plan.garbage) {
		free(data);
		data = strdup(rubbish);
		len = data ? strlen(data) : 0;
	}
	if (data != NULL && r->plan.age_s != 0)
		age_body(data, len, r->plan.age_s);
	http_remove(r->answer, "Transfer-Encoding");
	snprintf(text, sizeof(text), "%zu", len);
	http_set(r->answer, sizeof(r->answer), "Content-Length", text);
	*b = (struct body){ .framing = BODY_LENGTH, .length = len };
	return data;
}

/* Pass the answer.  Return true when the connection can go on. */
static bool reply(struct relay *r)
{
	struct plan *p = &r->plan;
	struct mangle m = { .rate = p->down_rate, .cut = p->cut_down,
		.flip = -1, .bit = p->chance >> 60 & 7 };
	struct body b;
	char *data = NULL, text[32];
	bool none = strcmp(r->method, "HEAD") == 0 || r->status == 204 ||
	    r->status == 304;

	http_body_of(r->answer, &b);
	if (none)
		b = (struct body){ .framing = BODY_NONE };
	else if (b.framing == BODY_NONE)
		b.framing = BODY_CLOSE;

	bool was_close = b.framing == BODY_CLOSE ||
	    http_is(r->answer, "Connection", "close");

	if (!none && (b.framing != BODY_LENGTH || p->garbage || p->age_s)) {
		data = whole_body(r, &b);
		if (data == NULL)
			return false;
	}
	if (p->age_s != 0)
		age_head(r->answer, sizeof(r->answer), p->age_s);
	if (p->date_s != 0)
		age_date(r->answer, sizeof(r->answer), p->date_s);
	if (p->add_length != 0 && b.framing == BODY_LENGTH) {
		long long length = (long long)b.length + p->add_length;

		snprintf(text, sizeof(text), "%lld", length > 0 ? length : 0);
		http_set(r->answer, sizeof(r->answer), "Content-Length", text);
	}
	if (p->flip_down && b.length > 0)
		m.flip = (int64_t)(p->chance % b.length);
	if (p->shorten)
		m.cut = (long)(b.length / 2);

	enum passed rc = PASSED_SINK_BROKE;

	if (http_write(r->client.fd, r->answer, strlen(r->answer)))
		rc = pass(&r->store, data, none ? 0 : b.length, r->client.fd,
		    &m, &r->down);
	free(data);
	if (was_close || rc != PASSED)
		http_close(&r->store);
	if (rc == PASSED_CUT && p->cut_down >= 0 && !p->shorten)
		http_reset(&r->client);
	return rc == PASSED && !was_close && !p->close && p->add_length == 0;
}

/* --- one after the other --- */

/* Return true when the connection can go on. */
static bool serve_one(struct relay *r)
{
	struct plan *p = &r->plan;

	relay_sleep(p->wait_ms);
	if (p->outage) {
		http_reset(&r->client);
		return false;
	}
	if (p->status != 0 && p->code[0] != '\0')
		return forge(r);
	if (!dial(r)) {
		http_reset(&r->client);
		return false;
	}
	http_remove(r->head, "Connection");
	enum passed rc = send_on(r);

	if (rc == PASSED_CUT || rc == PASSED_SOURCE_BROKE) {
		http_reset(&r->store);
		http_reset(&r->client);
		return false;
	}
	if (!hear(r) || p->lose || p->hang_ms > 0) {
		if (p->hang_ms > 0)
			relay_sleep(p->hang_ms);
		http_close(&r->store);
		http_reset(&r->client);
		return false;
	}
	return reply(r) && r->sent_all;
}

void relay_serve(int fd)
{
	struct relay *r = malloc(sizeof(*r));
	int one = 1;

	if (r == NULL) {
		close(fd);
		return;
	}
	r->client.fd = fd;
	r->store.fd = -1;
	r->client.at = r->client.len = r->store.at = r->store.len = 0;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	stats_connection();
	relay_sleep(rules_connect_ms());
	while (http_head(&r->client, r->head, sizeof(r->head) - 256) > 0) {
		struct counted c;

		if (sscanf(r->head, "%15s %4095s", r->method, r->target) != 2)
			break;
		r->status = 0;
		r->up = r->down = 0;
		r->sent_all = false;
		rules_plan(r->method, r->target, &r->plan);
		stats_begin(r->method, r->target, &c);

		bool on = serve_one(r);

		stats_end(&c, r->status, r->up, r->down);
		if (!on)
			break;
	}
	http_close(&r->store);
	http_close(&r->client);
	free(r);
}
