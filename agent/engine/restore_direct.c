#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/restore_internal.h"

/*
 * Large files are written around the page cache: copying into it and writing
 * it back costs a core more than everything else that is done to the bytes.
 * That needs whole blocks, and chunks end anywhere: the block in which one
 * ends and the next one begins is put together here.  When too many blocks
 * wait for their other part, one is read, changed and written.
 */
#define BLOCK 4096u
#define EDGES_MAX 64u

struct redge {
	struct redge *next;
	uint64_t block;      /* offset in the file, a multiple of BLOCK */
	uint8_t *data;       /* BLOCK bytes, aligned */
	unsigned filled;     /* of them are known */
	uint8_t known[BLOCK / 8];
};

struct job {
	struct ritem *it;
	uint64_t at;
	size_t len;
	const uint8_t *bytes;
	struct fetch_kept *kept;
};

static void edge_free(struct redge *e)
{
	free(e->data);
	free(e);
}

static struct redge *edge_new(uint64_t block)
{
	struct redge *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->block = block;
	e->data = aligned_alloc(BLOCK, BLOCK);
	if (e->data == NULL) {
		free(e);
		return NULL;
	}
	return e;
}

static bool is_known(const struct redge *e, unsigned i)
{
	return (e->known[i / 8] >> (i % 8)) & 1;
}

static void edge_fill(struct redge *e, unsigned off, const uint8_t *p, unsigned len)
{
	memcpy(e->data + off, p, len);
	for (unsigned i = off; i < off + len; i++) {
		e->filled += !is_known(e, i);
		e->known[i / 8] |= (uint8_t)(1u << (i % 8));
	}
}

/* Read the block, put in what is known, and write it.  0 or errno. */
static int edge_merge(const struct redge *e, int fd)
{
	uint8_t *block = aligned_alloc(BLOCK, BLOCK);
	int err = block == NULL ? ENOMEM : restore_pread(fd, block, BLOCK, e->block);

	if (err == 0) {
		for (unsigned i = 0; i < BLOCK; i++)
			if (is_known(e, i))
				block[i] = e->data[i];
		err = restore_pwrite(fd, block, BLOCK, e->block);
	}
	free(block);
	return err;
}

/* Find the block's edge, or make one; the lock is held. */
static struct redge *edge_get(struct ritem *it, int fd, uint64_t block, int *ret_err)
{
	struct redge **at = &it->edges, *e;

	for (; *at != NULL; at = &(*at)->next)
		if ((*at)->block == block)
			return *at;
	/* The oldest one is the last; a file's last block cannot be merged. */
	if (it->nedges >= EDGES_MAX) {
		for (at = &it->edges; (*at)->next != NULL; at = &(*at)->next)
			;
		e = *at;
		if (e->block + BLOCK <= it->size) {
			*at = NULL;
			it->nedges--;
			*ret_err = edge_merge(e, fd);
			edge_free(e);
			if (*ret_err != 0)
				return NULL;
		}
	}
	e = edge_new(block);
	if (e == NULL) {
		*ret_err = ENOMEM;
		return NULL;
	}
	e->next = it->edges;
	it->edges = e;
	it->nedges++;
	return e;
}

static void edge_take(struct ritem *it, struct redge *e)
{
	struct redge **at = &it->edges;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	it->nedges--;
}

/* A part of one block.  0 or errno. */
static int put_edge(struct ritem *it, int fd, uint64_t at, const uint8_t *p, size_t len)
{
	struct restore *r = it->r;
	struct redge *e;
	int err = 0;

	if (len == 0)
		return 0;
	pthread_mutex_lock(&r->edges_lock);
	e = edge_get(it, fd, at / BLOCK * BLOCK, &err);
	if (e != NULL) {
		edge_fill(e, (unsigned)(at % BLOCK), p, (unsigned)len);
		if (e->filled == BLOCK)
			edge_take(it, e);
		else
			e = NULL;
	}
	pthread_mutex_unlock(&r->edges_lock);
	if (e != NULL) {
		err = restore_pwrite(fd, e->data, BLOCK, e->block);
		edge_free(e);
	}
	return err;
}

static int write_job(const struct job *j, int fd)
{
	size_t head = (BLOCK - j->at % BLOCK) % BLOCK, middle, tail;
	int err;

	if (head > j->len)
		head = j->len;
	middle = (j->len - head) / BLOCK * BLOCK;
	tail = j->len - head - middle;
	err = put_edge(j->it, fd, j->at, j->bytes, head);
	if (err == 0 && middle > 0)
		err = restore_pwrite(fd, j->bytes + head, middle, j->at + head);
	if (err == 0)
		err = put_edge(j->it, fd, j->at + head + middle, j->bytes + head + middle,
		    tail);
	return err;
}

static void run(void *arg)
{
	struct job *j = arg;
	struct ritem *it = j->it;
	struct fetch *f = it->r->fetch;
	int fd = restore_stopped(it->r) ? -1 : restore_file_pin(it);

	if (fd >= 0) {
		int err = write_job(j, fd);

		if (err != 0)
			restore_file_failed(it, err, "write");
		else
			restore_file_wrote(it, j->len);
		restore_file_unpin(it);
	}
	fetch_give(f, j->kept);
	free(j);

	struct restore *r = it->r;

	restore_item_part(it, 0);
	restore_busy(r, -1);
}

void restore_direct_write(struct ritem *it, const struct need *n,
    const uint8_t *bytes, struct fetch_kept *kept)
{
	struct restore *r = it->r;
	struct job *j = malloc(sizeof(*j));

	if (j == NULL) {
		restore_file_failed(it, ENOMEM, "write");
		fetch_give(r->fetch, kept);
		restore_item_part(it, 0);
		return;
	}
	*j = (struct job){ it, n->at, n->len, bytes, kept };
	restore_busy(r, 1);
	uploads_submit(r->e->uploads, run, j);
}

/* Write what is known of a block, run by run.  0 or errno. */
static int edge_write(const struct redge *e, int fd)
{
	unsigned from = 0;
	int err = 0;

	while (err == 0 && from < BLOCK) {
		unsigned to = from;

		while (to < BLOCK && is_known(e, to))
			to++;
		if (to > from)
			err = restore_pwrite(fd, e->data + from, to - from, e->block + from);
		from = to + 1;
	}
	return err;
}

void restore_direct_finish(struct ritem *it, int fd)
{
	int err = 0;

	/* No other thread has anything to do with the file any more. */
	if (it->edges != NULL && fcntl(fd, F_SETFL, O_RDWR) < 0)
		err = errno;
	for (const struct redge *e = it->edges; e != NULL && err == 0; e = e->next)
		err = edge_write(e, fd);
	if (err != 0)
		restore_file_failed(it, err, "write");
}

void restore_direct_drop(struct ritem *it)
{
	while (it->edges != NULL) {
		struct redge *e = it->edges;

		it->edges = e->next;
		edge_free(e);
	}
}
