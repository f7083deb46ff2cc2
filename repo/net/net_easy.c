#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "repo/base/clock.h"
#include "repo/base/mem.h"
#include "repo/net/net_internal.h"

/* Of each of the two that curl has for a request; larger ones are no faster. */
#define BUFFER_LEAST (16u << 10)
#define BUFFER_MOST (128u << 10)

/* --- callbacks, on the I/O thread ------------------------------------------*/

static size_t on_read(char *dst, size_t size, size_t n, void *arg)
{
	struct net_job *j = arg;
	size_t len = j->rq->body_len - j->sent, room = size * n;

	if (len > room)
		len = room;

	size_t may = net_rate_ready(&j->n->up, clock_mono_ns());

	if (may == 0 && len > 0) {
		if (!j->paused_up) {
			j->paused_up = true;
			TAILQ_INSERT_TAIL(&j->n->up_paused, j, up_link);
		}
		return CURL_READFUNC_PAUSE;
	}
	if (len > may)
		len = may;
	net_rate_take(&j->n->up, len);
	memcpy(dst, (const char *)j->rq->body + j->sent, len);
	j->sent += len;
	j->n->sent += len;
	return len;
}

/* A 2xx body's piece.  Return 0, or -1 with j->err. */
static int take_body(struct net_job *j, const char *data, size_t len)
{
	const struct net_request *rq = j->rq;
	struct net_response *rs = j->rs;

	if (rq->dst != NULL) {
		if (len > rq->dst_len - rs->body_len)
			return err_set(&j->err, ERR_CORRUPT, "the answer is "
			    "longer than the %zu bytes that it may be",
			    rq->dst_len);
		memcpy((char *)rq->dst + rs->body_len, data, len);
	} else if (rq->on_body != NULL) {
		if (rq->on_body(rq->ctx, data, len) != 0)
			return err_set(&j->err, ERR_CANCELLED,
			    "what reads the answer has ended it");
	} else {
		size_t most = rq->body_max ? rq->body_max : 1u << 20;

		if (len > most - rs->body.len)
			return err_set(&j->err, ERR_CORRUPT, "the answer is "
			    "longer than the %zu bytes that it may be", most);
		buf_add(&rs->body, data, len);
		if (buf_check(&rs->body, "an answer", &j->err) < 0)
			return -1;
	}
	rs->body_len += len;
	return 0;
}

static size_t on_write(char *data, size_t size, size_t n, void *arg)
{
	struct net_job *j = arg;
	struct net_response *rs = j->rs;
	size_t len = size * n, room;

	/* A piece comes whole, so a limit is kept by debt. */
	if (net_rate_ready(&j->n->down, clock_mono_ns()) == 0 && len > 0) {
		if (!j->paused_down) {
			j->paused_down = true;
			TAILQ_INSERT_TAIL(&j->n->down_paused, j, down_link);
		}
		return CURL_WRITEFUNC_PAUSE;
	}
	net_rate_take(&j->n->down, len);
	j->n->received += len;
	if (rs->status >= 200 && rs->status <= 299)
		return take_body(j, data, len) < 0 ? 0 : len;

	room = NET_ERROR_BODY_MAX - rs->body.len;
	buf_add(&rs->body, data, len < room ? len : room);
	if (buf_check(&rs->body, "an answer", &j->err) < 0)
		return 0;
	rs->body_len = rs->body.len;
	if (len > room) {
		j->cut = true;
		return 0;
	}
	return len;
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct net_job *j = arg;

	return net_head_line(&j->head, line, size * n, &j->err) < 0 ? 0 : size * n;
}

/* Connected; the request goes out next. */
static int on_ready(void *arg, char *to, char *from, int to_port,
    int from_port)
{
	struct net_job *j = arg;

	(void)to;
	(void)from;
	(void)to_port;
	j->local_port = from_port;
	j->started = true;
	j->moved_ns = clock_mono_ns();
	return CURL_PREREQFUNC_OK;
}

/*
 * The sockets are noted, so that it can be seen whether one still empties.
 * One that is not, for want of memory, only is not looked at.
 */
