#ifndef AGENT_ENGINE_SPILL_H
#define AGENT_ENGINE_SPILL_H

#include <stddef.h>
#include <stdint.h>

#include "repo/base/err.h"

/*
 * Open an unnamed file for what does not fit in memory, in TMPDIR, else
 * /var/tmp, else /tmp.  Return a descriptor, or -1 with err.
 */
int spill_open(struct err *err);

/* Read or write exactly len bytes.  Return 0 or -1. */
int spill_read(int fd, void *dst, size_t len, uint64_t off, struct err *err);
int spill_write(int fd, const void *src, size_t len, uint64_t off,
    struct err *err);

#endif
