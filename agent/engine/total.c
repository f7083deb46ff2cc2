#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engine/total.h"
#include "repo/base/mem.h"

/* Its directories are soon done with: few need to stay open. */
#define OPEN_DIRS 32u

struct total {
	struct backup *b;
	struct dirs *dirs;
	struct dir *dir;     /* of the entry counted last, pinned as fd */
	int fd;
	atomic_bool stop;
	pthread_t thread;
};

static bool stopped(void *ctx)
{
	struct total *t = ctx;

	return atomic_load(&t->stop) || engine_cancelled(t->b->e);
}

static void leave_dir(struct total *t)
{
	if (t->dir == NULL)
		return;
	if (t->fd >= 0)
		dir_unpin(t->dir);
	dir_unref(t->dir);
	t->dir = NULL;
}

static int count_entry(void *ctx, struct dir *dir, const char *name, size_t len,
    uint64_t h, uint8_t dtype, bool no_state, struct err *err)
{
	struct total *t = ctx;
	struct engine_progress *p = &t->b->e->progress;
	struct stat st;

	(void)len, (void)h, (void)no_state, (void)dtype;
	if (stopped(t))
		return err_set(err, ERR_CANCELLED, "not counted to the end");
	if (dir != t->dir) {
		leave_dir(t);
		t->dir = dir_ref(dir);
		t->fd = dir_pin(dir, NULL);
	}
	if (name[0] == '\0' || t->fd < 0 ||
	    fstatat(t->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (t->b->opt->exclude_larger > 0 && (uint64_t)st.st_size > t->b->opt->exclude_larger)
		return 0;
	atomic_fetch_add(&p->files_total, 1);
	atomic_fetch_add(&p->bytes_total, (uint64_t)st.st_size);
	return 0;
}

static void pass_over(void *ctx, const char *path, const struct err *why)
{
	(void)ctx, (void)path, (void)why;
}

static void *count_thread(void *arg)
{
	struct total *t = arg;
	const struct backup *b = t->b;
	struct walk_options opt = {
		.select = b->select,
		.order_key = b->order_key,
		.exclude = b->opt->exclude,
		.exclude_caches = b->opt->exclude_caches,
		.one_file_system = b->opt->one_file_system,
		.memory = b->e->budget.walk / 4,
		.entry = count_entry, .bad = pass_over, .cancelled = stopped, .ctx = t,
	};

	if (walk_tree(t->dirs, &opt, NULL) == 0)
		atomic_store(&b->e->progress.total_known, true);
	leave_dir(t);
	return NULL;
}

struct total *total_start(struct backup *b)
{
	struct total *t = mem_zalloc(sizeof(*t), "the count", NULL);
	int fd = open(b->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (t == NULL || fd < 0)
		goto fail;
	t->b = b;
	t->dirs = dirs_new(fd, OPEN_DIRS, NULL);
	fd = -1;
	if (t->dirs == NULL)
		goto fail;
	if (pthread_create(&t->thread, NULL, count_thread, t) == 0)
		return t;
	dirs_free(t->dirs);
fail:
	if (fd >= 0)
		close(fd);
	free(t);
	return NULL;
}

void total_stop(struct total *t)
{
	if (t == NULL)
		return;
	atomic_store(&t->stop, true);
	pthread_join(t->thread, NULL);
	dirs_free(t->dirs);
	free(t);
}
