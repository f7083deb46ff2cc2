#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "repo/base/bytes.h"
#include "repo/store/store_forget.h"

/* Applying a policy: telling what stays and why, and forgetting the rest. */

static json_t *verdict_json(const struct engine_verdict *v)
{
	json_t *o = json_object();
	char slot[2 * STORE_SLOT_LEN + 1];

	hex_encode(slot, v->sn->slot, STORE_SLOT_LEN);
	json_object_set_new(o, "message_type", json_string("snapshot"));
	json_object_set_new(o, "id", json_string(v->sn->id));
	json_object_set_new(o, "slot", json_string(slot));
	json_object_set_new(o, "volume", cli_json_text(v->sn->volume));
	json_object_set_new(o, "start_time", cli_json_time(v->sn->start_ns));
	json_object_set_new(o, "stored_time", cli_json_time(v->sn->stored_ns));
	json_object_set_new(o, "incomplete",
	    json_boolean(v->sn->flags & STORE_INCOMPLETE));
	json_object_set_new(o, "group", json_integer((json_int_t)v->group));
	json_object_set_new(o, "keep", json_boolean(v->keep));
	json_object_set_new(o, "disputed_time", json_boolean(v->disputed));
	json_object_set_new(o, "reasons",
	    cli_json_strings((const char *const *)v->why.v, v->why.n));
	return o;
}

/*
 * How much of a reason a table shows: of "daily 2026-11-23" the rule, for the
 * snapshot's time stands beside it.
 */
static int reason_width(const char *why)
{
	static const char *const rules[] = {
		"hourly ", "daily ", "weekly ", "monthly ", "yearly ",
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strncmp(why, rules[i], strlen(rules[i])) == 0)
			return (int)strlen(rules[i]) - 1;
	return (int)strlen(why);
}

static void verdict_row(struct cli_table *t, const struct engine_verdict *v,
    bool verbose)
{
	struct buf why = BUF_INIT;
	char text[CLI_TEXT_MAX];

	for (size_t i = 0; i < v->why.n; i++)
		buf_printf(&why, "%s%.*s", i > 0 ? ", " : "", verbose ?
		    (int)strlen(v->why.v[i]) : reason_width(v->why.v[i]),
		    v->why.v[i]);
	if (v->sn->flags & STORE_INCOMPLETE)
		buf_str(&why, " (incomplete)");
	buf_u8(&why, '\0');
	if (why.failed)
		cli_nomem();
	cli_table_cell(t, v->sn->id);
	cli_table_cell(t, cli_time_text(text, sizeof(text), v->sn->start_ns));
	cli_volume_cell(t, v->sn);
	cli_table_cell(t, v->keep ? "keep" : "forget");
	cli_table_cell(t, (const char *)why.p);
	buf_release(&why);
}

static void tell(struct cli *cli, const struct engine_verdict *v, size_t n)
{
	static const char *const heads[] = {
		"ID", "TIME", "VOLUME", "VERDICT", "WHY", NULL,
	};
	struct cli_table *t = NULL;

	if (!cli->json && (cli->quiet || n == 0))
		return;
	if (!cli->json)
		t = cli_table_new(heads, "lllll");
	for (size_t i = 0; i < n; i++) {
		if (cli->json)
			cli_json_print(verdict_json(&v[i]));
		else
			verdict_row(t, &v[i], cli->verbose > 0);
	}
	if (t != NULL)
		cli_table_print(t);
}

/* Forget what the verdicts say, the oldest first. */
static int carry_out(struct cli *cli, struct store *st,
    const struct engine_verdict *v, size_t n, struct cli_forgotten *ret)
{
	struct err err = ERR_INIT;

	for (size_t i = 0; i < n; i++) {
		int r;

		if (v[i].keep)
			continue;
		if (cli_interrupted()) {
			err_set(&err, ERR_CANCELLED, "stopped on request");
			return cli_fail(cli, &err, CLI_AT_WORK, "forget");
		}
		r = store_forget(st, v[i].sn->slot, v[i].sn->session,
		    "policy", &err);
		if (r < 0)
			return cli_fail(cli, &err, CLI_AT_WORK,
			    "forget snapshot %s", v[i].sn->id);
		ret->forgotten += r == 0;
	}
	return CLI_OK;
}

int cli_forget_policy(struct cli *cli, struct store *st,
    const struct engine_policy *policy, bool dry_run,
    struct cli_forgotten *ret)
{
	struct engine_policy p = *policy;
	struct engine_verdict *v = NULL;
	struct cli_snapshots list;
	struct err err = ERR_INIT;
	int code = CLI_OK;

	*ret = (struct cli_forgotten){ 0 };
	if (cli_snapshots_read(cli, st, &list, &err) < 0)
		return cli_fail(cli, &err, CLI_AT_WORK, "list snapshots");
	ret->bad = list.bad;
	if (list.n + list.bad == 0 && cli_filter_given(cli)) {
		cli_snapshots_release(&list);
		return cli_filter_fail(cli, "forget");
	}
	if (cli_policy_now(st, !dry_run, &p.now_ns, &err) < 0 ||
	    engine_retain(&p, list.v, list.n, &v, &err) < 0)
		code = cli_fail(cli, &err, CLI_AT_WORK, "apply the policy");
	for (size_t i = 0; code == CLI_OK && i < list.n; i++) {
		ret->kept += v[i].keep;
		ret->forgotten += dry_run && !v[i].keep;
	}
	if (code == CLI_OK) {
		tell(cli, v, list.n);
		if (!dry_run)
			code = carry_out(cli, st, v, list.n, ret);
	}
	if (v != NULL)
		engine_verdicts_free(v, list.n);
	if (code == CLI_OK && list.bad > 0)
		code = CLI_DAMAGE;
	cli_snapshots_release(&list);
	return code;
}

void cli_forgotten_print(const struct cli_forgotten *f, bool dry_run)
{
	char n[CLI_TEXT_MAX];

	printf("%s, %s %s%s\n",
	    CLI_COUNTED(f->kept, "snapshot stays", "snapshots stay"),
	    cli_count_text(n, sizeof(n), f->forgotten), dry_run ?
	    "would be forgotten" : f->forgotten == 1 ? "is forgotten" :
	    "are forgotten", f->forgotten > 0 && !dry_run ?
	    "; 'wherry gc' gives the space back" : "");
}
