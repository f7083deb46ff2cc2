/* The index in little memory, damaged, merged; new epochs; slots that ended. */

#include <stdio.h>

#include "repo/base/rand.h"
#include "repo/store/store_internal.h"
#include "tests/unit/store_data.h"

#define MANY 70000u /* entries, of many blocks */
#define STEP 97u    /* each of these is looked at */
#define LEN 24u

/* Ids of every STEP-th blob of a repository with MANY small ones. */
static struct backend *many(uint8_t (*ids)[32])
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);
	char snap[17];

	for (uint64_t n = 0; n < MANY; n++) {
		uint8_t id[32];

		put_n(s, w, STORE_STATE, 2 * n + 1, LEN, id);
		if (n % STEP == 0)
			memcpy(ids[n / STEP], id, 32);
	}
	commit_n(s, NULL, snap);
	store_worker_free(w);
	store_close(st);
	return mem;
}

static void every_blob_is_found_in_any_memory(void **state)
{
	uint8_t (*ids)[32] = calloc(MANY / STEP + 1, 32);
	struct backend *mem = many(ids);
	const size_t memory[] = { 1 << 12, 1 << 17, 1 << 24 };

	(void)state;
	for (int m = 0; m < 3; m++) {
		struct store *st = reopen_with(mem, &by_pass, memory[m]);
		struct store_worker *w = worker(st);
		struct store_session *s;
		struct store_seglist *l;

		for (uint64_t n = 0; n < MANY; n += STEP)
			expect_n(st, w, STORE_STATE, ids[n / STEP], 2 * n + 1,
			    LEN);
		l = store_index_ref(st);
		assert_true(l->n >= 1);
		for (size_t i = 0; i < l->n; i++) {
			if (m == 2)
				assert_non_null(l->v[i]->filters);
			else if (l->v[i]->head.entries > 60000)
				assert_null(l->v[i]->filters);
			if (m == 0 && l->v[i]->head.entries > 60000)
				assert_null(l->v[i]->buckets);
		}
		store_index_unref(st, l);
		s = begin(st);
		for (uint64_t n = 0; n < MANY; n += STEP)
			assert_false(put_n(s, w, STORE_STATE, 2 * n + 1, LEN,
			    NULL));
		assert_true(put_n(s, w, STORE_STATE, 2 * MANY + 1, LEN, NULL));
		store_session_abort(s);
		store_worker_free(w);
		store_close(st);
	}
	free(ids);
	backend_close(mem);
}

static void far_caps(struct backend *be, struct backend_caps *ret)
{
	backend_caps(((struct keep *)be)->inner, ret);
	ret->cheap_ranges = false;
}

static void a_writer_leaves_out_what_costs_too_much(void **state)
{
	uint8_t (*ids)[32] = calloc(MANY / STEP + 1, 32);
	struct backend *mem = many(ids);
	struct backend *far = keep_new(mem);
	struct backend_ops ops = *far->ops;
	struct store_options opt = { .memory = 1 << 17 };
	struct err err = ERR_INIT;
	struct store *st;
	struct store_worker *w;
	struct store_session *s;
	unsigned fresh = 0;
	char snap[17];

	(void)state;
	ops.caps = far_caps;
	far->ops = &ops;
	st = store_open(far, &by_pass, &opt, &err);
	assert_non_null(st);
	w = worker(st);
	s = begin(st);
	for (uint64_t n = 0; n < MANY; n += STEP)
		fresh += put_n(s, w, STORE_STATE, 2 * n + 1, LEN, NULL);
	assert_true(fresh > MANY / STEP / 2);
	commit_n(s, NULL, snap);
	/* It costs space, nothing else. */
	for (uint64_t n = 0; n < MANY; n += STEP)
		expect_n(st, w, STORE_STATE, ids[n / STEP], 2 * n + 1, LEN);
	store_worker_free(w);
	store_close(st);
	free(ids);
	backend_close(mem);
}

/* --- one small repository ----------------------------------------------------------*/

static struct backend *with_one(uint8_t id[32], char snap[17])
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);

	put_n(s, w, STORE_STATE, 1, 1000, id);
	commit_n(s, id, snap);
	store_worker_free(w);
	store_close(st);
	return mem;
}

struct one { char key[FMT_KEY_MAX]; };

static int take_key(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	struct one *o = ctx;

	(void)bs;
	(void)err;
	snprintf(o->key, sizeof(o->key), "%s", key);
	return 0;
}

static void only_key(struct backend *mem, const char *prefix, struct one *ret)
{
	struct err err = ERR_INIT;

	ret->key[0] = '\0';
	ok(backend_list(mem, prefix, take_key, ret, &err));
	assert_true(ret->key[0] != '\0');
}

