#ifndef AGENT_CLI_CLI_H
#define AGENT_CLI_CLI_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/engine/engine.h"
#include "repo/base/buf.h"
#include "repo/base/err.h"

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
	CLI_DURATION, /* int64_t, ns, never 0 */
	CLI_NUMBER,  /* unsigned */
	CLI_CHOICE,  /* int: which of the words in arg, split by '|', from 1 */
	CLI_PERCENT, /* unsigned, 1-100; the argument may be left out: 100 */
	CLI_SHARE,   /* the same, but it may not */
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
	CLI_G_TALK = 64,    /* --profile, --quiet, --verbose */
	CLI_G_FILTER = 128, /* which snapshots */
	CLI_G_NEW = 256,    /* the secret of a new repository */
	CLI_G_HELP = 512,   /* --help, --usage: every verb has it */
	CLI_G_POLICY = 1024, /* which snapshots to keep */
};
#define CLI_G_LAST CLI_G_POLICY

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

/* CLI_G_POLICY as it was said; cli_policy.c reads it. */
struct cli_policy {
	const char *last, *hourly, *daily, *weekly, *monthly, *yearly;
	const char *within, *min_age, *group_by;
	struct cli_list tags;
	int clock;              /* enum engine_clock */
	bool allow_none;
};

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
	const char *cache_dir, *ca_file;
	uint64_t cache_size;
	bool no_cache;
	bool far;            /* not said, but found: the store is no directory here */
	/* CLI_G_ENGINE */
	unsigned cpus;
	int io; /* enum engine_io_mode + 1; 0: not given */
	/* CLI_G_FILTER */
	struct cli_list hosts, tags, volumes;
	struct cli_policy policy;
	bool checkpoints; /* they pass, too; set by the verb */
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

/*
 * The message without the name at its beginning, where `what`, which is to
 * stand before it, ends with that name: nobody needs to read it twice.
 */
const char *cli_after_name(const char *what, const char *msg);
/* Print "wherry: <fmt>" on stderr, above the progress line. */
void cli_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The message, made harmless for a terminal, in an owned string; never NULL. */
char *cli_message(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

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
#define CLI_STOPPING "stopping"
/* What is said when an engine is asked to stop: a literal; CLI_STOPPING at first. */
void cli_signals_say(const char *text);
/*
 * Call fn(ctx, false) at the first of them instead, and fn(ctx, true) at the
 * second, which ends the process then; it must be fit for a handler.  NULL: not
 * any more.
 */
void cli_signals_stop(void (*fn)(void *ctx, bool again), void *ctx);
bool cli_interrupted(void);
/* The terminal to set back before ending; NULL: none. */
struct termios;
void cli_signals_terminal(int fd, const struct termios *saved);

/* --- progress (cli_progress.c) --------------------------------------------------------------*/

enum cli_direction { CLI_READING, CLI_WRITING, CLI_CHECKING };

/*
 * Show the counters of an engine until stopped: a bar on a terminal, lines
 * with --progress, the state at SIGUSR1.  One at a time.
 */
void cli_progress_start(struct cli *cli, struct engine *e,
    enum cli_direction dir);
void cli_progress_stop(void);
/* Would anything be shown?  Then a total is worth counting. */
bool cli_progress_wanted(const struct cli *cli);

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
/* That of a group such as "key"; false when there is none of that name. */
bool cli_help_group(struct buf *out, const char *group);

#endif
