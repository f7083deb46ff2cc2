#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/links.h"
#include "agent/engine/rebundle.h"
#include "agent/engine/stream.h"
#include "agent/engine/total.h"
#include "agent/engine/twins.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"
#include "repo/format/fmt_derive.h"

/* Directories kept open at once. */
#define OPEN_DIRS 512u
/* Content of small files that waits to be bundled and stored, bytes. */
#define HELD_MAX ((size_t)16 << 20)

/* --- shared ------------------------------------------------------------------------*/

void backup_wake(struct backup *b)
{
	pthread_mutex_lock(&b->lock);
	b->events++;
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
}

void backup_fail(struct backup *b, const struct err *why)
{
	pthread_mutex_lock(&b->lock);
	if (!b->failed) {
		b->failed = true;
		b->failure = *why;
	}
	b->events++;
	pthread_cond_signal(&b->wake);
	pthread_cond_signal(&b->room);
	pthread_mutex_unlock(&b->lock);
}

bool backup_failed(struct backup *b)
{
	pthread_mutex_lock(&b->lock);
	bool failed = b->failed;
	pthread_mutex_unlock(&b->lock);
	return failed;
}

int backup_alive(struct backup *b, struct err *err)
{
	if (engine_cancelled(b->e))
		return err_set(err, ERR_CANCELLED, "stopped on request");
	if (b->ss == NULL)
		return 0;
	return store_session_alive(b->ss, atomic_load(&b->e->progress.bytes_read),
	    b->res->entries, err);
}

void backup_submit(struct backup *b, struct pool_task *task, bool urgent)
{
	atomic_fetch_add(&b->tasks, 1);
	pool_submit(b->e->pool, task, urgent);
}

/*
 * All under the lock: who sees the counts afterwards and then takes the lock
 * once knows that the worker is done with the item and with b.
 */
void backup_task_end(struct backup *b, atomic_uint *busy)
{
	pthread_mutex_lock(&b->lock);
	if (busy != NULL)
		atomic_fetch_sub(busy, 1);
	atomic_fetch_sub(&b->tasks, 1);
	b->events++;
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
}

void backup_advance(struct backup *b, struct item *_Atomic *place)
{
	struct item *it = atomic_load(place);

	pthread_mutex_lock(&b->lock);
	atomic_store(place, it->next);
	pthread_mutex_unlock(&b->lock);
}

bool backup_walk_over(struct backup *b, struct item *_Atomic *place)
{
	pthread_mutex_lock(&b->lock);
	bool over = b->walk_done && atomic_load(place) == NULL;
	pthread_mutex_unlock(&b->lock);
	return over;
}

bool backup_stuck(struct backup *b)
{
	pthread_mutex_lock(&b->lock);
	bool stuck = b->items >= ITEMS_MAX && b->merge_at == NULL;
	pthread_mutex_unlock(&b->lock);
	return stuck;
}

/* Has it been reported?  Both the walk and a worker may fail at one path. */
static bool named_before(struct backup *b, const char *path)
{
	uint64_t h = crypto_siphash(b->seed, path, strlen(path)) | 1;
	uint64_t *slot = &b->named[h / 2 % NAMED_MAX];

	pthread_mutex_lock(&b->lock);
	bool before = *slot == h;
	*slot = h;
	pthread_mutex_unlock(&b->lock);
	return before;
}

static void report_path(struct backup *b, const char *path, const struct err *why)
{
	if (named_before(b, path))
		return;
	atomic_fetch_add(&b->e->progress.errors, 1);
	if (b->opt->report != NULL)
		b->opt->report(b->opt->report_ctx, path, why);
}

void backup_report(struct backup *b, struct dir *dir, const char *name,
    const struct err *why)
{
	struct buf rel = BUF_INIT, full = BUF_INIT;

	dir_path_of(dir, name, &rel);
	buf_str(&full, b->root);
	if (full.len > 0 && full.p[full.len - 1] != '/')
		buf_u8(&full, '/');
	buf_add(&full, rel.p, rel.len);
	report_path(b, full.failed || rel.failed ? name : (const char *)full.p, why);
	buf_release(&rel);
	buf_release(&full);
}

