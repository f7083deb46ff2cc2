#ifndef REPO_BACKEND_BACKEND_INTERNAL_H
#define REPO_BACKEND_BACKEND_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "repo/backend/backend.h"

/* --- every implementation --- */

/*
 * Fill the common part of an implementation: its vtable and a copy of name.
 * Return 0, or -1 with err.
 */
int backend_base_init(struct backend *be, const struct backend_ops *ops,
    const char *name, struct err *err);

/* Free what backend_base_init allocated. */
void backend_base_release(struct backend *be);

/* Return true when some key may begin with prefix ("" included). */
bool backend_prefix_valid(const char *prefix);

/* --- decorators --- */

/* The first member of every decorator's struct. */
struct backend_deco {
	struct backend be;
	struct backend *inner;
};

/*
 * Return size zeroed bytes, beginning with a backend_deco that wraps inner,
 * has its name and the vtable ops.  NULL with err: then inner is closed.
 */
void *backend_deco_new(size_t size, const struct backend_ops *ops,
    struct backend *inner, struct err *err);

/* The vtable's slots for decorators that add nothing to them. */
void backend_deco_caps(struct backend *be, struct backend_caps *ret_caps);
void backend_deco_counters(struct backend *be, struct backend_counters *ret);
void backend_deco_close(struct backend *be);

/* As backend_get_all, of a key that was checked: by stat and get. */
int backend_get_by_stat(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err);
/* The same, in one request where the store has it. */
int backend_pass_get_all(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err);

/* As backend_del_many, of keys that were checked; n is at least 1. */
int backend_pass_del_many(struct backend *be, const char *const *keys,
    size_t n, struct err *err);

/* Return what be, a decorator, wraps. */
static inline struct backend *backend_deco_inner(struct backend *be)
{
	return ((struct backend_deco *)be)->inner;
}

/* --- the local directory --- */

/*
 * The system calls by which the local directory changes anything; what they
 * mean is in their manual pages.  Tests replace members, before a backend is
 * opened and while no thread uses one, to record or to fail them.
 */
struct backend_local_sys {
	int (*openat)(int dirfd, const char *name, int flags, mode_t mode);
	ssize_t (*pwrite)(int fd, const void *p, size_t len, off_t off);
	int (*fsync)(int fd); /* of files and of directories */
	int (*linkat)(int olddir, const char *old, int newdir,
	    const char *new, int flags);
	int (*renameat2)(int olddir, const char *old, int newdir,
	    const char *new, unsigned flags);
	int (*unlinkat)(int dirfd, const char *name, int flags);
	int (*mkdirat)(int dirfd, const char *name, mode_t mode);
	/* No change, but missing on some systems: -1 with ENOSYS. */
	int (*openat2)(int dirfd, const char *path, int flags);
};

extern struct backend_local_sys backend_local_sys;

/*
 * Objects are never changed in place, so nobody may write to them, and what
 * they show (lengths, times) is their owner's business only.
 */
#define BACKEND_LOCAL_FILE_MODE 0400
#define BACKEND_LOCAL_DIR_MODE 0700

/* Where unfinished objects have a name. */
#define BACKEND_LOCAL_TMP "tmp"

#define BACKEND_LOCAL_DURABLE_SLOTS 1024

struct backend_local {
	struct backend be;
	int root; /* the directory, open for reading */
	bool read_only;
	bool no_sync;
	bool network;     /* other machines may see it later than we do */
	bool has_openat2;
	atomic_bool no_tmpfile; /* O_TMPFILE was found missing */
	/*
	 * Identities of directories whose name in their parent is known to be
	 * durable; lossy: a forgotten one costs one more fsync.
	 */
	_Atomic uint64_t durable[BACKEND_LOCAL_DURABLE_SLOTS];
};

/* A key cut into its directory ("." for none) and its last component. */
struct backend_local_path {
	char dir[BACKEND_KEY_MAX + 1];
	const char *base; /* into the key */
};

void backend_local_split(const char *key, struct backend_local_path *ret_path);

/*
 * Open path (not empty, "." is the root) beneath the root with flags, never
 * through a symbolic link.  Return the descriptor, or -1 with errno: ELOOP
 * for a symbolic link.
 */
int backend_local_beneath(const struct backend_local *l, const char *path,
    int flags);

/*
 * Open the directory dir beneath the root, making what is missing of it; when
 * it returns, the directory's name is durable.  Return the descriptor, or -1
 * with errno.
 */
int backend_local_dir_make(struct backend_local *l, const char *dir);

/*
 * Remove the directory dir if it is empty and not of the first level, and so
 * on upwards.  Session directories would pile up for ever else.
 */
void backend_local_dir_prune(struct backend_local *l, const char *dir);

/* Sync a file, or a directory, as the options say.  0, or -1 with errno. */
int backend_local_sync_file(const struct backend_local *l, int fd);
int backend_local_sync_dir(const struct backend_local *l, int fd);

/*
 * Fill err from errnum for what was done with key ("writing").  Return -1.
 */
int backend_local_fail(const struct backend_local *l, const char *what,
    const char *key, int errnum, struct err *err);

/* Remove files in tmp/ that are older than a day; failing is no matter. */
void backend_local_tmp_clean(struct backend_local *l);

int backend_local_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err);
int backend_local_put_over(struct backend *be, const char *key,
    const void *data, size_t len, struct err *err);
int backend_local_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err);

#endif
