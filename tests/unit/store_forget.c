/* Who is writing, ending it, forgetting, and what goes with time. */

#include "repo/base/clock.h"
#include "repo/store/store_forget.h"
#include "repo/store/store_sessions.h"
#include "tests/unit/store_attack.h"

#define DAY ((int64_t)86400 * 1000000000)

/* --- a store whose clock can be set ------------------------------------------*/

static int64_t store_ahead;

static int ahead_stat(struct backend *be, const char *key,
    struct backend_stat *ret, struct err *err)
{
	int r = backend_stat(keep_in(be), key, ret, err);

	/* Times are as they were; only what is new is seen by the new clock. */
	if (r == 0 && strncmp(key, "probe/", 6) == 0)
		ret->mtime_ns += store_ahead;
	return r;
}

/* A store in memory whose own time is store_ahead of ours. */
static struct store *reopen_ahead(struct backend *mem)
{
	static struct backend_ops ops;
	struct backend *be = keep_new(mem);
	struct store_options opt = { .memory = 0 };
	struct err err = ERR_INIT;
	struct store *st;

	ops = keep_ops;
	ops.stat = ahead_stat;
	be->ops = &ops;
	st = store_open(be, &by_pass, &opt, &err);
	if (st == NULL)
		fail_msg("store_open: %s", err.msg);
	return st;
}

/* --- looking --------------------------------------------------------------------*/

struct seen { struct store_session_info v[16]; char host[16][32]; size_t n; };

static int see(void *ctx, const struct store_session_info *s, struct err *err)
{
	struct seen *l = ctx;

	(void)err;
	assert_true(l->n < 16);
	snprintf(l->host[l->n], 32, "%s", s->host);
	l->v[l->n++] = *s;
	return 0;
}

static void look(struct store *st, struct seen *l)
{
	struct err err = ERR_INIT;

	l->n = 0;
	ok(store_sessions(st, see, l, &err));
}

static bool there(struct backend *mem, const char *key)
{
	struct backend_stat bs;
	struct err err = ERR_INIT;
	int r = backend_stat(mem, key, &bs, &err);

	assert_true(r >= 0);
	return r == 0;
}

static int count_one(void *ctx, struct store_snapshot **sn, struct err *err)
{
	(void)sn;
	(void)err;
	(*(int *)ctx)++;
	return 0;
}

static int snapshots_of(struct store *st)
{
	struct err err = ERR_INIT;
	int n = 0;

	ok(store_snapshots(st, true, count_one, NULL, &n, &err));
	return n;
}

/* A session of `volume` that is begun and, unless open, committed. */
static struct store_session *begin_volume(struct store *st, const char *volume)
{
	struct store_session_options opt = {
		.volume = volume, .host = "host", .content = STORE_TREE,
		.parent = "auto", .pack_buffers = 5,
	};
	struct err err = ERR_INIT;
	struct store_session *s = store_session_begin(st, &opt, &err);

	if (s == NULL)
		fail_msg("store_session_begin: %s", err.msg);
	return s;
}

static void commit_as(struct store_session *s, bool checkpoint)
{
	struct store_commit c = { .checkpoint = checkpoint, .size = 1 };
	struct err err = ERR_INIT;
	char id[17];

	ok(store_session_commit(s, &c, id, &err));
}

/* The key, under place, of what the l->v[i] names. */
static const char *key_of(const char *place, const struct store_session_info *s)
{
	static char key[FMT_KEY_MAX];
	char slot[FMT_HEX_SLOT];

	hex_encode(slot, s->slot, STORE_SLOT_LEN);
	snprintf(key, sizeof(key), "%s/%s/%s", place, slot, s->session);
	return key;
}

