#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/mount/mount_dir.h"
#include "repo/base/cleanup.h"
#include "repo/format/fmt_entry.h"

/*
 * What the kernel asks for.  Nothing changes within a snapshot, so the kernel
 * may keep all that it was told; nothing here remembers what it was.
 */

/* How old the list may be when somebody looks at it; when a name is missing. */
#define LOOK_NS (INT64_C(10) * 1000000000)
#define MISSING_NS (INT64_C(1) * 1000000000)

_Thread_local struct mount_tool *mount_this;

int mount_errno(const struct err *err)
{
	switch (err->class) {
	case ERR_FULL:
		return ENOMEM;
	case ERR_AUTH:
		return EACCES;
	case ERR_CANCELLED:
		return EINTR;
	default:
		return EIO;
	}
}

/* Say what is wrong with a node, and answer that it cannot be read. */
static void reply_failure(fuse_req_t req, const struct mount_node *n,
    const struct err *why)
{
	mount_tell(mount_this, n, why);
	fuse_reply_err(req, mount_errno(why));
}

/* The node, or the answer that there is none. */
static bool node_of(fuse_req_t req, fuse_ino_t ino, struct mount_node *ret)
{
	int r = mount_node_unpack(mount_this->m, ino, ret);

	if (r != 0)
		fuse_reply_err(req, r);
	return r == 0;
}

/* --- names ------------------------------------------------------------------*/

static const struct mount_snap *snap_named(const struct mount_list *l,
    const struct mount_node *up, const char *text)
{
	size_t len = strlen(text);
	bool image = len > 4 && strcmp(text + len - 4, ".img") == 0;
	const struct mount_snap *sn;
	char name[80];

	snprintf(name, sizeof(name), "%.*s", (int)(image ? len - 4 : len), text);
	sn = up->kind == MOUNT_VOLUME ? mount_list_time(&l->volume[up->volume], name) :
	    mount_list_id(l, name);
	return sn != NULL && sn->block == image ? sn : NULL;
}

/* A name above the snapshots: true when there is one. */
static bool top_named(struct mount *m, const struct mount_node *up, const char *name,
    struct mount_node *ret)
{
	static const char *const tops[] = { "ids", "volumes", "latest" };
	const struct mount_list *l = &m->list;
	ssize_t v;

	if (up->kind == MOUNT_TOP && up->top == MOUNT_ROOT) {
		for (unsigned i = 0; i < 3; i++) {
			*ret = (struct mount_node){ .kind = MOUNT_TOP,
			    .top = (enum mount_top)(MOUNT_IDS + i) };
			if (strcmp(name, tops[i]) == 0)
				return true;
		}
		return false;
	}
	if (up->kind == MOUNT_VOLUME || up->top == MOUNT_IDS) {
		*ret = (struct mount_node){ .kind = MOUNT_ENTRY, .entry = MOUNT_WHOLE,
		    .by_id = up->kind == MOUNT_TOP, .sn = snap_named(l, up, name) };
		return ret->sn != NULL;
	}
	v = mount_list_volume(l, name);
	if (v < 0 || mount_list_latest(&l->volume[v]) == NULL)
		return false;
	*ret = (struct mount_node){ .kind = MOUNT_VOLUME, .volume = (uint32_t)v,
	    .link = up->top == MOUNT_LATEST };
	return true;
}

static void look(struct mount *m, int64_t age)
{
	struct err err;

	if (mount_list_look(m, age, &err) < 0)
		m->opt.report(m->opt.ctx, "looking for new snapshots", &err);
}

/* What stat says of a snapshot's root, or of its image. */
static int param_of_root(struct mount_tool *t, const struct mount_node *n,
    struct fuse_entry_param *ret, struct err *err)
{
	struct mount_cursor *c = NULL;
	struct archive_path dir;
	struct fmt_entry e;
	int r = n->sn->block ? 1 : mount_node_entry(t, n, &c, &dir, &e, err);

	if (r >= 0)
		mount_dir_param(t, n, r == 0 ? &e : NULL, ret);
	if (c != NULL)
		mount_node_done(c);
	return r < 0 ? -1 : 0;
}

static void lookup_top(fuse_req_t req, const struct mount_node *up, const char *name)
{
	struct mount_tool *t = mount_this;
	struct mount *m = t->m;
	struct fuse_entry_param p;
	struct mount_node n;
	struct err err;
	bool there = false;

	for (int try = 0; try < 2 && !there; try++) {
		look(m, try == 0 ? LOOK_NS : MISSING_NS);
		pthread_rwlock_rdlock(&m->list.lock);
		there = top_named(m, up, name, &n);
		if (there && n.kind != MOUNT_ENTRY)
			mount_dir_param(t, &n, NULL, &p);
		pthread_rwlock_unlock(&m->list.lock);
	}
	if (!there) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	/* A root that is damaged still has what is in it. */
	if (n.kind == MOUNT_ENTRY && param_of_root(t, &n, &p, &err) < 0) {
		mount_tell(t, &n, &err);
		mount_dir_param(t, &n, NULL, &p);
	}
	fuse_reply_entry(req, &p);
}

