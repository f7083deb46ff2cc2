/* Other times in answers: objects that seem older, a store with a wrong clock. */

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "tests/tools/badproxy_parts/bad.h"

#define HTTP_DATE "%a, %d %b %Y %H:%M:%S GMT"
#define HTTP_DATE_LEN 29

/* Move the date at p, of either form, by s; its length stays. */
static void move(char *p, size_t len, long s)
{
	char text[40];
	struct tm tm = { 0 };
	time_t t;

	if (len >= HTTP_DATE_LEN && p[3] == ',') {
		memcpy(text, p, HTTP_DATE_LEN);
		text[HTTP_DATE_LEN] = '\0';
		if (strptime(text, HTTP_DATE, &tm) == NULL)
			return;
		t = timegm(&tm) + s;
		strftime(text, sizeof(text), HTTP_DATE, gmtime_r(&t, &tm));
		memcpy(p, text, HTTP_DATE_LEN);
	} else if (len >= 19 && p[4] == '-' && p[10] == 'T') {
		memcpy(text, p, 19); /* what follows is a fraction */
		text[19] = '\0';
		if (strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
			return;
		t = timegm(&tm) + s;
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S",
		    gmtime_r(&t, &tm));
		memcpy(p, text, 19);
	}
}

void age_head(char *head, size_t cap, long s)
{
	const char *at = http_find(head, "Last-Modified");

	if (at != NULL)
		move(head + (at - head), cap - (size_t)(at - head), -s);
}

void age_body(char *body, size_t len, long s)
{
	/* S3, and Azure Blob */
	static const char *const tags[] = { "<LastModified>",
		"<Last-Modified>" };

	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(tags[i]);
		char *at = body, *end = body + len;

		while ((at = memmem(at, (size_t)(end - at), tags[i], n))) {
			at += n;
			move(at, (size_t)(end - at), -s);
		}
	}
}

void age_date(char *head, size_t cap, long s)
{
	const char *at = http_find(head, "Date");

	if (at != NULL)
		move(head + (at - head), cap - (size_t)(at - head), s);
}
