#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "repo/crypto/crypto.h"

static const struct cli_verb last;

const struct cli_verb *const cli_verbs[] = {
	&cli_cmd_init, &cli_cmd_backup, &cli_cmd_restore, &cli_cmd_dump,
	&cli_cmd_snapshots, &cli_cmd_ls, &cli_cmd_find, &cli_cmd_diff,
	&cli_cmd_mount,
	&cli_cmd_stats, &cli_cmd_check, &cli_cmd_repair, &cli_cmd_copy,
	&cli_cmd_forget,
	&cli_cmd_gc, &cli_cmd_upkeep,
	&cli_cmd_session_list, &cli_cmd_session_revoke, &cli_cmd_key_list,
	&cli_cmd_key_add, &cli_cmd_key_passwd, &cli_cmd_key_remove,
	&cli_cmd_key_rotate, &cli_cmd_bench, &cli_cmd_version,
	&cli_cmd_completion, &cli_cmd_man, &cli_cmd_help, &last,
};

const struct cli_verb *cli_verb_find(const char *name)
{
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		const char *a = cli_verbs[i]->name, *b = name;

		/* "key add" is also "key-add", as its man page is called. */
		while (*a != '\0' && (*a == *b || (*a == ' ' && *b == '-'))) {
			a++;
			b++;
		}
		if (*a == '\0' && *b == '\0')
			return cli_verbs[i];
	}
	return NULL;
}

void cli_help_overview(struct buf *out)
{
	buf_str(out, "Usage: wherry VERB [OPTION...]\n\n"
	    "Backs up directories, files and block volumes into a repository: "
	    "deduplicated,\ncompressed, encrypted.\n\n");
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++)
		buf_printf(out, "  %-14s  %s\n", cli_verbs[i]->name,
		    cli_verbs[i]->summary);
	buf_str(out, "\n'wherry VERB --help' says more, with an example.  "
	    "To begin:\n\n"
	    "  export WHERRY_REPOSITORY=/mnt/backup/repo\n"
	    "  wherry init\n"
	    "  wherry backup ~/documents\n"
	    "  wherry snapshots\n"
	    "  wherry restore latest --target /tmp/restored\n");
}

bool cli_help_group(struct buf *out, const char *group)
{
	size_t n = strlen(group);
	bool any = false;

	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		const char *name = cli_verbs[i]->name;

		if (strncmp(name, group, n) != 0 || name[n] != ' ')
			continue;
		if (!any)
			buf_printf(out, "Usage: wherry %s VERB [OPTION...]\n\n",
			    group);
		buf_printf(out, "  %-14s  %s\n", name, cli_verbs[i]->summary);
		any = true;
	}
	if (any)
		buf_printf(out, "\n'wherry %s VERB --help' says more, with an "
		    "example.\n", group);
	return any;
}

/* "wherry key --help": print it and return true. */
static bool group_help(int argc, char **argv)
{
	struct buf b = BUF_INIT;
	bool known;

	if (argc < 3 || (strcmp(argv[2], "--help") != 0 &&
	    strcmp(argv[2], "-h") != 0))
		return false;
	known = cli_help_group(&b, argv[1]);
	if (b.failed)
		cli_nomem();
	if (known)
		fwrite(b.p, 1, b.len, stdout);
	buf_release(&b);
	return known;
}

static int overview(FILE *to, int code)
{
	struct buf b = BUF_INIT;

	cli_help_overview(&b);
	if (b.failed)
		cli_nomem();
	fwrite(b.p, 1, b.len, to);
	buf_release(&b);
	return code;
}

/* The verb of argv[1], or of argv[1] and argv[2]; *ret_words says which. */
static const struct cli_verb *verb_of(int argc, char **argv, int *ret_words)
{
	const struct cli_verb *v = strchr(argv[1], ' ') == NULL &&
	    strchr(argv[1], '-') == NULL ? cli_verb_find(argv[1]) : NULL;
	char two[64];

	*ret_words = 1;
	if (v != NULL || argc < 3)
		return v;
	snprintf(two, sizeof(two), "%s %s", argv[1], argv[2]);
	*ret_words = 2;
	return strchr(argv[2], ' ') == NULL ? cli_verb_find(two) : NULL;
}

