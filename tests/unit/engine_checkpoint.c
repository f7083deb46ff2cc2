/*
 * Sessions that end with a checkpoint while a collection is open, or that are
 * revoked: what the snapshot needs is there in the end.
 */

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "agent/engine/backup.h"
#include "repo/format/fmt_gc.h"
#include "repo/store/store_internal.h"
#include "repo/store/store_sessions.h"
#include "tests/unit/engine_attack.h"

#define PACKS_MAX 4096

struct world {
	struct crafter c;
	struct store *admin;
	struct engine *e;
	struct engine_budget budget;
	struct engine_filter *block;
	/* Packs that the mark names. */
	uint8_t dead[PACKS_MAX][FMT_PACK_NAME_LEN];
	char keys[PACKS_MAX][FMT_KEY_MAX];
	size_t ndead;
	unsigned checkpoints;
	int mark_in;         /* the same, in the midst of a stream; 0: none */
	unsigned mark_at;    /* after which checkpoint a collection is marked; 0: none */
};

static struct world w;

static void write_random(const char *name, size_t len, unsigned seed)
{
	uint64_t x = 0x9e3779b97f4a7c15 * (seed + 1);
	char path[PATH_LEN];
	FILE *f;

	path_of(path, name);
	f = fopen(path, "w");
	assert_non_null(f);
	for (size_t i = 0; i < len; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		fwrite(&x, 1, len - i < 8 ? len - i : 8, f);
	}
	fclose(f);
}

static void open_world(void)
{
	struct engine_options eo = { .memory = 128 << 20, .cpus = 2 };
	struct timespec racy = { 2, 100000000 };
	struct err err = ERR_INIT;
	char name[64];

	crafter_begin(&w.c);
	store_session_abort(w.c.s);
	store_worker_free(w.c.w);
	store_close(w.c.thief);
	w.c.thief = store_open(keep_new(w.c.mem), &(struct store_secret){ .key_file =
	    w.c.line }, &(struct store_options){ .pack_size = 8 << 20 }, &err);
	assert_non_null(w.c.thief);
	w.admin = reopen(w.c.mem);
	w.ndead = w.checkpoints = 0;
	w.mark_at = 0;
	w.mark_in = 0;
	make_dir("src");
	for (unsigned i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "src/f%u", i);
		write_random(name, i % 3 == 0 ? 200 : i % 3 == 1 ? 5000 : 200000, i);
	}
	/* Its content is a map of its own, and the others' are lists. */
	write_random("src/large", 24 << 20, 1000);
	write_random("src/big", 12 << 20, 1001);
	/* What is young is read again each time. */
	nanosleep(&racy, NULL);
	w.block = engine_filter_new(&err);
	assert_non_null(w.block);
	ok(engine_filter_add(w.block, "large", &err));
	ok(engine_budget(&eo, 4 << 20, &w.budget, &err));
	w.e = engine_new(&eo, &w.budget, &err);
	assert_non_null(w.e);
}

static void close_world(void)
{
	engine_filter_free(w.block);
	store_close(w.admin);
	store_close(w.c.thief);
	engine_free(w.e);
}

/* All packs that there are now are named dead, and no snapshot is listed. */
static int name_pack(void *ctx, const char *key, const struct backend_stat *st, struct err *err)
{
	struct fmt_key at;

	(void)ctx, (void)st, (void)err;
	if (fmt_key_parse(key, &at) == 0 && at.place == FMT_AT_PACK) {
		assert_true(w.ndead < PACKS_MAX);
		memcpy(w.dead[w.ndead], at.name, FMT_PACK_NAME_LEN);
		snprintf(w.keys[w.ndead++], FMT_KEY_MAX, "%s", key);
	}
	return 0;
}

