#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/query.h"
#include "repo/format/fmt_entry.h"

struct opts { bool full, recursive; };

static const struct cli_option options[] = {
	{ "long", 'l', NULL, "Show mode, owner, size and time", CLI_FLAG,
	    offsetof(struct opts, full) },
	{ "recursive", 'R', NULL, "Show everything below", CLI_FLAG,
	    offsetof(struct opts, recursive) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

struct listing {
	struct cli *cli;
	bool full;
	struct cli_sorted sorted;
	size_t bad;
};

static int add(void *ctx, const char *path, const struct fmt_entry *e,
    struct err *err)
{
	struct listing *l = ctx;
	struct buf b = BUF_INIT;

	(void)err;
	if (l->cli->json) {
		json_t *o = json_object();

		json_object_set_new(o, "message_type", json_string("entry"));
		cli_entry_json(o, path, e);
		cli_json_line(&b, o);
	} else {
		cli_entry_text(&b, path, e, l->full);
	}
	cli_sorted_add(&l->sorted, path, &b);
	return 0;
}

static void bad(void *ctx, const char *path, const struct err *why)
{
	struct listing *l = ctx;

	l->bad++;
	cli_report(l->cli, path, why);
}

static int run(struct cli *cli, void *opts)
{
	const struct opts *o = opts;
	struct listing list = { .cli = cli, .full = o->full };
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;
	const char *path;
	struct cli_repo repo;
	int code = cli_repo_open(cli, STORE_READ, "list files", 0, &repo);

	if (code != CLI_OK)
		return code;
	if (cli_snapshot_find(repo.store, cli->argv[0], &sn, &path, &err) < 0)
		code = cli_fail(cli, &err, CLI_AT_WORK,
		    "find the snapshot %s", cli->argv[0]);
	else if (engine_list(repo.store, sn, path, o->recursive, false, add,
	    bad, &list, &err) < 0)
		code = cli_fail(cli, &err, CLI_AT_WORK, "list %s",
		    cli->argv[0]);
	cli_sorted_end(&list.sorted);
	if (code == CLI_OK && list.bad > 0)
		code = CLI_DAMAGE;
	store_snapshot_free(sn);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_ls = {
	.name = "ls",
	.args = "SNAPSHOT[:PATH]",
	.summary = "List the files of a snapshot",
	.text = "Lists a directory of the snapshot, by default its root. Each "
	    "directory is sorted; with --recursive, directories come in the "
	    "order of the catalog. Bytes that a terminal should not get are "
	    "shown as \\xNN, and a backslash is doubled.",
	.json = "  {\"message_type\":\"entry\",\"path\",\"type\",\"mode\","
	    "\"uid\",\"gid\",\"size_bytes\",\n   \"mtime\",\"ctime\","
	    "\"link_target\",\"inode\",\"major\",\"minor\",\n   "
	    "\"changed_while_read\",\"unread\"}\n"
	    "  type: file, directory, symlink, char_device, block_device, "
	    "fifo, socket.\n  inode only for files with several hard links. "
	    "A name that is no UTF-8 is\n  shown escaped, its bytes are in "
	    "path_base64.",
	.examples = "wherry ls latest\n"
	    "wherry ls -l 3f2a91c0:etc\n"
	    "wherry ls -R --json latest@data | jq -r .path",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
