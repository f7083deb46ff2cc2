#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/delta.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"

/*
 * Between changed extents the parent's runs are carried over.  At each extent
 * reading begins where the parent's run around its start began, and goes on
 * until a cut behind its end falls where the parent has one too.  A run of
 * zeros may be long and tells nothing: it is cut at any grain, before and
 * behind what has changed in it.
 *
 * The cutter runs ahead of the map: what it decides is a ring of steps, among
 * them chunks that the workers store; the map is written from the ring's head
 * as the chunks are done.
 */

/* Bytes read on when the cuts have not met the parent's yet. */
#define READ_ON (64u << 10)
#define STEPS 128u
/* Extents whose reading the kernel is asked to begin ahead of time. */
#define AHEAD 32u

enum step_kind { STEP_CHUNK, STEP_ZEROS, STEP_CARRY };

struct step {
	struct pool_task task;
	struct delta *dl;
	enum step_kind kind;
	struct fmt_run run;  /* zeros and chunk */
	uint64_t end;        /* carry the parent's runs up to here */
	uint8_t *data;       /* chunk: its bytes, owned until stored */
	bool done;
};

/*
 * A cursor that mostly goes forward by a few runs: stepping is far cheaper
 * than finding the page again.
 */
struct place {
	struct archive_map *m;
	struct fmt_run run;  /* given last */
	uint64_t begin, end; /* of it */
	bool valid;
};

struct delta {
	struct backup *b;
	unsigned self;
	int fd;
	uint64_t size;
	struct archive_map_writer **map;
	const struct delta_pause *pause;
	char from[17];       /* the parent's id */
	bool left;           /* it may not be carried from any more */
	struct place parent; /* to carry from */
	struct place probe;  /* to look for cuts */
	struct split split;
	uint64_t at;         /* the cutter's place */
	uint64_t written;    /* the map's, with the zeros that wait */
	struct fmt_run zeros; /* to be written, in case more of them follow */
	uint64_t until;      /* end of the extents that are being read */
	bool met;
	uint8_t *buf;
	size_t cap;
	struct extent ahead[AHEAD]; /* read from the source, not used yet */
	unsigned ahead_first, ahead_used;
	uint64_t ahead_least;
	bool ahead_end;
	struct step *steps;  /* a ring in order */
	unsigned head, used;
	pthread_mutex_t lock; /* of steps' done and err */
	pthread_cond_t done;
	struct err err;
};

/* Runs to step over before finding the page is tried. */
#define STEPS_ON 256u

/*
 * Make the run that holds byte off (below the volume's size) the one that p
 * gave last.
 */
static int place_at(struct place *p, uint64_t off, struct err *err)
{
	bool sought = false;

	for (unsigned i = 0; !p->valid || off < p->begin || off >= p->end; i++) {
		if (!sought && (!p->valid || off < p->begin || i == STEPS_ON)) {
			if (archive_map_seek(p->m, off, err) < 0)
				return -1;
			sought = true;
		}

		int r = archive_map_next(p->m, &p->begin, &p->run, err);

		p->valid = r == 0;
		if (r != 0)
			return r < 0 ? -1 : err_set(err, ERR_CORRUPT,
			    "the parent's map ends before byte %llu", (unsigned long long)off);
		p->end = p->begin + p->run.len;
	}
	return 0;
}

/* --- the map, from the ring's head ----------------------------------------------------*/

static int flush_zeros(struct delta *dl, struct err *err)
{
	struct fmt_run run = dl->zeros;

	dl->zeros.len = 0;
	return run.len > 0 ? archive_map_add(*dl->map, &run, err) : 0;
}

/* Append a run, or the first len bytes of one of zeros. */
static int put_run(struct delta *dl, const struct fmt_run *run, uint64_t len,
    struct err *err)
{
	if (run->kind == FMT_RUN_CHUNK && len < run->len)
		return err_set(err, ERR_CORRUPT, "the parent's map has no cut at byte %llu",
		    (unsigned long long)(dl->written + len));
	dl->written += len;
	if (dl->zeros.len > 0 && dl->zeros.kind == run->kind) {
		dl->zeros.len += len;
		return 0;
	}
	if (flush_zeros(dl, err) < 0)
		return -1;
	if (run->kind == FMT_RUN_CHUNK)
		return archive_map_add(*dl->map, run, err);
	dl->zeros = *run;
	dl->zeros.len = len;
	return 0;
}

