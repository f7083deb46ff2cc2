#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/copy.h"
#include "repo/base/bytes.h"

struct opts {
	struct cli_other to;
	bool verify, dry_run;
};

#define AT(field) offsetof(struct opts, field)

static const struct cli_option options[] = {
	{ "to", 0, "URL", "The repository to copy to", CLI_DIR, AT(to.url) },
	{ "to-password-file", 0, "FILE", "Its passphrase; default: "
	    "WHERRY_TO_PASSWORD, WHERRY_TO_PASSWORD_FILE, "
	    "WHERRY_TO_PASSWORD_COMMAND, or it is asked for", CLI_FILE,
	    AT(to.password_file) },
	{ "to-key-file", 0, "FILE", "Open it with a key file instead", CLI_FILE,
	    AT(to.key_file) },
	{ "to-slot", 0, "SLOT", "The credential to open there", CLI_TEXT,
	    AT(to.slot) },
	{ "verify", 0, NULL, "Read each copy back, also those made before, and "
	    "compare it with the snapshot here", CLI_FLAG, AT(verify) },
	{ "dry-run", 'n', NULL, "Tell what would be copied, and store nothing",
	    CLI_FLAG, AT(dry_run) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

/* What the callbacks see. */
struct shown {
	struct cli *cli;
	const struct opts *o;
};

static const char *outcome_name(enum engine_copy_outcome o)
{
	switch (o) {
	case ENGINE_COPY_DONE:
		return "copied";
	case ENGINE_COPY_THERE:
		return "there";
	case ENGINE_COPY_DAMAGED:
		return "damaged";
	case ENGINE_COPY_GONE:
		break;
	}
	return "gone";
}

static void told_json(const struct engine_copy_told *t, bool dry_run)
{
	json_t *o = cli_json_snapshot(t->sn);

	json_object_set_new(o, "message_type", json_string("snapshot"));
	json_object_set_new(o, "outcome", json_string(outcome_name(t->outcome)));
	json_object_set_new(o, "dry_run", json_boolean(dry_run));
	json_object_set_new(o, "copy_id", json_string(t->copy));
	json_object_set_new(o, "same_family", json_boolean(t->same));
	json_object_set_new(o, "new_blobs",
	    json_integer((json_int_t)t->blobs_new));
	json_object_set_new(o, "stored_bytes",
	    json_integer((json_int_t)t->bytes_stored));
	json_object_set_new(o, "verified", json_boolean(t->verified));
	json_object_set_new(o, "differs", json_boolean(t->differs));
	cli_json_print(o);
}

static void told_text(const struct shown *s, const struct engine_copy_told *t)
{
	char when[CLI_TEXT_MAX], size[CLI_TEXT_MAX];
	char *volume = cli_escaped(t->sn->volume);

	cli_output_lock();
	printf("%s  %s  %s: ", t->sn->id, volume,
	    cli_time_text(when, sizeof(when), t->sn->start_ns));
	if (t->outcome == ENGINE_COPY_DONE && s->o->dry_run && t->same)
		printf("would be copied, %s new\n", CLI_COUNTED(t->blobs_new,
		    "blob", "blobs"));
	else if (t->outcome == ENGINE_COPY_DONE && s->o->dry_run)
		printf("would be copied\n");
	else if (t->outcome == ENGINE_COPY_DONE)
		printf("copied as %s, %s%s\n", t->copy, cli_size_text(size,
		    sizeof(size), (double)t->bytes_stored), t->verified ?
		    ", verified" : "");
	else if (t->outcome == ENGINE_COPY_THERE)
		printf("is there as %s%s\n", t->copy, t->verified ?
		    ", verified" : "");
	else if (t->outcome == ENGINE_COPY_GONE)
		printf("was forgotten meanwhile\n");
	else
		printf("not copied: it is damaged\n");
	fflush(stdout);
	cli_output_unlock();
	free(volume);
}

static void told(void *ctx, const struct engine_copy_told *t)
{
	const struct shown *s = ctx;

	if (t->outcome == ENGINE_COPY_DAMAGED)
		cli_warn("snapshot %s is not copied: not all that it needs can "
		    "be read ('wherry repair', then a backup of the same "
		    "source, may heal it)", t->sn->id);
	if (t->differs)
		cli_warn("snapshot %s: its copy %s at %s is not the same", t->sn->id,
		    t->copy, s->o->to.url);
	if (s->cli->json)
		told_json(t, s->o->dry_run);
	else if (!s->cli->quiet && (t->outcome != ENGINE_COPY_THERE ||
	        t->verified || s->cli->verbose > 0))
		told_text(s, t);
}

static void damage(void *ctx, const struct store_snapshot *sn, bool far,
    const char *path, const struct err *why)
{
	const struct shown *s = ctx;

	if (!s->cli->json) {
		char *text = cli_escaped(path);

		cli_warn("%s %s: %s: %s", far ? "the copy of snapshot" :
		    "snapshot", sn->id, text, why->msg);
		free(text);
		return;
	}

	json_t *o = json_object();

	json_object_set_new(o, "message_type", json_string("damaged_path"));
	json_object_set_new(o, "snapshot_id", json_string(sn->id));
	json_object_set_new(o, "in_copy", json_boolean(far));
	cli_json_set_bytes(o, "path", path, strlen(path));
	json_object_set_new(o, "message", cli_json_text(why->msg));
	cli_json_print(o);
}

/* --- which --------------------------------------------------------------------*/

static int by_time(const void *pa, const void *pb)
{
	const struct store_snapshot *a = *(struct store_snapshot *const *)pa;
	const struct store_snapshot *b = *(struct store_snapshot *const *)pb;
	int c = memcmp(a->slot, b->slot, sizeof(a->slot));

	if (a->start_ns != b->start_ns)
		return a->start_ns < b->start_ns ? -1 : 1;
	return c != 0 ? c : strcmp(a->session, b->session);
}

/* Oldest first, each once: so chains grow there as they did here. */
static void in_order(struct cli_snapshots *l)
{
	size_t n = 0;

	if (l->n > 1)
		qsort(l->v, l->n, sizeof(*l->v), by_time);
	for (size_t i = 0; i < l->n; i++) {
		if (n > 0 && by_time(&l->v[n - 1], &l->v[i]) == 0)
			store_snapshot_free(l->v[i]);
		else
			l->v[n++] = l->v[i];
	}
	l->n = n;
}

static int named(struct cli *cli, struct store *st, struct cli_snapshots *ret,
    struct err *err)
{
	ret->v = calloc((size_t)cli->argc + 1, sizeof(*ret->v));
	if (ret->v == NULL)
		return err_nomem(err, "the list of snapshots");
	for (int i = 0; i < cli->argc; i++) {
		if (store_snapshot_find(st, cli->argv[i], &ret->v[ret->n],
		        err) < 0)
			return -1;
		if (ret->v[ret->n++]->checkpoint)
			return err_set(err, ERR_USAGE, "'%s' is a checkpoint of "
			    "a backup that was interrupted (copy the snapshot "
			    "that it became)", cli->argv[i]);
	}
	return 0;
}

static int choose(struct cli *cli, struct store *st, struct cli_snapshots *ret)
{
	struct err err = ERR_INIT;
	int r = cli->argc > 0 ? named(cli, st, ret, &err) :
	    cli_snapshots_read(cli, st, ret, &err);

	if (r < 0)
		return cli_fail(cli, &err, CLI_AT_WORK, "find what to copy");
	if (ret->n == 0 && cli_filter_given(cli))
		return cli_filter_fail(cli, "copy");
	in_order(ret);
	return CLI_OK;
}

/* --- the verb -------------------------------------------------------------------*/

static void summary(const struct shown *s, const struct engine_copy_result *r)
{
	char size[CLI_TEXT_MAX], time[CLI_TEXT_MAX];

	if (s->cli->json) {
		cli_json_print(json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, "
		    "s:I, s:I, s:I, s:b, s:f}",
		    "message_type", "summary", "dry_run", s->o->dry_run,
		    "copied", (json_int_t)r->copied,
		    "there", (json_int_t)r->there,
		    "damaged", (json_int_t)r->damaged,
		    "gone", (json_int_t)r->gone,
		    "verified", (json_int_t)r->verified,
		    "differ", (json_int_t)r->differ,
		    "new_blobs", (json_int_t)r->blobs_new,
		    "stored_bytes", (json_int_t)r->bytes_stored,
		    "between_families", r->anew,
		    "elapsed_seconds", (double)r->elapsed_ns / 1e9));
		return;
	}
	if (s->cli->quiet)
		return;
	printf("%s %s, %llu there already", CLI_COUNTED(r->copied, "snapshot",
	    "snapshots"), s->o->dry_run ? "would be copied" : "copied",
	    (unsigned long long)r->there);
	if (!s->o->dry_run)
		printf("; %s stored at %s, %s", cli_size_text(size, sizeof(size),
		    (double)r->bytes_stored), s->o->to.url, cli_duration_text(
		    time, sizeof(time), r->elapsed_ns));
	printf("\n");
	if (r->anew)
		printf("note: the repositories are of two families, so all was "
		    "read and got new ids there (with 'wherry init --family-of' "
		    "blobs are sent as they are)\n");
}

static int work(struct cli *cli, const struct opts *o, struct cli_repo *repo,
    struct store *to, const struct cli_snapshots *l)
{
	struct shown s = { cli, o };
	struct engine_copy_result result;
	const struct engine_copy_options opt = {
		.from = repo->store, .to = to, .level = ZIP_DEFAULT,
		.dry_run = o->dry_run, .verify = o->verify,
		.told = told, .damage = damage, .ctx = &s,
	};
	struct err err = ERR_INIT;
	int r;

	cli_progress_start(cli, repo->engine, CLI_READING);
	r = engine_copy(repo->engine, &opt, l->v, l->n, &result, &err);
	cli_progress_stop();
	if (r < 0)
		return cli_fail(cli, &err, CLI_AT_WORK, "copy to %s", o->to.url);
	summary(&s, &result);
	return result.damaged + result.differ + l->bad > 0 ? CLI_DAMAGE : CLI_OK;
}

/* Two places, not one. */
static int distinct(struct cli *cli, const struct opts *o,
    const struct store *from, const struct store *to)
{
	struct err err = ERR_INIT;

	if (memcmp(store_info(from)->repository, store_info(to)->repository,
	        16) != 0)
		return CLI_OK;
	err_set(&err, ERR_USAGE, "it is the same repository (name another with "
	    "--to; 'wherry init --family-of' makes one)");
	return cli_fail(cli, &err, CLI_AT_WORK, "copy to %s", o->to.url);
}

static int run(struct cli *cli, void *opts)
{
	const struct opts *o = opts;
	struct cli_other other = o->to;
	struct cli_snapshots list = { 0 };
	struct store *to = NULL;
	struct cli_repo repo;
	int code;

	if (o->to.url == NULL)
		return cli_usage(cli, "nothing says where to (give --to)");
	if (cli->argc > 0 && cli_filter_given(cli))
		return cli_usage(cli, "snapshots are named and a filter is given "
		    "(give the one or the other)");
	other.name = "to";
	other.url_option = "--to";
	code = cli_repo_open(cli, STORE_READ, "copy", CLI_OPEN_ENGINE |
	    CLI_OPEN_HALF, &repo);
	if (code != CLI_OK)
		return code;
	code = cli_other_open(cli, &other, STORE_WRITE |
	    (o->verify ? STORE_READ : 0), "to copy",
	    (o->verify ? CLI_OPEN_STRICT : 0) |
	    (o->dry_run ? 0 : CLI_OPEN_WRITE), &to);
	if (code == CLI_OK)
		code = distinct(cli, o, repo.store, to);
	if (code == CLI_OK)
		code = choose(cli, repo.store, &list);
	if (code == CLI_OK)
		code = work(cli, o, &repo, to, &list);
	cli_snapshots_release(&list);
	cli_other_close(cli, to);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_copy = {
	.name = "copy",
	.args = "[SNAPSHOT...]",
	.summary = "Copy snapshots to another repository",
	.text = "Copies all snapshots, those that a filter lets pass, or those "
	    "named, to the repository of --to, but for those of which a copy "
	    "is there: so it may run after each backup, and goes on where it "
	    "was interrupted. A copy keeps times, host, paths, tags and "
	    "volume, gets an id of its own, and names what it was made of.\n\n"
	    "To a repository of the same family (see 'wherry init "
	    "--family-of') blobs are sent as they are, verified on the way, "
	    "and only those that are not there. To any other one all is read, "
	    "and written anew with other ids; what is there is not sent "
	    "twice.\n\n"
	    "A snapshot that is damaged here is not copied: what it lost is "
	    "told by path, the others are copied, and the exit code is 13. It "
	    "is 13 as well when --verify finds a copy that is not the same. "
	    "What is forgotten there while it is still here is copied again "
	    "by the next run.",
	.json = "  {\"message_type\":\"snapshot\",...}  for each, as in "
	    "snapshots, with \"outcome\"\n   (copied, there, damaged, gone), "
	    "\"copy_id\",\"same_family\",\"new_blobs\",\n   "
	    "\"stored_bytes\",\"verified\",\"differs\",\"dry_run\"\n"
	    "  {\"message_type\":\"damaged_path\",\"snapshot_id\",\"in_copy\","
	    "\"path\",\"message\"}\n"
	    "  {\"message_type\":\"status\",...}  with --progress, as in "
	    "backup\n"
	    "  {\"message_type\":\"summary\",\"dry_run\",\"copied\",\"there\","
	    "\"damaged\",\"gone\",\n   \"verified\",\"differ\","
	    "\"new_blobs\",\"stored_bytes\",\"between_families\",\n   "
	    "\"elapsed_seconds\"}",
	.examples = "wherry init -r /mnt/offsite/repo --family-of "
	    "/mnt/backup/repo\n"
	    "wherry copy --to /mnt/offsite/repo\n"
	    "wherry copy --to /mnt/offsite/repo --volume db --verify\n"
	    "wherry copy --to /mnt/offsite/repo latest@home",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_FILTER |
	    CLI_G_UPLOAD | CLI_G_ENGINE | CLI_G_PROGRESS | CLI_G_TALK |
	    CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.max_args = -1,
	.run = run,
};
