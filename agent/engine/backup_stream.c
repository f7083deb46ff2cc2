#include <string.h>
#include <unistd.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/runs.h"
#include "agent/engine/stream.h"
#include "repo/base/clock.h"

/* A stream becomes a tree with one file. */
static int stream_tree(struct backup *b, const struct content *c, uint64_t size,
    struct store_commit *commit, struct err *err)
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
	file.entry.bits = FMT_HAS_CONTENT;
	content_tell(c, size, &file.entry.content);
	if (w != NULL && archive_tree_add(w, &root, err) == 0 &&
	    archive_tree_add(w, &file, err) == 0)
		r = backup_finish_tree(w, commit, err);
	archive_tree_free(w);
	return r;
}

int backup_stream(struct backup *b, struct store_commit *commit, struct err *err)
{
	struct stream_source src = { .fd = b->opt->stream_fd, .pipe = true };
	struct stream_result res;
	struct content c = { .kind = CONTENT_NONE };
	struct runs runs;
	const char *name = b->opt->stream_name;

	if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0 || strlen(name) > 255)
		return err_set(err, ERR_USAGE, "'%s' is no file name", name);
	runs_init(&runs, b, b->nstorers - 1);
	int r = stream_store(b, b->nstorers - 1, &src, CHUNKER_STREAM, runs_add, &runs,
	    &res, err);

	if (r == 0)
		r = runs_finish(&runs, &c, err);
	runs_release(&runs);
	if (r == 0)
		r = stream_tree(b, &c, res.size, commit, err);
	content_release(&c);
	if (r != 0)
		return -1;
	b->res->bytes = res.size;
	b->res->files_new = 1;
	b->res->dirs = 1;
	b->res->entries = 2;
	return 0;
}
