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

int64_t cli_entry_ns(int64_t s, uint32_t ns)
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
		    cli_entry_ns(e->mtime_s, e->mtime_ns)));
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
	    cli_json_time(cli_entry_ns(e->mtime_s, e->mtime_ns)));
	json_object_set_new(o, "ctime",
	    cli_json_time(cli_entry_ns(e->ctime_s, e->ctime_ns)));
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
