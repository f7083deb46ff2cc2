#include <string.h>

#include "repo/archive/archive_internal.h"

/*
 * Keys as inner pages write them, compared without decoding the whole page:
 * a catalog's is list(str component), str name; a state's is list(u64), u64.
 * The pages they stand in have been read through before, so a key is whole.
 */

static struct archive_comp get_comp(struct rd *r)
{
	size_t len = (size_t)rd_var(r);

	return (struct archive_comp){
		.len = len, .name = (const char *)rd_bytes(r, len),
	};
}

static bool same_bytes(const struct archive_comp *a, const struct archive_comp *b)
{
	return a->len == b->len &&
	    (a->len == 0 || memcmp(a->name, b->name, a->len) == 0);
}

/* Names that are equal need no hash. */
static int hashed_cmp(const uint8_t order_key[32], struct archive_comp *a,
    struct archive_comp *b)
{
	a->h = fmt_name_hash(order_key, a->name, a->len);
	b->h = fmt_name_hash(order_key, b->name, b->len);
	return fmt_name_cmp(a, b);
}

int archive_key_place_cmp(const uint8_t order_key[32],
    const struct archive_child *child, const struct archive_path *dir,
    const struct archive_comp *name)
{
	struct rd r = rd_init(child->key, child->keylen);
	uint64_t n = rd_var(&r);
	struct archive_comp c;

	for (uint64_t i = 0; i < n; i++) {
		if (i == dir->n)
			return 1;
		c = get_comp(&r);
		if (!same_bytes(&c, &dir->c[i])) {
			c.h = fmt_name_hash(order_key, c.name, c.len);
			return fmt_name_cmp(&c, &dir->c[i]);
		}
	}
	if (n < dir->n)
		return -1;
	if (name == NULL)
		return 1;
	c = get_comp(&r);
	if (same_bytes(&c, name))
		return 0;
	c.h = fmt_name_hash(order_key, c.name, c.len);
	return fmt_name_cmp(&c, name);
}

int archive_key_cmp(const uint8_t order_key[32], const struct archive_child *a,
    const struct archive_child *b)
{
	struct rd ra = rd_init(a->key, a->keylen);
	struct rd rb = rd_init(b->key, b->keylen);
	uint64_t na = rd_var(&ra), nb = rd_var(&rb);
	struct archive_comp ca, cb;

	for (uint64_t i = 0; i < na && i < nb; i++) {
		ca = get_comp(&ra);
		cb = get_comp(&rb);
		if (!same_bytes(&ca, &cb))
			return hashed_cmp(order_key, &ca, &cb);
	}
	if (na != nb)
		return na < nb ? -1 : 1;
	ca = get_comp(&ra);
	cb = get_comp(&rb);
	return same_bytes(&ca, &cb) ? 0 : hashed_cmp(order_key, &ca, &cb);
}

int archive_key_state_cmp(const struct archive_child *a,
    const struct archive_child *b)
{
	struct rd ra = rd_init(a->key, a->keylen);
	struct rd rb = rd_init(b->key, b->keylen);
	uint64_t na = rd_var(&ra), nb = rd_var(&rb);
	uint64_t ha, hb;

	for (uint64_t i = 0; i < na && i < nb; i++) {
		ha = rd_u64(&ra);
		hb = rd_u64(&rb);
		if (ha != hb)
			return ha < hb ? -1 : 1;
	}
	if (na != nb)
		return na < nb ? -1 : 1;
	ha = rd_u64(&ra);
	hb = rd_u64(&rb);
	return (ha > hb) - (ha < hb);
}
