#ifndef AGENT_ENGINE_RESTORE_H
#define AGENT_ENGINE_RESTORE_H

#include "agent/engine/engine.h"

struct engine_restore_options {
	const struct store_snapshot *snapshot;
	const char *path;          /* inside the snapshot; "" or NULL: all */
	const char *target;        /* directory (made if missing), device, image */
	const struct engine_filter *include; /* NULL: everything */
	const struct engine_filter *exclude; /* NULL: nothing */
	bool in_place;             /* target may hold files; write what differs */
	bool delete_extra;         /* in place: remove what the snapshot has not */
	bool dry_run;              /* tell what would be done */
	bool verify;               /* read back what was restored and compare */
	bool sparse;               /* make holes of zero runs too */
	bool no_owner;
	bool tell_owners;          /* name each path whose owner is lost; else: */
	/* Something could not be restored, or not wholly. */
	engine_report_fn *report;
	void *report_ctx;
	/* Each path with what was (or would be) done: "create", "update",
	 * "metadata", "delete", "same"; NULL: not wanted. */
	void (*action)(void *ctx, const char *path, const char *what, uint64_t bytes);
};

struct engine_restore_result {
	uint64_t files, dirs, others, links, same, deleted;
	uint64_t bytes, bytes_written, bytes_fetched;
	uint64_t errors;           /* reported paths */
	uint64_t metadata_lost;    /* of them: only metadata could not be kept */
	uint64_t owners_lost;      /* paths that lost their owner and nothing else,
	                            * for want of the right; not in errors, and
	                            * not reported */
	uint64_t damaged;          /* of errors: the repository's bytes were bad */
	int64_t elapsed_ns;
};

/*
 * Restore a tree, a sub-tree or a file below target, or a block volume onto a
 * device or image file.  Nothing is ever written outside target, whatever the
 * snapshot's names say.  A target that is not empty is class EXISTS unless
 * in_place.  Return 0 (look at ret->errors), or -1.
 */
int engine_restore(struct engine *e, struct store *st,
    const struct engine_restore_options *opt,
    struct engine_restore_result *ret, struct err *err);

/*
 * Write one file's bytes to fd, or a directory (or the whole tree) as a tar
 * archive (pax, with ns times and xattrs), or a block volume's bytes.
 * Return 0 or -1; NOTFOUND when there is no such path.
 */
int engine_dump(struct engine *e, struct store *st,
    const struct store_snapshot *sn, const char *path, int fd,
    struct err *err);

#endif
