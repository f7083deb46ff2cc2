#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/restore_internal.h"
#include "agent/engine/spill.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"

/*
 * A table from (device, inode) to the first name.  The names are records in
 * an unnamed file, so a file with a second name takes 24 bytes here, and
 * beyond a limit none: the table moves to a file of its own.
 *
 * A record is: the directory's record u64 (its own offset: a directory),
 * u32 length, bytes (a name, or a path below the target).
 */
#define RECORD_HEAD 12
#define PENDING_MAX ((size_t)64 << 10)

struct rlinks {
	struct restore *r;
	struct table *table;
	int fd;
	uint64_t written;        /* bytes in the file */
	struct buf pending;      /* what follows them */
	struct dir *dir;         /* whose record was written last */
	uint64_t dir_at;
	struct dir *read_dir;    /* the node of the one that was read last */
	uint64_t read_at;
	struct buf text;
};

struct rlinks *restore_links_new(struct restore *r, size_t memory, struct err *err)
{
	struct rlinks *l = mem_zalloc(sizeof(*l), "the table of hard links", err);

	if (l == NULL)
		return NULL;
	l->r = r;
	l->fd = -1;
	l->table = table_new(memory, err);
	if (l->table == NULL) {
		free(l);
		return NULL;
	}
	return l;
}

void restore_links_free(struct rlinks *l)
{
	if (l == NULL)
		return;
	table_free(l->table);
	if (l->fd >= 0)
		close(l->fd);
	dir_unref(l->dir);
	dir_unref(l->read_dir);
	buf_release(&l->pending);
	buf_release(&l->text);
	free(l);
}

static int flush(struct rlinks *l, struct err *err)
{
	if (l->fd < 0 && (l->fd = spill_open(err)) < 0)
		return -1;
	if (spill_write(l->fd, l->pending.p, l->pending.len, l->written, err) < 0)
		return -1;
	l->written += l->pending.len;
	buf_reset(&l->pending);
	return 0;
}

static int record_add(struct rlinks *l, uint64_t dir_at, const void *p, size_t len,
    uint64_t *ret_at, struct err *err)
{
	*ret_at = l->written + l->pending.len;
	buf_u64(&l->pending, dir_at == UINT64_MAX ? *ret_at : dir_at);
	buf_u32(&l->pending, (uint32_t)len);
	buf_add(&l->pending, p, len);
	return buf_check(&l->pending, "hard links", err);
}

static int bytes_at(struct rlinks *l, uint64_t at, void *dst, size_t len, struct err *err)
{
	if (at >= l->written) {
		memcpy(dst, l->pending.p + (at - l->written), len);
		return 0;
	}
	return spill_read(l->fd, dst, len, at, err);
}

/* Read a record's text (with a NUL) and its directory's place. */
static int record_get(struct rlinks *l, uint64_t at, uint64_t *ret_dir, char **ret_text,
    struct err *err)
{
	uint8_t head[RECORD_HEAD];

	if (bytes_at(l, at, head, sizeof(head), err) < 0)
		return -1;

	size_t len = le32_get(head + 8);
	char *text = malloc(len + 1);

	if (text == NULL)
		return err_nomem(err, "a hard link");
	text[len] = '\0';
	if (len > 0 && bytes_at(l, at + RECORD_HEAD, text, len, err) < 0) {
		free(text);
		return -1;
	}
	*ret_dir = le64_get(head);
	*ret_text = text;
	return 0;
}

/* A node for a path below the target. */
static struct dir *node_of(struct rlinks *l, const char *path, struct err *err)
{
	struct dir *at = dirs_root(l->r->dirs);

	while (*path != '\0') {
		size_t n = strcspn(path, "/");
		struct dir *next = dir_new(at, path, n, 0, err);

		dir_unref(at);
		if (next == NULL)
			return NULL;
		at = next;
		path += n + (path[n] == '/');
	}
	return at;
}

static int first_of(struct rlinks *l, uint64_t at, struct ritem *it, struct err *err)
{
	uint64_t dir_at, self;
	char *path;

	if (record_get(l, at, &dir_at, &it->first_name, err) < 0)
		return -1;
	if (l->read_dir == NULL || l->read_at != dir_at) {
		if (record_get(l, dir_at, &self, &path, err) < 0)
			return -1;
		dir_unref(l->read_dir);
		l->read_dir = node_of(l, path, err);
		free(path);
		if (l->read_dir == NULL)
			return -1;
		l->read_at = dir_at;
	}
	it->first_dir = dir_ref(l->read_dir);
	return 1;
}

int restore_links_add(struct rlinks *l, struct ritem *it, struct err *err)
{
	uint64_t at = l->written + l->pending.len, first;
	bool new_dir = l->dir != it->dir;
	size_t dir_len = 0;

	/* Where the name's record will be, should it be the first. */
	if (l->pending.len > PENDING_MAX) {
		if (flush(l, err) < 0)
			return -1;
		at = l->written;
	}
	if (new_dir) {
		buf_reset(&l->text);
		dir_path(it->dir, &l->text);
		dir_len = l->text.len;
		at += RECORD_HEAD + dir_len;
	}

	int r = table_add(l->table, it->device, it->inode, at, &first, err);

	if (r < 0)
		return -1;
	if (r > 0)
		return first_of(l, first, it, err);
	if (new_dir) {
		if (record_add(l, UINT64_MAX, l->text.p, dir_len, &l->dir_at, err) < 0)
			return -1;
		dir_unref(l->dir);
		l->dir = dir_ref(it->dir);
	}
	return record_add(l, l->dir_at, it->name, it->len, &first, err);
}
