#ifndef AGENT_ENGINE_MEASURE_H
#define AGENT_ENGINE_MEASURE_H

#include "agent/engine/engine.h"
#include "chunker/chunker.h"
#include "repo/zip/zip.h"

/*
 * How fast each stage of a backup is on this machine, and what chunk sizes
 * would find in given data.  Everything runs in memory; nothing is stored.
 */

/* --- data ---------------------------------------------------------------------*/

/* Data in memory, in pieces: the content of files. */
struct engine_sample;

struct engine_sample_info {
	uint64_t bytes, files;   /* taken */
	uint64_t found_bytes;    /* seen, also what did not fit */
	uint64_t skipped;        /* files that could not be read */
	bool generated;
};

/* Room for at most max bytes.  NULL with err. */
struct engine_sample *engine_sample_new(uint64_t max, struct err *err);
void engine_sample_free(struct engine_sample *s); /* NULL is fine */

/*
 * Take the content of files, block devices, and of all regular files below
 * directories in the order of their names, a file with several names once.
 * Where there is not room for all, whole files are taken all over, and of a
 * file that is larger than the room its beginning.  What cannot be read is
 * told to report (may be NULL) and counted.  Once a sample.  Return 0, or -1
 * when one of the paths cannot be read.
 */
int engine_sample_add(struct engine_sample *s, const char *const *paths,
    size_t n, engine_report_fn *report, void *ctx, struct err *err);

/*
 * Fill the sample with a made mix, the same each time: text, random bytes,
 * copies of earlier parts with edits, zeros.  Good for speeds; its
 * deduplication says nothing about anyone's data.
 */
int engine_sample_generate(struct engine_sample *s, struct err *err);

void engine_sample_look(const struct engine_sample *s,
    struct engine_sample_info *ret);

/* --- speed ---------------------------------------------------------------------*/

enum engine_stage {
	ENGINE_STAGE_COPY,     /* memcpy: what memory allows */
	ENGINE_STAGE_ZERO,     /* the test for zeros: how fast memory is read */
	ENGINE_STAGE_STREAM,   /* cutting files, by one code path */
	ENGINE_STAGE_BLOCK,    /* cutting block volumes */
	ENGINE_STAGE_ID,       /* HMAC-SHA256 */
	ENGINE_STAGE_COMPRESS, /* zstd at one level */
	ENGINE_STAGE_SEAL,     /* ChaCha20-Poly1305 */
	ENGINE_STAGE_OPEN,
	ENGINE_STAGE_WHOLE,    /* cut, id, compress, seal, on `cpus` threads */
};

struct engine_speed {
	enum engine_stage stage;
	char name[48];     /* for people: "zstd level 2" */
	double speed;      /* bytes of input a second */
	/* Of the whole: what its stages allow together, else 0. */
	double limit;
	double ratio;      /* compress: input / output; else 0 */
	unsigned cpus;     /* threads at work */
};

/*
 * Measure every stage, each for about ns_each and by the best of several
 * rounds.  fn is told each result.  Return 0, fn's non-zero value, or -1.
 */
int engine_measure_stages(const struct engine_sample *s, unsigned cpus,
    int64_t ns_each,
    int (*fn)(void *ctx, const struct engine_speed *speed, struct err *err),
    void *ctx, struct err *err);

/* --- deduplication ---------------------------------------------------------------*/

struct engine_cuts {
	enum chunker_mode mode;   /* in */
	uint32_t avg;             /* in: bytes */
	uint64_t chunks, unique_chunks;
	uint64_t bytes;           /* of all pieces */
	uint64_t zero_bytes;      /* in runs that take no chunk */
	uint64_t unique_bytes;    /* of chunks, each counted once */
	uint64_t packed_bytes;    /* of those, compressed at the default level */
};

/*
 * Fill what is not marked "in" of each of the n, by as many threads as cpus.
 * Files are bundled, cut and looked for zero runs as a backup does.  Return 0
 * or -1: USAGE when an average is none that the chunker takes.
 */
int engine_measure_cuts(const struct engine_sample *s, unsigned cpus,
    struct engine_cuts *v, size_t n, struct err *err);

#endif
