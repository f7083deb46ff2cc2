/*
 * timeout: 240
 * Repair: what is rebuilt, what is listed as damaged and what that means for
 * sessions and readers, and that it can fail or end anywhere and be run again.
 */

#include "repo/store/store_repair.h"
#include "repo/store/store_session_internal.h"
#include "tests/unit/store_repair_world.h"

/* --- the index -------------------------------------------------------------------------*/

static void a_sound_repository_is_left_alone(void **state)
{
	struct store_repair_result res;
	struct told told;
	struct world w;
	uint64_t before;

	(void)state;
	make_world(&w);
	before = digest_of(w.mem);
	res = repair(w.mem, false, false, NULL, &told);
	assert_int_equal(told.damage + told.mended, 0);
	assert_int_equal(res.indexed + res.rescued + res.listed, 0);
	assert_true(digest_of(w.mem) == before);
	backend_close(w.mem);
}

static void a_lost_index_is_rebuilt(void **state)
{
	struct store_repair_result res;
	struct objects o;
	struct told told;
	struct world w;

	(void)state;
	make_world(&w);
	o = objects_of(w.mem, "index/");
	assert_true(o.n > 0);
	for (size_t i = 0; i < o.n; i++)
		drop(w.mem, o.key[i]);
	res = repair(w.mem, false, false, NULL, &told);
	assert_int_equal(res.indexed, objects_of(w.mem, "packs/").n);
	expect_blobs(&w, NULL);
	assert_int_equal(expect_sound(w.mem).unindexed, 0);
	/* Its session is over, so that no collection waits for it. */
	assert_int_equal(objects_of(w.mem, "sessions/").n, 2);
	assert_int_equal(objects_of(w.mem, "snapshots/").n, 2);
	backend_close(w.mem);
}

static void a_damaged_segment_is_made_up_for_and_removed(void **state)
{
	size_t parts = 9;

	(void)state;
	for (size_t i = 0; i < parts; i++) {
		struct store_repair_result res;
		char key[120];
		struct told told;
		struct world w;
		size_t len;

		make_world(&w);
		snprintf(key, sizeof(key), "%s",
		    objects_of(w.mem, "index/").key[0]);
		len = size_of(w.mem, key);
		flip(w.mem, key, i == 1 ? FMT_VERSION_AT :
		    (len - 1) * i / (parts - 1));
		res = repair(w.mem, false, false, NULL, &told);
		if (told.damage == 0)
			fail_msg("%zu: not seen", i);
		if (res.removed != 1)
			fail_msg("%zu: not removed: %s", i, told.last);
		assert_int_equal(res.indexed, objects_of(w.mem, "packs/").n);
		expect_sound(w.mem);
		expect_blobs(&w, NULL);
		backend_close(w.mem);
	}
}

/* What says that it is of a newer format, and nobody signed, is not touched. */
static void a_newer_segment_is_left_alone(void **state)
{
	struct err err = ERR_INIT;
	struct buf obj = BUF_INIT;
	struct told told;
	struct world w;
	char key[120];

	(void)state;
	make_world(&w);
	snprintf(key, sizeof(key), "%s", objects_of(w.mem, "index/").key[0]);
	key[strlen(key) - 1] = '9';
	fmt_header_add(&obj, FMT_SEGMENT, 1);
	obj.p[FMT_VERSION_AT] = 2;
	buf_zeros(&obj, 500);
	ok(backend_put(w.mem, key, obj.p, obj.len, &err));
	repair(w.mem, false, true, NULL, &told);
	assert_int_equal(told.damage, 1);
	assert_non_null(strstr(told.last, "format version"));
	assert_int_equal(size_of(w.mem, key), obj.len);
	/* And it does not keep anybody from the rest. */
	expect_blobs(&w, NULL);
	buf_release(&obj);
	backend_close(w.mem);
}

/* --- damaged blobs -----------------------------------------------------------------------*/

