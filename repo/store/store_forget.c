/* Forgetting: notes, and what goes with time (R10, R11). */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_forget.h"
#include "repo/store/store_internal.h"
#include "repo/store/store_sessions.h"

#define FORGET_TRIES 8

/* --- one snapshot ----------------------------------------------------------------*/

/*
 * Make sure that a believed note is there.  Rubbish under its key would keep a
 * snapshot from being forgotten, so it is removed; where another administrator
 * takes a note for rubbish that has just been replaced, the next look finds it
 * missing and puts it again.
 */
static int forget_note(struct store *st, const char *key, const char *session,
    const char *reason, struct err *err)
{
	struct fmt_note n = {
		.epoch = st->info.epoch, .time_ns = clock_real_ns(),
		.reason = fmt_str(reason),
	};

	memcpy(n.session, session, strlen(session) + 1);
	for (int i = 0; i < FORGET_TRIES; i++) {
		struct buf obj = BUF_INIT;
		int r = fmt_note_encode(&obj, &n, err);

		if (r == 0)
			r = store_admin_put(st, key, &obj, err);
		buf_release(&obj);
		if (r == 0)
			return 0;
		if (r > 0) {
			r = store_snapshot_noted(st, key, err);
			if (r > 0)
				return 0;
			if (r == 0 && backend_del(st->be, key, err) < 0)
				r = -1;
		}
		if (r < 0)
			return err_wrap(err, "%s", key);
	}
	return err_set(err, ERR_CONFLICT,
	    "%s: something else comes back there again and again", key);
}

/*
 * A note goes after some time, and what it barred may come: fine for the copy
 * of a commit, which is removed before the note goes, but a writer that sleeps
 * so long must not wake up to a free key.  So where no snapshot was, and one
 * may be at work, a revocation stays.
 */
