#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_text.h"

/* Sizes, rates, durations and times as people write and read them; names. */

static uint64_t size_of(const char *text)
{
	struct err err = ERR_INIT;
	uint64_t v = 0;

	assert_int_equal(cli_size_parse(text, &v, &err), 0);
	return v;
}

static void refused(const char *text)
{
	struct err err = ERR_INIT;
	uint64_t v;

	assert_int_equal(cli_size_parse(text, &v, &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	/* The message says what to write instead. */
	assert_non_null(strstr(err.msg, "512M"));
}

static void sizes_take_powers_of_1024_and_of_1000(void **state)
{
	(void)state;
	assert_int_equal(size_of("0"), 0);
	assert_int_equal(size_of("123"), 123);
	assert_int_equal(size_of("7B"), 7);
	assert_int_equal(size_of("512M"), 512u << 20);
	assert_int_equal(size_of("1G"), 1u << 30);
	assert_int_equal(size_of("10MiB"), 10u << 20);
	assert_int_equal(size_of("10mib"), 10u << 20);
	assert_int_equal(size_of("64k"), 64u << 10);
	assert_int_equal(size_of("3KB"), 3000);
	assert_int_equal(size_of("2GB"), 2000000000);
	assert_int_equal(size_of("1.5K"), 1536);
	assert_true(size_of("2T") == (uint64_t)2 << 40);
	assert_true(size_of("1P") == (uint64_t)1 << 50);
	assert_true(size_of("900719925474099312") == 900719925474099312u);
}

static void what_is_no_size_is_refused(void **state)
{
	(void)state;
	refused("");
	refused("-1");
	refused("+1");
	refused("M");
	refused("1X");
	refused("1MM");
	refused("1 M");
	refused(" 1M");
	refused("0x10");
	refused("1e9");
	refused("inf");
	refused("1.2.3K");
	refused("99999999999999999999");
	refused("9000P");
	refused("1111111111111111111111111111111111111111111111111111111111111"
	    "11111111");
}

static void rates_may_say_a_second(void **state)
{
	struct err err = ERR_INIT;
	uint64_t v;

	(void)state;
	assert_int_equal(cli_rate_parse("20M", &v, &err), 0);
	assert_int_equal(v, 20u << 20);
	assert_int_equal(cli_rate_parse("500KiB/s", &v, &err), 0);
	assert_int_equal(v, 500u << 10);
	assert_int_equal(cli_rate_parse("5/s", &v, &err), 0);
	assert_int_equal(v, 5);
	assert_int_equal(cli_rate_parse("/s", &v, &err), -1);
	assert_int_equal(cli_rate_parse("5/m", &v, &err), -1);
}

static void shown_size(double v, const char *want)
{
	char text[CLI_TEXT_MAX];

	assert_string_equal(cli_size_text(text, sizeof(text), v), want);
}

static void sizes_are_shown_with_three_digits(void **state)
{
	(void)state;
	shown_size(0, "0 B");
	shown_size(1023, "1023 B");
	shown_size(1024, "1.00 KiB");
	shown_size(1024 * 1023.7, "1.00 MiB");
	shown_size(12.34 * 1048576, "12.3 MiB");
	shown_size(123.4 * 1073741824, "123 GiB");
	shown_size(18446744073709551615.0, "16.0 EiB");
}

static void shown_duration(double seconds, const char *want)
{
	char text[CLI_TEXT_MAX];

	assert_string_equal(cli_duration_text(text, sizeof(text),
	    (int64_t)(seconds * 1e9)), want);
}

static void durations_grow_their_units(void **state)
{
	(void)state;
	shown_duration(0.25, "0.25s");
	shown_duration(-5, "0.00s");
	shown_duration(9.6, "9.6s");
	shown_duration(59.4, "59s");
	shown_duration(59.6, "1m00s");
	shown_duration(3723, "1h02m03s");
	shown_duration(90000, "1d01h00m");
}

static void counts_are_grouped(void **state)
{
	char text[CLI_TEXT_MAX];

	(void)state;
	assert_string_equal(cli_count_text(text, sizeof(text), 7), "7");
	assert_string_equal(cli_count_text(text, sizeof(text), 999), "999");
	assert_string_equal(cli_count_text(text, sizeof(text), 1000), "1,000");
	assert_string_equal(cli_count_text(text, sizeof(text), UINT64_MAX),
	    "18,446,744,073,709,551,615");
}

static void times_before_1970_are_shown(void **state)
{
	char text[CLI_TEXT_MAX];

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	assert_string_equal(cli_time_text(text, sizeof(text), 0),
	    "1970-01-01 00:00:00");
	assert_string_equal(cli_time_text(text, sizeof(text), -1),
	    "1969-12-31 23:59:59");
	assert_true(strlen(cli_time_text(text, sizeof(text), INT64_MAX)) > 0);
}

/* --- escaping -----------------------------------------------------------------*/

static void shown(const char *raw, const char *want)
{
	char *text = cli_escaped(raw);

	assert_string_equal(text, want);
	free(text);
}

static void ordinary_names_are_shown_as_they_are(void **state)
{
	(void)state;
	shown("", "");
	shown("a b'c\"d$", "a b'c\"d$");
	shown("Gr\xc3\xbc\xc3\x9f""e", "Gr\xc3\xbc\xc3\x9f""e");
	shown("\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac");
	shown("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80");
}

static void nothing_that_acts_on_a_terminal_gets_through(void **state)
{
	(void)state;
	shown("\033[31mred", "\\x1b[31mred");
	shown("a\nb\rc\td", "a\\x0ab\\x0dc\\x09d");
	shown("\x7f", "\\x7f");
	shown("\xc2\x9b""31m", "\\xc2\\x9b31m");       /* C1: CSI */
	shown("\xe2\x80\xae""txt.exe", "\\xe2\\x80\\xaetxt.exe"); /* RLO */
	shown("\xe2\x80\xa8", "\\xe2\\x80\\xa8");      /* line separator */
	shown("\xef\xbb\xbf", "\\xef\\xbb\\xbf");      /* invisible */
	for (int c = 1; c < 32; c++) {
		char raw[2] = { (char)c, '\0' };
		char *text = cli_escaped(raw);

		assert_int_equal(text[0], '\\');
		free(text);
	}
}

static void what_is_no_utf8_is_shown_in_hex(void **state)
{
	(void)state;
	shown("\xff\xfe", "\\xff\\xfe");
	shown("a\x80", "a\\x80");
	shown("\xc3", "\\xc3");                        /* cut off */
	shown("\xc0\xaf", "\\xc0\\xaf");               /* long form of / */
	shown("\xed\xa0\x80", "\\xed\\xa0\\x80");      /* surrogate */
	shown("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* above 10ffff */
	shown("\xe2\x82" "A", "\\xe2\\x82" "A");
}

static void escaped_text_is_unambiguous(void **state)
{
	(void)state;
	shown("\\x1b", "\\\\x1b");
	shown("a\\b", "a\\\\b");
}

static void utf8_is_told_from_what_is_none(void **state)
{
	(void)state;
	assert_true(cli_utf8_valid("", 0));
	assert_true(cli_utf8_valid("a\0b", 3));
	assert_true(cli_utf8_valid("\xc3\xbc", 2));
	assert_false(cli_utf8_valid("\xc3\xbc", 1));
	assert_false(cli_utf8_valid("\xf8\x88\x80\x80\x80", 5));
}

static void width_counts_columns(void **state)
{
	(void)state;
	assert_int_equal(cli_text_width("abc"), 3);
	assert_int_equal(cli_text_width("\xc3\xbc"), 1);
	assert_int_equal(cli_text_width("\xe6\x97\xa5"), 2);
	assert_int_equal(cli_text_width("e\xcc\x81"), 1); /* combining */
}

/* --- the progress line ---------------------------------------------------------*/

static void the_line_never_exceeds_its_width(void **state)
{
	struct cli_moment m = {
		.bytes = (uint64_t)5 << 40, .bytes_total = (uint64_t)9 << 40,
		.files = 123456789, .files_total = 987654321, .errors = 1000,
		.in = 3e9, .out = 1e9, .elapsed_ns = 3600000000000,
		.total_known = true,
	};
	char text[512];

	(void)state;
	for (size_t w = 0; w < 200; w++) {
		cli_progress_line(text, sizeof(text), w, &m);
		assert_true(strlen(text) <= w);
	}
	cli_progress_line(text, sizeof(text), 200, &m);
	assert_non_null(strstr(text, " 56 %"));
	assert_non_null(strstr(text, "5.00 TiB/9.00 TiB"));
	assert_non_null(strstr(text, "1,000 errors"));
	assert_non_null(strstr(text, "left"));
	assert_non_null(strstr(text, "[===========>"));
	/* On 80 columns there is still a bar, and when it will be done. */
	cli_progress_line(text, sizeof(text), 79, &m);
	assert_non_null(strstr(text, "[====>   ]"));
	assert_non_null(strstr(text, "left"));
}

static void all_read_is_not_yet_done(void **state)
{
	struct cli_moment m = {
		.bytes = 4096, .bytes_total = 4096, .files = 1, .files_total = 1,
		.in = 0, .out = 100, .elapsed_ns = 1000000000,
		.total_known = true,
	};
	char text[512];

	(void)state;
	cli_progress_line(text, sizeof(text), 200, &m);
	assert_null(strstr(text, "100 %"));
	assert_non_null(strstr(text, "storing the rest"));
	m.out = -1; /* of a restore all that was done is written */
	cli_progress_line(text, sizeof(text), 200, &m);
	assert_non_null(strstr(text, "100 %"));
}

static void counts_of_one_have_their_word(void **state)
{
	(void)state;
	assert_string_equal(CLI_COUNTED(1, "file", "files"), "1 file");
	assert_string_equal(CLI_COUNTED(0, "file", "files"), "0 files");
	assert_string_equal(CLI_COUNTED(1234, "entry", "entries"),
	    "1,234 entries");
}

static void a_name_is_not_said_twice(void **state)
{
	(void)state;
	assert_string_equal(cli_after_name("open the repository /a", "/a: No"),
	    "No");
	assert_string_equal(cli_after_name("keys/1", "keys/1: x: y"), "x: y");
	assert_string_equal(cli_after_name("open /b/a", "a: No"), "a: No");
	assert_string_equal(cli_after_name("open", "No such thing"),
	    "No such thing");
}

static void without_a_total_nothing_is_guessed(void **state)
{
	struct cli_moment m = {
		.bytes = 1024, .files = 3, .in = 0, .out = -1,
		.elapsed_ns = 1000000000,
	};
	char text[512];

	(void)state;
	cli_progress_line(text, sizeof(text), 200, &m);
	assert_string_equal(text, "1.00 KiB  1.0s  3 files  0 B/s");
}

static void json_keeps_raw_bytes(void **state)
{
	json_t *o = json_object();

	(void)state;
	cli_json_set_bytes(o, "path", "a\nb", 3);
	assert_string_equal(json_string_value(json_object_get(o, "path")),
	    "a\nb");
	assert_null(json_object_get(o, "path_base64"));
	cli_json_set_bytes(o, "name", "a\xff", 2);
	assert_string_equal(json_string_value(json_object_get(o, "name")),
	    "a\\xff");
	assert_string_equal(json_string_value(json_object_get(o,
	    "name_base64")), "Yf8=");
	cli_json_set_bytes(o, "three", "\xff\xfe\xfd", 3);
	assert_string_equal(json_string_value(json_object_get(o,
	    "three_base64")), "//79");
	json_decref(o);
}

static void json_text_does_nothing_on_a_terminal(void **state)
{
	struct buf b = BUF_INIT;
	/* C1's CSI, right-to-left override, a tag beyond 16 bits, plain text. */
	const char *raw = "{\"a\":\"\xc2\x9b" "31m \xe2\x80\xae \xf3\xa0\x81\x81 "
	    "\xc3\xa4\\n\x7f\"}";

	(void)state;
	cli_escape_json(&b, raw, strlen(raw));
	buf_u8(&b, '\0');
	assert_string_equal((char *)b.p, "{\"a\":\"\\u009b31m \\u202e "
	    "\\udb40\\udc41 \xc3\xa4\\n\\u007f\"}");
	buf_release(&b);
}

static void json_times_have_nanoseconds(void **state)
{
	json_t *t = cli_json_time(-1);

	(void)state;
	assert_string_equal(json_string_value(t),
	    "1969-12-31T23:59:59.999999999Z");
	json_decref(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_take_powers_of_1024_and_of_1000),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(rates_may_say_a_second),
		cmocka_unit_test(sizes_are_shown_with_three_digits),
		cmocka_unit_test(durations_grow_their_units),
		cmocka_unit_test(counts_are_grouped),
		cmocka_unit_test(times_before_1970_are_shown),
		cmocka_unit_test(ordinary_names_are_shown_as_they_are),
		cmocka_unit_test(nothing_that_acts_on_a_terminal_gets_through),
		cmocka_unit_test(what_is_no_utf8_is_shown_in_hex),
		cmocka_unit_test(escaped_text_is_unambiguous),
		cmocka_unit_test(utf8_is_told_from_what_is_none),
		cmocka_unit_test(width_counts_columns),
		cmocka_unit_test(the_line_never_exceeds_its_width),
		cmocka_unit_test(all_read_is_not_yet_done),
		cmocka_unit_test(counts_of_one_have_their_word),
		cmocka_unit_test(a_name_is_not_said_twice),
		cmocka_unit_test(without_a_total_nothing_is_guessed),
		cmocka_unit_test(json_keeps_raw_bytes),
		cmocka_unit_test(json_text_does_nothing_on_a_terminal),
		cmocka_unit_test(json_times_have_nanoseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
