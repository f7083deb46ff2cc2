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
#include "repo/base/log.h"
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

bool backup_stopping(struct backup *b)
{
	return atomic_load(&b->ending) || engine_cancelled(b->e);
}

int backup_alive(struct backup *b, struct err *err)
{
	if (engine_cancelled(b->e))
		return err_set(err, ERR_CANCELLED, "stopped on request");
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

/*
 * Both the walk and a worker may fail at one path, and so may every session of
 * the run: it counts in each once, and is told once.
 */
static bool swap_name(uint64_t *names, uint64_t h)
{
	uint64_t *slot = &names[h / 2 % NAMED_MAX];
	bool before = *slot == h;

	*slot = h;
	return before;
}

void backup_report_path(struct backup *b, const char *path, const struct err *why)
{
	uint64_t h = crypto_siphash(b->seed, path, strlen(path)) | 1;

	pthread_mutex_lock(&b->lock);
	bool counted = swap_name(b->named, h);
	bool told = swap_name(b->rounds->told, h);
	pthread_mutex_unlock(&b->lock);
	if (!counted)
		atomic_fetch_add(&b->e->progress.errors, 1);
	if (!told && b->opt->report != NULL)
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
	backup_report_path(b, full.failed || rel.failed ? name : (const char *)full.p, why);
	buf_release(&rel);
	buf_release(&full);
}

int backup_put(struct backup *b, unsigned self, enum store_kind kind,
    const void *data, size_t len, uint8_t ret_id[32], struct err *err)
{
	struct store_put_result r;
	struct store_worker *w = b->storers[self].w;

	if (store_put(b->ss, w, kind, data, len, b->opt->verify_writes, &r, err) < 0)
		return -1;
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

/* Pages of the parent will be read; those that stay as they are, put again. */
static void backup_page_ahead(void *ctx, enum archive_kind kind,
    const uint8_t (*ids)[32], size_t n)
{
	struct page_ctx *p = ctx;

	(void)kind;
	store_get_ahead(p->b->st, ids, n);
	if (p->b->ss != NULL)
		store_present_ahead(p->b->ss, ids, n);
}

/* --- the main thread -------------------------------------------------------------------*/

/*
 * When the session is to end, by clock_mono_ns.  Not before as much time has
 * gone into what no checkpoint has yet as into getting there: so each session
 * gets further, however short it is.
 */
static int64_t end_at(struct backup *b)
{
	int64_t since = b->beyond_ns, due = rounds_end(b);

	if (since == 0 || due == INT64_MAX)
		return INT64_MAX;
	since += since - b->session_ns;
	return due > since ? due : since;
}

/* Would there be anything in a checkpoint that no earlier one has? */
static bool has_gained(struct backup *b)
{
	struct item *it = b->encode_at;

	return b->gained > 0 || (it != NULL && it->decided && it->big);
}

/* Wait for an event, but no longer than a second or that; the lock is held. */
static int wait_second(struct backup *b)
{
	const int64_t second = 1000000000;
	int64_t now = clock_mono_ns(), until = end_at(b);

	if (until > now + second || !has_gained(b))
		until = now + second;
	return pthread_cond_timedwait(&b->wake, &b->lock,
	    &(struct timespec){ until / second, until % second });
}

/* 0 when all is encoded, 1 when the session is to end before that, -1. */
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
		/* What was ready is encoded: none of it is lost. */
		if (engine_cancelled(b->e) || (clock_mono_ns() >= end_at(b) && has_gained(b)))
			return 1;
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

static void wait_tasks(struct backup *b)
{
	pthread_mutex_lock(&b->lock);
	while (atomic_load(&b->tasks) > 0)
		pthread_cond_wait(&b->wake, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

/* Free the items that are left; no task knows them any more. */
static void drop_items(struct backup *b)
{
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
	free(b->last_dir);
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

/* Nothing more is read, and who waits for room waits no more. */
static void end_session(struct backup *b)
{
	pthread_mutex_lock(&b->lock);
	atomic_store(&b->ending, true);
	pthread_cond_signal(&b->room);
	pthread_mutex_unlock(&b->lock);
}

/* 0, 1 when the session ended before the tree did, -1. */
static int backup_tree(struct backup *b, const struct store_snapshot *parent,
    struct store_commit *commit, struct err *err)
{
	pthread_t walker;
	int r = -1;

	if (tree_setup(b, err) < 0 || merge_begin(b, parent, err) < 0)
		goto out;

	int e = pthread_create(&walker, NULL, backup_walk, b);

	if (e != 0) {
		err_sys(err, e, "cannot start the walk");
		goto out;
	}
	struct engine_progress *p = &b->e->progress;
	struct total *total = NULL;

	if (b->opt->count_total && !atomic_load(&p->total_known)) {
		atomic_store(&p->files_total, 0);
		atomic_store(&p->bytes_total, 0);
		total = total_start(b);
	}

	r = main_loop(b, err);
	if (r < 0)
		backup_fail(b, err);
	if (r == 1)
		end_session(b);
	total_stop(total);
	pthread_join(walker, NULL);
	wait_tasks(b);
	if (r == 1 && !backup_failed(b) && encode_partial(b, err) < 0)
		backup_fail(b, err);
	drop_items(b);
	/* The first failure is the cause; what main met may follow from it. */
	if (backup_failed(b)) {
		*err = b->failure;
		r = -1;
	}
	if (r >= 0 && backup_finish_tree(b->tree, commit, err) < 0)
		r = -1;
	merge_tell(b);
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

	if (store_need(b->st, STORE_WRITE, "to back up", err) < 0)
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
	b->io = (struct archive_io){ .get = backup_page_get, .put = backup_page_put,
	    .ctx = &b->page, .ahead = backup_page_ahead };
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

	/* What cannot be opened is told before a session begins. */
	if (o->device != NULL && backup_device_look(o->device, err) < 0)
		return -1;
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

/* The session ended before the source did: a checkpoint, if it is of any use. */
static int end_early(struct backup *b, struct store_commit *commit, struct err *err)
{
	bool asked = engine_cancelled(b->e);
	bool worth = !b->opt->dry_run && (asked ? b->fresh : b->gained) > 0;

	commit->checkpoint = true;
	log_msg(LOG_INFO, "a session ends after %llu entries and %.1f s; %llu of them in no "
	    "checkpoint before", (unsigned long long)b->res->entries,
	    (double)(clock_mono_ns() - b->session_ns) / 1e9,
	    (unsigned long long)b->gained);
	if (worth && rounds_commit(b, commit, err) < 0)
		return -1;
	if (!asked) {
		b->rounds->stretch = worth ? 0 : b->rounds->stretch + 1;
		b->rounds->n++;
		return 1;
	}
	if (!worth)
		return err_set(err, ERR_CANCELLED, "stopped on request");
	return err_set(err, ERR_CANCELLED, "stopped on request; the next run goes on from "
	    "checkpoint %s", b->rounds->checkpoint);
}

/* Commit the snapshot; a checkpoint when the run was asked to stop just now. */
static int end_whole(struct backup *b, struct store_commit *commit, struct err *err)
{
	int r = rounds_commit(b, commit, err);

	return r <= 0 ? r : err_set(err, ERR_CANCELLED, "stopped on request; the next run "
	    "goes on from checkpoint %s, which lacks nothing", b->rounds->checkpoint);
}

int backup_once(struct engine *e, struct store *st,
    const struct engine_backup_options *opt, struct rounds *rounds,
    struct engine_backup_result *ret, struct err *err)
{
	struct backup b = { .e = e, .rounds = rounds, .st = st, .opt = opt, .res = ret };
	struct store_commit commit = { .start_ns = rounds->start_ns };
	const struct store_snapshot *parent;

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
		r = rounds_open(&b, &parent, err);
	if (r == 0) {
		ret->way = parent != NULL ? ENGINE_INCREMENTAL : ENGINE_FULL;
		if (opt->device != NULL)
			r = backup_device(&b, parent, &commit, err);
		else if (opt->stream_name != NULL)
			r = backup_stream(&b, &commit, err);
		else
			r = backup_tree(&b, parent, &commit, err);
	}
	if (r == 1)
		r = end_early(&b, &commit, err);
	else if (r == 0)
		r = end_whole(&b, &commit, err);
	if (b.ss != NULL)
		store_session_abort(b.ss);
	release(&b);
	return r;
}