static int forget_bar(struct store *st, enum store_snapshot_state was,
    const uint8_t slot[STORE_SLOT_LEN], const char *session, struct err *err)
{
	struct fmt_revocation rv = {
		.epoch = st->info.epoch, .time_ns = clock_real_ns(),
	};
	struct buf obj = BUF_INIT;
	char key[FMT_KEY_MAX];
	struct backend_stat bs;
	int r;

	if (was == STORE_SNAP_REAL)
		return 0;
	if (was == STORE_SNAP_NONE) {
		fmt_key_session(key, slot, session);
		r = backend_stat(st->be, key, &bs, err);
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
	fmt_key_snapshot(key, slot, session);
	r = fmt_revocation_encode(&obj, &rv, err);
	if (r == 0)
		r = store_admin_put(st, key, &obj, err);
	buf_release(&obj);
	return r < 0 ? -1 : 0;
}

int store_forget(struct store *st, const uint8_t slot[STORE_SLOT_LEN],
    const char *session, const char *reason, struct err *err)
{
	enum store_snapshot_state state;
	struct fmt_session_name name;
	char key[FMT_KEY_MAX], note[FMT_KEY_MAX];
	int r;

	if (store_need(st, STORE_ADMIN, "to forget snapshots", err) != 0)
		return -1;
	if (fmt_session_parse(session, &name) != 0)
		return err_set(err, ERR_USAGE, "'%s' is no session", session);
	fmt_key_snapshot(key, slot, session);
	fmt_key_note(note, slot, session);
	if (store_snapshot_look(st, key, &state, err) != 0)
		return -1;
	if (state == STORE_SNAP_REVOKED)
		return 1;
	if (forget_note(st, note, session, reason, err) != 0)
		return -1;
	r = backend_del(st->be, key, err);
	if (r < 0) /* the note is what counts */
		err_wrap(err, "it counts as forgotten from now on, but its "
		    "object is not removed");
	if (r == 0 && state == STORE_SNAP_NONE)
		r = 1; /* not every store tells */
	if (r >= 0 && forget_bar(st, state, slot, session, err) != 0)
		r = -1;
	return r < 0 ? err_wrap(err, "%s", key) : r;
}

int store_forget_unsound(struct store *st, const char *spec,
    const char *reason, struct err *err)
{
	enum store_snapshot_state state = STORE_SNAP_NONE;
	char prefix[FMT_KEY_MAX];
	struct store_keys keys = { 0 };
	struct fmt_key at;
	int r = store_need(st, STORE_ADMIN, "to forget snapshots", err);
	bool found = false;

	if (r == 0 && (strspn(spec, "0123456789abcdef") != 16 ||
	    spec[16] != '/' || strspn(spec + 17, "0123456789abcdef") != 16 ||
	    spec[33] != '\0'))
		r = err_set(err, ERR_USAGE, "'%s' is no SLOT/ID", spec);
	if (r == 0) {
		snprintf(prefix, sizeof(prefix), "snapshots/%.17s", spec);
		r = store_keys_list(st->be, prefix, &keys, err);
	}
	for (size_t i = 0; i < keys.n && r == 0; i++) {
		const char *key = store_keys_at(&keys, i);

		if (fmt_key_parse(key, &at) != 0 ||
		    strcmp(strrchr(key, '-') + 1, spec + 17) != 0)
			continue;
		r = store_snapshot_look(st, key, &state, err);
		if (r == 0 && state == STORE_SNAP_REAL)
			r = err_set(err, ERR_USAGE, "%s is a sound snapshot", key);
		if (r != 0 || state != STORE_SNAP_UNBELIEVED)
			continue;
		found = true;
		r = store_forget(st, at.slot, at.session, reason, err);
		r = r < 0 ? -1 : 0;
	}
	store_keys_release(&keys);
	if (r == 0 && !found)
		r = err_set(err, ERR_NOTFOUND, "no snapshot '%s'", spec);
	return r;
}

/* --- notes that are old ----------------------------------------------------------*/

struct forget_time { int64_t own, store, keep; };

/* Is what was made at `own` and changed at `stored` old enough? */
static bool forget_is_old(const struct forget_time *t, int64_t own, int64_t stored)
{
	/* Either clock may have jumped; times before 1970 overflow nothing. */
	return (own < 0 ? 0 : own) <= t->own - t->keep &&
	    (stored < 0 ? 0 : stored) <= t->store - t->keep;
}

/* The time of a believed note: 0, 1 when it is none or gone, -1. */
static int forget_note_time(struct store *st, const char *key,
    int64_t *ret_ns, struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	struct fmt_note n;
	struct fmt_key at;
	size_t len;
	int r = backend_get_all(st->be, key, STORE_SMALL_OBJECT, &obj, &len,
	    err);

	if (r == 0)
		r = store_admin_signed(st, key, obj, len, FMT_NOTE, err);
	if (r == 0)
		r = fmt_note_decode(obj, len, &n, err);
	if (r == 0 && fmt_key_parse(key, &at) == 0 &&
	    strcmp(at.session, n.session) == 0) {
		*ret_ns = n.time_ns;
		return 0;
	}
	return r < 0 && err->class != ERR_CORRUPT ? -1 : 1;
}

/* Remove one note when it is time.  *ret_gone tells. */
static int forget_expire_one(struct store *st, const char *key, int64_t stored,
    const struct forget_time *t, bool *ret_gone, struct err *err)
{
	enum store_snapshot_state state;
	char other[FMT_KEY_MAX];
	struct fmt_key at;
	int64_t own = 0;
	int r;

	*ret_gone = false;
	if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_NOTE)
		return 0;
	r = forget_note_time(st, key, &own, err);
	if (r < 0)
		return err_wrap(err, "%s", key);
	if (!forget_is_old(t, own, stored))
		return 0;
	if (r == 0) {
		/* A commit that arrived a second time after it was forgotten. */
		fmt_key_snapshot(other, at.slot, at.session);
		if (store_snapshot_look(st, other, &state, err) != 0)
			return -1;
		if (state != STORE_SNAP_NONE && state != STORE_SNAP_REVOKED &&
		    backend_del(st->be, other, err) < 0)
			return -1;
		/* The session is over; without the note it would look open. */
		fmt_key_session(other, at.slot, at.session);
		if (backend_del(st->be, other, err) < 0)
			return -1;
	}
	r = backend_del(st->be, key, err);
	*ret_gone = r == 0;
	return r < 0 ? -1 : 0;
}

