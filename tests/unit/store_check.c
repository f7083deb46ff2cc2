/* Damage of every kind of object is found and named. */

#include <stdio.h>

#include "repo/store/store_check.h"
#include "repo/store/store_internal.h"
#include "tests/unit/store_data.h"

/* Objects of a store, as listed. */
struct listing {
	char key[64][100];
	uint64_t size[64];
	size_t n;
};

static int list_add(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	struct listing *l = ctx;

	(void)err;
	assert_true(l->n < 64);
	snprintf(l->key[l->n], sizeof(l->key[0]), "%s", key);
	l->size[l->n++] = bs->size;
	return 0;
}

/* A repository with one snapshot, and the ids of three blobs in it. */
static struct backend *filled(uint8_t id[3][32])
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_session *s = begin(st);
	char snap[17];

	for (int k = 0; k < 3; k++)
		for (uint64_t n = 0; n < 5; n++)
			put_n(s, w, STORE_DATA + k, n, 70000, id[k]);
	commit_n(s, id[2], snap);
	store_worker_free(w);
	store_close(st);
	return mem;
}

struct found {
	const char *want;
	unsigned all, wanted, with_id;
	char last[200];
};

static void on_damage(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	struct found *f = ctx;

	f->all++;
	f->with_id += id != NULL;
	if (f->want != NULL && strcmp(f->want, key) == 0)
		f->wanted++;
	snprintf(f->last, sizeof(f->last), "%.60s: %.100s", key, what);
}

static struct found check_all(struct store *st, const char *want,
    struct store_check_result *res)
{
	struct store_check_options opt = { .read_percent = 100 };
	struct found f = { .want = want };
	struct err err = ERR_INIT;

	ok(store_check(st, &opt, on_damage, &f, res, &err));
	assert_int_equal(res->damaged, f.all);
	return f;
}

static void a_sound_repository_has_no_damage(void **state)
{
	uint8_t id[3][32];
	struct backend *mem = filled(id);
	struct store *st = reopen(mem);
	struct store_check_result res;
	struct store_usage u;
	struct err err = ERR_INIT;
	struct found f = check_all(st, NULL, &res);

	(void)state;
	if (f.all != 0)
		fail_msg("damage: %s", f.last);
	assert_int_equal(res.blobs, 15);
	assert_int_equal(res.snapshots, 1);
	assert_int_equal(res.segments, 1);
	assert_int_equal(res.packs_read, res.packs);
	assert_int_equal(res.unindexed, 0);
	ok(store_usage(st, &u, &err));
	assert_int_equal(u.packs, res.packs);
	assert_int_equal(u.blobs[1] + u.blobs[2] + u.blobs[3], 15);
	assert_int_equal(u.plain[2], 5 * 70000);
	store_close(st);
	backend_close(mem);
}

/* Replace the object by len bytes at data. */
static void replace(struct backend *mem, const char *key, const void *data,
    size_t len)
{
	struct err err = ERR_INIT;

	ok(backend_put_over(mem, key, data, len, &err));
}

/*
 * Damage one object in one way, look for it, mend it.  Return true when the
 * store could not even be opened, with that object's key in the message or as
 * something that only its holder can tell (its own credential).
 */
static void damage_is_named(struct backend *mem, const char *key,
    const uint8_t *bad, size_t len)
{
	struct store_check_result res;
	struct err err = ERR_INIT;
	struct found f;
	struct store *st;

	if (bad == NULL)
		assert_int_equal(backend_del(mem, key, &err), 0);
	else
		replace(mem, key, bad, len);
	st = store_open(keep_new(mem), &by_pass, NULL, &err);
	if (st == NULL) {
		assert_true(err.class == ERR_CORRUPT || err.class == ERR_AUTH ||
		    err.class == ERR_NOTFOUND || err.class == ERR_UNSUPPORTED);
		return;
	}
	f = check_all(st, key, &res);
	if (f.wanted == 0)
		fail_msg("%s: damage not named (%u others, last %s)", key, f.all,
		    f.last);
	store_close(st);
}

