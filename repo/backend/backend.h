#ifndef REPO_BACKEND_BACKEND_H
#define REPO_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/err.h"

/*
 * A place where objects live.  An object is a key and bytes that are written
 * once, whole.  Keys are 1 to 200 bytes of [a-z0-9._-] components joined by
 * single '/', none of them "." or ".."; they are relative to the repository's
 * root.  The first component is not "tmp", which a store may use for what is
 * unfinished, and no key is a directory of another ("a" and "a/b").  Every
 * implementation, decorators too, wears this vtable and passes one
 * conformance suite.
 *
 * All calls block and may be made from any number of threads at once.  An
 * error names the key and the store.
 */

#define BACKEND_KEY_MAX 200

struct backend;

/* What went over the wire since a backend was opened; a local one has none. */
struct backend_counters {
	uint64_t requests, failed; /* with an answer or not; without */
	uint64_t sent, received;   /* bytes of bodies */
};

struct backend_stat {
	uint64_t size;     /* bytes */
	int64_t mtime_ns;  /* last modified by the store's clock, since 1970 UTC */
};

/* What a store was found to promise; see backend_caps. */
struct backend_caps {
	bool atomic_create; /* racing put-if-absent: exactly one wins */
	bool local;         /* a directory of this machine */
	bool cheap_ranges;  /* a ranged read costs no round trip worth saving */
	bool ordered_list;  /* a listing comes in the byte order of the keys */
	bool del_tells;     /* del tells an object that was not there */
};

/*
 * Called for each listed key, in no order unless backend_caps says so.  It
 * may call the backend, also to remove what is listed.  Return 0 to go on, any
 * other value to stop; it becomes the result of the listing (negative: err
 * filled).  key and st live until it returns.
 */
typedef int backend_list_fn(void *ctx, const char *key,
    const struct backend_stat *st, struct err *err);

/* err is never NULL here: the calls below see to that. */
struct backend_ops {
	/*
	 * Store len bytes at data under key if it does not exist; len may be
	 * 0, then data may be NULL.  Return 0 when the object is there, whole
	 * and durable; 1 when an object of this key existed before (it is
	 * untouched, and durable, too); -1 with err: then the object may or
	 * may not be there, but never a part of it.
	 */
	int (*put)(struct backend *be, const char *key, const void *data,
	    size_t len, struct err *err);

	/*
	 * The same, but an existing object is replaced in one step: readers
	 * see the old or the new one.  Only session objects are rewritten.
	 */
	int (*put_over)(struct backend *be, const char *key, const void *data,
	    size_t len, struct err *err);

	/*
	 * Read len bytes from offset off of the object into dst.  Return 0;
	 * 1 when there is no such object; -1 with err.  An object that ends
	 * before off + len is class CORRUPT.  len is at least 1.
	 */
	int (*get)(struct backend *be, const char *key, uint64_t off,
	    void *dst, size_t len, struct err *err);

	/*
	 * Read a whole object in one request, as backend_get_all; NULL where a
	 * look at its size costs nothing worth saving.
	 */
	int (*get_all)(struct backend *be, const char *key, size_t max,
	    uint8_t **ret_data, size_t *ret_len, struct err *err);

	/* Return 0 with *ret_st filled, 1 when there is no such object, -1. */
	int (*stat)(struct backend *be, const char *key,
	    struct backend_stat *ret_st, struct err *err);

	/*
	 * Call fn for every object whose key begins with prefix (which may
	 * end inside a component).  Objects that come or go meanwhile may be
	 * seen or not.  What is in the place but is no key (foreign files,
	 * unfinished ones) is passed over.  No key is given twice.  Return 0,
	 * fn's value, or -1.
	 */
	int (*list)(struct backend *be, const char *prefix,
	    backend_list_fn *fn, void *ctx, struct err *err);

