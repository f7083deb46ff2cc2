#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "chunker/chunker.h"

/*
 * How much is left to store of some files after deduplication, by the chunker
 * and by FastCDC (Xia et al. 2016, gear hash, normalised chunking of level 2)
 * at the same measured mean.  Each figure is the mean over several keys, or
 * gear tables, as single ones differ by chance.
 *
 * usage: chunker_dedup stream|block AVG-KIB FILE...
 *
 * In block mode zero runs are left out in units of 64 KiB, as the engine leaves
 * them out, and fixed sizes are measured too.
 */

#define SEEDS 8
#define ZERO_UNIT (64u << 10)

struct file {
	const uint8_t *p;
	size_t len;
};

static struct file *files;
static size_t nfiles;
static bool block_mode;

enum algorithm { OURS, FASTCDC, FASTCDC_BOUNDS, FIXED, ALGORITHMS };

static const char *const names[] = {
	"wherry", "fastcdc min/4 max*8", "fastcdc min/2 max*4", "fixed",
};

struct cutter {
	enum algorithm algorithm;
	struct chunker chunker;
	size_t min, normal, max;
	uint64_t strict, loose; /* before and after the normal size */
	uint64_t gear[256];
};

struct outcome {
	size_t chunks;
	uint64_t bytes, stored;
};

static void die(const char *what)
{
	fprintf(stderr, "chunker_dedup: %s\n", what);
	exit(1);
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static size_t fastcdc_next(const struct cutter *c, const uint8_t *p, size_t len)
{
	size_t end = len < c->max ? len : c->max;
	size_t normal = end < c->normal ? end : c->normal;
	uint64_t h = 0;
	size_t i = c->min;

	if (len <= c->min)
		return len;
	for (; i < normal; i++) {
		h = (h << 1) + c->gear[p[i]];
		if (h < c->strict)
			return i + 1;
	}
	for (; i < end; i++) {
		h = (h << 1) + c->gear[p[i]];
		if (h < c->loose)
			return i + 1;
	}
	return end;
}

static size_t cut(const struct cutter *c, const uint8_t *p, size_t len)
{
	switch (c->algorithm) {
	case OURS:
		return chunker_next(&c->chunker, p, len, true);
	case FIXED:
		return len < c->normal ? len : c->normal;
	default:
		return fastcdc_next(c, p, len);
	}
}

/*
 * The normal size of FastCDC need not be a power of two here: hits are numbers
 * below a limit instead of masked bits.  Level 2 makes a hit four times as rare
 * before the normal size and four times as frequent after it.
 */
static void cutter_init(struct cutter *c, enum algorithm algorithm, double avg,
    uint64_t seed)
{
	struct chunker_params params;
	uint8_t key[CHUNKER_KEY_LEN];

	c->algorithm = algorithm;
	c->normal = (size_t)avg;
	c->min = c->normal / (algorithm == FASTCDC ? 4 : 2);
	c->max = c->normal * (algorithm == FASTCDC ? 8 : 4);
	c->strict = (uint64_t)(0x1p64 / avg / 4);
	c->loose = (uint64_t)(0x1p64 / avg * 4);
	seed += 1000;
	for (int i = 0; i < 256; i++)
		c->gear[i] = next_random(&seed);
	if (algorithm != OURS)
		return;
	memcpy(key, c->gear, sizeof(key));
	if (chunker_params_default(block_mode ? CHUNKER_BLOCK : CHUNKER_STREAM,
	    (uint32_t)avg, &params) < 0 || chunker_init(&c->chunker,
	    block_mode ? CHUNKER_BLOCK : CHUNKER_STREAM, key, &params) < 0)
		die("this average is not possible");
}

/* --- a set of chunk ids -------------------------------------------------- */

static struct id {
	uint64_t a, b;
} *ids;
static size_t ids_size, ids_used;

static bool *id_slot_taken;

static void ids_reset(size_t chunks)
{
	free(ids);
	free(id_slot_taken);
	ids_size = 1024;
	while (ids_size < 2 * chunks)
		ids_size *= 2;
	ids = calloc(ids_size, sizeof(*ids));
	id_slot_taken = calloc(ids_size, sizeof(*id_slot_taken));
	if (ids == NULL || id_slot_taken == NULL)
		die("out of memory");
	ids_used = 0;
}

/* Return true if the chunk is new. */
static bool ids_add(const uint8_t *p, size_t len)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	struct id id;

	if (EVP_Digest(p, len, digest, NULL, EVP_sha256(), NULL) != 1)
		die("no SHA-256");
	memcpy(&id, digest, sizeof(id));

	size_t i = id.a & (ids_size - 1);

	for (; id_slot_taken[i]; i = (i + 1) & (ids_size - 1)) {
		if (ids[i].a == id.a && ids[i].b == id.b)
			return false;
	}
	id_slot_taken[i] = true;
	ids[i] = id;
	ids_used++;
	return true;
}

