#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "repo/base/mem.h"
#include "repo/store/store_admin.h"

/* "write, read, admin" */
static void rights_text(char *dst, size_t cap, unsigned rights)
{
	snprintf(dst, cap, "%s%s%s%s%s", rights & STORE_WRITE ? "write" : "",
	    (rights & STORE_WRITE) && (rights & ~1u) ? "," : "",
	    rights & STORE_READ ? "read" : "",
	    (rights & STORE_READ) && (rights & STORE_ADMIN) ? "," : "",
	    rights & STORE_ADMIN ? "admin" : "");
}

/* --- key list --------------------------------------------------------------------*/

static json_t *key_json(const struct store_key *key)
{
	json_t *o = json_object();

	json_object_set_new(o, "slot", json_string(key->slot));
	json_object_set_new(o, "label", cli_json_text(key->label));
	json_object_set_new(o, "write",
	    json_boolean(key->rights & STORE_WRITE));
	json_object_set_new(o, "read", json_boolean(key->rights & STORE_READ));
	json_object_set_new(o, "admin",
	    json_boolean(key->rights & STORE_ADMIN));
	json_object_set_new(o, "domain", cli_json_text(key->domain));
	json_object_set_new(o, "created_time",
	    cli_json_time(key->created_ns));
	json_object_set_new(o, "passphrases", json_integer(key->passphrases));
	json_object_set_new(o, "key_files", json_integer(key->key_files));
	json_object_set_new(o, "removed", json_boolean(key->ended));
	json_object_set_new(o, "own", json_boolean(key->own));
	return o;
}

struct list { struct cli *cli; struct cli_table *table; };

static int list_one(void *ctx, const struct store_key *key, struct err *err)
{
	struct list *l = ctx;
	char text[CLI_TEXT_MAX];

	(void)err;
	if (l->cli->json) {
		cli_json_print(key_json(key));
		return 0;
	}
	cli_table_cell(l->table, key->slot);
	cli_table_cell(l->table, *key->label ? key->label : "-");
	rights_text(text, sizeof(text), key->rights);
	cli_table_cell(l->table, text);
	cli_table_cell(l->table, *key->domain ? key->domain : "-");
	cli_table_cell(l->table, cli_time_text(text, sizeof(text),
	    key->created_ns));
	snprintf(text, sizeof(text), "%s%s%s",
	    key->passphrases ? "passphrase" : "",
	    key->passphrases && key->key_files ? ", " : "",
	    key->key_files ? "key file" : "");
	cli_table_cell(l->table, *text ? text : "-");
	cli_table_cell(l->table, key->ended ? "removed" : key->own ? "in use" :
	    "-");
	return 0;
}