static curl_socket_t on_open(void *arg, curlsocktype purpose,
    struct curl_sockaddr *a)
{
	struct net *n = arg;
	int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);

	(void)purpose;
	if (fd < 0)
		return CURL_SOCKET_BAD;
	if (n->nfds == n->cap_fds) {
		size_t cap = n->cap_fds ? 2 * n->cap_fds : 64;
		int *fds = realloc(n->fds, cap * sizeof(*fds));

		if (fds == NULL)
			return fd;
		n->fds = fds;
		n->cap_fds = cap;
	}
	n->fds[n->nfds++] = fd;
	return fd;
}

static int on_close(void *arg, curl_socket_t fd)
{
	struct net *n = arg;

	for (size_t i = 0; i < n->nfds; i++)
		if (n->fds[i] == fd) {
			n->fds[i] = n->fds[--n->nfds];
			break;
		}
	return close(fd);
}

/* --- options ---------------------------------------------------------------*/

/* Options that cannot fail but for memory: the first failure is kept. */
#define SET(opt, value) \
	do { \
		CURLcode rc_ = curl_easy_setopt(e, (opt), (value)); \
		if (rc_ != CURLE_OK && *code == CURLE_OK) \
			*code = rc_; \
	} while (0)

static long buffer_for(size_t len)
{
	return (long)(len < BUFFER_LEAST ? BUFFER_LEAST :
	    len > BUFFER_MOST ? BUFFER_MOST : len);
}

static void set_method(struct net_job *j, CURL *e, CURLcode *code)
{
	const struct net_request *rq = j->rq;
	bool body = rq->body_len > 0 || rq->method == NET_PUT ||
	    rq->method == NET_POST || rq->method == NET_PATCH;

	/*
	 * Without a function that seeks, curl cannot send a body again by itself
	 * where a kept connection has died: the server may have acted, and who
	 * asked for it must know, or takes what it made for another's.
	 */
	if (body) {
		SET(CURLOPT_UPLOAD, 1L);
		SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)rq->body_len);
		SET(CURLOPT_READFUNCTION, on_read);
		SET(CURLOPT_READDATA, j);
		SET(CURLOPT_UPLOAD_BUFFERSIZE, buffer_for(rq->body_len));
	}
	if (rq->method == NET_HEAD)
		SET(CURLOPT_NOBODY, 1L);
	else if (body ? rq->method != NET_PUT : rq->method != NET_GET)
		SET(CURLOPT_CUSTOMREQUEST, net_method_name(rq->method));
}

static void set_answer(struct net_job *j, CURL *e, CURLcode *code)
{
	const struct net_request *rq = j->rq;
	long len = buffer_for(rq->dst != NULL ? rq->dst_len : rq->body_max);

	/* Under a limit, what comes at once shall be small beside it. */
	if (j->n->down.rate != 0 && len > (long)j->n->down.piece)
		len = buffer_for((size_t)j->n->down.piece);
	SET(CURLOPT_BUFFERSIZE, len);
	SET(CURLOPT_WRITEFUNCTION, on_write);
	SET(CURLOPT_WRITEDATA, j);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, j);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_PREREQFUNCTION, on_ready);
	SET(CURLOPT_PREREQDATA, j);
	SET(CURLOPT_ERRORBUFFER, j->errbuf);
}

static void set_tls(struct net_job *j, CURL *e, CURLcode *code)
{
	const struct net_request *rq = j->rq;

	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_CAINFO, NULL);
	SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_CA_CACHE_TIMEOUT, 0L);
	SET(CURLOPT_SSL_CTX_FUNCTION, net_tls_use);
	SET(CURLOPT_SSL_CTX_DATA, j->n->tls);
	if (rq->cert_file != NULL)
		SET(CURLOPT_SSLCERT, rq->cert_file);
	if (rq->key_file != NULL)
		SET(CURLOPT_SSLKEY, rq->key_file);
}

static long http_version(const struct net_request *rq)
{
	if (!rq->http2)
		return CURL_HTTP_VERSION_1_1;
	/* By TLS it is agreed upon in the handshake; net_fail_tell looks. */
	return strncasecmp(rq->url, "https:", 6) == 0 ?
	    CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
}

/*
 * libcurl before 8.0 begins HTTP/2 a second time on a connection without TLS
 * that already speaks it, and fails: there each request has its own.
 */
static bool must_be_fresh(const struct net_request *rq)
{
	return http_version(rq) == CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE &&
	    curl_version_info(CURLVERSION_NOW)->version_num < 0x080000;
}

