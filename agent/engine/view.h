#ifndef AGENT_ENGINE_VIEW_H
#define AGENT_ENGINE_VIEW_H

#include <stdbool.h>

#include "agent/engine/dirs.h"
#include "agent/engine/engine.h"
#include "repo/archive/archive.h"

/*
 * The entries of a snapshot that a restore is about: those below a path that
 * patterns select, in the catalog's order, with names that are safe to use.
 * For one thread.
 */
struct view;

struct view_options {
	const struct archive_io *io;
	const uint8_t *order_key;
	struct archive_ref catalog;
	const char *path;              /* "" or NULL: all */
	const struct engine_filter *include, *exclude; /* or NULL */
	struct dirs *dirs;             /* of the target; NULL: no nodes wanted */
	/* A name that no file can have, or that leads elsewhere. */
	engine_report_fn *bad;
	void *ctx;
};

struct view_entry {
	struct dir *dir;          /* of the target; borrowed until the next call */
	const char *dir_path;     /* in the snapshot, "" for the root */
	size_t dir_path_len;
	char name[256];           /* "" for the top directory itself */
	size_t len;
	bool top;
	bool selected;            /* by the patterns; else only looked at */
	const struct fmt_entry *e;
};

/*
 * all: tell also what the patterns leave out (selected is false then).  NULL
 * with err: NOTFOUND when there is no such path.
 */
struct view *view_open(const struct view_options *opt, bool all, struct err *err);
void view_close(struct view *v); /* NULL is fine */

/* True when the path names a directory: its top entry is told first. */
bool view_is_dir(const struct view *v);

/* Components of the path that is the view's top; 0 for the root. */
size_t view_depth(const struct view *v);

/*
 * 0 with *ret, 1 at the end, -1 with err.  After class CORRUPT or NOTFOUND,
 * view_skip goes on behind what is damaged.
 */
int view_next(struct view *v, struct view_entry *ret, struct err *err);
int view_skip(struct view *v, struct err *err);

/* The path in the snapshot of the directory that was told last. */
const char *view_dir_path(const struct view *v);

#endif
