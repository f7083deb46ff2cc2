#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "repo/base/clock.h"
#include "repo/net/net_internal.h"

#define MS INT64_C(1000000)
/* How often it is looked who has been silent. */
#define LOOK_NS (250 * MS)

/* --- beginning and ending --------------------------------------------------*/

static void hand_back(struct net *n, struct net_job *j)
{
	pthread_mutex_lock(&n->lock);
	j->done = true;
	pthread_cond_signal(&j->cond);
	n->room = !TAILQ_EMPTY(&n->waiting);
	pthread_mutex_unlock(&n->lock);
}

/* Take j, which is running, out of all that the I/O thread knows. */
static void finish(struct net *n, struct net_job *j, CURLcode code)
{
	long opened = 0;

	j->code = code;
	curl_easy_getinfo(j->easy, CURLINFO_NUM_CONNECTS, &opened);
	n->opened += (uint64_t)opened;
	if (j->paused_up)
		TAILQ_REMOVE(&n->up_paused, j, up_link);
	if (j->paused_down)
		TAILQ_REMOVE(&n->down_paused, j, down_link);
	TAILQ_REMOVE(&n->running, j, link);
	n->nrunning--;
	curl_multi_remove_handle(n->multi, j->easy);
	curl_easy_setopt(j->easy, CURLOPT_SHARE, NULL);
	hand_back(n, j);
}

static void fail(struct net *n, struct net_job *j, enum err_class class,
    const char *why)
{
	err_set(&j->err, class, "%s", why);
	finish(n, j, CURLE_ABORTED_BY_CALLBACK);
}

/* Give curl the ms that are left of the whole.  Return 0, or -1: none. */
static int set_total(struct net_job *j)
{
	if (j->rq->total_ms == 0)
		return 0;

	int64_t left = (int64_t)j->rq->total_ms -
	    (clock_mono_ns() - j->begun_ns) / MS;

	if (left <= 0)
		return -1;
	curl_easy_setopt(j->easy, CURLOPT_TIMEOUT_MS, (long)left);
	return 0;
}

static void begin(struct net *n, struct net_job *j)
{
	TAILQ_INSERT_TAIL(&n->running, j, link);
	n->nrunning++;
	if (set_total(j) < 0) {
		fail(n, j, ERR_TRANSIENT, "its time was over before its turn");
		return;
	}
	/* Only this thread uses what is shared, so there are no locks. */
	curl_easy_setopt(j->easy, CURLOPT_SHARE, n->share);
	if (curl_multi_add_handle(n->multi, j->easy) != CURLM_OK)
		fail(n, j, ERR_FULL, "out of memory for a request");
}

/* Begin what waits and has room.  Return false when the client is to end. */
static bool begin_waiting(struct net *n, bool *ret_cancelled)
{
	struct net_jobs take = TAILQ_HEAD_INITIALIZER(take);
	struct net_job *j;
	unsigned room = n->connections - n->nrunning;

	pthread_mutex_lock(&n->lock);
	*ret_cancelled = n->cancelled;
	while ((n->cancelled || room > 0) &&
	    (j = TAILQ_FIRST(&n->waiting)) != NULL) {
		TAILQ_REMOVE(&n->waiting, j, link);
		TAILQ_INSERT_TAIL(&take, j, link);
		room--;
	}

	n->room = false;

	bool stop = n->stop;

	pthread_mutex_unlock(&n->lock);
	while ((j = TAILQ_FIRST(&take)) != NULL) {
		TAILQ_REMOVE(&take, j, link);
		begin(n, j);
	}
	return !stop;
}

static void end_all(struct net *n)
{
	struct net_job *j;

	while ((j = TAILQ_FIRST(&n->running)) != NULL)
		fail(n, j, ERR_CANCELLED, "cancelled");
}

static void collect(struct net *n)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(n->multi, &left)) != NULL) {
		char *p = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;

		CURLcode code = m->data.result;

		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
		finish(n, (struct net_job *)(void *)p, code);
	}
}

/* --- limits ----------------------------------------------------------------*/

static void go_on(struct net *n, struct net_job *j)
{
	j->moved_ns = clock_mono_ns();
	/* It hands on what was held back; nobody else tells when that fails. */
	CURLcode rc = curl_easy_pause(j->easy,
	    (j->paused_up ? CURLPAUSE_SEND : 0) |
	    (j->paused_down ? CURLPAUSE_RECV : 0));

	if (rc != CURLE_OK)
		finish(n, j, rc);
}

