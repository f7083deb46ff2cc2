#include <stdlib.h>
#include <string.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/twins.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"

/* 40 bytes each; what collides replaces, so nothing has to be cleared out. */
#define SLOTS 65536u

struct twin {
	uint8_t hash[16];
	struct bundle *bundle; /* NULL: free */
	uint32_t off, size;
};

struct twins {
	struct twin slots[SLOTS];
};

struct twins *twins_new(struct err *err)
{
	return mem_zalloc(sizeof(struct twins), "the table of small files", err);
}

void twins_free(struct twins *t)
{
	if (t == NULL)
		return;
	for (unsigned i = 0; i < SLOTS; i++)
		if (t->slots[i].bundle != NULL)
			bundle_unref(t->slots[i].bundle);
	free(t);
}

static unsigned slot_of(const uint8_t hash[16])
{
	return le32_get(hash) % SLOTS;
}

struct bundle *twins_find(const struct twins *t, const uint8_t hash[16],
    uint64_t size, uint32_t *ret_off)
{
	const struct twin *w = &t->slots[slot_of(hash)];

	if (w->bundle == NULL || w->size != size || memcmp(w->hash, hash, 16) != 0)
		return NULL;
	*ret_off = w->off;
	return w->bundle;
}

void twins_add(struct twins *t, const uint8_t hash[16], uint64_t size,
    struct bundle *bundle, uint32_t off)
{
	struct twin *w = &t->slots[slot_of(hash)];

	bundle->refs++;
	if (w->bundle != NULL)
		bundle_unref(w->bundle);
	memcpy(w->hash, hash, 16);
	w->bundle = bundle;
	w->off = off;
	w->size = (uint32_t)size;
}
