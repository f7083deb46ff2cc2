#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "repo/backend/backend.h"
#include "repo/backend/backend_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"

#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xFF534D42
#endif
#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xFE534D42
#endif
#ifndef CEPH_SUPER_MAGIC
#define CEPH_SUPER_MAGIC 0x00c36400
#endif
#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#ifndef GFS2_MAGIC
#define GFS2_MAGIC 0x01161970
#endif

static struct backend_local *local_of(struct backend *be)
{
	return (struct backend_local *)be;
}

int backend_local_fail(const struct backend_local *l, const char *what,
    const char *key, int errnum, struct err *err)
{
	err_sys(err, errnum, "%s %s in %s", what, key, l->be.name);
	/* Something that is no directory stands where one is needed. */
	if (errnum == ENOTDIR)
		err->class = ERR_USAGE;
	return -1;
}

/* Return true for errno values that mean: no object has this key. */
static bool means_absent(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR;
}

static int local_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	struct backend_local *l = local_of(be);
	/* O_NONBLOCK: a foreign fifo must not hold us. */
	CLEANUP_CLOSE int fd = backend_local_beneath(l, key,
	    O_RDONLY | O_NONBLOCK);
	uint8_t *p = dst;
	size_t done = 0;

	if (fd < 0)
		return means_absent(errno) || errno == ENXIO ? 1 :
		    backend_local_fail(l, "opening", key, errno, err);
	while (done < len) {
		ssize_t n = pread(fd, p + done, len - done,
		    (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EISDIR || errno == ESPIPE))
			return 1; /* no object, as in a listing */
		if (n < 0)
			return backend_local_fail(l, "reading", key, errno,
			    err);
		if (n == 0)
			return err_set(err, ERR_CORRUPT, "%s in %s ends "
			    "before byte %llu", key, be->name,
			    (unsigned long long)(off + len));
		done += (size_t)n;
	}
	return 0;
}

static int local_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err)
{
	struct backend_local *l = local_of(be);
	CLEANUP_CLOSE int fd = backend_local_beneath(l, key, O_PATH);
	struct stat st;

	if (fd < 0)
		return means_absent(errno) ? 1 :
		    backend_local_fail(l, "looking at", key, errno, err);
	if (fstat(fd, &st) < 0)
		return backend_local_fail(l, "looking at", key, errno, err);
	if (!S_ISREG(st.st_mode))
		return 1;
	ret_st->size = (uint64_t)st.st_size;
	ret_st->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 +
	    st.st_mtim.tv_nsec;
	return 0;
}

static int local_del(struct backend *be, const char *key, struct err *err)
{
	struct backend_local *l = local_of(be);
	struct backend_local_path path;

	if (l->read_only)
		return err_set(err, ERR_AUTH, "removing %s: %s is open for "
		    "reading only", key, be->name);
	backend_local_split(key, &path);

	CLEANUP_CLOSE int dir = backend_local_beneath(l, path.dir,
	    O_RDONLY | O_DIRECTORY);

	if (dir < 0)
		return means_absent(errno) ? 1 :
		    backend_local_fail(l, "removing", key, errno, err);
	if (backend_local_sys.unlinkat(dir, path.base, 0) < 0)
		return errno == ENOENT || errno == EISDIR ? 1 :
		    backend_local_fail(l, "removing", key, errno, err);
	if (backend_local_sync_dir(l, dir) < 0)
		return backend_local_fail(l, "removing", key, errno, err);
	backend_local_dir_prune(l, path.dir);
	return 0;
}

static void local_caps(struct backend *be, struct backend_caps *ret_caps)
{
	struct backend_local *l = local_of(be);

	*ret_caps = (struct backend_caps){
		.atomic_create = !l->network,
		.local = true,
		.cheap_ranges = true,
		.ordered_list = true,
		.del_tells = true,
	};
}

static void local_close(struct backend *be)
{
	struct backend_local *l = local_of(be);

	if (l->root >= 0)
		close(l->root);
	backend_base_release(be);
	free(l);
}

static const struct backend_ops local_ops = {
	.put = backend_local_put,
	.put_over = backend_local_put_over,
	.get = local_get,
	.stat = local_stat,
	.list = backend_local_list,
	.del = local_del,
	.caps = local_caps,
	.close = local_close,
};

/*
 * Return true for file systems that other machines change beside us, and for
 * those (FUSE) that may be such: what is cached of a directory may be old.
 */
static bool is_network(int fd)
{
	static const uint32_t magics[] = {
		NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, CIFS_SUPER_MAGIC,
		SMB2_SUPER_MAGIC, CEPH_SUPER_MAGIC, FUSE_SUPER_MAGIC,
		V9FS_MAGIC, AFS_SUPER_MAGIC, CODA_SUPER_MAGIC, GFS2_MAGIC,
		OCFS2_SUPER_MAGIC,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return true;
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		if ((uint32_t)fs.f_type == magics[i])
			return true;
	}
	return false;
}

/* Make the directory path and its name durable.  0, or -1 with errno. */
static int make_root(const char *path, bool no_sync)
{
	if (backend_local_sys.mkdirat(AT_FDCWD, path,
	        BACKEND_LOCAL_DIR_MODE) < 0)
		return errno == EEXIST ? 0 : -1;
	if (no_sync)
		return 0;

	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -1;

	CLEANUP_CLOSE int up = openat(fd, "..",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/*
	 * A parent that may be entered but not read cannot be synced by us;
	 * that is no reason not to work.
	 */
	if (up < 0)
		return errno == EACCES ? 0 : -1;
	if (backend_local_sys.fsync(up) < 0 && errno != EINVAL &&
	    errno != EOPNOTSUPP)
		return -1;
	return 0;
}

/* Open the root into l.  Return 0, or -1 with err. */
static int open_root(struct backend_local *l, const char *path, bool create,
    struct err *err)
{
	if (create && make_root(path, l->no_sync) < 0)
		return err_sys(err, errno, "making the directory %s", path);
	l->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->root >= 0)
		return 0;
	if (errno == ENOTDIR)
		return err_set(err, ERR_USAGE, "%s is not a directory", path);
	return err_sys(err, errno, "opening the directory %s", path);
}

struct backend *backend_local_open(const char *path,
    const struct backend_local_options *opt, struct err *err)
{
	static const struct backend_local_options defaults;
	struct backend_local *l;

	if (opt == NULL)
		opt = &defaults;
	if (path[0] == '\0') {
		err_set(err, ERR_USAGE, "the path of a repository is empty");
		return NULL;
	}
	l = mem_zalloc(sizeof(*l), "a local directory", err);
	if (l == NULL)
		return NULL;
	l->root = -1;
	l->read_only = opt->read_only;
	l->no_sync = opt->no_sync;
	if (backend_base_init(&l->be, &local_ops, path, err) < 0 ||
	    open_root(l, path, opt->create && !opt->read_only, err) < 0) {
		local_close(&l->be);
		return NULL;
	}
	l->network = is_network(l->root);

	/* Old kernels lack it, and some seccomp profiles forbid it. */
	CLEANUP_CLOSE int probe = backend_local_sys.openat2(l->root, ".",
	    O_PATH | O_DIRECTORY);

	l->has_openat2 = probe >= 0;
	if (!l->read_only)
		backend_local_tmp_clean(l);
	return &l->be;
}
