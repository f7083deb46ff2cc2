#include <stdlib.h>

#include "repo/archive/archive_internal.h"
#include "repo/base/mem.h"

struct archive_state {
	struct archive_cursor cur;    /* first: the steps get it */
	struct fmt_state_entry entry; /* the current one */
	struct archive_pathbuf dir;   /* scratch: its directory's hashes */
};

static int key_cmp(const struct archive_cursor *c, const struct archive_child *a,
    const struct archive_child *b)
{
	(void)c;
	return archive_key_state_cmp(a, b);
}

static int step(struct archive_cursor *c, struct err *err)
{
	struct archive_state *s = (struct archive_state *)c;

	return fmt_state_next(&c->reader, &s->entry, err);
}

/* Asked for once or twice a leaf, so that copying does no harm. */
static int place(struct archive_cursor *c, struct archive_place *ret,
    struct err *err)
{
	struct archive_state *s = (struct archive_state *)c;

	archive_pathbuf_cut(&s->dir, 0);
	for (size_t i = 0; i < c->reader.ndir; i++) {
		if (archive_pathbuf_push(&s->dir, "", 0, c->reader.hdir[i],
		    err) < 0)
			return -1;
	}
	*ret = (struct archive_place){
		.dir = s->dir.c, .ndir = s->dir.n,
		.name = { .h = s->entry.h },
	};
	return 0;
}

static const struct archive_cursor_ops ops = {
	.name = "state",
	.kind = ARCHIVE_STATE,
	.type = FMT_PAGE_STATE,
	.key_cmp = key_cmp,
	.step = step,
	.place = place,
};

struct archive_state *archive_state_open(const struct archive_io *io,
    const struct archive_ref *root, struct err *err)
{
	struct archive_state *s = mem_zalloc(sizeof(*s), "a state", err);

	if (s == NULL)
		return NULL;
	if (archive_cursor_init(&s->cur, io, &ops, NULL, root, err) < 0) {
		archive_state_close(s);
		return NULL;
	}
	return s;
}

void archive_state_close(struct archive_state *s)
{
	if (s == NULL)
		return;
	archive_cursor_release(&s->cur);
	archive_pathbuf_release(&s->dir);
	free(s);
}

struct archive_cursor *archive_state_cursor(struct archive_state *s)
{
	return &s->cur;
}

const struct fmt_state_entry *archive_state_current(
    const struct archive_cursor *c)
{
	return &((const struct archive_state *)c)->entry;
}

int archive_state_next(struct archive_state *s,
    struct archive_state_item *ret_item, struct err *err)
{
	int r = archive_cursor_next(&s->cur, err);

	if (r == 0)
		*ret_item = (struct archive_state_item){
			.dir = s->cur.reader.hdir,
			.ndir = s->cur.reader.ndir,
			.entry = s->entry,
			.leaf = s->cur.reader.mark,
		};
	return r;
}

/* The order of a child's key and the one sought. */
static int cmp_key(void *arg, const struct archive_child *child)
{
	return archive_key_state_cmp(child, arg);
}

/* Does the entry on which the cursor stands come behind that place? */
static bool is_behind(const struct archive_state *s, const uint64_t *dir,
    size_t ndir, uint64_t h)
{
	const struct fmt_page_reader *rd = &s->cur.reader;

	for (size_t i = 0; i < ndir && i < rd->ndir; i++) {
		if (rd->hdir[i] != dir[i])
			return rd->hdir[i] > dir[i];
	}
	if (rd->ndir != ndir)
		return rd->ndir > ndir;
	return s->entry.h > h;
}

int archive_state_seek_behind(struct archive_state *s, const uint64_t *dir,
    size_t ndir, uint64_t h, struct err *err)
{
	struct archive_place at = { .name = { .h = h } };
	struct archive_child key;
	struct buf enc = BUF_INIT;
	int r = 0;

	archive_pathbuf_cut(&s->dir, 0);
	for (size_t i = 0; i < ndir && r == 0; i++)
		r = archive_pathbuf_push(&s->dir, "", 0, dir[i], err);
	at.dir = s->dir.c;
	at.ndir = s->dir.n;
	if (r == 0)
		r = archive_tree_key(&enc, FMT_PAGE_STATE, &at, err);
	key = (struct archive_child){ .key = enc.p, .keylen = enc.len };
	if (r == 0)
		r = archive_cursor_seek(&s->cur, cmp_key, &key, err);
	buf_release(&enc);
	while (r == 0 && archive_cursor_where(&s->cur) == ARCHIVE_AT_ENTRY &&
	    !is_behind(s, dir, ndir, h))
		r = archive_cursor_skip(&s->cur, err) < 0 ? -1 : 0;
	return r;
}
