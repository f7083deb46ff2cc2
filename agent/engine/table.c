#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/engine/spill.h"
#include "agent/engine/table.h"
#include "repo/base/mem.h"

/*
 * Open addressing with linear probing.  A slot is 24 bytes: the key, then the
 * value plus one, 0 being an empty slot.  A file's slots are read and written
 * one by one; neighbours lie in one page, so a probe costs one system call
 * and no seek.
 */
struct slot {
	uint64_t a, b, value;
};

#define FIRST_SLOTS 1024u

struct table {
	size_t limit;
	uint64_t nslots, used;
	struct slot *mem; /* NULL: in the file */
	int fd;
};

static int slots_new(struct table *t, uint64_t n, struct err *err)
{
	t->nslots = n;
	t->mem = NULL;
	t->fd = -1;
	if (n * sizeof(struct slot) <= t->limit || n == FIRST_SLOTS) {
		t->mem = mem_array(n, sizeof(*t->mem), "a table", err);
		return t->mem != NULL ? 0 : -1;
	}
	t->fd = spill_open(err);
	if (t->fd >= 0 && ftruncate(t->fd, (off_t)(n * sizeof(struct slot))) < 0) {
		err_sys(err, errno, "cannot size the temporary file");
		close(t->fd);
		t->fd = -1;
	}
	return t->fd >= 0 ? 0 : -1;
}

static void slots_free(struct table *t)
{
	free(t->mem);
	if (t->fd >= 0)
		close(t->fd);
}

static int slot_get(const struct table *t, uint64_t i, struct slot *ret, struct err *err)
{
	if (t->mem != NULL) {
		*ret = t->mem[i];
		return 0;
	}
	return spill_read(t->fd, ret, sizeof(*ret), i * sizeof(*ret), err);
}

static int slot_put(struct table *t, uint64_t i, const struct slot *s, struct err *err)
{
	if (t->mem != NULL) {
		t->mem[i] = *s;
		return 0;
	}
	return spill_write(t->fd, s, sizeof(*s), i * sizeof(*s), err);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t z = a * 0x9e3779b97f4a7c15u ^ (b + 0x632be59bd9b4e019u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Find the key's slot, or the empty one where it belongs. */
static int find(const struct table *t, uint64_t a, uint64_t b, uint64_t *ret_i,
    struct slot *ret, struct err *err)
{
	uint64_t i = mix(a, b) & (t->nslots - 1);

	for (;; i = (i + 1) & (t->nslots - 1)) {
		if (slot_get(t, i, ret, err) < 0)
			return -1;
		if (ret->value == 0 || (ret->a == a && ret->b == b)) {
			*ret_i = i;
			return 0;
		}
	}
}

static int grow(struct table *t, struct err *err)
{
	struct table old = *t;
	struct slot s, none;
	uint64_t at;

	if (slots_new(t, old.nslots * 2, err) < 0) {
		*t = old;
		return -1;
	}
	for (uint64_t i = 0; i < old.nslots; i++) {
		if (slot_get(&old, i, &s, err) < 0)
			goto fail;
		if (s.value != 0 && (find(t, s.a, s.b, &at, &none, err) < 0 ||
		    slot_put(t, at, &s, err) < 0))
			goto fail;
	}
	slots_free(&old);
	return 0;
fail:
	slots_free(t);
	*t = old;
	return -1;
}

struct table *table_new(size_t limit, struct err *err)
{
	struct table *t = mem_zalloc(sizeof(*t), "a table", err);

	if (t == NULL)
		return NULL;
	t->limit = limit;
	if (slots_new(t, FIRST_SLOTS, err) < 0) {
		free(t);
		return NULL;
	}
	return t;
}

void table_free(struct table *t)
{
	if (t == NULL)
		return;
	slots_free(t);
	free(t);
}

int table_add(struct table *t, uint64_t a, uint64_t b, uint64_t value,
    uint64_t *ret_value, struct err *err)
{
	struct slot s;
	uint64_t i;

	/* While it grows, both the old and the new slots may be in memory. */
	if (t->used >= t->nslots / 4 * 3 && grow(t, err) < 0)
		return -1;
	if (find(t, a, b, &i, &s, err) < 0)
		return -1;
	if (s.value != 0) {
		*ret_value = s.value - 1;
		return 1;
	}
	s = (struct slot){ a, b, value + 1 };
	if (slot_put(t, i, &s, err) < 0)
		return -1;
	t->used++;
	return 0;
}

int table_set(struct table *t, uint64_t a, uint64_t b, uint64_t value,
    struct err *err)
{
	struct slot s;
	uint64_t i;

	if (find(t, a, b, &i, &s, err) < 0)
		return -1;
	if (s.value == 0)
		return err_set(err, ERR_BUG, "a table: a key is missing");
	s.value = value + 1;
	return slot_put(t, i, &s, err);
}

int table_get(struct table *t, uint64_t a, uint64_t b, uint64_t *ret_value,
    struct err *err)
{
	struct slot s;
	uint64_t i;

	if (find(t, a, b, &i, &s, err) < 0)
		return -1;
	if (s.value == 0)
		return 1;
	*ret_value = s.value - 1;
	return 0;
}