int backup_put(struct backup *b, unsigned self, enum store_kind kind,
    const void *data, size_t len, uint8_t ret_id[32], struct err *err)
{
	struct store_put_result r;
	struct store_worker *w = b->storers[self].w;

	if (b->ss == NULL) {
		struct store_loc loc;

		store_blob_id(w, kind, data, len, r.id);
		int found = store_locate(b->st, r.id, &loc, err);

		if (found < 0)
			return -1;
		r.is_new = found == 1;
		r.stored_len = 0;
	} else if (store_put(b->ss, w, kind, data, len, b->opt->verify_writes, &r, err) < 0) {
		return -1;
	}
	memcpy(ret_id, r.id, sizeof(r.id));
	if (r.is_new) {
		if (kind == STORE_DATA)
			atomic_fetch_add(&b->e->progress.bytes_new, len);
		atomic_fetch_add(&b->e->progress.bytes_stored, r.stored_len);
	}
	return 0;
}

int backup_page_put(void *ctx, enum archive_kind kind, const void *page,
    size_t len, uint8_t ret_id[32], struct err *err)
{
	struct page_ctx *p = ctx;

	return backup_put(p->b, p->self, (enum store_kind)kind, page, len, ret_id, err);
}

int backup_page_get(void *ctx, enum archive_kind kind, const uint8_t id[32],
    struct buf *ret_page, struct err *err)
{
	struct page_ctx *p = ctx;
	int r = store_get(p->b->st, p->b->storers[p->self].w, (enum store_kind)kind, id,
	    ret_page, err);

	return r <= 0 ? r : err_set(err, ERR_CORRUPT, "a page of the parent is missing");
}

/* --- the walk's thread ---------------------------------------------------------------*/

/*
 * May it be read right after it was looked at?  Linked files are read once:
 * the merge knows which time.  What finds no room now is read when the merge
 * asks for it.
 */
static bool fetch_now(struct backup *b, const struct item *it)
{
	if (it->gone || it->type == 0 || backup_failed(b))
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
	ba->fetch_all = b->state == NULL;
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
	return b->items >= ITEMS_MAX || (b->state == NULL && b->items > 0 &&
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
		while (!b->failed && crowded(b))
			pthread_cond_wait(&b->room, &b->lock);
	}
	pthread_mutex_unlock(&b->lock);
}

static int on_entry(void *ctx, struct dir *dir, const char *name, size_t len,
    uint64_t h, uint8_t dtype, bool no_state, struct err *err)
{
	struct backup *b = ctx;

	wait_room(b);
	if (backup_failed(b))
		return err_set(err, ERR_CANCELLED, "the backup has failed");

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
	report_path(b, full.failed ? path : (const char *)full.p, why);
	buf_release(&full);
}

static bool walk_cancelled(void *ctx)
{
	struct backup *b = ctx;

	return engine_cancelled(b->e) || backup_failed(b);
}

static void *walk_thread(void *arg)
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

	if (walk_tree(b->dirs, &opt, &err) < 0)
		backup_fail(b, &err);
	send_batch(b);
	pthread_mutex_lock(&b->lock);
	b->walk_done = true;
	b->events++;
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

/* --- the main thread -------------------------------------------------------------------*/

/* Wait for an event, but no longer than a second; the lock is held. */
static int wait_second(struct backup *b)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	return pthread_cond_timedwait(&b->wake, &b->lock, &until);
}

static int main_loop(struct backup *b, struct err *err)
{
	uint64_t seen = 0;

	for (;;) {
		int did = merge_step(b, err);

		if (did >= 0) {
			int d = bundle_step(b, err);

			did = d < 0 ? -1 : did | d;
		}
		if (did >= 0) {
			int d = encode_step(b, err);

			did = d < 0 ? -1 : did | d;
		}
		if (did < 0)
			return -1;
		if (backup_alive(b, err) < 0)
			return -1;

		pthread_mutex_lock(&b->lock);
		if (b->failed) {
			*err = b->failure;
			pthread_mutex_unlock(&b->lock);
			return -1;
		}
		if (b->walk_done && b->merge_ended && b->first == NULL && b->bundle == NULL) {
			pthread_mutex_unlock(&b->lock);
			return 0;
		}
		pthread_cond_signal(&b->room);
		/* A large file may take hours: the session has to show life. */
		for (int e = 0; !did && b->events == seen && e == 0;)
			e = wait_second(b);
		seen = b->events;
		pthread_mutex_unlock(&b->lock);
	}
}

