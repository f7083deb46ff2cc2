#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repo/base/bytes.h"
#include "repo/crypto/crypto.h"

static void unhex(void *dst, size_t len, const char *hex)
{
	assert_int_equal(hex_decode(dst, len, hex), 0);
}

static int start(void **state)
{
	(void)state;
	return crypto_init(NULL);
}

/* --- boxes ------------------------------------------------------------------*/

/* RFC 7748, 6.1. */
static void public_keys_match_rfc_7748(void **state)
{
	static const char *const pairs[][2] = {
		{ "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a" },
		{ "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
		    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f" },
	};
	uint8_t sec[32], pub[32], want[32];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		unhex(sec, 32, pairs[i][0]);
		unhex(want, 32, pairs[i][1]);
		crypto_box_public(pub, sec);
		assert_memory_equal(pub, want, 32);
	}
}

static void boxes_open_for_their_key_only(void **state)
{
	uint8_t sec[32] = { 0, 1 }, other[32] = { 0, 2 }, pub[32];
	uint8_t m[300], box[300 + 48], again[300 + 48], out[300];
	struct err err = ERR_INIT;

	(void)state;
	crypto_box_public(pub, sec);
	memset(m, 0x3c, sizeof(m));
	for (size_t len = 0; len <= sizeof(m); len += 50) {
		assert_int_equal(crypto_box_seal_to(pub, m, len, box, &err), 0);
		assert_int_equal(crypto_box_seal_to(pub, m, len, again, &err), 0);
		assert_memory_not_equal(box, again, len + 48);
		memset(out, 0, sizeof(out));
		assert_int_equal(crypto_box_open_with(sec, box, len + 48, out,
		    &err), 0);
		assert_memory_equal(out, m, len);
		memset(out, 0, sizeof(out));
		err_clear(&err);
		assert_int_equal(crypto_box_open_with(other, box, len + 48, out,
		    &err), -1);
		assert_int_equal(err.class, ERR_CORRUPT);
		assert_true(bytes_are_zero(out, sizeof(out)));
	}
}

/* The form of the box, told by its parts: it may be read without libsodium's. */
static void a_box_is_an_ephemeral_key_and_a_crypto_box(void **state)
{
	uint8_t sec[32] = { 1 }, pub[32], nonce[24], out[20];
	uint8_t box[20 + 48];
	crypto_generichash_state h;

	(void)state;
	crypto_box_public(pub, sec);
	assert_int_equal(crypto_box_seal_to(pub, "twenty bytes of text", 20, box,
	    NULL), 0);
	crypto_generichash_init(&h, NULL, 0, sizeof(nonce));
	crypto_generichash_update(&h, box, 32);
	crypto_generichash_update(&h, pub, 32);
	crypto_generichash_final(&h, nonce, sizeof(nonce));
	assert_int_equal(crypto_box_open_easy(out, box + 32, 36, nonce, box,
	    sec), 0);
	assert_memory_equal(out, "twenty bytes of text", 20);
}

static void no_byte_of_a_box_may_differ(void **state)
{
	uint8_t sec[32] = { 1 }, pub[32], box[80], out[32], m[32] = { 7 };

	(void)state;
	crypto_box_public(pub, sec);
	assert_int_equal(crypto_box_seal_to(pub, m, 32, box, NULL), 0);
	for (size_t i = 0; i < 80; i++) {
		struct err err = ERR_INIT;

		box[i] ^= 0x10;
		memset(out, 0, sizeof(out));
		assert_int_equal(crypto_box_open_with(sec, box, 80, out, &err), -1);
		assert_int_equal(err.class, ERR_CORRUPT);
		assert_true(bytes_are_zero(out, 32));
		box[i] ^= 0x10;
		/* Cut off after i bytes. */
		assert_int_equal(crypto_box_open_with(sec, box, i, out, &err), -1);
		assert_int_equal(err.class, ERR_CORRUPT);
	}
	assert_int_equal(crypto_box_open_with(sec, box, 80, out, NULL), 0);
}

