#include <stdlib.h>
#include <string.h>

#include "agent/engine/copy_sort.h"
#include "agent/engine/copy_tree.h"
#include "repo/base/bytes.h"

/*
 * The order of a catalog hangs on a secret of the family, so all entries are
 * sorted anew.  A sort key compares as FORMAT.md says by its bytes alone: for
 * each component of the directory 2, hash (high byte first), name, 0; then 1,
 * hash and name of the entry.  Names hold no NUL.  A record is the length of
 * the directory's part, and a catalog's page with that one entry.
 */

#define BATCH 4096u          /* entries gathered at once */

struct tree {
	struct copy *c;
	const struct copy_tree *t;
	const uint8_t *order;
	struct copy_sort *sort;
	struct fmt_page_writer page;
	struct fmt_page_reader rd;
	struct buf key, rec, enc;
	/* The record that waits for the next: is it a twin? */
	struct buf wait_key, wait_rec;
	bool waits, wait_twin;
	bool damaged;            /* a page of the source cannot be read: told */
	struct buf twins;        /* directories that are: u32 length, key */
};

static void put_name(struct buf *b, const uint8_t *order, const char *name,
    size_t len)
{
	uint64_t h = len == 0 ? 0 : fmt_name_hash(order, name, len);

	for (int i = 56; i >= 0; i -= 8)
		buf_u8(b, (uint8_t)(h >> i));
	buf_add(b, len == 0 ? "" : name, len);
	buf_u8(b, 0);
}

/* --- into the sorter ----------------------------------------------------------------*/

static int tree_add(struct tree *s, const struct archive_path *dir,
    const struct fmt_entry *e, struct err *err)
{
	const uint8_t *page;
	size_t len, dlen;

	buf_reset(&s->key);
	buf_reset(&s->enc);
	buf_reset(&s->rec);
	for (size_t i = 0; i < dir->n; i++) {
		buf_u8(&s->key, 2);
		put_name(&s->key, s->order, dir->c[i].name, dir->c[i].len);
	}
	dlen = s->key.len;
	buf_u8(&s->key, 1);
	put_name(&s->key, s->order, e->name.name, e->name.len);
	fmt_page_begin(&s->page, FMT_PAGE_CATALOG, 0);
	if (fmt_entry_encode(&s->enc, e, err) < 0 ||
	    fmt_page_add(&s->page, dir->c, dir->n, NULL, s->enc.p, s->enc.len,
	        err) < 0 || fmt_page_end(&s->page, &page, &len, err) < 0)
		return -1;
	buf_u32(&s->rec, (uint32_t)dlen);
	buf_add(&s->rec, page, len);
	if (buf_check(&s->key, "an entry", err) < 0 ||
	    buf_check(&s->rec, "an entry", err) < 0)
		return -1;
	return copy_sort_add(s->sort, s->key.p, s->key.len, s->rec.p,
	    s->rec.len, err);
}

/* As archive_catalog_next; it ends where a page is damaged, which is told. */
static int next(struct tree *s, struct archive_catalog *c,
    struct archive_path *dir, struct fmt_entry *e, struct err *err)
{
	int r = archive_catalog_next(c, dir, e, err);

	if (r < 0 && copy_is_damage(err)) {
		if (!s->damaged)
			copy_damaged(s->c, false, NULL, NULL, err);
		s->damaged = true;
		err_clear(err);
		r = 1;
	}
	return r;
}

/* Look at up to BATCH entries.  Return how many, or -1. */
static int gather(struct tree *s, struct archive_catalog *ahead, struct err *err)
{
	struct archive_path dir;
	struct fmt_entry e;
	int n = 0, r = 0;

	while (n < (int)BATCH &&
	    (r = next(s, ahead, &dir, &e, err)) == 0) {
		n++;
		if (s->t->gather != NULL &&
		    (s->t->gather(s->t->ctx, &e, err) < 0 ||
		     copy_alive(s->c, err) < 0))
			return -1;
	}
	if (r < 0)
		return -1;
	if (n > 0 && s->t->gathered != NULL && s->t->gathered(s->t->ctx, err) < 0)
		return -1;
	return n;
}

static int take(struct tree *s, struct archive_catalog *at, int n,
    struct err *err)
{
	struct archive_path dir;
	struct fmt_entry e;
	int r = 0;

	for (int i = 0; i < n && r == 0; i++) {
		r = next(s, at, &dir, &e, err);
		if (r > 0 && !s->damaged)
			r = err_set(err, ERR_BUG, "a catalog is shorter than it was");
		if (r == 0 && s->t->convert != NULL)
			r = s->t->convert(s->t->ctx, &e, err);
		if (r == 0)
			r = tree_add(s, &dir, &e, err);
		if (r == 0)
			r = copy_alive(s->c, err);
	}
	return r;
}

