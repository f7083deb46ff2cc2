/*
 * Chosen interleavings of writers, collectors and others on the real code: the
 * traces by which the model (tests/model) rejects its mutants.  Each is named
 * after the rule that it shows; what is live must be whole at every moment.
 */

#include "tests/unit/store_actors.h"
#include "tests/unit/store_quiet.h"

struct stage {
	struct world w;
	struct task task[ACTORS];
};

static struct stage *stage_new(void)
{
	/* Of its own: what failed before may have actors that wait for ever. */
	struct stage *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	world_init(&s->w, 1);
	return s;
}

static struct actor *stage_add(struct stage *s, const char *name,
    void (*run)(struct actor *a), const struct task *t)
{
	struct task *mine = &s->task[s->w.s.n];

	*mine = *t;
	mine->w = &s->w;
	return sched_add(&s->w.s, name, run, mine, 0);
}

/* A writer of volume "a" that wants these chunks (one bit each). */
static struct actor *writer(struct stage *s, const char *name, uint64_t chunks,
    const char *parent)
{
	struct task t = { .volume = "a", .chunks = chunks, .parent = parent };

	return stage_add(s, name, run_writer, &t);
}

static struct actor *collector(struct stage *s, const char *name)
{
	struct task t = { .gc.max_waste = 20 };

	return stage_add(s, name, run_collector, &t);
}

/* The session that was committed last. */
static const char *newest(const struct stage *s)
{
	assert_true(s->w.ndone > 0);
	return s->w.done[s->w.ndone - 1];
}

static struct actor *forgetter(struct stage *s, const char *name,
    const char *session)
{
	struct task t = { .volume = NULL };

	snprintf(t.session, sizeof(t.session), "%s", session);
	return stage_add(s, name, run_forgetter, &t);
}

static struct task *task_of(struct actor *a)
{
	return a->arg;
}

/* Run it out; it must have succeeded. */
static void succeeds(struct stage *s, struct actor *a)
{
	run_out(a);
	world_judge(&s->w, a->name, 1);
	if (task_of(a)->result != 0)
		fail_msg("%s: %s", a->name, task_of(a)->err.msg);
}

static void collected(struct stage *s, struct actor *c,
    enum store_gc_outcome want)
{
	succeeds(s, c);
	assert_int_equal(task_of(c)->gc_result.outcome, want);
}

/* Snapshots of these chunks that were forgotten: indexed packs, all dead. */
static void leave_dead(struct stage *s, unsigned chunks)
{
	succeeds(s, writer(s, "W0", chunks, "none"));
	succeeds(s, forgetter(s, "F0", newest(s)));
}

static void stage_free(struct stage *s)
{
	world_release(&s->w);
	free(s);
}

/* All have ended: nothing is lost, nothing is left over. */
static void stage_end(struct stage *s)
{
	world_judge(&s->w, "until here", 1);
	world_quiet(&s->w, true);
	world_judge(&s->w, "in the end", 1);
	assert_true(s->w.looks > 0);
	stage_free(s);
}

/* --- R1, R2 ------------------------------------------------------------------------*/

static void r1_a_session_is_declared_before_gc_is_read(void **state)
{
	struct stage *s = stage_new();
	struct actor *w, *c;

	(void)state;
	leave_dead(s, 1);
	w = writer(s, "W", 1, "none");
	assert_true(run_until(w, "put", "sessions/"));
	c = collector(s, "C");
	assert_true(run_until(c, "del", "packs/"));
	succeeds(s, w);
	collected(s, c, STORE_GC_DONE);
	stage_end(s);
}

static void r2_what_a_list_names_is_stored_again(void **state)
{
	struct stage *s = stage_new();
	struct actor *c;

	(void)state;
	leave_dead(s, 1);
	c = collector(s, "C");
	/* R8: the lists are still there, too, or the writer could not know. */
	assert_true(run_until(c, "del", "packs/"));
	succeeds(s, writer(s, "W", 1, "none"));
	collected(s, c, STORE_GC_DONE);
	stage_end(s);
}

static int del_key(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	(void)bs;
	return backend_del(ctx, key, err) < 0 ? -1 : 0;
}

/*
 * gc takes what is gone out of the index before the lists go, so a pack that
 * is named and missing is another's doing, or an accident.
 */