static void a_key_of_low_order_is_refused(void **state)
{
	uint8_t pub[32] = { 0 }, box[50];
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(crypto_box_seal_to(pub, "ab", 2, box, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	pub[0] = 1;
	assert_int_equal(crypto_box_seal_to(pub, "ab", 2, box, &err), -1);
}

/* --- signatures -------------------------------------------------------------*/

/* RFC 8032, 7.1, tests 1 to 3. */
static const struct {
	const char *seed, *pub, *msg, *sig;
} rfc8032[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
	    "",
	    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
	    "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
	{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
	    "72",
	    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
	    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
	    "af82",
	    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
	    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
};

static void signatures_match_rfc_8032(void **state)
{
	uint8_t seed[32], pub[32], want_pub[32], msg[2], sig[64], want[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rfc8032) / sizeof(rfc8032[0]); i++) {
		unhex(seed, 32, rfc8032[i].seed);
		unhex(want_pub, 32, rfc8032[i].pub);
		unhex(msg, i, rfc8032[i].msg);
		unhex(want, 64, rfc8032[i].sig);
		crypto_sign_public(pub, seed);
		assert_memory_equal(pub, want_pub, 32);
		crypto_sign_with(sig, seed, msg, i);
		assert_memory_equal(sig, want, 64);
		assert_int_equal(crypto_verify(sig, pub, msg, i, NULL), 0);
	}
}

static void no_byte_of_a_signed_thing_may_differ(void **state)
{
	struct {
		uint8_t sig[64], pub[32], msg[40];
	} s = { .msg = { 5 } };
	uint8_t seed[32] = { 6 };
	uint8_t *bytes = (uint8_t *)&s;

	(void)state;
	crypto_sign_public(s.pub, seed);
	crypto_sign_with(s.sig, seed, s.msg, 40);
	for (size_t i = 0; i < sizeof(s); i++) {
		struct err err = ERR_INIT;

		bytes[i] ^= 0x20;
		assert_int_equal(crypto_verify(s.sig, s.pub, s.msg, 40, &err), -1);
		assert_int_equal(err.class, ERR_CORRUPT);
		bytes[i] ^= 0x20;
	}
	assert_int_equal(crypto_verify(s.sig, s.pub, s.msg, 39, NULL), -1);
	assert_int_equal(crypto_verify(s.sig, s.pub, s.msg, 40, NULL), 0);
}

/* --- passphrases ------------------------------------------------------------*/

/* Known answers of libsodium's own test of Argon2id (16-byte salts, one lane). */
static void passphrases_give_the_known_keys(void **state)
{
	static const struct {
		const char *pass, *salt;
		uint32_t ops, mem_kib;
		const char *key_b64;
	} known[] = {
		{ "", "bA81arsiXysd3WbTRzmEOw", 2, 4882,
		    "Nm8QBM+7RH1DXo9rvp5cwKEOOOfD2g6JuxlXihoNcpE" },
		{ "^T5H$JYt39n%K*j:W]!1s?vg!:jGi]Ax?..l7[p0v:1jHTpla9;]bUN;?bWy"
		    "Cbtqg ", "PkEgMTYtYnl0ZXMgc2FsdA", 19, 4096,
		    "ltB/ue1kPtBMBGfsysMpPigE6hiNEKZ9vs8vLNVDQGA" },
	};
	uint8_t salt[16], want[32], key[32];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		assert_int_equal(sodium_base642bin(salt, 16, known[i].salt,
		    strlen(known[i].salt), NULL, &n, NULL,
		    sodium_base64_VARIANT_ORIGINAL_NO_PADDING), 0);
		assert_int_equal(n, 16);
		assert_int_equal(sodium_base642bin(want, 32, known[i].key_b64,
		    strlen(known[i].key_b64), NULL, &n, NULL,
		    sodium_base64_VARIANT_ORIGINAL_NO_PADDING), 0);
		assert_int_equal(n, 32);
		assert_int_equal(crypto_passphrase(key, known[i].pass,
		    strlen(known[i].pass), salt, known[i].ops,
		    known[i].mem_kib, 8192, NULL), 0);
		assert_memory_equal(key, want, 32);
	}
	assert_int_equal(crypto_passphrase(key, NULL, 0, salt, 1, 8, 8, NULL), 0);
}

static void stored_parameters_cannot_exhaust_the_machine(void **state)
{
	static const uint32_t bad[][2] = {
		{ 65, 64 }, { UINT32_MAX, 64 }, { 1, 1025 }, { 1, UINT32_MAX },
		{ 0, 64 }, { 1, 7 }, { 1, 0 },
	};
	uint8_t key[32], salt[16] = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err_clear(&err);
		assert_int_equal(crypto_passphrase(key, "x", 1, salt, bad[i][0],
		    bad[i][1], 1024, &err), -1);
		assert_int_equal(err.class, ERR_UNSUPPORTED);
	}
	/* Both are named: what it takes and what is allowed. */
	crypto_passphrase(key, "x", 1, salt, 3, 4711, 1024, &err);
	assert_non_null(strstr(err.msg, "4711 KiB"));
	assert_non_null(strstr(err.msg, "1024 KiB"));
	assert_int_equal(crypto_passphrase(key, "x", 1, salt, 64, 8, 1024, &err), 0);
	assert_int_equal(crypto_passphrase(key, "x", 1, salt, 1, 1024, 1024, &err), 0);
}

