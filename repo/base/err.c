#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "repo/base/err.h"

static int set_v(struct err *err, enum err_class class, int errnum,
    const char *fmt, va_list ap)
{
	if (err == NULL)
		return -1;
	err->class = class;
	err->errnum = errnum;
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	return -1;
}

int err_set(struct err *err, enum err_class class, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_v(err, class, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int err_sys(struct err *err, int errnum, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return -1;
	va_start(ap, fmt);
	set_v(err, err_class_of_errno(errnum), errnum, fmt, ap);
	va_end(ap);

	/* The GNU strerror_r is thread-safe and may return a static string. */
	char text[128];
	const char *s = strerror_r(errnum, text, sizeof(text));
	size_t n = strlen(err->msg);

	snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", s);
	return -1;
}

/* Is it the name of one thing, a path or an object's, and nothing else? */
static bool names(const char *s)
{
	return strchr(s, '/') != NULL && strchr(s, ' ') == NULL;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	char where[ERR_MSG_MAX];
	va_list ap;

	if (err == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(where, sizeof(where), fmt, ap);
	va_end(ap);

	size_t nwhere = strlen(where);
	size_t ncause = strlen(err->msg);

	/* Who failed and who asked may both name it: once is enough. */
	if (names(where) && strstr(err->msg, where) != NULL)
		return -1;
	/* Keep the cause whole where both do not fit: it matters more. */
	if (nwhere + 2 + ncause >= sizeof(err->msg)) {
		size_t room = sizeof(err->msg) - 1 - ncause;

		nwhere = room > 2 ? room - 2 : 0;
	}
	if (nwhere == 0)
		return -1;
	memmove(err->msg + nwhere + 2, err->msg, ncause + 1);
	memcpy(err->msg, where, nwhere);
	memcpy(err->msg + nwhere, ": ", 2);
	return -1;
}

int err_nomem(struct err *err, const char *what)
{
	err_set(err, ERR_FULL, "out of memory for %s", what);
	if (err != NULL)
		err->errnum = ENOMEM;
	return -1;
}

void err_clear(struct err *err)
{
	err->class = ERR_NONE;
	err->errnum = 0;
	err->msg[0] = '\0';
}

const char *err_class_name(enum err_class class)
{
	static const char *const names[] = {
		[ERR_NONE] = "none",           [ERR_BUG] = "bug",
		[ERR_USAGE] = "usage",         [ERR_NOTFOUND] = "notfound",
		[ERR_EXISTS] = "exists",       [ERR_CONFLICT] = "conflict",
		[ERR_CORRUPT] = "corrupt",     [ERR_AUTH] = "auth",
		[ERR_FULL] = "full",           [ERR_TRANSIENT] = "transient",
		[ERR_CANCELLED] = "cancelled", [ERR_IO] = "io",
		[ERR_UNSUPPORTED] = "unsupported",
	};

	if ((unsigned)class >= sizeof(names) / sizeof(names[0]))
		return "unknown";
	return names[class];
}

enum err_class err_class_of_errno(int errnum)
{
	switch (errnum) {
	case ENOENT:
	case ENOTDIR:
	case ENODEV:
	case ENXIO:
		return ERR_NOTFOUND;
	case EEXIST:
	case ENOTEMPTY:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_AUTH;
	case ENOSPC:
	case EDQUOT:
	case ENOMEM:
	case EFBIG:
		return ERR_FULL;
	case EAGAIN:
	case EINTR:
	case EBUSY:
	case ETIMEDOUT:
	case ECONNRESET:
	case ESTALE:
		return ERR_TRANSIENT;
	case ECANCELED:
		return ERR_CANCELLED;
	case EOPNOTSUPP:
	case ENOSYS:
		return ERR_UNSUPPORTED;
	case EINVAL:
	case ENAMETOOLONG:
	case ELOOP:
	case EISDIR:
		return ERR_USAGE;
	default:
		return ERR_IO;
	}
}
