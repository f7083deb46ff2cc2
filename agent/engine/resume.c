#include <string.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/runs.h"

/*
 * Content that an earlier session has stored goes into the next checkpoint or
 * snapshot as it is.  Where R3 does not say that all of it is there, each chunk
 * is asked for.
 */

/* Runs between two signs of life. */
#define ALIVE_RUNS 4096u

struct resume {
	struct backup *b;
	struct runs *runs;
	bool trusted;
	uint64_t end;
};

/* 0; 1 when the chunk is not there any more: what follows is to be read; -1. */
static int take_run(struct resume *re, const struct fmt_run *run, struct err *err)
{
	if (run->kind == FMT_RUN_CHUNK && !re->trusted) {
		int r = store_present(re->b->ss, run->id, err);

		if (r != 0)
			return r;
	}
	if (runs_add(re->runs, run, err) < 0)
		return -1;
	re->end += run->len;
	return 0;
}

static int take_map(struct resume *re, const struct fmt_content *c, struct err *err)
{
	struct archive_ref root = { .level = c->level, .entries = c->entries };
	struct archive_map *m;
	struct fmt_run run;
	uint64_t off;
	int r = 0;

	memcpy(root.id, c->id, sizeof(root.id));
	m = archive_map_open(&re->runs->io, &root, err);
	if (m == NULL)
		return -1;
	while (r == 0) {
		r = archive_map_next(m, &off, &run, err);
		if (r == 0)
			r = take_run(re, &run, err);
	}
	archive_map_close(m);
	return r;
}

int resume_runs(struct backup *b, struct runs *r, const struct fmt_content *c,
    bool trusted, uint64_t *ret_end, struct err *err)
{
	struct resume re = { .b = b, .runs = r, .trusted = trusted };
	struct fmt_run run = { .kind = FMT_RUN_HOLE, .len = c->size };
	struct fmt_list list = c->runs;
	int res = 0;

	if (c->kind == FMT_CONTENT_HOLE && c->size > 0)
		res = take_run(&re, &run, err);
	else if (c->kind == FMT_CONTENT_MAP)
		res = take_map(&re, c, err);
	while (c->kind == FMT_CONTENT_RUNS && res == 0 && fmt_run_next(&list, &run) == 0)
		res = take_run(&re, &run, err);
	*ret_end = re.end;
	return res < 0 ? -1 : 0;
}

int resume_map(struct backup *b, const struct archive_ref *root,
    struct archive_map_writer *w, bool trusted,
    int (*reread)(void *ctx, uint64_t off, struct fmt_run *run, struct err *err),
    void *ctx, struct err *err)
{
	struct archive_map *m = archive_map_open(&b->io, root, err);
	struct fmt_run run;
	uint64_t off;
	int r = m == NULL ? -1 : 0;

	for (unsigned i = 0; r == 0; i++) {
		if (i % ALIVE_RUNS == 0 && backup_alive(b, err) < 0)
			r = -1;
		if (r == 0 && trusted)
			r = archive_map_carry(w, m, UINT64_MAX, &off, err);
		if (r == 0)
			r = archive_map_next(m, &off, &run, err);
		if (r == 0 && run.kind == FMT_RUN_CHUNK && !trusted) {
			r = store_present(b->ss, run.id, err);
			if (r == 1)
				r = reread(ctx, off, &run, err);
		}
		if (r == 0)
			r = archive_map_add(w, &run, err);
	}
	archive_map_close(m);
	return r < 0 ? -1 : 0;
}
