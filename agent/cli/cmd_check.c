#include <stdio.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_care.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/query.h"

struct opts { unsigned read_percent; };

static const struct cli_option options[] = {
	{ "read-data", 0, "N%", "Read and verify also the content of all packs, "
	    "or of N percent of their bytes", CLI_PERCENT,
	    offsetof(struct opts, read_percent) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static bool damaged(const struct engine_check_result *r)
{
	return r->store.damaged + r->snapshots_damaged + r->paths_damaged +
	    r->missing > 0;
}

static void print_object(const struct engine_check_result *r)
{
	json_t *o = json_object();
	const struct { const char *name; uint64_t v; } numbers[] = {
		{ "packs", r->store.packs }, { "blobs", r->store.blobs },
		{ "segments", r->store.segments },
		{ "snapshots", r->snapshots },
		{ "packs_read", r->store.packs_read },
		{ "read_bytes", r->store.bytes_read },
		{ "damaged_objects", r->store.damaged },
		{ "unindexed_packs", r->store.unindexed },
		{ "unprotected_packs", r->store.unprotected },
		{ "known_damages", r->store.known },
		{ "needed_damages", r->listed },
		{ "verified_packs", r->store.recorded },
		{ "missing_blobs", r->missing },
		{ "damaged_snapshots", r->snapshots_damaged },
		{ "damaged_paths", r->paths_damaged },
	};

	json_object_set_new(o, "message_type", json_string("summary"));
	json_object_set_new(o, "damage", json_boolean(damaged(r)));
	json_object_set_new(o, "complete", json_boolean(r->complete));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(o, numbers[i].name,
		    json_integer((json_int_t)numbers[i].v));
	cli_json_print(o);
}

/* What a repair has listed, and whether that still harms anything. */
static void print_known(const struct engine_check_result *r)
{
	if (r->store.known == 0)
		return;
	printf("known      %s that a repair has listed: ", CLI_COUNTED(
	    r->store.known, "damage", "damages"));
	if (r->listed > 0)
		printf("snapshots need %s of them, at the paths named above\n",
		    CLI_COUNTED(r->listed, "blob", "blobs"));
	else
		printf("nothing%s relies on %s\n", r->complete ? "" :
		    " that could be followed", r->store.known == 1 ? "it" :
		    "them");
}

static void print_damage(const struct engine_check_result *r, uint64_t paths)
{
	const char *sep = "";

	printf("damage     ");
	if (r->store.damaged > 0)
		printf("%s", CLI_COUNTED(r->store.damaged,
		    "object or blob is damaged", "objects or blobs are damaged"));
	sep = r->store.damaged > 0 ? ", " : "";
	if (r->missing > 0)
		printf("%s%s", sep, CLI_COUNTED(r->missing,
		    "blob is missing", "blobs are missing"));
	sep = r->store.damaged + r->missing > 0 ? "; " : "";
	if (r->snapshots_damaged > 0)
		printf("%s%s touched, at %s named above", sep, CLI_COUNTED(
		    r->snapshots_damaged, "snapshot is", "snapshots are"),
		    CLI_COUNTED(paths, "path", "paths"));
	else
		printf("%sno snapshot %s", sep, r->complete ?
		    "has lost anything by it" : "could be looked at");
	printf("\nnext       %s\n", r->store.damaged + r->missing > 0 ?
	    "'wherry repair --dry-run' tells what can be mended, 'wherry "
	    "repair' mends it" : "back up the same sources, which heals what "
	    "they still have; then 'wherry repair'");
}

static void print_screen(const struct engine_check_result *r, uint64_t paths)
{
	char a[CLI_TEXT_MAX];

	printf("looked at  %s, %s, %s\n",
	    CLI_COUNTED(r->store.packs, "pack", "packs"),
	    CLI_COUNTED(r->store.blobs, "blob", "blobs"),
	    CLI_COUNTED(r->snapshots, "snapshot", "snapshots"));
	if (r->store.packs_read > 0)
		printf("read       %s, %s\n",
		    CLI_COUNTED(r->store.packs_read, "pack", "packs"),
		    cli_size_text(a, sizeof(a), (double)r->store.bytes_read));
	if (r->store.unindexed > 0)
		printf("unindexed  %s: %s\n", CLI_COUNTED(r->store.unindexed,
		    "pack", "packs"), r->missing > 0 ? "what is missing may be "
		    "there, and repair finds it" : r->complete ? "they take "
		    "space, nothing needs them" : "they take space");
	if (r->store.unprotected > 0)
		printf("parity     %s none: 'wherry repair' makes it\n",
		    CLI_COUNTED(r->store.unprotected, "pack has", "packs have"));
	print_known(r);
	if (!r->complete)
		printf("note       this credential may not read: what snapshots "
		    "hold was not followed\n");
	if (damaged(r))
		print_damage(r, paths);
	else
		printf("no damage\n");
}

int cli_check_run(struct cli *cli, struct cli_repo *repo,
    unsigned read_percent)
{
	struct engine_check_result result = { 0 };
	struct engine_check_options check = {
		.read_percent = read_percent,
		.record = true,
		.object = cli_told_object,
		.path = cli_told_path,
		.ranges = cli_told_ranges,
		.ctx = cli_told_new(cli, false),
	};
	struct err err = ERR_INIT;
	uint64_t paths;
	int r;

	cli_progress_start(cli, repo->engine, CLI_CHECKING);
	r = engine_check(repo->engine, repo->store, &check, &result, &err);
	cli_progress_stop();
	paths = cli_told_paths(check.ctx);
	cli_told_free(check.ctx);
	if (r < 0)
		return cli_fail(cli, &err, CLI_AT_WORK, "check");
	if (cli->json)
		print_object(&result);
	else if (!cli->quiet)
		print_screen(&result, paths);
	return damaged(&result) ? CLI_DAMAGE : CLI_OK;
}

static int run(struct cli *cli, void *opts)
{
	const struct opts *o = opts;
	struct cli_repo repo;
	/* When packs were verified is written down, by who may. */
	int code = cli_repo_open(cli, 0, "check", CLI_OPEN_ENGINE |
	    CLI_OPEN_STRICT | (o->read_percent > 0 ? CLI_OPEN_WRITE : 0), &repo);

	if (code != CLI_OK)
		return code;
	code = cli_check_run(cli, &repo, o->read_percent);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_check = {
	.name = "check",
	.summary = "Look for damage in the repository",
	.text = "Looks at every object: signatures, index, sizes of packs, and "
	    "that each snapshot reaches only blobs that are there. With "
	    "--read-data also the content is read and verified: with N% and a "
	    "credential that may administrate, what was verified longest ago, "
	    "and that is written down; else what is drawn by lot. Damage is "
	    "told by object, snapshot and path, and the exit code is 13; what "
	    "is not named can be restored. Of a damaged pack that has parity "
	    "(see 'wherry init') it is said which bytes are damaged, and "
	    "whether they can be put back. 'wherry repair' mends what can be "
	    "mended; what it has listed as damaged is no news, unless a "
	    "snapshot needs it.",
	.json = "  {\"message_type\":\"damaged_object\",\"key\",\"blob\","
	    "\"message\"}\n"
	    "  {\"message_type\":\"damaged_path\",\"snapshot_id\",\"path\","
	    "\"message\"}\n"
	    "  {\"message_type\":\"damaged_ranges\",\"key\",\"message\","
	    "\"healable\"}\n"
	    "  {\"message_type\":\"status\",...}  with --progress, as in "
	    "backup\n"
	    "  {\"message_type\":\"summary\",\"damage\",\"complete\","
	    "\"packs\",\"blobs\",\"segments\",\n   \"snapshots\","
	    "\"packs_read\",\"read_bytes\",\"damaged_objects\",\n   "
	    "\"unindexed_packs\",\"unprotected_packs\",\"known_damages\",\n   "
	    "\"needed_damages\","
	    "\"verified_packs\","
	    "\"missing_blobs\",\"damaged_snapshots\","
	    "\"damaged_paths\"}",
	.examples = "wherry check\n"
	    "wherry check --read-data=5%",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_ENGINE |
	    CLI_G_PROGRESS | CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.run = run,
};
