#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "repo/store/store_admin.h"

#define SOLE_HELP "This is the only administrator at work: needed where the " \
	"store does not create objects atomically"

/* --- key remove ------------------------------------------------------------------*/

struct remove_opts { bool sole; };

static const struct cli_option remove_options[] = {
	{ "sole-administrator", 0, NULL, SOLE_HELP, CLI_FLAG,
	    offsetof(struct remove_opts, sole) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static void removed(struct cli *cli, const struct store_remove_result *res,
    bool before)
{
	json_t *o;

	if (!cli->json) {
		if (!cli->quiet)
			printf("slot %s %s; %" PRIu64 " snapshot%s of it "
			    "stand%s\n", res->slot, before ?
			    "had been removed before" : "is removed",
			    res->snapshots, res->snapshots == 1 ? "" : "s",
			    res->snapshots == 1 ? "s" : "");
		return;
	}
	o = json_object();
	json_object_set_new(o, "message_type", json_string("key_removed"));
	json_object_set_new(o, "slot", json_string(res->slot));
	json_object_set_new(o, "before", json_boolean(before));
	json_object_set_new(o, "snapshots",
	    json_integer((json_int_t)res->snapshots));
	cli_json_print(o);
}

static int run_remove(struct cli *cli, void *opts)
{
	const struct remove_opts *o = opts;
	struct store_remove_result res;
	struct err err = ERR_INIT;
	struct cli_repo repo;
	int code = cli_repo_open(cli, STORE_ADMIN, "remove a key",
	    CLI_OPEN_WRITE, &repo);
	int r;

	if (code != CLI_OK)
		return code;
	r = store_key_remove(repo.store, cli->argv[0], o->sole, &res, &err);
	if (r < 0) {
		code = cli_fail(cli, &err, CLI_AT_WORK, "remove key %s",
		    cli->argv[0]);
	} else {
		removed(cli, &res, r > 0);
		if (res.last_reader)
			cli_warn("no credential is left that can restore; one "
			    "with admin can add it");
	}
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_key_remove = {
	.name = "key remove",
	.args = "SLOT",
	.summary = "Take a credential's rights away; what it stored stays",
	.text = "From then on nothing counts that is signed with it, but the "
	    "snapshots that stand at that moment do. What is open with it "
	    "when it is removed fails at its end.\n\n"
	    "Removing does not make a thief forget: whoever has copied the "
	    "credential can go on reading what it could read, as long as the "
	    "store lets him in. Take that permission away, too, and run "
	    "'wherry key rotate', so that what is written from then on is "
	    "closed to it.",
	.json = "  {\"message_type\":\"key_removed\",\"slot\",\"before\","
	    "\"snapshots\"}",
	.examples = "wherry key remove 3f0c9a1b2c3d4e5f",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_UPLOAD |
	    CLI_G_TALK | CLI_G_HELP,
	.options = remove_options,
	.opts_size = sizeof(struct remove_opts),
	.min_args = 1, .max_args = 1,
	.run = run_remove,
};

/* --- key rotate ------------------------------------------------------------------*/

struct rotate_opts { bool new_ids, sole; };

static const struct cli_option rotate_options[] = {
	{ "new-ids", 0, NULL, "A new secret behind names, ids and cuts, too: "
	    "everything is read and stored once more by the next backups",
	    CLI_FLAG, offsetof(struct rotate_opts, new_ids) },
	{ "sole-administrator", 0, NULL, SOLE_HELP, CLI_FLAG,
	    offsetof(struct rotate_opts, sole) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static void rotated(struct cli *cli, const struct store_rotate_result *res,
    bool new_ids)
{
	json_t *o;

	if (!cli->json) {
		if (!cli->quiet)
			printf("epoch %" PRIu32 " is in use: granted to %" PRIu64
			    " credential%s, left out %" PRIu64 "%s\n",
			    res->epoch, res->granted,
			    res->granted == 1 ? "" : "s", res->left_out,
			    new_ids ? "; the next backup of each volume "
			    "stores all of it" : "");
		return;
	}
	o = json_object();
	json_object_set_new(o, "message_type", json_string("keys_rotated"));
	json_object_set_new(o, "epoch", json_integer(res->epoch));
	json_object_set_new(o, "granted",
	    json_integer((json_int_t)res->granted));
	json_object_set_new(o, "left_out",
	    json_integer((json_int_t)res->left_out));
	json_object_set_new(o, "new_ids", json_boolean(new_ids));
	cli_json_print(o);
}

static int run_rotate(struct cli *cli, void *opts)
{
	const struct rotate_opts *o = opts;
	const struct store_rotate_options how = {
		.new_ids = o->new_ids, .sole_administrator = o->sole,
	};
	struct store_rotate_result res;
	struct err err = ERR_INIT;
	struct cli_repo repo;
	int code = cli_repo_open(cli, STORE_ADMIN, "change the keys",
	    CLI_OPEN_WRITE, &repo);

	if (code != CLI_OK)
		return code;
	if (store_key_rotate(repo.store, &how, &res, &err) != 0)
		code = cli_fail(cli, &err, CLI_AT_WORK, "change the keys");
	else
		rotated(cli, &res, o->new_ids);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_key_rotate = {
	.name = "key rotate",
	.summary = "Write under new keys from now on",
	.text = "Draws new keys for content, index and administration and "
	    "grants them to every credential that has not been removed; no "
	    "passphrase and no key file changes. What was stored before stays "
	    "as it is and readable. Backups that run go on, the next ones use "
	    "the new keys by themselves.\n\n"
	    "With --new-ids the secret behind ids, cuts and the order of "
	    "names is new, too, so that a stolen credential can no longer "
	    "confirm guesses of what is stored from then on. Nothing is then "
	    "shared with what was stored before.\n\n"
	    "An administrator's credential that was stolen is not made "
	    "harmless by this: make a new repository then.",
	.json = "  {\"message_type\":\"keys_rotated\",\"epoch\",\"granted\","
	    "\"left_out\",\"new_ids\"}",
	.examples = "wherry key rotate\n"
	    "wherry key remove 3f0c9a1b2c3d4e5f && wherry key rotate --new-ids",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_UPLOAD |
	    CLI_G_TALK | CLI_G_HELP,
	.options = rotate_options,
	.opts_size = sizeof(struct rotate_opts),
	.run = run_rotate,
};
