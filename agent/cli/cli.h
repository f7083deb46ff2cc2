#ifndef AGENT_CLI_CLI_H
#define AGENT_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/engine/engine.h"
#include "repo/base/buf.h"
#include "repo/base/err.h"
#include "repo/base/extent.h"
#include "repo/store/store.h"

/*
 * What the files of the command line share.  Nothing below this room sees it.
 */

/* What the program ends with; shown in every man page. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_PARTLY = 3,       /* done, but some paths are missing or not whole */
	CLI_NO_REPOSITORY = 10,
	CLI_EXISTS = 11,      /* there is a repository already */
	CLI_AUTH = 12,
	CLI_DAMAGE = 13,
	CLI_INTERRUPTED = 130,
};

/* --- options (cli_options.c) ----------------------------------------------*/

/* What an option stores, in the field at its offset. */
enum cli_type {
	CLI_FLAG,    /* bool */
	CLI_COUNT,   /* int: how often it was given */
	CLI_TEXT,    /* const char * */
	CLI_FILE,    /* const char *, the name of a file */
	CLI_DIR,     /* const char *, the name of a directory */
	CLI_LIST,    /* struct cli_list: every one given */
	CLI_FILES,   /* the same, names of files */
	CLI_SIZE,    /* uint64_t, bytes */
	CLI_RATE,    /* uint64_t, bytes a second */
	CLI_NUMBER,  /* unsigned */
	CLI_CHOICE,  /* int: which of the words in arg, split by '|', from 1 */
	CLI_PERCENT, /* unsigned, 1-100; the argument may be left out: 100 */
	CLI_HELP,    /* print help and end */
	CLI_SYNOPSIS, /* print the usage line and end */
};

/* One option; argp, the man pages and the completions are made from these. */
struct cli_option {
	const char *name;  /* long name; NULL ends a table */
	char letter;       /* short name or 0 */
	const char *arg;   /* what the help calls the argument; NULL: none */
	const char *help;  /* without a full stop */
	enum cli_type type;
	size_t offset;
};

struct cli_list { const char **v; size_t n; };

/* Groups of options that several verbs have; or-ed in struct cli_verb. */
enum cli_group {
	CLI_G_JSON = 1,     /* --json */
	CLI_G_REPO = 2,     /* where the repository is */
	CLI_G_SECRET = 4,   /* what opens it */
	CLI_G_UPLOAD = 8,   /* for verbs that store */
	CLI_G_ENGINE = 16,  /* threads, I/O */
	CLI_G_PROGRESS = 32,
	CLI_G_TALK = 64,    /* --quiet, --verbose */
	CLI_G_FILTER = 128, /* which snapshots */
	CLI_G_NEW = 256,    /* the secret of a new repository */
};
#define CLI_G_LAST CLI_G_NEW

/* Which words fit as arguments that are no options, for completion. */
enum cli_words { CLI_W_NONE, CLI_W_PATH, CLI_W_VERB, CLI_W_SHELL };

struct cli;

struct cli_verb {
	const char *name;     /* "backup", "key add" */
	const char *args;     /* as the usage line shows them; NULL: none */
	const char *summary;  /* one line */
	const char *text;     /* paragraphs, an empty line between them */
	const char *json;     /* what --json prints; NULL without CLI_G_JSON */
	const char *examples; /* a command a line */
	unsigned groups;      /* enum cli_group */
	const struct cli_option *options; /* its own; may be NULL */
	size_t opts_size;     /* of the struct that they fill, zeroed before */
	int min_args, max_args; /* max -1: any number */
	enum cli_words words;
	/* The work; returns the exit code, having printed why. */
	int (*run)(struct cli *cli, void *opts);
};

/* All verbs in the order of the help; the last has a NULL name. */
extern const struct cli_verb *const cli_verbs[];

/* Find "backup", "key add" or "key-add"; NULL when there is none. */
const struct cli_verb *cli_verb_find(const char *name);

/* What the command line said. */
struct cli {
	const struct cli_verb *verb;
	/* CLI_G_TALK, CLI_G_JSON, CLI_G_PROGRESS */
	bool json, quiet, progress;
	int verbose;
	const char *profile;
	/* CLI_G_REPO, CLI_G_SECRET */
	const char *repo, *password_file, *key_file, *slot;
	uint64_t memory, limit_download, limit_upload;
	bool debug;
	/* CLI_G_ENGINE */
	unsigned cpus;
	int io; /* enum engine_io_mode + 1; 0: not given */
	/* CLI_G_FILTER */
	struct cli_list hosts, tags, volumes;
	/* What is no option. */
	char **argv;
	int argc;
	/* Private to cli_options.c. */
	char *name;             /* "wherry backup" */
	struct cli_list words;
	char **profile_args;
	const char *reading;    /* the profile while it is parsed, or NULL */
};

/* The option table of one group, and its heading in the help. */
const struct cli_option *cli_group_options(enum cli_group g);
const char *cli_group_title(enum cli_group g);