static void put_mark(void)
{
	struct fmt_list_buf packs = FMT_LIST_BUF_INIT, none = FMT_LIST_BUF_INIT;
	struct fmt_mark m = { .epoch = 1, .time_ns = 1 };
	struct store *st = w.admin;
	struct fmt_dead d;
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	char key[FMT_KEY_MAX];

	ok(backend_list(st->be, "packs/", name_pack, NULL, &err));
	for (size_t i = 0; i < w.ndead; i++)
		fmt_list_add_pack(&packs, w.dead[i]);
	d = (struct fmt_dead){ fmt_list_of(&packs), fmt_list_of(&none) };
	ok(fmt_dead_encode(&obj, 1, 1, store_epoch_known(st, 1)->sec->k.dead, &d, &err));
	crypto_sha256(m.dead_hash, obj.p, obj.len);
	fmt_key_dead(key, 1, m.dead_hash);
	ok(backend_put(st->be, key, obj.p, obj.len, &err));
	buf_reset(&obj);
	m.snapshots = fmt_list_of(&none);
	fmt_key_mark(key, 1);
	ok(fmt_mark_encode(&obj, &m, &err));
	ok(fmt_sign_append(&obj, st->info.repository, key, NULL,
	    store_epoch_known(st, 1)->sec->admin, &err));
	ok(backend_put(st->be, key, obj.p, obj.len, &err));
	buf_release(&obj);
	fmt_list_release(&packs);
	fmt_list_release(&none);
}

/* Between a checkpoint and the session that goes on from it. */
static void on_checkpoint(void *ctx, const char *id)
{
	(void)ctx;
	assert_int_equal(strlen(id), 16);
	if (++w.checkpoints == w.mark_at)
		put_mark();
}

static void no_report(void *ctx, const char *path, const struct err *why)
{
	(void)ctx;
	print_message("%s: %s\n", path, why->msg);
}

static int backup(int64_t session_ns, struct engine_backup_options *o,
    struct engine_backup_result *res, struct err *err)
{
	char path[PATH_LEN];
	const char *paths[] = { path };

	path_of(path, "src");
	if (o->device == NULL && o->stream_name == NULL) {
		o->paths = paths;
		o->npaths = 1;
	}
	o->volume = "vol";
	o->host = "h";
	o->user = "u";
	o->program = "p";
	o->level = ZIP_OFF;
	o->block_files = w.block;
	o->session_ns = session_ns;
	o->checkpoint = on_checkpoint;
	o->report = no_report;
	return engine_backup(w.e, w.c.thief, o, res, err);
}

/* The packs that the mark named go; everything comes back all the same. */
static void expect_whole(const struct engine_backup_result *res, uint64_t files)
{
	struct engine_restore_options o = { .verify = true };
	struct engine_restore_result restored;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < w.ndead; i++)
		ok(backend_del(w.admin->be, w.keys[i], &err));
	memcpy(w.c.id, res->id, sizeof(w.c.id));
	restore_one(&w.c, &o, &restored);
	assert_int_equal(restored.errors, 0);
	assert_int_equal(restored.files, files);
}

static void what_a_collection_may_remove_is_stored_again(void **state)
{
	struct engine_backup_options o = { .stream_fd = -1 };
	struct engine_backup_result res;
	struct err err = ERR_INIT;

	(void)state;
	open_world();
	w.mark_at = 1;
	ok(backup(1, &o, &res, &err));
	assert_true(w.checkpoints >= 2);
	assert_true(w.ndead > 1);
	assert_int_equal(res.errors, 0);
	/* What was there before the mark was read twice. */
	assert_true(res.bytes_read > res.bytes);
	expect_whole(&res, 152);
	close_world();
	backend_close(w.c.mem);
}

static void expect_equal(const char *a, const char *b)
{
	FILE *f = fopen(a, "r"), *g = fopen(b, "r");
	int c;

	assert_non_null(f);
	assert_non_null(g);
	do {
		c = getc(f);
		assert_int_equal(c, getc(g));
	} while (c != EOF);
	fclose(f);
	fclose(g);
}

static void of_a_device_too(void **state)
{
	char path[PATH_LEN];
	struct engine_backup_options o = { .stream_fd = -1, .device = path };
	struct engine_backup_result res;
	struct engine_restore_options r = { .path = NULL };
	struct err err = ERR_INIT;
	char other[PATH_LEN];

	(void)state;
	open_world();
	path_of(path, "src/large");
	w.mark_at = 3;
	ok(backup(1, &o, &res, &err));
	assert_true(w.checkpoints >= 4);
	assert_true(w.ndead > 1);
	for (size_t i = 0; i < w.ndead; i++)
		ok(backend_del(w.admin->be, w.keys[i], &err));
	memcpy(w.c.id, res.id, sizeof(w.c.id));

	struct engine_restore_result restored;
	struct victim v;
	int told = 0;

	victim_open(&v, &w.c);
	path_of(other, "target/image");
	r.snapshot = v.sn;
	r.target = other;
	r.report = on_report;
	r.report_ctx = &told;
	ok(engine_restore(v.e, v.st, &r, &restored, &err));
	assert_int_equal(restored.errors, 0);
	victim_close(&v);
	expect_equal(path, other);
	close_world();
	backend_close(w.c.mem);
}

