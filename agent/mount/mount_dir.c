#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/mount/mount_dir.h"
#include "repo/base/mem.h"
#include "repo/format/fmt_entry.h"

/* Places before the first entry: the start, behind "." and behind "..". */
#define FIXED 2u

/* --- what is answered -------------------------------------------------------*/

static void stat_top(const struct mount *m, const struct mount_node *n, struct stat *st)
{
	const struct mount_list *l = &m->list;
	const struct mount_snap *latest = NULL;
	int64_t when = m->start_ns;

	if (n->kind == MOUNT_VOLUME)
		latest = mount_list_latest(&l->volume[n->volume]);
	if (latest != NULL)
		when = latest->start_ns;
	memset(st, 0, sizeof(*st));
	st->st_ino = mount_node_pack(n);
	st->st_mode = n->link ? S_IFLNK | 0777 : S_IFDIR | 0555;
	st->st_nlink = 1;
	st->st_uid = geteuid();
	st->st_gid = getegid();
	st->st_blksize = 4096;
	st->st_mtim.tv_sec = when / 1000000000;
	st->st_mtim.tv_nsec = when % 1000000000;
	st->st_atim = st->st_ctim = st->st_mtim;
}

void mount_dir_param(struct mount_tool *t, const struct mount_node *n,
    const struct fmt_entry *e, struct fuse_entry_param *ret)
{
	bool inside = n->kind == MOUNT_ENTRY && n->entry != MOUNT_WHOLE;
	struct mount_node self = *n;

	self.plain = n->kind == MOUNT_ENTRY &&
	    (e == NULL || !(e->bits & FMT_HAS_XATTRS));
	*ret = (struct fuse_entry_param){
		.ino = mount_node_pack(&self),
		.generation = 1,
		/* A snapshot's root may be forgotten, what is in it cannot change. */
		.entry_timeout = inside ? MOUNT_KEEP : MOUNT_KEEP_TOP,
		.attr_timeout = n->kind == MOUNT_ENTRY ? MOUNT_KEEP : MOUNT_KEEP_TOP,
	};
	if (n->kind == MOUNT_ENTRY)
		mount_node_stat(t, n->sn, n->entry, e, &ret->attr);
	else
		stat_top(t->m, n, &ret->attr);
}

/* Append an entry; false when the buffer has no room for it. */
static bool fill(struct mount_fill *f, const char *name,
    const struct fuse_entry_param *p, uint64_t next)
{
	size_t left = f->cap - f->len, n;

	if (f->plus)
		n = fuse_add_direntry_plus(f->req, f->buf + f->len, left, name, p,
		    (off_t)next);
	else
		n = fuse_add_direntry(f->req, f->buf + f->len, left, name, &p->attr,
		    (off_t)next);
	if (n > left)
		return false;
	f->len += n;
	return true;
}

/* "." and "..": of them only the number and kind are looked at. */
static bool fill_fixed(struct mount_fill *f, uint64_t *at, uint64_t ino)
{
	static const char *const name[FIXED] = { ".", ".." };
	struct fuse_entry_param p = { .attr = { .st_mode = S_IFDIR, .st_ino = ino } };

	for (; *at < FIXED; ++*at)
		if (!fill(f, name[*at], &p, *at + 1))
			return false;
	return true;
}

/* --- above the snapshots ----------------------------------------------------*/

static bool fill_node(struct mount_tool *t, struct mount_fill *f,
    const struct mount_node *n, const char *name, uint64_t next)
{
	struct fuse_entry_param p;

	mount_dir_param(t, n, NULL, &p);
	return fill(f, name, &p, next);
}