static void sessions_are_told_with_what_they_are(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_session *s = begin(st);
	struct err err = ERR_INIT;
	struct seen l;

	(void)state;
	look(st, &l);
	assert_int_equal(l.n, 1);
	assert_true(l.v[0].believed);
	assert_false(l.v[0].powerless);
	assert_int_equal(l.v[0].state, STORE_SESSION_OPEN);
	assert_string_equal(l.host[0], "host");
	assert_true(llabs(l.v[0].modified_ns - clock_real_ns()) < DAY);
	commit_as(s, false);
	look(st, &l);
	assert_int_equal(l.v[0].state, STORE_SESSION_OVER);
	assert_int_equal(store_session_revoke(st, l.v[0].slot, l.v[0].session,
	    1, &err), 1);
	ok(store_forget(st, l.v[0].slot, l.v[0].session, "test", &err));
	look(st, &l);
	assert_int_equal(l.v[0].state, STORE_SESSION_NOTED);
	assert_int_equal(store_session_revoke(st, l.v[0].slot, l.v[0].session,
	    1, &err), 1);
	s = begin(st);
	look(st, &l);
	assert_int_equal(l.n, 2);
	/* Both may have begun in one ms: the first has no snapshot any more. */
	assert_true(strcmp(l.v[0].session + 17, l.v[1].session + 17) < 0);
	assert_true((l.v[0].state == STORE_SESSION_OPEN) !=
	    (l.v[1].state == STORE_SESSION_OPEN));
	store_session_abort(s);
	store_close(st);
	backend_close(mem);
}

static void a_revoked_session_is_over_for_good(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem), *node;
	struct store_session *s = begin(st);
	struct store_commit c = { .size = 1 };
	char slot[17], line[128], id[17];
	struct err err = ERR_INIT;
	struct seen l;

	(void)state;
	look(st, &l);
	add_file(mem, STORE_WRITE, slot, line);
	node = open_file(mem, line);
	assert_int_equal(store_session_revoke(node, l.v[0].slot,
	    l.v[0].session, 1, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	store_close(node);
	ok(store_session_revoke(st, l.v[0].slot, l.v[0].session, 1, &err));
	assert_int_equal(store_session_revoke(st, l.v[0].slot, l.v[0].session,
	    1, &err), 1);
	look(st, &l);
	assert_int_equal(l.v[0].state, STORE_SESSION_REVOKED);
	assert_int_equal(store_session_commit(s, &c, id, &err), -1);
	assert_int_equal(err.class, ERR_CONFLICT);
	/* Forgetting it changes nothing: the revocation is what ended it. */
	assert_int_equal(store_forget(st, l.v[0].slot, l.v[0].session, "no",
	    &err), 1);
	assert_true(there(mem, key_of("snapshots", &l.v[0])));
	assert_false(there(mem, key_of("forgotten", &l.v[0])));
	l.v[0].session[40] = l.v[0].session[40] == '0' ? '1' : '0';
	assert_int_equal(store_session_revoke(st, l.v[0].slot, l.v[0].session,
	    1, &err), -1);
	assert_int_equal(err.class, ERR_NOTFOUND);
	store_close(st);
	backend_close(mem);
}

/* --- what nobody signed -------------------------------------------------------------*/

static void rubbish_sessions_are_told_for_what_they_are(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	char name[FMT_SESSION_MAX], key[FMT_KEY_MAX];
	static const uint8_t nobody[STORE_SLOT_LEN] = { 1, 2, 3 };
	struct err err = ERR_INIT;
	uint64_t removed;
	struct seen l;

	(void)state;
	make_name(st, 1000, 7, name);
	fmt_key_session(key, st->info.slot, name);
	ok(backend_put(mem, key, "rubbish", 7, &err));
	make_name(st, 2000, 8, name);
	fmt_key_session(key, nobody, name);
	ok(backend_put(mem, key, "", 0, &err));
	look(st, &l);
	assert_int_equal(l.n, 2);
	assert_false(l.v[0].believed || l.v[1].believed);
	assert_int_equal(l.v[0].start_ns, 1000 * 1000000);
	assert_false(l.v[0].powerless);
	assert_true(l.v[1].powerless);
	/* Who could still commit has to be revoked before its object goes. */
	ok(store_forget_superseded(st, &removed, &err));
	assert_int_equal(removed, 1);
	look(st, &l);
	assert_int_equal(l.n, 1);
	ok(store_session_revoke(st, l.v[0].slot, l.v[0].session, 1, &err));
	ok(store_forget_superseded(st, &removed, &err));
	assert_int_equal(removed, 1);
	look(st, &l);
	assert_int_equal(l.n, 0);
	store_close(st);
	backend_close(mem);
}

static void a_writer_of_an_ended_slot_holds_nobody_up(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem), *node;
	struct store_remove_result res;
	struct store_session *s;
	struct err err = ERR_INIT;
	char slot[17], line[128];
	uint64_t removed;
	struct seen l;

	(void)state;
	add_file(mem, STORE_WRITE, slot, line);
	node = open_file(mem, line);
	s = begin(node);
	ok(store_key_remove(st, slot, false, &res, &err));
	look(st, &l);
	assert_int_equal(l.n, 1);
	assert_true(l.v[0].powerless);
	ok(store_forget_superseded(st, &removed, &err));
	assert_int_equal(removed, 1);
	store_session_abort(s);
	store_close(node);
	store_close(st);
	backend_close(mem);
}

