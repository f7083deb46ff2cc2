#ifndef TESTS_UNIT_FORMAT_SAMPLE_PAGES_H
#define TESTS_UNIT_FORMAT_SAMPLE_PAGES_H

/* Pages whose content follows from a seed. */

#include <stdio.h>

#include "tests/unit/format_sample_objects.h"

static inline void rng_content(struct rng *r, struct fmt_content *c,
    struct fmt_list_buf *runs, uint8_t bytes[64], bool state)
{
	struct fmt_run run;

	rng_fill(r, bytes, 64);
	*c = (struct fmt_content){ .kind = (uint8_t)rng_below(r, 5) };
	switch (c->kind) {
	case FMT_CONTENT_HOLE:
		c->size = rng_num(r);
		break;
	case FMT_CONTENT_INLINE:
		c->size = rng_below(r, 65);
		c->bytes = state ? NULL : bytes;
		break;
	case FMT_CONTENT_SLICE:
		c->id = bytes;
		c->chunk_len = (uint32_t)(1 + rng_below(r, 0xffffff));
		c->off = (uint32_t)rng_below(r, c->chunk_len);
		c->size = rng_below(r, c->chunk_len - c->off + 1);
		break;
	case FMT_CONTENT_RUNS:
		for (uint64_t n = rng_below(r, 6); n > 0; n--) {
			run.kind = (uint8_t)rng_below(r, 3);
			run.len = 1 + rng_below(r, 0xffffff);
			rng_fill(r, run.id, 32);
			fmt_list_add_run(runs, &run);
			c->size += run.len;
		}
		c->runs = fmt_list_of(runs);
		break;
	default:
		c->id = bytes;
		c->level = (uint8_t)rng_below(r, 4);
		c->entries = 1 + rng_num(r) / 2;
		c->size = rng_num(r);
	}
}

static inline void rng_entry(struct rng *r, struct fmt_entry *e,
    struct fmt_list_buf *xattrs, struct fmt_list_buf *runs, uint8_t bytes[64])
{
	static const uint32_t one[8] = { 0, FMT_HAS_CONTENT, 0, FMT_HAS_TARGET,
		FMT_HAS_DEVICE, FMT_HAS_DEVICE, 0, 0 };

	*e = (struct fmt_entry){ .type = (uint8_t)(1 + rng_below(r, 7)) };
	e->mode = (uint32_t)rng_below(r, 010000);
	e->uid = (uint32_t)rng_num(r);
	e->gid = (uint32_t)rng_num(r);
	e->mtime_s = unzigzag(rng_num(r));
	e->ctime_s = unzigzag(rng_num(r));
	e->mtime_ns = (uint32_t)rng_below(r, 1000000000);
	e->ctime_ns = (uint32_t)rng_below(r, 1000000000);
	e->bits = (uint32_t)(rng_next(r) & rng_next(r) & (FMT_HAS_LINKS |
	    FMT_HAS_XATTRS | FMT_HAS_FLAGS | FMT_HAS_PROJECT | FMT_CHANGED |
	    FMT_UNREAD)) | one[e->type];
	e->device = rng_num(r);
	e->inode = rng_num(r);
	for (char c = 'a', n = (char)rng_below(r, 4); c < 'a' + n; c++)
		fmt_list_add_xattr(xattrs, (struct fmt_str){ &c, 1 },
		    rng_str(r));
	e->xattrs = fmt_list_of(xattrs);
	e->flags = (uint32_t)rng_num(r);
	e->project = (uint32_t)rng_num(r);
	e->target = fmt_str("../where/it/points");
	e->major = (uint32_t)rng_num(r);
	e->minor = (uint32_t)rng_num(r);
	rng_content(r, &e->content, runs, bytes, false);
}

/*
 * Keys in order: the i-th name of every directory, and directories of growing
 * and shrinking depth, are ordered by hashes that are made up, so a catalog of
 * them is read without the order key; in a state they are what there is.
 */
struct keys {
	struct fmt_comp dir[6];
	char names[6][8];
	size_t ndir;
	uint64_t at;
};

