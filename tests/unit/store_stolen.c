/*
 * A stolen node, second part (the first is store_attack.c): with its write
 * credential and the object store's own permissions - to put under free keys,
 * and then also to overwrite and to delete - it tries to have others' data
 * collected, to turn later backups to its own keys, to undo what the
 * administrator did, and to spoil what nobody has stored yet.
 */

#include "repo/store/store_forget.h"
#include "repo/store/store_gc.h"
#include "repo/store/store_repair.h"
#include "tests/unit/store_rotate.h"

/* --- collecting -----------------------------------------------------------------*/

/* What the honest snapshot needs, and a thief's whatever it names. */
static int walk(void *ctx, struct store *st, const struct store_snapshot *sn,
    struct store_live *l, struct err *err)
{
	const struct scene *sc = ctx;
	char slot[17];

	(void)st;
	hex_encode(slot, sn->slot, STORE_SLOT_LEN);
	if (strcmp(slot, sc->honest_slot) != 0)
		return 0;
	return store_live_page(l, STORE_STATE, sc->state, err) < 0 ||
	    store_live_chunk(l, sc->data, err) < 0 ? -1 : 0;
}

static int collect(struct scene *sc, struct store_gc_result *res,
    struct err *err)
{
	struct store_gc_options opt = { .memory = 16 << 20, .walker = { walk, sc } };
	struct store *st = reopen(sc->mem);
	int r = store_gc(st, &opt, res, err);

	store_close(st);
	return r;
}

/* The honest pack, in a list that is sealed as an administrator's. */
static void forge_collection(struct scene *sc, struct store *thief, uint64_t n,
    const uint8_t *signer)
{
	struct store_epoch *ep = store_epoch_known(thief, 1);
	struct fmt_list_buf packs = FMT_LIST_BUF_INIT;
	struct fmt_dead dead = { .partial = { 0 } };
	struct fmt_mark mark = { .epoch = 1, .time_ns = 1 };
	struct fmt_verdict v = { .epoch = 1, .what = FMT_DELETE };
	struct fmt_index_entry e;
	struct fmt_pack_record rec;
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	uint8_t sealed[FMT_SEALED_KEY_BOX];
	char key[FMT_KEY_MAX];

	where(thief, sc->data, &e, &rec, sealed);
	fmt_list_add_pack(&packs, rec.name);
	dead.packs = fmt_list_of(&packs);
	ok(fmt_dead_encode(&obj, n, 1, ep->sec->k.dead, &dead, &err));
	crypto_sha256(mark.dead_hash, obj.p, obj.len);
	fmt_key_dead(key, n, mark.dead_hash);
	ok(backend_put(sc->mem, key, obj.p, obj.len, &err));
	buf_release(&obj);
	ok(fmt_mark_encode(&obj, &mark, &err));
	fmt_key_mark(key, n);
	ok(fmt_sign_append(&obj, thief->info.repository, key, signer,
	    thief->own->half.sign_seed, &err));
	crypto_sha256(v.mark_hash, obj.p, obj.len);
	ok(backend_put(sc->mem, key, obj.p, obj.len, &err));
	buf_release(&obj);
	memcpy(v.dead_hash, mark.dead_hash, 32);
	ok(fmt_verdict_encode(&obj, &v, &err));
	fmt_key_verdict(key, n);
	sign_and_put(thief, &obj, key, signer);
	fmt_list_release(&packs);
}

