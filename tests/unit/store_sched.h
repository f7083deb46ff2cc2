#ifndef TESTS_UNIT_STORE_SCHED_H
#define TESTS_UNIT_STORE_SCHED_H

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

#include "tests/unit/store_data.h"
#include "tests/unit/store_sim.h"

/*
 * Threads that run one at a time, each as far as its next call of the backend:
 * so a test, or a seed, decides how the steps of writers, collectors and
 * readers are interleaved, and the same decisions give the same run.
 */

struct sched;

struct actor {
	struct sched *s;
	char name[16];
	void (*run)(struct actor *a);
	void *arg;
	pthread_t thread;
	sem_t go;
	bool done, killed;    /* killed: every further call fails */
	int64_t skew_ns;
	const char *op;       /* what it does when it gets its next step */
	char key[BACKEND_KEY_MAX + 1];
};

#define ACTORS 12

/* A put that is still on its way: it may arrive until `until_ns`, or never. */
struct late_put {
	char key[BACKEND_KEY_MAX + 1];
	uint8_t *data;
	size_t len;
	int64_t until_ns;
};

/* What becomes of a put: its answer is lost, it arrives later, or twice. */
enum lost { LOST_NOT, LOST_ANSWER, LOST_LATE, LOST_TWICE };

struct sched {
	struct backend *mem;
	struct actor a[ACTORS];
	unsigned n;
	sem_t back;           /* an actor has come to its next call, or its end */
	struct buf trace;     /* of all steps, for who has to understand them */
	/* Called after each call that changed something; nothing else runs. */
	void (*changed)(void *ctx, const char *op, const char *key);
	void *ctx;
	bool slow_lists;      /* listings take several steps and any order */
	unsigned lose;        /* one in so many commits is lost; other puts: an */
	                      /* eighth of that; 0: none */
	unsigned lost;        /* how the next commit is, if not LOST_NOT */
	struct late_put late[4];
	unsigned nlate;
};

static inline void sched_say(struct sched *s, const char *who, const char *what,
    const char *key, int r)
{
	char line[BACKEND_KEY_MAX + 300];
	int n = snprintf(line, sizeof(line), "%s %s %s%s\n", who, what, key,
	    r == 0 ? "" : r > 0 ? ": 1" : ": failed");

	buf_add(&s->trace, line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* An actor comes to its next call: let the test decide who goes on. */
static inline void actor_pause(struct actor *a, const char *op, const char *key)
{
	a->op = op;
	snprintf(a->key, sizeof(a->key), "%s", key);
	sem_post(&a->s->back);
	while (sem_wait(&a->go) != 0)
		;
	sim_pass(SIM_MS);
}

/* --- giving steps -----------------------------------------------------------------*/

static inline void *actor_main(void *arg)
{
	struct actor *a = arg;

	sim_skew_ns = a->skew_ns;
	actor_pause(a, "start", "");
	a->run(a);
	a->done = true;
	sem_post(&a->s->back);
	return NULL;
}

static inline void sched_wait(struct sched *s)
{
	while (sem_wait(&s->back) != 0)
		;
}

/* Make an actor; it waits before its first instruction. */
static inline struct actor *sched_add(struct sched *s, const char *name,
    void (*run)(struct actor *a), void *arg, int64_t skew_ns)
{
	struct actor *a = &s->a[s->n++];

	assert_true(s->n <= ACTORS);
	*a = (struct actor){ .s = s, .run = run, .arg = arg,
		.skew_ns = skew_ns };
	snprintf(a->name, sizeof(a->name), "%s", name);
	sem_init(&a->go, 0, 0);
	assert_int_equal(pthread_create(&a->thread, NULL, actor_main, a), 0);
	sched_wait(s);
	return a;
}

/* Let a do one step: the call that it waits with, and all up to the next. */
static inline void sched_step(struct actor *a)
{
	assert_false(a->done);
	sem_post(&a->go);
	sched_wait(a->s);
}

/* Let a run to its end. */
static inline void run_out(struct actor *a)
{
	while (!a->done)
		sched_step(a);
}

/*
 * Let a run until it is about to do op on a key that has part in it.  Return
 * false when it came to its end before.
 */
static inline bool run_until(struct actor *a, const char *op, const char *part)
{
	while (!a->done) {
		if (strcmp(a->op, op) == 0 && strstr(a->key, part) != NULL)
			return true;
		sched_step(a);
	}
	return false;
}

/* From now on all that it does fails; it comes to its end at once. */
static inline void sched_kill(struct actor *a)
{
	a->killed = true;
	sched_say(a->s, a->name, "dies before", a->op, 0);
	run_out(a);
}

static inline void sched_init(struct sched *s, struct backend *mem)
{
	*s = (struct sched){ .mem = mem, .trace = BUF_INIT };
	sem_init(&s->back, 0, 0);
}

/* All actors have come to their end. */
static inline void sched_release(struct sched *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		assert_true(s->a[i].done);
		pthread_join(s->a[i].thread, NULL);
		sem_destroy(&s->a[i].go);
	}
	for (unsigned i = 0; i < s->nlate; i++)
		free(s->late[i].data);
	sem_destroy(&s->back);
	buf_release(&s->trace);
}

#endif
