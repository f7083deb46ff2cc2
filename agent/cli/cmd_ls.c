#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/query.h"
#include "repo/base/mem.h"
#include "repo/format/fmt_entry.h"

struct opts { bool full, recursive; };

static const struct cli_option options[] = {
	{ "long", 'l', NULL, "Show mode, owner, size and time", CLI_FLAG,
	    offsetof(struct opts, full) },
	{ "recursive", 'R', NULL, "Show everything below", CLI_FLAG,
	    offsetof(struct opts, recursive) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

/*
 * The catalog has a directory's entries together, in an order of its own.  One
 * directory is gathered as printed lines, sorted, and shown.
 */
struct line { char *path, *text; };

struct listing {
	struct cli *cli;
	bool full;
	struct line *lines;
	size_t n, cap;
	char *dir;       /* of what is gathered; NULL: nothing */
	size_t dirlen;
	size_t bad;
};

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct line *)a)->path,
	    ((const struct line *)b)->path);
}

static void flush(struct listing *l)
{
	if (l->n > 0)
		qsort(l->lines, l->n, sizeof(*l->lines), by_path);
	for (size_t i = 0; i < l->n; i++) {
		fputs(l->lines[i].text, stdout);
		free(l->lines[i].path);
		free(l->lines[i].text);
	}
	l->n = 0;
	free(l->dir);
	l->dir = NULL;
}

/* What an entry prints as, with its line end. */
static char *render(const struct listing *l, const char *path,
    const struct fmt_entry *e)
{
	struct buf b = BUF_INIT;

	if (l->cli->json) {
		json_t *o = json_object();

		json_object_set_new(o, "message_type", json_string("entry"));
		cli_entry_json(o, path, e);

		char *text = json_dumps(o, JSON_COMPACT);

		json_decref(o);
		if (text == NULL)
			cli_nomem();
		cli_escape_json(&b, text, strlen(text));
		buf_str(&b, "\n");
		free(text);
	} else {
		cli_entry_text(&b, path, e, l->full);
	}
	buf_u8(&b, '\0');
	if (b.failed)
		cli_nomem();
	return (char *)b.p;
}

static int add(void *ctx, const char *path, const struct fmt_entry *e,
    struct err *err)
{
	struct listing *l = ctx;
	const char *slash = strrchr(path, '/');
	size_t dirlen = slash ? (size_t)(slash - path) : 0;

	if (l->dir != NULL && (dirlen != l->dirlen ||
	    memcmp(l->dir, path, dirlen) != 0))
		flush(l);
	if (l->dir == NULL) {
		l->dir = mem_memdup0(path, dirlen, err);
		l->dirlen = dirlen;
		if (l->dir == NULL)
			return -1;
	}
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 256;
		struct line *v = realloc(l->lines, cap * sizeof(*v));

		if (v == NULL)
			return err_nomem(err, "a directory's list");
		l->lines = v;
		l->cap = cap;
	}
	l->lines[l->n].path = mem_strdup(path, err);
	if (l->lines[l->n].path == NULL)
		return -1;
	l->lines[l->n++].text = render(l, path, e);
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
	flush(&list);
	free(list.lines);
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