static void a_thief_decides_no_deletion(void **state)
{
	(void)state;
	for (int as_admin = 0; as_admin < 2; as_admin++) {
		struct scene sc;
		struct store *thief, *st;
		struct store_session *s;
		struct store_worker *w;
		struct store_gc_result res;
		struct err err = ERR_INIT;

		scene_make(&sc);
		thief = open_file(sc.mem, sc.thief_line);
		for (uint64_t n = 1; n < 4; n++)
			forge_collection(&sc, thief, n, as_admin ? NULL :
			    thief->info.slot);
		forge_collection(&sc, thief, UINT64_MAX, NULL);
		store_close(thief);
		/* A writer takes nothing for dead by it... */
		st = open_file(sc.mem, sc.honest_line);
		w = worker(st);
		s = begin(st);
		assert_false(put_n(s, w, STORE_DATA, 1, BLOB_LEN, NULL));
		store_session_abort(s);
		store_worker_free(w);
		store_close(st);
		/* ... and a collector deletes nothing that is needed. */
		for (int i = 0; i < 3; i++) {
			if (collect(&sc, &res, &err) != 0)
				fail_msg("collect: %s", err.msg);
			expect_all(&sc);
		}
		scene_free(&sc);
	}
}

/* What holds collections up: an open session, which the thief can keep alive. */
static void who_is_removed_holds_no_collection_up(void **state)
{
	struct scene sc;
	struct store *thief, *st;
	struct store_session *s;
	struct store_worker *w;
	struct store_snapshot *sn = NULL;
	struct store_gc_result res;
	struct err err = ERR_INIT;
	char id[17];

	(void)state;
	scene_make(&sc);
	thief = open_file(sc.mem, sc.thief_line);
	w = worker(thief);
	/* Something to collect: a snapshot that is forgotten. */
	s = begin(thief);
	put_n(s, w, STORE_DATA, 70, BLOB_LEN, NULL);
	commit_n(s, NULL, id);
	ok(store_snapshot_find(thief, id, &sn, &err));
	st = reopen(sc.mem);
	ok(store_forget(st, sn->slot, sn->session, "test", &err));
	store_close(st);
	store_snapshot_free(sn);
	s = begin(thief);
	ok(collect(&sc, &res, &err));
	assert_int_equal(res.outcome, STORE_GC_WAITING);
	remove_now(sc.mem, sc.thief_slot);
	ok(collect(&sc, &res, &err));
	assert_int_not_equal(res.outcome, STORE_GC_WAITING);
	expect_all(&sc);
	{
		struct store_commit c = { .user = "", .program = "" };

		assert_int_equal(store_session_commit(s, &c, id, &err), -1);
		assert_true(err.class == ERR_AUTH || err.class == ERR_CONFLICT);
	}
	store_worker_free(w);
	store_close(thief);
	expect_all(&sc);
	scene_free(&sc);
}