static void r2_a_pack_that_is_gone_does_not_count(void **state)
{
	struct stage *s = stage_new();
	struct err err = ERR_INIT;
	struct actor *w;

	(void)state;
	leave_dead(s, 1);
	w = writer(s, "W", 1, "none");
	assert_true(run_until(w, "stat", "packs/"));
	ok(backend_list(s->w.s.mem, "packs/", del_key, s->w.s.mem, &err));
	succeeds(s, w);
	world_look(&s->w);
	world_judge(&s->w, "W", 1);
	stage_free(s);
}

/* --- R3, R11 -------------------------------------------------------------------------*/

static void r3_nothing_is_carried_over_past_an_open_mark(void **state)
{
	struct stage *s = stage_new();
	struct actor *w1, *w2, *c;

	(void)state;
	leave_dead(s, 1);
	w1 = writer(s, "W1", 1, "none");
	assert_true(run_until(w1, "put", "snapshots/"));
	c = collector(s, "C");
	assert_true(run_until(c, "list", "sessions/")); /* to tidy up */
	sched_step(c);
	assert_true(run_until(c, "list", "sessions/"));
	succeeds(s, w1);
	w2 = writer(s, "W2", 1, NULL);
	assert_true(run_until(w2, "put", "snapshots/"));
	succeeds(s, forgetter(s, "F", newest(s)));
	collected(s, c, STORE_GC_DONE);
	succeeds(s, w2);
	stage_end(s);
}

static void r3_a_parent_with_a_note_is_none(void **state)
{
	struct stage *s = stage_new();
	struct actor *f, *c;

	(void)state;
	succeeds(s, writer(s, "W0", 1, "none"));
	f = forgetter(s, "F", newest(s));
	assert_true(run_until(f, "del", "snapshots/"));
	c = collector(s, "C");
	assert_true(run_until(c, "del", "packs/"));
	succeeds(s, writer(s, "W", 1, NULL));
	collected(s, c, STORE_GC_DONE);
	succeeds(s, f);
	stage_end(s);
}

static void r11_a_checkpoint_is_a_parent_like_others(void **state)
{
	struct task t = { .volume = "a", .chunks = 1, .rounds = 2,
		.checkpoints = true };
	struct stage *s = stage_new();
	struct actor *w, *c;

	(void)state;
	leave_dead(s, 1);
	w = stage_add(s, "W", run_writer, &t);
	assert_true(run_until(w, "put", "snapshots/"));
	c = collector(s, "C");
	assert_true(run_until(c, "list", "sessions/"));
	sched_step(c);
	assert_true(run_until(c, "list", "sessions/"));
	sched_step(w); /* the checkpoint is there */
	assert_true(run_until(w, "put", "snapshots/"));
	succeeds(s, forgetter(s, "F", newest(s)));
	collected(s, c, STORE_GC_DONE);
	succeeds(s, w);
	stage_end(s);
}

/* --- R4, R5 ---------------------------------------------------------------------------*/

static void r4_there_is_one_generation_at_a_time(void **state)
{
	struct stage *s = stage_new();
	struct actor *w, *c;

	(void)state;
	leave_dead(s, 1);
	w = writer(s, "W", 2, "none");
	assert_true(run_until(w, "put", "snapshots/"));
	collected(s, collector(s, "C1"), STORE_GC_WAITING);
	collected(s, collector(s, "C2"), STORE_GC_WAITING);
	assert_int_equal(task_of(&s->w.s.a[s->w.s.n - 1])->gc_result.generation,
	    1);
	quiet_none(&s->w, "gc/0000000000000002", "");
	succeeds(s, w);
	/* Whoever comes next takes it over. */
	c = collector(s, "C3");
	collected(s, c, STORE_GC_DONE);
	assert_true(task_of(c)->gc_result.packs_deleted > 0);
	stage_end(s);
}

static void r4_a_verdict_is_carried_out_first(void **state)
{
	struct stage *s = stage_new();
	struct actor *c;

	(void)state;
	leave_dead(s, 3);
	c = collector(s, "C1");
	assert_true(run_until(c, "del", "packs/"));
	sched_step(c);
	sched_kill(c);
	c = collector(s, "C2");
	collected(s, c, STORE_GC_DONE);
	assert_true(task_of(c)->gc_result.packs_deleted > 0);
	stage_end(s);
}

