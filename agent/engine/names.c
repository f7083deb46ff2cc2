#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/names.h"
#include "repo/base/buf.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"

/*
 * A record in memory and in a run: hash u64, type u8, length u16, the name
 * and a NUL.  A run is read back through a window of RUN_WINDOW bytes.
 */
#define RECORD_HEAD 11
#define RECORD_MAX (RECORD_HEAD + NAMES_LONGEST + 1)
#define RUN_WINDOW (32u << 10)

struct run {
	uint64_t pos, end; /* of what is not in the window yet */
	uint8_t *window;
	size_t at, len;
	struct name cur;
	int ended;
};

struct names {
	size_t limit;
	struct buf arena;      /* records, unordered until names_sort */
	struct sort_ref {
		uint64_t h;
		uint32_t at;
	} *refs;
	size_t nrefs, cap, next;
	int fd;                /* the spill file, or -1 */
	uint64_t spilled;
	struct run *runs;
	size_t nruns;
};

struct names *names_new(size_t limit, struct err *err)
{
	struct names *n = mem_zalloc(sizeof(*n), "a directory's names", err);

	if (n == NULL)
		return NULL;
	n->limit = limit < UINT32_MAX / 2 ? limit : UINT32_MAX / 2;
	n->fd = -1;
	return n;
}

void names_free(struct names *n)
{
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->nruns; i++)
		free(n->runs[i].window);
	free(n->runs);
	free(n->refs);
	buf_release(&n->arena);
	if (n->fd >= 0)
		close(n->fd);
	free(n);
}

static void record_get(const uint8_t *p, struct name *ret)
{
	ret->h = le64_get(p);
	ret->type = p[8];
	ret->len = le16_get(p + 9);
	ret->s = (const char *)p + RECORD_HEAD;
}

static int name_cmp(const struct name *a, const struct name *b)
{
	if (a->h != b->h)
		return a->h < b->h ? -1 : 1;
	size_t n = a->len < b->len ? a->len : b->len;
	int c = memcmp(a->s, b->s, n);

	return c != 0 ? c : (int)a->len - (int)b->len;
}

static int ref_cmp(const void *x, const void *y, void *arena)
{
	const struct sort_ref *a = x, *b = y;
	struct name na, nb;

	if (a->h != b->h)
		return a->h < b->h ? -1 : 1;
	record_get((uint8_t *)arena + a->at, &na);
	record_get((uint8_t *)arena + b->at, &nb);
	return name_cmp(&na, &nb);
}

static int open_spill(struct err *err)
{
	const char *dirs[] = { getenv("TMPDIR"), "/var/tmp", "/tmp" };
	int fd = -1, e = ENOENT;

	for (size_t i = 0; i < 3 && fd < 0; i++) {
		if (dirs[i] == NULL)
			continue;
		fd = open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd < 0)
			e = errno;
	}
	if (fd < 0)
		return err_sys(err, e,
		    "cannot make a temporary file for a large directory (TMPDIR)");
	return fd;
}

static int write_all(int fd, const void *p, size_t len, struct err *err)
{
	const uint8_t *b = p;

	while (len > 0) {
		ssize_t w = write(fd, b, len);

		if (w < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(err, errno,
			    "cannot write names of a large directory to TMPDIR");
		}
		b += w;
		len -= (size_t)w;
	}
	return 0;
}

/* Write what is in memory as one sorted run. */
static int spill(struct names *n, struct err *err)
{
	if (n->fd < 0 && (n->fd = open_spill(err)) < 0)
		return -1;

	struct run *runs = realloc(n->runs, (n->nruns + 1) * sizeof(*runs));

	if (runs == NULL)
		return err_nomem(err, "a directory's names");
	n->runs = runs;
	qsort_r(n->refs, n->nrefs, sizeof(*n->refs), ref_cmp, n->arena.p);

	struct run *r = &n->runs[n->nruns++];
	uint8_t out[RUN_WINDOW];
	size_t used = 0;

	*r = (struct run){ .pos = n->spilled };
	for (size_t i = 0; i < n->nrefs; i++) {
		const uint8_t *rec = n->arena.p + n->refs[i].at;
		size_t len = RECORD_HEAD + le16_get(rec + 9) + 1u;

		if (used + len > sizeof(out)) {
			if (write_all(n->fd, out, used, err) < 0)
				return -1;
			n->spilled += used;
			used = 0;
		}
		memcpy(out + used, rec, len);
		used += len;
	}
	if (write_all(n->fd, out, used, err) < 0)
		return -1;
	n->spilled += used;
	r->end = n->spilled;
	n->nrefs = 0;
	buf_reset(&n->arena);
	return 0;
}

