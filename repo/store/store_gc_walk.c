/* Which snapshots there are, and what they need (R1, R5, R7). */

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_gc_internal.h"

/* Memory for the index while snapshots are walked is the store's own. */

struct name { uint8_t slot[FMT_SLOT_LEN]; char session[FMT_SESSION_MAX]; };

static int name_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct name));
}

/* The snapshots that the mark lists, sorted; NULL with err. */
static struct name *marked(const struct gc *g, size_t *ret_n, struct err *err)
{
	struct fmt_list l = g->considered;
	struct name *v = mem_array((size_t)l.n + 1, sizeof(*v),
	    "a mark's snapshots", err);
	size_t n = 0;

	if (v == NULL)
		return NULL;
	while (fmt_mark_next(&l, v[n].slot, v[n].session) == 0)
		n++;
	qsort(v, n, sizeof(*v), name_cmp);
	*ret_n = n;
	return v;
}

/* Would a snapshot of that session count, were it whole?  0 no, 1 yes, -1. */
static int counts(struct gc *g, const struct fmt_key *at, struct err *err)
{
	struct err why = ERR_INIT;
	const struct store_slot *sl = store_slot_find(g->st, at->slot, &why);

	if (sl != NULL)
		return store_slot_stands(sl, at->session) &&
		    (sl->rights & (STORE_WRITE | STORE_ADMIN)) != 0;
	if (why.class == ERR_NOTFOUND)
		return 0; /* there is no such slot */
	if (why.class == ERR_CORRUPT)
		return 1;
	*err = why;
	return -1;
}

/*
 * A snapshot that cannot be read.  It is the only root of what it needs, so
 * damage must not mean that it was forgotten.
 */
static int unreadable(struct gc *g, const struct fmt_key *at,
    const struct err *why, struct err *err)
{
	int r;

	if (why->class == ERR_CORRUPT || why->class == ERR_NOTFOUND) {
		r = counts(g, at, err);
		if (r < 0)
			return -1;
		if (r == 0) {
			log_msg(LOG_WARN, "passed over: %s", why->msg);
			return 0;
		}
	}
	*err = *why;
	if (why->class == ERR_CORRUPT || why->class == ERR_NOTFOUND) {
		char slot[FMT_HEX_SLOT];

		err->class = ERR_CORRUPT;
		hex_encode(slot, at->slot, sizeof(at->slot));
		return err_wrap(err, "a snapshot cannot be read, so nothing is "
		    "deleted; bring it back from a copy, or let it go by "
		    "'wherry forget --id %s/%.16s'", slot,
		    strrchr(at->session, '-') + 1);
	}
	return -1;
}

static int walk_one(struct gc *g, const char *key, struct fmt_list_buf *out,
    struct store_live *live, struct err *err)
{
	const struct store_walker *w = &g->opt->walker;
	struct store_snapshot *sn = NULL;
	struct err why = ERR_INIT;
	struct fmt_key at;
	int r = store_snapshot_load(g->st, key, &sn, NULL, &why);

	if (r > 0)
		return 0; /* a revocation, or forgotten meanwhile */
	if (fmt_key_parse(key, &at) != 0)
		return 0;
	if (r < 0)
		return unreadable(g, &at, &why, err);
	if (sn->sealed)
		r = err_set(err, ERR_AUTH, "%s: this credential cannot open "
		    "its epoch", key);
	else
		r = w->walk(w->ctx, g->st, sn, live, err);
	if (r == 0 && out != NULL)
		fmt_list_add_snapshot(out, sn->slot, sn->session);
	if (r == 0)
		g->ret->snapshots++;
	store_snapshot_free(sn);
	return r == 0 ? 0 : -1;
}

int store_gc_walk(struct gc *g, bool fresh, struct fmt_list_buf *considered,
    struct store_live **ret_live, struct err *err)
{
	CLEANUP_FREE struct name *old = NULL;
	CLEANUP_FREE struct store_snapkey *v = NULL;
	struct store_keys keys = { 0 };
	size_t nold = 0, n = 0;
	int r = 0;

	*ret_live = store_live_new(g->memory / 2, g->opt->spill_dir, err);
	if (*ret_live == NULL)
		return -1;
	if (fresh)
		old = marked(g, &nold, err);
	if (fresh && old == NULL)
		r = -1;
	/* R1: snapshots, then the index. */
	if (r == 0)
		r = store_snapshot_keys(g->st, &keys, &v, &n, err);
	if (r == 0)
		r = store_index_refresh(g->st, 0, err);
	for (size_t i = 0; i < n && r == 0; i++) {
		const char *key = store_keys_at(&keys, v[i].key);
		struct name x;
		struct fmt_key at;

		if (fmt_key_parse(key, &at) != 0)
			continue;
		memcpy(x.slot, at.slot, sizeof(x.slot));
		memset(x.session, 0, sizeof(x.session));
		memcpy(x.session, at.session, strlen(at.session));
		if (nold > 0 && bsearch(&x, old, nold, sizeof(x),
		        name_cmp) != NULL)
			continue;
		store_gc_progress(g, "snapshots", i, n);
		r = store_gc_cancelled(g, err);
		if (r == 0)
			r = walk_one(g, key, considered, *ret_live, err);
	}
	store_keys_release(&keys);
	return r == 0 ? 0 : -1;
}
