#ifndef AGENT_MOUNT_MOUNT_H
#define AGENT_MOUNT_MOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/engine/engine.h"
#include "repo/store/store.h"

/*
 * All snapshots of a repository as a file system that can only be read, by
 * FUSE.  Below the directory: volumes/VOLUME/TIME, ids/ID, latest/VOLUME.
 */
struct mount;

struct mount_options {
	const char *dir;          /* where; it must exist */
	const char *options;      /* as of mount -o, or NULL */
	size_t memory;            /* bytes for all but what the store takes */
	/* Which snapshots are shown; NULL: all. */
	bool (*wanted)(void *ctx, const struct store_snapshot *sn);
	/*
	 * A path that could not be read wholly, "ID:PATH", once each; or the key
	 * of a snapshot that cannot be read.  Called from any thread.
	 */
	engine_report_fn *report;
	void *ctx;                /* of both */
};

/*
 * List the snapshots and mount.  st stays the caller's and must live as long;
 * the read right is needed.  All of opt but ctx is copied.  NULL with err:
 * USAGE for options that cannot be, NOTFOUND or IO for the directory,
 * UNSUPPORTED where there is no FUSE.
 */
struct mount *mount_new(struct store *st, const struct mount_options *opt,
    struct err *err);

/*
 * Answer until it is unmounted or mount_stop was called; it is unmounted then.
 * Return 0, or -1 with err.  Once, from one thread.
 */
int mount_serve(struct mount *m, struct err *err);

/* Let mount_serve return soon.  May be called from a signal handler. */
void mount_stop(struct mount *m);

/* Unmount, if that has not been, and free; NULL is fine. */
void mount_free(struct mount *m);

#endif
