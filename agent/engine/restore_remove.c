#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engine/restore_internal.h"
#include "repo/base/rand.h"

/*
 * Removing a tree.  A chain of directories may be deeper than there are
 * descriptors, and ".." may lead elsewhere when somebody moves a directory
 * meanwhile.  So what lies too deep is moved up into the top directory, and
 * removed from there.
 */
#define DEPTH_MAX 64u

struct removal {
	struct restore *r;
	int top;            /* the directory that is removed */
	bool moved;         /* something was moved up into it */
	dev_t dev;
};

/* Remove one name that is no directory (or an empty one); 0 or errno. */
static int unlink_one(int dirfd, const char *name, bool dir)
{
	if (unlinkat(dirfd, name, dir ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EPERM && errno != EACCES)
		return errno;

	/* A flag may forbid it: on the file, or on the directory. */
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0) {
		restore_meta_thaw(fd);
		close(fd);
	}
	restore_meta_thaw(dirfd);
	return unlinkat(dirfd, name, dir ? AT_REMOVEDIR : 0) < 0 ? errno : 0;
}

static int open_dir(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Move a directory that lies too deep up to the top; 0 or errno. */
static int move_up(struct removal *rm, int dirfd, const char *name)
{
	char to[40];
	uint64_t random;

	rand_bytes(&random, sizeof(random));
	snprintf(to, sizeof(to), ".wherry-%016llx", (unsigned long long)random);
	rm->moved = true;
	return renameat(dirfd, name, rm->top, to) < 0 ? errno : 0;
}

static int empty_dir(struct removal *rm, int fd, unsigned depth);

static int remove_entry(struct removal *rm, int dirfd, const char *name, unsigned depth)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : errno;
	if (!S_ISDIR(st.st_mode))
		return unlink_one(dirfd, name, false);
	if (depth == DEPTH_MAX)
		return move_up(rm, dirfd, name);

	int fd = open_dir(dirfd, name);

	if (fd < 0)
		return errno == ENOENT ? 0 : errno;

	int e = empty_dir(rm, fd, depth + 1);

	close(fd);
	return e != 0 ? e : unlink_one(dirfd, name, true);
}

/* Remove all that is in a directory; fd stays the caller's.  0 or errno. */
static int empty_dir(struct removal *rm, int fd, unsigned depth)
{
	struct stat st;
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	struct dirent *de;
	int e = 0;

	if (d == NULL) {
		e = errno;
		if (own >= 0)
			close(own);
		return e;
	}
	if (fstat(fd, &st) < 0 || st.st_dev != rm->dev) {
		closedir(d);
		return EBUSY; /* another file system is mounted here */
	}
	restore_meta_thaw(fd);
	while (e == 0 && (errno = 0, de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (engine_cancelled(rm->r->e))
			e = ECANCELED;
		else
			e = remove_entry(rm, fd, de->d_name, depth);
	}
	if (e == 0 && de == NULL)
		e = errno;
	closedir(d);
	return e;
}

static int remove_tree(struct restore *r, int dirfd, const char *name)
{
	struct removal rm = { .r = r, .top = open_dir(dirfd, name) };
	struct stat st, up;
	int e = 0;

	if (rm.top < 0)
		return errno == ENOENT ? 0 : errno;
	if (fstat(rm.top, &st) < 0 || fstat(dirfd, &up) < 0)
		e = errno;
	else if (st.st_dev != up.st_dev)
		e = EBUSY;
	rm.dev = st.st_dev;
	do {
		rm.moved = false;
		if (e == 0)
			e = empty_dir(&rm, rm.top, 0);
	} while (e == 0 && rm.moved);
	close(rm.top);
	return e != 0 ? e : unlink_one(dirfd, name, true);
}

int restore_remove(struct restore *r, int dirfd, const char *name, bool recursive,
    struct err *err)
{
	int e = unlink_one(dirfd, name, false);

	if (e == EISDIR || e == EPERM)
		e = recursive ? remove_tree(r, dirfd, name) : unlink_one(dirfd, name, true);
	if (e == 0)
		return 0;
	if (e == ENOTEMPTY || e == EEXIST)
		return err_set(err, ERR_EXISTS, "a directory that is not empty is in its place "
		    "(--delete removes it)");
	return err_sys(err, e, "cannot remove what is in its place");
}