/* Stored again by a session, as a backup does. */
static void heal(struct world *w, int k, int i)
{
	struct store *st = reopen(w->mem);
	struct store_session *s = begin(st);
	struct store_worker *wk = worker(st);
	struct err err = ERR_INIT;
	char snap[17];
	bool carry;

	assert_non_null(store_session_parent(s, &carry));
	assert_true(carry);
	assert_true(store_session_healing(s));
	assert_int_equal(store_carry(s, w->id[k][i], &err), 1);
	assert_int_equal(store_carry(s, w->id[k][(i + 1) % BLOBS], &err), 0);
	assert_int_equal(store_present(s, w->id[k][i], &err), 1);
	assert_true(put_n(s, wk, STORE_DATA + k, (uint64_t)i, BLOB_LEN, NULL));
	assert_int_equal(store_carry(s, w->id[k][i], &err), 0);
	commit_n(s, NULL, snap);
	store_worker_free(wk);
	store_close(st);
}

static void a_damaged_blob_is_listed_and_stored_again(void **state)
{
	struct store_repair_result res;
	struct told told;
	struct world w;

	(void)state;
	for (int k = 0; k < 3; k++) {
		struct store_session *s;
		struct store *st;
		struct err err = ERR_INIT;

		make_world(&w);
		damage_blob(w.mem, w.id[k][2]);
		res = repair(w.mem, false, true, NULL, &told);
		assert_int_equal(told.with_id, 1);
		assert_int_equal(res.listed, 1);
		assert_int_equal(res.bad, 1);
		expect_blobs(&w, w.id[k][2]);
		/* Listed, it is no news any more. */
		assert_int_equal(expect_sound(w.mem).known, 1);
		heal(&w, k, 2);
		expect_blobs(&w, NULL);
		st = reopen(w.mem);
		s = begin(st);
		assert_int_equal(store_carry(s, w.id[k][2], &err), 0);
		store_session_abort(s);
		store_close(st);
		/* The damaged copy is still there: known, with nothing to do. */
		res = repair(w.mem, false, false, NULL, &told);
		assert_int_equal(told.damage, 0);
		assert_int_equal(res.listed, 1);
		assert_int_equal(res.bad + res.healed, 0);
		backend_close(w.mem);
	}
}

/* When the pack is whole again, put back by hand, it leaves the list. */
static void what_is_whole_again_leaves_the_list(void **state)
{
	struct store_repair_result res;
	struct store_loc loc;
	struct told told;
	struct world w;
	char key[120];

	(void)state;
	make_world(&w);
	pack_of(w.mem, w.id[0][1], key, &loc);
	flip(w.mem, key, loc.offset + 5);
	res = repair(w.mem, false, true, NULL, &told);
	assert_int_equal(res.listed, 1);
	flip(w.mem, key, loc.offset + 5);
	res = repair(w.mem, false, false, NULL, &told);
	assert_int_equal(res.listed, 0);
	assert_int_equal(res.healed, 1);
	assert_int_equal(expect_sound(w.mem).known, 0);
	backend_close(w.mem);
}

/* What a check has found and written down is read by a repair that reads little. */
static void a_repair_reads_what_a_check_has_found(void **state)
{
	struct store_repair_result res;
	struct told told;
	struct world w;

	(void)state;
	make_world(&w);
	damage_blob(w.mem, w.id[0][3]);
	res = repair(w.mem, false, false, NULL, &told);
	assert_int_equal(told.damage, 0);
	assert_int_equal(res.check.packs_read, 0);
	check(w.mem, 100, true, &told);
	assert_int_equal(told.with_id, 1);
	res = repair(w.mem, false, false, NULL, &told);
	assert_int_equal(res.check.packs_read, 1);
	assert_int_equal(res.listed, 1);
	expect_sound(w.mem);
	backend_close(w.mem);
}

