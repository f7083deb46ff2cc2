/* Finding the snapshot that a person names. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/backend/backend_ahead.h"
#include "repo/base/bytes.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/store/store_internal.h"

#define LISTED_MAX 12 /* snapshots or volumes told in a message */

/* What goes through all finders: snapshots, oldest first, and the places. */
struct finder {
	struct store *st;
	struct store_keys keys;
	struct store_snapkey *v;
	size_t n;
};

static const char *key_at(const struct finder *f, size_t i)
{
	return store_keys_at(&f->keys, f->v[i].key);
}

/* Load the i-th: 0, 1 when it is none (a checkpoint when not wanted), -1. */
static int load(struct finder *f, size_t i, bool checkpoints,
    struct store_snapshot **ret, struct err *err)
{
	int r = store_snapshot_load(f->st, key_at(f, i), ret, NULL, err);

	if (r == 0)
		(*ret)->stored_ns = f->keys.v[f->v[i].key].mtime_ns;
	if (r == 0 && (*ret)->checkpoint && !checkpoints) {
		store_snapshot_free(*ret);
		*ret = NULL;
		return 1;
	}
	return r;
}

/*
 * The same, where an older one is better than none: what is damaged, or of a
 * slot that does not exist, is passed over as one that is not wanted.
 */
static int load_sound(struct finder *f, size_t i, struct store_snapshot **ret,
    struct err *err)
{
	int r = load(f, i, false, ret, err);

	if (r < 0 && (err->class == ERR_CORRUPT ||
	        err->class == ERR_NOTFOUND)) {
		log_msg(LOG_WARN, "passed over: %s", err->msg);
		r = 1;
	}
	return r;
}

/* --- by id -------------------------------------------------------------------------*/

/* "ID" or "SLOT/ID": hex digits, of the id as few as are enough. */
static bool is_id_prefix(const char *s)
{
	size_t n = strspn(s, "0123456789abcdef");

	if (n == 2 * STORE_SLOT_LEN && s[n] == '/') {
		s += n + 1;
		n = strspn(s, "0123456789abcdef");
	}
	return n > 0 && n <= 16 && s[n] == '\0';
}

static int none_such(const char *spec, struct err *err)
{
	return err_set(err, ERR_NOTFOUND, "no snapshot '%s' ('wherry snapshots' "
	    "shows them)", spec);
}

/* Does the key (snapshots/SLOT/VOLUME-TIME-ID) fit such a spec? */
static bool fits(const char *key, const char *spec)
{
	const char *id = strchr(spec, '/');

	if (id != NULL && strncmp(strchr(key, '/') + 1, spec,
	        (size_t)(id - spec) + 1) != 0)
		return false;
	id = id == NULL ? spec : id + 1;
	return strncmp(strrchr(key, '-') + 1, id, strlen(id)) == 0;
}

/*
 * Of several that fit, those that can be read.  Whoever may put objects can
 * put one whose name has any id; so those of another slot do not hide it, and
 * what nobody signed is not in the way.
 */
static int find_among(struct finder *f, const char *spec,
    struct store_snapshot **ret, struct err *err)
{
	char list[LISTED_MAX * 35 + 8] = "";
	size_t found = 0, used = 0;

	*ret = NULL;
	for (size_t i = 0; i < f->n; i++) {
		const char *key = key_at(f, i);
		struct store_snapshot *sn = NULL;
		int r;

		if (!fits(key, spec))
			continue;
		r = load(f, i, true, &sn, err);
		if (r < 0 && err->class != ERR_CORRUPT &&
		    err->class != ERR_NOTFOUND) {
			store_snapshot_free(*ret);
			return -1;
		}
		if (r != 0)
			continue;
		if (found++ < LISTED_MAX)
			used += (size_t)snprintf(list + used,
			    sizeof(list) - used, " %.16s/%s",
			    strchr(key, '/') + 1, sn->id);
		store_snapshot_free(*ret);
		*ret = sn;
	}
	if (found == 1)
		return 0;
	store_snapshot_free(*ret);
	*ret = NULL;
	if (found == 0)
		return none_such(spec, err);
	return err_set(err, ERR_USAGE, "snapshot '%s': %zu begin so:%s%s",
	    spec, found, list, found > LISTED_MAX ? " ..." : "");
}

static int find_id(struct finder *f, const char *spec,
    struct store_snapshot **ret, struct err *err)
{
	size_t found = 0, at = 0;
	int r;

	for (size_t i = 0; i < f->n; i++) {
		if (!fits(key_at(f, i), spec))
			continue;
		at = i;
		found++;
	}
	if (found == 0)
		return none_such(spec, err);
	if (found > 1)
		return find_among(f, spec, ret, err);
	r = load(f, at, true, ret, err);
	return r > 0 ? none_such(spec, err) : r;
}

