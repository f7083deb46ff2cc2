#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engine/restore_internal.h"
#include "agent/engine/spill.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"

/*
 * The second way along the catalog: every directory gets its metadata, now
 * that nothing is made in it any more, and files with several names get the
 * flags that would have forbidden to link them.
 *
 * Parents come before what is in them.  That is no matter to a process that
 * modes do not keep out.  For any other, a directory that it could not enter
 * afterwards keeps its access for now; its owner and mode are written down
 * and set at the very end, from the last one back.
 */
#define BATCH 64u
#define FROZEN ((unsigned)(FS_IMMUTABLE_FL | FS_APPEND_FL))
/* A record of what is late: path, then its length, mode, uid, gid as u32. */
#define LATE_TAIL 16

struct dirs_run {
	struct restore *r;
	struct rbatch *batch;
	int late_fd;
	uint64_t late_len;
	struct buf text;
};

/* --- workers ------------------------------------------------------------------------*/

/* Whether the process could not go on below it, once it has its metadata. */
static bool is_late(const struct ritem *it)
{
	const struct restore *r = it->r;

	if (r->all_access || it->type != FMT_DIRECTORY)
		return false;
	return (it->mode & 0700) != 0700 || (!r->opt->no_owner && it->uid != geteuid());
}

static void apply_dir(struct ritem *it, int fd)
{
	struct restore_meta_at at = { .fd = fd, .fresh = it->fresh,
	    .keep_access = is_late(it) };
	bool changed = restore_meta_apply(it, &at);

	if (it->r->in_place && !it->fresh)
		restore_action(it, changed ? "metadata" : "same", 0);
}

/* fd of the item, or -1 with errno. */
static int open_item(struct ritem *it, int dirfd)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

	if (it->type == FMT_DIRECTORY)
		flags |= O_DIRECTORY;
	return openat(dirfd, it->len > 0 ? it->name : ".", flags);
}

static void apply(struct ritem *it)
{
	struct restore *r = it->r;
	struct err err;
	int dirfd = dir_pin(it->dir, &err);

	if (dirfd < 0) {
		/* Why it is not there was told when it was to be made. */
		if (err.class != ERR_NOTFOUND)
			restore_report(it, &err);
		return;
	}

	CLEANUP_CLOSE int fd = open_item(it, dirfd);

	if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
		err_sys(&err, errno, "cannot open it to set its metadata");
		restore_report(it, &err);
	} else if (fd >= 0 && it->type == FMT_DIRECTORY) {
		apply_dir(it, fd);
	} else if (fd >= 0 && !r->dry) {
		restore_meta_freeze(it, fd);
	}
	dir_unpin(it->dir);
}

static void run_apply(struct pool_task *task, unsigned self)
{
	struct rbatch *b = (struct rbatch *)task;

	(void)self;
	for (struct ritem *it = b->first, *next; it != NULL; it = next) {
		next = it->next;
		if (!restore_stopped(b->r))
			apply(it);
		restore_item_free(it);
	}
	restore_batch_done(b);
}

/* --- what is late -------------------------------------------------------------------------*/

static int late_add(struct dirs_run *d, const struct ritem *it, struct err *err)
{
	struct buf *t = &d->text;
	size_t len;

	if (d->late_fd < 0 && (d->late_fd = spill_open(err)) < 0)
		return -1;
	buf_reset(t);
	dir_path(it->dir, t);
	if (t->len > 0 && it->len > 0)
		buf_u8(t, '/');
	buf_add(t, it->name, it->len);
	len = t->len;
	buf_u32(t, (uint32_t)len);
	buf_u32(t, it->mode & 07777);
	buf_u32(t, it->uid);
	buf_u32(t, it->gid);
	if (buf_check(t, "a directory", err) < 0 ||
	    spill_write(d->late_fd, t->p, t->len, d->late_len, err) < 0)
		return -1;
	d->late_len += t->len;
	return 0;
}

/* Open a path below the target by its components; -1 with errno. */
static int open_below(int root, char *path)
{
	int at = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	while (at >= 0 && *path != '\0') {
		size_t n = strcspn(path, "/");
		bool more = path[n] == '/';

		path[n] = '\0';

		int next = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int e = errno;

		close(at);
		errno = e;
		at = next;
		path += n + more;
	}
	return at;
}

