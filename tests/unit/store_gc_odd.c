/* Collections where there are copies, rubbish, weak stores and full ones. */

#include "repo/store/store_check.h"
#include "tests/unit/store_gc_world.h"

static struct backend *hook_mem;

/* --- R8 ---------------------------------------------------------------------------*/

/* Two sessions store the same at once. */
static void twice(struct backend *mem, unsigned from, unsigned to,
    unsigned more)
{
	struct writer x, y;

	writer_open(&x, mem, "x");
	writer_open(&y, mem, "y");
	writer_put(&x, from, to);
	writer_put(&y, from, to);
	writer_put(&y, to, to + more);
	assert_int_equal(x.stored, to - from);
	assert_int_equal(y.stored, to - from + more);
	writer_commit(&x, NULL);
	writer_commit(&y, NULL);
}

static void of_several_copies_one_stays(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_result res;
	struct counted before, after;

	(void)state;
	twice(mem, 0, 30, 0);
	before = count(mem, "packs/");
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	after = count(mem, "packs/");
	assert_true(after.bytes < before.bytes * 6 / 10);
	assert_int_equal(whole(mem), 2);
	assert_int_equal(collect(mem, &res), STORE_GC_NOTHING);
	backend_close(mem);
}

/* Damage the packs that hold the copies of the fuller session. */
static int spoil(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	struct counted *c = ctx;
	uint8_t *obj;
	size_t len;

	if (bs->size < 900000)
		return 0;
	assert_int_equal(backend_get_all(hook_mem, key, 8 << 20, &obj, &len,
	    err), 0);
	for (size_t i = 1000; i < len / 2; i += 20000)
		obj[i] ^= 1;
	assert_int_equal(backend_put_over(hook_mem, key, obj, len, err), 0);
	free(obj);
	c->n++;
	return 0;
}

static void a_copy_that_is_not_good_replaces_no_other(void **state)
{
	struct store_gc_result res;
	struct counted spoilt = { 0, 0 };
	struct err err = ERR_INIT;
	struct writer x, y;

	(void)state;
	hook_mem = new_repository();
	writer_open(&x, hook_mem, "x");
	writer_open(&y, hook_mem, "y");
	writer_put(&y, 0, 10);
	writer_put(&y, 100, 180); /* full packs: those would be kept */
	writer_put(&x, 0, 10);
	writer_commit(&y, NULL);
	writer_commit(&x, NULL);
	ok(backend_list(hook_mem, "packs/", spoil, &spoilt, &err));
	assert_true(spoilt.n > 0);
	collect(hook_mem, &res);
	/* x's own copies are the only good ones of its chunks. */
	{
		struct store *st = reopen(hook_mem);
		struct store_worker *w = worker(st);
		struct buf data = BUF_INIT;
		uint8_t id[32], p[LEN];

		for (unsigned n = 0; n < 10; n++) {
			fill(p, LEN, n * 2 + 1);
			store_blob_id(w, STORE_DATA, p, LEN, id);
			ok(store_get(st, w, STORE_DATA, id, &data, &err));
		}
		buf_release(&data);
		store_worker_free(w);
		store_close(st);
	}
	backend_close(hook_mem);
}

/* --- what others leave behind ---------------------------------------------------------*/

static void rubbish_takes_numbers_and_no_more(void **state)
{
	static const char junk[] = "WHRY\x0d\x01 and then nothing of sense";
	struct backend *mem = new_repository();
	struct store_gc_result res;
	struct err err = ERR_INIT;
	char a[48];

	(void)state;
	snapshot(mem, "a", 0, 40, a);
	forget(mem, a);
	ok(backend_put(mem, GC1 "mark", junk, sizeof(junk), &err));
	ok(backend_put(mem, GC2 "verdict", junk, sizeof(junk), &err));
	ok(backend_put(mem, "gc/ffffffffffffffff/mark", junk, sizeof(junk),
	    &err));
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	assert_int_equal(res.generation, 3);
	assert_int_equal(count(mem, "packs/").n, 0);
	backend_close(mem);
}

static void put_junk_verdict(void *ctx)
{
	struct err err = ERR_INIT;

	(void)ctx;
	ok(backend_put(hook_mem, GC1 "verdict", "junk", 4, &err));
}

