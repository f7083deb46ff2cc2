/*
 * What will be read next, said to the backend where each request takes long
 * (backend_ahead.h): the reads themselves stay where they are.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_ahead.h"
#include "repo/base/clock.h"
#include "repo/store/store_disk_internal.h"
#include "repo/store/store_internal.h"

/* Whole objects that are asked for at once beyond the one that is read. */
#define WINDOW 32u
/* Of so many chains the newest snapshot is asked for before anyone says which. */
#define CHAINS_MAX 32u
/* A listing that was made at opening is taken while it is this young. */
#define EARLY_NS ((int64_t)10 * 1000000000)

struct backend *store_ahead_new(struct backend *be, unsigned readers,
    size_t memory, struct err *err)
{
	size_t room = memory / 8;

	room = room < (size_t)8 << 20 ? (size_t)8 << 20 : room;
	room = room > (size_t)64 << 20 ? (size_t)64 << 20 : room;
	return backend_ahead_new(be,
	    readers == STORE_READERS_INLINE ? 0 : readers, room, err);
}

/* --- whole objects --------------------------------------------------------------*/

/* The certificate of a slot that is not known yet. */
static void ahead_slot(struct store *st, const uint8_t slot[STORE_SLOT_LEN])
{
	const struct store_slot *sl;
	char key[FMT_KEY_MAX];

	pthread_mutex_lock(&st->keys_lock);
	for (sl = st->slots; sl != NULL; sl = sl->next)
		if (memcmp(sl->slot, slot, STORE_SLOT_LEN) == 0)
			break;
	pthread_mutex_unlock(&st->keys_lock);
	if (sl != NULL)
		return;
	fmt_key_cert(key, slot);
	backend_ahead_all(st->be, key);
}

void store_ahead_signed(struct store *st, const char *key)
{
	struct fmt_key at;

	if (!st->far)
		return;
	backend_ahead_all(st->be, key);
	if (fmt_key_parse(key, &at) == 0 && at.place == FMT_AT_SNAPSHOT)
		ahead_slot(st, at.slot);
}

void store_ahead_segment(struct store *st, const char *key, uint64_t size)
{
	struct fmt_key at;

	if (!st->far || size < FMT_SEGMENT_HEAD)
		return;
	if (size <= STORE_IMAGE_MAX) {
		if (!store_disk_has(st->disk, key, 0, size))
			backend_ahead_get(st->be, key, 0, size);
	} else if (!store_disk_has(st->disk, key, 0, FMT_SEGMENT_HEAD)) {
		/* The hashes at its end: one a block, in four sections. */
		uint64_t end = (size / FMT_BLOCK_SEALED + 4) *
		    FMT_BLOCK_HASH + FMT_SIGNED_TAIL;

		backend_ahead_get(st->be, key, 0, FMT_SEGMENT_HEAD);
		backend_ahead_get(st->be, key, size - end, (size_t)end);
	}
	if (fmt_key_parse(key, &at) == 0 && at.place == FMT_AT_SEGMENT)
		ahead_slot(st, at.slot);
}

void store_ahead_snapshots(struct store *st, const struct store_keys *keys,
    const struct store_snapkey *v, size_t i, size_t n)
{
	/* All of the first window, then always the one that comes into it. */
	size_t from = i == 0 ? 0 : i + WINDOW - 1;

	for (size_t j = from; st->far && j < n && j < i + WINDOW; j++)
		store_ahead_signed(st, store_keys_at(keys, v[j].key));
}

/* --- at opening --------------------------------------------------------------------*/

void store_ahead_open(struct store *st, const char *keys_prefix)
{
	if (!st->far)
		return;
	st->early.ns = clock_mono_ns();
	backend_ahead_list(st->be, "config/");
	backend_ahead_list(st->be, keys_prefix);
	backend_ahead_list(st->be, "epochs/");
	if (!st->opt.reads)
		return;
	backend_ahead_list(st->be, "snapshots/");
	backend_ahead_list(st->be, "index/");
	backend_ahead_list(st->be, "bad/");
}

/* The newest of the objects that stand in one place of a listing. */
static void ahead_last(struct store *st, const struct store_keys *keys,
    enum fmt_place place)
{
	for (size_t i = keys->n; i > 0; i--) {
		const char *key = store_keys_at(keys, i - 1);
		struct fmt_key at;

		if (fmt_key_parse(key, &at) != 0 || at.place != place)
			continue;
		backend_ahead_all(st->be, key);
		return;
	}
}

void store_ahead_config(struct store *st, const struct store_keys *keys)
{
	if (st->far)
		ahead_last(st, keys, FMT_AT_CONFIG);
}

