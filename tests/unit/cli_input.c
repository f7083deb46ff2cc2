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

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "repo/crypto/crypto.h"
#include "repo/format/fmt_entry.h"

/* Lists of extents, secrets, names of snapshots, exit codes, comparing. */

static char file[64];

static int make_file(void **state)
{
	(void)state;
	snprintf(file, sizeof(file), "/tmp/wherry-cli-XXXXXX");

	int fd = mkstemp(file);

	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(file);
}

static void fill(const void *p, size_t len)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, len, f), len);
	fclose(f);
}

/* --- extents -----------------------------------------------------------------*/

/* Read all; return how many, or -1 with err. */
static int extents(const char *text, struct extent *v, struct err *err)
{
	struct cli_changed *c;
	int n = 0, r;

	fill(text, strlen(text));
	c = cli_changed_open(file, err);
	if (c == NULL)
		return -1;

	struct extent_source s = cli_changed_source(c);

	while ((r = s.next(s.ctx, &v[n], err)) == 0)
		n++;
	assert_true(cli_changed_last(c) == (n > 0 ? v[n - 1].off : 0));
	cli_changed_close(c);
	return r < 0 ? -1 : n;
}

static void extents_come_in_two_forms(void **state)
{
	struct err err = ERR_INIT;
	struct extent v[8];

	(void)state;
	assert_int_equal(extents("0 4096\n# a comment\n\n8192\t4096\n"
	    "{\"offset\": 12288, \"length\": 1, \"more\": true}\n"
	    "9223372036854775806 1\n", v, &err), 4);
	assert_int_equal(v[0].off, 0);
	assert_int_equal(v[0].len, 4096);
	assert_int_equal(v[1].off, 8192);
	assert_int_equal(v[2].off, 12288);
	assert_int_equal(v[2].len, 1);
	assert_true(v[3].off == INT64_MAX - 1);
	assert_int_equal(extents("", v, &err), 0);
}

