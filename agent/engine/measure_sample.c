#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
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
static int take(struct engine_sample *s, int fd, const char *path,
    struct err *err)
{
	size_t start = s->len;

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

static int take_path(struct engine_sample *s, const char *path, bool follow,
    struct err *err)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK |
	    (follow ? 0 : O_NOFOLLOW));

	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	return take(s, fd, path, err);
}

static uint64_t device_size(const char *path)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	return end < 0 ? 0 : (uint64_t)end;
}

/*
 * One walk over all paths: to add up what is there, then to take the same part
 * of it everywhere, so that a sample is not all of one directory.
 */
struct pass {
	struct engine_sample *s;
	bool taking;
	double part;      /* of the bytes, 0 to 1 */
	double credit;    /* bytes that might have been taken */
	uint64_t *inodes; /* of files with several names, seen in this walk */
	size_t n, cap;
	engine_report_fn *report;
	void *ctx;
};

/* Return true when another name of the file has been met. */
static bool met(struct pass *p, const struct stat *st)
{
	uint64_t v = (uint64_t)st->st_ino ^ (uint64_t)st->st_dev << 48;

	if (st->st_nlink < 2)
		return false;
	for (size_t i = 0; i < p->n; i++) {
		if (p->inodes[i] == v)
			return true;
	}
	if (p->n == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 64;
		uint64_t *to = cap > 1u << 14 ? NULL :
		    realloc(p->inodes, cap * sizeof(*to));

		if (to == NULL)
			return false; /* so many: some count twice */
		p->inodes = to;
		p->cap = cap;
	}
	p->inodes[p->n++] = v;
	return false;
}

static void skip(struct pass *p, const char *path, const struct err *why)
{
	if (!p->taking)
		return; /* it is told once */
	p->s->skipped++;
	if (p->report != NULL)
		p->report(p->ctx, path, why);
}

static void one_file(struct pass *p, const char *path, const struct stat *st,
    uint64_t size, bool follow)
{
	struct err why = ERR_INIT;

	if (size == 0 || met(p, st))
		return;
	if (!p->taking) {
		p->s->found_bytes += size;
		return;
	}
	p->credit += (double)size * p->part;
	/* A file that alone is all there is to take is taken in part. */
	if (p->s->len == p->s->max ||
	    (p->credit < (double)size && size < p->s->max))
		return;
	p->credit -= (double)size;
	if (take_path(p->s, path, follow, &why) < 0)
		skip(p, path, &why);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int walk(struct pass *p, const char *path, struct err *err)
{
	char *paths[] = { (char *)path, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_COMFOLLOW,
	    by_name);
	FTSENT *e;

	if (fts == NULL)
		return err_sys(err, errno, "%s", path);
	while ((e = fts_read(fts)) != NULL) {
		struct err why = ERR_INIT;

		if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR ||
		    e->fts_info == FTS_NS) {
			err_sys(&why, e->fts_errno, "cannot be read");
			skip(p, e->fts_path, &why);
		} else if (e->fts_info == FTS_F) {
			one_file(p, e->fts_path, e->fts_statp,
			    (uint64_t)e->fts_statp->st_size, false);
		}
	}
	fts_close(fts);
	return 0;
}

static int pass(struct pass *p, const char *const *paths, size_t n,
    struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		struct stat st;

		if (stat(paths[i], &st) < 0)
			return err_sys(err, errno, "%s", paths[i]);
		if (S_ISDIR(st.st_mode)) {
			if (walk(p, paths[i], err) < 0)
				return -1;
		} else if (S_ISREG(st.st_mode)) {
			one_file(p, paths[i], &st, (uint64_t)st.st_size, true);
		} else if (S_ISBLK(st.st_mode)) {
			one_file(p, paths[i], &st, device_size(paths[i]), true);
		} else {
			return err_set(err, ERR_USAGE, "%s is no file, "
			    "directory or block device (name one)", paths[i]);
		}
	}
	return 0;
}

int engine_sample_add(struct engine_sample *s, const char *const *paths,
    size_t n, engine_report_fn *report, void *ctx, struct err *err)
{
	struct pass p = { .s = s, .report = report, .ctx = ctx };
	int r = pass(&p, paths, n, err);

	p.taking = true;
	p.n = 0;
	p.part = s->found_bytes > s->max ? (double)s->max /
	    (double)s->found_bytes : 1;
	if (r == 0)
		r = pass(&p, paths, n, err);
	free(p.inodes);
	return r;
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