static void set_connection(struct net_job *j, CURL *e, CURLcode *code)
{
	const struct net_request *rq = j->rq;

	SET(CURLOPT_NOSIGNAL, 1L);
	/* A resolver that hangs shall not hold the I/O thread up. */
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_URL, rq->url);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_HTTP_VERSION, http_version(rq));
	SET(CURLOPT_PIPEWAIT, rq->http2 ? 1L : 0L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)j->n->connect_ms);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
	SET(CURLOPT_OPENSOCKETDATA, j->n);
	SET(CURLOPT_CLOSESOCKETFUNCTION, on_close);
	SET(CURLOPT_CLOSESOCKETDATA, j->n);
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, 30L);
	SET(CURLOPT_TCP_KEEPINTVL, 15L);
	SET(CURLOPT_USERAGENT, j->n->agent);
	if (must_be_fresh(rq)) {
		SET(CURLOPT_FRESH_CONNECT, 1L);
		SET(CURLOPT_FORBID_REUSE, 1L);
	}
	if (rq->unix_path != NULL)
		SET(CURLOPT_UNIX_SOCKET_PATH, rq->unix_path);
	if (rq->direct || rq->unix_path != NULL)
		SET(CURLOPT_PROXY, "");
}

/* --- headers ---------------------------------------------------------------*/

static bool is_token(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f ||
		    strchr("()<>@,;:\\\"/[]?={}", *s) != NULL)
			return false;
	return true;
}

static int add_line(struct net_job *j, const char *line, struct err *err)
{
	struct curl_slist *s = curl_slist_append(j->slist, line);

	if (s == NULL)
		return err_nomem(err, "a request's headers");
	j->slist = s;
	return 0;
}

static int add_header(struct net_job *j, const struct net_header *h,
    struct err *err)
{
	if (!is_token(h->name))
		return err_set(err, ERR_USAGE,
		    "the name of a header holds what may not be in it");
	if (strpbrk(h->value, "\r\n") != NULL)
		return err_set(err, ERR_USAGE,
		    "the value of header %s holds the end of a line", h->name);

	struct buf b = BUF_INIT;

	/* An empty value is written so; a colon alone would remove a header. */
	if (h->value[0] == '\0')
		buf_printf(&b, "%s;", h->name);
	else
		buf_printf(&b, "%s: %s", h->name, h->value);

	int rc = buf_check(&b, "a request's headers", err);

	if (rc == 0)
		rc = add_line(j, (const char *)b.p, err);
	if (b.p != NULL)
		mem_wipe(b.p, b.cap);
	buf_release(&b);
	return rc;
}

static int make_headers(struct net_job *j, struct err *err)
{
	/* A round trip that stores answer late or not at all. */
	if (add_line(j, "Expect:", err) < 0)
		return -1;
	for (size_t i = 0; i < j->rq->nheaders; i++)
		if (add_header(j, &j->rq->headers[i], err) < 0)
			return -1;
	return 0;
}

int net_easy_make(struct net_job *j, struct err *err)
{
	CURLcode rc = CURLE_OK, *code = &rc;

	if (make_headers(j, err) < 0)
		return -1;
	j->easy = curl_easy_init();
	if (j->easy == NULL)
		return err_nomem(err, "a request");

	CURL *e = j->easy;

	SET(CURLOPT_PRIVATE, j);
	SET(CURLOPT_HTTPHEADER, j->slist);
	set_connection(j, e, code);
	set_tls(j, e, code);
	set_method(j, e, code);
	set_answer(j, e, code);
	if (rc == CURLE_OUT_OF_MEMORY)
		return err_nomem(err, "a request");
	if (rc != CURLE_OK)
		return err_set(err, ERR_UNSUPPORTED,
		    "this libcurl (%s) lacks something that is needed: %s",
		    curl_version_info(CURLVERSION_NOW)->version,
		    curl_easy_strerror(rc));
	return 0;
}

void net_easy_drop(struct net_job *j)
{
	if (j->easy != NULL)
		curl_easy_cleanup(j->easy);
	for (struct curl_slist *s = j->slist; s != NULL; s = s->next)
		mem_wipe(s->data, strlen(s->data));
	curl_slist_free_all(j->slist);
}
