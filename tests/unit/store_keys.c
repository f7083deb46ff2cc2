/* What each credential may, and what opens it. */

#include <stdio.h>

#include "tests/unit/store_data.h"

static const struct store_secret other_pass = {
	.passphrase = "battery staple", .passphrase_len = 14,
};

/* Add a key file with these rights; its line goes to line. */
static void add_file(struct backend *mem, unsigned rights, char slot[17],
    char line[128])
{
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;
	struct store_secret none = { .slot = NULL };

	ok(store_key_add(st, rights, "", "node", &none, slot, line, &err));
	store_close(st);
}

static struct store *open_file(struct backend *mem, const char *line)
{
	struct store_secret by_file = { .key_file = line };

	return reopen_with(mem, &by_file, 0);
}

static void open_fails(struct backend *mem, const struct store_secret *secret,
    enum err_class class, const char *message)
{
	struct err err = ERR_INIT;
	struct store *st = store_open(keep_new(mem), secret, NULL, &err);

	assert_null(st);
	assert_int_equal(err.class, class);
	if (strstr(err.msg, message) == NULL)
		fail_msg("'%s' lacks '%s'", err.msg, message);
}

static void a_wrong_passphrase_is_told(void **state)
{
	struct backend *mem = new_repository();

	(void)state;
	open_fails(mem, &other_pass, ERR_AUTH, "(tried 1 slot)");
	backend_close(mem);
}

static void an_empty_store_is_no_repository(void **state)
{
	struct err err = ERR_INIT;
	struct backend *mem = backend_mem_new(&err);

	(void)state;
	open_fails(mem, &by_pass, ERR_NOTFOUND, "no repository at ");
	backend_close(mem);
}

static void a_second_init_is_refused(void **state)
{
	struct backend *mem = new_repository();
	struct store_init_options opt;
	struct err err = ERR_INIT;
	char slot[17];

	(void)state;
	init_options(&opt);
	assert_int_equal(store_init(mem, &opt, &by_pass, slot, &err), -1);
	assert_int_equal(err.class, ERR_EXISTS);
	backend_close(mem);
}

/* Fails the put of a key that begins so, once. */
static enum backend_fault fail_config(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	int *left = ctx;

	(void)count;
	if (op == BACKEND_PUT && strncmp(key, "config/", 7) == 0 && *left > 0) {
		(*left)--;
		return BACKEND_FAULT_BEFORE;
	}
	return BACKEND_FAULT_NONE;
}

static void an_interrupted_init_can_be_repeated(void **state)
{
	(void)state;
	/* Often enough for the slot left behind to be tried first. */
	for (int i = 0; i < 12; i++) {
		struct err err = ERR_INIT;
		struct backend *mem = backend_mem_new(&err);
		struct store_init_options opt;
		int left = 1;
		struct backend *be = backend_fault_new(keep_new(mem),
		    fail_config, &left, &err);
		char slot[17];

		init_options(&opt);
		assert_int_equal(store_init(be, &opt, &by_pass, slot, &err), -1);
		open_fails(mem, &by_pass, ERR_NOTFOUND, "no repository at ");
		ok(store_init(be, &opt, &by_pass, slot, &err));
		store_close(reopen(mem));
		backend_close(be);
		backend_close(mem);
	}
}

/* A store that lets two creators win, and one that tells two that they did. */
static int overwriting_put(struct backend *be, const char *key,
    const void *data, size_t len, struct err *err)
{
	return backend_put_over(((struct keep *)be)->inner, key, data, len, err);
}

static int flattering_put(struct backend *be, const char *key,
    const void *data, size_t len, struct err *err)
{
	int r = backend_put(((struct keep *)be)->inner, key, data, len, err);

	return r > 0 ? 0 : r;
}

static void a_store_without_atomic_creation_is_refused(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct err err = ERR_INIT;
		struct backend *mem = backend_mem_new(&err);
		struct backend *weak = keep_new(mem);
		struct backend_ops ops = *weak->ops;
		struct store_init_options opt;
		struct store *st;
		char slot[17];

		ops.put = i == 0 ? overwriting_put : flattering_put;
		weak->ops = &ops;
		init_options(&opt);
		assert_int_equal(store_init(weak, &opt, &by_pass, slot, &err),
		    -1);
		assert_int_equal(err.class, ERR_UNSUPPORTED);
		opt.allow_weak_store = true;
		ok(store_init(weak, &opt, &by_pass, slot, &err));
		st = reopen(mem);
		assert_true(store_info(st)->weak_store);
		store_close(st);
		backend_close(weak);
		backend_close(mem);
	}
}