static void r5_what_a_mark_did_not_list_stays(void **state)
{
	struct stage *s = stage_new();
	struct actor *w, *c;

	(void)state;
	leave_dead(s, 2);
	succeeds(s, writer(s, "W0", 1, "none"));
	c = collector(s, "C");
	assert_true(run_until(c, "put", "/mark"));
	sched_step(c);
	/* It declares this generation, so nobody waits for it. */
	w = writer(s, "W", 1, "none");
	assert_true(run_until(w, "put", "snapshots/"));
	succeeds(s, forgetter(s, "F", newest(s)));
	collected(s, c, STORE_GC_DONE);
	succeeds(s, w);
	stage_end(s);
}

static void r5_numbers_do_not_come_again(void **state)
{
	struct stage *s = stage_new();
	struct actor *w, *c;

	(void)state;
	leave_dead(s, 1);
	collected(s, collector(s, "C1"), STORE_GC_DONE);
	/* It declares 1; were the next generation 1 again, nobody would wait. */
	succeeds(s, writer(s, "W0", 2, "none"));
	succeeds(s, forgetter(s, "F", newest(s)));
	w = writer(s, "W", 2, "none");
	assert_true(run_until(w, "put", "snapshots/"));
	c = collector(s, "C2");
	collected(s, c, STORE_GC_WAITING);
	assert_int_equal(task_of(c)->gc_result.generation, 2);
	succeeds(s, w);
	stage_end(s);
}

/* --- R6 -----------------------------------------------------------------------------------*/

static void r6_who_does_not_know_of_the_mark_is_waited_for(void **state)
{
	struct stage *s = stage_new();
	struct actor *w;

	(void)state;
	leave_dead(s, 1);
	w = writer(s, "W", 1, "none");
	assert_true(run_until(w, "put", "snapshots/"));
	collected(s, collector(s, "C1"), STORE_GC_WAITING);
	succeeds(s, w);
	collected(s, collector(s, "C2"), STORE_GC_DONE);
	stage_end(s);
}

static void r6_sessions_are_listed_after_the_mark(void **state)
{
	struct stage *s = stage_new();
	struct actor *w, *c;

	(void)state;
	leave_dead(s, 1);
	c = collector(s, "C1");
	assert_true(run_until(c, "put", "/mark"));
	w = writer(s, "W", 1, "none");
	assert_true(run_until(w, "put", "snapshots/"));
	collected(s, c, STORE_GC_WAITING);
	succeeds(s, w);
	collected(s, collector(s, "C2"), STORE_GC_DONE);
	stage_end(s);
}

static void r6_who_was_silent_is_revoked_and_commits_nothing(void **state)
{
	for (unsigned lost = LOST_NOT; lost <= LOST_TWICE; lost++) {
		struct stage *s = stage_new();
		struct actor *w, *c;

		leave_dead(s, 1);
		w = writer(s, "W", 1, "none");
		assert_true(run_until(w, "put", "snapshots/"));
		sim_pass(29 * SIM_MIN);
		collected(s, collector(s, "C1"), STORE_GC_WAITING);
		sim_pass(2 * SIM_MIN);
		c = collector(s, "C2");
		collected(s, c, STORE_GC_DONE);
		assert_int_equal(task_of(c)->gc_result.sessions_revoked, 1);
		/* R9: whatever becomes of its put, it is told the truth. */
		s->w.s.lost = lost;
		run_out(w);
		assert_int_equal(task_of(w)->result, -1);
		assert_int_equal(task_of(w)->err.class, ERR_CONFLICT);
		stage_end(s);
	}
	(void)state;
}

/* --- R7 ---------------------------------------------------------------------------------*/

static void r7_what_was_committed_since_the_mark_is_reprieved(void **state)
{
	struct stage *s = stage_new();
	struct actor *w, *c;

	(void)state;
	leave_dead(s, 3);
	w = writer(s, "W", 1, "none");
	assert_true(run_until(w, "put", "snapshots/"));
	c = collector(s, "C");
	assert_true(run_until(c, "put", "/mark"));
	sched_step(c);
	succeeds(s, w);
	run_out(c);
	world_judge(&s->w, "C", 1);
	stage_end(s);
}

