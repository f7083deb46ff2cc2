#ifndef AGENT_ENGINE_TWINS_H
#define AGENT_ENGINE_TWINS_H

#include <stdint.h>

#include "repo/base/err.h"

/*
 * Where small files of equal content stand in this run's bundles: licences,
 * changelogs and the like come by the hundred, each in another bundle.  A
 * bounded cache, by the first half of the keyed id that the content would
 * have as a chunk.  For one thread.
 */
struct twins;
struct bundle;

struct twins *twins_new(struct err *err);
void twins_free(struct twins *t); /* NULL is fine */

/*
 * Find the slice that holds content of this hash and size.  Return its bundle
 * (borrowed) with *ret_off, or NULL.
 */
struct bundle *twins_find(const struct twins *t, const uint8_t hash[16],
    uint64_t size, uint32_t *ret_off);

/* Remember a slice; what stood in its place is forgotten.  Takes a reference. */
void twins_add(struct twins *t, const uint8_t hash[16], uint64_t size,
    struct bundle *bundle, uint32_t off);

#endif
