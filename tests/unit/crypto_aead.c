#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/crypto/crypto.h"

static const char sunscreen[] =
    "Ladies and Gentlemen of the class of '99: If I could offer you only one "
    "tip for the future, sunscreen would be it.";
#define SUNSCREEN_LEN (sizeof(sunscreen) - 1)

static const uint8_t rfc_ad[] = {
	0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7,
};

/* RFC 8439, 2.8.2: ciphertext and tag. */
static const char rfc8439_sealed[] =
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
    "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
    "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
    "3ff4def08e4b7a9de576d26586cec64b6116"
    "1ae10b594f09e26a7e902ecbd0600691";

/* draft-irtf-cfrg-xchacha-03, A.3.1: ciphertext and tag. */
static const char xchacha_sealed[] =
    "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
    "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
    "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
    "21f9664c97637da9768812f615c68b13b52e"
    "c0875924c1c7987947deafd8780acf49";

/* One row a construction, so that both keep the same rules. */
struct kind {
	size_t nonce_len;
	void (*seal)(const uint8_t *key, const uint8_t *nonce, const void *ad,
	    size_t adlen, const void *src, size_t len, uint8_t *dst);
	int (*open)(const uint8_t *key, const uint8_t *nonce, const void *ad,
	    size_t adlen, const void *src, size_t len, uint8_t *dst,
	    struct err *err);
};

static struct crypto_aead *aead;

static void blob_seal(const uint8_t *key, const uint8_t *nonce, const void *ad,
    size_t adlen, const void *src, size_t len, uint8_t *dst)
{
	struct err err = ERR_INIT;

	assert_int_equal(crypto_blob_seal(aead, key, nonce, ad, adlen, src, len,
	    dst, &err), 0);
}

static int blob_open(const uint8_t *key, const uint8_t *nonce, const void *ad,
    size_t adlen, const void *src, size_t len, uint8_t *dst, struct err *err)
{
	return crypto_blob_open(aead, key, nonce, ad, adlen, src, len, dst, err);
}

static const struct kind kinds[] = {
	{ CRYPTO_BLOB_NONCE_LEN, blob_seal, blob_open },
	{ CRYPTO_XNONCE_LEN, crypto_xseal, crypto_xopen },
};

static int start(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (crypto_init(&err) < 0)
		return -1;
	aead = crypto_aead_new(&err);
	return aead == NULL ? -1 : 0;
}

static int stop(void **state)
{
	(void)state;
	crypto_aead_free(aead);
	crypto_aead_free(NULL);
	return 0;
}

static void check_vector(const struct kind *k, const uint8_t *nonce,
    const char *sealed_hex)
{
	uint8_t key[32], want[SUNSCREEN_LEN + 16], got[SUNSCREEN_LEN + 16];
	struct err err = ERR_INIT;

	for (size_t i = 0; i < 32; i++)
		key[i] = (uint8_t)(0x80 + i);
	assert_int_equal(hex_decode(want, sizeof(want), sealed_hex), 0);
	k->seal(key, nonce, rfc_ad, sizeof(rfc_ad), sunscreen, SUNSCREEN_LEN, got);
	assert_memory_equal(got, want, sizeof(want));
	memset(got, 0, sizeof(got));
	assert_int_equal(k->open(key, nonce, rfc_ad, sizeof(rfc_ad), want,
	    sizeof(want), got, &err), 0);
	assert_memory_equal(got, sunscreen, SUNSCREEN_LEN);
}

static void blobs_match_rfc_8439(void **state)
{
	static const uint8_t nonce[12] = {
		0x07, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47,
	};

	(void)state;
	check_vector(&kinds[0], nonce, rfc8439_sealed);
}

static void xseal_matches_the_draft(void **state)
{
	uint8_t nonce[24];

	(void)state;
	for (size_t i = 0; i < 24; i++)
		nonce[i] = (uint8_t)(0x40 + i);
	check_vector(&kinds[1], nonce, xchacha_sealed);
}

