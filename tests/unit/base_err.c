#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "repo/base/err.h"

static void err_set_fills_class_and_message_and_returns_minus_one(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	err.errnum = 7;
	assert_int_equal(err_set(&err, ERR_CONFLICT, "object %s, try %d", "x", 3), -1);
	assert_int_equal(err.class, ERR_CONFLICT);
	assert_int_equal(err.errnum, 0);
	assert_string_equal(err.msg, "object x, try 3");
}

static void every_setter_takes_no_err(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, ERR_IO, "x"), -1);
	assert_int_equal(err_sys(NULL, EIO, "x"), -1);
	assert_int_equal(err_wrap(NULL, "x"), -1);
	assert_int_equal(err_nomem(NULL, "x"), -1);
}

static void err_sys_names_the_cause(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(err_sys(&err, ENOENT, "open %s", "f"), -1);
	assert_int_equal(err.class, ERR_NOTFOUND);
	assert_int_equal(err.errnum, ENOENT);
	assert_string_equal(err.msg, "open f: No such file or directory");
}

static void err_wrap_keeps_class_and_errno(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	err_sys(&err, ENOSPC, "write");
	assert_int_equal(err_wrap(&err, "pack %d", 5), -1);
	assert_int_equal(err.class, ERR_FULL);
	assert_int_equal(err.errnum, ENOSPC);
	assert_string_equal(err.msg, "pack 5: write: No space left on device");
}

static void a_long_message_is_cut_and_ends(void **state)
{
	struct err err = ERR_INIT;
	char big[2 * ERR_MSG_MAX];

	(void)state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&err, ERR_IO, "%s", big);
	assert_int_equal(strlen(err.msg), ERR_MSG_MAX - 1);
	err_sys(&err, EIO, "%s", big);
	assert_int_equal(strlen(err.msg), ERR_MSG_MAX - 1);
}

/* At every length of the cause, what is wrapped around it must not displace it. */
static void err_wrap_says_a_name_once(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	err_set(&err, ERR_IO, "writing packs/3f in /mnt: no");
	err_wrap(&err, "packs/%s", "3f");
	assert_string_equal(err.msg, "writing packs/3f in /mnt: no");
	err_wrap(&err, "packs/4");
	assert_string_equal(err.msg, "packs/4: writing packs/3f in /mnt: no");
	err_wrap(&err, "no");
	assert_string_equal(err.msg,
	    "no: packs/4: writing packs/3f in /mnt: no");
}

static void err_wrap_keeps_the_cause_whole(void **state)
{
	char cause[ERR_MSG_MAX];
	char where[2 * ERR_MSG_MAX];

	(void)state;
	memset(where, 'w', sizeof(where) - 1);
	where[sizeof(where) - 1] = '\0';
	for (size_t n = 0; n < ERR_MSG_MAX; n++) {
		struct err err = ERR_INIT;

		memset(cause, 'c', n);
		cause[n] = '\0';
		err_set(&err, ERR_IO, "%s", cause);
		err_wrap(&err, "%s", where);

		size_t len = strlen(err.msg);

		assert_true(len < ERR_MSG_MAX);
		assert_true(len >= n);
		assert_string_equal(err.msg + len - n, cause);
		if (n + 3 < ERR_MSG_MAX)
			assert_int_equal(len, ERR_MSG_MAX - 1);
	}
}

static void err_nomem_is_full_and_says_for_what(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(err_nomem(&err, "a pack"), -1);
	assert_int_equal(err.class, ERR_FULL);
	assert_int_equal(err.errnum, ENOMEM);
	assert_string_equal(err.msg, "out of memory for a pack");
}

static void err_clear_makes_none(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	err_sys(&err, EIO, "x");
	err_clear(&err);
	assert_int_equal(err.class, ERR_NONE);
	assert_int_equal(err.errnum, 0);
	assert_string_equal(err.msg, "");
}

static void every_class_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int a = ERR_NONE; a <= ERR_UNSUPPORTED; a++) {
		assert_non_null(err_class_name((enum err_class)a));
		for (int b = ERR_NONE; b < a; b++)
			assert_string_not_equal(err_class_name((enum err_class)a),
			    err_class_name((enum err_class)b));
	}
	assert_string_equal(err_class_name(ERR_CORRUPT), "corrupt");
	assert_string_equal(err_class_name((enum err_class)99), "unknown");
}

static void classes_follow_from_errno(void **state)
{
	static const struct {
		int errnum;
		enum err_class class;
	} table[] = {
		{ ENOENT, ERR_NOTFOUND },      { EEXIST, ERR_EXISTS },
		{ EACCES, ERR_AUTH },          { EROFS, ERR_AUTH },
		{ ENOSPC, ERR_FULL },          { EDQUOT, ERR_FULL },
		{ ENOMEM, ERR_FULL },          { EINTR, ERR_TRANSIENT },
		{ ETIMEDOUT, ERR_TRANSIENT },  { ECANCELED, ERR_CANCELLED },
		{ EOPNOTSUPP, ERR_UNSUPPORTED }, { ENOSYS, ERR_UNSUPPORTED },
		{ EINVAL, ERR_USAGE },         { EIO, ERR_IO },
		{ 0, ERR_IO },                 { 99999, ERR_IO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(err_class_of_errno(table[i].errnum),
		    table[i].class);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(err_set_fills_class_and_message_and_returns_minus_one),
		cmocka_unit_test(every_setter_takes_no_err),
		cmocka_unit_test(err_sys_names_the_cause),
		cmocka_unit_test(err_wrap_keeps_class_and_errno),
		cmocka_unit_test(a_long_message_is_cut_and_ends),
		cmocka_unit_test(err_wrap_says_a_name_once),
		cmocka_unit_test(err_wrap_keeps_the_cause_whole),
		cmocka_unit_test(err_nomem_is_full_and_says_for_what),
		cmocka_unit_test(err_clear_makes_none),
		cmocka_unit_test(every_class_has_a_name_of_its_own),
		cmocka_unit_test(classes_follow_from_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
