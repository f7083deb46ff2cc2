#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/find.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"
#include "repo/format/fmt_entry.h"

struct opts {
	struct cli_list snapshots;
	const char *type, *after, *before;
	bool full, ignore_case;
};

static const struct cli_option options[] = {
	{ "snapshot", 's', "SNAPSHOT", "Look in this one only (may be "
	    "repeated)", CLI_LIST, offsetof(struct opts, snapshots) },
	{ "type", 't', "LETTERS", "Only files of these types, as of find(1): f, "
	    "d, l, c, b, p, s", CLI_TEXT, offsetof(struct opts, type) },
	{ "after", 0, "TIME", "Only what was changed at or after this time: "
	    "2026-11-01 or 2026-11-01T12:00[:SS][Z]", CLI_TEXT,
	    offsetof(struct opts, after) },
	{ "before", 0, "TIME", "Only what was changed before this time",
	    CLI_TEXT, offsetof(struct opts, before) },
	{ "long", 'l', NULL, "Show mode, owner, size and time", CLI_FLAG,
	    offsetof(struct opts, full) },
	{ "ignore-case", 'i', NULL, "Take upper and lower case for the same",
	    CLI_FLAG, offsetof(struct opts, ignore_case) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

struct search {
	struct cli *cli;
	const struct opts *o;
	unsigned types;        /* bits of enum fmt_type; 0: all */
	int64_t after, before; /* seconds */
	struct cli_snapshots list;
	const struct store_snapshot *named; /* of the volume that was named last */
	uint64_t found;
	size_t bad;
};

/* --- what is looked for -----------------------------------------------------*/

static int read_types(const char *text, unsigned *ret, struct err *err)
{
	static const char letters[] = "\0fdlcbps"; /* as enum fmt_type */

	for (; text != NULL && *text != '\0'; text++) {
		const char *at = memchr(letters + 1, *text, 7);

		if (*text == ',')
			continue;
		if (at == NULL)
			return err_set(err, ERR_USAGE, "--type=%c is no type (they "
			    "are f, d, l, c, b, p, s)", *text);
		*ret |= 1u << (at - letters);
	}
	return 0;
}

static int read_when(const char *name, const char *text, int64_t none,
    int64_t *ret, struct err *err)
{
	*ret = none;
	if (text == NULL || cli_time_parse(text, ret) == 0)
		return 0;
	return err_set(err, ERR_USAGE, "--%s=%s is no time (give it as "
	    "2026-11-01 or 2026-11-01T12:00)", name, text);
}

static bool matches(void *ctx, const char *path, const struct fmt_entry *e)
{
	const struct search *s = ctx;
	const char *slash = strrchr(path, '/');
	int flags = FNM_PATHNAME | (s->o->ignore_case ? FNM_CASEFOLD : 0);

	if (s->types != 0 && !(s->types & 1u << e->type))
		return false;
	if (e->mtime_s < s->after || e->mtime_s >= s->before)
		return false;
	for (int i = 0; i < s->cli->argc; i++) {
		const char *pattern = s->cli->argv[i];
		const char *name = strchr(pattern, '/') != NULL ? path :
		    slash ? slash + 1 : path;

		if (fnmatch(pattern[0] == '/' ? pattern + 1 : pattern, name,
		    flags) == 0)
			return true;
	}
	return false;
}

/* --- what was found ---------------------------------------------------------*/

static int by_volume(const struct store_snapshot *a, const struct store_snapshot *b)
{
	int r = strcmp(a->volume, b->volume);

	if (r == 0)
		r = memcmp(a->slot, b->slot, sizeof(a->slot));
	return r != 0 ? r : memcmp(a->volume_id, b->volume_id,
	    sizeof(a->volume_id));
}

static void found_json(const struct search *s, const char *path,
    const struct fmt_entry *e, const struct engine_find_span *spans, size_t n)
{
	const struct store_snapshot *any = s->list.v[spans[0].first];
	json_t *o = json_object(), *ids = json_array();

	json_object_set_new(o, "message_type", json_string("match"));
	cli_entry_json(o, path, e);
	cli_json_set_bytes(o, "volume", any->volume, strlen(any->volume));
	for (size_t i = 0; i < n; i++)
		for (uint32_t k = spans[i].first; k <= spans[i].last; k++)
			json_array_append_new(ids, json_string(s->list.v[k]->id));
	json_object_set_new(o, "snapshot_ids", ids);
	cli_json_print(o);
}

/* "in 3 snapshots, 3f2a91c0... 2026-11-01 12:00:00 to ..." */
static void found_where(const struct search *s,
    const struct engine_find_span *spans, size_t n)
{
	const struct store_snapshot *a = s->list.v[spans[0].first];
	const struct store_snapshot *b = s->list.v[spans[n - 1].last];
	char from[CLI_TEXT_MAX], to[CLI_TEXT_MAX];
	uint64_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += spans[i].last - spans[i].first + 1;
	cli_time_text(from, sizeof(from), a->start_ns);
	if (count == 1) {
		printf("      in %s of %s\n", a->id, from);
		return;
	}
	cli_time_text(to, sizeof(to), b->start_ns);
	printf("      in %llu snapshots: %s of %s to %s of %s%s\n",
	    (unsigned long long)count, a->id, from, b->id, to,
	    n > 1 ? ", not in all between" : "");
}

static int found(void *ctx, const char *path, const struct fmt_entry *e,
    const struct engine_find_span *spans, size_t n, struct err *err)
{
	struct search *s = ctx;
	const struct store_snapshot *any = s->list.v[spans[0].first];
	struct buf b = BUF_INIT;

	s->found++;
	if (s->cli->json) {
		found_json(s, path, e, spans, n);
		return 0;
	}
	if (!s->cli->quiet && (s->named == NULL || by_volume(s->named, any) != 0)) {
		CLEANUP_FREE char *volume = cli_escaped(any->volume);

		printf("%s\n", volume);
		s->named = any;
	}
	cli_entry_text(&b, path, e, s->o->full);
	if (b.failed)
		return err_nomem(err, "a line");
	printf("  %.*s", (int)b.len, (const char *)b.p);
	buf_release(&b);
	if (!s->cli->quiet)
		found_where(s, spans, n);
	return 0;
}

static void bad(void *ctx, const char *path, const struct err *why)
{
	struct search *s = ctx;

	s->bad++;
	cli_report(s->cli, path, why);
}

/* --- where ------------------------------------------------------------------*/

static int by_place(const void *pa, const void *pb)
{
	const struct store_snapshot *a = *(struct store_snapshot *const *)pa;
	const struct store_snapshot *b = *(struct store_snapshot *const *)pb;

	/* A volume's snapshots together: so their places have no gaps. */
	int r = by_volume(a, b);

	return r != 0 ? r : (a->start_ns > b->start_ns) - (a->start_ns < b->start_ns);
}

/* Those that --snapshot names, once each. */
static int read_named(struct search *s, struct store *st, struct err *err)
{
	const struct cli_list *l = &s->o->snapshots;

	s->list.v = mem_array(l->n, sizeof(*s->list.v), "the snapshots", err);
	if (s->list.v == NULL)
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		struct store_snapshot *sn;
		bool twice = false;

		if (store_snapshot_find(st, l->v[i], &sn, err) < 0)
			return -1;
		for (size_t k = 0; k < s->list.n; k++)
			twice |= strcmp(s->list.v[k]->session, sn->session) == 0;
		if (twice)
			store_snapshot_free(sn);
		else
			s->list.v[s->list.n++] = sn;
	}
	return 0;
}

static int search(struct search *s, struct store *st, struct err *err)
{
	struct engine_find_options opt = {
		.match = matches, .found = found, .bad = bad, .ctx = s,
	};
	struct engine_budget budget;

	if (cli_budget(s->cli, store_info(st)->stream.max, &budget, err) < 0 ||
	    (s->o->snapshots.n > 0 ? read_named(s, st, err) :
	    cli_snapshots_read(s->cli, st, &s->list, err)) < 0)
		return -1;
	s->bad += s->list.bad;
	if (s->list.n > 1)
		qsort(s->list.v, s->list.n, sizeof(*s->list.v), by_place);
	opt.memory = budget.read;
	return engine_find(st, s->list.v, s->list.n, &opt, err);
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
	if (read_types(s.o->type, &s.types, &err) < 0 ||
	    read_when("after", s.o->after, INT64_MIN, &s.after, &err) < 0 ||
	    read_when("before", s.o->before, INT64_MAX, &s.before, &err) < 0)
		return cli_usage(cli, "%s", err.msg);

	int code = cli_repo_open(cli, STORE_READ, "look for files", 0, &repo);

	if (code != CLI_OK)
		return code;
	if (search(&s, repo.store, &err) < 0)
		code = cli_fail(cli, &err, CLI_AT_WORK, "look for files");
	else if (s.list.n + s.list.bad == 0 && cli_filter_given(cli))
		code = cli_filter_fail(cli, "look for files");
	else if (s.bad > 0)
		code = CLI_DAMAGE;
	if (code == CLI_OK && s.found == 0 && !cli->json && !cli->quiet)
		printf("nothing matches\n");
	cli_snapshots_release(&s.list);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_find = {
	.name = "find",
	.args = "PATTERN...",
	.summary = "Find files by name in all snapshots",
	.text = "PATTERN is a glob: * ? [...]. With a slash in it, it is "
	    "compared with the whole path, else with the last name. What "
	    "matches one of several patterns is found.\n\n"
	    "Each version of a file is told once, with the snapshots that have "
	    "it, by volume and path, the newest first. What snapshots have in "
	    "common is read once. Where there are more matches than memory "
	    "holds (--memory), a version may be told again for other "
	    "snapshots.",
	.json = "  {\"message_type\":\"match\",\"volume\",\"snapshot_ids\","
	    "...}  and the keys of an entry as in 'ls'",
	.examples = "wherry find '*.sql' '*.dump'\n"
	    "wherry find -l -s latest 'home/*/.ssh/id_*'\n"
	    "wherry find --type f --after 2026-11-01 --volume data 'report*'",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_FILTER |
	    CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.min_args = 1,
	.max_args = -1,
	.run = run,
};