static void rubbish_in_the_way_keeps_nothing_from_being_forgotten(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_session *s = begin(st);
	struct err err = ERR_INIT;
	struct seen l;

	(void)state;
	commit_as(s, false);
	look(st, &l);
	ok(backend_put(mem, key_of("forgotten", &l.v[0]), "rubbish", 7, &err));
	assert_int_equal(snapshots_of(st), 1);
	ok(store_forget(st, l.v[0].slot, l.v[0].session, "test", &err));
	assert_int_equal(snapshots_of(st), 0);
	assert_false(there(mem, key_of("snapshots", &l.v[0])));
	assert_int_equal(store_snapshot_noted(st, key_of("forgotten", &l.v[0]),
	    &err), 1);
	store_close(st);
	backend_close(mem);
}

/* Rubbish took a running session's key; it is removed, and the note expires. */
static void a_session_whose_key_was_taken_never_commits(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_session *s = begin(st);
	struct store_commit c = { .size = 1 };
	struct err err = ERR_INIT;
	uint64_t removed;
	char id[17];
	struct seen l;

	(void)state;
	look(st, &l);
	ok(backend_put(mem, key_of("snapshots", &l.v[0]), "rubbish", 7, &err));
	look(st, &l);
	assert_int_equal(l.v[0].state, STORE_SESSION_OVER);
	ok(store_forget(st, l.v[0].slot, l.v[0].session, "rubbish", &err));
	ok(store_forget_expire(st, 0, &removed, &err));
	assert_int_equal(removed, 1);
	assert_int_equal(store_session_commit(s, &c, id, &err), -1);
	assert_int_equal(err.class, ERR_CONFLICT);
	assert_int_equal(snapshots_of(st), 0);
	store_close(st);
	backend_close(mem);
}

/* --- forgetting ---------------------------------------------------------------------*/

static uint64_t fail_at;
static enum backend_fault fail_how;

static enum backend_fault fail_nth(void *ctx, enum backend_op op,
    const char *key, uint64_t count)
{
	uint64_t *from = ctx;

	(void)op;
	(void)key;
	if (*from == UINT64_MAX)
		*from = count;
	return count - *from >= fail_at ? fail_how : BACKEND_FAULT_NONE;
}

/* A store whose calls fail from fail_at on; *from is to be set when it counts. */
static struct store *reopen_failing(struct backend *mem, uint64_t *from)
{
	struct store_options opt = { .memory = 0 };
	struct err err = ERR_INIT;
	struct store *st;

	*from = 0;
	fail_how = BACKEND_FAULT_NONE;
	st = store_open(backend_fault_new(keep_new(mem), fail_nth, from, &err),
	    &by_pass, &opt, &err);
	if (st == NULL)
		fail_msg("store_open: %s", err.msg);
	return st;
}

/*
 * Every call from the n-th on fails, before or after it was done: what is left
 * is a snapshot without note, or a note; never a snapshot gone without note.
 */
