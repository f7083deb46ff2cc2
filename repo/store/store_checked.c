/*
 * When packs were last found whole: reading that, choosing what to read by it,
 * writing it down.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_check_internal.h"

/* Packs to one list (24 bytes each). */
#ifndef STORE_CHECKED_MAX
#define STORE_CHECKED_MAX 250000u
#endif

/* --- reading ----------------------------------------------------------------------*/

/* The lists come in ascending order: a later one replaces what was said. */
static void take_list(struct check *c, struct fmt_list l)
{
	struct fmt_checked_entry e;

	while (fmt_checked_next(&l, &e) == 0) {
		struct check_pack *p = store_check_find(c, e.pack);

		if (p == NULL)
			continue; /* it has been collected */
		if (e.time_ns == FMT_CHECKED_DAMAGED) {
			p->time_ns = 0;
			p->flags |= CHECK_SUSPECT;
		} else if (e.time_ns > p->time_ns) {
			p->time_ns = e.time_ns;
			p->flags &= (uint16_t)~CHECK_SUSPECT;
		}
	}
}

static int read_one(struct check *c, const char *key, uint64_t n,
    struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	struct err why = ERR_INIT;
	struct fmt_list l;
	size_t len;
	int r = backend_get_all(c->st->be, key, STORE_LARGE_OBJECT, &obj, &len,
	    &why);

	if (r > 0)
		return 0; /* replaced meanwhile: then it is read, or not needed */
	if (r == 0 && store_admin_signed(c->st, key, obj, len, FMT_CHECKED,
	        &why) == 0 &&
	    fmt_checked_decode(obj, len, NULL, &l, &why) == 0) {
		c->checked_n = n;
		take_list(c, l);
		return 0;
	}
	if (store_check_is_damage(&why))
		return 0; /* told where the small objects are looked at */
	*err = why;
	return -1;
}

int store_checked_read(struct check *c, struct err *err)
{
	struct store_keys keys = { 0 };
	int r = store_keys_list(c->st->be, "checked/", &keys, err);

	for (size_t i = 0; i < keys.n && r == 0; i++) {
		struct fmt_key at;

		if (fmt_key_parse(store_keys_at(&keys, i), &at) == 0 &&
		    at.place == FMT_AT_CHECKED)
			r = read_one(c, store_keys_at(&keys, i), at.n, err);
	}
	store_keys_release(&keys);
	return r;
}

/* --- choosing ----------------------------------------------------------------------*/

struct turn {
	int64_t time_ns;
	uint64_t lot;
	uint32_t pack;
};

static int turn_cmp(const void *pa, const void *pb)
{
	const struct turn *a = pa, *b = pb;

	if (a->time_ns != b->time_ns)
		return a->time_ns < b->time_ns ? -1 : 1;
	return a->lot < b->lot ? -1 : a->lot > b->lot;
}

/* Those that come first until there are enough bytes. */
static void choose_first(struct check *c, const struct turn *v, uint64_t total)
{
	uint64_t want = total / 100 * c->opt->read_percent +
	    total % 100 * c->opt->read_percent / 100, have = 0;

	for (uint32_t i = 0; i < c->npacks && have < want; i++) {
		struct check_pack *p = &c->packs[v[i].pack];

		if (p->size == 0)
			continue;
		p->flags |= CHECK_CHOSEN;
		have += p->size;
	}
}

int store_checked_choose(struct check *c, struct err *err)
{
	/* Who cannot write down what was read would read the same each time. */
	bool oldest = (c->st->info.rights & STORE_ADMIN) != 0;
	uint64_t total = 0;
	struct turn *v;

	for (uint32_t i = 0; i < c->npacks; i++) {
		struct check_pack *p = &c->packs[i];

		total += p->size;
		if (c->opt->read_percent >= 100 || (c->mending &&
		        ((p->flags & CHECK_SUSPECT) ||
		         store_bad_touches(c->bad, p->name))))
			p->flags |= CHECK_CHOSEN;
	}
	if (c->opt->read_percent == 0 || c->opt->read_percent >= 100)
		return 0;
	v = mem_array((size_t)c->npacks + 1, sizeof(*v), "the packs", err);
	if (v == NULL)
		return -1;
	for (uint32_t i = 0; i < c->npacks; i++)
		v[i] = (struct turn){ oldest ? c->packs[i].time_ns : 0,
			crypto_siphash(c->sum_key, c->packs[i].name,
			    FMT_PACK_NAME_LEN), i };
	qsort(v, c->npacks, sizeof(*v), turn_cmp);
	choose_first(c, v, total);
	free(v);
	return 0;
}