/*
 * Parse what follows the verb (argv[0] is passed over) and the profile into
 * cli and opts.  Ends the process after --help and after a usage error.  Return
 * 0, or -1 with err when the profile cannot be read.
 */
int cli_parse(struct cli *cli, const struct cli_verb *verb, void *opts,
    int argc, char **argv, struct err *err);
void cli_parse_release(struct cli *cli, void *opts);

/*
 * A usage error found after parsing: print the message and where help is.
 * Returns CLI_USAGE.
 */
int cli_usage(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Store one argument by its type; what argp does, for tests and profiles. */
int cli_option_set(const struct cli_option *o, void *base, const char *arg,
    struct err *err);

/* Append a borrowed string. */
int cli_list_add(struct cli_list *l, const char *s, struct err *err);

/*
 * Read the profile `name` into options as on a command line ("--repo=..."),
 * a NULL-ended array with argv[0] the file's name, free with
 * cli_profile_free.  Only names that `verb` has are given; one that no verb
 * has is class USAGE.  (cli_profile.c)
 */
int cli_profile_read(const char *name, const struct cli_verb *verb,
    char ***ret_argv, int *ret_argc, struct err *err);
/* The same for a text, with the name that messages call it by. */
int cli_profile_parse(const char *file, const char *text, size_t len,
    const struct cli_verb *verb, char ***ret_argv, int *ret_argc,
    struct err *err);
void cli_profile_free(char **argv);

/* Run the program; main does nothing else.  Returns the exit code. */
int cli_main(int argc, char **argv);

/* --- messages (cli_error.c) --------------------------------------------------*/

/* Where a failure was met: it decides what the class means. */
enum cli_where { CLI_AT_WORK, CLI_AT_INIT, CLI_AT_OPEN };

/* The exit code of err at this place. */
enum cli_exit cli_exit_code(const struct err *err, enum cli_where where);

/*
 * Print "wherry: cannot <fmt>: <message> (<what to do>)" on stderr, and as an
 * object on stdout with --json.  Returns the exit code.
 */
int cli_fail(struct cli *cli, const struct err *err, enum cli_where where,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Print "wherry: <fmt>" on stderr, above the progress line. */
void cli_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Say that memory is out and end the process. */
_Noreturn void cli_nomem(void);

/* Send the libraries' log to stderr as --verbose and --debug say. */
void cli_log_to_stderr(const struct cli *cli);

/* --- signals (cli_signal.c) ------------------------------------------------------*/

/*
 * SIGINT and SIGTERM end the process with 130, or, while an engine runs, ask
 * it to stop first.  SIGUSR1 is blocked: the progress thread waits for it.
 */
void cli_signals_init(void);
void cli_signals_engine(struct engine *e); /* NULL: none runs */
bool cli_interrupted(void);
/* The terminal to set back before ending; NULL: none. */
struct termios;
void cli_signals_terminal(int fd, const struct termios *saved);

/* --- repository (cli_repo.c, cli_secret.c) -----------------------------------------*/

struct cli_repo {
	struct store *store;
	struct engine *engine; /* NULL unless asked for */
};

/*
 * Open what --repo and its like name.  rights: enum store_right that `what`
 * needs ("back up"); flags: enum cli_open, or-ed.
 * Return CLI_OK, or an exit code after printing why.
 */
enum cli_open { CLI_OPEN_WRITE = 1, CLI_OPEN_ENGINE = 2 };
int cli_repo_open(struct cli *cli, unsigned rights, const char *what,
    unsigned flags, struct cli_repo *ret);
void cli_repo_close(struct cli_repo *r);

/* The URL, or NULL after printing that there is none. */
const char *cli_repo_url(struct cli *cli);

/* The stack of backends for the URL.  Return it or NULL with err. */
struct backend *cli_backend_open(struct cli *cli, const char *url, bool create,
    bool write, struct err *err);

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

/* A passphrase or key line in secret memory; free with cli_secret_free. */
char *cli_secret_from_file(const char *path, struct err *err);
char *cli_secret_from_command(const char *command, struct err *err);
/* Ask at the terminal with echo off; twice when it is a new one. */
char *cli_secret_from_terminal(const char *prompt, bool twice, struct err *err);
/* By --password-file, the environment, or the terminal. */
char *cli_secret_passphrase(const struct cli *cli, bool fresh, struct err *err);
void cli_secret_free(char *s);
/*
 * Make a file of mode 0400 for a new key; an existing one is class EXISTS.
 * Return its descriptor or -1.  It is made before the key is, for a key that
 * cannot be written down is lost.
 */
int cli_secret_make_file(const char *path, struct err *err);
int cli_secret_write_key(int fd, const char *path, const char *line,
    struct err *err);

/* --- input (cli_changed.c) -------------------------------------------------------------*/

/*
 * The extents in a file ("-": standard input): a line each, "OFFSET LENGTH" in
 * decimal or {"offset":N,"length":N}; ascending, without overlap; the last
 * line ends like the others, so that a list cut off is noticed.
 */
struct cli_changed;
struct cli_changed *cli_changed_open(const char *path, struct err *err);
void cli_changed_close(struct cli_changed *c);
struct extent_source cli_changed_source(struct cli_changed *c);

/* --- text (cli_size.c, cli_escape.c, cli_table.c) -----------------------------------------*/

/* Parse "512M", "1.5GiB", "100KB" to bytes; a rate may end with "/s". */
int cli_size_parse(const char *s, uint64_t *ret, struct err *err);
int cli_rate_parse(const char *s, uint64_t *ret, struct err *err);
/* Each writes at most cap bytes with the NUL and returns dst. */
const char *cli_size_text(char *dst, size_t cap, double bytes);   /* 1.23 GiB */
const char *cli_rate_text(char *dst, size_t cap, double rate);    /* 1.23 GiB/s */
const char *cli_duration_text(char *dst, size_t cap, int64_t ns); /* 1h02m03s */
const char *cli_count_text(char *dst, size_t cap, uint64_t n);    /* 1,234,567 */
const char *cli_time_text(char *dst, size_t cap, int64_t t_ns);   /* local time */
#define CLI_TEXT_MAX 48 /* room that is enough for each of them */

/*
 * Append raw bytes so that a terminal shows them and nothing else happens:
 * what is no valid UTF-8, controls, and characters that change the direction
 * of text become \xNN; a backslash is doubled.
 */
void cli_escape(struct buf *out, const void *p, size_t len);
/* The same for a string in an owned copy; never NULL. */
char *cli_escaped(const char *s);
/* Return true when len bytes are valid UTF-8 (RFC 3629). */
bool cli_utf8_valid(const void *p, size_t len);
/* How many columns of a terminal escaped text takes. */
size_t cli_text_width(const char *s);

/* Rows of escaped cells, printed with aligned columns. */
struct cli_table;
struct cli_table *cli_table_new(const char *const *heads, const char *align);
void cli_table_cell(struct cli_table *t, const char *text);
void cli_table_print(struct cli_table *t); /* prints and frees */

/* True when stdout (or stderr) is a terminal and NO_COLOR is not set. */
bool cli_colour(int fd);

/* --- JSON (cli_json.c) --------------------------------------------------------------------*/

/* Print one object on a line of stdout and drop the reference. */
void cli_json_print(json_t *o);
/* A string of raw bytes: exact when valid UTF-8, else escaped. */
json_t *cli_json_text(const char *s);
/* Set key to the raw bytes; when no UTF-8, also key_base64 to the exact ones. */
void cli_json_set_bytes(json_t *o, const char *key, const char *p, size_t len);
/* A time as RFC 3339 in UTC with ns. */
json_t *cli_json_time(int64_t t_ns);
json_t *cli_json_strings(const char *const *v, size_t n);
/* A snapshot as `snapshots --json` shows it. */
json_t *cli_json_snapshot(const struct store_snapshot *sn);

/* --- entries of a catalog (cli_entry.c) ---------------------------------------------------*/

struct fmt_entry;
/* "file", "directory", "symlink", ... */
const char *cli_entry_type(const struct fmt_entry *e);
uint64_t cli_entry_size(const struct fmt_entry *e);
/* Append a line: the path, with mode, owner, size and time before when full. */
void cli_entry_text(struct buf *out, const char *path,
    const struct fmt_entry *e, bool full);
/* Set the keys that describe an entry. */
void cli_entry_json(json_t *o, const char *path, const struct fmt_entry *e);
/* What differs between two: 'T' type, 'M' content, 'U' metadata, 0 nothing. */
char cli_entry_compare(const struct fmt_entry *a, const struct fmt_entry *b);

/* --- progress (cli_progress.c) --------------------------------------------------------------*/

enum cli_direction { CLI_READING, CLI_WRITING, CLI_CHECKING };

/*
 * Show the counters of an engine until stopped: a bar on a terminal, lines
 * with --progress, the state at SIGUSR1.  One at a time.
 */
void cli_progress_start(struct cli *cli, struct engine *e,
    enum cli_direction dir);
void cli_progress_stop(void);

/* Numbers of one moment, for formatting. */
struct cli_moment {
	uint64_t bytes, bytes_total, files, files_total, errors;
	double in, out;      /* bytes a second; out < 0: not shown */
	int64_t elapsed_ns;
	bool total_known;
};
/* A line of at most width columns. */
void cli_progress_line(char *dst, size_t cap, size_t width,
    const struct cli_moment *m);

/* Hold the line back while something is printed; nests. */
void cli_output_lock(void);
void cli_output_unlock(void);

/* An engine_report_fn that prints a path and why; ctx is the cli. */
void cli_report(void *ctx, const char *path, const struct err *why);

/* --- made from the tables -----------------------------------------------------------------*/

/* troff of "wherry", or of a verb's page.  (cli_man.c) */
void cli_man_page(struct buf *out, const struct cli_verb *verb);
/* The script for "bash", "zsh" or "fish"; -1 for another.  (cli_completion.c) */
int cli_completion(struct buf *out, const char *shell);
/* The list of verbs, for people. */
void cli_help_overview(struct buf *out);

#endif