/* The bytes of a test's data, the same in every run. */
static void fill(uint8_t *p, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

static void check_against_libsodium(size_t len, size_t adlen, uint32_t seed)
{
	uint8_t key[32], nonce[12], ad[300];
	uint8_t *plain = malloc(len + 1), *ours = malloc(len + 16);
	uint8_t *theirs = malloc(len + 16), *back = malloc(len + 16);
	unsigned long long n;
	struct err err = ERR_INIT;

	fill(key, sizeof(key), seed);
	fill(nonce, sizeof(nonce), seed + 1);
	fill(ad, sizeof(ad), seed + 2);
	fill(plain, len, seed + 3);

	blob_seal(key, nonce, ad, adlen, plain, len, ours);
	crypto_aead_chacha20poly1305_ietf_encrypt(theirs, &n, plain, len, ad,
	    adlen, NULL, nonce, key);
	assert_int_equal(n, len + 16);
	assert_memory_equal(ours, theirs, len + 16);

	assert_int_equal(crypto_aead_chacha20poly1305_ietf_decrypt(back, &n,
	    NULL, ours, len + 16, ad, adlen, nonce, key), 0);
	assert_int_equal(n, len);
	assert_memory_equal(back, plain, len);
	memset(back, 0xee, len + 16);
	assert_int_equal(blob_open(key, nonce, ad, adlen, theirs, len + 16,
	    back, &err), 0);
	assert_memory_equal(back, plain, len);
	for (size_t i = len; i < len + 16; i++)
		assert_int_equal(back[i], 0xee);
	free(plain);
	free(ours);
	free(theirs);
	free(back);
}

static void blobs_are_those_of_libsodium(void **state)
{
	static const size_t adlens[] = { 0, 1, 15, 16, 17, 65, 300 };

	(void)state;
	for (size_t len = 0; len < 1100; len += len < 300 ? 1 : 13)
		check_against_libsodium(len, adlens[len % 7], (uint32_t)len);
	for (size_t len = 4095; len <= 4097; len++)
		check_against_libsodium(len, 65, (uint32_t)len);
	check_against_libsodium((1 << 20) + 7, 65, 5);
	check_against_libsodium(8 << 20, 65, 6);
}

static void sealing_and_opening_work_in_place(void **state)
{
	uint8_t key[32] = { 3 }, nonce[24] = { 4 }, plain[5000];
	uint8_t m[5000 + 16], apart[5000 + 16];
	struct err err = ERR_INIT;

	(void)state;
	fill(plain, sizeof(plain), 1);
	for (size_t i = 0; i < 2; i++) {
		kinds[i].seal(key, nonce, "ad", 2, plain, 5000, apart);
		memcpy(m, plain, 5000);
		kinds[i].seal(key, nonce, "ad", 2, m, 5000, m);
		assert_memory_equal(m, apart, sizeof(m));
		assert_int_equal(kinds[i].open(key, nonce, "ad", 2, m, 5016, m,
		    &err), 0);
		assert_memory_equal(m, plain, 5000);
	}
}

/* Everything a seal depends on, as one row of bytes to flip. */
struct sealed {
	uint8_t key[32];
	uint8_t nonce[24];
	uint8_t ad[40];
	uint8_t box[150 + 16];
};

static void no_byte_may_differ(void **state)
{
	uint8_t plain[150], out[150];
	struct sealed s;
	uint8_t *bytes = (uint8_t *)&s;

	(void)state;
	fill(plain, sizeof(plain), 9);
	for (size_t k = 0; k < 2; k++) {
		fill(bytes, sizeof(s), 77);
		kinds[k].seal(s.key, s.nonce, s.ad, 40, plain, 150, s.box);
		for (size_t i = 0; i < 8 * sizeof(s); i++) {
			struct err err = ERR_INIT;
			size_t at = i / 8;
			int unused = at >= 32 + kinds[k].nonce_len && at < 56;

			bytes[at] ^= (uint8_t)(1u << (i % 8));
			memset(out, 0xee, sizeof(out));

			int r = kinds[k].open(s.key, s.nonce, s.ad, 40, s.box,
			    166, out, &err);

			if (unused) {
				assert_int_equal(r, 0);
			} else {
				assert_int_equal(r, -1);
				assert_int_equal(err.class, ERR_CORRUPT);
				assert_true(bytes_are_zero(out, 150));
			}
			bytes[at] ^= (uint8_t)(1u << (i % 8));
		}
	}
}

static void no_length_may_differ(void **state)
{
	uint8_t plain[150] = { 1 }, out[200];
	struct sealed s = { .key = { 1 } };

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		struct err err = ERR_INIT;

		kinds[k].seal(s.key, s.nonce, s.ad, 40, plain, 150, s.box);
		for (size_t len = 0; len < 166; len++) {
			memset(out, 0xee, sizeof(out));
			err_clear(&err);
			assert_int_equal(kinds[k].open(s.key, s.nonce, s.ad, 40,
			    s.box, len, out, &err), -1);
			assert_int_equal(err.class, ERR_CORRUPT);
			if (len > 16)
				assert_true(bytes_are_zero(out, len - 16));
		}
		for (size_t adlen = 0; adlen < 40; adlen++)
			assert_int_equal(kinds[k].open(s.key, s.nonce, s.ad,
			    adlen, s.box, 166, out, &err), -1);
		assert_int_equal(kinds[k].open(s.key, s.nonce, s.ad, 40, s.box,
		    166, out, &err), 0);
	}
}

