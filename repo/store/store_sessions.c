/* Who is writing, and ending a session that is silent (R6). */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"
#include "repo/store/store_internal.h"
#include "repo/store/store_sessions.h"

/*
 * Is the session over?  The snapshot's key first, then the note: forgetting
 * puts the note before it removes the key, so one that is over is never seen
 * without both.  Whatever stands at the key, its writer cannot commit.
 */
static int sessions_state(struct store *st, const uint8_t slot[STORE_SLOT_LEN],
    const char *session, enum store_session_state *ret, struct err *err)
{
	enum store_snapshot_state at = STORE_SNAP_NONE;
	char key[FMT_KEY_MAX];
	struct backend_stat bs;
	int r;

	*ret = STORE_SESSION_OPEN;
	fmt_key_snapshot(key, slot, session);
	r = backend_stat(st->be, key, &bs, err);
	if (r < 0)
		return -1;
	if (r == 0) {
		struct err why = ERR_INIT;

		/* One that cannot be read, or is too new, is there all the same. */
		if (store_snapshot_look(st, key, &at, &why) != 0 &&
		    why.class != ERR_IO && why.class != ERR_UNSUPPORTED) {
			*err = why;
			return -1;
		}
		*ret = at == STORE_SNAP_REVOKED ? STORE_SESSION_REVOKED :
		    STORE_SESSION_OVER;
	}
	if (r == 0 && *ret == STORE_SESSION_REVOKED)
		return 0;
	fmt_key_note(key, slot, session);
	r = store_snapshot_noted(st, key, err);
	if (r > 0)
		*ret = STORE_SESSION_NOTED;
	return r < 0 ? -1 : 0;
}

/* May a commit of this session count?  A certificate that is damaged may heal. */
static int sessions_power(struct store *st, struct store_session_info *s,
    struct err *err)
{
	struct err why = ERR_INIT;
	const struct store_slot *sl = store_slot_find(st, s->slot, &why);

	if (sl != NULL) {
		s->powerless = !store_slot_stands(sl, s->session) ||
		    !(sl->rights & (STORE_WRITE | STORE_ADMIN));
		return 0;
	}
	if (why.class != ERR_NOTFOUND && why.class != ERR_CORRUPT) {
		*err = why;
		return -1;
	}
	s->powerless = why.class == ERR_NOTFOUND;
	return 0;
}

/*
 * Open the session object: 0 with s filled and *f borrowing from plain, 1 when
 * it is gone, 2 when it is not to be believed, -1.
 */
static int sessions_open(struct store *st, const char *key,
    const struct store_session_info *s, struct buf *plain,
    struct fmt_session *f, struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	struct store_epoch *ep;
	size_t len;
	int r = backend_get_all(st->be, key, STORE_SMALL_OBJECT, &obj, &len,
	    err);

	if (r > 0)
		return 1;
	if (r == 0)
		r = store_slot_signed(st, key, obj, len, FMT_SESSION, s->slot,
		    s->session, &ep, err);
	if (r == 0)
		r = fmt_session_open(obj, len, key, ep->sec->k.session, plain,
		    f, err);
	if (r == 0)
		return 0;
	return err->class == ERR_CORRUPT || err->class == ERR_NOTFOUND ? 2 : -1;
}

/* Tell one session object. */
static int sessions_tell(struct store *st, const char *key, int64_t modified,
    int (*fn)(void *ctx, const struct store_session_info *s, struct err *err),
    void *ctx, struct err *err)
{
	struct store_session_info s = { .modified_ns = modified, .host = "" };
	struct fmt_session_name name;
	struct fmt_session f;
	struct buf plain = BUF_INIT, host = BUF_INIT;
	struct err why = ERR_INIT;
	struct fmt_key at;
	int r;

	if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_SESSION ||
	    fmt_session_parse(at.session, &name) != 0)
		return 0;
	memcpy(s.slot, at.slot, sizeof(s.slot));
	memcpy(s.session, at.session, sizeof(at.session));
	s.start_ns = (int64_t)name.start_ms * 1000000;
	r = sessions_open(st, key, &s, &plain, &f, &why);
	if (r == 0) {
		s.believed = true;
		s.generation = f.generation;
		s.start_ns = f.start_ns;
		s.bytes_read = f.bytes_read;
		s.entries = f.entries;
		buf_add(&host, f.host.p, f.host.len);
		buf_u8(&host, '\0');
		if (buf_check(&host, "a session's host", err) != 0)
			r = -1;
		s.host = (const char *)host.p;
	} else if (r == 2) {
		log_msg(LOG_WARN, "not believed: %s: %s", key, why.msg);
	} else if (r < 0) {
		*err = why;
		err_wrap(err, "%s", key);
	}
	if (r == 0 || r == 2) {
		r = sessions_power(st, &s, err);
		if (r == 0)
			r = sessions_state(st, s.slot, s.session, &s.state, err);
		if (r == 0)
			r = fn(ctx, &s, err);
	} else if (r == 1) {
		r = 0; /* removed since it was listed */
	}
	buf_release(&host);
	buf_release(&plain);
	return r;
}

