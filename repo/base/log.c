#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "repo/base/log.h"

static struct {
	log_fn *fn;
	void *ctx;
	enum log_level level;
} sink;

void log_set_sink(log_fn *fn, void *ctx, enum log_level level)
{
	sink.fn = fn;
	sink.ctx = ctx;
	sink.level = level;
}

int log_wanted(enum log_level level)
{
	return sink.fn != NULL && level <= sink.level;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	char msg[1200];
	va_list ap;

	if (!log_wanted(level))
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	sink.fn(sink.ctx, level, msg);
}
