/*
 * The head of an answer, line by line, and URLs.  What is kept of headers is
 * pairs of texts, names in lower case, no more than may be; a status is one.
 *
 * Input: lines, each to its '\n'; the whole of it is a URL, too.
 */

#include <stdlib.h>
#include <string.h>

#include "repo/net/net_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void look_at(const struct net_response *rs)
{
	const char *p = (const char *)rs->headers.p;
	size_t left = rs->headers.len;

	must(rs->status == 0 || (rs->status >= 100 && rs->status <= 599));
	must(left <= NET_HEADERS_MAX && rs->retry_after_s <= 86400);
	while (left > 0) {
		size_t name = strnlen(p, left);

		must(name < left);
		for (size_t i = 0; i < name; i++)
			must(p[i] < 'A' || p[i] > 'Z');

		size_t value = strnlen(p + name + 1, left - name - 1);

		must(name + value + 2 <= left);
		must(net_header(rs, p) != NULL);
		p += name + value + 2;
		left -= name + value + 2;
	}
}

static void try_head(const uint8_t *data, size_t size)
{
	struct net_response rs = { 0 };
	struct net_head h = { .rs = &rs };
	struct err err = ERR_INIT;

	while (size > 0) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t len = end ? (size_t)(end - data) + 1 : size;

		if (net_head_line(&h, (const char *)data, len, &err) < 0) {
			must(err.class == ERR_CORRUPT || err.class == ERR_FULL);
			break;
		}
		data += len;
		size -= len;
	}
	net_head_finish(&h);
	look_at(&rs);
	net_response_release(&rs);
}

static void try_url(const uint8_t *data, size_t size)
{
	char *url = malloc(size + 1);
	struct net_url u;
	struct err err = ERR_INIT;

	must(url != NULL);
	memcpy(url, data, size);
	url[size] = '\0';
	if (net_url_parse(url, &u, &err) == 0) {
		must(u.host[0] != '\0' && u.port <= 65535);
		must(strchr(u.host, '@') == NULL && strchr(u.host, '/') == NULL);
		must(u.path[0] == '\0' || u.path[0] == '/');
		net_url_release(&u);
	} else {
		must(err.class == ERR_USAGE && u.host == NULL);
	}
	free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_head(data, size);
	try_url(data, size);
	return 0;
}
