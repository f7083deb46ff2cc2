#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_text.h"

static const char letters[] = "KMGTP";

/*
 * The factor of a suffix: "", "B", "K", "KiB" are powers of 1024, "KB" of
 * 1000.  Return 0 when it is none of these.
 */
static double factor_of(const char *s)
{
	if (s[0] == '\0' || strcmp(s, "B") == 0)
		return 1;

	const char *at = strchr(letters, toupper((unsigned char)s[0]));

	if (at == NULL)
		return 0;

	double step = s[1] == '\0' || strcasecmp(s + 1, "iB") == 0 ? 1024 :
	    strcasecmp(s + 1, "B") == 0 ? 1000 : 0;
	double factor = step;

	for (const char *p = letters; p < at; p++)
		factor *= step;
	return factor;
}

static int parse(const char *s, size_t len, const char *what, uint64_t *ret,
    struct err *err)
{
	char text[64];
	char *end;

	if (len == 0 || len >= sizeof(text) || !isdigit((unsigned char)s[0]))
		goto bad;
	memcpy(text, s, len);
	text[len] = '\0';

	/* Whole numbers are exact to the last bit; fractions need not be. */
	size_t digits = strspn(text, "0123456789");

	if (text[digits] == '\0' || text[digits] == 'B') {
		if (digits > 18)
			goto bad;
		*ret = strtoull(text, &end, 10);
		if (factor_of(end) == 0)
			goto bad;
		return 0;
	}
	/* strtod would take "1e9", "0x10" and "inf", too. */
	size_t number = strspn(text, "0123456789.");
	char saved = text[number];

	text[number] = '\0';

	double v = strtod(text, &end);

	if (*end != '\0')
		goto bad;
	text[number] = saved;
	v *= factor_of(text + number);
	if (factor_of(text + number) == 0 || v >= 9e18)
		goto bad;
	*ret = (uint64_t)v;
	return 0;
bad:
	return err_set(err, ERR_USAGE, "'%s' is no %s (write for example %s)", s,
	    what, strcmp(what, "size") == 0 ? "512M, 1.5G or 10MiB" :
	    "20M or 500KiB/s");
}

int cli_size_parse(const char *s, uint64_t *ret, struct err *err)
{
	return parse(s, strlen(s), "size", ret, err);
}

int cli_rate_parse(const char *s, uint64_t *ret, struct err *err)
{
	size_t len = strlen(s);

	if (len > 2 && strcmp(s + len - 2, "/s") == 0)
		len -= 2;
	return parse(s, len, "rate", ret, err);
}

int cli_duration_parse(const char *s, int64_t *ret_ns, struct err *err)
{
	static const struct { char unit; double seconds; } units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 },
		{ 'w', 7 * 86400 },
	};
	size_t number = strspn(s, "0123456789.");
	char *end;
	double v = number > 0 ? strtod(s, &end) : 0;

	for (size_t i = 0; number > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (end != s + number || s[number] != units[i].unit ||
		    s[number + 1] != '\0')
			continue;
		v *= units[i].seconds * 1e9;
		if (v < 1 || v >= 9e18)
			break;
		*ret_ns = (int64_t)v;
		return 0;
	}
	return err_set(err, ERR_USAGE, "'%s' is no time span above 0 (write for "
	    "example 90s, 30m, 4h, 7d or 2w)", s);
}

const char *cli_size_text(char *dst, size_t cap, double bytes)
{
	static const char *const units[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB",
	};
	size_t u = 0;

	/* 1023.6 would be shown as 1024: go on to the next unit before. */
	while (bytes >= 1023.5 && u + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024;
		u++;
	}
	if (u == 0)
		snprintf(dst, cap, "%.0f %s", bytes, units[u]);
	else
		snprintf(dst, cap, "%.*f %s", bytes < 9.995 ? 2 :
		    bytes < 99.95 ? 1 : 0, bytes, units[u]);
	return dst;
}

const char *cli_rate_text(char *dst, size_t cap, double rate)
{
	char text[CLI_TEXT_MAX];

	snprintf(dst, cap, "%s/s", cli_size_text(text, sizeof(text), rate));
	return dst;
}

const char *cli_duration_text(char *dst, size_t cap, int64_t ns)
{
	double s = (double)ns / 1e9;

	if (s < 0)
		s = 0;
	if (s < 9.95) {
		snprintf(dst, cap, "%.*fs", s < 0.995 ? 2 : 1, s);
		return dst;
	}

	int64_t whole = (int64_t)(s + 0.5);

	if (whole < 60)
		snprintf(dst, cap, "%" PRId64 "s", whole);
	else if (whole < 3600)
		snprintf(dst, cap, "%" PRId64 "m%02" PRId64 "s", whole / 60,
		    whole % 60);
	else if (whole < 86400)
		snprintf(dst, cap, "%" PRId64 "h%02" PRId64 "m%02" PRId64 "s",
		    whole / 3600, whole / 60 % 60, whole % 60);
	else
		snprintf(dst, cap, "%" PRId64 "d%02" PRId64 "h%02" PRId64 "m",
		    whole / 86400, whole / 3600 % 24, whole / 60 % 60);
	return dst;
}

const char *cli_count_text(char *dst, size_t cap, uint64_t n)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRIu64, n);
	size_t at = 0;

	for (int i = 0; i < len && at + 2 < cap; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			dst[at++] = ',';
		dst[at++] = text[i];
	}
	dst[at] = '\0';
	return dst;
}

const char *cli_counted(char *dst, size_t cap, uint64_t n, const char *one,
    const char *many)
{
	char text[CLI_TEXT_MAX];

	snprintf(dst, cap, "%s %s", cli_count_text(text, sizeof(text), n),
	    n == 1 ? one : many);
	return dst;
}

int cli_time_parse(const char *s, int64_t *ret)
{
	struct tm tm = { .tm_isdst = -1 };
	const char *end = strptime(s, "%Y-%m-%d", &tm);
	time_t t;

	if (end != NULL && *end == 'T')
		end = strptime(end, "T%H:%M", &tm);
	if (end != NULL && *end == ':')
		end = strptime(end, ":%S", &tm);
	if (end == NULL)
		return -1;
	if (*end == 'Z') {
		tm.tm_isdst = 0;
		t = timegm(&tm);
		end++;
	} else {
		t = mktime(&tm);
	}
	*ret = t;
	return *end == '\0' ? 0 : -1;
}

const char *cli_time_text(char *dst, size_t cap, int64_t t_ns)
{
	int64_t s = t_ns / 1000000000;
	struct tm tm;
	time_t t = (time_t)(t_ns < 0 && s * 1000000000 != t_ns ? s - 1 : s);

	if (localtime_r(&t, &tm) == NULL ||
	    strftime(dst, cap, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(dst, cap, "%" PRId64, (int64_t)t);
	return dst;
}
