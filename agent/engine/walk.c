#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/engine/names.h"
#include "agent/engine/select.h"
#include "agent/engine/walk.h"
#include "repo/base/mem.h"
#include "repo/format/fmt_page.h"

#define DIRENT_BUFFER (64u << 10)

/* The form that getdents64 writes (linux/dirent.h is not for users). */
struct dirent_raw {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

/* A directory of which some sub-directories are still to be walked. */
struct frame {
	struct dir *dir;
	const struct select *select; /* NULL: everything below is wanted */
	struct names *subdirs;
};

struct walk {
	const struct walk_options *opt;
	struct frame *frames;
	size_t nframes, cap;
	size_t pending;     /* bytes that the frames' names hold */
	dev_t root_dev;
	struct buf path;    /* scratch */
	char name[NAMES_LONGEST + 1]; /* a copy */
	uint8_t dents[DIRENT_BUFFER];
};

static bool excluded(struct walk *w, struct dir *dir, const char *name, bool is_dir)
{
	if (w->opt->exclude == NULL)
		return false;
	return engine_filter_match(w->opt->exclude,
	    dir_path_of(dir, name, &w->path), is_dir) > 0;
}

/* A directory is a cache when its CACHEDIR.TAG begins as bford.info/cachedir says. */
static bool is_cache(int fd)
{
	static const char sig[] = "Signature: 8a477f597d28d172789f06886806bc55";
	char head[sizeof(sig) - 1];
	int tag = openat(fd, "CACHEDIR.TAG", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (tag < 0)
		return false;

	ssize_t n = pread(tag, head, sizeof(head), 0);

	close(tag);
	return n == (ssize_t)sizeof(head) && memcmp(head, sig, sizeof(head)) == 0;
}

static bool is_directory(int fd, const char *name, uint8_t dtype)
{
	struct stat st;

	if (dtype != DT_UNKNOWN)
		return dtype == DT_DIR;
	return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Collect one name unless it is excluded. */
static int take(struct walk *w, struct dir *dir, int fd, const char *s,
    uint8_t dtype, struct names *names, struct err *err)
{
	struct name n = { .s = s, .len = (uint16_t)strlen(s), .type = dtype };

	if (is_directory(fd, s, dtype))
		n.type = DT_DIR;
	if (excluded(w, dir, s, n.type == DT_DIR))
		return 0;
	n.h = fmt_name_hash(w->opt->order_key, s, n.len);
	return names_add(names, &n, err);
}

static int list_all(struct walk *w, struct dir *dir, int fd, struct names *names,
    struct err *err)
{
	/* The root's descriptor may have been read before: begin at its start. */
	if (dir->parent == NULL && lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, errno, "cannot list");
	for (;;) {
		long n = syscall(SYS_getdents64, fd, w->dents, sizeof(w->dents));

		if (n < 0)
			return err_sys(err, errno, "cannot list");
		if (n == 0)
			return 0;
		for (long at = 0; at < n;) {
			const struct dirent_raw *d = (const void *)(w->dents + at);

			at += d->reclen;
			if (strcmp(d->name, ".") == 0 || strcmp(d->name, "..") == 0)
				continue;
			if (strlen(d->name) > NAMES_LONGEST)
				return err_set(err, ERR_IO,
				    "it holds a name that no call can give");
			if (take(w, dir, fd, d->name, d->type, names, err) < 0)
				return -1;
		}
	}
}

static int list_selected(struct walk *w, struct dir *dir, int fd,
    const struct select *sel, struct names *names, struct err *err)
{
	for (size_t i = 0; i < sel->n; i++)
		if (take(w, dir, fd, sel->children[i].name, DT_UNKNOWN, names, err) < 0)
			return -1;
	return 0;
}

static int push(struct walk *w, struct dir *dir, const struct select *sel,
    struct names *subdirs, struct err *err)
{
	if (w->nframes == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 64;
		struct frame *f = realloc(w->frames, cap * sizeof(*f));

		if (f == NULL)
			return err_nomem(err, "the walk");
		w->frames = f;
		w->cap = cap;
	}
	w->frames[w->nframes++] = (struct frame){ dir_ref(dir), sel, subdirs };
	w->pending += names_memory(subdirs);
	return 0;
}

static void pop(struct walk *w)
{
	struct frame *f = &w->frames[--w->nframes];

	w->pending -= names_memory(f->subdirs);
	names_free(f->subdirs);
	dir_unref(f->dir);
}

/* How much the next list of names may hold before it goes to a file. */
static size_t names_limit(const struct walk *w)
{
	size_t left = w->opt->memory > w->pending ? w->opt->memory - w->pending : 0;

	return left / 4 > 4096 ? left / 4 : 4096;
}

/* Give the sorted names of dir to the caller and keep those to be walked. */
static int emit(struct walk *w, struct dir *dir, struct names *names,
    struct names *subdirs, struct err *err)
{
	struct name next, cur;
	bool equal_before = false;
	int r = names_next(names, &next, err);

	while (r == 0) {
		/* Looking one ahead needs a copy: the text is borrowed. */
		cur = next;
		memcpy(w->name, next.s, next.len + 1u);
		cur.s = w->name;
		r = names_next(names, &next, err);

		bool equal = r == 0 && next.h == cur.h;

		if (w->opt->entry(w->opt->ctx, dir, cur.s, cur.len, cur.h, cur.type,
		        dir->no_state || equal || equal_before, err) < 0)
			return -1;
		/* The type is free now; it remembers the equal hashes. */
		if (cur.type == DT_DIR) {
			cur.type = equal || equal_before;
			if (names_add(subdirs, &cur, err) < 0)
				return -1;
		}
		equal_before = equal;
	}
	return r < 0 ? -1 : names_sort(subdirs, err);
}

static int list(struct walk *w, struct dir *dir, int fd, const struct select *sel,
    struct names *names, struct err *err)
{
	if (w->opt->one_file_system) {
		struct stat st;

		if (fstat(fd, &st) < 0)
			return err_sys(err, errno, "cannot look at");
		if (dir->parent == NULL)
			w->root_dev = st.st_dev;
		/* Another file system: its mount point is kept, empty. */
		else if (st.st_dev != w->root_dev)
			return 0;
	}
	if (sel != NULL && sel->n > 0)
		return list_selected(w, dir, fd, sel, names, err);
	if (w->opt->exclude_caches && is_cache(fd))
		return take(w, dir, fd, "CACHEDIR.TAG", DT_REG, names, err);
	return list_all(w, dir, fd, names, err);
}

/* List one directory and make the frame of its sub-directories. */
static int visit(struct walk *w, struct dir *dir, const struct select *sel,
    struct err *err)
{
	struct err why = ERR_INIT;
	int fd = dir_pin(dir, &why);
	struct names *names = names_new(names_limit(w), err);
	struct names *subdirs = names_new(names_limit(w), err);
	int r = -1;

	if (names == NULL || subdirs == NULL)
		goto out;
	if (fd < 0 || list(w, dir, fd, sel, names, &why) < 0) {
		if (why.class == ERR_FULL)
			goto out_why;
		err_wrap(&why, "directory %s", dir_path_of(dir, "", &w->path));
		w->opt->bad(w->opt->ctx, dir_path_of(dir, "", &w->path), &why);
	}
	if (names_sort(names, err) < 0 || emit(w, dir, names, subdirs, err) < 0)
		goto out;
	if (push(w, dir, sel, subdirs, err) < 0)
		goto out;
	subdirs = NULL;
	r = 0;
	goto out;
out_why:
	if (err != NULL)
		*err = why;
out:
	if (fd >= 0)
		dir_unpin(dir);
	names_free(names);
	names_free(subdirs);
	return r;
}

static const struct select *select_child(const struct select *sel, const char *name)
{
	for (size_t i = 0; sel != NULL && i < sel->n; i++)
		if (strcmp(sel->children[i].name, name) == 0)
			return sel->children[i].n > 0 ? &sel->children[i] : NULL;
	return NULL;
}

/* Walk into the next sub-directory of the top frame, or leave the frame. */
static int step(struct walk *w, struct err *err)
{
	struct frame *top = &w->frames[w->nframes - 1];
	struct name n;
	int r = names_next(top->subdirs, &n, err);

	if (r != 0) {
		pop(w);
		return r < 0 ? -1 : 0;
	}

	const struct select *sel = select_child(top->select, n.s);
	struct dir *dir = dir_new(top->dir, n.s, n.len, n.h, err);

	if (dir == NULL)
		return -1;
	dir->no_state |= n.type != 0;
	r = visit(w, dir, sel, err);
	dir_unref(dir);
	return r;
}

int walk_tree(struct dirs *dirs, const struct walk_options *opt, struct err *err)
{
	struct walk *w = mem_zalloc(sizeof(*w), "the walk", err);

	if (w == NULL)
		return -1;
	w->opt = opt;

	struct dir *root = dirs_root(dirs);
	int r = opt->entry(opt->ctx, root, "", 0, 0, DT_DIR, false, err);

	if (r == 0)
		r = visit(w, root, opt->select, err);
	while (r == 0 && w->nframes > 0) {
		if (opt->cancelled != NULL && opt->cancelled(opt->ctx))
			r = err_set(err, ERR_CANCELLED, "stopped on request");
		else
			r = step(w, err);
	}
	while (w->nframes > 0)
		pop(w);
	dir_unref(root);
	buf_release(&w->path);
	free(w->frames);
	free(w);
	return r;
}
