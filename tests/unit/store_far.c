/*
 * A store where each request takes long: how often a process waits, one request
 * after another, and that the local cache is never believed and never needed.
 */

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repo/backend/backend_ahead.h"
#include "repo/store/store_internal.h"
#include "repo/store/store_write.h"
#include "tests/unit/store_data.h"

/*
 * Of a request: long beside what is done between two.  Where the machine is so
 * busy that threads begin late there are a few waits more, never one for each.
 */
#define MS 30
#define PAGES 40
#define PAGE_LEN 5000
#define CHUNK_LEN 100000
#define CACHE ((uint64_t)64 << 20)

/* Repositories of these tests: what is in them. */
struct world {
	struct backend *mem;
	uint8_t page[PAGES][32], chunk[32];
	struct backend *slow;   /* of the store that was opened last */
	char dir[64];           /* for a cache */
};

static struct store *far_open(struct world *w, unsigned ms, unsigned readers,
    const char *cache, uint64_t bytes)
{
	struct store_options opt = {
		.memory = 16 << 20, .readers = readers, .reads = true,
		.cache_dir = cache, .cache_bytes = bytes,
	};
	struct err err = ERR_INIT;
	struct store *st;

	w->slow = backend_slow_new(keep_new(w->mem), ms, &err);
	assert_non_null(w->slow);
	st = store_open(w->slow, &by_pass, &opt, &err);
	if (st == NULL)
		fail_msg("store_open: %s", err.msg);
	return st;
}

/* A snapshot with pages and a chunk; n tells its content from others'. */
static void add_snapshot(struct world *w, unsigned n)
{
	struct store *st = reopen(w->mem);
	struct store_worker *wk = worker(st);
	struct store_session *s = begin(st);
	char id[17];

	for (unsigned i = 0; i < PAGES; i++)
		put_n(s, wk, STORE_CATALOG, n * 1000 + i, PAGE_LEN, w->page[i]);
	put_n(s, wk, STORE_DATA, n * 1000 + PAGES, CHUNK_LEN, w->chunk);
	commit_n(s, NULL, id);
	store_worker_free(wk);
	store_close(st);
}

