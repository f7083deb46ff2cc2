/* Keys of objects, names of sessions, key files: made and taken apart. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "repo/format/fmt_keys.h"
#include "repo/format/fmt_name.h"

static const uint8_t slot[8] = { 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0xff };
static const uint8_t name[16] = { 0xab, 0xcd, 15, 14 };
static const uint8_t hash[32] = { 0xde, 0xad };
static const char session[] = "0123456789abcdef-0192a3b4c5d6-fedcba9876543210";

#define SLOT "00112233445566ff"
#define NAME "abcd0f0e000000000000000000000000"
#define TAG "abcd0f0e00000000"
#define HASH "dead" "000000000000000000000000000000" \
	"000000000000000000000000000000"

static void expect(const char *got, const char *want, enum fmt_place place,
    uint64_t n)
{
	struct fmt_key k;

	assert_string_equal(got, want);
	assert_int_equal(fmt_key_parse(got, &k), 0);
	assert_int_equal(k.place, place);
	assert_int_equal(k.n, n);
	if (strstr(want, SLOT) != NULL)
		assert_memory_equal(k.slot, slot, 8);
	if (strstr(want, session) != NULL)
		assert_string_equal(k.session, session);
	if (strstr(want, NAME) != NULL)
		assert_memory_equal(k.name, name, 16);
	if (strstr(want, TAG "/") != NULL)
		assert_memory_equal(k.tag, name, 8);
	if (strstr(want, HASH) != NULL)
		assert_memory_equal(k.hash, hash, 32);
}

static void keys_are_those_of_the_table(void **state)
{
	char k[FMT_KEY_MAX];
	struct fmt_key parsed;

	(void)state;
	fmt_key_config(k, 0x1f);
	expect(k, "config/0000001f", FMT_AT_CONFIG, 0x1f);
	fmt_key_cert(k, slot);
	expect(k, "keys/" SLOT "/cert", FMT_AT_CERT, 0);
	fmt_key_wrap(k, slot, 2);
	expect(k, "keys/" SLOT "/wrap/00000002", FMT_AT_WRAP, 2);
	fmt_key_end(k, slot, hash);
	expect(k, "keys/" SLOT "/end-" HASH, FMT_AT_END, 0);
	fmt_key_grant(k, 0xfffffffe, name, slot);
	expect(k, "epochs/fffffffe/" TAG "/" SLOT, FMT_AT_GRANT, 0xfffffffe);
	fmt_key_pack(k, name);
	expect(k, "packs/ab/" NAME, FMT_AT_PACK, 0);
	fmt_key_parity(k, name);
	expect(k, "parity/ab/" NAME, FMT_AT_PARITY, 0);
	fmt_key_segment(k, slot, session, 7);
	expect(k, "index/" SLOT "/0123456789abcdef-0192a3b4c5d6-"
	    "fedcba9876543210/00000007", FMT_AT_SEGMENT, 7);
	fmt_key_merged(k, 0x123456789abcdef0);
	expect(k, "index/merged/123456789abcdef0", FMT_AT_MERGED,
	    0x123456789abcdef0);
	fmt_key_manifest(k, 1);
	expect(k, "index/manifest/0000000000000001", FMT_AT_MANIFEST, 1);
	fmt_key_snapshot(k, slot, session);
	expect(k, "snapshots/" SLOT "/0123456789abcdef-0192a3b4c5d6-"
	    "fedcba9876543210", FMT_AT_SNAPSHOT, 0);
	fmt_key_note(k, slot, session);
	expect(k, "forgotten/" SLOT "/0123456789abcdef-0192a3b4c5d6-"
	    "fedcba9876543210", FMT_AT_NOTE, 0);
	fmt_key_session(k, slot, session);
	expect(k, "sessions/" SLOT "/0123456789abcdef-0192a3b4c5d6-"
	    "fedcba9876543210", FMT_AT_SESSION, 0);
	fmt_key_mark(k, 3);
	expect(k, "gc/0000000000000003/mark", FMT_AT_MARK, 3);
	fmt_key_verdict(k, 3);
	expect(k, "gc/0000000000000003/verdict", FMT_AT_VERDICT, 3);
	fmt_key_bad(k, 4);
	expect(k, "bad/0000000000000004", FMT_AT_BAD, 4);
	fmt_key_checked(k, 5);
	expect(k, "checked/0000000000000005", FMT_AT_CHECKED, 5);
	fmt_key_dead(k, 3, hash);
	assert_int_equal(strlen(k), 3 + 16 + 6 + 64);
	assert_int_equal(fmt_key_parse(k, &parsed), 0);
	assert_int_equal(parsed.place, FMT_AT_DEAD);
	assert_memory_equal(parsed.hash, hash, 32);
}

static void other_keys_are_of_no_object(void **state)
{
	static const char *const bad[] = {
		"", "config", "config/", "config/0000001", "config/000000001",
		"config/0000000G", "config/0000000A", "Config/00000001",
		"keys/" SLOT, "keys/" SLOT "/", "keys/" SLOT "/certs",
		"keys/" SLOT "/wrap/", "keys/" SLOT "/wrap/1",
		"packs/ac/" NAME, "packs/ab/" NAME "0", "packs/ab" NAME,
		"packs/ab/../" NAME, "packs/AB/" NAME, "parity/ab/",
		"index/merged/1", "index/" SLOT "/x/00000001",
		"snapshots/" SLOT "/0123456789abcdef-0192a3b4c5d6",
		"snapshots/" SLOT "/0123456789abcdef-0192a3b4c5d6-"
		    "fedcba9876543210.tmp",
		"snapshots//0123456789abcdef-0192a3b4c5d6-fedcba9876543210",
		"gc/0000000000000003", "gc/0000000000000003/dead-",
		"gc/0000000000000003/dead-00", "epochs/00000001",
		"epochs/00000001/" SLOT, "epochs/00000001/" SLOT "/x",
		"keys/" SLOT "/end", "keys/" SLOT "/end-00",
		" config/00000001", "config/00000001 ", "lost+found",
	};
	struct fmt_key k;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (fmt_key_parse(bad[i], &k) != 1)
			fail_msg("\"%s\" is taken for a key", bad[i]);
}

static void a_session_is_volume_time_and_id(void **state)
{
	struct fmt_session_name n, back;
	char text[FMT_SESSION_MAX];

	(void)state;
	assert_int_equal(fmt_session_parse(session, &n), 0);
	assert_int_equal(n.start_ms, 0x0192a3b4c5d6);
	assert_int_equal(n.volume[7], 0xef);
	assert_int_equal(n.random[0], 0xfe);
	fmt_session_text(text, &n);
	assert_string_equal(text, session);
	assert_int_equal(fmt_session_parse("", &back), -1);
	assert_int_equal(fmt_session_parse(session + 1, &back), -1);
	/* Later sessions of a volume sort behind. */
	n.start_ms++;
	fmt_session_text(text, &n);
	assert_true(strcmp(session, text) < 0);
}

