#ifndef AGENT_ENGINE_DELTA_H
#define AGENT_ENGINE_DELTA_H

#include "agent/engine/backup_internal.h"

/*
 * Store a volume of size bytes of which only the extents of
 * b->opt->changed may differ from the parent: read and cut around those, and
 * carry over all else into map.  Return 0 or -1: USAGE when the extents are
 * not in order.
 */
int delta_store(struct backup *b, int fd, uint64_t size,
    const struct store_snapshot *parent, struct archive_map_writer *map,
    struct err *err);

#endif
