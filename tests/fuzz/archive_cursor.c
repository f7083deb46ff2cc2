/*
 * Readers of maps over pages that anyone may have written: ids are not
 * verified here, so that pages may point anywhere, at themselves too.  No
 * crash, no endless walk, entries in order.
 *
 * Input: kind u8, level u8 and entries u32 of the root, then pages, each a u16
 * length and its bytes.  An id names the page of the number in its first byte.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/archive/archive.h"
#include "repo/base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAGES 256

static const uint8_t key[32] = "fuzz";

struct input {
	const uint8_t *p[PAGES];
	size_t len[PAGES];
	size_t n;
	size_t gets, most;
};

static void must(bool ok)
{
	if (!ok)
		abort();
}

static int get(void *ctx, enum archive_kind kind, const uint8_t id[32],
    struct buf *ret_page, struct err *err)
{
	struct input *in = ctx;

	(void)kind;
	/* Each reference is followed once, and takes bytes in some page. */
	must(++in->gets <= in->most);
	if (id[0] >= in->n)
		return err_set(err, ERR_CORRUPT, "no such page");
	buf_reset(ret_page);
	buf_add(ret_page, in->p[id[0]], in->len[id[0]]);
	return buf_check(ret_page, "a page", err);
}

static int put(void *ctx, enum archive_kind kind, const void *page, size_t len,
    uint8_t ret_id[32], struct err *err)
{
	(void)ctx;
	(void)kind;
	(void)page;
	(void)len;
	memset(ret_id, 1, 32);
	(void)err;
	return 0;
}

static void try_catalog(const struct archive_io *io,
    const struct archive_ref *root)
{
	struct err err = ERR_INIT;
	struct archive_catalog *c = archive_catalog_open(io, key, root, &err);
	struct archive_comp name = { "m", 1, fmt_name_hash(key, "m", 1) };
	struct archive_path dir;
	struct fmt_entry e;
	uint64_t got = 0;
	int r;

	if (c == NULL)
		return;
	while ((r = archive_catalog_next(c, &dir, &e, &err)) != 1) {
		if (r == 0) {
			must(++got <= root->entries);
			for (size_t i = 0; i < dir.n; i++)
				must(dir.c[i].len > 0);
		} else if (archive_catalog_skip_damage(c, &err) == 1) {
			break;
		}
	}
	dir = (struct archive_path){ &name, 1 };
	((struct input *)io->ctx)->gets = 0;
	if (archive_catalog_seek(c, &dir, &name, &err) == 0 &&
	    archive_catalog_next(c, &dir, &e, &err) == 0) {
		struct archive_path want = { &name, 1 };
		int o = archive_path_cmp(&dir, &want);

		must(o > 0 || (o == 0 && archive_name_cmp(&e.name, &name) >= 0));
	}
	archive_catalog_close(c);
}

static void try_state(const struct archive_io *io,
    const struct archive_ref *root)
{
	struct err err = ERR_INIT;
	struct archive_state *s = archive_state_open(io, root, &err);
	struct archive_state_item item;
	uint64_t got = 0;

	if (s == NULL)
		return;
	while (archive_state_next(s, &item, &err) == 0)
		must(++got <= root->entries);
	archive_state_close(s);
}

static void try_map(const struct archive_io *io, const struct archive_ref *root)
{
	struct err err = ERR_INIT;
	struct archive_map *m = archive_map_open(io, root, &err);
	struct archive_map_writer *w;
	struct fmt_run run;
	uint64_t off, end = 0;
	int r;

	if (m == NULL)
		return;
	while ((r = archive_map_next(m, &off, &run, &err)) != 1) {
		if (r < 0 && archive_map_skip_damage(m, &err) == 1)
			break;
		if (r < 0)
			continue;
		must(off >= end && run.len > 0);
		end = off + run.len;
	}
	((struct input *)io->ctx)->gets = 0;
	if (archive_map_seek(m, end / 2, &err) == 0 &&
	    archive_map_next(m, &off, &run, &err) == 0)
		must(off + run.len > end / 2);
	((struct input *)io->ctx)->gets = 0;
	w = archive_map_begin(io, key, &err);
	if (w != NULL && archive_map_seek(m, 0, &err) == 0)
		archive_map_carry(w, m, end, &off, &err);
	archive_map_free(w);
	archive_map_close(m);
}

static int on_blob(void *ctx, uint8_t kind, const uint8_t id[32], bool page,
    const struct archive_path *dir, const struct fmt_entry *entry,
    struct err *err)
{
	(void)ctx;
	(void)id;
	(void)page;
	(void)dir;
	(void)entry;
	(void)err;
	must(kind >= 1 && kind <= 3);
	return 0;
}

static int on_bad(void *ctx, uint8_t kind, const uint8_t id[32],
    const struct archive_path *dir, const struct fmt_entry *entry,
    const struct err *why, struct err *err)
{
	(void)dir;
	must(why->class != ERR_NONE && why->class != ERR_BUG);
	return on_blob(ctx, kind, id, true, NULL, entry, err);
}

static int on_difference(void *ctx, const struct archive_path *dir,
    const struct fmt_entry *a, const struct fmt_entry *b, struct err *err)
{
	(void)ctx;
	(void)dir;
	(void)err;
	must(a != NULL || b != NULL);
	return 0;
}

static void try_walks(const struct archive_io *io,
    const struct archive_ref *root, unsigned kind)
{
	struct archive_walk walk = { on_blob, on_bad, NULL };
	struct archive_ref other = *root;
	struct input *in = io->ctx;
	struct err err = ERR_INIT;

	/* A long file's map may be walked once for each file that names it. */
	in->gets = 0;
	in->most *= in->most;
	if (kind == 0)
		archive_walk_catalog(io, key, root, &walk, &err);
	else if (kind == 1)
		archive_walk_state(io, root, &walk, &err);
	else
		archive_walk_map(io, root, &walk, &err);
	if (kind != 0)
		return;
	other.id[0]++;
	archive_catalog_diff(io, key, root, &other, on_difference, NULL, &err);
	if (other.level > 0) {
		other.level--;
		archive_catalog_diff(io, key, &other, root, on_difference, NULL,
		    &err);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	struct input in = { .most = size + 16 };
	struct archive_io io = { .get = get, .put = put, .ctx = &in };
	unsigned kind = rd_u8(&r) % 3;
	struct archive_ref root = { .level = rd_u8(&r), .entries = rd_u32(&r) };

	/* Page 0 is the root; the rest of an id only must not be zeros. */
	root.id[31] = 1;
	while (!r.bad && r.left >= 2 && in.n < PAGES) {
		size_t len = rd_u16(&r);

		if (len > r.left)
			len = r.left;
		in.len[in.n] = len;
		in.p[in.n++] = rd_bytes(&r, len);
	}
	if (kind == 0)
		try_catalog(&io, &root);
	else if (kind == 1)
		try_state(&io, &root);
	else
		try_map(&io, &root);
	try_walks(&io, &root, kind);
	return 0;
}
