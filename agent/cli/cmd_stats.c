#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "repo/store/store_check.h"

struct opts { bool snapshots; };

static const struct cli_option options[] = {
	{ "snapshots", 's', NULL, "Show also the size of each snapshot when "
	    "it is restored", CLI_FLAG, offsetof(struct opts, snapshots) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static const char *const kinds[] = { NULL, "data", "catalog", "state" };

static json_t *kind_json(const struct store_usage *u, int k)
{
	json_t *o = json_object();

	json_object_set_new(o, "blobs", json_integer((json_int_t)u->blobs[k]));
	json_object_set_new(o, "plain_bytes",
	    json_integer((json_int_t)u->plain[k]));
	json_object_set_new(o, "sealed_bytes",
	    json_integer((json_int_t)u->sealed[k]));
	return o;
}

static void print_objects(const struct store_usage *u,
    const struct cli_snapshots *l, uint64_t restore, bool each)
{
	json_t *o;

	for (size_t i = 0; each && i < l->n; i++) {
		o = json_object();
		json_object_set_new(o, "message_type",
		    json_string("snapshot"));
		json_object_set_new(o, "id", json_string(l->v[i]->id));
		json_object_set_new(o, "restore_bytes",
		    json_integer((json_int_t)l->v[i]->size));
		json_object_set_new(o, "entries",
		    json_integer((json_int_t)l->v[i]->entries));
		cli_json_print(o);
	}
	o = json_object();
	json_object_set_new(o, "message_type", json_string("summary"));
	json_object_set_new(o, "objects", json_integer((json_int_t)u->objects));
	json_object_set_new(o, "stored_bytes",
	    json_integer((json_int_t)u->bytes));
	json_object_set_new(o, "packs", json_integer((json_int_t)u->packs));
	json_object_set_new(o, "pack_bytes",
	    json_integer((json_int_t)u->pack_bytes));
	for (int k = STORE_DATA; k <= STORE_STATE; k++)
		json_object_set_new(o, kinds[k], kind_json(u, k));
	json_object_set_new(o, "snapshots", json_integer((json_int_t)l->n));
	json_object_set_new(o, "restore_bytes",
	    json_integer((json_int_t)restore));
	cli_json_print(o);
}

static void print_ratio(const char *what, uint64_t a, uint64_t b)
{
	if (b > 0 && a > 0)
		printf("%-12s %.2f : 1\n", what, (double)a / (double)b);
}

static void print_screen(const struct store_usage *u,
    const struct cli_snapshots *l, uint64_t restore)
{
	char a[CLI_TEXT_MAX], b[CLI_TEXT_MAX];

	printf("%-12s %s in %s, %s of them packs\n", "stored",
	    cli_size_text(a, sizeof(a), (double)u->bytes),
	    CLI_COUNTED(u->objects, "object", "objects"),
	    cli_count_text(b, sizeof(b), u->packs));
	for (int k = STORE_DATA; k <= STORE_STATE; k++)
		printf("%-12s %s, %s stored as %s\n", kinds[k],
		    CLI_COUNTED(u->blobs[k], "blob", "blobs"),
		    cli_size_text(a, sizeof(a), (double)u->plain[k]),
		    cli_size_text(b, sizeof(b), (double)u->sealed[k]));
	printf("%-12s %s, %s when all are restored\n", "snapshots",
	    cli_count_text(a, sizeof(a), l->n),
	    cli_size_text(b, sizeof(b), (double)restore));
	print_ratio("compressed", u->plain[STORE_DATA], u->sealed[STORE_DATA]);
	print_ratio("shared", restore, u->plain[STORE_DATA]);
	print_ratio("in all", restore, u->bytes);
}

static void print_snapshots(const struct cli_snapshots *l)
{
	static const char *const heads[] = {
		"ID", "TIME", "ENTRIES", "RESTORED SIZE", NULL,
	};
	struct cli_table *t = cli_table_new(heads, "llrr");
	char text[CLI_TEXT_MAX];

	for (size_t i = 0; i < l->n; i++) {
		cli_table_cell(t, l->v[i]->id);
		cli_table_cell(t, cli_time_text(text, sizeof(text),
		    l->v[i]->start_ns));
		cli_table_cell(t, cli_count_text(text, sizeof(text),
		    l->v[i]->entries));
		cli_table_cell(t, cli_size_text(text, sizeof(text),
		    (double)l->v[i]->size));
	}
	cli_table_print(t);
	printf("\n");
}

static int run(struct cli *cli, void *opts)
{
	const struct opts *o = opts;
	struct store_usage usage;
	struct cli_snapshots list;
	struct err err = ERR_INIT;
	struct cli_repo repo;
	uint64_t restore = 0;
	int code = cli_repo_open(cli, 0, "count", 0, &repo);

	if (code != CLI_OK)
		return code;
	memset(&usage, 0, sizeof(usage));
	if (cli_snapshots_read(cli, repo.store, &list, &err) < 0 ||
	    store_usage(repo.store, &usage, &err) < 0) {
		code = cli_fail(cli, &err, CLI_AT_WORK, "count what is stored");
		cli_snapshots_release(&list);
		cli_repo_close(&repo);
		return code;
	}
	for (size_t i = 0; i < list.n; i++)
		restore += list.v[i]->size;
	if (cli->json) {
		print_objects(&usage, &list, restore, o->snapshots);
	} else {
		if (o->snapshots)
			print_snapshots(&list);
		print_screen(&usage, &list, restore);
	}
	code = list.bad > 0 ? CLI_DAMAGE : CLI_OK;
	cli_snapshots_release(&list);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_stats = {
	.name = "stats",
	.summary = "Show what is stored and what it saves",
	.text = "Counts the objects of the repository, the blobs by kind from "
	    "the index, and what the snapshots take when they are restored. "
	    "'shared' is what deduplication saves, over all snapshots.",
	.json = "  {\"message_type\":\"snapshot\",\"id\",\"restore_bytes\","
	    "\"entries\"}  with --snapshots\n"
	    "  {\"message_type\":\"summary\",\"objects\",\"stored_bytes\","
	    "\"packs\",\"pack_bytes\",\n   \"data\":{\"blobs\","
	    "\"plain_bytes\",\"sealed_bytes\"},\"catalog\":{...},\n   "
	    "\"state\":{...},\"snapshots\",\"restore_bytes\"}",
	.examples = "wherry stats\nwherry stats --snapshots",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.run = run,
};
