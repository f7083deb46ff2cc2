#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "repo/backend/backend_internal.h"
#include "repo/base/cleanup.h"

/* How often a directory that vanishes while it is made is made again. */
#define MAKE_TRIES 100

static int sys_openat(int dirfd, const char *name, int flags, mode_t mode)
{
	return openat(dirfd, name, flags, mode);
}

static int sys_openat2(int dirfd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
		    RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

struct backend_local_sys backend_local_sys = {
	.openat = sys_openat,
	.pwrite = pwrite,
	.fsync = fsync,
	.linkat = linkat,
	.renameat2 = renameat2,
	.unlinkat = unlinkat,
	.mkdirat = mkdirat,
	.openat2 = sys_openat2,
};

void backend_local_split(const char *key, struct backend_local_path *ret_path)
{
	const char *slash = strrchr(key, '/');

	if (slash == NULL) {
		snprintf(ret_path->dir, sizeof(ret_path->dir), ".");
		ret_path->base = key;
		return;
	}
	snprintf(ret_path->dir, sizeof(ret_path->dir), "%.*s",
	    (int)(slash - key), key);
	ret_path->base = slash + 1;
}

/*
 * Open one component without following a symbolic link, which is ELOOP in
 * every case (openat alone says ENOTDIR for O_DIRECTORY and opens the link
 * itself for O_PATH).
 */
static int open_component(int dir, const char *name, int flags)
{
	struct stat st;
	int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC);
	int e = errno;

	if (fd >= 0 && !(flags & O_PATH))
		return fd;
	if (fd < 0 && e != ENOTDIR) {
		errno = e;
		return -1;
	}
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		errno = ELOOP;
		return -1;
	}
	if (fd < 0)
		errno = e;
	return fd;
}

/* Copy the first component of *path to dst and pass it and its '/'. */
static void next_component(const char **path,
    char dst[BACKEND_KEY_MAX + 1])
{
	size_t len = strcspn(*path, "/");

	snprintf(dst, BACKEND_KEY_MAX + 1, "%.*s", (int)len, *path);
	*path += len;
	if (**path == '/')
		(*path)++;
}

/* What openat2 does, component by component. */
static int walk_beneath(int root, const char *path, int flags)
{
	char name[BACKEND_KEY_MAX + 1];
	int cur = root;

	for (;;) {
		next_component(&path, name);

		bool last = *path == '\0';
		int next = open_component(cur, name,
		    last ? flags : O_PATH | O_DIRECTORY);
		int e = errno;

		if (cur != root)
			close(cur);
		if (next < 0)
			errno = e;
		if (next < 0 || last)
			return next;
		cur = next;
	}
}

int backend_local_beneath(const struct backend_local *l, const char *path,
    int flags)
{
	if (l->has_openat2)
		return backend_local_sys.openat2(l->root, path, flags);
	return walk_beneath(l->root, path, flags);
}

int backend_local_sync_file(const struct backend_local *l, int fd)
{
	return l->no_sync ? 0 : backend_local_sys.fsync(fd);
}

int backend_local_sync_dir(const struct backend_local *l, int fd)
{
	if (l->no_sync || backend_local_sys.fsync(fd) == 0)
		return 0;
	/* Some file systems have no such thing as syncing a directory. */
	return errno == EINVAL || errno == EOPNOTSUPP ? 0 : -1;
}

/*
 * Return a number that stands for the directory open at fd; a directory made
 * anew has another one.  0 when it cannot be told.
 */
static uint64_t dir_identity(int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) < 0 ||
	    !(st.stx_mask & STATX_BTIME))
		return 0;

	uint64_t h = st.stx_ino * UINT64_C(0x9e3779b97f4a7c15);

	h ^= h >> 29;
	h += (uint64_t)st.stx_btime.tv_sec * 1000000000 +
	    st.stx_btime.tv_nsec;
	h *= UINT64_C(0xbf58476d1ce4e5b9);
	h ^= h >> 32;
	h += (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
	h *= UINT64_C(0x94d049bb133111eb);
	return h ^ h >> 31;
}

static bool is_durable(struct backend_local *l, uint64_t identity)
{
	return l->no_sync || (identity != 0 && identity == atomic_load(
	    &l->durable[identity % BACKEND_LOCAL_DURABLE_SLOTS]));
}

/*
 * Open the directory name in cur, making it if need be, and make that name
 * durable.  Return the descriptor, or -1 with errno.
 */
static int enter(struct backend_local *l, int cur, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY;
	CLEANUP_CLOSE int fd = open_component(cur, name, flags);

	if (fd < 0) {
		if (errno != ENOENT)
			return -1;
		if (backend_local_sys.mkdirat(cur, name,
		        BACKEND_LOCAL_DIR_MODE) < 0 && errno != EEXIST)
			return -1;
		fd = open_component(cur, name, flags);
		if (fd < 0)
			return -1;
	}

	/*
	 * Also when we did not make it: who did may not have synced it yet,
	 * and an object in it would be lost with it.
	 */
	uint64_t identity = dir_identity(fd);

	if (!is_durable(l, identity)) {
		if (backend_local_sync_dir(l, cur) < 0)
			return -1;
		atomic_store(
		    &l->durable[identity % BACKEND_LOCAL_DURABLE_SLOTS],
		    identity);
	}
	return STEAL_FD(fd);
}

static int make_all(struct backend_local *l, const char *dir)
{
	char name[BACKEND_KEY_MAX + 1];
	int cur = openat(l->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	while (cur >= 0 && *dir != '\0') {
		next_component(&dir, name);

		int next = enter(l, cur, name);
		int e = errno;

		close(cur);
		errno = e;
		cur = next;
	}
	return cur;
}

int backend_local_dir_make(struct backend_local *l, const char *dir)
{
	int fd = backend_local_beneath(l, dir, O_RDONLY | O_DIRECTORY);

	if (fd < 0 && errno != ENOENT)
		return -1;
	if (strcmp(dir, ".") == 0)
		return fd;
	if (fd >= 0 && is_durable(l, dir_identity(fd)))
		return fd;
	if (fd >= 0)
		close(fd);
	for (int i = 0; i < MAKE_TRIES; i++) {
		fd = make_all(l, dir);
		/* Another's removal of empty directories came between. */
		if (fd >= 0 || errno != ENOENT)
			return fd;
	}
	return -1;
}

/*
 * A directory made anew at once may get the inode and, the clock of files
 * being coarse, even the birth time of the one removed.
 */
static void forget_durable(struct backend_local *l)
{
	for (size_t i = 0; i < BACKEND_LOCAL_DURABLE_SLOTS; i++)
		atomic_store(&l->durable[i], 0);
}

void backend_local_dir_prune(struct backend_local *l, const char *dir)
{
	char path[BACKEND_KEY_MAX + 1];

	snprintf(path, sizeof(path), "%s", dir);
	for (;;) {
		char *slash = strrchr(path, '/');

		if (slash == NULL)
			return;
		*slash = '\0';

		CLEANUP_CLOSE int up = backend_local_beneath(l, path,
		    O_RDONLY | O_DIRECTORY);

		if (up < 0 || backend_local_sys.unlinkat(up, slash + 1,
		        AT_REMOVEDIR) < 0)
			return;
		forget_durable(l);
	}
}
