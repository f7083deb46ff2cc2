#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/engine/select.h"
#include "agent/engine/walk.h"
#include "repo/base/buf.h"
#include "repo/format/fmt_order.h"

/*
 * What of the given paths is selected, and that a walk tells everything once,
 * in the order of the catalog.
 */

static char root[64];
static const uint8_t order_key[32] = { 9, 8, 7 };

static void make(const char *path)
{
	char full[400];
	size_t n = strlen(path);

	snprintf(full, sizeof(full), "%s/%s", root, path);
	if (path[n - 1] == '/') {
		full[strlen(full) - 1] = '\0';
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		return;
	}

	int fd = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static int rm_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/wherry-walk-XXXXXX");
	return mkdtemp(root) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(root, rm_one, 32, FTW_DEPTH | FTW_PHYS);
}

/* --- selecting -----------------------------------------------------------------------*/

/* The root of the paths (below ours, separated by blanks) is `want`; n remain. */
static struct select *selects(const char *paths, const char *want, size_t n)
{
	char text[400], *v[16], *save = NULL, full[16][300];
	const char *given[16];
	size_t k = 0;
	struct select *sel;
	char **got;
	size_t ngot;
	struct err err;

	snprintf(text, sizeof(text), "%s", paths);
	for (v[k] = strtok_r(text, " ", &save); v[k] != NULL;
	    v[k] = strtok_r(NULL, " ", &save)) {
		snprintf(full[k], sizeof(full[k]), "%s/%s", root, v[k]);
		given[k] = full[k];
		k++;
	}

	char *r = select_paths(given, k, &sel, &got, &ngot, &err);

	if (r == NULL)
		fail_msg("%s: %s", paths, err.msg);
	snprintf(text, sizeof(text), "%s%s%s", root, *want ? "/" : "", want);
	assert_string_equal(r, text);
	assert_int_equal(ngot, n);
	for (size_t i = 0; i < ngot; i++)
		free(got[i]);
	free(got);
	free(r);
	return sel;
}

static void the_root_is_the_deepest_that_holds_all(void **state)
{
	static const struct { const char *paths, *want; size_t n; } cases[] = {
		{ "s/one", "s/one", 1 }, { "s/one/", "s/one", 1 },
		{ "s/one s/two", "s", 2 }, { "s/one/x s/one/y", "s/one", 2 },
		{ "s/one/f", "s/one", 1 }, { "s/one/f s/one/f", "s/one", 1 },
		{ "s/one s/one/x", "s/one", 1 }, { "s/one/x s/one", "s/one", 1 },
		{ "s/one s/one-more", "s", 2 }, { "s/one/x/../y", "s/one/y", 1 },
		{ "s/link", "s", 1 }, { "s/link/", "s", 1 }, { "s/link/x", "s/one/x", 1 },
		{ "s/one/x s/two", "s", 2 }, { "s/one-more s/one/x s/one", "s", 2 },
	};
	char link[100];

	(void)state;
	make("s/");
	make("s/one/");
	make("s/one/x/");
	make("s/one/y/");
	make("s/one/f");
	make("s/two/");
	make("s/one-more/");
	snprintf(link, sizeof(link), "%s/s/link", root);
	assert_int_equal(symlink("one", link), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		select_free(selects(cases[i].paths, cases[i].want, cases[i].n));
}

static void what_is_not_there_is_named(void **state)
{
	char path[100];
	const char *paths[] = { path };
	struct select *sel;
	char **got;
	size_t n;
	struct err err;

	(void)state;
	snprintf(path, sizeof(path), "%s/absent", root);
	assert_null(select_paths(paths, 1, &sel, &got, &n, &err));
	assert_int_equal(err.class, ERR_NOTFOUND);
	assert_non_null(strstr(err.msg, "absent"));
	paths[0] = "";
	assert_null(select_paths(paths, 1, &sel, &got, &n, &err));
}

/* --- walking ---------------------------------------------------------------------------*/

struct seen {
	unsigned n, bad, dirs;
	struct dir *dir;       /* of the last entry */
	uint64_t h;
	bool fails;
	char paths[8192];
};

/* Compare two directories' paths by the hashes of their components. */
static int dir_cmp(const struct dir *a, const struct dir *b)
{
	uint64_t ha[64], hb[64];
	unsigned na = a->depth, nb = b->depth;

	for (; a->parent != NULL; a = a->parent)
		ha[a->depth - 1] = a->h;
	for (; b->parent != NULL; b = b->parent)
		hb[b->depth - 1] = b->h;
	for (unsigned i = 0; i < na && i < nb; i++)
		if (ha[i] != hb[i])
			return ha[i] < hb[i] ? -1 : 1;
	return (na > nb) - (na < nb);
}

static int on_entry(void *ctx, struct dir *dir, const char *name, size_t len,
    uint64_t h, uint8_t dtype, bool no_state, struct err *err)
{
	struct seen *s = ctx;
	struct buf path = BUF_INIT;

	assert_int_equal(strlen(name), len);
	assert_false(no_state);
	if (s->n > 0) {
		int c = dir_cmp(s->dir, dir);

		assert_true(c < 0 || (c == 0 && (s->n == 1 || s->h < h)));
		dir_unref(s->dir);
	} else {
		assert_int_equal(len, 0);
	}
	if (len > 0)
		assert_true(h == fmt_name_hash(order_key, name, len));
	s->dir = dir_ref(dir);
	s->h = h;
	s->n++;
	s->dirs += dtype == DT_DIR;
	if (s->n < 40) {
		dir_path_of(dir, name, &path);
		strncat(s->paths, (char *)path.p, 200);
		strncat(s->paths, " ", 2);
		buf_release(&path);
	}
	return s->fails && s->n == 5 ? err_set(err, ERR_IO, "enough") : 0;
}

static void on_bad(void *ctx, const char *path, const struct err *why)
{
	struct seen *s = ctx;

	(void)path;
	(void)why;
	s->bad++;
}

/* Walk `top`, below our root; opt may be set otherwise already. */
static int walk(const char *top, struct walk_options *opt, struct seen *s)
{
	char path[200];
	struct err err;
	bool fails = s->fails;

	memset(s, 0, sizeof(*s));
	s->fails = fails;
	snprintf(path, sizeof(path), "%s/%s", root, top);

	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);

	struct dirs *dirs = dirs_new(fd, 4, &err);

	assert_non_null(dirs);
	opt->order_key = order_key;
	opt->entry = on_entry;
	opt->bad = on_bad;
	opt->ctx = s;

	int r = walk_tree(dirs, opt, &err);

	if (r < 0)
		assert_true(fails && err.class == ERR_IO);
	if (s->n > 0)
		dir_unref(s->dir);
	dirs_free(dirs);
	return r;
}

