#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "agent/engine/uploads.h"
#include "repo/base/mem.h"

struct upload_job {
	void (*fn)(void *arg);
	void *arg;
};

struct uploads {
	pthread_mutex_t lock;
	pthread_cond_t work, room;
	struct upload_job *jobs; /* a ring of depth */
	unsigned depth, first, used;
	bool ending;
	unsigned started;
	pthread_t *threads;
};

static void *uploader(void *arg)
{
	struct uploads *u = arg;

	pthread_mutex_lock(&u->lock);
	for (;;) {
		if (u->used > 0) {
			struct upload_job job = u->jobs[u->first];

			u->first = (u->first + 1) % u->depth;
			u->used--;
			pthread_cond_signal(&u->room);
			pthread_mutex_unlock(&u->lock);
			job.fn(job.arg);
			pthread_mutex_lock(&u->lock);
			continue;
		}
		if (u->ending)
			break;
		pthread_cond_wait(&u->work, &u->lock);
	}
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

struct uploads *uploads_new(unsigned threads, unsigned depth, struct err *err)
{
	struct uploads *u = mem_zalloc(sizeof(*u), "the upload threads", err);

	if (u == NULL)
		return NULL;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->work, NULL);
	pthread_cond_init(&u->room, NULL);
	u->depth = depth;
	u->jobs = mem_array(depth, sizeof(*u->jobs), "the upload queue", err);
	u->threads = mem_array(threads, sizeof(*u->threads), "the upload threads", err);
	if (u->jobs == NULL || u->threads == NULL)
		goto fail;
	for (; u->started < threads; u->started++) {
		int e = pthread_create(&u->threads[u->started], NULL, uploader, u);

		if (e != 0) {
			err_sys(err, e, "cannot start an upload thread");
			goto fail;
		}
	}
	return u;
fail:
	uploads_free(u);
	return NULL;
}

void uploads_free(struct uploads *u)
{
	if (u == NULL)
		return;
	pthread_mutex_lock(&u->lock);
	u->ending = true;
	pthread_cond_broadcast(&u->work);
	pthread_mutex_unlock(&u->lock);
	for (unsigned i = 0; i < u->started; i++)
		pthread_join(u->threads[i], NULL);
	pthread_cond_destroy(&u->room);
	pthread_cond_destroy(&u->work);
	pthread_mutex_destroy(&u->lock);
	free(u->threads);
	free(u->jobs);
	free(u);
}

void uploads_submit(void *ctx, void (*fn)(void *arg), void *arg)
{
	struct uploads *u = ctx;

	pthread_mutex_lock(&u->lock);
	while (u->used == u->depth)
		pthread_cond_wait(&u->room, &u->lock);
	u->jobs[(u->first + u->used) % u->depth] = (struct upload_job){ fn, arg };
	u->used++;
	pthread_cond_signal(&u->work);
	pthread_mutex_unlock(&u->lock);
}