/* Carry over whole pages, or one run, from where both maps have a cut. */
static int carry_some(struct delta *dl, uint64_t end, struct err *err)
{
	struct place *p = &dl->parent;
	uint64_t from = dl->written;

	if (flush_zeros(dl, err) < 0 ||
	    archive_map_carry(*dl->map, p->m, end, &dl->written, err) < 0)
		return -1;
	/* As if the last run of the pages had been given. */
	p->begin = p->end = dl->written;
	p->valid = true;
	if (dl->written > from)
		return 0;

	int r = archive_map_next(p->m, &p->begin, &p->run, err);

	if (r < 0)
		return -1;
	if (r == 1 || p->begin != from)
		return err_set(err, ERR_CORRUPT, "the parent's map has no cut at byte %llu",
		    (unsigned long long)from);
	p->end = from + p->run.len;
	return put_run(dl, &p->run, p->end < end ? p->run.len : end - from, err);
}

/* Carry over the parent's runs from where the map ends up to `end`. */
static int carry_until(struct delta *dl, uint64_t end, struct err *err)
{
	struct place *p = &dl->parent;

	while (dl->written < end) {
		uint64_t at = dl->written;

		/* Stand in or behind the run that holds the byte before. */
		if (at > 0 && (!p->valid || at > p->end ||
		    (at <= p->begin && at != p->end)) && place_at(p, at - 1, err) < 0)
			return -1;
		if (at == 0 || at == p->end) {
			if (carry_some(dl, end, err) < 0)
				return -1;
			continue;
		}

		struct fmt_run rest = p->run;

		/* In a chunk nothing is carried: put_run sees that it is not whole. */
		if (rest.kind != FMT_RUN_CHUNK)
			rest.len = p->end - at;
		if (put_run(dl, &rest, (p->end < end ? p->end : end) - at, err) < 0)
			return -1;
	}
	return 0;
}

static int do_step(struct delta *dl, struct step *st, struct err *err)
{
	if (st->kind == STEP_CARRY)
		return carry_until(dl, st->end, err);
	return put_run(dl, &st->run, st->run.len, err);
}

/* Do the steps that are ready; with all, wait for every one. */
static int retire(struct delta *dl, bool all, struct err *err)
{
	while (dl->used > 0) {
		struct step *st = &dl->steps[dl->head];

		pthread_mutex_lock(&dl->lock);
		bool ready = st->done, failed = dl->err.class != ERR_NONE;

		if (failed && err != NULL)
			*err = dl->err;
		pthread_mutex_unlock(&dl->lock);
		if (failed)
			return -1;
		if (ready) {
			if (do_step(dl, st, err) < 0)
				return -1;
			dl->head = (dl->head + 1) % STEPS;
			dl->used--;
			continue;
		}
		if (!all && dl->used < STEPS)
			return 0;
		pool_help_until(dl->b->e->pool, dl->self, &dl->lock, &dl->done,
		    &st->done);
	}
	return 0;
}

static struct step *new_step(struct delta *dl, enum step_kind kind, struct err *err)
{
	if (backup_alive(dl->b, err) < 0 || retire(dl, false, err) < 0)
		return NULL;

	struct step *st = &dl->steps[(dl->head + dl->used) % STEPS];

	*st = (struct step){ .dl = dl, .kind = kind, .done = kind != STEP_CHUNK };
	return st;
}

/*
 * Let the session end when it is to, and another begin.  0; -1 also (dl->left)
 * when that may not carry over from the parent.
 */
