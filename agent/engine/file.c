#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/runs.h"
#include "agent/engine/stream.h"
#include "repo/base/mem.h"

/* --- parts of a sparse file -----------------------------------------------------------*/

void file_parts_init(struct file_parts *p, int fd, uint64_t size)
{
	*p = (struct file_parts){ fd, 0, size };
}

int file_parts_next(void *ctx, uint64_t *ret_off, uint64_t *ret_len,
    bool *ret_hole, struct err *err)
{
	struct file_parts *p = ctx;

	(void)err;
	if (p->at >= p->size)
		return 1;

	uint64_t from = p->at, seek = from;

	*ret_off = from;
	for (;;) {
		off_t h = lseek(p->fd, (off_t)seek, SEEK_HOLE);
		/* No holes told: it is all data. */
		uint64_t hole = h < 0 ? p->size : (uint64_t)h;

		if (hole >= p->size)
			break;

		off_t d = lseek(p->fd, (off_t)hole, SEEK_DATA);
		uint64_t data = d < 0 ? p->size : (uint64_t)d;
		uint64_t begin = (hole + SPLIT_GRAIN - 1) / SPLIT_GRAIN * SPLIT_GRAIN;
		uint64_t end = data >= p->size ? p->size : data / SPLIT_GRAIN * SPLIT_GRAIN;

		if (end <= begin) {
			if (data >= p->size)
				break;
			seek = data;
			continue;
		}
		*ret_hole = begin == from;
		p->at = *ret_hole ? end : begin;
		*ret_len = p->at - from;
		return 0;
	}
	*ret_hole = false;
	*ret_len = p->size - from;
	p->at = p->size;
	return 0;
}

static const struct chunker *chunker_for(struct backup *b, struct item *it,
    enum chunker_mode *ret_mode)
{
	struct buf path = BUF_INIT;

	*ret_mode = CHUNKER_STREAM;
	if (b->opt->block_files != NULL && engine_filter_match(b->opt->block_files,
	        dir_path_of(it->dir, it->name, &path), false) > 0)
		*ret_mode = CHUNKER_BLOCK;
	buf_release(&path);
	return *ret_mode == CHUNKER_BLOCK ? b->block : b->stream;
}

/* Take note of a failure to read this file; the run goes on. */
static void file_unread(struct backup *b, struct item *it, const struct err *why)
{
	it->bits |= FMT_UNREAD;
	it->no_carry = true;
	content_release(&it->content);
	backup_report(b, it->dir, it->name, why);
}

/* --- medium files: one worker reads the whole ---------------------------------------------*/

struct medium {
	struct backup *b;
	unsigned self;
	struct runs *runs;
};

static int medium_chunk(void *ctx, const uint8_t *p, size_t len, struct err *err)
{
	struct medium *m = ctx;
	struct fmt_run run = { .kind = FMT_RUN_CHUNK, .len = len };

	if (backup_put(m->b, m->self, STORE_DATA, p, len, run.id, err) < 0)
		return -1;
	return runs_add(m->runs, &run, err);
}

static int medium_zero(void *ctx, uint64_t len, struct err *err)
{
	struct medium *m = ctx;

	return runs_add(m->runs, &(struct fmt_run){ .kind = FMT_RUN_ZEROS, .len = len }, err);
}

