/*
 * Hostile parties against the store: who has stolen a node's credential, and
 * who has a reader's (store_hostile.c: who serves the objects).  Each test is one promise of the
 * repository, or one thing that is said to remain.
 */

#include "tests/unit/store_attack.h"

#include "repo/base/log.h"
#include "repo/store/store_session_internal.h"

static int count_fn(void *ctx, struct store_snapshot **sn, struct err *err)
{
	(void)sn;
	(void)err;
	(*(int *)ctx)++;
	return 0;
}

static void count_bad(void *ctx, const char *key, const struct err *why)
{
	(void)key;
	(void)why;
	*(int *)ctx += 100;
}

/* Snapshots that stand, plus 100 for each that is told as bad. */
static int count_snapshots(struct backend *mem)
{
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;
	int n = 0;

	ok(store_snapshots(st, true, count_fn, count_bad, &n, &err));
	store_close(st);
	return n;
}

/* --- a stolen write credential: reading ------------------------------------*/

static void a_thief_holds_no_key_to_content(void **state)
{
	struct scene sc;
	struct store *thief;
	struct store_worker *w;
	struct store_snapshot *sn = NULL;
	struct buf got = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	scene_make(&sc);
	thief = open_file(sc.mem, sc.thief_line);
	for (struct store_epoch *e = thief->epochs; e != NULL; e = e->next) {
		assert_false(e->sec->has_content);
		assert_false(e->sec->has_root);
		assert_true(bytes_are_zero(e->sec->content, 32));
		assert_true(bytes_are_zero(e->sec->root, 32));
	}
	assert_false(thief->own->has_family);
	w = worker(thief);
	assert_int_equal(store_get(thief, w, STORE_DATA, sc.data, &got, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	/* State holds no file bytes; it may be read by whoever writes. */
	expect_n(thief, w, STORE_STATE, sc.state, 2, BLOB_LEN);
	ok(store_snapshot_find(thief, sc.id, &sn, &err));
	assert_true(sn->sealed);
	assert_string_equal(sn->host, "");
	assert_string_equal(sn->volume, "");
	assert_int_equal(sn->paths.n, 0);
	assert_true(bytes_are_zero(sn->catalog.id, 32));
	store_snapshot_free(sn);
	buf_release(&got);
	store_worker_free(w);
	store_close(thief);
	scene_free(&sc);
}

/* --- a stolen write credential: what others stored -------------------------*/

/* A newer segment of the thief names the honest pack with another key. */
static void a_lying_segment_hides_no_pack(void **state)
{
	(void)state;
	for (int lie = 0; lie < 5; lie++) {
		struct scene sc;
		struct store *thief;
		struct fmt_index_entry e[2];
		struct fmt_pack_record rec[2];
		uint8_t sealed[2][FMT_SEALED_KEY_BOX];
		char name[FMT_SESSION_MAX], key[FMT_KEY_MAX];
		const uint8_t *ids[2];

		scene_make(&sc);
		thief = open_file(sc.mem, sc.thief_line);
		ids[0] = memcmp(sc.data, sc.state, 32) < 0 ? sc.data : sc.state;
		ids[1] = ids[0] == sc.data ? sc.state : sc.data;
		for (int i = 0; i < 2; i++) {
			where(thief, ids[i], &e[i], &rec[i], sealed[i]);
			e[i].pack = (uint32_t)i;
			if (lie == 0)
				sealed[i][40] ^= 1;
			else if (lie == 1)
				rec[i].size += 65536;
			else if (lie == 2)
				e[i].offset += 1;
			else if (lie == 3)
				e[i].sealed_len = 0;
			else
				rec[i].epoch = 7;
		}
		make_name(thief, LATE_MS, 0xee, name);
		fmt_key_segment(key, thief->info.slot, name, 1);
		forge_segment(thief, key, rec, 2, e, 2);
		store_close(thief);
		expect_all(&sc);
		scene_free(&sc);
	}
}

struct told { const char *key; bool found; };

static void told_fn(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	struct told *t = ctx;

	(void)id;
	(void)what;
	t->found |= strcmp(key, t->key) == 0;
}

/* Check names the segment that lies about a key. */
static void check_names_a_lying_segment(void **state)
{
	struct scene sc;
	struct store *st;
	struct store_check_options opt = { .threads = 1 };
	struct store_check_result res;
	struct fmt_index_entry e;
	struct fmt_pack_record rec;
	struct told t = { .found = false };
	struct err err = ERR_INIT;
	uint8_t sealed[FMT_SEALED_KEY_BOX];
	char name[FMT_SESSION_MAX], key[FMT_KEY_MAX];

	(void)state;
	scene_make(&sc);
	st = open_file(sc.mem, sc.thief_line);
	where(st, sc.data, &e, &rec, sealed);
	sealed[40] ^= 1;
	make_name(st, LATE_MS, 0xee, name);
	fmt_key_segment(key, st->info.slot, name, 1);
	forge_segment(st, key, &rec, 1, &e, 1);
	store_close(st);
	t.key = key;
	st = reopen(sc.mem);
	ok(store_check(st, &opt, told_fn, &t, &res, &err));
	assert_true(t.found);
	store_close(st);
	scene_free(&sc);
}

/* It stores other bytes under an id that is stored already. */
static void an_id_that_is_stored_cannot_be_poisoned(void **state)
{
	struct scene sc;
	struct store *thief, *st;
	struct store_session *s;
	struct store_worker *w;
	struct fmt_index_entry e;
	struct fmt_pack_record rec;
	uint8_t sealed[FMT_SEALED_KEY_BOX], other[32], new_id[32];
	char name[FMT_SESSION_MAX], key[FMT_KEY_MAX], id[17];

	(void)state;
	scene_make(&sc);
	thief = open_file(sc.mem, sc.thief_line);
	w = worker(thief);
	s = begin(thief);
	put_n(s, w, STORE_DATA, 3, BLOB_LEN, other);
	commit_n(s, NULL, id);
	where(thief, other, &e, &rec, sealed);
	memcpy(e.id, sc.data, 32);
	make_name(thief, LATE_MS, 0xee, name);
	fmt_key_segment(key, thief->info.slot, name, 1);
	forge_segment(thief, key, &rec, 1, &e, 1);
	store_worker_free(w);
	store_close(thief);
	expect_all(&sc);
	/* Nor by who backs the same up again. */
	st = open_file(sc.mem, sc.honest_line);
	w = worker(st);
	s = begin(st);
	put_n(s, w, STORE_DATA, 1, BLOB_LEN, new_id);
	commit_n(s, NULL, id);
	store_worker_free(w);
	store_close(st);
	expect_all(&sc);
	scene_free(&sc);
}

/* What is said to remain: an id that nobody has stored is not stored again. */
static void an_id_nobody_stored_can_be_poisoned_and_is_then_told(void **state)
{
	struct scene sc;
	struct store *thief, *st;
	struct store_session *s;
	struct store_worker *w;
	struct fmt_index_entry e;
	struct fmt_pack_record rec;
	struct buf got = BUF_INIT;
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
	st = open_file(sc.mem, sc.honest_line);
	w = worker(st);
	s = begin(st);
	assert_false(put_n(s, w, STORE_DATA, 4, BLOB_LEN, NULL));
	commit_n(s, NULL, id);
	store_worker_free(w);
	store_close(st);
	/* Reading gives no wrong bytes: the damage has a name. */
	st = reopen(sc.mem);
	w = worker(st);
	assert_int_equal(store_get(st, w, STORE_DATA, unseen, &got, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	buf_release(&got);
	store_worker_free(w);
	store_close(st);
	expect_all(&sc);
	scene_free(&sc);
}

/* --- a stolen write credential: parents and snapshots ----------------------*/

static const struct store_snapshot *parent_of(struct store_session *s)
{
	bool carry;

	return store_session_parent(s, &carry);
}

static void a_thief_is_no_other_slots_parent(void **state)
{
	struct scene sc;
	struct store *thief, *st;
	struct store_session *s;
	uint8_t slot[8];
	char name[FMT_SESSION_MAX], key[FMT_KEY_MAX], id[17];

	(void)state;
	scene_make(&sc);
	thief = open_file(sc.mem, sc.thief_line);
	assert_int_equal(hex_decode(slot, 8, sc.honest_slot), 0);
	/* In its own slot, and in the honest one's, signed by itself. */
	make_name(thief, LATE_MS, 0xe1, name);
	fmt_key_snapshot(key, thief->info.slot, name);
	forge_snapshot(thief, key, sc.state);
	make_name(thief, LATE_MS, 0xe2, name);
	fmt_key_snapshot(key, slot, name);
	forge_snapshot(thief, key, sc.state);
	store_close(thief);
	assert_int_equal(count_snapshots(sc.mem), 2 + 100);
	st = open_file(sc.mem, sc.honest_line);
	s = begin(st);
	assert_non_null(parent_of(s));
	assert_string_equal(parent_of(s)->id, sc.id);
	commit_n(s, NULL, id);
	store_close(st);
	/* And what the honest one adds is found behind that. */
	st = open_file(sc.mem, sc.honest_line);
	s = begin(st);
	assert_non_null(parent_of(s));
	assert_string_equal(parent_of(s)->id, id);
	store_session_abort(s);
	store_close(st);
	scene_free(&sc);
}

static void keep_warning(void *ctx, enum log_level level, const char *msg)
{
	if (level == LOG_WARN && strstr(msg, "of several slots") != NULL)
		snprintf(ctx, 512, "%s", msg);
}

/* What is said to remain: snapshots can be added, and whose they are is told. */
static void a_volume_that_two_slots_hold_is_told(void **state)
{
	static const char *const specs[] = { "latest", "latest@vol" };
	struct scene sc;
	struct store *thief, *st;
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;
	char name[FMT_SESSION_MAX], key[FMT_KEY_MAX], told[512] = "";

	(void)state;
	scene_make(&sc);
	log_set_sink(keep_warning, told, LOG_WARN);
	st = reopen(sc.mem);
	ok(store_snapshot_find(st, "latest@vol", &sn, &err));
	assert_string_equal(told, "");
	store_snapshot_free(sn);
	store_close(st);
	thief = open_file(sc.mem, sc.thief_line);
	make_name(thief, LATE_MS, 0xe1, name);
	fmt_key_snapshot(key, thief->info.slot, name);
	forge_snapshot(thief, key, sc.state);
	store_close(thief);
	st = reopen(sc.mem);
	for (int i = 0; i < 2; i++) {
		told[0] = '\0';
		ok(store_snapshot_find(st, specs[i], &sn, &err));
		assert_non_null(strstr(told, sc.thief_slot));
		assert_non_null(strstr(told, sc.honest_slot));
		assert_non_null(strstr(told, sc.id));
		store_snapshot_free(sn);
	}
	log_set_sink(NULL, NULL, LOG_WARN);
	store_close(st);
	scene_free(&sc);
}

/* What is said to remain: within its own slot a thief's snapshot is the parent. */
static void those_who_share_a_slot_trust_each_other(void **state)
{
	struct scene sc;
	struct store *thief, *st;
	struct store_session *s;
	char name[FMT_SESSION_MAX], key[FMT_KEY_MAX];

	(void)state;
	scene_make(&sc);
	thief = open_file(sc.mem, sc.honest_line);
	make_name(thief, LATE_MS, 0xe1, name);
	fmt_key_snapshot(key, thief->info.slot, name);
	forge_snapshot(thief, key, sc.state);
	store_close(thief);
	st = open_file(sc.mem, sc.honest_line);
	s = begin(st);
	assert_string_equal(parent_of(s)->id, "e1e1e1e1e1e1e1e1");
	store_session_abort(s);
	store_close(st);
	scene_free(&sc);
}

/* The greatest time there is, by a name alone: later sessions still go on. */
static void a_name_at_the_end_of_time_stops_no_backup(void **state)
{
	struct scene sc;
	struct store *st;
	struct store_session *s;
	struct err err = ERR_INIT;
	uint8_t slot[8];
	char name[FMT_SESSION_MAX], key[FMT_KEY_MAX], id[17];

	(void)state;
	scene_make(&sc);
	st = open_file(sc.mem, sc.honest_line);
	assert_int_equal(hex_decode(slot, 8, sc.honest_slot), 0);
	make_name(st, 0xffffffffffffu, 0xff, name);
	fmt_key_snapshot(key, slot, name);
	ok(backend_put(sc.mem, key, "garbage", 7, &err));
	store_close(st);
	for (int i = 0; i < 3; i++) {
		struct store_snapshot *sn = NULL;

		st = open_file(sc.mem, sc.honest_line);
		s = begin(st);
		assert_non_null(parent_of(s));
		assert_string_equal(parent_of(s)->id, i == 0 ? sc.id : id);
		assert_true(strncmp(s->name + 17, "0", 1) == 0);
		commit_n(s, NULL, id);
		store_close(st);
		st = reopen(sc.mem);
		ok(store_snapshot_find(st, "latest@vol", &sn, &err));
		assert_string_equal(sn->id, id);
		store_snapshot_free(sn);
		store_close(st);
	}
	scene_free(&sc);
}

/* A snapshot of the thief takes the id of the honest one. */
static void an_id_that_a_thief_repeats_can_still_be_named(void **state)
{
	struct scene sc;
	struct store *thief, *st;
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;
	uint8_t honest[8];
	char name[FMT_SESSION_MAX], key[FMT_KEY_MAX], spec[40];
	struct fmt_session_name n;

	(void)state;
	scene_make(&sc);
	thief = open_file(sc.mem, sc.thief_line);
	assert_int_equal(hex_decode(honest, 8, sc.honest_slot), 0);
	make_name(thief, LATE_MS, 0, name);
	assert_int_equal(fmt_session_parse(name, &n), 0);
	assert_int_equal(hex_decode(n.random, 8, sc.id), 0);
	fmt_session_text(name, &n);
	/* One that does not verify is not even in the way. */
	fmt_key_snapshot(key, honest, name);
	forge_snapshot(thief, key, sc.state);
	expect_all(&sc);
	fmt_key_snapshot(key, thief->info.slot, name);
	forge_snapshot(thief, key, sc.state);
	store_close(thief);
	st = reopen(sc.mem);
	assert_int_equal(store_snapshot_find(st, sc.id, &sn, &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	snprintf(spec, sizeof(spec), "%s/%s", sc.honest_slot, sc.id);
	assert_non_null(strstr(err.msg, spec));
	ok(store_snapshot_find(st, spec, &sn, &err));
	assert_memory_equal(sn->slot, honest, 8);
	store_snapshot_free(sn);
	store_close(st);
	scene_free(&sc);
}

/* --- forgeries of what only the administrator makes ------------------------*/

static void put_raw(struct backend *be, const char *key, size_t len)
{
	uint8_t *p = calloc(1, len);
	struct err err = ERR_INIT;

	assert_non_null(p);
	memset(p, 'x', len);
	ok(backend_put(be, key, p, len, &err));
	free(p);
}

/* Objects that count only with A's signature, signed by the thief's key. */
static void forge_admin_objects(struct scene *sc, struct store *thief,
    const uint8_t *signer)
{
	uint8_t honest[8], hash[32] = { 1 };
	char key[FMT_KEY_MAX], name[FMT_SESSION_MAX];
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	struct fmt_config c;
	struct fmt_end end = { .epoch = 1 };
	struct fmt_mark mark = { .epoch = 1 };
	struct fmt_verdict v = { .epoch = 1, .what = FMT_DELETE };
	struct fmt_list_buf l = FMT_LIST_BUF_INIT, admins = l;
	const uint8_t *pub;
	uint8_t mine[32];
	uint64_t n = signer == NULL ? 7 : 8;
	struct store_snapshot *sn = NULL;

	assert_int_equal(hex_decode(honest, 8, sc->honest_slot), 0);
	ok(store_snapshot_find(thief, sc->id, &sn, &err));

	/* An epoch whose key the thief has: the next, and the present one. */
	c = store_config_now(thief)->c;
	c.epoch = signer == NULL ? 2 : 1;
	crypto_sign_public(mine, thief->own->half.sign_seed);
	while (fmt_admin_next(&c.admins, &pub) == 0)
		fmt_list_add_admin(&admins, pub);
	if (signer == NULL)
		fmt_list_add_admin(&admins, mine);
	c.admins = fmt_list_of(&admins);
	ok(fmt_config_encode(&obj, &c, &err));
	fmt_list_release(&admins);
	fmt_key_config(key, (uint32_t)n);
	sign_and_put(thief, &obj, key, signer);

	if (signer == NULL) {
		memcpy(end.slot, honest, 8);
		ok(fmt_end_encode(&obj, &end, &err));
		crypto_sha256(mine, obj.p, obj.len);
		fmt_key_end(key, honest, mine);
		ok(backend_put(thief->be, key, obj.p, obj.len, &err));
		buf_release(&obj);

		struct fmt_note note = { .epoch = 1 };

		memcpy(note.session, sn->session, sizeof(note.session));
		ok(fmt_note_encode(&obj, &note, &err));
		fmt_key_note(key, honest, sn->session);
		sign_and_put(thief, &obj, key, signer);
	}
	mark.dead_hash[0] = 1;
	ok(fmt_mark_encode(&obj, &mark, &err));
	fmt_key_mark(key, n);
	sign_and_put(thief, &obj, key, signer);
	memcpy(v.dead_hash, hash, 32);
	ok(fmt_verdict_encode(&obj, &v, &err));
	fmt_key_verdict(key, n);
	sign_and_put(thief, &obj, key, signer);
	fmt_list_add_number(&l, 1);
	struct fmt_manifest mf = { .epoch = 1, .merged = fmt_list_of(&l) };

	ok(fmt_manifest_encode(&obj, &mf, &err));
	fmt_list_release(&l);
	fmt_key_manifest(key, n);
	sign_and_put(thief, &obj, key, signer);

	struct fmt_revocation rev = { .epoch = 1 };

	make_name(thief, LATE_MS, (uint8_t)n, name);
	ok(fmt_revocation_encode(&obj, &rev, &err));
	fmt_key_snapshot(key, honest, name);
	sign_and_put(thief, &obj, key, signer);
	store_snapshot_free(sn);
}

static void backup_works(struct scene *sc)
{
	struct store *st = open_file(sc->mem, sc->honest_line);
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);
	struct err err = ERR_INIT;
	bool carry;
	char id[17];

	assert_non_null(store_session_parent(s, &carry));
	assert_true(carry);
	assert_int_equal(s->generation, 0);
	assert_false(put_n(s, w, STORE_DATA, 1, BLOB_LEN, NULL));
	ok(store_present(s, sc->state, &err));
	commit_n(s, sc->state, id);
	store_worker_free(w);
	store_close(st);
}

static void what_only_an_administrator_signs_is_not_taken_from_a_thief(
    void **state)
{
	struct scene sc;
	struct store *thief;

	(void)state;
	scene_make(&sc);
	thief = open_file(sc.mem, sc.thief_line);
	forge_admin_objects(&sc, thief, NULL);
	forge_admin_objects(&sc, thief, thief->info.slot);
	store_close(thief);
	backup_works(&sc);
	expect_all(&sc);
	scene_free(&sc);
}

/* A grant of the next epoch for another slot, with a key that the thief has. */
static void an_epoch_of_a_thief_is_not_followed(void **state)
{
	struct scene sc;
	struct store *thief, *st;
	struct store_epoch *ep;
	const struct store_slot *sl;
	struct fmt_list_buf epochs = FMT_LIST_BUF_INIT, families = epochs;
	struct fmt_list_buf admins = epochs;
	struct fmt_config c;
	struct fmt_grant_family gf = { .from = 1 };
	struct fmt_grant_epoch ge[2];
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	uint8_t honest[8], mine[32] = { 7 }, tag[FMT_TAG_LEN];
	char key[FMT_KEY_MAX];

	(void)state;
	scene_make(&sc);
	thief = open_file(sc.mem, sc.thief_line);
	ep = store_epoch_known(thief, 1);
	assert_int_equal(hex_decode(honest, 8, sc.honest_slot), 0);
	sl = store_slot_find(thief, honest, &err);
	assert_non_null(sl);
	ge[0] = (struct fmt_grant_epoch){ 1, ep->content_pub, ep->admin_pub,
		ep->sec->index, NULL, NULL };
	ge[1] = (struct fmt_grant_epoch){ 2, mine, mine, mine, NULL, NULL };
	fmt_list_add_grant_epoch(&epochs, FMT_WRITE, &ge[0]);
	fmt_list_add_grant_epoch(&epochs, FMT_WRITE, &ge[1]);
	gf.id = thief->own->id;
	gf.order = thief->own->order;
	gf.cut = thief->own->cut;
	fmt_list_add_grant_family(&families, FMT_WRITE, &gf);
	struct fmt_grant g = { .n = 2, .rights = FMT_WRITE,
		.families = fmt_list_of(&families),
		.epochs = fmt_list_of(&epochs) };

	ok(fmt_grant_encode(&obj, 1, honest, sl->box_pub, &g, &err));
	fmt_epoch_tag(tag, mine);
	fmt_key_grant(key, 2, tag, honest);
	sign_and_put(thief, &obj, key, NULL);
	fmt_list_release(&epochs);
	fmt_list_release(&families);
	/* The config that would lead there, which nobody who may has signed. */
	c = store_config_now(thief)->c;
	c.epoch = 2;
	fmt_list_add_admin(&admins, ep->admin_pub);
	fmt_list_add_admin(&admins, mine);
	c.admins = fmt_list_of(&admins);
	ok(fmt_config_encode(&obj, &c, &err));
	fmt_key_config(key, 2);
	sign_and_put(thief, &obj, key, NULL);
	fmt_list_release(&admins);
	store_close(thief);
	st = open_file(sc.mem, sc.honest_line);
	assert_null(store_epoch_known(st, 2));
	store_close(st);
	backup_works(&sc);
	expect_all(&sc);
	scene_free(&sc);
}

/* Whoever may put objects puts rubbish under every name that is looked for. */
static void what_is_no_object_hinders_nobody(void **state)
{
	static const size_t lens[] = { 1, 100, STORE_SMALL_OBJECT + 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct scene sc;
		struct store *st;
		struct store_snapshot *sn = NULL;
		struct err err = ERR_INIT;
		uint8_t nobody[8] = { 0xaa, 0xbb }, honest[8];
		char key[FMT_KEY_MAX], name[FMT_SESSION_MAX];

		scene_make(&sc);
		assert_int_equal(hex_decode(honest, 8, sc.honest_slot), 0);
		fmt_key_config(key, 0xffffffff);
		put_raw(sc.mem, key, lens[i]);
		fmt_key_cert(key, nobody);
		put_raw(sc.mem, key, lens[i]);
		fmt_key_wrap(key, nobody, 1);
		put_raw(sc.mem, key, lens[i]);
		fmt_key_grant(key, 2, nobody, honest);
		put_raw(sc.mem, key, lens[i]);
		fmt_key_mark(key, UINT64_MAX);
		put_raw(sc.mem, key, lens[i]);
		fmt_key_verdict(key, UINT64_MAX);
		put_raw(sc.mem, key, lens[i]);
		fmt_key_manifest(key, UINT64_MAX);
		put_raw(sc.mem, key, lens[i]);
		st = reopen(sc.mem);
		make_name(st, LATE_MS, 0xcc, name);
		fmt_key_segment(key, honest, name, 1);
		put_raw(sc.mem, key, lens[i]);
		fmt_key_segment(key, nobody, name, 1);
		put_raw(sc.mem, key, lens[i]);
		fmt_key_snapshot(key, nobody, name);
		put_raw(sc.mem, key, lens[i]);
		fmt_key_snapshot(key, honest, name);
		put_raw(sc.mem, key, lens[i]);
		ok(store_snapshot_find(st, sc.id, &sn, &err));
		fmt_key_note(key, honest, sn->session);
		put_raw(sc.mem, key, lens[i]);
		store_snapshot_free(sn);
		store_close(st);
		backup_works(&sc);
		expect_all(&sc);
		scene_free(&sc);
	}
}

/* A snapshot that says to be of a slot that does not exist. */
static void a_snapshot_of_nobody_does_not_hide_the_latest(void **state)
{
	struct scene sc;
	struct store *thief, *st;
	struct store_snapshot *sn = NULL;
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	uint8_t nobody[8] = { 0xaa, 0xbb };
	char key[FMT_KEY_MAX], name[FMT_SESSION_MAX];
	static const char *const specs[] = { "latest", "latest@vol",
		"@2999-01-01T00:00Z" };

	(void)state;
	scene_make(&sc);
	thief = open_file(sc.mem, sc.thief_line);
	make_name(thief, LATE_MS, 0xcc, name);
	fmt_key_snapshot(key, nobody, name);
	fmt_header_add(&obj, FMT_SNAPSHOT, 1);
	buf_zeros(&obj, 500);
	sign_and_put(thief, &obj, key, nobody);
	store_close(thief);
	st = reopen(sc.mem);
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		if (store_snapshot_find(st, specs[i], &sn, &err) != 0)
			fail_msg("%s: %s", specs[i], err.msg);
		assert_string_equal(sn->id, sc.id);
		store_snapshot_free(sn);
	}
	store_close(st);
	scene_free(&sc);
}

/* --- a reader --------------------------------------------------------------*/

static void what_a_reader_signs_does_not_count(void **state)
{
	struct scene sc;
	struct store *reader, *st;
	struct store_worker *w;
	struct store_session_options opt = { .volume = "vol",
		.content = STORE_TREE };
	struct fmt_index_entry e;
	struct fmt_pack_record rec;
	struct store_loc loc;
	struct err err = ERR_INIT;
	uint8_t sealed[FMT_SEALED_KEY_BOX], unseen[32] = { 0x55 };
	char slot[17], line[128], key[FMT_KEY_MAX], name[FMT_SESSION_MAX];

	(void)state;
	scene_make(&sc);
	add_file(sc.mem, STORE_READ, slot, line);
	reader = open_file(sc.mem, line);
	assert_null(store_session_begin(reader, &opt, &err));
	assert_int_equal(err.class, ERR_AUTH);
	assert_null(store_cut_key(reader));
	assert_int_equal(store_key_add(reader, STORE_READ, "", "x",
	    &by_pass, slot, line, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	/* It goes round the program, with the signing key of its half. */
	make_name(reader, LATE_MS, 0xdd, name);
	fmt_key_snapshot(key, reader->info.slot, name);
	forge_snapshot(reader, key, sc.state);
	where(reader, sc.data, &e, &rec, sealed);
	memcpy(e.id, unseen, 32);
	fmt_key_segment(key, reader->info.slot, name, 1);
	forge_segment(reader, key, &rec, 1, &e, 1);
	store_close(reader);
	assert_int_equal(count_snapshots(sc.mem), 1 + 100);
	st = reopen(sc.mem);
	w = worker(st);
	assert_int_not_equal(store_locate(st, unseen, &loc, &err), 0);
	store_worker_free(w);
	store_close(st);
	backup_works(&sc);
	expect_all(&sc);
	scene_free(&sc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thief_holds_no_key_to_content),
		cmocka_unit_test(a_lying_segment_hides_no_pack),
		cmocka_unit_test(check_names_a_lying_segment),
		cmocka_unit_test(an_id_that_is_stored_cannot_be_poisoned),
		cmocka_unit_test(
		    an_id_nobody_stored_can_be_poisoned_and_is_then_told),
		cmocka_unit_test(a_thief_is_no_other_slots_parent),
		cmocka_unit_test(a_volume_that_two_slots_hold_is_told),
		cmocka_unit_test(those_who_share_a_slot_trust_each_other),
		cmocka_unit_test(a_name_at_the_end_of_time_stops_no_backup),
		cmocka_unit_test(an_id_that_a_thief_repeats_can_still_be_named),
		cmocka_unit_test(
		    what_only_an_administrator_signs_is_not_taken_from_a_thief),
		cmocka_unit_test(an_epoch_of_a_thief_is_not_followed),
		cmocka_unit_test(what_is_no_object_hinders_nobody),
		cmocka_unit_test(a_snapshot_of_nobody_does_not_hide_the_latest),
		cmocka_unit_test(what_a_reader_signs_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
