#include <stdio.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/query.h"
#include "repo/base/cleanup.h"
#include "repo/format/fmt_entry.h"

struct opts { bool no_metadata; };

static const struct cli_option options[] = {
	{ "no-metadata", 0, NULL, "Leave out what differs in metadata only",
	    CLI_FLAG, offsetof(struct opts, no_metadata) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

struct changes {
	struct cli *cli;
	const struct opts *o;
	uint64_t added, removed, modified, typed, metadata;
	uint64_t bytes_added, bytes_removed;
};

static void count(struct changes *c, char kind, const struct fmt_entry *a,
    const struct fmt_entry *b)
{
	c->added += kind == '+';
	c->removed += kind == '-';
	c->modified += kind == 'M';
	c->typed += kind == 'T';
	c->metadata += kind == 'U';
	if (kind == 'U')
		return;
	c->bytes_added += b ? cli_entry_size(b) : 0;
	c->bytes_removed += a ? cli_entry_size(a) : 0;
}

static int one(void *ctx, const char *path, const struct fmt_entry *a,
    const struct fmt_entry *b, struct err *err)
{
	struct changes *c = ctx;
	char kind = a == NULL ? '+' : b == NULL ? '-' :
	    cli_entry_compare(a, b);

	(void)err;
	if (kind == 0)
		return 0;
	count(c, kind, a, b);
	if (kind == 'U' && c->o->no_metadata)
		return 0;
	if (c->cli->json) {
		char text[2] = { kind, '\0' };
		json_t *o = json_object();

		json_object_set_new(o, "message_type", json_string("change"));
		json_object_set_new(o, "change", json_string(text));
		cli_entry_json(o, path, b ? b : a);
		cli_json_print(o);
	} else if (!c->cli->quiet) {
		CLEANUP_FREE char *text = cli_escaped(path);
		bool colour = cli_colour(STDOUT_FILENO);

		printf("%s%c  %s%s%s\n", !colour ? "" : kind == '+' ?
		    "\033[32m" : kind == '-' ? "\033[31m" : "\033[33m", kind,
		    text, (b ? b : a)->type == FMT_DIRECTORY ? "/" : "",
		    colour ? "\033[0m" : "");
	}
	return 0;
}

static void summary(const struct changes *c)
{
	char a[CLI_TEXT_MAX], b[CLI_TEXT_MAX];
	json_t *o;

	if (!c->cli->json) {
		if (c->cli->quiet)
			return;
		printf("%llu added, %llu removed, %llu modified, %llu of "
		    "another type, %llu in metadata only\n",
		    (unsigned long long)c->added,
		    (unsigned long long)c->removed,
		    (unsigned long long)c->modified,
		    (unsigned long long)c->typed,
		    (unsigned long long)c->metadata);
		printf("%s in what was added or changed, %s before\n",
		    cli_size_text(a, sizeof(a), (double)c->bytes_added),
		    cli_size_text(b, sizeof(b), (double)c->bytes_removed));
		return;
	}
	o = json_object();
	json_object_set_new(o, "message_type", json_string("summary"));
	json_object_set_new(o, "added", json_integer((json_int_t)c->added));
	json_object_set_new(o, "removed",
	    json_integer((json_int_t)c->removed));
	json_object_set_new(o, "modified",
	    json_integer((json_int_t)c->modified));
	json_object_set_new(o, "type_changed",
	    json_integer((json_int_t)c->typed));
	json_object_set_new(o, "metadata_only",
	    json_integer((json_int_t)c->metadata));
	json_object_set_new(o, "added_bytes",
	    json_integer((json_int_t)c->bytes_added));
	json_object_set_new(o, "removed_bytes",
	    json_integer((json_int_t)c->bytes_removed));
	cli_json_print(o);
}

static int work(struct cli *cli, const struct opts *o, struct store *st)
{
	struct changes c = { .cli = cli, .o = o };
	struct store_snapshot *sn[2] = { NULL, NULL };
	const char *path = cli->argc > 2 ? cli->argv[2] : "";
	struct err err = ERR_INIT;
	int code = CLI_OK;

	for (int i = 0; code == CLI_OK && i < 2; i++) {
		if (store_snapshot_find(st, cli->argv[i], &sn[i], &err) < 0)
			code = cli_fail(cli, &err, CLI_AT_WORK,
			    "find the snapshot %s", cli->argv[i]);
	}
	if (code == CLI_OK &&
	    engine_diff(st, sn[0], sn[1], path, one, &c, &err) < 0)
		code = cli_fail(cli, &err, CLI_AT_WORK, "compare %s and %s",
		    cli->argv[0], cli->argv[1]);
	if (code == CLI_OK)
		summary(&c);
	store_snapshot_free(sn[0]);
	store_snapshot_free(sn[1]);
	return code;
}

static int run(struct cli *cli, void *opts)
{
	struct cli_repo repo;
	int code = cli_repo_open(cli, STORE_READ, "compare snapshots", 0,
	    &repo);

	if (code != CLI_OK)
		return code;
	code = work(cli, opts, repo.store);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_diff = {
	.name = "diff",
	.args = "SNAPSHOT SNAPSHOT [PATH]",
	.summary = "Show what differs between two snapshots",
	.text = "From the first to the second, below PATH when it is given: "
	    "'+' added, '-' removed, 'M' other content, 'T' another type of "
	    "file, 'U' other metadata only.",
	.json = "  {\"message_type\":\"change\",\"change\",...}  with +, -, M, "
	    "T or U, and the keys of an\n   entry as in 'ls'\n"
	    "  {\"message_type\":\"summary\",\"added\",\"removed\","
	    "\"modified\",\"type_changed\",\n   \"metadata_only\","
	    "\"added_bytes\",\"removed_bytes\"}",
	.examples = "wherry diff @2026-11-01T00:00 latest\n"
	    "wherry diff 3f2a91c0 81b0e2d4 etc",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.min_args = 2,
	.max_args = 3,
	.run = run,
};
