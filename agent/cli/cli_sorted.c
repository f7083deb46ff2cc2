#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_text.h"

/*
 * The catalog has a directory's entries together, in an order of its own.  One
 * directory is gathered as printed lines, sorted, and shown.
 */

/* A larger directory is sorted in parts of so many. */
#define LINES_MAX 200000u

struct cli_sorted_line { char *path, *text; };

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct cli_sorted_line *)a)->path,
	    ((const struct cli_sorted_line *)b)->path);
}

static void show(struct cli_sorted *s)
{
	if (s->n > 0)
		qsort(s->v, s->n, sizeof(*s->v), by_path);
	cli_output_lock();
	for (size_t i = 0; i < s->n; i++) {
		fputs(s->v[i].text, stdout);
		free(s->v[i].path);
		free(s->v[i].text);
	}
	cli_output_unlock();
	s->n = 0;
	free(s->dir);
	s->dir = NULL;
}

void cli_sorted_add(struct cli_sorted *s, const char *path, struct buf *line)
{
	const char *slash = strrchr(path, '/');
	size_t dirlen = slash ? (size_t)(slash - path) : 0;

	buf_u8(line, '\0');
	if (line->failed)
		cli_nomem();
	if (s->dir != NULL && (s->n == LINES_MAX || dirlen != s->dirlen ||
	    memcmp(s->dir, path, dirlen) != 0))
		show(s);
	if (s->dir == NULL) {
		s->dir = strndup(path, dirlen);
		s->dirlen = dirlen;
	}
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 256;
		struct cli_sorted_line *v = realloc(s->v, cap * sizeof(*v));

		if (v == NULL)
			cli_nomem();
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n].path = strdup(path);
	s->v[s->n].text = (char *)line->p;
	if (s->dir == NULL || s->v[s->n].path == NULL)
		cli_nomem();
	s->n++;
	*line = (struct buf)BUF_INIT;
}

void cli_sorted_end(struct cli_sorted *s)
{
	show(s);
	free(s->v);
	*s = (struct cli_sorted){ 0 };
}