static int pause_if_due(struct delta *dl, struct err *err)
{
	struct backup *b = dl->b;

	if (clock_mono_ns() < rounds_end(b))
		return 0;
	/* Zeros that wait, for more may follow, are left to the next checkpoint. */
	if (retire(dl, true, err) < 0 || dl->pause->fn(dl->pause->ctx, err) < 0)
		return -1;
	dl->left = b->rest_of == NULL || !b->rest_carry ||
	    strcmp(b->rest_of->id, dl->from) != 0;
	return dl->left ? -1 : 0;
}

static void store_step(struct pool_task *task, unsigned self)
{
	struct step *st = (struct step *)((char *)task - offsetof(struct step, task));
	struct delta *dl = st->dl;
	struct err err = ERR_INIT;
	int r = backup_put(dl->b, self, STORE_DATA, st->data, st->run.len, st->run.id, &err);

	free(st->data);
	pthread_mutex_lock(&dl->lock);
	if (r < 0 && dl->err.class == ERR_NONE)
		dl->err = err;
	st->data = NULL;
	st->done = true;
	pthread_cond_signal(&dl->done);
	pthread_mutex_unlock(&dl->lock);
}

/* Wait for the tasks that name this run, after a failure too. */
static void drain(struct delta *dl)
{
	for (unsigned i = 0; i < dl->used; i++) {
		struct step *st = &dl->steps[(dl->head + i) % STEPS];

		pool_help_until(dl->b->e->pool, dl->self, &dl->lock, &dl->done,
		    &st->done);
	}
}

/* --- cutting -----------------------------------------------------------------------------*/

static uint64_t grain_before(uint64_t off)
{
	return off - off % SPLIT_GRAIN;
}

/* The parent's run that holds byte off; an empty one at the volume's end. */
static const struct place *parent_run(struct delta *dl, uint64_t off, struct err *err)
{
	struct place *p = &dl->probe;

	if (off < dl->size)
		return place_at(p, off, err) < 0 ? NULL : p;
	p->begin = p->end = dl->size;
	p->valid = false;
	return p;
}

/* May the parent's runs be carried over from off on?  1, 0 or -1. */
static int cut_at(struct delta *dl, uint64_t off, struct err *err)
{
	const struct place *p = parent_run(dl, off, err);

	if (p == NULL)
		return -1;
	return p->begin == off || (p->run.kind != FMT_RUN_CHUNK && off % SPLIT_GRAIN == 0);
}

/* The cutter has come to dl->at.  -1 also (dl->met) where it is to stop. */
static int moved(struct delta *dl, uint64_t len, struct err *err)
{
	dl->at += len;
	atomic_fetch_add(&dl->b->e->progress.bytes_done, len);
	if (dl->at < dl->until)
		return 0;

	int r = cut_at(dl, dl->at, err);

	/* Not a failure: it ends split_feed here. */
	dl->met = r > 0;
	return r == 0 ? 0 : -1;
}

static int on_chunk(void *ctx, const uint8_t *p, size_t len, struct err *err)
{
	struct delta *dl = ctx;
	struct step *st = new_step(dl, STEP_CHUNK, err);

	if (st == NULL)
		return -1;
	st->run = (struct fmt_run){ .kind = FMT_RUN_CHUNK, .len = len };
	st->data = malloc(len);
	if (st->data == NULL)
		return err_nomem(err, "a chunk");
	memcpy(st->data, p, len);
	st->task.fn = store_step;
	dl->used++;
	pool_submit(dl->b->e->pool, &st->task, true);
	return moved(dl, len, err);
}

static int on_zero(void *ctx, uint64_t len, struct err *err)
{
	struct delta *dl = ctx;
	struct step *st = new_step(dl, STEP_ZEROS, err);

	if (st == NULL)
		return -1;
	st->run = (struct fmt_run){ .kind = FMT_RUN_ZEROS, .len = len };
	dl->used++;
	return moved(dl, len, err);
}

/* Append up to want bytes of the volume to the buffer, which begins at pos. */
static int read_on(struct delta *dl, uint64_t pos, size_t *have, uint64_t want,
    struct err *err)
{
	uint64_t from = pos + *have;

