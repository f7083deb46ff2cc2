#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/dirs.h"
#include "repo/base/mem.h"

struct dirs {
	pthread_mutex_t lock;
	struct dir *root;
	unsigned limit, open;
	struct dir *oldest, *newest; /* open and not pinned; the root never */
};

struct dirs *dirs_new(int root_fd, unsigned limit, struct err *err)
{
	struct dirs *d = mem_zalloc(sizeof(*d), "the directories", err);
	struct dir *root = mem_zalloc(sizeof(*root), "the directories", err);
	char *name = mem_strdup("", err);

	if (d == NULL || root == NULL || name == NULL) {
		free(d);
		free(root);
		free(name);
		close(root_fd);
		return NULL;
	}
	pthread_mutex_init(&d->lock, NULL);
	d->limit = limit;
	d->root = root;
	root->name = name;
	root->dirs = d;
	root->fd = root_fd;
	root->pins = 1;
	atomic_init(&root->refs, 1);
	return d;
}

void dirs_free(struct dirs *d)
{
	if (d == NULL)
		return;
	close(d->root->fd);
	free(d->root->name);
	free(d->root);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

struct dir *dirs_root(struct dirs *d)
{
	return dir_ref(d->root);
}

struct dir *dir_new(struct dir *parent, const char *name, size_t len, uint64_t h,
    struct err *err)
{
	struct dir *dir = mem_zalloc(sizeof(*dir), "a directory", err);

	if (dir == NULL)
		return NULL;
	dir->name = mem_memdup0(name, len, err);
	if (dir->name == NULL) {
		free(dir);
		return NULL;
	}
	dir->len = len;
	dir->h = h;
	dir->depth = parent->depth + 1;
	dir->no_state = parent->no_state;
	dir->parent = dir_ref(parent);
	dir->dirs = parent->dirs;
	dir->fd = -1;
	atomic_init(&dir->refs, 1);
	return dir;
}

struct dir *dir_ref(struct dir *dir)
{
	atomic_fetch_add_explicit(&dir->refs, 1, memory_order_relaxed);
	return dir;
}

/* The list of idle open directories; the lock is held. */
static void idle_remove(struct dirs *d, struct dir *dir)
{
	*(dir->older ? &dir->older->newer : &d->oldest) = dir->newer;
	*(dir->newer ? &dir->newer->older : &d->newest) = dir->older;
	dir->older = dir->newer = NULL;
}

static void idle_add(struct dirs *d, struct dir *dir)
{
	dir->older = d->newest;
	dir->newer = NULL;
	*(d->newest ? &d->newest->newer : &d->oldest) = dir;
	d->newest = dir;
}

void dir_unref(struct dir *dir)
{
	/* A loop, for a chain of parents may be long. */
	while (dir != NULL && atomic_fetch_sub(&dir->refs, 1) == 1 &&
	    dir->parent != NULL) {
		struct dirs *d = dir->dirs;
		struct dir *parent = dir->parent;

		/* Until it is off the list, another thread may close it. */
		pthread_mutex_lock(&d->lock);
		if (dir->fd >= 0) {
			idle_remove(d, dir);
			d->open--;
		}
		pthread_mutex_unlock(&d->lock);
		if (dir->fd >= 0)
			close(dir->fd);
		free(dir->name);
		free(dir);
		dir = parent;
	}
}

void dir_path(const struct dir *dir, struct buf *out)
{
	const struct dir *stack[64];
	size_t total = 0;

	if (dir->parent == NULL)
		return;
	/* Short chains by a stack of pointers, long ones from the end. */
	if (dir->depth <= 64) {
		unsigned n = 0;

		for (const struct dir *d = dir; d->parent != NULL; d = d->parent)
			stack[n++] = d;
		while (n-- > 0) {
			buf_add(out, stack[n]->name, stack[n]->len);
			if (n > 0)
				buf_u8(out, '/');
		}
		return;
	}
	for (const struct dir *d = dir; d->parent != NULL; d = d->parent)
		total += d->len + 1;
	total--;
	if (buf_reserve(out, total) < 0)
		return;

	uint8_t *end = out->p + out->len + total;

	for (const struct dir *d = dir; d->parent != NULL; d = d->parent) {
		end -= d->len;
		memcpy(end, d->name, d->len);
		if (d->parent->parent != NULL)
			*--end = '/';
	}
	out->len += total;
}

const char *dir_path_of(const struct dir *dir, const char *name, struct buf *out)
{
	buf_reset(out);
	dir_path(dir, out);
	if (out->len > 0 && name[0] != '\0')
		buf_u8(out, '/');
	buf_str(out, name);
	if (out->len == 0)
		buf_u8(out, '.');
	buf_u8(out, 0);
	return out->failed ? "?" : (const char *)out->p;
}

static int open_component(int at, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(at, name, flags | O_NOATIME);

	/* O_NOATIME is for the owner and root. */
	if (fd < 0 && errno == EPERM)
		fd = openat(at, name, flags);
	return fd;
}

/* Open dir from its nearest open ancestor; the lock is not held. */
static int open_from(struct dir *dir, int from_fd, unsigned levels, struct err *err)
{
	int at = from_fd;

	for (unsigned up = levels; up-- > 0;) {
		const struct dir *d = dir;

		for (unsigned i = 0; i < up; i++)
			d = d->parent;

		int fd = open_component(at, d->name);
		int e = errno;

		if (at != from_fd)
			close(at);
		if (fd < 0) {
			struct buf path = BUF_INIT;

			err_sys(err, e, "cannot open directory %s",
			    dir_path_of(d, "", &path));
			buf_release(&path);
			return -1;
		}
		at = fd;
	}
	return at;
}

int dir_pin(struct dir *dir, struct err *err)
{
	struct dirs *d = dir->dirs;

	pthread_mutex_lock(&d->lock);
	if (dir->fd >= 0) {
		if (dir->pins++ == 0)
			idle_remove(d, dir);
		pthread_mutex_unlock(&d->lock);
		return dir->fd;
	}

	/* Pin the nearest open ancestor (the root always is). */
	struct dir *from = dir->parent;
	unsigned levels = 1;

	while (from->fd < 0) {
		from = from->parent;
		levels++;
	}
	if (from->pins++ == 0)
		idle_remove(d, from);
	pthread_mutex_unlock(&d->lock);

	int fd = open_from(dir, from->fd, levels, err);
	int surplus = -1;

	dir_unpin(from);
	if (fd < 0)
		return -1;
	pthread_mutex_lock(&d->lock);
	if (dir->fd >= 0) {
		/* Another thread was faster. */
		surplus = fd;
		if (dir->pins++ == 0)
			idle_remove(d, dir);
		fd = dir->fd;
	} else {
		dir->fd = fd;
		dir->pins = 1;
		if (++d->open > d->limit && d->oldest != NULL) {
			struct dir *old = d->oldest;

			idle_remove(d, old);
			surplus = old->fd;
			old->fd = -1;
			d->open--;
		}
	}
	pthread_mutex_unlock(&d->lock);
	if (surplus >= 0)
		close(surplus);
	return fd;
}

void dir_unpin(struct dir *dir)
{
	struct dirs *d = dir->dirs;

	pthread_mutex_lock(&d->lock);
	if (--dir->pins == 0)
		idle_add(d, dir);
	pthread_mutex_unlock(&d->lock);
}