static void a_blob_that_is_nowhere_is_not_carried_over(void **state)
{
	static const uint8_t other[32] = { 7 };
	struct store_repair_result res;
	struct store_session *s;
	struct err err = ERR_INIT;
	struct store *st;
	struct told told;
	struct world w;

	(void)state;
	make_world(&w);
	res = repair(w.mem, false, false, other, &told);
	assert_int_equal(res.lost, 1);
	st = reopen(w.mem);
	s = begin(st);
	assert_int_equal(store_carry(s, other, &err), 1);
	assert_int_equal(store_carry(s, w.id[0][0], &err), 0);
	store_session_abort(s);
	store_close(st);
	res = repair(w.mem, false, false, NULL, &told);
	assert_int_equal(res.healed, 1);
	backend_close(w.mem);
}

/* --- several copies --------------------------------------------------------------------------*/

/* Put the blob once more, in another pack, though it is there. */
static void second_copy(struct world *w, int k, int i)
{
	struct store *st = reopen(w->mem);
	struct store_session *s = begin(st);
	struct store_worker *wk = worker(st);
	struct store_packent e;
	struct err err = ERR_INIT;
	struct store_loc loc;
	char snap[17];

	assert_int_equal(store_locate(st, w->id[k][i], &loc, &err), 0);
	assert_true(store_packtab_at(st->packs, loc.pack, &e));
	ok(store_bad_add_pack(s->bad, e.name, &err));
	assert_true(put_n(s, wk, STORE_DATA + k, (uint64_t)i, BLOB_LEN, NULL));
	commit_n(s, NULL, snap);
	store_worker_free(wk);
	store_close(st);
}

/* Whichever copy is damaged, the other is read, and nothing is lost. */
static void the_good_one_of_two_copies_is_read(void **state)
{
	(void)state;
	for (int which = 0; which < 2; which++) {
		struct store_repair_result res;
		struct store_loc loc;
		struct told told;
		struct world w;
		char first[120], second[120];
		size_t at;

		make_world(&w);
		pack_of(w.mem, w.id[0][4], first, &loc);
		at = loc.offset;
		second_copy(&w, 0, 4);
		pack_of(w.mem, w.id[0][4], second, &loc);
		assert_string_not_equal(first, second);
		if (which == 0)
			flip(w.mem, first, at + 30);
		else
			flip(w.mem, second, loc.offset + 30);
		expect_blobs(&w, NULL);
		res = repair(w.mem, false, true, NULL, &told);
		assert_int_equal(res.listed, 1);
		expect_blobs(&w, NULL);
		/* The one that is located is the good one now. */
		pack_of(w.mem, w.id[0][4], first, &loc);
		if (which == 1)
			assert_string_not_equal(first, second);
		else
			assert_string_equal(first, second);
		expect_sound(w.mem);
		backend_close(w.mem);
	}
}

/* --- packs ----------------------------------------------------------------------------------*/

/* Each part of a pack that is no blob: what was in it is stored again. */
static void blobs_are_taken_out_of_a_damaged_pack(void **state)
{
	(void)state;
	for (int part = 0; part < 8; part++) {
		struct store_repair_result res;
		struct objects o;
		struct store_loc loc;
		struct told told;
		struct world w;
		char key[120];
		size_t len;

		make_world(&w);
		pack_of(w.mem, w.id[1 + part % 2][0], key, &loc);
		len = size_of(w.mem, key);
		switch (part) {
		case 0: flip(w.mem, key, 0); break;         /* magic */
		case 1: flip(w.mem, key, FMT_VERSION_AT); break;
		case 2: flip(w.mem, key, 40); break;        /* sealed key */
		case 3: flip(w.mem, key, len - 3); break;   /* footer */
		case 4: flip(w.mem, key, len - 60); break;  /* checksum */
		case 5: flip(w.mem, key, len - 100); break; /* directory */
		case 6: flip(w.mem, key, 20); break;        /* slot */
		default: flip(w.mem, key, 8); break;        /* epoch */
		}
		res = repair(w.mem, false, true, NULL, &told);
		if (told.damage != 1 || res.rescued != BLOBS)
			fail_msg("%d: %u told, %u rescued; %s", part,
			    told.damage, (unsigned)res.rescued, told.last);
		assert_int_equal(res.listed, 1);
		expect_sound(w.mem);
		expect_blobs(&w, NULL);
		/* Also when the pack goes and the index has to be rebuilt. */
		drop(w.mem, key);
		o = objects_of(w.mem, "index/");
		for (size_t i = 0; i < o.n; i++)
			drop(w.mem, o.key[i]);
		repair(w.mem, false, false, NULL, &told);
		expect_blobs(&w, NULL);
		backend_close(w.mem);
	}
}