static inline void keys_next(struct rng *r, struct keys *k)
{
	size_t d;

	k->at++;
	if (k->at > 1 && rng_below(r, 3))
		return;
	/* Change a component, or go deeper: the path grows either way. */
	d = k->ndir < 5 && rng_below(r, 2) ? k->ndir : rng_below(r, k->ndir + 1);
	if (k->at == 1)
		return;
	if (d == 5)
		d = 4;
	snprintf(k->names[d], sizeof(k->names[d]), "d%llu",
	    (unsigned long long)k->at);
	k->dir[d] = (struct fmt_comp){ k->names[d], strlen(k->names[d]),
		k->at };
	k->ndir = d + 1;
}

static inline int sample_leaf_add(unsigned i, struct rng *r, struct keys *k,
    struct fmt_page_writer *w, struct buf *enc, struct err *err)
{
	struct fmt_list_buf xattrs = FMT_LIST_BUF_INIT, runs = FMT_LIST_BUF_INIT;
	struct fmt_state_entry s = { .h = k->at, .bits = FMT_NO_CARRY };
	struct fmt_entry e;
	uint8_t bytes[64], mark[32];
	char name[24];
	bool marked = i == 1 && rng_below(r, 5) == 0;
	size_t room;
	int rc;

	rng_entry(r, &e, &xattrs, &runs, bytes);
	rng_fill(r, mark, 32);
	snprintf(name, sizeof(name), "n%llu", (unsigned long long)k->at);
	e.name = (struct fmt_comp){ name, strlen(name), 0 };
	s.type = e.type;
	rng_fill(r, s.digest, 16);
	if (s.type == FMT_FILE)
		s.bits |= FMT_STATE_CONTENT;
	s.content = e.content;
	rc = i == 0 ? fmt_entry_encode(enc, &e, err) :
	    fmt_state_entry_encode(enc, &s, err);
	if (rc == 0) {
		room = fmt_page_room(w, k->dir, k->ndir, marked, enc->len);
		rc = fmt_page_add(w, k->dir, k->ndir, marked ? mark : NULL,
		    enc->p, enc->len, err);
		if (rc == 0 && room != fmt_page_size(w))
			rc = err_set(err, ERR_BUG, "room was told wrongly");
	}
	fmt_list_release(&xattrs);
	fmt_list_release(&runs);
	return rc;
}

/* Make sample page i in w. */
static inline int sample_page_make(unsigned i, uint64_t seed, unsigned count,
    struct fmt_page_writer *w, const uint8_t **ret_page, size_t *ret_len,
    struct err *err)
{
	struct rng r = { seed * 7919 + i };
	struct keys k = { .ndir = 0 };
	struct buf enc = BUF_INIT;
	uint64_t off = rng_below(&r, 1000);
	struct fmt_child c;
	struct fmt_run run;
	int rc = 0;

	fmt_page_begin(w, sample_page_type(i), i < 3 ? 0 : 1);
	while (rc == 0 && count-- > 0) {
		buf_reset(&enc);
		keys_next(&r, &k);
		if (i < 2) {
			rc = sample_leaf_add(i, &r, &k, w, &enc, err);
			continue;
		}
		run.kind = (uint8_t)rng_below(&r, 3);
		run.len = 1 + rng_below(&r, 0xffffff);
		rng_fill(&r, run.id, 32);
		c = (struct fmt_child){ .dir = k.dir, .ndir = k.ndir,
			.name = { "x", 1, k.at }, .off = off,
			.entries = 1 + rng_num(&r) / 2 };
		snprintf(k.names[5], sizeof(k.names[5]), "n%llu",
		    (unsigned long long)k.at);
		c.name.name = k.names[5];
		c.name.len = strlen(k.names[5]);
		rng_fill(&r, c.id, 32);
		rc = i == 2 ? fmt_map_encode(&enc, off, &run, err) :
		    fmt_child_encode(&enc, sample_page_type(i), &c, err);
		off += run.len;
		if (rc == 0)
			rc = fmt_page_add(w, NULL, 0, NULL, enc.p, enc.len,
			    err);
	}
	buf_release(&enc);
	return rc == 0 ? fmt_page_end(w, ret_page, ret_len, err) : -1;
}

#endif
