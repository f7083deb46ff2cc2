#include "repo/archive/archive_common.h"
#include "tests/unit/archive_world.h"

struct runs {
	struct fmt_run *v;
	size_t n;
};

static struct fmt_run random_run(void)
{
	struct fmt_run run = {
		.kind = (uint8_t)(below(8) < 6 ? FMT_RUN_CHUNK : below(2)),
		.len = 1 + below(8) * 4096,
	};

	if (run.kind == FMT_RUN_CHUNK) {
		for (size_t i = 0; i < 32; i += 8)
			le64_put(run.id + i, rnd());
	}
	return run;
}

static struct runs random_runs(size_t n)
{
	struct runs r = { malloc(n * sizeof(*r.v) + 1), n };

	assert_non_null(r.v);
	for (size_t i = 0; i < n; i++)
		r.v[i] = random_run();
	return r;
}

static uint64_t length(const struct runs *r)
{
	uint64_t len = 0;

	for (size_t i = 0; i < r->n; i++)
		len += r->v[i].len;
	return len;
}

static struct archive_ref write_runs(struct world_pages *w,
    const struct runs *r)
{
	struct archive_io io = world_io(w);
	struct err err = ERR_INIT;
	struct archive_map_writer *mw = archive_map_begin(&io, world_key, &err);
	struct archive_ref ref;

	assert_non_null(mw);
	for (size_t i = 0; i < r->n; i++)
		OK(archive_map_add(mw, &r->v[i], &err));
	assert_int_equal(archive_map_tell(mw), length(r));
	OK(archive_map_finish(mw, &ref, &err));
	archive_map_free(mw);
	return ref;
}

static struct archive_map *open_map(struct world_pages *w,
    const struct archive_ref *ref)
{
	struct archive_io io = world_io(w);
	struct err err = ERR_INIT;
	struct archive_map *m = archive_map_open(&io, ref, &err);

	assert_non_null(m);
	return m;
}

static void assert_next(struct archive_map *m, uint64_t off,
    const struct fmt_run *want)
{
	struct fmt_run run;
	struct err err = ERR_INIT;
	uint64_t at;

	OK(archive_map_next(m, &at, &run, &err));
	assert_int_equal(at, off);
	assert_int_equal(run.len, want->len);
	assert_int_equal(run.kind, want->kind);
	if (run.kind == FMT_RUN_CHUNK)
		assert_memory_equal(run.id, want->id, 32);
}

static void assert_end(struct archive_map *m)
{
	struct fmt_run run;
	struct err err = ERR_INIT;
	uint64_t at;

	assert_int_equal(archive_map_next(m, &at, &run, &err), 1);
}

static void a_map_gives_back_its_runs(void **arg)
{
	(void)arg;
	for (size_t n = 0; n < 60000; n = n * 4 + 1) {
		struct world_pages w = { 0 };
		struct runs r = random_runs(n);
		struct archive_ref ref = write_runs(&w, &r);
		struct archive_map *m = open_map(&w, &ref);
		uint64_t off = 0;

		assert_int_equal(ref.entries, n);
		for (size_t i = 0; i < n; off += r.v[i++].len)
			assert_next(m, off, &r.v[i]);
		assert_end(m);
		archive_map_close(m);
		free(r.v);
		world_release(&w);
	}
}

static void seek_goes_before_the_run_that_holds_the_byte(void **arg)
{
	struct world_pages w = { 0 };
	struct runs r = random_runs(5000);
	struct archive_ref ref = write_runs(&w, &r);
	struct archive_map *m = open_map(&w, &ref);
	struct err err = ERR_INIT;
	uint64_t off = 0;

	(void)arg;
	for (size_t i = 0; i < r.n; off += r.v[i++].len) {
		uint64_t in[3] = { 0, below(r.v[i].len), r.v[i].len - 1 };

		for (size_t k = 0; k < 3; k++) {
			OK(archive_map_seek(m, off + in[k], &err));
			assert_next(m, off, &r.v[i]);
		}
	}
	OK(archive_map_seek(m, off, &err));
	assert_end(m);
	OK(archive_map_seek(m, UINT64_MAX, &err));
	assert_end(m);
	archive_map_close(m);
	free(r.v);
	world_release(&w);
}