static void a_damaged_segment_is_told_to_readers_only(void **state)
{
	uint8_t id[32], *data;
	char snap[17];
	struct backend *mem = with_one(id, snap);
	struct store *st;
	struct store_worker *w;
	struct store_session *s;
	struct buf got = BUF_INIT;
	struct err err = ERR_INIT;
	struct one o;
	size_t len;

	(void)state;
	only_key(mem, "index/", &o);
	ok(backend_get_all(mem, o.key, 1 << 20, &data, &len, &err));
	data[len - 100] ^= 1;
	ok(backend_put_over(mem, o.key, data, len, &err));
	free(data);
	st = reopen(mem);
	w = worker(st);
	assert_int_equal(store_get(st, w, STORE_STATE, id, &got, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	assert_non_null(strstr(err.msg, o.key));
	/* A writer stores again what it cannot find, which heals. */
	s = begin(st);
	assert_true(put_n(s, w, STORE_STATE, 1, 1000, NULL));
	commit_n(s, id, snap);
	expect_n(st, w, STORE_STATE, id, 1, 1000);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

/* Turn bits of all blobs of a pack (or back). */
static void spoil(struct backend *mem, const char *key)
{
	struct err err = ERR_INIT;
	uint8_t *data;
	size_t len;

	ok(backend_get_all(mem, key, 1 << 20, &data, &len, &err));
	for (size_t i = 110; i < 1000; i++)
		data[i] ^= 1;
	ok(backend_put_over(mem, key, data, len, &err));
	free(data);
}

static void another_copy_serves_when_one_is_damaged(void **state)
{
	uint8_t id[32], *data;
	char snap[17], key[2][FMT_KEY_MAX];
	struct backend *mem = with_one(id, snap);
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_session *s;
	struct store_loc loc;
	struct err err = ERR_INIT;
	size_t len;

	(void)state;
	ok(store_locate(st, id, &loc, &err));
	store_pack_name(st, loc.pack, key[0], sizeof(key[0]));
	ok(backend_get_all(mem, key[0], 1 << 20, &data, &len, &err));
	/* Gone while a writer looks, so that there are two copies. */
	assert_int_equal(backend_del(mem, key[0], &err), 0);
	s = begin(st);
	assert_true(put_n(s, w, STORE_STATE, 1, 1000, NULL));
	commit_n(s, id, snap);
	store_worker_free(w);
	store_close(st);
	st = reopen(mem);
	ok(store_locate(st, id, &loc, &err));
	store_pack_name(st, loc.pack, key[1], sizeof(key[1]));
	assert_string_not_equal(key[0], key[1]);
	ok(backend_put(mem, key[0], data, len, &err));
	free(data);
	store_close(st);
	for (int i = 0; i < 2; i++) {
		spoil(mem, key[i]);
		st = reopen(mem);
		w = worker(st);
		expect_n(st, w, STORE_STATE, id, 1, 1000);
		store_worker_free(w);
		store_close(st);
		spoil(mem, key[i]);
	}
	backend_close(mem);
}

static void admin_put(struct store *st, const char *key, struct buf *obj,
    uint32_t epoch)
{
	struct err err = ERR_INIT;

	ok(fmt_sign_append(obj, st->info.repository, key, NULL,
	    store_epoch_known(st, epoch)->sec->admin, &err));
	ok(backend_put(st->be, key, obj->p, obj->len, &err));
	buf_reset(obj);
}

static void merged_segments_count_when_a_manifest_lists_them(void **state)
{
	uint8_t id[32], *data, tail[FMT_SIGNED_TAIL];
	char snap[17], key[FMT_KEY_MAX];
	struct backend *mem = with_one(id, snap);
	struct store *st = reopen(mem), *reader;
	struct fmt_list_buf numbers = FMT_LIST_BUF_INIT;
	struct fmt_segment_head head;
	struct fmt_segment_layout lay;
	struct buf obj = BUF_INIT;
	struct fmt_manifest mf = { .epoch = 1 };
	struct store_worker *w;
	struct store_loc loc;
	struct err err = ERR_INIT;
	struct one o;
	size_t len;

	(void)state;
	/* The session's segment, signed anew as a merged one. */
	only_key(mem, "index/", &o);
	ok(backend_get_all(mem, o.key, 1 << 20, &data, &len, &err));
	memset(data + FMT_HEADER_LEN, 0, FMT_SLOT_LEN);
	ok(fmt_segment_head_decode(data, len, &head, &err));
	ok(fmt_segment_layout(&head, &lay, &err));
	fmt_key_merged(key, 5);
	ok(fmt_segment_sign(tail, st->info.repository, key, data,
	    data + lay.hashes_off, lay.blocks, NULL,
	    store_epoch_known(st, 1)->sec->admin, &err));
	memcpy(data + len - sizeof(tail), tail, sizeof(tail));
	ok(backend_put(mem, key, data, len, &err));
	free(data);
	assert_int_equal(backend_del(mem, o.key, &err), 0);

	reader = reopen(mem);
	assert_int_equal(store_locate(reader, id, &loc, &err), 1);
	fmt_list_add_number(&numbers, 5);
	mf.merged = fmt_list_of(&numbers);
	ok(fmt_manifest_encode(&obj, &mf, &err));
	fmt_key_manifest(key, 2);
	admin_put(st, key, &obj, 1);
	store_index_stale(reader);
	w = worker(reader);
	expect_n(reader, w, STORE_STATE, id, 1, 1000);
	store_worker_free(w);
	store_close(reader);
	fmt_list_release(&numbers);
	buf_release(&obj);
	store_close(st);
	backend_close(mem);
}

/* --- epochs -------------------------------------------------------------------------*/

/* Give the slot of st epoch 2 (when `grant`) and make it current. */
static void rotate(struct store *st, bool grant)
{
	struct fmt_list_buf epochs = FMT_LIST_BUF_INIT;
	struct store_epoch *one = store_epoch_known(st, 1);
	struct fmt_epoch_keys k;
	struct fmt_config c;
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	char key[FMT_KEY_MAX];
	uint8_t root[32], pub[32];
	struct fmt_grant_epoch e1 = {
		.epoch = 1, .content_pub = one->content_pub,
		.admin_pub = one->admin_pub, .index = one->sec->index,
		.content = one->sec->content, .root = one->sec->root,
	};
	struct fmt_grant_epoch e2 = {
		.epoch = 2, .content_pub = k.content_pub,
		.admin_pub = k.admin_pub, .index = k.index,
		.content = k.content, .root = root,
	};
	struct fmt_grant_family gf = { 1, st->own->family, st->own->id,
		st->own->order, st->own->cut };
	struct fmt_list_buf families = FMT_LIST_BUF_INIT, admins = families;
	struct fmt_grant g = { .n = 2, .rights = 7 };
	uint8_t tag[FMT_TAG_LEN];

	rand_bytes(root, 32);
	fmt_epoch_derive(&k, root);
	fmt_list_add_grant_epoch(&epochs, 7, &e1);
	fmt_list_add_grant_epoch(&epochs, 7, &e2);
	g.epochs = fmt_list_of(&epochs);
	fmt_list_add_grant_family(&families, 7, &gf);
	g.families = fmt_list_of(&families);
	fmt_list_add_admin(&admins, one->admin_pub);
	fmt_list_add_admin(&admins, k.admin_pub);
	fmt_epoch_tag(tag, k.admin_pub);
	crypto_box_public(pub, st->own->half.box_sec);
	if (grant) {
		ok(fmt_grant_encode(&obj, 1, st->info.slot, pub, &g, &err));
		fmt_key_grant(key, 2, tag, st->info.slot);
		admin_put(st, key, &obj, 1);
	}
	c = store_config_now(st)->c;
	c.epoch = 2;
	c.admins = fmt_list_of(&admins);
	ok(fmt_config_encode(&obj, &c, &err));
	fmt_key_config(key, 2);
	admin_put(st, key, &obj, 1);
	fmt_list_release(&epochs);
	fmt_list_release(&families);
	fmt_list_release(&admins);
	buf_release(&obj);
}

static void a_new_epoch_is_met_and_learnt(void **state)
{
	uint8_t id[32], two[32];
	char snap[17];
	struct backend *mem = with_one(id, snap);
	struct store *old = reopen(mem), *st;
	struct store_snapshot *sn = NULL;
	struct store_worker *w;
	struct store_session *s;
	struct err err = ERR_INIT;

	(void)state;
	rotate(old, true);
	st = reopen(mem);
	assert_int_equal(store_info(st)->epoch, 2);
	w = worker(st);
	s = begin(st);
	/* What the old epoch sealed stays known. */
	assert_false(put_n(s, w, STORE_STATE, 1, 1000, NULL));
	assert_true(put_n(s, w, STORE_DATA, 2, 1000, two));
	commit_n(s, id, snap);
	store_worker_free(w);
	store_close(st);
	/* Opened before the rotation, it takes the epoch when it meets it. */
	assert_int_equal(store_info(old)->epoch, 1);
	ok(store_snapshot_find(old, snap, &sn, &err));
	store_snapshot_free(sn);
	w = worker(old);
	expect_n(old, w, STORE_DATA, two, 2, 1000);
	store_worker_free(w);
	store_close(old);
	backend_close(mem);
}

static void a_slot_left_out_of_an_epoch_stops(void **state)
{
	uint8_t id[32];
	char snap[17];
	struct backend *mem = with_one(id, snap);
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;

	(void)state;
	rotate(st, false);
	store_close(st);
	assert_null(store_open(keep_new(mem), &by_pass, NULL, &err));
	assert_int_equal(err.class, ERR_AUTH);
	assert_non_null(strstr(err.msg, "left out"));
	backend_close(mem);
}

/* --- slots that ended ------------------------------------------------------------------*/

static int count(void *ctx, struct store_snapshot **sn, struct err *err)
{
	(void)sn;
	(void)err;
	(*(unsigned *)ctx)++;
	return 0;
}

/* Put an end of the slot and the config that names it. */
static void put_end(struct store *st, const uint8_t slot[8],
    const struct fmt_stood *stood, size_t n)
{
	struct fmt_list_buf sessions = FMT_LIST_BUF_INIT, ended = sessions;
	const struct store_config *cfg = store_config_now(st);
	struct fmt_end end = { .epoch = 1 };
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	char key[FMT_KEY_MAX];
	uint8_t hash[32];

	for (size_t i = 0; i < n; i++)
		fmt_list_add_stood(&sessions, &stood[i]);
	memcpy(end.slot, slot, 8);
	end.sessions = fmt_list_of(&sessions);
	ok(fmt_end_encode(&obj, &end, &err));
	crypto_sha256(hash, obj.p, obj.len);
	fmt_key_end(key, slot, hash);
	ok(backend_put(st->be, key, obj.p, obj.len, &err));
	fmt_list_add_ended(&ended, slot, hash);
	ok(store_config_put(st, cfg, store_epoch_known(st, 1), 1,
	    cfg->c.admins, fmt_list_of(&ended), &err));
	fmt_list_release(&sessions);
	fmt_list_release(&ended);
	buf_release(&obj);
}

/* listed 1: all of it; 2: the snapshot only; 3: another object's hash. */
static void what_an_ended_slot_left_counts_when_listed(void **state)
{
	(void)state;
	for (unsigned listed = 0; listed < 4; listed++) {
		struct backend *mem = new_repository();
		struct store *st = reopen(mem), *node;
		struct store_secret secret = { .slot = NULL };
		struct fmt_stood stood = { .segments = listed != 2 };
		struct err err = ERR_INIT;
		struct store_snapshot *sn = NULL;
		struct store_worker *w;
		struct store_session *s;
		char slot[17], line[128], snap[17], key[FMT_KEY_MAX];
		struct store_loc loc;
		unsigned seen = 0;
		uint8_t id[32], of[8];

		ok(store_key_add(st, STORE_WRITE, "", "", &secret, slot, line,
		    &err));
		secret.key_file = line;
		node = reopen_with(mem, &secret, 0);
		w = worker(node);
		s = begin(node);
		put_n(s, w, STORE_DATA, 1, 1000, id);
		commit_n(s, NULL, snap);
		ok(store_snapshot_find(node, snap, &sn, &err));
		memcpy(stood.session, sn->session, sizeof(stood.session));
		memcpy(of, node->info.slot, 8);
		fmt_key_snapshot(key, of, sn->session);
		store_snapshot_free(sn);
		ok(store_snapshot_load(node, key, &sn, stood.snapshot, &err));
		store_snapshot_free(sn);
		stood.snapshot[0] ^= listed == 3;
		store_worker_free(w);
		store_close(node);

		put_end(st, of, &stood, listed > 0);
		assert_null(store_open(keep_new(mem), &secret, NULL, &err));
		assert_int_equal(err.class, ERR_AUTH);
		assert_non_null(strstr(err.msg, "removed"));
		ok(store_snapshots(st, false, count, NULL, &seen, &err));
		assert_int_equal(seen, listed == 1 || listed == 2);
		assert_int_equal(store_locate(st, id, &loc, &err),
		    listed == 0 || listed == 2);
		store_close(st);
		backend_close(mem);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_blob_is_found_in_any_memory),
		cmocka_unit_test(a_writer_leaves_out_what_costs_too_much),
		cmocka_unit_test(a_damaged_segment_is_told_to_readers_only),
		cmocka_unit_test(another_copy_serves_when_one_is_damaged),
		cmocka_unit_test(
		    merged_segments_count_when_a_manifest_lists_them),
		cmocka_unit_test(a_new_epoch_is_met_and_learnt),
		cmocka_unit_test(a_slot_left_out_of_an_epoch_stops),
		cmocka_unit_test(what_an_ended_slot_left_counts_when_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
