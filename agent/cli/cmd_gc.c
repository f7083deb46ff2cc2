#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_care.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "repo/base/buf.h"
#include "repo/base/bytes.h"
#include "repo/base/clock.h"

struct opts {
	bool wait, abandon, dry_run, sole;
	unsigned max_waste;
	uint64_t max_repack;
};

static const struct cli_option options[] = {
	{ "dry-run", 'n', NULL, "Tell what would be freed; change nothing",
	    CLI_FLAG, offsetof(struct opts, dry_run) },
	{ "wait", 0, NULL, "Wait for backups that began before this collection, "
	    "instead of leaving the rest to the next run", CLI_FLAG,
	    offsetof(struct opts, wait) },
	{ "abandon", 0, NULL, "Give up a collection that was begun; nothing is "
	    "lost by it", CLI_FLAG, offsetof(struct opts, abandon) },
	{ "max-waste", 0, "N%", "Repack packs of which more than this is dead "
	    "(20%)", CLI_SHARE, offsetof(struct opts, max_waste) },
	{ "max-repack", 0, "SIZE", "Repack packs of this size together at "
	    "most (default: all that need it)",
	    CLI_SIZE, offsetof(struct opts, max_repack) },
	{ "sole-administrator", 0, NULL, "Vouch that no other gc, key or repair "
	    "runs: needed where the store does not create atomically",
	    CLI_FLAG, offsetof(struct opts, sole) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

/* Sessions that were told already: the collector looks again and again. */
struct told {
	struct cli *cli;
	struct buf names;
};

static bool was_told(struct told *t, const char *session)
{
	for (size_t at = 0; at < t->names.len;
	    at += strlen((const char *)t->names.p + at) + 1)
		if (strcmp((const char *)t->names.p + at, session) == 0)
			return true;
	buf_add(&t->names, session, strlen(session) + 1);
	if (t->names.failed)
		cli_nomem();
	return false;
}

static void waiting(void *ctx, const struct store_session_info *s)
{
	struct told *t = ctx;
	char age[CLI_TEXT_MAX], silent[CLI_TEXT_MAX];
	char slot[2 * STORE_SLOT_LEN + 1];
	int64_t now = clock_real_ns();

	if (was_told(t, s->session))
		return;
	hex_encode(slot, s->slot, STORE_SLOT_LEN);
	if (t->cli->json) {
		json_t *o = json_object();

		json_object_set_new(o, "message_type", json_string("waiting"));
		json_object_set_new(o, "slot", json_string(slot));
		json_object_set_new(o, "session", json_string(s->session));
		cli_json_set_bytes(o, "host", s->host, strlen(s->host));
		json_object_set_new(o, "start_time", cli_json_time(s->start_ns));
		json_object_set_new(o, "alive_time",
		    cli_json_time(s->modified_ns));
		cli_json_print(o);
		return;
	}
	if (t->cli->quiet)
		return;

	char *host = cli_escaped(s->host);

	cli_output_lock();
	printf("open       session %s/%s of %s: begun %s ago, last sign of life "
	    "%s ago\n", slot, s->session, host[0] != '\0' ? host : "?",
	    cli_duration_text(age, sizeof(age), now > s->start_ns ?
	        now - s->start_ns : 0),
	    cli_duration_text(silent, sizeof(silent), now > s->modified_ns ?
	        now - s->modified_ns : 0));
	fflush(stdout);
	cli_output_unlock();
	free(host);
}

static const char *outcome_name(enum store_gc_outcome o)
{
	static const char *const names[] = {
		[STORE_GC_NOTHING] = "nothing", [STORE_GC_WAITING] = "waiting",
		[STORE_GC_DONE] = "done", [STORE_GC_VOID] = "void",
		[STORE_GC_LOST] = "lost",
	};

	return names[o];
}

static void print_object(const struct store_gc_result *r, bool dry_run)
{
	json_t *o = json_object();
	const struct { const char *name; uint64_t v; } numbers[] = {
		{ "generation", r->generation },
		{ "snapshots", r->snapshots },
		{ "blobs", r->blobs }, { "dead_blobs", r->blobs_dead },
		{ "packs", r->packs }, { "packs_bytes", r->bytes },
		{ "unindexed_packs", r->unindexed_packs },
		{ "deleted_packs", r->packs_deleted },
		{ "deleted_bytes", r->bytes_deleted },
		{ "repacked_packs", r->packs_repacked },
		{ "repacked_bytes", r->bytes_repacked },
		{ "written_bytes", r->bytes_written },
		{ "removed_objects", r->objects_removed },
		{ "waiting_sessions", r->sessions_waiting },
		{ "revoked_sessions", r->sessions_revoked },
	};

	json_object_set_new(o, "message_type", json_string("summary"));
	json_object_set_new(o, "dry_run", json_boolean(dry_run));
	json_object_set_new(o, "outcome",
	    json_string(outcome_name(r->outcome)));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(o, numbers[i].name,
		    json_integer((json_int_t)numbers[i].v));
	cli_json_print(o);
}

/* What was done, or would be. */
static void print_freed(const struct store_gc_result *r, bool dry_run)
{
	char a[CLI_TEXT_MAX], b[CLI_TEXT_MAX];
	uint64_t freed = r->bytes_deleted > r->bytes_written ?
	    r->bytes_deleted - r->bytes_written : 0;

	if (r->packs_deleted > 0)
		printf("%s %s, %s; %s of them repacked\n",
		    dry_run ? "would go  " : "deleted   ",
		    CLI_COUNTED(r->packs_deleted, "pack", "packs"),
		    cli_size_text(a, sizeof(a), (double)r->bytes_deleted),
		    cli_count_text(b, sizeof(b), r->packs_repacked));
	if (r->bytes_written > 0)
		printf("%s %s of blobs that are needed\n",
		    dry_run ? "would move" : "written   ",
		    cli_size_text(a, sizeof(a), (double)r->bytes_written));
	if (r->packs_deleted > 0)
		printf("%s %s\n", dry_run ? "would free" : "freed     ",
		    cli_size_text(a, sizeof(a), (double)freed));
}

static void print_screen(const struct store_gc_result *r, bool dry_run)
{
	char a[CLI_TEXT_MAX];

	if (r->packs > 0)
		printf("looked at  %s, %s, %s\n",
		    CLI_COUNTED(r->snapshots, "snapshot", "snapshots"),
		    CLI_COUNTED(r->packs, "pack", "packs"),
		    cli_size_text(a, sizeof(a), (double)r->bytes));
	if (r->blobs > 0)
		printf("dead       %s of %s\n",
		    cli_count_text(a, sizeof(a), r->blobs_dead),
		    CLI_COUNTED(r->blobs, "blob", "blobs"));
	if (r->unindexed_packs > 0)
		printf("unindexed  %s that no index names, of backups "
		    "that did not finish\n",
		    CLI_COUNTED(r->unindexed_packs, "pack", "packs"));
	if (r->sessions_revoked > 0)
		printf("revoked    %s, silent for too long\n",
		    CLI_COUNTED(r->sessions_revoked, "session", "sessions"));
	print_freed(r, dry_run);
	switch (r->outcome) {
	case STORE_GC_NOTHING:
		printf("nothing to free\n");
		break;
	case STORE_GC_WAITING:
		printf("%s %s to end before anything is deleted; "
		    "run 'wherry gc' again then\n           (--wait waits; "
		    "'wherry session revoke' ends one whose writer is gone)\n",
		    dry_run ? "would wait" : "waiting   ",
		    CLI_COUNTED(r->sessions_waiting, "session has",
		    "sessions have"));
		break;
	case STORE_GC_VOID:
		printf("given up   collection %" PRIu64 "; nothing was "
		    "deleted\n", r->generation);
		break;
	case STORE_GC_LOST:
		printf("left       collection %" PRIu64 " to another gc, which "
		    "was faster\n", r->generation);
		break;
	case STORE_GC_DONE:
		break;
	}
}

int cli_gc_run(struct cli *cli, struct cli_repo *repo,
    const struct engine_gc_options *opt)
{
	struct store_gc_result result = { 0 };
	struct told told = { cli, BUF_INIT };
	struct engine_gc_options gc = *opt;
	struct err err = ERR_INIT;
	int code = CLI_OK, r;

	gc.waiting = waiting;
	gc.ctx = &told;
	cli_progress_start(cli, repo->engine, CLI_CHECKING);
	r = engine_gc(repo->engine, repo->store, &gc, &result, &err);
	cli_progress_stop();
	if (r < 0)
		code = cli_fail(cli, &err, CLI_AT_WORK, "collect");
	else if (cli->json)
		print_object(&result, gc.dry_run);
	else if (!cli->quiet)
		print_screen(&result, gc.dry_run);
	buf_release(&told.names);
	return code;
}

static int run(struct cli *cli, void *opts)
{
	const struct opts *o = opts;
	struct engine_gc_options gc = {
		.wait = o->wait,
		.abandon = o->abandon,
		.dry_run = o->dry_run,
		.sole_administrator = o->sole,
		.max_waste = o->max_waste,
		.max_repack = o->max_repack,
	};
	struct cli_repo repo;
	int code;

	if (o->abandon && (o->wait || o->dry_run))
		return cli_usage(cli, "--abandon goes with neither --wait nor "
		    "--dry-run");
	code = cli_repo_open(cli, STORE_ADMIN | STORE_READ, "collect",
	    CLI_OPEN_ENGINE | CLI_OPEN_STRICT | (o->dry_run ? 0 : CLI_OPEN_WRITE), &repo);
	if (code != CLI_OK)
		return code;
	code = cli_gc_run(cli, &repo, &gc);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_gc = {
	.name = "gc",
	.summary = "Give back the space of what no snapshot needs",
	.text = "Deletes what no snapshot needs any more. Any number of "
	    "backups, restores and collections may run meanwhile.\n\n"
	    "A backup that was under way when the collection began may rely "
	    "on what it wants to delete. So it marks what is dead, and when "
	    "such a backup is open it names it and ends: the next run goes on "
	    "from there, whoever starts it. --wait waits instead. A backup "
	    "whose session has been silent for 30 minutes is revoked: should "
	    "it still live, it fails, and its next run finds what it stored.\n\n"
	    "Packs that are dead in part are written anew without that part, "
	    "when more than --max-waste of them is dead; on a full store what "
	    "is wholly dead goes first. It may be stopped at any moment, and "
	    "run again.",
	.json = "  {\"message_type\":\"waiting\",\"slot\",\"session\",\"host\","
	    "\"start_time\",\"alive_time\"}\n"
	    "  {\"message_type\":\"status\",...}  with --progress, as in "
	    "backup\n"
	    "  {\"message_type\":\"summary\",\"dry_run\",\"outcome\","
	    "\"generation\",\"snapshots\",\n   \"blobs\",\"dead_blobs\","
	    "\"packs\",\"packs_bytes\",\"unindexed_packs\",\n   "
	    "\"deleted_packs\",\"deleted_bytes\",\"repacked_packs\","
	    "\"repacked_bytes\",\n   \"written_bytes\",\"removed_objects\","
	    "\"waiting_sessions\",\"revoked_sessions\"}\n"
	    "  outcome: \"nothing\" is dead, \"waiting\" for sessions, "
	    "\"done\", \"void\" (abandoned),\n  \"lost\" (another collection "
	    "was faster)",
	.examples = "wherry gc --dry-run\n"
	    "wherry gc --wait\n"
	    "wherry gc --max-repack 10G",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_ENGINE |
	    CLI_G_PROGRESS | CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.run = run,
};