/* How many letters must be put in, left out or changed to come from a to b. */
static size_t distance(const char *a, const char *b)
{
	size_t row[33], n = strlen(b);

	if (n > 32)
		return SIZE_MAX;
	for (size_t k = 0; k <= n; k++)
		row[k] = k;
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t corner = row[0];

		row[0] = i + 1;
		for (size_t k = 1; k <= n; k++) {
			size_t least = corner + (a[i] != b[k - 1]);

			corner = row[k];
			if (row[k] + 1 < least)
				least = row[k] + 1;
			if (row[k - 1] + 1 < least)
				least = row[k - 1] + 1;
			row[k] = least;
		}
	}
	return row[n];
}

/* The verb that was meant, by what is known; NULL: who knows. */
static const char *verb_like(const char *text)
{
	const char *best = NULL;
	size_t least = 3; /* further away it is a guess */

	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		size_t d = distance(text, cli_verbs[i]->name);

		if (d < least && d < strlen(text)) {
			least = d;
			best = cli_verbs[i]->name;
		}
	}
	return best;
}

/* Say that there is no such verb, and which there are in a group like "key". */
static int unknown_verb(int argc, char **argv)
{
	char *first = cli_escaped(argv[1]);
	char *second = argc > 2 && argv[2][0] != '-' ? cli_escaped(argv[2]) :
	    NULL;
	size_t n = strlen(argv[1]);
	bool group = false;

	fprintf(stderr, "wherry: ");
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		const char *name = cli_verbs[i]->name;

		if (strncmp(name, argv[1], n) != 0 || name[n] != ' ')
			continue;
		if (!group && second != NULL)
			fprintf(stderr, "there is no verb '%s %s', but ",
			    first, second);
		else if (!group)
			fprintf(stderr, "a second word is missing: ");
		fprintf(stderr, "%s%s", group ? ", " : "", name);
		group = true;
	}
	if (!group && argv[1][0] == '-') {
		fprintf(stderr, "the verb comes first, then its options, as in "
		    "'wherry snapshots %s'", first);
	} else if (!group) {
		const char *like = verb_like(argv[1]);

		fprintf(stderr, "there is no verb '%s'", first);
		if (like != NULL)
			fprintf(stderr, " (perhaps '%s'?)", like);
	}
	fprintf(stderr, "\nTry 'wherry --help'.\n");
	free(second);
	free(first);
	return CLI_USAGE;
}

static int run_verb(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli cli = { 0 };
	struct err err = ERR_INIT;
	void *opts = calloc(1, verb->opts_size + 1);
	int code;

	if (opts == NULL)
		cli_nomem();
	if (cli_parse(&cli, verb, opts, argc, argv, &err) < 0) {
		code = cli_fail(&cli, &err, CLI_AT_WORK, "read the profile");
	} else {
		cli_log_to_stderr(&cli);
		code = verb->run(&cli, opts);
	}
	cli_parse_release(&cli, opts);
	free(opts);
	return code;
}

/* What was printed may be wanted by a pipe or a full disk. */
static int finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "wherry: cannot write to standard output: %s (look "
	    "where it goes)\n", strerror(errno));
	return code == CLI_OK ? CLI_FAILED : code;
}

int cli_main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	int words;

	setlocale(LC_TIME, "");
	if (argc < 2)
		return overview(stderr, CLI_USAGE);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return finish(overview(stdout, CLI_OK));

	const struct cli_verb *verb = strcmp(argv[1], "--version") == 0 ?
	    &cli_cmd_version : verb_of(argc, argv, &words);

	if (strcmp(argv[1], "--version") == 0)
		words = 1;
	if (verb == NULL)
		return group_help(argc, argv) ? finish(CLI_OK) :
		    unknown_verb(argc, argv);
	cli_signals_init();
	if (crypto_init(&err) < 0) {
		fprintf(stderr, "wherry: cannot start: %s (look at the "
		    "installed libraries)\n", err.msg);
		return CLI_FAILED;
	}
	return finish(run_verb(verb, argc - words, argv + words));
}
