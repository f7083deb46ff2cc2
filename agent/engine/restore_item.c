#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/engine/restore_internal.h"
#include "repo/base/mem.h"

/* --- making and freeing --------------------------------------------------------------*/

/* Bytes of an entry that the item keeps a copy of. */
static size_t copied(const struct fmt_entry *e)
{
	size_t n = 0;

	if (e->bits & FMT_HAS_XATTRS)
		n += e->xattrs.len;
	if (e->bits & FMT_HAS_TARGET)
		n += e->target.len + 1;
	if (!(e->bits & FMT_HAS_CONTENT))
		return n;
	switch (e->content.kind) {
	case FMT_CONTENT_INLINE: return n + e->content.size;
	case FMT_CONTENT_RUNS: return n + e->content.runs.len;
	case FMT_CONTENT_SLICE:
	case FMT_CONTENT_MAP: return n + STORE_ID_LEN;
	default: return n;
	}
}

static const uint8_t *keep(uint8_t **at, const void *p, size_t len)
{
	uint8_t *dst = *at;

	if (len > 0)
		memcpy(dst, p, len);
	*at += len;
	return dst;
}

static void keep_content(struct ritem *it, const struct fmt_content *c, uint8_t **at)
{
	it->content = *c;
	it->size = c->size;
	if (c->kind == FMT_CONTENT_INLINE)
		it->content.bytes = keep(at, c->bytes, c->size);
	else if (c->kind == FMT_CONTENT_RUNS)
		it->content.runs.p = keep(at, c->runs.p, c->runs.len);
	else if (c->kind == FMT_CONTENT_SLICE || c->kind == FMT_CONTENT_MAP)
		it->content.id = keep(at, c->id, STORE_ID_LEN);
}

struct ritem *restore_item_new(struct restore *r, const struct view_entry *v,
    struct err *err)
{
	const struct fmt_entry *e = v->e;
	size_t memory = sizeof(struct ritem) + v->len + 1 + copied(e);
	struct ritem *it = mem_zalloc(memory, "an entry to restore", err);

	if (it == NULL)
		return NULL;

	uint8_t *at = (uint8_t *)it->name + v->len + 1;

	it->r = r;
	it->memory = memory;
	it->dir = dir_ref(v->dir);
	it->fd = it->direct_fd = -1;
	it->type = e->type;
	it->bits = e->bits;
	it->mode = e->mode;
	it->uid = e->uid;
	it->gid = e->gid;
	it->mtime_s = e->mtime_s;
	it->mtime_ns = e->mtime_ns;
	it->flags = e->bits & FMT_HAS_FLAGS ? e->flags & RESTORE_FLAGS : 0;
	it->project = e->bits & FMT_HAS_PROJECT ? e->project : 0;
	it->major = e->major;
	it->minor = e->minor;
	it->device = e->device;
	it->inode = e->inode;
	it->len = (uint16_t)v->len;
	memcpy(it->name, v->name, v->len);
	if (e->bits & FMT_HAS_XATTRS) {
		it->xattrs = e->xattrs;
		it->xattrs.p = keep(&at, e->xattrs.p, e->xattrs.len);
	}
	if (e->bits & FMT_HAS_TARGET) {
		it->target.len = e->target.len;
		it->target.p = (const char *)keep(&at, e->target.p, e->target.len);
		at++; /* a NUL */
	}
	if (e->bits & FMT_HAS_CONTENT)
		keep_content(it, &e->content, &at);
	atomic_init(&it->parts, 1);
	atomic_fetch_add(&r->held, memory);
	return it;
}

void restore_item_free(struct ritem *it)
{
	atomic_fetch_sub(&it->r->held, it->memory);
	if (it->first_dir != NULL)
		dir_unref(it->first_dir);
	free(it->first_name);
	dir_unref(it->dir);
	free(it);
}

void restore_item_part(struct ritem *it, unsigned self)
{
	(void)self;
	if (atomic_fetch_sub(&it->parts, 1) != 1)
		return;
	if (!it->whole && it->how != HOW_VERIFY && !restore_stopped(it->r))
		restore_file_finish(it);
	restore_files_close(it->r, it);
	restore_direct_drop(it);
	restore_item_free(it);
}

/* --- directories that may be missing ---------------------------------------------------*/

/* The node just below `above` on the way to dir. */
static struct dir *step_to(struct dir *dir, const struct dir *above)
{
	while (dir->parent != above)
		dir = dir->parent;
	return dir;
}

int restore_dir_pin(struct restore *r, struct dir *dir, struct err *err)
{
	struct dir *at = dir;
	int fd = dir_pin(dir, err);

	if (fd >= 0 || err->class != ERR_NOTFOUND || r->dry || r->verifying)
		return fd;
	/* Find what is there, and go down again; others may do the same. */
	while (fd < 0 && err->class == ERR_NOTFOUND && at->parent != NULL) {
		at = at->parent;
		fd = dir_pin(at, err);
	}
	while (fd >= 0 && at != dir) {
		struct dir *next = step_to(dir, at);

		if (mkdirat(fd, next->name, 0700) < 0 && errno != EEXIST) {
			err_sys(err, errno, "cannot make directory %s", next->name);
			dir_unpin(at);
			return -1;
		}
		dir_unpin(at);
		at = next;
		fd = dir_pin(at, err);
	}
	return fd;
}
