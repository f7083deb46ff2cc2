/* Waiting for sessions that do not know of the mark (R6). */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/base/bytes.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_gc_internal.h"

#define SILENT_NS ((int64_t)30 * 60 * 1000000000)
#define PAUSE_FIRST_MS 50
#define PAUSE_MOST_MS 5000

struct looking {
	struct gc *g;
	int64_t now_ns;     /* the store's; 0: not asked yet */
	uint64_t waiting, revoked;
	bool again;         /* one changed while it was looked at */
};

static int revoke(struct looking *l, const struct store_session_info *s,
    struct err *err)
{
	struct gc *g = l->g;
	char slot[FMT_HEX_SLOT];
	int r = store_session_revoke(g->st, s->slot, s->session, g->n, err);

	if (r < 0 && err->class == ERR_NOTFOUND) {
		l->again = true; /* it is over, and so removed */
		return 0;
	}
	if (r < 0)
		return -1;
	l->again = true;
	if (r > 0)
		return 0; /* it was faster */
	hex_encode(slot, s->slot, sizeof(s->slot));
	log_msg(LOG_WARN, "sessions/%s/%s: %s, so it was revoked: what it "
	    "stored is found by its next run", slot, s->session,
	    s->believed ? "silent for too long" : "not signed by its slot");
	l->revoked++;
	return 0;
}

static int look(void *ctx, const struct store_session_info *s,
    struct err *err)
{
	struct looking *l = ctx;
	struct gc *g = l->g;
	int64_t most = g->opt->silent_ns != 0 ? g->opt->silent_ns : SILENT_NS;
	bool silent = false;

	if (s->state != STORE_SESSION_OPEN || s->powerless ||
	    (s->believed && s->generation >= g->n))
		return 0;
	if (!g->weak && !g->opt->dry_run) {
		if (l->now_ns == 0 && store_clock(g->st, &l->now_ns, err) != 0)
			return -1;
		silent = !s->believed || l->now_ns - s->modified_ns >= most;
	}
	if (silent)
		return revoke(l, s, err);
	l->waiting++;
	if (g->opt->waiting != NULL)
		g->opt->waiting(g->opt->ctx, s);
	return 0;
}

/* Sleep, but not for long when it is time to stop. */
static int pause_ms(const struct gc *g, unsigned ms, struct err *err)
{
	for (unsigned done = 0; done < ms; done += PAUSE_FIRST_MS) {
		struct timespec t = { 0, PAUSE_FIRST_MS * 1000000L };

		if (store_gc_cancelled(g, err) != 0)
			return -1;
		nanosleep(&t, NULL);
	}
	return 0;
}

int store_gc_wait(struct gc *g, struct err *err)
{
	unsigned ms = PAUSE_FIRST_MS;

	for (;;) {
		struct looking l = { .g = g };

		if (store_gc_cancelled(g, err) != 0 ||
		    store_sessions(g->st, look, &l, err) != 0)
			return -1;
		g->ret->sessions_revoked += l.revoked;
		g->ret->sessions_waiting = l.waiting;
		if (l.again)
			continue;
		if (l.waiting == 0)
			return 0;
		if (!g->opt->wait || g->opt->dry_run)
			return 1;
		if (pause_ms(g, ms, err) != 0)
			return -1;
		ms = ms * 2 < PAUSE_MOST_MS ? ms * 2 : PAUSE_MOST_MS;
	}
}