static void damage_of_every_object_is_named(void **state)
{
	uint8_t id[3][32];
	struct backend *mem = filled(id);
	struct listing *l = calloc(1, sizeof(*l));
	struct err err = ERR_INIT;

	(void)state;
	ok(backend_list(mem, "", list_add, l, &err));
	assert_true(l->n >= 9);
	for (size_t i = 0; i < l->n; i++) {
		const char *key = l->key[i];
		uint8_t *data, *bad;
		size_t len;
		size_t at[7];

		ok(backend_get_all(mem, key, 64 << 20, &data, &len, &err));
		bad = malloc(len + 1);
		at[0] = 0;
		at[1] = 5;
		at[2] = 20 % len;
		at[3] = len / 2;
		at[4] = len - 70;
		at[5] = len - 1;
		at[6] = len - 60; /* a pack's checksum */
		for (size_t j = 0; j < 7; j++) {
			memcpy(bad, data, len);
			bad[at[j]] ^= 0x20;
			damage_is_named(mem, key, bad, len);
		}
		memcpy(bad, data, len);
		damage_is_named(mem, key, bad, len - 1);
		damage_is_named(mem, key, bad, len / 2);
		damage_is_named(mem, key, bad, 3);
		replace(mem, key, data, len);
		free(bad);
		free(data);
	}
	free(l);
	backend_close(mem);
}

/* An object under the key of another of its kind does not count. */
static void swapped_objects_are_named(void **state)
{
	uint8_t id[3][32];
	struct backend *mem = filled(id);
	struct listing *l = calloc(1, sizeof(*l));
	struct err err = ERR_INIT;
	const char *prefix[] = { "packs/", "snapshots/", "index/" };
	struct store *st = reopen(mem);
	struct store_session *s = begin(st);
	struct store_worker *w = worker(st);
	char snap[17];

	(void)state;
	put_n(s, w, STORE_DATA, 100, 70000, NULL);
	commit_n(s, NULL, snap);
	store_worker_free(w);
	store_close(st);
	ok(backend_list(mem, "", list_add, l, &err));
	for (int p = 0; p < 3; p++) {
		size_t a = 64, b = 64;
		uint8_t *da, *db;
		size_t la, lb;

		for (size_t i = 0; i < l->n; i++) {
			if (strncmp(l->key[i], prefix[p],
			        strlen(prefix[p])) != 0)
				continue;
			if (a == 64)
				a = i;
			else
				b = i;
		}
		assert_true(b < 64);
		ok(backend_get_all(mem, l->key[a], 64 << 20, &da, &la, &err));
		ok(backend_get_all(mem, l->key[b], 64 << 20, &db, &lb, &err));
		damage_is_named(mem, l->key[a], db, lb);
		replace(mem, l->key[a], da, la);
		damage_is_named(mem, l->key[b], da, la);
		replace(mem, l->key[b], db, lb);
		free(da);
		free(db);
	}
	free(l);
	backend_close(mem);
}

static void what_is_missing_is_named(void **state)
{
	uint8_t id[3][32];
	struct backend *mem = filled(id);
	struct listing *l = calloc(1, sizeof(*l));
	struct err err = ERR_INIT;

	(void)state;
	ok(backend_list(mem, "packs/", list_add, l, &err));
	for (size_t i = 0; i < l->n; i++) {
		uint8_t *data;
		size_t len;

		ok(backend_get_all(mem, l->key[i], 64 << 20, &data, &len, &err));
		damage_is_named(mem, l->key[i], NULL, 0);
		replace(mem, l->key[i], data, len);
		free(data);
	}
	free(l);
	backend_close(mem);
}

