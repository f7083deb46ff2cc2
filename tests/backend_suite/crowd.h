#ifndef TESTS_BACKEND_SUITE_CROWD_H
#define TESTS_BACKEND_SUITE_CROWD_H

/* What several threads do at once. */

#include "tests/backend_suite/tools.h"

#define SUITE_THREADS 8

struct suite_crowd {
	struct backend *be;
	pthread_barrier_t start;
	unsigned rounds;
	_Atomic unsigned wins[64], losses[64], winner[64];
	_Atomic unsigned errors;
	_Atomic bool done;
};

struct suite_one {
	struct suite_crowd *crowd;
	unsigned number;
};

static void suite_crowd_run(struct suite_crowd *c,
    void *(*fn)(void *))
{
	struct suite_one ones[SUITE_THREADS];
	pthread_t threads[SUITE_THREADS];

	assert_int_equal(pthread_barrier_init(&c->start, NULL,
	    SUITE_THREADS), 0);
	for (unsigned i = 0; i < SUITE_THREADS; i++) {
		ones[i] = (struct suite_one){ c, i };
		assert_int_equal(pthread_create(&threads[i], NULL, fn,
		    &ones[i]), 0);
	}
	for (unsigned i = 0; i < SUITE_THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&c->start);
}

/* All put one new key at once, then go on to the next. */
static void *suite_racer(void *arg)
{
	struct suite_one *o = arg;
	struct suite_crowd *c = o->crowd;
	struct err err = ERR_INIT;
	uint8_t data[5000];
	char key[40];

	suite_fill(data, sizeof(data), o->number);
	for (unsigned i = 0; i < c->rounds; i++) {
		snprintf(key, sizeof(key), "race/%u/%u", i % 4, i);
		pthread_barrier_wait(&c->start);

		int rc = backend_put(c->be, key, data, sizeof(data), &err);

		if (rc == 0) {
			c->wins[i]++;
			c->winner[i] = o->number;
		} else if (rc == 1) {
			c->losses[i]++;
		} else {
			c->errors++;
		}
	}
	return NULL;
}

static void suite_of_racing_puts_one_wins(void **state)
{
	const struct suite *s = *state;
	struct backend *be = s->be;
	struct suite_crowd c = { .be = be, .rounds = 40 };
	struct backend_caps caps;
	uint8_t data[5000];
	char key[40];

	backend_caps(be, &caps);
	if (!caps.atomic_create || s->racy)
		skip();
	suite_crowd_run(&c, suite_racer);
	assert_int_equal(c.errors, 0);
	for (unsigned i = 0; i < c.rounds; i++) {
		assert_int_equal(c.wins[i], 1);
		assert_int_equal(c.losses[i], SUITE_THREADS - 1);
		snprintf(key, sizeof(key), "race/%u/%u", i % 4, i);
		suite_fill(data, sizeof(data), c.winner[i]);
		suite_is(be, key, data, sizeof(data));
	}
}

/* Thread 0 replaces one object again and again, the others read it. */
static void *suite_replacer(void *arg)
{
	struct suite_one *o = arg;
	struct suite_crowd *c = o->crowd;
	struct err err = ERR_INIT;
	uint8_t data[9000];

	pthread_barrier_wait(&c->start);
	for (unsigned i = 0; o->number == 0 && i < c->rounds; i++) {
		size_t len = 1 + i * 271 % sizeof(data);

		/* Its bytes are all alike and tell its length. */
		memset(data, (int)(len % 251), len);
		if (backend_put_over(c->be, "s/x", data, len, &err) != 0)
			c->errors++;
	}
	if (o->number == 0)
		c->done = true;
	while (!c->done) {
		uint8_t *got = NULL;
		size_t len = 0;
		int rc = backend_get_all(c->be, "s/x", 9000, &got, &len, &err);

		/* Too fast for get_all to keep up is allowed. */
		if (rc < 0 && err.class == ERR_TRANSIENT)
			continue;
		if (rc != 0)
			c->errors++;
		for (size_t i = 0; rc == 0 && i < len; i++) {
			if (got[i] != len % 251) {
				c->errors++;
				break;
			}
		}
		free(got);
	}
	return NULL;
}

static void suite_readers_see_the_old_or_the_new(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct suite_crowd c = { .be = be, .rounds = 150 };
	uint8_t first = 1;
	struct err err = ERR_INIT;

	assert_int_equal(backend_put(be, "s/x", &first, 1, &err), 0);
	suite_crowd_run(&c, suite_replacer);
	assert_int_equal(c.errors, 0);
}

/* Each puts and removes its own object; what they share is the place. */
static void *suite_churner(void *arg)
{
	struct suite_one *o = arg;
	struct suite_crowd *c = o->crowd;
	struct err err = ERR_INIT;
	char key[40];

	snprintf(key, sizeof(key), "index/s/t/%u", o->number);
	pthread_barrier_wait(&c->start);
	for (unsigned i = 0; i < c->rounds; i++) {
		int rc = o->number % 2 ?
		    backend_put(c->be, key, "x", 1, &err) :
		    backend_put_over(c->be, key, "x", 1, &err);

		if (rc != 0 || backend_del(c->be, key, &err) != 0) {
			fprintf(stderr, "%d: %s\n", rc, err.msg);
			c->errors++;
		}
	}
	return NULL;
}

static void suite_places_that_empty_and_fill_lose_nothing(void **state)
{
	struct backend *be = ((struct suite *)*state)->be;
	struct suite_crowd c = { .be = be, .rounds = 60 };

	suite_crowd_run(&c, suite_churner);
	assert_int_equal(c.errors, 0);
	SUITE_LISTS_NONE(be, "");
}

#endif