static void new_wraps_use_the_interactive_limits(void **state)
{
	uint32_t ops = 0, mem = 0;

	(void)state;
	crypto_passphrase_defaults(&ops, &mem);
	assert_int_equal(ops, 2);
	assert_int_equal(mem, 64 << 10);
}

/* Run fn in a child without core file; return its wait status. */
static int in_child(void (*fn)(void))
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		/* Whatever the test program or a sanitizer does with faults. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		fn();
		_exit(9);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void unlock_without_memory(void)
{
	struct rlimit little = { 64 << 20, 64 << 20 };
	uint8_t key[32], salt[16] = { 0 };
	struct err err = ERR_INIT;

	setrlimit(RLIMIT_AS, &little);

	int r = crypto_passphrase(key, "x", 1, salt, 1, 1 << 20, 1 << 20, &err);

	_exit(r == -1 && err.class == ERR_FULL ? 0 : 1);
}

static void memory_that_is_not_to_be_had_is_full(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("a sanitizer itself ends where no memory is left\n");
	skip();
#endif

	int status = in_child(unlock_without_memory);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- secret memory ----------------------------------------------------------*/

static void secrets_are_zeroed(void **state)
{
	(void)state;
	for (size_t len = 0; len < 10000; len = len * 3 + 1) {
		uint8_t *p = crypto_secret_new(len, NULL);

		assert_non_null(p);
		assert_true(bytes_are_zero(p, len));
		if (len > 0)
			memset(p, 0xff, len);
		crypto_secret_free(p);
	}
	crypto_secret_free(NULL);
}

static void a_secret_that_is_too_big_is_full(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_null(crypto_secret_new(SIZE_MAX / 2, &err));
	assert_int_equal(err.class, ERR_FULL);
}

static void read_past_a_secret(void)
{
	volatile uint8_t *p = crypto_secret_new(32, NULL);

	(void)p[31];
	(void)p[32];
}

static void reading_past_a_secret_faults(void **state)
{
	(void)state;

	int status = in_child(read_past_a_secret);

	assert_true(WIFSIGNALED(status));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(public_keys_match_rfc_7748),
		cmocka_unit_test(boxes_open_for_their_key_only),
		cmocka_unit_test(a_box_is_an_ephemeral_key_and_a_crypto_box),
		cmocka_unit_test(no_byte_of_a_box_may_differ),
		cmocka_unit_test(a_key_of_low_order_is_refused),
		cmocka_unit_test(signatures_match_rfc_8032),
		cmocka_unit_test(no_byte_of_a_signed_thing_may_differ),
		cmocka_unit_test(passphrases_give_the_known_keys),
		cmocka_unit_test(stored_parameters_cannot_exhaust_the_machine),
		cmocka_unit_test(new_wraps_use_the_interactive_limits),
		cmocka_unit_test(memory_that_is_not_to_be_had_is_full),
		cmocka_unit_test(secrets_are_zeroed),
		cmocka_unit_test(a_secret_that_is_too_big_is_full),
		cmocka_unit_test(reading_past_a_secret_faults),
	};

	return cmocka_run_group_tests(tests, start, NULL) ? 1 : 0;
}