static void world_new(struct world *w, unsigned snapshots)
{
	*w = (struct world){ .mem = new_repository() };
	snprintf(w->dir, sizeof(w->dir), "/tmp/wherry-far-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	for (unsigned i = 0; i < snapshots; i++)
		add_snapshot(w, i);
}

static int remove_one(const char *path, const struct stat *sb, int flag,
    struct FTW *ftw)
{
	(void)sb, (void)flag, (void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void world_end(struct world *w)
{
	backend_close(w->mem);
	remove_tree(w->dir);
}

static uint64_t waits(struct world *w)
{
	struct backend_slow_counts c;

	backend_slow_counts(w->slow, &c);
	return c.waits;
}

static uint64_t requests(struct world *w)
{
	struct backend_slow_counts c;

	backend_slow_counts(w->slow, &c);
	return c.calls[BACKEND_GET];
}

static void find_latest(struct store *st)
{
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;

	ok(store_snapshot_find(st, "latest", &sn, &err));
	store_snapshot_free(sn);
}

/* All pages and the chunk, as of snapshot n. */
static void read_all(struct world *w, struct store *st, unsigned n)
{
	struct store_worker *wk = worker(st);

	store_get_ahead(st, w->page, PAGES);
	for (unsigned i = 0; i < PAGES; i++)
		expect_n(st, wk, STORE_CATALOG, w->page[i], n * 1000 + i,
		    PAGE_LEN);
	expect_n(st, wk, STORE_DATA, w->chunk, n * 1000 + PAGES, CHUNK_LEN);
	store_worker_free(wk);
}

/* --- waits ------------------------------------------------------------------------*/

static void a_reader_waits_a_few_times(void **state)
{
	struct world w;
	struct store *st;

	(void)state;
	world_new(&w, 1);
	st = far_open(&w, MS, 16, NULL, 0);
	/*
	 * Listings; what they show; notes and config, the snapshot and the
	 * index at once.
	 */
	find_latest(st);
	assert_in_range(waits(&w), 3, 7);
	read_all(&w, st, 0);
	/* Pages together, then the chunk. */
	assert_in_range(waits(&w), 5, 10);
	store_close(st);

	st = far_open(&w, 1, 0, NULL, 0);
	find_latest(st);
	read_all(&w, st, 0);
	assert_true(waits(&w) > 40);
	store_close(st);
	world_end(&w);
}

static int count_snapshot(void *ctx, struct store_snapshot **sn, struct err *err)
{
	(void)sn, (void)err;
	++*(unsigned *)ctx;
	return 0;
}

static void many_snapshots_and_segments_are_read_at_once(void **state)
{
	struct err err = ERR_INIT;
	unsigned n = 0;
	struct world w;
	struct store *st;
	uint64_t before;

	(void)state;
	world_new(&w, 24);
	st = far_open(&w, MS, 32, NULL, 0);
	before = waits(&w);
	ok(store_snapshots(st, false, count_snapshot, NULL, &n, &err));
	assert_int_equal(n, 24);
	assert_in_range(waits(&w) - before, 1, 7);
	before = waits(&w);
	read_all(&w, st, 23);
	assert_in_range(waits(&w) - before, 1, 7);
	store_close(st);
	world_end(&w);
}

static void a_session_waits_no_more_than_its_order_asks(void **state)
{
	struct world w;
	struct store *st;
	struct store_worker *wk;
	struct store_session *s;
	uint64_t before;
	char id[17];

	(void)state;
	world_new(&w, 3);
	st = far_open(&w, MS, 16, NULL, 0);
	before = waits(&w);
	s = begin(st);
	/*
	 * Config, highest generation and chain; declare; gc/; index, chain and
	 * what is damaged; what these show.
	 */
	assert_in_range(waits(&w) - before, 5, 8);
	before = waits(&w);
	wk = worker(st);
	store_present_ahead(s, w.page, PAGES);
	for (unsigned i = 0; i < PAGES; i++)
		assert_false(put_n(s, wk, STORE_CATALOG, 2000 + i, PAGE_LEN,
		    NULL));
	assert_in_range(waits(&w) - before, 1, 2);
	before = waits(&w);
	commit_n(s, NULL, id);
	/* The snapshot, and whether the credential still counts. */
	assert_in_range(waits(&w) - before, 2, 2);
	store_worker_free(wk);
	store_close(st);
	world_end(&w);
}

/* --- what was asked for before does not answer -------------------------------------*/

static int find_pack(void *ctx, const char *key, const struct backend_stat *st,
    struct err *err)
{
	(void)st, (void)err;
	snprintf(ctx, FMT_KEY_MAX, "%s", key);
	return 0;
}

/* R2: a pack counts only when it was seen after gc/ was read. */
static void a_pack_seen_before_the_session_is_asked_for_again(void **state)
{
	struct err err = ERR_INIT;
	char key[FMT_KEY_MAX] = "";
	struct store_worker *wk;
	struct store_session *s;
	struct store *st;
	struct world w;

	(void)state;
	world_new(&w, 0);
	st = reopen(w.mem);
	wk = worker(st);
	s = begin(st);
	put_n(s, wk, STORE_DATA, 1, CHUNK_LEN, w.chunk);
	commit_n(s, NULL, (char[17]){ 0 });
	store_worker_free(wk);
	store_close(st);

	st = far_open(&w, 0, STORE_READERS_INLINE, NULL, 0);
	wk = worker(st);
	ok(backend_list(w.mem, "packs/", find_pack, key, &err));
	backend_ahead_stat(store_backend(st), key);
	ok(backend_del(w.mem, key, &err));
	s = begin(st);
	assert_true(put_n(s, wk, STORE_DATA, 1, CHUNK_LEN, NULL));
	commit_n(s, NULL, (char[17]){ 0 });
	expect_n(st, wk, STORE_DATA, w.chunk, 1, CHUNK_LEN);
	store_worker_free(wk);
	store_close(st);
	world_end(&w);
}

/* --- the local cache -------------------------------------------------------------------*/

/* Call fn for each file below the directory. */
static unsigned each_file(const char *dir, void (*fn)(const char *path, void *ctx),
    void *ctx)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		char path[512];
		struct stat sb;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (lstat(path, &sb) != 0)
			continue;
		if (S_ISDIR(sb.st_mode)) {
			n += each_file(path, fn, ctx);
			continue;
		}
		n++;
		if (fn != NULL)
			fn(path, ctx);
	}
	if (d != NULL)
		closedir(d);
	return n;
}

static void look(struct world *w, uint64_t bytes)
{
	struct store *st = far_open(w, 0, STORE_READERS_INLINE, w->dir, bytes);

	find_latest(st);
	read_all(w, st, 0);
	store_close(st);
}

static void only_owner_reads(const char *path, void *ctx)
{
	struct stat sb;

	(void)ctx;
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
}

static void what_is_cached_is_not_asked_for_again(void **state)
{
	struct world w;
	struct store *st;
	uint64_t first, small;

	(void)state;
	world_new(&w, 1);
	st = far_open(&w, 0, STORE_READERS_INLINE, w.dir, CACHE);
	small = requests(&w);
	find_latest(st);
	read_all(&w, st, 0);
	first = requests(&w);
	store_close(st);
	assert_true(each_file(w.dir, only_owner_reads, NULL) >= PAGES);
	assert_true(first > small);

	st = far_open(&w, 0, STORE_READERS_INLINE, w.dir, CACHE);
	assert_true(requests(&w) < small); /* the segment */
	small = requests(&w);
	find_latest(st);
	read_all(&w, st, 0);
	assert_int_equal(requests(&w) - small, 1); /* the chunk */
	store_close(st);
	world_end(&w);
}

struct spoil { unsigned how; off_t at; };

#define SPOILS 7

/* Make a cached file wrong, in one of several ways. */
static void spoil(const char *path, void *ctx)
{
	const struct spoil *s = ctx;
	struct stat sb;
	uint8_t b;
	int fd;

	assert_int_equal(stat(path, &sb), 0);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	switch (s->how) {
	case 0: case 1: case 2: case 3: { /* a bit, anywhere */
		off_t at = s->how == 3 ? sb.st_size - 1 : sb.st_size / 3 * s->how;

		assert_int_equal(pread(fd, &b, 1, at), 1);
		b ^= 0x10;
		assert_int_equal(pwrite(fd, &b, 1, at), 1);
		break;
	}
	case 4:
		assert_int_equal(ftruncate(fd, sb.st_size / 2), 0);
		break;
	case 5:
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(ftruncate(fd, sb.st_size), 0);
		break;
	default:
		assert_int_equal(unlink(path), 0);
		assert_int_equal(symlink("/etc/passwd", path), 0);
		break;
	}
	close(fd);
}

static void a_wrong_cache_is_thrown_away(void **state)
{
	struct world w;

	(void)state;
	world_new(&w, 1);
	look(&w, CACHE);
	for (unsigned how = 0; how < SPOILS; how++) {
		struct spoil s = { .how = how };
		struct store *st;
		uint64_t small;

		assert_true(each_file(w.dir, spoil, &s) >= PAGES);
		look(&w, CACHE);
		/* And it is right again. */
		st = far_open(&w, 0, STORE_READERS_INLINE, w.dir, CACHE);
		small = requests(&w);
		find_latest(st);
		read_all(&w, st, 0);
		assert_int_equal(requests(&w) - small, 1);
		store_close(st);
	}
	world_end(&w);
}

/* What the largest file of a cache holds. */
struct content { uint8_t *p; size_t len; };

static void take_largest(const char *path, void *ctx)
{
	struct content *c = ctx;
	struct stat sb;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &sb), 0);
	if ((size_t)sb.st_size > c->len) {
		c->len = (size_t)sb.st_size;
		c->p = realloc(c->p, c->len);
		assert_non_null(c->p);
		assert_int_equal(read(fd, c->p, c->len), sb.st_size);
	}
	close(fd);
}

