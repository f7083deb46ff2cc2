#ifndef TESTS_UNIT_ENGINE_ATTACK_WORLD_H
#define TESTS_UNIT_ENGINE_ATTACK_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/store_data.h"

/* What hostile snapshots are restored into, and what must not change. */

#define CANARY "nobody may change this\n"
#define PATH_LEN 1024

static char root[256];   /* of this test: outside/ and target/ are in it */

/* --- what must not change --------------------------------------------------------------*/

static inline void path_of(char *dst, const char *name)
{
	snprintf(dst, PATH_LEN, "%s/%s", root, name);
}

static inline int rm_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

static inline void write_file(const char *name, const char *text)
{
	char path[PATH_LEN];
	FILE *f;

	path_of(path, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static inline void make_dir(const char *name)
{
	char path[PATH_LEN];

	path_of(path, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static inline void make_link(const char *target, const char *name)
{
	char to[PATH_LEN], path[PATH_LEN];

	path_of(to, target);
	path_of(path, name);
	assert_int_equal(symlink(to, path), 0);
}

/* outside/ with a file in it, and an empty target/. */
static inline void fresh_world(void)
{
	char path[PATH_LEN];
	struct timespec t[2] = { { 1000, 0 }, { 1000, 0 } };

	nftw(root, rm_one, 32, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(root, 0755), 0);
	make_dir("outside");
	make_dir("target");
	write_file("outside/canary", CANARY);
	path_of(path, "outside/canary");
	assert_int_equal(chmod(path, 0604), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
	path_of(path, "outside");
	assert_int_equal(chmod(path, 0701), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static int counted;

static inline int count_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)path;
	(void)st;
	(void)flag;
	(void)f;
	counted++;
	return 0;
}

static inline void expect_outside_untouched(const char *what)
{
	char path[PATH_LEN], text[64] = "";
	struct stat st;
	FILE *f;

	path_of(path, "outside");
	counted = 0;
	nftw(path, count_one, 8, FTW_PHYS);
	assert_int_equal(stat(path, &st), 0);
	if (counted != 2 || (st.st_mode & 07777) != 0701 || st.st_mtim.tv_sec != 1000)
		fail_msg("%s: outside/ was changed", what);
	path_of(path, "outside/canary");
	f = fopen(path, "r");
	assert_non_null(f);
	if (fgets(text, sizeof(text), f) == NULL || strcmp(text, CANARY) != 0)
		fail_msg("%s: outside/canary was written", what);
	fclose(f);
	assert_int_equal(stat(path, &st), 0);
	if ((st.st_mode & 07777) != 0604 || st.st_mtim.tv_sec != 1000)
		fail_msg("%s: outside/canary got other metadata", what);
	counted = 0;
	nftw(root, count_one, 0, FTW_PHYS);
	/* Nothing beside outside/ and target/ has come. */
	path_of(path, "evil");
	if (lstat(path, &st) == 0)
		fail_msg("%s: something was made beside the target", what);
}

static inline int remove_world(void **state)
{
	(void)state;
	nftw(root, rm_one, 32, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static inline void choose_world(const char *test)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(root, sizeof(root), "%s/%s.%d", tmp != NULL ? tmp : "/tmp", test,
	    (int)getpid());
}

#endif