static void two_slots_open_the_same(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);
	char slot[17], snap[17];
	uint8_t id[32];

	(void)state;
	put_n(s, w, STORE_DATA, 1, 1000, id);
	commit_n(s, NULL, snap);
	ok(store_key_add(st, STORE_READ, "", "second", &other_pass, slot, NULL,
	    &err));
	store_worker_free(w);
	store_close(st);
	st = reopen_with(mem, &other_pass, 0);
	assert_int_equal(store_info(st)->rights, STORE_READ);
	assert_string_equal(store_info(st)->label, "second");
	w = worker(st);
	expect_n(st, w, STORE_DATA, id, 1, 1000);
	store_worker_free(w);
	store_close(st);
	store_close(reopen(mem));
	backend_close(mem);
}

static void a_write_credential_backs_up_but_cannot_read(void **state)
{
	struct backend *mem = new_repository();
	char slot[17], line[128], snap[17], again[17];
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;
	struct buf got = BUF_INIT;
	struct store_session *s;
	struct store_worker *w;
	uint8_t data[32], page[32], stpage[32];
	struct store *st;
	bool carry;

	(void)state;
	add_file(mem, STORE_WRITE, slot, line);
	st = open_file(mem, line);
	assert_int_equal(store_info(st)->rights, STORE_WRITE);
	assert_non_null(store_cut_key(st));
	w = worker(st);
	s = begin(st);
	put_n(s, w, STORE_DATA, 1, 1000, data);
	put_n(s, w, STORE_CATALOG, 1, 1000, page);
	put_n(s, w, STORE_STATE, 1, 1000, stpage);
	commit_n(s, stpage, snap);
	store_worker_free(w);
	store_close(st);

	st = open_file(mem, line);
	w = worker(st);
	assert_int_equal(store_get(st, w, STORE_DATA, data, &got, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	assert_int_equal(store_get(st, w, STORE_CATALOG, page, &got, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	expect_n(st, w, STORE_STATE, stpage, 1, 1000);
	ok(store_snapshot_find(st, snap, &sn, &err));
	assert_true(sn->sealed);
	assert_string_equal(sn->volume, "");
	assert_int_equal(sn->paths.n, 0);
	assert_memory_equal(sn->state.id, stpage, 32);
	store_snapshot_free(sn);
	/* The next one is incremental. */
	s = begin(st);
	assert_non_null(store_session_parent(s, &carry));
	assert_true(carry);
	assert_false(put_n(s, w, STORE_DATA, 1, 1000, NULL));
	commit_n(s, stpage, again);
	store_worker_free(w);
	assert_int_equal(store_key_add(st, STORE_READ, "", "x", &other_pass, slot,
	    NULL, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	assert_non_null(strstr(err.msg, "admin"));
	store_close(st);

	st = reopen(mem);
	w = worker(st);
	expect_n(st, w, STORE_DATA, data, 1, 1000);
	expect_n(st, w, STORE_CATALOG, page, 1, 1000);
	store_worker_free(w);
	store_close(st);
	buf_release(&got);
	backend_close(mem);
}

static void a_read_credential_cannot_write(void **state)
{
	struct store_session_options opt = {
		.volume = "v", .content = STORE_TREE, .parent = "none",
	};
	struct backend *mem = new_repository();
	struct err err = ERR_INIT;
	char slot[17], line[128];
	struct store *st;

	(void)state;
	add_file(mem, STORE_READ, slot, line);
	st = open_file(mem, line);
	assert_null(store_cut_key(st));
	assert_null(store_session_begin(st, &opt, &err));
	assert_int_equal(err.class, ERR_AUTH);
	assert_non_null(strstr(err.msg, "write"));
	store_close(st);
	backend_close(mem);
}

static void a_key_file_of_another_slot_opens_nothing(void **state)
{
	struct backend *mem = new_repository();
	char slot[17], line[128], other[17], oline[128];
	struct store_secret by_file = { .key_file = line };

	(void)state;
	add_file(mem, STORE_READ, slot, line);
	add_file(mem, STORE_READ, other, oline);
	memcpy(line + 13, other, 16);
	open_fails(mem, &by_file, ERR_AUTH, other);
	by_file.key_file = "wherry-key-1 nonsense";
	open_fails(mem, &by_file, ERR_USAGE, "");
	backend_close(mem);
}

struct listed { unsigned n, own, files; };

static int count_key(void *ctx, const struct store_key *key, struct err *err)
{
	struct listed *l = ctx;

	(void)err;
	l->n++;
	l->own += key->own;
	l->files += key->key_files;
	assert_false(key->ended);
	return 0;
}

static void credentials_are_listed(void **state)
{
	struct backend *mem = new_repository();
	struct listed l = { 0 };
	struct err err = ERR_INIT;
	char slot[17], line[128];
	struct store *st;

	(void)state;
	add_file(mem, STORE_WRITE, slot, line);
	st = reopen(mem);
	ok(store_key_list(st, count_key, &l, &err));
	assert_int_equal(l.n, 2);
	assert_int_equal(l.own, 1);
	assert_int_equal(l.files, 1);
	store_close(st);
	backend_close(mem);
}

static void a_new_passphrase_replaces_the_old(void **state)
{
	struct backend *mem = new_repository();
	struct err err = ERR_INIT;
	struct store *st = reopen(mem);

	(void)state;
	ok(store_key_passwd(st, &other_pass, &err));
	store_close(st);
	open_fails(mem, &by_pass, ERR_AUTH, "wrong");
	st = reopen_with(mem, &other_pass, 0);
	assert_int_equal(store_info(st)->rights, 7);
	store_close(st);
	backend_close(mem);
}

static void domains_do_not_share_ids(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_secret none = { .slot = NULL };
	struct err err = ERR_INIT;
	char slot[17], line[128], snap[17];
	struct store_worker *w, *dw;
	struct store_session *s;
	struct buf got = BUF_INIT;
	uint8_t a[32], b[32];

	(void)state;
	ok(store_key_add(st, STORE_WRITE, "tenant", "n", &none, slot, line,
	    &err));
	w = worker(st);
	s = begin(st);
	put_n(s, w, STORE_DATA, 1, 500, a);
	commit_n(s, NULL, snap);
	store_worker_free(w);
	store_close(st);
	st = open_file(mem, line);
	w = worker(st);
	s = begin(st);
	assert_true(put_n(s, w, STORE_DATA, 1, 500, b));
	commit_n(s, NULL, snap);
	assert_memory_not_equal(a, b, 32);
	store_worker_free(w);
	assert_null(store_worker_new(st, ZIP_FAST, 4096, "", &err));
	assert_int_equal(err.class, ERR_AUTH);
	store_close(st);
	/* The administrator reads both, each with a worker of its domain. */
	st = reopen(mem);
	w = worker(st);
	dw = store_worker_new(st, ZIP_OFF, MAX_PLAIN, "tenant", &err);
	assert_non_null(dw);
	expect_n(st, dw, STORE_DATA, b, 1, 500);
	assert_int_equal(store_get(st, w, STORE_DATA, b, &got, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	store_worker_free(w);
	store_worker_free(dw);
	store_close(st);
	buf_release(&got);
	backend_close(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrong_passphrase_is_told),
		cmocka_unit_test(an_empty_store_is_no_repository),
		cmocka_unit_test(a_second_init_is_refused),
		cmocka_unit_test(an_interrupted_init_can_be_repeated),
		cmocka_unit_test(a_store_without_atomic_creation_is_refused),
		cmocka_unit_test(two_slots_open_the_same),
		cmocka_unit_test(a_write_credential_backs_up_but_cannot_read),
		cmocka_unit_test(a_read_credential_cannot_write),
		cmocka_unit_test(a_key_file_of_another_slot_opens_nothing),
		cmocka_unit_test(credentials_are_listed),
		cmocka_unit_test(a_new_passphrase_replaces_the_old),
		cmocka_unit_test(domains_do_not_share_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