/* As much of it as the file is long, so that only what it holds is wrong. */
static void give_content(const char *path, void *ctx)
{
	const struct content *c = ctx;
	struct stat sb;
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &sb), 0);
	if ((size_t)sb.st_size <= c->len)
		assert_int_equal(write(fd, c->p, (size_t)sb.st_size),
		    sb.st_size);
	close(fd);
}

static void what_another_repository_has_is_not_taken(void **state)
{
	struct content c = { NULL, 0 };
	struct world w, other;

	(void)state;
	world_new(&w, 1);
	world_new(&other, 1);
	look(&w, CACHE);
	look(&other, CACHE);
	each_file(other.dir, take_largest, &c);
	each_file(w.dir, give_content, &c);
	look(&w, CACHE);
	/* Nor what it has itself, of another range. */
	each_file(w.dir, take_largest, &c);
	each_file(w.dir, give_content, &c);
	look(&w, CACHE);
	free(c.p);
	world_end(&w);
	world_end(&other);
}

static void a_cache_may_be_removed_at_any_time(void **state)
{
	struct world w;
	struct store *st;

	(void)state;
	world_new(&w, 1);
	st = far_open(&w, 0, STORE_READERS_INLINE, w.dir, CACHE);
	find_latest(st);
	remove_tree(w.dir);
	read_all(&w, st, 0);
	store_close(st);
	look(&w, CACHE); /* it is made anew */
	assert_true(each_file(w.dir, NULL, NULL) >= PAGES);
	world_end(&w);
}

