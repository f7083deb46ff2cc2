#ifndef TESTS_UNIT_STORE_ATTACK_H
#define TESTS_UNIT_STORE_ATTACK_H

#include <stdio.h>

#include "repo/base/bytes.h"
#include "repo/store/store_check.h"
#include "repo/store/store_internal.h"
#include "tests/unit/store_data.h"

/*
 * What a hostile party can make with the keys of its credential: objects that
 * no session of this room would put.  It may put any object under any free
 * key, as a write credential of an object store does.
 */

#define LATE_MS 0xfffffffffff0u /* a time that sorts behind every honest one */

static inline void add_file(struct backend *mem, unsigned rights, char slot[17],
    char line[128])
{
	struct store *st = reopen(mem);
	struct store_secret none = { .slot = NULL };
	struct err err = ERR_INIT;

	ok(store_key_add(st, rights, "", "node", &none, slot, line, &err));
	store_close(st);
}

static inline struct store *open_file(struct backend *mem, const char *line)
{
	struct store_secret by_file = { .key_file = line };

	return reopen_with(mem, &by_file, 0);
}

/* A name of a session of volume "vol". */
static inline void make_name(struct store *st, uint64_t start_ms,
    uint8_t random, char dst[FMT_SESSION_MAX])
{
	struct fmt_session_name n = { .start_ms = start_ms };
	uint8_t hash[32];

	fmt_volume_hash(hash, st->own->volume, fmt_str("vol"));
	memcpy(n.volume, hash, sizeof(n.volume));
	memset(n.random, random, sizeof(n.random));
	fmt_session_text(dst, &n);
}

/* Sign with the thief's key, naming `signer` (NULL: the administrator), and put. */
static inline void sign_and_put(struct store *thief, struct buf *obj,
    const char *key, const uint8_t *signer)
{
	struct err err = ERR_INIT;

	ok(fmt_sign_append(obj, thief->info.repository, key, signer,
	    thief->own->half.sign_seed, &err));
	ok(backend_put(thief->be, key, obj->p, obj->len, &err));
	buf_release(obj);
}

/* A snapshot of volume "vol", signed by the thief's slot. */
static inline void forge_snapshot(struct store *thief, const char *key,
    const uint8_t state[32])
{
	struct store_epoch *ep = store_epoch_known(thief, thief->info.epoch);
	struct fmt_s1 s1 = { .type = FMT_COMMIT, .content = FMT_TREE,
		.counter = 9, .state = { .entries = state != NULL } };
	struct fmt_s2 s2 = { .volume = fmt_str("vol"), .host = fmt_str("thief") };
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;

	fmt_volume_hash(s1.volume_hash, thief->own->volume, fmt_str("vol"));
	if (state != NULL)
		memcpy(s1.state.id, state, 32);
	ok(fmt_snapshot_encode(&obj, key, ep->n, ep->sec->k.snapshot,
	    ep->content_pub, &s1, &s2, &err));
	sign_and_put(thief, &obj, key, thief->info.slot);
}

/* --- segments --------------------------------------------------------------*/

/* One section: n records of `size` bytes, as full blocks, from block *at. */
static inline void forge_section(struct crypto_aead *a, const uint8_t key[32],
    const struct fmt_segment_layout *l, const uint8_t *records, size_t n,
    size_t size, uint8_t *out, uint32_t *at)
{
	for (size_t i = 0; i < n;) {
		struct err err = ERR_INIT;
		uint64_t off;
		uint32_t len;

		ok(fmt_segment_block(l, *at, &off, &len, &err));
		ok(fmt_block_seal(a, key, *at, records + i * size, len, out + off,
		    out + l->hashes_off + (size_t)*at * FMT_BLOCK_HASH, &err));
		i += len / size;
		(*at)++;
	}
}

/*
 * A segment of the thief's slot under key that says whatever it is told.
 * entries are sorted by id.
 */