static void a_false_verdict_needs_someone_to_vouch(void **state)
{
	struct hook h = { .op = BACKEND_PUT, .part = "verdict",
		.fn = put_junk_verdict };
	struct store_gc_options opt = gc_options();
	struct store_gc_result res;
	struct err err = ERR_INIT;
	char a[48];

	(void)state;
	hook_mem = new_repository();
	snapshot(hook_mem, "a", 0, 40, a);
	forget(hook_mem, a);
	assert_int_equal(collect_with(hook_mem, &h, &opt, &res, &err), -1);
	assert_int_equal(err.class, ERR_CONFLICT);
	assert_non_null(strstr(err.msg, "--sole-administrator"));
	assert_true(count(hook_mem, "packs/").n > 0);
	assert_int_equal(collect_with(hook_mem, NULL, &opt, &res, &err), -1);
	/* Backups go on meanwhile. */
	snapshot(hook_mem, "b", 0, 40, NULL);
	assert_int_equal(whole(hook_mem), 1);
	opt.sole_administrator = true;
	ok(collect_with(hook_mem, NULL, &opt, &res, &err));
	assert_int_equal(res.outcome, STORE_GC_DONE);
	assert_int_equal(res.generation, 1);
	assert_int_equal(whole(hook_mem), 1);
	backend_close(hook_mem);
}

/* --- weak and full stores ---------------------------------------------------------------*/

static void weak_caps(struct backend *be, struct backend_caps *ret)
{
	backend_caps(keep_in(be), ret);
	ret->atomic_create = false;
}

static struct store *reopen_weak(struct backend *mem)
{
	static struct backend_ops ops;
	struct store_options opt = { .memory = 0 };
	struct backend *be = keep_new(mem);
	struct err err = ERR_INIT;
	struct store *st;

	ops = keep_ops;
	ops.caps = weak_caps;
	be->ops = &ops;
	st = store_open(be, &by_pass, &opt, &err);
	assert_non_null(st);
	return st;
}

static void a_weak_store_needs_someone_to_vouch(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_options opt = gc_options();
	struct store_gc_result res;
	struct err err = ERR_INIT;
	struct store *st;
	struct writer x;
	char a[48];

	(void)state;
	snapshot(mem, "a", 0, 40, a);
	forget(mem, a);
	writer_open(&x, mem, "b");
	st = reopen_weak(mem);
	assert_int_equal(store_gc(st, &opt, &res, &err), -1);
	assert_int_equal(err.class, ERR_UNSUPPORTED);
	opt.sole_administrator = true;
	opt.silent_ns = 1;
	ok(store_gc(st, &opt, &res, &err));
	/* Nobody is revoked where that could overwrite a commit. */
	assert_int_equal(res.outcome, STORE_GC_WAITING);
	assert_int_equal(res.sessions_revoked, 0);
	writer_commit(&x, NULL);
	ok(store_gc(st, &opt, &res, &err));
	assert_int_equal(res.outcome, STORE_GC_DONE);
	store_close(st);
	assert_int_equal(whole(mem), 1);
	backend_close(mem);
}

static void a_full_store_gives_back_what_is_wholly_dead(void **state)
{
	struct backend *mem = new_repository();
	struct hook h = { .full = "packs/" };
	struct store_gc_options opt = gc_options();
	struct store_gc_result res;
	struct err err = ERR_INIT;
	struct counted before, after;
	char a[48], b[48];

	(void)state;
	interleaved(mem, a, 3);
	snapshot(mem, "c", 200, 240, b);
	forget(mem, a);
	forget(mem, b);
	before = count(mem, "packs/");
	ok(collect_with(mem, &h, &opt, &res, &err));
	after = count(mem, "packs/");
	assert_int_equal(res.outcome, STORE_GC_DONE);
	assert_int_equal(res.packs_repacked, 0);
	assert_true(before.bytes - after.bytes > 30 * LEN);
	assert_int_equal(whole(mem), 1);
	/* With room again the rest goes, too. */
	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	assert_true(res.packs_repacked > 0);
	assert_int_equal(whole(mem), 1);
	backend_close(mem);
}

