#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"
#include "repo/format/fmt_internal.h"
#include "repo/format/fmt_keys.h"

#define RIGHTS (FMT_WRITE | FMT_READ | FMT_ADMIN)
#define MIN_EPOCH (4 + 3 * 32) /* bytes of an epoch in the list, at least */
#define MIN_FAMILY (4 + 2 * 32) /* and of a family secret */

void fmt_list_add_grant_epoch(struct fmt_list_buf *l, unsigned rights,
    const struct fmt_grant_epoch *e)
{
	buf_u32(&l->b, e->epoch);
	buf_add(&l->b, e->content_pub, 32);
	buf_add(&l->b, e->admin_pub, 32);
	buf_add(&l->b, e->index, 32);
	if (rights & FMT_READ)
		buf_add(&l->b, e->content, 32);
	if (rights & FMT_ADMIN)
		buf_add(&l->b, e->root, 32);
	l->n++;
}

static void epoch_get(struct rd *r, unsigned rights,
    struct fmt_grant_epoch *ret)
{
	ret->epoch = rd_u32(r);
	ret->content_pub = rd_bytes(r, 32);
	ret->admin_pub = rd_bytes(r, 32);
	ret->index = rd_bytes(r, 32);
	ret->content = rights & FMT_READ ? rd_bytes(r, 32) : NULL;
	ret->root = rights & FMT_ADMIN ? rd_bytes(r, 32) : NULL;
}

int fmt_grant_epoch_next(struct fmt_list *l, unsigned rights,
    struct fmt_grant_epoch *ret)
{
	struct rd r = fmt_list_rd(l);

	epoch_get(&r, rights, ret);
	return fmt_list_took(l, &r);
}

void fmt_list_add_grant_family(struct fmt_list_buf *l, unsigned rights,
    const struct fmt_grant_family *f)
{
	buf_u32(&l->b, f->from);
	if (rights & FMT_ADMIN)
		buf_add(&l->b, f->family, 32);
	buf_add(&l->b, f->id, 32);
	buf_add(&l->b, f->order, 32);
	if (rights & FMT_WRITE)
		buf_add(&l->b, f->cut, 32);
	l->n++;
}

static void family_get(struct rd *r, unsigned rights,
    struct fmt_grant_family *ret)
{
	ret->from = rd_u32(r);
	ret->family = rights & FMT_ADMIN ? rd_bytes(r, 32) : NULL;
	ret->id = rd_bytes(r, 32);
	ret->order = rd_bytes(r, 32);
	ret->cut = rights & FMT_WRITE ? rd_bytes(r, 32) : NULL;
}

int fmt_grant_family_next(struct fmt_list *l, unsigned rights,
    struct fmt_grant_family *ret)
{
	struct rd r = fmt_list_rd(l);

	family_get(&r, rights, ret);
	return fmt_list_took(l, &r);
}

/* What the lists' elements are checked against. */
struct epochs {
	unsigned rights;
	uint32_t last;
};

static void elem_family(struct fmt_dec *d, void *ctx)
{
	struct epochs *x = ctx;
	struct fmt_grant_family f;

	family_get(&d->rd, x->rights, &f);
	if (d->rd.bad)
		fmt_dec_fail(d, "family secrets", "are cut short");
	fmt_dec_check(d, f.from > x->last, "family secrets",
	    "do not ascend by their epochs");
	x->last = f.from;
}

static void elem_epoch(struct fmt_dec *d, void *ctx)
{
	struct epochs *x = ctx;
	struct fmt_grant_epoch e;

	epoch_get(&d->rd, x->rights, &e);
	if (d->rd.bad)
		fmt_dec_fail(d, "epochs", "are cut short");
	fmt_dec_check(d, e.epoch == x->last + 1, "epochs",
	    "do not ascend from 1 without gaps");
	x->last = e.epoch;
}

int fmt_grant_plain_decode(const void *p, size_t len, struct fmt_grant *ret,
    struct err *err)
{
	struct fmt_dec d = fmt_dec_init("grant", p, len, err);
	struct epochs x, f;

