#ifndef AGENT_ENGINE_IO_H
#define AGENT_ENGINE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/engine/engine.h"
#include "repo/base/err.h"

/*
 * The seam to the kernel for bulk reads and writes: several under way at once,
 * through io_uring or a few threads with pread and pwrite.  Both behave alike.
 * An io is for one thread at a time.
 */

struct io;

enum io_kind { IO_READ, IO_WRITE };

struct io_op {
	enum io_kind kind;
	int fd;
	uint64_t off;   /* bytes */
	void *buf;
	size_t len;     /* bytes */
	ssize_t result; /* bytes done, or -errno; less than len only at the end */
	void *user;     /* the caller's */
	struct io_op *next; /* the seam's */
	size_t done;        /* the seam's */
};

/*
 * depth: most operations under way at once.  mode is URING or THREADS.  NULL
 * with err.
 */
struct io *io_new(enum engine_io_mode mode, unsigned depth, struct err *err);
void io_free(struct io *io); /* waits for what is under way; NULL is fine */

/*
 * Start op, which belongs to the seam until io_wait returns it.  At most depth
 * may be under way (class BUG).  Return 0 or -1.
 */
int io_start(struct io *io, struct io_op *op, struct err *err);

/* Wait for one to end and return it in *ret_op; 1 when none is under way. */
int io_wait(struct io *io, struct io_op **ret_op, struct err *err);

/*
 * Find out whether io_uring may be used here.  Return true, or false with the
 * reason in why.
 */
bool io_uring_usable(char *why, size_t cap);

#endif