/* The grants of the slots whose wraps are tried: which, only a listing tells. */
void store_ahead_wraps(struct store *st, const struct store_keys *keys)
{
	struct store_keys grants = { 0 };
	struct err none = ERR_INIT;
	size_t n = 0;

	if (!st->far)
		return;
	for (size_t i = 0; i < keys->n && n < WINDOW; i++) {
		const char *key = store_keys_at(keys, i);
		struct fmt_key at;

		if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_WRAP)
			continue;
		backend_ahead_all(st->be, key);
		ahead_slot(st, at.slot);
		n++;
	}
	if (n == 0 || store_keys_list(st->be, "epochs/", &grants, &none) != 0)
		return;
	for (size_t i = 0; i < grants.n; i++) {
		struct fmt_key at, wrap;

		if (fmt_key_parse(store_keys_at(&grants, i), &at) != 0 ||
		    at.place != FMT_AT_GRANT)
			continue;
		for (size_t j = 0; j < keys->n && j < WINDOW; j++)
			if (fmt_key_parse(store_keys_at(keys, j), &wrap) == 0 &&
			    wrap.place == FMT_AT_WRAP &&
			    memcmp(wrap.slot, at.slot, STORE_SLOT_LEN) == 0) {
				backend_ahead_all(st->be,
				    store_keys_at(&grants, i));
				break;
			}
	}
	store_keys_release(&grants);
}

/*
 * Whoever names "latest" wants the newest of a chain: those whose names begin
 * alike, of which the last in the listing is it.
 */
static void ahead_newest(struct store *st, const struct store_keys *keys)
{
	size_t chains = 0, n = 0;
	size_t last[CHAINS_MAX];

	for (size_t i = 0; i < keys->n; i++) {
		const char *key = store_keys_at(keys, i);
		const char *dash = strchr(key, '-');
		size_t len = dash == NULL ? strlen(key) : (size_t)(dash - key);

		if (i + 1 < keys->n &&
		    strncmp(key, store_keys_at(keys, i + 1), len) == 0)
			continue;
		if (chains < CHAINS_MAX)
			last[n++] = i;
		chains++;
	}
	for (size_t i = 0; i < n && chains <= CHAINS_MAX; i++)
		store_ahead_signed(st, store_keys_at(keys, last[i]));
}

void store_ahead_listed(struct store *st)
{
	if (!st->far)
		return;
	/* Both begin after the snapshots were listed, as they have to. */
	backend_ahead_list(st->be, "config/");
	backend_ahead_list(st->be, "forgotten/");
}

void store_ahead_index(struct store *st, const struct store_keys *keys)
{
	if (!st->far)
		return;
	backend_ahead_list(st->be, "index/manifest/");
	ahead_last(st, keys, FMT_AT_MANIFEST);
	for (size_t i = 0; i < keys->n && i < WINDOW; i++) {
		const char *key = store_keys_at(keys, i);
		struct fmt_key at;

		if (fmt_key_parse(key, &at) == 0 &&
		    (at.place == FMT_AT_SEGMENT || at.place == FMT_AT_MERGED))
			store_ahead_segment(st, key, keys->v[i].size);
	}
}

void store_ahead_opened(struct store *st)
{
	struct store_early *e = &st->early;
	struct err none = ERR_INIT;

	if (!st->far || !st->opt.reads)
		return;
	e->snapshots_there = store_keys_list(st->be, "snapshots/",
	    &e->snapshots, &none) == 0;
	if (e->snapshots_there) {
		store_ahead_listed(st);
		ahead_newest(st, &e->snapshots);
	}
	e->index_there = store_keys_list(st->be, "index/", &e->index,
	    &none) == 0;
	if (e->index_there)
		store_ahead_index(st, &e->index);
}

bool store_early_take(struct store *st, bool index, struct store_keys *ret,
    int64_t *ret_ns)
{
	struct store_early *e = &st->early;
	struct store_keys *keys = index ? &e->index : &e->snapshots;
	bool *there = index ? &e->index_there : &e->snapshots_there;
	bool took;

	pthread_mutex_lock(&st->keys_lock);
	took = *there && e->ns > clock_mono_ns() - EARLY_NS;
	if (took) {
		store_keys_release(ret);
		*ret = *keys;
		*keys = (struct store_keys){ 0 };
		*ret_ns = e->ns;
	}
	*there = false;
	pthread_mutex_unlock(&st->keys_lock);
	return took;
}

void store_ahead_index_list(struct store *st)
{
	if (!st->far)
		return;
	pthread_mutex_lock(&st->keys_lock);
	st->early.index_ns = clock_mono_ns();
	pthread_mutex_unlock(&st->keys_lock);
	backend_ahead_list(st->be, "index/");
}

int64_t store_ahead_index_asked(struct store *st)
{
	int64_t now = clock_mono_ns(), ns;

	pthread_mutex_lock(&st->keys_lock);
	ns = st->early.index_ns;
	st->early.index_ns = 0;
	pthread_mutex_unlock(&st->keys_lock);
	return ns != 0 ? ns : now;
}

void store_early_release(struct store *st)
{
	store_keys_release(&st->early.snapshots);
	store_keys_release(&st->early.index);
}
