#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/crypto/crypto.h"

static void assert_hex(const uint8_t *got, size_t len, const char *want)
{
	char text[2 * 64 + 1];

	assert_true(len <= 64);
	hex_encode(text, got, len);
	assert_string_equal(text, want);
}

static void starting_twice_is_harmless(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(crypto_init(&err), 0);
	assert_int_equal(crypto_init(&err), 0);
	assert_int_equal(err.class, ERR_NONE);
}

/* FIPS 180-4 examples. */
static void sha256_gives_the_published_digests(void **state)
{
	uint8_t out[32];

	(void)state;
	crypto_sha256(out, NULL, 0);
	assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb924"
	    "27ae41e4649b934ca495991b7852b855");
	crypto_sha256(out, "abc", 3);
	assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223"
	    "b00361a396177a9cb410ff61f20015ad");
	crypto_sha256(out,
	    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56);
	assert_hex(out, 32, "248d6a61d20638b8e5c026930c3e6039"
	    "a33ce45964ff2167f6ecedd419db06c1");
}

static void sha256_in_pieces_is_the_same(void **state)
{
	struct err err = ERR_INIT;
	struct crypto_sha256 *h = crypto_sha256_new(&err);
	uint8_t a[997], out[32], whole[32];
	size_t left = 1000000;

	(void)state;
	assert_non_null(h);
	memset(a, 'a', sizeof(a));
	crypto_sha256_add(h, NULL, 0);
	while (left > 0) {
		size_t n = left < sizeof(a) ? left : sizeof(a);

		crypto_sha256_add(h, a, n);
		left -= n;
	}
	crypto_sha256_end(h, out);
	assert_hex(out, 32, "cdc76e5c9914fb9281a1c7e284d73e67"
	    "f1809a48a497200e046d39ccc7112cd0");

	/* Its end leaves it fresh; a reset forgets. */
	crypto_sha256(whole, a, 100);
	crypto_sha256_add(h, a, 100);
	crypto_sha256_end(h, out);
	assert_memory_equal(out, whole, 32);
	crypto_sha256_add(h, "junk", 4);
	crypto_sha256_reset(h);
	crypto_sha256_add(h, a, 50);
	crypto_sha256_add(h, a, 50);
	crypto_sha256_end(h, out);
	assert_memory_equal(out, whole, 32);
	crypto_sha256_free(h);
	crypto_sha256_free(NULL);
}

/* RFC 4231, the cases whose key is no longer than ours: HMAC pads with zeros. */
static const struct {
	uint8_t key_byte; /* repeated, or counted up from 1, or "Jefe" */
	size_t key_len;
	const char *text;
	uint8_t data_byte;
	size_t data_len;
	const char *mac;
} rfc4231[] = {
	{ 0x0b, 20, "Hi There", 0, 8,
	    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
	{ 0, 4, "what do ya want for nothing?", 0, 28,
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
	{ 0xaa, 20, NULL, 0xdd, 50,
	    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
	{ 1, 25, NULL, 0xcd, 50,
	    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
};

static void rfc4231_case(size_t i, uint8_t key[32], uint8_t data[64])
{
	memset(key, 0, 32);
	for (size_t k = 0; k < rfc4231[i].key_len; k++)
		key[k] = rfc4231[i].key_byte == 1 ? (uint8_t)(k + 1) :
		    rfc4231[i].key_byte;
	if (rfc4231[i].key_byte == 0)
		memcpy(key, "Jefe", 4);
	memset(data, rfc4231[i].data_byte, 64);
	if (rfc4231[i].text != NULL)
		memcpy(data, rfc4231[i].text, rfc4231[i].data_len);
}

static void hmac_gives_the_published_macs(void **state)
{
	uint8_t key[32], data[64], out[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rfc4231) / sizeof(rfc4231[0]); i++) {
		rfc4231_case(i, key, data);
		crypto_hmac(out, key, data, rfc4231[i].data_len);
		assert_hex(out, 32, rfc4231[i].mac);
	}
}

/* A longer key is hashed first (RFC 4231, case 6). */
static void hmac_takes_keys_of_any_length(void **state)
{
	const char *text = "Test Using Larger Than Block-Size Key - "
	    "Hash Key First";
	uint8_t key[131], data[64], out[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rfc4231) / sizeof(rfc4231[0]); i++) {
		rfc4231_case(i, key, data);
		crypto_hmac_any(out, key, rfc4231[i].key_len, data,
		    rfc4231[i].data_len);
		assert_hex(out, 32, rfc4231[i].mac);
	}
	memset(key, 0xaa, sizeof(key));
	crypto_hmac_any(out, key, sizeof(key), text, strlen(text));
	assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f"
	    "8e0bc6213728c5140546040f0ee37f54");
}

/* The kind is the first byte of what is hashed. */
static void ids_give_the_published_macs(void **state)
{
	struct err err = ERR_INIT;
	uint8_t key[32], data[64], out[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rfc4231) / sizeof(rfc4231[0]); i++) {
		rfc4231_case(i, key, data);

		struct crypto_idkey *k = crypto_idkey_new(key, &err);

		assert_non_null(k);
		/* Twice: using a key must not change it. */
		for (int round = 0; round < 2; round++) {
			crypto_id(k, data[0], data + 1,
			    rfc4231[i].data_len - 1, out);
			assert_hex(out, 32, rfc4231[i].mac);
		}
		crypto_idkey_free(k);
	}
	crypto_idkey_free(NULL);
}