	if (want > dl->cap - *have)
		want = dl->cap - *have;
	if (want > dl->size - from)
		want = dl->size - from;
	while (want > 0) {
		ssize_t n = pread(dl->fd, dl->buf + *have, want, (off_t)from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO,
			    "cannot read the volume at byte %llu", (unsigned long long)from);
		*have += (size_t)n;
		from += (uint64_t)n;
		want -= (uint64_t)n;
		atomic_fetch_add(&dl->b->e->progress.bytes_read, (uint64_t)n);
	}
	return 0;
}

/*
 * Where the cutter is inside of zeros that go on in the parent, the run ends
 * here.  Return 0, also when it goes on, or -1.
 */
static int end_zeros(struct delta *dl, struct err *err)
{
	uint64_t run = dl->split.zrun;

	if (run == 0 || dl->at + run < dl->until)
		return 0;

	int r = cut_at(dl, dl->at + run, err);

	if (r <= 0)
		return r;
	dl->split.zrun = 0;
	return on_zero(dl, run, err) < 0 && !dl->met ? -1 : 0;
}

/* Where to read to first: most often the cuts meet there. */
static int likely_end(struct delta *dl, uint64_t *ret, struct err *err)
{
	const struct place *p = parent_run(dl, dl->until - 1, err);

	if (p == NULL)
		return -1;
	*ret = p->end;
	if (p->run.kind != FMT_RUN_CHUNK && p->end - dl->until > SPLIT_GRAIN)
		*ret = grain_before(dl->until + SPLIT_GRAIN - 1);
	return 0;
}

/* Read from dl->at until the cuts meet the parent's at or behind dl->until. */
static int read_changed(struct delta *dl, struct err *err)
{
	uint64_t pos = dl->at, end; /* pos: of buf */
	size_t have = 0;

	if (likely_end(dl, &end, err) < 0)
		return -1;
	dl->met = false;
	dl->split.zrun = 0;
	while (!dl->met && dl->at < dl->size) {
		uint64_t next = pos + have;
		size_t used = 0;
		struct err why = ERR_INIT;

		if (pause_if_due(dl, err) < 0)
			return -1;
		if (read_on(dl, pos, &have, next < end ? end - next : READ_ON, err) < 0)
			return -1;
		if (split_feed(&dl->split, dl->buf, have, pos, pos + have == dl->size,
		        &used, &why) < 0 || end_zeros(dl, &why) < 0) {
			if (dl->met)
				break;
			*err = why;
			return -1;
		}
		memmove(dl->buf, dl->buf + used, have - used);
		have -= used;
		pos += used;
	}
	return 0;
}

/* --- the extents ----------------------------------------------------------------------------*/

/* Take extents from the source and let the kernel begin to read them. */
static int look_ahead(struct delta *dl, struct err *err)
{
	const struct extent_source *src = &dl->b->opt->changed;

	while (dl->ahead_used < AHEAD && !dl->ahead_end) {
		struct extent x;
		int r = src->next(src->ctx, &x, err);

		if (r != 0) {
			dl->ahead_end = true;
			return r < 0 ? -1 : 0;
		}
		if (x.off < dl->ahead_least || x.len > UINT64_MAX - x.off)
			return err_set(err, ERR_USAGE,
			    "the changed extents are not in ascending order at byte %llu",
			    (unsigned long long)x.off);
		dl->ahead_least = x.off + x.len;
		if (x.off >= dl->size)
			return err_set(err, ERR_USAGE, "a changed extent begins at byte "
			    "%llu, and the volume ends at byte %llu",
			    (unsigned long long)x.off, (unsigned long long)dl->size);
		if (x.len == 0)
			continue;
		if (x.len > dl->size - x.off)
			x.len = dl->size - x.off;
		posix_fadvise(dl->fd, (off_t)x.off, (off_t)x.len, POSIX_FADV_WILLNEED);
		dl->ahead[(dl->ahead_first + dl->ahead_used++) % AHEAD] = x;
	}
	return 0;
}

