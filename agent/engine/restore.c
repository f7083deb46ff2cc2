#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/engine/restore_internal.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"

/* Descriptors of directories and files kept open, when there are many. */
#define DIRS_OPEN 1024u
#define FILES_OPEN 256u

/* --- verdicts --------------------------------------------------------------------------*/

void restore_fail(struct restore *r, const struct err *why)
{
	pthread_mutex_lock(&r->lock);
	if (!atomic_exchange(&r->failed, true))
		r->failure = *why;
	pthread_mutex_unlock(&r->lock);
}

bool restore_stopped(const struct restore *r)
{
	return atomic_load_explicit(&r->failed, memory_order_relaxed) ||
	    engine_cancelled(r->e);
}

void restore_report_path(struct restore *r, const char *path, const struct err *why)
{
	/*
	 * Without room nothing more can be restored; the rest would be noise.
	 * One file that is too large for a file system is only that.
	 */
	if (why->class == ERR_FULL && why->errnum != EFBIG) {
		struct err full = *why;

		err_wrap(&full, "%s", path);
		restore_fail(r, &full);
		return;
	}
	if (why->class == ERR_CANCELLED)
		return;
	atomic_fetch_add(&r->errors, 1);
	atomic_fetch_add(&r->e->progress.errors, 1);
	if (why->class == ERR_CORRUPT)
		atomic_fetch_add(&r->damaged, 1);
	if (r->opt->report == NULL)
		return;
	pthread_mutex_lock(&r->tell_lock);
	r->opt->report(r->opt->report_ctx, path, why);
	pthread_mutex_unlock(&r->tell_lock);
}

const char *restore_path(const struct ritem *it, struct buf *out)
{
	if (it->dir == NULL)
		return it->r->opt->target; /* a block volume */
	buf_reset(out);
	buf_str(out, it->r->prefix);
	if (out->len > 0 && (it->dir->depth > 0 || it->len > 0))
		buf_u8(out, '/');
	dir_path(it->dir, out);
	if (it->dir->depth > 0 && it->len > 0)
		buf_u8(out, '/');
	buf_add(out, it->name, it->len);
	if (out->len == 0)
		buf_u8(out, '.');
	buf_u8(out, 0);
	return out->failed ? "?" : (const char *)out->p;
}

/* The other names of the inode will be told, too. */
static void note_hurt(const struct ritem *it)
{
	struct restore *r = it->r;
	struct err err;
	uint64_t old;
	int res;

	pthread_mutex_lock(&r->tell_lock);
	res = table_add(r->hurt, it->device, it->inode, 0, &old, &err);
	pthread_mutex_unlock(&r->tell_lock);
	if (res < 0)
		restore_fail(r, &err);
}

bool restore_is_hurt(const struct ritem *it)
{
	struct restore *r = it->r;
	struct err err;
	uint64_t value;
	int res;

	pthread_mutex_lock(&r->tell_lock);
	res = table_get(r->hurt, it->device, it->inode, &value, &err);
	pthread_mutex_unlock(&r->tell_lock);
	if (res < 0)
		restore_fail(r, &err);
	return res == 0;
}

void restore_report(const struct ritem *it, const struct err *why)
{
	struct buf path = BUF_INIT;

	if (why->class == ERR_CORRUPT && (it->bits & FMT_HAS_LINKS) && it->r->hurt != NULL)
		note_hurt(it);

	restore_report_path(it->r, restore_path(it, &path), why);
	buf_release(&path);
}

void restore_report_loss(const struct ritem *it, const struct err *why)
{
	/* Room for metadata may be lacking where there is some for bytes. */
	struct err loss = *why;

	if (loss.class == ERR_FULL)
		loss.class = ERR_UNSUPPORTED;
	atomic_fetch_add(&it->r->metadata_lost, 1);
	restore_report(it, &loss);
}

bool restore_owner_lost(struct restore *r, int errnum)
{
	if (errnum != EPERM || r->opt->tell_owners)
		return false;
	atomic_fetch_add(&r->owners_lost, 1);
	return true;
}

