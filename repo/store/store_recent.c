/* Snapshots that were not there when somebody looked before. */

#include <stdlib.h>

#include "repo/store/store_internal.h"
#include "repo/store/store_recent.h"

/* Read one and hand it over; what cannot be read is told. */
static int recent_one(struct store *st, const char *key,
    int (*fn)(void *ctx, struct store_snapshot **sn, struct err *err),
    void (*bad)(void *ctx, const char *key, const struct err *why),
    void *ctx, struct err *err)
{
	struct store_snapshot *sn = NULL;
	int r = store_snapshot_load(st, key, &sn, NULL, err);

	if (r == 0 && !sn->checkpoint)
		r = fn(ctx, &sn, err);
	else if (r > 0)
		r = 0;
	else if (r < 0 && (err->class == ERR_CORRUPT ||
	        err->class == ERR_NOTFOUND || err->class == ERR_UNSUPPORTED)) {
		if (bad != NULL)
			bad(ctx, key, err);
		r = 0;
	}
	store_snapshot_free(sn);
	return r;
}

int store_snapshots_recent(struct store *st,
    bool (*known)(void *ctx, const uint8_t slot[STORE_SLOT_LEN],
        const char *session),
    int (*fn)(void *ctx, struct store_snapshot **sn, struct err *err),
    void (*bad)(void *ctx, const char *key, const struct err *why),
    void *ctx, struct err *err)
{
	struct store_snapkey *v;
	struct store_keys keys = { 0 };
	size_t n;
	int r = store_snapshot_keys(st, &keys, &v, &n, err);

	for (size_t i = 0; i < n && r == 0; i++) {
		const char *key = store_keys_at(&keys, v[i].key);
		struct fmt_key at;

		if (fmt_key_parse(key, &at) != 0 ||
		    known(ctx, at.slot, at.session))
			continue;
		r = recent_one(st, key, fn, bad, ctx, err);
	}
	free(v);
	store_keys_release(&keys);
	return r;
}
