#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/dump_internal.h"
#include "agent/engine/spill.h"
#include "agent/engine/table.h"
#include "agent/engine/waiting.h"
#include "repo/base/bytes.h"
#include "repo/base/log.h"

/*
 * POSIX.1-2001 (pax) archives: a ustar header, before it an extended one with
 * what that cannot hold.  Extended attributes are written as other archivers
 * do, as SCHILY.xattr.NAME.  Holes become zeros; sockets have no form.
 */

#define BLOCK 512
#define RECORD (20 * BLOCK)
#define NAME_MAX_USTAR 100
#define SIZE_MAX_USTAR UINT64_C(077777777777)
#define ID_MAX_USTAR 07777777u

struct tar {
	struct dump *d;
	size_t top;           /* length of the path of the view's top */
	struct buf path, link, pax;
	struct table *links;  /* (device, inode) to where its first path is */
	int names_fd;
	uint64_t names_len;
	struct buf names;     /* what follows in that file */
	struct waiting *dirs; /* directories whose own entries are still to come */
};

/* --- first names of inodes -------------------------------------------------*/

static int names_bytes(struct tar *t, uint64_t at, void *dst, size_t len, struct err *err)
{
	if (at >= t->names_len) {
		memcpy(dst, t->names.p + (at - t->names_len), len);
		return 0;
	}
	return spill_read(t->names_fd, dst, len, at, err);
}

/* 1: t->link is the first path of this inode; 0: this one is; -1. */
static int find_link(struct tar *t, const struct fmt_entry *e, struct err *err)
{
	uint8_t head[4];
	uint64_t at;

	if (t->names.len > (64u << 10)) {
		if (t->names_fd < 0 && (t->names_fd = spill_open(err)) < 0)
			return -1;
		if (spill_write(t->names_fd, t->names.p, t->names.len, t->names_len, err) < 0)
			return -1;
		t->names_len += t->names.len;
		buf_reset(&t->names);
	}

	int r = table_add(t->links, e->device, e->inode, t->names_len + t->names.len, &at, err);

	if (r < 0)
		return -1;
	if (r == 0) {
		buf_u32(&t->names, (uint32_t)t->path.len);
		buf_add(&t->names, t->path.p, t->path.len);
		return buf_check(&t->names, "hard links", err);
	}
	if (names_bytes(t, at, head, sizeof(head), err) < 0)
		return -1;

	size_t len = le32_get(head);

	buf_reset(&t->link);
	if (buf_reserve(&t->link, len) < 0)
		return err_nomem(err, "hard links");
	t->link.len = len;
	return names_bytes(t, at + sizeof(head), t->link.p, len, err) < 0 ? -1 : 1;
}

/* --- headers ---------------------------------------------------------------*/

/* One record of an extended header: "LEN KEY=VALUE\n", LEN counting itself. */
static void pax_add(struct buf *b, const char *key, size_t key_len, const void *value,
    size_t len)
{
	size_t rest = 1 + key_len + 1 + len + 1, total = rest + 1;
	char digits[24];

	for (;;) {
		int n = snprintf(digits, sizeof(digits), "%zu", total);

		if (rest + (size_t)n == total)
			break;
		total = rest + (size_t)n;
	}
	buf_str(b, digits);
	buf_u8(b, ' ');
	buf_add(b, key, key_len);
	buf_u8(b, '=');
	buf_add(b, value, len);
	buf_u8(b, '\n');
}

static void pax_text(struct buf *b, const char *key, const void *value, size_t len)
{
	pax_add(b, key, strlen(key), value, len);
}

static void pax_number(struct buf *b, const char *key, uint64_t v)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)v);

	pax_text(b, key, text, (size_t)n);
}

static void pax_time(struct buf *b, int64_t s, uint32_t ns)
{
	char text[40];
	const char *sign = "";
	int n;

	/* The time is s + ns; before 1970 it is written as -(rest). */
	if (s < 0) {
		sign = "-";
		if (ns > 0) {
			s++;
			ns = 1000000000u - ns;
		}
	}

	uint64_t abs = s < 0 ? -(uint64_t)s : (uint64_t)s;

	n = ns > 0 ? snprintf(text, sizeof(text), "%s%llu.%09u", sign,
	        (unsigned long long)abs, ns) :
	    snprintf(text, sizeof(text), "%s%llu", sign, (unsigned long long)abs);
	pax_text(b, "mtime", text, (size_t)n);
}