	ret->n = fmt_dec_u32(&d, "epoch");
	ret->rights = fmt_dec_u8(&d, "rights");
	fmt_dec_check(&d, ret->rights != 0 && (ret->rights & ~RIGHTS) == 0,
	    "rights", "are none that exist");
	ret->domain = fmt_dec_str(&d, "domain");
	f = (struct epochs){ ret->rights, 0 };
	ret->families = fmt_dec_list(&d, MIN_FAMILY, elem_family, &f,
	    "family secrets");
	fmt_dec_check(&d, f.last != 0 && f.last <= ret->n, "family secrets",
	    "hold none of the epoch granted");
	x = (struct epochs){ ret->rights, 0 };
	ret->epochs = fmt_dec_list(&d, MIN_EPOCH, elem_epoch, &x, "epochs");
	fmt_dec_check(&d, ret->n != 0 && x.last == ret->n, "epochs",
	    "do not end with the one granted");
	return fmt_dec_end(&d);
}

int fmt_grant_plain_encode(struct buf *b, const struct fmt_grant *g,
    struct err *err)
{
	struct fmt_grant t;
	size_t at = b->len;

	buf_u32(b, g->n);
	buf_u8(b, g->rights);
	fmt_add_str(b, g->domain);
	fmt_add_list(b, &g->families);
	fmt_add_list(b, &g->epochs);
	if (buf_check(b, "a grant", err) < 0)
		return -1;
	return fmt_encoded(b, "a grant", fmt_grant_plain_decode(b->p + at,
	    b->len - at, &t, err), err);
}

int fmt_grant_encode(struct buf *obj, uint32_t epoch,
    const uint8_t slot[FMT_SLOT_LEN], const uint8_t box_pub[32],
    const struct fmt_grant *g, struct err *err)
{
	/* Reserved at once, so that no copy of it is left behind by growing. */
	size_t most = 64 + g->domain.len + g->families.len + g->epochs.len;
	struct buf plain = BUF_INIT;
	int rc = -1;

	fmt_header_add(obj, FMT_GRANT, epoch);
	buf_add(obj, slot, FMT_SLOT_LEN);
	if (buf_reserve(&plain, most) < 0) {
		err_nomem(err, "a grant");
		goto out;
	}
	if (fmt_grant_plain_encode(&plain, g, err) < 0)
		goto out;
	if (buf_reserve(obj, plain.len + CRYPTO_BOX_EXTRA) < 0) {
		err_nomem(err, "a grant");
		goto out;
	}
	if (crypto_box_seal_to(box_pub, plain.p, plain.len, obj->p + obj->len,
	    err) < 0)
		goto out;
	obj->len += plain.len + CRYPTO_BOX_EXTRA;
	rc = 0;
out:
	if (plain.p != NULL)
		mem_wipe(plain.p, plain.cap);
	buf_release(&plain);
	return rc;
}

int fmt_grant_open(const void *obj, size_t len, const uint8_t box_sec[32],
    struct buf *ret_plain, struct fmt_grant *ret, uint32_t *ret_epoch,
    uint8_t ret_slot[FMT_SLOT_LEN], struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_GRANT, FMT_SIGNED_TAIL,
	    ret_epoch, err);
	const uint8_t *slot = fmt_dec_bytes(&d, FMT_SLOT_LEN, "slot");
	size_t sealed = d.rd.left;

	fmt_dec_check(&d, sealed >= CRYPTO_BOX_EXTRA, "box", "is cut short");
	if (d.bad)
		return -1;
	if (ret_slot != NULL)
		memcpy(ret_slot, slot, FMT_SLOT_LEN);
	buf_reset(ret_plain);
	if (buf_reserve(ret_plain, sealed) < 0)
		return err_nomem(err, "a grant");
	if (crypto_box_open_with(box_sec, d.rd.p, sealed, ret_plain->p,
	    err) < 0)
		return err_wrap(err, "grant");
	ret_plain->len = sealed - CRYPTO_BOX_EXTRA;
	return fmt_grant_plain_decode(ret_plain->p, ret_plain->len, ret, err);
}