static void a_note_is_there_before_its_snapshot_goes(void **state)
{
	bool done = false;

	(void)state;
	for (fail_at = 0; !done; fail_at++) {
		for (int how = 0; how < 2; how++) {
			struct backend *mem = new_repository();
			struct err err = ERR_INIT;
			struct store *st = reopen(mem), *bad;
			uint64_t from;
			uint8_t slot[8];
			struct seen l;
			char *snapshot, *note;
			int r;

			commit_as(begin(st), false);
			look(st, &l);
			memcpy(slot, l.v[0].slot, 8);
			snapshot = strdup(key_of("snapshots", &l.v[0]));
			note = strdup(key_of("forgotten", &l.v[0]));
			bad = reopen_failing(mem, &from);
			from = UINT64_MAX;
			fail_how = how ? BACKEND_FAULT_AFTER :
			    BACKEND_FAULT_BEFORE;
			r = store_forget(bad, slot, l.v[0].session, "x", &err);
			assert_true(there(mem, snapshot) || there(mem, note));
			done = r == 0;
			store_close(bad);
			/* Again, and all is well. */
			assert_true(store_forget(st, slot, l.v[0].session,
			    "x", &err) >= 0);
			assert_int_equal(snapshots_of(st), 0);
			assert_true(there(mem, note));
			free(snapshot);
			free(note);
			store_close(st);
			backend_close(mem);
		}
	}
	assert_true(fail_at > 3);
}

/* Ended at any call, it leaves nothing that would bring a snapshot back. */
static void what_goes_with_time_can_be_ended_anywhere(void **state)
{
	bool done = false;

	(void)state;
	for (fail_at = 0; !done; fail_at++) {
		for (int how = 0; how < 2; how++) {
			struct backend *mem = new_repository();
			struct store *st = reopen(mem), *bad;
			struct err err = ERR_INIT;
			uint64_t from, n;
			struct seen l;
			uint8_t *obj;
			size_t len;
			int r;

			/* A commit that arrives twice, and a checkpoint. */
			commit_as(begin_volume(st, "one"), false);
			look(st, &l);
			ok(backend_get_all(mem, key_of("snapshots", &l.v[0]),
			    1 << 20, &obj, &len, &err));
			ok(store_forget(st, l.v[0].slot, l.v[0].session, "x",
			    &err));
			ok(backend_put(mem, key_of("snapshots", &l.v[0]), obj,
			    len, &err));
			commit_as(begin_volume(st, "two"), true);
			commit_as(begin_volume(st, "two"), false);
			bad = reopen_failing(mem, &from);
			from = UINT64_MAX;
			fail_how = how ? BACKEND_FAULT_AFTER :
			    BACKEND_FAULT_BEFORE;
			r = store_forget_superseded(bad, &n, &err);
			if (r == 0)
				r = store_forget_expire(bad, 0, &n, &err);
			assert_in_range(snapshots_of(st), 1, 2);
			done = r == 0;
			store_close(bad);
			ok(store_forget_superseded(st, &n, &err));
			ok(store_forget_expire(st, 0, &n, &err));
			assert_int_equal(snapshots_of(st), 1);
			look(st, &l);
			assert_int_equal(l.n, 0);
			free(obj);
			store_close(st);
			backend_close(mem);
		}
	}
	assert_true(fail_at > 8);
}

/* --- forgotten while it is looked at -------------------------------------------*/

struct between {
	struct keep k;
	struct store *other;   /* forgets */
	struct seen seen;      /* what */
	bool done;
};

static int between_stat(struct backend *be, const char *key,
    struct backend_stat *ret, struct err *err)
{
	struct between *b = (struct between *)be;

	if (b->other != NULL && !b->done &&
	    strncmp(key, "snapshots/", 10) == 0) {
		b->done = true;
		assert_int_equal(store_forget(b->other, b->seen.v[0].slot,
		    b->seen.v[0].session, "x", err), 0);
	}
	return backend_stat(b->k.inner, key, ret, err);
}

static void a_session_is_not_open_while_its_snapshot_is_forgotten(void **state)
{
	static struct backend_ops ops;
	struct backend *mem = new_repository();
	struct between *b = calloc(1, sizeof(*b));
	struct store_options opt = { .memory = 0 };
	struct err err = ERR_INIT;
	struct store *st, *other = reopen(mem);
	struct seen l;

	(void)state;
	assert_non_null(b);
	ops = keep_ops;
	ops.stat = between_stat;
	b->k.be.ops = &ops;
	b->k.be.name = strdup("memory");
	b->k.inner = mem;
	commit_as(begin(other), false);
	st = store_open(&b->k.be, &by_pass, &opt, &err);
	assert_non_null(st);
	look(other, &b->seen);
	b->other = other;
	look(st, &l);
	assert_true(b->done);
	assert_int_equal(l.v[0].state, STORE_SESSION_NOTED);
	store_close(st);
	store_close(other);
	backend_close(mem);
}