static void pax_xattrs(struct tar *t, const struct fmt_entry *e)
{
	struct fmt_list l = e->xattrs;
	struct fmt_str name, value;
	char key[320] = "SCHILY.xattr.";

	if (!(e->bits & FMT_HAS_XATTRS))
		return;
	while (fmt_xattr_next(&l, &name, &value) == 0) {
		if (name.len > 255 || memchr(name.p, '=', name.len) != NULL) {
			log_msg(LOG_WARN, "an attribute's name has no place in an archive");
			continue;
		}
		memcpy(key + 13, name.p, name.len);
		pax_add(&t->pax, key, 13 + name.len, value.p, value.len);
	}
}

static void octal(uint8_t *dst, size_t width, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%0*llo", (int)width - 1, (unsigned long long)v);
	memcpy(dst, text, width - 1);
}

struct header {
	const uint8_t *name, *link;
	size_t name_len, link_len;
	uint32_t mode, uid, gid, major, minor;
	uint64_t size;
	int64_t mtime;
	char type;
};

/* A ustar header; what does not fit is cut off (the extended one has it). */
static int put_header(struct tar *t, const struct header *h, struct err *err)
{
	uint8_t b[BLOCK] = { 0 };
	unsigned sum = 0;

	memcpy(b, h->name, h->name_len < NAME_MAX_USTAR ? h->name_len : NAME_MAX_USTAR);
	octal(b + 100, 8, h->mode & 07777);
	octal(b + 108, 8, h->uid <= ID_MAX_USTAR ? h->uid : 0);
	octal(b + 116, 8, h->gid <= ID_MAX_USTAR ? h->gid : 0);
	octal(b + 124, 12, h->size <= SIZE_MAX_USTAR ? h->size : 0);
	octal(b + 136, 12, h->mtime >= 0 && h->mtime <= (int64_t)SIZE_MAX_USTAR ?
	    (uint64_t)h->mtime : 0);
	memset(b + 148, ' ', 8);
	b[156] = (uint8_t)h->type;
	if (h->link_len > 0)
		memcpy(b + 157, h->link,
		    h->link_len < NAME_MAX_USTAR ? h->link_len : NAME_MAX_USTAR);
	memcpy(b + 257, "ustar\0" "00", 8);
	octal(b + 329, 8, h->major & ID_MAX_USTAR);
	octal(b + 337, 8, h->minor & ID_MAX_USTAR);
	for (size_t i = 0; i < BLOCK; i++)
		sum += b[i];
	octal(b + 148, 7, sum);
	b[155] = ' ';
	return dump_bytes(t->d, b, BLOCK, err);
}

static int pad(struct tar *t, uint64_t size, struct err *err)
{
	return dump_zeros(t->d, (BLOCK - size % BLOCK) % BLOCK, err);
}

static int put_pax(struct tar *t, struct err *err)
{
	struct header x = {
		.name = (const uint8_t *)"PaxHeader", .name_len = 9,
		.mode = 0644, .size = t->pax.len, .type = 'x',
	};

	if (buf_check(&t->pax, "an archive's header", err) < 0)
		return -1;
	if (t->pax.len == 0)
		return 0;
	if (put_header(t, &x, err) < 0 ||
	    dump_bytes(t->d, t->pax.p, t->pax.len, err) < 0)
		return -1;
	return pad(t, t->pax.len, err);
}

static int put_entry(struct tar *t, const struct fmt_entry *e, struct header *h,
    struct err *err)
{
	buf_reset(&t->pax);
	h->mode = e->mode;
	h->uid = e->uid;
	h->gid = e->gid;
	h->mtime = e->mtime_s;
	if (h->name_len > NAME_MAX_USTAR)
		pax_text(&t->pax, "path", h->name, h->name_len);
	if (h->link_len > NAME_MAX_USTAR)
		pax_text(&t->pax, "linkpath", h->link, h->link_len);
	if (h->size > SIZE_MAX_USTAR)
		pax_number(&t->pax, "size", h->size);
	if (e->uid > ID_MAX_USTAR)
		pax_number(&t->pax, "uid", e->uid);
	if (e->gid > ID_MAX_USTAR)
		pax_number(&t->pax, "gid", e->gid);
	if (e->mtime_ns > 0 || e->mtime_s < 0 || e->mtime_s > (int64_t)SIZE_MAX_USTAR)
		pax_time(&t->pax, e->mtime_s, e->mtime_ns);
	if (h->type != '1')
		pax_xattrs(t, e);
	return put_pax(t, err) < 0 ? -1 : put_header(t, h, err);
}

/* --- entries ---------------------------------------------------------------*/

