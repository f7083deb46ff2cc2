#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/stream.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"

/*
 * A long source is read into a few buffers, several reads ahead.  The thread
 * that runs the stream cuts what has arrived and queues each chunk as an
 * urgent task; it retires them in order and hands their runs to the sink.
 * While it waits for a buffer or a chunk it stores chunks itself.
 *
 * A buffer has a hold in front of its read area: what could not be decided at
 * the end of one buffer is copied before the next one's bytes, so every chunk
 * is contiguous and every read begins at an aligned address.
 */

#define READ_AREA (2u << 20)
#define PAGE 4096u
#define BUFFERS_MAX 5u
#define SLOTS 128u
/* How often it is looked whether a run that waits for a pipe is to stop. */
#define PIPE_PATIENCE_MS 250

enum buffer_state { BUFFER_FREE, BUFFER_READING, BUFFER_CUT };

struct buffer {
	uint8_t *p;         /* hold, then READ_AREA bytes */
	unsigned chunks;    /* being stored out of it */
	enum buffer_state state;
	struct io_op op;
	bool arrived;
	/* What it is reading. */
	uint64_t off;
	size_t len;
	bool last;          /* of a part of the source */
};

/* One run of the result; a chunk is a task until it is stored. */
struct slot {
	struct pool_task task;
	struct stream *s;
	struct buffer *buffer;
	const uint8_t *p;
	struct fmt_run run;
	bool done, failed;
};

/*
 * Buffers and I/O queue outlive a stream: there is one stream at a time, and
 * paging them in for each file would cost as much as reading it.
 */
struct stream_memory {
	size_t hold, area;
	unsigned n;
	uint8_t *p[BUFFERS_MAX];
	struct io *io;
};

struct stream {
	struct backup *b;
	unsigned self;
	const struct stream_source *src;
	int (*sink)(void *ctx, const struct fmt_run *run, struct err *err);
	void *sink_ctx;
	struct split split;
	struct stream_memory *memory;
	struct io *io;      /* NULL: a pipe */
	struct buffer buffers[BUFFERS_MAX];
	unsigned nbuffers, next_read, next_cut;
	size_t hold, area;
	struct slot *slots; /* a ring in order */
	unsigned head, used;
	pthread_mutex_t lock; /* of slots' done, buffers' chunks, and err */
	pthread_cond_t done;
	struct err err;
	struct buffer *cutting;
	/* The part being read ahead. */
	uint64_t part_off, part_left;
	bool ended;
	size_t kept;        /* bytes in front of the next buffer's area */
	struct stream_result *res;
};

static void store_chunk(struct pool_task *task, unsigned self)
{
	struct slot *sl = (struct slot *)((char *)task - offsetof(struct slot, task));
	struct stream *s = sl->s;
	struct err err = ERR_INIT;
	int r = backup_put(s->b, self, STORE_DATA, sl->p, sl->run.len, sl->run.id, &err);

	pthread_mutex_lock(&s->lock);
	sl->done = true;
	sl->failed = r < 0;
	if (r < 0 && s->err.class == ERR_NONE)
		s->err = err;
	if (--sl->buffer->chunks == 0 && sl->buffer->state == BUFFER_CUT)
		sl->buffer->state = BUFFER_FREE;
	pthread_cond_signal(&s->done);
	pthread_mutex_unlock(&s->lock);
}

/* Hand finished runs to the sink, in order. */
static int retire(struct stream *s, struct err *err)
{
	for (;;) {
		pthread_mutex_lock(&s->lock);
		struct slot *sl = &s->slots[s->head];
		bool ready = s->used > 0 && sl->done;
		bool failed = s->err.class != ERR_NONE;

		if (failed && err != NULL)
			*err = s->err;
		pthread_mutex_unlock(&s->lock);
		if (failed)
			return -1;
		if (!ready)
			return 0;
		if (s->sink(s->sink_ctx, &sl->run, err) < 0)
			return -1;
		s->res->size += sl->run.len;
		atomic_fetch_add(&s->b->e->progress.bytes_done, sl->run.len);
		s->head = (s->head + 1) % SLOTS;
		s->used--;
	}
}

