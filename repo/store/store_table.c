/*
 * The ids that a session stored and that no opened segment names yet: an
 * open-addressing table of (pack, ordinal); the ids stand in the packs'
 * entries.  Used under the session's lock.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/store/store_session_internal.h"

#define TABLE_MIN 1024

int store_table_init(struct store_table *t, struct err *err)
{
	t->n = 0;
	t->nslots = TABLE_MIN;
	t->slot = mem_array(t->nslots, sizeof(*t->slot), "a session's ids", err);
	return t->slot == NULL ? -1 : 0;
}

void store_table_release(struct store_table *t)
{
	free(t->slot);
	t->slot = NULL;
}

static const uint8_t *table_id(struct store_pack *const *packs,
    const struct store_table_slot *s)
{
	return packs[s->pack - 1]->ent[s->ordinal].id;
}

/* The slot that holds id, or the empty one where it belongs. */
static uint32_t table_slot(const struct store_table *t,
    struct store_pack *const *packs, const uint8_t id[STORE_ID_LEN])
{
	/* Ids are outputs of a keyed hash; their last bytes serve as another. */
	uint32_t i = le32_get(id + STORE_ID_LEN - 4) & (t->nslots - 1);

	while (t->slot[i].pack != 0 &&
	    memcmp(table_id(packs, &t->slot[i]), id, STORE_ID_LEN) != 0)
		i = (i + 1) & (t->nslots - 1);
	return i;
}

bool store_table_has(const struct store_table *t,
    struct store_pack *const *packs, const uint8_t id[STORE_ID_LEN])
{
	return t->slot[table_slot(t, packs, id)].pack != 0;
}

static int table_grow(struct store_table *t, struct store_pack *const *packs,
    struct err *err)
{
	struct store_table big = { .nslots = t->nslots * 2, .n = t->n };

	big.slot = mem_array(big.nslots, sizeof(*big.slot), "a session's ids",
	    err);
	if (big.slot == NULL)
		return -1;
	for (uint32_t i = 0; i < t->nslots; i++)
		if (t->slot[i].pack != 0)
			big.slot[table_slot(&big, packs,
			    table_id(packs, &t->slot[i]))] = t->slot[i];
	free(t->slot);
	*t = big;
	return 0;
}

int store_table_room(struct store_table *t, struct store_pack *const *packs,
    struct err *err)
{
	return t->n + 1 > t->nslots / 2 ? table_grow(t, packs, err) : 0;
}

void store_table_add(struct store_table *t, struct store_pack *const *packs,
    uint32_t pack, uint32_t ordinal)
{
	uint32_t i = table_slot(t, packs, packs[pack]->ent[ordinal].id);

	if (t->slot[i].pack != 0)
		return; /* the first copy is as good */
	t->slot[i] = (struct store_table_slot){ pack + 1, ordinal };
	t->n++;
}

void store_table_clear(struct store_table *t)
{
	memset(t->slot, 0, t->nslots * sizeof(*t->slot));
	t->n = 0;
}