/* --- the latest --------------------------------------------------------------------*/

static bool of_volume(const struct finder *f, const struct store_snapshot *sn,
    const char *volume, const uint8_t *hash)
{
	if (!sn->sealed)
		return strcmp(sn->volume, volume) == 0;
	return memcmp(sn->volume_hash, hash, 32) == 0 &&
	    strcmp(sn->domain, f->st->info.domain) == 0;
}

/*
 * Another slot may hold snapshots of what it calls the same volume.  That is
 * so when a credential was replaced; it is also all that the thief of one can
 * do.  Which counts only people know: they are told.
 */
static void tell_other_slots(struct finder *f, const struct store_snapshot *of)
{
	char slot[FMT_HEX_SLOT], prefix[17];

	hex_encode(slot, of->slot, STORE_SLOT_LEN);
	hex_encode(prefix, of->volume_hash, 8);
	for (size_t i = f->n; i > 0; i--) {
		const char *key = key_at(f, i - 1);
		struct store_snapshot *sn = NULL;
		struct err ignored = ERR_INIT;
		bool other;

		if (strncmp(strrchr(key, '/') + 1, prefix, 16) != 0 ||
		    strncmp(strchr(key, '/') + 1, slot, 16) == 0)
			continue;
		if (load(f, i - 1, false, &sn, &ignored) != 0)
			continue;
		other = memcmp(sn->volume_hash, of->volume_hash, 32) == 0;
		if (other)
			log_msg(LOG_WARN, "the volume has snapshots of several "
			    "slots: the newest, %s/%s, is taken; of another "
			    "slot it is %.16s/%s", slot, of->id,
			    strchr(key, '/') + 1, sn->id);
		store_snapshot_free(sn);
		if (other)
			return;
	}
}

/* The newest of a volume; what its own domain calls so is looked at first. */
static int find_latest_of(struct finder *f, const char *volume,
    struct store_snapshot **ret, struct err *err)
{
	uint8_t hash[32];
	char prefix[17];
	int r = 1;

	fmt_volume_hash(hash, f->st->own->volume, fmt_str(volume));
	hex_encode(prefix, hash, 8);
	for (int pass = 0; pass < 2 && r == 1; pass++) {
		for (size_t i = f->n; i > 0 && r == 1; i--) {
			const char *name = strrchr(key_at(f, i - 1), '/') + 1;
			bool likely = strncmp(name, prefix, 16) == 0;

			if (likely != (pass == 0))
				continue;
			r = load_sound(f, i - 1, ret, err);
			if (r == 0 && !of_volume(f, *ret, volume, hash)) {
				store_snapshot_free(*ret);
				*ret = NULL;
				r = 1;
			}
		}
	}
	if (r == 1)
		return err_set(err, ERR_NOTFOUND,
		    "no snapshot of volume '%s' ('wherry snapshots' shows "
		    "them)", volume);
	if (r == 0)
		tell_other_slots(f, *ret);
	return r;
}

/* Add a volume to a list for people. */
static void tell_volume(struct buf *b, const struct store_snapshot *sn)
{
	char hex[17];

	hex_encode(hex, sn->volume_hash, 8);
	buf_printf(b, "%s%s", b->len == 0 ? "" : ", ",
	    sn->sealed ? hex : sn->volume);
}

/* Was a volume of that name seen?  Else remember it. */
static bool name_known(struct buf *names, const struct store_snapshot *sn)
{
	size_t len = strlen(sn->volume) + 1;

	if (sn->sealed)
		return false;
	for (size_t i = 0; i < names->len;) {
		const char *at = (const char *)names->p + i;

		if (strcmp(at, sn->volume) == 0)
			return true;
		i += strlen(at) + 1;
	}
	buf_add(names, sn->volume, len);
	return false;
}

/*
 * The newest of all, when there is one volume only.  Volumes of one name are
 * one to who asks, as in latest@VOLUME, though domains may hide that.
 */
static int find_latest(struct finder *f, struct store_snapshot **ret,
    struct err *err)
{
	struct buf volumes = BUF_INIT;
	struct store_snapshot *best = NULL;
	size_t nvolumes = 0;
	/* Volumes seen, by the 16 hex that names begin with, and by id. */
	struct buf seen = BUF_INIT, ids = BUF_INIT, names = BUF_INIT;
	int r = 0;

