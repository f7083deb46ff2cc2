/* Parity of packs is made: when they are stored, or of those that are. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_check_internal.h"
#include "repo/store/store_parity_internal.h"

#define PIECE ((size_t)1 << 20)

static int shape_of(const struct store *st, uint32_t size,
    struct parity_shape *ret, struct err *err)
{
	return parity_shape_for(ret, size, st->info.parity_data,
	    st->info.parity_shards, err);
}

size_t store_parity_room(const struct store *st, uint32_t size)
{
	struct parity_shape s;

	if (st->info.parity_shards == 0 || shape_of(st, size, &s, NULL) != 0)
		return 0;
	/* Smaller packs may have more shards, of fewer bytes. */
	s.data = st->info.parity_data;
	return fmt_parity_len(&s);
}

/* Where sums and shards stand in an object that begins with the head. */
static struct parity_maker *maker_in(uint8_t *obj, const struct parity_shape *s,
    struct err *err)
{
	uint8_t *sums = obj + FMT_PARITY_HEAD;
	struct buf head = BUF_INIT;

	fmt_parity_head_add(&head, s);
	if (buf_check(&head, "parity", err) != 0)
		return NULL;
	memcpy(obj, head.p, FMT_PARITY_HEAD);
	buf_release(&head);
	return parity_maker_new(s, sums, sums + parity_cells(s) * 8, err);
}

int store_parity_put(struct store *st, const uint8_t name[FMT_PACK_NAME_LEN],
    const void *pack, uint32_t size, uint8_t *room, size_t *ret_len,
    struct err *err)
{
	struct parity_maker *m;
	struct parity_shape s;
	char key[FMT_KEY_MAX];
	int r;

	fmt_key_parity(key, name);
	if (shape_of(st, size, &s, err) != 0)
		return err_wrap(err, "%s", key);
	m = maker_in(room, &s, err);
	if (m == NULL)
		return -1;
	parity_maker_add(m, pack, size);
	parity_maker_end(m);
	*ret_len = fmt_parity_len(&s);
	r = store_object_put(st->be, key, room, *ret_len, err);
	if (r < 0)
		return err_wrap(err, "%s", key);
	if (r > 0)
		log_msg(LOG_WARN, "%s: another object has its name; the pack "
		    "stays without parity", key);
	return 0;
}

/* --- of a pack that is stored ---------------------------------------------------------*/

/* Read the pack into m, and compare its checksums: 0, 1 they differ, -1. */
static int renew_read(struct store *st, const struct store_look *l,
    struct parity_maker *m, uint8_t *piece, struct err *err)
{
	struct fmt_sums sums;
	size_t n;
	int r = 0;

	fmt_sums_init(&sums);
	for (uint64_t at = 0; at < l->size && r == 0; at += n) {
		/* The checksums begin a piece of their own. */
		uint64_t end = at < l->lay.sums_off ? l->lay.sums_off : l->size;
		size_t have;

		n = end - at < PIECE ? (size_t)(end - at) : PIECE;
		r = backend_get(st->be, l->key, at, piece, n, err);
		if (r != 0)
			break;
		parity_maker_add(m, piece, n);
		if (at < l->lay.sums_off) {
			fmt_sums_add(&sums, piece, n);
			continue;
		}
		if (at > l->lay.sums_off)
			continue;
		r = fmt_sums_end(&sums, l->lay.nsums, err);
		have = sums.out.len;
		if (r == 0 && (have > n || memcmp(sums.out.p, piece, have) != 0))
			r = 1;
	}
	fmt_sums_release(&sums);
	return r;
}

/* Put it under its key, where something else may stand. */
static int renew_put(struct store *st, const char *key, const uint8_t *obj,
    size_t len, struct err *err)
{
	int r = store_object_put(st->be, key, obj, len, err);

	if (r > 0) {
		/* Another repair would put the same: it is of the pack alone. */
		if (backend_del(st->be, key, err) < 0)
			return -1;
		r = store_object_put(st->be, key, obj, len, err);
	}
	return r > 0 ? err_set(err, ERR_CONFLICT, "somebody writes it, too; run "
	    "it again") : r;
}

int store_parity_renew(struct store *st, const uint8_t name[FMT_PACK_NAME_LEN],
    uint64_t size, struct err *err)
{
	struct buf dir = BUF_INIT;
	struct err why = ERR_INIT;
	struct parity_maker *m = NULL;
	uint8_t *obj = NULL, *piece = malloc(PIECE);
	struct parity_shape s;
	struct store_look l;
	char key[FMT_KEY_MAX];
	int r = -1;

	fmt_key_parity(key, name);
	if (piece == NULL)
		err_nomem(&why, "parity");
	else if (size > PARITY_SIZE_MAX)
		err_set(&why, ERR_CORRUPT, "is larger than a pack can be");
	else if (store_look_open(st, name, size, &dir, &l, &why) == 0 &&
	    shape_of(st, (uint32_t)size, &s, &why) == 0 &&
	    (obj = mem_pages(fmt_parity_len(&s), "parity", &why)) != NULL &&
	    (m = maker_in(obj, &s, &why)) != NULL)
		r = renew_read(st, &l, m, piece, &why);
	if (r == 0) {
		parity_maker_end(m);
		m = NULL;
		r = renew_put(st, key, obj, fmt_parity_len(&s), &why);
	}
	parity_maker_free(m);
	if (obj != NULL)
		mem_pages_free(obj, fmt_parity_len(&s));
	free(piece);
	buf_release(&dir);
	if (r >= 0 || store_check_is_damage(&why))
		return r == 0 ? 0 : 1;
	*err = why;
	return err_wrap(err, "%s", key);
}
