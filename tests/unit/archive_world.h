#ifndef TESTS_UNIT_ARCHIVE_WORLD_H
#define TESTS_UNIT_ARCHIVE_WORLD_H

/*
 * For the tests of the archive room: what the entries of random trees contain,
 * and catalogs made of them.
 */

#include "tests/unit/archive_items.h"

/* Memory for one entry's lists. */
struct scratch {
	uint8_t bytes[2048];
	uint8_t id[32];
	struct fmt_list_buf runs, xattrs;
};

static inline void scratch_release(struct scratch *s)
{
	fmt_list_release(&s->runs);
	fmt_list_release(&s->xattrs);
}

static inline void fill_content(struct fmt_content *c, uint64_t v,
    struct scratch *s)
{
	for (size_t i = 0; i < 32; i += 8)
		le64_put(s->id + i, v ^ i);
	*c = (struct fmt_content){ 0 };
	switch (v % 5) {
	case 0:
		c->kind = FMT_CONTENT_HOLE;
		c->size = v % 7777;
		break;
	case 1:
		c->kind = FMT_CONTENT_INLINE;
		c->size = v % (v % 11 == 0 ? sizeof(s->bytes) : 100);
		memset(s->bytes, (int)(v >> 8), (size_t)c->size);
		c->bytes = s->bytes;
		break;
	case 2:
		c->kind = FMT_CONTENT_SLICE;
		c->size = 1 + v % 1000;
		c->id = s->id;
		c->chunk_len = 100000;
		c->off = (uint32_t)(v >> 16) % 90000;
		break;
	case 3:
		c->kind = FMT_CONTENT_RUNS;
		s->runs.n = 0;
		buf_reset(&s->runs.b);
		for (uint64_t i = 0; i < 1 + v % 9; i++) {
			struct fmt_run run = {
				.kind = (uint8_t)((v >> i) % 3),
				.len = 1 + (v >> i) % 100000,
			};

			if (run.kind == FMT_RUN_CHUNK) {
				memcpy(run.id, s->id, 32);
				run.id[0] = (uint8_t)i;
			}
			fmt_list_add_run(&s->runs, &run);
			c->size += run.len;
		}
		c->runs = fmt_list_of(&s->runs);
		break;
	default:
		c->kind = FMT_CONTENT_SLICE;
		c->size = 9;
		c->id = s->id;
		c->chunk_len = 9;
	}
}

static inline void fill_entry(struct fmt_entry *e, const struct item *it,
    struct scratch *s)
{
	uint64_t v = it->version;

	*e = (struct fmt_entry){
		.name = it->name, .type = it->type,
		.mode = 0755, .uid = (uint32_t)v % 3, .gid = 100,
		.mtime_s = (int64_t)(v >> 20), .mtime_ns = (uint32_t)v % 1000,
		.ctime_s = (int64_t)(v >> 21), .ctime_ns = (uint32_t)v % 999,
	};
	if (it->type == FMT_SYMLINK) {
		e->bits |= FMT_HAS_TARGET;
		e->target = fmt_str("../elsewhere");
	}
	if (v % 17 == 0) {
		e->bits |= FMT_HAS_XATTRS;
		s->xattrs.n = 0;
		buf_reset(&s->xattrs.b);
		fmt_list_add_xattr(&s->xattrs, fmt_str("user.a"),
		    fmt_str("value"));
		e->xattrs = fmt_list_of(&s->xattrs);
	}
	if (it->type == FMT_FILE) {
		e->bits |= FMT_HAS_CONTENT;
		fill_content(&e->content, v, s);
	}
}

static inline void add_item(struct archive_tree_writer *w, const struct item *it)
{
	struct scratch s = { .runs = FMT_LIST_BUF_INIT };
	struct archive_tree_entry e = {
		.dir = dir_of(it), .name = it->name,
		.no_state = it->no_state, .no_carry = it->no_carry,
	};
	struct err err = ERR_INIT;

	fill_entry(&e.entry, it, &s);
	le64_put(e.digest, it->version);
	OK(archive_tree_add(w, &e, &err));
	scratch_release(&s);
}

struct roots {
	struct archive_ref cat, state;
};

/* Write a tree entry by entry. */
static inline struct roots write_tree(struct world_pages *w,
    const struct tree *t)
{
	struct archive_io io = world_io(w);
	struct err err = ERR_INIT;
	struct archive_tree_writer *tw = archive_tree_begin(&io, world_key, &err);
	struct roots r;

	assert_non_null(tw);
	for (size_t i = 0; i < t->n; i++)
		add_item(tw, &t->v[i]);
	OK(archive_tree_finish(tw, &r.cat, &r.state, &err));
	archive_tree_free(tw);
	return r;
}

static inline void assert_ref_equal(const struct archive_ref *a,
    const struct archive_ref *b)
{
	assert_int_equal(a->level, b->level);
	assert_int_equal(a->entries, b->entries);
	assert_memory_equal(a->id, b->id, 32);
}

/* The entry told is the item, in every byte. */
static inline void assert_is_item(const struct archive_path *dir,
    const struct fmt_entry *e, const struct item *it)
{
	struct scratch s = { .runs = FMT_LIST_BUF_INIT };
	struct archive_path want = dir_of(it);
	struct fmt_entry full;
	struct buf a = BUF_INIT;
	struct err err = ERR_INIT;

	assert_int_equal(dir->n, want.n);
	assert_int_equal(archive_path_cmp(dir, &want), 0);
	fill_entry(&full, it, &s);
	OK(fmt_entry_encode(&a, &full, &err));
	assert_int_equal(a.len, e->raw_len);
	assert_memory_equal(a.p, e->raw, a.len);
	assert_int_equal(e->name.h, it->name.h);
	buf_release(&a);
	scratch_release(&s);
}

#endif
