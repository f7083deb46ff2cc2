#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_care.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "repo/base/clock.h"

/* What a scheduler runs: the steps of care, one after the other. */

#define CHECK_PERCENT 2 /* so that 50 runs look at everything */
#define MERGE_BESIDE ((size_t)40 << 20)
#define MERGE_MIN ((size_t)16 << 20)

struct opts {
	unsigned check_percent, max_waste;
	uint64_t max_repack;
	bool no_check, sole;
};

static const struct cli_option options[] = {
	{ "check-percent", 0, "N%", "Read and verify so much of all packs, those "
	    "first that were not verified for the longest time (2%)",
	    CLI_SHARE, offsetof(struct opts, check_percent) },
	{ "no-check", 0, NULL, "Leave the check out", CLI_FLAG,
	    offsetof(struct opts, no_check) },
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

struct upkeep {
	struct cli *cli;
	const struct opts *o;
	struct cli_repo repo;
	struct engine_policy policy;
};

/* --- steps -----------------------------------------------------------------------*/

static int step_forget(struct upkeep *u)
{
	struct cli_forgotten f;
	int code = cli_forget_policy(u->cli, u->repo.store, &u->policy, false,
	    &f);

	if (code != CLI_OK && code != CLI_DAMAGE)
		return code;
	if (u->cli->json)
		cli_json_print(json_pack("{s:s, s:I, s:I, s:I}",
		    "message_type", "summary",
		    "kept", (json_int_t)f.kept,
		    "forgotten", (json_int_t)f.forgotten,
		    "unreadable", (json_int_t)f.bad));
	else if (!u->cli->quiet)
		cli_forgotten_print(&f, false);
	return code;
}

static bool stop_merge(void *ctx)
{
	struct upkeep *u = ctx;

	return engine_cancelled(u->repo.engine);
}

static void print_merged(const struct store_merge_result *r)
{
	char a[CLI_TEXT_MAX];

	if (r->lost)
		printf("left to another merge, which was faster\n");
	else if (r->written == 0)
		printf("%s: nothing to merge\n", CLI_COUNTED(
		    r->segments_before, "index segment", "index segments"));
	else
		printf("%s became %s, with %s\n", CLI_COUNTED(
		    r->segments_before, "index segment", "index segments"),
		    cli_count_text(a, sizeof(a), r->segments_after),
		    CLI_COUNTED(r->entries, "entry", "entries"));
}

static int step_merge(struct upkeep *u)
{
	const struct store_info *info = store_info(u->repo.store);
	struct store_merge_result r = { 0 };
	struct store_merge_options merge = {
		.memory = MERGE_MIN, .cancelled = stop_merge, .ctx = u,
	};
	struct engine_budget b;
	struct err err = ERR_INIT;

	if (cli_budget(u->cli, info->stream.max > info->block.max ?
	        info->stream.max : info->block.max, &b, &err) < 0)
		return cli_fail(u->cli, &err, CLI_AT_WORK, "divide the memory");
	if (b.total > b.index + MERGE_BESIDE + MERGE_MIN)
		merge.memory = b.total - b.index - MERGE_BESIDE;
	if (store_merge(u->repo.store, &merge, &r, &err) < 0)
		return cli_fail(u->cli, &err, CLI_AT_WORK, "merge the index");
	if (u->cli->json)
		cli_json_print(json_pack("{s:s, s:I, s:I, s:I, s:I, s:b}",
		    "message_type", "summary",
		    "segments_before", (json_int_t)r.segments_before,
		    "segments_after", (json_int_t)r.segments_after,
		    "entries", (json_int_t)r.entries,
		    "removed_objects", (json_int_t)r.objects_removed,
		    "lost", r.lost));
	else if (!u->cli->quiet)
		print_merged(&r);
	return CLI_OK;
}

static int step_gc(struct upkeep *u)
{
	struct engine_gc_options gc = {
		.sole_administrator = u->o->sole,
		.max_waste = u->o->max_waste,
		.max_repack = u->o->max_repack,
	};

	return cli_gc_run(u->cli, &u->repo, &gc);
}

static int step_check(struct upkeep *u)
{
	return cli_check_run(u->cli, &u->repo, u->o->check_percent > 0 ?
	    u->o->check_percent : CHECK_PERCENT);
}

/* --- all of them -------------------------------------------------------------------*/

static void tell_begin(struct cli *cli, const char *name)
{
	if (cli->json)
		cli_json_print(json_pack("{s:s, s:s}", "message_type",
		    "step_begin", "step", name));
	else if (!cli->quiet)
		printf("--- %s\n", name);
	fflush(stdout);
}

static void tell_end(struct cli *cli, const char *name, int code, int64_t ns)
{
	if (cli->json)
		cli_json_print(json_pack("{s:s, s:s, s:i, s:f}",
		    "message_type", "step_end", "step", name,
		    "exit_code", code, "elapsed_seconds", (double)ns / 1e9));
	else if (code != CLI_OK)
		cli_warn("upkeep: the step '%s' ended with %d", name, code);
}

/* Damage counts most, then what failed first. */
static int worse(int a, int b)
{
	if (a == CLI_INTERRUPTED || b == CLI_INTERRUPTED)
		return CLI_INTERRUPTED;
	if (a == CLI_DAMAGE || b == CLI_DAMAGE)
		return CLI_DAMAGE;
	return a != CLI_OK ? a : b;
}

static int run_steps(struct upkeep *u)
{
	const struct {
		const char *name;
		int (*run)(struct upkeep *u);
		bool wanted;
	} steps[] = {
		{ "forget", step_forget, cli_policy_given(u->cli) },
		{ "merge", step_merge, true },
		{ "gc", step_gc, true },
		{ "check", step_check, !u->o->no_check },
	};
	int code = CLI_OK;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int64_t begun = clock_mono_ns();
		int c;

		if (!steps[i].wanted)
			continue;
		tell_begin(u->cli, steps[i].name);
		c = steps[i].run(u);
		tell_end(u->cli, steps[i].name, c, clock_mono_ns() - begun);
		code = worse(code, c);
		if (c == CLI_INTERRUPTED || cli_interrupted())
			return CLI_INTERRUPTED;
	}
	return code;
}

