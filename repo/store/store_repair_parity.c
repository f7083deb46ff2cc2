/* Parity that packs lack, or that is damaged, is made anew of packs that are whole. */

#include <string.h>

#include "repo/store/store_parity_internal.h"
#include "repo/store/store_repair_internal.h"

/* Does it need parity, and may it be made of what is stored? */
static bool wants_parity(const struct store_repair *r,
    const struct check_pack *p)
{
	if (p->size == 0 || !(p->flags & CHECK_DIRECTORY) ||
	    (p->flags & (CHECK_BROKEN | CHECK_BAD)) ||
	    store_dead_has(r->c.dead, p->name, 0))
		return false;
	return !(p->flags & CHECK_PARITY) || (p->flags & CHECK_PARITY_BAD);
}

static int parity_one(struct store_repair *r, struct check_pack *p,
    struct err *err)
{
	bool damaged = p->flags & CHECK_PARITY_BAD;
	char key[FMT_KEY_MAX];
	int x = 0;

	if (!r->opt.dry_run)
		x = store_parity_renew(r->st, p->name, p->size, err);
	if (x != 0)
		return x < 0 ? -1 : 0; /* it went, or is not what it was */
	r->ret.parity++;
	if (!damaged)
		return 0;
	/* Compared with its parity, it was found whole. */
	p->flags &= (uint16_t)~(CHECK_PARITY_BAD | CHECK_SUSPECT);
	p->flags |= CHECK_WHOLE;
	fmt_key_parity(key, p->name);
	store_repair_tell(r, key, r->opt.dry_run ? "can be made anew of its "
	    "pack" : "made anew of its pack, which is whole");
	return 0;
}

int store_repair_parity(struct store_repair *r, struct err *err)
{
	int x = 0;

	if (r->st->info.parity_shards == 0)
		return 0;
	for (uint32_t i = 0; i < r->c.npacks && x == 0; i++) {
		struct check_pack *p = &r->c.packs[i];

		if (!wants_parity(r, p))
			continue;
		x = store_repair_cancelled(r, err);
		if (x == 0)
			x = parity_one(r, p, err);
	}
	return x;
}
