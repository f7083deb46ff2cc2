#ifndef AGENT_CLI_CLI_REPO_H
#define AGENT_CLI_CLI_REPO_H

#include "agent/cli/cli.h"
#include "agent/engine/retention.h"
#include "repo/base/extent.h"
#include "repo/store/store.h"

/* --- repository (cli_repo.c, cli_secret.c) -----------------------------------------*/

struct cli_repo {
	struct cli *cli;
	struct store *store;
	struct engine *engine; /* NULL unless asked for */
};

/*
 * Open what --repo and its like name.  rights: enum store_right that `what`
 * needs ("back up"); flags: enum cli_open, or-ed.
 * Return CLI_OK, or an exit code after printing why.
 */
enum cli_open {
	CLI_OPEN_WRITE = 1, CLI_OPEN_ENGINE = 2,
	CLI_OPEN_STRICT = 4, /* all comes from the store: nothing is cached */
	CLI_OPEN_HALF = 8, /* another store is opened, too: it gets the other half */
};
int cli_repo_open(struct cli *cli, unsigned rights, const char *what,
    unsigned flags, struct cli_repo *ret);
void cli_repo_close(struct cli_repo *r);

/*
 * Warn when what this machine remembers of the repository is no longer there;
 * remember what was seen of it.  Failures are logged only.  (cli_seen.c)
 */
void cli_seen_compare(struct cli *cli, struct store *st);
/*
 * Where this machine keeps what can be lost, with `below` appended; to be
 * freed.  NULL when nothing says where such things belong.
 */
char *cli_cache_path(const struct cli *cli, const char *below);
void cli_seen_remember(struct cli *cli, struct store *st);

/* The URL, or NULL after printing that there is none. */
const char *cli_repo_url(struct cli *cli);

/* The stack of backends for the URL.  Return it or NULL with err. */
struct backend *cli_backend_open(struct cli *cli, const char *url, bool create,
    bool write, struct err *err);

/* Open what is there by that secret; flags as of cli_repo_open. */
struct store *cli_store_open(struct cli *cli, const char *url, unsigned flags,
    const struct store_secret *secret, struct err *err);

/* A second repository, beside the one of --repo.  (cli_other.c) */
struct cli_other {
	const char *name;         /* "to" or "from", as its options begin */
	const char *url_option;   /* what names its URL: "--to" */
	const char *url, *password_file, *key_file, *slot; /* NULL: not given */
};
/*
 * Open it, with half of the memory for an index: by its options, else by
 * WHERRY_<NAME>_PASSWORD and its like, else it is asked for.  Return CLI_OK,
 * or an exit code after printing why.
 */
int cli_other_open(struct cli *cli, const struct cli_other *o, unsigned rights,
    const char *what, unsigned flags, struct store **ret);
void cli_other_close(struct cli *cli, struct store *st); /* NULL is fine */

/* The budget for repositories with such chunks, by --memory and --cpus. */
int cli_budget(const struct cli *cli, uint32_t max_chunk,
    struct engine_budget *ret, struct err *err);

/*
 * Find the snapshot of "SPEC" or "SPEC:PATH".  *ret_path points into text, or
 * is "" without a path.  Return as store_snapshot_find.
 */
int cli_snapshot_find(struct store *st, const char *text,
    struct store_snapshot **ret_sn, const char **ret_path, struct err *err);

/*
 * The n-th way (from 0) to split SPEC:PATH: the length of SPEC, and the path.
 * Return false when there are no more.
 */
bool cli_spec_split(const char *text, unsigned n, size_t *ret_len,
    const char **ret_path);

/* Return true when --host, --tag and --volume let the snapshot pass. */
bool cli_filter_match(const struct cli *cli, const struct store_snapshot *sn);

/* Read snapshots that pass the filter, newest last; free with the other. */
struct cli_snapshots { struct store_snapshot **v; size_t n; size_t bad; };
int cli_snapshots_read(struct cli *cli, struct store *st,
    struct cli_snapshots *ret, struct err *err);
void cli_snapshots_release(struct cli_snapshots *s);
/* Is a filter given?  Then a list without snapshots may be a slip of the pen. */
bool cli_filter_given(const struct cli *cli);
/* Say that no snapshot passes it.  Returns CLI_FAILED. */
int cli_filter_fail(struct cli *cli, const char *what);

/* A passphrase or key line in secret memory; free with cli_secret_free. */
char *cli_secret_from_file(const char *path, struct err *err);
/* name: of the variable that holds it. */
char *cli_secret_from_command(const char *command, const char *name,
    struct err *err);
/* Ask at the terminal with echo off; twice when it is a new one. */
char *cli_secret_from_terminal(const char *prompt, bool twice, struct err *err);
/* By --password-file, the environment, or the terminal. */
char *cli_secret_passphrase(const struct cli *cli, bool fresh, struct err *err);
/*
 * The same of any repository: file may be NULL; env: what its variables begin
 * with ("WHERRY_"); prompt: what is asked with, twice for a fresh one.
 */
char *cli_secret_passphrase_of(const char *file, const char *env,
    const char *prompt, bool fresh, struct err *err);
void cli_secret_free(char *s);
/*
 * Make a file of mode 0400 for a new key; an existing one is class EXISTS.
 * Return its descriptor or -1.  It is made before the key is, for a key that
 * cannot be written down is lost.
 */
int cli_secret_make_file(const char *path, struct err *err);
int cli_secret_write_key(int fd, const char *path, const char *line,
    struct err *err);

/* --- what to keep (cli_policy.c, cli_forget.c) ------------------------------------------*/

/* Does the command line say what to keep? */
bool cli_policy_given(const struct cli *cli);
/*
 * The policy that it says, but for now_ns; tags are borrowed.  Class USAGE
 * names the option that is wrong.
 */
int cli_policy_read(const struct cli *cli, struct engine_policy *ret,
    struct err *err);
/*
 * What a minimum age counts from: the earlier of this machine's clock and the
 * store's; of this machine's alone when nothing may be written.
 */
int cli_policy_now(struct store *st, bool write, int64_t *ret_ns,
    struct err *err);

struct cli_forgotten { uint64_t kept, forgotten, bad; };
/*
 * Apply the policy to all snapshots that the filter lets pass, tell what stays
 * and goes and why, and forget, unless dry_run.  Return CLI_OK, or an exit
 * code after printing why: CLI_DAMAGE when some snapshots could not be read,
 * which stay; CLI_FAILED when a filter was given that no snapshot passes.
 */
int cli_forget_policy(struct cli *cli, struct store *st,
    const struct engine_policy *policy, bool dry_run,
    struct cli_forgotten *ret);
/* Print how many stay and go, for people. */
void cli_forgotten_print(const struct cli_forgotten *f, bool dry_run);

/* --- input (cli_changed.c) -------------------------------------------------------------*/

/*
 * The extents in a file ("-": standard input): a line each, "OFFSET LENGTH" in
 * decimal or {"offset":N,"length":N}; ascending, without overlap; the last
 * line ends like the others, so that a list cut off is noticed.  All of it is
 * read at once, what cannot be read again into an unnamed file; NULL with err:
 * USAGE names the line that is none.
 */
struct cli_changed;
struct cli_changed *cli_changed_open(const char *path, struct err *err);
void cli_changed_close(struct cli_changed *c);
struct extent_source cli_changed_source(struct cli_changed *c);
/* Where the last of them begins; 0 when there is none. */
uint64_t cli_changed_last(const struct cli_changed *c);

#endif
