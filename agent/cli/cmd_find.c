#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/query.h"
#include "repo/format/fmt_entry.h"

struct opts {
	struct cli_list snapshots;
	bool full, ignore_case;
};

static const struct cli_option options[] = {
	{ "snapshot", 's', "SNAPSHOT", "Look in this one only (may be "
	    "repeated)", CLI_LIST, offsetof(struct opts, snapshots) },
	{ "long", 'l', NULL, "Show mode, owner, size and time", CLI_FLAG,
	    offsetof(struct opts, full) },
	{ "ignore-case", 'i', NULL, "Take upper and lower case for the same",
	    CLI_FLAG, offsetof(struct opts, ignore_case) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

struct search {
	struct cli *cli;
	const struct opts *o;
	const struct store_snapshot *sn;
	bool named;      /* the snapshot's line has been printed */
	uint64_t found;
	size_t bad;
};

static int look(void *ctx, const char *path, const struct fmt_entry *e,
    struct err *err)
{
	struct search *s = ctx;
	const char *pattern = s->cli->argv[0];
	const char *slash = strrchr(path, '/');
	const char *name = strchr(pattern, '/') != NULL ? path :
	    slash ? slash + 1 : path;

	if (fnmatch(pattern[0] == '/' ? pattern + 1 : pattern, name,
	    FNM_PATHNAME | (s->o->ignore_case ? FNM_CASEFOLD : 0)) != 0)
		return 0;
	s->found++;
	if (s->cli->json) {
		json_t *o = json_object();

		json_object_set_new(o, "message_type", json_string("match"));
		json_object_set_new(o, "snapshot_id",
		    json_string(s->sn->id));
		cli_entry_json(o, path, e);
		cli_json_print(o);
		return 0;
	}
	if (!s->named && !s->cli->quiet) {
		char when[CLI_TEXT_MAX];

		printf("%s  %s\n", s->sn->id, cli_time_text(when,
		    sizeof(when), s->sn->start_ns));
		s->named = true;
	}

	struct buf b = BUF_INIT;

	cli_entry_text(&b, path, e, s->o->full);
	if (b.failed)
		return err_nomem(err, "a line");
	printf("  %.*s", (int)b.len, (const char *)b.p);
	buf_release(&b);
	return 0;
}

static void bad(void *ctx, const char *path, const struct err *why)
{
	struct search *s = ctx;

	s->bad++;
	cli_report(s->cli, path, why);
}

static int search_one(struct search *s, struct store *st,
    const struct store_snapshot *sn, struct err *err)
{
	if (sn->content == STORE_BLOCK)
		return 0; /* it has no names */
	s->sn = sn;
	s->named = false;
	return engine_list(st, sn, "", true, false, look, bad, s, err);
}

static int search_all(struct search *s, struct store *st, struct err *err)
{
	struct cli_snapshots list;
	int r = 0;

	if (cli_snapshots_read(s->cli, st, &list, err) < 0)
		return -1;
	s->bad += list.bad;
	for (size_t i = 0; r == 0 && i < list.n; i++)
		r = search_one(s, st, list.v[i], err);
	cli_snapshots_release(&list);
	return r;
}

static int search_named(struct search *s, struct store *st, struct err *err)
{
	const struct cli_list *l = &s->o->snapshots;

	for (size_t i = 0; i < l->n; i++) {
		struct store_snapshot *sn;

		if (store_snapshot_find(st, l->v[i], &sn, err) < 0)
			return err_wrap(err, "%s", l->v[i]);

		int r = search_one(s, st, sn, err);

		store_snapshot_free(sn);
		if (r < 0)
			return -1;
	}
	return 0;
}

static int run(struct cli *cli, void *opts)
{
	struct search s = { .cli = cli, .o = opts };
	struct err err = ERR_INIT;
	struct cli_repo repo;

	if (s.o->snapshots.n > 0 &&
	    cli->hosts.n + cli->tags.n + cli->volumes.n > 0)
		return cli_usage(cli, "--snapshot names them already (leave "
		    "out --host, --tag and --volume)");

	int code = cli_repo_open(cli, STORE_READ, "look for files", 0, &repo);

	if (code != CLI_OK)
		return code;
	if ((s.o->snapshots.n > 0 ? search_named(&s, repo.store, &err) :
	    search_all(&s, repo.store, &err)) < 0)
		code = cli_fail(cli, &err, CLI_AT_WORK, "look for files");
	else if (s.bad > 0)
		code = CLI_DAMAGE;
	if (code == CLI_OK && s.found == 0 && !cli->json && !cli->quiet)
		printf("nothing matches\n");
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_find = {
	.name = "find",
	.args = "PATTERN",
	.summary = "Find files by name in all snapshots",
	.text = "PATTERN is a glob: * ? [...]. With a slash in it, it is "
	    "compared with the whole path, else with the last name.",
	.json = "  {\"message_type\":\"match\",\"snapshot_id\",...}  and the "
	    "keys of an entry as in 'ls'",
	.examples = "wherry find '*.sql'\n"
	    "wherry find -l -s latest 'home/*/.ssh/id_*'",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_FILTER |
	    CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
