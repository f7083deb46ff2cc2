#include <stdlib.h>
#include <string.h>

#include "agent/engine/rebundle.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"

/*
 * Bundles of the parent of which little is left.  A chunk lives as long as one
 * file needs a slice of it, so files that were deleted or rewritten would keep
 * their place for ever.  While the merge goes along the parent's state it sums
 * what of each bundle is still used; the files that use it stay undecided
 * until its last slice has gone by.  Below half they are read again and
 * bundled with their neighbours; else they are carried over as ever.
 *
 * Slices of a bundle follow each other in the state, by ascending offset, and
 * are at most BUNDLE_SPAN entries apart when it is made.  So memory is bounded
 * by OLD_MAX bundles, and time by that span.  Other names and copies of a file
 * may use a slice anywhere behind: they are not counted, and do as was decided
 * about the bundle, as long as that is remembered.  What is decided too early
 * or was forgotten costs a few small reads and nothing else.
 */

/* Bundles that are summed up at once. */
#ifndef OLD_MAX
#define OLD_MAX 32u
#endif

/* Decisions that are remembered, a power of two. */
#ifndef GONE_MAX
#define GONE_MAX 65536u
#endif

struct old_bundle {
	struct old_bundle *next;    /* began later */
	uint8_t id[32];
	uint32_t len, end, used;    /* bytes: in all; gone by; of these used */
	uint64_t since;             /* entries of the state before its first slice */
	struct item *items, **tail; /* that use it, by old_next */
};

static struct old_bundle **find(struct backup *b, const uint8_t *id)
{
	struct old_bundle **p = &b->old_first;

	while (*p != NULL && memcmp((*p)->id, id, sizeof((*p)->id)) != 0)
		p = &(*p)->next;
	return p;
}

/*
 * A decision is one word: the beginning of the id, and in its lowest bit
 * whether the files are read again.
 */
static uint64_t *gone_slot(struct backup *b, const uint8_t *id)
{
	return &b->old_gone[le32_get(id + 8) % GONE_MAX];
}

static void gone_put(struct backup *b, const uint8_t *id, bool anew)
{
	*gone_slot(b, id) = (le64_get(id) & ~UINT64_C(1)) | anew;
}

static bool gone_get(struct backup *b, const uint8_t *id, bool *ret_anew)
{
	uint64_t v = *gone_slot(b, id);

	if ((v & ~UINT64_C(1)) != (le64_get(id) & ~UINT64_C(1)))
		return false;
	*ret_anew = v & 1;
	return true;
}

/* Its items go on.  rest_lives: what has not gone by counts as used. */
static void decide(struct backup *b, struct old_bundle **p, bool rest_lives)
{
	struct old_bundle *ob = *p;
	uint64_t used = ob->used + (rest_lives ? ob->len - ob->end : 0);
	bool anew = 2 * used < ob->len;

	*p = ob->next;
	b->old_n--;
	gone_put(b, ob->id, anew);
	for (struct item *it = ob->items, *next; it != NULL; it = next) {
		next = it->old_next;
		it->old = NULL;
		it->rebundle = anew;
		merge_settle(b, it);
	}
	free(ob);
}

static struct old_bundle **begin(struct backup *b, const struct fmt_content *c,
    struct err *err)
{
	struct old_bundle **p;
	struct old_bundle *ob;

	if (b->old_n == OLD_MAX)
		decide(b, &b->old_first, true);
	ob = mem_zalloc(sizeof(*ob), "a bundle of the parent", err);
	if (ob == NULL)
		return NULL;
	memcpy(ob->id, c->id, sizeof(ob->id));
	ob->len = c->chunk_len;
	ob->since = b->state_seen;
	ob->tail = &ob->items;
	for (p = &b->old_first; *p != NULL; p = &(*p)->next)
		;
	*p = ob;
	b->old_n++;
	return p;
}

int rebundle_join(struct backup *b, struct item *it, struct err *err)
{
	const struct fmt_content *c = &it->state.content;
	struct old_bundle **p = find(b, c->id);

	if (b->old_gone == NULL) {
		b->old_gone = mem_array(GONE_MAX, sizeof(*b->old_gone),
		    "the bundles of the parent", err);
		if (b->old_gone == NULL)
			return -1;
	}
	if (*p == NULL && gone_get(b, c->id, &it->rebundle))
		return 0;
	if (*p == NULL && (p = begin(b, c, err)) == NULL)
		return -1;

	struct old_bundle *ob = *p;

	it->counted = c->off >= ob->end;
	if (it->counted) {
		ob->used += (uint32_t)c->size;
		ob->end = c->off + (uint32_t)c->size;
	}
	it->old = ob;
	it->old_next = NULL;
	*ob->tail = it;
	ob->tail = &it->old_next;
	return 0;
}

void rebundle_pass(struct backup *b, const struct fmt_state_entry *e)
{
	const struct fmt_content *c = &e->content;

	b->state_seen++;
	if ((e->bits & FMT_STATE_CONTENT) && c->kind == FMT_CONTENT_SLICE) {
		struct old_bundle **p = find(b, c->id);

		if (*p != NULL && c->off >= (*p)->end)
			(*p)->end = c->off + (uint32_t)c->size;
		if (*p != NULL && (*p)->end >= (*p)->len)
			decide(b, p, false);
	}
	while (b->old_first != NULL && b->state_seen - b->old_first->since > BUNDLE_SPAN)
		decide(b, &b->old_first, false);
}

void rebundle_leave(struct item *it)
{
	struct old_bundle *ob = it->old;
	struct item **p = &ob->items;

	while (*p != it)
		p = &(*p)->old_next;
	*p = it->old_next;
	if (*p == NULL)
		ob->tail = p;
	if (it->counted)
		ob->used -= (uint32_t)it->state.content.size;
	it->old = NULL;
}

void rebundle_force(struct backup *b, struct item *it)
{
	decide(b, find(b, it->old->id), true);
}

void rebundle_end(struct backup *b, bool rest_lives)
{
	while (b->old_first != NULL)
		decide(b, &b->old_first, rest_lives);
}

void rebundle_release(struct backup *b)
{
	while (b->old_first != NULL) {
		struct old_bundle *ob = b->old_first;

		b->old_first = ob->next;
		free(ob);
	}
	free(b->old_gone);
}
