#ifndef AGENT_ENGINE_TABLE_H
#define AGENT_ENGINE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/err.h"

/*
 * A map of 128-bit keys to numbers that grows without end in bounded memory:
 * above a limit its slots move to an unnamed file.  For one thread.
 */
struct table;

/* limit: bytes held in memory.  NULL with err. */
struct table *table_new(size_t limit, struct err *err);
void table_free(struct table *t); /* NULL is fine */

/*
 * Look (a, b) up; when it is not there, add it with value.  Return 0 when it
 * was added, 1 with *ret_value when it was there, -1 with err.
 */
int table_add(struct table *t, uint64_t a, uint64_t b, uint64_t value,
    uint64_t *ret_value, struct err *err);

/* Give a key that is there another value.  0 or -1. */
int table_set(struct table *t, uint64_t a, uint64_t b, uint64_t value,
    struct err *err);

/* Return 0 with *ret_value, 1 when it is not there, -1 with err. */
int table_get(struct table *t, uint64_t a, uint64_t b, uint64_t *ret_value,
    struct err *err);

#endif
