#ifndef AGENT_ENGINE_QUERY_H
#define AGENT_ENGINE_QUERY_H

#include "agent/engine/engine.h"
#include "repo/archive/archive.h"
#include "repo/store/store_check.h"

/*
 * What is in snapshots, without restoring.  Each call opens its own worker and
 * runs in the caller's thread; they need no engine.
 */

/* Pages through a store: an archive_io with one worker, for one thread. */
struct engine_pages;
struct engine_pages *engine_pages_new(struct store *st, const char *domain,
    struct err *err);
void engine_pages_free(struct engine_pages *p);
const struct archive_io *engine_pages_io(struct engine_pages *p);

/*
 * Call fn for path itself (when it is no directory or `self`), and for what is
 * in it; everything below when recursive.  path_text is the entry's path below
 * the root.  A directory's entries are in the catalog's order.  Damaged pages
 * are told to bad and passed over.
 * Return 0, fn's non-zero value, or -1 (NOTFOUND: no such path).
 */
int engine_list(struct store *st, const struct store_snapshot *sn,
    const char *path, bool recursive, bool self,
    int (*fn)(void *ctx, const char *path_text, const struct fmt_entry *entry,
        struct err *err),
    engine_report_fn *bad, void *ctx, struct err *err);

/*
 * Differences of two snapshots below path; as archive_catalog_diff.  Of two
 * domains or family secrets those that were added come after all others, and
 * files of one size are read when their mtime differs.
 */
int engine_diff(struct store *st, const struct store_snapshot *a,
    const struct store_snapshot *b, const char *path,
    int (*fn)(void *ctx, const char *path_text, const struct fmt_entry *a,
        const struct fmt_entry *b, struct err *err),
    void *ctx, struct err *err);

/* --- check ---------------------------------------------------------------------*/

struct engine_check_options {
	unsigned read_percent;   /* 0: structure only */
	bool record;             /* write down when packs were verified, with admin */
	/* A damaged object; then each path that needs it: snapshot id and path. */
	void (*object)(void *ctx, const char *key, const uint8_t *id, const char *what);
	void (*path)(void *ctx, const char *snapshot, const char *path, const char *what);
	/* What of a damaged pack is damaged, and can parity heal it?  store_check.h */
	void (*ranges)(void *ctx, const char *key, const char *what, bool healable);
	void *ctx;
};

struct engine_check_result {
	struct store_check_result store;
	uint64_t snapshots, snapshots_damaged, paths_damaged, missing;
	uint64_t listed;   /* blobs among those: a repair has listed them as damaged */
	bool complete;  /* contents of snapshots were followed (read right) */
};

/*
 * Everything that store_check sees, and that each snapshot reaches only blobs
 * that are indexed and were not found damaged, now or by a repair.  Return 0 when the look was
 * complete, whatever it found.
 */
int engine_check(struct engine *e, struct store *st,
    const struct engine_check_options *opt, struct engine_check_result *ret,
    struct err *err);

#endif