static bool fill_snap(struct mount_tool *t, struct mount_fill *f,
    const struct mount_snap *sn, bool by_id, uint64_t next)
{
	struct mount_node n = { .kind = MOUNT_ENTRY, .by_id = by_id, .sn = sn,
	    .entry = MOUNT_WHOLE };
	struct fuse_entry_param p;
	char name[80];

	snprintf(name, sizeof(name), "%s%s", by_id ? sn->id : sn->time,
	    sn->block ? ".img" : "");
	if (!mount_snap_shown(sn))
		return true;
	/* What stat says of it is in its catalog: not read until it is asked for. */
	mount_dir_param(t, &n, NULL, &p);
	p.ino = 0;
	return fill(f, name, &p, next);
}

static bool fill_volume(struct mount_tool *t, struct mount_fill *f, uint32_t i,
    bool link, uint64_t next)
{
	const struct mount_volume *v = &t->m->list.volume[i];
	struct mount_node n = { .kind = MOUNT_VOLUME, .volume = i, .link = link };

	return v->name == NULL || mount_list_latest(v) == NULL ||
	    fill_node(t, f, &n, v->name, next);
}

static bool fill_root(struct mount_tool *t, struct mount_fill *f, uint64_t i,
    uint64_t next)
{
	static const char *const name[] = { "ids", "volumes", "latest" };
	struct mount_node n = { .kind = MOUNT_TOP, .top = (enum mount_top)(MOUNT_IDS + i) };

	return fill_node(t, f, &n, name[i], next);
}

int mount_dir_read_top(struct mount_tool *t, const struct mount_node *n, uint64_t at,
    struct mount_fill *f)
{
	struct mount_list *l = &t->m->list;
	bool room = fill_fixed(f, &at, mount_node_pack(n));
	size_t count;

	pthread_rwlock_rdlock(&l->lock);
	count = n->kind == MOUNT_VOLUME ? l->volume[n->volume].n :
	    n->top == MOUNT_ROOT ? 3 : n->top == MOUNT_IDS ? l->n : l->nvolumes;
	for (size_t i = at - FIXED; room && i < count; i++) {
		uint64_t next = i + 1 + FIXED;

		if (n->kind == MOUNT_VOLUME)
			room = fill_snap(t, f, l->volume[n->volume].v[i], false, next);
		else if (n->top == MOUNT_ROOT)
			room = fill_root(t, f, i, next);
		else if (n->top == MOUNT_IDS)
			room = fill_snap(t, f, l->snap[i], true, next);
		else
			room = fill_volume(t, f, (uint32_t)i, n->top == MOUNT_LATEST, next);
	}
	pthread_rwlock_unlock(&l->lock);
	return 0;
}

/* --- of snapshots -----------------------------------------------------------*/

/*
 * Where the directory's entries begin.  A damaged page is passed over: what is
 * behind it may be of the directory, too.
 */
static int find_first(struct mount_tool *t, struct mount_dir *d, struct err *err)
{
	struct archive_path path = mount_path_of(&d->path);
	struct mount_cursor *c = mount_cursor_catalog(t, d->node.sn, MOUNT_ANY, err);
	int r;

	if (c == NULL)
		return -1;
	r = archive_catalog_seek(c->cat, &path, NULL, err);
	if (r < 0 && err->class == ERR_CORRUPT) {
		d->damaged = true;
		mount_tell(t, &d->node, err);
		r = archive_catalog_skip_damage(c->cat, err) < 0 ? -1 : 0;
	}
	d->first = archive_catalog_tell(c->cat);
	mount_cursor_give(c, r == 0 ? d->first : MOUNT_ANY);
	return r;
}

int mount_dir_open(struct mount_tool *t, const struct mount_node *n,
    struct mount_dir **ret, struct err *err)
{
	struct mount *m = t->m;
	struct archive_path path;
	struct mount_dir *d;
	size_t bytes;
	int r = mount_node_path(t, n, err);

