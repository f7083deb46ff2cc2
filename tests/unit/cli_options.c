#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_verbs.h"

/* What the command line takes and what it refuses. */

/* Run the program in a child; its stdout and stderr come back as one text. */
static int run(const char *const *argv, char *text, size_t cap)
{
	int fds[2], status, argc = 0;
	size_t len = 0;
	ssize_t n;

	while (argv[argc] != NULL)
		argc++;
	assert_int_equal(pipe(fds), 0);
	fflush(NULL);

	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[1]);
		unsetenv("WHERRY_REPOSITORY");
		unsetenv("WHERRY_PASSWORD");
		unsetenv("WHERRY_PASSWORD_FILE");
		unsetenv("WHERRY_PASSWORD_COMMAND");

		int code = cli_main(argc, (char **)argv);

		fflush(NULL);
		_exit(code);
	}
	close(fds[1]);
	while ((n = read(fds[0], text + len, cap - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static char output[1 << 17];

#define RUN(...) run((const char *[]){ "wherry", __VA_ARGS__, NULL }, \
	output, sizeof(output))

/* A usage error: exit code 2, why, and where help is. */
#define REFUSED(why, ...) do { \
	assert_int_equal(RUN(__VA_ARGS__), 2); \
	assert_non_null(strstr(output, why)); \
	assert_non_null(strstr(output, "Try")); \
} while (0)

static void conflicts_are_usage_errors(void **state)
{
	(void)state;
	REFUSED("nothing to back up", "backup", "-r", "x");
	REFUSED("exclude each other", "backup", "--device", "d", "path");
	REFUSED("exclude each other", "backup", "--device", "d",
	    "--stdin-name", "n");
	REFUSED("--device with it", "backup", "--changed", "f", "path");
	REFUSED("--target", "restore", "latest");
	REFUSED("--in-place with it", "restore", "latest", "-t", "x",
	    "--delete");
	REFUSED("exclude each other", "snapshots", "-p", "a", "-k", "b");
	REFUSED("exclude each other", "snapshots", "-q", "-v");
	REFUSED("--write, --read or --admin", "key", "add");
	REFUSED("exclude each other", "key", "add", "--read",
	    "--new-key-file", "a", "--new-password-file", "b");
	REFUSED("--snapshot names them", "find", "x", "-s", "latest",
	    "--host", "h");
}

static void wrong_arguments_are_usage_errors(void **state)
{
	(void)state;
	REFUSED("unrecognized option", "backup", "--bogus");
	REFUSED("requires an argument", "backup", "--tag");
	REFUSED("argument is missing", "restore", "-t", "x");
	REFUSED("one argument too many", "restore", "a", "b", "-t", "x");
	REFUSED("one argument too many", "snapshots", "x");
	REFUSED("--memory", "snapshots", "--memory", "much");
	REFUSED("from 1 to", "backup", "--cpus", "0", "x");
	REFUSED("from 1 to", "backup", "--cpus", "-1", "x");
	REFUSED("auto|uring|threads", "backup", "--io", "fast", "x");
	REFUSED("from 1 to 100", "check", "--read-data=101%");
	REFUSED("would never end", "snapshots", "--limit-download", "0");
	REFUSED("no repository is named", "snapshots");
	REFUSED("there is no verb 'frobnicate'", "frobnicate");
	REFUSED("second word is missing: key list, key add, key passwd",
	    "key");
	REFUSED("there is no verb", "key", "rot");
	REFUSED("--chunk-size cannot be", "init", "-r", "x", "--chunk-size", "1G");
	REFUSED("multiple of 4K", "init", "-r", "x", "--block-size", "65000");
}

static void the_percentage_may_be_left_out(void **state)
{
	(void)state;
	REFUSED("no repository is named", "check", "--read-data");
	REFUSED("no repository is named", "check", "--read-data=5%");
	REFUSED("write --read-data=5", "check", "--read-data", "5");
	REFUSED("too many", "check", "x");
}

static void options_that_do_nothing_are_not_taken(void **state)
{
	(void)state;
	REFUSED("unrecognized", "dump", "--json", "latest:x");
	REFUSED("unrecognized", "version", "--repo", "x");
	REFUSED("unrecognized", "snapshots", "--cpus", "2");
	REFUSED("unrecognized", "snapshots", "--limit-upload", "1M");
	REFUSED("unrecognized", "init", "--key-file", "x");
	REFUSED("unrecognized", "completion", "--verbose", "bash");
	REFUSED("unrecognized", "bench", "--io", "uring");
}

static void every_verb_has_help_with_an_example(void **state)
{
	(void)state;
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		const struct cli_verb *v = cli_verbs[i];
		char word[32], *space;

		snprintf(word, sizeof(word), "%s", v->name);
		space = strchr(word, ' ');
		if (space != NULL) {
			*space = '\0';
			assert_int_equal(RUN(word, space + 1, "--help"),
			    0);
		} else {
			assert_int_equal(RUN(word, "--help"), 0);
		}
		assert_non_null(strstr(output, "Examples:\n  "));
		assert_non_null(strstr(output, v->summary));
		if (v->groups & CLI_G_JSON)
			assert_non_null(strstr(output, "With --json:"));
		/* 'help' says the same as --help. */
		char *first = strdup(output);

		assert_non_null(first);
		assert_int_equal(RUN("help", word, space ? space + 1 :
		    NULL), 0);
		assert_string_equal(output, first);
		free(first);
	}
}