static inline void forge_segment(struct store *thief, const char *key,
    const struct fmt_pack_record *packs, uint32_t npacks,
    const struct fmt_index_entry *entries, uint32_t n)
{
	struct store_epoch *ep = store_epoch_known(thief, thief->info.epoch);
	struct fmt_segment_head h = { .epoch = ep->n, .entries = n,
		.packs = npacks, .record = FMT_RECORD_FOR(FMT_SEALED_KEY_BOX),
		.bits = fmt_segment_bits(n) };
	struct buf head = BUF_INIT, buckets = BUF_INIT;
	struct fmt_segment_layout l;
	struct fmt_buckets x;
	struct err err = ERR_INIT;
	struct crypto_aead *a = crypto_aead_new(&err);
	uint8_t *p = calloc(npacks, h.record), *e = calloc(n, FMT_ENTRY_LEN);
	uint8_t *f = calloc(n, 2), *out, bk[32];
	uint32_t at = 0;

	memcpy(h.slot, thief->info.slot, sizeof(h.slot));
	ok(fmt_segment_layout(&h, &l, &err));
	out = calloc(1, l.size);
	assert_true(a != NULL && p != NULL && e != NULL && f != NULL &&
	    out != NULL);
	fmt_segment_head_add(&head, &h);
	memcpy(out, head.p, head.len);
	fmt_buckets_init(&x, h.bits);
	for (uint32_t i = 0; i < npacks; i++)
		ok(fmt_pack_record_put(p + (size_t)i * h.record, h.record,
		    &packs[i], &err));
	for (uint32_t i = 0; i < n; i++) {
		fmt_index_entry_put(e + (size_t)i * FMT_ENTRY_LEN, &entries[i]);
		le16_put(f + (size_t)i * 2, fmt_filter(entries[i].id));
		fmt_buckets_add(&x, entries[i].id, &buckets);
	}
	fmt_buckets_end(&x, &buckets);
	fmt_segment_key(bk, ep->sec->k.segment, h.salt);
	forge_section(a, bk, &l, p, npacks, h.record, out, &at);
	forge_section(a, bk, &l, e, n, FMT_ENTRY_LEN, out, &at);
	forge_section(a, bk, &l, f, n, 2, out, &at);
	forge_section(a, bk, &l, buckets.p, buckets.len / 4, 4, out, &at);
	assert_int_equal(at, l.blocks);
	ok(fmt_segment_sign(out + l.size - FMT_SIGNED_TAIL,
	    thief->info.repository, key, out, out + l.hashes_off, l.blocks,
	    thief->info.slot, thief->own->half.sign_seed, &err));
	ok(backend_put(thief->be, key, out, l.size, &err));
	crypto_aead_free(a);
	buf_release(&head);
	buf_release(&buckets);
	free(p);
	free(e);
	free(f);
	free(out);
}

/* Where the index of st says that a blob is, and the record of its pack. */
static inline void where(struct store *st, const uint8_t id[32],
    struct fmt_index_entry *ret, struct fmt_pack_record *rec,
    uint8_t sealed[FMT_SEALED_KEY_BOX])
{
	struct store_packent pe;
	struct store_loc loc;
	struct err err = ERR_INIT;

	ok(store_locate(st, id, &loc, &err));
	assert_true(store_packtab_at(st->packs, loc.pack, &pe));
	ok(store_segment_pack(st, store_index_at(st, pe.segment), pe.local, rec,
	    sealed, &err));
	*ret = (struct fmt_index_entry){ .pack = 0, .ordinal = loc.ordinal,
		.offset = loc.offset, .sealed_len = loc.sealed_len,
		.plain_len = loc.plain_len };
	memcpy(ret->id, id, 32);
}

/* --- the scene -------------------------------------------------------------*/

#define BLOB_LEN 5000

/* A repository with what an honest node has stored, and two credentials. */
struct scene {
	struct backend *mem;
	char honest_line[128], thief_line[128];
	char honest_slot[17], thief_slot[17];
	char id[17];                   /* of the honest snapshot */
	uint8_t data[32], state[32];   /* blobs 1 (data) and 2 (state) */
};

static inline void scene_make(struct scene *sc)
{
	struct store *st;
	struct store_session *s;
	struct store_worker *w;

	sc->mem = new_repository();
	add_file(sc->mem, STORE_WRITE, sc->honest_slot, sc->honest_line);
	add_file(sc->mem, STORE_WRITE, sc->thief_slot, sc->thief_line);
	st = open_file(sc->mem, sc->honest_line);
	w = worker(st);
	s = begin(st);
	put_n(s, w, STORE_DATA, 1, BLOB_LEN, sc->data);
	put_n(s, w, STORE_STATE, 2, BLOB_LEN, sc->state);
	commit_n(s, sc->state, sc->id);
	store_worker_free(w);
	store_close(st);
}

static inline void scene_free(struct scene *sc)
{
	backend_close(sc->mem);
}

/* All that the honest node stored is read, by a reader that starts now. */
static inline void expect_all(struct scene *sc)
{
	struct store *st = reopen(sc->mem);
	struct store_worker *w = worker(st);
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;

	if (store_snapshot_find(st, sc->id, &sn, &err) != 0)
		fail_msg("%s", err.msg);
	assert_string_equal(sn->id, sc->id);
	store_snapshot_free(sn);
	expect_n(st, w, STORE_DATA, sc->data, 1, BLOB_LEN);
	expect_n(st, w, STORE_STATE, sc->state, 2, BLOB_LEN);
	store_worker_free(w);
	store_close(st);
}

#endif