/* The list of what stands is deleted: then nothing is, by a collector. */
static void without_an_end_nothing_is_deleted(void **state)
{
	struct scene sc;
	struct store_keys keys = { 0 };
	struct store_gc_result res;
	struct err err = ERR_INIT;
	struct store *st;

	(void)state;
	scene_make(&sc);
	remove_now(sc.mem, sc.honest_slot);
	ok(store_keys_list(sc.mem, "keys/", &keys, &err));
	for (size_t i = 0; i < keys.n; i++)
		if (strstr(store_keys_at(&keys, i), "/end-") != NULL)
			assert_int_equal(backend_del(sc.mem,
			    store_keys_at(&keys, i), &err), 0);
	store_keys_release(&keys);
	assert_int_equal(collect(&sc, &res, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	st = reopen(sc.mem);
	ok(remove_with(st, sc.honest_slot, &err));
	store_close(st);
	ok(collect(&sc, &res, &err));
	expect_all(&sc);
	scene_free(&sc);
}

/* --- poisoned ids -----------------------------------------------------------------------*/

/* What remains is found by reading back, and healed by the next backup. */
static void a_poisoned_id_is_healed_by_repair_and_backup(void **state)
{
	struct scene sc;
	struct store *thief, *st;
	struct store_session *s;
	struct store_worker *w;
	struct store_repair_options opt = { .read_data = true };
	struct store_repair_result res;
	struct store_repair *rp;
	struct fmt_index_entry e;
	struct fmt_pack_record rec;
	struct err err = ERR_INIT;
	uint8_t sealed[FMT_SEALED_KEY_BOX], plain[BLOB_LEN], unseen[32];
	char name[FMT_SESSION_MAX], key[FMT_KEY_MAX], id[17];

	(void)state;
	scene_make(&sc);
	thief = open_file(sc.mem, sc.thief_line);
	w = worker(thief);
	fill(plain, sizeof(plain), 4);
	store_blob_id(w, STORE_DATA, plain, sizeof(plain), unseen);
	where(thief, sc.data, &e, &rec, sealed);
	memcpy(e.id, unseen, 32);
	make_name(thief, LATE_MS, 0xee, name);
	fmt_key_segment(key, thief->info.slot, name, 1);
	forge_segment(thief, key, &rec, 1, &e, 1);
	store_worker_free(w);
	store_close(thief);
	/* The honest backup believes it... */
	st = open_file(sc.mem, sc.honest_line);
	w = worker(st);
	s = begin(st);
	assert_false(put_n(s, w, STORE_DATA, 4, BLOB_LEN, NULL));
	commit_n(s, NULL, id);
	store_worker_free(w);
	store_close(st);
	assert_true(damages(sc.mem) > 0);
	/* ... a repair that reads says so, and the next one stores it. */
	st = reopen(sc.mem);
	rp = store_repair_begin(st, &opt, &err);
	assert_non_null(rp);
	ok(store_repair_lost(rp, STORE_DATA, unseen, &err));
	ok(store_repair_end(rp, &res, &err));
	store_close(st);
	st = open_file(sc.mem, sc.honest_line);
	w = worker(st);
	s = begin(st);
	assert_true(put_n(s, w, STORE_DATA, 4, BLOB_LEN, NULL));
	commit_n(s, NULL, id);
	store_worker_free(w);
	store_close(st);
	st = reopen(sc.mem);
	w = worker(st);
	expect_n(st, w, STORE_DATA, unseen, 4, BLOB_LEN);
	store_worker_free(w);
	store_close(st);
	expect_all(&sc);
	scene_free(&sc);
}

/* Once it is removed, what the thief says of ids is heard no more. */
static void removal_ends_the_poisoning(void **state)
{
	struct scene sc;
	struct store *thief, *st;
	struct store_session *s;
	struct store_worker *w;
	struct fmt_index_entry e;
	struct fmt_pack_record rec;
	uint8_t sealed[FMT_SEALED_KEY_BOX], plain[BLOB_LEN];
	char name[FMT_SESSION_MAX], key[FMT_KEY_MAX];

	(void)state;
	scene_make(&sc);
	thief = open_file(sc.mem, sc.thief_line);
	w = worker(thief);
	fill(plain, sizeof(plain), 4);
	where(thief, sc.data, &e, &rec, sealed);
	store_blob_id(w, STORE_DATA, plain, sizeof(plain), e.id);
	remove_now(sc.mem, sc.thief_slot);
	make_name(thief, LATE_MS, 0xee, name);
	fmt_key_segment(key, thief->info.slot, name, 1);
	forge_segment(thief, key, &rec, 1, &e, 1);
	store_worker_free(w);
	store_close(thief);
	st = open_file(sc.mem, sc.honest_line);
	w = worker(st);
	s = begin(st);
	assert_true(put_n(s, w, STORE_DATA, 4, BLOB_LEN, NULL));
	store_session_abort(s);
	store_worker_free(w);
	store_close(st);
	scene_free(&sc);
}

/* --- guesses --------------------------------------------------------------------------*/

/* What is said to remain: whole chunks can be guessed, and lengths seen. */
static void a_thief_confirms_guesses_of_whole_chunks(void **state)
{
	struct scene sc;
	struct store *thief;
	struct store_worker *w;
	struct store_loc loc;
	struct err err = ERR_INIT;
	uint8_t plain[BLOB_LEN], guess[32];

	(void)state;
	scene_make(&sc);
	thief = open_file(sc.mem, sc.thief_line);
	w = worker(thief);
	fill(plain, sizeof(plain), 1);
	store_blob_id(w, STORE_DATA, plain, sizeof(plain), guess);
	assert_memory_equal(guess, sc.data, 32);
	ok(store_locate(thief, guess, &loc, &err));
	assert_int_equal(loc.plain_len, BLOB_LEN);
	plain[0] ^= 1;
	store_blob_id(w, STORE_DATA, plain, sizeof(plain), guess);
	assert_int_equal(store_locate(thief, guess, &loc, &err), 1);
	store_worker_free(w);
	store_close(thief);
	scene_free(&sc);
}

/* --- overwriting and deleting -------------------------------------------------------------*/

/* What stands under keys, config and epochs is made unusable in some way. */
static bool spoil(struct scene *sc, struct store *thief, const char *key,
    int how)
{
	struct err err = ERR_INIT;
	struct buf obj = BUF_INIT;
	uint8_t *old;
	size_t len;

	if (how == 0) {
		assert_int_equal(backend_del(sc->mem, key, &err), 0);
		return true;
	}
	ok(backend_get_all(sc->mem, key, STORE_LARGE_OBJECT, &old, &len, &err));
	if (how == 1) {
		ok(backend_put_over(sc->mem, key, "rubbish", 7, &err));
	} else if (len > FMT_HEADER_LEN + FMT_SIGNED_TAIL) {
		/* Its keys put in place of those that it has, and signed. */
		for (size_t i = FMT_HEADER_LEN; how == 2 &&
		    i + 32 <= len - FMT_SIGNED_TAIL; i++) {
			uint8_t mine[32];

			crypto_box_public(mine, thief->own->half.box_sec);
			memcpy(old + i, mine, 32);
			i += 31;
		}
		buf_add(&obj, old, len - FMT_SIGNED_TAIL);
		ok(fmt_sign_append(&obj, thief->info.repository, key, NULL,
		    thief->own->half.sign_seed, &err));
		ok(backend_put_over(sc->mem, key, obj.p, obj.len, &err));
	}
	buf_release(&obj);
	free(old);
	return true;
}

/*
 * Whatever is done to what opening reads: later backups are sealed to the
 * keys that they were sealed to, or there are none.
 */
static void no_later_backup_is_turned_to_a_thiefs_keys(void **state)
{
	unsigned opened = 0, stopped = 0;

	(void)state;
	for (int how = 0; how < 4; how++) {
		bool more = true;

		for (size_t at = 0; more; at++) {
			struct store_keys keys = { 0 };
			struct scene sc;
			struct store *thief, *st;
			struct store_secret by_file = { 0 };
			struct err err = ERR_INIT;
			uint8_t content[32], admin[32], index[32], id[32];
			size_t seen = 0;

			scene_make(&sc);
			rotate_now(sc.mem, false);
			by_file.key_file = sc.honest_line;
			st = open_file(sc.mem, sc.honest_line);
			memcpy(content, store_epoch_known(st, 2)->content_pub,
			    32);
			memcpy(admin, store_epoch_known(st, 2)->admin_pub, 32);
			memcpy(index, store_epoch_known(st, 2)->sec->index, 32);
			memcpy(id, st->own->id, 32);
			store_close(st);
			thief = open_file(sc.mem, sc.thief_line);
			ok(store_keys_list(sc.mem, "", &keys, &err));
			more = false;
			for (size_t i = 0; i < keys.n && !more; i++) {
				const char *key = store_keys_at(&keys, i);

				if (strncmp(key, "config/", 7) != 0 &&
				    strncmp(key, "keys/", 5) != 0 &&
				    strncmp(key, "epochs/", 7) != 0)
					continue;
				if (seen++ == at)
					more = spoil(&sc, thief, key, how);
			}
			store_keys_release(&keys);
			store_close(thief);
			st = store_open(keep_new(sc.mem), &by_file, NULL, &err);
			opened += st != NULL;
			stopped += st == NULL;
			if (st != NULL) {
				const struct store_epoch *e =
				    store_epoch_known(st, store_info(st)->epoch);

				assert_memory_equal(st->own->id, id, 32);
				if (e->n == 2) {
					assert_memory_equal(e->content_pub,
					    content, 32);
					assert_memory_equal(e->admin_pub, admin,
					    32);
					assert_memory_equal(e->sec->index,
					    index, 32);
				}
				store_close(st);
			}
			scene_free(&sc);
		}
	}
	assert_true(opened > 20 && stopped > 5);
}

/* An older config that was kept, put back over the newer ones. */
static void an_older_config_is_not_the_newest_under_another_number(void **state)
{
	struct scene sc;
	struct err err = ERR_INIT;
	struct store *st;
	char key[FMT_KEY_MAX];
	uint8_t *old;
	size_t len;

	(void)state;
	scene_make(&sc);
	fmt_key_config(key, 1);
	ok(backend_get_all(sc.mem, key, STORE_SMALL_OBJECT, &old, &len, &err));
	remove_now(sc.mem, sc.thief_slot);
	rotate_now(sc.mem, false);
	for (uint32_t m = 2; m < 9; m++) {
		fmt_key_config(key, m);
		if (m > 4)
			ok(backend_put_over(sc.mem, key, old, len, &err));
	}
	st = reopen(sc.mem);
	assert_int_equal(store_info(st)->epoch, 2);
	assert_int_equal(store_config_now(st)->c.ended.n, 1);
	store_close(st);
	free(old);
	expect_all(&sc);
	scene_free(&sc);
}

/* The certificate of a removed slot and its grants, kept and put back. */
static void what_a_removed_slot_kept_opens_nothing_later(void **state)
{
	struct scene sc;
	struct store_keys keys = { 0 };
	struct store_secret by_file = { 0 };
	struct err err = ERR_INIT;
	struct { char key[FMT_KEY_MAX]; uint8_t *p; size_t len; } kept[16];
	size_t n = 0;

	(void)state;
	scene_make(&sc);
	by_file.key_file = sc.thief_line;
	ok(store_keys_list(sc.mem, "", &keys, &err));
	for (size_t i = 0; i < keys.n && n < 16; i++) {
		if (strstr(store_keys_at(&keys, i), sc.thief_slot) == NULL)
			continue;
		snprintf(kept[n].key, sizeof(kept[n].key), "%s",
		    store_keys_at(&keys, i));
		ok(backend_get_all(sc.mem, kept[n].key, STORE_LARGE_OBJECT,
		    &kept[n].p, &kept[n].len, &err));
		n++;
	}
	store_keys_release(&keys);
	assert_int_equal(n, 3); /* certificate, wrap, grant */
	remove_now(sc.mem, sc.thief_slot);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < n; i++)
			ok(backend_put_over(sc.mem, kept[i].key, kept[i].p,
			    kept[i].len, &err));
		assert_null(store_open(keep_new(sc.mem), &by_file, NULL, &err));
		assert_int_equal(err.class, ERR_AUTH);
		rotate_now(sc.mem, round == 1);
	}
	for (size_t i = 0; i < n; i++)
		free(kept[i].p);
	expect_all(&sc);
	scene_free(&sc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thief_decides_no_deletion),
		cmocka_unit_test(who_is_removed_holds_no_collection_up),
		cmocka_unit_test(without_an_end_nothing_is_deleted),
		cmocka_unit_test(a_poisoned_id_is_healed_by_repair_and_backup),
		cmocka_unit_test(removal_ends_the_poisoning),
		cmocka_unit_test(a_thief_confirms_guesses_of_whole_chunks),
		cmocka_unit_test(no_later_backup_is_turned_to_a_thiefs_keys),
		cmocka_unit_test(
		    an_older_config_is_not_the_newest_under_another_number),
		cmocka_unit_test(what_a_removed_slot_kept_opens_nothing_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
