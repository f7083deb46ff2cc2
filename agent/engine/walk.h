#ifndef AGENT_ENGINE_WALK_H
#define AGENT_ENGINE_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/engine/dirs.h"
#include "agent/engine/engine.h"
#include "repo/base/err.h"

/*
 * Lists a source tree in the order of the catalog: a directory's entries
 * sorted by keyed hash of the name, then its sub-directories one after the
 * other.  It opens and lists directories; it looks at no file.
 */

/* Which part of a tree is wanted: names below a node, or all of it. */
struct select;

/*
 * Work out the root of the given paths (the deepest directory that holds them
 * all; a single directory is its own root) and what is selected below it.
 * Paths are made absolute without following a last symbolic link.  Return the
 * root's path (owned by the caller) with *ret_select (select_free), and the
 * absolute, sorted, distinct paths in *ret_paths; or NULL with err.
 */
char *select_paths(const char *const *paths, size_t n,
    struct select **ret_select, char ***ret_paths, size_t *ret_npaths,
    struct err *err);
void select_free(struct select *s);

struct walk_options {
	const struct select *select;
	const uint8_t *order_key;       /* K_ord */
	const struct engine_filter *exclude;
	bool exclude_caches;
	bool one_file_system;
	size_t memory;                  /* for pending names, bytes */
	/* An entry, in order.  dir stays valid while referenced.  The root
	 * itself comes first with dir = root and an empty name. */
	int (*entry)(void *ctx, struct dir *dir, const char *name, size_t len,
	    uint64_t h, uint8_t dtype, bool no_state, struct err *err);
	/* A directory could not be listed; the walk goes on. */
	void (*bad)(void *ctx, const char *path, const struct err *why);
	bool (*cancelled)(void *ctx);
	void *ctx;
};

/* Walk from the root of dirs.  Return 0 or -1 (a callback's, memory, cancelled). */
int walk_tree(struct dirs *dirs, const struct walk_options *opt, struct err *err);

#endif
