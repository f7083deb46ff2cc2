/*
 * Objects that nobody can read: what is made up for is removed, for the rest it
 * is said what can be done.  Names never recur, so nothing that is written later
 * can be meant by a removal.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_repair_internal.h"

static int small_remove(struct store_repair *r, const char *key,
    const char *why_not_needed, struct err *err)
{
	if (!r->opt.dry_run && backend_del(r->st->be, key, err) < 0)
		return err_wrap(err, "cannot remove what is unreadable");
	r->ret.removed++;
	store_repair_tell(r, key, why_not_needed);
	return 0;
}

/* Segments that turned out damaged: all that they named is named again. */
static int small_segments(struct store_repair *r, struct err *err)
{
	for (size_t i = 0; i < r->c.segments.n; i++) {
		const char *key = store_keys_at(&r->c.segments, i);

		if (!r->c.unreadable[i])
			continue;
		if (r->unnamed > 0)
			store_repair_tell(r, key, "is kept, for packs are left "
			    "that could not be named again (with --read-data "
			    "more may be)");
		else if (small_remove(r, key, "removed: what it named is named "
		        "again", err) != 0)
			return -1;
	}
	return 0;
}

/* --- config -------------------------------------------------------------------------*/

/* The number of the config in force, and the highest there is. */
static int config_numbers(struct store_repair *r, uint64_t *ret_force,
    uint64_t *ret_top, struct err *err)
{
	struct store_keys keys = { 0 };
	int x = store_keys_list(r->st->be, "config/", &keys, err);

	*ret_force = *ret_top = 0;
	for (size_t i = keys.n; i > 0 && x >= 0 && *ret_force == 0; i--) {
		const char *key = store_keys_at(&keys, i - 1);
		CLEANUP_FREE uint8_t *obj = NULL;
		struct fmt_key at;
		size_t len;

		if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_CONFIG)
			continue;
		if (*ret_top == 0)
			*ret_top = at.n;
		x = backend_get_all(r->st->be, key, STORE_SMALL_OBJECT, &obj,
		    &len, err);
		if (x == 0 && len == r->st->config.len &&
		    memcmp(obj, r->st->config.p, len) == 0)
			*ret_force = at.n;
	}
	store_keys_release(&keys);
	return x < 0 ? -1 : 0;
}

/* Write the config in force once more, above all that there are. */
static int config_again(struct store_repair *r, uint64_t top, struct err *err)
{
	struct buf obj = BUF_INIT;
	char key[FMT_KEY_MAX];
	struct fmt_config c;
	int x;

	if (top >= UINT32_MAX)
		return err_set(err, ERR_CONFLICT,
		    "config/: no number is left for another");
	if (fmt_config_decode(r->st->config.p, r->st->config.len, &c,
	        err) != 0)
		return -1;
	c.signer_epoch = r->st->info.epoch;
	fmt_key_config(key, (uint32_t)top + 1);
	x = fmt_config_encode(&obj, &c, err);
	if (x == 0 && !r->opt.dry_run)
		x = store_admin_put(r->st, key, &obj, err);
	buf_release(&obj);
	if (x != 0) /* 1: who put it has done what was to be done */
		return x < 0 ? err_wrap(err, "%s", key) : 0;
	r->ret.rewritten++;
	store_repair_tell(r, key, "written: the same as the config in force");
	return 0;
}

static int small_config(struct store_repair *r, const char *key,
    const struct fmt_key *at, struct err *err)
{
	uint64_t force, top;
	bool ahead;

	if (store_epoch_ahead(r->st, &ahead, err) != 0)
		return -1;
	if (ahead) {
		store_repair_tell(r, key, "may have named the newest keys: put "
		    "it back from a copy of the repository; else what was "
		    "written under them is lost, 'wherry key rotate' makes "
		    "new ones, and repair can be run again");
		return 0;
	}
	if (config_numbers(r, &force, &top, err) != 0)
		return -1;
	if (force == 0)
		return 0; /* another has been written meanwhile */
	if (at->n > force && config_again(r, top, err) != 0)
		return -1;
	return small_remove(r, key, "removed: another config is in force", err);
}

/* --- the others --------------------------------------------------------------------------*/

static const char *advice(enum fmt_place place)
{
	switch (place) {
	case FMT_AT_SNAPSHOT:
		return "cannot be mended: what it was the root of is lost; "
		    "'wherry forget --id' with its last 16 digits gives the "
		    "space back";
	case FMT_AT_CERT:
		return "cannot be mended: what this credential stored cannot "
		    "be verified any more; put the object back from a copy of "
		    "the repository if there is one, else make a new "
		    "credential ('wherry key add')";
	case FMT_AT_WRAP:
		return "cannot be mended: that passphrase or key file does not "
		    "open its credential any more; make a new one ('wherry "
		    "key add')";
	case FMT_AT_GRANT:
		return "cannot be mended: that credential cannot open the "
		    "repository any more; make a new one ('wherry key add')";
	case FMT_AT_END:
		return "'wherry key remove' ends that credential again";
	case FMT_AT_MARK:
	case FMT_AT_VERDICT:
	case FMT_AT_DEAD:
		return "'wherry gc' goes on without it, 'wherry gc --abandon' "
		    "gives that collection up";
	case FMT_AT_NOTE:
	case FMT_AT_SESSION:
		return "'wherry upkeep' removes it in time";
	case FMT_AT_MANIFEST:
		return "the next 'wherry upkeep' replaces it";
	default:
		return NULL;
	}
}

static int small_one(struct store_repair *r, const char *key, struct err *err)
{
	struct fmt_key at;
	const char *what;

	if (fmt_key_parse(key, &at) != 0)
		return 0;
	if (at.place == FMT_AT_CONFIG)
		return small_config(r, key, &at, err);
	if (at.place == FMT_AT_BAD || at.place == FMT_AT_CHECKED)
		return small_remove(r, key, "removed: what it told was found "
		    "again, or is not needed", err);
	what = advice(at.place);
	if (what != NULL)
		store_repair_tell(r, key, what);
	return 0;
}

int store_repair_small(struct store_repair *r, struct err *err)
{
	const char *p = (const char *)r->c.small.p;
	const char *end = p == NULL ? NULL : p + r->c.small.len;

	if (small_segments(r, err) != 0)
		return -1;
	for (; p != end; p += strlen(p) + 1)
		if (store_repair_cancelled(r, err) != 0 ||
		    small_one(r, p, err) != 0)
			return -1;
	return 0;
}
