#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/find.h"
#include "agent/engine/query.h"
#include "repo/base/cleanup.h"
#include "repo/format/fmt_entry.h"

struct opts { bool no_metadata; };

static const struct cli_option options[] = {
	{ "no-metadata", 0, NULL, "Leave out what differs in metadata only",
	    CLI_FLAG, offsetof(struct opts, no_metadata) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

/* How many of one kind of change. */
struct tally {
	uint64_t files, dirs, others;
	uint64_t bytes, before; /* of files: now, and in the first snapshot */
};

struct changes {
	struct cli *cli;
	const struct opts *o;
	struct tally added, removed, modified, typed, metadata;
	uint64_t ranges, range_bytes;
	struct cli_sorted sorted;
};

static uint64_t all_of(const struct tally *t)
{
	return t->files + t->dirs + t->others;
}

static void count(struct changes *c, char kind, const struct fmt_entry *a,
    const struct fmt_entry *b)
{
	struct tally *t = kind == '+' ? &c->added : kind == '-' ? &c->removed :
	    kind == 'M' ? &c->modified : kind == 'T' ? &c->typed : &c->metadata;
	uint8_t type = b != NULL ? b->type : a->type;

	t->files += type == FMT_FILE;
	t->dirs += type == FMT_DIRECTORY;
	t->others += type != FMT_FILE && type != FMT_DIRECTORY;
	t->bytes += b != NULL ? cli_entry_size(b) : 0;
	t->before += a != NULL ? cli_entry_size(a) : 0;
}

/* --- files ------------------------------------------------------------------*/

static void change_json(struct buf *out, char kind, const char *path,
    const struct fmt_entry *a, const struct fmt_entry *b)
{
	char text[2] = { kind, '\0' };
	json_t *o = json_object(), *before = json_object();

	json_object_set_new(o, "message_type", json_string("change"));
	json_object_set_new(o, "change", json_string(text));
	cli_entry_json(o, path, b ? b : a);
	if (a != NULL && b != NULL) {
		json_object_set_new(o, "differs", cli_entry_differs_json(a, b));
		cli_entry_json(before, path, a);
		json_object_set(o, "before", before);
	}
	json_decref(before);
	cli_json_line(out, o);
}

static void change_text(struct buf *out, char kind, const char *path,
    const struct fmt_entry *a, const struct fmt_entry *b)
{
	CLEANUP_FREE char *text = cli_escaped(path);
	bool colour = cli_colour(STDOUT_FILENO);
	struct buf more = BUF_INIT;

	if (a != NULL && b != NULL)
		cli_entry_differs(&more, a, b);
	if (more.failed)
		cli_nomem();
	buf_printf(out, "%s%c  %s%s%s", !colour ? "" : kind == '+' ? "\033[32m" :
	    kind == '-' ? "\033[31m" : "\033[33m", kind, text,
	    (b ? b : a)->type == FMT_DIRECTORY ? "/" : "",
	    colour ? "\033[0m" : "");
	if (more.len > 0)
		buf_printf(out, "  (%.*s)", (int)more.len, (const char *)more.p);
	buf_str(out, "\n");
	buf_release(&more);
}

static int one(void *ctx, const char *path, const struct fmt_entry *a,
    const struct fmt_entry *b, struct err *err)
{
	struct changes *c = ctx;
	char kind = a == NULL ? '+' : b == NULL ? '-' :
	    cli_entry_compare(a, b);
	struct buf line = BUF_INIT;

	(void)err;
	if (kind == 0)
		return 0;
	count(c, kind, a, b);
	if (kind == 'U' && c->o->no_metadata)
		return 0;
	if (c->cli->json)
		change_json(&line, kind, path, a, b);
	else if (!c->cli->quiet)
		change_text(&line, kind, path, a, b);
	else
		return 0;
	cli_sorted_add(&c->sorted, path, &line);
	return 0;
}

static void tally_json(json_t *o, const char *name, const struct tally *t)
{
	json_t *x = json_object();

	json_object_set_new(x, "files", json_integer((json_int_t)t->files));
	json_object_set_new(x, "directories", json_integer((json_int_t)t->dirs));
	json_object_set_new(x, "others", json_integer((json_int_t)t->others));
	json_object_set_new(x, "bytes", json_integer((json_int_t)t->bytes));
	json_object_set_new(x, "before_bytes", json_integer((json_int_t)t->before));
	json_object_set_new(o, name, x);
}

static void summary_json(const struct changes *c)
{
	json_t *o = json_object();

	json_object_set_new(o, "message_type", json_string("summary"));
	tally_json(o, "added", &c->added);
	tally_json(o, "removed", &c->removed);
	tally_json(o, "modified", &c->modified);
	tally_json(o, "type_changed", &c->typed);
	tally_json(o, "metadata_only", &c->metadata);
	cli_json_print(o);
}

static void tally_text(const char *name, const struct tally *t, bool both)
{
	const struct { uint64_t n; const char *one, *many; } v[] = {
		{ t->files, "file", "files" },
		{ t->dirs, "directory", "directories" },
		{ t->others, "other", "others" },
	};
	char n[CLI_TEXT_MAX], a[CLI_TEXT_MAX], b[CLI_TEXT_MAX];
	bool any = false;

	if (all_of(t) == 0)
		return;
	printf("%-14s", name);
	for (size_t i = 0; i < 3; i++) {
		if (v[i].n == 0)
			continue;
		printf("%s %s %s", any ? "," : "", cli_count_text(n, sizeof(n),
		    v[i].n), v[i].n == 1 ? v[i].one : v[i].many);
		any = true;
	}
	cli_size_text(a, sizeof(a), (double)t->before);
	cli_size_text(b, sizeof(b), (double)t->bytes);
	if (both)
		printf("; %s before, %s now\n", a, b);
	else
		printf("; %s\n", t->bytes > 0 ? b : a);
}

static void summary_text(const struct changes *c)
{
	if (all_of(&c->added) + all_of(&c->removed) + all_of(&c->modified) +
	    all_of(&c->typed) + all_of(&c->metadata) == 0)
		printf("no difference\n");
	tally_text("added", &c->added, false);
	tally_text("removed", &c->removed, false);
	tally_text("other content", &c->modified, true);
	tally_text("other type", &c->typed, true);
	tally_text("metadata only", &c->metadata, false);
}

/* --- block volumes ----------------------------------------------------------*/

static int range(void *ctx, uint64_t off, uint64_t len, struct err *err)
{
	struct changes *c = ctx;

	(void)err;
	c->ranges++;
	c->range_bytes += len;
	if (c->cli->json) {
		json_t *o = json_object();

		json_object_set_new(o, "message_type", json_string("range"));
		json_object_set_new(o, "offset_bytes", json_integer((json_int_t)off));
		json_object_set_new(o, "length_bytes", json_integer((json_int_t)len));
		cli_json_print(o);
	} else if (!c->cli->quiet) {
		printf("%" PRIu64 " %" PRIu64 "\n", off, len);
	}
	return 0;
}

static void summary_volume(const struct changes *c, const struct store_snapshot *a,
    const struct store_snapshot *b)
{
	char n[CLI_TEXT_MAX], len[CLI_TEXT_MAX], x[CLI_TEXT_MAX], y[CLI_TEXT_MAX];
	json_t *o;

	if (c->cli->json) {
		o = json_object();
		json_object_set_new(o, "message_type", json_string("summary"));
		json_object_set_new(o, "ranges", json_integer((json_int_t)c->ranges));
		json_object_set_new(o, "changed_bytes",
		    json_integer((json_int_t)c->range_bytes));
		json_object_set_new(o, "before_bytes", json_integer((json_int_t)a->size));
		json_object_set_new(o, "bytes", json_integer((json_int_t)b->size));
		cli_json_print(o);
		return;
	}
	cli_count_text(n, sizeof(n), c->ranges);
	cli_size_text(len, sizeof(len), (double)c->range_bytes);
	cli_size_text(x, sizeof(x), (double)a->size);
	cli_size_text(y, sizeof(y), (double)b->size);
	printf("# %s range%s, %s in %s; %s before, %s now\n", n,
	    c->ranges == 1 ? "" : "s", len, c->ranges == 1 ? "it" : "them", x, y);
}

/* --- both -------------------------------------------------------------------*/

static int work(struct cli *cli, const struct opts *o, struct store *st)
{
	struct changes c = { .cli = cli, .o = o };
	struct store_snapshot *sn[2] = { NULL, NULL };
	const char *path = cli->argc > 2 ? cli->argv[2] : "";
	struct err err = ERR_INIT;
	int code = CLI_OK, r = 0;
	bool block = false;

	for (int i = 0; code == CLI_OK && i < 2; i++) {
		if (store_snapshot_find(st, cli->argv[i], &sn[i], &err) < 0)
			code = cli_fail(cli, &err, CLI_AT_WORK,
			    "find the snapshot %s", cli->argv[i]);
	}
	if (code == CLI_OK) {
		block = sn[0]->content == STORE_BLOCK || sn[1]->content == STORE_BLOCK;
		if (block && *path != '\0')
			r = err_set(&err, ERR_USAGE, "in a block volume there are no "
			    "paths (leave out %s)", path);
		else if (block)
			r = engine_diff_volume(st, sn[0], sn[1], range, &c, &err);
		else
			r = engine_diff(st, sn[0], sn[1], path, one, &c, &err);
		if (r < 0)
			code = cli_fail(cli, &err, CLI_AT_WORK, "compare %s and %s",
			    cli->argv[0], cli->argv[1]);
	}
	cli_sorted_end(&c.sorted);
	if (code == CLI_OK && block && (cli->json || !cli->quiet))
		summary_volume(&c, sn[0], sn[1]);
	else if (code == CLI_OK && cli->json)
		summary_json(&c);
	else if (code == CLI_OK && !cli->quiet)
		summary_text(&c);
	store_snapshot_free(sn[0]);
	store_snapshot_free(sn[1]);
	return code;
}

static int run(struct cli *cli, void *opts)
{
	struct cli_repo repo;
	int code = cli_repo_open(cli, STORE_READ, "compare snapshots", 0,
	    &repo);

	if (code != CLI_OK)
		return code;
	code = work(cli, opts, repo.store);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_diff = {
	.name = "diff",
	.args = "SNAPSHOT SNAPSHOT [PATH]",
	.summary = "Show what differs between two snapshots",
	.text = "From the first to the second, below PATH when it is given: "
	    "'+' added, '-' removed, 'M' other content, 'T' another type of "
	    "file, 'U' other metadata only. What differs is told in brackets. "
	    "Each directory is sorted; directories come in the order of the "
	    "catalog.\n\n"
	    "Of two snapshots of block volumes it shows the ranges that differ, "
	    "'OFFSET LENGTH' in bytes, by whole chunks; without the last line, "
	    "which begins with '#', that is what 'backup --changed' takes.\n\n"
	    "From before to after 'key rotate --new-ids', and of two "
	    "deduplication domains, ids cannot be compared. Then a file of "
	    "the same size and mtime is taken as unchanged, one of another "
	    "mtime is read, and of block volumes all is read.",
	.json = "  {\"message_type\":\"change\",\"change\",...}  with +, -, M, "
	    "T or U, and the keys of an\n   entry as in 'ls'; when it was in "
	    "both, \"differs\": a list of content, size, type,\n   mode, owner, "
	    "mtime, ctime, xattrs, flags, project, link_target, device,\n   "
	    "inode, read; and \"before\": the keys of the first entry\n"
	    "  {\"message_type\":\"range\",\"offset_bytes\",\"length_bytes\"}  of "
	    "block volumes\n"
	    "  {\"message_type\":\"summary\",\"added\",\"removed\","
	    "\"modified\",\"type_changed\",\n   \"metadata_only\"}  each with "
	    "files, directories, others, bytes, before_bytes;\n   or \"ranges\","
	    "\"changed_bytes\",\"before_bytes\",\"bytes\"",
	.examples = "wherry diff @2026-11-01T00:00 latest\n"
	    "wherry diff 3f2a91c0 81b0e2d4 etc",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.min_args = 2,
	.max_args = 3,
	.run = run,
};