static void late_one(struct restore *r, char *path, const uint8_t *tail)
{
	struct err why;
	CLEANUP_FREE char *shown = strdup(path);
	CLEANUP_CLOSE int fd = open_below(r->target_fd, path);
	const char *what = NULL;

	if (fd < 0)
		what = "owner and mode";
	else if (!r->opt->no_owner &&
	    fchown(fd, le32_get(tail + 8), le32_get(tail + 12)) < 0)
		what = "owner";
	int e = errno;

	if (fd >= 0 && fchmod(fd, le32_get(tail + 4)) < 0 && what == NULL) {
		e = errno;
		what = "mode";
	}
	if (what == NULL || (strcmp(what, "owner") == 0 && restore_owner_lost(r, e)))
		return;
	err_sys(&why, e, "cannot keep its %s", what);
	atomic_fetch_add(&r->metadata_lost, 1);
	restore_report_path(r, shown == NULL ? "?" : *shown == '\0' ? "." : shown, &why);
}

static int late_all(struct dirs_run *d, struct err *err)
{
	uint64_t end = d->late_len;

	while (end > 0) {
		uint8_t tail[LATE_TAIL];

		if (spill_read(d->late_fd, tail, sizeof(tail), end - LATE_TAIL, err) < 0)
			return -1;

		size_t len = le32_get(tail);
		CLEANUP_FREE char *path = malloc(len + 1);

		if (path == NULL)
			return err_nomem(err, "a directory");
		end -= LATE_TAIL + len;
		if (len > 0 && spill_read(d->late_fd, path, len, end, err) < 0)
			return -1;
		path[len] = '\0';
		late_one(d->r, path, tail);
	}
	return 0;
}

/* --- along the catalog -----------------------------------------------------------------------*/

/* 1: it is wanted, with *ret_fresh; 0: not; -1. */
static int wanted(struct restore *r, const struct view_entry *v, bool *ret_fresh,
    struct err *err)
{
	const struct fmt_entry *e = v->e;
	uint64_t key[2], value;

	*ret_fresh = !r->in_place && !v->top;
	if (e->type != FMT_DIRECTORY) {
		if (!v->selected || !(e->bits & FMT_HAS_LINKS) || e->type != FMT_FILE)
			return 0;
		return ((e->bits & FMT_HAS_FLAGS) && (e->flags & FROZEN)) ? 1 : 0;
	}
	/* Without a path nothing of the top is about the target. */
	if (!r->in_place || v->top)
		return 1;
	restore_dir_key(v->dir, &e->name, key);

	int res = table_get(r->made_dirs, key[0], key[1], &value, err);

	if (res < 0)
		return -1;
	*ret_fresh = res == 0;
	return res == 0 || v->selected;
}

static int dirs_entry(struct dirs_run *d, const struct view_entry *v, struct err *err)
{
	struct restore *r = d->r;
	bool fresh;
	int res = wanted(r, v, &fresh, err);

	if (res <= 0)
		return res;

	struct ritem *it = restore_item_new(r, v, err);

	if (it == NULL)
		return -1;
	it->fresh = fresh;
	if (!r->dry && is_late(it) && late_add(d, it, err) < 0) {
		restore_item_free(it);
		return -1;
	}
	if (d->batch == NULL && (d->batch = restore_batch_new(r, err)) == NULL) {
		restore_item_free(it);
		return -1;
	}
	*d->batch->tail = it;
	d->batch->tail = &it->next;
	if (++d->batch->n == BATCH) {
		restore_submit(r, STEAL_PTR(d->batch), run_apply);
		if (atomic_load(&r->held) > r->held_max)
			restore_wait(r);
	}
	return restore_stopped(r) ? -1 : 0;
}

int restore_dirs(struct restore *r, struct err *err)
{
	struct dirs_run d = { .r = r, .late_fd = -1, .text = BUF_INIT };
	struct view *v = restore_view(r, r->opt->include != NULL, err);
	struct view_entry ve;
	int res = v == NULL ? -1 : 0;

	while (res == 0) {
		res = view_next(v, &ve, err);
		if (res == 0)
			res = dirs_entry(&d, &ve, err);
		else if (res < 0)
			res = restore_skip_damage(r, v, err);
	}
	view_close(v);
	if (d.batch != NULL)
		restore_submit(r, d.batch, run_apply);
	restore_wait(r);
	if (res >= 0)
		res = late_all(&d, err);
	if (d.late_fd >= 0)
		close(d.late_fd);
	buf_release(&d.text);
	return res;
}