static void add_size(const char *path, void *ctx)
{
	struct stat sb;

	assert_int_equal(stat(path, &sb), 0);
	*(uint64_t *)ctx += (uint64_t)sb.st_blocks * 512;
}

static void a_cache_is_bounded_and_may_be_impossible(void **state)
{
	const uint64_t little = 128 << 10;
	struct rlimit old, lim;
	uint64_t size = 0;
	char file[80];
	struct world w;
	FILE *f;

	(void)state;
	world_new(&w, 1);
	for (int i = 0; i < 3; i++)
		look(&w, little);
	each_file(w.dir, add_size, &size);
	assert_true(size > 0);
	assert_true(size <= little);

	/* A file system without room, as far as it can be had here. */
	remove_tree(w.dir);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	lim = old;
	lim.rlim_cur = 1000;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
	look(&w, CACHE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);

	/* A place where nothing can be made. */
	remove_tree(w.dir);
	snprintf(file, sizeof(file), "%s", w.dir);
	f = fopen(file, "w");
	assert_non_null(f);
	fclose(f);
	look(&w, CACHE);
	world_end(&w);
}

static void processes_share_a_cache(void **state)
{
	struct world w;
	pid_t pid[3];

	(void)state;
	world_new(&w, 1);
	for (unsigned i = 0; i < 3; i++) {
		pid[i] = fork();
		assert_true(pid[i] >= 0);
		if (pid[i] == 0) {
			for (int n = 0; n < 6; n++)
				look(&w, n % 2 == 0 ? CACHE : 64 << 10);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < 3; i++) {
		int status;

		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	look(&w, CACHE);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_waits_a_few_times),
		cmocka_unit_test(many_snapshots_and_segments_are_read_at_once),
		cmocka_unit_test(a_session_waits_no_more_than_its_order_asks),
		cmocka_unit_test(a_pack_seen_before_the_session_is_asked_for_again),
		cmocka_unit_test(what_is_cached_is_not_asked_for_again),
		cmocka_unit_test(a_wrong_cache_is_thrown_away),
		cmocka_unit_test(what_another_repository_has_is_not_taken),
		cmocka_unit_test(a_cache_may_be_removed_at_any_time),
		cmocka_unit_test(a_cache_is_bounded_and_may_be_impossible),
		cmocka_unit_test(processes_share_a_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