static int run_list(struct cli *cli, void *opts)
{
	static const char *const heads[] = {
		"SLOT", "LABEL", "RIGHTS", "DOMAIN", "CREATED", "OPENED BY",
		"NOTE", NULL,
	};
	struct list l = { .cli = cli };
	struct err err = ERR_INIT;
	struct cli_repo repo;
	int code = cli_repo_open(cli, 0, "list keys", 0, &repo);

	(void)opts;
	if (code != CLI_OK)
		return code;
	if (!cli->json)
		l.table = cli_table_new(heads, "lllllll");
	if (store_key_list(repo.store, list_one, &l, &err) < 0)
		code = cli_fail(cli, &err, CLI_AT_WORK, "list keys");
	if (l.table != NULL)
		cli_table_print(l.table);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_key_list = {
	.name = "key list",
	.summary = "List who may open the repository, and for what",
	.text = "Each credential has a slot. 'write' may back up, 'read' may "
	    "restore, 'admin' may manage keys and what is kept.",
	.json = "  {\"slot\",\"label\",\"write\",\"read\",\"admin\","
	    "\"domain\",\"created_time\",\n   \"passphrases\","
	    "\"key_files\",\"removed\",\"own\"}  for each",
	.examples = "wherry key list",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_TALK | CLI_G_HELP,
	.run = run_list,
};

/* --- key add ---------------------------------------------------------------------*/

struct add_opts {
	bool write, read, admin;
	const char *domain, *label, *key_file, *password_file;
};

#define AT(field) offsetof(struct add_opts, field)

static const struct cli_option add_options[] = {
	{ "write", 0, NULL, "It may back up", CLI_FLAG, AT(write) },
	{ "read", 0, NULL, "It may list and restore", CLI_FLAG, AT(read) },
	{ "admin", 0, NULL, "It may manage keys and what is kept", CLI_FLAG,
	    AT(admin) },
	{ "label", 0, "TEXT", "What 'wherry key list' calls it", CLI_TEXT,
	    AT(label) },
	{ "domain", 0, "TEXT", "Its deduplication domain: chunks are shared "
	    "only within one (default: that of the credential in use)",
	    CLI_TEXT, AT(domain) },
	{ "new-key-file", 0, "FILE", "Write a key file that opens it, with "
	    "mode 0400; an existing file is never overwritten", CLI_FILE,
	    AT(key_file) },
	{ "new-password-file", 0, "FILE", "Read its passphrase from a file; "
	    "with neither option it is asked for", CLI_FILE,
	    AT(password_file) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static char *new_passphrase(const char *file, struct err *err)
{
	return file != NULL ? cli_secret_from_file(file, err) :
	    cli_secret_from_terminal("new passphrase: ", true, err);
}

static void added(struct cli *cli, const char *slot, const char *rights,
    const char *key_file)
{
	json_t *o;

	if (!cli->json) {
		if (!cli->quiet)
			printf("slot %s may %s%s%s\n", slot, rights,
			    key_file ? "; its key is in " : "",
			    key_file ? key_file : "");
		return;
	}
	o = json_object();
	json_object_set_new(o, "message_type", json_string("key_added"));
	json_object_set_new(o, "slot", json_string(slot));
	json_object_set_new(o, "rights", json_string(rights));
	if (key_file != NULL)
		json_object_set_new(o, "key_file", cli_json_text(key_file));
	cli_json_print(o);
}

/* Add the credential; fd is the key file's or -1. */
static int add(struct cli *cli, const struct add_opts *o, struct store *st,
    unsigned rights, const char *passphrase, int fd)
{
	struct store_secret secret = {
		.passphrase = passphrase,
		.passphrase_len = passphrase ? strlen(passphrase) : 0,
	};
	const char *domain = o->domain ? o->domain : store_info(st)->domain;
	struct err err = ERR_INIT;
	char slot[17], line[160] = "", text[32];

	if (store_key_add(st, rights, domain, o->label ? o->label : "",
	    &secret, slot, line, &err) < 0)
		return cli_fail(cli, &err, CLI_AT_WORK, "add a key");
	if (fd >= 0) {
		/* The line may come with its end or without. */
		size_t n = strcspn(line, "\n");

		line[n] = '\n';
		line[n + 1] = '\0';

		int r = cli_secret_write_key(fd, o->key_file, line, &err);

		mem_wipe(line, sizeof(line));
		if (r < 0)
			return cli_fail(cli, &err, CLI_AT_WORK, "write the key "
			    "of slot %s, which nothing opens now", slot);
	}
	rights_text(text, sizeof(text), rights);
	added(cli, slot, text, o->key_file);
	return CLI_OK;
}

static int run_add(struct cli *cli, void *opts)
{
	const struct add_opts *o = opts;
	unsigned rights = (o->write ? STORE_WRITE : 0u) |
	    (o->read ? STORE_READ : 0u) | (o->admin ? STORE_ADMIN : 0u);
	struct err err = ERR_INIT;
	char *passphrase = NULL;
	struct cli_repo repo;
	int code, fd = -1;

	if (rights == 0)
		return cli_usage(cli, "it would be allowed nothing (give "
		    "--write, --read or --admin)");
	if (o->key_file != NULL && o->password_file != NULL)
		return cli_usage(cli, "--new-key-file and --new-password-file "
		    "exclude each other (give one)");
	code = cli_repo_open(cli, STORE_ADMIN, "add a key", CLI_OPEN_WRITE,
	    &repo);
	if (code != CLI_OK)
		return code;
	if (o->key_file != NULL)
		fd = cli_secret_make_file(o->key_file, &err);
	else
		passphrase = new_passphrase(o->password_file, &err);
	if (fd < 0 && passphrase == NULL)
		code = cli_fail(cli, &err, CLI_AT_WORK, o->key_file ?
		    "make the key file" : "get the new passphrase");
	else
		code = add(cli, o, repo.store, rights, passphrase, fd);
	if (fd >= 0) {
		close(fd);
		if (code != CLI_OK)
			unlink(o->key_file);
	}
	cli_secret_free(passphrase);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_key_add = {
	.name = "key add",
	.summary = "Let someone else open the repository",
	.text = "Adds a credential with the given rights, opened by a key file "
	    "or by a passphrase. A node that backs up needs 'write' only: it "
	    "cannot read what is stored.",
	.json = "  {\"message_type\":\"key_added\",\"slot\",\"rights\","
	    "\"key_file\"}",
	.examples = "wherry key add --write --label node7 --new-key-file "
	    "/etc/wherry/node7.key\n"
	    "wherry key add --read --label auditor --new-password-file "
	    "pass.txt",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_UPLOAD |
	    CLI_G_TALK | CLI_G_HELP,
	.options = add_options,
	.opts_size = sizeof(struct add_opts),
	.run = run_add,
};

/* --- key passwd --------------------------------------------------------------------*/

struct passwd_opts { const char *password_file; };

static const struct cli_option passwd_options[] = {
	{ "new-password-file", 0, "FILE", "Read the new passphrase from a "
	    "file; default: it is asked for", CLI_FILE,
	    offsetof(struct passwd_opts, password_file) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static int run_passwd(struct cli *cli, void *opts)
{
	const struct passwd_opts *o = opts;
	struct store_secret secret = { 0 };
	struct err err = ERR_INIT;
	struct cli_repo repo;
	int code = cli_repo_open(cli, 0, "change the passphrase",
	    CLI_OPEN_WRITE, &repo);

	if (code != CLI_OK)
		return code;

	char *passphrase = new_passphrase(o->password_file, &err);

	if (passphrase == NULL) {
		code = cli_fail(cli, &err, CLI_AT_WORK,
		    "get the new passphrase");
	} else {
		secret.passphrase = passphrase;
		secret.passphrase_len = strlen(passphrase);
		if (store_key_passwd(repo.store, &secret, &err) < 0)
			code = cli_fail(cli, &err, CLI_AT_WORK,
			    "change the passphrase");
		else if (cli->json)
			cli_json_print(json_pack("{s:s}", "message_type",
			    "passphrase_changed"));
		else if (!cli->quiet)
			printf("%s\n", cli->key_file != NULL ?
			    "this credential is opened by the new passphrase "
			    "now, and no more by its key file" :
			    "the passphrase is changed");
	}
	cli_secret_free(passphrase);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_key_passwd = {
	.name = "key passwd",
	.summary = "Change the passphrase of the credential in use",
	.text = "From then on only the new passphrase opens it; an old one, "
	    "or a key file of this slot, does not. Who had the old one and a "
	    "copy of the repository's keys from before can still open that "
	    "copy.",
	.json = "  {\"message_type\":\"passphrase_changed\"}",
	.examples = "wherry key passwd\n"
	    "wherry key passwd --password-file old.txt --new-password-file "
	    "new.txt",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_UPLOAD |
	    CLI_G_TALK | CLI_G_HELP,
	.options = passwd_options,
	.opts_size = sizeof(struct passwd_opts),
	.run = run_passwd,
};
