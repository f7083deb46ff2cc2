/*
 * Packs by number.  A number stands for a pack's name in this opened store
 * and what was said of it: the same pack named by two segments has one number
 * when they agree on its size and key.  Where they do not, one of them lies,
 * and each word is tried on its own.  Where the record can be read again
 * (segment, number in it) is kept instead of the record.
 */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"
#include "repo/store/store_internal.h"

#define KEY_SLOTS 512 /* opened data keys kept, by number */

struct pack_key {
	uint32_t pack; /* number + 1; 0: empty */
	uint8_t key[STORE_KEY_LEN];
};

struct store_packtab {
	pthread_mutex_t lock;
	struct store_packent *v;
	uint32_t n, cap;
	uint32_t *slot;  /* open addressing: number + 1, 0 empty */
	uint32_t nslots; /* a power of two */
	struct pack_key *keys; /* secret memory, KEY_SLOTS of them */
};

struct store_packtab *store_packtab_new(struct err *err)
{
	struct store_packtab *t = mem_zalloc(sizeof(*t), "pack numbers", err);

	if (t == NULL)
		return NULL;
	t->nslots = 256;
	t->slot = mem_array(t->nslots, sizeof(*t->slot), "pack numbers", err);
	if (t->slot != NULL)
		t->keys = crypto_secret_new(KEY_SLOTS * sizeof(*t->keys), err);
	if (t->keys == NULL) {
		free(t->slot);
		free(t);
		return NULL;
	}
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void store_packtab_free(struct store_packtab *t)
{
	if (t == NULL)
		return;
	crypto_secret_free(t->keys);
	free(t->slot);
	free(t->v);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static bool same(const struct store_packent *a, const struct store_packent *b)
{
	return memcmp(a->name, b->name, sizeof(a->name)) == 0 &&
	    memcmp(a->said, b->said, sizeof(a->said)) == 0;
}

/* The slot of e, or the empty one where it belongs. */
static uint32_t packtab_slot(const struct store_packtab *t,
    const struct store_packent *e)
{
	uint32_t i = le32_get(e->said) & (t->nslots - 1);

	while (t->slot[i] != 0 && !same(&t->v[t->slot[i] - 1], e))
		i = (i + 1) & (t->nslots - 1);
	return i;
}

static int packtab_grow(struct store_packtab *t, struct err *err)
{
	if (t->n == t->cap) {
		uint32_t cap = t->cap == 0 ? 64 : t->cap * 2;
		struct store_packent *v;

		if (t->n >= UINT32_MAX / 4)
			return err_set(err, ERR_UNSUPPORTED,
			    "more than a thousand million packs");
		v = realloc(t->v, cap * sizeof(*v));
		if (v == NULL)
			return err_nomem(err, "pack numbers");
		t->v = v;
		t->cap = cap;
	}
	if (t->n + 1 > t->nslots / 2) {
		uint32_t *old = t->slot;
		uint32_t *slot = mem_array((size_t)t->nslots * 2,
		    sizeof(*slot), "pack numbers", err);

		if (slot == NULL)
			return -1;
		t->slot = slot;
		t->nslots *= 2;
		for (uint32_t i = 0; i < t->n; i++)
			t->slot[packtab_slot(t, &t->v[i])] = i + 1;
		free(old);
	}
	return 0;
}

int store_packtab_add(struct store_packtab *t, const struct store_packent *e,
    uint32_t *ret_number, struct err *err)
{
	uint32_t i;
	int r = 0;

	pthread_mutex_lock(&t->lock);
	i = packtab_slot(t, e);
	if (t->slot[i] == 0) {
		r = packtab_grow(t, err);
		if (r == 0) {
			i = packtab_slot(t, e);
			t->v[t->n] = *e;
			t->slot[i] = ++t->n;
		}
	}
	if (r == 0) {
		struct store_packent *have = &t->v[t->slot[i] - 1];

		*ret_number = t->slot[i] - 1;
		if (e->segment > have->segment) {
			have->segment = e->segment;
			have->local = e->local;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

bool store_packtab_at(struct store_packtab *t, uint32_t number,
    struct store_packent *ret_ent)
{
	bool there;

	pthread_mutex_lock(&t->lock);
	there = number < t->n;
	if (there)
		*ret_ent = t->v[number];
	pthread_mutex_unlock(&t->lock);
	return there;
}

int64_t store_packtab_missed(struct store_packtab *t, uint32_t number)
{
	/* Rounded, so a little is taken off: a listing too many does no harm. */
	uint32_t now = (uint32_t)(clock_mono_ns() / 1000000) | 1;
	uint32_t since = now, age;

	pthread_mutex_lock(&t->lock);
	if (number < t->n) {
		if (t->v[number].missed == 0)
			t->v[number].missed = now;
		since = t->v[number].missed;
	}
	pthread_mutex_unlock(&t->lock);
	age = now - since;
	return age < 4 ? 0 : (int64_t)(age - 4) * 1000000;
}

bool store_packtab_key(struct store_packtab *t, uint32_t number,
    uint8_t ret_key[STORE_KEY_LEN])
{
	const struct pack_key *k = &t->keys[number % KEY_SLOTS];
	bool there;

	pthread_mutex_lock(&t->lock);
	there = k->pack == number + 1;
	if (there)
		memcpy(ret_key, k->key, STORE_KEY_LEN);
	pthread_mutex_unlock(&t->lock);
	return there;
}

void store_packtab_set_key(struct store_packtab *t, uint32_t number,
    const uint8_t key[STORE_KEY_LEN])
{
	struct pack_key *k = &t->keys[number % KEY_SLOTS];

	pthread_mutex_lock(&t->lock);
	k->pack = number + 1;
	memcpy(k->key, key, STORE_KEY_LEN);
	pthread_mutex_unlock(&t->lock);
}
