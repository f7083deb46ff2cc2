#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/restore.h"
#include "repo/base/cleanup.h"

struct opts {
	const char *target;
	struct cli_list include, exclude;
	bool in_place, delete_extra, dry_run, verify, sparse, no_owner;
};

#define AT(field) offsetof(struct opts, field)

static const struct cli_option options[] = {
	{ "target", 't', "DIR", "Where to: a directory (made if missing), or "
	    "for a block volume a device or image file", CLI_FILE,
	    AT(target) },
	{ "include", 'i', "PATTERN", "Restore only what matches, by the rules "
	    "of .gitignore (may be repeated)", CLI_LIST, AT(include) },
	{ "exclude", 'e', "PATTERN", "Leave out what matches (may be "
	    "repeated)", CLI_LIST, AT(exclude) },
	{ "in-place", 0, NULL, "The target may hold files: write only what "
	    "differs", CLI_FLAG, AT(in_place) },
	{ "delete", 0, NULL, "With --in-place: remove what the snapshot does "
	    "not have", CLI_FLAG, AT(delete_extra) },
	{ "dry-run", 'n', NULL, "Tell what would be done, change nothing",
	    CLI_FLAG, AT(dry_run) },
	{ "verify", 0, NULL, "Read back what was restored and compare",
	    CLI_FLAG, AT(verify) },
	{ "sparse", 0, NULL, "Make holes of zero runs, too", CLI_FLAG,
	    AT(sparse) },
	{ "no-owner", 0, NULL, "Do not restore owners and groups", CLI_FLAG,
	    AT(no_owner) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

/* One path with what was done, for --verbose and --dry-run. */
static void action(void *ctx, const char *path, const char *what,
    uint64_t bytes)
{
	struct cli *cli = ctx;
	CLEANUP_FREE char *text = cli_escaped(path);

	if (cli->json) {
		json_t *o = json_object();

		json_object_set_new(o, "message_type", json_string("action"));
		json_object_set_new(o, "action", json_string(what));
		cli_json_set_bytes(o, "path", path, strlen(path));
		json_object_set_new(o, "size_bytes",
		    json_integer((json_int_t)bytes));
		cli_json_print(o);
		return;
	}
	if (strcmp(what, "same") == 0 && cli->verbose < 2)
		return;
	cli_output_lock();
	printf("%-8s %s\n", what, text);
	fflush(stdout);
	cli_output_unlock();
}

static void print_object(const struct engine_restore_result *r, bool dry_run)
{
	json_t *o = json_object();
	double s = (double)r->elapsed_ns / 1e9;
	const struct { const char *name; uint64_t v; } numbers[] = {
		{ "files", r->files }, { "directories", r->dirs },
		{ "others", r->others }, { "hard_links", r->links },
		{ "unchanged", r->same }, { "deleted", r->deleted },
		{ "total_bytes", r->bytes },
		{ "written_bytes", r->bytes_written },
		{ "fetched_bytes", r->bytes_fetched },
		{ "errors", r->errors }, { "metadata_lost", r->metadata_lost },
		{ "owners_lost", r->owners_lost },
		{ "damaged", r->damaged },
	};

	json_object_set_new(o, "message_type", json_string("summary"));
	json_object_set_new(o, "dry_run", json_boolean(dry_run));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(o, numbers[i].name,
		    json_integer((json_int_t)numbers[i].v));
	json_object_set_new(o, "elapsed_seconds", json_real(s));
	json_object_set_new(o, "bytes_per_second",
	    json_real(s > 0 ? (double)r->bytes / s : 0));
	cli_json_print(o);
}

static void print_screen(const struct engine_restore_result *r, bool dry_run,
    bool in_place)
{
	char a[CLI_TEXT_MAX], b[CLI_TEXT_MAX], c[CLI_TEXT_MAX];
	double s = (double)r->elapsed_ns / 1e9;

	printf("%s  %s, %s, %s", in_place ? "compared     " :
	    dry_run ? "would restore" : "restored     ",
	    CLI_COUNTED(r->files, "file", "files"),
	    CLI_COUNTED(r->dirs, "directory", "directories"),
	    CLI_COUNTED(r->others, "other", "others"));
	if (r->links > 0)
		printf(", %s", CLI_COUNTED(r->links, "hard link",
		    "hard links"));
	printf("\n");
	if (in_place)
		printf("in place       %s had the same content, %s %s\n",
		    cli_count_text(a, sizeof(a), r->same),
		    cli_count_text(b, sizeof(b), r->deleted),
		    dry_run ? "would be deleted" : "deleted");
	printf("size           %s, %s %s, fetched %s\n",
	    cli_size_text(a, sizeof(a), (double)r->bytes),
	    dry_run ? "would write" : "written",
	    cli_size_text(b, sizeof(b), (double)r->bytes_written),
	    cli_size_text(c, sizeof(c), (double)r->bytes_fetched));
	printf("time           %s, %s\n",
	    cli_duration_text(a, sizeof(a), r->elapsed_ns),
	    cli_rate_text(b, sizeof(b), s > 0 ? (double)r->bytes / s : 0));
	if (r->owners_lost > 0)
		printf("owners         of %s could not be kept: only root may "
		    "(--no-owner asks for none,\n               -v names "
		    "them)\n", CLI_COUNTED(r->owners_lost, "path", "paths"));
	if (r->errors > 0)
		printf("problems       %s, named above; %s of them in metadata "
		    "only, %s by damage in the repository\n",
		    cli_count_text(a, sizeof(a), r->errors),
		    cli_count_text(b, sizeof(b), r->metadata_lost),
		    cli_count_text(c, sizeof(c), r->damaged));
}

static int make_filter(const struct cli_list *l, struct engine_filter **ret,
    struct err *err)
{
	if (l->n == 0)
		return 0;
	*ret = engine_filter_new(err);
	if (*ret == NULL)
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		if (engine_filter_add(*ret, l->v[i], err) < 0)
			return -1;
	}
	return 0;
}

static int work(struct cli *cli, const struct opts *o, struct cli_repo *repo)
{
	struct engine_filter *include = NULL, *exclude = NULL;
	struct engine_restore_options r = {
		.target = o->target,
		.in_place = o->in_place,
		.delete_extra = o->delete_extra,
		.dry_run = o->dry_run,
		.verify = o->verify,
		.sparse = o->sparse,
		.no_owner = o->no_owner,
		.tell_owners = cli->verbose > 0,
		.report = cli_report,
		.report_ctx = cli,
	};
	struct engine_restore_result result = { 0 };
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;
	int code, done = -1;

	if ((o->dry_run && !cli->quiet) || cli->verbose > 0)
		r.action = action;
	if (make_filter(&o->include, &include, &err) < 0 ||
	    make_filter(&o->exclude, &exclude, &err) < 0) {
		code = cli_fail(cli, &err, CLI_AT_WORK, "use the patterns");
		goto out;
	}
	r.include = include;
	r.exclude = exclude;
	if (cli_snapshot_find(repo->store, cli->argv[0], &sn, &r.path,
	    &err) < 0) {
		code = cli_fail(cli, &err, CLI_AT_WORK,
		    "find the snapshot %s", cli->argv[0]);
		goto out;
	}
	r.snapshot = sn;
	if (sn->checkpoint)
		cli_warn("%s is a checkpoint of a backup that was not complete: it "
		    "ends where that had got to", sn->id);
	cli_signals_say(o->dry_run ? CLI_STOPPING : "stopping; what is restored "
	    "stays, and 'restore --in-place' goes on with it");
	cli_progress_start(cli, repo->engine, CLI_WRITING);
	done = engine_restore(repo->engine, repo->store, &r, &result, &err);
	cli_progress_stop();
	if (done < 0) {
		code = cli_fail(cli, &err, CLI_AT_WORK, "restore %s to %s",
		    cli->argv[0], o->target);
		goto out;
	}
	if (cli->json)
		print_object(&result, o->dry_run);
	else if (!cli->quiet)
		print_screen(&result, o->dry_run, o->in_place);
	else if (result.owners_lost > 0)
		cli_warn("the owners of %s could not be kept: only root may "
		    "(--no-owner asks for none)",
		    CLI_COUNTED(result.owners_lost, "path", "paths"));
	code = result.damaged > 0 ? CLI_DAMAGE :
	    result.errors + result.owners_lost > 0 || sn->checkpoint ? CLI_PARTLY : CLI_OK;
out:
	store_snapshot_free(sn);
	engine_filter_free(include);
	engine_filter_free(exclude);
	return code;
}

static int run(struct cli *cli, void *opts)
{
	const struct opts *o = opts;
	struct cli_repo repo;

	if (o->target == NULL)
		return cli_usage(cli, "nowhere to restore to (give --target)");
	if (o->delete_extra && !o->in_place)
		return cli_usage(cli, "--delete is about a target that holds "
		    "files (give --in-place with it)");

	int code = cli_repo_open(cli, STORE_READ, "restore", CLI_OPEN_ENGINE,
	    &repo);

	if (code != CLI_OK)
		return code;
	code = work(cli, o, &repo);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_restore = {
	.name = "restore",
	.args = "SNAPSHOT[:PATH]",
	.summary = "Write a snapshot, or a part of it, to a directory or device",
	.text = "SNAPSHOT is an id, the unique beginning of one, 'latest', "
	    "'latest@VOLUME', or '@2026-11-01T12:00': the newest not after "
	    "that time. With PATH only that file or directory.\n\n"
	    "Everything is restored as it was: owners, modes, times, extended "
	    "attributes, hard links, holes. Nothing outside of the target is "
	    "ever written. A path that could not be restored wholly is named, "
	    "and the exit code is 3, or 13 when the repository is damaged "
	    "there. Owners that only root may give are counted, "
	    "not named. A checkpoint, by its id, gives what it holds, and 3. "
	    "--verbose names every path.",
	.json = "  {\"message_type\":\"action\",\"action\",\"path\","
	    "\"size_bytes\"}  with --dry-run or -v;\n   the action is create, "
	    "update, metadata, delete or same\n"
	    "  {\"message_type\":\"problem\",\"path\",\"class\",\"message\"}\n"
	    "  {\"message_type\":\"status\",...}  with --progress, as in "
	    "backup\n"
	    "  {\"message_type\":\"summary\",\"dry_run\",\"files\","
	    "\"directories\",\"others\",\n   \"hard_links\",\"unchanged\","
	    "\"deleted\",\"total_bytes\",\"written_bytes\",\n   "
	    "\"fetched_bytes\",\"errors\",\"metadata_lost\",\"owners_lost\",\n   "
	    "\"damaged\",\"elapsed_seconds\",\"bytes_per_second\"}",
	.examples = "wherry restore latest --target /tmp/restored\n"
	    "wherry restore 3f2a91c0:home/anna --target ~/old\n"
	    "wherry restore latest@data --target /dev/vg0/data --in-place",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_ENGINE |
	    CLI_G_PROGRESS | CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
