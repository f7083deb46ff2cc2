#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_text.h"
#include "repo/format/fmt_entry.h"

static const struct { const char *name; char letter; } types[] = {
	[FMT_FILE] = { "file", '-' },
	[FMT_DIRECTORY] = { "directory", 'd' },
	[FMT_SYMLINK] = { "symlink", 'l' },
	[FMT_CHAR_DEVICE] = { "char_device", 'c' },
	[FMT_BLOCK_DEVICE] = { "block_device", 'b' },
	[FMT_FIFO] = { "fifo", 'p' },
	[FMT_SOCKET] = { "socket", 's' },
};

static bool known(const struct fmt_entry *e)
{
	return e->type >= FMT_FILE && e->type <= FMT_SOCKET;
}

const char *cli_entry_type(const struct fmt_entry *e)
{
	return known(e) ? types[e->type].name : "unknown";
}

uint64_t cli_entry_size(const struct fmt_entry *e)
{
	return e->bits & FMT_HAS_CONTENT ? e->content.size : 0;
}

/* "drwxr-sr-t" */
static void mode_text(char dst[11], const struct fmt_entry *e)
{
	static const char bits[] = "rwxrwxrwx";

	dst[0] = known(e) ? types[e->type].letter : '?';
	for (int i = 0; i < 9; i++)
		dst[1 + i] = e->mode & 1u << (8 - i) ? bits[i] : '-';
	if (e->mode & 04000)
		dst[3] = dst[3] == 'x' ? 's' : 'S';
	if (e->mode & 02000)
		dst[6] = dst[6] == 'x' ? 's' : 'S';
	if (e->mode & 01000)
		dst[9] = dst[9] == 'x' ? 't' : 'T';
	dst[10] = '\0';
}

static int64_t ns_of(int64_t s, uint32_t ns)
{
	/* Times beyond what 64 bits of ns hold are shown as the last one. */
	if (s > INT64_MAX / 1000000000 - 1)
		return INT64_MAX;
	if (s < INT64_MIN / 1000000000 + 1)
		return INT64_MIN;
	return s * 1000000000 + ns;
}

void cli_entry_text(struct buf *out, const char *path,
    const struct fmt_entry *e, bool full)
{
	bool dir = e->type == FMT_DIRECTORY;

	if (full) {
		char mode[11], when[CLI_TEXT_MAX], size[CLI_TEXT_MAX];

		mode_text(mode, e);
		if (e->bits & FMT_HAS_DEVICE)
			snprintf(size, sizeof(size), "%" PRIu32 ",%" PRIu32,
			    e->major, e->minor);
		else
			snprintf(size, sizeof(size), "%" PRIu64,
			    cli_entry_size(e));
		buf_printf(out, "%s %6" PRIu32 " %6" PRIu32 " %12s %s ", mode,
		    e->uid, e->gid, size, cli_time_text(when, sizeof(when),
		    ns_of(e->mtime_s, e->mtime_ns)));
	}
	cli_escape(out, path, strlen(path));
	if (dir)
		buf_str(out, "/");
	if (full && (e->bits & FMT_HAS_TARGET)) {
		buf_str(out, " -> ");
		cli_escape(out, e->target.p, e->target.len);
	}
	if (full && (e->bits & FMT_UNREAD))
		buf_str(out, "  [could not be read]");
	else if (full && (e->bits & FMT_CHANGED))
		buf_str(out, "  [changed while it was read]");
	buf_str(out, "\n");
}

void cli_entry_json(json_t *o, const char *path, const struct fmt_entry *e)
{
	char mode[8];

	cli_json_set_bytes(o, "path", path, strlen(path));
	json_object_set_new(o, "type", json_string(cli_entry_type(e)));
	snprintf(mode, sizeof(mode), "%04o", (unsigned)(e->mode & 07777));
	json_object_set_new(o, "mode", json_string(mode));
	json_object_set_new(o, "uid", json_integer(e->uid));
	json_object_set_new(o, "gid", json_integer(e->gid));
	if (e->bits & FMT_HAS_CONTENT)
		json_object_set_new(o, "size_bytes",
		    json_integer((json_int_t)e->content.size));
	json_object_set_new(o, "mtime",
	    cli_json_time(ns_of(e->mtime_s, e->mtime_ns)));
	json_object_set_new(o, "ctime",
	    cli_json_time(ns_of(e->ctime_s, e->ctime_ns)));
	if (e->bits & FMT_HAS_TARGET)
		cli_json_set_bytes(o, "link_target", e->target.p,
		    e->target.len);
	if (e->bits & FMT_HAS_LINKS)
		json_object_set_new(o, "inode",
		    json_integer((json_int_t)e->inode));
	if (e->bits & FMT_HAS_DEVICE) {
		json_object_set_new(o, "major", json_integer(e->major));
		json_object_set_new(o, "minor", json_integer(e->minor));
	}
	json_object_set_new(o, "changed_while_read",
	    json_boolean(e->bits & FMT_CHANGED));
	json_object_set_new(o, "unread", json_boolean(e->bits & FMT_UNREAD));
}

