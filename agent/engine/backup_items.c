#include <stdlib.h>
#include <string.h>

#include "agent/engine/backup_internal.h"
#include "repo/base/mem.h"

/* The walk's thread: makes items and hands them to the workers in batches. */

/*
 * May it be read right after it was looked at?  Linked files are read once:
 * the merge knows which time.  What finds no room now is read when the merge
 * asks for it.
 */
static bool fetch_now(struct backup *b, const struct item *it)
{
	if (it->gone || it->type == 0 || backup_failed(b) || backup_stopping(b))
		return false;
	return it->type != FMT_FILE || (it->nlink == 1 && it->size < SMALL_MAX &&
	    atomic_load(&b->held) <= b->held_max);
}

static void run_batch(struct pool_task *task, unsigned self)
{
	struct batch *ba = (struct batch *)((char *)task - offsetof(struct batch, task));
	struct backup *b = ba->b;
	struct item *it = ba->first;

	for (unsigned i = 0; i < ba->n; i++) {
		/* Read before it is given away: it may be gone right after. */
		struct item *next = it->batch_next;
		struct err err;
		int fd = dir_pin(it->dir, &err);

		if (fd < 0) {
			it->gone = true;
			backup_report(b, it->dir, it->name, &err);
		} else {
			item_look(b, it, fd);
			dir_unpin(it->dir);
		}
		if (ba->fetch_all && fetch_now(b, it))
			item_fetch(b, self, it, true);
		atomic_store_explicit(&it->looked, true, memory_order_release);
		it = next;
	}
	free(ba);
	backup_task_end(b, NULL);
}

static void send_batch(struct backup *b)
{
	struct batch *ba = b->open_batch;

	if (ba == NULL)
		return;
	b->open_batch = NULL;
	ba->task.fn = run_batch;
	backup_submit(b, &ba->task, false);
}

static int batch_begin(struct backup *b, struct err *err)
{
	struct batch *ba = b->open_batch;

	if (ba != NULL)
		return 0;
	ba = mem_zalloc(sizeof(*ba), "a batch of files", err);
	if (ba == NULL)
		return -1;
	ba->b = b;
	ba->fetch_all = !b->has_parent;
	ba->tail = &ba->first;
	b->open_batch = ba;
	return 0;
}

static void batch_add(struct backup *b, struct item *it)
{
	struct batch *ba = b->open_batch;

	*ba->tail = it;
	ba->tail = &it->batch_next;
	if (++ba->n == BATCH_MAX)
		send_batch(b);
}

/*
 * Are there enough items for now?  Without a parent what is walked is read at
 * once, so content that waits counts too.  The lock is held.
 */
static bool crowded(struct backup *b)
{
	return b->items >= ITEMS_MAX || (!b->has_parent && b->items > 0 &&
	    atomic_load(&b->held) > b->held_max);
}

/* Wait until there is room for another item; the open batch is sent first. */
static void wait_room(struct backup *b)
{
	pthread_mutex_lock(&b->lock);
	if (crowded(b)) {
		pthread_mutex_unlock(&b->lock);
		send_batch(b);
		pthread_mutex_lock(&b->lock);
		while (!b->failed && !backup_stopping(b) && crowded(b))
			pthread_cond_wait(&b->room, &b->lock);
	}
	pthread_mutex_unlock(&b->lock);
}

static int on_entry(void *ctx, struct dir *dir, const char *name, size_t len,
    uint64_t h, uint8_t dtype, bool no_state, struct err *err)
{
	struct backup *b = ctx;

	wait_room(b);
	if (backup_failed(b) || backup_stopping(b))
		return err_set(err, ERR_CANCELLED, "the backup has ended");

	/* What is in the list is also in a batch: nothing here may fail later. */
	struct item *it = mem_zalloc(sizeof(*it) + len + 1, "a file's entry", err);

	if (it == NULL || batch_begin(b, err) < 0) {
		free(it);
		return -1;
	}
	it->b = b;
	it->dir = dir_ref(dir);
	it->h = h;
	it->len = (uint16_t)len;
	it->dtype = dtype;
	it->no_state = no_state;
	it->is_root = len == 0;
	it->content.kind = CONTENT_NONE;
	memcpy(it->name, name, len);
	pthread_mutex_lock(&b->lock);
	*b->tail = it;
	b->tail = &it->next;
	/* In this order: main never sees a later place without the earlier ones. */
	if (b->encode_at == NULL)
		b->encode_at = it;
	if (b->bundle_at == NULL)
		b->bundle_at = it;
	if (b->merge_at == NULL)
		b->merge_at = it;
	b->items++;
	pthread_mutex_unlock(&b->lock);
	batch_add(b, it);
	return 0;
}

static void on_bad(void *ctx, const char *path, const struct err *why)
{
	struct backup *b = ctx;
	struct buf full = BUF_INIT;

	buf_printf(&full, "%s%s%s", b->root, strcmp(b->root, "/") == 0 ? "" : "/", path);
	buf_u8(&full, 0);
	backup_report_path(b, full.failed ? path : (const char *)full.p, why);
	buf_release(&full);
}

static bool walk_cancelled(void *ctx)
{
	struct backup *b = ctx;

	return backup_stopping(b) || backup_failed(b);
}

void *backup_walk(void *arg)
{
	struct backup *b = arg;
	struct walk_options opt = {
		.select = b->select,
		.order_key = b->order_key,
		.exclude = b->opt->exclude,
		.exclude_caches = b->opt->exclude_caches,
		.one_file_system = b->opt->one_file_system,
		.memory = b->e->budget.walk,
		.entry = on_entry, .bad = on_bad, .cancelled = walk_cancelled, .ctx = b,
	};
	struct err err;

	int r = walk_tree(b->dirs, &opt, &err);
	bool stopped = r < 0 && backup_stopping(b);

	if (r < 0 && !stopped)
		backup_fail(b, &err);
	send_batch(b);
	pthread_mutex_lock(&b->lock);
	/* What it has not come to is not gone. */
	b->walk_done = !stopped;
	b->events++;
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
	return NULL;
}
