#ifndef AGENT_ENGINE_NAMES_H
#define AGENT_ENGINE_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "repo/base/err.h"

/*
 * The names of one directory in the order of the catalog (keyed hash, then
 * bytes).  What exceeds a limit goes to an unnamed file as sorted runs, so a
 * directory of any size takes bounded memory.  For one thread.
 */
struct names;

/* Bytes; more than 255 are found on vfat and FUSE, more than this nowhere. */
#define NAMES_LONGEST 4095u

struct name {
	uint64_t h;
	const char *s;      /* NUL-terminated */
	uint16_t len;
	uint8_t type;       /* DT_* */
};

/*
 * limit: bytes of names held before they are spilled (to a file in TMPDIR,
 * else /var/tmp, else /tmp).  NULL with err.
 */
struct names *names_new(size_t limit, struct err *err);
void names_free(struct names *n); /* NULL is fine */

/* A name longer than NAMES_LONGEST is class BUG. */
int names_add(struct names *n, const struct name *name, struct err *err);

/* End adding: sort.  Then names_next gives them in order. */
int names_sort(struct names *n, struct err *err);

/* 0 with *ret_name borrowed until the next call; 1 at the end; -1. */
int names_next(struct names *n, struct name *ret_name, struct err *err);

/* Bytes of memory that n holds. */
size_t names_memory(const struct names *n);

#endif
