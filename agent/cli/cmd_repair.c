#include <stdio.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_care.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/repair.h"

struct opts { bool dry_run, read_data, sole; };

static const struct cli_option options[] = {
	{ "dry-run", 'n', NULL, "Tell what would be done; change nothing",
	    CLI_FLAG, offsetof(struct opts, dry_run) },
	{ "read-data", 0, NULL, "Read and verify the content of all packs, not "
	    "only of those in which a check has found damage", CLI_FLAG,
	    offsetof(struct opts, read_data) },
	{ "sole-administrator", 0, NULL, "Vouch that no other gc, key or repair "
	    "runs: needed where the store does not create atomically",
	    CLI_FLAG, offsetof(struct opts, sole) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

/* What is told on the way. */
struct telling { struct cli *cli; struct cli_told *told; };

static void object(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	struct telling *t = ctx;

	cli_told_object(t->told, key, id, what);
}

static void path(void *ctx, const char *snapshot, const char *name,
    const char *what)
{
	struct telling *t = ctx;

	cli_told_path(t->told, snapshot, name, what);
}

static void mended(void *ctx, const char *key, const char *what)
{
	struct telling *t = ctx;

	if (!t->cli->json) {
		cli_warn("%s: %s", key, what);
		return;
	}
	cli_json_print(json_pack("{s:s, s:o, s:o}", "message_type", "mended",
	    "key", cli_json_text(key), "message", cli_json_text(what)));
}

/* Is something lost, now that all was mended that could be? */
static bool lost(const struct engine_repair_result *r)
{
	return r->snapshots_damaged + r->unreadable > 0 || r->store.more;
}

static void print_object(const struct engine_repair_result *r, bool dry_run)
{
	json_t *o = json_object();
	const struct store_repair_result *s = &r->store;
	const struct { const char *name; uint64_t v; } numbers[] = {
		{ "packs", s->check.packs },
		{ "packs_read", s->check.packs_read },
		{ "read_bytes", s->check.bytes_read },
		{ "damaged_objects", s->check.damaged },
		{ "indexed_packs", s->indexed },
		{ "rescued_blobs", s->rescued },
		{ "blobs_by_parity", s->healed_blobs },
		{ "parity_written", s->parity },
		{ "removed_objects", s->removed },
		{ "rewritten_objects", s->rewritten },
		{ "listed", s->listed }, { "newly_listed", s->bad },
		{ "healed", s->healed }, { "lost_blobs", s->lost },
		{ "snapshots", r->snapshots },
		{ "damaged_snapshots", r->snapshots_damaged },
		{ "unreadable_snapshots", r->unreadable },
		{ "lost_paths", r->paths_damaged },
	};

	json_object_set_new(o, "message_type", json_string("summary"));
	json_object_set_new(o, "dry_run", json_boolean(dry_run));
	json_object_set_new(o, "lost", json_boolean(lost(r)));
	json_object_set_new(o, "more", json_boolean(s->more));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(o, numbers[i].name,
		    json_integer((json_int_t)numbers[i].v));
	cli_json_print(o);
}

static void print_mended(const struct store_repair_result *s, bool dry_run)
{
	char a[CLI_TEXT_MAX];

	if (s->indexed > 0)
		printf("%s %s: the index %s again\n",
		    dry_run ? "would mend" : "mended    ",
		    CLI_COUNTED(s->indexed, "pack", "packs"), s->indexed == 1 ?
		    "names it" : "names them");
	if (s->rescued > 0)
		printf("%s %s taken out of damaged packs\n",
		    dry_run ? "would mend" : "mended    ",
		    CLI_COUNTED(s->rescued, "blob", "blobs"));
	if (s->removed > 0)
		printf("%s %s replaced\n",
		    dry_run ? "would mend" : "mended    ",
		    CLI_COUNTED(s->removed, "unreadable object",
		    "unreadable objects"));
	if (s->healed_blobs + s->parity > 0)
		printf("parity     %s %s back by it, that of %s %s anew\n",
		    CLI_COUNTED(s->healed_blobs, "blob", "blobs"),
		    dry_run ? "can be put" : "put",
		    CLI_COUNTED(s->parity, "pack", "packs"),
		    dry_run ? "would be made" : "made");
	if (s->healed > 0)
		printf("healed     %s listed as damaged before: whole again, or "
		    "gone\n", CLI_COUNTED(s->healed, "was", "were"));
	if (s->listed > 0)
		printf("%s %s, %s of them new: what the list names counts as "
		    "absent,\n           so that a backup stores it anew\n",
		    dry_run ? "would list" : "listed    ", CLI_COUNTED(
		    s->listed, "damaged copy or lost blob",
		    "damaged copies and lost blobs"),
		    cli_count_text(a, sizeof(a), s->bad));
}

static void print_lost(const struct engine_repair_result *r, uint64_t paths,
    bool dry_run)
{
	printf("lost       %s needed by %s, at %s named above\n",
	    CLI_COUNTED(r->store.lost, "blob", "blobs"),
	    CLI_COUNTED(r->snapshots_damaged, "snapshot", "snapshots"),
	    CLI_COUNTED(paths, "path", "paths"));
	if (dry_run && r->store.indexed + r->store.rescued > 0)
		printf("           by the index as it is: what would be mended is "
		    "not counted as there\n");
	printf("next       back up the same sources: what they still have "
	    "is stored again, and heals\n           the older snapshots, "
	    "too. Then 'wherry repair' says what stays lost.\n           "
	    "While a snapshot is damaged gc deletes nothing; 'wherry "
	    "forget --id' gives it up.\n");
}

static void print_screen(const struct engine_repair_result *r, uint64_t paths,
    bool dry_run)
{
	const struct store_repair_result *s = &r->store;
	char a[CLI_TEXT_MAX];

	printf("looked at  %s, %s of them read, and %s: %s\n",
	    CLI_COUNTED(s->check.packs, "pack", "packs"),
	    cli_count_text(a, sizeof(a), s->check.packs_read),
	    CLI_COUNTED(r->snapshots, "snapshot", "snapshots"),
	    CLI_COUNTED(s->check.damaged, "damage", "damages"));
	print_mended(s, dry_run);
	if (s->more)
		printf("note       there is more damage than a list holds: back "
		    "up, then run repair again\n");
	if (r->snapshots_damaged > 0)
		print_lost(r, paths, dry_run);
	else if (r->unreadable > 0)
		printf("lost       %s, named above\n",
		    CLI_COUNTED(r->unreadable, "snapshot", "snapshots"));
	else if (s->check.damaged > 0)
		printf("nothing is lost%s\n", dry_run ? "" :
		    "; every snapshot is whole");
	else
		printf("no damage that is not known\n");
}

static int run(struct cli *cli, void *opts)
{
	const struct opts *o = opts;
	struct engine_repair_result result = { 0 };
	struct telling t = { .cli = cli };
	struct engine_repair_options repair = {
		.dry_run = o->dry_run, .read_data = o->read_data,
		.sole_administrator = o->sole,
		.object = object, .mended = mended, .path = path, .ctx = &t,
	};
	struct err err = ERR_INIT;
	struct cli_repo repo;
	int code = cli_repo_open(cli, STORE_ADMIN | STORE_READ, "repair",
	    CLI_OPEN_ENGINE | CLI_OPEN_STRICT | (o->dry_run ? 0 : CLI_OPEN_WRITE), &repo);

	if (code != CLI_OK)
		return code;
	t.told = cli_told_new(cli, true);
	cli_progress_start(cli, repo.engine, CLI_CHECKING);

	int r = engine_repair(repo.engine, repo.store, &repair, &result, &err);

	cli_progress_stop();

	uint64_t paths = cli_told_paths(t.told);

	cli_told_free(t.told);
	if (r < 0) {
		code = cli_fail(cli, &err, CLI_AT_WORK, "repair");
	} else {
		if (cli->json)
			print_object(&result, o->dry_run);
		else if (!cli->quiet)
			print_screen(&result, paths, o->dry_run);
		if (lost(&result) ||
		    (o->dry_run && result.store.check.damaged > 0))
			code = CLI_DAMAGE;
	}
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_repair = {
	.name = "repair",
	.summary = "Mend what is damaged, and say what is lost",
	.text = "Looks at every object as check does, and reads those packs in "
	    "which a check has found damage. Packs that the index does not "
	    "name are named again from their own directories; whole blobs are "
	    "taken out of packs that are damaged; unreadable parts of the "
	    "index are removed. Where packs have parity ('wherry init --parity') "
	    "damaged blobs are put back by it, as long as no more than that "
	    "share of a pack is damaged, and stored again; parity that is "
	    "missing or damaged is made anew. A pack that is missing wholly "
	    "cannot be put back. What cannot be mended is listed: it counts as "
	    "absent, so that the next backup of the same source stores it "
	    "again, also where a file has not changed. That heals older "
	    "snapshots, too.\n\n"
	    "Every path that has lost something is named, by snapshot, and "
	    "'wherry snapshots' marks those snapshots as damaged, until a "
	    "repair finds them whole. The exit code is 13 when something is "
	    "lost. It may be stopped at any moment, and run again; backups "
	    "and restores may run meanwhile.",
	.json = "  {\"message_type\":\"damaged_object\",\"key\",\"blob\","
	    "\"message\"}\n"
	    "  {\"message_type\":\"mended\",\"key\",\"message\"}\n"
	    "  {\"message_type\":\"lost_path\",\"snapshot_id\",\"path\","
	    "\"message\"}\n"
	    "  {\"message_type\":\"status\",...}  with --progress, as in "
	    "backup\n"
	    "  {\"message_type\":\"summary\",\"dry_run\",\"lost\",\"more\","
	    "\"packs\",\"packs_read\",\n   \"read_bytes\","
	    "\"damaged_objects\",\"indexed_packs\",\"rescued_blobs\",\n   "
	    "\"blobs_by_parity\",\"parity_written\","
	    "\"removed_objects\",\"rewritten_objects\",\"listed\","
	    "\"newly_listed\",\"healed\",\n   \"lost_blobs\",\"snapshots\","
	    "\"damaged_snapshots\",\"unreadable_snapshots\",\n   "
	    "\"lost_paths\"}",
	.examples = "wherry repair --dry-run\n"
	    "wherry repair --read-data",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_ENGINE |
	    CLI_G_PROGRESS | CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.run = run,
};