void restore_action_path(struct restore *r, const char *path, const char *what,
    uint64_t bytes)
{
	if (r->opt->action == NULL)
		return;
	pthread_mutex_lock(&r->tell_lock);
	r->opt->action(r->opt->report_ctx, path, what, bytes);
	pthread_mutex_unlock(&r->tell_lock);
}

void restore_action(const struct ritem *it, const char *what, uint64_t bytes)
{
	struct buf path = BUF_INIT;

	if (it->r->opt->action == NULL)
		return;
	restore_action_path(it->r, restore_path(it, &path), what, bytes);
	buf_release(&path);
}

/* --- the target -----------------------------------------------------------------------*/

/* Make the directory and those above it. */
static int make_target(const char *path, struct err *err)
{
	char *copy = mem_strdup(path, err);

	if (copy == NULL)
		return -1;
	for (char *p = copy + 1; ; p++) {
		if (*p != '/' && *p != '\0')
			continue;

		char c = *p;

		*p = '\0';
		if (mkdir(copy, c == '\0' ? 0700 : 0755) < 0 && errno != EEXIST) {
			err_sys(err, errno, "cannot make the directory %s", copy);
			free(copy);
			return -1;
		}
		*p = c;
		if (c == '\0')
			break;
	}
	free(copy);
	return 0;
}

/* A directory that is empty and has no name: what a dry run restores to. */
static int open_nowhere(struct err *err)
{
	char path[] = "/tmp/wherry-XXXXXX";
	int fd = -1;

	if (mkdtemp(path) != NULL) {
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		rmdir(path);
	}
	return fd >= 0 ? fd : err_sys(err, errno, "cannot make a temporary directory");
}

/* What mkfs makes is no content. */
static int is_empty(int fd, const char *path, struct err *err)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	struct dirent *de;
	int empty = 1;

	if (d == NULL) {
		err_sys(err, errno, "cannot list %s", path);
		if (own >= 0)
			close(own);
		return -1;
	}
	while ((de = readdir(d)) != NULL)
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0 &&
		    strcmp(de->d_name, "lost+found") != 0)
			empty = 0;
	closedir(d);
	return empty;
}

static int open_target(struct restore *r, struct err *err)
{
	const char *path = r->opt->target;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		/* Nothing is there to compare with. */
		r->in_place = false;
		if (r->dry) {
			fd = open_nowhere(err);
			if (fd < 0)
				return -1;
		} else {
			if (make_target(path, err) < 0)
				return -1;
			fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		}
	}
	if (fd < 0)
		return err_sys(err, errno, "cannot open the target %s", path);
	r->target_fd = fd;

	int empty = r->in_place ? 0 : is_empty(fd, path, err);

	if (empty < 0)
		return -1;
	if (!r->in_place && !empty)
		return err_set(err, ERR_EXISTS, "%s is not empty (--in-place restores into "
		    "what is there)", path);

	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (own < 0)
		return err_sys(err, errno, "cannot open the target %s", path);
	r->inherits = r->in_place || restore_meta_inherits(fd);
	if (r->in_place && !r->dry)
		restore_meta_thaw(fd);

	unsigned most = engine_raise_nofile() / 4;

	r->open_max = most < FILES_OPEN ? most : FILES_OPEN;
	r->dirs = dirs_new(own, most < DIRS_OPEN ? most : DIRS_OPEN, err);
	return r->dirs != NULL ? 0 : -1;
}

/* Whether modes keep this process out of nothing. */
static bool has_all_access(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { { 0 }, { 0 } };

	return syscall(SYS_capget, &h, d) == 0 &&
	    (d[0].effective & (1u << CAP_DAC_OVERRIDE)) != 0;
}

/* --- what is fetched ---------------------------------------------------------------------*/

