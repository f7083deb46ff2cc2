#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/backup.h"

struct opts {
	struct cli_list exclude, exclude_files, block_files, tags;
	const char *device, *stdin_name, *changed, *volume, *parent, *host;
	uint64_t larger;
	int64_t interval; /* ns; 0: not given */
	int compression; /* 0: not given; else enum zip_level + 1 */
	bool caches, one_fs, ignore_ctime, verify, dry_run;
};

#define AT(field) offsetof(struct opts, field)

static const struct cli_option options[] = {
	{ "device", 0, "FILE", "Back up a block device or image instead of "
	    "paths", CLI_FILE, AT(device) },
	{ "stdin-name", 0, "NAME", "Back up standard input as a file of this "
	    "name instead of paths", CLI_TEXT, AT(stdin_name) },
	{ "changed", 0, "FILE", "With --device: only these extents differ from "
	    "the parent; a line each, 'OFFSET LENGTH' in bytes or "
	    "{\"offset\":N,\"length\":N}, ascending; '-' is standard input",
	    CLI_FILE, AT(changed) },
	{ "volume", 0, "NAME", "Whose snapshot this is (default: host and "
	    "paths)", CLI_TEXT, AT(volume) },
	{ "host", 0, "HOST", "The host to record (default: this one's name)",
	    CLI_TEXT, AT(host) },
	{ "tag", 0, "TAG", "Mark the snapshot (may be repeated)", CLI_LIST,
	    AT(tags) },
	{ "parent", 0, "auto|none|ID", "The snapshot that unchanged files are "
	    "taken from (default auto: the volume's last)", CLI_TEXT,
	    AT(parent) },
	{ "exclude", 'e', "PATTERN", "Leave out what matches, by the rules of "
	    ".gitignore (may be repeated)", CLI_LIST, AT(exclude) },
	{ "exclude-file", 0, "FILE", "Read such patterns from a file, a line "
	    "each (may be repeated)", CLI_FILES, AT(exclude_files) },
	{ "exclude-caches", 0, NULL, "Leave out the content of directories "
	    "with a valid CACHEDIR.TAG", CLI_FLAG, AT(caches) },
	{ "exclude-larger-than", 0, "SIZE", "Leave out larger files", CLI_SIZE,
	    AT(larger) },
	{ "one-file-system", 'x', NULL, "Do not go into other file systems",
	    CLI_FLAG, AT(one_fs) },
	{ "block-files", 0, "PATTERN", "Cut files that match as block volumes "
	    "are: databases, images of machines (may be repeated)", CLI_LIST,
	    AT(block_files) },
	{ "ignore-ctime", 0, NULL, "Do not read a file again only because its "
	    "ctime differs", CLI_FLAG, AT(ignore_ctime) },
	{ "checkpoint-interval", 0, "TIME", "Commit a checkpoint after so long, "
	    "and go on from it (default 4h): a collection waits no longer, and "
	    "a run that dies loses no more", CLI_DURATION, AT(interval) },
	{ "compression", 0, "off|fast|default|max", "How hard to "
	    "compress (default: default)", CLI_CHOICE,
	    AT(compression) },
	{ "verify-writes", 0, NULL, "Unpack and compare what was compressed "
	    "before it is stored", CLI_FLAG, AT(verify) },
	{ "dry-run", 'n', NULL, "Compare with the parent, read and count, store "
	    "nothing", CLI_FLAG, AT(dry_run) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static int add_patterns(struct engine_filter *f, const struct cli_list *l,
    struct err *err)
{
	for (size_t i = 0; i < l->n; i++) {
		if (engine_filter_add(f, l->v[i], err) < 0)
			return -1;
	}
	return 0;
}

static int add_file(struct engine_filter *f, const char *path,
    struct err *err)
{
	FILE *in = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int r = 0;

	if (in == NULL)
		return err_sys(err, errno, "%s", path);
	while (r == 0 && (n = getline(&line, &cap, in)) >= 0) {
		if (n > 0 && line[n - 1] == '\n')
			line[n - 1] = '\0';
		r = engine_filter_add(f, line, err);
	}
	if (r == 0 && ferror(in))
		r = err_sys(err, errno, "%s", path);
	free(line);
	fclose(in);
	return r;
}

/* What a run needs besides the options; released together. */
struct job {
	struct engine_filter *exclude, *block_files;
	struct cli_changed *changed;
	char host[256], user[256];
};

static void job_release(struct job *j)
{
	engine_filter_free(j->exclude);
	engine_filter_free(j->block_files);
	cli_changed_close(j->changed);
}

static void who(struct job *j, const struct opts *o)
{
	struct passwd pw, *found = NULL;
	char text[1024];

	if (gethostname(j->host, sizeof(j->host)) < 0)
		snprintf(j->host, sizeof(j->host), "unknown");
	j->host[sizeof(j->host) - 1] = '\0';
	if (o->host != NULL)
		snprintf(j->host, sizeof(j->host), "%s", o->host);
	if (getpwuid_r(geteuid(), &pw, text, sizeof(text), &found) == 0 &&
	    found != NULL)
		snprintf(j->user, sizeof(j->user), "%s", pw.pw_name);
	else
		snprintf(j->user, sizeof(j->user), "%u", geteuid());
}

static void tell_checkpoint(void *ctx, const char *id)
{
	struct cli *cli = ctx;

	if (cli->json) {
		json_t *o = json_object();

		json_object_set_new(o, "message_type", json_string("checkpoint"));
		json_object_set_new(o, "checkpoint_id", json_string(id));
		cli_json_print(o);
	} else if (cli->verbose > 0) {
		cli_warn("checkpoint %s", id);
	}
}

static int prepare(struct cli *cli, const struct opts *o, struct job *j,
    struct engine_backup_options *b, struct err *err)
{
	who(j, o);
	if (o->exclude.n + o->exclude_files.n > 0) {
		j->exclude = engine_filter_new(err);
		if (j->exclude == NULL ||
		    add_patterns(j->exclude, &o->exclude, err) < 0)
			return -1;
		for (size_t i = 0; i < o->exclude_files.n; i++) {
			if (add_file(j->exclude, o->exclude_files.v[i],
			    err) < 0)
				return -1;
		}
	}
	if (o->block_files.n > 0) {
		j->block_files = engine_filter_new(err);
		if (j->block_files == NULL ||
		    add_patterns(j->block_files, &o->block_files, err) < 0)
			return -1;
	}
	if (o->changed != NULL) {
		j->changed = cli_changed_open(o->changed, err);
		if (j->changed == NULL)
			return -1;
		b->changed = cli_changed_source(j->changed);
		b->changed_last = cli_changed_last(j->changed);
	}
	b->paths = (const char *const *)cli->argv;
	b->npaths = (size_t)cli->argc;
	b->device = o->device;
	b->stream_fd = STDIN_FILENO;
	b->stream_name = o->stdin_name;
	b->volume = o->volume;
	b->host = j->host;
	b->user = j->user;
	b->program = "wherry " WHERRY_VERSION;
	b->tags = o->tags.v;
	b->ntags = o->tags.n;
	b->parent = o->parent ? o->parent : "auto";
	b->exclude = j->exclude;
	b->block_files = j->block_files;
	b->exclude_caches = o->caches;
	b->one_file_system = o->one_fs;
	b->exclude_larger = o->larger;
	b->ignore_ctime = o->ignore_ctime;
	b->verify_writes = o->verify;
	b->dry_run = o->dry_run;
	b->count_total = cli_progress_wanted(cli);
	b->level = o->compression ? (enum zip_level)(o->compression - 1) :
	    ZIP_DEFAULT;
	b->session_ns = o->interval;
	b->checkpoint = tell_checkpoint;
	b->report = cli_report;
	b->report_ctx = cli;
	return 0;
}

static const char *way_name(enum engine_way way)
{
	switch (way) {
	case ENGINE_FULL: return "full";
	case ENGINE_INCREMENTAL: return "incremental";
	case ENGINE_CHANGED: return "changed";
	case ENGINE_RESCAN: return "rescan";
	}
	return "unknown";
}

static const char *way_text(enum engine_way way)
{
	switch (way) {
	case ENGINE_FULL: return "everything was read";
	case ENGINE_INCREMENTAL: return "only what may have changed was read";
	case ENGINE_CHANGED: return "only the given extents were read";
	case ENGINE_RESCAN: return "the whole device was read, known chunks "
	    "not stored again";
	}
	return "?";
}

static double ratio(const struct engine_backup_result *r)
{
	return r->bytes_stored ? (double)r->bytes_new /
	    (double)r->bytes_stored : 0;
}

static void print_object(const struct engine_backup_result *r, bool dry_run)
{
	json_t *o = json_object();
	double s = (double)r->elapsed_ns / 1e9;
	const struct { const char *name; uint64_t v; } numbers[] = {
		{ "files_new", r->files_new },
		{ "files_changed", r->files_changed },
		{ "files_reread", r->files_reread },
		{ "files_unmodified", r->files_same },
		{ "directories", r->dirs }, { "others", r->others },
		{ "entries", r->entries }, { "total_bytes", r->bytes },
		{ "read_bytes", r->bytes_read }, { "new_bytes", r->bytes_new },
		{ "stored_bytes", r->bytes_stored }, { "errors", r->errors },
		{ "checkpoints", r->checkpoints },
	};

	json_object_set_new(o, "message_type", json_string("summary"));
	json_object_set_new(o, "snapshot_id", json_string(r->id));
	json_object_set_new(o, "parent_id", json_string(r->parent));
	json_object_set_new(o, "dry_run", json_boolean(dry_run));
	json_object_set_new(o, "way", json_string(way_name(r->way)));
	json_object_set_new(o, "way_reason", cli_json_text(r->way_reason ?
	    r->way_reason : ""));
	json_object_set_new(o, "incomplete",
	    json_boolean(r->flags & STORE_INCOMPLETE));
	json_object_set_new(o, "inodes_ignored",
	    json_boolean(r->flags & STORE_INODES_IGNORED));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(o, numbers[i].name,
		    json_integer((json_int_t)numbers[i].v));
	json_object_set_new(o, "compression_ratio", json_real(ratio(r)));
	json_object_set_new(o, "elapsed_seconds", json_real(s));
	json_object_set_new(o, "bytes_per_second",
	    json_real(s > 0 ? (double)r->bytes / s : 0));
	cli_json_print(o);
}

static void print_counts(const struct engine_backup_result *r)
{
	char a[CLI_TEXT_MAX], b[CLI_TEXT_MAX], c[CLI_TEXT_MAX];

	printf("files     %s new, %s changed, %s unchanged; ",
	    cli_count_text(a, sizeof(a), r->files_new),
	    cli_count_text(b, sizeof(b), r->files_changed),
	    cli_count_text(c, sizeof(c), r->files_same + r->files_reread));
	printf("%s, %s\n", CLI_COUNTED(r->dirs, "directory", "directories"),
	    CLI_COUNTED(r->others, "other", "others"));
	if (r->files_reread > 0)
		printf("again     %s looked unchanged and %s read all the same: too "
		    "new to be\n          sure when the parent was made, or "
		    "damaged in it\n", CLI_COUNTED(r->files_reread, "file",
		    "files"), r->files_reread == 1 ? "was" : "were");
}

static void print_size(const struct engine_backup_result *r, bool dry_run)
{
	char a[CLI_TEXT_MAX], b[CLI_TEXT_MAX];
	double s = (double)r->elapsed_ns / 1e9;

	printf("size      %s, read %s\n",
	    cli_size_text(a, sizeof(a), (double)r->bytes),
	    cli_size_text(b, sizeof(b), (double)r->bytes_read));
	printf("new       %s", cli_size_text(a, sizeof(a),
	    (double)r->bytes_new));
	if (dry_run)
		printf(" before compression");
	else
		printf(", stored as %s", cli_size_text(b, sizeof(b),
		    (double)r->bytes_stored));
	/* Where metadata is the most of it, it tells nothing of compression. */
	if (ratio(r) > 0.95)
		printf(" (%.2f : 1)", ratio(r));
	printf("\ntime      %s, %s\n",
	    cli_duration_text(a, sizeof(a), r->elapsed_ns),
	    cli_rate_text(b, sizeof(b), s > 0 ? (double)r->bytes / s : 0));
}

static void print_screen(const struct engine_backup_result *r, bool device,
    bool dry_run)
{
	if (!device)
		print_counts(r);
	print_size(r, dry_run);
	printf("way       %s%s%s%s\n", way_text(r->way),
	    r->way_reason && *r->way_reason ? " (" : "",
	    r->way_reason ? r->way_reason : "",
	    r->way_reason && *r->way_reason ? ")" : "");
	if (r->flags & STORE_INODES_IGNORED)
		printf("inodes    are not stable here and were not compared\n");
	if (r->errors > 0)
		printf("skipped   %s, named above; the snapshot is "
		    "marked incomplete\n",
		    CLI_COUNTED(r->errors, "path", "paths"));
	if (r->checkpoints > 0)
		printf("sessions  %u, with a checkpoint after each but the last\n",
		    r->checkpoints + 1);
	if (r->parent[0] != '\0')
		printf("parent    %s\n", r->parent);
	printf("snapshot  %s\n", r->id[0] ? r->id : "none (dry run)");
}

static int run(struct cli *cli, void *opts)
{
	const struct opts *o = opts;
	struct engine_backup_options b = { 0 };
	struct engine_backup_result result = { 0 };
	struct job job = { 0 };
	struct cli_repo repo;
	struct err err = ERR_INIT;
	int sources = (cli->argc > 0) + (o->device != NULL) +
	    (o->stdin_name != NULL);
	int code;

	if (sources != 1)
		return cli_usage(cli, sources == 0 ? "nothing to back up (give "
		    "PATH..., --device or --stdin-name)" : "PATH, --device and "
		    "--stdin-name exclude each other (give one)");
	if (o->changed != NULL && o->device == NULL)
		return cli_usage(cli, "--changed is about a block volume (give "
		    "--device with it)");
	if (prepare(cli, o, &job, &b, &err) < 0) {
		code = cli_fail(cli, &err, CLI_AT_WORK, "begin the backup");
		job_release(&job);
		return code;
	}
	code = cli_repo_open(cli, STORE_WRITE, "back up", CLI_OPEN_ENGINE |
	    (o->dry_run ? 0 : CLI_OPEN_WRITE), &repo);
	if (code != CLI_OK) {
		job_release(&job);
		return code;
	}
	cli_signals_say(o->dry_run ? CLI_STOPPING :
	    "stopping; the next run goes on from here");
	cli_progress_start(cli, repo.engine, CLI_READING);

	int r = engine_backup(repo.engine, repo.store, &b, &result, &err);

	cli_progress_stop();
	if (r < 0) {
		code = cli_fail(cli, &err, CLI_AT_WORK, "back up");
	} else {
		if (cli->json)
			print_object(&result, o->dry_run);
		else if (!cli->quiet)
			print_screen(&result, o->device != NULL, o->dry_run);
		code = result.errors > 0 ||
		    (result.flags & STORE_INCOMPLETE) ? CLI_PARTLY : CLI_OK;
	}
	cli_repo_close(&repo);
	job_release(&job);
	return code;
}

const struct cli_verb cli_cmd_backup = {
	.name = "backup",
	.args = "PATH...",
	.summary = "Make a snapshot of directories, a block volume or a stream",
	.text = "Makes one snapshot. What is in the repository already is not "
	    "stored again, and files that did not change since the parent are "
	    "not even read. Names in the snapshot begin at the deepest "
	    "directory that holds all PATHs.\n\n"
	    "What cannot be read is named and left out; the snapshot is then "
	    "marked incomplete and the exit code is 3. A backup that is "
	    "stopped commits a checkpoint, from which the next run goes on; so "
	    "does a long one every few hours. After a kill the next run goes on "
	    "from the last checkpoint, and finds what else was sent. SIGUSR1 "
	    "prints how far it is.",
	.json = "  {\"message_type\":\"problem\",\"path\",\"class\","
	    "\"message\"}  for each path that was skipped\n"
	    "  {\"message_type\":\"status\",\"elapsed_seconds\","
	    "\"done_bytes\",\"done_files\",\n   \"total_bytes\","
	    "\"total_files\",\"bytes_per_second\",\n   "
	    "\"stored_bytes_per_second\",\"errors\"}  with --progress\n"
	    "  {\"message_type\":\"checkpoint\",\"checkpoint_id\"}  for each\n"
	    "  {\"message_type\":\"summary\",\"snapshot_id\",\"parent_id\","
	    "\"dry_run\",\"way\",\n   \"way_reason\",\"incomplete\","
	    "\"inodes_ignored\",\"files_new\",\n   \"files_changed\","
	    "\"files_reread\",\"files_unmodified\",\"directories\",\"others\",\n   "
	    "\"entries\",\"total_bytes\",\"read_bytes\",\"new_bytes\","
	    "\"stored_bytes\",\"errors\",\n   \"checkpoints\",\"compression_ratio\","
	    "\"elapsed_seconds\",\"bytes_per_second\"}\n"
	    "  A name that is no UTF-8 is shown escaped, its bytes are in "
	    "path_base64.",
	.examples = "wherry backup ~/documents --exclude '*.tmp' --tag daily\n"
	    "wherry backup --device /dev/vg0/data --volume data\n"
	    "pg_dump shop | wherry backup --stdin-name shop.sql",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_UPLOAD |
	    CLI_G_ENGINE | CLI_G_PROGRESS | CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.max_args = -1,
	.words = CLI_W_PATH,
	.run = run,
};
