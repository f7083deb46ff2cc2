#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "repo/base/bytes.h"
#include "repo/store/store_sessions.h"

/* --- session list ----------------------------------------------------------------*/

struct list_opts { bool all; };

static const struct cli_option list_options[] = {
	{ "all", 'a', NULL, "Also those that are over, of which the next "
	    "collection removes the traces", CLI_FLAG,
	    offsetof(struct list_opts, all) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static const char *const states[] = {
	[STORE_SESSION_OPEN] = "open",
	[STORE_SESSION_OVER] = "over",
	[STORE_SESSION_REVOKED] = "revoked",
	[STORE_SESSION_NOTED] = "forgotten",
};

static json_t *session_json(const struct store_session_info *s)
{
	json_t *o = json_object();
	char slot[2 * STORE_SLOT_LEN + 1];

	hex_encode(slot, s->slot, STORE_SLOT_LEN);
	json_object_set_new(o, "session", json_string(s->session));
	json_object_set_new(o, "slot", json_string(slot));
	json_object_set_new(o, "state", json_string(states[s->state]));
	json_object_set_new(o, "believed", json_boolean(s->believed));
	json_object_set_new(o, "powerless", json_boolean(s->powerless));
	json_object_set_new(o, "host", cli_json_text(s->host));
	json_object_set_new(o, "start_time", cli_json_time(s->start_ns));
	json_object_set_new(o, "alive_time", cli_json_time(s->modified_ns));
	json_object_set_new(o, "generation",
	    json_integer((json_int_t)s->generation));
	json_object_set_new(o, "read_bytes",
	    json_integer((json_int_t)s->bytes_read));
	json_object_set_new(o, "entries",
	    json_integer((json_int_t)s->entries));
	return o;
}

struct lister { struct cli *cli; struct cli_table *table; bool all; };

static int list_one(void *ctx, const struct store_session_info *s,
    struct err *err)
{
	struct lister *l = ctx;
	char text[CLI_TEXT_MAX], slot[2 * STORE_SLOT_LEN + 1];

	(void)err;
	if (s->state != STORE_SESSION_OPEN && !l->all)
		return 0;
	if (l->cli->json) {
		cli_json_print(session_json(s));
		return 0;
	}
	hex_encode(slot, s->slot, STORE_SLOT_LEN);
	cli_table_cell(l->table, s->session);
	cli_table_cell(l->table, slot);
	cli_table_cell(l->table, *s->host ? s->host : "-");
	cli_table_cell(l->table, cli_time_text(text, sizeof(text),
	    s->start_ns));
	cli_table_cell(l->table, cli_time_text(text, sizeof(text),
	    s->modified_ns));
	cli_table_cell(l->table, cli_size_text(text, sizeof(text),
	    (double)s->bytes_read));
	cli_table_cell(l->table, s->powerless ? "without rights" :
	    s->believed ? states[s->state] : "not signed");
	return 0;
}

static int run_list(struct cli *cli, void *opts)
{
	static const char *const heads[] = {
		"SESSION", "SLOT", "HOST", "BEGAN", "LAST SEEN", "READ",
		"STATE", NULL,
	};
	const struct list_opts *o = opts;
	struct lister l = { .cli = cli, .all = o->all };
	struct err err = ERR_INIT;
	struct cli_repo repo;
	int code = cli_repo_open(cli, 0, "list sessions", 0, &repo);

	if (code != CLI_OK)
		return code;
	if (!cli->json)
		l.table = cli_table_new(heads, "lllllrl");
	if (store_sessions(repo.store, list_one, &l, &err) < 0)
		code = cli_fail(cli, &err, CLI_AT_WORK, "list sessions");
	if (l.table != NULL)
		cli_table_print(l.table);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_session_list = {
	.name = "session list",
	.summary = "List who is writing to the repository",
	.text = "Each backup is a session. It tells that it is alive every few "
	    "minutes, and ends its session when it fails; one that was killed "
	    "stays open until a collection revokes it, half an hour after it "
	    "was last seen. Open sessions hinder nobody but a collection.",
	.json = "  {\"session\",\"slot\",\"state\",\"believed\",\"powerless\","
	    "\"host\",\"start_time\",\n   \"alive_time\",\"generation\","
	    "\"read_bytes\",\"entries\"}  for each; state: open,\n   over, "
	    "revoked (it ended without a snapshot), forgotten",
	.examples = "wherry session list",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_TALK |
	    CLI_G_HELP,
	.options = list_options,
	.opts_size = sizeof(struct list_opts),
	.run = run_list,
};

/* --- session revoke ------------------------------------------------------------------*/

struct revoke_opts { bool sole_administrator; };

static const struct cli_option revoke_options[] = {
	{ "sole-administrator", 0, NULL, "On a store that does not create "
	    "atomically: you vouch that this writer has ended", CLI_FLAG,
	    offsetof(struct revoke_opts, sole_administrator) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

/* The one open session whose name, or random part, begins with spec. */
struct finder {
	const char *spec;
	struct store_session_info found;
	size_t n, over;
};

static int find_one(void *ctx, const struct store_session_info *s,
    struct err *err)
{
	struct finder *f = ctx;
	size_t len = strlen(f->spec);

	(void)err;
	if (strncmp(s->session, f->spec, len) != 0 &&
	    strncmp(strrchr(s->session, '-') + 1, f->spec, len) != 0)
		return 0;
	if (s->state != STORE_SESSION_OPEN) {
		f->over++;
		return 0;
	}
	f->n++;
	f->found = *s;
	return 0;
}

static int revoke(struct cli *cli, struct store *st, const char *spec)
{
	struct finder f = { .spec = spec };
	struct err err = ERR_INIT;
	int r = store_sessions(st, find_one, &f, &err);

	if (r == 0 && f.n > 1)
		r = err_set(&err, ERR_USAGE, "%zu open sessions begin so", f.n);
	else if (r == 0 && f.n == 0 && f.over == 0)
		r = err_set(&err, ERR_NOTFOUND, "there is no such session "
		    "('wherry session list' shows them)");
	if (r == 0 && f.n == 1)
		r = store_session_revoke(st, f.found.slot, f.found.session,
		    f.found.generation, &err);
	else if (r == 0)
		r = 1;
	if (r < 0)
		return cli_fail(cli, &err, CLI_AT_WORK, "revoke session %s",
		    spec);
	if (cli->json)
		cli_json_print(json_pack("{s:s, s:s, s:b}", "message_type",
		    "session_revoked", "session",
		    f.n == 1 ? f.found.session : spec, "was_over", r > 0));
	else if (!cli->quiet)
		printf("session %s %s\n", f.n == 1 ? f.found.session : spec,
		    r > 0 ? "was over" : "is revoked");
	return CLI_OK;
}

static int run_revoke(struct cli *cli, void *opts)
{
	const struct revoke_opts *o = opts;
	struct err err = ERR_INIT;
	struct cli_repo repo;
	int code;

	for (int i = 0; i < cli->argc; i++)
		if (strlen(cli->argv[i]) < 4)
			return cli_usage(cli, "'%s' is too short for a session "
			    "(give at least 4 characters)", cli->argv[i]);
	code = cli_repo_open(cli, STORE_ADMIN, "revoke a session",
	    CLI_OPEN_WRITE, &repo);
	if (code != CLI_OK)
		return code;
	if (store_info(repo.store)->weak_store && !o->sole_administrator) {
		err_set(&err, ERR_UNSUPPORTED, "this store does not create "
		    "atomically: a writer that is alive could still commit "
		    "(say --sole-administrator if you know that it has ended)");
		code = cli_fail(cli, &err, CLI_AT_WORK, "revoke");
	}
	for (int i = 0; i < cli->argc && code == CLI_OK; i++)
		code = revoke(cli, repo.store, cli->argv[i]);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_session_revoke = {
	.name = "session revoke",
	.args = "SESSION...",
	.summary = "End the session of a writer that is gone",
	.text = "A collection waits for writers. It revokes those that were "
	    "silent for half an hour by itself; this does it at once. A writer "
	    "that is alive after all loses its work, and says so; nothing else "
	    "is lost. SESSION is its name, the id at its end, or a beginning "
	    "of either.",
	.json = "  {\"message_type\":\"session_revoked\",\"session\","
	    "\"was_over\"}  for each",
	.examples = "wherry session revoke 3f2a9c01",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_UPLOAD |
	    CLI_G_TALK | CLI_G_HELP,
	.options = revoke_options,
	.opts_size = sizeof(struct revoke_opts),
	.min_args = 1,
	.max_args = -1,
	.run = run_revoke,
};