static void deliver(void *ctx, unsigned self, struct need *n, const uint8_t *bytes,
    const struct err *why)
{
	struct ritem *it = n->owner;
	bool verify = it->how == HOW_VERIFY;

	(void)ctx;
	if (bytes == NULL && why->class == ERR_CANCELLED) {
		restore_item_part(it, self);
		return;
	}
	if (bytes == NULL && !verify) {
		/* Of a volume each place that is lost is told. */
		if (!atomic_exchange(&it->bad, true) || it->dir == NULL)
			restore_report(it, why);
		if (it->whole)
			restore_file_whole(it, NULL);
	} else if (bytes != NULL) {
		if (verify)
			restore_verify_part(it, n, bytes);
		else if (it->whole)
			restore_file_whole(it, bytes);
		else {
			restore_file_write(it, self, n, bytes);
			return;
		}
	}
	restore_item_part(it, self);
}

static bool check(void *ctx, unsigned self, struct need *n, uint8_t *scratch)
{
	struct ritem *it = n->owner;

	return it->how == HOW_VERIFY ? restore_verify_check(ctx, self, n, scratch) :
	    restore_file_check(ctx, self, n, scratch);
}

static bool stopped(void *ctx)
{
	return restore_stopped(ctx);
}

static void fatal(void *ctx, const struct err *why)
{
	restore_fail(ctx, why);
}

int restore_tools(struct restore *r, struct err *err)
{
	const struct engine_budget *b = &r->e->budget;
	struct fetch_sink sink = { deliver, check, stopped, fatal, r };
	/* Packs are not written meanwhile: a part of their room is free. */
	size_t memory = b->read / 4 * 3 + (size_t)b->pack_buffers * b->pack_size / 4;

	r->held_max = b->read / 4;
	r->order_key = store_snapshot_order(r->st, r->sn, err);
	if (r->order_key == NULL)
		return -1;
	r->fetch = fetch_new(r->e, r->st, r->sn->domain, memory, &sink, err);
	r->pages = r->fetch == NULL ? NULL : pages_new(r->st, r->sn->domain, err);
	r->made_dirs = r->pages == NULL ? NULL : table_new(b->walk / 8, err);
	r->kept = r->made_dirs == NULL ? NULL : table_new(b->walk / 8, err);
	r->hurt = r->kept == NULL ? NULL : table_new(b->walk / 8, err);
	r->links = r->hurt == NULL ? NULL : restore_links_new(r, b->walk / 4, err);
	return r->links != NULL ? 0 : -1;
}

static void release(struct restore *r)
{
	restore_links_free(r->links);
	restore_shared_free(r->shared);
	table_free(r->hurt);
	table_free(r->kept);
	table_free(r->made_dirs);
	dir_unref(r->last_parent);
	pages_free(r->pages);
	fetch_free(r->fetch);
	dirs_free(r->dirs);
	if (r->target_fd >= 0)
		close(r->target_fd);
	free(r->prefix);
	pthread_cond_destroy(&r->idle);
	pthread_mutex_destroy(&r->lock);
	pthread_mutex_destroy(&r->tell_lock);
	pthread_mutex_destroy(&r->files_lock);
	pthread_mutex_destroy(&r->edges_lock);
}

/* --- the run -----------------------------------------------------------------------------------*/

/* The snapshot's path of the target, without slashes around it. */
static int set_prefix(struct restore *r, struct err *err)
{
	const char *p = r->opt->path != NULL ? r->opt->path : "";
	struct buf b = BUF_INIT;

	while (*p != '\0') {
		size_t n = strcspn(p, "/");

		if (n > 0 && !(n == 1 && *p == '.')) {
			if (b.len > 0)
				buf_u8(&b, '/');
			buf_add(&b, p, n);
		}
		p += n;
		p += *p == '/';
	}
	buf_u8(&b, 0);
	if (buf_check(&b, "a path", err) < 0)
		return -1;
	r->prefix = (char *)b.p;
	return 0;
}

/* A single file lies in the target itself: its path has the target's parent. */
static void cut_prefix(struct restore *r)
{
	char *slash = strrchr(r->prefix, '/');

	*(slash != NULL ? slash : r->prefix) = '\0';
}

