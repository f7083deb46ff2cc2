#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/mount/mount_internal.h"
#include "repo/format/fmt_entry.h"

/*
 * The bits of a node's number: kind (2), then for a volume whether it is the
 * link, and its number; for an entry whether it was come to by ids/ (1), whether
 * it is known to have no extended attributes (1; programs ask for them of each
 * file that they list), the snapshot's number (20) and the entry's (40).  The
 * kernel may ask for any number that it was given once, at any time, and need
 * not tell when it forgets one.
 */
#define KIND_SHIFT 62
#define BY_ID (UINT64_C(1) << 61)
#define PLAIN (UINT64_C(1) << 60)
#define SNAP_SHIFT 40
#define SNAP_MASK UINT64_C(0xfffff)

uint64_t mount_node_pack(const struct mount_node *n)
{
	uint64_t kind = (uint64_t)n->kind << KIND_SHIFT;

	switch (n->kind) {
	case MOUNT_TOP:
		return n->top;
	case MOUNT_VOLUME:
		return kind | (uint64_t)n->volume << 1 | n->link;
	default:
		return kind | (n->by_id ? BY_ID : 0) | (n->plain ? PLAIN : 0) |
		    (uint64_t)n->sn->number << SNAP_SHIFT | n->entry;
	}
}

int mount_node_unpack(struct mount *m, uint64_t ino, struct mount_node *ret)
{
	struct mount_list *l = &m->list;
	int r = ESTALE;

	*ret = (struct mount_node){ .kind = (enum mount_kind)(ino >> KIND_SHIFT) };
	if (ret->kind == MOUNT_TOP) {
		ret->top = (enum mount_top)ino;
		return ino >= MOUNT_ROOT && ino <= MOUNT_LATEST ? 0 : ESTALE;
	}
	pthread_rwlock_rdlock(&l->lock);
	if (ret->kind == MOUNT_VOLUME) {
		ret->link = ino & 1;
		ret->volume = (uint32_t)(ino >> 1);
		if (ret->volume < l->nvolumes && l->volume[ret->volume].name != NULL)
			r = 0;
	} else if (ret->kind == MOUNT_ENTRY) {
		size_t number = ino >> SNAP_SHIFT & SNAP_MASK;

		ret->by_id = (ino & BY_ID) != 0;
		ret->plain = (ino & PLAIN) != 0;
		ret->entry = ino & MOUNT_WHOLE;
		ret->sn = number < l->n ? l->snap[number] : NULL;
		if (ret->sn != NULL && mount_snap_shown(ret->sn))
			r = 0;
	}
	pthread_rwlock_unlock(&l->lock);
	return r;
}

/* --- what stat says ---------------------------------------------------------*/

static const mode_t types[] = {
	[FMT_FILE] = S_IFREG, [FMT_DIRECTORY] = S_IFDIR, [FMT_SYMLINK] = S_IFLNK,
	[FMT_CHAR_DEVICE] = S_IFCHR, [FMT_BLOCK_DEVICE] = S_IFBLK,
	[FMT_FIFO] = S_IFIFO, [FMT_SOCKET] = S_IFSOCK,
};

static void stat_whole(const struct mount_snap *sn, struct stat *st)
{
	st->st_mode = sn->block ? S_IFREG | 0400 : S_IFDIR | 0755;
	st->st_uid = geteuid();
	st->st_gid = getegid();
	st->st_mtim.tv_sec = sn->start_ns / 1000000000;
	st->st_mtim.tv_nsec = sn->start_ns % 1000000000;
	st->st_ctim = st->st_mtim;
	if (sn->block) {
		st->st_size = (off_t)sn->size;
		/* That it may have holes; SEEK_HOLE tells them. */
		st->st_blocks = (blkcnt_t)(sn->size > 4096 ? (sn->size - 4096) / 512 : 0);
	}
}

void mount_node_stat(struct mount_tool *t, const struct mount_snap *sn,
    uint64_t entry, const struct fmt_entry *e, struct stat *st)
{
	struct mount_node n = { .kind = MOUNT_ENTRY, .sn = sn, .entry = entry };

	memset(st, 0, sizeof(*st));
	st->st_ino = mount_node_pack(&n);
	st->st_nlink = 1;
	st->st_blksize = 4096;
	if (e == NULL) {
		stat_whole(sn, st);
		st->st_atim = st->st_mtim;
		return;
	}
	if (e->type < sizeof(types) / sizeof(types[0]))
		st->st_mode = types[e->type];
	st->st_mode |= e->mode & 07777;
	st->st_uid = e->uid;
	st->st_gid = e->gid;
	st->st_mtim.tv_sec = e->mtime_s;
	st->st_mtim.tv_nsec = e->mtime_ns;
	st->st_ctim.tv_sec = e->ctime_s;
	st->st_ctim.tv_nsec = e->ctime_ns;
	st->st_atim = st->st_mtim;
	if (e->bits & FMT_HAS_DEVICE)
		st->st_rdev = makedev(e->major, e->minor);
	if (e->bits & FMT_HAS_TARGET)
		st->st_size = (off_t)e->target.len;
	if (e->bits & FMT_HAS_CONTENT) {
		st->st_size = (off_t)e->content.size;
		st->st_blocks = (blkcnt_t)((mount_file_allocated(t->m, &e->content) +
		    511) / 512);
	}
	if ((e->bits & FMT_HAS_LINKS) && e->type != FMT_DIRECTORY) {
		st->st_ino = mount_links_inode(t->m, sn, e);
		st->st_nlink = mount_links_count(t, sn, e);
	}
}

