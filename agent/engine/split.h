#ifndef AGENT_ENGINE_SPLIT_H
#define AGENT_ENGINE_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chunker/chunker.h"
#include "repo/base/err.h"

/* Zero runs begin and end at multiples of this many bytes of the file. */
#define SPLIT_GRAIN 65536u

/*
 * Divides a run of bytes into chunks and zero runs.  A zero run is one of at
 * least `zeros` bytes; it ends the chunk before it, shorter ones stay inside
 * their chunk.  The outcome depends on the bytes and their offset only, never
 * on how they arrive.
 */
struct split {
	const struct chunker *chunker;
	size_t max;       /* the chunker's longest chunk, bytes */
	size_t zeros;     /* shortest zero run, a multiple of SPLIT_GRAIN */
	uint64_t zrun;    /* length of the zero run that is open, else 0 */
	/* Called in order.  Return 0, or -1 with err, which ends split_feed. */
	int (*chunk)(void *ctx, const uint8_t *p, size_t len, struct err *err);
	int (*zero)(void *ctx, uint64_t len, struct err *err);
	void *ctx;
};

/*
 * Divide the len bytes at p, which stand at offset off of the file and begin
 * where the last call stopped.  final: the run ends with them.
 * Write to *ret_used how many bytes were dealt with; when not final, fewer
 * than split_hold() remain and are to be offered again with more behind them.
 * Return 0 or -1 from a callback.
 */
int split_feed(struct split *s, const uint8_t *p, size_t len, uint64_t off,
    bool final, size_t *ret_used, struct err *err);

/*
 * The shortest zero run where chunks have this mode and average: a grain for
 * blocks, one average chunk in whole grains for streams.
 */
size_t split_zeros(enum chunker_mode mode, uint32_t avg);

/* More than what can remain undecided, bytes. */
size_t split_hold(const struct split *s);

#endif
