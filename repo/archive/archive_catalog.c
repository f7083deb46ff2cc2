#include <stdlib.h>
#include <string.h>

#include "repo/archive/archive_internal.h"
#include "repo/base/mem.h"

static int key_cmp(const struct archive_cursor *c, const struct archive_child *a,
    const struct archive_child *b)
{
	return archive_key_cmp(c->order_key, a, b);
}

static int step(struct archive_cursor *c, struct err *err)
{
	struct archive_catalog *cat = (struct archive_catalog *)c;

	return fmt_catalog_next(&c->reader, &cat->entry, err);
}

static int place(struct archive_cursor *c, struct archive_place *ret,
    struct err *err)
{
	const struct archive_catalog *cat = (const struct archive_catalog *)c;

	(void)err;
	*ret = (struct archive_place){
		.dir = c->reader.dir, .ndir = c->reader.ndir,
		.name = cat->entry.name,
	};
	return 0;
}

static const struct archive_cursor_ops ops = {
	.name = "catalog",
	.kind = ARCHIVE_CATALOG,
	.type = FMT_PAGE_CATALOG,
	.key_cmp = key_cmp,
	.step = step,
	.place = place,
};

struct archive_catalog *archive_catalog_open(const struct archive_io *io,
    const uint8_t order_key[32], const struct archive_ref *root,
    struct err *err)
{
	struct archive_catalog *c = mem_zalloc(sizeof(*c), "a catalog", err);

	if (c == NULL)
		return NULL;
	if (archive_cursor_init(&c->cur, io, &ops, order_key, root, err) < 0) {
		archive_catalog_close(c);
		return NULL;
	}
	return c;
}

void archive_catalog_close(struct archive_catalog *c)
{
	if (c == NULL)
		return;
	archive_cursor_release(&c->cur);
	free(c);
}

struct archive_path archive_catalog_dir(const struct archive_catalog *c)
{
	return (struct archive_path){
		.c = c->cur.reader.dir, .n = c->cur.reader.ndir,
	};
}

int archive_catalog_next(struct archive_catalog *c, struct archive_path *ret_dir,
    struct fmt_entry *ret_entry, struct err *err)
{
	int r = archive_cursor_next(&c->cur, err);

	if (r == 0) {
		*ret_dir = archive_catalog_dir(c);
		*ret_entry = c->entry;
	}
	return r;
}

struct target {
	const uint8_t *order_key;
	const struct archive_path *dir;
	const struct archive_comp *name;
};

static int cmp_target(void *arg, const struct archive_child *child)
{
	const struct target *t = arg;

	return archive_key_place_cmp(t->order_key, child, t->dir, t->name);
}

/* Whether the current entry is less than the target. */
static bool before(const struct archive_catalog *c, const struct target *t)
{
	struct archive_path dir = archive_catalog_dir(c);
	int r = archive_path_cmp(&dir, t->dir);

	if (r != 0)
		return r < 0;
	return t->name != NULL && fmt_name_cmp(&c->entry.name, t->name) < 0;
}

int archive_catalog_seek(struct archive_catalog *c,
    const struct archive_path *dir, const struct archive_comp *name,
    struct err *err)
{
	struct target t = { c->cur.order_key, dir, name };

	if (archive_cursor_seek(&c->cur, cmp_target, &t, err) < 0)
		return -1;
	while (archive_cursor_where(&c->cur) == ARCHIVE_AT_ENTRY &&
	    before(c, &t)) {
		if (archive_cursor_skip(&c->cur, err) < 0)
			return -1;
	}
	return 0;
}

uint64_t archive_catalog_tell(const struct archive_catalog *c)
{
	return archive_cursor_tell(&c->cur);
}

void archive_catalog_again(struct archive_catalog *c)
{
	c->cur.given = false;
}

int archive_catalog_seek_nth(struct archive_catalog *c, uint64_t nth,
    struct err *err)
{
	return archive_cursor_seek_nth(&c->cur, nth, err);
}

int archive_catalog_skip_damage(struct archive_catalog *c, struct err *err)
{
	return archive_cursor_skip_damage(&c->cur, err);
}
