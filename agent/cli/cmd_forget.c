#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "repo/store/store_forget.h"

struct opts { struct cli_list ids; bool dry_run; };

static const struct cli_option options[] = {
	{ "id", 0, "ID", "Forget this snapshot, whatever a policy would say: an "
	    "id, a beginning of one, or SLOT/ID (may be repeated)", CLI_LIST,
	    offsetof(struct opts, ids) },
	{ "dry-run", 'n', NULL, "Tell what would stay and go and why, and "
	    "change nothing", CLI_FLAG, offsetof(struct opts, dry_run) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

/* --- by name -----------------------------------------------------------------*/

static void tell_one(struct cli *cli, const char *id, bool dry_run)
{
	if (cli->json)
		cli_json_print(json_pack("{s:s, s:s, s:b, s:[s]}",
		    "message_type", "snapshot", "id", id, "keep", 0,
		    "reasons", "named by --id"));
	else if (!cli->quiet)
		printf("snapshot %s %s\n", id,
		    dry_run ? "would be forgotten" : "is forgotten");
}

/* What stands there under the name may be no snapshot any more. */
static int forget_unsound(struct cli *cli, struct store *st, const char *spec,
    bool dry_run, const struct err *why, uint64_t *forgotten)
{
	struct err err = *why;
	bool named = strlen(spec) == 33 && spec[16] == '/';

	if (err.class == ERR_CORRUPT && !named) {
		err_set(&err, ERR_CORRUPT, "%.900s (name it SLOT/ID to forget "
		    "it all the same)", why->msg);
		return cli_fail(cli, &err, CLI_AT_WORK, "forget %s", spec);
	}
	if ((err.class != ERR_NOTFOUND && err.class != ERR_CORRUPT) || !named ||
	    dry_run || store_forget_unsound(st, spec, "named, not sound",
	        &err) != 0)
		return cli_fail(cli, &err, CLI_AT_WORK, "forget %s", spec);
	++*forgotten;
	tell_one(cli, spec, dry_run);
	return CLI_OK;
}

static int forget_one(struct cli *cli, struct store *st, const char *spec,
    const struct engine_policy *p, bool dry_run, uint64_t *forgotten)
{
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;
	int code = CLI_OK, r;

	if (store_snapshot_find(st, spec, &sn, &err) != 0)
		return forget_unsound(cli, st, spec, dry_run, &err, forgotten);
	if (engine_retain_young(p, sn)) {
		err_set(&err, ERR_USAGE, "it is younger than the minimum age of "
		    "%s (say --min-age 0d)", p->has_min_age ?
		    cli->policy.min_age : "7 days, for its slot has no admin "
		    "right");
		code = cli_fail(cli, &err, CLI_AT_WORK, "forget %s", sn->id);
	} else if (!dry_run) {
		r = store_forget(st, sn->slot, sn->session, "named", &err);
		if (r < 0)
			code = cli_fail(cli, &err, CLI_AT_WORK, "forget %s",
			    sn->id);
	}
	if (code == CLI_OK) {
		++*forgotten;
		tell_one(cli, sn->id, dry_run);
	}
	store_snapshot_free(sn);
	return code;
}

static int forget_ids(struct cli *cli, struct store *st, const struct opts *o,
    struct engine_policy *p, struct cli_forgotten *ret)
{
	struct err err = ERR_INIT;
	int code = CLI_OK;

	if (cli_policy_now(st, !o->dry_run, &p->now_ns, &err) < 0)
		return cli_fail(cli, &err, CLI_AT_WORK, "look at the time");
	for (size_t i = 0; i < o->ids.n; i++) {
		int c = forget_one(cli, st, o->ids.v[i], p, o->dry_run,
		    &ret->forgotten);

		code = code == CLI_OK ? c : code;
	}
	return code;
}

/* --- the verb --------------------------------------------------------------------*/

static void summary(struct cli *cli, const struct cli_forgotten *f,
    bool by_id, bool dry_run)
{
	if (cli->json) {
		cli_json_print(json_pack("{s:s, s:b, s:I, s:I, s:I}",
		    "message_type", "summary", "dry_run", dry_run,
		    "kept", (json_int_t)f->kept,
		    "forgotten", (json_int_t)f->forgotten,
		    "unreadable", (json_int_t)f->bad));
		return;
	}
	if (!cli->quiet && !by_id)
		cli_forgotten_print(f, dry_run);
}

static int run(struct cli *cli, void *opts)
{
	const struct opts *o = opts;
	struct cli_forgotten f = { 0 };
	struct engine_policy policy;
	struct err err = ERR_INIT;
	struct cli_repo repo;
	int code;

	if (cli_policy_read(cli, &policy, &err) < 0)
		return cli_usage(cli, "%s", err.msg);
	if (o->ids.n > 0 && (cli_policy_given(cli) || cli->hosts.n +
	    cli->tags.n + cli->volumes.n > 0))
		return cli_usage(cli, "--id takes neither a policy nor a filter "
		    "(give the one or the other)");
	if (o->ids.n == 0 && !cli_policy_given(cli))
		return cli_usage(cli, "nothing says what to keep (give "
		    "--keep-last, --keep-daily, ..., or --id)");
	code = cli_repo_open(cli, o->dry_run ? STORE_READ : STORE_ADMIN,
	    "forget", o->dry_run ? 0 : CLI_OPEN_WRITE, &repo);
	if (code != CLI_OK)
		return code;
	code = o->ids.n > 0 ? forget_ids(cli, repo.store, o, &policy, &f) :
	    cli_forget_policy(cli, repo.store, &policy, o->dry_run, &f);
	if (code == CLI_OK || code == CLI_DAMAGE)
		summary(cli, &f, o->ids.n > 0, o->dry_run);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_forget = {
	.name = "forget",
	.summary = "Forget snapshots by a policy, or by name",
	.text = "The policy is applied to each volume of each credential by "
	    "itself, from the newest snapshot to the oldest; a snapshot stays "
	    "if any rule keeps it. Hours, days, weeks, months and years are "
	    "those of the time zone here (TZ). While a rule has kept fewer "
	    "than it may, the oldest snapshot stays as well. The table names "
	    "the rules that keep a snapshot; --verbose also the hour, day, ... "
	    "for which they do.\n\n"
	    "What is forgotten cannot be brought back. Its space is given "
	    "back by 'wherry gc'. A snapshot whose own time cannot be true "
	    "stays until --clock says which time counts.",
	.json = "  {\"message_type\":\"snapshot\",\"id\",\"slot\",\"volume\","
	    "\"start_time\",\"stored_time\",\n   \"incomplete\",\"group\","
	    "\"keep\",\"disputed_time\",\"reasons\":[...]}  for each;\n   "
	    "with --id only id, keep and reasons\n"
	    "  {\"message_type\":\"summary\",\"dry_run\",\"kept\","
	    "\"forgotten\",\"unreadable\"}",
	.examples = "wherry forget --keep-daily 7 --keep-weekly 5 "
	    "--keep-monthly 12 --dry-run\n"
	    "wherry forget --keep-within 30d --volume db --min-age 14d\n"
	    "wherry forget --id 3f2a9c01",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_POLICY |
	    CLI_G_FILTER | CLI_G_UPLOAD | CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.run = run,
};
