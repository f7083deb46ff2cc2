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

#endif