static void ids_are_hmacs_at_every_length(void **state)
{
	struct err err = ERR_INIT;
	uint8_t key[32], m[600], id[32], mac[32], other[32];

	(void)state;
	for (size_t i = 0; i < sizeof(m); i++)
		m[i] = (uint8_t)(i * 7 + 3);
	memcpy(key, m + 100, 32);

	struct crypto_idkey *k = crypto_idkey_new(key, &err);

	for (size_t len = 0; len < sizeof(m) - 1; len++) {
		crypto_id(k, m[0], m + 1, len, id);
		crypto_hmac(mac, key, m, len + 1);
		assert_memory_equal(id, mac, 32);
		crypto_id(k, m[0] ^ 1, m + 1, len, other);
		assert_memory_not_equal(id, other, 32);
	}
	crypto_idkey_free(k);
}

struct share {
	const struct crypto_idkey *k;
	const uint8_t *data;
	const uint8_t *want;
	int wrong;
};

static void *hash_many(void *arg)
{
	struct share *s = arg;
	uint8_t id[32];

	for (int i = 0; i < 3000; i++) {
		crypto_id(s->k, 5, s->data, 300, id);
		s->wrong |= memcmp(id, s->want, 32) != 0;
	}
	return NULL;
}

static void threads_may_share_an_id_key(void **state)
{
	struct err err = ERR_INIT;
	uint8_t key[32] = { 1 }, data[300] = { 2 }, want[32];
	struct crypto_idkey *k = crypto_idkey_new(key, &err);
	struct share s[4];
	pthread_t t[4];

	(void)state;
	crypto_id(k, 5, data, sizeof(data), want);
	for (int i = 0; i < 4; i++) {
		s[i] = (struct share){ k, data, want, 0 };
		assert_int_equal(pthread_create(&t[i], NULL, hash_many, &s[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(s[i].wrong, 0);
	}
	crypto_idkey_free(k);
}

static void derived_keys_are_hmacs_of_their_label(void **state)
{
	uint8_t parent[32] = { 9, 8, 7 }, a[32], b[32];

	(void)state;
	crypto_derive(a, parent, "wherry/1/id");
	crypto_hmac(b, parent, "wherry/1/id", 11);
	assert_memory_equal(a, b, 32);
	crypto_derive(b, parent, "wherry/1/cut");
	assert_memory_not_equal(a, b, 32);
	/* In place: a key may replace its parent. */
	crypto_derive(parent, parent, "wherry/1/id");
	assert_memory_equal(parent, a, 32);
}

/* The vectors of the SipHash paper and its reference code. */
static void siphash_gives_the_published_numbers(void **state)
{
	uint8_t key[16], m[64];

	(void)state;
	for (size_t i = 0; i < 64; i++)
		m[i] = (uint8_t)i;
	memcpy(key, m, 16);
	assert_true(crypto_siphash(key, m, 0) == 0x726fdb47dd0e0e31);
	assert_true(crypto_siphash(key, m, 1) == 0x74f839c593dc67fd);
	assert_true(crypto_siphash(key, m, 2) == 0x0d6c8009d9a94f5a);
	assert_true(crypto_siphash(key, m, 15) == 0xa129ca6149be45e5);
	assert_true(crypto_siphash(key, m, 63) == 0x958a324ceb064572);
	assert_true(crypto_siphash(key, NULL, 0) == 0x726fdb47dd0e0e31);
}

/* CRC-64/XZ a bit at a time: reflected ECMA-182, inverted going in and out. */
static uint64_t slow_crc64(const uint8_t *p, size_t len)
{
	uint64_t crc = ~(uint64_t)0;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xc96c5795d7870f42 : 0);
	}
	return ~crc;
}

static void crc64_is_that_of_xz(void **state)
{
	uint8_t m[1500];

	(void)state;
	assert_true(crypto_crc64(0, "123456789", 9) == 0x995dc9bbdf1939fa);
	assert_true(crypto_crc64(0, NULL, 0) == 0);
	for (size_t i = 0; i < sizeof(m); i++)
		m[i] = (uint8_t)(i * i + i / 3);
	for (size_t len = 0; len < sizeof(m); len += len < 300 ? 1 : 97)
		assert_true(crypto_crc64(0, m, len) == slow_crc64(m, len));
}

static void crc64_goes_on_from_anywhere(void **state)
{
	uint8_t m[700];

	(void)state;
	for (size_t i = 0; i < sizeof(m); i++)
		m[i] = (uint8_t)(i * 31);

	uint64_t want = crypto_crc64(0, m, sizeof(m));

	for (size_t cut = 0; cut <= sizeof(m); cut++)
		assert_true(crypto_crc64(crypto_crc64(0, m, cut), m + cut,
		    sizeof(m) - cut) == want);
}

/* RFC 3720, B.4, and the check value of the catalogue of CRCs. */
static void crc32c_gives_the_published_sums(void **state)
{
	uint8_t zeros[32] = { 0 };

	(void)state;
	assert_int_equal(crypto_crc32c("123456789", 9), 0xe3069283);
	assert_int_equal(crypto_crc32c(zeros, sizeof(zeros)), 0x8a9136aa);
	assert_int_equal(crypto_crc32c(NULL, 0), 0);
}

/* RFC 1321, A.5. */
static void md5_gives_the_published_digest(void **state)
{
	uint8_t out[16];

	(void)state;
	if (crypto_md5(out, "message digest", 14) != 0)
		skip();
	assert_hex(out, 16, "f96b697d7cb7938d525a2f31aaf161d0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starting_twice_is_harmless),
		cmocka_unit_test(sha256_gives_the_published_digests),
		cmocka_unit_test(sha256_in_pieces_is_the_same),
		cmocka_unit_test(hmac_gives_the_published_macs),
		cmocka_unit_test(hmac_takes_keys_of_any_length),
		cmocka_unit_test(ids_give_the_published_macs),
		cmocka_unit_test(ids_are_hmacs_at_every_length),
		cmocka_unit_test(threads_may_share_an_id_key),
		cmocka_unit_test(derived_keys_are_hmacs_of_their_label),
		cmocka_unit_test(siphash_gives_the_published_numbers),
		cmocka_unit_test(crc64_is_that_of_xz),
		cmocka_unit_test(crc64_goes_on_from_anywhere),
		cmocka_unit_test(crc32c_gives_the_published_sums),
		cmocka_unit_test(md5_gives_the_published_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
