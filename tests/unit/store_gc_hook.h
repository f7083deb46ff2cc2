#ifndef TESTS_UNIT_STORE_GC_HOOK_H
#define TESTS_UNIT_STORE_GC_HOOK_H

#include <stdatomic.h>
#include <stdio.h>

#include "tests/unit/store_data.h"

/* A backend with a hook before each call, and calls that fail. */

struct hook {
	/* Called once, before the first call of `op` on a key with `part`. */
	enum backend_op op;
	const char *part;
	void (*fn)(void *ctx);
	void *ctx;
	bool done;
	/* Calls that count (those after the store is open) and fail. */
	bool counting;
	_Atomic uint64_t calls, puts, dels;
	uint64_t fail_at;        /* from that call on; 0: never */
	bool changes;            /* only calls that change something count */
	enum backend_fault first; /* of the first that fails */
	/* Puts on such keys find no space. */
	const char *full;
};

static enum backend_fault hook_decide(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	struct hook *h = ctx;
	uint64_t n;

	(void)count;
	if (!h->counting)
		return BACKEND_FAULT_NONE;
	if (h->fn != NULL && !h->done && op == h->op &&
	    strstr(key, h->part) != NULL) {
		h->done = true;
		h->fn(h->ctx);
	}
	if (op == BACKEND_PUT || op == BACKEND_PUT_OVER)
		atomic_fetch_add(&h->puts, 1);
	if (op == BACKEND_DEL)
		atomic_fetch_add(&h->dels, 1);
	n = atomic_load(&h->calls);
	if (!h->changes || op == BACKEND_PUT || op == BACKEND_PUT_OVER ||
	    op == BACKEND_DEL) {
		n = atomic_fetch_add(&h->calls, 1) + 1;
		if (h->fail_at != 0 && n == h->fail_at)
			return h->first;
	}
	if (h->fail_at != 0 && n >= h->fail_at)
		return BACKEND_FAULT_BEFORE;
	if (h->full != NULL && op == BACKEND_PUT &&
	    strstr(key, h->full) != NULL)
		return BACKEND_FAULT_FULL;
	return BACKEND_FAULT_NONE;
}

/* A store on mem whose calls go through h (NULL: nothing between). */
static inline struct store *hooked(struct backend *mem, struct hook *h)
{
	struct store_options opt = { .memory = 0 };
	struct err err = ERR_INIT;
	struct backend *be = keep_new(mem);
	struct store *st;

	if (h != NULL)
		be = backend_fault_new(be, hook_decide, h, &err);
	st = store_open(be, &by_pass, &opt, &err);
	if (st == NULL)
		fail_msg("store_open: %s", err.msg);
	if (h != NULL)
		h->counting = true;
	return st;
}

#endif
