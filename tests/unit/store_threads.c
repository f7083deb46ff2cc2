/* Many threads put, executors store, segments are written meanwhile. */

#include <pthread.h>
#include <stdio.h>

#include "repo/store/store_check.h"
#include "tests/unit/store_data.h"

/* Fails everything from the moment that *ctx is set: the machine is gone. */
static enum backend_fault cut_off(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	(void)op;
	(void)key;
	(void)count;
	return *(bool *)ctx ? BACKEND_FAULT_BEFORE : BACKEND_FAULT_NONE;
}

#define THREADS 4
#define BLOBS 300

struct putter {
	struct store *st;
	struct store_session *s;
	unsigned seed;
	unsigned stored;
	pthread_t thread;
};

static void *putter_run(void *arg)
{
	struct putter *p = arg;
	struct store_worker *w = worker(p->st);

	for (uint64_t i = 0; i < BLOBS; i++) {
		/* All put the same blobs, each in another order. */
		uint64_t n = (i * 7 + p->seed * 61) % BLOBS;

		p->stored += put_n(p->s, w, STORE_DATA + n % 3, n,
		    5000 + n * 100, NULL);
	}
	store_worker_free(w);
	return NULL;
}

static void threads_store_each_blob_once(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_session *s = begin(st);
	struct putter p[THREADS];
	struct store_session_stats stats;
	unsigned stored = 0;
	char snap[17];
	struct store_worker *w;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		p[i] = (struct putter){ .st = st, .s = s, .seed = i };
		assert_int_equal(pthread_create(&p[i].thread, NULL, putter_run,
		    &p[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(p[i].thread, NULL);
		stored += p[i].stored;
	}
	assert_int_equal(stored, BLOBS);
	store_session_stats(s, &stats);
	assert_int_equal(stats.blobs_new, BLOBS);
	assert_int_equal(stats.blobs_known, (THREADS - 1) * BLOBS);
	commit_n(s, NULL, snap);
	store_close(st);
	st = reopen(mem);
	w = worker(st);
	s = begin(st);
	for (uint64_t n = 0; n < BLOBS; n++) {
		uint8_t id[32];

		assert_false(put_n(s, w, STORE_DATA + n % 3, n, 5000 + n * 100,
		    id));
		expect_n(st, w, STORE_DATA + n % 3, id, n, 5000 + n * 100);
	}
	store_session_abort(s);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

/* Runs each job in a thread of its own, four at a time at most. */
struct runner {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned running, most;
};

struct run {
	struct runner *r;
	void (*fn)(void *arg);
	void *arg;
};

static void *runner_thread(void *arg)
{
	struct run run = *(struct run *)arg;

	free(arg);
	run.fn(run.arg);
	pthread_mutex_lock(&run.r->lock);
	run.r->running--;
	pthread_cond_broadcast(&run.r->changed);
	pthread_mutex_unlock(&run.r->lock);
	return NULL;
}

static void runner_submit(void *ctx, void (*fn)(void *arg), void *arg)
{
	struct runner *r = ctx;
	struct run *run = malloc(sizeof(*run));
	pthread_t t;

	*run = (struct run){ r, fn, arg };
	pthread_mutex_lock(&r->lock);
	while (r->running >= 4)
		pthread_cond_wait(&r->changed, &r->lock);
	if (++r->running > r->most)
		r->most = r->running;
	pthread_mutex_unlock(&r->lock);
	assert_int_equal(pthread_create(&t, NULL, runner_thread, run), 0);
	pthread_detach(t);
}

static void runner_drain(struct runner *r)
{
	pthread_mutex_lock(&r->lock);
	while (r->running > 0)
		pthread_cond_wait(&r->changed, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

static void on_damage(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	(void)id;
	(*(unsigned *)ctx)++;
	print_message("%s: %s\n", key, what);
}

static void packs_are_stored_by_an_executor(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct runner r = { .lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER };
	struct store_session_options opt = {
		.volume = "vol", .content = STORE_TREE, .parent = "auto",
		.pack_buffers = 8, .executor = { runner_submit, &r },
	};
	struct store_check_options check = {
		.read_percent = 100, .threads = 3,
		.executor = { runner_submit, &r },
	};
	struct store_check_result res;
	struct store_session *s;
	struct putter p[THREADS];
	struct err err = ERR_INIT;
	unsigned stored = 0, damage = 0;
	char snap[17];

	(void)state;
	s = store_session_begin(st, &opt, &err);
	assert_non_null(s);
	for (unsigned i = 0; i < THREADS; i++) {
		p[i] = (struct putter){ .st = st, .s = s, .seed = i };
		assert_int_equal(pthread_create(&p[i].thread, NULL, putter_run,
		    &p[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(p[i].thread, NULL);
		stored += p[i].stored;
	}
	assert_int_equal(stored, BLOBS);
	commit_n(s, NULL, snap);
	ok(store_check(st, &check, on_damage, &damage, &res, &err));
	assert_int_equal(damage, 0);
	assert_int_equal(res.blobs, BLOBS);
	assert_int_equal(res.packs_read, res.packs);
	runner_drain(&r);
	store_close(st);
	backend_close(mem);
}

static void a_failure_in_the_executor_reaches_every_putter(void **state)
{
	struct backend *mem = new_repository();
	struct err err = ERR_INIT;
	bool gone = false;
	struct backend *be = backend_fault_new(keep_new(mem), cut_off, &gone,
	    &err);
	struct store *st = store_open(be, &by_pass, NULL, &err);
	struct runner r = { .lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER };
	struct store_session_options opt = {
		.volume = "vol", .content = STORE_TREE, .parent = "auto",
		.pack_buffers = 4, .executor = { runner_submit, &r },
	};
	struct store_commit c = { .size = 1 };
	struct store_put_result res;
	struct store_session *s = store_session_begin(st, &opt, &err);
	struct store_worker *w = worker(st);
	char snap[17];
	int failed = 0;

	(void)state;
	assert_non_null(s);
	gone = true;
	for (uint64_t n = 0; n < 100 && !failed; n++)
		failed = put_as(s, w, STORE_DATA, 2 * n + 1, 200000, &res, &err);
	assert_int_equal(failed, -1);
	assert_int_equal(err.class, ERR_TRANSIENT);
	assert_int_equal(put_as(s, w, STORE_DATA, 1, 100, &res, &err), -1);
	assert_int_equal(store_session_commit(s, &c, snap, &err), -1);
	assert_int_equal(err.class, ERR_TRANSIENT);
	runner_drain(&r);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

/* Holds a segment back until another pack has been stored after it. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned packs;
	bool held;
};

static enum backend_fault hold_segment(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	struct gate *g = ctx;

	(void)count;
	if (op != BACKEND_PUT)
		return BACKEND_FAULT_NONE;
	pthread_mutex_lock(&g->lock);
	if (strncmp(key, "packs/", 6) == 0) {
		g->packs++;
		pthread_cond_broadcast(&g->changed);
	} else if (strncmp(key, "index/", 6) == 0 && !g->held) {
		unsigned want = g->packs + 2;

		g->held = true;
		while (g->packs < want)
			pthread_cond_wait(&g->changed, &g->lock);
	}
	pthread_mutex_unlock(&g->lock);
	return BACKEND_FAULT_NONE;
}

static void packs_that_arrive_while_a_segment_is_written_are_named(void **state)
{
	struct backend *mem = new_repository();
	struct gate g = { .lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER };
	struct runner r = { .lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER };
	struct err err = ERR_INIT;
	struct store *st = store_open(backend_fault_new(keep_new(mem),
	    hold_segment, &g, &err), &by_pass, NULL, &err);
	struct store_session_options opt = {
		.volume = "vol", .content = STORE_TREE, .parent = "auto",
		.pack_buffers = 8, .executor = { runner_submit, &r },
	};
	struct store_session *s = store_session_begin(st, &opt, &err);
	struct store_worker *w = worker(st);
	uint64_t total = 150000;
	char snap[17];

	(void)state;
	for (uint64_t n = 0; n < total; n++)
		put_n(s, w, STORE_DATA, 2 * n + 1, 24, NULL);
	assert_true(g.held);
	commit_n(s, NULL, snap);
	runner_drain(&r);
	store_worker_free(w);
	store_close(st);
	st = reopen(mem);
	w = worker(st);
	s = begin(st);
	for (uint64_t n = 0; n < total; n++)
		assert_false(put_n(s, w, STORE_DATA, 2 * n + 1, 24, NULL));
	store_session_abort(s);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_store_each_blob_once),
		cmocka_unit_test(packs_are_stored_by_an_executor),
		cmocka_unit_test(
		    packs_that_arrive_while_a_segment_is_written_are_named),
		cmocka_unit_test(a_failure_in_the_executor_reaches_every_putter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