static void r7_who_loses_the_verdict_deletes_nothing(void **state)
{
	struct stage *s = stage_new();
	struct actor *w1, *c1, *c2;

	(void)state;
	leave_dead(s, 1);
	leave_dead(s, 2);
	w1 = writer(s, "W1", 1, "none");
	assert_true(run_until(w1, "put", "snapshots/"));
	collected(s, collector(s, "C0"), STORE_GC_WAITING);
	succeeds(s, w1);
	/* C2 reprieves what W1 uses, C1 comes when that is forgotten. */
	c2 = collector(s, "C2");
	assert_true(run_until(c2, "put", "/verdict"));
	succeeds(s, forgetter(s, "F", newest(s)));
	c1 = collector(s, "C1");
	assert_true(run_until(c1, "put", "/verdict"));
	sched_step(c2);
	/* By the list that C2's verdict names, the chunk is there. */
	succeeds(s, writer(s, "W2", 1, "none"));
	run_out(c1);
	world_judge(&s->w, "C1", 1);
	run_out(c2);
	stage_end(s);
}

static void r7_a_repacked_pack_keeps_what_the_mark_did_not_list(void **state)
{
	struct stage *s = stage_new();
	struct actor *w, *c;

	(void)state;
	succeeds(s, writer(s, "W0", 0x3ff, "none"));
	succeeds(s, writer(s, "W1", 0x003, "none"));
	succeeds(s, forgetter(s, "F0", s->w.done[0]));
	c = collector(s, "C");
	assert_true(run_until(c, "put", "/mark"));
	sched_step(c);
	/* It finds by the list that chunk 0 is alive. */
	w = writer(s, "W2", 0x001, "none");
	assert_true(run_until(w, "put", "snapshots/"));
	succeeds(s, forgetter(s, "F1", newest(s)));
	collected(s, c, STORE_GC_DONE);
	assert_true(task_of(c)->gc_result.packs_repacked > 0);
	succeeds(s, w);
	stage_end(s);
}

/* --- R8 -------------------------------------------------------------------------------------*/

/* The packs that hold data, by their keys. */
static unsigned data_packs(struct stage *s, char key[][FMT_KEY_MAX], unsigned max)
{
	struct store *st = world_aside(&s->w);
	struct store_lookup lk;
	struct store_loc loc;
	struct err err = ERR_INIT;
	unsigned n = 0;

	ok(store_index_refresh(st, 0, &err));
	store_lookup_begin(st, &lk, s->w.id[0], UINT32_MAX, false);
	while (n < max && store_lookup_next(st, &lk, &loc, &err) == 0)
		store_pack_name(st, loc.pack, key[n++], FMT_KEY_MAX);
	store_lookup_end(st, &lk);
	store_close(st);
	return n;
}

static void r8_a_damaged_copy_replaces_none(void **state)
{
	for (unsigned bad = 0; bad < 2; bad++) {
		struct stage *s = stage_new();
		struct actor *w1, *w2;
		char key[3][FMT_KEY_MAX];
		struct err err = ERR_INIT;
		uint8_t *data;
		size_t len;

		/* Two that do not know of each other store the same. */
		w1 = writer(s, "W1", 1, "none");
		w2 = writer(s, "W2", 1, "none");
		assert_true(run_until(w1, "put", "packs/"));
		succeeds(s, w2);
		succeeds(s, w1);
		assert_int_equal(data_packs(s, key, 3), 2);
		ok(backend_get_all(s->w.s.mem, key[bad], 1 << 20, &data, &len,
		    &err));
		/* In the blob, which comes after the pack's head. */
		data[400] ^= 1;
		ok(backend_put_over(s->w.s.mem, key[bad], data, len, &err));
		free(data);
		run_out(collector(s, "C"));
		world_look(&s->w);
		world_judge(&s->w, "after gc", 1);
		stage_free(s);
	}
	(void)state;
}

/* --- R9, R10 ----------------------------------------------------------------------*/