/* The entry of a name in t->path.  0 with *ret_c taken, 1: there is none; -1. */
static int find_name(struct mount_tool *t, const struct mount_node *up,
    const struct archive_comp *name, struct mount_cursor **ret_c,
    struct fmt_entry *e, struct err *err)
{
	struct archive_path want = mount_path_of(&t->path), dir;
	struct mount_cursor *c = mount_cursor_catalog(t, up->sn, MOUNT_ANY, err);
	int r;

	if (c == NULL)
		return -1;
	r = archive_catalog_seek(c->cat, &want, name, err);
	if (r == 0)
		r = archive_catalog_next(c->cat, &dir, e, err);
	if (r == 0 && (archive_path_cmp(&dir, &want) != 0 ||
	    archive_name_cmp(&e->name, name) != 0))
		r = 1;
	if (r == 0)
		*ret_c = c;
	else
		mount_cursor_give(c, MOUNT_ANY);
	return r;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mount_tool *t = mount_this;
	struct fuse_entry_param p;
	struct archive_comp comp = { .name = name, .len = strlen(name) };
	struct mount_cursor *c;
	struct mount_node up;
	struct fmt_entry e;
	struct err err;
	int r;

	if (!node_of(req, parent, &up))
		return;
	if (up.kind != MOUNT_ENTRY) {
		lookup_top(req, &up, name);
		return;
	}
	r = mount_node_path(t, &up, &err);
	if (r > 0) {
		fuse_reply_err(req, r);
		return;
	}
	/* Without an order there is no cursor, and that says why. */
	if (up.sn->order != NULL)
		comp.h = fmt_name_hash(up.sn->order, name, comp.len);
	if (r == 0)
		r = mount_name_ok(&comp) ? find_name(t, &up, &comp, &c, &e, &err) : 1;
	if (r < 0) {
		reply_failure(req, &up, &err);
	} else if (r > 0) {
		fuse_reply_err(req, ENOENT);
	} else {
		up.entry = archive_catalog_tell(c->cat);
		mount_dir_param(t, &up, &e, &p);
		mount_node_done(c);
		fuse_reply_entry(req, &p);
	}
}

/* --- what entries say -------------------------------------------------------*/

/* The entry of a node below the snapshots; else the answer is given. */
static bool entry_of(fuse_req_t req, fuse_ino_t ino, struct mount_node *n,
    struct mount_cursor **ret_c, struct fmt_entry *ret)
{
	struct archive_path dir;
	struct err err;
	int r;

	if (!node_of(req, ino, n))
		return false;
	if (n->kind != MOUNT_ENTRY || n->sn->block) {
		fuse_reply_err(req, ENODATA);
		return false;
	}
	r = mount_node_entry(mount_this, n, ret_c, &dir, ret, &err);
	if (r > 0) {
		mount_node_done(*ret_c);
		fuse_reply_err(req, ENODATA);
	} else if (r < 0) {
		reply_failure(req, n, &err);
	}
	return r == 0;
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount_tool *t = mount_this;
	struct fuse_entry_param p;
	struct mount_cursor *c;
	struct mount_node n;
	struct fmt_entry e;
	struct err err;

	(void)fi;
	if (!node_of(req, ino, &n))
		return;
	if (n.kind != MOUNT_ENTRY) {
		pthread_rwlock_rdlock(&t->m->list.lock);
		mount_dir_param(t, &n, NULL, &p);
		pthread_rwlock_unlock(&t->m->list.lock);
	} else if (n.entry == MOUNT_WHOLE) {
		if (param_of_root(t, &n, &p, &err) < 0) {
			mount_tell(t, &n, &err);
			mount_dir_param(t, &n, NULL, &p);
		}
	} else {
		if (!entry_of(req, ino, &n, &c, &e))
			return;
		mount_dir_param(t, &n, &e, &p);
		mount_node_done(c);
	}
	fuse_reply_attr(req, &p.attr, p.attr_timeout);
}