static struct seen seen;

static void all_is_told_once_in_the_catalog_s_order(void **state)
{
	char name[64];

	(void)state;
	make("w/");
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "w/d%u/", i);
		make(name);
		for (unsigned k = 0; k < i; k++) {
			snprintf(name, sizeof(name), "w/d%u/%u%s", i, k, k % 5 ? "" : "/");
			make(name);
		}
	}
	/* In memory and with every list spilled. */
	for (size_t memory = 16; memory <= (size_t)1 << 20; memory <<= 16) {
		struct walk_options opt = { .memory = memory };

		assert_int_equal(walk("w", &opt, &seen), 0);
		assert_int_equal(seen.n, 1 + 40 + 780);
		assert_int_equal(seen.bad, 0);
	}
}

static void a_callback_that_fails_ends_it(void **state)
{
	struct walk_options opt = { .memory = 1 << 20 };

	(void)state;
	make("w/");
	for (char name[] = "w/a"; name[2] < 'h'; name[2]++)
		make(name);
	seen.fails = true;
	assert_int_equal(walk("w", &opt, &seen), -1);
	assert_int_equal(seen.n, 5);
	seen.fails = false;
}

static void only_what_is_selected_is_walked(void **state)
{
	struct walk_options opt = { .memory = 1 << 20 };
	struct select *sel;

	(void)state;
	make("v/");
	make("v/one/");
	make("v/one/sub/");
	make("v/one/sub/in");
	make("v/one/out");
	make("v/two/");
	make("v/two/in");
	make("v/three/");
	sel = selects("v/one/sub v/two", "v", 2);
	opt.select = sel;
	assert_int_equal(walk("v", &opt, &seen), 0);
	assert_int_equal(seen.n, 6);
	assert_null(strstr(seen.paths, "out"));
	assert_null(strstr(seen.paths, "three"));
	assert_non_null(strstr(seen.paths, "one/sub/in "));
	assert_non_null(strstr(seen.paths, "two/in "));
	select_free(sel);
}

static void patterns_and_caches_are_left_out(void **state)
{
	struct engine_filter *f = engine_filter_new(NULL);
	struct walk_options opt = { .memory = 1 << 20, .exclude = f, .exclude_caches = true };
	char path[100];

	(void)state;
	assert_int_equal(engine_filter_add(f, "*.o", NULL), 0);
	assert_int_equal(engine_filter_add(f, "/gone/", NULL), 0);
	make("x/");
	make("x/a.o");
	make("x/a.c");
	make("x/gone/");
	make("x/gone/in");
	make("x/cache/");
	make("x/cache/in");
	make("x/cache/CACHEDIR.TAG");
	snprintf(path, sizeof(path), "%s/x/cache/CACHEDIR.TAG", root);

	FILE *tag = fopen(path, "w");

	assert_non_null(tag);
	fputs("Signature: 8a477f597d28d172789f06886806bc55\n", tag);
	fclose(tag);
	assert_int_equal(walk("x", &opt, &seen), 0);
	assert_int_equal(seen.n, 4);
	assert_non_null(strstr(seen.paths, "cache/CACHEDIR.TAG "));
	engine_filter_free(f);
}

static void directories_without_end_are_walked(void **state)
{
	struct walk_options opt = { .memory = 1 << 20 };
	char name[8] = "d";
	char path[100];
	int at;

	(void)state;
	make("deep/");
	snprintf(path, sizeof(path), "%s/deep", root);
	at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; i < 60; i++) {
		assert_int_equal(mkdirat(at, name, 0755), 0);

		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(walk("deep", &opt, &seen), 0);
	assert_int_equal(seen.n, 61);
	assert_int_equal(seen.bad, 0);
}

#define in_a_tree(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_tree(the_root_is_the_deepest_that_holds_all),
		in_a_tree(what_is_not_there_is_named),
		in_a_tree(all_is_told_once_in_the_catalog_s_order),
		in_a_tree(a_callback_that_fails_ends_it),
		in_a_tree(only_what_is_selected_is_walked),
		in_a_tree(patterns_and_caches_are_left_out),
		in_a_tree(directories_without_end_are_walked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
