#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "repo/archive/archive.h"
#include "repo/base/bytes.h"

/*
 * Two million entries, their pages in a file: memory must be what two hundred
 * thousand take.  What a kilobyte of allocations more would do is seen in the
 * peak of the process; a sanitizer's own memory hides it.
 */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_MEMORY 0
#else
#define OWN_MEMORY 1
#endif

#define DIR_FILES 2000

static const uint8_t key[32] = "another key of order";

struct file_pages {
	FILE *f;
	uint64_t end, pages;
};

/* A page's id says where it lies. */
static int put(void *ctx, enum archive_kind kind, const void *page, size_t len,
    uint8_t ret_id[32], struct err *err)
{
	struct file_pages *p = ctx;

	memset(ret_id, (int)kind, 32);
	le64_put(ret_id, p->end);
	le64_put(ret_id + 8, len);
	if (pwrite(fileno(p->f), page, len, (off_t)p->end) != (ssize_t)len)
		return err_set(err, ERR_IO, "no room for pages");
	p->end += len;
	p->pages++;
	return 0;
}

static int get(void *ctx, enum archive_kind kind, const uint8_t id[32],
    struct buf *ret_page, struct err *err)
{
	struct file_pages *p = ctx;
	size_t len = (size_t)le64_get(id + 8);

	assert_int_equal(id[31], kind);
	buf_reset(ret_page);
	buf_zeros(ret_page, len);
	if (buf_check(ret_page, "a page", err) < 0)
		return -1;
	assert_int_equal(pread(fileno(p->f), ret_page->p, len,
	    (off_t)le64_get(id)), len);
	return 0;
}

struct name {
	char text[16];
	struct archive_comp c;
};

static int by_order(const void *a, const void *b)
{
	return archive_name_cmp(&((const struct name *)a)->c,
	    &((const struct name *)b)->c);
}

static void make_names(struct name *v, size_t n, size_t first)
{
	for (size_t i = 0; i < n; i++) {
		int len = snprintf(v[i].text, sizeof(v[i].text), "%zu.dat",
		    first + i);

		v[i].c = (struct archive_comp){ NULL, (size_t)len,
		    fmt_name_hash(key, v[i].text, (size_t)len) };
	}
	for (size_t i = 0; i < n; i++)
		v[i].c.name = v[i].text;
	qsort(v, n, sizeof(*v), by_order);
	for (size_t i = 0; i < n; i++)
		v[i].c.name = v[i].text;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void rate(const char *what, size_t n, double since)
{
	print_message("%s: %.2f million a second\n", what,
	    (double)n / (now() - since) / 1e6);
}

static long peak_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static void must(int r, const struct err *err)
{
	if (r != 0)
		fail_msg("%s", err->msg);
}

static void write_entries(const struct archive_io *io, size_t n,
    struct archive_ref *cat, struct archive_ref *state)
{
	size_t ndirs = n / DIR_FILES;
	struct name *dirs = calloc(ndirs, sizeof(*dirs));
	struct name *files = calloc(DIR_FILES, sizeof(*files));
	struct err err = ERR_INIT;
	struct archive_tree_writer *w = archive_tree_begin(io, key, &err);
	uint8_t id[32] = { 9 };
	struct archive_tree_entry e = {
		.entry = {
			.type = FMT_FILE, .bits = FMT_HAS_CONTENT, .mode = 0644,
			.mtime_s = 1700000000, .ctime_s = 1700000001,
			.content = { .kind = FMT_CONTENT_SLICE, .size = 100,
			    .id = id, .chunk_len = 1000000 },
		},
	};
	double start, spent = 0;

	assert_non_null(dirs);
	assert_non_null(files);
	make_names(dirs, ndirs, 0);
	for (size_t d = 0; d < ndirs; d++) {
		e.dir = (struct archive_path){ &dirs[d].c, 1 };
		make_names(files, DIR_FILES, d * DIR_FILES);
		start = now();
		for (size_t i = 0; i < DIR_FILES; i++) {
			e.name = files[i].c;
			e.entry.content.off = (uint32_t)i * 100;
			must(archive_tree_add(w, &e, &err), &err);
		}
		spent += now() - start;
	}
	must(archive_tree_finish(w, cat, state, &err), &err);
	rate("catalog and state written", n, now() - spent);
	archive_tree_free(w);
	free(dirs);
	free(files);
}

static void entries(size_t n)
{
	struct file_pages p = { tmpfile(), 0, 0 };
	struct archive_io io = { .get = get, .put = put, .ctx = &p };
	struct err err = ERR_INIT;
	struct archive_ref cat, state;
	struct archive_catalog *c;
	struct archive_state *s;
	struct archive_state_item item;
	struct archive_path dir;
	struct fmt_entry e;
	size_t got = 0;
	double start;
	int r;

	assert_non_null(p.f);
	write_entries(&io, n, &cat, &state);
	start = now();
	c = archive_catalog_open(&io, key, &cat, &err);
	while ((r = archive_catalog_next(c, &dir, &e, &err)) == 0)
		got++;
	must(r - 1, &err);
	assert_int_equal(got, n);
	archive_catalog_close(c);
	rate("catalog read", n, start);
	start = now();
	s = archive_state_open(&io, &state, &err);
	for (got = 0; (r = archive_state_next(s, &item, &err)) == 0;)
		got++;
	must(r - 1, &err);
	assert_int_equal(got, n);
	archive_state_close(s);
	rate("state read", n, start);
	fclose(p.f);
}

static void runs(size_t n)
{
	struct file_pages p = { tmpfile(), 0, 0 };
	struct archive_io io = { .get = get, .put = put, .ctx = &p };
	struct err err = ERR_INIT;
	struct archive_map_writer *w = archive_map_begin(&io, key, &err);
	struct fmt_run run = { .kind = FMT_RUN_CHUNK, .len = 65536 };
	struct archive_map *m;
	struct archive_ref ref;
	double start = now();
	uint64_t off;
	size_t got = 0;
	int r;

	assert_non_null(p.f);
	for (size_t i = 0; i < n; i++) {
		le64_put(run.id, i);
		must(archive_map_add(w, &run, &err), &err);
	}
	must(archive_map_finish(w, &ref, &err), &err);
	archive_map_free(w);
	rate("runs written", n, start);
	start = now();
	m = archive_map_open(&io, &ref, &err);
	while ((r = archive_map_next(m, &off, &run, &err)) == 0)
		got++;
	must(r - 1, &err);
	assert_int_equal(got, n);
	archive_map_close(m);
	rate("runs read", n, start);
	fclose(p.f);
}

static void flat(void (*fn)(size_t n))
{
	long before, after;

	fn(200000);
	before = peak_kib();
	fn(2000000);
	after = peak_kib();
	print_message("peak %ld KiB, then %ld KiB\n", before, after);
	if (OWN_MEMORY)
		assert_in_range(after - before, 0, 2048);
}

static void memory_does_not_grow_with_entries(void **arg)
{
	(void)arg;
	flat(entries);
}

static void memory_does_not_grow_with_runs(void **arg)
{
	(void)arg;
	flat(runs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_does_not_grow_with_entries),
		cmocka_unit_test(memory_does_not_grow_with_runs),
	};

	return cmocka_run_group_tests_name("archive scale", tests, NULL, NULL);
}
