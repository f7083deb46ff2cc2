#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"

struct opts { unsigned latest; };

static const struct cli_option options[] = {
	{ "latest", 0, "N", "Only the newest N of each volume", CLI_NUMBER,
	    offsetof(struct opts, latest) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

/* Return true when fewer than n newer snapshots of its volume follow. */
static bool among_latest(const struct cli_snapshots *l, size_t i, unsigned n)
{
	for (size_t k = i + 1; k < l->n && n > 0; k++)
		n -= memcmp(l->v[k]->volume_hash, l->v[i]->volume_hash, 32) ==
		    0;
	return n > 0;
}

static void join(struct buf *b, const struct store_strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		buf_printf(b, "%s%s", i ? ", " : "", s->v[i]);
	buf_u8(b, '\0');
	if (b->failed)
		cli_nomem();
}

static void flags_text(char *dst, size_t cap, const struct store_snapshot *sn)
{
	snprintf(dst, cap, "%s%s%s",
	    sn->flags & STORE_INCOMPLETE ? "incomplete " : "",
	    sn->content == STORE_BLOCK ? "block " : "",
	    sn->sealed ? "sealed " : "");
	if (*dst == '\0')
		snprintf(dst, cap, "-");
	else
		dst[strlen(dst) - 1] = '\0';
}

static void add_row(struct cli_table *t, const struct store_snapshot *sn)
{
	struct buf paths = BUF_INIT, tags = BUF_INIT;
	char text[CLI_TEXT_MAX];

	join(&paths, &sn->paths);
	join(&tags, &sn->tags);
	cli_table_cell(t, sn->id);
	cli_table_cell(t, cli_time_text(text, sizeof(text), sn->start_ns));
	cli_table_cell(t, sn->host && *sn->host ? sn->host : "-");
	/* A volume's default name is host and paths: too long to repeat. */
	cli_table_cell(t, sn->volume && *sn->volume &&
	    (paths.len == 1 || strstr(sn->volume, sn->paths.v[0]) == NULL) ?
	    sn->volume : paths.len > 1 ? (char *)paths.p : "-");
	cli_table_cell(t, tags.len > 1 ? (char *)tags.p : "-");
	cli_table_cell(t, sn->sealed || sn->content == STORE_BLOCK ? "-" :
	    cli_count_text(text, sizeof(text), sn->files));
	cli_table_cell(t, cli_size_text(text, sizeof(text),
	    (double)sn->size));
	flags_text(text, sizeof(text), sn);
	cli_table_cell(t, text);
	buf_release(&paths);
	buf_release(&tags);
}

static int run(struct cli *cli, void *opts)
{
	static const char *const heads[] = {
		"ID", "TIME", "HOST", "VOLUME", "TAGS", "FILES", "SIZE",
		"FLAGS", NULL,
	};
	const struct opts *o = opts;
	struct cli_snapshots list;
	struct err err = ERR_INIT;
	struct cli_table *table = NULL;
	struct cli_repo repo;
	int code = cli_repo_open(cli, 0, "list snapshots", 0, &repo);

	if (code != CLI_OK)
		return code;
	if (cli_snapshots_read(cli, repo.store, &list, &err) < 0) {
		code = cli_fail(cli, &err, CLI_AT_WORK, "list snapshots");
		cli_repo_close(&repo);
		return code;
	}
	if (!cli->json && list.n > 0)
		table = cli_table_new(heads, "lllllrrl");
	for (size_t i = 0; i < list.n; i++) {
		if (o->latest > 0 && !among_latest(&list, i, o->latest))
			continue;
		if (cli->json)
			cli_json_print(cli_json_snapshot(list.v[i]));
		else
			add_row(table, list.v[i]);
	}
	if (table != NULL)
		cli_table_print(table);
	else if (!cli->json && !cli->quiet)
		printf("no snapshots\n");
	code = list.bad > 0 ? CLI_DAMAGE : CLI_OK;
	cli_snapshots_release(&list);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_snapshots = {
	.name = "snapshots",
	.summary = "List snapshots, the newest last",
	.text = "A credential that may only write sees that snapshots exist, "
	    "not of what: they are marked sealed.",
	.json = "  {\"id\",\"slot\",\"session\",\"content\",\"start_time\","
	    "\"end_time\",\"incomplete\",\n   \"inodes_ignored\","
	    "\"ctimes_ignored\",\"counter\",\"parent_session\",\n   "
	    "\"size_bytes\",\"entries\",\"sealed\",\"volume\",\"host\","
	    "\"user\",\"program\",\n   \"paths\",\"tags\",\"files\","
	    "\"directories\",\"others\",\"read_bytes\",\n   \"new_bytes\","
	    "\"stored_bytes\"}  for each; from volume on only if not sealed",
	.examples = "wherry snapshots\n"
	    "wherry snapshots --tag daily --latest 3\n"
	    "wherry snapshots --json | jq -r .id",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_FILTER |
	    CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.run = run,
};