/* A commit that arrives a second time brings nothing back (R10). */
static void a_commit_that_arrives_twice_stays_forgotten(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen_ahead(mem);
	struct err err = ERR_INIT;
	uint64_t removed;
	struct seen l;
	uint8_t *obj;
	size_t len;

	(void)state;
	store_ahead = 0;
	commit_as(begin(st), false);
	look(st, &l);
	ok(backend_get_all(mem, key_of("snapshots", &l.v[0]), 1 << 20, &obj,
	    &len, &err));
	ok(store_forget(st, l.v[0].slot, l.v[0].session, "test", &err));
	ok(backend_put(mem, key_of("snapshots", &l.v[0]), obj, len, &err));
	assert_int_equal(snapshots_of(st), 0);
	ok(store_forget_expire(st, 30 * DAY, &removed, &err));
	assert_int_equal(removed, 0);
	assert_true(there(mem, key_of("forgotten", &l.v[0])));
	ok(store_forget_expire(st, 0, &removed, &err));
	assert_int_equal(removed, 1);
	assert_false(there(mem, key_of("forgotten", &l.v[0])));
	assert_false(there(mem, key_of("snapshots", &l.v[0])));
	assert_false(there(mem, key_of("sessions", &l.v[0])));
	assert_int_equal(snapshots_of(st), 0);
	free(obj);
	store_close(st);
	backend_close(mem);
}

/* A note goes when both clocks say that it is old. */
static void a_clock_that_jumps_removes_no_note(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen_ahead(mem);
	struct fmt_note n = { .epoch = 1, .reason = fmt_str("test") };
	struct err err = ERR_INIT;
	char key[FMT_KEY_MAX];
	uint64_t removed;
	int64_t now;

	(void)state;
	for (int own = 0; own < 2; own++) {
		for (int its = 0; its < 2; its++) {
			struct buf obj = BUF_INIT;

			make_name(st, 5000, 9, n.session);
			fmt_key_note(key, st->info.slot, n.session);
			n.time_ns = clock_real_ns() - (own ? 40 : 0) * DAY;
			ok(fmt_note_encode(&obj, &n, &err));
			ok(store_admin_put(st, key, &obj, &err));
			store_ahead = its ? 40 * DAY : 0;
			ok(store_clock(st, &now, &err));
			assert_true(llabs(now - clock_real_ns() - store_ahead) <
			    DAY);
			ok(store_forget_expire(st, 30 * DAY, &removed, &err));
			assert_int_equal(removed, own && its);
			assert_int_equal(there(mem, key), !(own && its));
			backend_del(mem, key, &err);
			buf_release(&obj);
		}
	}
	/* Rubbish has no time of its own; it takes no snapshot along. */
	commit_as(begin(st), false);
	{
		struct seen l;

		look(st, &l);
		ok(backend_put(mem, key_of("forgotten", &l.v[0]), "x", 1, &err));
		store_ahead = 0;
		ok(store_forget_expire(st, 30 * DAY, &removed, &err));
		assert_int_equal(removed, 0);
		store_ahead = 40 * DAY;
		ok(store_forget_expire(st, 30 * DAY, &removed, &err));
		assert_int_equal(removed, 1);
		assert_int_equal(snapshots_of(st), 1);
	}
	store_close(st);
	backend_close(mem);
}

/* --- checkpoints -------------------------------------------------------------------*/