/* --- measuring ----------------------------------------------------------- */

static void run_segment(const struct cutter *c, const uint8_t *p, size_t len,
    bool keep, struct outcome *o)
{
	while (len > 0) {
		size_t n = cut(c, p, len);

		o->chunks++;
		o->bytes += n;
		if (keep && ids_add(p, n))
			o->stored += n;
		p += n;
		len -= n;
	}
}

static bool is_zero_unit(const struct file *f, size_t off)
{
	return f->len - off >= ZERO_UNIT &&
	    chunker_zero_prefix(f->p + off, ZERO_UNIT) == ZERO_UNIT;
}

static void run_file(const struct cutter *c, const struct file *f, bool keep,
    struct outcome *o)
{
	if (!block_mode) {
		run_segment(c, f->p, f->len, keep, o);
		return;
	}
	for (size_t off = 0; off < f->len; ) {
		size_t end = off;

		while (end < f->len && !is_zero_unit(f, end))
			end += f->len - end < ZERO_UNIT ? f->len - end :
			    ZERO_UNIT;
		run_segment(c, f->p + off, end - off, keep, o);
		off = end;
		while (off < f->len && is_zero_unit(f, off))
			off += ZERO_UNIT;
	}
}

/* All files under every seed, summed.  Ids are kept only if keep. */
static struct outcome run(enum algorithm algorithm, double avg, bool keep)
{
	static struct cutter c;
	struct outcome sum = { 0 };
	size_t most = 1;

	for (size_t i = 0; i < nfiles; i++)
		most += files[i].len / ((size_t)avg / 4) + 2;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		cutter_init(&c, algorithm, avg, seed);
		if (keep)
			ids_reset(most);
		for (size_t i = 0; i < nfiles; i++)
			run_file(&c, &files[i], keep, &sum);
	}
	return sum;
}

static double mean_of(struct outcome o)
{
	return o.chunks == 0 ? 0 : (double)o.bytes / (double)o.chunks;
}

/* The normal size at which the algorithm's measured mean is want. */
static double calibrate(enum algorithm algorithm, double want)
{
	double avg = want;

	/* The mean is nearly in proportion to the normal size. */
	for (int i = 0; i < 5; i++)
		avg *= want / mean_of(run(algorithm, avg, false));
	return avg;
}

static void print_row(enum algorithm a, struct outcome o, double base)
{
	double stored = (double)o.stored / SEEDS;

	printf("%-20s %10.0f %9zu %10.2f %8.2f%% %+8.2f%%\n", names[a],
	    mean_of(o), o.chunks / SEEDS, stored / 1e6,
	    100 * (double)o.stored / (double)o.bytes,
	    100 * (stored / base - 1));
}

static void map_file(const char *path, struct file *f)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	f->len = (size_t)st.st_size;
	f->p = (const uint8_t *)"";
	if (f->len > 0)
		f->p = mmap(NULL, f->len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (f->p == MAP_FAILED)
		die(path);
	close(fd);
}

int main(int argc, char **argv)
{
	double avg = argc > 3 ? strtod(argv[2], NULL) * 1024 : 0;

	if (avg < 4096 || (strcmp(argv[1], "stream") != 0 &&
	    strcmp(argv[1], "block") != 0)) {
		fprintf(stderr,
		    "usage: chunker_dedup stream|block AVG-KIB FILE...\n");
		return 2;
	}
	block_mode = strcmp(argv[1], "block") == 0;
	nfiles = (size_t)argc - 3;
	files = calloc(nfiles, sizeof(*files));
	if (files == NULL)
		die("out of memory");
	for (size_t i = 0; i < nfiles; i++)
		map_file(argv[3 + i], &files[i]);

	struct outcome o[ALGORITHMS];
	double mean;

	o[OURS] = run(OURS, avg, true);
	mean = mean_of(o[OURS]);
	for (int a = FASTCDC; a <= FASTCDC_BOUNDS; a++) {
		o[a] = run((enum algorithm)a,
		    calibrate((enum algorithm)a, mean), true);
	}
	if (block_mode)
		o[FIXED] = run(FIXED, avg, true);
	printf("%s, average %.0f KiB, %.1f MB in %zu files, %d keys\n", argv[1],
	    avg / 1024, (double)o[OURS].bytes / SEEDS / 1e6, nfiles, SEEDS);
	printf("%-20s %10s %9s %10s %9s %9s\n", "algorithm", "mean", "chunks",
	    "stored MB", "of all", "to first");
	for (int a = 0; a < (block_mode ? ALGORITHMS : FIXED); a++)
		print_row((enum algorithm)a, o[a],
		    (double)o[OURS].stored / SEEDS);
	return 0;
}
