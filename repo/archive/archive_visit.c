#include <stdlib.h>
#include <string.h>

#include "repo/archive/archive_common.h"
#include "repo/archive/archive_internal.h"

/* A way through a catalog, and the pages that it is in. */
struct visit {
	const struct archive_visit *to;
	struct archive_catalog *c;
	struct {
		uint8_t id[32];
		bool in, whole;  /* whole: nothing below was lost so far */
	} page[ARCHIVE_LEVELS];
};

/* Tell the pages up to `level` of which everything has been told. */
static int leave(struct visit *v, unsigned level, struct err *err)
{
	for (unsigned i = 0; i <= level && i < ARCHIVE_LEVELS; i++) {
		if (!v->page[i].in)
			continue;
		v->page[i].in = false;
		if (v->page[i].whole && v->to->left != NULL &&
		    v->to->left(v->to->ctx, v->page[i].id, i, err) < 0)
			return -1;
	}
	return 0;
}

static int enter(struct visit *v, struct err *err)
{
	struct archive_child page = archive_cursor_child(&v->c->cur);
	struct err why = ERR_INIT;
	int r;

	if (leave(v, page.level, err) < 0)
		return -1;
	r = v->to->page != NULL ?
	    v->to->page(v->to->ctx, page.id, page.level, err) : 0;
	if (r < 0)
		return -1;
	if (r == 0) {
		/* The id lies in the page above. */
		memcpy(v->page[page.level].id, page.id, 32);
		if (archive_cursor_open(&v->c->cur, &why) == 0) {
			v->page[page.level].in = v->page[page.level].whole = true;
			return 0;
		}
		for (unsigned i = page.level + 1; i < ARCHIVE_LEVELS; i++)
			v->page[i].whole = false;
		if (v->to->bad(v->to->ctx, &why, err) < 0)
			return -1;
	}
	return archive_cursor_skip(&v->c->cur, err) < 0 ? -1 : 0;
}

static int tell(struct visit *v, struct err *err)
{
	struct archive_path dir = archive_catalog_dir(v->c);
	int r = v->to->entry(v->to->ctx, &dir, &v->c->entry, err);

	if (r != 0)
		return r;
	return archive_cursor_skip(&v->c->cur, err) < 0 ? -1 : 0;
}

int archive_catalog_visit(const struct archive_io *io,
    const uint8_t order_key[32], const struct archive_ref *root,
    const struct archive_visit *to, struct err *err)
{
	struct visit v = { .to = to };
	int r = 0;

	v.c = archive_catalog_open(io, order_key, root, err);
	if (v.c == NULL)
		return -1;
	while (r == 0) {
		enum archive_where at = archive_cursor_where(&v.c->cur);

		if (at == ARCHIVE_AT_END)
			break;
		r = at == ARCHIVE_AT_PAGE ? enter(&v, err) : tell(&v, err);
	}
	if (r == 0)
		r = leave(&v, ARCHIVE_LEVELS, err);
	archive_catalog_close(v.c);
	return r;
}