static void bad_extents(const char *text, const char *why)
{
	struct err err = ERR_INIT;
	struct extent v[8];

	assert_int_equal(extents(text, v, &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	assert_non_null(strstr(err.msg, why));
}

static void a_list_that_was_cut_off_is_refused(void **state)
{
	(void)state;
	bad_extents("0 4096\n8192 40", ":2: the last line has no end");
}

static void extents_out_of_order_are_refused(void **state)
{
	(void)state;
	bad_extents("4096 4096\n0 4096\n", ":2: the extent begins at 0");
	bad_extents("0 4097\n4096 1\n", ":2:");
}

static void what_is_no_extent_is_refused(void **state)
{
	(void)state;
	bad_extents("0\n", ":1: no extent");
	bad_extents("0 -1\n", "no extent");
	bad_extents("0x10 1\n", "no extent");
	bad_extents("1 2 3\n", "no extent");
	bad_extents("{\"offset\":1}\n", "no extent");
	bad_extents("{\"offset\":1,\"length\":\"2\"}\n", "no extent");
	bad_extents("{\"offset\":-1,\"length\":2}\n", "no extent");
	bad_extents("{\"offset\":1,\n", "no extent");
	bad_extents("99999999999999999999 1\n", "no extent");
	bad_extents("0 0\n", "impossible length");
	bad_extents("9223372036854775807 1\n", "impossible length");
}

static void a_missing_list_is_told(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_null(cli_changed_open("/nonexistent/list", &err));
	assert_int_equal(err.class, ERR_NOTFOUND);
}

/* --- secrets -----------------------------------------------------------------*/

static void secret(const void *p, size_t len, const char *want)
{
	struct err err = ERR_INIT;
	char *s;

	fill(p, len);
	s = cli_secret_from_file(file, &err);
	if (want == NULL) {
		assert_null(s);
		assert_int_equal(err.class, ERR_USAGE);
		return;
	}
	assert_non_null(s);
	assert_string_equal(s, want);
	cli_secret_free(s);
}

static void a_secret_ends_before_its_line_end(void **state)
{
	char *big = calloc(1, 5000);

	(void)state;
	secret("abc", 3, "abc");
	secret("abc\n", 4, "abc");
	secret("abc\r\n", 5, "abc");
	secret(" a b \n", 6, " a b ");
	secret("a\nb\n", 4, "a\nb");
	secret("", 0, NULL);
	secret("\n", 1, NULL);
	secret("a\0b", 3, NULL);
	assert_non_null(big);
	memset(big, 'x', 4999);
	secret(big, 4999, NULL);
	big[4096] = '\0';
	secret(big, 4096, big);
	free(big);
}

static void a_command_gives_a_secret_only_if_it_ends_well(void **state)
{
	struct err err = ERR_INIT;
	char *s = cli_secret_from_command("echo abc", "WHERRY_PASSWORD_COMMAND",
	    &err);

	(void)state;
	assert_non_null(s);
	assert_string_equal(s, "abc");
	cli_secret_free(s);
	assert_null(cli_secret_from_command("echo abc; exit 3", "WHERRY_PASSWORD_COMMAND",
	    &err));
	assert_non_null(strstr(err.msg, "ended with 3"));
	assert_null(cli_secret_from_command("true", "WHERRY_PASSWORD_COMMAND",
	    &err));
	assert_null(cli_secret_from_command("kill -9 $$", "WHERRY_PASSWORD_COMMAND",
	    &err));
	assert_non_null(strstr(err.msg, "signal 9"));
}

static void the_environment_names_one_secret(void **state)
{
	struct cli cli = { 0 };
	struct err err = ERR_INIT;
	char *s;

	(void)state;
	setenv("WHERRY_PASSWORD", "env", 1);
	s = cli_secret_passphrase(&cli, false, &err);
	assert_string_equal(s, "env");
	cli_secret_free(s);
	setenv("WHERRY_PASSWORD_COMMAND", "echo x", 1);
	assert_null(cli_secret_passphrase(&cli, false, &err));
	assert_int_equal(err.class, ERR_USAGE);
	fill("f\n", 2);
	cli.password_file = file;
	s = cli_secret_passphrase(&cli, false, &err);
	assert_string_equal(s, "f");
	cli_secret_free(s);
	cli.password_file = NULL;
	unsetenv("WHERRY_PASSWORD_COMMAND");
	setenv("WHERRY_PASSWORD", "", 1);
	assert_null(cli_secret_passphrase(&cli, false, &err));
	unsetenv("WHERRY_PASSWORD");
}

static void a_key_file_is_new_and_private(void **state)
{
	struct err err = ERR_INIT;
	struct stat st;
	char path[80];

	(void)state;
	assert_int_equal(cli_secret_make_file(file, &err), -1);
	assert_int_equal(err.class, ERR_EXISTS);
	snprintf(path, sizeof(path), "%s.key", file);
	umask(0);

	int fd = cli_secret_make_file(path, &err);

	assert_true(fd >= 0);
	assert_int_equal(cli_secret_write_key(fd, path, "line\n", &err), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(st.st_size, 5);
	close(fd);
	unlink(path);
}

/* --- SNAPSHOT:PATH ---------------------------------------------------------------*/

static void split(const char *text, unsigned n, const char *spec,
    const char *path)
{
	const char *p;
	size_t len;

	if (spec == NULL) {
		assert_false(cli_spec_split(text, n, &len, &p));
		return;
	}
	assert_true(cli_spec_split(text, n, &len, &p));
	assert_int_equal(len, strlen(spec));
	assert_memory_equal(text, spec, len);
	assert_string_equal(p, path);
}

static void an_id_ends_at_the_first_colon(void **state)
{
	(void)state;
	split("latest", 0, "latest", "");
	split("latest", 1, NULL, NULL);
	split("3f2a:a:b", 0, "3f2a", "a:b");
	split("3f2a:a:b", 1, NULL, NULL);
	split("3f2a:", 0, "3f2a", "");
}

static void colons_of_a_time_are_its_own(void **state)
{
	(void)state;
	split("@2026-11-01", 0, "@2026-11-01", "");
	split("@2026-11-01:etc", 0, "@2026-11-01", "etc");
	split("@2026-11-01T12:00", 0, "@2026-11-01T12:00", "");
	split("@2026-11-01T12:00:etc/x", 0, "@2026-11-01T12:00", "etc/x");
	split("@2026-11-01T12:00:30", 0, "@2026-11-01T12:00:30", "");
	split("@2026-11-01T12:00:30Z:etc", 0, "@2026-11-01T12:00:30Z", "etc");
	split("@2026-11-01T12:00Z:etc", 1, NULL, NULL);
}

static void a_volume_may_hold_colons(void **state)
{
	(void)state;
	split("latest@host:/data:etc", 0, "latest@host:/data:etc", "");
	split("latest@host:/data:etc", 1, "latest@host:/data", "etc");
	split("latest@host:/data:etc", 2, "latest@host", "/data:etc");
	split("latest@host:/data:etc", 3, NULL, NULL);
	split("3f2a:a@b", 0, "3f2a:a@b", "");
}

/* --- what a class means -----------------------------------------------------------*/

static int code(enum err_class class, int errnum, enum cli_where where)
{
	struct err err = { .class = class, .errnum = errnum };

	return (int)cli_exit_code(&err, where);
}

static void classes_have_their_exit_codes(void **state)
{
	(void)state;
	assert_int_equal(code(ERR_NONE, 0, CLI_AT_WORK), 0);
	assert_int_equal(code(ERR_USAGE, 0, CLI_AT_WORK), 2);
	assert_int_equal(code(ERR_NOTFOUND, 0, CLI_AT_OPEN), 10);
	assert_int_equal(code(ERR_NOTFOUND, 0, CLI_AT_WORK), 1);
	assert_int_equal(code(ERR_EXISTS, 0, CLI_AT_INIT), 11);
	assert_int_equal(code(ERR_EXISTS, 0, CLI_AT_WORK), 1);
	assert_int_equal(code(ERR_AUTH, 0, CLI_AT_OPEN), 12);
	assert_int_equal(code(ERR_AUTH, 0, CLI_AT_WORK), 12);
	assert_int_equal(code(ERR_AUTH, 13, CLI_AT_OPEN), 1);
	assert_int_equal(code(ERR_CORRUPT, 0, CLI_AT_WORK), 13);
	assert_int_equal(code(ERR_CANCELLED, 0, CLI_AT_WORK), 130);
	assert_int_equal(code(ERR_FULL, 28, CLI_AT_WORK), 1);
	assert_int_equal(code(ERR_IO, 5, CLI_AT_WORK), 1);
	assert_int_equal(code(ERR_TRANSIENT, 0, CLI_AT_WORK), 1);
	assert_int_equal(code(ERR_BUG, 0, CLI_AT_WORK), 1);
}

/* --- what differs between two entries --------------------------------------------------*/

static struct fmt_entry small_file(const uint8_t *id, uint32_t off)
{
	return (struct fmt_entry){
		.type = FMT_FILE, .bits = FMT_HAS_CONTENT, .mode = 0644,
		.mtime_s = 7,
		.content = { .kind = FMT_CONTENT_SLICE, .size = 10, .id = id,
		    .chunk_len = 100, .off = off },
	};
}

static void entries_are_compared_as_people_would(void **state)
{
	static const uint8_t one[32] = { 1 }, two[32] = { 2 };
	struct fmt_entry a = small_file(one, 0), b = small_file(one, 0);

	(void)state;
	assert_int_equal(cli_entry_compare(&a, &b), 0);
	b.mode = 0600;
	assert_int_equal(cli_entry_compare(&a, &b), 'U');
	b = small_file(two, 5);
	assert_int_equal(cli_entry_compare(&a, &b), 0); /* another bundle */
	b.mtime_s = 8;
	assert_int_equal(cli_entry_compare(&a, &b), 'M');
	b = small_file(one, 0);
	b.content.size = 11;
	assert_int_equal(cli_entry_compare(&a, &b), 'M');
	b = (struct fmt_entry){ .type = FMT_SYMLINK, .bits = FMT_HAS_TARGET,
		.target = { "x", 1 } };
	assert_int_equal(cli_entry_compare(&a, &b), 'T');
	a = b;
	a.target = (struct fmt_str){ "y", 1 };
	assert_int_equal(cli_entry_compare(&a, &b), 'M');
}

static void a_filter_lets_pass_what_it_names(void **state)
{
	const char *host = "h", *tag = "t";
	char t1[] = "x", t2[] = "t", h[] = "h", vol[] = "v";
	char *tags[] = { t1, t2 };
	struct store_snapshot sn = {
		.host = h, .volume = vol, .tags = { tags, 2 },
	};
	struct cli cli = { 0 };

	(void)state;
	assert_true(cli_filter_match(&cli, &sn));
	cli.hosts = (struct cli_list){ &host, 1 };
	assert_true(cli_filter_match(&cli, &sn));
	cli.tags = (struct cli_list){ &tag, 1 };
	assert_true(cli_filter_match(&cli, &sn));
	cli.volumes = (struct cli_list){ &host, 1 };
	assert_false(cli_filter_match(&cli, &sn));
	cli.volumes.n = 0;
	sn.tags.n = 1;
	assert_false(cli_filter_match(&cli, &sn));
	sn.host = NULL;
	assert_false(cli_filter_match(&cli, &sn));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extents_come_in_two_forms),
		cmocka_unit_test(a_list_that_was_cut_off_is_refused),
		cmocka_unit_test(extents_out_of_order_are_refused),
		cmocka_unit_test(what_is_no_extent_is_refused),
		cmocka_unit_test(a_missing_list_is_told),
		cmocka_unit_test(a_secret_ends_before_its_line_end),
		cmocka_unit_test(a_command_gives_a_secret_only_if_it_ends_well),
		cmocka_unit_test(the_environment_names_one_secret),
		cmocka_unit_test(a_key_file_is_new_and_private),
		cmocka_unit_test(an_id_ends_at_the_first_colon),
		cmocka_unit_test(colons_of_a_time_are_its_own),
		cmocka_unit_test(a_volume_may_hold_colons),
		cmocka_unit_test(classes_have_their_exit_codes),
		cmocka_unit_test(entries_are_compared_as_people_would),
		cmocka_unit_test(a_filter_lets_pass_what_it_names),
	};

	if (crypto_init(NULL) < 0)
		return 1;
	unsetenv("WHERRY_PASSWORD");
	unsetenv("WHERRY_PASSWORD_FILE");
	unsetenv("WHERRY_PASSWORD_COMMAND");
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