/*
 * New content: some ranges of the old map are other runs, of the same length
 * in all; the rest is as it was.
 */
struct edit {
	size_t from, n;      /* runs of the old map that are replaced */
	struct runs by;
};

static size_t random_edit(const struct runs *old, struct edit *e, size_t at)
{
	uint64_t len = 0;

	e->from = at;
	e->n = 1 + below(20);
	if (e->from + e->n > old->n)
		e->n = old->n - e->from;
	for (size_t i = 0; i < e->n; i++)
		len += old->v[e->from + i].len;
	e->by = (struct runs){ keep(200 * sizeof(*e->by.v)), 0 };
	while (len > 0) {
		struct fmt_run run = random_run();

		if (run.len > len || e->by.n == 199)
			run.len = len;
		e->by.v[e->by.n++] = run;
		len -= run.len;
	}
	return e->from + e->n;
}

/* As a backup does with changed extents: carry up to each, add it, go on. */
static struct archive_ref write_edits(struct world_pages *w,
    const struct runs *old, const struct archive_ref *oldref,
    const struct edit *edit, size_t nedit, uint64_t *ret_added)
{
	struct archive_io io = world_io(w);
	struct err err = ERR_INIT;
	struct archive_map_writer *mw = archive_map_begin(&io, world_key, &err);
	struct archive_map *m = open_map(w, oldref);
	struct archive_ref ref;
	uint64_t off = 0, at;
	size_t run = 0;

	*ret_added = 0;
	for (size_t i = 0; i <= nedit; i++) {
		size_t to = i < nedit ? edit[i].from : old->n;
		uint64_t end = off;

		for (size_t k = run; k < to; k++)
			end += old->v[k].len;
		OK(archive_map_seek(m, off, &err));
		while (off < end) {
			struct fmt_run r;

			OK(archive_map_carry(mw, m, end, &at, &err));
			assert_true(at >= off && at <= end);
			assert_int_equal(at, archive_map_tell(mw));
			off = at;
			if (off == end)
				break;
			OK(archive_map_next(m, &at, &r, &err));
			assert_int_equal(at, off);
			OK(archive_map_add(mw, &r, &err));
			off += r.len;
			++*ret_added;
		}
		if (i == nedit)
			break;
		for (size_t k = 0; k < edit[i].by.n; k++) {
			OK(archive_map_add(mw, &edit[i].by.v[k], &err));
			off += edit[i].by.v[k].len;
		}
		run = edit[i].from + edit[i].n;
	}
	OK(archive_map_finish(mw, &ref, &err));
	archive_map_free(mw);
	archive_map_close(m);
	return ref;
}

static struct runs apply(const struct runs *old, const struct edit *edit,
    size_t nedit)
{
	struct runs r = { malloc((old->n + nedit * 200) * sizeof(*r.v) + 1), 0 };
	size_t run = 0;

	for (size_t i = 0; i <= nedit; i++) {
		size_t to = i < nedit ? edit[i].from : old->n;

		while (run < to)
			r.v[r.n++] = old->v[run++];
		if (i == nedit)
			break;
		for (size_t k = 0; k < edit[i].by.n; k++)
			r.v[r.n++] = edit[i].by.v[k];
		run += edit[i].n;
	}
	return r;
}

