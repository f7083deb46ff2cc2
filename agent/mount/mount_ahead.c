#include <stdlib.h>
#include <string.h>

#include "agent/mount/mount_internal.h"
#include "repo/base/mem.h"

#define WANTED_MAX 128u

struct wanted {
	const char *domain;
	uint8_t id[STORE_ID_LEN];
};

struct mount_ahead {
	struct mount *m;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct wanted ring[WANTED_MAX];
	unsigned first, n;
	bool ending;
	unsigned started;
	struct thread {
		struct mount_ahead *a;
		struct mount_tool tool;
		pthread_t id;
	} *threads;
};

static void *reader(void *arg)
{
	struct thread *th = arg;
	struct mount_ahead *a = th->a;
	struct mount_blob *x;
	struct err none;

	pthread_mutex_lock(&a->lock);
	while (!a->ending) {
		if (a->n == 0) {
			pthread_cond_wait(&a->wake, &a->lock);
			continue;
		}

		struct wanted w = a->ring[a->first];

		a->first = (a->first + 1) % WANTED_MAX;
		a->n--;
		pthread_mutex_unlock(&a->lock);
		/* What cannot be read is told to who asks for it. */
		if (mount_blob_hold(&th->tool, STORE_DATA, w.domain, w.id, &x, &none) == 0)
			mount_blob_drop(a->m, STORE_DATA, x);
		pthread_mutex_lock(&a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

int mount_ahead_start(struct mount *m, unsigned threads, struct err *err)
{
	struct mount_ahead *a = mem_zalloc(sizeof(*a), "reading ahead", err);

	if (a == NULL)
		return -1;
	a->m = m;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->wake, NULL);
	m->ahead = a;
	a->threads = mem_array(threads, sizeof(*a->threads), "reading ahead", err);
	if (a->threads == NULL)
		return -1;
	for (; a->started < threads; a->started++) {
		struct thread *th = &a->threads[a->started];
		int e;

		th->a = a;
		if (mount_tool_init(&th->tool, m, false, err) < 0)
			return -1;
		e = pthread_create(&th->id, NULL, reader, th);
		if (e != 0)
			return err_sys(err, e, "cannot start a thread");
	}
	return 0;
}

void mount_ahead_end(struct mount *m)
{
	struct mount_ahead *a = m->ahead;

	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	a->ending = true;
	pthread_cond_broadcast(&a->wake);
	pthread_mutex_unlock(&a->lock);
	for (unsigned i = 0; i < a->started; i++) {
		pthread_join(a->threads[i].id, NULL);
		mount_tool_release(&a->threads[i].tool);
	}
	pthread_cond_destroy(&a->wake);
	pthread_mutex_destroy(&a->lock);
	free(a->threads);
	free(a);
	m->ahead = NULL;
}

void mount_ahead_want(struct mount *m, const char *domain,
    const uint8_t id[STORE_ID_LEN])
{
	struct mount_ahead *a = m->ahead;

	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	if (a->n < WANTED_MAX) {
		struct wanted *w = &a->ring[(a->first + a->n++) % WANTED_MAX];

		w->domain = domain;
		memcpy(w->id, id, STORE_ID_LEN);
		pthread_cond_signal(&a->wake);
	}
	pthread_mutex_unlock(&a->lock);
}
