#include <pthread.h>
#include <stdlib.h>

#include "agent/engine/pool.h"
#include "repo/base/mem.h"

struct queue {
	struct pool_task *head;
	struct pool_task **tail;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct queue urgent, normal;
	bool ending;
	unsigned size, started;
	struct thread {
		struct pool *pool;
		unsigned self;
		pthread_t id;
	} *threads;
};

static void queue_init(struct queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void queue_put(struct queue *q, struct pool_task *t)
{
	t->next = NULL;
	*q->tail = t;
	q->tail = &t->next;
}

static struct pool_task *queue_get(struct queue *q)
{
	struct pool_task *t = q->head;

	if (t != NULL) {
		q->head = t->next;
		if (q->head == NULL)
			q->tail = &q->head;
	}
	return t;
}

static void *worker(void *arg)
{
	struct thread *th = arg;
	struct pool *p = th->pool;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct pool_task *t = queue_get(&p->urgent);

		if (t == NULL)
			t = queue_get(&p->normal);
		if (t != NULL) {
			pthread_mutex_unlock(&p->lock);
			t->fn(t, th->self);
			pthread_mutex_lock(&p->lock);
			continue;
		}
		if (p->ending)
			break;
		pthread_cond_wait(&p->work, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct pool *pool_new(unsigned n, struct err *err)
{
	struct pool *p = mem_zalloc(sizeof(*p), "the workers", err);

	if (p == NULL)
		return NULL;
	queue_init(&p->urgent);
	queue_init(&p->normal);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	p->size = n;
	p->threads = mem_array(n, sizeof(*p->threads), "the workers", err);
	if (p->threads == NULL)
		goto fail;
	for (; p->started < n; p->started++) {
		struct thread *th = &p->threads[p->started];

		th->pool = p;
		th->self = p->started;
		int e = pthread_create(&th->id, NULL, worker, th);

		if (e != 0) {
			err_sys(err, e, "cannot start a worker thread");
			goto fail;
		}
	}
	return p;
fail:
	pool_free(p);
	return NULL;
}

void pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->started; i++)
		pthread_join(p->threads[i].id, NULL);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p->threads);
	free(p);
}

unsigned pool_size(const struct pool *p)
{
	return p->size;
}

void pool_submit(struct pool *p, struct pool_task *task, bool urgent)
{
	pthread_mutex_lock(&p->lock);
	queue_put(urgent ? &p->urgent : &p->normal, task);
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

bool pool_help(struct pool *p, unsigned self)
{
	pthread_mutex_lock(&p->lock);
	struct pool_task *t = queue_get(&p->urgent);
	pthread_mutex_unlock(&p->lock);
	if (t == NULL)
		return false;
	t->fn(t, self);
	return true;
}

void pool_help_until(struct pool *p, unsigned self, pthread_mutex_t *lock,
    pthread_cond_t *cond, const bool *done)
{
	pthread_mutex_lock(lock);
	while (!*done) {
		pthread_mutex_unlock(lock);

		bool helped = pool_help(p, self);

		pthread_mutex_lock(lock);
		if (!helped && !*done)
			pthread_cond_wait(cond, lock);
	}
	pthread_mutex_unlock(lock);
}