/* latest/VOLUME leads to the newest in volumes/VOLUME. */
static void readlink_latest(fuse_req_t req, const struct mount_node *n)
{
	struct mount *m = mount_this->m;
	const struct mount_volume *v = &m->list.volume[n->volume];
	const struct mount_snap *sn;
	char text[512];

	look(m, LOOK_NS);
	pthread_rwlock_rdlock(&m->list.lock);
	v = &m->list.volume[n->volume];
	sn = mount_list_latest(v);
	if (sn != NULL)
		snprintf(text, sizeof(text), "../volumes/%s/%s%s", v->name, sn->time,
		    sn->block ? ".img" : "");
	pthread_rwlock_unlock(&m->list.lock);
	if (sn != NULL)
		fuse_reply_readlink(req, text);
	else
		fuse_reply_err(req, ESTALE);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct mount_cursor *c;
	struct mount_node n;
	struct fmt_entry e;
	char text[PATH_MAX];
	bool ok;

	if (!node_of(req, ino, &n))
		return;
	if (n.kind == MOUNT_VOLUME && n.link) {
		readlink_latest(req, &n);
		return;
	}
	if (!entry_of(req, ino, &n, &c, &e))
		return;
	ok = (e.bits & FMT_HAS_TARGET) && e.target.len < sizeof(text) &&
	    memchr(e.target.p, 0, e.target.len) == NULL;
	if (ok) {
		memcpy(text, e.target.p, e.target.len);
		text[e.target.len] = '\0';
	}
	mount_node_done(c);
	if (ok)
		fuse_reply_readlink(req, text);
	else
		fuse_reply_err(req, EINVAL);
}

/* Answer with bytes, or, when size is 0, with how many there are. */
static void reply_value(fuse_req_t req, const void *p, size_t len, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, p, len);
}

/* Its number says that it has no extended attributes. */
static bool has_none(fuse_ino_t ino)
{
	struct mount_node n;

	return mount_node_unpack(mount_this->m, ino, &n) == 0 &&
	    (n.kind != MOUNT_ENTRY || n.plain);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	size_t len = strlen(name);
	struct fmt_str key, value;
	struct mount_cursor *c;
	struct mount_node n;
	struct fmt_entry e;

	if (has_none(ino)) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	if (!entry_of(req, ino, &n, &c, &e))
		return;
	while (fmt_xattr_next(&e.xattrs, &key, &value) == 0) {
		if (key.len == len && memcmp(key.p, name, len) == 0) {
			reply_value(req, value.p, value.len, size);
			mount_node_done(c);
			return;
		}
	}
	mount_node_done(c);
	fuse_reply_err(req, ENODATA);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct buf *b = &mount_this->text;
	struct fmt_str key, value;
	struct mount_cursor *c;
	struct mount_node n;
	struct fmt_entry e;

	buf_reset(b);
	if (has_none(ino)) {
		reply_value(req, "", 0, size);
		return;
	}
	if (!entry_of(req, ino, &n, &c, &e))
		return;
	while (fmt_xattr_next(&e.xattrs, &key, &value) == 0) {
		if (key.len == 0 || memchr(key.p, 0, key.len) != NULL)
			continue;
		buf_add(b, key.p, key.len);
		buf_u8(b, 0);
	}
	mount_node_done(c);
	if (b->failed)
		fuse_reply_err(req, ENOMEM);
	else
		reply_value(req, b->p, b->len, size);
}

/* File flags and project, as chattr and the like ask for them. */
static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
    struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_len,
    size_t out_len)
{
	struct fsxattr x = { 0 };
	struct mount_cursor *c;
	struct mount_node n;
	struct fmt_entry e;
	unsigned int bits;

	(void)arg, (void)fi, (void)flags, (void)in, (void)in_len;
	if (!(cmd == (unsigned)FS_IOC_GETFLAGS && out_len >= sizeof(bits)) &&
	    !(cmd == (unsigned)FS_IOC_FSGETXATTR && out_len >= sizeof(x))) {
		fuse_reply_err(req, ENOTTY);
		return;
	}
	if (mount_node_unpack(mount_this->m, ino, &n) == 0 &&
	    (n.kind != MOUNT_ENTRY || n.sn->block)) {
		fuse_reply_err(req, ENOTTY);
		return;
	}
	if (!entry_of(req, ino, &n, &c, &e))
		return;
	bits = e.flags;
	x.fsx_projid = e.project;
	if (bits & FS_IMMUTABLE_FL)
		x.fsx_xflags |= FS_XFLAG_IMMUTABLE;
	if (bits & FS_APPEND_FL)
		x.fsx_xflags |= FS_XFLAG_APPEND;
	if (bits & FS_PROJINHERIT_FL)
		x.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	mount_node_done(c);
	if (cmd == (unsigned)FS_IOC_GETFLAGS)
		fuse_reply_ioctl(req, 0, &bits, sizeof(bits));
	else
		fuse_reply_ioctl(req, 0, &x, sizeof(x));
}