/* A pack cut off loses what is behind the cut, and nothing else. */
static void a_pack_cut_off_keeps_what_is_before_the_cut(void **state)
{
	struct store_repair_result res;
	struct err err = ERR_INIT;
	struct store_loc loc;
	struct told told;
	struct world w;
	char key[120];
	uint8_t *p;
	size_t len;

	(void)state;
	make_world(&w);
	pack_of(w.mem, w.id[1][BLOBS - 1], key, &loc);
	ok(backend_get_all(w.mem, key, 64 << 20, &p, &len, &err));
	ok(backend_put_over(w.mem, key, p, loc.offset + 10, &err));
	free(p);
	res = repair(w.mem, false, false, NULL, &told);
	assert_int_equal(res.rescued, BLOBS - 1);
	expect_blobs(&w, w.id[1][BLOBS - 1]);
	expect_sound(w.mem);
	backend_close(w.mem);
}

static void a_missing_pack_is_listed(void **state)
{
	struct store_repair_result res;
	struct store_session *s;
	struct err err = ERR_INIT;
	struct store_loc loc;
	struct store *st;
	struct told told;
	struct world w;
	char key[120];

	(void)state;
	make_world(&w);
	pack_of(w.mem, w.id[1][0], key, &loc);
	drop(w.mem, key);
	/* As the engine does: what a snapshot needs is told as lost. */
	res = repair(w.mem, false, false, w.id[1][0], &told);
	assert_int_equal(told.damage, 1);
	assert_int_equal(res.listed, 2);
	/* Listed, it stays so. */
	res = repair(w.mem, false, false, w.id[1][0], &told);
	assert_int_equal(told.damage, 0);
	assert_int_equal(res.listed, 2);
	expect_sound(w.mem);
	st = reopen(w.mem);
	s = begin(st);
	assert_int_equal(store_carry(s, w.id[1][0], &err), 1);
	assert_int_equal(store_present(s, w.id[1][1], &err), 1);
	assert_int_equal(store_carry(s, w.id[2][1], &err), 0);
	store_session_abort(s);
	store_close(st);
	backend_close(w.mem);
}

/* --- what a collection removed -------------------------------------------------------------*/

static void put_signed(struct store *st, const char *key, struct buf *obj)
{
	struct err err = ERR_INIT;

	ok(store_admin_put(st, key, obj, &err));
	buf_release(obj);
}

/* Once something was deleted by a verdict, an index entry may outlive its pack. */
static void a_pack_that_was_collected_is_no_damage(void **state)
{
	struct fmt_verdict v = { .epoch = 1, .what = FMT_DELETE };
	struct store_check_result res;
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	struct store_loc loc;
	struct store *st;
	struct told told;
	struct world w;
	char key[120];

	(void)state;
	make_world(&w);
	pack_of(w.mem, w.id[0][0], key, &loc);
	drop(w.mem, key);
	res = check(w.mem, 0, false, &told);
	assert_int_equal(told.damage, 1);
	assert_int_equal(told.suspects, 0);
	st = reopen(w.mem);
	v.what = FMT_VOID;
	ok(fmt_verdict_encode(&obj, &v, &err));
	fmt_key_verdict(key, 1);
	put_signed(st, key, &obj);
	res = check(w.mem, 0, false, &told);
	assert_int_equal(told.damage, 1);
	v.what = FMT_DELETE;
	memset(v.dead_hash, 1, 32);
	ok(fmt_verdict_encode(&obj, &v, &err));
	fmt_key_verdict(key, 2);
	put_signed(st, key, &obj);
	store_close(st);
	res = check(w.mem, 0, false, &told);
	assert_int_equal(told.damage, 0);
	assert_int_equal(told.suspects, 1);
	assert_int_equal(res.collected, 1);
	backend_close(w.mem);
}

