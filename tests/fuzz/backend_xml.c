/*
 * The reader of stores' XML: paths and texts stay within their bounds, and what
 * was read once reads the same again.  The texts are given to the readers of
 * times and escapes, too.
 */
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_http.h"
#include "repo/backend/backend_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
	uint64_t hash;
	unsigned elements;
};

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void mix(struct sum *s, const char *text)
{
	for (; *text != '\0'; text++)
		s->hash = (s->hash ^ (uint8_t)*text) * UINT64_C(1099511628211);
	s->hash++;
}

static void try_texts(const char *text)
{
	static char copy[BACKEND_XML_TEXT + 1];
	size_t n = strlen(text);
	int64_t t = backend_http_time(text);

	must(t >= -1 && (t == -1 || t % 1000000000 == 0));
	memcpy(copy, text, n + 1);
	if (backend_http_unescape(copy, true) == 0)
		must(strlen(copy) <= n);
}

static int on_element(void *ctx, const char *path, const char *text,
    struct err *err)
{
	struct sum *s = ctx;

	(void)err;
	must(strlen(path) > 0 && strlen(path) < BACKEND_XML_PATH);
	must(strlen(text) <= BACKEND_XML_TEXT);
	mix(s, path);
	mix(s, text);
	s->elements++;
	try_texts(text);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sum a = { 0, 0 }, b = { 0, 0 };
	struct err err = ERR_INIT;
	int first = backend_xml_read(data, size, on_element, &a, &err);
	int again = backend_xml_read(data, size, on_element, &b, &err);
	char code[16];
	const struct backend_xml_want want = { "Error/Code", code,
		sizeof(code) };

	must(first == again && a.hash == b.hash && a.elements == b.elements);
	must(first == 0 || err.class == ERR_CORRUPT);
	must(first != 0 || a.elements > 0);
	backend_xml_pick(data, size, &want, 1);
	must(memchr(code, '\0', sizeof(code)) != NULL);
	return 0;
}
