/*
 * The block cache of the index: opened blocks of 16 KiB by (segment, block),
 * in a fixed number of slots, replaced by CLOCK.  One lock suffices: under it
 * at most a block is copied, never read or opened.
 */

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

#define CACHE_MIN_SLOTS 16
#define CACHE_NONE UINT32_MAX

struct cache_slot {
	uint64_t key;
	uint8_t *data;   /* STORE_BLOCK_PLAIN bytes, made at first use */
	uint32_t len;    /* 0: empty */
	uint32_t next;   /* in the chain of its bucket */
	bool used;       /* touched since the hand passed */
};

struct store_cache {
	pthread_mutex_t lock;
	uint32_t n, hand;
	struct cache_slot *slot;
	uint32_t *bucket;
	uint32_t mask;
};

static uint32_t cache_hash(const struct store_cache *c, uint64_t key)
{
	key ^= key >> 31;
	key *= 0x9e3779b97f4a7c15u;
	return (uint32_t)(key >> 32) & c->mask;
}

struct store_cache *store_cache_new(size_t bytes, struct err *err)
{
	struct store_cache *c = mem_zalloc(sizeof(*c), "the index cache", err);
	size_t n = bytes / (STORE_BLOCK_PLAIN + sizeof(struct cache_slot) + 8);
	uint32_t buckets = CACHE_MIN_SLOTS;

	if (c == NULL)
		return NULL;
	if (n < CACHE_MIN_SLOTS)
		n = CACHE_MIN_SLOTS;
	if (n > 1u << 24)
		n = 1u << 24;
	while (buckets < n)
		buckets *= 2;
	c->n = (uint32_t)n;
	c->mask = buckets - 1;
	c->slot = mem_array(n, sizeof(*c->slot), "the index cache", err);
	if (c->slot != NULL)
		c->bucket = mem_array(buckets, sizeof(*c->bucket),
		    "the index cache", err);
	if (c->bucket == NULL) {
		free(c->slot);
		free(c);
		return NULL;
	}
	memset(c->bucket, 0xff, buckets * sizeof(*c->bucket));
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void store_cache_free(struct store_cache *c)
{
	if (c == NULL)
		return;
	for (uint32_t i = 0; i < c->n; i++)
		free(c->slot[i].data);
	free(c->slot);
	free(c->bucket);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static uint32_t cache_find(const struct store_cache *c, uint64_t key)
{
	uint32_t i = c->bucket[cache_hash(c, key)];

	while (i != CACHE_NONE && c->slot[i].key != key)
		i = c->slot[i].next;
	return i;
}

bool store_cache_get(struct store_cache *c, uint64_t key, size_t off,
    size_t len, void *dst)
{
	bool hit = false;
	uint32_t i;

	pthread_mutex_lock(&c->lock);
	i = cache_find(c, key);
	if (i != CACHE_NONE && off + len <= c->slot[i].len) {
		memcpy(dst, c->slot[i].data + off, len);
		c->slot[i].used = true;
		hit = true;
	}
	pthread_mutex_unlock(&c->lock);
	return hit;
}

/* Take slot i out of its chain. */
static void cache_unlink(struct store_cache *c, uint32_t i)
{
	uint32_t *at = &c->bucket[cache_hash(c, c->slot[i].key)];

	while (*at != i)
		at = &c->slot[*at].next;
	*at = c->slot[i].next;
	c->slot[i].len = 0;
}

/* A slot to overwrite: an empty one, or the next that was not used lately. */
static uint32_t cache_victim(struct store_cache *c)
{
	for (;;) {
		uint32_t i = c->hand;

		c->hand = (c->hand + 1) % c->n;
		if (c->slot[i].len == 0)
			return i;
		if (!c->slot[i].used) {
			cache_unlink(c, i);
			return i;
		}
		c->slot[i].used = false;
	}
}

void store_cache_put(struct store_cache *c, uint64_t key, const void *data,
    size_t len)
{
	struct cache_slot *s;
	uint32_t i, b;

	assert(len > 0 && len <= STORE_BLOCK_PLAIN);
	pthread_mutex_lock(&c->lock);
	if (cache_find(c, key) != CACHE_NONE)
		goto out;
	i = cache_victim(c);
	s = &c->slot[i];
	if (s->data == NULL)
		s->data = malloc(STORE_BLOCK_PLAIN);
	if (s->data == NULL)
		goto out; /* a cache may forget */
	memcpy(s->data, data, len);
	b = cache_hash(c, key);
	s->key = key;
	s->len = (uint32_t)len;
	s->used = true;
	s->next = c->bucket[b];
	c->bucket[b] = i;
out:
	pthread_mutex_unlock(&c->lock);
}