static int verify_tree(struct restore *r, struct err *err)
{
	if (syncfs(r->target_fd) < 0)
		return err_sys(err, errno, "cannot write %s to disk", r->opt->target);
	r->verifying = true;
	restore_links_free(r->links);
	r->links = restore_links_new(r, r->e->budget.walk / 4, err);
	return r->links == NULL ? -1 : restore_tree(r, err);
}

static int run_tree(struct restore *r, struct err *err)
{
	struct engine_progress *p = &r->e->progress;
	struct view *v;

	if (r->sn->sealed)
		return store_need(r->st, STORE_READ, "to restore", err);
	if (set_prefix(r, err) < 0 || restore_tools(r, err) < 0)
		return -1;
	/* Whether the path is there, before anything is made or touched. */
	v = restore_view(r, false, err);
	if (v == NULL)
		return -1;
	if (!view_is_dir(v))
		cut_prefix(r);
	view_close(v);
	if (open_target(r, err) < 0)
		return -1;
	if (r->prefix[0] == '\0' && r->opt->include == NULL && r->opt->exclude == NULL) {
		atomic_store(&p->files_total, r->sn->files);
		atomic_store(&p->bytes_total, r->sn->size);
		atomic_store(&p->total_known, true);
	}
	r->telling = true;

	int res = restore_tree(r, err);

	r->telling = false;
	if (res >= 0 && r->in_place && r->opt->delete_extra && !r->catalog_damaged)
		res = restore_delete(r, err);
	if (res >= 0)
		res = restore_dirs(r, err);
	if (res >= 0 && r->opt->verify && !r->dry)
		res = verify_tree(r, err);
	return res;
}

static void tell_result(const struct restore *r, int64_t began,
    struct engine_restore_result *ret)
{
	*ret = (struct engine_restore_result){
		.files = atomic_load(&r->files),
		.dirs = atomic_load(&r->dirs_done),
		.others = atomic_load(&r->others),
		.links = atomic_load(&r->nlinks),
		.same = atomic_load(&r->same),
		.deleted = atomic_load(&r->deleted),
		.bytes = atomic_load(&r->bytes),
		.bytes_written = atomic_load(&r->bytes_written),
		.bytes_fetched = r->fetch != NULL ? fetch_bytes(r->fetch) : 0,
		.errors = atomic_load(&r->errors),
		.metadata_lost = atomic_load(&r->metadata_lost),
		.owners_lost = atomic_load(&r->owners_lost),
		.damaged = atomic_load(&r->damaged),
		.elapsed_ns = clock_mono_ns() - began,
	};
}

int engine_restore(struct engine *e, struct store *st,
    const struct engine_restore_options *opt,
    struct engine_restore_result *ret, struct err *err)
{
	struct restore r = {
		.e = e, .st = st, .opt = opt, .sn = opt->snapshot, .target_fd = -1,
		.in_place = opt->in_place, .dry = opt->dry_run,
		.all_access = has_all_access(),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.tell_lock = PTHREAD_MUTEX_INITIALIZER,
		.files_lock = PTHREAD_MUTEX_INITIALIZER,
		.edges_lock = PTHREAD_MUTEX_INITIALIZER,
		.idle = PTHREAD_COND_INITIALIZER,
	};
	r.links_tail = &r.links_first;

	int64_t began = clock_mono_ns();
	int res = store_need(st, STORE_READ, "to restore", err);

	if (res == 0)
		res = r.sn->content == STORE_BLOCK ? restore_block(&r, err) :
		    run_tree(&r, err);
	tell_result(&r, began, ret);
	if (engine_cancelled(e))
		res = err_set(err, ERR_CANCELLED, "the restore was stopped; what is there is "
		    "not complete (the same with --in-place goes on from it)");
	else if (atomic_load(&r.failed)) {
		if (err != NULL)
			*err = r.failure;
		res = -1;
	}
	release(&r);
	return res < 0 ? -1 : 0;
}
