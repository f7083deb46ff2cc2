/*
 * What a session reads at its beginning (R1): where a request takes long, what
 * does not hang on each other is read at once.
 */

#include <stdio.h>
#include <string.h>

#include "repo/backend/backend_ahead.h"
#include "repo/base/bytes.h"
#include "repo/store/store_bad_internal.h"
#include "repo/store/store_session_internal.h"

/* What the keys of the volume's snapshots begin with, in the own slot. */
static void chain_prefix(const struct store *st, const uint8_t volume_hash[32],
    char ret[FMT_KEY_MAX])
{
	char slot[FMT_HEX_SLOT], volume[17];

	hex_encode(slot, st->info.slot, STORE_SLOT_LEN);
	hex_encode(volume, volume_hash, 8);
	snprintf(ret, FMT_KEY_MAX, "snapshots/%s/%s-", slot, volume);
}

void store_begin_ahead(struct store *st,
    const struct store_session_options *opt)
{
	char prefix[FMT_KEY_MAX];
	uint8_t hash[32];

	if (!st->far)
		return;
	backend_ahead_forget(st->be, "");
	backend_ahead_list(st->be, "config/");
	backend_ahead_list(st->be, "gc/");
	if (opt->volume == NULL)
		return;
	fmt_volume_hash(hash, st->own->volume, fmt_str(opt->volume));
	chain_prefix(st, hash, prefix);
	backend_ahead_list(st->be, prefix);
}

int store_begin_list(struct store_session *s, bool parent,
    struct store_keys *ret, struct err *err)
{
	char prefix[FMT_KEY_MAX], key[FMT_KEY_MAX];
	const char *newest;

	chain_prefix(s->st, s->volume_hash, prefix);
	if (store_keys_list(s->st->be, prefix, ret, err) != 0)
		return -1;
	if (ret->n == 0 || !parent || !s->st->far)
		return 0;
	newest = store_keys_at(ret, ret->n - 1);
	store_ahead_signed(s->st, newest);
	fmt_key_note(key, s->st->info.slot, strrchr(newest, '/') + 1);
	backend_ahead_all(s->st->be, key);
	return 0;
}

int store_begin_read(struct store_session *s,
    const struct store_session_options *opt, bool mends, struct err *err)
{
	struct store *st = s->st;
	struct store_keys keys = { 0 };
	char prefix[FMT_KEY_MAX];
	int r;

	backend_ahead_forget(st->be, "");
	s->dead = store_dead_read(st, err);
	if (s->dead == NULL)
		return -1;
	backend_ahead_forget(st->be, "");
	if (st->far) {
		chain_prefix(st, s->volume_hash, prefix);
		backend_ahead_list(st->be, "bad/");
		store_ahead_index_list(st);
		backend_ahead_list(st->be, prefix);
	}
	s->bad = store_bad_read(st, err);
	/* Who mends adds to it. */
	if (s->bad != NULL && st->far && !mends)
		store_bad_adopt(st, s->bad);
	r = s->bad == NULL ? -1 : store_begin_list(s, true, &keys, err);
	if (r == 0)
		r = store_index_refresh(st, 0, err);
	if (r == 0)
		r = store_parent_choose(s, &keys, opt->parent, opt->rest, err);
	/* Its roots will be put again, when nothing has changed. */
	if (r == 0 && s->parent != NULL) {
		store_present_ahead(s, &s->parent->state.id, 1);
		if (!s->parent->sealed)
			store_present_ahead(s, &s->parent->catalog.id, 1);
	}
	store_keys_release(&keys);
	return r;
}