/* A damaged blob is named by id, and reading it fails with its pack named. */
static void a_damaged_blob_is_named_by_id(void **state)
{
	uint8_t id[3][32];
	struct backend *mem = filled(id);
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	struct store_check_result res;
	struct err err = ERR_INIT;
	struct buf got = BUF_INIT;
	struct store_loc loc;
	char pack[100];
	struct found f;
	uint8_t *data;
	size_t len;

	(void)state;
	assert_int_equal(store_locate(st, id[1], &loc, &err), 0);
	store_pack_name(st, loc.pack, pack, sizeof(pack));
	ok(backend_get_all(mem, pack, 64 << 20, &data, &len, &err));
	data[loc.offset + 40] ^= 1;
	replace(mem, pack, data, len);
	free(data);
	assert_int_equal(store_get(st, w, STORE_CATALOG, id[1], &got, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	assert_non_null(strstr(err.msg, pack));
	f = check_all(st, pack, &res);
	assert_int_equal(f.with_id, 1);
	buf_release(&got);
	store_worker_free(w);
	store_close(st);
	backend_close(mem);
}

/* A revocation that no administrator signed does not hide a snapshot. */
static void a_forged_revocation_is_named(void **state)
{
	uint8_t id[3][32];
	struct backend *mem = filled(id);
	struct listing *l = calloc(1, sizeof(*l));
	struct err err = ERR_INIT;
	struct buf obj = BUF_INIT;

	(void)state;
	ok(backend_list(mem, "snapshots/", list_add, l, &err));
	fmt_header_add(&obj, FMT_REVOCATION, 1);
	buf_zeros(&obj, 16 + FMT_SIGNED_TAIL);
	damage_is_named(mem, l->key[0], obj.p, obj.len);
	buf_release(&obj);
	free(l);
	backend_close(mem);
}

/* Make the index say another length of a blob, sealed and signed rightly. */
static void lie_in_segment(struct store *st, const char *key)
{
	struct fmt_segment_head head;
	struct fmt_segment_layout lay;
	struct fmt_record_at at;
	struct err err = ERR_INIT;
	struct crypto_aead *a = crypto_aead_new(&err);
	uint8_t block_key[32], *data;
	uint64_t off;
	uint32_t n;
	size_t len;

	ok(backend_get_all(st->be, key, 1 << 20, &data, &len, &err));
	ok(fmt_segment_head_decode(data, len, &head, &err));
	ok(fmt_segment_layout(&head, &lay, &err));
	fmt_segment_key(block_key, store_epoch_known(st, 1)->sec->k.segment,
	    head.salt);
	at = fmt_record_at(&lay, FMT_SEC_E, 3);
	ok(fmt_segment_block(&lay, at.block, &off, &n, &err));
	ok(fmt_block_open(a, block_key, at.block,
	    data + lay.hashes_off + at.block * FMT_BLOCK_HASH, data + off,
	    n + CRYPTO_TAG_LEN, data + off, &err));
	data[off + at.offset + FMT_ENTRY_LEN - 3] ^= 1;
	ok(fmt_block_seal(a, block_key, at.block, data + off, n, data + off,
	    data + lay.hashes_off + at.block * FMT_BLOCK_HASH, &err));
	ok(fmt_segment_sign(data + len - FMT_SIGNED_TAIL, st->info.repository,
	    key, data, data + lay.hashes_off, lay.blocks, st->info.slot,
	    st->own->half.sign_seed, &err));
	ok(backend_put_over(st->be, key, data, len, &err));
	crypto_aead_free(a);
	free(data);
}

static void an_index_that_differs_from_a_directory_is_named(void **state)
{
	uint8_t id[3][32];
	struct backend *mem = filled(id);
	struct listing *l = calloc(1, sizeof(*l));
	struct store *st = reopen(mem);
	struct store_check_result res;
	struct err err = ERR_INIT;
	struct found f;

	(void)state;
	ok(backend_list(mem, "index/", list_add, l, &err));
	lie_in_segment(st, l->key[0]);
	f = check_all(st, l->key[0], &res);
	assert_int_equal(f.wanted, 1);
	assert_int_equal(f.all, 2); /* and the pack */
	store_close(st);
	free(l);
	backend_close(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_repository_has_no_damage),
		cmocka_unit_test(damage_of_every_object_is_named),
		cmocka_unit_test(swapped_objects_are_named),
		cmocka_unit_test(what_is_missing_is_named),
		cmocka_unit_test(a_damaged_blob_is_named_by_id),
		cmocka_unit_test(a_forged_revocation_is_named),
		cmocka_unit_test(an_index_that_differs_from_a_directory_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
