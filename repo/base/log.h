#ifndef REPO_BASE_LOG_H
#define REPO_BASE_LOG_H

/*
 * Where libraries tell what is worth knowing but is no error.  They never
 * print: the program sets a sink, the default drops everything.  No secret
 * and no plaintext of a user's file is ever passed.
 */

enum log_level {
	LOG_WARN,  /* something is not as it should be; work goes on */
	LOG_INFO,  /* a step worth seeing with --verbose */
	LOG_DEBUG, /* each operation on the store */
};

typedef void log_fn(void *ctx, enum log_level level, const char *msg);

/*
 * Send messages up to and including level to fn(ctx, ...); NULL fn drops all.
 * Called before threads are started; fn itself is called from any thread.
 */
void log_set_sink(log_fn *fn, void *ctx, enum log_level level);

/* Return non-zero when a message of this level would be seen. */
int log_wanted(enum log_level level);

void log_msg(enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
