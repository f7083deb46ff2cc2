#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/backend/backend_internal.h"
#include "repo/base/cleanup.h"

/* One listing, handed down. */
struct listing {
	struct backend_local *l;
	const char *prefix;
	backend_list_fn *fn;
	void *ctx;
	char path[BACKEND_KEY_MAX + 1]; /* where we are; ends in '/' or "" */
};

static void cleanup_closedir_p(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

static int fail(const struct listing *g, int errnum, struct err *err)
{
	return backend_local_fail(g->l, "listing", g->path[0] ? g->path : "/",
	    errnum, err);
}

static bool begins_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static int list_dir(struct listing *g, int fd, struct err *err);

/* Go down into the directory name of dir, g->path being its key and a '/'. */
static int list_below(struct listing *g, int dir, const char *name,
    struct err *err)
{
	int fd = openat(dir, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) /* it may have been removed or replaced meanwhile */
		return errno == ENOENT || errno == ENOTDIR ? 0 :
		    fail(g, errno, err);
	return list_dir(g, fd, err);
}

/* Give the file key, which is name in dir, to the caller. */
static int list_file(struct listing *g, const char *key,
    const struct stat *st, struct err *err)
{
	struct backend_stat out = {
		.size = (uint64_t)st->st_size,
		.mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 +
		    st->st_mtim.tv_nsec,
	};

	return g->fn(g->ctx, key, &out, err);
}

/*
 * Look at one entry of the directory dir, at g->path of length at.  Return 0
 * to go on.
 */
static int list_entry(struct listing *g, int dir, const struct dirent *e,
    size_t at, struct err *err)
{
	char key[BACKEND_KEY_MAX + 2];
	struct stat st;
	int n = snprintf(key, sizeof(key) - 1, "%s%s", g->path, e->d_name);

	if (n > BACKEND_KEY_MAX || !backend_key_valid(key))
		return 0;

	/* Is the entry itself wanted, and might something below it be? */
	bool wanted = begins_with(key, g->prefix);

	key[n] = '/';
	key[n + 1] = '\0';

	bool below = begins_with(key, g->prefix) ||
	    begins_with(g->prefix, key);

	key[n] = '\0';
	if (!wanted && !below)
		return 0;
	if (e->d_type != DT_DIR) {
		if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : fail(g, errno, err);
		if (S_ISREG(st.st_mode))
			return wanted ? list_file(g, key, &st, err) : 0;
		/*
		 * Somebody moved a part of the repository elsewhere.  To take
		 * it for empty could make a collection delete what is needed.
		 */
		if (S_ISLNK(st.st_mode))
			return backend_local_fail(g->l, "listing", key, ELOOP,
			    err);
		if (!S_ISDIR(st.st_mode))
			return 0;
	}
	if (!below || n >= BACKEND_KEY_MAX)
		return 0;
	snprintf(g->path, sizeof(g->path), "%.*s/", n, key);

	int rc = list_below(g, dir, e->d_name, err);

	g->path[at] = '\0';
	return rc;
}

/* List the directory open at fd, which is closed, and all below it. */
static int list_dir(struct listing *g, int fd, struct err *err)
{
	CLEANUP(cleanup_closedir_p) DIR *d = fdopendir(fd);
	size_t at = strlen(g->path);

	if (d == NULL) {
		int e = errno;

		close(fd);
		return fail(g, e, err);
	}
	for (;;) {
		errno = 0;

		struct dirent *e = readdir(d);

		if (e == NULL)
			return errno == 0 || errno == ENOENT ? 0 :
			    fail(g, errno, err);

		int rc = list_entry(g, fd, e, at, err);

		if (rc != 0)
			return rc;
	}
}

int backend_local_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct listing g = {
		.l = (struct backend_local *)be,
		.prefix = prefix,
		.fn = fn,
		.ctx = ctx,
	};
	const char *slash = strrchr(prefix, '/');
	int n = slash == NULL ? 0 : (int)(slash - prefix);

	/* Start in the deepest directory that the prefix determines. */
	snprintf(g.path, sizeof(g.path), "%.*s", n, prefix);

	int fd = backend_local_beneath(g.l, n > 0 ? g.path : ".",
	    O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 :
		    fail(&g, errno, err);
	if (n > 0) {
		g.path[n] = '/';
		g.path[n + 1] = '\0';
	}
	return list_dir(&g, fd, err);
}