static void r9_a_lost_answer_is_settled_by_looking(void **state)
{
	for (unsigned lost = LOST_ANSWER; lost <= LOST_TWICE; lost++) {
		struct stage *s = stage_new();

		s->w.s.lost = lost;
		succeeds(s, writer(s, "W", 1, "none"));
		assert_int_equal(s->w.s.nlate, lost != LOST_ANSWER);
		stage_end(s);
	}
	(void)state;
}

static void r10_a_commit_that_comes_twice_stays_forgotten(void **state)
{
	for (int when = 0; when < 3; when++) {
		struct stage *s = stage_new();
		struct actor *f;

		s->w.s.lost = LOST_TWICE;
		succeeds(s, writer(s, "W", 1, "none"));
		f = forgetter(s, "F", newest(s));
		assert_true(run_until(f, "del", "snapshots/"));
		if (when == 0)
			late_take(&s->w.s, 0, true);
		sched_step(f);
		if (when == 1)
			late_take(&s->w.s, 0, true);
		succeeds(s, f);
		collected(s, collector(s, "C1"), STORE_GC_DONE);
		if (when == 2)
			late_take(&s->w.s, 0, true);
		/* And when its note goes, it does not come back, either. */
		sim_pass(31 * SIM_DAY);
		succeeds(s, collector(s, "C2"));
		quiet_none(&s->w, "forgotten/", "");
		quiet_none(&s->w, "snapshots/", "");
		stage_end(s);
	}
	(void)state;
}

/* --- the index --------------------------------------------------------------------*/

static struct actor *merger(struct stage *s, const char *name, bool force)
{
	struct task t = { .force = force };

	return stage_add(s, name, run_merger, &t);
}

static void who_loses_the_manifest_removes_nothing(void **state)
{
	struct stage *s = stage_new();
	struct actor *m1, *m2;

	(void)state;
	succeeds(s, writer(s, "W1", 1, "none"));
	succeeds(s, writer(s, "W2", 2, "none"));
	m2 = merger(s, "M2", true);
	assert_true(run_until(m2, "put", "index/manifest/"));
	/* What comes now is known to M1 alone, and M2 is faster. */
	succeeds(s, writer(s, "W3", 4, "none"));
	m1 = merger(s, "M1", true);
	assert_true(run_until(m1, "put", "index/manifest/"));
	sched_step(m2);
	run_out(m1);
	world_look(&s->w);
	world_judge(&s->w, "M1", 1);
	run_out(m2);
	stage_end(s);
}

/* The number that it waits to put has come and gone meanwhile. */
static void an_old_manifest_removes_nothing(void **state)
{
	struct stage *s = stage_new();
	struct actor *m;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		succeeds(s, writer(s, "W", 1u << i, "none"));
	/* A large segment, which merges by size leave alone. */
	succeeds(s, writer(s, "W", UINT64_MAX, "none"));
	m = merger(s, "M1", true);
	assert_true(run_until(m, "put", "index/manifest/"));
	succeeds(s, merger(s, "M2", false));
	for (unsigned i = 4; i < 8; i++)
		succeeds(s, writer(s, "W", 1u << i, "none"));
	succeeds(s, merger(s, "M3", false));
	assert_false(quiet_there(&s->w, "index/manifest/0000000000000001"));
	assert_true(quiet_there(&s->w, "index/manifest/0000000000000002"));
	run_out(m);
	world_look(&s->w);
	world_judge(&s->w, "M1", 1);
	stage_end(s);
}

static void a_reader_sees_all_while_the_index_is_merged(void **state)
{
	for (unsigned at = 0; at < 3; at++) {
		static const char *const before[] = { "index/", "index/manifest/",
			"snapshots/" };
		struct task t = { .rounds = 0 };
		struct stage *s = stage_new();
		struct actor *r;

		succeeds(s, writer(s, "W1", 1, "none"));
		succeeds(s, writer(s, "W2", 3, "none"));
		r = stage_add(s, "R", run_reader, &t);
		run_until(r, "list", before[at]);
		if (!r->done)
			sched_step(r);
		succeeds(s, merger(s, "M", true));
		succeeds(s, r);
		stage_end(s);
	}
	(void)state;
}

/*
 * Its pack was moved, and the segment that tells where to is merged away before
 * it is read.
 */