static void the_overview_names_every_verb(void **state)
{
	(void)state;
	assert_int_equal(RUN("--help"), 0);
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++)
		assert_non_null(strstr(output, cli_verbs[i]->name));
	assert_int_equal(RUN(NULL), 2);
	assert_int_equal(RUN("--version"), 0);
	assert_non_null(strstr(output, "wherry "));
}

static void help_fits_a_terminal(void **state)
{
	(void)state;
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		assert_int_equal(RUN("help", cli_verbs[i]->name), 0);
		for (const char *p = output; *p != '\0';
		    p += strcspn(p, "\n"), p += *p == '\n')
			if (strcspn(p, "\n") > 80)
				fail_msg("%s: %.*s", cli_verbs[i]->name,
				    (int)strcspn(p, "\n"), p);
	}
}

static void verbs_are_well_described(void **state)
{
	(void)state;
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		const struct cli_verb *v = cli_verbs[i];

		assert_ptr_equal(cli_verb_find(v->name), v);
		assert_true((v->json != NULL) == !!(v->groups & CLI_G_JSON));
		assert_true(v->examples != NULL && v->text != NULL);
		assert_true((v->args != NULL) == (v->max_args != 0));
		assert_true(v->options == NULL || v->opts_size > 0);
		for (const struct cli_option *o = v->options;
		    o != NULL && o->name != NULL; o++) {
			assert_true(o->offset < v->opts_size);
			/* argp wants flags without and others with one. */
			assert_true((o->arg == NULL) == (o->type == CLI_FLAG ||
			    o->type == CLI_COUNT));
			assert_true(o->help[strlen(o->help) - 1] != '.');
		}
	}
	assert_ptr_equal(cli_verb_find("key-add"), &cli_cmd_key_add);
	assert_null(cli_verb_find("key"));
	assert_null(cli_verb_find("backup "));
}

/* --- storing by type -----------------------------------------------------------*/

struct fields {
	bool flag;
	int count, choice;
	const char *text;
	uint64_t size;
	unsigned number, percent;
	struct cli_list list;
};

