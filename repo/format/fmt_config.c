#include "repo/format/fmt_internal.h"
#include "repo/format/fmt_keys.h"
#include "repo/format/fmt_pack.h"

static void chunking_add(struct buf *b, const struct fmt_chunking *c)
{
	buf_u32(b, c->avg);
	buf_u32(b, c->min);
	buf_u32(b, c->max);
	buf_u64(b, c->threshold);
}

static void chunking_dec(struct fmt_dec *d, struct fmt_chunking *ret,
    const char *field)
{
	ret->avg = fmt_dec_u32(d, field);
	ret->min = fmt_dec_u32(d, field);
	ret->max = fmt_dec_u32(d, field);
	ret->threshold = fmt_dec_u64(d, field);
	fmt_dec_check(d, ret->min > 0 && ret->min <= ret->avg &&
	    ret->avg <= ret->max &&
	    ret->max <= FMT_BLOB_MAX - FMT_BLOB_EXTRA, field,
	    "is not min <= avg <= max within what a blob may be");
}

/* --- what a config says of keys ----------------------------------------------*/

void fmt_list_add_admin(struct fmt_list_buf *l, const uint8_t admin_pub[32])
{
	buf_add(&l->b, admin_pub, 32);
	l->n++;
}

int fmt_admin_next(struct fmt_list *l, const uint8_t **ret_pub)
{
	struct rd r = fmt_list_rd(l);

	*ret_pub = rd_bytes(&r, 32);
	return fmt_list_took(l, &r);
}

void fmt_list_add_ended(struct fmt_list_buf *l,
    const uint8_t slot[FMT_SLOT_LEN], const uint8_t hash[32])
{
	buf_add(&l->b, slot, FMT_SLOT_LEN);
	buf_add(&l->b, hash, 32);
	l->n++;
}

int fmt_ended_next(struct fmt_list *l, const uint8_t **ret_slot,
    const uint8_t **ret_hash)
{
	struct rd r = fmt_list_rd(l);

	*ret_slot = rd_bytes(&r, FMT_SLOT_LEN);
	*ret_hash = rd_bytes(&r, 32);
	return fmt_list_took(l, &r);
}

static void elem_ended(struct fmt_dec *d, void *ctx)
{
	const uint8_t **last = ctx;
	const uint8_t *slot = fmt_dec_bytes(d, FMT_SLOT_LEN, "ended credentials");

	fmt_dec_bytes(d, 32, "ended credentials");
	fmt_dec_check(d, *last == NULL || (slot != NULL &&
	        memcmp(*last, slot, FMT_SLOT_LEN) < 0), "ended credentials",
	    "do not ascend");
	*last = slot;
}

/* --- the object ----------------------------------------------------------------*/

static int config_decode(const void *obj, size_t len, size_t tail,
    struct fmt_config *ret, struct err *err)
{
	struct fmt_dec d = fmt_dec_object(obj, len, FMT_CONFIG, tail,
	    &ret->signer_epoch, err);
	const uint8_t *last = NULL;

	fmt_dec_copy(&d, ret->repository, FMT_REPOSITORY_LEN, "repository id");
	fmt_dec_copy(&d, ret->family, 16, "family id");
	ret->epoch = fmt_dec_u32(&d, "epoch");
	fmt_dec_check(&d, ret->epoch != 0, "epoch", "is 0");
	fmt_dec_check(&d, ret->signer_epoch == ret->epoch ||
	    (ret->signer_epoch != 0 && ret->signer_epoch == ret->epoch - 1),
	    "epoch", "is not that of the signer, or the next");
	ret->created_ns = fmt_dec_i64(&d, "creation time");
	chunking_dec(&d, &ret->stream, "stream chunking");
	chunking_dec(&d, &ret->block, "block chunking");
	ret->pack_size = fmt_dec_u32(&d, "pack size");
	fmt_dec_check(&d, ret->pack_size != 0, "pack size", "is 0");
	ret->parity_data = fmt_dec_u8(&d, "parity data shards");
	ret->parity_shards = fmt_dec_u8(&d, "parity shards");
	fmt_dec_check(&d, (ret->parity_data == 0) == (ret->parity_shards == 0) &&
	    ret->parity_data + ret->parity_shards <= 255,
	    "parity shards", "are of an impossible number");
	ret->lock_days = fmt_dec_u32(&d, "object lock");
	ret->flags = fmt_dec_u32(&d, "flags");
	fmt_dec_check(&d, (ret->flags & ~(uint32_t)FMT_WEAK_STORE) == 0,
	    "flags", "are none that exist");
	ret->need_read = fmt_dec_list(&d, 1, fmt_dec_elem_str, NULL,
	    "features needed to read");
	ret->need_write = fmt_dec_list(&d, 1, fmt_dec_elem_str, NULL,
	    "features needed to write");
	ret->optional = fmt_dec_list(&d, 1, fmt_dec_elem_str, NULL,
	    "optional features");
	ret->admins = fmt_dec_list_fixed(&d, 32, "administration keys");
	fmt_dec_check(&d, ret->admins.n == ret->epoch, "administration keys",
	    "are not one of each epoch");
	ret->ended = fmt_dec_list(&d, FMT_SLOT_LEN + 32, elem_ended, &last,
	    "ended credentials");
	return fmt_dec_end(&d);
}

int fmt_config_encode(struct buf *obj, const struct fmt_config *c,
    struct err *err)
{
	struct fmt_config t;

	fmt_header_add(obj, FMT_CONFIG, c->signer_epoch);
	buf_add(obj, c->repository, FMT_REPOSITORY_LEN);
	buf_add(obj, c->family, 16);
	buf_u32(obj, c->epoch);
	fmt_add_i64(obj, c->created_ns);
	chunking_add(obj, &c->stream);
	chunking_add(obj, &c->block);
	buf_u32(obj, c->pack_size);
	buf_u8(obj, c->parity_data);
	buf_u8(obj, c->parity_shards);
	buf_u32(obj, c->lock_days);
	buf_u32(obj, c->flags);
	fmt_add_list(obj, &c->need_read);
	fmt_add_list(obj, &c->need_write);
	fmt_add_list(obj, &c->optional);
	fmt_add_list(obj, &c->admins);
	fmt_add_list(obj, &c->ended);
	return fmt_encoded(obj, "a config",
	    config_decode(obj->p, obj->len, 0, &t, err), err);
}

int fmt_config_decode(const void *obj, size_t len, struct fmt_config *ret,
    struct err *err)
{
	return config_decode(obj, len, FMT_SIGNED_TAIL, ret, err);
}

/* A feature that this program has: version 1 defines none. */
static int lacks(struct fmt_list l, const char *what, struct err *err)
{
	struct fmt_str s;

	if (fmt_str_next(&l, &s) != 0)
		return 0;
	return err_set(err, ERR_UNSUPPORTED, "%s this repository needs the "
	    "feature \"%.*s\", which this program lacks", what,
	    s.len < 64 ? (int)s.len : 64, s.p);
}

int fmt_config_usable(const struct fmt_config *c, int write, struct err *err)
{
	if (lacks(c->need_read, "to read", err) < 0)
		return -1;
	return write ? lacks(c->need_write, "to write to", err) : 0;
}
