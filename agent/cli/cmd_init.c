#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "chunker/chunker.h"
#include "repo/backend/backend_probe.h"
#include "repo/base/bytes.h"
#include "repo/store/store_admin.h"

struct opts {
	uint64_t chunk_size, block_size;
	const char *label, *domain;
	unsigned parity;
	struct cli_other from;
	bool allow_weak_store;
};

static const struct cli_option options[] = {
	{ "chunk-size", 0, "SIZE", "Average chunk of files (default 1M); "
	    "'wherry bench' finds a good one; it cannot be changed later",
	    CLI_SIZE, offsetof(struct opts, chunk_size) },
	{ "block-size", 0, "SIZE", "Average chunk of block volumes (default "
	    "64K); it cannot be changed later", CLI_SIZE,
	    offsetof(struct opts, block_size) },
	{ "label", 0, "TEXT", "What 'wherry key list' calls the first "
	    "credential (default: first)", CLI_TEXT,
	    offsetof(struct opts, label) },
	{ "domain", 0, "TEXT", "Its deduplication domain: chunks are shared "
	    "only within one", CLI_TEXT, offsetof(struct opts, domain) },
	{ "parity", 0, "N%", "Store parity of every pack beside it, N percent of "
	    "its size (1 to 50; 10% is a good choice): so much of a pack can "
	    "be damaged and 'wherry repair' puts it back (default: none); it "
	    "cannot be changed later", CLI_SHARE,
	    offsetof(struct opts, parity) },
	{ "family-of", 0, "URL", "Make it of the family of that repository: "
	    "equal bytes have equal ids in both, so that 'wherry copy' between "
	    "them sends blobs as they are; its chunk sizes are taken over",
	    CLI_DIR, offsetof(struct opts, from.url) },
	{ "from-password-file", 0, "FILE", "Passphrase of a credential with "
	    "the admin right there; default: WHERRY_FROM_PASSWORD, "
	    "WHERRY_FROM_PASSWORD_FILE, WHERRY_FROM_PASSWORD_COMMAND, or it is "
	    "asked for", CLI_FILE, offsetof(struct opts, from.password_file) },
	{ "from-key-file", 0, "FILE", "The same as a key file", CLI_FILE,
	    offsetof(struct opts, from.key_file) },
	{ "from-slot", 0, "SLOT", "The credential to open there", CLI_TEXT,
	    offsetof(struct opts, from.slot) },
	{ "allow-weak-store", 0, NULL, "Accept a store that cannot create "
	    "objects atomically; then only one administrator may work at a "
	    "time", CLI_FLAG, offsetof(struct opts, allow_weak_store) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static int chunking(enum chunker_mode mode, uint64_t avg, const char *name,
    struct store_chunking *ret, struct err *err)
{
	struct chunker_params p;

	if (avg > CHUNKER_AVG_MAX || avg < CHUNKER_AVG_MIN ||
	    chunker_params_default(mode, (uint32_t)avg, &p) < 0)
		return err_set(err, ERR_USAGE, "--%s cannot be %llu bytes "
		    "(give %uK to %uM%s)", name, (unsigned long long)avg,
		    CHUNKER_AVG_MIN >> 10, CHUNKER_AVG_MAX >> 20,
		    mode == CHUNKER_BLOCK ? ", a multiple of 4K" :
		    ", an even number");
	*ret = (struct store_chunking){ p.avg, p.min, p.max, p.threshold };
	return 0;
}

/* What the store promises, in words. */
static const char *promise(const struct backend_probe *p)
{
	return p->atomic_create ?
	    "objects are created atomically: any number of writers at once" :
	    "objects are not created atomically: one administrator at a time";
}

/* What keeps a thief of this store's credentials from doing harm. */
static const char *protection(const struct backend_probe *p)
{
	if (!p->may_replace)
		return p->may_delete ?
		    "its credentials may delete objects, not overwrite them" :
		    "its credentials may neither overwrite nor delete objects";
	return p->may_delete ?
	    "its credentials may overwrite and delete objects" :
	    "its credentials may overwrite objects, not delete them";
}

/* A difference of clocks that is worth a word: it is so long in seconds, or 0. */
static long long clock_off(const struct backend_probe *p)
{
	long long s = p->skew_ns / 1000000000;

	return s > 60 || s < -60 ? s : 0;
}

static int make(struct cli *cli, const struct opts *o, const char *url,
    struct store_init_options *init, struct store **ret_store,
    struct err *err)
{
	struct engine_budget budget;
	struct store_secret secret = { 0 };
	struct store_options opt = { 0 };
	struct backend *be = NULL;
	char slot[17];
	char *text = NULL;
	int r = -1;

	init->allow_weak_store = o->allow_weak_store;
	init->label = o->label;
	init->parity = o->parity;
	init->domain = o->domain;
	if (cli_budget(cli, init->stream.max > init->block.max ?
	    init->stream.max : init->block.max, &budget, err) < 0)
		goto out;
	init->memory = budget.total;
	opt.memory = budget.index;
	opt.argon_memory = budget.argon;
	text = cli_secret_passphrase(cli, true, err);
	if (text == NULL)
		goto out;
	secret.passphrase = text;
	secret.passphrase_len = strlen(text);
	be = cli_backend_open(cli, url, true, true, err);
	if (be == NULL)
		goto out;
	if (store_init(be, init, &secret, slot, err) < 0)
		goto out;

	/* Opening it proves that it can be, and tells what it is. */
	secret.slot = slot;
	*ret_store = store_open(be, &secret, &opt, err);
	be = NULL;
	r = *ret_store != NULL ? 0 : -1;
out:
	backend_close(be);
	cli_secret_free(text);
	return r;
}

/* What is not known of a directory. */
static void json_probe(json_t *j, const struct backend_probe *p)
{
	if (!p->tried)
		return;
	json_object_set_new(j, "may_overwrite", json_boolean(p->may_replace));
	json_object_set_new(j, "may_delete", json_boolean(p->may_delete));
	json_object_set_new(j, "clock_ahead_seconds",
	    json_integer(p->skew_ns / 1000000000));
}

static void show_probe(const struct backend_probe *p)
{
	long long off = clock_off(p);

	printf("store       %s\n", promise(p));
	if (p->tried)
		printf("            %s\n", protection(p));
	if (off != 0)
		printf("            its clock is %lld s %s this machine's\n",
		    llabs(off), off > 0 ? "ahead of" : "behind");
}

static void show(struct cli *cli, const struct opts *o, const char *url,
    const struct store *st, const struct backend_probe *probe)
{
	const struct store_info *info = store_info(st);
	unsigned parity = info->parity_data == 0 ? 0 :
	    100u * info->parity_shards / info->parity_data;
	char id[33], slot[17], family[33], a[CLI_TEXT_MAX], b[CLI_TEXT_MAX];

	hex_encode(id, info->repository, sizeof(info->repository));
	hex_encode(slot, info->slot, sizeof(info->slot));
	hex_encode(family, info->family, sizeof(info->family));
	if (cli->json) {
		json_t *j = json_object();

		json_object_set_new(j, "message_type", json_string("initialized"));
		json_object_set_new(j, "repository", cli_json_text(url));
		json_object_set_new(j, "id", json_string(id));
		json_object_set_new(j, "family", json_string(family));
		json_object_set_new(j, "slot", json_string(slot));
		json_object_set_new(j, "label", cli_json_text(info->label));
		json_object_set_new(j, "domain", cli_json_text(info->domain));
		json_object_set_new(j, "chunk_size_bytes",
		    json_integer(info->stream.avg));
		json_object_set_new(j, "block_size_bytes",
		    json_integer(info->block.avg));
		json_object_set_new(j, "parity_percent",
		    json_integer(parity));
		json_object_set_new(j, "atomic_create",
		    json_boolean(probe->atomic_create));
		json_probe(j, probe);
		cli_json_print(j);
		return;
	}
	if (cli->quiet)
		return;
	printf("repository  %s\n", id);
	if (o->from.url != NULL)
		printf("family      %s, as %s\n", family, o->from.url);
	printf("slot        %s (all rights)\n", slot);
	printf("chunks      %s of files, %s of block volumes on average\n",
	    cli_size_text(a, sizeof(a), info->stream.avg),
	    cli_size_text(b, sizeof(b), info->block.avg));
	if (parity > 0)
		printf("parity      %u %% of each pack can be damaged and put "
		    "back by 'wherry repair'\n", parity);
	show_probe(probe);
	printf("\nKeep the passphrase: without it nothing in the repository can "
	    "be read, by anyone.\n");
}

/* Open the other repository of the family, and take its chunk sizes over. */
static int family(struct cli *cli, const struct opts *o,
    struct store_init_options *init)
{
	struct cli_other from = o->from;
	const struct store_info *info;
	int code;

	from.name = "from";
	from.url_option = "--family-of";
	code = cli_other_open(cli, &from, STORE_ADMIN,
	    "to make a repository of its family", 0, &init->family_of);
	if (code != CLI_OK)
		return code;
	info = store_info(init->family_of);
	init->stream = info->stream;
	init->block = info->block;
	return CLI_OK;
}

static int run(struct cli *cli, void *opts)
{
	const struct opts *o = opts;
	struct store_init_options init = { 0 };
	struct backend_probe probe = { .tried = false };
	struct err err = ERR_INIT;
	struct store *st = NULL;
	const char *url = cli_repo_url(cli);
	int code = CLI_OK;

	if (url == NULL)
		return CLI_USAGE;
	if (o->parity > STORE_PARITY_MAX)
		return cli_usage(cli, "--parity cannot be %u%% (give 1%% to "
		    "%u%%)", o->parity, STORE_PARITY_MAX);
	if (o->from.url != NULL && (o->chunk_size || o->block_size))
		return cli_usage(cli, "--family-of takes the chunk sizes over "
		    "(leave --chunk-size and --block-size out)");
	if (o->from.url == NULL && (o->from.password_file || o->from.key_file ||
	    o->from.slot))
		return cli_usage(cli, "a secret of another repository is given, "
		    "but none is named (give --family-of)");
	if (chunking(CHUNKER_STREAM, o->chunk_size ? o->chunk_size : 1 << 20,
	    "chunk-size", &init.stream, &err) < 0 ||
	    chunking(CHUNKER_BLOCK, o->block_size ? o->block_size : 64 << 10,
	    "block-size", &init.block, &err) < 0)
		return cli_usage(cli, "%s", err.msg);
	init.ret_probe = &probe;
	if (o->from.url != NULL)
		code = family(cli, o, &init);
	if (code != CLI_OK)
		return code;
	if (make(cli, o, url, &init, &st, &err) < 0)
		code = cli_fail(cli, &err, CLI_AT_INIT,
		    "make the repository %s", url);
	else
		show(cli, o, url, st, &probe);
	cli_other_close(cli, init.family_of);
	store_close(st);
	return code;
}

const struct cli_verb cli_cmd_init = {
	.name = "init",
	.summary = "Make a repository",
	.text = "Makes a repository with one credential that has all rights, "
	    "opened by a passphrase. Prints the repository's id, the slot of "
	    "the credential, and what the store can do.\n\n"
	    "With --family-of it has keys and credentials of its own, but ids "
	    "as the other one has, so that 'wherry copy' can take blobs over "
	    "as they are. Whoever administrates it can then make ids of the "
	    "other one, too; what is stored there they cannot read.\n\n"
	    "With --parity every pack gets Reed-Solomon parity, an object beside "
	    "it: 10% costs that much space and about 0.4 seconds of one CPU for "
	    "each GiB that is stored. Damaged sectors, a pack that was cut off "
	    "and the like are then read and put back, wherever they are, as "
	    "long as no more of a pack is damaged. Stores that keep parity of "
	    "their own do not need it.",
	.json = "  {\"message_type\":\"initialized\",\"repository\",\"id\","
	    "\"family\",\"slot\",\"label\",\"domain\",\n   \"chunk_size_bytes\","
	    "\"block_size_bytes\",\"parity_percent\",\"atomic_create\",\n"
	    "   \"may_overwrite\",\"may_delete\",\"clock_ahead_seconds\"}  "
	    "(these three: not of a directory)",
	.examples = "wherry init --repo /mnt/backup/repo\n"
	    "WHERRY_PASSWORD_FILE=/etc/wherry/pass wherry init -r /mnt/repo "
	    "--label root\n"
	    "wherry init -r /mnt/offsite/repo --family-of /mnt/backup/repo\n"
	    "wherry init --repo /mnt/usb/repo --parity 10%",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_NEW | CLI_G_UPLOAD |
	    CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.run = run,
};
