#ifndef AGENT_CLI_CLI_TEXT_H
#define AGENT_CLI_CLI_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/buf.h"
#include "repo/base/err.h"
#include "repo/store/store.h"

/* --- text (cli_size.c, cli_escape.c, cli_table.c) -----------------------------------------*/

/* Parse "512M", "1.5GiB", "100KB" to bytes; a rate may end with "/s". */
int cli_size_parse(const char *s, uint64_t *ret, struct err *err);
int cli_rate_parse(const char *s, uint64_t *ret, struct err *err);
/* Parse "90s", "1.5h", "7d", "4w" to ns; 0 is refused. */
int cli_duration_parse(const char *s, int64_t *ret_ns, struct err *err);
/* Each writes at most cap bytes with the NUL and returns dst. */
const char *cli_size_text(char *dst, size_t cap, double bytes);   /* 1.23 GiB */
const char *cli_rate_text(char *dst, size_t cap, double rate);    /* 1.23 GiB/s */
const char *cli_duration_text(char *dst, size_t cap, int64_t ns); /* 1h02m03s */
const char *cli_count_text(char *dst, size_t cap, uint64_t n);    /* 1,234,567 */
/* "1 file", "1,234 files": n with the word for one or for many. */
const char *cli_counted(char *dst, size_t cap, uint64_t n, const char *one,
    const char *many);
/* The same in memory that lasts to the end of the block. */
#define CLI_COUNTED(n, one, many) \
	cli_counted((char[CLI_TEXT_MAX]){ 0 }, CLI_TEXT_MAX, n, one, many)
/*
 * Parse "2026-11-01" or "2026-11-01T12:00[:SS]", local time, or UTC with "Z"
 * behind it, to seconds since 1970.  Return 0 or -1.
 */
int cli_time_parse(const char *s, int64_t *ret);
const char *cli_time_text(char *dst, size_t cap, int64_t t_ns);   /* local time */
#define CLI_TEXT_MAX 48 /* room that is enough for each of them */

/*
 * Append raw bytes so that a terminal shows them and nothing else happens:
 * what is no valid UTF-8, controls, and characters that change the direction
 * of text become \xNN; a backslash is doubled.
 */
void cli_escape(struct buf *out, const void *p, size_t len);
/*
 * Append JSON text, which is UTF-8, with the same characters as \uNNNN: JSON
 * itself escapes but the controls of ASCII, and it is read on terminals, too.
 */
void cli_escape_json(struct buf *out, const char *text, size_t len);
/* cli_escape for a string in an owned copy; never NULL. */
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
/* A snapshot's volume, or its paths where that is a name made of them. */
void cli_volume_cell(struct cli_table *t, const struct store_snapshot *sn);

/* True when stdout (or stderr) is a terminal and NO_COLOR is not set. */
bool cli_colour(int fd);

/*
 * Lines that are shown directory by directory, sorted in each; zeroed at first,
 * ended by cli_sorted_end, which shows what is left.  (cli_sorted.c)
 */
struct cli_sorted_line;
struct cli_sorted {
	struct cli_sorted_line *v;
	size_t n, cap;
	char *dir;       /* of what is gathered; NULL: nothing */
	size_t dirlen;
};
/* Take the line (with its end) of a path out of the buffer; it is empty then. */
void cli_sorted_add(struct cli_sorted *s, const char *path, struct buf *line);
void cli_sorted_end(struct cli_sorted *s);

/* --- JSON (cli_json.c) --------------------------------------------------------------------*/

/* Print one object on a line of stdout and drop the reference. */
void cli_json_print(json_t *o);
/* Append it as such a line, and drop the reference. */
void cli_json_line(struct buf *out, json_t *o);
/* A string of raw bytes: exact when valid UTF-8, else escaped. */
json_t *cli_json_text(const char *s);
/* Set key to the raw bytes; when no UTF-8, also key_base64 to the exact ones. */
void cli_json_set_bytes(json_t *o, const char *key, const char *p, size_t len);
/* A time as RFC 3339 in UTC with ns. */
json_t *cli_json_time(int64_t t_ns);
json_t *cli_json_strings(const char *const *v, size_t n);
/* A snapshot as `snapshots --json` shows it. */
json_t *cli_json_snapshot(const struct store_snapshot *sn);

/* --- entries of a catalog (cli_entry.c, cli_differs.c) -------------------------------------*/

struct fmt_entry;
/* "file", "directory", "symlink", ... */
const char *cli_entry_type(const struct fmt_entry *e);
uint64_t cli_entry_size(const struct fmt_entry *e);
/* Append a line: the path, with mode, owner, size and time before when full. */
void cli_entry_text(struct buf *out, const char *path,
    const struct fmt_entry *e, bool full);
/* Set the keys that describe an entry. */
void cli_entry_json(json_t *o, const char *path, const struct fmt_entry *e);
/* A time of an entry in ns; what 64 bits do not hold, as the last they do. */
int64_t cli_entry_ns(int64_t s, uint32_t ns);
/* What differs between two: 'T' type, 'M' content, 'U' metadata, 0 nothing. */
char cli_entry_compare(const struct fmt_entry *a, const struct fmt_entry *b);
/* Append what that is: "size 10 -> 12, mode 0644 -> 0600"; as a list of names. */
void cli_entry_differs(struct buf *out, const struct fmt_entry *a,
    const struct fmt_entry *b);
json_t *cli_entry_differs_json(const struct fmt_entry *a, const struct fmt_entry *b);

#endif
