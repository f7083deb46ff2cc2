#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "repo/base/bytes.h"
#include "repo/zip/zip.h"

/*
 * Stands in front of zstd's function of this name, so that an encoder's fault
 * can be played: it compresses other bytes, or loses the end of the frame.
 */
static enum { SOUND, OTHER_BYTES, CUT_OFF } encoder;
static unsigned tries;

size_t ZSTD_compress2(ZSTD_CCtx *c, void *dst, size_t cap, const void *src,
    size_t len)
{
	size_t (*real)(ZSTD_CCtx *, void *, size_t, const void *, size_t);
	uint8_t *copy = malloc(len);

	*(void **)&real = dlsym(RTLD_NEXT, "ZSTD_compress2");
	tries++;
	memcpy(copy, src, len);
	if (encoder == OTHER_BYTES)
		copy[len / 2] ^= 1;

	size_t n = real(c, dst, cap, copy, len);

	free(copy);
	return encoder == CUT_OFF ? n - 1 : n;
}

/* A plaintext and its frame, and a context to unpack with. */
#define LEN 3000
static uint8_t plain[LEN];
static uint8_t frame[LEN + 1000];
static size_t frame_len;
static struct zip *z;

static int start(void **state)
{
	enum zip_method m;

	(void)state;
	for (size_t i = 0; i < LEN; i++)
		plain[i] = (uint8_t)("some words of text, "[i % 20] ^ (i / 700));
	z = zip_new(ZIP_DEFAULT, LEN, NULL);
	if (z == NULL || zip_pack(z, plain, LEN, true, frame, &m, &frame_len,
	    NULL) < 0 || m != ZIP_ZSTD)
		return -1;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	zip_free(z);
	return 0;
}

/* dst is exactly as long as told, so that a sanitizer sees one byte more. */
static int unpack(const uint8_t *src, size_t len, size_t plain_len,
    enum err_class *ret_class)
{
	struct err err = ERR_INIT;
	uint8_t *in = malloc(len ? len : 1), *out = malloc(plain_len ? plain_len : 1);

	memcpy(in, src, len);

	int r = zip_unpack(z, ZIP_ZSTD, in, len, out, plain_len, &err);

	if (r == 0 && plain_len == LEN)
		r = memcmp(out, plain, LEN) != 0;
	*ret_class = err.class;
	free(in);
	free(out);
	return r;
}

static void assert_corrupt(const uint8_t *src, size_t len, size_t plain_len)
{
	enum err_class class;

	assert_int_equal(unpack(src, len, plain_len, &class), -1);
	assert_int_equal(class, ERR_CORRUPT);
}

static void an_encoder_fault_is_found_by_verifying(void **state)
{
	uint8_t dst[LEN + 1000];
	struct err err = ERR_INIT;
	enum zip_method m;
	size_t n;

	(void)state;
	encoder = OTHER_BYTES;
	assert_int_equal(zip_pack(z, plain, LEN, false, dst, &m, &n, &err), 0);
	assert_int_equal(zip_pack(z, plain, LEN, true, dst, &m, &n, &err), -1);
	assert_int_equal(err.class, ERR_BUG);
	encoder = CUT_OFF;
	err_clear(&err);
	assert_int_equal(zip_pack(z, plain, LEN, false, dst, &m, &n, &err), 0);
	assert_int_equal(zip_pack(z, plain, LEN, true, dst, &m, &n, &err), -1);
	assert_int_equal(err.class, ERR_BUG);
	encoder = SOUND;
	assert_int_equal(zip_pack(z, plain, LEN, true, dst, &m, &n, &err), 0);
}

static void what_looks_random_is_not_tried(void **state)
{
	static uint8_t noise[20000], dst[21000];
	struct zip *big = zip_new(ZIP_DEFAULT, sizeof(noise), NULL);
	uint64_t x = 88172645463325252u;
	enum zip_method m;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(noise); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		noise[i] = (uint8_t)(x >> 32);
	}
	tries = 0;
	assert_int_equal(zip_pack(big, noise, sizeof(noise), true, dst, &m, &n,
	    NULL), 0);
	assert_int_equal(m, ZIP_RAW);
	assert_int_equal(tries, 0);
	assert_int_equal(zip_pack(big, noise, 10000, true, dst, &m, &n, NULL), 0);
	assert_int_equal(m, ZIP_RAW);
	assert_int_equal(tries, 1);
	zip_free(big);
}

