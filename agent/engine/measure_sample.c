#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engine/measure_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"

struct engine_sample *engine_sample_new(uint64_t max, struct err *err)
{
	struct engine_sample *s = mem_zalloc(sizeof(*s), "a sample", err);

	if (s == NULL)
		return NULL;
	s->max = (size_t)max;
	s->p = mem_pages(s->max, "a sample", err);
	if (s->p == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void engine_sample_free(struct engine_sample *s)
{
	if (s == NULL)
		return;
	mem_pages_free(s->p, s->max);
	free(s->ends);
	free(s);
}

void engine_sample_look(const struct engine_sample *s,
    struct engine_sample_info *ret)
{
	*ret = (struct engine_sample_info){
		.bytes = s->len,
		.files = s->n,
		.found_bytes = s->found_bytes,
		.skipped = s->skipped,
		.generated = s->generated,
	};
}

static int end_piece(struct engine_sample *s, struct err *err)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 1024;
		size_t *ends = realloc(s->ends, cap * sizeof(*ends));

		if (ends == NULL)
			return err_nomem(err, "a sample");
		s->ends = ends;
		s->cap = cap;
	}
	s->ends[s->n++] = s->len;
	return 0;
}

/* Take what fits of an open file as one piece. */
static int take(struct engine_sample *s, int fd, uint64_t size,
    const char *path, struct err *err)
{
	size_t start = s->len;

	s->found_bytes += size;
	while (s->len < s->max) {
		ssize_t n = read(fd, s->p + s->len, s->max - s->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			s->len = start;
			return err_sys(err, errno, "%s", path);
		}
		if (n == 0)
			break;
		s->len += (size_t)n;
	}
	return s->len > start ? end_piece(s, err) : 0;
}

/* Open a file or device and find its size.  Return the descriptor or -1. */
static int open_source(const char *path, bool follow, uint64_t *ret_size,
    struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK |
	    (follow ? 0 : O_NOFOLLOW));
	struct stat st;

	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	if (fstat(fd, &st) < 0) {
		err_sys(err, errno, "%s", path);
		close(fd);
		return -1;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		close(fd);
		return err_set(err, ERR_USAGE, "%s is no file, directory or "
		    "block device", path);
	}
	*ret_size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode)) {
		off_t end = lseek(fd, 0, SEEK_END);

		*ret_size = end < 0 ? 0 : (uint64_t)end;
		lseek(fd, 0, SEEK_SET);
	}
	return fd;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void skip(struct engine_sample *s, engine_report_fn *report, void *ctx,
    const char *path, const struct err *why)
{
	s->skipped++;
	if (report != NULL)
		report(ctx, path, why);
}

static int walk(struct engine_sample *s, const char *path,
    engine_report_fn *report, void *ctx, struct err *err)
{
	char *paths[] = { (char *)path, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_COMFOLLOW,
	    by_name);
	FTSENT *e;
	int r = 0;

	if (fts == NULL)
		return err_sys(err, errno, "%s", path);
	while (r == 0 && (e = fts_read(fts)) != NULL) {
		struct err why = ERR_INIT;
		uint64_t size;

		if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR ||
		    e->fts_info == FTS_NS) {
			err_sys(&why, e->fts_errno, "cannot be read");
			skip(s, report, ctx, e->fts_path, &why);
		}
		if (e->fts_info != FTS_F)
			continue;
		if (s->len == s->max) {
			s->found_bytes += (uint64_t)e->fts_statp->st_size;
			continue;
		}

		CLEANUP_CLOSE int fd = open_source(e->fts_path, false, &size,
		    &why);

		if (fd < 0 || take(s, fd, size, e->fts_path, &why) < 0)
			skip(s, report, ctx, e->fts_path, &why);
	}
	fts_close(fts);
	return r;
}

int engine_sample_add(struct engine_sample *s, const char *path,
    engine_report_fn *report, void *ctx, struct err *err)
{
	struct stat st;
	uint64_t size;

	if (stat(path, &st) < 0)
		return err_sys(err, errno, "%s", path);
	if (S_ISDIR(st.st_mode))
		return walk(s, path, report, ctx, err);

	CLEANUP_CLOSE int fd = open_source(path, true, &size, err);

	return fd < 0 ? -1 : take(s, fd, size, path, err);
}

/* --- made data --------------------------------------------------------------------*/

/* SplitMix64: small, fast, and the same everywhere. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void make_random(uint8_t *p, size_t len, uint64_t *seed)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t v = next_random(seed);

		memcpy(p + i, &v, len - i < 8 ? len - i : 8);
	}
}

/* Words of a made language, the frequent ones more often, as text has them. */
static void make_text(uint8_t *p, size_t len, uint64_t *seed)
{
	static const char letters[] = "etaoinshrdlucmfwypvbgkjqxz";
	size_t i = 0;

	while (i < len) {
		uint64_t v = next_random(seed);
		/* The product of two draws leans towards small numbers. */
		uint64_t word = (v & 63) * (v >> 6 & 63);
		size_t n = 2 + word % 7;

		for (size_t k = 0; k < n && i < len; k++)
			p[i++] = (uint8_t)letters[(word * (k + 3) + k * k) %
			    26];
		if (i < len)
			p[i++] = (v >> 20) % 12 == 0 ? '\n' : ' ';
	}
}

/* A copy of something earlier with a few bytes put in. */
static void make_copy(uint8_t *p, const uint8_t *from, size_t len,
    uint64_t *seed)
{
	size_t edit = (size_t)(next_random(seed) % (len / 2)) + len / 4;

	memcpy(p, from, edit);
	make_text(p + edit, 64, seed);
	memcpy(p + edit + 64, from + edit, len - edit - 64);
}

int engine_sample_generate(struct engine_sample *s, struct err *err)
{
	const size_t piece = 2u << 20;
	uint64_t seed = 1;

	s->generated = true;
	for (unsigned i = 0; s->len + piece <= s->max; i++) {
		uint8_t *p = s->p + s->len;

		if (i % 5 == 1)
			make_random(p, piece, &seed);
		else if (i % 5 == 3)
			make_copy(p, s->p + (s->len / 2 & ~(piece - 1)),
			    piece, &seed);
		else if (i % 10 == 4)
			memset(p, 0, piece);
		else
			make_text(p, piece, &seed);
		s->len += piece;
		s->found_bytes += piece;
		if (end_piece(s, err) < 0)
			return -1;
	}
	return 0;
}
