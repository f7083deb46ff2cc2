#ifndef AGENT_ENGINE_DIRS_H
#define AGENT_ENGINE_DIRS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/buf.h"
#include "repo/base/err.h"

/*
 * The directories that a walk is in or has work for: a tree of counted nodes
 * whose descriptors are opened when needed and closed again when too many are
 * open.  Every open goes by single components from the parent's descriptor
 * and never follows a symbolic link, so depth and PATH_MAX do not matter and a
 * rename meanwhile cannot lead out of the tree.  Any thread may call.
 */

struct dir {
	struct dir *parent;   /* NULL: the root */
	uint64_t h;           /* keyed hash of the name */
	char *name;           /* within the parent; "" for the root */
	size_t len;
	unsigned depth;       /* components from the root */
	bool no_state;        /* below siblings with equal hashes */
	/* Private: */
	struct dirs *dirs;
	atomic_uint refs;
	int fd;
	unsigned pins;
	struct dir *older, *newer; /* among those open and not pinned */
};

struct dirs;

/*
 * root_fd becomes theirs.  limit: descriptors kept open.  NULL with err.
 */
struct dirs *dirs_new(int root_fd, unsigned limit, struct err *err);
void dirs_free(struct dirs *d); /* after all its nodes are released */

/* The root's node, with a reference for the caller. */
struct dir *dirs_root(struct dirs *d);

/* A node below parent (which it keeps).  One reference.  NULL with err. */
struct dir *dir_new(struct dir *parent, const char *name, size_t len, uint64_t h,
    struct err *err);
struct dir *dir_ref(struct dir *dir);
void dir_unref(struct dir *dir); /* NULL is fine */

/*
 * Return a descriptor that stays open until dir_unpin; -1 with err naming the
 * path when it cannot be opened.
 */
int dir_pin(struct dir *dir, struct err *err);
void dir_unpin(struct dir *dir);

/* Append the path below the root, "a/b" (nothing for the root). */
void dir_path(const struct dir *dir, struct buf *out);

/*
 * The path of dir and name below the root in out, NUL-terminated, "." for the
 * root.  Return out's text, or "?" when memory is short.
 */
const char *dir_path_of(const struct dir *dir, const char *name, struct buf *out);

#endif
