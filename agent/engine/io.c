#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/io.h"
#include "repo/base/mem.h"

/* Threads behind an io without io_uring: enough to keep a disk busy. */
#define IO_THREADS 4

struct io_ops {
	int (*start)(struct io *io, struct io_op *op, struct err *err);
	int (*wait)(struct io *io, struct io_op **ret_op, struct err *err);
	void (*close)(struct io *io);
};

struct io {
	const struct io_ops *ops;
	unsigned depth, under_way;
	struct io_uring ring;
	/* Threads: ops to do and ops done. */
	pthread_mutex_t lock;
	pthread_cond_t work, ended;
	struct io_op *todo, **todo_tail, *done;
	bool ending;
	unsigned threads;
	pthread_t ids[IO_THREADS];
};

/* --- io_uring -------------------------------------------------------------------*/

static void ring_prepare(struct io_uring_sqe *sqe, struct io_op *op)
{
	uint8_t *p = (uint8_t *)op->buf + op->done;
	unsigned n = (unsigned)(op->len - op->done);

	if (op->kind == IO_READ)
		io_uring_prep_read(sqe, op->fd, p, n, op->off + op->done);
	else
		io_uring_prep_write(sqe, op->fd, p, n, op->off + op->done);
	io_uring_sqe_set_data(sqe, op);
}

static int ring_submit(struct io *io, struct io_op *op, struct err *err)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);

	if (sqe == NULL)
		return err_set(err, ERR_BUG, "io_uring's queue is full");
	ring_prepare(sqe, op);
	int n;

	do
		n = io_uring_submit(&io->ring);
	while (n == -EINTR || n == -EAGAIN);
	if (n < 0)
		return err_sys(err, -n, "cannot submit to io_uring");
	return 0;
}

static int ring_start(struct io *io, struct io_op *op, struct err *err)
{
	return ring_submit(io, op, err);
}

static int ring_wait(struct io *io, struct io_op **ret_op, struct err *err)
{
	for (;;) {
		struct io_uring_cqe *cqe;
		int e = io_uring_wait_cqe(&io->ring, &cqe);

		if (e == -EINTR)
			continue;
		if (e < 0)
			return err_sys(err, -e, "cannot wait for io_uring");

		struct io_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&io->ring, cqe);
		if (res == -EINTR || res == -EAGAIN)
			res = 0;
		else if (res <= 0) {
			op->result = res < 0 ? res : (ssize_t)op->done;
			*ret_op = op;
			return 0;
		}
		op->done += (size_t)res;
		if (op->done == op->len) {
			op->result = (ssize_t)op->done;
			*ret_op = op;
			return 0;
		}
		/* A short transfer: ask for the rest. */
		if (ring_submit(io, op, err) < 0)
			return -1;
	}
}

static void ring_close(struct io *io)
{
	io_uring_queue_exit(&io->ring);
}

static const struct io_ops ring_ops = { ring_start, ring_wait, ring_close };

bool io_uring_usable(char *why, size_t cap)
{
	struct io_uring ring;
	int e = io_uring_queue_init(4, &ring, 0);

	if (e == 0) {
		io_uring_queue_exit(&ring);
		snprintf(why, cap, "available");
		return true;
	}
	switch (-e) {
	case EPERM:
	case EACCES:
		snprintf(why, cap, "forbidden here (seccomp profile or kernel.io_uring_disabled)");
		break;
	case ENOSYS:
		snprintf(why, cap, "the kernel has it not, or seccomp hides it");
		break;
	case ENOMEM:
		snprintf(why, cap, "not enough locked memory (ulimit -l)");
		break;
	default:
		snprintf(why, cap, "%s", strerror(-e));
	}
	return false;
}

/* --- threads --------------------------------------------------------------------*/

static void transfer(struct io_op *op)
{
	while (op->done < op->len) {
		uint8_t *p = (uint8_t *)op->buf + op->done;
		size_t n = op->len - op->done;
		off_t off = (off_t)(op->off + op->done);
		ssize_t r = op->kind == IO_READ ? pread(op->fd, p, n, off) :
		    pwrite(op->fd, p, n, off);

		if (r < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			op->result = -errno;
			return;
		}
		if (r == 0)
			break;
		op->done += (size_t)r;
	}
	op->result = (ssize_t)op->done;
}

