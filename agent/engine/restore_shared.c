#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engine/restore_internal.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"

/*
 * A file with several names is never written in place, for a name may lie
 * anywhere: it is replaced.  So when its bytes are to be looked at (--verify),
 * they are before anything is decided, or it would be replaced each time.  By
 * ids where those are of all its bytes; a small file's bundle is fetched.
 */

struct shared {
	struct restore *r;
	struct store_worker *w;
	uint8_t *buf;
	size_t cap;
	struct buf bundle;   /* read last: the next small file is in it, too */
	uint8_t bundle_id[STORE_ID_LEN];
};

void restore_shared_free(struct shared *s)
{
	if (s == NULL)
		return;
	store_worker_free(s->w);
	mem_pages_free(s->buf, s->cap);
	buf_release(&s->bundle);
	free(s);
}

static struct shared *shared_new(struct restore *r, struct err *err)
{
	struct shared *s = mem_zalloc(sizeof(*s), "a comparison", err);

	if (s == NULL)
		return NULL;
	s->r = r;
	s->cap = fetch_blob_max(r->fetch);
	s->buf = mem_pages(s->cap, "a comparison", err);
	if (s->buf != NULL)
		s->w = store_worker_new(r->st, ZIP_OFF, s->cap, r->sn->domain, err);
	if (s->w == NULL) {
		restore_shared_free(s);
		return NULL;
	}
	return s;
}

/* Does the file hold these bytes?  1, or 0. */
static int holds(struct shared *s, int fd, const uint8_t *p, uint64_t len)
{
	for (uint64_t at = 0; at < len;) {
		size_t n = len - at < s->cap ? (size_t)(len - at) : s->cap;

		if (restore_pread(fd, s->buf, n, at) != 0 || memcmp(s->buf, p + at, n) != 0)
			return 0;
		at += n;
	}
	return 1;
}

static int holds_slice(struct shared *s, int fd, const struct fmt_content *c,
    struct err *err)
{
	if (s->bundle.len == 0 || memcmp(s->bundle_id, c->id, STORE_ID_LEN) != 0) {
		int r = store_get(s->r->st, s->w, STORE_DATA, c->id, &s->bundle, err);

		if (r != 0)
			buf_reset(&s->bundle);
		if (r > 0)
			return err_set(err, ERR_CORRUPT, "the repository has lost it");
		if (r < 0)
			return -1;
		memcpy(s->bundle_id, c->id, STORE_ID_LEN);
	}
	if (c->off > s->bundle.len || c->size > s->bundle.len - c->off)
		return err_set(err, ERR_CORRUPT, "its bundle is shorter than is said of it");
	return holds(s, fd, s->bundle.p + c->off, c->size);
}

static int holds_run(struct shared *s, int fd, uint64_t at, const struct fmt_run *run)
{
	uint8_t id[STORE_ID_LEN];

	if (run->kind == FMT_RUN_CHUNK) {
		if (run->len > s->cap || restore_pread(fd, s->buf, run->len, at) != 0)
			return 0;
		store_blob_id(s->w, STORE_DATA, s->buf, run->len, id);
		return memcmp(id, run->id, sizeof(id)) == 0;
	}
	for (uint64_t end = at + run->len; at < end;) {
		size_t n = end - at < s->cap ? (size_t)(end - at) : s->cap;

		if (restore_pread(fd, s->buf, n, at) != 0 || !bytes_are_zero(s->buf, n))
			return 0;
		at += n;
	}
	return 1;
}

static int holds_runs(struct shared *s, int fd, const struct ritem *it)
{
	struct fmt_list l = it->content.runs;
	struct fmt_run run;
	uint64_t at = 0;
	int same = 1;

	while (same > 0 && fmt_run_next(&l, &run) == 0) {
		same = holds_run(s, fd, at, &run);
		at += run.len;
	}
	return same > 0 && at == it->size;
}

static int holds_map(struct shared *s, int fd, const struct ritem *it, struct err *err)
{
	struct archive_ref root = { .level = it->content.level,
	    .entries = it->content.entries };
	struct archive_map *m;
	struct fmt_run run;
	uint64_t at, reached = 0;
	int same = 1, r = 0;

	memcpy(root.id, it->content.id, sizeof(root.id));
	m = archive_map_open(pages_io(s->r->pages), &root, err);
	if (m == NULL)
		return -1;
	while (same > 0 && !restore_stopped(s->r) &&
	    (r = archive_map_next(m, &at, &run, err)) == 0) {
		same = at == reached && holds_run(s, fd, at, &run);
		reached = at + run.len;
	}
	archive_map_close(m);
	return r < 0 ? -1 : same > 0 && reached == it->size;
}

/* 1: its bytes are the snapshot's, 0: they are others, -1 with err. */
static int same_content(struct shared *s, struct ritem *it, struct err *err)
{
	const struct fmt_content *c = &it->content;
	const struct fmt_run all = { .kind = FMT_RUN_HOLE, .len = it->size };
	struct err none;
	int dirfd = dir_pin(it->dir, &none);

	if (dirfd < 0)
		return 0;

	CLEANUP_CLOSE int fd = openat(dirfd, it->name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	dir_unpin(it->dir);
	if (fd < 0)
		return 0;
	switch (c->kind) {
	case FMT_CONTENT_INLINE:
		return holds(s, fd, c->bytes, it->size);
	case FMT_CONTENT_SLICE:
		return holds_slice(s, fd, c, err);
	case FMT_CONTENT_RUNS:
		return holds_runs(s, fd, it);
	case FMT_CONTENT_MAP:
		return holds_map(s, fd, it, err);
	default:
		return holds_run(s, fd, 0, &all);
	}
}

int restore_shared(struct restore *r, struct ritem *it, struct err *err)
{
	int same;

	if (!it->shared || it->how != HOW_UPDATE)
		return 0;
	if (r->shared == NULL && (r->shared = shared_new(r, err)) == NULL)
		return -1;
	same = same_content(r->shared, it, err);
	if (same < 0 && err->class != ERR_CORRUPT)
		return -1;
	/* What cannot be had is no reason to lose what is there. */
	if (same < 0)
		restore_report(it, err);
	it->how = same == 0 ? HOW_REPLACE : HOW_SAME;
	return 0;
}