struct sessions_at { uint64_t start_ms; size_t key; };

static int sessions_cmp(const void *pa, const void *pb)
{
	const struct sessions_at *a = pa, *b = pb;

	if (a->start_ms != b->start_ms)
		return a->start_ms < b->start_ms ? -1 : 1;
	return a->key < b->key ? -1 : a->key > b->key;
}

int store_sessions(struct store *st,
    int (*fn)(void *ctx, const struct store_session_info *s, struct err *err),
    void *ctx, struct err *err)
{
	CLEANUP_FREE struct sessions_at *v = NULL;
	struct store_keys keys = { 0 };
	int r = store_keys_list(st->be, "sessions/", &keys, err);

	if (r == 0) {
		v = mem_array(keys.n + 1, sizeof(*v), "sessions", err);
		r = v == NULL ? -1 : 0;
	}
	for (size_t i = 0; i < keys.n && r == 0; i++) {
		const char *key = store_keys_at(&keys, i);
		struct fmt_session_name name = { .start_ms = 0 };

		if (fmt_session_parse(strrchr(key, '/') + 1, &name) != 0)
			name.start_ms = 0;
		v[i] = (struct sessions_at){ name.start_ms, i };
	}
	if (r == 0)
		qsort(v, keys.n, sizeof(*v), sessions_cmp);
	for (size_t i = 0; i < keys.n && r == 0; i++)
		r = sessions_tell(st, store_keys_at(&keys, v[i].key),
		    keys.v[v[i].key].mtime_ns, fn, ctx, err);
	store_keys_release(&keys);
	return r;
}

int store_session_revoke(struct store *st, const uint8_t slot[STORE_SLOT_LEN],
    const char *session, uint64_t generation, struct err *err)
{
	struct fmt_revocation rv = {
		.epoch = st->info.epoch, .time_ns = clock_real_ns(),
		.generation = generation,
	};
	enum store_session_state state;
	struct fmt_session_name name;
	struct buf obj = BUF_INIT;
	char key[FMT_KEY_MAX];
	struct backend_stat bs;
	int r;

	if (store_need(st, STORE_ADMIN, "to revoke sessions", err) != 0)
		return -1;
	if (fmt_session_parse(session, &name) != 0)
		return err_set(err, ERR_USAGE, "'%s' is no session", session);
	if (sessions_state(st, slot, session, &state, err) != 0)
		return -1;
	if (state != STORE_SESSION_OPEN)
		return 1;
	fmt_key_session(key, slot, session);
	r = backend_stat(st->be, key, &bs, err);
	if (r != 0)
		return r < 0 ? -1 : err_set(err, ERR_NOTFOUND,
		    "%s: there is no such session", key);
	fmt_key_snapshot(key, slot, session);
	r = fmt_revocation_encode(&obj, &rv, err);
	if (r == 0)
		r = store_admin_put(st, key, &obj, err);
	buf_release(&obj);
	return r < 0 ? err_wrap(err, "%s", key) : r;
}

int store_clock(struct store *st, int64_t *ret_ns, struct err *err)
{
	char hex[33], key[FMT_KEY_MAX];
	uint8_t name[16];
	struct backend_stat bs;
	struct err ignored = ERR_INIT;
	int r;

	rand_bytes(name, sizeof(name));
	hex_encode(hex, name, sizeof(name));
	snprintf(key, sizeof(key), "probe/%s", hex);
	r = backend_put(st->be, key, name, sizeof(name), err);
	if (r < 0)
		return err_wrap(err, "asking for the store's time");
	r = backend_stat(st->be, key, &bs, err);
	/* What is left of it is passed over by everybody. */
	backend_del(st->be, key, &ignored);
	if (r != 0)
		return r < 0 ? -1 : err_set(err, ERR_IO,
		    "%s: was put and is not there", key);
	*ret_ns = bs.mtime_ns;
	return 0;
}