static int run(struct cli *cli, void *opts)
{
	struct upkeep u = { .cli = cli, .o = opts };
	struct err err = ERR_INIT;
	int code;

	if (cli_policy_read(cli, &u.policy, &err) < 0)
		return cli_usage(cli, "%s", err.msg);
	if (!cli_policy_given(cli) && (cli->hosts.n + cli->tags.n +
	    cli->volumes.n > 0 || cli->policy.group_by != NULL ||
	    cli->policy.min_age != NULL || cli->policy.clock != 0))
		return cli_usage(cli, "a filter is for forgetting, and nothing "
		    "says what to keep (give --keep-daily, ...)");
	if (u.o->no_check && u.o->check_percent > 0)
		return cli_usage(cli, "--no-check and --check-percent exclude "
		    "each other (give one)");
	code = cli_repo_open(cli, STORE_ADMIN | STORE_READ, "take care of it",
	    CLI_OPEN_ENGINE | CLI_OPEN_STRICT | CLI_OPEN_WRITE, &u.repo);
	if (code != CLI_OK)
		return code;
	code = run_steps(&u);
	cli_repo_close(&u.repo);
	return code;
}

const struct cli_verb cli_cmd_upkeep = {
	.name = "upkeep",
	.summary = "All the care that a repository needs, for a scheduler",
	.text = "Runs one after the other: forget by the policy that is given "
	    "(without one nothing is forgotten), merge, which joins small "
	    "pieces of the index, gc, which gives space back, and check, which "
	    "verifies a part of the packs, so that all are looked at in time."
	    "\n\n"
	    "A step that fails does not prevent the others; the exit code is "
	    "13 if there is damage, else that of the first step that failed. "
	    "It may be run at any time, by several machines at once, beside "
	    "any backups and restores, and be stopped at any moment.",
	.json = "  {\"message_type\":\"step_begin\",\"step\"}  of forget, "
	    "merge, gc, check; then what that\n   verb prints; merge: "
	    "{\"message_type\":\"summary\",\"segments_before\",\n   "
	    "\"segments_after\",\"entries\",\"removed_objects\",\"lost\"}; "
	    "then\n"
	    "  {\"message_type\":\"step_end\",\"step\",\"exit_code\","
	    "\"elapsed_seconds\"}",
	.examples = "wherry upkeep --keep-daily 7 --keep-weekly 5 "
	    "--keep-monthly 12\n"
	    "wherry upkeep --check-percent 5 --max-repack 50G --quiet",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_POLICY |
	    CLI_G_FILTER | CLI_G_ENGINE | CLI_G_PROGRESS | CLI_G_UPLOAD |
	    CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.run = run,
};
