#ifndef AGENT_CLI_CLI_VERBS_H
#define AGENT_CLI_CLI_VERBS_H

#include "agent/cli/cli.h"

/* One file per verb defines each: cmd_<verb>.c. */
extern const struct cli_verb cli_cmd_init;
extern const struct cli_verb cli_cmd_backup;
extern const struct cli_verb cli_cmd_restore;
extern const struct cli_verb cli_cmd_dump;
extern const struct cli_verb cli_cmd_snapshots;
extern const struct cli_verb cli_cmd_ls;
extern const struct cli_verb cli_cmd_find;
extern const struct cli_verb cli_cmd_diff;
extern const struct cli_verb cli_cmd_mount;
extern const struct cli_verb cli_cmd_stats;
extern const struct cli_verb cli_cmd_check;
extern const struct cli_verb cli_cmd_repair;
extern const struct cli_verb cli_cmd_forget;
extern const struct cli_verb cli_cmd_session_list;
extern const struct cli_verb cli_cmd_session_revoke;
extern const struct cli_verb cli_cmd_copy;
extern const struct cli_verb cli_cmd_gc;
extern const struct cli_verb cli_cmd_upkeep;
extern const struct cli_verb cli_cmd_key_list;
extern const struct cli_verb cli_cmd_key_add;
extern const struct cli_verb cli_cmd_key_passwd;
extern const struct cli_verb cli_cmd_key_remove;
extern const struct cli_verb cli_cmd_key_rotate;
extern const struct cli_verb cli_cmd_bench;
extern const struct cli_verb cli_cmd_version;
extern const struct cli_verb cli_cmd_completion;
extern const struct cli_verb cli_cmd_man;
extern const struct cli_verb cli_cmd_help;

#endif