	if (r != 0)
		return r;
	bytes = sizeof(*d) + t->path.n * sizeof(*t->path.c) + 64;
	for (size_t i = 0; i < t->path.n; i++)
		bytes += t->path.c[i].len;
	if (atomic_fetch_add(&m->open_bytes, bytes) + bytes > m->open_most) {
		atomic_fetch_sub(&m->open_bytes, bytes);
		return ENFILE;
	}
	d = mem_zalloc(sizeof(*d), "an open directory", err);
	if (d == NULL) {
		atomic_fetch_sub(&m->open_bytes, bytes);
		return -1;
	}
	d->node = *n;
	d->bytes = bytes;
	path = mount_path_of(&t->path);
	if (mount_path_copy(&d->path, &path, NULL, err) < 0 || find_first(t, d, err) < 0) {
		mount_dir_close(m, d);
		return -1;
	}
	*ret = d;
	return 0;
}

void mount_dir_close(struct mount *m, struct mount_dir *d)
{
	atomic_fetch_sub(&m->open_bytes, d->bytes);
	mount_path_release(&d->path);
	free(d);
}

static bool fill_entry(struct mount_tool *t, struct mount_dir *d, struct mount_fill *f,
    uint64_t number, const struct fmt_entry *e)
{
	struct mount_node n = d->node;
	struct fuse_entry_param p;
	char name[256];

	/* Names come from the repository: some cannot be shown. */
	if (!mount_name_ok(&e->name))
		return true;
	n.entry = number;
	memcpy(name, e->name.name, e->name.len);
	name[e->name.len] = '\0';
	mount_dir_param(t, &n, e, &p);
	return fill(f, name, &p, number - d->first + 1 + FIXED);
}

/* Fill from the cursor on.  1: the buffer is full; 0: the directory's end. */
static int fill_entries(struct mount_tool *t, struct mount_dir *d,
    struct mount_cursor *c, struct mount_fill *f, struct err *err)
{
	struct archive_path path = mount_path_of(&d->path), dir;
	struct fmt_entry e;
	int r;

	for (;;) {
		r = archive_catalog_next(c->cat, &dir, &e, err);
		if (r == 1)
			return 0;
		if (r < 0) {
			if (err->class != ERR_CORRUPT)
				return -1;
			d->damaged = true;
			mount_tell(t, &d->node, err);
			r = archive_catalog_skip_damage(c->cat, err);
			if (r != 0)
				return r < 0 ? -1 : 0;
			continue;
		}
		if (archive_path_cmp(&dir, &path) != 0)
			return 0;
		/* The root's own entry stands among what is in the root. */
		if (e.name.len > 0 &&
		    !fill_entry(t, d, f, archive_catalog_tell(c->cat), &e))
			return 1;
	}
}

int mount_dir_read(struct mount_tool *t, struct mount_dir *d, uint64_t at,
    struct mount_fill *f)
{
	struct mount_cursor *c;
	struct err err;
	uint64_t pos;
	int r;

	if (!fill_fixed(f, &at, mount_node_pack(&d->node)))
		return 0;
	pos = d->first + at - FIXED;
	c = mount_cursor_catalog(t, d->node.sn, pos, &err);
	if (c == NULL) {
		mount_tell(t, &d->node, &err);
		return mount_errno(&err);
	}
	r = 0;
	if (c->pos != pos)
		r = archive_catalog_seek_nth(c->cat, pos, &err);
	if (r < 0 && err.class == ERR_CORRUPT) {
		d->damaged = true;
		mount_tell(t, &d->node, &err);
		r = archive_catalog_skip_damage(c->cat, &err) < 0 ? -1 : 0;
	}
	if (r == 0)
		r = fill_entries(t, d, c, f, &err);
	/* The entry that was told last is not in the buffer. */
	if (r >= 0)
		archive_catalog_again(c->cat);
	mount_cursor_give(c, r >= 0 ? archive_catalog_tell(c->cat) : MOUNT_ANY);
	if (r < 0) {
		mount_tell(t, &d->node, &err);
		return mount_errno(&err);
	}
	/* What could be read has been told: then it is said that some is missing. */
	return r == 0 && f->len == 0 && d->damaged ? EIO : 0;
}
