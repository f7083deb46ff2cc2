#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_verbs.h"
#include "agent/engine/restore.h"

static int run(struct cli *cli, void *opts)
{
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;
	const char *path;
	struct cli_repo repo;
	int code = cli_repo_open(cli, STORE_READ, "dump", CLI_OPEN_ENGINE,
	    &repo);

	(void)opts;
	if (code != CLI_OK)
		return code;
	if (cli_snapshot_find(repo.store, cli->argv[0], &sn, &path, &err) < 0)
		code = cli_fail(cli, &err, CLI_AT_WORK,
		    "find the snapshot %s", cli->argv[0]);
	else if (engine_dump(repo.engine, repo.store, sn, path, STDOUT_FILENO,
	    &err) < 0)
		code = cli_fail(cli, &err, CLI_AT_WORK, "dump %s",
		    cli->argv[0]);
	store_snapshot_free(sn);
	cli_repo_close(&repo);
	return code;
}

const struct cli_verb cli_cmd_dump = {
	.name = "dump",
	.args = "SNAPSHOT[:PATH]",
	.summary = "Write one file, or a directory as tar, to standard output",
	.text = "A file comes as it is; a directory, or the whole snapshot, as "
	    "a tar archive (pax, with times in ns and extended attributes); a "
	    "block volume as its bytes. Sockets have no form in an archive: they "
	    "are left out with a warning, as are attributes whose names hold '='; "
	    "that does not change the exit code. Damage does: 13.",
	.examples = "wherry dump latest:etc/fstab\n"
	    "wherry dump latest:home/anna | tar -C /tmp -x\n"
	    "wherry dump latest@data | cmp - /dev/vg0/data",
	.groups = CLI_G_REPO | CLI_G_SECRET | CLI_G_ENGINE | CLI_G_TALK | CLI_G_HELP,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
