#ifndef AGENT_ENGINE_DELTA_H
#define AGENT_ENGINE_DELTA_H

#include "agent/engine/backup_internal.h"

/*
 * Store a volume of size bytes of which only the extents of
 * b->opt->changed may differ from the parent: read and cut around those, and
 * carry over all else into *map.  pause is called when the session is due to
 * end; it may replace *map, which then ends where it ended before.
 * Return 0; 1 when a later session may not carry over from the parent: *map
 * holds what comes before that; -1: USAGE when the extents are not in order.
 */
struct delta_pause { int (*fn)(void *ctx, struct err *err); void *ctx; };
int delta_store(struct backup *b, int fd, uint64_t size,
    const struct store_snapshot *parent, struct archive_map_writer **map,
    const struct delta_pause *pause, struct err *err);

#endif
