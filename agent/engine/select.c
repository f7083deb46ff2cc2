#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engine/select.h"
#include "agent/engine/walk.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"

/*
 * The absolute form of path: its directory's real path and its last name, so
 * that a symbolic link given as a path is backed up as a link.
 */
static char *absolute(const char *path, struct err *err)
{
	CLEANUP_FREE char *copy = mem_strdup(path, err);

	if (copy == NULL)
		return NULL;

	size_t n = strlen(copy);

	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = '\0';

	struct stat st;

	if (lstat(copy, &st) < 0) {
		err_sys(err, errno, "%s", path);
		return NULL;
	}

	char *slash = strrchr(copy, '/');
	const char *last = slash ? slash + 1 : copy;

	if (!S_ISLNK(st.st_mode) || strcmp(last, "..") == 0 || last[0] == '\0') {
		char *real = realpath(copy, NULL);

		if (real == NULL)
			err_sys(err, errno, "%s", path);
		return real;
	}

	CLEANUP_FREE char *name = mem_strdup(last, err);

	if (name == NULL)
		return NULL;
	if (slash == NULL)
		strncpy(copy, ".", 2);
	else if (slash == copy)
		copy[1] = '\0';
	else
		*slash = '\0';

	CLEANUP_FREE char *dir = realpath(copy, NULL);

	if (dir == NULL) {
		err_sys(err, errno, "%s", path);
		return NULL;
	}

	struct buf b = BUF_INIT;

	buf_printf(&b, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name);
	buf_u8(&b, 0);
	if (buf_check(&b, "a path", err) < 0) {
		buf_release(&b);
		return NULL;
	}
	return (char *)b.p;
}

static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Is path equal to dir or below it? */
static bool below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return true;
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static void strings_free(char **v, size_t n)
{
	for (size_t i = 0; v != NULL && i < n; i++)
		free(v[i]);
	free(v);
}

/* Sort; drop what is given twice or lies below another one. */
static size_t drop_covered(char **v, size_t n)
{
	size_t kept = 0;

	qsort(v, n, sizeof(*v), text_cmp);
	for (size_t i = 0; i < n; i++) {
		bool covered = false;

		for (size_t k = 0; k < kept && !covered; k++)
			covered = below(v[i], v[k]);
		if (covered)
			free(v[i]);
		else
			v[kept++] = v[i];
	}
	return kept;
}

/* Shorten root until it is a directory that holds path. */
static void widen(char *root, const char *path)
{
	while (!below(path, root)) {
		char *slash = strrchr(root, '/');

		slash[slash == root ? 1 : 0] = '\0';
	}
}

static struct select *select_add(struct select *s, const char *name, size_t len,
    struct err *err)
{
	for (size_t i = 0; i < s->n; i++)
		if (strlen(s->children[i].name) == len &&
		    memcmp(s->children[i].name, name, len) == 0)
			return &s->children[i];

	struct select *c = realloc(s->children, (s->n + 1) * sizeof(*c));

	if (c == NULL) {
		err_nomem(err, "the list of paths");
		return NULL;
	}
	s->children = c;
	c += s->n;
	*c = (struct select){ .name = mem_memdup0(name, len, err) };
	if (c->name == NULL)
		return NULL;
	s->n++;
	return c;
}

static void select_release(struct select *s)
{
	for (size_t i = 0; i < s->n; i++)
		select_release(&s->children[i]);
	free(s->children);
	free(s->name);
}

void select_free(struct select *s)
{
	if (s == NULL)
		return;
	select_release(s);
	free(s);
}

static int select_path(struct select *s, const char *rel, struct err *err)
{
	while (*rel != '\0') {
		size_t n = strcspn(rel, "/");

		s = select_add(s, rel, n, err);
		if (s == NULL)
			return -1;
		rel += n;
		rel += *rel == '/';
	}
	return 0;
}

char *select_paths(const char *const *paths, size_t n,
    struct select **ret_select, char ***ret_paths, size_t *ret_npaths,
    struct err *err)
{
	char **v = mem_array(n, sizeof(*v), "the list of paths", err);
	struct select *sel = mem_zalloc(sizeof(*sel), "the list of paths", err);
	char *root = NULL;
	size_t got = 0;
	struct stat st;

	if (v == NULL || sel == NULL)
		goto fail;
	for (; got < n; got++)
		if ((v[got] = absolute(paths[got], err)) == NULL)
			goto fail;
	got = drop_covered(v, got);
	root = mem_strdup(v[0], err);
	if (root == NULL)
		goto fail;
	/* What is no directory is held by its parent. */
	if (lstat(root, &st) < 0) {
		err_sys(err, errno, "%s", root);
		goto fail;
	}
	if (!S_ISDIR(st.st_mode)) {
		char *slash = strrchr(root, '/');

		slash[slash == root ? 1 : 0] = '\0';
	}
	for (size_t i = 1; i < got; i++)
		widen(root, v[i]);

	size_t skip = strlen(root);

	for (size_t i = 0; i < got; i++) {
		const char *rel = v[i] + skip;

		if (select_path(sel, rel + (*rel == '/'), err) < 0)
			goto fail;
	}
	*ret_select = sel;
	*ret_paths = v;
	*ret_npaths = got;
	return root;
fail:
	strings_free(v, got);
	select_free(sel);
	free(root);
	return NULL;
}