	/*
	 * Remove the object.  Return 0 when it is gone for good; 1 when it was
	 * not there, where backend_caps says that this is told (S3 does not,
	 * and to ask before would cost a round trip); or -1 with err: then it
	 * may or may not be there.
	 */
	int (*del)(struct backend *be, const char *key, struct err *err);

	/*
	 * Remove n objects (at least 1), in any order, as del would; NULL where
	 * a store has no call for many.  Return 0 when all are gone, there
	 * before or not, or -1 with err: then some may be.
	 */
	int (*del_many)(struct backend *be, const char *const *keys, size_t n,
	    struct err *err);

	/* Fill *ret_caps.  Never fails. */
	void (*caps)(struct backend *be, struct backend_caps *ret_caps);

	/* Fill *ret.  NULL where nothing is counted. */
	void (*counters)(struct backend *be, struct backend_counters *ret);

	/* Free everything; a decorator closes what it wraps. */
	void (*close)(struct backend *be);
};

/* The first member of every implementation's own struct. */
struct backend {
	const struct backend_ops *ops;
	char *name; /* for messages: the URL without secrets; owned */
};

/*
 * The vtable's calls, checked: a malformed key or prefix, a get of no bytes or
 * past what 64 bits count is class BUG.
 */
int backend_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err);
int backend_put_over(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err);
int backend_get(struct backend *be, const char *key, uint64_t off, void *dst,
    size_t len, struct err *err);
int backend_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err);
int backend_list(struct backend *be, const char *prefix, backend_list_fn *fn,
    void *ctx, struct err *err);
int backend_del(struct backend *be, const char *key, struct err *err);
/* One call after the other where the store has none for many; n may be 0. */
int backend_del_many(struct backend *be, const char *const *keys, size_t n,
    struct err *err);
/* Zeros where nothing is counted. */
void backend_counters(struct backend *be, struct backend_counters *ret);
void backend_caps(struct backend *be, struct backend_caps *ret_caps);
void backend_close(struct backend *be); /* NULL is fine */

/*
 * Read a whole object of at most max bytes.  Return 0 with *ret_data (owned
 * by the caller, free(); never NULL) and *ret_len; 1 when it is not there; -1
 * with err, class CORRUPT when it is larger than max.  An object that is being
 * replaced is read as it was before or after, never as a mixture.
 */
int backend_get_all(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err);

/* Return true when key has the form described above. */
bool backend_key_valid(const char *key);

struct backend_local_options {
	bool create;    /* make the directory if it is missing */
	bool read_only; /* refuse every change, create nothing */
	bool no_sync;   /* tests only: no fsync */
};

/*
 * Open a directory.  Objects are files named by their key.  An object is
 * written to an unnamed file (O_TMPFILE; a name under tmp/ where the file
 * system has none), synced, linked into place without overwriting, and its
 * directory synced.  Large objects are written with O_DIRECT where possible,
 * that is from data at an address that is a multiple of 4096.  Nothing outside
 * of the directory is ever reached: a symbolic link beneath it is an error of
 * class USAGE.  Opened for writing, leftovers of killed writers in tmp/ that
 * are older than a day are removed.  opt may be NULL (all false).
 * Return the backend, or NULL with err: NOTFOUND when the directory is
 * missing and not to be created (or its parent is missing), USAGE when path
 * is no directory.
 */
struct backend *backend_local_open(const char *path,
    const struct backend_local_options *opt, struct err *err);

/* An empty store in memory, gone when closed.  NULL with err of class FULL. */
struct backend *backend_mem_new(struct err *err);

struct backend_options {
	struct backend_local_options local; /* create, read_only: for all */
	/* Stores that are reached by HTTP; see backend_remote.h. */
	const char *ca_file;
	uint64_t up, down;    /* bytes a second, local directories too; 0: any */
	unsigned connections; /* at once; 0: 64 */
	bool (*cancelled)(void *ctx); /* NULL: never */
	void *cancelled_ctx;
};