/* Let those go on in turn that waited for a limit, as far as it reaches. */
static void let_pass(struct net *n, int64_t now_ns)
{
	struct net_job *j, *next;
	int64_t left = n->up.tokens;

	for (j = TAILQ_FIRST(&n->up_paused); j != NULL; j = next) {
		next = TAILQ_NEXT(j, up_link);
		if (net_rate_wait(&n->up, now_ns) > 0 || left <= 0)
			break;
		left -= n->up.piece;
		TAILQ_REMOVE(&n->up_paused, j, up_link);
		j->paused_up = false;
		go_on(n, j);
	}
	/* Going on takes at once what was held back, and may pause again. */
	while ((j = TAILQ_FIRST(&n->down_paused)) != NULL &&
	    net_rate_wait(&n->down, now_ns) == 0) {
		TAILQ_REMOVE(&n->down_paused, j, down_link);
		j->paused_down = false;
		go_on(n, j);
	}
}

/* --- silence ---------------------------------------------------------------*/

/*
 * The socket of j.  While a request is under way curl tells only the port it
 * has on this side.
 */
static int socket_of(const struct net *n, const struct net_job *j)
{
	for (size_t i = 0; i < n->nfds && j->local_port != 0; i++) {
		union {
			struct sockaddr sa;
			struct sockaddr_in in;
			struct sockaddr_in6 in6;
		} a;
		socklen_t len = sizeof(a);
		int port = 0;

		if (getsockname(n->fds[i], &a.sa, &len) < 0)
			continue;
		if (a.sa.sa_family == AF_INET)
			port = ntohs(a.in.sin_port);
		else if (a.sa.sa_family == AF_INET6)
			port = ntohs(a.in6.sin6_port);
		if (port == j->local_port)
			return n->fds[i];
	}
	return -1;
}

/* Bytes that the other side has not acknowledged yet; -1: not known. */
static int queued_in(const struct net *n, const struct net_job *j)
{
	int fd = socket_of(n, j), len;

	return fd >= 0 && ioctl(fd, SIOCOUTQ, &len) == 0 ? len : -1;
}

static curl_off_t moved_by(CURL *easy)
{
	curl_off_t up = 0, down = 0;
	long head = 0, request = 0;

	curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &up);
	curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	curl_easy_getinfo(easy, CURLINFO_HEADER_SIZE, &head);
	curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request);
	return up + down + head + request;
}

/*
 * Return true when nothing has moved for too long.  On a slow line the
 * socket's buffer empties for minutes after the last byte was given to it; that
 * is moving, too.
 */
static bool is_silent(const struct net *n, struct net_job *j, int64_t now_ns)
{
	if (!j->started)
		return false;

	curl_off_t seen = moved_by(j->easy);

	if (seen != j->seen || j->paused_up || j->paused_down) {
		j->seen = seen;
		j->queued = -1;
		j->moved_ns = now_ns;
		return false;
	}

	int queued = queued_in(n, j);

	if (j->queued >= 0 && queued >= 0 && queued < j->queued)
		j->moved_ns = now_ns;
	j->queued = queued;
	return now_ns - j->moved_ns > (int64_t)j->stall_ms * MS;
}

static void end_silent(struct net *n, int64_t now_ns)
{
	struct net_job *j, *next;

	if (now_ns - n->looked_ns < LOOK_NS)
		return;
	n->looked_ns = now_ns;
	for (j = TAILQ_FIRST(&n->running); j != NULL; j = next) {
		next = TAILQ_NEXT(j, link);
		if (!is_silent(n, j, now_ns))
			continue;
		err_set(&j->err, ERR_TRANSIENT,
		    "stalled: no byte has moved for %.1f s",
		    (double)j->stall_ms / 1000);
		finish(n, j, CURLE_OPERATION_TIMEDOUT);
	}
}

/* --- the loop --------------------------------------------------------------*/

static int sooner_ms(int ms, int64_t ns)
{
	int64_t other = (ns + MS - 1) / MS;

	return other < ms ? (int)other : ms;
}

static int wait_ms(struct net *n, int64_t now_ns)
{
	int ms = n->nrunning > 0 ? (int)(LOOK_NS / MS) : 60000;

	/* Some wait, and one that ended has made room. */
	if (n->room)
		return 0;
	if (!TAILQ_EMPTY(&n->up_paused))
		ms = sooner_ms(ms, net_rate_wait(&n->up, now_ns));
	if (!TAILQ_EMPTY(&n->down_paused))
		ms = sooner_ms(ms, net_rate_wait(&n->down, now_ns));
	return ms;
}

void *net_loop(void *arg)
{
	struct net *n = arg;
	bool cancelled;
	int running;

	while (begin_waiting(n, &cancelled)) {
		if (cancelled)
			end_all(n);
		curl_multi_perform(n->multi, &running);
		collect(n);

		int64_t now_ns = clock_mono_ns();

		let_pass(n, now_ns);
		end_silent(n, now_ns);
		curl_multi_poll(n->multi, NULL, 0, wait_ms(n, now_ns), NULL);
	}
	return NULL;
}
