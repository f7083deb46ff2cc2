#include <stdlib.h>
#include <string.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/links.h"
#include "repo/base/mem.h"

#define SLOTS 32768u
#define USED_MAX (SLOTS / 4 * 3)

struct link {
	uint64_t dev, ino;
	bool used, has_content;
	struct linked kept;
};

struct links {
	unsigned used;
	struct link slots[SLOTS];
};

struct links *links_new(struct err *err)
{
	return mem_zalloc(sizeof(struct links), "the table of hard links", err);
}

/* Slots that were never used stay untouched: they take no memory. */
static void forget_all(struct links *l)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct link *k = &l->slots[i];

		if (!k->used)
			continue;
		if (k->has_content)
			content_release(&k->kept.content);
		k->used = k->has_content = false;
	}
	l->used = 0;
}

void links_free(struct links *l)
{
	if (l == NULL)
		return;
	forget_all(l);
	free(l);
}

static const struct link *find(const struct links *l, uint64_t dev, uint64_t ino)
{
	uint64_t h = (ino * 0x9e3779b97f4a7c15u) ^ dev;
	unsigned i = (unsigned)(h >> 32) % SLOTS;

	while (l->slots[i].used && (l->slots[i].dev != dev || l->slots[i].ino != ino))
		i = (i + 1) % SLOTS;
	return &l->slots[i];
}

bool links_seen(const struct links *l, uint64_t dev, uint64_t ino)
{
	return find(l, dev, ino)->used;
}

void links_add(struct links *l, uint64_t dev, uint64_t ino)
{
	if (l->used == USED_MAX)
		forget_all(l);

	struct link *k = (struct link *)find(l, dev, ino);

	if (k->used)
		return;
	*k = (struct link){ .dev = dev, .ino = ino, .used = true };
	l->used++;
}

void links_put(struct links *l, uint64_t dev, uint64_t ino, struct linked *kept)
{
	struct link *k = (struct link *)find(l, dev, ino);

	if (!k->used) {
		content_release(&kept->content);
		return;
	}
	if (k->has_content)
		content_release(&k->kept.content);
	k->kept = *kept;
	k->has_content = true;
	kept->content = (struct content){ .kind = CONTENT_NONE };
}

const struct linked *links_get(const struct links *l, uint64_t dev, uint64_t ino,
    const uint8_t digest[16])
{
	const struct link *k = find(l, dev, ino);

	return k->used && k->has_content && memcmp(k->kept.digest, digest, 16) == 0 ?
	    &k->kept : NULL;
}
