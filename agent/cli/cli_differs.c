#include <inttypes.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_text.h"
#include "repo/format/fmt_entry.h"

/* Two entries of one path, part by part. */

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

static bool same_bytes(const struct fmt_entry *a, const struct fmt_entry *b)
{
	if ((a->bits & FMT_HAS_CONTENT) != (b->bits & FMT_HAS_CONTENT))
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

/* What is not content, one by one. */
enum part {
	TYPE = 1, CONTENT = 2, SIZE = 4, MODE = 8, OWNER = 16, MTIME = 32,
	CTIME = 64, XATTRS = 128, FLAGS = 256, PROJECT = 512, INODE = 1024,
	READ = 2048, TARGET = 4096, DEVICE = 8192,
};

static const struct { enum part part; const char *name; } parts[] = {
	{ TYPE, "type" }, { CONTENT, "content" }, { SIZE, "size" },
	{ MODE, "mode" }, { OWNER, "owner" }, { MTIME, "mtime" },
	{ CTIME, "ctime" }, { XATTRS, "xattrs" }, { FLAGS, "flags" },
	{ PROJECT, "project" }, { INODE, "inode" }, { READ, "read" },
	{ TARGET, "link_target" }, { DEVICE, "device" },
};
#define NPARTS (sizeof(parts) / sizeof(parts[0]))

static unsigned compare(const struct fmt_entry *a, const struct fmt_entry *b)
{
	const uint32_t read = FMT_CHANGED | FMT_UNREAD;
	unsigned d = 0;

	if (a->type != b->type)
		d |= TYPE;
	if (!same_text(a->target, b->target))
		d |= TARGET;
	if (a->major != b->major || a->minor != b->minor)
		d |= DEVICE;
	if (!same_bytes(a, b))
		d |= CONTENT;
	if (cli_entry_size(a) != cli_entry_size(b))
		d |= SIZE;
	if (a->mode != b->mode)
		d |= MODE;
	if (a->uid != b->uid || a->gid != b->gid)
		d |= OWNER;
	if (a->mtime_s != b->mtime_s || a->mtime_ns != b->mtime_ns)
		d |= MTIME;
	if (a->ctime_s != b->ctime_s || a->ctime_ns != b->ctime_ns)
		d |= CTIME;
	if (!same_xattrs(a->xattrs, b->xattrs))
		d |= XATTRS;
	if (a->flags != b->flags)
		d |= FLAGS;
	if (a->project != b->project)
		d |= PROJECT;
	if ((a->bits & FMT_HAS_LINKS) != (b->bits & FMT_HAS_LINKS) ||
	    a->inode != b->inode)
		d |= INODE;
	if ((a->bits & read) != (b->bits & read))
		d |= READ;
	return d;
}

char cli_entry_compare(const struct fmt_entry *a, const struct fmt_entry *b)
{
	unsigned d = compare(a, b);

	if (d & TYPE)
		return 'T';
	if (d & (CONTENT | TARGET | DEVICE))
		return 'M';
	return d != 0 ? 'U' : 0;
}

/* "mode 0644 -> 0600", where there is something short to say; else the name. */
static void part_text(struct buf *out, enum part part, const char *name,
    const struct fmt_entry *a, const struct fmt_entry *b)
{
	char x[CLI_TEXT_MAX], y[CLI_TEXT_MAX];

	switch (part) {
	case TYPE:
		buf_printf(out, "%s -> %s", cli_entry_type(a), cli_entry_type(b));
		break;
	case SIZE:
		buf_printf(out, "size %" PRIu64 " -> %" PRIu64, cli_entry_size(a),
		    cli_entry_size(b));
		break;
	case MODE:
		buf_printf(out, "mode %04o -> %04o", (unsigned)a->mode & 07777,
		    (unsigned)b->mode & 07777);
		break;
	case OWNER:
		buf_printf(out, "owner %" PRIu32 ":%" PRIu32 " -> %" PRIu32 ":%" PRIu32,
		    a->uid, a->gid, b->uid, b->gid);
		break;
	case MTIME:
		cli_time_text(x, sizeof(x), cli_entry_ns(a->mtime_s, a->mtime_ns));
		cli_time_text(y, sizeof(y), cli_entry_ns(b->mtime_s, b->mtime_ns));
		/* Less than a second is no use to anybody. */
		if (strcmp(x, y) == 0)
			buf_str(out, "mtime");
		else
			buf_printf(out, "mtime %s -> %s", x, y);
		break;
	case TARGET:
		buf_str(out, "link -> ");
		cli_escape(out, b->target.p, b->target.len);
		break;
	default:
		buf_str(out, name);
	}
}

void cli_entry_differs(struct buf *out, const struct fmt_entry *a,
    const struct fmt_entry *b)
{
	unsigned d = compare(a, b);
	bool any = false;

	/* Any change changes ctime: it is told when nothing else is to tell. */
	if (d & ~(unsigned)CTIME)
		d &= ~(unsigned)CTIME;
	if (d & TYPE)
		d &= TYPE | MODE | OWNER | TARGET;
	for (size_t i = 0; i < NPARTS; i++) {
		if (!(d & parts[i].part))
			continue;
		if (any)
			buf_str(out, ", ");
		part_text(out, parts[i].part, parts[i].name, a, b);
		any = true;
	}
}

json_t *cli_entry_differs_json(const struct fmt_entry *a, const struct fmt_entry *b)
{
	json_t *v = json_array();
	unsigned d = compare(a, b);

	for (size_t i = 0; i < NPARTS; i++)
		if (d & parts[i].part)
			json_array_append_new(v, json_string(parts[i].name));
	return v;
}
