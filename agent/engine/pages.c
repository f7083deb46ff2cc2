#include <stdlib.h>
#include <string.h>

#include "agent/engine/fetch.h"
#include "repo/base/mem.h"

/*
 * Pages of one map were written one after the other, so what follows a page
 * in its pack is most likely asked for next: it is read with it, as soon as
 * two came in a row.
 */
#define AHEAD ((size_t)1 << 20)
#define PAGE_PLAIN_MAX ((size_t)4 << 20)

/* Pages that are kept where getting one again would take long. */
#define KEPT 16u

struct page_kept {
	uint8_t id[32];
	struct buf page;
};

struct pages {
	struct store *st;
	struct store_worker *w;
	struct archive_io io;
	uint8_t *ahead;
	size_t ahead_len;
	uint32_t pack, off;      /* of what is in ahead */
	uint32_t last_pack, last_end;
	struct page_kept *kept;  /* far away: pages on the way to what was sought */
	unsigned next;
};

/* The sealed page, when it is there or can be read along with what follows. */
static const uint8_t *sealed(struct pages *p, const struct store_loc *loc)
{
	uint64_t end = (uint64_t)loc->offset + loc->sealed_len;
	bool follows = loc->pack == p->last_pack && loc->offset >= p->last_end &&
	    loc->offset - p->last_end < AHEAD;

	p->last_pack = loc->pack;
	p->last_end = (uint32_t)end;
	if (p->ahead_len > 0 && loc->pack == p->pack && loc->offset >= p->off &&
	    end <= p->off + p->ahead_len)
		return p->ahead + (loc->offset - p->off);
	if (!follows || loc->sealed_len > AHEAD)
		return NULL;

	struct err none;

	p->pack = loc->pack;
	p->off = loc->offset;
	/* Near a pack's end there is less than that; then less is asked for. */
	for (size_t len = AHEAD; len > 0 && len >= loc->sealed_len; len /= 4) {
		if (store_pack_read(p->st, loc->pack, loc->offset, p->ahead, len,
		        &none) == 0) {
			p->ahead_len = len;
			return p->ahead;
		}
	}
	p->ahead_len = 0;
	return NULL;
}

/* A page that was got not long ago: 0, 1 when it was not, -1. */
static int get_kept(struct pages *p, const uint8_t id[32], struct buf *ret_page,
    struct err *err)
{
	for (unsigned i = 0; i < KEPT; i++) {
		struct page_kept *k = &p->kept[i];

		if (k->page.len == 0 || memcmp(k->id, id, 32) != 0)
			continue;
		buf_reset(ret_page);
		buf_add(ret_page, k->page.p, k->page.len);
		return buf_check(ret_page, "a page", err);
	}
	return 1;
}

static void keep(struct pages *p, const uint8_t id[32], const struct buf *page)
{
	struct page_kept *k = &p->kept[p->next++ % KEPT];

	buf_reset(&k->page);
	buf_add(&k->page, page->p, page->len);
	if (k->page.failed)
		buf_release(&k->page);
	memcpy(k->id, id, 32);
}

/* Far away: it is known what comes next, and where that is. */
static int get_far(struct pages *p, enum store_kind kind, const uint8_t id[32],
    struct buf *ret_page, struct err *err)
{
	int r = get_kept(p, id, ret_page, err);

	if (r <= 0)
		return r;
	r = store_get(p->st, p->w, kind, id, ret_page, err);
	if (r == 0)
		keep(p, id, ret_page);
	return r;
}

static int get(void *ctx, enum archive_kind kind, const uint8_t id[32],
    struct buf *ret_page, struct err *err)
{
	struct pages *p = ctx;
	enum store_kind k = kind == ARCHIVE_CATALOG ? STORE_CATALOG : STORE_STATE;
	struct store_loc loc;
	int r = p->kept != NULL ? 1 : store_locate(p->st, id, &loc, err);

	if (r == 0 && loc.plain_len <= PAGE_PLAIN_MAX) {
		const uint8_t *bytes = sealed(p, &loc);

		buf_reset(ret_page);
		if (bytes != NULL) {
			if (buf_reserve(ret_page, loc.plain_len) < 0)
				return err_nomem(err, "a page");
			if (store_blob_open(p->st, p->w, k, id, &loc, bytes,
			        ret_page->p, err) == 0) {
				ret_page->len = loc.plain_len;
				return 0;
			}
		}
	}
	if (r < 0)
		return -1;
	r = p->kept != NULL ? get_far(p, k, id, ret_page, err) :
	    store_get(p->st, p->w, k, id, ret_page, err);
	if (r > 0)
		return err_set(err, ERR_CORRUPT, "the repository has lost it");
	return r;
}

static void ahead(void *ctx, enum archive_kind kind, const uint8_t (*ids)[32],
    size_t n)
{
	struct pages *p = ctx;

	(void)kind;
	store_get_ahead(p->st, ids, n);
}

static int put(void *ctx, enum archive_kind kind, const void *page, size_t len,
    uint8_t ret_id[32], struct err *err)
{
	(void)ctx, (void)kind, (void)page, (void)len, (void)ret_id;
	return err_set(err, ERR_BUG, "a page is written while reading");
}

struct pages *pages_new(struct store *st, const char *domain, struct err *err)
{
	struct pages *p = mem_zalloc(sizeof(*p), "the reader of pages", err);

	if (p == NULL)
		return NULL;
	p->st = st;
	p->last_pack = UINT32_MAX;
	p->io = (struct archive_io){ .get = get, .put = put, .ctx = p,
	    .ahead = ahead };
	p->ahead = malloc(AHEAD);
	p->w = store_worker_new(st, ZIP_FAST, PAGE_PLAIN_MAX, domain, err);
	if (store_is_far(st))
		p->kept = calloc(KEPT, sizeof(*p->kept));
	if (p->ahead == NULL || (store_is_far(st) && p->kept == NULL)) {
		err_nomem(err, "the reader of pages");
		pages_free(p);
		return NULL;
	}
	if (p->w == NULL) {
		pages_free(p);
		return NULL;
	}
	return p;
}

void pages_free(struct pages *p)
{
	if (p == NULL)
		return;
	store_worker_free(p->w);
	for (unsigned i = 0; p->kept != NULL && i < KEPT; i++)
		buf_release(&p->kept[i].page);
	free(p->kept);
	free(p->ahead);
	free(p);
}

const struct archive_io *pages_io(struct pages *p)
{
	return &p->io;
}
