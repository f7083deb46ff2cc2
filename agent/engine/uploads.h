#ifndef AGENT_ENGINE_UPLOADS_H
#define AGENT_ENGINE_UPLOADS_H

#include "repo/base/err.h"

/*
 * A few threads that carry finished packs to the store: they sleep in I/O and
 * must not take a worker's place.  At most `depth` jobs wait; submit blocks
 * while there are more.
 */
struct uploads;
struct uploads *uploads_new(unsigned threads, unsigned depth, struct err *err);
void uploads_free(struct uploads *u); /* runs what is queued; NULL is fine */
void uploads_submit(void *u, void (*fn)(void *arg), void *arg);

#endif