	for (size_t i = f->n; i > 0 && r >= 0; i--) {
		const char *name = strrchr(key_at(f, i - 1), '/') + 1;
		struct store_snapshot *sn = NULL;
		bool known = false;

		for (size_t j = 0; j < seen.len && !known; j += 16)
			known = memcmp(seen.p + j, name, 16) == 0;
		if (known)
			continue;
		r = load_sound(f, i - 1, &sn, err);
		if (r != 0)
			continue;
		buf_add(&seen, name, 16);
		/* A new family secret gives a volume's names another beginning. */
		for (size_t j = 0; j < ids.len && !known; j += 32)
			known = memcmp(ids.p + j, sn->volume_id, 32) == 0;
		if (known) {
			store_snapshot_free(sn);
			continue;
		}
		buf_add(&ids, sn->volume_id, 32);
		if (name_known(&names, sn)) {
			store_snapshot_free(sn);
			continue;
		}
		if (nvolumes++ < LISTED_MAX)
			tell_volume(&volumes, sn);
		if (best == NULL)
			best = sn;
		else
			store_snapshot_free(sn);
	}
	if (r >= 0)
		r = buf_check(&seen, "volumes", err);
	if (r >= 0)
		r = buf_check(&ids, "volumes", err);
	if (r >= 0)
		r = buf_check(&names, "volumes", err);
	if (r == 0 && nvolumes == 0)
		r = err_set(err, ERR_NOTFOUND, "there is no snapshot yet");
	if (r == 0 && nvolumes > 1)
		r = err_set(err, ERR_USAGE, "'latest' could be of %zu volumes "
		    "(say latest@VOLUME): %.*s", nvolumes,
		    (int)volumes.len, (const char *)volumes.p);
	buf_release(&volumes);
	buf_release(&seen);
	buf_release(&ids);
	buf_release(&names);
	if (r != 0) {
		store_snapshot_free(best);
	} else {
		*ret = best;
		tell_other_slots(f, best);
	}
	return r;
}

/* --- by time ------------------------------------------------------------------------*/

/* Read "2026-11-01T12:00[:SS][Z]": local time, or UTC with the Z. */
static int parse_time(const char *s, int64_t *ret_ns)
{
	struct tm tm = { .tm_isdst = -1 };
	const char *end = strptime(s, "%Y-%m-%dT%H:%M", &tm);
	time_t t;

	if (end != NULL && *end == ':')
		end = strptime(end, ":%S", &tm);
	if (end == NULL)
		return -1;
	if (strcmp(end, "Z") == 0)
		t = timegm(&tm);
	else if (*end == '\0')
		t = mktime(&tm);
	else
		return -1;
	/* Times are ns in an i64: what lies beyond is as late as can be. */
	if (t > INT64_MAX / 1000000000)
		*ret_ns = INT64_MAX;
	else if (t < INT64_MIN / 1000000000)
		*ret_ns = INT64_MIN;
	else
		*ret_ns = (int64_t)t * 1000000000;
	return 0;
}

static int find_time(struct finder *f, const char *text,
    struct store_snapshot **ret, struct err *err)
{
	struct store_snapshot *best = NULL;
	int64_t until;

	if (parse_time(text, &until) != 0)
		return err_set(err, ERR_USAGE, "'@%s' is no time (as in "
		    "@2026-11-01T12:00 or @2026-11-01T12:00:30Z)", text);
	/* Names carry the start in ms, never earlier than the real one. */
	for (size_t i = f->n; i > 0 && best == NULL; i--) {
		struct store_snapshot *sn = NULL;
		int r = load_sound(f, i - 1, &sn, err);

		if (r < 0)
			return -1;
		if (r != 0)
			continue;
		if (sn->start_ns <= until)
			best = sn;
		else
			store_snapshot_free(sn);
	}
	if (best == NULL)
		return err_set(err, ERR_NOTFOUND,
		    "no snapshot is as old as %s", text);
	*ret = best;
	return 0;
}

int store_snapshot_find(struct store *st, const char *spec,
    struct store_snapshot **ret_sn, struct err *err)
{
	struct finder f = { .st = st };
	int r = store_snapshot_keys(st, &f.keys, &f.v, &f.n, err);

	if (r == 0) {
		if (strcmp(spec, "latest") == 0)
			r = find_latest(&f, ret_sn, err);
		else if (strncmp(spec, "latest@", 7) == 0)
			r = find_latest_of(&f, spec + 7, ret_sn, err);
		else if (spec[0] == '@')
			r = find_time(&f, spec + 1, ret_sn, err);
		else if (is_id_prefix(spec))
			r = find_id(&f, spec, ret_sn, err);
		else
			r = err_set(err, ERR_NOTFOUND, "'%s' names no snapshot "
			    "(give an id, latest, latest@VOLUME or @TIME)",
			    spec);
	}
	backend_ahead_forget(st->be, "snapshots/");
	free(f.v);
	store_keys_release(&f.keys);
	return r;
}
