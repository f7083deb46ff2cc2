#ifndef REPO_ARCHIVE_ARCHIVE_COMMON_H
#define REPO_ARCHIVE_ARCHIVE_COMMON_H

#include "repo/archive/archive.h"

/* What several maps have in common need not be read twice. */

/*
 * Call entry for each entry of a catalog.  Before a page is read, page is
 * asked: 1 leaves it and all below it out.  left is told each page of which
 * everything below was told or left out by page, nothing lost, after that.
 * Levels: 0 is a leaf.  A page that cannot be read is told to bad, which
 * returns 0 to go on.  page and left may be NULL.  Return 0, entry's non-zero
 * value, or -1.
 */
struct archive_visit {
	int (*page)(void *ctx, const uint8_t id[32], unsigned level, struct err *err);
	int (*entry)(void *ctx, const struct archive_path *dir,
	    const struct fmt_entry *e, struct err *err);
	int (*left)(void *ctx, const uint8_t id[32], unsigned level, struct err *err);
	int (*bad)(void *ctx, const struct err *why, struct err *err);
	void *ctx;
};
int archive_catalog_visit(const struct archive_io *io,
    const uint8_t order_key[32], const struct archive_ref *root,
    const struct archive_visit *to, struct err *err);

/*
 * Call fn for each range in which two byte maps differ, ascending, none touching
 * the next; what one has behind the other's end differs.  A hole and zeros are
 * the same.  A chunk differs as a whole, from its beginning to its end.  Equal
 * pages are skipped unread.  Return 0, fn's non-zero value, or -1.
 */
int archive_map_diff(const struct archive_io *io, const struct archive_ref *a,
    const struct archive_ref *b,
    int (*fn)(void *ctx, uint64_t off, uint64_t len, struct err *err),
    void *ctx, struct err *err);

#endif
