/* Blobs from one repository into another's session, and whose word counts. */

#include "repo/store/store_copy.h"
#include "repo/store/store_internal.h"
#include "tests/unit/store_data.h"

#define LEN 5000

/* Two repositories, and what is opened of them. */
struct pair {
	struct backend *a, *b;
	struct store *from, *to;
	struct store_worker *w;
	uint8_t data[LEN], id[STORE_ID_LEN];
	struct store_loc loc;
	uint8_t sealed[2 * LEN];
};

static struct backend *family_of(struct store *st)
{
	struct store_init_options opt;
	struct err err = ERR_INIT;
	struct backend *be = backend_mem_new(&err);
	char slot[17];

	init_options(&opt);
	opt.family_of = st;
	ok(store_init(be, &opt, &by_pass, slot, &err));
	return be;
}

/* A snapshot with one chunk in a; b is of its family when asked for. */
static void pair_make(struct pair *p, bool family)
{
	struct store_commit c = { .user = "u", .program = "p", .start_ns = 5,
		.end_ns = 6 };
	struct store_put_result put;
	struct store_session *s;
	struct err err = ERR_INIT;
	char id[17];

	memset(p, 0, sizeof(*p));
	for (size_t i = 0; i < LEN; i++)
		p->data[i] = (uint8_t)(i * i >> 5);
	p->a = new_repository();
	p->from = reopen(p->a);
	p->w = worker(p->from);
	s = begin(p->from);
	ok(store_put(s, p->w, STORE_DATA, p->data, LEN, false, &put, &err));
	ok(store_session_commit(s, &c, id, &err));
	memcpy(p->id, put.id, sizeof(p->id));
	p->b = family ? family_of(p->from) : new_repository();
	p->to = reopen(p->b);
	ok(store_locate(p->from, p->id, &p->loc, &err));
	ok(store_pack_read(p->from, p->loc.pack, p->loc.offset, p->sealed,
	    p->loc.sealed_len, &err));
}

static void pair_free(struct pair *p)
{
	store_worker_free(p->w);
	store_close(p->from);
	store_close(p->to);
	backend_close(p->a);
	backend_close(p->b);
}

static struct store_snapshot *newest(struct store *st)
{
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;

	ok(store_snapshot_find(st, "latest", &sn, &err));
	return sn;
}

static void ids_are_equal_within_a_family_only(void **state)
{
	struct err err = ERR_INIT;
	struct store_rotate_options anew = { .new_ids = true };
	struct store_rotate_result rotated;
	struct store_snapshot *sn;
	struct store *later;
	struct pair p;

	(void)state;
	pair_make(&p, false);
	sn = newest(p.from);
	assert_int_equal(store_copy_same(p.from, sn, p.to, &err), 0);
	store_snapshot_free(sn);
	pair_free(&p);

	pair_make(&p, true);
	sn = newest(p.from);
	assert_memory_equal(store_info(p.from)->family, store_info(p.to)->family,
	    16);
	assert_memory_not_equal(store_info(p.from)->repository,
	    store_info(p.to)->repository, 16);
	assert_int_equal(store_copy_same(p.from, sn, p.to, &err), 1);

	/* With another secret in use there it is not, whatever it is called. */
	ok(store_key_rotate(p.to, &anew, &rotated, &err));
	later = reopen(p.b);
	assert_int_equal(store_copy_same(p.from, sn, later, &err), 0);
	store_close(later);
	store_snapshot_free(sn);
	pair_free(&p);
}

