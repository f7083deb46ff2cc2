#ifndef AGENT_ENGINE_POOL_H
#define AGENT_ENGINE_POOL_H

#include <pthread.h>
#include <stdbool.h>

#include "repo/base/err.h"

/*
 * A fixed number of worker threads.  A task is a member of what it works on,
 * so that queueing one allocates nothing and cannot fail.
 */

struct pool;

struct pool_task {
	/* self: index of the worker that runs it, below the pool's size. */
	void (*fn)(struct pool_task *task, unsigned self);
	struct pool_task *next;
};

/* n threads, at least 1.  NULL with err. */
struct pool *pool_new(unsigned n, struct err *err);

/* Wait until everything queued has run, then end the threads; NULL is fine. */
void pool_free(struct pool *p);

unsigned pool_size(const struct pool *p);

/*
 * Queue a task; it belongs to the pool until its fn runs.  Urgent ones run
 * before all others: chunks of a file that is being read, so that their
 * buffers come back.
 */
void pool_submit(struct pool *p, struct pool_task *task, bool urgent);

/*
 * Run one urgent task in the calling thread as worker self, if there is one.
 * Return true when one was run.  For a worker that waits for urgent tasks of
 * its own making: without this all workers could wait for each other.
 */
bool pool_help(struct pool *p, unsigned self);

/*
 * Do so until *done, which an urgent task sets under lock and tells by cond; wait
 * for that when there is none to run.
 */
void pool_help_until(struct pool *p, unsigned self, pthread_mutex_t *lock,
    pthread_cond_t *cond, const bool *done);

#endif
