/* Opening one pack to be looked at: head, footer, directory. */

#include <stdlib.h>
#include <string.h>

#include "repo/store/store_check_internal.h"
#include "repo/store/store_parity_internal.h"

static int look_read(struct store *st, const struct store_look *l,
    uint64_t off, void *dst, size_t len, struct err *err)
{
	int r = l->heal != NULL ? store_heal_read(l->heal, off, dst, len, err) :
	    backend_get(st->be, l->key, off, dst, len, err);

	return r > 0 ? err_set(err, ERR_NOTFOUND, "is missing") : r;
}

/* The sealed directory, opened into dir. */
static int look_entries(struct store *st, struct buf *dir,
    struct store_look *l, struct err *err)
{
	uint8_t *sealed = malloc(l->lay.dir_len + 1);
	int r;

	if (sealed == NULL)
		return err_nomem(err, "a pack's directory");
	r = look_read(st, l, l->lay.dir_off, sealed, l->lay.dir_len, err);
	if (r == 0)
		r = fmt_dir_open(l->key, st->info.repository, l->head_bytes,
		    l->head_len, l->lay.dir_off, sealed, l->lay.dir_len,
		    l->slot->sign_pub, l->epoch->sec->k.directory, dir,
		    &l->entries, &l->count, err);
	free(sealed);
	return r;
}

/* What stands behind a head of n bytes. */
static int look_rest(struct store *st, size_t n, struct buf *dir,
    struct store_look *l, struct err *err)
{
	uint8_t footer[FMT_FOOTER_LEN];
	uint64_t size = l->size;

	if (fmt_pack_head_decode(l->head_bytes, n, &l->head, err) != 0 ||
	    look_read(st, l, size - sizeof(footer), footer, sizeof(footer),
	        err) != 0)
		return -1;
	l->head_len = FMT_PACK_HEAD_MIN + l->head.sealed_len;
	l->epoch = store_epoch_find(st, l->head.epoch, err);
	if (l->epoch == NULL || fmt_footer_open(l->key, l->head_bytes, footer,
	        size, l->epoch->sec->k.footer, &l->lay, err) != 0)
		return -1;
	l->slot = store_slot_find(st, l->head.slot, err);
	return l->slot == NULL ? -1 : look_entries(st, dir, l, err);
}

/* The pack of l->key, l->size bytes long. */
static int look_open(struct store *st, struct buf *dir, struct store_look *l,
    struct err *err)
{
	uint64_t size = l->size;
	size_t n = size < sizeof(l->head_bytes) ? size : sizeof(l->head_bytes);
	struct err why = ERR_INIT;
	int r;

	if (n == 0 || size < FMT_PACK_HEAD_MIN + FMT_FOOTER_LEN)
		return err_set(err, ERR_CORRUPT, "is too small for a pack");
	if (look_read(st, l, 0, l->head_bytes, n, err) != 0)
		return -1;
	r = look_rest(st, n, dir, l, err);
	if (r == 0 || err->class != ERR_UNSUPPORTED)
		return r;
	/* Newer, or only that byte of it is wrong? */
	l->head_bytes[FMT_VERSION_AT] = FMT_VERSION;
	if (look_rest(st, n, dir, l, &why) == 0)
		return err_set(err, ERR_CORRUPT, "its format version is damaged");
	return -1;
}

int store_look_open(struct store *st, const uint8_t name[FMT_PACK_NAME_LEN],
    uint64_t size, struct buf *dir, struct store_look *ret, struct err *err)
{
	*ret = (struct store_look){ .size = size };
	fmt_key_pack(ret->key, name);
	return look_open(st, dir, ret, err);
}

int store_look_open_healed(struct store *st, struct store_heal *heal,
    struct buf *dir, struct store_look *ret, struct err *err)
{
	*ret = (struct store_look){ .size = store_heal_size(heal),
		.heal = heal };
	fmt_key_pack(ret->key, store_heal_name(heal));
	return look_open(st, dir, ret, err);
}

struct fmt_pack_record store_look_record(const struct store_look *l,
    const uint8_t name[FMT_PACK_NAME_LEN])
{
	struct fmt_pack_record rec = {
		.size = (uint32_t)l->size, .epoch = l->head.epoch,
		.blob_kind = l->head.blob_kind,
		.key_method = l->head.key_method,
		.sealed_key = l->head.sealed_key,
		.sealed_len = l->head.sealed_len,
	};

	memcpy(rec.name, name, sizeof(rec.name));
	memcpy(rec.slot, l->head.slot, sizeof(rec.slot));
	return rec;
}