static void carrying_pages_makes_the_map_of_writing_all(void **arg)
{
	static const size_t sizes[] = { 1, 10, 700, 3000, 30000, 600000 };
	uint64_t added = 0, all = 0;

	(void)arg;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		struct world_pages w = { 0 };
		struct runs old = random_runs(sizes[s]);
		struct archive_ref ref = write_runs(&w, &old);

		for (int round = 0; round < (sizes[s] > 100000 ? 3 : 12); round++) {
			struct edit edit[12];
			size_t n = 0, at = 0, most = below(12);
			struct archive_ref a, b;
			struct runs now;
			uint64_t more;

			while (n < most) {
				at += below(1 + sizes[s] / 6);
				if (at >= old.n)
					break;
				at = random_edit(&old, &edit[n++], at);
			}
			a = write_edits(&w, &old, &ref, edit, n, &more);
			now = apply(&old, edit, n);
			b = write_runs(&w, &now);
			assert_int_equal(length(&now), length(&old));
			assert_ref_equal(&a, &b);
			if (sizes[s] > 100000) {
				added += more;
				all += now.n;
			}
			free(now.v);
			world_forget();
		}
		if (sizes[s] > 100000)
			assert_true(ref.level >= 2);
		free(old.v);
		world_release(&w);
	}
	/* Most of it was carried. */
	assert_true(added * 20 < all);
}

/*
 * A leaf that ends a page of level 1 begins elsewhere: the page goes on, while
 * the old map's next page of level 1 begins.  It may not be carried then.
 */
static void a_page_is_not_carried_into_an_open_one(void **arg)
{
	struct world_pages w = { 0 };
	struct runs old = random_runs(1200000);
	struct archive_ref ref = write_runs(&w, &old);
	struct fmt_page_reader rd;
	uint64_t ends[64];
	size_t n = 0;

	(void)arg;
	fmt_page_reader_init(&rd);
	for (size_t i = 0; i < w.cap && n < 4; i++) {
		struct world_page *p = &w.slot[i];
		struct fmt_child child;
		struct err err = ERR_INIT;

		if (p->p == NULL || p->p[1] != 1)
			continue;
		OK(fmt_page_open(&rd, p->p, p->len, FMT_PAGE_MAP, NULL, &err));
		while (fmt_child_next(&rd, &child, &err) == 0)
			ends[n] = child.off;
		n++;
	}
	fmt_page_reader_release(&rd);
	assert_int_equal(ref.level, 2);
	assert_true(n > 1);
	for (size_t i = 0; i < n; i++) {
		struct archive_ref a, b;
		struct edit edit;
		struct runs now;
		uint64_t off = 0, added;
		size_t at = 0;

		while (off + old.v[at].len < ends[i])
			off += old.v[at++].len;
		random_edit(&old, &edit, at);
		a = write_edits(&w, &old, &ref, &edit, 1, &added);
		now = apply(&old, &edit, 1);
		b = write_runs(&w, &now);
		assert_ref_equal(&a, &b);
		free(now.v);
		world_forget();
	}
	free(old.v);
	world_release(&w);
}

static void what_is_unchanged_is_carried_at_the_highest_level(void **arg)
{
	struct world_pages w = { 0 };
	struct runs r = random_runs(600000);
	struct archive_ref ref = write_runs(&w, &r), again;
	uint64_t added;

	(void)arg;
	world_old(&w);
	w.gets = w.puts = 0;
	again = write_edits(&w, &r, &ref, NULL, 0, &added);
	assert_ref_equal(&ref, &again);
	assert_int_equal(world_fresh(&w), 0);
	/* Only the way down the right edge is read, twice at most. */
	assert_in_range(w.gets, 1, 2 * (ref.level + 2));
	assert_in_range(w.puts, 1, ref.level + 1);
	free(r.v);
	world_release(&w);
}