static void the_length_must_be_exact(void **state)
{
	enum err_class class;

	(void)state;
	assert_int_equal(unpack(frame, frame_len, LEN, &class), 0);
	for (size_t d = 1; d < 10; d++) {
		assert_corrupt(frame, frame_len, LEN - d);
		assert_corrupt(frame, frame_len, LEN + d);
	}
	assert_corrupt(frame, frame_len, 0);
}

static void a_frame_cut_anywhere_is_corrupt(void **state)
{
	(void)state;
	for (size_t n = 0; n < frame_len; n++)
		assert_corrupt(frame, n, LEN);
}

static void bytes_behind_the_frame_are_corrupt(void **state)
{
	uint8_t m[2 * sizeof(frame)];

	(void)state;
	memcpy(m, frame, frame_len);
	m[frame_len] = 0;
	assert_corrupt(m, frame_len + 1, LEN);
	/* A second frame, a whole one. */
	memcpy(m + frame_len, frame, frame_len);
	assert_corrupt(m, 2 * frame_len, LEN);
	assert_corrupt(m, 2 * frame_len, 2 * LEN);
	/* A skippable frame before or behind, which zstd itself would pass. */
	memcpy(m, "\x50\x2a\x4d\x18\x01\0\0\0x", 9);
	memcpy(m + 9, frame, frame_len);
	assert_corrupt(m, 9 + frame_len, LEN);
	assert_corrupt(m, 9, 0);
	/* One of 32 bytes has a single segment's descriptor in its length. */
	memset(m, 0, 40);
	memcpy(m, "\x50\x2a\x4d\x18\x20", 5);
	assert_corrupt(m, 40, 0);
	memcpy(m, frame, frame_len);
	memcpy(m + frame_len, "\x50\x2a\x4d\x18\x01\0\0\0x", 9);
	assert_corrupt(m, frame_len + 9, LEN);
}

/* A frame has no checksum: the seal around it is what finds other bytes. */
static void no_flipped_bit_writes_past_the_end(void **state)
{
	uint8_t m[sizeof(frame)];

	(void)state;
	memcpy(m, frame, frame_len);
	for (size_t i = 0; i < 8 * frame_len; i++) {
		enum err_class class;

		m[i / 8] ^= (uint8_t)(1u << (i % 8));
		if (unpack(m, frame_len, LEN, &class) < 0)
			assert_int_equal(class, ERR_CORRUPT);
		m[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
}

static size_t make_frame(uint8_t *dst, ZSTD_cParameter name, int value,
    const char *dict, int stream)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t n;

	assert_non_null(c);
	assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, name, value)));
	if (dict != NULL)
		assert_false(ZSTD_isError(ZSTD_CCtx_loadDictionary(c, dict,
		    strlen(dict))));
	if (stream) {
		ZSTD_inBuffer in = { plain, LEN, 0 };
		ZSTD_outBuffer out = { dst, sizeof(frame), 0 };

		assert_int_equal(ZSTD_compressStream2(c, &out, &in,
		    ZSTD_e_flush) , 0);
		assert_int_equal(ZSTD_compressStream2(c, &out, &in, ZSTD_e_end), 0);
		n = out.pos;
	} else {
		n = ZSTD_compress2(c, dst, sizeof(frame), plain, LEN);
	}
	assert_false(ZSTD_isError(n));
	ZSTD_freeCCtx(c);
	return n;
}

static void frames_of_another_form_are_corrupt(void **state)
{
	uint8_t m[sizeof(frame)];
	enum err_class class;

	(void)state;
	/* What is refused is the form: the plain one made so is taken. */
	size_t n = make_frame(m, ZSTD_c_checksumFlag, 0, NULL, 0);

	assert_int_equal(unpack(m, n, LEN, &class), 0);
	n = make_frame(m, ZSTD_c_checksumFlag, 1, NULL, 0);
	assert_corrupt(m, n, LEN);
	n = make_frame(m, ZSTD_c_contentSizeFlag, 0, NULL, 0);
	assert_corrupt(m, n, LEN);
	/* A window smaller than the content, and a stream of unknown length. */
	n = make_frame(m, ZSTD_c_windowLog, 10, NULL, 0);
	assert_corrupt(m, n, LEN);
	n = make_frame(m, ZSTD_c_checksumFlag, 0, NULL, 1);
	assert_corrupt(m, n, LEN);
	/* Made with a dictionary without number: only its bytes can be missing. */
	n = make_frame(m, ZSTD_c_checksumFlag, 0, "some words of text, some words", 0);
	assert_corrupt(m, n, LEN);
}