static void a_reader_lists_again_while_segments_go(void **state)
{
	(void)state;
	for (unsigned steps = 0; steps < 10; steps++) {
		struct task t = { .rounds = 0 };
		struct stage *s = stage_new();
		struct actor *r, *c;

		succeeds(s, writer(s, "W0", 0x3ff, "none"));
		succeeds(s, writer(s, "W1", 0x003, "none"));
		/* So many that gc merges its own segment, too. */
		for (unsigned i = 10; i < 14; i++)
			succeeds(s, writer(s, "W", 1u << i, "none"));
		succeeds(s, forgetter(s, "F", s->w.done[0]));
		r = stage_add(s, "R", run_reader, &t);
		assert_true(run_until(r, "get", "packs/"));
		c = collector(s, "C");
		assert_true(run_until(c, "put", "index/manifest/"));
		assert_true(run_until(r, "list", "index/manifest/"));
		for (unsigned i = 0; i < steps && !r->done; i++)
			sched_step(r);
		collected(s, c, STORE_GC_DONE);
		succeeds(s, r);
		stage_end(s);
	}
}

static void reads_packs(struct actor *r, unsigned n)
{
	for (unsigned i = 0; i < n && !r->done; i++) {
		run_until(r, "get", "packs/");
		sched_step(r);
	}
}

/* However young its listing is, it is older than what happened after it. */
static void a_reader_lists_again_at_once_when_a_pack_went(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		struct task t = { .rounds = 0 };
		struct stage *s = stage_new();
		struct actor *r;

		succeeds(s, writer(s, "W0", 0xfff, "none"));
		succeeds(s, writer(s, "W1", 0x03f, "none"));
		succeeds(s, writer(s, "W2", 0x007, "none"));
		succeeds(s, forgetter(s, "F", s->w.done[0]));
		r = stage_add(s, "R", run_reader, &t);
		reads_packs(r, i % 10);
		collected(s, collector(s, "C0"), STORE_GC_DONE);
		reads_packs(r, i / 10);
		succeeds(s, forgetter(s, "F1", s->w.done[1]));
		collected(s, collector(s, "C1"), STORE_GC_DONE);
		succeeds(s, r);
		stage_end(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(r1_a_session_is_declared_before_gc_is_read),
		cmocka_unit_test(r2_what_a_list_names_is_stored_again),
		cmocka_unit_test(r2_a_pack_that_is_gone_does_not_count),
		cmocka_unit_test(r3_nothing_is_carried_over_past_an_open_mark),
		cmocka_unit_test(r3_a_parent_with_a_note_is_none),
		cmocka_unit_test(r11_a_checkpoint_is_a_parent_like_others),
		cmocka_unit_test(r4_there_is_one_generation_at_a_time),
		cmocka_unit_test(r4_a_verdict_is_carried_out_first),
		cmocka_unit_test(r5_what_a_mark_did_not_list_stays),
		cmocka_unit_test(r5_numbers_do_not_come_again),
		cmocka_unit_test(r6_who_does_not_know_of_the_mark_is_waited_for),
		cmocka_unit_test(r6_sessions_are_listed_after_the_mark),
		cmocka_unit_test(r6_who_was_silent_is_revoked_and_commits_nothing),
		cmocka_unit_test(r7_what_was_committed_since_the_mark_is_reprieved),
		cmocka_unit_test(r7_who_loses_the_verdict_deletes_nothing),
		cmocka_unit_test(r7_a_repacked_pack_keeps_what_the_mark_did_not_list),
		cmocka_unit_test(r8_a_damaged_copy_replaces_none),
		cmocka_unit_test(r9_a_lost_answer_is_settled_by_looking),
		cmocka_unit_test(r10_a_commit_that_comes_twice_stays_forgotten),
		cmocka_unit_test(who_loses_the_manifest_removes_nothing),
		cmocka_unit_test(an_old_manifest_removes_nothing),
		cmocka_unit_test(a_reader_sees_all_while_the_index_is_merged),
		cmocka_unit_test(a_reader_lists_again_while_segments_go),
		cmocka_unit_test(a_reader_lists_again_at_once_when_a_pack_went),
	};

	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	/* And where reads are made before they are needed. */
	world_readers = STORE_READERS_INLINE;
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