static void a_map_may_grow_and_shrink(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct runs r = random_runs(20000);

	(void)arg;
	for (size_t n = 1; n <= r.n; n = n * 3 + 1) {
		struct runs part = { r.v, n };
		struct archive_ref old = write_runs(&w, &part), a, b;
		struct err err = ERR_INIT;
		struct archive_map_writer *mw = archive_map_begin(&io,
		    world_key, &err);
		struct archive_map *m = open_map(&w, &old);
		struct runs now = { r.v, n + 50 < r.n ? n + 50 : r.n };
		struct fmt_run run;
		uint64_t off, at;
		size_t k = 0;

		OK(archive_map_carry(mw, m, UINT64_MAX, &off, &err));
		while (archive_map_next(m, &at, &run, &err) == 0)
			OK(archive_map_add(mw, &run, &err));
		for (k = n; k < now.n; k++)
			OK(archive_map_add(mw, &r.v[k], &err));
		OK(archive_map_finish(mw, &a, &err));
		b = write_runs(&w, &now);
		assert_ref_equal(&a, &b);
		archive_map_free(mw);
		archive_map_close(m);
	}
	free(r.v);
	world_release(&w);
}

static void carrying_to_another_place_is_a_bug(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct runs r = random_runs(5000);
	struct archive_ref ref = write_runs(&w, &r);
	struct err err = ERR_INIT;
	struct archive_map_writer *mw = archive_map_begin(&io, world_key, &err);
	struct archive_map *m = open_map(&w, &ref);
	uint64_t at;

	(void)arg;
	OK(archive_map_seek(m, r.v[0].len, &err));
	assert_int_equal(archive_map_carry(mw, m, UINT64_MAX, &at, &err), -1);
	assert_int_equal(err.class, ERR_BUG);
	archive_map_free(mw);
	archive_map_close(m);
	free(r.v);
	world_release(&w);
}

static void impossible_runs_are_refused(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_io io = world_io(&w);
	struct err err = ERR_INIT;
	struct archive_map_writer *mw = archive_map_begin(&io, world_key, &err);
	struct fmt_run run = { .kind = FMT_RUN_HOLE, .len = 0 };

	(void)arg;
	assert_int_equal(archive_map_add(mw, &run, &err), -1);
	assert_int_equal(err.class, ERR_BUG);
	run.len = UINT64_MAX;
	OK(archive_map_add(mw, &run, &err));
	run.len = 1;
	assert_int_equal(archive_map_add(mw, &run, &err), -1);
	assert_int_equal(err.class, ERR_BUG);
	archive_map_free(mw);
	world_release(&w);
}

static void behind_a_lost_page_the_offset_tells_the_gap(void **arg)
{
	struct world_pages w = { 0 };
	struct runs r = random_runs(20000);
	struct archive_ref ref = write_runs(&w, &r);

	(void)arg;
	for (size_t i = 0; i < w.cap; i++) {
		struct world_page *p = &w.slot[i];
		struct archive_map *m;
		struct fmt_run run;
		struct err err = ERR_INIT;
		uint64_t off, at = 0;
		size_t k = 0, faults = 0;
		int res;

		if (p->p == NULL || p->p[1] != 0)
			continue;
		p->gone = true;
		m = open_map(&w, &ref);
		while ((res = archive_map_next(m, &off, &run, &err)) != 1) {
			if (res < 0) {
				faults++;
				if (archive_map_skip_damage(m, &err) == 1)
					break;
				continue;
			}
			while (at < off)
				at += r.v[k++].len;
			assert_int_equal(at, off);
			assert_int_equal(run.len, r.v[k].len);
		}
		assert_int_equal(faults, 1);
		archive_map_close(m);
		p->gone = false;
	}
	free(r.v);
	world_release(&w);
}

/* A leaf alone, with what fmt_map_encode makes of (off, len). */
static struct archive_ref bare_leaf(struct world_pages *w, uint64_t off,
    uint64_t len)
{
	struct archive_ref ref = { .entries = 1 };
	struct fmt_run run = { .kind = FMT_RUN_ZEROS, .len = len };
	struct fmt_page_writer pw;
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	const uint8_t *page;
	size_t n;

	fmt_page_writer_init(&pw);
	fmt_page_begin(&pw, FMT_PAGE_MAP, 0);
	OK(fmt_map_encode(&b, off, &run, &err));
	OK(fmt_page_add(&pw, NULL, 0, NULL, b.p, b.len, &err));
	OK(fmt_page_end(&pw, &page, &n, &err));
	OK(world_put(w, ARCHIVE_STATE, page, n, ref.id, &err));
	fmt_page_writer_release(&pw);
	buf_release(&b);
	return ref;
}

