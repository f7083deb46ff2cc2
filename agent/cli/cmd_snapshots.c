#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/sizes.h"
#include "repo/store/store_check.h"
#include "repo/store/store_repair.h"

struct opts { unsigned latest; bool sizes, checkpoints; };

/* What a reader of pages and its worker take beside index and table. */
#define BESIDE ((size_t)40 << 20)
#define TABLE_MIN ((size_t)8 << 20)

static const struct cli_option options[] = {
	{ "latest", 0, "N", "Only the newest N of each volume", CLI_NUMBER,
	    offsetof(struct opts, latest) },
	{ "checkpoints", 0, NULL, "List checkpoints, too: what a run has "
	    "stored before it was ended, or goes on from", CLI_FLAG,
	    offsetof(struct opts, checkpoints) },
	{ "sizes", 0, NULL, "Show what each takes in the store; follows all of "
	    "them, so it takes time", CLI_FLAG, offsetof(struct opts, sizes) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

/* Return true when fewer than n newer snapshots of its volume follow. */
static bool among_latest(const struct cli_snapshots *l, size_t i, unsigned n)
{
	for (size_t k = i + 1; k < l->n && n > 0; k++)
		n -= memcmp(l->v[k]->volume_id, l->v[i]->volume_id, 32) == 0;
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

static void flags_text(char *dst, size_t cap, const struct store_snapshot *sn,
    bool damaged)
{
	snprintf(dst, cap, "%s%s%s%s%s", damaged ? "damaged " : "",
	    sn->checkpoint ? "checkpoint " : "",
	    sn->flags & STORE_INCOMPLETE ? "incomplete " : "",
	    sn->content == STORE_BLOCK ? "block " : "",
	    sn->sealed ? "sealed " : "");
	if (*dst == '\0')
		snprintf(dst, cap, "-");
	else
		dst[strlen(dst) - 1] = '\0';
}

/* A volume's default name is host and paths: too long to repeat. */
void cli_volume_cell(struct cli_table *t, const struct store_snapshot *sn)
{
	struct buf paths = BUF_INIT;

	join(&paths, &sn->paths);
	cli_table_cell(t, sn->volume && *sn->volume &&
	    (paths.len == 1 || strstr(sn->volume, sn->paths.v[0]) == NULL) ?
	    sn->volume : paths.len > 1 ? (char *)paths.p : "-");
	buf_release(&paths);
}

static void add_row(struct cli_table *t, const struct store_snapshot *sn,
    const struct engine_size *size, bool damaged)
{
	struct buf tags = BUF_INIT;
	char text[CLI_TEXT_MAX];

	join(&tags, &sn->tags);
	cli_table_cell(t, sn->id);
	cli_table_cell(t, cli_time_text(text, sizeof(text), sn->start_ns));
	cli_table_cell(t, sn->host && *sn->host ? sn->host : "-");
	cli_volume_cell(t, sn);
	cli_table_cell(t, tags.len > 1 ? (char *)tags.p : "-");
	cli_table_cell(t, sn->sealed || sn->content == STORE_BLOCK ? "-" :
	    cli_count_text(text, sizeof(text), sn->files));
	cli_table_cell(t, cli_size_text(text, sizeof(text),
	    (double)sn->size));
	if (size != NULL) {
		cli_table_cell(t, cli_size_text(text, sizeof(text),
		    (double)size->unique));
		cli_table_cell(t, cli_size_text(text, sizeof(text),
		    (double)size->shared));
	}
	flags_text(text, sizeof(text), sn, damaged);
	cli_table_cell(t, text);
	buf_release(&tags);
}

/* --- sizes -----------------------------------------------------------------------*/

static int find_sizes(struct cli *cli, struct store *st,
    struct engine_sizes *ret, struct store_usage *usage)
{
	const struct store_info *info = store_info(st);
	struct engine_budget b;
	struct err err = ERR_INIT;
	size_t memory = TABLE_MIN;

	if (cli_budget(cli, info->stream.max > info->block.max ?
	        info->stream.max : info->block.max, &b, &err) < 0)
		return cli_fail(cli, &err, CLI_AT_WORK, "divide the memory");
	if (b.total > b.index + BESIDE + TABLE_MIN)
		memory = b.total - b.index - BESIDE;
	if (store_usage(st, usage, &err) < 0 ||
	    engine_sizes(st, memory, ret, &err) < 0)
		return cli_fail(cli, &err, CLI_AT_WORK, "find the sizes");
	return CLI_OK;
}

/* Bytes that checkpoints brought in, and all that the index names. */
static void add_up(const struct engine_sizes *s, const struct store_usage *u,
    uint64_t *ret_checkpoints, uint64_t *ret_named)
{
	*ret_checkpoints = *ret_named = 0;
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].checkpoint)
			*ret_checkpoints += s->v[i].unique + s->v[i].shared;
	for (int k = STORE_DATA; k <= STORE_STATE; k++)
		*ret_named += u->sealed[k];
}

static void print_sum(struct cli *cli, const struct engine_sizes *s,
    const struct store_usage *u)
{
	char a[CLI_TEXT_MAX], b[CLI_TEXT_MAX], c[CLI_TEXT_MAX];
	uint64_t checkpoints, named, unneeded;

	add_up(s, u, &checkpoints, &named);
	unneeded = named > s->live ? named - s->live : 0;
	if (cli->json) {
		cli_json_print(json_pack("{s:s, s:I, s:I, s:I, s:I}",
		    "message_type", "summary",
		    "live_bytes", (json_int_t)s->live,
		    "checkpoint_bytes", (json_int_t)checkpoints,
		    "unneeded_bytes", (json_int_t)unneeded,
		    "stored_bytes", (json_int_t)u->bytes));
		return;
	}
	if (cli->quiet)
		return;
	printf("\nneeded   %s in all: unique and shared of all snapshots%s%s\n",
	    cli_size_text(a, sizeof(a), (double)s->live),
	    checkpoints > 0 ? ", and of checkpoints " : "",
	    checkpoints > 0 ? cli_size_text(b, sizeof(b),
	        (double)checkpoints) : "");
	printf("stored   %s in all objects; %s of blobs that no snapshot needs\n",
	    cli_size_text(b, sizeof(b), (double)u->bytes),
	    cli_size_text(c, sizeof(c), (double)unneeded));
}

/* --- the list ----------------------------------------------------------------------*/

static json_t *row_json(const struct store_snapshot *sn,
    const struct engine_size *size, bool damaged)
{
	json_t *o = cli_json_snapshot(sn);

	json_object_set_new(o, "damaged", json_boolean(damaged));
	if (size != NULL) {
		json_object_set_new(o, "unique_bytes",
		    json_integer((json_int_t)size->unique));
		json_object_set_new(o, "shared_bytes",
		    json_integer((json_int_t)size->shared));
	}
	return o;
}

/* Has the last repair found that it lost something? */
static bool marked(struct store *st, const struct store_snapshot *sn)
{
	struct err err = ERR_INIT;
	bool damaged = false;

	if (store_snapshot_damaged(st, sn, &damaged, &err) < 0)
		cli_warn("what is listed as damaged cannot be read: %s",
		    err.msg);
	return damaged;
}

/* Print all; returns how many are not whole. */
static size_t print_list(struct cli *cli, struct store *st,
    const struct opts *o, const struct cli_snapshots *list,
    struct engine_sizes *sizes)
{
	static const char *const heads[] = {
		"ID", "TIME", "HOST", "VOLUME", "TAGS", "FILES", "SIZE",
		"FLAGS", NULL,
	};
	static const char *const with_sizes[] = {
		"ID", "TIME", "HOST", "VOLUME", "TAGS", "FILES", "SIZE",
		"UNIQUE", "SHARED", "FLAGS", NULL,
	};
	static const struct engine_size none;
	struct cli_table *table = NULL;
	size_t damaged = 0;

	if (!cli->json && list->n > 0)
		table = o->sizes ? cli_table_new(with_sizes, "lllllrrrrl") :
		    cli_table_new(heads, "lllllrrl");
	for (size_t i = 0; i < list->n; i++) {
		const struct engine_size *size = NULL;

		if (o->latest > 0 && !among_latest(list, i, o->latest))
			continue;
		if (o->sizes)
			size = engine_sizes_find(sizes, list->v[i]);
		/* One that was committed since has no size yet. */
		if (o->sizes && size == NULL)
			size = &none;
		/* By the last repair, or by what was found just now. */
		bool bad = marked(st, list->v[i]) ||
		    (size != NULL && size->damaged);

		if (size != NULL && size->damaged) {
			cli_warn("snapshot %s: not all that it needs is there "
			    "(run 'wherry check')", list->v[i]->id);
			damaged++;
		}
		if (cli->json)
			cli_json_print(row_json(list->v[i], size, bad));
		else
			add_row(table, list->v[i], size, bad);
	}
	if (table != NULL)
		cli_table_print(table);
	else if (!cli->json && !cli->quiet)
		printf("%s\n", cli_filter_given(cli) ?
		    "no snapshot matches" : "no snapshots yet");
	return damaged;
}

static int run(struct cli *cli, void *opts)
{
	const struct opts *o = opts;
	struct engine_sizes sizes = { 0 };
	struct store_usage usage = { 0 };
	struct cli_snapshots list;
	struct err err = ERR_INIT;
	struct cli_repo repo;
	int code = cli_repo_open(cli, o->sizes ? STORE_READ : 0,
	    "list snapshots", 0, &repo);

	if (code != CLI_OK)
		return code;
	cli->checkpoints = o->checkpoints;
	if (cli_snapshots_read(cli, repo.store, &list, &err) < 0) {
		code = cli_fail(cli, &err, CLI_AT_WORK, "list snapshots");
		cli_repo_close(&repo);
		return code;
	}
	if (o->sizes)
		code = find_sizes(cli, repo.store, &sizes, &usage);
	if (code == CLI_OK) {
		if (print_list(cli, repo.store, o, &list, &sizes) > 0 || list.bad > 0)
			code = CLI_DAMAGE;
		if (o->sizes)
			print_sum(cli, &sizes, &usage);
	}
	engine_sizes_release(&sizes);
	cli_snapshots_release(&list);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_snapshots = {
	.name = "snapshots",
	.summary = "List snapshots, the newest last",
	.text = "A checkpoint is what a backup had stored when it was stopped, or "
	    "after each few hours of a long one; it ends where the backup had "
	    "got to. The next backup of the volume goes on from it. It can be "
	    "restored by its id.\n\n"
	    "A credential that may only write sees that snapshots exist, "
	    "not of what: they are marked sealed.\n\n"
	    "With --sizes: UNIQUE is what only this snapshot needs, so what "
	    "forgetting it gives back; SHARED is what it was the first to "
	    "need and later ones need as well. Together they add up to what "
	    "all snapshots need.",
	.json = "  {\"id\",\"slot\",\"session\",\"content\",\"checkpoint\","
	    "\"start_time\",\n   \"end_time\",\"incomplete\",\"inodes_ignored\","
	    "\"ctimes_ignored\",\"counter\",\"parent_session\",\"origin\",\n   "
	    "\"size_bytes\",\"entries\",\"sealed\",\"volume\",\"host\","
	    "\"user\",\"program\",\n   \"paths\",\"tags\",\"files\","
	    "\"directories\",\"others\",\"read_bytes\",\n   \"new_bytes\","
	    "\"stored_bytes\"}  for each; from volume on only if not sealed; "
	    "with --sizes\n   also \"unique_bytes\",\"shared_bytes\","
	    "\"damaged\"\n"
	    "  {\"message_type\":\"summary\",\"live_bytes\","
	    "\"checkpoint_bytes\",\"unneeded_bytes\",\n   "
	    "\"stored_bytes\"}  last, with --sizes",
	.examples = "wherry snapshots\n"
	    "wherry snapshots --tag daily --latest 3\n"
	    "wherry snapshots --sizes\n"
	    "wherry snapshots --json | jq -r .id",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_FILTER |
	    CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.run = run,
};
