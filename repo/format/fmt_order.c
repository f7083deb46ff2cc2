#include <stdlib.h>

#include "repo/base/bytes.h"
#include "repo/crypto/crypto.h"
#include "repo/format/fmt_internal.h"
#include "repo/format/fmt_order.h"

uint64_t fmt_name_hash(const uint8_t order_key[32], const void *name,
    size_t len)
{
	return len == 0 ? 0 : crypto_siphash(order_key, name, len);
}

int fmt_name_cmp(const struct fmt_comp *a, const struct fmt_comp *b)
{
	int c;

	/* The empty name is less than one whose hash happens to be 0, too. */
	if (a->h != b->h)
		return a->h < b->h ? -1 : 1;
	c = a->len == 0 || b->len == 0 ? 0 :
	    memcmp(a->name, b->name, a->len < b->len ? a->len : b->len);
	return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

/* --- cuts -------------------------------------------------------------------*/

void fmt_cutter_init(struct fmt_cutter *c, const uint8_t order_key[32])
{
	*c = (struct fmt_cutter){ .msg = NULL };
	memcpy(c->key, order_key, sizeof(c->key));
}

void fmt_cutter_release(struct fmt_cutter *c)
{
	free(c->msg);
	*c = (struct fmt_cutter){ .msg = NULL };
}

int fmt_cutter_dir(struct fmt_cutter *c, const struct fmt_comp *dir, size_t n)
{
	if (fmt_grow(&c->msg, &c->cap, 1 + (n + 1) * 8, 1) < 0) {
		c->len = 0;
		return -1;
	}
	c->msg[0] = 0xff;
	for (size_t i = 0; i < n; i++)
		le64_put(c->msg + 1 + i * 8, dir[i].h);
	c->len = 1 + n * 8;
	return 0;
}

uint64_t fmt_cutter_ask(struct fmt_cutter *c, uint64_t h)
{
	uint8_t root[9] = { 0xff };
	uint8_t *msg = c->len ? c->msg : root;
	size_t len = c->len ? c->len : 1;

	le64_put(msg + len, h);
	return crypto_siphash(c->key, msg, len + 8);
}

uint64_t fmt_cut_map(const uint8_t order_key[32], uint64_t off)
{
	uint8_t msg[9] = { 0xfe };

	le64_put(msg + 1, off);
	return crypto_siphash(order_key, msg, sizeof(msg));
}

/* --- digests ----------------------------------------------------------------*/

void fmt_digest(uint8_t ret[FMT_DIGEST_LEN], const uint8_t state_key[32],
    const struct fmt_digest_input *in)
{
	uint8_t data[22] = { 0, in->type }, change[13] = { 1 }, inode[9] = { 2 };

	le64_put(data + 2, in->size);
	le64_put(data + 10, (uint64_t)in->mtime_s);
	le32_put(data + 18, in->mtime_ns);
	le64_put(change + 1, (uint64_t)in->ctime_s);
	le32_put(change + 9, in->ctime_ns);
	le64_put(inode + 1, in->inode);
	le64_put(ret, crypto_siphash(state_key, data, sizeof(data)));
	le32_put(ret + 8,
	    (uint32_t)crypto_siphash(state_key, change, sizeof(change)));
	le32_put(ret + 12,
	    (uint32_t)crypto_siphash(state_key, inode, sizeof(inode)));
}

unsigned fmt_digest_same(const uint8_t a[FMT_DIGEST_LEN],
    const uint8_t b[FMT_DIGEST_LEN])
{
	return (memcmp(a, b, 8) == 0 ? FMT_SAME_DATA : 0) |
	    (memcmp(a + 8, b + 8, 4) == 0 ? FMT_SAME_CTIME : 0) |
	    (memcmp(a + 12, b + 12, 4) == 0 ? FMT_SAME_INODE : 0);
}