static const struct cli_option table[] = {
	{ "flag", 0, NULL, "x", CLI_FLAG, offsetof(struct fields, flag) },
	{ "count", 0, NULL, "x", CLI_COUNT, offsetof(struct fields, count) },
	{ "choice", 0, "red|green", "x", CLI_CHOICE,
	    offsetof(struct fields, choice) },
	{ "text", 0, "T", "x", CLI_TEXT, offsetof(struct fields, text) },
	{ "size", 0, "S", "x", CLI_SIZE, offsetof(struct fields, size) },
	{ "number", 0, "N", "x", CLI_NUMBER,
	    offsetof(struct fields, number) },
	{ "percent", 0, "N%", "x", CLI_PERCENT,
	    offsetof(struct fields, percent) },
	{ "list", 0, "L", "x", CLI_LIST, offsetof(struct fields, list) },
	{ "share", 0, "N%", "x", CLI_SHARE, offsetof(struct fields, percent) },
};

static int set(struct fields *f, int i, const char *arg)
{
	struct err err = ERR_INIT;

	return cli_option_set(&table[i], f, arg, &err);
}

static void options_are_stored_by_type(void **state)
{
	struct fields f = { 0 };

	(void)state;
	assert_int_equal(set(&f, 0, NULL), 0);
	assert_true(f.flag);
	set(&f, 1, NULL);
	set(&f, 1, NULL);
	assert_int_equal(f.count, 2);
	assert_int_equal(set(&f, 2, "green"), 0);
	assert_int_equal(f.choice, 2);
	assert_int_equal(set(&f, 2, "re"), -1);
	assert_int_equal(set(&f, 2, "red|green"), -1);
	assert_int_equal(set(&f, 3, "x"), 0);
	assert_string_equal(f.text, "x");
	assert_int_equal(set(&f, 3, ""), -1);
	assert_int_equal(set(&f, 4, "1M"), 0);
	assert_int_equal(f.size, 1 << 20);
	assert_int_equal(set(&f, 5, "12"), 0);
	assert_int_equal(f.number, 12);
	assert_int_equal(set(&f, 5, "12x"), -1);
	assert_int_equal(set(&f, 5, "99999999999999999999"), -1);
	assert_int_equal(set(&f, 6, NULL), 0);
	assert_int_equal(f.percent, 100);
	assert_int_equal(set(&f, 6, "5%"), 0);
	assert_int_equal(f.percent, 5);
	assert_int_equal(set(&f, 6, "0"), -1);
	assert_int_equal(set(&f, 8, "7"), 0);
	assert_int_equal(f.percent, 7);
	assert_int_equal(set(&f, 8, "101"), -1);
	set(&f, 7, "a");
	set(&f, 7, "b");
	assert_int_equal(f.list.n, 2);
	assert_string_equal(f.list.v[1], "b");
	free(f.list.v);
}

/* --- profiles ----------------------------------------------------------------------*/

static void a_profile_becomes_arguments(void **state)
{
	static const char text[] = "# mine\n\nrepo = /mnt/x y \nexclude-caches\n"
	    "  exclude=*.tmp\nread-data\r\ntag = a = b\nmemory=1G";
	struct err err = ERR_INIT;
	char **v;
	int n;

	(void)state;
	assert_int_equal(cli_profile_parse("p.conf", text, strlen(text),
	    &cli_cmd_backup, &v, &n, &err), 0);
	/* read-data is check's: left to it. */
	assert_int_equal(n, 6);
	assert_string_equal(v[0], "p.conf");
	assert_string_equal(v[1], "--repo=/mnt/x y");
	assert_string_equal(v[2], "--exclude-caches");
	assert_string_equal(v[3], "--exclude=*.tmp");
	assert_string_equal(v[4], "--tag=a = b");
	assert_string_equal(v[5], "--memory=1G");
	assert_null(v[6]);
	cli_profile_free(v);
	assert_int_equal(cli_profile_parse("p.conf", text, strlen(text),
	    &cli_cmd_check, &v, &n, &err), 0);
	assert_int_equal(n, 4);
	assert_string_equal(v[2], "--read-data");
	cli_profile_free(v);
}