/* --- comparing --------------------------------------------------------------*/

static bool same_text(struct fmt_str a, struct fmt_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* The structs have their own lists: stepping takes elements off copies. */
static bool same_runs(struct fmt_list a, struct fmt_list b)
{
	struct fmt_run x, y;

	for (;;) {
		int ra = fmt_run_next(&a, &x), rb = fmt_run_next(&b, &y);

		if (ra != rb)
			return false;
		if (ra != 0)
			return true;
		if (x.kind != y.kind || x.len != y.len ||
		    (x.kind == FMT_RUN_CHUNK &&
		    memcmp(x.id, y.id, FMT_ID_LEN) != 0))
			return false;
	}
}

static bool same_xattrs(struct fmt_list a, struct fmt_list b)
{
	struct fmt_str an, av, bn, bv;

	for (;;) {
		int ra = fmt_xattr_next(&a, &an, &av);
		int rb = fmt_xattr_next(&b, &bn, &bv);

		if (ra != rb)
			return false;
		if (ra != 0)
			return true;
		if (!same_text(an, bn) || !same_text(av, bv))
			return false;
	}
}

static bool same_reference(const struct fmt_content *a,
    const struct fmt_content *b)
{
	if (a->kind != b->kind || a->size != b->size)
		return false;
	switch (a->kind) {
	case FMT_CONTENT_INLINE:
		return a->size == 0 || memcmp(a->bytes, b->bytes,
		    (size_t)a->size) == 0;
	case FMT_CONTENT_SLICE:
		return a->off == b->off &&
		    memcmp(a->id, b->id, FMT_ID_LEN) == 0;
	case FMT_CONTENT_RUNS:
		return same_runs(a->runs, b->runs);
	case FMT_CONTENT_MAP:
		return memcmp(a->id, b->id, FMT_ID_LEN) == 0;
	default:
		return true;
	}
}

static bool same_content(const struct fmt_entry *a, const struct fmt_entry *b)
{
	const uint32_t bits = FMT_HAS_CONTENT | FMT_HAS_TARGET |
	    FMT_HAS_DEVICE;

	if ((a->bits & bits) != (b->bits & bits))
		return false;
	if ((a->bits & FMT_HAS_TARGET) && !same_text(a->target, b->target))
		return false;
	if ((a->bits & FMT_HAS_DEVICE) &&
	    (a->major != b->major || a->minor != b->minor))
		return false;
	if (!(a->bits & FMT_HAS_CONTENT) ||
	    same_reference(&a->content, &b->content))
		return true;

	/*
	 * A small file may only have moved to another bundle.  Where neither
	 * size nor mtime differ, it is taken for unchanged, as a backup does.
	 */
	return a->content.kind == FMT_CONTENT_SLICE &&
	    b->content.kind == FMT_CONTENT_SLICE &&
	    a->content.size == b->content.size &&
	    a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns;
}

static bool same_metadata(const struct fmt_entry *a, const struct fmt_entry *b)
{
	const uint32_t seen = FMT_HAS_XATTRS | FMT_HAS_FLAGS |
	    FMT_HAS_PROJECT | FMT_HAS_LINKS | FMT_CHANGED | FMT_UNREAD;

	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	    a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns &&
	    a->ctime_s == b->ctime_s && a->ctime_ns == b->ctime_ns &&
	    (a->bits & seen) == (b->bits & seen) && a->flags == b->flags &&
	    a->project == b->project && a->inode == b->inode &&
	    same_xattrs(a->xattrs, b->xattrs);
}

char cli_entry_compare(const struct fmt_entry *a, const struct fmt_entry *b)
{
	if (a->type != b->type)
		return 'T';
	if (!same_content(a, b))
		return 'M';
	return same_metadata(a, b) ? 0 : 'U';
}