/* Let some chunk be finished: by doing one, or by waiting for one. */
static void progress(struct stream *s)
{
	if (pool_help(s->b->e->pool, s->self))
		return;
	pthread_mutex_lock(&s->lock);
	bool waiting = s->used > 0 && !s->slots[s->head].done;

	if (waiting)
		pthread_cond_wait(&s->done, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

/* May it go on?  In main's thread it also shows that the run lives. */
static int go_on(struct stream *s, struct err *err)
{
	int r = s->self + 1 == s->b->nstorers ? backup_alive(s->b, err) : 0;

	s->res->stopped = backup_stopping(s->b);
	return r == 0 && s->res->stopped ?
	    err_set(err, ERR_CANCELLED, "stopped on request") : r;
}

/* Wait until all chunks are stored and their runs in the sink. */
static int retire_all(struct stream *s, struct err *err)
{
	while (s->used > 0) {
		if (retire(s, err) < 0)
			return -1;
		if (s->used > 0)
			progress(s);
	}
	return 0;
}

/* Let the session end when it is to, and another begin. */
static int pause_if_due(struct stream *s, struct err *err)
{
	if (s->src->pause == NULL || clock_mono_ns() < rounds_end(s->b))
		return 0;
	return retire_all(s, err) < 0 ? -1 : s->src->pause(s->src->pause_ctx, err);
}

static int take_slot(struct stream *s, struct slot **ret, struct err *err)
{
	if (retire(s, err) < 0)
		return -1;
	while (s->used == SLOTS) {
		progress(s);
		if (retire(s, err) < 0)
			return -1;
	}
	*ret = &s->slots[(s->head + s->used) % SLOTS];
	**ret = (struct slot){ .s = s };
	return 0;
}

static int emit_run(struct stream *s, uint8_t kind, uint64_t len, struct err *err)
{
	struct slot *sl;

	if (take_slot(s, &sl, err) < 0)
		return -1;
	sl->run = (struct fmt_run){ .kind = kind, .len = len };
	sl->done = true;
	s->used++;
	return 0;
}

static int on_chunk(void *ctx, const uint8_t *p, size_t len, struct err *err)
{
	struct stream *s = ctx;
	struct slot *sl;

	if (take_slot(s, &sl, err) < 0)
		return -1;
	sl->run = (struct fmt_run){ .kind = FMT_RUN_CHUNK, .len = len };
	sl->p = p;
	sl->buffer = s->cutting;
	sl->task.fn = store_chunk;
	pthread_mutex_lock(&s->lock);
	s->cutting->chunks++;
	s->used++;
	pthread_mutex_unlock(&s->lock);
	pool_submit(s->b->e->pool, &sl->task, true);
	return 0;
}

static int on_zero(void *ctx, uint64_t len, struct err *err)
{
	return emit_run(ctx, FMT_RUN_ZEROS, len, err);
}

/* --- reading -----------------------------------------------------------------------*/

static enum buffer_state state_of(struct stream *s, struct buffer *bf)
{
	pthread_mutex_lock(&s->lock);
	enum buffer_state state = bf->state;
	pthread_mutex_unlock(&s->lock);
	return state;
}

static void set_state(struct stream *s, struct buffer *bf, enum buffer_state state)
{
	pthread_mutex_lock(&s->lock);
	bf->state = state;
	pthread_mutex_unlock(&s->lock);
}

static int pipe_fill(struct stream *s, struct buffer *bf, struct err *err)
{
	size_t got = 0;

	while (got < s->area) {
		struct pollfd pf = { .fd = s->src->fd, .events = POLLIN };

		/* A writer that is silent does not keep the run from stopping. */
		do {
			if (go_on(s, err) < 0 || pause_if_due(s, err) < 0)
				return -1;
		} while (poll(&pf, 1, PIPE_PATIENCE_MS) <= 0);

		ssize_t n = read(s->src->fd, bf->p + s->hold + got, s->area - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_sys(err, errno, "cannot read the input");
			return 1;
		}
		if (n == 0)
			break;
		got += (size_t)n;
	}
	bf->op.result = (ssize_t)got;
	bf->arrived = true;
	bf->last = got < s->area;
	s->ended = bf->last;
	return 0;
}

/* Find the next piece to read.  1 when there is none. */
static int next_piece(struct stream *s, uint64_t *ret_hole, struct err *err)
{
	*ret_hole = 0;
	if (s->part_left > 0)
		return 0;
	if (s->ended)
		return 1;
	if (s->src->next == NULL) {
		s->ended = true;
		s->part_off = s->src->start;
		s->part_left = s->src->size - s->src->start;
		return s->part_left > 0 ? 0 : 1;
	}

	bool hole = false;
	int r = s->src->next(s->src->ctx, &s->part_off, &s->part_left, &hole, err);

	if (r != 0) {
		s->ended = r > 0;
		return r;
	}
	if (hole) {
		*ret_hole = s->part_left;
		s->part_left = 0;
	}
	return 0;
}

/* Start one read into bf, or make it stand for a hole.  1: nothing is left. */
static int start_read(struct stream *s, struct buffer *bf, struct err *err)
{
	uint64_t hole;

	bf->arrived = false;
	bf->chunks = 0;
	if (s->src->pipe) {
		int r = s->ended ? 1 : 0;

		if (r == 0) {
			set_state(s, bf, BUFFER_READING);
			r = pipe_fill(s, bf, err) == 0 ? 0 : 2;
		}
		return r;
	}

	int r = next_piece(s, &hole, err);

	if (r != 0)
		return r;
	set_state(s, bf, BUFFER_READING);
	bf->off = s->part_off;
	if (hole > 0) {
		bf->len = 0;
		bf->arrived = true;
		bf->off = hole;
		return 0;
	}
	bf->len = s->part_left < s->area ? (size_t)s->part_left : s->area;
	bf->last = bf->len == s->part_left;
	s->part_off += bf->len;
	s->part_left -= bf->len;

	/* O_DIRECT wants whole blocks: the end is asked for in full. */
	size_t ask = s->src->direct ? (bf->len + PAGE - 1) / PAGE * PAGE : bf->len;

	bf->op = (struct io_op){
		.kind = IO_READ, .fd = s->src->fd, .off = bf->off,
		.buf = bf->p + s->hold, .len = ask, .user = bf,
	};
	return io_start(s->io, &bf->op, err);
}

/* Start all reads that there are buffers for.  Reads go round the ring. */
static int read_ahead(struct stream *s, struct err *err)
{
	while (state_of(s, &s->buffers[s->next_read]) == BUFFER_FREE) {
		int r = start_read(s, &s->buffers[s->next_read], err);

		if (r != 0)
			return r;
		s->next_read = (s->next_read + 1) % s->nbuffers;
		if (s->src->pipe)
			break;
	}
	return 0;
}

static int wait_arrival(struct stream *s, struct buffer *bf, struct err *err)
{
	while (!bf->arrived) {
		struct io_op *op;

		if (io_wait(s->io, &op, err) != 0)
			return -1;
		((struct buffer *)op->user)->arrived = true;
	}
	return 0;
}

/* --- cutting --------------------------------------------------------------------------*/

static int cut_buffer(struct stream *s, struct buffer *bf, struct err *err)
{
	size_t n = (size_t)bf->op.result;
	bool last = bf->last;

	if (!s->src->pipe) {
		if (n > bf->len)
			n = bf->len;
		if (n < bf->len) {
			/* The source has become shorter: this is its end. */
			s->res->short_read = true;
			s->ended = last = true;
			s->part_left = 0;
		}
	}
	s->res->read += n;
	atomic_fetch_add(&s->b->e->progress.bytes_read, n);

	const uint8_t *p = bf->p + s->hold - s->kept;
	size_t used;

	s->cutting = bf;
	if (split_feed(&s->split, p, s->kept + n, bf->off - s->kept, last, &used, err) < 0)
		return -1;

	size_t rest = s->kept + n - used;

	if (last) {
		s->kept = 0;
	} else {
		/* The next buffer's hold is its own: nothing stores from there. */
		struct buffer *next = &s->buffers[(s->next_cut + 1) % s->nbuffers];

		while (state_of(s, next) == BUFFER_CUT) {
			progress(s);
			if (retire(s, err) < 0)
				return -1;
		}
		memcpy(next->p + s->hold - rest, p + used, rest);
		s->kept = rest;
	}
	if (s->src->pipe)
		s->buffers[(s->next_cut + 1) % s->nbuffers].off = bf->off + n;
	return 0;
}

static void buffer_cut(struct stream *s, struct buffer *bf)
{
	pthread_mutex_lock(&s->lock);
	bf->state = bf->chunks == 0 ? BUFFER_FREE : BUFFER_CUT;
	pthread_mutex_unlock(&s->lock);
}

static int stream_run(struct stream *s, struct err *err)
{
	for (;;) {
		if (pause_if_due(s, err) < 0)
			return -1;

		int r = go_on(s, err) == 0 ? read_ahead(s, err) : -1;

		if (s->res->stopped)
			break;
		if (r < 0 || r == 2)
			return r < 0 ? -1 : 1;

		struct buffer *bf = &s->buffers[s->next_cut];

		if (state_of(s, bf) != BUFFER_READING) {
			if (r == 1 || s->ended)
				break;
			progress(s);
			if (retire(s, err) < 0)
				return -1;
			continue;
		}
		if (wait_arrival(s, bf, err) < 0)
			return -1;
		if (!s->src->pipe && bf->len == 0) {
			/* A hole; the part before it ended with its last buffer. */
			if (emit_run(s, FMT_RUN_HOLE, bf->off, err) < 0)
				return -1;
		} else if (bf->op.result < 0) {
			err_sys(err, (int)-bf->op.result, "cannot read it at byte %llu",
			    (unsigned long long)bf->off);
			return 1;
		} else if (cut_buffer(s, bf, err) < 0) {
			return -1;
		}
		buffer_cut(s, bf);
		s->next_cut = (s->next_cut + 1) % s->nbuffers;
		if (s->res->short_read)
			break;
	}
	return retire_all(s, err);
}

/* Wait for every task that names this stream. */
static void drain(struct stream *s)
{
	struct io_op *op;

	while (s->io != NULL && io_wait(s->io, &op, NULL) == 0)
		;
	for (unsigned i = 0; i < s->used; i++) {
		struct slot *sl = &s->slots[(s->head + i) % SLOTS];

		pool_help_until(s->b->e->pool, s->self, &s->lock, &s->done, &sl->done);
	}
}

void stream_memory_free(struct stream_memory *m)
{
	if (m == NULL)
		return;
	io_free(m->io);
	for (unsigned i = 0; i < m->n; i++)
		mem_pages_free(m->p[i], m->hold + m->area);
	free(m);
}

/* The last stream's memory where it fits, else new. */
static struct stream_memory *take_memory(struct stream *s, struct err *err)
{
	struct backup *b = s->b;
	struct stream_memory *m = STEAL_PTR(b->stream_memory);

	if (m != NULL && m->hold == s->hold && m->area == s->area)
		return m;
	stream_memory_free(m);
	m = mem_zalloc(sizeof(*m), "a stream", err);
	if (m == NULL)
		return NULL;
	m->hold = s->hold;
	m->area = s->area;

	size_t each = s->hold + s->area;
	size_t n = b->e->budget.read / 2 / each;

	n = n < 3 ? 3 : n > BUFFERS_MAX ? BUFFERS_MAX : n;
	for (; m->n < n; m->n++) {
		m->p[m->n] = mem_pages(each, "a read buffer", err);
		if (m->p[m->n] == NULL) {
			stream_memory_free(m);
			return NULL;
		}
	}
	m->io = io_new(b->e->io, (unsigned)n, err);
	if (m->io == NULL) {
		stream_memory_free(m);
		return NULL;
	}
	return m;
}

static int stream_open(struct stream *s, enum chunker_mode mode, struct err *err)
{
	struct backup *b = s->b;
	bool block = mode == CHUNKER_BLOCK;

	s->split = (struct split){
		.chunker = block ? b->block : b->stream,
		.max = block ? b->block_max : b->stream_max,
		.zeros = split_zeros(mode, b->stream_avg),
		.chunk = on_chunk, .zero = on_zero, .ctx = s,
	};
	s->hold = (split_hold(&s->split) + PAGE - 1) / PAGE * PAGE;
	s->area = READ_AREA;
	s->slots = mem_array(SLOTS, sizeof(*s->slots), "a stream", err);
	if (s->slots == NULL)
		return -1;

	struct stream_memory *m = take_memory(s, err);

	if (m == NULL)
		return -1;
	s->memory = m;
	s->nbuffers = m->n;
	for (unsigned i = 0; i < m->n; i++)
		s->buffers[i].p = m->p[i];
	s->io = s->src->pipe ? NULL : m->io;
	return 0;
}

int stream_store(struct backup *b, unsigned self, const struct stream_source *src,
    enum chunker_mode mode,
    int (*sink)(void *ctx, const struct fmt_run *run, struct err *err),
    void *ctx, struct stream_result *ret, struct err *err)
{
	struct stream s = {
		.b = b, .self = self, .src = src, .sink = sink, .sink_ctx = ctx,
		.res = ret,
	};

	*ret = (struct stream_result){ 0 };
	pthread_mutex_init(&s.lock, NULL);
	pthread_cond_init(&s.done, NULL);

	int r = stream_open(&s, mode, err);

	if (r == 0) {
		r = stream_run(&s, err);
		drain(&s);
	}
	/* After a failure the queue may hold what was never submitted. */
	if (r < 0) {
		stream_memory_free(s.memory);
		s.memory = NULL;
	}
	b->stream_memory = s.memory;
	free(s.slots);
	pthread_cond_destroy(&s.done);
	pthread_mutex_destroy(&s.lock);
	return r;
}