/* --- the list ---------------------------------------------------------------------------------*/

/* When more is damaged than is listed, nothing is carried over unread. */
static void a_list_that_is_not_complete_forbids_carrying_over(void **state)
{
	struct fmt_bad b = { .epoch = 1, .flags = FMT_BAD_MORE };
	struct store_session *s;
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	struct store *st;
	struct world w;
	char key[120];
	bool carry;

	(void)state;
	make_world(&w);
	st = reopen(w.mem);
	ok(fmt_bad_encode(&obj, &b, &err));
	fmt_key_bad(key, 3);
	put_signed(st, key, &obj);
	s = begin(st);
	assert_non_null(store_session_parent(s, &carry));
	assert_false(carry);
	store_session_abort(s);
	store_close(st);
	backend_close(w.mem);
}

/* A list that no administrator signed says nothing, and hides no other. */
static void a_forged_list_is_passed_over(void **state)
{
	struct fmt_bad b = { .epoch = 1, .flags = FMT_BAD_MORE };
	struct store_repair_result res;
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;
	struct objects o;
	struct told told;
	struct world w;
	char key[120];

	(void)state;
	make_world(&w);
	damage_blob(w.mem, w.id[0][0]);
	repair(w.mem, false, true, NULL, &told);
	ok(fmt_bad_encode(&obj, &b, &err));
	buf_zeros(&obj, FMT_SIGNED_TAIL);
	fmt_key_bad(key, 2);
	ok(backend_put(w.mem, key, obj.p, obj.len, &err));
	fmt_key_bad(key, UINT64_MAX);
	ok(backend_put(w.mem, key, obj.p, obj.len, &err));
	buf_release(&obj);
	heal(&w, 0, 0);
	/* And the next list finds a number and makes an end of them. */
	damage_blob(w.mem, w.id[0][1]);
	res = repair(w.mem, false, true, NULL, &told);
	assert_int_equal(res.listed, 2);
	assert_int_equal(res.bad, 1);
	assert_int_equal(res.removed, 2);
	o = objects_of(w.mem, "bad/");
	assert_int_equal(o.n, 1);
	assert_string_equal(o.key[0], "bad/0000000000000003");
	expect_sound(w.mem);
	backend_close(w.mem);
}

static void a_snapshot_that_lost_something_is_marked(void **state)
{
	struct store_repair_options opt = { .dry_run = false };
	struct store_repair_result res;
	struct store_snapshot *sn = NULL;
	struct store_repair *r;
	struct err err = ERR_INIT;
	struct store *st;
	struct told told;
	struct world w;
	bool damaged;

	(void)state;
	make_world(&w);
	st = reopen(w.mem);
	ok(store_snapshot_find(st, w.snap, &sn, &err));
	ok(store_snapshot_damaged(st, sn, &damaged, &err));
	assert_false(damaged);
	r = store_repair_begin(st, &opt, &err);
	assert_non_null(r);
	ok(store_repair_lost_snapshot(r, sn, &err));
	ok(store_repair_end(r, &res, &err));
	assert_int_equal(res.snapshots, 1);
	store_close(st);
	st = reopen(w.mem);
	ok(store_snapshot_damaged(st, sn, &damaged, &err));
	assert_true(damaged);
	store_close(st);
	repair(w.mem, false, false, NULL, &told);
	st = reopen(w.mem);
	ok(store_snapshot_damaged(st, sn, &damaged, &err));
	assert_false(damaged);
	store_close(st);
	store_snapshot_free(sn);
	backend_close(w.mem);
}

/* --- configs ------------------------------------------------------------------------*/

