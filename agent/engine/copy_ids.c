#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/copy_ids.h"
#include "agent/engine/spill.h"
#include "agent/engine/table.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"

/* Pairs stand in an unnamed file, both ids whole; the table says which. */
#define PAIR 64u

struct copy_ids {
	pthread_mutex_t lock;
	struct table *table;
	int fd;
	uint64_t n;
};

struct copy_ids *copy_ids_new(size_t memory, struct err *err)
{
	struct copy_ids *s = mem_zalloc(sizeof(*s), "a table of ids", err);

	if (s == NULL)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->fd = spill_open(err);
	s->table = s->fd < 0 ? NULL : table_new(memory, err);
	if (s->table == NULL) {
		copy_ids_free(s);
		return NULL;
	}
	return s;
}

void copy_ids_free(struct copy_ids *s)
{
	if (s == NULL)
		return;
	table_free(s->table);
	if (s->fd >= 0)
		close(s->fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Under lock. */
static int get(struct copy_ids *s, const uint8_t id[32], uint8_t ret[32],
    struct err *err)
{
	uint8_t pair[PAIR];
	uint64_t at;
	int r = table_get(s->table, le64_get(id), le64_get(id + 8), &at, err);

	if (r != 0)
		return r;
	if (spill_read(s->fd, pair, sizeof(pair), at * PAIR, err) < 0)
		return -1;
	/* Two ids that begin alike: who makes such gains nothing by it. */
	if (memcmp(pair, id, 32) != 0)
		return 1;
	memcpy(ret, pair + 32, 32);
	return 0;
}

int copy_ids_get(struct copy_ids *s, const uint8_t id[32], uint8_t ret[32],
    struct err *err)
{
	int r;

	pthread_mutex_lock(&s->lock);
	r = get(s, id, ret, err);
	pthread_mutex_unlock(&s->lock);
	return r;
}

int copy_ids_put(struct copy_ids *s, const uint8_t id[32],
    const uint8_t other[32], struct err *err)
{
	uint8_t pair[PAIR];
	uint64_t there;
	int r;

	memcpy(pair, id, 32);
	memcpy(pair + 32, other, 32);
	pthread_mutex_lock(&s->lock);
	r = spill_write(s->fd, pair, sizeof(pair), s->n * PAIR, err);
	if (r == 0)
		r = table_add(s->table, le64_get(id), le64_get(id + 8), s->n,
		    &there, err);
	if (r > 0)
		r = table_set(s->table, le64_get(id), le64_get(id + 8), s->n,
		    err);
	if (r == 0)
		s->n++;
	pthread_mutex_unlock(&s->lock);
	return r;
}