/* --- writing ------------------------------------------------------------------------*/

/* Put one list under the first number that is free from *n on. */
static int put_list(struct store *st, const struct fmt_list_buf *l,
    uint64_t *n, struct err *err)
{
	struct fmt_list list = fmt_list_of(l);
	int r = 1;

	if (buf_check(&l->b, "when packs were verified", err) != 0)
		return -1;
	while (r == 1) {
		struct buf obj = BUF_INIT;
		char key[FMT_KEY_MAX];

		fmt_key_checked(key, ++*n);
		r = fmt_checked_encode(&obj, st->info.epoch, &list, err);
		if (r == 0)
			r = store_admin_put(st, key, &obj, err);
		buf_release(&obj);
	}
	return r;
}

/* What this look says of a pack; false: nothing is known. */
static bool entry_of(const struct check_pack *p, int64_t now,
    struct fmt_checked_entry *ret)
{
	*ret = (struct fmt_checked_entry){ p->name, p->time_ns };
	if (p->size == 0)
		return false;
	if (p->flags & CHECK_WHOLE)
		ret->time_ns = now;
	else if (p->flags & (CHECK_BAD | CHECK_BROKEN | CHECK_SUSPECT |
	        CHECK_PARITY_BAD))
		ret->time_ns = FMT_CHECKED_DAMAGED;
	else
		return p->time_ns != 0;
	return true;
}

/* All that is known, in as many lists as it takes. */
static int put_all(struct check *c, uint64_t *n, struct err *err)
{
	struct fmt_list_buf l = FMT_LIST_BUF_INIT;
	int64_t now = clock_real_ns();
	int r = 0;

	if (now <= 0)
		now = 1;
	for (uint32_t i = 0; i < c->npacks && r == 0; i++) {
		struct fmt_checked_entry e;

		if (entry_of(&c->packs[i], now, &e)) {
			fmt_list_add_checked(&l, &e);
			c->ret->recorded += e.time_ns == now;
		}
		if (l.n > 0 && (l.n == STORE_CHECKED_MAX ||
		        i + 1 == c->npacks)) {
			r = put_list(c->st, &l, n, err);
			fmt_list_release(&l);
			l = (struct fmt_list_buf)FMT_LIST_BUF_INIT;
		}
	}
	fmt_list_release(&l);
	return r;
}

static bool anything_new(const struct check *c)
{
	for (uint32_t i = 0; i < c->npacks; i++)
		if (c->packs[i].flags & (CHECK_WHOLE | CHECK_BAD | CHECK_BROKEN |
		        CHECK_PARITY_BAD))
			return true;
	return false;
}

int store_checked_write(struct check *c, struct err *err)
{
	struct store_keys keys = { 0 };
	struct err why = ERR_INIT;
	struct fmt_key at;
	uint64_t n = c->checked_n;
	int r;

	if (!anything_new(c))
		return 0;
	r = store_keys_list(c->st->be, "checked/", &keys, err);
	if (r == 0)
		r = put_all(c, &n, err);
	/* What others wrote meanwhile is not among these, and stays. */
	for (size_t i = 0; i < keys.n && r == 0; i++) {
		const char *key = store_keys_at(&keys, i);

		if (fmt_key_parse(key, &at) == 0 &&
		    at.place == FMT_AT_CHECKED &&
		    backend_del(c->st->be, key, &why) < 0) {
			log_msg(LOG_INFO, "%s stays: %s", key, why.msg);
			break;
		}
	}
	store_keys_release(&keys);
	return r;
}