static void a_frame_that_claims_the_world_is_corrupt(void **state)
{
	/* 2^62 bytes of content, one empty last block. */
	static const uint8_t bomb[] = {
		0x28, 0xb5, 0x2f, 0xfd, 0xe0,
		0, 0, 0, 0, 0, 0, 0, 0x40, 0x01, 0, 0,
	};
	/* 3000 bytes of content told, a run of 128 KiB given. */
	static const uint8_t liar[] = {
		0x28, 0xb5, 0x2f, 0xfd, 0x60, 0xb8, 0x0a, 0x03, 0, 0x10, 'x',
	};

	(void)state;
	assert_corrupt(bomb, sizeof(bomb), LEN);
	assert_corrupt(liar, sizeof(liar), LEN);
}

static void an_empty_frame_is_empty(void **state)
{
	static const uint8_t none[] = {
		0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0, 0,
	};
	enum err_class class;

	(void)state;
	assert_int_equal(unpack(none, sizeof(none), 0, &class), 0);
	assert_corrupt(none, sizeof(none), 1);
}

static void raw_bytes_must_have_the_length(void **state)
{
	uint8_t out[4] = { 9, 9, 9, 9 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(zip_unpack(z, ZIP_RAW, "abc", 3, out, 3, &err), 0);
	assert_memory_equal(out, "abc\x09", 4);
	assert_int_equal(zip_unpack(z, ZIP_RAW, "abc", 3, out, 2, &err), -1);
	assert_int_equal(err.class, ERR_CORRUPT);
	assert_int_equal(zip_unpack(z, ZIP_RAW, "abc", 3, out, 4, &err), -1);
	assert_int_equal(zip_unpack(z, ZIP_RAW, NULL, 0, NULL, 0, &err), 0);
}

static void unknown_methods_are_unsupported(void **state)
{
	static const unsigned methods[] = { 2, 3, 255, 256, 257, UINT32_MAX };
	uint8_t out[3];

	(void)state;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(zip_unpack(z, methods[i], "abc", 3, out, 3,
		    &err), -1);
		assert_int_equal(err.class, ERR_UNSUPPORTED);
	}
}

static void any_context_unpacks_what_any_other_packed(void **state)
{
	uint8_t out[LEN];

	(void)state;
	for (int level = ZIP_OFF; level <= ZIP_MAX; level++) {
		struct zip *other = zip_new((enum zip_level)level, 10, NULL);

		assert_non_null(other);
		memset(out, 0, sizeof(out));
		assert_int_equal(zip_unpack(other, ZIP_ZSTD, frame, frame_len,
		    out, LEN, NULL), 0);
		assert_memory_equal(out, plain, LEN);
		zip_free(other);
	}
}

static void a_failure_leaves_the_context_usable(void **state)
{
	uint8_t m[sizeof(frame)];
	enum err_class class;

	(void)state;
	memcpy(m, frame, frame_len);
	memset(m + frame_len / 2, 0xff, frame_len - frame_len / 2);
	for (int i = 0; i < 5; i++) {
		unpack(m, frame_len, LEN, &class);
		assert_int_equal(unpack(frame, frame_len, LEN, &class), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_encoder_fault_is_found_by_verifying),
		cmocka_unit_test(what_looks_random_is_not_tried),
		cmocka_unit_test(the_length_must_be_exact),
		cmocka_unit_test(a_frame_cut_anywhere_is_corrupt),
		cmocka_unit_test(bytes_behind_the_frame_are_corrupt),
		cmocka_unit_test(no_flipped_bit_writes_past_the_end),
		cmocka_unit_test(frames_of_another_form_are_corrupt),
		cmocka_unit_test(a_frame_that_claims_the_world_is_corrupt),
		cmocka_unit_test(an_empty_frame_is_empty),
		cmocka_unit_test(raw_bytes_must_have_the_length),
		cmocka_unit_test(unknown_methods_are_unsupported),
		cmocka_unit_test(any_context_unpacks_what_any_other_packed),
		cmocka_unit_test(a_failure_leaves_the_context_usable),
	};

	return cmocka_run_group_tests(tests, start, stop) ? 1 : 0;
}
