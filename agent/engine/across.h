#ifndef AGENT_ENGINE_ACROSS_H
#define AGENT_ENGINE_ACROSS_H

#include "repo/archive/archive.h"
#include "repo/store/store.h"

/*
 * Call fn for each difference of two trees below path ("": all) that are not in
 * one order, or whose ids do not compare: of two family secrets or domains.
 * (a, NULL): removed; (a, b): changed, in a's order; then (NULL, b): added, in
 * b's.  dir and entries are borrowed for the call.  Where both have the same
 * bytes, b is told with a's content.  A file of which neither size nor mtime
 * differ is taken for unchanged, as a backup does; where only the mtime does,
 * its bytes are read.  The names of one directory are sorted in memory, 16 MiB
 * of them at a time.  Return 0, fn's non-zero value, or -1 (AUTH: a domain that
 * is closed to the credential).
 */
int across_diff(struct store *st, const struct store_snapshot *a,
    const struct store_snapshot *b, const char *path,
    int (*fn)(void *ctx, const struct archive_path *dir,
        const struct fmt_entry *a, const struct fmt_entry *b, struct err *err),
    void *ctx, struct err *err);

#endif
