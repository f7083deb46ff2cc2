#include <stdlib.h>
#include <string.h>

#include "agent/engine/restore_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"

#define BATCH_ITEMS 64u

/* --- batches -------------------------------------------------------------------------*/

void restore_busy(struct restore *r, int n)
{
	pthread_mutex_lock(&r->lock);
	r->busy += (unsigned)n;
	if (r->busy == 0)
		pthread_cond_signal(&r->idle);
	pthread_mutex_unlock(&r->lock);
}

void restore_submit(struct restore *r, struct rbatch *b,
    void (*fn)(struct pool_task *task, unsigned self))
{
	b->task.fn = fn;
	restore_busy(r, 1);
	pool_submit(r->e->pool, &b->task, false);
}

void restore_batch_done(struct rbatch *b)
{
	struct restore *r = b->r;

	free(b);
	restore_busy(r, -1);
}

void restore_wait(struct restore *r)
{
	pthread_mutex_lock(&r->lock);
	while (r->busy > 0)
		pthread_cond_wait(&r->idle, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

struct rbatch *restore_batch_new(struct restore *r, struct err *err)
{
	struct rbatch *b = mem_zalloc(sizeof(*b), "a batch", err);

	if (b != NULL) {
		b->r = r;
		b->tail = &b->first;
	}
	return b;
}

static void run_make(struct pool_task *task, unsigned self)
{
	struct rbatch *b = (struct rbatch *)task;

	for (struct ritem *it = b->first, *next; it != NULL; it = next) {
		next = it->next;
		if (restore_stopped(b->r))
			restore_item_free(it);
		else if (it->how == HOW_VERIFY)
			restore_verify(it);
		else
			restore_make(it, self);
	}
	restore_batch_done(b);
}

static void run_links(struct pool_task *task, unsigned self)
{
	struct rbatch *b = (struct rbatch *)task;

	(void)self;
	for (struct ritem *it = b->first, *next; it != NULL; it = next) {
		next = it->next;
		if (restore_stopped(b->r))
			restore_item_free(it);
		else if (it->how == HOW_VERIFY)
			restore_verify_link(it);
		else
			restore_make_link(it);
	}
	restore_batch_done(b);
}

static void batch_flush(struct restore *r)
{
	if (r->open_batch != NULL)
		restore_submit(r, STEAL_PTR(r->open_batch), run_make);
}

static int batch_add(struct restore *r, struct ritem *it, struct err *err)
{
	if (r->open_batch == NULL && (r->open_batch = restore_batch_new(r, err)) == NULL) {
		restore_item_free(it);
		return -1;
	}

	struct rbatch *b = r->open_batch;

	it->next = NULL;
	*b->tail = it;
	b->tail = &it->next;
	if (++b->n == BATCH_ITEMS)
		batch_flush(r);
	return 0;
}

/* --- windows ---------------------------------------------------------------------------*/

static int make_links(struct restore *r, struct err *err)
{
	while (r->links_first != NULL) {
		struct rbatch *b = restore_batch_new(r, err);

		if (b == NULL)
			return -1;
		while (r->links_first != NULL && b->n < BATCH_ITEMS) {
			struct ritem *it = r->links_first;

			r->links_first = it->next;
			it->next = NULL;
			*b->tail = it;
			b->tail = &it->next;
			b->n++;
		}
		restore_submit(r, b, run_links);
	}
	r->links_tail = &r->links_first;
	restore_wait(r);
	return 0;
}

int restore_window_end(struct restore *r, struct err *err)
{
	batch_flush(r);

	int res = fetch_run(r->fetch, err);

	restore_wait(r);
	if (make_links(r, err) < 0)
		res = -1;
	if (engine_cancelled(r->e))
		return err_set(err, ERR_CANCELLED, "the restore was stopped");
	return restore_stopped(r) ? -1 : res;
}

static int window_room(struct restore *r, struct err *err)
{
	if (!fetch_full(r->fetch) && atomic_load(&r->held) < r->held_max)
		return restore_stopped(r) ? -1 : 0;
	return restore_window_end(r, err);
}

void restore_links_drop(struct restore *r)
{
	while (r->links_first != NULL) {
		struct ritem *it = r->links_first;

		r->links_first = it->next;
		restore_item_free(it);
	}
}

/* --- planning ----------------------------------------------------------------------------*/

static void damaged(struct ritem *it, const struct err *why)
{
	if (!atomic_exchange(&it->bad, true) && it->how != HOW_VERIFY)
		restore_report(it, why);
}

/* One need of the item, that takes a part of it. */
static int need_add(struct restore *r, struct ritem *it, const struct need *n,
    struct err *err)
{
	atomic_fetch_add(&it->parts, 1);

	int res = fetch_add(r->fetch, n, err);

	if (res > 0) {
		struct err why;

		err_set(&why, ERR_CORRUPT, "the repository has lost a part of it");
		damaged(it, &why);
		atomic_fetch_sub(&it->parts, 1);
		return 1;
	}
	if (res < 0)
		atomic_fetch_sub(&it->parts, 1);
	return res;
}

static int plan_run(struct restore *r, struct ritem *it, uint64_t at,
    const struct fmt_run *run, struct err *err)
{
	bool there = it->how == HOW_UPDATE || it->how == HOW_VERIFY;
	struct need n = { .at = at, .len = run->len, .owner = it, .check = there };

	if (at > it->size || run->len > it->size - at) {
		struct err why;

		err_set(&why, ERR_CORRUPT, "its parts are longer than it is");
		damaged(it, &why);
		return 0;
	}
	if (run->kind == FMT_RUN_CHUNK) {
		memcpy(n.id, run->id, sizeof(n.id));
		n.plain = (uint32_t)run->len;
		if (run->len <= UINT32_MAX)
			return need_add(r, it, &n, err) < 0 ? -1 : 0;
		return 0;
	}
	n.kind = run->kind == FMT_RUN_HOLE ? NEED_HOLE : NEED_ZEROS;
	/* A new file is one hole. */
	if (it->how == HOW_CREATE || it->how == HOW_REPLACE) {
		if (n.kind == NEED_HOLE || r->opt->sparse)
			return 0;
	}
	return need_add(r, it, &n, err) < 0 ? -1 : 0;
}

int restore_plan_map(struct restore *r, struct ritem *it, struct err *err)
{
	struct archive_ref root = { .level = it->content.level,
	    .entries = it->content.entries };
	struct archive_map *m;
	struct fmt_run run;
	uint64_t at, reached = 0;
	int res = 0;

	memcpy(root.id, it->content.id, sizeof(root.id));
	m = archive_map_open(pages_io(r->pages), &root, err);
	if (m == NULL) {
		if (err->class != ERR_CORRUPT)
			return -1;
		damaged(it, err);
		return 0;
	}
	for (;;) {
		res = archive_map_next(m, &at, &run, err);
		if (res < 0 && (err->class == ERR_CORRUPT || err->class == ERR_NOTFOUND)) {
			damaged(it, err);
			res = archive_map_skip_damage(m, err);
			if (res == 0)
				continue;
		}
		if (res != 0)
			break;
		reached = at + run.len;
		if (plan_run(r, it, at, &run, err) < 0 || window_room(r, err) < 0) {
			res = -1;
			break;
		}
	}
	archive_map_close(m);
	if (res > 0 && reached != it->size) {
		err_set(err, ERR_CORRUPT, "its chunk list does not reach its end");
		damaged(it, err);
	}
	return res < 0 ? -1 : 0;
}

static int plan_runs(struct restore *r, struct ritem *it, struct err *err)
{
	struct fmt_list l = it->content.runs;
	struct fmt_run run;
	uint64_t at = 0;

	while (fmt_run_next(&l, &run) == 0) {
		if (plan_run(r, it, at, &run, err) < 0)
			return -1;
		at += run.len;
	}
	if (at < it->size) {
		err_set(err, ERR_CORRUPT, "its chunk list does not reach its end");
		damaged(it, err);
	}
	return 0;
}

/* Whether one chunk is all there is; then *ret_run is it. */
static bool one_chunk(const struct ritem *it, struct fmt_run *ret_run)
{
	struct fmt_list l = it->content.runs;

	return it->content.kind == FMT_CONTENT_RUNS && l.n == 1 &&
	    fmt_run_next(&l, ret_run) == 0 && ret_run->kind == FMT_RUN_CHUNK &&
	    ret_run->len == it->size;
}

/* A file whose bytes come by one need. */
static int plan_whole(struct restore *r, struct ritem *it, const uint8_t *id,
    uint32_t off, uint32_t plain, struct err *err)
{
	struct need n = { .len = it->size, .owner = it, .off = off, .plain = plain };

	it->whole = true;
	memcpy(n.id, id, sizeof(n.id));

	int res = need_add(r, it, &n, err);

	if (res <= 0) {
		restore_item_part(it, 0);
		return res;
	}
	/* Lost: the file is made all the same, as a hole. */
	if (it->how == HOW_VERIFY) {
		restore_item_part(it, 0);
		return 0;
	}
	it->whole = false;
	it->content.kind = FMT_CONTENT_HOLE;
	return batch_add(r, it, err);
}

static int plan_file(struct restore *r, struct ritem *it, struct err *err)
{
	struct fmt_run run;
	int res = 0;

	if (it->how == HOW_SAME || it->how == HOW_SKIP || it->size == 0 ||
	    it->content.kind == FMT_CONTENT_INLINE)
		return batch_add(r, it, err);
	/* A dry run of what does not exist yet is told by its entry. */
	if (r->dry && it->how != HOW_UPDATE)
		return batch_add(r, it, err);
	if (it->content.kind == FMT_CONTENT_SLICE)
		return plan_whole(r, it, it->content.id, it->content.off,
		    it->content.chunk_len, err);
	if ((it->how == HOW_CREATE || it->how == HOW_REPLACE) && one_chunk(it, &run))
		return plan_whole(r, it, run.id, 0, (uint32_t)run.len, err);

	if (it->content.kind == FMT_CONTENT_HOLE) {
		run = (struct fmt_run){ .kind = FMT_RUN_HOLE, .len = it->size };
		if (it->how == HOW_CREATE || it->how == HOW_REPLACE)
			return batch_add(r, it, err);
		res = plan_run(r, it, 0, &run, err);
	} else if (it->content.kind == FMT_CONTENT_RUNS) {
		res = plan_runs(r, it, err);
	} else {
		res = restore_plan_map(r, it, err);
	}
	restore_item_part(it, 0);
	return res;
}

/* What a file is when the backup could not read it. */
static bool unread(struct ritem *it)
{
	struct err why;

	if (!(it->bits & FMT_UNREAD) && (it->type != FMT_FILE || it->bits & FMT_HAS_CONTENT))
		return false;
	if (it->how != HOW_VERIFY) {
		err_set(&why, ERR_NOTFOUND, "the snapshot has it not: it could not be read "
		    "when the backup was made");
		restore_report(it, &why);
	}
	return it->type == FMT_FILE && !(it->bits & FMT_HAS_CONTENT);
}

/*
 * A file that is kept must not be the same inode as another one that is kept,
 * unless the snapshot says so.
 */
static int keep_inode(struct restore *r, struct ritem *it, struct err *err)
{
	uint64_t first;
	int res;

	if (it->how != HOW_SAME || it->fino == 0)
		return 0;
	res = table_add(r->kept, it->fdev, it->fino, 0, &first, err);
	if (res > 0)
		it->how = HOW_REPLACE;
	return res < 0 ? -1 : 0;
}

int restore_plan(struct restore *r, struct ritem *it, struct err *err)
{
	if (it->how == HOW_SKIP || unread(it)) {
		restore_item_free(it);
		return 0;
	}
	if ((it->bits & FMT_HAS_LINKS) && it->type != FMT_DIRECTORY) {
		int res = restore_links_add(r->links, it, err);

		if (res < 0) {
			restore_item_free(it);
			return -1;
		}
		if (res > 0) {
			it->next = NULL;
			*r->links_tail = it;
			r->links_tail = &it->next;
			return window_room(r, err);
		}
	}
	if (r->in_place && !r->verifying &&
	    (restore_shared(r, it, err) < 0 || keep_inode(r, it, err) < 0)) {
		restore_item_free(it);
		return -1;
	}
	if (it->type == FMT_FILE ? plan_file(r, it, err) < 0 : batch_add(r, it, err) < 0)
		return -1;
	return window_room(r, err);
}
