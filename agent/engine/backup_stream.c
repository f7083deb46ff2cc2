#include <string.h>
#include <unistd.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/runs.h"
#include "agent/engine/stream.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"

struct pipe {
	struct backup *b;
	struct runs runs;
	uint64_t size;      /* bytes that they add up to */
	uint64_t paused_at; /* bytes that the last checkpoint holds */
	bool told;
};

/* A stream becomes a tree with one file. */
static int stream_tree(struct backup *b, const struct content *c, uint64_t size,
    uint32_t bits, struct store_commit *commit, struct err *err)
{
	struct archive_tree_writer *w = archive_tree_begin(&b->io, b->order_key, err);
	const char *name = b->opt->stream_name;
	int64_t now = clock_real_ns();
	struct fmt_entry meta = {
		.uid = geteuid(), .gid = getegid(),
		.mtime_s = now / 1000000000, .mtime_ns = (uint32_t)(now % 1000000000),
		.ctime_s = now / 1000000000, .ctime_ns = (uint32_t)(now % 1000000000),
	};
	struct archive_tree_entry root = { .entry = meta, .no_carry = true };
	struct archive_tree_entry file = { .entry = meta, .no_carry = true };
	int r = -1;

	root.entry.type = FMT_DIRECTORY;
	root.entry.mode = 0755;
	file.entry.type = FMT_FILE;
	file.entry.mode = 0600;
	file.name = (struct fmt_comp){ name, strlen(name),
		fmt_name_hash(b->order_key, name, strlen(name)) };
	file.entry.bits = FMT_HAS_CONTENT | bits;
	content_tell(c, size, &file.entry.content);
	if (w != NULL && archive_tree_add(w, &root, err) == 0 &&
	    archive_tree_add(w, &file, err) == 0)
		r = backup_finish_tree(w, commit, err);
	archive_tree_free(w);
	b->res->bytes = size;
	b->res->files_new = 1;
	b->res->dirs = 1;
	b->res->entries = 2;
	return r;
}

static int to_runs(void *ctx, const struct fmt_run *run, struct err *err)
{
	struct pipe *p = ctx;

	p->size += run->len;
	return runs_add(&p->runs, run, err);
}

/*
 * May the session end?  What has come through the pipe cannot be read again:
 * while a collection is open that may have named it dead, the session has to
 * last, and the collection waits.  1, 0 or -1.
 */
static int may_end(struct pipe *p, struct err *err)
{
	struct backup *b = p->b;
	int r = p->size == p->paused_at ? 1 : store_session_collected(b->ss, err);

	if (r < 0)
		return -1;
	if (r == 1)
		rounds_put_off(b);
	if (r == 1 && p->size != p->paused_at && !p->told) {
		log_msg(LOG_WARN, "a collection waits for this run, for a stream cannot be "
		    "read again");
		p->told = true;
	}
	return r == 0;
}

/* A checkpoint of what has come so far; then the file goes on in another session. */
static int stream_pause(void *ctx, struct err *err)
{
	struct pipe *p = ctx;
	struct backup *b = p->b;
	struct content c = { .kind = CONTENT_NONE };
	struct store_commit commit = { 0 };
	struct fmt_content so_far;
	uint64_t end;
	bool trusted;
	int r = may_end(p, err);

	if (r <= 0)
		return r;
	r = runs_finish(&p->runs, &c, err);
	runs_release(&p->runs);
	if (r == 0)
		r = stream_tree(b, &c, p->size, FMT_UNREAD, &commit, err);
	if (r == 0)
		r = rounds_next(b, &commit, &trusted, err);
	if (r == 0) {
		p->paused_at = p->size;
		runs_init(&p->runs, b, b->nstorers - 1);
		content_tell(&c, p->size, &so_far);
		r = resume_runs(b, &p->runs, &so_far, trusted, &end, err);
		if (r == 0 && end != p->size)
			r = err_set(err, ERR_CONFLICT, "a collection that began just now "
			    "may remove what was stored of the stream");
	}
	content_release(&c);
	return r;
}

int backup_stream(struct backup *b, struct store_commit *commit, struct err *err)
{
	struct pipe p = { .b = b };
	struct stream_source src = {
		.fd = b->opt->stream_fd, .pipe = true, .pause = stream_pause, .pause_ctx = &p,
	};
	struct stream_result res;
	struct content c = { .kind = CONTENT_NONE };
	const char *name = b->opt->stream_name;

	if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0 || strlen(name) > 255)
		return err_set(err, ERR_USAGE, "'%s' is no file name", name);
	runs_init(&p.runs, b, b->nstorers - 1);
	int r = stream_store(b, b->nstorers - 1, &src, CHUNKER_STREAM, to_runs, &p, &res, err);

	if (r == 0)
		r = runs_finish(&p.runs, &c, err);
	runs_release(&p.runs);
	if (r == 0)
		r = stream_tree(b, &c, res.size, res.stopped ? FMT_UNREAD : 0, commit, err);
	content_release(&c);
	b->gained = b->fresh = atomic_load(&b->e->progress.bytes_new);
	if (r != 0)
		return -1;
	return res.stopped ? 1 : 0;
}