static void *io_thread(void *arg)
{
	struct io *io = arg;

	pthread_mutex_lock(&io->lock);
	for (;;) {
		struct io_op *op = io->todo;

		if (op == NULL) {
			if (io->ending)
				break;
			pthread_cond_wait(&io->work, &io->lock);
			continue;
		}
		io->todo = op->next;
		if (io->todo == NULL)
			io->todo_tail = &io->todo;
		pthread_mutex_unlock(&io->lock);
		transfer(op);
		pthread_mutex_lock(&io->lock);
		op->next = io->done;
		io->done = op;
		pthread_cond_signal(&io->ended);
	}
	pthread_mutex_unlock(&io->lock);
	return NULL;
}

static int threads_start(struct io *io, struct io_op *op, struct err *err)
{
	(void)err;
	pthread_mutex_lock(&io->lock);
	op->next = NULL;
	*io->todo_tail = op;
	io->todo_tail = &op->next;
	pthread_cond_signal(&io->work);
	pthread_mutex_unlock(&io->lock);
	return 0;
}

static int threads_wait(struct io *io, struct io_op **ret_op, struct err *err)
{
	(void)err;
	pthread_mutex_lock(&io->lock);
	while (io->done == NULL)
		pthread_cond_wait(&io->ended, &io->lock);
	*ret_op = io->done;
	io->done = io->done->next;
	pthread_mutex_unlock(&io->lock);
	return 0;
}

static void threads_close(struct io *io)
{
	pthread_mutex_lock(&io->lock);
	io->ending = true;
	pthread_cond_broadcast(&io->work);
	pthread_mutex_unlock(&io->lock);
	for (unsigned i = 0; i < io->threads; i++)
		pthread_join(io->ids[i], NULL);
	pthread_cond_destroy(&io->ended);
	pthread_cond_destroy(&io->work);
	pthread_mutex_destroy(&io->lock);
}

static const struct io_ops threads_ops = {
	threads_start, threads_wait, threads_close,
};

static int threads_open(struct io *io, unsigned n, struct err *err)
{
	pthread_mutex_init(&io->lock, NULL);
	pthread_cond_init(&io->work, NULL);
	pthread_cond_init(&io->ended, NULL);
	io->todo_tail = &io->todo;
	for (; io->threads < n; io->threads++) {
		int e = pthread_create(&io->ids[io->threads], NULL, io_thread, io);

		if (e != 0) {
			threads_close(io);
			return err_sys(err, e, "cannot start an I/O thread");
		}
	}
	return 0;
}

/* --- either ---------------------------------------------------------------------*/

struct io *io_new(enum engine_io_mode mode, unsigned depth, struct err *err)
{
	struct io *io = mem_zalloc(sizeof(*io), "the I/O queue", err);

	if (io == NULL)
		return NULL;
	io->depth = depth;
	if (mode == ENGINE_IO_URING) {
		int e = io_uring_queue_init(depth, &io->ring, 0);

		if (e == 0) {
			io->ops = &ring_ops;
			return io;
		}
		/* A queue too many for locked memory is no reason to fail. */
		if (e != -ENOMEM) {
			err_sys(err, -e, "cannot make an io_uring");
			free(io);
			return NULL;
		}
	}
	io->ops = &threads_ops;
	if (threads_open(io, depth < IO_THREADS ? depth : IO_THREADS, err) < 0) {
		free(io);
		return NULL;
	}
	return io;
}

void io_free(struct io *io)
{
	struct io_op *op;

	if (io == NULL)
		return;
	while (io_wait(io, &op, NULL) == 0)
		;
	io->ops->close(io);
	free(io);
}

int io_start(struct io *io, struct io_op *op, struct err *err)
{
	if (io->under_way == io->depth)
		return err_set(err, ERR_BUG, "more than %u operations under way", io->depth);
	op->done = 0;
	if (io->ops->start(io, op, err) < 0)
		return -1;
	io->under_way++;
	return 0;
}

int io_wait(struct io *io, struct io_op **ret_op, struct err *err)
{
	if (io->under_way == 0)
		return 1;
	if (io->ops->wait(io, ret_op, err) < 0)
		return -1;
	io->under_way--;
	return 0;
}
