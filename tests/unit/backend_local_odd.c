/*
 * The local directory in odd places: where file systems lack something, and
 * where foreign things stand.
 */
#include "tests/backend_suite/local.h"

static int rename_no_flags(int olddir, const char *old, int newdir,
    const char *new, unsigned flags)
{
	if (flags != 0) {
		errno = EINVAL;
		return -1;
	}
	return renameat2(olddir, old, newdir, new, flags);
}

static int no_openat2(int dir, const char *path, int flags)
{
	(void)dir, (void)path, (void)flags;
	errno = EPERM; /* as old seccomp profiles say */
	return -1;
}

static int refuse_key(void *ctx, const char *key,
    const struct backend_stat *st, struct err *e)
{
	(void)ctx, (void)st;
	return err_set(e, ERR_BUG, "%s was listed", key);
}

/* --- without unnamed files, without links --- */

static void without_tmpfile_a_name_in_tmp_serves(void **state)
{
	struct stat st;

	(void)state;
	backend_local_sys.openat = openat_no_tmpfile;
	assert_int_equal(put("a/x", "1"), 0);
	assert_int_equal(put("a/y", "2"), 0);
	assert_int_equal(put("a/x", "3"), 1);
	assert_holds("a/x", "1");
	assert_holds("a/y", "2");
	assert_int_equal(tmpfile_tries, 1); /* it is not asked again */
	assert_int_equal(stat(at("a/x"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(st.st_nlink, 1); /* nothing is left in tmp/ */
	assert_int_equal(count(), 3);
}

static void without_links_it_is_renamed(void **state)
{
	(void)state;
	backend_local_sys.openat = openat_no_tmpfile;
	linkat_errno = EPERM;
	assert_int_equal(put("a/x", "1"), 0);
	assert_int_equal(put("a/x", "2"), 1);
	assert_holds("a/x", "1");
	assert_int_equal(count(), 2);
}

static void an_unnamed_file_that_cannot_be_linked_is_not_used(void **state)
{
	(void)state;
	linkat_errno = EPERM;
	assert_int_equal(put("a/x", "1"), 0);
	assert_holds("a/x", "1");
	assert_int_equal(count(), 2);
}

static void where_nothing_is_safe_put_is_unsupported(void **state)
{
	(void)state;
	linkat_errno = EPERM;
	backend_local_sys.renameat2 = rename_no_flags;
	assert_int_equal(put("a/x", "1"), -1);
	assert_int_equal(err.class, ERR_UNSUPPORTED);
	assert_int_equal(count(), 1);
	assert_int_equal(put_over("a/x", "1"), 0);
}

static void check_lost_link(void)
{
	linkat_errno = EEXIST;
	if (put("a/x", "1") != 0)
		fail_msg("%s", err.msg);
	linkat_errno = 0;
	assert_int_equal(put("a/x", "1"), 1);
	assert_int_equal(backend_del(be, "a/x", &err), 0);
	assert_int_equal(count(), 1);
}

static void a_link_that_was_made_but_denied_is_ours(void **state)
{
	(void)state;
	each_way(check_lost_link);
}

/* --- what does not belong there --- */

static void check_symlinks(void)
{
	static const char *const keys[] = { "to-dir/secret", "to-file" };
	struct backend_stat st;
	char c;

	for (size_t i = 0; i < 2; i++) {
		err_clear(&err);
		assert_int_equal(backend_get(be, keys[i], 0, &c, 1, &err),
		    -1);
		assert_int_equal(err.class, ERR_USAGE);
		assert_int_equal(backend_stat(be, keys[i], &st, &err), -1);
		assert_int_equal(put(keys[i], "x"), -1);
		assert_int_equal(err.class, ERR_USAGE);
	}
	assert_int_equal(put("to-dir/new", "x"), -1);
	assert_int_equal(put_over("to-dir/new", "x"), -1);
	assert_int_equal(put("to-dir/deep/new", "x"), -1);
	assert_int_equal(backend_del(be, "to-dir/secret", &err), -1);
	assert_int_equal(backend_list(be, "", refuse_key, NULL, &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	assert_non_null(strstr(err.msg, "to-"));
	assert_int_equal(backend_list(be, "to-dir/", refuse_key, NULL, &err),
	    -1);
	assert_int_equal(err.class, ERR_USAGE);
	/* What a listing need not look at does not disturb it. */
	assert_int_equal(backend_list(be, "x/", refuse_key, NULL, &err), 0);
	assert_int_equal(backend_list(be, "to-dirx", refuse_key, NULL, &err),
	    0);
}

static void symbolic_links_are_never_followed(void **state)
{
	char inside[1024];

	(void)state;
	assert_int_equal(mkdir(at("Outside"), 0700), 0);
	make_old("Outside/secret", 0);
	snprintf(inside, sizeof(inside), "%s", at("Outside"));
	assert_int_equal(symlink(inside, at("to-dir")), 0);
	assert_int_equal(symlink("Outside/secret", at("to-file")), 0);

	unsigned before = count();

	check_symlinks();
	backend_local_sys.openat2 = no_openat2;
	reopen(NULL);
	check_symlinks();
	assert_int_equal(count(), before);
}

static void check_foreign(void)
{
	static const char *const keys[] = { "a/fifo", "a/dir" };
	struct backend_stat st;
	char c;

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(backend_get(be, keys[i], 0, &c, 1, &err), 1);
		assert_int_equal(backend_stat(be, keys[i], &st, &err), 1);
		err_clear(&err);
		assert_int_equal(put(keys[i], "x"), -1);
		assert_int_equal(err.class, ERR_USAGE);
	}
	assert_int_equal(backend_list(be, "a/", refuse_key, NULL, &err), 0);
	assert_int_equal(backend_del(be, "a/dir", &err), 1);
	err_clear(&err);
	assert_int_equal(put_over("a/dir", "x"), -1);
	assert_int_equal(err.class, ERR_USAGE);
}

static void what_is_no_file_is_no_object(void **state)
{
	(void)state;
	assert_int_equal(mkdir(at("a"), 0700), 0);
	assert_int_equal(mkdir(at("a/dir"), 0700), 0);
	assert_int_equal(mkfifo(at("a/fifo"), 0600), 0);
	check_foreign();
	backend_local_sys.openat2 = no_openat2;
	reopen(NULL);
	check_foreign();
}

static void an_object_is_no_directory(void **state)
{
	(void)state;
	assert_int_equal(put("a/x", "1"), 0);
	assert_int_equal(put("a/x/y", "1"), -1);
	assert_int_equal(err.class, ERR_USAGE);
}

static void only_what_may_match_is_looked_into(void **state)
{
	(void)state;
	assert_int_equal(put("packs/aa/1", "1"), 0);
	/* Looking into packs/bb would fail. */
	assert_int_equal(mkdir(at("packs/bb"), 0700), 0);
	assert_int_equal(symlink("x", at("packs/bb/y")), 0);

	assert_int_equal(backend_list(be, "packs/a", refuse_key, NULL, &err),
	    -1);
	assert_int_equal(err.class, ERR_BUG); /* packs/aa/1 was listed */
	assert_int_equal(backend_list(be, "packs/ab", refuse_key, NULL, &err),
	    0);
	assert_int_equal(backend_list(be, "packs/b", refuse_key, NULL, &err),
	    -1);
	assert_int_equal(err.class, ERR_USAGE);
}

static void the_caps_of_a_local_file_system(void **state)
{
	struct backend_caps caps;

	(void)state;
	backend_caps(be, &caps);
	assert_true(caps.local);
	assert_true(caps.cheap_ranges);
	assert_true(caps.ordered_list);
	assert_int_equal(caps.atomic_create,
	    !((struct backend_local *)be)->network);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_tmpfile_a_name_in_tmp_serves),
		T(without_links_it_is_renamed),
		T(an_unnamed_file_that_cannot_be_linked_is_not_used),
		T(where_nothing_is_safe_put_is_unsupported),
		T(a_link_that_was_made_but_denied_is_ours),
		T(symbolic_links_are_never_followed),
		T(what_is_no_file_is_no_object),
		T(an_object_is_no_directory),
		T(only_what_may_match_is_looked_into),
		T(the_caps_of_a_local_file_system),
	};

	init();
	return cmocka_run_group_tests_name("backend_local_odd", tests, NULL,
	    NULL) != 0;
}