/* --- a stream ---------------------------------------------------------------------------*/

static void *feed(void *arg)
{
	char path[PATH_LEN], *bytes = malloc(1 << 20);
	int to = *(int *)arg;
	FILE *f;
	size_t n;

	assert_non_null(bytes);
	path_of(path, "src/large");
	f = fopen(path, "r");
	assert_non_null(f);
	/* The reader may have gone. */
	for (int i = 0; (n = fread(bytes, 1, 1 << 20, f)) > 0 && write(to, bytes, n) > 0; i++)
		if (w.mark_in != 0 && i == w.mark_in)
			put_mark();
	fclose(f);
	close(to);
	free(bytes);
	return NULL;
}

/* A collection that was marked while its session was open: that goes on. */
static void a_stream_keeps_its_session_while_a_collection_is_open(void **state)
{
	struct engine_backup_options o = { .stream_name = "dump" };
	struct engine_backup_result res;
	struct err err = ERR_INIT;
	pthread_t feeder;
	int ends[2];

	(void)state;
	for (int marked = 0; marked < 3; marked++) {
		open_world();
		assert_int_equal(pipe(ends), 0);
		o.stream_fd = ends[0];
		w.mark_at = marked == 1 ? 3 : 0;
		w.mark_in = marked == 2 ? 12 : 0;
		assert_int_equal(pthread_create(&feeder, NULL, feed, &ends[1]), 0);
		if (backup(1, &o, &res, &err) != 0) {
			/* The mark came just between: said, and nothing is committed. */
			assert_int_equal(marked, 1);
			assert_int_equal(err.class, ERR_CONFLICT);
			assert_int_equal(w.checkpoints, 3);
			assert_non_null(strstr(err.msg, "collection"));
			err_clear(&err);
			close(ends[0]);
		} else {
			assert_int_not_equal(marked, 1);
			assert_true(w.checkpoints >= 1);
			close(ends[0]);
			/* The collection waits for it, and reprieves what it needs. */
			w.ndead = 0;
			expect_whole(&res, 1);
		}
		pthread_join(feeder, NULL);
		close_world();
		backend_close(w.c.mem);
	}
}

/* --- revoked ------------------------------------------------------------------------------*/

static atomic_uint revoked;

static int revoke_one(void *ctx, const struct store_session_info *s, struct err *err)
{
	(void)ctx;
	if (s->state != STORE_SESSION_OPEN)
		return 0;
	return store_session_revoke(w.admin, s->slot, s->session, 0, err) == 0 ? 1 : 0;
}

static void *revoke_open(void *arg)
{
	unsigned most = *(unsigned *)arg;
	struct timespec ms = { 0, 1000000 };
	struct err err = ERR_INIT;

	while (atomic_load(&revoked) < most) {
		if (store_sessions(w.admin, revoke_one, NULL, &err) == 1)
			atomic_fetch_add(&revoked, 1);
		nanosleep(&ms, NULL);
	}
	return NULL;
}

static void a_revoked_session_is_followed_by_one(void **state)
{
	struct engine_backup_options o = { .stream_fd = -1, .parent = "none" };
	struct engine_backup_result res;
	struct err err = ERR_INIT;
	pthread_t t;

	(void)state;
	open_world();
	for (unsigned most = 1; most <= 2; most++) {
		atomic_store(&revoked, 0);
		assert_int_equal(pthread_create(&t, NULL, revoke_open, &most), 0);
		int r = backup(0, &o, &res, &err);
		/* One is enough of a sign that something is wrong; two are given up. */
		if (r != 0)
			assert_int_equal(err.class, ERR_CONFLICT);
		assert_int_equal(r, most == 1 ? 0 : -1);
		pthread_join(t, NULL);
		if (most == 1)
			expect_whole(&res, 152);
	}
	close_world();
	backend_close(w.c.mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_collection_may_remove_is_stored_again),
		cmocka_unit_test(of_a_device_too),
		cmocka_unit_test(a_stream_keeps_its_session_while_a_collection_is_open),
		cmocka_unit_test(a_revoked_session_is_followed_by_one),
	};

	signal(SIGPIPE, SIG_IGN);
	choose_world("engine_checkpoint");
	return cmocka_run_group_tests(tests, NULL, remove_world);
}
