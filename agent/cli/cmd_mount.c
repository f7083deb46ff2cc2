#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"
#include "agent/mount/mount.h"
#include "repo/base/cleanup.h"

/* Code, stacks, and what the allocator and libfuse take besides. */
#define PROGRAM_BYTES ((size_t)28 << 20)
/* Chunks and their like come and go: each is given back to the system. */
#define LARGE_BLOCK (128 << 10)

struct opts { struct cli_list options; };

static const struct cli_option options[] = {
	{ "option", 'o', "OPTIONS", "Options of the mount, as of mount(8): "
	    "allow_other, dev, suid, noexec, ... (may be repeated)", CLI_LIST,
	    offsetof(struct opts, options) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static bool wanted(void *ctx, const struct store_snapshot *sn)
{
	return cli_filter_match(ctx, sn);
}

static const char *mounted_at; /* for the handler of signals */

/*
 * The second time the process ends with requests under way: a mount without
 * its server would answer nobody, so it is taken away first.
 */
static void stop(void *ctx, bool again)
{
	if (!again)
		mount_stop(ctx);
	else if (umount2(mounted_at, MNT_DETACH) != 0 && fork() == 0) {
		execlp("fusermount3", "fusermount3", "-uz", mounted_at, NULL);
		_exit(127);
	}
}

/* What is in the directory would be hidden.  0, or -1 with err. */
static int look_empty(const char *dir, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool empty = true;

	if (d == NULL)
		return err_sys(err, errno, "%s", dir);
	while (empty && (e = readdir(d)) != NULL)
		empty = strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0;
	closedir(d);
	return empty ? 0 : err_set(err, ERR_EXISTS, "%s is not empty, and what "
	    "is in it would be hidden (take an empty directory)", dir);
}

/* All -o as one list; NULL: none. */
static char *join(const struct cli_list *l)
{
	struct buf b = BUF_INIT;

	if (l->n == 0)
		return NULL;
	for (size_t i = 0; i < l->n; i++)
		buf_printf(&b, "%s%s", i > 0 ? "," : "", l->v[i]);
	buf_u8(&b, '\0');
	if (b.failed)
		cli_nomem();
	return (char *)b.p;
}

static void say_mounted(struct cli *cli)
{
	CLEANUP_FREE char *dir = cli_escaped(cli->argv[0]);

	if (cli->json) {
		json_t *o = json_object();

		json_object_set_new(o, "message_type", json_string("mounted"));
		cli_json_set_bytes(o, "path", cli->argv[0], strlen(cli->argv[0]));
		cli_json_print(o);
	} else if (!cli->quiet) {
		printf("mounted at %s; Ctrl-C here, or 'umount %s' (without root: "
		    "'fusermount3 -u %s'), ends it\n", dir, dir, dir);
	}
	fflush(stdout);
}

static int work(struct cli *cli, const struct opts *o, struct store *st)
{
	CLEANUP_FREE char *list = join(&o->options);
	const struct store_info *info = store_info(st);
	struct engine_budget budget;
	struct err err = ERR_INIT;
	struct mount *m = NULL;
	int code = CLI_OK;

	if (cli_budget(cli, info->stream.max > info->block.max ? info->stream.max :
	    info->block.max, &budget, &err) == 0) {
		struct mount_options opt = {
			.dir = cli->argv[0],
			.options = list,
			.memory = budget.total - budget.index - PROGRAM_BYTES,
			.wanted = wanted,
			.report = cli_report,
			.ctx = cli,
		};

		m = mount_new(st, &opt, &err);
	}
	if (m == NULL)
		return cli_fail(cli, &err, CLI_AT_WORK, "mount at %s", cli->argv[0]);
	mounted_at = cli->argv[0];
	cli_signals_stop(stop, m);
	say_mounted(cli);
	if (mount_serve(m, &err) < 0)
		code = cli_fail(cli, &err, CLI_AT_WORK, "mount at %s", cli->argv[0]);
	cli_signals_stop(NULL, NULL);
	mount_free(m);
	return code;
}

static int run(struct cli *cli, void *opts)
{
	struct err err = ERR_INIT;
	struct cli_repo repo;
	int code;

	if (look_empty(cli->argv[0], &err) < 0)
		return cli_fail(cli, &err, CLI_AT_WORK, "mount at %s",
		    cli->argv[0]);
	mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
	code = cli_repo_open(cli, STORE_READ, "mount", 0, &repo);
	if (code != CLI_OK)
		return code;
	code = work(cli, opts, repo.store);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_mount = {
	.name = "mount",
	.args = "DIR",
	.summary = "Show all snapshots as a file system that can only be read",
	.text = "Mounts at DIR, an empty directory, by FUSE, and stays in the "
	    "foreground until it is unmounted or interrupted. There are "
	    "volumes/VOLUME/TIME and ids/ID, each with the files of a snapshot, "
	    "and latest/VOLUME, a link to the newest. TIME is in UTC; in VOLUME a "
	    "slash is shown as '_'. A block volume's snapshot is one file, TIME.img "
	    "or ID.img. New snapshots appear within ten seconds.\n\n"
	    "Everything is shown as it was: owners, modes, times, extended "
	    "attributes, hard links, holes. Of a hard link the number of names is "
	    "counted in snapshots of up to four million entries, else 2 is shown. A "
	    "directory's number of links is always 1. What is damaged gives an "
	    "input/output error, and is named here.\n\n"
	    "Only the user who mounts can look into it, unless -o allow_other is "
	    "given: then everybody can, as far as the modes and ACLs in the "
	    "snapshots let him, and /etc/fuse.conf must allow that to users who "
	    "are not root.",
	.json = "  {\"message_type\":\"mounted\",\"path\"}\n"
	    "  {\"message_type\":\"problem\",\"path\",\"class\",\"message\"}  what "
	    "could not be read, ID:PATH",
	.examples = "wherry mount /mnt/snapshots\n"
	    "wherry mount -o allow_other --volume data /mnt/snapshots\n"
	    "cp -a /mnt/snapshots/latest/data/etc/fstab /tmp",
	.groups = CLI_G_JSON | CLI_G_REPO | CLI_G_SECRET | CLI_G_FILTER |
	    CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.min_args = 1,
	.max_args = 1,
	.words = CLI_W_PATH,
	.run = run,
};