/* Two cursors: one looks ahead, the other follows when all is there. */
static int read_all(struct tree *s, struct err *err)
{
	const struct archive_io *io = pages_io(s->c->pages);
	const uint8_t *order = store_snapshot_order(s->c->from, s->c->sn, err);
	struct archive_ref root = copy_ref(&s->c->sn->catalog);
	struct archive_catalog *ahead = NULL, *at = NULL;
	int r = 0;

	if (order != NULL)
		ahead = archive_catalog_open(io, order, &root, err);
	if (ahead != NULL)
		at = archive_catalog_open(io, order, &root, err);
	if (at == NULL)
		r = -1;
	while (r == 0 && !s->damaged) {
		r = gather(s, ahead, err);
		if (r <= 0)
			break;
		r = take(s, at, r, err);
	}
	archive_catalog_close(ahead);
	archive_catalog_close(at);
	return r;
}

/* --- out of it ------------------------------------------------------------------------*/

/* Is a directory above it, or its own, one of several with one hash? */
static bool below_twin(const struct tree *s, const uint8_t *key, size_t dlen)
{
	for (size_t i = 0; i < s->twins.len;) {
		size_t len = le32_get(s->twins.p + i);

		if (len <= dlen && memcmp(s->twins.p + i + 4, key, len) == 0)
			return true;
		i += 4 + len;
	}
	return false;
}

/* Remember the entry as a directory below which all are left out. */
static int add_twin(struct tree *s, const uint8_t *key, size_t keylen,
    size_t dlen, struct err *err)
{
	buf_u32(&s->twins, (uint32_t)keylen);
	buf_add(&s->twins, key, dlen);
	buf_u8(&s->twins, 2);
	buf_add(&s->twins, key + dlen + 1, keylen - dlen - 1);
	return buf_check(&s->twins, "names with one hash", err);
}

static int tell_waiting(struct tree *s, struct err *err)
{
	const uint8_t *rec = s->wait_rec.p, *key = s->wait_key.p;
	size_t dlen;
	struct fmt_entry e;
	struct archive_path dir;

	if (!s->waits)
		return 0;
	s->waits = false;
	dlen = le32_get(rec);
	if (fmt_page_open(&s->rd, rec + 4, s->wait_rec.len - 4,
	        FMT_PAGE_CATALOG, s->order, err) < 0)
		return -1;
	if (fmt_catalog_next(&s->rd, &e, err) != 0)
		return err_set(err, ERR_BUG, "an entry was lost in sorting");
	if (s->wait_twin && e.type == FMT_DIRECTORY &&
	    add_twin(s, key, s->wait_key.len, dlen, err) < 0)
		return -1;
	dir = (struct archive_path){ .c = s->rd.dir, .n = s->rd.ndir };
	return s->t->entry(s->t->ctx, &dir, &e, s->wait_twin ||
	    below_twin(s, key, dlen), err);
}

static int sorted(void *ctx, const uint8_t *key, size_t keylen,
    const uint8_t *rec, size_t len, struct err *err)
{
	struct tree *s = ctx;
	size_t part = (size_t)le32_get(rec) + 9; /* to the end of the hash */
	bool twin = s->waits && s->wait_key.len >= part && keylen >= part &&
	    le32_get(s->wait_rec.p) + 9 == part &&
	    memcmp(s->wait_key.p, key, part) == 0;

	s->wait_twin |= s->waits && twin;
	if (copy_alive(s->c, err) < 0 || tell_waiting(s, err) < 0)
		return -1;
	buf_reset(&s->wait_key);
	buf_reset(&s->wait_rec);
	buf_add(&s->wait_key, key, keylen);
	buf_add(&s->wait_rec, rec, len);
	s->waits = true;
	s->wait_twin = twin;
	if (buf_check(&s->wait_key, "an entry", err) < 0)
		return -1;
	return buf_check(&s->wait_rec, "an entry", err);
}

int copy_tree(struct copy *c, const uint8_t order[32],
    const struct copy_tree *t, struct err *err)
{
	struct tree s = { .c = c, .t = t, .order = order };
	int r = -1;

	fmt_page_writer_init(&s.page);
	fmt_page_reader_init(&s.rd);
	s.sort = copy_sort_new(c->memory, err);
	if (s.sort != NULL)
		r = read_all(&s, err);
	if (r >= 0)
		r = s.damaged;
	if (r == 0)
		r = copy_sort_each(s.sort, sorted, &s, err);
	if (r == 0)
		r = tell_waiting(&s, err);
	copy_sort_free(s.sort);
	fmt_page_writer_release(&s.page);
	fmt_page_reader_release(&s.rd);
	buf_release(&s.key);
	buf_release(&s.rec);
	buf_release(&s.enc);
	buf_release(&s.wait_key);
	buf_release(&s.wait_rec);
	buf_release(&s.twins);
	return r < 0 ? -1 : 0;
}
