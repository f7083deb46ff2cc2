#include <stdint.h>

#include "repo/net/net_internal.h"

#define SEC INT64_C(1000000000)

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
	return v < low ? low : v > high ? high : v;
}

/*
 * A token bucket.  One second holds fifty pieces, so that requests share a slow
 * line fairly, and a piece is never so small that its cost tells.
 */
void net_rate_init(struct net_rate *r, uint64_t rate, int64_t now_ns)
{
	/* Nothing is that fast; products with ns fit 64 bits below it. */
	const uint64_t most = UINT64_C(1) << 40;

	r->rate = rate < most ? rate : most;
	r->piece = clamp((int64_t)(r->rate / 50), 1024, 64 << 10);
	r->burst = clamp((int64_t)(r->rate / 20), r->piece, INT64_MAX);
	r->tokens = r->burst;
	r->at_ns = now_ns;
}

static void count(struct net_rate *r, int64_t now_ns)
{
	/* A bucket is full after a second, however long it was idle. */
	int64_t ns = clamp(now_ns - r->at_ns, 0, SEC);
	int64_t more = (int64_t)((double)ns * (double)r->rate / (double)SEC);

	/* Less than a byte stays on the clock. */
	if (more == 0)
		return;
	r->at_ns = now_ns;
	r->tokens += more;
	if (r->tokens > r->burst)
		r->tokens = r->burst;
}

size_t net_rate_ready(struct net_rate *r, int64_t now_ns)
{
	if (r->rate == 0)
		return SIZE_MAX;
	count(r, now_ns);
	/* Whole pieces only: a few bytes at a time cost more than they move. */
	return r->tokens < r->piece ? 0 : (size_t)r->piece;
}

void net_rate_take(struct net_rate *r, size_t len)
{
	if (r->rate != 0)
		r->tokens -= (int64_t)len;
}

int64_t net_rate_wait(struct net_rate *r, int64_t now_ns)
{
	if (r->rate == 0)
		return 0;
	count(r, now_ns);

	/* Wait for a whole piece: who is woken shall have something to do. */
	int64_t lack = r->piece - r->tokens;

	if (lack <= 0)
		return 0;
	return (int64_t)((double)lack * (double)SEC / (double)r->rate) + 1;
}