static struct archive_ref two_leaves(struct world_pages *w, uint64_t a_off,
    uint64_t a_len, uint64_t b_off)
{
	struct archive_ref kid[2] = {
		bare_leaf(w, a_off, a_len), bare_leaf(w, b_off, 10),
	};
	uint64_t off[2] = { a_off, b_off };
	struct archive_ref ref = { .entries = 2, .level = 1 };
	struct fmt_page_writer pw;
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	const uint8_t *page;
	size_t n;

	fmt_page_writer_init(&pw);
	fmt_page_begin(&pw, FMT_PAGE_MAP, 1);
	for (int i = 0; i < 2; i++) {
		struct fmt_child c = { .off = off[i], .entries = 1 };

		memcpy(c.id, kid[i].id, 32);
		buf_reset(&b);
		OK(fmt_child_encode(&b, FMT_PAGE_MAP, &c, &err));
		OK(fmt_page_add(&pw, NULL, 0, NULL, b.p, b.len, &err));
	}
	OK(fmt_page_end(&pw, &page, &n, &err));
	OK(world_put(w, ARCHIVE_STATE, page, n, ref.id, &err));
	fmt_page_writer_release(&pw);
	buf_release(&b);
	return ref;
}

static void gaps_overlaps_and_a_late_beginning_are_corrupt(void **arg)
{
	struct world_pages w = { 0 };
	struct archive_ref bad[4] = {
		bare_leaf(&w, 5, 10),
		two_leaves(&w, 0, 10, 11),
		two_leaves(&w, 0, 10, 9),
		two_leaves(&w, 1, 10, 11),
	}, good = two_leaves(&w, 0, 10, 10);
	struct archive_map *m = open_map(&w, &good);
	struct fmt_run run;
	struct err err = ERR_INIT;
	uint64_t off;

	(void)arg;
	OK(archive_map_next(m, &off, &run, &err));
	OK(archive_map_next(m, &off, &run, &err));
	assert_end(m);
	archive_map_close(m);
	for (int i = 0; i < 4; i++) {
		m = open_map(&w, &bad[i]);
		assert_int_equal(archive_map_next(m, &off, &run, &err), -1);
		assert_int_equal(err.class, ERR_CORRUPT);
		archive_map_close(m);
	}
	world_release(&w);
}

/* --- differences -------------------------------------------------------------*/

#define UNIT 4096u

struct seen {
	uint8_t *differs;  /* of each unit */
	uint64_t units, last;
};

static int mark(void *ctx, uint64_t off, uint64_t len, struct err *err)
{
	struct seen *s = ctx;

	(void)err;
	assert_true(len > 0 && off % UNIT == 0 && len % UNIT == 0);
	assert_true(off > s->last || off == 0);
	assert_true(off + len <= s->units * UNIT);
	memset(s->differs + off / UNIT, 1, len / UNIT);
	s->last = off + len;
	return 0;
}

