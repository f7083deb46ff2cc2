#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "repo/base/mem.h"

struct cli_changed {
	FILE *f;
	char *path, *line;
	size_t cap;
	uint64_t number, end; /* of the last line; where its extent ended */
	uint64_t last;        /* where the last extent of all begins */
};

void cli_changed_close(struct cli_changed *c)
{
	if (c == NULL)
		return;
	if (c->f != NULL && c->f != stdin)
		fclose(c->f);
	free(c->line);
	free(c->path);
	free(c);
}

/* A decimal number of at most 19 digits at *p; moves *p behind it. */
static bool number(const char **p, uint64_t *ret)
{
	size_t n = strspn(*p, "0123456789");

	if (n == 0 || n > 19)
		return false;
	*ret = strtoull(*p, NULL, 10);
	*p += n;
	return true;
}

static bool parse_plain(const char *s, struct extent *ret)
{
	if (!number(&s, &ret->off))
		return false;

	size_t blanks = strspn(s, " \t");

	s += blanks;
	return blanks > 0 && number(&s, &ret->len) &&
	    s[strspn(s, " \t\r")] == '\0';
}

static bool parse_json(const char *s, struct extent *ret)
{
	json_t *o = json_loads(s, JSON_REJECT_DUPLICATES, NULL);
	json_t *off = json_object_get(o, "offset");
	json_t *len = json_object_get(o, "length");
	bool ok = json_is_integer(off) && json_is_integer(len) &&
	    json_integer_value(off) >= 0 && json_integer_value(len) >= 0;

	if (ok) {
		ret->off = (uint64_t)json_integer_value(off);
		ret->len = (uint64_t)json_integer_value(len);
	}
	json_decref(o);
	return ok;
}

static int next(void *ctx, struct extent *ret, struct err *err)
{
	struct cli_changed *c = ctx;
	ssize_t n;

	do {
		errno = 0;
		n = getline(&c->line, &c->cap, c->f);
		c->number++;
		if (n < 0 && errno != 0)
			return err_sys(err, errno, "%s", c->path);
		if (n < 0)
			return 1;
		if (c->line[n - 1] != '\n')
			return err_set(err, ERR_USAGE, "%s:%" PRIu64 ": the "
			    "last line has no end (the list may have been cut "
			    "off)", c->path, c->number);
		c->line[n - 1] = '\0';
	} while (c->line[0] == '\0' || c->line[0] == '#');

	if (strlen(c->line) != (size_t)n - 1 || !(c->line[0] == '{' ?
	    parse_json(c->line, ret) : parse_plain(c->line, ret)))
		return err_set(err, ERR_USAGE, "%s:%" PRIu64 ": no extent "
		    "(write 'OFFSET LENGTH' in bytes, or {\"offset\":N,"
		    "\"length\":N})", c->path, c->number);
	if (ret->len == 0 || ret->off > INT64_MAX ||
	    ret->len > INT64_MAX - ret->off)
		return err_set(err, ERR_USAGE, "%s:%" PRIu64 ": an extent of "
		    "impossible length (give lengths above 0, below 2^63 "
		    "with the offset)", c->path, c->number);
	if (ret->off < c->end)
		return err_set(err, ERR_USAGE, "%s:%" PRIu64 ": the extent "
		    "begins at %" PRIu64 ", before the end of the one above, "
		    "%" PRIu64 " (sort them, without overlap)", c->path,
		    c->number, ret->off, c->end);
	c->end = ret->off + ret->len;
	return 0;
}

/* --- before it is used --------------------------------------------------------*/

/* A file without a name, for what can be read only once. */
static FILE *spool_open(struct err *err)
{
	const char *dir = getenv("TMPDIR");
	int fd = open(dir != NULL && *dir != '\0' ? dir : "/var/tmp",
	    O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	FILE *f = fd >= 0 ? fdopen(fd, "w+") : tmpfile();

	if (f == NULL) {
		err_sys(err, errno, "cannot make a temporary file");
		if (fd >= 0)
			close(fd);
	}
	return f;
}

/* Read all of it, and make it ready to be read again. */
static int look_through(struct cli_changed *c, struct err *err)
{
	FILE *spool = NULL;
	struct extent x;
	int r;

	if (fseeko(c->f, 0, SEEK_CUR) < 0 && (spool = spool_open(err)) == NULL)
		return -1;
	while ((r = next(c, &x, err)) == 0) {
		c->last = x.off;
		if (spool != NULL)
			fprintf(spool, "%" PRIu64 " %" PRIu64 "\n", x.off, x.len);
	}
	if (spool != NULL) {
		if (c->f != stdin)
			fclose(c->f);
		c->f = spool;
	}
	if (r > 0 && (fflush(c->f) != 0 || ferror(c->f) || fseeko(c->f, 0, SEEK_SET) < 0))
		r = err_sys(err, errno, "%s", c->path);
	clearerr(c->f);
	c->number = c->end = 0;
	return r < 0 ? -1 : 0;
}

struct cli_changed *cli_changed_open(const char *path, struct err *err)
{
	struct cli_changed *c = mem_zalloc(sizeof(*c), "a list of extents",
	    err);

	if (c == NULL)
		return NULL;
	c->path = mem_strdup(strcmp(path, "-") == 0 ? "standard input" : path,
	    err);
	if (c->path == NULL)
		goto fail;
	c->f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	if (c->f == NULL) {
		err_sys(err, errno, "%s", path);
		goto fail;
	}
	if (look_through(c, err) < 0)
		goto fail;
	return c;
fail:
	cli_changed_close(c);
	return NULL;
}

struct extent_source cli_changed_source(struct cli_changed *c)
{
	return (struct extent_source){ next, c };
}

uint64_t cli_changed_last(const struct cli_changed *c)
{
	return c->last;
}
