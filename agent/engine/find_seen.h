#ifndef AGENT_ENGINE_FIND_SEEN_H
#define AGENT_ENGINE_FIND_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which pages were looked through, and where in a list what they held is. */
struct find_seen;

/* limit: bytes.  NULL when there is no memory. */
struct find_seen *find_seen_new(size_t limit);
void find_seen_free(struct find_seen *s); /* NULL is fine */
/* Forget those that held something. */
void find_seen_drop(struct find_seen *s);

/* Known?  Then *ret_from and *ret_n are what was said of it. */
bool find_seen_get(const struct find_seen *s, const uint8_t id[32],
    uint32_t *ret_from, uint32_t *ret_n);
/* Remember, unless the limit is reached: it may forget. */
void find_seen_put(struct find_seen *s, const uint8_t id[32], uint32_t from,
    uint32_t n);

#endif