/* --- paths ------------------------------------------------------------------*/

void mount_path_release(struct mount_path *p)
{
	free(p->c);
	buf_release(&p->text);
}

struct archive_path mount_path_of(const struct mount_path *p)
{
	return (struct archive_path){ .c = p->c, .n = p->n };
}

int mount_path_copy(struct mount_path *p, const struct archive_path *from,
    const struct archive_comp *more, struct err *err)
{
	size_t n = from->n + (more != NULL), len = more != NULL ? more->len : 0;
	char *text;

	for (size_t i = 0; i < from->n; i++)
		len += from->c[i].len;
	buf_reset(&p->text);
	if (n > p->cap) {
		struct archive_comp *c = reallocarray(p->c, n, sizeof(*c));

		if (c == NULL)
			return err_nomem(err, "a path");
		p->c = c;
		p->cap = n;
	}
	if (buf_reserve(&p->text, len + 1) < 0)
		return err_nomem(err, "a path");
	text = (char *)p->text.p;
	p->n = n;
	for (size_t i = 0; i < n; i++) {
		const struct archive_comp *c = i < from->n ? &from->c[i] : more;

		p->c[i] = (struct archive_comp){ .name = text, .len = c->len, .h = c->h };
		if (c->len > 0)
			memcpy(text, c->name, c->len);
		text += c->len;
	}
	return 0;
}

bool mount_name_ok(const struct archive_comp *c)
{
	if (c->len == 0 || c->len > 255)
		return false;
	if (c->name[0] == '.' && (c->len == 1 || (c->len == 2 && c->name[1] == '.')))
		return false;
	return memchr(c->name, '/', c->len) == NULL && memchr(c->name, 0, c->len) == NULL;
}

/* --- entries ----------------------------------------------------------------*/

static int at_root(struct mount_cursor *c, struct archive_path *dir,
    struct fmt_entry *e, struct err *err)
{
	struct archive_path root = { NULL, 0 };
	int r = archive_catalog_seek(c->cat, &root, NULL, err);

	if (r == 0)
		r = archive_catalog_next(c->cat, dir, e, err);
	/* Its own entry has no name and comes first. */
	return r == 0 && (dir->n > 0 || e->name.len > 0) ? 1 : r;
}

int mount_node_entry(struct mount_tool *t, const struct mount_node *n,
    struct mount_cursor **ret_c, struct archive_path *ret_dir,
    struct fmt_entry *ret_entry, struct err *err)
{
	struct mount_cursor *c = mount_cursor_catalog(t, n->sn, MOUNT_ANY, err);
	int r;

	if (c == NULL)
		return -1;
	if (n->entry == MOUNT_WHOLE) {
		r = at_root(c, ret_dir, ret_entry, err);
	} else {
		r = archive_catalog_seek_nth(c->cat, n->entry, err);
		if (r == 0)
			r = archive_catalog_next(c->cat, ret_dir, ret_entry, err);
		if (r == 1)
			r = err_set(err, ERR_CORRUPT, "the catalog has no such entry");
	}
	if (r < 0)
		mount_cursor_give(c, MOUNT_ANY);
	else
		*ret_c = c;
	return r;
}

void mount_node_done(struct mount_cursor *c)
{
	mount_cursor_give(c, archive_catalog_tell(c->cat) + 1);
}

int mount_node_path(struct mount_tool *t, const struct mount_node *n, struct err *err)
{
	struct mount_cursor *c;
	struct archive_path dir;
	struct fmt_entry e;
	int r;

	if (n->entry == MOUNT_WHOLE) {
		t->path.n = 0;
		return n->sn->block ? ENOTDIR : 0;
	}
	r = mount_node_entry(t, n, &c, &dir, &e, err);
	if (r < 0)
		return -1;
	if (e.type != FMT_DIRECTORY)
		r = ENOTDIR;
	else
		r = mount_path_copy(&t->path, &dir, &e.name, err);
	mount_node_done(c);
	return r;
}

/* --- telling ----------------------------------------------------------------*/

static bool told_before(struct mount *m, uint64_t node)
{
	size_t at = (node * UINT64_C(0x9e3779b97f4a7c15)) >> 56;
	bool before;

	pthread_mutex_lock(&m->tell_lock);
	before = m->told[at] == node;
	m->told[at] = node;
	pthread_mutex_unlock(&m->tell_lock);
	return before;
}

void mount_tell(struct mount_tool *t, const struct mount_node *n, const struct err *why)
{
	struct mount *m = t->m;
	struct mount_node by_time = *n;
	struct mount_cursor *c;
	struct archive_path dir;
	struct fmt_entry e;
	struct err none;

	by_time.by_id = by_time.plain = false;
	if (told_before(m, mount_node_pack(&by_time)))
		return;
	buf_reset(&t->text);
	buf_str(&t->text, n->sn->id);
	if (n->entry != MOUNT_WHOLE) {
		buf_u8(&t->text, ':');
		if (mount_node_entry(t, n, &c, &dir, &e, &none) == 0) {
			for (size_t i = 0; i < dir.n; i++) {
				buf_add(&t->text, dir.c[i].name, dir.c[i].len);
				buf_u8(&t->text, '/');
			}
			buf_add(&t->text, e.name.name, e.name.len);
			mount_node_done(c);
		} else {
			buf_str(&t->text, "(a path that the catalog does not tell any more)");
		}
	}
	buf_u8(&t->text, 0);
	m->opt.report(m->opt.ctx, t->text.failed ? n->sn->id : (char *)t->text.p, why);
}
