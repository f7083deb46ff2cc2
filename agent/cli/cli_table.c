#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_text.h"
#include "repo/base/mem.h"

struct cli_table {
	const char *const *heads; /* NULL-ended */
	const char *align;        /* 'l' or 'r' for each column */
	size_t columns;
	char **cells;
	size_t n, cap;
};

bool cli_colour(int fd)
{
	const char *no = getenv("NO_COLOR");

	return (no == NULL || *no == '\0') && isatty(fd);
}

struct cli_table *cli_table_new(const char *const *heads, const char *align)
{
	struct cli_table *t = mem_zalloc(sizeof(*t), "a table", NULL);

	if (t == NULL)
		cli_nomem();
	t->heads = heads;
	t->align = align;
	t->columns = strlen(align);
	return t;
}

void cli_table_cell(struct cli_table *t, const char *text)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 64;
		char **cells = realloc(t->cells, cap * sizeof(*cells));

		if (cells == NULL)
			cli_nomem();
		t->cells = cells;
		t->cap = cap;
	}
	t->cells[t->n++] = cli_escaped(text);
}

static void print_cell(const struct cli_table *t, size_t col,
    const char *text, size_t width)
{
	size_t w = cli_text_width(text);
	int pad = w < width ? (int)(width - w) : 0;
	bool last = col + 1 == t->columns;

	if (t->align[col] == 'r')
		printf("%*s%s", pad, "", text);
	else
		printf("%s%*s", text, last ? 0 : pad, "");
	fputs(last ? "\n" : "  ", stdout);
}

void cli_table_print(struct cli_table *t)
{
	size_t *widths = calloc(t->columns, sizeof(*widths));
	bool colour = cli_colour(STDOUT_FILENO);

	if (widths == NULL)
		cli_nomem();
	for (size_t i = 0; i < t->columns; i++)
		widths[i] = cli_text_width(t->heads[i]);
	for (size_t i = 0; i < t->n; i++) {
		size_t w = cli_text_width(t->cells[i]);

		if (w > widths[i % t->columns])
			widths[i % t->columns] = w;
	}
	if (colour)
		fputs("\033[1m", stdout);
	for (size_t i = 0; i < t->columns; i++)
		print_cell(t, i, t->heads[i], widths[i]);
	if (colour)
		fputs("\033[0m", stdout);
	for (size_t i = 0; i < t->n; i++) {
		print_cell(t, i % t->columns, t->cells[i],
		    widths[i % t->columns]);
		free(t->cells[i]);
	}
	free(widths);
	free(t->cells);
	free(t);
}