int names_add(struct names *n, const struct name *name, struct err *err)
{
	if (name->len > NAMES_LONGEST)
		return err_set(err, ERR_BUG, "a name of %u bytes", name->len);
	if (n->arena.len + n->nrefs * sizeof(*n->refs) > n->limit && spill(n, err) < 0)
		return -1;
	if (n->nrefs == n->cap) {
		size_t cap = n->cap ? 2 * n->cap : 16;
		struct sort_ref *refs = realloc(n->refs, cap * sizeof(*refs));

		if (refs == NULL)
			return err_nomem(err, "a directory's names");
		n->refs = refs;
		n->cap = cap;
	}
	n->refs[n->nrefs++] = (struct sort_ref){ name->h, (uint32_t)n->arena.len };
	buf_u64(&n->arena, name->h);
	buf_u8(&n->arena, name->type);
	buf_u16(&n->arena, name->len);
	buf_add(&n->arena, name->s, name->len);
	buf_u8(&n->arena, 0);
	return buf_check(&n->arena, "a directory's names", err);
}

/* Make r->cur the next record of the run, or set r->ended. */
static int run_step(struct names *n, struct run *r, struct err *err)
{
	if (r->len - r->at < RECORD_MAX && r->pos < r->end) {
		memmove(r->window, r->window + r->at, r->len - r->at);
		r->len -= r->at;
		r->at = 0;

		size_t want = RUN_WINDOW - r->len;

		if (want > r->end - r->pos)
			want = (size_t)(r->end - r->pos);

		ssize_t got = pread(n->fd, r->window + r->len, want, (off_t)r->pos);

		if (got != (ssize_t)want)
			return err_sys(err, got < 0 ? errno : EIO,
			    "cannot read names of a large directory back from TMPDIR");
		r->len += want;
		r->pos += want;
	}
	if (r->at == r->len) {
		r->ended = 1;
		return 0;
	}
	record_get(r->window + r->at, &r->cur);
	r->at += RECORD_HEAD + r->cur.len + 1u;
	return 0;
}

int names_sort(struct names *n, struct err *err)
{
	if (n->nruns == 0) {
		if (n->nrefs > 1)
			qsort_r(n->refs, n->nrefs, sizeof(*n->refs), ref_cmp, n->arena.p);
		return 0;
	}
	if (n->nrefs > 0 && spill(n, err) < 0)
		return -1;
	buf_release(&n->arena);
	free(n->refs);
	n->refs = NULL;
	n->cap = 0;
	for (size_t i = 0; i < n->nruns; i++) {
		n->runs[i].window = malloc(RUN_WINDOW);
		if (n->runs[i].window == NULL)
			return err_nomem(err, "a directory's names");
		if (run_step(n, &n->runs[i], err) < 0)
			return -1;
	}
	return 0;
}

int names_next(struct names *n, struct name *ret_name, struct err *err)
{
	if (n->nruns == 0) {
		if (n->next == n->nrefs)
			return 1;
		record_get(n->arena.p + n->refs[n->next++].at, ret_name);
		return 0;
	}

	/* The run given last moves on only now: its record was borrowed. */
	if (n->next > 0 && run_step(n, &n->runs[n->next - 1], err) < 0)
		return -1;

	struct run *least = NULL;

	for (size_t i = 0; i < n->nruns; i++) {
		struct run *r = &n->runs[i];

		if (!r->ended && (least == NULL || name_cmp(&r->cur, &least->cur) < 0))
			least = r;
	}
	if (least == NULL) {
		n->next = 0;
		return 1;
	}
	n->next = (size_t)(least - n->runs) + 1;
	*ret_name = least->cur;
	return 0;
}

size_t names_memory(const struct names *n)
{
	return sizeof(*n) + n->arena.cap + n->cap * sizeof(*n->refs) +
	    n->nruns * (sizeof(*n->runs) + RUN_WINDOW);
}