static char type_char(uint8_t type)
{
	switch (type) {
	case FMT_FILE: return '0';
	case FMT_DIRECTORY: return '5';
	case FMT_SYMLINK: return '2';
	case FMT_CHAR_DEVICE: return '3';
	case FMT_BLOCK_DEVICE: return '4';
	case FMT_FIFO: return '6';
	default: return 0;
	}
}

static int tar_other(struct tar *t, const struct fmt_entry *e, struct err *err)
{
	struct header h = { .type = type_char(e->type) };

	h.name = t->path.p;
	h.name_len = t->path.len;
	if (h.type == 0 || (h.type == '0' && !(e->bits & FMT_HAS_CONTENT))) {
		log_msg(LOG_WARN, "left out of the archive: %s",
		    h.type == 0 ? "a socket" : "a file that the backup could not read");
		return 0;
	}
	if (e->bits & FMT_HAS_LINKS) {
		int r = find_link(t, e, err);

		if (r < 0)
			return -1;
		if (r > 0) {
			h.type = '1';
			h.link = t->link.p;
			h.link_len = t->link.len;
		}
	}
	if (h.type == '2') {
		h.link = (const uint8_t *)e->target.p;
		h.link_len = e->target.len;
	}
	if (e->bits & FMT_HAS_DEVICE) {
		h.major = e->major;
		h.minor = e->minor;
	}
	if (h.type == '0')
		h.size = e->content.size;
	if (put_entry(t, e, &h, err) < 0)
		return -1;
	if (h.type != '0')
		return 0;
	dump_mark(t->d, t->path.p, t->path.len);
	if (dump_content(t->d, &e->content, err) < 0)
		return -1;
	return pad(t, h.size, err);
}

/* A directory, just before what is in it. */
static int tar_dir(void *ctx, const struct buf *path, const struct fmt_entry *e,
    struct err *err)
{
	struct header h = { .type = '5', .name = path->p, .name_len = path->len };

	return put_entry(ctx, e, &h, err);
}

/* Path of the directory below the top, with a slash unless it is empty. */
static int set_dir(struct tar *t, const struct view_entry *v, struct err *err)
{
	struct buf *b = &t->path;
	size_t skip = t->top;

	buf_reset(b);
	if (v->dir_path_len > skip) {
		skip += t->top > 0; /* the slash */
		buf_add(b, v->dir_path + skip, v->dir_path_len - skip);
		buf_u8(b, '/');
	}
	return buf_check(b, "a path", err);
}

static int tar_entry(struct tar *t, const struct view_entry *v, struct err *err)
{
	if (v->top) {
		struct buf top = BUF_INIT;

		buf_str(&top, "./");

		int r = buf_check(&top, "a path", err) < 0 ? -1 : tar_dir(t, &top, v->e, err);

		buf_release(&top);
		return r;
	}
	if (set_dir(t, v, err) < 0 || waiting_enter(t->dirs, &t->path, err) < 0)
		return -1;
	if (v->e->type == FMT_DIRECTORY)
		return waiting_add(t->dirs, v->name, v->len, v->e, err);
	buf_add(&t->path, v->name, v->len);
	if (buf_check(&t->path, "a path", err) < 0)
		return -1;
	return tar_other(t, v->e, err);
}

int dump_tar(struct dump *d, struct view *v, struct err *err)
{
	struct tar t = { .d = d, .names_fd = -1 };
	struct view_entry ve;
	bool first = true;
	int r = 0;

	t.links = table_new(d->e->budget.walk / 4, err);
	t.dirs = t.links == NULL ? NULL : waiting_new(tar_dir, &t, err);
	if (t.dirs == NULL) {
		table_free(t.links);
		return -1;
	}
	for (;;) {
		r = view_next(v, &ve, err);
		if (r < 0 && err->class == ERR_CORRUPT && dump_damage(d, err, err) == 0 &&
		    view_skip(v, err) >= 0)
			continue;
		if (r != 0)
			break;
		if (first && view_depth(v) > 0)
			t.top = ve.dir_path_len;
		first = false;
		r = tar_entry(&t, &ve, err);
		if (r < 0)
			break;
	}
	if (r >= 0)
		r = waiting_end(t.dirs, err);
	if (r == 0)
		r = dump_zeros(d, 2 * BLOCK, err);
	if (r == 0)
		r = dump_zeros(d, (RECORD - d->told % RECORD) % RECORD, err);
	waiting_free(t.dirs);
	table_free(t.links);
	if (t.names_fd >= 0)
		close(t.names_fd);
	buf_release(&t.path);
	buf_release(&t.link);
	buf_release(&t.pax);
	buf_release(&t.names);
	return r;
}
