/* Sealed parts: who can open them, and where they must stand. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "repo/format/fmt_derive.h"
#include "tests/unit/format_whole.h"

static void a_part_opens_only_under_its_key_and_header(void **state)
{
	struct buf obj = BUF_INIT, plain = BUF_INIT;
	struct fmt_session s;
	struct fmt_s1 s1;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(whole_session_make(&obj, &err), 0);
	assert_int_equal(fmt_session_open(obj.p, obj.len, sample_key,
	    sample_seed, &plain, &s, &err), 0);
	assert_int_equal(fmt_session_open(obj.p, obj.len, "elsewhere",
	    sample_seed, &plain, &s, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	obj.p[8] ^= 1; /* epoch */
	assert_int_equal(fmt_session_open(obj.p, obj.len, sample_key,
	    sample_seed, &plain, &s, &err), -1);
	buf_reset(&obj);
	assert_int_equal(whole_snapshot_make(&obj, &err), 0);
	assert_int_equal(fmt_snapshot_open1(obj.p, obj.len, "elsewhere",
	    sample_seed, &plain, &s1, &err), -1);
	buf_release(&obj);
	buf_release(&plain);
}

static void a_wrong_secret_is_told_as_such(void **state)
{
	struct buf obj = BUF_INIT;
	struct fmt_secret s;
	struct err err = ERR_INIT;
	uint8_t k[32] = { 1 };

	(void)state;
	assert_int_equal(whole_wrap_make(&obj, &err), 0);
	assert_int_equal(fmt_wrap_open(obj.p, obj.len, sample_key, k, &s,
	    &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	/* Argon2id's numbers are bound, so that they cannot be lowered. */
	obj.p[17] ^= 1;
	assert_int_equal(fmt_wrap_open(obj.p, obj.len, sample_key,
	    sample_seed, &s, &err), -1);
	assert_int_equal(err.class, ERR_AUTH);
	buf_release(&obj);
}

static void a_key_file_takes_no_numbers(void **state)
{
	struct fmt_wrap w = { .method = FMT_BY_KEY_FILE }, out;
	struct fmt_secret s = { .epoch = 1 };
	struct buf obj = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(fmt_wrap_encode(&obj, sample_key, &w, sample_seed, &s,
	    &err), 0);
	assert_int_equal(fmt_wrap_decode(obj.p, obj.len, &out, &err), 0);
	buf_reset(&obj);
	w.ops = 1;
	assert_int_equal(fmt_wrap_encode(&obj, sample_key, &w, sample_seed, &s,
	    &err), -1);
	assert_int_equal(err.class, ERR_BUG);
	buf_release(&obj);
}

static void a_dead_list_is_believed_by_its_hash_and_number(void **state)
{
	struct buf obj = BUF_INIT, plain = BUF_INIT;
	struct fmt_dead d;
	struct err err = ERR_INIT;
	uint8_t hash[32];

	(void)state;
	assert_int_equal(whole_dead_make(&obj, &err), 0);
	crypto_sha256(hash, obj.p, obj.len);
	assert_int_equal(fmt_dead_open(obj.p, obj.len, 0x1234, hash,
	    sample_seed, &plain, &d, &err), 0);
	assert_int_equal(fmt_dead_open(obj.p, obj.len, 0x1235, hash,
	    sample_seed, &plain, &d, &err), -1);
	hash[31] ^= 1;
	assert_int_equal(fmt_dead_open(obj.p, obj.len, 0x1234, hash,
	    sample_seed, &plain, &d, &err), -1);
	assert_string_equal(err.msg, "dead list: hash is another one");
	buf_release(&obj);
	buf_release(&plain);
}

static void dead_ordinals_ascend(void **state)
{
	static const uint32_t good[] = { 0, 1, 2, 4000000000u };
	static const uint32_t equal[] = { 3, 3 }, less[] = { 3, 2 };
	struct fmt_list_buf l = FMT_LIST_BUF_INIT;
	struct fmt_dead d = { { NULL, 0, 0 }, { NULL, 0, 0 } };
	struct fmt_partial x;
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	uint32_t at = 0, v;

	(void)state;
	fmt_list_add_partial(&l, sample_seed, good, 4);
	d.partial = fmt_list_of(&l);
	assert_int_equal(fmt_dead_plain_encode(&b, &d, &err), 0);
	assert_int_equal(fmt_partial_next(&d.partial, &x), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(fmt_ordinal_next(&x.ordinals, &at, &v), 0);
		assert_int_equal(v, good[i]);
	}
	assert_int_equal(fmt_ordinal_next(&x.ordinals, &at, &v), 1);
	assert_int_equal(fmt_partial_next(&d.partial, &x), 1);
	fmt_list_release(&l);
	for (int i = 0; i < 2; i++) {
		buf_reset(&b);
		fmt_list_add_partial(&l, sample_seed, i ? less : equal, 2);
		d.partial = fmt_list_of(&l);
		assert_int_equal(fmt_dead_plain_encode(&b, &d, &err), -1);
		fmt_list_release(&l);
	}
	buf_release(&b);
}

/* What rights do not include is not in the grant at all. */
static void a_grant_holds_what_its_rights_need(void **state)
{
	uint8_t key[9][32];
	struct fmt_grant_epoch e = { 1, key[4], key[5], key[6], key[7], key[8] };
	struct fmt_grant out;
	struct err err = ERR_INIT;

	(void)state;
	for (int i = 0; i < 9; i++)
		memset(key[i], 'a' + i, 32);
	for (unsigned rights = 1; rights <= 7; rights++) {
		struct fmt_list_buf l = FMT_LIST_BUF_INIT, fl = l;
		struct fmt_grant_family f = { 1, key[0], key[1], key[2],
			key[3] };
		struct fmt_grant g = { .n = 1, .rights = (uint8_t)rights };
		struct buf b = BUF_INIT;

		fmt_list_add_grant_family(&fl, rights, &f);
		g.families = fmt_list_of(&fl);
		fmt_list_add_grant_epoch(&l, rights, &e);
		g.epochs = fmt_list_of(&l);
		assert_int_equal(fmt_grant_plain_encode(&b, &g, &err), 0);
		assert_int_equal(fmt_grant_plain_decode(b.p, b.len, &out, &err),
		    0);
		assert_int_equal(memmem(b.p, b.len, key[0], 32) != NULL,
		    (rights & FMT_ADMIN) != 0);
		assert_int_equal(memmem(b.p, b.len, key[3], 32) != NULL,
		    (rights & FMT_WRITE) != 0);
		assert_int_equal(memmem(b.p, b.len, key[7], 32) != NULL,
		    (rights & FMT_READ) != 0);
		assert_int_equal(memmem(b.p, b.len, key[8], 32) != NULL,
		    (rights & FMT_ADMIN) != 0);
		assert_int_equal(fmt_grant_family_next(&out.families, rights,
		    &f), 0);
		assert_int_equal(f.cut != NULL, (rights & FMT_WRITE) != 0);
		assert_int_equal(f.family != NULL, (rights & FMT_ADMIN) != 0);
		assert_int_equal(fmt_grant_family_next(&out.families, rights,
		    &f), 1);
		fmt_list_release(&l);
		fmt_list_release(&fl);
		buf_release(&b);
	}
}

static void epochs_of_a_grant_have_no_gaps(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	for (uint32_t first = 0; first <= 2; first++) {
		struct fmt_grant_epoch e = { first, sample_seed, sample_seed,
			sample_seed, NULL, NULL };
		struct fmt_list_buf l = FMT_LIST_BUF_INIT, fl = l;
		struct fmt_grant_family f = { 1, NULL, sample_seed, sample_seed,
			sample_seed };
		struct fmt_grant g = { .n = first + 1, .rights = FMT_WRITE };
		struct buf b = BUF_INIT;

		fmt_list_add_grant_family(&fl, FMT_WRITE, &f);
		g.families = fmt_list_of(&fl);
		fmt_list_add_grant_epoch(&l, FMT_WRITE, &e);
		e.epoch++;
		fmt_list_add_grant_epoch(&l, FMT_WRITE, &e);
		g.epochs = fmt_list_of(&l);
		assert_int_equal(fmt_grant_plain_encode(&b, &g, &err),
		    first == 1 ? 0 : -1);
		g.n = 3;
		assert_int_equal(fmt_grant_plain_encode(&b, &g, &err), -1);
		fmt_list_release(&l);
		fmt_list_release(&fl);
		buf_release(&b);
	}
}

/* Each family secret counts from an epoch that is granted, in order. */
static void families_of_a_grant_ascend(void **state)
{
	static const struct { uint32_t from[2]; int rc; } cases[] = {
		{ { 1, 2 }, 0 }, { { 2, 3 }, 0 }, { { 2, 2 }, -1 },
		{ { 3, 1 }, -1 }, { { 0, 1 }, -1 }, { { 1, 4 }, -1 },
		{ { 0, 0 }, -1 },
	};
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fmt_grant_epoch e = { 0, sample_seed, sample_seed,
			sample_seed, NULL, NULL };
		struct fmt_list_buf l = FMT_LIST_BUF_INIT, fl = l;
		struct fmt_grant g = { .n = 3, .rights = FMT_WRITE };
		struct buf b = BUF_INIT;

		while (e.epoch++ < 3)
			fmt_list_add_grant_epoch(&l, FMT_WRITE, &e);
		for (int j = 0; j < 2 && cases[i].from[1] != 0; j++) {
			struct fmt_grant_family f = { cases[i].from[j], NULL,
				sample_seed, sample_seed, sample_seed };

			fmt_list_add_grant_family(&fl, FMT_WRITE, &f);
		}
		g.families = fmt_list_of(&fl);
		g.epochs = fmt_list_of(&l);
		assert_int_equal(fmt_grant_plain_encode(&b, &g, &err),
		    cases[i].rc);
		fmt_list_release(&l);
		fmt_list_release(&fl);
		buf_release(&b);
	}
}

static void a_feature_that_is_lacking_is_named(void **state)
{
	struct fmt_list_buf l = FMT_LIST_BUF_INIT;
	struct fmt_config c = { .epoch = 1 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(fmt_config_usable(&c, 1, &err), 0);
	fmt_list_add_str(&l, fmt_str("shadow-packs"));
	c.optional = fmt_list_of(&l);
	assert_int_equal(fmt_config_usable(&c, 1, &err), 0);
	c.need_write = fmt_list_of(&l);
	assert_int_equal(fmt_config_usable(&c, 0, &err), 0);
	assert_int_equal(fmt_config_usable(&c, 1, &err), -1);
	assert_int_equal(err.class, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "\"shadow-packs\""));
	c.need_read = fmt_list_of(&l);
	assert_int_equal(fmt_config_usable(&c, 0, &err), -1);
	fmt_list_release(&l);
}

/* Computed with Python's hmac and hashlib. */
static void keys_follow_from_keys_as_written(void **state)
{
	uint8_t root[32], volume[32], st[32], h[32];
	struct fmt_domain_keys d;
	struct fmt_epoch_keys e;
	struct fmt_index_keys x;
	char hex[65];

	(void)state;
	memset(root, 7, 32);
	fmt_epoch_derive(&e, root);
	fmt_index_derive(&x, e.index);
	assert_int_equal(fmt_domain_derive(&d, root, fmt_str("dom"), NULL), 0);
	fmt_order_derive(volume, st, d.order);
	fmt_volume_hash(h, volume, fmt_str("home"));
#define IS(k, want) hex_encode(hex, k, 32), assert_string_equal(hex, want)
	IS(e.content,
	    "45c6906b70712486346a0eb67b2fb954"
	    "c8d901e6717cc1087497f3a52f12417d");
	IS(e.admin,
	    "1b85a2276076743af5a53a9109f0c642"
	    "45097f8d159f3d8925da93be7ecf719e");
	IS(e.index,
	    "55bb3c8a3c96ab607ad9580c719126aa"
	    "fe0b18e2926c5e87846c8f5a1b430579");
	IS(x.segment,
	    "e34816a4c66ca778c1680cda2a30c762"
	    "62fa0386b20f05a99a73c25fa3a184b4");
	IS(x.directory,
	    "25d870be679e1602397298370a289728"
	    "51712ae8736a1f16eb08a5b434b9b984");
	IS(x.footer,
	    "05e20082963782dc56c461b7485e7879"
	    "69e234267b31177f703bb09aee970a78");
	IS(x.pack,
	    "dd0e5ce89c806fe0701e587b5cf7ea9a"
	    "689b6b96bd6851512cb55f5ae2e79d0d");
	IS(x.snapshot,
	    "5067ae86c3ce32b665fa431faffe781d"
	    "fd54b1b46ca04f52fcb8ef72a3dad862");
	IS(x.session,
	    "3184bc760d68aa6f0358f22e56bb6dca"
	    "c288845321fbe167e7bd65805f8cae6e");
	IS(x.dead,
	    "1ab656c6ecaa364d7665f4d3821f1386"
	    "4d7fb37fc6d555ecbcbec007ed98e0e3");
	IS(d.id,
	    "7e20c631070db403da95b5fffa78172a"
	    "48d3a711fc20568f7c3651b381ecbad4");
	IS(d.cut,
	    "8e54882e2e622333571e3637ed41ddd6"
	    "95152a3439de92c92ce1b6bd5cfe25c4");
	IS(d.order,
	    "4d387c35f11a384efad0e0118a95b463"
	    "d338847eb580c01867dc24a621777236");
	IS(volume,
	    "ac9ef3fffdb4026c6b8c0bc4a3b81991"
	    "817ed6aeef26f828a98080d7b7eb535a");
	IS(st,
	    "03cbde20b309a112b7fe92edbb75e893"
	    "b2e5b5871ee9b8f28194fb5a93f274b6");
	IS(h,
	    "bc54c1f10c19e335f94e1a1d42338619"
	    "704edb635fd2fb8ee2f08626220a6e04");
#undef IS
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_part_opens_only_under_its_key_and_header),
		cmocka_unit_test(a_wrong_secret_is_told_as_such),
		cmocka_unit_test(a_key_file_takes_no_numbers),
		cmocka_unit_test(a_dead_list_is_believed_by_its_hash_and_number),
		cmocka_unit_test(dead_ordinals_ascend),
		cmocka_unit_test(a_grant_holds_what_its_rights_need),
		cmocka_unit_test(epochs_of_a_grant_have_no_gaps),
		cmocka_unit_test(families_of_a_grant_ascend),
		cmocka_unit_test(a_feature_that_is_lacking_is_named),
		cmocka_unit_test(keys_follow_from_keys_as_written),
	};

	if (crypto_init(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
