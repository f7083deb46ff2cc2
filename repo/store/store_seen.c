/* What was seen of the repository: noted while reading, compared later. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_ahead.h"
#include "repo/base/bytes.h"
#include "repo/store/store_internal.h"
#include "repo/store/store_seen.h"

#define LIST_FROM 16 /* more are compared by one listing */

/* By slot and volume, ascending. */
struct store_seen_list {
	struct store_seen *v;
	size_t n, cap;
};

static int chain_cmp(const struct store_seen *a,
    const uint8_t slot[STORE_SLOT_LEN], const uint8_t volume_hash[32])
{
	int c = memcmp(a->slot, slot, STORE_SLOT_LEN);

	return c != 0 ? c : memcmp(a->volume_hash, volume_hash, 32);
}

/* Where the chain is, or is to be put; under keys_lock. */
static size_t chain_at(const struct store_seen_list *l,
    const uint8_t slot[STORE_SLOT_LEN], const uint8_t volume_hash[32])
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (chain_cmp(&l->v[mid], slot, volume_hash) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void store_seen_note(struct store *st, const uint8_t slot[STORE_SLOT_LEN],
    const uint8_t volume_hash[32], uint64_t counter, const char *session)
{
	struct store_seen_list *l;
	struct store_seen *s;
	size_t at;

	pthread_mutex_lock(&st->keys_lock);
	if (st->seen == NULL)
		st->seen = calloc(1, sizeof(*st->seen));
	l = st->seen;
	at = l == NULL ? 0 : chain_at(l, slot, volume_hash);
	if (l != NULL &&
	    (at == l->n || chain_cmp(&l->v[at], slot, volume_hash) != 0)) {
		if (l->n == l->cap) {
			size_t cap = l->cap == 0 ? 16 : l->cap * 2;

			s = realloc(l->v, cap * sizeof(*s));
			if (s == NULL)
				l = NULL; /* then it is not remembered */
			else
				l->v = s, l->cap = cap;
		}
		if (l != NULL) {
			memmove(l->v + at + 1, l->v + at,
			    (l->n - at) * sizeof(*l->v));
			l->v[at] = (struct store_seen){ .counter = 0 };
			memcpy(l->v[at].slot, slot, STORE_SLOT_LEN);
			memcpy(l->v[at].volume_hash, volume_hash, 32);
			l->n++;
		}
	}
	if (l != NULL && counter > l->v[at].counter) {
		l->v[at].counter = counter;
		snprintf(l->v[at].session, sizeof(l->v[at].session), "%s",
		    session);
	}
	pthread_mutex_unlock(&st->keys_lock);
}

void store_seen_free(struct store *st)
{
	if (st->seen != NULL)
		free(st->seen->v);
	free(st->seen);
	st->seen = NULL;
}

int store_seen_each(struct store *st,
    int (*fn)(void *ctx, const struct store_seen *seen), void *ctx)
{
	int r = 0;

	pthread_mutex_lock(&st->keys_lock);
	for (size_t i = 0; st->seen != NULL && i < st->seen->n && r == 0; i++)
		r = fn(ctx, &st->seen->v[i]);
	pthread_mutex_unlock(&st->keys_lock);
	return r;
}

void store_seen_config(struct store *st, uint32_t *ret_number,
    uint32_t *ret_epoch)
{
	const struct store_config *cfg = store_config_now(st);

	*ret_number = cfg->m;
	*ret_epoch = cfg->c.epoch;
}

/* Is a snapshot of the chain there with that counter, or a higher one? */
static int later_there(struct store *st, const struct store_seen *seen,
    struct err *err)
{
	struct store_keys keys = { 0 };
	char prefix[FMT_KEY_MAX], slot[FMT_HEX_SLOT], volume[17];
	int r, there = 0;

	hex_encode(slot, seen->slot, STORE_SLOT_LEN);
	hex_encode(volume, seen->volume_hash, 8);
	snprintf(prefix, sizeof(prefix), "snapshots/%s/%s-", slot, volume);
	r = store_keys_list(st->be, prefix, &keys, err);
	/* The newest sort last. */
	for (size_t i = keys.n; i > 0 && r == 0 && !there; i--) {
		struct store_snapshot *sn = NULL;

		r = store_snapshot_load(st, store_keys_at(&keys, i - 1), &sn,
		    NULL, err);
		if (r == 0)
			there = memcmp(sn->volume_hash, seen->volume_hash,
			    32) == 0 && sn->counter >= seen->counter;
		else if (r > 0 || err->class == ERR_CORRUPT ||
		    err->class == ERR_NOTFOUND ||
		    err->class == ERR_UNSUPPORTED)
			r = 0;
		store_snapshot_free(sn);
	}
	store_keys_release(&keys);
	return r < 0 ? -1 : there;
}

/* Its key is not there: why? */
static int look_closer(struct store *st, const struct store_seen *seen,
    enum store_seen_state *ret, struct err *err)
{
	char key[FMT_KEY_MAX];
	int r;

	fmt_key_note(key, seen->slot, seen->session);
	r = store_snapshot_noted(st, key, err);
	if (r > 0)
		*ret = STORE_SEEN_FORGOTTEN;
	if (r != 0)
		return r < 0 ? -1 : 0;
	r = later_there(st, seen, err);
	*ret = r > 0 ? STORE_SEEN_THERE : STORE_SEEN_GONE;
	return r < 0 ? -1 : 0;
}

int store_seen_compare(struct store *st, const struct store_seen *v, size_t n,
    enum store_seen_state *ret, struct err *err)
{
	struct store_keys keys = { 0 };
	int r = 0;

	if (n > LIST_FROM)
		r = store_keys_list(st->be, "snapshots/", &keys, err);
	for (size_t i = 0; i < n && n <= LIST_FROM; i++) {
		struct fmt_session_name name;
		char key[FMT_KEY_MAX];

		if (fmt_session_parse(v[i].session, &name) != 0)
			continue;
		fmt_key_snapshot(key, v[i].slot, v[i].session);
		backend_ahead_stat(st->be, key);
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		struct fmt_session_name name;
		char key[FMT_KEY_MAX];
		struct backend_stat bs;

		ret[i] = STORE_SEEN_THERE;
		if (fmt_session_parse(v[i].session, &name) != 0)
			continue; /* what was remembered is no name */
		fmt_key_snapshot(key, v[i].slot, v[i].session);
		r = n > LIST_FROM ? !store_keys_has(&keys, key) :
		    backend_stat(st->be, key, &bs, err);
		if (r > 0)
			r = look_closer(st, &v[i], &ret[i], err);
	}
	store_keys_release(&keys);
	return r;
}