static ssize_t read_full(int fd, uint8_t *p, size_t len, uint64_t off)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, p + got, len - got, (off_t)(off + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* 0; 1 when the file could not be read (told); -1 when the run must end. */
static int store_parts(struct backup *b, struct storer *s, struct item *it, int fd,
    struct split *sp, struct runs *runs, struct err *err)
{
	struct file_parts parts = { fd, 0, it->size };
	uint64_t off, len, end = 0;
	bool hole;

	while (file_parts_next(&parts, &off, &len, &hole, err) == 0) {
		if (hole) {
			struct fmt_run run = { .kind = FMT_RUN_HOLE, .len = len };

			end = off + len;
			if (runs_add(runs, &run, err) < 0)
				return -1;
			continue;
		}

		ssize_t n = read_full(fd, s->buf, len, off);

		if (n < 0) {
			struct err why;

			err_sys(&why, errno, "cannot read it");
			file_unread(b, it, &why);
			return 1;
		}
		atomic_fetch_add(&b->e->progress.bytes_read, (uint64_t)n);
		size_t used;

		if (split_feed(sp, s->buf, (size_t)n, off, true, &used, err) < 0)
			return -1;
		end = off + (uint64_t)n;
		if ((uint64_t)n < len)
			break;
	}
	it->size = end;
	return 0;
}

static void store_medium(struct backup *b, unsigned self, struct item *it, int fd)
{
	struct storer *s = &b->storers[self];
	struct runs runs;
	struct medium m = { b, self, &runs };
	enum chunker_mode mode;
	struct split sp = {
		.chunker = chunker_for(b, it, &mode),
		.chunk = medium_chunk, .zero = medium_zero, .ctx = &m,
	};
	struct err err;

	sp.max = mode == CHUNKER_BLOCK ? b->block_max : b->stream_max;
	sp.zeros = split_zeros(mode, b->stream_avg);
	runs_init(&runs, b, self);
	int r = store_parts(b, s, it, fd, &sp, &runs, &err);

	if (r == 0)
		r = runs_finish(&runs, &it->content, &err);
	runs_release(&runs);
	if (r < 0)
		backup_fail(b, &err);
}

/* --- big files: read in pieces, chunks by all workers ----------------------------------------*/

static void store_big(struct backup *b, unsigned self, struct item *it, int fd)
{
	struct runs runs;
	struct file_parts parts = { fd, 0, it->size };
	uint64_t before = 0; /* bytes that an earlier session has stored */
	struct stream_source src = {
		.fd = fd, .size = it->size, .next = file_parts_next, .ctx = &parts,
	};
	struct stream_result res = { 0 };
	enum chunker_mode mode;
	struct err err;

	chunker_for(b, it, &mode);
	runs_init(&runs, b, self);
	int r = it->resume ? resume_runs(b, &runs, &it->state.content, it->trusted, &before,
	    &err) : 0;

	parts.at = before;
	atomic_fetch_add(&b->e->progress.bytes_done, before);
	if (r == 0)
		r = stream_store(b, self, &src, mode, runs_add, &runs, &res, &err);
	if (r == 0 && runs_finish(&runs, &it->content, &err) < 0)
		r = -1;
	runs_release(&runs);
	if (r == 1) {
		file_unread(b, it, &err);
	} else if (r < 0) {
		backup_fail(b, &err);
	} else {
		it->size = before + res.size;
		it->partial = res.stopped;
	}
}

void file_store(struct backup *b, unsigned self, struct item *it, int fd)
{
	if (it->size > b->medium_max)
		store_big(b, self, it, fd);
	else
		store_medium(b, self, it, fd);
}

static void run_big(struct pool_task *task, unsigned self)
{
	struct item *it = (struct item *)((char *)task - offsetof(struct item, task));
	struct backup *b = it->b;

	if (!backup_failed(b) && !backup_stopping(b))
		item_fetch(b, self, it, true);

	/* One big file at a time holds the stream's buffers. */
	pthread_mutex_lock(&b->lock);
	struct item *next = b->big_first;

	if (next != NULL) {
		b->big_first = next->big_next;
		if (b->big_first == NULL)
			b->big_tail = &b->big_first;
	} else {
		b->big_busy = false;
	}
	pthread_mutex_unlock(&b->lock);
	if (next != NULL)
		backup_submit(b, &next->task, false);
	backup_task_end(b, &it->busy);
}

void file_submit_big(struct backup *b, struct item *it)
{
	it->task.fn = run_big;
	pthread_mutex_lock(&b->lock);
	bool now = !b->big_busy;

	if (now) {
		b->big_busy = true;
	} else {
		it->big_next = NULL;
		*b->big_tail = it;
		b->big_tail = &it->big_next;
	}
	pthread_mutex_unlock(&b->lock);
	if (now)
		backup_submit(b, &it->task, false);
}
