#ifndef AGENT_CLI_CLI_CARE_H
#define AGENT_CLI_CLI_CARE_H

#include "agent/cli/cli_repo.h"
#include "agent/engine/collect.h"

/*
 * What a verb and upkeep both do: the work, told with progress, text or JSON.
 * Each returns CLI_OK or an exit code after printing why.  repo has an engine.
 */

/* opt but for waiting and ctx; told by "wherry gc".  (cmd_gc.c) */
int cli_gc_run(struct cli *cli, struct cli_repo *repo,
    const struct engine_gc_options *opt);

/* read_percent: 0 for the structure alone; CLI_DAMAGE.  (cmd_check.c) */
int cli_check_run(struct cli *cli, struct cli_repo *repo,
    unsigned read_percent);

/*
 * Telling damage, as callbacks of check and repair with the struct as ctx: an
 * object is told once; of a path that several snapshots have, all but the first
 * of them tell how many, unless --verbose.  The object's may be called from any
 * thread, the path's from one.  (cli_told.c)
 */
struct cli_told;
struct cli_told *cli_told_new(struct cli *cli, bool repair);
void cli_told_free(struct cli_told *t);
void cli_told_object(void *ctx, const char *key, const uint8_t *id,
    const char *what);
void cli_told_path(void *ctx, const char *snapshot, const char *path,
    const char *what);
/* What parity can put back, or not. */
void cli_told_ranges(void *ctx, const char *key, const char *what, bool healable);
/* All paths have come: tell what is left, and return how many differed. */
uint64_t cli_told_paths(struct cli_told *t);

#endif