static void a_family_needs_the_admin_right(void **state)
{
	struct store_secret by_file = { .passphrase = NULL };
	struct store_init_options opt;
	struct err err = ERR_INIT;
	char slot[17], line[160];
	struct backend *be;
	struct store *st;
	struct pair p;

	(void)state;
	pair_make(&p, true);
	ok(store_key_add(p.from, STORE_READ | STORE_WRITE, "", "node", &by_file,
	    slot, line, &err));
	by_file.key_file = line;
	st = reopen_with(p.a, &by_file, 0);
	be = backend_mem_new(&err);
	init_options(&opt);
	opt.family_of = st;
	assert_int_equal(store_init(be, &opt, &by_pass, slot, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	store_close(st);
	backend_close(be);
	pair_free(&p);
}

/* The chunk is there, and what is opened there is the same. */
static void is_there(struct pair *p)
{
	struct store *st = reopen(p->b);
	struct store_worker *w = worker(st);
	struct buf got = BUF_INIT;
	struct err err = ERR_INIT;

	ok(store_get(st, w, STORE_DATA, p->id, &got, &err));
	assert_int_equal(got.len, LEN);
	assert_memory_equal(got.p, p->data, LEN);
	buf_release(&got);
	store_worker_free(w);
	store_close(st);
}

static void a_blob_is_taken_over_as_it_was_packed(void **state)
{
	struct store_put_result put;
	struct store_session *s;
	uint8_t plain[LEN + 1];
	struct err err = ERR_INIT;
	struct pair p;

	(void)state;
	pair_make(&p, true);
	s = begin(p.to);
	ok(store_copy_blob(s, p.from, p.w, STORE_DATA, p.id, &p.loc, p.sealed,
	    plain, &put, &err));
	assert_true(put.is_new);
	assert_int_equal(put.stored_len, p.loc.sealed_len);
	assert_memory_equal(put.id, p.id, STORE_ID_LEN);
	ok(store_copy_blob(s, p.from, p.w, STORE_DATA, p.id, &p.loc, p.sealed,
	    plain, &put, &err));
	assert_false(put.is_new);
	/* Who gives up leaves what was copied, and the next one finds it. */
	ok(store_copy_leave(s, &err));
	is_there(&p);
	s = begin(p.to);
	ok(store_present(s, p.id, &err));
	ok(store_copy_plain(s, p.w, STORE_DATA, p.id, p.data, LEN, &put, &err));
	assert_false(put.is_new);
	store_session_abort(s);
	pair_free(&p);
}

static void what_is_no_good_here_does_not_get_there(void **state)
{
	struct store_put_result put;
	struct store_session *s;
	uint8_t plain[LEN + 1], other[STORE_ID_LEN];
	struct err err = ERR_INIT;
	struct pair p;

	(void)state;
	pair_make(&p, true);
	s = begin(p.to);
	p.sealed[p.loc.sealed_len / 2] ^= 1;
	assert_int_equal(store_copy_blob(s, p.from, p.w, STORE_DATA, p.id, &p.loc,
	    p.sealed, plain, &put, &err), 1);
	p.sealed[p.loc.sealed_len / 2] ^= 1;
	memcpy(other, p.id, sizeof(other));
	other[31] ^= 1; /* not in the nonce, so only the id itself tells */
	assert_int_equal(store_copy_blob(s, p.from, p.w, STORE_DATA, other, &p.loc,
	    p.sealed, plain, &put, &err), 1);
	assert_int_equal(store_present(s, p.id, &err), 1);
	assert_int_equal(store_present(s, other, &err), 1);
	/* The session goes on. */
	ok(store_copy_blob(s, p.from, p.w, STORE_DATA, p.id, &p.loc, p.sealed,
	    plain, &put, &err));
	ok(store_copy_leave(s, &err));
	is_there(&p);
	assert_true(store_copy_is(p.w, STORE_DATA, p.data, LEN, p.id));
	assert_false(store_copy_is(p.w, STORE_DATA, p.data, LEN - 1, p.id));
	pair_free(&p);
}

/* Commit a snapshot that says it is a copy of that; by st's slot. */
static void claim(struct store *st, const char *origin, int64_t name_ns)
{
	struct store_session_options so = { .volume = "vol", .host = "h",
		.content = STORE_TREE, .parent = "none", .name_ns = name_ns };
	struct store_commit c = { .user = "u", .program = "p", .start_ns = 7,
		.end_ns = 8, .origin = origin };
	struct err err = ERR_INIT;
	struct store_session *s = store_session_begin(st, &so, &err);
	char id[17];

	assert_non_null(s);
	ok(store_session_commit(s, &c, id, &err));
}

static void an_origin_is_believed_of_few(void **state)
{
	struct store_secret by_file = { .passphrase = NULL };
	char origin[STORE_ORIGIN_MAX], again[STORE_ORIGIN_MAX], slot[17];
	char line[160];
	struct err err = ERR_INIT;
	struct store_snapshot *sn;
	struct store *thief;
	struct pair p;

	(void)state;
	pair_make(&p, true);
	sn = newest(p.from);
	store_copy_origin(p.from, sn, origin);
	assert_int_equal(strlen(origin), 33 + 17 + 46);
	store_snapshot_free(sn);

	/* By the administrator: a copy of the copy names the first. */
	claim(p.to, origin, INT64_C(1700000000000000000));
	sn = newest(p.to);
	assert_string_equal(sn->origin, origin);
	assert_non_null(strstr(sn->session, "-018bcfe56800-"));
	assert_true(store_copy_believed(p.to, sn));
	store_copy_origin(p.to, sn, again);
	assert_string_equal(again, origin);
	store_snapshot_free(sn);

	/* By one who may only write: its own word, for itself. */
	ok(store_key_add(p.to, STORE_WRITE, "", "node", &by_file, slot, line,
	    &err));
	by_file.key_file = line;
	thief = reopen_with(p.b, &by_file, 0);
	claim(thief, origin, 0);
	sn = newest(p.to);
	assert_string_equal(sn->origin, origin);
	assert_false(store_copy_believed(p.to, sn));
	assert_true(store_copy_believed(thief, sn));
	store_copy_origin(p.to, sn, again);
	assert_string_not_equal(again, origin);
	store_snapshot_free(sn);
	store_close(thief);
	pair_free(&p);
}

static void nonsense_is_no_origin(void **state)
{
	static const char *const no[] = { "x", "0123/45/6",
		"0123456789abcdef0123456789abcdef/0123456789abcdef/none" };
	struct store_session_options so = { .volume = "vol", .host = "h",
		.content = STORE_TREE, .parent = "none" };
	struct err err = ERR_INIT;
	struct pair p;
	char id[17];

	(void)state;
	pair_make(&p, true);
	for (size_t i = 0; i < 3; i++) {
		struct store_commit c = { .user = "", .program = "",
			.origin = no[i] };

		assert_int_equal(store_session_commit(store_session_begin(p.to,
		    &so, &err), &c, id, &err), -1);
		assert_int_equal(err.class, ERR_BUG);
	}
	pair_free(&p);
}

static void a_copy_may_be_of_another_domain(void **state)
{
	struct store_secret by_file = { .passphrase = NULL };
	struct store_commit c = { .user = "u", .program = "p" };
	struct err err = ERR_INIT;
	struct store_snapshot *sn;
	struct store_session *s;
	char slot[17], line[160], id[17];
	struct store *team, *node;
	struct pair p;

	(void)state;
	pair_make(&p, true);
	ok(store_key_add(p.from, STORE_READ | STORE_WRITE, "team", "team",
	    &by_file, slot, line, &err));
	by_file.key_file = line;
	team = reopen_with(p.a, &by_file, 0);
	s = begin(team);
	ok(store_session_commit(s, &c, id, &err));
	ok(store_snapshot_find(p.from, id, &sn, &err));
	assert_string_equal(sn->domain, "team");
	/* Nobody there has that domain: nobody could check what is in it. */
	assert_int_equal(store_copy_same(p.from, sn, p.to, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	by_file.key_file = NULL;
	ok(store_key_add(p.to, STORE_READ, "team", "team", &by_file, slot, line,
	    &err));
	assert_int_equal(store_copy_same(p.from, sn, p.to, &err), 1);
	/* Who cannot make its keys cannot copy into it. */
	ok(store_key_add(p.to, STORE_WRITE, "", "node", &by_file, slot, line,
	    &err));
	by_file.key_file = line;
	node = reopen_with(p.b, &by_file, 0);
	assert_int_equal(store_copy_same(p.from, sn, node, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	store_close(node);

	struct store_session_options so = { .volume = "vol", .host = "h",
		.content = STORE_TREE, .parent = "auto", .domain = "team" };
	struct store_snapshot *copy;

	s = store_session_begin(p.to, &so, &err);
	assert_non_null(s);
	ok(store_session_commit(s, &c, id, &err));
	ok(store_snapshot_find(p.to, id, &copy, &err));
	assert_string_equal(copy->domain, "team");
	assert_memory_equal(copy->volume_hash, sn->volume_hash, 32);
	store_snapshot_free(copy);
	store_snapshot_free(sn);
	store_close(team);
	pair_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_equal_within_a_family_only),
		cmocka_unit_test(a_family_needs_the_admin_right),
		cmocka_unit_test(a_blob_is_taken_over_as_it_was_packed),
		cmocka_unit_test(what_is_no_good_here_does_not_get_there),
		cmocka_unit_test(an_origin_is_believed_of_few),
		cmocka_unit_test(nonsense_is_no_origin),
		cmocka_unit_test(a_copy_may_be_of_another_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
