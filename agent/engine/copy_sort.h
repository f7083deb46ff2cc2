#ifndef AGENT_ENGINE_COPY_SORT_H
#define AGENT_ENGINE_COPY_SORT_H

#include <stddef.h>
#include <stdint.h>

#include "repo/base/err.h"

/*
 * Sorts any number of records by the bytes of their keys in bounded memory.
 * For one thread.
 */
struct copy_sort;

/* memory: bytes for what is collected; above that it goes to unnamed files. */
struct copy_sort *copy_sort_new(size_t memory, struct err *err);
void copy_sort_free(struct copy_sort *s); /* NULL is fine */

/* Add a record; key and rec are copied.  0 or -1. */
int copy_sort_add(struct copy_sort *s, const void *key, size_t keylen,
    const void *rec, size_t len, struct err *err);

/* Key and record are borrowed for the call.  Not 0 ends the walk. */
typedef int copy_sort_fn(void *ctx, const uint8_t *key, size_t keylen,
    const uint8_t *rec, size_t len, struct err *err);
/*
 * Call fn for each record, in order; nothing may be added after.  Return 0,
 * fn's value, or -1.
 */
int copy_sort_each(struct copy_sort *s, copy_sort_fn *fn, void *ctx,
    struct err *err);

#endif
