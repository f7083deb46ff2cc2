#ifndef AGENT_ENGINE_STREAM_H
#define AGENT_ENGINE_STREAM_H

#include "agent/engine/backup_internal.h"

struct stream_source {
	int fd;
	bool pipe;          /* read() in order to its end; size is unknown */
	bool direct;        /* descriptor is O_DIRECT: offsets are aligned */
	uint64_t size;      /* bytes */
	uint64_t start;     /* without parts: where to begin, aligned if direct */
	/* Parts in order: what to read, and holes or zeros that are known.  NULL:
	 * everything is read.  0, 1 at the end, -1. */
	int (*next)(void *ctx, uint64_t *ret_off, uint64_t *ret_len,
	    bool *ret_hole, struct err *err);
	void *ctx;
	/*
	 * May be NULL, but for the main thread: the session is due to end
	 * (rounds_end), and the sink has all runs up to a place where the cuts are
	 * what they would be if reading began there.  0 or -1.
	 */
	int (*pause)(void *pause_ctx, struct err *err);
	void *pause_ctx;
};
struct stream_result {
	uint64_t size;      /* bytes that the runs add up to */
	uint64_t read;
	bool short_read;    /* it ended before size */
	bool stopped;       /* by backup_stopping, at such a place */
};
/*
 * Read, cut and store a long source as thread self, chunks by all workers;
 * the runs come in order to sink in this thread.  Return 0, 1 when it cannot be
 * read (err says why), -1.
 */
int stream_store(struct backup *b, unsigned self, const struct stream_source *src,
    enum chunker_mode mode,
    int (*sink)(void *ctx, const struct fmt_run *run, struct err *err),
    void *ctx, struct stream_result *ret, struct err *err);

/*
 * Parts of a file for stream_source: a hole of at least SPLIT_GRAIN at
 * multiples of it (the last may end with the file), or the data up to the
 * next such hole.
 */
struct file_parts {
	int fd;
	uint64_t at, size;
};
void file_parts_init(struct file_parts *p, int fd, uint64_t size);
int file_parts_next(void *parts, uint64_t *ret_off, uint64_t *ret_len,
    bool *ret_hole, struct err *err);

/* Free what streams keep for each other; NULL is fine. */
struct stream_memory;
void stream_memory_free(struct stream_memory *m);

#endif