static void only_administrators_collect(void **state)
{
	struct backend *mem = new_repository();
	struct store_gc_options opt = gc_options();
	struct store_gc_result res;
	struct store_secret by_file = { .passphrase = NULL };
	struct store_options so = { .memory = 0 };
	struct err err = ERR_INIT;
	struct store *st = reopen(mem);
	char slot[17], line[128];

	(void)state;
	ok(store_key_add(st, STORE_WRITE | STORE_READ, "", "node", &by_file,
	    slot, line, &err));
	store_close(st);
	by_file.key_file = line;
	st = store_open(keep_new(mem), &by_file, &so, &err);
	assert_non_null(st);
	assert_int_equal(store_gc(st, &opt, &res, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	store_close(st);
	backend_close(mem);
}

/* --- other domains ------------------------------------------------------------------*/

static void check_damage(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	(void)ctx, (void)id;
	fail_msg("%s: %s", key, what);
}

/* What a node of another domain stored is repacked by an administrator. */
static void blobs_of_another_domain_are_moved_whole(void **state)
{
	struct backend *mem = new_repository();
	struct store_secret by_file = { .passphrase = NULL };
	struct store_check_options copt = { .read_percent = 100 };
	struct store_check_result checked;
	struct store_gc_result res;
	struct store_options so = { .memory = 0 };
	struct err err = ERR_INIT;
	struct store *st = reopen(mem);
	struct store_worker *w;
	struct store_session *s;
	struct store_put_result put;
	struct buf ids = BUF_INIT, some = BUF_INIT, data = BUF_INIT;
	struct store_commit c = { .entries = 1, .user = "me",
		.program = "test" };
	uint8_t *bytes = malloc(LEN);
	char slot[17], line[128], snap[17];

	(void)state;
	ok(store_key_add(st, STORE_WRITE | STORE_READ, "tenant", "node",
	    &by_file, slot, line, &err));
	store_close(st);
	by_file.key_file = line;
	st = store_open(keep_new(mem), &by_file, &so, &err);
	assert_non_null(st);
	w = worker(st);
	s = begin_of(st, "t");
	for (unsigned i = 0; i < 40; i++) {
		fill(bytes, LEN, i * 2 + 1);
		ok(store_put(s, w, STORE_DATA, bytes, LEN, false, &put, &err));
		buf_add(&ids, put.id, 32);
		if (i % 4 == 0)
			buf_add(&some, put.id, 32);
	}
	free(bytes);
	/* Only some of them are named by the one snapshot. */
	ok(store_put(s, w, STORE_STATE, some.p, some.len, false, &put, &err));
	memcpy(c.state.id, put.id, 32);
	c.state.entries = 1;
	ok(store_session_commit(s, &c, snap, &err));
	store_worker_free(w);
	store_close(st);

	assert_int_equal(collect(mem, &res), STORE_GC_DONE);
	assert_true(res.packs_repacked > 0);
	st = store_open(keep_new(mem), &by_file, &so, &err);
	assert_non_null(st);
	w = worker(st);
	for (size_t i = 0; i < some.len; i += 32)
		ok(store_get(st, w, STORE_DATA, some.p + i, &data, &err));
	assert_int_equal(store_get(st, w, STORE_DATA, ids.p + 32, &data, &err),
	    1);
	ok(store_check(st, &copt, check_damage, NULL, &checked, &err));
	store_worker_free(w);
	store_close(st);
	st = reopen(mem);
	ok(store_check(st, &copt, check_damage, NULL, &checked, &err));
	assert_int_equal(checked.damaged, 0);
	store_close(st);
	buf_release(&ids);
	buf_release(&some);
	buf_release(&data);
	backend_close(mem);
}

/* Of two packs with the same, what names one is damaged: it may be the good one. */
static void what_a_damaged_index_named_stays(void **state)
{
	struct backend *mem = new_repository();
	struct store_keys keys = { 0 };
	struct store_gc_result res;
	struct err err = ERR_INIT;
	char key[128];
	uint64_t packs;
	uint8_t *obj;
	size_t len;

	(void)state;
	twice(mem, 0, 20, 0);
	packs = count(mem, "packs/").n;
	ok(store_keys_list(mem, "index/", &keys, &err));
	assert_int_equal(keys.n, 2);
	snprintf(key, sizeof(key), "%s", store_keys_at(&keys, 0));
	store_keys_release(&keys);
	ok(backend_get_all(mem, key, 8 << 20, &obj, &len, &err));
	obj[len - 1] ^= 1;
	ok(backend_put_over(mem, key, obj, len, &err));
	collect(mem, &res);
	assert_int_equal(count(mem, "packs/").n, packs);
	obj[len - 1] ^= 1;
	ok(backend_put_over(mem, key, obj, len, &err));
	free(obj);
	assert_int_equal(whole(mem), 2);
	backend_close(mem);
}

/* --- listings that take time ---------------------------------------------------------*/

static struct {
	struct backend *mem;
	const char *passed; /* NULL: not yet, or no more */
	backend_list_fn *fn;
	void *ctx;
	bool second;
} late;

/* The collector that comes meanwhile dies before it deletes anything. */
static void late_die(void *ctx)
{
	struct hook *h = ctx;

	h->fail_at = atomic_load(&h->calls) + 1;
}

static void late_judge(void)
{
	struct hook h = { .op = BACKEND_DEL, .part = "packs/", .fn = late_die,
		.ctx = &h };
	struct store_gc_options opt = gc_options();
	struct err err = ERR_INIT;

	assert_int_equal(collect_with(late.mem, &h, &opt, NULL, &err), -1);
	assert_true(h.done);
	assert_true(exists(late.mem, GC1 "verdict"));
}

static int late_key(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	const char *passed = ctx;

	if ((strcmp(key, passed) > 0) != late.second)
		return 0;
	return late.fn(late.ctx, key, bs, err);
}

/* List up to a key; then a collection comes; then list what is behind it. */
static int late_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	char passed[64];
	int r;

	if (late.passed == NULL || strcmp(prefix, "gc/") != 0)
		return backend_list(keep_in(be), prefix, fn, ctx, err);
	snprintf(passed, sizeof(passed), "%s", late.passed);
	late.passed = NULL;
	late.fn = fn;
	late.ctx = ctx;
	late.second = false;
	r = backend_list(keep_in(be), prefix, late_key, passed, err);
	late_judge();
	late.second = true;
	if (r == 0)
		r = backend_list(keep_in(be), prefix, late_key, passed, err);
	return r;
}

/*
 * R4: what was judged while gc/ was listed is carried out before anything is
 * marked, or copies that are about to go would count for those that stay.
 */
static void judged_while_it_is_listed(const char *passed)
{
	static struct backend_ops ops;
	struct backend *mem = new_repository();
	struct store_gc_options opt = gc_options();
	struct store_options so = { .memory = 0 };
	struct backend *be = keep_new(mem);
	struct store_gc_result res;
	struct err err = ERR_INIT;
	struct store *st;
	char a[48];

	snapshot(mem, "a", 0, 40, a);
	snapshot(mem, "b", 100, 140, NULL);
	forget(mem, a);
	ops = keep_ops;
	ops.list = late_list;
	be->ops = &ops;
	st = store_open(be, &by_pass, &so, &err);
	assert_non_null(st);
	late.mem = mem;
	late.passed = passed;
	ok(store_gc(st, &opt, &res, &err));
	assert_null(late.passed);
	store_close(st);
	assert_true(res.packs_deleted > 0);
	assert_false(exists(mem, GC2 "mark"));
	assert_int_equal(count(mem, GC1 "dead").n, 0);
	assert_int_equal(whole(mem), 1);
	backend_close(mem);
}

static void what_was_judged_while_listed_is_carried_out(void **state)
{
	(void)state;
	judged_while_it_is_listed(GC1 "dead-~");
	judged_while_it_is_listed(GC1 "mark");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_several_copies_one_stays),
		cmocka_unit_test(a_copy_that_is_not_good_replaces_no_other),
		cmocka_unit_test(rubbish_takes_numbers_and_no_more),
		cmocka_unit_test(a_false_verdict_needs_someone_to_vouch),
		cmocka_unit_test(a_weak_store_needs_someone_to_vouch),
		cmocka_unit_test(a_full_store_gives_back_what_is_wholly_dead),
		cmocka_unit_test(only_administrators_collect),
		cmocka_unit_test(blobs_of_another_domain_are_moved_whole),
		cmocka_unit_test(what_a_damaged_index_named_stays),
		cmocka_unit_test(what_was_judged_while_listed_is_carried_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
