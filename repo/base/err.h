#ifndef REPO_BASE_ERR_H
#define REPO_BASE_ERR_H

/*
 * The one error form of the program.  A function that can fail takes a
 * `struct err *err` last and returns 0 on success, a documented positive
 * value for an expected alternative (not found, already there), or -1 with
 * err filled.  The class decides what is done about it (retry, exit code,
 * condition); the message is for people and is never parsed.  The struct
 * allocates nothing, so that being out of memory can be told.
 */

enum err_class {
	ERR_NONE = 0,
	ERR_BUG,         /* our own mistake */
	ERR_USAGE,       /* the caller or user asked for something impossible */
	ERR_NOTFOUND,    /* the named thing does not exist */
	ERR_EXISTS,      /* the named thing exists already */
	ERR_CONFLICT,    /* someone else was first; looking again may help */
	ERR_CORRUPT,     /* stored bytes are not what was stored */
	ERR_AUTH,        /* wrong secret, or a right that is missing */
	ERR_FULL,        /* no space, no quota, or no memory */
	ERR_TRANSIENT,   /* the same call may succeed later */
	ERR_CANCELLED,   /* stopped on request */
	ERR_IO,          /* the system failed to read or write */
	ERR_UNSUPPORTED, /* cannot be done here, or by this version */
};

#define ERR_MSG_MAX 1024

struct err {
	enum err_class class;
	int errnum; /* errno value behind it, 0 when there is none */
	char msg[ERR_MSG_MAX];
};

#define ERR_INIT { ERR_NONE, 0, "" }

/*
 * Fill err with class and a formatted message.  Return -1.  A NULL err is
 * allowed: the caller does not want to know.
 */
int err_set(struct err *err, enum err_class class, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Fill err from the errno value errnum: the class follows from it (ENOENT is
 * NOTFOUND, ENOSPC and ENOMEM are FULL, ...) and its text is appended to the
 * formatted message.  Return -1.
 */
int err_sys(struct err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Say where: put the formatted message and ": " before the message that err
 * holds; class and errnum stay.  A name (with a '/', without a space) that the
 * message has already is not put before it.  Return -1.
 */
int err_wrap(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Fill err with class FULL, "out of memory" and what it was for.  Return -1. */
int err_nomem(struct err *err, const char *what);

/* Make err say that nothing failed. */
void err_clear(struct err *err);

/* Return the name of class, a static string such as "corrupt". */
const char *err_class_name(enum err_class class);

/* Return the class that err_sys would give to errnum. */
enum err_class err_class_of_errno(int errnum);

#endif
