#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_text.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"

/*
 * Options that several verbs have.  Each group is an argp of its own, joined
 * to the verb's by argp children.
 */

#define AT(field) offsetof(struct cli, field)

static const struct cli_option help_options[] = {
	{ "help", 'h', NULL, "Show this help", CLI_HELP, 0 },
	{ "usage", 0, NULL, "Show the options in short", CLI_SYNOPSIS, 0 },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static const struct cli_option talk_options[] = {
	{ "profile", 0, "NAME", "Take options from ~/.config/wherry/NAME.conf, "
	    "a line each: the long name, '=' and the value", CLI_TEXT,
	    AT(profile) },
	{ "quiet", 'q', NULL, "Print failures only", CLI_FLAG, AT(quiet) },
	{ "verbose", 'v', NULL, "Tell more; twice: each operation on the "
	    "store", CLI_COUNT, AT(verbose) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static const struct cli_option json_options[] = {
	{ "json", 0, NULL, "Print JSON, one object a line", CLI_FLAG,
	    AT(json) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static const struct cli_option repo_options[] = {
	{ "repo", 'r', "URL", "Where the repository is: a directory, "
	    "s3://BUCKET/PREFIX or azure://ACCOUNT/CONTAINER/PREFIX; default: "
	    "WHERRY_REPOSITORY", CLI_DIR, AT(repo) },
	{ "ca-file", 0, "FILE", "Certificates of authorities to trust beside "
	    "the system's, PEM, for stores reached by TLS", CLI_FILE,
	    AT(ca_file) },
	{ "memory", 0, "SIZE", "What the program may use in all (default 512M, "
	    "at least 128M)", CLI_SIZE, AT(memory) },
	{ "limit-download", 0, "RATE", "Read no faster from the store, bytes a "
	    "second", CLI_RATE, AT(limit_download) },
	{ "cache-dir", 0, "DIR", "Where this machine remembers what it saw of "
	    "repositories, to warn when an older state is put in place of a "
	    "newer one, and keeps parts of those that are far away, sealed as "
	    "they are there (default: wherry in XDG_CACHE_HOME or ~/.cache)",
	    CLI_DIR, AT(cache_dir) },
	{ "cache-size", 0, "SIZE", "Keep no more than this of repositories "
	    "that are far away (default 1G)", CLI_SIZE, AT(cache_size) },
	{ "no-cache", 0, NULL, "Keep nothing of the repository on this machine "
	    "and use nothing that was kept", CLI_FLAG, AT(no_cache) },
	{ "debug", 0, NULL, "Log each operation on the store, as -vv does",
	    CLI_FLAG, AT(debug) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static const struct cli_option upload_options[] = {
	{ "limit-upload", 0, "RATE", "Write no faster to the store, bytes a "
	    "second", CLI_RATE, AT(limit_upload) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static const struct cli_option secret_options[] = {
	{ "password-file", 'p', "FILE", "Read the passphrase from a file; "
	    "default: WHERRY_PASSWORD, WHERRY_PASSWORD_FILE, "
	    "WHERRY_PASSWORD_COMMAND, or it is asked for", CLI_FILE,
	    AT(password_file) },
	{ "key-file", 'k', "FILE", "Open with a key file instead of a "
	    "passphrase", CLI_FILE, AT(key_file) },
	{ "slot", 0, "SLOT", "The credential to open, 16 hex digits; default: "
	    "the key file's, or every one is tried", CLI_TEXT, AT(slot) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static const struct cli_option engine_options[] = {
	{ "cpus", 0, "N", "Threads that work (default: one a CPU)", CLI_NUMBER,
	    AT(cpus) },
	{ "io", 0, "auto|uring|threads", "How files are read and written",
	    CLI_CHOICE, AT(io) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static const struct cli_option progress_options[] = {
	{ "progress", 0, NULL, "Tell the progress each 30 seconds also when "
	    "stderr is no terminal (with --json: an object each second)",
	    CLI_FLAG, AT(progress) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static const struct cli_option filter_options[] = {
	{ "host", 0, "HOST", "Only snapshots of this host (may be repeated)",
	    CLI_LIST, AT(hosts) },
	{ "tag", 0, "TAG", "Only snapshots with this tag (repeated: with any "
	    "of them)", CLI_LIST, AT(tags) },
	{ "volume", 0, "NAME", "Only snapshots of this volume (may be "
	    "repeated)", CLI_LIST, AT(volumes) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static const struct cli_option policy_options[] = {
	{ "keep-last", 0, "N", "Keep the newest N, or 'all'", CLI_TEXT,
	    AT(policy.last) },
	{ "keep-hourly", 0, "N", "Keep the newest of each of the last N hours "
	    "that have one, or of 'all'", CLI_TEXT, AT(policy.hourly) },
	{ "keep-daily", 0, "N", "Keep the newest of each of the last N days "
	    "that have one, or of 'all'", CLI_TEXT, AT(policy.daily) },
	{ "keep-weekly", 0, "N", "Keep the newest of each of the last N weeks, "
	    "which begin on Monday", CLI_TEXT, AT(policy.weekly) },
	{ "keep-monthly", 0, "N", "Keep the newest of each of the last N "
	    "months", CLI_TEXT, AT(policy.monthly) },
	{ "keep-yearly", 0, "N", "Keep the newest of each of the last N years",
	    CLI_TEXT, AT(policy.yearly) },
	{ "keep-within", 0, "SPAN", "Keep all that are no more than so much "
	    "older than the newest: 1y6m, 2w, 30d, 36h", CLI_TEXT,
	    AT(policy.within) },
	{ "keep-tag", 0, "TAG", "Keep all with this tag (may be repeated)",
	    CLI_LIST, AT(policy.tags) },
	{ "allow-none", 0, NULL, "Let the policy take all snapshots of a "
	    "volume", CLI_FLAG, AT(policy.allow_none) },
	{ "group-by", 0, "WHAT", "Apply the policy to each host, tags, paths "
	    "(a list with commas) of a volume by itself", CLI_TEXT,
	    AT(policy.group_by) },
	{ "min-age", 0, "SPAN", "Remove nothing younger (default: 7d for what "
	    "was made with a credential without the admin right, else 0d)",
	    CLI_TEXT, AT(policy.min_age) },
	{ "clock", 0, "own|store", "Whose time counts where a snapshot's own "
	    "and the store's differ by more than a day; without it such a "
	    "snapshot stays", CLI_CHOICE, AT(policy.clock) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static const struct cli_option new_options[] = {
	{ "password-file", 'p', "FILE", "Read the new passphrase from a file; "
	    "default: WHERRY_PASSWORD, WHERRY_PASSWORD_FILE, "
	    "WHERRY_PASSWORD_COMMAND, or it is asked for twice", CLI_FILE,
	    AT(password_file) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static const struct {
	enum cli_group group;
	const struct cli_option *options;
	const char *title;
} groups[] = {
	{ CLI_G_POLICY, policy_options, "What to keep:" },
	{ CLI_G_FILTER, filter_options, "Which snapshots:" },
	{ CLI_G_REPO, repo_options, "Repository:" },
	{ CLI_G_SECRET, secret_options, "Secret:" },
	{ CLI_G_NEW, new_options, "Secret:" },
	{ CLI_G_UPLOAD, upload_options, "Sending:" },
	{ CLI_G_ENGINE, engine_options, "Work:" },
	{ CLI_G_PROGRESS, progress_options, "Progress:" },
	{ CLI_G_JSON, json_options, "Output for programs:" },
	{ CLI_G_TALK, talk_options, "Messages:" },
	{ CLI_G_HELP, help_options, "Help:" },
};
#define NGROUPS (sizeof(groups) / sizeof(groups[0]))

const struct cli_option *cli_group_options(enum cli_group g)
{
	for (size_t i = 0; i < NGROUPS; i++) {
		if (groups[i].group == g)
			return groups[i].options;
	}
	return NULL;
}

const char *cli_group_title(enum cli_group g)
{
	for (size_t i = 0; i < NGROUPS; i++) {
		if (groups[i].group == g)
			return groups[i].title;
	}
	return NULL;
}

int cli_list_add(struct cli_list *l, const char *s, struct err *err)
{
	const char **v = realloc(l->v, (l->n + 1) * sizeof(*v));

	if (v == NULL)
		return err_nomem(err, "arguments");
	l->v = v;
	l->v[l->n++] = s;
	return 0;
}

static int set_choice(const struct cli_option *o, int *ret, const char *arg,
    struct err *err)
{
	const char *p = o->arg;

	for (int i = 1; *p != '\0'; i++) {
		size_t n = strcspn(p, "|");

		if (strlen(arg) == n && memcmp(arg, p, n) == 0) {
			*ret = i;
			return 0;
		}
		p += n + (p[n] == '|');
	}
	return err_set(err, ERR_USAGE, "--%s=%s is not known (it is one of %s)",
	    o->name, arg, o->arg);
}

static int set_number(const struct cli_option *o, unsigned *ret,
    const char *arg, unsigned max, const char *unit, struct err *err)
{
	char *end;

	errno = 0;
	unsigned long v = strtoul(arg, &end, 10);

	if (*unit != '\0' && strcmp(end, unit) == 0)
		end += strlen(unit);
	if (arg[0] < '0' || arg[0] > '9' || *end != '\0' || errno != 0 ||
	    v < 1 || v > max)
		return err_set(err, ERR_USAGE, "--%s=%s is no number (give one "
		    "from 1 to %u)", o->name, arg, max);
	*ret = (unsigned)v;
	return 0;
}

int cli_option_set(const struct cli_option *o, void *base, const char *arg,
    struct err *err)
{
	void *at = (char *)base + o->offset;

	switch (o->type) {
	case CLI_FLAG:
		*(bool *)at = true;
		return 0;
	case CLI_COUNT:
		++*(int *)at;
		return 0;
	case CLI_TEXT:
	case CLI_FILE:
	case CLI_DIR:
		if (*arg == '\0')
			return err_set(err, ERR_USAGE, "--%s is empty (give "
			    "%s)", o->name, o->arg);
		*(const char **)at = arg;
		return 0;
	case CLI_LIST:
	case CLI_FILES:
		return cli_list_add(at, arg, err);
	case CLI_SIZE:
		if (cli_size_parse(arg, at, err) < 0)
			return err_wrap(err, "--%s", o->name);
		return 0;
	case CLI_RATE:
		if (cli_rate_parse(arg, at, err) < 0)
			return err_wrap(err, "--%s", o->name);
		if (*(uint64_t *)at == 0)
			return err_set(err, ERR_USAGE, "--%s=0 would never "
			    "end (leave it out for no limit)", o->name);
		return 0;
	case CLI_DURATION:
		if (cli_duration_parse(arg, at, err) < 0)
			return err_wrap(err, "--%s", o->name);
		return 0;
	case CLI_NUMBER:
		return set_number(o, at, arg, 1000000, "", err);
	case CLI_CHOICE:
		return set_choice(o, at, arg, err);
	case CLI_PERCENT:
		if (arg == NULL) {
			*(unsigned *)at = 100;
			return 0;
		}
		return set_number(o, at, arg, 100, "%", err);
	case CLI_SHARE:
		return set_number(o, at, arg, 100, "%", err);
	case CLI_HELP:
	case CLI_SYNOPSIS:
		break;
	}
	return 0;
}

/* --- argp -------------------------------------------------------------------*/

/* One table while it is parsed, with what it fills. */
struct table {
	const struct cli_option *options;
	void *base;
	struct cli *cli;
	struct argp argp;
	struct argp_option *argp_options;
	struct table *groups; /* of the verb's own: those joined to it */
	size_t ngroups;
};

/* Keys of long-only options; below are the letters. */
#define KEY_FIRST 256

static error_t parse_one(int key, char *arg, struct argp_state *state)
{
	struct table *t = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		for (size_t i = 0; i < t->ngroups; i++)
			state->child_inputs[i] = &t->groups[i];
		return 0;
	case ARGP_KEY_ARG:
		/* Only the verb's own table takes what is no option. */
		if (t->groups == NULL)
			return ARGP_ERR_UNKNOWN;
		if (cli_list_add(&t->cli->words, arg, NULL) < 0)
			return ENOMEM;
		return 0;
	}
	if (t->options == NULL)
		return ARGP_ERR_UNKNOWN;
	for (const struct cli_option *o = t->options; o->name != NULL; o++) {
		struct err err = ERR_INIT;

		if (key != (o->letter ? o->letter :
		    KEY_FIRST + (int)(o - t->options)))
			continue;
		if (o->type == CLI_HELP)
			argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		else if (o->type == CLI_SYNOPSIS)
			argp_state_help(state, stdout, ARGP_HELP_USAGE |
			    ARGP_HELP_EXIT_OK);
		else if (cli_option_set(o, t->base, arg, &err) < 0)
			exit(cli_usage(t->cli, "%s%s%s",
			    t->cli->reading ? t->cli->reading : "",
			    t->cli->reading ? ": " : "", err.msg));
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* Make argp's form of a table. */
static void table_make(struct table *t, struct cli *cli,
    const struct cli_option *options, void *base)
{
	size_t n = 0;

	t->cli = cli;
	t->options = options;
	t->base = base;
	t->argp.parser = parse_one;
	while (options != NULL && options[n].name != NULL)
		n++;
	t->argp_options = calloc(n + 1, sizeof(*t->argp_options));
	if (t->argp_options == NULL)
		cli_nomem();
	for (size_t i = 0; i < n; i++) {
		const struct cli_option *o = &options[i];

		t->argp_options[i] = (struct argp_option){
			.name = o->name,
			.key = o->letter ? o->letter : KEY_FIRST + (int)i,
			.arg = o->arg,
			.flags = o->type == CLI_PERCENT ?
			    OPTION_ARG_OPTIONAL : 0,
			.doc = o->help,
		};
	}
	/* glibc's help leaks what it makes of an empty table. */
	t->argp.options = n > 0 ? t->argp_options : NULL;
}

/* What argp does not break by itself, for it breaks at spaces only. */
#define JSON_WIDTH 78

/* How much of a line fits, up to and with a comma or before a space. */
static size_t json_fits(const char *p, size_t n, size_t room)
{
	size_t at = room;

	if (n <= room)
		return n;
	while (at > 0 && p[at - 1] != ',' && p[at] != ' ')
		at--;
	return at > 0 ? at : n;
}

/* Append the description of objects, its lines broken where they are too long. */
static void make_json(struct buf *doc, const char *p)
{
	while (*p != '\0') {
		size_t n = strcspn(p, "\n"), room = JSON_WIDTH;
		const char *end = p + n;

		for (const char *indent = ""; p < end; indent = "   ") {
			size_t fits = json_fits(p, (size_t)(end - p), room);

			buf_printf(doc, "%s%.*s\n", indent, (int)fits, p);
			p += fits;
			while (p < end && *p == ' ')
				p++;
			room = JSON_WIDTH - 3;
		}
		p += *p == '\n';
	}
}

/* The text around the options: what comes before, \v, what comes after. */
static void make_doc(struct buf *doc, const struct cli_verb *v)
{
	buf_printf(doc, "\n%s.\n\n%s\n\v", v->summary, v->text);
	if (v->json != NULL) {
		buf_str(doc, "With --json:\n");
		make_json(doc, v->json);
	}
	if (v->groups & CLI_G_REPO)
		buf_str(doc, "Exit codes:\n  0 done, 1 failed, 2 wrong usage, 3 done "
		    "in part, 10 no repository there,\n  11 already there, 12 "
		    "wrong secret or no right, 13 damage, 130 interrupted\n");
	buf_printf(doc, "Examples:\n");
	for (const char *p = v->examples; *p != '\0';) {
		size_t n = strcspn(p, "\n");

		buf_printf(doc, "  %.*s\n", (int)n, p);
		p += n + (p[n] == '\n');
	}
	buf_u8(doc, '\0');
	if (doc->failed)
		cli_nomem();
}

/* Parse one argument vector.  Ends the process on a usage error. */
static void parse_vector(struct cli *cli, const struct cli_verb *verb,
    void *opts, int argc, char **argv)
{
	struct table own = { 0 }, joined[NGROUPS] = { 0 };
	struct argp_child children[NGROUPS + 1] = { 0 };
	struct buf doc = BUF_INIT;
	size_t n = 0;

	table_make(&own, cli, verb->options, opts);
	for (size_t i = 0; i < NGROUPS; i++) {
		if (!(verb->groups & groups[i].group))
			continue;
		table_make(&joined[n], cli, groups[i].options, cli);
		children[n] = (struct argp_child){
			&joined[n].argp, 0, groups[i].title, (int)n + 1,
		};
		n++;
	}
	own.groups = joined;
	own.ngroups = n;
	make_doc(&doc, verb);
	own.argp.children = children;
	own.argp.args_doc = verb->args;
	own.argp.doc = (const char *)doc.p;
	argp_err_exit_status = CLI_USAGE;
	/* No note about short options; they say their argument themselves. */
	setenv("ARGP_HELP_FMT", "no-dup-args-note", 0);
	if (argp_parse(&own.argp, argc, argv, ARGP_NO_HELP, NULL, &own) != 0)
		cli_nomem();
	for (size_t i = 0; i < n; i++)
		free(joined[i].argp_options);
	free(own.argp_options);
	buf_release(&doc);
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);

	/* Arguments may be names of files, as a shell has found them. */
	char *text = cli_message(fmt, ap);

	va_end(ap);
	fprintf(stderr, "%s: %s\nTry '%s --help'.\n", cli->name, text, cli->name);
	free(text);
	return CLI_USAGE;
}

/* "10%" behind "--read-data": an argument that may be left out needs its '='. */
static const char *percent_meant(const struct cli_verb *verb, const char *arg)
{
	size_t n = strspn(arg, "0123456789");

	if (n == 0 || (arg[n] != '\0' && strcmp(arg + n, "%") != 0))
		return NULL;
	for (const struct cli_option *p = verb->options; p && p->name; p++)
		if (p->type == CLI_PERCENT)
			return p->name;
	return NULL;
}

/* There are more words than the verb takes.  Ends the process. */
static _Noreturn void too_many(const struct cli *cli, const struct cli_verb *verb)
{
	const char *arg = cli->argv[verb->max_args];
	const char *option = percent_meant(verb, arg);

	if (option != NULL)
		exit(cli_usage(cli, "'%s' is no argument (write --%s=%s)", arg,
		    option, arg));
	exit(cli_usage(cli, "'%s' is one argument too many (%s)", arg,
	    verb->args ? verb->args : "it takes none"));
}

int cli_parse(struct cli *cli, const struct cli_verb *verb, void *opts,
    int argc, char **argv, struct err *err)
{
	CLEANUP_FREE char **v = mem_array((size_t)argc + 1, sizeof(*v),
	    "arguments", err);

	if (v == NULL)
		return -1;
	cli->verb = verb;
	if (asprintf(&cli->name, "wherry %s", verb->name) < 0)
		cli_nomem();
	memcpy(v, argv, (size_t)argc * sizeof(*v));
	v[0] = cli->name;

	/*
	 * The profile is parsed first, so that the command line overrides it;
	 * its name is wanted before, and argp has no way to look ahead.
	 */
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strncmp(argv[i], "--profile=", 10) == 0)
			cli->profile = argv[i] + 10;
		else if (strcmp(argv[i], "--profile") == 0 && i + 1 < argc)
			cli->profile = argv[++i];
	}
	if (cli->profile != NULL && (verb->groups & CLI_G_TALK)) {
		int n;

		if (cli_profile_read(cli->profile, verb, &cli->profile_args,
		    &n, err) < 0)
			return -1;
		cli->reading = cli->profile_args[0];
		parse_vector(cli, verb, opts, n, cli->profile_args);
		cli->reading = NULL;
	}

	/* One secret on the command line replaces another in the profile. */
	const char *password_file = STEAL_PTR(cli->password_file);
	const char *key_file = STEAL_PTR(cli->key_file);

	parse_vector(cli, verb, opts, argc, v);
	if (cli->password_file == NULL && cli->key_file == NULL) {
		cli->password_file = password_file;
		cli->key_file = key_file;
	}
	cli->argc = (int)cli->words.n;
	cli->argv = (char **)cli->words.v;
	if (cli->argc < verb->min_args)
		exit(cli_usage(cli, "an argument is missing (%s)",
		    verb->args));
	if (verb->max_args >= 0 && cli->argc > verb->max_args)
		too_many(cli, verb);
	if (cli->password_file != NULL && cli->key_file != NULL)
		exit(cli_usage(cli, "--password-file and --key-file exclude "
		    "each other (give one)"));
	if (cli->quiet && cli->verbose > 0)
		exit(cli_usage(cli, "--quiet and --verbose exclude each other "
		    "(give one)"));
	return 0;
}

void cli_parse_release(struct cli *cli, void *opts)
{
	const struct cli_option *o = cli->verb ? cli->verb->options : NULL;

	for (; o != NULL && o->name != NULL; o++) {
		if (o->type == CLI_LIST || o->type == CLI_FILES)
			free(((struct cli_list *)((char *)opts +
			    o->offset))->v);
	}
	free(cli->hosts.v);
	free(cli->tags.v);
	free(cli->volumes.v);
	free(cli->policy.tags.v);
	free(cli->words.v);
	free(cli->name);
	cli_profile_free(cli->profile_args);
}
