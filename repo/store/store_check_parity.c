/* Check of parity: there, and what its pack is; what of a damaged one it heals. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/mem.h"
#include "repo/store/store_check_internal.h"
#include "repo/store/store_parity_internal.h"

/* --- which packs have it --------------------------------------------------------------*/

static int parity_listed(void *ctx, const char *key,
    const struct backend_stat *bs, struct err *err)
{
	struct check *c = ctx;
	struct check_pack *p;
	struct fmt_key at;

	(void)bs;
	(void)err;
	if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_PARITY)
		return 0;
	p = store_check_find(c, at.name);
	if (p != NULL)
		p->flags |= CHECK_PARITY;
	return 0;
}

int store_check_parities(struct check *c, struct err *err)
{
	if (backend_list(c->st->be, "parity/", parity_listed, c, err) != 0)
		return -1;
	if (c->st->info.parity_shards == 0)
		return 0;
	/* What no segment names may be under way. */
	for (uint32_t i = 0; i < c->npacks; i++) {
		const struct check_pack *p = &c->packs[i];

		c->ret->unprotected += p->size > 0 && p->nrefs > 0 &&
		    !(p->flags & CHECK_PARITY);
	}
	return 0;
}

/* --- compared with a pack ----------------------------------------------------------------*/

struct check_parity {
	struct check *c;
	struct check_pack *p;
	struct store_heal *heal;
	struct parity_look look;
	char key[FMT_KEY_MAX];
};

static void parity_bad(struct check *c, struct check_pack *p, const char *what)
{
	char key[FMT_KEY_MAX];
	size_t n;

	fmt_key_parity(key, p->name);
	n = strlen(key);
	if (strncmp(what, key, n) == 0 && strncmp(what + n, ": ", 2) == 0)
		what += n + 2;
	p->flags |= CHECK_PARITY_BAD;
	/* Of a pack that is listed it has given what it could. */
	if (!store_bad_touches(c->bad, p->name))
		store_check_tell(c, key, NULL, what);
}

/* Open it: 0, 1 when it is not there or was told to be damaged, -1. */
static int parity_open(struct check *c, struct check_pack *p,
    struct store_heal **ret, struct err *err)
{
	struct err why = ERR_INIT;
	int r = store_heal_open(c->st, p->name, ret, &why);

	if (r < 0 && !store_check_is_damage(&why)) {
		*err = why;
		return -1;
	}
	if (r < 0)
		parity_bad(c, p, why.msg);
	if (r != 0)
		return 1;
	if (p->size == 0 || store_heal_size(*ret) == p->size ||
	    (p->flags & CHECK_BROKEN))
		return 0;
	parity_bad(c, p, "is of a pack of another size");
	store_heal_close(*ret);
	*ret = NULL;
	return 1;
}

int store_check_parity_begin(struct check *c, struct check_pack *p,
    struct check_parity **ret, struct err *err)
{
	struct check_parity *x;
	struct store_heal *heal;
	int r;

	*ret = NULL;
	if (!(p->flags & CHECK_PARITY))
		return 0;
	r = parity_open(c, p, &heal, err);
	if (r != 0)
		return r < 0 ? -1 : 0;
	x = mem_zalloc(sizeof(*x), "parity", err);
	if (x == NULL) {
		store_heal_close(heal);
		return -1;
	}
	x->c = c;
	x->p = p;
	x->heal = heal;
	if (store_heal_look(heal, &x->look, err) != 0) {
		store_check_parity_free(x);
		return -1;
	}
	*ret = x;
	return 0;
}

void store_check_parity_add(struct check_parity *x, const void *p, size_t len)
{
	if (x != NULL)
		parity_look_add(&x->look, p, len);
}

int store_check_parity_end(struct check_parity *x, bool whole, struct err *err)
{
	if (x == NULL)
		return 0;
	parity_look_object_end(&x->look);
	if (store_heal_look_shards(x->heal, &x->look, err) != 0)
		return -1;
	/* Of a damaged pack the sums differ; which, is told with its ranges. */
	if (parity_look_shards_bad(&x->look))
		parity_bad(x->c, x->p, "has other checksums than it says");
	else if (whole && parity_look_data_bad(&x->look))
		parity_bad(x->c, x->p, "says other checksums than its pack has");
	return 0;
}

void store_check_parity_free(struct check_parity *x)
{
	if (x == NULL)
		return;
	parity_look_release(&x->look);
	store_heal_close(x->heal);
	free(x);
}

/* --- of a damaged pack ------------------------------------------------------------------*/

int store_check_ranges(struct check *c, const struct check_pack *p,
    struct err *err)
{
	char key[FMT_KEY_MAX], text[400];
	struct store_heal *heal;
	struct store_ranges ranges;
	struct err why = ERR_INIT;
	int r;

	if (!(p->flags & CHECK_PARITY) || c->opt->ranges == NULL)
		return 0;
	r = store_heal_open(c->st, p->name, &heal, &why);
	if (r == 0)
		r = store_heal_survey(heal, &ranges, &why);
	store_heal_close(heal);
	if (r < 0 && !store_check_is_damage(&why)) {
		*err = why;
		return -1;
	}
	fmt_key_pack(key, p->name);
	if (r < 0) {
		snprintf(text, sizeof(text), "its parity cannot be used: %.300s",
		    why.msg);
		ranges.healable = false;
	} else if (r == 0) {
		store_ranges_text(&ranges, text, sizeof(text));
	}
	if (r > 0)
		return 0;
	pthread_mutex_lock(&c->lock);
	c->opt->ranges(c->opt->ctx, key, text, ranges.healable);
	pthread_mutex_unlock(&c->lock);
	return 0;
}
