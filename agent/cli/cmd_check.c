#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_care.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/query.h"
#include "repo/base/bytes.h"

struct opts { unsigned read_percent; };

static const struct cli_option options[] = {
	{ "read-data", 0, "N%", "Read and verify also the content of all packs, "
	    "or of N percent of their bytes", CLI_PERCENT,
	    offsetof(struct opts, read_percent) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

/* A damaged object; called from any thread. */
static void object(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	struct cli *cli = ctx;
	char hex[2 * STORE_ID_LEN + 1] = "";

	if (id != NULL)
		hex_encode(hex, id, STORE_ID_LEN);
	cli_warn("damage in %s%s%s: %s", key, id ? ", blob " : "", hex, what);
	if (!cli->json)
		return;

	json_t *o = json_object();

	json_object_set_new(o, "message_type", json_string("damaged_object"));
	json_object_set_new(o, "key", cli_json_text(key));
	if (id != NULL)
		json_object_set_new(o, "blob", json_string(hex));
	json_object_set_new(o, "message", cli_json_text(what));
	cli_json_print(o);
}

static void path(void *ctx, const char *snapshot, const char *name,
    const char *what)
{
	struct cli *cli = ctx;

	if (!cli->json) {
		char *text = cli_escaped(name);

		cli_warn("snapshot %s: %s: %s", snapshot, text, what);
		free(text);
		return;
	}

	json_t *o = json_object();

	json_object_set_new(o, "message_type", json_string("damaged_path"));
	json_object_set_new(o, "snapshot_id", cli_json_text(snapshot));
	cli_json_set_bytes(o, "path", name, strlen(name));
	json_object_set_new(o, "message", cli_json_text(what));
	cli_json_print(o);
}

static void ranges(void *ctx, const char *key, const char *what, bool healable)
{
	struct cli *cli = ctx;

	if (!cli->json) {
		cli_warn("%s: %s: %s", key, what, healable ? "'wherry repair' can "
		    "put them back by parity" : "more than parity can put back; "
		    "'wherry repair' saves what can be had");
		return;
	}
	cli_json_print(json_pack("{s:s, s:o, s:o, s:b}", "message_type",
	    "damaged_ranges", "key", cli_json_text(key), "message",
	    cli_json_text(what), "healable", healable));
}

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
	char a[CLI_TEXT_MAX], b[CLI_TEXT_MAX];

	cli_count_text(a, sizeof(a), r->store.known);
	if (r->listed > 0)
		printf("known      %s damages that a repair has listed: snapshots "
		    "need %s of the blobs, at the paths named above\n", a,
		    cli_count_text(b, sizeof(b), r->listed));
	else if (r->store.known > 0)
		printf("known      %s damages that a repair has listed: nothing%s "
		    "relies on them\n", a,
		    r->complete ? "" : " that could be followed");
}

static void print_screen(const struct engine_check_result *r)
{
	char a[CLI_TEXT_MAX], b[CLI_TEXT_MAX], c[CLI_TEXT_MAX];

	printf("looked at  %s packs, %s blobs, %s snapshots\n",
	    cli_count_text(a, sizeof(a), r->store.packs),
	    cli_count_text(b, sizeof(b), r->store.blobs),
	    cli_count_text(c, sizeof(c), r->snapshots));
	if (r->store.packs_read > 0)
		printf("read       %s packs, %s\n",
		    cli_count_text(a, sizeof(a), r->store.packs_read),
		    cli_size_text(b, sizeof(b), (double)r->store.bytes_read));
	if (r->store.unindexed > 0)
		printf("unindexed  %s packs: they take space, nothing needs "
		    "them\n", cli_count_text(a, sizeof(a),
		    r->store.unindexed));
	if (r->store.unprotected > 0)
		printf("parity     %s packs have none: 'wherry repair' makes it\n",
		    cli_count_text(a, sizeof(a), r->store.unprotected));
	print_known(r);
	if (!r->complete)
		printf("note       this credential may not read: what snapshots "
		    "hold was not followed\n");
	if (damaged(r))
		printf("damage     %s objects or blobs, %s blobs missing, %s "
		    "snapshots and %s paths are touched, named above\n",
		    cli_count_text(a, sizeof(a), r->store.damaged),
		    cli_count_text(b, sizeof(b), r->missing),
		    cli_count_text(c, sizeof(c), r->snapshots_damaged),
		    cli_count_text((char[CLI_TEXT_MAX]){ 0 }, CLI_TEXT_MAX,
		    r->paths_damaged));
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
		.object = object,
		.path = path,
		.ranges = ranges,
		.ctx = cli,
	};
	struct err err = ERR_INIT;
	int r;

	cli_progress_start(cli, repo->engine, CLI_CHECKING);
	r = engine_check(repo->engine, repo->store, &check, &result, &err);
	cli_progress_stop();
	if (r < 0)
		return cli_fail(cli, &err, CLI_AT_WORK, "check");
	if (cli->json)
		print_object(&result);
	else if (!cli->quiet)
		print_screen(&result);
	return damaged(&result) ? CLI_DAMAGE : CLI_OK;
}

static int run(struct cli *cli, void *opts)
{
	const struct opts *o = opts;
	struct cli_repo repo;
	/* When packs were verified is written down, by who may. */
	int code = cli_repo_open(cli, 0, "check", CLI_OPEN_ENGINE |
	    (o->read_percent > 0 ? CLI_OPEN_WRITE : 0), &repo);

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
