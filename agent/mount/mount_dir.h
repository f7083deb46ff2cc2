#ifndef AGENT_MOUNT_MOUNT_DIR_H
#define AGENT_MOUNT_MOUNT_DIR_H

#include "agent/mount/mount_internal.h"

/* Directories: what is in them, a buffer of the kernel's at a time. */

/* An open directory of a snapshot. */
struct mount_dir {
	struct mount_node node;
	size_t bytes;            /* counted as open */
	struct mount_path path;
	uint64_t first;          /* number of its first entry */
	bool damaged;            /* something of it could not be read */
};

/* A buffer that is being filled for one request. */
struct mount_fill {
	struct fuse_req *req;
	char *buf;
	size_t cap, len;
	bool plus;               /* with what stat says, as a lookup */
};

/* Open the directory.  0, an errno, or -1 with err. */
int mount_dir_open(struct mount_tool *t, const struct mount_node *n,
    struct mount_dir **ret, struct err *err);
void mount_dir_close(struct mount *m, struct mount_dir *d);

/*
 * Fill with entries from the place `at` on, which is 0 or what came with the
 * last entry.  Return 0, or an errno.
 */
int mount_dir_read(struct mount_tool *t, struct mount_dir *d, uint64_t at,
    struct mount_fill *f);
/* The same for the directories above the snapshots. */
int mount_dir_read_top(struct mount_tool *t, const struct mount_node *n, uint64_t at,
    struct mount_fill *f);

struct fuse_entry_param;
/* What a lookup answers for an entry, and for what is above the snapshots. */
void mount_dir_param(struct mount_tool *t, const struct mount_node *n,
    const struct fmt_entry *e, struct fuse_entry_param *ret);

#endif