/* Let every task end, then free the items that a failure has left. */
static void drain(struct backup *b)
{
	pthread_mutex_lock(&b->lock);
	while (atomic_load(&b->tasks) > 0)
		pthread_cond_wait(&b->wake, &b->lock);
	pthread_mutex_unlock(&b->lock);
	while (b->first != NULL) {
		struct item *it = b->first;

		b->first = it->next;
		item_free(it);
	}
	if (b->bundle != NULL)
		bundle_unref(b->bundle);
}

static int tree_setup(struct backup *b, struct err *err)
{
	int fd = open(b->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "cannot open %s", b->root);
	b->dirs = dirs_new(fd, OPEN_DIRS, err);
	b->links = b->dirs != NULL ? links_new(err) : NULL;
	b->twins = b->links != NULL ? twins_new(err) : NULL;
	b->tree = b->twins != NULL ? archive_tree_begin(&b->io, b->order_key, err) : NULL;
	return b->tree != NULL ? 0 : -1;
}

static void tree_teardown(struct backup *b)
{
	archive_tree_free(b->tree);
	archive_state_close(b->state);
	if (b->at_group != NULL)
		merge_group_unref(b->at_group);
	links_free(b->links);
	twins_free(b->twins);
	rebundle_release(b);
	if (b->comps_dir != NULL)
		dir_unref(b->comps_dir);
	free(b->comps);
	dirs_free(b->dirs);
}

int backup_finish_tree(struct archive_tree_writer *w, struct store_commit *commit,
    struct err *err)
{
	struct archive_ref catalog, state;

	if (archive_tree_finish(w, &catalog, &state, err) < 0)
		return -1;
	memcpy(commit->catalog.id, catalog.id, sizeof(catalog.id));
	commit->catalog.level = catalog.level;
	commit->catalog.entries = catalog.entries;
	memcpy(commit->state.id, state.id, sizeof(state.id));
	commit->state.level = state.level;
	commit->state.entries = state.entries;
	return 0;
}

static int backup_tree(struct backup *b, const struct store_snapshot *parent,
    struct store_commit *commit, struct err *err)
{
	pthread_t walker;
	int r = -1;

	if (tree_setup(b, err) < 0 || merge_begin(b, parent, err) < 0)
		goto out;

	int e = pthread_create(&walker, NULL, walk_thread, b);

	if (e != 0) {
		err_sys(err, e, "cannot start the walk");
		goto out;
	}
	struct total *total = b->opt->count_total ? total_start(b) : NULL;

	r = main_loop(b, err);
	if (r < 0)
		backup_fail(b, err);
	total_stop(total);
	pthread_join(walker, NULL);
	drain(b);
	/* The first failure is the cause; what main met may follow from it. */
	if (r < 0)
		*err = b->failure;
	if (r == 0)
		r = backup_finish_tree(b->tree, commit, err);
out:
	tree_teardown(b);
	return r;
}

/* --- a run -----------------------------------------------------------------------------*/

static int make_chunker(struct chunker **ret, enum chunker_mode mode, const uint8_t *key,
    const struct store_chunking *c, struct err *err)
{
	struct chunker_params p = { c->avg, c->min, c->max, c->threshold };

	*ret = aligned_alloc(64, (sizeof(**ret) + 63) / 64 * 64);
	if (*ret == NULL)
		return err_nomem(err, "the chunker");
	if (chunker_init(*ret, mode, key, &p) < 0)
		return err_set(err, ERR_CORRUPT,
		    "the repository's chunking parameters are not valid");
	return 0;
}