static void bad_profile(const char *text, size_t len, const char *why)
{
	struct err err = ERR_INIT;
	char **v;
	int n;

	assert_int_equal(cli_profile_parse("p.conf", text, len,
	    &cli_cmd_backup, &v, &n, &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	assert_non_null(strstr(err.msg, why));
}

static void mistakes_in_a_profile_are_told_by_line(void **state)
{
	(void)state;
	bad_profile("\n\nexlcude = x\n", 13, "p.conf:3: no option is called "
	    "'exlcude'");
	bad_profile("exclude-caches = yes", 20, "takes no value");
	bad_profile("repo\n", 5, "needs a value");
	bad_profile("profile = x", 11, "does nothing");
	bad_profile("help", 4, "does nothing");
	bad_profile("--repo = x", 10, "without '--'");
	bad_profile("repo = a\0b", 10, "zero byte");
}

/* Each test of these has a directory of its own for profiles. */
static char *config;

static int make_config(void **state)
{
	char dir[] = "/tmp/wherry-cli-XXXXXX", path[128];

	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	config = strdup(dir);
	setenv("XDG_CONFIG_HOME", dir, 1);
	snprintf(path, sizeof(path), "%s/wherry", dir);
	return config == NULL ? -1 : mkdir(path, 0700);
}

static int remove_config(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/wherry/p.conf", config);
	unlink(path);
	snprintf(path, sizeof(path), "%s/wherry", config);
	rmdir(path);
	rmdir(config);
	free(config);
	return 0;
}

static void write_profile(const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/wherry/p.conf", config);

	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void parse(struct cli *cli, const char *const *argv, void *opts)
{
	struct err err = ERR_INIT;
	int argc = 0;

	memset(cli, 0, sizeof(*cli));
	while (argv[argc] != NULL)
		argc++;
	assert_int_equal(cli_parse(cli, &cli_cmd_snapshots, opts, argc,
	    (char **)argv, &err), 0);
}

static void the_command_line_overrides_the_profile(void **state)
{
	char opts[64] = { 0 };
	struct cli cli;

	(void)state;
	write_profile("repo = a\nmemory = 1G\nkey-file = k\nhost = h1\n");
	parse(&cli, (const char *[]){ "snapshots", "--profile",
	    "p", "-r", "b", "--host=h2",
	    NULL }, opts);
	assert_string_equal(cli.repo, "b");
	assert_int_equal(cli.memory, 1 << 30);
	assert_string_equal(cli.key_file, "k");
	assert_int_equal(cli.hosts.n, 2);
	cli_parse_release(&cli, opts);

	/* A secret given replaces the other kind in the profile. */
	parse(&cli, (const char *[]){ "snapshots", "--profile=p",
	    "-p", "pass", NULL }, opts);
	assert_string_equal(cli.password_file, "pass");
	assert_null(cli.key_file);
	cli_parse_release(&cli, opts);
}

static void a_profile_that_is_missing_or_wrong_is_told(void **state)
{
	(void)state;
	assert_int_equal(RUN("snapshots", "--profile", "absent"), 1);
	assert_non_null(strstr(output, "absent.conf"));
	assert_int_equal(RUN("snapshots", "--profile", "../x"), 2);
	write_profile("memory = much\n");
	REFUSED("p.conf: --memory", "snapshots", "--profile", "p");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conflicts_are_usage_errors),
		cmocka_unit_test(wrong_arguments_are_usage_errors),
		cmocka_unit_test(the_percentage_may_be_left_out),
		cmocka_unit_test(options_that_do_nothing_are_not_taken),
		cmocka_unit_test(every_verb_has_help_with_an_example),
		cmocka_unit_test(the_overview_names_every_verb),
		cmocka_unit_test(help_fits_a_terminal),
		cmocka_unit_test(verbs_are_well_described),
		cmocka_unit_test(options_are_stored_by_type),
		cmocka_unit_test(a_profile_becomes_arguments),
		cmocka_unit_test(mistakes_in_a_profile_are_told_by_line),
		cmocka_unit_test_setup_teardown(
		    the_command_line_overrides_the_profile, make_config,
		    remove_config),
		cmocka_unit_test_setup_teardown(
		    a_profile_that_is_missing_or_wrong_is_told, make_config,
		    remove_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