static void a_wrong_key_opens_not_even_nothing(void **state)
{
	uint8_t key[32] = { 1 }, other[32] = { 2 }, nonce[24] = { 0 }, box[16];
	struct err err = ERR_INIT;

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		kinds[k].seal(key, nonce, NULL, 0, NULL, 0, box);
		assert_int_equal(kinds[k].open(key, nonce, NULL, 0, box, 16,
		    NULL, &err), 0);
		assert_int_equal(kinds[k].open(other, nonce, NULL, 0, box, 16,
		    NULL, &err), -1);
	}
}

/* One context serves keys, directions and failures in any order. */
static void a_context_carries_nothing_over(void **state)
{
	struct crypto_aead *second = crypto_aead_new(NULL);
	uint8_t key[2][32] = { { 1 }, { 2 } }, nonce[12] = { 0 };
	uint8_t plain[100], want[2][116], got[116], out[100];
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(second);
	fill(plain, sizeof(plain), 3);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(crypto_blob_seal(second, key[i], nonce, "x", 1,
		    plain, 100, want[i], &err), 0);
	for (size_t i = 0; i < 40; i++) {
		size_t k = i * 7 / 3 % 2;

		if (i % 3 == 0)
			assert_int_equal(crypto_blob_open(aead, key[1 - k], nonce,
			    "x", 1, want[k], 116, out, &err), -1);
		if (i % 5 == 0)
			assert_int_equal(crypto_blob_open(aead, key[k], nonce,
			    "x", 1, want[k], 116, out, &err), 0);
		assert_int_equal(crypto_blob_seal(aead, key[k], nonce, "x", 1,
		    plain, 100, got, &err), 0);
		assert_memory_equal(got, want[k], 116);
	}
	crypto_aead_free(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blobs_match_rfc_8439),
		cmocka_unit_test(xseal_matches_the_draft),
		cmocka_unit_test(blobs_are_those_of_libsodium),
		cmocka_unit_test(sealing_and_opening_work_in_place),
		cmocka_unit_test(no_byte_may_differ),
		cmocka_unit_test(no_length_may_differ),
		cmocka_unit_test(a_wrong_key_opens_not_even_nothing),
		cmocka_unit_test(a_context_carries_nothing_over),
	};

	return cmocka_run_group_tests(tests, start, stop) ? 1 : 0;
}
