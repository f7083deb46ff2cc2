#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/backend/backend_internal.h"
#include "repo/base/buf.h"
#include "repo/base/cleanup.h"

/* One listing, handed down. */
struct listing {
	struct backend_local *l;
	const char *prefix;
	backend_list_fn *fn;
	void *ctx;
	char path[BACKEND_KEY_MAX + 1]; /* where we are; ends in '/' or "" */
};

/*
 * What is of interest in one directory: names with their NUL, those of
 * directories with a '/' before it.  Sorted so, and with all that is below a
 * directory in its place, keys come in byte order.
 */
struct names {
	struct buf text;
	size_t n;
	const char **sorted; /* into text */
};

static void cleanup_closedir_p(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

static void names_release(struct names *names)
{
	buf_release(&names->text);
	free(names->sorted);
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

/*
 * Find the type of an entry of dir where readdir did not tell.  Return it, or
 * DT_UNKNOWN when the entry is gone.
 */
static unsigned char type_of(int dir, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type;
	if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return IFTODT(st.st_mode);
}

/*
 * Add an entry of dir to names if it is an object of the prefix or a
 * directory that may hold some.  Return 0, or -1 with err.
 */
static int consider(struct listing *g, int dir, const struct dirent *e,
    struct names *names, struct err *err)
{
	char key[BACKEND_KEY_MAX + 2];
	int n = snprintf(key, sizeof(key) - 1, "%s%s", g->path, e->d_name);

	if (n > BACKEND_KEY_MAX || !backend_key_valid(key))
		return 0;

	bool wanted = begins_with(key, g->prefix);

	key[n] = '/';
	key[n + 1] = '\0';

	bool below = n < BACKEND_KEY_MAX &&
	    (begins_with(key, g->prefix) || begins_with(g->prefix, key));

	if (!wanted && !below)
		return 0;

	unsigned char type = type_of(dir, e);

	/*
	 * Somebody moved a part of the repository elsewhere.  To take it for
	 * empty could make a collection delete what is needed.
	 */
	if (type == DT_LNK) {
		key[n] = '\0';
		return backend_local_fail(g->l, "listing", key, ELOOP, err);
	}
	if ((type == DT_REG && wanted) || (type == DT_DIR && below)) {
		buf_str(&names->text, e->d_name);
		if (type == DT_DIR)
			buf_u8(&names->text, '/');
		buf_u8(&names->text, '\0');
		names->n++;
	}
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Read the open directory d into names, sorted.  Return 0, or -1 with err. */
static int read_names(struct listing *g, DIR *d, struct names *names,
    struct err *err)
{
	const struct dirent *e;

	while (errno = 0, (e = readdir(d)) != NULL) {
		if (consider(g, dirfd(d), e, names, err) < 0)
			return -1;
	}
	if (errno != 0 && errno != ENOENT) /* a removed one is empty */
		return fail(g, errno, err);
	if (buf_check(&names->text, "a listing", err) < 0)
		return -1;
	names->sorted = calloc(names->n + 1, sizeof(*names->sorted));
	if (names->sorted == NULL)
		return err_nomem(err, "a listing");

	const char *s = (const char *)names->text.p;

	for (size_t i = 0; i < names->n; i++) {
		names->sorted[i] = s;
		s += strlen(s) + 1;
	}
	qsort(names->sorted, names->n, sizeof(*names->sorted), compare_names);
	return 0;
}

/* Give the file name of dir to the caller, if it still is there. */
static int list_file(struct listing *g, int dir, const char *name,
    struct err *err)
{
	char key[BACKEND_KEY_MAX + 1];
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(g, errno, err);
	if (!S_ISREG(st.st_mode))
		return 0;
	snprintf(key, sizeof(key), "%s%s", g->path, name);

	struct backend_stat out = {
		.size = (uint64_t)st.st_size,
		.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 +
		    st.st_mtim.tv_nsec,
	};

	return g->fn(g->ctx, key, &out, err);
}

static int list_dir(struct listing *g, int fd, struct err *err);

/* Go down into the directory name (which ends in '/') of dir. */
static int list_below(struct listing *g, int dir, const char *name,
    struct err *err)
{
	size_t at = strlen(g->path);

	snprintf(g->path + at, sizeof(g->path) - at, "%s", name);

	/* With its '/' a symbolic link, there now, would be followed. */
	char bare[BACKEND_KEY_MAX + 1];

	snprintf(bare, sizeof(bare), "%.*s", (int)strlen(name) - 1, name);

	int fd = openat(dir, bare,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) {
		int e = errno;

		g->path[at] = '\0';
		return e == ENOENT ? 0 : fail(g, e, err);
	}

	int rc = list_dir(g, fd, err);

	g->path[at] = '\0';
	return rc;
}

/* List the directory open at fd, which is closed, and all below it. */
static int list_dir(struct listing *g, int fd, struct err *err)
{
	CLEANUP(cleanup_closedir_p) DIR *d = fdopendir(fd);
	CLEANUP(names_release) struct names names = { .text = BUF_INIT };

	if (d == NULL) {
		int e = errno;

		close(fd);
		return fail(g, e, err);
	}
	if (read_names(g, d, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		const char *name = names.sorted[i];
		bool is_dir = name[strlen(name) - 1] == '/';
		int rc = is_dir ? list_below(g, dirfd(d), name, err) :
		    list_file(g, dirfd(d), name, err);

		if (rc != 0)
			return rc;
	}
	return 0;
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
