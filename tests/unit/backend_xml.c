/* The bounded reader of stores' XML, and the texts beside it: URLs and times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/backend/backend_http.h"
#include "repo/backend/backend_xml.h"

static char seen[4096];

static int note(void *ctx, const char *path, const char *text, struct err *err)
{
	size_t n = strlen(seen);

	if (ctx != NULL && strcmp(path, ctx) == 0)
		return text[0] == '-' ? err_set(err, ERR_CANCELLED, "stop") : 5;
	snprintf(seen + n, sizeof(seen) - n, "%s=%s;", path, text);
	return 0;
}

static int reads(const char *doc, const char *stop_at, struct err *err)
{
	seen[0] = '\0';
	return backend_xml_read(doc, strlen(doc), note, (void *)(uintptr_t)
	    stop_at, err);
}

static void elements_come_as_they_end(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(reads("\xef\xbb\xbf<?xml version='1.0'?>\n<!-- c -->"
	    "<a:r xmlns:a='x' y='&lt;'>t<b>1<![CDATA[&2]]></b> <?pi?>"
	    "<c><d>&amp;&#x41;\xc3\xa4</d>rest</c><e/></a:r>\n", NULL, &err),
	    0);
	assert_string_equal(seen, "r/b=1&2;r/c/d=&A\xc3\xa4;r/c=rest;r/e=;r=;");
}

static void a_reader_stops_when_told(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(reads("<r><a>1</a><b>2</b><c>3</c></r>", "r/b",
	    &err), 5);
	assert_string_equal(seen, "r/a=1;");
	assert_int_equal(reads("<r><b>-</b><", "r/b", &err), -1);
	assert_int_equal(err.class, ERR_CANCELLED);
}

static void what_is_not_well_formed_or_bounded_is_corrupt(void **state)
{
	static const char *const bad[] = { "", " ", "x", "<a>", "<a></b>",
		"<a>\x01</a>", "<a>\xff</a>", "<a>&b;</a>", "<a/><b/>",
		"<!DOCTYPE a><a/>", "<!DOCTYPE a SYSTEM 'file:///x'><a/>",
		"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>" };
	static char deep[1000], wide[BACKEND_XML_TEXT + 100];
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err_clear(&err);
		assert_int_equal(reads(bad[i], NULL, &err), -1);
		assert_int_equal(err.class, ERR_CORRUPT);
	}
	for (int n = BACKEND_XML_DEPTH; n <= BACKEND_XML_DEPTH + 1; n++) {
		for (int i = 0; i < n; i++)
			memcpy(deep + i * 3, "<a>", 3);
		for (int i = 0; i < n; i++)
			memcpy(deep + n * 3 + i * 4, "</a>", 5);
		assert_int_equal(reads(deep, NULL, &err),
		    n == BACKEND_XML_DEPTH ? 0 : -1);
	}
	memset(wide, 'x', sizeof(wide) - 1);
	memcpy(wide, "<a>", 3);
	memcpy(wide + 3 + BACKEND_XML_TEXT, "</a>", 5);
	assert_int_equal(reads(wide, NULL, &err), 0);
	memset(wide + 3 + BACKEND_XML_TEXT, 'x', 5);
	memcpy(wide + 3 + BACKEND_XML_TEXT + 1, "</a>", 5);
	assert_int_equal(reads(wide, NULL, &err), -1);
	/* A name that does not fit into a path. */
	memset(wide, 'x', BACKEND_XML_PATH + 1);
	wide[0] = '<';
	memcpy(wide + BACKEND_XML_PATH + 1, "/>", 3);
	assert_int_equal(reads(wide, NULL, &err), -1);
	wide[BACKEND_XML_PATH] = '/';
	wide[BACKEND_XML_PATH + 1] = '>';
	wide[BACKEND_XML_PATH + 2] = '\0';
	assert_int_equal(reads(wide, NULL, &err), 0);
}

static void picking_takes_what_is_there(void **state)
{
	char code[8], said[8], none[8];
	const struct backend_xml_want want[] = {
		{ "Error/Code", code, sizeof(code) },
		{ "Error/Message", said, sizeof(said) },
		{ "Error/None", none, sizeof(none) },
	};
	const char *doc = "<Error><Code>NoSuchKey</Code><Code>other</Code>"
	    "<Message>m</Message><None>";

	(void)state;
	backend_xml_pick(doc, strlen(doc), want, 3);
	assert_string_equal(code, "NoSuchK");
	assert_string_equal(said, "m");
	assert_string_equal(none, "");
	backend_xml_pick("", 0, want, 3);
	assert_string_equal(code, "");
}

static void times_of_both_forms_are_read(void **state)
{
	static const char *const bad[] = { "", "yesterday",
		"Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET",
		"Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 ovD 1994 08:49:37 GMT",
		"Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37 GMT+1", "2026-11-01T12:00:00",
		"2026-13-01T12:00:00Z", "2026-02-30T12:00:00Z",
		"2026-11-01 12:00:00Z", "2026-11-01T12:00:00.5",
		"1960-11-01T12:00:00Z", "3994-11-01T12:00:00Z",
		"99999-11-01T12:00:00Z" };

	(void)state;
	assert_true(backend_http_time("Sun, 06 Nov 1994 08:49:37 GMT") ==
	    INT64_C(784111777000000000));
	assert_true(backend_http_time("2026-11-01T12:00:00.987Z") ==
	    INT64_C(1793534400000000000));
	assert_true(backend_http_time("2026-11-01T12:00:00Z") ==
	    INT64_C(1793534400000000000));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (backend_http_time(bad[i]) != -1)
			fail_msg("%s", bad[i]);
}

static void urls_are_cut_into_parts(void **state)
{
	struct backend_http_url u;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(backend_http_url_parse("s3://n%41me//a%20b/c@d//"
	    "?x=1%262&y=&z=a=b", &u, &err), 0);
	assert_string_equal(u.name, "nAme");
	assert_string_equal(u.rest, "a b/c@d");
	assert_string_equal(backend_http_param(&u, "x"), "1&2");
	assert_string_equal(backend_http_param(&u, "y"), "");
	assert_string_equal(backend_http_param(&u, "z"), "a=b");
	assert_null(backend_http_param(&u, "w"));
	assert_int_equal(backend_http_params_known(&u, (const char *[]){ "x",
	    "y", "z", NULL }, &err), 0);
	assert_int_equal(backend_http_params_known(&u, (const char *[]){ "x",
	    "z", NULL }, &err), -1);
	assert_non_null(strstr(err.msg, " y, which is none of x, z"));
	backend_http_url_release(&u);
	assert_int_equal(backend_http_url_parse("s3:name", &u, &err), 0);
	assert_string_equal(u.rest, "");
	backend_http_url_release(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_come_as_they_end),
		cmocka_unit_test(a_reader_stops_when_told),
		cmocka_unit_test(what_is_not_well_formed_or_bounded_is_corrupt),
		cmocka_unit_test(picking_takes_what_is_there),
		cmocka_unit_test(times_of_both_forms_are_read),
		cmocka_unit_test(urls_are_cut_into_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