int store_forget_expire(struct store *st, int64_t keep_ns,
    uint64_t *ret_removed, struct err *err)
{
	struct forget_time t = { .own = clock_real_ns(), .keep = keep_ns };
	struct store_keys keys = { 0 };
	int r = store_need(st, STORE_ADMIN, "to remove notes", err);

	*ret_removed = 0;
	if (r == 0)
		r = store_keys_list(st->be, "forgotten/", &keys, err);
	if (r == 0 && keys.n > 0)
		r = store_clock(st, &t.store, err);
	for (size_t i = 0; i < keys.n && r == 0; i++) {
		bool gone;

		r = forget_expire_one(st, store_keys_at(&keys, i),
		    keys.v[i].mtime_ns, &t, &gone, err);
		*ret_removed += r == 0 && gone;
	}
	store_keys_release(&keys);
	return r;
}

/* --- what later snapshots and the end of sessions leave behind -----------------------*/

struct forget_checkpoint {
	uint8_t slot[STORE_SLOT_LEN], volume_id[32];
	char session[STORE_SESSION_MAX];
	bool superseded;
};

struct forget_chains {
	struct forget_checkpoint *v;
	size_t n, cap;
};

static int forget_remember(struct forget_chains *c,
    const struct store_snapshot *sn, struct err *err)
{
	struct forget_checkpoint *p;

	if (c->n == c->cap) {
		size_t cap = c->cap == 0 ? 16 : c->cap * 2;

		p = realloc(c->v, cap * sizeof(*p));
		if (p == NULL)
			return err_nomem(err, "checkpoints");
		c->v = p;
		c->cap = cap;
	}
	p = &c->v[c->n++];
	memcpy(p->slot, sn->slot, sizeof(p->slot));
	memcpy(p->volume_id, sn->volume_id, sizeof(p->volume_id));
	memcpy(p->session, sn->session, sizeof(p->session));
	p->superseded = false;
	return 0;
}

/* The time in a session's name; times of one chain go forward there. */
static uint64_t forget_start(const char *session)
{
	struct fmt_session_name n = { .start_ms = 0 };

	return fmt_session_parse(session, &n) == 0 ? n.start_ms : 0;
}

/* Called with the oldest first. */
static int forget_chain(void *ctx, struct store_snapshot **sn, struct err *err)
{
	struct forget_chains *c = ctx;
	const struct store_snapshot *s = *sn;

	if (s->checkpoint)
		return forget_remember(c, s, err);
	for (size_t i = 0; i < c->n; i++) {
		struct forget_checkpoint *p = &c->v[i];

		if (memcmp(p->slot, s->slot, sizeof(p->slot)) == 0 &&
		    memcmp(p->volume_id, s->volume_id, 32) == 0 &&
		    forget_start(p->session) < forget_start(s->session))
			p->superseded = true;
	}
	return 0;
}

static int forget_checkpoints(struct store *st, uint64_t *removed,
    struct err *err)
{
	struct forget_chains c = { .n = 0 };
	int r = store_snapshots(st, true, forget_chain, NULL, &c, err);

	for (size_t i = 0; i < c.n && r == 0; i++) {
		if (!c.v[i].superseded)
			continue;
		r = store_forget(st, c.v[i].slot, c.v[i].session,
		    "checkpoint: a later snapshot was committed", err);
		*removed += r == 0;
		r = r < 0 ? -1 : 0;
	}
	free(c.v);
	return r;
}

struct forget_over { struct store *st; uint64_t *removed; };

static int forget_session(void *ctx, const struct store_session_info *s,
    struct err *err)
{
	struct forget_over *o = ctx;
	char key[FMT_KEY_MAX];
	int r;

	if (s->state == STORE_SESSION_OPEN && !s->powerless)
		return 0;
	fmt_key_session(key, s->slot, s->session);
	r = backend_del(o->st->be, key, err);
	*o->removed += r == 0;
	return r < 0 ? -1 : 0;
}

int store_forget_superseded(struct store *st, uint64_t *ret_removed,
    struct err *err)
{
	struct forget_over o = { st, ret_removed };

	*ret_removed = 0;
	if (store_need(st, STORE_ADMIN, "to remove checkpoints", err) != 0 ||
	    forget_checkpoints(st, ret_removed, err) != 0)
		return -1;
	return store_sessions(st, forget_session, &o, err);
}