/* --- directories ------------------------------------------------------------*/

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount_tool *t = mount_this;
	struct mount_dir *d;
	struct mount_node n;
	struct err err;
	int r;

	if (!node_of(req, ino, &n))
		return;
	if (n.kind != MOUNT_ENTRY) {
		look(t->m, LOOK_NS);
		fi->fh = 0;
		fuse_reply_open(req, fi);
		return;
	}
	r = mount_dir_open(t, &n, &d, &err);
	if (r < 0) {
		reply_failure(req, &n, &err);
		return;
	}
	if (r > 0) {
		fuse_reply_err(req, r);
		return;
	}
	fi->fh = (uintptr_t)d;
	fi->cache_readdir = !d->damaged;
	fi->keep_cache = !d->damaged;
	if (fuse_reply_open(req, fi) != 0)
		mount_dir_close(t->m, d);
}

static void read_directory(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi, bool plus)
{
	struct mount_tool *t = mount_this;
	struct mount_fill f = { .req = req, .buf = (char *)t->reply, .plus = plus,
	    .cap = size < MOUNT_READ_MAX ? size : MOUNT_READ_MAX };
	struct mount_node n;
	int r;

	if (fi->fh != 0)
		r = mount_dir_read(t, (struct mount_dir *)(uintptr_t)fi->fh,
		    (uint64_t)off, &f);
	else if (!node_of(req, ino, &n))
		return;
	else
		r = mount_dir_read_top(t, &n, (uint64_t)off, &f);
	if (r != 0)
		fuse_reply_err(req, r);
	else
		fuse_reply_buf(req, f.buf, f.len);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	read_directory(req, ino, size, off, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	read_directory(req, ino, size, off, fi, true);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (fi->fh != 0)
		mount_dir_close(mount_this->m, (struct mount_dir *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

/* --- files ------------------------------------------------------------------*/

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount_tool *t = mount_this;
	struct mount_cursor *c = NULL;
	struct mount_file *f;
	struct mount_node n;
	struct fmt_entry e;
	struct err err;
	int r;

	if ((fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EROFS);
		return;
	}
	if (!node_of(req, ino, &n))
		return;
	if (n.kind == MOUNT_ENTRY && n.sn->block)
		r = mount_file_open(t->m, n.sn, NULL, &f, &err);
	else if (!entry_of(req, ino, &n, &c, &e))
		return;
	else
		r = mount_file_open(t->m, n.sn, &e, &f, &err);
	if (c != NULL)
		mount_node_done(c);
	if (r < 0) {
		if (err.class == ERR_FULL)
			fuse_reply_err(req, ENFILE);
		else
			reply_failure(req, &n, &err);
		return;
	}
	fi->fh = (uintptr_t)f;
	fi->keep_cache = 1;
	if (fuse_reply_open(req, fi) != 0)
		mount_file_close(t->m, f);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct mount_tool *t = mount_this;
	struct mount_node n;
	struct err err;
	ssize_t got;

	got = mount_file_read(t, (struct mount_file *)(uintptr_t)fi->fh, (uint64_t)off,
	    size < MOUNT_READ_MAX ? size : MOUNT_READ_MAX, t->reply, &err);
	if (got >= 0)
		fuse_reply_buf(req, (char *)t->reply, (size_t)got);
	else if (node_of(req, ino, &n))
		reply_failure(req, &n, &err);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
    struct fuse_file_info *fi)
{
	struct mount_node n;
	struct err err;
	uint64_t at;
	int r;

	if (off < 0 || (whence != SEEK_DATA && whence != SEEK_HOLE)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	r = mount_file_seek(mount_this, (struct mount_file *)(uintptr_t)fi->fh,
	    (uint64_t)off, whence == SEEK_DATA, &at, &err);
	if (r == 0)
		fuse_reply_lseek(req, (off_t)at);
	else if (r > 0)
		fuse_reply_err(req, ENXIO);
	else if (node_of(req, ino, &n))
		reply_failure(req, &n, &err);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	mount_file_close(mount_this->m, (struct mount_file *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

/* --- the whole --------------------------------------------------------------*/

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255 };

	(void)ino;
	fuse_reply_statfs(req, &st);
}

static void op_init(void *ctx, struct fuse_conn_info *conn)
{
	struct mount *m = ctx;

	/* Nobody writes: requests are short, and a pipe for them a waste. */
	conn->want &= ~(unsigned)FUSE_CAP_SPLICE_READ;
	/* What stat says stands beside the name: it is told in every case. */
	conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
	/* Others see what the snapshot's modes and ACLs let them. */
	if (m->others)
		conn->want |= conn->capable & FUSE_CAP_POSIX_ACL;
	conn->time_gran = 1;
}

const struct fuse_lowlevel_ops mount_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.ioctl = op_ioctl,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.open = op_open,
	.read = op_read,
	.lseek = op_lseek,
	.release = op_release,
	.statfs = op_statfs,
};
