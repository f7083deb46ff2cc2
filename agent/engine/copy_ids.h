#ifndef AGENT_ENGINE_COPY_IDS_H
#define AGENT_ENGINE_COPY_IDS_H

#include <stddef.h>
#include <stdint.h>

#include "repo/base/err.h"

/* Which id a blob has in another repository.  For any number of threads. */
struct copy_ids;

/* memory: bytes for the table; the ids lie in an unnamed file. */
struct copy_ids *copy_ids_new(size_t memory, struct err *err);
void copy_ids_free(struct copy_ids *s); /* NULL is fine */

/* 0 with the other id; 1 when it is not known; -1. */
int copy_ids_get(struct copy_ids *s, const uint8_t id[32], uint8_t ret[32],
    struct err *err);
/* Remember it, in place of what was known before.  0 or -1. */
int copy_ids_put(struct copy_ids *s, const uint8_t id[32],
    const uint8_t other[32], struct err *err);

#endif