static bool there(struct backend *mem, const char *key)
{
	struct backend_stat bs;
	struct err err = ERR_INIT;

	return backend_stat(mem, key, &bs, &err) == 0;
}

static void a_damaged_config_goes_while_another_is_in_force(void **state)
{
	struct store_rotate_options rotate = { .new_ids = false };
	struct store_repair_result res;
	struct err err = ERR_INIT;
	struct store *st;
	struct told told;
	struct world w;
	struct store_rotate_result rotated;

	(void)state;
	make_world(&w);
	st = reopen(w.mem);
	ok(store_key_rotate(st, &rotate, &rotated, &err));
	store_close(st);
	/* One that was replaced. */
	flip(w.mem, "config/00000001", 60);
	res = repair(w.mem, false, false, NULL, &told);
	assert_int_equal(res.removed, 1);
	assert_int_equal(res.rewritten, 0);
	assert_false(there(w.mem, "config/00000001"));
	/* One that would count: the one in force is written above it. */
	ok(backend_put(w.mem, "config/00000007", "rubbish", 7, &err));
	res = repair(w.mem, false, false, NULL, &told);
	assert_int_equal(res.removed, 1);
	assert_int_equal(res.rewritten, 1);
	assert_false(there(w.mem, "config/00000007"));
	assert_true(there(w.mem, "config/00000008"));
	expect_sound(w.mem);
	/* Then the other can be damaged. */
	flip(w.mem, "config/00000002", 60);
	res = repair(w.mem, false, false, NULL, &told);
	assert_int_equal(res.removed, 1);
	expect_sound(w.mem);
	expect_blobs(&w, NULL);
	backend_close(w.mem);
}

/* --- who may, and what it leaves ----------------------------------------------------*/

static void repair_needs_an_administrator(void **state)
{
	struct store_secret drawn = { 0 }, secret = { 0 };
	struct store_repair_result res;
	char slot[17], line[256];
	struct err err = ERR_INIT;
	struct store *st;
	struct told told;
	struct world w;

	(void)state;
	make_world(&w);
	st = reopen(w.mem);
	ok(store_key_add(st, STORE_READ | STORE_WRITE, NULL, "rw", &drawn, slot,
	    line, &err));
	store_close(st);
	secret.key_file = line;
	st = reopen_with(w.mem, &secret, 0);
	assert_int_equal(repair_in(st, true, false, NULL, &res, &told, &err),
	    -1);
	assert_int_equal(err.class, ERR_AUTH);
	store_close(st);
	backend_close(w.mem);
}

/* Damage of all sorts at once. */
static void damage_much(struct world *w)
{
	uint8_t head[FMT_SEGMENT_HEAD];
	struct fmt_segment_layout lay;
	struct fmt_segment_head h;
	struct err err = ERR_INIT;
	struct store_loc loc;
	char key[120];

	make_world(w);
	damage_blob(w->mem, w->id[0][2]);
	pack_of(w->mem, w->id[1][0], key, &loc);
	flip(w->mem, key, size_of(w->mem, key) - 3);
	snprintf(key, sizeof(key), "%s",
	    objects_of(w->mem, "index/").key[0]);
	/* In its filters: its entries are the only ones of that pack. */
	ok(backend_get(w->mem, key, 0, head, sizeof(head), &err));
	ok(fmt_segment_head_decode(head, sizeof(head), &h, &err));
	ok(fmt_segment_layout(&h, &lay, &err));
	flip(w->mem, key, lay.sec[FMT_SEC_F].off + 3);
}

static void a_dry_run_changes_nothing(void **state)
{
	struct store_repair_result res;
	struct told told;
	struct world w;
	uint64_t before;

	(void)state;
	damage_much(&w);
	before = digest_of(w.mem);
	res = repair(w.mem, true, true, NULL, &told);
	assert_true(told.damage >= 3);
	assert_true(res.indexed > 0 && res.removed == 1 && res.listed == 2);
	assert_true(digest_of(w.mem) == before);
	backend_close(w.mem);
}