/*
 * Open a repository URL: a path, file:PATH or file:///PATH is a local
 * directory; s3: and azure: are told in backend_remote.h.  Other schemes (two
 * or more letters before a ':') are class UNSUPPORTED, an empty path or a host
 * in a file URL USAGE.  opt may be NULL; else as for backend_local_open and
 * the two of backend_remote.h.
 */
struct backend *backend_open(const char *url,
    const struct backend_options *opt, struct err *err);

/*
 * --- decorators ---
 * Each owns the backend it is given, also when it fails.  Given NULL (what
 * was to be wrapped failed), each returns NULL and leaves err alone.
 */

struct backend_retry_options {
	unsigned budget_ms;   /* trying again allowed for one call; 0: 15 min */
	unsigned contact_ms;  /* the same until the store answers for the first
	                       * time, which it may never do; 0: budget_ms */
	unsigned first_ms;    /* longest first pause; 0: 100 */
	unsigned max_ms;      /* longest pause; 0: 10 s */
	/* Sleep ns, replaced by tests; NULL: nanosleep. */
	void (*sleep_ns)(void *ctx, int64_t ns);
	/* The time that goes on in suspend, for tests; NULL: clock_boot_ns. */
	int64_t (*now_ns)(void *ctx);
	void *sleep_ctx; /* given to both */
	/* Return true to give up early (a cancelled run); NULL: never. */
	bool (*cancelled)(void *ctx);
	void *cancel_ctx;
};

/*
 * Repeat calls that fail with class TRANSIENT, pausing a random time between
 * zero and a bound that doubles (full jitter).  A put whose answer was lost is
 * looked at before it is repeated: when the object is there with equal bytes,
 * it is ours (0), else it existed before (1).  Likewise the result of a del
 * that was repeated is 0 also when the object was gone.  A put is never sent
 * again later than 50 minutes after it was first sent.  A listing that broke
 * off goes on after the last key where the store lists in order; elsewhere it
 * is repeated only if no key had been given yet.  When the budget is spent the
 * last error stands, still TRANSIENT; cancelled, the class is CANCELLED.
 * opt may be NULL; it is copied.
 */
struct backend *backend_retry_new(struct backend *inner,
    const struct backend_retry_options *opt, struct err *err);

/* Log each call, its result, bytes and time at level DEBUG.  NULL with err. */
struct backend *backend_log_new(struct backend *inner, struct err *err);

/*
 * Hold back calls so that no more than up (put) and down (get) bytes a
 * second pass, after a rest those of 50 ms more; 0 is no limit.  NULL with err.
 */
struct backend *backend_limit_new(struct backend *inner, uint64_t up,
    uint64_t down, struct err *err);

enum backend_op {
	BACKEND_PUT, BACKEND_PUT_OVER, BACKEND_GET, BACKEND_STAT,
	BACKEND_LIST, BACKEND_DEL,
};

enum backend_fault {
	BACKEND_FAULT_NONE,
	BACKEND_FAULT_BEFORE, /* fail, nothing was done */
	BACKEND_FAULT_AFTER,  /* done, but the answer is lost */
	BACKEND_FAULT_FLIP,   /* get: one bit of the data is wrong */
	BACKEND_FAULT_SHORT,  /* get: the object seems to end early */
	BACKEND_FAULT_FULL,   /* put: no space */
	BACKEND_FAULT_KILL,   /* the process ends here, before the call */
};

/*
 * Ask decide before each call what shall go wrong: count is the number of
 * calls before this one; key is the prefix for a listing.  decide is called by
 * any thread.  The error given is of class TRANSIENT, but FULL for
 * BACKEND_FAULT_FULL and CORRUPT for BACKEND_FAULT_SHORT.  A fault that does
 * not fit the call is none.  NULL with err.
 */
struct backend *backend_fault_new(struct backend *inner,
    enum backend_fault (*decide)(void *ctx, enum backend_op op,
        const char *key, uint64_t count),
    void *ctx, struct err *err);

#endif
