#ifndef AGENT_ENGINE_CONTENT_H
#define AGENT_ENGINE_CONTENT_H

#include <stdatomic.h>

#include "agent/engine/pool.h"
#include "repo/archive/archive.h"

struct backup;

/* Bytes of several small files, stored as one chunk. */
struct bundle {
	struct pool_task task;
	struct backup *b;
	unsigned refs;      /* items, and the one that is open; main thread's */
	atomic_bool stored;
	uint32_t len, files;
	uint8_t id[32];
	uint8_t *data;      /* NULL once stored */
};

/* What a file's bytes became. */
struct content {
	uint8_t kind;       /* enum fmt_content_kind, or CONTENT_NONE */
	uint8_t *bytes;     /* inline, or small and not bundled yet; owned */
	struct bundle *bundle; /* slice of this run */
	uint8_t id[32];     /* slice of an older run, or map */
	uint32_t chunk_len, off;
	uint8_t hash[16];   /* of small content that is to be bundled */
	struct fmt_list_buf runs;
	struct archive_ref map;
};
#define CONTENT_NONE 255

/* Free what c holds; its kind is CONTENT_NONE then. */
void content_release(struct content *c);

/* What an entry says of it; borrowed from c. */
void content_tell(const struct content *c, uint64_t size, struct fmt_content *ret);

/* Make ret a copy of c that outlives what c borrows from. */
int content_copy(const struct fmt_content *c, struct content *ret, struct err *err);

#endif