/* Each unit told by a plain look at both lists. */
static void expect(const struct runs *a, const struct runs *b, uint8_t *differs,
    uint64_t units)
{
	const struct runs *r[2] = { a, b };
	size_t i[2] = { 0, 0 };
	uint64_t at[2] = { 0, 0 };

	for (uint64_t u = 0; u < units; u++) {
		const struct fmt_run *x[2] = { NULL, NULL };

		for (int k = 0; k < 2; k++) {
			while (i[k] < r[k]->n && at[k] + r[k]->v[i[k]].len <= u * UNIT)
				at[k] += r[k]->v[i[k]++].len;
			if (i[k] < r[k]->n)
				x[k] = &r[k]->v[i[k]];
		}
		if (x[0] == NULL || x[1] == NULL)
			differs[u] = 1;
		else if (x[0]->kind != FMT_RUN_CHUNK || x[1]->kind != FMT_RUN_CHUNK)
			differs[u] = x[0]->kind == FMT_RUN_CHUNK ||
			    x[1]->kind == FMT_RUN_CHUNK;
		else
			differs[u] = at[0] != at[1] || x[0]->len != x[1]->len ||
			    memcmp(x[0]->id, x[1]->id, 32) != 0;
	}
}

/* Runs of whole units, some of them other ones, and perhaps another end. */
static struct runs changed_runs(const struct runs *a, size_t every)
{
	struct runs b = { malloc((a->n + 300) * sizeof(*b.v)), 0 };

	assert_non_null(b.v);
	for (size_t i = 0; i < a->n; i++) {
		struct fmt_run run = a->v[i];

		if (every > 0 && below((unsigned)every) == 0) {
			run = random_run();
			run.len = below(2) ? a->v[i].len : UNIT * (1 + below(8));
		}
		b.v[b.n++] = run;
	}
	for (unsigned i = below(3) * 100; every > 0 && i > 0; i--) {
		b.v[b.n] = random_run();
		b.v[b.n++].len = UNIT;
	}
	return b;
}

static void differences_are_the_ranges_that_differ(void **arg)
{
	static const size_t every[] = { 0, 3000, 300, 20, 1 };

	(void)arg;
	for (size_t n = 0; n < 20000; n = n * 5 + 1) {
		for (size_t k = 0; k < 5; k++) {
			struct world_pages w = { 0 };
			struct archive_io io = world_io(&w);
			struct runs a = random_runs(n), b;
			struct err err = ERR_INIT;

			for (size_t i = 0; i < n; i++)
				a.v[i].len = UNIT * (1 + below(8));
			b = changed_runs(&a, every[k]);

			uint64_t len = length(&a) > length(&b) ? length(&a) : length(&b);
			struct seen s = { calloc(len / UNIT + 1, 1), len / UNIT, 0 };
			uint8_t *want = calloc(len / UNIT + 1, 1);
			struct archive_ref ra = write_runs(&w, &a), rb = write_runs(&w, &b);

			assert_true(s.differs != NULL && want != NULL);
			expect(&a, &b, want, s.units);
			w.gets = 0;
			OK(archive_map_diff(&io, &ra, &rb, mark, &s, &err));
			assert_memory_equal(s.differs, want, s.units);
			if (every[k] == 0)
				assert_int_equal(w.gets, 0);
			memset(s.differs, 0, s.units);
			s.last = 0;
			OK(archive_map_diff(&io, &rb, &ra, mark, &s, &err));
			assert_memory_equal(s.differs, want, s.units);
			free(s.differs);
			free(want);
			free(a.v);
			free(b.v);
			world_release(&w);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_gives_back_its_runs),
		cmocka_unit_test(seek_goes_before_the_run_that_holds_the_byte),
		cmocka_unit_test(carrying_pages_makes_the_map_of_writing_all),
		cmocka_unit_test(a_page_is_not_carried_into_an_open_one),
		cmocka_unit_test(
		    what_is_unchanged_is_carried_at_the_highest_level),
		cmocka_unit_test(a_map_may_grow_and_shrink),
		cmocka_unit_test(carrying_to_another_place_is_a_bug),
		cmocka_unit_test(impossible_runs_are_refused),
		cmocka_unit_test(behind_a_lost_page_the_offset_tells_the_gap),
		cmocka_unit_test(differences_are_the_ranges_that_differ),
		cmocka_unit_test(gaps_overlaps_and_a_late_beginning_are_corrupt),
	};

	return cmocka_run_group_tests_name("byte maps", tests, NULL, NULL);
}