/* --- faults --------------------------------------------------------------------------*/

struct trouble {
	uint64_t at;
	enum backend_fault fault;
	bool hit;
};

static enum backend_fault decide(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	struct trouble *t = ctx;

	(void)op;
	(void)key;
	/* From there on all of it: the store is gone, or stays full. */
	if (t->fault == BACKEND_FAULT_FULL && op != BACKEND_PUT)
		return BACKEND_FAULT_NONE;
	if (count < t->at || (t->fault == BACKEND_FAULT_AFTER && count > t->at))
		return BACKEND_FAULT_NONE;
	t->hit = true;
	return t->fault;
}

/* Every blob but the one that is damaged for good is there, before and after. */
static void repair_in_trouble(enum backend_fault fault)
{
	struct trouble t = { .fault = fault, .hit = true };

	for (t.at = 0; t.hit; t.at++) {
		struct store_repair_result res;
		struct err err = ERR_INIT;
		struct backend *be;
		struct store *st;
		struct told told;
		struct world w;

		damage_much(&w);
		t.hit = false;
		be = backend_fault_new(keep_new(w.mem), decide, &t, &err);
		assert_non_null(be);
		st = store_open(be, &by_pass, NULL, &err);
		if (st != NULL && repair_in(st, false, true, NULL, &res, &told,
		        &err) != 0) {
			if (err.class != ERR_TRANSIENT &&
			    err.class != ERR_FULL)
				fail_msg("at %u: %s", (unsigned)t.at, err.msg);
			if (fault == BACKEND_FAULT_FULL)
				assert_int_equal(err.class, ERR_FULL);
		}
		store_close(st);
		repair(w.mem, false, true, NULL, &told);
		expect_sound(w.mem);
		expect_blobs(&w, w.id[0][2]);
		backend_close(w.mem);
		if (t.at > 2000)
			fail_msg("no end of it");
	}
	print_message("%u operations\n", (unsigned)t.at);
}

static void a_store_that_goes_away_at_any_moment(void **state)
{
	(void)state;
	repair_in_trouble(BACKEND_FAULT_BEFORE);
}

static void an_answer_that_is_lost_at_any_moment(void **state)
{
	(void)state;
	repair_in_trouble(BACKEND_FAULT_AFTER);
}

static void a_store_that_is_full(void **state)
{
	(void)state;
	repair_in_trouble(BACKEND_FAULT_FULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_repository_is_left_alone),
		cmocka_unit_test(a_lost_index_is_rebuilt),
		cmocka_unit_test(a_damaged_segment_is_made_up_for_and_removed),
		cmocka_unit_test(a_newer_segment_is_left_alone),
		cmocka_unit_test(a_damaged_blob_is_listed_and_stored_again),
		cmocka_unit_test(what_is_whole_again_leaves_the_list),
		cmocka_unit_test(a_repair_reads_what_a_check_has_found),
		cmocka_unit_test(a_blob_that_is_nowhere_is_not_carried_over),
		cmocka_unit_test(the_good_one_of_two_copies_is_read),
		cmocka_unit_test(blobs_are_taken_out_of_a_damaged_pack),
		cmocka_unit_test(a_pack_cut_off_keeps_what_is_before_the_cut),
		cmocka_unit_test(a_missing_pack_is_listed),
		cmocka_unit_test(a_pack_that_was_collected_is_no_damage),
		cmocka_unit_test(a_list_that_is_not_complete_forbids_carrying_over),
		cmocka_unit_test(a_forged_list_is_passed_over),
		cmocka_unit_test(a_snapshot_that_lost_something_is_marked),
		cmocka_unit_test(a_damaged_config_goes_while_another_is_in_force),
		cmocka_unit_test(repair_needs_an_administrator),
		cmocka_unit_test(a_dry_run_changes_nothing),
		cmocka_unit_test(a_store_that_goes_away_at_any_moment),
		cmocka_unit_test(an_answer_that_is_lost_at_any_moment),
		cmocka_unit_test(a_store_that_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
