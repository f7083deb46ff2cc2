#ifndef AGENT_ENGINE_FIND_H
#define AGENT_ENGINE_FIND_H

#include "agent/engine/engine.h"
#include "repo/archive/archive.h"

/*
 * Names looked for in many snapshots.  What snapshots have in common is read
 * once: a page of a catalog that was looked through is known when another
 * snapshot has it, too.
 */

struct engine_find_span { uint32_t first, last; };

struct engine_find_options {
	/* Does this entry match?  The path is below the snapshot's root. */
	bool (*match)(void *ctx, const char *path, const struct fmt_entry *e);
	/*
	 * A version of a path, and the snapshots that have it: their places in
	 * what was given, ascending, as spans with their last one included.  All
	 * is borrowed for the call.
	 */
	int (*found)(void *ctx, const char *path, const struct fmt_entry *e,
	    const struct engine_find_span *spans, size_t n, struct err *err);
	engine_report_fn *bad; /* a part that cannot be read */
	void *ctx;
	size_t memory;         /* bytes, for what was found and what was seen */
};

/*
 * Look through n snapshots.  Two entries of one volume and path are the same
 * version when type, mode, owner, size, mtime and link target are.  Versions
 * are told by volume, in the order in which the volumes come; then by path,
 * the one of the latest place first.  When there are more than memory holds,
 * those found so far are told, and may be told again for other snapshots.
 * Block volumes are passed over.  Return 0, found's non-zero value, or -1.
 */
int engine_find(struct store *st, struct store_snapshot *const *v, size_t n,
    const struct engine_find_options *opt, struct err *err);

/*
 * Call fn for each range in which two block volumes differ, bytes, ascending.
 * 0, fn's non-zero value, or -1 (USAGE when one of them is no block volume).
 * Of two domains or family secrets all bytes are read; told is of each block of
 * 64 KiB what lies in one run.
 */
int engine_diff_volume(struct store *st, const struct store_snapshot *a,
    const struct store_snapshot *b,
    int (*fn)(void *ctx, uint64_t off, uint64_t len, struct err *err),
    void *ctx, struct err *err);

#endif
