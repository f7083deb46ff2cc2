#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_verbs.h"
#include "repo/base/cleanup.h"

static int print(struct buf *b)
{
	if (b->failed)
		cli_nomem();
	fwrite(b->p, 1, b->len, stdout);
	buf_release(b);
	return CLI_OK;
}

/* The verb of the arguments, "key add" or "key-add"; NULL is none. */
static const struct cli_verb *verb_named(const struct cli *cli, char **ret)
{
	int n = cli->argc > 1 ? asprintf(ret, "%s %s", cli->argv[0],
	    cli->argv[1]) : asprintf(ret, "%s", cli->argv[0]);

	if (n < 0)
		cli_nomem();
	/* As pages are called: wherry-backup. */
	if (strncmp(*ret, "wherry-", 7) == 0)
		memmove(*ret, *ret + 7, strlen(*ret + 7) + 1);
	return cli_verb_find(*ret);
}

/* --- help -------------------------------------------------------------------------*/

static int run_help(struct cli *cli, void *opts)
{
	CLEANUP_FREE char *name = NULL;
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	(void)opts;
	if (cli->argc == 0) {
		cli_help_overview(&b);
		return print(&b);
	}

	const struct cli_verb *verb = verb_named(cli, &name);

	if (verb == NULL && cli_help_group(&b, name))
		return print(&b);
	if (verb == NULL)
		return cli_usage(cli, "there is no verb '%s' ('wherry help' "
		    "lists them)", name);

	/* The same text as --help, by the same way. */
	char help[] = "--help", first[] = "wherry";
	char *argv[] = { first, help, NULL };
	struct cli other = { 0 };
	CLEANUP_FREE void *none = calloc(1, verb->opts_size + 1);

	if (none == NULL)
		cli_nomem();
	return cli_parse(&other, verb, none, 2, argv, &err) < 0 ?
	    CLI_FAILED : CLI_OK;
}

const struct cli_verb cli_cmd_help = {
	.name = "help",
	.args = "[VERB]",
	.summary = "Show help",
	.text = "Lists the verbs, or shows the help of one.",
	.examples = "wherry help backup\nwherry help key add",
	.groups = CLI_G_HELP,
	.max_args = 2,
	.words = CLI_W_VERB,
	.run = run_help,
};

/* --- man --------------------------------------------------------------------------*/

struct man_opts { bool list; };

static const struct cli_option man_options[] = {
	{ "list", 0, NULL, "List the verbs as pages are named", CLI_FLAG,
	    offsetof(struct man_opts, list) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static int list_pages(void)
{
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		for (const char *p = cli_verbs[i]->name; *p != '\0'; p++)
			putchar(*p == ' ' ? '-' : *p);
		putchar('\n');
	}
	return CLI_OK;
}

static int run_man(struct cli *cli, void *opts)
{
	const struct man_opts *o = opts;
	CLEANUP_FREE char *name = NULL;
	const struct cli_verb *verb = NULL;
	struct buf b = BUF_INIT;

	if (o->list)
		return list_pages();
	if (cli->argc > 0 && strcmp(cli->argv[0], "wherry") != 0) {
		verb = verb_named(cli, &name);
		if (verb == NULL)
			return cli_usage(cli, "there is no page '%s' ('wherry "
			    "man --list' shows them)", name);
	}
	cli_man_page(&b, verb);
	return print(&b);
}

const struct cli_verb cli_cmd_man = {
	.name = "man",
	.args = "[VERB]",
	.summary = "Print a man page",
	.text = "Prints the page of a verb, or wherry(1), as troff for man.",
	.examples = "wherry man backup | man -l -\n"
	    "for v in $(wherry man --list); do wherry man $v >wherry-$v.1; done",
	.groups = CLI_G_HELP,
	.options = man_options,
	.opts_size = sizeof(struct man_opts),
	.max_args = 2,
	.words = CLI_W_VERB,
	.run = run_man,
};

/* --- completion ---------------------------------------------------------------------*/

static int run_completion(struct cli *cli, void *opts)
{
	struct buf b = BUF_INIT;

	(void)opts;
	if (cli_completion(&b, cli->argv[0]) < 0)
		return cli_usage(cli, "there is no completion for '%s' (it is "
		    "one of bash, zsh, fish)", cli->argv[0]);
	return print(&b);
}

const struct cli_verb cli_cmd_completion = {
	.name = "completion",
	.args = "bash|zsh|fish",
	.summary = "Print completion for a shell",
	.text = "Prints a script that teaches the shell wherry's verbs and "
	    "options.",
	.examples = "source <(wherry completion bash)\n"
	    "wherry completion fish >~/.config/fish/completions/wherry.fish",
	.groups = CLI_G_HELP,
	.min_args = 1,
	.max_args = 1,
	.words = CLI_W_SHELL,
	.run = run_completion,
};
