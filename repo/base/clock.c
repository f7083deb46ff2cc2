#include <stdio.h>
#include <time.h>

#include "repo/base/clock.h"

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_real_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_boot_ns(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

void clock_format_utc(char *dst, size_t cap, int64_t t_ns)
{
	time_t s = (time_t)(t_ns / 1000000000 - (t_ns % 1000000000 < 0));
	struct tm tm;

	if (gmtime_r(&s, &tm) == NULL || strftime(dst, cap, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(dst, cap, "?");
}
