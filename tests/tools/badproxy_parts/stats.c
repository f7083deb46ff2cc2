/* Counts of what passed, by method and by the first part of the key. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/badproxy_parts/bad.h"

#define KINDS_MAX 128

struct kind {
	char name[64];
	unsigned long requests;
	uint64_t up, down;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kind kinds[KINDS_MAX];
static unsigned kinds_n;
static unsigned long statuses[600], connections, open_now, open_most;
static unsigned long chain; /* the longest of those that have ended */
const char *stats_root = "/";

void stats_connection(void)
{
	pthread_mutex_lock(&lock);
	connections++;
	pthread_mutex_unlock(&lock);
}

/* Copy a percent-encoded string up to one of the bytes of stop. */
static void decode(char *dst, size_t cap, const char *src, const char *stop)
{
	size_t n = 0;

	while (*src != '\0' && strchr(stop, *src) == NULL && n + 1 < cap) {
		char hex[3] = { 0 };

		if (src[0] == '%' && src[1] != '\0' && src[2] != '\0') {
			memcpy(hex, src + 1, 2);
			dst[n++] = (char)strtol(hex, NULL, 16);
			src += 3;
		} else {
			dst[n++] = *src++;
		}
	}
	dst[n] = '\0';
}

/* Return what follows root in path, or path where it does not begin so. */
static const char *below_root(const char *path)
{
	size_t len = strlen(stats_root);

	return strncmp(path, stats_root, len) == 0 ? path + len : path;
}

/* The name under which a request is counted: "GET packs", "LIST index". */
static void name_kind(const char *method, const char *target, char *dst,
    size_t cap)
{
	const char *query = strchr(target, '?');
	char path[1024], prefix[1024] = "";
	const char *verb = method, *key;

	decode(path, sizeof(path), target, "? ");
	key = below_root(path);
	if (query != NULL && strcmp(method, "GET") == 0 &&
	    (strstr(query, "list-type=") || strstr(query, "comp=list"))) {
		const char *p = strstr(query, "?prefix=");

		if (p == NULL)
			p = strstr(query, "&prefix=");
		/* A listing's path is the bucket, its prefix the rest. */
		decode(prefix, sizeof(prefix), p != NULL ? p + 8 : "", "& ");
		snprintf(path + strlen(path), sizeof(path) - strlen(path),
		    "%s%s", path[strlen(path) - 1] == '/' ? "" : "/", prefix);
		key = below_root(path);
		verb = "LIST";
	} else if (query != NULL && strcmp(method, "POST") == 0 &&
	    strstr(query, "delete") != NULL) {
		verb = "BATCH-DELETE";
		key = "";
	}
	key += strspn(key, "/");
	snprintf(dst, cap, "%s %.*s", verb, (int)strcspn(key, "/"), key);
	for (char *p = dst; *p != '\0'; p++)
		if (*p == '"' || *p == '\\' || (unsigned char)*p < ' ')
			*p = '_'; /* it becomes JSON */
}

void stats_begin(const char *method, const char *target, struct counted *c)
{
	char name[64];
	unsigned i;

	name_kind(method, target, name, sizeof(name));
	pthread_mutex_lock(&lock);
	for (i = 0; i < kinds_n && strcmp(kinds[i].name, name) != 0; i++)
		;
	if (i == kinds_n && kinds_n < KINDS_MAX)
		snprintf(kinds[kinds_n++].name, sizeof(name), "%s", name);
	c->slot = i < KINDS_MAX ? (int)i : KINDS_MAX - 1;
	kinds[c->slot].requests++;
	c->link = chain + 1;
	if (++open_now > open_most)
		open_most = open_now;
	pthread_mutex_unlock(&lock);
}

void stats_end(const struct counted *c, int status, uint64_t up, uint64_t down)
{
	pthread_mutex_lock(&lock);
	kinds[c->slot].up += up;
	kinds[c->slot].down += down;
	statuses[status > 0 && status < 600 ? status : 0]++;
	if (c->link > chain)
		chain = c->link;
	if (open_now > 0)
		open_now--;
	pthread_mutex_unlock(&lock);
}

void stats_reset(void)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < kinds_n; i++)
		kinds[i].requests = kinds[i].up = kinds[i].down = 0;
	memset(statuses, 0, sizeof(statuses));
	connections = chain = 0;
	open_most = open_now;
	pthread_mutex_unlock(&lock);
}

__attribute__((format(printf, 4, 5)))
static void add(char *dst, size_t cap, size_t *len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(dst + *len, cap - *len, fmt, ap);
	va_end(ap);
	if (n > 0)
		*len = *len + (size_t)n < cap ? *len + (size_t)n : cap - 1;
}

size_t stats_print(char *dst, size_t cap)
{
	unsigned long requests = 0;
	uint64_t up = 0, down = 0;
	const char *comma = "";
	size_t n = 0;

	pthread_mutex_lock(&lock);
	add(dst, cap, &n, "{\"kinds\": {");
	for (unsigned i = 0; i < kinds_n; i++) {
		const struct kind *k = &kinds[i];

		if (k->requests == 0 && k->up == 0 && k->down == 0)
			continue;
		requests += k->requests;
		up += k->up;
		down += k->down;
		add(dst, cap, &n,
		    "%s\"%s\": {\"requests\": %lu, \"up\": %llu, \"down\": %llu}",
		    comma, k->name, k->requests, (unsigned long long)k->up,
		    (unsigned long long)k->down);
		comma = ", ";
	}
	add(dst, cap, &n, "}, \"statuses\": {");
	comma = "";
	for (unsigned i = 0; i < 600; i++) {
		if (statuses[i] == 0)
			continue;
		add(dst, cap, &n, "%s\"%u\": %lu", comma, i, statuses[i]);
		comma = ", ";
	}
	add(dst, cap, &n, "}, \"requests\": %lu, \"up\": %llu, "
	    "\"down\": %llu, \"connections\": %lu, \"open_most\": %lu, "
	    "\"longest_chain\": %lu}\n", requests, (unsigned long long)up,
	    (unsigned long long)down, connections, open_most, chain);
	pthread_mutex_unlock(&lock);
	return n;
}