static int make_storers(struct backup *b, struct err *err)
{
	size_t max = b->stream_max > b->block_max ? b->stream_max : b->block_max;

	if (max < BUNDLE_MAX)
		max = BUNDLE_MAX;
	b->nstorers = pool_size(b->e->pool) + 1;
	b->medium_max = b->stream_max;
	b->storers = mem_array(b->nstorers, sizeof(*b->storers), "the workers", err);
	if (b->storers == NULL)
		return -1;
	for (unsigned i = 0; i < b->nstorers; i++) {
		struct storer *s = &b->storers[i];

		s->w = store_worker_new(b->st, b->opt->level, max, NULL, err);
		if (s->w == NULL)
			return -1;
		if (i + 1 == b->nstorers)
			break;
		s->cap = b->medium_max;
		s->buf = mem_pages(s->cap, "a worker's read buffer", err);
		if (s->buf == NULL)
			return -1;
	}
	return 0;
}

static int prepare(struct backup *b, struct err *err)
{
	const struct store_info *info = store_info(b->st);
	uint8_t volume_key[32];
	const uint8_t *cut = store_cut_key(b->st);

	if (store_need(b->st, STORE_WRITE, "backup", err) < 0)
		return -1;
	b->order_key = store_order_key(b->st);
	fmt_order_derive(volume_key, b->state_key, b->order_key);
	uint8_t seed[32];

	crypto_derive(seed, b->order_key, "wherry/1/bundle");
	memcpy(b->seed, seed, sizeof(b->seed));
	b->stream_max = info->stream.max;
	b->stream_avg = info->stream.avg;
	b->block_max = info->block.max;
	/* Enough that no worker waits for the one that bundles. */
	b->held_max = b->e->budget.read / 4 < HELD_MAX ? b->e->budget.read / 4 : HELD_MAX;
	if (make_chunker(&b->stream, CHUNKER_STREAM, cut, &info->stream, err) < 0 ||
	    make_chunker(&b->block, CHUNKER_BLOCK, cut, &info->block, err) < 0 ||
	    make_storers(b, err) < 0)
		return -1;
	b->page = (struct page_ctx){ b, b->nstorers - 1 };
	b->io = (struct archive_io){ backup_page_get, backup_page_put, &b->page };
	return 0;
}

static void release(struct backup *b)
{
	for (unsigned i = 0; b->storers != NULL && i < b->nstorers; i++) {
		store_worker_free(b->storers[i].w);
		mem_pages_free(b->storers[i].buf, b->storers[i].cap);
	}
	free(b->storers);
	bundle_release(b);
	stream_memory_free(b->stream_memory);
	if (b->stream != NULL)
		mem_wipe(b->stream, sizeof(*b->stream));
	if (b->block != NULL)
		mem_wipe(b->block, sizeof(*b->block));
	free(b->stream);
	free(b->block);
	for (size_t i = 0; i < b->npaths; i++)
		free(b->paths[i]);
	free(b->paths);
	select_free(b->select);
	free(b->root);
	free(b->volume);
	pthread_cond_destroy(&b->room);
	pthread_cond_destroy(&b->wake);
	pthread_mutex_destroy(&b->lock);
}

/* What is backed up, and the volume's name when none is given. */
static int name_source(struct backup *b, struct err *err)
{
	const struct engine_backup_options *o = b->opt;
	struct buf v = BUF_INIT;

	if (o->stream_name != NULL || o->device != NULL) {
		b->root = mem_strdup(o->device ? o->device : o->stream_name, err);
		b->paths = mem_array(1, sizeof(*b->paths), "the source", err);
		if (b->root == NULL || b->paths == NULL)
			return -1;
		b->paths[0] = mem_strdup(b->root, err);
		if (b->paths[0] == NULL)
			return -1;
		b->npaths = 1;
	} else {
		b->root = select_paths(o->paths, o->npaths, &b->select, &b->paths,
		    &b->npaths, err);
		if (b->root == NULL)
			return -1;
	}
	if (o->volume != NULL) {
		buf_str(&v, o->volume);
	} else {
		buf_str(&v, o->host);
		for (size_t i = 0; i < b->npaths; i++) {
			buf_u8(&v, i == 0 ? ':' : ',');
			buf_str(&v, b->paths[i]);
		}
	}
	buf_u8(&v, 0);
	if (buf_check(&v, "the volume's name", err) < 0) {
		buf_release(&v);
		return -1;
	}
	b->volume = (char *)v.p;
	return 0;
}

