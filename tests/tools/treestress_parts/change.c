/* Removing, and changing what is there. */

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tools/treestress_parts/stress.h"

void unlock(int dir, const char *name)
{
	int fd = openat(dir, name,
	    O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int flags;

	if (geteuid() != 0 &&
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !S_ISLNK(st.st_mode) && (st.st_mode & 0600) != 0600)
		(void)fchmodat(dir, name, st.st_mode | 0700, 0);
	if (fd < 0)
		return;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 &&
	    (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) != 0) {
		flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
		if (ioctl(fd, FS_IOC_SETFLAGS, &flags) != 0)
			warn("flags");
	}
	close(fd);
}

/* Remove what is in the current directory; by chdir, as it may be deep. */
static void remove_inside(void)
{
	DIR *d;
	struct dirent *e;
	struct stat st;
	bool again = true;

	unlock(AT_FDCWD, ".");
	while (again && (d = opendir(".")) != NULL) {
		again = false;
		while ((e = readdir(d)) != NULL) {
			if (strcmp(e->d_name, ".") == 0 ||
			    strcmp(e->d_name, "..") == 0 ||
			    lstat(e->d_name, &st) != 0)
				continue;
			if (!S_ISDIR(st.st_mode)) {
				if (unlink(e->d_name) != 0) {
					unlock(AT_FDCWD, e->d_name);
					if (unlink(e->d_name) != 0)
						err(1, "unlink");
				}
				continue;
			}
			char name[256];

			snprintf(name, sizeof(name), "%s", e->d_name);
			unlock(AT_FDCWD, name);
			if (chmod(name, 0700) != 0 || chdir(name) != 0)
				err(1, "chdir");
			closedir(d); /* one open file, not one each level */
			d = NULL;
			remove_inside();
			if (chdir("..") != 0 || rmdir(name) != 0)
				err(1, "rmdir");
			again = true;
			break;
		}
		if (d != NULL)
			closedir(d);
	}
}

void remove_entry(int dir, const char *name)
{
	int back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (back < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		err(1, "%s", name);
	unlock(dir, name);
	if (!S_ISDIR(st.st_mode)) {
		if (unlinkat(dir, name, 0) != 0)
			err(1, "unlink");
	} else {
		if (fchmodat(dir, name, 0700, 0) != 0 ||
		    (dir != AT_FDCWD && fchdir(dir) != 0) || chdir(name) != 0)
			err(1, "%s", name);
		remove_inside();
		if (fchdir(back) != 0 ||
		    unlinkat(dir, name, AT_REMOVEDIR) != 0)
			err(1, "%s", name);
	}
	close(back);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void scan_tree(void)
{
	add_node(NULL, ".", S_IFDIR)->touched = false;
	for (size_t i = 0; i < count; i++) {
		struct node *parent = nodes[i];
		char **names = NULL;
		size_t n = 0;
		struct dirent *e;
		struct stat st;

		if (!S_ISDIR(parent->type))
			continue;
		int fd = open_dir(parent);
		DIR *d = fd < 0 ? NULL : fdopendir(dup(fd));

		if (d == NULL)
			continue;
		rewinddir(d);
		while ((e = readdir(d)) != NULL) {
			if (strcmp(e->d_name, ".") == 0 ||
			    strcmp(e->d_name, "..") == 0)
				continue;
			names = realloc(names, (n + 1) * sizeof(*names));
			if (names == NULL ||
			    (names[n++] = strdup(e->d_name)) == NULL)
				err(1, NULL);
		}
		if (n > 1)
			qsort(names, n, sizeof(*names), by_name);
		for (size_t k = 0; k < n; k++) {
			if (fstatat(fd, names[k], &st, AT_SYMLINK_NOFOLLOW) == 0)
				add_node(parent, names[k], st.st_mode & S_IFMT)
				    ->touched = false;
			free(names[k]);
		}
		free(names);
		closedir(d);
	}
}

static bool change_content(int dir, struct node *n, bool was_touched)
{
	int fd = openat(dir, n->name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	bool ok = true;

	if (fd < 0 || fstat(fd, &st) != 0) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	uint64_t size = (uint64_t)st.st_size;
	struct timespec t[2] = { choose_time(), choose_time() };

	switch (below(5)) {
	case 0:
		ok = write_at(fd, size, 1 + (size_t)below(70000));
		break;
	case 1:
		ok = ftruncate(fd, (off_t)below(size + 1)) == 0;
		break;
	case 2:
		if (size > 0)
			(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE |
			    FALLOC_FL_KEEP_SIZE, (off_t)below(size),
			    1 + (off_t)below(100000));
		break;
	case 3:
		/* One byte, and the time as it was: only ctime tells. */
		ok = size == 0 || write_at(fd, below(size), 1);
		n->touched = was_touched;
		t[1] = st.st_mtim;
		break;
	default:
		ok = write_at(fd, below(size + 1), 1 + (size_t)below(5000));
	}
	/* At once: this name may be gone before the end, another stays. */
	if (futimens(fd, t) != 0)
		ok = false;
	close(fd);
	return ok;
}

static bool change_name(struct node *n, uint64_t i)
{
	struct node *to = pick(true);
	char name[256];
	struct stat st;

	if (to == NULL || is_under(to, n))
		return false;
	make_name(name, 1000000 + i);
	int from_fd = dup(open_dir(n->parent)), to_fd = open_dir(to);
	bool ok = from_fd >= 0 && to_fd >= 0 &&
	    fstatat(to_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0;

	if (ok) {
		unlock(to_fd, ".");
		to->touched = true;
		ok = renameat(from_fd, n->name, to_fd, name) == 0;
	}
	if (from_fd >= 0)
		close(from_fd);
	if (ok) {
		free(n->name);
		n->name = strdup(name);
		n->parent->touched = true;
		n->parent = to;
		forget_dir();
	}
	return ok;
}

void change_one(uint64_t i)
{
	begin('C', i);
	struct node *n = pick(chance(20));
	char name[256];
	bool ok = true;

	if (n == NULL || n->parent == NULL)
		return;
	int dir = open_dir(n->parent);

	if (dir < 0)
		return;
	unlock(dir, ".");
	unlock(dir, n->name);
	bool was_touched = n->touched;

	n->touched = true;
	n->link = false; /* what is written through it needs its time set */
	switch (below(8)) {
	case 0:
		n->gone = true;
		n->parent->touched = true;
		remove_entry(dir, n->name);
		forget_dir();
		break;
	case 1:
		ok = change_name(n, i);
		break;
	case 2:
		/* A file where a directory was, or the other way. */
		n->gone = true;
		n->parent->touched = true;
		remove_entry(dir, n->name);
		forget_dir();
		make_entry(n->parent, n->name, false);
		break;
	case 3:
	case 4: {
		struct node *d = pick(true);
		int fd = open_dir(d);

		if (fd < 0)
			break;
		unlock(fd, ".");
		d->touched = true;
		make_name(name, 2000000 + i);
		make_entry(d, name, false);
		break;
	}
	case 5:
		break; /* new metadata only */
	default:
		if (S_ISREG(n->type))
			ok = change_content(dir, n, was_touched);
	}
	tally(DID_CHANGE, ok);
}
