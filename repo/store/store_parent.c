/* The parent of a session and its place in the volume's chain (R3). */

#include <stdio.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/log.h"
#include "repo/store/store_bad_internal.h"
#include "repo/store/store_session_internal.h"

/* The session's name in a snapshot's key. */
static const char *session_of(const char *key)
{
	return strrchr(key, '/') + 1;
}

/*
 * Load one of the slot's snapshots: 0, 1 when it does not count (revoked,
 * noted, damaged), -1.
 */
static int candidate_load(struct store_session *s, const char *key,
    struct store_snapshot **ret_sn, uint8_t *hash, struct err *err)
{
	char note[FMT_KEY_MAX];
	int r = store_snapshot_load(s->st, key, ret_sn, hash, err);

	if (r < 0 && err->class == ERR_CORRUPT) {
		log_msg(LOG_WARN, "passed over as a parent: %s", err->msg);
		return 1;
	}
	if (r != 0)
		return r;
	fmt_key_note(note, s->st->info.slot, session_of(key));
	r = store_snapshot_noted(s->st, note, err);
	if (r != 0) {
		store_snapshot_free(*ret_sn);
		*ret_sn = NULL;
	}
	return r;
}

/* Where the chain of the volume ends: counter and hash of the newest. */
static int chain_end(struct store_session *s, const struct store_keys *keys,
    struct store_snapshot **ret_newest, struct err *err)
{
	struct store_snapshot *sn = NULL;
	int r = 1;

	*ret_newest = NULL;
	s->counter = 1;
	for (size_t i = keys->n; i > 0 && r == 1; i--) {
		r = candidate_load(s, store_keys_at(keys, i - 1), &sn,
		    s->predecessor_hash, err);
		if (r == 0 &&
		    memcmp(sn->volume_hash, s->volume_hash, 32) != 0) {
			store_snapshot_free(sn);
			r = 1; /* another volume with the same first bytes */
		}
	}
	if (r != 0) {
		memset(s->predecessor_hash, 0, 32);
		return r < 0 ? -1 : 0;
	}
	s->counter = sn->counter + 1;
	memcpy(s->predecessor, sn->session, sizeof(s->predecessor));
	*ret_newest = sn;
	return 0;
}

/* "auto": the newest of the volume that holds the same kind of content. */
static int parent_auto(struct store_session *s, const struct store_keys *keys,
    struct store_snapshot *newest, struct err *err)
{
	struct store_snapshot *sn = NULL;
	int r = 1;

	if (newest != NULL && newest->content == s->content) {
		s->parent = newest;
		return 0;
	}
	store_snapshot_free(newest);
	for (size_t i = keys->n; i > 0 && r == 1; i--) {
		r = candidate_load(s, store_keys_at(keys, i - 1), &sn, NULL,
		    err);
		if (r != 0)
			continue;
		if (sn->content == s->content &&
		    memcmp(sn->volume_hash, s->volume_hash, 32) == 0) {
			s->parent = sn;
		} else {
			store_snapshot_free(sn);
			r = 1;
		}
	}
	return r < 0 ? -1 : 0;
}

/* The slot's snapshot whose id begins with spec; NOTFOUND when there is none. */
static int parent_named(struct store_session *s, const char *spec,
    struct store_snapshot **ret, struct err *err)
{
	struct store_keys keys = { 0 };
	char prefix[FMT_KEY_MAX], slot[FMT_HEX_SLOT];
	const char *found = NULL;
	int r;

	hex_encode(slot, s->st->info.slot, STORE_SLOT_LEN);
	snprintf(prefix, sizeof(prefix), "snapshots/%s/", slot);
	if (store_keys_list(s->st->be, prefix, &keys, err) != 0)
		return -1;
	for (size_t i = 0; i < keys.n; i++) {
		const char *key = store_keys_at(&keys, i);
		const char *id = strrchr(key, '-');

		if (id == NULL || strncmp(id + 1, spec, strlen(spec)) != 0)
			continue;
		if (found != NULL) {
			store_keys_release(&keys);
			return err_set(err, ERR_USAGE, "parent '%s': several "
			    "snapshots of this slot begin so", spec);
		}
		found = key;
	}
	r = found == NULL ? 1 : candidate_load(s, found, ret, NULL, err);
	store_keys_release(&keys);
	if (r > 0)
		return err_set(err, ERR_NOTFOUND,
		    "parent '%s': slot %s has no such snapshot ('wherry "
		    "snapshots' shows them)", spec, slot);
	if (r == 0 && store_family_at(s->st, (*ret)->epoch) !=
	    store_family_at(s->st, s->epoch->n))
		return err_set(err, ERR_USAGE, "parent '%s': is from before "
		    "the repository got a new family secret", spec);
	if (r == 0 && (*ret)->content != s->content)
		return err_set(err, ERR_USAGE,
		    "parent '%s': holds another kind of volume", spec);
	return r;
}

/* The volume's newest whole snapshot of the same kind: 0, 1 when none, -1. */
static int rest_auto(struct store_session *s, const struct store_keys *keys,
    struct err *err)
{
	struct store_snapshot *sn = NULL;
	int r = 1;

	for (size_t i = keys->n; i > 0 && r == 1; i--) {
		r = candidate_load(s, store_keys_at(keys, i - 1), &sn, NULL,
		    err);
		if (r != 0)
			continue;
		if (!sn->checkpoint && sn->content == s->content &&
		    memcmp(sn->volume_hash, s->volume_hash, 32) == 0) {
			s->rest = sn;
		} else {
			store_snapshot_free(sn);
			r = 1;
		}
	}
	return r;
}

/* What holds the positions that a checkpoint as parent has not reached. */
static int choose_rest(struct store_session *s, const struct store_keys *keys,
    const char *spec, struct err *err)
{
	int r = 0;

	if (s->parent == NULL || !s->parent->checkpoint)
		return 0;
	if (spec == NULL || strcmp(spec, "auto") == 0) {
		r = rest_auto(s, keys, err);
	} else if (strcmp(spec, "none") != 0) {
		r = parent_named(s, spec, &s->rest, err);
		/* Forgotten since: then all of that is read. */
		if (r != 0 && err->class == ERR_NOTFOUND) {
			log_msg(LOG_INFO, "%s", err->msg);
			err_clear(err);
			r = 0;
		}
	}
	if (s->rest != NULL)
		s->rest_carry = !store_bad_more(s->bad) &&
		    store_dead_may_carry(s->dead, s->rest->slot,
		        s->rest->session);
	return r < 0 ? -1 : 0;
}

int store_parent_choose(struct store_session *s, const struct store_keys *keys,
    const char *spec, const char *rest, struct err *err)
{
	struct store_snapshot *newest = NULL;
	int r = chain_end(s, keys, &newest, err);

	if (r == 0 && (spec == NULL || strcmp(spec, "auto") == 0)) {
		r = parent_auto(s, keys, newest, err);
	} else {
		store_snapshot_free(newest);
		if (r == 0 && strcmp(spec, "none") != 0)
			r = parent_named(s, spec, &s->parent, err);
	}
	if (r == 0)
		r = choose_rest(s, keys, rest, err);
	if (r == 0 && s->parent != NULL)
		s->carry = !store_bad_more(s->bad) &&
		    store_dead_may_carry(s->dead, s->parent->slot,
		        s->parent->session);
	return r;
}
