/* What a walker tells: pages that were seen, and the ids of all that is live. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/store/store_gc_internal.h"

#define SET_WAYS 8                 /* pages that share a place in the cache */
#define SET_MIN ((size_t)64 << 10) /* bytes */
#define RECENT 16384u              /* chunks told lately */

struct store_live {
	struct gc_sort *ids;
	/*
	 * Pages that were walked, by their first 16 bytes: a write credential
	 * can make ids, and with fewer bytes could make a page that hides
	 * another's.  A cache: a page that it has forgotten is walked again.
	 */
	uint8_t (*pages)[SET_WAYS][GC_SHORT_ID];
	size_t sets;               /* a power of two */
	uint32_t hand;             /* where the next one goes in a full set */
	uint8_t (*recent)[GC_SHORT_ID];
};

struct store_live *store_live_new(size_t memory, const char *dir,
    struct err *err)
{
	struct store_live *l = mem_zalloc(sizeof(*l), "the live set", err);
	size_t bytes = memory / 4;

	if (l == NULL)
		return NULL;
	if (bytes < SET_MIN)
		bytes = SET_MIN;
	l->sets = 1;
	while (l->sets * 2 * sizeof(*l->pages) <= bytes)
		l->sets *= 2;
	l->pages = mem_array(l->sets, sizeof(*l->pages), "the live set", err);
	if (l->pages != NULL)
		l->recent = mem_array(RECENT, sizeof(*l->recent),
		    "the live set", err);
	if (l->recent != NULL)
		l->ids = store_sort_new(memory > bytes ? memory - bytes : 0, dir,
		    err);
	if (l->ids == NULL) {
		store_live_free(l);
		return NULL;
	}
	return l;
}

void store_live_free(struct store_live *l)
{
	if (l == NULL)
		return;
	store_sort_free(l->ids);
	free(l->pages);
	free(l->recent);
	free(l);
}

struct gc_sort *store_live_sorted(struct store_live *l)
{
	free(l->pages);
	l->pages = NULL;
	free(l->recent);
	l->recent = NULL;
	return l->ids;
}

/* Was that page seen?  It is from now on. */
static bool seen(struct store_live *l, const uint8_t *id)
{
	static const uint8_t none[GC_SHORT_ID];
	uint8_t (*set)[GC_SHORT_ID] =
	    l->pages[le64_get(id + 8) & (l->sets - 1)];

	for (unsigned i = 0; i < SET_WAYS; i++) {
		if (memcmp(set[i], id, GC_SHORT_ID) == 0)
			return true;
		if (memcmp(set[i], none, GC_SHORT_ID) == 0) {
			memcpy(set[i], id, GC_SHORT_ID);
			return false;
		}
	}
	memcpy(set[l->hand++ % SET_WAYS], id, GC_SHORT_ID);
	return false;
}

int store_live_page(struct store_live *l, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], struct err *err)
{
	(void)kind; /* it is in the id */
	if (seen(l, id))
		return 1;
	return store_sort_add(l->ids, id, err);
}

int store_live_chunk(struct store_live *l, const uint8_t id[STORE_ID_LEN],
    struct err *err)
{
	uint8_t *at = l->recent[le32_get(id + 4) & (RECENT - 1)];

	/* One bundle is named by many files, one after the other. */
	if (memcmp(at, id, GC_SHORT_ID) == 0)
		return 0;
	memcpy(at, id, GC_SHORT_ID);
	return store_sort_add(l->ids, id, err);
}