static void a_key_file_is_one_line(void **state)
{
	uint8_t secret[32] = { 1, 2, 0xfe }, s[8], k[32];
	char line[FMT_KEY_FILE_MAX];
	struct err err = ERR_INIT;

	(void)state;
	fmt_key_file_line(line, slot, secret);
	assert_string_equal(line, "wherry-key-1 " SLOT " 0102fe0000000000"
	    "000000000000000000000000000000000000000000000000\n");
	assert_int_equal(fmt_key_file_parse(line, s, k, &err), 0);
	assert_memory_equal(s, slot, 8);
	assert_memory_equal(k, secret, 32);
	line[strlen(line) - 1] = '\0';
	assert_int_equal(fmt_key_file_parse(line, s, k, &err), 0);
	memcpy(line + strlen(line), "\r\n", 3);
	assert_int_equal(fmt_key_file_parse(line, s, k, &err), 0);
}

static void other_key_files_are_refused_without_telling_them(void **state)
{
	uint8_t secret[32] = { 0xab, 0xcd, 0xef }, s[8], k[32];
	char line[FMT_KEY_FILE_MAX];
	struct err err = ERR_INIT;

	(void)state;
	fmt_key_file_line(line, slot, secret);
	for (size_t i = 0; line[i + 1] != '\0'; i++) {
		char was = line[i];

		line[i] = 'X';
		err_clear(&err);
		assert_int_equal(fmt_key_file_parse(line, s, k, &err), -1);
		assert_true(err.class == ERR_USAGE ||
		    err.class == ERR_UNSUPPORTED);
		assert_null(strstr(err.msg, "abcdef"));
		line[i] = was;
	}
	line[11] = '2';
	assert_int_equal(fmt_key_file_parse(line, s, k, &err), -1);
	assert_int_equal(err.class, ERR_UNSUPPORTED);
	assert_int_equal(fmt_key_file_parse("", s, k, &err), -1);
	assert_int_equal(fmt_key_file_parse("wherry-key-1", s, k, &err), -1);
	assert_int_equal(fmt_key_file_parse("\r\n", s, k, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_those_of_the_table),
		cmocka_unit_test(other_keys_are_of_no_object),
		cmocka_unit_test(a_session_is_volume_time_and_id),
		cmocka_unit_test(a_key_file_is_one_line),
		cmocka_unit_test(other_key_files_are_refused_without_telling_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