static void a_later_commit_supersedes_checkpoints_of_its_chain(void **state)
{
	struct backend *mem = new_repository();
	char slot[17], line[128];
	struct store *st = reopen(mem), *node;
	struct err err = ERR_INIT;
	uint64_t removed;
	struct seen l;

	(void)state;
	add_file(mem, STORE_WRITE, slot, line);
	node = open_file(mem, line);
	commit_as(begin_volume(st, "one"), true);
	commit_as(begin_volume(st, "one"), true);
	commit_as(begin_volume(st, "two"), true);
	commit_as(begin_volume(node, "one"), true);
	ok(store_forget_superseded(st, &removed, &err));
	assert_int_equal(removed, 4); /* four session objects, no checkpoint */
	assert_int_equal(snapshots_of(st), 4);
	commit_as(begin_volume(st, "one"), false);
	ok(store_forget_superseded(st, &removed, &err));
	assert_int_equal(removed, 3);
	assert_int_equal(snapshots_of(st), 3);
	/* A checkpoint after the commit is of the run that follows. */
	commit_as(begin_volume(st, "one"), true);
	ok(store_forget_superseded(st, &removed, &err));
	assert_int_equal(snapshots_of(st), 4);
	look(st, &l);
	assert_int_equal(l.n, 0);
	store_close(node);
	store_close(st);
	backend_close(mem);
}

static void an_open_session_keeps_its_object(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_session *s = begin(st);
	struct err err = ERR_INIT;
	uint64_t removed;
	struct seen l;

	(void)state;
	ok(store_forget_superseded(st, &removed, &err));
	assert_int_equal(removed, 0);
	look(st, &l);
	assert_int_equal(l.n, 1);
	store_session_abort(s);
	store_close(st);
	backend_close(mem);
}

/* --- clocks ---------------------------------------------------------------------------*/

/* A snapshot that is named a year ahead: the next ones are named after it. */
static void names_go_forward_when_the_clock_goes_back(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	uint64_t ahead = (uint64_t)((clock_real_ns() + 365 * DAY) / 1000000);
	char name[FMT_SESSION_MAX], key[FMT_KEY_MAX];
	struct fmt_session_name n;
	struct err err = ERR_INIT;
	struct seen l;

	(void)state;
	make_name(st, ahead, 3, name);
	fmt_key_snapshot(key, st->info.slot, name);
	forge_snapshot(st, key, NULL);
	commit_as(begin(st), false);
	commit_as(begin(st), false);
	look(st, &l);
	assert_int_equal(l.n, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(fmt_session_parse(l.v[i].session, &n), 0);
		assert_int_equal(n.start_ms, ahead + 1 + i);
		/* People are told the writer's own time. */
		assert_true(llabs(l.v[i].start_ns - clock_real_ns()) < DAY);
	}
	/* Once the one of the wrong time is forgotten, and what came after it. */
	ok(store_forget(st, st->info.slot, name, "its clock was wrong", &err));
	for (size_t i = 0; i < 2; i++)
		ok(store_forget(st, st->info.slot, l.v[i].session, "x", &err));
	commit_as(begin(st), false);
	look(st, &l);
	assert_int_equal(fmt_session_parse(l.v[0].session, &n), 0);
	assert_true(n.start_ms < ahead);
	store_close(st);
	backend_close(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_are_told_with_what_they_are),
		cmocka_unit_test(a_revoked_session_is_over_for_good),
		cmocka_unit_test(rubbish_sessions_are_told_for_what_they_are),
		cmocka_unit_test(a_writer_of_an_ended_slot_holds_nobody_up),
		cmocka_unit_test(
		    rubbish_in_the_way_keeps_nothing_from_being_forgotten),
		cmocka_unit_test(a_session_whose_key_was_taken_never_commits),
		cmocka_unit_test(a_note_is_there_before_its_snapshot_goes),
		cmocka_unit_test(what_goes_with_time_can_be_ended_anywhere),
		cmocka_unit_test(
		    a_session_is_not_open_while_its_snapshot_is_forgotten),
		cmocka_unit_test(a_commit_that_arrives_twice_stays_forgotten),
		cmocka_unit_test(a_clock_that_jumps_removes_no_note),
		cmocka_unit_test(
		    a_later_commit_supersedes_checkpoints_of_its_chain),
		cmocka_unit_test(an_open_session_keeps_its_object),
		cmocka_unit_test(names_go_forward_when_the_clock_goes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