static int carry_to(struct delta *dl, uint64_t end, struct err *err)
{
	if (end <= dl->at)
		return 0;

	struct step *st = new_step(dl, STEP_CARRY, err);

	if (st == NULL)
		return -1;
	st->end = end;
	dl->used++;
	atomic_fetch_add(&dl->b->e->progress.bytes_done, end - dl->at);
	dl->at = end;
	return 0;
}

/* Where reading for a change at byte off is to begin; dl->at or behind it. */
static int likely_begin(struct delta *dl, uint64_t off, uint64_t *ret, struct err *err)
{
	const struct place *p = parent_run(dl, off, err);

	if (p == NULL)
		return -1;
	*ret = p->begin;
	if (p->run.kind != FMT_RUN_CHUNK) {
		if (grain_before(off) > *ret)
			*ret = grain_before(off);
		/* Zeros that may be gone ended the chunk before them. */
		else if (*ret > dl->at && (p = parent_run(dl, *ret - 1, err)) == NULL)
			return -1;
		else if (p->run.kind == FMT_RUN_CHUNK)
			*ret = p->begin;
	}
	if (*ret < dl->at)
		*ret = dl->at;
	return 0;
}

static int scan(struct delta *dl, struct err *err)
{
	for (;;) {
		if (engine_cancelled(dl->b->e))
			return err_set(err, ERR_CANCELLED, "stopped on request");
		if (pause_if_due(dl, err) < 0 || look_ahead(dl, err) < 0)
			return -1;
		if (dl->ahead_used == 0)
			break;

		struct extent x = dl->ahead[dl->ahead_first];
		uint64_t begin;

		dl->ahead_first = (dl->ahead_first + 1) % AHEAD;
		dl->ahead_used--;
		/* What was read already may reach over this extent. */
		if (x.off + x.len <= dl->at)
			continue;
		if (x.off > dl->at && (likely_begin(dl, x.off, &begin, err) < 0 ||
		    carry_to(dl, begin, err) < 0))
			return -1;
		dl->until = x.off + x.len;
		if (read_changed(dl, err) < 0)
			return -1;
	}
	if (carry_to(dl, dl->size, err) < 0)
		return -1;
	return retire(dl, true, err) < 0 ? -1 : flush_zeros(dl, err);
}

int delta_store(struct backup *b, int fd, uint64_t size,
    const struct store_snapshot *parent, struct archive_map_writer **map,
    const struct delta_pause *pause, struct err *err)
{
	struct delta dl = { .b = b, .self = b->nstorers - 1, .fd = fd, .size = size,
	    .map = map, .pause = pause };
	struct archive_ref root = { .level = parent->state.level,
	    .entries = parent->state.entries };
	int r = -1;

	memcpy(root.id, parent->state.id, sizeof(root.id));
	memcpy(dl.from, parent->id, sizeof(dl.from));
	pthread_mutex_init(&dl.lock, NULL);
	pthread_cond_init(&dl.done, NULL);
	dl.split = (struct split){
		.chunker = b->block, .max = b->block_max, .zeros = SPLIT_GRAIN,
		.chunk = on_chunk, .zero = on_zero, .ctx = &dl,
	};
	dl.cap = split_hold(&dl.split) + 4 * READ_ON;
	dl.buf = mem_pages(dl.cap, "a read buffer", err);
	dl.steps = mem_array(STEPS, sizeof(*dl.steps), "the changes", err);
	if (dl.buf != NULL && dl.steps != NULL)
		dl.parent.m = archive_map_open(&b->io, &root, err);
	if (dl.parent.m != NULL)
		dl.probe.m = archive_map_open(&b->io, &root, err);
	if (dl.probe.m != NULL) {
		r = scan(&dl, err);
		drain(&dl);
		if (r < 0 && dl.left)
			r = flush_zeros(&dl, err) < 0 ? -1 : 1;
	}
	archive_map_close(dl.parent.m);
	archive_map_close(dl.probe.m);
	mem_pages_free(dl.buf, dl.cap);
	free(dl.steps);
	pthread_cond_destroy(&dl.done);
	pthread_mutex_destroy(&dl.lock);
	return r;
}