static bool run_cancelled(void *ctx)
{
	return engine_cancelled(ctx);
}

static int open_session(struct backup *b, const struct store_snapshot **ret_parent,
    struct err *err)
{
	const struct engine_backup_options *o = b->opt;
	struct store_session_options so = {
		.volume = b->volume,
		.host = o->host,
		.content = o->device ? STORE_BLOCK : STORE_TREE,
		.parent = o->parent ? o->parent : "auto",
		.pack_buffers = b->e->budget.pack_buffers,
		.executor = { uploads_submit, b->e->uploads },
		.cancelled = run_cancelled,
		.cancelled_ctx = b->e,
	};

	*ret_parent = NULL;
	if (o->dry_run)
		return 0;
	b->ss = store_session_begin(b->st, &so, err);
	if (b->ss == NULL)
		return -1;
	*ret_parent = store_session_parent(b->ss, &b->carry);
	if (*ret_parent != NULL)
		memcpy(b->res->parent, (*ret_parent)->id, sizeof(b->res->parent));
	return 0;
}

static int commit_run(struct backup *b, struct store_commit *c, struct err *err)
{
	struct engine_backup_result *r = b->res;
	struct engine_progress *p = &b->e->progress;

	r->errors = atomic_load(&p->errors);
	if (r->errors > 0)
		r->flags |= STORE_INCOMPLETE;
	if (b->opt->ignore_ctime)
		r->flags |= STORE_CTIME_IGNORED;
	r->bytes_read = atomic_load(&p->bytes_read);
	r->bytes_new = atomic_load(&p->bytes_new);
	c->flags = r->flags;
	c->size = r->bytes;
	c->entries = r->entries;
	c->files = r->files_new + r->files_changed + r->files_same;
	c->dirs = r->dirs;
	c->others = r->others;
	c->bytes_read = r->bytes_read;
	c->bytes_new = r->bytes_new;
	c->end_ns = clock_real_ns();
	c->user = b->opt->user ? b->opt->user : "";
	c->program = b->opt->program ? b->opt->program : "";
	c->paths = (const char *const *)b->paths;
	c->npaths = b->npaths;
	c->tags = b->opt->tags;
	c->ntags = b->opt->ntags;
	if (b->ss != NULL) {
		struct store_session *ss = b->ss;

		b->ss = NULL;

		int done = store_session_commit(ss, c, r->id, err);

		if (done != 0)
			return done < 0 ? -1 : err_set(err, ERR_CANCELLED,
			    "stopped on request before the commit; the next run goes on "
			    "from checkpoint %s, which lacks nothing", r->id);
	}
	r->bytes_stored = atomic_load(&p->bytes_stored);
	return 0;
}

int backup_once(struct engine *e, struct store *st,
    const struct engine_backup_options *opt,
    struct engine_backup_result *ret, struct err *err)
{
	struct backup b = { .e = e, .st = st, .opt = opt, .res = ret };
	struct store_commit commit = { .start_ns = clock_real_ns() };
	const struct store_snapshot *parent;
	int64_t began = clock_mono_ns();

	*ret = (struct engine_backup_result){ .way_reason = "" };
	pthread_mutex_init(&b.lock, NULL);
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&b.wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_cond_init(&b.room, NULL);
	b.tail = &b.first;
	b.waiting_tail = &b.waiting_first;
	b.big_tail = &b.big_first;

	int r = prepare(&b, err);

	if (r == 0)
		r = name_source(&b, err);
	if (r == 0)
		r = open_session(&b, &parent, err);
	if (r == 0) {
		ret->way = parent != NULL ? ENGINE_INCREMENTAL : ENGINE_FULL;
		if (opt->device != NULL)
			r = backup_device(&b, parent, &commit, err);
		else if (opt->stream_name != NULL)
			r = backup_stream(&b, &commit, err);
		else
			r = backup_tree(&b, parent, &commit, err);
	}
	if (r == 0)
		r = commit_run(&b, &commit, err);
	if (b.ss != NULL)
		store_session_abort(b.ss);
	release(&b);
	ret->elapsed_ns = clock_mono_ns() - began;
	return r;
}
