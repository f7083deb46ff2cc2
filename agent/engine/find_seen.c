#include <stdlib.h>
#include <string.h>

#include "agent/engine/find_seen.h"
#include "repo/base/bytes.h"

/* Half of an id is enough to tell pages apart. */
struct slot {
	uint64_t a, b;
	uint32_t from, n;
};

struct find_seen {
	struct slot *v;     /* a and b 0: empty */
	size_t cap, used, most;
};

struct find_seen *find_seen_new(size_t limit)
{
	struct find_seen *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->cap = 1024;
	/* While it grows there are two tables. */
	s->most = limit / sizeof(struct slot) * 2 / 3;
	s->v = calloc(s->cap, sizeof(*s->v));
	if (s->v == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void find_seen_free(struct find_seen *s)
{
	if (s == NULL)
		return;
	free(s->v);
	free(s);
}

static struct slot *slot_of(const struct find_seen *s, uint64_t a, uint64_t b)
{
	size_t i = a & (s->cap - 1);

	while ((s->v[i].a | s->v[i].b) != 0 && (s->v[i].a != a || s->v[i].b != b))
		i = (i + 1) & (s->cap - 1);
	return &s->v[i];
}

/* Move to a table of cap slots; barren: only pages that held nothing. */
static bool rehash(struct find_seen *s, size_t cap, bool barren)
{
	struct find_seen to = { .v = calloc(cap, sizeof(*to.v)), .cap = cap };

	if (to.v == NULL)
		return false;
	for (size_t i = 0; i < s->cap; i++) {
		const struct slot *x = &s->v[i];

		if ((x->a | x->b) == 0 || (barren && x->n > 0))
			continue;
		*slot_of(&to, x->a, x->b) = *x;
		to.used++;
	}
	free(s->v);
	s->v = to.v;
	s->cap = to.cap;
	s->used = to.used;
	return true;
}

void find_seen_drop(struct find_seen *s)
{
	if (!rehash(s, s->cap, true)) {
		/* Without memory for that all is forgotten. */
		memset(s->v, 0, s->cap * sizeof(*s->v));
		s->used = 0;
	}
}

bool find_seen_get(const struct find_seen *s, const uint8_t id[32],
    uint32_t *ret_from, uint32_t *ret_n)
{
	const struct slot *x = slot_of(s, le64_get(id), le64_get(id + 8));

	*ret_from = x->from;
	*ret_n = x->n;
	return (x->a | x->b) != 0;
}

void find_seen_put(struct find_seen *s, const uint8_t id[32], uint32_t from,
    uint32_t n)
{
	struct slot *x;

	if ((s->used + 1) * 4 > s->cap * 3 &&
	    (s->cap * 2 > s->most || !rehash(s, s->cap * 2, false)))
		return;
	x = slot_of(s, le64_get(id), le64_get(id + 8));
	if ((x->a | x->b) == 0)
		s->used++;
	*x = (struct slot){ le64_get(id), le64_get(id + 8), from, n };
}
